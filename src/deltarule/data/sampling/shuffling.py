"""Random orders that depend on their key alone, on every machine and for every release of NumPy."""

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
_BLOCK = 1 << 15  # words that are looked at at a time
_FIRST = 1 << 18  # places of an order that is used while the rest is made
Again = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint64]]


def _generator(seed: int, purpose: Purpose, block: list[int]) -> np.random.Philox:
    """Return the generator at a block. As words, since NumPy takes a list with a number ≥ 2⁶³ through float64."""
    key = np.array([int(seed) & _WORD, _STREAMS[purpose]], np.uint64)
    return np.random.Philox(key=key, counter=np.array(block, np.uint64))


def words(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> npt.NDArray[np.uint64]:
    """Return n random words of 64 bits: Philox 4×64 with the key (seed, purpose) from the block ``counter``.

    Only the words of a NumPy bit generator are promised to stay the same between releases; the methods that
    shuffle or draw are not, so orders and uniform numbers are made from words here.

    Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    if not 0 <= counter <= _WORD:
        raise ArgumentError("epoch", expected="a whole number ≥ 0", got=str(counter))
    generator = _generator(seed, purpose, [0, 0, 0, counter])
    return np.asarray(generator.random_raw(n), np.uint64)


def shuffled(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> npt.NDArray[np.int64]:
    """Return 0 … n − 1 in random order: the order of n random words.

    >>> sorted(shuffled(5, seed=0, purpose="split").tolist())
    [0, 1, 2, 3, 4]
    """
    drawn = words(n, seed, purpose, counter)
    return order_of(drawn, lambda places: _words_at(places, seed, purpose, counter))


def shuffled_in_parts(
    n: int, seed: int, purpose: Purpose, counter: int = 0
) -> tuple[npt.NDArray[np.int64], Iterator[int]]:
    """Return the memory of the order that ``shuffled`` gives, and the numbers of places up to which it is made.

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
    """Return single ones of ``words``: a block of the generator has four of them."""
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
    """Return the stable order of words, as ``np.argsort`` gives it, in a tenth of the time; it takes their memory.

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
    """Turn words into their stable order; yield where it is made up to.

    That is ``first`` places at most, then twice as far, and so on.

    The upper bits of each word and its place are sorted as one number. The few words that agree in the upper bits are
    drawn ``again`` by their places, and put into the order of the lower ones.
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
    """Turn sorted words with their places into places, those of equal upper bits in the order of the lower ones."""
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
    """Return (first, behind the last) of runs, by the places that are equal to the next.

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
    """Return n numbers in [0, 1): the upper 53 bits of random words, times 2⁻⁵³."""
    return np.asarray(
        (words(n, seed, purpose, counter) >> np.uint64(11)) * 2.0**-53, np.float64
    )
