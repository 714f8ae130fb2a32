"""Exam questions as dictionaries for JSON."""

from __future__ import annotations

from typing import Any

from deltarule.explain.exam.questions import Item, Question
from deltarule.explain.exam.responses import Choice, FreeText, Numbers, tolerance
from deltarule.explain.exam.sheets import label
from deltarule.render import mathematics as m


def record(question: Question, answers: bool) -> dict[str, Any]:
    """Return a question with its text, the given formulas, its items and, with ``answers``, their keys."""
    found: dict[str, Any] = {
        "text": question.text,
        "points": question.points,
        "given": [m.to_text(formula) for formula in question.given],
        "given_latex": [m.to_latex(formula) for formula in question.given],
        "items": [
            _item(label(index), item, answers)
            for index, item in enumerate(question.items)
        ],
    }
    return {**found, "verified": question.verified} if answers else found


def _item(letter: str, item: Item, answers: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "item": letter,
        "asked": m.to_text(item.asked),
        "asked_latex": m.to_latex(item.asked),
        "points": item.points,
        "hint": item.hint,
        "type": _kind(item),
    }
    response = item.response
    if isinstance(response, Choice):
        found["options"] = list(response.options)
    if isinstance(response, Numbers):
        found["shape"] = list(response.shape)
    if answers:
        found["answer"] = m.to_text(item.answer)
        found["answer_latex"] = m.to_latex(item.answer)
        if isinstance(response, Numbers):
            entries = [value for _, value in response.entries()]
            found["values"] = entries
            found["tolerances"] = [tolerance(value) for value in entries]
        if isinstance(response, Choice):
            found["correct"] = response.options[response.correct]
    return found


def _kind(item: Item) -> str:
    if isinstance(item.response, Numbers):
        return "numbers"
    if isinstance(item.response, Choice):
        return "choice"
    return "text" if isinstance(item.response, FreeText) else "formula"
