"""Arrays of an answer in Python: their shapes, reductions and products, as NumPy and PyTorch have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from deltarule import dtypes
from deltarule.errors import ArgumentError
from deltarule.graph import algebra, build, functions
from deltarule.graph.indexing import index
from deltarule.graph.node import Node

Value = Any  # Node | int | float | bool | str | None | Ellipsis | range | function | tuple of values
Axes = int | tuple[int, ...] | None
_LARGEST = 1_000_000
_LONGEST = 1000


def as_array(value: Value) -> Node:
    """Return a number, an array, or a list of rows as an array.

    >>> as_array(((1, 2, 3), (4, 5, 6))).shape
    (2, 3)
    """
    if isinstance(value, Node):
        return (
            build.cast(value, dtypes.FLOAT64) if value.dtype is dtypes.BOOL else value
        )
    if isinstance(value, tuple):
        if not value:
            raise ValueError("no rows")
        return algebra.stack([as_array(part) for part in value], 0)
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError("no number")
    return build.constant(float(value), dtypes.FLOAT64)


def lifted(function: Callable[..., Node]) -> Callable[..., Node]:
    """Return a function of nodes as one of arrays, lists and numbers."""
    return lambda *arrays: function(*(as_array(array) for array in arrays))


def sum_of(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    """Return the sum over axes.

    >>> sum_of(eye(3), 0).shape
    (3,)
    """
    return build.sum_over(as_array(x), axis, keepdims)


def mean_of(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    """Return the mean over axes."""
    return build.mean(as_array(x), axis, keepdims)


def maximum_over(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    """Return the largest entries along axes."""
    return build.maximum_over(as_array(x), axis, keepdims)


def minimum_over(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    """Return the smallest entries along axes."""
    return algebra.minimum_over(as_array(x), axis, keepdims)


def softmax(x: Value, axis: int = -1) -> Node:
    """Return the softmax along an axis."""
    node = as_array(x)
    return functions.softmax(node, axis=axis % node.rank)


def log_softmax(x: Value, axis: int = -1) -> Node:
    """Return the logarithm of the softmax along an axis."""
    node = as_array(x)
    return functions.log_softmax(node, axis=axis % node.rank)


def norm(
    x: Value, ord: Value = None, axis: int | None = None, keepdims: bool = False
) -> Node:
    """Return the Euclidean or Frobenius norm, or the sum of absolute values of a vector."""
    node = as_array(x)
    if ord == 1 and node.rank == 1:
        return build.sum_over(build.absolute(node))
    if ord not in (None, 2, "fro"):
        raise TypeError("ord")
    square = build.sum_over(build.multiply(node, node), axis, keepdims)
    return build.sqrt(square)


def transposed(x: Value, axes: Sequence[int] | None = None, *more: int) -> Node:
    """Return an array with its axes in another order.

    >>> transposed(as_array(((1, 2, 3), (4, 5, 6)))).shape
    (3, 2)
    """
    node = as_array(x)
    order = tuple(reversed(range(node.rank)))
    if isinstance(axes, int):
        order = (axes, *more)
    elif axes is not None:
        order = tuple(axes)
    return build.permute(node, order)


def reshaped(x: Value, *shape: Value) -> Node:
    """Return an array in another shape; one size may be −1."""
    node = as_array(x)
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
    if not all(isinstance(size, int) for size in node.shape):
        raise TypeError("size")
    whole = [_whole(size) for size in sizes]
    if whole.count(-1) == 1:
        rest = math.prod(size for size in whole if size != -1)
        total = math.prod(int(size) for size in node.shape)
        whole[whole.index(-1)] = total // rest if rest else 0
    return build.reshape(node, whole)


def _whole(size: Value) -> int:
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError("size")
    return size


def filled_with(value: float) -> Callable[..., Node]:
    """Return a function that fills an array of a shape with a number."""

    def make(*shape: Value) -> Node:
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        sizes = tuple(map(_whole, given))
        if any(size < 0 for size in sizes) or math.prod(sizes) > _LARGEST:
            raise ArgumentError(
                "array",
                expected=f"at most {_LARGEST} entries",
                got=str(math.prod(sizes)),
            )
        return build.full(sizes, value, dtypes.FLOAT64)

    return make


def full(shape: Value, value: Value) -> Node:
    """Return an array of a shape filled with a number."""
    return build.multiply(filled_with(1.0)(shape), as_array(value))


def eye(n: Value) -> Node:
    """Return the identity matrix.

    >>> eye(3).shape
    (3, 3)
    """
    if _whole(n) > 1000:
        raise ArgumentError("np.eye", expected="at most 1000 rows", got=str(n))
    return algebra.identity(_whole(n), dtypes.FLOAT64)


def diagonal(x: Value) -> Node:
    """Return a diagonal matrix, or the diagonal of a matrix."""
    node = as_array(x)
    return algebra.diagonal_matrix(node) if node.rank == 1 else algebra.diagonal(node)


def dot(x: Value, y: Value) -> Node:
    """Return the product of two arrays as numpy.dot has it for at most two axes.

    >>> dot(eye(3), as_array((1, 2, 3))).shape
    (3,)
    """
    left, right = as_array(x), as_array(y)
    if not left.rank or not right.rank:
        return build.multiply(left, right)
    return build.matmul(left, right)


def inner(x: Value, y: Value) -> Node:
    """Return the inner product over the last axes."""
    right = as_array(y)
    return build.matmul(
        as_array(x), build.matrix_transpose(right) if right.rank > 1 else right
    )


def length(x: Value) -> Value:
    """Return the number of items.

    >>> length((1, 2, 3))
    3
    """
    if isinstance(x, (tuple, range)):
        return len(x)
    node = as_array(x)
    size = node.shape[0]
    return (
        size if isinstance(size, int) else build.size(node.shape, (0,), dtypes.FLOAT64)
    )


def expanded(x: Value, axis: int) -> Node:
    """Return an array with one more axis."""
    node = as_array(x)
    return build.expand_dims(node, (axis % (node.rank + 1),))


def squeezed(x: Value, axis: int | None = None) -> Node:
    """Return an array without axes of one entry."""
    node = as_array(x)
    chosen = range(node.rank) if axis is None else [axis % node.rank]
    kept = [size for i, size in enumerate(node.shape) if i not in chosen or size != 1]
    return build.reshape(node, kept)


def flat(x: Value) -> Node:
    """Return the entries along one axis.

    >>> flat(eye(3)).shape
    (9,)
    """
    return reshaped(x, -1)


def where(condition: Value, x: Value, y: Value) -> Node:
    """Return one array where a condition holds, and another elsewhere."""
    holds = condition if isinstance(condition, Node) else as_array(condition)
    if holds.dtype is not dtypes.BOOL:
        holds = build.logical_not(build.equal(holds, 0.0))
    return build.where(holds, as_array(x), as_array(y))


def heaviside(x: Value, at_zero: Value = 0.0) -> Node:
    """Return the step function."""
    node = as_array(x)
    step = build.where(build.less(0.0, node), 1.0, 0.0)
    return build.where(build.equal(node, 0.0), as_array(at_zero), step)


def cosh(x: Value) -> Node:
    """Return the hyperbolic cosine."""
    node = as_array(x)
    both = build.add(build.exp(node), build.exp(build.negate(node)))
    return build.multiply(0.5, both)


def sinh(x: Value) -> Node:
    """Return the hyperbolic sine."""
    node = as_array(x)
    both = build.subtract(build.exp(node), build.exp(build.negate(node)))
    return build.multiply(0.5, both)


def sizes_of(x: Value, axis: int | None = None) -> Value:
    """Return the shape, or one size, as methods of PyTorch give them."""
    shape = as_array(x).shape
    return shape if axis is None else _whole(shape[axis])


def masked_fill(x: Value, mask: Value, value: Value) -> Node:
    """Return an array with a number where a mask is true."""
    return where(mask, value, x)


def multi_dot(factors: Value) -> Node:
    """Return the product of a list of matrices."""
    first, *rest = factors
    result = as_array(first)
    for factor in rest:
        result = dot(result, factor)
    return result


def leaky_relu(x: Value, slope: Value = 0.01) -> Node:
    """Return x where it is positive, and a multiple of it elsewhere."""
    return functions.leaky_relu(as_array(x), slope=float(slope))


def elu(x: Value, alpha: Value = 1.0) -> Node:
    """Return x where it is positive, and α(eˣ − 1) elsewhere."""
    return functions.elu(as_array(x), alpha=float(alpha))


def sum_of_items(x: Value, start: Value = 0) -> Value:
    """Return the sum of the items of a list, or of the rows of an array, as Python's sum does."""
    if isinstance(x, Node):
        return build.sum_over(x, 0 if x.rank else None)
    result = start
    for item in x:
        numbers = isinstance(result, (int, float)) and isinstance(item, (int, float))
        if numbers:
            result = result + item
        elif isinstance(result, int) and result == 0:
            result = as_array(item)
        else:
            result = build.add(as_array(result), as_array(item))
    return result


