"""Multi-threaded random numbers, bit-identical to those that a single thread draws.

A counter-based generator can start anywhere in its stream of 64-bit words. A number
consumes one word, occasionally more (a rejected normal sample), so a thread cannot know
whether a number begins at the first word of its chunk. It assumes so; if the previous
chunk ended elsewhere, the chunk is drawn again from there.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.runtime.devices import cores

Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
Draw = Callable[
    [Array, np.random.Generator], None
]  # fills a block with the next numbers
PARALLEL_SIZE = 1 << 19  # number of values from which several threads pay off
_BLOCK = 1 << 15  # numbers drawn at a time
_CHUNK_WORDS = 1 << 17  # words of a chunk
_NUMBERS_PER_WORD = 0.97  # slightly less than for a normal distribution


def fill(made: AnyArray, random: np.random.Generator, draw: Draw, threads: int) -> None:
    """Fill a flat array with the next numbers of a generator; the bits do not depend on the number of threads.

    Args:
        made: The array to fill.
        random: The generator; afterwards it is where a single thread would leave it.
        draw: Fills a float64 block with the next numbers of a generator.
        threads: Number of threads.

    >>> made = np.empty(3)
    >>> fill(made, np.random.default_rng(0), lambda block, random: random.random(out=block), threads=2)
    >>> bool((made == np.random.default_rng(0).random(3)).all())
    True
    """
    philox, start = random.bit_generator, 0
    while (
        isinstance(philox, np.random.Philox)
        and threads > 1
        and len(made) - start >= 2 * threads * _CHUNK_WORDS
    ):
        chunks = _Chunks(made[start:], philox, draw)
        chunks.run(threads)
        start += chunks.filled
    _BlockSampler(draw, np.empty(_BLOCK)).fill(made[start:], random)


def idle_cores() -> int:
    """Return the number of idle cores, at least 1: on busy cores threads would only wait for one another.

    >>> idle_cores() >= 1
    True
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, cores("cpu") - int(load))


@final
class _BlockSampler:
    """Draws numbers in blocks that stay in the cache."""

    def __init__(self, draw: Draw, block: Array) -> None:
        self._draw, self._block = draw, block

    def fill(self, made: AnyArray, random: np.random.Generator) -> None:
        """Fill the array with the next numbers."""
        for start in range(0, len(made), _BLOCK):
            block = self._block[: min(_BLOCK, len(made) - start)]
            self._draw(block, random)
            made[start : start + len(block)] = block

    def fill_until(
        self, end: int, made: AnyArray, random: np.random.Generator
    ) -> tuple[int, int]:
        """Draw until word end − 1 is consumed; return how many numbers that gave, and the word after the last one."""
        count, word = 0, _words_consumed(random.bit_generator.state)
        while word < end:
            left = end - word
            more = max(1, int(_NUMBERS_PER_WORD * left - math.sqrt(left)))
            self.fill(made[count : count + more], random)
            count, word = count + more, _words_consumed(random.bit_generator.state)
        return count, word


@final
class _Chunks:
    """Chunks of a generator's words, whose numbers are concatenated."""

    def __init__(self, made: AnyArray, philox: np.random.Philox, draw: Draw) -> None:
        self._made, self._philox, self._draw = made, philox, draw
        self._state: Any = philox.state
        self._first = self._word = _words_consumed(self._state)
        self._count = len(made) // _CHUNK_WORDS  # a number takes at least one word
        self._waiting = iter(range(self._count))
        self._turn, self._turned = 0, threading.Condition()
        self._failed = False
        self.filled = 0

    def run(self, threads: int) -> None:
        """Draw all chunks, and leave the generator after the last."""
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(self._work) for _ in range(threads)]:
                done.result()
        state: Any = self._at(self._word).bit_generator.state
        for name in ("has_uint32", "uinteger"):
            state[name] = self._state[name]
        self._philox.state = state

    def _at(self, word: int) -> np.random.Generator:
        """Return a generator that continues from a word."""
        key = self._state["state"]["key"]
        philox = np.random.Philox(key=key, counter=word // 4)
        philox.random_raw(word % 4)
        return np.random.Generator(philox)

    def _work(self) -> None:
        numbers = np.empty(_CHUNK_WORDS, self._made.dtype)
        sampler = _BlockSampler(self._draw, np.empty(_BLOCK))
        try:
            while not self._failed:
                with self._turned:
                    chunk = next(self._waiting, None)
                if chunk is None:
                    return
                self._fill_chunk(chunk, numbers, sampler)
        except BaseException:
            with self._turned:
                self._failed = True
                self._turned.notify_all()
            raise

    def _fill_chunk(
        self, chunk: int, numbers: AnyArray, sampler: _BlockSampler
    ) -> None:
        """Draw a chunk, wait for the previous one, and write the numbers to their place."""
        start = self._first + chunk * _CHUNK_WORDS
        end = start + _CHUNK_WORDS
        count, word = sampler.fill_until(end, numbers, self._at(start))
        with self._turned:
            self._turned.wait_for(lambda: self._turn == chunk or self._failed)
            if self._word != start:
                count, word = sampler.fill_until(end, numbers, self._at(self._word))
            place = slice(self.filled, self.filled + count)
            self._word, self.filled, self._turn = word, place.stop, chunk + 1
            self._turned.notify_all()
        self._made[place] = numbers[:count]


def _words_consumed(state: Any) -> int:
    """Return how many words a Philox generator has produced."""
    counter = sum(
        int(part) << 64 * i for i, part in enumerate(state["state"]["counter"])
    )
    return 4 * counter + int(state["buffer_pos"]) - 4
