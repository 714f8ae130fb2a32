"""The contract of every loss: reductions, weights, gradients, checks, configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses
from deltarule.errors import DataError, ShapeError
from deltarule.losses import Loss

generator = np.random.default_rng(12)
SCORES = generator.normal(size=(5, 3))
LABELS = np.array([2, 0, 1, 1, 0])
ROWS = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0.5, 0.5], [0.1, 0.1, 0.8], [0, 1, 0]])
MIXED = ROWS * 0.9 + 0.1 / 3  # no zeros: Σ y ln y bends there
SIGNS = np.where(generator.normal(size=(5, 3)) > 0, 1.0, -1.0)
UNIT = generator.uniform(0.05, 0.95, size=(5, 3))
COUNTS = generator.integers(0, 6, size=(5, 3)).astype(float)
PAIRS, TRIPLES = generator.normal(size=(5, 2, 4)), generator.normal(size=(5, 3, 4))
COVARIANCE = ((2.0, 0.3, 0.0), (0.3, 1.0, -0.2), (0.0, -0.2, 0.5))


@dataclass(frozen=True)
class Case:
    """A loss, outputs and targets that fit it."""

    label: str
    make: Callable[..., Loss]
    prediction: np.ndarray[Any, Any]
    target: np.ndarray[Any, Any]
    bad: float  # a target outside the loss's domain


def _softmax(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _with(kind: Callable[..., Loss], **options: Any) -> Callable[..., Loss]:
    return lambda **more: kind(**options, **more)


CASES = [
    Case("cross-entropy of labels", losses.CrossEntropy, SCORES, LABELS, 3),
    Case("cross-entropy of rows", losses.CrossEntropy, SCORES, ROWS, -0.5),
    Case(
        "cross-entropy, smoothed",
        _with(losses.CrossEntropy, label_smoothing=0.1, smoothing_convention="K-1"),
        SCORES,
        LABELS,
        -1,
    ),
    Case(
        "cross-entropy, weighted",
        _with(losses.CrossEntropy, class_weight=(1.0, 2.0, 0.5)),
        SCORES,
        LABELS,
        9,
    ),
    Case(
        "cross-entropy of probabilities",
        _with(losses.CrossEntropy, from_logits=False),
        _softmax(SCORES),
        ROWS,
        0.3,
    ),
    Case(
        "negative log-likelihood",
        losses.NegativeLogLikelihood,
        np.log(_softmax(SCORES)),
        LABELS,
        3,
    ),
    Case("focal", losses.Focal, SCORES, LABELS, 3),
    Case(
        "focal, weak",
        _with(losses.Focal, gamma=0.5, class_weight=(1.0, 2.0, 0.5)),
        SCORES,
        ROWS,
        5,
    ),
    Case("binary cross-entropy", losses.BinaryCrossEntropy, SCORES, UNIT, 1.5),
    Case(
        "binary cross-entropy, weighted",
        _with(losses.BinaryCrossEntropy, positive_weight=10.0),
        SCORES,
        UNIT,
        -1,
    ),
    Case(
        "binary cross-entropy of probabilities",
        _with(losses.BinaryCrossEntropy, from_logits=False),
        UNIT,
        UNIT[::-1],
        2,
    ),
    Case(
        "binary cross-entropy of probabilities, weighted",
        _with(losses.BinaryCrossEntropy, from_logits=False, negative_weight=3.0),
        UNIT,
        UNIT[::-1],
        2,
    ),
    Case("binary focal", _with(losses.BinaryFocal, balance=0.25), SCORES, UNIT, -1),
    Case("hinge", losses.Hinge, SCORES, SIGNS, 0),
    Case("squared hinge", _with(losses.Hinge, squared=True), SCORES, SIGNS, 0),
    Case("multi-class hinge", losses.MulticlassHinge, SCORES, LABELS, 3),
    Case(
        "squared multi-class hinge",
        _with(losses.MulticlassHinge, squared=True, margin=0.5),
        SCORES,
        LABELS,
        -2,
    ),
    Case("mean squared error", losses.MeanSquaredError, SCORES, UNIT, np.nan),
    Case("squared error", losses.SquaredError, SCORES, UNIT, np.inf),
    Case(
        "half squared error",
        _with(losses.SquaredError, scale=0.5),
        SCORES,
        UNIT,
        np.nan,
    ),
    Case("mean absolute error", losses.MeanAbsoluteError, SCORES, UNIT, np.nan),
    Case("huber", _with(losses.Huber, delta=0.6), SCORES, UNIT, np.nan),
    Case("log-cosh", losses.LogCosh, SCORES, UNIT, np.nan),
    Case("quantile", _with(losses.Quantile, quantile=0.8), SCORES, UNIT, np.nan),
    Case(
        "gaussian, fixed",
        _with(losses.GaussianNLL, covariance=COVARIANCE),
        SCORES,
        UNIT,
        np.nan,
    ),
    Case(
        "gaussian, diagonal",
        _with(losses.GaussianNLL, spread="diagonal"),
        generator.normal(size=(5, 6)),
        UNIT,
        np.nan,
    ),
    Case(
        "gaussian, full",
        _with(losses.GaussianNLL, spread="full"),
        generator.normal(size=(5, 12)),
        UNIT,
        np.nan,
    ),
    Case("poisson", losses.PoissonNLL, SCORES, COUNTS, -1),
    Case(
        "poisson of rates", _with(losses.PoissonNLL, log_rate=False), UNIT, COUNTS, -1
    ),
    Case("kl", losses.KLDivergence, SCORES, MIXED, -0.1),
    Case(
        "kl of log-probabilities",
        _with(losses.KLDivergence, from_logits=False),
        np.log(_softmax(SCORES)),
        MIXED,
        0.9,
    ),
    Case("cosine", losses.Cosine, PAIRS, SIGNS[:, 0], 0),
    Case(
        "cosine with a margin",
        _with(losses.Cosine, form="margin", margin=0.2),
        PAIRS,
        SIGNS[:, 0],
        2,
    ),
    Case("cosine to vectors", losses.Cosine, SCORES, UNIT, np.nan),
    Case(
        "contrastive",
        _with(losses.Contrastive, margin=2.0),
        PAIRS,
        np.array([1, 0, 1, 0, 0]),
        2,
    ),
    Case("triplet", losses.Triplet, TRIPLES, LABELS, np.nan),
    Case(
        "triplet of squares",
        _with(losses.Triplet, squared=True),
        TRIPLES,
        LABELS,
        np.nan,
    ),
    Case(
        "multitask",
        _with(
            losses.Multitask,
            losses=(losses.CrossEntropy(label_smoothing=0.1), losses.Huber()),
            outputs=(2, 1),
            targets=(1, 1),
            weights=(1.0, 0.5),
        ),
        SCORES,
        np.stack([LABELS % 2, UNIT[:, 0]], axis=1),
        7,
    ),
]
IDS = [case.label for case in CASES]
every_loss = pytest.mark.parametrize("case", CASES, ids=IDS)


def test_every_loss_has_a_case() -> None:
    kinds = {type(case.make()) for case in CASES}
    assert kinds == {
        kind
        for kind in vars(losses).values()
        if isinstance(kind, type) and issubclass(kind, Loss)
    } - {Loss}


@every_loss
def test_reductions(case: Case) -> None:
    each = case.make(reduction="none")(case.prediction, case.target)
    assert each.shape == (5,)
    assert np.isfinite(each.numpy()).all()
    assert case.make(reduction="sum")(
        case.prediction, case.target
    ).item() == pytest.approx(each.numpy().sum(), rel=1e-12)
    assert case.make()(case.prediction, case.target).item() == pytest.approx(
        each.numpy().mean(), rel=1e-12
    )


@every_loss
@pytest.mark.notes("OUT-21")
def test_examples_do_not_see_one_another(case: Case) -> None:
    each = case.make(reduction="none")
    together = each(case.prediction, case.target).numpy()
    alone = [
        each(case.prediction[i : i + 1], case.target[i : i + 1]).numpy()[0]
        for i in range(5)
    ]
    np.testing.assert_allclose(alone, together, rtol=1e-12, atol=1e-14)


@every_loss
def test_sample_weights_multiply_examples(case: Case) -> None:
    weight = np.array([0.0, 1.0, 2.0, 0.5, 3.0])
    each = case.make(reduction="none")(case.prediction, case.target).numpy()
    assert case.make()(case.prediction, case.target, weight).item() == pytest.approx(
        (weight * each).mean(), rel=1e-12
    )
    with pytest.raises(ShapeError, match="sample_weight"):
        case.make()(case.prediction, case.target, np.ones((5, 1)))


@every_loss
def test_derivatives_agree_with_differences_to_second_order(case: Case) -> None:
    loss = case.make(reduction="none")
    weight = dr.tensor(np.array([0.3, -1.0, 0.7, 1.3, 0.4]))
    target = dr.tensor(case.target)
    report = dr.check_gradients(
        lambda z: (loss(z, target) * weight).sum(), dr.tensor(case.prediction)
    )
    labels_inside = (
        case.label == "multitask"
    )  # a column of labels among the targets: no slope there
    checked = [e for e in report.errors if e.name == "argument 0" or not labels_inside]
    assert len(checked) >= 2 and max(e.error for e in checked) < 1e-6, str(report)


@every_loss
def test_float32_stays_float32(case: Case) -> None:
    value = case.make()(case.prediction.astype("float32"), case.target)
    assert value.dtype.name == "float32"
    assert value.item() == pytest.approx(
        case.make()(case.prediction, case.target).item(), rel=2e-5, abs=2e-6
    )


@every_loss
def test_config_makes_the_same_loss_again(case: Case) -> None:
    loss = case.make(reduction="sum")
    again = losses.from_config(json.loads(json.dumps(loss.config())))
    assert again == loss
    assert losses.get(loss) is loss


@every_loss
def test_predictions_have_meaning(case: Case) -> None:
    loss = case.make()
    meaning = loss.predict(dr.tensor(case.prediction)).numpy()
    assert len(meaning) == 5
    if loss.link == "softmax":
        np.testing.assert_allclose(meaning.sum(-1), 1.0, atol=1e-12)
    if loss.link == "sigmoid":
        assert ((meaning > 0) & (meaning < 1)).all()


@every_loss
def test_a_target_outside_the_domain_is_refused_with_its_place(case: Case) -> None:
    kind = (
        float
        if not np.isfinite(case.bad) or case.bad != int(case.bad)
        else case.target.dtype
    )
    target = case.target.astype(kind)
    target[(2, *([0] * (target.ndim - 1)))] = case.bad
    with pytest.raises(DataError, match=r"targets: expected .* in row 2"):
        case.make()(case.prediction, target)
    with pytest.raises(DataError, match="row 2"):
        case.make().check_values(case.prediction.shape, target)


@every_loss
def test_targets_that_would_broadcast_are_refused(case: Case) -> None:
    with pytest.raises((ShapeError, TypeError)):
        case.make()(case.prediction, case.target[:, None])
    with pytest.raises((ShapeError, TypeError)):
        case.make()(case.prediction, case.target[:1])


@every_loss
def test_repr_shows_the_arguments(case: Case) -> None:
    loss = case.make()
    assert repr(loss).startswith(type(loss).__name__ + "(reduction='mean'")
