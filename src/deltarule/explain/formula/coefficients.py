"""Coefficients and element-wise shapes of terms, for their constructors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from deltarule.errors import ShapeError
from deltarule.explain.formula.term import Coefficient, Product, Term, is_number
from deltarule.shapes import Shape, show

_ONE = Fraction(1)
_LARGE = 1e9  # larger numbers are written with a power of ten


def exact(value: float) -> Coefficient:
    """Return a short fraction that equals the number, else the number.

    >>> exact(0.25), exact(1e-30)
    (Fraction(1, 4), 1e-30)
    """
    if value != value or value in (float("inf"), float("-inf")):
        return value
    short = Fraction(value).limit_denominator(1000)
    return short if float(short) == value and abs(value) < _LARGE else float(value)


def number(value: Coefficient, shape: Shape = ()) -> Product:
    """Return a number, or an array filled with it.

    >>> number(Fraction(1, 2), (3, 1)).coefficient
    Fraction(1, 2)
    """
    return Product(value, (), shape)


def is_constant(term: Term, value: Coefficient | None = None) -> bool:
    """Whether a term is a number (that number) or an array filled with it.

    >>> is_constant(number(2)), is_constant(number(2), 1)
    (True, False)
    """
    return (
        isinstance(term, Product)
        and not term.factors
        and (value is None or term.coefficient == value)
    )


def common_shape(shapes: Sequence[Shape]) -> Shape:
    """Return the one shape of an element-wise operation; single entries go with everything.

    >>> common_shape([(), (3, 1), (3, 1)])
    (3, 1)
    """
    result: Shape = ()
    for shape in shapes:
        if is_number(shape):
            result = shape if len(shape) > len(result) and is_number(result) else result
        elif is_number(result) or shape == result:
            result = shape
        else:
            raise ShapeError(
                "element-wise operation",
                expected=f"the shape {show(result)}",
                got=show(shape),
            )
    return result


def split(term: Term) -> tuple[Coefficient, Term]:
    """Split off the coefficient.

    >>> from deltarule.explain.formula.term import Symbol
    >>> coefficient, rest = split(Product(Fraction(-2), ((Symbol.of("x"), Fraction(1)),), ()))
    >>> str(coefficient), rest.name
    ('-2', 'x')
    """
    if isinstance(term, Product) and term.coefficient != 1:
        return term.coefficient, unwrapped(Product(_ONE, term.factors, term.shape))
    return _ONE, term


def unwrapped(product: Product) -> Term:
    """Return the factor that a product consists of, if it is only that.

    >>> from deltarule.explain.formula.term import Symbol
    >>> unwrapped(Product(Fraction(1), ((Symbol.of("x"), Fraction(1)),), ())).name
    'x'
    """
    if product.coefficient == 1 and len(product.factors) == 1:
        factor, exponent = product.factors[0]
        if exponent == 1 and (factor.shape == product.shape or product.shape == ()):
            return factor
    return product


def lifted(term: Term, shape: Shape) -> Term:
    """Repeat a single entry to a shape.

    >>> lifted(number(2), (3, 1)).shape
    (3, 1)
    """
    if term.shape == shape or not is_number(term.shape):
        return term
    if isinstance(term, Product):
        return Product(term.coefficient, term.factors, shape)
    return Product(_ONE, ((term, _ONE),), shape)


def factors_of(term: Term) -> tuple[Coefficient, tuple[tuple[Term, Fraction], ...]]:
    """Return the coefficient and the powers that a term is the product of.

    >>> from deltarule.explain.formula.term import Symbol
    >>> coefficient, factors = factors_of(Symbol.of("x"))
    >>> str(coefficient), [(factor.name, str(power)) for factor, power in factors]
    ('1', [('x', '1')])
    """
    if isinstance(term, Product):
        return term.coefficient, term.factors
    return _ONE, ((term, _ONE),)
