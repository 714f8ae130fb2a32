"""The search for the mistake behind a wrong answer: which correction makes it right.

Corrections of the answer are compared with the gradient, and with the wrong gradients to which known mistakes in the
derivation lead; two mistakes meet in the middle. A value is compared by two random projections, so that a comparison
with all others is a search for one number; what is found is confirmed at other points.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from deltarule.explain.derivation.derivation import Line
from deltarule.explain.formula.term import Symbol, Term, symbols
from deltarule.explain.grading.corrections import Bank, corrections
from deltarule.explain.grading.edits import Edit, spots
from deltarule.explain.grading.mistakes import Mistake, mistakes, needed_lines
from deltarule.explain.grading.slopes import Form, Says, forms, groups
from deltarule.explain.grading.values import NO_VALUE, Point
from deltarule.explain.grading.wording import says
from deltarule.shapes import Shape

_NEAR = 1e-8
_MOST_CORRECTIONS, _MOST_MISTAKES, _MOST_CONFIRMED = 1500, 1500, 60
_TURNED, _SQUARE_TURNED, _SIGN, _SCALE = 0.3, 1.0, 1.0, 1.05
_FORM = 0.98  # the usual confusions of a derivative come first
_MOST_WEIGHT = 2.5  # two usual mistakes


@dataclass(frozen=True)
class Found:
    """The mistakes behind an answer.

    ``ratio`` is the constant factor that remains, ``turned`` whether the answer has the transposed layout, ``repairs``
    the corrections of the answer itself, ``line`` where the derivation goes another way.
    """

    kinds: tuple[str, ...]
    says: tuple[Says, ...]
    line: int | None
    ratio: float
    turned: bool
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A value to compare: of the answer corrected, or of the gradient spoiled."""

    value: Callable[[Point], Any]
    weight: float
    kind: str = ""
    says: Callable[[], Says] = tuple
    line: int | None = None
    edit: Edit | None = None
    on_line: bool = False

    @property
    def inserts(self) -> bool:
        """Whether a part is put in, which can make anything of anything together with another one."""
        return self.edit is not None and self.edit.before is None


@dataclass(frozen=True)
class _Mark:
    """Two projections of the value of a candidate; ``turned``: of its transpose."""

    candidate: _Candidate
    first: float
    second: float
    turned: bool = False

    @property
    def ratio(self) -> float:
        return self.first / self.second


