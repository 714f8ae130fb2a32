"""Lines, points and bars over two axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from statistics import median

from deltarule.errors import DataError
from deltarule.render import numbers
from deltarule.render.svg.axes import (
    Frame,
    Scale,
    drawable,
    limits,
    padded,
    widest_tick,
)
from deltarule.render.svg.document import (
    FONT_SIZE,
    N_COLOURS,
    element,
    figure,
    label,
    number,
    safe,
)
from deltarule.render.svg.letters import text_width

_LINE_HEIGHT = 15
_TITLE_HEIGHT = 26
_LEAST_PLOT = 160.0  # pixels that names leave to the lines


@dataclass(frozen=True)
class Series:
    """A named sequence of points; ``dashed`` for what is compared with (validation)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"series {self.name!r}",
                expected=numbers.counted(len(self.x), "value") + " of y",
                got=str(len(self.y)),
            )

    @property
    def points(self) -> list[tuple[float, float]]:
        """The points as pairs."""
        return [(float(x), float(y)) for x, y in zip(self.x, self.y, strict=True)]


def _is_whole(values: Sequence[float]) -> bool:
    return bool(values) and all(
        math.isfinite(value) and value == round(value) for value in values
    )


def _frame(
    series: Sequence[Series],
    width: float,
    height: float,
    title: str,
    y_label: str,
    log_y: bool,
    margin: float = 0.0,
) -> Frame:
    """Lay out the plot: room for the tick labels at the left, for the names of the series at the right."""
    names = max(
        (text_width(one.name, FONT_SIZE, bold=True) for one in series), default=0.0
    )
    xs, ys = (
        list(chain(*(one.x for one in series))),
        list(chain(*(one.y for one in series))),
    )
    top = (_TITLE_HEIGHT if title else 8.0) + (16 if y_label else 0)
    vertical = Scale(
        *padded(limits(ys, log_y), logarithmic=log_y), height - 46, top, log_y
    )
    left = widest_tick(vertical) + 16
    right = max(
        width - names - 16, left + min(_LEAST_PLOT, width - left - 16)
    )  # long names make the figure grow
    horizontal = Scale(*padded(limits(xs), margin), left, right)
    return Frame(horizontal, vertical, whole_x=_is_whole(xs))


def _visible(
    frame: Frame, points: Sequence[tuple[float, float]]
) -> list[tuple[float, float] | None]:
    """Return the points in pixels; None where one cannot be shown (NaN, infinite, ≤ 0 on a logarithmic axis)."""
    return [
        (frame.x(x), frame.y(y))
        if drawable(x) and drawable(y, frame.y.logarithmic)
        else None
        for x, y in points
    ]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Return the commands of a path that is broken where a point is missing."""
    commands, drawing = [], False
    for point in points:
        if point is not None:
            commands.append(
                f"{'L' if drawing else 'M'}{number(point[0])} {number(point[1])}"
            )
        drawing = point is not None
    return "".join(commands)


def spread(
    positions: Sequence[float], distance: float, low: float, high: float
) -> list[float]:
    """Move positions apart so that neighbours keep a distance, within [low, high] where there is room.

    >>> spread([10, 11, 40], 15, 0, 100), spread([95, 96], 15, 0, 100)
    ([10, 25, 40], [85, 100])
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = list(positions)
    for previous, current in pairwise(order):
        placed[current] = max(placed[current], placed[previous] + distance)
    limit = high
    for current in reversed(order):
        placed[current] = min(placed[current], limit)
        limit = placed[current] - distance
    floor = low
    for current in order:
        placed[current] = max(placed[current], floor)
        floor = placed[current] + distance
    return placed


def _names(frame: Frame, ends: Sequence[tuple[str, int, float]]) -> list[str]:
    """Write the names of the series at the right, each at the height where its line ends."""
    heights = spread(
        [at for _, _, at in ends], _LINE_HEIGHT, frame.y.end, frame.y.start
    )
    right = frame.x.end + 8
    return [
        label(name, right, at + 4, class_=f"name{colour}")
        for (name, colour, _), at in zip(ends, heights, strict=True)
    ]


