"""Image layers and kernels of the notes: transposed convolution, unpooling, kernels, dropout of channels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage, signal
from sklearn.datasets import load_sample_image

import deltarule as dr
from deltarule import nn, optim
from deltarule.errors import ArgumentError, DTypeError, ShapeError
from deltarule.nn import kernels
from support.oracles import torch


@pytest.mark.notes("C-POOL-03", "POOL-07")
@pytest.mark.parametrize(
    ("n", "f", "p", "s", "size"),
    [
        (2, 3, 0, 1, 4),
        (3, 3, 1, 2, 5),
        (4, 2, 0, 2, 8),
        (5, 4, 1, 2, 10),
        (2, 2, 0, 1, 3),
    ],
)
def test_size_of_a_transposed_convolution(
    n: int, f: int, p: int, s: int, size: int
) -> None:
    layer = nn.ConvTranspose2d(1, 1, f, s, p)
    summary = layer.summary((n, n, 1))
    assert summary.output_shape == (size, size, 1) == layer(np.ones((n, n, 1))).shape
    assert f"= {size}" in summary.rows[1].how


@pytest.mark.notes("C-POOL-04", "POOL-08")
@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (1, [[1, 2, 0], [5, 11, 6], [6, 17, 12]]),
        (2, [[1, 0, 2, 0], [2, 3, 4, 6], [3, 0, 4, 0], [6, 9, 8, 12]]),
    ],
)
def test_a_transposed_convolution_adds_kernels(
    stride: int, expected: list[list[int]]
) -> None:
    layer = nn.ConvTranspose2d(1, 1, 2, stride, bias=False)
    layer.weight.assign(np.array([[1.0, 0], [2, 3]]).reshape(1, 2, 2, 1))
    np.testing.assert_array_equal(
        layer(np.array([[1.0, 2], [3, 4]])[..., None]).numpy()[..., 0], expected
    )


@pytest.mark.notes("C-POOL-05", "POOL-08")
def test_transposed_is_the_adjoint() -> None:
    down, up = nn.Conv1d(1, 1, 3, bias=False), nn.ConvTranspose1d(1, 1, 3, bias=False)
    for layer in (down, up):
        layer.weight.assign(np.array([1.0, 2, 3]).reshape(1, 3, 1))
    np.testing.assert_array_equal(
        down(np.array([1.0, 0, 2, 0, 1])[:, None]).numpy()[:, 0], [7, 4, 5]
    )
    np.testing.assert_array_equal(up(np.ones((3, 1))).numpy()[:, 0], [1, 3, 6, 5, 3])
    random = np.random.default_rng(0)
    big = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2, bias=False).astype(
        "float64"
    )
    back = nn.ConvTranspose2d(
        6, 4, (3, 2), (2, 1), (1, 0), (1, 0), (1, 2), 2, bias=False
    ).astype("float64")
    back.weight.assign(big.weight.numpy())
    x = random.normal(size=(1, 8, 7, 4))
    y = random.normal(size=big(x).shape)
    assert back(y).shape == x.shape
    assert np.sum(big(x).numpy() * y) == pytest.approx(
        np.sum(x * back(y).numpy()), rel=1e-12
    )


def test_first_weights_have_the_variance_of_the_convolution_that_they_belong_to() -> (
    None
):
    layer = nn.ConvTranspose2d(64, 128, 3, groups=4, init="he_normal", seed=0)
    assert layer.weight.shape == (64, 3, 3, 32)
    assert float(layer.weight.numpy().var()) == pytest.approx(2 / (9 * 16), rel=0.05)
    with pytest.raises(ArgumentError, match="less than the stride"):
        nn.ConvTranspose2d(1, 1, 3, 2, output_padding=2)
    with pytest.raises(ShapeError, match="64 channels"):
        layer(np.ones((4, 4, 3)))


@pytest.mark.notes("C-POOL-01", "POOL-06")
def test_indices_and_unpooling_of_the_notes() -> None:
    x = np.array([[1.0, 3, 2, 4], [5, 6, 1, 0], [7, 2, 9, 8], [0, 1, 3, 5]])[..., None]
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    np.testing.assert_array_equal(values.numpy()[..., 0], [[6, 4], [7, 9]])
    np.testing.assert_array_equal(indices.numpy()[..., 0], [[5, 3], [8, 10]])
    image = nn.MaxUnpool2d(2)(values, indices).numpy()[..., 0]
    np.testing.assert_array_equal(
        image, [[0, 0, 0, 4], [0, 6, 0, 0], [7, 0, 9, 0], [0, 0, 0, 0]]
    )
    with pytest.raises(ShapeError, match="an index for each value"):
        nn.MaxUnpool2d(2)(values, values)
    with pytest.raises(ShapeError, match="whose pooling gives"):
        nn.MaxUnpool2d(2, output_size=(9, 9))(values, indices)


@pytest.mark.notes("POOL-06")
def test_overlapping_windows_give_a_value_back_once() -> None:
    x = np.random.default_rng(0).normal(size=(1, 7, 7, 2))
    values, indices = nn.MaxPool2d(3, 2, return_indices=True)(x)
    image = nn.MaxUnpool2d(3, 2)(values, indices).numpy()
    np.testing.assert_allclose(image[image != 0], x[image != 0], rtol=1e-15)


@pytest.mark.notes("POOL-09")
def test_an_autoencoder_of_unpooling_and_transposed_convolutions_trains() -> None:
    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            self.down, self.pool = (
                nn.Conv2d(1, 4, 3, padding=1),
                nn.MaxPool2d(2, return_indices=True),
            )
            self.unpool, self.up = (
                nn.MaxUnpool2d(2),
                nn.ConvTranspose2d(4, 1, 3, padding=1),
            )

        def forward(self, x: dr.Tensor) -> dr.Tensor:
            pooled, indices = self.pool(nn.relu(self.down(x)))
            return self.up(self.unpool(pooled, indices))

    x = np.random.default_rng(0).random((16, 6, 6, 1)).astype(np.float32)
    model = Autoencoder()
    summary = model.summary((6, 6, 1))
    assert summary.complete and [row.output for row in summary.rows][-1] == (6, 6, 1)
    history = model.fit(
        x,
        x,
        loss="mean_squared_error",
        optimizer=optim.Adam(learning_rate=0.02),
        epochs=30,
        batch_size=8,
        verbose=0,
        device="reference",
    )
    losses = history["loss"]
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.notes("C-KER-01", "KER-01", "KER-02", "CNN-01", "CNN-02")
def test_edges() -> None:
    image = np.zeros((5, 5))
    image[:, 2:] = 10
    found = nn.apply_kernel(image, kernels.edge_vertical()).numpy()
    np.testing.assert_array_equal(found, np.tile([-30.0, -30, 0], (3, 1)))
    np.testing.assert_array_equal(
        nn.apply_kernel(image, kernels.edge_vertical(), flip_kernel=True).numpy(),
        -found,
    )
    np.testing.assert_array_equal(
        nn.apply_kernel(image, kernels.edge_horizontal()).numpy(), np.zeros((3, 3))
    )
    np.testing.assert_array_equal(
        nn.apply_kernel(image.T, kernels.edge_horizontal()).numpy(), found.T
    )


@pytest.mark.notes("C-KER-02", "C-KER-03", "KER-03", "KER-05", "KER-06")
def test_blur_identity_and_shift() -> None:
    image = np.arange(25.0).reshape(5, 5)
    inner = [[6, 7, 8], [11, 12, 13], [16, 17, 18]]
    np.testing.assert_allclose(
        nn.apply_kernel(image, kernels.blur()).numpy(), inner, rtol=1e-14
    )
    np.testing.assert_array_equal(
        nn.apply_kernel(image, kernels.identity()).numpy(), inner
    )
    right, left = (
        [[5, 6, 7], [10, 11, 12], [15, 16, 17]],
        [[7, 8, 9], [12, 13, 14], [17, 18, 19]],
    )
    np.testing.assert_array_equal(
        nn.apply_kernel(image, kernels.shift()).numpy(), right
    )
    np.testing.assert_array_equal(
        nn.apply_kernel(image, kernels.shift(), flip_kernel=True).numpy(), left
    )
    down = nn.apply_kernel(
        image, kernels.shift(rows=2, columns=-1), padding="same"
    ).numpy()
    np.testing.assert_array_equal(down[2:, :-1], image[:-2, 1:])
    assert not down[:2].any() and not down[:, -1].any()


@pytest.mark.notes("C-KER-04", "KER-04", "E002-03")
def test_sharpening_keeps_the_brightness() -> None:
    flat = np.full((3, 3), 7.0)
    for kernel, value in (
        (kernels.identity(), 7),
        (kernels.blur(), 7),
        (kernels.sharpen(), 7),
    ):
        assert nn.apply_kernel(flat, kernel).item() == pytest.approx(value, rel=1e-14)
    assert nn.apply_kernel(flat, 2 * kernels.identity()).item() == 14
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 9
    expected = [[-1, -1, -1], [-1, 17, -1], [-1, -1, -1]]
    np.testing.assert_allclose(
        nn.apply_kernel(impulse, kernels.sharpen()).numpy(), expected, atol=1e-14
    )


@pytest.mark.notes("KER-07", "KER-08")
@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_kernels_on_photographs(name: str) -> None:
    photograph = load_sample_image(name)[100:160, 200:280].astype(np.float64)
    for kernel in (
        kernels.edge_vertical(),
        kernels.blur(5),
        kernels.sharpen(),
        kernels.shift(1, 2),
    ):
        same = nn.apply_kernel(photograph, kernel, padding="same").numpy()
        grey = nn.apply_kernel(
            photograph[..., 0], kernel, padding="same", flip_kernel=True
        ).numpy()
        for c in range(3):
            expected = ndimage.correlate(photograph[..., c], kernel, mode="constant")
            np.testing.assert_allclose(same[..., c], expected, atol=1e-10)
        np.testing.assert_allclose(
            grey, signal.convolve2d(photograph[..., 0], kernel, "same"), atol=1e-10
        )
        bordered = kernels.pad(photograph, kernel.shape[0] // 2)
        np.testing.assert_allclose(
            nn.apply_kernel(bordered, kernel).numpy(), same, atol=1e-10
        )
    batch = nn.apply_kernel(
        np.stack([photograph, photograph[::-1]]), kernels.blur()
    ).numpy()
    np.testing.assert_allclose(
        batch[0], nn.apply_kernel(photograph, kernels.blur()).numpy(), atol=1e-12
    )
    np.testing.assert_array_equal(
        kernels.pad(photograph, 1, 255.0).numpy()[0], np.full((82, 3), 255.0)
    )
    with pytest.raises(ArgumentError, match="odd"):
        kernels.blur(4)


@pytest.mark.notes("C-CNN-15", "CNN-04", "THY-20")
def test_learning_with_convolution_gives_flipped_kernels() -> None:
    """The same descent from flipped starts: equal outputs, kernels that are flips of each other."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(6, 6)), random.normal(size=(4, 4))
    start = random.normal(size=(3, 3))
    one, other = dr.parameter(start), dr.parameter(start[::-1, ::-1].copy())
    for _ in range(5):
        for kernel, flipped in ((one, False), (other, True)):
            loss = ((nn.apply_kernel(x, kernel, flip_kernel=flipped) - y) ** 2).mean()
            kernel.assign(kernel.numpy() - 0.1 * dr.grad(loss, [kernel])[0].numpy())
    np.testing.assert_allclose(one.numpy(), other.numpy()[::-1, ::-1], rtol=1e-12)
    assert not np.allclose(one.numpy(), start)


