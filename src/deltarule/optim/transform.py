"""Composable gradient transforms: pure functions that become part of the graph of a training step.

``init(parameters)`` returns the initial state; ``update(gradients, state, parameters, clock)``
returns the updates and the next state. An update is added to its parameter. Scalars that depend
on the step (learning rates, bias corrections) are computed in float64 and cast to the element
type of the parameter once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.optim.naming import named
from deltarule.optim.schedules import Schedule
from deltarule.tensor.functional import full, maximum, minimum, sqrt
from deltarule.tensor.tensor import Tensor

__all__ = [
    "Clock",
    "Transform",
    "add_decayed_weights",
    "chain",
    "clip_by_global_norm",
    "clip_by_value",
    "decay_weights",
    "global_norm",
    "scale",
    "scale_by_learning_rate",
]

Tensors = Sequence[Tensor]
State = tuple[Tensor, ...]
Init = Callable[[Tensors], State]
Update = Callable[[Tensors, State, Tensors, "Clock"], tuple[list[Tensor], State]]
Point = Callable[[Tensors, State, "Clock"], list[Tensor]]
Each = Callable[[Tensor, State, Tensor, "Clock"], tuple[Tensor, State]]


@dataclass(frozen=True)
class Clock:
    """The current step and a factor for all learning rates.

    Attributes:
        step: The number of completed steps, an int64 scalar.
        factor: A factor for every learning rate, a float64 scalar, or None.
        letter: The symbol of the step count in explanations.

    >>> from deltarule.tensor.tensor import tensor
    >>> Clock(tensor(4)).count().item()
    5.0
    """

    step: Tensor
    factor: Tensor | None = None
    letter: str = "t"

    def rate(self, learning_rate: float | Schedule) -> Tensor | float:
        """Return the learning rate at the current step."""
        if isinstance(learning_rate, Schedule):
            scheduled = named(learning_rate.rate(self.step), "eta")
            return scheduled if self.factor is None else self.factor * scheduled
        return learning_rate if self.factor is None else self.factor * learning_rate

    def count(self) -> Tensor:
        """Return the step count t = 1, 2, … in float64.

        >>> from deltarule.tensor.tensor import tensor
        >>> Clock(tensor(4), tensor(1.0)).count().item()
        5.0
        """
        return named(self.step.astype("float64") + 1.0, self.letter)


@dataclass(frozen=True)
class Transform:
    """A pure transform of gradients into updates, with explicit state.

    Attributes:
        init: parameters → initial state.
        update: (gradients, state, parameters, clock) → (updates, next state).
        point: (parameters, state, clock) → the points at which to take the gradients, for
            Nesterov's look-ahead; None for the parameters themselves.
        slots: The names of the states of one parameter, for explanations.

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([1.0, -2.0])]
    >>> scale(0.5).update(g, (), g, Clock(tensor(0)))[0][0].tolist()
    [0.5, -1.0]
    """

    init: Init
    update: Update
    point: Point | None = None
    slots: tuple[str, ...] = ()


def cast_scalar(value: Tensor | float, parameter: Tensor) -> Tensor | float:
    """Return a float64 scalar in the element type of a parameter.

    >>> from deltarule.tensor.tensor import parameter
    >>> cast_scalar(0.5, parameter([1.0]))
    0.5
    """
    return value.astype(parameter.dtype) if isinstance(value, Tensor) else value


def filled(slots: int, parameters: Tensors, start: float = 0.0) -> State:
    """Return ``slots`` constant tensors per parameter, of its shape and type, slot by slot.

    >>> from deltarule.tensor.tensor import tensor
    >>> [state.tolist() for state in filled(2, [tensor([1.0, 2.0])], start=0.5)]
    [[0.5, 0.5], [0.5, 0.5]]
    """
    return tuple(
        full(p.shape, start, p.dtype) for _ in range(slots) for p in parameters
    )


def each_parameter(names: Sequence[str], rule: Each, start: float = 0.0) -> Transform:
    """Return the transform that applies a rule to every parameter separately.

    Args:
        names: A name for each state of a parameter, shown in explanations. States have the
            shape and type of the parameter, and are ordered by name, then by parameter.
        rule: (gradient, states, parameter, clock) → (update, next states).
        start: The initial value of the states.

    >>> from deltarule.tensor.tensor import tensor
    >>> halve = each_parameter((), lambda g, states, p, clock: (g * 0.5, ()))
    >>> g = [tensor([3.0])]
    >>> halve.update(g, (), g, Clock(tensor(0)))[0][0].item()
    1.5
    """
    slots = len(names)

    def update(
        gradients: Tensors, state: State, parameters: Tensors, clock: Clock
    ) -> tuple[list[Tensor], State]:
        n = len(parameters)
        updates, news = [], []
        pairs = zip(gradients, parameters, strict=True)
        for i, (gradient, parameter) in enumerate(pairs):
            own = tuple(state[slot * n + i] for slot in range(slots))
            step, new = rule(gradient, own, parameter, clock)
            updates.append(step)
            news.append(new)
        return updates, tuple(new[slot] for slot in range(slots) for new in news)

    return Transform(
        lambda parameters: filled(slots, parameters, start), update, slots=tuple(names)
    )


def split_state(
    transforms: Sequence[Transform], parameters: Tensors, state: State
) -> list[State]:
    """Return the parts of a joint state, one per transform."""
    parts, start = [], 0
    for transform in transforms:
        stop = start + len(transform.init(parameters))
        parts.append(state[start:stop])
        start = stop
    return parts


def chain(*transforms: Transform) -> Transform:
    """Return the composition of transforms, applied in order; their states are concatenated.

    Raises:
        ArgumentError: Several transforms take the gradient at points of their own.

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([4.0])]
    >>> clipped = chain(clip_by_value(1.0), scale_by_learning_rate(0.5))
    >>> clipped.update(g, (), g, Clock(tensor(0)))[0][0].item()
    -0.5
    """
    looking = [i for i, transform in enumerate(transforms) if transform.point]
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
        states = split_state(transforms, parameters, state)
        for transform, own in zip(transforms, states, strict=True):
            updates, new = transform.update(updates, own, parameters, clock)
            after.extend(new)
        return updates, tuple(after)

    slots = tuple(name for transform in transforms for name in transform.slots)
    if not looking:
        return Transform(init, update, slots=slots)
    own_point = transforms[looking[0]].point

    def point(parameters: Tensors, state: State, clock: Clock) -> list[Tensor]:
        if own_point is None:
            return list(parameters)
        own = split_state(transforms, parameters, state)[looking[0]]
        return own_point(parameters, own, clock)

    return Transform(init, update, point, slots)


def scale(factor: float) -> Transform:
    """Return the transform that multiplies updates by a number.

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([4.0])]
    >>> scale(-1.0).update(g, (), g, Clock(tensor(0)))[0][0].item()
    -4.0
    """
    return each_parameter((), lambda g, _, p, clock: (g * factor, ()))


def scale_by_learning_rate(learning_rate: float | Schedule) -> Transform:
    """Return the transform of gradients into descent steps −η_t·g.

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([4.0])]
    >>> scale_by_learning_rate(0.25).update(g, (), g, Clock(tensor(0)))[0][0].item()
    -1.0
    """
    return each_parameter(
        (),
        lambda g, _, p, clock: (-(g * cast_scalar(clock.rate(learning_rate), p)), ()),
    )


def add_decayed_weights(weight_decay: float) -> Transform:
    """Return the transform g → g + λθ, which adds the gradient of ½λ‖θ‖²: coupled weight decay.

    >>> from deltarule.tensor.tensor import tensor
    >>> add_decayed_weights(0.5).update([tensor([1.0])], (), [tensor([4.0])], Clock(tensor(0)))[0][0].item()
    3.0
    """
    return each_parameter((), lambda g, _, p, clock: (g + p * weight_decay, ()))


def decay_weights(weight_decay: float, learning_rate: float | Schedule) -> Transform:
    """Return the transform of updates u → u − η_t·λθ: decoupled weight decay (Loshchilov and Hutter 2019).

    >>> from deltarule.tensor.tensor import tensor
    >>> decay_weights(0.5, 0.5).update([tensor([1.0])], (), [tensor([4.0])], Clock(tensor(0)))[0][0].item()
    0.0
    """

    def rule(u: Tensor, _: State, p: Tensor, clock: Clock) -> tuple[Tensor, State]:
        return u - p * cast_scalar(clock.rate(learning_rate) * weight_decay, p), ()

    return each_parameter((), rule)


def clip_by_value(limit: float) -> Transform:
    """Return the transform that clips every entry of the gradients to [−limit, limit].

    >>> from deltarule.tensor.tensor import tensor
    >>> g = [tensor([3.0, -0.5])]
    >>> clip_by_value(1.0).update(g, (), g, Clock(tensor(0)))[0][0].tolist()
    [1.0, -0.5]
    """
    return each_parameter(
        (), lambda g, _, p, clock: (maximum(minimum(g, limit), -limit), ())
    )


def global_norm(tensors: Tensors) -> Tensor:
    """Return the Euclidean norm √Σg² over all entries of all tensors, a float64 scalar.

    >>> from deltarule.tensor.tensor import tensor
    >>> global_norm([tensor([3.0]), tensor([[4.0]])]).item()
    5.0
    """
    squares = [(g * g).sum().astype("float64") for g in tensors]
    return sqrt(sum(squares[1:], squares[0]))


def clip_by_global_norm(limit: float) -> Transform:
    """Return the transform that scales gradients by min(1, limit/‖g‖), ‖g‖ over all parameters (Pascanu et al. 2013).

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


check_calls(__name__)
