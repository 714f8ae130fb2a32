"""``deltarule grade``: check a gradient given as a formula, and name the mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import click

from deltarule.cli import options
from deltarule.cli.inputs import problem
from deltarule.cli.outputs import submissions
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.cli.outputs.output import echo
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.exam.marking import position
from deltarule.tensor.explain import grade
from deltarule.visible import shown

EXAMPLES = (
    "deltarule grade network.py:loss W_1 'δ₁xᵀ'                       Unicode or ASCII mathematics",
    r"deltarule grade network.py:loss W_1 '\delta_1 x^\top'            LaTeX",
    "deltarule grade network.py:loss W_1 'np.outer(delta_1, x)' --json  a Python expression",
    "deltarule grade network.py:loss W_1 --answers answers.csv        a file of answers, writes answers-grades.csv",
)
_UNREADABLE = 2  # the exit status if an answer could not be parsed


@command_with("grade", *EXAMPLES, context_settings={"ignore_unknown_options": True})
@click.argument("place", metavar="FILE.py:NAME")
@click.argument("variable", required=False)
@click.argument("answer", required=False)
@click.option(
    "--answers",
    type=options.PATH,
    default=None,
    metavar="CSV",
    help="Grade the column answer of a CSV file; a column variable replaces VARIABLE.",
)
@click.option(
    "--output",
    type=options.PATH,
    default=None,
    metavar="CSV",
    help="Where to write the grades [CSV-grades.csv].",
)
@click.option(
    "--layout",
    type=click.Choice(["denominator", "numerator"]),
    default="denominator",
    show_default=True,
)
@click.option(
    "--language",
    type=click.Choice(["auto", "latex", "mathematics", "python"]),
    default="auto",
    show_default=True,
)
@options.formulas
@options.as_json
def command(
    place: str,
    variable: str | None,
    answer: str | None,
    answers: Path | None,
    output: Path | None,
    layout: str,
    language: str,
    formulas: bool,
    as_json: bool,
) -> int:
    """Grade ANSWER as the gradient of a loss with respect to VARIABLE.

    The status is 0 for a right answer, 1 for a wrong one, and 2 for one that cannot be parsed. With --answers, the
    answers of a CSV file are graded; the status is then 2 if one of them cannot be parsed, else 0.
    """
    console = Console(as_json)
    found = problem.load(place, None)

    def graded(wrt: str, text: str) -> dict[str, Any]:
        return _record(found, wrt, text, cast(Any, layout), language)

    if answers is not None:
        if answer is not None:
            raise click.UsageError("Give ANSWER or --answers, not both.")
        return _grade_all(graded, variable, answers, output, formulas, console)
    if variable is None or answer is None:
        raise click.UsageError("Give VARIABLE and ANSWER, or --answers.")
    record = graded(variable, answer)
    if not record["readable"]:
        echo(f"error: {record['message']}", err=True)
    else:
        if record["understood"] is not None:
            console.say(f"read as  {record['understood']['text']}")
        console.say(f"{'✓' if record['correct'] else '✗'}  {record['message']}")
    console.finish(record)
    return _status(record)


def _status(record: Mapping[str, Any]) -> int:
    return (0 if record["correct"] else 1) if record["readable"] else _UNREADABLE


def _record(
    found: problem.Problem, variable: str, answer: str, layout: Layout, language: str
) -> dict[str, Any]:
    """Return the grade of an answer, or where it cannot be parsed."""
    wrt = found.variable(variable, "variable")
    try:
        result = grade(
            found.loss,
            wrt,
            answer,
            layout=layout,
            language=language,
            parameters=list(found.variables),
        )
    except ArgumentError as error:
        return {
            "readable": False,
            "correct": False,
            "position": position(error),
            "message": str(error),
        }
    understood = result.understood
    return {
        "readable": True,
        "correct": result.correct,
        "mistake": result.mistake,
        "line": result.line,
        "message": result.message,
        "understood": None
        if understood is None
        else {"text": str(understood), "latex": understood.latex()},
    }


def _grade_all(
    graded: Callable[[str, str], dict[str, Any]],
    variable: str | None,
    path: Path,
    output: Path | None,
    formulas: bool,
    console: Console,
) -> int:
    """Grade the answers of a CSV file and write them with their grades."""
    target = output or path.with_name(f"{path.stem}-grades.csv")
    options.check_writable(target, "--output")
    required = ("answer",) if variable is not None else ("variable", "answer")
    given = submissions.read(path, required)
    records = [
        graded(row.get("variable") or variable or "", row["answer"])
        for row in given.rows
    ]
    flat = [
        {
            name: record.get(name)
            for name in ("correct", "readable", "mistake", "message", "position")
        }
        for record in records
    ]
    submissions.write(target, given, flat, formulas)
    correct = sum(record["correct"] for record in records)
    unreadable = sum(not record["readable"] for record in records)
    console.say(f"{len(records)} answers: {correct} correct, {unreadable} unreadable")
    console.say(f"wrote {shown(str(target))}", whole=True)
    rows = [{**row, **record} for row, record in zip(given.rows, records, strict=True)]
    console.finish(
        {
            "answers": rows,
            "correct": correct,
            "unreadable": unreadable,
            "written": str(target),
        }
    )
    return _UNREADABLE if unreadable else 0
