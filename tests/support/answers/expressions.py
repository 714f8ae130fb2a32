"""Formulas of matrix calculus as trees: written as mathematics, evaluated with NumPy, changed in one place.

Values are numbers or matrices; a vector is a column. ``@`` is the matrix product, ``*`` the product by entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

Values = Mapping[str, np.ndarray]
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "σ": lambda z: 1 / (1 + np.exp(-z)),
    "ReLU": lambda z: np.maximum(z, 0),
    "exp": np.exp,
    "cos": np.cos,
    "log": np.log,
    "sqrt": np.sqrt,
}
RELATIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    ">": np.greater,
    "<": np.less,
    "≥": np.greater_equal,
    "≤": np.less_equal,
}


@dataclass(frozen=True)
class Tree:
    """A formula: ``kind`` with ``parts``, and what the kind needs to know."""

    kind: str
    parts: tuple[Tree, ...] = ()
    data: str | float = ""

    def __add__(self, other: Tree | float) -> Tree:
        return Tree("add", (self, tree(other)))

    def __radd__(self, other: float) -> Tree:
        return Tree("add", (tree(other), self))

    def __sub__(self, other: Tree | float) -> Tree:
        return Tree("subtract", (self, tree(other)))

    def __rsub__(self, other: float) -> Tree:
        return Tree("subtract", (tree(other), self))

    def __mul__(self, other: Tree | float) -> Tree:
        return Tree("entrywise", (self, tree(other)))

    def __rmul__(self, other: float) -> Tree:
        return Tree("product", (tree(other), self))

    def __matmul__(self, other: Tree) -> Tree:
        return Tree("product", (self, other))

    def __truediv__(self, other: Tree | float) -> Tree:
        return Tree("divide", (self, tree(other)))

    def __pow__(self, exponent: float) -> Tree:
        return Tree("power", (self,), exponent)

    def __neg__(self) -> Tree:
        return Tree("negate", (self,))

    def __gt__(self, threshold: float) -> Tree:
        return Tree(">", (self,), threshold)

    def __le__(self, threshold: float) -> Tree:
        return Tree("≤", (self,), threshold)

    @property
    def T(self) -> Tree:
        return Tree("transpose", (self,))

    # ---------------------------------------------------------------- places

    def places(
        self, path: tuple[int, ...] = ()
    ) -> Iterator[tuple[tuple[int, ...], Tree]]:
        """Yield every part with its path."""
        yield path, self
        for i, part in enumerate(self.parts):
            yield from part.places((*path, i))

    def put(self, path: tuple[int, ...], other: Tree) -> Tree:
        """Return the tree with another part at a path."""
        if not path:
            return other
        first, *rest = path
        parts = list(self.parts)
        parts[first] = parts[first].put(tuple(rest), other)
        return replace(self, parts=tuple(parts))

    # ---------------------------------------------------------------- mathematics

    def __str__(self) -> str:
        return _WRITERS.get(self.kind, _written)(self)

    def atom(self) -> str:
        """Return the text in parentheses, unless it is a name, a number or a function."""
        bare = self.kind in {"symbol", "transpose", "function"} or (
            self.kind == "number" and float(self.data) >= 0
        )
        return str(self) if bare else f"({self})"

    # ---------------------------------------------------------------- values

    def value(self, given: Values) -> np.ndarray:
        """Return the value, a number or a matrix.

        Raises:
            ValueError: the sizes do not fit.
        """
        if self.kind == "symbol":
            return given[str(self.data)]
        if self.kind == "number":
            return np.asarray(float(self.data))
        values = [part.value(given) for part in self.parts]
        if self.kind in RELATIONS:
            return RELATIONS[self.kind](values[0], float(self.data)).astype(float)
        if self.kind == "function":
            return FUNCTIONS[str(self.data)](values[0])
        return _EVALUATE[self.kind](self, *values)


def tree(value: Tree | float) -> Tree:
    """Return a number as a tree."""
    return value if isinstance(value, Tree) else Tree("number", (), value)


def symbols(names: str) -> list[Tree]:
    """Return symbols by their names."""
    return [Tree("symbol", (), name) for name in names.split()]


def apply(name: str, argument: Tree) -> Tree:
    """Return a function of a tree."""
    return Tree("function", (argument,), name)


def _written(self: Tree) -> str:
    sign = {"add": " + ", "subtract": " − ", "entrywise": " ⊙ ", "product": " "}
    return sign[self.kind].join(part.atom() for part in self.parts)


def _transposed(self: Tree) -> str:
    inner = self.parts[0]
    bare = inner.kind in {"symbol", "function"}
    return f"{inner if bare else f'({inner})'}ᵀ"


_WRITERS: dict[str, Callable[[Tree], str]] = {
    "symbol": lambda t: str(t.data),
    "number": lambda t: f"{float(t.data):.15g}".replace("-", "−"),
    "transpose": _transposed,
    "negate": lambda t: f"−{t.parts[0].atom()}",
    "divide": lambda t: f"{t.parts[0].atom()}/{t.parts[1].atom()}",
    "power": lambda t: f"({t.parts[0]})^({float(t.data):.15g})",
    "function": lambda t: f"{t.data}({t.parts[0]})",
    **{
        relation: lambda t: f"𝟙({t.parts[0].atom()} {t.kind} {float(t.data):.15g})"
        for relation in RELATIONS
    },
}


def _is_number(x: np.ndarray) -> bool:
    return x.size == 1


def _product(_: Tree, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return a @ b
    if _is_number(a) or _is_number(b):
        return _broadcast(a) * _broadcast(b)
    raise ValueError("product")


def _broadcast(x: np.ndarray) -> np.ndarray:
    return x.reshape(()) if _is_number(x) else x


def _by_entry(
    operation: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[Tree, np.ndarray, np.ndarray], np.ndarray]:
    def evaluate(_: Tree, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if not (_is_number(a) or _is_number(b)) and a.shape != b.shape:
            raise ValueError("sizes")
        shape = b.shape if _is_number(a) else a.shape
        return operation(_broadcast(a), _broadcast(b)).reshape(shape)

    return evaluate


_EVALUATE: dict[str, Callable[..., np.ndarray]] = {
    "add": _by_entry(np.add),
    "subtract": _by_entry(np.subtract),
    "entrywise": _by_entry(np.multiply),
    "divide": _by_entry(np.divide),
    "product": _product,
    "negate": lambda _, a: -a,
    "transpose": lambda _, a: a.T if a.ndim == 2 else a,
    "power": lambda t, a: a ** float(t.data),
}
