"""``jit``: compiles a Python function on tensors, once per signature.

The function is traced once per signature (shapes, types, and the values of arguments that are not arrays) with
symbols in place of arrays. Captured tensors are inputs of the program, whose current value is read at every call;
assigned tensors get their new value after every call. If the function reads the value of a captured tensor, a new
value triggers a new trace. Reading a value that depends on an argument raises GraphError. Python side effects
(print, append) happen while tracing only.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deltarule import dtypes
from deltarule.arguments import check_calls
from deltarule.backends.base import Executable
from deltarule.errors import ArgumentError, GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import DTYPE_OF, Array, as_array, leaf, value_of
from deltarule.runtime.devices import DEVICES
from deltarule.runtime.devices import compiled as compiled_once
from deltarule.simplify import simplify
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor

__all__ = ["jit"]

_MAX_SIGNATURES = 64  # of one function; the least recently used is evicted


@dataclass(frozen=True)
class _Static:
    """An argument that is not an array: part of the signature. −0.0 differs from 0.0, and NaN equals itself."""

    kind: type
    key: Any
    value: Any = field(compare=False)


@dataclass(frozen=True)
class _ArrayAt:
    """Placeholder of an array in a structure of arguments or results."""

    index: int


def _flatten(value: Any, arrays: list[Any]) -> Any:
    """Replace tensors and arrays in nested tuples, lists and dictionaries by placeholders."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        arrays.append(value)
        return _ArrayAt(len(arrays) - 1)
    if isinstance(value, (list, tuple)):
        return (type(value), *(_flatten(item, arrays) for item in value))
    if isinstance(value, dict):
        return (dict, *((key, _flatten(value[key], arrays)) for key in value))
    key = repr(value) if isinstance(value, float) else value
    return _Static(type(value), key, value)


def _unflatten(structure: Any, arrays: list[Any]) -> Any:
    """Put arrays back in the places of their placeholders."""
    if isinstance(structure, _ArrayAt):
        return arrays[structure.index]
    if isinstance(structure, _Static):
        return structure.value
    kind, *items = structure
    if kind is dict:
        return {key: _unflatten(item, arrays) for key, item in items}
    parts = [_unflatten(item, arrays) for item in items]
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


@dataclass
class _CompiledSignature:
    """The program of one signature: executable, captured and assigned tensors, structure of the result."""

    run: Executable
    captured: list[tuple[Tensor | None, Node]]
    assigned: list[Tensor | int]  # an int: the index of an argument
    read: list[tuple[Tensor, Node]]  # tensors whose values the function read
    structure: Any
    n_results: int

    def is_valid(self) -> bool:
        """Return whether captured tensors have their shapes and types, and read ones their values."""
        same_shapes = all(
            t is None or (t.shape, t.dtype) == (node.shape, node.dtype)
            for t, node in self.captured
        )
        return same_shapes and all(tensor._node is node for tensor, node in self.read)


