"""Terms: the expressions of matrix calculus as immutable data.

A term has a shape: () for a number, (rows, columns) for a matrix (a vector is a column (n, 1)), and the sizes of
the array for images and other arrays of more axes. Every term can be turned back into a graph
(``explain/formula/to_graph.py``), so that what is printed can be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from deltarule.graph.node import Node
from deltarule.shapes import Shape

Coefficient = Fraction | float


@dataclass(frozen=True)
class Symbol:
    """A named quantity: an input, a signal of the network, or a derivative that a line has named."""

    name: str  # plain spelling: "W_1", "y_hat", "delta_2"
    shape: Shape
    node: Node  # the node that it stands for
    symmetric: bool = field(default=False, compare=False)  # equals its transpose


@dataclass(frozen=True)
class Product:
    """coefficient · ∏ factorᵉ, element by element; numbers among the factors scale the rest.

    Without factors it is a number, or an array filled with one number.
    """

    coefficient: Coefficient
    factors: tuple[tuple[Term, Fraction], ...]
    shape: Shape


@dataclass(frozen=True)
class Sum:
    """Σ of terms of one shape."""

    terms: tuple[Term, ...]
    shape: Shape


@dataclass(frozen=True)
class Matmul:
    """A chain of matrix products."""

    factors: tuple[Term, ...]
    shape: Shape


@dataclass(frozen=True)
class Transpose:
    """The transpose of a term that has no simpler one."""

    body: Term
    shape: Shape


@dataclass(frozen=True)
class Diagonal:
    """The square matrix with a vector on its diagonal."""

    body: Term
    shape: Shape


@dataclass(frozen=True)
class Total:
    """Σ over all entries."""

    body: Term
    shape: Shape


@dataclass(frozen=True)
class Indicator:
    """1 where a relation holds, 0 elsewhere."""

    relation: str  # one of < ≤ > ≥ = ≠
    left: Term
    right: Term
    shape: Shape


@dataclass(frozen=True)
class Apply:
    """A function of terms: ``body`` is its graph in terms of ``parameters``."""

    name: str
    arguments: tuple[Term, ...]
    shape: Shape
    body: Node
    parameters: tuple[Node, ...]


Term = (
    Symbol | Product | Sum | Matmul | Transpose | Diagonal | Total | Indicator | Apply
)
COMPLEMENT = {"<": "≥", "≥": "<", ">": "≤", "≤": ">", "=": "≠", "≠": "="}
MIRROR = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "=": "=", "≠": "≠"}


def matrix_shape(shape: Shape) -> Shape:
    """Return the shape of an array as mathematics sees it: a vector is a column.

    >>> matrix_shape((3,)), matrix_shape(()), matrix_shape((2, 3))
    ((3, 1), (), (2, 3))
    """
    return (shape[0], 1) if len(shape) == 1 else shape


def is_number(shape: Shape) -> bool:
    """Whether a shape holds a single entry."""
    return all(size == 1 for size in shape)


def children(term: Term) -> tuple[Term, ...]:
    """Return the parts of a term."""
    if isinstance(term, Product):
        return tuple(factor for factor, _ in term.factors)
    if isinstance(term, Sum):
        return term.terms
    if isinstance(term, Matmul):
        return term.factors
    if isinstance(term, (Transpose, Diagonal, Total)):
        return (term.body,)
    if isinstance(term, Indicator):
        return (term.left, term.right)
    return term.arguments if isinstance(term, Apply) else ()


def renamed(term: Term, names: Mapping[Symbol, Symbol]) -> Term:
    """Return a term with symbols put in the place of others of the same shape."""
    return mapped(
        term,
        lambda part: names.get(part, part) if isinstance(part, Symbol) else part,
    )


def mapped(term: Term, change: Callable[[Term], Term]) -> Term:
    """Return a term with every part, innermost first, replaced by what ``change`` makes of it."""

    def inner(part: Term) -> Term:
        return mapped(part, change)

    if isinstance(term, Product):
        factors = tuple((inner(factor), e) for factor, e in term.factors)
        return change(replace(term, factors=factors))
    if isinstance(term, Sum):
        return change(replace(term, terms=tuple(map(inner, term.terms))))
    if isinstance(term, Matmul):
        return change(replace(term, factors=tuple(map(inner, term.factors))))
    if isinstance(term, (Transpose, Diagonal, Total)):
        return change(replace(term, body=inner(term.body)))
    if isinstance(term, Indicator):
        return change(replace(term, left=inner(term.left), right=inner(term.right)))
    if isinstance(term, Apply):
        return change(replace(term, arguments=tuple(map(inner, term.arguments))))
    return change(term)


def symbols(term: Term) -> list[Symbol]:
    """Return the symbols of a term, each once, in order of appearance."""
    found: dict[Symbol, None] = {}
    stack = [term]
    while stack:
        part = stack.pop()
        if isinstance(part, Symbol):
            found.setdefault(part)
        stack.extend(reversed(children(part)))
    return list(found)


def cost(term: Term) -> int:
    """Return how long a term is to read."""
    if isinstance(term, Symbol):
        return 2
    if isinstance(term, Product):
        own = 0 if abs(term.coefficient) == 1 and term.factors else 1
        return own + sum(_powered(f, e) for f, e in term.factors)
    if isinstance(term, Sum):
        return sum(cost(t) for t in term.terms) + len(term.terms) - 1
    if isinstance(term, Indicator):
        return 2 + cost(term.left) + cost(term.right)
    return 1 + sum(cost(part) for part in children(term))


def _powered(factor: Term, exponent: Fraction) -> int:
    """Return the length of a power: as many times its base, a fraction and parentheses count."""
    times = max(1, abs(int(exponent))) if exponent.denominator == 1 else 1
    return cost(factor) * times + (exponent < 0) + isinstance(factor, Sum)
