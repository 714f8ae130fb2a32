"""Tensor: a thin handle on a node of the lazy graph, with NumPy's habits. No mathematics lives here."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, final

import numpy as np

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DTypeError, GraphError, ShapeError
from deltarule.flags import checks_flags
from deltarule.grad.reverse import gradients
from deltarule.graph import algebra, build
from deltarule.graph.indexing import index
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import Array, as_array, leaf, value_of
from deltarule.runtime.realize import realize
from deltarule.shapes import Dimension, Shape
from deltarule.tensor import tracing

Axes = int | Sequence[int] | None
_Parameters = weakref.WeakValueDictionary[int, "Tensor"]  # uid of the leaf → tensor
_parameters: _Parameters = weakref.WeakValueDictionary()


@final
class Tensor:
    """An array whose value is computed when it is asked for.

    Make one with ``dr.tensor`` (data), ``dr.parameter`` (data to be learned) or ``dr.symbol`` (a shape, no value).

    >>> x = tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    >>> (x @ x.T).sum().item()
    52.0
    """

    __array_ufunc__ = None  # NumPy arrays leave mixed operations to us
    __slots__ = ("__weakref__", "_former", "_node", "grad", "name", "requires_grad")

    def __init__(
        self, node: Node, *, name: str = "", requires_grad: bool = False
    ) -> None:
        self._node = node
        self._former: weakref.ref[Node] | None = None
        self.name = name
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        if requires_grad:
            _parameters[node.attributes["uid"]] = self

    @property
    def node(self) -> Node:
        """The node of the graph that this tensor is a handle on."""
        tracing.note_use(self)
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
        return Tensor(build.permute(self.node, tuple(reversed(range(self.ndim)))))

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
        """Return a copy of the value as a NumPy array."""
        return np.array(self._value())

    def _value(self) -> Array:
        value = value_of(self._node)
        if value is None:
            tracing.refuse_value(self)
            (value,) = realize([self._node])
        self._settle(value)
        tracing.note_value(self)
        return value

    def _settle(self, value: Array) -> None:
        """Become a leaf once the value is known, unless a parameter's gradient may still pass through."""
        if self._node.sources and not depends_on_parameter(self._node):
            self._former = weakref.ref(self._node)
            self._node = leaf(value, self.name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the value to NumPy."""
        return np.array(self._value(), dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """Export the value through DLPack (a copy, so that nobody can write into the graph)."""
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the DLPack device: the CPU."""
        return (1, 0)

    def item(self) -> Any:
        """Return the only element as a Python number."""
        if not shapes.is_static(self.shape) or self.size != 1:
            raise ShapeError(
                "item",
                expected="a tensor of one element",
                got=build.describe(self._node),
            )
        return self._value().reshape(()).item()

    def tolist(self) -> Any:
        """Return the value as nested lists of Python numbers."""
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
        """Give the tensor another value of the same shape; expressions built before keep the old one."""
        if tracing.active():
            new = build.cast(build.as_node(operand(value)), self.dtype)
            new = build.broadcast_to(new, self.shape) if new.shape == () else new
            self._check_fits(new.shape)
            tracing.note_assignment(self)
            self._node = new
            return
        self._take(
            as_array(
                value._value() if isinstance(value, Tensor) else value,
                self.dtype,
                f"assign to {self.name!r}",
            )
        )

    def _take(self, array: Array) -> None:
        """Have an array of the tensor's type as value, without a copy: nobody may write to it afterwards."""
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
        """Return the same values; derivatives do not pass."""
        return Tensor(
            build.stop_gradient(self.node) if self.dtype.is_float else self.node
        )

    # ---------------------------------------------------------------- derivatives

    def backward(self) -> None:
        """Add ∂self/∂p to ``p.grad`` for every parameter p that this scalar depends on."""
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
                hint="Make learnable tensors with dr.parameter(array); use dr.grad(loss, [x]) for any other tensor. "
                "A parameter that was assigned another value since is not the one that this result depends on.",
            )
        slopes = realize(gradients(self.node, [node for node, _ in found]))
        for (_, parameter), value in zip(found, slopes, strict=True):
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
        return Tensor(
            build.logical_or(
                build.less(self.node, operand(other)),
                build.equal(self.node, operand(other)),
            )
        )

    def __ge__(self, other: Any) -> Tensor:
        return Tensor(
            build.logical_or(
                build.less(operand(other), self.node),
                build.equal(self.node, operand(other)),
            )
        )

    __hash__ = object.__hash__

    # ---------------------------------------------------------------- movement

    def __getitem__(self, key: Any) -> Tensor:
        return Tensor(index(self.node, _index_key(key)))

    def reshape(self, *shape: Any) -> Tensor:
        """Return the same values in another shape; one size may be -1."""
        return Tensor(build.reshape(self.node, _spread(shape)))

    def permute(self, *order: Any) -> Tensor:
        """Permute axes."""
        return Tensor(build.permute(self.node, _spread(order)))

    def transpose(self, *order: Any) -> Tensor:
        """Permute axes; without arguments reverse them, as in NumPy."""
        return Tensor(
            build.permute(
                self.node, _spread(order) or tuple(reversed(range(self.ndim)))
            )
        )

    def flatten(self, start_axis: int = 0) -> Tensor:
        """Join all axes from ``start_axis`` on."""
        return Tensor(build.reshape(self.node, (*self.shape[:start_axis], -1)))

    def squeeze(self, axis: Axes = None) -> Tensor:
        """Drop axes of size 1 (all, or the given ones)."""
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
        """Insert axes of size 1."""
        return Tensor(
            build.expand_dims(self.node, (axis,) if isinstance(axis, int) else axis)
        )

    def broadcast_to(self, shape: Shape) -> Tensor:
        """Repeat to a shape under NumPy's rule."""
        return Tensor(build.broadcast_to(self.node, shape))

    def astype(self, dtype: str | DType) -> Tensor:
        """Convert the element type."""
        return Tensor(build.cast(self.node, dtypes.dtype(dtype)))

    # ---------------------------------------------------------------- reductions

    @checks_flags
    def sum(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Σ over axes."""
        return Tensor(build.sum_over(self.node, axis, keepdims))

    @checks_flags
    def mean(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Σ / n over axes."""
        return Tensor(build.mean(self.node, axis, keepdims))

    @checks_flags
    def var(
        self, axis: Axes = None, keepdims: bool = False, correction: int = 0
    ) -> Tensor:
        """Σ(x − mean)² / (n − correction)."""
        return Tensor(algebra.variance(self.node, axis, keepdims, correction))

    @checks_flags
    def std(
        self, axis: Axes = None, keepdims: bool = False, correction: int = 0
    ) -> Tensor:
        """√var."""
        return Tensor(build.sqrt(self.var(axis, keepdims, correction).node))

    @checks_flags
    def max(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """The maximum; at a tie the gradient goes to the first."""
        return Tensor(build.maximum_over(self.node, axis, keepdims))

    @checks_flags
    def min(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """The minimum; at a tie the gradient goes to the first."""
        return Tensor(algebra.minimum_over(self.node, axis, keepdims))

    @checks_flags
    def prod(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """The product along an axis (or of all elements)."""
        if axis is None:
            return Tensor(algebra.product_over(build.reshape(self.node, (-1,)), 0))
        return Tensor(algebra.product_over(self.node, axis, keepdims))

    def argmax(self, axis: int | None = None) -> Tensor:
        """The index of the first maximum (of the flattened tensor without ``axis``)."""
        node = build.reshape(self.node, (-1,)) if axis is None else self.node
        return Tensor(build.argmax(node, -1 if axis is None else axis))

    def argmin(self, axis: int | None = None) -> Tensor:
        """The index of the first minimum."""
        node = build.reshape(self.node, (-1,)) if axis is None else self.node
        return Tensor(algebra.argmin(node, -1 if axis is None else axis))

    def any(self, axis: Axes = None) -> Tensor:
        """Whether some element is true."""
        return (self != 0).sum(axis) > 0

    def all(self, axis: Axes = None) -> Tensor:
        """Whether every element is true."""
        return (self == 0).sum(axis) == 0

    def cumsum(self, axis: int) -> Tensor:
        """Sums of all elements up to and including each one, along an axis."""
        return Tensor(build.cumulative_sum(self.node, axis))

    def cumprod(self, axis: int) -> Tensor:
        """Products of all elements up to and including each one, along an axis."""
        return Tensor(algebra.cumulative_product(self.node, axis))

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        """Limit values to [low, high]."""
        node = self.node if low is None else build.maximum(self.node, low)
        return Tensor(node if high is None else build.minimum(node, high))

    @checks_flags
    def norm(
        self, p: float | str = 2, axis: Axes = None, keepdims: bool = False
    ) -> Tensor:
        """(Σ|x|^p)^(1/p) of the entries; p may be infinity or "fro"."""
        return Tensor(algebra.norm(self.node, p, axis, keepdims))

    def dot(self, other: Any) -> Tensor:
        """The matrix (or inner) product."""
        return self.__matmul__(other)

    def trace(self) -> Tensor:
        """Σ of the main diagonal."""
        return Tensor(algebra.trace(self.node))


def depends_on_parameter(node: Node) -> bool:
    """Whether some leaf below a node is a parameter."""
    return any(found.attributes["uid"] in _parameters for found in inputs([node]))


def operand(value: Any) -> Node | dtypes.Scalar:
    """Return a tensor's node, a Python number as it is, anything else as a new leaf."""
    if isinstance(value, Tensor):
        return value.node
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        return value
    return leaf(as_array(value, where="operand"))


def _spread(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Accept f(2, 3) as well as f((2, 3))."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        return tuple(arguments[0])
    return arguments


_INDEX = "whole numbers, slices, masks, None or …"


def _index_key(key: Any) -> Any:
    """Turn tensors and arrays in an index into nodes; masks into the indices where they hold."""
    items = key if isinstance(key, tuple) else (key,)
    result: list[Any] = []
    for item in items:
        if (
            item is None
            or item is Ellipsis
            or (isinstance(item, (slice, int)) and not isinstance(item, bool))
        ):
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
            result.append(
                leaf(
                    as_array(
                        array.astype(np.int64) if array.size == 0 else array,
                        where="index",
                    )
                )
            )
    return tuple(result)


def sizes(shape: Any, where: str) -> Shape:
    """Return a shape that a caller wrote, checked; a single size is a shape of one axis.

    >>> sizes(3, "zeros"), sizes([2, 3], "zeros")
    ((3,), (2, 3))
    """
    listed = (
        tuple(shape)
        if isinstance(shape, Iterable) and not isinstance(shape, str)
        else (shape,)
    )
    for size in listed:
        whole = (
            isinstance(size, (int, np.integer))
            and not isinstance(size, bool)
            and size >= 0
        )
        if not whole and not isinstance(size, Dimension):
            raise ShapeError(
                where, expected="sizes that are whole numbers ≥ 0", got=repr(shape)
            )
    return tuple(size if isinstance(size, Dimension) else int(size) for size in listed)


def tensor(value: Any, name: str = "", dtype: str | DType | None = None) -> Tensor:
    """Return a tensor of data (copied). Lists of Python floats become float32; float64 arrays stay float64.

    >>> tensor([1, 2, 3]).dtype, tensor([0.5]).dtype
    (int64, float32)
    """
    if isinstance(value, Tensor):
        value = value.numpy()
    return Tensor(
        leaf(as_array(value, dtypes.dtype(dtype) if dtype else None), name), name=name
    )


def parameter(value: Any, name: str = "", dtype: str | DType | None = None) -> Tensor:
    """Return a tensor to be learned: ``backward`` gives it a ``grad``, modules list it.

    >>> w = parameter([3.0], name="w")
    >>> (w * w).sum().backward()
    >>> w.grad.tolist()
    [6.0]
    """
    array = as_array(
        value.numpy() if isinstance(value, Tensor) else value,
        dtypes.dtype(dtype) if dtype else None,
    )
    if not dtypes.DTYPES[array.dtype.name].is_float:
        array = array.astype("float32")
    return Tensor(leaf(array, name), name=name, requires_grad=True)


def symbol(
    name: str, shape: Sequence[int | Dimension | str], dtype: str | DType = "float32"
) -> Tensor:
    """Return a tensor that has a name and a shape and no value; a size may be a letter (an unknown size).

    >>> symbol("x", shape=("N", 784)).shape
    (N, 784)
    """
    known: dict[str, Dimension] = {}
    sizes = tuple(
        known.setdefault(s, Dimension(s)) if isinstance(s, str) else s for s in shape
    )
    return Tensor(build.input_node(name, sizes, dtypes.dtype(dtype)), name=name)
