"""Figures of ensembles, of search, and of streaming statistics."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from deltarule import learners, train
from deltarule.render.svg import line_chart
from learners_figures.scene import Array, digits, series


def bagging_classifier() -> str:
    """Draw the error against the number of trees."""
    x, y = (part[np.random.default_rng(0).permutation(1797)] for part in digits())
    counts = (5, 8, 12, 18, 27, 40, 60)
    held, bag = [], []
    for k in counts:
        learner = learners.BaggingClassifier(
            DecisionTreeClassifier(), n_estimators=k, random_state=0
        )
        learner.fit(x[:1000], y[:1000])
        held.append(1 - learner.score(x[1000:], y[1000:]))
        bag.append(1 - learner.oob_score_)
    return line_chart(
        [series("held out", counts, held), series("out of bag", counts, bag, True)],
        "k trees on 1000 digits",
        "k",
        "error",
    )


def bagging_regressor() -> str:
    """Draw the error of an average against the number of models."""
    random = np.random.default_rng(0)
    x = random.uniform(0, 6, size=(200, 1))
    y = np.sin(x[:, 0]) + 0.5 * random.normal(size=200)
    at = np.linspace(0.3, 5.7, 200)[:, None]
    members = (
        learners.BaggingRegressor(
            learners.KNNRegressor(1), n_estimators=30, random_state=0
        )
        .fit(x, y)
        .estimators_
    )
    predictions = np.stack([member.predict(at) for member in members])
    truth = np.sin(at[:, 0])
    counts = (1, 2, 3, 5, 8, 12, 20, 30)
    draws = [
        [random.choice(30, size=k, replace=False) for _ in range(300)] for k in counts
    ]
    measured = [
        float(
            np.mean(
                [
                    np.mean((predictions[rows].mean(axis=0) - truth) ** 2)
                    for rows in some
                ]
            )
        )
        for some in draws
    ]
    report = learners.error_correlation(predictions, truth)
    expected = [report.variance / k + (k - 1) * report.covariance / k for k in counts]
    return line_chart(
        [
            series("measured", counts, measured),
            series("v/k + (k − 1)c/k", counts, expected, True),
        ],
        "Averages of k 1-NN regressors",
        "k",
        "mean square error",
    )


def network_search_cv() -> str:
    """Draw scores of a grid."""
    x, y = digits()
    x, y = x[:600] / x.max(), y[:600]
    rates = [float(10**p) for p in np.linspace(-4, -0.5, 10)]
    sizes = [(4,), (16,), (64,)]
    learner = learners.MLPClassifier(epochs=15, random_state=0)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    search = learners.NetworkSearchCV(
        learner, {"hidden_sizes": sizes, "learning_rate": rates}, cv=folds
    ).fit(x, y)
    found = {
        (p["hidden_sizes"], p["learning_rate"]): score
        for p, score in zip(
            search.cv_results_["params"],
            search.cv_results_["mean_test_score"],
            strict=True,
        )
    }
    lines = [
        series(
            f"{size[0]} units", np.log10(rates), [found[size, rate] for rate in rates]
        )
        for size in sizes
    ]
    best = search.best_params_
    title = f"Best: {best['hidden_sizes'][0]} units, η = {best['learning_rate']:.2g}, {search.best_score_:.1%} right"
    return line_chart(lines, title, "log₁₀ η", "accuracy in the folds left out")


def snapshots() -> str:
    """Draw the error of each snapshot, and of averages."""
    x, y = digits()
    x = x / x.max()
    kept = learners.Snapshots(cycle_epochs=12)
    learner = learners.MLPClassifier(
        (24,), epochs=96, learning_rate=0.03, callbacks=[kept], random_state=0
    )
    learner.fit(x[:500], y[:500])
    shares = np.stack(
        [
            _softmax(train.predict(model, x[500:]))
            for model in kept.models(learner.network_)
        ]
    )
    count = np.arange(1, len(shares) + 1)
    single = [float((share.argmax(axis=1) != y[500:]).mean()) for share in shares]
    joint = [
        float((shares[:k].mean(axis=0).argmax(axis=1) != y[500:]).mean()) for k in count
    ]
    return line_chart(
        [
            series("k-th snapshot", count, single),
            series("mean of the first k", count, joint),
        ],
        "Eight snapshots of one run, 500 digits",
        "k",
        "error on 1297 other digits",
    )


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def running_statistics() -> str:
    """Draw relative errors of variances against the mean."""
    values = np.random.default_rng(0).normal(size=1000)
    powers = range(0, 13)
    running, naive = [], []
    for power in powers:
        x = values + 10.0**power
        truth = _variance(x)
        statistics = learners.RunningStatistics()
        for value in x:
            statistics.update(value)
        running.append(max(abs(float(statistics.variance()) / truth - 1), 1e-17))
        naive.append(max(abs(float((x * x).mean() - x.mean() ** 2) / truth - 1), 1e-17))
    return line_chart(
        [
            series("Σx²/n − μ²", powers, naive),
            series("RunningStatistics", powers, running),
        ],
        "Variance of 1000 numbers of deviation 1",
        "log₁₀ of their mean",
        "relative error",
        log_y=True,
    )


def _variance(x: Array) -> float:
    """Return the variance of the numbers as they are, in exact arithmetic."""
    exact = [Fraction(float(value)) for value in x]
    mean = sum(exact) / len(exact)
    return float(sum((value - mean) ** 2 for value in exact) / len(exact))
