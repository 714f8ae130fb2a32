"""Gradient checks: analytic derivatives against central differences along random directions.

Along a direction v, ⟨∇L, v⟩ must equal (L(x + hv) − L(x − hv)) / 2h up to O(h²). To second order the same is
asked of the gradient's own directional derivative. The evaluator is an argument: this floor touches no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule.grad.forward import pushforward
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node

Values = Mapping[Node, Any]
Evaluate = Callable[[Sequence[Node], Values], list[Any]]
Direction = Callable[[Node], Any]  # a random array of the node's shape


@dataclass(frozen=True)
class DirectionalError:
    """One comparison: a variable, the order of the derivative, both values, and their relative difference."""

    name: str
    order: int
    analytic: float
    numeric: float

    @property
    def error(self) -> float:
        """|analytic − numeric| / max(1, |analytic|, |numeric|)."""
        return abs(self.analytic - self.numeric) / max(
            1.0, abs(self.analytic), abs(self.numeric)
        )


def largest(errors: Iterable[float]) -> float:
    """Return the largest error; NaN if one is NaN, which ``max`` may lose: what cannot be compared is not equal.

    >>> largest([0.0, 1e-9]), largest([0.0, float("nan"), 1e-9]), largest([])
    (1e-09, nan, 0.0)
    """
    known = list(errors)
    return math.nan if any(map(math.isnan, known)) else max(known, default=0.0)


def _moved(
    values: Values, node: Node, direction: Any, amount: float
) -> dict[Node, Any]:
    return {**values, node: values[node] + amount * direction}


def directional_errors(
    output: Node,
    wrt: Sequence[Node],
    values: Values,
    evaluate: Evaluate,
    direction: Direction,
    order: int = 2,
    step: float = 1e-5,
) -> list[DirectionalError]:
    """Compare the first (and second) derivative of a scalar output with central differences, per variable."""
    errors = []
    for node, gradient in zip(wrt, gradients(output, wrt), strict=True):
        name = str(node.attributes.get("name", node.op.name.lower()))
        along = direction(node)
        tangent = build.input_node("direction", node.shape, node.dtype)
        slope = build.sum_over(build.multiply(gradient, tangent))
        functions = [output, slope][:order]
        derivatives = [slope, *pushforward([slope], [node], [tangent])][:order]
        for degree, (function, derivative) in enumerate(
            zip(functions, derivatives, strict=True), start=1
        ):
            given = {**values, tangent: along}
            analytic = float(evaluate([derivative], given)[0])
            ahead = float(evaluate([function], _moved(given, node, along, step))[0])
            behind = float(evaluate([function], _moved(given, node, along, -step))[0])
            errors.append(
                DirectionalError(name, degree, analytic, (ahead - behind) / (2 * step))
            )
    return errors
