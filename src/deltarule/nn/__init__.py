"""Neural networks: modules, layers, activations, initialisers and summaries.

Layers take one example or a batch (first axis); images are channels last, (N, height,
width, channels).
"""

from typing import TYPE_CHECKING

from deltarule.nn import context, init, kernels, saving
from deltarule.nn.context import add_penalty
from deltarule.nn.folding import affine_map, fold
from deltarule.nn.kernels import apply_kernel
from deltarule.nn.layers.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
    BipolarStep,
    Function,
    Identity,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
    bipolar_step,
    step,
)
from deltarule.nn.layers.attention import (
    MultiHeadAttention,
    scaled_dot_product_attention,
)
from deltarule.nn.layers.containers import Heads, Parallel, Residual, Sequential, Skip
from deltarule.nn.layers.convolution import Conv1d, Conv2d, Conv3d
from deltarule.nn.layers.dropout import Dropout, SpatialDropout
from deltarule.nn.layers.embedding import Embedding
from deltarule.nn.layers.flatten import Flatten
from deltarule.nn.layers.general_network import GeneralNetwork, P, Trace
from deltarule.nn.layers.global_pooling import (
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
)
from deltarule.nn.layers.group_normalisation import GroupNorm, InstanceNorm
from deltarule.nn.layers.hard_activations import (
    Clip,
    Cubic,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Mish,
    PerNeuron,
    Softsign,
)
from deltarule.nn.layers.linear import Linear
from deltarule.nn.layers.masked_linear import MaskedLinear
from deltarule.nn.layers.maxout import Maxout
from deltarule.nn.layers.normalisation import BatchNorm, LayerNorm
from deltarule.nn.layers.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    LpPool1d,
    LpPool2d,
    LpPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from deltarule.nn.layers.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from deltarule.nn.layers.standardize import Standardize
from deltarule.nn.layers.transformer import SinusoidalPositions, TransformerBlock
from deltarule.nn.layers.transposed_convolution import (
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from deltarule.nn.layers.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from deltarule.nn.layers.upsampling import (
    PixelShuffle,
    PixelUnshuffle,
    Upsample1d,
    Upsample2d,
    Upsample3d,
)
from deltarule.nn.module.module import Module
from deltarule.nn.summary.summary import Summary
from deltarule.renamed import former_names
from deltarule.tensor.functional import (
    clip,
    cube,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    prelu,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)

Swish = SiLU
swish = silu

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "Activation",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm",
    "BipolarStep",
    "Clip",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Cubic",
    "Dropout",
    "Embedding",
    "Flatten",
    "Function",
    "GRUCell",
    "GeneralNetwork",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Heads",
    "Identity",
    "InstanceNorm",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "LpPool1d",
    "LpPool2d",
    "LpPool3d",
    "MaskedLinear",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Maxout",
    "Mish",
    "Module",
    "MultiHeadAttention",
    "P",
    "PReLU",
    "Parallel",
    "PerNeuron",
    "PixelShuffle",
    "PixelUnshuffle",
    "RNNCell",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Skip",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpatialDropout",
    "Standardize",
    "Step",
    "Summary",
    "Swish",
    "Tanh",
    "Trace",
    "TransformerBlock",
    "Upsample1d",
    "Upsample2d",
    "Upsample3d",
    "add_penalty",
    "affine_map",
    "apply_kernel",
    "bipolar_step",
    "clip",
    "context",
    "cube",
    "elu",
    "fold",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "init",
    "kernels",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "prelu",
    "relu",
    "saving",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "swish",
    "tanh",
]

if not TYPE_CHECKING:
    __getattr__ = former_names(
        __name__,
        {
            "Sign": "deltarule.nn:BipolarStep",
            "save": "deltarule.nn.saving",
            "sign": "deltarule.nn:bipolar_step",
        },
    )
