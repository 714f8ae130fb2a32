"""Metrics against scikit-learn, on batches of which the last is smaller."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from deltarule import losses
from deltarule.errors import ArgumentError, ShapeError
from deltarule.tensor.tensor import parameter, tensor
from deltarule.train import ForwardResult, evaluate
from deltarule.train.monitoring import metrics

N = 101


class Given:
    """A model whose outputs are its inputs (plus a learned 0)."""

    def __init__(self):
        self.zero = parameter(np.zeros(1), "zero")

    def named_parameters(self):
        return [("zero", self.zero)]

    def named_state(self):
        return []

    def apply(self, inputs, *, mode, seed, step):
        return ForwardResult(inputs + self.zero)

    def config(self):
        return None


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def measured(outputs, targets, loss, *names, batch_size=16):
    return evaluate(Given(), outputs, targets, loss, list(names), batch_size=batch_size)


def test_classes(rng):
    scores, labels = rng.normal(size=(N, 7)), rng.integers(0, 7, N)
    found = measured(
        scores, labels, "cross_entropy", "accuracy", "top_3_accuracy", "top_5_accuracy"
    )
    assert found["accuracy"] == pytest.approx(
        oracle.accuracy_score(labels, scores.argmax(1))
    )
    for k in (3, 5):
        expected = oracle.top_k_accuracy_score(labels, scores, k=k)
        assert found[f"top_{k}_accuracy"] == pytest.approx(expected)
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert found["loss"] == pytest.approx(
        oracle.log_loss(labels, probabilities), rel=1e-6
    )
    rows = measured(
        scores, np.eye(7)[labels], "cross_entropy", "accuracy", "top_3_accuracy"
    )
    assert (
        rows["accuracy"] == found["accuracy"]
        and rows["top_3_accuracy"] == found["top_3_accuracy"]
    )


def test_top_k_at_a_tie_prefers_lower_classes():
    scores = tensor(np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]))
    (hits,) = metrics.TopK(2).totals(scores, tensor([1, 2]))
    assert hits.item() == 1.0
    (first,) = metrics.TopK(1).totals(scores, tensor([0, 1]))
    assert (
        first.item()
        == metrics.Accuracy().totals(scores, tensor([0, 1]))[0].item()
        == 1.0
    )


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_yes_or_no(rng, shape):
    scores, labels = rng.normal(size=shape), rng.integers(0, 2, shape)
    names = ("accuracy", "precision", "recall", "f1")
    found = measured(scores, labels, "binary_cross_entropy", *names)
    said, is_so = scores.ravel() > 0, labels.ravel()
    for name, score in zip(
        names,
        (
            oracle.accuracy_score,
            oracle.precision_score,
            oracle.recall_score,
            oracle.f1_score,
        ),
        strict=True,
    ):
        assert found[name] == pytest.approx(score(is_so, said)), name


def test_thresholds_follow_the_loss(rng):
    probabilities, labels = rng.uniform(0.01, 0.99, size=N), rng.integers(0, 2, N)
    loss = losses.BinaryCrossEntropy(from_logits=False)
    assert measured(probabilities, labels, loss, "accuracy")[
        "accuracy"
    ] == pytest.approx(oracle.accuracy_score(labels, probabilities > 0.5))
    scores, signs = rng.normal(size=N), rng.choice([-1, 1], N)
    assert measured(scores, signs, "hinge", "accuracy")["accuracy"] == pytest.approx(
        oracle.accuracy_score(signs, np.sign(scores))
    )


def test_nothing_found_and_nothing_there_are_0():
    for metric in (metrics.Precision(), metrics.Recall(), metrics.F1()):
        assert metric.value([0.0, 0.0, 0.0], 3) == 0.0


@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 3)])
def test_numbers(rng, shape):
    outputs, targets = rng.normal(size=shape), rng.normal(size=shape) * 3 + 100
    found = measured(outputs, targets, "mean_squared_error", "mae", "mse", "rmse", "r2")
    flat, truth = outputs.ravel(), targets.ravel()
    assert found["mae"] == pytest.approx(
        oracle.mean_absolute_error(truth, flat), rel=1e-12
    )
    assert (
        found["mse"]
        == found["loss"]
        == pytest.approx(oracle.mean_squared_error(truth, flat), rel=1e-12)
    )
    assert found["rmse"] == pytest.approx(
        oracle.root_mean_squared_error(truth, flat), rel=1e-12
    )
    assert found["r2"] == pytest.approx(oracle.r2_score(truth, flat), rel=1e-9)


def test_r2_of_targets_that_do_not_vary_is_0():
    assert (
        measured(np.zeros(N), np.full(N, 3.0), "mean_squared_error", "r2")["r2"] == 0.0
    )


def test_values_do_not_depend_on_the_batch_size(rng):
    scores, labels = rng.normal(size=(N, 3)), rng.integers(0, 3, N)
    names = ["accuracy", "top_3_accuracy"]
    expected = measured(scores, labels, "cross_entropy", *names, batch_size=N)
    for size in (1, 2, 50, 100, 1000):
        found = measured(scores, labels, "cross_entropy", *names, batch_size=size)
        assert found == pytest.approx(expected, rel=1e-12)


def test_functions_are_metrics(rng):
    outputs, targets = rng.normal(size=N), rng.normal(size=N)

    def largest_half(prediction, target):
        return abs(prediction - target) > 0.5

    def bias(prediction, target):
        return (prediction - target).mean()

    found = measured(
        outputs,
        targets,
        "mean_squared_error",
        metrics.FunctionMetric(lambda p, t: (p - t) ** 3, "skew"),
        bias,
    )
    assert found["skew"] == pytest.approx(np.mean((outputs - targets) ** 3), rel=1e-12)
    assert found["bias"] == pytest.approx(np.mean(outputs - targets), rel=1e-12)
    share = metrics.get(
        lambda p, t: largest_half(p, t).astype("float64"),
        losses.get("mean_squared_error"),
    )
    (total,) = share.totals(tensor(outputs), tensor(targets))
    assert total.item() == np.sum(np.abs(outputs - targets) > 0.5)
    assert share.per_batch(tensor(outputs), tensor(targets)).item() == pytest.approx(
        total.item() / N
    )


def test_what_is_refused():
    loss = losses.get("cross_entropy")
    with pytest.raises(ArgumentError, match="one of accuracy"):
        metrics.get("acuracy", loss)
    with pytest.raises(ArgumentError, match=r"metrics=\['accuracy'\]"):
        metrics.get_all("accuracy", loss)
    with pytest.raises(ArgumentError, match="'accuracy'"):
        metrics.get_all(["accuracy", "accuracy"], loss)
    with pytest.raises(ArgumentError, match="'loss'"):
        metrics.get_all([metrics.FunctionMetric(lambda p, t: p, "loss")], loss)
    with pytest.raises(ArgumentError, match="a whole number"):
        metrics.TopK(0)
    with pytest.raises(ShapeError, match="binary_accuracy"):
        metrics.Accuracy().totals(tensor(np.zeros((4, 1))), tensor(np.zeros((4, 1))))
    with pytest.raises(ShapeError, match="predictions' shape"):
        metrics.R2().totals(tensor(np.zeros((4, 1))), tensor(np.zeros(4)))
