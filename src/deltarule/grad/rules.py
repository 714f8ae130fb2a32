"""The derivative table: primitive → named pullback.

A pullback maps the cotangent g = ∂L/∂(node) to the contribution to the cotangent of one operand.
All are in denominator layout (a gradient has the shape of its variable) and return nodes, so that every rule can
be differentiated again. Conventions: |x|′ = 0 at 0; max and min at a tie: all to the first; √x has an infinite
slope at 0; floor, sign and comparisons are flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deltarule import shapes
from deltarule.graph import algebra, build
from deltarule.graph.constants import constant_everywhere
from deltarule.graph.node import Node
from deltarule.graph.op import Op

Pullback = Callable[[Node, Node], Node]  # (node, cotangent) → cotangent of one operand


@dataclass(frozen=True)
class Rule:
    """A derivative rule: its name in textbooks and a pullback for each operand (None: no gradient).

    >>> x, g = build.input_node("x", (3,)), build.input_node("g", (3,))
    >>> RULES[Op.EXP].pull(build.exp(x), g, 0)
    <multiply (3) float32>
    """

    name: str
    pullbacks: tuple[Pullback | None, ...]
    each: Callable[[Node, Node, int], Node] | None = (
        None  # for operations with any number of operands
    )

    def pull(self, node: Node, cotangent: Node, index: int) -> Node | None:
        """Return the contribution to the cotangent of operand ``index``, or None."""
        if self.each is not None:
            return self.each(node, cotangent, index)
        pullback = self.pullbacks[index]
        return None if pullback is None else pullback(node, cotangent)


def rule(name: str, *pullbacks: Pullback | None) -> Rule:
    """Return a rule with one pullback for each operand.

    >>> rule("negation", lambda n, g: build.negate(g)).name
    'negation'
    """
    return Rule(name, pullbacks)


def _x(node: Node) -> Node:
    return node.sources[0]


def _y(node: Node) -> Node:
    return node.sources[1]


# ---------------------------------------------------------------- element-wise helpers


def _power_in_base(node: Node, g: Node) -> Node:
    """Return g·y·x^(y−1), and 0 where y = 0."""
    x, y = node.sources
    if constant_everywhere(y) is not None:
        return build.multiply(
            g, build.multiply(y, build.power(x, build.subtract(y, 1)))
        )
    slope = build.multiply(y, build.power(x, build.subtract(y, 1)))
    return build.multiply(g, build.where(build.equal(y, 0), 0, slope))


def _power_in_exponent(node: Node, g: Node) -> Node:
    """Return g·xʸ·ln x, and 0 where x = 0."""
    x = _x(node)
    safe = build.where(build.equal(x, 0), 1, x)
    return build.multiply(g, build.multiply(node, build.log(safe)))


def _chosen(keeps_first: Callable[[Node], Node], first: bool) -> Pullback:
    def pull(node: Node, g: Node) -> Node:
        kept = keeps_first(node)
        return build.where(kept, g, 0) if first else build.where(kept, 0, g)

    return pull


def _maximum_keeps_first(node: Node) -> Node:
    return build.logical_not(build.less(_x(node), _y(node)))


def _minimum_keeps_first(node: Node) -> Node:
    return build.logical_not(build.less(_y(node), _x(node)))


# ---------------------------------------------------------------- reductions and movement


def unreduced(node: Node, shape: shapes.Shape, axes: tuple[int, ...]) -> Node:
    """Broadcast a reduced node back to the shape before the reduction.

    >>> unreduced(build.input_node("g", (3,)), (2, 3), (0,))
    <broadcast (2, 3) float32>
    """
    kept = shapes.reduced(shape, axes, keepdims=True)
    return build.broadcast_to(build.reshape(node, kept), shape)


def first_maximum(x: Node, axes: tuple[int, ...]) -> Node:
    """Return whether each element is the first maximum over ``axes`` in row-major order.

    >>> first_maximum(build.input_node("x", (2, 3)), (1,))
    <equal (2, 3) bool>
    """
    order = (*(i for i in range(x.rank) if i not in axes), *axes)
    moved = build.permute(x, order)
    flat = build.reshape(
        moved,
        (*moved.shape[: x.rank - len(axes)], shapes.count(x.shape[i] for i in axes)),
    )
    winner = build.expand_dims(build.argmax(flat, -1), (flat.rank - 1,))
    hit = build.equal(build.iota(flat.shape, flat.rank - 1), winner)
    back = [order.index(i) for i in range(x.rank)]
    return build.permute(build.reshape(hit, moved.shape), back)


def _max_routes(node: Node, g: Node) -> Node:
    x, axes = _x(node), node.attributes["axes"]
    return build.where(first_maximum(x, axes), unreduced(g, x.shape, axes), 0)


def _uncumulated(node: Node, g: Node) -> Node:
    """Return cumulative sums from the end: an element is in its own sum and in all later ones."""
    axis = node.attributes["axis"]
    return build.flip(build.cumulative_sum(build.flip(g, (axis,)), axis), (axis,))


def _unbroadcast(node: Node, g: Node) -> Node:
    """Sum over the axes along which the source was broadcast."""
    shape = _x(node).shape
    new = node.rank - len(shape)
    stretched = [
        i
        for i in range(node.rank)
        if i < new or (shape[i - new] == 1 and node.shape[i] != 1)
    ]
    return build.reshape(build.sum_over(g, stretched), shape) if stretched else g


def _unpermute(node: Node, g: Node) -> Node:
    order = node.attributes["order"]
    return build.permute(g, [order.index(i) for i in range(len(order))])


def _unslice(node: Node, g: Node) -> Node:
    """Pad the cotangent of a slice with zeros."""
    shape = _x(node).shape
    low, high, interior = [], [], []
    a = node.attributes
    for start, step, kept, size in zip(
        a["starts"], a["steps"], node.shape, shape, strict=True
    ):
        whole = kept == size and step == 1
        used = 0 if kept == 0 else start + (kept - 1) * step + 1 if not whole else 0
        low.append(0 if whole or kept == 0 else start)
        high.append(0 if whole else size - used)
        interior.append(0 if whole else step - 1)
    return build.pad(g, low, high, interior)


def _unpad(node: Node, g: Node) -> Node:
    """Slice off the padding."""
    starts, stops, steps = [], [], []
    a = node.attributes
    for low, inner, size in zip(a["low"], a["interior"], _x(node).shape, strict=True):
        whole = low == 0 and inner == 0
        starts.append(low)
        stops.append(size if whole else low + max(0, (size - 1) * (inner + 1) + 1))
        steps.append(inner + 1)
    return build.slice_axes(g, starts, stops, steps)


def _part(node: Node, g: Node, index: int) -> Node:
    """Return the part of one of the concatenated tensors."""
    axis = node.attributes["axis"]
    start = sum(source.shape[axis] for source in node.sources[:index])
    stop = start + node.sources[index].shape[axis]
    starts = [start if i == axis else 0 for i in range(node.rank)]
    stops = [stop if i == axis else size for i, size in enumerate(node.shape)]
    return build.slice_axes(g, starts, stops)


# ---------------------------------------------------------------- contractions


def _geometry(node: Node) -> dict[str, Any]:
    return {
        key: node.attributes[key] for key in ("stride", "padding", "dilation", "groups")
    }


def _to_image(signal: Node, weight: Node, node: Node, image: Node) -> Node:
    geometry = _geometry(node)
    return build.convolve_transposed(
        signal, weight, **geometry, input_shape=image.shape
    )


def _to_weight(image: Node, signal: Node, node: Node, weight: Node) -> Node:
    geometry = _geometry(node)
    return build.convolve_weight(image, signal, **geometry, weight_shape=weight.shape)


def _to_signal(image: Node, weight: Node, node: Node) -> Node:
    return build.convolve(image, weight, **_geometry(node))


def _unwindow(node: Node, g: Node) -> Node:
    return build.fold(g, shape=_x(node).shape, **node.attributes)


def _unfold(node: Node, g: Node) -> Node:
    return build.windows(
        g, **{key: value for key, value in node.attributes.items() if key != "shape"}
    )


# ---------------------------------------------------------------- linear algebra


def _solve_left(node: Node, g: Node) -> Node:
    """Return −A⁻ᵀ g Xᵀ."""
    right = build.solve(build.matrix_transpose(_x(node)), g)
    return build.negate(build.matmul(right, build.matrix_transpose(node)))


def _log_determinant(node: Node, g: Node) -> Node:
    """Return g·A⁻ᵀ."""
    a = _x(node)
    inverse = build.solve(
        build.matrix_transpose(a), algebra.identity(a.shape[-1], a.dtype, a.shape[:-2])
    )
    return build.multiply(unreduced(g, a.shape, (a.rank - 2, a.rank - 1)), inverse)


def _cholesky(node: Node, g: Node) -> Node:
    """Return the symmetric part of L⁻ᵀ Φ(Lᵀg) L⁻¹; Φ keeps the lower triangle and halves the diagonal (Murray 2016)."""
    lower = node
    upper = build.matrix_transpose(lower)
    product = build.matmul(upper, g)
    rows, columns = (
        build.iota(product.shape, product.rank - 2),
        build.iota(product.shape, product.rank - 1),
    )
    weight = build.where(
        build.less(columns, rows),
        1.0,
        build.where(build.equal(columns, rows), 0.5, 0.0),
    )
    middle = build.multiply(product, build.cast(weight, product.dtype))
    left = build.solve(upper, middle)  # L⁻ᵀ Φ
    whole = build.matrix_transpose(
        build.solve(upper, build.matrix_transpose(left))
    )  # (L⁻ᵀ Φ) L⁻¹
    return build.multiply(build.add(whole, build.matrix_transpose(whole)), 0.5)


_FLAT = rule("piecewise constant: no gradient", None)
_FLAT_PAIR = rule("piecewise constant: no gradient", None, None)
_LEAF = rule("leaf")

RULES: dict[Op, Rule] = {
    Op.INPUT: _LEAF,
    Op.CONSTANT: _LEAF,
    Op.DIMENSION: _LEAF,
    Op.IOTA: _LEAF,
    Op.RANDOM: rule("random numbers: no gradient", None, None),
    Op.NEGATE: rule("negation", lambda n, g: build.negate(g)),
    Op.ABS: rule("absolute value", lambda n, g: build.multiply(g, build.sign(_x(n)))),
    Op.SIGN: _FLAT,
    Op.FLOOR: _FLAT,
    Op.EXP: rule("exponential", lambda n, g: build.multiply(g, n)),
    Op.EXPM1: rule("exponential", lambda n, g: build.multiply(g, build.exp(_x(n)))),
    Op.LOG: rule("logarithm", lambda n, g: build.divide(g, _x(n))),
    Op.LOG1P: rule("logarithm", lambda n, g: build.divide(g, build.add(_x(n), 1))),
    Op.SQRT: rule("square root", lambda n, g: build.divide(g, build.multiply(n, 2))),
    Op.SIN: rule("sine", lambda n, g: build.multiply(g, build.cos(_x(n)))),
    Op.COS: rule(
        "cosine", lambda n, g: build.negate(build.multiply(g, build.sin(_x(n))))
    ),
    Op.TANH: rule(
        "hyperbolic tangent",
        lambda n, g: build.multiply(g, build.subtract(1, build.multiply(n, n))),
    ),
    Op.ERF: rule(
        "error function",
        lambda n, g: build.multiply(
            build.multiply(g, 2 / math.sqrt(math.pi)),
            build.exp(build.negate(build.multiply(_x(n), _x(n)))),
        ),
    ),
    Op.NOT: _FLAT,
    Op.CAST: rule("change of element type", lambda n, g: build.cast(g, _x(n).dtype)),
    Op.STOP_GRADIENT: rule("gradient stopped", None),
    Op.ADD: rule("add gate distributes", lambda n, g: g, lambda n, g: g),
    Op.SUBTRACT: rule(
        "add gate distributes", lambda n, g: g, lambda n, g: build.negate(g)
    ),
    Op.MULTIPLY: rule(
        "multiply gate switches",
        lambda n, g: build.multiply(g, _y(n)),
        lambda n, g: build.multiply(g, _x(n)),
    ),
    Op.DIVIDE: rule(
        "quotient rule",
        lambda n, g: build.divide(g, _y(n)),
        lambda n, g: build.negate(build.divide(build.multiply(g, n), _y(n))),
    ),
    Op.FMOD: rule(
        "remainder: the quotient stays",
        lambda n, g: g,
        lambda n, g: build.multiply(g, build.divide(build.subtract(n, _x(n)), _y(n))),
    ),
    Op.POWER: rule("power rule", _power_in_base, _power_in_exponent),
    Op.MAXIMUM: rule(
        "max gate routes",
        _chosen(_maximum_keeps_first, first=True),
        _chosen(_maximum_keeps_first, first=False),
    ),
    Op.MINIMUM: rule(
        "min gate routes",
        _chosen(_minimum_keeps_first, first=True),
        _chosen(_minimum_keeps_first, first=False),
    ),
    Op.EQUAL: _FLAT_PAIR,
    Op.LESS: _FLAT_PAIR,
    Op.AND: _FLAT_PAIR,
    Op.OR: _FLAT_PAIR,
    Op.WHERE: rule(
        "selection routes",
        None,
        lambda n, g: build.where(_x(n), g, 0),
        lambda n, g: build.where(_x(n), 0, g),
    ),
    Op.CHECK: rule("a checked value", lambda n, g: g, None, None),
    Op.SUM: rule(
        "sum distributes", lambda n, g: unreduced(g, _x(n).shape, n.attributes["axes"])
    ),
    Op.MAX: rule("max gate routes", _max_routes),
    Op.ARGMAX: _FLAT,
    Op.CUMULATIVE_SUM: rule("running sums from the end", _uncumulated),
    Op.RESHAPE: rule("reshape back", lambda n, g: build.reshape(g, _x(n).shape)),
    Op.PERMUTE: rule("transpose back", _unpermute),
    Op.BROADCAST: rule("sum over the repetitions", _unbroadcast),
    Op.SLICE: rule("selection routes", _unslice),
    Op.PAD: rule("selection routes", _unpad),
    Op.FLIP: rule("reverse back", lambda n, g: build.flip(g, n.attributes["axes"])),
    Op.CONCATENATE: Rule("each part takes its share", (), _part),
    Op.GATHER: rule(
        "gradients gather at the rows taken",
        lambda n, g: build.scatter_add(
            _y(n), g, n.attributes["axis"], _x(n).shape[n.attributes["axis"]]
        ),
        None,
    ),
    Op.SCATTER_ADD: rule(
        "each update reads its row",
        None,
        lambda n, g: build.gather(g, _x(n), n.attributes["axis"]),
    ),
    Op.ARGSORT: _FLAT,
    Op.MATMUL: rule(
        "multiply gate switches",
        lambda n, g: build.matmul(g, build.matrix_transpose(_y(n))),
        lambda n, g: build.matmul(build.matrix_transpose(_x(n)), g),
    ),
    Op.CONVOLVE: rule(
        "convolution",
        lambda n, g: _to_image(g, _y(n), n, _x(n)),
        lambda n, g: _to_weight(_x(n), g, n, _y(n)),
    ),
    Op.CONVOLVE_TRANSPOSED: rule(
        "transposed convolution",
        lambda n, g: _to_signal(g, _y(n), n),
        lambda n, g: _to_weight(g, _x(n), n, _y(n)),
    ),
    Op.CONVOLVE_WEIGHT: rule(
        "weight gradient of a convolution",
        lambda n, g: _to_image(_y(n), g, n, _x(n)),
        lambda n, g: _to_signal(_x(n), g, n),
    ),
    Op.WINDOWS: rule("overlapping windows add up", _unwindow),
    Op.FOLD: rule("each window reads its share", _unfold),
    Op.SOLVE: rule(
        "linear solve",
        _solve_left,
        lambda n, g: build.solve(build.matrix_transpose(_x(n)), g),
    ),
    Op.LOG_DETERMINANT: rule("log-determinant", _log_determinant),
    Op.CHOLESKY: rule("Cholesky factor", _cholesky),
    Op.CALL: _LEAF,  # named functions: grad/textbook.py, or the derivative of their expansion
}
