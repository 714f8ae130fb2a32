"""Numbers of a derivative that is a matrix or more: the formula against the engine and against central differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule.errors import ArgumentError
from deltarule.explain.formula.names import canonical
from deltarule.explain.proof.proof import (
    DIFFERENCE_TOLERANCE,
    ENGINE_TOLERANCE,
    Draw,
    Evaluate,
    Precise,
)
from deltarule.grad.check import largest
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import substitute
from deltarule.graph.walk import inputs, topological
from deltarule.render.numbers import scientific

POINTS = 20
_STEP = 1e-4
_KINK = 1e-6  # two step sizes disagree by more than this: the point is beside a kink


def values_of(given: Mapping[Any, Any], graph: Node) -> dict[Node, Any]:
    """Return values by node; they may be given by tensor, node or name.

    Raises:
        ArgumentError: a name that no input of the graph has.

    >>> x = build.input_node("x", (2,))
    >>> values_of({"x": [1.0, 2.0]}, build.exp(x))[x]
    [1.0, 2.0]
    """
    known = {canonical(str(node.attributes["name"])): node for node in inputs([graph])}
    found = {}
    for key, value in given.items():
        node = (
            known.get(canonical(key))
            if isinstance(key, str)
            else getattr(key, "node", key)
        )
        if not isinstance(node, Node):
            raise ArgumentError(
                "at", expected=f"names among {', '.join(known)}", got=repr(key)
            )
        found[node] = value
    return found


@dataclass(frozen=True)
class Claim:
    """A slope that a formula predicts, and its central differences with a step and with half of it; all scalars.

    >>> x = build.input_node("x", ())
    >>> found = claim(build.exp(x), build.exp(x), x, build.constant(1.0))
    >>> found.predicted, found.wide.shape
    (<exp () float32>, ())
    """

    predicted: Node
    wide: Node
    narrow: Node


def claim(predicted: Node, scalar: Node, variable: Node, direction: Node) -> Claim:
    """State that a scalar grows with slope ``predicted`` as a variable moves along a direction.

    >>> x = build.input_node("x", ())
    >>> found = claim(build.exp(x), build.exp(x), x, build.constant(1.0))
    >>> found.predicted.shape
    ()
    """
    held = {node: node for node in topological([scalar]) if node.op is Op.STOP_GRADIENT}

    def moved(step: float) -> Node:
        there = build.add(variable, build.multiply(step, direction))
        return substitute([scalar], {**held, variable: there})[0]

    def quotient(step: float) -> Node:
        return build.divide(build.subtract(moved(step), moved(-step)), 2 * step)

    return Claim(predicted, quotient(_STEP), quotient(_STEP / 2))


@dataclass(frozen=True)
class Measured:
    """The largest relative errors found: against central differences and against the engine.

    >>> Measured(1e-8, 1e-15, 5)
    Measured(difference_error=1e-08, engine_error=1e-15, points=5)
    """

    difference_error: float
    engine_error: float
    points: int

    def __bool__(self) -> bool:
        small = (
            self.difference_error <= DIFFERENCE_TOLERANCE
            and self.engine_error <= ENGINE_TOLERANCE
        )
        return self.points > 0 and small

    def __str__(self) -> str:
        found = (
            f"largest relative error {scientific(self.difference_error)} (central differences), "
            f"{scientific(self.engine_error)} (engine)"
        )
        return f"{'' if self else 'NOT '}proved: {self.points} random points in float64, {found}"


def measure(
    claims: Sequence[Claim],
    gaps: Sequence[Node],
    graph: Node,
    evaluate: Evaluate,
    draw: Draw,
    points: int = POINTS,
) -> Measured:
    """Evaluate claims, and gaps to the engine's values, at random points of the inputs of ``graph``."""
    sides = [node for one in claims for node in (one.predicted, one.wide, one.narrow)]
    precise = Precise([graph, *gaps, *sides], evaluate, draw, graph)
    twins = [precise[node] for node in (*gaps, *sides)]
    differences, engine, used = 0.0, 0.0, 0
    for _ in range(3 * points):
        numbers = precise.numbers(twins, precise.draw())
        errors = [
            _error(*numbers[i : i + 3]) for i in range(len(gaps), len(numbers), 3)
        ]
        known = [error for error in errors if error is not None]
        if len(known) < len(errors):
            continue
        differences, engine = (
            largest([differences, *known]),
            largest([engine, *numbers[: len(gaps)]]),
        )
        used += 1
        if used == points:
            break
    return Measured(differences, engine, used)


def _error(predicted: float, wide: float, narrow: float) -> float | None:
    """Return the relative error of a slope (Richardson 1911), or None beside a kink."""
    scale = max(1.0, abs(predicted), abs(wide), abs(narrow))
    if (
        not all(map(math.isfinite, (predicted, wide, narrow)))
        or abs(wide - narrow) > _KINK * scale
    ):
        return None
    return abs((4 * narrow - wide) / 3 - predicted) / scale
