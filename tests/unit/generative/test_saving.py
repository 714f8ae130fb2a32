"""Generative models in files: what dr.load gives back computes what was saved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import generative as g
from deltarule import nn
from deltarule.errors import CheckpointError
from deltarule.nn import saving

R = np.random.default_rng(0)
IMAGES = R.uniform(size=(12, 8, 8, 1)).astype(np.float32)
CONDITION = np.eye(3, dtype=np.float32)[R.integers(0, 3, 12)]
VAES: dict[str, Any] = {
    "dense": lambda: g.dense_vae((8, 8, 1), 2, (16,)),
    "dense, one deviation": lambda: g.dense_vae(
        (8, 8, 1), 3, (16,), g.GaussianLikelihood("shared", least=0.1)
    ),
    "deviations of pixels": lambda: g.dense_vae(
        (8, 8, 1), 2, (16,), g.GaussianLikelihood("output")
    ),
    "annealed": lambda: g.dense_vae(
        (8, 8, 1),
        2,
        (16,),
        g.BernoulliLikelihood(),
        beta=g.Annealing(10, 0.1),
        n_samples=2,
    ),
    "importance": lambda: g.dense_vae(
        (8, 8, 1), 2, (8,), bound="importance", n_samples=3, prior_deviation=2.0
    ),
    "convolutional": lambda: g.convolutional_vae(
        (8, 8, 1), 2, (4,), upsampling="unpooling"
    ),
    "conditional": lambda: g.convolutional_vae(
        (8, 8, 1), 2, (4,), g.GaussianLikelihood(0.5), condition_size=3
    ),
}


@pytest.mark.parametrize("name", VAES)
def test_a_vae_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    model = VAES[name]()
    options = {"condition": CONDITION} if name == "conditional" else {}
    model.fit(IMAGES, epochs=1, batch_size=6, verbose=0, **options)
    model.save(tmp_path / "vae.dr")
    again = dr.load(tmp_path / "vae.dr")
    assert (
        isinstance(again, g.VAE)
        and repr(again) == repr(model)
        and again.config() == model.config()
    )
    for mine, theirs in zip(
        model.elbo(IMAGES, 4, **options), again.elbo(IMAGES, 4, **options), strict=True
    ):
        np.testing.assert_array_equal(theirs, mine)
    assert (
        again.last_loss == model.last_loss
        and again.last_history.epochs == model.last_history.epochs
    )
    assert type(again.beta) is type(model.beta) and again.beta == model.beta


def test_a_checkpoint_of_a_vae_comes_back(tmp_path: Path) -> None:
    model = VAES["dense"]()
    model.fit(IMAGES, epochs=2, batch_size=6, verbose=0, checkpoint=tmp_path / "run.dr")
    np.testing.assert_array_equal(
        dr.load(tmp_path / "run.dr").elbo(IMAGES, 4)[0], model.elbo(IMAGES, 4)[0]
    )


def test_autoencoders_come_back_unless_a_function_belongs_to_them(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    model = g.dense_autoencoder((4, 3, 2), corruption=g.SaltAndPepper(0.2, high=2.0))
    model.save(tmp_path / "a.dr")
    again, x = dr.load(tmp_path / "a.dr"), random.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    assert again.corruption.arguments() == {"probability": 0.2, "low": 0.0, "high": 2.0}
    for own in (
        g.dense_autoencoder((4, 2), penalties=[g.L1Sparsity(0.1)]),
        g.dense_autoencoder((4, 2), tied=True),
        g.Autoencoder(nn.Function(lambda x: x), nn.Linear(4, 4)),
    ):
        own.save(tmp_path / "b.dr")
        with pytest.raises(CheckpointError, match="model=Autoencoder"):
            dr.load(tmp_path / "b.dr")


def test_load_enters_the_room_that_a_file_names_and_no_other(tmp_path: Path) -> None:
    VAES["dense"]().save(tmp_path / "vae.dr")
    program = (
        "import deltarule, sys; "
        "print('deltarule.generative' in sys.modules, deltarule.load(sys.argv[1]).latent_size)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "vae.dr")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "2"]
    for name in ("learners.PCA", "generative.os", "generative.Nothing", "os.path"):
        with pytest.raises(
            CheckpointError, match="a class that this version does not have"
        ):
            saving.build({"class": name})
