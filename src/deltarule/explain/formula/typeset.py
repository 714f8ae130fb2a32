"""From terms to formulas: parentheses by precedence, fractions, ⊙ between arrays and nothing between matrices."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

from deltarule.explain.formula.algebra import (
    is_identity,
    scale,
    split,
    unwrapped,
)
from deltarule.explain.formula.constants import is_numeric
from deltarule.explain.formula.inverses import NAME as INVERSE
from deltarule.explain.formula.notation import FUNCTIONS, Typeset, moved_axes
from deltarule.explain.formula.term import (
    MIRROR,
    Apply,
    Coefficient,
    Diagonal,
    Indicator,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Total,
    Transpose,
    is_number,
)
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

SUM, PRODUCT, MATMUL, POWER, ATOM = 0.0, 1.0, 2.0, 3.0, 4.0  # precedence, loosest first
_LAST = 2.5  # a function of one letter (log ŷ) may end a product without parentheses
ODOT = m.Operator("⊙", spaced=True)
DOT = m.Operator("·")
MINUS = m.Operator("−")


def typeset(term: Term) -> Formula:
    """Return the formula of a term.

    >>> m.to_latex(typeset(Symbol.of("W_1", (2, 3))))
    'W_{1}'
    """
    return _formula(term)[0]


def term_text(term: Term) -> str:
    """Return the formula of a term as one line of Unicode text.

    >>> term_text(scale(Fraction(1, 2), Symbol.of("W_1", (2, 3))))
    '½W₁'
    """
    return m.to_text(typeset(term))


def derivative(loss: str, name: str) -> Formula:
    """Return ∂L/∂name.

    >>> m.to_text(derivative("L", "W_1"))
    '∂L/∂W₁'
    """
    return m.Fraction(
        m.row(m.Operator("∂"), m.identifier(loss)),
        m.row(m.Operator("∂"), m.identifier(name)),
        inline=True,
    )


def symbol(name: str) -> Formula:
    """Return the formula of a symbol's name; ``dL/da_1`` is a derivative.

    >>> m.to_text(symbol("y_hat")), m.to_text(symbol("dL/da_1"))
    ('ŷ', '∂L/∂a₁')
    """
    if name.endswith("^(i)"):  # of example i
        each = m.Fenced(m.Identifier("i"))
        return m.Scripts(symbol(name[:-4]), upper=each)
    if name.startswith("d") and "/d" in name:
        over, under = name[1:].split("/d", 1)
        return derivative(over, under)
    return m.identifier(name)


def within(term: Term, loosest: float) -> Formula:
    """Return the formula of a term, in parentheses if it binds more loosely.

    >>> from deltarule.explain.formula.algebra import add
    >>> total = add(Symbol.of("x"), Symbol.of("y"))
    >>> m.to_text(within(total, SUM)), m.to_text(within(total, PRODUCT))
    ('x + y', '(x + y)')
    """
    formula, precedence = _formula(term)
    return formula if precedence >= loosest else m.Fenced(formula)


def number_formula(value: Coefficient) -> Formula:
    """Return a number: whole, fraction or decimal.

    >>> m.to_text(number_formula(Fraction(1, 2))), m.to_text(number_formula(0.1234))
    ('½', '0.1234')
    """
    if isinstance(value, Fraction):
        if value.denominator == 1:
            return m.Number(str(value.numerator).replace("-", "−"))
        if value == Fraction(1, 2):
            return m.Number("½")
        return m.Fraction(
            m.Number(str(value.numerator).replace("-", "−")),
            m.Number(str(value.denominator)),
        )
    if value == math.pi:
        return m.identifier("pi")
    mantissa, _, exponent = f"{value:.6g}".partition("e")
    shown = m.Number(mantissa.replace("-", "−").replace("inf", "∞"))
    if not exponent:
        return shown
    power = m.Scripts(
        m.Number("10"), upper=m.Number(str(int(exponent)).replace("-", "−"))
    )
    return power if mantissa == "1" else m.row(shown, DOT, power)


def _formula(term: Term) -> tuple[Formula, float]:
    if isinstance(term, Symbol):
        formula = symbol(term.name)
        return formula, (POWER if isinstance(formula, m.Fraction) else ATOM)
    if isinstance(term, Sum):
        return _sum(term), SUM
    if isinstance(term, Product):
        return _product(term)
    if isinstance(term, Matmul):
        return _matmul(term)
    if isinstance(term, Transpose):
        return _transpose(term), POWER
    if (
        isinstance(term, Diagonal)
        and isinstance(term.body, Product)
        and not term.body.factors
    ):
        scale_ = number_formula(term.body.coefficient)
        unit = m.Identifier("I")
        return (
            (unit, ATOM)
            if term.body.coefficient == 1
            else (m.row(scale_, unit), MATMUL)
        )
    if isinstance(term, Diagonal):
        return m.row(m.Identifier("diag", upright=True), _argument(term.body)), ATOM
    if isinstance(term, Total):
        return _total(term)
    if isinstance(term, Indicator):
        return m.row(m.Identifier("𝟙"), m.Fenced(_relation(term))), ATOM
    if _only_unit_axes(term):
        return _formula(term.arguments[0])
    return _apply(term)


def _transpose(term: Transpose) -> Formula:
    """Return Aᵀ; A⁻ᵀ of an inverse."""
    sign = m.Identifier("T", upright=True)
    if isinstance(term.body, Apply) and term.body.name == INVERSE:
        inverse = _formula(term.body)[0]
        if isinstance(inverse, m.Scripts):
            return replace(inverse, upper=m.row(MINUS, sign))
    return m.Scripts(within(term.body, ATOM), upper=sign)


def _only_unit_axes(term: Term) -> bool:
    """Whether a term only repeats another, or adds or removes axes of one entry: the page shows what is inside."""
    if not isinstance(term, Apply) or term.name not in {
        "reshape",
        "broadcast",
        "permute",
    }:
        return False
    if term.name == "permute":
        return moved_axes(term) == sorted(moved_axes(term))
    return term.name == "broadcast" or [s for s in term.shape if s != 1] == [
        s for s in term.arguments[0].shape if s != 1
    ]


def _argument(term: Term) -> Formula:
    return m.Fenced(typeset(term))


def _apply(term: Apply) -> tuple[Formula, float]:
    write: Typeset | None = FUNCTIONS.get(term.name)
    pairs = [
        (one, ATOM) if (one := _ones(argument)) else _formula(argument)
        for argument in term.arguments
    ]
    arguments = [formula for formula, _ in pairs]
    closed = [
        formula if precedence >= POWER else m.Fenced(formula)
        for formula, precedence in pairs
    ]
    if write is None:
        name = m.Identifier(term.name.replace("_", " "), upright=True)
        return m.row(name, m.Fenced(m.join(arguments, m.Operator(", ")))), ATOM
    return write(term, arguments, closed)


def _relation(term: Indicator) -> Formula:
    left, right, relation = term.left, term.right, term.relation
    if (
        isinstance(left, Product)
        and not left.factors
        and not (isinstance(right, Product) and not right.factors)
    ):
        left, right, relation = right, left, MIRROR[relation]
    return m.row(typeset(left), m.Operator(relation, spaced=True), typeset(right))


def _sum(term: Sum) -> Formula:
    parts: list[Formula] = []
    if all(split(part)[0] < 0 for part in term.terms):
        return m.row(
            MINUS,
            m.Fenced(
                _sum(
                    Sum(
                        tuple(scale(Fraction(-1), part) for part in term.terms),
                        term.shape,
                    )
                )
            ),
        )
    for position, part in enumerate(term.terms):
        coefficient, _ = split(part)
        negative = coefficient < 0
        body = (
            scale(Fraction(-1), part)
            if negative and not isinstance(part, Sum)
            else part
        )
        formula = within(body, PRODUCT)
        if position == 0:
            parts.extend([MINUS, formula] if negative else [formula])
        else:
            parts.extend([m.Operator("−" if negative else "+", spaced=True), formula])
    return m.row(*parts)


def _total(term: Total) -> tuple[Formula, float]:
    body = term.body
    if isinstance(body, Product) and body.coefficient == 1 and len(body.factors) == 1:
        factor, exponent = body.factors[0]
        if exponent == 2:
            norm = m.Fenced(typeset(factor), "‖", "‖")
            lower = (
                m.Identifier("F", upright=True)
                if len(factor.shape) > 1 and factor.shape[1] != 1
                else None
            )
            return m.Scripts(norm, lower=lower, upper=m.Number("2")), POWER
    if isinstance(body, Product) and any(
        is_identity(factor) for factor, _ in body.factors
    ):
        rest = tuple(
            (factor, exponent)
            for factor, exponent in body.factors
            if not is_identity(factor)
        )
        inner = typeset(unwrapped(Product(body.coefficient, rest, body.shape)))
        return m.row(m.Identifier("tr", upright=True), m.Fenced(inner)), ATOM
    if isinstance(body, Apply) and body.name == "abs":
        return m.Scripts(
            m.Fenced(typeset(body.arguments[0]), "‖", "‖"), lower=m.Number("1")
        ), ATOM
    inner = within(body, MATMUL)
    return m.row(m.Operator("Σ"), m.Operator(" "), inner), (
        MATMUL if isinstance(inner, m.Fenced) else PRODUCT
    )


def _matmul(term: Matmul) -> tuple[Formula, float]:
    last = len(term.factors) - 1
    parts = [
        _ones(factor) or within(factor, POWER if i < last else _LAST)
        for i, factor in enumerate(term.factors)
    ]
    spaced: list[Formula] = [parts[0]]
    for before, after in itertools.pairwise(parts):
        spaced.extend(
            [m.Operator(" "), after] if _needs_space(before, after) else [after]
        )
    return m.row(*spaced), MATMUL


def _ones(term: Term) -> Formula | None:
    """Return 𝟙 or 𝟙ᵀ for a vector of ones."""
    if (
        not isinstance(term, Product)
        or term.factors
        or term.coefficient != 1
        or len(term.shape) != 2
    ):
        return None
    if is_number(term.shape):
        return None
    one = m.Identifier("𝟙")
    row = m.Scripts(one, upper=m.Identifier("T", upright=True))
    if term.shape[1] == 1:
        return one
    return row if term.shape[0] == 1 else m.row(one, row)


def _product(term: Product) -> tuple[Formula, float]:
    coefficient = term.coefficient
    sign: list[Formula] = []
    if coefficient < 0:
        sign, coefficient = [MINUS], -coefficient
    above = [(f, e) for f, e in term.factors if e > 0]
    below = [(f, -e) for f, e in term.factors if e < 0]
    if not term.factors:
        return m.row(*sign, number_formula(coefficient)), ATOM if not sign else SUM
    divisor = Fraction(1)
    if (
        isinstance(coefficient, Fraction)
        and (coefficient.numerator == 1 or below)
        and (coefficient != Fraction(1, 2) or below)
    ):
        coefficient, divisor = (
            Fraction(coefficient.numerator),
            Fraction(coefficient.denominator),
        )
    over, precedence = _factors(coefficient, above)
    if below or divisor != 1:
        under, _ = _factors(divisor, below)
        if len(above) == 1 and _is_long_sum(*above[0]):  # 1/N Σ …
            front = m.Fraction(number_formula(coefficient), under)
            return m.row(
                *sign, front, m.Operator(" "), _formula(above[0][0])[0]
            ), SUM if sign else PRODUCT
        return m.row(*sign, m.Fraction(over, under)), SUM if sign else MATMUL
    if sign and precedence < PRODUCT:
        over = m.Fenced(over)
    return m.row(*sign, over), SUM if sign else precedence


def _is_long_sum(factor: Term, exponent: Fraction) -> bool:
    """Whether a factor is Σ of something, and no norm, trace or power."""
    if exponent != 1:
        return False
    while isinstance(factor, Apply) and _only_unit_axes(factor):
        (factor,) = factor.arguments
    partial = isinstance(factor, Apply) and factor.name == "sum"
    return partial or (
        isinstance(factor, Total) and m.to_text(_total(factor)[0]).startswith("Σ")
    )


def _factors(
    coefficient: Coefficient, factors: list[tuple[Term, Fraction]]
) -> tuple[Formula, float]:
    numbers = [(f, e) for f, e in factors if is_number(f.shape)]
    arrays = sorted(
        ((f, e) for f, e in factors if not is_number(f.shape)),
        key=lambda fe: _rank(fe[0]),
    )
    if not factors:
        return number_formula(coefficient), ATOM
    single = len(factors) == 1 and coefficient == 1
    if single:
        factor, exponent = factors[0]
        return (
            (_formula(factor)) if exponent == 1 else (_power(factor, exponent), POWER)
        )
    front: list[Formula] = [] if coefficient == 1 else [number_formula(coefficient)]
    front += [
        _power_within(f, e) for f, e in sorted(numbers, key=lambda fe: _rank(fe[0]))
    ]
    loosest = MATMUL
    back = (
        m.join(
            [_power(f, e) if e != 1 else within(f, loosest) for f, e in arrays], ODOT
        )
        if arrays
        else None
    )
    precedence = MATMUL if not arrays or len(arrays) == 1 else PRODUCT
    if back is not None and front and len(arrays) > 1:
        return m.row(*_beside(front), m.Operator(" "), back), PRODUCT
    return m.row(*_beside([*front, *([back] if back is not None else [])])), precedence


def _beside(parts: list[Formula]) -> list[Formula]:
    """Put factors side by side, with a thin space where letters would run together."""
    result: list[Formula] = []
    for position, part in enumerate(parts):
        if position and _are_numbers(parts[position - 1], part):
            result.append(DOT)
        elif position and _needs_space(parts[position - 1], part):
            result.append(m.Operator(" "))
        result.append(part)
    return result


def _are_numbers(left: Formula, right: Formula) -> bool:
    """Whether two factors would read as one number: ½·0.96ᵗ."""
    before, after = m.to_text(left), m.to_text(right)
    return before[-1].isnumeric() and after[0].isdigit()


def _needs_space(left: Formula, right: Formula) -> bool:
    before, after = m.to_text(left), m.to_text(right)
    if before[-2:-1] == "^" and after[0].isalnum():  # an exponent on the line: e^s s
        return True
    wordy = len(before) > 1 and before[-2:].isalpha() and before.isascii()
    upright = len(after) > 1 and after[:2].isalpha() and after[:2].isascii()
    if (
        "_" in before[-3:-1] and before[-1].isalnum() and after[0].isalpha()
    ):  # an index on the line: W_d z
        return True
    fraction = isinstance(left, (m.Fraction, m.Root)) or isinstance(right, m.Fraction)
    return (
        (wordy and after[0].isalpha())
        or upright
        or (before[-1].isdigit() and after[0].isdigit())
        or fraction
    )


def _rank(factor: Term) -> int:
    """Numbers come first, then indicators, symbols, and the rest."""
    if is_numeric(factor):
        return -1
    if isinstance(factor, Indicator) or (
        isinstance(factor, Sum) and any(map(_is_gate, factor.terms))
    ):
        return 0
    if isinstance(factor, Apply) and factor.name == "log":
        return 3
    return 2 if isinstance(factor, Sum) else 1


def _is_gate(term: Term) -> bool:
    """Whether an indicator is a factor of a term."""
    parts = [f for f, _ in term.factors] if isinstance(term, Product) else [term]
    return any(isinstance(part, Indicator) for part in parts)


def _power_within(factor: Term, exponent: Fraction) -> Formula:
    inner = isinstance(factor, Matmul)  # xᵀy among other factors
    return (
        within(factor, ATOM if inner else MATMUL)
        if exponent == 1
        else _power(factor, exponent)
    )


def _norm_of(square: Formula) -> Formula | None:
    """Return ‖x‖ of ‖x‖²."""
    if not isinstance(square, m.Scripts) or square.upper != m.Number("2"):
        return None
    if not isinstance(square.base, m.Fenced) or square.base.left != "‖":
        return None
    return m.Scripts(square.base, lower=square.lower) if square.lower else square.base


def _power(factor: Term, exponent: Fraction) -> Formula:
    if exponent == Fraction(1, 2):
        inside = typeset(factor)
        return _norm_of(inside) or m.Root(inside)
    if exponent.denominator == 2 and exponent > 1:
        whole = m.Scripts(
            within(factor, ATOM), upper=number_formula(exponent - Fraction(1, 2))
        )
        return (
            m.row(whole, m.Root(typeset(factor)))
            if exponent != Fraction(3, 2)
            else m.Scripts(within(factor, ATOM), upper=number_formula(exponent))
        )
    if isinstance(factor, Apply) and factor.name == "exp":  # (eˣ)² = e²ˣ
        inside = typeset(scale(exponent, factor.arguments[0]))
        return m.Scripts(m.Identifier("e"), upper=inside)
    shown: Formula = number_formula(exponent)
    if _is_square(factor):  # A² is AA
        shown = m.row(m.Operator("∘"), shown)
    if isinstance(factor, Apply) and factor.name in {"sigmoid", "tanh", "log"}:
        return m.Scripts(m.Fenced(typeset(factor)), upper=shown)
    return m.Scripts(within(factor, ATOM), upper=shown)


def _is_square(factor: Term) -> bool:
    return len(factor.shape) == 2 and factor.shape[0] == factor.shape[1] != 1
