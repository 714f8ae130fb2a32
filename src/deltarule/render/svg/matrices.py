"""Tables of numbers as coloured cells: heat maps and confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deltarule.errors import DataError
from deltarule.render import numbers
from deltarule.render.svg.document import element, figure, label, text_width

Matrix = Sequence[Sequence[float]]


def _checked(values: Matrix, row_names: Sequence[str], column_names: Sequence[str], where: str) -> None:
    n_columns = len(column_names)
    if len(values) != len(row_names) or any(len(row) != n_columns for row in values):
        raise DataError(
            where,
            expected=f"{len(row_names)} rows of {n_columns} values, as there are names",
            got=f"rows of {sorted({len(row) for row in values})} values, {len(values)} rows",
        )


def heat_map(
    values: Matrix,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    texts: Sequence[Sequence[str]] | None = None,
    strengths: Matrix | None = None,
    cell: float | None = None,
) -> str:
    """Return a table of cells, darker for larger magnitudes: blue for positive, orange for negative values.

    Args:
        values: One sequence for each row.
        row_names: Names at the left.
        column_names: Names on top.
        title: Heading of the figure.
        x_label: What the columns are.
        y_label: What the rows are.
        texts: What is written in the cells; the values by default.
        strengths: Depths of colour in [−1, 1]; the values over the largest magnitude by default.
        cell: Pixels of a cell; by default wide enough for the texts.
    """
    _checked(values, row_names, column_names, "heat_map")
    written = texts if texts is not None else [[numbers.number(value, 3) for value in row] for row in values]
    largest = max((abs(value) for row in values for value in row if math.isfinite(value)), default=0.0) or 1.0
    depths = strengths if strengths is not None else [[value / largest for value in row] for row in values]
    widest = max((text_width(text) for row in (*written, column_names) for text in row), default=0.0)
    side = cell if cell is not None else max(28.0, widest + 10)
    tall = min(side, 34.0) if cell is None else side
    left = max((text_width(name) for name in row_names), default=0.0) + 14 + (20 if y_label else 0)
    top = (26.0 if title else 6.0) + (18 if x_label else 0) + 18
    body = []
    for column, name in enumerate(column_names):
        body.append(label(name, left + (column + 0.5) * side, top - 6, anchor="middle"))
    for row, name in enumerate(row_names):
        body.append(label(name, left - 6, top + (row + 0.5) * tall + 4, anchor="end"))
        for column, text in enumerate(written[row]):
            body.extend(_cell(left + column * side, top + row * tall, side, tall, depths[row][column], text))
    right, bottom = left + side * len(column_names), top + tall * len(row_names)
    if x_label:
        body.append(label(x_label, (left + right) / 2, top - 24, anchor="middle"))
    if y_label:
        body.append(label(y_label, 14, (top + bottom) / 2, anchor="middle", turned=True))
    width = max(right + 10, text_width(title, 14) + 16)
    told = "; ".join(f"{name}: {', '.join(row)}" for name, row in zip(row_names, written, strict=True))
    return figure(body, width, bottom + 10, title, told)


def _cell(x: float, y: float, width: float, height: float, depth: float, text: str) -> list[str]:
    """Return a cell whose colour is mixed with the ground by opacity, so that it suits light and dark."""
    strength = min(abs(depth), 1.0) if math.isfinite(depth) else 0.0
    colour = "fill0" if depth >= 0 else "fill1"
    opacity = 0.05 + 0.6 * strength
    return [
        element("rect", x=x + 0.5, y=y + 0.5, width=width - 1, height=height - 1, class_=colour, fill_opacity=opacity),
        label(text, x + width / 2, y + height / 2 + 4, anchor="middle") if text else "",
    ]


def confusion_matrix(
    counts: Sequence[Sequence[int]], class_names: Sequence[str], title: str = "Confusion matrix"
) -> str:
    """Return how often each class was taken for each other: rows are the truth, columns the predictions.

    Every row is coloured by its shares, so that rare classes show as well as frequent ones; zeros stay empty and
    mistakes are orange.
    """
    _checked(counts, class_names, class_names, "confusion_matrix")
    shares = [
        [(value if row == column else -value) / (sum(line) or 1) for column, value in enumerate(line)]
        for row, line in enumerate(counts)
    ]
    # Mistakes are few where a model is good: the root keeps a single one visible.
    depths = [[math.copysign(math.sqrt(abs(share)), share) for share in line] for line in shares]
    texts = [[numbers.count(value) if value else "" for value in line] for line in counts]
    return heat_map(counts, class_names, class_names, title, "predicted", "true", texts, depths)