@pytest.mark.notes("C-CNN-14")
def test_full_convolution_commutes_and_correlation_does_not() -> None:
    f, g = np.array([[1.0, 2, 3]]), np.array([[0, 1, 0.5]])

    def full(a: np.ndarray, b: np.ndarray, flip: bool) -> list[float]:
        image = np.pad(a, ((0, 0), (2, 2)))
        return list(nn.apply_kernel(image, b, flip_kernel=flip).numpy()[0])

    assert full(f, g, True) == full(g, f, True) == [0, 1, 2.5, 4, 1.5]
    assert full(f, g, False) == [0.5, 2, 3.5, 3, 0]
    assert full(g, f, False) == [0, 3, 3.5, 2, 0.5]


@pytest.mark.notes("C-CNN-08", "CNN-06", "CNN-15", "CNN-20")
def test_filters_span_all_channels_and_images_may_have_any_size() -> None:
    dense = nn.Linear(32 * 32 * 3, 1)
    assert dense.weight.size == 3072 and dense.n_parameters == 3073
    layer = nn.Conv2d(3, 10, 5)
    assert layer.weight.shape[-1] == 3
    assert layer(np.zeros((32, 32, 3))).shape == (28, 28, 10)
    anysize = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.GlobalMaxPool2d(), nn.Linear(4, 2)
    )
    assert {
        anysize(np.zeros((1, h, w, 3), np.float32)).shape for h, w in ((5, 9), (32, 7))
    } == {(1, 2)}
    with pytest.raises(ShapeError, match="3 channels"):
        layer(np.zeros((32, 32, 4)))


