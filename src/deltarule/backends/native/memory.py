"""Memory for native code, and what it reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.given import Message, refusal
from deltarule.backends.native import context as words
from deltarule.errors import DataError

LINE = 64


def aligned(nbytes: int) -> npt.NDArray[np.uint8]:
    """Return zeroed memory that begins at a cache line."""
    memory = np.zeros(max(1, nbytes) + LINE, np.uint8)
    skip = -memory.ctypes.data % LINE
    return memory[skip : skip + max(1, nbytes)]


def raise_reported(context: npt.NDArray[np.int64], messages: Sequence[Message]) -> None:
    """Raise DataError for what native code found wrong with the data; ``messages`` are those of its checks."""
    flag = int(context[words.ERROR_FLAG])
    if flag >= words.REFUSED:
        shown = context[words.ERROR_VALUE : words.ERROR_VALUE + 1].view(np.float64)[0]
        raise refusal(messages[flag - words.REFUSED], float(shown))
    if flag == words.OUTSIDE:
        size, value = int(context[words.ERROR_SIZE]), int(context[words.ERROR_VALUE])
        raise DataError("gather", expected=f"indices in [0, {size})", got=str(value))
    if flag == words.SINGULAR:
        raise DataError("solve", expected="a regular matrix", got="a singular one")
    if flag == words.INDEFINITE:
        raise DataError(
            "cholesky", expected="a positive definite matrix", got="one that is not"
        )
