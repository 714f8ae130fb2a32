"""The figures of docs/learners, one function a page; small data, fixed seeds, drawn by ``deltarule.render``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit

from deltarule import data, learners
from deltarule.render.svg import Series, line_chart, scatter

Array = np.ndarray[Any, np.dtype[Any]]


def _digits() -> tuple[Array, Array]:
    digits = data.load("digits")
    return np.asarray(digits.inputs.reshape(len(digits.inputs), -1), np.float64), np.asarray(digits.targets)


def _iris() -> tuple[Array, Array]:
    iris = data.load("iris")
    return np.asarray(iris.inputs, np.float64), np.asarray(iris.targets)


def _line(name: str, x: Any, y: Any, dashed: bool = False) -> Series:
    return Series(name, [float(v) for v in x], [float(v) for v in y], dashed=dashed)


def networks() -> str:
    """Draw training and validation loss of an MLP."""
    x, y = _digits()
    learner = learners.MLPClassifier((64,), epochs=40, learning_rate=3e-3, random_state=0)
    learner.fit(x[:600], y[:600], validation_data=(x[600:1200], y[600:1200]))
    epochs = range(1, 41)
    series = [
        _line("training", epochs, learner.loss_curve_),
        _line("held out", epochs, learner.validation_curve_, True),
    ]
    return line_chart(series, "Cross-entropy of 600 digits", "epoch", "loss", log_y=True)


def autoencoder() -> str:
    """Draw the error of rebuilding against the number of codes."""
    x = _digits()[0][:800]
    sizes = (1, 2, 4, 8, 16)
    plane, bent = [], []
    for k in sizes:
        pca = learners.PCA(k).fit(x)
        plane.append(float(((pca.inverse_transform(pca.transform(x)) - x) ** 2).sum(axis=1).mean()))
        net = learners.AutoencoderTransformer(k, hidden_sizes=(64,), epochs=150, learning_rate=3e-3, random_state=0)
        net.fit(x)
        bent.append(float(((net.inverse_transform(net.transform(x)) - x) ** 2).sum(axis=1).mean()))
    return line_chart([_line("PCA", sizes, plane), _line("autoencoder", sizes, bent)], "Digits rebuilt from k numbers",
                      "k", "squared error of a digit")  # fmt: skip


def least_squares() -> str:
    """Draw the lasso's path."""
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 6))
    y = x @ [3.0, -2.0, 1.2, 0.5, 0.0, 0.0] + random.normal(size=80)
    strengths = np.linspace(0, 3, 31)
    paths = np.array([learners.Lasso(alpha=float(a)).fit(x, y).coef_ for a in strengths]).T
    names = ("3", "−2", "1.2", "0.5", "0", "0")
    return line_chart([_line(f"true {name}", strengths, path) for name, path in zip(names, paths, strict=True)],
                      "The lasso's coefficients", "α", "coefficient")  # fmt: skip


def delta_rule() -> str:
    """Draw mistakes of the perceptron and losses of ADALINE."""
    x, y = _iris()
    two = y > 0
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    order = np.random.default_rng(0).permutation(150)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        hard = learners.Perceptron(max_iter=20).fit(scaled[order], (y == 1)[order])
        easy = learners.Perceptron(max_iter=20).fit(scaled[order], two[order])
    epochs = range(1, 21)
    padded = [*easy.mistakes_, *[0] * (20 - len(easy.mistakes_))]
    return line_chart([_line("separable", epochs, padded), _line("not separable", epochs, hard.mistakes_)],
                      "The perceptron's mistakes", "epoch", "mistakes")  # fmt: skip


def margin() -> str:
    """Draw losses against the margin."""
    m = np.linspace(-2, 3, 101)
    slack = np.maximum(0, 1 - m)
    losses = {"hinge": slack, "squared hinge": slack**2, "logistic": np.log1p(np.exp(-m)),
              "perceptron": np.maximum(0, -m), "ADALINE": 0.5 * (1 - m) ** 2}  # fmt: skip
    return line_chart([_line(name, m, np.minimum(value, 4)) for name, value in losses.items()],
                      "What an example costs (cut at 4)", "margin y·z", "loss")  # fmt: skip


