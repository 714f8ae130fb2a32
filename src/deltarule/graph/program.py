"""Programs: what a backend is asked to run.

A ``Program`` is a pure function of its inputs. A ``StepProgram`` is one training step as a pure program:
(parameters, optimiser state, batch, counters) → (parameters, optimiser state, metrics); a backend runs a whole
epoch of it in one call.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from deltarule.graph.node import Node, identity
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.shapes import count


@dataclass(frozen=True)
class Program:
    """A pure function: values for ``inputs`` (INPUT nodes, in argument order) to values of ``outputs``."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def signature(self) -> Hashable:
        """Return what the program computes without the identity of its inputs: programs of equal signature agree.

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
                parts.append(
                    (node.op, sources, identity(attributes), node.shape, node.dtype)
                )
                place[node] = len(place)
        return tuple(parts), tuple(
            place[node] for node in (*self.inputs, *self.outputs)
        )


@dataclass(frozen=True)
class StepProgram:
    """One training step. All shapes are static; ``batch`` inputs share their leading size.

    ``state`` and ``next_state`` correspond one to one in shape and element type (parameters, optimiser state,
    running statistics). ``step`` counts from 0 and ``seed`` is the run's seed (both int64 scalars); ``scalars``
    are float64 scalars that the host may change between calls (a learning-rate factor). ``metrics`` are
    scalars, or arrays whose elements a step hands out one after the other.
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
        """Number of values that a step hands out."""
        return sum(count(node.shape) for node in self.metrics)

    @property
    def batch_size(self) -> int:
        """Number of examples in a step."""
        return int(self.batch[0].shape[0])

    def signature(self) -> Hashable:
        """Return what the step computes without the identity of its inputs, as ``Program.signature`` does."""
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
