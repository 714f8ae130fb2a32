"""Random orders that depend on their key alone, on every machine and for every release of NumPy."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError

Purpose = Literal["epoch", "split", "sample", "mask", "augment"]
_STREAMS: dict[Purpose, int] = {"epoch": 0, "split": 1, "sample": 2, "mask": 3, "augment": 4}
_WORD = 2**64 - 1


def words(n: int, seed: int, purpose: Purpose, counter: int = 0) -> npt.NDArray[np.uint64]:
    """Return n random words of 64 bits: Philox 4×64 with the key (seed, purpose) from the block ``counter``.

    Only the words of a NumPy bit generator are promised to stay the same between releases; the methods that
    shuffle or draw are not, so orders and uniform numbers are made from words here.

    Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    if not 0 <= counter <= _WORD:
        raise ArgumentError("epoch", expected="a whole number ≥ 0", got=str(counter))
    generator = np.random.Philox(key=[int(seed) & _WORD, _STREAMS[purpose]], counter=[0, 0, 0, counter])
    return np.asarray(generator.random_raw(n), np.uint64)


def shuffled(n: int, seed: int, purpose: Purpose, counter: int = 0) -> npt.NDArray[np.int64]:
    """Return 0 … n − 1 in random order: the order of n random words.

    >>> sorted(shuffled(5, seed=0, purpose="split").tolist())
    [0, 1, 2, 3, 4]
    """
    return np.argsort(words(n, seed, purpose, counter), kind="stable").astype(np.int64)


def uniform(n: int, seed: int, purpose: Purpose, counter: int = 0) -> npt.NDArray[np.float64]:
    """Return n numbers in [0, 1): the upper 53 bits of random words, times 2⁻⁵³."""
    return np.asarray((words(n, seed, purpose, counter) >> np.uint64(11)) * 2.0**-53, np.float64)
