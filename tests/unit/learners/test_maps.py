"""t-SNE and UMAP: their parts against closed forms and brute force, their maps against scikit-learn and umap-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import manifold
from sklearn.manifold import trustworthiness

import deltarule as dr
from deltarule import data, losses, nn
from deltarule.errors import ArgumentError
from deltarule.learners import TSNE, UMAP, ParametricUMAP
from deltarule.learners.manifold_learning.parametric_umap import _Edges
from deltarule.learners.manifold_learning.tsne import conditional, joint
from deltarule.learners.manifold_learning.tsne_edges import (
    Edges,
    exact_repulsion,
    fft_repulsion,
)
from deltarule.learners.manifold_learning.umap import curve, fuzzy_graph, memberships
from deltarule.learners.nearest_neighbors.search import Known, neighbors_of_each

DIGITS = data.load("digits")
IMAGES = np.asarray(DIGITS.inputs.reshape(len(DIGITS.inputs), -1), np.float64)


def kept(x: np.ndarray, y: np.ndarray, k: int = 15) -> float:
    """Return the share of the k nearest neighbours that are so on the map too."""
    before, after = (
        neighbors_of_each(x, k)[1],
        neighbors_of_each(np.ascontiguousarray(y), k)[1],
    )
    return float(
        np.mean([len(set(a) & set(b)) / k for a, b in zip(before, after, strict=True)])
    )


@pytest.mark.notes("AE-10")
def test_widths_give_the_perplexity() -> None:
    distances = np.sort(
        np.random.default_rng(0).uniform(0.1, 50, size=(30, 60)), axis=1
    )
    p = conditional(distances, 12.0)
    np.testing.assert_allclose(
        np.exp(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)), 12.0, rtol=1e-9
    )
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


@pytest.mark.notes("AE-10")
def test_gradient_is_that_of_the_divergence() -> None:
    random = np.random.default_rng(0)
    p = joint(random.normal(size=(40, 5)), 5.0)
    np.testing.assert_allclose(p.toarray(), p.toarray().T)
    y = random.normal(size=(40, 2))

    def divergence(at: np.ndarray) -> float:
        q = 1 / (1 + cdist(at, at) ** 2)
        np.fill_diagonal(q, 0)
        q /= q.sum()
        dense = p.toarray()
        inside = dense > 0
        return float((dense[inside] * np.log(dense[inside] / q[inside])).sum())

    push, total = exact_repulsion(y)
    edges = Edges(p)
    gradient = 4 * (edges.attraction(y) - push / total)
    np.testing.assert_allclose(edges.divergence(y, total), divergence(y))
    direction = random.normal(size=y.shape)
    slope = (divergence(y + 1e-5 * direction) - divergence(y - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize(("spread", "error"), [(1e-4, 1e-6), (1.0, 1e-3), (10.0, 0.05)])
def test_interpolated_repulsion_is_near_the_exact_one(
    spread: float, error: float
) -> None:
    y = np.random.default_rng(0).normal(size=(2500, 2)) * spread
    (forces, total), (wanted, exact) = fft_repulsion(y), exact_repulsion(y)
    assert np.sqrt(((forces - wanted) ** 2).mean() / (wanted**2).mean()) < error
    np.testing.assert_allclose(total, exact, rtol=error)


@pytest.mark.notes("AE-10", "AE-12")
def test_tsne_is_as_good_as_scikit_learns_figures() -> None:
    """scikit-learn 1.9 on the same 300 digits: trustworthiness 0.9860, neighbours kept 0.789, divergence 0.320."""
    x = IMAGES[:300]
    learner = TSNE(random_state=0)
    y = learner.fit_transform(x)
    assert trustworthiness(x, y, n_neighbors=15) > 0.986 - 0.01
    assert kept(x, y) > 0.789 - 0.01
    assert learner.kl_divergence_ < 0.320 + 0.005
    np.testing.assert_array_equal(TSNE(random_state=0).fit_transform(x), y)


@pytest.mark.slow
@pytest.mark.notes("AE-10", "AE-12")
@pytest.mark.parametrize("method", ["exact", "fft"])
def test_tsne_is_as_good_as_scikit_learns(method: str) -> None:
    x = IMAGES[:500]
    ours = TSNE(method=method, random_state=0)
    y = ours.fit_transform(x)
    reference = manifold.TSNE(random_state=0)
    wanted = reference.fit_transform(x)
    assert (
        trustworthiness(x, y, n_neighbors=15)
        > trustworthiness(x, wanted, n_neighbors=15) - 0.01
    )
    assert kept(x, y) > kept(x, wanted) - 0.01
    assert ours.kl_divergence_ < reference.kl_divergence_ + 0.05
    np.testing.assert_array_equal(
        TSNE(method=method, random_state=0).fit_transform(x), y
    )


@pytest.mark.slow
@pytest.mark.notes("AE-10")
def test_tsne_of_all_digits_is_as_good_as_scikit_learns() -> None:
    y, wanted = (
        kind(random_state=0).fit_transform(IMAGES) for kind in (TSNE, manifold.TSNE)
    )
    assert (
        trustworthiness(IMAGES, y, n_neighbors=15)
        > trustworthiness(IMAGES, wanted, n_neighbors=15) - 0.01
    )
    assert kept(IMAGES, y) > kept(IMAGES, wanted) - 0.01


def test_tsne_in_three_dimensions_and_what_it_refuses() -> None:
    small = TSNE(3, perplexity=30, max_iter=60, random_state=0).fit(IMAGES[:31])
    assert small.embedding_.shape == (31, 3) and small.perplexity_ == 10.0
    with pytest.raises(ValueError, match="requires n_components=2"):
        TSNE(3, method="fft").fit(IMAGES[:30])
    with pytest.raises(ArgumentError, match="perplexity"):
        TSNE(perplexity=0).fit(IMAGES[:30])


@pytest.mark.notes("AE-11")
def test_memberships_sum_to_log_k_and_the_nearest_is_certain() -> None:
    distances = np.sort(np.random.default_rng(0).uniform(1, 9, size=(50, 14)), axis=1)
    weights = memberships(distances)
    np.testing.assert_allclose(weights.sum(axis=1), np.log2(15), rtol=1e-6)
    np.testing.assert_array_equal(weights[:, 0], 1.0)
    graph = fuzzy_graph(IMAGES[:80], 10).toarray()
    np.testing.assert_allclose(graph, graph.T)
    assert graph.min() >= 0 and graph.max() <= 1
    a, b = curve(1.0, 0.1)
    np.testing.assert_allclose(
        [a, b], [1.5769, 0.8951], atol=1e-3
    )  # umap-learn's values


@pytest.mark.notes("AE-11", "AE-12")
def test_umap_keeps_the_digits_apart_and_places_new_ones() -> None:
    """umap-learn 0.5.12 on the same 1797 digits: trustworthiness 0.9881 and 0.9864, kNN 0.535 and 0.534."""
    learner = UMAP(random_state=0, n_epochs=200).fit(IMAGES[:800])
    assert trustworthiness(IMAGES[:800], learner.embedding_, n_neighbors=15) > 0.978
    np.testing.assert_array_equal(
        learner.transform(IMAGES[5:9]), learner.embedding_[5:9]
    )
    new = learner.transform(IMAGES[800:1200])
    np.testing.assert_allclose(
        learner.transform(IMAGES[900:903]), new[100:103], rtol=1e-12
    )
    nearest = cdist(new, learner.embedding_).argmin(axis=1)
    assert (DIGITS.targets[:800][nearest] == DIGITS.targets[800:1200]).mean() > 0.92
    again = UMAP(random_state=0, n_epochs=200).fit_transform(IMAGES[:800])
    np.testing.assert_array_equal(again, learner.embedding_)


@pytest.mark.slow
@pytest.mark.notes("AE-11")
@pytest.mark.filterwarnings("ignore")  # umap-learn's own
def test_umap_is_as_good_as_umap_learn() -> None:
    reference = pytest.importorskip("umap")
    ours, theirs = (
        UMAP(random_state=0).fit_transform(IMAGES),
        reference.UMAP(random_state=0).fit_transform(IMAGES),
    )
    assert (
        trustworthiness(IMAGES, ours, n_neighbors=15)
        > trustworthiness(IMAGES, theirs, n_neighbors=15) - 0.01
    )
    assert kept(IMAGES, ours) > kept(IMAGES, theirs) - 0.01


def test_a_graph_in_pieces_and_few_points() -> None:
    random = np.random.default_rng(0)
    apart = np.concatenate(
        [random.normal(size=(30, 3)), random.normal(size=(30, 3)) + 1000]
    )
    places = UMAP(n_neighbors=5, n_epochs=50, random_state=0).fit_transform(apart)
    assert cdist(places[:30], places[30:]).min() > 0.5
    assert UMAP(n_epochs=5, random_state=0).fit(apart[:4]).embedding_.shape == (4, 2)
    assert np.isfinite(
        UMAP(n_epochs=5, random_state=0).fit_transform(np.ones((20, 2)))
    ).all()


@pytest.mark.slow
@pytest.mark.notes("AE-11")
@pytest.mark.filterwarnings("ignore")  # umap-learn's own
@pytest.mark.parametrize("seed", [0, 1])
def test_new_points_are_placed_as_well_as_by_umap_learn(seed: int) -> None:
    reference = pytest.importorskip("umap")
    known, new = IMAGES[:1100], IMAGES[1100:1500]
    wanted = neighbors_between(known, new)
    shares = []
    for learner in (
        UMAP(random_state=seed).fit(known),
        reference.UMAP(random_state=seed).fit(known),
    ):
        near = neighbors_between(learner.embedding_, learner.transform(new))
        shares.append(
            np.mean(
                [len(set(a) & set(b)) / 15 for a, b in zip(wanted, near, strict=True)]
            )
        )
    assert shares[0] > shares[1] - 0.01


def neighbors_between(known: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the 15 nearest known points of each new one."""
    return np.asarray(
        Known.of(np.ascontiguousarray(known)).nearest(np.ascontiguousarray(new), 15)[1]
    )


