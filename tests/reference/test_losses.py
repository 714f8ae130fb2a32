"""Losses against torch in float64: values and gradients to 1e-10."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses
from deltarule.losses import Loss
from support.oracles import td, tf, torch

generator = np.random.default_rng(3)
SCORES = generator.normal(size=(6, 4)) * 3
LABELS = np.array([2, 0, 1, 3, 0, 2])
ROWS = generator.dirichlet(np.ones(4), size=6)
UNIT = generator.uniform(0.02, 0.98, size=(6, 4))
SIGNS = np.where(generator.normal(size=(6, 4)) > 0, 1.0, -1.0)
COUNTS = generator.integers(0, 5, size=(6, 4)).astype(float)
PAIRS, TRIPLES = generator.normal(size=(6, 2, 3)), generator.normal(size=(6, 3, 3))
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0])
Torch = Callable[[Any, Any], Any]  # (scores, targets) → loss, all torch tensors


def _multi_margin(power: int) -> Torch:
    return lambda z, y: (
        tf.multi_margin_loss(z, y, p=power, margin=1.0, reduction="sum") * z.shape[1]
    )


def _focal(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    log_p = tf.log_softmax(z, 1).gather(1, y[:, None])[:, 0]
    return -((1 - log_p.exp()) ** 1.5 * log_p).sum()


def _binary_focal(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """torchvision's sigmoid_focal_loss for hard labels."""
    p, ce = (
        torch.sigmoid(z),
        tf.binary_cross_entropy_with_logits(z, y, reduction="none"),
    )
    p_t = p * y + (1 - p) * (1 - y)
    return ((0.25 * y + 0.75 * (1 - y)) * ce * (1 - p_t) ** 2).mean(1).sum()


