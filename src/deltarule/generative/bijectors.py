"""Smooth one-to-one maps from free numbers to constrained ones, with ln|det ∂y/∂x|.

For variational inference and change of variables: a positive variance is eˣ of a free number, a share σ(x), a point
of the simplex the broken pieces of a stick (Kucukelbir et al. 2017, ADVI).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError
from deltarule.shapes import Shape
from deltarule.tensor.functional import concatenate, exp, expm1, log, log1p, log_sigmoid, ones, sigmoid, softplus, zeros
from deltarule.tensor.tensor import Tensor, tensor


class Bijector(metaclass=NamedArguments):
    """y = T(x): ``forward``, ``inverse`` and ``log_det`` = ln|det ∂T/∂x|; ``event_rank`` axes make one point."""

    event_rank: ClassVar[int] = 0

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return T(x)."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Return T⁻¹(y)."""

    @abstractmethod
    def log_det(self, x: Tensor) -> Tensor:
        """Return ln|det ∂T/∂x|: for each element, or for each point where ``event_rank`` is 1."""

    def contains(self, y: Tensor) -> Tensor:
        """Return whether y is in the image of T, for each element or (``event_rank`` 1) point: all finite numbers."""
        return abs(y) < math.inf

    def inner(self, y: Tensor) -> Tensor:
        """Return some point of the image, of the shape and type of y."""
        return self.forward(self.inverse_zeros(y))

    def inverse_zeros(self, y: Tensor) -> Tensor:
        """Return zeros where free numbers of y would be."""
        return zeros(self.free_shape(y.shape), y.dtype)

    def forward_shape(self, shape: Shape) -> Shape:
        """Return the shape of T(x) for an x of this shape."""
        return shape

    def free_shape(self, shape: Shape) -> Shape:
        """Return the shape of T⁻¹(y) for a y of this shape."""
        return shape


@final
@dataclass(frozen=True)
class Identity(Bijector):
    """y = x, for variables without constraint."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def inverse(self, y: Tensor) -> Tensor:
        """Return y."""
        return y

    def log_det(self, x: Tensor) -> Tensor:
        """Return 0."""
        return x * 0.0


@final
@dataclass(frozen=True)
class Affine(Bijector):
    """y = shift + scale·x, scale ≠ 0."""

    shift: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise ArgumentError("Affine scale", expected="a number ≠ 0", got="0")

    def forward(self, x: Tensor) -> Tensor:
        """Return shift + scale·x."""
        return x * self.scale + self.shift

    def inverse(self, y: Tensor) -> Tensor:
        """Return (y − shift)/scale."""
        return (y - self.shift) / self.scale

    def log_det(self, x: Tensor) -> Tensor:
        """Return ln|scale|."""
        return x * 0.0 + float(np.log(abs(self.scale)))


@final
@dataclass(frozen=True)
class Exp(Bijector):
    """y = eˣ > 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Return eˣ."""
        return exp(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Return ln y."""
        return log(y)

    def contains(self, y: Tensor) -> Tensor:
        """Return 0 < y < ∞."""
        return (y > 0.0) & (y < math.inf)

    def log_det(self, x: Tensor) -> Tensor:
        """Return x."""
        return x


@final
@dataclass(frozen=True)
class Softplus(Bijector):
    """y = ln(1 + eˣ) > 0, linear for large x."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ln(1 + eˣ)."""
        return softplus(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Return y + ln(1 − e⁻ʸ)."""
        return y + log(-expm1(-y))

    def contains(self, y: Tensor) -> Tensor:
        """Return 0 < y < ∞."""
        return (y > 0.0) & (y < math.inf)

    def log_det(self, x: Tensor) -> Tensor:
        """Return ln σ(x)."""
        return log_sigmoid(x)


@final
@dataclass(frozen=True)
class Interval(Bijector):
    """y = low + (high − low)σ(x), strictly between both.

    >>> Interval(-1.0, 1.0).forward(tensor([0.0])).tolist()
    [0.0]
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ArgumentError("Interval", expected="low < high", got=f"{self.low} and {self.high}")

    def forward(self, x: Tensor) -> Tensor:
        """Return low + (high − low)σ(x)."""
        inside = sigmoid(x) * (self.high - self.low) + self.low
        low, high = (np.asarray(end, x.dtype.name) for end in (self.low, self.high))
        return inside.clip(float(np.nextafter(low, high)), float(np.nextafter(high, low)))

    def inverse(self, y: Tensor) -> Tensor:
        """Return ln((y − low)/(high − y))."""
        return log(y - self.low) - log(self.high - y)

    def contains(self, y: Tensor) -> Tensor:
        """Return low < y < high."""
        return (y > self.low) & (y < self.high)

    def log_det(self, x: Tensor) -> Tensor:
        """Return ln(high − low) + ln σ(x) + ln σ(−x)."""
        return log_sigmoid(x) + log_sigmoid(-x) + float(np.log(self.high - self.low))


@final
@dataclass(frozen=True)
class StickBreaking(Bijector):
    """K − 1 free numbers to a point of the simplex: yₖ = σ(xₖ − ln(K − k))·(what is left of the stick).

    x = 0 gives the centre (1/K, …, 1/K); k counts from 1.

    >>> StickBreaking().forward(tensor([0.0, 0.0])).numpy().round(2).astype(float).round(2).tolist()
    [0.33, 0.33, 0.33]
    """

    event_rank = 1

    def _shares(self, x: Tensor) -> Tensor:
        n = int(x.shape[-1])
        return x - tensor(np.log(np.arange(n, 0, -1)).astype(x.dtype.name))

    def _left(self, shares: Tensor) -> Tensor:
        """Return ln of what is left after each break."""
        return (-softplus(shares)).cumsum(-1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the pieces (…, K)."""
        shares = self._shares(x)
        left = exp(self._left(shares))
        before = concatenate([ones((*x.shape[:-1], 1), x.dtype), left[..., :-1]], axis=-1)
        return concatenate([sigmoid(shares) * before, left[..., -1:]], axis=-1)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the free numbers (…, K − 1)."""
        pieces = y[..., :-1]
        left = 1.0 - pieces.cumsum(-1)
        before = left + pieces
        share = pieces / before
        free = log(share) - log1p(-share)
        return free + tensor(np.log(np.arange(int(pieces.shape[-1]), 0, -1)).astype(y.dtype.name))

    def contains(self, y: Tensor) -> Tensor:
        """Return whether the pieces are > 0 and sum to 1, to 10⁻³."""
        return ((y > 0.0).astype("float32").sum(-1) == float(y.shape[-1])) & (abs(y.sum(-1) - 1.0) < 1e-3)

    def log_det(self, x: Tensor) -> Tensor:
        """Return Σ ln(share(1 − share)) + ln(left before the break)."""
        shares = self._shares(x)
        left = self._left(shares)
        before = left + softplus(shares)
        return (log_sigmoid(shares) + log_sigmoid(-shares) + before).sum(-1)

    def forward_shape(self, shape: Shape) -> Shape:
        """Return one more."""
        return (*shape[:-1], int(shape[-1]) + 1)

    def free_shape(self, shape: Shape) -> Shape:
        """Return one less."""
        return (*shape[:-1], int(shape[-1]) - 1)
