"""Data augmentation: copies of examples that look different and mean the same (TRF-04 … TRF-08, REG-21).

What a camera does to a class, an augmentation imitates (DA-14): viewpoint (flip, rotate), place (shift, crop),
illumination (brightness), occlusion (cut-out), clutter (noise, mixup). Augment training data only, after the split.

Every augmentation is called with (images, seed, epoch): images (N, height, width, C) or (N, height, width), and gives
new arrays of the same type. What it draws depends on (seed, epoch) and the example's number alone.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import NamedArguments
from deltarule.data.sampling.shuffling import shuffled, uniform
from deltarule.errors import ArgumentError, DataError

Array = npt.NDArray[Any]
_DRAWS = 1 << 16  # draws of one epoch lie apart from those of the next
_PLACES = 1 << 8  # and those of one augmentation from the next of a chain


class Draws:
    """Random numbers of one augmentation in one epoch; each call gives others."""

    def __init__(self, seed: int, epoch: int, place: int = 0) -> None:
        self._seed = seed
        self._next = epoch * _DRAWS + place * _PLACES

    def uniform(
        self, n: int, low: float = 0.0, high: float = 1.0
    ) -> npt.NDArray[np.float64]:
        """Return n numbers in [low, high)."""
        self._next += 1
        return low + (high - low) * uniform(n, self._seed, "augment", self._next - 1)

    def normal(self, n: int) -> npt.NDArray[np.float64]:
        """Return n standard normal numbers, by Box and Muller."""
        radius = np.sqrt(-2 * np.log1p(-self.uniform(n)))
        return np.asarray(radius * np.cos(2 * np.pi * self.uniform(n)))

    def whole(self, n: int, low: int, high: int) -> npt.NDArray[np.int64]:
        """Return n whole numbers in low … high."""
        return np.floor(self.uniform(n, low, high + 1)).astype(np.int64)

    def order(self, n: int) -> npt.NDArray[np.int64]:
        """Return 0 … n − 1 in random order."""
        self._next += 1
        return shuffled(n, self._seed, "augment", self._next - 1)


class Augmentation(metaclass=NamedArguments):
    """A change of images that keeps their meaning."""

    def __call__(
        self, images: Any, seed: int = 0, epoch: int = 0, place: int = 0
    ) -> Array:
        """Return changed images; ``place`` tells augmentations of one chain apart."""
        batch = np.asarray(images)
        if batch.ndim not in {3, 4} or len(batch) == 0:
            raise DataError(
                type(self).__name__,
                expected="images (N, height, width) or (N, height, width, channels)",
                got=f"an array of shape {batch.shape}",
                hint="Give one image as image[None].",
            )
        return self.change(batch, Draws(seed, epoch, place))

    @abstractmethod
    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""


def _share(value: float, where: str) -> None:
    if not 0 <= value <= 1:
        raise ArgumentError(where, expected="a number in [0, 1]", got=repr(value))


def _per_image(values: Array, images: Array) -> Array:
    """Return one value for each image in a shape that goes with the images."""
    return values.reshape(-1, *(1,) * (images.ndim - 1))


def _as_before(values: Array, images: Array) -> Array:
    """Return values in the images' type; whole numbers are rounded and kept within the type's range."""
    if images.dtype.kind in "iu":
        span = np.iinfo(images.dtype)
        return np.clip(np.rint(values), span.min, span.max).astype(images.dtype)
    return values.astype(images.dtype)


@final
@dataclass(frozen=True)
class RandomFlip(Augmentation):
    """Mirror an image, left and right by default, with a probability (TRF-05): other pixels, the same label.

    >>> RandomFlip(probability=1.0)(np.array([[[1, 2, 3]]])).tolist()
    [[[3, 2, 1]]]
    """

    axis: Literal["horizontal", "vertical"] = "horizontal"
    probability: float = 0.5

    def __post_init__(self) -> None:
        _share(self.probability, "RandomFlip probability")
        if self.axis not in {"horizontal", "vertical"}:
            raise ArgumentError(
                "RandomFlip axis",
                expected="'horizontal' or 'vertical'",
                got=repr(self.axis),
            )

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        chosen = draws.uniform(len(images)) < self.probability
        mirrored = images[:, :, ::-1] if self.axis == "horizontal" else images[:, ::-1]
        return np.where(_per_image(chosen, images), mirrored, images)


def _moved(image: Array, down: int, right: int, fill: float) -> Array:
    """Return an image with its content moved; what comes in is ``fill``."""
    height, width = image.shape[:2]
    result = np.full_like(image, fill)
    if abs(down) < height and abs(right) < width:
        target = (
            slice(max(down, 0), height + min(down, 0)),
            slice(max(right, 0), width + min(right, 0)),
        )
        source = (
            slice(max(-down, 0), height - max(down, 0)),
            slice(max(-right, 0), width - max(right, 0)),
        )
        result[target] = image[source]
    return result


@final
@dataclass(frozen=True)
class RandomShift(Augmentation):
    """Move the content by up to ``largest`` pixels in both directions; what comes in is ``fill`` (TRF-06)."""

    largest: int = 2
    fill: float = 0.0

    def __post_init__(self) -> None:
        if self.largest < 0:
            raise ArgumentError(
                "RandomShift largest",
                expected="a whole number ≥ 0",
                got=repr(self.largest),
            )

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        down = draws.whole(len(images), -self.largest, self.largest)
        right = draws.whole(len(images), -self.largest, self.largest)
        moves = zip(images, down.tolist(), right.tolist(), strict=True)
        return np.stack([_moved(image, i, j, self.fill) for image, i, j in moves])


@final
@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Cut out height × width at a random place, after surrounding the image with ``border`` pixels (TRF-04)."""

    height: int
    width: int
    border: int = 0
    fill: float = 0.0

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images; raises DataError for images that are smaller than the cut."""
        widths = [(0, 0), (self.border,) * 2, (self.border,) * 2, (0, 0)][: images.ndim]
        padded = np.pad(images, widths, constant_values=self.fill)
        down, right = padded.shape[1] - self.height, padded.shape[2] - self.width
        if min(down, right, self.height - 1, self.width - 1, self.border) < 0:
            raise DataError(
                "RandomCrop",
                expected=f"images of at least {self.height}×{self.width} with their border",
                got=f"{padded.shape[1]}×{padded.shape[2]}",
            )
        tops, lefts = (
            draws.whole(len(images), 0, down),
            draws.whole(len(images), 0, right),
        )
        rows = tops[:, None] + np.arange(self.height)
        columns = lefts[:, None] + np.arange(self.width)
        return np.asarray(
            padded[
                np.arange(len(images))[:, None, None],
                rows[:, :, None],
                columns[:, None, :],
            ]
        )


@final
@dataclass(frozen=True)
class RandomRotation(Augmentation):
    """Turn an image about its centre by up to ``largest`` degrees, counter-clockwise for positive angles (DA-14).

    Pixels are interpolated between their four neighbours; what comes in is ``fill``.
    """

    largest: float = 15.0
    fill: float = 0.0

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        angles = draws.uniform(len(images), -self.largest, self.largest)
        return np.stack(
            [
                rotated(image, angle, self.fill)
                for image, angle in zip(images, angles.tolist(), strict=True)
            ]
        )


def rotated(image: Array, degrees: float, fill: float = 0.0) -> Array:
    """Return an image (height, width) or (height, width, C) turned counter-clockwise about its centre.

    >>> rotated(np.array([[1.0, 2.0], [3.0, 4.0]]), 90).round(9).tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """
    height, width = image.shape[:2]
    angle = math.radians(degrees)
    y, x = np.meshgrid(
        np.arange(height) - (height - 1) / 2,
        np.arange(width) - (width - 1) / 2,
        indexing="ij",
    )
    rows = (
        (height - 1) / 2 + math.cos(angle) * y + math.sin(angle) * x
    )  # where each new pixel was
    columns = (width - 1) / 2 - math.sin(angle) * y + math.cos(angle) * x
    rows, columns = rows.round(9), columns.round(9)
    padded = np.pad(
        image.astype(np.float64),
        [(1, 1), (1, 1), (0, 0)][: image.ndim],
        constant_values=fill,
    )
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    total = np.zeros(image.shape)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.where(down, rows - top, 1 - rows + top) * np.where(
            right, columns - left, 1 - columns + left
        )
        i, j = (
            np.clip(top + down + 1, 0, height + 1),
            np.clip(left + right + 1, 0, width + 1),
        )
        total += share.reshape(share.shape + (1,) * (image.ndim - 2)) * padded[i, j]
    return _as_before(total, image)


@final
@dataclass(frozen=True)
class RandomBrightness(Augmentation):
    """Multiply all pixels of an image by a factor in [1 − most, 1 + most]; kept within [low, high] if given (DA-14)."""

    most: float = 0.2
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _share(self.most, "RandomBrightness most")

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        factors = _per_image(
            draws.uniform(len(images), 1 - self.most, 1 + self.most), images
        )
        brighter = images * factors
        if self.low is not None or self.high is not None:
            brighter = np.clip(brighter, self.low, self.high)
        return _as_before(brighter, images)


@final
@dataclass(frozen=True)
class CutOut(Augmentation):
    """Cover a square of ``size`` pixels around a random centre; it may reach over the border (DeVries, Taylor 2017)."""

    size: int = 8
    fill: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ArgumentError(
                "CutOut size", expected="a whole number ≥ 1", got=repr(self.size)
            )

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        n, height, width = images.shape[:3]
        top = draws.whole(n, 0, height - 1)[:, None] - self.size // 2
        left = draws.whole(n, 0, width - 1)[:, None] - self.size // 2
        i, j = np.arange(height), np.arange(width)
        covered = ((i >= top) & (i < top + self.size))[:, :, None] & (
            (j >= left) & (j < left + self.size)
        )[:, None, :]
        covered = covered[..., None] if images.ndim == 4 else covered
        return np.where(covered, np.asarray(self.fill, images.dtype), images)


@final
@dataclass(frozen=True)
class GaussianNoise(Augmentation):
    """Add N(0, deviation²) to every pixel (TRF-08)."""

    deviation: float = 0.1

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        return _as_before(
            images + self.deviation * draws.normal(images.size).reshape(images.shape),
            images,
        )


@final
class Compose(Augmentation):
    """One augmentation after another, each with draws of its own (TRF-06).

    >>> both = Compose(RandomFlip(), RandomShift(1))
    >>> images = np.arange(32.0).reshape(2, 4, 4)
    >>> bool((both(images, seed=1) == both(images, seed=1)).all())
    True
    """

    def __init__(self, *steps: Augmentation) -> None:
        if not steps or not all(isinstance(step, Augmentation) for step in steps):
            raise ArgumentError("Compose", expected="augmentations", got=repr(steps))
        self.steps = steps

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.steps))})"

    def __call__(
        self, images: Any, seed: int = 0, epoch: int = 0, place: int = 0
    ) -> Array:
        """Return changed images."""
        for i, step in enumerate(self.steps):
            images = step(images, seed, epoch, place + i)
        return np.asarray(images)

    def change(self, images: Array, draws: Draws) -> Array:
        """Return images changed by all steps with one source of draws."""
        for step in self.steps:
            images = step.change(images, draws)
        return images


def mixup(
    inputs: Any,
    targets: Any,
    strength: float = 0.2,
    seed: int = 0,
    epoch: int = 0,
    place: int = 0,
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """Return λx_i + (1 − λ)x_j and λy_i + (1 − λ)y_j with a random partner j and λ ~ Beta(strength, strength) each.

    Targets must be numbers that can be mixed: one-hot or soft labels (N, K), or real values. Whole numbers become
    floats. Source: Zhang et al. 2018.

    >>> x, y = mixup(np.eye(4), np.eye(4), seed=1)
    >>> bool(np.allclose(x, y)), y.sum(axis=1).round(12).tolist()
    (True, [1.0, 1.0, 1.0, 1.0])
    """
    x, y = np.asarray(inputs), np.asarray(targets)
    if not strength > 0:
        raise ArgumentError(
            "mixup strength", expected="a number > 0", got=repr(strength)
        )
    if (
        x.ndim == 0
        or y.ndim == 0
        or len(x) != len(y)
        or len(x) == 0
        or y.dtype.kind not in "fb"
    ):
        raise DataError(
            "mixup",
            expected="examples with one-hot, soft or real targets, as many",
            got=f"{x.shape} and {y.shape} of {y.dtype}",
            hint="Make labels one-hot first: data.one_hot(y).",
        )
    draws = Draws(seed, epoch, place)
    partner, shares = draws.order(len(x)), _beta(len(x), strength, draws)
    return _mixed(x, partner, shares), _mixed(y, partner, shares)


@final
@dataclass(frozen=True)
class Mixup:
    """``mixup`` with a strength, as one of the changes that ``fit(augment=…)`` takes.

    >>> Mixup(0.4)(np.eye(2), np.eye(2), seed=1)[1].sum(axis=1).tolist()
    [1.0, 1.0]
    """

    strength: float = 0.2

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise ArgumentError(
                "Mixup strength", expected="a number > 0", got=repr(self.strength)
            )

    def __call__(
        self, inputs: Any, targets: Any, seed: int = 0, epoch: int = 0, place: int = 0
    ) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
        """Return mixed inputs and mixed targets."""
        return mixup(inputs, targets, self.strength, seed, epoch, place)


def _mixed(values: Array, partner: Array, shares: Array) -> Array:
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    share = _per_image(shares, values)
    return np.asarray(share * values + (1 - share) * values[partner]).astype(kind)


def _beta(n: int, strength: float, draws: Draws) -> npt.NDArray[np.float64]:
    """Return n numbers from Beta(strength, strength), by Jöhnk's method: U^{1/a}/(U^{1/a} + V^{1/a}) if the sum ≤ 1."""
    result = np.empty(n)
    left = np.arange(n)
    while len(left):
        first, second = (
            np.log1p(-draws.uniform(len(left))) / strength for _ in range(2)
        )
        accepted = np.logaddexp(first, second) <= 0
        result[left[accepted]] = 1 / (
            1 + np.exp(np.minimum(second - first, 700.0)[accepted])
        )
        left = left[~accepted]
    return result


def balance(
    images: Any,
    labels: Any,
    augmentation: Augmentation | Callable[[Array, int, int], Array],
    seed: int = 0,
) -> tuple[Array, Array]:
    """Return the data with augmented copies of the rarer classes until all are as frequent (TRF-07, DA-15).

    The original examples come first; copies follow class by class, taken from the class in turn.

    >>> x, y = balance(np.zeros((5, 2, 2)), [0, 0, 0, 0, 1], GaussianNoise(1.0))
    >>> y.tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    x, y = np.asarray(images), np.asarray(labels)
    if y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise DataError(
            "balance", expected="a label for each image", got=f"{x.shape} and {y.shape}"
        )
    classes, counts = np.unique(y, return_counts=True)
    parts: list[Array] = [x]
    kinds: list[Array] = [y]
    for label, missing in zip(classes, counts.max() - counts, strict=True):
        if missing:
            rows = np.resize(np.flatnonzero(y == label), missing)
            parts.append(augmentation(x[rows], seed, len(parts)))
            kinds.append(y[rows])
    return np.concatenate(parts), np.concatenate(kinds)
