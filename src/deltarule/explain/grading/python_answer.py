"""An answer as a Python expression on arrays: ``delta[:, None] * x``, ``np.outer(d, x)``, ``W2.T @ (y_hat - y)``.

The expression is read with ``ast`` and built as a graph; nothing of it is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from deltarule.errors import ArgumentError
from deltarule.explain.formula.names import canonical
from deltarule.graph import algebra, build, functions
from deltarule.graph.indexing import index
from deltarule.graph.node import Node

Value = Node | int | float

_BINARY: dict[type[ast.operator], Callable[[Value, Value], Node]] = {
    ast.Add: build.add,
    ast.Sub: build.subtract,
    ast.Mult: build.multiply,
    ast.Div: build.divide,
    ast.Pow: build.power,
    ast.MatMult: lambda x, y: build.matmul(build.as_node(x), build.as_node(y)),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Node]] = {
    ast.Gt: lambda x, y: build.less(y, x),
    ast.Lt: build.less,
    ast.GtE: lambda x, y: build.logical_not(build.less(x, y)),
    ast.LtE: lambda x, y: build.logical_not(build.less(y, x)),
    ast.Eq: build.equal,
}


def _transposed(x: Node) -> Node:
    return build.permute(x, tuple(reversed(range(x.rank))))


def _softmax(x: Node, axis: int = -1) -> Node:
    return functions.softmax(x, axis=axis % x.rank)


def _sum(
    x: Node, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Node:
    return build.sum_over(x, axis, keepdims)


def _mean(
    x: Node, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Node:
    return build.mean(x, axis, keepdims)


def _diagonal(x: Node) -> Node:
    return algebra.diagonal_matrix(x) if x.rank == 1 else algebra.diagonal(x)


_FUNCTIONS: dict[str, Callable[..., Node]] = {
    "outer": algebra.outer,
    "dot": lambda x, y: build.matmul(x, y),
    "matmul": lambda x, y: build.matmul(x, y),
    "where": build.where,
    "exp": build.exp,
    "log": build.log,
    "sqrt": build.sqrt,
    "tanh": build.tanh,
    "sin": build.sin,
    "cos": build.cos,
    "abs": build.absolute,
    "sign": build.sign,
    "maximum": build.maximum,
    "minimum": build.minimum,
    "sum": _sum,
    "mean": _mean,
    "transpose": _transposed,
    "diag": _diagonal,
    "sigmoid": functions.sigmoid,
    "relu": functions.relu,
    "softmax": _softmax,
    "norm": algebra.norm,
    "trace": algebra.trace,
    "square": lambda x: build.multiply(x, x),
}


def is_python(text: str) -> bool:
    """Whether a text reads as Python rather than as mathematics."""
    if "\\" in text or "^" in text or not text.isascii():
        return False
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False
    marks = (ast.Attribute, ast.Subscript, ast.MatMult, ast.Pow)
    return any(isinstance(node, marks) for node in ast.walk(tree))


def build_answer(text: str, known: Mapping[str, Node]) -> Node:
    """Return the graph of a Python expression.

    Raises:
        ArgumentError: a name or construction that is not understood, with its column.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ArgumentError(
            "Python expression",
            expected="an expression",
            got=f"{error.msg} at column {error.offset}",
        ) from error
    return build.as_node(_Builder(text.strip(), known).value(tree.body))


class _Builder:
    def __init__(self, text: str, known: Mapping[str, Node]) -> None:
        self._text = text
        self._known = known

    def value(self, tree: ast.expr) -> Value:
        """Build one expression."""
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
            return tree.value
        if isinstance(tree, ast.Name):
            return self._name(tree)
        if isinstance(tree, ast.BinOp) and type(tree.op) in _BINARY:
            left, right = self.value(tree.left), self.value(tree.right)
            if not isinstance(left, Node) and not isinstance(right, Node):
                left = build.constant(float(left))
            return _BINARY[type(tree.op)](left, right)
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, (ast.USub, ast.UAdd)):
            inner = self.value(tree.operand)
            return (
                inner
                if isinstance(tree.op, ast.UAdd)
                else build.negate(inner)
                if isinstance(inner, Node)
                else -inner
            )
        if (
            isinstance(tree, ast.Compare)
            and len(tree.ops) == 1
            and type(tree.ops[0]) in _COMPARE
        ):
            return _COMPARE[type(tree.ops[0])](
                self.value(tree.left), self.value(tree.comparators[0])
            )
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.Attribute) and tree.attr == "T":
            return _transposed(self._node(tree.value))
        if isinstance(tree, ast.Subscript):
            return index(self._node(tree.value), self._key(tree.slice))
        self._fail(tree, "arithmetic, @, .T, indexing or a NumPy function")
        return 0

    def _node(self, tree: ast.expr) -> Node:
        return build.as_node(self.value(tree))

    def _name(self, tree: ast.Name) -> Node:
        node = self._known.get(canonical(tree.id))
        if node is None:
            self._fail(tree, f"a known name ({', '.join(sorted(self._known))})")
        return node if node is not None else build.constant(0.0)

    def _call(self, tree: ast.Call) -> Node:
        method = isinstance(tree.func, ast.Attribute) and not (
            isinstance(tree.func.value, ast.Name)
            and tree.func.value.id in {"np", "numpy", "dr", "nn", "torch", "jnp"}
        )
        name = (
            tree.func.attr
            if isinstance(tree.func, ast.Attribute)
            else getattr(tree.func, "id", "")
        )
        if name == "astype" and isinstance(tree.func, ast.Attribute):
            return self._node(tree.func.value)
        if name not in _FUNCTIONS:
            self._fail(tree, f"one of {', '.join(sorted(_FUNCTIONS))}")
        own = (
            [self._node(tree.func.value)]
            if method and isinstance(tree.func, ast.Attribute)
            else []
        )
        arguments = [*own, *(self._argument(argument) for argument in tree.args)]
        try:
            return _FUNCTIONS[name](
                *arguments,
                **{str(k.arg): self._literal(k.value) for k in tree.keywords},
            )
        except TypeError as error:
            raise ArgumentError(
                f"Python expression, {name}",
                expected="its NumPy arguments",
                got=str(error),
            ) from error

    def _argument(self, tree: ast.expr) -> object:
        value = (
            self._literal(tree)
            if isinstance(tree, (ast.Constant, ast.Tuple, ast.UnaryOp))
            else None
        )
        return self.value(tree) if value is None else value

    def _literal(self, tree: ast.expr) -> object:
        try:
            return ast.literal_eval(tree)
        except (ValueError, TypeError):
            return None

    def _key(self, tree: ast.expr) -> object:
        parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
        key: list[object] = []
        for part in parts:
            if isinstance(part, ast.Slice):
                bounds = [
                    None if b is None else self._literal(b)
                    for b in (part.lower, part.upper, part.step)
                ]
                key.append(slice(*bounds))
            elif isinstance(part, ast.Attribute) and part.attr == "newaxis":
                key.append(None)
            else:
                key.append(self._literal(part))
        return tuple(key)

    def _fail(self, tree: ast.expr, expected: str) -> None:
        column = tree.col_offset
        raise ArgumentError(
            f"Python expression, column {column + 1}",
            expected=expected,
            got=ast.unparse(tree),
            hint=f"{self._text}\n  {' ' * column}^",
        )
