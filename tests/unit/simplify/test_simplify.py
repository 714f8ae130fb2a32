"""Algebraic and numerically safer rewrites, one line a rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends import reference
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.show import to_text
from deltarule.graph.verify import verify
from deltarule.simplify import simplify

F64 = dtypes.FLOAT64
X = build.input_node("x", (2, 3), F64)
RULES: list[tuple[str, Callable[[], Node], Callable[[], Node]]] = [
    ("x + 0", lambda: build.add(X, 0), lambda: X),
    ("0 + x", lambda: build.add(0, X), lambda: X),
    ("x − 0", lambda: build.subtract(X, 0), lambda: X),
    ("0 − x", lambda: build.subtract(0, X), lambda: build.negate(X)),
    (
        "x + (−x)",
        lambda: build.add(build.exp(X), build.negate(X)),
        lambda: build.subtract(build.exp(X), X),
    ),
    (
        "x − (−y)",
        lambda: build.subtract(X, build.negate(build.exp(X))),
        lambda: build.add(X, build.exp(X)),
    ),
    ("x · 1", lambda: build.multiply(X, 1), lambda: X),
    ("x · 0", lambda: build.multiply(X, 0), lambda: build.full((2, 3), 0, F64)),
    ("x · −1", lambda: build.multiply(X, -1), lambda: build.negate(X)),
    ("x / 1", lambda: build.divide(X, 1), lambda: X),
    ("−(−x)", lambda: build.negate(build.negate(X)), lambda: X),
    ("x⁰", lambda: build.power(X, 0), lambda: build.full((2, 3), 1, F64)),
    ("x¹", lambda: build.power(X, 1), lambda: X),
    ("x²", lambda: build.power(X, 2), lambda: build.multiply(X, X)),
    ("√ as a power", lambda: build.power(X, 0.5), lambda: build.sqrt(X)),
    ("1/x as a power", lambda: build.power(X, -1), lambda: build.divide(1, X)),
    ("ln eˣ", lambda: build.log(build.exp(X)), lambda: X),
    (
        "ln softmax",
        lambda: build.log(f.softmax(X, axis=1)),
        lambda: f.log_softmax(X, axis=1),
    ),
    ("ln σ", lambda: build.log(f.sigmoid(X)), lambda: f.log_sigmoid(X)),
    (
        "ln(1 − σ)",
        lambda: build.log(build.subtract(1, f.sigmoid(X))),
        lambda: f.log_sigmoid(build.negate(X)),
    ),
    (
        "ln(1 + eˣ)",
        lambda: build.log(build.add(1, build.exp(X))),
        lambda: f.softplus(X),
    ),
    ("ln(1 + x)", lambda: build.log(build.add(X, 1)), lambda: build.log1p(X)),
    ("Σ Σ", lambda: build.sum_over(build.sum_over(X, 0), 0), lambda: build.sum_over(X)),
    (
        "reshape ∘ reshape",
        lambda: build.reshape(build.reshape(X, (6,)), (3, 2)),
        lambda: build.reshape(X, (3, 2)),
    ),
    (
        "transpose ∘ transpose",
        lambda: build.permute(build.permute(X, (1, 0)), (1, 0)),
        lambda: X,
    ),
    (
        "(A 0)",
        lambda: build.matmul(X, build.full((3, 2), 0, F64)),
        lambda: build.full((2, 2), 0, F64),
    ),
    ("choice of equals", lambda: build.where(build.less(X, 0), X, X), lambda: X),
]


@pytest.mark.parametrize(
    ("before", "after"), [pytest.param(b, a, id=name) for name, b, a in RULES]
)
def test_rule(before: Callable[[], Node], after: Callable[[], Node]) -> None:
    (result,) = simplify([before()])
    verify([result])
    assert result is after(), f"{to_text([result])}\nexpected\n{to_text([after()])}"


def test_safe_forms_are_exact_where_the_plain_ones_overflow() -> None:
    x = np.array([[800.0, -800.0, 0.0], [1e4, -1e4, 3.0]])
    for plain in (
        build.log(f.sigmoid(X)),
        build.log(f.softmax(X, axis=1)),
        build.log(build.add(1, build.exp(X))),
    ):
        (safe,) = simplify([plain])
        assert np.isfinite(reference.evaluate([safe], {X: x})[0]).all()
        assert not np.isfinite(reference.evaluate([plain], {X: x})[0]).all()
