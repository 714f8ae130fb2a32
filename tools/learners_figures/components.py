"""Figures of decompositions and maps."""

from __future__ import annotations

import numpy as np

from deltarule import learners
from deltarule.render.svg import line_chart, scatter
from learners_figures.scene import Array, Stroke, digits, scene, series

_N_ON_MAP = 300


def pca() -> str:
    """Draw a cloud and its axes."""
    random = np.random.default_rng(2)
    x = random.normal(size=(150, 2)) @ [[2.0, 1.1], [-0.3, 0.6]] + [1.0, 2.0]
    learner = learners.PCA().fit(x)
    strokes = []
    for k, (axis, variance) in enumerate(
        zip(learner.components_, learner.explained_variance_, strict=True)
    ):
        tip = learner.mean_ + 2 * np.sqrt(variance) * axis
        strokes.append(
            Stroke(
                *np.stack([learner.mean_, tip]).T,
                k + 1,
                f"{'first' if k == 0 else 'second'} axis",
            )
        )
    first, second = learner.explained_variance_ratio_
    title = f"{first:.0%} of the variance along the first axis, {second:.0%} along the second"
    return scene([("", x)], strokes, title, "x₁", "x₂", size=(560, 330))


def fast_ica() -> str:
    """Draw mixtures and the sources found in them."""
    t = np.arange(240) / 10.0
    sources = np.stack([np.sin(2 * t), 2 * (t / 1.9 % 1) - 1], axis=1)
    mixed = sources @ [[1.0, 0.6], [0.7, 1.0]] + 0.02 * np.random.default_rng(0).normal(
        size=(240, 2)
    )
    found = learners.FastICA().fit_transform(mixed)
    rows = [
        ("mixture 1", mixed[:, 0]),
        ("mixture 2", mixed[:, 1]),
        ("source 1", found[:, 0]),
        ("source 2", found[:, 1]),
    ]
    lines = [
        series(name, t, row / row.std() + 4.5 * (3 - k))
        for k, (name, row) in enumerate(rows)
    ]
    return line_chart(
        lines, "Two mixtures, and what FastICA finds in them", "time", "", height=360
    )


def _map(places: Array, labels: Array, title: str) -> str:
    groups = [series(str(c), *np.round(places[labels == c], 2).T) for c in range(10)]
    return scatter(groups, title, radius=2.0, names_inside=True)


def tsne() -> str:
    """Draw a map of digits."""
    x, y = (part[:_N_ON_MAP] for part in digits())
    learner = learners.TSNE(random_state=0)
    return _map(learner.fit_transform(x), y, f"{_N_ON_MAP} digits by t-SNE")


def umap() -> str:
    """Draw a map of digits."""
    x, y = (part[:_N_ON_MAP] for part in digits())
    return _map(
        learners.UMAP(min_dist=0.5, random_state=0).fit_transform(x),
        y,
        f"{_N_ON_MAP} digits by UMAP",
    )


def parametric_umap() -> str:
    """Draw digits that the network has not seen."""
    x, y = digits()
    learner = learners.ParametricUMAP(min_dist=0.5, epochs=40, random_state=0).fit(
        x[_N_ON_MAP:1000]
    )
    return _map(
        learner.transform(x[:_N_ON_MAP]),
        y[:_N_ON_MAP],
        f"{_N_ON_MAP} digits that the network has not seen",
    )
