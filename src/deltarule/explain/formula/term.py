"""Terms: the expressions of matrix calculus as immutable data.

A term has a shape: () for a number, (rows, columns) for a matrix (a vector is a column (n, 1)), and the sizes of
the array for images and other arrays of more axes. Every term can be turned back into a graph
(``explain/formula/to_graph.py``), so that what is printed can be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import Shape

Coefficient = Fraction | float


@dataclass(frozen=True)
class Symbol:
    """A named quantity: an input, a signal of the network, or a derivative that a line has named.

    >>> W, X = Symbol.of("W", (2, 3)), Symbol.of("X", (2, 3))
    >>> W.shape, W == X
    ((2, 3), False)
    """

    name: str  # plain spelling: "W_1", "y_hat", "delta_2"
    shape: Shape
    node: Node  # the node that it stands for
    symmetric: bool = field(default=False, compare=False)  # equals its transpose
    orthogonal: bool = field(
        default=False, compare=False
    )  # its transpose is its inverse
    idempotent: bool = field(default=False, compare=False)  # of 0 and 1: y² = y

    @classmethod
    def of(cls, name: str, shape: Shape = ()) -> Symbol:
        """Return the symbol of a new float32 input.

        >>> Symbol.of("W", (2, 3)).node
        <W (2, 3) float32>
        """
        return cls(name, shape, build.input_node(name, shape))


@dataclass(frozen=True)
class Product:
    """coefficient · ∏ factorᵉ, element by element; numbers among the factors scale the rest.

    Without factors it is a number, or an array filled with one number.

    >>> x = Symbol.of("x", (3, 1))
    >>> half_square = Product(Fraction(1, 2), ((x, Fraction(2)),), x.shape)
    >>> cost(half_square), children(half_square) == (x,)
    (5, True)
    """

    coefficient: Coefficient
    factors: tuple[tuple[Term, Fraction], ...]
    shape: Shape


@dataclass(frozen=True)
class Sum:
    """Σ of terms of one shape.

    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> [part.name for part in symbols(Sum((x, y), x.shape))]
    ['x', 'y']
    """

    terms: tuple[Term, ...]
    shape: Shape


@dataclass(frozen=True)
class Matmul:
    """A chain of matrix products.

    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> Matmul((A, x), (2, 1)).shape
    (2, 1)
    """

    factors: tuple[Term, ...]
    shape: Shape


@dataclass(frozen=True)
class Transpose:
    """The transpose of a term that has no simpler one.

    >>> A = Symbol.of("A", (2, 3))
    >>> Transpose(A, (3, 2)).body.name
    'A'
    """

    body: Term
    shape: Shape


@dataclass(frozen=True)
class Diagonal:
    """The square matrix with a vector on its diagonal.

    >>> v = Symbol.of("v", (3, 1))
    >>> Diagonal(v, (3, 3)).shape
    (3, 3)
    """

    body: Term
    shape: Shape


@dataclass(frozen=True)
class Total:
    """Σ over all entries.

    >>> X = Symbol.of("X", (2, 3))
    >>> is_number(Total(X, ()).shape)
    True
    """

    body: Term
    shape: Shape


@dataclass(frozen=True)
class Indicator:
    """1 where a relation holds, 0 elsewhere.

    >>> z = Symbol.of("z", (3, 1))
    >>> zero = Product(Fraction(0), (), z.shape)
    >>> COMPLEMENT[Indicator(">", z, zero, z.shape).relation]
    '≤'
    """

    relation: str  # one of < ≤ > ≥ = ≠
    left: Term
    right: Term
    shape: Shape


@dataclass(frozen=True)
class Apply:
    """A function of terms: ``body`` is its graph in terms of ``parameters``.

    >>> z = Symbol.of("z", (3, 1))
    >>> sigmoid = Apply("sigmoid", (z,), z.shape, build.exp(z.node), (z.node,))
    >>> sigmoid.name, children(sigmoid) == (z,)
    ('sigmoid', True)
    """

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
    """Return the shape of an array in matrix calculus: a vector is a column.

    >>> matrix_shape((3,)), matrix_shape(()), matrix_shape((2, 3))
    ((3, 1), (), (2, 3))
    """
    return (shape[0], 1) if len(shape) == 1 else shape


def idempotent(term: Term) -> bool:
    """Whether the entries of a term are 0 and 1, so that its powers are the term itself.

    >>> idempotent(Symbol.of("y", (3, 1)))
    False
    """
    return isinstance(term, Indicator) or (isinstance(term, Symbol) and term.idempotent)


def is_number(shape: Shape) -> bool:
    """Whether a shape holds a single entry.

    >>> is_number(()), is_number((1, 1)), is_number((2, 1))
    (True, True, False)
    """
    return all(size == 1 for size in shape)


def children(term: Term) -> tuple[Term, ...]:
    """Return the parts of a term.

    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> [part.name for part in children(Matmul((A, x), (2, 1)))]
    ['A', 'x']
    """
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
    """Return a term with symbols put in the place of others of the same shape.

    >>> A, B = Symbol.of("A", (3, 3)), Symbol.of("B", (3, 3))
    >>> renamed(Transpose(A, (3, 3)), {A: B}).body.name
    'B'
    """
    return mapped(
        term,
        lambda part: names.get(part, part) if isinstance(part, Symbol) else part,
    )


def mapped(term: Term, change: Callable[[Term], Term]) -> Term:
    """Return a term with every part, innermost first, replaced by what ``change`` makes of it.

    >>> A = Symbol.of("A", (3, 3))
    >>> without_transposes = mapped(
    ...     Sum((A, Transpose(A, (3, 3))), (3, 3)), lambda part: part.body if isinstance(part, Transpose) else part
    ... )
    >>> without_transposes == Sum((A, A), (3, 3))
    True
    """

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
    """Return the symbols of a term, each once, in order of appearance.

    >>> A, x = Symbol.of("A", (3, 3)), Symbol.of("x", (3, 1))
    >>> [symbol.name for symbol in symbols(Matmul((Transpose(x, (1, 3)), A, x), ()))]
    ['x', 'A']
    """
    found: dict[Symbol, None] = {}
    stack = [term]
    while stack:
        part = stack.pop()
        if isinstance(part, Symbol):
            found.setdefault(part)
        stack.extend(reversed(children(part)))
    return list(found)


def cost(term: Term) -> int:
    """Return a measure of the length of a term when it is printed.

    >>> A, x = Symbol.of("A", (3, 3)), Symbol.of("x", (3, 1))
    >>> cost(A), cost(Matmul((A, x), (3, 1))), cost(Sum((x, x), (3, 1)))
    (2, 5, 5)
    """
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
