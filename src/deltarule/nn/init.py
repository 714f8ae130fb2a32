"""Initialisers: how the first values of weights are drawn.

Variances are chosen so that signals neither die nor explode with depth. With fan_in inputs and fan_out outputs
of a unit: Xavier keeps the variance through linear (or tanh near 0) units, He through rectifiers, which halve
the second moment; LeCun is Xavier with fan_in alone. Numbers come from NumPy's Philox generator keyed by
(seed, name of the parameter): the same network has the same first weights wherever it is made.
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

from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError
from deltarule.nn.drawing import MANY, fill, idle_cores

Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
Mode = Literal["fan_in", "fan_out", "average"]
DEFAULT_SEED = 0


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the Philox generator of one parameter: its key is the SHA-256 of seed and name.

    >>> bool(generator(0, "0.weight").random() == generator(0, "0.weight").random())
    True
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
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
    """A way to draw the first values of a parameter; equal ones have equal settings."""

    @abstractmethod
    def draw(
        self, shape: tuple[int, ...], random: np.random.Generator, groups: int = 1
    ) -> Array:
        """Return an array of ``shape`` in float64."""

    def values(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,
        dtype: str,
        groups: int = 1,
    ) -> AnyArray:
        """Return what ``draw`` returns, in an element type."""
        return self.draw(shape, random, groups).astype(dtype, copy=False)

    def config(self) -> dict[str, Any]:
        """Return plain data from which ``get`` makes the same initialiser."""
        return {"name": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]  # all are dataclasses


class _Independent(Initializer):
    """An initialiser whose numbers are drawn one after the other, so that a block at a time is enough memory."""

    @abstractmethod
    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],
        groups: int,
    ) -> None:
        """Fill a block of a parameter of ``shape`` with the next numbers."""

    def draw(
        self, shape: tuple[int, ...], random: np.random.Generator, groups: int = 1
    ) -> Array:
        """Return an array of ``shape`` in float64."""
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
        """Return what ``draw`` returns, in an element type, without an array of float64 as large as it."""
        made = np.empty(shape, dtype)
        threads = idle_cores() if made.size >= MANY else 1
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
    """One number everywhere: units of a layer stay alike for ever (INI-09, INI-10); right for biases."""

    value: float = 0.0

    def draw(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,  # noqa: ARG002  # one signature for all
        groups: int = 1,  # noqa: ARG002  # one signature for all
    ) -> Array:
        """Return an array of ``shape`` in float64."""
        return np.full(shape, self.value)


@final
@dataclass(frozen=True)
class Normal(_Independent):
    """N(mean, std²), whatever the layer's size (INI-01, INI-02)."""

    std: float = 0.01
    mean: float = 0.0

    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],  # noqa: ARG002  # one signature for all
        groups: int,  # noqa: ARG002  # one signature for all
    ) -> None:
        random.standard_normal(out=block)
        block *= self.std
        block += self.mean


@final
@dataclass(frozen=True)
class Uniform(_Independent):
    """Uniform in [low, high), whatever the layer's size."""

    low: float = -0.05
    high: float = 0.05

    def _block(
        self,
        block: Array,
        random: np.random.Generator,
        shape: tuple[int, ...],  # noqa: ARG002  # one signature for all
        groups: int,  # noqa: ARG002  # one signature for all
    ) -> None:
        random.random(out=block)
        block *= self.high - self.low
        block += self.low


@final
@dataclass(frozen=True)
class VarianceScaling(_Independent):
    """Mean 0 and variance scale/n, with n = fan_in, fan_out or (fan_in + fan_out)/2 (INI-03 … INI-07)."""

    scale: float = 1.0
    mode: Mode = "fan_in"
    distribution: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        if self.mode not in {"fan_in", "fan_out", "average"}:
            raise ArgumentError(
                "mode", expected="'fan_in', 'fan_out' or 'average'", got=repr(self.mode)
            )

    def variance(self, shape: Sequence[int], groups: int = 1) -> float:
        """Return the variance of the weights of a layer.

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
    """gain·Q with orthonormal rows or columns of the (out, rest) matrix (Saxe et al. 2014)."""

    gain: float = 1.0

    def draw(
        self,
        shape: tuple[int, ...],
        random: np.random.Generator,
        groups: int = 1,  # noqa: ARG002  # one signature for all
    ) -> Array:
        """Return an array of ``shape`` in float64."""
        rows, columns = shape[0], math.prod(shape[1:])
        gaussian = random.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(gaussian)
        q = q * np.where(
            np.diagonal(r) < 0, -1.0, 1.0
        )  # the sign that makes Q uniformly distributed
        return np.asarray((q if rows >= columns else q.T).reshape(shape) * self.gain)


def zeros() -> Initializer:
    """All zeros: right for biases; a hidden layer of zeros learns nothing (INI-09)."""
    return Constant(0.0)


def constant(value: float) -> Initializer:
    """One number everywhere; the units of a layer stay equal (INI-10)."""
    return Constant(float(value))


def normal(std: float = 0.01, mean: float = 0.0) -> Initializer:
    """N(mean, std²) (INI-01, INI-02)."""
    return Normal(std, mean)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform in [low, high)."""
    return Uniform(low, high)


def xavier_normal(mode: Mode = "average", gain: float = 1.0) -> VarianceScaling:
    """N(0, gain²/n) with n = (fan_in + fan_out)/2 (INI-03), fan_in (INI-04) or fan_out (INI-05).

    Source: Glorot and Bengio 2010.
    """
    return VarianceScaling(gain * gain, mode, "normal")


def xavier_uniform(mode: Mode = "average", gain: float = 1.0) -> VarianceScaling:
    """Uniform in ±gain·√(3/n), of the variance of ``xavier_normal``; n = (fan_in + fan_out)/2 by default."""
    return VarianceScaling(gain * gain, mode, "uniform")


def he_normal(mode: Mode = "fan_in", slope: float = 0.0) -> VarianceScaling:
    """N(0, 2/((1 + slope²)·fan_in)) for rectifiers, which let half of the signal pass (INI-06).

    ``slope`` is the rectifier's slope for x < 0. Source: He et al. 2015.
    """
    return VarianceScaling(2 / (1 + slope * slope), mode, "normal")


def he_uniform(mode: Mode = "fan_in", slope: float = 0.0) -> VarianceScaling:
    """Uniform in ±√(6/((1 + slope²)·fan_in)), of the variance of ``he_normal``."""
    return VarianceScaling(2 / (1 + slope * slope), mode, "uniform")


def lecun_normal() -> VarianceScaling:
    """N(0, 1/fan_in) (LeCun et al. 1998); what SELU's fixed point asks for."""
    return VarianceScaling(1.0, "fan_in", "normal")


def lecun_uniform() -> VarianceScaling:
    """Uniform in ±√(3/fan_in)."""
    return VarianceScaling(1.0, "fan_in", "uniform")


def orthogonal(gain: float = 1.0) -> Initializer:
    """gain·Q with QᵀQ = 1 or QQᵀ = 1: lengths are kept through a linear layer (Saxe et al. 2014)."""
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
    """Return an initialiser by name or from its config; None for "auto" (chosen by the activation that follows)."""
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
