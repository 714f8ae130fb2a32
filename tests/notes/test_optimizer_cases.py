"""The optimisers of the notes, step by step: C-OPT-01 … C-OPT-35."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from deltarule import optim
from deltarule.optim import SGD, AdaGrad, Adam, RMSProp, Stepper
from deltarule.tensor.tensor import Tensor, parameter, tensor

GRADIENTS = (1.0, -0.5, 2.0)
SMALL = 1e-5


def walk(
    optimizer: optim.Optimizer,
    gradients: Sequence[float] = GRADIENTS,
    start: float = 0.0,
) -> tuple[np.ndarray[Any, Any], Stepper]:
    """Return θ after every step of a gradient sequence, in float64."""
    theta = parameter(np.array([start]), name="theta")
    stepper = Stepper(optimizer, [theta])
    path = []
    for g in gradients:
        stepper.step([tensor(np.array([g]))])
        path.append(theta.item())
    return np.array(path), stepper


def expect(
    optimizer: optim.Optimizer,
    wanted: Sequence[float],
    tolerance: float = 1e-11,
    **options: Any,
) -> None:
    np.testing.assert_allclose(
        walk(optimizer, **options)[0], wanted, rtol=0, atol=tolerance
    )


@pytest.mark.notes("C-OPT-01", "OPT-01")
def test_plain_gradient_descent() -> None:
    expect(SGD(learning_rate=0.1), (-0.1, -0.05, -0.25))


@pytest.mark.notes("C-OPT-02", "OPT-05", "X-01")
def test_momentum_adds_a_velocity_that_holds_the_rate() -> None:
    path, stepper = walk(SGD(learning_rate=0.1, momentum=0.9))
    np.testing.assert_allclose(path, (-0.1, -0.14, -0.376), atol=1e-12)
    np.testing.assert_allclose(stepper.state[0].numpy(), [-0.236], atol=1e-12)


@pytest.mark.notes("C-OPT-03", "OPT-06", "OPT-07", "X-01")
def test_momentum_of_the_other_sign_walks_the_same_path() -> None:
    path, stepper = walk(SGD(learning_rate=0.1, momentum=0.9, velocity="without_rate"))
    np.testing.assert_allclose(path, (-0.1, -0.14, -0.376), atol=1e-12)
    np.testing.assert_allclose(
        0.1 * stepper.state[0].numpy(), [0.236], atol=1e-12
    )  # v = η·(sum of gradients)


@pytest.mark.notes("C-OPT-04", "OPT-14")
def test_adagrad_with_epsilon_inside_the_root() -> None:
    expect(
        AdaGrad(learning_rate=0.1, epsilon=1e-8),
        (-0.0999999995, -0.0552786401289, -0.14256579614),
    )


@pytest.mark.notes("C-OPT-05", "OPT-16", "X-03")
def test_rmsprop_with_epsilon_inside_the_root() -> None:
    recipe = RMSProp(learning_rate=0.1, beta=0.9, epsilon=SMALL, epsilon_place="inside")
    expect(recipe, (-0.316211955814, -0.168776409761, -0.4506315409))


@pytest.mark.notes("C-OPT-06", "OPT-17", "X-03")
def test_rmsprop_with_epsilon_outside_the_root() -> None:
    recipe = RMSProp(
        learning_rate=0.1, beta=0.9, epsilon=SMALL, epsilon_place="outside"
    )
    expect(recipe, (-0.316217766333, -0.168780157876, -0.450634115821))


@pytest.mark.notes("C-OPT-07", "E002-01")
def test_rmsprop_counts_the_rate_once() -> None:
    """The source multiplies a velocity αg by the rate again; ours is 1/α of that path."""
    path, _ = walk(
        RMSProp(learning_rate=0.1, beta=0.9, epsilon=SMALL, epsilon_place="outside")
    )
    literal = np.array((-0.0316217766333, -0.0168780157876, -0.0450634115821))
    np.testing.assert_allclose(path * 0.1, literal, atol=1e-12)
    assert np.abs(path - literal).max() > 0.1


@pytest.mark.notes("C-OPT-08", "OPT-18")
def test_rmsprop_with_momentum() -> None:
    recipe = RMSProp(learning_rate=0.1, beta=0.9, epsilon=SMALL, momentum=0.9)
    expect(recipe, (-0.316211955814, -0.453367169994, -0.858661993894))


@pytest.mark.notes("C-OPT-09", "OPT-19", "OPT-21")
def test_adam() -> None:
    expect(Adam(learning_rate=0.1), (-0.099999999, -0.126633702629, -0.192444862157))


@pytest.mark.notes("C-OPT-10", "OPT-20")
def test_adam_with_a_larger_epsilon() -> None:
    expect(
        Adam(learning_rate=0.1, epsilon=SMALL),
        (-0.09999900001, -0.126632367037, -0.192443029723),
    )


@pytest.mark.notes("C-OPT-11", "OPT-26")
def test_adam_without_bias_correction() -> None:
    recipe = Adam(learning_rate=0.1, bias_correction=False)
    expect(recipe, (-0.316227666017, -0.429410000986, -0.755190686629))


@pytest.mark.notes("C-OPT-12", "OPT-25", "E003-06")
def test_adam_does_not_lose_the_powers_of_its_corrections() -> None:
    """The source's m̂ = m/(1 − β₁) with √s uncorrected takes ten times the uncorrected steps."""
    literal = np.array((-3.16227666017, -4.29410000986, -7.55190686629))
    np.testing.assert_allclose(
        walk(Adam(learning_rate=0.1, bias_correction=False))[0] * 10,
        literal,
        atol=1e-10,
    )
    assert np.all(np.abs(walk(Adam(learning_rate=0.1))[0]) < np.abs(literal) / 20)


