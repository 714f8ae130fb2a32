"""Wrappers of optimisers: parameter groups, gradient accumulation, averaged weights, proximal steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, final

from deltarule.errors import ArgumentError
from deltarule.optim.gradient_descent import SGD
from deltarule.optim.recipe import (
    RENAMED,
    Optimizer,
    ParameterNames,
    frozen_among,
    get,
)
from deltarule.optim.schedules import Schedule
from deltarule.optim.transform import (
    Clock,
    State,
    Tensors,
    Transform,
    cast_scalar,
    chain,
    filled,
)
from deltarule.renamed import former_names
from deltarule.tensor.functional import floor, maximum, sign, where
from deltarule.tensor.tensor import Tensor

__all__ = ["EMA", "GradientAccumulation", "ParamGroups", "Proximal"]


@final
@dataclass(frozen=True, kw_only=True)
class ParamGroups(Optimizer):
    """Different optimisers for groups of parameters, chosen by patterns of their names.

    A parameter belongs to the first pattern that matches its name, or else to ``default``. A
    pattern may match frozen parameters only; a pattern that matches no parameter is an error.
    ``history["learning_rate"]`` is that of the default.

    Args:
        groups: An optimiser, or its name, for each pattern (``*`` and ``?`` as in file names).
        default: The optimiser for all other parameters.
        clip_norm: The largest norm of the gradients of all groups together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.

    >>> recipe = ParamGroups(groups={"*bias": SGD(learning_rate=0.1)}, default=SGD(learning_rate=0.01))
    >>> recipe.group_of("0.bias"), recipe.group_of("0.weight")
    ('*bias', 'default')
    """

    stands_alone: ClassVar[bool] = False
    learning_rate: float | Schedule = field(init=False)
    groups: dict[str, Optimizer] = field(default_factory=dict)
    default: Optimizer = field(default_factory=SGD)

    def __post_init__(self) -> None:
        self._require(
            "groups",
            isinstance(self.groups, dict),
            "a dictionary of optimisers by pattern",
        )
        groups = {pattern: get(recipe) for pattern, recipe in self.groups.items()}
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "default", get(self.default))
        object.__setattr__(self, "learning_rate", self.default.learning_rate)
        super().__post_init__()

    def rate_at(self, step: int) -> float:
        """Return the default's learning rate at a step."""
        return self.default.rate_at(step)

    def rates(
        self, count: int, clock: Clock, names: Sequence[str] | None = None
    ) -> list[Tensor | float]:
        """Return the learning rate of each parameter: that of its group."""
        found: dict[int, Tensor | float] = {}
        for optimizer, group, own in self._parts(names):
            rates = optimizer.rates(len(group), clock, own)
            found.update(zip(group, rates, strict=True))
        return [found[i] for i in range(count)]

    def group_of(self, name: str) -> str:
        """Return the pattern of the group of a parameter, or "default".

        >>> from deltarule.optim import SGD
        >>> groups = ParamGroups(groups={"*.bias": SGD()}, default=SGD())
        >>> groups.group_of("0.bias"), groups.group_of("0.weight")
        ('*.bias', 'default')
        """
        matching = (pattern for pattern in self.groups if fnmatchcase(name, pattern))
        return next(matching, "default")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return the transform of gradients into steps, with each group's own optimiser."""
        parts = self._parts(names)
        return partition(
            [group for _, group, _ in parts],
            [recipe.transform(own) for recipe, _, own in parts],
        )

    def _parts(
        self, names: Sequence[str] | None
    ) -> list[tuple[Optimizer, list[int], ParameterNames]]:
        """Return the optimiser, and the indices and names of the parameters, of every group with trainable ones."""
        if names is None:
            raise ArgumentError(
                "ParamGroups", expected="the names of the parameters", got="none"
            )
        chosen = [self.group_of(name) for name in names]
        frozen = [(name, self.group_of(name)) for name in frozen_among(names)]
        named = {*chosen, *(group for _, group in frozen)}
        unused = [pattern for pattern in self.groups if pattern not in named]
        if unused:
            known = ", ".join((*names, *frozen_among(names)))
            raise ArgumentError(
                "ParamGroups",
                expected=f"patterns that match one of {known}",
                got=", ".join(map(repr, unused)),
            )
        parts = []
        for label in dict.fromkeys(chosen):
            group = [i for i, own in enumerate(chosen) if own == label]
            own_names = ParameterNames(
                [names[i] for i in group],
                [name for name, own in frozen if own == label],
            )
            parts.append((self.groups.get(label, self.default), group, own_names))
        return parts


