"""Derivatives of what linear learners minimise against the formulas of the textbook, and epochs on both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from deltarule.learners import (
    Adaline,
    LinearSVM,
    LogisticRegression,
    Perceptron,
    SoftmaxRegression,
)
from deltarule.learners.linear_model import delta_step
from deltarule.learners.linear_model import newton as newton_steps
from deltarule.learners.linear_model.delta_rule import _Criterion
from deltarule.learners.linear_model.delta_step import DeltaRule
from deltarule.learners.linear_model.design import Design
from deltarule.learners.linear_model.margin import _rounded, _RoundedHinge
from deltarule.learners.linear_model.newton import Problem, newton
from deltarule.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    MulticlassHinge,
    SquaredError,
)

R = np.random.default_rng(0)
N, D, K = 30, 5, 3
X = np.column_stack([R.normal(size=(N, D - 1)), np.ones(N)])
LABELS = R.integers(0, K, N)
YES = (LABELS > 0).astype(np.float64)
WEIGHTS = R.uniform(0.1, 2, N)
FREE = np.append(np.ones(D - 1), 0.0)


PENALTY = 0.3 / np.append((X[:, :-1].std(axis=0) ** 2 + 0.3), 1.0) * FREE
SCALED = np.column_stack(
    [
        (X[:, :-1] - X[:, :-1].mean(axis=0))
        / np.hypot(X[:, :-1].std(axis=0), 0.3**0.5),
        np.ones(N),
    ]
)


def problem(
    loss: Any, outputs: int, y: Any, number: float | None = None, at: Any = X[:, :-1]
) -> Problem:
    """Return J on the inputs without their feature 1; ``SCALED`` and ``PENALTY`` are its x̃ and its αⱼ."""
    design = Design.of(at, np.ones(N), True, 0.3)
    return Problem(loss, outputs, design, y, WEIGHTS, design.penalties(0.3), number)


@pytest.mark.notes("CM-24", "CM-26")
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e7])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_logistic_derivatives_are_those_of_the_textbook(
    kind: Any, shift: float
) -> None:
    """J, x̃ᵀ w(σ − y)/N + αθ, and x̃ᵀ w·σ(1 − σ) x̃/N + α, wherever the data lie."""
    random = np.random.default_rng(0)
    theta = random.normal(size=(1, D))
    z = SCALED @ theta[0]
    made = problem(
        BinaryCrossEntropy(),
        1,
        YES,
        at=kind(np.round(X[:, :-1] * 2**20) / 2**20 + shift),
    )
    value, gradient = made.slopes(theta)
    expected = (WEIGHTS * (np.logaddexp(0, z) - YES * z)).mean() + 0.5 * (
        PENALTY * theta**2
    ).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slope = SCALED.T @ (WEIGHTS * (expit(z) - YES)) / N + PENALTY * theta[0]
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-4, atol=1e-6)
    curvature = (
        SCALED * (WEIGHTS * expit(z) * expit(-z))[:, None]
    ).T @ SCALED / N + np.diag(PENALTY)
    np.testing.assert_allclose(made.hessian(), curvature, rtol=1e-4, atol=1e-6)
    exact = problem(BinaryCrossEntropy(), 1, YES)
    np.testing.assert_allclose(exact.slopes(theta)[1][0], slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(exact.hessian(), curvature, rtol=1e-9, atol=1e-12)


@pytest.mark.notes("CM-08")
def test_softmax_derivatives_are_those_of_the_textbook() -> None:
    """(p − 𝟙)ᵀx̃/N, and the product of diag(p) − ppᵀ."""
    random = np.random.default_rng(0)
    theta, v = random.normal(size=(2, K, D))
    p, along = softmax(SCALED @ theta.T, axis=1), SCALED @ v.T
    made = problem(CrossEntropy(), K, LABELS)
    slope = (
        (p - np.eye(K)[LABELS]) * WEIGHTS[:, None]
    ).T @ SCALED / N + PENALTY * theta
    np.testing.assert_allclose(made.slopes(theta)[1], slope, rtol=1e-9, atol=1e-12)
    bent = p * (along - (p * along).sum(axis=1, keepdims=True)) * WEIGHTS[:, None]
    np.testing.assert_allclose(
        made.curvature(v), bent.T @ SCALED / N + PENALTY * v, rtol=1e-9
    )


@pytest.mark.notes("CM-11", "CM-14")
@pytest.mark.parametrize(
    ("loss", "number"), [(MulticlassHinge(squared=True), None), (_rounded, 0.1)]
)
def test_hinge_derivatives_are_differences(loss: Any, number: Any) -> None:
    random = np.random.default_rng(0)
    theta, v = random.normal(size=(2, K, D))
    made, h = problem(loss, K, LABELS, number), 1e-6
    (above, ahead), (below, behind) = (made.slopes(theta + t * v) for t in (h, -h))
    gradient = made.slopes(theta)[1]
    np.testing.assert_allclose(
        (gradient * v).sum(), (above - below) / (2 * h), rtol=1e-6
    )
    np.testing.assert_allclose(
        made.curvature(v), (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-6
    )


def test_the_rounded_hinge_is_near_the_hinge() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(N, K))
    gaps = 1 + scores - scores[np.arange(N), LABELS][:, None]
    gaps[np.arange(N), LABELS] = 0
    slack = np.maximum(0, gaps)
    for r in (1.0, 0.01):
        expected = np.where(slack < r, slack**2 / (2 * r), slack - r / 2).sum(axis=1)
        found = _RoundedHinge(rounding=r, reduction="none")(scores, LABELS).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        assert (np.abs(found - slack.sum(axis=1)) <= (K - 1) * r / 2 + 1e-12).all()


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    "loss", [CrossEntropy(), MulticlassHinge(squared=True), _RoundedHinge(rounding=0.1)]
)
@pytest.mark.parametrize("outputs", [2, K])
def test_the_hessian_is_that_of_its_products(
    loss: Any, outputs: int, kind: Any
) -> None:
    random = np.random.default_rng(0)
    theta, v = random.normal(size=(2, outputs, D))
    made = problem(loss, outputs, np.minimum(LABELS, outputs - 1), at=kind(X[:, :-1]))
    made.slopes(theta)
    matrix, product = made.hessian(), made.curvature(v)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        (matrix @ v.ravel()).reshape(v.shape), product, rtol=1e-10, atol=1e-12
    )


def test_newton_takes_the_same_way_with_the_hessian_and_with_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for limit in (0, 10**9):
        monkeypatch.setattr(newton_steps, "_WORTH_A_MATRIX_OF_SEVERAL", limit)
        found.append(
            newton(problem(CrossEntropy(), K, LABELS), np.zeros((K, D)), 100, 1e-10)
        )
    np.testing.assert_allclose(found[0].phi, found[1].phi, rtol=1e-8, atol=1e-10)


@pytest.mark.notes("CM-09", "CM-14")
@pytest.mark.parametrize("alpha", [1e-3, 0.1])
def test_a_hinge_is_minimised_as_a_quadratic_program_would_be(alpha: float) -> None:
    """SLSQP on slack variables: min mean Σ s + ½α‖Θ‖², s ≥ 1 + a_j − a_y, s ≥ 0; rounding costs 2⁻¹¹(K − 1) at most."""
    x, y = X[:, :-1], LABELS
    learner = LinearSVM(loss="hinge", alpha=alpha).fit(x, y)
    wrong = np.arange(K) != y[:, None]

    def gaps(theta: Any) -> Any:
        scores = X @ theta.reshape(K, D).T
        return (1 + scores - scores[np.arange(N), y][:, None])[wrong]

    def value(both: Any) -> float:
        return float(
            both[K * D :].sum() / N
            + 0.5 * alpha * (both[: K * D].reshape(K, D)[:, :-1] ** 2).sum()
        )

    bounds = [(None, None)] * (K * D) + [(0, None)] * int(wrong.sum())
    start = np.concatenate([np.zeros(K * D), np.ones(int(wrong.sum()))])
    limit = {"type": "ineq", "fun": lambda both: both[K * D :] - gaps(both[: K * D])}
    best = minimize(
        value,
        start,
        bounds=bounds,
        constraints=[limit],
        options={"maxiter": 300, "ftol": 1e-10},
    )
    theta = np.column_stack([learner.coef_, learner.intercept_]).ravel()
    ours = value(np.concatenate([theta, np.maximum(0, gaps(theta))]))
    assert best.success and best.fun - 1e-7 <= ours <= best.fun + (K - 1) * 2.0**-11


@pytest.mark.parametrize(
    "learner",
    [LinearSVM(loss="hinge"), LinearSVM(), SoftmaxRegression(), LogisticRegression()],
)
def test_newton_agrees_on_both_engines(
    learner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (10**9, 0):
        monkeypatch.setattr(newton_steps, "WORTH_COMPILING", limit)
        theta = learner.set_params(alpha=0.1).fit(X[:, :-1], YES)
        found.append(
            np.column_stack(
                [np.atleast_2d(theta.coef_), np.atleast_1d(theta.intercept_)]
            )
        )
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("native", [False, True])
def test_newton_ends_where_no_derivative_is_left(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton_steps, "WORTH_COMPILING", 0 if native else 10**9)
    for loss, outputs, y in (
        (BinaryCrossEntropy(), 1, YES),
        (CrossEntropy(), K, LABELS),
    ):
        start, made = np.zeros((outputs, D)), problem(loss, outputs, y)
        ended = newton(made, start, 100, 1e-10)
        assert np.abs(made.slopes(ended.phi)[1]).max() == ended.slope <= 1e-10
        assert 3 <= ended.steps <= 14 and ended.converged
        one = newton(made, start, 1, 1e-10)
        assert (
            one.steps == 1
            and not one.converged
            and np.abs(one.phi - ended.phi).max() > 1e-4
        )


ERRORS: list[tuple[Any, int, Any]] = [
    (_Criterion(), 1, lambda z, y: y - (z >= 0)),
    (SquaredError(scale=0.5), 1, lambda z, y: y - z),
    (BinaryCrossEntropy(), 1, lambda z, y: y - expit(z)),
    (CrossEntropy(), K, lambda a, y: np.eye(K)[y] - softmax(a)),
    (
        MulticlassHinge(),
        K,
        lambda a, y: -(_wrong(a, y) - _wrong(a, y).sum() * np.eye(K)[y]),
    ),
]


def _wrong(a: Any, y: int) -> Any:
    return ((a - a[y] + 1 > 0) & (np.arange(K) != y)).astype(float)


@pytest.mark.notes("CM-27")
@pytest.mark.parametrize(("loss", "outputs", "error"), ERRORS)
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("native", [False, True])
def test_an_epoch_is_that_of_the_formulas(
    loss: Any,
    outputs: int,
    error: Any,
    batch_size: int,
    native: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two epochs in an order of their own, with a smaller batch at the end (30 = 4·7 + 2)."""
    random = np.random.default_rng(0)
    monkeypatch.setattr(delta_step, "WORTH_COMPILING", 0 if native else 10**9)
    y, order = (YES, LABELS)[outputs > 1], random.permutation(N)
    rule = DeltaRule(
        loss, np.zeros((outputs, D)), (X, y, WEIGHTS), 0.1, 0.3, batch_size
    )
    theta = np.zeros((outputs, D))
    for _ in range(2):
        errors = np.zeros((N, outputs))
        for start in range(0, N, batch_size):
            rows = order[start : start + batch_size]
            for place, i in enumerate(rows, start):
                scores = theta @ X[i]
                errors[place] = error(scores if outputs > 1 else scores[0], y[i])
            part = errors[start : start + batch_size] * WEIGHTS[rows][:, None]
            theta = theta + 0.1 * (part.T @ X[rows] / len(rows) - 0.3 * FREE * theta)
        found = rule.epoch(order)
        np.testing.assert_allclose(found.reshape(N, -1), errors, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(rule.theta, theta, rtol=1e-10, atol=1e-13)


@pytest.mark.notes("CM-17")
def test_the_mistake_log_goes_on_in_native_epochs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With whole numbers there is no rounding: the engines make the same mistakes."""
    x = np.random.default_rng(0).integers(-9, 10, (50, 3))
    y = x @ [3, -2, 1] + 2 > 0
    logs = []
    for limit in (10**9, 120, 0):
        monkeypatch.setattr(delta_step, "WORTH_COMPILING", limit)
        learner = Perceptron(shuffle=True, random_state=0).fit(x, y)
        assert learner.converged_ and learner.n_iter_ > 3
        logs.append(
            (learner.mistake_log_.tolist(), learner.coef_.tolist(), learner.intercept_)
        )
    assert logs[0] == logs[1] == logs[2]


@pytest.mark.parametrize(
    "learner",
    [
        Adaline(max_iter=30),
        LogisticRegression(solver="delta", max_iter=30),
        SoftmaxRegression(solver="delta", batch_size=4, max_iter=30),
    ],
)
def test_fits_agree_on_both_engines(
    learner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (10**9, 0):
        monkeypatch.setattr(delta_step, "WORTH_COMPILING", limit)
        found.append(learner.fit(X[:, :-1], YES).coef_)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


@pytest.mark.parametrize(
    "learner",
    [LogisticRegression(), SoftmaxRegression(), LinearSVM(), LinearSVM(loss="hinge")],
    ids=str,
)
def test_newton_says_that_its_steps_were_too_few(learner: Any) -> None:
    y = YES if isinstance(learner, LogisticRegression) else LABELS
    with pytest.warns(
        ConvergenceWarning,
        match=f"{type(learner).__name__} has not converged in max_iter=1 ",
    ) as caught:
        clone(learner).set_params(max_iter=1).fit(X, y)
    assert caught[0].filename == __file__
    assert clone(learner).fit(X, y).n_iter_ > 1  # and no warning
    assert (
        clone(learner).set_params(max_iter=1, solver="delta").fit(X, y).n_iter_ == 1
    )  # epochs, as many as asked for
