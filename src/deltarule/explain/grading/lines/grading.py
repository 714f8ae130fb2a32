"""Grading of a whole derivation that a person typed: each line by evaluation, with partial credit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Derived, Layout
from deltarule.explain.grading.grading import LANGUAGES, derivations
from deltarule.explain.grading.lines import judge as verdicts
from deltarule.explain.grading.lines.faults import Fault, Faults
from deltarule.explain.grading.lines.judge import Judge, Judged, nodes_of
from deltarule.explain.grading.lines.kinks import check_kinks
from deltarule.explain.grading.lines.meanings import (
    derivatives_of_names,
    meant,
    renamed,
    unnamed_answers,
)
from deltarule.explain.grading.lines.points import (
    Points,
    points,
    required,
    stated,
)
from deltarule.explain.grading.lines.quantities import (
    Quantity,
    python_spellings,
    quantities,
)
from deltarule.explain.grading.lines.readings import Claim, Text
from deltarule.explain.grading.lines.result import DerivationGrade, GradedLine
from deltarule.explain.grading.lines.text import TextLine, text_lines
from deltarule.explain.grading.lines.values import Values
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.proof.proof import Draw, Evaluate, Precise
from deltarule.explain.reading.python.answer import is_python
from deltarule.explain.reading.understood import Understood
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES
from deltarule.render import mathematics as m

_PASSES = 4


def grade_derivation(
    loss: Node,
    wrt: Sequence[Node],
    answer: str,
    evaluate: Evaluate,
    draw: Draw,
    *,
    names: Mapping[Node, str] | None = None,
    parameters: Sequence[Node] | None = None,
    layout: Layout = "denominator",
    language: str = "auto",
    total: float | None = None,
    require_steps: bool = False,
    reveal: bool = False,
) -> DerivationGrade:
    """Grade the lines of a derivation of ∂loss/∂w for each w of ``wrt``.

    Raises:
        ArgumentError: no line of the text can be read as a formula.
    """
    if language not in LANGUAGES:
        raise ArgumentError(
            "derivation language", expected=" or ".join(LANGUAGES), got=repr(language)
        )
    known = _signal_names(loss, wrt, names or {}, parameters, layout)
    every, steps = derivations(loss, wrt, known, parameters, layout)
    python = language == "python" or (language == "auto" and _is_python(answer))
    lines = text_lines(answer, python)
    layouts: list[Layout] = (
        [layout] if layout == "denominator" else [layout, "denominator"]
    )
    found = []
    for chosen in layouts:
        grader = _Grader(every, steps, chosen, wrt, evaluate, draw)
        found.append(grader.graded(lines, python, total, require_steps, reveal))
        if found[-1].correct:
            break
    return max(found, key=lambda grade: grade.points)


def _signal_names(
    loss: Node,
    wrt: Sequence[Node],
    names: Mapping[Node, str],
    parameters: Sequence[Node] | None,
    layout: Layout,
) -> dict[Node, str]:
    """Return the names, with those that signals among the variables have in the derivation of the parameters."""
    unnamed = [node for node in wrt if node.op not in LEAVES and node not in names]
    if not unnamed:
        return dict(names)
    leaves = [node for node in wrt if node.op in LEAVES]
    every, _ = derivations(loss, leaves, names, parameters, layout)
    signals = {line.node: line.name for line in every.forward}
    return {**{n: signals[n] for n in unnamed if n in signals}, **names}


def _is_python(text: str) -> bool:
    """Whether a text is a program rather than mathematics."""
    return is_python(re.sub(r"#.*", "", text))


class _Grader:
    def __init__(
        self,
        every: Derived,
        steps: Derived,
        layout: Layout,
        wrt: Sequence[Node],
        evaluate: Evaluate,
        draw: Draw,
    ) -> None:
        self._quantities = quantities(every, steps, layout)
        self._wrt = wrt
        self._evaluate = evaluate
        self._draw = draw
        self._asked = [self._quantities.derivative(node) for node in wrt]

    def graded(
        self,
        lines: Sequence[TextLine],
        python: bool,
        total: float | None,
        require_steps: bool,
        reveal: bool,
    ) -> DerivationGrade:
        """Return the grade."""
        judged = self._judged(lines, python)
        if not any(one.claim.parts for one in judged):
            self._refuse(judged)
        faults = Faults(self._quantities, self._evaluate, self._draw, reveal)
        found = {
            place: faults.of(one)
            for place, one in enumerate(judged)
            if one.verdict == verdicts.WRONG
        }
        departures = {place: fault.departs for place, fault in found.items()}
        shares = required(self._quantities, self._wrt)
        earned = points(judged, shares, departures, require_steps)
        maximum = float(len(shares)) if total is None else float(total)
        return self._result(judged, found, earned, maximum)

    def _refuse(self, judged: Sequence[Judged]) -> None:
        first = next((one for one in judged if one.message != "no equation"), None)
        raise ArgumentError(
            "derivation",
            expected="lines such as δ₂ = ŷ − y",
            got="none that can be read" if judged else "an empty text",
            hint=""
            if first is None
            else f"line {first.claim.line.number}: {first.message}",
        )

    # ---------------------------------------------------------------- verdicts

    def _judged(self, lines: Sequence[TextLine], python: bool) -> list[Judged]:
        """Judge the lines, again where a name turns out to mean something else."""
        names = dict(self._quantities.names)
        if python:
            names = python_spellings(names, self._quantities.every.loss_name)
        answers: dict[int, Quantity] = {}
        judged: list[Judged] = []
        for _ in range(_PASSES):
            text = Text(self._quantities, names, python, self._asked, answers)
            claims = text.claims(lines)
            values = self._values(nodes_of(claims, self._quantities))
            judge = Judge(self._quantities, values)
            judged = judge.verdicts(claims)
            dropped = renamed(judged, names, judge)
            found, unnamed = self._meanings(judged, names) if not dropped else ({}, {})
            if not dropped and not found and unnamed.keys() <= answers.keys():
                break
            names = {k: q for k, q in names.items() if k not in dropped} | found
            answers |= unnamed
        loss = self._quantities.every.loss
        check_kinks(judged, loss, self._evaluate, self._draw)
        return judged

    def _meanings(
        self, judged: Sequence[Judged], names: Mapping[str, Quantity]
    ) -> tuple[dict[str, Quantity], dict[int, Quantity]]:
        """Return what names, and formulas without one, turn out to mean."""
        found = derivatives_of_names(judged, names, self._quantities)
        if not found:
            found = meant(judged, self._quantities, self._values)
        unnamed, last = unnamed_answers(judged, self._asked)
        return {**last, **found}, unnamed

    def _values(self, nodes: Sequence[Node]) -> Values:
        loss = self._quantities.every.loss
        roots = list(dict.fromkeys([loss, *nodes]))
        return Values(Precise(roots, self._evaluate, self._draw, loss), nodes)

    # ---------------------------------------------------------------- result

    def _result(
        self,
        judged: Sequence[Judged],
        faults: Mapping[int, Fault],
        earned: Points,
        maximum: float,
    ) -> DerivationGrade:
        each = maximum / len(earned.shares)
        counts = Counter(id(one.claim.line) for one in judged)
        lines = tuple(
            _line(one, faults.get(place), earned, each, counts[id(one.claim.line)] > 1)
            for place, one in enumerate(judged)
        )
        wrong = [line.number for line in lines if line.verdict == verdicts.WRONG]
        final = self._final(judged, faults)
        unread = any(
            "formula" in one.message
            for one in judged
            if one.verdict == verdicts.NOT_READ and "=" in one.claim.line.formula
        )
        return DerivationGrade(
            correct=not wrong and earned.part == 1.0,
            points=earned.part * maximum,
            maximum=maximum,
            lines=lines,
            first_wrong=wrong[0] if wrong else None,
            final=final,
            missing=tuple(q.shown for q in earned.missing),
            readable=not (unread and earned.missing),
        )

    def _final(
        self, judged: Sequence[Judged], faults: Mapping[int, Fault]
    ) -> Grade | None:
        """Return the verdict on the last gradient that was asked for."""
        asked = self._asked[-1]
        for place in reversed(range(len(judged))):
            one = judged[place]
            if asked not in stated(one):
                continue
            understood = _understood(one.claim)
            if one.verdict == verdicts.WRONG:
                fault = faults[place]
                return Grade(
                    False, fault.mistake, None, _sentence(fault.message), understood
                )
            if one.verdict == verdicts.FOLLOWS:
                return Grade(
                    False, "follows", None, _sentence(_follows(one)), understood
                )
            return Grade(True, "equal", None, f"This is {asked.shown}.", understood)
        return None


def _line(
    one: Judged, fault: Fault | None, earned: Points, each: float, shared: bool
) -> GradedLine:
    message, mistake = one.message, ""
    if one.verdict == verdicts.CORRECT:
        mistake = "equal"
    if one.verdict == verdicts.FOLLOWS:
        message = _follows(one)
    if fault is not None:
        message, mistake = fault.message, fault.mistake
    own = [s.earned for s in earned.shares.values() if s.by is one]
    own += [-1.0] if one in earned.aside else []
    line = one.claim.line
    subject = one.claim.subject
    return GradedLine(
        number=line.number,
        text=one.claim.statement.written if shared else line.shown,
        verdict=one.verdict,
        message=_sentence(message),
        mistake=mistake,
        states=subject.shown if subject is not None and subject.kind != "own" else "",
        points=sum(own) * each if own else None,
        understood=_understood(one.claim),
    )


def _follows(one: Judged) -> str:
    return (
        f"right, given line {one.because}"
        if one.because
        else "right, given an earlier error"
    )


def _sentence(text: str) -> str:
    """Write a remark as a sentence.

    >>> _sentence("right, given line 2")
    'Right, given line 2.'
    """
    if not text:
        return ""
    plain = text[:2].isascii()
    first = text[:1].upper() + text[1:] if plain else text
    return first if first.endswith((".", "^")) or "\n" in first else first + "."


def _understood(claim: Claim) -> Understood | None:
    formulas = [
        part.reading.formula for part in claim.parts if part.reading is not None
    ]
    named = [
        m.identifier(part.quantity.name)
        if part.quantity.name
        else m.Text(part.quantity.shown)
        for part in claim.parts
        if part.reading is None and part.quantity is not None
    ]
    if not formulas:
        return None
    return Understood(m.join([*named, *formulas], m.Operator("=", spaced=True)))
