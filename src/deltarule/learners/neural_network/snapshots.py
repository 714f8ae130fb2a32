"""Snapshot ensembles: one training run, one model at the end of each cycle of the learning rate (Huang et al. 2017).

In a cycle of T epochs the learning rate is annealed along a cosine, to ½(1 + cos(π(T −
1)/T)) of its initial value in the last epoch, and then restarts, so that each cycle
ends near a different minimum: k models for the cost of one.
"""

from __future__ import annotations

import copy
import math
from typing import Any, final

from deltarule.errors import ArgumentError, whole_number
from deltarule.nn import Module
from deltarule.render.numbers import counted
from deltarule.runtime.buffers import Array
from deltarule.train import Callback

__all__ = ["Snapshots"]


@final
class Snapshots(Callback):
    """Callback that anneals the learning rate in cycles and stores the weights at the end of each (Huang et al. 2017).

    ``models`` returns copies of a network with those weights; ``average_proba``
    averages their predictions. A new training run starts without snapshots. Clones of a
    learner (the folds of ``cross_validate``) have a callback of their own:
    ``learner.callbacks[0].models(learner.network_)``.

    Args:
        cycle_epochs: Number of epochs T of a cycle.

    Attributes:
        weights: State dictionaries of the snapshots.

    >>> from deltarule.learners import MLPRegressor
    >>> x, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 4.0, 9.0]
    >>> snapshots = Snapshots(cycle_epochs=100)
    >>> learner = MLPRegressor((16,), epochs=300, learning_rate=0.02, callbacks=[snapshots], random_state=0,
    ...                        device="reference").fit(x, y)
    >>> len(snapshots.models(learner.network_)), [round(snapshots.factor(t), 2) for t in (0, 50, 99)]
    (3, [1.0, 0.5, 0.0])
    """

    adjusts_rate = True

    def __init__(self, cycle_epochs: int) -> None:
        self.cycle_epochs = whole_number(
            cycle_epochs, "Snapshots cycle_epochs", least=1
        )
        self.weights: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Discard the snapshots of a previous run."""
        self.weights = []

    def factor(self, epoch: int) -> float:
        """Return the factor on the learning rate in an epoch, counted from 0: ½(1 + cos(π·t/T)).

        >>> [round(Snapshots(4).factor(epoch), 3) for epoch in range(5)]
        [1.0, 0.854, 0.5, 0.146, 1.0]
        """
        return 0.5 * (
            1 + math.cos(math.pi * (epoch % self.cycle_epochs) / self.cycle_epochs)
        )

    def on_train_begin(self, session: Any) -> None:
        """Set the factor of the first epoch."""
        session.learning_rate_factor = self.factor(len(session.history.epochs))

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Store the weights at the end of a cycle and set the factor of the next epoch."""
        del logs
        if epoch % self.cycle_epochs == 0:
            self.weights.append(session.weights())
        session.learning_rate_factor = self.factor(epoch)

    def models(self, network: Module) -> list[Module]:
        """Return one copy of the network per snapshot."""
        copies = []
        for weights in self.weights:
            twin = copy.deepcopy(network)
            twin.load_state_dict(weights, strict=False)
            copies.append(twin)
        return copies

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the snapshots so far."""
        arrays = {
            f"{i}/{name}": array
            for i, weights in enumerate(self.weights)
            for name, array in weights.items()
        }
        return {"snapshots": len(self.weights)}, arrays

    def settings(self) -> dict[str, Any]:
        """Return the length of a cycle."""
        return {"cycle_epochs": self.cycle_epochs}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Restore the snapshots of an interrupted run; raise ArgumentError unless their number matches."""
        if len({name.partition("/")[0] for name in arrays}) != data["snapshots"]:
            raise ArgumentError(
                "Snapshots",
                expected=counted(data["snapshots"], "snapshot"),
                got=counted(len(arrays), "array"),
            )
        self.weights = [
            {
                name.partition("/")[2]: array
                for name, array in arrays.items()
                if name.partition("/")[0] == str(i)
            }
            for i in range(data["snapshots"])
        ]

    def __sklearn_clone__(self) -> Snapshots:
        """Return a callback without snapshots, since each clone of a learner stores its own."""
        return Snapshots(self.cycle_epochs)
