"""Initialisers: how the initial values of weights are drawn.

Variances are chosen so that signals neither vanish nor explode with depth (Goodfellow
et al. 2016, section 8.4). For a unit with fan_in inputs and fan_out outputs, Xavier
initialization preserves the variance through linear units (or tanh near 0); He
initialization does so for rectifiers, which halve the second moment; LeCun
initialization is Xavier with fan_in alone. Numbers come from NumPy's Philox generator
keyed by (seed, number of the network, name of the parameter): a program has the same
initial weights in every run, on every machine. The number counts the networks that are
built alike, so that they differ (``dr.manual_seed``).
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import NamedArguments, check_calls
from deltarule.errors import ArgumentError
from deltarule.nn.parallel_random import PARALLEL_SIZE, fill, idle_cores

__all__ = [
    "Constant",
    "Initializer",
    "Normal",
    "Orthogonal",
    "Uniform",
    "VarianceScaling",
    "constant",
    "fans",
    "generator",
    "get",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "orthogonal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
Mode = Literal["fan_in", "fan_out", "average"]
DEFAULT_SEED = 0


def generator(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """Return the random generator of one parameter: Philox, keyed by the SHA-256 of seed, number and name.

    Args:
        seed: The seed.
        name: Name of the parameter within its network.
        number: Number of the network among those built alike.

    >>> bool(generator(0, "0.weight").random() == generator(0, "0.weight").random())
    True
    >>> bool(generator(0, "0.weight").random() == generator(0, "0.weight", 1).random())
    False
    """
    start = f"{seed}/{number}" if number else f"{seed}"
    digest = hashlib.sha256(f"{start}:{name}".encode()).digest()
    return np.random.Generator(
        np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    )


def fans(shape: Sequence[int], groups: int = 1) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight (out, *kernel, in / groups): connections into and out of one unit.

    >>> fans((100, 784)), fans((16, 5, 5, 8))
    ((784, 100), (200, 400))
    """
    if len(shape) < 2:
        raise ArgumentError(
            "fans", expected="a weight (out, …, in)", got=f"shape {tuple(shape)}"
        )
    kernel = math.prod(shape[1:-1])
    return kernel * shape[-1], kernel * shape[0] // groups


class Initializer(metaclass=NamedArguments):
    """Base class of initialisers: a rule for the initial values of a parameter. Equal settings compare equal.

    >>> he_normal() == VarianceScaling(scale=2.0)
    True
    """

    @abstractmethod
    def draw(
        self, shape: tuple[int, ...], random: np.random.Generator, groups: int = 1
    ) -> Array:
        """Return a float64 array of the given shape.

        >>> zeros().draw((2, 3), generator(0, "weight")).shape
        (2, 3)
        """

    def values(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,
        dtype: str,
        groups: int = 1,
    ) -> AnyArray:
        """Return the values of ``draw`` in the given element type."""
        return self.draw(shape, random, groups).astype(dtype, copy=False)

    def config(self) -> dict[str, Any]:
        """Return plain data from which ``get`` makes an equal initialiser.

        >>> he_normal().config()
        {'name': 'VarianceScaling', 'scale': 2.0, 'mode': 'fan_in', 'distribution': 'normal'}
        """
        return {"name": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]  # all are dataclasses


class _Independent(Initializer):
    """An initialiser with independent elements, which can therefore be drawn block by block."""

    @abstractmethod
    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],
        groups: int,
    ) -> None:
        """Fill a block of a parameter of the given shape with the next random numbers."""

    def draw(
        self, shape: tuple[int, ...], random: np.random.Generator, groups: int = 1
    ) -> Array:
        """Return a float64 array of the given shape."""
        drawn = np.empty(shape)
        self._block(drawn.reshape(-1), random, shape, groups)
        return drawn

    def values(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,
        dtype: str,
        groups: int = 1,
    ) -> AnyArray:
        """Return the values of ``draw`` in the given element type, without a float64 array of the full size."""
        made = np.empty(shape, dtype)
        threads = idle_cores() if made.size >= PARALLEL_SIZE else 1
        fill(
            made.reshape(-1),
            random,
            lambda block, source: self._block(block, source, shape, groups),
            threads,
        )
        return made


