"""Neural networks for regression with one or several targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from sklearn.base import RegressorMixin

from deltarule.arguments import check_calls
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

__all__ = ["MLPRegressor", "NetworkRegressor"]


@dataclass(kw_only=True, eq=False, repr=False)
class _NetworkRegressor(RegressorMixin, TrainingParameters, Network):  # type: ignore[misc]  # scikit-learn has no types
    """Regression with a network. Scale targets that are far from 0 ± 1 (``TransformedTargetRegressor``)."""

    loss: Any = "mean_squared_error"

    def _columns(self, y: Array) -> Array:
        return np.asarray(y, np.float64).reshape(len(y), -1)

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> Self:
        """Train for ``epochs``, or until early stopping; with ``warm_start`` continue the previous fit.

        Args:
            X: Examples (N, …), an array or a sparse matrix.
            y: Targets (N,) or (N, targets).
            sample_weight: One weight ≥ 0 per example; weight 2 equals the example
                twice.
            validation_data: (X, y), evaluated after each epoch. Without it,
                ``early_stopping`` holds out the fraction ``validation_fraction`` of the
                examples, with their weights.

        >>> learner = MLPRegressor((), optimizer="sgd", learning_rate=0.3, epochs=50, device="reference")
        >>> learner.fit([[0.0], [1.0]], [1.0, 3.0]).predict([[0.5]]).round(2).tolist()
        [2.0]
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
        """Make one pass over a chunk and keep the optimiser state for the next; weights are not normalised."""
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
        """Return the outputs of the network, of shape (N,) or (N, targets) like y."""
        found = self._outputs(self._features(X, reset=False)[0])
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@final
@dataclass(kw_only=True, eq=False, repr=False)
class MLPRegressor(Perceptron, _NetworkRegressor):
    """Multilayer perceptron for regression: hidden layers, then one linear output per target.

    Each hidden layer is Linear, batch normalisation, activation, dropout. The objective
    is the mean loss plus ½·``alpha``·‖W‖².

    Args:
        hidden_sizes: Number of units of each hidden layer; a single number is one
            layer.
        activation: Activation between the layers: "elu", "gelu", "identity",
            "leaky_relu", "relu", "selu", "sigmoid", "silu", "softplus" or "tanh".
        dropout: Probability in [0, 1) with which a hidden unit is dropped during
            training.
        batch_norm: Whether batch normalisation precedes each activation.
        alpha: Strength of the penalty ½·alpha·‖W‖² on the weights.
        loss: Name of a loss ("mean_squared_error", "huber", "mean_absolute_error" …), a
            ``Loss``, or a function (outputs, targets) → one value per example.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; None for the default of the optimiser.
        epochs: Number of passes over the data.
        batch_size: Number of examples per step.
        shuffle: Whether to shuffle the examples before each epoch.
        metrics: Further metrics to compute in each epoch: names or functions.
        regularizers: Further penalties of ``deltarule.losses``.
        callbacks: Objects of ``deltarule.train.Callback`` that monitor or control the
            training.
        early_stopping: Whether to stop when ``monitor`` no longer improves, and restore
            the best weights.
        validation_fraction: Fraction of the examples held out for validation where
            ``early_stopping`` is given no ``validation_data``.
        monitor: Name of the value that early stopping monitors.
        patience: Number of epochs without improvement before early stopping.
        warm_start: Whether ``fit`` continues from the weights of the previous fit.
        random_state: Seed of the random numbers; equal seeds give equal results.
        dtype: "float32", "float64", or "auto": float32 for float32 inputs, float64 for
            all others.
        device: "cpu" compiles native code; "reference" runs NumPy, which needs no
            compilation.
        threads: Number of threads; None for all cores.
        verbose: 0 is silent, 1 prints one line per epoch.

    Attributes:
        network_: The trained module, which can be explained, summarised and saved.
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
        n_outputs_: Number of targets.
        n_features_in_: Number of features seen by ``fit``.

    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> learner = MLPRegressor((16,), epochs=400, learning_rate=0.02, random_state=0, device="reference")
    >>> bool(learner.fit(x, [0.0, 1.0, 4.0, 9.0]).score(x, [0.0, 1.0, 4.0, 9.0]) > 0.99)
    True
    """


@final
@dataclass(kw_only=True, eq=False, repr=False)
class NetworkRegressor(WrappedNetwork, _NetworkRegressor):
    """Any module as a regressor: ``module`` maps examples to one number per target, (N, targets).

    Args:
        module: A module, which is copied with its values and frozen parameters; a
            function (input_shape, n_outputs) → module; or None for a linear layer,
            which is linear regression.
        loss: Name of a loss, a ``Loss`` of ``deltarule.losses``, or a function
            (outputs, targets) → one value per example.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; "auto" is 0.001 for a module and 0.02 for the
            default linear layer, None the default of the optimiser.
        epochs: Number of passes over the data.
        batch_size: Number of examples per step.
        shuffle: Whether to shuffle the examples before each epoch.
        metrics: Further metrics to compute in each epoch: names or functions.
        regularizers: Further penalties of ``deltarule.losses``.
        callbacks: Objects of ``deltarule.train.Callback`` that monitor or control the
            training.
        early_stopping: Whether to stop when ``monitor`` no longer improves, and restore
            the best weights.
        validation_fraction: Fraction of the examples held out for validation where
            ``early_stopping`` is given no ``validation_data``.
        monitor: Name of the value that early stopping monitors.
        patience: Number of epochs without improvement before early stopping.
        warm_start: Whether ``fit`` continues from the weights of the previous fit.
        random_state: Seed of the random numbers; equal seeds give equal results.
        dtype: "float32", "float64", or "auto": float32 for float32 inputs, float64 for
            all others.
        device: "cpu" compiles native code; "reference" runs NumPy, which needs no
            compilation.
        threads: Number of threads; None for all cores.
        verbose: 0 is silent, 1 prints one line per epoch.

    Attributes:
        network_: The trained module, which can be explained, summarised and saved.
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
        n_outputs_: Number of targets.
        n_features_in_: Number of features seen by ``fit``.

    >>> from deltarule import nn
    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> module = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> learner = NetworkRegressor(module, epochs=400, learning_rate=0.03, random_state=0, device="reference")
    >>> bool(learner.fit(x, [0.0, 1.0, 4.0, 9.0]).score(x, [0.0, 1.0, 4.0, 9.0]) > 0.99)
    True
    """


check_calls(__name__)
