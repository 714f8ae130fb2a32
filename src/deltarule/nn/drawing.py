"""Long rows of random numbers, drawn by several threads with the very numbers that one would draw.

A counter-based generator can begin anywhere in its stream of words. A number takes one word, now and then some more
(a normal one that is rejected), so a thread can't know whether a number begins at the word where its stretch begins.
It is supposed that one does; where the stretch before has ended elsewhere, the stretch is drawn again from there.
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
Draw = Callable[[Array, np.random.Generator], None]  # fills a block with the next ones
MANY = 1 << 19  # numbers from which on several threads are of use
_BLOCK = 1 << 15  # numbers that are drawn at a time
_STRETCH = 1 << 17  # words that a thread draws from at a time
_SHARE = 0.97  # numbers a word, a little less than a normal distribution takes


def fill(made: AnyArray, random: np.random.Generator, draw: Draw, threads: int) -> None:
    """Fill a flat array with the next numbers of a generator; their bits do not depend on the number of threads."""
    philox, start = random.bit_generator, 0
    while (
        isinstance(philox, np.random.Philox)
        and threads > 1
        and len(made) - start >= 2 * threads * _STRETCH
    ):
        stretches = _Stretches(made[start:], philox, draw)
        stretches.run(threads)
        start += stretches.filled
    _Drawer(draw, np.empty(_BLOCK)).to(made[start:], random)


def idle_cores() -> int:
    """Return how many cores have nothing to do, at least 1: where others compute, threads wait for one another."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, cores("cpu") - int(load))


@final
class _Drawer:
    """Draws numbers in blocks that stay in the cache."""

    def __init__(self, draw: Draw, block: Array) -> None:
        self._draw, self._block = draw, block

    def to(self, made: AnyArray, random: np.random.Generator) -> None:
        """Draw as many numbers as there is room for."""
        for start in range(0, len(made), _BLOCK):
            block = self._block[: min(_BLOCK, len(made) - start)]
            self._draw(block, random)
            made[start : start + len(block)] = block

    def until(
        self, end: int, made: AnyArray, random: np.random.Generator
    ) -> tuple[int, int]:
        """Draw until a number has taken word end − 1; return how many they are, and the word after the last."""
        count, word = 0, _word(random.bit_generator.state)
        while word < end:
            left = end - word
            more = max(1, int(_SHARE * left - math.sqrt(left)))
            self.to(made[count : count + more], random)
            count, word = count + more, _word(random.bit_generator.state)
        return count, word


@final
class _Stretches:
    """Stretches of a generator's words, whose numbers are put one behind the other."""

    def __init__(self, made: AnyArray, philox: np.random.Philox, draw: Draw) -> None:
        self._made, self._philox, self._draw = made, philox, draw
        self._state: Any = philox.state
        self._first = self._word = _word(self._state)
        self._count = len(made) // _STRETCH  # a number takes a word at least
        self._waiting = iter(range(self._count))
        self._turn, self._turned = 0, threading.Condition()
        self._failed = False
        self.filled = 0

    def run(self, threads: int) -> None:
        """Draw all stretches, and leave the generator behind the last."""
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(self._work) for _ in range(threads)]:
                done.result()
        state: Any = self._at(self._word).bit_generator.state
        for name in ("has_uint32", "uinteger"):
            state[name] = self._state[name]
        self._philox.state = state

    def _at(self, word: int) -> np.random.Generator:
        """Return a generator that goes on from a word."""
        key = self._state["state"]["key"]
        philox = np.random.Philox(key=key, counter=word // 4)
        philox.random_raw(word % 4)
        return np.random.Generator(philox)

    def _work(self) -> None:
        numbers = np.empty(_STRETCH, self._made.dtype)
        drawer = _Drawer(self._draw, np.empty(_BLOCK))
        try:
            while not self._failed:
                with self._turned:
                    stretch = next(self._waiting, None)
                if stretch is None:
                    return
                self._stretch(stretch, numbers, drawer)
        except BaseException:
            with self._turned:
                self._failed = True
                self._turned.notify_all()
            raise

    def _stretch(self, stretch: int, numbers: AnyArray, drawer: _Drawer) -> None:
        """Draw a stretch, wait for the one before, and put the numbers where they belong."""
        start = self._first + stretch * _STRETCH
        end = start + _STRETCH
        count, word = drawer.until(end, numbers, self._at(start))
        with self._turned:
            self._turned.wait_for(lambda: self._turn == stretch or self._failed)
            if self._word != start:
                count, word = drawer.until(end, numbers, self._at(self._word))
            place = slice(self.filled, self.filled + count)
            self._word, self.filled, self._turn = word, place.stop, stretch + 1
            self._turned.notify_all()
        self._made[place] = numbers[:count]


def _word(state: Any) -> int:
    """Return how many words a Philox generator has given."""
    counter = sum(
        int(part) << 64 * i for i, part in enumerate(state["state"]["counter"])
    )
    return 4 * counter + int(state["buffer_pos"]) - 4
