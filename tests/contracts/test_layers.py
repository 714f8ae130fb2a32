"""The contract of every layer: shapes as its summary writes them out, state, config, freezing, derivatives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn, optim
from deltarule.backends import reference
from deltarule.errors import DeltaruleError
from deltarule.grad.check import directional_errors
from deltarule.grad.reverse import gradients
from deltarule.graph.verify import verify
from deltarule.nn import saving
from deltarule.nn.layers import corruption
from deltarule.nn.layers.activation import DeclaredActivation
from deltarule.runtime.buffers import known_values


@dataclass(frozen=True)
class Case:
    """One way to make a layer, and the shape of one example."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    name: str = ""
    single: bool = True  # whether one example may come without a batch axis
    smooth: bool = True  # whether the derivative is one
    words: int = 0  # whole numbers below it instead of real ones

    @property
    def id(self) -> str:
        layer = self.make()
        return f"{type(layer).__name__}{'-' + self.name if self.name else ''}"


VECTOR, SIGNAL, IMAGE, VOLUME = (4,), (9, 2), (7, 6, 4), (4, 5, 3, 2)
CASES = [
    Case(lambda: nn.Linear(4, 3), VECTOR),
    Case(lambda: nn.Linear(4, 3, bias=False, init="orthogonal"), VECTOR, "no bias"),
    Case(lambda: nn.Linear(4, 3), (5, 4), "sequence", single=False),
    Case(lambda: nn.MaskedLinear([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]), VECTOR),
    Case(
        lambda: nn.MaskedLinear([[1, 1, 0, 0], [0, 0, 1, 1]], [True, False]),
        VECTOR,
        "some biases",
    ),
    Case(
        lambda: nn.MaskedLinear(np.ones((2, 4)), bias=False, init="orthogonal"),
        VECTOR,
        "all edges, no bias",
    ),
    Case(lambda: nn.P(4, 3, 2, activations=[nn.Tanh(), nn.Identity()]), VECTOR, "P"),
    Case(
        lambda: nn.GeneralNetwork(
            [4, 2, 2],
            [
                ("0.0", "1.0"),
                ("0.1", "1.0"),
                ("0.3", "1.1"),
                ("1.0", "2.1"),
                ("1.1", "2.0"),
                ("1.1", "2.1"),
            ],
            [[nn.Sigmoid(), nn.ELU(0.5)], nn.Softmax()],
            biases=["1.0", "2.1"],
        ),
        VECTOR,
        "edges",
    ),
    Case(
        lambda: nn.PerNeuron([nn.Tanh(), nn.Cubic(), nn.Cubic(), nn.Softplus()]), VECTOR
    ),
    Case(lambda: nn.Maxout(4, 3), VECTOR),
    Case(lambda: nn.Maxout(4, 2, pieces=3), (5, 4), "three pieces", single=False),
    Case(lambda: nn.Embedding(7, 3), (5,), words=7, single=False),
    Case(lambda: nn.Heads(kind=nn.Linear(4, 3), price=nn.Linear(4, 1)), VECTOR),
    Case(lambda: nn.Conv1d(2, 3, 3), SIGNAL),
    Case(
        lambda: nn.Conv1d(2, 3, 4, stride=2, padding="same", dilation=2),
        SIGNAL,
        "same, even",
    ),
    Case(lambda: nn.Conv2d(4, 6, 3), IMAGE),
    Case(
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, bias=False),
        IMAGE,
        "strided",
    ),
    Case(lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4), IMAGE, "depthwise"),
    Case(lambda: nn.Conv3d(2, 3, 2, padding=1), VOLUME),
    Case(
        lambda: nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1),
        SIGNAL,
    ),
    Case(
        lambda: nn.ConvTranspose1d(
            2, 3, 3, stride=2, padding=1, output_padding=3, dilation=4
        ),
        SIGNAL,
    ),
    Case(
        lambda: nn.ConvTranspose2d(
            4, 6, (3, 2), (2, 1), (1, 0), (1, 0), dilation=(1, 2), groups=2
        ),
        IMAGE,
        "strided",
    ),
    Case(lambda: nn.ConvTranspose2d(4, 3, 3, bias=False), IMAGE, "no bias"),
    Case(lambda: nn.ConvTranspose3d(2, 3, 2, stride=2), VOLUME),
    Case(lambda: nn.MaxPool1d(2), SIGNAL),
    Case(lambda: nn.MaxPool2d((3, 2), 2, (1, 0), ceil_mode=True), IMAGE, "ceil"),
    Case(lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (6, 6, 4), "ceil"),
    Case(
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE, "without padding"
    ),
    Case(lambda: nn.LpPool1d(1, 2), SIGNAL),
    Case(lambda: nn.LpPool2d(3, 2), IMAGE),
    Case(lambda: nn.LpPool3d(2.5, 2, ceil_mode=True), VOLUME),
    Case(nn.GlobalMaxPool1d, SIGNAL),
    Case(nn.GlobalMaxPool2d, IMAGE),
    Case(nn.GlobalMaxPool3d, VOLUME),
    Case(lambda: nn.Upsample1d(3, "linear"), SIGNAL),
    Case(lambda: nn.Upsample2d((2, 3)), IMAGE),
    Case(lambda: nn.Upsample2d(2, "linear", align_corners=True), IMAGE, "linear"),
    Case(lambda: nn.Upsample3d(2), VOLUME),
    Case(lambda: nn.PixelShuffle(2), IMAGE),
    Case(lambda: nn.PixelUnshuffle(2), (4, 6, 3)),
    Case(lambda: nn.MaxPool2d(2), IMAGE),
    Case(lambda: nn.MaxPool2d(3, 2, 1), IMAGE, "overlapping"),
    Case(lambda: nn.MaxPool3d(2), VOLUME),
    Case(lambda: nn.AvgPool1d(2, 1), SIGNAL),
    Case(lambda: nn.AvgPool2d((2, 3), (2, 1), 1), IMAGE),
    Case(lambda: nn.AvgPool3d(2), VOLUME),
    Case(nn.GlobalAvgPool1d, SIGNAL),
    Case(nn.GlobalAvgPool2d, IMAGE),
    Case(nn.GlobalAvgPool3d, VOLUME),
    Case(nn.Flatten, IMAGE, single=False),
    Case(lambda: nn.Dropout(0.4), VECTOR),
    Case(
        lambda: nn.Dropout(keep_probability=0.7, scale_in="inference"),
        VECTOR,
        "standard",
    ),
    Case(lambda: nn.SpatialDropout(0.4), IMAGE),
    Case(lambda: corruption.GaussianCorruption(0.3), VECTOR),
    Case(lambda: corruption.MaskingCorruption(0.4), VECTOR),
    Case(lambda: corruption.SaltAndPepper(0.4, -1.0), VECTOR),
    Case(lambda: nn.GroupNorm(2, 4), IMAGE),
    Case(lambda: nn.GroupNorm(1, 2, n_axes=1, scale_and_shift=False), SIGNAL, "signal"),
    Case(lambda: nn.InstanceNorm(4), IMAGE),
    Case(lambda: nn.InstanceNorm(2, n_axes=3, scale_and_shift=True), VOLUME, "volume"),
    Case(lambda: nn.RNN(2, 3), SIGNAL),
    Case(lambda: nn.LSTM(2, 3, returns="last"), (4, 2)),
    Case(lambda: nn.GRU(2, 3, reverse=True), (4, 2)),
    Case(lambda: nn.GRU(2, 2, bias=False), (3, 2), "no bias"),
    Case(lambda: nn.MultiHeadAttention(4, 2), (5, 4)),
    Case(
        lambda: nn.MultiHeadAttention(4, 1, bias=False, causal=True), (5, 4), "causal"
    ),
    Case(lambda: nn.TransformerBlock(4, 2, 6), (5, 4)),
    Case(
        lambda: nn.TransformerBlock(
            4, 2, 6, activation="relu", norm_first=False, drop_probability=0.2
        ),
        (5, 4),
        "dropout",
        single=False,
    ),
    Case(lambda: nn.SinusoidalPositions(4), (5, 4)),
    Case(lambda: nn.BatchNorm(4), VECTOR, single=False),
    Case(
        lambda: nn.BatchNorm(
            4, 0.2, momentum_weighs="new", running_variance_kind="unbiased"
        ),
        IMAGE,
        "images",
        single=False,
    ),
    Case(lambda: nn.BatchNorm(4, scale_and_shift=False), VECTOR, "plain", single=False),
    Case(lambda: nn.LayerNorm(4), VECTOR),
    Case(lambda: nn.LayerNorm((7, 6, 4)), IMAGE, "images"),
    Case(nn.Identity, VECTOR),
    Case(nn.Step, VECTOR, smooth=False),
    Case(nn.BipolarStep, VECTOR, smooth=False),
    *(
        Case(kind, VECTOR)
        for kind in DeclaredActivation.layers.values()
        if not kind.declaration.attributes
    ),
    Case(lambda: nn.LeakyReLU(0.1), VECTOR),
    Case(nn.PReLU, VECTOR),
    Case(lambda: nn.PReLU(4, 0.1), IMAGE, "channels"),
    Case(lambda: nn.ELU(0.7), VECTOR),
    Case(nn.GELU, VECTOR),
    Case(lambda: nn.GELU(approximate=True), VECTOR, "tanh"),
    Case(nn.Clip, VECTOR),
    Case(lambda: nn.HardTanh(-0.5, 2), VECTOR),
    Case(lambda: nn.HardSigmoid(0.2), VECTOR),
    Case(nn.Tanh, VECTOR),
    Case(nn.Softmax, VECTOR),
    Case(nn.LogSoftmax, VECTOR),
    Case(lambda: nn.Standardize(4), VECTOR),
    Case(lambda: nn.Skip(nn.Linear(4, 4)), VECTOR),
    Case(
        lambda: nn.Skip(nn.Linear(4, 3), nn.Linear(4, 3, bias=False)),
        VECTOR,
        "shortcut",
    ),
    Case(lambda: nn.Parallel(nn.Linear(4, 2), nn.Tanh(), join="concatenate"), VECTOR),
    Case(lambda: nn.Parallel(nn.Linear(4, 2), nn.Linear(4, 2)), VECTOR, "add"),
    Case(
        lambda: nn.Sequential(
            nn.Conv2d(4, 3, 3),
            nn.BatchNorm(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(12, 2),
        ),
        IMAGE,
        single=False,
    ),
]
every_layer = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def _batch(case: Case, n: int = 3, seed: int = 0) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(seed)
    if case.words:
        return random.integers(case.words, size=(n, *case.shape))
    return random.normal(size=(n, *case.shape))


