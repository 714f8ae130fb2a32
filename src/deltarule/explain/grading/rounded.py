"""Answers with rounded numbers: 1.41421 stands for every number that it is the rounding of, √2 among them.

An answer a(c) with such constants c is right if a(c′) equals the gradient for some c′ that rounds to c. The c′ is found
by least squares over the points: Σₖ ⟨Dⱼ, Dₖ⟩ dₖ = ⟨Dⱼ, g − a⟩ with Dₖ = ∂a/∂cₖ.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence

from deltarule.explain.grading.comparison import Sample, same_shape
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import substitute
from deltarule.graph.walk import topological

_FEWEST_DIGITS = 5
_MOST = 4  # constants
_SHIFT = 1e-6  # relative, of a constant in the difference quotient ∂a/∂c
_SLACK = 1.001
_NUMBER = re.compile(r"(?<![\w.])(\d*)\.(\d+)(?![\w.]*\d)")


def rounded_numbers(text: str) -> dict[float, float]:
    """Return the decimal numbers of five digits or more in an answer, each with half a unit of its last digit.

    >>> rounded_numbers("1.41421 x + 0.5 y")
    {1.41421: 5e-06}
    """
    found = {}
    for whole, part in _NUMBER.findall(text):
        digits = (whole + part).lstrip("0")
        if _FEWEST_DIGITS <= len(digits) <= 15:
            found[float(f"{whole or '0'}.{part}")] = 0.5 * 10.0 ** -len(part)
    return found


def equal_when_unrounded(
    sample: Sample, answer: Node, truth: Node, text: str
) -> list[float]:
    """Return the rounded constants of an answer that equals the gradient for numbers that round to them, else none."""
    numbers = rounded_numbers(text)
    if not numbers or not same_shape(answer.shape, truth.shape):
        return []
    twin = sample.twin(answer)
    constants = _constants(twin, numbers)
    if not 0 < len(constants) <= _MOST:
        return []
    steps = _steps(sample, twin, truth, constants)
    if steps is None:
        return []
    moved: dict[Node, Node] = {}
    for (node, half), step in zip(constants.items(), steps, strict=True):
        if abs(step) > _SLACK * half:
            return []
        moved[node] = build.constant(_value(node) + step, node.dtype)
    (unrounded,) = substitute([twin], moved)
    if not sample.agrees(unrounded, truth):
        return []
    return sorted({abs(_value(node)) for node in constants})


def _value(node: Node) -> float:
    return float(node.attributes["value"])


def _constants(root: Node, numbers: Mapping[float, float]) -> dict[Node, float]:
    """Return the constants of a graph that are written as rounded numbers, with how far they may be off."""
    found = {}
    for node in topological([root]):
        if node.op is Op.CONSTANT and node.dtype.is_float:
            half = numbers.get(abs(_value(node)))
            if half is not None:
                found[node] = half
    return found


def _steps(
    sample: Sample, answer: Node, truth: Node, constants: Mapping[Node, float]
) -> list[float] | None:
    """Return the changes of the constants that bring an answer closest to the gradient."""
    slopes = []
    for node in constants:
        shift = _SHIFT * _value(node)
        other = build.constant(_value(node) + shift, node.dtype)
        (shifted,) = substitute([answer], {node: other})
        slopes.append(build.divide(build.subtract(shifted, answer), shift))
    goal = build.reshape(sample.twin(truth), answer.shape)
    wanted = [*slopes, build.subtract(goal, answer)]
    pairs = list(itertools.combinations_with_replacement(wanted, 2))
    products = [build.sum_over(build.multiply(a, b)) for a, b in pairs]
    sizes = build.sum_over(build.multiply(goal, goal))
    totals = [0.0] * len(pairs)
    for *values, size in sample.at_ordinary([*products, sizes]):
        if size > 0 and all(map(math.isfinite, (*values, size))):
            totals = [t + v / size for t, v in zip(totals, values, strict=True)]
    inner = {frozenset(pair): total for pair, total in zip(pairs, totals, strict=True)}
    units = list(constants.values())
    matrix = [
        [inner[frozenset((a, b))] * s * t for b, t in zip(slopes, units, strict=True)]
        for a, s in zip(slopes, units, strict=True)
    ]
    right = [
        inner[frozenset((a, wanted[-1]))] * s
        for a, s in zip(slopes, units, strict=True)
    ]
    found = _solved(matrix, right)
    return found and [x * unit for x, unit in zip(found, units, strict=True)]


def _solved(
    matrix: Sequence[Sequence[float]], right: Sequence[float]
) -> list[float] | None:
    """Return the solution of a few equations by Gaussian elimination, the smallest one where there are many."""
    size = len(right)
    ridge = 1e-9 * max((matrix[i][i] for i in range(size)), default=0.0)
    rows = [
        [*(matrix[i][j] + ridge * (i == j) for j in range(size)), right[i]]
        for i in range(size)
    ]
    for i in range(size):
        if not rows[i][i] > 0:
            return None
        for j in range(i + 1, size):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [b - factor * a for a, b in zip(rows[i], rows[j], strict=True)]
    found = [0.0] * size
    for i in reversed(range(size)):
        known = sum(rows[i][j] * found[j] for j in range(i + 1, size))
        found[i] = (rows[i][-1] - known) / rows[i][i]
    return found
