"""Orders by sorted words: the stable order that NumPy gives, made in less time."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule.data.sampling import shuffling
from deltarule.data.sampling.shuffling import (
    _STREAMS,
    _words_at,
    order_in_parts,
    order_of,
    shuffled,
    shuffled_in_parts,
    words,
)

SIZES = [1, 2, 3, 5, 255, 256, 257, 2**15, 2**15 + 1, 2**16 - 1, 100_003]


def _of(kind, n):
    random = np.random.default_rng(n)
    full = random.integers(0, 2**64, n, dtype=np.uint64)
    return {
        "words": full,
        "few values": full % np.uint64(7),
        "low bits alone": full >> np.uint64(44),
        "high bits alone": full >> np.uint64(44) << np.uint64(44),
        "all equal": np.full(n, 2**64 - 1, np.uint64),
        "sorted": np.sort(full),
        "falling": np.sort(full)[::-1].copy(),
        "pairs": np.repeat(full, 2)[:n].copy(),
    }[kind]


KINDS = [
    "words",
    "few values",
    "low bits alone",
    "high bits alone",
    "all equal",
    "sorted",
    "falling",
    "pairs",
]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_order_is_the_stable_one(kind, n):
    drawn = _of(kind, n)
    order = order_of(drawn.copy(), lambda places: drawn[places])
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, np.argsort(drawn, kind="stable"))


@pytest.mark.parametrize("n", [1, 4, 5, 1000, 300_001])
def test_shuffled_is_the_order_of_the_words(n):
    drawn = words(n, 3, "epoch", 7)
    np.testing.assert_array_equal(
        shuffled(n, 3, "epoch", 7), np.argsort(drawn, kind="stable")
    )
    places = np.unique(np.linspace(0, n - 1, 9).astype(np.int64))
    np.testing.assert_array_equal(_words_at(places, 3, "epoch", 7), drawn[places])


@pytest.mark.parametrize("n", [1, 2, 3, 257, 2**15 + 1])
@pytest.mark.parametrize("first", [1, 100, 2**14])
@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_an_order_do_not_change_once_they_are_made(kind, first, n):
    drawn = _of(kind, n)
    expected, used = np.argsort(drawn, kind="stable"), drawn.copy()
    ends = [0]
    for end in order_in_parts(used, lambda places: drawn[places], first):
        assert end > ends[-1]
        ends.append(end)
        np.testing.assert_array_equal(used.view(np.int64)[:end], expected[:end])
    assert ends[-1] == n
    if kind == "words":
        assert ends[1] <= first


def test_shuffled_in_parts_is_shuffled(monkeypatch):
    monkeypatch.setattr(shuffling, "_FIRST", 100)
    order, ends = shuffled_in_parts(70_001, 3, "epoch", 7)
    assert len(list(ends)) == 11
    np.testing.assert_array_equal(order, shuffled(70_001, 3, "epoch", 7))


@pytest.mark.parametrize("seed", [0, -1, -2, 2**63, 2**63 + 1, 2**64 - 5])
def test_every_bit_of_a_seed_counts(seed):
    """The key as one whole number of 128 bits, which NumPy cuts into words by itself."""
    key = _STREAMS["split"] << 64 | seed % 2**64
    expected = np.random.Philox(key=key).random_raw(9)
    np.testing.assert_array_equal(words(9, seed, "split"), expected)
    places = np.array([8, 0, 5])
    found = _words_at(places, seed, "split", 0)
    np.testing.assert_array_equal(found, expected[places])