def _made(case: Case) -> nn.Module:
    """A layer in float64, away from its first values."""
    layer = case.make().astype("float64")
    random = np.random.default_rng(1)
    for name, item in layer.named_tensors():
        positive = name.endswith(("variance", "deviation"))
        item.assign(
            random.uniform(0.5, 1.5, item.shape)
            if positive
            else random.normal(size=item.shape)
        )
    return layer


def _evaluated(text: str) -> int:
    """The value of arithmetic as a summary writes it."""
    plain = (
        text.replace("·", "*")
        .replace("−", "-")
        .replace("⌊", "(")
        .replace("⌋", ")")
        .replace("/", "//")
    )
    return int(eval(plain))


SEVERAL_INPUTS_OR_OUTPUTS = {
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
}


def test_every_layer_that_can_be_saved_has_a_case() -> None:
    """Cells and unpooling, which take several tensors, are compared with torch in tests/reference."""
    tested = {
        type(module).__name__
        for case in CASES
        for _, module in case.make().named_modules()
    }
    assert {*saving.LAYERS} - tested == SEVERAL_INPUTS_OR_OUTPUTS


@pytest.mark.parametrize("name", sorted(SEVERAL_INPUTS_OR_OUTPUTS))
def test_layers_of_several_inputs_are_built_from_their_config(name: str) -> None:
    layer = saving.LAYERS[name](
        **(
            {"kernel_size": 2}
            if "Unpool" in name
            else {"input_size": 3, "hidden_size": 2}
        )
    )
    config = layer.config()
    assert config is not None
    assert saving.build(config).config() == config
    assert repr(saving.build(config)) == repr(layer)