def test_embedding_takes_whole_numbers_only() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(12, 2))
    assert model.summary((4,)).output_shape == (2,)
    with pytest.raises(DTypeError, match="whole numbers"):
        model(np.ones((2, 4)))


@pytest.mark.notes("ENS-06", "ENS-08", "ENS-09", "C-ENS-03", "REG-20", "THY-16")
@pytest.mark.parametrize("p", [0.5, 0.8])
def test_both_scalings_have_the_expectation_of_all_masks(p: float) -> None:
    h, w = np.array([1.0, 2, 3]), np.array([1.0, -1, 2])
    masks = np.array(list(itertools.product([0, 1], repeat=3)))
    chance = np.prod(np.where(masks, p, 1 - p), 1)
    standard = chance @ ((masks * h) @ w)
    inverted = nn.Sequential(
        nn.Dropout(keep_probability=p), nn.Linear(3, 1, bias=False)
    ).astype("float64")
    plain = nn.Sequential(
        nn.Dropout(keep_probability=p, scale_in="inference"),
        nn.Linear(3, 1, bias=False),
    ).astype("float64")
    for model in (inverted, plain):
        model[1].weight.assign(w[None])
    assert inverted(h).item() == pytest.approx(5)
    assert plain(h).item() == pytest.approx(standard) == pytest.approx(5 * p)
    seen = {0.0: 0, 1.0: 0}
    rows = np.tile(h, (4000, 1))
    for model, expected in ((inverted, 5.0), (plain, 5.0 * p)):
        outputs = model(rows, mode="training", seed=3).numpy()
        scale = 1 if model is plain else p
        possible = np.unique(((masks * h) @ w) / scale)
        assert np.abs(outputs - possible).min(axis=1).max() < 1e-12
        assert outputs.mean() == pytest.approx(expected, abs=0.25)
        seen[1.0] += 1
    variance = inverted(rows, mode="training", seed=4).numpy().var()
    assert variance == pytest.approx((1 - p) / p * np.sum((w * h) ** 2), rel=0.1)


