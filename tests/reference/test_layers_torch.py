"""Every layer against torch in float64: outputs, gradients of inputs and parameters, running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from contracts.test_functions import oracle
from deltarule import nn
from deltarule.nn.layers.activation import DeclaredActivation
from support.oracles import called, tnn, torch, torch_layers

TOLERANCE = 1e-10


@dataclass(frozen=True)
class Pair:
    """Our layer, torch's, the shape of a batch, and how torch's parameters are called there."""

    ours: Callable[[], nn.Module]
    torchs: Callable[[], tnn.Module] | str
    shape: tuple[int, ...]
    names: dict[str, str] | None = None
    state: dict[str, str] | None = None
    name: str = ""

    @property
    def id(self) -> str:
        return f"{type(self.ours()).__name__}{'-' + self.name if self.name else ''}"


WEIGHTS = {"weight": "weight", "bias": "bias"}
INNER = {"weight": "inner.weight", "bias": "inner.bias"}
NORM = {"scale": "weight", "shift": "bias"}
INNER_NORM = {"scale": "inner.weight", "shift": "inner.bias"}
RUNNING = {"running_mean": "running_mean", "running_variance": "running_var"}
INNER_RUNNING = {ours: f"inner.{theirs}" for ours, theirs in RUNNING.items()}
RECURRENT = {
    "input_weight": "inner.weight_ih_l0",
    "hidden_weight": "inner.weight_hh_l0",
    "input_bias": "inner.bias_ih_l0",
    "hidden_bias": "inner.bias_hh_l0",
}
NO_BIAS = {ours: theirs for ours, theirs in RECURRENT.items() if "weight" in ours}
ATTENTION = {
    "projection_weight": "in_proj_weight",
    "output_weight": "out_proj.weight",
    "projection_bias": "in_proj_bias",
    "output_bias": "out_proj.bias",
}
INNER_ATTENTION = {ours: f"inner.{theirs}" for ours, theirs in ATTENTION.items()}
BLOCK = {
    **{
        f"attention.{ours}": f"self_attn.{theirs}" for ours, theirs in ATTENTION.items()
    },
    "attention_norm.scale": "norm1.weight",
    "attention_norm.shift": "norm1.bias",
    "hidden.weight": "linear1.weight",
    "hidden.bias": "linear1.bias",
    "output.weight": "linear2.weight",
    "output.bias": "linear2.bias",
    "output_norm.scale": "norm2.weight",
    "output_norm.shift": "norm2.bias",
}
VECTORS, SIGNALS, IMAGES, VOLUMES = (5, 4), (3, 9, 2), (3, 7, 6, 4), (2, 4, 5, 3, 2)


def _torch_habits(n: int) -> nn.Module:
    return nn.BatchNorm(n, 0.1, momentum_weighs="new", running_variance_kind="unbiased")


PAIRS = [
    Pair(lambda: nn.Linear(4, 3), lambda: tnn.Linear(4, 3), VECTORS, WEIGHTS),
    Pair(
        lambda: nn.Linear(4, 3, bias=False),
        lambda: tnn.Linear(4, 3, bias=False),
        (4,),
        {"weight": "weight"},
        name="one",
    ),
    Pair(
        lambda: nn.Linear(2, 3),
        lambda: tnn.Linear(2, 3),
        SIGNALS,
        WEIGHTS,
        name="sequences",
    ),
    Pair(
        lambda: nn.Conv1d(2, 3, 3, 2, 1),
        lambda: torch_layers.Last(tnn.Conv1d(2, 3, 3, 2, 1)),
        SIGNALS,
        INNER,
    ),
    Pair(
        lambda: nn.Conv1d(2, 3, 4, padding="same"),
        lambda: torch_layers.Last(tnn.Conv1d(2, 3, 4), (1, 2)),
        SIGNALS,
        INNER,
        name="same",
    ),
    Pair(
        lambda: nn.Conv2d(4, 6, 3),
        lambda: torch_layers.Last(tnn.Conv2d(4, 6, 3)),
        IMAGES,
        INNER,
    ),
    Pair(
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
        lambda: torch_layers.Last(tnn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2)),
        IMAGES,
        INNER,
        name="strided",
    ),
    Pair(
        lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4),
        lambda: torch_layers.Last(tnn.Conv2d(4, 4, 3, padding="same", groups=4)),
        IMAGES,
        INNER,
        name="depthwise",
    ),
    Pair(
        lambda: nn.Conv3d(2, 3, 2, padding=1),
        lambda: torch_layers.Last(tnn.Conv3d(2, 3, 2, padding=1)),
        VOLUMES,
        INNER,
    ),
    Pair(
        lambda: nn.MaskedLinear([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]),
        lambda: torch_layers.Masked([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]),
        VECTORS,
        WEIGHTS,
    ),
    Pair(
        lambda: nn.Maxout(4, 3, 3), lambda: torch_layers.Maxout(4, 3, 3), VECTORS, INNER
    ),
    Pair(
        lambda: nn.ConvTranspose1d(2, 3, 3, 2, 1, 1),
        lambda: torch_layers.Last(tnn.ConvTranspose1d(2, 3, 3, 2, 1, 1)),
        SIGNALS,
        INNER,
    ),
    Pair(
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 0), (1, 2), 2),
        lambda: torch_layers.Last(
            tnn.ConvTranspose2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 0), 2, True, (1, 2))
        ),
        IMAGES,
        INNER,
        name="strided",
    ),
    Pair(
        lambda: nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False),
        lambda: torch_layers.Last(tnn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False)),
        IMAGES,
        {"weight": "inner.weight"},
    ),
    Pair(
        lambda: nn.ConvTranspose3d(2, 3, 2, 2),
        lambda: torch_layers.Last(tnn.ConvTranspose3d(2, 3, 2, 2)),
        VOLUMES,
        INNER,
    ),
    Pair(
        lambda: nn.MaxPool2d((3, 2), 2, (1, 0), ceil_mode=True),
        lambda: torch_layers.Last(tnn.MaxPool2d((3, 2), 2, (1, 0), ceil_mode=True)),
        IMAGES,
        name="ceil",
    ),
    Pair(
        lambda: nn.MaxPool1d(2, 3, 1, ceil_mode=True),
        lambda: torch_layers.Last(tnn.MaxPool1d(2, 3, 1, ceil_mode=True)),
        SIGNALS,
        name="ceil, last window left out",
    ),
    Pair(
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        lambda: torch_layers.Last(tnn.AvgPool2d(3, 2, 1, ceil_mode=True)),
        (2, 6, 8, 3),
        name="ceil",
    ),
    Pair(
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda: torch_layers.Last(
            tnn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)
        ),
        (2, 6, 8, 3),
        name="ceil, without padding",
    ),
    Pair(
        lambda: nn.AvgPool3d(2, 1, 1, count_include_pad=False),
        lambda: torch_layers.Last(tnn.AvgPool3d(2, 1, 1, count_include_pad=False)),
        VOLUMES,
        name="without padding",
    ),
    Pair(
        lambda: nn.LpPool1d(2, 3, 2),
        lambda: torch_layers.Last(tnn.LPPool1d(2, 3, 2)),
        SIGNALS,
    ),
    Pair(
        lambda: nn.LpPool2d(4, (3, 2), 1),
        lambda: torch_layers.Last(tnn.LPPool2d(4, (3, 2), 1)),
        IMAGES,
    ),
    Pair(
        nn.GlobalMaxPool1d, lambda: torch_layers.Last(torch_layers.GlobalMax()), SIGNALS
    ),
    Pair(
        nn.GlobalMaxPool2d, lambda: torch_layers.Last(torch_layers.GlobalMax()), IMAGES
    ),
    Pair(
        nn.GlobalMaxPool3d, lambda: torch_layers.Last(torch_layers.GlobalMax()), VOLUMES
    ),
    Pair(
        lambda: nn.Upsample1d(3, "linear"),
        lambda: torch_layers.Last(tnn.Upsample(scale_factor=3, mode="linear")),
        SIGNALS,
    ),
    Pair(
        lambda: nn.Upsample2d(2),
        lambda: torch_layers.Last(tnn.Upsample(scale_factor=2)),
        IMAGES,
    ),
    Pair(
        lambda: nn.Upsample2d((2, 3), "linear"),
        lambda: torch_layers.Last(tnn.Upsample(scale_factor=(2, 3), mode="bilinear")),
        IMAGES,
        name="bilinear",
    ),
    Pair(
        lambda: nn.Upsample2d(2, "linear", align_corners=True),
        lambda: torch_layers.Last(
            tnn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        ),
        IMAGES,
        name="corners",
    ),
    Pair(
        lambda: nn.Upsample3d(2, "linear"),
        lambda: torch_layers.Last(tnn.Upsample(scale_factor=2, mode="trilinear")),
        VOLUMES,
    ),
    Pair(
        lambda: nn.PixelShuffle(2),
        lambda: torch_layers.Last(tnn.PixelShuffle(2)),
        (2, 3, 5, 8),
    ),
    Pair(
        lambda: nn.PixelUnshuffle(2),
        lambda: torch_layers.Last(tnn.PixelUnshuffle(2)),
        (2, 6, 4, 3),
    ),
    Pair(
        lambda: nn.RNN(2, 3),
        lambda: torch_layers.Sequence(tnn.RNN(2, 3, batch_first=True)),
        SIGNALS,
        RECURRENT,
    ),
    Pair(
        lambda: nn.LSTM(2, 3),
        lambda: torch_layers.Sequence(tnn.LSTM(2, 3, batch_first=True)),
        SIGNALS,
        RECURRENT,
    ),
    Pair(
        lambda: nn.LSTM(2, 3, returns="last"),
        lambda: torch_layers.Sequence(tnn.LSTM(2, 3, batch_first=True), last=True),
        SIGNALS,
        RECURRENT,
        name="last",
    ),
    Pair(
        lambda: nn.GRU(2, 3),
        lambda: torch_layers.Sequence(tnn.GRU(2, 3, batch_first=True)),
        SIGNALS,
        RECURRENT,
    ),
    Pair(
        lambda: nn.GRU(2, 3, reverse=True),
        lambda: torch_layers.Sequence(tnn.GRU(2, 3, batch_first=True), reverse=True),
        SIGNALS,
        RECURRENT,
        name="reverse",
    ),
    Pair(
        lambda: nn.GRU(2, 3, bias=False),
        lambda: torch_layers.Sequence(tnn.GRU(2, 3, bias=False, batch_first=True)),
        SIGNALS,
        NO_BIAS,
        name="no bias",
    ),
    Pair(
        lambda: nn.MultiHeadAttention(4, 2),
        lambda: torch_layers.SelfAttention(4, 2),
        (3, 5, 4),
        INNER_ATTENTION,
    ),
    Pair(
        lambda: nn.MultiHeadAttention(4, 2, causal=True),
        lambda: torch_layers.SelfAttention(4, 2, causal=True),
        (3, 5, 4),
        INNER_ATTENTION,
        name="causal",
    ),
    Pair(
        lambda: nn.TransformerBlock(4, 2, 6),
        lambda: torch_layers.block(True, "gelu"),
        (3, 5, 4),
        BLOCK,
    ),
    Pair(
        lambda: nn.TransformerBlock(4, 2, 6, activation="relu", norm_first=False),
        lambda: torch_layers.block(False, "relu"),
        (3, 5, 4),
        BLOCK,
        name="norm last",
    ),
    Pair(
        lambda: nn.GroupNorm(2, 4),
        lambda: torch_layers.Last(tnn.GroupNorm(2, 4)),
        IMAGES,
        INNER_NORM,
    ),
    Pair(
        lambda: nn.InstanceNorm(4),
        lambda: torch_layers.Last(tnn.InstanceNorm2d(4)),
        IMAGES,
    ),
    Pair(
        lambda: nn.InstanceNorm(2, n_axes=1, scale_and_shift=True),
        lambda: torch_layers.Last(tnn.InstanceNorm1d(2, affine=True)),
        SIGNALS,
        INNER_NORM,
        name="affine",
    ),
    Pair(lambda: nn.MaxPool1d(2), lambda: torch_layers.Last(tnn.MaxPool1d(2)), SIGNALS),
    Pair(lambda: nn.MaxPool2d(2), lambda: torch_layers.Last(tnn.MaxPool2d(2)), IMAGES),
    Pair(
        lambda: nn.MaxPool2d(3, 2, 1),
        lambda: torch_layers.Last(tnn.MaxPool2d(3, 2, 1)),
        IMAGES,
        name="padded",
    ),
    Pair(lambda: nn.MaxPool3d(2), lambda: torch_layers.Last(tnn.MaxPool3d(2)), VOLUMES),
    Pair(
        lambda: nn.AvgPool1d(2, 1),
        lambda: torch_layers.Last(tnn.AvgPool1d(2, 1)),
        SIGNALS,
    ),
    Pair(
        lambda: nn.AvgPool2d((2, 3), (2, 1), 1),
        lambda: torch_layers.Last(tnn.AvgPool2d((2, 3), (2, 1), 1)),
        IMAGES,
    ),
    Pair(lambda: nn.AvgPool3d(2), lambda: torch_layers.Last(tnn.AvgPool3d(2)), VOLUMES),
    Pair(nn.GlobalAvgPool1d, lambda: torch_layers.Last(torch_layers.Global()), SIGNALS),
    Pair(nn.GlobalAvgPool2d, lambda: torch_layers.Last(torch_layers.Global()), IMAGES),
    Pair(nn.GlobalAvgPool3d, lambda: torch_layers.Last(torch_layers.Global()), VOLUMES),
    Pair(nn.Flatten, "tnn.Flatten", IMAGES),
    Pair(lambda: _torch_habits(4), lambda: tnn.BatchNorm1d(4), VECTORS, NORM, RUNNING),
    Pair(
        lambda: _torch_habits(4),
        lambda: torch_layers.Last(tnn.BatchNorm2d(4)),
        IMAGES,
        INNER_NORM,
        INNER_RUNNING,
        name="images",
    ),
    Pair(lambda: nn.LayerNorm(4), lambda: tnn.LayerNorm(4), VECTORS, NORM),
    Pair(
        lambda: nn.LayerNorm((7, 6, 4)),
        lambda: tnn.LayerNorm((7, 6, 4)),
        IMAGES,
        NORM,
        name="images",
    ),
    Pair(nn.Identity, "tnn.Identity", VECTORS),
    *(
        Pair(
            kind,
            lambda kind=kind: torch_layers.Function(oracle(kind.declaration)),
            VECTORS,
        )
        for kind in DeclaredActivation.layers.values()
        if not kind.declaration.attributes
    ),
    Pair(lambda: nn.LeakyReLU(0.1), lambda: tnn.LeakyReLU(0.1), VECTORS),
    Pair(nn.PReLU, "tnn.PReLU", VECTORS, {"alpha": "weight"}),
    Pair(
        lambda: nn.PReLU(4),
        lambda: torch_layers.Last(tnn.PReLU(4)),
        IMAGES,
        {"alpha": "inner.weight"},
        name="channels",
    ),
    Pair(lambda: nn.ELU(0.7), lambda: tnn.ELU(0.7), VECTORS),
    Pair(nn.GELU, "tnn.GELU", VECTORS),
    Pair(
        lambda: nn.GELU(approximate=True),
        lambda: tnn.GELU(approximate="tanh"),
        VECTORS,
        name="tanh",
    ),
    Pair(lambda: nn.Clip(0, 6), "tnn.ReLU6", VECTORS),
    Pair(nn.HardTanh, "tnn.Hardtanh", VECTORS),
    Pair(
        nn.HardSigmoid,
        lambda: torch_layers.Function(lambda x: (x / 6 + 0.5).clamp(0, 1)),
        VECTORS,
    ),
    Pair(nn.Tanh, "tnn.Tanh", VECTORS),
    Pair(nn.Softmax, lambda: tnn.Softmax(-1), VECTORS),
    Pair(lambda: nn.LogSoftmax(0), lambda: tnn.LogSoftmax(0), VECTORS),
]


def _close(ours: Any, torchs: torch.Tensor, what: str) -> None:
    np.testing.assert_allclose(
        np.asarray(ours), torchs.detach().numpy(), rtol=0, atol=TOLERANCE, err_msg=what
    )


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_forward_gradients_and_state(pair: Pair, mode: Any) -> None:
    random = np.random.default_rng(0)
    ours, theirs = (
        pair.ours().astype("float64"),
        called(pair.torchs)().double().train(mode == "training"),
    )
    entries = dict(theirs.state_dict())
    names = {**(pair.names or {}), **(pair.state or {})}
    assert set(names) == {name for name, _ in ours.named_tensors()}
    for name, item in ours.named_tensors():
        value = random.uniform(0.5, 1.5, item.shape)
        item.assign(value)
        stored = torch.tensor(value)
        if name == "weight" and stored.ndim > 2:
            stored = stored.movedim(-1, 1)
        entries[names[name]].copy_(stored)
    array = random.normal(size=pair.shape)
    x, tx = dr.tensor(array), torch.tensor(array, requires_grad=True)

    expected = theirs(tx)
    applied = ours.apply(x, mode=mode) if x.ndim > 1 else None
    output = ours(x) if applied is None else applied.output
    pull = random.normal(size=output.shape)
    wrt = [x, *(p for _, p in ours.named_parameters())]
    slopes = dr.grad((output * dr.tensor(pull)).sum(), wrt)
    _close(output.numpy(), expected, "output")
    (expected * torch.tensor(pull)).sum().backward()
    _close(slopes[0].numpy(), tx.grad, "gradient of the input")
    theirs_by_name = dict(theirs.named_parameters())
    for (name, _), slope in zip(ours.named_parameters(), slopes[1:], strict=True):
        gradient = theirs_by_name[names[name]].grad
        if name == "weight" and gradient.ndim > 2:
            gradient = gradient.movedim(1, -1)
        _close(slope.numpy(), gradient, f"gradient of {name}")

    if pair.state and applied is not None:
        changed = {name: value.numpy() for name, value in applied.state.items()}
        for name, theirs_name in pair.state.items():
            before = dict(ours.named_state())[name].numpy()
            _close(changed.get(name, before), theirs.state_dict()[theirs_name], name)


def test_dropout_scales_as_torch_does() -> None:
    x = np.random.default_rng(0).normal(size=(400, 50))
    ours = nn.Dropout(0.3)(x, mode="training", seed=1).numpy()
    theirs = tnn.Dropout(0.3)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours[ours != 0], (x / 0.7)[ours != 0], rtol=1e-14)
    np.testing.assert_allclose(theirs[theirs != 0], (x / 0.7)[theirs != 0], rtol=1e-14)
    deviation = np.sqrt(0.3 * 0.7 / x.size)
    assert abs(np.mean(ours == 0) - 0.3) < 4 * deviation


def test_a_network_trains_as_in_torch() -> None:
    """Ten steps of gradient descent on a convolutional network give torch's parameters."""
    random = np.random.default_rng(3)
    ours = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm(3, 0.1, momentum_weighs="new", running_variance_kind="unbiased"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 5),
        nn.Tanh(),
        nn.Linear(5, 2),
    ).astype("float64")
    theirs = tnn.Sequential(
        tnn.Conv2d(1, 3, 3),
        tnn.BatchNorm2d(3),
        tnn.ReLU(),
        tnn.MaxPool2d(2),
        tnn.Flatten(),
        tnn.Linear(27, 5),
        tnn.Tanh(),
        tnn.Linear(5, 2),
    ).double()
    to_first = (
        np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0).ravel()
    )  # channels-last position → channels-first
    with torch.no_grad():
        theirs[0].weight.copy_(torch.tensor(ours[0].weight.numpy()).movedim(-1, 1))
        theirs[5].weight[:, to_first] = torch.tensor(ours[5].weight.numpy())
        theirs[7].weight.copy_(torch.tensor(ours[7].weight.numpy()))
        for i in (0, 5, 7):
            theirs[i].bias.zero_()
    x, y = random.normal(size=(6, 8, 8, 1)), random.normal(size=(6, 2))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    for _ in range(10):
        optimizer.zero_grad()
        (
            (theirs(torch.tensor(x).movedim(-1, 1)) - torch.tensor(y)) ** 2
        ).mean().backward()
        optimizer.step()
        loss = ((ours(x, mode="training") - y) ** 2).mean()
        parameters = ours.parameters()
        for p, slope in zip(parameters, dr.grad(loss, parameters), strict=True):
            p.assign(p.numpy() - 0.05 * slope.numpy())
    _close(ours[0].weight.numpy(), theirs[0].weight.movedim(1, -1), "convolution")
    _close(ours[5].weight.numpy(), theirs[5].weight[:, to_first], "dense")
    _close(ours[1].running_mean.numpy(), theirs[1].running_mean, "running mean")
    _close(ours[1].running_variance.numpy(), theirs[1].running_var, "running variance")
    theirs.eval()
    _close(ours(x).numpy(), theirs(torch.tensor(x).movedim(-1, 1)), "inference")


