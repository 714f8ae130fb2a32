"""States of a step that lie in panels: swapped, sorted, handed out, solved for, replaced by values in rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.reference import ReferenceBackend
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram
from deltarule.lower.lower import lower_step
from deltarule.lower.memory_layout import Panels

F64 = dtypes.FLOAT64
Following = Callable[
    [Node, Node, Node], tuple[Node, Node]
]  # (W, V, x·Wᵀ·V) to the next W and V


def _sorted(w: Node) -> Node:
    return build.multiply(build.cast(build.argsort(w, 0), F64), 0.01)


def _solved(w: Node) -> Node:
    square = build.add(
        build.matmul(build.matrix_transpose(w), w),
        build.full((w.shape[1],) * 2, 0.5, F64),
    )
    ridge = build.add(
        square,
        build.cast(
            build.equal(build.iota(square.shape, 0), build.iota(square.shape, 1)), F64
        ),
    )
    return build.matrix_transpose(build.solve(ridge, build.matrix_transpose(w)))


CASES: dict[str, Following] = {
    "swapped": lambda w, v, h: (v, w),
    "one kept": lambda w, v, h: (w, build.add(w, v)),
    "both the same": lambda w, v, h: (build.multiply(build.add(w, v), 0.5),) * 2,
    "crossed": lambda w, v, h: (build.multiply(v, 0.5), build.tanh(w)),
    "sorted": lambda w, v, h: (build.add(w, _sorted(v)), build.subtract(v, _sorted(w))),
    "the order itself": lambda w, v, h: (
        _sorted(w),
        build.multiply(v, build.multiply(_sorted(w), 3.0)),
    ),
    "solved": lambda w, v, h: (
        _solved(w),
        build.add(v, build.multiply(_solved(v), 0.1)),
    ),
    "upside down": lambda w, v, h: (
        build.flip(w, (0, 1)),
        build.tanh(build.add(build.flip(v, (0,)), w)),
    ),
    "constant": lambda w, v, h: (build.full(w.shape, 0.25, F64), build.add(v, w)),
    "of the product": lambda w, v, h: (
        build.add(
            w, build.multiply(build.broadcast_to(build.sum_over(h, 0), w.shape), 0.01)
        ),
        build.tanh(v),
    ),
    "drawn": lambda w, v, h: (
        build.add(w, build.multiply(build.reshape(v, w.shape), 0.1)),
        build.multiply(w, 2.0),
    ),
}


def _program(following: Following, shape: tuple[int, int], shown: bool) -> StepProgram:
    w, v = (build.input_node(name, shape, F64) for name in "WV")
    x = build.input_node("x", (4, shape[1]), F64)
    step, seed = (build.input_node(name, (), dtypes.INT64) for name in ("step", "seed"))
    hidden = build.matmul(x, build.matrix_transpose(w))
    product = build.matmul(hidden, v)
    new = following(w, v, product)
    metrics = (build.sum_over(product), *((w, new[0], new[1]) if shown else ()))
    return StepProgram((w, v), (x,), step, seed, (), new, metrics)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(32, 16), (33, 17), (48, 32), (16, 7)])
def test_steps_agree_with_the_reference(name: str, shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(2)
    state = [generator.normal(size=shape) * 0.3 for _ in range(2)]
    data, order = (
        [generator.normal(size=(24, shape[1]))],
        generator.permutation(24)[:12],
    )
    for shown in (False, True):
        program = _program(CASES[name], shape, shown)
        results = []
        for runner in (
            NativeBackend().compile_step(program, 1 + shown),
            ReferenceBackend().compile_step(program),
        ):
            runner.load(state)
            metrics = runner.run(data, order, 0, 3)
            results.append([metrics, *runner.read()])
        for got, right in zip(*results, strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-8, atol=1e-10)


def test_the_weights_do_lie_in_panels() -> None:
    lowered = lower_step(_program(CASES["swapped"], (32, 16), shown=True))
    assert any(isinstance(layout, Panels) for layout in lowered.layouts.values())
