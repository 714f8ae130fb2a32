"""Functions of tensors: element-wise functions, activations, concatenation, losses per example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from deltarule import dtypes, shapes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import DTypeError
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.functions.losses import one_hot as one_hot_node
from deltarule.graph.node import Node
from deltarule.renamed import former_names
from deltarule.shapes import sizes
from deltarule.tensor import activations
from deltarule.tensor.activations import *  # noqa: F403  # each is listed where it is defined
from deltarule.tensor.activations import floating
from deltarule.tensor.tensor import Tensor, operand
from deltarule.tensor.tensor import TensorLike as TensorLike

__all__ = [
    "absolute",
    "arange",
    "argsort",
    "concatenate",
    "cos",
    "cosine_similarity",
    "erf",
    "exp",
    "expm1",
    "eye",
    "flip",
    "floor",
    "full",
    "log",
    "log1p",
    "logical_not",
    "logsumexp",
    "maximum",
    "minimum",
    "one_hot",
    "ones",
    "outer",
    "pad",
    "sign",
    "sin",
    "sort",
    "sqrt",
    "stack",
    "stop_gradient",
    "take",
    "take_along_axis",
    "tanh",
    "where",
    "zeros",
]
__all__ += activations.__all__


def as_tensor(value: TensorLike) -> Tensor:
    """Return ``value`` as a tensor; a tensor is returned unchanged.

    >>> as_tensor([1, 2]).shape
    (2,)
    """
    return value if isinstance(value, Tensor) else Tensor(build.as_node(operand(value)))


def _elementwise(
    make: Callable[..., Node], argument: str, result: str
) -> Callable[[TensorLike], Tensor]:
    """Return a function of one tensor, documented by its constructor of nodes and an example."""

    def function(x: TensorLike) -> Tensor:
        return Tensor(make(build.as_node(operand(x))))

    name = function.__name__ = function.__qualname__ = make.__name__
    summary = (make.__doc__ or "").partition(">>>")[0].rstrip()
    example = f">>> {name}({argument}).tolist()\n    {result}"
    function.__doc__ = f"{summary}\n\n    {example}\n    "
    return function


exp = _elementwise(build.exp, "[0.0, float('-inf')]", "[1.0, 0.0]")
expm1 = _elementwise(build.expm1, "[0.0, float('-inf')]", "[0.0, -1.0]")
log = _elementwise(build.log, "[1.0, float('inf')]", "[0.0, inf]")
log1p = _elementwise(build.log1p, "[0.0, float('inf')]", "[0.0, inf]")
sqrt = _elementwise(build.sqrt, "[4.0, 9.0]", "[2.0, 3.0]")
sin = _elementwise(build.sin, "[0.0]", "[0.0]")
cos = _elementwise(build.cos, "[0.0]", "[1.0]")
tanh = _elementwise(build.tanh, "[0.0, 100.0]", "[0.0, 1.0]")
erf = _elementwise(build.erf, "[0.0, 10.0]", "[0.0, 1.0]")
absolute = _elementwise(build.absolute, "[-2, 3]", "[2, 3]")
sign = _elementwise(build.sign, "[-2, 0, 3]", "[-1, 0, 1]")
floor = _elementwise(build.floor, "[-1.5, 2.7]", "[-2.0, 2.0]")
logical_not = _elementwise(build.logical_not, "[True, False]", "[False, True]")
stop_gradient = _elementwise(build.stop_gradient, "[1.0, 2.0]", "[1.0, 2.0]")


def logsumexp(x: TensorLike, axis: int = -1) -> Tensor:
    """Return ln Σ eˣ along an axis, computed without overflow; the gradient is the softmax.

    >>> round(logsumexp([1000.0, 1000.0]).item(), 3)
    1000.693
    """
    node = floating(x)
    return Tensor(f.logsumexp(node, axis=shapes.axis(axis, node.rank, "axis")))


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """Return x where the condition holds, y elsewhere.

    >>> where([True, False], [1, 2], 0).tolist()
    [1, 0]
    """
    return Tensor(build.where(operand(condition), operand(x), operand(y)))


def weighted(share: TensorLike, value: TensorLike) -> Tensor:
    """Return the product of a weight and a value, with 0·(±∞) = 0, as in the sums Σ p ln q.

    >>> weighted([0.0, 1.0], [-float("inf"), -2.0]).tolist()
    [0.0, -2.0]
    """
    return Tensor(f.weighted(floating(share), floating(value)))


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the element-wise maximum of x and y; at a tie the gradient goes to x.

    >>> maximum([1, 5], [4, 2]).tolist()
    [4, 5]
    """
    return Tensor(build.maximum(operand(x), operand(y)))


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the element-wise minimum of x and y; at a tie the gradient goes to x.

    >>> minimum([1, 5], [4, 2]).tolist()
    [1, 2]
    """
    return Tensor(build.minimum(operand(x), operand(y)))


def _promoted(tensors: Sequence[TensorLike]) -> list[Node]:
    """Return tensors cast to their common element type; Python numbers take the type of the tensors."""
    operands = [operand(x) for x in tensors]
    known = [x.dtype for x in operands if isinstance(x, Node)]
    nodes = [
        build.as_node(x, dtypes.promote(*known) if known else None) for x in operands
    ]
    kind = dtypes.promote(*(node.dtype for node in nodes)) if nodes else dtypes.FLOAT32
    return [build.cast(node, kind) for node in nodes]


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Concatenate tensors along an existing axis, in the element type that all promote to.

    >>> concatenate([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    return Tensor(build.concatenate(_promoted(tensors), axis))


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Stack tensors along a new axis, in the element type that all promote to.

    >>> stack([1.5, 2]).tolist()
    [1.5, 2.0]
    """
    return Tensor(algebra.stack(_promoted(tensors), axis))