@pytest.mark.notes("POOL-06", "C-POOL-01")
@pytest.mark.parametrize(
    ("window", "stride", "padding", "shape"),
    [
        (2, None, 0, (2, 6, 4, 3)),
        (3, 2, 1, (2, 7, 7, 2)),
        ((2, 3), (2, 2), (0, 1), (1, 6, 7, 2)),
    ],
)
def test_indices_and_unpooling(
    window: Any, stride: Any, padding: Any, shape: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    x, tx = dr.tensor(array), torch.tensor(array, requires_grad=True)
    values, indices = nn.MaxPool2d(window, stride, padding, return_indices=True)(x)
    expected, places = tnn.functional.max_pool2d(
        tx.movedim(-1, 1), window, stride, padding, return_indices=True
    )
    image = nn.MaxUnpool2d(window, stride, padding, output_size=shape[1:3])(
        values, indices
    )
    back = tnn.functional.max_unpool2d(
        expected, places, window, stride, padding, shape[1:3]
    ).movedim(1, -1)
    if (
        stride is None
    ):  # elsewhere torch adds one place's gradient once for each window that chose it
        pull = np.random.default_rng(1).normal(size=shape)
        (back * torch.tensor(pull)).sum().backward()
        _close(
            dr.grad((image * dr.tensor(pull)).sum(), [x])[0].numpy(),
            tx.grad,
            "gradient",
        )
    np.testing.assert_array_equal(indices.numpy(), places.movedim(1, -1).numpy())
    _close(values.numpy(), expected.movedim(1, -1), "values")
    _close(image.numpy(), back, "unpooled")


@pytest.mark.parametrize(
    ("window", "theirs"),
    [(1, "tf.max_pool1d"), (3, "tf.max_pool3d")],
    ids=["1d", "3d"],
)
def test_indices_over_one_and_three_axes(window: int, theirs: str) -> None:
    pool, unpool, shape = (
        (nn.MaxPool1d, nn.MaxUnpool1d, (2, 8, 3))
        if window == 1
        else (nn.MaxPool3d, nn.MaxUnpool3d, (2, 4, 6, 2, 3))
    )
    array = np.random.default_rng(0).normal(size=shape)
    values, indices = pool(2, return_indices=True)(array)
    _, places = called(theirs)(
        torch.tensor(array).movedim(-1, 1), 2, return_indices=True
    )
    np.testing.assert_array_equal(indices.numpy(), places.movedim(1, -1).numpy())
    image = unpool(2)(values, indices).numpy()
    np.testing.assert_array_equal(image[image != 0], array[image != 0])
    assert np.count_nonzero(image) == values.size


@pytest.mark.parametrize(
    "ours",
    [nn.RNNCell, nn.GRUCell, nn.LSTMCell],
    ids=["RNN", "GRU", "LSTM"],
)
@pytest.mark.notes("NN-27")
def test_recurrent_cells(ours: Any) -> None:
    random = np.random.default_rng(0)
    theirs = getattr(tnn, ours.__name__)
    cell, reference = ours(4, 3).astype("float64"), theirs(4, 3).double()
    names = {
        "input_weight": "weight_ih",
        "hidden_weight": "weight_hh",
        "input_bias": "bias_ih",
        "hidden_bias": "bias_hh",
    }
    for name, item in cell.named_parameters():
        item.assign(random.normal(size=item.shape))
        reference.state_dict()[names[name]].copy_(torch.tensor(item.numpy()))
    n_states = 2 if ours is nn.LSTMCell else 1
    arrays = [
        random.normal(size=(5, 4)),
        *(random.normal(size=(5, 3)) for _ in range(n_states)),
    ]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    inputs = [dr.tensor(a) for a in arrays]
    found, expected = (
        cell(*inputs),
        reference(tensors[0], tensors[1] if n_states == 1 else tuple(tensors[1:])),
    )
    found, expected = (found, expected) if n_states == 2 else ((found,), (expected,))
    loss, total = dr.tensor(np.zeros(())), torch.zeros(())
    for mine, other in zip(found, expected, strict=True):
        _close(mine.numpy(), other, "state")
        pull = random.normal(size=mine.shape)
        loss, total = (
            loss + (mine * dr.tensor(pull)).sum(),
            total + (other * torch.tensor(pull)).sum(),
        )
    total.backward()
    for slope, tensor in zip(dr.grad(loss, inputs), tensors, strict=True):
        _close(slope.numpy(), tensor.grad, "gradient of an input")
    slopes = dr.grad(loss, cell.parameters())
    theirs_by_name = dict(reference.named_parameters())
    for (name, _), slope in zip(cell.named_parameters(), slopes, strict=True):
        _close(slope.numpy(), theirs_by_name[names[name]].grad, f"gradient of {name}")
    alone, *_ = cell(inputs[0][0]) if n_states == 2 else (cell(inputs[0][0]),)
    _close(
        alone.numpy(),
        (reference(tensors[0][:1])[0] if n_states == 2 else reference(tensors[0][:1]))[
            0
        ],
        "start",
    )


def test_attention_to_others_and_masks() -> None:
    random = np.random.default_rng(0)
    q, k, v = (
        random.normal(size=shape)
        for shape in ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7))
    )
    mask = random.random((5, 6)) < 0.6
    mask[:, 0] = True
    found = nn.scaled_dot_product_attention(q, k, v, mask)
    tensors = [torch.tensor(a) for a in (q, k, v)]
    _close(
        found.numpy(),
        tnn.functional.scaled_dot_product_attention(*tensors, torch.tensor(mask)),
        "masked",
    )
    causal = nn.scaled_dot_product_attention(q, k, v, causal=True)
    _close(
        causal.numpy(),
        tnn.functional.scaled_dot_product_attention(*tensors, is_causal=True),
        "causal",
    )
    nowhere = nn.scaled_dot_product_attention(q, k, v, np.zeros((5, 6), bool)).numpy()
    np.testing.assert_allclose(
        nowhere, np.broadcast_to(v.mean(-2, keepdims=True), nowhere.shape), atol=1e-14
    )

    ours, theirs = (
        nn.MultiHeadAttention(4, 2).astype("float64"),
        tnn.MultiheadAttention(4, 2, batch_first=True).double(),
    )
    for name, item in ours.named_parameters():
        item.assign(random.normal(size=item.shape))
        theirs.state_dict()[ATTENTION[name]].copy_(torch.tensor(item.numpy()))
    query, key, value = (random.normal(size=(3, n, 4)) for n in (5, 6, 6))
    expected = theirs(torch.tensor(query), torch.tensor(key), torch.tensor(value))[0]
    _close(ours(query, key, value).numpy(), expected, "others")
    _close(
        ours(query, key).numpy(),
        theirs(*(torch.tensor(a) for a in (query, key, key)))[0],
        "keys are values",
    )


