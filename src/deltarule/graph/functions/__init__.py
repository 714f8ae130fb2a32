"""The named functions: activations, losses, normalisation, pooling, gamma functions."""

from deltarule.graph.functions import activations
from deltarule.graph.functions.activations import *  # noqa: F403  # each is listed where it is declared
from deltarule.graph.functions.losses import (
    binary_cross_entropy,
    binary_cross_entropy_of_probabilities,
    cross_entropy,
    cross_entropy_of_labels,
    cross_entropy_of_probabilities,
    hinge,
    huber,
    multiclass_hinge,
    squared_error,
    weighted,
)
from deltarule.graph.functions.normalisation import euclidean_norm, normalize
from deltarule.graph.functions.pooling import average_pool, max_pool
from deltarule.graph.functions.special import digamma, lgamma, trigamma

__all__ = [
    "average_pool",
    "binary_cross_entropy",
    "binary_cross_entropy_of_probabilities",
    "cross_entropy",
    "cross_entropy_of_labels",
    "cross_entropy_of_probabilities",
    "digamma",
    "euclidean_norm",
    "hinge",
    "huber",
    "lgamma",
    "max_pool",
    "multiclass_hinge",
    "normalize",
    "squared_error",
    "trigamma",
    "weighted",
]
__all__ += activations.__all__
