"""The mistake in a wrong line, and the quantity at which it departs from the derivation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deltarule.errors import DeltaruleError
from deltarule.explain.derivation.derivation import Line
from deltarule.explain.grading.diagnosis import Diagnosis
from deltarule.explain.grading.lines.judge import Judged, matrix, truth
from deltarule.explain.grading.lines.quantities import Quantities, Quantity
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text

_MOST = 12  # lines that are diagnosed
_UNKNOWN = frozenset({"unknown", "shape", "unequal"})


@dataclass(frozen=True)
class Fault:
    """A mistake, and the quantity in which it was made: None if that is not known."""

    mistake: str
    message: str
    departs: Quantity | None = None


class Faults:
    """Search for the mistakes behind wrong lines."""

    def __init__(
        self, quantities: Quantities, evaluate: Evaluate, draw: Draw, reveal: bool
    ) -> None:
        self._quantities = quantities
        self._evaluate = evaluate
        self._draw = draw
        self._reveal = reveal
        self._left = _MOST

    def of(self, judged: Judged) -> Fault:
        """Return the mistake of a wrong claim."""
        part, subject = judged.fault, judged.claim.subject
        if part is None or judged.mistake in {"unequal", "outside"}:
            return Fault(judged.mistake, judged.message)
        if part.misfit:
            return Fault("shape", f"the sizes do not fit: {part.misfit}")
        reading = part.true or part.own
        if subject is None or reading is None or subject.symbol is None:
            return Fault("unknown", "this is not equal")
        if self._left == 0:
            return Fault("unknown", f"this is not {subject.shown}")
        self._left -= 1
        try:
            found = self._diagnosed(subject, matrix(reading))
        except DeltaruleError:  # no finite values to compare
            return Fault("unknown", f"this is not {subject.shown}")
        if len(judged.claim.values) < 2:
            return found
        return replace(found, message=f"{to_text(reading.formula)}: {found.message}")

    def _diagnosed(self, subject: Quantity, answer: Node) -> Fault:
        lines, wanted = self._lines(subject)
        right = truth(subject)
        if wanted is None or right is None:
            return Fault("unknown", f"this is not {subject.shown}")
        names = self._quantities.names.values()
        symbols = [q.symbol for q in names if q.symbol is not None]
        diagnosis = Diagnosis(
            self._quantities.every,
            [lines],
            wanted,
            self._quantities.layout,
            symbols,
            self._evaluate,
            self._draw,
            self._reveal,
        )
        grade = diagnosis.of(answer, right)
        return self._fault(grade, subject, lines)

    def _lines(self, subject: Quantity) -> tuple[Sequence[Line], Line | None]:
        """Return the lines of the derivation that has a quantity, and its line."""
        steps, every = self._quantities.steps, self._quantities.every
        lists: list[Sequence[Line]] = [steps.backward, every.backward]
        if subject.kind == "signal":
            lists = [every.forward]
        for lines in lists:
            for line in lines:
                if line.node is subject.of:
                    return lines, line
        return (), None

    def _fault(self, grade: Grade, subject: Quantity, lines: Sequence[Line]) -> Fault:
        message = grade.message.removeprefix(f"This is not {subject.shown}.")
        message = re.sub(r" \(line \d+\)", "", message).strip()
        message = message.replace("times the gradient", f"times {subject.shown}")
        message = message[:1].lower() + message[1:].rstrip(".")
        if grade.mistake in _UNKNOWN or subject.kind != "derivative":
            return Fault(grade.mistake, message)
        departs = next((n.node for n in lines if n.number == grade.line), None)
        known = self._quantities.derivative(departs) if departs is not None else None
        return Fault(grade.mistake, message, known)
