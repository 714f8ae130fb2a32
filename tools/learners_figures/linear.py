"""Figures of the linear learners."""

from __future__ import annotations

import numpy as np

from deltarule import learners
from deltarule.render.svg import line_chart
from learners_figures.scene import (
    Array,
    Stroke,
    boundary,
    iris,
    scene,
    series,
    straight,
)


def linear_regression() -> str:
    """Draw a line and what is squared."""
    random = np.random.default_rng(1)
    x = np.sort(random.uniform(0, 10, 24))
    y = 1.5 + 0.8 * x + random.normal(scale=1.3, size=24)
    learner = learners.LinearRegression().fit(x[:, None], y)
    found = learner.predict(x[:, None])
    gaps = [
        Stroke([a, a], [b, c], 1, faint=True)
        for a, b, c in zip(x, y, found, strict=True)
    ]
    fit = Stroke(x[[0, -1]], found[[0, -1]], 0)
    slope, bias = learner.coef_[0], learner.intercept_
    title = f"ŷ = {slope:.2f}·x + {bias:.2f}, true 0.80·x + 1.50"
    return scene([("", np.stack([x, y], axis=1))], [*gaps, fit], title, "x", "y")


def ridge() -> str:
    """Draw coefficients of two features that are nearly the same, and one of its own."""
    random = np.random.default_rng(3)
    shared = random.normal(size=40)
    x = np.stack(
        [shared, shared + 0.05 * random.normal(size=40), random.normal(size=40)], axis=1
    )
    y = x @ [1.0, 1.0, -1.0] + 0.5 * random.normal(size=40)
    powers = np.linspace(-4, 3, 36)
    paths = np.array(
        [learners.Ridge(alpha=float(10**p)).fit(x, y).coef_ for p in powers]
    ).T
    names = ("twin (true 1)", "twin (true 1)", "own (true −1)")
    return line_chart(
        [series(name, powers, path) for name, path in zip(names, paths, strict=True)],
        "Ridge: twins share what they carry",
        "log₁₀ α",
        "coefficient",
    )


def lasso() -> str:
    """Draw the lasso's path."""
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 6))
    y = x @ [3.0, -2.0, 1.2, 0.5, 0.0, 0.0] + random.normal(size=80)
    strengths = np.linspace(0, 3, 31)
    paths = np.array(
        [learners.Lasso(alpha=float(a)).fit(x, y).coef_ for a in strengths]
    ).T
    names = ("3", "−2", "1.2", "0.5", "0", "0")
    return line_chart(
        [
            series(f"true {name}", strengths, path)
            for name, path in zip(names, paths, strict=True)
        ],
        "The lasso's coefficients",
        "α",
        "coefficient",
    )


def elastic_net() -> str:
    """Draw the coefficients of two features that are nearly the same, by the lasso and by the elastic net."""
    random = np.random.default_rng(3)
    shared = random.normal(size=60)
    x = np.stack([shared + 0.1 * random.normal(size=60) for _ in range(2)], axis=1)
    y = x @ [1.2, 0.8] + 0.5 * random.normal(size=60)
    strengths = np.linspace(0.01, 1.6, 33)
    drawn = []
    for name, ratio in (("lasso", 1.0), ("elastic net, ρ = 0.5", 0.5)):
        paths = np.array(
            [
                learners.ElasticNet(alpha=float(a), l1_ratio=ratio).fit(x, y).coef_
                for a in strengths
            ]
        ).T
        drawn += [
            series(f"{name}: true {true}", strengths, path)
            for true, path in zip(("1.2", "0.8"), paths, strict=True)
        ]
    return line_chart(drawn, "Twins under two penalties", "α", "coefficient")


def _clouds(n: int, gap: float) -> tuple[Array, Array]:
    random = np.random.default_rng(5)
    y = np.arange(n) % 2
    return random.normal(size=(n, 2)) * 0.8 + gap * (y[:, None] - 0.5) * [1.0, 0.7], y


