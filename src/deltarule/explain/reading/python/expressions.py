"""Expressions of an answer in Python, as graphs: arithmetic, indices, calls, comprehensions."""

from __future__ import annotations

import ast
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from deltarule import dtypes
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.explain.formula.names import canonical
from deltarule.explain.reading.python.arrays import Value, as_array
from deltarule.explain.reading.python.functions import (
    BUILTINS,
    CONSTANTS,
    FUNCTIONS,
    KEYWORDS,
    METHODS,
    PLAIN,
    slope,
)
from deltarule.explain.reading.python.operators import (
    BINARY,
    COMPARE,
    COMPARE_NUMBERS,
    NO_MINUS,
    NUMBERS,
    OF_TRUTH,
    numeric,
    sizes,
    truth,
)
from deltarule.explain.reading.tokens import shown_part
from deltarule.graph import build
from deltarule.graph.indexing import index
from deltarule.graph.node import Node

MODULES = {
    *("np", "numpy", "jnp", "jax", "torch", "tf", "scipy", "sp", "math", "cp"),
    *("dr", "nn", "F", "special", "linalg", "functional", "LA", "K"),
}
_DEEPEST = 60
_MOST_STEPS = 6000  # parts of expressions, each as often as it is gone through
_LARGEST = 1_000_000  # entries of an array


@dataclass(frozen=True)
class Function:
    """A function that the answer defines: its parameters, and an expression or statements."""

    name: str
    names: tuple[str, ...]
    body: ast.expr | Sequence[ast.stmt]


