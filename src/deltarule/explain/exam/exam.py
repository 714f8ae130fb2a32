"""Exams: variants of a question sheet, with keys that have been verified before they are printed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from deltarule.errors import ArgumentError
from deltarule.explain.exam import arithmetic, networks, sheets
from deltarule.explain.exam.exports import FORMATS
from deltarule.explain.exam.marking import ItemGrade, mark, mark_lines
from deltarule.explain.exam.questions import Item, Question
from deltarule.explain.exam.records import record
from deltarule.explain.exam.sheets import Sheet
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.files import write_atomically
from deltarule.flags import checks_flags
from deltarule.render import mathematics as m
from deltarule.render.html import page

Author = Callable[[random.Random, Evaluate, Draw], Question]
_REDRAWS = 20  # of a sheet whose key another variant has

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


@final
@dataclass(frozen=True)
class Exam:
    """Variants of a question sheet; print ``sheet()`` for the students and ``key()`` for the grader.

    Attributes:
        topic: The topic or title.
        seed: The seed of the questions.
        sheets: The questions of each variant.

    >>> from deltarule.optim.exam import exam
    >>> found = exam("shapes", seed=0, variants=2)
    >>> found.topic, len(found.sheets)
    ('shapes', 2)
    """

    topic: str
    seed: int
    sheets: tuple[tuple[Question, ...], ...]
    evaluate: Evaluate = field(repr=False, compare=False)
    draw: Draw = field(repr=False, compare=False)

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions of all variants."""
        return tuple(question for sheet in self.sheets for question in sheet)

    @property
    def title(self) -> str:
        """The title of the exam."""
        return self.topic[:1].upper() + self.topic[1:]

    def _sheets(self, answers: bool, hints: bool) -> list[Sheet]:
        return [
            Sheet(self.title, variant, self.seed, questions, answers, hints)
            for variant, questions in enumerate(self.sheets, start=1)
        ]

    @checks_flags
    def text(self, *, answers: bool = False, hints: bool = False) -> str:
        """Write the sheets as text, with blanks or with the answers.

        >>> from deltarule.optim.exam import exam
        >>> exam("shapes", seed=0).text().splitlines()[0]
        'Shapes — variant 1 (seed 0)'
        """
        return "\n\n".join(sheet.text() for sheet in self._sheets(answers, hints))

    @checks_flags
    def sheet(self, *, hints: bool = False) -> str:
        """Return the question sheets as text."""
        return self.text(hints=hints)

    def key(self) -> str:
        """Return the answer keys as text.

        >>> from deltarule.optim.exam import exam
        >>> exam("shapes", seed=0).key().splitlines()[0]
        'Shapes — variant 1 (seed 0)  KEY'
        """
        return self.text(answers=True)

    def __str__(self) -> str:
        return self.sheet()

    @checks_flags
    def latex(
        self, *, answers: bool = False, hints: bool = False, standalone: bool = False
    ) -> str:
        """Write the sheets as LaTeX (amsmath), a page for each; with ``standalone`` as a whole document."""
        return sheets.document(self._sheets(answers, hints), standalone)

    @checks_flags
    def html(self, *, answers: bool = False, hints: bool = False) -> str:
        """Write the sheets as one HTML page with MathML; printed, each sheet begins a new page.

        >>> from deltarule.optim.exam import exam
        >>> exam("shapes", seed=0).html()[:15]
        '<!DOCTYPE html>'
        """
        title = self.title + (" — KEY" if answers else "")
        below = f"{'Answer key' if answers else 'Questions'}, seed {self.seed}"
        return page(title, self._sheets(answers, hints), below, style=sheets.STYLE)

    def _repr_html_(self) -> str:
        body = "\n".join(sheet.html() for sheet in self._sheets(False, False))
        return f"<style>{sheets.STYLE}</style>\n{body}"

    @checks_flags
    def to_dict(self, *, answers: bool = True) -> dict[str, Any]:
        """Return the exam as a dictionary for JSON: questions with what is given, items with points and keys.

        >>> from deltarule.optim.exam import exam
        >>> sorted(exam("shapes", seed=0).to_dict())
        ['seed', 'sheets', 'topic']
        """
        return {
            "topic": self.topic,
            "seed": self.seed,
            "sheets": [
                [record(question, answers) for question in sheet]
                for sheet in self.sheets
            ],
        }

    def export(self, format: str, path: str | Path) -> Path:
        """Write all variants with their keys to a file for a learning platform.

        ========  ===========================================================================
        format    file
        ========  ===========================================================================
        moodle    Moodle XML: numbers as Cloze questions, formulas as essays with the key
        gift      GIFT: one question an entry
        qti       ZIP package of QTI 2.1: an item a question, a test a variant
        canvas    ZIP package of QTI 1.2 for Canvas: Classic Quizzes, also read by New Quizzes
        ========  ===========================================================================

        Args:
            format: "moodle", "gift", "qti" or "canvas".
            path: The file to write; its folder is created.

        Returns:
            The path.

        Raises:
            ArgumentError: an unknown format, or a file that cannot be written.

        >>> from deltarule.optim.exam import exam
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exam("shapes").export("moodle", f"{folder}/quiz.xml").read_text()[:38]
        '<?xml version="1.0" encoding="UTF-8"?>'
        """
        if format not in FORMATS:
            raise ArgumentError(
                "exam export", expected=f"one of {', '.join(FORMATS)}", got=repr(format)
            )
        target = Path(path)
        content = FORMATS[format](self.title, self.sheets)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
        except OSError as error:
            raise ArgumentError(
                f"exam export {target}",
                expected="a place to write to",
                got=str(error),
                hint="Choose another path, or make room.",
            ) from error
        return target

    def item(self, variant: int, item: str) -> Item:
        """Return an item of a variant by its number and letter.

        Raises:
            ArgumentError: there is no such variant or item.
        """
        found = {
            f"{number}{sheets.label(index)}": part
            for number, question in enumerate(self._sheet(variant), start=1)
            for index, part in enumerate(question.items)
        }
        wanted = _item_name(item)
        if wanted not in found:
            raise ArgumentError(
                "exam item", expected=f"one of {', '.join(found)}", got=repr(item)
            )
        return found[wanted]

    def _sheet(self, variant: int) -> tuple[Question, ...]:
        if isinstance(variant, bool) or variant not in range(1, len(self.sheets) + 1):
            raise ArgumentError(
                "exam variant", expected=f"1 to {len(self.sheets)}", got=repr(variant)
            )
        return self.sheets[variant - 1]

    def _derivation(self, variant: int, item: str) -> Question | None:
        """Return the question of a number without a letter, if a whole derivation answers it."""
        wanted, questions = _item_name(item), self._sheet(variant)
        if not wanted.isdecimal() or int(wanted) not in range(1, len(questions) + 1):
            return None
        question = questions[int(wanted) - 1]
        return None if question.lines is None else question

    def grade(self, variant: int, item: str, answer: str) -> ItemGrade:
        """Grade an answer to an item of a variant, with points.

        Numbers are compared entry by entry and share the points; formulas are compared by evaluation. A question for
        gradients takes a whole derivation in place of its items: its lines are graded one by one, with partial credit,
        and ``derivation`` of the grade is the marked sheet. An answer that cannot be parsed is not wrong: ``readable``
        is false and ``points`` is None.

        Args:
            variant: The number of the variant, from 1.
            item: The item as printed: "1a", "2c"; or "1" for a derivation that answers question 1.
            answer: The answer: numbers, a formula, or an option.

        Raises:
            ArgumentError: there is no such variant or item, or the answer is no text.

        >>> from deltarule.optim.exam import exam
        >>> sheets = exam("normalization", seed=0)
        >>> print(sheets.grade(1, "1a", "−1"))
        ✓  1 of 1 points. This is right.
        >>> sheets.grade(1, "1c", "0, 6, -2, 1").points
        0.75
        """
        if not isinstance(answer, str):
            raise ArgumentError(
                "exam answer", expected="text", got=type(answer).__name__
            )
        question = self._derivation(variant, item)
        if question is not None:
            return mark_lines(question, answer, self.evaluate, self.draw)
        return mark(self.item(variant, item), answer, self.evaluate, self.draw)


