"""Networks, normalisation, convolution and pooling of the course notes, with their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

import deltarule as dr
from deltarule import nn


def _linear(weight: object, bias: object = None) -> nn.Linear:
    w = np.asarray(weight, float)
    layer = nn.Linear(w.shape[1], w.shape[0], bias=bias is not None).astype("float64")
    layer.weight.assign(w)
    if bias is not None:
        layer.bias.assign(np.atleast_1d(bias))
    return layer


def _close(found: dr.Tensor, expected: object) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.notes("C-NN-01")
def test_first_example_of_a_general_network() -> None:
    model = nn.Sequential(
        _linear([[1, -1, 0], [2, 0, 3], [0, -2, -3]], [1, 1, 1]),
        nn.ReLU(),
        _linear([[1, -2, 1]], 0),
        nn.Sigmoid(),
    )
    x = dr.tensor(np.ones(3))
    found = model.hidden_features(x)
    _close(found["0"], [1, 6, -4])
    _close(found["1"], [1, 6, 0])
    _close(found["2"], [-11])
    np.testing.assert_allclose(found["3"].numpy(), [1.670142184809518e-5], rtol=1e-11)
    delta = -0.9999832985781519
    loss = -dr.log(model(x)).sum()
    slopes = dr.grad(loss, [model[0].weight, model[2].weight])
    mask = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
    _close(slopes[0] * dr.tensor(mask.astype(float)), delta * mask * [[1], [-2], [0]])
    _close(slopes[1], [[delta, 6 * delta, 0]])


@pytest.mark.notes("C-NN-02", "NN-07")
def test_two_pathways() -> None:
    model = nn.Sequential(_linear([[2], [3]]), _linear([[0.5, -1]]))
    x = dr.tensor(np.array([4.0]))
    output = model(x)
    loss = ((1 - output) ** 2).sum()
    slopes = dr.grad(loss, model.parameters())
    assert (output.item(), loss.item()) == (-8.0, 81.0)
    _close(slopes[0], [[-36], [72]])
    _close(slopes[1], [[-144, -216]])


@pytest.mark.notes("C-NN-03")
def test_a_linear_net_is_affine() -> None:
    model = nn.Sequential(
        _linear([[1, 2], [0, 1], [1, -1]], [1, 0, -1]),
        _linear([[1, 0, 2], [0, 1, 1]], [0.5, 0]),
    )
    x = np.random.default_rng(0).normal(size=(5, 2))
    _close(model(x), x @ np.array([[3, 0], [1, 0]]).T + [-0.5, -1])


@pytest.mark.notes("C-NN-04", "NN-09", "E001-03")
def test_skip_network() -> None:
    made = nn.Sequential(
        nn.Skip(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Linear(3, 4, bias=False)),
        nn.Linear(4, 2),
    )
    assert made.n_parameters == made.summary((3,)).n_parameters == 38
    model = nn.Sequential(
        nn.Skip(
            nn.Sequential(_linear([[1, -1], [0, 1]], [0, 1]), nn.ReLU()),
            _linear([[1, 0], [2, 1]]),
        ),
        _linear([[1, -1]], 0.5),
    )
    x = dr.tensor(np.array([1.0, 2.0]))
    _close(model[0](x), [1, 7])
    _close(model(x), [-5.5])


@pytest.mark.notes("C-NN-05", "NN-17", "NN-18", "NN-20", "E004-06")
def test_p_2_2_1() -> None:
    model = nn.Sequential(
        _linear([[1, -1], [0.5, 2]], [0, -1]),
        nn.Sigmoid(),
        _linear([[2, -1]], 0.5),
        nn.Sigmoid(),
    )
    x = dr.tensor(np.array([1.0, 2.0]))
    found = model.hidden_features(x)
    _close(found["0"], [-1, 3.5])
    _close(found["1"], [0.26894142137, 0.970687769249])
    _close(found["2"], [0.067195073491])
    _close(found["3"], [0.51679245044])
    loss = -dr.log(model(x)).sum()
    slopes = dr.grad(loss, [model[2].weight, model[0].weight])
    _close(slopes[0], [[-0.129954525195, -0.469043658367]])
    _close(
        slopes[1],
        [[-0.190008740952, -0.380017481904], [0.013748715947, 0.027497431893]],
    )


@pytest.mark.notes("C-NN-06")
def test_p_2_3_2_with_softmax_and_cross_entropy() -> None:
    model = nn.Sequential(
        _linear([[1, 0], [-1, 1], [0.5, 0.5]], [0, 0.5, -1]),
        nn.ReLU(),
        _linear([[1, 2, 0], [0, -1, 1]], [0.1, -0.1]),
    )
    x, y = dr.tensor(np.array([[1.0, 2.0], [2.0, -1.0]])), np.array([0, 1])
    scores = model(x)
    loss = -(nn.log_softmax(scores) * dr.tensor(np.eye(2)[y])).sum(-1).mean()
    slopes = dr.grad(loss, model.parameters())
    _close(scores, [[4.1, -1.1], [2.1, -0.1]])
    _close(loss, 1.1552923618391768)
    _close(
        slopes[0],
        [
            [0.89750636143, -0.45561105434],
            [-0.00822944835, -0.0164588967],
            [0.00274314945, 0.0054862989],
        ],
    )
    _close(slopes[1], [0.44738160599, -0.00822944835, 0.00274314945])
    _close(
        slopes[2],
        [
            [0.89750636143, -0.00411472417, -0.00137157472],
            [-0.89750636143, 0.00411472417, 0.00137157472],
        ],
    )
    _close(slopes[3], [0.44738160599, -0.44738160599])


@pytest.mark.notes("C-NRM-01", "C-BP-11", "NRM-01", "NRM-02", "NRM-06", "NRM-08")
def test_batch_norm_forward_backward_and_averages() -> None:
    x = dr.tensor(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]))
    layer = nn.BatchNorm(2).astype("float64")
    layer.scale.assign([2.0, 0.5])
    layer.shift.assign([1.0, -1.0])
    applied = layer.apply(x, mode="training")
    pull = dr.tensor(np.array([[1.0, 0.0], [0.0, -1.0], [2.0, 0.5]]))
    slopes = dr.grad((applied.output * pull).sum(), [x, layer.scale, layer.shift])
    expected = [
        [-1.44948515, -1.5095243714],
        [1, -1.1698414571],
        [3.44948515, -0.3206341715],
    ]
    _close(applied.output, expected)
    _close(applied.state["running_mean"], [0.3, 0.5])
    _close(applied.state["running_variance"], [1.16666666667, 1.76666666667])
    _close(
        slopes[0],
        [
            [0.6123689911, 0.0870981153],
            [-1.2247425750, -0.1219374790],
            [0.6123735839, 0.0348393637],
        ],
    )
    _close(slopes[1], [1.2247425750, 1.0190487428])
    _close(slopes[2], [3, -0.5])
    torchs = nn.BatchNorm(
        2, 0.1, momentum_weighs="new", running_variance_kind="unbiased"
    ).astype("float64")
    state = torchs.apply(x, mode="training").state
    _close(state["running_mean"], [0.3, 0.5])
    _close(state["running_variance"], [1.3, 2.2])


@pytest.mark.notes("C-NRM-02", "NRM-03")
def test_scale_and_shift_can_undo_the_normalisation() -> None:
    x = np.random.default_rng(0).normal(2, 3, size=(6, 4))
    layer = nn.BatchNorm(4).astype("float64")
    layer.scale.assign(np.sqrt(x.var(0) + layer.epsilon))
    layer.shift.assign(x.mean(0))
    _close(layer(x, mode="training"), x)


@pytest.mark.notes("C-NRM-03", "NRM-12", "NRM-13")
def test_layer_norm() -> None:
    layer = nn.LayerNorm(4, epsilon=1e-5).astype("float64")
    _close(layer(np.array([0.0, 0, 4, 4])), np.array([-1, -1, 1, 1]) * 0.99999875)
    rows = np.random.default_rng(0).normal(size=(3, 4))
    _close(layer(rows)[1], layer(rows[1]).numpy())


@pytest.mark.notes("C-NRM-04", "NRM-07", "NRM-11")
def test_batch_norm_is_affine_in_inference_only() -> None:
    random = np.random.default_rng(0)
    layer = nn.BatchNorm(3).astype("float64")
    layer.running_mean.assign(random.normal(size=3))
    layer.running_variance.assign(random.uniform(0.5, 2, size=3))
    x, y, zero = (
        random.normal(size=(4, 3)),
        random.normal(size=(4, 3)),
        np.zeros((4, 3)),
    )
    _close(layer(x + y) + layer(zero), (layer(x) + layer(y)).numpy())
    gap = (
        layer(x + y, mode="training")
        - layer(x, mode="training")
        - layer(y, mode="training")
    ).numpy()
    assert np.abs(gap).max() > 0.1
    scaled = (
        layer(1000 * x, mode="training").numpy() - layer(x, mode="training").numpy()
    )
    assert np.abs(scaled).max() < 1e-4


@pytest.mark.notes("C-CNN-13", "CNN-01", "CNN-02", "CNN-03")
def test_a_layer_correlates() -> None:
    image = np.array([[1.0, 2, 0], [0, 1, 3], [4, 0, 1]])
    kernel = np.array([[1.0, 0], [2, -1]])
    layer = nn.Conv2d(1, 1, 2, bias=False).astype("float64")
    layer.weight.assign(kernel[None, :, :, None])
    _close(layer(image[..., None])[..., 0], [[0, 1], [8, 0]])
    layer.weight.assign(kernel[::-1, ::-1][None, :, :, None])
    _close(
        layer(image[..., None])[..., 0], signal.convolve2d(image, kernel, mode="valid")
    )


@pytest.mark.notes("CNN-13", "CNN-21")
def test_translation_equivariance() -> None:
    layer = nn.Conv2d(1, 2, 3).astype("float64")
    x = np.random.default_rng(0).normal(size=(12, 12, 1))
    moved = np.roll(x, (1, 2), axis=(0, 1))
    _close(layer(moved)[1:, 2:], layer(x).numpy()[:-1, :-2])


@pytest.mark.notes("C-POOL-01", "POOL-01", "POOL-02", "POOL-04", "POOL-05")
def test_pooling() -> None:
    x = np.array([[1.0, 3, 2, 4], [5, 6, 1, 0], [7, 2, 9, 8], [0, 1, 3, 5]])[..., None]
    _close(nn.MaxPool2d(2)(x)[..., 0], [[6, 4], [7, 9]])
    _close(nn.AvgPool2d(2)(x)[..., 0], [[3.75, 1.75], [2.5, 6.25]])
    image = dr.tensor(x)
    slope = dr.grad(
        (nn.MaxPool2d(2)(image) * nn.MaxPool2d(2)(image)).sum() / 2, image
    ).numpy()[..., 0]
    np.testing.assert_array_equal(
        slope, [[0, 0, 0, 4], [0, 6, 0, 0], [7, 0, 9, 0], [0, 0, 0, 0]]
    )
    assert nn.MaxPool2d(2).n_parameters == 0


@pytest.mark.notes("ACT-02", "ACT-03", "ACT-10", "ACT-17", "ACT-20")
def test_steps_learned_slopes_and_activations_of_ones_own() -> None:
    x = dr.tensor(np.array([-2.0, 0.0, 3.0]))
    assert nn.Step()(x).tolist() == [0, 1, 1]
    assert nn.BipolarStep()(x).tolist() == [-1, 1, 1]
    for layer in (nn.Step(), nn.BipolarStep()):
        assert not dr.grad(layer(x).sum(), x).numpy().any()
    prelu = nn.PReLU(alpha=0.5).astype("float64")
    pull = dr.tensor(np.array([1.0, 1.0, 10.0]))
    assert dr.grad((prelu(x) * pull).sum(), prelu.alpha).tolist() == [-2.0]
    cube = nn.Function(lambda t: t**3, name="cube")
    assert dr.grad(cube(x).sum(), x).tolist() == [12, 0, 27]
    assert repr(cube) == "Function(cube)"
    assert cube.config() is None


@pytest.mark.notes("C-ACT-11")
def test_five_cubes() -> None:
    cubes = nn.Sequential(*(nn.Function(lambda t: t**3) for _ in range(5)))
    for at, expected in ((0.5, 3.438e-71), (1.5, 9.993e44)):
        x = dr.tensor(np.array([at]))
        assert dr.grad(cubes(x).sum(), x).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.notes("C-NRM-05", "NRM-05")
def test_whitening() -> None:
    x = np.array([[1.0, 2], [3, 4], [5, 9]])
    np.testing.assert_allclose(
        np.cov(x.T, bias=True), [[8 / 3, 14 / 3], [14 / 3, 26 / 3]], rtol=1e-14
    )
    white = dr.linalg.whiten(x, jitter=0.0).numpy()
    np.testing.assert_allclose(white.T @ white / 3, np.eye(2), atol=1e-13)
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-14)


@pytest.mark.notes(
    "NN-01", "NN-02", "NN-03", "NN-04", "NN-05", "NN-06", "CNN-17", "CNN-18", "CNN-19"
)
def test_neurons_layers_and_blocks() -> None:
    x, w, b = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.1, -0.4]), 0.2
    neuron = nn.Sequential(_linear([w], b), nn.Sigmoid())
    _close(neuron(x), [1 / (1 + np.exp(-(w @ x + b)))])
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    assert model.depth == 2 and model.n_parameters == 3 * 4 + 4 + 4 * 2 + 2
    hidden = np.tanh(model[0].weight.numpy() @ x + model[0].bias.numpy())
    np.testing.assert_allclose(
        model(x).numpy(), model[2].weight.numpy() @ hidden, rtol=1e-6
    )
    block = nn.Sequential(nn.Conv2d(3, 4, (2, 5)), nn.ReLU(), nn.MaxPool2d(2))
    assert block.summary((9, 12, 3)).output_shape == (4, 4, 4)
    assert block[0].weight.shape == (4, 2, 5, 3)


@pytest.mark.notes("NRM-04", "NRM-10", "NRM-14")
def test_a_batch_norm_before_the_gate_centres_and_depends_on_the_batch() -> None:
    random = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm(4), nn.ReLU()).astype("float64")
    batch, other = random.normal(3, 2, size=(2, 16, 5))
    other[0] = batch[0]
    before = model[:2].apply(batch, mode="training").output.numpy()
    np.testing.assert_allclose(before.mean(0), 0, atol=1e-12)
    found = [model.apply(x, mode="training").output.numpy()[0] for x in (batch, other)]
    assert not np.allclose(*found)
    again = [model.apply(x, mode="inference").output.numpy()[0] for x in (batch, other)]
    np.testing.assert_array_equal(*again)
