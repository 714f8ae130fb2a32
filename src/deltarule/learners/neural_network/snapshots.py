"""Snapshot ensembles: one run of training, a model at the end of every cycle of the learning rate (ENS-01).

In a cycle of T epochs the rate falls along a cosine, from its start to ½(1 + cos(π(T − 1)/T)) of it in the last
epoch, and starts anew, so that every cycle ends near a minimum of its own (Huang et al. 2017): k models for the
price of one.
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


@final
class Snapshots(Callback):
    """A callback that lets the learning rate fall and rise in cycles and keeps the weights at each cycle's end.

    ``models`` gives copies of a network with those weights; ``average_proba`` averages what they predict. Training
    anew begins anew, and clones of a learner (the folds of ``cross_validate``) have a callback of their own:
    ``learner.callbacks[0].models(learner.network_)``.
    """

    adjusts_rate = True

    def __init__(self, cycle_epochs: int) -> None:
        self.cycle_epochs = whole_number(
            cycle_epochs, "Snapshots cycle_epochs", least=1
        )
        self.weights: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget the snapshots of another run."""
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
        """Keep the weights at the end of a cycle; set the factor of the epoch that follows."""
        del logs
        if epoch % self.cycle_epochs == 0:
            self.weights.append(session.weights())
        session.learning_rate_factor = self.factor(epoch)

    def models(self, network: Module) -> list[Module]:
        """Return a copy of the network for each snapshot."""
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
        """Take back the snapshots of an interrupted run; raises ArgumentError unless there are as many as it says."""
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
        """Return one without snapshots: a clone of a learner keeps those of its own training."""
        return Snapshots(self.cycle_epochs)
