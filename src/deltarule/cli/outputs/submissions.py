"""Answers of students in a CSV file, and the grades that are written beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltarule.cli import options
from deltarule.cli.outputs.answers import harmless
from deltarule.cli.outputs.console import Console
from deltarule.errors import ArgumentError, DataError
from deltarule.train.checkpoint import write_atomically
from deltarule.visible import shown

UNREADABLE = 2  # the exit status if an answer cannot be parsed
GRADED = (
    "points",
    "max_points",
    "correct",
    "readable",
    "mistake",
    "message",
    "understood",
    "position",
)


@dataclass(frozen=True)
class Submissions:
    """The rows of a CSV file of answers, with the names of its columns in order."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]


def read(path: Path, required: Sequence[str]) -> Submissions:
    """Read a CSV file (UTF-8, separated by commas, semicolons or tabs) with a header.

    Raises:
        ArgumentError: If there is no such file.
        DataError: If columns or rows are missing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "answers.csv"
    ...     _ = path.write_bytes(b"student;answer" + bytes([10]) + b"Ada;(1, 2)")
    ...     read(path, ["answer"]).rows[0]["answer"]
    '(1, 2)'
    """
    if not path.is_file():
        raise ArgumentError(
            f"answers {path}", expected="a CSV file", got="no such file"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"answers {path}", expected="text in UTF-8", got=str(error)
        ) from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    columns = tuple(name.strip() for name in reader.fieldnames or ())
    missing = [name for name in required if name not in columns]
    if missing:
        raise DataError(
            f"answers {path}",
            expected=f"columns {', '.join(required)}",
            got=", ".join(columns) or "an empty file",
        )
    reader.fieldnames = list(columns)
    rows = tuple(
        {name: row.get(name) or "" for name in columns}
        for row in reader
        if any(row.values())
    )
    if not rows:
        raise DataError(f"answers {path}", expected="rows of answers", got="none")
    return Submissions(columns, rows)


def write(
    path: Path, found: Submissions, grades: Sequence[Mapping[str, Any]], formulas: bool
) -> None:
    """Write the rows with their grades; texts that look like spreadsheet formulas are escaped unless ``formulas``."""
    stream = io.StringIO()
    columns = [name for name in found.columns if name not in GRADED]
    present = {name for grade in grades for name in grade}
    names = [*columns, *(name for name in GRADED if name in present)]
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for row, grade in zip(found.rows, grades, strict=True):
        whole = {**{name: row[name] for name in columns}, **grade}
        cells = {name: _cell(whole.get(name)) for name in names}
        if not formulas:
            cells = {name: harmless(cell) for name, cell in cells.items()}
        writer.writerow(cells)
    write_atomically(path, stream.getvalue().encode())


def grade_file(
    path: Path,
    required: Sequence[str],
    graded: Callable[[Mapping[str, str]], Mapping[str, Any]],
    *,
    output: Path | None,
    formulas: bool,
    console: Console,
) -> int:
    """Grade the rows of a CSV file, write them with their grades, and print how many are correct.

    Args:
        path: The file of answers.
        required: Columns that the file must have.
        graded: Function that returns the grade of a row, with ``correct`` and ``readable``.
        output: The file of grades; by default NAME-grades.csv beside the answers.
        formulas: Whether to write texts that look like spreadsheet formulas without escaping them.
        console: Where the summary goes.

    Returns:
        The exit status: 2 if an answer cannot be parsed, else 0.
    """
    target = output or path.with_name(f"{path.stem}-grades.csv")
    options.check_writable(target, "--output")
    given = read(path, required)
    records = [graded(row) for row in given.rows]
    write(target, given, records, formulas)
    correct = sum(record["correct"] for record in records)
    unreadable = sum(not record["readable"] for record in records)
    by_hand = sum(record.get("mistake") == "ungraded" for record in records)
    waiting = f", {by_hand} for a person to grade" if by_hand else ""
    console.say(
        f"{len(records)} answers: {correct} correct, {unreadable} unreadable{waiting}"
    )
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
    return UNREADABLE if unreadable else 0


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):  # an answer as it was read
        return str(value["text"])
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
