"""k nearest neighbours: ``fit`` stores the examples, ``predict`` computes distances in blocks of matrix products.

Ties are deterministic: of equal distances the earlier training example is nearer, of
equal votes the class that comes first in ``classes_`` wins.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError
from deltarule.learners.base import (
    Array,
    are_plain,
    check_labels,
    dense_targets,
    encode_classes,
    is_plain,
    known_features,
    require,
    whole,
)
from deltarule.learners.nearest_neighbors.search import Known, without_own
from deltarule.learners.nearest_neighbors.search_sparse import SparseKnown

__all__ = ["KNNClassifier", "KNNRegressor"]

Metric = str | Callable[[Array, Array], Any]
Weights = str | Callable[[Array], Any]
_BLOCK_BYTES = 64 * 2**20
_FLOATS = (np.float64, np.float32)  # float32 stays float32 in the products of matrices
METRICS = ("euclidean", "manhattan", "chebyshev", "cosine")


def dense(x: Any) -> Array:
    """Return an array of sparse rows, or the array.

    >>> dense([[1.0, 2.0]])
    array([[1., 2.]])
    """
    return np.asarray(x.toarray() if sparse.issparse(x) else x)


def _inverse(distances: Array) -> Array:
    """Return 1/distance relative to the nearest, which is finite for any distances: exact hits alone, if there are any.

    >>> _inverse(np.array([[1e-320, 2e-320], [0.0, 1.0], [2.0, 4.0]])).round(2).tolist()
    [[1.0, 0.5], [1.0, 0.0], [1.0, 0.5]]
    """
    nearest = distances.min(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        inverse = np.where(distances > 0, nearest / distances, 1.0)
    return np.where(np.isinf(nearest), 1.0, inverse)


def _pairwise(x: Array, y: Array, metric: Metric) -> Array:
    """Return distances (len(x), len(y)) for every metric but the Euclidean one, which ``search`` measures."""
    if metric == "cosine":
        return np.asarray(1 - _directions(x) @ _directions(y).T)
    if metric == "manhattan":
        return np.stack([np.abs(y - row).sum(axis=1) for row in x])
    if metric == "chebyshev":
        return np.stack([np.abs(y - row).max(axis=1) for row in x])
    if not callable(metric):
        raise TypeError(f"metric must be callable or one of {METRICS}, got {metric!r}")
    return np.array([[_measured(metric(a, b)) for b in y] for a in x])


def _directions(x: Array) -> Array:
    """Return x/‖x‖ of every row, of any size; 0 for 0."""
    rows = x.astype(np.float64)
    rows = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, initial=0.0))[1][:, None])
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(
        np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    )


def _measured(distance: Any) -> float:
    """Return what a metric gave as a number; raises DataError for anything else."""
    found = np.asarray(distance)
    if found.size != 1 or found.dtype.kind not in "fiub" or np.isnan(found).any():
        raise DataError(
            "metric", expected="a number for two examples", got=repr(distance)
        )
    return float(found.reshape(()))


def _smallest(distances: Array, k: int) -> npt.NDArray[np.int64]:
    """Return the k nearest columns of every row, nearest first, ties by column."""
    n = distances.shape[1]
    if k < n:
        limit = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
        rows = [
            np.flatnonzero(row <= bound)
            for row, bound in zip(distances, limit, strict=True)
        ]
    else:
        rows = [np.arange(n)] * len(distances)
    return np.stack(
        [
            near[np.argsort(row[near], kind="stable")][:k]
            for row, near in zip(distances, rows, strict=True)
        ]
    )


@dataclass(kw_only=True, eq=False, repr=False)
class _Neighbors(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Stored examples and their search."""

    n_neighbors: int = field(default=5, kw_only=False)
    metric: Metric = "euclidean"
    weights: Weights = "uniform"

    def _checked(self, x: Any, y: Any, **options: Any) -> tuple[Any, Array]:
        """Return X, dense or sparse (CSR), and y."""
        if are_plain(x, y, _FLOATS):
            return known_features(self, x), y
        found = validate_data(
            self,
            x,
            dense_targets(y),
            dtype=_FLOATS,
            accept_sparse="csr",
            multi_output=True,
            **options,
        )
        return found[0], found[1]

    def _store(self, x: Any) -> None:
        require(self, "n_neighbors", whole(1), "a whole number ≥ 1")
        known = "'uniform', 'distance' or a function of distances (N, k)"
        require(
            self,
            "weights",
            lambda w: callable(w) or w in {"uniform", "distance"},
            known,
        )
        require(
            self,
            "metric",
            lambda m: callable(m) or m in METRICS,
            f"a callable or one of {', '.join(METRICS)}",
        )
        self.examples_ = x
        self.n_samples_fit_ = int(x.shape[0])
        self._known: Known | SparseKnown | None = None
        if self.metric == "euclidean":
            self._known = SparseKnown.of(x) if sparse.issparse(x) else Known.of(x)

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> Any:
        """Return (distances, indices) of the k nearest training examples, (N, k), nearest first.

        Args:
            X: Queries; None for the training examples, none of which is its own
                neighbour.
            n_neighbors: k; None for that of the constructor.
            return_distance: Whether to return distances; else only the indices are
                returned.

        Raises:
            ArgumentError: k is no integer from 1 to the number of training examples
                (less one without X).

        >>> learner = KNNClassifier(2).fit([[0.0], [1.0], [5.0]], [0, 0, 1])
        >>> distances, indices = learner.kneighbors([[0.25]])
        >>> distances.tolist(), indices.tolist()
        ([[0.25, 0.75]], [[0, 1]])
        """
        check_is_fitted(self)
        k, limit = (
            self.n_neighbors if n_neighbors is None else n_neighbors,
            self.n_samples_fit_ - (X is None),
        )
        if not whole(1)(k) or k > limit:
            raise ArgumentError(
                "kneighbors n_neighbors",
                expected=f"a whole number from 1 to {limit}",
                got=repr(k),
            )
        if X is None:
            distances, indices = without_own(*self._found(self.examples_, k + 1))
        else:
            queries = X
            if not is_plain(self, X, _FLOATS):
                queries = validate_data(
                    self, X, dtype=_FLOATS, accept_sparse="csr", reset=False
                )
            distances, indices = self._found(queries, k)
        return (distances, indices) if return_distance else indices

    def _found(self, x: Any, k: int) -> tuple[Array, npt.NDArray[np.int64]]:
        if isinstance(self._known, Known) and not sparse.issparse(x):
            return self._known.nearest(x, k)
        if isinstance(self._known, SparseKnown):
            return self._known.nearest(sparse.csr_matrix(x), k)
        step = (
            max(1, _BLOCK_BYTES // (8 * max(x.shape)))
            if sparse.issparse(x) or self._known is None
            else x.shape[0]
        )
        found = [
            self._near(dense(x[row : row + step]), k)
            for row in range(0, x.shape[0], step)
        ]
        return np.concatenate([d for d, _ in found]), np.concatenate(
            [i for _, i in found]
        )

    def _near(self, x: Array, k: int) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return the k nearest neighbours of a block of dense queries."""
        if isinstance(self._known, Known):
            return self._known.nearest(x, k)
        known = self.examples_
        step = (
            max(1, _BLOCK_BYTES // (8 * known.shape[1]))
            if sparse.issparse(known)
            else known.shape[0]
        )
        parts = [
            _pairwise(x, dense(known[row : row + step]), self.metric)
            for row in range(0, known.shape[0], step)
        ]
        measured = np.concatenate(parts, axis=1)
        indices = _smallest(measured, k)
        return np.take_along_axis(measured, indices, axis=1), indices

    def _vote_weights(self, distances: Array) -> Array:
        """Return 1, what is relative to 1/distance (exact hits alone where there are any), or what a function gives."""
        if isinstance(self.weights, str):
            return (
                np.ones_like(distances)
                if self.weights == "uniform"
                else _inverse(distances)
            )
        given = np.asarray(self.weights(distances), np.float64)
        expected = f"finite numbers ≥ 0 of shape {distances.shape}"
        if given.shape != distances.shape:
            raise DataError(
                f"{type(self).__name__} weights",
                expected=expected,
                got=f"shape {given.shape}",
            )
        fits = (given >= 0) & np.isfinite(given)
        if not fits.all():
            raise DataError(
                f"{type(self).__name__} weights",
                expected=expected,
                got=str(given[~fits][0]),
            )
        return given

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @abstractmethod
    def predict(self, X: Any) -> Array:
        """Return the predictions from the neighbours.

        >>> KNNClassifier(1).fit([[0.0], [1.0]], ["left", "right"]).predict([[0.2], [0.9]]).tolist()
        ['left', 'right']
        """


@final
@dataclass(kw_only=True, eq=False, repr=False)
class KNNClassifier(ClassifierMixin, _Neighbors):  # type: ignore[misc]  # as above
    """k-nearest-neighbour classifier: the majority vote of the k nearest examples (Cover and Hart 1967).

    X may be sparse. y may have several columns, of classes or of multilabel indicators:
    then ``classes_`` and probabilities are lists with one entry per column.

    Args:
        n_neighbors: Number k of neighbours.
        metric: "euclidean", "manhattan", "chebyshev", "cosine", or a function (a, b) →
            distance.
        weights: "uniform"; "distance": votes are weighted by 1/distance; or a function
            of the distances (N, k).

    Attributes:
        classes_: Sorted class labels.
        n_samples_fit_: Number of training examples.
        n_features_in_: Number of features seen by ``fit``.

    >>> points, labels = [[0, 0], [1, 0], [0, 1], [5, 5], [6, 5]], list("aabbb")
    >>> [str(KNNClassifier(n_neighbors=k).fit(points, labels).predict([[0.4, 0.1]])[0]) for k in (1, 2, 3, 5)]
    ['a', 'a', 'a', 'b']
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Store the examples.

        >>> learner = KNNClassifier(1).fit([[0.0], [1.0]], ["left", "right"])
        >>> learner.predict([[0.9]]).tolist()
        ['right']
        """
        x, targets = self._checked(X, y)
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        self.outputs_2d_ = targets.ndim == 2
        if self.outputs_2d_:
            check_labels(self, targets)
            found = [np.unique(column, return_inverse=True) for column in targets.T]
            self.classes_ = [classes for classes, _ in found]
            self.labels_ = np.stack([labels for _, labels in found], axis=1)
        else:
            self.labels_ = encode_classes(self, targets)
        self._store(x)
        return self

    def _shares(self, X: Any) -> list[Array]:
        """Return the shares of votes (N, classes) of every column of y."""
        distances, indices = self.kneighbors(X)
        weights = self._vote_weights(distances)
        columns = self.labels_.T if self.outputs_2d_ else self.labels_[None]
        counts = (
            [len(classes) for classes in self.classes_]
            if self.outputs_2d_
            else [len(self.classes_)]
        )
        return [
            _votes(labels[indices], weights, n)
            for labels, n in zip(columns, counts, strict=True)
        ]

    def predict_proba(self, X: Any) -> Any:
        """Return the fraction of votes of each class, (N, K); a list of such arrays for several columns of y.

        >>> learner = KNNClassifier(3).fit([[0.0], [1.0], [2.0]], [0, 0, 1])
        >>> learner.predict_proba([[1.0]]).round(4).tolist()
        [[0.6667, 0.3333]]
        """
        shares = self._shares(X)
        return shares if self.outputs_2d_ else shares[0]

    def predict(self, X: Any) -> Array:
        """Return the class with most votes; the first of ties."""
        best = [shares.argmax(axis=1) for shares in self._shares(X)]
        if not self.outputs_2d_:
            return np.asarray(self.classes_[best[0]])
        return np.stack(
            [classes[own] for classes, own in zip(self.classes_, best, strict=True)],
            axis=1,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


def _votes(labels: Array, weights: Array, n: int) -> Array:
    """Return the shares (N, n) of labels (N, k) by weight; where no neighbour has any, all count the same."""
    weights = np.where((weights > 0).any(axis=1, keepdims=True), weights, 1.0)
    cells = labels + n * np.arange(len(labels))[:, None]
    shares = np.bincount(cells.ravel(), weights.ravel(), n * len(labels))
    shares = shares.reshape(len(labels), n)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@final
@dataclass(kw_only=True, eq=False, repr=False)
class KNNRegressor(RegressorMixin, _Neighbors):  # type: ignore[misc]  # as above
    """k-nearest-neighbour regression: the (weighted) mean target of the k nearest examples.

    Args:
        n_neighbors: Number k of neighbours.
        metric: "euclidean", "manhattan", "chebyshev", "cosine", or a function (a, b) →
            distance.
        weights: "uniform"; "distance": targets are weighted by 1/distance; or a
            function of the distances (N, k).

    Attributes:
        targets_: The training targets.
        n_samples_fit_: Number of training examples.
        n_features_in_: Number of features seen by ``fit``.

    >>> x, y = [[0.0], [1.0], [2.0], [10.0]], [0.0, 1.0, 4.0, 100.0]
    >>> [KNNRegressor(k).fit(x, y).predict([[1.2]]).round(3).tolist() for k in (1, 2, 4)]
    [[1.0], [2.5], [26.25]]
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Store the examples.

        >>> KNNRegressor(2).fit([[0.0], [1.0], [5.0]], [1.0, 3.0, 9.0]).predict([[0.4]]).tolist()
        [2.0]
        """
        x, targets = self._checked(X, y, y_numeric=True)
        self.targets_ = targets.astype(np.float64)
        self._store(x)
        return self

    def predict(self, X: Any) -> Array:
        """Return the mean targets, (N,) or (N, targets) like y."""
        distances, indices = self.kneighbors(X)
        weights = self._vote_weights(distances)
        weights = np.where((weights > 0).any(axis=1, keepdims=True), weights, 1.0)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("nk,nk...->n...", weights, self.targets_[indices]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


check_calls(__name__)
