"""Summaries: the arithmetic of the notes to the digit, receptive fields, and what is said where shapes do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError, ShapeError

Golden = Callable[[str, str], None]


def _lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Linear(120, 84),
        nn.Linear(84, 10),
        nn.Softmax(),
    )


@pytest.mark.notes("C-CNN-01", "CNN-10", "CNN-11", "CNN-12", "NN-26")
def test_the_lenet_like_table_to_the_digit(golden: Golden) -> None:
    summary = _lenet().summary(input_shape=(32, 32, 3))
    expected = [
        ((32, 32, 3), 3072, "", 0),
        ((28, 28, 8), 6272, "(5·5·3 + 1)·8", 608),
        ((14, 14, 8), 1568, "", 0),
        ((10, 10, 16), 1600, "(5·5·8 + 1)·16", 3216),
        ((5, 5, 16), 400, "", 0),
        ((400,), 400, "", 0),
        ((120,), 120, "400·120 + 120", 48120),
        ((84,), 84, "120·84 + 84", 10164),
        ((10,), 10, "84·10 + 10", 850),
        ((10,), 10, "", 0),
    ]
    found = [
        (row.output, row.activations, row.parameters_how, row.parameters)
        for row in summary.rows
    ]
    assert found == expected
    assert summary.rows[1].how == "(32 − 5 + 2·0)/1 + 1 = 28"
    assert summary.n_parameters == 62958
    assert summary.rows[1].flops == 28 * 28 * 8 * 150
    assert [row.receptive_field for row in summary.rows[1:6]] == [
        (5, 5),
        (6, 6),
        (14, 14),
        (16, 16),
        (16, 16),
    ]
    assert summary.rows[6].receptive_field == "all"
    golden("nn/summary_lenet", str(summary))


@pytest.mark.notes(
    "C-CNN-02",
    "C-CNN-03",
    "C-CNN-04",
    "C-CNN-05",
    "C-CNN-06",
    "C-CNN-07",
    "C-CNN-11",
    "CNN-13",
)
def test_shapes_and_parameters_of_the_notes() -> None:
    def row(layer: nn.Module, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        summary = layer.summary(shape)
        return summary.output_shape, summary.n_parameters

    block = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.MaxPool2d(2)).summary(
        (256, 256, 3)
    )
    assert [(r.output, r.parameters) for r in block.rows[1:]] == [
        ((256, 256, 5), 140),
        ((128, 128, 5), 0),
    ]
    assert row(nn.Conv2d(3, 16, 7), (32, 32, 3)) == ((26, 26, 16), 2368)
    assert row(nn.Conv2d(16, 32, 3), (26, 26, 16)) == ((24, 24, 32), 4640)
    assert row(nn.Conv2d(16, 32, 3, bias=False), (26, 26, 16)) == ((24, 24, 32), 4608)
    assert row(nn.Linear(3072, 500), (3072,)) == ((500,), 1536500)
    assert row(nn.Conv2d(3, 4, 4), (32, 32, 3)) == ((29, 29, 4), 196)
    assert row(nn.Conv2d(3, 1, 5), (32, 32, 3))[1] == 76
    assert row(nn.Conv2d(3, 10, 5), (32, 32, 3)) == ((28, 28, 10), 760)
    assert row(nn.Conv2d(3, 96, 11, stride=4), (227, 227, 3)) == ((55, 55, 96), 34944)
    dense, conv = nn.Linear(3072, 6272, bias=False), nn.Conv2d(3, 8, 5, bias=False)
    products = [19_267_584, 470_400]
    sums = [3071 * 6272, 74 * 6272]
    assert [dense.summary((3072,)).flops, conv.summary((32, 32, 3)).flops] == list(
        np.add(products, sums)
    )


@pytest.mark.notes(
    "C-CNN-09",
    "C-CNN-10",
    "C-POOL-02",
    "CNN-05",
    "CNN-07",
    "CNN-08",
    "CNN-16",
    "POOL-01",
    "POOL-03",
)
def test_output_sizes() -> None:
    for kernel, padding in ((1, 0), (3, 1), (5, 2), (7, 3)):
        layer = nn.Conv2d(1, 1, kernel, padding="same")
        assert layer.summary((9, 8, 1)).output_shape == (9, 8, 1)
        assert layer.window.padding == ((padding, padding),) * 2
    assert nn.Conv2d(1, 1, 3, stride=3).summary((7, 7, 1)).output_shape == (2, 2, 1)
    assert nn.Conv2d(1, 1, 3, stride=2, padding=1).summary((6, 6, 1)).output_shape == (
        3,
        3,
        1,
    )
    for size, window, stride, out in (
        (4, 2, 2, 2),
        (7, 3, 2, 3),
        (55, 3, 2, 27),
        (5, 2, 2, 2),
    ):
        assert nn.MaxPool2d(window, stride).summary((size, size, 1)).output_shape == (
            out,
            out,
            1,
        )
    uneven = nn.Conv2d(1, 1, (3, 2), (2, 1), padding="same").summary((9, 8, 1))
    assert uneven.output_shape == (5, 8, 1)
    assert uneven.rows[1].how == "(9 − 3 + 2·1)/2 + 1 = 5, (8 − 2 + 0 + 1)/1 + 1 = 8"
    spread = nn.Conv2d(1, 1, 3, dilation=2, stride=2).summary((10, 10, 1)).rows[1]
    assert spread.how == "⌊(10 − (2·(3 − 1) + 1) + 2·0)/2⌋ + 1 = 3"
    assert spread.receptive_field == (5, 5)


@pytest.mark.notes("C-CNN-12", "CNN-14")
def test_the_receptive_field_is_where_the_gradient_is_not_zero() -> None:
    stacked = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(4)))
    assert [row.receptive_field for row in stacked.summary((32, 32, 1)).rows[1:]] == [
        (3, 3),
        (5, 5),
        (7, 7),
        (9, 9),
    ]
    model = nn.Sequential(
        nn.Conv2d(1, 1, (3, 5), stride=(2, 1)),
        nn.AvgPool2d(2),
        nn.Skip(nn.Conv2d(1, 1, 3, padding=2, dilation=2)),
    )
    model.initialize(1)
    for p in model.parameters():
        p.assign(np.abs(p.numpy()) + 0.1)
    field = model.summary((40, 40, 1)).rows[-1].receptive_field
    x = dr.tensor(np.zeros((1, 40, 40, 1), np.float32))
    y = model(x)
    slope = dr.grad(y[0, y.shape[1] // 2, y.shape[2] // 2, 0], x).numpy()[0, :, :, 0]
    rows, columns = np.nonzero(slope)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == field


def test_a_shape_that_does_not_fit_ends_the_table_and_says_what_would(
    golden: Golden,
) -> None:
    summary = _lenet().summary((28, 28, 3))
    assert not summary.complete
    assert summary.fault == 'layer 6 (Linear, "5"): expected 400 features, got 256.'
    assert [row.number for row in summary.rows] == [0, 1, 2, 3, 4, 5]
    assert (
        summary.advice[-1]
        == "Inputs that would fit: 32 × 32 × 3, 33 × 33 × 3, 34 × 34 × 3 … 35."
    )
    for size in (32, 35):
        assert _lenet().summary((size, size, 3)).complete
    for size in (31, 36):
        assert not _lenet().summary((size, size, 3)).complete
    golden("nn/summary_fault", str(summary))


def test_typical_mistakes_are_named() -> None:
    def advice(model: nn.Module, shape: tuple[int, ...]) -> str:
        summary = model.summary(shape)
        assert not summary.complete
        return "\n".join([summary.fault, *summary.advice])

    assert "Channels come last: pass examples (32, 32, 3)" in advice(
        _lenet(), (3, 32, 32)
    )
    assert "Add the channel axis: examples (8, 8, 1)" in advice(
        nn.Conv2d(1, 4, 3), (8, 8)
    )
    assert "Insert nn.Flatten() before it" in advice(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(144, 2)), (8, 8, 1)
    )
    assert "expected an image of at least 2×2" in advice(
        nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2)), (4, 4, 1)
    )
    assert "at least as large as the kernel" in advice(nn.Conv2d(1, 4, 5), (4, 4, 1))
    assert "Write BatchNorm(4)" in advice(
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(3)), (3,)
    )
    assert "Write Linear(5, 4), or insert Linear(5, 3) before it" in advice(
        nn.Linear(3, 4), (5,)
    )
    assert "Pass a shortcut" in advice(nn.Skip(nn.Linear(3, 4)), (3,))
    with pytest.raises(ArgumentError, match="Leave the batch size out"):
        _lenet().summary((None, 32, 32, 3))  # type: ignore[list-item]  # what is tested


def test_an_error_names_the_layer_and_the_path() -> None:
    model = nn.Sequential(
        features=nn.Sequential(
            nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        ),
        classifier=nn.Sequential(nn.Linear(120, 84)),
    )
    with pytest.raises(ShapeError) as caught:
        model(np.zeros((2, 32, 32, 3), np.float32))
    assert str(caught.value) == (
        'layer 5 (Linear, "classifier.0"): expected 120 features, got 1568.\n'
        "  input (32,32,3) → Conv2d(3→8, 5×5) (28,28,8) → ReLU → MaxPool2d(2) (14,14,8) → Flatten 1568 "
        "✗ Linear(120→84)\n"
        "  Flatten gives 14·14·8 = 1568: write Linear(1568, 84), or insert Linear(1568, 120) before it."
    )


def test_a_long_path_is_shortened_in_the_middle() -> None:
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(20)), nn.Linear(4, 1))
    with pytest.raises(
        ShapeError,
        match=r"input 3 → Linear\(3→3\) → … → (Linear\(3→3\)( → )?){6} ✗ Linear\(4→1\)",
    ):
        model(np.zeros((2, 3), np.float32))


class Siamese(nn.Module):
    def __init__(self) -> None:
        self.encoder = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.scale = dr.parameter(np.ones(3, np.float32))

    def forward(self, x: dr.Tensor, y: dr.Tensor) -> dr.Tensor:
        return ((self.encoder(x) - self.encoder(y)) * self.scale).sum(-1)


@pytest.mark.notes("NN-11", "NN-12")
def test_shared_layers_several_inputs_and_parameters_outside_layers(
    golden: Golden,
) -> None:
    model = Siamese()
    model.freeze("encoder.0.*")
    summary = model.summary([(4,), (4,)])
    assert summary.n_parameters == 18
    assert summary.n_frozen == 15
    assert [row.shared_with for row in summary.rows if row.name == "encoder.0"] == [
        None,
        1,
    ]
    assert summary.rows[-1].parameters == 3
    assert summary.output_shape == ()
    golden("nn/summary_siamese", str(summary))


def test_a_summary_is_plain_data_and_html() -> None:
    summary = _lenet().summary((32, 32, 3))
    data = json.loads(json.dumps(summary.to_dict()))
    assert data["n_parameters"] == 62958
    assert data["rows"][1]["how"] == "(32 − 5 + 2·0)/1 + 1 = 28"
    assert data["complete"] is True
    page = summary._repr_html_()
    assert page.count("<tr>") == 1 + len(summary.rows)
    assert "Conv2d(3→8, 5×5)" in page
    assert "✗" in _lenet().summary((28, 28, 3))._repr_html_()


def test_a_global_pool_takes_any_size() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GlobalAvgPool2d(), nn.Linear(4, 2))
    for shape in ((8, 8, 1), (31, 17, 1)):
        assert model.summary(shape).output_shape == (2,)
        assert model(np.zeros(shape, np.float32)).shape == (2,)
