"""The reference backend: every primitive in NumPy, in one table. The test oracle of all engines, and eager evaluation.

Every node is evaluated once, in topological order, in its own element type; named functions are expanded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple, final

import numpy as np

from deltarule import shapes
from deltarule.backends import convolution, threefry
from deltarule.backends.base import Array, Executable, StepRunner
from deltarule.backends.stepper import LoopRunner
from deltarule.backends.validation import check_arrays, check_error
from deltarule.cached import cached_property
from deltarule.dtypes import DTYPES, SHORT_SUM
from deltarule.errors import DataError, GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program, StepProgram
from deltarule.graph.rewrite import expand_calls, specialise
from deltarule.graph.walk import topological

_erf = np.frompyfunc(math.erf, 1, 1)
_KINDS = {name: np.dtype(name) for name in DTYPES}
_MAX_CACHED_ELEMENTS = 2**16  # larger constant values are recomputed in every run
_MAX_COPIED_ELEMENTS = 2**12  # up to this size a copy is faster than a broadcast view


def _cast(node: Node, x: Array) -> Array:
    """Cast to another type; floats are truncated towards zero and saturate at the bounds, NaN becomes 0."""
    if not (node.dtype.is_integer and x.dtype.kind == "f"):
        return x.astype(_KINDS[node.dtype.name])
    bounds = np.iinfo(node.dtype.name)
    low, high = x <= float(bounds.min), x >= float(bounds.max)
    inside = np.where(low | high | np.isnan(x), 0, x).astype(node.dtype.name)
    return np.asarray(
        np.where(low, bounds.min, np.where(high, bounds.max, inside)), node.dtype.name
    )


def _ramp(node: Node) -> Array:
    shape, axis = node.attributes["shape"], node.attributes["axis"]
    ramp = np.arange(shape[axis], dtype=node.dtype.name)
    return np.broadcast_to(
        ramp.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape
    )


def _broadcast(node: Node, x: Array) -> Array:
    if math.prod(node.shape) > _MAX_COPIED_ELEMENTS:
        return np.broadcast_to(x, node.shape)
    result = np.empty(node.shape, x.dtype)
    result[...] = x
    return result


def _random(node: Node, seed: Array, step: Array) -> Array:
    shape = node.attributes["shape"]
    n, stream, kind = (
        shapes.count(shape[seed.ndim :]),
        node.attributes["stream"],
        node.dtype.name,
    )
    keys = zip(seed.reshape(-1).tolist(), step.reshape(-1).tolist(), strict=True)
    parts = [threefry.uniform(n, first, second, stream, kind) for first, second in keys]
    return np.concatenate(parts).reshape(shape) if parts else np.zeros(shape, kind)


def _slice(node: Node, x: Array) -> Array:
    a = node.attributes
    return x[tuple(map(slice, a["starts"], a["stops"], a["steps"]))]


def _pad(node: Node, x: Array) -> Array:
    a = node.attributes
    result = np.zeros(node.shape, x.dtype)
    inside = tuple(
        slice(low, low + max(0, (size - 1) * (inner + 1) + 1), inner + 1)
        for low, inner, size in zip(a["low"], a["interior"], x.shape, strict=True)
    )
    result[inside] = x
    return result


def _checked(node: Node, indices: Array, size: int) -> Array:
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        bad = indices.min() if indices.min() < 0 else indices.max()
        raise DataError(
            f"{node.op.name.lower()}",
            expected=f"indices in [0, {size})",
            got=str(int(bad)),
        )
    return indices


def _check(node: Node, x: Array, condition: Array, shown: Array) -> Array:
    if not condition.all():
        raise check_error(node.attributes["message"], shown[~condition].flat[0])
    return x


def _gather(node: Node, x: Array, indices: Array) -> Array:
    axis = node.attributes["axis"]
    return np.take(x, _checked(node, indices, x.shape[axis]), axis=axis)


def _scatter_add(node: Node, indices: Array, updates: Array) -> Array:
    axis = node.attributes["axis"]
    result = np.zeros(node.shape, updates.dtype)
    place: Any = (
        *([slice(None)] * axis),
        _checked(node, indices, node.attributes["size"]),
    )
    np.add.at(result, place, updates)
    return result


def _sum(node: Node, x: Array) -> Array:
    """Return sums; long sums of float32 are accumulated in float64 and rounded once."""
    axes = node.attributes["axes"]
    length = math.prod(x.shape[axis] for axis in axes)
    wide = x.dtype == np.float32 and length > SHORT_SUM
    return np.asarray(np.add.reduce(x, axes, np.float64 if wide else x.dtype), x.dtype)


def _cumulative_sum(node: Node, x: Array) -> Array:
    """Return cumulative sums; those of float32 are accumulated in float64 and rounded once."""
    return np.cumsum(
        x, node.attributes["axis"], np.float64 if x.dtype == np.float32 else x.dtype
    )


def _solve(node: Node, a: Array, b: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(a, b))
    except np.linalg.LinAlgError as error:
        raise DataError(
            "solve", expected="an invertible matrix", got=str(error)
        ) from error


def _cholesky(node: Node, a: Array) -> Array:
    lower = np.tril(a)
    try:
        return np.asarray(
            np.linalg.cholesky(lower + np.swapaxes(np.tril(a, -1), -1, -2))
        )
    except np.linalg.LinAlgError as error:
        raise DataError(
            "cholesky", expected="a positive definite matrix", got=str(error)
        ) from error


Evaluate = Callable[..., Any]

EVALUATE: dict[Op, Evaluate] = {
    Op.CONSTANT: lambda n: np.asarray(n.attributes["value"], n.dtype.name),
    Op.IOTA: _ramp,
    Op.RANDOM: _random,
    Op.NEGATE: lambda n, x: -x,
    Op.ABS: lambda n, x: np.abs(x),
    Op.SIGN: lambda n, x: np.sign(x),
    Op.FLOOR: lambda n, x: np.floor(x),
    Op.EXP: lambda n, x: np.exp(x),
    Op.EXPM1: lambda n, x: np.expm1(x),
    Op.LOG: lambda n, x: np.log(x),
    Op.LOG1P: lambda n, x: np.log1p(x),
    Op.SQRT: lambda n, x: np.sqrt(x),
    Op.SIN: lambda n, x: np.sin(x),
    Op.COS: lambda n, x: np.cos(x),
    Op.TANH: lambda n, x: np.tanh(x),
    Op.ERF: lambda n, x: np.asarray(_erf(x.astype("float64")), "float64"),
    Op.NOT: lambda n, x: np.logical_not(x),
    Op.CAST: _cast,
    Op.STOP_GRADIENT: lambda n, x: x,
    Op.ADD: lambda n, x, y: x + y,
    Op.SUBTRACT: lambda n, x, y: x - y,
    Op.MULTIPLY: lambda n, x, y: x * y,
    Op.DIVIDE: lambda n, x, y: x / y,
    Op.FMOD: lambda n, x, y: np.fmod(x, y),
    Op.POWER: lambda n, x, y: np.power(x, y),
    Op.MAXIMUM: lambda n, x, y: np.maximum(x, y),
    Op.MINIMUM: lambda n, x, y: np.minimum(x, y),
    Op.EQUAL: lambda n, x, y: x == y,
    Op.LESS: lambda n, x, y: x < y,
    Op.AND: lambda n, x, y: x & y,
    Op.OR: lambda n, x, y: x | y,
    Op.WHERE: lambda n, c, x, y: np.where(c, x, y),
    Op.CHECK: _check,
    Op.SUM: _sum,
    Op.MAX: lambda n, x: np.maximum.reduce(x, n.attributes["axes"]),
    Op.ARGMAX: lambda n, x: np.argmax(x, axis=n.attributes["axis"]),
    Op.CUMULATIVE_SUM: _cumulative_sum,
    Op.RESHAPE: lambda n, x: x.reshape(n.shape),
    Op.PERMUTE: lambda n, x: x.transpose(n.attributes["order"]),
    Op.BROADCAST: _broadcast,
    Op.SLICE: _slice,
    Op.PAD: _pad,
    Op.FLIP: lambda n, x: np.flip(x, n.attributes["axes"]),
    Op.CONCATENATE: lambda n, *parts: np.concatenate(parts, n.attributes["axis"]),
    Op.GATHER: _gather,
    Op.SCATTER_ADD: _scatter_add,
    Op.ARGSORT: lambda n, x: np.argsort(x, axis=n.attributes["axis"], kind="stable"),
    Op.MATMUL: lambda n, x, y: x @ y,
    Op.CONVOLVE: convolution.convolve,
    Op.CONVOLVE_TRANSPOSED: convolution.convolve_transposed,
    Op.CONVOLVE_WEIGHT: convolution.convolve_weight,
    Op.WINDOWS: convolution.windows,
    Op.FOLD: convolution.fold,
    Op.SOLVE: _solve,
    Op.LOG_DETERMINANT: lambda n, a: np.linalg.slogdet(a)[1],
    Op.CHOLESKY: _cholesky,
}


def evaluate(outputs: Sequence[Node], values: Mapping[Node, Array]) -> list[Array]:
    """Return the values of ``outputs``, given the ``values`` of inputs and possibly of interior nodes.

    Unknown sizes are inferred from the values. Intermediate values are released after their last use.

    >>> x = build.input_node("x", (2,))
    >>> evaluate([build.exp(x)], {x: np.zeros(2, "float32")})[0].tolist()
    [1.0, 1.0]
    """
    outputs, values = _with_known_sizes(outputs, values)
    return _Interpreter(expand_calls(outputs, frontier=values), tuple(values)).run(
        values.values()
    )


def _with_known_sizes(
    outputs: Sequence[Node], values: Mapping[Node, Array]
) -> tuple[Sequence[Node], Mapping[Node, Array]]:
    """Replace unknown sizes by those of the arrays."""
    sizes: dict[shapes.Dimension, int] = {}
    for node, array in values.items():
        for size, number in zip(node.shape, array.shape, strict=False):
            if (
                isinstance(size, shapes.Dimension)
                and sizes.setdefault(size, number) != number
            ):
                raise DataError(
                    f"size {size}",
                    expected=f"{sizes[size]} everywhere",
                    got=f"{number} in {build.describe(node)}",
                )
    if not sizes:
        return outputs, values
    static_inputs = {
        node: build.input_node(
            str(node.attributes.get("name", "")), np.shape(array), node.dtype
        )
        for node, array in values.items()
    }
    return specialise(outputs, sizes, static_inputs), {
        static_inputs[node]: array for node, array in values.items()
    }


class _Instruction(NamedTuple):
    """The evaluation of one node; operands and result are entries of a table of values."""

    place: int
    node: Node
    compute: Evaluate
    sources: tuple[int, ...]
    kind: np.dtype[Any]
    released: tuple[int, ...]  # entries whose last use this is


@final
class _Interpreter:
    """An interpreter of the graph of ``roots`` with inputs ``given``: instructions in topological order.

    Values that do not depend on ``given`` are computed in the first run and cached if they are small.
    """

    def __init__(self, roots: Sequence[Node], given: Sequence[Node]) -> None:
        known = frozenset(given)
        order = topological(roots, known)
        places = {node: place for place, node in enumerate(order)}
        constant = _constant_nodes(order, known)
        last_use = {
            source: reader
            for reader in order
            if reader not in known
            for source in reader.sources
        }
        live_out = {
            *roots,
            *(
                s
                for node in order
                if node not in constant
                for s in node.sources
                if s in constant
            ),
        }
        self._size = len(order) + 1
        self._input_places = [
            places.get(node, len(order)) for node in given
        ]  # the last entry of the table for inputs that are not used
        self._roots = [places[node] for node in roots]
        self._constant_instructions: list[_Instruction] = []
        self._instructions: list[_Instruction] = []
        for place, node in enumerate(order):
            if node in known:
                continue
            _require_value(node)
            sources = tuple(places[source] for source in node.sources)
            released = tuple(
                {
                    places[s]
                    for s in node.sources
                    if last_use[s] is node and s not in live_out
                }
            )
            instruction = _Instruction(
                place,
                node,
                EVALUATE[node.op],
                sources,
                _KINDS[node.dtype.name],
                released,
            )
            (
                self._constant_instructions if node in constant else self._instructions
            ).append(instruction)

    def run(self, given: Iterable[Array]) -> list[Array]:
        """Return the values of the roots for these values of the inputs."""
        values = self._initial_values.copy()
        for place, array in zip(self._input_places, given, strict=True):
            values[place] = array
        _execute(self._instructions, values)
        return [values[place] for place in self._roots]

    @cached_property
    def _initial_values(self) -> list[Any]:
        """The table of values before a run, with the constant values."""
        values: list[Any] = [None] * self._size
        _execute(self._constant_instructions, values)
        return values


def _execute(instructions: Sequence[_Instruction], values: list[Any]) -> None:
    """Execute instructions in order; values are released after their last use."""
    with np.errstate(all="ignore"):
        for place, node, compute, sources, kind, released in instructions:
            values[place] = np.asarray(
                compute(node, *[values[source] for source in sources]), kind
            )
            for source in released:
                values[source] = None


def _constant_nodes(order: Sequence[Node], known: Set[Node]) -> set[Node]:
    """Return the nodes that do not depend on inputs and whose values are small enough to be cached."""
    found: set[Node] = set()
    for node in order:
        constant = (
            node not in known
            and shapes.is_static(node.shape)
            and found.issuperset(node.sources)
        )
        if constant and (
            node.op is Op.CONSTANT or shapes.count(node.shape) <= _MAX_CACHED_ELEMENTS
        ):
            found.add(node)
    return found


def _require_value(node: Node) -> None:
    """Raise GraphError for a symbol without a value."""
    if node.op in {Op.INPUT, Op.DIMENSION} or not shapes.is_static(node.shape):
        raise GraphError(
            f"value of {node.attributes.get('name') or node.attributes.get('dimension') or 'a tensor'}",
            expected="every input to be given",
            got=f"a symbol of shape {shapes.show(node.shape)} without a value",
            hint="A symbol has a shape and no value: use dr.tensor(array) to compute with numbers.",
        )


@final
class Evaluator:
    """A callable like ``evaluate`` that caches the order of evaluation for each pair of outputs and inputs.

    >>> x = build.input_node("x", (2,))
    >>> run = Evaluator()
    >>> run([build.exp(x)], {x: np.zeros(2, "float32")})[0].tolist()
    [1.0, 1.0]
    """

    def __init__(self) -> None:
        self._interpreters: dict[
            tuple[tuple[Node, ...], tuple[Node, ...]], _Interpreter
        ] = {}

    def __call__(
        self, outputs: Sequence[Node], values: Mapping[Node, Array]
    ) -> list[Array]:
        """Return the values of ``outputs``, given the ``values`` of inputs and possibly of interior nodes."""
        if not all(shapes.is_static(node.shape) for node in values):
            return evaluate(outputs, values)
        key = (tuple(outputs), tuple(values))
        interpreter = self._interpreters.get(key)
        if interpreter is None:
            roots = expand_calls(outputs, frontier=values)
            interpreter = self._interpreters[key] = _Interpreter(roots, key[1])
        return interpreter.run(values.values())


class _Compiled:
    """A program with its interpreter."""

    def __init__(self, program: Program) -> None:
        self._inputs = program.inputs
        self._kinds = [_KINDS[node.dtype.name] for node in program.inputs]
        self._interpreter = _Interpreter(expand_calls(program.outputs), program.inputs)

    def __call__(self, *arrays: Array) -> list[Array]:
        check_arrays(self._inputs, arrays)
        given = [
            np.asarray(array, kind)
            for array, kind in zip(arrays, self._kinds, strict=True)
        ]
        return [np.array(result) for result in self._interpreter.run(given)]


class ReferenceBackend:
    """The backend that runs programs with NumPy, node by node.

    >>> from deltarule.graph.program import Program
    >>> x = build.input_node("x", (2,))
    >>> run = ReferenceBackend().compile(Program((x,), (build.exp(x),)))
    >>> run(np.zeros(2, "float32"))[0].tolist()
    [1.0, 1.0]
    """

    name = "reference"

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Return an executable that interprets the program; ``threads`` has no effect."""
        return _Compiled(program)

    def compile_step(
        self, program: StepProgram, threads: int | None = None
    ) -> StepRunner:
        """Return a runner that interprets the step in a Python loop; ``threads`` has no effect."""
        return LoopRunner(program, self.compile(program.as_program()))
