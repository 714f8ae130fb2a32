"""How a summary looks: as text in a terminal, as a table in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from deltarule.nn.summary.receptive_field import Field
from deltarule.render.numbers import compact, memory, named
from deltarule.render.table import text_table, width
from deltarule.shapes import Shape

if TYPE_CHECKING:
    from deltarule.nn.summary.summary import Row, Summary

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
_LEAST = (
    "activations",
    "field",
    "flops",
)  # columns that a narrow terminal can do without, in this order


def text(summary: Summary, columns: int | None = None) -> str:
    """Return the table, the totals, and where it ends, the fault; in so many columns of a terminal if possible."""
    lines = [_table(summary, columns), "", totals(summary)]
    if not summary.complete:
        lines = [*lines[:2], f"✗ {summary.fault}"]
        lines += [
            f"  {line}" for advice in summary.advice for line in advice.split("\n  ")
        ]
    return "\n".join(lines)


def _table(summary: Summary, columns: int | None) -> str:
    """Return the table; where it is too wide the arithmetic goes below each row, and then columns are left out."""
    cells, heads = _cells(summary)
    table = _aligned(cells, heads)
    if columns is None or _width(table) <= columns:
        return table
    for left_out in range(len(_LEAST) + 1):
        table = _aligned(*_without_arithmetic(cells, heads, _LEAST[:left_out]))
        if _width(table) <= columns:
            break
    lines = table.splitlines()
    for row, line in zip(cells, lines[2:], strict=True):
        told = dict(zip(heads, row, strict=True))
        how = [told.get(_HOW, ""), told.get(_COUNTED, "").removesuffix(" =")]
        place = lines.index(line) + 1
        lines[place:place] = [f"      {', '.join(filter(None, how))}"] * any(how)
    return "\n".join(lines)


def _without_arithmetic(
    cells: list[list[str]], heads: list[tuple[str, str]], left_out: tuple[str, ...]
) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the columns of a narrow table: numbers of parameters under their title, without those left out."""
    kept = [
        i
        for i, head in enumerate(heads)
        if head not in {_HOW, _COUNTED} and head[0] not in left_out
    ]
    named = [("parameters", ">") if heads[i] == _NUMBER else heads[i] for i in kept]
    return [[row[i] for i in kept] for row in cells], named


def _aligned(cells: list[list[str]], heads: list[tuple[str, str]]) -> str:
    return text_table(
        cells,
        [title for title, _ in heads],
        "".join(side for _, side in heads),
        rule=True,
    )


def _width(table: str) -> int:
    return max(map(width, table.splitlines()))


def html(summary: Summary) -> str:
    """Return the same as an HTML table."""
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


def totals(summary: Summary) -> str:
    """Return ``62958 parameters (252 kB) · 1.70 M flops and 13516 activations an example``."""
    frozen = f", {summary.n_frozen} of them frozen" if summary.n_frozen else ""
    return (
        f"{summary.n_parameters} {named(summary.n_parameters, 'parameter')} ({memory(summary.n_bytes)}){frozen} · "
        f"{compact(summary.flops)} flops and "
        f"{summary.activations} {named(summary.activations, 'activation')} an example"
    )


def _style(side: str) -> str:
    return ' style="text-align:right"' if side == ">" else ' style="text-align:left"'


def _cells(summary: Summary) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the cells of the rows and the columns, without columns that would be empty."""
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
    """Return ``28×28×8``."""
    return "×".join(map(str, sizes))


def extent(field: Field) -> str:
    """Return ``16`` for a square field, ``16×3`` for another, ``all`` for the whole input."""
    if field is None or field == "all":
        return field or ""
    return str(field[0]) if len(set(field)) == 1 else shape(field)
