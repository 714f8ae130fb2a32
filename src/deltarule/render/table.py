"""Text tables with aligned columns, for any script: widths are counted in terminal cells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Align = Literal["<", ">", "^"]
ELLIPSIS = "…"


def width(text: str) -> int:
    r"""Return the width of a text in terminal cells: 0 for combining marks, 2 for wide East Asian characters.

    >>> width("ŷ₂"), width("y\u0302"), width("数字")
    (2, 1, 4)
    """
    return sum(_width_of(character) for character in text)


def _width_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    if unicodedata.category(character) in {"Cf", "Cc", "Me", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def shorten(text: str, most: int) -> str:
    """Return the text, truncated with an ellipsis to at most ``most`` cells.

    >>> shorten("a long description", 7)
    'a long…'
    """
    if width(text) <= most:
        return text
    kept = ""
    for character in text:
        if width(kept) + _width_of(character) > most - 1:
            break
        kept += character
    return kept + ELLIPSIS


def pad(text: str, cells: int, align: Align = "<") -> str:
    """Pad a text with spaces to a width in cells.

    >>> pad("ŷ", 3, ">"), pad("数", 4, "^")
    ('  ŷ', ' 数 ')
    """
    missing = max(cells - width(text), 0)
    left = {"<": 0, ">": missing, "^": missing // 2}[align]
    return " " * left + text + " " * (missing - left)


def wrap(line: str, cells: int, indent: str = "    ") -> list[str]:
    """Wrap a line at spaces; continuation lines are indented further by ``indent``.

    A word longer than a line is not broken.

    >>> wrap("  one two three", 11)
    ['  one two', '      three']
    """
    margin = line[: len(line) - len(line.lstrip(" "))]
    lines, current = [], margin
    for gap, word in re.findall(r"( *)([^ ]+)", line[len(margin) :]):
        if width(current + gap + word) > cells and current.strip():
            lines.append(current)
            current = margin + indent + word
        else:
            current += gap + word
    return [*lines, current]


def text_table(
    rows: Sequence[Sequence[object]],
    header: Sequence[str] = (),
    align: str = "",
    gap: str = "  ",
    rule: bool = False,
    most: int | None = None,
) -> str:
    """Return rows as text with aligned columns; short rows are filled with empty cells.

    Args:
        rows: The cells, converted with ``str``.
        header: Column titles.
        align: A character ``<``, ``>`` or ``^`` for each column; others are left-aligned.
        gap: The text between columns.
        rule: Draw a line of ─ under the header.
        most: Maximum width of a column; longer cells are truncated with an ellipsis.

    >>> print(text_table([("Linear", 608), ("ŷ", 7)], header=("layer", "parameters"), align="<>", rule=True))
    layer   parameters
    ──────  ──────────
    Linear         608
    ŷ                7
    """
    cells = [
        [shorten(str(cell), most) if most else str(cell) for cell in row]
        for row in (header, *rows)
    ]
    n_columns = max((len(row) for row in cells), default=0)
    for row in cells:
        row.extend([""] * (n_columns - len(row)))
    widths = [max(width(row[column]) for row in cells) for column in range(n_columns)]
    sides = [_side(align[column : column + 1]) for column in range(n_columns)]
    lines = [gap.join(map(pad, row, widths, sides)).rstrip() for row in cells]
    if not header:
        return "\n".join(lines[1:])
    if rule:
        lines.insert(1, gap.join("─" * cells for cells in widths).rstrip())
    return "\n".join(lines)


def _side(sign: str) -> Align:
    return ">" if sign == ">" else "^" if sign == "^" else "<"
