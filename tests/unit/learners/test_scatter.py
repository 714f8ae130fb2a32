"""Scatter matrices block by block against NumPy's in float64, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule.learners import PCA, GaussianClassifier
from deltarule.learners.linear_model import scatter
from deltarule.learners.linear_model.moments import Moments
from deltarule.runtime import devices

BLOCK = 64


@pytest.fixture(params=[False, True], ids=["NumPy", "native"])
def engine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[bool]:
    """Compute on one engine, in small blocks."""
    monkeypatch.setattr(scatter, "_WORTH_COMPILING", 0 if request.param else 10**18)
    monkeypatch.setattr(scatter, "_ROWS", BLOCK)
    monkeypatch.setattr(scatter, "_NUMBERS", BLOCK)
    scatter._compiled_block.cache_clear()
    yield bool(request.param)
    scatter._compiled_block.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n", "width"), [(BLOCK, 1), (3 * BLOCK + 17, 5), (5, 70), (4 * BLOCK + 1, 300)]
)
def test_blocks_add_up_to_the_products_of_all(
    n: int, width: int, weighted: bool, dtype: str, engine: bool
) -> None:
    random = np.random.default_rng(width)
    x = (random.normal(size=(n, width)) * random.uniform(0.1, 3, width) + 20).astype(
        dtype
    )  # far from 0
    weights = (
        np.where(random.uniform(size=n) < 0.2, 0.0, random.uniform(0.1, 2, n))
        if weighted
        else None
    )
    mean = np.average(x, axis=0, weights=weights).astype(dtype)
    found = scatter.scatter(x, mean, weights)
    gap = x.astype(np.float64) - mean
    expected = (gap * (1 if weights is None else weights[:, None])).T @ gap
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected))).max()
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=scale * (2e-6 if dtype == "float32" else 1e-14)
    )
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3, 90])
def test_products_with_targets_are_those_of_all(
    outputs: int, weighted: bool, engine: bool
) -> None:
    random = np.random.default_rng(outputs)
    x, y = random.normal(size=(150, 40)) + 3, random.normal(size=(150, outputs)) - 7
    weights = random.uniform(0, 2, 150) if weighted else None
    means = (
        np.average(x, axis=0, weights=weights),
        np.average(y, axis=0, weights=weights),
    )
    joint = np.cov(np.hstack([x, y]).T, aweights=weights, ddof=0) * (
        150 if weights is None else weights.sum()
    )
    for rows in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        gram, cross = scatter.scatters(rows, y, means, weights)
        np.testing.assert_allclose(gram, joint[:40, :40], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(cross, joint[:40, 40:], rtol=1e-10, atol=1e-10)


def test_squares_are_the_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    x, weights = random.normal(size=(5000, 7)) * 3 + 1e4, random.uniform(0, 2, 5000)
    mean = weights @ x / weights.sum()
    expected = (weights[:, None] * (x - mean) ** 2).sum(axis=0)
    np.testing.assert_allclose(scatter.squares(x, mean, weights), expected, rtol=1e-12)
    monkeypatch.setattr(scatter, "_NUMBERS", 1)
    monkeypatch.setattr(scatter, "_ROWS", 70)
    np.testing.assert_allclose(scatter.squares(x, mean, weights), expected, rtol=1e-12)
    np.testing.assert_allclose(
        scatter.squares(x, mean), ((x - mean) ** 2).sum(axis=0), rtol=1e-12
    )
    seen = Moments(7)
    seen.add(x[:300])
    seen.add(x[300:])
    np.testing.assert_allclose(seen.scatter / seen.weight, x.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_no_bit(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(size=(4500, 150)).astype(dtype)
    weights, mean = np.linspace(0, 1, 4500), x.mean(axis=0)
    monkeypatch.setattr(scatter, "_WORTH_COMPILING", 0)
    found = []
    for threads in (1, 2, 3):
        scatter._compiled_block.cache_clear()
        monkeypatch.setattr(scatter, "compiled", _with_threads(threads))
        found.append(scatter.scatter(x, mean, weights))
    scatter._compiled_block.cache_clear()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def _with_threads(threads: int) -> Callable[[Any, str], Any]:
    return lambda program, device: devices.compiled(program, device, threads)


@pytest.mark.notes("CM-01")
def test_the_scatter_is_the_hessian_of_least_squares(engine: bool) -> None:
    """∂²/∂θ² of the mean of ½w(θᵀx − y)², from the graph."""
    random = np.random.default_rng(3)
    x, weights = random.normal(size=(200, 66)), random.uniform(0.1, 2, 200)
    hessian = dr.hessian(
        lambda theta: (weights * (x @ theta) ** 2).mean() / 2, np.zeros(66)
    ).numpy()
    np.testing.assert_allclose(
        scatter.scatter(x, np.zeros(66), weights) / 200, hessian, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_components_agree_on_both_engines(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(4)
    x = (
        random.normal(size=(2500, 6)) @ random.normal(size=(6, 80))
        + 0.1 * random.normal(size=(2500, 80))
        + 5
    ).astype(dtype)
    found = []
    for limit in (10**18, 0):
        monkeypatch.setattr(scatter, "_WORTH_COMPILING", limit)
        found.append(PCA(6).fit(x))
    tolerance = 2e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(
        found[1].components_, found[0].components_, atol=tolerance
    )
    np.testing.assert_allclose(
        found[1].explained_variance_, found[0].explained_variance_, rtol=tolerance
    )
    assert found[1].components_.dtype == x.dtype


@pytest.mark.notes("PR-07")
def test_moments_and_covariances_of_classes_agree_with_numpy(engine: bool) -> None:
    random = np.random.default_rng(5)
    x, weights = random.normal(size=(500, 35)) + 2, random.uniform(0.1, 1, 500)
    seen = Moments(35, full=True)
    for rows in (slice(0, 130), slice(130, 500)):
        seen.add(x[rows], weights[rows])
    np.testing.assert_allclose(
        seen.scatter / seen.weight, np.cov(x.T, aweights=weights, ddof=0), atol=1e-12
    )
    learner = GaussianClassifier(regularization=0.0).fit(
        x, np.arange(500) % 2, sample_weight=weights
    )
    expected = np.cov(x[::2].T, aweights=weights[::2], ddof=0)
    np.testing.assert_allclose(learner.covariances_[0], expected, atol=1e-11)
