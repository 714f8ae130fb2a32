"""Reverse mode: golden graphs, recorded steps, fan-out, what carries no gradient, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends import reference
from deltarule.errors import GraphError
from deltarule.grad.reverse import backpropagate, gradients
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.show import to_text
from deltarule.graph.verify import verify
from deltarule.simplify import simplify


def network() -> tuple[list[build.leaves.Node], build.leaves.Node]:
    x, y = build.input_node("x", (3,)), build.input_node("y", (2,))
    w1, b1 = build.input_node("W_1", (4, 3)), build.input_node("b_1", (4,))
    w2 = build.input_node("W_2", (2, 4))
    hidden = f.relu(build.add(build.matmul(w1, x), b1))
    loss = f.cross_entropy(build.matmul(w2, hidden), y)
    return [w1, b1, w2, x], loss


@pytest.mark.notes("BP-04")
def test_golden_backward_graph(golden: Callable[[str, str], None]) -> None:
    wanted, loss = network()
    result = simplify(gradients(loss, wanted))
    verify(result)
    golden("backward_of_a_small_network", to_text([loss, *result]))


def test_steps_carry_the_textbooks_names() -> None:
    wanted, loss = network()
    steps = backpropagate(loss, wanted).steps
    names = [step.rule for step in steps]
    assert names[0] == "softmax + cross-entropy"
    assert "multiply gate switches" in names
    assert any("max gate" in name for name in names)
    for step in steps:
        assert step.contribution.shape == step.source.shape


@pytest.mark.notes("BP-04")
def test_paths_add_up_at_a_fan_out() -> None:
    x = build.input_node("x", ())
    y = build.add(build.multiply(x, x), build.exp(x))
    (slope,) = reference.evaluate(gradients(y, [x]), {x: np.float32(2)})
    assert slope == pytest.approx(4 + np.exp(2), rel=1e-6)
    assert sum(step.source is x for step in backpropagate(y, [x]).steps) == 3


def test_what_does_not_matter_gets_zero_and_no_steps() -> None:
    x, other = build.input_node("x", (2,)), build.input_node("other", (3, 2))
    loss = build.sum_over(build.exp(x))
    slopes = gradients(loss, [x, other])
    assert reference.evaluate([slopes[1]], {})[0].tolist() == np.zeros((3, 2)).tolist()
    assert backpropagate(loss, [other]).steps == []


@pytest.mark.parametrize(
    "flat",
    [
        lambda x: build.floor(x),
        lambda x: build.sign(x),
        lambda x: build.stop_gradient(x),
        lambda x: build.cast(build.less(x, 0), x.dtype),
        lambda x: build.cast(build.argmax(x, 0), x.dtype),
    ],
)
def test_flat_operations_carry_no_gradient(
    flat: Callable[..., build.leaves.Node],
) -> None:
    x = build.input_node("x", (3,))
    (slope,) = gradients(build.sum_over(flat(x)), [x])
    assert reference.evaluate([slope], {x: np.float32([1, 2, 3])})[0].tolist() == [
        0,
        0,
        0,
    ]


def test_errors() -> None:
    x = build.input_node("x", (3,))
    with pytest.raises(GraphError, match="scalar output"):
        gradients(x, [x])
    i = build.input_node("i", (), dtypes.INT64)
    with pytest.raises(GraphError, match="floating-point output"):
        gradients(i, [i])


def test_gradient_with_respect_to_an_interior_node_and_to_what_is_above_it() -> None:
    x = build.input_node("x", ())
    z = build.multiply(x, 3)
    loss = build.multiply(z, z)
    by_z, by_x = reference.evaluate(gradients(loss, [z, x]), {x: np.float32(2)})
    assert (by_z, by_x) == (12, 36)
