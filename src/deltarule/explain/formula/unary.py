"""Powers, transposes and diagonal matrices: constructors of terms that build no sums or products of others."""

from __future__ import annotations

from fractions import Fraction

from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.formula.coefficients import (
    factors_of,
    is_constant,
    lifted,
    number,
    unwrapped,
)
from deltarule.explain.formula.constants import root_of_number
from deltarule.explain.formula.inverses import is_symmetric
from deltarule.explain.formula.term import (
    Diagonal,
    Matmul,
    Product,
    Sum,
    Term,
    Transpose,
    cost,
    idempotent,
    is_number,
)
from deltarule.shapes import show

_ONE = Fraction(1)


def power(term: Term, exponent: Fraction) -> Term:
    """Return termᵉ, element by element.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(power(power(x, Fraction(2)), Fraction(3))), term_text(power(x, Fraction(-1, 2)))
    ('x⁶', '1/√x')
    """
    if exponent == 1 or (idempotent(term) and exponent > 0):
        return term
    if exponent == 0:
        return number(_ONE, term.shape)
    coefficient, factors = factors_of(term)
    if not factors and exponent in (Fraction(1, 2), Fraction(-1, 2)):
        found = root_of_number(coefficient, exponent, term.shape)
        if found is not None:
            return found
    if coefficient == 0 and exponent < 0:
        raise ArgumentError("division", expected="a divisor that is not 0", got="0")
    whole = exponent.denominator == 1
    if coefficient != 1 and not (whole and isinstance(coefficient, Fraction)):
        if not factors and isinstance(coefficient, float) and whole:
            return number(coefficient ** int(exponent), term.shape)
        return Product(_ONE, ((term, exponent),), term.shape)
    if not whole and any(e != 1 for _, e in factors):  # √(x²) is |x|, not x
        return Product(_ONE, ((term, exponent),), term.shape)
    raised = coefficient ** int(exponent) if whole else coefficient
    return unwrapped(
        Product(raised, tuple((f, e * exponent) for f, e in factors), term.shape)
    )


def transpose(term: Term) -> Term:
    """Return the transpose, pushed inwards.

    >>> from deltarule.explain.formula.algebra import matmul
    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> term_text(transpose(matmul(A, x))), transpose(transpose(A)) == A
    ('xᵀAᵀ', True)
    """
    if is_number(term.shape):
        return term
    if len(term.shape) != 2:
        raise ShapeError("transpose", expected="a matrix", got=show(term.shape))
    turned = (term.shape[1], term.shape[0])
    if isinstance(term, Transpose):
        return term.body
    if isinstance(term, Diagonal) or is_symmetric(term):
        return term
    if isinstance(term, Sum):
        parts = tuple(transpose(lifted(part, term.shape)) for part in term.terms)
        pushed, kept = Sum(parts, turned), Transpose(term, turned)
        return kept if cost(kept) <= cost(pushed) else pushed
    if isinstance(term, Matmul):
        return Matmul(
            tuple(transpose(factor) for factor in reversed(term.factors)), turned
        )
    if isinstance(term, Product):
        inner = [(f, e) for f, e in term.factors if not is_number(f.shape)]
        if len(inner) > 1 or any(e != 1 for _, e in inner):
            scalars = tuple((f, e) for f, e in term.factors if is_number(f.shape))
            body = Product(_ONE, tuple(inner), term.shape)
            return unwrapped(
                Product(
                    term.coefficient,
                    (*scalars, (Transpose(body, turned), _ONE)),
                    turned,
                )
            )
        return unwrapped(
            Product(
                term.coefficient,
                tuple((transpose(f), e) for f, e in term.factors),
                turned,
            )
        )
    return Transpose(term, turned)


def is_identity(term: Term) -> bool:
    """Whether a term is the identity matrix.

    >>> from deltarule.explain.formula.algebra import inverse, matmul
    >>> from deltarule.explain.formula.term import Symbol
    >>> A = Symbol.of("A", (3, 3))
    >>> is_identity(matmul(inverse(A), A)), is_identity(A)
    (True, False)
    """
    return isinstance(term, Diagonal) and is_constant(term.body, 1)


def diagonal(term: Term) -> Term:
    """Return diag(v) of a column.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> term_text(diagonal(Symbol.of("v", (3, 1))))
    'diag(v)'
    """
    return Diagonal(term, (term.shape[0], term.shape[0]))
