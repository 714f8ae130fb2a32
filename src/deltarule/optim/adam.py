"""Adam and its variants. Bias corrections 1 − βᵗ are computed in float64, as −expm1(t·ln β)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from deltarule.graph.build.quantity import logarithm
from deltarule.optim.naming import named
from deltarule.optim.recipe import Epsilon, Optimizer, root
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
    filled,
    scale,
)
from deltarule.tensor.functional import exp, expm1, full, maximum, sqrt, where
from deltarule.tensor.tensor import Tensor

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]

AMSGrad = Literal["off", "raw", "corrected"]


@dataclass(frozen=True, kw_only=True)
class _Moments(Optimizer):
    """Base class of the Adam family: the decay rates, ε, weight decay and direction."""

    learning_rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("beta1", "beta2")
        self._require_nonnegative("epsilon", "weight_decay")

    def _with_decay(self, transform: Transform, decoupled: bool) -> Transform:
        """Negate gradients when maximising; add coupled weight decay before the transform, decoupled after it."""
        parts = [scale(-1.0)] if self.maximize else []
        if self.weight_decay and not decoupled:
            parts.append(add_decayed_weights(self.weight_decay))
        parts.append(transform)
        if self.weight_decay and decoupled:
            parts.append(decay_weights(self.weight_decay, self.learning_rate))
        return chain(*parts)

    def _means(self, g: Tensor, kept: State) -> tuple[Tensor, Tensor]:
        """Return the moments β₁m + (1 − β₁)g and β₂v + (1 − β₂)g⊙g."""
        first = kept[0] * self.beta1 + g * (1 - self.beta1)
        second = kept[1] * self.beta2 + (g * g) * (1 - self.beta2)
        return first, second


def _power(beta: float, count: Tensor) -> Tensor:
    """Return βᵗ in float64."""
    return exp(count * logarithm(beta)) if beta else count * 0.0


def _correction(beta: float, count: Tensor) -> Tensor | float:
    """Return 1 − βᵗ in float64, accurate also for β near 1."""
    return -expm1(count * logarithm(beta)) if beta else 1.0


def _corrected(moment: Tensor, beta: float, p: Tensor, clock: Clock) -> Tensor:
    """Return a moment divided by its bias correction 1 − βᵗ."""
    return moment * cast_scalar(1.0 / _correction(beta, clock.count()), p)


@dataclass(frozen=True, kw_only=True)
class _Adam(_Moments):
    """Base class of Adam and AdamW."""

    epsilon_place: Epsilon = "outside"
    bias_correction: bool = True
    amsgrad: AMSGrad = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            "epsilon_place",
            self.epsilon_place in {"inside", "outside"},
            "'inside' or 'outside'",
        )
        self._require(
            "amsgrad",
            self.amsgrad in {"off", "raw", "corrected"},
            "'off', 'raw' or 'corrected'",
        )

    def _rule(
        self, g: Tensor, kept: State, p: Tensor, clock: Clock
    ) -> tuple[Tensor, State]:
        """Return the step −η·m̂/(√v̂ + ε) and the moments."""
        first, second = self._means(g, kept)
        rate, corrected = clock.rate(self.learning_rate), second
        if self.bias_correction:
            rate = rate / _correction(self.beta1, clock.count())
            corrected = _corrected(second, self.beta2, p, clock)
        moments: State = (first, second)
        if self.amsgrad == "raw":
            largest = maximum(kept[2], second)
            corrected = largest
            if self.bias_correction:
                corrected = _corrected(largest, self.beta2, p, clock)
            moments = (first, second, largest)
        elif self.amsgrad == "corrected":
            corrected = maximum(kept[2], corrected)
            moments = (first, second, corrected)
        denominator = root(corrected, self.epsilon, self.epsilon_place)
        return -(first * cast_scalar(rate, p) / denominator), moments

    def _steps(self, decoupled: bool) -> Transform:
        slots = ("m", "v") if self.amsgrad == "off" else ("m", "v", "u")
        return self._with_decay(each_parameter(slots, self._rule), decoupled)


@final
@dataclass(frozen=True, kw_only=True)
class Adam(_Adam):
    """Adam: θ ← θ − η·m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) (Kingma and Ba 2015).

    The moments are m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g⊙g.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        beta1: The decay rate β₁ in [0, 1) of the first moment.
        beta2: The decay rate β₂ in [0, 1) of the second moment.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0: λθ is added to the gradient (L2 regularisation; see ``AdamW`` for
            decoupled weight decay).
        maximize: Ascend instead of descend.
        epsilon_place: "outside" is √v̂ + ε, "inside" is √(v̂ + ε).
        bias_correction: False uses m and v in place of m̂ and v̂.
        amsgrad: AMSGrad (Reddi et al. 2018): use the running maximum of the "raw" second moment,
            as PyTorch's code does, or of the "corrected" one; "off" by default.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], Adam(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.9, 0.8004]
    """

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names
        return self._steps(decoupled=False)


@final
@dataclass(frozen=True, kw_only=True)
class AdamW(_Adam):
    """AdamW: Adam with decoupled weight decay, θ ← θ − η·λθ − η·m̂/(√v̂ + ε) (Loshchilov and Hutter 2019).

    The arguments are those of ``Adam``; ``weight_decay`` λ is 0.01 by default.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], AdamW(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.899, 0.7985]
    """

    weight_decay: float = 0.01

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names
        return self._steps(decoupled=True)


@final
@dataclass(frozen=True, kw_only=True)
class NAdam(_Moments):
    """NAdam: Adam with Nesterov momentum and the momentum schedule μ_t, as in PyTorch (Dozat 2016).

    μ_t = β₁(1 − ½·0.96^{tψ}), θ ← θ − η[(1 − μ_t)g/(1 − Π_{i≤t} μ_i) + μ_{t+1}m/(1 − Π_{i≤t+1} μ_i)]/(√v̂ + ε).

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        beta1: The decay rate β₁ of the first moment.
        beta2: The decay rate β₂ of the second moment.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0.
        maximize: Ascend instead of descend.
        momentum_decay: ψ ≥ 0.
        decoupled: Decoupled weight decay, as in ``AdamW``.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], NAdam(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.8944, 0.82]
    """

    learning_rate: float | Schedule = 2e-3
    momentum_decay: float = 4e-3
    decoupled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_nonnegative("momentum_decay")

    def _momentum(self, count: Tensor) -> Tensor:
        return (1.0 - _power(0.96, count * self.momentum_decay) * 0.5) * self.beta1

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return the transform of gradients into steps; its last state is Π μ_i, a float64 scalar."""
        del names

        def init(parameters: Tensors) -> State:
            return (*filled(2, parameters), full((), 1.0, "float64"))

        def update(
            gradients: Tensors, state: State, parameters: Tensors, clock: Clock
        ) -> tuple[list[Tensor], State]:
            now = named(self._momentum(clock.count()), "mu")
            following = named(self._momentum(clock.count() + 1.0), "mu'")
            product = state[-1] * now
            rate = clock.rate(self.learning_rate)
            by_gradient = (1.0 - now) / (1.0 - product) * rate
            by_mean = following / (1.0 - product * following) * rate

            def rule(
                g: Tensor, kept: State, p: Tensor, clock: Clock
            ) -> tuple[Tensor, State]:
                first, second = self._means(g, kept)
                corrected = _corrected(second, self.beta2, p, clock)
                step = g * cast_scalar(by_gradient, p) + first * cast_scalar(by_mean, p)
                scaled = step / root(corrected, self.epsilon, "outside")
                return -scaled, (first, second)

            updates, moments = each_parameter(("m", "v"), rule).update(
                gradients, state[:-1], parameters, clock
            )
            return updates, (*moments, product)

        transform = Transform(init, update, slots=("m", "v", "Pi"))
        return self._with_decay(transform, self.decoupled)


