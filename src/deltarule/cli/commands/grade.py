"""``deltarule grade``: check a gradient given as a formula, and name the mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from deltarule.cli import options
from deltarule.cli.inputs import problem
from deltarule.cli.outputs import graded_derivations, submissions
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.cli.outputs.output import echo
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.exam.marking import position
from deltarule.explain.grading.verdict import Grade
from deltarule.tensor.explain import grade

EXAMPLES = (
    "deltarule grade network.py:loss W_1 'δ₁xᵀ'                       Unicode or ASCII mathematics",
    r"deltarule grade network.py:loss W_1 '\delta_1 x^\top'            LaTeX",
    "deltarule grade network.py:loss W_1 'np.outer(delta_1, x)' --json  a Python expression",
    "deltarule grade network.py:loss W_1 --derivation answer.txt       a whole derivation, line by line (- for stdin)",
    "deltarule grade network.py:loss W_1 --answers answers.csv        a file of answers, writes answers-grades.csv",
)


@command_with("grade", *EXAMPLES, context_settings={"ignore_unknown_options": True})
@click.argument("place", metavar="FILE.py:NAME")
@click.argument("variable", required=False)
@click.argument("answer", required=False)
@click.option(
    "--derivation",
    type=options.PATH,
    default=None,
    metavar="FILE",
    help="Grade the lines of a text file (- for standard input) as a whole derivation.",
)
@click.option(
    "--lines",
    is_flag=True,
    help="With --answers: each answer is a whole derivation.",
)
@click.option(
    "--points",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="P",
    help="Points of a whole derivation [1 for each quantity].",
)
@click.option(
    "--require-steps",
    is_flag=True,
    help="Steps that a derivation skips lose their points.",
)
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
@click.option(
    "--allow",
    default=None,
    metavar="NAMES",
    help="The symbols that an answer may use, such as x,y_hat,a_1, or inputs.",
)
@click.option(
    "--hints",
    type=click.IntRange(0, 3),
    default=None,
    metavar="0..3",
    help="Show only so many hints (shape, line, mistake) instead of the whole message.",
)
@click.option(
    "--reveal",
    is_flag=True,
    help="Show the line of the derivation after a wrong answer.",
)
@options.assume
@options.formulas
@options.as_json
def command(
    place: str,
    variable: str | None,
    answer: str | None,
    derivation: Path | None,
    lines: bool,
    points: float | None,
    require_steps: bool,
    answers: Path | None,
    output: Path | None,
    layout: str,
    language: str,
    allow: str | None,
    hints: int | None,
    reveal: bool,
    assume: dict[str, str],
    formulas: bool,
    as_json: bool,
) -> int:
    """Grade ANSWER as the gradient of a loss with respect to VARIABLE.

    The status is 0 for a right answer, 1 for a wrong one, and 2 for one that cannot be parsed. With --answers, the
    answers of a CSV file are graded; the status is then 2 if one of them cannot be parsed, else 0. With --derivation
    (with --lines for the answers of a CSV file) the lines of a whole derivation are graded; VARIABLE may then be
    several names with commas between them. --assume says what is known of inputs, for formulas.
    """
    whole = derivation is not None or lines
    _check_usage((answer, derivation, answers), whole, assume)
    console = Console(as_json)
    found = problem.load(place, None)
    for name in (variable or "").split(",") if whole else [variable or ""]:
        if variable is not None:
            found.variable(name.strip(), "variable")

    def graded(wrt: str, text: str) -> tuple[dict[str, Any], str]:
        kind = cast(Any, layout)
        if not whole:
            asked = _Asked(kind, language, allow, hints, reveal, assume)
            return _record(found, wrt, text, asked), ""
        return graded_derivations.record(
            found,
            wrt,
            text,
            layout=kind,
            language=language,
            points=points,
            require_steps=require_steps,
        )

    if answers is not None:
        return submissions.grade_file(
            answers,
            ("answer",) if variable is not None else ("variable", "answer"),
            lambda row: graded(row.get("variable") or variable or "", row["answer"])[0],
            output=output,
            formulas=formulas,
            console=console,
        )
    if derivation is not None:
        answer = graded_derivations.text_of(derivation)
    if variable is None or answer is None:
        raise click.UsageError("Give VARIABLE and ANSWER, or --answers.")
    return _print(console, *graded(variable, answer))


def _check_usage(
    sources: Sequence[object], whole: bool, assume: Mapping[str, str]
) -> None:
    """Raise UsageError unless there is one source of answers, and options that go with it."""
    if assume and whole:
        raise click.UsageError("--assume is for single formulas, not for derivations.")
    if sum(given is not None for given in sources) != 1:
        raise click.UsageError(
            "Give one of ANSWER, --derivation and --answers, with VARIABLE."
        )


def _print(console: Console, record: Mapping[str, Any], sheet: str) -> int:
    """Print the grade of one answer and return the exit status."""
    if sheet:
        console.say(sheet)
    elif not record["readable"]:
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


@dataclass(frozen=True)
class _Asked:
    """How answers are graded and what is shown of the grade."""

    layout: Layout
    language: str
    allow: str | None
    hints: int | None
    reveal: bool
    assume: Mapping[str, str]

    @property
    def symbols(self) -> str | list[str] | None:
        """The symbols that an answer may use."""
        if self.allow is None or self.allow.strip() == "inputs":
            return self.allow and self.allow.strip()
        return [name.strip() for name in self.allow.split(",") if name.strip()]

    def message(self, grade: Grade) -> str:
        """Return the message, or as many hints as are asked for."""
        if self.hints is None or not grade.hints or grade.correct:
            return grade.message
        head = grade.message.split(".")[0] + "."
        return " ".join([head, *grade.hints[: self.hints]])


def _record(
    found: problem.Problem, variable: str, answer: str, asked: _Asked
) -> dict[str, Any]:
    """Return the grade of an answer, or where it cannot be parsed."""
    try:
        wrt = found.variable(variable, "variable")
        result = grade(
            found.loss,
            wrt,
            answer,
            layout=asked.layout,
            language=asked.language,
            parameters=found.without(asked.assume),
            assume=dict(asked.assume),
            allow=asked.symbols,
            reveal=asked.reveal,
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
        "message": asked.message(result),
        "hints": list(result.hints[: asked.hints]),
        "assumption": result.assumption,
        "understood": None
        if understood is None
        else {"text": str(understood), "latex": understood.latex()},
    }
