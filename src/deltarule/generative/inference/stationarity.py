"""When stochastic steps on the ELBO end: a callback that lowers the learning rate and stops where nothing is gained."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.nn.check import whole_number
from deltarule.runtime.buffers import Array
from deltarule.train import Callback

__all__ = ["Convergence"]

UNBOUNDED: Final = 1e100  # an ELBO above it counts as unbounded
NO_MAXIMUM: Final = "the ELBO is unbounded"


@final
class Convergence(Callback):
    """Callback that stops when the mean ELBO of ``patience`` epochs is no higher than that of the ``patience`` before.

    An increase must exceed a tenth of the tolerance and twice the Monte-Carlo error of the difference. Without one the
    learning rate is divided by 10, which reduces the noise of the steps; after ``stages`` divisions the run ends with
    the average of the weights of the last ``patience`` epochs. A non-finite ELBO or error does not count as
    convergence; an ELBO above 10¹⁰⁰ stops the run as unbounded. A stationary run need not be at a maximum:
    ``fit_variational`` checks the gradients there.

    Args:
        tolerance: Nats.
        patience: Epochs that are averaged.
        stages: How often the learning rate is divided by 10.

    >>> Convergence(tolerance=0.1, patience=3).patience
    3
    """

    adjusts_rate = True

    def __init__(
        self, tolerance: float = 1e-2, patience: int = 5, stages: int = 2
    ) -> None:
        if not isinstance(tolerance, (int, float, np.number)) or not tolerance >= 0:
            raise ArgumentError(
                "Convergence tolerance", expected="a number ≥ 0", got=repr(tolerance)
            )
        self.tolerance, self.patience = (
            tolerance,
            whole_number(patience, "Convergence patience", 1),
        )
        self.stages = whole_number(stages, "Convergence stages", 0)
        self.reset()

    def reset(self) -> None:
        """Reset to the first stage, without any epochs."""
        self._seen: list[tuple[float, float]] = []
        self._weights: list[dict[str, Array]] = []
        self._stage = 0
        self.at_rest = False

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Compare the last epochs with those before, and lower the learning rate or stop."""
        del epoch
        if UNBOUNDED < abs(logs["elbo"]) < np.inf:
            session.stop = True
            session.history.stop_reason = NO_MAXIMUM
            return
        self._seen.append((logs["elbo"], logs["elbo_error"]))
        self._weights = (
            [*self._weights[-self.patience + 1 :], session.weights()]
            if self.patience > 1
            else []
        )
        if len(self._seen) < 2 * self.patience or self._grows():
            return
        self._seen, self._stage = [], self._stage + 1
        if self._stage <= self.stages:
            session.learning_rate_factor /= 10.0
            return
        self.at_rest = session.stop = True
        session.history.stop_reason = (
            f"the ELBO no longer grows ({logs['elbo']:.6g} ± {logs['elbo_error']:.2g})"
        )
        if self._weights:
            names = self._weights[0]
            session.set_weights(
                {
                    name: np.mean([w[name] for w in self._weights], axis=0)
                    for name in names
                }
            )

    def _grows(self) -> bool:
        """Return whether the ELBO increases, or is not finite."""
        recent = np.array(self._seen[-2 * self.patience :]).reshape(2, self.patience, 2)
        if not np.isfinite(recent).all():
            return True
        before, now = recent[..., 0].mean(axis=1)
        error = float(np.sqrt((recent[..., 1] ** 2).sum())) / self.patience
        return bool(now - before > max(self.tolerance / 10, 2 * error))

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the state: the epochs that are compared, their weights, and the stage."""
        arrays = {
            f"{i}/{name}": a
            for i, weights in enumerate(self._weights)
            for name, a in weights.items()
        }
        return {
            "seen": [list(pair) for pair in self._seen],
            "stage": self._stage,
        }, arrays

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Restore the state returned by ``state``."""
        self._seen, self._stage = (
            [(float(a), float(b)) for a, b in data["seen"]],
            int(data["stage"]),
        )
        numbers = sorted({int(key.split("/", 1)[0]) for key in arrays})
        self._weights = [
            {
                key.split("/", 1)[1]: a
                for key, a in arrays.items()
                if key.split("/", 1)[0] == str(i)
            }
            for i in numbers
        ]


check_calls(__name__)
