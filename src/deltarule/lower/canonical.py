"""Canonicalisation of graphs before lowering: fewer primitives, contractions without explicit transposes.

* named functions are expanded, gradient stops removed;
* padded convolutions become convolutions of padded images, transposed ones convolutions of dilated signals;
* the transpose of a matrix product becomes the product of the transposes;
* division of many elements by few divisors becomes multiplication by reciprocals;
* factors that are constant along the summed axes are moved out of sums;
* 0 < x is computed from max(0, x) where that is needed anyway, so that only one of both is stored;
* nodes without elements, and sums over no elements, become constants, so that no loop is empty.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import CONTRACTIONS, LEAVES, Op
from deltarule.graph.rewrite import expand_calls, rewrite
from deltarule.graph.walk import topological, users
from deltarule.shapes import count
from deltarule.simplify import simplify


def canonical(outputs: Sequence[Node]) -> list[Node]:
    """Return equal graphs in canonical form, as lowering expects.

    >>> from deltarule.graph import functions
    >>> canonical([functions.relu(build.input_node("x", (3,)))])
    [<maximum (3) float32>]
    """
    expanded = simplify(expand_calls(outputs))
    canonical_nodes = rewrite(expanded, _canonical_node)
    return _push_transposes_into_products(
        _masks_from_rectified(simplify(canonical_nodes))
    )


_MIN_QUOTIENTS = 8  # quotients per divisor for which reciprocals pay
_ARITHMETIC: dict[Op, Callable[[float, float], float]] = {
    Op.ADD: operator.add,
    Op.SUBTRACT: operator.sub,
    Op.MULTIPLY: operator.mul,
    Op.DIVIDE: operator.truediv,
}


def _folded(node: Node) -> Node | None:
    """Return the value of an arithmetic operation on two floating-point constants."""
    if node.op not in _ARITHMETIC or not node.dtype.is_float or node.shape != ():
        return None
    if any(source.op is not Op.CONSTANT for source in node.sources):
        return None
    a, b = (source.attributes["value"] for source in node.sources)
    if node.op is Op.DIVIDE and b == 0:
        return None
    return build.constant(_ARITHMETIC[node.op](a, b), node.dtype)


def _by_reciprocal(node: Node) -> Node | None:
    """Replace division of many elements by few divisors by multiplication with reciprocals (error ≤ 1.5 ulp)."""
    if node.op is not Op.DIVIDE or node.sources[1].op is not Op.BROADCAST:
        return None
    x, divisor = node.sources
    few = divisor.sources[0]
    if few.op is Op.CONSTANT or count(few.shape) * _MIN_QUOTIENTS > count(node.shape):
        return None
    return build.multiply(x, build.broadcast_to(build.divide(1.0, few), node.shape))


def _factored(node: Node) -> Node | None:
    """Move factors that are constant along the summed axes out of a sum: Σᵢ xᵢⱼgⱼ = gⱼ·Σᵢ xᵢⱼ."""
    if (
        node.op is not Op.SUM
        or not node.dtype.is_float
        or node.sources[0].op is not Op.MULTIPLY
    ):
        return None
    axes = node.attributes["axes"]
    inside: list[Node] = []
    outside: list[Node] = []
    stack = [node.sources[0]]
    while stack:
        factor = stack.pop()
        if factor.op is Op.MULTIPLY:
            stack.extend(reversed(factor.sources))
            continue
        reduced = _without_constant_axes(factor, axes)
        (inside if reduced is None else outside).append(
            factor if reduced is None else reduced
        )
    if not inside or not outside:
        return None
    product = functools.reduce(build.multiply, inside)
    return functools.reduce(build.multiply, outside, build.sum_over(product, axes))


def _without_constant_axes(node: Node, axes: Sequence[int]) -> Node | None:
    """Remove axes along which a value is constant; return None if it is not constant along one of them."""
    if node.op is not Op.BROADCAST:
        return None
    (few,) = node.sources
    missing = node.rank - few.rank
    if any(axis >= missing and few.shape[axis - missing] != 1 for axis in axes):
        return None
    kept = [axis for axis in range(node.rank) if axis not in axes]
    sizes = tuple(few.shape[axis - missing] if axis >= missing else 1 for axis in kept)
    return build.broadcast_to(
        build.reshape(few, sizes), tuple(node.shape[axis] for axis in kept)
    )


_ZERO_IF_EMPTY = CONTRACTIONS | {
    Op.SUM,
    Op.SCATTER_ADD,
    Op.PAD,
    Op.FOLD,
    Op.LOG_DETERMINANT,
}


def _is_empty(node: Node) -> bool:
    """Return whether a node has no elements or sums over no elements."""
    if node.op in LEAVES - {Op.RANDOM}:
        return False
    if not count(node.shape):
        return True
    return node.op in _ZERO_IF_EMPTY and any(
        not count(source.shape) for source in node.sources
    )


def _canonical_node(node: Node) -> Node | None:
    if _is_empty(node):
        return build.full(node.shape, 0, node.dtype)
    if node.op is Op.CONCATENATE and any(
        not count(part.shape) for part in node.sources
    ):
        return build.concatenate(
            [part for part in node.sources if count(part.shape)],
            node.attributes["axis"],
        )
    if node.op is Op.SUM:
        return _factored(node)
    if node.op in _ARITHMETIC:
        return _folded(node) or _by_reciprocal(node)
    if node.op is Op.STOP_GRADIENT:
        return node.sources[0]
    if node.op is Op.CONVOLVE and _is_padded(node):
        x, weight = node.sources
        return build.convolve(_padded(node, x), weight, **_without_padding(node))
    if node.op is Op.CONVOLVE_WEIGHT and _is_padded(node):
        x, y = node.sources
        shape = node.attributes["weight_shape"]
        return build.convolve_weight(
            _padded(node, x), y, **_without_padding(node), weight_shape=shape
        )
    if node.op is Op.CONVOLVE_TRANSPOSED:
        return _transposed_convolution(node)
    return None


def _is_padded(node: Node) -> bool:
    return any(low or high for low, high in node.attributes["padding"])


def _padded(node: Node, x: Node) -> Node:
    padding = node.attributes["padding"]
    return build.pad(
        x, (0, *(low for low, _ in padding), 0), (0, *(high for _, high in padding), 0)
    )


def _without_padding(node: Node) -> dict[str, Any]:
    a = node.attributes
    no_padding = tuple((0, 0) for _ in a["padding"])
    return {
        "stride": a["stride"],
        "padding": no_padding,
        "dilation": a["dilation"],
        "groups": a["groups"],
    }


def _transposed_convolution(node: Node) -> Node:
    """Return a transposed convolution as the correlation of the dilated signal with the flipped, transposed kernel.

    x[i] = Σ_k y[(i + low − k·d)/s]·w[k]: with zeros between and around the signals this is a correlation with kernel
    position K − 1 − k.
    """
    y, weight = node.sources
    a = node.attributes
    shape, groups = a["input_shape"], a["groups"]
    kernel, spatial = weight.shape[1:-1], range(1, len(shape) - 1)
    low, high, interior, starts, stops = [0], [0], [0], [0], [shape[0]]
    for place, (axis, (before, _)) in enumerate(
        zip(spatial, a["padding"], strict=True)
    ):
        reach = (kernel[place] - 1) * a["dilation"][place]
        dilated = (y.shape[axis] - 1) * a["stride"][place] + 1
        first = reach - before  # padding before the first signal
        last = shape[axis] + before - dilated  # padding after the last one
        low.append(max(0, first))
        high.append(max(0, last))
        interior.append(a["stride"][place] - 1)
        starts.append(max(0, -first))
        stops.append(max(0, -first) + shape[axis] + reach)
    low, high, interior = [*low, 0], [*high, 0], [*interior, 0]
    starts, stops = [*starts, 0], [*stops, y.shape[-1]]
    signal = build.slice_axes(build.pad(y, low, high, interior), starts, stops)
    per_group = (groups, weight.shape[0] // groups, *kernel, weight.shape[-1])
    last_axis = len(per_group) - 1
    transposed_weight = build.permute(
        build.reshape(weight, per_group), (0, last_axis, *range(2, last_axis), 1)
    )
    transposed_weight = build.reshape(
        transposed_weight,
        (groups * weight.shape[-1], *kernel, weight.shape[0] // groups),
    )
    flipped = build.flip(transposed_weight, tuple(range(1, len(kernel) + 1)))
    rank = len(kernel)
    return build.convolve(
        signal, flipped, (1,) * rank, ((0, 0),) * rank, a["dilation"], groups
    )


def _push_transposes_into_products(outputs: Sequence[Node]) -> list[Node]:
    """Replace the transpose of a matrix product without other users by the product of the transposes."""
    readers = users(topological(outputs))
    kept = set(outputs)

    def push(node: Node) -> Node | None:
        if node.op is not Op.PERMUTE or node.sources[0].op is not Op.MATMUL:
            return None
        product, rank = node.sources[0], node.rank
        swapped = (*range(rank - 2), rank - 1, rank - 2)
        single_use = product not in kept and len(readers.get(product, ())) == 1
        if node.attributes["order"] != swapped or not single_use:
            return None
        left, right = product.sources
        return build.matmul(_transpose(right), _transpose(left))

    return rewrite(outputs, push)


def _transpose(node: Node) -> Node:
    """Transpose the last two axes; two successive permutations are composed."""
    result = build.matrix_transpose(node)
    inner = result.sources[0]
    if inner.op is Op.PERMUTE:
        order = [inner.attributes["order"][i] for i in result.attributes["order"]]
        return build.permute(inner.sources[0], order)
    return result


def _is_zero(node: Node) -> bool:
    while node.op in {Op.BROADCAST, Op.RESHAPE}:
        node = node.sources[0]
    return node.op is Op.CONSTANT and node.attributes["value"] == 0


def _masks_from_rectified(outputs: Sequence[Node]) -> list[Node]:
    """Replace 0 < x by 0 < max(0, x) where the maximum is computed."""
    rectified = {}
    for node in topological(outputs):
        if node.op is Op.MAXIMUM:
            first, second = node.sources
            if _is_zero(first):
                rectified[second] = node
            elif _is_zero(second):
                rectified[first] = node

    def mask(node: Node) -> Node | None:
        if (
            node.op is Op.LESS
            and _is_zero(node.sources[0])
            and node.sources[1] in rectified
        ):
            return build.less(node.sources[0], rectified[node.sources[1]])
        return None

    return rewrite(outputs, mask)
