"""Constants seen through what merely rearranges them."""

from __future__ import annotations

import math

from deltarule.dtypes import BOOL
from deltarule.graph.node import Node
from deltarule.graph.op import Op

_REARRANGES = frozenset({Op.BROADCAST, Op.RESHAPE, Op.PERMUTE})


def constant_everywhere(node: Node) -> float | None:
    """Return the number that a node holds at every position, else None.

    >>> from deltarule.graph import build
    >>> constant_everywhere(build.full((2, 3), 0.5, build.constant(0.5).dtype))
    0.5
    """
    while node.op in _REARRANGES:
        node = node.sources[0]
    if node.op is Op.CONSTANT:
        return float(node.attributes["value"])
    if node.op is not Op.CAST:
        return None
    value = constant_everywhere(node.sources[0])
    if value is None or node.dtype.is_float:
        return value
    if not math.isfinite(value):
        return None
    return float(value != 0) if node.dtype is BOOL else float(math.trunc(value))
