"""Orders of epochs: functions of (seed, epoch) alone, the same everywhere."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule import data
from deltarule.data.sampling.shuffling import shuffled, uniform, words
from deltarule.errors import ArgumentError, DataError

M0, M1, W0, W1 = (
    0xD2E7470EE14C6C93,
    0xCA5A826395121157,
    0x9E3779B97F4A7C15,
    0xBB67AE8584CAA73B,
)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4×64 with ten rounds, after J. Salmon et al. (SC 2011), in whole numbers of Python."""
    c, (k0, k1), word = list(counter), key, 2**64
    for _ in range(10):
        p0, p1 = M0 * c[0], M1 * c[2]
        c = [p1 // word ^ c[1] ^ k0, p1 % word, p0 // word ^ c[3] ^ k1, p0 % word]
        k0, k1 = (k0 + W0) % word, (k1 + W1) % word
    return c


@given(st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_words_are_those_of_the_published_generator(seed, epoch):
    expected = philox([1, 0, 0, epoch], [seed, 2]) + philox([2, 0, 0, epoch], [seed, 2])
    assert words(8, seed, "sample", epoch).tolist() == expected


def test_philox_known_answer():
    """The first vector of Random123's kat_vectors for philox4x64-10."""
    expected = [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]
    assert philox([0, 0, 0, 0], [0, 0]) == expected


@pytest.mark.notes("DA-11")
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5), st.booleans())
def test_an_epoch_sees_every_row_once(n, size, epoch, drop_last):
    if drop_last and n < size:
        return
    order = data.batches(n, size, seed=3, epoch=epoch, drop_last=drop_last)
    assert order.dtype == np.int64
    assert len(order) == (n - n % size if drop_last else n)
    assert len(set(order.tolist())) == len(order)
    assert set(order.tolist()) <= set(range(n))
    np.testing.assert_array_equal(
        order, data.batches(n, size, 3, epoch, drop_last=drop_last)
    )


def test_epochs_seeds_and_purposes_have_orders_of_their_own():
    orders = [
        data.batches(50, 10, seed, epoch).tolist()
        for seed in (0, 1, 2**63)
        for epoch in range(3)
    ]
    orders += [shuffled(50, 0, "split").tolist(), shuffled(50, 0, "mask").tolist()]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_every_order_of_three_is_equally_likely():
    orders = [tuple(data.batches(3, 1, seed=0, epoch=e).tolist()) for e in range(6000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == math.factorial(3)
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5, (
        "χ² with 5 degrees of freedom, 99.9 %"
    )


def test_uniform_numbers_lie_in_the_unit_interval():
    u = uniform(4000, 0, "sample")
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 4 * math.sqrt(1 / 12 / 4000)


@pytest.mark.notes("C-DA-10", "C-DA-07")
def test_mean_of_equal_batches_is_the_mean_of_all():
    x = np.arange(12.0) ** 2
    order = data.batches(12, 4, seed=5)
    assert np.mean(
        [x[order[k : k + 4]].mean() for k in range(0, 12, 4)]
    ) == pytest.approx(x.mean(), rel=1e-15)
    assert len(data.batches(12, 12, shuffle=False)) == 12, (
        "b = n: one batch of all rows in their order"
    )
    np.testing.assert_array_equal(
        data.batches(12, 12, shuffle=False), data.batches(12, 1, shuffle=False)
    )


def test_batches_refuse_what_is_no_batch():
    for size in (0, -1, 2.5, True):
        with pytest.raises(ArgumentError, match="batch_size"):
            data.batches(10, size)
    with pytest.raises(DataError, match="one batch of 16"):
        data.batches(10, 16, drop_last=True)
    with pytest.raises(ArgumentError, match="epoch"):
        data.batches(10, 2, epoch=-1)


@pytest.mark.notes("DA-15")
def test_weighted_batches_draw_in_proportion():
    labels = np.repeat([0, 1], [900, 100])
    weights = data.balanced_class_weights(labels)[labels]
    drawn = labels[data.weighted_batches(weights, seed=1, n=10_000)]
    assert abs(drawn.mean() - 0.5) < 4 * 0.5 / 100
    first, second = (
        data.weighted_batches(weights, 1, 0),
        data.weighted_batches(weights, 1, 1),
    )
    assert not np.array_equal(first, second)
    assert set(data.weighted_batches([1.0, 0.0, 2.0, 0.0], n=200).tolist()) == {0, 2}
    for wrong in ([0.0, 0.0], [-1.0, 2.0], [np.nan], [[1.0]], []):
        with pytest.raises(DataError, match="≥ 0"):
            data.weighted_batches(wrong)


@pytest.mark.notes("DA-11")
def test_loader_yields_matching_parts_in_a_new_order_each_epoch():
    x = np.arange(10)
    loader = data.DataLoader(x, x * 2, batch_size=4, seed=7)
    assert len(loader) == 3
    first, second = list(loader), list(loader)
    assert [len(a) for a, _ in first] == [4, 4, 2]
    assert all(np.array_equal(b, 2 * a) for a, b in first + second)
    assert [a.tolist() for a, _ in first] != [a.tolist() for a, _ in second]
    assert [a.tolist() for a, _ in loader.epoch(0)] == [a.tolist() for a, _ in first]
    assert len(data.DataLoader(x, batch_size=4, drop_last=True)) == 2
    for arrays in ((), (x, x[:3]), (np.zeros((0, 2)),), (3.0,)):
        with pytest.raises(DataError, match="one length"):
            data.DataLoader(*arrays)
