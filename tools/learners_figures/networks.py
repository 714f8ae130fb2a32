"""Figures of the neural learners."""

from __future__ import annotations

import numpy as np

import deltarule as dr
from deltarule import learners, nn, train
from deltarule.render.svg import Picture, image_grid, line_chart
from learners_figures.scene import Array, Stroke, boundary, digits, moons, scene, series


def mlp_classifier() -> str:
    """Draw the boundaries of a network and of the best line."""
    x, y = moons(160, 0.18)
    net = learners.MLPClassifier(
        (32,), activation="tanh", epochs=200, learning_rate=0.02, random_state=0
    ).fit(x, y)
    line = learners.LogisticRegression().fit(x, y)
    strokes = [
        Stroke(
            *boundary(lambda points: line.decision_function(points), x),
            3,
            "straight",
            faint=True,
        ),
        Stroke(
            *boundary(lambda points: net.predict_proba(points)[:, 1] - 0.5, x),
            2,
            "32 units",
        ),
    ]
    title = (
        f"Right: {net.score(x, y):.0%}, and {line.score(x, y):.0%} by a straight line"
    )
    return scene([("", x[y == 0]), ("", x[y == 1])], strokes, title, "x₁", "x₂")


def _wave(n: int, end: float, noise: float) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, end, n))
    return x, np.sin(1.5 * x) + 0.3 * x + noise * random.normal(size=n)


def mlp_regressor() -> str:
    """Draw a noisy curve and the fit."""
    x, y = _wave(80, 6.0, 0.25)
    net = learners.MLPRegressor(
        (32, 32),
        activation="tanh",
        epochs=300,
        learning_rate=0.01,
        batch_size=16,
        random_state=0,
    )
    net.fit(x[:, None] / 3 - 1, y)
    at = np.linspace(0, 6, 121)
    fit = Stroke(at, net.predict(at[:, None] / 3 - 1), 2, "fit")
    return scene(
        [("", np.stack([x, y], axis=1))], [fit], "Two hidden layers of 32", "x", "y"
    )


def cnn_classifier() -> str:
    """Draw a digit and the feature maps of the first layer."""
    x, y = digits()
    images = x.reshape(-1, 8, 8) / x.max()
    learner = learners.CNNClassifier(
        (8, 16), epochs=10, learning_rate=3e-3, random_state=0
    ).fit(images[:1200], y[:1200])
    three = images[1200:][y[1200:] == 3][:1, :, :, None]
    first = nn.Sequential(*list(learner.network_)[:2])
    maps = train.predict(first, three)[0]
    pictures = [Picture(three[0, :, :, 0].tolist(), "input")]
    pictures += [
        Picture((maps[:, :, k] / maps.max()).tolist(), f"filter {k + 1}")
        for k in range(8)
    ]
    right = learner.score(images[1200:], y[1200:])
    return image_grid(
        pictures,
        columns=9,
        title=f"What the first layer sees; {right:.0%} of 597 new digits right",
    )


class _Residual(nn.Module):
    """x + tanh(Wx + b), then a linear layer."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        self.inner, self.last = (
            nn.Linear(n_inputs, n_inputs),
            nn.Linear(n_inputs, n_outputs),
        )

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        """Return logits."""
        return self.last(x + nn.tanh(self.inner(x)))


def network_classifier() -> str:
    """Draw training and validation loss of a residual network."""
    x, y = digits()
    x = x / x.max()
    learner = learners.NetworkClassifier(
        lambda shape, n_outputs: _Residual(shape[0], n_outputs),
        epochs=60,
        learning_rate=5e-3,
        random_state=0,
    )
    learner.fit(x[:600], y[:600], validation_data=(x[600:1200], y[600:1200]))
    epochs = range(1, 61)
    lines = [
        series("training", epochs, learner.loss_curve_),
        series("held out", epochs, learner.validation_curve_, True),
    ]
    return line_chart(lines, "Cross-entropy of 600 digits", "epoch", "loss", log_y=True)


class _Wave(nn.Module):
    """a·sin(bx + c) for x of one number."""

    def __init__(self) -> None:
        self.inner, self.amplitude = nn.Linear(1, 1), nn.Linear(1, 1, bias=False)

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        """Return the wave."""
        return self.amplitude(dr.sin(self.inner(x)))


def network_regressor() -> str:
    """Draw a formula fitted to the left half of the axis."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 5, 30))
    y = 1.4 * np.sin(1.2 * x + 0.5) + 0.15 * random.normal(size=30)
    net = learners.NetworkRegressor(
        _Wave(), epochs=600, learning_rate=0.02, batch_size=30, random_state=0
    )
    net.fit(x[:, None], y)
    at = np.linspace(0, 10, 161)
    strokes = [
        Stroke(at, 1.4 * np.sin(1.2 * at + 0.5), 1, "truth", dashed=True),
        Stroke(at, net.predict(at[:, None]), 2, "a·sin(bx + c)"),
        Stroke([5, 5], [-1.4, 1.4], 3),
    ]
    amplitude = abs(float(net.network_.amplitude.weight.numpy()[0, 0]))
    title = f"Three numbers from 30 points: amplitude {amplitude:.2f}, true 1.40"
    return scene(
        [("", np.stack([x, y], axis=1))], strokes, title, "x", "y", reach=(10.0, 1.45)
    )


def autoencoder_transformer() -> str:
    """Draw the error of rebuilding against the number of codes."""
    x = digits()[0][:800]
    sizes = (1, 2, 4, 8, 16)
    plane, bent = [], []
    for k in sizes:
        pca = learners.PCA(k).fit(x)
        plane.append(
            float(
                ((pca.inverse_transform(pca.transform(x)) - x) ** 2).sum(axis=1).mean()
            )
        )
        net = learners.AutoencoderTransformer(
            k, hidden_sizes=(64,), epochs=150, learning_rate=3e-3, random_state=0
        )
        net.fit(x)
        bent.append(
            float(
                ((net.inverse_transform(net.transform(x)) - x) ** 2).sum(axis=1).mean()
            )
        )
    lines = [series("PCA", sizes, plane), series("autoencoder", sizes, bent)]
    return line_chart(
        lines, "Digits rebuilt from k numbers", "k", "squared error of a digit"
    )
