"""Random programs by seed: every primitive and named function, sizes 0 and 1, all types, steps of any sign."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import DeltaruleError
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.activation import Activation, activations
from deltarule.graph.indexing import index
from deltarule.graph.node import Node
from support.fuzz.case import Array, Case

_SIZES = (1, 2, 3, 3, 4, 5, 5, 7, 8, 9, 16, 17, 33)
_MOST = 2_500  # elements of a value
_EXTREMES = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    math.inf,
    -math.inf,
    math.nan,
    1e30,
    -3e38,
    2e38,
    7.0,
    255.0,
    256.0,
    -1e-3,
)
_WHOLE = (dtypes.UINT8, dtypes.UINT32, dtypes.INT32, dtypes.INT64)
_ALL = (dtypes.BOOL, *_WHOLE, dtypes.FLOAT32, dtypes.FLOAT64)


class Maker:
    """Draws nodes; ``pool`` holds what there is so far, ``values`` the arrays of the inputs."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.special = rng.random() < 0.12
        self.kind = dtypes.FLOAT32 if rng.random() < 0.45 else dtypes.FLOAT64
        self.mixed = rng.random() < 0.3
        sizes = [int(size) for size in rng.choice(_SIZES, 4)]
        if rng.random() < 0.12:
            sizes[int(rng.integers(4))] = 0
        self.sizes = sizes
        self.grid = rng.random() < 0.3  # multiples of ½: ties and exact zeros
        self.values: dict[Node, Array] = {}
        self.pool: list[Node] = []

    # ---------------------------------------------------------------- draws

    def below(self, n: int) -> int:
        """Return a whole number below n."""
        return int(self.rng.integers(n))

    def chance(self, probability: float) -> bool:
        """Return true that often."""
        return bool(self.rng.random() < probability)

    def one(self, items: Sequence[Any]) -> Any:
        """Return one of them."""
        return items[self.below(len(items))]

    def shape(self) -> tuple[int, ...]:
        """Return up to four sizes of this program, some of them 1."""
        rank = self.one((0, 1, 1, 2, 2, 2, 3, 3, 4))
        return tuple(
            1 if self.chance(0.12) else self.sizes[int(i)]
            for i in self.rng.choice(4, rank, replace=False)
        )

    def float_kind(self) -> DType:
        """Return the float type of this program, or now and then the other one."""
        other = dtypes.FLOAT64 if self.kind is dtypes.FLOAT32 else dtypes.FLOAT32
        return other if self.mixed and self.chance(0.4) else self.kind

    def array(self, shape: tuple[int, ...], kind: DType) -> Array:
        """Return values of an input."""
        rng = self.rng
        if kind is dtypes.BOOL:
            return rng.random(shape) < 0.5
        if kind.is_integer:
            low, high = kind.bounds
            if self.chance(0.5):
                return rng.integers(max(low, -9), 10, shape).astype(kind.name)
            drawn = rng.integers(low, high, shape, np.int64, endpoint=True).astype(
                kind.name
            )
            return np.where(
                rng.random(shape) < 0.2,
                rng.choice(np.array([low, high, 0, 1], kind.name), shape),
                drawn,
            )
        if self.special:
            return np.where(
                rng.random(shape) < 0.5,
                rng.choice(_EXTREMES, shape),
                rng.normal(size=shape),
            ).astype(kind.name)
        if self.grid:
            return (rng.integers(-6, 7, shape) / 2).astype(kind.name)
        return rng.normal(size=shape).astype(kind.name)

    def input(self, shape: tuple[int, ...], kind: DType) -> Node:
        """Add an input."""
        node = build.input_node(f"x{len(self.values)}", shape, kind)
        self.values[node] = self.array(shape, kind)
        return node

    def pick(self, *wanted: Callable[[Node], bool]) -> Node:
        """Return a value of the pool, rather a late one."""
        found = [node for node in self.pool if all(ask(node) for ask in wanted)]
        if not found:
            x = self.input((*self.shape()[:2], self.one(self.sizes)), self.float_kind())
            return x if all(ask(x) for ask in wanted) else self.input((), dtypes.INT64)
        return (
            found[self.below(len(found))]
            if self.chance(0.4)
            else found[max(0, len(found) - 1 - self.below(4))]
        )

    def floating(self) -> Node:
        """Return a float value."""
        return self.pick(lambda node: node.dtype.is_float)

    def ranked(self) -> Node:
        """Return a value with some axes, any type."""
        return self.pick(lambda node: node.rank > 0)

    def floating_ranked(self) -> Node:
        """Return a float value with some axes."""
        return self.pick(lambda node: node.dtype.is_float and node.rank > 0)

    def axis(self, x: Node) -> int:
        """Return an axis."""
        return self.below(x.rank)

    def axes(self, x: Node) -> list[int]:
        """Return some axes in any order."""
        return [
            int(i)
            for i in self.rng.choice(x.rank, 1 + self.below(x.rank), replace=False)
        ]

    def partner(self, x: Node) -> Node:
        """Return a value that fits beside x: another of the pool, a view of x, a new input, a number."""
        fitting = [y for y in self.pool if y is not x and _fits(x, y)]
        kind = self.below(8)
        if kind < 5 and fitting:
            return self.one(fitting)
        if kind == 5:
            return x
        if kind == 6:
            return build.constant(
                self.one((0.5, -1.5, 2, 3.25)),
                x.dtype if x.dtype.is_float else dtypes.FLOAT64,
            )
        return self.input(
            tuple(1 if self.chance(0.3) else size for size in x.shape), x.dtype
        )

    def indices(self, size: int) -> Node:
        """Return indices into an axis of this size: an input, a ramp, or computed ones."""
        if self.chance(0.25) and size:
            ramp = build.iota((size,), 0, self.one((dtypes.INT64, dtypes.INT32)))
            return build.subtract(size - 1, ramp) if self.chance(0.5) else ramp
        shape = (0,) if not size else self.one(((), (3,), (1,), (2, 2), (5,), (2, 1)))
        kind = self.one(_WHOLE)
        node = build.input_node(f"i{len(self.values)}", shape, kind)
        self.values[node] = self.rng.integers(0, max(1, size), shape).astype(kind.name)
        return node


