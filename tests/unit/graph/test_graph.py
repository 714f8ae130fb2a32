"""Nodes, constructors, walks, rewrites, printing, the verifier."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends import reference
from deltarule.errors import DTypeError, GraphError, ShapeError
from deltarule.graph import build, rewrite, show, walk
from deltarule.graph import functions as f
from deltarule.graph.node import intern
from deltarule.graph.op import Op
from deltarule.graph.verify import verify
from deltarule.shapes import Dimension


def test_equal_expressions_are_one_node() -> None:
    x = build.input_node("x", (3,))
    assert build.add(x, 1) is build.add(x, 1)
    assert build.add(x, 1) is not build.add(x, 2)
    assert build.input_node("x", (3,)) is not build.input_node("x", (3,))


def test_constants_of_different_types_or_signs_are_different_nodes() -> None:
    assert build.constant(1) is not build.constant(1.0)
    assert build.constant(0.0) is not build.constant(-0.0)
    assert build.constant(True) is not build.constant(1)


def test_nodes_are_immutable_and_freed() -> None:
    x = build.input_node("x", (3,))
    with pytest.raises(AttributeError):
        x.shape = (4,)
    node = build.exp(x)
    identity = id(node)
    del node
    gc.collect()
    assert build.exp(x).op is Op.EXP
    assert identity


def test_operands_are_cast_and_broadcast() -> None:
    x = build.input_node("x", (3, 1), dtypes.INT64)
    y = build.input_node("y", (4,), dtypes.FLOAT64)
    total = build.add(x, y)
    assert (total.shape, total.dtype) == ((3, 4), dtypes.FLOAT64)
    assert {s.shape for s in total.sources} == {(3, 4)}
    assert {s.dtype for s in total.sources} == {dtypes.FLOAT64}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda x, y: build.add(x, y),
            r"add: expected shapes that broadcast.*x \(2, 3\) and y \(4\)",
        ),
        (
            lambda x, y: build.matmul(x, y),
            r"matmul of x \(2, 3\) and y \(4\): expected inner sizes to agree \(3 ≠ 4\)",
        ),
        (
            lambda x, y: build.reshape(x, (4, 2)),
            r"reshape of x \(2, 3\): expected a shape of 6 elements",
        ),
        (
            lambda x, y: build.sum_over(x, 2),
            r"sum: expected an axis in \[-2, 2\), got 2",
        ),
        (
            lambda x, y: build.concatenate([x, y], 0),
            r"concatenate: expected equal sizes except on axis 0",
        ),
        (lambda x, y: build.solve(x, x), r"solve: expected a square matrix"),
        (lambda x, y: build.broadcast_to(x, (3, 3)), r"broadcast of x \(2, 3\)"),
    ],
)
def test_shape_errors_name_the_tensors(make: object, message: str) -> None:
    x, y = build.input_node("x", (2, 3)), build.input_node("y", (4,))
    assert callable(make)
    with pytest.raises(ShapeError, match=message):
        make(x, y)


def test_type_errors() -> None:
    with pytest.raises(DTypeError):
        build.gather(build.input_node("x", (3,)), build.input_node("i", (2,)))
    with pytest.raises(DTypeError):
        build.constant("a")  # type: ignore[arg-type]  # wrong on purpose


def test_unknown_sizes_flow_through_a_network() -> None:
    n = Dimension("N")
    x = build.input_node("x", (n, 4, 4, 2))
    flat = build.reshape(x, (n, -1))
    assert flat.shape == (n, 32)
    loss = build.mean(build.multiply(flat, flat))
    verify([loss])
    with pytest.raises(GraphError, match="value of x"):
        reference.evaluate([loss], {})
    assert (
        reference.evaluate([loss], {x: np.full((5, 4, 4, 2), 3.0, np.float32)})[0] == 9
    )
    fixed = build.input_node("x", (5, 4, 4, 2))
    (static,) = rewrite.specialise([loss], {n: 5}, {x: fixed})
    assert (
        reference.evaluate([static], {fixed: np.full((5, 4, 4, 2), 2.0, np.float32)})[0]
        == 4
    )
    with pytest.raises(ShapeError):
        build.add(x, build.input_node("y", (Dimension("M"), 4, 4, 2)))


def test_a_deep_graph_needs_no_deep_stack() -> None:
    x = build.input_node("x", ())
    node = x
    for _ in range(20_000):
        node = build.add(node, 1.0)
    assert len(walk.topological([node])) > 20_000
    assert reference.evaluate([node], {x: np.float32(1)})[0] == 20_001


def test_text_and_graphviz() -> None:
    x = build.input_node("x", (2, 3))
    text = show.to_text([build.sum_over(f.relu(x), 1)])
    assert (
        text
        == "%0 = x  : (2, 3) float32\n%1 = relu(%0)  : (2, 3) float32\n%2 = sum(%1) [axes=(1,)]  : (2) float32"
    )
    dot = show.to_dot([f.relu(x)])
    assert dot.startswith("digraph {") and "n0 -> n1" in dot


def test_the_verifier_refuses_illegal_graphs() -> None:
    x, y = build.input_node("x", (2, 3)), build.input_node("y", (3,))
    with pytest.raises(GraphError, match="differ in shape"):
        verify([intern(Op.ADD, (x, y), {}, (2, 3), dtypes.FLOAT32)])
    with pytest.raises(GraphError, match="follows"):
        verify([intern(Op.SUM, (x,), {"axes": (0,)}, (2,), dtypes.FLOAT32)])
    with pytest.raises(GraphError, match="element type"):
        verify([intern(Op.EXP, (x,), {}, (2, 3), dtypes.FLOAT64)])
    with pytest.raises(GraphError, match="unknown function"):
        verify(
            [
                intern(
                    Op.CALL, (x,), {"function": "no such thing"}, (2, 3), dtypes.FLOAT32
                )
            ]
        )


def test_substitute_and_expand() -> None:
    x, y = build.input_node("x", (2,)), build.input_node("y", (2,))
    node = f.sigmoid(build.add(x, 1))
    (other,) = rewrite.substitute([node], {x: y})
    assert walk.inputs([other]) == [y]
    (plain,) = rewrite.expand_calls([node])
    assert all(n.op is not Op.CALL for n in walk.topological([plain]))
    assert walk.users(walk.topological([node]))[x] == [build.add(x, 1)]
