"""The proof of a derivation run on the native engine: every line against what machine code computes."""

from __future__ import annotations

import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.tensor.explain import Compiled

NETWORKS = {
    "dense": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), (3,)),
    "convolutional": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 3),
        ),
        (6, 6, 1),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_line_holds_in_machine_code(name: str) -> None:
    make, shape = NETWORKS[name]
    derivation = dr.derive(make(), losses.CrossEntropy(), input_shape=shape)
    report = derivation.check(Compiled("cpu"), points=4)
    assert report, str(report)
    assert report.max_error < 1e-6


def test_a_repeated_proof_does_not_change_its_mind():
    """Losses of 10⁸, whose rounding is larger than a slope times the tolerance."""
    C, x, w = (
        dr.symbol(n, s, dtype="float64")
        for n, s in (("C", (4, 3)), ("x", (3,)), ("w", (4,)))
    )
    g, y = dr.symbol("g", (), dtype="float64"), dr.symbol("y", (), dtype="float64")
    h = dr.exp(-g * ((C - x) ** 2).sum(axis=1))
    for seed in range(8):
        derivation = dr.derive(0.5 * (w @ h - y) ** 2, wrt=[C, w, g], seed=seed)
        assert all(derivation.check(points=6) for _ in range(4))
