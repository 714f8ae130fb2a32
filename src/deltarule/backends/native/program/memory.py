"""Memory for native code, and what it reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.backends.given import Message, refusal
from deltarule.backends.native import abi
from deltarule.errors import DataError

LINE = 64
_TILE = 256  # elements of an axis that are copied at a time where axes change places


def aligned(nbytes: int) -> npt.NDArray[np.uint8]:
    """Return zeroed memory that begins at a cache line."""
    memory = np.zeros(max(1, nbytes) + LINE, np.uint8)
    skip = -memory.ctypes.data % LINE
    return memory[skip : skip + max(1, nbytes)]


def put(target: Array, source: Array) -> None:
    """Write ``source`` to ``target``; where the fastest axes differ, tile by tile, so that both stay in the cache.

    >>> target = np.zeros((3, 2)).T
    >>> put(target, np.arange(6.0).reshape(2, 3))
    >>> target.tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    first, second = _fastest(target), _fastest(source)
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


def _fastest(array: Array) -> int:
    """Return the axis of the shortest stride, among those that have one."""
    strides = [
        (stride if size > 1 else math.inf, -axis)
        for axis, (stride, size) in enumerate(
            zip(array.strides, array.shape, strict=True)
        )
    ]
    return -min(strides, default=(0, 0))[1]


def is_one_number(array: Array) -> bool:
    """Return whether an array is one number that is repeated, as ``np.broadcast_to`` gives it."""
    return array.size > 1 and not any(
        stride
        for stride, size in zip(array.strides, array.shape, strict=True)
        if size > 1
    )


def raise_reported(context: npt.NDArray[np.int64], messages: Sequence[Message]) -> None:
    """Raise DataError for what native code found wrong with the data; ``messages`` are those of its checks."""
    flag = int(context[abi.ERROR_FLAG])
    if flag >= abi.REFUSED:
        shown = context[abi.ERROR_VALUE : abi.ERROR_VALUE + 1].view(np.float64)[0]
        raise refusal(messages[flag - abi.REFUSED], float(shown))
    if flag == abi.OUTSIDE:
        size, value = int(context[abi.ERROR_SIZE]), int(context[abi.ERROR_VALUE])
        raise DataError("gather", expected=f"indices in [0, {size})", got=str(value))
    if flag == abi.SINGULAR:
        raise DataError("solve", expected="a regular matrix", got="a singular one")
    if flag == abi.INDEFINITE:
        raise DataError(
            "cholesky", expected="a positive definite matrix", got="one that is not"
        )
