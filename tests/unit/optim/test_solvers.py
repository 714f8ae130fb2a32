"""Minimisers of functions of a few variables, against SciPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

import deltarule as dr
from deltarule import optim
from deltarule.errors import ArgumentError, DivergenceError, ShapeError
from deltarule.optim.line_search import (
    CURVATURE,
    SUFFICIENT_DECREASE,
    descend_convex,
    strong_wolfe,
)
from deltarule.tensor.tensor import Tensor, tensor


def rosenbrock(x: Tensor) -> Tensor:
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    return (a * a * 100.0 + b * b).sum()


START = [-1.2, 1.0, -0.5, 2.0, 0.3]


def _logistic() -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(4)
    x = generator.normal(size=(60, 4))
    y = (
        generator.random(60) < 1 / (1 + np.exp(-x @ np.array([1.0, -2.0, 0.5, 0.0])))
    ).astype(float)
    return tensor(x), tensor(y)


def _negative_log_likelihood(w: Tensor) -> Tensor:
    from deltarule.tensor.functional import binary_cross_entropy

    x, y = _logistic()
    return binary_cross_entropy(x @ w, y).sum() + (w * w).sum() * 0.5


@pytest.mark.parametrize("solver", [optim.lbfgs, optim.newton])
def test_rosenbrock_is_minimised_to_the_last_digits(solver: object) -> None:
    found = solver(rosenbrock, START)  # type: ignore[operator]  # both solvers take (function, start)
    assert found.converged
    assert found.gradient_norm <= 1e-8
    np.testing.assert_allclose(found.x, np.ones(5), atol=1e-8)
    assert np.all(np.diff(found.values) <= 1e-15)
    assert len(found.path) == found.steps + 1 == len(found.values)
    np.testing.assert_array_equal(found.path[0], START)


def test_lbfgs_finds_scipys_minimum_in_a_comparable_number_of_steps() -> None:
    theirs = optimize.minimize(
        optimize.rosen,
        START,
        jac=optimize.rosen_der,
        method="L-BFGS-B",
        options={"gtol": 1e-9},
    )
    ours = optim.lbfgs(rosenbrock, START, tolerance=1e-8)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)
    assert ours.steps <= 1.5 * theirs.nit + 5


@pytest.mark.notes("OPT-27")
def test_logistic_regression_by_both_solvers_and_scipy() -> None:
    x, y = (t.numpy() for t in _logistic())
    theirs = optimize.minimize(
        lambda w: np.logaddexp(0, x @ w).sum() - y @ (x @ w) + 0.5 * w @ w,
        np.zeros(4),
        tol=1e-10,
    )
    for solver in (optim.lbfgs, optim.newton):
        found = solver(_negative_log_likelihood, np.zeros(4))
        assert found.converged
        np.testing.assert_allclose(found.x, theirs.x, atol=1e-5)
        assert found.value == pytest.approx(theirs.fun, abs=1e-9)
    assert optim.newton(_negative_log_likelihood, np.zeros(4)).steps <= 8


def test_lists_of_arrays_keep_their_shapes() -> None:
    target = np.arange(6.0).reshape(2, 3)

    def distance(parts: list[Tensor]) -> Tensor:
        w, b = parts
        return ((w - tensor(target)) ** 2).sum() + (b - 4.0) ** 2

    for found in (
        optim.lbfgs(distance, [np.zeros((2, 3)), np.float64(0.0)]),
        optim.newton(distance, [np.zeros((2, 3)), np.float64(0.0)]),
        optim.minimize(
            distance,
            [np.zeros((2, 3)), np.float64(0.0)],
            optim.SGD(learning_rate=0.3),
            steps=80,
        ),
    ):
        assert [part.shape for part in found.x] == [(2, 3), ()]
        np.testing.assert_allclose(found.x[0], target, atol=1e-7)
        np.testing.assert_allclose(found.x[1], 4.0, atol=1e-7)


@pytest.mark.notes("OPT-29", "OPT-34")
def test_newton_goes_to_saddles_unless_it_searches_along_descent() -> None:
    def double_well(x: Tensor) -> Tensor:
        return (x**4).sum() * 0.25 - (x * x).sum() * 0.5

    plain = optim.newton(double_well, [0.2], line_search=False)
    np.testing.assert_allclose(plain.x, [0.0], atol=1e-10)  # a maximum
    searched = optim.newton(double_well, [0.2])
    np.testing.assert_allclose(searched.x, [1.0], atol=1e-8)


def test_newton_says_when_the_hessian_has_no_inverse() -> None:
    with pytest.raises(DivergenceError, match="line_search=True"):
        optim.newton(lambda x: x.sum(), [1.0, 2.0], line_search=False)


def test_divergence_and_wrong_functions_are_refused() -> None:
    with pytest.raises(DivergenceError, match="smaller learning rate"):
        optim.minimize(
            lambda x: (x**4).sum(), [10.0], optim.SGD(learning_rate=1.0), steps=50
        )
    with pytest.raises(ShapeError, match="one number"):
        optim.minimize(lambda x: x, [1.0, 2.0])
    with pytest.raises(ArgumentError, match="memory"):
        optim.lbfgs(rosenbrock, START, memory=0)


@pytest.mark.notes("OPT-41")
def test_minimize_stops_at_the_tolerance() -> None:
    found = optim.minimize(
        lambda x: (x * x).sum(),
        [1.0],
        optim.SGD(learning_rate=0.25),
        steps=1000,
        tolerance=1e-3,
    )
    assert found.converged and found.steps == 11  # ‖∇f‖ = 2·2⁻ᵏ ≤ 10⁻³ first at k = 11
    assert not optim.minimize(
        lambda x: (x * x).sum(), [1.0], steps=3, tolerance=1e-3
    ).converged


def test_parameters_that_the_function_uses_are_constants() -> None:
    shift = dr.parameter(np.array([3.0]), name="shift")
    found = optim.lbfgs(lambda x: ((x - shift) ** 2).sum(), [0.0])
    np.testing.assert_allclose(found.x, [3.0], atol=1e-8)


@pytest.mark.parametrize("first", [1e-6, 0.01, 1.0, 100.0])
def test_line_search_meets_the_strong_wolfe_conditions(first: float) -> None:
    def at(x: np.ndarray) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]  # float64 vectors
        return float(optimize.rosen(x)), optimize.rosen_der(x)

    x = np.array(START)
    value, gradient = at(x)
    found = strong_wolfe(at, x, value, gradient, -gradient, first)
    assert found is not None
    length, new_value, new_gradient = found
    slope = -gradient @ gradient
    assert new_value <= value + SUFFICIENT_DECREASE * length * slope
    assert abs(-gradient @ new_gradient) <= CURVATURE * abs(slope)


def test_no_line_search_upwards() -> None:
    def at(x: np.ndarray) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]  # float64 vectors
        return float(x @ x), 2 * x

    x = np.array([0.0])
    assert strong_wolfe(at, x, 0.0, np.array([0.0]), np.array([1.0]), 1.0) is None


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-8])
def test_a_convex_function_is_lowered_and_one_kink_is_met_at_once(scale: float) -> None:
    """3|x| + x from x = 1 along −1/scale: the tangents at both ends of a long step meet at the kink at 0."""
    calls: list[float] = []

    def at(x: np.ndarray) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]  # float64 vectors
        calls.append(float(x[0]))
        return float(3 * np.abs(x).sum() + x.sum()), 3 * np.sign(x) + 1

    x = np.ones(1)
    found = descend_convex(at, x, *at(x), -x / scale)
    assert found is not None
    length, value, gradient = found
    np.testing.assert_allclose((length, value), (scale, 0), atol=1e-7)
    assert len(calls) <= 5 and gradient.shape == (1,)


def test_no_convex_descent_upwards_or_from_the_minimum() -> None:
    def at(x: np.ndarray) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]  # float64 vectors
        return float(x @ x), 2 * x

    assert descend_convex(at, np.ones(1), *at(np.ones(1)), np.ones(1)) is None
    assert (
        descend_convex(lambda x: (np.inf, x), np.ones(1), 1.0, np.ones(1), -np.ones(1))
        is None
    )
