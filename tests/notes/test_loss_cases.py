"""The losses and penalties of the notes: C-OUT, C-CM-05 … 08, C-BP-10, C-REG."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, optim
from deltarule.errors import ArgumentError
from deltarule.losses import (
    L1,
    L2,
    BinaryCrossEntropy,
    Cosine,
    CrossEntropy,
    Hinge,
    LInfinity,
    MulticlassHinge,
    Tied,
)
from deltarule.tensor.functional import sigmoid, softmax
from deltarule.tensor.tensor import parameter, tensor

Array = np.ndarray[Any, Any]


def value_and_slope(f: Any, x: Any) -> tuple[Any, Array]:
    value, slope = dr.value_and_grad(f)(tensor(np.asarray(x, np.float64)))
    return value.numpy(), slope.numpy()


@pytest.mark.notes("C-OUT-01", "OUT-19", "OUT-04")
def test_squared_error_saturates_behind_a_sigmoid_and_cross_entropy_does_not() -> None:
    z = np.array([-10.0, -5.0, 0.0, 5.0])
    half = losses.SquaredError(scale=0.5, reduction="sum")
    _, squared = value_and_slope(lambda s: half(sigmoid(s), np.ones(4)), z)
    _, entropy = value_and_slope(
        lambda s: BinaryCrossEntropy(reduction="sum")(s, np.ones(4)), z
    )
    np.testing.assert_allclose(
        squared, (-4.5393746863e-5, -0.0066035622, -0.125, -4.4494452e-5), rtol=1e-7
    )
    np.testing.assert_allclose(
        entropy, (-0.9999546021, -0.9933071491, -0.5, -0.0066928509), rtol=1e-8
    )


@pytest.mark.notes("C-OUT-02", "OUT-09", "OUT-12")
def test_derivative_of_binary_cross_entropy() -> None:
    y, z = np.array([1.0, 0.0, 0.3]), np.array([0.4, -1.2, 2.0])
    p = 1 / (1 + np.exp(-z))
    of_probability = BinaryCrossEntropy(from_logits=False, reduction="sum")
    _, outer = value_and_slope(lambda q: of_probability(q, y), p)
    np.testing.assert_allclose(outer, -y / p + (1 - y) / (1 - p), rtol=1e-12)
    _, through = value_and_slope(lambda s: of_probability(sigmoid(s), y), z)
    _, fused = value_and_slope(lambda s: BinaryCrossEntropy(reduction="sum")(s, y), z)
    np.testing.assert_allclose(through, p - y, atol=1e-14)
    np.testing.assert_allclose(fused, p - y, atol=1e-14)


@pytest.mark.notes("C-OUT-03", "OUT-05", "OUT-06", "OUT-10", "OUT-11", "OUT-12")
def test_derivatives_of_squared_error_and_cross_entropy() -> None:
    z, y = np.array([[1.0, -0.5, 2.0]]), np.array([[0.0, 1.0, 0.0]])
    p = np.exp(z) / np.exp(z).sum()
    for scale in (1.0, 0.5):
        squared = losses.SquaredError(scale=scale)
        value, slope = value_and_slope(lambda s, loss=squared: loss(s, y), z)
        assert value == pytest.approx(scale * ((z - y) ** 2).sum())
        np.testing.assert_allclose(slope, 2 * scale * (z - y), atol=1e-14)
    of_probabilities = CrossEntropy(from_logits=False)
    _, slope = value_and_slope(lambda q: of_probabilities(q, y), p)
    np.testing.assert_allclose(slope, -y / p, atol=1e-13)
    for f in (
        lambda s: of_probabilities(softmax(s), y),
        lambda s: CrossEntropy()(s, y),
        lambda s: CrossEntropy()(s, [1]),
    ):
        np.testing.assert_allclose(value_and_slope(f, z)[1], p - y, atol=1e-14)


@pytest.mark.notes("C-OUT-04", "OUT-13", "E001-05")
@pytest.mark.parametrize("from_logits", [True, False])
def test_class_weighted_binary_cross_entropy(from_logits: bool) -> None:
    z = np.array([-3.15])
    prediction = z if from_logits else 1 / (1 + np.exp(-z))
    plain = BinaryCrossEntropy(from_logits=from_logits)(prediction, [1.0])
    rare = BinaryCrossEntropy(from_logits=from_logits, positive_weight=10.0)(
        prediction, [1.0]
    )
    common = BinaryCrossEntropy(from_logits=from_logits, negative_weight=10.0)(
        prediction, [1.0]
    )
    assert (plain.item(), rare.item(), common.item()) == pytest.approx(
        (3.1919593892, 31.919593892, 3.1919593892)
    )


@pytest.mark.notes("C-OUT-05", "OUT-14", "TRF-03", "E001-04", "X-17")
def test_both_conventions_of_label_smoothing() -> None:
    z = np.array([[1.0, 2.0, 3.0, 0.0]])
    assert CrossEntropy()(z, [2]).item() == pytest.approx(0.4401896986, abs=1e-10)
    notes = CrossEntropy(label_smoothing=0.1, smoothing_convention="K-1")
    value, slope = value_and_slope(lambda s: notes(s, [2]), z)
    assert value == pytest.approx(0.6401896986, abs=1e-10)
    np.testing.assert_allclose(
        slope, [[0.0538109854, 0.2035494848, -0.2560857401, -0.0012747301]], atol=1e-10
    )
    assert CrossEntropy(label_smoothing=0.1)(z, [2]).item() == pytest.approx(
        0.5901896986, abs=1e-10
    )


@pytest.mark.notes("C-OUT-06", "OUT-15")
def test_cosine_loss() -> None:
    z = np.array([3.0, -1.0, 2.0])
    orthogonal = np.array([1.0, 3.0, 0.0])
    pairs = np.stack([np.stack([z, z]), np.stack([z, orthogonal]), np.stack([z, -z])])
    values = Cosine(reduction="none")(pairs, [1.0, 1.0, 1.0]).numpy()
    np.testing.assert_allclose(values, (-1, 0, 1), atol=1e-15)
    np.testing.assert_allclose(
        Cosine(reduction="none")(pairs, [-1.0, -1.0, -1.0]).numpy(),
        (1, 0, -1),
        atol=1e-15,
    )
    zero = np.stack([np.zeros(3), z])[None]
    value, slope = value_and_slope(lambda s: Cosine()(s, [1.0]), zero)
    assert value == 0 and np.isfinite(slope).all()


@pytest.mark.notes("C-OUT-07", "OUT-18")
def test_soft_and_many_labels() -> None:
    y = np.array([0.2, 0.7])
    logit = np.log(y / (1 - y))
    entropy = -(y * np.log(y) + (1 - y) * np.log(1 - y))
    each = BinaryCrossEntropy(reduction="none")
    np.testing.assert_allclose(each(logit, y).numpy(), entropy, rtol=1e-12)
    assert (each(logit + 0.1, y).numpy() > entropy).all() and (
        each(logit - 0.1, y).numpy() > entropy
    ).all()
    many = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    z = np.array([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]])
    wanted = (np.logaddexp(0, z) - many * z).mean()
    assert BinaryCrossEntropy()(z, many).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.notes("C-OUT-08")
def test_cross_entropy_of_ignorance_is_the_logarithm_of_the_classes() -> None:
    for n in (2, 10, 1000):
        assert CrossEntropy()(np.zeros((1, n)), [n - 1]).item() == pytest.approx(
            np.log(n), rel=1e-14
        )


@pytest.mark.notes("OUT-18", "OUT-01", "OUT-02", "OUT-03")
def test_heads_of_the_five_tasks() -> None:
    heads = {
        task: losses.head_for(task)
        for task in (
            "binary",
            "multiclass",
            "multilabel",
            "regression",
            "bounded_regression",
        )
    }
    assert [h.activation for h in heads.values()] == [
        "sigmoid",
        "softmax",
        "sigmoid",
        "identity",
        "sigmoid",
    ]
    assert [h.loss.link for h in heads.values()] == [
        h.activation for h in heads.values()
    ]
    with pytest.raises(ArgumentError, match="multiclass"):
        losses.head_for("ranking")


@pytest.mark.notes("OUT-22", "PR-10", "PR-11", "E004-03")
def test_gaussian_likelihood() -> None:
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])
    y, mean = np.array([[1.0, -1.0], [0.5, 2.0]]), np.array([[0.0, 0.5], [1.0, 1.0]])
    e = y - mean
    wanted = 0.5 * (
        np.einsum("ni,ij,nj->n", e, np.linalg.inv(covariance), e)
        + np.log(np.linalg.det(2 * np.pi * covariance))
    )
    fixed = losses.GaussianNLL(covariance=((2.0, 0.6), (0.6, 1.0)), reduction="none")
    np.testing.assert_allclose(fixed(mean, y).numpy(), wanted, rtol=1e-12)
    each = losses.gaussian_nll(
        tensor(mean), tensor(y), tensor(np.stack([covariance, np.eye(2)]))
    ).numpy()
    np.testing.assert_allclose(
        each, (wanted[0], 0.5 * (e[1] @ e[1]) + np.log(2 * np.pi)), rtol=1e-12
    )


@pytest.mark.notes("C-CM-05", "CM-09", "CM-10", "E000-20", "OUT-16")
def test_hinge_and_its_bounds() -> None:
    w, b = np.array([1.0, -1.0]), 0.5
    x, y = (
        np.array([[2, 0], [0.2, 0], [0, 1], [0, 2], [1, 0]]),
        np.array([1.0, 1, 1, -1, -1]),
    )
    scores = x @ w + b
    values = Hinge(reduction="none")(scores, y).numpy()
    np.testing.assert_allclose(values, (0, 0.3, 1.5, 0, 2.5), atol=1e-14)
    right = np.sign(scores) == y
    assert (values[right] < 1).all()
    np.testing.assert_allclose(values[~right], 1 + np.abs(scores[~right]))


@pytest.mark.notes("C-CM-06", "CM-11", "CM-12")
def test_multiclass_hinge_and_its_bound() -> None:
    scores = np.array([[2.0, 1.5, 4.0, -3.0]] * 4)
    np.testing.assert_allclose(
        MulticlassHinge(reduction="none")(scores, [0, 1, 2, 3]).numpy(),
        (3.5, 5, 0, 19.5),
    )


@pytest.mark.parametrize(
    ("weights", "value", "slope"),
    [
        ([[1, 0], [0, 1.5], [1, 1], [-1, 0]], 1.0, [[0, 0], [-1, -2], [1, 2], [0, 0]]),
        (
            [[2, 1], [0, 1.5], [1, 1.5], [-1, 0]],
            4.0,
            [[1, 2], [-2, -4], [1, 2], [0, 0]],
        ),
    ],
)
@pytest.mark.notes("C-CM-07", "C-CM-08", "CM-14", "E000-08")
def test_subgradients_of_the_multiclass_hinge(
    weights: Any, value: float, slope: Any
) -> None:
    x = tensor(np.array([[1.0, 2.0]]))
    found, gradient = value_and_slope(
        lambda w: MulticlassHinge()(x @ w.T, [1]), weights
    )
    assert found == value
    np.testing.assert_array_equal(gradient, slope)


@pytest.mark.notes("CM-08", "CM-07", "C-CM-09")
def test_gradients_of_softmax_regression() -> None:
    x, y = np.array([[1.0, 2], [0, -1], [2, 1]]), np.array([0, 2, 1])
    w, b = np.array([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]]), np.array([0.1, 0, -0.1])
    loss = CrossEntropy(reduction="sum")
    value, dw = value_and_slope(lambda v: loss(tensor(x) @ v.T + tensor(b), y), w)
    _, db = value_and_slope(lambda v: loss(tensor(x @ w.T) + v, y), b)
    assert value == pytest.approx(2.976266188616898, rel=1e-14)
    wanted = [
        [0.3286191345, -0.9191484846],
        [-1.1504691571, -0.1522970084],
        [0.8218500227, 1.0714454930],
    ]
    np.testing.assert_allclose(dw, wanted, atol=1e-10)
    np.testing.assert_allclose(
        db, (0.1773799822, -0.1570240982, -0.0203558840), atol=1e-10
    )


def slope_of(penalty: Any, *arrays: tuple[str, Any]) -> tuple[float, list[Array]]:
    named = [
        (name, parameter(np.asarray(a, np.float64), name=name)) for name, a in arrays
    ]
    value = penalty(named)
    touched = [
        (p * 0.0).sum() for _, p in named
    ]  # so that every parameter has a derivative, also one left out
    slopes = dr.grad(sum(touched, value), [p for _, p in named])
    return value.item(), [s.numpy() for s in slopes]


@pytest.mark.notes("C-REG-02", "REG-05", "REG-06", "X-16", "E001-26")
def test_both_forms_of_l2() -> None:
    w = np.array([[1.0, -2.0], [0.5, 3.0]])
    value, (slope,) = slope_of(L2(strength=1.0), ("0.weight", w))
    assert value == pytest.approx((w**2).sum())
    np.testing.assert_allclose(slope, 2 * w)
    value, (slope, untouched) = slope_of(
        L2(strength=0.4, half=True), ("0.weight", w), ("0.bias", [1.0])
    )
    assert value == pytest.approx(0.2 * (w**2).sum())
    np.testing.assert_allclose(slope, 0.4 * w)
    np.testing.assert_array_equal(untouched, [0.0])


@pytest.mark.notes("C-REG-03", "REG-08")
def test_derivative_of_l1_is_the_sign() -> None:
    value, (slope,) = slope_of(L1(strength=1.0), ("weight", [-2.0, 0.0, 3.0]))
    assert value == 5.0
    np.testing.assert_array_equal(slope, (-1.0, 0.0, 1.0))


@pytest.mark.notes("C-REG-04", "REG-09")
def test_l2_shrinks_without_zeros() -> None:
    c = tensor(np.array([3.0, 0.5, -0.2]))
    found = optim.newton(
        lambda w: (
            ((w - c) ** 2).sum() * 0.5 + L2(strength=1.0, half=True)([("weight", w)])
        ),
        np.zeros(3),
    )
    np.testing.assert_allclose(found.x, (1.5, 0.25, -0.1), atol=1e-12)


@pytest.mark.notes("C-REG-05", "C-REG-06", "REG-03", "REG-04", "REG-16", "REG-17")
@pytest.mark.parametrize(
    ("strength", "theta", "half_sum"),
    [
        (0.0, (0.9, -0.1), 0.35),
        (1.0, (0.7692307692, 0.0769230769), 0.39349112),
        (10.0, (0.46, 0.16), 1.154),
        (1e6, (1.2e-5, 5e-6), 5.49983),
    ],
)
def test_penalised_least_squares(
    strength: float, theta: tuple[float, float], half_sum: float
) -> None:
    x, y = (
        tensor(np.array([[0.0, 1], [1, 1], [2, 1], [3, 1]])),
        tensor(np.array([0.0, 1, 1, 3])),
    )
    half, penalty = (
        losses.SquaredError(scale=0.5, reduction="sum"),
        L2(strength=strength, half=True),
    )
    found = optim.newton(
        lambda w: half(x @ w, y) + penalty([("weight", w)]), np.zeros(2)
    )
    np.testing.assert_allclose(found.x, theta, rtol=1e-4 if strength > 100 else 1e-9)
    assert half(x @ tensor(found.x), y).item() == pytest.approx(half_sum, rel=1e-6)


@pytest.mark.notes("C-REG-07", "REG-10", "REG-11")
def test_tied_weights_and_weights_near_a_prior() -> None:
    value, slopes = slope_of(
        Tied(strength=0.5, first="a", second="b"), ("a", [1.0]), ("b", [3.0])
    )
    assert value == 1.0
    np.testing.assert_array_equal(np.ravel(slopes), (-1.0, 1.0))
    prior = np.array([0.5, -1.0])
    value, (slope, other) = slope_of(
        L2(strength=0.7, half=True, center={"0.weight": prior}),
        ("0.weight", [2.0, 1.0]),
        ("1.weight", [3.0]),
    )
    np.testing.assert_allclose(slope, 0.7 * (np.array([2.0, 1.0]) - prior))
    np.testing.assert_allclose(other, [2.1])
    assert value == pytest.approx(0.35 * (1.5**2 + 2.0**2 + 9.0))


@pytest.mark.notes("C-REG-08", "C-BP-10", "REG-12", "REG-13", "E001-14")
def test_largest_row_penalty() -> None:
    w1, w2 = [[1.0, -2, 3], [-4, 1, -2], [0, 5, -1]], [[-1.0, 2], [3, 0.5]]
    value, (first, second, bias) = slope_of(
        LInfinity(strength=0.3), ("0.weight", w1), ("1.weight", w2), ("1.bias", [9.0])
    )
    assert value == pytest.approx(1.575)
    np.testing.assert_allclose(first, [[0, 0, 0], [-0.15, 0.15, -0.15], [0, 0, 0]])
    np.testing.assert_allclose(second, [[0, 0], [0.15, 0.15]])
    np.testing.assert_array_equal(bias, [0.0])
    _, (tied,) = slope_of(
        LInfinity(strength=1.0), ("weight", [[1.0, 2.0], [-3.0, 0.0]])
    )
    np.testing.assert_array_equal(tied, [[1, 1], [0, 0]])  # the first of two equal rows


@pytest.mark.notes("C-REG-09", "REG-19", "REG-09")
def test_what_lowers_the_number_of_nonzero_weights() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 10))
    y = x[:, :2] @ np.array([2.0, -3.0]) + 0.1 * generator.normal(size=80)

    def trained(recipe: optim.Optimizer, penalty: Any = None) -> int:
        w = parameter(np.full(10, 0.3), name="0.weight")
        stepper = optim.Stepper(recipe, [w])
        for _ in range(150):
            loss = losses.SquaredError(scale=0.5)(tensor(x) @ w, y)
            (loss if penalty is None else loss + penalty([("0.weight", w)])).backward()
            stepper.step()
        (report,) = losses.sparsity([("0.weight", w)])
        assert report.size == 10
        return report.size - report.zeros

    sgd = optim.SGD(learning_rate=0.2)
    assert trained(sgd) == 10
    assert trained(sgd, L2(strength=0.3)) == 10
    assert trained(optim.Proximal(inner=sgd, strength=0.3)) == 2


@pytest.mark.notes("REG-24")
def test_penalties_of_activations() -> None:
    h = tensor(np.array([[1.0, -2.0], [0.0, 0.5]]))
    assert L1(strength=1.0).of(h).item() == 3.5
    assert L2(strength=1.0).of(h).item() == 5.25
