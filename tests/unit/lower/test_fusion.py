"""Fusion: groups run after all that they depend on, whatever is merged, and constants are read nowhere too early."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.lower.fuse import Fusion, Group

Arrays = list[np.ndarray[Any, Any]]


def _both(function: Callable[..., Any], *arrays: Any) -> tuple[Arrays, Arrays]:
    """Return the results of a function compiled to machine code and by the reference engine."""
    first, second = (
        [np.asarray(part.tolist()) for part in dr.jit(function, device=device)(*arrays)]
        for device in ("cpu", "reference")
    )
    return first, second


def _with_constants(x: Any, w: Any) -> list[Any]:
    loss = dr.exp(x).sum() + x.sum() * 2 + w * 2
    return [dr.exp(x) * 1, loss, *dr.grad(loss, [x, w])]


CONSTANT_RESULTS: list[Callable[..., list[Any]]] = [
    _with_constants,
    lambda x, w: [x.sum(), x.sum() + dr.full((), 0.25), dr.full((), 0.25)],
    lambda x, w: [x * x, x * x + dr.arange(6), dr.arange(6)],
    lambda x, w: [dr.full((6,), 3.0) * x.sum(), dr.full((6,), 3.0)],
    lambda x, w: [dr.full((2, 3), 3.0) @ x[:3], dr.full((2, 3), 3.0)],
    lambda x, w: [dr.arange(6)[::-1] + w, dr.arange(6), dr.arange(6).sum()],
    lambda x, w: [x[dr.arange(6)], dr.arange(6), x.sum() * dr.arange(6)],
    lambda x, w: [
        *dr.grad((x * 3).sum() + w, [x, w]),
        dr.grad((x * 3).sum(), [x])[0] * x,
    ],
]


@pytest.mark.parametrize("number", range(len(CONSTANT_RESULTS)))
def test_constants_that_are_results_are_never_read_before_they_are_written(
    number: int,
) -> None:
    x = np.linspace(-1, 2, 6)
    for got, right in zip(
        *_both(CONSTANT_RESULTS[number], x, np.float64(0.5)), strict=True
    ):
        np.testing.assert_allclose(got, right, rtol=1e-12)


def _moments(
    first: str, second: str, axes: tuple[int, ...], keep: bool
) -> Callable[..., list[Any]]:
    """Return a function with small statistics of one vector, used side by side, and its gradient."""

    def function(b: Any, u: Any, w: Any) -> list[Any]:
        wide = b.reshape((b.shape[0], 1))
        y = dr.sqrt(getattr(wide, first)(-1) + 0.01).sum((0,), True)
        m = getattr(b.reshape((1, b.shape[0])), second)(axes, keep).sum()
        return [y, m, *dr.grad((y * u).sum() + m * w + (b * b).sum(), [b])]

    return function


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_statistics_of_one_vector_used_side_by_side_compile(size: int) -> None:
    b = np.linspace(0.5, 2, size)
    for first, second in itertools.product(("var", "sum", "mean", "max"), repeat=2):
        for axes, keep in (((0, 1), False), ((1,), True), ((0,), True)):
            function = _moments(first, second, axes, keep)
            for got, right in zip(
                *_both(function, b, np.ones(1), np.float64(3)), strict=True
            ):
                np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-12)


def _small_graph(seed: int) -> list[Node]:
    """Return results of a random graph over vectors of 1 and 3 elements, in which much can be merged."""
    generator = np.random.default_rng(seed)
    known = [
        build.input_node("x", (3,)),
        build.input_node("y", (1,)),
        build.input_node("z", ()),
    ]
    makers: list[Callable[[Node, Node], Node]] = [
        lambda a, b: build.add(a, b),
        lambda a, b: build.multiply(a, build.exp(b)),
        lambda a, b: build.broadcast_to(build.sum_over(a), b.shape),
        lambda a, b: build.reshape(
            build.sum_over(build.tanh(b), keepdims=True), (1,) * b.rank
        ),
        lambda a, b: build.flip(a, tuple(range(a.rank))),
    ]
    while len(known) < 24:
        a, b = (known[int(place)] for place in generator.integers(len(known), size=2))
        if len(set(a.shape) | set(b.shape)) <= 2:
            known.append(makers[int(generator.integers(len(makers)))](a, b))
    return known[-8:]


def _reads(fusion: Fusion, group: Group) -> set[Group]:
    read = {
        fusion.of.get(operand)
        for node in group.nodes
        for operand, _ in fusion.operands(node)
    }
    return {other for other in read if other is not None and other is not group}


def _check_order(fusion: Fusion) -> None:
    """Check that groups come after all that they read, directly or through values that are computed again."""
    seen: set[Group] = set()
    for group in fusion.groups:
        stack, met = list(_reads(fusion, group)), set[Group]()
        while stack:
            other = stack.pop()
            if other in met:
                continue
            met.add(other)
            assert other is not group
            stored = any(node in fusion.stored for node in other.nodes)
            assert not stored or other in seen
            stack.extend(_reads(fusion, other))
        seen.add(group)


@pytest.mark.parametrize("seed", range(60))
def test_groups_come_after_all_that_they_depend_on(seed: int) -> None:
    outputs = _small_graph(seed)
    fusion = Fusion(outputs)
    _check_order(fusion)
    assert all(node in fusion.of or node.op.name == "INPUT" for node in outputs)


@pytest.mark.parametrize("seed", range(20))
def test_a_cycle_of_groups_is_split(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Fusion, "_may_merge", lambda self, earlier, later: earlier.size == later.size
    )
    _check_order(Fusion(_small_graph(seed)))
