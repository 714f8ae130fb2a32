"""Sparse layers and general networks: what is no edge is no parameter; signals, hidden features, deltas."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn, optim
from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn import saving

MASK = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])


def _layer() -> nn.MaskedLinear:
    layer = nn.MaskedLinear(MASK).astype("float64")
    layer.assign_matrix([[1, -1, 0], [2, 0, 3], [0, -2, -3]])
    layer.bias.assign([1.0, 1.0, 1.0])
    return layer


def _first_network() -> nn.GeneralNetwork:
    edges = [(f"x{j}", f"h{i}") for i, j in np.argwhere(MASK).tolist()]
    net = nn.GeneralNetwork(
        [["x0", "x1", "x2"], ["h0", "h1", "h2"], ["y"]],
        edges + [(f"h{i}", "y") for i in range(3)],
        [nn.ReLU(), nn.Sigmoid()],
        biases=["h0", "h1", "h2"],
    ).astype("float64")
    net.maps[0].assign_matrix([[1, -1, 0], [2, 0, 3], [0, -2, -3]])
    net.maps[0].bias.assign(np.ones(3))
    net.maps[1].assign_matrix([[1, -2, 1]])
    return net


@pytest.mark.notes("C-NN-01", "NN-14", "NN-15", "NN-18", "NN-19", "NN-20")
def test_first_example_of_the_notes_as_a_general_network() -> None:
    net = _first_network()
    x = np.ones(3)
    assert net.n_parameters == 6 + 3 + 3
    assert net.depth == 2
    np.testing.assert_array_equal(net.signals(x)[0].numpy(), [1, 6, -4])
    np.testing.assert_array_equal(net.features(x, 0).numpy(), x)
    np.testing.assert_array_equal(net.features(x, 1).numpy(), [1, 6, 0])
    np.testing.assert_array_equal(net.signals(x)[1].numpy(), [-11])
    np.testing.assert_allclose(net(x).numpy(), [1.670142184809518e-5], rtol=1e-11)
    np.testing.assert_array_equal(net.features(x, 2).numpy(), net(x).numpy())

    deltas = net.deltas(x, np.ones(1), lambda output, y: -(y * dr.log(output)).sum())
    delta = -0.9999832985781519
    np.testing.assert_allclose(deltas[1].numpy(), [delta], atol=1e-12)
    np.testing.assert_allclose(
        deltas[0].numpy(), delta * np.array([1, -2, 0]), atol=1e-12
    )
    loss = -dr.log(net(x)).sum()
    slopes = dr.grad(loss, [net.maps[0].weight, net.maps[1].weight])
    outer = np.outer(deltas[0].numpy(), x)
    np.testing.assert_allclose(slopes[0].numpy(), outer[MASK.astype(bool)], atol=1e-12)
    np.testing.assert_allclose(
        slopes[1].numpy(), delta * np.array([[1, 6, 0]]), atol=1e-12
    )


@pytest.mark.notes("C-NN-05", "NN-16", "NN-17")
@pytest.mark.parametrize(
    ("loss", "last", "first"),
    [
        (
            lambda p, y: -(y * dr.log(p) + (1 - y) * dr.log(1 - p)),
            -0.48320754956,
            (-0.190008740952, 0.013748715947),
        ),
        (None, -0.241331258873, (-0.094897210717, 0.006866604072)),
    ],
    ids=["cross-entropy", "squared error"],
)
def test_deltas_of_p_2_2_1(loss: Any, last: float, first: tuple[float, ...]) -> None:
    net = nn.P(
        2, 2, 1, activations=[[nn.Sigmoid(), nn.Sigmoid()], nn.Sigmoid()]
    ).astype("float64")
    net.maps[0].assign_matrix([[1, -1], [0.5, 2]])
    net.maps[0].bias.assign([0.0, -1.0])
    net.maps[1].assign_matrix([[2, -1]])
    net.maps[1].bias.assign([0.5])
    x, y = np.array([1.0, 2.0]), np.array([1.0])
    deltas = net.deltas(x, y, loss)
    np.testing.assert_allclose(deltas[1].numpy(), [last], atol=1e-11)
    np.testing.assert_allclose(deltas[0].numpy(), first, atol=1e-11)
    passed = net.forward_pass(x)
    weights = [affine.matrix().numpy() for affine in net.maps]
    for i, (value, signal) in enumerate(passed.levels):
        np.testing.assert_allclose(
            signal.numpy(),
            weights[i] @ value.numpy() + net.maps[i].bias.numpy(),
            atol=1e-14,
        )
    batch = net.deltas(np.stack([x, -x]), np.array([[1.0], [0.0]]), loss)
    np.testing.assert_allclose(batch[0].numpy()[0], first, atol=1e-11)


@pytest.mark.notes("C-NN-06")
def test_deltas_and_a_step_of_p_2_3_2() -> None:
    net = nn.P(2, 3, 2).astype("float64")
    net.maps[0].assign_matrix([[1, 0], [-1, 1], [0.5, 0.5]])
    net.maps[0].bias.assign([0.0, 0.5, -1.0])
    net.maps[1].assign_matrix([[1, 2, 0], [0, -1, 1]])
    net.maps[1].bias.assign([0.1, -0.1])
    x, labels = np.array([[1.0, 2.0], [2.0, -1.0]]), np.array([0, 1])
    np.testing.assert_allclose(
        net.signals(x)[0].numpy(), [[1, 1.5, 0.5], [2, -2.5, -0.5]], atol=1e-14
    )
    deltas = net.deltas(x, labels, "cross_entropy")
    probabilities = [[0.994513701101, 0.005486298899], [0.90024951088, 0.09975048912]]
    np.testing.assert_allclose(
        deltas[1].numpy(), probabilities - np.eye(2)[labels], atol=1e-11
    )
    history = net.fit(
        x,
        labels,
        loss="cross_entropy",
        optimizer=optim.SGD(learning_rate=0.1),
        epochs=1,
        batch_size=2,
        verbose=0,
        device="reference",
    )
    assert history["loss"][0] == pytest.approx(1.1552923618391768, rel=1e-12)
    assert net.maps[0].matrix().numpy()[0, 0] == pytest.approx(
        0.910249363857, rel=1e-11
    )


@pytest.mark.notes("NN-14")
def test_deltas_follow_the_recursion_also_through_a_full_jacobian() -> None:
    random = np.random.default_rng(0)
    net = nn.P(3, 4, 3, 2, activations=[nn.Tanh(), nn.Softmax(), nn.Identity()]).astype(
        "float64"
    )
    x, y = random.normal(size=3), random.normal(size=2)
    deltas = [d.numpy() for d in net.deltas(x, y)]
    signals = [s.numpy() for s in net.signals(x)]
    weights = [affine.matrix().numpy() for affine in net.maps]
    s = nn.softmax(signals[1]).numpy()
    jacobians = [np.diag(1 - np.tanh(signals[0]) ** 2), np.diag(s) - np.outer(s, s)]
    np.testing.assert_allclose(deltas[2], 2 * (net(x).numpy() - y), atol=1e-13)
    np.testing.assert_allclose(
        deltas[1], deltas[2] @ weights[2] @ jacobians[1], atol=1e-13
    )
    np.testing.assert_allclose(
        deltas[0], deltas[1] @ weights[1] @ jacobians[0], atol=1e-13
    )
    by_name = [d.numpy() for d in net.deltas(x, y, losses.SquaredError())]
    for one, other in zip(deltas, by_name, strict=True):
        np.testing.assert_allclose(one, other * (one[0] / other[0]), atol=1e-12)


@pytest.mark.notes("NN-15", "REG-26")
@pytest.mark.parametrize(
    ("optimizer", "regularizers"),
    [
        (
            optim.SGD(learning_rate=0.1, momentum=0.9),
            [losses.L2(strength=0.1), losses.L1(strength=0.1)],
        ),
        (optim.AdamW(learning_rate=0.05, weight_decay=0.3), []),
    ],
    ids=["penalties", "decay"],
)
def test_absent_edges_stay_zero_and_are_neither_penalised_nor_decayed(
    optimizer: Any, regularizers: list[Any]
) -> None:
    random = np.random.default_rng(0)
    x, y = (
        random.normal(size=(40, 3)).astype(np.float32),
        random.normal(size=(40, 3)).astype(np.float32),
    )
    layer = nn.MaskedLinear(MASK, seed=1)
    before = layer.matrix().numpy()
    layer.fit(
        x,
        y,
        loss="mean_squared_error",
        optimizer=optimizer,
        regularizers=regularizers,
        epochs=5,
        batch_size=8,
        verbose=0,
        device="reference",
    )
    after = layer.matrix().numpy()
    assert np.array_equal(after[MASK == 0], np.zeros(3))
    assert np.all(after[MASK == 1] != before[MASK == 1])
    assert layer.n_parameters == layer.summary((3,)).n_parameters == 9


def test_a_derivation_of_a_full_network_has_matrices() -> None:
    net = nn.P(2, 3, 1, activations=[nn.Sigmoid(), nn.Sigmoid()])
    derivation = dr.derive(net, losses.SquaredError(), input_shape=(2,))
    assert derivation.check()
    assert "outer product" in str(derivation)


def test_a_penalty_sees_the_edges_alone() -> None:
    layer = _layer()
    assert (
        losses.L2(strength=1.0)(layer.named_parameters()).item()
        == 1 + 1 + 4 + 9 + 4 + 9
    )
    assert (
        losses.L1(strength=1.0)(layer.named_parameters()).item()
        == 1 + 1 + 2 + 3 + 2 + 3
    )


def test_the_matrix_and_its_derivatives_are_those_of_a_dense_layer() -> None:
    sparse, dense = _layer(), nn.Linear(3, 3).astype("float64")
    dense.weight.assign(sparse.matrix().numpy())
    dense.bias.assign(sparse.bias.numpy())
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(sparse(x).numpy(), dense(x).numpy())
    mine = dr.grad((sparse(x) ** 2).sum(), [sparse.weight])[0].numpy()
    whole = dr.grad((dense(x) ** 2).sum(), [dense.weight])[0].numpy()
    np.testing.assert_allclose(mine, whole[MASK.astype(bool)], rtol=1e-14)
    assert (
        nn.MaskedLinear.from_edges(
            3, 3, [(j, i) for i, j in np.argwhere(MASK)]
        ).mask.tolist()
        == sparse.mask.tolist()
    )


def test_first_values_have_the_variance_of_the_edges_that_are_there() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros((400, 400), int)
    mask[:200] = random.random((200, 400)) < 0.1
    mask[200:] = 1
    layer = nn.MaskedLinear(mask, init="he_normal", seed=0)
    matrix = layer.matrix().numpy()
    for rows in (slice(0, 200), slice(200, 400)):
        norms = (matrix[rows] ** 2).sum(1)  # E = fan_in · 2/fan_in
        assert norms.mean() == pytest.approx(2, rel=0.05)


def test_what_is_no_layered_graph_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"levels 0 and 2"):
        nn.GeneralNetwork(
            [["a"], ["b"], ["c"]], [("a", "b"), ("a", "c")], [nn.ReLU(), nn.ReLU()]
        )
    with pytest.raises(ArgumentError, match="none into c"):
        nn.GeneralNetwork([["a"], ["b", "c"]], [("a", "b")], [nn.ReLU()])
    with pytest.raises(ArgumentError, match="'d'"):
        nn.GeneralNetwork([["a"], ["b"]], [("a", "d")], [nn.ReLU()])
    with pytest.raises(ArgumentError, match="each name once"):
        nn.GeneralNetwork([["a"], ["a"]], [("a", "a")], [nn.ReLU()])
    with pytest.raises(ArgumentError, match="one for each level"):
        nn.GeneralNetwork([["a"], ["b"]], [("a", "b")], [])
    with pytest.raises(ArgumentError, match="one for each of b, c"):
        nn.GeneralNetwork([["a"], ["b", "c"]], [("a", "b"), ("a", "c")], [[nn.ReLU()]])
    with pytest.raises(ArgumentError, match="a matrix"):
        nn.MaskedLinear([[0, 0]])
    with pytest.raises(ArgumentError, match="zeros where there is no edge"):
        _layer().assign_matrix(np.ones((3, 3)))
    with pytest.raises(ShapeError, match="3 features"):
        _layer()(np.ones(4))
    with pytest.raises(ArgumentError, match="a level 0 … 2"):
        _first_network().features(np.ones(3), 3)
    with pytest.raises(ArgumentError, match="two or more"):
        nn.P(3)


def test_a_general_network_is_saved_with_its_edges(tmp_path: Any) -> None:
    net = _first_network()
    net.save(tmp_path / "net.dr")
    back = saving.load(tmp_path / "net.dr")
    assert isinstance(back, nn.GeneralNetwork)
    assert back.edges() == net.edges()
    np.testing.assert_array_equal(back(np.ones(3)).numpy(), net(np.ones(3)).numpy())
    shared = nn.PReLU()
    assert nn.P(2, 2, 2, activations=[shared, shared]).config() is None


@pytest.mark.notes("NN-21")
def test_the_last_level_alone_learns_on_hidden_features_what_it_learns_in_the_network() -> (
    None
):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 2)), random.normal(size=(30, 1))
    net = nn.P(2, 5, 1, activations=[nn.Tanh(), nn.Identity()]).astype("float64")
    hidden = net.features(x, 1).numpy()
    head = nn.Linear(5, 1).astype("float64")
    head.weight.assign(net.maps[1].matrix().numpy())
    net.freeze("maps.0")
    how: dict[str, Any] = {
        "loss": "mean_squared_error",
        "optimizer": optim.SGD(learning_rate=0.1),
        "epochs": 4,
        "batch_size": 30,
        "verbose": 0,
        "device": "reference",
    }
    net.fit(x, y, **how)
    head.fit(hidden, y, **how)
    np.testing.assert_allclose(
        head.weight.numpy(), net.maps[1].matrix().numpy(), rtol=1e-12
    )


@pytest.mark.notes("C-NN-03", "THY-02", "LA-25")
def test_affine_maps_fold_to_one() -> None:
    net = nn.P(2, 3, 2, activations=[nn.Identity(), nn.Identity()]).astype("float64")
    net.maps[0].assign_matrix([[1, 2], [0, 1], [1, -1]])
    net.maps[0].bias.assign([1.0, 0.0, -1.0])
    net.maps[1].assign_matrix([[1, 0, 2], [0, 1, 1]])
    net.maps[1].bias.assign([0.5, 0.0])
    weight, bias = nn.affine_map(net)
    np.testing.assert_array_equal(weight, [[3, 0], [1, 0]])
    np.testing.assert_array_equal(bias, [-0.5, -1])


@pytest.mark.notes("THY-02", "NRM-11")
def test_folding_keeps_the_outputs() -> None:
    random = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Standardize(4).learn(random.normal(2, 3, size=(50, 4))),
        nn.Linear(4, 6),
        nn.BatchNorm(6),
        nn.Dropout(0.5),
        nn.MaskedLinear(random.random((3, 6)) < 0.7),
        nn.Tanh(),
        nn.Skip(nn.Linear(3, 3)),
        nn.Linear(3, 5),
        nn.Identity(),
        nn.Linear(5, 2, bias=False),
        nn.ReLU(),
        nn.Linear(2, 1),
    ).astype("float64")
    for name, item in model.named_tensors():
        item.assign(
            random.uniform(0.5, 1.5, item.shape)
            if "variance" in name
            else random.normal(size=item.shape)
        )
    folded = nn.fuse_layers(model)
    assert [layer.label() for layer in folded if isinstance(layer, nn.Linear)] == [
        "Linear(4→3)",
        "Linear(3→2)",
        "Linear(2→1)",
    ]
    x = random.normal(size=(7, 4))
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=1e-12)
    assert folded[-1] is model[-1]
    branches = nn.Parallel(
        nn.Linear(4, 2),
        nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1)),
        join="concatenate",
    )
    weight, bias = nn.affine_map(branches.astype("float64"))
    np.testing.assert_allclose(branches(x).numpy(), x @ weight.T + bias, atol=1e-13)
    with pytest.raises(ArgumentError, match="affine layers alone"):
        nn.affine_map(model)


def test_a_batch_norm_folds_into_the_convolution_before_it() -> None:
    random = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.BatchNorm(4), nn.ReLU()
    ).astype("float64")
    for name, item in model.named_tensors():
        item.assign(
            random.uniform(0.5, 1.5, item.shape)
            if "variance" in name
            else random.normal(size=item.shape)
        )
    folded = nn.fuse_layers(model)
    assert [type(layer) for layer in folded] == [nn.Conv2d, nn.ReLU]
    x = random.normal(size=(2, 6, 6, 2))
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=1e-12)


@pytest.mark.notes("TRF-02")
def test_heads_learn_several_tasks_at_once() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)).astype(np.float32)
    kind, price = (
        (x[:, 0] > 0).astype(np.float32),
        x @ np.array([1.0, -2, 0.5], np.float32),
    )
    model = nn.Sequential(
        trunk=nn.Linear(3, 8),
        gate=nn.Tanh(),
        heads=nn.Heads(kind=nn.Linear(8, 2), price=nn.Linear(8, 1)),
    )
    loss = losses.Multitask(
        losses=(losses.CrossEntropy(), losses.MeanSquaredError()),
        outputs=(2, 1),
        targets=(1, 1),
    )
    model.fit(
        x,
        np.stack([kind, price], 1),
        loss=loss,
        optimizer=optim.Adam(learning_rate=0.02),
        epochs=40,
        batch_size=50,
        verbose=0,
        device="reference",
    )
    apart = model["heads"].apart(model[:2](x))
    assert list(apart) == ["kind", "price"]
    assert np.mean(apart["kind"].numpy().argmax(1) == kind) > 0.95
    assert np.mean((apart["price"].numpy()[:, 0] - price) ** 2) < 0.2
    joined = np.concatenate([part.numpy() for part in apart.values()], -1)
    np.testing.assert_allclose(joined, model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_per_neuron_gates_are_each_neurons_own() -> None:
    gates = [
        nn.ReLU(),
        nn.ReLU(),
        nn.LeakyReLU(0.1),
        nn.LeakyReLU(0.2),
        nn.Function(lambda x: x**3),
    ]
    layer = nn.PerNeuron(gates)
    x = np.array([[-1.0, 2, -3, -4, -2], [1, -2, 3, 4, 2]])
    expected = np.stack([gate(x[:, i]).numpy() for i, gate in enumerate(gates)], 1)
    np.testing.assert_array_equal(layer(x).numpy(), expected)
    assert layer.config() is None
    point = dr.tensor(x, name="x")
    slopes = dr.grad(layer(point).sum(), [point])[0].numpy()
    np.testing.assert_allclose(slopes, [[0, 1, 0.1, 0.2, 12], [1, 0, 1, 1, 12]])
    with pytest.raises(ShapeError, match="5 neurons"):
        layer(np.ones(4))


def test_a_network_is_drawn_with_its_neurons_and_edges() -> None:
    edges = [("a", "h"), ("b", "h"), ("b", "k"), ("h", "y"), ("k", "y")]
    levels = [["a", "b"], ["h", "k"], ["y"]]
    net = nn.GeneralNetwork(levels, edges, [nn.ReLU(), nn.Sigmoid()])
    space = "{http://www.w3.org/2000/svg}"
    drawing = ElementTree.fromstring(net.svg())
    circles = drawing.findall(f"{space}circle")
    assert len(circles) == 5
    assert len(drawing.findall(f"{space}line")) == len(edges)
    texts = [text.text for text in drawing.findall(f"{space}text")]
    assert texts == ["a", "b", "h", "k", "y", "inputs", "ReLU", "Sigmoid"]
    centres = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in circles]
    ends = [
        [float(line.get(key, 0)) for key in ("x1", "y1", "x2", "y2")]
        for line in drawing.findall(f"{space}line")
    ]
    names = dict(zip("abhky", centres, strict=True))
    for (source, target), (x1, y1, x2, y2) in zip(net.edges(), ends, strict=True):
        for name, point in ((source, (x1, y1)), (target, (x2, y2))):
            distance = np.hypot(*(np.array(point) - names[name]))
            assert distance == pytest.approx(float(circles[0].get("r", 0)), abs=0.02)