@final
@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere: right for biases; the units of a hidden layer would never become different.

    >>> get("zeros").draw((2,), generator(0, "bias")).tolist()
    [0.0, 0.0]
    """

    value: float = 0.0

    def draw(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,  # noqa: ARG002  # common signature
        groups: int = 1,  # noqa: ARG002  # common signature
    ) -> Array:
        """Return a float64 array of the given shape."""
        return np.full(shape, self.value)


@final
@dataclass(frozen=True)
class Normal(_Independent):
    """Independent values from N(mean, std²), whatever the size of the layer.

    >>> Normal(std=0.02).config()
    {'name': 'Normal', 'std': 0.02, 'mean': 0.0}
    """

    std: float = 0.01
    mean: float = 0.0

    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],  # noqa: ARG002  # common signature
        groups: int,  # noqa: ARG002  # common signature
    ) -> None:
        random.standard_normal(out=block)
        block *= self.std
        block += self.mean


@final
@dataclass(frozen=True)
class Uniform(_Independent):
    """Independent values from the uniform distribution on [low, high), whatever the size of the layer.

    >>> values = Uniform(-1, 1).draw((100,), generator(0, "weight"))
    >>> bool((abs(values) <= 1).all())
    True
    """

    low: float = -0.05
    high: float = 0.05

    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],  # noqa: ARG002  # common signature
        groups: int,  # noqa: ARG002  # common signature
    ) -> None:
        random.random(out=block)
        block *= self.high - self.low
        block += self.low


@final
@dataclass(frozen=True)
class VarianceScaling(_Independent):
    """Independent values of mean 0 and variance scale/n, with n = fan_in, fan_out or their average.

    Args:
        scale: The variance of a weight times n.
        mode: "fan_in", "fan_out" or "average", (fan_in + fan_out)/2.
        distribution: "normal" or "uniform".

    >>> VarianceScaling(scale=2.0).variance((10, 50))
    0.04
    """

    scale: float = 1.0
    mode: Mode = "fan_in"
    distribution: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        if self.mode not in {"fan_in", "fan_out", "average"}:
            raise ArgumentError(
                "mode", expected="'fan_in', 'fan_out' or 'average'", got=repr(self.mode)
            )

    def variance(self, shape: Sequence[int], groups: int = 1) -> float:
        """Return the variance of the weights of a layer of the given weight shape.

        >>> round(xavier_normal().variance((100, 784)), 10), round(he_normal().variance((100, 784)), 10)
        (0.0022624434, 0.0025510204)
        """
        fan_in, fan_out = fans(shape, groups)
        sizes = {
            "fan_in": float(fan_in),
            "fan_out": float(fan_out),
            "average": (fan_in + fan_out) / 2,
        }
        return self.scale / sizes[self.mode]

    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],
        groups: int,
    ) -> None:
        std = math.sqrt(self.variance(shape, groups))
        if self.distribution == "normal":
            random.standard_normal(out=block)
            block *= std
            return
        random.random(out=block)
        block *= 2
        block -= 1
        block *= std * math.sqrt(3)


@final
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain·Q, where the (out, rest) matrix Q has orthonormal rows or columns (Saxe et al. 2014).

    >>> q = Orthogonal().draw((2, 3), generator(0, "weight"))
    >>> bool(np.allclose(q @ q.T, np.eye(2)))
    True
    """

    gain: float = 1.0

    def draw(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,
        groups: int = 1,  # noqa: ARG002  # common signature
    ) -> Array:
        """Return a float64 array of the given shape."""
        rows, columns = shape[0], math.prod(shape[1:])
        gaussian = random.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(gaussian)
        signs = np.where(np.diagonal(r) < 0, -1.0, 1.0)  # make Q uniformly distributed
        q = q * signs
        return np.asarray((q if rows >= columns else q.T).reshape(shape) * self.gain)


def zeros() -> Initializer:
    """Return the initialiser with zeros everywhere: right for biases; hidden layers of zeros do not learn.

    >>> zeros() == constant(0)
    True
    """
    return Constant(0.0)


def constant(value: float) -> Initializer:
    """Return the initialiser with one value everywhere; the units of a layer stay equal.

    >>> constant(1)
    Constant(value=1.0)
    """
    return Constant(float(value))


