"""Options shared by commands."""

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
    """A parameter type for finite numbers above 0.

    >>> Rate().convert("0.1", None, None)
    0.1
    """

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
    text = "Seed of the split, initial weights, shuffling and dropout; results are bitwise reproducible."
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
    text = "Number of threads (default: chosen by the engine, at most one per core); the result does not depend on it."
    return click.option(
        "--threads", type=click.IntRange(min=1), default=None, metavar="T", help=text
    )(function)


def device(function: F) -> F:
    """Add ``--device``."""
    text = "Engine: cpu (compiled) or reference (NumPy, slow)."
    return click.option(
        "--device", default="cpu", show_default=True, metavar="D", help=text
    )(function)


def formulas(function: F) -> F:
    """Add ``--formulas``."""
    text = "Do not escape texts that look like spreadsheet formulas with an apostrophe."
    return click.option("--formulas", is_flag=True, help=text)(function)


def as_json(function: F) -> F:
    """Add ``--json``."""
    text = "Print one JSON object and nothing else."
    return click.option("--json", "as_json", is_flag=True, help=text)(function)


def target(function: F) -> F:
    """Add ``--target``."""
    text = "Column (CSV, Parquet) or array (NPZ) to predict; a CSV's last column by default."
    return click.option("--target", default=None, metavar="C", help=text)(function)


def table(function: F) -> F:
    """Add the options for reading tables: ``--target``, ``--task``, ``--header``, ``--ignore``, etc."""
    for add in (
        click.option(
            "--drop-missing", is_flag=True, help="Drop rows with missing values."
        ),
        click.option(
            "--categorical",
            multiple=True,
            metavar="A,B",
            help="Numeric columns to treat as categorical.",
        ),
        click.option(
            "--ignore",
            multiple=True,
            metavar="A,B",
            help="Columns to ignore (names, identifiers).",
        ),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first line of a CSV is a header [detected].",
        ),
        click.option(
            "--task",
            type=click.Choice(["classification", "regression"]),
            default=None,
            help="Task [detected from the target].",
        ),
        target,
    ):
        function = add(function)
    return function


def table_options(given: dict[str, Any]) -> TableOptions:
    """Remove the options of ``table`` from a command's arguments and return them.

    >>> given = {"target": "y", "task": None, "header": None, "ignore": ("a,b",), "categorical": (),
    ...     "drop_missing": False, "seed": 1}
    >>> table_options(given).ignore, given
    (('a', 'b'), {'seed': 1})
    """
    return TableOptions(
        given.pop("target"),
        given.pop("task"),
        given.pop("header"),
        column_names(given.pop("ignore")),
        column_names(given.pop("categorical")),
        given.pop("drop_missing"),
    )


def check_writable(path: Path, option: str) -> None:
    """Raise ArgumentError unless a file can be written there; called before the work, so that none is lost.

    >>> check_writable(Path("/"), "--output")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: --output /: expected the name of a file, got a folder.
    """
    if path.is_dir():
        raise ArgumentError(
            f"{option} {path}", expected="the name of a file", got="a folder"
        )
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(
            dir=folder
        ):  # permissions alone do not suffice (/proc)
            pass
    except OSError as error:
        raise ArgumentError(
            f"{option} {path}",
            expected="a place to write to",
            got=f"{folder}, where this is not allowed",
        ) from error
