"""The training loop over a pure step program, callbacks, metrics, history, checkpoints."""

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
from deltarule.train.resume import Checkpoint

__all__ = [
    "Applied", "Callback", "Checkpoint", "EarlyStopping", "History", "JSONLinesLogger", "LearningRateFactor", "Metric",
    "ReduceOnPlateau", "TerminateOnNaN", "Trainable", "evaluate", "fit", "fit_many", "predict",
]  # fmt: skip
