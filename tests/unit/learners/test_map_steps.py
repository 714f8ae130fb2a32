"""The programs of the maps' steps: forces against derivatives and closed forms, descents against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, sparse

from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.native.program.runner import NativeRunner
from deltarule.errors import DivergenceError
from deltarule.learners import TSNE
from deltarule.learners.base import Array
from deltarule.learners.manifold_learning import tsne_edges, tsne_step, umap_step
from deltarule.learners.manifold_learning.tsne import joint
from deltarule.learners.manifold_learning.tsne_edges import (
    Edges,
    descend_by_edges,
    exact_repulsion,
)
from deltarule.learners.manifold_learning.tsne_step import (
    Schedule,
    descend,
    divergence,
    gradient,
)
from deltarule.learners.manifold_learning.umap import curve, fuzzy_graph, spectral_start
from deltarule.learners.manifold_learning.umap_step import (
    Curve,
    EmbeddingOptimizer,
    settled,
)
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.random import random_uniform
from deltarule.tensor.tensor import Tensor
from deltarule.tensor.transforms import grad


def axes(y: Array) -> list[Tensor]:
    """Return the columns of a map as tensors."""
    return [as_tensor(np.ascontiguousarray(column)) for column in y.T]


def example(n: int, seed: int = 0) -> sparse.csr_matrix:
    """Return P of random points."""
    return joint(np.random.default_rng(seed).normal(size=(n, 5)), 5.0)


@pytest.mark.notes("AE-10")
@pytest.mark.parametrize("k", [1, 2, 3])
def test_forces_are_twice_the_derivative_in_one_end(k: int) -> None:
    """KL is symmetric in the ends of its pairs, so its gradient is twice that in the rows."""
    p = as_tensor(example(40).toarray())
    rows, columns = (
        axes(np.random.default_rng(1).normal(size=(40, k))) for _ in range(2)
    )
    exaggeration = as_tensor(np.array(3.0))
    wanted = grad(divergence(rows, columns, p, exaggeration), rows)
    for force, half in zip(gradient(rows, p, exaggeration), wanted, strict=True):
        np.testing.assert_allclose(
            force.numpy(), 2 * half.numpy(), rtol=1e-5, atol=1e-9
        )


@pytest.mark.notes("AE-10")
@pytest.mark.parametrize(("n", "k"), [(30, 2), (61, 1), (200, 3)])
def test_the_program_descends_as_numpy_does(n: int, k: int) -> None:
    """The first 40 iterations, before float32 parts from float64."""
    p, y = example(n), np.random.default_rng(0).normal(size=(n, k))
    schedule = Schedule(4.0, 20, 40, 5.0, 0.0)
    wanted, _ = descend_by_edges(Edges(p), y, exact_repulsion, schedule)
    found, n_iter = descend(p.toarray(), y, schedule)
    assert n_iter == 40
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)


def test_only_p_takes_the_square_of_the_points_in_memory() -> None:
    runner = tsne_step._runner("cpu", 400, 2)
    assert isinstance(runner, NativeRunner)
    assert 4 * 400**2 <= runner.plan.nbytes < 4.2 * 400**2


@pytest.mark.parametrize("worth", [0, 10**9])
def test_the_descent_ends_where_the_gradient_is_small(
    worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tsne_step, "WORTH_COMPILING", worth)
    p, y = example(40), np.random.default_rng(0).normal(size=(40, 2))
    schedule = Schedule(4.0, 20, 120, 5.0, 0.03)
    wanted, number = descend_by_edges(Edges(p), y, exact_repulsion, schedule)
    assert 20 < number < 120
    found, n_iter = descend(p.toarray(), y, schedule)
    assert n_iter == number
    exactly, _ = descend(p.toarray(), y, Schedule(4.0, 20, n_iter, 5.0, 0.0))
    np.testing.assert_allclose(found, exactly, rtol=1e-6)
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2)
    assert descend(p.toarray(), y, Schedule(4.0, 20, 120, 5.0, 1e9))[1] == 21


@pytest.mark.notes("AE-10")
def test_the_map_does_not_depend_on_where_the_engine_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NumPy and machine code lead to maps of one quality."""
    x = np.random.default_rng(0).normal(size=(60, 4))
    quick = TSNE(max_iter=300, random_state=0).fit(x)
    monkeypatch.setattr(tsne_step, "WORTH_COMPILING", 10**9)
    slow = TSNE(max_iter=300, random_state=0).fit(x)
    assert abs(quick.kl_divergence_ - slow.kl_divergence_) < 0.1 * slow.kl_divergence_


A, B = curve(1.0, 0.1)


def scalars() -> Curve:
    """Return the curve as tensors."""
    return Curve(as_tensor(np.array(np.log(A))), as_tensor(np.array(B)))


def attraction(square: Array) -> Array:
    """The closed form of the factor in the gradient of log v."""
    safe = np.where(square > 0, square, 1.0)
    return np.where(square > 0, -2 * A * B * safe ** (B - 1) / (1 + A * safe**B), 0.0)


def repulsion(square: Array) -> Array:
    """The closed form of the factor in the gradient of log(1 − v)."""
    return 2 * B / ((0.001 + square) * (1 + A * square**B))


@pytest.mark.notes("AE-11")
def test_forces_of_edges_are_the_closed_forms() -> None:
    square = np.concatenate([[0.0], np.geomspace(1e-12, 1e6, 100)])
    np.testing.assert_allclose(
        scalars().attraction(as_tensor(square)).numpy(), attraction(square), rtol=1e-9
    )
    np.testing.assert_allclose(
        scalars().repulsion(as_tensor(square)).numpy(), repulsion(square), rtol=1e-9
    )


