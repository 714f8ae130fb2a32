"""UMAP: an embedding by the fuzzy neighbourhood graph of the data (McInnes, Healy and Melville 2018).

w(j|i) = exp(−max(0, dᵢⱼ − ρᵢ)/σᵢ) over the k nearest, ρᵢ the nearest distance above 0
and σᵢ such that the weights sum to log₂ k; W = A + Aᵀ − A∘Aᵀ. The layout attracts along
edges sampled by wᵢⱼ and repels random pairs, by stochastic gradient steps on the
cross-entropy with v = 1/(1 + a‖y − y′‖²ᵇ) (see ``umap_step``). The edges of an epoch
are processed in random batches so small that a point moves about once per batch.

Cost: the exact neighbour search O(N²d); then O(epochs·N·k·(1 + negatives)) on the
native engine.
"""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
from scipy import optimize, sparse
from scipy.sparse import csgraph
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.learners.base import Array, above, require, seed, whole
from deltarule.learners.manifold_learning.manifold import (
    bisected,
    neighborhood_graph,
    principal_start,
)
from deltarule.learners.manifold_learning.umap_step import EmbeddingOptimizer, settled
from deltarule.learners.nearest_neighbors.search import (
    Known,
    in_reach,
    neighbors_of_each,
    scaled,
)

__all__ = ["UMAP"]

_DENSE_AT_ONCE = 200  # points up to which all eigenvectors are computed at once
_DENSE_UP_TO = (
    2000  # points up to which they are where Lanczos' method does not converge
)
_SMALLEST_WIDTH = 1e-3  # of σ, relative to the mean distance


def curve(spread: float, min_dist: float) -> tuple[float, float]:
    """Return a, b of 1/(1 + a x²ᵇ), fitted to 1 below ``min_dist`` and exp(−(x − min_dist)/spread) above.

    >>> [round(value, 3) for value in curve(1.0, 0.1)]
    [1.577, 0.895]
    """
    x = np.linspace(0, 3 * spread, 300)
    wanted = np.where(x < min_dist, 1.0, np.exp(-(x - min_dist) / spread))
    (a, b), _ = optimize.curve_fit(
        lambda at, a, b: 1 / (1 + a * at ** (2 * b)), x, wanted
    )
    return float(a), float(b)


def memberships(distances: Array) -> Array:
    """Return the membership strengths w(j|i) for sorted distances (N, k) to the nearest other examples.

    >>> float(memberships(np.array([[1.0, 2.0, 3.0]]))[0, 0])
    1.0
    """
    k = distances.shape[1] + 1
    positive = np.where(distances > 0, distances, np.inf)
    nearest = positive.min(axis=1)
    rho = np.where(np.isfinite(nearest), nearest, 0.0)
    beyond = np.maximum(distances - rho[:, None], 0)

    def weights(sigma: Array) -> Array:
        return np.asarray(np.exp(-beyond / np.maximum(sigma, 1e-300)[:, None]))

    n, target = len(distances), np.log2(k)
    sigma = bisected(
        lambda s: weights(s).sum(axis=1) > target, np.zeros(n), np.full(n, np.inf)
    )
    own = np.where(rho > 0, distances.mean(axis=1), distances.mean())
    return weights(np.clip(sigma, _SMALLEST_WIDTH * own, 1e300))


def fuzzy_graph(x: Array, n_neighbors: int) -> sparse.csr_matrix:
    """Return the symmetric graph W; a point counts as one of its own ``n_neighbors``."""
    distances, indices = neighbors_of_each(x, min(len(x), n_neighbors) - 1)
    one_way = neighborhood_graph(indices, memberships(distances))
    product = one_way.multiply(one_way.T)
    return (one_way + one_way.T - product).tocsr()


def neighbors_wanted(learner: Any, n: int) -> int:
    """Return ``n_neighbors`` for n examples ("auto": min(15, n)); raise ArgumentError for more than n.

    >>> neighbors_wanted(UMAP(n_neighbors=5), 100)
    5
    """
    wanted = learner.n_neighbors
    if isinstance(wanted, str) and wanted == "auto":
        return min(15, n)
    require(learner, "n_neighbors", whole(2), "a whole number ≥ 2 or 'auto'")
    if wanted > n:
        raise ArgumentError(
            f"{type(learner).__name__} n_neighbors",
            expected=f"at most n_samples = {n}",
            got=repr(wanted),
            hint="A point counts as one of its own neighbours; 'auto' is 15, or all.",
        )
    return int(wanted)


