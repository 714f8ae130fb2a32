"""Values of parsed formulas: graphs whose leading axes are indices and whose other axes are those of a matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deltarule.errors import ShapeError
from deltarule.explain.formula.term import is_number
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.shapes import Shape, Size, show

AXES = "ijklnpqr"  # the letters of the axes of an array without indices


_SCALES = (build.multiply, build.divide)
_SUMS = (build.add, build.subtract)


@dataclass(frozen=True)
class Value:
    """A graph with named leading axes, one an index.

    ``free`` marks rows or columns of unknown number (those of 𝟙), which fit any; ``identity`` a multiple of I, whose
    size is unknown; ``loose`` an array whose axes of one entry may be dropped (the sum over an axis); ``mask`` makes
    the array of a comparison of axis letters, 𝟙(j ≤ i), for the shape beside it. ``labels`` are those of the one-hot
    rows E_c as they are written.
    """

    node: Node
    indices: tuple[str, ...] = ()
    free: tuple[bool, bool] = (False, False)
    identity: bool = False
    loose: bool = False
    mask: Callable[[Shape], Node] | None = None
    labels: str = ""

    @property
    def shape(self) -> Shape:
        """The shape without the axes of indices."""
        return self.node.shape[len(self.indices) :]

    @property
    def is_scalar(self) -> bool:
        """Whether the value is a number for each index."""
        return is_number(self.shape) and not any(self.free) and not self.identity


def axis_of(letter: str, value: Value) -> int | None:
    """Return the axis that a letter names in an array without indices, among those of more than one entry."""
    shown = [axis for axis, size in enumerate(value.shape) if size != 1]
    place = AXES.find(letter)
    return shown[place] if 0 <= place < len(shown) else None


def aligned(*values: Value) -> tuple[list[Node], tuple[str, ...]]:
    """Return nodes with the same axes of indices, in order of first appearance, and matrices of equal rank."""
    order = tuple(dict.fromkeys(index for value in values for index in value.indices))
    rank = max(len(value.shape) for value in values)
    return [_with_axes(value, order, rank) for value in values], order


def _with_axes(value: Value, order: Sequence[str], rank: int) -> Node:
    own = [index for index in order if index in value.indices]
    count = len(value.indices)
    places = [value.indices.index(index) for index in own]
    node = build.permute(value.node, (*places, *range(count, value.node.rank)))
    sizes = dict(zip(own, node.shape, strict=False))
    lead = tuple(sizes.get(index, 1) for index in order)
    missing = rank - len(value.shape)
    return build.reshape(node, (*lead, *(1,) * missing, *value.shape))


def by_entry(
    operation: Callable[[Node, Node], Node], left: Value, right: Value, name: str
) -> Value:
    """Return an entry-wise operation of two values; numbers go with everything."""
    if left.mask is not None or right.mask is not None:
        return _masked(operation, left, right)
    if left.identity and right.is_scalar and operation in _SCALES:
        (a, b), order = aligned(replace(left, identity=False), right)
        return Value(operation(a, b), order, identity=True)
    left, right = _equal_kind(left, right)
    if not left.is_scalar and not right.is_scalar:
        if operation in _SUMS:
            left, right = _with_bias(left, right), _with_bias(right, left)
        left, right = _equal_shapes(left, right, name)
    (a, b), order = aligned(left, right)
    free = (left.free[0] and right.free[0], left.free[1] and right.free[1])
    if left.is_scalar != right.is_scalar:
        free = right.free if left.is_scalar else left.free
    loose = (
        left.loose
        if right.is_scalar
        else right.loose
        if left.is_scalar
        else left.loose and right.loose
    )
    return Value(operation(a, b), order, free, left.identity and right.identity, loose)


def _with_bias(vector: Value, matrix: Value) -> Value:
    """Return a vector that is added to each row or column of a matrix, XW + b, as the matrix of these."""
    shape, whole = vector.shape, matrix.shape
    if len(shape) != 2 or len(whole) != 2 or any((*vector.free, *matrix.free)):
        return vector
    if shape[1] != 1 or shape[0] == 1 or 1 in whole or whole[0] == whole[1]:
        return vector
    if shape[0] == whole[1]:
        vector = transposed(vector)
    elif shape[0] != whole[0]:
        return vector
    lead = vector.node.shape[: len(vector.indices)]
    node = build.broadcast_to(vector.node, (*lead, *whole))
    return replace(vector, node=node)


def _masked(
    operation: Callable[[Node, Node], Node], left: Value, right: Value
) -> Value:
    """Return an entry-wise operation with the array of a comparison of axis letters."""

    def array(value: Value, shape: Shape) -> Node:
        if value.identity:
            return sized_identity(value, shape).node
        return value.node if value.mask is None else value.mask(shape)

    other = right if left.mask is not None else left
    if other.mask is not None or not other.shape:
        return replace(
            left, mask=lambda shape: operation(array(left, shape), array(right, shape))
        )
    return Value(operation(array(left, other.shape), array(right, other.shape)))


def _equal_kind(left: Value, right: Value) -> tuple[Value, Value]:
    """Give the identity matrix the size of its neighbour."""
    if left.identity and not right.identity:
        return sized_identity(left, right.shape), right
    if right.identity and not left.identity:
        return left, sized_identity(right, left.shape)
    return left, right


def sized_identity(value: Value, shape: Shape) -> Value:
    """Return a multiple of the identity matrix of a known size.

    Raises:
        ShapeError: the shape is no square of known size.
    """
    if len(shape) != 2 or shape[0] != shape[1] or not isinstance(shape[0], int):
        raise ShapeError("I", expected="a square matrix beside it", got=show(shape))
    unit = algebra.identity(shape[0], value.node.dtype)
    scale = build.reshape(value.node, (*value.node.shape[: len(value.indices)], 1, 1))
    return Value(build.multiply(scale, unit), value.indices)


def _equal_shapes(left: Value, right: Value, name: str) -> tuple[Value, Value]:
    if left.shape == right.shape:
        return left, right
    if _fits(left, right):
        return left, right
    for changed, other, first in ((left, right, True), (right, left, False)):
        if (changed.loose or len(changed.shape) > 2) and _core(changed.shape) == _core(
            other.shape
        ):
            changed = _reshaped(changed, other.shape)
            return (changed, other) if first else (other, changed)
        if changed.loose and len(changed.shape) == 2 == len(other.shape):
            for turned in (changed, transposed(changed)):
                if all(
                    a in (1, b) for a, b in zip(turned.shape, other.shape, strict=True)
                ):
                    return (turned, other) if first else (other, turned)
    if len(left.shape) == len(right.shape) > 2 and _broadcasts(left.shape, right.shape):
        return left, right
    for vector, other, first in ((left, right, True), (right, left, False)):
        core = _core(vector.shape)
        if len(other.shape) > 2 and len(core) == 1 and core[0] == other.shape[-1]:
            vector = _reshaped(vector, (*(1,) * (len(other.shape) - 1), core[0]))
            return (vector, other) if first else (other, vector)
    raise ShapeError(
        name,
        expected=f"the shape {show(left.shape)}",
        got=show(right.shape),
        hint="Repeat a vector with 𝟙 (𝟙bᵀ), or transpose a term.",
    )


def _fits(left: Value, right: Value) -> bool:
    """Whether shapes are equal but for the free sizes of 𝟙."""
    if len(left.shape) != 2 or len(right.shape) != 2:
        return False
    return all(
        a == b or (left.free[axis] and a == 1) or (right.free[axis] and b == 1)
        for axis, (a, b) in enumerate(zip(left.shape, right.shape, strict=True))
    )


def _broadcasts(left: Shape, right: Shape) -> bool:
    pairs = zip(reversed(left), reversed(right), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def _core(shape: Shape) -> tuple[Size, ...]:
    return tuple(size for size in shape if size != 1)


def _reshaped(value: Value, shape: Shape) -> Value:
    lead = value.node.shape[: len(value.indices)]
    return replace(
        value, node=build.reshape(value.node, (*lead, *shape)), free=(False, False)
    )


def transposed(value: Value) -> Value:
    """Return the transpose of the last two axes."""
    if value.identity or not value.shape:
        return value
    order = (*range(value.node.rank - 2), value.node.rank - 1, value.node.rank - 2)
    return replace(
        value,
        node=build.permute(value.node, order),
        free=(value.free[1], value.free[0]),
    )


def squeezed(value: Value) -> Value:
    """Return an array of more than two axes without those of one entry, if a matrix remains."""
    if len(value.shape) <= 2:
        return value
    kept = list(value.shape)
    while len(kept) > 2 and 1 in kept:
        kept.remove(1)
    return _reshaped(value, tuple(kept))


def matrix_product(left: Value, right: Value, at: int) -> Value:
    """Return the matrix product where the sizes agree, and the multiple where one side is a number.

    Raises:
        ShapeError: the sizes do not agree.
    """
    if left.identity or right.identity:
        other = right if left.identity else left
        scale = left if left.identity else right
        (a, b), order = aligned(replace(scale, identity=False), other)
        keeps = other.is_scalar or other.identity  # λI, but IA = A
        return replace(other, node=build.multiply(a, b), indices=order, identity=keeps)
    if not left.shape or not right.shape:
        return by_entry(build.multiply, left, right, "product")
    left, right = squeezed(left), squeezed(right)
    inner, outer = left.shape[-1], right.shape[-2]
    free_inner = (left.free[1] and inner == 1) or (right.free[0] and outer == 1)
    if inner == outer and not (left.free[1] and right.free[0]):
        (a, b), order = aligned(left, right)
        return Value(build.matmul(a, b), order, (left.free[0], right.free[1]))
    if left.free[1] and right.free[0]:
        raise ShapeError(
            "𝟙ᵀ𝟙", expected="a factor that has its length", got="𝟙 beside 𝟙"
        )
    if free_inner:
        (a, b), order = aligned(left, right)
        lead = len(order)
        if inner == 1:
            a = build.broadcast_to(a, (*a.shape[:-1], outer))
        else:
            b = build.broadcast_to(
                b, (*b.shape[: lead + len(right.shape) - 2], inner, b.shape[-1])
            )
        return Value(build.matmul(a, b), order, (left.free[0], right.free[1]))
    if left.is_scalar or right.is_scalar:
        return by_entry(build.multiply, left, right, "product")
    raise ShapeError(
        f"product at position {at + 1}",
        expected=f"{show(left.shape)} to meet as many rows as it has columns",
        got=show(right.shape),
        hint="Transpose a factor, change the order, or use ⊙ for the element-wise product.",
    )


def summed_over(value: Value, index: str) -> Value:
    """Return the sum over an index."""
    place = value.indices.index(index)
    kept = tuple(name for name in value.indices if name != index)
    return replace(value, node=build.sum_over(value.node, place), indices=kept)


def reduced(value: Value, reduce: Callable[..., Node]) -> Value:
    """Return a reduction over all entries of the matrix, for each index."""
    axes = tuple(range(len(value.indices), value.node.rank))
    if not axes:
        return value
    return Value(reduce(value.node, axes), value.indices)
