"""Line charts and scatter plots."""

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
_MIN_PLOT_WIDTH = 160.0  # pixels beside the names of the series


@dataclass(frozen=True)
class Series:
    """A named sequence of points.

    Attributes:
        name: Name in the legend.
        x: Horizontal coordinates.
        y: Vertical coordinates.
        dashed: Draw a dashed line in the colour of the previous series (validation).

    >>> Series("loss", [1, 2], [0.5, 0.25]).points
    [(1.0, 0.5), (2.0, 0.25)]
    """

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
        """The points as pairs (x, y)."""
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
    """Return the layout of a plot: tick labels at the left, names of the series at the right."""
    names = max(
        (text_width(one.name, FONT_SIZE, bold=True) for one in series), default=0.0
    )
    xs = list(chain(*(one.x for one in series)))
    ys = list(chain(*(one.y for one in series)))
    top = (_TITLE_HEIGHT if title else 8.0) + (16 if y_label else 0)
    vertical = Scale(
        *padded(limits(ys, log_y), logarithmic=log_y), height - 46, top, log_y
    )
    left = widest_tick(vertical) + 16
    # the figure is enlarged for long names
    right = max(width - names - 16, left + min(_MIN_PLOT_WIDTH, width - left - 16))
    horizontal = Scale(*padded(limits(xs), margin), left, right)
    return Frame(horizontal, vertical, whole_x=_is_whole(xs))


def _visible(
    frame: Frame, points: Sequence[tuple[float, float]]
) -> list[tuple[float, float] | None]:
    """Return the points in pixels, None for those that cannot be drawn (NaN, infinite, ≤ 0 on a logarithmic axis)."""
    return [
        (frame.x(x), frame.y(y))
        if drawable(x) and drawable(y, frame.y.logarithmic)
        else None
        for x, y in points
    ]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Return the path commands of a line, interrupted at missing points."""
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
    """Move positions apart to a minimum distance, within [low, high] if possible.

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
    """Return the names of the series at the right, each at the height of the end of its line."""
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
    """Return a line chart as SVG, with the name of each series at the end of its line.

    A dashed series has the colour of the series before it (training and validation). A line is interrupted at points
    that are not finite.

    Args:
        series: The lines.
        title: Title of the figure.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        width: Width in pixels.
        height: Height in pixels.
        log_y: Use a logarithmic vertical axis; values ≤ 0 are not drawn.

    >>> line_chart([Series("loss", [1, 2], [0.5, 0.25])]).startswith("<svg")
    True
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
    return figure(body, width, height, title, _description(series, x_label, y_label))


def _description(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Return a description of the lines for screen readers."""
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
    """Return a scatter plot as SVG, each series in its colour and named at the height of its centre.

    Args:
        series: The groups of points; more than seven share colours.
        title: Title of the figure.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        width: Width in pixels.
        height: Height in pixels.
        radius: Radius of the points in pixels.
        diagonal: Draw the dashed line y = x.
        names_inside: Write the name of each series at the median of its points.

    >>> scatter([Series("A", [1, 2], [3, 4])]).count("<circle")
    2
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
            inside.append(_name_among_points(one.name, shade, shown))
    body.extend(inside if names_inside else _names(frame, ends))
    description = "; ".join(
        f"{one.name}: {numbers.counted(len(one.points), 'point')}" for one in series
    )
    return figure(body, width, height, title, description)


def _name_among_points(
    name: str, shade: int, points: Sequence[tuple[float, float]]
) -> str:
    """Return the name of a series at the median of its points, with an outline for readability."""
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