@pytest.mark.notes("AE-11")
def test_a_network_learns_the_map_and_places_new_points() -> None:
    x = IMAGES[:1000].astype(np.float32)
    learner = ParametricUMAP(
        hidden_sizes=(64,), epochs=30, learning_rate=3e-3, random_state=0
    )
    places = learner.fit_transform(x)
    assert (
        places.dtype == np.float32 and trustworthiness(x, places, n_neighbors=15) > 0.95
    )
    np.testing.assert_allclose(learner.transform(x), places, rtol=1e-4, atol=1e-4)
    assert (
        learner.loss_curve_[-1] < 0.7 * learner.loss_curve_[0]
        and len(learner.loss_curve_) == 30
    )
    nearest = cdist(
        learner.transform(IMAGES[1000:1300].astype(np.float32)), places
    ).argmin(axis=1)
    assert (DIGITS.targets[:1000][nearest] == DIGITS.targets[1000:1300]).mean() > 0.8
    again = ParametricUMAP(
        hidden_sizes=(64,), epochs=30, learning_rate=3e-3, random_state=0
    )
    np.testing.assert_array_equal(again.fit_transform(x), places)
    with pytest.raises(ArgumentError, match="n_negatives"):
        ParametricUMAP(n_negatives=0).fit(x)


@pytest.mark.notes("AE-11")
def test_the_networks_objective_is_umaps_cross_entropy() -> None:
    random = np.random.default_rng(0)
    pairs, is_edge = (
        random.normal(size=(30, 2, 3)),
        random.integers(2, size=(30, 1)).astype(float),
    )
    a, b = curve(1.0, 0.1)
    logits = _Edges(nn.Identity(), a, b)(dr.tensor(pairs))
    square = ((pairs[:, 0] - pairs[:, 1]) ** 2).sum(axis=1, keepdims=True) + 1e-3
    v = 1 / (1 + a * square**b)
    expected = -(is_edge * np.log(v) + (1 - is_edge) * np.log(1 - v)).mean()
    np.testing.assert_allclose(
        losses.BinaryCrossEntropy()(logits, is_edge).item(), expected, rtol=1e-9
    )
