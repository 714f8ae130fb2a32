"""The syntax tree of a formula: what the parser returns and the evaluation takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from deltarule.explain.formula.term import Symbol


@dataclass(frozen=True)
class Literal:
    """A number."""

    value: Fraction | float
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Named:
    """A symbol of the vocabulary."""

    symbol: Symbol
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Constant:
    """𝟙 (a vector of ones), I (the identity matrix), e (Euler's number)."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Letter:
    """An index as a value, in 𝟙(i = j) and δᵢⱼ."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Span:
    """The range start:stop of an index, counted from 1, the last included; without bounds the whole axis."""

    start: int | None = None
    stop: int | None = None
    step: int = 1


Index = str | int | Span | Symbol


@dataclass(frozen=True)
class Entry:
    """An array with indices: x_i, W_{ij}, x[:, 1:2], x^{(i)}; ``example``: the index counts the examples of a batch."""

    body: Expression
    indices: tuple[Index, ...]
    example: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Negative:
    """−x."""

    body: Expression


@dataclass(frozen=True)
class Addition:
    """A sum of terms with their signs."""

    terms: tuple[tuple[int, Expression], ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Multiplication:
    """A product; the operators stand between the factors: "" (juxtaposition), · × * ⊙ ⊗ ⋆."""

    factors: tuple[Expression, ...]
    operators: tuple[str, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Quotient:
    """A fraction."""

    over: Expression
    under: Expression
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Power:
    """A power; ``by_entry``: written as an entry-wise one, A^{∘2}."""

    base: Expression
    exponent: Expression
    by_entry: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Transposed:
    """xᵀ."""

    body: Expression
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Called:
    """A function of arguments; ``primes`` counts derivatives, ``power`` is that of tanh²(z)."""

    function: str
    arguments: tuple[Expression, ...]
    primes: int = 0
    power: Expression | None = None
    lower: tuple[str, ...] = ()
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Norm:
    """‖x‖ (kind "2" or "F"), ‖x‖₁ (kind "1"), |x| (kind "abs")."""

    body: Expression
    kind: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Summed:
    """Σ over indices, or over all entries."""

    indices: tuple[str, ...]
    body: Expression
    lower: Expression | None = None
    upper: Expression | None = None
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Related:
    """A comparison, whose value is 1 where it holds and 0 elsewhere; ``shown`` with the sign 𝟙."""

    relation: str
    left: Expression
    right: Expression
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Choice:
    """Cases: the first value whose condition holds; without a condition: otherwise."""

    rows: tuple[tuple[Expression, Expression | None], ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Blocks:
    """A matrix of blocks."""

    rows: tuple[tuple[Expression, ...], ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Differential:
    """∂over/∂under of two signals of the network."""

    over: Symbol
    under: Symbol
    at: int = field(default=0, compare=False)


Expression = (
    Literal
    | Named
    | Constant
    | Letter
    | Entry
    | Negative
    | Addition
    | Multiplication
    | Quotient
    | Power
    | Transposed
    | Called
    | Norm
    | Summed
    | Related
    | Choice
    | Blocks
    | Differential
)


def children(tree: Expression) -> tuple[Expression, ...]:
    """Return the parts of a tree."""
    if isinstance(tree, Addition):
        return tuple(term for _, term in tree.terms)
    if isinstance(tree, Multiplication):
        return tree.factors
    if isinstance(tree, Quotient):
        return (tree.over, tree.under)
    if isinstance(tree, Power):
        return (tree.base, tree.exponent)
    if isinstance(tree, Called):
        return (*tree.arguments, *((tree.power,) if tree.power is not None else ()))
    if isinstance(tree, Related):
        return (tree.left, tree.right)
    if isinstance(tree, Choice):
        return tuple(part for row in tree.rows for part in row if part is not None)
    if isinstance(tree, Blocks):
        return tuple(block for row in tree.rows for block in row)
    if isinstance(tree, Summed):
        return tuple(
            part for part in (tree.lower, tree.upper, tree.body) if part is not None
        )
    return (tree.body,) if isinstance(tree, (Entry, Negative, Transposed, Norm)) else ()


def parts(tree: Expression) -> Iterator[Expression]:
    """Yield a tree and every part of it."""
    stack = [tree]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(children(part))


def index_letters(tree: Expression) -> set[str]:
    """Return the letters that are indices of arrays in a tree."""
    found: set[str] = set()
    for part in parts(tree):
        if isinstance(part, Entry):
            found |= {index for index in part.indices if isinstance(index, str)}
    for part in parts(tree):
        if isinstance(part, Related):  # δ_{ki} and 𝟙(i = k) of an index k
            sides = {s.name for s in (part.left, part.right) if isinstance(s, Letter)}
            found |= sides if sides & found else set()
    return found


def regrouped(tree: Multiplication) -> Multiplication | None:
    """Return (a ⊙ b)c for a ⊙ bc, the other reading where the sizes do not allow the first."""
    last = tree.factors[-1]
    if set(tree.operators) != {"⊙"} or not isinstance(last, Multiplication):
        return None
    first = Multiplication(
        (*tree.factors[:-1], last.factors[0]), tree.operators, tree.at
    )
    return Multiplication((first, *last.factors[1:]), last.operators, tree.at)
