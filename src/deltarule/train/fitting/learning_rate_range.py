"""The learning-rate range test: the loss as the learning rate grows exponentially (Smith 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, whole_number
from deltarule.flags import checks_flags
from deltarule.losses import Loss
from deltarule.optim import ExponentialDecay, Optimizer
from deltarule.optim import get as get_optimizer
from deltarule.optim.wrappers import steps_between, with_rate
from deltarule.render.numbers import counted
from deltarule.train.fitting.fit import fit
from deltarule.train.monitoring.callbacks import TerminateOnNaN
from deltarule.train.prediction.inference import current_weights
from deltarule.train.protocol import Trainable
from deltarule.train.steps.epoch_data import Augment
from deltarule.train.steps.prepare import ClassWeight
from deltarule.train.steps.step import Regularizer, learned, running

__all__ = ["RateRange", "learning_rate_range"]

Values = npt.NDArray[np.float64]
_MIN_STEPS = 50  # steps of a test, by default
_N_WINDOWS = 20  # the moving mean spans a twentieth of the steps
_DIVERGENCE_RATIO = (
    4.0  # to the minimum of the smoothed loss; beyond, the rate is too high
)


@dataclass(frozen=True)
class RateRange:
    """The result of a learning-rate range test.

    Attributes:
        rates: The learning rate of each step, (steps,).
        losses: The training loss before each step, (steps,).
        smoothed: The centred moving mean of ``losses``, (steps,).
        suggestion: The rate at which the smoothed loss falls fastest against ln η, before its minimum.
        highest: The first rate after the minimum at which the smoothed loss exceeds four times its minimum or is
            not finite; None if there is none.

    >>> values = np.array([1.0, 0.5, 0.1])
    >>> RateRange(np.array([0.01, 0.1, 1.0]), values, values, suggestion=0.1, highest=None)
    RateRange(3 steps, suggestion 0.1, no divergence)
    """

    rates: Values
    losses: Values
    smoothed: Values
    suggestion: float
    highest: float | None

    def __repr__(self) -> str:
        divergence = (
            "no divergence"
            if self.highest is None
            else f"diverges at {self.highest:.2g}"
        )
        return f"RateRange({counted(len(self.rates), 'step')}, suggestion {self.suggestion:.2g}, {divergence})"


@checks_flags
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
    augment: Augment = None,
    regularizers: Sequence[Regularizer] = (),
    class_weight: ClassWeight = None,
    sample_weight: Any = None,
    seed: int = 0,
    shuffle: bool = True,
    device: str = "cpu",
    threads: int | None = None,
) -> RateRange:
    """Run the learning-rate range test: train while the rate grows, and record the loss.

    Step t of n has the rate ηₜ = lowest·(highest/lowest)^(t/(n−1)). The model's weights and running state are
    restored afterwards.

    Args:
        model: The model to test; it is restored also after an error.
        inputs: Training examples, N along the first axis, as for ``fit``.
        targets: N targets, as for ``fit``.
        loss: A loss or its name.
        optimizer: The optimiser to find a learning rate for; its own rate is ignored.
        lowest: The learning rate of the first step.
        highest: The learning rate of the last step. The test ends earlier if the loss becomes NaN or infinite.
        batch_size: Examples per step; use that of the later training, since the best rate depends on it.
        steps: Number of steps; by default one epoch, but at least 50.
        augment: Augmentation of the training examples, as for ``fit``.
        regularizers: Penalties added to the loss, as for ``fit``.
        class_weight: Weights of the classes, as for ``fit``.
        sample_weight: One weight ≥ 0 per example.
        seed: Seed of shuffling, dropout and augmentation.
        shuffle: Whether to shuffle the examples in every epoch.
        device: "cpu" or "reference".
        threads: Number of threads; None lets the engine choose.

    Returns:
        Rates, losses and the suggested rate, as a ``RateRange``.

    Raises:
        ArgumentError: If not 0 < lowest < highest, if ``steps`` < 5, if the optimiser has parameter groups, or for
            an argument that does not exist.
        DataError: If fewer than three steps have a finite loss.

    >>> from deltarule import nn
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> model = nn.Sequential(nn.Linear(1, 1))
    >>> found = learning_rate_range(model, x, 2 * x, loss="mean_squared_error", steps=60)
    >>> 1e-6 < found.suggestion < 10
    True

    Reference: L. Smith, Cyclical learning rates for training neural networks, 2017.
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
    steps_per_epoch = math.ceil(len(inputs) / batch_size) if len(inputs) else 1
    count = steps if steps is not None else max(steps_per_epoch, _MIN_STEPS)
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
            epochs=math.ceil(count / steps_per_epoch),
            batch_size=batch_size,
            augment=augment,
            regularizers=regularizers,
            callbacks=[TerminateOnNaN()],
            class_weight=class_weight,
            sample_weight=sample_weight,
            seed=seed,
            shuffle=shuffle,
            device=device,
            threads=threads,
            verbose=0,
        )
    finally:
        for name, tensor in (*learned(model), *running(model)):
            tensor.assign(before[name])
    losses = np.array(history.step_losses[:count], np.float64)
    between = steps_between(chosen)
    update = (
        np.arange(len(losses)) // between * between
    )  # the rate changes when the optimiser updates
    return _range_from_losses(lowest * growth**update, losses, count, growth)


def _range_from_losses(
    rates: Values, losses: Values, count: int, growth: float
) -> RateRange:
    """Smooth the losses, and find the steepest descent and the point of divergence."""
    if len(losses) < 3:
        raise DataError(
            "learning_rate_range",
            expected="at least three steps with a finite loss",
            got=str(len(losses)),
            hint="Choose a smaller lowest=.",
        )
    half = max(1, count // _N_WINDOWS // 2)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    low = np.maximum(np.arange(len(losses)) - half, 0)
    high = np.minimum(np.arange(len(losses)) + half + 1, len(losses))
    smoothed = (sums[high] - sums[low]) / (high - low)
    minimum = max(2, int(smoothed.argmin()))
    slopes = np.gradient(smoothed[: minimum + 1])  # ln η is equally spaced
    limit = _DIVERGENCE_RATIO * abs(smoothed[minimum])
    beyond = np.flatnonzero(smoothed[minimum:] > limit)
    diverged_at = float(rates[minimum + beyond[0]]) if len(beyond) else None
    if diverged_at is None and len(losses) < count:
        diverged_at = float(rates[-1] * growth)
    suggestion = float(rates[slopes.argmin()])
    return RateRange(rates, losses, smoothed, suggestion, diverged_at)


check_calls(__name__)
