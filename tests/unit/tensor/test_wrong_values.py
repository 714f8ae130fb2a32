"""What a person mistypes at the prompt: one error of the library, never a number that is silently wrong."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError, DTypeError, ShapeError

X = dr.tensor([1.0, 2.0])
W = dr.parameter(np.ones((2, 2)), name="W")


@pytest.mark.parametrize(
    ("call", "kind", "told"),
    [
        (lambda: dr.zeros(-1), ShapeError, "full: expected sizes"),
        (lambda: dr.zeros("a"), ShapeError, "full: expected sizes"),
        (lambda: dr.ones((2, 1.5)), ShapeError, "full: expected sizes"),
        (lambda: dr.full((True,), 1.0), ShapeError, "full: expected sizes"),
        (lambda: dr.eye(-1), ShapeError, "eye: expected sizes"),
        (lambda: dr.arange(2.5), ShapeError, "arange: expected sizes"),
        (
            lambda: dr.random_normal((-2,), seed=0),
            ShapeError,
            "random numbers: expected sizes",
        ),
        (lambda: dr.random_uniform((2,), seed="a"), ArgumentError, "seed or step"),
        (lambda: dr.random_uniform((2,), seed=1.5), ArgumentError, "seed or step"),
        (
            lambda: X[::0],
            ShapeError,
            "index of input (2): expected a step other than 0, got ::0",
        ),
        (
            lambda: X.reshape(-2, -1),
            ShapeError,
            "reshape of input (2): expected sizes ≥ 0, or -1",
        ),
        (lambda: W.reshape((-2, -2)), ShapeError, "expected sizes ≥ 0, or -1"),
        (
            lambda: dr.jit(lambda x: x.reshape(-1, -2))(X),
            ShapeError,
            "expected sizes ≥ 0, or -1",
        ),
        (lambda: X.reshape(2.0, 1), ShapeError, "expected sizes ≥ 0, or -1"),
        (lambda: X.reshape(True, 2), ShapeError, "expected sizes ≥ 0, or -1"),
        (
            lambda: dr.one_hot([0.7], 3),
            DTypeError,
            "one_hot: expected whole-number labels",
        ),
        (lambda: X["a"], DTypeError, "index: expected whole numbers"),
        (lambda: X[1.5], DTypeError, "index: expected whole numbers"),
        (lambda: X[dr.tensor([0.7])], DTypeError, "index"),
        (lambda: X[[0.2, 1.0]], DTypeError, "index: expected whole numbers"),
        (lambda: X.sum(axis="a"), ShapeError, "sum: expected an axis"),
        (lambda: X.sum(axis=0.0), ShapeError, "sum: expected an axis"),
        (lambda: dr.grad(W.sum(), [3]), ArgumentError, "expected tensors, got 3"),
        (
            lambda: dr.value_and_grad(lambda x: None)(X),
            ArgumentError,
            "Let the function return",
        ),
        (
            lambda: dr.check_gradients(lambda x: None, X),
            ArgumentError,
            "a function that returns a tensor",
        ),
        (lambda: dr.jit(3), ArgumentError, "jit: expected a function"),
        (
            lambda: dr.jit(abs, device="gpu"),
            ArgumentError,
            "jit device: expected 'cpu' or 'reference'",
        ),
        (
            lambda: nn.Sequential(nn.Linear(3, 2)).summary(3),
            ArgumentError,
            "summary input_shape",
        ),
        (
            lambda: nn.Sequential(nn.Linear(3, 2)).load_state_dict(None),
            ArgumentError,
            "load_state_dict",
        ),
    ],
)
def test_refused(call, kind, told):
    with pytest.raises(kind) as caught:
        call()
    assert told in str(caught.value)


def test_whole_numbers_of_numpy_are_sizes_axes_and_indices():
    two = np.int64(2)
    assert dr.zeros(two).shape == dr.zeros(2).shape == (2,)
    assert dr.random_uniform([two, 3], seed=np.int64(1)).shape == (2, 3)
    table = dr.tensor(np.arange(6.0).reshape(2, 3))
    assert table.sum(axis=np.int64(1)).tolist() == [3.0, 12.0]
    assert table[np.int64(1)].tolist() == [3.0, 4.0, 5.0]
    assert table[[]].shape == (0, 3)
    assert (
        table.reshape(np.int32(3), two).shape
        == table.reshape((np.int64(-1), 2)).shape
        == (3, 2)
    )
    assert table.sum(axis=np.array([0, 1])).tolist() == 15.0
    assert dr.ones(np.array([2, 3])).shape == dr.ones(range(2, 4)).shape == (2, 3)
