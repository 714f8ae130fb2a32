"""Optimisers with per-parameter learning rates: AdaGrad, AdaDelta, RMSProp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from deltarule.optim.gradient_descent import Velocity
from deltarule.optim.recipe import Epsilon, Optimizer, root
from deltarule.optim.schedules import Schedule
from deltarule.optim.transform import (
    Clock,
    State,
    Transform,
    add_decayed_weights,
    cast_scalar,
    chain,
    each_parameter,
)
from deltarule.tensor.functional import maximum, sqrt
from deltarule.tensor.tensor import Tensor

__all__ = ["AdaDelta", "AdaGrad", "RMSProp"]


@dataclass(frozen=True, kw_only=True)
class _Adaptive(Optimizer):
    """Base class of AdaGrad, AdaDelta and RMSProp: ε and coupled weight decay."""

    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_nonnegative("epsilon", "weight_decay")

    def _require_place(self, place: str) -> None:
        self._require(
            "epsilon_place", place in {"inside", "outside"}, "'inside' or 'outside'"
        )

    def _after_decay(self, transform: Transform) -> Transform:
        if not self.weight_decay:
            return transform
        return chain(add_decayed_weights(self.weight_decay), transform)


@final
@dataclass(frozen=True, kw_only=True)
class AdaGrad(_Adaptive):
    """AdaGrad: a ← a + g⊙g, θ ← θ − η·g/√(a + ε) (Duchi et al. 2011).

    The effective learning rates η/√(a + ε) never increase.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0: λθ is added to the gradient.
        epsilon_place: "inside" is √(a + ε), "outside" is √a + ε, as in PyTorch.
        initial_accumulator: The initial value of a, ≥ 0.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], AdaGrad(learning_rate=0.5), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.5, 0.2764]
    """

    learning_rate: float | Schedule = 0.01
    epsilon_place: Epsilon = "inside"
    initial_accumulator: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_nonnegative("initial_accumulator")
        self._require_place(self.epsilon_place)

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            total = kept[0] + g * g
            eta = cast_scalar(clock.rate(self.learning_rate), p)
            return -(g * eta / root(total, self.epsilon, self.epsilon_place)), (total,)

        return self._after_decay(each_parameter(("a",), rule, self.initial_accumulator))


@final
@dataclass(frozen=True, kw_only=True)
class AdaDelta(_Adaptive):
    """AdaDelta: s ← ρs + (1 − ρ)g⊙g, d = g·√(u + ε)/√(s + ε), u ← ρu + (1 − ρ)d⊙d, θ ← θ − η·d (Zeiler 2012).

    The step d has the units of the parameter; η = 1 is the published method.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0: λθ is added to the gradient.
        rho: The decay rate ρ in [0, 1) of both averages.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], AdaDelta(), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.9968, 0.9936]
    """

    learning_rate: float | Schedule = 1.0
    rho: float = 0.9
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("rho")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            squares = kept[0] * self.rho + (g * g) * (1 - self.rho)
            d = sqrt(kept[1] + self.epsilon) / sqrt(squares + self.epsilon) * g
            squared_steps = kept[1] * self.rho + (d * d) * (1 - self.rho)
            eta = cast_scalar(clock.rate(self.learning_rate), p)
            return -(d * eta), (squares, squared_steps)

        return self._after_decay(each_parameter(("s", "u"), rule))


@final
@dataclass(frozen=True, kw_only=True)
class RMSProp(_Adaptive):
    """RMSProp: s ← βs + (1 − β)g⊙g, θ ← θ − η·g/√(s + ε) (Hinton 2012).

    With momentum α: v ← αv − η·g/√(s + ε), θ ← θ + v.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0: λθ is added to the gradient.
        beta: The decay rate β in [0, 1) of the average of squared gradients.
        epsilon_place: "inside" is √(s + ε), "outside" is √s + ε, as in PyTorch.
        momentum: α in [0, 1).
        velocity: "with_rate" as above; "without_rate" is v ← αv + g/√(s + ε), θ ← θ − η·v, as
            in PyTorch.
        centered: Subtract the squared average gradient from s (Graves 2013); the difference is
            clamped to ≥ 0.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], RMSProp(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.6838, 0.4989]
    """

    learning_rate: float | Schedule = 1e-3
    beta: float = 0.9
    epsilon_place: Epsilon = "inside"
    momentum: float = 0.0
    velocity: Velocity = "with_rate"
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("beta", "momentum")
        self._require_place(self.epsilon_place)
        self._require(
            "velocity",
            self.velocity in {"with_rate", "without_rate"},
            "'with_rate' or 'without_rate'",
        )

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            slots = list(kept)
            second = slots[0] = slots[0] * self.beta + (g * g) * (1 - self.beta)
            if self.centered:
                mean = slots[1] = slots[1] * self.beta + g * (1 - self.beta)
                second = maximum(second - mean * mean, 0.0)
            eta = cast_scalar(clock.rate(self.learning_rate), p)
            scaled = g / root(second, self.epsilon, self.epsilon_place)
            if not self.momentum:
                return -(scaled * eta), tuple(slots)
            if self.velocity == "with_rate":
                velocity = slots[-1] = slots[-1] * self.momentum - scaled * eta
                return velocity, tuple(slots)
            velocity = slots[-1] = slots[-1] * self.momentum + scaled
            return -(velocity * eta), tuple(slots)

        slots = ["a"] + ["m"] * self.centered + ["v"] * (self.momentum > 0)
        return self._after_decay(each_parameter(slots, rule))