def partition(
    members: Sequence[Sequence[int]], transforms: Sequence[Transform]
) -> Transform:
    """Return the transform that applies a transform to each group of parameters, given by indices.

    >>> from deltarule.optim.transform import scale
    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([1.0]), tensor([1.0])]
    >>> both = partition([[1], [0]], [scale(2.0), scale(3.0)])
    >>> [u.item() for u in both.update(g, (), g, Clock(tensor(0)))[0]]
    [3.0, 2.0]
    """

    def of(items: Sequence[Tensor], group: Sequence[int]) -> list[Tensor]:
        return [items[i] for i in group]

    def init(parameters: Tensors) -> State:
        parts = zip(members, transforms, strict=True)
        return tuple(
            tensor
            for group, transform in parts
            for tensor in transform.init(of(parameters, group))
        )

    def states(parameters: Tensors, state: State) -> list[State]:
        parts, start = [], 0
        for group, transform in zip(members, transforms, strict=True):
            stop = start + len(transform.init(of(parameters, group)))
            parts.append(state[start:stop])
            start = stop
        return parts

    def update(
        gradients: Tensors, state: State, parameters: Tensors, clock: Clock
    ) -> tuple[list[Tensor], State]:
        updates = list(gradients)
        after: list[Tensor] = []
        parts = zip(members, transforms, states(parameters, state), strict=True)
        for group, transform, own in parts:
            steps, new = transform.update(
                of(gradients, group), own, of(parameters, group), clock
            )
            after.extend(new)
            for i, step in zip(group, steps, strict=True):
                updates[i] = step
        return updates, tuple(after)

    def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
        points = list(parameters)
        parts = zip(members, transforms, states(parameters, state), strict=True)
        for group, transform, own in parts:
            if transform.point is None:
                continue
            group_points = transform.point(of(parameters, group), own, clock)
            for i, group_point in zip(group, group_points, strict=True):
                points[i] = group_point
        return points

    looks = any(transform.point is not None for transform in transforms)
    slots = tuple(name for transform in transforms for name in transform.slots)
    return Transform(init, update, point if looks else None, slots)


@dataclass(frozen=True, kw_only=True)
class _Wrapper(Optimizer):
    """Base class of wrappers: the learning rates are those of the inner optimiser."""

    stands_alone: ClassVar[bool] = False
    learning_rate: float | Schedule = field(init=False)
    inner: Optimizer = field(default_factory=SGD)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inner", get(self.inner))
        object.__setattr__(self, "learning_rate", self.inner.learning_rate)
        super().__post_init__()

    def rate_at(self, step: int) -> float:
        """Return the inner optimiser's learning rate at a step."""
        return self.inner.rate_at(step)

    def rates(
        self, count: int, clock: Clock, names: Sequence[str] | None = None
    ) -> list[Tensor | float]:
        """Return the learning rate of each parameter: that of the inner optimiser."""
        return self.inner.rates(count, clock, names)


