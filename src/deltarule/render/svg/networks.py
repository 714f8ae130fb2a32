"""Layered networks as drawings: neurons as circles in columns, edges as lines from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deltarule.render.svg.document import FONT_SIZE, element, figure, label
from deltarule.render.svg.letters import text_width

_RADIUS, _GAP, _WIDE, _MARGIN = 16.0, 14.0, 110.0, 24.0


def network(
    levels: Sequence[Sequence[str]],
    edges: Iterable[tuple[str, str]],
    titles: Sequence[str] = (),
) -> str:
    """Draw a layered network.

    Args:
        levels: Names of the neurons level by level, each name once.
        edges: Pairs (source, target) of names.
        titles: A text below each level.

    >>> drawing = network([["a", "b"], ["y"]], [("a", "y"), ("b", "y")])
    >>> drawing.count("<circle"), drawing.count("<line")
    (3, 2)
    """
    names = [name for level in levels for name in level]
    radius = max([_RADIUS, *(text_width(name, FONT_SIZE) / 2 + 5 for name in names)])
    step = 2 * radius + _GAP
    tallest = step * max(map(len, levels))
    spacing = max(
        [_WIDE, 4 * radius, *(text_width(text, FONT_SIZE) + 16 for text in titles)]
    )
    centres: dict[str, tuple[float, float]] = {}
    for i, level in enumerate(levels):
        x = _MARGIN + radius + i * spacing
        top = _MARGIN + (tallest - step * len(level)) / 2 + radius
        for j, name in enumerate(level):
            centres[name] = x, top + j * step
    body = [_edge(centres[source], centres[target], radius) for source, target in edges]
    for name, (x, y) in centres.items():
        circle = element("circle", cx=x, cy=y, r=radius, class_="axis")
        body += [circle, label(name, x, y + 4, "middle")]
    below = _MARGIN + tallest + 14
    for i, text in enumerate(titles):
        body.append(label(text, _MARGIN + radius + i * spacing, below, "middle"))
    width = 2 * (_MARGIN + radius) + spacing * (len(levels) - 1)
    described = (
        f"{len(levels)} levels of {', '.join(str(len(v)) for v in levels)} neurons"
    )
    return figure(body, width, below + _MARGIN / 2, description=described)


def _edge(start: tuple[float, float], end: tuple[float, float], radius: float) -> str:
    """Return the line between two circles."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = radius / (dx * dx + dy * dy) ** 0.5
    return element(
        "line",
        x1=start[0] + share * dx,
        y1=start[1] + share * dy,
        x2=end[0] - share * dx,
        y2=end[1] - share * dy,
        class_="axis",
    )