@pytest.mark.notes("AE-11")
@pytest.mark.parametrize("n_negatives", [0, 1, 5])
@pytest.mark.parametrize("steps", [0, 10**9])
def test_an_epoch_is_numpys(n_negatives: int, steps: int) -> None:
    """Two epochs of 25 edges in parts of 10: the last part is filled up with edges that do nothing."""
    random = np.random.default_rng(0)
    y, heads, tails = (
        random.normal(size=(20, 2)),
        random.integers(20, size=60),
        random.integers(20, size=60),
    )
    optimizer = EmbeddingOptimizer(y, heads, tails, n_negatives, (A, B), 7, steps)
    number, wanted = 0, y.copy()
    for rate in (1.0, 0.3):
        edges = random.permutation(60)[:25]
        optimizer.epoch(edges, rate)
        for start in range(0, 25, 10):
            h, t = heads[edges[start : start + 10]], tails[edges[start : start + 10]]
            gap = wanted[h] - wanted[t]
            pull = np.clip(attraction((gap**2).sum(axis=1))[:, None] * gap, -4, 4)
            total = pull
            if n_negatives:
                drawn = random_uniform((n_negatives, 10), 7, number).numpy()
                away = wanted[h] - wanted[(drawn[:, : len(h)] * 20).astype(int)]
                total = pull + np.clip(
                    repulsion((away**2).sum(axis=2))[:, :, None] * away, -4, 4
                ).sum(axis=0)
            np.add.at(wanted, h, rate * total)
            np.subtract.at(wanted, t, rate * pull)
            number += 1
    np.testing.assert_allclose(optimizer.read(), wanted, rtol=1e-4, atol=1e-4)


def test_the_embedding_does_not_depend_on_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    y, ends = random.normal(size=(3000, 2)), random.integers(3000, size=(2, 9000))
    maps = []
    for threads in (1, 2):
        engine = NativeBackend()
        compile_step = engine.compile_step
        monkeypatch.setattr(
            engine, "compile_step", lambda p, f=compile_step, n=threads: f(p, n)
        )
        monkeypatch.setattr(umap_step, "backend", lambda _, e=engine: e)
        umap_step._edge_step_runner.cache_clear()
        optimizer = EmbeddingOptimizer(y, *ends, 5, (A, B), 0, 10**9)
        for rate in (1.0, 0.5):
            optimizer.epoch(np.arange(9000), rate)
        maps.append(optimizer.read())
    umap_step._edge_step_runner.cache_clear()
    assert np.abs(maps[0] - y).max() > 1
    np.testing.assert_array_equal(*maps)


@pytest.mark.notes("AE-11")
@pytest.mark.parametrize("n", [1, 64, 100])
def test_new_points_settle_as_in_numpy(n: int) -> None:
    random = np.random.default_rng(0)
    y, near, others = (
        random.normal(size=size) for size in ((n, 2), (n, 4, 2), (30, 9, 2))
    )
    weights = random.dirichlet(np.ones(4), size=n)
    found = settled(y, near, weights, others, 5, (A, B), 0.1)
    for epoch in range(30):
        gap, away = y[:, None] - near, y[:, None] - others[epoch]
        pull = np.clip(attraction((gap**2).sum(axis=2))[:, :, None] * gap, -4, 4)
        push = np.clip(repulsion((away**2).sum(axis=2))[:, :, None] * away, -4, 4)
        y = y + 0.1 * (1 - epoch / 30) * (
            (weights[:, :, None] * pull).sum(axis=1) + 5 * push.mean(axis=1)
        )
    np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-3)


@pytest.mark.notes("AE-11")
@pytest.mark.parametrize("n_neighbors", [5, 15])
@pytest.mark.parametrize("curved", [True, False])
def test_the_start_is_the_smoothest_pair_of_functions_on_the_graph(
    n_neighbors: int, curved: bool
) -> None:
    """Along a curve the eigenvalues are too close for few steps of Lanczos' iteration; in a cloud they are apart."""
    random = np.random.default_rng(0)
    x = (
        np.linspace(0, 1, 700)[:, None] + 1e-7 * random.normal(size=(700, 3))
        if curved
        else random.normal(size=(700, 9))
    )
    graph = fuzzy_graph(x, n_neighbors)
    root = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    wanted = np.linalg.eigh(root[:, None] * graph.toarray() * root)[1][:, [-2, -3]]
    start = spectral_start(graph, x, 2, random)
    shared = np.linalg.svd(wanted.T @ (start / np.linalg.norm(start, axis=0)))[1]
    np.testing.assert_allclose(shared, 1.0, atol=1e-3)
    np.testing.assert_allclose(np.abs(start).max(), 10.0, rtol=1e-3)


@pytest.mark.parametrize("method", ["exact", "fft"])
def test_a_descent_that_flies_apart_says_so(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            DivergenceError, match=r"finite embedding.*\n.*smaller learning_rate"
        ),
    ):
        TSNE(
            method=method, perplexity=5, learning_rate=1e30, max_iter=60, random_state=0
        ).fit(x)


def test_grids_have_sizes_of_fast_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        tsne_edges,
        "_convolved",
        lambda grid, kernel: seen.append(kernel.shape[0]) or grid,
    )
    for width in range(40, 400, 7):
        tsne_edges.fft_repulsion(np.array([[0.0, 0.0], [width, 1.0]]))
    assert all(fft.next_fast_len(size, real=True) == size for size in seen)
