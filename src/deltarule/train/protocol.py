"""What the training loop asks of a model: parameters, state, and a pure call. It knows no layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from deltarule.tensor.tensor import Tensor

Mode = Literal["training", "inference"]


@dataclass(frozen=True)
class Applied:
    """What one call of a model gives.

    ``state`` holds the new values of those entries of ``named_state`` that change (running statistics);
    ``penalties`` are scalars that the model wants added to the loss (activity regularisation).
    """

    output: Tensor
    state: dict[str, Tensor] = field(default_factory=dict)
    penalties: list[Tensor] = field(default_factory=list)


class Trainable(Protocol):
    """A model that can be trained: everything that learns or changes is named."""

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """Return the parameters that are learned (frozen ones are left out), in a fixed order."""
        ...

    def named_state(self) -> list[tuple[str, Tensor]]:
        """Return what changes without being learned: running statistics, buffers."""
        ...

    def apply(self, inputs: Tensor, *, mode: Mode, seed: Tensor | None, step: Tensor | None) -> Applied:
        """Return the output for a batch as a pure expression; ``seed`` and ``step`` are int64 scalars."""
        ...

    def config(self) -> dict[str, Any] | None:
        """Return plain data from which the architecture can be built again, or None."""
        ...
