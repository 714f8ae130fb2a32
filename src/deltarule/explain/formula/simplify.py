"""Simplification of a finished formula: rewritings of the same value, of which the shortest is kept.

Sums are expanded to collect like terms, then factored again: common denominators, common factors at the ends
of matrix products, transposes of sums. The rules are those of (AB)ᵀ = BᵀAᵀ, A(B + C) = AB + AC and scalars that
commute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from deltarule.explain.formula.algebra import (
    add,
    diagonal,
    factors_of,
    lifted,
    matmul,
    multiply,
    number,
    power,
    scale,
    split,
    total,
    transpose,
    unwrapped,
)
from deltarule.explain.formula.term import (
    Apply,
    Diagonal,
    Matmul,
    Product,
    Sum,
    Term,
    Total,
    Transpose,
    children,
    cost,
    is_number,
    mapped,
    symbols,
)

_ONE = Fraction(1)
_MOST_TERMS = 12  # of a sum that is multiplied out
_LONGEST = 100  # longer formulas are left as they are


def simplified(term: Term, longest: int = _LONGEST) -> Term:
    """Return the shortest form of a term that the rewritings find; the term itself if none is shorter.

    A term longer than ``longest`` is returned as it is.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y, s = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1)), Symbol.of("s")
    >>> one_over = power(s, Fraction(-1))
    >>> term_text(simplified(add(multiply(x, one_over), multiply(y, one_over))))
    '(x + y)/s'
    """
    if cost(term) > longest:
        return term
    tidy = mapped(term, _rebuilt)
    apart = mapped(spread(term), _rebuilt)
    fitting = [form for form in (tidy, term, apart) if form.shape == term.shape]
    return mapped(min(fitting, key=cost), _in_order)


def _rebuilt(term: Term) -> Term:
    """Apply the constructors again, now that the parts are simplified, and factor sums."""
    if isinstance(term, Transpose):
        return transpose(term.body)
    if isinstance(term, Matmul):
        return _oriented(matmul(*term.factors))
    if isinstance(term, Sum):
        return lifted(factored(_in_order(add(*term.terms))), term.shape)
    if isinstance(term, Total):
        return _number_if_known(total(term.body))
    if isinstance(term, Diagonal):
        return diagonal(term.body)
    if isinstance(term, Product):
        return _product(term)
    return term


def _product(term: Product) -> Term:
    """Return the product built again."""
    if not term.factors:
        return term
    parts = [power(factor, exponent) for factor, exponent in term.factors]
    return lifted(scale(term.coefficient, multiply(*parts)), term.shape)


def _number_if_known(term: Term) -> Term:
    """Return 1 for Σ softmax(z)."""
    body = term.body if isinstance(term, Total) else term
    column = isinstance(body, Apply) and body.shape[1:] == (1,)
    if isinstance(term, Total) and isinstance(body, Apply) and column:
        return number(_ONE) if body.name == "softmax" else term
    return term


def _oriented(term: Term) -> Term:
    """Return the shorter of a number uᵀAv and its transpose vᵀAᵀu."""
    if not isinstance(term, Matmul) or not is_number(term.shape):
        return term
    other = Matmul(tuple(transpose(f) for f in reversed(term.factors)), term.shape)
    return other if cost(other) < cost(term) else term


# ---------------------------------------------------------------- multiplying out


def spread(term: Term) -> Term:
    """Multiply all products of sums out and collect like terms.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> A, x, y = Symbol.of("A", (3, 3)), Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(spread(matmul(A, add(x, y))))
    'Ax + Ay'
    """
    return mapped(term, _spread)


def _spread(term: Term) -> Term:
    """Multiply a matrix product, a transpose or a multiple of a sum out."""
    if isinstance(term, Transpose) and isinstance(term.body, Sum):
        return add(*(transpose(lifted(p, term.body.shape)) for p in term.body.terms))
    if isinstance(term, Matmul):
        return _spread_chain(term)
    if isinstance(term, Product):
        return _spread_product(term)
    return add(*term.terms) if isinstance(term, Sum) else term


def _summands(term: Term) -> tuple[Term, ...]:
    """Return the terms of a sum, also of one with numbers in front."""
    if isinstance(term, Sum):
        return tuple(lifted(part, term.shape) for part in term.terms)
    if isinstance(term, Product):
        spread = _spread_product(term)
        return spread.terms if isinstance(spread, Sum) else (term,)
    return (term,)


def _spread_chain(term: Matmul) -> Term:
    chains: list[tuple[Term, ...]] = [()]
    for factor in term.factors:
        parts = _summands(factor)
        if len(chains) * len(parts) > _MOST_TERMS:
            return term
        chains = [(*chain, part) for chain in chains for part in parts]
    if len(chains) == 1:
        return _oriented(matmul(*term.factors))
    return add(*(_oriented(matmul(*chain)) for chain in chains))


def _spread_product(term: Product) -> Term:
    """Multiply numbers into a sum of arrays: (A + B)/s = A/s + B/s."""
    sums = [
        (factor, exponent)
        for factor, exponent in term.factors
        if isinstance(factor, Sum) and exponent == 1 and factor.shape == term.shape
    ]
    rest = [pair for pair in term.factors if pair not in sums]
    if len(sums) != 1 or not all(is_number(factor.shape) for factor, _ in rest):
        return term
    inner = sums[0][0]
    if not isinstance(inner, Sum) or len(inner.terms) > _MOST_TERMS:
        return term
    front = Product(term.coefficient, tuple(rest), ())
    return add(*(multiply(front, part) for part in inner.terms))


# ---------------------------------------------------------------- factoring


def _in_order(term: Term) -> Term:
    """Put the terms of a sum that differ in transposes alone in the order A + Aᵀ."""
    if not isinstance(term, Sum) or any(split(part)[0] < 0 for part in term.terms):
        return term
    names = {frozenset(symbols(part)) for part in term.terms}
    if len(names) > 1:
        return term
    return replace(term, terms=tuple(sorted(term.terms, key=_transposes)))


def _transposes(term: Term) -> int:
    return isinstance(term, Transpose) + sum(map(_transposes, children(term)))


def factored(term: Term) -> Term:
    """Take common factors out of a sum where that makes it shorter.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y, s = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1)), Symbol.of("s")
    >>> one_over = power(s, Fraction(-1))
    >>> term_text(factored(add(multiply(x, one_over), multiply(y, one_over))))
    '(x + y)/s'
    """
    if not isinstance(term, Sum):
        return term
    best: Term = term
    for candidate in (_over_common_numbers(term), _with_common_ends(term)):
        if candidate is not None and cost(candidate) < cost(best):
            best = candidate
    return best


def _over_common_numbers(term: Sum) -> Term | None:
    """Return A/s − B/s + C as (A − B)/s + C, for terms with the same denominator s, a number."""
    groups: dict[frozenset[tuple[Term, Fraction]], list[Term]] = {}
    for part in term.terms:
        groups.setdefault(frozenset(_denominator(part).items()), []).append(part)
    if all(len(parts) < 2 or not below for below, parts in groups.items()):
        return None
    joined = [_over(dict(below), parts, term) for below, parts in groups.items()]
    return joined[0] if len(joined) == 1 else Sum(tuple(joined), term.shape)


def _over(below: dict[Term, Fraction], parts: Sequence[Term], whole: Sum) -> Term:
    """Return terms of one denominator as one fraction."""
    if len(parts) == 1:
        return parts[0]
    inner = add(*(_without(part, below, whole) for part in parts))
    coefficient, core = split(_in_order(factored(inner)))
    return unwrapped(Product(coefficient, ((core, _ONE), *below.items()), whole.shape))


def _denominator(term: Term) -> dict[Term, Fraction]:
    """Return the numbers that a term is divided by, with their exponents."""
    return {f: e for f, e in factors_of(term)[1] if e < 0 and is_number(f.shape)}


def _without(part: Term, shared: dict[Term, Fraction], whole: Sum) -> Term:
    coefficient, factors = factors_of(part)
    rest = tuple((f, e) for f, e in factors if f not in shared)
    return lifted(unwrapped(Product(coefficient, rest, part.shape)), whole.shape)


def _with_common_ends(term: Sum) -> Term | None:
    """Join the matrix products of a sum that begin and end alike: PAS + PBS = P(A + B)S."""
    terms = list(term.terms)
    for i, first in enumerate(terms):
        for j in range(i + 1, len(terms)):
            joined = _joined(first, terms[j])
            if joined is not None:
                rest = [*terms[:i], joined, *terms[i + 1 : j], *terms[j + 1 :]]
                whole = rest[0] if len(rest) == 1 else add(*rest)
                return factored(whole)
    return None


def _joined(first: Term, second: Term) -> Term | None:
    (a, left), (b, right) = _chain(first), _chain(second)
    if left is None or right is None or is_number(first.shape):
        return None
    start = _equal_from_start(left, right)
    end = _equal_from_start(left[::-1][: -start or None], right[::-1][: -start or None])
    if not start and not end:
        return None
    middles = [chain[start : len(chain) - end] for chain in (left, right)]
    if not all(middles):
        return None
    inner = [matmul(*middle) for middle in middles]
    if inner[0].shape != inner[1].shape or 1 in inner[0].shape:
        return None
    middle = _in_order(factored(add(multiply(a, inner[0]), multiply(b, inner[1]))))
    below = isinstance(middle, Sum) and all(split(p)[0] < 0 for p in middle.terms)
    sign = -_ONE if below else _ONE
    ends = left[:start], left[len(left) - end :]
    joined = scale(sign, matmul(*ends[0], scale(sign, middle), *ends[1]))
    before = cost(first) + cost(second) + 1
    return joined if cost(joined) < before else None


def _chain(term: Term) -> tuple[Term, tuple[Term, ...] | None]:
    """Return the numbers in front of a matrix product, and its factors."""
    coefficient, factors = factors_of(term)
    arrays = [(f, e) for f, e in factors if not is_number(f.shape)]
    if len(arrays) != 1 or arrays[0][1] != 1 or not isinstance(arrays[0][0], Matmul):
        return term, None
    numbers = tuple((f, e) for f, e in factors if is_number(f.shape))
    return Product(coefficient, numbers, ()), arrays[0][0].factors


def _equal_from_start(left: Sequence[Term], right: Sequence[Term]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
