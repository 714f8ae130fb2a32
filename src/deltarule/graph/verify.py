"""The verifier: checks that a graph is well formed; tests run it after every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from deltarule import dtypes, shapes
from deltarule.errors import DeltaruleError, GraphError
from deltarule.graph import build
from deltarule.graph.function import FUNCTIONS, expansion
from deltarule.graph.node import Node
from deltarule.graph.op import ELEMENTWISE, Op
from deltarule.graph.walk import topological

_BOOLEAN = frozenset({Op.AND, Op.OR, Op.NOT})
_CONDITIONS = {Op.WHERE: 0, Op.CHECK: 1}  # which operand is the condition
_FLOATS = frozenset(
    {
        Op.EXP,
        Op.EXPM1,
        Op.LOG,
        Op.LOG1P,
        Op.SQRT,
        Op.SIN,
        Op.COS,
        Op.TANH,
        Op.ERF,
        Op.DIVIDE,
        Op.FMOD,
        Op.POWER,
        Op.MATMUL,
        Op.CONVOLVE,
        Op.CONVOLVE_TRANSPOSED,
        Op.CONVOLVE_WEIGHT,
        Op.SOLVE,
        Op.LOG_DETERMINANT,
        Op.CHOLESKY,
    }
)


def _rebuilt_by(
    constructor: Callable[..., Node], *attributes: str
) -> Callable[[Node], Node]:
    """Return a function that rebuilds a node by its constructor, with attributes as positional arguments."""

    def construct(node: Node) -> Node:
        return constructor(
            *node.sources, *(node.attributes[name] for name in attributes)
        )

    return construct


def _rebuilt_by_keywords(constructor: Callable[..., Node]) -> Callable[[Node], Node]:
    return lambda node: constructor(*node.sources, **node.attributes)


# Rebuilds a node from its sources and attributes: shape and element type must agree with the node.
_REBUILD: dict[Op, Callable[[Node], Node]] = {
    Op.SUM: _rebuilt_by(build.sum_over, "axes"),
    Op.MAX: _rebuilt_by(build.maximum_over, "axes"),
    Op.ARGMAX: _rebuilt_by(build.argmax, "axis"),
    Op.CUMULATIVE_SUM: _rebuilt_by(build.cumulative_sum, "axis"),
    Op.RESHAPE: _rebuilt_by(build.reshape, "shape"),
    Op.PERMUTE: _rebuilt_by(build.permute, "order"),
    Op.BROADCAST: _rebuilt_by(build.broadcast_to, "shape"),
    Op.SLICE: _rebuilt_by(build.slice_axes, "starts", "stops", "steps"),
    Op.PAD: _rebuilt_by(build.pad, "low", "high", "interior"),
    Op.FLIP: _rebuilt_by(build.flip, "axes"),
    Op.CONCATENATE: lambda node: build.concatenate(
        node.sources, node.attributes["axis"]
    ),
    Op.GATHER: _rebuilt_by(build.gather, "axis"),
    Op.SCATTER_ADD: _rebuilt_by(build.scatter_add, "axis", "size"),
    Op.ARGSORT: _rebuilt_by(build.argsort, "axis"),
    Op.MATMUL: _rebuilt_by(build.matmul),
    Op.CONVOLVE: _rebuilt_by_keywords(build.convolve),
    Op.CONVOLVE_TRANSPOSED: _rebuilt_by_keywords(build.convolve_transposed),
    Op.CONVOLVE_WEIGHT: _rebuilt_by_keywords(build.convolve_weight),
    Op.WINDOWS: _rebuilt_by_keywords(build.windows),
    Op.FOLD: _rebuilt_by_keywords(build.fold),
    Op.SOLVE: _rebuilt_by(build.solve),
    Op.LOG_DETERMINANT: _rebuilt_by(build.log_determinant),
    Op.CHOLESKY: _rebuilt_by(build.cholesky),
    Op.CALL: expansion,
}


def _compared(node: Node) -> tuple[Node, ...]:
    """Return the operands that have the element type of the result."""
    if node.op is Op.WHERE:
        return node.sources[1:]
    return node.sources[:1] if node.op is Op.CHECK else node.sources


def _violation(node: Node) -> str | None:
    """Return what is wrong with one node, or None."""
    kinds = {source.dtype for source in node.sources}
    if node.op in ELEMENTWISE:
        if any(source.shape != node.shape for source in node.sources):
            return "an element-wise node whose operands differ in shape"
        compared = _compared(node)
        if len({source.dtype for source in compared}) > 1:
            return "an element-wise node whose operands differ in element type"
        expected = dtypes.BOOL if node.op in {Op.EQUAL, Op.LESS} else compared[0].dtype
        if node.op is not Op.CAST and node.dtype is not expected:
            return (
                f"an element type {node.dtype} that does not follow from its operands"
            )
        if node.op in _BOOLEAN and kinds != {dtypes.BOOL}:
            return "a logical node of operands that are not bool"
        condition = _CONDITIONS.get(node.op)
        if condition is not None and node.sources[condition].dtype is not dtypes.BOOL:
            return "a condition that is not bool"
    if node.op in _FLOATS and not all(kind.is_float for kind in kinds):
        return "operands that are not floating-point"
    if node.op is Op.CALL and node.attributes.get("function") not in FUNCTIONS:
        return "a call of an unknown function"
    if node.op in _REBUILD:
        rebuilt = _REBUILD[node.op](node)
        if (rebuilt.shape, rebuilt.dtype) != (node.shape, node.dtype):
            return f"shape {shapes.show(node.shape)} where {shapes.show(rebuilt.shape)} follows"
    return None


def verify(outputs: Iterable[Node]) -> None:
    """Raise GraphError for the first invalid node that ``outputs`` depend on.

    >>> verify([build.exp(build.input_node("x", (3,)))])
    """
    for node in topological(outputs):
        try:
            violation = _violation(node)
        except DeltaruleError as error:
            violation = str(error)
        if violation:
            raise GraphError(
                f"invalid node {node!r}", expected="a valid graph", got=violation
            )
