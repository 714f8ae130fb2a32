"""How far rounding may move the value of a graph: the graph evaluated again with noise after each operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deltarule.explain.proof.domains import Domain
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES, Op
from deltarule.graph.rewrite import expand_calls, with_sources
from deltarule.graph.walk import topological

_NOISE = 2.0**-36  # relative size of the noise
UNIT = 2.0**-53 / _NOISE  # rounding errors of float64 relative to the noise
_EXACT = frozenset(
    {
        Op.RESHAPE,
        Op.BROADCAST,
        Op.PERMUTE,
        Op.CAST,
        Op.NEGATE,
        Op.ABS,
        Op.SIGN,
        Op.MAXIMUM,
        Op.MINIMUM,
        Op.MAX,
        Op.WHERE,
        Op.SLICE,
        Op.PAD,
        Op.CONCATENATE,
        Op.GATHER,
        Op.STOP_GRADIENT,
    }
)


class Noisy:
    """Graphs with a relative error after each operation that rounds, drawn anew in each evaluation."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self._noise: list[Node] = []
        expanded = expand_calls(roots)
        known: dict[Node, Node] = {}
        for node in topological(expanded):
            if node.op in LEAVES:
                known[node] = node
                continue
            twin = with_sources(node, [known[source] for source in node.sources])
            known[node] = self._perturbed(twin) if _rounds(node) else twin
        self.nodes = [known[node] for node in expanded]

    def _perturbed(self, node: Node) -> Node:
        noise = build.input_node("noise", node.shape, node.dtype)
        self._noise.append(noise)
        return build.add(node, build.multiply(noise, node))

    def values(
        self,
        evaluate: Callable[[Sequence[Node], Mapping[Node, Any]], list[Any]],
        draw: Callable[[Node, Domain], Any],
        given: Mapping[Node, Any],
    ) -> list[Any]:
        """Return values of the graphs with noise."""
        noise = {node: _NOISE * draw(node, Domain("real")) for node in self._noise}
        return evaluate(self.nodes, {**given, **noise})


def _rounds(node: Node) -> bool:
    return node.dtype.is_float and node.op not in _EXACT
