"""Diagnosis of a wrong answer: which mistakes lead to it, and what to say about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deltarule.errors import DeltaruleError
from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.from_graph import Translator
from deltarule.explain.formula.term import Symbol, Term, is_number
from deltarule.explain.grading.corrections import Bank
from deltarule.explain.grading.hints import Wording, revealed
from deltarule.explain.grading.search import Search
from deltarule.explain.grading.slopes import gates
from deltarule.explain.grading.values import NO_VALUE, Point, points
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.proof.domains import Domain
from deltarule.explain.proof.proof import Draw, Evaluate, Precise
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.shapes import Shape

_POINTS = 4
_MOST_CASES = 4
Called = Callable[[Mapping[Node, Any]], Any]  # the value of a function at a point


class Diagnosis:
    """Search for the mistake behind a wrong answer to the question for one gradient.

    ``symbols`` are what an answer may name, in the layout of the answer;
    with ``reveal`` the message ends with the line of the derivation.
    """

    def __init__(
        self,
        derived: Derived,
        lines: Sequence[Sequence[Line]],
        wanted: Line,
        layout: Layout,
        symbols: Sequence[Symbol],
        evaluate: Evaluate,
        draw: Draw,
        reveal: bool = False,
    ) -> None:
        self._reveal = reveal
        self._derived = derived
        self._lines = lines
        self._wanted = wanted
        self._layout = layout
        self._evaluate = evaluate
        self._draw = draw
        self.assumed: Mapping[Node, str] = derived.assumed  # kinds of inputs
        self._named = list({s.node: s for s in symbols}.values())

    def of(self, answer: Node, truth: Node) -> Grade:
        """Return the grade of a wrong answer."""
        found = self._diagnosed(truth, self._term(answer), answer, None, answer.shape)
        return self._revealed(found)

    def of_function(self, called: Called, truth: Node, shape: Shape) -> Grade:
        """Return the grade of a wrong function: ``called`` returns its value for what the symbols' nodes are."""
        return self._revealed(self._diagnosed(truth, None, None, called, shape))

    def _revealed(self, found: Grade) -> Grade:
        return revealed(found, self._derived, self._wanted) if self._reveal else found

    def _diagnosed(
        self,
        truth: Node,
        term: Term | None,
        answer: Node | None,
        called: Called | None,
        shape: Shape,
    ) -> Grade:
        held = self._held()
        roots = [self._derived.loss, truth, *held, *([answer] if answer else [])]
        precise = Precise(
            list(dict.fromkeys(roots)),
            self._evaluate,
            self._draw,
            self._derived.source,
            self.assumed,
        )
        nodes = [*held, *([answer] if answer is not None else [])]
        found = points(precise, nodes, self._evaluate, truth, answer, _POINTS)
        wording = Wording(self._derived, self._lines, self._wanted, self._layout)
        if len(found) < 2:
            return wording.shape_or_unknown(shape, truth.shape, "")
        own: dict[int, Any] = {}
        for point, _ in found:
            if answer is not None:
                own[id(point)] = point.of_node(answer)
            elif called is not None:
                own[id(point)] = called(point.nodes)
        search = Search(
            found, self._along(found[0][1]), self._bank(), self._lines,
            self._derived.forward, self._wanted, self._layout == "numerator",
        )  # fmt: skip
        first, right = found[0]
        value = own[id(first)]
        wording.leaks = lambda part: _leaks(part, first, right)
        wording.sizes = self._sizes(precise)
        if not any(float(abs(own[id(point)]).sum()) for point, _ in found):
            return wording.zero()
        mistakes = search.find(lambda point: own[id(point)], term)
        if mistakes is not None:
            return wording.grade(mistakes, shape, truth.shape)
        if isinstance(term, Symbol) and value.shape == right.shape:
            return wording.other_signal(term, shape, truth.shape)
        wrong = _share_of_wrong(value, right)
        return wording.shape_or_unknown(shape, truth.shape, wrong)

    def _held(self) -> list[Node]:
        """Return the nodes whose values terms may need."""
        found = dict.fromkeys(symbol.node for symbol in self._named)
        for lines in (*self._lines, self._derived.forward):
            found |= dict.fromkeys(line.value for line in lines)
        found |= dict.fromkeys(symbol.node for symbol in self._derived.inputs)
        return list(found)

    def _bank(self) -> Bank:
        floats = tuple(s for s in self._named if s.node.dtype.is_float)
        data = {s.node for s in self._derived.inputs if s.node not in self._derived.wrt}
        slopes = tuple(gates(self._derived.forward))
        forward = {line.node for line in self._derived.forward}
        inputs = {symbol.node for symbol in self._derived.inputs}
        derivatives = {s.node for s in floats if s.node not in forward | inputs}
        return Bank(
            floats,
            slopes,
            frozenset(self._derived.wrt),
            frozenset(data),
            frozenset(derivatives),
        )

    def _term(self, answer: Node) -> Term | None:
        """Return an answer as a term of what it names, or None if it has no such form."""
        known = frozenset(symbol.node for symbol in self._named)
        cases = sum(part.op is Op.WHERE for part in topological([answer], known))
        if cases > _MOST_CASES:  # an array filled entry by entry has no short form
            return None
        translator = Translator()
        for symbol in self._named:
            translator.name(symbol.node, symbol)
        try:
            return translator.term(answer)
        except (DeltaruleError, ValueError, KeyError, IndexError, TypeError):
            return None

    def _along(self, like: Any) -> tuple[Any, Any]:
        node = build.input_node("along", tuple(like.shape))
        real = Domain("real")
        return self._draw(node, real), self._draw(node, real)

    def _sizes(self, precise: Precise) -> tuple[int, ...]:
        """Return the numbers of examples in the data."""
        first = {
            int(precise[s.node].shape[0])
            for s in self._derived.inputs
            if s.node not in self._derived.wrt and s.node.rank >= 2
        }
        return tuple(sorted(size for size in first if size > 1))


def _leaks(part: Term, point: Point, truth: Any) -> bool:
    """Whether a part of a message is the gradient itself."""
    try:
        value = point.value(part)
    except NO_VALUE:
        return False
    for shown in (value, value.T):
        if math.prod(shown.shape) != math.prod(truth.shape):
            continue
        if shown.shape == truth.shape or is_number(truth.shape):
            gap = float(abs(shown.reshape(truth.shape) - truth).sum())
            if gap <= 1e-6 * float(abs(truth).sum()):
                return True
    return False


def _share_of_wrong(value: Any, truth: Any) -> str:
    """Say how many entries differ."""
    if value.shape != truth.shape and math.prod(value.shape) != math.prod(truth.shape):
        return ""
    gap = abs(value.reshape(truth.shape) - truth)
    wrong, whole = int((gap > 1e-8 * float(abs(truth).max())).sum()), truth.size
    return f"{wrong} of {whole} entries differ at a random point."
