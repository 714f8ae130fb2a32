"""Augmented epochs: new in each, the same for a seed, the same after an interrupt; validation sees none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltarule import data, nn, optim
from deltarule.data import augment as changes
from deltarule.errors import ArgumentError, CheckpointError, DataError, DivergenceError
from deltarule.train import Callback, fit
from deltarule.train.steps.epoch_data import EpochData

IMAGES = np.random.default_rng(0).normal(size=(23, 6, 6, 1)).astype(np.float32)
LABELS = np.arange(23) % 3


def model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(64, 3),
        seed=2,
    )


def numbers(network: nn.Module) -> bytes:
    return b"".join(value.tobytes() for value in network.state_dict().values())


class StopAt(Callback):
    every = 1

    def __init__(self, step: int) -> None:
        self.step = step

    def on_steps(self, session: Any) -> None:
        if session.step == self.step:
            raise KeyboardInterrupt


def run(
    augment: Any, network: nn.Module | None = None, **options: Any
) -> tuple[nn.Module, Any]:
    network = network or model()
    given = {
        "loss": "cross_entropy",
        "optimizer": optim.Adam(learning_rate=0.01),
        "epochs": 3,
        "batch_size": 5,
        "verbose": 0,
        "seed": 4,
        "augment": augment,
        **options,
    }
    return network, fit(network, IMAGES, LABELS, **given)


# ---------------------------------------------------------------- what an epoch sees


@pytest.mark.notes("TRF-06", "REG-21")
def test_every_epoch_sees_its_own_copy() -> None:
    flip, shift = changes.RandomFlip(), changes.RandomShift(1)
    feed = EpochData([IMAGES, LABELS], [flip, shift], seed=9)
    first, second = feed.of(0)[0].copy(), feed.of(1)[0].copy()
    assert not np.array_equal(first, second) and feed.of(1)[1] is not None
    np.testing.assert_array_equal(
        first, shift(flip(IMAGES, 9, 0, 0), 9, 0, 16)
    )  # by hand, draws apart
    np.testing.assert_array_equal(feed.of(0)[0], first)
    np.testing.assert_array_equal(feed.arrays[0], IMAGES)
    assert (
        EpochData([IMAGES, LABELS], flip, seed=8).of(0)[0].tobytes()
        != EpochData([IMAGES, LABELS], flip, 9).of(0)[0].tobytes()
    )


def test_without_changes_nothing_is_copied() -> None:
    feed = EpochData([IMAGES, LABELS])
    assert (
        feed.of(0) is feed.of(7) and feed.of(0)[0] is IMAGES and feed.description == ""
    )


def test_rows_that_are_held_out_are_not_copied_and_never_seen() -> None:
    """validation_split trains on the rows of the split as if they had been taken by hand."""
    chosen = data.split(23, validation=0.3, test=0.0, seed=4, stratify=LABELS)
    feed = EpochData([IMAGES, LABELS], chosen=chosen.train)
    assert feed.of(0)[0] is IMAGES and feed.n_samples == len(chosen.train)
    np.testing.assert_array_equal(feed.rows(np.array([2, 0])), chosen.train[[2, 0]])
    assert feed.fingerprint != EpochData([IMAGES, LABELS]).fingerprint
    for change in (None, changes.GaussianNoise(0.2)):
        network, history = run(change, validation_split=0.3)
        by_hand = model()
        other = fit(
            by_hand,
            IMAGES[chosen.train],
            LABELS[chosen.train],
            loss="cross_entropy",
            epochs=3,
            batch_size=5,
            optimizer=optim.Adam(learning_rate=0.01),
            verbose=0,
            seed=4,
            augment=change,
            validation_data=(IMAGES[chosen.validation], LABELS[chosen.validation]),
        )
        assert numbers(network) == numbers(by_hand) and history.samples == other.samples
        assert history.series("val_loss") == other.series("val_loss")


def test_training_on_changed_epochs_is_training_on_their_copies() -> None:
    """An epoch with changes gives the weights of an epoch without on the changed data."""
    noise = changes.GaussianNoise(0.3)
    changed, _ = run(noise, epochs=1)
    plain = model()
    fit(
        plain,
        noise(IMAGES, 4, 0),
        LABELS,
        loss="cross_entropy",
        optimizer=optim.Adam(learning_rate=0.01),
        epochs=1,
        batch_size=5,
        verbose=0,
        seed=4,
    )
    assert numbers(changed) == numbers(plain)


def test_the_same_seed_gives_the_same_bits_and_validation_stays() -> None:
    chain = changes.Compose(changes.RandomFlip(), changes.RandomRotation(20))
    held = (IMAGES[:7], LABELS[:7])
    one, first = run(chain, validation_data=held)
    other, _ = run(chain, validation_data=held)
    another, _ = run(chain, validation_data=held, seed=5)
    assert numbers(one) == numbers(other) != numbers(another)
    assert first.epochs[-1]["val_loss"] == pytest.approx(
        one.evaluate(*held, loss="cross_entropy")["loss"], rel=1e-6
    )


@pytest.mark.parametrize("stop", [2, 5, 7, 11])
def test_stopped_and_resumed_to_the_bit(stop: int, tmp_path: Path) -> None:
    chain = [changes.RandomFlip(), changes.RandomShift(1), changes.CutOut(2)]
    whole, expected = run(chain)
    path = tmp_path / "run.dr"
    part, history = run(chain, callbacks=[StopAt(stop)], checkpoint=path)
    assert history.interrupted and numbers(part) != numbers(whole)
    resumed, history = run(chain, callbacks=[StopAt(0)], checkpoint=path, resume=True)
    assert (
        numbers(resumed) == numbers(whole)
        and history.step_losses == expected.step_losses
    )
    with pytest.raises(CheckpointError, match=r"same augmentation .*RandomFlip"):
        run([changes.RandomFlip()], callbacks=[StopAt(0)], checkpoint=path, resume=True)


def test_mixup_mixes_targets_too() -> None:
    rows = data.one_hot(LABELS)
    feed = EpochData([IMAGES, rows], [changes.RandomFlip(), changes.Mixup(0.5)], seed=1)
    x, y = feed.of(2)
    expected = changes.mixup(changes.RandomFlip()(IMAGES, 1, 2), rows, 0.5, 1, 2, 16)
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    network = model()
    history = fit(
        network,
        IMAGES,
        rows,
        loss="cross_entropy",
        augment=changes.Mixup(),
        epochs=2,
        verbose=0,
    )
    assert len(history.epochs) == 2
    with pytest.raises(DataError, match="one-hot"):
        run(changes.Mixup())


def test_crops_decide_the_size_that_the_model_sees() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    _, history = run(changes.RandomCrop(4, 4), network)
    assert history.steps == 15


def test_functions_of_ones_own_and_sample_weights() -> None:
    seen: list[tuple[int, int]] = []

    def brighter(inputs: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        seen.append((seed, epoch))
        return inputs + epoch

    run(brighter, sample_weight=np.ones(23))
    assert seen == [(4, 0), (4, 1), (4, 2)]
    assert EpochData([IMAGES, LABELS], brighter).description.endswith("brighter")


def test_what_is_no_augmentation_is_refused() -> None:
    for wrong in (changes.RandomFlip, "flip", [changes.RandomFlip(), 3]):
        with pytest.raises(ArgumentError, match="fit augment"):
            run(wrong)
    with pytest.raises(DataError, match="23 changed examples, numbers"):
        run(lambda inputs, seed, epoch: inputs[1:])


def test_a_divergence_in_a_later_epoch_is_told_with_its_step() -> None:
    def breaks(inputs: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        return inputs if epoch < 2 else inputs * np.float32("inf")

    network = model()
    with pytest.raises(DivergenceError, match=r"step 11 .epoch 3"):
        run(breaks, network)
    assert all(np.isfinite(value).all() for value in network.state_dict().values())