@pytest.mark.notes("ENS-09", "ENS-13")
def test_the_mean_over_subnetworks_is_the_whole_linear_network() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)).astype("float64")
    x = np.array([[1.0, -1, 2, 0.5]])
    passes = np.stack(
        [model(x, mode="training", seed=0, step=step).numpy() for step in range(2000)]
    )
    spread = passes.std(0) / np.sqrt(2000)
    assert np.all(np.abs(passes.mean(0) - model(x).numpy()) < 4 * spread)
    assert len(np.unique(passes.round(9), axis=0)) == 16  # 2⁴ subnetworks


@pytest.mark.notes("ENS-07", "C-ENS-04")
def test_both_names_of_the_probability_mean_what_they_say() -> None:
    assert (
        nn.Dropout(0.2).keep_probability
        == nn.Dropout(drop_probability=0.2).keep_probability
        == 0.8
    )
    assert nn.Dropout(keep_probability=0.8).drop_probability == pytest.approx(0.2)
    assert nn.Dropout().drop_probability == 0.5
    standard = nn.Dropout(drop_probability=0.2, scale_in="inference")
    np.testing.assert_allclose(standard(np.ones(3)).numpy(), 0.8)
    ones = np.ones(2000)
    kept = standard(ones, mode="training", seed=0).numpy()
    assert set(kept) == {0.0, 1.0} and abs(kept.mean() - 0.8) < 0.04
    for wrong in (
        {"drop_probability": 0.2, "keep_probability": 0.8},
        {"keep_probability": -0.1},
        {"scale_in": "test"},
    ):
        with pytest.raises(ArgumentError):
            nn.Dropout(**wrong)


