"""Graphs side by side: every primitive for several cases at once gives what each case gives by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends import reference
from deltarule.backends.native.backend import NativeBackend
from deltarule.errors import ArgumentError, GraphError
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.op import ELEMENTWISE, Op
from deltarule.graph.program import Program
from deltarule.graph.stacking import same_structure, stack_graphs
from deltarule.graph.vectorize import RULES, WITHOUT_RULE
from deltarule.graph.verify import verify

N = 3
F64 = dtypes.FLOAT64
GEOMETRY = {
    "stride": (2, 1),
    "padding": ((1, 1), (2, 2)),
    "dilation": (1, 2),
    "groups": 2,
}
WINDOWS = {"axes": (1, 2), "window": (3, 2), "stride": (2, 1), "dilation": (1, 1)}
X, W, Y = (2, 7, 6, 4), (6, 3, 2, 2), (2, 4, 8, 6)
MATRIX = (3, 4)


def _definite(a: Node) -> Node:
    eye = build.cast(
        build.equal(build.iota(a.shape, a.rank - 2), build.iota(a.shape, a.rank - 1)),
        a.dtype,
    )
    return build.add(build.matmul(a, build.matrix_transpose(a)), build.multiply(eye, 3))


def _drawn(seed: Node, step: Node) -> Node:
    return build.random_uniform((2, 5), seed, step, 7, F64)


@dataclass(frozen=True)
class Case:
    """One use of a primitive; an operand is a shape of floats, or (shape, k) of whole numbers below k."""

    op: Op
    build: Callable[..., Node]
    operands: tuple[Any, ...]
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.op.name.lower()}{'-' + self.name if self.name else ''}"

    def shapes(self) -> list[tuple[tuple[int, ...], int]]:
        return [o if o and isinstance(o[0], tuple) else (o, 0) for o in self.operands]


ROWS = ((2, 2), 3)
NUMBER = ((), 9)
CASES = [
    Case(Op.RANDOM, _drawn, (NUMBER, NUMBER)),
    Case(Op.SUM, lambda x: build.sum_over(x, (0, 2)), ((2, 3, 4),)),
    Case(Op.MAX, lambda x: build.maximum_over(x, (1,)), ((2, 3, 4),)),
    Case(Op.ARGMAX, lambda x: build.argmax(x, 0), (MATRIX,)),
    Case(Op.RESHAPE, lambda x: build.reshape(x, (2, -1)), (MATRIX,)),
    Case(Op.PERMUTE, lambda x: build.permute(x, (2, 0, 1)), ((2, 3, 4),)),
    Case(Op.BROADCAST, lambda x: build.broadcast_to(x, (2, 3, 4)), ((3, 1),)),
    Case(Op.BROADCAST, lambda x: build.broadcast_to(x, (2, 3)), ((),), name="scalar"),
    Case(Op.SLICE, lambda x: build.slice_axes(x, (1, 0), (6, 4), (2, 3)), ((7, 5),)),
    Case(Op.PAD, lambda x: build.pad(x, (1, 0), (2, 1), (0, 2)), (MATRIX,)),
    Case(Op.FLIP, lambda x: build.flip(x, (1,)), (MATRIX,)),
    Case(
        Op.CONCATENATE, lambda x, y: build.concatenate([x, y, x], 1), (MATRIX, (3, 2))
    ),
    *(
        Case(
            Op.GATHER,
            lambda x, i, axis=axis: build.gather(x, i, axis),
            ((3, 3, 3), ROWS),
            f"axis{axis}",
        )
        for axis in range(3)
    ),
    *(
        Case(
            Op.SCATTER_ADD,
            lambda i, u, at=axis: build.scatter_add(i, u, at, 3),
            (ROWS, (2, 2, 2, 2)),
            f"axis{axis}",
        )
        for axis in range(3)
    ),
    Case(Op.CUMULATIVE_SUM, lambda x: build.cumulative_sum(x, 1), (MATRIX,)),
    Case(Op.ARGSORT, lambda x: build.argsort(x, 1), (MATRIX,)),
    Case(Op.MATMUL, build.matmul, ((2, 3, 4), (2, 4, 5))),
    Case(Op.CONVOLVE, lambda x, w: build.convolve(x, w, **GEOMETRY), (X, W)),
    Case(
        Op.CONVOLVE_TRANSPOSED,
        lambda y, w: build.convolve_transposed(y, w, **GEOMETRY, input_shape=X),
        (Y, W),
    ),
    Case(
        Op.CONVOLVE_WEIGHT,
        lambda x, y: build.convolve_weight(x, y, **GEOMETRY, weight_shape=W),
        (X, Y),
    ),
    Case(Op.WINDOWS, lambda x: build.windows(x, **WINDOWS), ((2, 7, 5),)),
    Case(
        Op.FOLD, lambda y: build.fold(y, **WINDOWS, shape=(2, 7, 5)), ((2, 3, 4, 3, 2),)
    ),
    Case(Op.SOLVE, lambda a, b: build.solve(_definite(a), b), ((2, 3, 3), (2, 3, 2))),
    Case(
        Op.LOG_DETERMINANT, lambda a: build.log_determinant(_definite(a)), ((2, 3, 3),)
    ),
    Case(Op.CHOLESKY, lambda a: build.cholesky(_definite(a)), ((2, 3, 3),)),
    Case(
        Op.WHERE, lambda x, y: build.where(build.less(x, 0.0), x, y), (MATRIX, MATRIX)
    ),
    Case(Op.CALL, lambda x: f.softmax(x, axis=-1), (MATRIX,)),
]
VARYING = [
    (case, varies)
    for case in CASES
    for varies in product((True, False), repeat=len(case.operands))
    if any(varies)
]


def _arrays(case: Case, varies: tuple[bool, ...]) -> list[Any]:
    """Return the values of each operand: (N, *shape) where it varies, else one value for all."""
    generator = np.random.default_rng(5)
    found = []
    for (shape, below), one in zip(case.shapes(), varies, strict=True):
        full = (N, *shape) if one else shape
        found.append(
            generator.integers(0, below, full) if below else generator.normal(size=full)
        )
    return found


def _leaves(case: Case) -> list[Node]:
    return [
        build.input_node(f"x{i}", shape, dtypes.INT64 if below else F64)
        for i, (shape, below) in enumerate(case.shapes())
    ]


@pytest.mark.parametrize(
    ("case", "varies"),
    VARYING,
    ids=[f"{c.id}-{''.join('sv'[v] for v in w)}" for c, w in VARYING],
)
def test_every_primitive_for_several_cases(
    case: Case, varies: tuple[bool, ...]
) -> None:
    arrays, leaves = _arrays(case, varies), _leaves(case)
    output = case.build(*leaves)
    expected = []
    for i in range(N):
        own = {
            leaf: a[i] if one else a
            for leaf, a, one in zip(leaves, arrays, varies, strict=True)
        }
        expected.append(reference.evaluate([output], own)[0])
    joint = [
        build.input_node("all", a.shape, leaf.dtype)
        for leaf, a in zip(leaves, arrays, strict=True)
    ]
    known = {
        (leaf,): node
        for leaf, node, one in zip(leaves, joint, varies, strict=True)
        if one
    }
    stacked = stack_graphs([[output]], known, N).outputs
    verify(stacked)
    shared = {
        leaf: a for leaf, a, v in zip(leaves, arrays, varies, strict=True) if not v
    }
    values = {**shared, **dict(zip(joint, arrays, strict=True))}
    (found,) = reference.evaluate(stacked, values)
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-12, atol=1e-12)
    program = Program(tuple(values), tuple(stacked))
    (compiled,) = NativeBackend().compile(program)(
        *(np.asarray(v) for v in values.values())
    )
    np.testing.assert_allclose(compiled, found, rtol=1e-11, atol=1e-11)


def test_every_primitive_has_a_rule() -> None:
    assert set(RULES) == set(Op) - WITHOUT_RULE
    assert {case.op for case in CASES} >= set(RULES) - ELEMENTWISE


def test_random_numbers_of_many_are_those_of_each_to_the_bit() -> None:
    seed, step = (
        build.input_node(name, (N,), dtypes.INT64) for name in ("seed", "step")
    )
    drawn = build.random_uniform((N, 4, 33), seed, step, 2)
    keys = np.array([3, 900, -5]), np.array([0, 17, 2**33])
    (found,) = NativeBackend().compile(Program((seed, step), (drawn,)))(*keys)
    for i in range(N):
        own = build.random_uniform(
            (4, 33), build.constant(int(keys[0][i])), build.constant(int(keys[1][i])), 2
        )
        assert (found[i] == reference.evaluate([own], {})[0]).all()
    with pytest.raises(ArgumentError, match="leading axes"):
        build.random_uniform((4, 33), seed, step, 2)


def test_constants_that_differ_become_a_vector_and_equal_ones_stay() -> None:
    leaves = [build.input_node("w", (2,)) for _ in range(2)]
    graphs = [
        [build.multiply(build.add(w, 1.0), rate)]
        for w, rate in zip(leaves, (0.5, 0.25), strict=True)
    ]
    joint = build.input_node("w", (2, 2))
    stacked = stack_graphs(graphs, {tuple(leaves): joint}, 2)
    (vector,) = stacked.constants
    assert stacked.constants[vector] == (0.5, 0.25)
    assert not stacked.leaves
    values = {joint: np.float32([[1, 2], [3, 4]]), vector: np.float32([0.5, 0.25])}
    assert reference.evaluate(stacked.outputs, values)[0].tolist() == [
        [1.0, 1.5],
        [1.0, 1.25],
    ]


def test_leaves_that_differ_are_named_and_shared_ones_are_computed_once() -> None:
    x, own = (
        build.input_node("x", (2,)),
        [build.input_node("b", (2,)) for _ in range(2)],
    )
    stacked = stack_graphs([[build.add(build.exp(x), b)] for b in own], {}, 2)
    (leaf,) = stacked.leaves
    assert stacked.leaves[leaf] == tuple(own)
    exponentials = [n for n in reference.topological(stacked.outputs) if n.op is Op.EXP]
    assert [n.shape for n in exponentials] == [(2,)]


def test_graphs_of_other_forms_are_told_apart() -> None:
    x = build.input_node("x", (2,))
    assert not same_structure([build.exp(x)], [build.sin(x)])
    assert not same_structure([build.sum_over(x)], [build.multiply(x, 2.0)])
    assert not same_structure([build.reshape(x, (1, 2))], [build.reshape(x, (2, 1))])
    assert same_structure([f.sigmoid(x)], [f.sigmoid(build.input_node("y", (2,)))])
    with pytest.raises(GraphError, match="equal structure"):
        stack_graphs([[build.exp(x)], [build.sin(x)]], {}, 2)
