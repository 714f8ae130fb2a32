"""Rendering of summaries: text for a terminal, a table for a notebook."""

from __future__ import annotations

from html import escape
from typing import Protocol

from deltarule.nn.summary.receptive_field import ReceptiveField
from deltarule.nn.summary.row import Row
from deltarule.render.numbers import compact, memory, named
from deltarule.render.table import text_table, width
from deltarule.shapes import Shape

_HOW, _COUNTED, _NUMBER = ("how", "<"), ("parameters", ">"), ("", "<")
_COLUMNS = (
    ("#", ">"),
    ("layer", "<"),
    ("output", "<"),
    _HOW,
    ("activations", ">"),
    _COUNTED,
    _NUMBER,
    ("flops", ">"),
    ("field", ">"),
)
# columns that are dropped in a narrow terminal, in this order
_OPTIONAL_COLUMNS = ("activations", "field", "flops")


class Totals(Protocol):
    """What is printed of a ``Summary``: its rows and totals."""

    @property
    def rows(self) -> list[Row]:
        """The rows, one per layer."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the whole network fits the input."""
        ...

    @property
    def output_shape(self) -> Shape:
        """Shape of the output."""
        ...

    @property
    def output_reads(self) -> tuple[int, ...]:
        """Positions of the rows that the output is made from."""
        ...

    @property
    def fault(self) -> str:
        """What does not fit."""
        ...

    @property
    def advice(self) -> list[str]:
        """What would fit."""
        ...

    @property
    def n_parameters(self) -> int:
        """Number of parameter values."""
        ...

    @property
    def n_frozen(self) -> int:
        """Number of frozen ones."""
        ...

    @property
    def n_bytes(self) -> int:
        """Memory of the parameters in bytes."""
        ...

    @property
    def flops(self) -> int:
        """Floating-point operations per example."""
        ...

    @property
    def activations(self) -> int:
        """Number of activations per example."""
        ...


def text(summary: Totals, columns: int | None = None) -> str:
    """Return the table, the totals and, if the network does not fit the input, the error; at most ``columns`` wide.

    >>> from deltarule import nn
    >>> print(text(nn.Linear(2, 3).summary((2,))))
    #  layer        output  activations  parameters     flops
    ─  ───────────  ──────  ───────────  ──────────  ─  ─────
    0  input        2                 2
    1  Linear(2→3)  3                 3   2·3 + 3 =  9     12
    <BLANKLINE>
    9 parameters (36 B) · 12 flops and 5 activations an example
    """
    lines = [_table(summary, columns), "", totals(summary)]
    if not summary.complete:
        lines = [*lines[:2], f"✗ {summary.fault}"]
        lines += [
            f"  {line}" for advice in summary.advice for line in advice.split("\n  ")
        ]
    return "\n".join(lines)


def _table(summary: Totals, columns: int | None) -> str:
    """Return the table; if it is too wide, the arithmetic moves below each row, then optional columns are dropped."""
    cells, heads = _cells(summary)
    table = _format_table(cells, heads)
    if columns is None or _width(table) <= columns:
        return table
    for n_dropped in range(len(_OPTIONAL_COLUMNS) + 1):
        dropped = _OPTIONAL_COLUMNS[:n_dropped]
        table = _format_table(*_without_arithmetic(cells, heads, dropped))
        if _width(table) <= columns:
            break
    lines = table.splitlines()
    for row, line in zip(cells, lines[2:], strict=True):
        by_head = dict(zip(heads, row, strict=True))
        how = [by_head.get(_HOW, ""), by_head.get(_COUNTED, "").removesuffix(" =")]
        place = lines.index(line) + 1
        lines[place:place] = [f"      {', '.join(filter(None, how))}"] * any(how)
    return "\n".join(lines)


def _without_arithmetic(
    cells: list[list[str]], heads: list[tuple[str, str]], dropped: tuple[str, ...]
) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the columns of a narrow table: parameter counts under their title, without the dropped columns."""
    kept = [
        i
        for i, head in enumerate(heads)
        if head not in {_HOW, _COUNTED} and head[0] not in dropped
    ]
    named = [("parameters", ">") if heads[i] == _NUMBER else heads[i] for i in kept]
    return [[row[i] for i in kept] for row in cells], named


def _format_table(cells: list[list[str]], heads: list[tuple[str, str]]) -> str:
    return text_table(
        cells,
        [title for title, _ in heads],
        "".join(side for _, side in heads),
        rule=True,
    )


def _width(table: str) -> int:
    return max(map(width, table.splitlines()))


def html(summary: Totals) -> str:
    """Return the summary as an HTML table."""
    cells, columns = _cells(summary)
    head = "".join(f"<th{_style(side)}>{escape(title)}</th>" for title, side in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_style(side)}>{escape(cell)}</td>"
            for cell, (_, side) in zip(row, columns, strict=True)
        )
        + "</tr>"
        for row in cells
    )
    below = (
        [totals(summary)]
        if summary.complete
        else [f"✗ {summary.fault}", *summary.advice]
    )
    notes = "".join(f"<p>{escape(line)}</p>" for line in below)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def totals(summary: Totals) -> str:
    """Return ``62958 parameters (252 kB) · 1.70 M flops and 13516 activations an example``.

    >>> from deltarule import nn
    >>> totals(nn.Linear(2, 3).summary((2,)))
    '9 parameters (36 B) · 12 flops and 5 activations an example'
    """
    frozen = f", {summary.n_frozen} of them frozen" if summary.n_frozen else ""
    return (
        f"{summary.n_parameters} {named(summary.n_parameters, 'parameter')} ({memory(summary.n_bytes)}){frozen} · "
        f"{compact(summary.flops)} flops and "
        f"{summary.activations} {named(summary.activations, 'activation')} an example"
    )


def _style(side: str) -> str:
    return ' style="text-align:right"' if side == ">" else ' style="text-align:left"'


def _cells(summary: Totals) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the cells of the rows and the columns, without empty columns."""
    named = any(row.name and not row.name.isdigit() for row in summary.rows)
    full = [_row(row, named) for row in summary.rows]
    used = [i for i in range(len(_COLUMNS)) if any(row[i] for row in full)]
    return [[row[i] for i in used] for row in full], [_COLUMNS[i] for i in used]


def _row(row: Row, named: bool) -> list[str]:
    counted = f"{row.parameters_how} =" if row.parameters and row.parameters_how else ""
    number = str(row.parameters) if row.parameters else ""
    if row.shared_with is not None:
        counted = f"shared with {row.shared_with}"
    return [
        str(row.number),
        f"{row.name}: {row.layer}" if named and row.name else row.layer,
        shape(row.output) if row.output else "",
        row.how,
        str(row.activations) if row.activations else "",
        counted,
        number + (" frozen" if row.frozen and number else ""),
        "?" if row.flops is None else compact(row.flops) if row.flops else "",
        extent(row.receptive_field),
    ]


def shape(sizes: Shape) -> str:
    """Format a shape.

    >>> shape((28, 28, 8))
    '28×28×8'
    """
    return "×".join(map(str, sizes))


def extent(field: ReceptiveField) -> str:
    """Format a receptive field: one number for a square field, "all" for the whole input.

    >>> extent((16, 16)), extent((16, 3)), extent("all")
    ('16', '16×3', 'all')
    """
    if field is None or field == "all":
        return field or ""
    return str(field[0]) if len(set(field)) == 1 else shape(field)
