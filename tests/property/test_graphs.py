"""Random graphs: evaluation, gradients, simplification and unknown sizes agree with oracles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule import dtypes, shapes
from deltarule.backends import reference
from deltarule.errors import ShapeError
from deltarule.grad.check import directional_errors
from deltarule.grad.forward import pushforward
from deltarule.grad.reverse import gradients
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.indexing import index
from deltarule.graph.node import Node
from deltarule.graph.show import to_text
from deltarule.graph.verify import verify
from deltarule.simplify import simplify

F64 = dtypes.FLOAT64
SMOOTH_UNARY: list[Callable[[Node], Node]] = [
    build.tanh,
    build.sin,
    build.cos,
    f.sigmoid,
    f.softplus,
    f.silu,
    build.negate,
    build.erf,
    lambda x: build.multiply(x, x),
    lambda x: build.log1p(build.multiply(x, x)),
    lambda x: build.exp(build.tanh(x)),
    lambda x: build.sqrt(build.add(build.multiply(x, x), 1)),
    lambda x: build.power(build.add(build.multiply(x, x), 1), 1.5),
    lambda x: build.reshape(build.reshape(x, (-1,)), x.shape),
    lambda x: algebra.swap_axes(x, 0, 1),
    lambda x: build.add(x, build.sum_over(x, 0, keepdims=True)),
    lambda x: build.subtract(x, build.mean(x, 1, keepdims=True)),
    lambda x: build.flip(x, (0,)),
    lambda x: f.softmax(x, axis=1),
    lambda x: f.normalize(x, axes=(1,), epsilon=0.1),
    lambda x: build.gather(x, build.iota((x.shape[0],), 0), 0),
    lambda x: build.pad(x, (1, 0), (0, 0)),
    lambda x: build.multiply(x, 0.0),
    lambda x: build.add(x, 0),
    lambda x: build.stop_gradient(build.tanh(x)),
    lambda x: build.fold(
        build.windows(x, (0,), (1,), (1,), (1,)), (0,), (1,), (1,), (1,), x.shape
    ),
]
BINARY: list[Callable[[Node, Node], Node]] = [
    build.add,
    build.subtract,
    build.multiply,
    lambda x, y: build.divide(x, build.add(build.multiply(y, y), 1)),
    lambda x, y: f.squared_error(x, y),
]


def _fits(x: Node, y: Node) -> bool:
    try:
        shapes.broadcast(x.shape, y.shape)
    except ShapeError:
        return False
    return True


@st.composite
def random_graphs(draw: Any) -> tuple[list[Node], Node]:
    """Draw a scalar output over two float64 matrices."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    inputs = [
        build.input_node("x", (rows, columns), F64),
        build.input_node("y", (columns, rows), F64),
    ]
    known = list(inputs)
    for _ in range(draw(st.integers(1, 7))):
        x = draw(st.sampled_from(known))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            known.append(draw(st.sampled_from(SMOOTH_UNARY))(x))
        elif kind == 1:
            partners = [y for y in known if _fits(x, y)]
            known.append(
                draw(st.sampled_from(BINARY))(x, draw(st.sampled_from(partners)))
            )
        else:
            partners = [y for y in known if y.shape[0] == x.shape[1]]
            known.append(
                build.matmul(x, draw(st.sampled_from(partners)))
                if partners
                else build.tanh(x)
            )
    total = build.constant(0.0, F64)
    for node in known[2:]:
        total = build.add(total, build.mean(node))
    return inputs, build.tanh(total)


def _values(inputs: list[Node], seed: int = 0) -> dict[Node, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return {node: generator.uniform(-1, 1, node.shape) for node in inputs}


@given(random_graphs(), st.integers(0, 5))
def test_gradients_agree_with_differences(
    graph: tuple[list[Node], Node], seed: int
) -> None:
    inputs, output = graph
    generator = np.random.default_rng(seed)
    stopped = any(
        n.op.name == "STOP_GRADIENT"
        for n in reference.topological(reference.expand_calls([output]))
    )
    verify([output])
    if not stopped:  # a stopped gradient and a difference quotient differ on purpose
        errors = directional_errors(
            output,
            inputs,
            _values(inputs, seed),
            reference.evaluate,
            lambda n: generator.normal(size=n.shape),
        )
        worst = max(errors, key=lambda e: e.error)
        assert worst.error < 1e-6, f"{worst}\n{to_text([output])}"


@given(random_graphs())
def test_simplification_keeps_values_shapes_and_legality(
    graph: tuple[list[Node], Node],
) -> None:
    inputs, output = graph
    plain = [output, *gradients(output, inputs)]
    smaller = simplify(plain)
    verify(smaller)
    assert [n.shape for n in smaller] == [n.shape for n in plain]
    assert len(reference.topological(smaller)) <= len(reference.topological(plain))
    values = _values(inputs)
    for a, b in zip(
        reference.evaluate(plain, values),
        reference.evaluate(smaller, values),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert simplify(smaller) == smaller  # a second pass finds nothing


@given(random_graphs())
def test_forward_mode_is_the_transpose_of_reverse_mode(
    graph: tuple[list[Node], Node],
) -> None:
    inputs, output = graph
    values = _values(inputs)
    tangents = [build.input_node("v", n.shape, F64) for n in inputs]
    slopes = gradients(output, inputs)
    forward = pushforward([output], inputs, tangents)[0]
    inner = build.add(
        *(
            build.sum_over(build.multiply(g, v))
            for g, v in zip(slopes, tangents, strict=True)
        )
    )
    given_values = {**values, **_values(tangents, 7)}
    a, b = reference.evaluate([forward, inner], given_values)
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@given(
    st.lists(st.sampled_from([1, 2, 3]), max_size=4),
    st.lists(st.sampled_from([1, 2, 3]), max_size=4),
)
def test_broadcasting_is_numpys(a: list[int], b: list[int]) -> None:
    try:
        expected = np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        with pytest.raises(ShapeError):
            shapes.broadcast(tuple(a), tuple(b))
        return
    assert shapes.broadcast(tuple(a), tuple(b)) == expected


KEYS = st.one_of(
    st.integers(-3, 2),
    st.slices(3),
    st.none(),
    st.just(Ellipsis),
)


@given(
    st.lists(KEYS, max_size=4).filter(
        lambda keys: (
            sum(k is Ellipsis for k in keys) <= 1
            and sum(k is not None and k is not Ellipsis for k in keys) <= 3
        )
    )
)
def test_indexing_is_numpys(keys: list[Any]) -> None:
    array = np.arange(27.0).reshape(3, 3, 3)
    x = build.input_node("x", array.shape, F64)
    node = index(x, tuple(keys))
    expected = array[tuple(keys)]
    assert node.shape == expected.shape
    np.testing.assert_array_equal(reference.evaluate([node], {x: array})[0], expected)
