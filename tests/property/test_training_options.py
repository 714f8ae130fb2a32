"""Random options of ``fit`` together against a loop of one's own in float64."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.training_by_hand import Case, by_the_loop, callbacks_of, check, draw

from deltarule import train
from deltarule.data import split

FEW, MANY = 40, 1500


@pytest.mark.parametrize("seed", range(FEW))
def test_options_together(seed, tmp_path):
    check(draw(seed), "reference", tmp_path)


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_options_together_in_machine_code(seed, tmp_path):
    check(draw(seed), "cpu", tmp_path)


def _as_many(case: Case) -> bool:
    """Whether ``fit_many`` takes these options."""
    return not (
        case.augmented
        or case.class_weight
        or case.halt
        or case.validation.endswith("data")
        or case.fits > 1
    )


def _check_many(case: Case, device: str) -> None:
    """Compare three models side by side, of which the second has the options of the case, with the loop."""
    x, y, w = case.data()
    rows, held = np.arange(case.n), None
    if case.validation == "split":
        parts = split(
            case.n,
            validation=0.3,
            test=0.0,
            seed=case.seed % 100,
            stratify=y if case.n_out == 3 else None,
        )
        rows, held = parts.train, parts.validation
    models, seed = [case.model() for _ in range(3)], case.seed % 100
    expected, epochs, step_losses = by_the_loop(case, models[1].state_dict(), 0)
    found = train.fit_many(
        models,
        x,
        y,
        loss=case.loss,
        optimizer=[case.optimizer] * 3,
        regularizers=list(case.regularizers),
        seed=[seed + 1, seed, seed + 2],
        train_rows=[rows] * 3,
        validation_rows=None if held is None else [held] * 3,
        epochs=[1, case.epochs, case.epochs + 1],
        batch_size=case.batch_size,
        callbacks=callbacks_of(case),
        metrics=["rmse"] if case.n_out == 2 else [],
        sample_weight=w if case.weighted else None,
        shuffle=case.shuffle,
        device=device,
    )[1]
    close = {"rtol": 1e-6, "atol": 1e-8, "err_msg": str(case)}
    np.testing.assert_allclose(found.step_losses, step_losses, **close)
    for ours, theirs in zip(found.epochs, epochs, strict=True):
        assert set(theirs) == set(ours) - {"seconds", "samples_per_second"}, case
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, **close)
    for name, value in models[1].state_dict().items():
        np.testing.assert_allclose(value, expected[name], **close)


@pytest.mark.parametrize(
    "seed", [seed for seed in range(2000, 2150) if _as_many(draw(seed))][:8]
)
def test_options_of_many_models(seed):
    _check_many(draw(seed), "reference")


@pytest.mark.slow
@pytest.mark.parametrize("block", range(15))
def test_many_options_together(block, tmp_path):
    for seed in range(10_000 + block * MANY // 15, 10_000 + (block + 1) * MANY // 15):
        check(draw(seed), "reference", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(5))
def test_many_options_together_in_machine_code(block, tmp_path):
    for seed in range(20_000 + block * 40, 20_000 + (block + 1) * 40):
        check(draw(seed), "cpu", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_many_options_of_many_models(device):
    count = 150 if device == "reference" else 30
    for seed in [seed for seed in range(30_000, 31_000) if _as_many(draw(seed))][
        :count
    ]:
        _check_many(draw(seed), device)
