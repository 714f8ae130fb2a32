"""Tensor: a thin handle on a node of the lazy graph, with the interface of a NumPy array."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np

from deltarule import dtypes, shapes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DTypeError, GraphError, ShapeError
from deltarule.grad.reverse import gradients
from deltarule.graph import algebra, build
from deltarule.graph.indexing import index
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import Array, as_array, leaf, value_of
from deltarule.runtime.realize import realize
from deltarule.shapes import Dimension, Shape
from deltarule.tensor import tracing
from deltarule.tensor.reductions import Axes, Reductions

__all__ = ["Tensor", "parameter", "symbol", "tensor"]

TensorLike = Any  # a Tensor, an array, or a number
_parameters: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()


@final
class Tensor(Reductions):
    """A lazily evaluated array: operations build a graph, which is run when the value is read.

    Create one with ``dr.tensor`` (data), ``dr.parameter`` (learnable) or ``dr.symbol`` (a shape, no value).

    Attributes:
        name: Name in error messages, printed graphs and derivations.
        requires_grad: Whether the tensor is a parameter.
        grad: The gradient that ``backward`` accumulates, of a parameter.

    >>> x = tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    >>> (x @ x.T).sum().item()
    52.0
    """

    __array_ufunc__ = None  # array + tensor calls Tensor.__radd__
    __slots__ = ("__weakref__", "_node", "_origin", "grad", "name", "requires_grad")

    def __init__(
        self, node: Node, *, name: str = "", requires_grad: bool = False
    ) -> None:
        self._node = node
        self._origin: weakref.ref[Node] | None = None  # before it became a leaf
        self.name = name
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        if requires_grad:
            _parameters[node.attributes["uid"]] = self

    @property
    def node(self) -> Node:
        """The node of this tensor in the graph."""
        tracing.record_use(self)
        return self._node

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self._node.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self._node.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._node.rank

    @property
    def size(self) -> int:
        """Number of elements."""
        return shapes.count(self.shape)

    @property
    def T(self) -> Tensor:  # noqa: N802  # the transpose is called T everywhere
        """The transpose: axes in reverse order."""
        return self.transpose()

    def __repr__(self) -> str:
        label = f", name={self.name!r}" if self.name else ""
        kind = "parameter" if self.requires_grad else "tensor"
        if self._is_symbolic():
            return f"symbol(shape={shapes.show(self.shape)}, dtype={self.dtype}{label})"
        body = np.array2string(
            realize([self._node])[0], separator=", ", prefix=kind + "(", threshold=200
        )
        return f"{kind}({body}, dtype={self.dtype}{label})"

    def _is_symbolic(self) -> bool:
        if value_of(self._node) is not None:
            return False
        if not shapes.is_static(self.shape):
            return True
        return any(value_of(leaf_node) is None for leaf_node in inputs([self._node]))

    # ---------------------------------------------------------------- values

    def numpy(self) -> Array:
        """Return a copy of the value as a NumPy array.

        >>> (tensor([1.0, 2.0]) * 2).numpy()
        array([2., 4.], dtype=float32)
        """
        return np.array(self._value())

    def _value(self) -> Array:
        value = value_of(self._node)
        if value is None:
            tracing.check_readable(self)
            (value,) = realize([self._node])
        self._become_leaf(value)
        tracing.record_read(self)
        return value

    def _become_leaf(self, value: Array) -> None:
        """Replace the node by a leaf that holds the value, unless it depends on a parameter."""
        if self._node.sources and not depends_on_parameter(self._node):
            self._origin = weakref.ref(self._node)
            self._node = leaf(value, self.name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the value as a NumPy array, for ``np.asarray(tensor)``."""
        return np.array(self._value(), dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """Export a copy of the value through DLPack."""
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the DLPack device: the CPU."""
        return (1, 0)

    def item(self) -> Any:
        """Return the only element as a Python number.

        >>> tensor([[3.5]]).item()
        3.5
        """
        if not shapes.is_static(self.shape) or self.size != 1:
            raise ShapeError(
                "item",
                expected="a tensor of one element",
                got=build.describe(self._node),
            )
        return self._value().reshape(()).item()

    def tolist(self) -> Any:
        """Return the value as nested lists of Python numbers.

        >>> tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return self._value().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ArgumentError(
                "truth value of a tensor",
                expected="one element",
                got=build.describe(self._node),
                hint="Use .all() or .any(), or dr.where to choose element by element.",
            )
        return bool(self.item())

    def __len__(self) -> int:
        if self.ndim == 0:
            raise ShapeError("len", expected="at least one axis", got="a scalar tensor")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def assign(self, value: Tensor | Any) -> None:
        """Replace the value by one of the same shape; expressions built before keep the old one.

        >>> w = parameter([1.0, 2.0])
        >>> w.assign(w - 0.5)
        >>> w.tolist()
        [0.5, 1.5]
        """
        if tracing.active():
            new = build.cast(build.as_node(operand(value)), self.dtype)
            new = build.broadcast_to(new, self.shape) if new.shape == () else new
            self._check_fits(new.shape)
            tracing.record_assignment(self)
            self._node = new
            return
        value = value._value() if isinstance(value, Tensor) else value
        self._set_value(as_array(value, self.dtype, f"assign to {self.name!r}"))

    def _set_value(self, array: Array) -> None:
        """Set the value without a copy: the array must not be written to afterwards."""
        self._check_fits(array.shape)
        if self.requires_grad:
            _parameters.pop(self._node.attributes["uid"], None)
        self._node = leaf(array, self.name)
        if self.requires_grad:
            _parameters[self._node.attributes["uid"]] = self

    def _check_fits(self, shape: Shape) -> None:
        if shape != self.shape:
            raise ShapeError(
                f"assign to {self.name!r}",
                expected=shapes.show(self.shape),
                got=shapes.show(shape),
            )

    def detach(self) -> Tensor:
        """Return the same values without a gradient.

        >>> w = parameter(2.0)
        >>> (w * w.detach()).backward()
        >>> w.grad.item()
        2.0
        """
        return Tensor(
            build.stop_gradient(self.node) if self.dtype.is_float else self.node
        )

    # ---------------------------------------------------------------- derivatives

    def backward(self) -> None:
        """Add ∂self/∂p to ``p.grad`` for every parameter p that this scalar depends on.

        Raises:
            GraphError: the tensor is not a scalar, or depends on no parameter.

        >>> w = parameter([1.0, 2.0])
        >>> (w * w).sum().backward()
        >>> w.grad.tolist()
        [2.0, 4.0]
        """
        found = [
            (node, _parameters[uid])
            for node in inputs([self.node])
            if (uid := node.attributes["uid"]) in _parameters
        ]
        if not found:
            raise GraphError(
                "backward",
                expected="a result that depends on a parameter",
                got=build.describe(self._node),
                hint="Create learnable tensors with dr.parameter(array); use dr.grad(loss, [x]) for any other tensor. "
                "A result computed before a parameter was assigned does not depend on its new value.",
            )
        values = realize(gradients(self.node, [node for node, _ in found]))
        for (_, parameter), value in zip(found, values, strict=True):
            total = value if parameter.grad is None else parameter.grad._value() + value
            parameter.grad = Tensor(leaf(np.array(total), f"grad {parameter.name}"))

    # ---------------------------------------------------------------- arithmetic

    def __add__(self, other: Any) -> Tensor:
        return Tensor(build.add(self.node, operand(other)))

    def __radd__(self, other: Any) -> Tensor:
        return Tensor(build.add(operand(other), self.node))

    def __sub__(self, other: Any) -> Tensor:
        return Tensor(build.subtract(self.node, operand(other)))

    def __rsub__(self, other: Any) -> Tensor:
        return Tensor(build.subtract(operand(other), self.node))

    def __mul__(self, other: Any) -> Tensor:
        return Tensor(build.multiply(self.node, operand(other)))

    def __rmul__(self, other: Any) -> Tensor:
        return Tensor(build.multiply(operand(other), self.node))

    def __truediv__(self, other: Any) -> Tensor:
        return Tensor(build.divide(self.node, operand(other)))

    def __rtruediv__(self, other: Any) -> Tensor:
        return Tensor(build.divide(operand(other), self.node))

    def __floordiv__(self, other: Any) -> Tensor:
        return Tensor(build.floor_divide(self.node, operand(other)))

    def __rfloordiv__(self, other: Any) -> Tensor:
        return Tensor(build.floor_divide(operand(other), self.node))

    def __mod__(self, other: Any) -> Tensor:
        return Tensor(build.remainder(self.node, operand(other)))

    def __rmod__(self, other: Any) -> Tensor:
        return Tensor(build.remainder(operand(other), self.node))

    def __pow__(self, other: Any) -> Tensor:
        return Tensor(build.power(self.node, operand(other)))

    def __rpow__(self, other: Any) -> Tensor:
        return Tensor(build.power(operand(other), self.node))

    def __matmul__(self, other: Any) -> Tensor:
        return Tensor(build.matmul(self.node, build.as_node(operand(other))))

    def __rmatmul__(self, other: Any) -> Tensor:
        return Tensor(build.matmul(build.as_node(operand(other)), self.node))

    def __neg__(self) -> Tensor:
        return Tensor(build.negate(self.node))

    def __abs__(self) -> Tensor:
        return Tensor(build.absolute(self.node))

    def __invert__(self) -> Tensor:
        return Tensor(build.logical_not(self.node))

    def __and__(self, other: Any) -> Tensor:
        return Tensor(build.logical_and(self.node, operand(other)))

    def __or__(self, other: Any) -> Tensor:
        return Tensor(build.logical_or(self.node, operand(other)))

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # element-wise, as in NumPy
        return Tensor(build.equal(self.node, operand(other)))

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]  # element-wise, as in NumPy
        return Tensor(build.logical_not(build.equal(self.node, operand(other))))

    def __lt__(self, other: Any) -> Tensor:
        return Tensor(build.less(self.node, operand(other)))

    def __gt__(self, other: Any) -> Tensor:
        return Tensor(build.less(operand(other), self.node))

    def __le__(self, other: Any) -> Tensor:
        return Tensor(algebra.less_equal(self.node, operand(other)))

    def __ge__(self, other: Any) -> Tensor:
        return Tensor(algebra.less_equal(operand(other), self.node))

    __hash__ = object.__hash__

    # ---------------------------------------------------------------- movement

    def __getitem__(self, key: Any) -> Tensor:
        return Tensor(index(self.node, _index_key(key)))

    def reshape(self, *shape: Any) -> Tensor:
        """Return the same values in another shape; one size may be -1 (inferred).

        >>> tensor([[1, 2], [3, 4]]).reshape(-1).tolist()
        [1, 2, 3, 4]
        """
        return Tensor(build.reshape(self.node, _unpack(shape)))

    def permute(self, *order: Any) -> Tensor:
        """Permute the axes: axis i of the result is axis ``order[i]``.

        >>> symbol("x", ("N", 8, 9, 3)).permute(0, 3, 1, 2).shape
        (N, 3, 8, 9)
        """
        return Tensor(build.permute(self.node, _unpack(order)))

    def transpose(self, *order: Any) -> Tensor:
        """Permute the axes; without arguments reverse their order, as in NumPy.

        >>> tensor([[1, 2, 3]]).transpose().tolist()
        [[1], [2], [3]]
        """
        order = _unpack(order) or tuple(reversed(range(self.ndim)))
        return Tensor(build.permute(self.node, order))

    def flatten(self, start_axis: int = 0) -> Tensor:
        """Flatten the axes from ``start_axis`` on into one.

        >>> tensor([[[1], [2]], [[3], [4]]]).flatten(1).tolist()
        [[1, 2], [3, 4]]
        """
        return Tensor(build.reshape(self.node, (*self.shape[:start_axis], -1)))

    def squeeze(self, axis: Axes = None) -> Tensor:
        """Remove axes of size 1 (all, or the given ones).

        >>> tensor([[[1], [2]]]).squeeze(0).shape
        (2, 1)
        """
        ones = tuple(i for i, size in enumerate(self.shape) if size == 1)
        drop = ones if axis is None else shapes.axes(axis, self.ndim, "squeeze")
        if any(i not in ones for i in drop):
            raise ShapeError(
                "squeeze",
                expected="axes of size 1",
                got=f"{axis} of {shapes.show(self.shape)}",
            )
        return Tensor(build.reshape(self.node, shapes.reduced(self.shape, drop)))

    def expand_dims(self, axis: int | Sequence[int]) -> Tensor:
        """Insert axes of size 1.

        >>> tensor([1, 2]).expand_dims(0).tolist()
        [[1, 2]]
        """
        axes = (axis,) if isinstance(axis, int) else axis
        return Tensor(build.expand_dims(self.node, axes))

    def broadcast_to(self, shape: Shape) -> Tensor:
        """Broadcast to a shape under NumPy's rules.

        >>> tensor([1, 2]).broadcast_to((2, 2)).tolist()
        [[1, 2], [1, 2]]
        """
        return Tensor(build.broadcast_to(self.node, shape))

    def astype(self, dtype: str | DType) -> Tensor:
        """Convert to another element type.

        >>> tensor([1.7, -1.7]).astype("int64").tolist()
        [1, -1]
        """
        return Tensor(build.cast(self.node, dtypes.dtype(dtype)))

    def any(self, axis: Axes = None) -> Tensor:
        """Return whether any element is non-zero, over axes.

        >>> tensor([[0, 1], [0, 0]]).any(axis=1).tolist()
        [True, False]
        """
        return (self != 0).sum(axis) > 0

    def all(self, axis: Axes = None) -> Tensor:
        """Return whether all elements are non-zero, over axes.

        >>> tensor([[1, 1], [0, 1]]).all(axis=1).tolist()
        [True, False]
        """
        return (self == 0).sum(axis) == 0

    def dot(self, other: Any) -> Tensor:
        """Return the matrix (or inner) product.

        >>> tensor([1.0, 2.0]).dot([3.0, 4.0]).item()
        11.0
        """
        return self.__matmul__(other)


