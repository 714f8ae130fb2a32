"""Entries and parts of arrays: x_i, W_{ij}, X_{i,:}, x[:, 1:2], and the example x^{(i)} of a batch."""

from __future__ import annotations

from dataclasses import replace

from deltarule.errors import ShapeError
from deltarule.explain.formula.term import Symbol
from deltarule.explain.reading.meaning.context import Context
from deltarule.explain.reading.meaning.values import Value, squeezed, transposed
from deltarule.explain.reading.syntax import Called, Entry, Index, Span
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import show


def entry_of(evaluation: Context, tree: Entry) -> Value:
    """Return an entry or part of an array; an index of a matrix alone picks an example, as a column."""
    if isinstance(tree.body, Called) and tree.body.function == "place":
        return evaluation.placed(tree.body, tree.indices)
    body = evaluation.inside(tree.body)
    where = f"index at position {tree.at + 1}"
    free = {evaluation.index(i) for i in tree.indices if isinstance(i, str)}
    if body.indices and not body.shape and free == set(body.indices):
        return body  # (a_i b_i)_i
    if body.identity:
        raise ShapeError(where, expected="an array of known size", got="I")
    indices = _for_axes(tree.indices, body, where)
    example = len(indices) == 1 and len(body.shape) == 2 and 1 not in body.shape
    if len(indices) > 2 or (len(body.shape) > 2 and len(indices) != len(body.shape)):
        body = squeezed(body) if len(body.shape) != len(indices) else body
    if len(indices) == 1 and len(body.shape) > 2:
        body = _as_column(body)
    places = _axes(indices, body, where)
    if example and tree.example and evaluation.vocabulary.columns:
        places, example = [1], False
    single = len(places) == 1
    for index, axis in sorted(
        zip(indices, places, strict=True), key=lambda pair: pair[1]
    ):
        if not isinstance(index, str):
            body = _part(body, index, axis, where)
    letters = [
        (i, a) for i, a in zip(indices, places, strict=True) if isinstance(i, str)
    ]
    body = _with_letters(evaluation, body, letters, single)
    return transposed(replace(body, loose=True)) if example else body


def _as_column(body: Value) -> Value:
    """Return an array with one axis of more than one entry as a column."""
    sizes = [size for size in body.shape if size != 1]
    if len(sizes) > 1:
        return body
    lead = body.node.shape[: len(body.indices)]
    return replace(body, node=build.reshape(body.node, (*lead, *(sizes or [1]), 1)))


def _for_axes(indices: tuple[Index, ...], body: Value, where: str) -> tuple[Index, ...]:
    """Return one index for each axis; the digits of _{12} are two indices of a matrix."""
    first = indices[0]
    matrix = len(body.shape) == 2 and 1 not in body.shape
    if matrix and len(indices) == 1 and isinstance(first, int) and first > 9:
        rows = body.shape[0]
        if not isinstance(rows, int) or first > rows:
            return tuple(int(digit) for digit in str(first))
    if not body.shape:
        raise ShapeError(where, expected="an array", got="a number")
    return indices


def _axes(indices: tuple[Index, ...], body: Value, where: str) -> list[int]:
    shape = body.shape
    if len(indices) == 1:
        if len(shape) != 2:
            raise ShapeError(where, expected=f"{len(shape)} indices", got="1")
        return [1 if shape[0] == 1 and shape[1] != 1 else 0]
    if len(indices) != len(shape):
        raise ShapeError(
            where, expected=f"at most {len(shape)} indices", got=str(len(indices))
        )
    return list(range(len(shape)))


def _part(body: Value, index: Index, axis: int, where: str) -> Value:
    """Return the part that a number, a range or a label picks along an axis, which is kept."""
    lead = len(body.indices)
    size = body.shape[axis]
    if isinstance(index, Symbol):
        if index.node.shape != ():
            raise ShapeError(
                where, expected="a whole number as index", got=show(index.node.shape)
            )
        picked = build.gather(body.node, build.reshape(index.node, (1,)), axis + lead)
        return replace(body, node=picked)
    if isinstance(index, int):
        start, stop, step = index - 1, index, 1
    elif isinstance(index, Span) and index.start is not None and index.stop is not None:
        start, stop, step = index.start - 1, index.stop, index.step
    else:
        return body
    if not isinstance(size, int) or not 0 <= start < stop <= size or step < 1:
        raise ShapeError(
            where,
            expected=f"indices from 1 to {size}",
            got=f"{start + 1}" if stop == start + 1 else f"{start + 1}:{stop}",
        )
    whole = [(0, extent, 1) for extent in body.node.shape]
    whole[axis + lead] = (start, stop, step)
    node = build.slice_axes(body.node, *map(tuple, zip(*whole, strict=True)))
    return replace(body, node=node, free=(False, False))


def _with_letters(
    evaluation: Context, body: Value, letters: list[tuple[str, int]], single: bool
) -> Value:
    """Turn the axes that letters index into axes of indices."""
    if not letters:
        return body
    lead, rank = len(body.indices), len(body.shape)
    axes = [axis for _, axis in letters]
    rest = [axis for axis in range(rank) if axis not in axes]
    order = [
        *range(lead),
        *(lead + axis for axis in axes),
        *(lead + axis for axis in rest),
    ]
    node = build.permute(body.node, order)
    names = [*body.indices, *(evaluation.index(letter) for letter, _ in letters)]
    for name, axis in zip(names[lead:], axes, strict=True):
        evaluation.sizes[name] = body.shape[axis]
    kept = [body.shape[axis] for axis in rest]
    if all(size == 1 for size in kept):
        kept = []
    elif len(kept) == 1:
        kept = [1, kept[0]] if rest[0] == 1 else [kept[0], 1]
    node = build.reshape(node, (*node.shape[: len(names)], *kept))
    return _without_repetition(Value(node, tuple(names)))


def _without_repetition(value: Value) -> Value:
    """Return the diagonal where an index stands twice: A_ii."""
    names = list(value.indices)
    node = value.node
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            node = _diagonal(node, first, second)
            del names[second]
    return Value(node, tuple(names))


def _diagonal(node: Node, first: int, second: int) -> Node:
    if node.shape[first] != node.shape[second]:
        raise ShapeError(
            "index",
            expected=f"axes of equal size ({node.shape[first]})",
            got=f"{node.shape[second]}",
        )
    same = build.cast(
        build.equal(build.iota(node.shape, first), build.iota(node.shape, second)),
        node.dtype,
    )
    return build.sum_over(build.multiply(node, same), second)