@pytest.mark.notes("ENS-10", "BP-22")
def test_the_gradient_passes_through_the_same_mask() -> None:
    x = dr.tensor(np.ones((20, 10)), name="x")
    output = nn.Dropout(0.3).apply(x, mode="training", seed=1, step=4).output
    slope = dr.grad((output * output).sum() / 2, [x])[0]
    np.testing.assert_allclose(slope.numpy(), output.numpy() / 0.7, rtol=1e-12)


@pytest.mark.notes("C-ENS-05")
def test_a_mask_before_the_gate_is_one_after_it_for_relu_only() -> None:
    z, mask = dr.tensor(np.array([1.0, -2.0])), np.array([1.0, 0.0])
    np.testing.assert_array_equal(
        nn.relu(z * mask / 0.5).numpy(), (nn.relu(z) * mask / 0.5).numpy()
    )
    np.testing.assert_allclose(
        nn.sigmoid(z * mask / 0.5).numpy(), [0.8807970780, 0.5], atol=1e-9
    )
    np.testing.assert_allclose(
        (nn.sigmoid(z) * mask / 0.5).numpy(), [1.4621171573, 0], atol=1e-9
    )


@pytest.mark.notes("ENS-11", "C-REG-09", "REG-19")
def test_dropout_keeps_the_number_of_parameters() -> None:
    plain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    dropped = nn.Sequential(
        nn.Dropout(0.2), nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
    )
    assert plain.n_parameters == dropped.n_parameters
    x = np.ones((8, 4), np.float32)
    dropped.fit(
        x,
        np.zeros((8, 2), np.float32),
        loss="mean_squared_error",
        optimizer=optim.SGD(learning_rate=0.1),
        epochs=2,
        batch_size=4,
        verbose=0,
        device="reference",
    )
    assert all(
        np.count_nonzero(p.numpy()) == p.size
        for name, p in dropped.named_parameters()
        if "weight" in name
    )


def test_spatial_dropout_drops_whole_channels() -> None:
    x = np.random.default_rng(0).uniform(1, 2, size=(50, 4, 5, 8))
    y = nn.SpatialDropout(0.25)(x, mode="training", seed=0).numpy()
    gone = (y == 0).all(axis=(1, 2))
    assert np.array_equal(gone, (y == 0).any(axis=(1, 2)))
    assert abs(gone.mean() - 0.25) < 0.08
    np.testing.assert_allclose(y[y != 0], (x / 0.75)[y != 0], rtol=1e-12)
    signal_layer = nn.SpatialDropout(keep_probability=0.5, n_axes=1)
    assert signal_layer(np.ones((3, 7, 2)), mode="training", seed=0).shape == (3, 7, 2)


