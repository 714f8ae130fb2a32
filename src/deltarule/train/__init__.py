"""Training, evaluation and prediction: ``fit``, callbacks, metrics, history and checkpoints."""

from deltarule.train.fitting.fit import fit
from deltarule.train.fitting.learning_rate_range import RateRange, learning_rate_range
from deltarule.train.fitting.resume import Checkpoint
from deltarule.train.many_models.fit_many import fit_many
from deltarule.train.monitoring.averages import UseAverages
from deltarule.train.monitoring.callbacks import (
    Callback,
    EarlyStopping,
    JSONLinesLogger,
    LearningRateFactor,
    ReduceOnPlateau,
    TerminateOnNaN,
)
from deltarule.train.monitoring.history import History
from deltarule.train.monitoring.metrics import Metric
from deltarule.train.prediction.inference import evaluate, predict
from deltarule.train.protocol import ForwardResult, Trainable

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "ForwardResult",
    "History",
    "JSONLinesLogger",
    "LearningRateFactor",
    "Metric",
    "RateRange",
    "ReduceOnPlateau",
    "TerminateOnNaN",
    "Trainable",
    "UseAverages",
    "evaluate",
    "fit",
    "fit_many",
    "learning_rate_range",
    "predict",
]
