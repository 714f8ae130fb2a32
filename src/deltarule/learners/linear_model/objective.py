"""The objective of the delta rule as tensors; gradient and errors are its derivatives.

    J(Θ) = mean over examples of w·loss(Θx, y) + ½α‖Θ‖²,  Θ (outputs, features)

The last feature is 1 and carries the bias, which the penalty omits, unless ``bias`` is
False. ``delta_step`` descends J example by example; ``newton`` minimises it over all
examples, by derivatives in the scores.
"""

from __future__ import annotations

import functools
from typing import final

from deltarule.learners.base import Array
from deltarule.losses import Loss
from deltarule.tensor.functional import arange
from deltarule.tensor.tensor import Tensor, symbol
from deltarule.tensor.transforms import grad

Data = tuple[Array, Array, Array]  # inputs (N, features), targets (N,), weights (N,)


@final
class Objective:
    """J for a number of examples, as expressions; the symbols are ``theta``, ``batch`` (x, y, w) and ``alpha``.

    Targets are numbers for one output, and labels for several. ``errors`` are
    −∂loss/∂scores of each example, the e of the delta rule θ ← θ + η·e·x.
    """

    def __init__(
        self, loss: Loss, outputs: int, features: int, rows: int, bias: bool
    ) -> None:
        self.theta = symbol("theta", (outputs, features), "float64")
        x = symbol("x", (rows, features), "float64")
        y = symbol("y", (rows,), "float64" if outputs == 1 else "int64")
        self.batch = (x, y, symbol("w", (rows,), "float64"))
        self.alpha = symbol("alpha", (), "float64")
        scores = x @ self.theta.T
        scores = scores[:, 0] if outputs == 1 else scores
        penalised = (arange(features) < features - bias).astype("float64")
        penalty = (penalised * self.theta * self.theta).sum() * 0.5 * self.alpha
        self.gradient: Tensor = grad(
            loss(scores, *self.batch[1:]) + penalty, self.theta
        )
        self.errors: Tensor = -grad(loss.per_example(scores, y).sum(), scores)


@functools.lru_cache(maxsize=64)
def objective(
    loss: Loss, outputs: int, features: int, rows: int, bias: bool = True
) -> Objective:
    """Return an objective; equal ones are built once."""
    return Objective(loss, outputs, features, rows, bias)
