"""A check of importance weights: heavy tails make their mean unreliable."""

from __future__ import annotations

import warnings

import numpy as np

from deltarule.errors import DataWarning, user_level
from deltarule.generative.inference.chains import pareto_k
from deltarule.runtime.buffers import Array

_HEAVY_TAIL = 0.7  # Pareto k above which the mean of importance weights is unreliable
_FEWEST_WEIGHTS = 100  # to which a tail is fitted


def warn_of_heavy_tails(log_weights: Array) -> None:
    """Warn if the importance weights (S, N) of more than a quarter of the examples have heavy tails."""
    if len(log_weights) < _FEWEST_WEIGHTS:
        return
    shapes = np.array([pareto_k(column) for column in log_weights.T])
    heavy = int((~(shapes <= _HEAVY_TAIL)).sum())
    if 4 * heavy > len(shapes):
        warnings.warn(
            f"ln p(x) of {heavy} of {len(shapes)} examples and its error are unreliable: the importance weights "
            f"have heavy tails (Pareto k up to {np.max(shapes):.2g}, above {_HEAVY_TAIL}). q(z|x) is too narrow there: "
            "train longer, with more samples, or with bound='importance'.",
            DataWarning,
            stacklevel=user_level(),
        )