def largest_of(*items: Value) -> Value:
    """Return the largest of numbers or arrays, entry by entry; of one array its largest entry."""
    return _extreme(items, build.maximum, maximum_over, max)


def smallest_of(*items: Value) -> Value:
    """Return the smallest of numbers or arrays, entry by entry; of one array its smallest entry."""
    return _extreme(items, build.minimum, minimum_over, min)


def _extreme(
    items: tuple[Value, ...],
    pair: Callable[[Node, Node], Node],
    over: Callable[[Value], Node],
    numbers: Callable[..., float],
) -> Value:
    if len(items) == 1:
        return over(items[0])
    if all(isinstance(item, (int, float)) for item in items):
        return numbers(*items)
    result = as_array(items[0])
    for item in items[1:]:
        result = pair(result, as_array(item))
    return result


def zipped(*lists: Value) -> tuple[Value, ...]:
    """Return the items of several lists or arrays, side by side.

    >>> zipped((1, 2), (3, 4))
    ((1, 3), (2, 4))
    """
    return tuple(zip(*(_items(one) for one in lists), strict=False))


def enumerated(items: Value, start: int = 0) -> tuple[Value, ...]:
    """Return the items of a list or an array with their numbers.

    >>> enumerated((5, 6), 1)
    ((1, 5), (2, 6))
    """
    return tuple(enumerate(_items(items), _whole(start)))


