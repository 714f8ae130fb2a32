"""Loss functions for classification, regression and embeddings, and penalties on parameters."""

from deltarule.losses.cross_entropy import (
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Focal,
    NegativeLogLikelihood,
)
from deltarule.losses.likelihood import (
    GaussianNLL,
    KLDivergence,
    PoissonNLL,
    gaussian_nll,
)
from deltarule.losses.loss import Loss, from_config, get, warn_if_normalized
from deltarule.losses.margins import Hinge, MulticlassHinge
from deltarule.losses.penalties import (
    L1,
    L2,
    LInfinity,
    Parameters,
    Penalty,
    Sparsity,
    Tied,
    sparsity,
)
from deltarule.losses.regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Quantile,
    SquaredError,
)
from deltarule.losses.similarity import Contrastive, Cosine, Triplet, cosine
from deltarule.losses.tasks import Head, Multitask, head_for

__all__ = [
    "L1",
    "L2",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "Contrastive",
    "Cosine",
    "CrossEntropy",
    "Focal",
    "GaussianNLL",
    "Head",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LInfinity",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MulticlassHinge",
    "Multitask",
    "NegativeLogLikelihood",
    "Parameters",
    "Penalty",
    "PoissonNLL",
    "Quantile",
    "Sparsity",
    "SquaredError",
    "Tied",
    "Triplet",
    "cosine",
    "from_config",
    "gaussian_nll",
    "get",
    "head_for",
    "sparsity",
    "warn_if_normalized",
]
