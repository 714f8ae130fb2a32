"""Pooling and slices: machine code against the reference engine and PyTorch, over kernel × stride × padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.reference import ReferenceBackend
from deltarule.dtypes import DType
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from support import windows
from support.oracles import torch
from support.windows import Pooling

KINDS = ("max", "average", "lp")


def _agree(
    x: Node, outputs: list[Node], tolerance: float
) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    values = np.random.default_rng(4).normal(size=x.shape).astype(x.dtype.name)
    results: list[np.ndarray[Any, Any]] = []
    for first in range(0, len(outputs), 60):  # programs of moderate length
        program = Program((x,), tuple(outputs[first : first + 60]))
        found = NativeBackend().compile(program)(values)
        for got, right in zip(
            found, ReferenceBackend().compile(program)(values), strict=True
        ):
            np.testing.assert_allclose(got, right, rtol=tolerance, atol=tolerance)
        results += found
    return values, results


def _torch_pool(kind: str, x: torch.Tensor, p: Pooling) -> torch.Tensor:
    functional: Any = torch.nn.functional
    if kind == "max":
        return getattr(functional, f"max_pool{p.rank}d")(
            x, p.window, p.stride, p.padding
        )
    average = getattr(functional, f"avg_pool{p.rank}d")
    if kind == "average":
        return average(x, p.window, p.stride, p.padding)
    return torch.sqrt(average(x * x, p.window, p.stride, p.padding) * p.window**p.rank)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pooling_and_its_gradient(kind: str, rank: int) -> None:
    x, outputs = windows.pooling_program(kind, rank, dtypes.FLOAT64)
    values, results = _agree(x, outputs, 1e-12)
    for place, p in enumerate(windows.poolings(rank)):
        image = torch.from_numpy(np.moveaxis(values, -1, 1).copy()).requires_grad_()
        y = _torch_pool(kind, image, p)
        (slope,) = torch.autograd.grad((y * y).sum() / 2, image)
        for got, right in zip(
            results[2 * place : 2 * place + 2], (y, slope), strict=True
        ):
            wanted = np.moveaxis(right.detach().numpy(), 1, -1)
            np.testing.assert_allclose(
                got, wanted, rtol=1e-10, atol=1e-12, err_msg=str(p)
            )


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_in_float32(kind: str) -> None:
    _agree(*windows.pooling_program(kind, 2, dtypes.FLOAT32), 2e-4)


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
def test_slices_of_either_direction_and_their_gradients(dtype: DType) -> None:
    _agree(*windows.slice_program(dtype), 1e-5 if dtype is dtypes.FLOAT32 else 1e-12)
