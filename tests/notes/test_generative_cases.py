"""The worked cases of the notes on probability, autoencoders and variational inference, to their digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats as st
from scipy.integrate import quad

import deltarule as dr
from deltarule import generative as g
from deltarule import learners, nn, optim
from deltarule.generative.special import lgamma
from deltarule.losses import gaussian_nll

PAIRS = {
    "C-VI-01": ((0.0, 1.0), (0.0, 1.0), 0.0),
    "C-VI-02": ((0.0, 2.0), (0.0, 2.0), 0.0),
    "C-VI-03": ((1.0, 2.0), (0.0, 1.0), 1.3068528194400546),
    "C-VI-04": ((0.0, 1.0), (1.0, 2.0), 0.4431471805599453),
    "C-VI-05": ((-1.0, 0.5), (2.0, 1.5), 2.6541678442236654),
}


def _normal(mean: float, deviation: float) -> g.Normal:
    return g.Normal(np.array(mean), np.array(deviation))


@pytest.mark.notes("PR-02", "PR-03", "PR-04", "C-PR-01", "E000-03")
def test_joint_table() -> None:
    joint = dr.tensor(np.array([[0.1, 0.2], [0.3, 0.4]]))
    p_x, p_y = joint.sum(1), joint.sum(0)
    np.testing.assert_allclose(p_x.numpy(), [0.3, 0.7])
    np.testing.assert_allclose(p_y.numpy(), [0.4, 0.6])
    np.testing.assert_allclose((joint[0] / p_x[0]).numpy(), [1 / 3, 2 / 3])
    np.testing.assert_allclose((joint[:, 0] / p_y[0]).numpy(), [0.25, 0.75])
    y_given_x, x_given_y = joint[0, 0] / p_x[0], joint[0, 0] / p_y[0]
    assert (
        (p_x[0] * y_given_x).item() == pytest.approx(0.1) == (p_y[0] * x_given_y).item()
    )
    assert (p_y[0] * y_given_x).item() == pytest.approx(
        0.4 / 3
    )  # the notes' chain rule, which is wrong
    np.testing.assert_allclose(
        dr.logsumexp(dr.log(joint), axis=1).numpy(), np.log([0.3, 0.7])
    )


@pytest.mark.notes("PR-04", "PR-07", "C-PR-02")
def test_posterior_of_two_classes() -> None:
    classes = g.Mixture(np.log([0.5, 0.5]), g.Normal(np.array([0.0, 2.0]), np.ones(2)))
    posterior = classes.responsibilities(np.array([0.0, 1.0, 2.0])).numpy()[:, 1]
    np.testing.assert_allclose(posterior, [0.119202922, 0.5, 0.880797078], atol=1e-9)


@pytest.mark.notes("PR-10", "C-PR-03", "E004-03")
def test_gaussian_model_density() -> None:
    p = g.FullNormal(np.array([0.0, 4.0]), covariance=np.diag([2.0, 0.5]))
    y = np.array([1.0, 2.0])
    assert p.squared_distance(dr.tensor(y) - p.location).item() / 2 == pytest.approx(
        4.25
    )
    assert -p.log_prob(y).item() == pytest.approx(6.087877066409345, abs=1e-12)


@pytest.mark.notes("PR-11", "C-PR-04")
def test_gaussian_likelihood_and_squared_error_have_one_gradient() -> None:
    prediction = dr.parameter(np.array([[1.0, -2.0], [0.5, 3.0]]))
    target = dr.tensor(np.array([[0.0, 1.0], [2.0, 2.0]]))
    nll = gaussian_nll(prediction, target, dr.tensor(np.eye(2))).mean()
    squares = ((prediction - target) * (prediction - target)).sum(-1).mean() * 0.5
    np.testing.assert_allclose(
        dr.grad(nll, [prediction])[0].numpy(), dr.grad(squares, [prediction])[0].numpy()
    )


@pytest.mark.notes("PR-06", "PR-09", "C-PR-05")
def test_maximum_likelihood_of_three_numbers() -> None:
    data = np.array([1.0, 2.0, 6.0])
    best = g.Normal(np.array(3.0), np.array(math.sqrt(14 / 3)))
    nll = -best.log_prob(data).sum().item()
    assert nll == pytest.approx(6.567483161034741, abs=1e-12)
    fitted = g.GaussianMixture(1, reg_covar=0.0).fit(data[:, None])
    assert (fitted.means_.item(), fitted.covariances_.item()) == (
        pytest.approx(3),
        pytest.approx(14 / 3),
    )
    for mean, variance in ((3.1, 14 / 3), (2.9, 14 / 3), (3.0, 5.0), (3.0, 4.0)):
        assert (
            -g.Normal(np.array(mean), np.array(variance**0.5))
            .log_prob(data)
            .sum()
            .item()
            > nll
        )


@pytest.mark.notes("PR-16", "C-PR-06")
def test_naive_bayes_scores() -> None:
    prior, likelihood = (
        g.Categorical.of(np.array([0.6, 0.4])),
        np.array([[0.1, 0.3], [0.4, 0.1]]),
    )
    scores = dr.exp(prior.log_prob([0, 1]) + dr.log(dr.tensor(likelihood)).sum(-1))
    np.testing.assert_allclose(scores.numpy(), [0.018, 0.016])


@pytest.mark.notes("PR-18", "C-PR-07")
def test_variance_of_a_product() -> None:
    w = g.Normal(1.0, 2.0).sample((400_000,), seed=0).numpy()
    h = g.Normal(-1.0, 0.5).sample((400_000,), seed=1).numpy()
    assert (w * h).var() == pytest.approx(1 * 0.25 + 1 * 4 + 4 * 0.25, rel=0.015)


@pytest.mark.notes("PR-12", "PR-15", "C-PR-08")
def test_bernoulli_likelihood() -> None:
    p = g.Bernoulli.of(np.array(0.8))
    np.testing.assert_allclose(dr.exp(p.log_prob([1.0, 0.0])).numpy(), [0.8, 0.2])
    assert -p.log_prob(1.0).item() == pytest.approx(0.2231435513, abs=1e-10)


@pytest.mark.notes("AE-04", "AE-05", "THY-18", "C-AE-01", "C-AE-02", "E003-17")
def test_linear_autoencoder_finds_the_principal_direction() -> None:
    x = np.array([[2.0, 0], [0, 2], [3, 1], [1, 3], [4, 4]], np.float32)
    model = g.Autoencoder(nn.Linear(2, 1, seed=0), nn.Linear(1, 2, seed=1))
    model.fit(
        x,
        optimizer=optim.Adam(learning_rate=0.02),
        epochs=1500,
        batch_size=5,
        verbose=0,
        device="reference",
    )
    assert ((model.reconstruct(x) - x) ** 2).sum() == pytest.approx(8.0, abs=1e-3)
    direction = model.decoder.weight.numpy()[:, 0]
    np.testing.assert_allclose(
        np.abs(direction / np.linalg.norm(direction)), [0.5**0.5] * 2, atol=0.01
    )
    product = model.decoder.weight.numpy() @ model.encoder.weight.numpy()
    np.testing.assert_allclose(product, [[0.5, 0.5], [0.5, 0.5]], atol=0.01)
    covariance = np.cov(x.T, bias=True)
    u = np.array([1, 1]) / math.sqrt(2)
    np.testing.assert_allclose(covariance @ u, 2.4 * u, rtol=1e-6)
    assert u @ covariance @ u == pytest.approx(2.4)


@pytest.mark.notes("AE-03", "C-AE-03")
def test_equal_dimension_copies() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    model = g.Autoencoder(nn.Linear(3, 3), nn.Linear(3, 3))
    for layer in (model.encoder, model.decoder):
        (
            layer.weight.assign(np.eye(3, dtype=np.float32)),
            layer.bias.assign(np.zeros(3, np.float32)),
        )
    assert (
        model.evaluate(x, x, loss="mean_squared_error", device="reference")["loss"]
        == 0.0
    )
    np.testing.assert_array_equal(model.encode(x), x)


@pytest.mark.notes(
    "VI-13", "VI-15", "E003-08", "C-VI-01", "C-VI-02", "C-VI-03", "C-VI-04", "C-VI-05"
)
@pytest.mark.parametrize("case", PAIRS)
def test_divergence_of_two_normals(case: str) -> None:
    first, second, expected = PAIRS[case]
    q, p = _normal(*first), _normal(*second)
    assert g.kl_divergence(q, p).item() == pytest.approx(expected, abs=1e-12)
    a, b = st.norm(*first), st.norm(*second)
    quadrature = quad(
        lambda x: a.pdf(x) * (a.logpdf(x) - b.logpdf(x)), *a.interval(1 - 1e-14)
    )[0]
    assert quadrature == pytest.approx(expected, abs=1e-8)
    estimate = g.monte_carlo_kl(q, p, 20_000, seed=1)
    assert abs(estimate.value - expected) <= 4 * estimate.standard_error


@pytest.mark.notes("VI-14", "C-VI-06")
def test_divergence_to_the_standard_normal() -> None:
    mean, deviation = np.array([0.5, -1.0]), np.array([1.5, 0.5])
    found = g.kl_to_standard_normal(mean, np.log(deviation**2)).item()
    assert found == pytest.approx(1.1626820724517808, abs=1e-12)
    general = g.kl_divergence(
        g.DiagonalNormal(mean, deviation),
        g.FullNormal(np.zeros(2), covariance=np.eye(2)),
    )
    assert general.item() == pytest.approx(1.1626820724517808, abs=1e-12)


@pytest.mark.notes("VI-08", "VI-11", "VI-17", "VI-18", "VI-19", "C-VI-07", "E003-21")
def test_identity_of_the_bound_on_a_conjugate_model() -> None:
    x, log_p = 2.0, g.Normal(np.array(0.0), np.array(math.sqrt(2))).log_prob(2.0).item()
    assert log_p == pytest.approx(-2.265512123484645, abs=1e-12)
    prior, posterior = _normal(0.0, 1.0), _normal(1.0, math.sqrt(0.5))

    def elbo(mean: float, deviation: float) -> float:
        """E_q[ln p(x|z)] − KL(q‖p(z)), in closed form."""
        expected = -0.5 * ((x - mean) ** 2 + deviation**2 + math.log(2 * math.pi))
        return expected - g.kl_divergence(_normal(mean, deviation), prior).item()

    assert elbo(1.0, math.sqrt(0.5)) == pytest.approx(log_p, abs=1e-12)
    assert elbo(0.0, 1.0) == pytest.approx(-3.4189385332046727, abs=1e-12)
    assert g.kl_divergence(_normal(0.0, 1.0), posterior).item() == pytest.approx(
        1.1534264097200277, abs=1e-12
    )
    for mean, deviation in ((0.0, 1.0), (1.5, 0.3), (-1.0, 2.0)):
        gap = g.kl_divergence(_normal(mean, deviation), posterior).item()
        assert (
            log_p - gap == pytest.approx(elbo(mean, deviation), abs=1e-12) and gap > 0
        )


@pytest.mark.notes("VI-07", "VI-17", "C-VI-08", "E003-09")
def test_identity_of_the_bound_with_two_states() -> None:
    prior, likelihood, q = (
        np.array([0.5, 0.5]),
        np.array([0.9, 0.2]),
        g.Categorical.of(np.array([0.7, 0.3])),
    )
    evidence = float(prior @ likelihood)
    posterior = g.Categorical.of(prior * likelihood)
    np.testing.assert_allclose(
        posterior.probabilities.numpy(), [0.8181818182, 0.1818181818], atol=1e-10
    )
    reconstruction = float(np.array([0.7, 0.3]) @ np.log(likelihood))
    to_prior = g.kl_divergence(q, g.Categorical.of(prior)).item()
    to_posterior = g.kl_divergence(q, posterior).item()
    assert (reconstruction, to_prior) == (
        pytest.approx(-0.5565837346907084),
        pytest.approx(0.08228287850505178),
    )
    assert reconstruction - to_prior == pytest.approx(-0.6388666131957603)
    assert to_posterior == pytest.approx(0.04102961244013985)
    assert reconstruction - to_prior + to_posterior == pytest.approx(math.log(evidence))
    assert math.log(evidence) == pytest.approx(-0.5978370007556204)


@pytest.mark.notes("VI-12", "C-VI-09")
def test_reparameterisation() -> None:
    mean, deviation, noise = (
        dr.parameter([1.0, -1.0]),
        dr.parameter([2.0, 0.5]),
        dr.tensor([0.5, 2.0]),
    )
    z = mean + deviation * noise
    assert z.tolist() == [2.0, 0.0]
    to_mean, to_deviation = dr.grad(z.sum(), [mean, deviation])
    assert to_mean.tolist() == [1.0, 1.0] and to_deviation.tolist() == [0.5, 2.0]


@pytest.mark.notes("VI-05", "THY-17", "C-VI-10")
def test_ring() -> None:
    np.testing.assert_allclose(
        g.ring_transform(np.array([3.0, 4.0]), 10.0).numpy(), [0.9, 1.2]
    )
    z = g.Normal(0.0, 1.0).sample((400_000, 2), seed=0)
    radius = g.ring_transform(z, 10.0).norm(axis=-1).numpy()
    np.testing.assert_allclose(radius, 1 + z.norm(axis=-1).numpy() / 10, rtol=1e-5)
    assert radius.mean() == pytest.approx(1.12533141, abs=5e-4)
    assert radius.std() == pytest.approx(0.06551364, abs=4e-4) and radius.min() > 1


@pytest.mark.notes("C-VI-11", "E003-08")
def test_expected_square_is_a_half() -> None:
    q = st.norm(1.0, 2.0)
    assert quad(lambda x: q.pdf(x) * (x - 1) ** 2 / 8, -30, 30)[0] == pytest.approx(0.5)
    x = g.Normal(1.0, 2.0).sample((200_000,), seed=0).numpy()
    assert ((x - 1) ** 2 / 8).mean() == pytest.approx(0.5, abs=0.008)


@pytest.mark.notes("PR-13")
def test_factorials_are_gammas() -> None:
    counts = np.arange(1, 12)
    factorials = [math.log(math.factorial(n)) for n in counts]
    np.testing.assert_allclose(
        lgamma(counts + 1.0).numpy(), factorials, rtol=1e-13, atol=1e-14
    )


@pytest.mark.notes("PR-01")
def test_probability_mass_functions_give_probabilities() -> None:
    """Pr(X = x) = p(x): a number in [0, 1] for each value, 1 in all, and the share of draws with that value."""
    p = g.Categorical.of(np.array([0.1, 0.6, 0.3]))
    mass = dr.exp(p.log_prob([0, 1, 2])).numpy()
    np.testing.assert_allclose(mass, [0.1, 0.6, 0.3])
    assert mass.sum() == pytest.approx(1.0)
    draws = p.sample((40_000,), seed=0).numpy()
    np.testing.assert_allclose([(draws == x).mean() for x in range(3)], mass, atol=0.01)


@pytest.mark.notes("PR-08")
def test_inputs_density_does_not_move_the_best_parameters() -> None:
    """arg max over θ of Π p(x)p(y|x, θ) and of Π p(y|x, θ) agree, and so do their gradients."""
    random = np.random.default_rng(6)
    x = random.normal(size=50)
    y = 1.5 * x + 0.3 * random.normal(size=50)
    theta = dr.parameter(np.array(0.2))
    conditional = g.Normal(theta * dr.tensor(x), 0.3).log_prob(y).sum()
    whole = conditional + g.Normal(0.0, 1.0).log_prob(x).sum()
    slopes = [
        dr.grad(objective, [theta])[0].item() for objective in (conditional, whole)
    ]
    assert slopes[0] == slopes[1] != 0.0
    grid = np.linspace(0, 3, 301)

    def scores(with_inputs: bool) -> np.ndarray:
        columns = g.Normal(grid, 1.0).location.expand_dims(-1) * dr.tensor(x)
        found = g.Normal(columns, 0.3).log_prob(y).sum(-1)
        return (
            found + g.Normal(0.0, 1.0).log_prob(x).sum() if with_inputs else found
        ).numpy()

    best = grid[scores(False).argmax()]
    assert (
        best
        == grid[scores(True).argmax()]
        == pytest.approx((x @ y) / (x @ x), abs=0.01)
    )


@pytest.mark.notes("PR-14", "E000-09")
def test_minibatch_gradients_have_the_full_gradient_as_mean() -> None:
    """J = −(1/m)Σ log p (the notes leave out the sign): ∇J is the mean over all batches, and E under p is 0 (score)."""
    random = np.random.default_rng(6)
    y = (random.random(12) < 0.7).astype(float)
    logit = dr.parameter(np.array(0.3))

    def slope(rows: np.ndarray) -> float:
        return dr.grad(-g.Bernoulli(logit).log_prob(rows).mean(), [logit])[0].item()

    batches = [slope(y[start : start + 3]) for start in range(0, 12, 3)]
    assert (
        np.mean(batches)
        == pytest.approx(slope(y))
        == pytest.approx(1 / (1 + math.exp(-0.3)) - y.mean())
    )
    p = 1 / (1 + math.exp(-0.3))
    assert p * slope(np.array([1.0])) + (1 - p) * slope(
        np.array([0.0])
    ) == pytest.approx(0.0, abs=1e-12)
    draws = [slope(random.choice(y, 3, replace=False)) for _ in range(800)]
    assert abs(np.mean(draws) - slope(y)) < 4 * np.std(draws) / math.sqrt(800)


@pytest.mark.notes("PR-19")
def test_function_without_randomness_is_its_mean() -> None:
    """E[f] = f and Var[f] = 0: adding what is fixed moves the mean and leaves the variance (bias and variance)."""
    f = 2.5
    estimate = g.Estimate.of(np.full(100, f))
    assert (estimate.value, estimate.standard_error) == (f, 0.0)
    noise = g.Normal(np.array(0.0), np.array(0.7))
    y = f + noise.sample((40_000,), seed=2).numpy()
    assert y.mean() == pytest.approx(f, abs=5 * 0.7 / 200) and y.var() == pytest.approx(
        0.49, rel=0.03
    )
    assert g.Normal(np.array(f), np.array(0.7)).variance.item() == noise.variance.item()


@pytest.mark.notes("AE-07", "REG-24")
def test_l1_penalty_is_the_likelihood_of_a_laplace_prior() -> None:
    """ln p(x, h) = ln p(x|h) + ln p(h) with p(h) = (λ/2)e^(−λ|h|): −ln p(h) = λ|h| − ln(λ/2), the sparse penalty."""
    random = np.random.default_rng(6)
    h, x = random.normal(size=(5, 4)), random.normal(size=(5, 3))
    strength, sigma = 0.7, 0.4
    code, weight = dr.parameter(h), dr.parameter(random.normal(size=(3, 4)))
    error = dr.tensor(x) - code @ weight.T
    loss = (error * error).sum() / (2 * sigma**2) / 5 + g.L1Sparsity(strength)(
        code, dr.tensor(x)
    )
    prior, said = (
        g.Laplace(np.array(0.0), np.array(1 / strength)),
        g.Normal(code @ weight.T, np.array(sigma)),
    )
    joint = (said.log_prob(x).sum() + prior.log_prob(code).sum()) / 5
    constant = 3 * math.log(sigma * math.sqrt(2 * math.pi)) - 4 * math.log(strength / 2)
    assert loss.item() == pytest.approx(-joint.item() - constant)
    for ours, theirs in zip(
        dr.grad(loss, [code, weight]), dr.grad(-joint, [code, weight]), strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9)


@pytest.mark.notes("AE-09")
def test_independent_components_are_found_where_principal_ones_are_not() -> None:
    """x = As with independent Laplace sources: ICA undoes the mixing up to order and scale, PCA only decorrelates."""
    sources = g.Laplace(np.zeros(2), np.ones(2)).sample((4000,), seed=3).numpy()
    mixed = sources @ np.array([[1.0, 0.6], [0.5, 1.2]])

    def likeness(found: np.ndarray) -> float:
        both = np.abs(np.corrcoef(found.T, sources.T)[:2, 2:])
        return float(both.max(axis=1).min())

    assert likeness(learners.FastICA(2, random_state=0).fit_transform(mixed)) > 0.99
    assert likeness(learners.PCA(2).fit_transform(mixed)) < 0.95


@pytest.mark.notes("VI-06")
def test_encoder_draws_where_the_likelihood_is() -> None:
    """For most z ~ p(z) p(x|z) ≈ 0; z ~ q(z|x) = 𝒩(μ(x), Σ(x)) finds those that count: fewer draws, less error."""
    x, sigma = 2.0, 0.05
    prior, said = _normal(0.0, 1.0), lambda z: g.Normal(z, np.array(sigma))
    variance = 1 / (1 + 1 / sigma**2)
    q = _normal(x * variance / sigma**2, math.sqrt(variance))
    exact = _normal(0.0, math.sqrt(1 + sigma**2)).log_prob(x).item()

    def estimate(proposal: g.Normal, seed: int) -> float:
        z = proposal.sample((200,), seed=seed)
        weights = said(z).log_prob(x) + prior.log_prob(z) - proposal.log_prob(z)
        return dr.logsumexp(weights, axis=0).item() - math.log(200)

    blind = np.array([estimate(prior, seed) for seed in range(20)])
    aimed = np.array([estimate(q, seed) for seed in range(20)])
    z = prior.sample((2000,), seed=1)
    assert (
        said(z).log_prob(x).numpy() < said(np.array(x)).log_prob(x).item() - 8
    ).mean() > 0.95
    np.testing.assert_allclose(
        aimed, exact, atol=1e-6
    )  # q is the posterior: each weight is p(x)
    assert np.abs(blind - exact).mean() > 0.05
