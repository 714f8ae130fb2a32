"""Convolutions with few channels per group (depthwise) as sums over kernel positions.

As one matrix product per group, a convolution with groups of one or two channels has too few columns for a vector. Here
the vectors run over all channels: for each kernel position k the image, shifted by k, is multiplied by a row of the
weight, result[n, p, o] = Σ_k image[n, p·s + k·d, o]·w[k, o], and the products are added in the order of the kernel.
Weight and image gradients are sums of the same products.

Padding is not materialised where the image is in memory and the border has few kinds of positions: reads are guarded,
and backends generate separate loops for the interior and for the border.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

from deltarule.dtypes import FLOAT32, SHORT_SUM
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import with_sources
from deltarule.shapes import count

_MAX_TERMS = 64  # unrolled products per result
_MIN_RUN = 10  # minimum length of partial sums in float32
_MIN_COLUMNS = 4  # fewer columns per group do not fill a vector
_MIN_CHANNELS = 8  # minimum for vectorisation
_MAX_UNROLLED = 800  # unrolled products in all variants for the border
Materialise = Callable[[Node], Node]


def depthwise_sums(node: Node, store: Materialise) -> Node | None:
    """Return a grouped convolution (without padding) or its weight gradient as sums of products.

    Args:
        node: The contraction; None is returned if it is not a convolution with few channels per group.
        store: Function that stores an operand in memory.

    >>> x = build.input_node("x", (1, 8, 4))
    >>> dense = build.convolve(x, build.input_node("w", (4, 3, 4)), [1], [(0, 0)], [1], 1)
    >>> depthwise_sums(dense, lambda node: node) is None
    True
    """
    if (
        node.op not in {Op.CONVOLVE, Op.CONVOLVE_WEIGHT}
        or node.attributes["groups"] == 1
    ):
        return None
    weight = node.sources[1].shape if node.op is Op.CONVOLVE else node.shape
    outputs, inner = weight[0] // node.attributes["groups"], weight[-1]
    if (
        outputs >= _MIN_COLUMNS
        or count(weight[1:]) > _MAX_TERMS
        or not count(node.shape)
    ):
        return None
    build_sums = _convolution if node.op is Op.CONVOLVE else _weight_gradient
    image = node.sources[0]
    if (outputs, inner) == (1, 1) and _is_read_in_place(image, node):
        return build_sums(node, [with_sources(image, [store(image.sources[0])])], store)
    return build_sums(
        node, [store(channels) for channels in _channels(image, outputs, inner)], store
    )


def _is_read_in_place(image: Node, node: Node) -> bool:
    """Return whether the image is padded, with few kinds of border positions where the kernel is clipped."""
    if image.op is not Op.PAD or image.shape[-1] < _MIN_CHANNELS:
        return False
    source = image.sources[0].shape
    if (image.shape[0], image.shape[-1]) != (source[0], source[-1]):
        return False
    weight, result = node.sources[1].shape, node.shape
    if node.op is Op.CONVOLVE_WEIGHT:
        weight, result = result, weight
    a, kinds = image.attributes, 1
    for axis, (stride, dilation) in enumerate(
        zip(node.attributes["stride"], node.attributes["dilation"], strict=True), 1
    ):
        low, reach = a["low"][axis], a["interior"][axis] + 1
        end = low + (source[axis] - 1) * reach + 1
        boundaries = {
            -(-(edge - place * dilation) // stride)
            for place in range(weight[axis])
            for edge in (low, end)
        }
        kinds *= 1 + sum(0 < boundary < result[axis] for boundary in boundaries)
    return kinds * count(weight[1:-1]) <= _MAX_UNROLLED


def _channels(image: Node, outputs: int, inner: int) -> Iterator[Node]:
    """Yield, for each input channel of a group, the image channels that each output channel reads."""
    for place in range(inner):
        part = image
        if inner > 1:
            ends = (*image.shape[:-1], image.shape[-1])
            part = build.slice_axes(
                image,
                (*(0 for _ in ends[:-1]), place),
                ends,
                (*(1 for _ in ends[:-1]), inner),
            )
        if outputs > 1:
            shape = (*part.shape, outputs)
            part = build.reshape(
                build.broadcast_to(build.expand_dims(part, (part.rank,)), shape),
                (*part.shape[:-1], -1),
            )
        yield part


def _shifted(
    image: Node, node: Node, offset: Sequence[int], positions: Sequence[int]
) -> Node:
    """Return the image elements at kernel position ``offset``: image[n, p·stride + offset·dilation, c]."""
    a = node.attributes
    starts = [k * d for k, d in zip(offset, a["dilation"], strict=True)]
    stops = [
        start + (p - 1) * s + 1
        for start, p, s in zip(starts, positions, a["stride"], strict=True)
    ]
    return build.slice_axes(
        image,
        (0, *starts, 0),
        (image.shape[0], *stops, image.shape[-1]),
        (1, *a["stride"], 1),
    )


def _convolution(node: Node, images: Sequence[Node], store: Materialise) -> Node:
    weight = node.sources[1]
    kernel = weight.shape[1:-1]
    rank = weight.rank
    rows = store(
        build.permute(weight, (*range(1, rank), 0))
    )  # (*kernel, inner, outputs): channels are contiguous
    terms = []
    for offset in itertools.product(*map(range, kernel)):
        for place, image in enumerate(images):
            at = (*offset, place)
            row = build.slice_axes(
                rows, (*at, 0), (*(k + 1 for k in at), weight.shape[0])
            )
            row = build.broadcast_to(build.reshape(row, (weight.shape[0],)), node.shape)
            terms.append(
                build.multiply(_shifted(image, node, offset, node.shape[1:-1]), row)
            )
    return functools.reduce(build.add, terms)


def _weight_gradient(node: Node, images: Sequence[Node], store: Materialise) -> Node:
    signal = store(node.sources[1])
    kernel, positions = node.shape[1:-1], signal.shape[1:-1]
    sums = [
        _summed(build.multiply(_shifted(image, node, offset, positions), signal))
        for offset in itertools.product(*map(range, kernel))
        for image in images
    ]
    rows = build.concatenate(
        [build.expand_dims(total, (0,)) for total in sums], 0
    )  # (kernel · inner, outputs)
    shaped = build.reshape(rows, (*kernel, node.shape[-1], node.shape[0]))
    return build.permute(shaped, (shaped.rank - 1, *range(shaped.rank - 1)))


def _summed(products: Node) -> Node:
    """Return sums over all axes but the last: short partial sums in float32, whose sums are in float64."""
    *outer, width, channels = products.shape
    short = next((n for n in range(SHORT_SUM, _MIN_RUN, -1) if width % n == 0), 1)
    if short > 1 and products.dtype is FLOAT32:
        products = build.sum_over(
            build.reshape(products, (*outer, width // short, short, channels)),
            (len(outer) + 1,),
        )
    return build.sum_over(products, tuple(range(products.rank - 1)))
