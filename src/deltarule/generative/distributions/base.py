"""What every distribution offers: ln p(x), samples, moments, entropy. All are expressions of the graph."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deltarule import dtypes, shapes
from deltarule.arguments import NamedArguments
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph.op import Op
from deltarule.runtime.buffers import value_of
from deltarule.shapes import Shape
from deltarule.tensor.functional import TensorLike, as_tensor
from deltarule.tensor.random import random_normal, random_uniform
from deltarule.tensor.tensor import Tensor

_DRAWS_OF_A_STREAM = 256


class Noise:
    """Random numbers for one sample: a function of (seed, step, stream), each draw apart from the others."""

    def __init__(
        self, seed: Tensor | int, step: Tensor | int = 0, stream: int = 0
    ) -> None:
        self.seed, self.step = seed, step
        self._next = stream * _DRAWS_OF_A_STREAM

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def uniform(self, shape: Shape, dtype: DType = dtypes.FLOAT32) -> Tensor:
        """Return numbers uniform in [0, 1)."""
        return random_uniform(shape, self.seed, self.step, self._take(), dtype)

    def normal(self, shape: Shape, dtype: DType = dtypes.FLOAT32) -> Tensor:
        """Return standard normal numbers."""
        return random_normal(shape, self.seed, self.step, self._take(), dtype)


class Distribution(metaclass=NamedArguments):
    """A family p(x; θ) with its parameters as tensors.

    A value has the shape batch_shape + event_shape: θ of shape (3,) is three independent numbers of an event of
    shape (), and ``log_prob`` has a value for each. ``event_rank`` is the number of axes of one event.
    """

    event_rank: ClassVar[int] = 0

    @property
    @abstractmethod
    def batch_shape(self) -> Shape:
        """The shape of independent distributions in one object."""

    @property
    def event_shape(self) -> Shape:
        """The shape of one draw."""
        return ()

    @property
    @abstractmethod
    def dtype(self) -> DType:
        """The element type of parameters and densities."""

    @abstractmethod
    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value), of the shape of ``value`` without the event's axes, broadcast with the batch."""

    @abstractmethod
    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return values of shape + batch_shape + event_shape; gradients pass where ``has_rsample``."""

    has_rsample: ClassVar[bool] = False

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        seed: Tensor | int,
        step: Tensor | int = 0,
        stream: int = 0,
    ) -> Tensor:
        """Return draws, shape + batch_shape + event_shape, without gradients: a function of (seed, step, stream)."""
        drawn = self.draw(Noise(seed, step, stream), tuple(shape))
        return drawn.detach()

    def rsample(
        self,
        shape: Sequence[int] = (),
        *,
        seed: Tensor | int,
        step: Tensor | int = 0,
        stream: int = 0,
    ) -> Tensor:
        """Return the same draws as ``sample`` with gradients to the parameters (VI-12).

        Raises ArgumentError where a draw is no differentiable function of the parameters.
        """
        if not self.has_rsample:
            raise ArgumentError(
                f"rsample of {type(self).__name__}",
                expected="draws that depend smoothly on the parameters",
                got="a distribution without a reparameterisation",
                hint="Use sample() with log_prob (the score-function gradient).",
            )
        return self.draw(Noise(seed, step, stream), tuple(shape))

    @property
    def mean(self) -> Tensor:
        """E[x]."""
        raise self._unknown("mean")

    @property
    def variance(self) -> Tensor:
        """Var[x], for each element of an event."""
        raise self._unknown("variance")

    def cdf(self, value: TensorLike) -> Tensor:
        """Return F(value) = P(x ≤ value), for distributions of single numbers."""
        del value
        raise self._unknown("cdf")

    def entropy(self) -> Tensor:
        """Return H = −E[ln p(x)] in nats, of batch_shape."""
        raise self._unknown("entropy")

    def __repr__(self) -> str:
        """Return ``Normal(batch (3), event ())``."""
        return f"{type(self).__name__}(batch {shapes.show(self.batch_shape)}, event {shapes.show(self.event_shape)})"

    def _unknown(self, what: str) -> ArgumentError:
        return ArgumentError(
            f"{what} of {type(self).__name__}",
            expected="a distribution with a known formula",
            got="none",
            hint="Estimate it from sample(), or use generative.monte_carlo_entropy.",
        )


class Elementwise(Distribution):
    """A distribution of single numbers: parameters broadcast to ``batch_shape``."""

    def _set(self, where: str, **parameters: TensorLike) -> tuple[Tensor, ...]:
        """Return the parameters as floating-point tensors of one type, and learn their common shape."""
        tensors = floating(*parameters.values())
        try:
            self._shape = shapes.broadcast(*(t.shape for t in tensors), where=where)
        except ShapeError as error:
            names = ", ".join(
                f"{name} {shapes.show(t.shape)}"
                for name, t in zip(parameters, tensors, strict=True)
            )
            raise ShapeError(
                where, expected="parameters whose shapes broadcast", got=names
            ) from error
        self._dtype = tensors[0].dtype
        return tensors

    @property
    def batch_shape(self) -> Shape:
        """The common shape of the parameters."""
        return self._shape

    @property
    def dtype(self) -> DType:
        """The common type of the parameters."""
        return self._dtype


def floating(*values: TensorLike) -> tuple[Tensor, ...]:
    """Return tensors of one floating-point type; numbers take the type of the tensors beside them."""
    plain = [
        isinstance(value, (bool, int, float)) and not isinstance(value, np.generic)
        for value in values
    ]
    tensors = [as_tensor(value) for value in values]
    kinds = [
        t.dtype
        for t, is_plain in zip(tensors, plain, strict=True)
        if not is_plain and t.dtype.is_float
    ]
    kind = dtypes.promote(*kinds) if kinds else dtypes.FLOAT32
    return tuple(
        as_tensor(v).astype(kind) if not p else _scalar(v, kind)
        for v, p in zip(values, plain, strict=True)
    )


def _scalar(value: float, kind: DType) -> Tensor:
    return as_tensor(np.asarray(value, kind.name))


def known_value(tensor: Tensor) -> npt.NDArray[Any] | None:
    """Return the value of a tensor that is known, or is a known one in another type; else None."""
    node = tensor.node
    found = value_of(node)
    if (
        found is None
        and node.op is Op.CAST
        and (before := value_of(node.sources[0])) is not None
    ):
        return before.astype(node.dtype.name)
    return found


def require(where: str, tensor: Tensor, low: float, high: float = float("inf")) -> None:
    """Raise ArgumentError if a value that is known leaves the open interval (low, high)."""
    known = known_value(tensor)
    if known is not None and not ((known > low) & (known < high)).all():
        bad = known[~((known > low) & (known < high))].reshape(-1)[0]
        raise ArgumentError(where, expected=_interval(low, high), got=str(bad))


def _interval(low: float, high: float) -> str:
    return (
        f"numbers > {low:g}"
        if high == float("inf")
        else f"numbers in ({low:g}, {high:g})"
    )


def within(draws: Tensor, low: float, high: float) -> Tensor:
    """Return draws inside the open support: what was rounded to an end becomes the number next to it.

    A step from 0 goes to the smallest normal number: native code takes smaller ones for 0.
    """
    kind = np.dtype(draws.dtype.name).type
    least = np.finfo(kind).tiny if low == 0.0 else np.nextafter(kind(low), kind(high))
    most = (
        np.finfo(kind).max if high == math.inf else np.nextafter(kind(high), kind(low))
    )
    return draws.clip(float(least), float(most))


def full_shape(shape: Sequence[int], distribution: Distribution) -> Shape:
    """Return shape + batch_shape + event_shape."""
    return (*shape, *distribution.batch_shape, *distribution.event_shape)


def like(value: TensorLike, distribution: Distribution) -> Tensor:
    """Return a value as a floating-point tensor, of the wider of its own type and the distribution's.

    So a density of float64 values is computed in float64, whatever the parameters were given as.
    """
    x = as_tensor(value)
    return x.astype(
        dtypes.promote(x.dtype, distribution.dtype)
        if x.dtype.is_float
        else distribution.dtype
    )
