"""Shape rules as pure functions on tuples: broadcasting, reduction, contraction, convolution, windows.

A size is an integer or a ``Dimension``, an unknown size such as the batch size of a model that is summarised or
derived without data. Two dimensions are equal only if they are the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, SupportsIndex

from deltarule.errors import ArgumentError, ShapeError


@dataclass(frozen=True, eq=False)
class Dimension:
    """An unknown size, printed by its name.

    >>> Dimension("N")
    N
    """

    name: str

    def __repr__(self) -> str:
        return self.name


Size = Any  # int | Dimension; Any keeps arithmetic on known sizes free of casts
Shape = tuple[Size, ...]


def show(shape: Sequence[Size]) -> str:
    """Return a shape as text.

    >>> show((3,)), show(())
    ('(3)', '()')
    """
    return "(" + ", ".join(str(size) for size in shape) + ")"


def sizes(shape: Any, where: str) -> Shape:
    """Return a shape argument as a checked tuple; a single size is a shape of one axis.

    Raises:
        ShapeError: A size is no whole number ≥ 0, or the elements are 2⁶³ or more, which no index addresses.

    >>> sizes(3, "zeros"), sizes([2, 3], "zeros")
    ((3,), (2, 3))
    """
    is_sequence = isinstance(shape, Iterable) and not isinstance(shape, str)
    listed = tuple(shape) if is_sequence else (shape,)
    for size in listed:
        is_integer = isinstance(size, Integral) and not isinstance(size, bool)
        if not (is_integer and size >= 0) and not isinstance(size, Dimension):
            raise ShapeError(
                where, expected="sizes that are whole numbers ≥ 0", got=repr(shape)
            )
    checked = tuple(
        size if isinstance(size, Dimension) else int(size) for size in listed
    )
    if count(size for size in checked if isinstance(size, int)) >= 2**63:
        raise ShapeError(
            where, expected="a shape of fewer than 2⁶³ elements", got=show(checked)
        )
    return checked


def is_static(shape: Iterable[Size]) -> bool:
    """Return whether all sizes are known.

    >>> is_static((2, 3)), is_static((Dimension("N"), 3))
    (True, False)
    """
    return all(isinstance(size, int) for size in shape)


def count(shape: Iterable[Size]) -> int:
    """Return the number of elements of a static shape.

    >>> count((2, 3, 4))
    24
    """
    total = 1
    for size in shape:
        if not isinstance(size, int):
            raise ShapeError(
                "count", expected="known sizes", got=f"unknown size {size}"
            )
        total *= size
    return total


def _factors(shape: Iterable[Size]) -> tuple[int, tuple[Dimension, ...]]:
    """Return the known and the unknown factors of the number of elements."""
    number, unknown = 1, []
    for size in shape:
        if isinstance(size, int):
            number *= size
        else:
            unknown.append(size)
    return number, tuple(sorted(unknown, key=id))


def axis(index: int, rank: int, where: str = "axis") -> int:
    """Normalise a possibly negative axis.

    >>> axis(-1, 3)
    2
    """
    if not isinstance(index, SupportsIndex) or not -rank <= int(index) < rank:
        raise ShapeError(
            where, expected=f"an axis in [{-rank}, {rank})", got=repr(index)
        )
    return int(index) % rank


def axes(
    indices: int | Sequence[int] | None, rank: int, where: str = "axis"
) -> tuple[int, ...]:
    """Normalise one, several or all (None) axes to a sorted tuple of distinct axes.

    >>> axes((-1, 0), 3), axes(None, 2)
    ((0, 2), (0, 1))
    """
    if indices is None:
        return tuple(range(rank))
    listed: tuple[Any, ...] = (indices,)
    if isinstance(indices, Iterable) and not isinstance(indices, str):
        listed = tuple(indices)
    normal = sorted(axis(i, rank, where) for i in listed)
    if len(set(normal)) != len(normal):
        raise ShapeError(where, expected="each axis once", got=str(tuple(listed)))
    return tuple(normal)


def broadcast(*shapes: Shape, where: str = "broadcast") -> Shape:
    """Return the common shape by NumPy's rules: aligned right, sizes are equal or one of them is 1.

    >>> broadcast((8, 1, 3), (4, 1))
    (8, 4, 3)
    """
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[Size] = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for i, size in enumerate(shape):
            known = result[offset + i]
            if size == 1 or size == known:
                continue
            if known != 1:
                raise ShapeError(
                    where,
                    expected="shapes that broadcast (aligned right, sizes equal or 1)",
                    got=" and ".join(show(s) for s in shapes),
                )
            result[offset + i] = size
    return tuple(result)


def reduced(shape: Shape, over: Sequence[int], keepdims: bool = False) -> Shape:
    """Return the shape after a reduction over normalised axes.

    >>> reduced((2, 3, 4), (1,)), reduced((2, 3, 4), (1,), keepdims=True)
    ((2, 4), (2, 1, 4))
    """
    if keepdims:
        return tuple(1 if i in over else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in over)


def _as_integer(size: Any) -> Any:
    """Return NumPy integers as Python integers, anything else unchanged."""
    is_integer = isinstance(size, Integral) and not isinstance(size, bool)
    return int(size) if is_integer else size


def reshaped(shape: Shape, target: Sequence[Size], where: str = "reshape") -> Shape:
    """Return ``target`` with a ``-1`` inferred; the number of elements must not change.

    >>> reshaped((4, 6), (3, -1))
    (3, 8)
    """
    target = tuple(_as_integer(size) for size in target)
    if any(
        not isinstance(size, Dimension) and (type(size) is not int or size < -1)
        for size in target
    ):
        raise ShapeError(
            where,
            expected="sizes ≥ 0, or -1 for the one that follows",
            got=show(target),
        )
    free = [i for i, size in enumerate(target) if isinstance(size, int) and size == -1]
    if len(free) > 1:
        raise ShapeError(where, expected="at most one -1", got=show(target))
    number, unknown = _factors(shape)
    rest_number, rest_unknown = _factors(
        size for i, size in enumerate(target) if i not in free
    )
    result = list(target)
    if free:
        left = list(unknown)
        for dimension in rest_unknown:
            if dimension in left:
                left.remove(dimension)
        if len(left) == len(unknown) - len(rest_unknown):
            if not left and rest_number and number % rest_number == 0:
                result[free[0]] = number // rest_number
                return tuple(result)
            if len(left) == 1 and number == rest_number:
                result[free[0]] = left[0]
                return tuple(result)
    elif (number, unknown) == (rest_number, rest_unknown):
        return tuple(result)
    elements = f"{number} elements" if not unknown else f"shape {show(shape)}"
    raise ShapeError(
        where, expected=f"a shape of {elements}", got=f"{show(shape)} → {show(target)}"
    )


def matmul(left: Shape, right: Shape, where: str = "matmul") -> Shape:
    """Return the shape of (…, m, k) @ (…, k, n) for equal leading (batch) sizes.

    >>> matmul((2, 3), (3, 4))
    (2, 4)
    """
    if len(left) < 2 or len(left) != len(right) or left[:-2] != right[:-2]:
        raise ShapeError(
            where, expected="equal batch sizes", got=f"{show(left)} @ {show(right)}"
        )
    if left[-1] != right[-2]:
        raise ShapeError(
            where,
            expected=f"inner sizes to agree ({left[-1]} ≠ {right[-2]})",
            got=f"{show(left)} @ {show(right)}",
        )
    return (*left[:-1], right[-1])


def window_count(size: int, window: int, stride: int, dilation: int = 1) -> int:
    """Return the number of windows: ⌊(size − dilation·(window − 1) − 1)/stride⌋ + 1, at least 0.

    >>> window_count(32, 5, 1), window_count(28, 2, 2)
    (28, 14)
    """
    return max(0, (size - dilation * (window - 1) - 1) // stride + 1)


def spatial_tuple(
    value: int | Sequence[int], rank: int, where: str, minimum: int = 0
) -> tuple[int, ...]:
    """Return one number, or one for each spatial axis, as a tuple of ``rank`` integers.

    >>> spatial_tuple(3, 2, "kernel_size")
    (3, 3)
    """
    listed = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(listed) != rank or any(
        not isinstance(v, int) or v < minimum for v in listed
    ):
        raise ArgumentError(
            where,
            expected=f"a whole number ≥ {minimum} or {rank} of them",
            got=repr(value),
        )
    return listed


def convolved(
    x: Shape,
    weight: Shape,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
    where: str = "convolve",
) -> Shape:
    """Return the shape (N, *out, C_out) of a channels-last correlation.

    ``x`` is (N, *spatial, C_in), ``weight`` (C_out, *kernel, C_in / groups); per axis
    out = ⌊(size + low + high − dilation·(kernel − 1) − 1)/stride⌋ + 1.

    >>> convolved((8, 28, 28, 1), (16, 3, 3, 1), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    (8, 28, 28, 16)
    """
    rank = len(weight) - 2
    if rank < 1 or len(x) != rank + 2:
        raise ShapeError(
            where, expected=f"an input (N, {rank} spatial sizes, channels)", got=show(x)
        )
    if x[-1] != weight[-1] * groups or weight[0] % groups:
        raise ShapeError(
            where,
            expected=f"{weight[-1] * groups} input channels ({groups} groups of {weight[-1]})",
            got=f"{x[-1]} in {show(x)}",
        )
    out = []
    for size, kernel, step, (low, high), spread in zip(
        x[1:-1], weight[1:-1], stride, padding, dilation, strict=True
    ):
        windows = window_count(size + low + high, kernel, step, spread)
        if windows < 1:
            raise ShapeError(
                where,
                expected=f"an input at least as large as the kernel ({kernel}, dilation {spread})",
                got=f"{size} + padding {low} + {high} in {show(x)}",
                hint="Pad the input, use a smaller kernel, or pool less before this layer.",
            )
        out.append(windows)
    return (x[0], *out, weight[0])
