"""Grading a gradient that a person typed: by evaluation, not by spelling; with the mistake if it is a known one."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from html import escape
from typing import Any

from deltarule import dtypes
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.explain.derivation.derivation import Derived, Deriver, Layout
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import is_number, matrix_shape
from deltarule.explain.grading.mistakes import Mistake, mistakes
from deltarule.explain.page.page import entry, size
from deltarule.explain.proof.proof import Draw, Evaluate, Precise
from deltarule.explain.reading.python_answer import is_python, read_python
from deltarule.explain.reading.reader import Reading, read
from deltarule.explain.reading.understood import Understood
from deltarule.explain.reading.vocabulary import Vocabulary, vocabulary
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.render.mathematics import to_text
from deltarule.shapes import Dimension, Shape

Answer = str | Callable[..., Any]
LANGUAGES = ("auto", "latex", "mathematics", "python")
_POINTS = 32  # so many that an indicator cannot be 1 at all of them by chance
_EQUAL = 1e-8  # relative to the largest entry


@dataclass(frozen=True)
class Grade:
    """The verdict on an answer.

    ``mistake`` is "equal" or one of: "sign", "factor", "mean", "transposed", "transpose", "order", "activation",
    "path", "term", "axis", "shape", "unknown". ``line`` is the first line of the derivation at which it departs.
    ``understood`` is the answer as it was read, typeset; None for a function of arrays.
    """

    correct: bool
    mistake: str
    line: int | None
    message: str
    understood: Understood | None = None

    def __bool__(self) -> bool:
        return self.correct

    def __str__(self) -> str:
        return f"{'✓' if self.correct else '✗'}  {self.message}"

    def _repr_html_(self) -> str:
        sign = "✓" if self.correct else "✗"
        read_as = "" if self.understood is None else self.understood.mathml()
        message = escape(self.message).replace("\n", "<br>")
        return f"<p>{sign} {message}</p>" + (read_as and f"<p>read as {read_as}</p>")


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
) -> Grade:
    """Compare an answer with ∂loss/∂wrt at random points in float64.

    ``answer`` is LaTeX, Unicode or ASCII mathematics, a Python expression on arrays, or a function of arrays whose
    arguments carry the names of the derivation (x, W_1, z_1, a_1, y_hat, delta_2 …). ``parameters`` are all variables
    of the network, whose derivation gives the names; by default every input but x and y.

    Raises:
        ArgumentError: an answer that cannot be read; the message shows the place and what was expected.
    """
    if layout not in {"denominator", "numerator"}:
        raise ArgumentError(
            "grade layout", expected='"denominator" or "numerator"', got=repr(layout)
        )
    variables = list(
        dict.fromkeys(
            [wrt, *(parameters if parameters is not None else likely_parameters(loss))]
        )
    )
    ordered = [node for node in inputs([loss]) if node in variables]
    ordered += [node for node in variables if node not in ordered]
    derived = Deriver(loss, ordered, names or {}, "denominator", "every").derive()
    steps = Deriver(loss, ordered, names or {}, "denominator", "steps").derive()
    return _Grader(derived, steps, wrt, layout, evaluate, draw).grade(answer, language)


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
    ) -> None:
        self._lines = [steps.backward, derived.backward]
        self._derived = derived
        self._wrt = wrt
        self._layout = layout
        self._evaluate = evaluate
        self._draw = draw
        self._wanted = next(line for line in steps.backward if line.node is wrt)
        self._name = to_text(entry(self._wanted, derived.loss_name).left)
        self._vocabulary = vocabulary(derived, steps, layout=layout)
        self._columns = (
            vocabulary(derived, steps) if layout == "numerator" else None
        )  # derivatives of vectors as columns, which many texts keep in either layout
        self.known = self._vocabulary.names

    def grade(self, answer: Answer, language: str) -> Grade:
        """Return the verdict."""
        truth = self._truth()
        if callable(answer):
            return self._grade_function(answer, truth)
        if language not in LANGUAGES:
            raise ArgumentError(
                "grade language", expected=" or ".join(LANGUAGES), got=repr(language)
            )
        found = self._grade_text(answer, truth, language, self._vocabulary)
        if not found.correct and self._columns is not None:
            other = self._grade_text(answer, truth, language, self._columns)
            return other if other.correct or found.mistake == "shape" else found
        return found

    def _grade_text(
        self, answer: str, truth: Node, language: str, names: Vocabulary
    ) -> Grade:
        try:
            reading = self._read(answer, language, names)
        except ShapeError as error:
            return Grade(
                False, "shape", self._wanted.number, f"The sizes do not fit. {error}"
            )
        grade_ = self._compare(reading.node, truth)
        return replace(grade_, understood=Understood(reading.formula))

    def _truth(self) -> Node:
        value = self._wanted.value
        node = build.reshape(value, matrix_shape(value.shape))
        turned = self._layout == "numerator" and node.rank == 2
        return build.matrix_transpose(node) if turned else node

    def _read(self, answer: str, language: str, names: Vocabulary) -> Reading:
        if language == "python" or (language == "auto" and is_python(answer)):
            return read_python(answer, names, self._wrt.dtype)
        return read(answer, names, self._wrt.dtype, self._truth().shape)

    # ---------------------------------------------------------------- comparison

    def _compare(self, answer: Node, truth: Node) -> Grade:
        candidates = list(self._candidates())
        turned = _turned(answer)
        roots = [
            self._derived.loss,
            answer,
            truth,
            *(c.node for c in candidates),
            *([turned] if turned is not None else []),
        ]
        precise = Precise(
            list(dict.fromkeys(roots)), self._evaluate, self._draw, self._derived.loss
        )
        sample = _Sample(precise)
        if sample.agrees(answer, truth):
            return Grade(True, "equal", None, f"This is {self._name}.")
        return self._diagnose(sample, answer, truth, candidates)

    def _candidates(self) -> list[Mistake]:
        found: dict[Node, Mistake] = {}
        for lines in self._lines:
            wanted = next(line for line in lines if line.node is self._wrt)
            for mistake in mistakes(lines, wanted, self._derived.forward):
                found.setdefault(mistake.node, mistake)
        return list(found.values())

    def _diagnose(
        self, sample: _Sample, answer: Node, truth: Node, candidates: Sequence[Mistake]
    ) -> Grade:
        head = f"This is not {self._name}."
        expected, got = _shape_text(truth.shape), _shape_text(answer.shape)
        other = "numerator" if self._layout == "denominator" else "denominator"
        turned = _turned(answer)
        for flipped, shown in ((False, answer), (True, turned)):
            if shown is None:
                continue
            remark = ""
            if flipped:
                remark = f" Your shape is {got}, the gradient is {expected}: you have the transposed ({other}) layout."
                if sample.agrees(shown, truth):
                    return Grade(
                        False, "transposed", self._wanted.number, head + remark
                    )
                remark += " Transposed, it still differs:"
            ratio = sample.ratio(shown, truth)
            if ratio is not None:
                return self._scaled(ratio, sample, head + remark)
            for mistake in candidates:
                factor = sample.ratio(shown, mistake.node)
                if factor is None:
                    continue
                scaled = (
                    ""
                    if abs(factor - 1) < _EQUAL
                    else f" and the whole is multiplied by {_factor_text(factor)}"
                )
                return Grade(
                    False,
                    mistake.kind,
                    mistake.line,
                    f"{head}{remark} {_sentence(mistake.message)} (line {mistake.line}){scaled}.",
                )
        if not _same_shape(answer.shape, truth.shape):
            line = self._wanted.number
            return Grade(
                False,
                "shape",
                line,
                f"{head} Your shape is {got}, {self._name} has the shape {expected}.",
            )
        return self._unknown(sample, answer, truth, head)

    def _unknown(self, sample: _Sample, answer: Node, truth: Node, head: str) -> Grade:
        right = to_text(entry(self._wanted, self._derived.loss_name).right)
        wrong = sample.share_of_wrong(answer, truth)
        return Grade(
            False,
            "unknown",
            self._wanted.number,
            f"{head} {wrong} Line {self._wanted.number} of the derivation reads {self._name} = {right}.",
        )

    def _scaled(self, ratio: float, sample: _Sample, head: str) -> Grade:
        """Name a constant factor: a sign, ½, 2, 1/m."""
        line = self._lines[0][0].number
        data = {
            s.node
            for s in self._derived.inputs
            if s.node not in self._derived.wrt and s.node.rank >= 2
        }
        sizes = {size_ for size_ in sample.first_sizes(data) if size_ > 1}
        if ratio == 0:
            return Grade(False, "factor", line, f"{head} Your answer is 0.")
        if abs(ratio + 1) < _EQUAL:
            return Grade(False, "sign", line, f"{head} The sign is wrong.")
        for examples in sorted(sizes):
            for sign in (1, -1):
                if abs(ratio * sign - examples) < 1e-7 * examples:
                    also = "" if sign == 1 else ", and the sign is wrong"
                    return Grade(
                        False,
                        "mean",
                        line,
                        f"{head} The factor 1/{_size_name(self._derived, examples)} is missing "
                        f"(the loss is a mean){also}.",
                    )
                if abs(ratio * sign * examples - 1) < 1e-7:
                    return Grade(
                        False,
                        "mean",
                        line,
                        f"{head} There is a factor 1/{_size_name(self._derived, examples)} too many.",
                    )
        return Grade(
            False,
            "factor",
            line,
            f"{head} It is {_factor_text(ratio)} times the gradient.",
        )

    # ---------------------------------------------------------------- functions

    def _grade_function(self, answer: Callable[..., Any], truth: Node) -> Grade:
        """Run a function on arrays at each point and compare its results."""
        wanted = list(inspect.signature(answer).parameters)
        missing = [name for name in wanted if canonical(name) not in self.known]
        if missing:
            raise ArgumentError(
                "answer",
                expected=f"arguments among {', '.join(sorted(self.known))}",
                got=", ".join(missing),
            )
        nodes = [self.known[canonical(name)].node for name in wanted]
        roots = list(dict.fromkeys([self._derived.loss, truth, *nodes]))
        precise = Precise(roots, self._evaluate, self._draw, self._derived.loss)
        given = precise.draw()
        result = answer(*precise.values([precise[node] for node in nodes], given))
        shape = tuple(getattr(result, "shape", ()))
        stand_in = build.input_node("answer", matrix_shape(shape), dtypes.FLOAT64)
        candidates = list(self._candidates())
        roots = list(dict.fromkeys([*roots, *(c.node for c in candidates)]))
        precise = Precise(roots, self._evaluate, self._draw, self._derived.loss)
        twins = [precise[node] for node in nodes]

        def called(given: Mapping[Node, Any]) -> dict[Node, Any]:
            value = answer(*precise.values(twins, given))
            flat = build.input_node(
                "raw", tuple(getattr(value, "shape", ())), dtypes.FLOAT64
            )
            (shaped,) = precise.values(
                [build.reshape(flat, stand_in.shape)], {flat: value + 0.0}
            )
            return {stand_in: shaped}

        sample = _Sample(precise, called, stand_in)
        if sample.agrees(stand_in, truth):
            return Grade(True, "equal", None, f"This is {self._name}.")
        return self._diagnose(sample, stand_in, truth, candidates)


class _Sample:
    """Random points, and comparisons of graphs at all of them."""

    def __init__(
        self,
        precise: Precise,
        extra: Callable[[Mapping[Node, Any]], dict[Node, Any]] | None = None,
        stand_in: Node | None = None,
    ) -> None:
        self._precise = precise
        self._stand_in = stand_in
        self._points = []
        for _ in range(_POINTS):
            given = precise.draw()
            self._points.append({**given, **(extra(given) if extra else {})})

    def first_sizes(self, nodes: set[Node]) -> set[int]:
        """Return the numbers of examples in data."""
        return {
            int(self._precise[node].shape[0]) for node in nodes if node in self._precise
        }

    def _twin(self, node: Node) -> Node:
        if node is self._stand_in or (
            node.sources and node.sources[0] is self._stand_in
        ):
            return node
        return self._precise[node]

    def agrees(self, left: Node, right: Node) -> bool:
        """Whether two graphs have the same value at every point where both are finite (at two at least)."""
        ratio = self._ratio(left, right)
        return ratio is not None and all(abs(value - 1) < _EQUAL for value in ratio)

    def ratio(self, left: Node, right: Node) -> float | None:
        """Return r with left = r·right at every point, or None."""
        ratios = self._ratio(left, right)
        if ratios is None or not ratios:
            return None
        first = ratios[0]
        return (
            first
            if all(
                abs(value - first) < _EQUAL * max(1.0, abs(first)) for value in ratios
            )
            else None
        )

    def _ratio(self, left: Node, right: Node) -> list[float] | None:
        """Return left/right at each point if they are proportional there."""
        if not _same_shape(left.shape, right.shape):
            return None
        a, b = (
            self._twin(left),
            build.reshape(self._twin(right), self._twin(left).shape),
        )
        dot = build.sum_over(build.multiply(a, b))
        square, own = (
            build.sum_over(build.multiply(b, b)),
            build.sum_over(build.multiply(a, a)),
        )
        ratios: list[float] = []
        usable = zeros = 0
        for given in self._points:
            along, size_, mine = self._precise.numbers([dot, square, own], given)
            if not all(map(math.isfinite, (along, size_, mine))):
                continue
            if size_ < 1e-24:
                if mine > 1e-16:
                    return None
                zeros += 1
                continue
            usable += 1
            ratio = along / size_
            if abs(mine - ratio * along) > _EQUAL**2 * 1e4 * max(mine, size_):
                return None
            ratios.append(ratio)
        if not usable and zeros >= 2:
            return [1.0]
        if usable < 2:
            raise DataError(
                "grade",
                expected="finite, non-zero gradients at random points",
                got=f"{usable} of {_POINTS}",
            )
        return ratios

    def share_of_wrong(self, left: Node, right: Node) -> str:
        """Say how many entries differ at the first point."""
        a, b = (
            self._twin(left),
            build.reshape(self._twin(right), self._twin(left).shape),
        )
        differs = build.less(1e-8, build.absolute(build.subtract(a, b)))
        count = build.sum_over(build.cast(differs, dtypes.FLOAT64))
        (wrong,) = self._precise.numbers([count], self._points[0])
        whole = math.prod(int(part) for part in a.shape)
        return f"{int(wrong)} of {whole} entries differ at a random point."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith(("the ", "every ")) else text


def _turned(node: Node) -> Node | None:
    return (
        build.matrix_transpose(node)
        if node.rank == 2 and not is_number(node.shape)
        else None
    )


def _same_shape(left: Shape, right: Shape) -> bool:
    return left == right or (is_number(left) and is_number(right))


def _shape_text(shape: Shape) -> str:
    return size((shape[0],)) if len(shape) == 2 and shape[1] == 1 else size(shape)


def _factor_text(ratio: float) -> str:
    short = Fraction(ratio).limit_denominator(100)
    text = str(short) if abs(float(short) - ratio) < 1e-9 else f"{ratio:.6g}"
    return text.replace("-", "−")


def _size_name(derived: Derived, examples: int) -> str:
    for symbol in derived.inputs:
        for part in symbol.node.shape:
            if isinstance(part, Dimension):
                return part.name
    return str(examples)
