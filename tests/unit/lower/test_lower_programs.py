"""Lowering: loops as golden text, how much is fused, memory plans that never overlap in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltarule import dtypes
from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.program import Program
from deltarule.lower.index import Axis, Index, flatten, of, unflatten
from deltarule.lower.loops import Contraction, Nest, accessed_buffers
from deltarule.lower.lower import Lowered, lower, lower_step
from deltarule.lower.memory_layout import Panels, RowMajor, panels
from deltarule.lower.show import show_program
from support import graphs

WIDE = dtypes.FLOAT64

# ---------------------------------------------------------------- index arithmetic


def _evaluate(index: Index, values: dict[Axis, int]) -> int:
    """Return the value at one point; dividends are never negative, as what divides unsigned needs it."""
    total = index.constant
    for atom, coefficient in index.terms:
        if isinstance(atom, Axis):
            total += coefficient * values[atom]
        else:
            inner = _evaluate(atom.dividend, values)
            assert inner >= 0
            assert atom.dividend.bounds[0] >= 0
            divided = (
                inner // atom.divisor
                if type(atom).__name__ == "Quotient"
                else inner % atom.divisor
            )
            total += coefficient * divided
    return total


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1))
def test_simplified_indices_have_the_same_values(seed: int) -> None:
    generator = np.random.default_rng(seed)
    axes = [Axis(name, int(generator.integers(1, 7))) for name in "abc"]
    built = of(axes[0])
    steps = []
    for _ in range(8):
        kind, number = (
            str(generator.choice(["add", "scale", "divide", "rest", "shift"])),
            int(generator.integers(1, 7)),
        )
        axis = axes[int(generator.integers(3))]
        if kind in {"add", "scale", "shift"} and generator.integers(2):
            number = -number
        steps.append((kind, number, axis))
        if kind == "add":
            built = built + of(axis) * number
        elif kind == "scale":
            built = built * number
        elif kind == "divide":
            built = built // number
        else:
            built = built % number if kind == "rest" else built + number
    for point in np.ndindex(*(axis.extent for axis in axes)):
        values = dict(zip(axes, point, strict=True))
        plain = values[axes[0]]
        for kind, number, axis in steps:
            plain = {
                "add": plain + values[axis] * number,
                "scale": plain * number,
                "divide": plain // number,
                "rest": plain % number,
                "shift": plain + number,
            }[kind]
        assert _evaluate(built, values) == plain
        low, high = built.bounds
        assert low <= plain <= high


def test_reshapes_back_and_forth_cancel() -> None:
    axes = [Axis("i", 6), Axis("j", 4), Axis("k", 10)]
    indices = tuple(of(axis) for axis in axes)
    flat = flatten(indices, (6, 4, 10))
    for shape in ((24, 10), (2, 3, 4, 5, 2), (240,), (8, 30), (5, 48)):
        assert flatten(unflatten(flat, shape), shape) == flat
    assert unflatten(flat, (6, 4, 10)) == indices


def test_panels_are_a_permutation_of_the_elements() -> None:
    for layout in (
        panels((32, 5), 0),
        panels((7, 48), 1),
        panels((16, 3, 3, 4), 0),
        panels((10, 4), 0),
    ):
        assert isinstance(layout, Panels)
        axes, indices = layout.walk("i")
        positions = []
        plain = []
        for point in np.ndindex(*(axis.extent for axis in axes)):
            values = dict(zip(axes, point, strict=True))
            positions.append(_evaluate(layout.flat(indices), values))
            plain.append(_evaluate(RowMajor(layout.shape).flat(indices), values))
        assert positions == list(range(len(positions)))  # the walk follows memory
        assert sorted(plain) == positions


# ---------------------------------------------------------------- programs


def test_a_dense_step_as_loops(golden: Callable[[str, str], None]) -> None:
    golden("loops_dense_step", show_program(lower_step(graphs.network()).program))


def test_a_convolutional_step_as_loops(golden: Callable[[str, str], None]) -> None:
    golden(
        "loops_convolutional_step",
        show_program(lower_step(graphs.convolutional()).program),
    )


def test_a_memory_plan_as_text(golden: Callable[[str, str], None]) -> None:
    golden("memory_dense_step", str(lower_step(graphs.network()).memory))


def test_softmax_is_few_statements() -> None:
    x = build.input_node("x", (64, 10), dtypes.FLOAT32)
    statements = lower(Program((x,), (f.softmax(x, axis=1),))).program.statements
    assert len(statements) <= 4
    assert all(isinstance(statement, Nest) for statement in statements)


def test_elementwise_chains_are_one_statement_of_one_loop() -> None:
    x, y = (build.input_node(name, (8, 5, 6), dtypes.FLOAT32) for name in "xy")
    node = build.tanh(build.add(build.multiply(x, 2.0), build.exp(y)))
    node = build.where(build.less(node, 0.5), node, build.negate(node))
    (statement,) = lower(
        Program((x, y), (node, build.sqrt(build.absolute(node))))
    ).program.statements
    assert [axis.extent for axis in statement.axes] == [240]
    assert len(statement.stores) == 2


def test_bias_activation_mask_and_update_run_inside_contractions() -> None:
    lowered = lower_step(graphs.network((20, 32, 16), optimiser="adam"))
    products = [s for s in lowered.program.statements if isinstance(s, Contraction)]
    assert len(products) == 5  # two forward, one back, two weight gradients
    updates = [s for s in products if len(s.stores) == 3]
    assert len(updates) == 2  # weight and both moments with each weight gradient
    assert len(lowered.program.statements) <= 16


def test_weights_lie_in_panels_with_their_moments() -> None:
    lowered = lower_step(graphs.network((20, 32, 10), optimiser="adam"))
    by_name = {buffer.name: layout for buffer, layout in lowered.layouts.items()}
    assert (
        by_name["W0"] == Panels((32, 20), 0, 16) == by_name["m_W0"] == by_name["v_W0"]
    )
    assert by_name["W1"] == Panels((10, 32), 0, 10)


def test_movement_costs_no_statement() -> None:
    x = build.input_node("x", (4, 6), dtypes.FLOAT32)
    moved = build.flip(build.permute(build.reshape(x, (2, 2, 6)), (2, 0, 1)), (0,))
    summed = build.sum_over(
        build.multiply(build.broadcast_to(moved, (3, 6, 2, 2)), 2.0), 3
    )
    assert len(lower(Program((x,), (summed,))).program.statements) == 1


def _check_memory(lowered: Lowered) -> None:
    """No statement writes what a later one still reads from another buffer."""
    places = lowered.memory.places
    statements = lowered.program.statements
    lives: dict[Any, list[int]] = {}
    for number, statement in enumerate(statements):
        for buffer in accessed_buffers(statement):
            lives.setdefault(buffer, []).append(number)
    for buffer in lowered.outputs:
        lives.setdefault(buffer, []).append(len(statements))
    for buffer in lowered.inputs:
        lives[buffer] = [-1, len(statements)]
    inside = [buffer for buffer in lives if buffer in places]
    for i, one in enumerate(inside):
        assert places[one].nbytes >= one.nbytes
        assert places[one].offset % 64 == 0
        assert places[one].offset + places[one].nbytes <= lowered.memory.nbytes
        for other in inside[i + 1 :]:
            together = max(min(lives[one]), min(lives[other])) <= min(
                max(lives[one]), max(lives[other])
            )
            shared_on_purpose = places[one] is places[other]
            if together and not shared_on_purpose:
                assert not places[one].overlaps(places[other]), (one, other)


@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "adam"])
def test_memory_plans_never_overlap_in_time(optimiser: str) -> None:
    _check_memory(lower_step(graphs.network(optimiser=optimiser, dropout=0.2)))
    _check_memory(lower_step(graphs.convolutional(optimiser=optimiser)))


def test_state_is_updated_in_place() -> None:
    lowered = lower_step(graphs.network(optimiser="adam"))
    states = {
        place.offset
        for buffer, place in lowered.memory.places.items()
        if buffer.role == "state"
    }
    copies = [s for s in lowered.program.statements if s.label == "copy"]
    assert not copies
    assert len(states) == 12


def test_memory_is_reused() -> None:
    x = build.input_node("x", (1000,), dtypes.FLOAT32)
    node = x
    for _ in range(10):
        node = build.exp(build.subtract(node, build.maximum_over(node, keepdims=True)))
        node = build.divide(node, build.sum_over(node, keepdims=True))
    lowered = lower(Program((x,), (node,)))
    total = sum(b.nbytes for b in lowered.program.buffers if b.role == "temporary")
    assert total > 30_000
    assert lowered.memory.nbytes <= 9_000


def test_unknown_inputs_and_sizes_are_refused() -> None:
    x, y = (build.input_node(name, (3,), dtypes.FLOAT32) for name in "xy")
    with pytest.raises(GraphError, match="every input"):
        lower(Program((x,), (build.add(x, y),)))


def test_factors_that_a_sum_does_not_run_over_leave_it() -> None:
    x, g = build.input_node("x", (9, 5)), build.input_node("g", (5,))
    scaled = build.multiply(build.multiply(g, x), build.multiply(x, 3.0))
    program = lower(
        Program((x, g), (build.sum_over(scaled, 0), build.sum_over(scaled, 1)))
    ).program
    text = show_program(program)
    assert "over k in 0..9 of (x[i + 5k] * x[i + 5k])" in text
    assert "= ((result0 * g[i]) * 3.0)" in text
    assert "over k in 0..5 of ((g[k] * x[5i + k]) * x[5i + k])" in text


def test_products_of_which_only_another_type_is_kept_are_contractions() -> None:
    x, w, t = (
        build.input_node("x", (64, 32)),
        build.input_node("w", (32, 48)),
        build.input_node("t", (64, 48), WIDE),
    )
    products = build.matmul(x, w)
    for output in (
        build.add(t, build.cast(products, WIDE)),
        build.less(0.0, products),
        build.cast(products, WIDE),
    ):
        (statement,) = lower(Program((x, w, t), (output,))).program.statements
        assert isinstance(statement, Contraction)
        assert {store.buffer.dtype for store in statement.stores} == {
            dtypes.FLOAT32,
            output.dtype,
        }
