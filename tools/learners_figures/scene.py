"""Points and lines in one figure, boundaries of classifiers, and the data that the figures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from deltarule import data
from deltarule.render.svg import Series
from deltarule.render.svg.axes import Frame, Scale, limits, padded, widest_tick
from deltarule.render.svg.charts import spread
from deltarule.render.svg.document import (
    FONT_SIZE,
    N_COLOURS,
    element,
    figure,
    label,
    number,
)
from deltarule.render.svg.letters import text_width

Array = np.ndarray[Any, np.dtype[Any]]
_TOP, _BOTTOM, _NAME_GAP = 44.0, 46.0, 16.0


@dataclass(frozen=True)
class Stroke:
    """A line of a colour; NaN breaks it, ``named`` writes its name at its right end."""

    x: Sequence[float] | Array
    y: Sequence[float] | Array
    colour: int = 0
    name: str = ""
    dashed: bool = False
    faint: bool = False


def series(name: str, x: Any, y: Any, dashed: bool = False) -> Series:
    """Return a series of plain numbers."""
    return Series(name, [float(v) for v in x], [float(v) for v in y], dashed=dashed)


def scene(
    groups: Sequence[tuple[str, Array]],
    strokes: Sequence[Stroke],
    title: str,
    x_label: str,
    y_label: str,
    ringed: Array | None = None,
    size: tuple[float, float] = (560, 360),
    reach: tuple[float, float] | None = None,
) -> str:
    """Return groups of points (N, 2), each named at its mean height, with lines over them; some points ringed.

    The axes show all points, and the place ``reach``.
    """
    width, height = size
    names = max(
        (
            text_width(name, FONT_SIZE)
            for name in [*(name for name, _ in groups), *(s.name for s in strokes)]
        ),
        default=0,
    )
    more = [] if reach is None else [np.array([reach])]
    ends = [
        limits(
            list(
                chain(*(p[:, axis].tolist() for p in [*more, *(p for _, p in groups)]))
            )
        )
        for axis in (0, 1)
    ]
    vertical = Scale(*padded(ends[1], 0.06), height - _BOTTOM, _TOP)
    horizontal = Scale(
        *padded(ends[0]), widest_tick(vertical) + 16, width - 1.05 * names - _NAME_GAP
    )
    frame = Frame(horizontal, vertical)
    body = frame.draw(x_label, y_label)
    marks: list[tuple[str, int, float]] = []
    for shade, (name, points) in enumerate(groups):
        body += [
            element(
                "circle",
                cx=frame.x(x),
                cy=frame.y(y),
                r=2.6,
                class_=f"fill{shade % N_COLOURS}",
                fill_opacity=0.8,
            )
            for x, y in points.tolist()
        ]
        marks.append((name, shade % N_COLOURS, frame.y(float(points[:, 1].mean()))))
    if ringed is not None:
        body += [
            element("circle", cx=frame.x(x), cy=frame.y(y), r=6.0, class_="axis")
            for x, y in ringed.tolist()
        ]
    for stroke in strokes:
        path, last = _path(frame, stroke)
        style: dict[str, object] = {"stroke_dasharray": "5 4"} if stroke.dashed else {}
        style |= {"stroke_opacity": 0.35} if stroke.faint else {}
        body.append(
            element("path", d=path or "M0 0", class_=f"line{stroke.colour}", **style)
        )
        marks.append((stroke.name, stroke.colour, last))
    body += _written(frame, [mark for mark in marks if mark[0]])
    told = "; ".join(f"{name or 'points'}: {len(points)}" for name, points in groups)
    return figure(body, width, height, title, told)


def _written(frame: Frame, marks: list[tuple[str, int, float]]) -> list[str]:
    """Write names at the right, none over another."""
    heights = spread([at for _, _, at in marks], 16, frame.y.end, frame.y.start)
    return [
        label(name, frame.x.end + 8, at + 4, class_=f"name{shade}")
        for (name, shade, _), at in zip(marks, heights, strict=True)
    ]


def _path(frame: Frame, stroke: Stroke) -> tuple[str, float]:
    """Return the commands of a line inside the frame, and the height of its last point."""
    commands, drawing, last = [], False, frame.y.end
    for x, y in zip(stroke.x, stroke.y, strict=True):
        inside = bool(
            frame.x.low <= x <= frame.x.high and frame.y.low <= y <= frame.y.high
        )
        if inside:
            last = frame.y(float(y))
            commands.append(
                f"{'L' if drawing else 'M'}{number(frame.x(float(x)))} {number(last)}"
            )
        drawing = inside
    return "".join(commands), last


def straight(
    weights: Array, bias: float, at: Array, low: float = -1e9, high: float = 1e9
) -> tuple[Array, Array]:
    """Return the line weights·(x, y) + bias = 0 over x, NaN where y leaves [low, high]."""
    y = -(weights[0] * at + bias) / weights[1]
    return at, np.where((y >= low) & (y <= high), y, np.nan)


def boundary(
    score: Callable[[Array], Array], points: Array, steps: int = 70
) -> tuple[Array, Array]:
    """Return where a score of points (N, 2) is 0: a piece through each cell of a grid that it crosses, NaN between."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.06 * (high - low)
    axes = [np.linspace(low[k] - margin[k], high[k] + margin[k], steps) for k in (0, 1)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    z = np.asarray(score(grid.reshape(-1, 2))).reshape(steps, steps)
    xs: list[float] = []
    ys: list[float] = []
    for i in range(steps - 1):
        for j in range(steps - 1):
            corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
            crossed = []
            for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
                if (z[a] < 0) != (z[b] < 0):
                    share = z[a] / (z[a] - z[b])
                    crossed.append(grid[a] + share * (grid[b] - grid[a]))
            for one, other in zip(crossed[::2], crossed[1::2], strict=True):
                xs += [float(one[0]), float(other[0]), np.nan]
                ys += [float(one[1]), float(other[1]), np.nan]
    return np.array(xs), np.array(ys)


def digits() -> tuple[Array, Array]:
    """Return 1797 handwritten digits (N, 64), and their labels."""
    found = data.load("digits")
    return np.asarray(
        found.inputs.reshape(len(found.inputs), -1), np.float64
    ), np.asarray(found.targets)


def iris() -> tuple[Array, Array]:
    """Return 150 flowers (sepal length and width, petal length and width in cm), and their kinds."""
    found = data.load("iris")
    return np.asarray(found.inputs, np.float64), np.asarray(found.targets)


def moons(n: int = 120, noise: float = 0.2) -> tuple[Array, Array]:
    """Return two half moons that interlock."""
    random = np.random.default_rng(0)
    angle, y = np.pi * random.random(n), np.arange(n) % 2
    x = np.stack(
        [
            np.where(y == 0, np.cos(angle), 1 - np.cos(angle)),
            np.where(y == 0, np.sin(angle), 0.5 - np.sin(angle)),
        ],
        axis=1,
    )
    return x + noise * random.normal(size=(n, 2)), y
