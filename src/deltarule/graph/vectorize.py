"""Vectorization of primitives: the rules that add a batch axis in front (as ``vmap`` does).

``RULES`` has one rule for each primitive. A rule is used if at least one operand is batched; operands that are
the same for all batch elements have no batch axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deltarule.dtypes import INT64
from deltarule.graph import build
from deltarule.graph.node import Node, intern
from deltarule.graph.op import ELEMENTWISE, LEAVES, Op


@dataclass(frozen=True)
class Operand:
    """An operand of a vectorized node: with a batch axis in front (``batched``), or shared by the whole batch.

    >>> Operand(build.input_node("x", (3,)), batched=False).with_batch_axis(5)
    <broadcast (5, 3) float32>
    """

    node: Node
    batched: bool

    def with_batch_axis(self, n: int) -> Node:
        """Return the operand with a batch axis of size n; a shared one is broadcast."""
        if self.batched:
            return self.node
        return build.broadcast_to(self.node, (n, *self.node.shape))


Operands = Sequence[Operand]
Rule = Callable[[Node, Operands, int], Node]


def vectorize(node: Node, operands: Operands, n: int) -> Node:
    """Return a node with a batch axis, shape ``(n, *node.shape)``; at least one operand is batched.

    >>> x, xs = build.input_node("x", (3,)), build.input_node("xs", (5, 3))
    >>> vectorize(build.exp(x), [Operand(xs, batched=True)], 5)
    <exp (5, 3) float32>
    """
    return RULES[node.op](node, operands, n)


def _elementwise(node: Node, operands: Operands, n: int) -> Node:
    """Apply the same operation to one more axis."""
    sources = tuple(operand.with_batch_axis(n) for operand in operands)
    return intern(node.op, sources, dict(node.attributes), (n, *node.shape), node.dtype)


def _random(node: Node, operands: Operands, n: int) -> Node:
    seed, step = (operand.with_batch_axis(n) for operand in operands)
    return build.random_uniform(
        (n, *node.shape), seed, step, node.attributes["stream"], node.dtype
    )


def _shifted(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def _one(make: Callable[[Node, Mapping[str, Any], int], Node]) -> Rule:
    """Return the rule of a primitive with one operand, from (operand, attributes, n)."""
    return lambda node, operands, n: make(operands[0].node, node.attributes, n)


def _many(make: Callable[..., Node]) -> Rule:
    """Return the rule of a primitive that accepts leading axes if all operands have them."""
    return lambda node, operands, n: make(
        *(operand.with_batch_axis(n) for operand in operands)
    )


def _broadcast(x: Node, attributes: Mapping[str, Any], n: int) -> Node:
    shape = attributes["shape"]
    spread = build.reshape(x, (n, *(1,) * (len(shape) - x.rank + 1), *x.shape[1:]))
    return build.broadcast_to(spread, (n, *shape))


def _slice(x: Node, attributes: Mapping[str, Any], n: int) -> Node:
    starts, stops, steps = (attributes[name] for name in ("starts", "stops", "steps"))
    return build.slice_axes(x, (0, *starts), (n, *stops), (1, *steps))


def _pad(x: Node, attributes: Mapping[str, Any], _: int) -> Node:
    low, high, interior = (attributes[name] for name in ("low", "high", "interior"))
    return build.pad(x, (0, *low), (0, *high), (0, *interior))


def _concatenate(node: Node, operands: Operands, n: int) -> Node:
    return build.concatenate(
        [operand.with_batch_axis(n) for operand in operands],
        node.attributes["axis"] + 1,
    )


def _to_front(x: Node, axis: int) -> Node:
    """Move an axis to the front."""
    return build.permute(x, (axis, *(i for i in range(x.rank) if i != axis)))


def _offset_indices(indices: Node, size: int) -> Node:
    """Return indices (n, …) into n tables of ``size`` rows as indices into the concatenated tables."""
    return build.add(
        build.cast(indices, INT64), build.multiply(build.iota(indices.shape, 0), size)
    )


def _gather(node: Node, operands: Operands, n: int) -> Node:
    (x, indices), axis = operands, node.attributes["axis"]
    if not indices.batched:
        return build.gather(x.node, indices.node, axis + 1)
    if not x.batched:
        return _to_front(build.gather(x.node, indices.node, axis), axis)
    tables = build.permute(
        x.node, (0, axis + 1, *(i for i in range(1, x.node.rank) if i != axis + 1))
    )
    size, rest = tables.shape[1], tables.shape[2:]
    found = build.gather(
        build.reshape(tables, (n * size, *rest)), _offset_indices(indices.node, size), 0
    )
    places = (
        indices.node.rank
    )  # found: (n, *indices, *before, *after) → (n, *before, *indices, *after)
    before, after = range(places, places + axis), range(places + axis, found.rank)
    return build.permute(found, (0, *before, *range(1, places), *after))


def _scatter_add(node: Node, operands: Operands, n: int) -> Node:
    indices, updates = operands
    axis, size = node.attributes["axis"], node.attributes["size"]
    values = updates.with_batch_axis(n)
    if not indices.batched:
        return build.scatter_add(indices.node, values, axis + 1, size)
    places = indices.node.rank - 1
    inner = range(axis + 1, axis + 1 + places)
    outer = (*range(1, axis + 1), *range(axis + 1 + places, values.rank))
    sums = build.scatter_add(
        _offset_indices(indices.node, size),
        build.permute(values, (0, *inner, *outer)),
        0,
        n * size,
    )
    tables = build.reshape(sums, (n, size, *sums.shape[1:]))
    return build.permute(
        tables, (0, *range(2, axis + 2), 1, *range(axis + 2, tables.rank))
    )


def _as_groups(image: Node) -> Node:
    """Reshape (n, N, *spatial, C) to (N, *spatial, n·C)."""
    n, *_, channels = image.shape
    moved = build.permute(image, (*range(1, image.rank - 1), 0, image.rank - 1))
    return build.reshape(moved, (*moved.shape[:-2], n * channels))


def _from_groups(image: Node, n: int) -> Node:
    """Reshape (N, *spatial, n·C) to (n, N, *spatial, C)."""
    apart = build.reshape(image, (*image.shape[:-1], n, image.shape[-1] // n))
    return _to_front(apart, apart.rank - 2)


def _joined(weight: Node) -> Node:
    """Reshape (n, C_out, …) to (n·C_out, …)."""
    return build.reshape(weight, (weight.shape[0] * weight.shape[1], *weight.shape[2:]))


def _geometry(node: Node, n: int) -> dict[str, Any]:
    a = node.attributes
    return {name: a[name] for name in ("stride", "padding", "dilation")} | {
        "groups": n * a["groups"]
    }


def _convolve(node: Node, operands: Operands, n: int) -> Node:
    """Convolve each batch element as a separate group of channels."""
    x, weight = (operand.with_batch_axis(n) for operand in operands)
    return _from_groups(
        build.convolve(_as_groups(x), _joined(weight), **_geometry(node, n)), n
    )


def _convolve_transposed(node: Node, operands: Operands, n: int) -> Node:
    y, weight = (operand.with_batch_axis(n) for operand in operands)
    *outer, channels = node.attributes["input_shape"]
    shape = (*outer, n * channels)
    made = build.convolve_transposed(
        _as_groups(y), _joined(weight), **_geometry(node, n), input_shape=shape
    )
    return _from_groups(made, n)


def _convolve_weight(node: Node, operands: Operands, n: int) -> Node:
    x, y = (operand.with_batch_axis(n) for operand in operands)
    channels, *inner = node.attributes["weight_shape"]
    shape = (n * channels, *inner)
    made = build.convolve_weight(
        _as_groups(x), _as_groups(y), **_geometry(node, n), weight_shape=shape
    )
    return build.reshape(made, (n, *node.shape))


def _windows(x: Node, a: Mapping[str, Any], _: int) -> Node:
    return build.windows(
        x, _shifted(a["axes"]), a["window"], a["stride"], a["dilation"]
    )


def _fold(y: Node, a: Mapping[str, Any], n: int) -> Node:
    return build.fold(
        y,
        _shifted(a["axes"]),
        a["window"],
        a["stride"],
        a["dilation"],
        (n, *a["shape"]),
    )


def _log_determinant(node: Node, operands: Operands, n: int) -> Node:
    del node, n
    return build.log_determinant(operands[0].node)


RULES: Final[dict[Op, Rule]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    Op.RANDOM: _random,
    Op.SUM: _one(lambda x, a, _: build.sum_over(x, _shifted(a["axes"]))),
    Op.MAX: _one(lambda x, a, _: build.maximum_over(x, _shifted(a["axes"]))),
    Op.ARGMAX: _one(lambda x, a, _: build.argmax(x, a["axis"] + 1)),
    Op.CUMULATIVE_SUM: _one(lambda x, a, _: build.cumulative_sum(x, a["axis"] + 1)),
    Op.RESHAPE: _one(lambda x, a, n: build.reshape(x, (n, *a["shape"]))),
    Op.PERMUTE: _one(lambda x, a, _: build.permute(x, (0, *_shifted(a["order"])))),
    Op.BROADCAST: _one(_broadcast),
    Op.SLICE: _one(_slice),
    Op.PAD: _one(_pad),
    Op.FLIP: _one(lambda x, a, _: build.flip(x, _shifted(a["axes"]))),
    Op.CONCATENATE: _concatenate,
    Op.GATHER: _gather,
    Op.SCATTER_ADD: _scatter_add,
    Op.ARGSORT: _one(lambda x, a, _: build.argsort(x, a["axis"] + 1)),
    Op.MATMUL: _many(build.matmul),
    Op.CONVOLVE: _convolve,
    Op.CONVOLVE_TRANSPOSED: _convolve_transposed,
    Op.CONVOLVE_WEIGHT: _convolve_weight,
    Op.WINDOWS: _one(_windows),
    Op.FOLD: _one(_fold),
    Op.SOLVE: _many(build.solve),
    Op.LOG_DETERMINANT: _log_determinant,
    Op.CHOLESKY: _many(build.cholesky),
}
# leaves have no operands, named functions are expanded
WITHOUT_RULE: Final = (LEAVES - {Op.RANDOM}) | {Op.CALL}
