"""Targets whose values are known only where a program runs: refused there by the loss's name; labels to be ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn, optim
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.losses import CrossEntropy, Loss
from deltarule.train.monitoring import metrics
from support.oracles import tf, torch

DEVICES = ("cpu", "reference")
N = 37  # no multiple of a vector


def _with(good: Any, bad: Any, row: int = N - 1) -> tuple[Any, Any]:
    wrong = np.array(good)
    wrong[row] = bad
    return good, wrong


LABELS, SHARES = np.arange(N) % 3, np.full((N, 3), 1 / 3)
SIGNS, TRUTH, COUNTS = (
    np.where(np.arange(N) % 2, 1.0, -1.0),
    np.arange(N) % 2 * 1.0,
    np.arange(N) * 1.0,
)
LOGITS = np.random.default_rng(0).normal(size=(N, 3))
SCORES, PAIRS = LOGITS[:, 0], LOGITS[:, :2, None]
CLASSES = r"targets: expected labels 0 … 2, got (-100|3)\."
BAD: list[tuple[Loss, Any, tuple[Any, Any], str]] = [
    *(
        (loss, LOGITS, _with(LABELS, bad), CLASSES)
        for bad in (-100, 3)
        for loss in (
            CrossEntropy(),
            CrossEntropy(label_smoothing=0.1),
            CrossEntropy(class_weight=(1.0, 2.0, 1.0)),
            losses.MulticlassHinge(),
            losses.MulticlassHinge(squared=True),
            losses.Focal(),
            losses.NegativeLogLikelihood(),
        )
    ),
    (CrossEntropy(from_logits=False), SHARES, _with(LABELS, 3), CLASSES),
    (
        CrossEntropy(ignore_label=-1),
        LOGITS,
        _with(LABELS, -2),
        "labels 0 … 2, or -1 to be ignored, got -2",
    ),
    (
        CrossEntropy(),
        LOGITS,
        _with(SHARES, [0.5, 0.5, 0.5]),
        r"rows that sum to 1, got 1\.5",
    ),
    (
        losses.KLDivergence(),
        LOGITS,
        _with(SHARES, [1.5, -0.5, 0.0]),
        r"probabilities ≥ 0, got -0\.5",
    ),
    (
        losses.BinaryCrossEntropy(),
        SCORES,
        _with(TRUTH, 2.0),
        r"numbers in \[0, 1\], got 2\.0",
    ),
    (
        losses.BinaryFocal(),
        SCORES,
        _with(TRUTH, -1.0),
        r"numbers in \[0, 1\], got -1\.0",
    ),
    (losses.Hinge(), SCORES, _with(SIGNS, 0.0), r"the labels -1 and 1, got 0\.0"),
    (
        losses.Hinge(squared=True),
        SCORES,
        _with(SIGNS, 0.5),
        r"the labels -1 and 1, got 0\.5",
    ),
    (losses.PoissonNLL(), SCORES, _with(COUNTS, -3.0), r"counts ≥ 0, got -3\.0"),
    (losses.Cosine(), PAIRS, _with(SIGNS, 0.0), r"the signs -1 and 1, got 0\.0"),
    (losses.Contrastive(), PAIRS, _with(TRUTH, 2.0), r"the labels 0 and 1, got 2\.0"),
    (
        losses.Multitask(
            losses=(CrossEntropy(), losses.MeanSquaredError()),
            outputs=(2, 1),
            targets=(1, 1),
        ),
        LOGITS,
        _with(np.c_[TRUTH, COUNTS], [5.0, 0.0]),
        "CrossEntropy targets: expected labels 0 … 1, got 5",
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("loss", "z", "targets", "message"),
    BAD,
    ids=lambda v: v.name if isinstance(v, Loss) else "",
)
def test_a_target_that_cannot_be_is_refused_where_the_program_runs(
    device: str, loss: Loss, z: Any, targets: tuple[Any, Any], message: str
) -> None:
    programs = [
        dr.jit(loss, device=device),
        dr.jit(lambda z, y: dr.grad(loss(z, y), [z])[0], device=device),
    ]
    good, bad = targets
    for program in programs:
        np.testing.assert_array_equal(np.isfinite(program(z, good).numpy()), True)
        with pytest.raises(DataError, match=message):
            program(z, bad)
        np.testing.assert_array_equal(np.isfinite(program(z, good).numpy()), True)
    with pytest.raises(DataError, match=message):  # a computed target at the prompt
        loss(z, dr.tensor(bad) + 0).numpy()


def test_a_target_that_is_not_a_number_shows_in_the_loss() -> None:
    y = np.array([0.0, np.nan])
    assert np.isnan(dr.jit(losses.BinaryCrossEntropy())(np.zeros(2), y).item())


@pytest.mark.parametrize("shape", [(), (4,), (3, 2)])
def test_every_place_is_checked(shape: tuple[int, ...]) -> None:
    loss = CrossEntropy(reduction="none")
    labels = np.zeros((5, *shape), int)
    program = dr.jit(lambda z, y: loss(z, y))
    logits = np.zeros((*labels.shape, 3))
    program(logits, labels)
    for place in np.ndindex(labels.shape):
        wrong = labels.copy()
        wrong[place] = 7
        with pytest.raises(DataError, match="got 7"):
            program(logits, wrong)


# ---------------------------------------------------------------- labels to be ignored


def _torch(loss: Loss, z: Any, y: Any) -> tuple[float, Any]:
    scores = torch.tensor(z, requires_grad=True)
    moved = scores.movedim(-1, 1)
    if isinstance(loss, losses.NegativeLogLikelihood):
        value = tf.nll_loss(
            moved,
            torch.tensor(y),
            ignore_index=loss.ignore_label,
            reduction=loss.reduction,
        )
    else:
        value = tf.cross_entropy(
            moved,
            torch.tensor(y),
            ignore_index=loss.ignore_label,
            reduction=loss.reduction,
            label_smoothing=loss.label_smoothing,
        )
    if value.ndim:
        value = value.reshape(len(y), -1).mean(1).sum()
    return value.item(), torch.autograd.grad(value, [scores])[0].numpy()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ignored", [-100, -1, 0, 2])
@pytest.mark.parametrize("shape", [(N, 3), (6, 5, 3)])
@pytest.mark.parametrize(
    "make",
    [
        lambda i: CrossEntropy(ignore_label=i),
        lambda i: CrossEntropy(ignore_label=i, label_smoothing=0.2),
        lambda i: losses.NegativeLogLikelihood(ignore_label=i),
    ],
    ids=["labels", "smoothed", "nll"],
)
def test_ignored_labels_count_nothing_as_in_torch(
    device: str, ignored: int, shape: Any, make: Any
) -> None:
    generator = np.random.default_rng(3)
    z, y = generator.normal(size=shape), generator.integers(0, 3, size=shape[:-1])
    y[generator.random(y.shape) < 0.4] = ignored
    loss = make(ignored)
    value, slope = dr.jit(
        lambda z, y: (loss(z, y), dr.grad(loss(z, y), [z])[0]), device=device
    )(z, y)
    wanted, slopes = _torch(loss, z, y)
    assert value.item() == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(slope.numpy(), slopes, rtol=1e-10, atol=1e-14)
    assert loss(z, y).item() == pytest.approx(wanted, rel=1e-12)


def test_focal_ignores_too_and_a_batch_of_nothing_has_loss_0() -> None:
    z, y = LOGITS, np.where(np.arange(N) % 3 == 0, -1, LABELS)
    found = losses.Focal(ignore_label=-1)(z, y).item()
    assert found == pytest.approx(
        losses.Focal()(z[y >= 0], y[y >= 0]).item(), rel=1e-12
    )
    loss = CrossEntropy(ignore_label=-1)
    value, slope = dr.jit(lambda z, y: (loss(z, y), dr.grad(loss(z, y), [z])[0]))(
        z, np.full(N, -1)
    )
    assert value.item() == 0 and (slope.numpy() == 0).all()


def test_fit_and_evaluate_leave_ignored_labels_out() -> None:
    generator = np.random.default_rng(5)
    x, y = (
        generator.normal(size=(50, 4)).astype("f4"),
        generator.integers(0, 3, size=50),
    )
    y[generator.random(50) < 0.5] = -100
    kept = y >= 0
    loss = CrossEntropy(ignore_label=-100)
    model = nn.Sequential(nn.Linear(4, 3, seed=0))
    names = ["accuracy", "top_3_accuracy", metrics.TopK(2, ignore_label=-100)]
    found = model.evaluate(x, y, loss=loss, metrics=names, batch_size=8)
    wanted = model.evaluate(
        x[kept], y[kept], loss="cross_entropy", metrics=["accuracy", metrics.TopK(2)]
    )
    assert found["loss"] == pytest.approx(
        wanted["loss"], rel=1e-6
    )  # whatever share of a batch counts
    assert found["accuracy"] == wanted["accuracy"] and found["top_3_accuracy"] == 1
    assert found["top_2_accuracy"] == wanted["top_2_accuracy"]
    history = model.fit(
        x,
        y,
        loss=loss,
        epochs=30,
        optimizer=optim.Adam(learning_rate=0.1),
        batch_size=50,
        metrics=["accuracy"],
        class_weight="balanced",
        verbose=0,
    )
    other = nn.Sequential(nn.Linear(4, 3, seed=0))
    alone = other.fit(
        x[kept],
        y[kept],
        loss="cross_entropy",
        epochs=30,
        optimizer=optim.Adam(learning_rate=0.1),
        batch_size=50,
        metrics=["accuracy"],
        class_weight="balanced",
        verbose=0,
    )
    np.testing.assert_allclose(history["loss"], alone["loss"], rtol=1e-4)
    assert history["accuracy"][-1] == alone["accuracy"][-1]
    with pytest.raises(DataError, match=r"labels: expected whole numbers 0 … 2"):
        model.evaluate(x, np.where(kept, y, -7), loss=loss)


def test_a_task_that_ignores_labels_is_averaged_over_the_others() -> None:
    both = losses.Multitask(
        losses=(CrossEntropy(ignore_label=-1), losses.MeanSquaredError()),
        outputs=(3, 1),
        targets=(1, 1),
    )
    labels = np.where(np.arange(N) % 2, -1, LABELS)
    found = both(np.c_[LOGITS, SCORES], np.c_[labels, COUNTS]).item()
    first = CrossEntropy()(LOGITS[labels >= 0], labels[labels >= 0]).item()
    assert found == pytest.approx(first + np.mean((SCORES - COUNTS) ** 2), rel=1e-12)


def test_the_label_to_ignore_is_a_whole_number() -> None:
    with pytest.raises(
        ArgumentError,
        match="CrossEntropy ignore_label: expected a whole number or None",
    ):
        CrossEntropy(ignore_label=0.5)  # type: ignore[arg-type]  # refused
    loss = CrossEntropy(ignore_label=np.int64(-1))  # type: ignore[arg-type]  # taken
    assert losses.from_config(loss.config()) == CrossEntropy(ignore_label=-1)
    with pytest.raises(ShapeError):
        loss(np.zeros((2, 3)), np.zeros((3,), int))


@pytest.mark.parametrize(
    ("loss", "has"),
    [
        (losses.MulticlassHinge(), False),
        (CrossEntropy(), True),
        (losses.Focal(), True),
        (CrossEntropy(ignore_label=-1), False),
    ],
)
def test_ignored_labels_are_named_where_there_are_some(loss, has):
    with pytest.raises(DataError) as told:
        loss(LOGITS, _with(LABELS, 3)[1])
    assert ("ignore_label=" in str(told.value)) == has
