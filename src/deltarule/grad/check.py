"""Gradient checks: analytic derivatives compared with central differences along random directions.

Along a direction v, ⟨∇L, v⟩ must equal (L(x + hv) − L(x − hv)) / 2h up to O(h²); to second order the same holds for
the directional derivative of the gradient. The evaluator is an argument, so that this package does not depend on NumPy.
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
    """The comparison of one directional derivative with a finite difference.

    Attributes:
        name: Name of the variable.
        order: Order of the derivative, 1 or 2.
        analytic: Value of the derivative.
        numeric: Value of the finite difference.

    >>> DirectionalError("w", 1, analytic=2.0, numeric=2.5).error
    0.2
    """

    name: str
    order: int
    analytic: float
    numeric: float

    @property
    def error(self) -> float:
        """The relative difference |analytic − numeric| / max(1, |analytic|, |numeric|)."""
        scale = max(1.0, abs(self.analytic), abs(self.numeric))
        return abs(self.analytic - self.numeric) / scale


def largest(errors: Iterable[float]) -> float:
    """Return the largest error, NaN if any is NaN (``max`` does not guarantee that), 0 if there is none.

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
    """Compare derivatives of a scalar with central differences, for each variable.

    Args:
        output: The scalar.
        wrt: The variables.
        values: The values of all inputs.
        evaluate: Function of (nodes, values) that returns the values of nodes.
        direction: Function that returns a random direction for a variable.
        order: 1 compares gradients, 2 also second derivatives.
        step: Step h of the differences.
    """
    errors = []
    for node, gradient in zip(wrt, gradients(output, wrt), strict=True):
        name = str(node.attributes.get("name", node.op.name.lower()))
        along = direction(node)
        tangent = build.input_node("direction", node.shape, node.dtype)
        slope = build.sum_over(build.multiply(gradient, tangent))
        functions = [output, slope][:order]
        derivatives = [slope, *pushforward([slope], [node], [tangent])][:order]
        given = {**values, tangent: along}
        pairs = zip(functions, derivatives, strict=True)
        for degree, (function, derivative) in enumerate(pairs, start=1):
            analytic = float(evaluate([derivative], given)[0])
            ahead = float(evaluate([function], _moved(given, node, along, step))[0])
            behind = float(evaluate([function], _moved(given, node, along, -step))[0])
            numeric = (ahead - behind) / (2 * step)
            errors.append(DirectionalError(name, degree, analytic, numeric))
    return errors
