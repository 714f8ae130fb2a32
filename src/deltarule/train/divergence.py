"""When a loss becomes NaN or infinite: go back to the step, find the first operation, and say what helps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deltarule.backends import reference
from deltarule.errors import DivergenceError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import StepProgram
from deltarule.graph.walk import topological
from deltarule.runtime.buffers import Array
from deltarule.train.engine import Engine, Rows

_SNAPSHOT_SECONDS = 5.0  # how much training a replay may have to repeat
_ADVICE = {
    Op.LOG: "A logarithm met a number ≤ 0: use a loss on logits, or keep its argument away from 0 (x.clip(1e-7)).",
    Op.DIVIDE: "A division by 0: add a small constant to the divisor.",
    Op.SQRT: "A root of a number < 0, or its slope at 0: add a small constant inside the root.",
    Op.POWER: "A power of a number ≤ 0: keep the base above 0.",
    Op.EXP: "An exponential overflowed: lower the learning rate, scale the inputs, or use softmax or logsumexp.",
}
_GENERAL = "Lower the learning rate, clip gradients (clip_norm=1.0), or scale the inputs to mean 0 and deviation 1."
_MOVES = {Op.RESHAPE, Op.PERMUTE, Op.BROADCAST, Op.SLICE, Op.FLIP}
_KEPT = "The model keeps the weights from before this step."


@dataclass(frozen=True)
class Piece:
    """Steps that ran in one call."""

    rows: Rows
    size: int
    first_step: int
    scalars: tuple[float, ...]


class Tape:
    """Runs pieces on an engine and remembers them since the last snapshot of the state, so that steps can be redone.

    Steps are pure and exact, so running them again from the snapshot gives the state before any later step.
    """

    def __init__(self, engine: Engine, arrays: Sequence[Array], seed: int, steps_per_epoch: int) -> None:
        self._engine, self._arrays, self._seed, self._steps_per_epoch = engine, arrays, seed, steps_per_epoch
        self._snapshot: list[Array] | None = None
        self._taken = 0.0
        self._pieces: list[Piece] = []

    def clear(self) -> None:
        """Forget what was run; the next piece begins with a snapshot."""
        self._snapshot, self._pieces = None, []

    def feed(self, arrays: Sequence[Array]) -> None:
        """Go on with other data; what was run on those before can't be run again."""
        if arrays is not self._arrays:
            self._arrays = arrays
            self.clear()

    def run(self, rows: Rows, size: int, first_step: int, scalars: tuple[float, ...]) -> npt.NDArray[np.float64]:
        """Run a piece and return its metrics."""
        now = time.perf_counter()
        if self._snapshot is None or now - self._taken > _SNAPSHOT_SECONDS:
            self._snapshot, self._taken, self._pieces = self._engine.read(), now, []
        self._pieces.append(Piece(rows, size, first_step, scalars))
        return self._again(self._pieces[-1])

    def _again(self, piece: Piece) -> npt.NDArray[np.float64]:
        rows = piece.rows
        return self._engine.run(self._arrays, rows, piece.size, piece.first_step, self._seed, piece.scalars)

    def restore(self) -> None:
        """Go back to the last snapshot without waiting for a piece that may be at work."""
        if self._snapshot is not None:
            self._engine.stop()
            self._engine.load(self._snapshot)

    def _rewind(self, steps: int) -> Piece:
        """Put the engine before step ``steps`` of the last piece, or before the last step of the piece before."""
        *before, last = self._pieces
        if steps < 0:
            last = before.pop()
            steps = len(last.rows) // last.size - 1
        self._engine.load(self._snapshot or [])
        for piece in before:
            self._again(piece)
        if steps:
            self._again(Piece(last.rows[: steps * last.size], last.size, last.first_step, last.scalars))
        rows = last.rows[steps * last.size : (steps + 1) * last.size]
        return Piece(rows, last.size, last.first_step + steps, last.scalars)

    def _values(self, piece: Piece) -> tuple[StepProgram, dict[Node, Array]]:
        """Return the program of a step and the values of its inputs."""
        step = self._engine.step(piece.size)
        batch = [array[piece.rows] for array in self._arrays]
        counters = (piece.first_step, self._seed, *piece.scalars)
        given = (*self._engine.read(), *step.constants, *batch, *counters)
        inputs = step.program.as_program().inputs
        return step.program, {
            node: np.asarray(value, node.dtype.name) for node, value in zip(inputs, given, strict=True)
        }

    def fault(self, step: int, loss: float) -> DivergenceError:
        """Return the error for a loss that is not finite, ``step`` steps into the last piece; go back before it."""
        piece = self._rewind(step)
        program, values = self._values(piece)
        broken = [node for node in program.state if not _finite(values[node])]
        if broken and (step > 0 or len(self._pieces) > 1):
            return self._update_fault(self._rewind(step - 1), build.describe(broken[0]))
        what, advice = first_fault(program.metrics, values)
        return self._error(piece, "a finite loss", f"{loss}: {what}", advice)

    def overflow(self, name: str) -> DivergenceError:
        """Return the error for a weight that the very last step left not finite; go back before that step."""
        last = self._pieces[-1]
        return self._update_fault(self._rewind(len(last.rows) // last.size - 1), name)

    def _update_fault(self, piece: Piece, name: str) -> DivergenceError:
        program, values = self._values(piece)
        what, advice = first_fault(program.next_state, values)
        return self._error(piece, "finite weights", f"an update that breaks {name}: {what}", advice)

    def _error(self, piece: Piece, expected: str, got: str, advice: str) -> DivergenceError:
        where = f"fit, step {piece.first_step + 1} (epoch {piece.first_step // self._steps_per_epoch + 1})"
        return DivergenceError(where, expected=expected, got=got, hint=f"{advice}\n  {_KEPT}")


def _finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _range(node: Node, known: Mapping[Node, Array]) -> str:
    """Describe an operand with the range of its finite values."""
    array = known[node]
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    span = f" in [{finite.min():.3g}, {finite.max():.3g}]" if finite.size else ""
    return f"{build.describe(node)}{span}"


def first_fault(outputs: Sequence[Node], values: Mapping[Node, Array]) -> tuple[str, str]:
    """Evaluate node by node on the reference backend; tell the first one that is not finite, and what helps.

    Named functions are evaluated as one, so that the answer speaks the model's language.
    """
    known = dict(values)
    for node in topological(outputs):
        if node not in known:
            (known[node],) = reference.evaluate([node], {source: known[source] for source in node.sources})
        if not _finite(known[node]):
            operands = " and ".join(_range(source, known) for source in node.sources)
            label = str(node.attributes.get("function") or node.op.name.lower()).replace("_", " ")
            what = f"the first value that is not finite comes from {label}" + (f" of {operands}" if operands else "")
            return what + _layer(node), _ADVICE.get(node.op, _GENERAL)
    return "no single operation gives it", _GENERAL


def _layer(node: Node) -> str:
    """Say where in the model a node stands: the layer whose parameter it reads, or after which layer it comes."""
    for source in node.sources:
        operand = source
        while operand.op in _MOVES:
            operand = operand.sources[0]
        if _is_named(operand):
            return f", in layer {_path(operand)}"
    nearest = _nearest_parameter(node)
    return "" if nearest is None else f", after layer {_path(nearest)}"


def _nearest_parameter(node: Node) -> Node | None:
    """Return the parameter of a layer that the fewest operations separate from a node."""
    seen: set[Node] = set()
    level = list(node.sources)
    while level:
        for operand in level:
            if _is_named(operand):
                return operand
        seen.update(level)
        level = list(dict.fromkeys(source for operand in level for source in operand.sources if source not in seen))
    return None


def _is_named(node: Node) -> bool:
    return node.op is Op.INPUT and "." in str(node.attributes["name"])


def _path(parameter: Node) -> str:
    return str(parameter.attributes["name"]).rpartition(".")[0]
