"""Default models: what is built for which data, and that it takes and gives the data's own units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deltarule import nn
from deltarule.cli.inputs import models
from deltarule.data import BUNDLED, Dataset, load
from deltarule.errors import ArgumentError

ALL = np.arange(100)


@pytest.mark.parametrize("data", BUNDLED)
@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_gives_one_output_a_class_or_a_number(data: str, name: str) -> None:
    dataset = load(data)
    if name == "lenet" and data != "digits":
        with pytest.raises(ArgumentError, match=r"(?s)expected images .*--model mlp"):
            models.build(name, dataset, ALL, seed=0)
        return
    model = models.build(name, dataset, ALL, seed=0)
    expected = dataset.n_classes or 1
    assert model(dataset.inputs[:3]).shape == (3, expected)
    assert model.summary(input_shape=dataset.input_shape).complete


def test_lenet_for_digits_has_the_parameters_that_arithmetic_says() -> None:
    model = models.build("lenet", load("digits"), ALL, seed=0)
    dense = (2 * 2 * 32) * 64 + 64 + 64 * 10 + 10
    assert model.n_parameters == (3 * 3 * 1 + 1) * 16 + (3 * 3 * 16 + 1) * 32 + dense


@pytest.mark.parametrize(("height", "width"), [(4, 4), (9, 13), (28, 28)])
def test_lenet_takes_images_of_other_sizes(height: int, width: int) -> None:
    inputs = np.random.default_rng(0).random((6, height, width, 3), np.float32)
    data = Dataset("n", "t", "classification", inputs, np.arange(6) % 2, (), ("a", "b"))
    assert models.default_model(data) == "lenet"
    assert models.build("lenet", data, np.arange(6), seed=0)(inputs).shape == (6, 2)


def test_scale_is_learned_from_the_training_rows_alone() -> None:
    data = load("wine")
    rows = np.arange(0, 178, 2)
    scale = models.build("mlp", data, rows, seed=0)[0]
    assert isinstance(scale, nn.Standardize)
    assert np.allclose(scale.mean.numpy(), data.inputs[rows].mean(axis=0), rtol=1e-5)
    assert not np.allclose(scale.mean.numpy(), data.inputs.mean(axis=0), rtol=1e-5)


def test_regression_answers_in_the_units_of_the_target() -> None:
    data = load("diabetes")
    model = models.build("linear", data, np.arange(442), seed=0)
    for _, parameter in model.named_parameters():
        parameter.assign(np.zeros(parameter.shape))
    assert np.allclose(model(data.inputs[:5]).numpy(), data.targets.mean(), rtol=1e-5)
    assert models.targets(data).shape == (442, 1)


def test_first_weights_depend_on_the_seed_alone() -> None:
    data = load("iris")
    first, same, other = (
        models.build("mlp", data, ALL, seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["1.weight"], other["1.weight"])


def test_unknown_model_and_small_images() -> None:
    data = load("digits")
    with pytest.raises(
        ArgumentError, match="expected one of linear, mlp, lenet, got 'resnet'"
    ):
        models.build("resnet", data, ALL, seed=0)
    tiny = replace(data, inputs=data.inputs[:, :3, :3])
    assert models.default_model(tiny) == "mlp"
    assert models.build("mlp", tiny, ALL, seed=0)(tiny.inputs[:2]).shape == (2, 10)
