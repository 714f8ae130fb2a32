"""Transforms of gradients: pure, composable, and part of the training step's own graph.

``init(parameters)`` gives the state's first values; ``update(gradients, state, parameters, clock)`` gives the
updates and the next state. An update is added to its parameter. Scalars that depend on the step (rates, bias
corrections) are computed in float64 and cast to the parameter's type once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deltarule.errors import ArgumentError
from deltarule.optim.naming import named
from deltarule.optim.schedules import Schedule
from deltarule.tensor.functional import full, maximum, minimum, sqrt
from deltarule.tensor.tensor import Tensor

Tensors = Sequence[Tensor]
State = tuple[Tensor, ...]
Init = Callable[[Tensors], State]
Update = Callable[[Tensors, State, Tensors, "Clock"], tuple[list[Tensor], State]]
Point = Callable[[Tensors, State, "Clock"], list[Tensor]]
Each = Callable[[Tensor, State, Tensor, "Clock"], tuple[Tensor, State]]


@dataclass(frozen=True)
class Clock:
    """The step, counted from 0 (an int64 scalar), and the host's factor on every learning rate (float64)."""

    step: Tensor
    factor: Tensor | None = None
    letter: str = "t"  # what an explanation calls the count

    def rate(self, learning_rate: float | Schedule) -> Tensor | float:
        """Return the learning rate now."""
        now = (
            named(learning_rate.rate(self.step), "eta")
            if isinstance(learning_rate, Schedule)
            else learning_rate
        )
        return now if self.factor is None else self.factor * now

    def count(self) -> Tensor:
        """Return t = 1, 2, … in float64."""
        return named(self.step.astype("float64") + 1.0, self.letter)


@dataclass(frozen=True)
class Transform:
    """A pure map of gradients with its state.

    ``point``, where there is one, says where the gradient is to be taken: (parameters, state, clock) → points. Without
    it that is at the parameters (Nesterov's look-ahead form takes it at θ + αv, OPT-11). ``slots`` are the names that
    an explanation gives to the state of one parameter.
    """

    init: Init
    update: Update
    point: Point | None = None
    slots: tuple[str, ...] = ()


def cast_scalar(value: Tensor | float, parameter: Tensor) -> Tensor | float:
    """Return a float64 scalar in the parameter's element type."""
    return value.astype(parameter.dtype) if isinstance(value, Tensor) else value


def filled(slots: int, parameters: Tensors, start: float = 0.0) -> State:
    """Return ``slots`` tensors for every parameter, of its shape and type, slot by slot."""
    return tuple(
        full(p.shape, start, p.dtype) for _ in range(slots) for p in parameters
    )


def each_parameter(names: Sequence[str], rule: Each, start: float = 0.0) -> Transform:
    """Return the transform that treats every parameter alone: (gradient, its slots, parameter, clock).

    It keeps a state tensor of the parameter's shape and type for each name, filled with ``start`` before the first
    step, slot by slot: all parameters of the first slot, then of the second … Explanations print the names.
    """
    slots = len(names)

    def update(
        gradients: Tensors, state: State, parameters: Tensors, clock: Clock
    ) -> tuple[list[Tensor], State]:
        n = len(parameters)
        updates, news = [], []
        for i, (gradient, parameter) in enumerate(
            zip(gradients, parameters, strict=True)
        ):
            step, new = rule(
                gradient,
                tuple(state[slot * n + i] for slot in range(slots)),
                parameter,
                clock,
            )
            updates.append(step)
            news.append(new)
        return updates, tuple(new[slot] for slot in range(slots) for new in news)

    return Transform(
        lambda parameters: filled(slots, parameters, start), update, slots=tuple(names)
    )


def split_state(
    transforms: Sequence[Transform], parameters: Tensors, state: State
) -> list[State]:
    """Return the part of a joint state that belongs to each transform."""
    parts, start = [], 0
    for transform in transforms:
        stop = start + len(transform.init(parameters))
        parts.append(state[start:stop])
        start = stop
    return parts


