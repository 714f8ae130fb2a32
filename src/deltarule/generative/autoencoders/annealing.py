"""KL annealing: a weight of the divergence that grows with the training step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.nn.check import whole_number
from deltarule.tensor.tensor import Tensor

__all__ = ["Annealing"]


@final
@dataclass(frozen=True)
class Annealing:
    """A weight of the KL term that grows linearly from ``start`` to ``end`` over the first ``steps`` training steps.

    It counters posterior collapse at the beginning of the training (Bowman et al. 2016).

    >>> from deltarule.tensor.tensor import tensor
    >>> Annealing(100).at(tensor(25)).item()
    0.25
    """

    steps: int
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        whole_number(self.steps, "Annealing steps", 1)
        for name, value in (("start", self.start), ("end", self.end)):
            if not (is_real(value) and 0 <= value < math.inf):
                raise ArgumentError(
                    f"Annealing {name}", expected="a number ≥ 0", got=repr(value)
                )

    def at(self, step: Tensor) -> Tensor:
        """Return the weight at a training step, counted from 0.

        >>> from deltarule.tensor.tensor import tensor
        >>> [Annealing(10).at(tensor(step)).item() for step in (0, 5, 20)]
        [0.0, 0.5, 1.0]
        """
        share = (step.astype("float32") / float(self.steps)).clip(0.0, 1.0)
        return share * (self.end - self.start) + self.start


def is_real(value: object) -> bool:
    """Return whether a value is a real number, of Python or NumPy, and not a bool.

    >>> is_real(1.5), is_real(True), is_real("1.5")
    (True, False, False)
    """
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )


check_calls(__name__)
