"""The order in which an epoch sees the examples: a function of (seed, epoch) alone (DA-11)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError


def batches(
    n: int, batch_size: int, seed: int = 0, epoch: int = 0, shuffle: bool = True, drop_last: bool = False
) -> npt.NDArray[np.int64]:
    """Return the row numbers of one epoch; batch k is ``order[k·B : (k+1)·B]``, the last one may be smaller.

    >>> batches(5, 2, shuffle=False).tolist(), len(batches(5, 2, drop_last=True))
    ([0, 1, 2, 3, 4], 4)
    """
    if batch_size < 1:
        raise ArgumentError("batch_size", expected="a whole number ≥ 1", got=repr(batch_size))
    order = np.arange(n, dtype=np.int64)
    if shuffle:
        generator = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), epoch]))
        order = generator.permutation(order)
    return order[: n - n % batch_size] if drop_last else order