def pad(x: TensorLike, widths: Sequence[tuple[int, int]]) -> Tensor:
    """Pad with zeros; ``widths`` is (before, after) for each axis.

    >>> pad([1, 2], [(1, 2)]).tolist()
    [0, 1, 2, 0, 0]
    """
    before, after = [low for low, _ in widths], [high for _, high in widths]
    return Tensor(build.pad(build.as_node(operand(x)), before, after))


def flip(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """Reverse the order of elements along axes.

    >>> flip([1, 2, 3], 0).tolist()
    [3, 2, 1]
    """
    axes = (axis,) if isinstance(axis, int) else axis
    return Tensor(build.flip(build.as_node(operand(x)), axes))


def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """Return the slices of x at ``indices`` along an axis.

    Args:
        x: A tensor.
        indices: Integers of any shape, which replaces the axis in the shape of the result.
        axis: The axis to index.

    >>> take([10, 20, 30], [2, 0]).tolist()
    [30, 10]
    """
    return Tensor(
        build.gather(build.as_node(operand(x)), build.as_node(operand(indices)), axis)
    )


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int) -> Tensor:
    """Return one element along an axis for each position of ``indices``, as in NumPy.

    Args:
        x: A tensor.
        indices: Integers; the shape is that of x except along the axis.
        axis: The axis to index.

    >>> take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1).tolist()
    [[2], [3]]
    """
    return Tensor(
        algebra.take_along_axis(
            build.as_node(operand(x)), build.as_node(operand(indices)), axis
        )
    )


def sort(x: TensorLike, axis: int = -1) -> Tensor:
    """Sort along an axis in ascending order.

    >>> sort([3, 1, 2]).tolist()
    [1, 2, 3]
    """
    return Tensor(algebra.sort(build.as_node(operand(x)), axis))


def argsort(x: TensorLike, axis: int = -1) -> Tensor:
    """Return the indices that sort along an axis in ascending order (stable).

    >>> argsort([3, 1, 2]).tolist()
    [1, 2, 0]
    """
    return Tensor(build.argsort(build.as_node(operand(x)), axis))


