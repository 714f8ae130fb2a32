"""Data augmentation: random label-preserving changes of images (Goodfellow et al. 2016, section 7.4).

Augmentations imitate changes of viewpoint (flip, rotation), position (shift, crop), illumination
(brightness), occlusion (cut-out) and background (noise, mixup). Augment training data only,
after the split.

An augmentation is called with (images, seed, epoch), images (N, height, width, C) or
(N, height, width), and returns new arrays of the same type. Its random numbers depend on
(seed, epoch) and the index of the example only.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import NamedArguments, check_calls
from deltarule.data.sampling.shuffling import shuffled, uniform
from deltarule.errors import ArgumentError, DataError

__all__ = [
    "Augmentation",
    "Compose",
    "CutOut",
    "Draws",
    "GaussianNoise",
    "Mixup",
    "RandomBrightness",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomShift",
    "balance",
    "mixup",
    "rotated",
]

Array = npt.NDArray[Any]
_DRAWS = 1 << 16  # random streams per epoch
_PLACES = 1 << 8  # random streams per augmentation of a chain


class Draws:
    """The random numbers of one augmentation in one epoch; each call returns new ones.

    Args:
        seed: The seed of the run.
        epoch: The number of the epoch.
        place: The position of the augmentation in a chain.

    >>> draws = Draws(seed=0, epoch=0)
    >>> bool((draws.uniform(3) < 1).all()), sorted(draws.order(3).tolist())
    (True, [0, 1, 2])
    """

    def __init__(self, seed: int, epoch: int, place: int = 0) -> None:
        self._seed = seed
        self._next = epoch * _DRAWS + place * _PLACES

    def uniform(
        self, n: int, low: float = 0.0, high: float = 1.0
    ) -> npt.NDArray[np.float64]:
        """Return n numbers in [low, high).

        >>> draws = Draws(seed=0, epoch=1, place=3)
        >>> numbers = draws.uniform(4, 2.0, 3.0)
        >>> bool(((numbers >= 2.0) & (numbers < 3.0)).all())
        True
        """
        self._next += 1
        return low + (high - low) * uniform(n, self._seed, "augment", self._next - 1)

    def normal(self, n: int) -> npt.NDArray[np.float64]:
        """Return n standard normal numbers, by the Box–Muller transform."""
        radius = np.sqrt(-2 * np.log1p(-self.uniform(n)))
        return np.asarray(radius * np.cos(2 * np.pi * self.uniform(n)))

    def whole(self, n: int, low: int, high: int) -> npt.NDArray[np.int64]:
        """Return n integers in low … high."""
        return np.floor(self.uniform(n, low, high + 1)).astype(np.int64)

    def order(self, n: int) -> npt.NDArray[np.int64]:
        """Return 0 … n − 1 in random order."""
        self._next += 1
        return shuffled(n, self._seed, "augment", self._next - 1)


class Augmentation(metaclass=NamedArguments):
    """Base class of augmentations of images; a subclass implements ``change(images, draws)``.

    >>> class Invert(Augmentation):
    ...     def change(self, images, draws):
    ...         return 1 - images
    >>> Invert()(np.zeros((1, 1, 2))).tolist()
    [[[1.0, 1.0]]]
    """

    def __call__(
        self, images: Any, seed: int = 0, epoch: int = 0, place: int = 0
    ) -> Array:
        """Return augmented images.

        Args:
            images: Images (N, height, width, C) or (N, height, width).
            seed: The seed of the run.
            epoch: The number of the epoch.
            place: The position of the augmentation in a chain.

        Raises:
            DataError: ``images`` has another shape, or is empty.
        """
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
    """Return one value per image in a shape that broadcasts to the images."""
    return values.reshape(-1, *(1,) * (images.ndim - 1))


def _as_before(values: Array, images: Array) -> Array:
    """Return values in the type of the images; for integer types they are rounded and clipped."""
    if images.dtype.kind in "iu":
        span = np.iinfo(images.dtype)
        return np.clip(np.rint(values), span.min, span.max).astype(images.dtype)
    return values.astype(images.dtype)


@final
@dataclass(frozen=True)
class RandomFlip(Augmentation):
    """Flip images with a given probability, horizontally by default.

    Args:
        axis: "horizontal" mirrors left and right, "vertical" top and bottom.
        probability: The probability of a flip.

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
    """Return a translated image; new pixels are ``fill``."""
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
    """Translate images by up to ``largest`` pixels along both axes; new pixels are ``fill``.

    >>> RandomShift(1)(np.ones((2, 4, 4))).shape
    (2, 4, 4)
    """

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
    """Crop images to height × width at a random position, after padding.

    Args:
        height: The height of the crop.
        width: The width of the crop.
        border: The number of pixels of padding on each side.
        fill: The value of the padding.

    >>> RandomCrop(3, 3)(np.ones((2, 4, 4))).shape
    (2, 3, 3)
    """

    height: int
    width: int
    border: int = 0
    fill: float = 0.0

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images; raise DataError for images that are smaller than the crop."""
        widths = [(0, 0), (self.border,) * 2, (self.border,) * 2, (0, 0)][: images.ndim]
        padded = np.pad(images, widths, constant_values=self.fill)
        down, right = padded.shape[1] - self.height, padded.shape[2] - self.width
        if min(down, right, self.height - 1, self.width - 1, self.border) < 0:
            raise DataError(
                "RandomCrop",
                expected=f"images of at least {self.height}×{self.width} with their border",
                got=f"{padded.shape[1]}×{padded.shape[2]}",
            )
        tops = draws.whole(len(images), 0, down)
        lefts = draws.whole(len(images), 0, right)
        rows = (tops[:, None] + np.arange(self.height))[:, :, None]
        columns = (lefts[:, None] + np.arange(self.width))[:, None, :]
        examples = np.arange(len(images))[:, None, None]
        return np.asarray(padded[examples, rows, columns])


@final
@dataclass(frozen=True)
class RandomRotation(Augmentation):
    """Rotate images about their centre by a random angle, with bilinear interpolation.

    Args:
        largest: The largest angle in degrees, in both directions.
        fill: The value of new pixels.

    >>> RandomRotation(largest=30.0)(np.ones((2, 4, 4))).shape
    (2, 4, 4)
    """

    largest: float = 15.0
    fill: float = 0.0

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        angles = draws.uniform(len(images), -self.largest, self.largest)
        pairs = zip(images, angles.tolist(), strict=True)
        return np.stack([rotated(image, angle, self.fill) for image, angle in pairs])


def rotated(image: Array, degrees: float, fill: float = 0.0) -> Array:
    """Return an image rotated counter-clockwise about its centre, with bilinear interpolation.

    Args:
        image: An image (height, width) or (height, width, C).
        degrees: The angle in degrees.
        fill: The value of new pixels.

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
    # the source position of each new pixel
    rows = (height - 1) / 2 + math.cos(angle) * y + math.sin(angle) * x
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
        vertical = rows - top if down else 1 - rows + top
        horizontal = columns - left if right else 1 - columns + left
        weight = vertical * horizontal
        i = np.clip(top + down + 1, 0, height + 1)
        j = np.clip(left + right + 1, 0, width + 1)
        total += weight.reshape(weight.shape + (1,) * (image.ndim - 2)) * padded[i, j]
    return _as_before(total, image)


