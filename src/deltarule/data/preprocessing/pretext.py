"""Pretext tasks for self-supervised learning, with targets taken from the inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.sampling.shuffling import words
from deltarule.errors import ArgumentError, DataError

__all__ = ["Pretext", "masked_pretext", "next_step_pretext"]

Array = npt.NDArray[Any]


class Pretext(NamedTuple):
    """The data of a pretext task.

    Attributes:
        inputs: The inputs, with a part hidden.
        targets: The targets.
        mask: True where inputs are hidden; None for next-step prediction.

    >>> next_step_pretext([1, 2, 3], length=2)
    Pretext(inputs=array([[1, 2]]), targets=array([3]), mask=None)
    """

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
    """Mask a random part of every example; the task is to reconstruct it.

    Masked inputs are x·(1 − m) + fill·m; the targets are x, and the mask m (True = hidden) says
    where to compute the loss. ⌊fraction·patches + ½⌋ patches of each example are hidden.

    Args:
        inputs: Examples (N, …); integers (tokens) remain integers.
        fraction: The fraction of each example to hide, in (0, 1).
        seed: The random seed.
        fill: The value of hidden elements: 0, or a mask token.
        patch: The shape of the patches, for example (2, 2, 1) in images; single elements by
            default.

    Returns:
        The masked inputs, the targets and the mask.

    Raises:
        ArgumentError: ``fraction`` or ``patch`` is not allowed.
        DataError: There are no examples.

    >>> hidden = masked_pretext(np.ones((1, 4)), fraction=0.5)
    >>> float(hidden.inputs.sum()), int(hidden.mask.sum())
    (2.0, 2)
    """
    x = np.asarray(inputs)
    if not 0 < fraction < 1:
        raise ArgumentError(
            "fraction", expected="a number in (0, 1)", got=repr(fraction)
        )
    if x.ndim < 2 or len(x) == 0:
        raise DataError(
            "masked_pretext",
            expected="examples (N, …)",
            got=f"an array of shape {x.shape}",
        )
    shape = x.shape[1:]
    block = tuple(patch) if patch is not None else (1,) * len(shape)
    same_axes = len(block) == len(shape)
    pairs = list(zip(block, shape, strict=same_axes))
    if not same_axes or any(p < 1 or size % p for p, size in pairs):
        raise ArgumentError(
            "patch", expected=f"sizes that divide the example's {shape}", got=str(block)
        )
    grid = tuple(size // p for p, size in pairs)
    n_patches = math.prod(grid)
    n_hidden = math.floor(fraction * n_patches + 0.5)
    random = words(len(x) * n_patches, seed, "mask").reshape(len(x), n_patches)
    ranks = random.argsort(axis=1).argsort(axis=1)
    mask = (ranks < n_hidden).reshape(len(x), *grid)
    for axis, p in enumerate(block, start=1):
        mask = mask.repeat(p, axis=axis)
    return Pretext(np.where(mask, np.asarray(fill, x.dtype), x), x, mask)


def next_step_pretext(sequence: Any, length: int) -> Pretext:
    """Return the windows of ``length`` steps of a sequence, with the following step as target.

    Shapes: a sequence (T, …); inputs (T − length, length, …), targets (T − length, …). The task
    is to predict the next frame, token or value.

    Raises:
        ArgumentError: ``length`` < 1.
        DataError: The sequence has no more than ``length`` steps.

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


check_calls(__name__)
