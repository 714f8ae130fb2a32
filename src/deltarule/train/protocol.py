"""The interface between models and training: parameters, state, and a pure forward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from deltarule.arguments import check_calls
from deltarule.runtime.buffers import Array
from deltarule.tensor.tensor import Tensor

__all__ = ["ForwardResult", "Trainable"]

Mode = Literal["training", "inference"]


@dataclass(frozen=True)
class ForwardResult:
    """The result of a model's forward pass.

    Attributes:
        output: The prediction for the batch, (N, …).
        state: New values, by name, of the entries of ``named_state`` that change (running statistics).
        penalties: Scalars to be added to the training loss (activity regularisation).

    >>> from deltarule.tensor.tensor import tensor
    >>> result = ForwardResult(tensor([[1.0, 2.0]]))
    >>> result.output.shape, result.state, result.penalties
    ((1, 2), {}, [])
    """

    output: Tensor
    state: dict[str, Tensor] = field(default_factory=dict)
    penalties: list[Tensor] = field(default_factory=list)


class Trainable(Protocol):
    """The interface of a trainable model: named parameters, named state, and a forward pass.

    Every ``nn.Module`` implements it; any other class with these methods can be trained by ``fit``, too.

    >>> from deltarule import nn
    >>> model: Trainable = nn.Sequential(nn.Linear(3, 2))
    >>> [(name, tensor.shape) for name, tensor in model.named_parameters()]
    [('0.weight', (2, 3)), ('0.bias', (2,))]
    """

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """Return the trainable parameters (without the frozen ones) by name, in a fixed order."""
        ...

    def named_state(self) -> list[tuple[str, Tensor]]:
        """Return the non-trainable state by name: running statistics, buffers."""
        ...

    def apply(
        self, inputs: Tensor, *, mode: Mode, seed: Tensor | None, step: Tensor | None
    ) -> ForwardResult:
        """Return the forward pass on a batch as a pure expression; ``seed`` and ``step`` are int64 scalars."""
        ...

    def config(self) -> dict[str, Any] | None:
        """Return plain data from which the architecture can be rebuilt, or None."""
        ...


@runtime_checkable
class Saveable(Protocol):
    """A model with a state dictionary, which includes its frozen parameters.

    >>> from deltarule import nn
    >>> isinstance(nn.Linear(2, 1), Saveable)
    True
    """

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and all state by name."""
        ...

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Load values by name."""
        ...


@runtime_checkable
class HasMatrices(Protocol):
    """A model with sparse weights, stored without the zeros of their matrices."""

    def named_matrices(self) -> list[tuple[str, Tensor]]:
        """Return the trainable weights as dense matrices, by the names of the parameters."""
        ...


@runtime_checkable
class HasFrozen(Protocol):
    """A model with frozen parameters, which optimisers and penalties may refer to by name.

    >>> from deltarule import nn
    >>> isinstance(nn.Linear(2, 1), HasFrozen)
    True
    """

    def named_frozen(self) -> list[tuple[str, Tensor]]:
        """Return the frozen parameters, in a fixed order."""
        ...


check_calls(__name__)
