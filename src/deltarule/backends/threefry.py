"""Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw 2011).

The key is (seed, stream), the counter (step, position): the same bits on every backend and for any number of threads.
In float32, element i is the upper 24 bits of word (i // 16) mod 2 of call (i // 32)·16 + i mod 16; in float64 element i
takes 53 bits from both words of call i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = np.uint32(0x1BD11BDA)
_Words = npt.NDArray[np.uint32]


def _rotate(x: _Words, by: int) -> _Words:
    return (x << np.uint32(by)) | (x >> np.uint32(32 - by))


def threefry(key: tuple[int, int], first: int, second: _Words) -> tuple[_Words, _Words]:
    """Return both words of Threefry-2x32-20 for the counters (first, second[i]).

    >>> [int(word[0]) for word in threefry((0, 0), 0, np.zeros(1, np.uint32))]
    [1797259609, 2579123966]
    """
    k0, k1 = (np.uint32(k & 0xFFFFFFFF) for k in key)
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    with np.errstate(over="ignore"):
        x0 = (
            np.full(second.shape, np.uint32(first & 0xFFFFFFFF), np.uint32)
            + schedule[0]
        )
        x1 = second + schedule[1]
        for group in range(5):
            for rotation in _ROTATIONS[4 * (group % 2) : 4 * (group % 2) + 4]:
                x0 = x0 + x1
                x1 = _rotate(x1, rotation) ^ x0
            x0 = x0 + schedule[(group + 1) % 3]
            x1 = x1 + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def uniform(
    count: int, seed: int, step: int, stream: int, dtype: str
) -> npt.NDArray[Any]:
    """Return uniform random numbers in [0, 1).

    Args:
        count: How many.
        seed: Seed, the first word of the key.
        step: Number of the step, the first word of the counter.
        stream: Distinguishes sequences of one seed and step.
        dtype: "float32" or "float64".

    >>> uniform(3, seed=0, step=0, stream=1, dtype="float32").shape
    (3,)
    """
    position = np.arange(count, dtype=np.uint32)
    if dtype == "float64":
        high, low = threefry((seed, stream), step, position)
        bits = (high.astype(np.uint64) << np.uint64(21)) ^ (
            low.astype(np.uint64) >> np.uint64(11)
        )
        return bits.astype(np.float64) * 2.0**-53
    call = (position // 32) * 16 + position % 16
    even, odd = threefry((seed, stream), step, call)
    word = np.where((position // 16) % 2 == 0, even, odd)
    return ((word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)).astype(
        dtype
    )
