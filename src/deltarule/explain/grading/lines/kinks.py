"""Right lines once more where they have conditions of their own: beside kinks, and at large and small values."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.errors import DataError
from deltarule.explain.grading.comparison import Sample
from deltarule.explain.grading.lines.judge import (
    CORRECT,
    WRONG,
    Judged,
    matrix,
    truth,
)
from deltarule.explain.grading.lines.quantities import Quantity
from deltarule.explain.grading.lines.readings import Part
from deltarule.explain.grading.points import kinks
from deltarule.explain.proof.proof import Draw, Evaluate, Precise
from deltarule.graph.node import Node

_OUTSIDE = frozenset({"kink", "large", "small"})
_MESSAGE = "right at ordinary points, but not where a condition changes"
Suspect = tuple[Judged, Part, Node, Node]


def check_kinks(
    judged: Sequence[Judged], loss: Node, evaluate: Evaluate, draw: Draw
) -> None:
    """Judge right values wrong that differ from the truth at points which random numbers miss: ReLU′ as 𝟙(z > 4)."""
    suspects = [s for one in judged for s in _suspects(one)]
    if not suspects:
        return
    roots = dict.fromkeys([loss, *(node for *_, a, b in suspects for node in (a, b))])
    sample = Sample(Precise(list(roots), evaluate, draw, loss))
    for one, part, value, right in suspects:
        try:
            where = sample.compare(value, right).where
        except DataError:  # no finite values to compare
            continue
        if where in _OUTSIDE and one.verdict == CORRECT:
            one.verdict, one.fault, one.mistake = WRONG, part, "outside"
            one.message = _MESSAGE
            one.share = 0.0


def _suspects(one: Judged) -> list[Suspect]:
    """Return the values of a right claim that have kinks where the truth has none."""
    subject = one.claim.subject
    right = _truth(subject) if one.verdict == CORRECT else None
    if right is None:
        return []
    known = set(kinks(right))
    readings = [(part, part.true or part.own) for part in one.claim.values]
    found = []
    for part, reading in readings:
        node = None if reading is None else matrix(reading)
        if node is not None and node is not right and set(kinks(node)) - known:
            found.append((one, part, node, right))
    return found


def _truth(subject: Quantity | None) -> Node | None:
    named = subject is not None and subject.kind in {"derivative", "signal"}
    return truth(subject) if named and subject is not None else None
