"""Random graphs of every kind of operation, by seed: small shapes, sizes 0 and 1 included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import DeltaruleError
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node

_SIZES = (1, 2, 3, 4, 5, 16, 17, 33)
_WITH_EMPTY = (0, 1, 2, 5)


def _unary(dtype: DType) -> list[Callable[[Node], Node]]:
    return [
        build.negate, build.absolute, build.sign, build.floor, build.tanh, build.sin, build.cos, build.erf,
        lambda x: build.exp(build.minimum(x, 1.0)),
        lambda x: build.expm1(build.minimum(x, 1.0)),
        lambda x: build.log(build.add(build.absolute(x), 1.0)),
        lambda x: build.log1p(build.absolute(x)),
        lambda x: build.sqrt(build.absolute(x)),
        lambda x: build.power(build.add(build.absolute(x), 0.5), 1.5),
        f.relu, f.sigmoid,
        lambda x: build.where(build.less(0, x), x, build.multiply(x, 0.5)),
        lambda x: build.cast(build.cast(build.minimum(build.maximum(x, -100), 100), dtypes.INT32), dtype),
        lambda x: build.cast(build.logical_or(build.less(x, -1), build.logical_not(build.less(x, 1))), dtype),
    ]  # fmt: skip


def _moved(x: Node, rng: np.random.Generator) -> Node:
    kind = int(rng.integers(6))
    if kind == 0:
        return build.permute(x, rng.permutation(x.rank).tolist())
    if kind == 1:
        n = shapes.count(x.shape)
        divisors = [d for d in range(1, n + 1) if n % d == 0] or [1]
        return build.reshape(x, (int(rng.choice(divisors)), -1)) if n else x
    if kind == 2:
        starts = [0 if size < 2 else int(rng.integers(0, 2)) for size in x.shape]
        return build.slice_axes(x, starts, list(x.shape), rng.integers(1, 3, x.rank).tolist())
    if kind == 3:
        low, high, inner = (rng.integers(0, n, x.rank).tolist() for n in (3, 3, 2))
        return build.pad(x, low, high, inner)
    if kind == 4 and x.rank:
        return build.flip(x, (int(rng.integers(x.rank)),))
    if x.rank:
        parts = [x, build.multiply(x, 2.0), x][: int(rng.integers(2, 4))]
        return build.concatenate(parts, int(rng.integers(x.rank)))
    return x


def _reduced(x: Node, rng: np.random.Generator) -> Node:
    axis, kind = int(rng.integers(x.rank)), int(rng.integers(4))
    if kind == 0:
        return build.sum_over(x, axis, keepdims=bool(rng.integers(2)))
    if kind == 1:
        axes = rng.choice(x.rank, size=int(rng.integers(1, x.rank + 1)), replace=False).tolist()
        return build.maximum_over(x, axes, keepdims=bool(rng.integers(2)))
    if kind == 2:
        return build.cast(build.argmax(x, axis), x.dtype)
    return build.cast(build.argsort(x, axis), x.dtype)


def _indexed(x: Node, rng: np.random.Generator) -> Node:
    axis = int(rng.integers(x.rank))
    rows = build.iota((3, 2), 0)
    indices = build.where(build.less(rows, x.shape[axis]), rows, 0)
    taken = build.gather(x, indices, axis) if x.shape[axis] else x
    if taken is not x and rng.random() < 0.5:
        return build.scatter_add(indices, taken, axis, x.shape[axis] + 1)
    return taken


def _window(x: Node, rng: np.random.Generator) -> Node:
    axis = int(rng.integers(x.rank))
    width, stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    seen = build.windows(x, (axis,), (width,), (stride,), (1,))
    if rng.random() < 0.5:
        return build.fold(build.multiply(seen, 0.5), (axis,), (width,), (stride,), (1,), x.shape)
    return seen


def _product(x: Node, rng: np.random.Generator) -> Node:
    other = build.permute(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))
    return build.tanh(build.matmul(x, other) if rng.random() < 0.5 else build.matmul(other, x))


def _next(pool: list[Node], rng: np.random.Generator) -> Node:
    x = pool[int(rng.integers(max(0, len(pool) - 8), len(pool)))]
    kind = int(rng.integers(12))
    if kind < 2 or not x.rank:
        unary = _unary(x.dtype)
        return unary[int(rng.integers(len(unary)))](x)
    if kind < 5:
        binary = [build.add, build.subtract, build.multiply, build.maximum, build.minimum]
        other = pool[int(rng.integers(len(pool)))]
        return build.tanh(binary[int(rng.integers(len(binary)))](x, other))
    if kind < 7:
        return _reduced(x, rng)
    if kind < 9:
        return _moved(x, rng)
    if kind == 9:
        return _indexed(x, rng)
    if kind == 10:
        return _window(x, rng)
    return _product(x, rng) if x.rank >= 2 else x


def random_graph(rng: np.random.Generator, dtype: DType, operations: int = 14) -> list[Node]:
    """Return five outputs of a random graph."""
    sizes = _WITH_EMPTY if rng.random() < 0.1 else _SIZES
    chosen = [int(size) for size in rng.choice(sizes, 4)]
    pool = []
    for i in range(3):
        axes = rng.choice(4, size=int(rng.integers(0, 4)), replace=False)
        pool.append(build.input_node(f"x{i}", tuple(chosen[a] for a in axes), dtype))
    for _ in range(operations):
        try:
            node = _next(pool, rng)
        except DeltaruleError:  # shapes that do not fit: another draw
            continue
        if shapes.count(node.shape) <= 20_000:
            pool.append(node)
    places = rng.choice(len(pool), size=min(4, len(pool)), replace=False)
    return [*(pool[int(place)] for place in places), pool[-1]]
