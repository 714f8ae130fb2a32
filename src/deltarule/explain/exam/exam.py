"""Question sheets like those of a course, with answer keys that have been verified before they are printed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import final

from deltarule.errors import ArgumentError
from deltarule.explain.exam import arithmetic, networks
from deltarule.explain.exam.questions import Question
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.flags import checks_flags
from deltarule.render import mathematics as m
from deltarule.render.html import Block, Heading, page

Author = Callable[[random.Random, Evaluate, Draw], Question]

TOPICS: dict[str, tuple[Author, ...]] = {
    "networks": networks.AUTHORS,
    "gradients": networks.NUMERIC,
    "shapes": (arithmetic.dense_shapes, arithmetic.convolutional_shapes),
    "convolution": (
        arithmetic.output_size,
        arithmetic.correlate_by_hand,
        arithmetic.transposed_size,
    ),
    "normalization": (arithmetic.normalise_by_hand,),
    "divergence": (arithmetic.divergence, arithmetic.evidence_bound),
    "initialization": (arithmetic.initial_variance,),
}
# Blanks are as high as what belongs there; formulas scroll in a narrow window instead of widening the page; fractions
# keep apart from the lines above and below; only fonts with stretchy parentheses are asked for.
_STYLE = """
.exam ol{padding-left:1.6rem}.exam li{margin:.45rem 0;line-height:1.9}.exam li p{margin:.35rem 0}
.exam .row{overflow-x:auto;overflow-y:hidden;padding:.2rem 0}
.exam .blank{display:inline-block;min-width:min(12rem,40vw);border-bottom:1px solid currentColor}
.exam .hint,.exam .verified{opacity:.72}
.exam math{font-family:"Latin Modern Math","STIX Two Math","Cambria Math","Noto Sans Math",math;font-size:1.15em}
.exam+.exam{break-before:page}
@media print{.exam li{break-inside:avoid}}
"""


@final
@dataclass(frozen=True)
class Exam:
    """Sheets of one topic, one a variant; print ``sheet()`` for the students and ``key()`` for the grader."""

    topic: str
    seed: int
    sheets: tuple[tuple[Question, ...], ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions of all variants."""
        return tuple(question for sheet in self.sheets for question in sheet)

    @checks_flags
    def text(self, *, answers: bool = False, hints: bool = False) -> str:
        """Write the sheets as text, with blanks or with the answers."""
        parts = []
        for variant, sheet in enumerate(self.sheets, start=1):
            parts.append(
                f"{self.topic.capitalize()} — variant {variant} (seed {self.seed})"
                + ("  KEY" if answers else "")
            )
            for number, question in enumerate(sheet, start=1):
                parts.append(f"\n{number}. {question.text}")
                parts.extend(f"     {m.to_text(formula)}" for formula in question.given)
                for letter, item in zip(
                    "abcdefghijklmnop", question.items, strict=False
                ):
                    right = m.to_text(item.answer) if answers else "_" * 20
                    hint = f"   (hint: {item.hint})" if hints and item.hint else ""
                    parts.append(
                        f"   {letter}) {m.to_text(item.asked)} = {right}{hint}"
                    )
                if answers:
                    parts.append(f"   verified: {question.verified}")
            parts.append("")
        return "\n".join(parts).rstrip()

    @checks_flags
    def sheet(self, *, hints: bool = False) -> str:
        """Return the question sheets as text."""
        return self.text(hints=hints)

    def key(self) -> str:
        """Return the answer keys as text."""
        return self.text(answers=True)

    def __str__(self) -> str:
        return self.sheet()

    @checks_flags
    def latex(self, *, answers: bool = False, hints: bool = False) -> str:
        """Write the sheets as LaTeX (amsmath)."""
        parts = []
        for variant, sheet in enumerate(self.sheets, start=1):
            parts.append(
                rf"\section*{{{self.topic.capitalize()}, variant {variant}}}"
                + "\n\\begin{enumerate}"
            )
            for question in sheet:
                parts.append(rf"\item {m.escape_text(question.text)}")
                parts.extend(
                    rf"\[ {m.to_latex(formula)} \]" for formula in question.given
                )
                parts.append(r"\begin{enumerate}")
                for item in question.items:
                    right = (
                        m.to_latex(item.answer)
                        if answers
                        else r"\underline{\hspace{4cm}}"
                    )
                    hint = (
                        rf" \quad (\textit{{hint: {m.escape_text(item.hint)}}})"
                        if hints and item.hint
                        else ""
                    )
                    parts.append(rf"\item ${m.to_latex(item.asked)} = {right}${hint}")
                parts.append(r"\end{enumerate}")
            parts.append(r"\end{enumerate}")
        return "\n".join(parts)

    @checks_flags
    def html(self, *, answers: bool = False, hints: bool = False) -> str:
        """Write the sheets as one HTML page with MathML."""
        title = self.topic.capitalize() + (" — KEY" if answers else "")
        below = f"{'Answer key' if answers else 'Questions'}, seed {self.seed}"
        return page(title, self._blocks(answers, hints), below, style=_STYLE)

    def _blocks(self, answers: bool, hints: bool) -> list[Block]:
        blocks: list[Block] = []
        for variant, sheet in enumerate(self.sheets, start=1):
            blocks.append(
                _Sheet(
                    f"Variant {variant}" + (" — KEY" if answers else ""),
                    sheet,
                    answers,
                    hints,
                )
            )
        return blocks

    def _repr_html_(self) -> str:
        body = "\n".join(
            block.html() for block in self._blocks(answers=False, hints=False)
        )
        return f"<style>{_STYLE}</style>\n{body}"


