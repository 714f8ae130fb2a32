"""Functions of tensors as losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.losses import get
from deltarule.losses.loss import Link, Loss, over_examples
from deltarule.shapes import Shape, show
from deltarule.tensor.tensor import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class FunctionLoss(Loss):
    """A function (outputs, targets) → one value per example, from tensors to a tensor.

    As loss of a classifier it receives logits and labels 0 … K − 1; probabilities are
    then softmax(logits).

    >>> from deltarule.tensor.tensor import tensor
    >>> loss = FunctionLoss(function=lambda outputs, targets: (outputs - targets) ** 2)
    >>> loss.per_example(tensor([3.0, 1.0]), tensor([1.0, 1.0])).tolist()
    [4.0, 0.0]
    """

    function: Callable[[Tensor, Tensor], Tensor]
    name: ClassVar[str] = "function"
    link: ClassVar[Link] = "softmax"

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Accept all shapes: the function checks them."""

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the values, averaged over further axes; raise ShapeError where the batch axis is missing."""
        values = self.function(prediction, target)
        if not isinstance(values, Tensor):
            raise ArgumentError(
                f"loss {getattr(self.function, '__name__', 'function')}",
                expected="a tensor with one value per example",
                got=repr(values),
                hint="Compute it from the tensors that it is given: lambda outputs, targets: (outputs - targets) ** 2.",
            )
        if values.ndim == 0 or values.shape[0] != prediction.shape[0]:
            raise ShapeError(
                f"loss {getattr(self.function, '__name__', 'function')}",
                expected=f"one value for each of {prediction.shape[0]} examples",
                got=show(values.shape),
            )
        return over_examples(values)


def chosen_loss(loss: Any) -> Loss:
    """Return a loss by name, of a function of tensors, or as given.

    >>> chosen_loss("mean_squared_error").name
    'mean_squared_error'
    """
    return (
        FunctionLoss(function=loss)
        if callable(loss) and not isinstance(loss, Loss)
        else get(loss)
    )
