"""The negative ELBO as a loss, for models that compute their own bound as the first column of their output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.losses import Loss
from deltarule.shapes import Shape, show
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor
from deltarule.train.monitoring.metrics import Metric

__all__ = ["NegativeELBO"]


@final
@dataclass(frozen=True, kw_only=True)
class NegativeELBO(Loss):
    """The first column of a model's output (N, terms): for a ``VAE`` reconstruction + β·KL. Targets are ignored.

    >>> NegativeELBO()([[3.0, 2.0, 1.0]], [0.0]).item()
    3.0
    """

    name: ClassVar[str] = "negative_elbo"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each example."""
        del target
        return prediction[:, 0]

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise ShapeError unless the output is a matrix of terms."""
        del target, dtype
        if len(prediction) != 2 or not prediction[1]:
            raise ShapeError(
                "NegativeELBO",
                expected="a table of terms (N, terms)",
                got=show(prediction),
            )


@final
@dataclass(frozen=True)
class StandardError(Metric):
    """The standard error s/√n of the mean of one column of a model's output over an epoch.

    Args:
        column: Index of the column.
        name: Name of the metric in the history.

    >>> StandardError(column=0).value([4.0, 10.0], 2)
    1.0
    """

    column: int = 1
    name: str = "elbo_error"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return Σv and Σv², summed in float64."""
        del target
        values = as_tensor(prediction)[:, self.column].astype("float64")
        return [values.sum(), (values * values).sum()]

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the standard error from the sums over n examples."""
        mean = totals[0] / n
        return float((max(totals[1] / n - mean * mean, 0.0) / max(n - 1, 1)) ** 0.5)
