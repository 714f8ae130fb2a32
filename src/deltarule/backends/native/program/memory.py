"""Aligned memory and array copies for native code, and the errors that native code reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.backends.native import abi
from deltarule.backends.validation import CheckMessage, check_error
from deltarule.errors import DataError

CACHE_LINE = 64
_TILE = 256  # elements per axis of a tile of a transposed copy


def aligned(nbytes: int) -> npt.NDArray[np.uint8]:
    """Return zeroed memory that is aligned to a cache line.

    >>> aligned(100).ctypes.data % CACHE_LINE
    0
    """
    memory = np.zeros(max(1, nbytes) + CACHE_LINE, np.uint8)
    skip = -memory.ctypes.data % CACHE_LINE
    return memory[skip : skip + max(1, nbytes)]


def copy_array(target: Array, source: Array) -> None:
    """Copy ``source`` to ``target``; if their contiguous axes differ, the copy is tiled for cache locality.

    >>> target = np.zeros((3, 2)).T
    >>> copy_array(target, np.arange(6.0).reshape(2, 3))
    >>> target.tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    first, second = _contiguous_axis(target), _contiguous_axis(source)
    if first == second or min(target.shape[first], target.shape[second]) <= _TILE // 4:
        target[...] = source
        return
    for one in range(0, target.shape[first], _TILE):
        for other in range(0, target.shape[second], _TILE):
            tile = [slice(None)] * target.ndim
            tile[first], tile[second] = (
                slice(one, one + _TILE),
                slice(other, other + _TILE),
            )
            target[tuple(tile)] = source[tuple(tile)]


def _contiguous_axis(array: Array) -> int:
    """Return the axis of size > 1 with the smallest stride."""
    strides = [
        (stride if size > 1 else math.inf, -axis)
        for axis, (stride, size) in enumerate(
            zip(array.strides, array.shape, strict=True)
        )
    ]
    return -min(strides, default=(0, 0))[1]


def is_broadcast_scalar(array: Array) -> bool:
    """Return whether an array is a broadcast scalar, as returned by ``np.broadcast_to``.

    >>> is_broadcast_scalar(np.broadcast_to(0.0, (2, 3))), is_broadcast_scalar(np.zeros((2, 3)))
    (True, False)
    """
    return array.size > 1 and not any(
        stride
        for stride, size in zip(array.strides, array.shape, strict=True)
        if size > 1
    )


def raise_reported_error(
    context: npt.NDArray[np.int64], messages: Sequence[CheckMessage]
) -> None:
    """Raise the DataError that native code has reported, if any; ``messages`` are those of the program's checks."""
    flag = int(context[abi.ERROR_FLAG])
    if flag >= abi.CHECK_FAILED:
        shown = context[abi.ERROR_VALUE : abi.ERROR_VALUE + 1].view(np.float64)[0]
        raise check_error(messages[flag - abi.CHECK_FAILED], float(shown))
    if flag == abi.OUT_OF_RANGE:
        size, value = int(context[abi.ERROR_SIZE]), int(context[abi.ERROR_VALUE])
        raise DataError("gather", expected=f"indices in [0, {size})", got=str(value))
    if flag == abi.SINGULAR:
        raise DataError("solve", expected="an invertible matrix", got="a singular one")
    if flag == abi.INDEFINITE:
        raise DataError(
            "cholesky", expected="a positive definite matrix", got="one that is not"
        )
