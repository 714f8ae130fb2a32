"""The learning-rate range test: steps at rates that grow, to see where the loss falls and where it breaks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError, DataError, whole_number
from deltarule.losses import Loss
from deltarule.optim import ExponentialDecay, Optimizer
from deltarule.optim import get as get_optimizer
from deltarule.optim.wrappers import steps_between, with_rate
from deltarule.render.numbers import counted
from deltarule.train.fitting.fit import fit
from deltarule.train.monitoring.callbacks import TerminateOnNaN
from deltarule.train.prediction.inference import current_weights
from deltarule.train.protocol import Trainable
from deltarule.train.steps.step import learned, running

Values = npt.NDArray[np.float64]
_FEWEST_STEPS, _WINDOW = (
    50,
    20,
)  # steps of a test, and into how many windows its curve is smoothed
_BROKEN = 4.0  # times the least loss, from where on the rate is too high


@dataclass(frozen=True)
class RateRange:
    """What a range test saw: rates, the loss before each step, its centred moving mean, and what follows from it.

    ``suggestion`` is the rate where the smoothed loss falls fastest against ln η, before its least value;
    ``highest`` the first rate after it at which the loss is four times as large or no number, None if none was.
    """

    rates: Values
    losses: Values
    smoothed: Values
    suggestion: float
    highest: float | None

    def __repr__(self) -> str:
        broken = (
            "no rate that breaks it"
            if self.highest is None
            else f"breaks at {self.highest:.2g}"
        )
        return f"RateRange({counted(len(self.rates), 'step')}, suggestion {self.suggestion:.2g}, {broken})"


def learning_rate_range(
    model: Trainable,
    inputs: Any,
    targets: Any,
    *,
    loss: str | Loss,
    optimizer: str | Optimizer = "adam",
    lowest: float = 1e-6,
    highest: float = 10.0,
    batch_size: int = 32,
    steps: int | None = None,
    seed: int = 0,
    **options: Any,
) -> RateRange:
    """Train for some steps while η grows as lowest·(highest/lowest)^(t/(n−1)); the model stays as it was.

    Args:
        model: What is tested; its weights and running state are put back, also after an error.
        inputs: Training examples, as for ``fit``.
        targets: Their targets.
        loss: A loss or its name.
        optimizer: The optimiser to find a rate for; its own rate is not used.
        lowest: The first rate.
        highest: The last one; a loss that is no number ends the test before it.
        batch_size: Examples a step; the rate that suits depends on it.
        steps: How many; one pass over the data, but at least 50, by default.
        seed: Decides the order of the examples and dropout.
        options: Others of ``fit``: ``augment``, ``regularizers``, ``class_weight``, ``device``, ``threads`` …

    Raises:
        ArgumentError: for rates that do not grow, fewer than 5 steps, an optimiser of groups.
        DataError: when not even three steps gave a number.

    Source: L. Smith, Cyclical learning rates for training neural networks, 2017.
    """
    if not 0 < lowest < highest:
        raise ArgumentError(
            "learning_rate_range",
            expected="0 < lowest < highest",
            got=f"{lowest} and {highest}",
        )
    if steps is not None:
        steps = whole_number(steps, "learning_rate_range steps", least=5)
    batch_size = whole_number(batch_size, "learning_rate_range batch_size", least=1)
    in_a_pass = math.ceil(len(inputs) / batch_size) if len(inputs) else 1
    count = steps if steps is not None else max(in_a_pass, _FEWEST_STEPS)
    growth = (highest / lowest) ** (1 / (count - 1))
    chosen = get_optimizer(optimizer)
    schedule = ExponentialDecay(lowest, decay=growth ** steps_between(chosen))
    recipe = with_rate(chosen, schedule, "learning_rate_range")
    before = current_weights(model)
    try:
        history = fit(
            model,
            inputs,
            targets,
            loss=loss,
            optimizer=recipe,
            epochs=math.ceil(count / in_a_pass),
            batch_size=batch_size,
            seed=seed,
            callbacks=[TerminateOnNaN()],
            verbose=0,
            **options,
        )
    finally:
        for name, tensor in (*learned(model), *running(model)):
            tensor.assign(before[name])
    losses = np.array(history.step_losses[:count], np.float64)
    own_step = np.arange(len(losses)) // steps_between(chosen) * steps_between(chosen)
    return _read(lowest * growth**own_step, losses, count, growth)


def _read(rates: Values, losses: Values, count: int, growth: float) -> RateRange:
    """Return the curve, where it falls fastest and where it breaks."""
    if len(losses) < 3:
        raise DataError(
            "learning_rate_range",
            expected="at least three steps with a finite loss",
            got=str(len(losses)),
            hint="Choose a lower rate to begin with.",
        )
    half = max(1, count // _WINDOW // 2)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    low = np.maximum(np.arange(len(losses)) - half, 0)
    high = np.minimum(np.arange(len(losses)) + half + 1, len(losses))
    smoothed = (sums[high] - sums[low]) / (high - low)
    least = max(2, int(smoothed.argmin()))
    slopes = np.gradient(smoothed[: least + 1])  # ln η grows evenly
    beyond = np.flatnonzero(smoothed[least:] > _BROKEN * abs(smoothed[least]))
    broken = float(rates[least + beyond[0]]) if len(beyond) else None
    if broken is None and len(losses) < count:
        broken = float(rates[-1] * growth)
    return RateRange(rates, losses, smoothed, float(rates[slopes.argmin()]), broken)