def _fits(x: Node, y: Node) -> bool:
    try:
        return shapes.count(shapes.broadcast(x.shape, y.shape)) <= _MOST
    except DeltaruleError:
        return False


# ---------------------------------------------------------------- one operation

Make = Callable[[Maker], Node]


def _off(m: Maker, x: Node) -> Node:
    """Return floats away from kinks at round numbers."""
    return build.add(x, 0.1234567 + 0.01 * m.below(5))


def _positive(x: Node) -> Node:
    return build.add(build.absolute(x), 0.31)


def _tame(m: Maker, x: Node) -> Node:
    """Keep products from growing without bound."""
    return (
        build.tanh(x)
        if m.chance(0.3)
        else build.multiply(x, 0.25)
        if m.chance(0.3)
        else x
    )


_UNARY: list[Callable[[Maker, Node], Node]] = [
    lambda m, x: build.negate(x),
    lambda m, x: build.absolute(x),
    lambda m, x: build.sign(x),
    lambda m, x: build.floor(x),
    lambda m, x: build.exp(build.minimum(x, 2.5)),
    lambda m, x: build.expm1(build.minimum(x, 2.5)),
    lambda m, x: build.log(_positive(x)),
    lambda m, x: build.log1p(build.absolute(x)),
    lambda m, x: build.sqrt(_positive(x)),
    lambda m, x: build.sin(x),
    lambda m, x: build.cos(x),
    lambda m, x: build.tanh(x),
    lambda m, x: build.erf(x),
    lambda m, x: build.stop_gradient(x),
    lambda m, x: build.power(_positive(x), m.one((0.5, 2, -1, 3, 1.7, 0, 1))),
    lambda m, x: build.power(x, m.one((2, 3))),
    lambda m, x: build.multiply(x, m.one((0, 1, -1, 0.5))),
    lambda m, x: build.subtract(m.one((0, 1)), x),
    lambda m, x: build.divide(x, m.one((2.0, 3.0, -0.7))),
    lambda m, x: build.divide(1, _positive(x)),
    lambda m, x: build.add(x, m.one((0, 0.5))),
    lambda m, x: build.where(build.less(0, x), x, build.multiply(x, 0.5)),
    lambda m, x: build.cast(build.cast(x, m.one(_ALL)), x.dtype),
]


