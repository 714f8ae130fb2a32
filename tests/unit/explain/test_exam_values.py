"""Numbers of exam keys are finite, and what is not a number is never proved."""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import GraphError
from deltarule.explain.exam import arithmetic, networks
from deltarule.explain.exam.questions import Question, value
from deltarule.explain.proof.jacobian_check import Measured
from deltarule.explain.proof.proof import CheckedLine, CheckReport
from deltarule.explain.results.identities import Identity, IdentityStep
from deltarule.grad.check import DirectionalError
from deltarule.optim.exam import TOPICS
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import run, value_sampler
from deltarule.tensor.transforms import GradientReport
from support.oracles import torch

NO_NUMBER = re.compile(r"\bnan\b|\binf\b|∞", re.IGNORECASE)
ARITHMETIC = [t for t in TOPICS if t not in {"networks", "gradients", "concepts"}]


@pytest.mark.parametrize("topic", ARITHMETIC)
def test_keys_of_arithmetic_are_finite_for_200_seeds(topic: str) -> None:
    # a sheet on optimizers has five questions
    for seed in range(40 if topic == "optimizers" else 200):
        assert not NO_NUMBER.search(dr.exam(topic, seed=seed).key()), seed


@pytest.mark.parametrize(
    "seed", [5, 9, 10]
)  # their first draws leave only zeros behind a rectifier
def test_gradients_are_asked_where_they_are_finite(seed: int) -> None:
    key = dr.exam("gradients", seed=seed).key()
    assert not NO_NUMBER.search(key)
    assert key.count("verified: proved") == len(networks.FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("topic", ["networks", "gradients"])
def test_keys_of_networks_are_finite_for_200_seeds(topic: str) -> None:
    for seed in range(200):
        assert not NO_NUMBER.search(dr.exam(topic, seed=seed).key()), seed


@pytest.mark.parametrize("seed", range(12))
def test_the_key_of_the_siamese_network_is_the_gradient(seed: int) -> None:
    """Redrawn or not, the numbers of the key are PyTorch's gradients at the numbers of the sheet."""
    question = networks.NUMERIC[1](random.Random(seed), run, value_sampler(0))
    given: dict[str, torch.Tensor] = {}
    for formula in question.given:
        name, _, numbers = to_text(formula).partition(" = ")
        if not re.search("[a-zA-Z₁]", numbers):
            given[name] = torch.tensor(
                _read(numbers), dtype=torch.float64, requires_grad=name.startswith("W")
            )
    z, w = (
        given["W₂"] @ hidden(question, given["W₁"] @ given[name]) for name in ("x", "x̂")
    )
    loss = -given["y"] * (z @ w) / (z.norm() * w.norm())
    gradients = torch.autograd.grad(loss, [given["W₁"], given["W₂"]])
    answers = {
        to_text(item.asked): _read(to_text(item.answer)) for item in question.items
    }
    for name, gradient in zip(("W₁", "W₂"), gradients, strict=True):
        np.testing.assert_allclose(
            answers[f"∂L/∂{name}"], gradient.numpy(), rtol=1e-5, atol=1e-9
        )


def hidden(question: Question, z: torch.Tensor) -> torch.Tensor:
    """Apply the activation that the sheet defines."""
    sheet = "\n".join(to_text(formula) for formula in question.given)
    slope = re.search(r"otherwise|(?<=> 0, )[½¼.0-9]+(?=z)", sheet)
    if slope is None:
        return torch.relu(z)
    value = {"½": 0.5, "¼": 0.25}.get(slope[0]) or float(slope[0])
    return torch.nn.functional.leaky_relu(z, value)


def _read(text: str) -> list[list[float]] | list[float] | float:
    plain = text.replace("−", "-")
    if plain.startswith("["):
        return [
            [float(cell) for cell in row.split()]
            for row in plain.strip("[]").split(";")
        ]
    if plain.startswith("("):
        return [float(cell) for cell in plain.strip("()").split(",")]
    return float(plain)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_no_key_can_hold_what_is_not_a_number(wrong: float) -> None:
    with pytest.raises(GraphError, match="finite numbers"):
        value(wrong)
    with pytest.raises(GraphError, match="exam key"):
        arithmetic.confirm("test", wrong if math.isnan(wrong) else math.nan, 1.0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_never_proved(place: int) -> None:
    errors = [0.0, 0.0, 0.0]
    errors[place] = math.nan
    rows = tuple(DirectionalError("x", 1, 1.0, 1.0 + error) for error in errors)
    report = GradientReport(rows, tolerance=1e-6)
    assert not report and math.isnan(report.max_error) and "DISAGREE" in str(report)
    assert not Measured(errors[0], errors[1] + errors[2], 5)
    x = dr.symbol("x", (3,))
    line = dr.derive((x * x).sum(), wrt=[x]).steps[0]
    proof = CheckReport(
        tuple(CheckedLine(line, 0.0, error, 5) for error in errors), ("a", "b", "c"), 5
    )
    assert (
        not proof
        and math.isnan(proof.max_error)
        and proof.summary.startswith("NOT proved: " + "abc"[place])
    )


def test_gradients_that_are_nan_do_not_agree() -> None:
    assert not dr.check_gradients(lambda x: dr.log(x).sum(), dr.tensor([1.0, -1.0]))
    assert dr.check_gradients(lambda x: dr.log(x).sum(), dr.tensor([1.0, 2.0]))


@pytest.mark.parametrize("relation", ["=", "<", "≤"])
def test_an_identity_without_a_value_is_not_proved(relation: str) -> None:
    known = {"x": dr.symbol("x", (3,)).node}
    identity = Identity(
        "no value",
        "",
        known,
        (IdentityStep("log(-x^T x)", relation, "log(-x^T x)", ""),),
    )
    assert not identity.largest_error(run, value_sampler(0)) <= 1e-9
    assert "NOT proved" in identity.text(run, value_sampler(0))
