"""Diagnosis of a wrong answer: its layout, a factor, a known mistake, its shape."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.term import is_number
from deltarule.explain.grading.comparison import EQUAL, Sample, same_shape
from deltarule.explain.grading.mistakes import Mistake, mistakes
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.page.page import entry, size
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text
from deltarule.shapes import Dimension, Shape


class Diagnosis:
    """Search for the mistake behind a wrong answer to the question for one gradient."""

    def __init__(
        self,
        derived: Derived,
        lines: Sequence[Sequence[Line]],
        wanted: Line,
        layout: Layout,
    ) -> None:
        self._derived = derived
        self._lines = lines
        self._wanted = wanted
        self._layout = layout
        self._name = to_text(entry(wanted, derived.loss_name).left)

    def candidates(self) -> list[Mistake]:
        """Return the wrong gradients that known mistakes lead to."""
        found: dict[Node, Mistake] = {}
        for lines in self._lines:
            wanted = next(line for line in lines if line.node is self._wanted.node)
            for mistake in mistakes(lines, wanted, self._derived.forward):
                found.setdefault(mistake.node, mistake)
        return list(found.values())

    def of(
        self, sample: Sample, answer: Node, truth: Node, candidates: Sequence[Mistake]
    ) -> Grade:
        """Return the grade of a wrong answer: the first known mistake that leads to it."""
        head = f"This is not {self._name}."
        expected, got = _shape_text(truth.shape), _shape_text(answer.shape)
        other = "numerator" if self._layout == "denominator" else "denominator"
        turned = transposed(answer)
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
            near = sample.proportional_at_first(shown, [m.node for m in candidates])
            for mistake in itertools.compress(candidates, near):
                factor = sample.ratio(shown, mistake.node)
                if factor is None:
                    continue
                scaled = (
                    ""
                    if abs(factor - 1) < EQUAL
                    else f" and the whole is multiplied by {_factor_text(factor)}"
                )
                return Grade(
                    False,
                    mistake.kind,
                    mistake.line,
                    f"{head}{remark} {_sentence(mistake.message)} (line {mistake.line}){scaled}.",
                )
        if not same_shape(answer.shape, truth.shape):
            line = self._wanted.number
            return Grade(
                False,
                "shape",
                line,
                f"{head} Your shape is {got}, {self._name} has the shape {expected}.",
            )
        return self._unknown(sample, answer, truth, head)

    def _unknown(self, sample: Sample, answer: Node, truth: Node, head: str) -> Grade:
        right = to_text(entry(self._wanted, self._derived.loss_name).right)
        wrong = sample.share_of_wrong(answer, truth)
        return Grade(
            False,
            "unknown",
            self._wanted.number,
            f"{head} {wrong} Line {self._wanted.number} of the derivation reads {self._name} = {right}.",
        )

    def _scaled(self, ratio: float, sample: Sample, head: str) -> Grade:
        """Name a constant factor: a sign, ½, 2, 1/m."""
        line = self._lines[0][0].number
        data = {
            s.node
            for s in self._derived.inputs
            if s.node not in self._derived.wrt and s.node.rank >= 2
        }
        sizes = {size_ for size_ in sample.first_sizes(data) if size_ > 1}
        if abs(ratio) < EQUAL:
            return Grade(False, "factor", line, f"{head} Your answer is 0.")
        if abs(ratio + 1) < EQUAL:
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


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith(("the ", "every ")) else text


def transposed(node: Node) -> Node | None:
    """Return the transpose of a matrix."""
    return (
        build.matrix_transpose(node)
        if node.rank == 2 and not is_number(node.shape)
        else None
    )


def _shape_text(shape: Shape) -> str:
    return size((shape[0],)) if len(shape) == 2 and shape[1] == 1 else size(shape)


def _factor_text(ratio: float) -> str:
    short = Fraction(ratio).limit_denominator(100)
    text = str(short) if abs(float(short) - ratio) < 1e-9 else f"{ratio:.10g}"
    return text.replace("-", "−")


def _size_name(derived: Derived, examples: int) -> str:
    for symbol in derived.inputs:
        for part in symbol.node.shape:
            if isinstance(part, Dimension):
                return part.name
    return str(examples)