def _unary(m: Maker) -> Node:
    return m.one(_UNARY)(m, m.floating())


def _binary(m: Maker) -> Node:
    x = m.floating()
    y = m.partner(x)
    kind = m.below(10)
    if kind == 9:
        return m.one((build.remainder, build.floor_divide, build.fmod))(
            x, m.one((_positive(y), build.add(y, -4.5)))
        )
    if kind == 0:
        return _tame(
            m, build.divide(x, _positive(y) if m.chance(0.7) else build.add(y, 4.5))
        )
    if kind == 1:
        return build.power(_positive(x), build.tanh(y))
    if kind == 2:
        return _tame(m, build.multiply(x, y))
    function = m.one(
        (
            build.add,
            build.subtract,
            build.multiply,
            build.maximum,
            build.minimum,
            build.add,
        )
    )
    return _tame(m, function(x, y)) if m.chance(0.5) else _tame(m, function(y, x))


def _whole_numbers(m: Maker) -> Node:
    """An operation on whole numbers or truth values."""
    x = m.pick(lambda node: not node.dtype.is_float)
    if x.dtype.is_float:
        x = m.input(m.shape(), m.one((*_WHOLE, dtypes.BOOL)))
    y = m.partner(x)
    y = m.input(x.shape, x.dtype) if y.dtype.is_float else y
    kind = m.below(12)
    if kind < 3:
        return m.one((build.add, build.subtract, build.multiply))(x, y)
    if kind == 3:
        return m.one((build.maximum, build.minimum))(x, y)
    if kind == 4:
        return m.one((build.equal, build.less))(x, y)
    if kind == 5:
        return m.one((build.logical_and, build.logical_or))(x, y)
    if kind == 6:
        return build.logical_not(x)
    if kind == 7:
        return m.one((build.floor_divide, build.remainder))(
            x, build.add(y, 3) if m.chance(0.5) else y
        )
    if kind == 8:
        return build.cast(x, m.one(_ALL))
    if kind == 9:
        return build.where(build.less(x, y), x, y)
    signed = x if x.dtype.kind == "int" else build.cast(x, dtypes.INT64)
    return m.one((build.negate, build.absolute, build.sign))(signed)


def _choice(m: Maker) -> Node:
    x = m.floating()
    if m.chance(0.1):
        holds = build.logical_not(build.less(1.5, build.absolute(build.sin(x))))
        return build.check(
            build.exp(build.minimum(x, 1.0)),
            holds,
            where="a value",
            expected="a sine up to 1",
        )
    y = m.partner(x)
    condition = m.one((build.less, build.equal))(x, y)
    if m.chance(0.3):
        condition = m.one((build.logical_and, build.logical_or))(
            condition, build.less(y, 0.5)
        )
    if m.chance(0.3):
        condition = build.logical_not(condition)
    return build.where(condition, m.one((x, build.sin(x))), y)


def _leaf(m: Maker) -> Node:
    kind, shape = m.below(5), m.shape()
    if kind == 0:
        return build.full(shape, m.one((0.25, 0, 1, -3.5)), m.float_kind())
    if kind == 1:
        return (
            build.iota(shape, m.below(len(shape)), m.one(_ALL[1:]))
            if shape
            else build.constant(2.5, m.kind)
        )
    if kind == 2:
        return _random(m, shape)
    if kind == 3:
        return build.full(shape, m.below(4), m.one(_WHOLE))
    return m.input(shape, m.one(_ALL) if m.chance(0.4) else m.float_kind())


