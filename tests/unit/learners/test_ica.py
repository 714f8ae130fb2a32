"""Independent components: their update against derivatives of the contrast, on both engines, and both whitenings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltarule.learners import FastICA
from deltarule.learners.matrix_decomposition import independent
from deltarule.runtime.devices import compiled
from deltarule.tensor.functional import exp, log
from deltarule.tensor.tensor import Tensor
from deltarule.tensor.transforms import hvp, value_and_grad

N, K = 2003, 4
R = np.random.default_rng(0)
MIXED = R.laplace(size=(N, K)) @ R.normal(size=(K, 6))[:, :K] + 5


def _contrast(u: Tensor) -> Tensor:
    return log((exp(u) + exp(-u)) / 2).sum()


@pytest.mark.parametrize("native", [False, True], ids=["NumPy", "native"])
def test_the_update_is_that_of_the_contrast(native: bool) -> None:
    """Per row w: mean of z·∂(ln cosh)(wᵀz) less w times the mean of ∂²(ln cosh), both from the graph."""
    random = np.random.default_rng(0)
    z, w = random.normal(size=(N, K)), random.normal(size=(K, K))
    found = (
        independent._compiled_update(N, K) if native else independent._plain_update
    )(z, w)
    for row, update in zip(w, found, strict=True):
        slope = value_and_grad(_contrast)(z @ row)[1].numpy()
        bend = hvp(_contrast, z @ row, np.ones(N)).numpy()
        np.testing.assert_allclose(
            update, slope @ z / N - bend.mean() * row, rtol=1e-9, atol=1e-12
        )


def test_both_engines_find_the_same_components(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for limit in (10**18, 0):
        monkeypatch.setattr(independent, "_WORTH_COMPILING", limit)
        found.append(FastICA(K).fit(MIXED))
    assert found[0].n_iter_ == found[1].n_iter_
    np.testing.assert_allclose(found[0].components_, found[1].components_, rtol=1e-8)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    z, w, found = random.normal(size=(N, 7)), random.normal(size=(7, 7)), []
    for threads in (1, 2, 3):
        independent._compiled_update.cache_clear()
        monkeypatch.setattr(
            independent,
            "compiled",
            lambda program, device, threads=threads: compiled(program, device, threads),
        )
        found.append(independent._compiled_update(N, 7)(z, w))
    independent._compiled_update.cache_clear()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("k", [2, K])
def test_whitening_by_scatter_and_by_singular_values_agree(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = MIXED.mean(axis=0)
    found = [independent._whitened(MIXED, mean, k)]
    monkeypatch.setattr(
        independent, "eigenvectors", lambda *_: (np.array([1.0, 0.0]), None)
    )
    found.append(independent._whitened(MIXED, mean, k))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)
    for whitening, white in found:
        np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(k), atol=1e-11)
        np.testing.assert_allclose((MIXED - mean) @ whitening.T, white, atol=1e-9)


@pytest.mark.parametrize("size", [1e-4, 1e-6])
def test_weak_directions_are_whitened_too(size: float) -> None:
    """A direction of relative deviation 10⁻⁴, whose eigenvalue is 10⁻⁸: from singular vectors."""
    random = np.random.default_rng(0)
    x = random.laplace(size=(N, 3)) * [1.0, 0.5, size]
    found: Any = FastICA(3, max_iter=500).fit(x)
    sources = found.transform(x)
    np.testing.assert_allclose(np.cov(sources.T, bias=True), np.eye(3), atol=1e-8)
    match = np.abs(np.corrcoef(sources.T, x.T)[:3, 3:])
    assert (match.max(axis=0) > 0.99).all()


def test_no_more_components_than_the_rank() -> None:
    random = np.random.default_rng(0)
    x = random.laplace(size=(300, 2)) @ random.normal(size=(2, 5))
    assert len(FastICA(5).fit(x).components_) == 2
    assert len(FastICA(3).fit(random.laplace(size=(4, 9))).components_) == 3
