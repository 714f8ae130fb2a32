"""Figures of generative models as SVG: reconstructions, samples, latent maps and grids, the asymmetry of KL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ShapeError
from deltarule.generative.distributions import Mixture, Normal
from deltarule.generative.ring import ring_transform
from deltarule.render.svg import Picture, Series, image_grid, line_chart, scatter
from deltarule.runtime.buffers import Array
from deltarule.tensor.random import random_normal
from deltarule.tensor.tensor import tensor

Images = Sequence[Any] | Array  # images one by one, or (n, …)

__all__ = [
    "Plane",
    "best_normals",
    "kl_asymmetry",
    "latent_grid",
    "latent_map",
    "reconstructions",
    "ring",
    "samples",
]


def _picture(pixels: Any, caption: str = "") -> Picture:
    """Return the picture of an image (H, W), (H, W, 1) or (H, W, 3), or of a flattened square one."""
    array = np.asarray(pixels, np.float64)
    if array.ndim == 1:
        side = math.isqrt(len(array))
        if side * side != len(array):
            raise ShapeError(
                "figure",
                expected="images, or vectors of a square image",
                got=f"{len(array)} numbers",
            )
        array = array.reshape(side, side)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in {2, 3}:
        raise ShapeError(
            "figure", expected="images (H, W) or (H, W, 1 or 3)", got=str(array.shape)
        )
    return Picture(array.tolist(), caption)


def samples(images: Images, columns: int = 8, title: str = "Samples") -> str:
    """Return a grid of images: samples of a model, a latent traversal, an interpolation.

    Args:
        images: (n, H, W), (n, H, W, 1 or 3), or flattened square images (n, H·H).
        columns: Images in a row.
        title: Title of the figure.

    >>> samples(np.zeros((4, 3, 3)), columns=2)[:4]
    '<svg'
    """
    return image_grid(
        [_picture(image) for image in images], columns=columns, title=title, size=48
    )


def reconstructions(
    inputs: Images, outputs: Images, title: str = "Reconstructions"
) -> str:
    """Return a figure of inputs, with their reconstructions below.

    Args:
        inputs: Images, (n, …).
        outputs: Their reconstructions, (n, …).
        title: Title of the figure.

    Raises:
        ShapeError: The numbers of inputs and outputs differ.

    >>> reconstructions(np.zeros((2, 3, 3)), np.ones((2, 3, 3)))[:4]
    '<svg'
    """
    n = len(inputs)
    if len(outputs) != n:
        raise ShapeError(
            "reconstructions", expected=f"{n} outputs", got=str(len(outputs))
        )
    above = [_picture(image, "input") for image in inputs]
    return image_grid(
        [*above, *(_picture(image, "model") for image in outputs)],
        columns=n,
        title=title,
        size=48,
    )


def latent_grid(images: Images, title: str = "Latent grid") -> str:
    """Return a figure of n² decoded points of a latent grid, as returned by ``VAE.latent_grid``.

    >>> latent_grid(np.zeros((9, 4)))[:4]
    '<svg'
    """
    return image_grid(
        [_picture(i) for i in images],
        columns=math.isqrt(len(images)),
        title=title,
        size=36,
        gap=3,
    )


def latent_map(
    codes: Any,
    labels: Any = None,
    title: str = "Latent map",
    most: int = 1500,
    axes: tuple[str, str] = ("z₁", "z₂"),
) -> str:
    """Return a scatter plot of the first two latent variables, coloured by label.

    Args:
        codes: Codes (N, at least 2).
        labels: A class of each code, (N,); None for one colour.
        title: Title of the figure.
        most: Maximal number of points.
        axes: Names of the axes.

    >>> latent_map([[0.0, 1.0], [1.0, 0.0]], labels=[3, 7])[:4]
    '<svg'
    """
    z = np.asarray(codes)[:most]
    if z.ndim != 2 or z.shape[1] < 2:
        raise ShapeError(
            "latent_map", expected="codes (N, at least 2)", got=str(z.shape)
        )
    kinds = np.zeros(len(z), int) if labels is None else np.asarray(labels)[: len(z)]
    series = [
        Series(
            "" if labels is None else str(kind),
            z[kinds == kind, 0].tolist(),
            z[kinds == kind, 1].tolist(),
        )
        for kind in np.unique(kinds)
    ]
    return scatter(series, title, *axes, radius=2.0, names_inside=True)


@final
@dataclass(frozen=True)
class Plane:
    """A plane in the latent space.

    Attributes:
        centre: A point of the plane, (k,).
        directions: Two orthonormal directions, (2, k).
        description: Which plane it is, in words.

    >>> Plane.through([[0.0, 1.0], [1.0, 0.0]]).description
    'the latent plane'
    """

    centre: Array
    directions: Array
    description: str

    @staticmethod
    def through(codes: Any) -> Plane:
        """Return the latent plane itself for codes (N, 2), and the plane of largest variance for codes (N, k > 2).

        >>> Plane.through([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.1, 0.0]]).description
        'the plane of largest variance of 3 latent variables (100 % of it)'
        """
        z = np.asarray(codes, np.float64)
        if z.ndim != 2 or z.shape[1] < 2:
            raise ShapeError(
                "Plane.through", expected="codes (N, at least 2)", got=str(z.shape)
            )
        if z.shape[1] == 2:
            return Plane(np.zeros(2), np.eye(2), "the latent plane")
        centre = z.mean(axis=0)
        _, scales, directions = np.linalg.svd(z - centre, full_matrices=False)
        share = (scales[:2] ** 2).sum() / max(
            float((scales**2).sum()), np.finfo(np.float64).tiny
        )
        description = f"the plane of largest variance of {z.shape[1]} latent variables ({100 * share:.0f} % of it)"
        return Plane(centre, directions[:2], description)

    def points(self, codes: Any) -> Array:
        """Return the coordinates (N, 2) of codes (N, k) projected onto the plane.

        >>> plane = Plane(np.zeros(3), np.eye(3)[:2], "first two latent variables")
        >>> plane.points([[1.0, 2.0, 3.0]]).tolist()
        [[1.0, 2.0]]
        """
        return np.asarray(
            (np.asarray(codes, np.float64) - self.centre) @ self.directions.T
        )

    def grid(self, n: int, span: float) -> Array:
        """Return a grid of codes (n², k) over [−span, span]², row by row from the top.

        >>> plane = Plane(np.zeros(2), np.eye(2), "latent space")
        >>> plane.grid(2, span=1.0).tolist()
        [[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
        """
        ticks = np.linspace(-span, span, n)
        places = np.stack([np.tile(ticks, n), np.repeat(ticks[::-1], n)], axis=1)
        return np.asarray(self.centre + places @ self.directions)


def ring(alpha: float = 10.0, n: int = 600, seed: int = 0) -> str:
    """Return a scatter plot of normal points and of their images under ``ring_transform``.

    >>> ring(n=10)[:4]
    '<svg'
    """
    z = random_normal((n, 2), seed)
    y = ring_transform(z, alpha).numpy()
    before = Series("z ~ 𝒩(0, I)", z.numpy()[:, 0].tolist(), z.numpy()[:, 1].tolist())
    after = Series("g(z)", y[:, 0].tolist(), y[:, 1].tolist())
    return scatter(
        [before, after],
        f"A ring from a Gaussian: g(z) = z/{alpha:g} + z/‖z‖",
        "z₁",
        "z₂",
        radius=1.8,
    )


def _two_modes() -> Mixture:
    return Mixture(
        np.log([0.6, 0.4]), Normal(np.array([-2.0, 2.5]), np.array([0.7, 0.9]))
    )


def best_normals() -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (μ, σ) of the normals q that minimize KL(q‖p) and KL(p‖q) for p = 0.6𝒩(−2, 0.7²) + 0.4𝒩(2.5, 0.9²).

    KL(p‖q) is minimal at the mean and the variance of p; KL(q‖p) is minimized over a grid, by quadrature.

    >>> (mode, _), (mean, _) = best_normals()
    >>> bool(abs(mode - mean) > 0.5)
    True
    """
    p = _two_modes()
    x = np.linspace(-12, 12, 2401)
    log_p = p.log_prob(tensor(x)).numpy()
    step = x[1] - x[0]
    best, where = math.inf, (0.0, 1.0)
    for mean in np.arange(-4, 4.01, 0.1):
        for deviation in np.arange(0.3, 4.01, 0.1):
            log_q = (
                -0.5 * ((x - mean) / deviation) ** 2
                - math.log(deviation)
                - 0.5 * math.log(2 * math.pi)
            )
            value = float((np.exp(log_q) * (log_q - log_p)).sum() * step)
            if value < best:
                best, where = value, (float(mean), float(deviation))
    return where, (p.mean.item(), math.sqrt(p.variance.item()))


def kl_asymmetry() -> str:
    """Return a plot of a bimodal density p with the normals q that minimize KL(q‖p) and KL(p‖q).

    The first is mode-seeking, the second mass-covering (Bishop 2006, section 10.1.2).

    >>> kl_asymmetry()[:4]
    '<svg'
    """
    seeking, covering = best_normals()
    x = np.linspace(-6, 6, 241)

    def curve(name: str, values: Array) -> Series:
        return Series(name, x.tolist(), values.tolist())

    densities = [
        Normal(*pair).log_prob(tensor(x)).numpy() for pair in (seeking, covering)
    ]
    series = [
        curve("p", np.exp(_two_modes().log_prob(tensor(x)).numpy())),
        curve("min KL(q‖p)", np.exp(densities[0])),
        curve("min KL(p‖q)", np.exp(densities[1])),
    ]
    return line_chart(
        series, "KL(q‖p) seeks a mode, KL(p‖q) covers both", "x", "density"
    )


check_calls(__name__)
