"""Reasons of lines: each rule of a matrix product is true, and each line has the rule that it uses."""

from __future__ import annotations

import re

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.explain.derivation.reasons import (
    _COLUMN_RULES,
    _MATRIX_RULES,
    _ROW_RULES,
)

RULE = re.compile(r"∂(?: tr)?\((?P<product>\S+)\)/∂(?P<wrt>\w) = (?P<answer>\S+)")


def product(text, values):
    """Multiply the matrices of a text such as GᵀAB."""
    result = None
    for letter, turned in re.findall(r"([A-Za-z])(ᵀ?)", text):
        matrix = values[letter].T if turned else values[letter]
        result = matrix if result is None else result @ matrix
    return result


def shapes(text, rows, inner, columns):
    """Return shapes with which the trace of a product of three matrices exists."""
    parts = re.findall(r"([A-Za-z])(ᵀ?)", text)
    sizes = [(rows, inner), (inner, columns), (columns, rows)]
    return {
        letter: size[::-1] if turned else size
        for (letter, turned), size in zip(parts, sizes, strict=True)
    }


def slope(text, wrt, values):
    """Return the derivative of the trace of a product by central differences, in denominator layout."""
    found = np.zeros_like(values[wrt])
    for place in np.ndindex(found.shape):
        step = np.zeros_like(found)
        step[place] = 1e-6
        ahead, behind = (
            np.trace(product(text, {**values, wrt: values[wrt] + sign * step}))
            for sign in (1, -1)
        )
        found[place] = (ahead - behind) / 2e-6
    return found


def rules():
    number = (1, 3, 4)  # xᵀAy is a number
    tables = [(_MATRIX_RULES, (2, 3, 4)), (_COLUMN_RULES, number), (_ROW_RULES, number)]
    for table, size in tables:
        for rule in table.values():
            for layout in (0, 1):
                yield rule[layout], layout, size


@pytest.mark.parametrize(("rule", "layout", "sizes"), list(rules()))
def test_rules_of_matrix_products_are_true(rule, layout, sizes):
    found = RULE.fullmatch(rule)
    text, wrt, answer = found["product"], found["wrt"], found["answer"]
    values = {
        letter: np.random.default_rng(ord(letter)).normal(size=shape)
        for letter, shape in shapes(text, *sizes).items()
    }
    expected = slope(text, wrt, values)
    actual = product(answer, values)
    np.testing.assert_allclose(actual, expected.T if layout else expected, rtol=1e-6)


def symbols(*shapes):
    return [dr.symbol(name, shape) for name, shape in zip("QKVY", shapes, strict=False)]


def test_attention_has_the_rules_of_its_products():
    Q, K, V, Y = symbols((5, 4), (6, 4), (6, 3), (5, 3))
    A = nn.softmax(Q @ K.T / 2)
    loss = 0.5 * ((A @ V - Y) ** 2).sum()
    printed = str(dr.derive(loss, wrt=[Q, K, V], names={A: "A"}))
    for line in (
        r"∂L/∂V  = AᵀΔ₂ +6×3  ∂ tr\(GᵀAB\)/∂B = AᵀG",
        r"∂L/∂A  = Δ₂Vᵀ +5×6  ∂ tr\(GᵀAB\)/∂A = GBᵀ",
        r"∂L/∂Q  = ½Δ₁K +5×4  ∂ tr\(GᵀABᵀ\)/∂A = GB",
        r"∂L/∂K  = ½Δ₁ᵀQ +6×4  ∂ tr\(GᵀABᵀ\)/∂B = GᵀA",
    ):
        assert re.search(line, printed), printed


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        ("denominator", r"∂L/∂a₁ = W₂ᵀδ₂ .*∂\(gᵀAx\)/∂x = Aᵀg"),
        ("numerator", r"∂L/∂a₁ = δ₂W₂ .*∂\(gAx\)/∂x = gA"),
    ],
)
def test_rules_follow_the_layout(layout, line):
    W, V = dr.symbol("W_1", (5, 4)), dr.symbol("W_2", (2, 5))
    x, y = dr.symbol("x", (4,)), dr.symbol("y", (2,))
    loss = 0.5 * ((V @ nn.relu(W @ x) - y) ** 2).sum()
    assert re.search(line, str(dr.derive(loss, wrt=[W, V], layout=layout)))


@pytest.mark.parametrize(
    ("layout", "rule"),
    [("denominator", "∂(aᵀx)/∂x = a\n"), ("numerator", "∂(aᵀx)/∂x = aᵀ\n")],
)
def test_dot_products_have_their_own_rule(layout, rule):
    a, x = dr.symbol("a", (3,)), dr.symbol("x", (3,))
    assert rule in str(
        dr.derive(nn.tanh(a @ x), wrt=[x], detail="every", layout=layout)
    )


def test_picking_an_entry_leaves_no_sum_of_zeros():
    W, x = dr.symbol("W", (3, 4)), dr.symbol("x", (4,))
    derivation = dr.derive(-nn.log_softmax(W @ x)[2], wrt=[W], detail="every")
    assert "∂L/∂z₁ = place(−1; 3) + softmax(z₁)" in str(derivation)
    assert derivation.check()
    picked = dr.derive(-dr.log(nn.softmax(W @ x)[1]), wrt=[W], detail="every")
    assert "∂L/∂z₁ = a₁ ⊙ (place(−1/(a₁[2]); 2) + 1)" in str(picked)
    assert picked.check()


def test_a_product_with_a_placed_part_takes_that_part():
    x, y = dr.symbol("x", (5,)), dr.symbol("y", (5,))
    loss = (nn.softmax(x)[1:4] * y[1:4]).sum()
    derivation = dr.derive(loss, wrt=[x])
    assert derivation.check()