class Search:
    """Search among the corrections of an answer and the known mistakes of a derivation."""

    def __init__(
        self,
        points: Sequence[tuple[Point, Any]],
        along: tuple[Any, Any],
        bank: Bank,
        lines: Sequence[Sequence[Line]],
        forward: Sequence[Line],
        wanted: Line,
        turned: bool,
    ) -> None:
        self._points = points
        self._along = along
        self._bank = bank
        self._lines = lines
        self._forward = forward
        self._wanted = wanted
        self._is_row = turned  # numerator layout: the lines are transposed at the end

    def find(self, answer: Callable[[Point], Any], term: Term | None) -> Found | None:
        """Return the mistakes behind an answer, the fewest and most usual, or None."""
        own = _Candidate(answer, 0.0)
        answers = self._marks([own], both=True)
        truth = _Candidate(self._truth, 0.0)
        wrong = self._marks([truth, *self._mistakes()], both=False)
        if term is not None:
            edits = islice(self._corrections(term), _MOST_CORRECTIONS)
            answers += self._marks(list(edits), both=True)
        return self._best(answers, wrong)

    # ---------------------------------------------------------------- candidates

    def _truth(self, point: Point) -> Any:
        return next(value for other, value in self._points if other is point)

    def _corrections(self, term: Term) -> Iterator[_Candidate]:
        target = self._points[0][1].shape
        for edit in corrections(term, self._bank, target):
            yield _Candidate(
                _valued(edit.term),
                edit.weight,
                edit.kind,
                self._correction_says(edit),
                None,
                edit,
            )

    def _correction_says(self, edit: Edit) -> Callable[[], Says]:
        def found() -> Says:
            if edit.kind != "derivative" or edit.before is None:
                return says(edit, of_answer=True)
            form = self._form(edit)
            if form is not None:
                return form.says
            gate = next(g for g in self._bank.gates if g.output == edit.place)
            return (
                edit.before,
                " stands where the derivative of ",
                gate.activation.name,
                " at ",
                gate.argument,
                " belongs",
            )

        return found

    def _form(self, edit: Edit) -> Form | None:
        """Return what a student took for a derivative, if that is a usual confusion."""
        point = self._points[0][0]
        gate = next((g for g in self._bank.gates if g.output == edit.place), None)
        if gate is None or edit.before is None:
            return None
        try:
            value = point.value(edit.before)
        except NO_VALUE:
            return None
        for form in forms(gate, self._bank.gates, self._bank.symbols):
            if _equal(point, form.term, value):
                return form
        return None

    def _mistakes(self) -> list[_Candidate]:
        found: list[_Candidate] = []
        for number, lines in enumerate(self._lines):
            wanted = next(line for line in lines if line.node is self._wanted.node)
            needed = needed_lines(lines, wanted)
            read = {line.number: frozenset(symbols(line.term)) for line in needed}
            made = mistakes(lines, wanted, self._forward)
            for mistake in islice(made, _MOST_MISTAKES):
                found.append(self._of_mistake(mistake, needed, read))
            if number == 0:
                near = self._spoiled(needed, wanted)
                for mistake, edit in islice(near, _MOST_MISTAKES):
                    found.append(self._of_mistake(mistake, needed, read, edit))
        return found

    def _of_mistake(
        self,
        mistake: Mistake,
        needed: Sequence[Line],
        read: Mapping[int, frozenset[Symbol]],
        edit: Edit | None = None,
    ) -> _Candidate:
        def value(point: Point) -> Any:
            result = _carried(point, mistake, needed, read)
            return result.T if self._is_row else result

        def words() -> Says:
            if edit is None:
                return mistake.says
            return says(edit, of_answer=False)

        kind, weight = mistake.kind, mistake.weight
        return _Candidate(value, weight, kind, words, mistake.line, edit, on_line=True)

    def _spoiled(
        self, needed: Sequence[Line], wanted: Line
    ) -> Iterator[tuple[Mistake, Edit | None]]:
        """Yield the lines of a derivation with further mistakes, from the last line to the first."""
        blank = Mistake("", (), 0, {}, {}, needed, wanted)
        for line in reversed(needed):
            here = replace(blank, line=line.number)
            for form, term in self._forms(line.term):
                terms = {line.number: term}
                words, kind = form.says, form.kind
                yield (
                    replace(here, kind=kind, says=words, terms=terms, weight=_FORM),
                    None,
                )
            for edit in corrections(line.term, self._bank, line.term.shape):
                terms, weight = {line.number: edit.term}, edit.weight + 0.05
                yield replace(here, kind=edit.kind, terms=terms, weight=weight), edit

    def _forms(self, term: Term) -> Iterator[tuple[Form, Term]]:
        """Yield a line with a derivative of an activation replaced by what is mistaken for it."""
        point = self._points[0][0]
        for spot in spots(term):
            for group, put in groups(spot):
                for gate in self._bank.gates:
                    if gate.shape != group.shape or not _equal(
                        point, gate.slope, _value(point, group)
                    ):
                        continue
                    for form in forms(gate, self._bank.gates, self._bank.symbols):
                        yield form, put(form.term)

    # ---------------------------------------------------------------- comparison

    def _marks(self, candidates: Sequence[_Candidate], both: bool) -> list[_Mark]:
        """Return the projections of values at the first point; ``both``: also of their transposes."""
        point, truth = self._points[0]
        found = []
        for candidate in candidates:
            try:
                value = candidate.value(point)
            except NO_VALUE:
                continue
            shape = getattr(value, "shape", ())
            for turned in (False, True) if both else (False,):
                shown = value.T if turned else value
                if turned and (len(shape) != 2 or math.prod(shape) == 1):
                    continue
                mark = self._mark(candidate, shown, truth.shape, turned)
                if mark is not None:
                    found.append(mark)
        return found

    def _mark(
        self, candidate: _Candidate, value: Any, shape: Shape, turned: bool
    ) -> _Mark | None:
        if value.shape != shape:
            if math.prod(value.shape) != 1 or math.prod(shape) != 1:
                return None
            value = value.reshape(shape)
        first, second = (float((value * r).sum()) for r in self._along)
        usable = math.isfinite(first) and math.isfinite(second) and abs(second) > 1e-14
        return _Mark(candidate, first, second, turned) if usable else None

    def _best(self, answers: Sequence[_Mark], wrong: Sequence[_Mark]) -> Found | None:
        order = sorted(wrong, key=lambda mark: mark.ratio)
        keys = [mark.ratio for mark in order]
        pairs: list[tuple[float, int, _Mark, _Mark]] = []
        for mark in answers:
            near = _NEAR * max(1e-6, abs(mark.ratio))
            at = bisect_left(keys, mark.ratio - near)
            while at < len(keys) and keys[at] <= mark.ratio + near:
                weight = self._weight(mark, order[at])
                both = mark.candidate.inserts and order[at].candidate.inserts
                if weight <= _MOST_WEIGHT and not both:
                    pairs.append((weight, len(pairs), mark, order[at]))
                at += 1
        pairs.sort(key=lambda pair: pair[:2])
        for weight, _, mark, other in pairs[:_MOST_CONFIRMED]:
            ratio = self._confirmed(mark, other)
            if ratio is not None:
                known = self._found(mark, other, ratio, pairs)
                return known if weight else None  # it differs at other points only
        return None

    def _weight(self, mark: _Mark, other: _Mark) -> float:
        ratio = mark.first / other.first
        scale = (
            0.0
            if abs(ratio - 1) < _NEAR
            else _SIGN
            if abs(ratio + 1) < _NEAR
            else _SCALE
        )
        shape = self._points[0][1].shape
        square = len(shape) == 2 and shape[0] == shape[1]
        turned = (_SQUARE_TURNED if square else _TURNED) if mark.turned else 0.0
        two = mark.candidate.weight and other.candidate.weight
        both = 0.1 if two else 0.0
        return mark.candidate.weight + other.candidate.weight + scale + turned + both

    def _confirmed(self, mark: _Mark, other: _Mark) -> float | None:
        """Return the ratio of two values if it is the same at all points."""
        ratio = mark.first / other.first
        for point, truth in self._points[1:]:
            try:
                left, right = mark.candidate.value(point), other.candidate.value(point)
            except NO_VALUE:
                return None
            left = left.T if mark.turned else left
            shape = truth.shape
            left, right = left.reshape(shape), right.reshape(shape)
            gap = float(abs(left - ratio * right).sum())
            if not gap <= 1e-7 * (float(abs(left).sum()) + 1e-12):
                return None
        return ratio

    def _found(
        self,
        mark: _Mark,
        other: _Mark,
        ratio: float,
        pairs: Sequence[tuple[float, int, _Mark, _Mark]],
    ) -> Found:
        parts = [c for c in (mark.candidate, other.candidate) if c.weight]
        line = other.candidate.line
        if line is None:
            lines = (
                second.candidate.line
                for _, _, first, second in pairs
                if not first.candidate.weight and second.candidate.line is not None
            )
            line = next(lines, None)
        kinds = tuple(self._kind(part) for part in parts)
        words = tuple(part.says() for part in parts)
        edits = tuple(p.edit for p in parts if p.edit is not None and not p.on_line)
        return Found(kinds, words, line, ratio, mark.turned, edits)

    def _kind(self, part: _Candidate) -> str:
        if part.kind == "derivative" and part.edit is not None and not part.on_line:
            form = self._form(part.edit)
            return "derivative" if form is None else form.kind
        return part.kind