def generative() -> str:
    """Draw densities and posterior of one feature."""
    x, y = _iris()
    width = x[y > 0][:, 3:]
    learner = learners.GaussianNaiveBayes().fit(width, y[y > 0])
    at = np.linspace(0.8, 2.8, 81)
    density = np.exp(-0.5 * (at[:, None] - learner.theta_[:, 0]) ** 2 / learner.var_[:, 0])
    density /= np.sqrt(2 * np.pi * learner.var_[:, 0])
    share = learner.predict_proba(at[:, None])[:, 1]
    return line_chart([_line("p(x|versicolor)", at, density[:, 0]), _line("p(x|virginica)", at, density[:, 1]),
                       _line("P(virginica|x)", at, share)], "Petal width and Bayes' rule", "width in cm")  # fmt: skip


def neighbors() -> str:
    """Draw accuracy against k."""
    x, y = _digits()
    values = (1, 2, 3, 5, 9, 15, 25, 40, 60)
    folds = ShuffleSplit(5, test_size=0.3, random_state=0)
    curve = learners.validation_curve(learners.KNNClassifier(), x[:800], y[:800], "n_neighbors", values, cv=folds)
    return line_chart([_line("training", values, curve.training.mean(axis=1)),
                       _line("held out", values, curve.validation.mean(axis=1), True)],
                      "k nearest neighbours, 560 digits", "k", "accuracy")  # fmt: skip


def components() -> str:
    """Draw the share of variance kept."""
    x = _digits()[0]
    shuffled = np.random.default_rng(0).permuted(x, axis=0)
    kept, none = (np.cumsum(learners.PCA(40).fit(part).explained_variance_ratio_) for part in (x, shuffled))
    k = range(1, 41)
    return line_chart([_line("digits", k, kept), _line("pixels shuffled", k, none)],
                      "Variance kept by k components", "k", "share")  # fmt: skip


def maps() -> str:
    """Draw a map of digits."""
    x, y = _digits()
    places = learners.UMAP(min_dist=0.5, random_state=0).fit_transform(x[:500])
    series = [
        _line(str(c), np.round(places[y[:500] == c, 0], 2), np.round(places[y[:500] == c, 1], 2)) for c in range(10)
    ]
    return scatter(series, "500 digits by UMAP", radius=2.0, names_inside=True)


def ensembles() -> str:
    """Draw the error of an average against the number of models."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 6, size=(200, 1))
    y = np.sin(x[:, 0]) + 0.5 * random.normal(size=200)
    at = np.linspace(0.3, 5.7, 200)[:, None]
    members = learners.BaggingRegressor(learners.KNNRegressor(1), n_estimators=30, random_state=0).fit(x, y).estimators_
    predictions = np.stack([member.predict(at) for member in members])
    truth = np.sin(at[:, 0])
    counts = (1, 2, 3, 5, 8, 12, 20, 30)
    draws = [[random.choice(30, size=k, replace=False) for _ in range(300)] for k in counts]
    measured = [
        float(np.mean([np.mean((predictions[rows].mean(axis=0) - truth) ** 2) for rows in some])) for some in draws
    ]
    report = learners.error_correlation(predictions, truth)
    expected = [report.variance / k + (k - 1) * report.covariance / k for k in counts]
    return line_chart([_line("measured", counts, measured), _line("v/k + (k − 1)c/k", counts, expected, True)],
                      "Averages of k 1-NN regressors", "k", "mean square error")  # fmt: skip


def selection() -> str:
    """Draw a learning curve."""
    x, y = _digits()
    folds = ShuffleSplit(4, test_size=0.3, random_state=0)
    learner = learners.SoftmaxRegression(alpha=1e-3, max_iter=10)
    curve = learners.learning_curve(learner, x, y, sizes=(0.1, 0.25, 0.5, 0.75, 1.0), cv=folds)
    return line_chart([_line("training", curve.points, curve.training.mean(axis=1)),
                       _line("held out", curve.points, curve.validation.mean(axis=1), True)],
                      "Softmax regression on digits", "training examples", "accuracy")  # fmt: skip


FIGURES: Mapping[str, Callable[[], str]] = {
    made.__name__: made for made in (networks, autoencoder, least_squares, delta_rule, margin, generative, neighbors,
                                     components, maps, ensembles, selection)
}  # fmt: skip
