"""Exports of exams to learning platforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deltarule.explain.exam.exports import canvas, gift, moodle, qti
from deltarule.explain.exam.questions import Question

Writer = Callable[[str, Sequence[Sequence[Question]]], bytes]

FORMATS: Mapping[str, Writer] = {
    "moodle": moodle.write,
    "gift": gift.write,
    "qti": qti.write,
    "canvas": canvas.write,
}