@pytest.mark.notes("C-OPT-13", "OPT-24")
def test_amsgrad_of_the_corrected_moment() -> None:
    expect(
        Adam(learning_rate=0.1, amsgrad="corrected"),
        (-0.099999999, -0.121052630368, -0.186863789897),
    )


@pytest.mark.notes("C-OPT-14", "OPT-24", "E002-14")
def test_amsgrad_of_the_raw_moment() -> None:
    expect(
        Adam(learning_rate=0.1, amsgrad="raw"),
        (-0.099999999, -0.126633702629, -0.192444862157),
    )


@pytest.mark.notes("C-OPT-15", "E002-14")
def test_both_amsgrads_part_after_a_large_gradient() -> None:
    gradients = (3.0, 0.1, 0.1, 0.1, 0.1)
    corrected = (
        -0.0999999997,
        -0.1491228065,
        -0.1813491287,
        -0.2051738839,
        -0.2239947510,
    )
    raw = (-0.0999999997, -0.1694489114, -0.2252324373, -0.2728382951, -0.3148716439)
    expect(
        Adam(learning_rate=0.1, amsgrad="corrected"),
        corrected,
        1e-9,
        gradients=gradients,
    )
    expect(Adam(learning_rate=0.1, amsgrad="raw"), raw, 1e-9, gradients=gradients)


@pytest.mark.notes("C-OPT-16", "OPT-23")
def test_adam_with_coupled_weight_decay() -> None:
    wanted = (0.900000000909, 0.863218354794, 0.793599917164)
    expect(Adam(learning_rate=0.1, weight_decay=0.1), wanted, start=1.0)


@pytest.mark.notes("C-OPT-17", "OPT-22")
def test_adam_that_maximizes() -> None:
    wanted = (1.09999999889, 1.11369318537, 1.17434529546)
    expect(Adam(learning_rate=0.1, weight_decay=0.1, maximize=True), wanted, start=1.0)


@pytest.mark.notes("C-OPT-18", "OPT-10")
def test_velocity_is_a_weighted_sum_of_gradients() -> None:
    rate, alpha = 0.3, 0.7
    gradients = np.random.default_rng(0).normal(size=6)
    for t in range(1, 7):
        _, stepper = walk(SGD(learning_rate=rate, momentum=alpha), gradients[:t])
        closed = -rate * sum(alpha**k * gradients[t - 1 - k] for k in range(t))
        np.testing.assert_allclose(stepper.state[0].numpy(), [closed], atol=1e-14)


def velocities(
    gradients: np.ndarray[Any, Any], rate: float, alpha: float
) -> np.ndarray[Any, Any]:
    """Run many chains at once: gradients (steps, chains) → velocities (steps, chains)."""
    theta = parameter(np.zeros(gradients.shape[1]))
    stepper = Stepper(SGD(learning_rate=rate, momentum=alpha), [theta])
    rows = []
    for g in gradients:
        stepper.step([tensor(g)])
        rows.append(stepper.state[0].numpy())
    return np.array(rows)


