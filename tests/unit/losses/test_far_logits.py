"""Losses far from 0 and at the edges: a common offset of logits, logits of ±∞, errors near 0; PyTorch as the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.losses import Loss
from support.oracles import tf, torch

DEVICES = ("cpu", "reference")
OFFSETS = (100.0, -1e4, 1e6)


def value_and_slopes(
    loss: Loss, z: Any, y: Any, device: str, second: bool = False
) -> list[Any]:
    """Return the loss, its gradient, and with ``second`` the gradient of Σ gradient²."""

    def both(z: dr.Tensor, y: dr.Tensor) -> tuple[dr.Tensor, ...]:
        value = loss(z, y)
        slope = dr.grad(value, [z])[0]
        return (
            (value, slope, dr.grad((slope * slope).sum(), [z])[0])
            if second
            else (value, slope)
        )

    return [np.asarray(t.numpy()) for t in dr.jit(both, device=device)(z, y)]


def rows(n: int = 6, k: int = 5) -> Any:
    """Return logits whose differences float32 has exactly at every offset."""
    return np.random.default_rng(0).integers(-32, 33, size=(n, k)) / 16.0


LABELS = np.random.default_rng(1).integers(0, 5, size=6)
SOFT = np.random.default_rng(2).dirichlet(np.ones(5), size=6)
CASES: list[tuple[str, Loss, Any]] = [
    ("labels", losses.CrossEntropy(), LABELS),
    ("weights", losses.CrossEntropy(class_weight=(1.0, 2.0, 0.5, 1.0, 3.0)), LABELS),
    ("smoothed", losses.CrossEntropy(label_smoothing=0.1), LABELS),
    (
        "smoothed K-1",
        losses.CrossEntropy(label_smoothing=0.1, smoothing_convention="K-1"),
        LABELS,
    ),
    ("soft", losses.CrossEntropy(), SOFT),
    ("focal", losses.Focal(gamma=2.0), LABELS),
    ("soft focal", losses.Focal(gamma=0.5), SOFT),
    ("divergence", losses.KLDivergence(), SOFT),
]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    ("loss", "target"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
@pytest.mark.parametrize("device", DEVICES)
def test_a_common_offset_of_the_logits_changes_nothing(
    device: str, loss: Loss, target: Any, offset: float
) -> None:
    z = rows()
    y = target if target.dtype.kind == "i" else target.astype("float32")
    right = value_and_slopes(loss, z, target, "reference", second=True)
    for found, wanted in zip(
        value_and_slopes(loss, (z + offset).astype("float32"), y, device, True),
        right,
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=5e-6, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_log_softmax_far_from_0(device: str) -> None:
    z = np.float32(rows() + 1e6)
    found = dr.jit(nn.log_softmax, device=device)(z).numpy()
    np.testing.assert_allclose(
        found, torch.log_softmax(torch.tensor(rows()), 1).numpy(), rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(np.exp(found.astype("float64")).sum(1), 1, rtol=1e-6)


def test_in_evaluate_and_fit_the_digits_stay() -> None:
    model = nn.Sequential(nn.Linear(2, 3, seed=0))
    model.load_state_dict(
        {"0.weight": np.zeros((3, 2), "f4"), "0.bias": np.full(3, 1e5, "f4")}
    )
    x, y = np.zeros((4, 2), "f4"), np.array([0, 1, 2, 0])
    assert model.evaluate(x, y, loss="cross_entropy")["loss"] == pytest.approx(
        np.log(3), rel=1e-7
    )
    history = model.fit(x, y, loss="cross_entropy", epochs=1, verbose=0)
    assert history["loss"][0] == pytest.approx(np.log(3), rel=1e-7)


MASKED = np.array([[-np.inf, 0.0, 1.0], [0.5, -np.inf, -1.0]])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("loss", "target", "oracle"),
    [
        (losses.CrossEntropy(), np.array([1, 2]), lambda z, y: tf.cross_entropy(z, y)),
        (losses.CrossEntropy(), np.array([[0.0, 0.4, 0.6], [0.3, 0.0, 0.7]]), None),
        (
            losses.NegativeLogLikelihood(),
            np.array([1, 2]),
            lambda z, y: tf.nll_loss(z, y),
        ),
        (
            losses.NegativeLogLikelihood(class_weight=(1.0, 2.0, 3.0)),
            np.array([1, 2]),
            lambda z, y: -(2.0 * z[0, 1] + 3.0 * z[1, 2]) / 2,
        ),
        (losses.Focal(gamma=2.0), np.array([1, 2]), None),
        (
            losses.Focal(gamma=0.0),
            np.array([1, 2]),
            lambda z, y: tf.cross_entropy(z, y),
        ),
        (losses.KLDivergence(), np.array([[0.0, 0.4, 0.6], [0.3, 0.0, 0.7]]), None),
        (
            losses.MulticlassHinge(),
            np.array([1, 2]),
            lambda z, y: 3 * tf.multi_margin_loss(z, y),
        ),
        (
            losses.MulticlassHinge(squared=True),
            np.array([1, 2]),
            lambda z, y: 3 * tf.multi_margin_loss(z, y, p=2),
        ),
    ],
    ids=lambda v: v.name if isinstance(v, Loss) else "",
)
def test_a_class_whose_logit_is_minus_infinity_counts_nothing(
    device: str, loss: Loss, target: Any, oracle: Any
) -> None:
    value, slope = value_and_slopes(loss, MASKED, target, device)
    if oracle is None:  # the same loss of the classes that are left
        parts = [
            value_and_slopes(loss, np.delete(row, i)[None], _without(y, i), device)
            for row, y, i in zip(MASKED, target, (0, 1), strict=True)
        ]
        wanted = np.mean([part[0] for part in parts])
        slopes = np.array(
            [
                np.insert(part[1][0] / 2, i, 0.0)
                for part, i in zip(parts, (0, 1), strict=True)
            ]
        )
    else:
        z = torch.tensor(MASKED, requires_grad=True)
        result = oracle(z, torch.tensor(target))
        wanted, (found,) = result.item(), torch.autograd.grad(result, [z])
        slopes = found.numpy()
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    np.testing.assert_allclose(slope, slopes, rtol=1e-12, atol=1e-15)


def _without(target: Any, masked: int) -> Any:
    return (
        np.array([target - (target > masked)])
        if np.ndim(target) == 0
        else np.delete(target, masked)[None]
    )


@pytest.mark.parametrize("device", DEVICES)
def test_logits_that_are_certain(device: str) -> None:
    z, y = np.array([np.inf, -np.inf, 40.0]), np.array([1.0, 0.0, 1.0])
    for loss in (
        losses.BinaryCrossEntropy(),
        losses.BinaryCrossEntropy(positive_weight=2.0),
        losses.BinaryFocal(),
        losses.BinaryFocal(gamma=0.0),
    ):
        value, slope = value_and_slopes(loss, z, y, device)
        assert 0 <= value < 1e-16 and (np.abs(slope) < 1e-16).all()
        wrong, slope = value_and_slopes(loss, z[:2], 1 - y[:2], device)
        assert wrong == np.inf and (
            getattr(loss, "gamma", 0) or np.isfinite(slope).all()
        )
    value, slope = value_and_slopes(
        losses.PoissonNLL(), np.array([-np.inf, 0.0]), np.array([0.0, 1.0]), device
    )
    np.testing.assert_allclose([value, *slope], [0.5, 0.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_cosh_and_its_slopes_keep_their_digits(device: str, dtype: str) -> None:
    e = np.array(
        [0, 1e-20, 1e-8, 1e-4, -1e-2, 0.3, -0.999, 1.0, 1.001, 3.0, -30.0, 1e4], dtype
    )
    value, slope = value_and_slopes(
        losses.LogCosh(reduction="sum"), e, np.zeros_like(e), device
    )
    each = losses.LogCosh(reduction="none")(e, np.zeros_like(e)).numpy()
    t = np.abs(np.longdouble(e))
    wanted = np.where(
        t < 1e-3,
        t**2 / 2 - t**4 / 12,
        t + np.log1p(np.exp(-2 * t)) - np.log(np.longdouble(2)),
    )
    precision = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(each, wanted.astype(dtype), rtol=precision, atol=0)
    np.testing.assert_allclose(
        slope, np.tanh(np.longdouble(e)).astype(dtype), rtol=precision, atol=0
    )
    assert value == pytest.approx(float(wanted.sum()), rel=precision)