def _leading(matrix: sparse.csr_matrix, k: int, start: Array) -> Array:
    """Return the eigenvectors (N, k) of the largest eigenvalues of a symmetric matrix, in order.

    Lanczos' method finds them quickly where the eigenvalues are separated. Where they
    are close (the graph of points along a curve) all are computed, or for a large
    matrix those that a wide tolerance gives.
    """
    n = len(start)
    if n > _DENSE_AT_ONCE:
        basis = min(n, max(40, 2 * k))
        try:
            values, found = sparse.linalg.eigsh(
                matrix, k, which="LA", tol=1e-6, v0=start, ncv=basis, maxiter=20
            )
            return np.asarray(found[:, np.argsort(-values)])
        except sparse.linalg.ArpackNoConvergence:
            pass
    if n <= _DENSE_UP_TO:
        return np.asarray(np.linalg.eigh(matrix.toarray())[1][:, ::-1][:, :k])
    values, found = sparse.linalg.eigsh(
        matrix, k, which="LA", tol=1e-4, v0=start, maxiter=n * 5
    )
    return np.asarray(found[:, np.argsort(-values)])


def spectral_start(
    graph: sparse.csr_matrix, x: Array, k: int, random: np.random.Generator
) -> Array:
    """Return eigenvectors of the normalised Laplacian, scaled to 10; principal components for a disconnected graph."""
    n = graph.shape[0]
    connected = csgraph.connected_components(graph, directed=False)[0] == 1
    if not connected or n <= k + 2:
        return principal_start(x, k, 3.0, random)
    root = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    scaled = sparse.diags(root) @ graph @ sparse.diags(root)
    vectors = _leading(scaled, k + 1, random.normal(size=n))[:, 1:]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(k)])
    noise = random.normal(scale=1e-4, size=(n, k))
    return np.asarray(vectors * signs * (10.0 / np.abs(vectors).max()) + noise)


