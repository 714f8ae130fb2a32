"""Constant folding of scalars: casts, and constants behind reshapes, permutations and broadcasts."""

from __future__ import annotations

import math
import struct

from deltarule.dtypes import BOOL, FLOAT32, DType, Scalar
from deltarule.graph.node import Node
from deltarule.graph.op import Op

_REARRANGING = frozenset({Op.BROADCAST, Op.RESHAPE, Op.PERMUTE})


def cast_scalar(value: Scalar, source: DType, target: DType) -> Scalar:
    """Return a number cast between element types as the engines do: rounded, truncated or saturated.

    >>> from deltarule.dtypes import FLOAT64, INT64, UINT8
    >>> cast_scalar(300.7, FLOAT64, UINT8), cast_scalar(float("nan"), FLOAT64, INT64), cast_scalar(-1, INT64, UINT8)
    (255, 0, 255)
    """
    exact = single(float(value)) if source is FLOAT32 else value
    if target is BOOL:
        return bool(exact != 0)
    if target.is_float:
        return float(exact)
    low, high = target.bounds
    if not isinstance(exact, float):
        wrapped: int = (int(exact) - low) % 2**target.bits + low
        return wrapped
    if math.isnan(exact):
        return 0
    return low if exact <= low else high if exact >= high else math.trunc(exact)


def single(value: float) -> float:
    """Round to float32; values beyond its range become infinite.

    >>> single(0.1), single(-1e200)
    (0.10000000149011612, -inf)
    """
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def constant_everywhere(node: Node) -> float | None:
    """Return the number that a node holds at every position, or None.

    >>> from deltarule.graph import build
    >>> constant_everywhere(build.full((2, 3), 0.5, build.constant(0.5).dtype))
    0.5
    """
    while node.op in _REARRANGING:
        node = node.sources[0]
    if node.op is Op.CONSTANT:
        return float(node.attributes["value"])
    if node.op is not Op.CAST:
        return None
    value = constant_everywhere(node.sources[0])
    if value is None:
        return None
    return float(cast_scalar(value, node.sources[0].dtype, node.dtype))
