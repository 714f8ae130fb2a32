"""Grading a gradient that a person typed: by evaluation, not by spelling; with the mistake if it is a known one."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deltarule import dtypes
from deltarule.errors import ArgumentError, DataError, DeltaruleError, ShapeError
from deltarule.explain.derivation.derivation import Derived, Deriver, Detail, Layout
from deltarule.explain.derivation.hand_written import with_named_losses
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol, matrix_shape
from deltarule.explain.formula.typeset import symbol as formula_of
from deltarule.explain.grading.allowed import Allow, allowed, restricted, used
from deltarule.explain.grading.assumptions import assumption_text, targets
from deltarule.explain.grading.comparison import Comparison, Sample
from deltarule.explain.grading.diagnosis import Diagnosis
from deltarule.explain.grading.rounded import equal_when_unrounded
from deltarule.explain.grading.values import as_matrix
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.page.page import entry
from deltarule.explain.proof.proof import Draw, Evaluate, Precise
from deltarule.explain.reading.printed import repeats
from deltarule.explain.reading.python.answer import is_python, read_python
from deltarule.explain.reading.reader import Reading, read
from deltarule.explain.reading.syntax import Expression
from deltarule.explain.reading.understood import Understood
from deltarule.explain.reading.vocabulary import (
    Vocabulary,
    counted,
    numbers_of_examples,
    vocabulary,
)
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.render.mathematics import to_text

Answer = str | Callable[..., Any]
LANGUAGES = ("auto", "latex", "mathematics", "python")
_OUTSIDE = {
    "undefined": "",
    "large": "for large values of the inputs",
    "small": "for small values of the inputs",
    "kink": "beside a point where a condition or a maximum changes",
}


def grade(
    loss: Node,
    wrt: Node,
    answer: Answer,
    evaluate: Evaluate,
    draw: Draw,
    *,
    names: Mapping[Node, str] | None = None,
    parameters: Sequence[Node] | None = None,
    layout: Layout = "denominator",
    language: str = "auto",
    allow: Allow = None,
    reveal: bool = False,
    assume: Mapping[Node, str] | None = None,
) -> Grade:
    """Compare an answer with ∂loss/∂wrt at random points in float64.

    ``answer`` is LaTeX, Unicode or ASCII mathematics, a Python expression on arrays, or a function of arrays whose
    arguments carry the names of the derivation (x, W_1, z_1, a_1, y_hat, delta_2 …). ``allow`` restricts the symbols
    that an answer may use to some names or nodes, or to "inputs"; with ``reveal`` the message of a wrong answer ends
    with the line of the derivation. ``parameters`` are all variables
    of the network, whose derivation gives the names; by default every input but x and y.

    Raises:
        ArgumentError: an answer that cannot be read; the message shows the place and what was expected.
    """
    derived, steps = derivations(loss, [wrt], names, parameters, layout, assume)
    grader = _Grader(derived, steps, wrt, layout, evaluate, draw, allow, reveal)
    return grader.grade(answer, language)


def derivations(
    loss: Node,
    wrt: Sequence[Node],
    names: Mapping[Node, str] | None,
    parameters: Sequence[Node] | None,
    layout: Layout,
    assume: Mapping[Node, str] | None = None,
) -> tuple[Derived, Derived]:
    """Return the derivations with every line and with the usual ones, whose names answers may use.

    Raises:
        ArgumentError: an unknown layout.
    """
    if layout not in {"denominator", "numerator"}:
        raise ArgumentError(
            "grade layout", expected='"denominator" or "numerator"', got=repr(layout)
        )
    others = parameters
    if others is None:
        others = [
            node for node in likely_parameters(loss) if node not in (assume or {})
        ]
    variables = dict.fromkeys([*wrt, *others])
    ordered = [node for node in inputs([loss]) if node in variables]
    ordered += [node for node in variables if node not in ordered]
    kinds = tuple((assume or {}).items())
    return _derivations(loss, tuple(ordered), tuple((names or {}).items()), kinds)


@functools.lru_cache(maxsize=8)  # many answers to one question
def _derivations(
    loss: Node,
    wrt: tuple[Node, ...],
    names: tuple[tuple[Node, str], ...],
    assume: tuple[tuple[Node, str], ...],
) -> tuple[Derived, Derived]:
    def derived(detail: Detail, loss: Node, names: Mapping[Node, str]) -> Derived:
        kinds = dict(assume)
        return Deriver(loss, wrt, names, "denominator", detail, assume=kinds).derive()

    steps = derived("steps", loss, dict(names))
    every = derived("every", loss, dict(names))
    meant = {line.name: line.node for line in steps.forward[:-1]}
    if any(meant.get(line.name, line.node) is not line.node for line in every.forward):
        known = with_named_losses(loss, wrt, dict(names))
        every = derived("every", known.loss, known.names)
        every.given = loss
    return every, steps


def check_allow(
    allow: Allow,
    loss: Node,
    wrt: Node,
    names: Mapping[Node, str] | None,
    parameters: Sequence[Node] | None,
) -> None:
    """Check that a question has the symbols that its answers may use.

    Raises:
        ArgumentError: it does not.
    """
    derived, steps = derivations(loss, [wrt], names, parameters, "denominator")
    allowed(allow, vocabulary(derived, steps), [derived, steps], wrt)


def likely_parameters(loss: Node) -> list[Node]:
    """Return the inputs that are not data by their name."""
    found = [node for node in inputs([loss]) if node.dtype.is_float]
    return [
        n
        for n in found
        if not re.match(r"([xXyYt]|target|label)", canonical(str(n.attributes["name"])))
    ]


class _Grader:
    def __init__(
        self,
        derived: Derived,
        steps: Derived,
        wrt: Node,
        layout: Layout,
        evaluate: Evaluate,
        draw: Draw,
        allow: Allow,
        reveal: bool,
    ) -> None:
        self._lines = [steps.backward, derived.backward]
        self._derived = derived
        self._wrt = wrt
        self._layout = layout
        self._evaluate = evaluate
        self._draw = draw
        self._wanted = next(line for line in steps.backward if line.node is wrt)
        self._name = to_text(entry(self._wanted, derived.loss_name).left)
        self._targets = targets(derived, steps)
        self._vocabulary = vocabulary(derived, steps, layout=layout, asked=wrt)
        symbols = list(self._vocabulary.names.values())
        self._diagnosis = Diagnosis(
            derived, self._lines, self._wanted, layout, symbols, evaluate, draw, reveal
        )
        self._allowed = allowed(allow, self._vocabulary, [derived, steps], wrt)
        self._diagnosis.assumed = {
            **derived.assumed,
            **dict.fromkeys(self._targets.summing, "distribution"),
        }
        self._columns = (
            vocabulary(derived, steps, asked=wrt) if layout == "numerator" else None
        )  # derivatives of vectors as columns, which many texts keep in either layout
        self.known = self._vocabulary.names

    def grade(self, answer: Answer, language: str) -> Grade:
        """Return the verdict."""
        truth = self._truth()
        if callable(answer):
            function = self._of_function(answer)
            return self._restricted(self._verdict(function, truth), function.symbols)
        if language not in LANGUAGES:
            raise ArgumentError(
                "grade language", expected=" or ".join(LANGUAGES), got=repr(language)
            )
        found = self._with_count(answer, truth, language, self._vocabulary)
        if not found.correct and self._columns is not None:
            other = self._with_count(answer, truth, language, self._columns)
            return other if other.correct or found.mistake == "shape" else found
        return found

    def _with_count(
        self, answer: str, truth: Node, language: str, names: Vocabulary
    ) -> Grade:
        """Grade an answer in which m may be one of several sizes: any of them, if the verdict is the same.

        Raises:
            ArgumentError: the verdict depends on what m is.
        """
        sizes = numbers_of_examples(self._derived)
        counts = [counted(self._derived, size) for size in sizes]
        letters = re.findall(r"(?<![A-Za-z_])[mNn](?![A-Za-z_])", answer)
        bound = [a for a in letters if names.names.get(a) in [c[a] for c in counts]]
        letter = bound[0] if bound else ""
        if not letter or len(sizes) < 2:
            return self._grade_text(answer, truth, language, names)
        found = [
            self._grade_text(answer, truth, language, names.with_names(count))
            for count in counts
        ]
        if len({grade_.correct for grade_ in found}) > 1:
            shown = sorted(map(str, sizes))
            raise ArgumentError(
                f"{letter} in the answer",
                expected="a number of examples that is known",
                got=f"{letter}, which could be {' or '.join(shown)}",
                hint=f"Write the number, or a line {letter} = {shown[-1]}.",
            )
        likely = [count[letter] == names.names[letter] for count in counts].index(True)
        return found[likely]

    def _grade_text(
        self, answer: str, truth: Node, language: str, names: Vocabulary
    ) -> Grade:
        try:
            reading = self._read(answer, language, names)
        except ShapeError as error:
            return Grade(
                False, "shape", self._wanted.number, f"The sizes do not fit. {error}"
            )
        found = self._verdict(self._of_text(reading.node), truth, answer)
        if not found.correct and reading.tree is not None:
            other = self._recalled(answer, reading.tree, names)
            if other is not None:
                again = self._verdict(self._of_text(other.node), truth, answer)
                found, reading = (again, other) if again else (found, reading)
        found = self._restricted(found, used(answer, reading, names))
        return replace(found, understood=Understood(reading.formula))

    def _recalled(
        self, answer: str, tree: Expression, names: Vocabulary
    ) -> Reading | None:
        """Return the answer where what the derivation prints means what it means there: ‖X‖, norms of rows."""
        if not repeats(tree, names):
            return None
        try:
            return self._read(answer, "mathematics", names, recall=True)
        except DeltaruleError:
            return None

    def _restricted(self, grade_: Grade, symbols: Sequence[Symbol]) -> Grade:
        forbidden = [symbol for symbol in symbols if self._allowed.forbids(symbol)]
        return restricted(grade_, forbidden, self._allowed) if forbidden else grade_

    def _truth(self) -> Node:
        value = self._wanted.value
        node = build.reshape(value, matrix_shape(value.shape))
        turned = self._layout == "numerator" and node.rank == 2
        return build.matrix_transpose(node) if turned else node

    def _read(
        self, answer: str, language: str, names: Vocabulary, recall: bool = False
    ) -> Reading:
        if language == "python" or (language == "auto" and is_python(answer)):
            return read_python(answer, names, self._wrt.dtype, self._wrt.shape)
        return read(answer, names, self._wrt.dtype, self._truth().shape, recall)

    def _verdict(self, answer: _Answer, truth: Node, text: str = "") -> Grade:
        """Compare an answer with the gradient, under usual assumptions as well, and look for its mistake."""
        assumed = dict(self._derived.assumed)
        sample = answer.sample([truth], assumed)
        found = sample.compare(answer.node, truth)
        if found.equal:
            return Grade(True, "equal", None, f"This is {self._name}.")
        if found.where != "shape":
            under = self._under_assumptions(answer, truth, assumed)
            if under is not None:
                return under
        if self._targets.summing:
            assumed |= dict.fromkeys(self._targets.summing, "distribution")
            sample = answer.sample([truth], assumed)
            found = sample.compare(answer.node, truth)
        if found.where in _OUTSIDE:
            return self._outside(found)
        rounded = equal_when_unrounded(sample, answer.node, truth, text)
        if rounded:
            shown = ", ".join(f"{value:.15g}" for value in rounded)
            kind = "a rounded number" if len(rounded) == 1 else "rounded numbers"
            message = f"This is {self._name}, with {shown} as {kind}."
            return Grade(True, "equal", None, message)
        if answer.called is not None:
            return self._diagnosis.of_function(answer.called, truth, answer.node.shape)
        return self._diagnosis.of(answer.node, truth)

    def _under_assumptions(
        self, answer: _Answer, truth: Node, assumed: Mapping[Node, str]
    ) -> Grade | None:
        """Return the grade of an answer that is right for the targets that a loss is meant for."""
        for node, kind in self._targets.kinds:
            sample = answer.sample([truth], {**assumed, node: kind})
            try:
                found = sample.compare(answer.node, truth)
            except DataError:  # the loss is not finite for such targets
                continue
            if found.equal:
                name = to_text(formula_of(self._derived.names[node]))
                condition = assumption_text(name, kind, node.rank)
                message = f"This is {self._name} if {condition}."
                return Grade(True, "equal", None, message, assumption=condition)
        return None

    def _outside(self, found: Comparison) -> Grade:
        """Return the grade of an answer that differs only outside ordinary points."""
        head, line = f"This is not {self._name}.", self._wanted.number
        if found.where == "undefined":
            message = (
                f"{head} Your answer is not finite at {found.undefined} of {found.points} random points, "
                "where the gradient is."
            )
            return Grade(False, "undefined", line, message)
        message = f"{head} It has the same value at ordinary points, but not {_OUTSIDE[found.where]}."
        return Grade(False, "condition", line, message)

    def _precise(
        self, roots: Sequence[Node], assumed: Mapping[Node, str] | None = None
    ) -> Precise:
        loss = self._derived.source
        unique = list(dict.fromkeys([loss, *roots]))
        kinds = self._derived.assumed if assumed is None else assumed
        return Precise(unique, self._evaluate, self._draw, loss, kinds)

    def _of_text(self, node: Node) -> _Answer:
        """Return an answer that was read."""
        return _Answer(
            node, lambda roots, kinds: Sample(self._precise([node, *roots], kinds))
        )

    def _of_function(self, function: Callable[..., Any]) -> _Answer:
        """Return a function on arrays, which is run at each point, as an answer."""
        wanted = list(inspect.signature(function).parameters)
        missing = [name for name in wanted if canonical(name) not in self.known]
        if missing:
            raise ArgumentError(
                "answer",
                expected=f"arguments among {', '.join(sorted(self.known))}",
                got=", ".join(missing),
            )
        symbols = [self.known[canonical(name)] for name in wanted]
        nodes = [symbol.node for symbol in symbols]
        precise = self._precise(nodes)
        given = precise.draw()
        result = function(*precise.values([precise[node] for node in nodes], given))
        shape = tuple(getattr(result, "shape", ()))
        stand_in = build.input_node("answer", matrix_shape(shape), dtypes.FLOAT64)

        def sample(roots: Sequence[Node], kinds: Mapping[Node, str]) -> Sample:
            precise = self._precise([*nodes, *roots], kinds)
            twins = [precise[node] for node in nodes]

            def called(given: Mapping[Node, Any]) -> dict[Node, Any]:
                value = function(*precise.values(twins, given))
                flat = build.input_node(
                    "raw", tuple(getattr(value, "shape", ())), dtypes.FLOAT64
                )
                (shaped,) = precise.values(
                    [build.reshape(flat, stand_in.shape)], {flat: value + 0.0}
                )
                return {stand_in: shaped}

            return Sample(precise, called, stand_in)

        def of_matrices(values: Mapping[Node, Any]) -> Any:
            arrays = [
                values[node].reshape(-1) if node.rank == 1 else values[node]
                for node in nodes
            ]
            return as_matrix(function(*arrays) + 0.0)

        return _Answer(stand_in, sample, of_matrices, symbols)


@dataclass(frozen=True)
class _Answer:
    """The graph of an answer, and random points for it and other graphs, given the kinds of inputs.

    ``called`` is the value of a function of arrays, as a matrix, and ``symbols`` are its arguments.
    """

    node: Node
    sample: Callable[[Sequence[Node], Mapping[Node, str]], Sample]
    called: Callable[[Mapping[Node, Any]], Any] | None = None
    symbols: Sequence[Symbol] = ()
