"""Laws of losses, penalties and clipping, on random data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deltarule import losses, optim
from deltarule.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    KLDivergence,
    MulticlassHinge,
)
from deltarule.tensor.tensor import parameter, tensor
from deltarule.tensor.transforms import grad

Array = np.ndarray[Any, Any]
numbers = st.floats(-50, 50, allow_subnormal=False)
scores = arrays(np.float64, (4, 3), elements=numbers)
labels = arrays(np.int64, (4,), elements=st.integers(0, 2))
signs = arrays(np.int64, (4, 3), elements=st.sampled_from([-1, 1]))


@given(scores, labels, numbers)
@pytest.mark.notes("ACT-16", "OUT-10")
def test_cross_entropy_is_positive_and_ignores_shifts(
    z: Array, y: Array, shift: float
) -> None:
    value = CrossEntropy(reduction="none")(z, y).numpy()
    assert (value >= 0).all()
    np.testing.assert_allclose(
        CrossEntropy(reduction="none")(z + shift, y).numpy(), value, atol=1e-11
    )


@given(scores, labels)
@pytest.mark.notes("CM-08", "OUT-12")
def test_gradient_of_cross_entropy_sums_to_zero_and_is_below_one(
    z: Array, y: Array
) -> None:
    s = tensor(z)
    slope = grad(CrossEntropy(reduction="sum")(s, y), s).numpy()
    np.testing.assert_allclose(slope.sum(axis=1), 0, atol=1e-12)
    assert (np.abs(slope) <= 1).all()


@given(scores, arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
@pytest.mark.notes("ACT-04", "OUT-08")
def test_binary_cross_entropy_is_symmetric(z: Array, y: Array) -> None:
    each = BinaryCrossEntropy(reduction="none")
    np.testing.assert_allclose(
        each(z, y).numpy(), each(-z, 1 - y).numpy(), rtol=1e-9, atol=1e-12
    )


@given(scores, signs)
@pytest.mark.notes("CM-10", "E000-20")
def test_hinge_bounds(z: Array, y: Array) -> None:
    each = Hinge(reduction="none")(z[:, 0], y[:, 0]).numpy()
    right = np.sign(z[:, 0]) == y[:, 0]
    assert (each[right] >= 0).all() and (each[right] <= 1).all()
    np.testing.assert_allclose(each[~right], 1 + np.abs(z[~right, 0]))


@given(scores, labels)
@pytest.mark.notes("CM-12")
def test_multiclass_hinge_bounds(z: Array, y: Array) -> None:
    each = MulticlassHinge(reduction="none")(z, y).numpy()
    highest = z[np.arange(4), y] >= z.max(axis=1)
    assert (each >= 0).all()
    assert (each[highest] <= z.shape[1] - 1 + 1e-12).all()
    assert (each[~highest] > 1 - 1e-12).all()


@given(scores, arrays(np.float64, (4, 3), elements=st.floats(0.01, 1)))
@pytest.mark.notes("PR-13")
def test_divergence_is_positive_and_zero_at_the_targets(z: Array, raw: Array) -> None:
    y = raw / raw.sum(axis=1, keepdims=True)
    assert (KLDivergence(reduction="none")(z, y).numpy() >= -1e-12).all()
    np.testing.assert_allclose(
        KLDivergence(reduction="none")(np.log(y), y).numpy(), 0, atol=1e-12
    )


@given(scores, st.floats(0.01, 100))
def test_clipped_gradients_keep_their_direction_and_the_limit(
    g: Array, limit: float
) -> None:
    gradients = [tensor(g[:2]), tensor(g[2:])]
    clipped, _ = optim.clip_by_global_norm(limit).update(
        gradients, (), gradients, optim.Clock(tensor(0))
    )
    found = np.concatenate([c.numpy() for c in clipped])
    length = np.linalg.norm(g)
    assert np.linalg.norm(found) <= limit * (1 + 1e-12)
    np.testing.assert_allclose(
        found, g * min(1.0, limit / max(length, 1e-30)), rtol=1e-12, atol=1e-300
    )


@given(scores, st.floats(0, 5))
@pytest.mark.notes("REG-04", "REG-17")
def test_penalties_are_positive_and_grow_with_their_strength(
    w: Array, strength: float
) -> None:
    named = [("weight", parameter(w))]
    for kind in (losses.L1, losses.L2, losses.LInfinity):
        weak, strong = (
            kind(strength=strength)(named).item(),
            kind(strength=strength + 1)(named).item(),
        )
        assert 0 <= weak <= strong
        assert kind(strength=0.0)(named).item() == 0


@given(scores, st.floats(0.01, 5))
@pytest.mark.notes("REG-08", "REG-09")
def test_a_proximal_step_never_crosses_zero(w: Array, strength: float) -> None:
    p = parameter(w, name="weight")
    stepper = optim.Stepper(
        optim.Proximal(inner=optim.SGD(learning_rate=1.0), strength=strength), [p]
    )
    stepper.step([tensor(np.zeros_like(w))])
    wanted = np.sign(w) * np.maximum(np.abs(w) - strength, 0)
    np.testing.assert_allclose(p.numpy(), wanted, atol=1e-13)
    assert (np.sign(p.numpy()) * np.sign(w) >= 0).all()
