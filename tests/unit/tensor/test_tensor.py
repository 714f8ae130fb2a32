"""Tensors: NumPy's habits against NumPy, laziness, parameters, backward, DLPack, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import ArgumentError, DTypeError, GraphError, ShapeError
from support.oracles import torch

A = np.arange(24, dtype=np.float64).reshape(2, 3, 4) - 7.5
MASK = A > 2

INDEXING: list[Any] = [
    0,
    -1,
    (1, 2),
    (slice(None), 1),
    (..., 0),
    (slice(1, None), ..., slice(None, None, 2)),
    None,
    (None, 0, None),
    (slice(None), slice(None, None, -1)),
    (slice(None), slice(2, 0, -1)),
    np.array([1, 0, 1]),
    [0, 1],
    (slice(None), np.array([2, 0])),
    (np.array([0, 1]), np.array([2, 1])),
    (0, np.array([[0, 1], [2, -1]])),
    MASK,
    (slice(0, 0),),
    (slice(None), np.array([0, 2]), np.array([1, 3])),
]


@pytest.mark.parametrize("key", INDEXING, ids=str)
def test_indexing_is_numpys(key: Any) -> None:
    np.testing.assert_array_equal(
        dr.tensor(A)[key].numpy(), A[tuple(key) if isinstance(key, tuple) else key]
    )


METHODS: list[tuple[str, Callable[[Any], Any]]] = [
    ("sum", lambda x: x.sum(axis=1)),
    ("mean", lambda x: x.mean(axis=(0, 2))),
    ("max", lambda x: x.max(axis=2)),
    ("min", lambda x: x.min(axis=0)),
    ("prod", lambda x: x.prod(axis=1)),
    ("var", lambda x: x.var(axis=1)),
    ("std", lambda x: x.std()),
    ("argmax", lambda x: x.argmax(axis=1)),
    ("argmin", lambda x: x.argmin()),
    ("cumsum", lambda x: x.cumsum(1)),
    ("T", lambda x: x.T),
    ("transpose", lambda x: x.transpose(2, 0, 1)),
    ("reshape", lambda x: x.reshape(4, -1)),
    ("clip", lambda x: x.clip(-2, 3)),
    ("flatten", lambda x: x.flatten()),
    ("arithmetic", lambda x: (2 - x) * 3 / (x + 100) - -x),
    ("mod", lambda x: x % 3),
    ("floordiv", lambda x: x // 2),
    ("power", lambda x: x**2),
    ("abs", abs),
    ("compare", lambda x: (x > 1) & ~(x >= 5) | (x < -3)),
    ("equal", lambda x: (x == -0.5) | (x != x)),
    ("keepdims", lambda x: x.sum(axis=1, keepdims=True)),
    ("matmul", lambda x: x @ np.ones((4, 2))),
    ("rmatmul", lambda x: np.ones((5, 3)) @ x),
    ("array on the left", lambda x: np.ones((3, 4)) + x),
    ("any", lambda x: (x > 9).any()),
    ("all", lambda x: (x > -100).all(axis=1)),
    ("astype", lambda x: x.astype("int32")),
]


@pytest.mark.parametrize(("name", "method"), METHODS, ids=[name for name, _ in METHODS])
def test_methods_are_numpys(name: str, method: Callable[[Any], Any]) -> None:
    ours, theirs = method(dr.tensor(A)), np.asarray(method(A))
    assert isinstance(ours, dr.Tensor)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)


def test_element_types() -> None:
    assert dr.tensor([1.5]).dtype.name == "float32"
    assert dr.tensor(np.array([1.5])).dtype.name == "float64"
    assert dr.tensor([1, 2]).dtype.name == "int64"
    assert dr.tensor([True]).dtype.name == "bool"
    assert (dr.tensor([1, 2]) * 0.5).dtype.name == "float32"
    assert (dr.tensor(np.float64([1])) * dr.tensor([1.0])).dtype.name == "float64"
    with pytest.raises(DTypeError, match="one_hot"):
        dr.tensor(["a", "b"])
    with pytest.raises(DTypeError, match="rectangular"):
        dr.tensor([[1, 2], [3]])


def test_data_is_copied_both_ways() -> None:
    source = np.ones(3)
    x = dr.tensor(source)
    source[0] = 5
    assert x.tolist() == [1, 1, 1]
    x.numpy()[1] = 7
    assert x.tolist() == [1, 1, 1]


def test_old_expressions_keep_old_values() -> None:
    w = dr.parameter([1.0], name="w")
    doubled = w * 2
    w.assign([10.0])
    assert doubled.tolist() == [2.0]
    assert (w * 2).tolist() == [20.0]


def test_a_loop_of_values_keeps_the_graph_small() -> None:
    x = dr.tensor([1.0])
    for _ in range(50):
        x = x * 1.5 - 0.5
        x.numpy()
    assert not x.node.sources


def test_a_looked_at_tensor_can_still_be_differentiated() -> None:
    x = dr.tensor([1.0, 2.0]) * 3
    loss = (x * x).sum()
    assert x.tolist() == [3.0, 6.0]
    assert dr.grad(loss, x).tolist() == [6.0, 12.0]


def test_a_gradient_that_lost_its_way_is_refused() -> None:
    x = dr.tensor([1.0, 2.0])
    y = x * 3
    assert y.tolist() == [3.0, 6.0]
    with pytest.raises(GraphError, match="before reading intermediate values"):
        dr.grad(y.sum(), x)
    w = dr.parameter([1.0, 2.0])
    z = w * 3
    assert z.tolist() == [3.0, 6.0]
    assert dr.grad(z.sum(), w).tolist() == [3.0, 3.0]


def test_backward_accumulates_as_torch_does() -> None:
    value = np.random.default_rng(0).normal(size=(2, 3))
    w, t = dr.parameter(value, name="W"), torch.tensor(value, requires_grad=True)
    for _ in range(2):
        (w @ w.T).sum().backward()
        (t @ t.T).sum().backward()
    assert w.grad is not None and t.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), t.grad.numpy(), rtol=1e-12)
    loss = (w * w).sum()
    assert loss.item() > 0
    loss.backward()


def test_backward_without_a_parameter_says_what_to_do() -> None:
    w = dr.parameter([1.0, 2.0])
    with pytest.raises(GraphError, match=r"dr\.parameter"):
        dr.tensor([1.0]).sum().backward()
    with pytest.raises(GraphError, match="scalar"):
        (w * 2).backward()


def test_symbols_have_no_value() -> None:
    x = dr.symbol("x", shape=("N", 3))
    assert str(x.shape) == "(N, 3)"
    assert "symbol" in repr(x)
    with pytest.raises(GraphError, match="has a shape and no value"):
        x.numpy()


def test_truth_and_conversion() -> None:
    assert (
        bool(dr.tensor(1.0))
        and float(dr.tensor([2.5])) == 2.5
        and int(dr.tensor(3)) == 3
    )
    assert [float(v) for v in dr.tensor([1.0, 2.0])] == [1.0, 2.0]
    with pytest.raises(ArgumentError, match=r"\.all\(\)"):
        bool(dr.tensor([1.0, 2.0]))
    with pytest.raises(ShapeError):
        dr.tensor([1.0, 2.0]).item()


def test_dlpack_and_array_protocol() -> None:
    x = dr.tensor(A)
    np.testing.assert_array_equal(np.asarray(x), A)
    np.testing.assert_array_equal(torch.from_dlpack(x).numpy(), A)
    np.testing.assert_array_equal(np.from_dlpack(x), A)


def test_sorting_and_taking() -> None:
    np.testing.assert_array_equal(
        dr.sort(A[:, ::-1], axis=1).numpy(), np.sort(A, axis=1)
    )
    index = np.argsort(-A, axis=2)
    np.testing.assert_array_equal(
        dr.take_along_axis(A, index, 2).numpy(), np.take_along_axis(A, index, 2)
    )
    x = dr.tensor([3.0, 1.0, 2.0])
    assert dr.grad((dr.sort(x) * dr.tensor([1.0, 10.0, 100.0])).sum(), x).tolist() == [
        100.0,
        1.0,
        10.0,
    ]


def test_random_numbers_depend_on_seed_step_stream_and_nothing_else() -> None:
    def draw(**key: int) -> list[float]:
        return list(dr.random_uniform((5,), **{"seed": 1, **key}).tolist())

    assert (
        draw() == draw()
        and draw() != draw(step=1)
        and draw() != draw(stream=1)
        and draw() != draw(seed=2)
    )
    many = dr.random_uniform((100_000,), seed=3).numpy()
    assert many.min() >= 0 and many.max() < 1 and abs(many.mean() - 0.5) < 0.005
    normal = dr.random_normal((100_000,), seed=3, dtype="float64").numpy()
    assert (
        abs(normal.mean()) < 0.02
        and abs(normal.std() - 1) < 0.02
        and np.isfinite(normal).all()
    )


def test_threefry_agrees_with_jaxs_published_vectors() -> None:
    from deltarule.backends.threefry import (
        threefry,
    )  # the bits themselves, not the public face

    zero = threefry((0, 0), 0, np.zeros(1, np.uint32))
    assert [int(w[0]) for w in zero] == [0x6B200159, 0x99BA4EFE]
    ones = threefry(
        (0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, np.full(1, 0xFFFFFFFF, np.uint32)
    )
    assert [int(w[0]) for w in ones] == [0x1CB996FC, 0xBB002BE7]
