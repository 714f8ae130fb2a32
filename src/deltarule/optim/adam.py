"""Adam and its relatives. Bias corrections 1 − βᵗ are computed in float64 from the step, as −expm1(t·ln β)."""

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

AMSGrad = Literal["off", "raw", "corrected"]


@dataclass(frozen=True, kw_only=True)
class _Moments(Optimizer):
    """What the family shares: two decays, ε, weight decay and its kind, the direction."""

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

    def _around(self, transform: Transform, decoupled: bool) -> Transform:
        """Change the sign first when maximising, then add the coupled decay, or the decoupled one at the end."""
        parts = [scale(-1.0)] if self.maximize else []
        if self.weight_decay and not decoupled:
            parts.append(add_decayed_weights(self.weight_decay))
        parts.append(transform)
        if self.weight_decay and decoupled:
            parts.append(decay_weights(self.weight_decay, self.learning_rate))
        return chain(*parts)

    def _means(self, g: Tensor, kept: State) -> tuple[Tensor, Tensor]:
        """β₁m + (1 − β₁)g and β₂v + (1 − β₂)g⊙g."""
        return kept[0] * self.beta1 + g * (1 - self.beta1), kept[1] * self.beta2 + (
            g * g
        ) * (1 - self.beta2)


def _power(beta: float, count: Tensor) -> Tensor:
    """βᵗ in float64."""
    return exp(count * logarithm(beta)) if beta else count * 0.0


def _correction(beta: float, count: Tensor) -> Tensor | float:
    """1 − βᵗ in float64, exact to the last digits also where β is near 1."""
    return -expm1(count * logarithm(beta)) if beta else 1.0


@dataclass(frozen=True, kw_only=True)
class _Adam(_Moments):
    """The rule of Adam and AdamW."""

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
        """M̂·η/(√v̂ + ε) and the moments."""
        first, second = self._means(g, kept)
        rate, restored = clock.rate(self.learning_rate), second
        if self.bias_correction:
            rate = rate / _correction(self.beta1, clock.count())
            restored = second * cast_scalar(
                1.0 / _correction(self.beta2, clock.count()), p
            )
        moments: State = (first, second)
        if self.amsgrad == "raw":
            largest = maximum(kept[2], second)
            restored = largest
            if self.bias_correction:
                restored = largest * cast_scalar(
                    1.0 / _correction(self.beta2, clock.count()), p
                )
            moments = (first, second, largest)
        elif self.amsgrad == "corrected":
            restored = maximum(kept[2], restored)
            moments = (first, second, restored)
        return -(
            first
            * cast_scalar(rate, p)
            / root(restored, self.epsilon, self.epsilon_place)
        ), moments

    def _steps(self, decoupled: bool) -> Transform:
        return self._around(
            each_parameter(
                ("m", "v") if self.amsgrad == "off" else ("m", "v", "u"), self._rule
            ),
            decoupled,
        )


@final
@dataclass(frozen=True, kw_only=True)
class Adam(_Adam):
    """θ ← θ − η·m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) (OPT-19 … OPT-26; Kingma and Ba 2015).

    ``weight_decay`` λ adds λθ to the gradient (coupled, OPT-23); ``maximize`` changes the gradient's sign first.
    ``amsgrad`` takes the running maximum of the ``"raw"`` second moment (PyTorch's code) or of the ``"corrected"``
    one (its pseudo-code, OPT-24, E002-14). ``bias_correction=False`` leaves m and v as they are (OPT-26).
    The powers t of the corrections, missing in the source of OPT-25 (E003-06), are there.

    >>> Adam(learning_rate=1e-3).beta1
    0.9
    """

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        del names
        return self._steps(decoupled=False)


@final
@dataclass(frozen=True, kw_only=True)
class AdamW(_Adam):
    """Adam with decoupled weight decay: θ ← θ − η·λθ − η·m̂/(√v̂ + ε) (Loshchilov and Hutter 2019).

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
    """Adam with Nesterov's look-ahead (Dozat 2016), with the decaying momentum of his μ_t, as in PyTorch.

    μ_t = β₁(1 − ½·0.96^{tψ}), θ ← θ − η[(1 − μ_t)g/(1 − Π_{i≤t} μ_i) + μ_{t+1}m/(1 − Π_{i≤t+1} μ_i)]/(√v̂ + ε).

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
        """Return gradients → steps; the last state tensor is the product of the μ, a float64 scalar."""
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
                restored = second * cast_scalar(
                    1.0 / _correction(self.beta2, clock.count()), p
                )
                step = g * cast_scalar(by_gradient, p) + first * cast_scalar(by_mean, p)
                return -(step / root(restored, self.epsilon, "outside")), (
                    first,
                    second,
                )

            updates, moments = each_parameter(("m", "v"), rule).update(
                gradients, state[:-1], parameters, clock
            )
            return updates, (*moments, product)

        return self._around(
            Transform(init, update, slots=("m", "v", "Pi")), self.decoupled
        )


@final
@dataclass(frozen=True, kw_only=True)
class RAdam(_Moments):
    """Adam whose rate is rectified while the second moment rests on few gradients (Liu et al. 2020).

    ρ_∞ = 2/(1 − β₂) − 1, ρ_t = ρ_∞ − 2tβ₂ᵗ/(1 − β₂ᵗ). For ρ_t > 5: θ ← θ − η·r_t·m̂·√(1 − β₂ᵗ)/(√v + ε) with
    r_t² = (ρ_t − 4)(ρ_t − 2)ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2)ρ_t); before that θ ← θ − η·m̂.

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
        most = 2 / (1 - self.beta2) - 1

        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            first, second = self._means(g, kept)
            count, limit = clock.count(), named(most, "rho_∞")
            correction = _correction(self.beta2, count)
            length = named(
                limit - count * _power(self.beta2, count) * 2.0 / correction, "rho"
            )
            known = maximum(length, 5.0)
            rectifier = named(
                (known - 4.0)
                * (known - 2.0)
                * (limit / ((limit - 4) * (limit - 2)))
                / known,
                "R",
            )
            scaled = cast_scalar(sqrt(rectifier * correction), p) / root(
                second, self.epsilon, "outside"
            )
            rate = cast_scalar(
                clock.rate(self.learning_rate) / _correction(self.beta1, count), p
            )
            return -(first * rate * where(length > 5.0, scaled, 1.0)), (first, second)

        return self._around(each_parameter(("m", "v"), rule), self.decoupled)


@final
@dataclass(frozen=True, kw_only=True)
class Adamax(_Moments):
    """u ← max(β₂u, |g| + ε), θ ← θ − η/(1 − β₁ᵗ)·m/u: Adam with the ∞-norm (Kingma and Ba 2015, section 7).

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
            rate = clock.rate(self.learning_rate) / _correction(
                self.beta1, clock.count()
            )
            return -(first * cast_scalar(rate, p) / largest), (first, largest)

        return self._around(each_parameter(("m", "u"), rule), decoupled=False)
