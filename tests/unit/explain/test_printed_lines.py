"""Everything that a derivation prints can be read back, and has the value of the line that it was printed for."""

from __future__ import annotations

import derivations as gallery
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.explain.derivation.derivation import Deriver
from deltarule.tensor.explain import without_target_checks
from unit.explain.read_back import wrong_readings
from unit.explain.spellings import PROBLEMS


def images():
    model = nn.Sequential(
        nn.Conv2d(1, 2, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, kernel_size=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(3, 2),
    )
    return dr.derive(model, losses.CrossEntropy(), input_shape=(2, 4, 4, 1))


def labels():
    X, W, b = dr.symbol("X", (5, 4)), dr.symbol("W", (3, 4)), dr.symbol("b", (3,))
    c = dr.symbol("c", (5,), dtype="int64")
    return dr.derive(losses.CrossEntropy()(X @ W.T + b, c), wrt=[W, b])


def activations():
    x, y = dr.symbol("x", (3,)), dr.symbol("y", (3,))
    W1, W2, W3 = (dr.symbol(f"W_{i}", (3, 3)) for i in (1, 2, 3))
    hidden = nn.elu(W2 @ nn.leaky_relu(W1 @ x, 0.1), alpha=0.5)
    error = nn.softplus(W3 @ nn.gelu(hidden)) - y
    return dr.derive((error @ error) ** 0.5, wrt=[W1, W2, W3])


def normalised_layers():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.SiLU(), nn.Linear(4, 2))
    return dr.derive(model, losses.MeanSquaredError(), input_shape=(5, 3))


def of_problem(name):
    def make():
        loss, variables = PROBLEMS[name].make()
        return dr.derive(loss, wrt=list(variables.values()))

    return make


NETWORKS = {
    **{make.__name__: make for make in gallery.GALLERY},
    **{
        make.__name__: make for make in (images, labels, activations, normalised_layers)
    },
    **{name: of_problem(name) for name in PROBLEMS},
}
DETAILS = [("denominator", "every"), ("denominator", "answers"), ("numerator", "steps")]


@pytest.mark.parametrize("name", NETWORKS)
def test_printed_lines_are_read_back(name):
    derived = NETWORKS[name]().derived
    assert not wrong_readings(derived)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("layout", "detail"), DETAILS)
def test_printed_lines_of_every_layout_and_detail_are_read_back(name, layout, detail):
    derived = NETWORKS[name]().derived
    loss, _ = without_target_checks(derived.loss, {})
    assert not wrong_readings(
        Deriver(loss, derived.wrt, derived.names, layout, detail).derive()
    )