def chain(*transforms: Transform) -> Transform:
    """Return the transforms one after the other; their states are joined in order."""
    looking = [
        i for i, transform in enumerate(transforms) if transform.point is not None
    ]
    if len(looking) > 1:
        raise ArgumentError(
            "chain",
            expected="at most one transform with its own gradient point",
            got=str(len(looking)),
        )

    def init(parameters: Tensors) -> State:
        return tuple(
            part for transform in transforms for part in transform.init(parameters)
        )

    def update(
        gradients: Tensors, state: State, parameters: Tensors, clock: Clock
    ) -> tuple[list[Tensor], State]:
        updates = list(gradients)
        after: list[Tensor] = []
        for transform, own in zip(
            transforms, split_state(transforms, parameters, state), strict=True
        ):
            updates, new = transform.update(updates, own, parameters, clock)
            after.extend(new)
        return updates, tuple(after)

    slots = tuple(name for transform in transforms for name in transform.slots)
    if not looking:
        return Transform(init, update, slots=slots)
    own_point = transforms[looking[0]].point

    def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
        own = split_state(transforms, parameters, state)[looking[0]]
        return (
            own_point(parameters, own, clock)
            if own_point is not None
            else list(parameters)
        )

    return Transform(init, update, point, slots)


def scale(factor: float) -> Transform:
    """Multiply every update by a number."""
    return each_parameter((), lambda g, _, p, clock: (g * factor, ()))


def scale_by_learning_rate(learning_rate: float | Schedule) -> Transform:
    """Turn gradients into descent steps: −η_t·g."""
    return each_parameter(
        (),
        lambda g, _, p, clock: (-(g * cast_scalar(clock.rate(learning_rate), p)), ()),
    )


def add_decayed_weights(weight_decay: float) -> Transform:
    """The gradient g + λθ, with that of ½λ‖θ‖² (before an optimiser: coupled decay; REG-05, OPT-23)."""
    return each_parameter((), lambda g, _, p, clock: (g + p * weight_decay, ()))


def decay_weights(weight_decay: float, learning_rate: float | Schedule) -> Transform:
    """The update u − η_t·λθ, decoupled decay: after an optimiser's steps (Loshchilov and Hutter 2019; REG-07)."""

    def rule(u: Tensor, _: State, p: Tensor, clock: Clock) -> tuple[Tensor, State]:
        return u - p * cast_scalar(clock.rate(learning_rate) * weight_decay, p), ()

    return each_parameter((), rule)


def clip_by_value(limit: float) -> Transform:
    """Limit every entry of the gradient to [−limit, limit].

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([3.0, -0.5])]
    >>> clip_by_value(1.0).update(g, (), g, Clock(tensor(0)))[0][0].tolist()
    [1.0, -0.5]
    """
    return each_parameter(
        (), lambda g, _, p, clock: (maximum(minimum(g, limit), -limit), ())
    )


def global_norm(tensors: Tensors) -> Tensor:
    """√Σg² over all entries of all tensors, a float64 scalar.

    >>> from deltarule.tensor.tensor import tensor
    >>> global_norm([tensor([3.0]), tensor([[4.0]])]).item()
    5.0
    """
    squares = [(g * g).sum().astype("float64") for g in tensors]
    return sqrt(sum(squares[1:], squares[0]))


def clip_by_global_norm(limit: float) -> Transform:
    """Scale all gradients by min(1, limit/‖g‖), ‖g‖ over all parameters together (Pascanu et al. 2013).

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([3.0]), tensor([4.0])]
    >>> [u.item() for u in clip_by_global_norm(2.5).update(g, (), g, Clock(tensor(0)))[0]]
    [1.5, 2.0]
    """

    def update(
        gradients: Tensors, state: State, parameters: Tensors, clock: Clock
    ) -> tuple[list[Tensor], State]:
        del parameters, clock
        factor = minimum(limit / maximum(global_norm(gradients), 1e-30), 1.0)
        return [g * cast_scalar(factor, g) for g in gradients], state

    return Transform(lambda parameters: (), update)
