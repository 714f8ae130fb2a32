"""Networks that predict numbers: one or several targets, squared error unless another loss is chosen (OUT-01)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from sklearn.base import RegressorMixin

from deltarule.learners.base import Array, weights_for
from deltarule.learners.neural_network import checks
from deltarule.learners.neural_network.custom import chosen_loss
from deltarule.learners.neural_network.network import (
    Job,
    Network,
    Perceptron,
    WrappedNetwork,
    pair,
    relative,
)
from deltarule.learners.neural_network.parameters import TrainingParameters


@dataclass(kw_only=True, eq=False, repr=False)
class _NetworkRegressor(RegressorMixin, TrainingParameters, Network):  # type: ignore[misc]  # scikit-learn has no types
    """Numbers around a network. Scale targets that are far from 0 ± 1 (``TransformedTargetRegressor``)."""

    loss: Any = "mean_squared_error"

    def _columns(self, y: Array) -> Array:
        return np.asarray(y, np.float64).reshape(len(y), -1)

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> Self:
        """Train for ``epochs``, or until early stopping; with ``warm_start`` go on from the last fit.

        ``validation_data`` (X, y) is measured after every epoch; with ``early_stopping`` and without it, the
        fraction ``validation_fraction`` of the examples is held out, with their weights.
        """
        return self._execute(self._planned(X, y, sample_weight, validation_data))

    def _planned(
        self, x: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> Job:
        goes_on = self._goes_on()
        x, given = self._features(
            x, y, reset=not goes_on, multi_output=True, y_numeric=True
        )
        targets = self._columns(given)
        if goes_on:
            checks.check_outputs(self, "y", targets.shape[1], self._n_outputs)
        weights = weights_for(x, given, sample_weight)
        self._flat, self.n_outputs_ = given.ndim == 1, targets.shape[1]
        seed = self._prepare(x, self.n_outputs_, fresh=not goes_on)
        held = None
        if validation_data is not None:
            held_x, held_y = self._features(
                *pair(self, validation_data),
                reset=False,
                multi_output=True,
                y_numeric=True,
            )
            held = (held_x.reshape(-1, *self._shape_), self._columns(held_y))
        return self._job(
            x, targets, chosen_loss(self.loss), relative(weights), seed, held
        )

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Make one pass over a chunk, with the optimiser's state of the chunk before; weights count as they are."""
        first = not hasattr(self, "network_")
        x, given = self._features(X, y, reset=first, multi_output=True, y_numeric=True)
        targets = self._columns(given)
        if first:
            self._flat, self.n_outputs_ = given.ndim == 1, targets.shape[1]
        else:
            checks.check_outputs(self, "y", targets.shape[1], self._n_outputs)
        seed = self._prepare(x, self.n_outputs_, fresh=False)
        self._fit_part(
            x,
            targets,
            chosen_loss(self.loss),
            weights_for(x, given, sample_weight),
            seed,
        )
        return self

    def predict(self, X: Any) -> Array:
        """Return the network's outputs, (N,) or (N, targets) as y was."""
        found = self._outputs(self._features(X, reset=False)[0])
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@final
@dataclass(kw_only=True, eq=False, repr=False)
class MLPRegressor(Perceptron, _NetworkRegressor):
    """A multilayer perceptron that predicts numbers: hidden layers, then one linear output a target.

    Hidden layers and penalties are those of ``MLPClassifier``; ``loss`` is a name ("mean_squared_error", "huber",
    "mean_absolute_error" …), a ``Loss``, or a function (outputs, targets) → one value an example.

    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> learner = MLPRegressor((16,), epochs=400, learning_rate=0.02, random_state=0, device="reference")
    >>> bool(learner.fit(x, [0.0, 1.0, 4.0, 9.0]).score(x, [0.0, 1.0, 4.0, 9.0]) > 0.99)
    True
    """


@final
@dataclass(kw_only=True, eq=False, repr=False)
class NetworkRegressor(WrappedNetwork, _NetworkRegressor):
    """Any network as a regressor: ``module`` maps examples to one number a target, (N, targets).

    ``module`` is what it is for ``NetworkClassifier``; None is a linear layer, which is linear regression.
    ``learning_rate`` "auto" is 0.001 for a module, 0.02 for that linear layer.
    """
