"""Every layer of nn and whole models through ONNX: onnxruntime and the model read back agree to 1e-5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import deltarule as dr
from contracts import test_layers as contracts
from deltarule import losses, nn
from deltarule.interop.onnx import export, load
from deltarule.nn import saving
from support.oracles import onnxruntime

TOLERANCE = 1e-5


class Unpooled(nn.Module):
    """Max pooling and its inverse: what unpooling needs, its indices, never leaves the model."""

    def __init__(self, axes: int) -> None:
        self.pool = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[axes](
            2, return_indices=True
        )
        self.unpool = {1: nn.MaxUnpool1d, 2: nn.MaxUnpool2d, 3: nn.MaxUnpool3d}[axes](2)

    def forward(self, x: Any) -> Any:
        return self.unpool(*self.pool(x))


class Stepped(nn.Module):
    """A cell, two steps of it: the state of the first goes into the second."""

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell

    def forward(self, x: Any) -> Any:
        state = self.cell(x)
        state = state if isinstance(state, tuple) else (state,)
        after = self.cell(x, *state)
        return after[0] if isinstance(after, tuple) else after


Case = contracts.Case
CASES = [
    *contracts.CASES,
    *(
        Case(
            lambda axes=axes: Unpooled(axes),
            (*(8, 6, 4)[:axes], 2),
            f"{axes}d",
            single=False,
        )
        for axes in (1, 2, 3)
    ),
    *(
        Case(lambda cell=cell: Stepped(cell(4, 3)), (4,), cell.__name__, single=False)
        for cell in (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
    ),
    Case(lambda: nn.Function(lambda x: dr.exp(x) / (1 + x * x)), (4,)),
    Case(
        lambda: nn.Sequential(
            nn.Embedding(9, 8),
            nn.SinusoidalPositions(8),
            nn.TransformerBlock(8, 2, 16),
            nn.TransformerBlock(8, 4, 16),
            nn.Flatten(),
            nn.Linear(48, 3),
        ),
        (6,),
        "transformer",
        single=False,
        words=9,
    ),
    Case(
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding="same"),
            nn.BatchNorm(8),
            nn.ReLU(),
            nn.Skip(
                nn.Sequential(
                    nn.Conv2d(8, 8, 3, padding=1, groups=4),
                    nn.GroupNorm(2, 8),
                    nn.SiLU(),
                )
            ),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(8, 4, 2, stride=2),
            nn.Upsample2d(2, "linear"),
            nn.PixelUnshuffle(2),
            nn.GlobalAvgPool2d(),
            nn.Linear(16, 5),
            nn.LogSoftmax(),
        ),
        (8, 8, 3),
        "residual",
        single=False,
    ),
    Case(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.PReLU(4), nn.Conv2d(4, 3, 1)
        ),
        (6, 7, 3),
        "image to image",
        single=False,
    ),
    Case(
        lambda: nn.Sequential(
            nn.LSTM(2, 6), nn.GRU(6, 5, returns="last"), nn.Linear(5, 2)
        ),
        (9, 2),
        "recurrent",
        single=False,
    ),
    Case(
        lambda: nn.Sequential(
            nn.Standardize(4),
            nn.Linear(4, 16),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Maxout(16, 8),
            nn.LayerNorm(8),
            nn.Linear(8, 1),
        ),
        (4,),
        "mlp",
        single=False,
    ),
]


def _made(case: Any) -> nn.Module:
    """The layer in float32, away from its first values."""
    layer = case.make()
    random = np.random.default_rng(1)
    for name, item in layer.named_tensors():
        positive = name.endswith(("variance", "deviation"))
        item.assign(
            random.uniform(0.5, 1.5, item.shape)
            if positive
            else random.normal(size=item.shape) * 0.5
        )
    return layer


def test_no_layer_is_left_out() -> None:
    tested = {
        type(module).__name__
        for case in CASES
        for _, module in case.make().named_modules()
    }
    assert {*saving.LAYERS} <= tested
    classes = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type)
        and issubclass(getattr(nn, name), nn.Module)
    }
    assert classes - tested <= {
        "Module",
        "Activation",
        "Residual",
        "Swish",
    }  # bases, aliases


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_round_trip(case: Any, tmp_path: Path) -> None:
    model = _made(case)
    path = export(model, tmp_path / "model.onnx", input_shape=case.shape)
    written = onnx.load(str(path))
    assert written.opset_import[0].version >= 17
    session, again = onnxruntime.InferenceSession(str(path)), load(path)
    for n in (3, 5):  # the batch size is free
        x = contracts._batch(case, n, seed=n)
        x = x if case.words else x.astype(np.float32)
        ours = model.predict(x)
        theirs = session.run(None, {"x": np.moveaxis(x, -1, 1) if x.ndim > 3 else x})[0]
        theirs = np.moveaxis(theirs, 1, -1) if theirs.ndim > 3 else theirs
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(
            ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, err_msg="onnxruntime"
        )
        np.testing.assert_allclose(
            ours, again(x).numpy(), rtol=TOLERANCE, atol=TOLERANCE, err_msg="read back"
        )


LEARNING = [case for case in CASES if case.make().named_parameters()]


@pytest.mark.parametrize("case", LEARNING, ids=lambda case: case.id)
def test_the_exported_gradient(case: Any, tmp_path: Path) -> None:
    """A file of the training graph gives the loss and ∂L/∂p of every parameter that we compute."""
    model = _made(case)
    path = export(
        model,
        tmp_path / "g.onnx",
        input_shape=case.shape,
        training=True,
        loss="mean_squared_error",
    )
    x = contracts._batch(case, 3, seed=3)
    x = x if case.words else x.astype(np.float32)
    output = model.apply(x, mode="inference").output
    y = np.random.default_rng(0).normal(size=output.shape).astype(np.float32)
    first = {
        name: np.moveaxis(array, -1, 1) if array.ndim > 3 else array
        for name, array in (("x", x), ("y", y))
    }
    loss, *slopes = onnxruntime.InferenceSession(str(path)).run(None, first)
    value = losses.MeanSquaredError()(output, y)
    assert loss == pytest.approx(value.item(), rel=1e-4)
    named = model.named_parameters()
    for (name, _), ours, theirs in zip(
        named, dr.grad(value, [p for _, p in named]), slopes, strict=True
    ):
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(
            ours.numpy(), theirs, rtol=0, atol=2e-5 * scale, err_msg=name
        )