def _items(x: Value) -> list[Value]:
    if isinstance(x, Node):
        return [index(x, (i,)) for i in range(_whole(x.shape[0]))]
    return list(x)


def numbers_from(*bounds: Value) -> range:
    """Return a range of whole numbers.

    >>> list(numbers_from(1, 4))
    [1, 2, 3]
    """
    found = range(*map(_whole, bounds))
    if len(found) > _LONGEST:
        raise ArgumentError(
            "range", expected=f"at most {_LONGEST} numbers", got=str(len(found))
        )
    return found


def clip(x: Value, low: Value = None, high: Value = None) -> Node:
    """Return the entries limited from below and above."""
    node = as_array(x)
    node = node if low is None else build.maximum(node, as_array(low))
    return node if high is None else build.minimum(node, as_array(high))


def outer(x: Value, y: Value) -> Node:
    """Return the outer product of the entries.

    >>> outer((1, 2), (3, 4, 5)).shape
    (2, 3)
    """
    left, right = as_array(x), as_array(y)
    vectors = [node if node.rank == 1 else flat(node) for node in (left, right)]
    return algebra.outer(*vectors)


def matrix_power(a: Value, n: Value) -> Node:
    """Return a power of a square matrix."""
    if not 0 < _whole(n) <= 16:
        raise TypeError("n")
    result = node = as_array(a)
    for _ in range(n - 1):
        result = build.matmul(result, node)
    return result


def kron(a: Value, b: Value) -> Node:
    """Return the Kronecker product."""
    left, right = (_as_row(as_array(x)) for x in (a, b))
    (m, n), (p, q) = ((_whole(s) for s in x.shape) for x in (left, right))
    spread = build.multiply(
        build.reshape(left, (m, 1, n, 1)), build.reshape(right, (1, p, 1, q))
    )
    return build.reshape(spread, (m * p, n * q))


def _as_row(node: Node) -> Node:
    """Return an array of at most one axis as a row."""
    if node.rank > 1:
        return node
    return build.reshape(node, (1, node.shape[0] if node.rank else 1))


def solve(a: Value, b: Value) -> Node:
    """Return the solution of a linear system."""
    right = as_array(b)
    if right.rank == 1:
        solved = build.solve(as_array(a), build.reshape(right, (*right.shape, 1)))
        return build.reshape(solved, right.shape)
    return build.solve(as_array(a), right)


def filled_like(value: float) -> Callable[[Value], Node]:
    """Return a function that fills an array of the shape of another with a number."""
    return lambda x: build.add(build.multiply(as_array(x), 0.0), value)


def number_of(x: Value) -> Value:
    """Return a number as it is.

    >>> number_of(2)
    2.0
    """
    return as_array(x) if isinstance(x, Node) else float(x)


def log_of_one_plus(x: Node) -> Node:
    """Return log(1 + x)."""
    return build.log1p(x)