@final
@dataclass(frozen=True, kw_only=True)
class RAdam(_Moments):
    """RAdam: rectified Adam, with a variance-corrected learning rate in the first steps (Liu et al. 2020).

    ρ_∞ = 2/(1 − β₂) − 1, ρ_t = ρ_∞ − 2tβ₂ᵗ/(1 − β₂ᵗ). For ρ_t > 5: θ ← θ − η·r_t·m̂·√(1 − β₂ᵗ)/(√v + ε) with
    r_t² = (ρ_t − 4)(ρ_t − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ_t); before that θ ← θ − η·m̂.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        beta1: The decay rate β₁ of the first moment.
        beta2: The decay rate β₂ > 2/3 of the second moment.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0.
        maximize: Ascend instead of descend.
        decoupled: Decoupled weight decay, as in ``AdamW``.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], RAdam(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.8, 0.6211]
    """

    decoupled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("beta2", self.beta2 > 2 / 3, "a number > 2/3 (ρ_∞ > 5)")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names
        length_limit = 2 / (1 - self.beta2) - 1

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            first, second = self._means(g, kept)
            count, limit = clock.count(), named(length_limit, "rho_∞")
            correction = _correction(self.beta2, count)
            decayed = count * _power(self.beta2, count) * 2.0 / correction
            length = named(limit - decayed, "rho")
            known = maximum(length, 5.0)
            constant = limit / ((limit - 4) * (limit - 2))
            squared_rectifier = (known - 4.0) * (known - 2.0) * constant / known
            rectifier = named(squared_rectifier, "R")
            numerator = cast_scalar(sqrt(rectifier * correction), p)
            adaptive = numerator / root(second, self.epsilon, "outside")
            corrected_rate = clock.rate(self.learning_rate) / _correction(
                self.beta1, count
            )
            rate = cast_scalar(corrected_rate, p)
            return -(first * rate * where(length > 5.0, adaptive, 1.0)), (first, second)

        return self._with_decay(each_parameter(("m", "v"), rule), self.decoupled)


@final
@dataclass(frozen=True, kw_only=True)
class Adamax(_Moments):
    """Adamax: Adam with the ∞-norm (Kingma and Ba 2015, section 7).

    u ← max(β₂u, |g| + ε), θ ← θ − η/(1 − β₁ᵗ)·m/u.

    Args:
        learning_rate: η > 0, or a schedule.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.
        beta1: The decay rate β₁ of the first moment.
        beta2: The decay rate β₂ of the ∞-norm.
        epsilon: ε ≥ 0.
        weight_decay: λ ≥ 0: λθ is added to the gradient.
        maximize: Ascend instead of descend.

    >>> from deltarule.optim import minimize
    >>> minimize(lambda x: (x * x).sum(), [1.0], Adamax(learning_rate=0.1), steps=2).path.ravel().round(4).tolist()
    [1.0, 0.9, 0.8052]
    """

    learning_rate: float | Schedule = 2e-3

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            first = kept[0] * self.beta1 + g * (1 - self.beta1)
            largest = maximum(kept[1] * self.beta2, abs(g) + self.epsilon)
            correction = _correction(self.beta1, clock.count())
            rate = clock.rate(self.learning_rate) / correction
            return -(first * cast_scalar(rate, p) / largest), (first, largest)

        return self._with_decay(each_parameter(("m", "u"), rule), decoupled=False)
