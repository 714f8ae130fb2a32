"""Small training steps to lower and to run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram


def _updates(
    kind: str, parameters: list[Node], slopes: list[Node], step: Node, rate: Node
) -> tuple[list[Node], list[Node], list[Node]]:
    """Return (state, next state, next parameters)."""
    state: list[Node] = []
    following: list[Node] = []
    new: list[Node] = []
    dtype = parameters[0].dtype
    count = build.add(build.cast(step, dtypes.FLOAT64), 1.0)
    first = build.cast(
        build.divide(
            rate, build.subtract(1.0, build.exp(build.multiply(count, math.log(0.9))))
        ),
        dtype,
    )
    second = build.cast(
        build.subtract(1.0, build.exp(build.multiply(count, math.log(0.99)))), dtype
    )
    for p, g in zip(parameters, slopes, strict=True):
        m, v = (
            build.input_node(f"{kind}_{p.attributes['name']}", p.shape, dtype)
            for kind in ("m", "v")
        )
        if kind == "momentum":
            moved = build.add(build.multiply(m, 0.9), g)
            state.append(m)
            following.append(moved)
            new.append(
                build.subtract(p, build.multiply(moved, build.cast(rate, dtype)))
            )
        elif kind == "adam":
            mean = build.add(build.multiply(m, 0.9), build.multiply(g, 0.1))
            square = build.add(
                build.multiply(v, 0.99), build.multiply(build.multiply(g, g), 0.01)
            )
            state += [m, v]
            following += [mean, square]
            root = build.add(build.sqrt(build.divide(square, second)), 1e-8)
            new.append(
                build.subtract(p, build.divide(build.multiply(mean, first), root))
            )
        else:
            new.append(build.subtract(p, build.multiply(g, build.cast(rate, dtype))))
    return state, following, new


def _dense(h: Node, units: int, name: str, parameters: list[Node]) -> Node:
    weight = build.input_node(f"W{name}", (units, h.shape[-1]), h.dtype)
    bias = build.input_node(f"b{name}", (units,), h.dtype)
    parameters += [weight, bias]
    return build.add(build.matmul(h, build.matrix_transpose(weight)), bias)


def _finish(
    x: Node,
    y: Node,
    parameters: list[Node],
    loss: Node,
    optimiser: str,
    counters: tuple[Node, Node],
) -> StepProgram:
    step, seed = counters
    rate = build.input_node("rate", (), dtypes.FLOAT64)
    state, following, new = _updates(
        optimiser, parameters, gradients(loss, parameters), step, rate
    )
    return StepProgram(
        (*parameters, *state), (x, y), step, seed, (rate,), (*new, *following), (loss,)
    )


def _counters() -> tuple[Node, Node]:
    return build.input_node("step", (), dtypes.INT64), build.input_node(
        "seed", (), dtypes.INT64
    )


def network(
    sizes: tuple[int, ...] = (20, 32, 10),
    batch: int = 16,
    optimiser: str = "momentum",
    dropout: float = 0.0,
    dtype: DType = dtypes.FLOAT32,
) -> StepProgram:
    """Return a step of a dense classifier with rectified units."""
    counters = _counters()
    x = build.input_node("x", (batch, sizes[0]), dtype)
    y = build.input_node("y", (batch,), dtypes.INT64)
    parameters: list[Node] = []
    h = x
    for i, units in enumerate(sizes[1:]):
        h = _dense(h, units, str(i), parameters)
        if i < len(sizes) - 2:
            h = f.relu(h)
            if dropout:
                step, seed = counters
                kept = build.less(
                    build.random_uniform(h.shape, seed, step, i + 1, dtype), 1 - dropout
                )
                h = build.where(kept, build.multiply(h, 1 / (1 - dropout)), 0.0)
    loss = build.mean(f.cross_entropy_of_labels(h, y))
    return _finish(x, y, parameters, loss, optimiser, counters)


def convolutional(
    batch: int = 4, optimiser: str = "adam", dtype: DType = dtypes.FLOAT32
) -> StepProgram:
    """Return a step of a small convolutional classifier: padding, stride, normalisation, pooling."""
    counters = _counters()
    x = build.input_node("x", (batch, 8, 8, 3), dtype)
    y = build.input_node("y", (batch,), dtypes.INT64)
    first, second = (
        build.input_node(name, shape, dtype)
        for name, shape in (("C0", (8, 3, 3, 3)), ("C1", (16, 2, 2, 8)))
    )
    parameters = [first, second]
    h = build.convolve(x, first, (1, 1), ((1, 1), (1, 1)), (1, 1))
    h = f.relu(f.normalize(h, axes=(0, 1, 2), epsilon=1e-5))
    h = f.max_pool(h, window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    h = f.relu(build.convolve(h, second, (2, 2), ((0, 0), (0, 0)), (1, 1)))
    h = _dense(build.reshape(h, (batch, -1)), 10, "d", parameters)
    loss = build.mean(f.cross_entropy_of_labels(h, y))
    return _finish(x, y, parameters, loss, optimiser, counters)


def values(
    program: StepProgram, examples: int, seed: int = 0
) -> tuple[list[Any], list[Any]]:
    """Return (state, data sets)."""
    generator = np.random.default_rng(seed)
    state = []
    for node in program.state:
        zero = str(node.attributes["name"]).startswith(("m_", "v_"))
        scale = 0.0 if zero else 1 / math.sqrt(max(1, node.shape[-1]))
        state.append(
            (generator.normal(size=node.shape) * scale).astype(node.dtype.name)
        )
    data = []
    for node in program.batch:
        shape = (examples, *node.shape[1:])
        labels = node.dtype is dtypes.INT64
        data.append(
            generator.integers(0, 10, shape)
            if labels
            else generator.random(shape).astype(node.dtype.name)
        )
    return state, data