def exam(
    topic: str,
    authors: Sequence[Author],
    evaluate: Evaluate,
    draw: Draw,
    *,
    seed: int = 0,
    variants: int = 1,
    n_questions: int | None = None,
) -> Exam:
    """Create question sheets; the same seed gives the same sheets.

    Args:
        topic: The topic or title.
        authors: The authors of questions.
        evaluate: Runs graphs.
        draw: Draws random values for the proofs.
        seed: Seed of the numbers.
        variants: The number of sheets; as long as there are enough, no two have the same key.
        n_questions: Questions per sheet; by default one of each author.

    Raises:
        ArgumentError: a number below 1.

    >>> from deltarule.optim.exam import exam as with_topics
    >>> with_topics("shapes", seed=0, variants=2).sheets[0][0].points
    3.0
    """
    if variants < 1 or (n_questions is not None and n_questions < 1):
        raise ArgumentError(
            "exam",
            expected="at least one variant and question",
            got=f"{variants}, {n_questions}",
        )
    count = n_questions or len(authors)
    chosen = [authors[i % len(authors)] for i in range(count)]
    written, keys = [], set[tuple[str, ...]]()
    for variant in range(variants):
        rng = random.Random(f"{topic} {seed} {variant}")
        for _ in range(_REDRAWS):
            sheet = tuple(author(rng, evaluate, draw) for author in chosen)
            key = _key(sheet)
            if key not in keys:
                break
        keys.add(key)
        written.append(sheet)
    return Exam(topic, seed, tuple(written), evaluate, draw)


def _item_name(item: str) -> str:
    return str(item).strip().lower().rstrip(").")


def _key(sheet: Sequence[Question]) -> tuple[str, ...]:
    return tuple(
        m.to_text(item.answer) for question in sheet for item in question.items
    )


def choose(
    topic: object, topics: Mapping[str, tuple[Author, ...]]
) -> tuple[Author, ...]:
    """Return the authors of a topic; raise ArgumentError for an unknown one.

    >>> choose("sums", {"sums": ()})
    ()
    """
    if not isinstance(topic, str) or topic not in topics:
        raise ArgumentError(
            "exam topic", expected=f"one of {', '.join(topics)}", got=repr(topic)
        )
    return topics[topic]