def test_bidirectional_and_stacked() -> None:
    array = np.random.default_rng(0).normal(size=(3, 6, 2))
    both = nn.Parallel(nn.LSTM(2, 3), nn.LSTM(2, 3, reverse=True), join="concatenate")
    ours = nn.Sequential(both, nn.LSTM(6, 4)).astype("float64")
    first, second = (
        tnn.LSTM(2, 3, bidirectional=True, batch_first=True),
        tnn.LSTM(6, 4, batch_first=True),
    )
    pairs = [
        (both.branches[0], first, ""),
        (both.branches[1], first, "_reverse"),
        (ours[1], second, ""),
    ]
    for layer, reference, suffix in pairs:
        for name, item in layer.named_parameters():
            reference.double().state_dict()[
                RECURRENT[name].removeprefix("inner.") + suffix
            ].copy_(torch.tensor(item.numpy()))
    _close(ours(array).numpy(), second(first(torch.tensor(array))[0])[0], "output")


@pytest.mark.notes("DA-07")
def test_embedding() -> None:
    ours, theirs = nn.Embedding(7, 3).astype("float64"), tnn.Embedding(7, 3).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(ours.weight.numpy()))
    words = np.array([[0, 6, 2], [2, 2, 5]])
    pull = np.random.default_rng(0).normal(size=(2, 3, 3))
    (theirs(torch.tensor(words)) * torch.tensor(pull)).sum().backward()
    output = ours(words)
    _close(output.numpy(), theirs(torch.tensor(words)), "rows")
    _close(
        dr.grad((output * dr.tensor(pull)).sum(), [ours.weight])[0].numpy(),
        theirs.weight.grad,
        "gradient",
    )
    one_hot = np.eye(7)[words]
    np.testing.assert_allclose(
        output.numpy(), one_hot @ ours.weight.numpy(), atol=1e-15
    )
