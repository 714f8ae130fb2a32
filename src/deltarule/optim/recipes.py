"""The textbook's optimisers. Where conventions differ, the choice is a named argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

from deltarule.optim.recipe import Optimizer
from deltarule.optim.schedules import Schedule
from deltarule.optim.transform import (
    Clock,
    Each,
    Transform,
    add_decayed_weights,
    cast_scalar,
    chain,
    each_parameter,
    scale,
    scale_by_learning_rate,
)
from deltarule.tensor.functional import exp, maximum, sqrt
from deltarule.tensor.tensor import Tensor

Epsilon = Literal["inside", "outside"]


def _root(second: Tensor, epsilon: float, place: Epsilon) -> Tensor:
    """√(s + ε) (inside) or √s + ε (outside)."""
    return sqrt(second + epsilon) if place == "inside" else sqrt(second) + epsilon


def _momentum(rate: float | Schedule, momentum: float, velocity: str, nesterov: bool) -> Each:
    """V ← αv − η_t·g (rate in the velocity) or v ← αv + g with step −η_t·v (rate at the step)."""

    def rule(g: Tensor, kept: tuple[Tensor, ...], p: Tensor, clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
        eta = cast_scalar(clock.rate(rate), p)
        (v,) = kept
        if velocity == "with_rate":
            new = v * momentum - g * eta
            return (new * (1 + momentum) - v * momentum if nesterov else new), (new,)
        new = v * momentum + g
        return -((g + new * momentum if nesterov else new) * eta), (new,)

    return rule


@final
@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant on request (OPT-01 … OPT-13).

    θ ← θ − η·g. With momentum α, ``velocity="with_rate"``: v ← αv − η·g, θ ← θ + v (the notes);
    ``"without_rate"``: v ← αv + g, θ ← θ − η·v (PyTorch). Both are equal while η is constant.
    ``nesterov=True`` is the changed-variable form θ ← θ + v_new + α(v_new − v_old) (OPT-12, C-OPT-22), the
    look-ahead form seen from θ + αv; the sign error of OPT-13's source (it diverges, C-OPT-23) is corrected.
    ``weight_decay`` λ adds λθ to the gradient.

    >>> SGD(learning_rate=0.1, momentum=0.9).momentum
    0.9
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    velocity: Literal["with_rate", "without_rate"] = "with_rate"
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("momentum")
        self._require("weight_decay", self.weight_decay >= 0, "a number ≥ 0")
        self._require("velocity", self.velocity in {"with_rate", "without_rate"}, "'with_rate' or 'without_rate'")
        self._require("nesterov", not self.nesterov or self.momentum > 0, "momentum > 0 with nesterov=True")

    def transform(self) -> Transform:
        """Return gradients → steps."""
        decay = [add_decayed_weights(self.weight_decay)] if self.weight_decay else []
        if self.momentum == 0:
            return chain(*decay, scale_by_learning_rate(self.learning_rate))
        rule = _momentum(self.learning_rate, self.momentum, self.velocity, self.nesterov)
        return chain(*decay, each_parameter(1, rule))


@final
@dataclass(frozen=True, kw_only=True)
class AdaGrad(Optimizer):
    """a ← a + g⊙g, θ ← θ − η·g/√(a + ε) (OPT-14; Duchi et al. 2011). Rates never grow (OPT-15)."""

    learning_rate: float | Schedule = 0.01
    epsilon: float = 1e-8
    epsilon_place: Epsilon = "inside"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("epsilon", self.epsilon >= 0, "a number ≥ 0")

    def transform(self) -> Transform:
        """Return gradients → steps."""

        def rule(g: Tensor, kept: tuple[Tensor, ...], p: Tensor, clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
            total = kept[0] + g * g
            eta = cast_scalar(clock.rate(self.learning_rate), p)
            return -(g * eta / _root(total, self.epsilon, self.epsilon_place)), (total,)

        return each_parameter(1, rule)


@final
@dataclass(frozen=True, kw_only=True)
class RMSProp(Optimizer):
    """s ← βs + (1 − β)g⊙g, θ ← θ − η·g/√(s + ε) (OPT-16 … OPT-18; Hinton 2012).

    ``epsilon_place`` "inside" is √(s + ε) (notes 000, 003), "outside" √s + ε (002, PyTorch). With ``momentum`` α:
    v ← αv − η·g/√…, θ ← θ + v. ``centred`` subtracts the squared mean gradient from s (Graves 2013). The step
    multiplies the gradient, not the velocity (the source of OPT-17 counts the rate twice, C-OPT-07).
    """

    learning_rate: float | Schedule = 1e-3
    beta: float = 0.9
    epsilon: float = 1e-8
    epsilon_place: Epsilon = "inside"
    momentum: float = 0.0
    centred: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("beta")
        self._require_decay("momentum")
        self._require("epsilon", self.epsilon >= 0, "a number ≥ 0")

    def transform(self) -> Transform:
        """Return gradients → steps."""

        def rule(g: Tensor, kept: tuple[Tensor, ...], p: Tensor, clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
            slots = list(kept)
            second = slots[0] = slots[0] * self.beta + (g * g) * (1 - self.beta)
            if self.centred:
                mean = slots[1] = slots[1] * self.beta + g * (1 - self.beta)
                second = second - mean * mean
            step = g * cast_scalar(clock.rate(self.learning_rate), p) / _root(second, self.epsilon, self.epsilon_place)
            if not self.momentum:
                return -step, tuple(slots)
            velocity = slots[-1] = slots[-1] * self.momentum - step
            return velocity, tuple(slots)

        return each_parameter(1 + self.centred + (self.momentum > 0), rule)


@dataclass(frozen=True, kw_only=True)
class _AdamFamily(Optimizer):
    """The hyperparameters and the moments that Adam and AdamW share."""

    learning_rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_place: Epsilon = "outside"
    bias_correction: bool = True
    amsgrad: Literal["off", "raw", "corrected"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("beta1")
        self._require_decay("beta2")
        self._require("epsilon", self.epsilon >= 0, "a number ≥ 0")
        self._require("amsgrad", self.amsgrad in {"off", "raw", "corrected"}, "'off', 'raw' or 'corrected'")

    def _correction(self, beta: float, clock: Clock) -> Tensor | float:
        """1 − βᵗ in float64."""
        if not self.bias_correction or beta == 0:
            return 1.0
        return 1.0 - exp(clock.count() * math.log(beta))

    def _moments(self) -> Transform:
        """M ← β₁m + (1 − β₁)g, s ← β₂s + (1 − β₂)g⊙g, step −η·m̂/(√ŝ + ε)."""

        def rule(g: Tensor, kept: tuple[Tensor, ...], p: Tensor, clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
            first = kept[0] * self.beta1 + g * (1 - self.beta1)
            second = kept[1] * self.beta2 + (g * g) * (1 - self.beta2)
            rate = cast_scalar(clock.rate(self.learning_rate) / self._correction(self.beta1, clock), p)
            correction = cast_scalar(self._correction(self.beta2, clock), p)
            if self.amsgrad == "off":
                return -(first * rate / _root(second / correction, self.epsilon, self.epsilon_place)), (first, second)
            if self.amsgrad == "raw":
                largest = maximum(kept[2], second)
                corrected = largest / correction
            else:
                largest = corrected = maximum(kept[2], second / correction)
            return -(first * rate / _root(corrected, self.epsilon, self.epsilon_place)), (first, second, largest)

        return each_parameter(2 if self.amsgrad == "off" else 3, rule)


@final
@dataclass(frozen=True, kw_only=True)
class Adam(_AdamFamily):
    """θ ← θ − η·m̂/(√ŝ + ε) with m̂ = m/(1 − β₁ᵗ), ŝ = s/(1 − β₂ᵗ) (OPT-19 … OPT-26; Kingma and Ba 2015).

    ``weight_decay`` λ adds λθ to the gradient (coupled, OPT-23); ``maximize`` changes the gradient's sign first.
    ``amsgrad`` takes the running maximum of the ``"raw"`` second moment (PyTorch's code) or of the ``"corrected"``
    one (its pseudo-code, OPT-24). The powers t of the corrections, missing in the source of OPT-25, are there.

    >>> Adam(learning_rate=1e-3).beta1
    0.9
    """

    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("weight_decay", self.weight_decay >= 0, "a number ≥ 0")

    def transform(self) -> Transform:
        """Return gradients → steps."""
        sign = [scale(-1.0)] if self.maximize else []
        decay = [add_decayed_weights(self.weight_decay)] if self.weight_decay else []
        return chain(*sign, *decay, self._moments())


@final
@dataclass(frozen=True, kw_only=True)
class AdamW(_AdamFamily):
    """Adam with decoupled weight decay: θ ← θ − η·λθ − η·m̂/(√ŝ + ε) (Loshchilov and Hutter 2019)."""

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("weight_decay", self.weight_decay >= 0, "a number ≥ 0")

    def transform(self) -> Transform:
        """Return gradients → steps."""

        def shrink(u: Tensor, _: tuple[Tensor, ...], p: Tensor, clock: Clock) -> tuple[Tensor, tuple[Tensor, ...]]:
            return u - p * cast_scalar(clock.rate(self.learning_rate) * self.weight_decay, p), ()

        return chain(self._moments(), each_parameter(0, shrink))
