"""The loss of models that compute their own bound: the mean of the first column of their output."""

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


@final
@dataclass(frozen=True, kw_only=True)
class NegativeELBO(Loss):
    """The first column of a model's terms (N, …): for a ``VAE`` β·KL + reconstruction (VI-09). Targets are not read.

    >>> NegativeELBO()([[3.0, 2.0, 1.0]], [0.0]).item()
    3.0
    """

    name: ClassVar[str] = "negative_elbo"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return one number for each example."""
        del target
        return prediction[:, 0]

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless the output is a table of terms."""
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
    """The standard error of the mean of one column of a model's terms over all examples of an epoch, s/√n."""

    column: int = 1
    name: str = "elbo_error"

    def totals(self, prediction: Tensor, target: Tensor) -> list[Tensor]:
        """Return Σv and Σv², added in float64."""
        del target
        values = as_tensor(prediction)[:, self.column].astype("float64")
        return [values.sum(), (values * values).sum()]

    def value(self, totals: Sequence[float], n: int) -> float:
        """Return the error."""
        mean = totals[0] / n
        return float((max(totals[1] / n - mean * mean, 0.0) / max(n - 1, 1)) ** 0.5)
