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
from deltarule.dtypes import FLOAT32
from deltarule.errors import ArgumentError, ShapeError
from deltarule.shapes import Shape
from deltarule.tensor.functional import (
    TensorLike,
    as_tensor,
    concatenate,
    exp,
    expm1,
    log,
    log1p,
    log_sigmoid,
    ones,
    sigmoid,
    softplus,
    zeros,
)
from deltarule.tensor.tensor import Tensor, tensor


def _numbers(value: TensorLike) -> Tensor:
    """Return a floating-point tensor of numbers, lists or arrays."""
    given = as_tensor(value)
    return given if given.dtype.is_float else given.astype(FLOAT32)


def _points(value: TensorLike) -> Tensor:
    """Return numbers with a last axis; raises ShapeError for one number alone."""
    given = _numbers(value)
    if not given.shape:
        raise ShapeError("StickBreaking", expected="points (…, K)", got="one number")
    return given


class Bijector(metaclass=NamedArguments):
    """y = T(x): ``forward``, ``inverse`` and ``log_det`` = ln|det ∂T/∂x|; ``event_rank`` axes make one point."""

    event_rank: ClassVar[int] = 0

    @abstractmethod
    def forward(self, x: TensorLike) -> Tensor:
        """Return T(x)."""

    @abstractmethod
    def inverse(self, y: TensorLike) -> Tensor:
        """Return T⁻¹(y)."""

    @abstractmethod
    def log_det(self, x: TensorLike) -> Tensor:
        """Return ln|det ∂T/∂x|: for each element, or for each point where ``event_rank`` is 1."""

    def contains(self, y: TensorLike) -> Tensor:
        """Return whether y is in the image of T, for each element or (``event_rank`` 1) point: all finite numbers."""
        return abs(_numbers(y)) < math.inf

    def inner(self, y: TensorLike) -> Tensor:
        """Return some point of the image, of the shape and type of y."""
        return self.forward(self.inverse_zeros(y))

    def inverse_zeros(self, y: TensorLike) -> Tensor:
        """Return zeros where free numbers of y would be."""
        given = _numbers(y)
        return zeros(self.free_shape(given.shape), given.dtype)

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

    def forward(self, x: TensorLike) -> Tensor:
        """Return x."""
        return _numbers(x)

    def inverse(self, y: TensorLike) -> Tensor:
        """Return y."""
        return _numbers(y)

    def log_det(self, x: TensorLike) -> Tensor:
        """Return 0."""
        given = _numbers(x)
        return given * 0.0


@final
@dataclass(frozen=True)
class Affine(Bijector):
    """y = shift + scale·x, scale ≠ 0."""

    shift: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise ArgumentError("Affine scale", expected="a number ≠ 0", got="0")

    def forward(self, x: TensorLike) -> Tensor:
        """Return shift + scale·x."""
        given = _numbers(x)
        return given * self.scale + self.shift

    def inverse(self, y: TensorLike) -> Tensor:
        """Return (y − shift)/scale."""
        given = _numbers(y)
        return (given - self.shift) / self.scale

    def log_det(self, x: TensorLike) -> Tensor:
        """Return ln|scale|."""
        given = _numbers(x)
        return given * 0.0 + float(np.log(abs(self.scale)))


@final
@dataclass(frozen=True)
class Exp(Bijector):
    """y = eˣ > 0."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return eˣ."""
        given = _numbers(x)
        return exp(given)

    def inverse(self, y: TensorLike) -> Tensor:
        """Return ln y."""
        given = _numbers(y)
        return log(given)

    def contains(self, y: TensorLike) -> Tensor:
        """Return 0 < y < ∞."""
        given = _numbers(y)
        return (given > 0.0) & (given < math.inf)

    def log_det(self, x: TensorLike) -> Tensor:
        """Return x."""
        return _numbers(x)


@final
@dataclass(frozen=True)
class Softplus(Bijector):
    """y = ln(1 + eˣ) > 0, linear for large x."""

    def forward(self, x: TensorLike) -> Tensor:
        """Return ln(1 + eˣ)."""
        given = _numbers(x)
        return softplus(given)

    def inverse(self, y: TensorLike) -> Tensor:
        """Return y + ln(1 − e⁻ʸ)."""
        given = _numbers(y)
        return given + log(-expm1(-given))

    def contains(self, y: TensorLike) -> Tensor:
        """Return 0 < y < ∞."""
        given = _numbers(y)
        return (given > 0.0) & (given < math.inf)

    def log_det(self, x: TensorLike) -> Tensor:
        """Return ln σ(x)."""
        given = _numbers(x)
        return log_sigmoid(given)


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
            raise ArgumentError(
                "Interval", expected="low < high", got=f"{self.low} and {self.high}"
            )

    def forward(self, x: TensorLike) -> Tensor:
        """Return low + (high − low)σ(x)."""
        given = _numbers(x)
        inside = sigmoid(given) * (self.high - self.low) + self.low
        low, high = (np.asarray(end, given.dtype.name) for end in (self.low, self.high))
        return inside.clip(
            float(np.nextafter(low, high)), float(np.nextafter(high, low))
        )

    def inverse(self, y: TensorLike) -> Tensor:
        """Return ln((y − low)/(high − y))."""
        given = _numbers(y)
        return log(given - self.low) - log(self.high - given)

    def contains(self, y: TensorLike) -> Tensor:
        """Return low < y < high."""
        given = _numbers(y)
        return (given > self.low) & (given < self.high)

    def log_det(self, x: TensorLike) -> Tensor:
        """Return ln(high − low) + ln σ(x) + ln σ(−x)."""
        given = _numbers(x)
        return (
            log_sigmoid(given)
            + log_sigmoid(-given)
            + float(np.log(self.high - self.low))
        )


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

    def forward(self, x: TensorLike) -> Tensor:
        """Return the pieces (…, K)."""
        given = _points(x)
        shares = self._shares(given)
        left = exp(self._left(shares))
        before = concatenate(
            [ones((*given.shape[:-1], 1), given.dtype), left[..., :-1]], axis=-1
        )
        return concatenate([sigmoid(shares) * before, left[..., -1:]], axis=-1)

    def inverse(self, y: TensorLike) -> Tensor:
        """Return the free numbers (…, K − 1)."""
        given = _points(y)
        pieces = given[..., :-1]
        left = 1.0 - pieces.cumsum(-1)
        before = left + pieces
        share = pieces / before
        free = log(share) - log1p(-share)
        return free + tensor(
            np.log(np.arange(int(pieces.shape[-1]), 0, -1)).astype(given.dtype.name)
        )

    def contains(self, y: TensorLike) -> Tensor:
        """Return whether the pieces are > 0 and sum to 1, to 10⁻³."""
        given = _points(y)
        return ((given > 0.0).astype("float32").sum(-1) == float(given.shape[-1])) & (
            abs(given.sum(-1) - 1.0) < 1e-3
        )

    def log_det(self, x: TensorLike) -> Tensor:
        """Return Σ ln(share(1 − share)) + ln(left before the break)."""
        given = _points(x)
        shares = self._shares(given)
        left = self._left(shares)
        before = left + softplus(shares)
        return (log_sigmoid(shares) + log_sigmoid(-shares) + before).sum(-1)

    def forward_shape(self, shape: Shape) -> Shape:
        """Return one more."""
        return (*shape[:-1], int(shape[-1]) + 1)

    def free_shape(self, shape: Shape) -> Shape:
        """Return one less."""
        return (*shape[:-1], int(shape[-1]) - 1)
