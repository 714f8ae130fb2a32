"""Figures of the generative classifiers and of nearest neighbours."""

from __future__ import annotations

import numpy as np

from deltarule import learners
from deltarule.render.svg import Picture, image_grid, line_chart
from learners_figures.scene import Stroke, boundary, digits, iris, moons, scene, series

_SENTENCES = (
    ("the team won the match", "sport"),
    ("a late goal and the match is won", "sport"),
    ("the coach praised the young team", "sport"),
    ("they play a final match on sunday", "sport"),
    ("the band played a new song", "music"),
    ("a song for piano and strings", "music"),
    ("the young singer joined the band", "music"),
    ("they play the piano on sunday", "music"),
)
_UNSEEN = "the young team play a song before the final match"


def gaussian_naive_bayes() -> str:
    """Draw densities and posterior of one feature."""
    x, y = iris()
    width = x[y > 0][:, 3:]
    learner = learners.GaussianNaiveBayes().fit(width, y[y > 0])
    at = np.linspace(0.8, 2.8, 81)
    density = np.exp(
        -0.5 * (at[:, None] - learner.theta_[:, 0]) ** 2 / learner.var_[:, 0]
    )
    density /= np.sqrt(2 * np.pi * learner.var_[:, 0])
    share = learner.predict_proba(at[:, None])[:, 1]
    return line_chart(
        [
            series("p(x|versicolor)", at, density[:, 0]),
            series("p(x|virginica)", at, density[:, 1]),
            series("P(virginica|x)", at, share),
        ],
        "Petal width and Bayes' rule",
        "width in cm",
    )


def multinomial_naive_bayes() -> str:
    """Draw the posterior while a sentence is read."""
    words = sorted({word for sentence, _ in _SENTENCES for word in sentence.split()})
    x = np.array(
        [[sentence.split().count(word) for word in words] for sentence, _ in _SENTENCES]
    )
    learner = learners.MultinomialNaiveBayes().fit(x, [kind for _, kind in _SENTENCES])
    read = _UNSEEN.split()
    counts = np.array(
        [[read[:n].count(word) for word in words] for n in range(len(read) + 1)]
    )
    shares = learner.predict_proba(counts)
    lines = [
        series(str(kind), range(len(counts)), shares[:, k])
        for k, kind in enumerate(learner.classes_)
    ]
    return line_chart(lines, f"“{_UNSEEN}”", "words read", "P(class|words)")


def bernoulli_naive_bayes() -> str:
    """Draw the probability of each pixel to be inked, by class."""
    x, y = digits()
    learner = learners.BernoulliNaiveBayes(
        threshold=float(np.median(x[x > 0])) / 2
    ).fit(x, y)
    pictures = [
        Picture([[float(v) for v in row] for row in p.reshape(8, 8)], str(c))
        for c, p in enumerate(learner.feature_prob_)
    ]
    return image_grid(
        pictures,
        columns=5,
        title=f"P(inked|digit): {learner.score(x, y):.0%} of 1797 right",
        size=80,
    )


def gaussian_classifier() -> str:
    """Draw ellipses of one and two deviations, and the boundary."""
    x, y = iris()
    x, y = x[y > 0][:, [0, 2]], y[y > 0]
    learner = learners.GaussianClassifier().fit(x, y)
    turn = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    strokes = []
    for c, (mean, covariance) in enumerate(
        zip(learner.means_, learner.covariances_, strict=True)
    ):
        for radius in (1, 2):
            ring = mean[:, None] + radius * np.linalg.cholesky(covariance) @ circle
            strokes.append(Stroke(*ring, c))
    level = boundary(
        lambda points: np.subtract(*learner.predict_joint_log_proba(points).T), x
    )
    strokes.append(Stroke(*level, 2, "level"))
    groups = [("versicolor", x[y == 1]), ("virginica", x[y == 2])]
    return scene(
        groups,
        strokes,
        "A normal density for each kind of iris",
        "sepal length in cm",
        "petal length in cm",
    )


def knn_classifier() -> str:
    """Draw the boundaries of one and of fifteen neighbours."""
    x, y = moons(120, 0.3)
    strokes = []
    for k, colour in ((1, 3), (15, 2)):
        learner = learners.KNNClassifier(k).fit(x, y)
        line = boundary(
            lambda points, of=learner: of.predict_proba(points)[:, 1] - 0.5, x, 90
        )
        strokes.append(Stroke(*line, colour, f"k = {k}", faint=k == 1))
    return scene(
        [("", x[y == 0]), ("", x[y == 1])],
        strokes,
        "Nearest neighbours: one, and fifteen",
        "x₁",
        "x₂",
    )


def knn_regressor() -> str:
    """Draw a noisy curve and two fits."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 6, 60))
    y = np.sin(x) + 0.3 * random.normal(size=60)
    at = np.linspace(0, 6, 241)
    fits = {
        k: learners.KNNRegressor(k).fit(x[:, None], y).predict(at[:, None])
        for k in (1, 9)
    }
    strokes = [
        Stroke(at, fits[1], 1, "k = 1", faint=True),
        Stroke(at, fits[9], 2, "k = 9"),
    ]
    return scene(
        [("", np.stack([x, y], axis=1))],
        strokes,
        "The mean of one and of nine neighbours",
        "x",
        "y",
    )
