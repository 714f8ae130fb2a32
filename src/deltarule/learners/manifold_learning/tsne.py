"""t-SNE: an embedding that preserves neighbourhoods (van der Maaten and Hinton 2008).

pᵢⱼ = (p(j|i) + p(i|j))/2N with Gaussian p(j|i) of a bandwidth that gives
``perplexity``, restricted to the 3·perplexity nearest neighbours (van der Maaten 2014);
qᵢⱼ ∝ 1/(1 + ‖yᵢ − yⱼ‖²); minimise KL(P‖Q) by gradient descent with momentum and gains:
∂KL/∂yᵢ = 4 Σⱼ (pᵢⱼ − qᵢⱼ)(yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²).

Cost of an iteration: O(N²) on the native engine ("exact", ``tsne_step``); or
O(N·perplexity) for the attraction and O(N + G log G) for the repulsion on a grid of G
nodes ("fft", ``tsne_edges``).
"""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import validate_data

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.learners.base import Array, above, at_least, generator, require, whole
from deltarule.learners.manifold_learning.manifold import (
    bisected,
    neighborhood_graph,
    principal_start,
)
from deltarule.learners.manifold_learning.tsne_edges import (
    Edges,
    descend_by_edges,
    exact_repulsion,
    fft_repulsion,
)
from deltarule.learners.manifold_learning.tsne_step import Schedule, descend
from deltarule.learners.nearest_neighbors.search import in_reach, neighbors_of_each

__all__ = ["TSNE"]

_EXACT_UP_TO = 5000  # examples, for which a dense P takes 100 MB


def conditional(distances: Array, perplexity: float) -> Array:
    """Return p(j|i) over the given neighbours (N, k), with entropy log(perplexity) in each row.

    >>> conditional(np.array([[1.0, 1.0, 1.0]]), 3.0).round(4).tolist()
    [[0.3333, 0.3333, 0.3333]]
    """
    squares = distances**2 - distances[:, :1] ** 2

    def weights(precision: Array) -> Array:
        p = np.exp(-squares * precision[:, None])
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def too_narrow(precision: Array) -> Array:
        p = weights(precision)
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
        return np.asarray(entropy < np.log(perplexity))

    n = len(distances)
    scale = 1.0 / max(float(np.median(squares[:, -1])), 1e-300)
    squares = squares * scale
    return weights(bisected(too_narrow, np.zeros(n), np.full(n, np.inf)))


def joint(x: Array, perplexity: float) -> sparse.csr_matrix:
    """Return the symmetric P (N, N) of sum 1, nonzero only for neighbours.

    >>> x = np.random.default_rng(0).normal(size=(8, 2))
    >>> round(float(joint(x, 2.0).sum()), 6)
    1.0
    """
    k = min(len(x) - 1, int(3 * perplexity + 1))
    distances, indices = neighbors_of_each(x, k)
    one_way = neighborhood_graph(indices, conditional(distances, perplexity))
    both = one_way + one_way.T
    return (both / both.sum()).tocsr()