@final
@dataclass(frozen=True)
class RandomBrightness(Augmentation):
    """Multiply the pixels of an image by a random factor.

    Args:
        most: The factor is in [1 − most, 1 + most].
        low: The lower bound of pixels, if any.
        high: The upper bound of pixels, if any.

    >>> bool(RandomBrightness(0.5, high=1.0)(np.ones((2, 4, 4))).max() <= 1)
    True
    """

    most: float = 0.2
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _share(self.most, "RandomBrightness most")

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        factors = draws.uniform(len(images), 1 - self.most, 1 + self.most)
        brighter = images * _per_image(factors, images)
        if self.low is not None or self.high is not None:
            brighter = np.clip(brighter, self.low, self.high)
        return _as_before(brighter, images)


@final
@dataclass(frozen=True)
class CutOut(Augmentation):
    """Cut-out: fill a square around a random pixel, possibly beyond the border (DeVries and Taylor 2017).

    Args:
        size: The side of the square in pixels.
        fill: The value of the square.

    >>> float(CutOut(size=1)(np.ones((1, 4, 4))).sum())
    15.0
    """

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
        rows = (i >= top) & (i < top + self.size)
        columns = (j >= left) & (j < left + self.size)
        covered = rows[:, :, None] & columns[:, None, :]
        covered = covered[..., None] if images.ndim == 4 else covered
        return np.where(covered, np.asarray(self.fill, images.dtype), images)


