"""Networks as drawings of layers: columns of neurons for dense networks, a column of blocks for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.render.svg.document import FONT_SIZE, element, figure, label
from deltarule.render.svg.letters import text_width

MOST_NEURONS = 16  # of a column; longer ones are shortened
_SHOWN = 4  # neurons above the dots of a shortened column, and below
_RADIUS, _STEP, _MARGIN, _LINE = 9.0, 26.0, 20.0, 16.0
_WIDE, _HIGH, _GAP, _LANE = 220.0, 44.0, 18.0, 16.0
_TIP = 5.0


@dataclass(frozen=True)
class Level:
    """A column of neurons with lines of text below it."""

    n_units: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A layer: its name, what stands below the name, and the positions of the blocks it reads.

    ``trained`` marks a layer with parameters.
    """

    name: str
    details: str
    reads: tuple[int, ...] = ()
    trained: bool = False


def neurons(levels: Sequence[Level], description: str) -> str:
    """Draw a dense network: a circle for each unit, a line for each weight; long columns have dots in the middle.

    >>> drawing = neurons([Level(2, ("x",)), Level(1, ("y",))], "two inputs, one output")
    >>> drawing.count("<circle"), drawing.count("<line")
    (3, 2)
    """
    wide = max(text_width(text, FONT_SIZE) for level in levels for text in level.texts)
    spacing = max(110.0, wide + 24)
    left = max(_MARGIN + _RADIUS, wide / 2 + 8)
    places = [_column(level.n_units) for level in levels]
    tallest = max(column[-1] for column in places) + 2 * _RADIUS
    centres = [
        [
            _MARGIN + _RADIUS + y + (tallest - 2 * _RADIUS - column[-1]) / 2
            for y in column
        ]
        for column in places
    ]
    body: list[str] = []
    for i in range(1, len(levels)):
        x1, x2 = left + (i - 1) * spacing + _RADIUS, left + i * spacing - _RADIUS
        body += [
            element(
                "line", x1=x1, y1=y1, x2=x2, y2=y2, class_="axis", stroke_opacity=0.35
            )
            for y1 in centres[i - 1]
            for y2 in centres[i]
        ]
    below = _MARGIN + tallest + 6
    for i, level in enumerate(levels):
        x = left + i * spacing
        body += [
            element("circle", cx=x, cy=y, r=_RADIUS, class_="axis") for y in centres[i]
        ]
        if level.n_units > MOST_NEURONS:
            middle = (centres[i][_SHOWN - 1] + centres[i][_SHOWN]) / 2
            body += [
                element("circle", cx=x, cy=middle + move, r=1.8, fill="currentColor")
                for move in (-8.0, 0.0, 8.0)
            ]
        for j, text in enumerate(level.texts, start=1):
            body.append(label(text, x, below + j * _LINE, "middle"))
    n_lines = max(len(level.texts) for level in levels)
    width = 2 * left + spacing * (len(levels) - 1)
    return figure(
        body, width, below + n_lines * _LINE + _MARGIN / 2, description=description
    )


def _column(n_units: int) -> list[float]:
    """Return the heights of the drawn neurons of a column; a gap for dots where some are left out."""
    if n_units <= MOST_NEURONS:
        return [_STEP * i for i in range(n_units)]
    return [_STEP * (i + (i >= _SHOWN) * 1.5) for i in range(2 * _SHOWN)]


def blocks(items: Sequence[Block], description: str) -> str:
    """Draw layers below each other with arrows from what they read; arrows that skip layers run in lanes at the side.

    >>> drawing = blocks([Block("input", "3"), Block("Linear(3→2)", "2", (0,))], "one layer")
    >>> drawing.count("<rect"), drawing.count("<line")
    (2, 1)
    """
    wide = max(
        [_WIDE]
        + [
            text_width(text, FONT_SIZE) + 32
            for b in items
            for text in (b.name, b.details)
        ]
    )
    lanes = _lanes(items)
    tops = [_MARGIN + i * (_HIGH + _GAP) for i in range(len(items))]
    body: list[str] = []
    for i, block in enumerate(items):
        for j in block.reads:
            if j == i - 1:
                body += _arrow(_MARGIN + wide / 2, tops[j] + _HIGH, tops[i])
            else:
                edge = _MARGIN + wide
                lane = edge + _LANE * (1 + lanes[j, i])
                body += _detour(
                    edge, lane, tops[j] + 0.7 * _HIGH, tops[i] + 0.3 * _HIGH
                )
    for top, block in zip(tops, items, strict=True):
        body.append(
            element(
                "rect", x=_MARGIN, y=top, width=wide, height=_HIGH, rx=6, class_="axis"
            )
        )
        if block.trained:
            body.append(
                element(
                    "rect",
                    x=_MARGIN,
                    y=top,
                    width=6.0,
                    height=_HIGH,
                    rx=3,
                    class_="fill0",
                )
            )
        body.append(label(block.name, _MARGIN + 16, top + 18))
        body.append(label(block.details, _MARGIN + 16, top + 35))
    side = _LANE * (1 + max(lanes.values())) if lanes else 0.0
    height = tops[-1] + _HIGH + _MARGIN
    return figure(body, 2 * _MARGIN + wide + side, height, description=description)


def _lanes(items: Sequence[Block]) -> dict[tuple[int, int], int]:
    """Give each edge that skips blocks the innermost lane that is free along it; short edges come first."""
    skips = sorted(
        ((j, i) for i, block in enumerate(items) for j in block.reads if j != i - 1),
        key=lambda edge: (edge[1] - edge[0], edge),
    )
    taken: dict[tuple[int, int], int] = {}
    for start, end in skips:
        near = {lane for (j, i), lane in taken.items() if j < end and start < i}
        taken[start, end] = next(lane for lane in range(len(skips)) if lane not in near)
    return taken


def _arrow(x: float, start: float, end: float) -> list[str]:
    line = element("line", x1=x, y1=start, x2=x, y2=end - _TIP, class_="axis")
    tip = f"M{x:g},{end:g} l{-_TIP / 1.4:.2f},{-_TIP - 2:g} h{_TIP * 1.43:.2f} z"
    return [line, element("path", d=tip, fill="currentColor")]


def _detour(edge: float, lane: float, start: float, end: float) -> list[str]:
    line = f"M{edge:g},{start:g} H{lane:g} V{end:g} H{edge + _TIP:g}"
    tip = f"M{edge:g},{end:g} l{_TIP + 2:g},{-_TIP / 1.4:.2f} v{_TIP * 1.43:.2f} z"
    return [
        element("path", d=line, class_="axis"),
        element("path", d=tip, fill="currentColor"),
    ]
