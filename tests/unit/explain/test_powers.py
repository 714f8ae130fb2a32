"""How exponentials, powers and norms are written where a graph computes them in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.explain.formula.from_graph import Translator
from deltarule.explain.formula.to_graph import lower_to
from deltarule.explain.formula.typeset import typeset
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import run


def given(name: str, *shape: int) -> Node:
    return build.input_node(name, shape, dtypes.FLOAT64)


T, B, X = given("t"), given("beta"), given("x", 3)
M, W = given("M", 2, 2), given("W", 2, 3)
FORMULAS = {
    "βᵗ": build.exp(build.multiply(T, build.log(B))),
    "1 − βᵗ": build.negate(build.expm1(build.multiply(T, build.log(B)))),
    "0.96ᵗ": build.exp(build.multiply(T, math.log(0.96))),
    "½·0.96ᵗ": build.multiply(build.exp(build.multiply(T, math.log(0.96))), 0.5),
    "e^(½t)": build.exp(build.multiply(T, 0.5)),
    "e^(−0.3333t)": build.exp(build.multiply(T, -0.3333)),
    "eᵗ − 1": build.expm1(T),
    "‖x‖": build.sqrt(build.sum_over(build.multiply(X, X))),
    "cos(πt)": build.cos(build.multiply(T, math.pi)),
    "M^(∘2)": build.multiply(M, M),  # M² is MM
    "W²": build.multiply(W, W),
    "x²": build.multiply(X, X),
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_what_is_written_has_the_value_of_the_graph(formula: str) -> None:
    node = FORMULAS[formula]
    term = Translator().term(node)
    assert to_text(typeset(term)) == formula
    values = {
        T: 3.0,
        B: 0.9,
        X: [1.0, -2.0, 0.5],
        M: [[1.0, -2.0], [0.5, 3.0]],
        W: [[1.0, 2.0, 3.0], [4.0, -5.0, 6.0]],
    }
    found, wanted = run([lower_to(term, node), node], values)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
