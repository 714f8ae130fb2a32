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
