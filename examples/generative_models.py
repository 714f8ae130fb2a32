"""Autoencoders, a variational autoencoder and variational inference; figures go to the folder generative_figures."""

from pathlib import Path

import numpy as np

import deltarule as dr
from deltarule import data, optim
from deltarule import generative as g
from deltarule.generative.bijectors import Exp

folder = Path("generative_figures")
folder.mkdir(exist_ok=True)


def write(name: str, svg: str) -> None:
    """Write one figure."""
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


# A variational autoencoder with two latent numbers, so that its map can be drawn.
digits = data.load("digits")
X = digits.inputs
rows = data.split(len(X), validation=0.0, test=0.2, seed=0, stratify=digits.targets)
model = g.dense_vae(
    (8, 8, 1), latent_size=2, hidden=(128,), beta=g.Annealing(steps=200)
)
history = model.fit(
    X[rows.train],
    validation_data=X[rows.test],
    optimizer=optim.Adam(learning_rate=2e-3),
    epochs=60,
    batch_size=32,
    verbose=0,
)
last = history.epochs[-1]
print(
    f"VAE: ELBO {last['elbo']:.2f} = −({last['reconstruction']:.2f} + KL {last['kl']:.2f}) nats an image"
)
elbo, _ = model.elbo(X[rows.test][:100], n_samples=500)
log_p, error = model.log_likelihood(X[rows.test][:100], n_samples=500)
print(
    f"100 test images: ln p(x) {log_p.mean():.2f} (error of one ≤ {error.max():.2f}), its bound {elbo.mean():.2f}"
)
codes, _ = model.encode(X[rows.test])
write(
    "vae_map",
    g.figures.latent_map(
        codes, digits.targets[rows.test], "Test digits in the latent plane"
    ),
)
write(
    "vae_grid",
    g.figures.latent_grid(
        model.latent_grid(12, span=2.2), "What lies where in the latent plane"
    ),
)
write(
    "vae_samples",
    g.figures.samples(model.sample(16, seed=3), title="New digits from the prior"),
)
write(
    "vae_between",
    g.figures.samples(model.interpolate(X[0], X[1], 8), title="From a zero to a one"),
)
write(
    "vae_traversal",
    g.figures.samples(
        model.traverse(X[0], 0, np.linspace(-2, 2, 8)), title="z₁ of a zero moved"
    ),
)
write(
    "vae_reconstructions",
    g.figures.reconstructions(X[rows.test][:8], model.reconstruct(X[rows.test][:8])),
)

# A conditional one: the latent numbers carry the handwriting, the condition says which digit.
classes = np.eye(10, dtype=np.float32)
asked = g.convolutional_vae(
    (8, 8, 1), latent_size=4, channels=(16, 32), condition_size=10
)
asked.fit(
    X[rows.train],
    condition=classes[digits.targets[rows.train]],
    optimizer=optim.Adam(learning_rate=2e-3),
    epochs=40,
    batch_size=32,
    verbose=0,
)
wanted = np.arange(40) % 10
write(
    "asked",
    g.figures.samples(
        asked.sample(40, seed=1, condition=classes[wanted]),
        10,
        "Digits that were asked for",
    ),
)

# A denoising convolutional autoencoder.
images, noise = digits.inputs, g.SaltAndPepper(0.15)
repair = g.convolutional_autoencoder(
    (8, 8, 1), (16, 32), code_size=24, corruption=noise
)
repair.fit(
    images[rows.train],
    optimizer=optim.Adam(learning_rate=2e-3),
    epochs=40,
    batch_size=32,
    verbose=0,
)
dirty = noise(images[rows.test][:8], mode="training", seed=5).numpy()
write(
    "denoised",
    g.figures.reconstructions(
        dirty, repair.reconstruct(dirty), "Salt and pepper taken away"
    ),
)

# Eight schools (Rubin 1981): a posterior by inference, and by Hamiltonian Monte Carlo.
effects, errors = (
    np.array([28.0, 8, -3, 7, -1, 1, 18, 12]),
    np.array([15.0, 10, 16, 11, 9, 11, 10, 18]),
)


def schools(values: dict[str, dr.Tensor]) -> dr.Tensor:
    """Return ln p(effects, μ, τ, η) with school effects μ + τη."""
    mu, tau, eta = values["mu"], values["tau"], values["eta"]
    theta = mu.expand_dims(-1) + tau.expand_dims(-1) * eta
    prior = (
        g.Normal(0.0, 10.0).log_prob(mu)
        + g.Normal(0.0, 5.0).log_prob(tau)
        + g.Normal().log_prob(eta).sum(-1)
    )
    return prior + g.Normal(theta, errors).log_prob(effects).sum(-1)


variables: dict[str, g.Variable | tuple[int, ...]] = {
    "mu": (),
    "tau": g.Variable((), Exp()),
    "eta": (8,),
}
fit = g.fit_variational(
    schools, "full", variables=variables, n_samples=32, max_steps=8000
)
chains = g.hamiltonian_monte_carlo(schools, variables=variables)
print(
    f"μ by inference {fit.summary()['mu']['mean']:.1f} ± {fit.summary()['mu']['deviation']:.1f}, "
    f"by chains {chains.summary()['mu']['mean']:.1f} ± {chains.summary()['mu']['deviation']:.1f} "
    f"(R̂ {chains.r_hat()['mu']:.3f})"
)

write("ring", g.figures.ring(n=250))
write("kl_asymmetry", g.figures.kl_asymmetry())
print("figures:", ", ".join(sorted(path.stem for path in folder.glob("*.svg"))))
