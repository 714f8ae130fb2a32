"""Numbers drawn by several threads: those of one thread, to the bit, and the generator where that would leave it."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule.nn import init, parallel_random


def _drawn(n, threads, normal, dtype="float64"):
    random = init.generator(3, "w")
    random.random(7)  # a generator that has been used, in the middle of its four words
    random.integers(0, 5, dtype=np.uint32)  # and keeps half a word

    def draw(block, source):
        (source.standard_normal if normal else source.random)(out=block)

    made = np.empty(n, dtype)
    parallel_random.fill(made, random, draw, threads)
    return made, random


@pytest.mark.parametrize("normal", [True, False])
@pytest.mark.parametrize("chunk", [5, 64, 1000])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_no_bit(monkeypatch, normal, chunk, threads):
    monkeypatch.setattr(parallel_random, "_CHUNK_WORDS", chunk)
    for n in (0, 1, 9999, 10_000):
        random = init.generator(3, "w")
        random.random(7)
        half = random.integers(0, 5, 3, dtype=np.uint32)[1:]
        random = init.generator(3, "w")
        random.random(7)
        random.integers(0, 5, dtype=np.uint32)
        expected = (random.standard_normal if normal else random.random)(n)
        made, used = _drawn(n, threads, normal)
        np.testing.assert_array_equal(made, expected)
        assert used.integers(0, 5, 2, dtype=np.uint32)[0] == half[0]
        random.integers(0, 5, 2, dtype=np.uint32)
        np.testing.assert_array_equal(used.random(9), random.random(9))


def test_full_chunks_in_a_narrower_type():
    n = 5 * parallel_random._CHUNK_WORDS
    made, _ = _drawn(n, 2, normal=True, dtype="float32")
    alone, _ = _drawn(n, 1, normal=True, dtype="float32")
    np.testing.assert_array_equal(made, alone)


def test_what_a_rule_raises_is_raised_from_the_threads(monkeypatch):
    monkeypatch.setattr(parallel_random, "_CHUNK_WORDS", 10)

    def draw(block, source):
        raise MemoryError("too many numbers")

    with pytest.raises(MemoryError, match="too many numbers"):
        parallel_random.fill(np.empty(1000), init.generator(0, "w"), draw, 3)


def test_generators_of_other_kinds_are_drawn_from_one_after_the_other(monkeypatch):
    monkeypatch.setattr(parallel_random, "_CHUNK_WORDS", 10)
    random, made = np.random.default_rng(5), np.empty(1000)
    parallel_random.fill(
        made, random, lambda block, source: source.random(out=block), 3
    )
    np.testing.assert_array_equal(made, np.random.default_rng(5).random(1000))