@every_layer
def test_shape_is_that_of_the_summary_and_its_arithmetic(case: Case) -> None:
    layer = _made(case)
    summary = layer.summary(case.shape)
    assert summary.complete, summary.fault
    assert layer(_batch(case)).shape == (3, *summary.output_shape)
    for row in summary.rows:
        for part in row.how.split(", ") if " = " in row.how else []:
            left, _, right = part.partition(" = ")
            assert _evaluated(left) == int(right)
            assert int(right) in row.output
        if row.parameters_how:
            assert _evaluated(row.parameters_how) == row.parameters
    assert summary.n_parameters == sum(
        p.size for p in layer.parameters(include_frozen=True)
    )
    assert sum(row.parameters for row in summary.rows) == summary.n_parameters
    assert re.search(r"\d+ parameters?", str(summary))


@every_layer
def test_one_example_is_a_row_of_the_batch(case: Case) -> None:
    layer, x = _made(case), _batch(case)
    if not case.single:
        return
    whole = layer(x).numpy()
    for i in range(len(x)):
        np.testing.assert_allclose(layer(x[i]).numpy(), whole[i], rtol=0, atol=1e-13)


@every_layer
def test_state_dict_round_trip(case: Case) -> None:
    layer, twin, x = _made(case), case.make().astype("float64"), _batch(case)
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin(x).numpy(), layer(x).numpy())
    if layer.state_dict():
        with pytest.raises(DeltaruleError, match="missing"):
            twin.load_state_dict({})


@every_layer
def test_config_round_trip(case: Case) -> None:
    layer, x = _made(case), _batch(case)
    config = layer.config()
    assert config is not None
    twin = saving.build(config)
    assert twin.config() == config
    assert [(n, p.shape) for n, p in twin.named_tensors()] == [
        (n, p.shape) for n, p in layer.named_tensors()
    ]
    assert repr(twin) == repr(layer)
    twin.astype("float64").load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin(x).numpy(), layer(x).numpy())


