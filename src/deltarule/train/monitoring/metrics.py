"""Metrics: totals that are summed over batches, and the value computed from the sums.

So a metric of an epoch or of a data set is exact also if the last batch is smaller, or if the metric is not a mean over
examples (R², F₁). Predictions are the model's raw outputs (logits if the loss takes logits).
Sample weights are ignored.
"""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

from deltarule import shapes
from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import settles_fields
from deltarule.losses import Loss
from deltarule.tensor.functional import maximum, take_along_axis, where
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["Metric"]


class Metric(metaclass=NamedArguments):
    """Base class of metrics, which measure the quality of predictions.

    A subclass implements ``totals`` and, unless the metric is a mean over examples, ``value``.

    Attributes:
        name: The name of the metric in a history.

    >>> class Bias(Metric):
    ...     name = "bias"
    ...     def totals(self, prediction, target):
    ...         return [(prediction - target).sum()]
    >>> round(Bias().value([6.0], 4), 2)
    1.5
    """

    name: str

    def __init_subclass__(cls) -> None:
        settles_fields(cls)

    @abstractmethod
    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the totals of one batch: scalars that are summed over batches.

        >>> from deltarule.tensor.tensor import tensor
        >>> [t.item() for t in Accuracy().totals(tensor([[0.1, 0.9], [0.8, 0.2]]), tensor([1, 1]))]
        [1.0]
        """

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the metric from the sums of the totals over n examples; by default the mean.

        >>> from deltarule.train.monitoring.metrics import Accuracy
        >>> Accuracy().value([3.0], 4)
        0.75
        """
        return totals[0] / n

    def per_batch(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the metric of one batch as a scalar, for metrics that are means over examples."""
        totals = self.totals(prediction, target)
        if len(totals) == 2:
            return totals[0] / maximum(totals[1], 1.0)
        return totals[0] / int(prediction.shape[0])


def _same_shape(name: str, prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ShapeError(
            f"metric {name}",
            expected=f"targets of the predictions' shape {shapes.show(prediction.shape)}",
            got=shapes.show(target.shape),
        )


def _labels(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    """Return class labels (…) from labels, or from class probabilities of the scores' shape."""
    if (
        prediction.ndim > 1
        and target.shape == prediction.shape
        and prediction.shape[-1] != 1
    ):
        return target.argmax(-1)
    if prediction.ndim < 2 or target.shape != prediction.shape[:-1]:
        raise ShapeError(
            f"metric {name}",
            expected=f"a label or a row of class scores for each row of scores {shapes.show(prediction.shape)}",
            got=shapes.show(target.shape),
            hint='For one score an example write metrics=["binary_accuracy"]; for numbers "mae", "mse" or "r2".',
        )
    return target.astype("int64")


def _mean_over_rest(values: Tensor) -> Tensor:
    """Return the sum over the batch of the mean over the other axes."""
    return (
        values.mean(tuple(range(1, values.ndim))).sum()
        if values.ndim > 1
        else values.sum()
    )


def _correct_counts(
    correct: Tensor, labels: Tensor, ignore_label: int | None
) -> list[Tensor]:
    """Return the number of correct predictions and, if a label is ignored, the number of labels that count."""
    if ignore_label is None:
        return [_mean_over_rest(correct.astype("float32"))]
    counted = labels != ignore_label
    return [
        _mean_over_rest(found.astype("float32"))
        for found in (correct & counted, counted)
    ]


def _accuracy(totals: Sequence[float], n: int) -> float:
    if len(totals) == 1:
        return totals[0] / n
    return totals[0] / totals[1] if totals[1] else 0.0


@final
@dataclass(frozen=True)
class Accuracy(Metric):
    """Classification accuracy: the fraction of examples whose highest score is the true class.

    Ties go to the first class. Labels equal to ``ignore_label`` do not count.

    >>> Accuracy().value([3.0], 4)
    0.75
    """

    name: str = "accuracy"
    ignore_label: int | None = None

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the number of correct predictions and, if a label is ignored, the number of labels that count."""
        labels = _labels(self.name, prediction, target)
        return _correct_counts(
            prediction.argmax(-1) == labels, labels, self.ignore_label
        )

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the fraction of correct predictions."""
        return _accuracy(totals, n)


@final
@dataclass(frozen=True)
class TopK(Metric):
    """Top-k accuracy: the fraction of examples whose true class is among the k highest scores.

    At ties lower classes come first. Labels equal to ``ignore_label`` do not count.

    >>> TopK(3).name
    'top_3_accuracy'
    """

    k: int = 5
    name: str = ""
    ignore_label: int | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ArgumentError(
                "TopK k", expected="a whole number ≥ 1", got=repr(self.k)
            )
        object.__setattr__(self, "name", self.name or f"top_{self.k}_accuracy")

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the number of correct predictions and, if a label is ignored, the number of labels that count."""
        given = _labels(self.name, prediction, target)
        known = (
            given
            if self.ignore_label is None
            else where(given == self.ignore_label, 0, given)
        )
        labels = known.expand_dims(-1)
        score = take_along_axis(prediction, labels, -1)
        classes = tensor(list(range(int(prediction.shape[-1]))), dtype="int64")
        before = (prediction > score) | ((prediction == score) & (classes < labels))
        return _correct_counts(
            before.astype("int64").sum(-1) < self.k, given, self.ignore_label
        )

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the fraction of correct predictions."""
        return _accuracy(totals, n)


@dataclass(frozen=True)
class _Binary(Metric):
    """Base of binary metrics: values above ``threshold`` and ``target_threshold`` are positive."""

    threshold: float = 0.0
    target_threshold: float = 0.5

    def _decisions(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        _same_shape(self.name, prediction, target)
        return prediction > self.threshold, target > self.target_threshold

    def _counts(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the numbers of true positives, false positives and false negatives."""
        predicted, actual = self._decisions(prediction, target)
        return [
            pair.astype("float32").sum()
            for pair in (predicted & actual, predicted & ~actual, ~predicted & actual)
        ]


@final
@dataclass(frozen=True)
class BinaryAccuracy(_Binary):
    """Binary accuracy: the fraction of correct decisions, over all outputs.

    >>> BinaryAccuracy().value([3.0], 4)
    0.75
    """

    name: str = "accuracy"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the number of correct predictions (the mean over several outputs)."""
        predicted, actual = self._decisions(prediction, target)
        return [_mean_over_rest((predicted == actual).astype("float32"))]


@final
@dataclass(frozen=True)
class Precision(_Binary):
    """Precision TP/(TP + FP); 0 if nothing is predicted positive.

    >>> Precision().value([3.0, 1.0, 2.0], 10)
    0.75
    """

    name: str = "precision"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the numbers of true positives, false positives and false negatives."""
        return self._counts(prediction, target)

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the ratio."""
        del n
        return totals[0] / max(totals[0] + totals[1], 1.0)


@final
@dataclass(frozen=True)
class Recall(_Binary):
    """Recall TP/(TP + FN); 0 if nothing is positive.

    >>> Recall().value([3.0, 2.0, 1.0], 10)
    0.75
    """

    name: str = "recall"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the numbers of true positives, false positives and false negatives."""
        return self._counts(prediction, target)

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the ratio."""
        del n
        return totals[0] / max(totals[0] + totals[2], 1.0)


@final
@dataclass(frozen=True)
class F1(_Binary):
    """F₁ score 2TP/(2TP + FP + FN), the harmonic mean of precision and recall; 0 if all three are 0.

    >>> F1().value([3.0, 1.0, 1.0], 10)
    0.75
    """

    name: str = "f1"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the numbers of true positives, false positives and false negatives."""
        return self._counts(prediction, target)

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the ratio."""
        del n
        return 2 * totals[0] / max(2 * totals[0] + totals[1] + totals[2], 1.0)


@final
@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """Mean absolute error: the mean of |ŷ − y| over examples and outputs.

    >>> MeanAbsoluteError().value([3.0], 4)
    0.75
    """

    name: str = "mae"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the sum over examples of the mean over outputs."""
        _same_shape(self.name, prediction, target)
        return [_mean_over_rest(abs(prediction - target.astype(prediction.dtype)))]


@final
@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean squared error: the mean of (ŷ − y)² over examples and outputs; with ``root=True`` its square root.

    >>> MeanSquaredError().value([4.0], 4), MeanSquaredError(root=True).name
    (1.0, 'rmse')
    """

    root: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or ("rmse" if self.root else "mse"))

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the sum over examples of the mean over outputs."""
        _same_shape(self.name, prediction, target)
        error = prediction - target.astype(prediction.dtype)
        return [_mean_over_rest(error * error)]

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the mean or its square root."""
        mean = totals[0] / n
        return float(mean**0.5) if self.root else mean


@final
@dataclass(frozen=True)
class R2(Metric):
    """Coefficient of determination R² = 1 − Σ(ŷ − y)²/Σ(y − ȳ)², over all outputs; 0 if the targets are constant.

    Sums are computed in float64.

    >>> R2().value([0.5, 2.0, 4.0, 2.0], 2)
    0.75
    """

    name: str = "r2"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return Σ(ŷ − y)², Σy, Σy² and the number of outputs."""
        _same_shape(self.name, prediction, target)
        y = target.astype("float64")
        error = prediction.astype("float64") - y
        return [
            (error * error).sum(),
            y.sum(),
            (y * y).sum(),
            tensor(float(target.size), dtype="float64"),
        ]

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the coefficient of determination."""
        del n
        residual, linear, square, count = totals
        spread = square - linear * linear / count
        return 1.0 - residual / spread if spread > 0 else 0.0


@final
@dataclass(frozen=True)
class FunctionMetric(Metric):
    """A metric from a function (prediction, target) → one value per example (N,), or their mean as a scalar.

    >>> FunctionMetric(lambda prediction, target: abs(prediction - target), name="error").name
    'error'
    """

    function: Callable[[Tensor, Tensor], Tensor]
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "name", self.name or getattr(self.function, "__name__", "metric")
        )

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the sum over examples."""
        values = self.function(prediction, target)
        if values.ndim == 0:
            return [values * int(prediction.shape[0])]
        return [_mean_over_rest(values)]


class _Names:
    """Metrics by name; those of ``BINARY`` also depend on the loss."""

    TABLE: ClassVar[dict[str, Callable[[], Metric]]] = {
        "categorical_accuracy": lambda: Accuracy(name="categorical_accuracy"),
        "top_5_accuracy": lambda: TopK(5),
        "top_3_accuracy": lambda: TopK(3),
        "mae": MeanAbsoluteError,
        "mean_absolute_error": lambda: MeanAbsoluteError(name="mean_absolute_error"),
        "mse": MeanSquaredError,
        "mean_squared_error": lambda: MeanSquaredError(name="mean_squared_error"),
        "rmse": lambda: MeanSquaredError(root=True),
        "r2": R2,
    }
    BINARY: ClassVar[dict[str, Callable[..., Metric]]] = {
        "binary_accuracy": BinaryAccuracy,
        "precision": Precision,
        "recall": Recall,
        "f1": F1,
    }


MetricLike = str | Metric | Callable[[Tensor, Tensor], Tensor]


def _thresholds(loss: Loss) -> tuple[float, float]:
    """Return the decision thresholds of outputs and of targets (0 for the ±1 of a hinge loss)."""
    if loss.link == "sign":
        return 0.0, 0.0
    logits = loss.link == "sigmoid" and getattr(loss, "from_logits", True)
    return (0.0 if logits else 0.5), 0.5


def get(metric: MetricLike, loss: Loss) -> Metric:
    """Return a metric by name, as suits the loss; metrics are returned as they are, functions are wrapped.

    >>> from deltarule import losses
    >>> get("accuracy", losses.get("binary_cross_entropy")).threshold
    0.0
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric) and not isinstance(metric, type):
        return FunctionMetric(metric)
    name = metric.lower() if isinstance(metric, str) else ""
    ignored = getattr(loss, "ignore_label", None)
    if name in _Names.TABLE:
        found = _Names.TABLE[name]()
        return (
            replace(found, ignore_label=ignored)
            if isinstance(found, Accuracy | TopK)
            else found
        )
    if name == "accuracy" and loss.link in {"softmax", "identity"}:
        return Accuracy(ignore_label=ignored)
    if name == "accuracy" or name in _Names.BINARY:
        kind = _Names.BINARY["binary_accuracy" if name == "accuracy" else name]
        threshold, target_threshold = _thresholds(loss)
        return kind(name=name, threshold=threshold, target_threshold=target_threshold)
    known = sorted({"accuracy", *_Names.TABLE, *_Names.BINARY})
    near = (
        ["accuracy"] if name == "acc" else difflib.get_close_matches(name, known, n=1)
    )
    expected = f"one of {', '.join(known)}, a Metric or a function"
    hint = f"Did you mean {near[0]!r}?" if near else ""
    raise ArgumentError("metrics", expected=expected, got=repr(metric), hint=hint)


def get_all(metrics: Sequence[MetricLike], loss: Loss) -> tuple[Metric, ...]:
    """Return a list of metrics for a loss.

    Raises:
        ArgumentError: If ``metrics`` is not a list, or if two of them have the same name.

    >>> from deltarule import losses
    >>> [metric.name for metric in get_all(["accuracy", "top_3_accuracy"], losses.get("cross_entropy"))]
    ['accuracy', 'top_3_accuracy']
    """
    if isinstance(metrics, str):
        raise ArgumentError(
            "metrics",
            expected="a list",
            got=repr(metrics),
            hint=f"Write metrics=[{metrics!r}].",
        )
    if not isinstance(metrics, (list, tuple)):
        raise ArgumentError(
            "metrics",
            expected="a list",
            got=repr(metrics),
            hint='Write metrics=["accuracy"].',
        )
    found = tuple(get(metric, loss) for metric in metrics)
    names = [metric.name for metric in found]
    taken = [
        name
        for i, name in enumerate(names)
        if name in {"loss", "penalty"} or name in names[:i]
    ]
    if taken:
        raise ArgumentError(
            "metrics",
            expected="names that are not in use",
            got=", ".join(map(repr, taken)),
        )
    return found
