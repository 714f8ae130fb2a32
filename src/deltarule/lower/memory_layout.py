"""Memory layouts of buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.lower.index import Axis, Index, flatten, of
from deltarule.shapes import count


@dataclass(frozen=True)
class RowMajor:
    """The row-major layout: the last axis varies fastest.

    >>> RowMajor((2, 3)) == RowMajor((2, 3))
    True
    """

    shape: tuple[int, ...]

    def flat(self, indices: Sequence[Index]) -> Index:
        """Return the position of an element in memory."""
        return flatten(indices, self.shape)

    def walk(self, prefix: str) -> tuple[tuple[Axis, ...], tuple[Index, ...]]:
        """Return loops over the elements in memory order, and the indices in terms of them."""
        axes = tuple(
            Axis(f"{prefix}{place}", size) for place, size in enumerate(self.shape)
        )
        return axes, tuple(of(axis) for axis in axes)

    def __str__(self) -> str:
        return "row-major"


@dataclass(frozen=True)
class Panels:
    """A layout with one axis split into panels of ``width``: [axis / width][the other axes, row-major][width].

    A weight (out, in) in panels of its outputs is read at unit stride by the product x·Wᵀ, panel by panel.

    >>> Panels((4, 8), axis=1, width=4)
    Panels(shape=(4, 8), axis=1, width=4)
    """

    shape: tuple[int, ...]
    axis: int
    width: int

    def flat(self, indices: Sequence[Index]) -> Index:
        """Return the position of an element in memory."""
        others = [index for place, index in enumerate(indices) if place != self.axis]
        rest = tuple(
            size for place, size in enumerate(self.shape) if place != self.axis
        )
        panel, lane = indices[self.axis] // self.width, indices[self.axis] % self.width
        return (
            panel * (count(rest) * self.width)
            + flatten(others, rest) * self.width
            + lane
        )

    def walk(self, prefix: str) -> tuple[tuple[Axis, ...], tuple[Index, ...]]:
        """Return loops over the elements in memory order, and the indices in terms of them."""
        panel = Axis(f"{prefix}0", self.shape[self.axis] // self.width)
        lane = Axis(f"{prefix}{len(self.shape)}", self.width)
        others = iter(range(1, len(self.shape)))
        axes = {
            place: Axis(f"{prefix}{next(others)}", size)
            for place, size in enumerate(self.shape)
            if place != self.axis
        }
        indices = tuple(
            of(panel) * self.width + of(lane) if place == self.axis else of(axes[place])
            for place in range(len(self.shape))
        )
        return (panel, *axes.values(), lane), indices

    def __str__(self) -> str:
        return f"panels of {self.width} along axis {self.axis}"


MemoryLayout = RowMajor | Panels


def panels(shape: Sequence[int], axis: int, width: int = 16) -> Panels:
    """Return the layout in panels along an axis: of ``width`` where that divides the axis, else one panel.

    >>> panels((4, 8), 1, 4)
    Panels(shape=(4, 8), axis=1, width=4)
    """
    size = shape[axis]
    return Panels(tuple(shape), axis, width if size % width == 0 else max(1, size))
