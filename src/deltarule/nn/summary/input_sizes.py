"""Which inputs would fit a network whose shapes do not: the arithmetic of windows, run for other sizes."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.errors import DeltaruleError
from deltarule.nn.context import LayerCall
from deltarule.nn.layer_cost import Window
from deltarule.shapes import Shape, count, window_count

LARGEST = 1024  # sizes that are tried
SHOWN = 3


def fitting_inputs(
    trail: Sequence[LayerCall], error: DeltaruleError, example: Shape
) -> list[str]:
    """Return a line that names square inputs with which the layer at fault gets the features that it expects."""
    wanted = _leading_number(error.expected)
    if (
        len(example) < 2
        or not trail
        or wanted is None
        or "feature" not in error.expected
    ):
        return []
    accounts = [v.layer.account(v.input_shape, v.output_shape) for v in trail]
    windows = [account.window for account in accounts]
    last_image = next(
        (
            v.output_shape
            for v in reversed(trail)
            if len(v.output_shape) == len(example)
        ),
        None,
    )
    if (
        any(account.enlargement for account in accounts)
        or last_image is None
        or count(last_image) != count(trail[-1].output_shape)
    ):
        return []
    n_spatial = len(example) - 1
    passes = [window for window in windows if window is not None]
    sizes = [
        s
        for s in range(1, LARGEST + 1)
        if _volume(s, n_spatial, passes) * last_image[-1] == wanted
    ]
    if not sizes:
        return []
    shown = [
        " × ".join([str(s)] * n_spatial + [str(example[-1])]) for s in sizes[:SHOWN]
    ]
    more = f" … {sizes[-1]}" if len(sizes) > SHOWN else ""
    return [f"Inputs that would fit: {', '.join(shown)}{more}."]


def _leading_number(text: str) -> int | None:
    word = text.split(" ")[0]
    return int(word) if word.isdigit() else None


def _volume(size: int, n_spatial: int, windows: Sequence[Window]) -> int:
    """Return the number of positions that are left of a square input; 0 where a window does not fit."""
    sizes = [size] * n_spatial
    for w in windows:
        if len(w.kernel) != n_spatial:
            return 0
        sizes = [
            window_count(
                sizes[i] + sum(w.padding[i]), w.kernel[i], w.stride[i], w.dilation[i]
            )
            for i in range(n_spatial)
        ]
    volume = 1
    for size in sizes:
        volume *= size
    return volume
