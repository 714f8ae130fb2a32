"""An answer as Python on arrays: ``np.outer(delta_1, x)``, ``W2.T @ (y_hat - y)``, with assignments in lines before it.

The text is parsed with ``ast`` and built as a graph; nothing of it is executed.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import NoReturn

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.reading.numpy_functions import (
    CONSTANTS,
    FUNCTIONS,
    METHODS,
    Value,
)
from deltarule.explain.reading.python_written import written_python
from deltarule.explain.reading.reader import Reading
from deltarule.explain.reading.tokens import check_extent, shown_part
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.graph import build
from deltarule.graph.indexing import index
from deltarule.graph.node import Node

_MODULES = {"np", "numpy", "jnp", "torch", "dr", "nn"}
_SUBMODULES = {"linalg", "special", "functional", "F"}
_DEEPEST = 60
_LARGEST = 1_000_000  # entries of an array
_BINARY: dict[type[ast.operator], Callable[[Node, Node], Node]] = {
    ast.Add: build.add,
    ast.Sub: build.subtract,
    ast.Mult: build.multiply,
    ast.Div: build.divide,
    ast.Pow: build.power,
}
_OF_TRUTH: dict[type[ast.operator], Callable[[Node, Node], Node]] = {
    ast.Add: build.logical_or,
    ast.Mult: build.logical_and,
}  # of two comparisons, as in NumPy
_NO_MINUS = "numbers: NumPy has no minus for True and False, multiply them by 1.0"
_NUMBERS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda x, y: x + y,
    ast.Sub: lambda x, y: x - y,
    ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: x / y,
    ast.FloorDiv: lambda x, y: x // y,
    ast.Pow: lambda x, y: (
        math.pow(x, y) if y < 0 or isinstance(x + y, float) else x ** min(int(y), 64)
    ),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Node, Node], Node]] = {
    ast.Gt: lambda x, y: build.less(y, x),
    ast.Lt: build.less,
    ast.GtE: lambda x, y: build.logical_not(build.less(x, y)),
    ast.LtE: lambda x, y: build.logical_not(build.less(y, x)),
    ast.Eq: build.equal,
    ast.NotEq: lambda x, y: build.logical_not(build.equal(x, y)),
}


def is_python(text: str) -> bool:
    """Whether a text reads as Python rather than as mathematics."""
    if "\\" in text or "^" in text or not text.isascii():
        return False
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    marks = (ast.Attribute, ast.Subscript, ast.MatMult, ast.Pow)
    return any(isinstance(node, marks) for node in ast.walk(tree))


def read_python(text: str, vocabulary: Vocabulary, dtype: DType) -> Reading:
    """Read an answer in Python: an expression, or assignments of which the last is the answer.

    Raises:
        ArgumentError: a name or construction that is not understood, with its line and column.
        ShapeError: arrays that do not fit together.
    """
    reading = read_array(text, vocabulary, dtype)
    node = reading.node
    return Reading(build.reshape(node, matrix_shape(node.shape)), reading.formula)


def read_array(text: str, vocabulary: Vocabulary, dtype: DType) -> Reading:
    """Read Python as ``read_python`` does, with the shape that the array has in Python."""
    check_extent(text)
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f" at column {error.offset}" if isinstance(error, SyntaxError) else ""
        message = (
            error.msg
            if isinstance(error, SyntaxError)
            else "an expression that is nested too deeply"
        )
        raise ArgumentError(
            "Python expression", expected="an expression", got=f"{message}{where}"
        ) from error
    known = {
        name: symbol.node
        for name, symbol in vocabulary.names.items()
        if "/" not in name
    }
    builder = _Builder(text.strip(), known)
    value = builder.statements(tree.body)
    node = build.cast(
        value if isinstance(value, Node) else build.as_node(value, dtype), dtype
    )
    if not node.shape and not isinstance(value, Node):
        node = build.cast(build.constant(float(value)), dtype)
    return Reading(node, written_python(tree.body, builder.shapes))


class _Builder:
    def __init__(self, text: str, known: Mapping[str, Node]) -> None:
        self._text = text
        self._known = known
        self._local: dict[str, Value] = {}
        self._depth = 0
        self.shapes: dict[int, tuple[object, ...]] = {}  # of expressions, by identity

    def statements(self, body: list[ast.stmt]) -> Node | float:
        """Build assignments and the last expression; a last assignment is the answer."""
        result: Value = None
        for statement in body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
                if not isinstance(target, ast.Name):
                    self.fail(target, "the name of a variable")
                result = self._local[target.id] = self.value(statement.value)
            elif isinstance(statement, (ast.Expr, ast.Return)) and statement.value:
                result = self.value(statement.value)
            elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
                self.fail(statement, "an assignment or an expression")
            elif any(
                alias.name.split(".")[0] not in {"numpy"} for alias in statement.names
            ):
                self.fail(statement, "import numpy as np, or no import")
        if isinstance(result, bool) or not isinstance(result, (Node, int, float)):
            raise ArgumentError(
                "Python expression",
                expected="an array as the last value",
                got=type(result).__name__,
            )
        return result

    def value(self, tree: ast.expr) -> Value:
        """Build one expression."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self.fail(tree, "an expression that is nested less deeply")
        result = self._value(tree)
        self._depth -= 1
        if isinstance(result, Node):
            entries = math.prod(
                size if isinstance(size, int) else 1 for size in result.shape
            )
            if entries > _LARGEST:
                self.fail(tree, f"an array of at most {_LARGEST} entries")
            self.shapes[id(tree)] = result.shape
        return result

    def _value(self, tree: ast.expr) -> Value:
        if isinstance(tree, ast.Constant):
            if (
                tree.value is None
                or tree.value is Ellipsis
                or isinstance(tree.value, (bool, int, float, str))
            ):
                return tree.value
            self.fail(tree, "a number")
        if isinstance(tree, ast.Name):
            return self._name(tree)
        if isinstance(tree, ast.BinOp):
            return self._binary(tree)
        if isinstance(tree, ast.UnaryOp):
            return self._unary(tree)
        if (
            isinstance(tree, ast.Compare)
            and len(tree.ops) == 1
            and type(tree.ops[0]) in _COMPARE
        ):
            left, right = self.node(tree.left), self.node(tree.comparators[0])
            return _COMPARE[type(tree.ops[0])](left, right)
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.Attribute):
            return self._attribute(tree)
        if isinstance(tree, ast.Subscript):
            return self._subscript(tree)
        if isinstance(tree, (ast.Tuple, ast.List)):
            return tuple(self.value(part) for part in tree.elts)
        return self.fail(tree, "arithmetic, @, .T, indexing or a NumPy function")

    def node(self, tree: ast.expr) -> Node:
        """Build an expression that is an array or a number."""
        return self._as_node(self.value(tree), tree)

    def _as_node(self, value: Value, tree: ast.expr) -> Node:
        if isinstance(value, Node):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(tree, "an array or a number")
        return build.constant(float(value), dtypes.FLOAT64)

    def _name(self, tree: ast.Name) -> Value:
        if tree.id in self._local:
            return self._local[tree.id]
        node = self._known.get(canonical(tree.id))
        if node is None and tree.id in {"float", "int", "bool"}:
            return tree.id  # of .astype(float)
        if node is None:
            self.fail(tree, f"a known name ({', '.join(sorted(self._known))})")
        return node

    def _binary(self, tree: ast.BinOp) -> Value:
        left, right = self.value(tree.left), self.value(tree.right)
        kind = type(tree.op)
        if isinstance(left, tuple) or isinstance(right, tuple):
            self.fail(tree, "arithmetic of arrays and numbers")
        if not isinstance(left, Node) and not isinstance(right, Node):
            return self._arithmetic(tree, left, right)
        a, b = self._as_node(left, tree.left), self._as_node(right, tree.right)
        if isinstance(tree.op, ast.MatMult):
            return build.matmul(_numeric(a), _numeric(b))
        if (
            isinstance(tree.op, (ast.BitAnd, ast.BitOr))
            and a.dtype is b.dtype is dtypes.BOOL
        ):
            return (
                build.logical_and(a, b)
                if isinstance(tree.op, ast.BitAnd)
                else build.logical_or(a, b)
            )
        if kind not in _BINARY:
            self.fail(tree, "+, −, *, /, ** or @")
        if a.dtype is b.dtype is dtypes.BOOL and kind in _OF_TRUTH:
            return _OF_TRUTH[kind](a, b)
        if a.dtype is b.dtype is dtypes.BOOL and kind is ast.Sub:
            self.fail(tree, _NO_MINUS)
        return _BINARY[kind](_numeric(a), _numeric(b))

    def _arithmetic(self, tree: ast.BinOp, left: Value, right: Value) -> float:
        kind = type(tree.op)
        if (
            kind not in _NUMBERS
            or not isinstance(left, (int, float))
            or not isinstance(right, (int, float))
        ):
            self.fail(tree, "arithmetic of numbers")
        try:
            result = _NUMBERS[kind](left, right)
        except (ArithmeticError, ValueError):
            self.fail(tree, "a finite number")
        if abs(result) > 1e100:
            self.fail(tree, "a number of usual size")
        return result

    def _unary(self, tree: ast.UnaryOp) -> Value:
        negative = 1
        inner: ast.expr = tree
        while isinstance(inner, ast.UnaryOp) and isinstance(
            inner.op, (ast.USub, ast.UAdd)
        ):
            negative = -negative if isinstance(inner.op, ast.USub) else negative
            inner = inner.operand
        if isinstance(inner, ast.UnaryOp):
            if isinstance(inner.op, ast.Invert):
                return build.logical_not(self.node(inner.operand))
            self.fail(inner, "an array")
        value = self.value(inner)
        if isinstance(value, Node) and value.dtype is dtypes.BOOL:
            self.fail(inner, _NO_MINUS)
        if isinstance(value, Node):
            return build.negate(value) if negative < 0 else value
        if not isinstance(value, (int, float)):
            self.fail(inner, "an array or a number")
        return negative * value

    # ---------------------------------------------------------------- attributes, indices and calls

    def _attribute(self, tree: ast.Attribute) -> Value:
        if isinstance(tree.value, ast.Name) and tree.value.id in _MODULES:
            if tree.attr not in CONSTANTS:
                self.fail(tree, "a NumPy function with its arguments")
            return CONSTANTS[tree.attr]
        held = self.value(tree.value)
        if isinstance(held, (int, float)):
            self.fail(tree, "an array: a plain number has no attributes")
        base = self._as_node(held, tree.value)
        if tree.attr == "T":
            return build.permute(base, tuple(reversed(range(base.rank))))
        if tree.attr == "shape":
            return tuple(
                size
                if isinstance(size, int)
                else build.size(base.shape, (axis,), dtypes.FLOAT64)
                for axis, size in enumerate(base.shape)
            )
        if tree.attr == "size":
            return build.size(base.shape, tuple(range(base.rank)), dtypes.FLOAT64)
        if tree.attr == "ndim":
            return base.rank
        return self.fail(tree, "T, shape, size, ndim or a method with its arguments")

    def _subscript(self, tree: ast.Subscript) -> Value:
        base = self.value(tree.value)
        if isinstance(base, tuple):
            place = self.value(tree.slice)
            if (
                isinstance(place, bool)
                or not isinstance(place, int)
                or not -len(base) <= place < len(base)
            ):
                self.fail(tree, f"a whole number from 0 to {len(base) - 1} as index")
            return base[place]
        if isinstance(base, (int, float)):
            self.fail(tree, "an array: a plain number has no entries")
        parts = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        key = tuple(self._index(part) for part in parts)
        try:
            return index(self._as_node(base, tree.value), key)
        except DeltaruleError:
            raise
        except (ValueError, TypeError, IndexError) as error:
            raise ArgumentError(
                "Python index", expected="a valid index", got=self._source(tree)
            ) from error

    def _index(self, tree: ast.expr) -> object:
        """Return an index: a whole number, a range of whole numbers, None, Ellipsis, or an array of whole numbers."""
        if isinstance(tree, ast.Slice):
            bounds = [
                None if part is None else self._whole(part)
                for part in (tree.lower, tree.upper, tree.step)
            ]
            if bounds[2] == 0:
                self.fail(tree, "a step that is not 0")
            return slice(*bounds)
        if isinstance(tree, ast.Attribute) and tree.attr == "newaxis":
            return None
        value = self.value(tree)
        if value is None or value is Ellipsis:
            return value
        if isinstance(value, Node) and value.dtype.is_integer:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self.fail(tree, "a whole number, a range or None as index")

    def _whole(self, tree: ast.expr) -> int | None:
        value = self.value(tree)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        return self.fail(tree, "a whole number as the bound of a range")

    def _call(self, tree: ast.Call) -> Value:
        name, owner = self._callee(tree)
        table = FUNCTIONS if owner is None else METHODS
        if name not in table:
            self.fail(tree, f"one of {', '.join(sorted(table))}")
        arguments: list[Value] = [] if owner is None else [self.node(owner)]
        if any(isinstance(argument, ast.Starred) for argument in tree.args):
            self.fail(tree, "arguments one by one")
        arguments += [self.value(argument) for argument in tree.args]
        keywords: dict[str, Value] = {}
        for keyword in tree.keywords:
            if keyword.arg is None:
                self.fail(tree, "arguments one by one")
            keywords[keyword.arg] = self._setting(keyword.value)
        try:
            return table[name](*arguments, **keywords)
        except DeltaruleError:
            raise
        except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
            raise ArgumentError(
                f"Python expression, {name}",
                expected="its NumPy arguments",
                got=self._source(tree),
            ) from error

    def _setting(self, tree: ast.expr) -> Value:
        """Return the value of a keyword: a number, True, False, None, a string or a tuple of whole numbers."""
        value = self.value(tree)
        if isinstance(value, Node):
            self.fail(tree, "a literal as the value of a keyword")
        return value

    def _callee(self, tree: ast.Call) -> tuple[str, ast.expr | None]:
        """Return the name of a function and the array that it is a method of."""
        function = tree.func
        if isinstance(function, ast.Name):
            return function.id, None
        if not isinstance(function, ast.Attribute):
            self.fail(tree, "a function by its name")
        owner = function.value
        if isinstance(owner, ast.Name) and owner.id in _MODULES:
            return function.attr, None
        if (
            isinstance(owner, ast.Attribute)
            and owner.attr in _SUBMODULES
            and isinstance(owner.value, ast.Name)
            and owner.value.id in _MODULES
        ):
            return function.attr, None
        return function.attr, owner

    def _source(self, tree: ast.AST) -> str:
        """Return the text of a construction, shortened."""
        found = ast.get_source_segment(self._text, tree) or self._text
        return shown_part(found)

    def fail(self, tree: ast.AST, expected: str) -> NoReturn:
        """Raise the error of a construction that is not understood."""
        column, line = getattr(tree, "col_offset", 0), getattr(tree, "lineno", 1)
        source = self._text.splitlines()[line - 1] if self._text else ""
        place = (
            f"line {line}, column {column + 1}"
            if "\n" in self._text
            else f"column {column + 1}"
        )
        raise ArgumentError(
            f"Python expression, {place}",
            expected=expected,
            got=self._source(tree),
            hint=f"{source[:120]}\n  {' ' * min(column, 120)}^",
        )


def _numeric(node: Node) -> Node:
    """Return truth values as numbers."""
    return build.cast(node, dtypes.FLOAT64) if node.dtype is dtypes.BOOL else node
