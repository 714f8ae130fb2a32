"""Functions on tensors: element-wise, reductions, activations, joining, convolution, losses per example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from deltarule import dtypes, shapes
from deltarule.arguments import names_arguments
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DTypeError
from deltarule.flags import flag
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.functions.losses import one_hot as one_hot_node
from deltarule.graph.node import Node
from deltarule.tensor.tensor import Tensor, operand, sizes

TensorLike = Any  # a Tensor, an array, or a number


def as_tensor(value: TensorLike) -> Tensor:
    """Return ``value`` as a tensor."""
    return value if isinstance(value, Tensor) else Tensor(build.as_node(operand(value)))


def _floating(x: TensorLike) -> Node:
    node = build.as_node(operand(x))
    return node if node.dtype.is_float else build.cast(node, dtypes.FLOAT32)


def _elementwise(
    name: str, make: Callable[..., Node]
) -> Callable[[TensorLike], Tensor]:
    def function(x: TensorLike) -> Tensor:
        return Tensor(make(build.as_node(operand(x))))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = make.__doc__
    return function


exp = _elementwise("exp", build.exp)
expm1 = _elementwise("expm1", build.expm1)
log = _elementwise("log", build.log)
log1p = _elementwise("log1p", build.log1p)
sqrt = _elementwise("sqrt", build.sqrt)
sin = _elementwise("sin", build.sin)
cos = _elementwise("cos", build.cos)
tanh = _elementwise("tanh", build.tanh)
erf = _elementwise("erf", build.erf)
absolute = _elementwise("absolute", build.absolute)
sign = _elementwise("sign", build.sign)
floor = _elementwise("floor", build.floor)
logical_not = _elementwise("logical_not", build.logical_not)
stop_gradient = _elementwise("stop_gradient", build.stop_gradient)


def _activation(name: str, make: Callable[..., Node]) -> Callable[[TensorLike], Tensor]:
    def function(x: TensorLike) -> Tensor:
        return Tensor(make(_floating(x)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = make.__doc__
    return function


relu = _activation("relu", f.relu)
selu = _activation("selu", f.selu)
sigmoid = _activation("sigmoid", f.sigmoid)
silu = _activation("silu", f.silu)
softplus = _activation("softplus", f.softplus)
log_sigmoid = _activation("log_sigmoid", f.log_sigmoid)
log_cosh = _activation("log_cosh", f.log_cosh)
mish = _activation("mish", f.mish)
cube = _activation("cube", f.cube)
hard_swish = _activation("hard_swish", f.hard_swish)
softsign = _activation("softsign", f.softsign)


@names_arguments
def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """x for x > 0, negative_slope·x otherwise; derivative ``negative_slope`` at the kink (ACT-09).

    >>> leaky_relu([-2.0, 3.0], negative_slope=0.1).tolist()
    [-0.20000000298023224, 3.0]
    """
    return Tensor(f.leaky_relu(_floating(x), slope=negative_slope))


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x for x > 0, α(eˣ − 1) otherwise; derivative α at the kink."""
    return Tensor(f.elu(_floating(x), alpha=alpha))


Approximation = bool | Literal["none", "tanh"]


def is_approximate(approximate: Approximation, where: str) -> bool:
    """Return whether a GELU is the tanh approximation; raise ArgumentError for what is no answer."""
    if isinstance(approximate, str) and approximate in {"none", "tanh"}:
        return approximate == "tanh"
    try:
        return flag(approximate, where)
    except ArgumentError:
        raise ArgumentError(
            where, expected="'none', 'tanh', True or False", got=repr(approximate)
        ) from None


def gelu(x: TensorLike, approximate: Approximation = "none") -> Tensor:
    """x·Φ(x), or with "tanh" (or True) ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016).

    >>> round(gelu(1.0).item(), 6), round(gelu(1.0, "tanh").item(), 6)
    (0.841345, 0.841192)
    """
    return Tensor(
        f.gelu(
            _floating(x), approximate=is_approximate(approximate, "gelu approximate")
        )
    )


def prelu(x: TensorLike, alpha: TensorLike) -> Tensor:
    """x for x > 0, αx otherwise; α is learned: one number, or one for each channel of the last axis (ACT-10)."""
    return Tensor(f.prelu(_floating(x), build.as_node(operand(alpha))))


