"""GIFT: one question for each entry, in plain text with Unicode formulas.

Format: https://docs.moodle.org/en/GIFT_format. Numbers become numerical questions with a tolerance, formulas and words
essays with the key as feedback.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.explain.exam.exports.parts import groups, margin, number
from deltarule.explain.exam.questions import Item, Question
from deltarule.render import mathematics as m


def write(title: str, sheets: Sequence[Sequence[Question]]) -> bytes:
    """Return the questions of all variants in GIFT.

    >>> from deltarule.explain.exam.questions import number_item
    >>> from deltarule.render.mathematics import identifier
    >>> question = Question("What is 1 + 1?", (), (number_item(identifier("x"), 2),), "by counting")
    >>> write("Sums", [[question]]).decode().splitlines()[0]
    '$CATEGORY: $course$/top/Sums/Question 1'
    """
    parts = []
    for position in range(len(sheets[0])):
        category = title.replace("/", "//")
        parts.append(f"$CATEGORY: $course$/top/{category}/Question {position + 1}")
        for variant, sheet in enumerate(sheets, start=1):
            name = f"{title} {position + 1}, variant {variant}"
            parts.extend(_questions(name, sheet[position]))
    return ("\n\n".join(parts) + "\n").encode()


def _questions(name: str, question: Question) -> list[str]:
    found, written = groups(question), []
    for letter, item, response in found.numbers:
        for position, value in response.entries():
            entry = f" [{position}]" if position else ""
            answer = f"#{number(value)}:{margin(value)}"
            text = _stem(question, letter, item, entry)
            written.append(_question(f"{name}{letter}{entry}", text, answer))
    for letter, item, choice in found.choices:
        feedback = _escaped(m.to_text(item.answer))
        if choice.options == ("true", "false"):
            right = "TRUE" if choice.correct == 0 else "FALSE"
            answer = f"{right}####{feedback}"
        else:
            options = [
                ("=" if index == choice.correct else "~") + _escaped(option)
                for index, option in enumerate(choice.options)
            ]
            answer = " ".join(options) + f" ####{feedback}"
        text = _stem(question, letter, item, "")
        written.append(_question(f"{name}{letter}", text, answer))
    for letter, item in found.written:
        answer = f"####{_escaped(m.to_text(item.answer))}"
        text = _stem(question, letter, item, "")
        written.append(_question(f"{name}{letter}", text, answer))
    return written


def _question(name: str, text: str, answer: str) -> str:
    return f"::{_escaped(name)}::{text} {{{answer}}}"


def _stem(question: Question, letter: str, item: Item, entry: str) -> str:
    lines = [question.text, *(m.to_text(part) for part in question.given)]
    lines.append(f"{letter}) {m.to_text(item.asked)}{entry}")
    return r"\n".join(_escaped(line) for line in lines)


def _escaped(text: str) -> str:
    """Escape the characters that have a meaning in GIFT."""
    for character in "\\~=#{}:":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")
