"""Errors of a forward pass: which layer failed, the path of shapes to it, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.errors import DeltaruleError
from deltarule.nn.context import ForwardContext, LayerCall, example_shape
from deltarule.nn.layer import Layer
from deltarule.shapes import Shape
from deltarule.tensor.tensor import Tensor

LONGEST_PATH = 9  # layers of a path that are written out


def with_location(
    error: DeltaruleError,
    module: Layer,
    context: ForwardContext,
    inputs: Sequence[Tensor],
) -> DeltaruleError:
    """Return the error of a layer with the layer's number and name and the path of shapes so far."""
    trail = context.record.trail
    name = context.record.names.get(id(module), "")
    kind = type(module).__name__
    if module.named_children():
        where = f'forward of {kind} "{name}"' if name else f"forward of {kind}"
        expected = (
            f"{error.expected} ({error.where})" if error.expected else error.where
        )
    else:
        quoted = f', "{name}"' if name else ""
        where, expected = f"layer {len(trail) + 1} ({kind}{quoted})", error.expected
    hints = [
        path(trail, module, inputs, batched=bool(context.batched)),
        advice(error, trail),
    ]
    return type(error)(
        where, expected=expected, got=error.got, hint="\n  ".join(filter(None, hints))
    )


def path(
    trail: Sequence[LayerCall],
    failed: Layer,
    inputs: Sequence[Tensor],
    *,
    batched: bool,
) -> str:
    """Return ``input (32,32,3) → Conv2d(3→8, 5×5) (28,28,8) → … ✗ Linear(120→84)``."""
    given = example_shape(inputs[0], batched) if inputs else ()
    shape = trail[0].input_shape if trail else given
    parts = [f"input {compact(shape)}"]
    for call in trail:
        changed = call.output_shape != shape
        shape = call.output_shape
        parts.append(
            f"{call.layer.label()} {compact(shape)}" if changed else call.layer.label()
        )
    if len(parts) > LONGEST_PATH:
        parts = [*parts[:2], "…", *parts[-(LONGEST_PATH - 3) :]]
    return f"{' → '.join(parts)} ✗ {failed.label() if not failed.named_children() else type(failed).__name__}"


def compact(shape: Shape) -> str:
    """Format a shape in few characters.

    >>> compact((28, 28, 8)), compact((400,))
    ('(28,28,8)', '400')
    """
    return str(shape[0]) if len(shape) == 1 else "(" + ",".join(map(str, shape)) + ")"


def advice(error: DeltaruleError, trail: Sequence[LayerCall]) -> str:
    """Return the hint of an error, preceded by the layer that gives the mismatching shape."""
    if not error.hint or not trail:
        return error.hint
    last = trail[-1]
    cost = last.layer.layer_cost(last.input_shape, last.output_shape)
    if "=" in cost.how and cost.window is None:
        return f"{last.layer.label()} gives {cost.how}: {error.hint[0].lower()}{error.hint[1:]}"
    return error.hint
