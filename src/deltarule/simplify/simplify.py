"""Algebraic simplification and numerically stable forms, in a table keyed by primitive.

Each rule returns an equal, smaller node or None. A product with an exact zero becomes zero: derivatives have many of
them, from paths without a gradient. Evaluation at the prompt computes such products as written (``exact``), so that
0 · ∞ is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.constants import cast_scalar, constant_everywhere
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import rewrite


def _is_call(node: Node, name: str) -> bool:
    return node.op is Op.CALL and node.attributes["function"] == name


def _zeros(node: Node) -> Node:
    return build.full(node.shape, 0, node.dtype)


def _add(node: Node) -> Node | None:
    x, y = node.sources
    if constant_everywhere(x) == 0:
        return y
    if constant_everywhere(y) == 0:
        return x
    if y.op is Op.NEGATE:
        return build.subtract(x, y.sources[0])
    if x.op is Op.NEGATE:
        return build.subtract(y, x.sources[0])
    return None


def _subtract(node: Node) -> Node | None:
    x, y = node.sources
    if constant_everywhere(y) == 0:
        return x
    if constant_everywhere(x) == 0 and y.dtype.kind != "uint":
        return build.negate(y)
    if y.op is Op.NEGATE:
        return build.add(x, y.sources[0])
    return None


def _multiply(node: Node) -> Node | None:
    x, y = node.sources
    for constant, other in ((x, y), (y, x)):
        value = constant_everywhere(constant)
        if value == 1:
            return other
        if value == 0:
            return _zeros(node)
        if value == -1:
            return build.negate(other)
    if x.op is Op.NEGATE:
        return build.negate(build.multiply(x.sources[0], y))
    if y.op is Op.NEGATE:
        return build.negate(build.multiply(x, y.sources[0]))
    return None


def _divide(node: Node) -> Node | None:
    x, y = node.sources
    if constant_everywhere(y) == 1:
        return x
    if constant_everywhere(x) == 0:
        return _zeros(node)
    return build.negate(build.divide(x.sources[0], y)) if x.op is Op.NEGATE else None


def _negate(node: Node) -> Node | None:
    (x,) = node.sources
    if x.op is Op.NEGATE:
        return x.sources[0]
    return _zeros(node) if constant_everywhere(x) == 0 else None


def _power(node: Node) -> Node | None:
    x, y = node.sources
    exponent = constant_everywhere(y)
    if exponent == 0:
        return build.full(node.shape, 1, node.dtype)
    if exponent == 1:
        return x
    if exponent == 2:
        return build.multiply(x, x)
    if exponent == 0.5:
        return build.sqrt(x)
    return build.divide(1, x) if exponent == -1 else None


def _log(node: Node) -> Node | None:
    (x,) = node.sources
    if x.op is Op.EXP:
        return x.sources[0]
    if _is_call(x, "softmax"):
        return f.log_softmax(x.sources[0], axis=x.attributes["axis"])
    if _is_call(x, "sigmoid"):
        return f.log_sigmoid(x.sources[0])
    if (
        x.op is Op.SUBTRACT
        and constant_everywhere(x.sources[0]) == 1
        and _is_call(x.sources[1], "sigmoid")
    ):
        return f.log_sigmoid(build.negate(x.sources[1].sources[0]))
    if x.op is Op.ADD:
        for one, other in (x.sources, x.sources[::-1]):
            if constant_everywhere(one) == 1:
                is_exp = other.op is Op.EXP
                return f.softplus(other.sources[0]) if is_exp else build.log1p(other)
    return None


def _sum(node: Node) -> Node | None:
    (x,) = node.sources
    if constant_everywhere(x) == 0:
        return _zeros(node)
    if x.op is Op.SUM:
        inner = x.attributes["axes"]
        kept = [i for i in range(x.sources[0].rank) if i not in inner]
        outer = [kept[i] for i in node.attributes["axes"]]
        return build.sum_over(x.sources[0], (*inner, *outer))
    return None


def _reshape(node: Node) -> Node | None:
    (x,) = node.sources
    if x.op is Op.RESHAPE:
        return build.reshape(x.sources[0], node.shape)
    return build.reshape(x, node.shape) if x.shape == node.shape else None


def _permute(node: Node) -> Node | None:
    (x,) = node.sources
    if x.op is not Op.PERMUTE:
        return None
    order = [x.attributes["order"][i] for i in node.attributes["order"]]
    return build.permute(x.sources[0], order)


def _broadcast(node: Node) -> Node | None:
    (x,) = node.sources
    if x.op is Op.BROADCAST:
        return build.broadcast_to(x.sources[0], node.shape)
    if x.op is Op.RESHAPE and x.sources[0].op is Op.CONSTANT:
        return build.broadcast_to(x.sources[0], node.shape)
    return None


def _cast(node: Node) -> Node | None:
    (x,) = node.sources
    if x.op is Op.CONSTANT:
        value = cast_scalar(x.attributes["value"], x.dtype, node.dtype)
        return build.constant(value, node.dtype)
    if x.op is Op.BROADCAST and x.sources[0].op is Op.CONSTANT:
        value = cast_scalar(x.sources[0].attributes["value"], x.dtype, node.dtype)
        return build.full(node.shape, value, node.dtype)
    return None


def _where(node: Node) -> Node | None:
    condition, x, y = node.sources
    value = constant_everywhere(condition)
    if value is not None:
        return x if value else y
    return x if x is y else None


def _check(node: Node) -> Node | None:
    return node.sources[0] if constant_everywhere(node.sources[1]) else None


def _slice(node: Node) -> Node | None:
    return _zeros(node) if constant_everywhere(node.sources[0]) == 0 else None


def _matmul(node: Node) -> Node | None:
    has_zero = any(constant_everywhere(x) == 0 for x in node.sources)
    return _zeros(node) if has_zero else None


SIMPLER: dict[Op, Callable[[Node], Node | None]] = {
    Op.ADD: _add,
    Op.SUBTRACT: _subtract,
    Op.MULTIPLY: _multiply,
    Op.DIVIDE: _divide,
    Op.NEGATE: _negate,
    Op.POWER: _power,
    Op.LOG: _log,
    Op.SUM: _sum,
    Op.RESHAPE: _reshape,
    Op.PERMUTE: _permute,
    Op.BROADCAST: _broadcast,
    Op.CAST: _cast,
    Op.WHERE: _where,
    Op.CHECK: _check,
    Op.SLICE: _slice,
    Op.PAD: _slice,
    Op.MATMUL: _matmul,
}

_VANISHING = frozenset({Op.MULTIPLY, Op.DIVIDE, Op.MATMUL})


def simpler(node: Node) -> Node | None:
    """Return an equal, smaller node, or None.

    >>> x = build.input_node("x", (3,))
    >>> simpler(build.negate(build.negate(x)))
    <x (3) float32>
    """
    found = SIMPLER.get(node.op)
    return found(node) if found else None


def simplify(outputs: Sequence[Node], *, exact: bool = False) -> list[Node]:
    """Return smaller, equal graphs of the same shapes and element types.

    Args:
        outputs: The graphs.
        exact: Keep products and quotients with an exact zero, which are NaN if the other operand is not finite.

    >>> x = build.input_node("x", (3,))
    >>> simplify([build.log(build.exp(x))])
    [<x (3) float32>]
    """
    return rewrite(outputs, _simpler_exactly if exact else simpler)


def _simpler_exactly(node: Node) -> Node | None:
    has_zero = node.op in _VANISHING and any(
        constant_everywhere(x) == 0 for x in node.sources
    )
    return None if has_zero else simpler(node)
