"""Where the notes disagree or err: the library's convention and the other one, each by its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn, optim
from deltarule.errors import ArgumentError, DataError
from deltarule.nn import init

Array = np.ndarray[Any, Any]


def slope(f: Any, at: float) -> float:
    x = dr.parameter(np.array([at]))
    return float(dr.grad(f(x).sum(), [x])[0].item())


# ---------------------------------------------------------------- activations


@pytest.mark.notes("X-10", "E003-01", "E004-01")
def test_sigmoid_and_tanh() -> None:
    x = np.linspace(-6, 6, 25)
    np.testing.assert_allclose(nn.sigmoid(x).numpy(), 1 / (1 + np.exp(-x)), rtol=1e-12)
    np.testing.assert_allclose(
        nn.tanh(x).numpy(),
        (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
        rtol=1e-12,
    )
    score = np.array([1.0, -2.0, 1.0]) @ np.array([1.0, 6.0, 0.0])
    assert score == -11 and nn.sigmoid(np.array(score)).item() == pytest.approx(
        1.67e-5, rel=1e-3
    )


@pytest.mark.notes("X-22")
def test_steps_at_zero() -> None:
    assert nn.step(np.zeros(1)).tolist() == [1.0] and nn.bipolar_step(
        np.zeros(1)
    ).tolist() == [1.0]  # of the notes
    assert dr.sign(np.zeros(1)).tolist() == [0.0]  # of mathematics


@pytest.mark.notes("X-06", "X-23", "E000-18", "E001-01")
def test_slopes_of_rectifiers_and_at_their_kinks() -> None:
    assert nn.LeakyReLU()(np.array([-1.0])).item() == pytest.approx(-0.01)
    for alpha in (0.01, 0.1, 2.0):
        leaky = lambda v, a=alpha: nn.leaky_relu(v, a)  # noqa: E731
        assert [slope(leaky, at) for at in (-3.0, 3.0)] == pytest.approx([alpha, 1.0])
        assert slope(leaky, 0.0) == pytest.approx(alpha)
        larger = (
            np.maximum(alpha * -3.0, -3.0) == alpha * -3.0
        )  # max(αx, x) is the leaky one for α ≤ 1 alone
        assert larger == (alpha <= 1)
    assert slope(nn.relu, 0.0) == 0.0 and slope(abs, 0.0) == 0.0


@pytest.mark.notes("E001-09")
def test_elu_has_two_pieces_and_is_no_maximum() -> None:
    x, alpha = np.array([2.0]), 1.0
    assert nn.elu(x, alpha).item() == 2.0 < max(alpha * (np.exp(2.0) - 1), 2.0)


@pytest.mark.notes("E002-06")
def test_softmax_has_slopes_off_the_diagonal() -> None:
    z = np.array([0.3, -1.0, 2.0])
    s = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(
        dr.jacobian(nn.softmax, z).numpy(), np.diag(s) - np.outer(s, s), atol=1e-12
    )


@pytest.mark.notes("X-08", "E004-11", "E001-08")
def test_layouts_are_transposes_of_each_other() -> None:
    w = np.arange(6.0).reshape(2, 3)
    f = lambda x: dr.tensor(w) @ x  # noqa: E731
    np.testing.assert_array_equal(
        dr.jacobian(f, np.ones(3), layout="denominator").numpy(), w.T
    )
    np.testing.assert_array_equal(
        dr.jacobian(f, np.ones(3), layout="numerator").numpy(), w
    )


# ---------------------------------------------------------------- losses


@pytest.mark.notes("X-07", "E000-10", "E000-16", "E002-15", "E004-04", "E004-07")
def test_squared_errors_of_all_scalings() -> None:
    random = np.random.default_rng(0)
    h, z = random.normal(size=(4, 3)), random.normal(size=(4, 3))
    square = (h - z) ** 2
    for loss, value, factor in (
        (losses.SquaredError(scale=0.5, reduction="sum"), square.sum() / 2, 1.0),
        (losses.SquaredError(reduction="sum"), square.sum(), 2.0),
        (losses.SquaredError(), square.sum(1).mean(), 2.0 / 4),
        (losses.SquaredError(scale=0.5), square.sum(1).mean() / 2, 1.0 / 4),
        (losses.MeanSquaredError(), square.mean(), 2.0 / 12),
    ):
        x = dr.parameter(h)
        assert loss(x, z).item() == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(
            dr.grad(loss(x, z), [x])[0].numpy(), factor * (h - z), rtol=1e-12
        )


@pytest.mark.notes("X-13", "E003-20")
def test_gradients_of_a_batch_are_means_or_sums() -> None:
    random = np.random.default_rng(0)
    z, labels = dr.parameter(random.normal(size=(6, 3))), np.arange(6) % 3
    mean, total = (
        dr.grad(losses.CrossEntropy(reduction=how)(z, labels), [z])[0].numpy()
        for how in ("mean", "sum")
    )
    np.testing.assert_allclose(total, 6 * mean, rtol=1e-12)


@pytest.mark.notes("X-15", "E000-09", "E003-03", "E001-27")
def test_cross_entropy_is_minus_the_log_likelihood() -> None:
    p, y = np.array([0.2, 0.9, 0.6]), np.array([0.0, 1.0, 1.0])
    likelihood = (y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert likelihood < 0
    assert losses.BinaryCrossEntropy(from_logits=False)(p, y).item() == pytest.approx(
        -likelihood, rel=1e-6
    )
    z = np.log(np.array([[0.1, 0.7, 0.2]]))
    assert losses.CrossEntropy()(z, [1]).item() == pytest.approx(-np.log(0.7), rel=1e-6)


@pytest.mark.notes("X-21", "E004-05")
def test_labels_are_bits_or_signs() -> None:
    score = np.array([0.7, -0.4])
    bits, signs = np.array([1.0, 0.0]), np.array([1.0, -1.0])
    logistic = np.log1p(
        np.exp(-signs * score)
    ).mean()  # the same loss in the other labels
    assert losses.BinaryCrossEntropy()(score, bits).item() == pytest.approx(
        logistic, rel=1e-6
    )
    assert losses.Hinge()(score, signs).item() == pytest.approx(
        np.maximum(0, 1 - signs * score).mean(), rel=1e-6
    )
    with pytest.raises(DataError):
        losses.Hinge()(score, bits)
    with pytest.raises(DataError):
        losses.BinaryCrossEntropy()(score, signs)


# ---------------------------------------------------------------- layers and their sizes


@pytest.mark.notes("X-20", "E003-02", "E003-14", "E003-23", "E001-02", "E003-19")
def test_parameters_with_and_without_biases() -> None:
    assert (
        32 * 32 * 3
        == nn.Linear(3072, 1, bias=False).n_parameters
        == nn.Linear(3072, 1).n_parameters - 1
        == 3072
    )
    alexnet, without = (
        nn.Conv2d(3, 96, 11, stride=4),
        nn.Conv2d(3, 96, 11, stride=4, bias=False),
    )
    assert (alexnet.n_parameters, without.n_parameters) == (34_944, 34_848)
    assert (
        nn.Conv2d(16, 32, 3).n_parameters == 4_640
        and nn.Conv2d(16, 32, 3, bias=False).n_parameters == 4_608
    )
    assert nn.Conv2d(3, 96, 11).weight.shape[1:] == (11, 11, 3)  # a filter has a depth


@pytest.mark.notes("X-12", "E002-08", "E000-23")
def test_the_input_is_no_layer() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    assert model.depth == 2 and next(iter(model.state_dict())) == "0.weight"
    assert nn.Linear(5, 4)(np.ones(5)).shape == (4,)  # W (m, n): m outputs


@pytest.mark.notes("X-11", "E003-15", "E003-24", "E002-10")
def test_output_sizes_are_rounded_down_and_each_axis_has_its_own() -> None:
    conv = nn.Conv2d(2, 1, (3, 2), stride=(2, 3), padding=(1, 0), bias=False)
    assert conv(np.ones((8, 9, 2))).shape[:2] == (
        (8 - 3 + 2) // 2 + 1,
        (9 - 2) // 3 + 1,
    )
    assert nn.MaxPool2d(3, 2)(np.ones((8, 12, 1))).shape[:2] == (
        (8 - 3) // 2 + 1,
        (12 - 3) // 2 + 1,
    )
    assert nn.MaxPool2d(3, 2, ceil_mode=True)(np.ones((8, 12, 1))).shape[:2] == (4, 6)
    random = np.random.default_rng(0)
    x, k = random.normal(size=(5, 5, 2)), random.normal(size=(1, 2, 2, 2))
    flat = nn.Conv2d(2, 1, 2, bias=False).astype("float64")
    flat.weight.assign(
        k
    )  # not flipped, and summed over the channels: a correlation in two dimensions
    expected = [
        [(x[i : i + 2, j : j + 2] * k[0]).sum() for j in range(4)] for i in range(4)
    ]
    np.testing.assert_allclose(flat(x).numpy()[..., 0], expected, rtol=1e-12)


@pytest.mark.notes("E003-26")
def test_pooling_forgives_small_shifts_only() -> None:
    x = np.zeros((6, 1))
    x[2] = 1.0
    pooled = [
        nn.MaxPool1d(2)(np.roll(x, shift, axis=0)).numpy().ravel().tolist()
        for shift in range(3)
    ]
    assert pooled[0] == pooled[1] == [0, 1, 0] and pooled[2] == [0, 0, 1]


@pytest.mark.notes("E003-18")
def test_a_linear_activation_has_gradients_and_no_more_to_say() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Identity(), nn.Linear(4, 1)).astype(
        "float64"
    )
    x = np.random.default_rng(0).normal(size=(5, 3))
    slopes = dr.grad((model(x) ** 2).sum(), model.parameters())
    assert all(g.numpy().any() for g in slopes)
    weight, bias = nn.affine_map(model)
    np.testing.assert_allclose(model(x).numpy(), x @ weight.T + bias, rtol=1e-9)


# ---------------------------------------------------------------- first values


@pytest.mark.notes("X-04", "E002-05")
def test_variances_of_first_weights_count_units() -> None:
    draw = lambda rule: rule.draw((300, 200), init.generator(0, "w")).var()  # noqa: E731
    assert draw(init.xavier_normal()) == pytest.approx(2 / 500, rel=0.02)
    assert draw(init.xavier_uniform()) == pytest.approx(2 / 500, rel=0.02)
    assert draw(init.xavier_normal("fan_in")) == pytest.approx(1 / 200, rel=0.02)
    assert draw(init.he_normal()) == pytest.approx(2 / 200, rel=0.02)


@pytest.mark.notes("E001-22")
def test_zeros_stop_two_layers_and_not_one() -> None:
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    one = nn.Sequential(nn.Linear(2, 1, bias=False, init="zeros"))
    hidden = nn.Linear(2, 3, bias=False, init="zeros")
    two = nn.Sequential(hidden, nn.Tanh(), nn.Linear(3, 1, bias=False, init="zeros"))
    moved = [
        max(
            np.abs(g.numpy()).max()
            for g in dr.grad(losses.MeanSquaredError()(m(x), y), m.parameters())
        )
        for m in (one, two)
    ]
    assert moved[0] == pytest.approx(4.0) and moved[1] == 0.0


# ---------------------------------------------------------------- normalisation and dropout


@pytest.mark.notes("X-09", "E001-15")
def test_running_averages_of_both_conventions() -> None:
    x = np.array([[1.0], [3.0], [8.0]])
    notes, torchs = (
        nn.BatchNorm(1),
        nn.BatchNorm(1, 0.1, momentum_weighs="new", running_variance_kind="unbiased"),
    )
    for layer, variance in ((notes, x.var()), (torchs, x.var(ddof=1))):
        layer(x, mode="training")
        assert layer.running_mean.item() == pytest.approx(0.9 * 0 + 0.1 * 4)
        assert layer.running_variance.item() == pytest.approx(
            0.9 * 1 + 0.1 * variance, rel=1e-6
        )
    notes.scale.assign([3.0])
    notes.shift.assign([0.5])
    normal = (x - 4) / np.sqrt(x.var() + 1e-5)
    np.testing.assert_allclose(
        notes(x, mode="training").numpy(), 3 * normal + 0.5, rtol=1e-5
    )  # γ, not σ


@pytest.mark.notes("E001-16")
def test_batch_norm_is_affine_with_fixed_statistics_alone() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(6, 2)), random.normal(size=(6, 2))
    for mode, affine in (("inference", True), ("training", False)):
        layer = nn.BatchNorm(2).astype("float64")
        ends = [layer(x, mode=mode).numpy() for x in (a, b, 0.3 * a + 0.7 * b)]
        assert np.allclose(0.3 * ends[0] + 0.7 * ends[1], ends[2]) == affine


@pytest.mark.notes("X-05", "E003-07")
def test_probabilities_of_dropping_and_of_keeping() -> None:
    x = np.ones((200, 50))
    dropped, kept = (
        nn.Dropout(0.3)(x, mode="training", seed=1),
        nn.Dropout(keep_probability=0.7)(x, mode="training", seed=1),
    )
    np.testing.assert_array_equal(dropped.numpy(), kept.numpy())
    assert (dropped.numpy() == 0).mean() == pytest.approx(0.3, abs=0.02)
    standard = nn.Dropout(0.3, scale_in="inference")
    np.testing.assert_allclose(standard(x).numpy(), 0.7)  # (1 − p)·w in the test
    np.testing.assert_allclose(nn.Dropout(0.3)(x).numpy(), 1.0)


@pytest.mark.notes("E001-25")
def test_scaling_before_an_activation_is_scaling_after_it_for_rectifiers_alone() -> (
    None
):
    z = np.random.default_rng(0).normal(size=50)
    mask = (np.arange(50) % 3 > 0) / 0.7
    for f, same in (
        (nn.relu, True),
        (nn.leaky_relu, True),
        (nn.tanh, False),
        (nn.sigmoid, False),
    ):
        assert np.allclose(f(z * mask).numpy(), f(z).numpy() * mask) == same


# ---------------------------------------------------------------- optimisers


@pytest.mark.notes("X-18")
def test_adam_corrects_by_powers_of_its_decays() -> None:
    g = [1.0, -0.5, 2.0]
    w, m, s = 0.0, 0.0, 0.0
    stepper = optim.Stepper(
        optim.Adam(learning_rate=0.1), [dr.parameter(np.array([0.0]))]
    )
    for t, slope_ in enumerate(g, 1):
        m, s = 0.9 * m + 0.1 * slope_, 0.999 * s + 0.001 * slope_**2
        w -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
        stepper.step([dr.tensor(np.array([slope_]))])
        assert stepper.parameters[0].item() == pytest.approx(w, rel=1e-9)


@pytest.mark.notes("E000-21")
def test_a_velocity_is_bounded_for_momenta_below_one() -> None:
    with pytest.raises(ArgumentError, match="momentum"):
        optim.SGD(learning_rate=0.1, momentum=1.0)
    stepper = optim.Stepper(
        optim.SGD(learning_rate=0.1, momentum=0.9), [dr.parameter(np.array([0.0]))]
    )
    places = [0.0]
    for _ in range(200):
        stepper.step([dr.tensor(np.array([1.0]))])
        places.append(stepper.parameters[0].item())
    assert places[-2] - places[-1] == pytest.approx(0.1 / (1 - 0.9), rel=1e-6)
