"""Whether a fit that says "converged" is within its tolerance of the best normal, by quadrature."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize as so

import deltarule as dr
from deltarule import generative as g

Values = dict[str, dr.Tensor]
Function = Callable[[Any], Any]

NODES = np.linspace(-10, 10, 4001)
WEIGHTS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()


def softplus(z: dr.Tensor) -> dr.Tensor:
    return dr.maximum(z, 0.0) + dr.log1p(dr.exp(-abs(z)))


def student(nu: float, centre: float = 0.0) -> tuple[Function, Function]:
    power = (nu + 1) / 2
    return (
        lambda z: dr.log1p((z - centre) * (z - centre) / nu) * -power,
        lambda z: -power * np.log1p((z - centre) ** 2 / nu),
    )


def normal(mean: float, deviation: float) -> tuple[Function, Function]:
    def log_density(z: Any) -> Any:
        return ((z - mean) / deviation) * ((z - mean) / deviation) * -0.5

    return log_density, log_density


def two_normals(distance: float) -> tuple[Function, Function]:
    def log_density(z: dr.Tensor) -> dr.Tensor:
        size = abs(z) * distance
        return z * z * -0.5 + size + dr.log1p(dr.exp(size * -2.0))

    return (
        log_density,
        lambda z: -0.5 * z * z + np.logaddexp(distance * z, -distance * z),
    )


# ln p for tensors, and the same for arrays
TARGETS: dict[str, tuple[Function, Function]] = {
    "standard normal": normal(0.0, 1.0),
    "narrow normal far away": normal(1000.0, 0.01),
    "wide normal": normal(-30.0, 50.0),
    "Student 0.5": student(0.5),
    "Cauchy": student(1.0),
    "Student 2": student(2.0),
    "Student 5 at 3": student(5.0, 3.0),
    "logistic": (
        lambda z: -z - softplus(-z) * 2.0,
        lambda z: -z - 2 * np.logaddexp(0, -z),
    ),
    "smooth Laplace": (
        lambda z: -dr.sqrt(z * z + 0.01),
        lambda z: -np.sqrt(z * z + 0.01),
    ),
    "half z minus exp z": (
        lambda z: z * 0.5 - dr.exp(z),
        lambda z: 0.5 * z - np.exp(z),
    ),
    "Gumbel": (lambda z: -z - dr.exp(-z), lambda z: -z - np.exp(-z)),
    "log gamma 5": (lambda z: z * 5.0 - dr.exp(z), lambda z: 5 * z - np.exp(z)),
    "log gamma 0.1": (lambda z: z * 0.1 - dr.exp(z), lambda z: 0.1 * z - np.exp(z)),
    "skew logistic normal": (
        lambda z: z * z * -0.5 - softplus(z * -4.0),
        lambda z: -0.5 * z * z - np.logaddexp(0, -4 * z),
    ),
    "flat 4": (lambda z: -((z / 3.0) ** 4), lambda z: -((z / 3) ** 4)),
    "flat 6": (lambda z: -((z / 3.0) ** 6), lambda z: -((z / 3) ** 6)),
    "flat 10": (lambda z: -((z / 3.0) ** 10), lambda z: -((z / 3) ** 10)),
    "two near normals": two_normals(1.0),
    "two normals": two_normals(3.0),
}
HARD = {"log gamma 0.1", "flat 10", "flat 6"}  # the mean of ln p is one of rare samples


@np.errstate(over="ignore", invalid="ignore")
def elbo(target: Function, mean: float, deviation: float) -> float:
    return float(WEIGHTS @ target(mean + deviation * NODES)) + math.log(deviation)


def gap(target: Function, mean: float, deviation: float) -> float:
    """Return the ELBO of the best normal near this one, less its own."""
    here = elbo(target, mean, deviation)

    def loss(theta: Any) -> float:
        value = elbo(
            target, mean + deviation * theta[0], deviation * math.exp(theta[1])
        )
        return here - value if math.isfinite(value) else math.inf

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 2000}
    found = so.minimize(loss, np.zeros(2), method="Nelder-Mead", options=options)
    return max(0.0, -float(found.fun))


def fitted(
    log_joint: Callable[[Values], dr.Tensor], d: int, **options: Any
) -> g.VariationalFit:
    """Return the fit, after a warning if and only if it has not converged."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit = g.fit_variational(log_joint, variables={"z": (d,)}, **options)
    assert [str(w.message)[:33] for w in told] == (
        [] if fit.converged else ["fit_variational has not converged"]
    )
    assert fit.converged == (fit.gap <= options["tolerance"] + 1e-9)
    return fit


