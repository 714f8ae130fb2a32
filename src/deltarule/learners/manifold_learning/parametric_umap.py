"""Parametric UMAP: y = f(x), a network trained on the fuzzy neighbourhood graph (Sainburg et al. 2021).

The graph W is UMAP's. A pair of points is an edge with the probability v = 1/(1 +
a·d²ᵇ) of their distance d in the embedding, so its log odds are −ln a − b·ln d², and
the objective is the binary cross-entropy of edges (sampled in proportion to their
weight) against random pairs. New points are embedded by the network alone, without
search or optimisation.

Cost: the exact neighbour search O(N²d), then O(epochs·edges·(1 + negatives)·weights); a
new point O(weights).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from deltarule import losses, nn
from deltarule.arguments import check_calls
from deltarule.learners.base import Array, above, require, whole
from deltarule.learners.manifold_learning.umap import (
    curve,
    fuzzy_graph,
    neighbors_wanted,
)
from deltarule.learners.nearest_neighbors.search import in_reach, scaled
from deltarule.learners.neural_network import architectures
from deltarule.learners.neural_network.network import Network
from deltarule.learners.neural_network.stream import Stream
from deltarule.tensor.functional import log
from deltarule.tensor.tensor import Tensor

__all__ = ["ParametricUMAP"]

_NEAR = 1e-3  # added to d², as in UMAP's repulsion
_CHUNK_NUMBERS = 2**23  # numbers of the pairs in memory at a time


@final
class _Edges(nn.Module):
    """Log odds (N, 1) of being an edge for pairs (N, 2, d)."""

    def __init__(self, encoder: nn.Module, a: float, b: float) -> None:
        self.encoder = encoder
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        """Return −ln a − b·ln d² of the embeddings of both ends."""
        n, _, d = (int(size) for size in x.shape)
        places = self.encoder(x.reshape((2 * n, d))).reshape((n, 2, -1))
        gap = places[:, 0] - places[:, 1]
        return -float(np.log(self.a)) - self.b * log(
            (gap * gap).sum(axis=1, keepdims=True) + _NEAR
        )


@final
@dataclass(kw_only=True, eq=False, repr=False)
class ParametricUMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Network):  # type: ignore[misc]  # scikit-learn has no types
    """Embedding by a network that is trained on UMAP's graph and objective (Sainburg et al. 2021).

    The network sees centred inputs, divided by their overall standard deviation.

    Args:
        n_components: Dimension of the embedding.
        hidden_sizes: Number of units of each hidden layer; a single number is one
            layer.
        activation: Activation between the layers: "elu", "gelu", "identity",
            "leaky_relu", "relu", "selu", "sigmoid", "silu", "softplus" or "tanh".
        batch_norm: Whether batch normalisation precedes each activation.
        n_neighbors: Number of neighbours, which sets how local the embedding is; "auto"
            is 15, or all examples where there are fewer.
        min_dist: Minimum distance between embedded points, at most ``spread``.
        spread: Scale of the embedding.
        n_negatives: Number of random pairs that repel for each edge that attracts.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; None for the default of the optimiser.
        epochs: Number of passes over the edges.
        batch_size: Number of pairs per step.
        random_state: Seed of the random numbers; equal seeds give equal results.
        dtype: "float32", "float64", or "auto": float32 for float32 inputs, float64 for
            all others.
        device: "cpu" compiles native code; "reference" runs NumPy, which needs no
            compilation.
        threads: Number of threads; None for all cores.

    Attributes:
        embedding_: The embedding (N, n_components).
        graph_: The fuzzy neighbourhood graph W, sparse (N, N).
        network_: The trained network.
        loss_curve_: Mean cross-entropy of each epoch.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 20 * np.arange(2).repeat(20)[:, None]
    >>> learner = ParametricUMAP(1, n_neighbors=5, epochs=15, learning_rate=0.01, random_state=0,
    ...                          device="reference").fit(x)
    >>> places = learner.transform([[0.0, 0.0, 0.0], [20.0, 20.0, 20.0]])
    >>> bool(abs(places[0] - places[1]) > 3)
    True
    """

    n_components: int = field(default=2, kw_only=False)
    hidden_sizes: int | Sequence[int] = (100, 100)
    activation: str = "tanh"
    batch_norm: bool = False
    n_neighbors: int | str = "auto"
    min_dist: float = 0.1
    spread: float = 1.0
    n_negatives: int = 5
    batch_size: int = 512

    def _build(self, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        sizes = architectures.whole_numbers(
            "ParametricUMAP hidden_sizes", self.hidden_sizes
        )
        return architectures.perceptron(
            "ParametricUMAP",
            shape[0],
            sizes,
            n_outputs,
            self.activation,
            0.0,
            self.batch_norm,
        )

    def _needs_scale(self) -> bool:
        """Return False: the inputs are standardized."""
        return False

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the network on edges and random pairs."""
        del y
        found = self._features(X, reset=True, ensure_min_samples=2)[0]
        x, self._exponent = in_reach(
            np.asarray(found.toarray() if sparse.issparse(found) else found)
        )
        k = require(self, "n_components", whole(1), "a whole number ≥ 1")
        require(self, "spread", above(0), "a number > 0")
        require(
            self, "min_dist", lambda d: 0 <= d <= self.spread, "a number in [0, spread]"
        )
        require(self, "n_negatives", whole(1), "a whole number ≥ 1")
        require(self, "epochs", whole(1), "a whole number ≥ 1")
        require(self, "batch_size", whole(1), "a whole number ≥ 1")
        self.graph_ = fuzzy_graph(x, neighbors_wanted(self, len(x)))
        self._mean, self._scale = x.mean(axis=0), float(x.std()) or 1.0
        inputs = self._scaled(x)
        seed = self._prepare(inputs, k, fresh=True)
        self._learn(inputs, seed)
        self.embedding_ = self._outputs(inputs)
        return self

    def _scaled(self, x: Array) -> Array:
        return np.asarray((x - self._mean) / self._scale, x.dtype)

    def _learn(self, x: Array, seed: int) -> None:
        edges = _Edges(self.network_, *curve(self.spread, self.min_dist))
        loss = losses.BinaryCrossEntropy()
        stream = Stream(
            edges, loss, self._optimizer(), (), self.device, self.threads, seed
        )
        random = np.random.default_rng(seed)
        self.loss_curve_: list[float] = []
        for _ in range(self.epochs):
            total = count = 0.0
            for pairs, is_edge in self._pairs(x, random):
                ones = np.ones(len(pairs))
                value = stream.run(
                    pairs, is_edge, ones, min(self.batch_size, len(pairs)), shuffle=True
                )
                total, count = total + value * len(pairs), count + len(pairs)
            self.loss_curve_.append(total / count)
        self.n_iter_ = self.epochs

    def _pairs(
        self, x: Array, random: np.random.Generator
    ) -> Iterator[tuple[Array, Array]]:
        """Yield the pairs of an epoch in chunks of equal size: as many edges as their weights sum to, and negatives."""
        graph = self.graph_.tocoo()
        share = np.cumsum(graph.data)
        wanted = max(1, round(float(share[-1] / graph.data.max())))
        n_edges = min(
            wanted, max(1, _CHUNK_NUMBERS // (2 * x.shape[1] * (1 + self.n_negatives)))
        )
        n_edges = (
            max(self.batch_size, n_edges // self.batch_size * self.batch_size)
            if wanted > n_edges
            else n_edges
        )
        for _ in range(-(-wanted // n_edges)):
            drawn = np.minimum(
                np.searchsorted(
                    share, random.random(n_edges) * share[-1], side="right"
                ),
                len(share) - 1,
            )
            heads = np.tile(graph.row[drawn], 1 + self.n_negatives)
            tails = np.concatenate(
                [
                    graph.col[drawn],
                    random.integers(len(x), size=n_edges * self.n_negatives),
                ]
            )
            is_edge = (np.arange(len(heads)) < n_edges).astype(x.dtype)[:, None]
            yield np.stack([x[heads], x[tails]], axis=1), is_edge

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Train the network and return the embedding of X, (N, n_components)."""
        return self.fit(X, y).embedding_

    def transform(self, X: Any) -> Array:
        """Return the embedding of points by the network, (N, n_components)."""
        found = self._features(X, reset=False)[0]
        x = np.asarray(found.toarray() if sparse.issparse(found) else found)
        return self._outputs(self._scaled(np.nan_to_num(scaled(x, -self._exponent))))

    @property
    def _n_features_out(self) -> int:
        return self.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


check_calls(__name__)
