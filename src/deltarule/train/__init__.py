"""The training loop over a pure step program, callbacks, metrics, history, checkpoints."""

from deltarule.train.callbacks import Callback, EarlyStopping, JSONLinesLogger, ReduceOnPlateau
from deltarule.train.fit import fit
from deltarule.train.history import History
from deltarule.train.inference import evaluate, predict
from deltarule.train.metrics import Metric
from deltarule.train.protocol import Applied, Trainable

__all__ = [
    "Applied", "Callback", "EarlyStopping", "History", "JSONLinesLogger", "Metric", "ReduceOnPlateau", "Trainable",
    "evaluate", "fit", "predict",
]  # fmt: skip