@pytest.mark.notes("C-OPT-19", "OPT-10")
def test_expected_velocity() -> None:
    constant = velocities(np.full((5, 1), 2.0), 0.1, 0.9)[
        :, 0
    ]  # v is linear in g, so E[v] is v of the mean
    np.testing.assert_allclose(
        constant, (-0.2, -0.38, -0.542, -0.6878, -0.81902), atol=1e-12
    )
    noisy = np.random.default_rng(1).normal(2.0, 1.0, size=(5, 100_000))
    np.testing.assert_allclose(
        velocities(noisy, 0.1, 0.9).mean(axis=1), constant, atol=5e-3
    )


@pytest.mark.notes("C-OPT-20", "E001-18")
@pytest.mark.parametrize(("alpha", "coefficient"), [(0.5, 4.25), (0.9, 5.61)])
def test_expected_position_after_three_steps(alpha: float, coefficient: float) -> None:
    rate, mean = 0.1, 2.0
    path, _ = walk(SGD(learning_rate=rate, momentum=alpha), (mean,) * 3, start=1.0)
    np.testing.assert_allclose(path[-1], 1.0 - rate * mean * coefficient, atol=1e-12)
    closed = (3 - alpha * (1 - alpha**3) / (1 - alpha)) / (1 - alpha)
    np.testing.assert_allclose(closed, coefficient, atol=1e-12)


@pytest.mark.notes("C-OPT-21")
def test_variance_of_the_velocity() -> None:
    noise = np.random.default_rng(2).normal(size=(5, 200_000))
    closed = np.array((0.01, 0.0181, 0.024661, 0.02997541, 0.0342800821))
    np.testing.assert_allclose(
        velocities(noise, 0.1, 0.9).var(axis=1), closed, rtol=0.02
    )


CURVATURE = np.array([1.0, 10.0])


def bowl(x: Tensor) -> Tensor:
    return (x * x * tensor(CURVATURE)).sum() * 0.5


@pytest.mark.notes("C-OPT-22", "OPT-11", "OPT-12", "X-02", "E001-17")
@pytest.mark.parametrize("velocity", ["with_rate", "without_rate"])
def test_both_forms_of_nesterov(velocity: Any) -> None:
    theta = [
        (0.95, 0.5),
        (0.85975, 0.025),
        (0.73959875, -0.20125),
        (0.5998894937, -0.2024375),
        (0.4504436050, -0.1017531250),
    ]
    changed = [
        (0.905, 0.05),
        (0.778525, -0.4025),
        (0.631462625, -0.404875),
        (0.4741511631, -0.2035062500),
        (0.3159423051, -0.0111371875),
    ]
    recipe = {
        "learning_rate": 0.05,
        "momentum": 0.9,
        "nesterov": True,
        "velocity": velocity,
    }
    ahead = optim.minimize(
        bowl, [1.0, 1.0], SGD(**recipe, nesterov_form="look_ahead"), steps=5
    )
    moved = optim.minimize(bowl, [1.0, 1.0], SGD(**recipe), steps=5)
    np.testing.assert_allclose(ahead.path[1:], theta, atol=1e-10)
    np.testing.assert_allclose(moved.path[1:], changed, atol=1e-10)
    steps = np.diff(ahead.path, axis=0)  # v_t = θ_t − θ_{t−1}
    np.testing.assert_allclose(moved.path[1:], ahead.path[1:] + 0.9 * steps, atol=1e-12)


@pytest.mark.notes("C-OPT-23", "OPT-13", "E003-05", "X-02")
def test_nesterov_looks_along_the_step_and_not_against_it() -> None:
    recipe = SGD(
        learning_rate=0.05, momentum=0.9, nesterov=True, nesterov_form="look_ahead"
    )
    path = optim.minimize(lambda x: (x * x).sum() * 5.0, [1.0], recipe, steps=200).path[
        :, 0
    ]
    np.testing.assert_allclose(
        path[1:5], (0.5, 0.025, -0.20125, -0.2024375), atol=1e-12
    )
    assert abs(path[-1]) < 1e-30
    theta, nu = 1.0, 0.0  # the source's sign
    for _ in range(200):
        nu = 0.9 * nu + 0.05 * 10 * (theta + 0.9 * nu)
        theta -= nu
    assert abs(theta) > 1e12


