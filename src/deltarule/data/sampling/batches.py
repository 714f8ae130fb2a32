"""The order in which an epoch sees the examples: a function of (seed, epoch) alone (DA-11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.data.sampling.shuffling import shuffled, uniform
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]


def _check_size(batch_size: int) -> None:
    if isinstance(batch_size, bool) or batch_size != int(batch_size) or batch_size < 1:
        raise ArgumentError(
            "batch_size", expected="a whole number ≥ 1", got=repr(batch_size)
        )


@checks_flags
def batches(
    n: int,
    batch_size: int,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Rows:
    """Return the row numbers of one epoch; batch k is ``order[k·B : (k+1)·B]``, the last one may be smaller.

    With n divisible by B there are n/B batches, and the mean of their means is the mean of all (C-DA-10); B = n
    is batch gradient descent, B = 1 stochastic gradient descent (C-DA-07).

    >>> batches(5, 2, shuffle=False).tolist(), len(batches(5, 2, drop_last=True))
    ([0, 1, 2, 3, 4], 4)
    """
    _check_size(batch_size)
    if drop_last and n < batch_size:
        raise DataError(
            "batches",
            expected=f"at least one batch of {counted(batch_size, 'example')}",
            got=counted(n, "example"),
            hint="Take a smaller batch_size, or drop_last=False.",
        )
    order = (
        shuffled(n, seed, "epoch", epoch) if shuffle else np.arange(n, dtype=np.int64)
    )
    return order[: n - n % batch_size] if drop_last else order


def weighted_batches(
    weights: Any, seed: int = 0, epoch: int = 0, n: int | None = None
) -> Rows:
    """Return n rows drawn with replacement, row i with probability wᵢ/Σw: a cure for rare classes (DA-15).

    Args:
        weights: One number ≥ 0 for each row; ``balanced_class_weights(y)[y]`` makes all classes equally frequent.
        seed: The run's seed.
        epoch: Number of the epoch; each has a draw of its own.
        n: Rows to draw; as many as there are weights by default.

    >>> weighted_batches([0.0, 1.0, 0.0]).tolist()
    [1, 1, 1]
    """
    chances = np.asarray(weights, np.float64)
    if (
        chances.ndim != 1
        or not np.isfinite(chances).all()
        or (chances < 0).any()
        or not chances.sum() > 0
    ):
        raise DataError(
            "weights",
            expected="numbers ≥ 0, not all 0",
            got=f"an array of shape {chances.shape}",
        )
    ends = np.cumsum(chances) / chances.sum()
    drawn = np.searchsorted(
        ends,
        uniform(len(chances) if n is None else n, seed, "sample", epoch),
        side="right",
    )
    last = int(
        np.flatnonzero(chances)[-1]
    )  # rounding may leave the sum a little below 1
    return np.minimum(drawn, last).astype(np.int64)


@final
class DataLoader:
    """Batches of arrays that belong together, in a new order each epoch (DA-11).

    Every pass over the loader is one epoch; ``epoch(e)`` yields a given one again, to the bit.

    >>> loader = DataLoader(np.arange(5), batch_size=2, shuffle=False)
    >>> len(loader), [batch.tolist() for (batch,) in loader]
    (3, [[0, 1], [2, 3], [4]])
    """

    @checks_flags
    def __init__(
        self,
        *arrays: Any,
        batch_size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        _check_size(batch_size)
        self.arrays: tuple[Array, ...] = tuple(np.asarray(array) for array in arrays)
        lengths = [len(array) if array.ndim else 0 for array in self.arrays]
        if not lengths or len(set(lengths)) != 1 or lengths[0] == 0:
            raise DataError(
                "DataLoader",
                expected="arrays of one length, at least 1",
                got=f"the lengths {lengths}",
            )
        self.n_samples = lengths[0]
        self.batch_size, self.shuffle, self.drop_last, self.seed = (
            batch_size,
            shuffle,
            drop_last,
            seed,
        )
        self.next_epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.n_samples, self.batch_size)
        return whole if self.drop_last else whole + (rest > 0)

    def epoch(self, number: int) -> Iterator[tuple[Array, ...]]:
        """Yield the batches of an epoch, a tuple with one part of each array."""
        order = batches(
            self.n_samples,
            self.batch_size,
            self.seed,
            number,
            self.shuffle,
            self.drop_last,
        )
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield tuple(array[rows] for array in self.arrays)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        number = self.next_epoch
        self.next_epoch += 1
        return self.epoch(number)
