"""The verifier: what a legal graph is. Tests run it after every pass."""

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


def _again(
    constructor: Callable[..., Node], *attributes: str
) -> Callable[[Node], Node]:
    """Return what the constructor makes of a node's sources and attributes."""

    def construct(node: Node) -> Node:
        return constructor(
            *node.sources, *(node.attributes[name] for name in attributes)
        )

    return construct


def _by_name(constructor: Callable[..., Node]) -> Callable[[Node], Node]:
    return lambda node: constructor(*node.sources, **node.attributes)


# What the constructor would say of the same sources and attributes: shape and element type must agree.
_CONSTRUCTED: dict[Op, Callable[[Node], Node]] = {
    Op.SUM: _again(build.sum_over, "axes"),
    Op.MAX: _again(build.maximum_over, "axes"),
    Op.ARGMAX: _again(build.argmax, "axis"),
    Op.CUMULATIVE_SUM: _again(build.cumulative_sum, "axis"),
    Op.RESHAPE: _again(build.reshape, "shape"),
    Op.PERMUTE: _again(build.permute, "order"),
    Op.BROADCAST: _again(build.broadcast_to, "shape"),
    Op.SLICE: _again(build.slice_axes, "starts", "stops", "steps"),
    Op.PAD: _again(build.pad, "low", "high", "interior"),
    Op.FLIP: _again(build.flip, "axes"),
    Op.CONCATENATE: lambda node: build.concatenate(
        node.sources, node.attributes["axis"]
    ),
    Op.GATHER: _again(build.gather, "axis"),
    Op.SCATTER_ADD: _again(build.scatter_add, "axis", "size"),
    Op.ARGSORT: _again(build.argsort, "axis"),
    Op.MATMUL: _again(build.matmul),
    Op.CONVOLVE: _by_name(build.convolve),
    Op.CONVOLVE_TRANSPOSED: _by_name(build.convolve_transposed),
    Op.CONVOLVE_WEIGHT: _by_name(build.convolve_weight),
    Op.WINDOWS: _by_name(build.windows),
    Op.FOLD: _by_name(build.fold),
    Op.SOLVE: _again(build.solve),
    Op.LOG_DETERMINANT: _again(build.log_determinant),
    Op.CHOLESKY: _again(build.cholesky),
    Op.CALL: expansion,
}


def _compared(node: Node) -> tuple[Node, ...]:
    """Return the operands whose element type the result has."""
    return (
        node.sources[1:]
        if node.op is Op.WHERE
        else node.sources[:1]
        if node.op is Op.CHECK
        else node.sources
    )


def _fault(node: Node) -> str | None:
    """Say what is illegal about one node, or None."""
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
        if (
            node.op in _CONDITIONS
            and node.sources[_CONDITIONS[node.op]].dtype is not dtypes.BOOL
        ):
            return "a condition that is not bool"
    if node.op in _FLOATS and not all(kind.is_float for kind in kinds):
        return "operands that are not floating-point"
    if node.op is Op.CALL and node.attributes.get("function") not in FUNCTIONS:
        return "a call of an unknown function"
    if node.op in _CONSTRUCTED:
        again = _CONSTRUCTED[node.op](node)
        if (again.shape, again.dtype) != (node.shape, node.dtype):
            return f"shape {shapes.show(node.shape)} where {shapes.show(again.shape)} follows"
    return None


def verify(outputs: Iterable[Node]) -> None:
    """Raise GraphError at the first illegal node below ``outputs``."""
    for node in topological(outputs):
        try:
            fault = _fault(node)
        except DeltaruleError as error:
            fault = str(error)
        if fault:
            raise GraphError(
                f"illegal node {node!r}", expected="a legal graph", got=fault
            )