@final
@dataclass(frozen=True, kw_only=True)
class GradientAccumulation(_Wrapper):
    """Gradient accumulation: average gradients over ``every`` steps, then take one step of the inner optimiser.

    It is equivalent to a batch ``every`` times as large. In between, the parameters and the
    state of the inner optimiser do not change; its schedules and bias corrections count its own
    steps. Outer wrappers (``EMA``) and clipping act at each of the ``every`` steps,
    ``Proximal`` only where the parameters change.

    Args:
        inner: The optimiser, or its name.
        every: The number of steps ≥ 1 whose gradients are averaged.
        clip_norm: The largest norm of all gradients of a step together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.

    >>> from deltarule.optim import minimize
    >>> recipe = GradientAccumulation(inner=SGD(learning_rate=0.1), every=2)
    >>> minimize(lambda x: (x * x).sum(), [1.0], recipe, steps=4).path.ravel().round(4).tolist()
    [1.0, 1.0, 0.8, 0.8, 0.64]
    """

    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("every", self.every >= 1, "a whole number ≥ 1")

    def rate_at(self, step: int) -> float:
        """Return the learning rate at a step; schedules count the steps of the inner optimiser."""
        return self.inner.rate_at(step // self.every)

    def rates(
        self, count: int, clock: Clock, names: Sequence[str] | None = None
    ) -> list[Tensor | float]:
        """Return the learning rate of each parameter, 0 where the step only accumulates gradients."""
        due = self._due(clock).astype("float64")
        rates = self.inner.rates(count, self._inner_clock(clock), names)
        return [due * rate for rate in rates]

    def _inner_clock(self, clock: Clock) -> Clock:
        """Return the clock of the inner optimiser, which counts its own steps."""
        completed = floor(clock.step.astype("float64") / float(self.every))
        return Clock(completed.astype("int64"), clock.factor, "k")

    def _due(self, clock: Clock) -> Tensor:
        """Whether the step is the last of ``every``, at which the parameters are updated."""
        due: Tensor = clock.count() == self._inner_clock(clock).count() * self.every
        return due

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        inner, inner_clock = self.inner.transform(names), self._inner_clock

        def init(parameters: Tensors) -> State:
            return (*filled(1, parameters), *inner.init(parameters))

        def update(
            gradients: Tensors, state: State, parameters: Tensors, clock: Clock
        ) -> tuple[list[Tensor], State]:
            n = len(parameters)
            sums = [
                total + g * (1 / self.every)
                for total, g in zip(state[:n], gradients, strict=True)
            ]
            own, due = inner_clock(clock), self._due(clock)
            steps, new = inner.update(sums, state[n:], parameters, own)
            kept = [where(due, 0.0, total) for total in sums]
            after = [
                where(due, fresh, old)
                for fresh, old in zip(new, state[n:], strict=True)
            ]
            return [where(due, step, 0.0) for step in steps], (*kept, *after)

        def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
            if inner.point is None:
                return list(parameters)
            return inner.point(parameters, state[len(parameters) :], inner_clock(clock))

        slots = ("g_bar", *inner.slots)
        return Transform(init, update, point if inner.point else None, slots)


@final
@dataclass(frozen=True, kw_only=True)
class EMA(_Wrapper):
    """Exponential moving average of the weights, θ̄ ← dθ̄ + (1 − d)θ, beside the steps of the inner optimiser.

    θ̄ starts at θ, and is updated at every step of training: around ``GradientAccumulation`` at each of
    its ``every`` steps, inside it once for all of them. ``averages`` returns θ̄ from the state.
    Averaging of iterates goes back to Polyak and Juditsky (1992).

    Args:
        inner: The optimiser, or its name.
        decay: The weight d in [0, 1) of the old average.
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.

    >>> from deltarule.optim import Stepper
    >>> from deltarule.tensor.tensor import parameter, tensor
    >>> recipe = EMA(inner=SGD(learning_rate=1.0), decay=0.75)
    >>> stepper = Stepper(recipe, [parameter([0.0])])
    >>> stepper.step([tensor([-1.0])])
    >>> stepper.parameters[0].item(), recipe.averages(stepper.state, 1)[0].item()
    (1.0, 0.25)
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_decay("decay")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""

        def update(
            steps: Tensors, state: State, parameters: Tensors, clock: Clock
        ) -> tuple[list[Tensor], State]:
            del clock
            d = self.decay
            parts = zip(state, parameters, steps, strict=True)
            means = (mean * d + (p + step) * (1 - d) for mean, p, step in parts)
            return list(steps), tuple(means)

        averaging = Transform(tuple, update, slots=("theta_bar",))
        return chain(self.inner.transform(names), averaging)

    def averages(self, state: Sequence[Any], n_parameters: int) -> list[Any]:
        """Return the averaged weights θ̄ of every parameter from the state (tensors or arrays)."""
        return list(state[len(state) - n_parameters :])


@final
@dataclass(frozen=True, kw_only=True)
class Proximal(_Wrapper):
    """Proximal gradient method for an L1 penalty: a step, then θ ← sign(θ)·max(|θ| − η_t·strength, 0).

    The proximal step of strength·‖θ‖₁ makes weights exactly 0, which subgradient steps do not
    (Daubechies et al. 2004). η_t is the inner optimiser's learning rate for the parameter: that
    of its group in ``ParamGroups``, 0 while ``GradientAccumulation`` only accumulates gradients.

    Args:
        inner: The optimiser, or its name.
        strength: The strength ≥ 0 of the penalty.
        pattern: The names of the penalised parameters (``*`` and ``?`` as in file names).
        clip_norm: The largest norm of all gradients together, if any.
        clip_value: The largest absolute value of an entry of a gradient, if any.

    >>> from deltarule.optim import minimize
    >>> recipe = Proximal(inner=SGD(learning_rate=0.5), strength=1.0, pattern="*")
    >>> minimize(lambda x: ((x - 0.3) ** 2).sum() * 0.5, [1.0], recipe, steps=3).path.ravel().round(4).tolist()
    [1.0, 0.15, 0.0, 0.0]
    """

    strength: float = 0.0
    pattern: str = "*weight"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_nonnegative("strength")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        if names is None and self.pattern != "*":
            raise ArgumentError(
                "Proximal",
                expected="the names of the parameters",
                got="none",
                hint='Or pattern="*".',
            )

        def penalised(i: int) -> bool:
            return names is None or fnmatchcase(names[i], self.pattern)

        def update(
            steps: Tensors, state: State, parameters: Tensors, clock: Clock
        ) -> tuple[list[Tensor], State]:
            rates = self.inner.rates(len(parameters), clock, names)
            parts = zip(steps, parameters, rates, strict=True)
            proximal_steps = [
                _soft_threshold(step, p, rate, self.strength) if penalised(i) else step
                for i, (step, p, rate) in enumerate(parts)
            ]
            return proximal_steps, state

        proximal = Transform(lambda parameters: (), update)
        return chain(self.inner.transform(names), proximal)


def _soft_threshold(
    step: Tensor, p: Tensor, rate: Tensor | float, strength: float
) -> Tensor:
    """Return the step to sign(θ)·max(|θ| − rate·strength, 0), where θ is the parameter after the given step."""
    moved = p + step
    return sign(moved) * maximum(abs(moved) - cast_scalar(rate * strength, p), 0.0) - p


def has_groups(optimizer: Optimizer) -> bool:
    """Whether an optimiser, or one inside it, has parameter groups with different learning rates.

    >>> has_groups(EMA(inner=ParamGroups())), has_groups(SGD())
    (True, False)
    """
    if isinstance(optimizer, _Wrapper):
        return has_groups(optimizer.inner)
    return isinstance(optimizer, ParamGroups)


def steps_between(optimizer: Optimizer) -> int:
    """Return the number of training steps per step of the innermost optimiser (``every`` of ``GradientAccumulation``).

    >>> steps_between(GradientAccumulation(inner=GradientAccumulation(every=2), every=3))
    6
    """
    if not isinstance(optimizer, _Wrapper):
        return 1
    every = optimizer.every if isinstance(optimizer, GradientAccumulation) else 1
    return steps_between(optimizer.inner) * every


def with_rate(optimizer: Optimizer, rate: float | Schedule, where: str) -> Optimizer:
    """Return the optimiser with another learning rate, that of the inner optimiser for a wrapper.

    Args:
        optimizer: The optimiser.
        rate: The new learning rate, or a schedule.
        where: The name of the caller, for the error.

    Raises:
        ArgumentError: ``ParamGroups`` have several learning rates.

    >>> with_rate(EMA(inner=SGD()), 0.5, "example").inner.learning_rate
    0.5
    """
    if isinstance(optimizer, ParamGroups):
        raise ArgumentError(
            f"{where} optimizer",
            expected="one learning rate for all parameters",
            got="ParamGroups",
            hint="Set the rates in the groups, or use the optimiser of one of them.",
        )
    if isinstance(optimizer, _Wrapper):
        return replace(optimizer, inner=with_rate(optimizer.inner, rate, where))
    return replace(optimizer, learning_rate=rate)


FORMER = {old: f"deltarule.optim.wrappers:{new}" for old, new in RENAMED.items()}

if not TYPE_CHECKING:
    __getattr__ = former_names(__name__, FORMER)  # for pickles
