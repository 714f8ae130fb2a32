"""Axes of size 0: sorting, indexing, sums and products of nothing, with their gradients, equal the reference's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import DataError
from deltarule.tensor.functional import softmax

Function = Callable[..., Any]
INDICES = np.zeros(0, np.int64)
CASES: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "sort": (
        lambda x: dr.sort(x, -1),
        ((0,), (1, 0), (2, 0), (0, 3), (2, 0, 1), (1, 1, 0)),
    ),
    "sort the first axis": (
        lambda x: dr.sort(x, 0),
        ((0,), (1, 0), (2, 0), (0, 3), (1, 0, 2)),
    ),
    "argsort": (lambda x: dr.argsort(x + 1, -1), ((0,), (1, 0), (0, 3))),
    "take nothing": (
        lambda x: dr.take(x * 2, INDICES, 0),
        ((0,), (3,), (0, 3), (3, 0), (1, 1)),
    ),
    "take of nothing": (
        lambda x: dr.take(x * 2, np.array([0, 1]), 0),
        ((2, 0), (3, 0, 2)),
    ),
    "sum of nothing taken": (
        lambda x: dr.take(x, INDICES, 0).sum(0),
        ((0,), (3,), (3, 2), (0, 2)),
    ),
    "take along": (
        lambda x: dr.take_along_axis(x, dr.argsort(x, 0), 0),
        ((0,), (0, 1), (1, 0)),
    ),
    "a slice of nothing": (lambda x: dr.sort(x[:0], -1), ((2, 3), (1, 1), (4,))),
    "sum": (lambda x: x.sum(0) + 1, ((0,), (0, 3), (3, 0))),
    "product of matrices": (lambda x: (x * 2) @ x.T, ((0, 3), (3, 0), (1, 0), (0, 1))),
    "joined": (
        lambda x: dr.concatenate([x, x * 2, x[:0]], 0),
        ((0, 2), (2, 0), (2, 3)),
    ),
    "padded": (lambda x: dr.pad(dr.exp(x), [(1, 2)]), ((0,), (1,))),
    "running sum": (lambda x: x.cumsum(0), ((0,), (0, 2), (2, 0), (1, 0))),
    "softmax": (lambda x: softmax(x, -1), ((0, 3), (0, 1))),
    "reshaped": (lambda x: x.reshape(0, 5) * 2, ((0,), (0, 3), (3, 0))),
    "masked": (lambda x: dr.where(x > 0, x, dr.full((), 0.25)), ((0,), (0, 2))),
}


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name, (_, shapes) in CASES.items() for shape in shapes],
)
def test_values_and_gradients(name: str, shape: tuple[int, ...]) -> None:
    function = CASES[name][0]

    def program(x: Any, scale: Any) -> Any:
        y = function(x)
        if not y.dtype.is_float:
            return [y, y.sum()]
        loss = (y * y).sum() + scale * scale
        return [y, loss, *dr.grad(loss, [x, scale])]

    x = np.random.default_rng(0).normal(size=shape)
    wanted = dr.jit(program, device="reference")(x, np.float64(2))
    for _ in range(3):  # memory of the calls before is used again
        found = dr.jit(program, device="cpu")(x, np.float64(2))
        for ours, theirs in zip(found, wanted, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_an_index_into_nothing_is_told(device: str) -> None:
    with pytest.raises(DataError, match=r"gather: expected indices in \[0, 0\), got 1"):
        dr.jit(lambda x, i: dr.take(x, i), device=device)(np.zeros(0), np.array([1, 1]))
