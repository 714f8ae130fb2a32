"""Products with exact zeros, which compiled programs drop: 0 · ∞ is 0 there, NaN at the prompt (docs/numbers.md)."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import CONTRACTIONS, Op
from deltarule.graph.rewrite import expand_calls, rewrite
from deltarule.shapes import count

_PRODUCTS = frozenset({Op.MULTIPLY, Op.DIVIDE, Op.MATMUL})
_REARRANGING = frozenset(
    {Op.BROADCAST, Op.RESHAPE, Op.PERMUTE, Op.CAST, Op.NEGATE, Op.SLICE, Op.PAD}
)
_SUMS = CONTRACTIONS | {
    Op.SUM,
    Op.PAD,
    Op.SCATTER_ADD,
    Op.FOLD,
    Op.LOG_DETERMINANT,
}


def is_exact_zero(node: Node) -> bool:
    """Return whether a node is 0 whatever the inputs are: a constant, or a sum or padding of no elements."""
    if node.op is Op.CONSTANT:
        return float(node.attributes["value"]) == 0
    if node.op in _SUMS and not all(count(source.shape) for source in node.sources):
        return True
    if node.op in _PRODUCTS:
        return any(map(is_exact_zero, node.sources))
    return node.op in _REARRANGING | {Op.SUM} and is_exact_zero(node.sources[0])


def without_zero_products(outputs: Sequence[Node]) -> list[Node]:
    """Return the graphs with zeros in place of products and quotients with an exact zero."""

    def dropped(node: Node) -> Node | None:
        is_zero = node.op in _PRODUCTS and is_exact_zero(node)
        return build.full(node.shape, 0, node.dtype) if is_zero else None

    return rewrite(expand_calls(outputs), dropped)
