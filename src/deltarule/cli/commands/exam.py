"""``deltarule exam``: question sheets with answer keys, their export, and the grading of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from deltarule.cli import options
from deltarule.cli.inputs import problem
from deltarule.cli.outputs import submissions
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.errors import ArgumentError
from deltarule.explain.exam.exam import Exam
from deltarule.explain.exam.exports import FORMATS
from deltarule.explain.exam.marking import ItemGrade
from deltarule.optim.exam import TOPICS, exam
from deltarule.train.checkpoint import write_atomically
from deltarule.visible import shown

EXAMPLES = (
    "deltarule exam networks --variants 2                         six networks to derive, two sheets",
    "deltarule exam optimizers --seed 3 --key                     with the answers",
    "deltarule exam gradients --variants 30 --export moodle quiz.xml  questions for Moodle",
    "deltarule exam tasks.py:midterm --variants 30 --latex sheets.tex  networks of your own",
    "deltarule exam gradients --variants 30 --answers answers.csv  grade answers, write answers-grades.csv",
)
EXPECTED = "a topic, or FILE.py:NAME with a list of dr.Task"


@command_with("exam", *EXAMPLES)
@click.argument("topic", metavar="TOPIC|FILE.py:NAME")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="S",
    help="Seed of the questions.",
)
@click.option(
    "--variants",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="V",
    help="Number of sheets.",
)
@click.option("--title", default="Exam", metavar="TEXT", help="Title of your own exam.")
@click.option("--key", is_flag=True, help="Include the verified answers.")
@click.option("--hints", is_flag=True, help="Include a hint with each question.")
@click.option(
    "--latex",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Write a LaTeX document.",
)
@click.option(
    "--html",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Write an HTML page.",
)
@click.option(
    "--export",
    "exports",
    type=(click.Choice(list(FORMATS)), options.PATH),
    multiple=True,
    metavar="FORMAT PATH",
    help=f"Write questions and keys for a learning platform: {', '.join(FORMATS)}.",
)
@click.option(
    "--answers",
    type=options.PATH,
    default=None,
    metavar="CSV",
    help="Grade the answers of a CSV file with the columns variant, item and answer.",
)
@click.option(
    "--output",
    type=options.PATH,
    default=None,
    metavar="CSV",
    help="Where to write the grades [CSV-grades.csv].",
)
@options.formulas
@options.as_json
def command(
    topic: str,
    seed: int,
    variants: int,
    title: str,
    key: bool,
    hints: bool,
    latex: Path | None,
    html: Path | None,
    exports: Sequence[tuple[str, Path]],
    answers: Path | None,
    output: Path | None,
    formulas: bool,
    as_json: bool,
) -> int:
    """Create question sheets with verified answer keys, or grade answers to them.

    TOPIC is networks (six derivations), gradients (the same with numbers), shapes, convolution, optimizers,
    normalization, divergence, initialization or concepts; or a list of dr.Task in a Python file. Topic, seed and
    number of variants decide the sheets, so that the same options grade the answers to them. The status is 2 if an
    answer cannot be parsed.
    """
    console = Console(as_json)
    places = [
        (latex, "--latex"),
        (html, "--html"),
        *((p, "--export") for _, p in exports),
    ]
    for path, name in places:
        if path is not None:
            options.check_writable(path, name)
    found = exam(_topic_or_tasks(topic), seed=seed, variants=variants, title=title)
    if answers is not None:
        return submissions.grade_file(
            answers,
            ("variant", "item", "answer"),
            partial(_graded, found),
            output=output,
            formulas=formulas,
            console=console,
        )
    written = {}
    for path, text in (
        (latex, found.latex(answers=key, hints=hints, standalone=True)),
        (html, found.html(answers=key, hints=hints)),
    ):
        if path is not None:
            write_atomically(path, text.encode())
            written[path.suffix.lstrip(".")] = str(path)
    for format_, path in exports:
        written[format_] = str(found.export(format_, path))
    console.say(found.text(answers=key, hints=hints))
    for path_text in written.values():
        console.say(f"wrote {shown(path_text)}", whole=True)
    console.finish({**found.to_dict(answers=True), "written": written})
    return 0


def _topic_or_tasks(topic: str) -> Any:
    """Return a topic, or the tasks that a Python file defines."""
    if topic in TOPICS:
        return topic
    if ":" not in topic:
        message = f"{topic!r} is not one of {', '.join(map(repr, TOPICS))}."
        raise click.BadParameter(message, param_hint="'TOPIC'")
    found = problem.defined(topic, EXPECTED)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _graded(found: Exam, row: Mapping[str, str]) -> dict[str, Any]:
    """Return the grade of one row; a row with an unknown variant or item is unreadable."""
    text = row["variant"].strip()
    variant = int(text) if text.isdecimal() else 0
    try:
        return found.grade(variant, row["item"], row["answer"]).to_dict()
    except ArgumentError as error:
        unread = ItemGrade(None, 0.0, False, False, "unreadable", str(error))
        return unread.to_dict()
