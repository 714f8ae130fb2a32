"""Networks: modules, layers, activations, initialisers, summaries.

Layers take one example or a batch (first axis); images are channels last, (N, height, width, channels).
"""

from deltarule.nn import init, kernels, save
from deltarule.nn.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
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
from deltarule.nn.attention import MultiHeadAttention, scaled_dot_product_attention
from deltarule.nn.containers import Heads, Parallel, Sequential, Skip
from deltarule.nn.context import add_penalty
from deltarule.nn.convolution import Conv1d, Conv2d, Conv3d
from deltarule.nn.embedding import Embedding
from deltarule.nn.folding import affine_map, fold
from deltarule.nn.general import GeneralNetwork, P, Trace
from deltarule.nn.global_pooling import (
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
)
from deltarule.nn.grouped_normalisation import GroupNorm, InstanceNorm
from deltarule.nn.kernels import apply_kernel
from deltarule.nn.linear import Linear
from deltarule.nn.maxout import Maxout
from deltarule.nn.module import Module
from deltarule.nn.normalisation import BatchNorm, LayerNorm
from deltarule.nn.pieces import (
    Clip,
    Cubic,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Mish,
    PerNeuron,
    Softsign,
)
from deltarule.nn.pooling import (
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
from deltarule.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from deltarule.nn.regularisation import Dropout, SpatialDropout
from deltarule.nn.reshaping import Flatten
from deltarule.nn.sparse import MaskedLinear
from deltarule.nn.standardize import Standardize
from deltarule.nn.summary import Summary
from deltarule.nn.transformer import SinusoidalPositions, TransformerBlock
from deltarule.nn.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from deltarule.nn.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from deltarule.nn.upsampling import (
    PixelShuffle,
    PixelUnshuffle,
    Upsample1d,
    Upsample2d,
    Upsample3d,
)
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
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Sign",
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
    "clip",
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
    "save",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "swish",
    "tanh",
]
