"""``jit``: one compiled program per structure of a Python function on tensors.

The function runs once per signature (shapes, types, and the values of arguments that are not arrays) with
symbols in place of arrays. Tensors that it uses without being handed them are inputs of the program whose current
value is read at every call; tensors that it assigns get their new value after every call. A number of such a tensor
that the function looked at belongs to the signature: another value traces again. A number of what depends on an
argument is refused. Python's own side effects (print, append) happen while tracing only.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deltarule import dtypes
from deltarule.backends.base import Executable
from deltarule.errors import ArgumentError, GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import KINDS, Array, as_array, leaf, value_of
from deltarule.runtime.devices import DEVICES
from deltarule.runtime.devices import compiled as compiled_once
from deltarule.simplify import simplify
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor

_MOST_SIGNATURES = 64  # of one function, the least recently used goes first


@dataclass(frozen=True)
class _Static:
    """An argument that is no array: part of the signature. −0.0 differs from 0.0, and NaN equals itself."""

    kind: type
    key: Any
    value: Any = field(compare=False)


@dataclass(frozen=True)
class _Slot:
    """The place of an array in a structure of arguments or results."""

    index: int


def _flatten(value: Any, arrays: list[Any]) -> Any:
    """Replace tensors and arrays in nested tuples, lists and dictionaries by slots."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        arrays.append(value)
        return _Slot(len(arrays) - 1)
    if isinstance(value, (list, tuple)):
        return (type(value), *(_flatten(item, arrays) for item in value))
    if isinstance(value, dict):
        return (dict, *((key, _flatten(value[key], arrays)) for key in value))
    return _Static(
        type(value), repr(value) if isinstance(value, float) else value, value
    )


def _rebuild(structure: Any, arrays: list[Any]) -> Any:
    if isinstance(structure, _Slot):
        return arrays[structure.index]
    if isinstance(structure, _Static):
        return structure.value
    kind, *items = structure
    if kind is dict:
        return {key: _rebuild(item, arrays) for key, item in items}
    parts = [_rebuild(item, arrays) for item in items]
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


@dataclass
class _Traced:
    """A compiled signature: its executable, captured tensors, assigned tensors and the shape of the result."""

    run: Executable
    captured: list[tuple[Tensor | None, Node]]
    assigned: list[Tensor | int]  # an int: the argument of that number
    looked_at: list[tuple[Tensor, Node]]  # whose values the function saw
    structure: Any
    n_results: int

    def still_fits(self) -> bool:
        same_shapes = all(
            t is None or (t.shape, t.dtype) == (node.shape, node.dtype)
            for t, node in self.captured
        )
        return same_shapes and all(
            tensor._node is node for tensor, node in self.looked_at
        )


def jit(
    function: Callable[..., Any] | None = None, *, device: str = "cpu"
) -> Callable[..., Any]:
    """Compile a function of tensors, once per structure; use as ``@dr.jit`` or ``@dr.jit(device=…)``.

    Arguments and results may be tensors, arrays, and lists, tuples or dictionaries of them; other arguments are
    part of the structure (a new value traces again).

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
    traced: OrderedDict[Any, _Traced] = OrderedDict()
    chosen: Callable[..., Any] = function

    @functools.wraps(chosen)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        if tracing.active():
            return chosen(*args, **kwargs)
        arrays: list[Any] = []
        structure = _flatten((args, kwargs), arrays)
        values = [_array(x) for x in arrays]
        key = (structure, tuple((v.shape, v.dtype) for v in values))
        try:
            known = traced.get(key)
        except TypeError as error:
            raise ArgumentError(
                f"jit of {chosen.__name__}",
                expected="tensors, arrays, hashable values, and lists, tuples or dictionaries of them",
                got=str(error),
            ) from error
        if known is None or not known.still_fits():
            known = traced[key] = _trace(chosen, structure, values, device)
            if len(traced) > _MOST_SIGNATURES:
                traced.popitem(last=False)
        else:
            traced.move_to_end(key)
        return _call(known, arrays, values)

    return compiled


def _array(x: Any) -> Array:
    """Return the value of an argument; an array of a supported type is read where it is."""
    if isinstance(x, Tensor):
        return x._value()
    return (
        x
        if type(x) is np.ndarray and x.dtype in KINDS
        else as_array(x, where="argument of jit")
    )


def _trace(
    function: Callable[..., Any], structure: Any, values: list[Array], device: str
) -> _Traced:
    """Run the function once with symbols and compile what it built."""
    symbols = [
        Tensor(build.input_node(f"argument {i}", v.shape, dtypes.DTYPES[v.dtype.name]))
        for i, v in enumerate(values)
    ]
    args, kwargs = _rebuild(structure, symbols)
    with tracing.trace() as record:
        try:
            result = function(*args, **kwargs)
            parts: list[Any] = []
            shape_of_result = _flatten(result, parts)
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
    owners: dict[Node, Tensor] = {}
    for tensor, node in (*record.used.values(), *record.assigned.values()):
        before = record.assigned.get(id(tensor), (tensor, node))[1]
        if (
            node.op is Op.INPUT and node is before
        ):  # not a value that was assigned in the course of the trace
            owners.setdefault(
                node, tensor
            )  # the first handle: later ones are views made on the way
    captured = [
        (owners.get(node), node) for node in inputs(all_outputs) if node not in given
    ]
    for owner, node in captured:
        if owner is None and value_of(node) is None:
            raise GraphError(
                f"jit of {function.__name__}",
                expected="tensors with values",
                got=f"the symbol {build.describe(node)}",
                hint="Hand symbols to the function as arguments.",
            )
    program = Program((*given, *(node for _, node in captured)), tuple(all_outputs))
    run = compiled_once(program, device)
    place = {id(symbol): i for i, symbol in enumerate(symbols)}
    targets = [place.get(id(tensor), tensor) for tensor, _ in assigned]
    looked_at = list(record.looked_at.values())
    return _Traced(run, captured, targets, looked_at, shape_of_result, len(outputs))


def _call(traced: _Traced, arguments: list[Any], values: list[Array]) -> Any:
    """Run a compiled signature with the current values of captured tensors, then carry out assignments."""
    targets = [
        arguments[target] if isinstance(target, int) else target
        for target in traced.assigned
    ]
    for target in targets:
        if not isinstance(target, Tensor):
            raise ArgumentError(
                "assignment to an argument of jit",
                expected="a tensor",
                got=type(target).__name__,
                hint="Hand over dr.tensor(array), or return the new value.",
            )
    held = []
    for owner, node in traced.captured:
        held.append(owner._value() if owner is not None else np.asarray(value_of(node)))
    outputs = traced.run(*values, *held)
    for target, value in zip(targets, outputs[traced.n_results :], strict=True):
        target.assign(value)
    return _rebuild(
        traced.structure, [Tensor(leaf(value)) for value in outputs[: traced.n_results]]
    )
