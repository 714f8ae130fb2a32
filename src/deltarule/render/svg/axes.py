"""Axes: ticks at round values, linear and logarithmic scales, the frame of a plot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deltarule.render import numbers
from deltarule.render.svg.document import FONT_SIZE, element, label
from deltarule.render.svg.letters import text_width

_STEPS = (
    (1.5, 1),
    (3.2, 2),
    (7.0, 5),
    (10.1, 10),
)  # (up to this many powers of ten, this step)
_MANTISSAS = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
)
_DIGITS, _MAX_DIGITS = 6, 17  # of a tick label; 17 distinguish all floats
_MIN_TICKS = 2
_SMALLEST, _LARGEST = 1e-150, 1e150  # so that ratios do not overflow


def drawable(value: float, logarithmic: bool = False) -> bool:
    """Return whether a value can be drawn on an axis: finite, and > 0 on a logarithmic one.

    >>> drawable(-1.0), drawable(-1.0, logarithmic=True)
    (True, False)
    """
    in_range = math.isfinite(value) and abs(value) < _LARGEST
    return in_range and (value > _SMALLEST or not logarithmic)


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map from values to pixels.

    >>> Scale(0.0, 10.0, start=100.0, end=200.0)(5.0)
    150.0
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = self.low, self.high, value
        if self.logarithmic:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 6, whole: bool = False) -> list[float]:
        """Return round values within the scale."""
        if not self.logarithmic:
            return linear_ticks(self.low, self.high, most, whole)
        return logarithmic_ticks(self.low, self.high, most)


def logarithmic_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at least two ticks between low and high, about equally spaced on a logarithmic axis.

    These are powers of ten if three or more are in range, else multiples of them by 1, 2, 5 or finer steps; for less
    than a tenth of a decade linear ticks.

    >>> logarithmic_ticks(0.01, 100), logarithmic_ticks(0.013, 0.72), logarithmic_ticks(2, 7)
    ([0.01, 0.1, 1.0, 10.0, 100.0], [0.02, 0.05, 0.1, 0.2, 0.5], [2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 2:
        stride = math.ceil((last - first + 1) / most)
        return [10.0**power for power in range(first, last + 1, stride)]
    found: list[float] = []
    for mantissas in _MANTISSAS:
        powers = range(first - 1, last + 1)
        ticks = [float(f"{m}e{power}") for power in powers for m in mantissas]
        least, most_value = low * (1 - 1e-9), high * (1 + 1e-9)
        inside = [tick for tick in ticks if least <= tick <= most_value]
        if len(inside) <= most or len(found) < _MIN_TICKS:
            found = inside[:: max(1, math.ceil(len(inside) / most))]
    return found if len(found) >= _MIN_TICKS else linear_ticks(low, high, most)


def linear_ticks(
    low: float, high: float, most: int = 6, whole: bool = False
) -> list[float]:
    """Return ticks between low and high, multiples of 1, 2 or 5 times a power of ten.

    >>> linear_ticks(0, 1), linear_ticks(1, 3, whole=True), linear_ticks(-4, 97, most=4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 2.0, 3.0], [0.0, 50.0])
    """
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for limit, factor in _STEPS if rough <= limit * power)
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(multiple * step, digits) for multiple in range(first, last + 1)]


def limits(
    values: Iterable[float], logarithmic: bool = False, from_zero: bool = False
) -> tuple[float, float]:
    """Return the limits of an axis for the given values, ignoring NaN and infinities.

    >>> limits([1.0, float("nan"), 3.0]), limits([2.0]), limits([]), limits([3.0, 8.0], from_zero=True)
    ((1.0, 3.0), (1.5, 2.5), (0.0, 1.0), (0.0, 8.0))
    """
    shown = [value for value in values if drawable(value, logarithmic)]
    if not shown:
        return (0.1, 1.0) if logarithmic else (0.0, 1.0)
    low, high = min(shown), max(shown)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low > max(1e-12 * max(abs(low), abs(high)), _SMALLEST):
        return low, high
    if logarithmic:
        return low / 2, high * 2
    margin = 0.5 if abs(low) < _SMALLEST else abs(low) / 4
    return low - margin, high + margin


def padded(
    ends: tuple[float, float], share: float = 0.04, logarithmic: bool = False
) -> tuple[float, float]:
    """Return the limits of an axis, extended by a fraction of its length.

    >>> padded((0.0, 100.0))
    (-4.0, 104.0)
    """
    low, high = ends
    if logarithmic:
        factor = (high / low) ** share
        return low / factor, high * factor
    margin = (high - low) * share
    return low - margin, high + margin


@dataclass(frozen=True)
class Frame:
    """The plot area of a figure, given by two scales."""

    x: Scale
    y: Scale
    whole_x: bool = False
    whole_y: bool = False

    def draw(self, x_label: str = "", y_label: str = "") -> list[str]:
        """Return grid, tick labels and axis labels."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts: list[str] = []
        ticks = self.y.ticks(whole=self.whole_y)
        for tick, text in zip(ticks, tick_texts(ticks), strict=True):
            at = self.y(tick)
            parts.append(
                element("line", x1=left, x2=right, y1=at, y2=at, class_="grid")
            )
            parts.append(label(text, left - 6, at + 4, anchor="end"))
        ticks = self.x.ticks(most=8, whole=self.whole_x)
        for tick, text in zip(ticks, tick_texts(ticks), strict=True):
            at = self.x(tick)
            parts.append(
                element("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="axis")
            )
            parts.append(label(text, at, bottom + 18, anchor="middle"))
        parts.append(
            element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis")
        )
        if x_label:
            middle = (left + right) / 2
            parts.append(label(x_label, middle, bottom + 38, anchor="middle"))
        if y_label:
            parts.append(label(y_label, left, top - 8, anchor="start"))
        return parts


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return tick labels with six digits, or as many as are needed to distinguish them.

    >>> tick_texts([0.5, 1.0]), tick_texts([123456.0, 123456.5])
    (['0.5', '1'], ['123456', '123456.5'])
    """
    texts: list[str] = []
    for digits in range(_DIGITS, _MAX_DIGITS + 1):
        texts = [numbers.number(tick, digits) for tick in ticks]
        if len(set(texts)) == len(set(ticks)):
            break
    return texts


def widest_tick(scale: Scale, whole: bool = False) -> float:
    """Return the width of the widest tick label of a scale in pixels.

    >>> widest_tick(Scale(0.0, 1.0, 0.0, 1.0)) > 0
    True
    """
    return max(
        (text_width(text, FONT_SIZE) for text in tick_texts(scale.ticks(whole=whole))),
        default=0.0,
    )
