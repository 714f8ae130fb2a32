"""Quantities: numbers to Python, nodes to graphs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.build.quantity import Quantity, logarithm
from deltarule.graph.walk import inputs
from deltarule.tensor.explain import run
from deltarule.tensor.functional import maximum
from deltarule.tensor.tensor import tensor


def quantity(value: float) -> Quantity:
    return Quantity(value, build.input_node("q", (), dtypes.FLOAT64))


EXPRESSIONS = {
    "negative": lambda q: -q,
    "sum": lambda q: (q + 2) + (3.0 + q),
    "difference": lambda q: (q - 0.25) + (1 - q) * 3,
    "quotient": lambda q: q / 3 + 1 / q,
    "logarithm": lambda q: logarithm(q) * 2.0,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_arithmetic_is_that_of_numbers_and_the_node_computes_it(name: str) -> None:
    plain, given = EXPRESSIONS[name](0.7), quantity(0.7)
    found = EXPRESSIONS[name](given)
    assert isinstance(found, Quantity) and float(found) == plain
    (value,) = run([found.node], {given.node: 0.7})
    assert float(value) == pytest.approx(plain, rel=1e-15)
    (other,) = run([found.node], {given.node: 0.3})
    assert float(other) == pytest.approx(EXPRESSIONS[name](0.3), rel=1e-15)


def test_python_sees_the_number() -> None:
    zero, half = quantity(0.0), quantity(0.5)
    assert not zero and half and 0 < half < 1 and half == 0.5
    assert math.sqrt(quantity(4.0)) == 2.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tensor_meets_the_node_in_its_own_type(dtype: str) -> None:
    x, q = tensor(np.array([1.0, -2.0], dtype)), quantity(0.5)
    for result in (x * q, q * x, x - q, q / x, maximum(x, q)):
        assert result.dtype.name == dtype
        assert q.node in inputs([result.node])
