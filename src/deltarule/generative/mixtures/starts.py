"""Initialization of Gaussian mixtures: responsibilities of the components, or given parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deltarule.errors import ArgumentError, ShapeError, user_level
from deltarule.generative.mixtures.steps import blocks
from deltarule.runtime.buffers import Array

_ROUNDING: Final = 1e-12
_ROUNDS: Final = 10  # iterations of k-means


def _seeds(x: Array, k: int, generator: Any) -> Array:
    """Return the indices of k-means++ seeds (Arthur and Vassilvitskii 2007), each the best of 2 + ln k candidates."""
    rows = [int(generator.randint(len(x)))]
    nearest = _distances(x, rows, np.full(len(x), np.inf))[0]
    for _ in range(1, k):
        total = nearest.sum()
        share = nearest / total if total > 0 else np.full(len(x), 1 / len(x))
        drawn = generator.choice(len(x), size=2 + int(np.log(k)), p=share)
        found = _distances(x, drawn, nearest)
        best = int(found.sum(axis=1).argmin())
        rows.append(int(drawn[best]))
        nearest = found[best]
    return np.array(rows)


def _distances(x: Array, rows: Any, nearest: Array) -> Array:
    """Return the minimum of ``nearest`` and the squared distances to some rows, (rows, N).

    They are computed by matrix products; values within rounding error are 0.
    """
    common = x.mean(axis=0)
    centres = x[rows] - common
    sizes = np.einsum("kd,kd->k", centres, centres)[:, None]
    found = np.empty((len(centres), len(x)))
    for part in blocks(*x.shape):
        gap = x[part] - common
        both = sizes + np.einsum("nd,nd->n", gap, gap)
        squares = both - (2 * centres) @ gap.T
        squares[squares < _ROUNDING * both] = 0.0
        np.minimum(nearest[part], squares, out=found[:, part])
    return found


def _assigned(x: Array, common: Array, centres: Array) -> tuple[Array, Array, Array]:
    """Return the nearest centre of every example, and the sums and counts of each centre (relative to ``common``)."""
    labels = np.empty(len(x), np.int64)
    sums, counts = np.zeros_like(centres), np.zeros(len(centres))
    half = 0.5 * np.einsum("kd,kd->k", centres, centres)[:, None]
    for rows in blocks(*x.shape):
        gap = x[rows] - common
        labels[rows] = (half - centres @ gap.T).argmin(axis=0)
        members = _one_hot(labels[rows], len(centres))
        sums += members @ gap
        counts += members.sum(axis=1)
    return labels, sums, counts


def _one_hot(labels: Array, k: int) -> Array:
    return np.asarray(labels == np.arange(k)[:, None], np.float64)


def _k_means(x: Array, k: int, generator: Any) -> Array:
    """Assign every example to its nearest centre after ten iterations of k-means from k-means++ seeds."""
    common = x.mean(axis=0)
    centres = x[_seeds(x, k, generator)] - common
    for _ in range(_ROUNDS):
        _, sums, counts = _assigned(x, common, centres)
        centres = np.where(
            counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres
        )
    labels, _, counts = _assigned(x, common, centres)
    found = int((counts > 0).sum())
    if found < k:
        warnings.warn(
            f"GaussianMixture: k-means found {found} distinct clusters for n_components={k}, possibly because X has "
            "repeated rows; the other components have no examples",
            ConvergenceWarning,
            stacklevel=user_level(),
        )
    return _one_hot(labels, k)


def _seeded(x: Array, k: int, generator: Any) -> Array:
    """Assign one k-means++ seed to each component."""
    return _at(_seeds(x, k, generator), k, len(x))


def _drawn(x: Array, k: int, generator: Any) -> Array:
    """Assign one random example to each component."""
    return _at(generator.choice(len(x), size=k, replace=False), k, len(x))


def _at(rows: Array, k: int, n: int) -> Array:
    shares = np.zeros((k, n))
    shares[np.arange(k), rows] = 1.0
    return shares


def _random(x: Array, k: int, generator: Any) -> Array:
    """Assign random responsibilities of all examples to all components."""
    shares = generator.uniform(size=(len(x), k))
    return np.asarray((shares / shares.sum(axis=1, keepdims=True)).T)


STARTS: Final[Mapping[str, Callable[[Array, int, Any], Array]]] = {
    "kmeans": _k_means,
    "k-means++": _seeded,
    "random": _random,
    "random_from_data": _drawn,
}


def given(name: str, value: Any, shape: tuple[int, ...]) -> Array | None:
    """Return initial parameters as float64; raises ShapeError or ArgumentError if they are invalid.

    >>> given("means_init", [[0.0], [1.0]], (2, 1)).tolist()
    [[0.0], [1.0]]
    """
    if value is None:
        return None
    array = np.array(value, np.float64)
    if array.shape != shape:
        raise ShapeError(
            f"GaussianMixture {name}", expected=str(shape), got=str(array.shape)
        )
    if not np.isfinite(array).all():
        raise ArgumentError(
            f"GaussianMixture {name}", expected="finite numbers", got=repr(value)
        )
    if name == "weights_init" and (
        (array < 0).any() or (array > 1).any() or abs(array.sum() - 1) > 1e-6
    ):
        raise ArgumentError(
            f"GaussianMixture {name}",
            expected="weights in [0, 1] that sum to 1",
            got=repr(value),
        )
    return array


def covariances_of(precisions: Array, kind: str) -> Array:
    """Return the inverses of precisions; raises ArgumentError unless they are symmetric positive definite.

    >>> covariances_of(np.array([[[0.25]]]), "full").tolist()
    [[[4.0]]]
    """
    where = "GaussianMixture precisions_init"
    if kind in {"diag", "spherical"}:
        if not (precisions > 0).all():
            raise ArgumentError(
                where, expected="numbers > 0", got=f"{float(precisions.min())}"
            )
        return np.asarray(1 / precisions)
    turned = np.swapaxes(precisions, -1, -2)
    fits = (
        np.allclose(precisions, turned) and (np.linalg.eigvalsh(precisions) > 0).all()
    )
    if not fits:
        raise ArgumentError(
            where, expected="symmetric positive definite matrices", got="others"
        )
    inverse = np.linalg.inv(precisions)
    return np.asarray((inverse + np.swapaxes(inverse, -1, -2)) / 2)
