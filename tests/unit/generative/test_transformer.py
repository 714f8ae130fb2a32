"""Autoencoders as scikit-learn transformers: the package's own checks, PCA as oracle, every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from deltarule import data, nn
from deltarule import generative as g
from deltarule.errors import ArgumentError
from support.estimator_checks import with_checks

DIGITS = data.load("digits")
ROWS = DIGITS.inputs[:400].reshape(400, 64)


@with_checks([g.LatentTransformer(epochs=2, random_state=0, device="reference")])
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.notes("AE-04")
def test_linear_one_reconstructs_as_well_as_principal_components() -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(120, 2)) @ random.normal(size=(2, 5)) + 0.2 * random.normal(
        size=(120, 5)
    )
    x -= x.mean(axis=0)
    learner = g.LatentTransformer(
        lambda n: g.dense_autoencoder((n, 2)),
        epochs=1500,
        learning_rate=0.02,
        batch_size=120,
        random_state=0,
        device="reference",
    ).fit(x)
    pca = PCA(2).fit(x)
    best = -((pca.inverse_transform(pca.transform(x)) - x) ** 2).mean()
    assert best * 1.02 < learner.score(x) <= best + 1e-9
    assert learner.get_feature_names_out().tolist() == [
        "latenttransformer0",
        "latenttransformer1",
    ]
    assert (
        learner.n_iter_ == 1500
        and learner.history_["loss"][-1] < learner.history_["loss"][0]
    )


KINDS: dict[str, tuple[Callable[[int], Any], tuple[int, ...] | None, int]] = {
    "contractive": (
        lambda n: g.dense_autoencoder(
            (n, 16, 3), nn.Tanh, penalties=[g.Contractive(0.01)]
        ),
        None,
        3,
    ),
    "sparse and tied": (
        lambda n: g.dense_autoencoder(
            (n, 8), tied=True, penalties=[g.L1Sparsity(0.01)]
        ),
        None,
        8,
    ),
    "denoising": (
        lambda n: g.dense_autoencoder((n, 16, 4), corruption=g.MaskingCorruption(0.3)),
        None,
        4,
    ),
    "convolutional": (
        lambda n: g.convolutional_autoencoder((8, 8, 1), (4, 8), 5),
        (8, 8, 1),
        5,
    ),
    "variational": (lambda n: g.dense_vae((n,), 2, (16,)), None, 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_codes_and_rows(kind: str) -> None:
    make, shape, size = KINDS[kind]
    learner = g.LatentTransformer(
        make, example_shape=shape, epochs=3, learning_rate=5e-3, random_state=1
    )
    codes = learner.fit_transform(ROWS)
    assert codes.shape == (400, size) and codes.dtype == np.float32
    assert learner.inverse_transform(codes).shape == (400, 64)
    longer = g.LatentTransformer(
        make, example_shape=shape, epochs=15, learning_rate=5e-3, random_state=1
    ).fit(ROWS)
    assert longer.score(ROWS) > learner.score(ROWS)
    np.testing.assert_array_equal(
        learner.set_params(epochs=3).fit(ROWS).transform(ROWS), codes
    )


def test_codes_serve_a_classifier_in_a_pipeline() -> None:
    pipeline = make_pipeline(
        g.LatentTransformer(
            n_components=12, epochs=100, learning_rate=3e-3, random_state=0
        ),
        LogisticRegression(max_iter=2000),
    ).fit(ROWS[:300], DIGITS.targets[:300])
    assert pipeline.score(ROWS[300:], DIGITS.targets[300:400]) > 0.8


def test_mistakes_are_told() -> None:
    with pytest.raises(ArgumentError, match="a function from the number of features"):
        g.LatentTransformer(lambda n: nn.Linear(n, 2)).fit(ROWS)
    with pytest.raises(ArgumentError, match="without a condition"):
        g.LatentTransformer(lambda n: g.dense_vae((n,), 2, (4,), condition_size=3)).fit(
            ROWS
        )
    with pytest.raises(ArgumentError, match="a shape of 64 numbers"):
        g.LatentTransformer(example_shape=(8, 9)).fit(ROWS)
    with pytest.raises(ArgumentError, match="n_components"):
        g.LatentTransformer(n_components=0).fit(ROWS)
    learner = g.LatentTransformer(epochs=1, device="reference").fit(ROWS[:10])
    with pytest.raises(ValueError, match=r"codes of shape \(N, 2\)"):
        learner.inverse_transform(np.zeros((3, 4)))
