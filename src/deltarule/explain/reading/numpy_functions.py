"""The NumPy functions and methods that an answer in Python may call, as graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from deltarule import dtypes
from deltarule.errors import ArgumentError
from deltarule.explain.reading.known_functions import inverse
from deltarule.graph import algebra, build, functions
from deltarule.graph.node import Node

Value = Any  # Node | int | float | bool | str | None | Ellipsis | tuple of values
Axes = int | tuple[int, ...] | None
CONSTANTS: dict[str, Value] = {
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "newaxis": None,
}
_LARGEST = 1_000_000
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _array(value: Value) -> Node:
    if isinstance(value, Node):
        return (
            build.cast(value, dtypes.FLOAT64) if value.dtype is dtypes.BOOL else value
        )
    if isinstance(value, tuple):
        parts = [_array(part) for part in value]
        return algebra.stack(parts, 0)
    return build.constant(float(value), dtypes.FLOAT64)


def _lifted(function: Callable[..., Node]) -> Callable[..., Node]:
    return lambda *arrays: function(*(_array(array) for array in arrays))


def _sum(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    return build.sum_over(_array(x), axis, keepdims)


def _mean(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    return build.mean(_array(x), axis, keepdims)


def _maximum_over(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    return build.maximum_over(_array(x), axis, keepdims)


def _minimum_over(x: Value, axis: Axes = None, keepdims: bool = False) -> Node:
    return algebra.minimum_over(_array(x), axis, keepdims)


def _softmax(x: Value, axis: int = -1, dim: int | None = None) -> Node:
    node = _array(x)
    return functions.softmax(node, axis=(axis if dim is None else dim) % node.rank)


def _log_softmax(x: Value, axis: int = -1) -> Node:
    node = _array(x)
    return functions.log_softmax(node, axis=axis % node.rank)


def _norm(
    x: Value, ord: Value = None, axis: int | None = None, keepdims: bool = False
) -> Node:
    node = _array(x)
    if ord == 1 and node.rank == 1:
        return build.sum_over(build.absolute(node))
    if ord not in (None, 2, "fro"):
        raise TypeError("ord")
    square = build.sum_over(build.multiply(node, node), axis, keepdims)
    return build.sqrt(square)


def _transposed(x: Value, axes: Sequence[int] | None = None, *more: int) -> Node:
    node = _array(x)
    order = tuple(reversed(range(node.rank)))
    if isinstance(axes, int):
        order = (axes, *more)
    elif axes is not None:
        order = tuple(axes)
    return build.permute(node, order)


def _reshaped(x: Value, *shape: Value) -> Node:
    node = _array(x)
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


def _filled(value: float) -> Callable[..., Node]:
    def make(shape: Value, dtype: Value = None) -> Node:
        sizes = (
            tuple(map(_whole, shape)) if isinstance(shape, tuple) else (_whole(shape),)
        )
        if any(size < 0 for size in sizes) or math.prod(sizes) > _LARGEST:
            raise ArgumentError(
                "array",
                expected=f"at most {_LARGEST} entries",
                got=str(math.prod(sizes)),
            )
        return build.full(sizes, value, dtypes.FLOAT64)

    return make


def _eye(n: Value) -> Node:
    if _whole(n) > 1000:
        raise ArgumentError("np.eye", expected="at most 1000 rows", got=str(n))
    return algebra.identity(_whole(n), dtypes.FLOAT64)


def _diagonal(x: Value) -> Node:
    node = _array(x)
    return algebra.diagonal_matrix(node) if node.rank == 1 else algebra.diagonal(node)


def _dot(x: Value, y: Value) -> Node:
    left, right = _array(x), _array(y)
    if not left.rank or not right.rank:
        return build.multiply(left, right)
    return build.matmul(left, right)


def _inner(x: Value, y: Value) -> Node:
    right = _array(y)
    return build.matmul(
        _array(x), build.matrix_transpose(right) if right.rank > 1 else right
    )


def _length(x: Value) -> Value:
    if isinstance(x, tuple):
        return len(x)
    node = _array(x)
    size = node.shape[0]
    return (
        size if isinstance(size, int) else build.size(node.shape, (0,), dtypes.FLOAT64)
    )


def _expanded(x: Value, axis: int) -> Node:
    node = _array(x)
    return build.expand_dims(node, (axis % (node.rank + 1),))


def _squeezed(x: Value, axis: int | None = None) -> Node:
    node = _array(x)
    chosen = range(node.rank) if axis is None else [axis % node.rank]
    kept = [size for i, size in enumerate(node.shape) if i not in chosen or size != 1]
    return build.reshape(node, kept)


def _flat(x: Value) -> Node:
    return _reshaped(x, -1)


def _where(condition: Value, x: Value, y: Value) -> Node:
    holds = condition if isinstance(condition, Node) else _array(condition)
    if holds.dtype is not dtypes.BOOL:
        holds = build.logical_not(build.equal(holds, 0.0))
    return build.where(holds, _array(x), _array(y))


def _heaviside(x: Value, at_zero: Value) -> Node:
    node = _array(x)
    step = build.where(build.less(0.0, node), 1.0, 0.0)
    return build.where(build.equal(node, 0.0), _array(at_zero), step)


def _clip(x: Value, low: Value = None, high: Value = None) -> Node:
    node = _array(x)
    node = node if low is None else build.maximum(node, _array(low))
    return node if high is None else build.minimum(node, _array(high))


def _outer(x: Value, y: Value) -> Node:
    left, right = _array(x), _array(y)
    flat = [node if node.rank == 1 else _flat(node) for node in (left, right)]
    return algebra.outer(*flat)


def _matrix_power(a: Value, n: Value) -> Node:
    if not 0 < _whole(n) <= 16:
        raise TypeError("n")
    result = node = _array(a)
    for _ in range(n - 1):
        result = build.matmul(result, node)
    return result


def _kron(a: Value, b: Value) -> Node:
    left, right = (_as_row(_array(x)) for x in (a, b))
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


def _solve(a: Value, b: Value) -> Node:
    right = _array(b)
    if right.rank == 1:
        solved = build.solve(_array(a), build.reshape(right, (*right.shape, 1)))
        return build.reshape(solved, right.shape)
    return build.solve(_array(a), right)


def einsum(equation: Value, *operands: Value) -> Node:
    """Return the sum of products that an equation such as "ij,j->i" names; an axis of each letter."""
    if not isinstance(equation, str):
        raise TypeError("equation")
    plain = equation.replace(" ", "")
    left, arrow, result = plain.partition("->")
    inputs = left.split(",")
    nodes = [_array(operand) for operand in operands]
    if len(inputs) != len(nodes) or not set(plain) <= _LETTERS | set(",->"):
        raise TypeError("equation")
    letters = sorted({letter for part in inputs for letter in part})
    if not arrow:
        counts = {letter: left.count(letter) for letter in letters}
        result = "".join(letter for letter in letters if counts[letter] == 1)
    order = [*result, *(letter for letter in letters if letter not in result)]
    if (
        len(set(result)) != len(result)
        or not set(result) <= set(letters)
        or len(order) > 8
    ):
        raise TypeError("equation")
    product: Node | None = None
    for part, node in zip(inputs, nodes, strict=True):
        spread = _spread(part, node, order)
        product = spread if product is None else build.multiply(product, spread)
    if product is None:
        raise TypeError("operands")
    if (
        math.prod(size if isinstance(size, int) else 1 for size in product.shape)
        > _LARGEST
    ):
        raise ArgumentError(
            "einsum", expected=f"at most {_LARGEST} products", got="more"
        )
    summed = tuple(range(len(result), len(order)))
    return build.sum_over(product, summed) if summed else product


def _spread(part: str, node: Node, order: Sequence[str]) -> Node:
    """Return an operand with an axis for each letter of the order, those that it lacks of one entry."""
    if len(part) != node.rank or len(set(part)) != len(part):
        raise TypeError("operand")
    own = [letter for letter in order if letter in part]
    turned = build.permute(node, [part.index(letter) for letter in own])
    sizes = dict(zip(own, turned.shape, strict=True))
    return build.reshape(turned, [sizes.get(letter, 1) for letter in order])


def _like(value: float) -> Callable[[Value], Node]:
    return lambda x: build.add(build.multiply(_array(x), 0.0), value)


def _number(x: Value) -> Value:
    return _array(x) if isinstance(x, Node) else float(x)


def _log_of_one_plus(x: Node) -> Node:
    return build.log1p(x)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "outer": _outer,
    "dot": _dot,
    "matmul": _dot,
    "inner": _inner,
    "vdot": _dot,
    "multiply": _lifted(build.multiply),
    "divide": _lifted(build.divide),
    "true_divide": _lifted(build.divide),
    "add": _lifted(build.add),
    "subtract": _lifted(build.subtract),
    "negative": _lifted(build.negate),
    "power": _lifted(build.power),
    "pow": _lifted(build.power),
    "square": lambda x: build.multiply(_array(x), _array(x)),
    "reciprocal": lambda x: build.divide(1.0, _array(x)),
    "einsum": einsum,
    "where": _where,
    "exp": _lifted(build.exp),
    "expm1": _lifted(build.expm1),
    "log": _lifted(build.log),
    "log1p": _lifted(_log_of_one_plus),
    "sqrt": _lifted(build.sqrt),
    "tanh": _lifted(build.tanh),
    "sinh": lambda x: build.multiply(
        0.5, build.subtract(build.exp(_array(x)), build.exp(build.negate(_array(x))))
    ),
    "cosh": lambda x: build.multiply(
        0.5, build.add(build.exp(_array(x)), build.exp(build.negate(_array(x))))
    ),
    "sin": _lifted(build.sin),
    "cos": _lifted(build.cos),
    "abs": _lifted(build.absolute),
    "absolute": _lifted(build.absolute),
    "sign": _lifted(build.sign),
    "heaviside": lambda x, half: _where(
        build.equal(_array(x), 0.0), half, _where(build.less(0.0, _array(x)), 1.0, 0.0)
    ),
    "maximum": _lifted(build.maximum),
    "minimum": _lifted(build.minimum),
    "clip": _clip,
    "sum": _sum,
    "mean": _mean,
    "average": _mean,
    "matrix_power": _matrix_power,
    "pinv": lambda x: inverse(_array(x)),
    "kron": _kron,
    "max": _maximum_over,
    "amax": _maximum_over,
    "min": _minimum_over,
    "transpose": _transposed,
    "reshape": _reshaped,
    "ravel": _flat,
    "expand_dims": _expanded,
    "squeeze": _squeezed,
    "diag": _diagonal,
    "diagflat": lambda x: algebra.diagonal_matrix(_flat(x)),
    "eye": _eye,
    "identity": _eye,
    "ones": _filled(1.0),
    "zeros": _filled(0.0),
    "ones_like": _like(1.0),
    "zeros_like": _like(0.0),
    "sigmoid": _lifted(functions.sigmoid),
    "expit": _lifted(functions.sigmoid),
    "relu": _lifted(functions.relu),
    "softplus": _lifted(functions.softplus),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "norm": _norm,
    "inv": lambda x: inverse(_array(x)),
    "solve": _solve,
    "trace": _lifted(algebra.trace),
    "len": _length,
    "float": _number,
    "array": _array,
    "asarray": _array,
    "atleast_2d": lambda x: _array(x) if _array(x).rank > 1 else _expanded(x, 0),
    "logical_and": lambda x, y: build.logical_and(x, y),
    "logical_or": lambda x, y: build.logical_or(x, y),
    "logical_not": lambda x: build.logical_not(x),
}
METHODS: dict[str, Callable[..., Value]] = {
    name: FUNCTIONS[name]
    for name in (
        "dot",
        "sum",
        "mean",
        "max",
        "min",
        "reshape",
        "transpose",
        "ravel",
        "squeeze",
        "clip",
        "trace",
    )
} | {
    "flatten": _flat,
    "astype": lambda x, kind=None, **more: _array(x),
    "copy": _array,
    "diagonal": lambda x: algebra.diagonal(_array(x)),
    "exp": FUNCTIONS["exp"],
    "log": FUNCTIONS["log"],
    "tanh": FUNCTIONS["tanh"],
    "sigmoid": FUNCTIONS["sigmoid"],
    "relu": FUNCTIONS["relu"],
    "norm": _norm,
}
