"""The words of a diagnosis: a message, and hints from the shape over the line to the mistake.

None of them has the gradient in it, or a part that is the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.term import Symbol, Term, is_number
from deltarule.explain.grading.search import Found
from deltarule.explain.grading.slopes import Says
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.grading.wording import rendered, text
from deltarule.explain.page.page import entry, size
from deltarule.render.mathematics import to_text
from deltarule.shapes import Dimension, Shape

_EQUAL = 1e-8


class Wording:
    """Write the verdict on a wrong answer.

    ``leaks`` tells whether a term is the gradient itself, and ``sizes`` are the numbers of examples in the data.
    """

    def __init__(
        self,
        derived: Derived,
        lines: Sequence[Sequence[Line]],
        wanted: Line,
        layout: Layout,
    ) -> None:
        self.leaks: Callable[[Term], bool] = lambda _: False
        self.sizes: tuple[int, ...] = ()
        self._derived = derived
        self._lines = lines
        self._wanted = wanted
        self._layout = layout
        self._name = to_text(entry(wanted, derived.loss_name).left)
        self._head = f"This is not {self._name}."

    # ---------------------------------------------------------------- verdicts

    def grade(self, found: Found, shape: Shape, expected: Shape) -> Grade:
        """Return the grade of an answer whose mistakes were found."""
        scale_kind, scale = self._scale(found.ratio, alone=not found.kinds)
        sentences = [self._sentence(words) for words in found.says]
        kinds = list(found.kinds)
        if scale_kind:
            kinds.append(scale_kind)
            sentences.append(scale)
        line = found.line
        if line is None:
            first = self._lines[0][0].number
            line = first if scale_kind and not found.kinds else self._wanted.number
        remark = ""
        if found.turned:
            remark = self._layout_remark(shape, expected)
            if not kinds:
                return self._made(
                    "transposed", ("transposed",), line, remark, shape, expected, ""
                )
            remark += " Transposed, it still differs:"
            kinds.append("transposed")
        shown = "; ".join(sentences)
        shown = _capital(shown)
        if len(sentences) > 1:
            shown = f"There are two mistakes: {sentences[0]}; {sentences[1]}"
        where = f" (line {line})" if found.kinds else ""
        words = f"{shown}{where}."
        message = f"{remark} {words}".strip()
        kind = kinds[0]
        return self._made(kind, tuple(kinds), line, message, shape, expected, words)

    def zero(self) -> Grade:
        """Return the grade of an answer that is 0."""
        line = self._lines[0][0].number
        words = "Your answer is 0."
        return Grade(
            False,
            "factor",
            line,
            f"{self._head} {words}",
            mistakes=("factor",),
            hints=(words,),
        )

    def other_signal(self, term: Term, shape: Shape, expected: Shape) -> Grade:
        """Return the grade of an answer that is a symbol."""
        words = f"{text(term)} is another quantity."
        line, kinds = self._wanted.number, ("signal",)
        return self._made("signal", kinds, line, words, shape, expected, words)

    def shape_or_unknown(self, shape: Shape, expected: Shape, wrong: str) -> Grade:
        """Return the grade of an answer whose mistake is not known."""
        line = self._wanted.number
        same = shape == expected or (is_number(shape) and is_number(expected))
        hint = self._shape_hint(shape, expected)
        if not same:
            words = f"{self._head} {hint}"
            return Grade(
                False, "shape", line, words, mistakes=("shape",), hints=(hint,)
            )
        read = f"Compare with the lines of the derivation up to line {line}."
        hints = tuple(part for part in (hint, wrong, read) if part)
        message = " ".join([self._head, *([wrong] if wrong else []), read])
        return Grade(
            False, "unknown", line, message, mistakes=("unknown",), hints=hints
        )

    def _made(
        self,
        kind: str,
        kinds: tuple[str, ...],
        line: int,
        message: str,
        shape: Shape,
        expected: Shape,
        words: str,
    ) -> Grade:
        hints = [self._shape_hint(shape, expected)]
        if kinds == ("transposed",):
            hints = [message]
        elif (words and kinds[0] not in {"sign", "mean"}) or len(kinds) > 1:
            hints.append(self._line_hint(line))
        if words:
            hints.append(words)
        return Grade(
            False,
            kind,
            line,
            f"{self._head} {message}",
            mistakes=kinds,
            hints=tuple(hints),
        )

    # ---------------------------------------------------------------- hints

    def _shape_hint(self, shape: Shape, expected: Shape) -> str:
        shown = _shape_text(expected)
        if shape == expected or (is_number(shape) and is_number(expected)):
            return f"The shape {shown} is right."
        return (
            f"Your shape is {_shape_text(shape)}, {self._name} has the shape {shown}."
        )

    def _line_hint(self, number: int) -> str:
        """Say which line it is and what it computes, unless that has the value of the gradient."""
        line = next((x for x in self._lines[0] if x.number == number), None)
        if line is None:
            return f"Look at line {number} of the derivation."
        shown = Symbol(line.name, line.term.shape, line.value)
        if line.node is not self._wanted.node and self.leaks(shown):
            return f"Look at line {number} of the derivation."
        computed = to_text(entry(line, self._derived.loss_name).left)
        return f"Look at line {number} of the derivation, which computes {computed}."

    def _layout_remark(self, shape: Shape, expected: Shape) -> str:
        other = "numerator" if self._layout == "denominator" else "denominator"
        got, shown = _shape_text(shape), _shape_text(expected)
        return f"Your shape is {got}, the gradient is {shown}: you have the transposed ({other}) layout."

    # ---------------------------------------------------------------- sentences

    def _sentence(self, words: Says) -> str:
        return rendered(words, self._shown)

    def _shown(self, term: Term) -> str:
        if self.leaks(term):
            return "another signal" if isinstance(term, Symbol) else "another formula"
        return text(term)

    def _scale(self, ratio: float, alone: bool) -> tuple[str, str]:
        """Name a constant factor: a sign, ½, 2, 1/m."""
        if abs(ratio - 1) < _EQUAL:
            return "", ""
        if abs(ratio + 1) < _EQUAL:
            return "sign", "the sign is wrong"
        for examples in self.sizes:
            for sign in (1, -1):
                shown = f"1/{self._size_name(examples)}"
                also = "" if sign == 1 else ", and the sign is wrong"
                if abs(ratio * sign - examples) < 1e-7 * examples:
                    missing = f"the factor {shown} is missing (the loss is a mean)"
                    return "mean", missing + also
                if abs(ratio * sign * examples - 1) < 1e-7:
                    return "mean", f"there is a factor {shown} too many{also}"
        factor = _factor_text(ratio)
        if alone:
            return "factor", f"it is {factor} times the gradient"
        return "factor", f"the whole is multiplied by {factor}"

    def _size_name(self, examples: int) -> str:
        for symbol in self._derived.inputs:
            for part in symbol.node.shape:
                if isinstance(part, Dimension):
                    return part.name
        return str(examples)


def revealed(grade: Grade, derived: Derived, wanted: Line) -> Grade:
    """Return a grade whose message ends with the line of the derivation."""
    shown = entry(wanted, derived.loss_name)
    left, right = to_text(shown.left), to_text(shown.right)
    key = f"Line {wanted.number} of the derivation reads {left} = {right}."
    return replace(grade, message=f"{grade.message} {key}")


def _capital(sentence: str) -> str:
    """Begin with a capital letter, unless with a symbol."""
    words = ("the ", "every ", "it ", "there ")
    return (
        sentence[:1].upper() + sentence[1:] if sentence.startswith(words) else sentence
    )


def _shape_text(shape: Shape) -> str:
    return size((shape[0],)) if len(shape) == 2 and shape[1] == 1 else size(shape)


def _factor_text(ratio: float) -> str:
    short = Fraction(ratio).limit_denominator(100)
    shown = str(short) if abs(float(short) - ratio) < 1e-9 else f"{ratio:.10g}"
    return shown.replace("-", "−")
