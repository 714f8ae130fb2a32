"""Whole derivations on the command line: the text of a file or of standard input, and its grade as a record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from deltarule.cli.inputs.problem import Problem
from deltarule.errors import ArgumentError, DataError
from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.exam.marking import position
from deltarule.tensor.graded_derivations import grade_derivation


def text_of(path: Path) -> str:
    """Return the text of a file, or of standard input for ``-``.

    Raises:
        ArgumentError: If there is no such file.
        DataError: If it is no text in UTF-8.
    """
    if str(path) != "-" and not path.is_file():
        raise ArgumentError(
            f"derivation {path}", expected="a text file, or -", got="no such file"
        )
    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"derivation {path}", expected="text in UTF-8", got=str(error)
        ) from error


def record(
    problem: Problem,
    variables: str,
    text: str,
    *,
    layout: Layout,
    language: str,
    points: float | None,
    require_steps: bool,
) -> tuple[dict[str, Any], str]:
    """Return the grade of a derivation of the gradients at comma-separated variables, and the marked sheet.

    Where no line can be parsed, the record says why, and the sheet is empty.

    >>> from deltarule.tensor.tensor import symbol
    >>> w, x = symbol("w", (3,)), symbol("x", (3,))
    >>> found = Problem((w @ x) ** 2 / 2, (w,))
    >>> options = {"layout": "denominator", "language": "auto", "points": None, "require_steps": False}
    >>> record(found, "w", "∂L/∂w = (wᵀx)x", **options)[0]["correct"]
    True
    """
    try:
        names = [name.strip() for name in variables.split(",")]
        grade = grade_derivation(
            problem.loss,
            [problem.variable(name, "variable") for name in names],
            text,
            layout=layout,
            language=language,
            parameters=list(problem.variables),
            points=points,
            require_steps=require_steps,
        )
    except ArgumentError as error:
        failure = {"readable": False, "correct": False, "message": str(error)}
        return {**failure, "position": position(error)}, ""
    first = next((one.mistake for one in grade.lines if one.verdict == "wrong"), "")
    mistake = "equal" if grade.correct else first or "incomplete"
    return {**grade.to_dict(), "mistake": mistake}, str(grade)
