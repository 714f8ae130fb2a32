"""Neural networks: modules, layers, activations, initialisers and summaries.

Layers take one example or a batch (first axis); images are channels last, (N, height,
width, channels).
"""

from typing import TYPE_CHECKING

from deltarule.nn import context, init, kernels, saving
from deltarule.nn.context import add_penalty
from deltarule.nn.kernels import apply_kernel
from deltarule.nn.layer_fusion import affine_map, fuse_layers
from deltarule.nn.layers import activation as _activation
from deltarule.nn.layers import hard_activations as _hard_activations
from deltarule.nn.layers.activation import *  # noqa: F403  # each is listed where it is defined
from deltarule.nn.layers.attention import (
    MultiHeadAttention,
    scaled_dot_product_attention,
)
from deltarule.nn.layers.containers import Heads, Parallel, Residual, Sequential, Skip
from deltarule.nn.layers.convolution import Conv1d, Conv2d, Conv3d
from deltarule.nn.layers.dropout import Dropout, SpatialDropout
from deltarule.nn.layers.embedding import Embedding
from deltarule.nn.layers.flatten import Flatten
from deltarule.nn.layers.general_network import ForwardPass, GeneralNetwork, P
from deltarule.nn.layers.global_pooling import (
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
)
from deltarule.nn.layers.group_normalisation import GroupNorm, InstanceNorm
from deltarule.nn.layers.hard_activations import *  # noqa: F403  # each is listed where it is defined
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
from deltarule.tensor import activations as _activations
from deltarule.tensor.activations import *  # noqa: F403  # each is listed where it is defined
from deltarule.tensor.functional import tanh

Swish = _activation.SiLU
swish = _activations.silu

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Embedding",
    "Flatten",
    "ForwardPass",
    "GRUCell",
    "GeneralNetwork",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
    "GroupNorm",
    "Heads",
    "InstanceNorm",
    "LSTMCell",
    "LayerNorm",
    "Linear",
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
    "Module",
    "MultiHeadAttention",
    "P",
    "Parallel",
    "PixelShuffle",
    "PixelUnshuffle",
    "RNNCell",
    "Residual",
    "Sequential",
    "SinusoidalPositions",
    "Skip",
    "SpatialDropout",
    "Standardize",
    "Summary",
    "Swish",
    "TransformerBlock",
    "Upsample1d",
    "Upsample2d",
    "Upsample3d",
    "add_penalty",
    "affine_map",
    "apply_kernel",
    "context",
    "fuse_layers",
    "init",
    "kernels",
    "saving",
    "scaled_dot_product_attention",
    "swish",
    "tanh",
]
__all__ += _activation.__all__
__all__ += _hard_activations.__all__
__all__ += _activations.__all__

if not TYPE_CHECKING:
    __getattr__ = former_names(
        __name__,
        {
            "Sign": "deltarule.nn:BipolarStep",
            "Trace": "deltarule.nn:ForwardPass",
            "fold": "deltarule.nn:fuse_layers",
            "save": "deltarule.nn.saving",
            "sign": "deltarule.nn:bipolar_step",
        },
    )
