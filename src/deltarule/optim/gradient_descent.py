"""Stochastic gradient descent with momentum and Nesterov momentum, and Lion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

from deltarule.optim.recipe import Optimizer
from deltarule.optim.schedules import Schedule
from deltarule.optim.transform import (
    Clock,
    State,
    Tensors,
    Transform,
    add_decayed_weights,
    cast_scalar,
    chain,
    decay_weights,
    each_parameter,
    scale,
    scale_by_learning_rate,
)
from deltarule.tensor.functional import sign
from deltarule.tensor.tensor import Tensor

__all__ = ["SGD", "Lion"]

Velocity = Literal["with_rate", "without_rate"]


@final
@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent θ ← θ − η·g, optionally with momentum (Polyak 1964) or Nesterov momentum.

    With momentum α: v ← αv − η·g, θ ← θ + v.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        momentum: α in [0, 1).
        nesterov: Use Nesterov momentum (Nesterov 1983; Sutskever et al. 2013).
        nesterov_form: "changed_variable" is θ̃ ← θ̃ + v_new + α(v_new − v_old) with the
            parameters θ̃ = θ + αv, as in PyTorch; "look_ahead" keeps θ and takes the gradient at
            θ + αv.
        velocity: "with_rate" as above; "without_rate" is v ← αv + g, θ ← θ − η·v, as in
            PyTorch. Both give the same θ while η is constant.
        weight_decay: λ ≥ 0: λθ is added to the gradient.
        decoupled: Subtract η·λθ from the parameter instead. Without momentum both are
            θ ← (1 − ηλ)θ − η·g.
        maximize: Ascend instead of descend.

    >>> from deltarule.optim import minimize
    >>> recipe = SGD(learning_rate=0.1, momentum=0.5)
    >>> minimize(lambda x: (x * x).sum(), [1.0], recipe, steps=3).path.ravel().round(4).tolist()
    [1.0, 0.8, 0.54, 0.302]
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    nesterov_form: Literal["changed_variable", "look_ahead"] = "changed_variable"
    velocity: Velocity = "with_rate"
    weight_decay: float = 0.0
    decoupled: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("momentum")
        self._require_nonnegative("weight_decay")
        self._require(
            "velocity",
            self.velocity in {"with_rate", "without_rate"},
            "'with_rate' or 'without_rate'",
        )
        forms = {"changed_variable", "look_ahead"}
        self._require(
            "nesterov_form",
            self.nesterov_form in forms,
            "'changed_variable' or 'look_ahead'",
        )
        self._require(
            "nesterov",
            not self.nesterov or self.momentum > 0,
            "momentum > 0 with nesterov=True",
        )

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names
        before = [scale(-1.0)] if self.maximize else []
        after = []
        if self.weight_decay and self.decoupled:
            after.append(decay_weights(self.weight_decay, self.learning_rate))
        if self.momentum:
            return chain(*before, self._with_momentum(), *after)
        if self.weight_decay and not self.decoupled:
            before.append(add_decayed_weights(self.weight_decay))
        return chain(*before, scale_by_learning_rate(self.learning_rate), *after)

    def _with_momentum(self) -> Transform:
        alpha, coupled = self.momentum, 0.0 if self.decoupled else self.weight_decay
        looks_ahead = self.nesterov and self.nesterov_form == "look_ahead"
        changed = self.nesterov and not looks_ahead

        def ahead(p: Tensor, v: Tensor, clock: Clock) -> Tensor:
            """Return the look-ahead point θ + αv."""
            if self.velocity == "with_rate":
                return p + v * alpha
            return p - v * cast_scalar(clock.rate(self.learning_rate) * alpha, p)

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            (v,) = kept
            eta = cast_scalar(clock.rate(self.learning_rate), p)
            if coupled:
                g = g + (ahead(p, v, clock) if looks_ahead else p) * coupled
            if self.velocity == "with_rate":
                new = v * alpha - g * eta
                return (new * (1 + alpha) - v * alpha if changed else new), (new,)
            new = v * alpha + g
            return -((g + new * alpha if changed else new) * eta), (new,)

        def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
            return [ahead(p, v, clock) for p, v in zip(parameters, state, strict=True)]

        transform = each_parameter(("v",), rule)
        return replace(transform, point=point) if looks_ahead else transform


@final
@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Lion: θ ← θ − η(sign(β₁m + (1 − β₁)g) + λθ), m ← β₂m + (1 − β₂)g (Chen et al. 2023).

    sign(0) is 0. Every entry changes by ±η, so η is usually a tenth of Adam's.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        beta1: The weight β₁ of the momentum in the sign.
        beta2: The decay rate β₂ of the momentum.
        weight_decay: λ ≥ 0, decoupled.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], Lion(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.9, 0.8]
    """

    learning_rate: float | Schedule = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("beta1", "beta2")
        self._require_nonnegative("weight_decay")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            direction = sign(kept[0] * self.beta1 + g * (1 - self.beta1))
            if self.weight_decay:
                direction = direction + p * self.weight_decay
            mean = kept[0] * self.beta2 + g * (1 - self.beta2)
            eta = cast_scalar(clock.rate(self.learning_rate), p)
            return -(direction * eta), (mean,)

        return each_parameter(("m",), rule)
