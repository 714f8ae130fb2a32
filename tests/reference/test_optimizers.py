"""Optimisers and schedules against torch, in float64, over 50 steps of a small network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import optim
from deltarule.optim import (
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Stepper,
)
from support.oracles import torch

RATE = 0.02
TWINS: dict[str, tuple[Optimizer, Callable[[Any], torch.optim.Optimizer]]] = {
    "sgd": (SGD(learning_rate=RATE), lambda p: torch.optim.SGD(p, RATE)),
    "sgd decay": (
        SGD(learning_rate=RATE, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, RATE, weight_decay=0.1),
    ),
    "sgd maximize": (
        SGD(learning_rate=RATE, maximize=True),
        lambda p: torch.optim.SGD(p, RATE, maximize=True),
    ),
    "momentum": (
        SGD(learning_rate=RATE, momentum=0.9, velocity="without_rate"),
        lambda p: torch.optim.SGD(p, RATE, momentum=0.9),
    ),
    "momentum with the rate inside": (
        SGD(learning_rate=RATE, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, RATE, momentum=0.9, weight_decay=0.01),
    ),
    "nesterov": (
        SGD(learning_rate=RATE, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.SGD(
            p, RATE, momentum=0.9, nesterov=True, weight_decay=0.01
        ),
    ),
    "adagrad": (
        AdaGrad(
            learning_rate=RATE,
            epsilon=1e-10,
            epsilon_place="outside",
            initial_accumulator=0.1,
            weight_decay=0.01,
        ),
        lambda p: torch.optim.Adagrad(
            p, RATE, initial_accumulator_value=0.1, weight_decay=0.01
        ),
    ),
    "adadelta": (
        AdaDelta(weight_decay=0.01),
        lambda p: torch.optim.Adadelta(p, 1.0, weight_decay=0.01),
    ),
    "rmsprop": (
        RMSProp(learning_rate=RATE, beta=0.99, epsilon_place="outside"),
        lambda p: torch.optim.RMSprop(p, RATE),
    ),
    "rmsprop centred with momentum": (
        RMSProp(
            learning_rate=RATE,
            beta=0.99,
            epsilon_place="outside",
            momentum=0.9,
            centered=True,
            weight_decay=0.01,
        ),
        lambda p: torch.optim.RMSprop(
            p, RATE, momentum=0.9, centered=True, weight_decay=0.01
        ),
    ),
    "adam": (Adam(learning_rate=RATE), lambda p: torch.optim.Adam(p, RATE)),
    "adam of notes": (
        Adam(learning_rate=RATE, weight_decay=0.1, maximize=True, amsgrad="raw"),
        lambda p: torch.optim.Adam(
            p, RATE, weight_decay=0.1, maximize=True, amsgrad=True
        ),
    ),
    "adamw": (
        AdamW(learning_rate=RATE, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, RATE, weight_decay=0.1),
    ),
    "adamw amsgrad": (
        AdamW(learning_rate=RATE, amsgrad="raw"),
        lambda p: torch.optim.AdamW(p, RATE, amsgrad=True),
    ),
    "nadam": (
        NAdam(weight_decay=0.01),
        lambda p: torch.optim.NAdam(p, weight_decay=0.01),
    ),
    "nadam decoupled": (
        NAdam(weight_decay=0.1, decoupled=True),
        lambda p: torch.optim.NAdam(p, weight_decay=0.1, decoupled_weight_decay=True),
    ),
    "radam": (
        RAdam(learning_rate=RATE, weight_decay=0.01),
        lambda p: torch.optim.RAdam(p, RATE, weight_decay=0.01),
    ),
    "radam decoupled": (
        RAdam(learning_rate=RATE, weight_decay=0.1, decoupled=True),
        lambda p: torch.optim.RAdam(
            p, RATE, weight_decay=0.1, decoupled_weight_decay=True
        ),
    ),
    "adamax": (
        Adamax(weight_decay=0.01),
        lambda p: torch.optim.Adamax(p, 2e-3, weight_decay=0.01),
    ),
}
STEPS = 50


def _network() -> tuple[
    list[np.ndarray[Any, Any]], np.ndarray[Any, Any], np.ndarray[Any, Any]
]:
    generator = np.random.default_rng(0)
    weights = [
        generator.normal(size=(5, 3)),
        generator.normal(size=5),
        generator.normal(size=(2, 5)),
        np.zeros(2),
    ]
    return weights, generator.normal(size=(7, 3)), generator.normal(size=(7, 2))


def _ours(
    optimizer: Optimizer, rates: Callable[[int], float] | None = None
) -> list[np.ndarray[Any, Any]]:
    weights, x, y = _network()
    p = [dr.parameter(w, name=f"p{i}") for i, w in enumerate(weights)]
    stepper = Stepper(optimizer, p)
    for k in range(STEPS):
        error = dr.tanh(dr.tensor(x) @ p[0].T + p[1]) @ p[2].T + p[3] - dr.tensor(y)
        (error * error).mean().backward()
        stepper.step(factor=1.0 if rates is None else rates(k))
    return [w.numpy() for w in p]


def _theirs(
    make: Callable[[Any], torch.optim.Optimizer], schedule: Any = None
) -> list[np.ndarray[Any, Any]]:
    weights, x, y = _network()
    p = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = make(p)
    rule = schedule(optimizer) if schedule else None
    for _ in range(STEPS):
        optimizer.zero_grad()
        error = (
            torch.tanh(torch.tensor(x) @ p[0].T + p[1]) @ p[2].T
            + p[3]
            - torch.tensor(y)
        )
        (error * error).mean().backward()
        optimizer.step()
        if rule is not None:
            rule.step()
    return [w.detach().numpy() for w in p]


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.notes("OPT-21", "OPT-12")
def test_fifty_steps_agree_with_torch(name: str) -> None:
    ours, theirs = TWINS[name]
    for mine, other, start in zip(
        _ours(ours), _theirs(theirs), _network()[0], strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-10)
        assert np.abs(mine - start).max() > 1e-3


def test_rate_outside_the_velocity_matters_when_the_rate_changes() -> None:
    schedule = optim.ExponentialDecay(RATE, decay=0.9)
    twin = _theirs(
        lambda p: torch.optim.SGD(p, RATE, momentum=0.9),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
    )
    outside = _ours(SGD(learning_rate=schedule, momentum=0.9, velocity="without_rate"))
    inside = _ours(SGD(learning_rate=schedule, momentum=0.9))
    np.testing.assert_allclose(outside[0], twin[0], atol=1e-10)
    assert np.abs(inside[0] - twin[0]).max() > 1e-4


def test_host_factor_multiplies_the_rate() -> None:
    halved = _ours(SGD(learning_rate=RATE), lambda k: 0.5 if k >= 20 else 1.0)
    scheduled = _ours(
        SGD(learning_rate=optim.Piecewise((RATE, RATE / 2), boundaries=(20,)))
    )
    np.testing.assert_allclose(halved[0], scheduled[0], atol=1e-14)


@pytest.mark.parametrize("kind", ["value", "norm"])
def test_clipping_agrees_with_torch(kind: str) -> None:
    limit = 0.05
    weights, x, y = _network()
    p = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = torch.optim.SGD(p, 0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        error = (
            torch.tanh(torch.tensor(x) @ p[0].T + p[1]) @ p[2].T
            + p[3]
            - torch.tensor(y)
        )
        (error * error).mean().backward()
        if kind == "value":
            torch.nn.utils.clip_grad_value_(p, limit)
        else:
            torch.nn.utils.clip_grad_norm_(p, limit)
        optimizer.step()
    clip = {"clip_value": limit} if kind == "value" else {"clip_norm": limit}
    for mine, other in zip(_ours(SGD(learning_rate=0.1, **clip)), p, strict=True):
        np.testing.assert_allclose(
            mine, other.detach().numpy(), atol=2e-6 if kind == "norm" else 1e-12
        )  # torch: ‖g‖ + 1e-6


SCHEDULES: dict[str, tuple[optim.Schedule, Callable[[Any], Any]]] = {
    "step": (
        optim.StepDecay(0.1, factor=0.3, every=7),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3),
    ),
    "multi-step": (
        optim.Piecewise((0.1, 0.01, 0.001), boundaries=(10, 25)),
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [10, 25], 0.1),
    ),
    "exponential": (
        optim.ExponentialDecay(0.1, decay=0.93),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.93),
    ),
    "cosine": (
        optim.CosineDecay(0.1, steps=60, end=0.01),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 60, 0.01),
    ),
    "cosine with restarts": (
        optim.CosineDecay(0.1, steps=13, end=0.01, restarts=True),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 13, 1, 0.01),
    ),
    "polynomial": (
        optim.PolynomialDecay(0.1, steps=30, power=2.0),
        lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 30, 2.0),
    ),
    "one cycle": (
        optim.OneCycle(0.1, steps=49, rise=14.0 / 49.0),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 0.1, total_steps=50, pct_start=0.3, cycle_momentum=False
        ),
    ),
    "1/t": (
        optim.InverseTimeDecay(0.1, decay=0.2),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.2 * t)),
    ),
    "warm-up, then cosine": (
        optim.WarmUp(optim.CosineDecay(0.1, steps=40), steps=10),
        lambda o: torch.optim.lr_scheduler.LambdaLR(
            o,
            lambda t: (
                min(1, (t + 1) / 10) * 0.5 * (1 + np.cos(np.pi * max(t - 10, 0) / 40))
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.notes("OPT-30")
def test_schedules_agree_with_torch(name: str) -> None:
    ours, make = SCHEDULES[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    schedule = make(optimizer)
    for step in range(STEPS):
        assert ours.at(step) == pytest.approx(
            optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15
        ), step
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_part_of_the_step(name: str) -> None:
    ours, make = SCHEDULES[name]
    if name == "polynomial":  # torch's rule ends at step 30 with rate 0: as ours
        assert ours.at(30) == 0.0
    for mine, other in zip(
        _ours(SGD(learning_rate=ours)),
        _theirs(lambda p: torch.optim.SGD(p, 0.1), make),
        strict=True,
    ):
        np.testing.assert_allclose(mine, other, atol=1e-10)
