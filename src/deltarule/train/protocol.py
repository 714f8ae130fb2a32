"""What the training loop asks of a model: parameters, state, and a pure call. It knows no layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from deltarule.runtime.buffers import Array
from deltarule.tensor.tensor import Tensor

Mode = Literal["training", "inference"]


@dataclass(frozen=True)
class ForwardResult:
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

    def apply(
        self, inputs: Tensor, *, mode: Mode, seed: Tensor | None, step: Tensor | None
    ) -> ForwardResult:
        """Return the output for a batch as a pure expression; ``seed`` and ``step`` are int64 scalars."""
        ...

    def config(self) -> dict[str, Any] | None:
        """Return plain data from which the architecture can be built again, or None."""
        ...


@runtime_checkable
class Saveable(Protocol):
    """A model that has more to save than what it learns: frozen parameters."""

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and state by name."""
        ...

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Take over values by name."""
        ...


@runtime_checkable
class HasMatrices(Protocol):
    """A model with weights that are kept without the zeros of their matrix."""

    def named_matrices(self) -> list[tuple[str, Tensor]]:
        """Return the learned weights as the matrices that they stand for, by the parameters' names."""
        ...


@runtime_checkable
class HasFrozen(Protocol):
    """A model with parameters that are kept as they are, which recipes and penalties may name."""

    def named_frozen(self) -> list[tuple[str, Tensor]]:
        """Return the frozen parameters, in a fixed order."""
        ...
