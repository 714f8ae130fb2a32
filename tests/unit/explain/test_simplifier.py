"""Simplified formulas: exact constants, symmetric matrices, inverses, closed forms in the inputs."""

from __future__ import annotations

import math

import pytest

import deltarule as dr
from deltarule.dtypes import FLOAT64
from deltarule.explain.formula.algebra import multiply, number, power
from deltarule.explain.formula.constants import constant
from deltarule.explain.formula.to_graph import lower
from deltarule.explain.formula.typeset import typeset
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import run


def real(name: str, *shape: int) -> dr.Tensor:
    return dr.symbol(name, shape, dtype="float64")


CONSTANTS = {
    "√2": 2**0.5,
    "1/√2": 0.5**0.5,
    "−√3": -(3**0.5),
    "2√2": 8**0.5,
    "2/√5": 2 / 5**0.5,
    "2/3 √2": 2 * 2**0.5 / 3,
    "π": math.pi,
    "2π": 2 * math.pi,
    "π/6": math.pi / 6,
    "2/π": 2 / math.pi,
    "√(2π)": math.sqrt(2 * math.pi),
    "1/√(2π)": 1 / math.sqrt(2 * math.pi),
    "log 2": math.log(2),
    "½ log(2π)": 0.5 * math.log(2 * math.pi),
    "0.3": 0.3,
    "1.41421": 1.41421,
    "0.0123457": 0.01234567890123,
    "10⁻⁸": 1e-8,
}


@pytest.mark.parametrize("text", CONSTANTS)
def test_constants_are_exact_where_they_have_a_short_form(text: str) -> None:
    term = constant(CONSTANTS[text])
    shown = to_text(typeset(term))
    assert shown.replace("3/10", "0.3").replace("log(2)", "log 2") == text
    (value,) = run([lower(term, FLOAT64)], {})
    assert float(value) == pytest.approx(CONSTANTS[text], rel=1e-15)


def test_roots_of_numbers_are_joined() -> None:
    two, three = (constant(math.sqrt(n)) for n in (2, 3))
    assert to_text(typeset(multiply(two, three))) == "√6"
    assert multiply(two, two) == number(2)
    assert to_text(typeset(multiply(number(2), power(two, -1)))) == "√2"


def test_a_gradient_keeps_the_root_of_the_loss() -> None:
    x, s, mu = real("x", 3), real("s"), real("mu")
    assert dr.derive((x @ x) / 2**0.5, wrt=x).gradient("x") == "√2 x"
    gauss = dr.log(s * math.sqrt(2 * math.pi)) + (mu - 1) ** 2 / (2 * s**2)
    assert dr.derive(gauss, wrt=s).gradient("s") == "1/s − (μ − 1)²/s³"