@pytest.mark.notes("CNN-14")
def test_receptive_fields_behind_layers_that_enlarge() -> None:
    """What the summary says is what the gradient of one output sees at most."""
    chains = {
        "transposed": [
            nn.Conv2d(1, 1, 3),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(1, 1, 3, 2),
            nn.Conv2d(1, 1, 3),
        ],
        "upsampled": [nn.AvgPool2d(2), nn.Upsample2d(2), nn.Conv2d(1, 1, 3)],
        "interpolated": [
            nn.Conv2d(1, 1, 2),
            nn.Upsample2d(3, "linear"),
            nn.Conv2d(1, 1, 3),
        ],
        "shuffled": [
            nn.Conv2d(1, 4, 3),
            nn.PixelShuffle(2),
            nn.Conv2d(1, 1, 4, dilation=2),
        ],
        "unshuffled": [nn.PixelUnshuffle(2), nn.Conv2d(4, 1, 3)],
    }
    for name, layers in chains.items():
        model = nn.Sequential(
            *(nn.AvgPool2d(2) if isinstance(x, nn.MaxPool2d) else x for x in layers)
        )
        for parameter in model.parameters():
            parameter.assign(np.ones(parameter.shape))
        x = dr.tensor(np.ones((20, 20, 1)), name="x")
        output = model(x)
        rows, columns, _ = output.shape
        seen = 0
        for i in range(rows // 2 - 2, rows // 2 + 2):
            slope = dr.grad(output[i, columns // 2, 0], [x])[0].numpy()[..., 0]
            seen = max(seen, np.ptp(np.flatnonzero(slope.any(axis=1))) + 1)
        field = model.summary((20, 20, 1)).rows[-1].receptive_field
        assert field is not None and field[0] == seen, name


def test_output_padding_up_to_the_dilation_as_torch_takes_it() -> None:
    random, tried = np.random.default_rng(0), 0
    for k, s, p, o, d in itertools.product(
        (1, 2, 3), (1, 2, 3), (0, 1, 2), (0, 1, 2, 3), (1, 2, 4)
    ):
        sizes = {"stride": s, "padding": p, "output_padding": o, "dilation": d}
        if o >= max(s, d) or 4 * s + d * (k - 1) + 1 - 2 * p + o < 1:
            continue
        ours, theirs = (
            nn.ConvTranspose1d(2, 3, k, **sizes, seed=0),
            torch.nn.ConvTranspose1d(2, 3, k, **sizes),
        )
        with torch.no_grad():
            theirs.weight.copy_(torch.tensor(ours.weight.numpy().swapaxes(1, 2).copy()))
            theirs.bias.fill_(0.5)
        ours.bias.assign(np.full(3, 0.5, "float32"))
        x = random.normal(size=(2, 5, 2)).astype("float32")
        wanted = (
            theirs(torch.tensor(x.swapaxes(1, 2).copy()))
            .detach()
            .numpy()
            .swapaxes(1, 2)
        )
        np.testing.assert_allclose(
            ours(x).numpy(), wanted, atol=1e-5, err_msg=str(sizes)
        )
        tried += 1
    assert tried > 200


def test_images_of_truth_values_are_numbers_to_convolutions() -> None:
    image = np.random.default_rng(0).random((1, 5, 5, 2)) < 0.5
    for layer in (nn.Conv2d(2, 3, 3, seed=0), nn.ConvTranspose2d(2, 3, 3, seed=0)):
        np.testing.assert_array_equal(
            layer(image).numpy(), layer(image.astype("float32")).numpy()
        )


@pytest.mark.parametrize("scale_in", ["training", "inference"])
def test_dropout_of_everything_leaves_zeros_and_no_gradient(scale_in: str) -> None:
    layer = nn.Dropout(1.0, scale_in=scale_in)
    x = dr.parameter(np.array([1.0, np.inf]))
    output = layer.apply(x, mode="training", seed=0, step=0).output
    np.testing.assert_array_equal(dr.grad(output.sum(), [x])[0].numpy(), [0, 0])
    np.testing.assert_array_equal(output.numpy(), [0, 0])