def jit(
    function: Callable[..., Any] | None = None, *, device: str = "cpu"
) -> Callable[..., Any]:
    """Compile a function of tensors; use as ``@dr.jit`` or ``@dr.jit(device=…)``.

    Arguments and results may be tensors, arrays, and lists, tuples or dictionaries of them. Other arguments are
    static: a new value triggers a new trace and compilation, as do a new shape and a new dtype.

    Args:
        function: The function to compile; without it a decorator is returned.
        device: The device that runs the program.

    Raises:
        ArgumentError: the function is not callable or the device is unknown; when called, an argument is neither
            a tensor, an array, nor hashable.
        GraphError: when called, the function reads a value that depends on an argument.

    >>> from deltarule.tensor.tensor import tensor
    >>> double = jit(lambda x: x * 2)
    >>> double(tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    if function is None:
        return functools.partial(jit, device=device)
    if not callable(function):
        raise ArgumentError("jit", expected="a function of tensors", got=repr(function))
    if device not in DEVICES:
        raise ArgumentError(
            "jit device", expected=" or ".join(map(repr, DEVICES)), got=repr(device)
        )
    cache: OrderedDict[Any, _CompiledSignature] = OrderedDict()
    original: Callable[..., Any] = function

    @functools.wraps(original)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        if tracing.active():
            return original(*args, **kwargs)
        arrays: list[Any] = []
        structure = _flatten((args, kwargs), arrays)
        values = [_array(x) for x in arrays]
        key = (structure, tuple((v.shape, v.dtype) for v in values))
        try:
            cached = cache.get(key)
        except TypeError as error:
            raise ArgumentError(
                f"jit of {original.__name__}",
                expected="tensors, arrays, hashable values, and lists, tuples or dictionaries of them",
                got=str(error),
            ) from error
        if cached is None or not cached.is_valid():
            cached = cache[key] = _compile(original, structure, values, device)
            if len(cache) > _MAX_SIGNATURES:
                cache.popitem(last=False)
        else:
            cache.move_to_end(key)
        return _call(cached, arrays, values)

    return compiled


def _array(x: Any) -> Array:
    """Return the value of an argument; an array of a supported type is not copied."""
    if isinstance(x, Tensor):
        return x._value()
    if type(x) is np.ndarray and x.dtype in DTYPE_OF:
        return x
    return as_array(x, where="argument of jit")


def _compile(
    function: Callable[..., Any], structure: Any, values: list[Array], device: str
) -> _CompiledSignature:
    """Trace the function with symbols and compile the graph that it builds."""
    symbols = [
        Tensor(build.input_node(f"argument {i}", v.shape, dtypes.DTYPES[v.dtype.name]))
        for i, v in enumerate(values)
    ]
    args, kwargs = _unflatten(structure, symbols)
    with tracing.record_trace() as record:
        try:
            result = function(*args, **kwargs)
            parts: list[Any] = []
            result_structure = _flatten(result, parts)
            outputs = [
                part.node if isinstance(part, Tensor) else leaf(as_array(part))
                for part in parts
            ]
            assigned = [
                (tensor, tensor._node) for tensor, _ in record.assigned.values()
            ]
        finally:
            for tensor, before in record.assigned.values():
                tensor._node = before
    given = [s._node for s in symbols]
    all_outputs = simplify([*outputs, *(node for _, node in assigned)])
    owners = _leaf_owners(record)
    captured = [
        (owners.get(node), node) for node in inputs(all_outputs) if node not in given
    ]
    for owner, node in captured:
        if owner is None and value_of(node) is None:
            raise GraphError(
                f"jit of {function.__name__}",
                expected="tensors with values",
                got=f"the symbol {build.describe(node)}",
                hint="Pass symbols to the function as arguments.",
            )
    program = Program((*given, *(node for _, node in captured)), tuple(all_outputs))
    run = compiled_once(program, device)
    argument_index = {id(symbol): i for i, symbol in enumerate(symbols)}
    targets = [argument_index.get(id(tensor), tensor) for tensor, _ in assigned]
    read = list(record.read.values())
    return _CompiledSignature(
        run, captured, targets, read, result_structure, len(outputs)
    )


def _leaf_owners(record: tracing.Trace[Tensor]) -> dict[Node, Tensor]:
    """Return the first tensor of each leaf that was used; values assigned during the trace do not count."""
    owners: dict[Node, Tensor] = {}
    for tensor, node in (*record.used.values(), *record.assigned.values()):
        before = record.assigned.get(id(tensor), (tensor, node))[1]
        if node.op is Op.INPUT and node is before:
            owners.setdefault(node, tensor)
    return owners


def _call(
    compiled: _CompiledSignature, arguments: list[Any], values: list[Array]
) -> Any:
    """Run a compiled signature with the current values of captured tensors, then assign."""
    targets = [
        arguments[target] if isinstance(target, int) else target
        for target in compiled.assigned
    ]
    for target in targets:
        if not isinstance(target, Tensor):
            raise ArgumentError(
                "assignment to an argument of jit",
                expected="a tensor",
                got=type(target).__name__,
                hint="Pass dr.tensor(array), or return the new value.",
            )
    captured = [
        owner._value() if owner is not None else np.asarray(value_of(node))
        for owner, node in compiled.captured
    ]
    outputs = compiled.run(*values, *captured)
    for target, value in zip(targets, outputs[compiled.n_results :], strict=True):
        target.assign(value)
    results = [Tensor(leaf(value)) for value in outputs[: compiled.n_results]]
    return _unflatten(compiled.structure, results)


check_calls(__name__)
