"""Metrics: sums over batches that add up, and the value that follows from them.

A metric of an epoch or of a whole data set is exact also where the last batch is smaller, and where the metric is
no mean over examples (R², F₁): every batch gives totals, the totals are added, and the value is computed once.
Predictions are the model's raw outputs (logits, where the loss takes logits). Sample weights do not enter.
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


class Metric(metaclass=NamedArguments):
    """A number that tells how good predictions are; ``name`` is its column in a history."""

    name: str

    def __init_subclass__(cls) -> None:
        settles_fields(cls)

    @abstractmethod
    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return scalars of one batch that add up over batches."""

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the metric from the added totals of n examples: the mean, unless said otherwise."""
        return totals[0] / n

    def per_batch(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the metric of one batch as a scalar, for metrics that are means over examples."""
        totals = self.totals(prediction, target)
        return totals[0] / (
            maximum(totals[1], 1.0) if len(totals) == 2 else int(prediction.shape[0])
        )


def _same_shape(name: str, prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ShapeError(
            f"metric {name}",
            expected=f"targets of the predictions' shape {shapes.show(prediction.shape)}",
            got=shapes.show(target.shape),
        )


def _labels(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    """Return class numbers (…) from labels, or from one-hot or soft rows of the scores' shape."""
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
    """Return Σ over the batch of the mean over the other axes."""
    return (
        values.mean(tuple(range(1, values.ndim))).sum()
        if values.ndim > 1
        else values.sum()
    )


def _correct_counts(
    correct: Tensor, labels: Tensor, ignore_label: int | None
) -> list[Tensor]:
    """Return the number of hits; where some labels are ignored only those of the others, and how many these are."""
    if ignore_label is None:
        return [_mean_over_rest(correct.astype("float32"))]
    counted = labels != ignore_label
    return [
        _mean_over_rest(found.astype("float32"))
        for found in (correct & counted, counted)
    ]


def _accuracy(totals: Sequence[float], n: int) -> float:
    return (
        totals[0] / n
        if len(totals) == 1
        else totals[0] / totals[1]
        if totals[1]
        else 0.0
    )


@final
@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of examples whose highest score is the right class (the first one at a tie).

    Labels ``ignore_label`` do not count.
    """

    name: str = "accuracy"
    ignore_label: int | None = None

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the number of hits, and of how many labels if some are ignored."""
        labels = _labels(self.name, prediction, target)
        return _correct_counts(
            prediction.argmax(-1) == labels, labels, self.ignore_label
        )

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the share of hits."""
        return _accuracy(totals, n)


@final
@dataclass(frozen=True)
class TopK(Metric):
    """Share of examples whose right class is among the k highest scores; at a tie lower classes come first.

    Labels ``ignore_label`` do not count.
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
        """Return the number of hits, and of how many labels if some are ignored."""
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
        """Return the share of hits."""
        return _accuracy(totals, n)


@dataclass(frozen=True)
class _Binary(Metric):
    """Decisions: the output above ``threshold`` (0 for logits and scores), the target above ``target_threshold``."""

    threshold: float = 0.0
    target_threshold: float = 0.5

    def _decisions(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        _same_shape(self.name, prediction, target)
        return prediction > self.threshold, target > self.target_threshold

    def _counts(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the numbers of true positives, false positives and false negatives."""
        predicted, actual = self._decisions(prediction, target)
        return [
            (pair).astype("float32").sum()
            for pair in (predicted & actual, predicted & ~actual, ~predicted & actual)
        ]


@final
@dataclass(frozen=True)
class BinaryAccuracy(_Binary):
    """Share of right yes-or-no decisions, over all outputs."""

    name: str = "accuracy"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return the number of hits (its mean over several outputs)."""
        predicted, actual = self._decisions(prediction, target)
        return [_mean_over_rest((predicted == actual).astype("float32"))]


@final
@dataclass(frozen=True)
class Precision(_Binary):
    """TP/(TP + FP); 0 where nothing is said to be positive."""

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
    """TP/(TP + FN); 0 where nothing is positive."""

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
    """2TP/(2TP + FP + FN), the harmonic mean of precision and recall; 0 where all three are 0."""

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
    """mean |ŷ − y| over examples and outputs."""

    name: str = "mae"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return Σ over examples of the mean over outputs."""
        _same_shape(self.name, prediction, target)
        return [_mean_over_rest(abs(prediction - target.astype(prediction.dtype)))]


@final
@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """mean (ŷ − y)² over examples and outputs; its root with ``root=True`` (named rmse)."""

    root: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or ("rmse" if self.root else "mse"))

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return Σ over examples of the mean over outputs."""
        _same_shape(self.name, prediction, target)
        error = prediction - target.astype(prediction.dtype)
        return [_mean_over_rest(error * error)]

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the mean or its root."""
        mean = totals[0] / n
        return float(mean**0.5) if self.root else mean


@final
@dataclass(frozen=True)
class R2(Metric):
    """1 − Σ(ŷ − y)²/Σ(y − ȳ)² over all outputs together, ȳ one number; 0 where the targets do not vary.

    The sums are added in float64.
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
    """A function (prediction, target) → values of the examples (N,), or their mean as a scalar."""

    function: Callable[[Tensor, Tensor], Tensor]
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "name", self.name or getattr(self.function, "__name__", "metric")
        )

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return Σ over examples."""
        values = self.function(prediction, target)
        if values.ndim == 0:
            return [values * int(prediction.shape[0])]
        return [_mean_over_rest(values)]


class _Names:
    """Metrics by name, where the name alone settles them."""

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
    """Return where a yes begins in the model's output and in the targets (which are ±1 for a hinge)."""
    if loss.link == "sign":
        return 0.0, 0.0
    logits = loss.link == "sigmoid" and getattr(loss, "from_logits", True)
    return (0.0 if logits else 0.5), 0.5


def get(metric: MetricLike, loss: Loss) -> Metric:
    """Return a metric by name as fits the loss, or as it is; a function becomes a metric.

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
    expected, hint = (
        f"one of {', '.join(known)}, a Metric or a function",
        f"Did you mean {near[0]!r}?" if near else "",
    )
    raise ArgumentError("metrics", expected=expected, got=repr(metric), hint=hint)


def get_all(metrics: Sequence[MetricLike], loss: Loss) -> tuple[Metric, ...]:
    """Return metrics by name; a single name is refused with the way out, and so are two of one name."""
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
