"""Schedules: their values at the ends, their checks, their configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule import dtypes, optim
from deltarule.errors import ArgumentError
from deltarule.optim import schedules
from deltarule.tensor.tensor import Tensor, tensor

ALL: list[optim.Schedule] = [
    optim.Constant(0.1),
    optim.StepDecay(0.1, factor=0.5, every=3),
    optim.Piecewise((0.3, 0.2, 0.1), boundaries=(2, 5)),
    optim.ExponentialDecay(0.1, decay=0.9, every=2),
    optim.InverseTimeDecay(0.1, decay=0.5),
    optim.PolynomialDecay(0.1, steps=9, end=0.01, power=2.0),
    optim.CosineDecay(0.1, steps=9, end=0.01),
    optim.CosineDecay(0.1, steps=4, restarts=True),
    optim.WarmUp(0.1, steps=4),
    optim.WarmUp(optim.CosineDecay(0.1, steps=9), steps=4),
    optim.OneCycle(0.1, steps=20),
]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_config_makes_the_same_schedule_again(schedule: optim.Schedule) -> None:
    assert schedules.from_config(json.loads(json.dumps(schedule.config()))) == schedule


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_rates_are_float64_scalars_and_never_negative(schedule: optim.Schedule) -> None:
    rate = schedule.rate(tensor(3))
    if isinstance(rate, Tensor):
        assert rate.shape == () and rate.dtype is dtypes.FLOAT64
    assert all(schedule.at(t) >= 0 for t in range(30))


@pytest.mark.notes("OPT-30")
def test_values_at_the_ends() -> None:
    cosine = optim.CosineDecay(0.1, steps=10, end=0.02)
    assert (cosine.at(0), cosine.at(10), cosine.at(99)) == pytest.approx(
        (0.1, 0.02, 0.02), abs=1e-15
    )
    assert cosine.at(5) == pytest.approx(0.06)
    cycle = optim.OneCycle(0.5, steps=100, rise=0.3)
    assert (cycle.at(0), cycle.at(30), cycle.at(100)) == pytest.approx(
        (0.02, 0.5, 2e-6), abs=1e-14
    )
    warm = optim.WarmUp(optim.StepDecay(0.1, factor=0.5, every=2), steps=3)
    assert [warm.at(t) for t in range(8)] == pytest.approx(
        [0.1 / 3, 0.2 / 3, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025], abs=1e-15
    )
    assert optim.InverseTimeDecay(0.1, decay=1.0).at(9) == pytest.approx(0.01)


@given(st.integers(0, 10**9), st.integers(1, 1000))
def test_step_decay_falls_exactly_at_the_multiples(step: int, every: int) -> None:
    schedule = optim.StepDecay(1.0, factor=0.999999, every=every)
    falls = schedule.at(step + 1) < schedule.at(step)
    assert falls == ((step + 1) % every == 0) or schedule.at(step) == 0


WRONG: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (optim.Constant, (0.0,), {}, "learning_rate"),
    (optim.StepDecay, (0.1,), {"factor": 0.5, "every": 0}, "every"),
    (optim.StepDecay, (0.1,), {"factor": -0.5, "every": 1}, "factor"),
    (optim.ExponentialDecay, (0.1,), {"decay": 0.0}, "decay"),
    (optim.Piecewise, ((0.1,),), {"boundaries": (3,)}, "rates"),
    (optim.Piecewise, ((0.1, 0.2, 0.3),), {"boundaries": (3, 2)}, "boundaries"),
    (optim.CosineDecay, (0.1,), {"steps": 0}, "steps"),
    (optim.CosineDecay, (0.1,), {"steps": 5, "end": -1.0}, "end"),
    (optim.WarmUp, (0.1,), {"steps": 0}, "steps"),
    (optim.OneCycle, (0.1,), {"steps": 5, "rise": 1.0}, "rise"),
    (optim.InverseTimeDecay, (0.1,), {"decay": -1.0}, "decay"),
    (optim.PolynomialDecay, (0.1,), {"steps": 5, "power": 0.0}, "power"),
]


@pytest.mark.parametrize(
    ("kind", "given_", "named", "field"), WRONG, ids=lambda v: str(v)[-30:]
)
def test_wrong_arguments_are_refused_by_name(
    kind: Any, given_: tuple[Any, ...], named: dict[str, Any], field: str
) -> None:
    with pytest.raises(ArgumentError, match=f"{kind.__name__} {field}: expected"):
        kind(*given_, **named)


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ArgumentError, match="schedule: expected one of Constant"):
        schedules.from_config({"schedule": "Sawtooth"})
