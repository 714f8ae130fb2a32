"""Options that commands share, with one wording each."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deltarule.cli.inputs.reading import TableOptions, column_names
from deltarule.errors import ArgumentError

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class Rate(click.FloatRange):
    """A finite number above 0."""

    def __init__(self) -> None:
        super().__init__(min=0.0, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def seed(function: F) -> F:
    """Add ``--seed``."""
    text = "Seed of split, first weights, order and dropout: the same seed gives the same bits."
    return click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        default=0,
        show_default=True,
        metavar="S",
        help=text,
    )(function)


def threads(function: F) -> F:
    """Add ``--threads``."""
    text = "Threads to compute with (default: as many as pay, at most one a core); the result does not depend on it."
    return click.option(
        "--threads", type=click.IntRange(min=1), default=None, metavar="T", help=text
    )(function)


def device(function: F) -> F:
    """Add ``--device``."""
    text = "Engine: cpu (the fastest one here) or reference (NumPy, slow and obviously right)."
    return click.option(
        "--device", default="cpu", show_default=True, metavar="D", help=text
    )(function)


def formulas(function: F) -> F:
    """Add ``--formulas``."""
    text = "Write texts that look like spreadsheet formulas as they are, without an apostrophe in front."
    return click.option("--formulas", is_flag=True, help=text)(function)


def as_json(function: F) -> F:
    """Add ``--json``."""
    text = "Print one JSON object at the end and nothing else."
    return click.option("--json", "as_json", is_flag=True, help=text)(function)


def target(function: F) -> F:
    """Add ``--target``."""
    text = "Column (CSV, Parquet) or array (NPZ) to predict; a CSV's last column by default."
    return click.option("--target", default=None, metavar="C", help=text)(function)


def table(function: F) -> F:
    """Add what says how a table is read: ``--target``, ``--task``, ``--header``, ``--ignore`` and the like."""
    for add in (
        click.option(
            "--drop-missing", is_flag=True, help="Leave rows with missing cells out."
        ),
        click.option(
            "--categorical",
            multiple=True,
            metavar="A,B",
            help="Columns of numbers that are codes.",
        ),
        click.option(
            "--ignore",
            multiple=True,
            metavar="A,B",
            help="Columns to leave out (names, record numbers).",
        ),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether a CSV's first line holds names [unless it must be data].",
        ),
        click.option(
            "--task",
            type=click.Choice(["classification", "regression"]),
            default=None,
            help="Whether to predict classes or a number [by the target].",
        ),
        target,
    ):
        function = add(function)
    return function


def reading(given: dict[str, Any]) -> TableOptions:
    """Take the options of ``table`` out of a command's arguments."""
    return TableOptions(
        given.pop("target"),
        given.pop("task"),
        given.pop("header"),
        column_names(given.pop("ignore")),
        column_names(given.pop("categorical")),
        given.pop("drop_missing"),
    )


def check_place(path: Path, option: str) -> None:
    """Raise unless a file can be written there; asked before the work, so that the work is not lost."""
    if path.is_dir():
        raise ArgumentError(
            f"{option} {path}", expected="the name of a file", got="a folder"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(
            dir=folder
        ):  # the rights alone do not tell: nothing can be made in /proc
            pass
    except OSError as error:
        raise ArgumentError(
            f"{option} {path}",
            expected="a place to write to",
            got=f"{folder}, where this is not allowed",
        ) from error