@pytest.mark.notes("C-OPT-24", "OPT-09", "E000-22")
def test_momentum_lengthens_straight_ways_and_shortens_zigzags() -> None:
    straight = velocities(np.full((400, 1), 1.0), 0.1, 0.9)
    zigzag = velocities(np.array([[(-1.0) ** k] for k in range(400)]), 0.1, 0.9)
    np.testing.assert_allclose(abs(straight[-1, 0]), 0.1 / (1 - 0.9), atol=1e-12)
    np.testing.assert_allclose(abs(zigzag[-1, 0]), 0.0526315789, atol=1e-10)


@pytest.mark.notes("C-OPT-25", "OPT-08")
def test_momentum_remembers_about_ten_gradients() -> None:
    pulse = velocities(np.array([[1.0], *[[0.0]] * 10]), 1.0, 0.9)[:, 0]
    np.testing.assert_allclose(pulse[10] / pulse[0], 0.9**10, rtol=1e-12)
    ones = np.abs(velocities(np.ones((500, 1)), 1.0, 0.9)[:, 0])
    np.testing.assert_allclose(ones[-1], 10.0, rtol=1e-12)
    np.testing.assert_allclose(ones[9] / ones[-1], 0.6513, atol=5e-5)


@pytest.mark.notes("C-OPT-26", "OPT-26", "E001-29")
def test_first_step_of_adam_with_and_without_correction() -> None:
    plain, _ = walk(Adam(learning_rate=1.0, bias_correction=False, epsilon=0.0), (4.0,))
    fixed, _ = walk(Adam(learning_rate=1.0, epsilon=0.0), (4.0,))
    small, _ = walk(
        Adam(
            learning_rate=1.0, beta1=0.9, beta2=0.9, bias_correction=False, epsilon=0.0
        ),
        (4.0,),
    )
    np.testing.assert_allclose(
        (plain[0], fixed[0], small[0]), (-3.1622776602, -1.0, -0.316227766), atol=1e-9
    )


@pytest.mark.notes("C-OPT-27", "OPT-15")
def test_rates_of_adagrad_never_grow() -> None:
    gradients = (1.0, 0.0, -2.0, 0.5)
    rates = []
    theta = parameter(np.zeros(1))
    stepper = Stepper(AdaGrad(learning_rate=0.1, epsilon=0.0), [theta])
    for g in gradients:
        stepper.step([tensor(np.array([g]))])
        rates.append(0.1 / np.sqrt(stepper.state[0].item()))
    np.testing.assert_allclose(
        rates, (0.1, 0.1, 0.0447213594, 0.0436435780), atol=1e-10
    )
    path, _ = walk(AdaGrad(learning_rate=0.1, epsilon=0.0), gradients)
    np.testing.assert_allclose(
        np.diff([0.0, *path]), -np.array(rates) * gradients, atol=1e-12
    )


@pytest.mark.notes("C-OPT-28", "OPT-27")
def test_newton_solves_a_quadratic_in_one_step() -> None:
    a, b = tensor(np.array([[3.0, 1.0], [1.0, 2.0]])), tensor(np.array([1.0, -1.0]))
    found = optim.newton(
        lambda x: (x @ (a @ x)) * 0.5 - b @ x, [5.0, -7.0], steps=1, line_search=False
    )
    np.testing.assert_allclose(found.x, (0.6, -0.8), atol=1e-12)
    descent = optim.minimize(
        lambda x: (x @ (a @ x)) * 0.5 - b @ x,
        [5.0, -7.0],
        SGD(learning_rate=0.1),
        steps=1,
    )
    np.testing.assert_allclose(descent.x, (4.3, -6.2), atol=1e-12)


@pytest.mark.notes("C-OPT-29", "OPT-28")
def test_newton_on_a_quartic_shrinks_by_two_thirds() -> None:
    found = optim.newton(lambda x: (x**4).sum(), [1.0], steps=3, line_search=False)
    np.testing.assert_allclose(
        found.path[1:, 0], (0.6666666667, 0.4444444444, 0.2962962963), atol=1e-9
    )


@pytest.mark.notes("C-OPT-30", "OPT-31")
@pytest.mark.parametrize(
    ("rate", "factor"),
    [(0.05, 0.5), (0.1, 0.0), (0.19, -0.9), (0.2, -1.0), (0.21, -1.1)],
)
def test_learning_rate_threshold_is_two_over_the_curvature(
    rate: float, factor: float
) -> None:
    path = optim.minimize(
        lambda x: (x * x).sum() * 5.0, [1.0], SGD(learning_rate=rate), steps=4
    ).path[:, 0]
    np.testing.assert_allclose(path, factor ** np.arange(len(path)), atol=1e-12)


