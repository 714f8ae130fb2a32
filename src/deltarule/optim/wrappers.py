"""Optimisers around other optimisers: groups of parameters, accumulated gradients, averaged weights, L1 steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, final

from deltarule.errors import ArgumentError
from deltarule.optim.gradient_descent import SGD
from deltarule.optim.recipe import Optimizer
from deltarule.optim.schedules import Schedule
from deltarule.optim.transform import (
    Clock,
    State,
    Tensors,
    Transform,
    cast_scalar,
    chain,
    each_parameter,
    filled,
)
from deltarule.tensor.functional import maximum, sign, where
from deltarule.tensor.tensor import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class Groups(Optimizer):
    """Optimisers of their own for parameters whose name matches a pattern (``*`` and ``?`` as in file names).

    A parameter goes to the first pattern that matches; one that none matches goes to ``default``. Clipping of
    this recipe sees all gradients together, that of a group its own.

    >>> recipe = Groups(groups={"*bias": SGD(learning_rate=0.1)}, default=SGD(learning_rate=0.01))
    >>> recipe.group_of("0.bias"), recipe.group_of("0.weight")
    ('*bias', 'default')
    """

    stands_alone: ClassVar[bool] = False
    learning_rate: float | Schedule = field(init=False)
    groups: dict[str, Optimizer] = field(default_factory=dict)
    default: Optimizer = field(default_factory=SGD)

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", self.default.learning_rate)
        super().__post_init__()

    def group_of(self, name: str) -> str:
        """Return the pattern of the group of a parameter, or "default"."""
        return next((pattern for pattern in self.groups if fnmatchcase(name, pattern)), "default")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps, each group by its own optimiser."""
        if names is None:
            raise ArgumentError("Groups", expected="the names of the parameters", got="none")
        chosen = [self.group_of(name) for name in names]
        unused = [pattern for pattern in self.groups if pattern not in chosen]
        if unused:
            raise ArgumentError(
                "Groups", expected=f"patterns that match one of {', '.join(names)}", got=", ".join(map(repr, unused))
            )
        labels = list(dict.fromkeys(chosen))
        members = [[i for i, group in enumerate(chosen) if group == label] for label in labels]
        optimizers = {**self.groups, "default": self.default}
        return partition(
            members,
            [optimizers[label].transform([names[i] for i in of]) for label, of in zip(labels, members, strict=True)],
        )


def partition(members: Sequence[Sequence[int]], transforms: Sequence[Transform]) -> Transform:
    """Return the transform that hands each group of positions to its own transform."""

    def of(items: Sequence[Tensor], group: Sequence[int]) -> list[Tensor]:
        return [items[i] for i in group]

    def init(parameters: Tensors) -> State:
        parts = zip(members, transforms, strict=True)
        return tuple(tensor for group, transform in parts for tensor in transform.init(of(parameters, group)))

    def states(parameters: Tensors, state: State) -> list[State]:
        parts, start = [], 0
        for group, transform in zip(members, transforms, strict=True):
            stop = start + len(transform.init(of(parameters, group)))
            parts.append(state[start:stop])
            start = stop
        return parts

    def update(gradients: Tensors, state: State, parameters: Tensors, clock: Clock) -> tuple[list[Tensor], State]:
        updates = list(gradients)
        after: list[Tensor] = []
        for group, transform, own in zip(members, transforms, states(parameters, state), strict=True):
            steps, new = transform.update(of(gradients, group), own, of(parameters, group), clock)
            after.extend(new)
            for i, step in zip(group, steps, strict=True):
                updates[i] = step
        return updates, tuple(after)

    def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
        points = list(parameters)
        for group, transform, own in zip(members, transforms, states(parameters, state), strict=True):
            if transform.point is not None:
                for i, place in zip(group, transform.point(of(parameters, group), own, clock), strict=True):
                    points[i] = place
        return points

    looks = any(transform.point is not None for transform in transforms)
    return Transform(init, update, point if looks else None)


@dataclass(frozen=True, kw_only=True)
class _Wrapper(Optimizer):
    """An optimiser inside another; its learning rate is the inner one's."""

    stands_alone: ClassVar[bool] = False
    learning_rate: float | Schedule = field(init=False)
    inner: Optimizer = field(default_factory=SGD)

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", self.inner.learning_rate)
        super().__post_init__()


