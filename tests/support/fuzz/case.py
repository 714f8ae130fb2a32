"""A program with the values of its inputs, the sum that is differentiated, and its text as Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program
from deltarule.graph.walk import topological

Array = npt.NDArray[Any]

_NAMES = {
    Op.ABS: "absolute",
    Op.NOT: "logical_not",
    Op.AND: "logical_and",
    Op.OR: "logical_or",
    Op.SUM: "sum_over",
    Op.MAX: "maximum_over",
    Op.BROADCAST: "broadcast_to",
    Op.SLICE: "slice_axes",
    Op.RANDOM: "random_uniform",
}


_IMPORTS = (
    "import numpy as np",
    "from deltarule import dtypes",
    "from deltarule.backends.native.backend import NativeBackend",
    "from deltarule.backends.reference import ReferenceBackend",
    "from deltarule.grad.reverse import gradients",
    "from deltarule.graph import build",
    "from deltarule.graph import functions as f",
    "from deltarule.graph.program import Program",
)
_ENDING = (
    "program = Program(tuple(values), tuple(outputs))",
    "for backend in (ReferenceBackend(), NativeBackend()):",
    "    compiled = backend.compile(program, {threads})",
    "    print([result.tolist() for result in compiled(*values.values())])",
)


@dataclass(frozen=True)
class Case:
    """``results`` are (node, weight): what is computed, and its factor in the loss Σ result·weight (if it is float).

    ``order`` derivatives are taken of the loss in ``wrt``: none, first, or also second ones (of Σ slope·direction).
    ``special`` programs hold infinities and NaN and are compared value by value.
    """

    values: dict[Node, Array]
    results: list[tuple[Node, Node | None]]
    wrt: list[Node] = field(default_factory=list)
    order: int = 0
    special: bool = False
    threads: int = 1

    @property
    def weighted(self) -> list[tuple[Node, Node]]:
        """The float results with their weights."""
        return [(node, weight) for node, weight in self.results if weight is not None]

    def outputs(self) -> list[Node]:
        """Return results and derivatives."""
        found = [node for node, _ in self.results]
        if not self.order or not self.weighted or not self.wrt:
            return found
        parts = [
            build.sum_over(build.multiply(node, weight))
            for node, weight in self.weighted
        ]
        slopes = gradients(_total(parts), self.wrt)
        found += slopes
        if self.order > 1:
            squares = [
                build.sum_over(build.multiply(slope, build.tanh(slope)))
                for slope in slopes
            ]
            found += gradients(_total(squares), self.wrt)
        return found

    def program(self) -> Program:
        """Return the program of the outputs."""
        return Program(tuple(self.values), tuple(self.outputs()))

    @property
    def size(self) -> int:
        """How many operations there are before differentiation."""
        return len(
            [
                node
                for node in topological([node for node, _ in self.results])
                if node.op is not Op.INPUT
            ]
        )

    def code(self) -> str:
        """Return a short program that shows the difference by itself."""
        names: dict[Node, str] = {}
        nodes = topological(
            [
                *(node for pair in self.results for node in pair if node is not None),
                *self.wrt,
            ]
        )
        lines = [*_IMPORTS, "", "values = {}"]
        for node in nodes:
            names[node] = f"{'x' if node.op is Op.INPUT else 'n'}{len(names)}"
            lines.append(f"{names[node]} = {_constructed(node, names)}")
            if node in self.values:
                array = self.values[node]
                numbers = np.array2string(
                    array.reshape(-1),
                    separator=", ",
                    threshold=10**6,
                    floatmode="unique",
                    max_line_width=110,
                )
                numbers = numbers.replace("nan", "np.nan").replace("inf", "np.inf")
                lines.append(
                    f"values[{names[node]}] = np.array({numbers}, '{node.dtype}').reshape({array.shape})"
                )
        lines.append(
            f"outputs = [{', '.join(names[node] for node, _ in self.results)}]"
        )
        if self.order and self.weighted and self.wrt:
            lines += self._derivatives(names)
        return "\n".join([*lines, *_ENDING]).replace("{threads}", str(self.threads))

    def _derivatives(self, names: dict[Node, str]) -> list[str]:
        """Return the lines that add derivatives to the outputs."""
        sums = [
            f"build.sum_over(build.multiply({names[node]}, {names[weight]}))"
            for node, weight in self.weighted
        ]
        wrt = f"[{', '.join(names[node] for node in self.wrt)}]"
        lines = [f"slopes = gradients({_added(sums)}, {wrt})", "outputs += slopes"]
        if self.order > 1:
            slopes = [f"slopes[{i}]" for i in range(len(self.wrt))]
            squares = [
                f"build.sum_over(build.multiply({slope}, build.tanh({slope})))"
                for slope in slopes
            ]
            lines.append(f"outputs += gradients({_added(squares)}, {wrt})")
        return lines


def _total(parts: list[Node]) -> Node:
    total = parts[0]
    for part in parts[1:]:
        total = build.add(total, part)
    return total


def _added(parts: list[str]) -> str:
    total = parts[0]
    for part in parts[1:]:
        total = f"build.add({total}, {part})"
    return total


def _constructed(node: Node, names: dict[Node, str]) -> str:
    """Return the call that makes a node."""
    sources = ", ".join(names[source] for source in node.sources)
    given = dict(node.attributes)
    kind = f"dtypes.{node.dtype.name.upper()}"
    if node.op is Op.INPUT:
        return f"build.input_node('{names[node]}', {node.shape}, {kind})"
    if node.op is Op.CONSTANT:
        value = repr(given["value"])
        return f"build.constant({f'float({value!r})' if value in {'inf', '-inf', 'nan'} else value}, {kind})"
    if node.op is Op.IOTA:
        return f"build.iota({given['shape']}, {given['axis']}, {kind})"
    if node.op is Op.RANDOM:
        return f"build.random_uniform({given['shape']}, {sources}, {given['stream']}, {kind})"
    if node.op is Op.CAST:
        return f"build.cast({sources}, {kind})"
    if node.op is Op.CHECK:
        value, condition, shown = (names[source] for source in node.sources)
        return f"build.check({value}, {condition}, {shown}, where='a value', expected='what holds')"
    if node.op is Op.CONCATENATE:
        sources = f"[{sources}]"
    function = f"build.{_NAMES.get(node.op, node.op.name.lower())}"
    if node.op is Op.CALL:
        function = f"f.{given.pop('function')}"
    options = "".join(f", {name}={value!r}" for name, value in given.items())
    return f"{function}({sources}{options})"
