"""The named functions, by chapter: activations, losses, normalisation, pooling, norms."""

from deltarule.graph.functions.activations import (
    clip,
    cube,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    log_cosh,
    log_sigmoid,
    log_softmax,
    logsumexp,
    mish,
    prelu,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
)
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
    "average_pool", "binary_cross_entropy", "binary_cross_entropy_of_probabilities", "clip", "cross_entropy",
    "cross_entropy_of_labels", "cross_entropy_of_probabilities", "cube", "digamma", "elu", "euclidean_norm",
    "gelu", "hard_sigmoid", "hard_swish", "hinge", "huber", "leaky_relu", "lgamma", "log_cosh", "log_sigmoid",
    "log_softmax", "logsumexp", "max_pool", "mish", "multiclass_hinge", "normalize", "prelu", "relu", "selu",
    "sigmoid", "silu", "softmax", "softplus", "softsign", "squared_error", "trigamma",
    "weighted",
]  # fmt: skip