@final
@dataclass(frozen=True, kw_only=True)
class Accumulated(_Wrapper):
    """The mean gradient of ``every`` steps, then one step of the optimiser: a batch ``every`` times as large.

    Between two such steps parameters and the optimiser's state stay as they are; its schedules and bias
    corrections count its own steps.

    >>> from deltarule.optim import minimize
    >>> recipe = Accumulated(inner=SGD(learning_rate=0.1), every=2)
    >>> minimize(lambda x: (x * x).sum(), [1.0], recipe, steps=4).path.ravel().round(4).tolist()
    [1.0, 1.0, 0.8, 0.8, 0.64]
    """

    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("every", self.every >= 1, "a whole number ≥ 1")

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps."""
        inner = self.inner.transform(names)

        def own_clock(clock: Clock) -> Clock:
            return Clock((clock.step.astype("float64") // float(self.every)).astype("int64"), clock.factor)

        def init(parameters: Tensors) -> State:
            return (*filled(1, parameters), *inner.init(parameters))

        def update(gradients: Tensors, state: State, parameters: Tensors, clock: Clock) -> tuple[list[Tensor], State]:
            n = len(parameters)
            sums = [total + g * (1 / self.every) for total, g in zip(state[:n], gradients, strict=True)]
            own = own_clock(clock)
            due = (clock.step + 1) == (own.step + 1) * self.every
            steps, new = inner.update(sums, state[n:], parameters, own)
            kept = [where(due, 0.0, total) for total in sums]
            after = [where(due, fresh, old) for fresh, old in zip(new, state[n:], strict=True)]
            return [where(due, step, 0.0) for step in steps], (*kept, *after)

        def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
            if inner.point is None:
                return list(parameters)
            return inner.point(parameters, state[len(parameters) :], own_clock(clock))

        return Transform(init, update, point if inner.point else None)


@final
@dataclass(frozen=True, kw_only=True)
class Averaged(_Wrapper):
    """The optimiser's own steps, and beside them averaged weights θ̄ ← dθ̄ + (1 − d)θ (Polyak and Juditsky 1992).

    θ̄ starts at θ. ``decay`` d weighs the old average (X-14: the notes' EMA weighs the new value by β = 1 − d).
    ``averages`` picks θ̄ from the state.

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

        def update(steps: Tensors, state: State, parameters: Tensors, clock: Clock) -> tuple[list[Tensor], State]:
            del clock
            d = self.decay
            news = zip(state, parameters, steps, strict=True)
            return list(steps), tuple(mean * d + (p + step) * (1 - d) for mean, p, step in news)

        return chain(self.inner.transform(names), Transform(tuple, update))

    def averages(self, state: Sequence[Any], n_parameters: int) -> list[Any]:
        """Return θ̄ of every parameter from the state (tensors or arrays)."""
        return list(state[len(state) - n_parameters :])


@final
@dataclass(frozen=True, kw_only=True)
class Proximal(_Wrapper):
    """A step of the optimiser, then the proximal step of strength·‖θ‖₁: θ ← sign(θ)·max(|θ| − η_t·strength, 0).

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
            raise ArgumentError("Proximal", expected="the names of the parameters", got="none", hint='Or pattern="*".')
        inner = self.inner.transform(names)

        def shrink(step: Tensor, _: State, p: Tensor, clock: Clock) -> tuple[Tensor, State]:
            moved = p + step
            limit = cast_scalar(clock.rate(self.learning_rate) * self.strength, p)
            return sign(moved) * maximum(abs(moved) - limit, 0.0) - p, ()

        keep = each_parameter(0, lambda step, _, p, clock: (step, ()))
        if names is None:
            return chain(inner, each_parameter(0, shrink))
        hit = [i for i, name in enumerate(names) if fnmatchcase(name, self.pattern)]
        rest = [i for i in range(len(names)) if i not in hit]
        return chain(inner, partition([hit, rest], [each_parameter(0, shrink), keep]))


def with_rate(optimizer: Optimizer, rate: float | Schedule, where: str) -> Optimizer:
    """Return the optimiser with another learning rate; that of the inner one for a wrapper.

    Raises ArgumentError, which names ``where``, for ``Groups``, which have several.
    """
    if isinstance(optimizer, Groups):
        raise ArgumentError(
            f"{where} optimizer", expected="one learning rate for all parameters", got="Groups",
            hint="Set the rates in the groups, or use the optimiser of one of them.",
        )  # fmt: skip
    if isinstance(optimizer, _Wrapper):
        return replace(optimizer, inner=with_rate(optimizer.inner, rate, where))
    return replace(optimizer, learning_rate=rate)