def one_hot(
    labels: TensorLike, n_classes: int, dtype: str | DType = "float32"
) -> Tensor:
    """Encode labels as one-hot vectors along a new last axis.

    Args:
        labels: Integers in [0, n_classes).
        n_classes: The size of the new axis.
        dtype: The element type of the result.

    Raises:
        DTypeError: the labels are floating-point numbers.
        ShapeError: ``n_classes`` is no whole number ≥ 0.

    >>> one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    node = build.as_node(operand(labels))
    if node.dtype.is_float:
        raise DTypeError(
            "one_hot", expected="whole-number labels", got=build.describe(node)
        )
    (size,) = sizes((n_classes,), "one_hot")
    return Tensor(one_hot_node(node, size, build.constant(0.0, dtypes.dtype(dtype))))


def arange(n: int, dtype: str | DType = "int64") -> Tensor:
    """Return the numbers 0, 1, …, n − 1.

    >>> arange(3).tolist()
    [0, 1, 2]
    """
    return Tensor(build.iota(sizes((n,), "arange"), 0, dtypes.dtype(dtype)))


def full(shape: Sequence[Any], value: float, dtype: str | DType = "float32") -> Tensor:
    """Return a tensor filled with one number.

    Args:
        shape: Sizes of the axes.
        value: The number.
        dtype: The element type.

    >>> full((2,), 0.5).tolist()
    [0.5, 0.5]
    """
    return Tensor(build.full(sizes(shape, "full"), value, dtypes.dtype(dtype)))


def zeros(shape: Sequence[Any], dtype: str | DType = "float32") -> Tensor:
    """Return a tensor of zeros.

    >>> zeros((2, 2)).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return full(shape, 0, dtype)


def ones(shape: Sequence[Any], dtype: str | DType = "float32") -> Tensor:
    """Return a tensor of ones.

    >>> ones((2,)).tolist()
    [1.0, 1.0]
    """
    return full(shape, 1, dtype)


def eye(n: int, dtype: str | DType = "float32") -> Tensor:
    """Return the n × n identity matrix.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    size, _ = sizes((n, n), "eye")
    return Tensor(algebra.identity(size, dtypes.dtype(dtype)))


def normalize(
    x: TensorLike, axis: int | Sequence[int], epsilon: float = 1e-5
) -> Tensor:
    """Return (x − μ)/√(σ² + ε), with mean and biased variance over axes.

    Args:
        x: A tensor.
        axis: Axes of the mean and the variance.
        epsilon: Added to the variance.

    >>> [round(y, 3) for y in normalize([1.0, 3.0], axis=0).tolist()]
    [-1.0, 1.0]
    """
    node = floating(x)
    return Tensor(f.normalize(node, axes=shapes.axes(axis, node.rank), epsilon=epsilon))


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the outer product x yᵀ of two vectors.

    >>> outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    return Tensor(algebra.outer(build.as_node(operand(x)), build.as_node(operand(y))))


def cosine_similarity(x: TensorLike, y: TensorLike, axis: int = -1) -> Tensor:
    """Return the cosine of the angle, xᵀy / (‖x‖‖y‖), along an axis.

    >>> cosine_similarity([3.0, 0.0], [3.0, 4.0]).item()
    0.6000000238418579
    """
    left, right = as_tensor(x), as_tensor(y)
    return (left * right).sum(axis) / (left.norm(axis=axis) * right.norm(axis=axis))


def cross_entropy(logits: TensorLike, targets: TensorLike) -> Tensor:
    """Return −ln softmax(z)[y] for each example.

    Args:
        logits: Scores z, shape (…, classes).
        targets: Labels (…), or probabilities (…, classes).

    >>> round(cross_entropy([[0.0, 0.0]], [1]).item(), 4)
    0.6931
    """
    scores, wanted = floating(logits), build.as_node(operand(targets))
    if wanted.dtype.is_integer and wanted.rank == scores.rank - 1:
        return Tensor(f.cross_entropy_of_labels(scores, wanted))
    return Tensor(f.cross_entropy(scores, build.cast(wanted, scores.dtype)))


def binary_cross_entropy(logits: TensorLike, targets: TensorLike) -> Tensor:
    """Return −(y ln σ(z) + (1 − y) ln(1 − σ(z))), element by element.

    >>> round(binary_cross_entropy([0.0], [1.0]).item(), 4)
    0.6931
    """
    scores, wanted = floating(logits), build.as_node(operand(targets))
    return Tensor(f.binary_cross_entropy(scores, build.cast(wanted, scores.dtype)))


check_calls(__name__)

if not TYPE_CHECKING:
    __getattr__ = former_names(
        __name__,
        {
            name: f"deltarule.tensor.convolution:{name}"
            for name in ("average_pool", "convolve", "max_pool")
        },
    )
