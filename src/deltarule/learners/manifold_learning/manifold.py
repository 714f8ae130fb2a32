"""Helpers that embeddings share: bandwidths by bisection, initial embeddings, and sparse neighbourhood graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from deltarule.learners.base import Array


def bisected(
    rises_above: Callable[[Array], Array], low: Array, high: Array, steps: int = 64
) -> Array:
    """Return for each row the number at which ``rises_above`` turns from false to true (high may be infinite).

    >>> bisected(lambda t: t * t > 2.0, np.zeros(1), np.full(1, 2.0)).round(6).tolist()
    [1.414214]
    """
    low, high = low.copy(), high.copy()
    middle = np.where(np.isfinite(high), (low + high) / 2, 1.0)
    for _ in range(steps):
        above = rises_above(middle)
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
        middle = np.where(np.isfinite(high), (low + high) / 2, middle * 2)
    return middle


def principal_start(
    x: Array, k: int, deviation: float, random: np.random.Generator
) -> Array:
    """Return the first k principal components, scaled so that the first has the standard deviation ``deviation``.

    >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> round(float(principal_start(x, 1, 1e-4, np.random.default_rng(0)).std()), 6)
    0.0001
    """
    centred = x - x.mean(axis=0)
    if centred.shape[1] <= centred.shape[0]:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        rows = vectors[:, ::-1][:, :k].T
    else:
        rows = np.linalg.svd(centred, full_matrices=False)[2][:k]
    largest = np.abs(rows).argmax(axis=1)
    start = np.zeros((len(x), k))
    start[:, : len(rows)] = (
        centred @ (rows * np.sign(rows[np.arange(len(rows)), largest])[:, None]).T
    )
    spread = float(start[:, 0].std())
    if spread == 0:
        return random.normal(scale=deviation, size=start.shape)
    return start / spread * deviation + random.normal(
        scale=deviation * 1e-4, size=start.shape
    )


def neighborhood_graph(indices: Array, weights: Array) -> sparse.csr_matrix:
    """Return the sparse matrix (N, N) with ``weights`` (N, k) at the columns ``indices`` (N, k).

    >>> neighborhood_graph(np.array([[1], [0]]), np.array([[0.5], [0.25]])).toarray().tolist()
    [[0.0, 0.5], [0.25, 0.0]]
    """
    n, k = indices.shape
    rows = np.repeat(np.arange(n), k)
    return sparse.csr_matrix((weights.ravel(), (rows, indices.ravel())), shape=(n, n))
