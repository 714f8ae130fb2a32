"""What validation_split holds out: classes by their shares, examples with their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltarule import data, losses, nn
from deltarule.train import fit
from deltarule.train.steps.prepare import strata

R = np.random.default_rng(0)
RARE = (np.arange(40) % 10 == 0).astype(np.int64)  # four of forty
CASES: list[tuple[str, Any, Any]] = [
    ("cross_entropy", RARE, RARE),
    ("cross_entropy", np.eye(2, dtype=np.float32)[RARE], RARE),
    ("mean_squared_error", np.eye(3)[RARE], RARE),
    ("binary_cross_entropy", RARE, RARE),
    ("binary_cross_entropy", RARE[:, None].astype(np.float32), RARE),
    ("hinge", 2.0 * RARE - 1, RARE),
    ("hinge", (2 * RARE - 1)[:, None], RARE),
    ("binary_cross_entropy", R.uniform(size=40), None),
    ("binary_cross_entropy", R.integers(0, 2, (40, 3)), None),
    ("mean_squared_error", RARE.astype(np.float64), None),
    ("mean_squared_error", R.normal(size=(40, 2)), None),
]


@pytest.mark.parametrize(("loss", "targets", "expected"), CASES)
def test_targets_that_are_classes(loss: str, targets: Any, expected: Any) -> None:
    found = strata(targets, losses.get(loss))
    if expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(
            np.unique(found, return_inverse=True)[1], expected
        )


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge", "cross_entropy"])
def test_the_held_out_part_is_that_of_the_hand_with_classes_and_weights(
    loss: str,
) -> None:
    """fit(validation_split=…) is fit on the rows of a stratified split, measured with the weights of the others."""
    random = np.random.default_rng(0)
    x, weights = (
        random.normal(size=(40, 3)).astype(np.float32),
        random.uniform(0.2, 3.0, 40),
    )
    targets = {
        "binary_cross_entropy": RARE[:, None],
        "hinge": 2 * RARE[:, None] - 1,
        "cross_entropy": RARE,
    }[loss]
    rows = data.split(40, validation=0.25, test=0.0, seed=3, stratify=RARE)
    assert RARE[rows.validation].sum() == 1
    histories = []
    for options in ({"validation_split": 0.25}, None):
        n_outputs = 2 if loss == "cross_entropy" else 1
        model = nn.Sequential(nn.Linear(3, n_outputs), seed=0)
        own = rows.train if options is None else np.arange(40)
        held = (x[rows.validation], targets[rows.validation], weights[rows.validation])
        histories.append(
            fit(
                model,
                x[own],
                targets[own],
                sample_weight=weights[own],
                loss=loss,
                epochs=3,
                batch_size=6,
                seed=3,
                verbose=0,
                **(options or {"validation_data": held}),
            )
        )
    ours, by_hand = histories
    assert ours.series("loss") == by_hand.series("loss")
    assert ours.series("val_loss") == by_hand.series("val_loss")
