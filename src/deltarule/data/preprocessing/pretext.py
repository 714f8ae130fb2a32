"""Self-supervision: targets taken from the inputs themselves (DA-21, AE-08)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deltarule.data.sampling.shuffling import words
from deltarule.errors import ArgumentError, DataError

Array = npt.NDArray[Any]


class Pretext(NamedTuple):
    """Inputs with a part withheld, what was withheld, and where (``mask`` is None for the next step)."""

    inputs: Array
    targets: Array
    mask: npt.NDArray[np.bool_] | None


def masked_pretext(
    inputs: Any,
    fraction: float = 0.25,
    seed: int = 0,
    fill: float = 0.0,
    patch: Sequence[int] | None = None,
) -> Pretext:
    """Hide a part of every example; the task is to reconstruct it.

    Masked inputs are x·(1 − m) + fill·m; the targets are all of x, and the mask m (True = hidden) says where an
    error counts. Each example hides the same number of patches, ⌊fraction·patches + ½⌋, at places of its own.

    Args:
        inputs: Examples (N, …); whole numbers (words) stay whole numbers.
        fraction: Share of each example to hide, in (0, 1).
        seed: Seed of the places.
        fill: What stands in the hidden places: 0, or the number of a word that means "hidden".
        patch: Shape of what is hidden together, for example (2, 2, 1) in images; single elements by default.

    >>> hidden = masked_pretext(np.ones((1, 4)), fraction=0.5)
    >>> float(hidden.inputs.sum()), int(hidden.mask.sum())
    (2.0, 2)
    """
    x = np.asarray(inputs)
    if not 0 < fraction < 1:
        raise ArgumentError(
            "fraction", expected="a share in (0, 1)", got=repr(fraction)
        )
    if x.ndim < 2 or len(x) == 0:
        raise DataError(
            "masked_pretext",
            expected="examples (N, …)",
            got=f"an array of shape {x.shape}",
        )
    shape = x.shape[1:]
    block = tuple(patch) if patch is not None else (1,) * len(shape)
    if len(block) != len(shape) or any(
        p < 1 or size % p for p, size in zip(block, shape, strict=True)
    ):
        raise ArgumentError(
            "patch", expected=f"sizes that divide the example's {shape}", got=str(block)
        )
    grid = tuple(size // p for size, p in zip(shape, block, strict=True))
    n_patches = math.prod(grid)
    n_hidden = math.floor(fraction * n_patches + 0.5)
    ranks = (
        words(len(x) * n_patches, seed, "mask")
        .reshape(len(x), n_patches)
        .argsort(axis=1)
        .argsort(axis=1)
    )
    mask = (ranks < n_hidden).reshape(len(x), *grid)
    for axis, p in enumerate(block, start=1):
        mask = mask.repeat(p, axis=axis)
    return Pretext(np.where(mask, np.asarray(fill, x.dtype), x), x, mask)


def next_step_pretext(sequence: Any, length: int) -> Pretext:
    """Cut a sequence into windows of ``length`` steps, each with the step that follows as its target.

    Inputs are (T − length, length, …), targets (T − length, …): next frame, next word, next value of a series.

    >>> frames = next_step_pretext([1, 2, 3, 4], length=2)
    >>> frames.inputs.tolist(), frames.targets.tolist()
    ([[1, 2], [2, 3]], [3, 4])
    """
    steps = np.asarray(sequence)
    if length < 1:
        raise ArgumentError("length", expected="a whole number ≥ 1", got=repr(length))
    if steps.ndim == 0 or len(steps) <= length:
        raise DataError(
            "sequence",
            expected=f"more than {length} steps",
            got=f"an array of shape {steps.shape}",
        )
    rows = np.arange(len(steps) - length)[:, None] + np.arange(length)
    return Pretext(steps[rows], steps[length:], None)