def _random(m: Maker, shape: tuple[int, ...]) -> Node:
    lead = m.below(len(shape) + 1) if m.chance(0.3) else 0
    keys = []
    for _ in range(2):
        keys.append(build.input_node(f"k{len(m.values)}", shape[:lead], dtypes.INT64))
        m.values[keys[-1]] = m.rng.integers(0, 2**40, shape[:lead])
    if m.chance(0.3) and not lead:
        keys[1] = build.constant(m.below(100), dtypes.INT64)
    drawn = build.random_uniform(shape, keys[0], keys[1], m.below(9), m.float_kind())
    return (
        build.where(build.less(drawn, 0.4), 0.0, build.divide(m.floating(), 0.6))
        if m.chance(0.3)
        else drawn
    )


def _reduced(m: Maker) -> Node:
    x = m.ranked()
    kind, keep = m.below(10), m.chance(0.5)
    if kind < 3:
        return (
            _tame(m, build.sum_over(x, m.axes(x), keep))
            if x.dtype.is_float
            else build.sum_over(x, m.axes(x), keep)
        )
    if kind == 3:
        return build.maximum_over(x, m.axes(x), keep)
    if kind == 4:
        return build.argmax(x, m.axis(x))
    if kind == 5:
        return build.cumulative_sum(x, m.axis(x))
    if kind == 6:
        return build.mean(x, m.axes(x), keep)
    if kind == 7:
        return m.one((algebra.minimum_over, algebra.variance))(
            m.floating_ranked(), None
        )
    if kind == 8:
        return m.one((algebra.product_over, algebra.cumulative_product))(
            build.tanh(x), m.axis(x)
        )
    return (
        algebra.argmin(x, m.axis(x))
        if x.dtype is not dtypes.BOOL
        else build.sum_over(x)
    )


