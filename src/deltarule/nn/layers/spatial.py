"""What layers over spatial axes share: one example or a batch, padding rules, names of kernels."""

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

    ``channels`` helps to find the way out of a wrong rank; ``required`` channels are demanded.
    """
    if (
        required is not None
        and x.ndim in {rank + 1, rank + 2}
        and x.shape[-1] != required
    ):
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
    """Drop the batch axis that ``as_batch`` added."""
    return y.reshape(*y.shape[1:]) if single else y


def padding_of(
    padding: Padding, kernel: tuple[int, ...], dilation: tuple[int, ...], where: str
) -> tuple[tuple[int, int], ...]:
    """Return (before, after) per axis; "same" keeps ⌈size/stride⌉, an odd rest goes after (CNN-07).

    >>> padding_of("same", (5, 2), (1, 1), "padding"), padding_of(1, (3,), (1,), "padding")
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


def times(sizes: Sequence[int]) -> str:
    """Return ``5×5``."""
    return "×".join(map(str, sizes))


def short(sizes: Sequence[int]) -> str:
    """Return ``2`` where all axes are alike, else ``2×1``."""
    return str(sizes[0]) if len(set(sizes)) == 1 else times(sizes)


def plain(sizes: tuple[int, ...]) -> int | list[int]:
    """Return one number if all axes are alike, else a list: data for a config."""
    return sizes[0] if len(set(sizes)) == 1 else list(sizes)
