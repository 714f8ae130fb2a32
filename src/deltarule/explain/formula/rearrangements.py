"""Leaves and movement as terms: reshapes that only regroup, transposes, parts, sums of parts put beside each other."""

from __future__ import annotations

from fractions import Fraction

from deltarule.explain.formula.algebra import (
    add,
    is_constant,
    lifted,
    matmul,
    number,
    scale,
    split,
    transpose,
)
from deltarule.explain.formula.term import (
    Apply,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    is_number,
    matrix_shape,
)
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op

_ONE = Fraction(1)


def apply(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return a node as a function of its operands, without looking inside.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(apply(build.sin(x.node), (x,)))
    'sin x'
    """
    name = node.attributes["function"] if node.op is Op.CALL else node.op.name.lower()
    return Apply(name, arguments, matrix_shape(node.shape), node, node.sources)


def input_rule(node: Node, _: tuple[Term, ...]) -> Term:
    """Return the symbol of an input.

    >>> x = build.input_node("x", (3,))
    >>> input_rule(x, ()).name
    'x'
    """
    return Symbol(str(node.attributes["name"]) or "c", matrix_shape(node.shape), node)


def dimension_rule(node: Node, _: tuple[Term, ...]) -> Term:
    """Return the symbol of an unknown size."""
    return Symbol(node.attributes["dimension"].name, (), node)


def reshape_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return a reshape: nothing for a vector as a column, a transpose for a row, else vec or its inverse.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(reshape_rule(build.reshape(x.node, (1, 3)), (x,)))
    'xᵀ'
    """
    (x,) = arguments
    target = matrix_shape(node.shape)
    if isinstance(x, Apply) and x.name == "reshape":  # only the last shape counts
        x = x.arguments[0]
    if x.shape == target:
        return x
    linear = _along_last_axis(node, x)
    if linear is not None:
        return linear
    if is_number(x.shape) and is_number(target):
        return (
            Product(x.coefficient, x.factors, target)
            if isinstance(x, Product) and not x.factors
            else x
        )
    if is_constant(x):
        return number(x.coefficient if isinstance(x, Product) else _ONE, target)
    if (
        len(x.shape) == 2 == len(target)
        and 1 in x.shape
        and target == (x.shape[1], x.shape[0])
    ):
        return transpose(x)
    if isinstance(x, Product) and x.coefficient != 1:  # a number stays in front
        coefficient, rest = split(x)
        return scale(coefficient, _reshaped(node, rest))
    return _reshaped(node, x)


def _reshaped(node: Node, x: Term) -> Term:
    parameter = build.input_node("x", x.shape, node.dtype)
    return Apply(
        "reshape",
        (x,),
        matrix_shape(node.shape),
        build.reshape(parameter, node.shape),
        (parameter,),
    )


def _along_last_axis(node: Node, x: Term) -> Term | None:
    """Return XW for a matrix product of the rows of an array of more axes, written with a reshape around it."""
    if (
        len(node.shape) < 3
        or not isinstance(x, Matmul)
        or len(x.factors) != 2
        or len(x.shape) != 2
    ):
        return None
    first, second = x.factors
    if not isinstance(first, Apply) or first.name != "reshape":
        return None
    (inner,) = first.arguments
    if inner.shape[:-1] != node.shape[:-1] or inner.shape[-1] != first.shape[-1]:
        return None
    a, b = (
        build.input_node("x", inner.shape, node.dtype),
        build.input_node("w", second.shape, node.dtype),
    )
    product = build.reshape(build.matmul(build.reshape(a, first.shape), b), node.shape)
    return Apply("matmul", (inner, second), matrix_shape(node.shape), product, (a, b))


def permute_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return a transpose, or axes in another order; two in a row are one.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> A = Symbol.of("A", (2, 3))
    >>> term_text(permute_rule(build.permute(A.node, (1, 0)), (A,)))
    'Aᵀ'
    """
    (x,), order = arguments, tuple(node.attributes["order"])
    if order == (1, 0):
        return transpose(x) if len(x.shape) == 2 else x
    if isinstance(x, Apply) and x.name == "permute":
        first = tuple(x.body.attributes["order"])
        order = tuple(first[axis] for axis in order)
        (x,) = x.arguments
    if order == tuple(range(len(order))):
        return x
    if is_constant(x):
        return number(split(x)[0], matrix_shape(node.shape))
    parameter = build.input_node("x", x.shape, node.dtype)
    return Apply(
        "permute",
        (x,),
        matrix_shape(node.shape),
        build.permute(parameter, order),
        (parameter,),
    )


def slice_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return a part; of a concatenation the piece itself, if it is one.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> v = build.input_node("v", (3,))
    >>> term_text(slice_rule(build.slice_axes(v, [0], [2], [1]), (Symbol("v", (3, 1), v),)))
    'v[1:2]'
    """
    (x,), given = arguments, node.attributes
    if isinstance(x, Apply) and x.name == "concatenate":
        axis, low = x.body.attributes["axis"], 0
        for piece, parameter in zip(x.arguments, x.parameters, strict=True):
            high = low + parameter.shape[axis]
            starts = tuple(low if i == axis else 0 for i in range(node.rank))
            if tuple(given["starts"]) == starts and parameter.shape == node.shape:
                return piece
            low = high
    return apply(node, arguments)


def add_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return a sum; one of parts put beside each other into zeros is a concatenation.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, y = Symbol.of("x", (3, 1)), Symbol.of("y", (3, 1))
    >>> term_text(add_rule(build.add(x.node, y.node), (x, y)))
    'x + y'
    """
    term = lifted(add(*arguments), matrix_shape(node.shape))
    parts = term.terms if isinstance(term, Sum) else ()
    if not parts or not all(
        isinstance(part, Apply) and part.body.op is Op.PAD for part in parts
    ):
        return term
    placed = [part for part in parts if isinstance(part, Apply)]
    for axis in range(node.rank):
        placed.sort(key=lambda part: int(part.body.attributes["low"][axis]))
        sizes = [part.parameters[0].shape[axis] for part in placed]
        offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        starts = [
            tuple(start if i == axis else 0 for i in range(node.rank))
            for start in offsets
        ]
        dense = not any(any(part.body.attributes["interior"]) for part in placed)
        tiled = all(
            tuple(part.body.attributes["low"]) == start
            for part, start in zip(placed, starts, strict=True)
        )
        others = all(
            part.parameters[0].shape[i] == node.shape[i]
            for part in placed
            for i in range(node.rank)
            if i != axis
        )
        if dense and tiled and others and sum(sizes) == node.shape[axis]:
            known = tuple(
                build.input_node("x", part.parameters[0].shape, node.dtype)
                for part in placed
            )
            pieces = tuple(part.arguments[0] for part in placed)
            return Apply(
                "concatenate",
                pieces,
                matrix_shape(node.shape),
                build.concatenate(known, axis),
                known,
            )
    return term


def broadcast_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return a repeated vector as v𝟙ᵀ or 𝟙wᵀ, a repeated number as itself.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> v = build.input_node("v", (3,))
    >>> term_text(broadcast_rule(build.broadcast_to(v, (2, 3)), (Symbol("v", (3, 1), v),)))
    '𝟙vᵀ'
    """
    (x,), target = arguments, matrix_shape(node.shape)
    source = node.sources[0].shape
    index = _index_along(node)
    if index is not None:
        return Apply("iota", (), target, index, ())
    if is_number(x.shape):
        return lifted(x, target)
    if x.shape == target:
        return x
    if isinstance(x, Product) and not x.factors:
        return number(x.coefficient, target)
    if len(target) != 2 or len(x.shape) != 2:
        return apply(node, arguments)
    if len(source) == 2 and source[1] == 1:
        return matmul(x, number(_ONE, (1, target[1])))
    row = transpose(x) if len(source) == 1 else x
    return matmul(number(_ONE, (target[0], 1)), row)


def _index_along(node: Node) -> Node | None:
    """Return the index i or j of a matrix for a repeated range 0, 1, 2, and so on."""
    source = node.sources[0]
    shape = source.shape
    while source.op in {Op.RESHAPE, Op.CAST}:
        source = source.sources[0]
    if source.op is not Op.IOTA or source.rank != 1 or node.rank < 2:
        return None
    along = [
        i + node.rank - len(shape)
        for i, size in enumerate(shape)
        if size == source.shape[0] and size != 1
    ]
    return build.iota(node.shape, along[0], source.dtype) if len(along) == 1 else None
