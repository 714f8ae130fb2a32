"""Programs that read memory at distances: pooling over kernels, strides and padding, slices of either direction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deltarule.dtypes import DType
from deltarule.grad.reverse import gradients
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.indexing import index
from deltarule.graph.node import Node

SIZES = {1: (13,), 2: (9, 8), 3: (6, 5, 7)}


@dataclass(frozen=True)
class Pooling:
    """One way to pool; windows, strides and padding are the same along all axes."""

    rank: int
    window: int
    stride: int
    padding: int

    @property
    def borders(self) -> tuple[tuple[int, int], ...]:
        """Return the padding before and after each axis."""
        return ((self.padding, self.padding),) * self.rank


def poolings(rank: int) -> Iterator[Pooling]:
    """Return every window, stride and padding that fits the image of this rank."""
    largest = {1: 7, 2: 5, 3: 4}[rank]
    for window, stride in itertools.product(
        range(1, largest + 1), range(1, largest + 2)
    ):
        for padding in range(window // 2 + 1):
            if rank < 3 or padding in (0, window // 2):
                yield Pooling(rank, window, stride, padding)


def pooled(kind: str, x: Node, p: Pooling) -> Node:
    """Return "max", "average" or "lp" (p = 2) of each window."""
    sizes = {
        "window": (p.window,) * p.rank,
        "stride": (p.stride,) * p.rank,
        "padding": p.borders,
    }
    if kind == "max":
        return f.max_pool(x, **sizes)
    if kind == "average":
        return f.average_pool(x, **sizes)
    total = build.multiply(
        f.average_pool(build.multiply(x, x), **sizes), float(p.window**p.rank)
    )
    return build.sqrt(total)


def with_gradient(x: Node, y: Node) -> list[Node]:
    """Return y and the gradient of ½ Σ y²."""
    return [y, *gradients(y, [x], y)]


def pooling_program(kind: str, rank: int, dtype: DType) -> tuple[Node, list[Node]]:
    """Return an image, and for every pooling of a rank its result and gradient."""
    x = build.input_node("x", (2, *SIZES[rank], 2), dtype)
    return x, [
        node for p in poolings(rank) for node in with_gradient(x, pooled(kind, x, p))
    ]


SLICED = (13, 3)


def slices() -> list[slice]:
    """Return slices of 13 rows with steps of either sign, from and to everywhere."""
    steps = (-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 7)
    return [
        slice(start, stop, step)
        for step in steps
        for start, stop in ((None, None), (3, None), (-2, 1), (1, -2))
    ]


def slice_program(dtype: DType) -> tuple[Node, list[Node]]:
    """Return a matrix, and for every slice (also of what is flipped, reshaped, transposed) a result and gradient."""
    x = build.input_node("x", SLICED, dtype)
    found: list[Node] = []
    forms: list[Callable[[Node, slice], Node]] = [
        lambda x, part: index(x, part),
        lambda x, part: index(build.flip(x, (0,)), part),
        lambda x, part: index(build.reshape(build.flip(x, (1,)), (-1,)), part),
        lambda x, part: index(build.reshape(algebra.swap_axes(x, 0, 1), (-1,)), part),
        lambda x, part: build.reshape(
            index(build.pad(x, (2, 1), (1, 2), (1, 0)), part), (-1,)
        ),
    ]
    for part, form in itertools.product(slices(), forms):
        y = form(x, part)
        if 0 not in y.shape:
            found += with_gradient(x, y)
    return x, found
