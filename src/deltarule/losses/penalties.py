"""Penalties on parameters, added to the loss (REG). A penalty is a function of named parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from deltarule.errors import ArgumentError
from deltarule.graph import algebra
from deltarule.tensor.tensor import Tensor, tensor

Named = Sequence[tuple[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Penalty(ABC):
    """strength·Σ over the parameters whose name matches a pattern (weights, not biases, by default)."""

    strength: float
    pattern: str = "*weight"

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise ArgumentError(f"{type(self).__name__} strength", expected="a number ≥ 0", got=repr(self.strength))

    def __call__(self, parameters: Named) -> Tensor:
        """Return the penalty as a scalar."""
        chosen = [p for name, p in parameters if fnmatchcase(name, self.pattern)]
        if not chosen:
            raise ArgumentError(
                f"{type(self).__name__} pattern",
                expected=f"a pattern that matches one of {', '.join(name for name, _ in parameters)}",
                got=repr(self.pattern),
            )
        total = tensor(0.0, dtype=chosen[0].dtype)
        for parameter in chosen:
            total = total + self.of(parameter)
        return total * self.strength

    @abstractmethod
    def of(self, parameter: Tensor) -> Tensor:
        """Return the penalty of one parameter, without the strength."""


@final
@dataclass(frozen=True, kw_only=True)
class L2(Penalty):
    """λ·Σw², or ½λ·Σw² with ``half=True`` (the notes use both)."""

    half: bool = False

    def of(self, parameter: Tensor) -> Tensor:
        """Return Σw² or its half."""
        return (parameter * parameter).sum() * (0.5 if self.half else 1.0)


@final
@dataclass(frozen=True, kw_only=True)
class L1(Penalty):
    """λ·Σ|w|; subgradient 0 at 0."""

    def of(self, parameter: Tensor) -> Tensor:
        """Return Σ|w|."""
        return abs(parameter).sum()


@final
@dataclass(frozen=True, kw_only=True)
class LInfinity(Penalty):
    """λ·max_k Σ_j |W_kj|, the induced ∞-norm; the subgradient goes to the first largest row (LA-11, REG-13)."""

    def of(self, parameter: Tensor) -> Tensor:
        """Return the largest absolute row sum."""
        return Tensor(algebra.induced_infinity_norm(parameter.node))
