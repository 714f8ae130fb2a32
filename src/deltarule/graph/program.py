"""Programs: the units that a backend compiles and runs.

A ``Program`` is a pure function of its inputs. A ``StepProgram`` is one training step as a pure function,
(parameters, optimiser state, batch, counters) → (parameters, optimiser state, metrics); a backend runs the steps of a
whole epoch in one call.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from deltarule.graph.node import Node, attributes_key
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.shapes import count


@dataclass(frozen=True)
class Program:
    """A pure function from values of ``inputs`` (INPUT nodes, in the order of arguments) to values of ``outputs``.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (2,))
    >>> Program((x,), (exp(x),)).outputs
    (<exp (2) float32>,)
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def signature(self) -> Hashable:
        """Return a key of what the program computes, which does not depend on the identity of its inputs.

        >>> from deltarule.graph.build import exp, input_node
        >>> x, y = input_node("x", (2,)), input_node("x", (2,))
        >>> x is y, Program((x,), (exp(x),)).signature() == Program((y,), (exp(y),)).signature()
        (False, True)
        """
        order = [
            *self.inputs,
            *(node for node in topological(self.outputs) if node.op is not Op.INPUT),
        ]
        place: dict[Node, int] = {}
        parts: list[Hashable] = []
        for node in order:
            if node not in place:
                attributes = {
                    key: value for key, value in node.attributes.items() if key != "uid"
                }
                sources = tuple(place[source] for source in node.sources)
                key = attributes_key(attributes)
                parts.append((node.op, sources, key, node.shape, node.dtype))
                place[node] = len(place)
        ends = tuple(place[node] for node in (*self.inputs, *self.outputs))
        return tuple(parts), ends


@dataclass(frozen=True)
class StepProgram:
    """One training step as a pure function; all shapes are static.

    Attributes:
        state: Inputs of the parameters, optimiser state and running statistics.
        batch: Inputs of the batch, with equal first sizes.
        step: Number of the step from 0, an int64 scalar.
        seed: Seed of the run, an int64 scalar.
        scalars: Float64 scalars that may change between calls (a learning-rate factor).
        next_state: The new state, of the shapes and element types of ``state``.
        metrics: Scalars, or arrays whose elements are returned one after the other.

    >>> from deltarule.graph import build
    >>> w, x = build.input_node("w", (2,)), build.input_node("x", (8, 2))
    >>> step, seed = (build.input_node(n, (), build.constant(0).dtype) for n in ("step", "seed"))
    >>> total = build.sum_over(x, 0)
    >>> program = StepProgram((w,), (x,), step, seed, (), (build.add(w, total),), ())
    >>> program.batch_size
    8
    """

    state: tuple[Node, ...]
    batch: tuple[Node, ...]
    step: Node
    seed: Node
    scalars: tuple[Node, ...]
    next_state: tuple[Node, ...]
    metrics: tuple[Node, ...]

    @property
    def metrics_width(self) -> int:
        """Number of metric values that a step returns."""
        return sum(count(node.shape) for node in self.metrics)

    @property
    def batch_size(self) -> int:
        """Number of examples in a step."""
        return int(self.batch[0].shape[0])

    def signature(self) -> Hashable:
        """Return a key of what the step computes, as ``Program.signature`` does."""
        return (
            len(self.state),
            len(self.batch),
            len(self.scalars),
            self.as_program().signature(),
        )

    def as_program(self) -> Program:
        """Return the step as a plain program: state, batch, step, seed, scalars → next state, metrics."""
        inputs = (*self.state, *self.batch, self.step, self.seed, *self.scalars)
        return Program(inputs, (*self.next_state, *self.metrics))
