"""Autoencoders: subspaces, penalties against torch, corruption, tied weights, images."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

import deltarule as dr
from deltarule import generative as g
from deltarule import nn, optim
from deltarule.errors import ArgumentError, ShapeError
from support.oracles import torch

R = np.random.default_rng(0)
MANIFOLD = (
    R.normal(size=(96, 2)) @ R.normal(size=(2, 6)) + 0.05 * R.normal(size=(96, 6))
).astype(np.float32)
FAST = {"verbose": 0, "device": "reference"}


@pytest.mark.notes("AE-01", "AE-02", "AE-04", "THY-18")
def test_linear_autoencoder_spans_the_principal_subspace() -> None:
    random = np.random.default_rng(0)
    x = (MANIFOLD + 0.5 * random.normal(size=MANIFOLD.shape)).astype(np.float32)
    model = g.Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6))
    model.fit(
        x, optimizer=optim.Adam(learning_rate=0.02), epochs=1500, batch_size=96, **FAST
    )
    pca = PCA(2).fit(x)
    basis = np.linalg.qr(model.decoder.weight.numpy())[0]
    np.testing.assert_allclose(
        basis @ basis.T, pca.components_.T @ pca.components_, atol=5e-3
    )
    left = ((model.reconstruct(x) - x) ** 2).sum()
    assert left == pytest.approx(
        ((pca.inverse_transform(pca.transform(x)) - x) ** 2).sum(), rel=0.02
    )


@pytest.mark.notes("AE-06", "REG-24")
def test_sparsity_penalties_are_their_formulas() -> None:
    random = np.random.default_rng(0)
    h = random.uniform(0.05, 0.95, (7, 3))
    assert g.L1Sparsity(0.5)(dr.tensor(h), dr.tensor(h)).item() == pytest.approx(
        0.5 * h.sum() / 7
    )
    rate = torch.tensor(0.2, dtype=torch.float64)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(rate),
        torch.distributions.Bernoulli(torch.tensor(h.mean(0))),
    )
    assert g.KLSparsity(2.0, 0.2)(dr.tensor(h), dr.tensor(h)).item() == pytest.approx(
        2 * kl.sum().item()
    )


def test_contractive_penalty_is_the_jacobians_square_and_has_a_gradient() -> None:
    random = np.random.default_rng(0)
    x, w = random.normal(size=(5, 4)), random.normal(size=(3, 4))
    weight, given = dr.parameter(w), dr.tensor(x)
    penalty = g.Contractive(0.7)(nn.tanh(given @ weight.T), given)
    theirs = torch.tensor(w, requires_grad=True)
    jacobians = torch.stack(
        [
            torch.autograd.functional.jacobian(
                lambda v: torch.tanh(theirs @ v), torch.tensor(row), create_graph=True
            )
            for row in x
        ]
    )
    expected = 0.7 * (jacobians**2).sum() / 5
    expected.backward()
    assert penalty.item() == pytest.approx(expected.item())
    np.testing.assert_allclose(
        dr.grad(penalty, [weight])[0].numpy(), theirs.grad.numpy(), rtol=1e-9
    )


@pytest.mark.parametrize(
    "penalty", [g.L1Sparsity(0.05), g.Contractive(0.05), g.KLSparsity(0.05, 0.1)]
)
def test_penalties_train(penalty: g.CodePenalty) -> None:
    def codes(penalties: list[g.CodePenalty]) -> tuple[float, g.Autoencoder]:
        model = g.dense_autoencoder(
            (6, 8), nn.Tanh, code_activation=nn.Sigmoid(), penalties=penalties
        )
        history = model.fit(
            MANIFOLD,
            epochs=60,
            batch_size=32,
            optimizer=optim.Adam(learning_rate=0.02),
            **FAST,
        )
        assert ("penalty" in history.names) == bool(penalties)
        h = dr.tensor(MANIFOLD)
        return penalty(model.encoder(h), h).item(), model

    with_penalty, model = codes([penalty])
    without, _ = codes([])
    assert with_penalty < 0.7 * without
    assert ((model.reconstruct(MANIFOLD) - MANIFOLD) ** 2).mean() < MANIFOLD.var()


def test_corruption_acts_in_training_only() -> None:
    x = np.full((400, 5), 0.5, np.float32)
    for layer in (
        g.GaussianCorruption(0.3),
        g.MaskingCorruption(0.3),
        g.SaltAndPepper(0.3),
    ):
        np.testing.assert_array_equal(layer(x).numpy(), x)
        changed = layer(x, mode="training", seed=1).numpy()
        np.testing.assert_array_equal(
            changed, layer(x, mode="training", seed=1).numpy()
        )
        assert (changed != layer(x, mode="training", seed=1, step=1).numpy()).any()
        if isinstance(layer, g.GaussianCorruption):
            assert (changed - x).std() == pytest.approx(0.3, rel=0.1)
        else:
            assert (changed != x).mean() == pytest.approx(0.3, abs=0.05)
    with pytest.raises(ArgumentError, match="MaskingCorruption"):
        g.MaskingCorruption(1.5)


def test_denoising_restores_better_than_copying() -> None:
    random = np.random.default_rng(0)
    model = g.dense_autoencoder((6, 16, 2), corruption=g.GaussianCorruption(0.5))
    model.fit(
        MANIFOLD,
        epochs=60,
        batch_size=32,
        optimizer=optim.Adam(learning_rate=0.01),
        **FAST,
    )
    noisy = MANIFOLD + 0.5 * random.normal(size=MANIFOLD.shape).astype(np.float32)
    assert ((model.reconstruct(noisy) - MANIFOLD) ** 2).mean() < 0.7 * (
        (noisy - MANIFOLD) ** 2
    ).mean()


def test_tied_weights_are_shared() -> None:
    random = np.random.default_rng(0)
    model = g.dense_autoencoder((6, 4, 2), nn.Tanh, tied=True)
    assert [name for name, _ in model.named_parameters()] == [
        "encoder.0.weight",
        "encoder.0.bias",
        "encoder.2.weight",
        "encoder.2.bias",
        "decoder.0.bias",
        "decoder.2.bias",
    ]
    h = random.normal(size=(3, 2)).astype(np.float32)
    first, second = model.encoder[2].weight.numpy(), model.encoder[0].weight.numpy()
    np.testing.assert_allclose(model.decode(h), np.tanh(h @ first) @ second, rtol=1e-5)
    before = model.evaluate(
        MANIFOLD, MANIFOLD, loss="mean_squared_error", device="reference"
    )["loss"]
    history = model.fit(
        MANIFOLD,
        epochs=30,
        batch_size=32,
        optimizer=optim.Adam(learning_rate=0.02),
        **FAST,
    )
    assert history["loss"][-1] < 0.6 * before


@pytest.mark.notes("AE-13")
@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "unpooling"])
def test_convolutional_autoencoder_learns_digits(upsampling: g.Upsampling) -> None:
    images = dr.data.load("digits").inputs[:128]
    model = g.convolutional_autoencoder((8, 8, 1), (6, 8), 8, upsampling=upsampling)
    history = model.fit(
        images,
        epochs=12,
        batch_size=16,
        optimizer=optim.Adam(learning_rate=0.01),
        verbose=0,
    )
    assert history["loss"][-1] < 0.6 * images.var() < history["loss"][0]
    assert (
        model.encode(images).shape == (128, 8)
        and model.reconstruct(images).shape == images.shape
    )
    assert model.traverse(images[0], 1, [-1.0, 0.0, 1.0]).shape == (3, 8, 8, 1)


@pytest.mark.notes("AE-13")
def test_unpooling_is_a_transposed_convolution_with_one_weight() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 3, 2, 4))
    corner = torch.zeros((4, 1, 3, 3), dtype=torch.float64)
    corner[:, 0, 0, 0] = 1.0
    theirs = torch.nn.functional.conv_transpose2d(
        torch.tensor(x).permute(0, 3, 1, 2), corner, stride=3, groups=4
    )
    given = dr.parameter(x)
    ours = g.Unpool2d(3)(given)
    np.testing.assert_array_equal(ours.numpy(), theirs.permute(0, 2, 3, 1).numpy())
    weights = random.normal(size=ours.shape)
    np.testing.assert_array_equal(
        dr.grad((ours * dr.tensor(weights)).sum(), [given])[0].numpy(),
        weights[:, ::3, ::3],
    )
    with pytest.raises(ShapeError, match="Unpool2d"):
        g.Unpool2d(2)(np.zeros((2, 3)))


def test_shapes_that_do_not_fit_are_told() -> None:
    with pytest.raises(ShapeError, match=r"a decoder that gives \(3, 6\)"):
        g.Autoencoder(nn.Linear(6, 2), nn.Linear(2, 5))(MANIFOLD[:3])
    with pytest.raises(ArgumentError, match="halved 2 times"):
        g.convolutional_autoencoder((6, 8, 1), (4, 4))
