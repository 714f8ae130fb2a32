"""Evaluation begins at whatever values are known, also in the midst of a graph."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import shapes
from deltarule.backends import reference
from deltarule.dtypes import INT64
from deltarule.errors import DataError, GraphError
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.program import Program


def test_a_known_node_above_a_named_function_is_not_computed_again() -> None:
    x = build.input_node("x", (2,))
    hidden = build.add(f.relu(x), 1)
    loss = f.log_softmax(build.multiply(hidden, 2), axis=0)
    (found,) = reference.evaluate([loss], {hidden: np.array([1.0, 1.0], np.float32)})
    np.testing.assert_allclose(found, np.log([0.5, 0.5]), rtol=1e-6)


def test_a_value_that_was_looked_at_may_be_used_further() -> None:
    weight = dr.parameter(np.array([1.0, -2.0]), name="w")
    hidden = dr.maximum(weight, 0.0) + f_relu(weight)
    assert hidden.tolist() == [2.0, 0.0]
    loss = (f_relu(hidden) * 3).sum()
    assert loss.item() == 6.0
    assert dr.grad(loss, weight).tolist() == [6.0, 0.0]


def f_relu(x: dr.Tensor) -> dr.Tensor:
    return dr.Tensor(f.relu(x.node))


def test_long_sums_of_single_precision_are_rounded_once() -> None:
    values = np.random.default_rng(0).random((50_000, 3), np.float32)
    x = build.input_node("x", values.shape)
    (total,) = reference.evaluate([build.sum_over(x, 0)], {x: values})
    assert total.dtype == np.float32
    np.testing.assert_array_equal(
        total, values.sum(0, dtype=np.float64).astype(np.float32)
    )


def test_a_compiled_program_keeps_what_no_input_decides_and_hands_out_copies() -> None:
    x, unused = build.input_node("x", (3,)), build.input_node("unused", (2,))
    ramp = build.multiply(build.iota((3,), 0, x.dtype), 2)
    program = Program((x, unused), (build.add(x, ramp), ramp, x))
    run = reference.ReferenceBackend().compile(program)
    given = np.array([1.0, 2.0, 3.0], np.float32)
    for _ in range(3):
        total, fixed, same = run(given, np.zeros(2))
        np.testing.assert_array_equal(total, [1, 4, 7])
        np.testing.assert_array_equal(fixed, [0, 2, 4])
        np.testing.assert_array_equal(same, [1, 2, 3])
        total += 9
        fixed += 9
        same += 9
    np.testing.assert_array_equal(given, [1, 2, 3])


def test_large_values_without_inputs_are_made_in_every_run() -> None:
    n = reference._MAX_CACHED_ELEMENTS + 1
    x = build.input_node("x", (n,))
    small = build.reshape(build.sum_over(build.iota((n,), 0, x.dtype), 0), (1,))
    run = reference.ReferenceBackend().compile(
        Program((x,), (build.add(x, build.broadcast_to(small, (n,))),))
    )
    for _ in range(2):
        (found,) = run(np.ones(n))
        np.testing.assert_array_equal(
            found, np.full(n, np.float32(n * (n - 1) // 2) + np.float32(1))
        )


def test_wrong_indices_are_found_in_every_run_even_where_no_input_decides_them() -> (
    None
):
    x = build.input_node("x", (3,))
    outside = build.add(build.iota((2,), 0, INT64), 2)
    run = reference.ReferenceBackend().compile(
        Program((x,), (build.gather(x, outside, 0),))
    )
    wrong = build.gather(build.iota((2,), 0, x.dtype), outside, 0)
    fixed = reference.ReferenceBackend().compile(
        Program(
            (x,), (build.add(wrong, build.broadcast_to(build.sum_over(x, 0), (2,))),)
        )
    )
    for _ in range(2):
        with pytest.raises(DataError, match=r"indices in \[0, 3\), got 3"):
            run(np.ones(3))
        with pytest.raises(DataError, match=r"indices in \[0, 2\), got 3"):
            fixed(np.ones(3))


def test_a_symbol_without_a_value_is_named() -> None:
    x, y = build.input_node("x", (3,)), build.input_node("y", (3,))
    with pytest.raises(
        GraphError, match="value of y: expected every input to be given"
    ):
        reference.evaluate([build.add(x, y)], {x: np.ones(3, np.float32)})


def test_an_evaluator_gives_the_values_of_each_call() -> None:
    x, n = build.input_node("x", (2,)), build.input_node("n", (shapes.Dimension("N"),))
    run = reference.Evaluator()
    hidden = build.exp(x)
    roots = [build.add(hidden, 1), build.add(hidden, build.constant(0, x.dtype))]
    for value in (np.zeros(2, np.float32), np.array([1.0, -2.0], np.float32)):
        for known in ({x: value}, {hidden: value}):
            np.testing.assert_array_equal(
                run(roots, known), reference.evaluate(roots, known)
            )
    for size in (2, 3):  # unknown sizes are read off the values
        np.testing.assert_array_equal(
            run([build.add(n, n)], {n: np.ones(size, np.float32)})[0], 2 * np.ones(size)
        )
