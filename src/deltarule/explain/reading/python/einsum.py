"""Sums of products over axes: einsum and tensordot."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deltarule.errors import ArgumentError
from deltarule.explain.reading.python.arrays import Value, as_array
from deltarule.graph import build
from deltarule.graph.node import Node

_LARGEST = 1_000_000
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def einsum(equation: Value, *operands: Value) -> Node:
    """Return the sum of products that an equation such as "ij,j->i" names; an axis of each letter.

    >>> from deltarule.explain.reading.python.arrays import eye
    >>> einsum("ij,jk->ik", eye(3), eye(3)).shape
    (3, 3)
    """
    if not isinstance(equation, str):
        raise TypeError("equation")
    plain = equation.replace(" ", "")
    left, arrow, result = plain.partition("->")
    inputs = left.split(",")
    nodes = [as_array(operand) for operand in operands]
    if len(inputs) != len(nodes) or not set(plain) <= {*_LETTERS, *",->"}:
        raise TypeError("equation")
    letters = sorted({letter for part in inputs for letter in part})
    if not arrow:
        counts = {letter: left.count(letter) for letter in letters}
        result = "".join(letter for letter in letters if counts[letter] == 1)
    order = [*result, *(letter for letter in letters if letter not in result)]
    if (
        len(set(result)) != len(result)
        or not set(result) <= set(letters)
        or len(order) > 8
    ):
        raise TypeError("equation")
    product: Node | None = None
    for part, node in zip(inputs, nodes, strict=True):
        spread = _spread(part, node, order)
        product = spread if product is None else build.multiply(product, spread)
    if product is None:
        raise TypeError("operands")
    if (
        math.prod(size if isinstance(size, int) else 1 for size in product.shape)
        > _LARGEST
    ):
        raise ArgumentError(
            "einsum", expected=f"at most {_LARGEST} products", got="more"
        )
    summed = tuple(range(len(result), len(order)))
    return build.sum_over(product, summed) if summed else product


def _spread(part: str, node: Node, order: Sequence[str]) -> Node:
    """Return an operand with an axis for each letter of the order, those that it lacks of one entry."""
    if len(part) != node.rank or len(set(part)) != len(part):
        raise TypeError("operand")
    own = [letter for letter in order if letter in part]
    turned = build.permute(node, [part.index(letter) for letter in own])
    sizes = dict(zip(own, turned.shape, strict=True))
    return build.reshape(turned, [sizes.get(letter, 1) for letter in order])


def tensordot(x: Value, y: Value, axes: Value = 2) -> Node:
    """Return the sum of products over the last axes of x and the first of y, or over pairs of axes."""
    left, right = as_array(x), as_array(y)
    over: Sequence[Sequence[int]] = (
        [range(left.rank - axes, left.rank), range(axes)]
        if isinstance(axes, int)
        else [(a,) if isinstance(a, int) else a for a in axes]
    )
    first, second = (
        [_axis(a, n.rank) for a in own]
        for own, n in zip(over, (left, right), strict=True)
    )
    if len(first) != len(second):
        raise ValueError("axes")
    names = list(_LETTERS[: left.rank])
    others = list(_LETTERS[left.rank : left.rank + right.rank])
    for a, b in zip(first, second, strict=True):
        others[b] = names[a]
    kept = [n for i, n in enumerate(names) if i not in first]
    kept += [n for i, n in enumerate(others) if i not in second]
    return einsum(f"{''.join(names)},{''.join(others)}->{''.join(kept)}", left, right)


def _axis(axis: Value, rank: int) -> int:
    if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
        raise ValueError("axis")
    return axis % rank