def line_chart(
    series: Sequence[Series],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: float = 640,
    height: float = 320,
    log_y: bool = False,
) -> str:
    """Return lines over two axes, each named at its end.

    A dashed series takes the colour of the series before it, so that training and validation belong together.
    Points that are not finite break their line.

    Args:
        series: What to draw; all share the axes.
        title: Heading of the figure.
        x_label: What the horizontal axis counts, with its unit.
        y_label: What the vertical axis measures, with its unit.
        width: Pixels.
        height: Pixels.
        log_y: Draw powers of ten at equal distances; values ≤ 0 are left out.
    """
    frame = _frame(series, width, height, title, y_label, log_y)
    body = frame.draw(x_label, y_label)
    ends: list[tuple[str, int, float]] = []
    colour = -1
    for one in series:
        colour += 0 if one.dashed and colour >= 0 else 1
        shade = colour % N_COLOURS
        points = _visible(frame, one.points)
        shown = [point for point in points if point is not None]
        dash = {"stroke_dasharray": "5 4"} if one.dashed else {}
        body.append(
            element("path", d=_path(points) or "M0 0", class_=f"line{shade}", **dash)
        )
        if len(shown) == 1:
            body.append(
                element(
                    "circle",
                    cx=shown[0][0],
                    cy=shown[0][1],
                    r=3.5,
                    class_=f"fill{shade}",
                )
            )
        if shown:
            ends.append((one.name, shade, shown[-1][1]))
    body.extend(_names(frame, ends))
    return figure(body, width, height, title, _told(series, x_label, y_label))


def _told(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Say in words what the lines show, for those who do not see them."""
    parts = [
        f"{one.name} from {numbers.number(one.y[0])} to {numbers.number(one.y[-1])}"
        for one in series
        if len(one.y) > 0
    ]
    axes = " over ".join(part for part in (y_label, x_label) if part)
    return ": ".join(part for part in (axes, "; ".join(parts)) if part)


def scatter(
    series: Sequence[Series],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: float = 480,
    height: float = 420,
    radius: float = 3.0,
    diagonal: bool = False,
    names_inside: bool = False,
) -> str:
    """Return points over two axes, each group in its colour and named at the height of its centre.

    ``diagonal`` draws the dashed line y = x, as far as both axes show it. ``names_inside`` writes the names among
    the points, at each group's median: more than seven groups share colours.
    """
    frame = _frame(series, width, height, title, y_label, log_y=False, margin=0.04)
    body = frame.draw(x_label, y_label)
    low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
    if diagonal and low < high:
        path = _path([(frame.x(low), frame.y(low)), (frame.x(high), frame.y(high))])
        body.append(element("path", d=path, class_="axis", stroke_dasharray="4 4"))
    ends: list[tuple[str, int, float]] = []
    inside: list[str] = []
    for index, one in enumerate(series):
        shade = index % N_COLOURS
        shown = [point for point in _visible(frame, one.points) if point is not None]
        body.extend(
            element(
                "circle", cx=x, cy=y, r=radius, class_=f"fill{shade}", fill_opacity=0.75
            )
            for x, y in shown
        )
        if shown:
            ends.append((one.name, shade, sum(y for _, y in shown) / len(shown)))
            inside.append(_among(one.name, shade, shown))
    body.extend(inside if names_inside else _names(frame, ends))
    told = "; ".join(
        f"{one.name}: {numbers.counted(len(one.points), 'point')}" for one in series
    )
    return figure(body, width, height, title, told)


def _among(name: str, shade: int, points: Sequence[tuple[float, float]]) -> str:
    """Write a group's name at the median of its points, with a border that keeps it readable among them."""
    x, y = (float(median(point[axis] for point in points)) for axis in (0, 1))
    border = "font-size:16px;paint-order:stroke;stroke:Canvas;stroke-width:4px;stroke-linejoin:round"
    return element(
        "text",
        safe(name),
        x=x,
        y=y + 5,
        text_anchor="middle",
        class_=f"name{shade}",
        style=border,
    )
