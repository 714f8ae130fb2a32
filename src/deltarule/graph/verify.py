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
_FLOATS = frozenset({
    Op.EXP, Op.EXPM1, Op.LOG, Op.LOG1P, Op.SQRT, Op.SIN, Op.COS, Op.TANH, Op.ERF, Op.DIVIDE, Op.POWER,
    Op.MATMUL, Op.CONVOLVE, Op.CONVOLVE_TRANSPOSED, Op.CONVOLVE_WEIGHT, Op.SOLVE, Op.LOG_DETERMINANT, Op.CHOLESKY,
})  # fmt: skip


def _a(node: Node, *names: str) -> list[object]:
    return [node.attributes[name] for name in names]


# What the constructor would say of the same sources and attributes: shape and element type must agree.
_AGAIN: dict[Op, Callable[[Node], Node]] = {
    Op.SUM: lambda n: build.sum_over(*n.sources, n.attributes["axes"]),
    Op.MAX: lambda n: build.maximum_over(*n.sources, n.attributes["axes"]),
    Op.ARGMAX: lambda n: build.argmax(*n.sources, n.attributes["axis"]),
    Op.RESHAPE: lambda n: build.reshape(*n.sources, n.attributes["shape"]),
    Op.PERMUTE: lambda n: build.permute(*n.sources, n.attributes["order"]),
    Op.BROADCAST: lambda n: build.broadcast_to(*n.sources, n.attributes["shape"]),
    Op.SLICE: lambda n: build.slice_axes(*n.sources, *_a(n, "starts", "stops", "steps")),  # type: ignore[arg-type]  # attributes are typed by the constructors
    Op.PAD: lambda n: build.pad(*n.sources, *_a(n, "low", "high", "interior")),  # type: ignore[arg-type]  # as above
    Op.FLIP: lambda n: build.flip(*n.sources, n.attributes["axes"]),
    Op.CONCATENATE: lambda n: build.concatenate(n.sources, n.attributes["axis"]),
    Op.GATHER: lambda n: build.gather(*n.sources, n.attributes["axis"]),
    Op.SCATTER_ADD: lambda n: build.scatter_add(*n.sources, n.attributes["axis"], n.attributes["size"]),
    Op.ARGSORT: lambda n: build.argsort(*n.sources, n.attributes["axis"]),
    Op.MATMUL: lambda n: build.matmul(*n.sources),
    Op.CONVOLVE: lambda n: build.convolve(*n.sources, **n.attributes),
    Op.CONVOLVE_TRANSPOSED: lambda n: build.convolve_transposed(*n.sources, **n.attributes),
    Op.CONVOLVE_WEIGHT: lambda n: build.convolve_weight(*n.sources, **n.attributes),
    Op.WINDOWS: lambda n: build.windows(*n.sources, **n.attributes),
    Op.FOLD: lambda n: build.fold(*n.sources, **n.attributes),
    Op.SOLVE: lambda n: build.solve(*n.sources),
    Op.LOG_DETERMINANT: lambda n: build.log_determinant(*n.sources),
    Op.CHOLESKY: lambda n: build.cholesky(*n.sources),
    Op.CALL: expansion,
}


def _fault(node: Node) -> str | None:
    """Say what is illegal about one node, or None."""
    kinds = {source.dtype for source in node.sources}
    if node.op in ELEMENTWISE:
        if any(source.shape != node.shape for source in node.sources):
            return "an element-wise node whose operands differ in shape"
        compared = node.sources[1:] if node.op is Op.WHERE else node.sources
        if len({source.dtype for source in compared}) > 1:
            return "an element-wise node whose operands differ in element type"
        expected = dtypes.BOOL if node.op in {Op.EQUAL, Op.LESS} else compared[0].dtype
        if node.op is not Op.CAST and node.dtype is not expected:
            return f"an element type {node.dtype} that does not follow from its operands"
        if node.op in _BOOLEAN and kinds != {dtypes.BOOL}:
            return "a logical node of operands that are not bool"
        if node.op is Op.WHERE and node.sources[0].dtype is not dtypes.BOOL:
            return "a condition that is not bool"
    if node.op in _FLOATS and not all(kind.is_float for kind in kinds):
        return "operands that are not floating-point"
    if node.op is Op.CALL and node.attributes.get("function") not in FUNCTIONS:
        return "a call of an unknown function"
    if node.op in _AGAIN:
        again = _AGAIN[node.op](node)
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
            raise GraphError(f"illegal node {node!r}", expected="a legal graph", got=fault)