def perceptron() -> str:
    """Draw the boundary after every epoch; θ is rebuilt from the log of mistakes."""
    x = np.random.default_rng(4).normal(size=(70, 2)) * 2 + [1.0, 2.0]
    side = x @ [1.0, 0.6] - 1.5
    x, y = x[abs(side) > 0.3], (side > 0)[abs(side) > 0.3]
    learner = learners.Perceptron().fit(x, y)
    augmented = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    at = np.linspace(-10, 10, 400)
    strokes, epochs = [], learner.mistake_log_[:, 0]
    for epoch in range(1, learner.n_iter_):
        log = learner.mistake_log_[epochs <= epoch]
        theta = (log[:, 2:] * augmented[log[:, 1]]).sum(axis=0)
        last = epoch == learner.n_iter_ - 1
        if theta[1]:
            strokes.append(
                Stroke(
                    *straight(theta[:2], theta[2], at),
                    2,
                    "boundary" if last else "",
                    faint=not last,
                )
            )
    title = "Mistakes by epoch: " + ", ".join(str(n) for n in learner.mistakes_)
    return scene([("0", x[y == 0]), ("1", x[y == 1])], strokes, title, "x₁", "x₂")


def adaline() -> str:
    """Draw the losses of both rules."""
    x, y = iris()
    x, y = x[y > 0], y[y > 0]
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    order = np.random.default_rng(0).permutation(100)
    fits = {
        rule: learners.Adaline(max_iter=30, rule=rule).fit(scaled[order], y[order])
        for rule in ("original", "unit-norm")
    }
    lines = [series(name, range(1, 31), fit.losses_) for name, fit in fits.items()]
    return line_chart(lines, "ADALINE on two kinds of iris", "epoch", "mean (y − z)²")


def logistic_regression() -> str:
    """Draw the probability over one feature."""
    x, y = iris()
    width, kind = x[y > 0][:, 3:], (y[y > 0] == 2).astype(int)
    learner = learners.LogisticRegression(alpha=1e-2).fit(width, kind)
    at = np.linspace(0.8, 2.7, 80)
    curve = Stroke(at, learner.predict_proba(at[:, None])[:, 1], 2, "P(virginica)")
    groups = [
        (
            name,
            np.column_stack(
                [
                    np.unique(width[kind == c]),
                    np.full(len(np.unique(width[kind == c])), c),
                ]
            ),
        )
        for c, name in enumerate(("versicolor", "virginica"))
    ]
    title = f"Even chances at {-learner.intercept_ / learner.coef_[0]:.2f} cm"
    return scene(groups, [curve], title, "petal width in cm", "probability")


def softmax_regression() -> str:
    """Draw three classes and where two of them are level."""
    x, y = iris()
    x = x[:, 2:]
    learner = learners.SoftmaxRegression(alpha=1e-3).fit(x, y)
    strokes = []
    for i, j in ((0, 1), (1, 2)):
        at, level = boundary(
            lambda points, i=i, j=j: np.subtract(
                *learner.decision_function(points).T[[i, j]]
            ),
            x,
        )
        scores = learner.decision_function(np.nan_to_num(np.stack([at, level], axis=1)))
        shown = np.where(scores.argmax(axis=1) == 3 - i - j, np.nan, level)
        strokes.append(Stroke(at, shown, 3, "level" if j == 2 else ""))
    groups = [
        (name, x[y == c])
        for c, name in enumerate(("setosa", "versicolor", "virginica"))
    ]
    title = f"Softmax regression: {learner.score(x, y):.0%} of 150 iris flowers right"
    return scene(groups, strokes, title, "petal length in cm", "petal width in cm")


def linear_svm() -> str:
    """Draw boundary, margins and the examples that hold them."""
    x, y = _clouds(60, 2.4)
    learner = learners.LinearSVM(alpha=1e-2, loss="hinge").fit(x, y)
    z = learner.decision_function(x)
    held = x[(2 * y - 1) * z < 1 + 1e-3]
    at = np.linspace(-10, 10, 400)
    weights, bias = (
        learner.coef_[1] - learner.coef_[0],
        learner.intercept_[1] - learner.intercept_[0],
    )
    strokes = [
        Stroke(
            *straight(weights, bias - level, at),
            2,
            f"z = {level}".replace("-", "−"),
            dashed=level != 0,
        )
        for level in (-1, 0, 1)
    ]
    groups = [("", x[y == 0]), ("", x[y == 1])]
    return scene(
        groups,
        strokes,
        f"{len(held)} of 60 examples hold the margin",
        "x₁",
        "x₂",
        ringed=held,
    )
