"""Batches of an epoch, in an order that is a function of (seed, epoch) only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.sampling.shuffling import shuffled, uniform
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

__all__ = ["DataLoader", "batches", "weighted_batches"]

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
    """Return the row indices of one epoch, in the order of training.

    Batch k is ``order[k * B : (k + 1) * B]`` with B = ``batch_size``; the last one may be
    smaller. B = n is batch gradient descent, B = 1 stochastic gradient descent.

    Args:
        n: The number of rows.
        batch_size: The number of rows per batch.
        seed: The seed of the run.
        epoch: The number of the epoch.
        shuffle: Shuffle the rows.
        drop_last: Leave out an incomplete last batch.

    Raises:
        ArgumentError: ``batch_size`` is not a whole number ≥ 1.
        DataError: No batch is left with ``drop_last=True``.

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
    """Return row indices drawn with replacement, row i with probability wᵢ/Σw, for rare classes.

    Args:
        weights: A number ≥ 0 for each row; ``balanced_class_weights(y)[y]`` makes all classes
            equally frequent.
        seed: The seed of the run.
        epoch: The number of the epoch.
        n: The number of rows to draw; that of the weights by default.

    Raises:
        DataError: The weights are negative, not finite, or all 0.

    >>> weighted_batches([0.0, 1.0, 0.0]).tolist()
    [1, 1, 1]
    """
    w = np.asarray(weights, np.float64)
    valid = w.ndim == 1 and np.isfinite(w).all() and (w >= 0).all()
    if not valid or not w.sum() > 0:
        raise DataError(
            "weights",
            expected="numbers ≥ 0, not all 0",
            got=f"an array of shape {w.shape}",
        )
    cumulative = np.cumsum(w) / w.sum()
    positions = uniform(len(w) if n is None else n, seed, "sample", epoch)
    drawn = np.searchsorted(cumulative, positions, side="right")
    last = int(np.flatnonzero(w)[-1])  # rounding may leave the sum a little below 1
    return np.minimum(drawn, last).astype(np.int64)


@final
class DataLoader:
    """Iterate over batches of one or more arrays, reshuffled every epoch.

    Every iteration over the loader is one epoch; ``epoch(e)`` yields the batches of a given
    epoch again.

    Args:
        arrays: Arrays of the same length, such as inputs and targets.
        batch_size: The number of rows per batch.
        shuffle: Shuffle the rows in every epoch.
        drop_last: Leave out an incomplete last batch.
        seed: The random seed.

    Raises:
        DataError: The arrays are empty or differ in length.

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
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.next_epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.n_samples, self.batch_size)
        return whole if self.drop_last else whole + (rest > 0)

    def epoch(self, number: int) -> Iterator[tuple[Array, ...]]:
        """Yield the batches of an epoch: tuples with the rows of each array.

        >>> loader = DataLoader(np.arange(4), batch_size=2, seed=0)
        >>> [batch.tolist() for (batch,) in loader.epoch(3)] == [batch.tolist() for (batch,) in loader.epoch(3)]
        True
        """
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


check_calls(__name__)
