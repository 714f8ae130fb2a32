"""The programs of the maps' steps: forces against derivatives and closed forms, descents against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from deltarule.learners import TSNE, tsne_step
from deltarule.learners.base import Array
from deltarule.learners.tsne import _descend_by_edges, exact_repulsion, joint
from deltarule.learners.tsne_step import Schedule, descend, divergence, gradient
from deltarule.tensor.functional import as_tensor
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
    rows, columns = (axes(np.random.default_rng(1).normal(size=(40, k))) for _ in range(2))
    exaggeration = as_tensor(np.array(3.0))
    wanted = grad(divergence(rows, columns, p, exaggeration), rows)
    for force, half in zip(gradient(rows, p, exaggeration), wanted, strict=True):
        np.testing.assert_allclose(force.numpy(), 2 * half.numpy(), rtol=1e-5, atol=1e-9)


@pytest.mark.notes("AE-10")
@pytest.mark.parametrize(("n", "k"), [(30, 2), (61, 1), (200, 3)])
def test_the_program_descends_as_numpy_does(n: int, k: int) -> None:
    """The first 40 iterations, before float32 parts from float64."""
    p, y = example(n), np.random.default_rng(0).normal(size=(n, k))
    schedule = Schedule(4.0, 20, 40, 5.0, 0.0)
    rows = np.repeat(np.arange(n), np.diff(p.indptr))
    wanted, _ = _descend_by_edges(p, rows, y, exact_repulsion, schedule)
    found, n_iter = descend(p.toarray(), y, schedule)
    assert n_iter == 40
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("worth", [0, 10**9])
def test_the_descent_ends_where_the_gradient_is_small(worth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsne_step, "WORTH_COMPILING", worth)
    p, y = example(40), np.random.default_rng(0).normal(size=(40, 2))
    rows = np.repeat(np.arange(40), np.diff(p.indptr))
    schedule = Schedule(4.0, 20, 120, 5.0, 0.03)
    wanted, number = _descend_by_edges(p, rows, y, exact_repulsion, schedule)
    assert 20 < number < 120
    found, n_iter = descend(p.toarray(), y, schedule)
    assert n_iter == number
    exactly, _ = descend(p.toarray(), y, Schedule(4.0, 20, n_iter, 5.0, 0.0))
    np.testing.assert_allclose(found, exactly, rtol=1e-6)
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2)
    assert descend(p.toarray(), y, Schedule(4.0, 20, 120, 5.0, 1e9))[1] == 21


@pytest.mark.notes("AE-10")
def test_the_map_does_not_depend_on_where_the_engine_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy and machine code lead to maps of one quality."""
    x = np.random.default_rng(0).normal(size=(60, 4))
    quick = TSNE(max_iter=300, random_state=0).fit(x)
    monkeypatch.setattr(tsne_step, "WORTH_COMPILING", 10**9)
    slow = TSNE(max_iter=300, random_state=0).fit(x)
    assert abs(quick.kl_divergence_ - slow.kl_divergence_) < 0.1 * slow.kl_divergence_