@dataclass(frozen=True)
class _Sheet:
    """The questions of one variant as a block of a page; on paper each begins a page of its own."""

    title: str
    questions: tuple[Question, ...]
    answers: bool
    hints: bool

    def html(self) -> str:
        """Return the questions as a list, their parts lettered."""
        parts = ['<section class="exam">', Heading(self.title).html(), "<ol>"]
        for question in self.questions:
            parts.append(f"<li><p>{escape(question.text)}</p>")
            parts.extend(
                f'<p class="row">{m.to_mathml(formula)}</p>'
                for formula in question.given
            )
            parts.append('<ol type="a">')
            for item in question.items:
                right = (
                    m.to_mathml(item.answer)
                    if self.answers
                    else '<span class="blank">&#160;</span>'
                )
                hint = (
                    f' <span class="hint">{escape(item.hint)}</span>'
                    if self.hints and item.hint
                    else ""
                )
                parts.append(
                    f'<li><div class="row">{m.to_mathml(item.asked)} = {right}{hint}</div></li>'
                )
            checked = (
                f'<p class="verified">verified: {escape(question.verified)}</p>'
                if self.answers
                else ""
            )
            parts.append(f"</ol>{checked}</li>")
        return "\n".join([*parts, "</ol></section>"])


def exam(
    topic: str,
    evaluate: Evaluate,
    draw: Draw,
    *,
    seed: int = 0,
    variants: int = 1,
    n_questions: int | None = None,
    topics: Mapping[str, tuple[Author, ...]] = TOPICS,
) -> Exam:
    """Set question sheets on a topic; the same seed gives the same sheets.

    Args:
        topic: "networks" (the hand-derived networks), "gradients" (their numbers), "shapes", "convolution",
            "normalization", "divergence", "initialization", or another one of ``topics``.
        evaluate: Runs graphs.
        draw: Draws random values for the proofs.
        seed: Seed of the numbers.
        variants: How many sheets.
        n_questions: Questions a sheet; by default one of each kind.
        topics: The authors of questions by topic.

    Raises:
        ArgumentError: an unknown topic or a count below 1.
    """
    if topic not in topics:
        raise ArgumentError(
            "exam topic", expected=f"one of {', '.join(topics)}", got=repr(topic)
        )
    if variants < 1 or (n_questions is not None and n_questions < 1):
        raise ArgumentError(
            "exam",
            expected="at least one variant and question",
            got=f"{variants}, {n_questions}",
        )
    authors = topics[topic]
    sheets = []
    for variant in range(variants):
        chance = random.Random(f"{topic} {seed} {variant}")
        chosen = [authors[i % len(authors)] for i in range(n_questions or len(authors))]
        sheets.append(tuple(author(chance, evaluate, draw) for author in chosen))
    return Exam(topic, seed, tuple(sheets))
