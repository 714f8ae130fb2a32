"""Summaries: one row per layer of a forward pass, up to the first layer that does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from deltarule import dtypes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import topological
from deltarule.nn.context import LayerCall, Record, example_shape
from deltarule.nn.layer import Layer
from deltarule.nn.summary import drawing, page
from deltarule.nn.summary.input_sizes import fitting_inputs
from deltarule.nn.summary.receptive_field import ReceptiveFields
from deltarule.nn.summary.row import Row
from deltarule.shapes import Dimension, Shape, count
from deltarule.tensor.tensor import Tensor
from deltarule.train.protocol import Mode

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """The layers of a network with shapes, parameters, flops and receptive fields.

    ``print`` shows it as a table; ``to_dict`` returns plain data. ``output_shape`` is
    that of the network, or of the last layer that fits; ``fault`` and ``advice`` say
    what does not fit and what would; ``output_reads`` has the positions of the rows
    that the output is made from.

    >>> from deltarule import nn
    >>> summary = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).summary((3,))
    >>> summary.n_parameters, summary.output_shape, summary.complete
    (8, (2,), True)
    """

    model: str
    rows: list[Row]
    output_shape: Shape
    n_parameters: int
    n_frozen: int = 0
    fault: str = ""
    advice: list[str] = field(default_factory=list)
    bytes_per_number: int = 4
    output_reads: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the whole network fits the input."""
        return not self.fault

    @property
    def flops(self) -> int:
        """Floating-point operations of one example's forward pass; layers of unknown cost count 0."""
        return sum(row.flops or 0 for row in self.rows)

    @property
    def activations(self) -> int:
        """Number of activations of one example's forward pass, the input included."""
        return sum(row.activations for row in self.rows)

    @property
    def n_bytes(self) -> int:
        """Memory of the parameters in bytes."""
        return self.n_parameters * self.bytes_per_number

    def __str__(self) -> str:
        return page.text(self)

    def text(self, columns: int | None = None) -> str:
        """Return the summary for a terminal of the given width: too wide a table has its arithmetic below each row."""
        return page.text(self, columns)

    def _repr_html_(self) -> str:
        drawn = f"<details><summary>diagram</summary>{self.svg()}</details>"
        return page.html(self) + drawn

    def svg(self) -> str:
        """Draw the network as SVG.

        A chain of dense layers is drawn as neurons and edges, with dots in columns of more than 16; any other network
        as blocks with output shapes and numbers of parameters, and arrows from the layers that each reads.

        >>> from deltarule import nn
        >>> drawing = nn.Sequential(nn.Linear(3, 2), nn.Tanh()).summary((3,)).svg()
        >>> drawing.count("<circle"), drawing.count("<line")
        (5, 6)
        """
        return drawing.svg(self, self.model)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON.

        >>> from deltarule import nn
        >>> summary = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).summary((2,))
        >>> summary.to_dict()["complete"]
        True
        """
        return {
            **asdict(self),
            "flops": self.flops,
            "activations": self.activations,
            "complete": self.complete,
        }


class HasDType(Protocol):
    """The internal state of a module: the element type of its parameters."""

    @property
    def dtype(self) -> DType:
        """The element type of the parameters."""
        ...


class Network(Layer, Protocol):
    """A module that can be run on symbolic inputs; every ``Module`` is one."""

    @property
    def _own(self) -> HasDType: ...

    @property
    def n_parameters(self) -> int:
        """Number of parameter values."""
        ...

    def parameters(self) -> list[Tensor]:
        """Return the trainable parameters."""
        ...

    def input_dtype(self) -> DType | None:
        """Return the element type that the input must have, or None."""
        ...

    def record(self) -> Record:
        """Return an empty record of a call."""
        ...

    def run(
        self,
        record: Record,
        inputs: tuple[Tensor, ...],
        mode: Mode,
        batched: bool | None,
    ) -> Any:
        """Run ``forward`` and fill the record."""
        ...


def summarize(
    module: Network, input_shape: Sequence[int] | Sequence[Sequence[int]]
) -> Summary:
    """Run a network on symbolic inputs of the given shapes and return the summary of its layers.

    >>> from deltarule import nn
    >>> summarize(nn.Linear(3, 2), (3,)).flops
    12
    """
    batch = Dimension("N")
    examples = [_check_example(shape) for shape in _input_shapes(input_shape)]
    kind = module.input_dtype() or dtypes.FLOAT32
    inputs = tuple(
        Tensor(build.input_node("input", (batch, *e), kind)) for e in examples
    )
    record = module.record()
    fault, advice, output = "", [], None
    try:
        output = module.run(record, inputs, "inference", batched=True)
    except DeltaruleError as error:
        fault = str(error).splitlines()[0]
        advice = [error.hint] if error.hint else []
        advice += fitting_inputs(record.trail, error, examples[0])
    rows = [Row(0, "", "input", e, count(e)) for e in examples]
    sources = {x.node: i for i, x in enumerate(inputs)}
    rows += _rows(record.trail, ReceptiveFields(inputs, examples[0]), sources)
    reads = _reads([output], sources) if isinstance(output, Tensor) else ()
    counted = sum(row.parameters for row in rows)
    elsewhere = module.n_parameters - counted
    if elsewhere and not fault:
        number = len(record.trail) + 1
        rows.append(
            Row(number, "", "parameters elsewhere", (), 0, parameters=elsewhere)
        )
    trainable = sum(item.size for item in module.parameters())
    reached = (
        rows[-1].output
        if fault or not isinstance(output, Tensor)
        else example_shape(output, batched=True)
    )
    frozen = module.n_parameters - trainable
    width = module._own.dtype.itemsize
    return Summary(
        type(module).__name__,
        rows,
        reached,
        module.n_parameters,
        frozen,
        fault,
        advice,
        width,
        reads,
    )


def _input_shapes(input_shape: Sequence[Any]) -> list[Sequence[Any]]:
    if not isinstance(input_shape, (tuple, list)):
        raise ArgumentError(
            "summary input_shape",
            expected="the shape of one example, such as (784,)",
            got=repr(input_shape),
        )
    several = input_shape and isinstance(input_shape[0], (tuple, list))
    return list(input_shape) if several else [input_shape]


def _check_example(shape: Sequence[Any]) -> tuple[int, ...]:
    if any(
        isinstance(size, bool) or not isinstance(size, int) or size < 1
        for size in shape
    ):
        raise ArgumentError(
            "summary",
            expected="the shape of one example in whole numbers ≥ 1, such as (28, 28, 1)",
            got=repr(tuple(shape)),
            hint="Leave the batch size out.",
        )
    return tuple(shape)


def _reads(tensors: Sequence[Tensor], sources: Mapping[Node, int]) -> tuple[int, ...]:
    """Return the positions of the rows that tensors are made from without another row between."""
    nodes = topological([x.node for x in tensors], frozenset(sources))
    return tuple(sorted({sources[node] for node in nodes if node in sources}))


def _rows(
    trail: Sequence[LayerCall], fields: ReceptiveFields, sources: dict[Node, int]
) -> list[Row]:
    rows: list[Row] = []
    first: dict[int, int] = {}
    n_inputs = len(sources)
    for number, call in enumerate(trail, start=1):
        layer, output = call.layer, call.output_shape
        reads = _reads(call.inputs, sources)
        sources[call.output.node] = n_inputs + number - 1
        cost = layer.layer_cost(call.input_shape, output)
        n_parameters = sum(count(shape) for shape in layer.parameter_shapes().values())
        known = first.setdefault(id(layer), number)
        rows.append(
            Row(
                number,
                call.name,
                layer.label(),
                output,
                count(output),
                cost.how,
                n_parameters if known == number else 0,
                cost.parameters if known == number else "",
                frozen=bool(n_parameters) and not layer.named_parameters(),
                shared_with=known if known != number and n_parameters else None,
                flops=cost.flops,
                receptive_field=fields.after(call, cost),
                reads=reads,
            )
        )
    return rows


check_calls(__name__)
