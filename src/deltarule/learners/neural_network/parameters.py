"""Constructor parameters that neural learners share.

Learners are dataclasses: they inherit these parameters and declare only those of their own, so that the signature
that ``get_params`` reads is complete while no constructor repeats another. Arguments are stored as they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True, eq=False, repr=False)
class OptimizerParameters:
    """Parameters of every neural learner.

    >>> from deltarule.learners import MLPRegressor
    >>> MLPRegressor(optimizer="sgd", epochs=5).get_params()["optimizer"]
    'sgd'
    """

    optimizer: Any = "adam"
    learning_rate: float | str | None = 1e-3
    epochs: int = 100
    batch_size: int = 64
    random_state: Any = None
    dtype: str = "auto"
    device: str = "cpu"
    threads: int | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingParameters(OptimizerParameters):
    """Parameters of the learners that are trained by ``train.fit``.

    >>> from deltarule.learners import MLPClassifier
    >>> MLPClassifier(early_stopping=True, patience=3).get_params()["patience"]
    3
    """

    loss: Any = "auto"
    shuffle: bool = True
    metrics: Sequence[Any] = ()
    regularizers: Sequence[Any] = ()
    callbacks: Sequence[Any] = ()
    early_stopping: bool = False
    validation_fraction: float = 0.1
    monitor: str = "val_loss"
    patience: int = 10
    warm_start: bool = False
    verbose: int = 0


@dataclass(kw_only=True, eq=False, repr=False)
class PerceptronParameters:
    """Parameters of a multilayer perceptron."""

    hidden_sizes: int | Sequence[int] = field(default=(100,), kw_only=False)
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    alpha: float = 0.0