def clip(x: TensorLike, low: float = 0.0, high: float = 1.0) -> Tensor:
    """The nearest number in [low, high]; derivative 𝟙(low < x ≤ high) (ACT-18).

    >>> clip([-2.0, 0.5, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return Tensor(f.clip(_floating(x), low=low, high=high))


def hard_sigmoid(x: TensorLike, slope: float = 1 / 6, offset: float = 0.5) -> Tensor:
    """slope·x + offset kept within [0, 1]."""
    return Tensor(f.hard_sigmoid(_floating(x), slope=slope, offset=offset))


def _axis(x: Node, axis: int) -> int:
    return shapes.axis(axis, x.rank, "axis")


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """eˣ / Σ eˣ along an axis, without overflow.

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    node = _floating(x)
    return Tensor(f.softmax(node, axis=_axis(node, axis)))


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """The logarithm of the softmax, (x − m) − ln Σ e^(x − m) with m = max x, along an axis.

    >>> log_softmax([1e6, 1e6]).tolist()
    [-0.6931471824645996, -0.6931471824645996]
    """
    node = _floating(x)
    return Tensor(f.log_softmax(node, axis=_axis(node, axis)))


def logsumexp(x: TensorLike, axis: int = -1) -> Tensor:
    """The logarithm ln Σ eˣ along an axis without overflow; its gradient is the softmax (LA-26)."""
    node = _floating(x)
    return Tensor(f.logsumexp(node, axis=_axis(node, axis)))


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """x where the condition holds, y elsewhere."""
    return Tensor(build.where(operand(condition), operand(x), operand(y)))


def weighted(share: TensorLike, value: TensorLike) -> Tensor:
    """The product y·a, with 0 for no share of an infinite value: 0·(±∞) = 0.

    >>> weighted([0.0, 1.0], [-float("inf"), -2.0]).tolist()
    [0.0, -2.0]
    """
    return Tensor(f.weighted(_floating(share), _floating(value)))


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """The larger of x and y, element by element; at a tie the gradient goes to x."""
    return Tensor(build.maximum(operand(x), operand(y)))


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """The smaller of x and y, element by element; at a tie the gradient goes to x."""
    return Tensor(build.minimum(operand(x), operand(y)))


def _of_one_type(tensors: Sequence[TensorLike]) -> list[Node]:
    """Return tensors in the type that they promote to; Python numbers take the type of the tensors beside them."""
    operands = [operand(x) for x in tensors]
    known = [x.dtype for x in operands if isinstance(x, Node)]
    nodes = [
        build.as_node(x, dtypes.promote(*known) if known else None) for x in operands
    ]
    kind = dtypes.promote(*(node.dtype for node in nodes)) if nodes else dtypes.FLOAT32
    return [build.cast(node, kind) for node in nodes]


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join along an axis, in the type that all promote to."""
    return Tensor(build.concatenate(_of_one_type(tensors), axis))


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join along a new axis, in the type that all promote to.

    >>> stack([1.5, 2]).tolist()
    [1.5, 2.0]
    """
    return Tensor(algebra.stack(_of_one_type(tensors), axis))


def pad(x: TensorLike, widths: Sequence[tuple[int, int]]) -> Tensor:
    """Surround with zeros: (before, after) for each axis."""
    return Tensor(
        build.pad(
            build.as_node(operand(x)), [a for a, _ in widths], [b for _, b in widths]
        )
    )


def flip(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """Reverse the order along axes."""
    return Tensor(
        build.flip(
            build.as_node(operand(x)), (axis,) if isinstance(axis, int) else axis
        )
    )


def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """Take slices along an axis."""
    return Tensor(
        build.gather(build.as_node(operand(x)), build.as_node(operand(indices)), axis)
    )


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int) -> Tensor:
    """Take one element along an axis for every position of ``indices``."""
    return Tensor(
        algebra.take_along_axis(
            build.as_node(operand(x)), build.as_node(operand(indices)), axis
        )
    )


def sort(x: TensorLike, axis: int = -1) -> Tensor:
    """Sort along an axis, ascending."""
    return Tensor(algebra.sort(build.as_node(operand(x)), axis))


def argsort(x: TensorLike, axis: int = -1) -> Tensor:
    """The indices that sort along an axis, ascending and stable."""
    return Tensor(build.argsort(build.as_node(operand(x)), axis))