@final
@dataclass(frozen=True)
class GaussianNoise(Augmentation):
    """Add Gaussian noise 𝒩(0, deviation²) to every pixel.

    >>> GaussianNoise(0.1)(np.zeros((2, 4, 4))).shape
    (2, 4, 4)
    """

    deviation: float = 0.1

    def change(self, images: Array, draws: Draws) -> Array:
        """Return new images."""
        noise = self.deviation * draws.normal(images.size).reshape(images.shape)
        return _as_before(images + noise, images)


@final
class Compose(Augmentation):
    """A chain of augmentations, applied in order with independent random numbers.

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
        """Return augmented images."""
        for i, step in enumerate(self.steps):
            images = step(images, seed, epoch, place + i)
        return np.asarray(images)

    def change(self, images: Array, draws: Draws) -> Array:
        """Return images changed by all steps with one random number generator."""
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
    """Mixup: return λx_i + (1 − λ)x_j and λy_i + (1 − λ)y_j, λ ~ Beta(strength, strength) (Zhang et al. 2018).

    Each example i has a random partner j and its own λ. Integers become floats.

    Args:
        inputs: The inputs, (N, …).
        targets: One-hot or soft labels (N, K), or real values.
        strength: The parameter > 0 of the beta distribution.
        seed: The seed of the run.
        epoch: The number of the epoch.
        place: The position of the augmentation in a chain.

    Raises:
        ArgumentError: ``strength`` ≤ 0.
        DataError: Targets are integer labels, or inputs and targets differ in number.

    >>> x, y = mixup(np.eye(4), np.eye(4), seed=1)
    >>> bool(np.allclose(x, y)), y.sum(axis=1).round(12).tolist()
    (True, [1.0, 1.0, 1.0, 1.0])
    """
    x, y = np.asarray(inputs), np.asarray(targets)
    if not strength > 0:
        raise ArgumentError(
            "mixup strength", expected="a number > 0", got=repr(strength)
        )
    same_number = x.ndim > 0 and y.ndim > 0 and len(x) == len(y) > 0
    if not same_number or y.dtype.kind not in "fb":
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
    """``mixup`` with a given strength, for ``fit(augment=…)``.

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
    """Return n numbers from Beta(a, a), by Jöhnk's method: U^{1/a}/(U^{1/a} + V^{1/a}) if the sum is ≤ 1."""
    result = np.empty(n)
    left = np.arange(n)
    while len(left):
        first, second = (
            np.log1p(-draws.uniform(len(left))) / strength for _ in range(2)
        )
        accepted = np.logaddexp(first, second) <= 0
        log_ratio = np.minimum(second - first, 700.0)[accepted]
        result[left[accepted]] = 1 / (1 + np.exp(log_ratio))
        left = left[~accepted]
    return result


def balance(
    images: Any,
    labels: Any,
    augmentation: Augmentation | Callable[[Array, int, int], Array],
    seed: int = 0,
) -> tuple[Array, Array]:
    """Oversample rare classes with augmented copies until all classes are equally frequent.

    The original examples come first; the copies follow class by class.

    Args:
        images: The images, (N, …).
        labels: The labels, (N,).
        augmentation: The augmentation of the copies.
        seed: The random seed.

    Returns:
        The images and labels with the copies.

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


check_calls(__name__)
