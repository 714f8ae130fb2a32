"""What a layer reports in a summary: arithmetic of shapes and parameters, flops, window."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """How a layer slides over the spatial axes: kernel, stride, dilation and (before, after) padding per axis.

    >>> Window(kernel=(3, 3), stride=(1, 1), dilation=(2, 2), padding=((0, 0), (0, 0))).extent
    (5, 5)
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def before(self) -> tuple[int, ...]:
        """The padding before the first element, per axis."""
        return tuple(low for low, _ in self.padding)

    @property
    def extent(self) -> tuple[int, ...]:
        """Pixels that a window spans, dilation·(kernel − 1) + 1, per axis."""
        return tuple(
            d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)
        )


@dataclass(frozen=True)
class Enlargement:
    """How a layer upsamples: outputs per input, and inputs that one output depends on, per axis.

    >>> from deltarule import nn
    >>> nn.Upsample2d(2, "linear").layer_cost((4, 4, 3), (8, 8, 3)).enlargement
    Enlargement(factor=(2, 2), seen=(2, 2))
    """

    factor: tuple[int, ...]
    seen: tuple[int, ...]


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer for one example, and the arithmetic that explains it.

    Attributes:
        how: How the output shape is computed, such as "(32 − 5 + 2·0)/1 + 1 = 28".
        parameters: How the parameters are counted, such as "3·2 + 2".
        flops: Floating-point operations of one example's forward pass: a product, a sum, a comparison and an
            element-wise function count one each. None if unknown.
        window: The sliding window; None for an element-wise layer.
        whole_input: Whether every output depends on the whole input.
        enlargement: The upsampling; None for a layer that does not enlarge images.

    >>> from deltarule import nn
    >>> cost = nn.Linear(3, 2).layer_cost((3,), (2,))
    >>> cost.parameters, cost.flops
    ('3·2 + 2', 12)
    """

    how: str = ""
    parameters: str = ""
    flops: int | None = 0
    window: Window | None = None
    whole_input: bool = False
    enlargement: Enlargement | None = None


def distinct_lines(lines: list[str]) -> list[str]:
    """Return one line if all axes have the same, else the lines of all axes.

    >>> distinct_lines(["2·3 = 6", "2·3 = 6"]), distinct_lines(["2·3 = 6", "2·4 = 8"])
    (['2·3 = 6'], ['2·3 = 6', '2·4 = 8'])
    """
    return lines[:1] if len(set(lines)) == 1 else lines


def windows_arithmetic(
    sizes: tuple[int, ...], window: Window, show_padding: bool
) -> str:
    """Write out ⌊(size − extent + padding)/stride⌋ + 1 per axis, once if all axes are equal.

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
    return ", ".join(distinct_lines(lines))