@every_layer
def test_freezing(case: Case) -> None:
    layer = _made(case)
    names = [name for name, _ in layer.named_parameters()]
    layer.freeze()
    assert layer.named_parameters() == []
    assert [name for name, _ in layer.named_parameters(include_frozen=True)] == names
    layer.unfreeze()
    assert [name for name, _ in layer.named_parameters()] == names
    if names:
        layer.freeze(names[0])
        assert [name for name, _ in layer.named_parameters()] == names[1:]


@every_layer
def test_parameters_have_the_element_type_of_the_network(case: Case) -> None:
    assert {p.dtype.name for p in case.make().parameters()} <= {"float32"}
    assert {p.dtype.name for p in case.make().astype("float64").parameters()} <= {
        "float64"
    }


@every_layer
def test_first_values_depend_on_the_seed_alone(case: Case) -> None:
    first, again, other = case.make(), case.make(), case.make()
    for module in (first, again):
        module.initialize(seed=3)
    other.initialize(seed=4)
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(value, again.state_dict()[name])
        drawn = name.endswith("weight")
        assert drawn != np.array_equal(value, other.state_dict()[name])


@every_layer
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_gradients_reach_every_parameter_and_check_to_second_order(
    case: Case, mode: Any
) -> None:
    layer = _made(case)
    x = dr.tensor(_batch(case), name="x")
    output = layer.apply(x, mode=mode, seed=5, step=2).output
    weights = dr.tensor(np.random.default_rng(2).normal(size=output.shape))
    loss = (output * output * weights + output * weights).sum()
    parameters = [p for _, p in layer.named_parameters()]
    for (name, p), slope in zip(
        layer.named_parameters(), dr.grad(loss, parameters), strict=True
    ):
        assert slope.shape == p.shape
        assert np.any(slope.numpy() != 0), f"no gradient reaches {name}"
    verify(
        [
            loss.node,
            *gradients(
                loss.node,
                [*([] if case.words else [x.node]), *(p.node for p in parameters)],
            ),
        ]
    )
    random = np.random.default_rng(4)
    values = known_values([loss.node])
    variables = [*([] if case.words else [x.node]), *(p.node for p in parameters)]
    errors = directional_errors(
        loss.node,
        variables,
        values,
        reference.evaluate,
        lambda node: random.normal(size=node.shape),
    )
    assert len(errors) == 2 * len(variables)
    for found in errors:
        assert found.error < 2e-6, found
    if case.smooth:
        assert any(found.analytic != 0 for found in errors)


@every_layer
def test_training_differs_from_inference_only_where_it_should(case: Case) -> None:
    layer, x = _made(case), dr.tensor(_batch(case))
    inference = layer.apply(x, mode="inference")
    training = layer.apply(x, mode="training", seed=1, step=0)
    modules = [type(module) for _, module in layer.named_modules()]
    corrupting = {
        corruption.GaussianCorruption,
        corruption.MaskingCorruption,
        corruption.SaltAndPepper,
    }
    differs = bool(
        {nn.Dropout, nn.SpatialDropout, nn.BatchNorm, *corrupting} & set(modules)
    )
    assert differs != np.array_equal(inference.output.numpy(), training.output.numpy())
    assert inference.state == {}
    assert (nn.BatchNorm in modules) == bool(training.state)
    assert {name for name, _ in layer.named_state()} >= set(training.state)


@every_layer
def test_the_native_engine_computes_what_the_reference_does(case: Case) -> None:
    """Two epochs of Adam give the same parameters and state; layers without parameters the same output."""
    layer, twin, x = _made(case), _made(case), _batch(case)
    y = np.random.default_rng(1).normal(size=(len(x), *layer(x).shape[1:]))
    if not layer.named_parameters():
        native = dr.jit(lambda a: layer(a))(dr.tensor(x))
        np.testing.assert_allclose(native.numpy(), layer(x).numpy(), rtol=0, atol=1e-10)
        return
    for module, device in ((layer, "cpu"), (twin, "reference")):
        nn.Sequential(module, nn.Flatten()).fit(
            x,
            y.reshape(len(y), -1),
            loss="mean_squared_error",
            optimizer=optim.Adam(learning_rate=0.01),
            epochs=2,
            batch_size=3,
            verbose=0,
            device=device,
        )
    for (name, mine), (_, theirs) in zip(
        layer.named_tensors(), twin.named_tensors(), strict=True
    ):
        np.testing.assert_allclose(
            mine.numpy(), theirs.numpy(), rtol=0, atol=1e-8, err_msg=name
        )


@every_layer
def test_repeats_to_the_bit(case: Case) -> None:
    layer, x = _made(case), dr.tensor(_batch(case))
    one, two = (
        layer.apply(x, mode="training", seed=1, step=7).output.numpy() for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
