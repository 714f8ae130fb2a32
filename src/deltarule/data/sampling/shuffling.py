"""Reproducible permutations and uniform numbers, the same on every machine and for every release of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError

Purpose = Literal["epoch", "split", "sample", "mask", "augment"]
_STREAMS: dict[Purpose, int] = {
    "epoch": 0,
    "split": 1,
    "sample": 2,
    "mask": 3,
    "augment": 4,
}
_WORD = 2**64 - 1
_BLOCK = 1 << 15  # words that are processed at a time
_FIRST = 1 << 18  # entries of a permutation that are sorted first
Again = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint64]]


def _generator(seed: int, purpose: Purpose, block: list[int]) -> np.random.Philox:
    """Return the generator at a block. As words, since NumPy takes a list with a number ≥ 2⁶³ through float64."""
    key = np.array([int(seed) & _WORD, _STREAMS[purpose]], np.uint64)
    return np.random.Philox(key=key, counter=np.array(block, np.uint64))


def words(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> npt.NDArray[np.uint64]:
    """Return n random 64-bit words of the Philox 4×64 generator (Salmon et al. 2011).

    NumPy guarantees the words of a bit generator between releases, but not its shuffling and
    sampling methods; permutations and uniform numbers are therefore made from words here.

    Args:
        n: The number of words.
        seed: The first part of the generator's key.
        purpose: The second part of the key: independent streams for different purposes.
        counter: The first block of the stream, such as the number of an epoch.

    >>> bool((words(4, seed=0, purpose="epoch") == words(4, seed=0, purpose="epoch")).all())
    True
    """
    if not 0 <= counter <= _WORD:
        raise ArgumentError("epoch", expected="a whole number ≥ 0", got=str(counter))
    generator = _generator(seed, purpose, [0, 0, 0, counter])
    return np.asarray(generator.random_raw(n), np.uint64)


def shuffled(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> npt.NDArray[np.int64]:
    """Return a random permutation of 0 … n − 1: the sorting order of n random words.

    >>> sorted(shuffled(5, seed=0, purpose="split").tolist())
    [0, 1, 2, 3, 4]
    """
    drawn = words(n, seed, purpose, counter)
    return order_of(drawn, lambda places: _words_at(places, seed, purpose, counter))


def shuffled_in_parts(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> tuple[npt.NDArray[np.int64], Iterator[int]]:
    """Return the permutation of ``shuffled``, and an iterator that sorts it part by part and yields the ends.

    >>> order, ends = shuffled_in_parts(5, seed=0, purpose="split")
    >>> list(ends), bool((order == shuffled(5, seed=0, purpose="split")).all())
    ([5], True)
    """
    drawn = words(n, seed, purpose, counter)
    return drawn.view(np.int64), order_in_parts(
        drawn, lambda places: _words_at(places, seed, purpose, counter), _FIRST
    )


def _words_at(
    places: npt.NDArray[np.int64], seed: int, purpose: Purpose, counter: int
) -> npt.NDArray[np.uint64]:
    """Return the words at some indices; a block of the generator has four words."""
    blocks = (
        _generator(seed, purpose, [place // 4, 0, 0, counter])
        for place in places.tolist()
    )
    found = [
        int(block.random_raw(4)[place % 4])
        for block, place in zip(blocks, places.tolist(), strict=True)
    ]
    return np.array(found, np.uint64)


def order_of(drawn: npt.NDArray[np.uint64], again: Again) -> npt.NDArray[np.int64]:
    """Return the stable sorting order of words, as ``np.argsort`` does, faster and in their memory.

    Args:
        drawn: The words, which are overwritten.
        again: A function that returns the words at some indices again.

    >>> words = np.array([2**63, 5, 2**63, 4], np.uint64)
    >>> order_of(words.copy(), lambda places: words[places]).tolist()
    [3, 1, 0, 2]
    """
    for _ in order_in_parts(drawn, again, max(1, len(drawn))):
        pass
    return drawn.view(np.int64)


def order_in_parts(
    drawn: npt.NDArray[np.uint64], again: Again, first: int
) -> Iterator[int]:
    """Replace words by their stable sorting order, and yield the number of sorted entries.

    The first part has at most ``first`` entries, and each further part doubles their number. The
    upper bits of each word and its index are sorted as one number; the few words that agree in
    the upper bits are computed ``again`` from their indices and sorted by the lower ones.

    >>> drawn = np.array([2**63, 5, 2**62, 4], np.uint64)
    >>> again = drawn.copy()
    >>> list(order_in_parts(drawn, lambda places: again[places], first=4)), drawn.tolist()
    ([4], [3, 1, 2, 0])
    """
    n = len(drawn)
    low = np.uint64((1 << max(1, (n - 1).bit_length())) - 1)
    for start in range(0, n, _BLOCK):  # blocks that stay in the cache
        block = drawn[start : start + _BLOCK]
        block &= ~low
        block |= np.arange(start, start + len(block), dtype=np.uint64)
    start, ends = 0, [n]
    while ends[-1] > first:
        half = ends[-1] // 2
        drawn[: ends[-1]].partition(half)
        ends.append(half)
    while ends:
        end = ends.pop()
        drawn[start:end].sort()
        while ends and (drawn[end - 1] ^ drawn[end]) <= low:  # agree across the end
            end = ends.pop()
            drawn[start:end].sort()
        _settle(drawn[start:end], low, again)
        yield end
        start = end


def _settle(part: npt.NDArray[np.uint64], low: np.uint64, again: Again) -> None:
    """Replace sorted words with indices by the indices, sorted by the lower bits where the upper ones agree."""
    equal = [np.zeros(0, np.int64)]
    for start in range(0, len(part) - 1, _BLOCK):
        after = part[start + 1 : start + _BLOCK + 1]
        equal.append(
            start + np.flatnonzero((part[start : start + len(after)] ^ after) <= low)
        )
    part &= low
    order = part.view(np.int64)
    for first, last in _runs(np.concatenate(equal)):
        run = order[first:last]
        run[:] = run[np.argsort(again(run), kind="stable")]


def _runs(equal: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the (start, stop) of runs, from the indices of entries that equal the next one.

    >>> _runs(np.array([3, 4, 8]))
    [(3, 6), (8, 10)]
    """
    if not len(equal):
        return []
    ends = np.flatnonzero(np.diff(equal) > 1)
    firsts, lasts = (
        equal[np.concatenate([[0], ends + 1])],
        equal[np.concatenate([ends, [len(equal) - 1]])] + 2,
    )
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def uniform(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> npt.NDArray[np.float64]:
    """Return n uniform numbers in [0, 1): the upper 53 bits of random words, times 2⁻⁵³.

    >>> bool((uniform(3, seed=0, purpose="sample") < 1).all())
    True
    """
    upper_bits = words(n, seed, purpose, counter) >> np.uint64(11)
    return np.asarray(upper_bits * 2.0**-53, np.float64)
