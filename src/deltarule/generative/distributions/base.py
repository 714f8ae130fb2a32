"""The base of all distributions: log-density, samples, moments and entropy as expressions of the graph."""

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

__all__ = ["Distribution", "Noise"]

_DRAWS_OF_A_STREAM = 256


class Noise:
    """A random number generator for one sample: a function of (seed, step, stream); successive draws are independent.

    >>> a, b = Noise(seed=0), Noise(seed=0)
    >>> bool((a.normal((3,)).numpy() == b.normal((3,)).numpy()).all())
    True
    """

    def __init__(
        self, seed: Tensor | int, step: Tensor | int = 0, stream: int = 0
    ) -> None:
        self.seed, self.step = seed, step
        self._next = stream * _DRAWS_OF_A_STREAM

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def uniform(self, shape: Shape, dtype: DType = dtypes.FLOAT32) -> Tensor:
        """Return uniform variates in [0, 1)."""
        return random_uniform(shape, self.seed, self.step, self._take(), dtype)

    def normal(self, shape: Shape, dtype: DType = dtypes.FLOAT32) -> Tensor:
        """Return standard normal variates."""
        return random_normal(shape, self.seed, self.step, self._take(), dtype)


class Distribution(metaclass=NamedArguments):
    """Base of probability distributions p(x; θ) whose parameters θ are tensors.

    A value has the shape batch_shape + event_shape: parameters of shape (3,) of a scalar distribution are a batch of
    three independent distributions with events of shape (), and ``log_prob`` returns a value for each.

    Attributes:
        event_rank: Number of axes of one event.
        has_rsample: Whether gradients flow through samples to the parameters.

    >>> from deltarule.generative import Normal
    >>> p = Normal([0.0, 1.0, 2.0], 1.0)
    >>> p.batch_shape, p.event_shape, p.sample((5,), seed=0).shape, p.log_prob(0.0).shape
    ((3,), (), (5, 3), (3,))
    """

    event_rank: ClassVar[int] = 0

    @property
    @abstractmethod
    def batch_shape(self) -> Shape:
        """The shape of the batch of independent distributions."""

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
        """Return the log-density ln p(value): of the shape of ``value`` without event axes, broadcast.

        >>> from deltarule.generative import Normal
        >>> round(Normal(0.0, 1.0).log_prob(0.0).item(), 4)
        -0.9189
        """

    @abstractmethod
    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return samples, shape + batch_shape + event_shape; gradients flow through them if ``has_rsample``."""

    has_rsample: ClassVar[bool] = False

    def sample(
        self,
        shape: Sequence[int] = (),
        *,
        seed: Tensor | int,
        step: Tensor | int = 0,
        stream: int = 0,
    ) -> Tensor:
        """Return samples without gradients, a function of (seed, step, stream).

        Args:
            shape: Leading shape; the result has shape + batch_shape + event_shape.
            seed: Seed of the random numbers.
            step: Counter within the seed, such as the training step.
            stream: Which of several independent samples of one step.

        >>> from deltarule.generative import Normal
        >>> Normal([1.0, 5.0], 1.0).sample((1000,), seed=0).numpy().mean(axis=0).round(1).tolist()
        [1.0, 5.0]
        """
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
        """Return the samples of ``sample`` with gradients with respect to the parameters (pathwise gradients).

        Args:
            shape: Leading shape, as in ``sample``.
            seed: Seed of the random numbers.
            step: Counter within the seed.
            stream: Which of several independent samples of one step.

        Raises:
            ArgumentError: A sample is no differentiable function of the parameters.

        >>> from deltarule.generative import Normal
        >>> from deltarule.tensor.tensor import parameter
        >>> mean = parameter(0.0)
        >>> Normal(mean, 1.0).rsample((4,), seed=0).sum().backward()
        >>> mean.grad.item()
        4.0
        """
        if not self.has_rsample:
            raise ArgumentError(
                f"rsample of {type(self).__name__}",
                expected="samples that are differentiable in the parameters",
                got="a distribution without a reparameterisation",
                hint="Use sample() with log_prob (the score-function gradient).",
            )
        return self.draw(Noise(seed, step, stream), tuple(shape))

    @property
    def mean(self) -> Tensor:
        """The mean E[x]."""
        raise self._unknown("mean")

    @property
    def variance(self) -> Tensor:
        """The variance Var[x], of each element of an event."""
        raise self._unknown("variance")

    def cdf(self, value: TensorLike) -> Tensor:
        """Return the cumulative distribution function F(value) = P(x ≤ value) of a scalar distribution.

        >>> from deltarule.generative import Normal
        >>> Normal(3.0, 2.0).cdf(3.0).item()
        0.5
        """
        del value
        raise self._unknown("cdf")

    def entropy(self) -> Tensor:
        """Return the entropy H = −E[ln p(x)] in nats, of shape batch_shape.

        >>> from deltarule.generative import Bernoulli
        >>> round(Bernoulli.of(0.5).entropy().item(), 4)
        0.6931
        """
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
    """Base of scalar distributions: the parameters broadcast to ``batch_shape``.

    >>> from deltarule.generative import Normal
    >>> Normal([0.0, 1.0], 2.0).batch_shape
    (2,)
    """

    def _set(self, where: str, **parameters: TensorLike) -> tuple[Tensor, ...]:
        """Return the parameters as floating-point tensors of one type, and record their broadcast shape."""
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
    """Return tensors of one floating-point type; Python numbers take the type of the tensors.

    >>> [t.dtype.name for t in floating(1, np.zeros(2))]
    ['float64', 'float64']
    """
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
    """Return the value of a tensor that has one (or is a cast of one that has); None for an expression.

    >>> from deltarule.tensor.tensor import tensor
    >>> known_value(tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
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
    """Raise ArgumentError if a known value lies outside the open interval (low, high).

    >>> from deltarule.tensor.tensor import tensor
    >>> require("Normal deviation", tensor([2.0]), 0.0)
    """
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
    """Return samples clipped to the open interval (low, high): one rounded to an end becomes the next number inside.

    Next to 0 that is the smallest normal number, because compiled code flushes subnormal ones to 0.

    >>> within(as_tensor([0.0, 0.5, 1.0]), 0.0, 1.0).numpy()[1:].tolist()
    [0.5, 0.9999999403953552]
    """
    kind = np.dtype(draws.dtype.name).type
    least = np.finfo(kind).tiny if low == 0.0 else np.nextafter(kind(low), kind(high))
    most = (
        np.finfo(kind).max if high == math.inf else np.nextafter(kind(high), kind(low))
    )
    return draws.clip(float(least), float(most))


def full_shape(shape: Sequence[int], distribution: Distribution) -> Shape:
    """Return shape + batch_shape + event_shape.

    >>> from deltarule.generative import Normal
    >>> full_shape((5,), Normal([0.0, 1.0], 1.0))
    (5, 2)
    """
    return (*shape, *distribution.batch_shape, *distribution.event_shape)


def like(value: TensorLike, distribution: Distribution) -> Tensor:
    """Return a value as a floating-point tensor, of the wider of its own type and that of the distribution.

    The density of float64 values is thus computed in float64, whatever the type of the parameters.

    >>> from deltarule.generative import Normal
    >>> like(1, Normal(0.0, 1.0)).dtype
    float32
    """
    x = as_tensor(value)
    return x.astype(
        dtypes.promote(x.dtype, distribution.dtype)
        if x.dtype.is_float
        else distribution.dtype
    )
