"""What meets what: unsigned subtraction, joins of several types, Python numbers that a type cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import ArgumentError, DTypeError

ENGINES = ["eager", "reference", "cpu"]
TYPES = ["bool", "uint8", "uint32", "int32", "int64", "float32", "float64"]


def _run(function: Any, engine: str, *arrays: Any) -> Any:
    if engine == "eager":
        return function(*map(dr.tensor, arrays)).numpy()
    return dr.jit(function, device=engine)(*arrays).numpy()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["uint8", "uint32"])
def test_unsigned_numbers_are_subtracted_as_numpy_does(name: str, engine: str) -> None:
    x = np.array([0, 1, 200, np.iinfo(name).max], name)
    zeros = np.zeros_like(x)
    for ours, theirs in (
        (lambda t: 0 - t, zeros - x),
        (lambda t: 5 - t, zeros + np.array(5, name) - x),
        (lambda t: dr.zeros((4,), name) - t, zeros - x),
        (lambda t: t - (0 - t), x - (zeros - x)),
        (
            lambda t: 3 + (0 - t) * 2,
            np.array(3, name) + (zeros - x) * np.array(2, name),
        ),
        (lambda t: dr.zeros((4,), name) - (dr.zeros((4,), name) - t), x),
    ):
        result = _run(ours, engine, x)
        assert result.dtype == x.dtype
        np.testing.assert_array_equal(result, theirs)
    with pytest.raises(DTypeError, match="negate: expected numbers of a signed type"):
        -dr.tensor(x)


@pytest.mark.parametrize(
    "join", [dr.stack, dr.concatenate], ids=["stack", "concatenate"]
)
@pytest.mark.parametrize("second", TYPES)
@pytest.mark.parametrize("first", TYPES)
def test_joins_promote_as_arithmetic_does(first: str, second: str, join: Any) -> None:
    x, y = np.array([[1, 0]]).astype(first), np.array([[0, 1]]).astype(second)
    joined = join([dr.tensor(x), dr.tensor(y)], axis=1)
    sum_type = (dr.tensor(x) + dr.tensor(y)).dtype
    assert joined.dtype == (
        dr.tensor(x).dtype if first == second == "bool" else sum_type
    )
    reference = {dr.stack: np.stack, dr.concatenate: np.concatenate}[join]
    np.testing.assert_array_equal(joined.numpy(), reference([x, y], axis=1))


def test_python_numbers_join_in_the_type_beside_them() -> None:
    assert dr.stack([dr.tensor(np.float64(1)), 0.1]).tolist() == [1.0, 0.1]
    assert dr.stack([dr.tensor(np.uint8(1)), 2]).dtype.name == "uint8"
    assert (
        dr.stack([1, 2]).dtype.name == "int64"
        and dr.stack([1, 2.5]).dtype.name == "float32"
    )


@pytest.mark.parametrize(
    "join", [dr.stack, dr.concatenate], ids=["stack", "concatenate"]
)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_gradients_pass_through_a_join_of_two_types(join: Any, device: str) -> None:
    def slopes(x: Any, y: Any) -> Any:
        return dr.grad((join([x, y]) ** 3).sum(), [x, y])

    x, y = np.float32([1, 2]), np.float64([3, 4])
    found = dr.jit(slopes, device=device)(x, y)
    assert [g.dtype.name for g in found] == ["float32", "float64"]
    np.testing.assert_allclose(found[0].numpy(), 3 * x**2)
    np.testing.assert_allclose(found[1].numpy(), 3 * y**2)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("uint8", -1),
        ("uint8", 256),
        ("uint32", -5),
        ("uint32", 2**32),
        ("int32", 2**31),
        ("int32", -(2**31) - 1),
        ("int64", 2**63),
    ],
)
def test_a_number_that_a_type_cannot_hold(name: str, number: int) -> None:
    x = np.array([0, 1, 7], name)
    low, high = dr.tensor(x).dtype.bounds
    for operation in (
        lambda t: t + number,
        lambda t: number - t,
        lambda t: t * number,
        lambda t: dr.maximum(t, number),
        lambda t: dr.where(t > 1, t, number),
        lambda t: dr.full((2,), number, name),
    ):
        for engine in ENGINES:
            with pytest.raises(
                ArgumentError,
                match=f"number as {name}: expected a whole number from {low} to {high}",
            ):
                _run(operation, engine, x)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["uint8", "uint32", "int32"])
def test_comparisons_with_any_whole_number_are_exact(name: str, engine: str) -> None:
    x = np.array([0, 1, 7, np.iinfo(name).max], name)

    def compared(t: Any, join: Any) -> Any:
        return join(
            [
                row
                for n in (-(2**40), -1, 0, 7, 255, 256, 2**31, 2**32, 2**40)
                for row in (t < n, t > n, t <= n, t >= n, t == n, t != n)
            ]
        )

    found = _run(lambda t: compared(t, dr.stack), engine, x)
    np.testing.assert_array_equal(found, compared(x.astype(np.int64), np.stack))


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -float("inf")])
def test_infinity_is_no_whole_number(number: float) -> None:
    with pytest.raises(
        ArgumentError, match="number as int32: expected a whole number from -2147483648"
    ):
        dr.full((2,), number, "int32")


def test_a_number_beyond_all_floats() -> None:
    with pytest.raises(
        ArgumentError,
        match="number as float32: expected a number of float32, got a number of 1329",
    ):
        dr.tensor([1.0]) * 10**400


BEYOND = {
    "product": lambda x: x * 1e200,
    "sum": lambda x: x + 1e39,
    "quotient": lambda x: x / -1e200,
    "difference": lambda x: -1e300 - x,
    "maximum": lambda x: dr.maximum(x, 1e200),
    "choice": lambda x: dr.where(x > 0, 1e200, x),
    "filled": lambda x: x + dr.full((3,), -1e200, "float32"),
    "less": lambda x: x < 1e200,
    "more": lambda x: x > 10**50,
    "remainder": lambda x: x % 1e200,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operation", BEYOND)
def test_a_number_beyond_float32_is_infinite(operation: str, engine: str) -> None:
    x = np.float32([0.5, 1, 3])
    expected = {
        "product": [np.inf] * 3,
        "sum": [np.inf] * 3,
        "quotient": [0, 0, 0],
        "difference": [-np.inf] * 3,
        "maximum": [np.inf] * 3,
        "choice": [np.inf] * 3,
        "filled": [-np.inf] * 3,
        "less": [True] * 3,
        "more": [False] * 3,
        "remainder": x,
    }
    np.testing.assert_array_equal(
        _run(BEYOND[operation], engine, x), expected[operation]
    )
