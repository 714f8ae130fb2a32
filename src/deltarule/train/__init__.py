"""The training loop over a pure step program, callbacks, metrics, history, checkpoints."""

from deltarule.train.averages import UseAverages
from deltarule.train.callbacks import (
    Callback,
    EarlyStopping,
    JSONLinesLogger,
    LearningRateFactor,
    ReduceOnPlateau,
    TerminateOnNaN,
)
from deltarule.train.fit import fit
from deltarule.train.history import History
from deltarule.train.inference import evaluate, predict
from deltarule.train.many import fit_many
from deltarule.train.metrics import Metric
from deltarule.train.protocol import Applied, Trainable
from deltarule.train.rate_range import RateRange, learning_rate_range
from deltarule.train.resume import Checkpoint

__all__ = [
    "Applied",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
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