@pytest.mark.notes("C-OPT-31", "OPT-32", "OPT-33", "E002-11", "X-14")
def test_moving_averages() -> None:
    series = [1, 2, 3, 4, 5]
    assert optim.moving_average(series, 3) == [2, 3, 4]
    cases = {
        0.5: (1, 1.5, 2.25, 3.125, 4.0625),
        0.9: (1, 1.9, 2.89, 3.889, 4.8889),
        0.1: (1, 1.1, 1.29, 1.561, 1.9049),
    }
    for weight, wanted in cases.items():
        np.testing.assert_allclose(
            optim.exponential_moving_average(series, new_weight=weight),
            wanted,
            atol=1e-12,
        )


@pytest.mark.notes("C-OPT-32", "OPT-33")
def test_exponential_average_reacts_sooner() -> None:
    series = [0.0] * 5 + [1.0] * 5
    exponential = optim.exponential_moving_average(series, new_weight=0.5)[5:]
    simple = optim.moving_average(series, 5)[1:]
    np.testing.assert_allclose(exponential, (0.5, 0.75, 0.875, 0.9375, 0.96875))
    np.testing.assert_allclose(simple, (0.2, 0.4, 0.6, 0.8, 1.0))
    assert exponential[0] > simple[0]


@pytest.mark.notes("C-OPT-33", "OPT-35", "OPT-36")
def test_variance_of_the_minibatch_mean_falls_with_its_size() -> None:
    """θ after one step of rate 1 on ½(θ − x)² from 0 is the mean of the batch: noise N(3, 2²)."""
    draws = np.random.default_rng(3).normal(3.0, 2.0, size=(16, 40_000))
    for size, variance in ((1, 4.0), (4, 1.0), (16, 0.25)):
        theta = parameter(np.zeros(40_000))
        stepper = Stepper(SGD(learning_rate=1.0), [theta])
        stepper.step([(theta.detach() - tensor(draws[:size])).mean(axis=0)])
        assert theta.numpy().var() == pytest.approx(variance, rel=0.03)


def sign_changes(values: np.ndarray[Any, Any]) -> int:
    return int((np.sign(values[1:]) * np.sign(values[:-1]) < 0).sum())


@pytest.mark.notes("C-OPT-34", "OPT-37", "OPT-38")
def test_zigzag_in_a_ravine() -> None:
    def ravine(x: Tensor) -> Tensor:
        return (x * x * tensor(np.array([1.0, 25.0]))).sum() * 0.5

    counts = [
        sign_changes(optim.minimize(ravine, [10.0, 1.0], recipe, steps=60).path[:, 1])
        for recipe in (
            SGD(learning_rate=0.075),
            AdaGrad(learning_rate=0.9),
            SGD(learning_rate=0.03, momentum=0.5),
        )
    ]
    assert counts == [60, 0, 19]


@pytest.mark.notes("C-OPT-35", "OPT-34", "OPT-37")
def test_momentum_leaves_saddles_and_flat_places() -> None:
    def saddle(x: Tensor) -> Tensor:
        return x[0] * x[0] - x[1] * x[1]

    plain, fast = SGD(learning_rate=0.05), SGD(learning_rate=0.05, momentum=0.9)
    leaves = [
        int(
            np.argmax(
                np.abs(
                    optim.minimize(saddle, [1.0, 1e-6], recipe, steps=160).path[:, 1]
                )
                > 1
            )
        )
        for recipe in (plain, fast)
    ]
    assert leaves == [145, 52]
    flat = optim.minimize(lambda x: (x**3).sum(), [1.0], plain, steps=200).path[:, 0]
    assert flat[-1] == pytest.approx(0.0317, abs=5e-5)
    crossing = optim.minimize(lambda x: (x**3).sum(), [1.0], fast, steps=9).path[:, 0]
    assert crossing[-1] < -1 < crossing[-2]


@pytest.mark.notes("OPT-40", "REG-05", "REG-07", "C-REG-01")
def test_weight_decay_shrinks_by_a_constant_factor() -> None:
    for decoupled in (False, True):
        path, _ = walk(
            SGD(learning_rate=0.1, weight_decay=0.5, decoupled=decoupled),
            (0.0,) * 10,
            start=1.0,
        )
        np.testing.assert_allclose(
            path[[0, 1, 9]], (0.95, 0.9025, 0.5987369392), atol=1e-10
        )
