"""Validation of the arrays passed to compiled programs, for all backends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.errors import DataError, ShapeError
from deltarule.graph.node import Node
from deltarule.render.numbers import counted
from deltarule.shapes import show

CheckMessage = tuple[
    str, str, str, bool
]  # of a check: operation, expected values, hint, and whether values are integers


def check_error(message: CheckMessage, shown: float) -> DataError:
    """Return the error of a failed check.

    Args:
        message: The message of the check.
        shown: The value to report.

    >>> print(check_error(("log", "x > 0", "", False), -1.0))
    log: expected x > 0, got -1.0.
    """
    where, expected, hint, whole = message
    short = np.float32(shown)
    got = (
        str(int(shown))
        if whole
        else str(short if short == shown else np.float64(shown))
    )
    return DataError(where, expected=expected, got=got, hint=hint)


def check_arrays(inputs: Sequence[Node], arrays: Sequence[Array]) -> None:
    """Raise DataError or ShapeError unless there is one array of the right shape for each input.

    >>> from deltarule.graph.build import input_node
    >>> check_arrays([input_node("x", (2,))], [np.zeros(2, np.float32)])
    """
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


def check_data(
    batch: Sequence[Node], data: Sequence[Array], rows: npt.NDArray[np.int64]
) -> list[Array]:
    """Return data sets as contiguous arrays of the element types of a batch.

    Args:
        batch: The batch inputs of a step program.
        data: One data set for each of them.
        rows: The rows that the run will read.

    Raises:
        ShapeError: a data set does not have the shape of its input, except for the number of rows.
        DataError: a row is out of range.

    >>> from deltarule.graph.build import input_node
    >>> data = check_data([input_node("x", (4, 2))], [np.zeros((10, 2))], np.arange(4))
    >>> data[0].dtype.name
    'float32'
    """
    arrays: list[Array] = []
    last = int(
        rows.view(np.uint64).max(initial=0)
    )  # negative rows wrap around to large numbers
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
