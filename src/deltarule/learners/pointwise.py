"""The derivatives of a loss in the scores of its examples: all that a linear fit has to know about it.

Everything else, the scores x̃Φᵀ and the sums back over examples, are products of matrices (``design``). Programs are
made for a number of rows, which the last rows of the data fill up with examples of weight 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import final

import numpy as np

from deltarule.backends.base import Executable
from deltarule.cached import cached_property
from deltarule.graph.program import Program
from deltarule.learners.base import Array
from deltarule.losses import Loss
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.functional import one_hot, stack
from deltarule.tensor.tensor import Tensor, symbol
from deltarule.tensor.transforms import grad, hvp

Family = Callable[
    [Tensor], Loss
]  # losses that differ in one number, which is given to each run


@final
class Pointwise:
    """Σ w·loss(z, y) of ``rows`` examples with their scores z, and its derivatives in z.

    Scores are (rows, outputs). Targets are numbers where there is one output, and labels where there are more.
    """

    def __init__(
        self, loss: Loss | Family, outputs: int, rows: int, device: str
    ) -> None:
        self._device, self.rows, self.outputs = device, rows, outputs
        self._z = symbol("z", (rows, outputs), "float64")
        y = symbol("y", (rows,), "float64" if outputs == 1 else "int64")
        w = symbol("w", (rows,), "float64")
        number = symbol("number", (), "float64")
        of: Loss = loss if isinstance(loss, Loss) else loss(number)
        self._given = (y, w) if isinstance(loss, Loss) else (y, w, number)

        def value(z: Tensor) -> Tensor:
            return (of.per_example(z[:, 0] if outputs == 1 else z, y) * w).sum()

        self._value = value

    @cached_property
    def slopes(self) -> Executable:
        """Return (z, y, w, number) → Σ w·loss, ∂/∂z; of one output ``bends`` too, which then cost little more."""
        value = self._value(self._z)
        found: tuple[Tensor, ...] = (value, grad(value, self._z))
        if self.outputs == 1:
            found = (*found, self._bends)
        return self._run((self._z, *self._given), found)

    @cached_property
    def bends(self) -> Executable:
        """Return (z, y, w, number) → ∂²/∂zₐ∂z_b of every example, (outputs, outputs, rows)."""
        return self._run((self._z, *self._given), (self._bends,))

    @property
    def _bends(self) -> Tensor:
        units = [
            one_hot(a, self.outputs, "float64").broadcast_to(self._z.shape)
            for a in range(self.outputs)
        ]
        images = [hvp(self._value, self._z, unit) for unit in units]
        return stack(images, axis=0).permute(0, 2, 1)

    @cached_property
    def images(self) -> Executable:
        """Return (v, z, y, w, number) → the second derivatives times v, (rows, outputs)."""
        v = symbol("v", self._z.shape, "float64")
        return self._run((v, self._z, *self._given), (hvp(self._value, self._z, v),))

    def _run(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Executable:
        smaller = simplify([t.node for t in outputs])
        return backend(self._device).compile(
            Program(tuple(t.node for t in inputs), tuple(smaller))
        )


@functools.lru_cache(maxsize=64)
def pointwise(
    loss: Loss | Family, outputs: int, rows: int, device: str = "reference"
) -> Pointwise:
    """Return the programs of a loss; equal ones are built once."""
    return Pointwise(loss, outputs, rows, device)


def filled(part: Array, rows: int) -> Array:
    """Return rows padded with rows of 0.

    >>> filled(np.array([1.0, 2.0]), 3).tolist()
    [1.0, 2.0, 0.0]
    """
    if len(part) == rows:
        return part
    full = np.zeros((rows, *part.shape[1:]), part.dtype)
    full[: len(part)] = part
    return full
