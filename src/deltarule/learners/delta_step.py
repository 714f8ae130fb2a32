"""The delta rule as one function: θ ← θ + η·e·x, examples one after the other or in small batches (CM-27).

What differs between the members of the family is the error e alone, y minus what is predicted from z = θᵀx:

    perceptron           e = y − step(z)
    ADALINE              e = y − z
    logistic regression  e = y − σ(z)
    softmax regression   e = 𝟙(y) − softmax(a), one row of θ a class
    linear SVM           e = −∂hinge/∂a
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.learners.base import Array

Rows = npt.NDArray[np.int64]
ErrorOf = Callable[[Array, Array], Array]  # (scores, targets) of a batch → errors in the scores


def delta_steps(
    theta: Array, inputs: Array, targets: Array, error_of: ErrorOf, rate: float, *, weights: Array,
    shrink: Array | float = 0.0, directions: Array | None = None, order: Rows | None = None, batch_size: int = 1,
) -> Iterator[tuple[Any, Array]]:  # fmt: skip
    """Move ``theta``, (d,) or (classes, d), in place through the examples once; yield (rows, errors) of each step.

    A step is θ ← θ − η·shrink·θ + η·mean over the batch of w·e·x, with x or its row of ``directions``. With
    ``batch_size=1`` rows and errors are those of one example, without an axis for the batch.
    """
    along = inputs if directions is None else directions
    rows = np.arange(len(inputs)) if order is None else order
    decays = bool(np.any(shrink))
    for start in range(0, len(rows), batch_size):
        at: Any = rows[start] if batch_size == 1 else rows[start : start + batch_size]
        errors = error_of(inputs[at] @ theta.T, targets[at])
        if decays or errors.any():
            step = _mean_step(errors, weights[at], along[at], theta.ndim)
            theta += rate * (step - shrink * theta if decays else step)
        yield at, errors


def _mean_step(errors: Array, weights: Array, along: Array, rank: int) -> Array:
    """Return the mean of w·e·x over a batch, or w·e·x of one example."""
    if along.ndim == 1:
        return weights * errors * along if rank == 1 else np.outer(weights * errors, along)
    weighted = errors * (weights if rank == 1 else weights[:, None])
    return np.asarray(weighted.T @ along / len(along))


def sigmoid(z: Array) -> Array:
    """Return σ(z) = ½(1 + tanh(z/2)), which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def step_error(z: Array, y: Array) -> Array:
    """Return y − step(z), with step(0) = 1; y is 0 or 1 (CM-16)."""
    return y - (z >= 0)


def linear_error(z: Array, y: Array) -> Array:
    """Return y − z; y is −1 or 1 (CM-21)."""
    return y - z


def logistic_error(z: Array, y: Array) -> Array:
    """Return y − σ(z); y is 0 or 1 (CM-25)."""
    return y - sigmoid(z)