def normal(std: float = 0.01, mean: float = 0.0) -> Initializer:
    """Return the initialiser N(mean, std²), whatever the size of the layer.

    >>> normal(std=0.02)
    Normal(std=0.02, mean=0.0)
    """
    return Normal(std, mean)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Return the initialiser of uniform values in [low, high), whatever the size of the layer.

    >>> uniform(-1, 1)
    Uniform(low=-1, high=1)
    """
    return Uniform(low, high)


def xavier_normal(mode: Mode = "average", gain: float = 1.0) -> VarianceScaling:
    """Return N(0, gain²/n) with n = (fan_in + fan_out)/2, or fan_in or fan_out by ``mode`` (Glorot and Bengio 2010).

    >>> xavier_normal().variance((4, 6))
    0.2
    """
    return VarianceScaling(gain * gain, mode, "normal")


def xavier_uniform(mode: Mode = "average", gain: float = 1.0) -> VarianceScaling:
    """Return the uniform distribution on ±gain·√(3/n), with the variance of ``xavier_normal``; n as there.

    >>> xavier_uniform().variance((4, 6))
    0.2
    """
    return VarianceScaling(gain * gain, mode, "uniform")


def he_normal(mode: Mode = "fan_in", slope: float = 0.0) -> VarianceScaling:
    """Return N(0, 2/((1 + slope²)·fan_in)) for rectifiers, which pass half of the signal (He et al. 2015).

    ``slope`` is the slope of the rectifier for x < 0; ``mode`` replaces fan_in by
    fan_out or their average.

    >>> he_normal().variance((4, 8))
    0.25
    """
    return VarianceScaling(2 / (1 + slope * slope), mode, "normal")


def he_uniform(mode: Mode = "fan_in", slope: float = 0.0) -> VarianceScaling:
    """Return the uniform distribution on ±√(6/((1 + slope²)·fan_in)), with the variance of ``he_normal``.

    >>> he_uniform(slope=1.0).variance((4, 8))
    0.125
    """
    return VarianceScaling(2 / (1 + slope * slope), mode, "uniform")


def lecun_normal() -> VarianceScaling:
    """Return N(0, 1/fan_in) (LeCun et al. 1998), as self-normalising networks (SELU) require.

    >>> lecun_normal().variance((4, 8))
    0.125
    """
    return VarianceScaling(1.0, "fan_in", "normal")


def lecun_uniform() -> VarianceScaling:
    """Return the uniform distribution on ±√(3/fan_in), with the variance of ``lecun_normal``.

    >>> lecun_uniform().variance((4, 8))
    0.125
    """
    return VarianceScaling(1.0, "fan_in", "uniform")


def orthogonal(gain: float = 1.0) -> Initializer:
    """Return gain·Q with QᵀQ = 1 or QQᵀ = 1: a linear layer preserves norms (Saxe et al. 2014).

    >>> orthogonal(gain=2.0)
    Orthogonal(gain=2.0)
    """
    return Orthogonal(gain)


_BY_NAME = {
    "zeros": zeros,
    "normal": normal,
    "uniform": uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "orthogonal": orthogonal,
}
_CLASSES = {
    kind.__name__: kind
    for kind in (Constant, Normal, Uniform, VarianceScaling, Orthogonal)
}


def get(initializer: str | dict[str, Any] | Initializer) -> Initializer | None:
    """Return an initialiser by name or from its config; None for "auto" (chosen by the activation that follows).

    >>> get("he_normal")
    VarianceScaling(scale=2.0, mode='fan_in', distribution='normal')
    """
    if isinstance(initializer, Initializer):
        return initializer
    if initializer == "auto":
        return None
    if isinstance(initializer, dict) and initializer.get("name") in _CLASSES:
        return _CLASSES[initializer["name"]](
            **{k: v for k, v in initializer.items() if k != "name"}
        )
    if isinstance(initializer, str) and initializer in _BY_NAME:
        return _BY_NAME[initializer]()
    raise ArgumentError(
        "init",
        expected=f"'auto', one of {', '.join(_BY_NAME)}, or nn.init.…()",
        got=repr(initializer),
    )


check_calls(__name__)
