"""Values of nodes, kept as long as the node exists.

The value of a node never changes: assigning to a tensor gives it a new leaf. So expressions built before keep their
value, and there is no aliasing.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import DTypeError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import topological

Array = npt.NDArray[Any]
_values: weakref.WeakKeyDictionary[Node, Array] = weakref.WeakKeyDictionary()
DTYPE_OF = {np.dtype(name): kind for name, kind in dtypes.DTYPES.items()}
_WIDENED = {
    "float16": "float32",
    "int8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "uint64": "int64",
}


def as_array(value: object, dtype: DType | None = None, where: str = "tensor") -> Array:
    """Return a new array of a supported element type.

    Args:
        value: An array, nested lists of numbers, or a number; Python floats become float32, integers int64.
        dtype: The element type; by default that of the value, widened to a supported one.
        where: The operation in error messages.

    Raises:
        DTypeError: the value is not an array of numbers of a supported range.

    >>> as_array([1, 2.5]).dtype, as_array([1, 2]).dtype
    (dtype('float32'), dtype('int64'))
    """
    is_array = hasattr(value, "__array__") or hasattr(value, "dtype")
    try:
        array = np.array(value)
    except (ValueError, TypeError) as error:
        raise DTypeError(
            where, expected="a rectangular array of numbers", got=str(error)
        ) from error
    if array.dtype.kind not in "biuf":
        raise DTypeError(
            where,
            expected="numbers",
            got=f"elements of type {array.dtype}",
            hint="Encode text as numbers first, for example with data.LabelEncoder or data.one_hot.",
        )
    if dtype is None:
        kind = array.dtype.name
        if kind == "float64" and not is_array:
            kind = "float32"
        name = _WIDENED.get(kind, kind)
        if name not in dtypes.DTYPES:
            raise DTypeError(
                where,
                expected=", ".join(dtypes.DTYPES),
                got=f"elements of type {array.dtype}",
            )
        if kind == "uint64" and array.size and array.max() > np.iinfo(np.int64).max:
            raise DTypeError(
                where,
                expected="whole numbers below 2⁶³",
                got=f"{array.max()} in an array of uint64",
            )
        dtype = dtypes.DTYPES[name]
    return array.astype(dtype.name, copy=False)


def bind(node: Node, value: Array) -> None:
    """Record the value of a node; the array becomes read-only.

    >>> x = build.input_node("x", (2,))
    >>> bind(x, np.zeros(2, "float32"))
    >>> value_of(x).tolist()
    [0.0, 0.0]
    """
    value.flags.writeable = False
    _values[node] = value


def leaf(value: Array, name: str = "") -> Node:
    """Return a new leaf that holds ``value`` (not copied, but made read-only).

    >>> value_of(leaf(np.zeros(2), "x")).tolist()
    [0.0, 0.0]
    """
    dtype = DTYPE_OF.get(value.dtype) or dtypes.DTYPES[value.dtype.name]
    node = build.input_node(name, value.shape, dtype)
    bind(node, value)
    return node


def value_of(node: Node) -> Array | None:
    """Return the value of a node if it is known, else None.

    >>> value_of(leaf(np.ones(2), "x")).tolist()
    [1.0, 1.0]
    """
    return _values.get(node)


def known_values(outputs: Iterable[Node]) -> dict[Node, Array]:
    """Return the known values that the evaluation of ``outputs`` starts from.

    >>> x = leaf(np.ones(2), "x")
    >>> list(known_values([build.exp(x)]))
    [<x (2) float64>]
    """
    found = {}
    for node in topological(outputs, _values):
        value = _values.get(node)
        if value is not None:
            found[node] = value
    return found
