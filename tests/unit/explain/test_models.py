"""Models of layers: every layer, activation and loss is derived and proved; the gallery is up to date."""

from __future__ import annotations

import derivations
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.errors import ArgumentError
from deltarule.explain.page.page import columns
from deltarule.explain.results.identities import IDENTITIES
from deltarule.tensor.explain import derive

ACTIVATIONS = [
    nn.ELU,
    nn.GELU,
    nn.Identity,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.LogSoftmax,
    nn.PReLU,
    nn.ReLU,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softmax,
    nn.Softplus,
    nn.Tanh,
]
LOSSES = [
    losses.CrossEntropy,
    losses.Focal,
    losses.BinaryCrossEntropy,
    losses.BinaryFocal,
    losses.Hinge,
    losses.Huber,
    losses.KLDivergence,
    losses.LogCosh,
    losses.MeanAbsoluteError,
    losses.MeanSquaredError,
    losses.NegativeLogLikelihood,
    losses.PoissonNLL,
    losses.Quantile,
    losses.SquaredError,
]
LAYERS = [
    (lambda: nn.Conv1d(2, 3, kernel_size=3), (1, 8, 2)),
    (lambda: nn.Conv2d(1, 2, kernel_size=3, stride=2, padding=1), (1, 6, 6, 1)),
    (lambda: nn.MaxPool2d(2), (1, 4, 4, 2)),
    (lambda: nn.AvgPool2d(2), (1, 4, 4, 2)),
    (lambda: nn.GlobalAvgPool2d(), (1, 4, 4, 2)),
    (lambda: nn.LayerNorm(3), (3,)),
    (lambda: nn.BatchNorm(3), (4, 3)),
    (lambda: nn.Skip(nn.Linear(3, 3)), (3,)),
    (lambda: nn.Flatten(), (2, 3, 2)),
]


@pytest.mark.notes("BP-22", "ACT-20")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation):
    model = nn.Sequential(nn.Linear(3, 4), activation(), nn.Linear(4, 2))
    d = derive(model, losses.SquaredError(), input_shape=(3,))
    assert d.check(points=4)
    assert {line.name for line in d.steps if line.wanted} >= {"W_1", "b_1"}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss):
    d = derive(
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
        loss(),
        input_shape=(3,),
    )
    assert d.check(points=4)


@pytest.mark.notes("BP-22", "NRM-08")
@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_every_layer(make, shape):
    layer = make()
    x = dr.symbol("x", shape)
    weights = [parameter for _, parameter in layer.named_parameters()]
    out = layer(x)
    d = derive((out * out * out).sum(), wrt=[*weights, x])
    assert d.check(points=4)
    assert all(columns(line) <= 100 for line in str(d).splitlines())


def test_training_mode_has_a_mask_and_batch_statistics():
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)
    )
    d = derive(model, losses.CrossEntropy(), input_shape=(6, 3), mode="training")
    text = str(d)
    assert (
        "M₁ = 𝟙(U ≥ ½)" in text.replace("  =", " =")
        and "normalisation: through σ² and μ" in text
    )
    assert "proved" in text and "NOT" not in text


def test_a_model_needs_a_loss_and_a_shape():
    with pytest.raises(ArgumentError, match="a loss and an input shape"):
        derive(nn.Linear(2, 1))
    with pytest.raises(ArgumentError, match="variables"):
        derive(dr.symbol("x", ()) * 2.0)


def test_numbers_of_a_model_need_no_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    d = derive(model, losses.SquaredError(), input_shape=(2,))
    at = d.at({"x": [1.0, 2.0], "y": [0.5]})
    assert at["dL/dW_1"].shape == (2, 2)


def test_the_gallery_is_up_to_date():
    text = derivations.page()
    assert text == derivations.PAGE.read_text(encoding="utf-8"), (
        "run python tools/derivations.py"
    )
    matrices, optimizers = 5, 3
    n_proved = len(derivations.GALLERY) + matrices + optimizers + len(IDENTITIES)
    assert "NOT proved" not in text and text.count("proved: ") == n_proved
    pages = [
        line
        for block in text.split("```text")[1:]
        for line in block.split("```")[0].splitlines()
    ]
    assert all(
        columns(line) <= 100 for line in pages if not line.startswith(("  ✗", "  ✓"))
    )
