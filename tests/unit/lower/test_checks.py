"""What is checked of every loop program: indices inside their buffers, nothing read that is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import dtypes
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.reference import ReferenceBackend
from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from deltarule.lower import bounds, lower, verify
from deltarule.lower.fuse import ROUTINES
from deltarule.lower.index import ZERO, Axis, Index, of
from deltarule.lower.loops import (
    Buffer,
    Condition,
    Guard,
    Load,
    LoopProgram,
    Nest,
    Number,
    Store,
    subexpressions,
)
from deltarule.lower.memory import MemoryPlan, Place
from deltarule.lower.ranges import narrowed
from support import windows

WIDE = dtypes.FLOAT64

# ---------------------------------------------------------------- ranges


def _random_index(generator: np.random.Generator, axes: list[Axis]) -> Index:
    built = Index((), int(generator.integers(-4, 5)))
    for axis in axes:
        built = built + of(axis) * int(generator.integers(-3, 4))
    for _ in range(int(generator.integers(3))):
        kind, number = int(generator.integers(3)), int(generator.integers(2, 6))
        built = (
            built // number
            if kind == 0
            else built % number
            if kind == 1
            else built * number
        )
        built = built + of(axes[int(generator.integers(len(axes)))]) * int(
            generator.integers(-2, 3)
        )
    return built


@pytest.mark.parametrize("seed", range(120))
def test_a_range_where_conditions_hold_contains_every_value(seed: int) -> None:
    generator = np.random.default_rng(seed)
    axes = [Axis(name, int(generator.integers(1, 6))) for name in "abc"]
    index = _random_index(generator, axes)
    conditions = [
        Condition(
            _random_index(generator, axes),
            int(generator.integers(1, 9)),
            int(generator.integers(1, 3)),
        )
        for _ in range(int(generator.integers(1, 4)))
    ]
    low, high = narrowed(index, conditions)
    for point in product(*(range(axis.extent) for axis in axes)):
        values: dict[Any, int] = dict(zip(axes, point, strict=True))
        inside = [bounds.value_of(c.index, values) for c in conditions]
        if all(
            0 <= value < c.size and value % c.step == 0
            for value, c in zip(inside, conditions, strict=True)
        ):
            assert low <= bounds.value_of(index, values) <= high


def test_the_range_of_padding_is_the_source() -> None:
    rows, columns = Axis("i", 9), Axis("j", 7)
    row, column = of(rows) + -2, of(columns) + -1
    flat = (row // 2) * 4 + column // 3
    assert narrowed(flat, [Condition(row, 7, 2), Condition(column, 4, 3)]) == (0, 13)


# ---------------------------------------------------------------- bounds


def _program(
    index: Index,
    axes: tuple[Axis, ...],
    size: int,
    conditions: tuple[Condition, ...] = (),
) -> LoopProgram:
    x, y = Buffer("x", WIDE, size, "input"), Buffer("y", WIDE, 24, "output")
    value: Any = Load(WIDE, x, index)
    value = Guard(WIDE, conditions, value, Number(WIDE, 0.0)) if conditions else value
    flat = ZERO
    for axis in axes:
        flat = flat * axis.extent + of(axis)
    return LoopProgram([Nest("test", axes, (Store(y, flat, value),))], [x], [y], {})


def test_an_index_outside_is_an_error_with_a_name() -> None:
    axes = (Axis("i", 4), Axis("j", 6))
    i, j = map(of, axes)
    bounds.check_bounds(_program(i * 6 + j, axes, 24))
    bounds.check_bounds(_program(i * 6 + j + -1, axes, 24, (Condition(j + -1, 5),)))
    for index, conditions in (
        (i * 6 + j + 1, ()),
        (j * 5 + i * -1, ()),
        (i * 6 + j, (Condition(j + -1, 6),)),
        (i * 6 + j + -2, (Condition(j + -1, 5),)),
    ):
        with pytest.raises(
            GraphError,
            match=r"(?s)loop program, x\[.*expected an index in 0 … 2\d, got .*compiler",
        ):
            bounds.check_bounds(
                _program(index, axes, 24 if not conditions else 23, conditions)
            )


def test_what_cannot_be_shown_gets_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = (Axis("i", 4), Axis("j", 6))
    i, j = map(of, axes)
    monkeypatch.setattr(bounds, "_MAX_POINTS", 3)
    program = _program(i * 6 + j, axes, 23, (Condition((i * 7 + j * 5) % 11 + -3, 8),))
    bounds.check_bounds(program)
    (store,) = program.statements[0].stores
    guards = [expr for expr in subexpressions([store.value]) if isinstance(expr, Guard)]
    assert [str(condition) for condition in guards[0].conditions] == ["0 ≤ 6i + j < 23"]


def test_the_sizes_of_every_routine_are_known() -> None:
    assert set(bounds.SIZES_OF_ROUTINES) == {op.name.lower() for op in ROUTINES}


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pooling_is_shown_by_intervals_alone(
    kind: str, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_MAX_POINTS", 0)
    monkeypatch.setattr(bounds, "_guard", None)  # would be called for what is not shown
    x, outputs = windows.pooling_program(kind, rank, WIDE)
    for first in range(0, len(outputs), 50):
        lower.lower(Program((x,), tuple(outputs[first : first + 50])))


# ---------------------------------------------------------------- order and memory


def _lowered() -> tuple[LoopProgram, MemoryPlan]:
    x = build.input_node("x", (40, 30), WIDE)
    centred = build.subtract(x, build.mean(x, 0, keepdims=True))
    product_ = build.matmul(build.permute(centred, (1, 0)), centred)
    scale = build.sqrt(build.sum_over(build.multiply(product_, product_)))
    result = lower.lower(
        Program((x,), (build.divide(product_, build.add(scale, 1.0)), scale))
    )
    return result.program, result.memory


def test_every_order_of_statements_that_reads_too_early_is_refused() -> None:
    program, memory = _lowered()
    verify.verify_loops(program, memory, {})
    assert len(program.statements) > 3
    for place in range(len(program.statements) - 1):
        changed = list(program.statements)
        changed[place : place + 2] = reversed(changed[place : place + 2])
        written = set(changed[place + 1].writes)
        if written & {load.buffer for load in changed[place].reads}:
            with pytest.raises(
                GraphError,
                match="written before it is read, got one that is never written",
            ):
                verify.verify_loops(replace(program, statements=changed), memory, {})
        left_out = [s for number, s in enumerate(program.statements) if number != place]
        with pytest.raises(
            GraphError, match=r"written before it is read|in memory at the end"
        ):
            verify.verify_loops(replace(program, statements=left_out), memory, {})


def test_memory_that_is_shared_too_early_is_refused() -> None:
    program, memory = _lowered()
    together = {
        buffer: Place(0, place.nbytes, place.first, place.last)
        for buffer, place in memory.places.items()
    }
    with pytest.raises(GraphError, match=r"memory apart from that of|has written over"):
        verify.verify_loops(program, MemoryPlan(together, memory.nbytes), {})


def test_a_buffer_that_is_written_in_part_is_refused() -> None:
    axes = (Axis("i", 4), Axis("j", 6))
    program = _program(of(axes[0]) * 6 + of(axes[1]), axes, 24)
    verify.verify_loops(program, MemoryPlan({}, 0), {})
    (store,) = program.statements[0].stores
    for index in (
        of(axes[0]) * 6,
        of(axes[0]) * 7 + of(axes[1]),
        (of(axes[0]) * 6 + of(axes[1])) // 2,
    ):
        program.statements[0].stores = (replace(store, index=index),)
        with pytest.raises(GraphError, match="written whole"):
            verify.verify_loops(program, MemoryPlan({}, 0), {})


def test_the_environment_asks_for_verification() -> None:
    code = "from deltarule.lower import verify; print(verify.is_enabled())"
    for value, answer in (("1", "True"), ("0", "False"), ("", "False")):
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={"DELTARULE_VERIFY": value, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == answer
    assert verify.is_enabled()  # in tests


def test_one_value_may_be_several_results() -> None:
    x = build.input_node("x", (3,), WIDE)
    program = Program((x,), (build.exp(x), x, build.exp(x), x, build.exp(x)))
    values = np.arange(3.0)
    for got, right in zip(
        NativeBackend().compile(program)(values), program.outputs, strict=True
    ):
        np.testing.assert_allclose(
            got, values if right is x else np.exp(values), rtol=1e-15
        )


# ---------------------------------------------------------------- loops that run zero times

EMPTY: list[Callable[[Node], Node]] = [
    lambda x: build.argsort(x, 0),
    lambda x: build.gather(x, build.argsort(build.sum_over(x, 1), 0), 0),
    lambda x: build.sum_over(x, 0),
    lambda x: build.add(build.sum_over(x, (0, 1)), 1.0),
    lambda x: build.matmul(build.permute(x, (1, 0)), x),
    lambda x: build.add(build.matmul(build.permute(x, (1, 0)), x), 2.0),
    lambda x: build.matmul(x, build.permute(x, (1, 0))),
    lambda x: build.scatter_add(
        build.iota((0,), 0), build.reshape(x, (0, 3)) if 0 in x.shape else x, 0, 4
    ),
    lambda x: build.pad(x, (1, 1), (1, 1), (0, 0)),
    lambda x: build.concatenate([x, build.flip(x, (0,))], 0),
    lambda x: build.exp(x),
]


@pytest.mark.parametrize("number", range(len(EMPTY)))
@pytest.mark.parametrize("threads", [1, 2])
def test_empty_arrays(number: int, threads: int) -> None:
    x = build.input_node("x", (0, 3), WIDE)
    program = Program((x,), (EMPTY[number](x), build.sum_over(EMPTY[number](x))))
    values = np.empty((0, 3))
    for got, right in zip(
        NativeBackend().compile(program, threads)(values),
        ReferenceBackend().compile(program)(values),
        strict=True,
    ):
        np.testing.assert_array_equal(got, right)
        assert got.shape == right.shape


@pytest.mark.parametrize(
    "shape", [(0,), (1, 0), (0, 3), (2, 0), (3, 0, 2), (1,), (1, 1)]
)
def test_sorting_along_empty_axes(shape: tuple[int, ...]) -> None:
    values = np.ones(shape, np.float32)
    for axis in range(-1, len(shape) - 1):
        result = dr.jit(
            lambda x, axis=axis: [dr.sort(x, axis), dr.argsort(x, axis)], device="cpu"
        )(values)
        assert [part.shape for part in result] == [shape, shape]