def _valued(term: Term) -> Callable[[Point], Any]:
    return lambda point: point.value(term)


def _value(point: Point, term: Term) -> Any:
    try:
        return point.value(term)
    except NO_VALUE:
        return None


def _equal(point: Point, term: Term, value: Any) -> bool:
    own = _value(point, term)
    if own is None or value is None or own.shape != value.shape:
        return False
    size = float(abs(own).sum()) + float(abs(value).sum())
    return float(abs(own - value).sum()) <= 1e-10 * size


def _carried(
    point: Point,
    mistake: Mistake,
    needed: Sequence[Line],
    read: Mapping[int, frozenset[Symbol]],
) -> Any:
    """Return the value of the wanted line after a mistake; only lines that it reaches are computed anew."""
    known: dict[Symbol, Any] = {
        symbol: point.value(term) for symbol, term in mistake.given.items()
    }
    result: Any = None
    for line in needed:
        term = mistake.terms.get(line.number)
        changed = bool(read[line.number] & known.keys())
        if term is None and not changed and line is not needed[-1]:
            continue
        shown = line.term if term is None else term
        touched = changed or (
            term is not None and any(s in known for s in symbols(term))
        )
        result = point.value(shown, known if touched else None)
        if line.alias is not None:
            known[line.alias] = result
    return result
