"""Initialisers: variances, determinism, and the choice by the activation that follows."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.nn import init


@pytest.mark.notes("C-INI-01", "INI-03", "INI-04", "INI-05", "INI-06")
def test_variances_of_the_notes() -> None:
    shape = (100, 784)
    assert init.xavier_normal().variance(shape) == pytest.approx(
        0.0022624434, abs=1e-10
    )
    assert init.xavier_normal("fan_in").variance(shape) == pytest.approx(
        0.0012755102, abs=1e-10
    )
    assert init.xavier_normal("fan_out").variance(shape) == pytest.approx(0.01)
    assert init.he_normal().variance(shape) == pytest.approx(0.0025510204, abs=1e-10)
    assert init.he_uniform().variance(shape) == init.he_normal().variance(shape)


@pytest.mark.parametrize(
    "name",
    ["xavier_normal", "xavier_uniform", "he_normal", "he_uniform", "lecun_normal"],
)
def test_what_is_drawn_has_the_variance(name: str) -> None:
    rule = init.get(name)
    assert isinstance(rule, init.VarianceScaling)
    values = rule.draw((300, 400), init.generator(0, "w"))
    assert values.var() == pytest.approx(rule.variance((300, 400)), rel=0.02)
    assert abs(values.mean()) < 5 * np.sqrt(values.var() / values.size)
    if name.endswith("uniform"):
        assert np.abs(values).max() <= np.sqrt(3 * rule.variance((300, 400)))


def test_fans_of_dense_and_convolutional_weights() -> None:
    assert init.fans((8, 5, 5, 3)) == (75, 200)
    assert init.fans((8, 3, 3, 1), groups=4) == (9, 18)
    with pytest.raises(ArgumentError):
        init.fans((3,))


def test_orthogonal_has_orthonormal_rows_or_columns() -> None:
    for shape in ((3, 7), (7, 3), (4, 2, 2, 3)):
        matrix = (
            init.orthogonal(2.0)
            .draw(shape, init.generator(1, "w"))
            .reshape(shape[0], -1)
        )
        small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        np.testing.assert_allclose(small @ small.T, 4 * np.eye(len(small)), atol=1e-12)


def test_first_values_are_a_function_of_seed_and_name() -> None:
    """NumPy's Philox keyed by the SHA-256 of seed and name: the same wherever the network is made."""
    layer = nn.Sequential(
        features=nn.Sequential(nn.Linear(3, 2, init="normal")), seed=11
    )[0][0]
    expected = init.generator(11, "features.0.weight").standard_normal((2, 3)) * 0.01
    np.testing.assert_array_equal(layer.weight.numpy(), expected.astype(np.float32))


def test_order_of_access_changes_nothing() -> None:
    def make() -> nn.Sequential:
        dr.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 4)
        )

    one, two, three = make(), make(), make()
    whole = one.state_dict()
    inner = {f"1.{name}": value for name, value in two[1].state_dict().items()}
    np.testing.assert_array_equal(inner["1.0.weight"], whole["1.0.weight"])
    np.testing.assert_array_equal(three[2].weight.numpy(), whole["2.weight"])
    np.testing.assert_array_equal(
        three(np.eye(4, dtype=np.float32)).numpy(),
        one(np.eye(4, dtype=np.float32)).numpy(),
    )
    assert not np.array_equal(whole["0.weight"], whole["2.weight"])


def test_layers_of_a_module_of_ones_own_differ_and_repeat() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.more = [nn.Linear(3, 3)]
            self.more.append(nn.Linear(3, 3))

    values = [v for name, v in Net().state_dict().items() if name.endswith("weight")]
    assert len({v.tobytes() for v in values}) == 4
    again = Net()
    again.initialize(0)
    dr.manual_seed(0)
    for name, value in Net().state_dict().items():
        np.testing.assert_array_equal(value, again.state_dict()[name])


def test_a_value_that_was_seen_does_not_change_when_the_layer_is_adopted() -> None:
    layer = nn.Linear(3, 3)
    before = layer.weight.numpy()
    nn.Sequential(layer, nn.ReLU()).parameters()
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_seeds_of_layer_network_and_initialize() -> None:
    assert not np.array_equal(
        nn.Linear(3, 3).weight.numpy(), nn.Linear(3, 3, seed=1).weight.numpy()
    )
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, seed=5), seed=2)
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, seed=5), seed=3)
    assert not np.array_equal(model[0].weight.numpy(), other[0].weight.numpy())
    np.testing.assert_array_equal(model[1].weight.numpy(), other[1].weight.numpy())
    other.initialize(seed=9)
    fresh = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), seed=9)
    for name, value in fresh.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value)
    norm = nn.BatchNorm(2)
    norm(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), mode="training")
    norm.initialize()
    assert norm.running_mean.tolist() == [0.0, 0.0]


