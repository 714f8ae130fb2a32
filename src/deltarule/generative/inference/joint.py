"""A model given by its log-joint density, as a density of one unconstrained vector.

``log_joint(values)`` takes one tensor for each variable, (S, *shape), for S points at once, and returns
ln p(data, values) for each point, (S,). Constrained variables are transformed to unconstrained ones by bijectors; the
density of the unconstrained vector is ln p(data, T(ζ)) + ln|det ∂T/∂ζ|.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative.bijectors import Bijector, Identity
from deltarule.render.numbers import number
from deltarule.render.table import text_table
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape, count, show
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["Variable"]

LogJoint = Callable[[dict[str, Tensor]], Tensor]


@final
@dataclass(frozen=True)
class Variable:
    """One latent variable of a model.

    Args:
        shape: Its shape.
        bijector: Map from unconstrained values to its domain.

    >>> from deltarule.generative.bijectors import Exp
    >>> Variable((2,), Exp()).free_size
    2
    """

    shape: Shape = ()
    bijector: Bijector = field(default_factory=Identity)

    @property
    def free_size(self) -> int:
        """The number of unconstrained values."""
        return count(self.bijector.free_shape(self.shape))


class _Values(dict[str, Tensor]):
    """The values of a model's variables; an unknown name raises ArgumentError."""

    def __missing__(self, name: str) -> Tensor:
        raise ArgumentError(
            "log_joint",
            expected=f"names among {', '.join(map(repr, self))}",
            got=repr(name),
        )


@final
class Joint:
    """A log-joint density of named variables as a density of one unconstrained vector ζ, (S, d).

    >>> joint = Joint(lambda v: (v["z"] * v["z"]).sum(-1) * -0.5, {"z": (2,)})
    >>> joint.size, joint.log_density(tensor([[0.0, 2.0]])).tolist()
    (2, [-2.0])
    """

    def __init__(
        self, log_joint: LogJoint, variables: Mapping[str, Variable | Shape]
    ) -> None:
        if not variables:
            raise ArgumentError(
                "variables", expected="at least one variable by name", got="none"
            )
        self.log_joint = log_joint
        self.variables = {
            k: v if isinstance(v, Variable) else Variable(tuple(v))
            for k, v in variables.items()
        }

    @property
    def size(self) -> int:
        """The number d of unconstrained values."""
        return sum(variable.free_size for variable in self.variables.values())

    def _pieces(self, free: Tensor) -> dict[str, tuple[Variable, Tensor]]:
        """Return each variable with its unconstrained values, (S, *free shape)."""
        found, start = {}, 0
        for name, variable in self.variables.items():
            stop = start + variable.free_size
            shape = variable.bijector.free_shape(variable.shape)
            found[name] = (variable, free[:, start:stop].reshape(free.shape[0], *shape))
            start = stop
        return found

    def values(self, free: Tensor) -> dict[str, Tensor]:
        """Return the variables T(ζ) by name, each (S, *shape)."""
        return {
            name: variable.bijector.forward(x)
            for name, (variable, x) in self._pieces(free).items()
        }

    def log_density(self, free: Tensor) -> Tensor:
        """Return ln p(data, T(ζ)) + ln|det ∂T/∂ζ| for each point, (S,)."""
        pieces = self._pieces(free)
        values = {
            name: variable.bijector.forward(x) for name, (variable, x) in pieces.items()
        }
        value = self.log_joint(_Values(values))
        if not isinstance(value, Tensor):
            raise ArgumentError(
                "log_joint",
                expected="a tensor, ln p of each point",
                got=type(value).__name__,
                hint="Compute with the values as they are given: .numpy() takes them out of the graph.",
            )
        if value.shape != free.shape[:1]:
            raise ShapeError(
                "log_joint",
                expected=f"one number for each point, {show(free.shape[:1])}",
                got=show(value.shape),
                hint="Variables have a first axis of points; sum over the axes behind it, .sum(-1).",
            )
        for variable, x in pieces.values():
            volume = variable.bijector.log_det(x)
            value = value + (
                volume.sum(tuple(range(1, volume.ndim))) if volume.ndim > 1 else volume
            )
        return value

    def arrays(self, free: Array) -> dict[str, Array]:
        """Return the variables T(ζ) of points (…, d) by name, as arrays (…, *shape)."""
        flat = tensor(np.ascontiguousarray(free).reshape(-1, self.size))
        found = {name: value.numpy() for name, value in self.values(flat).items()}
        return {
            name: a.reshape(*free.shape[:-1], *a.shape[1:]) for name, a in found.items()
        }


@np.errstate(invalid="ignore")  # draws with a NaN or an infinity give NaN
def summary_rows(draws: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation and the 5, 50 and 95 % quantiles of every element of draws (S, *shape).

    >>> rows = summary_rows({"a": np.array([1.0, 2.0, 3.0])})
    >>> rows["a"]["mean"], rows["a"]["50%"]
    (2.0, 2.0)
    """
    rows: dict[str, dict[str, float]] = {}
    for name, values in draws.items():
        for place in np.ndindex(values.shape[1:]):
            one = values[(slice(None), *place)]
            label = name + (f"[{','.join(map(str, place))}]" if place else "")
            low, middle, high = (float(q) for q in np.quantile(one, [0.05, 0.5, 0.95]))
            rows[label] = {
                "mean": float(one.mean()),
                "deviation": float(one.std()),
                "5%": low,
                "50%": middle,
                "95%": high,
            }
    return rows


def show_summary(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return the rows of a summary as a text table.

    >>> print(show_summary({"a": {"mean": 2.0}}))
       mean
    ─  ────
    a     2
    """
    names = list(next(iter(rows.values())))
    body: list[list[Any]] = [
        [label, *(number(row[name], 4) for name in names)]
        for label, row in rows.items()
    ]
    return text_table(body, ["", *names], "<" + ">" * len(names), rule=True)


check_calls(__name__)
