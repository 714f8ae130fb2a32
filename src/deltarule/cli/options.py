"""Options shared by commands."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deltarule.cli.inputs.reading import (
    TableOptions,
    column_names,
    dated_columns,
)
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


def assume(function: F) -> F:
    """Add ``--assume``."""
    text = (
        "What is known of an input, such as y=one-hot or A=symmetric; may be repeated."
    )
    return click.option(
        "--assume",
        "assume",
        multiple=True,
        metavar="NAME=KIND",
        callback=_pairs,
        help=text,
    )(function)


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Return NAME=KIND as a dictionary."""
    found = {}
    for value in values:
        name, separator, kind = value.partition("=")
        if not separator or not name.strip() or not kind.strip():
            raise click.BadParameter(
                f"expected NAME=KIND, such as y=one-hot, got {value!r}",
                context,
                parameter,
            )
        found[name.strip()] = kind.strip()
    return found


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
    text = "Column of a table or array of an NPZ file to predict; the last column by default."
    return click.option("--target", default=None, metavar="C", help=text)(function)


_TABLE_OPTIONS = (
    click.option("--drop-missing", is_flag=True, help="Drop rows with missing values."),
    click.option(
        "--encoding",
        default=None,
        metavar="E",
        help="Encoding of a text file [detected].",
    ),
    click.option(
        "--separator",
        default=None,
        metavar="CHAR",
        help="Character between the cells of a text file [detected].",
    ),
    click.option(
        "--date",
        multiple=True,
        metavar="A=FORMAT",
        help="Columns of dates, and their formats as in strftime [detected].",
    ),
    click.option(
        "--text",
        multiple=True,
        metavar="A,B",
        help="Columns of texts [detected].",
    ),
    click.option(
        "--numeric",
        multiple=True,
        metavar="A,B",
        help="Columns of numbers; cells that are none are missing.",
    ),
    click.option(
        "--categorical",
        multiple=True,
        metavar="A,B",
        help="Columns of categories, also of numbers.",
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
        help="Whether the first line of a text file is a header [detected].",
    ),
    click.option(
        "--task",
        type=click.Choice(["classification", "regression"]),
        default=None,
        help="Task [detected from the target].",
    ),
    target,
)


def table(function: F) -> F:
    """Add the options for reading tables: ``--target``, ``--task``, ``--header``, ``--ignore``, etc."""
    for add in _TABLE_OPTIONS:
        function = add(function)
    return function


def table_options(given: dict[str, Any]) -> TableOptions:
    r"""Remove the options of ``table`` from a command's arguments and return them.

    >>> given = {"target": "y", "task": None, "header": None, "ignore": ("a,b",), "categorical": (), "numeric": (),
    ...     "text": (), "date": ("born",), "separator": "tab", "encoding": None, "drop_missing": False, "seed": 1}
    >>> found = table_options(given)
    >>> found.ignore, found.separator, given
    (('a', 'b'), '\t', {'seed': 1})
    """
    return TableOptions(
        target=given.pop("target"),
        task=given.pop("task"),
        header=given.pop("header"),
        ignore=column_names(given.pop("ignore")),
        categorical=column_names(given.pop("categorical")),
        numeric=column_names(given.pop("numeric")),
        text=column_names(given.pop("text")),
        dates=dated_columns(given.pop("date")),
        separator=_character(given.pop("separator")),
        encoding=given.pop("encoding"),
        drop_missing=given.pop("drop_missing"),
        sql=given.pop("sql", None),
    )


def name_or_query(name: str | None, sql: str | None) -> str:
    """Return the name of the data; "query" for an SQL query. One of both must be given.

    >>> name_or_query("iris", None), name_or_query(None, "SELECT 1")
    ('iris', 'query')
    """
    if (name is None) == (sql is None):
        raise ArgumentError(
            "train",
            expected="a data set, file or folder, or --sql",
            got="none" if sql is None else "both",
        )
    return "query" if name is None else name


def _character(text: str | None) -> str | None:
    """Return the character that ``--separator`` names, by itself or as ``tab``."""
    found = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " "}.get(text or "", text)
    if found is not None and len(found) != 1:
        raise ArgumentError(
            "--separator", expected="one character, or tab", got=repr(text)
        )
    return found


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
