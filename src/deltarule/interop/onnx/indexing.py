"""Operators that read and write elements at indices: Gather, Scatter and their variants.

A negative index −n … −1 counts from the end of its axis. Any other index outside an axis raises a DataError when the
model is run; it never addresses an element of another row.
"""

from __future__ import annotations

from deltarule import dtypes, shapes
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Translator
from deltarule.shapes import Shape

_OUTSIDE = -1  # a position that raises an error at run time


def wrapped(indices: Node, size: int) -> Node:
    """Return indices in which negative ones count from the end of an axis of this size.

    >>> from deltarule.tensor.tensor import Tensor, tensor
    >>> Tensor(wrapped(tensor([0, -1, 7]).node, 3)).tolist()
    [0, 2, 7]
    """
    return build.where(build.less(indices, 0), build.add(indices, size), indices)


def _take(x: Node, indices: Node, axis: int) -> Node:
    """Gather along an axis with indices that may be negative."""
    return build.gather(x, wrapped(indices, x.shape[axis]), axis)


def _flattened(steps: list[Node], sizes: Shape) -> Node:
    """Return positions in axes of these sizes flattened; −1 where an index is outside its axis."""
    position = build.full(steps[0].shape, 0, dtypes.INT64)
    inside = build.full(steps[0].shape, True, dtypes.BOOL)
    for step, size in zip(steps, sizes, strict=True):
        index = wrapped(build.cast(step, dtypes.INT64), size)
        fits = build.logical_and(build.less(-1, index), build.less(index, size))
        inside = build.logical_and(inside, fits)
        position = build.add(build.multiply(position, size), index)
    return build.where(inside, position, _OUTSIDE)


def _same(call: Call, what: str, got: Shape, wanted: Shape) -> None:
    if tuple(got) != tuple(wanted):
        raise call.unsupported(
            f"{what} of shape {shapes.show(got)}, not {shapes.show(wanted)}"
        )


def _within(call: Call, x: Node, indices: Node, axis: int) -> None:
    """Raise UnsupportedOperatorError unless indices have the axes of x, and no larger size in any other axis."""
    if indices.rank != x.rank or any(
        i != axis and n > m
        for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))
    ):
        raise call.unsupported(
            f"indices of shape {shapes.show(indices.shape)} for data of shape {shapes.show(x.shape)}"
        )


def _tuples(call: Call, x: Node, indices: Node, batch: int) -> Node:
    """Return positions in the first batch + depth axes of x flattened, for indices (…, depth)."""
    depth = indices.shape[-1] if indices.rank else 0
    if not 0 < depth <= x.rank - batch or indices.rank <= batch:
        raise call.unsupported(
            f"indices of shape {shapes.show(indices.shape)} for data of shape {shapes.show(x.shape)}"
        )
    _same(call, "batch axes of the indices", indices.shape[:batch], x.shape[:batch])
    places = indices.shape[:-1]
    steps = [build.iota(places, i) for i in range(batch)]
    for k in range(depth):
        part = algebra.part(indices, indices.rank - 1, k, k + 1)
        steps.append(build.reshape(part, places))
    return _flattened(steps, x.shape[: batch + depth])


def _gather_elements(call: Call) -> Node:
    x, indices = call[0], call[1]
    axis = call.axis(x.rank)
    _within(call, x, indices, axis)
    stops = [x.shape[i] if i == axis else indices.shape[i] for i in range(x.rank)]
    cut = build.slice_axes(x, [0] * x.rank, stops)
    return algebra.take_along_axis(cut, indices, axis)


def _gather_nd(call: Call) -> Node:
    x, indices = call[0], call[1]
    batch = call.attribute("batch_dims", 0)
    position = _tuples(call, x, indices, batch)
    used = batch + indices.shape[-1]
    flat = build.reshape(x, (shapes.count(x.shape[:used]), *x.shape[used:]))
    return build.gather(flat, position, 0)


def _scattered(call: Call, flat: Node, position: Node, updates: Node) -> Node:
    """Scatter updates (n, …) into rows of ``flat`` at positions (n,) with the operator's reduction."""
    reduction = call.text("reduction", "none")
    size = flat.shape[0]
    if reduction == "add":
        return build.add(flat, build.scatter_add(position, updates, 0, size))
    if reduction == "none":
        ones = build.full(position.shape, 1, dtypes.INT64)
        number = build.iota((position.shape[0],), 0)
        # of several updates of one row the last one wins
        later = build.less(
            build.expand_dims(number, (1,)), build.expand_dims(number, (0,))
        )
        same = build.equal(
            build.expand_dims(position, (1,)), build.expand_dims(position, (0,))
        )
        beaten = build.less(
            0,
            build.sum_over(build.cast(build.logical_and(later, same), dtypes.INT64), 1),
        )
        column = (size, *([1] * (flat.rank - 1)))
        hit = build.reshape(
            build.less(0, build.scatter_add(position, ones, 0, size)), column
        )
        kept = build.reshape(beaten, (position.shape[0], *([1] * (updates.rank - 1))))
        chosen = build.where(kept, 0, updates)
        return build.cast(
            build.where(
                hit,
                build.scatter_add(position, build.cast(chosen, flat.dtype), 0, size),
                flat,
            ),
            flat.dtype,
        )
    combine = {"max": build.maximum, "min": build.minimum, "mul": build.multiply}[
        reduction
    ]
    call.unrolled(position.shape[0])
    # positions outside raise the error of gather: comparisons alone would leave them out
    position = build.gather(build.iota((size,), 0), position, 0)
    # one update after the other; the graph grows with their number
    for i in range(position.shape[0]):
        row = algebra.part(position, 0, i, i + 1)
        hit = build.equal(build.iota((size,), 0), row)
        hit_column = build.reshape(hit, (size, *([1] * (flat.rank - 1))))
        flat = build.where(
            hit_column, combine(flat, algebra.part(updates, 0, i, i + 1)), flat
        )
    return flat


def _scatter_elements(call: Call) -> Node:
    x, indices, updates = call[0], call[1], call[2]
    axis = call.axis(x.rank)
    _within(call, x, indices, axis)
    _same(call, "updates", updates.shape, indices.shape)
    steps = [
        indices if i == axis else build.iota(indices.shape, i) for i in range(x.rank)
    ]
    flat = _scattered(
        call,
        build.reshape(x, (-1,)),
        build.reshape(_flattened(steps, x.shape), (-1,)),
        build.reshape(updates, (-1,)),
    )
    return build.reshape(flat, x.shape)


def _scatter_nd(call: Call) -> Node:
    x, indices, updates = call[0], call[1], call[2]
    position = build.reshape(_tuples(call, x, indices, 0), (-1,))
    depth = indices.shape[-1]
    _same(call, "updates", updates.shape, (*indices.shape[:-1], *x.shape[depth:]))
    flat = build.reshape(x, (shapes.count(x.shape[:depth]), *x.shape[depth:]))
    rows = build.reshape(updates, (position.shape[0], *x.shape[depth:]))
    return build.reshape(_scattered(call, flat, position, rows), x.shape)


OPERATORS: dict[str, Translator] = {
    "ArrayFeatureExtractor": lambda call: _take(
        call[0], build.reshape(call[1], (-1,)), call[0].rank - 1
    ),
    "Gather": lambda call: _take(call[0], call[1], call.axis(call[0].rank)),
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
}
