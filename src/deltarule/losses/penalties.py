"""Penalties on parameters, added to the loss: J̃ = J + penalty (REG-03). A penalty is a function of named parameters.

``strength`` 0 is the plain loss; as it grows the penalty takes over and nothing is learned (REG-04).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, final

import numpy as np

from deltarule import shapes
from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import settles_fields
from deltarule.graph import algebra
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor

Named = Sequence[tuple[str, Tensor]]


@final
class Parameters(list[tuple[str, Tensor]]):
    """Named parameters that are learned; ``frozen`` are those that are kept as they are.

    Penalties sum over what is learned; a pattern that names frozen parameters alone gives 0, and one that names none
    at all is an error.

    >>> from deltarule.tensor.tensor import parameter
    >>> L2(strength=1.0)(Parameters([], frozen=[("0.weight", parameter([2.0]))])).item()
    0.0
    """

    def __init__(self, learned: Named, frozen: Named = ()) -> None:
        super().__init__(learned)
        self.frozen = list(frozen)


def _frozen(parameters: Named) -> Named:
    return parameters.frozen if isinstance(parameters, Parameters) else ()


def _chosen(
    where: str, parameters: Named, pattern: str, frozen: Named
) -> list[tuple[str, Tensor]]:
    """Return the parameters whose name matches; none only where a frozen one matches."""
    chosen = [(name, p) for name, p in parameters if fnmatchcase(name, pattern)]
    if not chosen and not any(fnmatchcase(name, pattern) for name, _ in frozen):
        raise ArgumentError(
            f"{where} pattern",
            expected=f"a pattern that matches one of {', '.join(name for name, _ in (*parameters, *frozen))}",
            got=repr(pattern),
        )
    return chosen


def _total(values: Sequence[Tensor], factor: float) -> Tensor:
    return sum(values[1:], values[0]) * factor if values else as_tensor(0.0)


@dataclass(frozen=True, kw_only=True)
class Penalty(metaclass=NamedArguments):
    """strength·Σ over the parameters whose name matches a pattern (weights, not biases, by default).

    ``of`` gives the penalty of one tensor without the strength; it serves for activations too (REG-24).
    """

    strength: float
    pattern: str = "*weight"

    def __init_subclass__(cls) -> None:
        settles_fields(cls)

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise ArgumentError(
                f"{type(self).__name__} strength",
                expected="a number ≥ 0",
                got=repr(self.strength),
            )

    def __call__(self, parameters: Named) -> Tensor:
        """Return the penalty as a scalar."""
        chosen = _chosen(
            type(self).__name__, parameters, self.pattern, _frozen(parameters)
        )
        return _total([self.of(p) for _, p in chosen], self.strength)

    @abstractmethod
    def of(self, parameter: Tensor) -> Tensor:
        """Return the penalty of one parameter, without the strength."""


@final
@dataclass(frozen=True, kw_only=True)
class L2(Penalty):
    """λ·Σ(w − w₀)², or ½λ·Σ(w − w₀)² with ``half=True`` (the notes use both, X-16; REG-05, REG-06, REG-10).

    The gradient is 2λ(w − w₀), or λ(w − w₀): under plain gradient descent a weight decay (REG-07). ``center`` w₀
    is what is known of the weights beforehand: arrays by the parameter's name; 0 for a name that is not there.

    >>> from deltarule.tensor.tensor import parameter
    >>> L2(strength=0.5)([("0.weight", parameter([1.0, 2.0])), ("0.bias", parameter([9.0]))]).item()
    2.5
    """

    half: bool = False
    center: Mapping[str, Any] | None = None

    def __call__(self, parameters: Named) -> Tensor:
        """Return the penalty as a scalar."""
        center = self.center or {}
        chosen = _chosen("L2", parameters, self.pattern, _frozen(parameters))
        known = [
            name
            for name, _ in (*chosen, *_frozen(parameters))
            if fnmatchcase(name, self.pattern)
        ]
        unknown = [name for name in center if name not in known]
        if unknown:
            raise ArgumentError(
                "L2 center",
                expected=f"names of {', '.join(known)}",
                got=", ".join(map(repr, unknown)),
            )
        values = [
            self.of(_away(name, p, center[name]) if name in center else p)
            for name, p in chosen
        ]
        return _total(values, self.strength)

    def of(self, parameter: Tensor) -> Tensor:
        """Return Σw² or its half."""
        return (parameter * parameter).sum() * (0.5 if self.half else 1.0)


def _away(name: str, parameter: Tensor, center: Any) -> Tensor:
    """Return w − w₀ for a w₀ of the same shape, or one number."""
    known = as_tensor(center)
    if known.shape not in {parameter.shape, ()}:
        raise ShapeError(
            f"L2 center of {name}",
            expected=shapes.show(parameter.shape),
            got=shapes.show(known.shape),
        )
    return parameter - known.astype(parameter.dtype)


@final
@dataclass(frozen=True, kw_only=True)
class L1(Penalty):
    """λ·Σ|w|; gradient λ·sign(w), 0 at 0 (REG-08).

    Subgradient steps make weights small and not zero; ``optim.Proximal`` makes them exactly zero.

    >>> from deltarule.tensor.tensor import parameter
    >>> L1(strength=0.5)([("weight", parameter([1.0, -3.0]))]).item()
    2.0
    """

    def of(self, parameter: Tensor) -> Tensor:
        """Return Σ|w|."""
        return abs(parameter).sum()


@final
@dataclass(frozen=True, kw_only=True)
class LInfinity(Penalty):
    """λ/n·Σᵢ‖Wᵢ‖_∞ over the n weight matrices, ‖W‖_∞ = max_r Σ_c |W_rc| (REG-12, E001-14).

    The subgradient is λ/n·sign of the row of largest absolute sum, the first one at a tie (REG-13). Kernels of
    convolutions are taken as matrices with one row for each output channel; vectors are left out. The weights of a
    layer with absent edges count as its matrix, zeros included: ``fit`` sees to it; elsewhere write
    ``LInfinity(strength=…)(model.named_matrices())``.

    >>> from deltarule.tensor.tensor import parameter
    >>> LInfinity(strength=0.5)([("weight", parameter([[1.0, -3.0], [2.0, 0.0]]))]).item()
    2.0
    """

    of_matrices: ClassVar[bool] = True

    def __call__(self, parameters: Named) -> Tensor:
        """Return the penalty as a scalar."""
        matrices = [(name, p) for name, p in parameters if p.ndim >= 2]
        frozen = [(name, p) for name, p in _frozen(parameters) if p.ndim >= 2]
        values = [
            self.of(p) for _, p in _chosen("LInfinity", matrices, self.pattern, frozen)
        ]
        return _total(values, self.strength / max(1, len(values)))

    def of(self, parameter: Tensor) -> Tensor:
        """Return the largest absolute row sum."""
        matrix = parameter.flatten(1) if parameter.ndim > 2 else parameter
        if matrix.ndim != 2:
            raise ShapeError(
                "LInfinity", expected="a matrix", got=shapes.show(parameter.shape)
            )
        return Tensor(algebra.induced_infinity_norm(matrix.node))


@final
@dataclass(frozen=True, kw_only=True)
class Tied:
    """½λ·‖w_i − w_j‖² for two parameters known to be close (REG-11); gradients ±λ(w_i − w_j).

    One of them, or both, may be frozen: it stays as it is and draws the other to it (transfer learning).

    >>> from deltarule.tensor.tensor import parameter
    >>> Tied(strength=0.5, first="a", second="b")([("a", parameter([1.0])), ("b", parameter([3.0]))]).item()
    1.0
    """

    strength: float
    first: str
    second: str

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise ArgumentError(
                "Tied strength", expected="a number ≥ 0", got=repr(self.strength)
            )

    def __call__(self, parameters: Named) -> Tensor:
        """Return the penalty as a scalar."""
        known = dict(
            (*parameters, *((name, p.detach()) for name, p in _frozen(parameters)))
        )
        missing = [name for name in (self.first, self.second) if name not in known]
        if missing:
            raise ArgumentError(
                "Tied",
                expected=f"names among {', '.join(known)}",
                got=", ".join(map(repr, missing)),
            )
        one, other = known[self.first], known[self.second]
        if one.shape != other.shape:
            raise ShapeError(
                f"Tied {self.second}",
                expected=f"the shape {shapes.show(one.shape)} of {self.first}",
                got=shapes.show(other.shape),
            )
        difference = one - other
        return (difference * difference).sum() * (0.5 * self.strength)


@final
@dataclass(frozen=True)
class Sparsity:
    """How many entries of a parameter are (nearly) zero."""

    name: str
    zeros: int
    size: int

    @property
    def share(self) -> float:
        """Zeros among all entries."""
        return self.zeros / self.size if self.size else 0.0


def sparsity(parameters: Named, threshold: float = 0.0) -> list[Sparsity]:
    """Return, for every parameter, how many entries have |w| ≤ threshold (REG-08, REG-19).

    >>> from deltarule.tensor.tensor import parameter
    >>> sparsity([("0.weight", parameter([[0.0, 2.0], [0.0, 0.0]]))])
    [Sparsity(name='0.weight', zeros=3, size=4)]
    """
    values = ((name, p.numpy()) for name, p in parameters)
    return [
        Sparsity(name, int(np.count_nonzero(np.abs(v) <= threshold)), int(v.size))
        for name, v in values
    ]
