"""Helpers of layers over spatial axes: single examples and batches, padding, formatting of sizes."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn.context import current
from deltarule.shapes import show, spatial_tuple
from deltarule.tensor.tensor import Tensor

Sizes = int | Sequence[int]
Padding = int | str | Sequence[int]
AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def as_batch(
    x: Tensor,
    rank: int,
    where: str,
    channels: int | None = None,
    required: int | None = None,
) -> tuple[Tensor, bool]:
    """Return x as a batch (N, *spatial, channels), and whether it was a single example.

    ``channels`` improves the hint for a wrong rank; another number than ``required``
    channels is an error.

    >>> from deltarule.tensor.functional import ones
    >>> batch, single = as_batch(ones((4, 4, 3)), 2, "Conv2d")
    >>> batch.shape, single
    ((1, 4, 4, 3), True)
    """
    right_rank = x.ndim in {rank + 1, rank + 2}
    if required is not None and right_rank and x.shape[-1] != required:
        raise ShapeError(
            where,
            expected=f"{required} channels (last axis)",
            got=f"{x.shape[-1]} in {show(x.shape)}",
        )
    context = current()
    batched = None if context is None else context.batched
    if x.ndim == rank + 2 and batched is not False:
        return x, False
    if x.ndim == rank + 1 and batched is not True:
        return x.expand_dims(0), True
    one = f"({AXES[rank]}, channels)"
    hint = f"Reshape examples to {one}."
    if x.ndim == rank + 1 and channels in {None, 1}:
        hint = f"Add the channel axis: examples {show((*x.shape[1:], 1))}, for example X[..., None]."
    raise ShapeError(
        where,
        expected=f"a batch (N, {AXES[rank]}, channels) or one example {one}",
        got=show(x.shape),
        hint=hint,
    )


def without_batch(y: Tensor, single: bool) -> Tensor:
    """Remove the batch axis that ``as_batch`` added.

    >>> from deltarule.tensor.functional import ones
    >>> without_batch(ones((1, 4, 4, 3)), single=True).shape
    (4, 4, 3)
    """
    return y.reshape(*y.shape[1:]) if single else y


def resolve_padding(
    padding: Padding, kernel: tuple[int, ...], dilation: tuple[int, ...], where: str
) -> tuple[tuple[int, int], ...]:
    """Return (before, after) per axis; "same" keeps ⌈size/stride⌉, an odd remainder is added after.

    >>> resolve_padding("same", (5, 2), (1, 1), "padding"), resolve_padding(1, (3,), (1,), "padding")
    (((2, 2), (0, 1)), ((1, 1),))
    """
    if padding == "valid":
        return tuple((0, 0) for _ in kernel)
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ArgumentError(
            where,
            expected="a whole number ≥ 0 (or one per axis), 'same' or 'valid'",
            got=repr(padding),
        )
    return tuple((p, p) for p in spatial_tuple(padding, len(kernel), where))


def format_product(sizes: Sequence[int]) -> str:
    """Format sizes as a product.

    >>> format_product((5, 5))
    '5×5'
    """
    return "×".join(map(str, sizes))


def format_sizes(sizes: Sequence[int]) -> str:
    """Format sizes as one number if all axes are equal, else as a product.

    >>> format_sizes((2, 2)), format_sizes((2, 1))
    ('2', '2×1')
    """
    return str(sizes[0]) if len(set(sizes)) == 1 else format_product(sizes)


def config_sizes(sizes: tuple[int, ...]) -> int | list[int]:
    """Return one number if all axes are equal, else a list: plain data for a config.

    >>> config_sizes((2, 2)), config_sizes((2, 1))
    (2, [2, 1])
    """
    return sizes[0] if len(set(sizes)) == 1 else list(sizes)
