"""Evaluation begins at whatever values are known, also in the midst of a graph."""

from __future__ import annotations

import numpy as np

import deltarule as dr
from deltarule.backends import reference
from deltarule.graph import build
from deltarule.graph import functions as f


def test_a_known_node_above_a_named_function_is_not_computed_again() -> None:
    x = build.input_node("x", (2,))
    hidden = build.add(f.relu(x), 1)
    loss = f.log_softmax(build.multiply(hidden, 2), axis=0)
    (found,) = reference.evaluate([loss], {hidden: np.array([1.0, 1.0], np.float32)})
    np.testing.assert_allclose(found, np.log([0.5, 0.5]), rtol=1e-6)


def test_a_value_that_was_looked_at_may_be_used_further() -> None:
    weight = dr.parameter(np.array([1.0, -2.0]), name="w")
    hidden = dr.maximum(weight, 0.0) + f_relu(weight)
    assert hidden.tolist() == [2.0, 0.0]
    loss = (f_relu(hidden) * 3).sum()
    assert loss.item() == 6.0
    assert dr.grad(loss, weight).tolist() == [6.0, 0.0]


def f_relu(x: dr.Tensor) -> dr.Tensor:
    return dr.Tensor(f.relu(x.node))


def test_long_sums_of_single_precision_are_rounded_once() -> None:
    values = np.random.default_rng(0).random((50_000, 3), np.float32)
    x = build.input_node("x", values.shape)
    (total,) = reference.evaluate([build.sum_over(x, 0)], {x: values})
    assert total.dtype == np.float32
    np.testing.assert_array_equal(total, values.sum(0, dtype=np.float64).astype(np.float32))
