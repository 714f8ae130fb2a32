"""Losses by task (OUT-18), and penalties on parameters."""

from deltarule.losses.classification import BinaryCrossEntropy, CrossEntropy, Hinge, MulticlassHinge
from deltarule.losses.loss import Loss, from_config, get, warn_if_normalized
from deltarule.losses.penalties import L1, L2, LInfinity, Penalty
from deltarule.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError, SquaredError

__all__ = [
    "L1", "L2", "BinaryCrossEntropy", "CrossEntropy", "Hinge", "Huber", "LInfinity", "Loss", "MeanAbsoluteError",
    "MeanSquaredError", "MulticlassHinge", "Penalty", "SquaredError", "from_config", "get", "warn_if_normalized",
]  # fmt: skip
