"""Optimisers around other optimisers: groups of parameters, accumulated gradients, averaged weights, L1 steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, final

from deltarule.errors import ArgumentError
from deltarule.optim.gradient_descent import SGD
from deltarule.optim.recipe import Optimizer, ParameterNames, frozen_among, get
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
from deltarule.tensor.functional import floor, maximum, sign, where
from deltarule.tensor.tensor import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class Groups(Optimizer):
    """Optimisers of their own for parameters whose name matches a pattern (``*`` and ``?`` as in file names).

    A parameter goes to the first pattern that matches; one that none matches goes to ``default``. Clipping of
    this recipe sees all gradients together, that of a group its own. A pattern may name frozen parameters, which
    stay as they are; one that names no parameter at all is an error. ``history["learning_rate"]`` is the default's.

    >>> recipe = Groups(groups={"*bias": SGD(learning_rate=0.1)}, default=SGD(learning_rate=0.01))
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
        object.__setattr__(
            self,
            "groups",
            {pattern: get(recipe) for pattern, recipe in self.groups.items()},
        )
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
            found.update(
                zip(group, optimizer.rates(len(group), clock, own), strict=True)
            )
        return [found[i] for i in range(count)]

    def group_of(self, name: str) -> str:
        """Return the pattern of the group of a parameter, or "default"."""
        return next(
            (pattern for pattern in self.groups if fnmatchcase(name, pattern)),
            "default",
        )

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps, each group by its own optimiser."""
        parts = self._parts(names)
        return partition(
            [group for _, group, _ in parts],
            [recipe.transform(own) for recipe, _, own in parts],
        )

    def _parts(
        self, names: Sequence[str] | None
    ) -> list[tuple[Optimizer, list[int], ParameterNames]]:
        """Return, for every group with parameters to learn, its optimiser, and its parameters' positions and names."""
        if names is None:
            raise ArgumentError(
                "Groups", expected="the names of the parameters", got="none"
            )
        chosen = [self.group_of(name) for name in names]
        frozen = [(name, self.group_of(name)) for name in frozen_among(names)]
        named = {*chosen, *(group for _, group in frozen)}
        unused = [pattern for pattern in self.groups if pattern not in named]
        if unused:
            known = ", ".join((*names, *frozen_among(names)))
            raise ArgumentError(
                "Groups",
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
    """Return the transform that hands each group of positions to its own transform."""

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
        for group, transform, own in zip(
            members, transforms, states(parameters, state), strict=True
        ):
            steps, new = transform.update(
                of(gradients, group), own, of(parameters, group), clock
            )
            after.extend(new)
            for i, step in zip(group, steps, strict=True):
                updates[i] = step
        return updates, tuple(after)

    def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
        points = list(parameters)
        for group, transform, own in zip(
            members, transforms, states(parameters, state), strict=True
        ):
            if transform.point is not None:
                for i, place in zip(
                    group,
                    transform.point(of(parameters, group), own, clock),
                    strict=True,
                ):
                    points[i] = place
        return points

    looks = any(transform.point is not None for transform in transforms)
    slots = tuple(name for transform in transforms for name in transform.slots)
    return Transform(init, update, point if looks else None, slots)


@dataclass(frozen=True, kw_only=True)
class _Wrapper(Optimizer):
    """An optimiser inside another; its learning rates are the inner one's, and so is its clock."""

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
        """Return the learning rate of each parameter: what the inner optimiser says."""
        return self.inner.rates(count, clock, names)


@final
@dataclass(frozen=True, kw_only=True)
class Accumulated(_Wrapper):
    """The mean gradient of ``every`` steps, then one step of the optimiser: a batch ``every`` times as large.

    Between two such steps parameters and the optimiser's state stay as they are; its schedules and bias
    corrections count its own steps. What stands around it (``Averaged``, clipping) acts at each of the ``every``
    steps, and ``Proximal`` only where the parameters move.

    >>> from deltarule.optim import minimize
    >>> recipe = Accumulated(inner=SGD(learning_rate=0.1), every=2)
    >>> minimize(lambda x: (x * x).sum(), [1.0], recipe, steps=4).path.ravel().round(4).tolist()
    [1.0, 1.0, 0.8, 0.8, 0.64]
    """

    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("every", self.every >= 1, "a whole number ≥ 1")

    def rate_at(self, step: int) -> float:
        """Return the learning rate at a step: schedules count the optimiser's own steps."""
        return self.inner.rate_at(step // self.every)

    def rates(
        self, count: int, clock: Clock, names: Sequence[str] | None = None
    ) -> list[Tensor | float]:
        """Return the learning rate of each parameter, 0 where the step only adds to the mean gradient."""
        moves = self._due(clock).astype("float64")
        return [
            moves * rate
            for rate in self.inner.rates(count, self._own_clock(clock), names)
        ]

    def _own_clock(self, clock: Clock) -> Clock:
        return Clock(
            floor(clock.step.astype("float64") / float(self.every)).astype("int64"),
            clock.factor,
            "k",
        )

    def _due(self, clock: Clock) -> Tensor:
        """Whether the step is the last of ``every``, in which the parameters move."""
        due: Tensor = clock.count() == self._own_clock(clock).count() * self.every
        return due

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        inner, own_clock = self.inner.transform(names), self._own_clock

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
            own, due = own_clock(clock), self._due(clock)
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
            return inner.point(parameters, state[len(parameters) :], own_clock(clock))

        slots = ("g_bar", *inner.slots)
        return Transform(init, update, point if inner.point else None, slots)


@final
@dataclass(frozen=True, kw_only=True)
class Averaged(_Wrapper):
    """The optimiser's own steps, and beside them averaged weights θ̄ ← dθ̄ + (1 − d)θ (Polyak and Juditsky 1992).

    θ̄ starts at θ, and is averaged at every step of training: around ``Accumulated`` at each of its ``every`` steps,
    inside it once for all of them. ``decay`` d weighs the old average (X-14: the notes' EMA weighs the new value by
    β = 1 − d). ``averages`` picks θ̄ from the state.

    >>> from deltarule.optim import Stepper
    >>> from deltarule.tensor.tensor import parameter, tensor
    >>> recipe = Averaged(inner=SGD(learning_rate=1.0), decay=0.75)
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
            news = zip(state, parameters, steps, strict=True)
            return list(steps), tuple(
                mean * d + (p + step) * (1 - d) for mean, p, step in news
            )

        return chain(
            self.inner.transform(names), Transform(tuple, update, slots=("theta_bar",))
        )

    def averages(self, state: Sequence[Any], n_parameters: int) -> list[Any]:
        """Return θ̄ of every parameter from the state (tensors or arrays)."""
        return list(state[len(state) - n_parameters :])


@final
@dataclass(frozen=True, kw_only=True)
class Proximal(_Wrapper):
    """A step of the optimiser, then the proximal step of strength·‖θ‖₁: θ ← sign(θ)·max(|θ| − η_t·strength, 0).

    η_t is the inner optimiser's rate for the parameter: that of its group in ``Groups``, 0 while ``Accumulated``
    only adds gradients up.
    Weights become exactly 0, which subgradient steps on |θ| never reach (REG-08, REG-09; Daubechies et al. 2004).
    Parameters whose name does not match ``pattern`` are left out.

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

        def hit(i: int) -> bool:
            return names is None or fnmatchcase(names[i], self.pattern)

        def update(
            steps: Tensors, state: State, parameters: Tensors, clock: Clock
        ) -> tuple[list[Tensor], State]:
            rates = self.inner.rates(len(parameters), clock, names)
            shrunk = [
                _shrunk(step, p, rate, self.strength) if hit(i) else step
                for i, (step, p, rate) in enumerate(
                    zip(steps, parameters, rates, strict=True)
                )
            ]
            return shrunk, state

        return chain(
            self.inner.transform(names), Transform(lambda parameters: (), update)
        )


def _shrunk(step: Tensor, p: Tensor, rate: Tensor | float, strength: float) -> Tensor:
    """Return the step after which the parameter is sign(θ)·max(|θ| − rate·strength, 0), for θ after the given one."""
    moved = p + step
    return sign(moved) * maximum(abs(moved) - cast_scalar(rate * strength, p), 0.0) - p


def has_groups(optimizer: Optimizer) -> bool:
    """Whether an optimiser, or one inside it, has groups with learning rates of their own."""
    return isinstance(optimizer, Groups) or (
        isinstance(optimizer, _Wrapper) and has_groups(optimizer.inner)
    )


def steps_between(optimizer: Optimizer) -> int:
    """Return how many steps of training one step of the innermost optimiser takes: ``every`` of ``Accumulated``.

    >>> steps_between(Accumulated(inner=Accumulated(every=2), every=3))
    6
    """
    if not isinstance(optimizer, _Wrapper):
        return 1
    return steps_between(optimizer.inner) * (
        optimizer.every if isinstance(optimizer, Accumulated) else 1
    )


def with_rate(optimizer: Optimizer, rate: float | Schedule, where: str) -> Optimizer:
    """Return the optimiser with another learning rate; that of the inner one for a wrapper.

    Raises ArgumentError, which names ``where``, for ``Groups``, which have several.
    """
    if isinstance(optimizer, Groups):
        raise ArgumentError(
            f"{where} optimizer",
            expected="one learning rate for all parameters",
            got="Groups",
            hint="Set the rates in the groups, or use the optimiser of one of them.",
        )
    if isinstance(optimizer, _Wrapper):
        return replace(optimizer, inner=with_rate(optimizer.inner, rate, where))
    return replace(optimizer, learning_rate=rate)
