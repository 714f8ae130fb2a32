"""``deltarule grade``: check a gradient given as a formula, and name the mistake."""

from __future__ import annotations

from collections.abc import Mapping
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

EXAMPLES = (
    "deltarule grade network.py:loss W_1 'δ₁xᵀ'                       Unicode or ASCII mathematics",
    r"deltarule grade network.py:loss W_1 '\delta_1 x^\top'            LaTeX",
    "deltarule grade network.py:loss W_1 'np.outer(delta_1, x)' --json  a Python expression",
    "deltarule grade network.py:loss W_1 --answers answers.csv        a file of answers, writes answers-grades.csv",
)


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
    if variable is not None:
        found.variable(variable, "variable")

    def graded(wrt: str, text: str) -> dict[str, Any]:
        return _record(found, wrt, text, cast(Any, layout), language)

    if answers is not None:
        if answer is not None:
            raise click.UsageError("Give ANSWER or --answers, not both.")
        return submissions.grade_file(
            answers,
            ("answer",) if variable is not None else ("variable", "answer"),
            lambda row: graded(row.get("variable") or variable or "", row["answer"]),
            output=output,
            formulas=formulas,
            console=console,
        )
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
    return (
        (0 if record["correct"] else 1)
        if record["readable"]
        else submissions.UNREADABLE
    )


def _record(
    found: problem.Problem, variable: str, answer: str, layout: Layout, language: str
) -> dict[str, Any]:
    """Return the grade of an answer, or where it cannot be parsed."""
    try:
        wrt = found.variable(variable, "variable")
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