def one_hot(
    labels: TensorLike, n_classes: int, dtype: str | DType = "float32"
) -> Tensor:
    """1 at the label and 0 elsewhere, along a new last axis (DA-07).

    >>> one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    node = build.as_node(operand(labels))
    if node.dtype.is_float:
        raise DTypeError(
            "one_hot", expected="whole-number labels", got=build.describe(node)
        )
    return Tensor(
        one_hot_node(node, n_classes, build.constant(0.0, dtypes.dtype(dtype)))
    )


def arange(n: int, dtype: str | DType = "int64") -> Tensor:
    """0, 1, …, n − 1."""
    return Tensor(build.iota(sizes((n,), "arange"), 0, dtypes.dtype(dtype)))


def full(shape: Sequence[Any], value: float, dtype: str | DType = "float32") -> Tensor:
    """A tensor that holds one number everywhere."""
    return Tensor(build.full(sizes(shape, "full"), value, dtypes.dtype(dtype)))


def zeros(shape: Sequence[Any], dtype: str | DType = "float32") -> Tensor:
    """A tensor of zeros."""
    return full(shape, 0, dtype)


def ones(shape: Sequence[Any], dtype: str | DType = "float32") -> Tensor:
    """A tensor of ones."""
    return full(shape, 1, dtype)


def eye(n: int, dtype: str | DType = "float32") -> Tensor:
    """The n × n identity."""
    sizes((n, n), "eye")
    return Tensor(algebra.identity(n, dtypes.dtype(dtype)))


def convolve(
    x: TensorLike,
    weight: TensorLike,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Correlate (N, *spatial, C_in) with (C_out, *kernel, C_in / groups), channels last (CNN).

    out = ⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1 along each spatial axis.
    """
    kernel = build.as_node(operand(weight))
    rank = kernel.rank - 2
    borders = shapes.spatial_tuple(padding, rank, "padding")
    return Tensor(
        build.convolve(
            build.as_node(operand(x)),
            kernel,
            shapes.spatial_tuple(stride, rank, "stride", minimum=1),
            [(p, p) for p in borders],
            shapes.spatial_tuple(dilation, rank, "dilation", minimum=1),
            groups,
        )
    )


def _pool(
    make: Callable[..., Node], x: TensorLike, window: Any, stride: Any, padding: Any
) -> Tensor:
    node = build.as_node(operand(x))
    rank = node.rank - 2
    sizes = shapes.spatial_tuple(window, rank, "window", minimum=1)
    steps = (
        sizes
        if stride is None
        else shapes.spatial_tuple(stride, rank, "stride", minimum=1)
    )
    borders = tuple((p, p) for p in shapes.spatial_tuple(padding, rank, "padding"))
    return Tensor(make(node, window=sizes, stride=steps, padding=borders))


def max_pool(
    x: TensorLike,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Tensor:
    """The maximum of each window of (N, *spatial, C); the gradient goes to the first maximum (POOL)."""
    return _pool(f.max_pool, x, window, stride, padding)


def average_pool(
    x: TensorLike,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Tensor:
    """The mean of each window of (N, *spatial, C); padding counts as zeros."""
    return _pool(f.average_pool, x, window, stride, padding)


def normalize(
    x: TensorLike, axis: int | Sequence[int], epsilon: float = 1e-5
) -> Tensor:
    """(x − μ)/√(σ² + ε) with mean and biased variance over axes (NRM)."""
    node = _floating(x)
    return Tensor(f.normalize(node, axes=shapes.axes(axis, node.rank), epsilon=epsilon))


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """x yᵀ of two vectors (LA-23).

    >>> outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    return Tensor(algebra.outer(build.as_node(operand(x)), build.as_node(operand(y))))


def cosine_similarity(x: TensorLike, y: TensorLike, axis: int = -1) -> Tensor:
    """xᵀy / (‖x‖‖y‖) along an axis (LA-03, BP-13)."""
    left, right = as_tensor(x), as_tensor(y)
    return (left * right).sum(axis) / (left.norm(axis=axis) * right.norm(axis=axis))


def cross_entropy(logits: TensorLike, targets: TensorLike) -> Tensor:
    """−ln softmax(z)[y] per example; ``targets`` are labels or probabilities (OUT)."""
    scores, wanted = _floating(logits), build.as_node(operand(targets))
    if wanted.dtype.is_integer and wanted.rank == scores.rank - 1:
        return Tensor(f.cross_entropy_of_labels(scores, wanted))
    return Tensor(f.cross_entropy(scores, build.cast(wanted, scores.dtype)))


def binary_cross_entropy(logits: TensorLike, targets: TensorLike) -> Tensor:
    """−(y ln σ(z) + (1 − y) ln(1 − σ(z))), element by element."""
    scores, wanted = _floating(logits), build.as_node(operand(targets))
    return Tensor(f.binary_cross_entropy(scores, build.cast(wanted, scores.dtype)))
