"""The delta rule as one step program: θ ← θ + η·e·x, one example at a time or in mini-batches (Widrow and Hoff 1960).

The members of the family differ in the error e, minus the derivative of the loss in the
scores:

    perceptron           e = y − step(z)
    ADALINE              e = y − z
    logistic regression  e = y − σ(z)
    softmax regression   e = 𝟙(y) − softmax(a), one row of θ per class
    linear SVM           e = −∂hinge/∂a
"""

from __future__ import annotations

import functools
from typing import final

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import StepRunner
from deltarule.errors import DivergenceError
from deltarule.graph.program import StepProgram
from deltarule.learners.base import Array
from deltarule.learners.linear_model.objective import Data, objective
from deltarule.losses import Loss
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.tensor import symbol

Rows = npt.NDArray[np.int64]
WORTH_COMPILING = 250  # steps that take NumPy as long as compilation


@functools.lru_cache(maxsize=64)
def _runner(
    device: str, loss: Loss, outputs: int, features: int, bias: bool, rows: int
) -> StepRunner:
    """Return the step Θ ← Θ − η ∂J/∂Θ along the mean over ``rows`` examples; its metrics are their errors."""
    j = objective(loss, outputs, features, rows, bias)
    rate = symbol("rate", (), "float64")
    moved, errors = simplify([(j.theta - rate * j.gradient).node, j.errors.node])
    program = StepProgram(
        state=(j.theta.node,),
        batch=tuple(t.node for t in j.batch),
        step=symbol("step", (), "int64").node,
        seed=symbol("seed", (), "int64").node,
        scalars=(rate.node, j.alpha.node),
        next_state=(moved,),
        metrics=(errors,),
    )
    return backend(device).compile_step(program)


def require_finite(values: Array, what: str) -> None:
    """Raise DivergenceError for values that are infinite or NaN.

    >>> import numpy as np
    >>> require_finite(np.array([1.0, np.nan]), "coef_")
    Traceback (most recent call last):
    deltarule.errors.DivergenceError: delta rule: expected finite coef_, got nan.
      Take a smaller learning_rate, or scale the features, for instance by StandardScaler().
    """
    if not np.isfinite(values).all():
        raise DivergenceError(
            "delta rule",
            expected=f"finite {what}",
            got=str(values[~np.isfinite(values)][0]),
            hint="Take a smaller learning_rate, or scale the features, for instance by StandardScaler().",
        )


@final
class DeltaRule:
    """Steps of the delta rule on J (see ``objective``) from ``theta``, (outputs, features), which each epoch updates.

    The last feature carries the bias, which the penalty ``alpha`` omits, unless
    ``bias`` is False. Epochs within the first ``WORTH_COMPILING`` steps run in NumPy,
    each later one in a native call.
    """

    def __init__(
        self,
        loss: Loss,
        theta: Array,
        data: Data,
        rate: float,
        alpha: float = 0.0,
        batch_size: int = 1,
        bias: bool = True,
    ) -> None:
        self.theta = theta
        self._loss, self._data, self._scalars = loss, data, (rate, alpha)
        self._batch_size, self._steps, self._bias = batch_size, 0, bias
        self._runners: dict[tuple[str, int], StepRunner] = {}

    def epoch(self, order: Rows | None = None) -> Array:
        """Make one pass over the examples, in their order or a given one; return the error of each before its step.

        Errors are (N,) with one output, else (N, outputs). Raise DivergenceError where
        Θ is no longer finite.
        """
        rows = np.arange(len(self._data[0])) if order is None else order
        whole = len(rows) - len(rows) % self._batch_size
        self._steps += -(-len(rows) // self._batch_size)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = [
                self._run(rows[:whole], self._batch_size),
                self._run(rows[whole:], len(rows) - whole),
            ]
        require_finite(self.theta, "weights")
        shape = (-1,) if len(self.theta) == 1 else (-1, len(self.theta))
        return np.concatenate([part.reshape(shape) for part in errors])

    def _run(self, rows: Rows, size: int) -> Array:
        """Run the steps of one batch size; return their errors."""
        if not len(rows):
            return np.zeros((0, len(self.theta)))
        key = ("cpu" if self._steps > WORTH_COMPILING else "reference", size)
        if key not in self._runners:
            self._runners[key] = _runner(
                key[0], self._loss, *self.theta.shape, self._bias, size
            ).clone()
        runner = self._runners[key]
        runner.load([self.theta])
        errors = runner.run(self._data, rows, 0, 0, self._scalars)
        self.theta = runner.read()[0]
        return errors
