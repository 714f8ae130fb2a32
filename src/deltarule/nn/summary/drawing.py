"""Summaries as drawings: neurons and edges where all layers are dense, blocks with shapes and parameters elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.nn.summary.page import Totals, shape, totals
from deltarule.nn.summary.row import Row
from deltarule.render.numbers import named
from deltarule.render.svg.layers import Block, Level, blocks, neurons

_DENSE = "Linear("


def svg(summary: Totals, model: str) -> str:
    """Draw a summary.

    >>> from deltarule import nn
    >>> svg(nn.Linear(3, 2).summary((3,)), "Linear").count("<circle")
    5
    """
    rows = [row for row in summary.rows if row.output]
    ends = summary.output_reads == (len(rows) - 1,)
    if summary.complete and ends and is_dense(rows):
        levels = _levels(rows)
        sizes = ", ".join(str(level.n_units) for level in levels)
        described = f"{model}: layers of {sizes} units; {totals(summary)}"
        return neurons(levels, described)
    items = [_block(row) for row in rows]
    if summary.complete and not ends:
        ended = shape(summary.output_shape)
        items.append(Block("output", ended, summary.output_reads))
    described = f"{model}: {', then '.join(item.name for item in items)}"
    return blocks(items, f"{described}; {totals(summary)}")


def is_dense(rows: Sequence[Row]) -> bool:
    """Whether vectors go through a chain of layers, each dense or without parameters and of the same size."""
    if any(len(row.output) != 1 for row in rows):
        return False
    chained = all(row.reads == (i - 1,) for i, row in enumerate(rows) if i)
    plain = all(
        row.layer.startswith(_DENSE) or _keeps(rows[i - 1], row)
        for i, row in enumerate(rows)
        if i
    )
    return chained and plain and any(row.layer.startswith(_DENSE) for row in rows)


def _keeps(before: Row, row: Row) -> bool:
    shared = row.shared_with is not None
    return not row.parameters and not shared and before.output == row.output


def _levels(rows: Sequence[Row]) -> list[Level]:
    """Collect the layers after a dense one in its column."""
    columns: list[list[Row]] = [[rows[0]]]
    for row in rows[1:]:
        if row.layer.startswith(_DENSE):
            columns.append([row])
        else:
            columns[-1].append(row)
    return [Level(column[0].output[0], _texts(column)) for column in columns]


def _texts(column: Sequence[Row]) -> tuple[str, ...]:
    names = [row.layer for row in column]
    size = named(column[0].output[0], "unit")
    counted = _parameters(column[0])
    return (*names, f"{column[0].output[0]} {size}", *([counted] if counted else []))


def _block(row: Row) -> Block:
    name = (
        row.layer if not row.name or row.name.isdigit() else f"{row.name}: {row.layer}"
    )
    counted = _parameters(row)
    details = shape(row.output) + (f" · {counted}" if counted else "")
    return Block(name, details, row.reads, bool(counted))


def _parameters(row: Row) -> str:
    if row.shared_with is not None:
        return f"parameters of layer {row.shared_with}"
    if not row.parameters:
        return ""
    frozen = ", frozen" if row.frozen else ""
    return f"{row.parameters:,} {named(row.parameters, 'parameter')}{frozen}"