def check(name: str, family: str, tolerance: float, seed: int) -> bool:
    """Assert that a fit that says it converged did; return whether it says so."""
    target, exact = TARGETS[name]
    fit = fitted(
        lambda v: target(v["z"]).sum(-1),
        1,
        family=family,
        tolerance=tolerance,
        seed=seed,
    )
    q = fit.distribution()
    mean, deviation = q.mean.item(), math.sqrt(q.variance.item())
    true = gap(exact, mean, deviation)
    assert name in HARD or true <= fit.gap + 1e-9
    if fit.converged:
        assert true <= tolerance
    return fit.converged


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "log gamma 0.1"])
def test_converged_is_within_the_tolerance(name: str) -> None:
    says = check(name, "mean_field", 1e-2, seed=0)
    assert says or name in HARD
    assert name in HARD or check(name, "full", 1e-3, seed=0)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("Cauchy", 1e-4), ("half z minus exp z", 1e-3)]
)
def test_few_samples_do_not_look_converged(name: str, tolerance: float) -> None:
    """Of heavy tails and skewed posteriors the Fisher metric underestimates the gap, up to tenfold."""
    assert all(check(name, "mean_field", tolerance, seed) for seed in range(4))


def test_a_saddle_is_no_maximum() -> None:
    """Between two modes on a diagonal the gradient of independent variables is 0 by symmetry."""
    distance = 3.0

    def log_joint(v: Values) -> dr.Tensor:
        z = v["z"]
        size = abs(z.sum(-1)) * distance
        return (z * z).sum(-1) * -0.5 + size + dr.log1p(dr.exp(size * -2.0))

    fit = fitted(log_joint, 2, tolerance=1e-2)
    assert fit.converged
    np.testing.assert_allclose(abs(fit.distribution().mean.numpy()), distance, atol=0.2)


def product(names: list[str]) -> Callable[[Values], dr.Tensor]:
    def log_joint(v: Values) -> dr.Tensor:
        parts = [TARGETS[name][0](v["z"][:, i]) for i, name in enumerate(names)]
        return sum(parts[1:], parts[0])

    return log_joint


PRODUCTS = [
    ["Cauchy", "standard normal"],
    ["logistic", "Gumbel", "narrow normal far away"],
    ["Student 2", "smooth Laplace", "log gamma 5", "two near normals"],
    ["wide normal", "flat 4", "Student 5 at 3", "logistic", "skew logistic normal"],
]


def check_product(names: list[str], family: str, tolerance: float, seed: int) -> bool:
    """As ``check``; the best normal of a product is the product of the best ones."""
    d = len(names)
    fit = fitted(product(names), d, family=family, tolerance=tolerance, seed=seed)
    q = fit.distribution()
    mean, covariance = q.mean.numpy(), q.covariance.numpy()
    deviations = np.sqrt(np.diag(covariance))
    # E[ln p] sees the marginal distributions alone, the entropy also correlations
    correlated = np.linalg.slogdet(covariance / np.outer(deviations, deviations))[1]
    parts = [
        gap(TARGETS[name][1], mean[i], deviations[i]) for i, name in enumerate(names)
    ]
    true = sum(parts) - 0.5 * float(correlated)
    assert true <= fit.gap + 1e-9
    if fit.converged:
        assert true <= tolerance
    return fit.converged


@pytest.mark.parametrize("names", PRODUCTS, ids=len)
def test_products_are_within_the_tolerance(names: list[str]) -> None:
    assert check_product(names, "full", 1e-2, seed=0)
    assert check_product(names, "mean_field", 1e-3, seed=1)


@pytest.mark.parametrize("options", [{"family": "low_rank"}, {"gradient": "score"}])
@pytest.mark.parametrize("name", ["Cauchy", "half z minus exp z", "flat 10"])
def test_stochastic_steps_are_within_the_tolerance(
    name: str, options: dict[str, Any]
) -> None:
    target, exact = TARGETS[name]
    fit = fitted(
        lambda v: target(v["z"]).sum(-1),
        1,
        tolerance=1e-2,
        max_steps=4000,
        **options,
    )
    q = fit.distribution()
    true = gap(exact, q.mean.item(), math.sqrt(q.variance.item()))
    assert true <= fit.gap
    assert true <= 1e-2 or not fit.converged


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mean_field", "full"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("name", TARGETS)
def test_converged_is_within_the_tolerance_for_many_seeds(
    name: str, tolerance: float, family: str
) -> None:
    says = [check(name, family, tolerance, seed) for seed in range(5)]
    assert all(says) or name in HARD


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mean_field", "full"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("names", PRODUCTS, ids=len)
def test_products_are_within_the_tolerance_for_many_seeds(
    names: list[str], tolerance: float, family: str
) -> None:
    says = [check_product(names, family, tolerance, seed) for seed in range(5)]
    # A bound of 1e-4 on the covariances of several heavy tails may need more samples than are drawn.
    hard = family == "full" and tolerance < 1e-3 and len(names) > 2
    assert all(says) or hard