def _gaussian_full(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    mean, raw = z[:, :3], z[:, 3:].reshape(-1, 3, 3)
    factor = torch.tril(raw, -1) + torch.diag_embed(
        torch.exp(torch.diagonal(raw, dim1=1, dim2=2))
    )
    return -td.MultivariateNormal(mean, scale_tril=factor).log_prob(y).sum()


COVARIANCE = np.array(
    [
        [2.0, 0.3, 0.0, 0.1],
        [0.3, 1.0, -0.2, 0.0],
        [0.0, -0.2, 0.5, 0.1],
        [0.1, 0.0, 0.1, 0.8],
    ]
)
S = {"reduction": "sum"}
TWINS: dict[str, tuple[Loss, np.ndarray[Any, Any], np.ndarray[Any, Any], Torch]] = {
    "cross-entropy": (
        losses.CrossEntropy(**S),
        SCORES,
        LABELS,
        lambda z, y: tf.cross_entropy(z, y, **S),
    ),
    "soft targets": (
        losses.CrossEntropy(**S),
        SCORES,
        ROWS,
        lambda z, y: tf.cross_entropy(z, y, **S),
    ),
    "smoothing": (
        losses.CrossEntropy(label_smoothing=0.2, **S),
        SCORES,
        LABELS,
        lambda z, y: tf.cross_entropy(z, y, label_smoothing=0.2, **S),
    ),
    "smoothed rows": (
        losses.CrossEntropy(label_smoothing=0.2, **S),
        SCORES,
        ROWS,
        lambda z, y: tf.cross_entropy(z, y, label_smoothing=0.2, **S),
    ),
    "class weights": (
        losses.CrossEntropy(class_weight=tuple(WEIGHTS), **S),
        SCORES,
        LABELS,
        lambda z, y: tf.cross_entropy(z, y, torch.tensor(WEIGHTS), **S),
    ),
    "weights of rows": (
        losses.CrossEntropy(class_weight=tuple(WEIGHTS), **S),
        SCORES,
        ROWS,
        lambda z, y: tf.cross_entropy(z, y, torch.tensor(WEIGHTS), **S),
    ),
    "smoothing and weights": (
        losses.CrossEntropy(class_weight=tuple(WEIGHTS), label_smoothing=0.1, **S),
        SCORES,
        LABELS,
        lambda z, y: tf.cross_entropy(
            z, y, torch.tensor(WEIGHTS), label_smoothing=0.1, **S
        ),
    ),
    "nll": (
        losses.NegativeLogLikelihood(class_weight=tuple(WEIGHTS), **S),
        SCORES,
        LABELS,
        lambda a, y: tf.nll_loss(a, y, torch.tensor(WEIGHTS), **S),
    ),
    "focal": (losses.Focal(gamma=1.5, **S), SCORES, LABELS, _focal),
    "binary focal": (
        losses.BinaryFocal(gamma=2.0, balance=0.25, **S),
        SCORES,
        np.round(UNIT),
        _binary_focal,
    ),
    "binary": (
        losses.BinaryCrossEntropy(**S),
        SCORES,
        UNIT,
        lambda z, y: tf.binary_cross_entropy_with_logits(z, y, **S) / 4,
    ),
    "positive weight": (
        losses.BinaryCrossEntropy(positive_weight=10.0, **S),
        SCORES,
        UNIT,
        lambda z, y: (
            tf.binary_cross_entropy_with_logits(
                z, y, pos_weight=torch.tensor(10.0), **S
            )
            / 4
        ),
    ),
    "binary of probabilities": (
        losses.BinaryCrossEntropy(from_logits=False, **S),
        UNIT,
        ROWS,
        lambda p, y: tf.binary_cross_entropy(p, y, **S) / 4,
    ),
    "hinge": (
        losses.Hinge(**S),
        SCORES,
        SIGNS,
        lambda z, y: (1 - y * z).clamp(min=0).mean(1).sum(),
    ),
    "squared hinge": (
        losses.Hinge(squared=True, **S),
        SCORES,
        SIGNS,
        lambda z, y: ((1 - y * z).clamp(min=0) ** 2).mean(1).sum(),
    ),
    "multi-class hinge": (
        losses.MulticlassHinge(**S),
        SCORES,
        LABELS,
        _multi_margin(1),
    ),
    "squared multi-class hinge": (
        losses.MulticlassHinge(squared=True, **S),
        SCORES,
        LABELS,
        _multi_margin(2),
    ),
    "mse": (losses.MeanSquaredError(), SCORES, UNIT, lambda z, y: tf.mse_loss(z, y)),
    "squared error": (
        losses.SquaredError(**S),
        SCORES,
        UNIT,
        lambda z, y: tf.mse_loss(z, y, **S),
    ),
    "half squared error": (
        losses.SquaredError(scale=0.5, **S),
        SCORES,
        UNIT,
        lambda z, y: tf.mse_loss(z, y, **S) / 2,
    ),
    "mae": (losses.MeanAbsoluteError(), SCORES, UNIT, lambda z, y: tf.l1_loss(z, y)),
    "huber": (
        losses.Huber(delta=0.7),
        SCORES,
        UNIT,
        lambda z, y: tf.huber_loss(z, y, delta=0.7),
    ),
    "log-cosh": (
        losses.LogCosh(),
        SCORES,
        UNIT,
        lambda z, y: torch.log(torch.cosh(z - y)).mean(),
    ),
    "gaussian, fixed": (
        losses.GaussianNLL(covariance=tuple(map(tuple, COVARIANCE)), **S),
        SCORES,
        UNIT,
        lambda z, y: (
            -td.MultivariateNormal(z, torch.tensor(COVARIANCE)).log_prob(y).sum()
        ),
    ),
    "gaussian, diagonal": (
        losses.GaussianNLL(spread="diagonal", **S),
        generator.normal(size=(6, 8)),
        UNIT,
        lambda z, y: tf.gaussian_nll_loss(
            z[:, :4], y, z[:, 4:].exp(), full=True, eps=1e-30, **S
        ),
    ),
    "gaussian, full": (
        losses.GaussianNLL(spread="full", **S),
        generator.normal(size=(6, 12)),
        UNIT[:, :3],
        _gaussian_full,
    ),
    "poisson": (
        losses.PoissonNLL(),
        SCORES,
        COUNTS,
        lambda z, y: tf.poisson_nll_loss(z, y),
    ),
    "poisson of rates": (
        losses.PoissonNLL(log_rate=False),
        UNIT,
        COUNTS,
        lambda z, y: tf.poisson_nll_loss(z, y, log_input=False, eps=0.0),
    ),
    "kl": (
        losses.KLDivergence(**S),
        SCORES,
        ROWS,
        lambda z, y: tf.kl_div(tf.log_softmax(z, 1), y, **S),
    ),
    "kl of log-probabilities": (
        losses.KLDivergence(from_logits=False, **S),
        SCORES,
        ROWS,
        lambda a, y: tf.kl_div(a, y, **S),
    ),
    "cosine": (
        losses.Cosine(**S),
        PAIRS,
        SIGNS[:, 0],
        lambda z, y: -(y * tf.cosine_similarity(z[:, 0], z[:, 1])).sum(),
    ),
    "cosine with a margin": (
        losses.Cosine(form="margin", margin=0.1, **S),
        PAIRS,
        SIGNS[:, 0],
        lambda z, y: tf.cosine_embedding_loss(z[:, 0], z[:, 1], y, 0.1, **S),
    ),
    "contrastive": (
        losses.Contrastive(margin=2.0, **S),
        PAIRS,
        (SIGNS[:, 0] + 1) / 2,
        lambda z, y: (
            (
                (z[:, 0] - z[:, 1]).norm(dim=1) ** 2 * y
                + (2.0 - (z[:, 0] - z[:, 1]).norm(dim=1)).clamp(min=0) ** 2 * (1 - y)
            ).sum()
            / 2
        ),
    ),
    "triplet": (
        losses.Triplet(**S),
        TRIPLES,
        LABELS,
        lambda z, y: tf.triplet_margin_loss(z[:, 0], z[:, 1], z[:, 2], eps=0.0, **S),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_value_and_gradient_agree_with_torch(name: str) -> None:
    ours, prediction, target, theirs = TWINS[name]
    z = dr.tensor(prediction)
    value = ours(z, target)
    slope = dr.grad(value, z).numpy()
    t = torch.tensor(prediction, requires_grad=True)
    expected = theirs(t, torch.tensor(target))
    expected.backward()
    assert t.grad is not None
    np.testing.assert_allclose(value.item(), expected.item(), rtol=1e-10)
    np.testing.assert_allclose(slope, t.grad.numpy(), rtol=1e-10, atol=1e-10)


EXTREME = np.array([[-1e4, 1e4], [800.0, -800.0], [60.0, 0.0], [0.0, 60.0]])


@pytest.mark.notes("ACT-16", "OUT-08")
def test_extreme_logits_stay_finite_and_exact() -> None:
    def binary(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return tf.binary_cross_entropy_with_logits(z, y, **S) / 2

    pairs: list[tuple[Loss, np.ndarray[Any, Any], Torch]] = [
        (
            losses.CrossEntropy(**S),
            np.array([0, 1, 1, 0]),
            lambda z, y: tf.cross_entropy(z, y, **S),
        ),
        (losses.BinaryCrossEntropy(**S), np.array([[1.0, 0]] * 4), binary),
    ]
    for ours, target, theirs in pairs:
        z, t = dr.tensor(EXTREME), torch.tensor(EXTREME, requires_grad=True)
        value, expected = ours(z, target), theirs(t, torch.tensor(target))
        slope = dr.grad(value, z).numpy()
        expected.backward()
        assert t.grad is not None
        np.testing.assert_allclose(value.item(), expected.item(), rtol=1e-12)
        np.testing.assert_allclose(slope, t.grad.numpy(), rtol=1e-10, atol=1e-15)


@pytest.mark.notes("OUT-09")
def test_probabilities_of_zero_and_one_are_torchs() -> None:
    p, y = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    ours = losses.BinaryCrossEntropy(from_logits=False, reduction="none")
    value = ours(p, y).numpy()
    np.testing.assert_allclose(
        value,
        tf.binary_cross_entropy(
            torch.tensor(p), torch.tensor(y), reduction="none"
        ).numpy(),
    )
    z = dr.tensor(p)
    slope = dr.grad(
        losses.BinaryCrossEntropy(from_logits=False, reduction="sum")(z, y), z
    ).numpy()
    t = torch.tensor(p, requires_grad=True)
    tf.binary_cross_entropy(t, torch.tensor(y), reduction="sum").backward()
    assert t.grad is not None
    np.testing.assert_allclose(
        slope, t.grad.numpy(), rtol=1e-8
    )  # torch's 1e-12 is a float32
