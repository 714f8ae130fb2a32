"""k nearest neighbours: fit stores, predict measures all distances in blocks of matrix products (CM-04, CM-05).

Ties are deterministic: of equal distances the earlier training example is nearer, of equal votes the class that
comes first in ``classes_`` wins.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule.errors import ArgumentError, DataError
from deltarule.learners.base import Array, dense_targets, encode_classes, require, whole
from deltarule.learners.search import Known

Metric = str | Callable[[Array, Array], Any]
_BLOCK_BYTES = 64 * 2**20
_FLOATS = (np.float64, np.float32)  # float32 stays float32 in the products of matrices
METRICS = ("euclidean", "manhattan", "chebyshev", "cosine")


def _pairwise(x: Array, y: Array, metric: Metric) -> Array:
    """Return distances (len(x), len(y)) for every metric but the Euclidean one, which ``search`` measures."""
    if metric == "cosine":
        lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
        return np.asarray(1 - np.divide(x @ y.T, lengths, out=np.zeros((len(x), len(y))), where=lengths > 0))
    if metric == "manhattan":
        return np.stack([np.abs(y - row).sum(axis=1) for row in x])
    if metric == "chebyshev":
        return np.stack([np.abs(y - row).max(axis=1) for row in x])
    if not callable(metric):
        raise TypeError(f"metric must be callable or one of {METRICS}, got {metric!r}")
    return np.array([[_measured(metric(a, b)) for b in y] for a in x])


def _measured(distance: Any) -> float:
    """Return what a metric gave as a number; raises DataError for anything else."""
    found = np.asarray(distance)
    if found.size != 1 or found.dtype.kind not in "fiub" or np.isnan(found).any():
        raise DataError("metric", expected="a number for two examples", got=repr(distance))
    return float(found.reshape(()))


def _smallest(distances: Array, k: int) -> npt.NDArray[np.int64]:
    """Return the k nearest columns of every row, nearest first, ties by column."""
    n = distances.shape[1]
    if k < n:
        limit = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
        rows = [np.flatnonzero(row <= bound) for row, bound in zip(distances, limit, strict=True)]
    else:
        rows = [np.arange(n)] * len(distances)
    return np.stack([near[np.argsort(row[near], kind="stable")][:k] for row, near in zip(distances, rows, strict=True)])


class _Neighbors(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: stored examples, and the search."""

    n_neighbors: int
    metric: Metric
    weights: str

    def _store(self, x: Array) -> None:
        require(self, "n_neighbors", whole(1), "a whole number ≥ 1")
        require(self, "weights", {"uniform", "distance"}.__contains__, "'uniform' or 'distance'")
        require(self, "metric", lambda m: callable(m) or m in METRICS, f"a callable or one of {', '.join(METRICS)}")
        if self.n_neighbors > len(x):
            raise ValueError(
                f"n_neighbors = {self.n_neighbors} needs n_samples ≥ {self.n_neighbors}, got n_samples = {len(x)}"
            )
        self.examples_ = x
        if self.metric == "euclidean":
            self._known = Known.of(x)

    def kneighbors(self, X: Any, n_neighbors: int | None = None) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return (distances, indices) of the k nearest training examples, nearest first; None takes k of ``fit``.

        Raises ArgumentError for a k that is no whole number from 1 to the number of training examples.
        """
        check_is_fitted(self)
        k, limit = self.n_neighbors if n_neighbors is None else n_neighbors, len(self.examples_)
        if not whole(1)(k) or k > limit:
            raise ArgumentError("kneighbors n_neighbors", expected=f"a whole number from 1 to {limit}", got=repr(k))
        found = list(self._search(np.asarray(validate_data(self, X, dtype=_FLOATS, reset=False)), k))
        return np.concatenate([d for d, _ in found]), np.concatenate([i for _, i in found])

    def _search(self, x: Array, k: int) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
        if self.metric == "euclidean":
            yield self._known.nearest(x, k)
            return
        rows = max(1, _BLOCK_BYTES // (8 * len(self.examples_)))
        for start in range(0, len(x), rows):
            measured = _pairwise(x[start : start + rows], self.examples_, self.metric)
            indices = _smallest(measured, k)
            yield np.take_along_axis(measured, indices, axis=1), indices

    def _vote_weights(self, distances: Array) -> Array:
        """Return 1, or 1/distance (exact hits alone where there are any)."""
        if self.weights == "uniform":
            return np.ones_like(distances)
        hit = distances == 0
        with np.errstate(divide="ignore"):
            inverse = 1 / distances
        return np.where(hit.any(axis=1, keepdims=True), hit.astype(float), inverse)

    @abstractmethod
    def predict(self, X: Any) -> Array:
        """Return what the neighbours say."""


@final
class KNNClassifier(ClassifierMixin, _Neighbors):  # type: ignore[misc]  # as above
    """The k nearest examples vote (CM-04).

    ``metric``: "euclidean", "manhattan", "chebyshev", "cosine", or a callable (a, b) → distance;
    ``weights="distance"`` counts votes by 1/distance.

    >>> points, labels = [[0, 0], [1, 0], [0, 1], [5, 5], [6, 5]], list("aabbb")
    >>> [str(KNNClassifier(n_neighbors=k).fit(points, labels).predict([[0.4, 0.1]])[0]) for k in (1, 2, 3, 5)]
    ['a', 'a', 'a', 'b']
    """

    def __init__(self, n_neighbors: int = 5, *, metric: Metric = "euclidean", weights: str = "uniform") -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.weights = weights

    def fit(self, X: Any, y: Any) -> Self:
        """Store the examples."""
        x, targets = validate_data(self, X, y, dtype=_FLOATS)
        self.labels_ = encode_classes(self, targets)
        self._store(x)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the share of votes of every class."""
        distances, indices = self.kneighbors(X)
        votes, weights = self.labels_[indices], self._vote_weights(distances)
        shares = np.stack([(weights * (votes == c)).sum(axis=1) for c in range(len(self.classes_))], axis=1)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> Array:
        """Return the class with most votes; of equal ones the first."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])


@final
class KNNRegressor(RegressorMixin, _Neighbors):  # type: ignore[misc]  # as above
    """The (weighted) mean target of the k nearest examples."""

    def __init__(self, n_neighbors: int = 5, *, metric: Metric = "euclidean", weights: str = "uniform") -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.weights = weights

    def fit(self, X: Any, y: Any) -> Self:
        """Store the examples."""
        x, targets = validate_data(self, X, dense_targets(y), dtype=_FLOATS, multi_output=True, y_numeric=True)
        self.targets_ = targets.astype(np.float64)
        self._store(x)
        return self

    def predict(self, X: Any) -> Array:
        """Return mean targets."""
        distances, indices = self.kneighbors(X)
        weights = self._vote_weights(distances)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("nk,nk...->n...", weights, self.targets_[indices]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
