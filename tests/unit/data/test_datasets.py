"""Bundled data sets, against scikit-learn's copies."""

import json
from importlib.resources import files

import numpy as np
import pytest
from sklearn import datasets

from deltarule import data
from deltarule.errors import ArgumentError

LOADERS = {
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": lambda: datasets.load_diabetes(scaled=False),
}


@pytest.mark.parametrize("name", data.BUNDLED)
@pytest.mark.notes("DA-13", "DA-22")
def test_bundled_sets_hold_the_published_numbers(name):
    ours, theirs = data.load(name), LOADERS[name]()
    scale = 16 if name == "digits" else 1
    np.testing.assert_array_equal(
        ours.inputs.reshape(len(ours.inputs), -1),
        theirs.data.astype(np.float32) / np.float32(scale),
    )
    np.testing.assert_array_equal(
        ours.targets, theirs.target.astype(ours.targets.dtype)
    )
    assert ours.inputs.dtype == np.float32
    assert ours.targets.dtype == (
        np.int64 if ours.task == "classification" else np.float32
    )
    assert ours.n_classes == (
        len(np.unique(theirs.target)) if ours.task == "classification" else 0
    )
    if ours.feature_names:
        assert list(ours.feature_names) == list(theirs.feature_names)
    if name != "digits" and ours.class_names:
        assert list(ours.class_names) == [str(name) for name in theirs.target_names]


def test_digits_are_pictures_in_the_unit_interval():
    digits = data.load("digits")
    assert (digits.inputs.shape, digits.input_shape, digits.n_samples) == (
        (1797, 8, 8, 1),
        (8, 8, 1),
        1797,
    )
    assert (float(digits.inputs.min()), float(digits.inputs.max())) == (0.0, 1.0)
    np.testing.assert_array_equal(
        digits.inputs[..., 0], (datasets.load_digits().images / 16).astype(np.float32)
    )


@pytest.mark.parametrize("name", data.BUNDLED)
def test_every_set_names_its_source_and_licence(name):
    card = json.loads(
        (files("deltarule.data") / "bundled" / f"{name}.json").read_text(
            encoding="utf-8"
        )
    )
    assert set(card) >= {
        "title",
        "task",
        "class_names",
        "feature_names",
        "description",
        "source",
        "licence",
    }
    assert all(card[key] for key in ("title", "description", "source", "licence"))
    assert data.load(name).licence == card["licence"]


def test_take_keeps_inputs_and_targets_together():
    iris = data.load("iris")
    rows = np.array([149, 0, 75])
    part = iris.take(rows)
    np.testing.assert_array_equal(part.inputs, iris.inputs[rows])
    np.testing.assert_array_equal(part.targets, iris.targets[rows])
    assert part.class_names == iris.class_names


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(
        ArgumentError, match=r"digits, iris, wine, breast_cancer, diabetes"
    ):
        data.load("mnist")
