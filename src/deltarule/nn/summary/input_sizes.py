"""Input sizes that would fit a network whose shapes do not match, by the arithmetic of its windows."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.errors import DeltaruleError
from deltarule.nn.context import LayerCall
from deltarule.nn.layer_cost import Window
from deltarule.shapes import Shape, count, window_count

LARGEST = 1024  # the largest size that is tried
SHOWN = 3  # sizes that are listed


def fitting_inputs(
    trail: Sequence[LayerCall], error: DeltaruleError, example: Shape
) -> list[str]:
    """Return a line that names square inputs for which the failing layer gets the features that it expects."""
    expected = _leading_number(error.expected)
    wants_features = expected is not None and "feature" in error.expected
    if len(example) < 2 or not trail or not wants_features:
        return []
    costs = [
        call.layer.layer_cost(call.input_shape, call.output_shape) for call in trail
    ]
    windows = [cost.window for cost in costs]
    last_image = next(
        (
            call.output_shape
            for call in reversed(trail)
            if len(call.output_shape) == len(example)
        ),
        None,
    )
    if last_image is None or any(cost.enlargement for cost in costs):
        return []
    if count(last_image) != count(trail[-1].output_shape):
        return []
    n_spatial = len(example) - 1
    passes = [window for window in windows if window is not None]
    sizes = [
        s
        for s in range(1, LARGEST + 1)
        if _volume(s, n_spatial, passes) * last_image[-1] == expected
    ]
    if not sizes:
        return []
    channels = str(example[-1])
    shown = [" × ".join([str(s)] * n_spatial + [channels]) for s in sizes[:SHOWN]]
    more = f" … {sizes[-1]}" if len(sizes) > SHOWN else ""
    return [f"Inputs that would fit: {', '.join(shown)}{more}."]


def _leading_number(text: str) -> int | None:
    word = text.split(" ")[0]
    return int(word) if word.isdigit() else None


def _volume(size: int, n_spatial: int, windows: Sequence[Window]) -> int:
    """Return the number of positions left of a square input; 0 if a window does not fit."""
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