class Expressions(ABC):
    """Build the graphs of expressions."""

    def __init__(
        self,
        text: str,
        known: Mapping[str, Value],
        derivatives: Mapping[str, Node],
        shown: Sequence[str],
    ) -> None:
        self._text = text
        self._known = known
        self._derivatives = derivatives
        self._shown = shown
        self.local: dict[str, Value] = {}
        self._depth = 0
        self._steps = 0
        self.shapes: dict[int, tuple[object, ...]] = {}  # of expressions, by identity

    @abstractmethod
    def called(
        self, function: Function, arguments: Sequence[Value], tree: ast.AST
    ) -> Value:
        """Return the value of a function that the answer defines."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value) -> None:
        """Give a name a value."""

    def count(self, tree: ast.AST) -> None:
        """Count a step, and refuse what takes too many."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            self.fail(tree, f"at most {_MOST_STEPS} steps")

    def value(self, tree: ast.expr) -> Value:
        """Build one expression."""
        self.count(tree)
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
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.Attribute):
            return self._attribute(tree)
        if isinstance(tree, ast.Subscript):
            return self._subscript(tree)
        if isinstance(tree, (ast.Tuple, ast.List)):
            return tuple(self.value(part) for part in tree.elts)
        return self._other(tree)

    def _other(self, tree: ast.expr) -> Value:
        if isinstance(tree, ast.Compare):
            return self._comparison(tree)
        if isinstance(tree, ast.BoolOp):
            join = (
                build.logical_and if isinstance(tree.op, ast.And) else build.logical_or
            )
            result = self._truth(tree.values[0])
            for part in tree.values[1:]:
                result = join(result, self._truth(part))
            return result
        if isinstance(tree, ast.IfExp):
            return self._choice(tree)
        if isinstance(tree, ast.Lambda):
            names = [argument.arg for argument in tree.args.args]
            return Function("lambda", tuple(names), tree.body)
        if isinstance(tree, (ast.ListComp, ast.GeneratorExp)):
            return self._comprehension(tree)
        return self.fail(tree, "arithmetic, @, .T, indexing or a NumPy function")

    def node(self, tree: ast.expr) -> Node:
        """Build an expression that is an array or a number."""
        return self._as_node(self.value(tree), tree)

    def _as_node(self, value: Value, tree: ast.expr) -> Node:
        if isinstance(value, Node):
            return value
        if isinstance(value, tuple) and value:
            try:
                return as_array(value)
            except (TypeError, ValueError):
                self.fail(tree, "rows of numbers")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(tree, "an array or a number")
        return build.constant(float(value), dtypes.FLOAT64)

    def _name(self, tree: ast.Name) -> Value:
        if tree.id in self.local:
            return self.local[tree.id]
        name = canonical(tree.id)
        if name in self._known:
            return self._known[name]
        if tree.id in {"float", "int", "bool"}:
            return tree.id  # of .astype(float)
        if tree.id in {"e", "pi", "inf"}:
            return CONSTANTS[tree.id]
        if tree.id[0] == "d" and (own := canonical(tree.id[1:])) in self._derivatives:
            return self._derivatives[own]
        return self.fail(tree, f"a known name ({', '.join(self._shown)})")

    # ---------------------------------------------------------------- lists and conditions

    def items(self, value: Value, tree: ast.expr) -> list[Value]:
        """Return the items of a list, or the rows of an array."""
        if isinstance(value, (tuple, range)):
            return list(value)
        if isinstance(value, Node) and value.rank and isinstance(value.shape[0], int):
            return [index(value, (i,)) for i in range(min(value.shape[0], _MOST_STEPS))]
        return self.fail(tree, "a range, a list, or an array of known size")

    def _comprehension(self, tree: ast.ListComp | ast.GeneratorExp) -> Value:
        outer = dict(self.local)
        found = tuple(self._generated(tree.elt, tree.generators))
        self.local = outer
        return found

    def _generated(
        self, element: ast.expr, generators: Sequence[ast.comprehension]
    ) -> list[Value]:
        if not generators:
            return [self.value(element)]
        first, *rest = generators
        found: list[Value] = []
        for item in self.items(self.value(first.iter), first.iter):
            self.assign(first.target, item)
            kept = [self.value(condition) for condition in first.ifs]
            if any(isinstance(condition, Node) for condition in kept):
                self.fail(first.ifs[0], "a condition on whole numbers")
            if all(kept):
                found += self._generated(element, rest)
        return found

    def _comparison(self, tree: ast.Compare) -> Value:
        result: Value = None
        left = self.value(tree.left)
        for operator, part in zip(tree.ops, tree.comparators, strict=True):
            right = self.value(part)
            if type(operator) not in COMPARE:
                self.fail(tree, "<, <=, >, >=, == or !=")
            if isinstance(left, (int, float)) and isinstance(right, (int, float)):
                found: Value = COMPARE_NUMBERS[type(operator)](left, right)
            else:
                a, b = self._as_node(left, tree.left), self._as_node(right, part)
                found = COMPARE[type(operator)](a, b)
            if result is None:
                result = found
            elif isinstance(result, Node) or isinstance(found, Node):
                result = build.logical_and(truth(result), truth(found))
            else:
                result = result and found
            left = right
        return result

    def _truth(self, tree: ast.expr) -> Node:
        return truth(self.value(tree))

    def _choice(self, tree: ast.IfExp) -> Value:
        condition = self.value(tree.test)
        if not isinstance(condition, Node):
            return self.value(tree.body if condition else tree.orelse)
        if condition.shape:
            self.fail(tree.test, "one truth value")
        one, other = self.node(tree.body), self.node(tree.orelse)
        return build.where(truth(condition), numeric(one), numeric(other))

    # ---------------------------------------------------------------- arithmetic

    def _binary(self, tree: ast.BinOp) -> Value:
        left, right = self.value(tree.left), self.value(tree.right)
        kind = type(tree.op)
        if isinstance(left, tuple) and isinstance(right, tuple):
            self.fail(tree, "arithmetic of arrays and numbers")
        if isinstance(left, tuple) or isinstance(right, tuple):
            left, right = (
                self._as_node(left, tree.left),
                self._as_node(right, tree.right),
            )
        if not isinstance(left, Node) and not isinstance(right, Node):
            return self._arithmetic(tree, left, right)
        a, b = self._as_node(left, tree.left), self._as_node(right, tree.right)
        if isinstance(tree.op, ast.MatMult):
            return build.matmul(numeric(a), numeric(b))
        if (
            isinstance(tree.op, (ast.BitAnd, ast.BitOr))
            and a.dtype is b.dtype is dtypes.BOOL
        ):
            return (
                build.logical_and(a, b)
                if isinstance(tree.op, ast.BitAnd)
                else build.logical_or(a, b)
            )
        if kind not in BINARY:
            self.fail(tree, "+, −, *, /, ** or @")
        if a.dtype is b.dtype is dtypes.BOOL and kind in OF_TRUTH:
            return OF_TRUTH[kind](a, b)
        if a.dtype is b.dtype is dtypes.BOOL and kind is ast.Sub:
            self.fail(tree, NO_MINUS)
        return BINARY[kind](numeric(a), numeric(b))

    def _arithmetic(self, tree: ast.BinOp, left: Value, right: Value) -> float:
        kind = type(tree.op)
        if (
            kind not in NUMBERS
            or not isinstance(left, (int, float))
            or not isinstance(right, (int, float))
        ):
            self.fail(tree, "arithmetic of numbers")
        try:
            result = NUMBERS[kind](left, right)
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
            self.fail(inner, NO_MINUS)
        if isinstance(value, Node):
            return build.negate(value) if negative < 0 else value
        if not isinstance(value, (int, float)):
            self.fail(inner, "an array or a number")
        return negative * value

    # ---------------------------------------------------------------- attributes, indices and calls

    def _attribute(self, tree: ast.Attribute) -> Value:
        path = self._path(tree)
        if path:
            if path[-1] not in CONSTANTS:
                self.fail(tree, "a NumPy function with its arguments")
            return CONSTANTS[path[-1]]
        held = self.value(tree.value)
        if isinstance(held, (int, float)):
            self.fail(tree, "an array: a plain number has no attributes")
        base = self._as_node(held, tree.value)
        if tree.attr in {"T", "mT"}:
            return build.permute(base, tuple(reversed(range(base.rank))))
        if tree.attr == "shape":
            return sizes(base)
        if tree.attr == "size":
            return math.prod(sizes(base)) if base.shape else 1
        if tree.attr == "ndim":
            return base.rank
        return self.fail(tree, "T, shape, size, ndim or a method with its arguments")

    def _path(self, tree: ast.expr) -> list[str]:
        """Return the names after a module, as in np.linalg.inv, and [] where there is no module."""
        names: list[str] = []
        while isinstance(tree, ast.Attribute):
            names.append(tree.attr)
            tree = tree.value
        if not isinstance(tree, ast.Name) or tree.id not in MODULES:
            return []
        known = tree.id in self.local or canonical(tree.id) in self._known
        return [] if known else names[::-1]

    def _subscript(self, tree: ast.Subscript) -> Value:
        base = self.value(tree.value)
        if isinstance(base, (tuple, range)):
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
        key = self.key(tree.slice)
        try:
            return index(self._as_node(base, tree.value), key)
        except DeltaruleError:
            raise
        except (ValueError, TypeError, IndexError) as error:
            raise ArgumentError(
                "Python index", expected="a valid index", got=self.source(tree)
            ) from error

    def key(self, tree: ast.expr) -> tuple[object, ...]:
        """Return the key of an index, one item for each axis."""
        parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
        return tuple(self._index(part) for part in parts)

    def _index(self, tree: ast.expr) -> object:
        """Return an index: a whole number, a range, None, Ellipsis, or an array of whole numbers or truth values."""
        if isinstance(tree, ast.Slice):
            bounds = [
                None if part is None else self._whole(part)
                for part in (tree.lower, tree.upper, tree.step)
            ]
            if bounds[2] == 0:
                self.fail(tree, "a step that is not 0")
            return slice(*bounds)
        value = self.value(tree)
        if value is None or value is Ellipsis:
            return value
        if isinstance(value, Node) and not value.dtype.is_float:
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
        function, arguments = self._callee(tree)
        if any(isinstance(argument, ast.Starred) for argument in tree.args):
            self.fail(tree, "arguments one by one")
        arguments += [self.value(argument) for argument in tree.args]
        keywords: dict[str, Value] = {}
        for keyword in tree.keywords:
            if keyword.arg is None:
                self.fail(tree, "arguments one by one")
            name = KEYWORDS.get(keyword.arg, keyword.arg)
            if name:
                keywords[name] = self._setting(keyword.value)
        if isinstance(function, Function):
            return self.called(function, arguments, tree)
        try:
            return function(*arguments, **keywords)
        except DeltaruleError:
            raise
        except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
            raise ArgumentError(
                f"Python expression, {ast.unparse(tree.func)[:40]}",
                expected="its NumPy arguments",
                got=self.source(tree),
            ) from error

    def _setting(self, tree: ast.expr) -> Value:
        """Return the value of a keyword: a number, True, False, None, a string or a tuple of whole numbers."""
        value = self.value(tree)
        if isinstance(value, Node):
            self.fail(tree, "a literal as the value of a keyword")
        return value

    def _callee(
        self, tree: ast.Call
    ) -> tuple[Callable[..., Value] | Function, list[Value]]:
        """Return a function, and the array that it is a method of."""
        function = tree.func
        if isinstance(function, ast.Name):
            own = self.local.get(function.id)
            if isinstance(own, Function):
                return own, []
            name = function.id
            table: Mapping[str, Callable[..., Value]] = {**FUNCTIONS, **BUILTINS}
        elif isinstance(function, ast.Attribute):
            path = self._path(function)
            if not path and function.attr in METHODS:
                return METHODS[function.attr], [self._owner(function.value)]
            if not path:
                self.fail(tree, f"one of the methods {', '.join(sorted(METHODS))}")
            name = "outer" if path == ["multiply", "outer"] else path[-1]
            table = FUNCTIONS
        else:
            value = self.value(function)
            if isinstance(value, Function):
                return value, []
            self.fail(tree, "a function by its name")
        plain = PLAIN.get(name, name)
        found = table.get(plain) or slope(name)
        if found is None:
            self.fail(tree, f"one of {', '.join(sorted(FUNCTIONS))}")
        return found, []

    def _owner(self, tree: ast.expr) -> Value:
        return self._as_node(self.value(tree), tree)

    def source(self, tree: ast.AST) -> str:
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
            got=self.source(tree),
            hint=f"{source[:120]}\n  {' ' * min(column, 120)}^",
        )
