"""Neural networks for classification, multiclass and multilabel, by their architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from deltarule import nn
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.learners.base import Array
from deltarule.learners.neural_network import architectures
from deltarule.learners.neural_network.classification import ClassifierNetwork
from deltarule.learners.neural_network.network import Perceptron, WrappedNetwork

__all__ = ["CNNClassifier", "MLPClassifier", "NetworkClassifier"]


@final
@dataclass(kw_only=True, eq=False, repr=False)
class MLPClassifier(Perceptron, ClassifierNetwork):
    """Multilayer perceptron: hidden layers, then one logit per class (Goodfellow et al. 2016, chapter 6).

    Each hidden layer is Linear, batch normalisation, activation, dropout. The objective
    is cross-entropy plus ½·``alpha``·‖W‖². A binary y of shape (N, K) trains K
    independent labels.

    Args:
        hidden_sizes: Number of units of each hidden layer; a single number is one
            layer.
        activation: Activation between the layers: "elu", "gelu", "identity",
            "leaky_relu", "relu", "selu", "sigmoid", "silu", "softplus" or "tanh".
        dropout: Probability in [0, 1) with which a hidden unit is dropped during
            training.
        batch_norm: Whether batch normalisation precedes each activation.
        alpha: Strength of the penalty ½·alpha·‖W‖² on the weights.
        loss: Name of a loss, a ``Loss``, or a function (logits, labels) → one value per
            example; "auto" is cross-entropy, or binary cross-entropy for multilabel
            targets.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; None for the default of the optimiser.
        epochs: Number of passes over the data.
        batch_size: Number of examples per step.
        shuffle: Whether to shuffle the examples before each epoch.
        class_weight: None, "balanced", {class: weight}, or for multilabel targets a
            list of K dicts {0: weight, 1: weight}.
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
        classes_: Sorted class labels.
        network_: The trained module, which can be explained, summarised and saved.
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> learner = MLPClassifier((8,), epochs=200, learning_rate=0.05, random_state=0, device="reference")
    >>> learner.fit([[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]).predict([[0, 1], [1, 1]]).tolist()
    ['yes', 'no']
    """


@final
@dataclass(kw_only=True, eq=False, repr=False)
class CNNClassifier(ClassifierNetwork):
    """Convolutional network for images: convolution, activation, max pooling, then an MLP (LeCun et al. 1998).

    Args:
        channels: Number of filters of each block.
        kernel_size: Height and width of each filter, an odd number.
        pool: Height and width of the pooling window.
        hidden_sizes: Number of units of each hidden layer after the blocks.
        image_shape: (height, width, channels) of images that are given as rows of
            numbers. None for images (N, height, width, channels); a row is then a
            square grey image if its length is a square number, else an image of one
            row.
        activation: Activation between the layers: "elu", "gelu", "identity",
            "leaky_relu", "relu", "selu", "sigmoid", "silu", "softplus" or "tanh".
        dropout: Probability in [0, 1) with which a hidden unit is dropped during
            training.
        batch_norm: Whether batch normalisation precedes each activation.
        alpha: Strength of the penalty ½·alpha·‖W‖² on the weights.
        loss: Name of a loss, a ``Loss``, or a function (logits, labels) → one value per
            example; "auto" is cross-entropy, or binary cross-entropy for multilabel
            targets.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; None for the default of the optimiser.
        epochs: Number of passes over the data.
        batch_size: Number of examples per step.
        shuffle: Whether to shuffle the examples before each epoch.
        class_weight: None, "balanced", or {class: weight}.
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
        classes_: Sorted class labels.
        network_: The trained module, which can be explained, summarised and saved.
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> images = np.zeros((40, 6, 6))  # a vertical or horizontal bar
    >>> for i in range(40):
    ...     images[i, :, i % 6] = 1.0
    ...     images[i] = images[i].T if i >= 20 else images[i]
    >>> labels = np.array(["vertical", "horizontal"]).repeat(20)
    >>> learner = CNNClassifier((4,), hidden_sizes=(), epochs=60, learning_rate=0.02, random_state=0,
    ...                         device="reference").fit(images, labels)
    >>> learner.predict(images[[0, 39]]).tolist(), learner.score(images, labels)
    (['vertical', 'horizontal'], 1.0)
    """

    channels: int | Sequence[int] = field(default=(16, 32), kw_only=False)
    kernel_size: int = 3
    pool: int = 2
    hidden_sizes: Sequence[int] = (64,)
    image_shape: Sequence[int] | None = None
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    alpha: float = 0.0
    epochs: int = 20
    _any_rank = True
    _form = (
        "channels",
        "kernel_size",
        "pool",
        "hidden_sizes",
        "image_shape",
        "activation",
        "dropout",
        "batch_norm",
    )

    def _shape(self, x: Array) -> tuple[int, ...]:
        own = x.shape[1:]
        given = self.image_shape
        shape = (
            own
            if given is None
            else architectures.whole_numbers("CNNClassifier image_shape", given)
        )
        if self.image_shape is None and len(own) == 1:
            shape = architectures.image_shape(own[0])
        if len(shape) == 2:
            shape = (*shape, 1)
        if len(shape) != 3 or int(np.prod(shape)) != int(np.prod(own)):
            raise ArgumentError(
                "CNNClassifier image_shape",
                expected=f"(height, width, channels) of {int(np.prod(own))} numbers",
                got=repr(shape),
            )
        return shape

    def _build(self, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        return architectures.convolutional(
            "CNNClassifier",
            shape,
            architectures.whole_numbers("CNNClassifier channels", self.channels),
            self.kernel_size,
            self.pool,
            self.hidden_sizes,
            n_outputs,
            self.activation,
            self.dropout,
            self.batch_norm,
        )


@final
@dataclass(kw_only=True, eq=False, repr=False)
class NetworkClassifier(WrappedNetwork, ClassifierNetwork):
    """Any module as a classifier: ``module`` maps examples to one logit per class. Examples may have any shape.

    Args:
        module: A module, which is copied with its values and frozen parameters, so that
            a pretrained one is fine-tuned; a function (input_shape, n_outputs) →
            module, initialised by ``random_state``; or None for a linear layer, which
            is softmax regression.
        loss: Name of a loss, a ``Loss``, or a function (logits, labels) → one value per
            example; "auto" is cross-entropy, or binary cross-entropy for multilabel
            targets.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; "auto" is 0.001 for a module and 0.02 for the
            default linear layer, None the default of the optimiser.
        epochs: Number of passes over the data.
        batch_size: Number of examples per step.
        shuffle: Whether to shuffle the examples before each epoch.
        class_weight: None, "balanced", or {class: weight}.
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
        classes_: Sorted class labels.
        network_: The trained module, which can be explained, summarised and saved.
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> from deltarule import nn
    >>> def two_layers(input_shape, n_outputs):
    ...     return nn.Sequential(nn.Linear(*input_shape, 8), nn.Tanh(), nn.Linear(8, n_outputs))
    >>> learner = NetworkClassifier(two_layers, epochs=200, learning_rate=0.05, random_state=0,
    ...                             device="reference")
    >>> learner.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]).predict([[0, 1], [1, 1]]).tolist()
    [1, 0]
    """


check_calls(__name__)
