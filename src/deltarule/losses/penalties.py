"""Penalties on parameters, added to the loss: J̃ = J + λ·Ω(θ) (Goodfellow et al. 2016, section 7.1).

A penalty is a function of named parameters. ``strength`` λ = 0 is the loss alone; as λ grows the
penalty dominates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, final

import numpy as np

from deltarule import shapes
from deltarule.arguments import NamedArguments, check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import settles_fields
from deltarule.graph import algebra
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor

__all__ = [
    "L1",
    "L2",
    "LInfinity",
    "Parameters",
    "Penalty",
    "Sparsity",
    "Tied",
    "sparsity",
]

Named = Sequence[tuple[str, Tensor]]


@final
class Parameters(list[tuple[str, Tensor]]):
    """A list of named trainable parameters, with the frozen ones in the attribute ``frozen``.

    Penalties sum over the trainable parameters. A pattern that matches only frozen parameters
    gives 0; a pattern that matches no parameter is an error.

    Args:
        learned: The names and values of the trainable parameters.
        frozen: The names and values of the frozen parameters.

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
    """Return the trainable parameters whose name matches; raise if no parameter, frozen or not, matches."""
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
    """Base class of penalties λ·Σ Ω(w) over the parameters whose name matches a pattern.

    ``of`` returns Ω of one tensor; it can be applied to activations as well.

    Args:
        strength: λ ≥ 0.
        pattern: The names of the parameters, with ``*`` and ``?`` as in file names; weights,
            but not biases, by default.

    >>> from deltarule.tensor.tensor import tensor
    >>> L1(strength=0.1).of(tensor([1.0, -2.0])).item()  # an activity penalty
    3.0
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
        """Return the penalty of one parameter, without the strength.

        >>> from deltarule.losses import L2
        >>> from deltarule.tensor.tensor import tensor
        >>> L2(strength=0.1).of(tensor([3.0, 4.0])).item()
        25.0
        """


@final
@dataclass(frozen=True, kw_only=True)
class L2(Penalty):
    """L2 penalty λ·Σ(w − w₀)², or ½λ·Σ(w − w₀)² with ``half=True``.

    The gradient is 2λ(w − w₀), or λ(w − w₀); with plain gradient descent this is weight decay
    (Goodfellow et al. 2016, section 7.1.1).

    Args:
        strength: λ ≥ 0.
        pattern: The names of the parameters, with ``*`` and ``?`` as in file names.
        half: Multiply by ½.
        center: Prior values w₀ of parameters: arrays by name; 0 for names that are not given.

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
        candidates = (*chosen, *_frozen(parameters))
        known = [name for name, _ in candidates if fnmatchcase(name, self.pattern)]
        unknown = [name for name in center if name not in known]
        if unknown:
            raise ArgumentError(
                "L2 center",
                expected=f"names of {', '.join(known)}",
                got=", ".join(map(repr, unknown)),
            )
        centered = (
            _difference(name, p, center[name]) if name in center else p
            for name, p in chosen
        )
        return _total([self.of(p) for p in centered], self.strength)

    def of(self, parameter: Tensor) -> Tensor:
        """Return Σw² or its half."""
        return (parameter * parameter).sum() * (0.5 if self.half else 1.0)


def _difference(name: str, parameter: Tensor, center: Any) -> Tensor:
    """Return w − w₀ for a w₀ of the same shape, or a scalar."""
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
    """L1 penalty λ·Σ|w|, with subgradient λ·sign(w), 0 at 0.

    Subgradient steps make weights small but not zero; ``optim.Proximal`` makes them exactly zero.

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
    """Penalty λ/n·Σᵢ‖Wᵢ‖_∞ over the n weight matrices, with the induced norm ‖W‖_∞ = max_r Σ_c |W_rc|.

    The subgradient is λ/n times the sign of the row of largest absolute sum (the first at a
    tie). Convolution kernels are matrices with one row per output channel; vectors are left
    out. The weights of a layer with absent edges count as its full matrix, zeros included:
    ``fit`` does that; elsewhere write ``LInfinity(strength=…)(model.named_matrices())``.

    >>> from deltarule.tensor.tensor import parameter
    >>> LInfinity(strength=0.5)([("weight", parameter([[1.0, -3.0], [2.0, 0.0]]))]).item()
    2.0
    """

    of_matrices: ClassVar[bool] = True

    def __call__(self, parameters: Named) -> Tensor:
        """Return the penalty as a scalar."""
        matrices = [(name, p) for name, p in parameters if p.ndim >= 2]
        frozen = [(name, p) for name, p in _frozen(parameters) if p.ndim >= 2]
        chosen = _chosen("LInfinity", matrices, self.pattern, frozen)
        values = [self.of(p) for _, p in chosen]
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
    """Soft parameter tying: the penalty ½λ·‖w_i − w_j‖², with gradients ±λ(w_i − w_j).

    A frozen parameter stays constant and pulls the other towards it, as in transfer learning
    (Goodfellow et al. 2016, section 7.9).

    Args:
        strength: λ ≥ 0.
        first: The name of the one parameter.
        second: The name of the other parameter, of the same shape.

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
        constants = [(name, p.detach()) for name, p in _frozen(parameters)]
        known = dict((*parameters, *constants))
        missing = [name for name in (self.first, self.second) if name not in known]
        if missing:
            raise ArgumentError(
                "Tied",
                expected=f"names among {', '.join(known)}",
                got=", ".join(map(repr, missing)),
            )
        first, second = known[self.first], known[self.second]
        if first.shape != second.shape:
            raise ShapeError(
                f"Tied {self.second}",
                expected=f"the shape {shapes.show(first.shape)} of {self.first}",
                got=shapes.show(second.shape),
            )
        difference = first - second
        return (difference * difference).sum() * (0.5 * self.strength)


@final
@dataclass(frozen=True)
class Sparsity:
    """The number of (nearly) zero entries of a parameter.

    Attributes:
        name: The name of the parameter.
        zeros: The number of entries that are zero, or within the threshold.
        size: The number of entries.

    >>> Sparsity("weight", zeros=3, size=4).share
    0.75
    """

    name: str
    zeros: int
    size: int

    @property
    def share(self) -> float:
        """The fraction of entries that are zero."""
        return self.zeros / self.size if self.size else 0.0


def sparsity(parameters: Named, threshold: float = 0.0) -> list[Sparsity]:
    """Return, for every parameter, the number of entries with |w| ≤ threshold.

    >>> from deltarule.tensor.tensor import parameter
    >>> sparsity([("0.weight", parameter([[0.0, 2.0], [0.0, 0.0]]))])
    [Sparsity(name='0.weight', zeros=3, size=4)]
    """
    values = ((name, p.numpy()) for name, p in parameters)
    return [
        Sparsity(name, int(np.count_nonzero(np.abs(v) <= threshold)), int(v.size))
        for name, v in values
    ]


check_calls(__name__)
