"""Every public function that takes a shape or a size refuses negative, fractional and immense ones in one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import ShapeError
from deltarule.tensor import random

ROW = np.ones((1, 3), np.float32)
SHAPES: dict[str, Callable[[Any], Any]] = {
    "zeros": dr.zeros,
    "ones": dr.ones,
    "full": lambda shape: dr.full(shape, 1.5),
    "uniform": lambda shape: random.random_uniform(shape, 0, 0),
    "normal": lambda shape: random.random_normal(shape, 0, 0),
    "broadcast_to": lambda shape: dr.tensor(1.0).broadcast_to(shape),
}
SIZES: dict[str, Callable[[Any], Any]] = {
    **{name: lambda n, f=f: f((n, 3)) for name, f in SHAPES.items()},
    "broadcast_to of a row": lambda n: dr.tensor(ROW).broadcast_to((n, 3)),
    "broadcast_to in jit": lambda n: dr.jit(lambda x: x.broadcast_to((n, 3)))(ROW),
    "arange": dr.arange,
    "eye": dr.eye,
    "one_hot": lambda n: dr.one_hot(dr.tensor([0]), n),
}
MESSAGE = "expected sizes that are whole numbers ≥ 0"


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [-5, -1, 2.5, 2.0, float("nan"), True, "2", None])
def test_sizes_that_are_no_whole_numbers_of_0_or_more_are_refused(name, size):
    with pytest.raises(ShapeError, match=MESSAGE):
        SIZES[name](size)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [0, 4, np.int64(4), np.uint8(4)])
def test_whole_sizes_of_numpy_and_python_are_the_same(name, size):
    result = SIZES[name](size)
    assert int(size) in result.shape and result.numpy().shape == result.shape


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_no_index_addresses_are_refused(name):
    with pytest.raises(ShapeError, match="fewer than 2⁶³ elements"):
        SHAPES[name]((2**40, 2**40))


@pytest.mark.parametrize("width", [-1, 1.5, 1.0])
def test_pad_refuses_widths_that_are_no_whole_numbers_of_0_or_more(width):
    with pytest.raises(ShapeError, match="widths"):
        dr.pad(dr.tensor(ROW), [(width, 0), (0, 0)])
