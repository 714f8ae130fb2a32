"""Transforms of gradients: (gradients, state, parameters, clock) → (updates, state), pure and composable.

An update is added to its parameter. Every transform says how many state tensors of the parameter's shape it
keeps; they start at zero. Scalars that depend on the step (rates, bias corrections) are computed in float64 and
cast to the parameter's type once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deltarule.optim.schedules import Schedule
from deltarule.tensor.functional import maximum, minimum, sqrt
from deltarule.tensor.tensor import Tensor

State = tuple[Tensor, ...]  # slot by slot: all parameters of the first slot, then of the second …
Update = Callable[[Sequence[Tensor], State, Sequence[Tensor], "Clock"], tuple[list[Tensor], State]]


@dataclass(frozen=True)
class Clock:
    """The step, counted from 0 (an int64 scalar), and the host's factor on every learning rate (float64)."""

    step: Tensor
    factor: Tensor | None = None

    def rate(self, learning_rate: float | Schedule) -> Tensor | float:
        """Return the learning rate now."""
        now = learning_rate.rate(self.step) if isinstance(learning_rate, Schedule) else learning_rate
        return now if self.factor is None else self.factor * now

    def count(self) -> Tensor:
        """Return t = 1, 2, … in float64."""
        return self.step.astype("float64") + 1.0


@dataclass(frozen=True)
class Transform:
    """A pure map of gradients; ``slots`` state tensors a parameter, zero at the start."""

    slots: int
    update: Update


def cast_scalar(value: Tensor | float, parameter: Tensor) -> Tensor | float:
    """Return a float64 scalar in the parameter's element type."""
    return value.astype(parameter.dtype) if isinstance(value, Tensor) else value


Each = Callable[[Tensor, tuple[Tensor, ...], Tensor, Clock], tuple[Tensor, tuple[Tensor, ...]]]


def each_parameter(slots: int, rule: Each) -> Transform:
    """Return the transform that treats every parameter alone: (gradient, its slots, parameter, clock)."""

    def update(
        gradients: Sequence[Tensor], state: State, parameters: Sequence[Tensor], clock: Clock
    ) -> tuple[list[Tensor], State]:
        n = len(parameters)
        updates, news = [], []
        for i, (gradient, parameter) in enumerate(zip(gradients, parameters, strict=True)):
            kept = tuple(state[slot * n + i] for slot in range(slots))
            step, new = rule(gradient, kept, parameter, clock)
            updates.append(step)
            news.append(new)
        return updates, tuple(new[slot] for slot in range(slots) for new in news)

    return Transform(slots, update)


def chain(*transforms: Transform) -> Transform:
    """Return the transforms one after the other."""

    def update(
        gradients: Sequence[Tensor], state: State, parameters: Sequence[Tensor], clock: Clock
    ) -> tuple[list[Tensor], State]:
        updates = list(gradients)
        after: list[Tensor] = []
        start = 0
        for transform in transforms:
            stop = start + transform.slots * len(parameters)
            updates, new = transform.update(updates, state[start:stop], parameters, clock)
            after.extend(new)
            start = stop
        return updates, tuple(after)

    return Transform(sum(t.slots for t in transforms), update)


def scale(factor: float) -> Transform:
    """Multiply every update by a number."""
    return each_parameter(0, lambda g, _, p, clock: (g * factor, ()))


def scale_by_learning_rate(learning_rate: float | Schedule) -> Transform:
    """Turn gradients into descent steps: −η_t·g."""
    return each_parameter(0, lambda g, _, p, clock: (-(g * cast_scalar(clock.rate(learning_rate), p)), ()))


def add_decayed_weights(weight_decay: float) -> Transform:
    """G + λθ: the gradient of an L2 penalty ½λ‖θ‖² (before an optimiser: coupled; after: decoupled)."""
    return each_parameter(0, lambda g, _, p, clock: (g + p * weight_decay, ()))


def clip_by_value(limit: float) -> Transform:
    """Limit every entry to [−limit, limit]."""
    return each_parameter(0, lambda g, _, p, clock: (maximum(minimum(g, limit), -limit), ()))


def clip_by_global_norm(limit: float) -> Transform:
    """Scale all gradients by min(1, limit/‖g‖), ‖g‖ over all parameters together (Pascanu et al. 2013)."""

    def update(
        gradients: Sequence[Tensor], state: State, parameters: Sequence[Tensor], clock: Clock
    ) -> tuple[list[Tensor], State]:
        del parameters, clock
        squares = [(g * g).sum().astype("float64") for g in gradients]
        length = sqrt(sum(squares[1:], squares[0]))
        factor = minimum(limit / maximum(length, 1e-30), 1.0)
        return [g * cast_scalar(factor, g) for g in gradients], state

    return Transform(0, update)