def depends_on_parameter(node: Node) -> bool:
    """Return whether a node depends on a parameter.

    >>> w = parameter(2.0)
    >>> depends_on_parameter((w * 3).node), depends_on_parameter(tensor(2.0).node)
    (True, False)
    """
    return any(found.attributes["uid"] in _parameters for found in inputs([node]))


def operand(value: Any) -> Node | dtypes.Scalar:
    """Return the node of a tensor, a Python number unchanged, anything else as a new leaf.

    >>> operand(2.5)
    2.5
    """
    if isinstance(value, Tensor):
        return value.node
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        return value
    return leaf(as_array(value, where="operand"))


def _unpack(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Accept f(2, 3) as well as f((2, 3))."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        return tuple(arguments[0])
    return arguments


_INDEX = "whole numbers, slices, masks, None or …"


def _index_key(key: Any) -> Any:
    """Convert tensors and arrays in an index to nodes, and boolean masks to integer indices."""
    items = key if isinstance(key, tuple) else (key,)
    result: list[Any] = []
    for item in items:
        is_bool = isinstance(item, bool)
        is_basic = item is None or item is Ellipsis or isinstance(item, (slice, int))
        if is_basic and not is_bool:
            result.append(item)
            continue
        if isinstance(item, Tensor) and item.dtype is not dtypes.BOOL:
            if not item.dtype.is_integer:
                raise DTypeError(
                    "index", expected=_INDEX, got=f"elements of type {item.dtype.name}"
                )
            result.append(item.node)
            continue
        array = item.numpy() if isinstance(item, Tensor) else np.asarray(item)
        if array.dtype == np.bool_:
            result.extend(leaf(as_array(positions)) for positions in np.nonzero(array))
        elif array.dtype.kind not in "iu" and array.size:
            raise DTypeError("index", expected=_INDEX, got=repr(item))
        elif array.ndim == 0:
            result.append(int(array))
        else:
            array = array.astype(np.int64) if array.size == 0 else array
            result.append(leaf(as_array(array, where="index")))
    return tuple(result)


def tensor(value: Any, name: str = "", dtype: str | DType | None = None) -> Tensor:
    """Return a tensor that holds a copy of data.

    Lists of Python floats become float32; float64 arrays stay float64.

    Args:
        value: An array, nested lists of numbers, a number, or a tensor.
        name: Name in error messages, printed graphs and derivations.
        dtype: The element type; by default that of the data.

    Raises:
        DTypeError: the data are not a rectangular array of numbers.

    >>> tensor([1, 2, 3]).dtype, tensor([0.5]).dtype
    (int64, float32)
    """
    if isinstance(value, Tensor):
        value = value.numpy()
    array = as_array(value, dtypes.dtype(dtype) if dtype else None)
    return Tensor(leaf(array, name), name=name)


def parameter(value: Any, name: str = "", dtype: str | DType | None = None) -> Tensor:
    """Return a learnable tensor: ``backward`` accumulates its ``grad``, modules list it.

    Args:
        value: The initial value; integers are converted to float32.
        name: Name in error messages, printed graphs and derivations.
        dtype: The element type, a floating-point type.

    >>> w = parameter([3.0], name="w")
    >>> (w * w).sum().backward()
    >>> w.grad.tolist()
    [6.0]
    """
    if isinstance(value, Tensor):
        value = value.numpy()
    array = as_array(value, dtypes.dtype(dtype) if dtype else None)
    if not dtypes.DTYPES[array.dtype.name].is_float:
        array = array.astype("float32")
    return Tensor(leaf(array, name), name=name, requires_grad=True)


def symbol(
    name: str, shape: Sequence[int | Dimension | str], dtype: str | DType = "float32"
) -> Tensor:
    """Return a symbolic tensor: a name, a shape and an element type, but no value.

    Args:
        name: The name of the symbol.
        shape: Sizes of the axes; a string such as "N" is an unknown size.
        dtype: The element type.

    >>> symbol("x", shape=("N", 784)).shape
    (N, 784)
    """
    known: dict[str, Dimension] = {}
    sizes = tuple(
        known.setdefault(s, Dimension(s)) if isinstance(s, str) else s for s in shape
    )
    return Tensor(build.input_node(name, sizes, dtypes.dtype(dtype)), name=name)


check_calls(__name__)
