"""What callers hand to compiled programs, checked in one place for every backend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.errors import DataError, ShapeError
from deltarule.graph.node import Node
from deltarule.render.numbers import counted
from deltarule.shapes import show

Message = tuple[
    str, str, str, bool
]  # of a check: where, what is expected, the hint, whether values are whole numbers


def refusal(message: Message, shown: float) -> DataError:
    """Return the error of a check that met a value."""
    where, expected, hint, whole = message
    short = np.float32(shown)
    got = (
        str(int(shown))
        if whole
        else str(short if short == shown else np.float64(shown))
    )
    return DataError(where, expected=expected, got=got, hint=hint)


def check_arrays(inputs: Sequence[Node], arrays: Sequence[Array]) -> None:
    """Raise unless there is one array for each input, of its shape."""
    if len(arrays) != len(inputs):
        raise DataError(
            "call", expected=counted(len(inputs), "array"), got=str(len(arrays))
        )
    for node, array in zip(inputs, arrays, strict=True):
        if np.shape(array) != node.shape:
            name = node.attributes.get("name", "")
            raise ShapeError(
                f"input {name}", expected=show(node.shape), got=show(np.shape(array))
            )


def checked_data(
    batch: Sequence[Node], data: Sequence[Array], rows: npt.NDArray[np.int64]
) -> list[Array]:
    """Return data sets as contiguous arrays of the types of a batch; every one of the rows is inside each."""
    arrays: list[Array] = []
    last = int(rows.view(np.uint64).max(initial=0))  # a number below 0 is large there
    for node, array in zip(batch, data, strict=True):
        given = np.ascontiguousarray(array, node.dtype.name)
        if given.shape[1:] != node.shape[1:] or given.ndim != len(node.shape):
            name, expected = (
                node.attributes.get("name", "a batch"),
                show(("rows", *node.shape[1:])),
            )
            raise ShapeError(
                f"data for {name}", expected=expected, got=show(given.shape)
            )
        if rows.size and last >= len(given):
            bad = rows.min() if rows.min() < 0 else rows.max()
            raise DataError(
                "order", expected=f"rows in [0, {len(given)})", got=str(int(bad))
            )
        arrays.append(given)
    return arrays