@final
class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """t-SNE embedding (van der Maaten and Hinton 2008). Distances between clusters and cluster sizes have no meaning.

    The initial embedding is the first principal components plus a little noise: equal data
    and ``random_state`` give equal embeddings. New points cannot be embedded (use
    ``UMAP``).

    Args:
        n_components: Dimension of the embedding.
        perplexity: Effective number of neighbours, less than N; more than (N − 1)/3 is
            reduced to that. "auto" is 30, or (N − 1)/3 where that is less.
        early_exaggeration: Factor on P in the first iterations, which lets clusters
            form.
        learning_rate: A number, or "auto": max(N/early_exaggeration/4, 50).
        max_iter: Maximum number of iterations.
        method: "exact", "fft" (interpolation on a grid, two dimensions only), or
            "auto": exact up to 5000 examples.
        tol: Norm of the gradient at which the descent ends.
        random_state: Seed of the random numbers; equal seeds give equal results.

    Attributes:
        embedding_: The embedding (N, n_components).
        kl_divergence_: KL(P‖Q) at the end.
        n_iter_: Number of iterations.
        perplexity_: The perplexity used.
        n_features_in_: Number of features seen by ``fit``.

    >>> groups = np.arange(2).repeat(20)
    >>> x = np.random.default_rng(0).normal(size=(40, 5)) + 20 * groups[:, None]
    >>> y = TSNE(perplexity=5, max_iter=250, random_state=0).fit_transform(x)
    >>> gap = y[groups == 0].mean(axis=0) - y[groups == 1].mean(axis=0)
    >>> y.shape, bool(np.linalg.norm(gap) > 2 * y[groups == 0].std())
    ((40, 2), True)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float | str = "auto",
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        method: str = "auto",
        tol: float = 1e-7,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.method = method
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the embedding."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Compute and return the embedding (N, n_components).

        >>> x = np.random.default_rng(0).normal(size=(12, 4))
        >>> TSNE(perplexity=3, max_iter=10, random_state=0).fit_transform(x).shape
        (12, 2)
        """
        del y
        x = np.asarray(
            validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        )
        k = require(self, "n_components", whole(1), "a whole number ≥ 1")
        wanted = self._perplexity(len(x))
        require(self, "early_exaggeration", at_least(1), "a number ≥ 1")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(
            self,
            "method",
            {"auto", "exact", "fft"}.__contains__,
            "'auto', 'exact' or 'fft'",
        )
        if self.method == "fft" and k != 2:
            raise ValueError(f"method='fft' requires n_components=2, got {k}")
        random = generator(self.random_state)
        self.perplexity_ = float(max(1.0, min(wanted, (len(x) - 1) / 3)))
        x, _ = in_reach(x)  # the embedding of x·2^−e is that of x
        p = joint(x, self.perplexity_)
        start = principal_start(np.asarray(x, np.float64), k, 1e-4, random)
        self.embedding_ = self._optimize_embedding(p, start)
        return self.embedding_

    def _perplexity(self, n: int) -> float:
        """Return the perplexity for n examples; raise ArgumentError where it is too large."""
        if isinstance(self.perplexity, str):
            require(
                self,
                "perplexity",
                lambda given: given == "auto",
                "a number ≥ 1 or 'auto'",
            )
            return 30.0
        given = float(
            require(self, "perplexity", at_least(1), "a number ≥ 1 or 'auto'")
        )
        if given >= n:
            raise ArgumentError(
                "TSNE perplexity",
                expected=f"less than n_samples = {n}",
                got=f"{self.perplexity!r}",
                hint="It may be up to a third of the examples: 'auto' is 30, or that.",
            )
        return given

    def _rate(self, n: int) -> float:
        if self.learning_rate == "auto":
            return max(n / self.early_exaggeration / 4, 50.0)
        return float(require(self, "learning_rate", above(0), "a number > 0 or 'auto'"))

    def _optimize_embedding(self, p: sparse.csr_matrix, y: Array) -> Array:
        """Descend from ``y``, centre the embedding and compute its divergence."""
        n, k = y.shape
        grid = self.method == "fft" or (
            self.method == "auto" and n > _EXACT_UP_TO and k == 2
        )
        schedule = Schedule(
            float(self.early_exaggeration),
            min(250, self.max_iter // 4 + 1),
            self.max_iter,
            self._rate(n),
            self.tol,
        )
        repulsion = fft_repulsion if grid else exact_repulsion
        edges = Edges(p)
        if grid or n > _EXACT_UP_TO:
            quick = (
                repulsion if grid else lambda at: exact_repulsion(at.astype(np.float32))
            )
            y, self.n_iter_ = descend_by_edges(edges, y, quick, schedule)
        else:
            y, self.n_iter_ = descend(p.astype(np.float32).toarray(), y, schedule)
        y = np.asarray(y - y.mean(axis=0, dtype=np.float64))
        self.kl_divergence_ = edges.divergence(y, repulsion(y)[1])
        return y

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])


check_calls(__name__)
