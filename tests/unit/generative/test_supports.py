"""Densities at and beyond the edge of the support, draws of small concentrations, arguments that are no parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats as st

import deltarule as dr
from deltarule import generative as g
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative import bijectors as b
from support.oracles import td, torch

INF, NAN = math.inf, math.nan
DEVICES = ("cpu", "reference")


def density(distribution: g.Distribution, value: Any, device: str) -> Any:
    return dr.jit(lambda x: distribution.log_prob(x), device=device)(
        np.asarray(value, np.float64)
    ).numpy()


EDGES: list[tuple[g.Distribution, list[float], Any]] = [
    (g.Gamma(2.0, 1.0), [-1.0, 0.0, INF, -INF, NAN], [-INF, -INF, -INF, -INF, NAN]),
    (g.Gamma(1.0, 3.0), [0.0, -1e-9], [math.log(3), -INF]),
    (g.Gamma(0.5, 1.0), [0.0], [INF]),
    (
        g.Beta(1.0, 1.0),
        [0.0, 1.0, -0.1, 1.1, INF, -INF, NAN],
        [0.0, 0.0, -INF, -INF, -INF, -INF, NAN],
    ),
    (g.Beta(1.0, 3.0), [0.0, 1.0], [math.log(3), -INF]),
    (g.Beta(2.0, 1.0), [0.0, 1.0], [-INF, math.log(2)]),
    (g.Beta(0.5, 0.5), [0.0, 1.0], [INF, INF]),
    (
        g.Poisson(2.0),
        [-1.0, 1.5, INF, -INF, NAN, 0.0],
        [-INF, -INF, -INF, -INF, NAN, -2.0],
    ),
    (g.Bernoulli(3.0), [2.0, -1.0, INF, -INF, NAN], [-INF, -INF, -INF, -INF, NAN]),
    (g.Bernoulli(INF), [1.0, 0.0], [0.0, -INF]),
    (g.Bernoulli(-INF), [1.0, 0.0], [-INF, 0.0]),
    (g.Normal(0.0, 1.0), [INF, -INF, NAN], [-INF, -INF, NAN]),
    (g.Laplace(0.0, 1.0), [INF, -INF, NAN], [-INF, -INF, NAN]),
    (
        g.Transformed(g.Normal(0.0, 1.0), b.Exp()),
        [-1.0, 0.0, INF, -INF, NAN],
        [-INF, -INF, -INF, -INF, NAN],
    ),
    (
        g.Transformed(g.Normal(0.0, 1.0), b.Softplus()),
        [-1.0, 0.0, INF, NAN],
        [-INF, -INF, -INF, NAN],
    ),
    (
        g.Transformed(g.Normal(0.0, 1.0), b.Interval()),
        [-1.0, 0.0, 1.0, 2.0, NAN],
        [-INF, -INF, -INF, -INF, NAN],
    ),
    (
        g.Transformed(g.Normal(0.0, 1.0), b.Affine(1.0, 2.0)),
        [INF, -INF, NAN],
        [-INF, -INF, NAN],
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("ours", "values", "wanted"), EDGES, ids=lambda v: repr(v)[:20]
)
def test_single_numbers_at_and_beyond_the_edge(
    device: str, ours: g.Distribution, values: list[float], wanted: list[float]
) -> None:
    np.testing.assert_allclose(
        density(ours, values, device), wanted, rtol=1e-6, atol=2e-6
    )
    np.testing.assert_allclose(
        ours.log_prob(np.array(values)).numpy(), wanted, rtol=1e-6, atol=2e-6
    )


POINTS: list[tuple[g.Distribution, Any, float]] = [
    (g.Dirichlet([1.0, 1.0, 1.0]), [0.0, 0.0, 1.0], math.log(2)),
    (g.Dirichlet([1.0, 2.0, 1.0]), [0.5, 0.0, 0.5], -INF),
    (g.Dirichlet([1.0, 1.0]), [5.0, 5.0], -INF),
    (g.Dirichlet([2.0, 2.0]), [-0.5, 1.5], -INF),
    (g.Dirichlet([2.0, 2.0]), [NAN, 0.5], NAN),
    (g.Multinomial(3, [0.0, 0.0]), [0.5, 2.5], -INF),
    (g.Multinomial(3, [0.0, 0.0]), [-1.0, 4.0], -INF),
    (g.Multinomial(3, [0.0, 0.0]), [1.0, 1.0], -INF),
    (g.Multinomial(3, [0.0, 0.0]), [NAN, 2.0], NAN),
    (g.Multinomial(3, [0.0, -INF]), [3.0, 0.0], 0.0),
    (g.Multinomial(3, [0.0, -INF]), [2.0, 1.0], -INF),
    (
        g.Transformed(g.DiagonalNormal([0.0, 0.0], [1.0, 1.0]), b.StickBreaking()),
        [0.5, 0.6, 0.1],
        -INF,
    ),
    (
        g.Transformed(g.DiagonalNormal([0.0, 0.0], [1.0, 1.0]), b.StickBreaking()),
        [-0.5, 1.0, 0.5],
        -INF,
    ),
    (
        g.Transformed(g.DiagonalNormal([0.0, 0.0], [1.0, 1.0]), b.Exp()),
        [1.0, -1.0],
        -INF,
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("ours", "value", "wanted"), POINTS, ids=lambda v: repr(v)[:20]
)
def test_points_at_and_beyond_the_edge(
    device: str, ours: g.Distribution, value: Any, wanted: float
) -> None:
    np.testing.assert_allclose(
        density(ours, value, device), wanted, rtol=1e-6, atol=1e-12
    )


def test_edges_are_scipys() -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.inf])
    for a in (0.5, 1.0, 2.0):
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = np.where(x == np.inf, -np.inf, st.gamma(a, scale=1 / 1.5).logpdf(x))
            np.testing.assert_allclose(
                g.Gamma(np.float64(a), 1.5).log_prob(x).numpy(), exact, rtol=1e-12
            )
            for c in (0.5, 1.0, 3.0):
                found = g.Beta(np.float64(a), c).log_prob(x).numpy()
                np.testing.assert_allclose(
                    found, st.beta(a, c).logpdf(x), rtol=1e-12, atol=1e-14
                )


def test_gradients_stay_finite_beside_the_edge() -> None:
    a = dr.parameter(np.array([2.0, 2.0]))
    slope = dr.grad(g.Gamma(a, 1.0).log_prob(np.array([-1.0, 1.0])).sum(), [a])[
        0
    ].numpy()
    assert slope[0] == 0 and np.isfinite(slope).all()
    mean = dr.parameter(np.array([0.0, 0.0]))
    log_normal = g.Transformed(g.Normal(mean, 1.0), b.Exp())
    np.testing.assert_allclose(
        dr.grad(log_normal.log_prob(np.array([-1.0, np.e])).sum(), [mean])[0].numpy(),
        [0, 1],
    )


def test_labels_that_are_none() -> None:
    q = g.Categorical([0.0, 0.0, 1.0])
    for bad in (1.7, 5, -1, np.nan):
        with pytest.raises(
            ArgumentError, match=r"Categorical value: expected labels 0 … 2, got"
        ):
            q.log_prob(bad)
    for device in DEVICES:
        found = dr.jit(lambda x: q.log_prob(x), device=device)(
            np.array([5, -1, 2])
        ).numpy()
        np.testing.assert_allclose(found, [-INF, -INF, q.log_prob(2).item()], rtol=1e-6)
        found = dr.jit(lambda x: q.log_prob(x), device=device)(
            np.array([1.7, INF, -INF, NAN, 2.0])
        ).numpy()
        np.testing.assert_allclose(
            found, [-INF, -INF, -INF, NAN, q.log_prob(2).item()], rtol=1e-6
        )


def test_certain_choices_have_the_limits_of_entropy_and_divergence() -> None:
    certain, fair = g.Categorical([0.0, -INF]), g.Categorical([0.0, 0.0])
    assert certain.entropy().item() == 0 and g.kl_divergence(
        certain, fair
    ).item() == pytest.approx(math.log(2))
    assert (
        g.kl_divergence(fair, certain).item() == INF
        and g.kl_divergence(certain, certain).item() == 0
    )
    half = g.Categorical([0.0, 0.0, -INF])
    assert half.entropy().item() == pytest.approx(math.log(2))
    assert g.Multinomial(2, [0.0, -INF]).entropy().item() == pytest.approx(
        0.0, abs=1e-6
    )
    for z in (INF, -INF):
        sure, even = g.Bernoulli(z), g.Bernoulli(0.0)
        assert sure.entropy().item() == 0 and g.kl_divergence(
            sure, even
        ).item() == pytest.approx(math.log(2))
        assert (
            g.kl_divergence(even, sure).item() == INF
            and g.kl_divergence(sure, sure).item() == 0
        )
    assert g.kl_divergence(g.Bernoulli(INF), g.Bernoulli(-INF)).item() == INF
    z = np.array([-2.0, 0.3, 5.0])
    np.testing.assert_allclose(
        g.Bernoulli(z).entropy().numpy(),
        td.Bernoulli(logits=torch.tensor(z)).entropy().numpy(),
    )


@pytest.mark.parametrize(
    "ours",
    [b.Identity(), b.Affine(1.0, -2.0), b.Exp(), b.Softplus(), b.Interval(-1.0, 30.0)],
    ids=str,
)
def test_bijectors_take_numbers_lists_and_arrays(ours: b.Bijector) -> None:
    for given in (
        20.0,
        3,
        np.float64(0.5),
        [0.5, 0.25],
        [1, 2],
        np.array([[0.5], [20.0]]),
        np.arange(1, 4),
    ):
        x = np.asarray(given, np.float64)
        y = ours.forward(dr.tensor(x))
        for name, value, wanted in (
            ("forward", given, y),
            ("inverse", given, ours.inverse(dr.tensor(x))),
            ("log_det", given, ours.log_det(dr.tensor(x))),
            ("contains", given, ours.contains(dr.tensor(x))),
        ):
            np.testing.assert_allclose(
                getattr(ours, name)(value).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5
            )
        assert ours.inner(given).shape == x.shape
    assert b.Interval().forward(20.0).item() == np.nextafter(
        np.float32(1), np.float32(0)
    )
    np.testing.assert_allclose(
        b.StickBreaking().forward([0, 0]).numpy(), [1 / 3] * 3, rtol=1e-6
    )
    for name in ("forward", "inverse", "log_det", "contains"):
        with pytest.raises(ShapeError, match="StickBreaking: expected points"):
            getattr(b.StickBreaking(), name)(0.5)


def test_interval_is_strictly_inside() -> None:
    for dtype in ("float32", "float64"):
        for low, high in ((0.0, 1.0), (-1.0, 3.0), (1e3, 1e3 + 1)):
            y = (
                b.Interval(low, high)
                .forward(dr.tensor(np.array([-1e3, -40, 0, 40, 1e3], dtype)))
                .numpy()
            )
            assert ((y > low) & (y < high)).all() and y[2] == (low + high) / 2


def test_variance_of_a_mixture_does_not_cancel() -> None:
    assert (
        g.Mixture([0.0, 0.0], g.Normal([3000.0, 3000.0], [0.5, 0.5])).variance.item()
        == 0.25
    )
    apart = g.Mixture(
        np.array([0.0, 1.0]), g.Normal(np.array([1e6, 1e6 + 2]), np.array([0.5, 0.25]))
    )
    w = np.exp([0.0, 1.0]) / np.exp([0.0, 1.0]).sum()
    assert apart.variance.item() == pytest.approx(
        w @ [0.25, 0.0625] + w[0] * w[1] * 4, rel=1e-9
    )
    many = g.Mixture(
        [[0.0, 0.0]],
        g.DiagonalNormal([[[1.0, 2.0], [3.0, 2.0]]], [[[1.0, 1.0], [1.0, 2.0]]]),
    )
    np.testing.assert_allclose(many.variance.numpy(), [[2.0, 2.5]])


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("p", "q"),
    [(0.01, 0.01), (0.02, 0.02), (0.001, 0.001), (27.0, 0.04), (0.3, 2.0), (5.0, 3.0)],
)
def test_beta_draws_of_small_concentrations_are_beta_draws(
    p: float, q: float, dtype: str
) -> None:
    kind = np.dtype(dtype).type
    x = g.Beta(kind(p), kind(q)).sample((20_000,), seed=3).numpy()
    assert x.dtype == dtype and (x > 0).all() and (x < 1).all()
    assert np.isfinite(g.Beta(kind(p), kind(q)).log_prob(x).numpy()).all()
    exact = st.beta(p, q)
    for cut in (
        1e-30,
        1e-6,
        0.1,
        0.4,
        0.6,
        0.9,
        1 - 1e-6,
    ):  # whole shares of what the type can tell apart
        share = exact.cdf(cut)
        assert (
            abs((x <= cut).mean() - share)
            < 4.5 * math.sqrt(share * (1 - share) / 20_000) + 1e-9
        ), cut
    middle = x[(x > 1e-5) & (x < 1 - 1e-5)].astype("float64")
    if len(middle) > 50:
        low, high = exact.cdf(1e-5), exact.cdf(1 - 1e-5)
        assert (
            st.kstest((exact.cdf(middle) - low) / (high - low), "uniform").pvalue > 1e-4
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a", [0.01, 0.1, 0.5, 1.0, 3.0])
def test_gamma_draws_of_small_concentrations(a: float, dtype: str) -> None:
    kind = np.dtype(dtype).type
    x = g.Gamma(kind(a), kind(2.0)).sample((20_000,), seed=5).numpy()
    assert (x > 0).all() and np.isfinite(
        g.Gamma(kind(a), kind(2.0)).log_prob(x).numpy()
    ).all()
    exact = st.gamma(a, scale=0.5)
    for cut in (1e-35, 1e-20, 1e-8, 1e-3, 0.1, 1.0):
        share = exact.cdf(cut)
        assert (
            abs((x <= cut).mean() - share)
            < 4.5 * math.sqrt(share * (1 - share) / 20_000) + 1e-9
        )
    large = x[x > 1e-6].astype("float64")
    assert (
        st.kstest(
            (exact.cdf(large) - exact.cdf(1e-6)) / exact.sf(1e-6), "uniform"
        ).pvalue
        > 1e-4
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "alpha", [[0.01, 0.01, 0.01], [0.001, 0.5, 0.02], [3.0, 1.0, 0.1]]
)
def test_dirichlet_draws_of_small_concentrations(
    alpha: list[float], dtype: str
) -> None:
    q = g.Dirichlet(np.array(alpha, dtype))
    x = q.sample((20_000,), seed=9).numpy()
    assert (x > 0).all() and np.isfinite(q.log_prob(x).numpy()).all()
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-5)
    for k, own in enumerate(alpha):  # each element is a beta number
        exact = st.beta(own, sum(alpha) - own)
        for cut in (1e-6, 0.1, 0.5, 0.9):
            share = exact.cdf(cut)
            assert (
                abs((x[:, k] <= cut).mean() - share)
                < 4.5 * math.sqrt(share * (1 - share) / 20_000) + 1e-9
            )


def test_logarithms_pass_the_implicit_gradient() -> None:
    """d E[x]/da of Beta(a, c) through the draws, also for small a."""
    for p, q in ((0.1, 0.2), (2.0, 3.0)):
        a = dr.parameter(np.full(40_000, p))
        x = g.Beta(a, np.float64(q)).rsample((), seed=1)
        slope = dr.grad(x.sum(), [a])[0].numpy()
        exact = q / (p + q) ** 2
        assert abs(slope.mean() - exact) < 5 * slope.std() / 200


def test_slopes_of_entropies_are_finite_where_choices_are_certain() -> None:
    """∂H/∂z = −p(ln p + H), 0 where p is 0."""
    z = np.array([0.0, 1.0, -INF])
    p = np.array([1, math.e, 0]) / (1 + math.e)
    entropy = -np.sum(p[:2] * np.log(p[:2]))
    wanted = np.append(-p[:2] * (np.log(p[:2]) + entropy), 0.0)
    logits = dr.parameter(z)
    np.testing.assert_allclose(
        dr.grad(g.Categorical(logits).entropy(), [logits])[0].numpy(), wanted, rtol=1e-9
    )
    once = dr.grad(g.Multinomial(1, logits).entropy(), [logits])[0].numpy()
    np.testing.assert_allclose(once, wanted, rtol=1e-6, atol=1e-9)
    for value in (INF, -INF, 0.3):
        logit = dr.parameter(np.array(value))
        slope = dr.grad(g.Bernoulli(logit).entropy(), [logit])[0].item()
        chance = 1 / (1 + math.exp(-value))
        assert slope == pytest.approx(
            0.0 if math.isinf(value) else -value * chance * (1 - chance)
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda bad: g.Normal(np.float64(0.0), [bad]),
        lambda bad: g.Laplace([0.0], np.array([bad])),
        lambda bad: g.Gamma(np.float64(1.0), [bad]),
        lambda bad: g.Gamma(bad, 1.0),
        lambda bad: g.Beta([bad], np.float64(1.0)),
        lambda bad: g.Dirichlet([bad, 2]),
        lambda bad: g.Poisson(np.array(bad)),
        lambda bad: g.Categorical.of([1, bad]),
        lambda bad: g.DiagonalNormal(np.zeros(1), [bad]),
        lambda bad: g.FullNormal(np.zeros(1), factor=[[bad]]),
        lambda bad: g.LowRankNormal([0.0, 0.0], np.ones((2, 1)), [bad, 1.0]),
        lambda bad: g.FullNormal([0.0], covariance=np.array([[bad]])),
    ],
)
@pytest.mark.parametrize("bad", [0, -1, -1.5])
def test_parameters_are_checked_in_whatever_type_they_come(
    make: Any, bad: float
) -> None:
    with pytest.raises(
        ArgumentError, match=r"expected (numbers|a diagonal) (> 0|in \(0, 1\))"
    ):
        make(bad)


def test_matrices_of_whole_numbers_are_checked() -> None:
    for arguments, message in (
        ({"factor": [[1, 2], [2, 1]]}, "lower triangle"),
        ({"covariance": [[1, 2], [2, 1]]}, "positive definite"),
        ({"covariance": [[2, 1], [0, 2]]}, "symmetric"),
        ({"factor": np.array([[1, 0], [1, -1]])}, "a diagonal > 0"),
    ):
        with pytest.raises(ArgumentError, match=message):
            g.FullNormal(np.zeros(2), **arguments)
    assert g.FullNormal([0, 0], factor=[[1, 0], [1, 2]]).covariance.tolist() == [
        [1, 1],
        [1, 5],
    ]


# ---------------------------------------------------------------- normals of vectors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": [[1.0, 0.5], [0.3, 1.0]]}, "factor: expected a lower triangle"),
        ({"factor": [[1.0, 0.0], [0.3, -1.0]]}, "factor: expected a diagonal > 0"),
        ({"factor": [[1.0, 0.0], [0.3, 0.0]]}, "factor: expected a diagonal > 0"),
        ({"factor": [[1.0, 0.0], [np.nan, 1.0]]}, "factor: expected finite numbers"),
        (
            {"covariance": [[1.0, 0.9], [0.0, 1.0]]},
            "covariance: expected a symmetric matrix",
        ),
        (
            {"covariance": [[1.0, 2.0], [2.0, 1.0]]},
            "covariance: expected a positive definite matrix",
        ),
        (
            {"covariance": [[-1.0, 0.0], [0.0, 1.0]]},
            "covariance: expected a diagonal > 0",
        ),
        (
            {"covariance": [[np.inf, 0.0], [0.0, 1.0]]},
            "covariance: expected finite numbers",
        ),
    ],
)
def test_matrices_that_are_none_of_a_normal_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=f"FullNormal {message}"):
        g.FullNormal([0.0, 0.0], **arguments)
    batch = {name: [np.eye(2), matrix] for name, matrix in arguments.items()}
    with pytest.raises(ArgumentError, match=f"FullNormal {message}"):
        g.FullNormal([0.0, 0.0], **batch)


def test_low_rank_normals_check_theirs_too() -> None:
    for first, last in ((np.nan, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, np.nan)):
        with pytest.raises(ArgumentError, match="LowRankNormal"):
            g.LowRankNormal([0.0, 0.0], [[first], [1.0]], [1.0, last])


def test_a_batch_of_means_has_a_batch_of_covariances() -> None:
    mean = np.zeros((4, 5, 3))
    own = np.array([[1.0, 0, 0], [0.5, 2, 0], [0, 0.1, 1]])
    for q in (
        g.FullNormal(mean, factor=own),
        g.FullNormal(mean, covariance=own @ own.T),
        g.LowRankNormal(mean, own[:, :1], [1.0, 2.0, 3.0]),
        g.DiagonalNormal(mean, [1.0, 2.0, 3.0]),
    ):
        assert q.covariance.shape == (4, 5, 3, 3) and q.variance.shape == (4, 5, 3)
        np.testing.assert_allclose(
            np.diagonal(q.covariance.numpy(), axis1=-2, axis2=-1),
            q.variance.numpy(),
            rtol=1e-12,
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_of_draws_is_the_same_bits_on_every_backend(dtype: str) -> None:
    def uniform() -> dr.Tensor:
        return dr.random_uniform((20_000,), 3, 1, 2, dtype)

    def normal() -> dr.Tensor:
        return dr.random_normal((20_000,), 3, 1, 2, dtype)

    engines = [
        lambda f, device=device: dr.jit(f, device=device)().numpy()
        for device in DEVICES
    ]
    for found in (engine(uniform) for engine in engines):
        np.testing.assert_array_equal(found, uniform().numpy())
    first = normal().numpy().astype("float64")
    for engine in engines:
        found = engine(normal)
        np.testing.assert_array_equal(found, engine(normal))
        units = np.abs(found - first) / np.spacing(
            np.maximum(np.abs(first), 0.1).astype(dtype)
        )
        assert units.max() <= 4