@final
class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """UMAP embedding, into which new points can be transformed (McInnes, Healy and Melville 2018).

    ``transform`` returns the embedding of a training point unchanged; a new point
    starts at the mean of its neighbours and is optimised while they stay fixed.

    Args:
        n_components: Dimension of the embedding.
        n_neighbors: Number of neighbours, which sets how local the embedding is; "auto"
            is 15, or all examples where there are fewer.
        min_dist: Minimum distance between embedded points, at most ``spread``.
        spread: Scale of the embedding.
        n_epochs: Number of epochs; None is 500 up to 10 000 examples and 200 above.
        learning_rate: Learning rate of the first epoch; it decays linearly to 0.
        n_negatives: Number of random pairs that repel for each edge that attracts.
        random_state: Seed of the random numbers; equal seeds give equal results.

    Attributes:
        embedding_: The embedding (N, n_components).
        graph_: The fuzzy neighbourhood graph W, sparse (N, N).
        n_features_in_: Number of features seen by ``fit``.

    >>> groups = np.arange(2).repeat(20)
    >>> x = np.random.default_rng(0).normal(size=(40, 5)) + 20 * groups[:, None]
    >>> learner = UMAP(n_neighbors=5, n_epochs=100, random_state=0).fit(x)
    >>> new = learner.transform(x[:1] + 0.1)
    >>> near = np.linalg.norm(learner.embedding_ - new, axis=1).argsort()[:5]
    >>> groups[near].tolist()
    [0, 0, 0, 0, 0]
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int | str = "auto",
        min_dist: float = 0.1,
        spread: float = 1.0,
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        n_negatives: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.min_dist = min_dist
        self.spread = spread
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.n_negatives = n_negatives
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the embedding."""
        del y
        x = np.asarray(
            validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        )
        k = require(self, "n_components", whole(1), "a whole number ≥ 1")
        self._n_neighbors = neighbors_wanted(self, len(x))
        require(
            self,
            "n_epochs",
            lambda n: n is None or whole(1)(n),
            "a whole number ≥ 1 or None",
        )
        require(self, "n_negatives", whole(0), "a whole number ≥ 0")
        require(self, "spread", above(0), "a number > 0")
        require(self, "learning_rate", above(0), "a number > 0")
        require(
            self, "min_dist", lambda d: 0 <= d <= self.spread, "a number in [0, spread]"
        )
        self._seed = seed(self.random_state)
        random = np.random.default_rng(self._seed)
        self._a, self._b = curve(self.spread, self.min_dist)
        x, self._exponent = in_reach(x)  # the embedding of x·2^−e is that of x
        self._examples = x
        self.graph_ = fuzzy_graph(x, self._n_neighbors)
        start = spectral_start(self.graph_, np.asarray(x, np.float64), k, random)
        self.embedding_ = self._optimize_embedding(start, random)
        return self

    def _epochs(self, n: int) -> int:
        return (500 if n <= 10_000 else 200) if self.n_epochs is None else self.n_epochs

    def _optimize_embedding(self, y: Array, random: np.random.Generator) -> Array:
        """Run stochastic gradient steps; an edge of weight w is used in w/max(w) of the epochs."""
        n, n_epochs = len(y), self._epochs(len(y))
        edges = self.graph_.tocoo()
        kept = edges.data >= edges.data.max() / n_epochs
        heads, tails = edges.row[kept], edges.col[kept]
        share = edges.data[kept] / edges.data.max()
        offset = random.random(len(share))
        steps = n_epochs * -(-2 * int(share.sum()) // n)
        optimizer = EmbeddingOptimizer(
            y, heads, tails, self.n_negatives, (self._a, self._b), self._seed, steps
        )
        for epoch in range(n_epochs):
            due = np.flatnonzero(
                np.floor((epoch + 1) * share + offset)
                > np.floor(epoch * share + offset)
            )
            optimizer.epoch(
                random.permutation(due), self.learning_rate * (1 - epoch / n_epochs)
            )
        return optimizer.read()

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Compute and return the embedding (N, n_components).

        >>> x = np.random.default_rng(0).normal(size=(12, 4))
        >>> UMAP(n_neighbors=4, n_epochs=5, random_state=0).fit_transform(x).shape
        (12, 2)
        """
        return self.fit(X, y).embedding_

    def transform(self, X: Any) -> Array:
        """Return the embedding (N, n_components) of points, each independent of the others.

        >>> x = np.random.default_rng(0).normal(size=(12, 4))
        >>> UMAP(n_neighbors=4, n_epochs=5, random_state=0).fit(x).transform(x[:2]).shape
        (2, 2)
        """
        check_is_fitted(self, "embedding_")
        x = np.asarray(
            validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        )
        k = self._n_neighbors
        distances, indices = Known.of(self._examples).nearest(
            np.nan_to_num(scaled(x, -self._exponent)), k
        )
        weights = memberships(distances)
        weights = weights / weights.sum(axis=1, keepdims=True)
        places = np.einsum("nk,nkd->nd", weights, self.embedding_[indices])
        known = distances[:, 0] == 0
        if not known.all():
            places[~known] = self._settle(
                places[~known], indices[~known], weights[~known]
            )
        places[known] = self.embedding_[indices[known, 0]]
        return np.asarray(places)

    def _settle(self, y: Array, indices: Array, weights: Array) -> Array:
        """Optimise new points by their mean gradient; all are repelled by the same random training points.

        A point has one attraction (its weights sum to 1) and ``n_negatives``
        repulsions, as each edge has in training; the mean repulsion is taken over ten
        times as many points, since all new ones share them.
        """
        random = np.random.default_rng(self._seed)
        n_epochs = max(30, self._epochs(len(self._examples)) // 3)
        drawn = max(1, 10 * self.n_negatives)
        others = self.embedding_[
            random.integers(len(self.embedding_), size=(n_epochs, drawn))
        ]
        near, curve = self.embedding_[indices], (self._a, self._b)
        return settled(
            y, near, weights, others, self.n_negatives, curve, float(self.learning_rate)
        )

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])


check_calls(__name__)