def _moved(m: Maker) -> Node:
    x = m.pick()
    kind = m.below(10)
    if kind == 0:
        return build.permute(x, m.rng.permutation(x.rank).tolist())
    if kind == 1:
        n = shapes.count(x.shape)
        divisors = [d for d in range(1, n + 1) if n % d == 0] or [1]
        first = m.one(divisors)
        return (
            build.reshape(x, (first, n // first) if m.chance(0.7) else (n,))
            if n
            else build.reshape(x, (0, 3))
        )
    if kind == 2:
        return build.pad(
            x,
            *(
                m.rng.integers(0, n, x.rank).tolist()
                for n in (3, 3, m.one((1, 1, 2, 3)))
            ),
        )
    if kind == 3:
        return build.flip(x, m.axes(x)) if x.rank else build.expand_dims(x, (0,))
    if kind == 4 and x.rank:
        parts = [x, m.one((x, build.flip(x, (0,)))), m.partner(x)][: 2 + m.below(2)]
        kind_of = dtypes.promote(*(part.dtype for part in parts))
        axis = m.axis(x)
        parts = [build.cast(part, kind_of) for part in parts if _joins(x, part, axis)]
        return build.concatenate(parts, axis)
    if kind == 5:
        return build.broadcast_to(
            x,
            (
                *m.one(((2,), (3,), (), (1,))),
                *(m.one((size, 3)) if size == 1 else size for size in x.shape),
            ),
        )
    if kind == 6:
        return build.expand_dims(x, (m.below(x.rank + 1),))
    return index(x, tuple(_key(m, size) for size in x.shape)) if x.rank else x


def _joins(x: Node, y: Node, axis: int) -> bool:
    return y.rank == x.rank and all(
        a == b
        for i, (a, b) in enumerate(zip(x.shape, y.shape, strict=True))
        if i != axis
    )


def _key(m: Maker, size: int) -> Any:
    """Return a slice with steps of any sign and size, or now and then a whole number."""
    if m.chance(0.1) and size:
        return m.below(size) - (size if m.chance(0.3) else 0)
    step = m.one((1, 1, 2, 3, -1, -2, -3, 5))
    start, stop = (
        None if m.chance(0.5) else m.below(size + 1) - m.one((0, size))
        for _ in range(2)
    )
    return slice(start, stop, step)


def _indexed(m: Maker) -> Node:
    x = m.ranked()
    axis = m.axis(x)
    kind = m.below(5)
    if kind == 0:
        return build.argsort(x, axis)
    if kind == 1:
        return algebra.sort(x, axis)
    if kind == 2:
        return algebra.take_along_axis(x, build.argsort(build.sin(x), axis), axis)
    places = m.indices(x.shape[axis])
    taken = build.gather(x, places, axis)
    if kind == 3 or x.dtype is dtypes.BOOL:
        return taken
    size = max(x.shape[axis], 1) + m.below(3)
    return build.scatter_add(
        places, build.multiply(taken, 2) if m.chance(0.5) else taken, axis, size
    )


def _windowed(m: Maker) -> Node:
    x = m.floating_ranked()
    axes = m.axes(x)[:2]
    window = [1 + m.below(min(5, max(1, x.shape[axis]))) for axis in axes]
    stride = [m.one((1, 2, 3, 4, 5)) for _ in axes]
    dilation = [m.one((1, 1, 2)) for _ in axes]
    seen = build.windows(x, axes, window, stride, dilation)
    kind = m.below(4)
    if kind == 0:
        return seen
    over = tuple(range(x.rank, seen.rank))
    if kind == 1:
        return build.maximum_over(seen, over)
    if kind == 2:
        return build.mean(seen, over)
    return build.fold(
        build.multiply(seen, 0.5), axes, window, stride, dilation, x.shape
    )


def _images(m: Maker) -> tuple[Node, int]:
    """Return images (N, *spatial, C) out of the pool or new ones, and how many spatial axes they have."""
    found = [
        node
        for node in m.pool
        if node.dtype.is_float
        and 3 <= node.rank <= 4
        and shapes.count(node.shape) < 900
    ]
    if found and m.chance(0.7):
        x = m.one(found)
        return x, x.rank - 2
    rank = m.one((1, 2, 2, 3))
    return m.input(
        (1 + m.below(2), *(3 + m.below(5) for _ in range(rank)), m.one((1, 2, 3, 4))),
        m.float_kind(),
    ), rank


def _convolved(m: Maker) -> Node:
    x, rank = _images(m)
    groups = m.one([d for d in range(1, 5) if x.shape[-1] % d == 0])
    kernel = [1 + m.below(3) for _ in range(rank)]
    stride, dilation = (
        [m.one(choice) for _ in range(rank)] for choice in ((1, 1, 2, 3), (1, 1, 2))
    )
    padding = [(m.below(3), m.below(3)) for _ in range(rank)]
    outputs = groups * m.one((1, 2, 3))
    weight = m.input((outputs, *kernel, x.shape[-1] // groups), m.float_kind())
    y = build.convolve(x, weight, stride, padding, dilation, groups)
    kind = m.below(3)
    if kind == 0:
        return build.convolve_transposed(
            build.tanh(y), weight, stride, padding, dilation, groups, x.shape
        )
    if kind == 1 and shapes.count(weight.shape):
        return build.convolve_weight(
            x, build.tanh(y), stride, padding, dilation, groups, weight.shape
        )
    return _tame(m, y)


def _pooled(m: Maker) -> Node:
    x, rank = _images(m)
    window = tuple(1 + m.below(5) for _ in range(rank))
    stride = tuple(1 + m.below(5) for _ in range(rank))
    padding = tuple((min(m.below(3), w - 1), min(m.below(3), w - 1)) for w in window)
    return m.one((f.max_pool, f.average_pool))(
        x, window=window, stride=stride, padding=padding
    )


def _product(m: Maker) -> Node:
    x = m.floating_ranked()
    kind = m.below(4)
    if kind == 0 and x.rank >= 2:
        other = build.matrix_transpose(x)
        return _tame(
            m, build.matmul(x, other) if m.chance(0.5) else build.matmul(other, x)
        )
    fitting = [
        y
        for y in m.pool
        if y.dtype.is_float
        and y.rank
        and y.shape[-2 if y.rank > 1 else 0] == x.shape[-1]
    ]
    if kind < 3 and fitting:
        return _tame(m, build.matmul(x, m.one(fitting)))
    if kind == 3 and x.rank == 1:
        return algebra.outer(x, m.input((m.one(m.sizes),), x.dtype))
    return _tame(
        m, build.matmul(x, m.input((x.shape[-1], m.one((1, *m.sizes))), m.float_kind()))
    )


def _algebra(m: Maker) -> Node:
    """Linear algebra of well-conditioned matrices, diagonals, triangles, norms."""
    x = m.pick(
        lambda node: (
            node.dtype.is_float and node.rank >= 2 and shapes.count(node.shape) < 400
        )
    )
    if x.rank < 2 or m.chance(0.3):
        x = m.input((*m.one(((), (2,))), 3, 2 + m.below(3)), m.float_kind())
    kind = m.below(8)
    if kind >= 4:
        return m.one(
            (
                lambda: algebra.triangle(x, m.chance(0.5), m.below(3) - 1),
                lambda: algebra.diagonal(x),
                lambda: algebra.diagonal_matrix(x),
                lambda: algebra.norm(_off(m, x), m.one((1, 2, 3, math.inf)), m.axes(x)),
                lambda: algebra.trace(x),
                lambda: algebra.swap_axes(x, 0, x.rank - 1),
            )
        )()
    small = build.tanh(x)
    gram = build.matmul(small, build.matrix_transpose(small))
    n = gram.shape[-1]
    a = build.add(gram, build.multiply(algebra.identity(n, gram.dtype), 2.0 + n / 8))
    if kind == 0:
        return build.log_determinant(a)
    if kind == 1:
        return build.cholesky(a)
    return build.solve(a, x)


def _activation(declared: Activation) -> Callable[[Maker, Node], Node]:
    """Return the call of a declared activation with some of its settings; a cube of bounded numbers."""
    given = build.tanh if declared.name == "cube" else lambda x: x
    return lambda m, x: declared.construct(given(x), **m.one(declared.settings))


_FUNCTIONS: list[Callable[[Maker, Node], Node]] = [
    *map(_activation, activations()),
    lambda m, x: f.prelu(x, build.full((), 0.3, x.dtype)),
    lambda m, x: f.logsumexp(x, axis=m.axis(x)),
    lambda m, x: f.softmax(x, axis=m.axis(x)),
    lambda m, x: f.log_softmax(x, axis=m.axis(x)),
    lambda m, x: f.squared_error(x, m.partner(x)),
    lambda m, x: f.huber(x, build.sin(x), delta=0.8),
    lambda m, x: f.cross_entropy(x, f.softmax(build.sin(x), axis=x.rank - 1)),
    lambda m, x: f.cross_entropy_of_labels(x, build.argmax(build.sin(x), -1)),
    lambda m, x: f.binary_cross_entropy(x, f.sigmoid(build.sin(x))),
    lambda m, x: f.hinge(x, build.sign(build.add(build.sin(x), 0.17))),
    lambda m, x: f.multiclass_hinge(x, build.argmax(build.cos(x), -1), margin=1.1),
    lambda m, x: f.binary_cross_entropy_of_probabilities(
        *(f.sigmoid(y) for y in (build.tanh(x), build.sin(x)))
    ),
    lambda m, x: f.cross_entropy_of_probabilities(
        *(f.softmax(g(x), axis=x.rank - 1) for g in (build.tanh, build.sin))
    ),
    lambda m, x: f.normalize(x, axes=tuple(m.axes(x)), epsilon=0.1),
    lambda m, x: f.euclidean_norm(x, axes=tuple(m.axes(x))),
    lambda m, x: f.weighted(f.sigmoid(build.sin(x)), x),
    lambda m, x: f.lgamma(_positive(x)),
    lambda m, x: f.digamma(_positive(x)),
    lambda m, x: f.trigamma(_positive(x)),
]


def _named(m: Maker) -> Node:
    return m.one(_FUNCTIONS)(m, _off(m, m.floating_ranked()))


_MAKERS: dict[Make, int] = {
    _unary: 9,
    _binary: 10,
    _choice: 3,
    _leaf: 4,
    _whole_numbers: 4,
    _reduced: 9,
    _moved: 12,
    _indexed: 6,
    _windowed: 4,
    _convolved: 4,
    _pooled: 3,
    _product: 6,
    _algebra: 3,
    _named: 9,
}

# ---------------------------------------------------------------- infinities and NaN

_EXTREME_UNARY = (
    build.negate,
    build.absolute,
    build.sign,
    build.floor,
    build.exp,
    build.tanh,
    build.sqrt,
    build.erf,
)


def _extreme(m: Maker) -> Node:
    """An operation whose result is stated for infinities and NaN."""
    x = m.floating()
    kind = m.below(9)
    if kind == 0:
        return m.one(_EXTREME_UNARY)(x)
    if kind == 1:
        return m.one((build.maximum, build.minimum, build.add, build.subtract))(
            x, m.partner(x)
        )
    if kind == 2:
        y = m.input(x.shape, x.dtype)
        return m.one(
            (
                build.multiply,
                build.divide,
                build.fmod,
                build.remainder,
                build.floor_divide,
            )
        )(x, y)
    if kind == 3:
        return build.where(
            m.one((build.less, build.equal))(x, m.partner(x)), x, build.negate(x)
        )
    if kind == 4:
        return build.cast(x, m.one(_ALL))
    if kind == 5:
        return _whole_numbers(m)
    if kind == 6 and x.rank:
        return build.maximum_over(x, m.axes(x))
    if kind == 7 and x.rank:
        return m.one((build.argmax, build.argsort, algebra.sort))(x, m.axis(x))
    return _moved(m)


# ---------------------------------------------------------------- whole programs


def _grow(m: Maker, operations: int) -> None:
    makers = (
        [_extreme]
        if m.special
        else [make for make, weight in _MAKERS.items() for _ in range(weight)]
    )
    while operations:
        operations -= 1
        try:
            node = m.one(makers)(m)
        except (
            DeltaruleError
        ):  # shapes that do not fit, types that an operation refuses: another draw
            continue
        if shapes.count(node.shape) <= _MOST and node.rank <= 6:
            m.pool.append(node)


def _results(m: Maker) -> list[Node]:
    """Return one to four values, rather late ones; an input or a constant may be one, and one may come twice."""
    found = [m.pool[-1]]
    for _ in range(m.below(4)):
        found.append(m.pick())
    if m.chance(0.1):
        found.append(found[0])
    if m.chance(0.1):
        found.append(build.full(m.one(((), (3,))), 0.25, m.kind))
    m.rng.shuffle(found)  # type: ignore[arg-type]
    return found


def random_case(seed: int, operations: int | None = None) -> Case:
    """Return the program of a seed."""
    m = Maker(seed)
    for _ in range(1 + m.below(3)):
        m.pool.append(m.input(m.shape(), m.float_kind()))
    if m.chance(0.2):
        m.pool.append(m.input(m.shape(), m.one(_ALL)))
    _grow(m, operations or 3 + m.below(11))
    order = 0 if m.special else m.one((0, 0, 1, 1, 1, 1, 1, 2))
    results: list[tuple[Node, Node | None]] = []
    for node in _results(m):
        weight = None
        if order and node.dtype.is_float:
            weight = build.input_node(f"w{len(m.values)}", node.shape, node.dtype)
            m.values[weight] = (m.rng.integers(-8, 9, node.shape) / 4).astype(
                node.dtype.name
            )
        results.append((node, weight))
    wrt = [
        node
        for node in m.values
        if node.dtype.is_float and not str(node.attributes["name"]).startswith("w")
    ]
    wrt = [node for node in wrt if m.chance(0.8)] or wrt[:1]
    return Case(
        m.values, results, wrt, order, m.special, threads=2 if m.chance(0.08) else 1
    )
