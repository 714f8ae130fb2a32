"""What losses refuse and warn about before a step is run, and how they treat further axes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DTypeError,
    ShapeError,
)
from deltarule.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    MeanSquaredError,
    warn_if_normalized,
)
from deltarule.tensor.functional import log_softmax, sigmoid, softmax


def test_a_column_against_a_vector_is_refused_both_ways() -> None:
    with pytest.raises(
        ShapeError, match=r"\(8, 1\), got \(8,?\)\.\n  Write y\[:, None\]"
    ):
        MeanSquaredError()(np.zeros((8, 1)), np.zeros(8))
    with pytest.raises(ShapeError, match=r"Write y\[:, 0\].*broadcast to a matrix"):
        MeanSquaredError()(np.zeros(8), np.zeros((8, 1)))


def test_labels_need_their_own_shape_and_type() -> None:
    with pytest.raises(
        ShapeError,
        match=r"one label for each row of scores \(4, 3\), got \(4, 1\).*\n.*y\[:, 0\]",
    ):
        CrossEntropy()(np.zeros((4, 3)), np.zeros((4, 1), int))
    with pytest.raises(
        DTypeError, match=r"whole-number labels.*float64 targets.*\n.*astype\('int64'\)"
    ):
        CrossEntropy()(np.zeros((4, 3)), np.zeros(4))
    with pytest.raises(ShapeError, match="BinaryCrossEntropy"):
        CrossEntropy()(np.zeros(4), np.zeros(4, int))
    with pytest.raises(ShapeError, match="For labels of classes use CrossEntropy"):
        MeanSquaredError()(np.zeros((4, 3)), np.zeros(4, int))


def test_labels_outside_the_classes_are_named() -> None:
    with pytest.raises(
        DataError, match=r"CrossEntropy targets: expected labels 0 … 2, got 3 in row 1"
    ):
        CrossEntropy()(np.zeros((2, 3)), [0, 3])
    with pytest.raises(DataError, match=r"got -1 in row 0"):
        losses.MulticlassHinge()(np.zeros((2, 3)), [-1, 0])
    with pytest.raises(
        DataError, match=r"rows that sum to 1, got 2.0 in row 1.*\n.*BinaryCrossEntropy"
    ):
        CrossEntropy()(np.zeros((2, 3)), np.array([[1.0, 0, 0], [1, 1, 0]]))
    with pytest.raises(DataError, match=r"\[0, 1\], got 2.0 in row 0, position 1"):
        BinaryCrossEntropy()(np.zeros((1, 2)), [[0.0, 2.0]])
    with pytest.raises(
        DataError, match=r"labels -1 and 1, got 0.0 in row 1.*\n.*2 \* y - 1"
    ):
        losses.Hinge()(np.zeros(2), [1.0, 0.0])


def test_symbols_are_checked_by_shape_alone() -> None:
    z, y = dr.symbol("z", ("N", 3)), dr.symbol("y", ("N",), "int64")
    with pytest.raises(ShapeError):
        CrossEntropy()(dr.symbol("z", (5, 3)), dr.symbol("y", (4,), "int64"))
    loss = CrossEntropy(reduction="none")
    loss.check((5, 3), (5,), dr.tensor([1]).dtype)
    assert z.shape[1] == 3 and y.ndim == 1


@pytest.mark.parametrize(
    ("loss", "prediction", "warns"),
    [
        (CrossEntropy(), softmax, True),
        (CrossEntropy(), sigmoid, True),
        (CrossEntropy(), lambda z: softmax(z).reshape(2, 3), True),
        (CrossEntropy(), log_softmax, False),
        (CrossEntropy(), lambda z: z * 2, False),
        (CrossEntropy(), lambda z: softmax(z) @ np.eye(3), False),
        (CrossEntropy(from_logits=False), softmax, False),
        (BinaryCrossEntropy(), sigmoid, True),
        (BinaryCrossEntropy(), lambda z: sigmoid(z)[:, 0], True),
        (BinaryCrossEntropy(from_logits=False), sigmoid, False),
        (MeanSquaredError(), sigmoid, False),
        (losses.Focal(), softmax, True),
        (losses.NegativeLogLikelihood(), log_softmax, False),
        (losses.KLDivergence(), softmax, True),
        (losses.KLDivergence(from_logits=False), log_softmax, False),
    ],
)
def test_probabilities_where_logits_are_expected(
    loss: Loss, prediction: Any, warns: bool
) -> None:
    output = prediction(dr.symbol("z", (2, 3)))
    if warns:
        with pytest.warns(DataWarning, match="expects logits, but the model ends in s"):
            warn_if_normalized(loss, output)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_if_normalized(loss, output)


def test_further_axes_are_averaged_within_an_example() -> None:
    generator = np.random.default_rng(0)
    z, y = generator.normal(size=(4, 5, 3)), generator.integers(0, 3, size=(4, 5))
    flat = CrossEntropy(reduction="none")(z.reshape(20, 3), y.reshape(20)).numpy()
    each = CrossEntropy(reduction="none")(z, y)
    np.testing.assert_allclose(
        each.numpy(), flat.reshape(4, 5).mean(axis=1), rtol=1e-12
    )
    image = generator.normal(size=(4, 3, 3, 2))
    squared = losses.SquaredError(reduction="none")(image, np.zeros_like(image)).numpy()
    np.testing.assert_allclose(squared, (image**2).sum(axis=(1, 2, 3)), rtol=1e-12)


def test_one_example_without_a_batch() -> None:
    z, y = np.array([1.0, 2.0, 0.5]), np.array([0.0, 1.0, 0.0])
    wanted = -np.log(np.exp(z) / np.exp(z).sum())[1]
    assert CrossEntropy()(z, y).item() == pytest.approx(wanted)
    assert CrossEntropy()(z, np.int64(1)).item() == pytest.approx(wanted)


def test_whole_number_predictions_and_targets_are_numbers() -> None:
    assert MeanSquaredError()([1, 3], [0, 1]).item() == 2.5
    assert MeanSquaredError()([1.0, 3.0], [0, 1]).item() == 2.5


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (CrossEntropy, {"reduction": "average"}, "reduction"),
    (CrossEntropy, {"label_smoothing": 1.0}, "label_smoothing"),
    (CrossEntropy, {"smoothing_convention": "k"}, "smoothing_convention"),
    (CrossEntropy, {"class_weight": (1.0, -1.0)}, "class_weight"),
    (BinaryCrossEntropy, {"positive_weight": -1.0}, "positive_weight"),
    (BinaryCrossEntropy, {"negative_weight": float("inf")}, "negative_weight"),
    (losses.Focal, {"gamma": -1.0}, "gamma"),
    (losses.BinaryFocal, {"balance": 2.0}, "balance"),
    (losses.MulticlassHinge, {"margin": 0.0}, "margin"),
    (losses.Huber, {"delta": 0.0}, "delta"),
    (losses.SquaredError, {"scale": 0.0}, "scale"),
    (losses.Quantile, {"quantile": 1.0}, "quantile"),
    (losses.GaussianNLL, {"spread": "half"}, "spread"),
    (losses.GaussianNLL, {"covariance": ((1.0, 2.0), (2.0, 1.0))}, "covariance"),
    (losses.GaussianNLL, {"covariance": ((1.0,),), "spread": "full"}, "covariance"),
    (losses.PoissonNLL, {"epsilon": 0.0}, "epsilon"),
    (losses.Cosine, {"form": "angle"}, "form"),
    (losses.Cosine, {"margin": 2.0}, "margin"),
    (losses.Contrastive, {"margin": -1.0}, "margin"),
    (losses.Triplet, {"margin": 0.0}, "margin"),
    (losses.Multitask, {}, "losses"),
    (
        losses.Multitask,
        {"losses": (MeanSquaredError(),), "outputs": (1, 2), "targets": (1,)},
        "outputs",
    ),
    (losses.L2, {"strength": -1.0}, "strength"),
    (losses.L1, {"strength": float("nan")}, "strength"),
]


@pytest.mark.parametrize(
    ("kind", "arguments", "field"), WRONG, ids=lambda v: str(v)[-40:]
)
def test_wrong_arguments_are_refused_by_name(
    kind: Any, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ArgumentError, match=f"{kind.__name__} {field}: expected"):
        kind(**arguments)


def test_class_weights_must_fit_the_classes() -> None:
    with pytest.raises(ShapeError, match="class_weight"):
        CrossEntropy(class_weight=(1.0, 2.0))(np.zeros((2, 3)), [0, 1])
    assert CrossEntropy(class_weight=np.array([1.0, 2.0])).config()["class_weight"] == (
        1.0,
        2.0,
    )  # type: ignore[arg-type]  # arrays are taken


def test_get_knows_every_loss_by_name() -> None:
    names = (
        "cross_entropy binary_cross_entropy mean_squared_error mean_absolute_error squared_error huber hinge "
        "multiclass_hinge negative_log_likelihood focal binary_focal log_cosh quantile gaussian_nll poisson_nll "
        "kl_divergence cosine contrastive triplet"
    )
    for name in names.split():
        assert losses.get(name).name == name
    with pytest.raises(ArgumentError, match="mean_squared_error"):
        losses.get("mse?")


def test_multitask_refuses_what_does_not_fit() -> None:
    loss = losses.Multitask(
        losses=(CrossEntropy(), MeanSquaredError()), outputs=(3, 2), targets=(1, 2)
    )
    with pytest.raises(ShapeError, match=r"outputs \(4, 5\) and targets \(4, 3\)"):
        loss(np.zeros((4, 5)), np.zeros((4, 4)))
    with pytest.raises(DataError, match="labels 0 … 2"):
        loss(np.zeros((1, 5)), np.array([[3.0, 0, 0]]))
    z = dr.tensor(np.array([[1.0, 2.0, 0.0, 5.0, 6.0]]))
    np.testing.assert_allclose(loss.predict(z).numpy()[0, 3:], (5.0, 6.0))
    assert loss.predict(z).numpy()[0, :3].sum() == pytest.approx(1.0)


def test_gaussian_outputs_must_hold_their_spread() -> None:
    with pytest.raises(ShapeError, match=r"outputs \(N, 2k\)"):
        losses.GaussianNLL(spread="diagonal")(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="covariance"):
        losses.GaussianNLL(covariance=((1.0,),))(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="covariance"):
        losses.gaussian_nll(dr.zeros((4, 2)), dr.zeros((4, 2)), dr.eye(3))
    full = np.arange(12.0).reshape(1, 12)
    np.testing.assert_array_equal(
        losses.GaussianNLL(spread="full").predict(dr.tensor(full)).numpy(), [[0, 1, 2]]
    )
    assert losses.GaussianNLL(spread="diagonal").predict(dr.tensor(full)).shape == (
        1,
        6,
    )


def test_penalties_name_what_they_do_not_find() -> None:
    named = [
        ("0.weight", dr.parameter(np.ones((2, 2)))),
        ("0.bias", dr.parameter(np.ones(2))),
    ]
    with pytest.raises(
        ArgumentError, match=r"matches one of 0.weight, 0.bias, got 'wieght'"
    ):
        losses.L2(strength=1.0, pattern="wieght")(named)
    with pytest.raises(ArgumentError, match="LInfinity pattern"):
        losses.LInfinity(strength=1.0, pattern="*bias")(named)
    with pytest.raises(ArgumentError, match=r"'1\.weight'"):
        losses.Tied(strength=1.0, first="0.weight", second="1.weight")(named)
    with pytest.raises(ShapeError, match=r"0\.bias"):
        losses.Tied(strength=1.0, first="0.weight", second="0.bias")(named)
    with pytest.raises(ShapeError, match=r"L2 center of 0\.weight"):
        losses.L2(strength=1.0, center={"0.weight": np.ones(2)})(named)
    with pytest.raises(ArgumentError, match="L2 center"):
        losses.L2(strength=1.0, center={"0.bias": np.ones(2)})(named)
    assert losses.L2(strength=1.0, pattern="*")(named).item() == 6.0


def test_rows_of_a_kernel_are_its_output_channels() -> None:
    kernel = np.arange(-6.0, 6.0).reshape(2, 2, 3, 1)
    value = losses.LInfinity(strength=1.0)([("weight", dr.parameter(kernel))]).item()
    assert value == max(np.abs(kernel[0]).sum(), np.abs(kernel[1]).sum())


@pytest.mark.parametrize(
    ("given", "meant"),
    [("mse", "mean_squared_error"), ("crossentropy", "cross_entropy")],
)
def test_a_name_that_is_nearly_right_is_guessed(given: str, meant: str) -> None:
    with pytest.raises(ArgumentError, match=f"Did you mean '{meant}'"):
        losses.get(given)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_logit_of_minus_infinity_is_a_class_that_cannot_be(device: str) -> None:
    logits = np.array([[0.0, -np.inf, 0.0]])
    loss = dr.jit(lambda z, y: CrossEntropy()(z, y), device=device)
    assert loss(logits, np.array([0])).item() == pytest.approx(np.log(2))
    assert loss(logits, np.array([[0.5, 0.0, 0.5]])).item() == pytest.approx(np.log(2))


def test_small_types_of_labels_reach_every_class() -> None:
    logits = np.zeros((1, 300))
    logits[0, 44] = 5.0  # 300 − 256
    assert CrossEntropy()(logits, np.array([44], np.uint8)).item() == pytest.approx(
        CrossEntropy()(logits, np.array([44], np.int64)).item()
    )
