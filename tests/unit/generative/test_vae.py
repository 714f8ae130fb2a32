"""The variational autoencoder: its terms against torch, bounds against exact likelihoods, training, use."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats as st

import deltarule as dr
from deltarule import generative as g
from deltarule import nn, optim
from deltarule.errors import ArgumentError, DataError, DataWarning, ShapeError
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.train.steps.step import Task, columns, training_step
from support.oracles import td, torch

R = np.random.default_rng(1)
X = (R.random((64, 6)) < 0.4).astype(np.float32)


def _model(
    likelihood: g.Likelihood | None = None, width: int = 1, **options: object
) -> g.VAE:
    return g.VAE(
        g.dense((6, 8, 4), nn.Tanh),
        g.dense((2, 8, 6 * width), nn.Tanh),
        2,
        likelihood or g.BernoulliLikelihood(),
        **options,
    )


def _terms(model: g.VAE, x: np.ndarray) -> np.ndarray:
    return model(x).numpy()


@pytest.mark.notes("VI-03", "VI-09", "VI-14")
@pytest.mark.parametrize("likelihood", ["bernoulli", "fixed", "shared", "output"])
def test_terms_agree_with_torch_on_the_same_draw(likelihood: str) -> None:
    head = {
        "bernoulli": g.BernoulliLikelihood(),
        "fixed": g.GaussianLikelihood(0.3),
        "shared": g.GaussianLikelihood("shared"),
        "output": g.GaussianLikelihood("output"),
    }[likelihood]
    model = _model(head, 2 if likelihood == "output" else 1, beta=0.25)
    if likelihood == "shared":
        head.log_variance.assign(np.float32(-0.7))
    terms = _terms(model, X)
    code = model.encoder(X).numpy()
    mean, log_variance = code[:, :2], code[:, 2:]
    noise = dr.random_normal((1, 64, 2), 0, 0, 0).numpy()[0]
    output = torch.tensor(
        model.decoder(mean + np.exp(log_variance / 2) * noise).numpy()
    )
    p = {
        "bernoulli": lambda: td.Bernoulli(logits=output),
        "fixed": lambda: td.Normal(output, 0.3),
        "shared": lambda: td.Normal(output, math.sqrt(math.exp(-0.7) + 1e-4)),
        "output": lambda: td.Normal(
            output[:, :6], torch.sqrt(torch.exp(output[:, 6:]) + 1e-4)
        ),
    }[likelihood]()
    reconstruction = -p.log_prob(torch.tensor(X)).sum(1).numpy()
    q = td.Normal(torch.tensor(mean), torch.tensor(np.exp(log_variance / 2)))
    kl = td.kl_divergence(q, td.Normal(0.0, 1.0)).sum(1).numpy()
    np.testing.assert_allclose(
        terms, np.stack([reconstruction + 0.25 * kl, reconstruction, kl], 1), rtol=1e-4
    )


def _linear_model(
    n_samples: int = 1, bound: str = "elbo"
) -> tuple[g.VAE, np.ndarray, np.ndarray]:
    """z ~ 𝒩(0, I₂), x|z ~ 𝒩(Wz + b, σ²I): ln p(x) is known."""
    random = np.random.default_rng(1)
    w, b, sigma = random.normal(size=(3, 2)), random.normal(size=3), 0.6
    decoder, encoder = nn.Linear(2, 3), nn.Linear(3, 4)
    (
        decoder.weight.assign(w.astype(np.float32)),
        decoder.bias.assign(b.astype(np.float32)),
    )
    model = g.VAE(
        encoder,
        decoder,
        2,
        g.GaussianLikelihood(sigma),
        n_samples=n_samples,
        bound=bound,
    )
    x = (
        random.normal(size=(5, 2)) @ w.T + b + sigma * random.normal(size=(5, 3))
    ).astype(np.float32)
    return model, x, st.multivariate_normal(b, w @ w.T + sigma**2 * np.eye(3)).logpdf(x)


@pytest.mark.notes("VI-02", "VI-08", "VI-11", "VI-18", "THY-19")
def test_exact_likelihood_less_divergence_is_the_bound() -> None:
    model, x, log_p = _linear_model(n_samples=4000)
    w, b, s2 = (
        model.decoder.weight.numpy().astype(float),
        model.decoder.bias.numpy(),
        0.36,
    )
    precision = np.eye(2) + w.T @ w / s2
    covariance = np.linalg.inv(precision)
    exact = g.FullNormal((x - b) @ w @ covariance / s2, covariance=covariance)
    code = model.encoder(x).numpy()
    for i in range(5):
        q = g.DiagonalNormal(
            code[i, :2].astype(float), np.exp(code[i, 2:].astype(float) / 2)
        )
        gap = g.kl_divergence(
            q, g.FullNormal(exact.location.numpy()[i], covariance=covariance)
        ).item()
        elbo = -_terms(model, x)[i, 1:].sum()
        assert elbo == pytest.approx(log_p[i] - gap, rel=0.05)
        assert elbo < log_p[i]


@pytest.mark.notes("VI-02")
def test_importance_sampling_estimates_the_likelihood_within_its_error() -> None:
    model, x, log_p = _linear_model(n_samples=50)
    model.encoder.weight.assign(model.encoder.weight.numpy() * 0.2)
    found, error = model.log_likelihood(x, 20_000, seed=0)
    assert (np.abs(found - log_p) < 5 * error + 1e-3).all() and error.max() < 0.2


def test_importance_bound_lies_between_elbo_and_likelihood() -> None:
    model, x, log_p = _linear_model(n_samples=64, bound="importance")
    loss, reconstruction, kl = (
        _terms(model, np.repeat(x, 200, 0)).reshape(5, 200, 3).mean(1).T
    )
    assert (-reconstruction - kl < -loss).all() and (-loss < log_p + 0.05).all()


@pytest.mark.notes("VI-01", "VI-10")
def test_training_writes_the_terms_and_raises_the_bound() -> None:
    digits = dr.data.load("digits").inputs[:256].reshape(256, 64)
    model = g.VAE(
        g.dense((64, 32, 4)), g.dense((2, 32, 64)), 2, g.BernoulliLikelihood()
    )
    history = model.fit(
        digits,
        epochs=15,
        batch_size=32,
        optimizer=optim.Adam(learning_rate=5e-3),
        verbose=0,
        validation_data=digits[:64],
    )
    for epoch in history.epochs:
        assert epoch["elbo"] == pytest.approx(
            -epoch["reconstruction"] - epoch["kl"], rel=1e-5
        )
        assert epoch["loss"] == pytest.approx(-epoch["elbo"], rel=1e-5)
    assert history["elbo"][-1] > history["elbo"][0] + 5 and "val_elbo" in history.names
    mean, deviation = model.encode(digits)
    assert mean.shape == deviation.shape == (256, 2) and (deviation > 0).all()
    assert model.reconstruct(digits).shape == digits.shape
    samples = model.sample(7, seed=3)
    np.testing.assert_array_equal(samples, model.sample(7, seed=3))
    assert samples.shape == (7, 64) and (samples >= 0).all() and (samples <= 1).all()
    assert set(np.unique(model.sample(3, seed=0, noise=True))) == {0.0, 1.0}
    line = model.interpolate(digits[0], digits[1], 5)
    np.testing.assert_allclose(
        line[[0, -1]], model.reconstruct(digits[:2]), rtol=1e-4, atol=1e-6
    )
    assert model.latent_grid(4).shape == (16, 64)


def test_annealing_raises_the_weight_of_the_divergence() -> None:
    model = _model(beta=g.Annealing(10, 0.0, 2.0))
    for step, weight in [(0, 0.0), (5, 1.0), (10, 2.0), (1000, 2.0)]:
        terms = model(X, mode="training", seed=0, step=step).numpy()
        np.testing.assert_allclose(
            terms[:, 0], terms[:, 1] + weight * terms[:, 2], rtol=1e-5
        )
    terms = _terms(model, X)
    np.testing.assert_allclose(terms[:, 0], terms[:, 1] + 2 * terms[:, 2], rtol=1e-5)


@pytest.mark.notes("VI-04")
def test_prior_deviation_moves_the_divergence() -> None:
    model = _model(prior_deviation=2.0)
    code = torch.tensor(model.encoder(X).numpy())
    q = td.Normal(code[:, :2], torch.exp(code[:, 2:] / 2))
    np.testing.assert_allclose(
        _terms(model, X)[:, 2],
        td.kl_divergence(q, td.Normal(0.0, 2.0)).sum(1),
        rtol=1e-5,
    )
    with pytest.warns(
        DataWarning,
        match=r"3 of 4 examples and its error are unreliable.*Pareto k up to",
    ):  # nothing is learned
        assert np.isfinite(model.log_likelihood(X[:4], 100)[0]).all()


def test_conditional_vae_draws_what_it_is_asked_for() -> None:
    random = np.random.default_rng(1)
    classes = random.integers(0, 2, 256)
    x = (
        np.where(classes[:, None] == 1, 2.0, -2.0) + 0.3 * random.normal(size=(256, 3))
    ).astype(np.float32)
    c = np.eye(2, dtype=np.float32)[classes]
    model = g.VAE(
        g.dense((5, 16, 2), nn.Tanh),
        g.dense((3, 16, 3), nn.Tanh),
        1,
        g.GaussianLikelihood(0.3),
        condition_size=2,
        example_shape=(3,),
    )
    model.fit(
        x,
        condition=c,
        epochs=40,
        batch_size=32,
        optimizer=optim.Adam(learning_rate=0.02),
        verbose=0,
        device="reference",
    )
    for k, centre in ((0, -2.0), (1, 2.0)):
        drawn = model.sample(20, seed=0, condition=np.repeat(np.eye(2)[[k]], 20, 0))
        np.testing.assert_allclose(drawn.mean(0), centre, atol=0.4)
    with pytest.raises(ArgumentError, match="VAE condition"):
        model.encode(x)


def test_convolutional_vae_trains() -> None:
    images = dr.data.load("digits").inputs[:96]
    model = g.VAE(
        g.convolutional_encoder((8, 8, 1), (6,), 4),
        g.convolutional_decoder((8, 8, 1), (6,), 2),
        2,
        g.GaussianLikelihood("shared"),
    )
    history = model.fit(
        images,
        epochs=20,
        batch_size=16,
        optimizer=optim.Adam(learning_rate=0.01),
        verbose=0,
    )
    assert history["elbo"][-1] > history["elbo"][0]
    assert model.sample(2, seed=0).shape == (2, 8, 8, 1)
    assert model.likelihood.log_variance.item() < -0.5


@pytest.mark.notes("VI-06")
@pytest.mark.parametrize("kind", ["dense", "convolutional"])
@pytest.mark.parametrize(
    "likelihood", [None, g.GaussianLikelihood("output")], ids=["bernoulli", "output"]
)
def test_ready_made_models_keep_shapes_with_and_without_a_condition(
    kind: str, likelihood: g.Likelihood | None
) -> None:
    x, labels = (
        dr.data.load("digits").inputs[:12],
        np.eye(10, dtype=np.float32)[np.arange(12) % 10],
    )
    for size in (0, 10):
        c, one = (labels, labels[0]) if size else (None, None)
        sizes = (16,) if kind == "dense" else (4,)
        make = g.dense_vae if kind == "dense" else g.convolutional_vae
        model = make((8, 8, 1), 3, sizes, likelihood, condition_size=size, n_samples=2)
        history = model.fit(
            x, condition=c, epochs=1, batch_size=6, verbose=0, device="reference"
        )
        assert np.isfinite(history["elbo"][0])
        mean, deviation = model.encode(x, c)
        assert mean.shape == deviation.shape == (12, 3) and (deviation > 0).all()
        for images in (
            model.reconstruct(x, c),
            model.sample(12, seed=0, condition=c),
            model.sample(12, seed=0, condition=c, noise=True),
        ):
            assert images.shape == x.shape
        assert model.interpolate(x[0], x[1], 5, condition=one).shape == (5, 8, 8, 1)
        assert model.latent_grid(3, condition=one).shape == (9, 8, 8, 1)
        steps = model.traverse(x[0], 1, [-2.0, float(mean[0, 1]), 2.0], condition=one)
        np.testing.assert_allclose(
            steps[1], model.reconstruct(x, c)[0], rtol=1e-4, atol=1e-6
        )
        assert steps.shape == (3, 8, 8, 1) and (steps[0] != steps[2]).any()
        given = x if c is None else np.concatenate([x.reshape(12, 64), c], axis=1)
        assert _terms(model, given).shape == (12, 3)
        assert model.summary(input_shape=given.shape[1:]).complete


def test_condition_planes_are_constant() -> None:
    random = np.random.default_rng(1)
    x, c = random.normal(size=(3, 2, 2, 1)), random.normal(size=(3, 2))
    found = g.ConditionPlanes((2, 2, 1), 2)(
        np.concatenate([x.reshape(3, 4), c], axis=1)
    ).numpy()
    np.testing.assert_array_equal(found[..., :1], x)
    np.testing.assert_array_equal(
        found[..., 1:], np.broadcast_to(c[:, None, None], (3, 2, 2, 2))
    )
    with pytest.raises(ShapeError, match=r"ConditionPlanes.*\(N, 6\), got \(3, 5\)"):
        g.ConditionPlanes((2, 2, 1), 2)(np.zeros((3, 5)))


@pytest.mark.notes("VI-17", "VI-18")
def test_bound_by_draws_lies_below_the_likelihood_by_the_divergence() -> None:
    model, x, log_p = _linear_model(n_samples=50)
    bias = model.encoder.bias.numpy().copy()
    bias[2:] -= 5.0  # a q(z|x) that is too narrow, whatever the first weights are
    model.encoder.bias.assign(bias)
    elbo, error = model.elbo(x, 20_000, seed=1)
    with pytest.warns(DataWarning, match="are unreliable"):
        estimate, spread = model.log_likelihood(x, 20_000, seed=1)
    assert (elbo < estimate).all()
    w, b, s2 = (
        model.decoder.weight.numpy().astype(float),
        model.decoder.bias.numpy(),
        0.36,
    )
    covariance = np.linalg.inv(np.eye(2) + w.T @ w / s2)
    means, deviations = (a.astype(float) for a in model.encode(x))
    for i in range(5):
        exact = g.FullNormal((x[i] - b) @ w @ covariance / s2, covariance=covariance)
        gap = g.kl_divergence(g.DiagonalNormal(means[i], deviations[i]), exact).item()
        assert abs(elbo[i] - (log_p[i] - gap)) < 5 * error[i] + 1e-4 * abs(elbo[i])
    assert np.isfinite(spread).all()


def test_summary_counts_encoder_and_decoder() -> None:
    told = str(g.dense_vae((8, 8, 1), 2, (16,)).summary(input_shape=(8, 8, 1)))
    assert (
        "encoder.1: Linear(64→16)" in told
        and "Unflatten(8×8×1)" in told
        and "64 = 8·8·1" in told
    )
    assert (
        f"{64 * 16 + 16 + 16 * 4 + 4 + 2 * 16 + 16 + 16 * 64 + 64} parameters" in told
    )


def test_step_draws_one_normal_number_for_each_latent_one() -> None:
    model = _model(n_samples=3)
    task = Task(model, g.NegativeELBO(), (), optim.Adam())
    step = training_step(task, columns((X, np.zeros(64, np.float32))), 16)
    drawn = [
        node
        for node in topological(step.program.as_program().outputs)
        if node.op is Op.RANDOM
    ]
    assert [node.shape for node in drawn] == [
        (3, 16, 2)
    ] * 2  # Box and Muller's two uniform numbers


@pytest.mark.parametrize("deviation", ["shared", "output"])
def test_learned_deviation_stays_above_the_least_one(deviation: str) -> None:
    """Constant data, whose density a learned variance would raise without end."""
    x = np.full((32, 6), 0.5, np.float32)
    model = _model(
        g.GaussianLikelihood(deviation, least=0.2), 2 if deviation == "output" else 1
    )
    history = model.fit(
        x,
        epochs=400,
        batch_size=32,
        optimizer=optim.Adam(learning_rate=0.05),
        verbose=0,
    )
    highest = -6 * math.log(0.2 * math.sqrt(2 * math.pi))
    assert 0.9 * highest < history["elbo"][-1] < highest
    with pytest.raises(ArgumentError, match="least"):
        g.GaussianLikelihood("shared", least=0.0)


@pytest.mark.notes("VI-09", "VI-14")
def test_gradient_of_the_loss_is_derived_and_proved() -> None:
    random = np.random.default_rng(1)
    model = g.VAE(nn.Linear(4, 4), nn.Linear(2, 4), 2, g.GaussianLikelihood(1.0))
    terms = model(dr.tensor(random.normal(size=(1, 4)).astype(np.float32), name="x"))
    report = dr.derive(terms[:, 0].sum(), wrt=model.parameters()).check()
    assert report and report.max_error < 1e-6
    mean, log_variance = (
        dr.parameter(np.array([0.5, -1.0]), name="mu"),
        dr.parameter(np.array([0.2, 0.1]), name="s"),
    )
    told = str(
        dr.derive(g.kl_to_standard_normal(mean, log_variance), wrt=[mean, log_variance])
    )
    assert (
        "∂L/∂μ = μ " in told
        and "∂L/∂s = ½(e^s − 1)" in told
        and "proved: 2 lines" in told
    )


def test_runs_repeat_to_the_bit() -> None:
    runs = []
    for _ in range(2):
        model = _model()
        model.initialize(5)
        model.fit(X, epochs=2, batch_size=16, seed=4, verbose=0, device="reference")
        runs.append(model.state_dict())
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name])


def test_mistakes_are_told() -> None:
    with pytest.raises(ShapeError, match=r"an output \(N, 4\)"):
        g.VAE(nn.Linear(6, 2), nn.Linear(2, 6), 2, g.BernoulliLikelihood())(X)
    with pytest.raises(ArgumentError, match="with beta 1"):
        _model(bound="importance", beta=2.0)
    with pytest.raises(DataError, match=r"values in \[0, 1\], got -3 … 1"):
        _model().fit(X - 3 * (X == 0))
    with pytest.raises(DataError, match=r"GaussianLikelihood"):
        _model().encode(np.full((2, 6), np.nan))
    with pytest.raises(ArgumentError, match="a VAE learns the inputs"):
        _model().fit(X, X)


def test_models_are_saved_and_loaded(tmp_path: Path) -> None:
    model = _model(g.GaussianLikelihood("shared"))
    model.fit(X, epochs=1, batch_size=16, verbose=0, device="reference")
    model.save(tmp_path / "vae.dr")
    twin = _model(g.GaussianLikelihood("shared"))
    dr.load(tmp_path / "vae.dr", twin)
    np.testing.assert_array_equal(_terms(twin, X), _terms(model, X))
    assert twin.last_loss == g.NegativeELBO()


def test_noise_of_a_step_is_the_same_on_every_engine() -> None:
    runs = []
    for device in ("cpu", "reference"):
        model = _model(n_samples=3, bound="importance")
        model.initialize(1)
        runs.append(
            model.fit(X, epochs=3, batch_size=16, seed=2, verbose=0, device=device)[
                "elbo"
            ]
        )
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-4)


def test_a_latent_number_that_does_not_exist():
    model = g.dense_vae((3,), latent_size=2)
    for axis in (2, -3, "z"):
        with pytest.raises(
            ShapeError, match=r"VAE.traverse: expected an axis in \[-2, 2\)"
        ):
            model.traverse(np.zeros(3), axis, [0.0])
    with pytest.raises(ShapeError, match="whole numbers ≥ 0"):
        model.sample(-1, seed=0)


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf"), "1", None, True])
def test_a_weight_that_is_none_is_refused(beta: Any) -> None:
    with pytest.raises(
        ArgumentError, match="VAE beta: expected a number ≥ 0, or an Annealing"
    ):
        g.dense_vae((4,), 2, beta=beta)
    if isinstance(beta, float):
        with pytest.raises(ArgumentError, match="Annealing end"):
            g.Annealing(10, 0.0, beta)
    assert g.dense_vae((4,), 2, beta=0.0).beta == 0


def test_a_condition_that_is_missing_is_asked_for() -> None:
    model = g.dense_vae((2,), 3, condition_size=2)
    x, c = np.zeros((4, 2), "f4"), np.zeros((4, 2), "f4")
    calls: list[Callable[[], Any]] = [
        lambda: model(x),
        lambda: model.fit(x, verbose=0),
        lambda: model.sample(3, seed=0),
        lambda: model.encode(x),
        lambda: model.decode(np.zeros((4, 3))),
        lambda: model.elbo(x),
        lambda: model.reconstruct(x),
        lambda: model.sample(3, seed=0, noise=True),
        lambda: model.interpolate(x[0], x[1]),
    ]
    for call in calls:
        with pytest.raises(ArgumentError, match="VAE condition"):
            call()
    assert model(np.concatenate([x, c], 1)).shape == (4, 3) and model.decode(
        np.zeros((4, 3)), c
    ).shape == (4, 2)
    with pytest.raises(ArgumentError, match="VAE condition: expected none"):
        g.dense_vae((2,), 3).decode(np.zeros((4, 3)), c)


def test_weights_of_a_good_encoder_are_trusted() -> None:
    """Importance weights of 𝒩(0, s²) for 𝒩(0, 1) have the tail index k = 1 − s²."""
    e = np.random.default_rng(0).normal(size=(20, 20_000))
    for s, low, high in ((1.2, -5.0, 0.1), (0.9, 0.0, 0.35), (0.3, 0.75, 1.05)):
        z = s * e
        logs = -0.5 * z**2 + 0.5 * e**2
        assert low < np.mean([g.pareto_k(row) for row in logs]) < high
    assert np.isnan(g.pareto_k(np.full(100, np.nan)))
    with pytest.raises(DataError, match="at least 25"):
        g.pareto_k(np.zeros(5))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: g.dense_vae(4, 2), "example_shape"),
        (lambda: g.dense_vae((), 2), "example_shape"),
        (lambda: g.dense_vae((4,), 2, 8), "hidden"),
        (lambda: g.dense_autoencoder(4), "sizes"),
        (lambda: g.dense_autoencoder("ab"), "sizes"),
        (lambda: g.convolutional_vae(8), "image_shape"),
        (lambda: g.convolutional_vae((8, 8, 1), 2, 16), "channels"),
        (lambda: g.convolutional_autoencoder(8), "image_shape"),
        (lambda: g.convolutional_autoencoder((8, 8, 1), 16), "channels"),
    ],
)
def test_one_number_for_a_sequence_of_sizes_is_refused(
    make: Callable[[], Any], named: str
) -> None:
    with pytest.raises(
        ArgumentError,
        match=f"^{named}: expected (a sequence of whole numbers|at least one axis), such as",
    ):
        make()
