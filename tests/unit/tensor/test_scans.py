"""Running sums and products: NumPy's values, torch's gradients, cost in proportion to the length, on every engine."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import generative
from support.oracles import torch

SHAPES = [
    ((7,), 0),
    ((1,), 0),
    ((0,), 0),
    ((3, 5), 0),
    ((3, 5), 1),
    ((3, 5), -1),
    ((2, 3, 4), 1),
    ((2, 0, 3), 1),
    ((2, 0, 3), 2),
    ((1, 40, 1), 1),
    ((33, 17), 0),
]
ENGINES = ["eager", "reference", "cpu"]


def _run(function: Any, engine: str, *arrays: Any) -> Any:
    if engine == "eager":
        return function(*map(dr.tensor, arrays)).numpy()
    return dr.jit(function, device=engine)(*arrays).numpy()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_values_are_numpys(shape: tuple[int, ...], axis: int, engine: str) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(
        _run(lambda t: t.cumsum(axis), engine, x),
        np.cumsum(x, axis),
        rtol=1e-13,
        atol=1e-13,
    )
    np.testing.assert_allclose(
        _run(lambda t: t.cumprod(axis), engine, x), np.cumprod(x, axis), rtol=1e-13
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["bool", "uint8", "uint32", "int32", "int64"])
def test_whole_numbers_are_added_and_multiplied_in_int64(
    name: str, engine: str
) -> None:
    x = np.array([1, 0, 3, 200, 2, 7, 250], np.int64).astype(name).reshape(7, 1)
    wide = x.astype(np.int64)
    sums, products = (
        _run(lambda t: t.cumsum(0), engine, x),
        _run(lambda t: (t + 1).cumprod(0), engine, x),
    )
    assert sums.dtype == products.dtype == np.int64
    np.testing.assert_array_equal(sums, np.cumsum(wide, 0))
    np.testing.assert_array_equal(products, np.cumprod(wide + 1, 0))
    product = _run(lambda t: t.prod(0), engine, x)
    assert product.dtype == np.int64 and product.tolist() == [0]


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("method", ["cumsum", "cumprod"])
def test_gradients_are_torchs_also_at_zeros(method: str, engine: str) -> None:
    x = np.random.default_rng(1).normal(size=(3, 9, 2))
    x[0, 2], x[1, 3:5], x[2, 8] = 0, 0, 0
    weight = np.random.default_rng(2).normal(size=x.shape)
    theirs = torch.tensor(x, requires_grad=True)
    (getattr(theirs, method)(1) * torch.tensor(weight)).sum().backward()
    ours = _run(
        lambda t, w: dr.grad((getattr(t, method)(1) * w).sum(), t), engine, x, weight
    )
    np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_float32_is_added_up_in_float64(engine: str) -> None:
    x = np.random.default_rng(3).uniform(size=(2, 100_000)).astype(np.float32)
    exact = np.cumsum(x.astype(np.float64), 1)
    np.testing.assert_array_equal(
        _run(lambda t: t.cumsum(1), engine, x), exact.astype(np.float32)
    )


def test_infinity_reaches_only_later_sums() -> None:
    x = np.array([1.0, np.inf, 2.0, -np.inf, 3.0])
    for engine in ENGINES:
        np.testing.assert_array_equal(
            _run(lambda t: t.cumsum(0), engine, x), [1, np.inf, np.inf, np.nan, np.nan]
        )


def test_cost_is_linear() -> None:
    """A table of all pairs of 200,000 numbers would take 40 gigabytes."""
    x = np.ones(200_000)
    tracemalloc.start()
    try:
        total = dr.tensor(x)
        loss = (total.cumsum(0) * 2).sum()
        slope = dr.grad(loss, total).numpy()
        products = total.cumprod(0).numpy()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * x.nbytes
    np.testing.assert_array_equal(slope, 2 * np.arange(200_000, 0, -1))
    assert products.min() == products.max() == 1


def test_counts_of_a_large_rate_need_little_memory() -> None:
    distribution = generative.Poisson(1e5)
    tracemalloc.start()
    try:
        drawn = distribution.sample((20_000,), seed=0).numpy()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000
    assert abs(drawn.mean() - 1e5) < 4 * np.sqrt(1e5 / 20_000)
    assert abs(drawn.var() / 1e5 - 1) < 4 * np.sqrt(2 / 20_000)
