"""Networks: modules, layers, activations, initialisers, summaries.

Layers take one example or a batch (first axis); images are channels last, (N, height, width, channels).
"""

from deltarule.nn import init, save
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
from deltarule.nn.convolution import Conv1d, Conv2d, Conv3d
from deltarule.nn.linear import Linear
from deltarule.nn.module import Module
from deltarule.nn.normalisation import BatchNorm, LayerNorm
from deltarule.nn.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from deltarule.nn.regularisation import Dropout
from deltarule.nn.reshaping import Flatten
from deltarule.nn.standardize import Standardize
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
    "ELU", "GELU", "SELU", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BatchNorm", "Conv1d", "Conv2d", "Conv3d",
    "Dropout", "Flatten", "Function", "GlobalAvgPool1d", "GlobalAvgPool2d", "GlobalAvgPool3d", "Identity",
    "LayerNorm", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Module",
    "PReLU", "Parallel", "ReLU", "Sequential", "SiLU", "Sigmoid", "Sign", "Skip", "Softmax", "Softplus",
    "Standardize", "Step", "Summary", "Tanh", "add_penalty", "elu", "gelu", "init", "leaky_relu", "log_sigmoid",
    "log_softmax", "relu", "save", "selu", "sigmoid", "sign", "silu", "softmax", "softplus", "step", "tanh",
]  # fmt: skip
