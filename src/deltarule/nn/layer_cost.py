"""What a layer says about itself in a summary: arithmetic of shapes and parameters, flops, its window."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """How a layer looks at the spatial axes: kernel, stride, dilation and (before, after) padding per axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """Pixels that a window spans, dilation·(kernel − 1) + 1."""
        return tuple(
            d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)
        )


@dataclass(frozen=True)
class Enlargement:
    """How a layer makes images larger: outputs for one input, and inputs that one output sees, per axis."""

    factor: tuple[int, ...]
    seen: tuple[int, ...]


@dataclass(frozen=True)
class LayerCost:
    """The arithmetic of one layer for one example.

    ``how`` tells how the output's shape comes about, ``parameters`` how the parameters are counted. ``flops``
    counts floating-point operations of one example's forward pass: a product, a sum, a comparison and an
    element-wise function count one each; None where nobody knows. ``window`` is None for a layer that acts
    element by element; ``enlargement`` is there for one that makes images larger; ``whole_input`` says that every
    output sees the whole input.
    """

    how: str = ""
    parameters: str = ""
    flops: int | None = 0
    window: Window | None = None
    whole_input: bool = False
    enlargement: Enlargement | None = None


def windows_arithmetic(
    sizes: tuple[int, ...], window: Window, show_padding: bool
) -> str:
    """Write out ⌊(size − extent + padding)/stride⌋ + 1 per axis, once if all axes are alike.

    >>> windows_arithmetic((32, 32), Window((5, 5), (1, 1), (1, 1), ((0, 0), (0, 0))), show_padding=True)
    '(32 − 5 + 2·0)/1 + 1 = 28'
    >>> windows_arithmetic((7, 7), Window((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))), show_padding=False)
    '⌊(7 − 2)/2⌋ + 1 = 3'
    """
    lines = []
    per_axis = zip(
        sizes,
        window.kernel,
        window.stride,
        window.dilation,
        window.padding,
        strict=True,
    )
    for size, kernel, stride, dilation, (low, high) in per_axis:
        span = f"{kernel}" if dilation == 1 else f"({dilation}·({kernel} − 1) + 1)"
        padding = f" + 2·{low}" if low == high else f" + {low} + {high}"
        numerator = f"{size} − {span}{padding if show_padding or low or high else ''}"
        total = size - dilation * (kernel - 1) - 1 + low + high
        quotient = (
            f"({numerator})/{stride}"
            if total % stride == 0
            else f"⌊({numerator})/{stride}⌋"
        )
        lines.append(f"{quotient} + 1 = {total // stride + 1}")
    return lines[0] if len(set(lines)) == 1 else ", ".join(lines)
