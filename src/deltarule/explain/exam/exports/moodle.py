"""Moodle XML: numbers as Cloze questions, options as true/false or multiple choice, formulas and words as essays.

The variants of one question share a category, so that a quiz can draw one of them at random. Formulas are LaTeX, which
Moodle's MathJax filter displays. Format: https://docs.moodle.org/en/Moodle_XML_format.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from deltarule.explain.exam.exports.parts import (
    HEADER,
    asked,
    formula,
    groups,
    key,
    margin,
    number,
    stem,
    weights,
)
from deltarule.explain.exam.questions import Item, Question
from deltarule.explain.exam.responses import Choice, Numbers


def write(title: str, sheets: Sequence[Sequence[Question]]) -> bytes:
    """Return the questions of all variants as Moodle XML.

    >>> from deltarule.explain.exam.questions import number_item
    >>> from deltarule.render.mathematics import identifier
    >>> question = Question("What is 1 + 1?", (), (number_item(identifier("x"), 2),), "by counting")
    >>> write("Sums", [[question]]).decode().splitlines()[0]
    '<?xml version="1.0" encoding="UTF-8"?>'
    """
    parts = [f"{HEADER}<quiz>"]
    for position in range(len(sheets[0])):
        parts.append(_category(title, position + 1))
        for variant, sheet in enumerate(sheets, start=1):
            name = f"{title} {position + 1}, variant {variant}"
            parts.extend(_questions(name, sheet[position]))
    return "\n".join([*parts, "</quiz>\n"]).encode()


def _category(title: str, number_: int) -> str:
    path = escape(title.replace("/", "//"), quote=False)
    return (
        '<question type="category"><category>'
        f"<text>$course$/top/{path}/Question {number_}</text></category></question>"
    )


def _questions(name: str, question: Question) -> list[str]:
    found = groups(question)
    written = []
    if found.numbers:
        written.append(_cloze(name, question, found.numbers))
    for letter, item, choice in found.choices:
        written.append(_choice(f"{name} {letter}", question, letter, item, choice))
    if found.written:
        written.append(_essay(name, question, found.written))
    return written


def _cloze(
    name: str, question: Question, items: Sequence[tuple[str, Item, Numbers]]
) -> str:
    lines = []
    for (letter, item, response), weight in zip(items, weights(items), strict=True):
        rows = _fields(response, weight)
        if len(rows) == 1:
            lines.append(f"<p>{asked(letter, item)} = {' '.join(rows[0])}</p>")
        else:
            lines.append(f"<p>{asked(letter, item)} =</p>{_table(rows)}")
    feedback = "".join(
        f"<p>{letter}) {formula(item.asked)} = {formula(item.answer)}</p>"
        for letter, item, _ in items
    )
    points = sum(item.points for _, item, _ in items)
    return _question("cloze", name, stem(question) + "".join(lines), feedback, points)


def _fields(response: Numbers, weight: int) -> list[list[str]]:
    """Return one numerical field for each entry, by rows of a matrix; a vector is one row."""
    rows: list[list[str]] = [[]]
    previous = ""
    for position, value in response.entries():
        row = position.partition(",")[0] if "," in position else ""
        if row != previous and rows[-1]:
            rows.append([])
        previous = row
        rows[-1].append(f"{{{weight}:NUMERICAL:={number(value)}:{margin(value)}}}")
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tbody>{lines}</tbody></table>"


def _choice(
    name: str, question: Question, letter: str, item: Item, choice: Choice
) -> str:
    text = stem(question) + f"<p>{asked(letter, item)}</p>"
    feedback = f"<p>{formula(item.answer)}</p>"
    if choice.options == ("true", "false"):
        kind, more = "truefalse", ""
    else:
        kind = "multichoice"
        more = (
            "<single>true</single><shuffleanswers>true</shuffleanswers>"
            "<answernumbering>abc</answernumbering>"
        )
    answers = "".join(
        f'<answer fraction="{100 if index == choice.correct else 0}" format="moodle_auto_format">'
        f"<text>{escape(option, quote=False)}</text><feedback><text></text></feedback></answer>"
        for index, option in enumerate(choice.options)
    )
    return _question(kind, name, text, feedback, item.points, more + answers)


def _essay(name: str, question: Question, items: Sequence[tuple[str, Item]]) -> str:
    text = stem(question) + "".join(
        f"<p>{asked(letter, item)}</p>" for letter, item in items
    )
    points = sum(item.points for _, item in items)
    more = (
        "<responseformat>editor</responseformat><responserequired>1</responserequired>"
        f"<responsefieldlines>{min(5 + 3 * len(items), 40)}</responsefieldlines>"
        "<attachments>0</attachments><attachmentsrequired>0</attachmentsrequired>"
        f'<graderinfo format="html">{_html(key(items, question.verified))}</graderinfo>'
        '<responsetemplate format="html"><text></text></responsetemplate>'
    )
    return _question("essay", name, text, "", points, more)


def _question(
    kind: str, name: str, text: str, feedback: str, points: float, more: str = ""
) -> str:
    return (
        f'<question type="{kind}"><name><text>{escape(name, quote=False)}</text></name>'
        f'<questiontext format="html">{_html(text)}</questiontext>'
        f'<generalfeedback format="html">{_html(feedback)}</generalfeedback>'
        f"<defaultgrade>{points:.7f}</defaultgrade><penalty>0.3333333</penalty><hidden>0</hidden>"
        f"{more}</question>"
    )


def _html(text: str) -> str:
    """Return HTML as the content of an element, escaped."""
    return f"<text>{escape(text, quote=False)}</text>"
