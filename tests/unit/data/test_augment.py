"""Augmentation: each against its definition; seeded draws, types kept, and its use against imbalance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats

from deltarule.data import augment
from deltarule.errors import ArgumentError, DataError

IMAGES = np.random.default_rng(0).random((200, 8, 9, 3))
EACH: list[augment.Augmentation] = [
    augment.RandomFlip(),
    augment.RandomFlip("vertical"),
    augment.RandomShift(2),
    augment.RandomCrop(8, 9, border=2),
    augment.RandomRotation(30),
    augment.RandomBrightness(0.3),
    augment.CutOut(3),
    augment.GaussianNoise(0.1),
    augment.Compose(
        augment.RandomFlip(), augment.RandomShift(1), augment.GaussianNoise(0.05)
    ),
]
every = pytest.mark.parametrize(
    "change", EACH, ids=lambda change: type(change).__name__
)


@pytest.mark.notes("TRF-06", "DA-14", "REG-21")
@every
def test_draws_depend_on_seed_and_epoch_alone(change: augment.Augmentation) -> None:
    before = IMAGES.copy()
    once, again = change(IMAGES, seed=1, epoch=2), change(IMAGES, seed=1, epoch=2)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, change(IMAGES, seed=2, epoch=2))
    assert not np.array_equal(once, change(IMAGES, seed=1, epoch=3))
    np.testing.assert_array_equal(IMAGES, before)
    assert once.shape == IMAGES.shape and once.dtype == IMAGES.dtype


@every
def test_grey_and_whole_number_images_keep_their_kind(
    change: augment.Augmentation,
) -> None:
    grey = (IMAGES[:20, ..., 0] * 255).astype(np.uint8)
    found = change(grey, seed=1)
    assert found.shape == grey.shape and found.dtype == np.uint8
    with pytest.raises(DataError, match=r"image\[None\]"):
        change(grey[0])


@pytest.mark.notes("TRF-05")
@pytest.mark.parametrize(("axis", "place"), [("horizontal", 2), ("vertical", 1)])
def test_flips(axis: Any, place: int) -> None:
    found = augment.RandomFlip(axis, 0.3)(IMAGES, seed=0)
    mirrored = np.flip(IMAGES, place)
    flipped = np.array(
        [np.array_equal(a, b) for a, b in zip(found, mirrored, strict=True)]
    )
    kept = np.array([np.array_equal(a, b) for a, b in zip(found, IMAGES, strict=True)])
    assert np.all(flipped ^ kept)
    assert abs(flipped.mean() - 0.3) < 4 * np.sqrt(0.21 / 200)


@pytest.mark.notes("TRF-06")
def test_shifts() -> None:
    found = augment.RandomShift(2, fill=-1.0)(IMAGES, seed=0)
    seen = set()
    for image, moved in zip(IMAGES, found, strict=True):
        fits = [
            (i, j)
            for i in range(-2, 3)
            for j in range(-2, 3)
            if np.array_equal(
                moved, ndimage.shift(image, (i, j, 0), order=0, cval=-1.0)
            )
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) == 25


@pytest.mark.notes("TRF-04")
def test_crops() -> None:
    found = augment.RandomCrop(5, 6)(IMAGES, seed=0)
    assert found.shape == (200, 5, 6, 3)
    places = set()
    for image, cut in zip(IMAGES, found, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(
            image, (5, 6), axis=(0, 1)
        ).transpose(0, 1, 3, 4, 2)
        hits = np.argwhere((windows == cut).all(axis=(2, 3, 4)))
        assert len(hits) == 1
        places.add(tuple(hits[0]))
    assert len(places) == 16
    with pytest.raises(DataError, match="at least 10×6"):
        augment.RandomCrop(10, 6)(IMAGES)


@pytest.mark.parametrize("degrees", [0, 90, 180, 13.0, -71.5])
def test_rotation_is_bilinear_about_the_centre(degrees: float) -> None:
    image = np.random.default_rng(1).random((9, 9, 2))
    expected = ndimage.rotate(
        np.pad(image, ((4, 4), (4, 4), (0, 0))), degrees, (0, 1), reshape=False, order=1
    )
    np.testing.assert_allclose(
        augment.rotated(image, degrees), expected[4:-4, 4:-4], atol=1e-8
    )
    if degrees in {0, 90, 180}:
        np.testing.assert_allclose(
            augment.rotated(image, degrees),
            np.rot90(image, round(degrees / 90)),
            atol=1e-12,
        )


def test_brightness_cut_out_and_noise() -> None:
    brighter = augment.RandomBrightness(0.3)(IMAGES, seed=0)
    factors = (brighter / IMAGES).reshape(200, -1)
    np.testing.assert_allclose(
        factors, np.broadcast_to(factors[:, :1], factors.shape), rtol=1e-12
    )
    assert stats.kstest(factors[:, 0], stats.uniform(0.7, 0.6).cdf).pvalue > 0.01
    assert augment.RandomBrightness(1.0, high=1.0)(IMAGES, seed=0).max() <= 1.0

    cut = augment.CutOut(3, fill=-1)(IMAGES, seed=0)
    for image, covered in zip(IMAGES, cut, strict=True):
        gone = (covered == -1).all(axis=-1)
        np.testing.assert_array_equal(covered[~gone], image[~gone])
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        assert (
            2 <= len(rows) <= 3
            and 2 <= len(columns) <= 3
            and gone.sum() == len(rows) * len(columns)
        )

    noise = augment.GaussianNoise(0.2)(IMAGES, seed=0) - IMAGES
    assert stats.kstest(noise.ravel() / 0.2, "norm").pvalue > 0.01


@pytest.mark.notes("TRF-08")
@pytest.mark.parametrize("strength", [0.2, 1.0, 2.0])
def test_mixup_mixes_inputs_and_targets_alike(strength: float) -> None:
    n = 3000
    identity = np.eye(n)
    x, y = augment.mixup(identity, identity * 3, strength, seed=1)
    np.testing.assert_allclose(y, 3 * x, rtol=1e-12)
    np.testing.assert_allclose(x.sum(1), 1, rtol=1e-12)
    partners = (x > 0).sum(1)
    assert partners.max() == 2
    shares = np.diagonal(x)[partners == 2]
    assert stats.kstest(shares, stats.beta(strength, strength).cdf).pvalue > 0.01
    with pytest.raises(DataError, match="one-hot"):
        augment.mixup(identity, np.arange(n))
    with pytest.raises(ArgumentError):
        augment.mixup(identity, identity, 0)


@pytest.mark.notes("TRF-07", "DA-15")
def test_balance_adds_changed_copies_of_the_rarer_classes() -> None:
    labels = np.array([0] * 120 + [1] * 50 + [2] * 30)
    x, y = augment.balance(IMAGES, labels, augment.GaussianNoise(0.01))
    assert np.bincount(y).tolist() == [120, 120, 120]
    np.testing.assert_array_equal(x[:200], IMAGES)
    np.testing.assert_array_equal(y[:200], labels)
    distance = (
        np.abs(x[200:, None] - IMAGES[labels == 1][None])
        .mean(axis=(2, 3, 4))
        .min(1)[: 120 - 50]
    )
    assert distance.max() < 0.02
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == 360
    with pytest.raises(DataError):
        augment.balance(IMAGES, labels[:3], augment.GaussianNoise())


def test_wrong_settings_are_refused() -> None:
    for make in (
        lambda: augment.RandomFlip("diagonal"),
        lambda: augment.RandomFlip(probability=2),
        lambda: augment.CutOut(0),
        lambda: augment.RandomShift(-1),
        lambda: augment.Compose(),
        lambda: augment.RandomBrightness(-1),
    ):
        with pytest.raises(ArgumentError):
            make()
