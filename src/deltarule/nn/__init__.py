"""Networks: modules, layers, activations, initialisers, summaries.

Layers take one example or a batch (first axis); images are channels last, (N, height, width, channels).
"""

from deltarule.nn import init
from deltarule.nn.activation import (
    ELU,
    GELU,
    SELU,
    Function,
    Identity,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    Sign,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    sign,
    step,
)
from deltarule.nn.containers import Parallel, Sequential, Skip
from deltarule.nn.context import add_penalty
from deltarule.nn.linear import Linear
from deltarule.nn.module import Module
from deltarule.nn.summary import Summary
from deltarule.tensor.functional import (
    elu,
    gelu,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)

__all__ = [
    "ELU", "GELU", "SELU", "Function", "Identity", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "Module",
    "PReLU", "Parallel", "ReLU", "Sequential", "SiLU", "Sigmoid", "Sign", "Skip", "Softmax", "Softplus", "Step",
    "Summary", "Tanh", "add_penalty", "elu", "gelu", "init", "leaky_relu", "log_sigmoid", "log_softmax", "relu",
    "selu", "sigmoid", "sign", "silu", "softmax", "softplus", "step", "tanh",
]  # fmt: skip
