"""Control flow with constant conditions: branches are selected, loops unrolled."""

from __future__ import annotations

from typing import Any

import numpy as np

from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import (
    MOST_TURNS,
    Call,
    Results,
    Translator,
    tensor_node,
)
from deltarule.runtime.realize import realize


def _if(call: Call) -> Results:
    chosen = call.attribute(
        "then_branch" if bool(call.values(0).reshape(())) else "else_branch"
    )
    return tuple(call.run_subgraph(chosen, (), None if call.varies(0) else 1))


def _turns(call: Call, body: Any, most: int) -> int:
    """Return the number of turns of a loop where it is fixed: no turn can end the loop or has another count."""
    fixed = call.optional(0) is not None and not call.varies(0)
    return most if fixed and _endless(body) else 1


def _endless(body: Any) -> bool:
    """Return whether the condition after a turn is the one before it, or a constant true."""
    made = {node.output[0]: node for node in body.node if node.output}
    name = body.output[0].name
    while name in made and made[name].op_type == "Identity":
        name = made[name].input[0]
    return bool(name == body.input[1].name)


def _loop(call: Call) -> Results:
    body = call.attribute("body")
    most = (
        int(call.values(0).reshape(()))
        if call.optional(0) is not None
        else MOST_TURNS + 1
    )
    going = bool(call.values(1).reshape(())) if call.optional(1) is not None else True
    carried = [call[i] for i in range(2, len(call.operands))]
    scans: list[list[Node]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    turn, turns = 0, _turns(call, body, most) if going else 1
    call.unrolled(turns, len(body.node))
    while going and turn < most:
        call.unrolled(turn + 1)
        condition = tensor_node(np.array(True))
        results = call.run_subgraph(
            body,
            [tensor_node(np.array(turn, np.int64)), condition, *carried],
            turns,
        )
        going = bool(realize([results[0]])[0].reshape(()))
        carried = results[1 : 1 + len(carried)]
        for kept, value in zip(scans, results[1 + len(carried) :], strict=True):
            kept.append(value)
        turn += 1
    if any(not kept for kept in scans):
        raise call.unsupported("a loop that makes no turn but collects values")
    return (*carried, *(algebra.stack(kept) for kept in scans))


def _scan(call: Call) -> Results:
    body, count = call.attribute("body"), call.attribute("num_scan_inputs")
    if call.version < 9:
        raise call.unsupported("the batched form of opset 8")
    states = [call[i] for i in range(len(call.operands) - count)]
    series = [call[i] for i in range(len(states), len(call.operands))]
    axes = call.attribute("scan_input_axes", [0] * count)
    backwards = call.attribute("scan_input_directions", [0] * count)
    n_out = len(body.output) - len(states)
    out_axes = call.attribute("scan_output_axes", [0] * n_out)
    out_backwards = call.attribute("scan_output_directions", [0] * n_out)
    length = series[0].shape[call.counted(axes[0], series[0].rank)]
    call.unrolled(length, len(body.node))
    collected: list[list[Node]] = [[] for _ in range(n_out)]
    for t in range(length):
        slices = []
        for x, axis, reverse in zip(series, axes, backwards, strict=True):
            i = call.counted(axis, x.rank)
            at = length - 1 - t if reverse else t
            slices.append(
                build.reshape(
                    algebra.part(x, i, at, at + 1), x.shape[:i] + x.shape[i + 1 :]
                )
            )
        results = call.run_subgraph(body, [*states, *slices], length)
        states = results[: len(states)]
        for kept, value in zip(collected, results[len(states) :], strict=True):
            kept.append(value)
    joined = [
        algebra.stack(kept[::-1] if reverse else kept, axis)
        for kept, axis, reverse in zip(collected, out_axes, out_backwards, strict=True)
    ]
    return (*states, *joined)


OPERATORS: dict[str, Translator] = {"If": _if, "Loop": _loop, "Scan": _scan}
