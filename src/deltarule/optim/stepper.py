"""An optimiser with its state, for training loops of your own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.optim.recipe import Optimizer, get
from deltarule.optim.transform import Clock, State
from deltarule.tensor.tensor import Tensor, tensor
from deltarule.tensor.transforms import evaluate

__all__ = ["Stepper"]

Array = npt.NDArray[Any]


@final
class Stepper:
    """Updates parameters step by step with an optimiser, and holds its state.

    Args:
        optimizer: An optimiser, or its name.
        parameters: The tensors to update.

    >>> from deltarule.optim import SGD
    >>> from deltarule.tensor.tensor import parameter
    >>> w = parameter([3.0], name="w")
    >>> stepper = Stepper(SGD(learning_rate=0.1), [w])
    >>> (w * w).sum().backward()
    >>> stepper.step()
    >>> round(w.item(), 6), w.grad
    (2.4, None)
    """

    def __init__(
        self, optimizer: str | Optimizer, parameters: Sequence[Tensor]
    ) -> None:
        self.parameters = list(parameters)
        self.transform = get(optimizer).transform([p.name for p in self.parameters])
        self.state: State = tuple(
            tensor(value) for value in evaluate(self.transform.init(self.parameters))
        )
        self.steps_done = 0

    def _clock(self, factor: float) -> Clock:
        return Clock(
            tensor(self.steps_done, dtype="int64"),
            None if factor == 1 else tensor(factor, dtype="float64"),
        )

    def points(self) -> list[Tensor]:
        """Return the points at which to take the next gradient: the parameters, or look-ahead points."""
        if self.transform.point is None:
            return list(self.parameters)
        points = self.transform.point(
            [p.detach() for p in self.parameters], self.state, self._clock(1.0)
        )
        return [tensor(value) for value in evaluate(points)]

    def step(
        self, gradients: Sequence[Tensor] | None = None, factor: float = 1.0
    ) -> None:
        """Update the parameters by one step.

        Args:
            gradients: The gradients; by default the parameters' ``grad``, which is then reset.
            factor: A factor for the learning rate.

        Raises:
            ArgumentError: A parameter has no gradient.

        >>> from deltarule import optim
        >>> from deltarule.tensor.tensor import parameter
        >>> w = parameter(3.0, name="w")
        >>> stepper = optim.Stepper(optim.SGD(learning_rate=0.1), [w])
        >>> (w * w).backward()
        >>> stepper.step()
        >>> round(w.item(), 4)
        2.4
        """
        if gradients is None:
            missing = [
                p.name or "a parameter" for p in self.parameters if p.grad is None
            ]
            if missing:
                raise ArgumentError(
                    "Stepper.step",
                    expected="a gradient of every parameter",
                    got=f"none for {', '.join(missing)}",
                    hint="Call loss.backward() first, or pass the gradients.",
                )
            gradients = [p.grad for p in self.parameters if p.grad is not None]
        given = [p.detach() for p in self.parameters]
        updates, state = self.transform.update(
            gradients, self.state, given, self._clock(factor)
        )
        moved = [(p + u).astype(p.dtype) for p, u in zip(given, updates, strict=True)]
        values = evaluate([*moved, *state])
        for parameter, value in zip(self.parameters, values, strict=False):
            parameter.assign(np.array(value))
            parameter.grad = None
        self.state = tuple(tensor(value) for value in values[len(moved) :])
        self.steps_done += 1


check_calls(__name__)
