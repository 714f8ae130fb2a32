"""Bijectors: smooth invertible maps from unconstrained to constrained variables, with ln|det ∂y/∂x|.

They are used for changes of variables and in variational inference: a positive variance is eˣ, a probability σ(x), and
a point of the simplex a stick-breaking transform of unconstrained values (Kucukelbir et al. 2017).
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

__all__ = [
    "Affine",
    "Bijector",
    "Exp",
    "Identity",
    "Interval",
    "Softplus",
    "StickBreaking",
]


def _numbers(value: TensorLike) -> Tensor:
    """Return numbers, lists or arrays as a floating-point tensor."""
    given = as_tensor(value)
    return given if given.dtype.is_float else given.astype(FLOAT32)


def _points(value: TensorLike) -> Tensor:
    """Return a floating-point tensor of at least one axis; raises ShapeError for a scalar."""
    given = _numbers(value)
    if not given.shape:
        raise ShapeError("StickBreaking", expected="points (…, K)", got="one number")
    return given


class Bijector(metaclass=NamedArguments):
    """Base of bijectors y = T(x): ``forward``, ``inverse`` and ``log_det`` = ln|det ∂T/∂x|.

    Attributes:
        event_rank: Number of axes of one point: 0 for maps of single elements, 1 for maps of vectors.

    >>> T = Exp()
    >>> T.inverse(T.forward([0.0, 1.0])).tolist(), T.log_det([0.0, 1.0]).tolist()
    ([0.0, 1.0], [0.0, 1.0])
    """

    event_rank: ClassVar[int] = 0

    @abstractmethod
    def forward(self, x: TensorLike) -> Tensor:
        """Return T(x).

        >>> from deltarule.generative import bijectors
        >>> bijectors.Exp().forward([0.0]).tolist()
        [1.0]
        """

    @abstractmethod
    def inverse(self, y: TensorLike) -> Tensor:
        """Return T⁻¹(y).

        >>> from deltarule.generative import bijectors
        >>> bijectors.Exp().inverse([1.0]).tolist()
        [0.0]
        """

    @abstractmethod
    def log_det(self, x: TensorLike) -> Tensor:
        """Return ln|det ∂T/∂x| of each element, or of each point where ``event_rank`` is 1.

        >>> from deltarule.generative import bijectors
        >>> bijectors.Exp().log_det([0.0, 2.0]).tolist()
        [0.0, 2.0]
        """

    def contains(self, y: TensorLike) -> Tensor:
        """Return whether each element (or point) of y is in the image of T; by default all finite numbers are.

        >>> from deltarule.generative import bijectors
        >>> bijectors.Exp().contains([-1.0, 1.0]).tolist()
        [False, True]
        """
        return abs(_numbers(y)) < math.inf

    def inner(self, y: TensorLike) -> Tensor:
        """Return some point of the image, of the shape and element type of y."""
        return self.forward(self.inverse_zeros(y))

    def inverse_zeros(self, y: TensorLike) -> Tensor:
        """Return zeros of the shape of T⁻¹(y)."""
        given = _numbers(y)
        return zeros(self.free_shape(given.shape), given.dtype)

    def forward_shape(self, shape: Shape) -> Shape:
        """Return the shape of T(x) for an x of this shape.

        >>> from deltarule.generative import bijectors
        >>> bijectors.StickBreaking().forward_shape((3,)), bijectors.Exp().forward_shape((3,))
        ((4,), (3,))
        """
        return shape

    def free_shape(self, shape: Shape) -> Shape:
        """Return the shape of T⁻¹(y) for a y of this shape.

        >>> from deltarule.generative import bijectors
        >>> bijectors.StickBreaking().free_shape((4,)), bijectors.Exp().free_shape((4,))
        ((3,), (4,))
        """
        return shape


@final
@dataclass(frozen=True)
class Identity(Bijector):
    """The identity y = x, for unconstrained variables.

    >>> Identity().log_det([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """

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
    """The affine map y = shift + scale·x with scale ≠ 0.

    >>> Affine(1.0, 2.0).forward([0.0, 3.0]).tolist()
    [1.0, 7.0]
    """

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
    """The exponential y = eˣ > 0, for positive variables.

    >>> Exp().forward([0.0]).tolist()
    [1.0]
    """

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
    """The softplus y = ln(1 + eˣ) > 0, for positive variables; it is linear for large x.

    >>> Softplus().inverse(Softplus().forward([2.0])).numpy().round(5).tolist()
    [2.0]
    """

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
    """The scaled sigmoid y = low + (high − low)σ(x), for variables in the open interval (low, high).

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
    """Stick-breaking: K − 1 unconstrained values to a point of the simplex, yₖ = σ(xₖ − ln(K − k))·(1 − y₁ − … − yₖ₋₁).

    x = 0 maps to the centre (1/K, …, 1/K); k counts from 1.

    >>> StickBreaking().forward(tensor([0.0, 0.0])).numpy().round(2).astype(float).round(2).tolist()
    [0.33, 0.33, 0.33]
    """

    event_rank = 1

    def _shares(self, x: Tensor) -> Tensor:
        n = int(x.shape[-1])
        return x - tensor(np.log(np.arange(n, 0, -1)).astype(x.dtype.name))

    def _left(self, shares: Tensor) -> Tensor:
        """Return the logarithm of the remaining length after each break."""
        return (-softplus(shares)).cumsum(-1)

    def forward(self, x: TensorLike) -> Tensor:
        """Return the points of the simplex, (…, K)."""
        given = _points(x)
        shares = self._shares(given)
        left = exp(self._left(shares))
        before = concatenate(
            [ones((*given.shape[:-1], 1), given.dtype), left[..., :-1]], axis=-1
        )
        return concatenate([sigmoid(shares) * before, left[..., -1:]], axis=-1)

    def inverse(self, y: TensorLike) -> Tensor:
        """Return the unconstrained values, (…, K − 1)."""
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
        """Return whether all elements are > 0 and sum to 1 (within 10⁻³)."""
        given = _points(y)
        return ((given > 0.0).astype("float32").sum(-1) == float(given.shape[-1])) & (
            abs(given.sum(-1) - 1.0) < 1e-3
        )

    def log_det(self, x: TensorLike) -> Tensor:
        """Return Σₖ ln(sₖ(1 − sₖ)) + ln lₖ with the shares sₖ and the lengths lₖ before each break."""
        given = _points(x)
        shares = self._shares(given)
        left = self._left(shares)
        before = left + softplus(shares)
        return (log_sigmoid(shares) + log_sigmoid(-shares) + before).sum(-1)

    def forward_shape(self, shape: Shape) -> Shape:
        """Return the shape with one more element in the last axis."""
        return (*shape[:-1], int(shape[-1]) + 1)

    def free_shape(self, shape: Shape) -> Shape:
        """Return the shape with one element less in the last axis."""
        return (*shape[:-1], int(shape[-1]) - 1)
