"""Reductions, softmax, sorting, cumulative sums and matrix products."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from deltarule import dtypes, shapes
from deltarule.errors import GraphError
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Results, Translator, tensor_node
from deltarule.render.numbers import counted


def _over(call: Call) -> tuple[Node, tuple[int, ...], bool, bool]:
    """Return (x, axes, keepdims, whether it is the identity)."""
    x = call[0]
    axes = call.listed("axes", 1)
    empty = axes is None or len(axes) == 0
    if empty and call.attribute("noop_with_empty_axes", 0):
        return x, (), True, True
    chosen = range(x.rank) if empty else axes
    return (
        x,
        tuple(sorted(call.counted(a, x.rank) for a in chosen)),
        bool(call.attribute("keepdims", 1)),
        False,
    )


def _reduce(
    make: Callable[[Node, tuple[int, ...]], Node],
    before: Callable[[Node], Node] | None = None,
) -> Translator:
    def translate(call: Call) -> Node:
        x, axes, keep, nothing = _over(call)
        x = before(x) if before else x
        if nothing:
            return make(x, ()) if before is None and make is not _sum else x
        result = make(x, axes)
        target = shapes.reduced(x.shape, axes, keepdims=keep)
        return build.cast(build.reshape(result, target), call[0].dtype)

    return translate


def _sum(x: Node, axes: tuple[int, ...]) -> Node:
    return build.sum_over(x, axes)


def _square(x: Node) -> Node:
    return build.multiply(x, x)


def _maximum(x: Node, axes: tuple[int, ...]) -> Node:
    if x.dtype is dtypes.BOOL and all(x.shape[i] for i in axes):
        return build.cast(
            build.maximum_over(build.cast(x, dtypes.INT32), axes), dtypes.BOOL
        )
    if x.dtype is dtypes.BOOL:
        return build.full(shapes.reduced(x.shape, axes), False, x.dtype)
    if any(x.shape[i] == 0 for i in axes):
        low = float("-inf") if x.dtype.is_float else int(np.iinfo(x.dtype.name).min)
        return build.full(shapes.reduced(x.shape, axes), low, x.dtype)
    return build.maximum_over(x, axes)


def _minimum(x: Node, axes: tuple[int, ...]) -> Node:
    if x.dtype is dtypes.BOOL:
        return build.logical_not(_maximum(build.logical_not(x), axes))
    if any(x.shape[i] == 0 for i in axes):
        high = float("inf") if x.dtype.is_float else int(np.iinfo(x.dtype.name).max)
        return build.full(shapes.reduced(x.shape, axes), high, x.dtype)
    if x.dtype.kind == "uint":
        return build.cast(
            algebra.minimum_over(build.cast(x, dtypes.INT64), axes), x.dtype
        )
    return algebra.minimum_over(x, axes)


def _product(x: Node, axes: tuple[int, ...]) -> Node:
    product = x
    for axis in reversed(axes):
        product = algebra.product_over(product, axis)
    return build.cast(product, x.dtype)


def _log_sum_exp(x: Node, axes: tuple[int, ...]) -> Node:
    if any(x.shape[i] == 0 for i in axes):
        return build.full(shapes.reduced(x.shape, axes), float("-inf"), x.dtype)
    rest = [i for i in range(x.rank) if i not in axes]
    moved = build.permute(x, (*rest, *axes))
    flat = build.reshape(
        moved, (*moved.shape[: len(rest)], shapes.count(moved.shape[len(rest) :]))
    )
    return f.logsumexp(flat, axis=flat.rank - 1)


def _arg(call: Call) -> Node:
    x = call[0] if call.kind == "ArgMax" else build.negate(call[0])
    axis = call.axis(x.rank)
    if call.attribute("select_last_index", 0):
        found = build.subtract(
            x.shape[axis] - 1, build.argmax(build.flip(x, (axis,)), axis)
        )
    else:
        found = build.argmax(x, axis)
    return build.expand_dims(found, (axis,)) if call.attribute("keepdims", 1) else found


def _softmax(make: Callable[..., Node]) -> Translator:
    """Return the translator of a function along an axis; before opset 13 the axes from ``axis`` on are flattened."""

    def translate(call: Call) -> Node:
        x = call[0]
        if call.version >= 13:
            return make(x, axis=call.axis(x.rank, -1))
        axis = call.attribute("axis", 1)  # may be the rank itself
        axis = axis if axis == x.rank else call.counted(axis, x.rank)
        flat = build.reshape(
            x, (shapes.count(x.shape[:axis]), shapes.count(x.shape[axis:]))
        )
        return build.reshape(make(flat, axis=1), x.shape)

    return translate


def _hardmax(x: Node, axis: int) -> Node:
    winner = build.expand_dims(build.argmax(x, axis), (axis,))
    return build.cast(build.equal(build.iota(x.shape, axis), winner), x.dtype)


def _top_k(call: Call) -> Results:
    x = call[0]
    k = (
        int(call.values(1).ravel()[0])
        if call.optional(1) is not None
        else call.attribute("k")
    )
    axis = call.axis(x.rank, -1)
    key = build.cast(x, dtypes.INT64) if x.dtype.kind == "uint" else x
    order = build.argsort(
        build.negate(key) if call.attribute("largest", 1) else key, axis
    )
    best = algebra.part(order, axis, 0, k)
    return algebra.take_along_axis(x, best, axis), best


def _cumulative(call: Call) -> Node:
    x = call[0]
    axis = call.counted(int(call.values(1).ravel()[0]), x.rank)
    x = build.flip(x, (axis,)) if call.attribute("reverse", 0) else x
    x = _before(x, axis, 0) if call.attribute("exclusive", 0) else x
    total = build.cast(build.cumulative_sum(x, axis), x.dtype)
    return build.flip(total, (axis,)) if call.attribute("reverse", 0) else total


def _before(x: Node, axis: int, first: int) -> Node:
    """Shift by one along an axis, with ``first`` as the first element."""
    n = int(x.shape[axis])
    if not n:
        return x
    filler = build.full(algebra.part(x, axis, 0, 1).shape, first, x.dtype)
    return build.concatenate([filler, algebra.part(x, axis, 0, n - 1)], axis)


def _cumulative_product(call: Call) -> Node:
    x, axis = call[0], call.counted(int(call.values(1).ravel()[0]), call[0].rank)
    x = build.flip(x, (axis,)) if call.attribute("reverse", 0) else x
    x = _before(x, axis, 1) if call.attribute("exclusive", 0) else x
    running = build.cast(algebra.cumulative_product(x, axis), x.dtype)
    return build.flip(running, (axis,)) if call.attribute("reverse", 0) else running


def _matmul(call: Call) -> Node:
    x, y = call[0], call[1]
    if x.dtype.is_float:
        return build.matmul(x, y)
    exact = build.matmul(build.cast(x, dtypes.FLOAT64), build.cast(y, dtypes.FLOAT64))
    return build.cast(exact, x.dtype)


def _gemm(call: Call) -> Node:
    a, b = call[0], call[1]
    a = build.matrix_transpose(a) if call.attribute("transA", 0) else a
    b = build.matrix_transpose(b) if call.attribute("transB", 0) else b
    result = build.multiply(build.matmul(a, b), call.attribute("alpha", 1.0))
    bias = call.optional(2)
    return (
        result
        if bias is None
        else build.add(result, build.multiply(bias, call.attribute("beta", 1.0)))
    )


def einsum(equation: str, operands: list[Node]) -> Node:
    """Return the Einstein summation of operands, computed by broadcasting; "..." stands for leading axes.

    >>> from deltarule.tensor.tensor import Tensor, tensor
    >>> x = tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> Tensor(einsum("ij,ij->i", [x.node, x.node])).tolist()
    [5.0, 25.0]
    """
    equation = equation.replace(" ", "")
    letters_of = r"[a-zA-Z]*(\.\.\.)?[a-zA-Z]*"
    left, arrow, right = equation.partition("->")
    fits = re.fullmatch(rf"{letters_of}(,{letters_of})*(->{letters_of})?", equation)
    if not fits or left.count(",") + 1 != len(operands) or not set(right) <= set(left):
        raise GraphError(
            "einsum",
            expected=f"an equation for {counted(len(operands), 'operand')}",
            got=repr(equation),
        )
    terms = left.split(",")
    dots = max(
        (
            x.rank - len(t.replace("...", ""))
            for t, x in zip(terms, operands, strict=True)
            if "..." in t
        ),
        default=0,
    )
    names = "".join(chr(0x3B1 + i) for i in range(dots))

    def named(term: str, rank: int) -> str:
        count = rank - len(term.replace("...", ""))
        return term.replace("...", names[dots - count :]) if "..." in term else term

    terms = [named(t, x.rank) for t, x in zip(terms, operands, strict=True)]
    letters = [c for c in dict.fromkeys("".join(terms))]
    if arrow:
        out = right.replace("...", names)
    else:
        out = names + "".join(
            sorted(
                c for c in letters if "".join(terms).count(c) == 1 and c not in names
            )
        )
    order = [*out, *(c for c in letters if c not in out)]
    product = None
    for term, x in zip(terms, operands, strict=True):
        while len(set(term)) < len(term):  # a repeated letter selects a diagonal
            letter = next(c for c in term if term.count(c) > 1)
            first, second = (i for i, c in enumerate(term) if c == letter)
            on = build.equal(build.iota(x.shape, first), build.iota(x.shape, second))
            x = build.sum_over(build.where(on, x, 0), second)
            term = term[:second] + term[second + 1 :]
        x = build.permute(x, [term.index(c) for c in order if c in term])
        x = build.reshape(
            x,
            [
                x.shape[[c for c in order if c in term].index(c)] if c in term else 1
                for c in order
            ],
        )
        product = x if product is None else build.multiply(product, x)
    if product is None:
        return build.constant(0.0)
    return build.sum_over(product, tuple(range(len(out), len(order))))


def _lp_normalization(call: Call) -> Node:
    x = call[0]
    length = algebra.norm(
        x, call.attribute("p", 2), call.attribute("axis", -1), keepdims=True
    )
    return build.where(build.equal(length, 0), 0, build.divide(x, length))


OPERATORS: dict[str, Translator] = {
    "ArgMax": _arg,
    "ArgMin": _arg,
    "CumProd": _cumulative_product,
    "CumSum": _cumulative,
    "Det": lambda call: _determinant(call[0]),
    "Einsum": lambda call: einsum(
        call.text("equation", ""), [call[i] for i in range(len(call.operands))]
    ),
    "Gemm": _gemm,
    "Hardmax": _softmax(_hardmax),
    "LogSoftmax": _softmax(f.log_softmax),
    "LpNormalization": _lp_normalization,
    "MatMul": _matmul,
    "ReduceL1": _reduce(_sum, build.absolute),
    "ReduceL2": _reduce(lambda x, axes: build.sqrt(build.sum_over(_square(x), axes))),
    "ReduceLogSum": _reduce(lambda x, axes: build.log(build.sum_over(x, axes))),
    "ReduceLogSumExp": _reduce(_log_sum_exp),
    "ReduceMax": _reduce(_maximum),
    "ReduceMean": _reduce(lambda x, axes: build.mean(x, axes)),
    "ReduceMin": _reduce(_minimum),
    "ReduceProd": _reduce(_product),
    "ReduceSum": _reduce(_sum),
    "ReduceSumSquare": _reduce(_sum, _square),
    "Softmax": _softmax(f.softmax),
    "TopK": _top_k,
}


def _determinant(a: Node) -> Node:
    """Return det A = sign·e^(ln|det A|); the sign is a constant, so that gradients flow through ln|det A|."""
    size = build.exp(build.log_determinant(a))
    known = tensor_node(np.ones(a.shape[:-2], a.dtype.name))
    return build.multiply(size, build.multiply(known, _sign_of_determinant(a)))


def _sign_of_determinant(a: Node) -> Node:
    """Return the sign of det A by Gaussian elimination: the parity of the pivoting times the signs of the pivots."""
    n = int(a.shape[-1])
    batch = a.shape[:-2]
    sign = build.full(batch, 1.0, a.dtype)
    rows = tensor_node(np.arange(n))
    for k in range(n):
        column = build.reshape(algebra.part(a, a.rank - 1, k, k + 1), (*batch, n))
        place = build.argmax(
            build.where(build.less(rows, k), -1.0, build.absolute(column)), -1
        )
        chosen = build.expand_dims(
            build.equal(rows, build.expand_dims(place, (a.rank - 2,))), (a.rank - 1,)
        )
        pivot_row = build.sum_over(
            build.where(chosen, a, 0.0), a.rank - 2, keepdims=True
        )
        exchanged = build.where(chosen, algebra.part(a, a.rank - 2, k, k + 1), a)
        a = build.where(
            build.reshape(build.equal(rows, k), (n, 1)), pivot_row, exchanged
        )
        pivot = build.reshape(algebra.part(pivot_row, a.rank - 1, k, k + 1), batch)
        sign = build.multiply(
            sign,
            build.multiply(
                build.sign(pivot), build.where(build.equal(place, k), 1.0, -1.0)
            ),
        )
        safe = build.reshape(
            build.where(build.equal(pivot, 0), 1.0, pivot), (*batch, 1, 1)
        )
        left = algebra.part(a, a.rank - 1, k, k + 1)
        below = build.where(build.reshape(build.less(k, rows), (n, 1)), left, 0.0)
        a = build.subtract(a, build.divide(build.multiply(below, pivot_row), safe))
    return build.stop_gradient(sign)