@pytest.mark.notes("INI-08")
@pytest.mark.parametrize(
    ("activation", "rule"),
    [
        (nn.ReLU(), init.he_normal()),
        (nn.LeakyReLU(0.5), init.he_normal(slope=0.5)),
        (nn.ELU(), init.he_normal()),
        (nn.GELU(), init.he_normal()),
        (nn.PReLU(), init.he_normal(slope=0.25)),
        (nn.SELU(), init.lecun_normal()),
        (nn.Tanh(), init.xavier_uniform()),
        (nn.Sigmoid(), init.xavier_uniform()),
        (nn.Softmax(), init.xavier_uniform()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_activation_that_follows_chooses(
    activation: nn.Module, rule: init.VarianceScaling
) -> None:
    between = nn.Sequential(
        nn.Linear(50, 40),
        nn.BatchNorm(40),
        nn.Dropout(0.1),
        activation,
        nn.Linear(40, 3),
    )
    expected = rule.draw((40, 50), init.generator(0, "0.weight")).astype(np.float32)
    np.testing.assert_array_equal(between[0].weight.numpy(), expected)
    last = (
        init.xavier_uniform()
        .draw((3, 40), init.generator(0, "4.weight"))
        .astype(np.float32)
    )
    np.testing.assert_array_equal(between[4].weight.numpy(), last)
    nested = nn.Sequential(nn.Sequential(nn.Linear(50, 40)), activation)
    same = rule.draw((40, 50), init.generator(0, "0.0.weight")).astype(np.float32)
    np.testing.assert_array_equal(nested[0][0].weight.numpy(), same)


def test_an_explicit_rule_wins() -> None:
    model = nn.Sequential(
        nn.Linear(3, 2, init=init.constant(0.5), bias_init=init.constant(1)), nn.ReLU()
    )
    assert model[0].weight.tolist() == [[0.5] * 3] * 2
    assert model[0].bias.tolist() == [1.0, 1.0]
    assert init.get(init.he_normal(slope=0.1).config()) == init.he_normal(slope=0.1)
    with pytest.raises(ArgumentError, match="mode"):
        init.xavier_normal("sideways")  # type: ignore[arg-type]  # what is tested


def _moments(
    rule: init.Initializer,
    activation: type[nn.Module],
    depth: int = 8,
    width: int = 256,
) -> list[float]:
    """E[h²] of each layer of a deep network fed with standard normal numbers."""
    pairs = [
        (nn.Linear(width, width, bias=False, init=rule), activation())
        for _ in range(depth)
    ]
    model = nn.Sequential(*(layer for pair in pairs for layer in pair), seed=0)
    x = np.random.default_rng(0).standard_normal((400, width)).astype(np.float32)
    found = model.hidden_features(x, *(str(2 * i + 1) for i in range(depth)))
    return [
        float((value.numpy().astype(np.float64) ** 2).mean())
        for value in found.values()
    ]


@pytest.mark.notes(
    "C-INI-02",
    "C-INI-03",
    "C-INI-04",
    "C-INI-05",
    "C-INI-06",
    "INI-01",
    "INI-02",
    "INI-07",
    "INI-13",
)
@pytest.mark.notes("X-19", "E000-14", "E001-21")
def test_signals_through_deep_networks_as_the_notes_measured_them() -> None:
    linear = _moments(init.xavier_normal("fan_in"), nn.Identity)
    assert all(0.8 < m < 1.25 for m in linear)
    he = _moments(init.he_normal(), nn.ReLU)
    assert all(0.6 < m < 1.6 for m in he)
    halved = _moments(init.xavier_normal("fan_in"), nn.ReLU)
    np.testing.assert_allclose(np.array(halved) * 2.0 ** np.arange(1, 9), he, rtol=1e-4)
    small = _moments(init.normal(0.01), nn.Tanh)
    assert small[0] < 0.05
    assert small[-1] < 1e-8
    exploded = _moments(init.normal(1.0), nn.ReLU)
    assert exploded[-1] > 1e15
    saturated = _moments(init.normal(1.0), nn.Tanh)
    assert all(0.9 < m < 1 for m in saturated)


@pytest.mark.notes("C-INI-07", "INI-09")
def test_zero_weights_get_no_gradient() -> None:
    layers = (
        nn.Linear(2, 3, bias=False, init="zeros"),
        nn.Tanh(),
        nn.Linear(3, 1, bias=False, init="zeros"),
    )
    model = nn.Sequential(*layers)
    loss = ((model(np.array([1.0, 2.0])) - 1) ** 2).sum()
    for slope in dr.grad(loss, model.parameters()):
        assert not slope.numpy().any()


@pytest.mark.notes("C-INI-08", "INI-10", "E001-20")
def test_equal_weights_leave_units_equal() -> None:
    one = init.constant(1)
    model = nn.Sequential(
        nn.Linear(2, 3, init=one), nn.Sigmoid(), nn.Linear(3, 1, init=one), nn.Sigmoid()
    ).astype("float64")
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(
        model.hidden_features(x, "1")["1"].numpy(), [0.9525741268] * 3, atol=1e-10
    )
    for _ in range(50):
        loss = ((model(x) - 1) ** 2).sum()
        parameters = model.parameters()
        for p, slope in zip(parameters, dr.grad(loss, parameters), strict=True):
            p.assign(p.numpy() - 0.5 * slope.numpy())
    rows = model[0].weight.numpy()
    np.testing.assert_array_equal(rows, np.broadcast_to(rows[0], rows.shape))
    assert rows[0, 0] != rows[0, 1]
