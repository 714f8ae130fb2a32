"""The reference backend: NumPy, one table, slow and obviously right. The oracle of every engine, and the prompt's.

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
from deltarule.backends.given import check_arrays, refusal
from deltarule.backends.stepper import LoopRunner
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
_KEPT = (
    2**16
)  # numbers of a value that depends on no input: the larger are computed in every run
_SMALL = 2**12  # numbers that are copied sooner than a view of them is made


def _cast(node: Node, x: Array) -> Array:
    """Return the values in another type: floats cut towards zero, to the nearest bound if outside, NaN to 0."""
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
    if math.prod(node.shape) > _SMALL:
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
        raise refusal(node.attributes["message"], shown[~condition].flat[0])
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
    """Return sums; those of more than a few float32 numbers are added in float64 and rounded once."""
    axes = node.attributes["axes"]
    length = math.prod(x.shape[axis] for axis in axes)
    wide = x.dtype == np.float32 and length > SHORT_SUM
    return np.asarray(np.add.reduce(x, axes, np.float64 if wide else x.dtype), x.dtype)


def _cumulative_sum(node: Node, x: Array) -> Array:
    """Return running sums; those of float32 numbers are added in float64 and each rounded once."""
    return np.cumsum(
        x, node.attributes["axis"], np.float64 if x.dtype == np.float32 else x.dtype
    )


def _solve(node: Node, a: Array, b: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(a, b))
    except np.linalg.LinAlgError as error:
        raise DataError("solve", expected="a regular matrix", got=str(error)) from error


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
    """Return the values of ``outputs``; ``values`` holds the inputs, and any other node that is known.

    Unknown sizes are read off the values. Intermediate values are dropped as soon as their last reader has run.
    """
    outputs, values = _with_known_sizes(outputs, values)
    return _Plan(expand_calls(outputs, frontier=values), tuple(values)).run(
        values.values()
    )


def _with_known_sizes(
    outputs: Sequence[Node], values: Mapping[Node, Array]
) -> tuple[Sequence[Node], Mapping[Node, Array]]:
    """Give unknown sizes the numbers that the given arrays have."""
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
    twins = {
        node: build.input_node(
            str(node.attributes.get("name", "")), np.shape(array), node.dtype
        )
        for node, array in values.items()
    }
    return specialise(outputs, sizes, twins), {
        twins[node]: array for node, array in values.items()
    }


class _Line(NamedTuple):
    """One node of a plan; values stand in a table, at the places of their nodes."""

    place: int
    node: Node
    compute: Evaluate
    sources: tuple[int, ...]
    kind: np.dtype[Any]
    finished: tuple[int, ...]  # whose last reader this is


@final
class _Plan:
    """The evaluation of ``roots`` from values of the nodes ``given``: all that the graph alone decides, decided once.

    Values that depend on none of ``given`` are computed in the first run and kept (those of up to ``_KEPT`` numbers).
    """

    def __init__(self, roots: Sequence[Node], given: Sequence[Node]) -> None:
        known = frozenset(given)
        order = topological(roots, known)
        places = {node: place for place, node in enumerate(order)}
        fixed = _fixed(order, known)
        last = {
            source: reader
            for reader in order
            if reader not in known
            for source in reader.sources
        }
        lasting = {
            *roots,
            *(
                s
                for node in order
                if node not in fixed
                for s in node.sources
                if s in fixed
            ),
        }
        self._size = len(order) + 1
        self._given = [
            places.get(node, len(order)) for node in given
        ]  # behind the others if nobody reads it
        self._roots = [places[node] for node in roots]
        self._first: list[_Line] = []
        self._lines: list[_Line] = []
        for place, node in enumerate(order):
            if node in known:
                continue
            _require_value(node)
            sources = tuple(places[source] for source in node.sources)
            finished = tuple(
                {
                    places[s]
                    for s in node.sources
                    if last[s] is node and s not in lasting
                }
            )
            line = _Line(
                place,
                node,
                EVALUATE[node.op],
                sources,
                _KINDS[node.dtype.name],
                finished,
            )
            (self._first if node in fixed else self._lines).append(line)

    def run(self, given: Iterable[Array]) -> list[Array]:
        """Return the values of the roots for these values of the nodes given."""
        values = self._start.copy()
        for place, array in zip(self._given, given, strict=True):
            values[place] = array
        _follow(self._lines, values)
        return [values[place] for place in self._roots]

    @cached_property
    def _start(self) -> list[Any]:
        """The table before a run: what depends on nothing given."""
        values: list[Any] = [None] * self._size
        _follow(self._first, values)
        return values


def _follow(lines: Sequence[_Line], values: list[Any]) -> None:
    """Fill in the values of the lines, one after the other, and drop those that no later line reads."""
    with np.errstate(all="ignore"):
        for place, node, compute, sources, kind, finished in lines:
            values[place] = np.asarray(
                compute(node, *[values[source] for source in sources]), kind
            )
            for source in finished:
                values[source] = None


def _fixed(order: Sequence[Node], known: Set[Node]) -> set[Node]:
    """Return the nodes that depend on nothing known, and are not too large to be kept."""
    found: set[Node] = set()
    for node in order:
        fixed = (
            node not in known
            and shapes.is_static(node.shape)
            and found.issuperset(node.sources)
        )
        if fixed and (node.op is Op.CONSTANT or shapes.count(node.shape) <= _KEPT):
            found.add(node)
    return found


def _require_value(node: Node) -> None:
    """Raise for a symbol to which no value was given."""
    if node.op in {Op.INPUT, Op.DIMENSION} or not shapes.is_static(node.shape):
        raise GraphError(
            f"value of {node.attributes.get('name') or node.attributes.get('dimension') or 'a tensor'}",
            expected="every input to be given",
            got=f"a symbol of shape {shapes.show(node.shape)} without a value",
            hint="A symbol has a shape and no value: use dr.tensor(array) to compute with numbers.",
        )


@final
class Evaluator:
    """Evaluate graphs as ``evaluate`` does; the order of evaluation is kept for the same outputs and inputs.

    >>> x = build.input_node("x", (2,))
    >>> run = Evaluator()
    >>> run([build.exp(x)], {x: np.zeros(2, "float32")})[0].tolist()
    [1.0, 1.0]
    """

    def __init__(self) -> None:
        self._plans: dict[tuple[tuple[Node, ...], tuple[Node, ...]], _Plan] = {}

    def __call__(
        self, outputs: Sequence[Node], values: Mapping[Node, Array]
    ) -> list[Array]:
        """Return the values of ``outputs``; ``values`` holds the inputs, and any other node that is known."""
        if not all(shapes.is_static(node.shape) for node in values):
            return evaluate(outputs, values)
        key = (tuple(outputs), tuple(values))
        plan = self._plans.get(key)
        if plan is None:
            roots = expand_calls(outputs, frontier=values)
            plan = self._plans[key] = _Plan(roots, key[1])
        return plan.run(values.values())


class _Compiled:
    """A program with its order of evaluation fixed."""

    def __init__(self, program: Program) -> None:
        self._inputs = program.inputs
        self._kinds = [_KINDS[node.dtype.name] for node in program.inputs]
        self._plan = _Plan(expand_calls(program.outputs), program.inputs)

    def __call__(self, *arrays: Array) -> list[Array]:
        check_arrays(self._inputs, arrays)
        given = [
            np.asarray(array, kind)
            for array, kind in zip(arrays, self._kinds, strict=True)
        ]
        return [np.array(result) for result in self._plan.run(given)]


class ReferenceBackend:
    """Run programs with NumPy, node by node."""

    name = "reference"

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Fix the order of evaluation of a program; ``threads`` has no effect."""
        return _Compiled(program)

    def compile_step(
        self, program: StepProgram, threads: int | None = None
    ) -> StepRunner:
        """Return a runner that loops over the step in Python; ``threads`` has no effect."""
        return LoopRunner(program, self.compile(program.as_program()))
