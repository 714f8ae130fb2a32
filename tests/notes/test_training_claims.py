"""What the notes say of networks and their training in words, measured: each claim on data where it can be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import deltarule as dr
from deltarule import data, learners, losses, nn, optim
from deltarule.data import augment
from deltarule.nn import init
from deltarule.tensor.tensor import Tensor
from deltarule.train import EarlyStopping

Array = np.ndarray[Any, Any]


def mse(model: nn.Module, x: Array, y: Array) -> float:
    return float(((model.predict(x) - y) ** 2).mean())


# ---------------------------------------------------------------- networks


def _curve(n: int, noise: float, seed: int = 0) -> tuple[Array, Array]:
    x = np.linspace(-1, 1, n, dtype=np.float32)[:, None]
    return x, (
        np.sin(4 * x) + noise * np.random.default_rng(seed).normal(size=x.shape)
    ).astype(np.float32)


def _fitted(width: int, x: Array, y: Array, epochs: int) -> nn.Module:
    first = nn.Linear(1, width, init=init.normal(3.0), bias_init=init.normal(2.0))
    model = nn.Sequential(first, nn.Tanh(), nn.Linear(width, 1), seed=3)
    model.fit(
        x,
        y,
        loss="mean_squared_error",
        optimizer=optim.Adam(learning_rate=0.02),
        epochs=epochs,
        batch_size=len(x),
        verbose=0,
    )
    return model


@pytest.mark.notes("NN-22")
def test_a_network_approximates_a_function() -> None:
    x, y = _curve(200, 0.0)
    assert np.abs(_fitted(24, x, y, 1500).predict(x) - y).max() < 0.05


@pytest.mark.notes("NN-23")
def test_more_units_fit_more_and_then_too_much() -> None:
    (x, y), (x_test, y_test) = _curve(16, 0.4, seed=2), _curve(301, 0.0)
    models = {width: _fitted(width, x, y, 4000) for width in (1, 4, 128)}
    fitted = [mse(model, x, y) for model in models.values()]
    assert fitted[0] > 5 * fitted[1] > 25 * fitted[2]
    few, right, many = (mse(model, x_test, y_test) for model in models.values())
    assert few > 2 * right and many > 1.3 * right


@pytest.mark.notes("NN-24")
@pytest.mark.parametrize("depth", range(1, 6))
def test_depth_is_a_number(depth: int) -> None:
    net = nn.P(3, *[4] * (depth - 1), 2)
    assert net.depth == depth
    widths = [3, *[4] * (depth - 1), 2]
    assert net.n_parameters == sum((n + 1) * m for n, m in pairwise(widths))


@pytest.mark.notes("NN-25")
def test_alexnet_can_be_written_down() -> None:
    """One column of Krizhevsky et al. 2012: the sizes and the 62 378 344 parameters that textbooks count."""
    conv: Callable[..., nn.Module] = nn.Conv2d
    model = nn.Sequential(
        conv(3, 96, 11, stride=4),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        conv(96, 256, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        conv(256, 384, 3, padding=1),
        nn.ReLU(),
        conv(384, 384, 3, padding=1),
        nn.ReLU(),
        conv(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(9216, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    )
    shapes = [row.output for row in model.summary((227, 227, 3)).rows]
    for shape in (
        (55, 55, 96),
        (27, 27, 96),
        (27, 27, 256),
        (13, 13, 256),
        (6, 6, 256),
        (9216,),
        (1000,),
    ):
        assert shape in shapes
    assert model.n_parameters == 62_378_344 and model.depth == 8


@pytest.mark.notes("CNN-09")
def test_the_filter_that_makes_26_of_32() -> None:
    """26 = (32 − F + 0)/1 + 1 has the one answer F = 7."""
    sizes = {
        F: nn.Conv2d(1, 1, F).summary((32, 32, 1)).output_shape[0] for F in range(1, 33)
    }
    assert [F for F, size in sizes.items() if size == 26] == [7]


# ---------------------------------------------------------------- losses


@pytest.mark.notes("OUT-07")
def test_mean_squared_error() -> None:
    random = np.random.default_rng(0)
    z, y = random.normal(size=(7, 3)), random.normal(size=(7, 3))
    x = dr.parameter(z)
    loss = losses.MeanSquaredError()(x, y)
    assert loss.item() == pytest.approx(((z - y) ** 2).mean(), rel=1e-12)
    np.testing.assert_allclose(
        dr.grad(loss, [x])[0].numpy(), 2 * (z - y) / z.size, rtol=1e-12
    )
    assert losses.MeanSquaredError(reduction="sum")(x, y).item() == pytest.approx(
        ((z - y) ** 2).mean(1).sum()
    )


@pytest.mark.notes("OUT-20")
def test_cross_entropy_keeps_the_gradient_of_what_is_wrong() -> None:
    """At a logit that is wrong by far, BCE still pulls with σ(z) − y ≈ −1; the squared error of σ(z) hardly pulls."""
    z, y = dr.parameter(np.array([-10.0])), np.array([1.0])
    strong = dr.grad(losses.BinaryCrossEntropy()(z, y), [z])[0].item()
    weak = dr.grad(losses.MeanSquaredError()(nn.sigmoid(z), y), [z])[0].item()
    s = 1 / (1 + np.exp(10.0))
    assert strong == pytest.approx(s - 1, rel=1e-9) and weak == pytest.approx(
        2 * (s - 1) * s * (1 - s), rel=1e-9
    )
    assert abs(strong) > 0.99 and abs(weak) < 1e-4


@final
@dataclass(frozen=True, kw_only=True)
class FourthPower(losses.Loss):
    """A cost of one's own: (ŷ − y)⁴."""

    name: ClassVar[str] = "fourth_power_of_a_test"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        return ((prediction - target) ** 4).sum(-1)


@pytest.mark.notes("OUT-23")
def test_a_cost_of_ones_own_is_a_sum_over_examples() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(30, 2)), random.normal(size=(30, 1))
    model = nn.Sequential(nn.Linear(2, 1)).astype("float64")
    parts = [
        FourthPower(reduction="sum")(model(x[i : i + 1]), y[i : i + 1]).item()
        for i in range(30)
    ]
    whole = FourthPower(reduction="sum")(model(x), y)
    assert whole.item() == pytest.approx(sum(parts), rel=1e-12)
    history = model.fit(
        x,
        y,
        loss=FourthPower(),
        optimizer=optim.SGD(learning_rate=0.01),
        epochs=200,
        batch_size=30,
        verbose=0,
    )
    slope = dr.grad(FourthPower()(model(x), y), model.parameters())
    assert history.series("loss")[-1] < history.series("loss")[0]
    assert max(np.abs(g.numpy()).max() for g in slope) < 0.05  # θ̂ = arg min


# ---------------------------------------------------------------- first values


@pytest.mark.notes("INI-11")
def test_linear_learners_begin_at_zero() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(20, 3))
    y = (x @ [1.0, -1.0, 0.5] > 0).astype(int)
    rows = np.c_[x, np.ones(20)]
    perceptron = learners.Perceptron(learning_rate=0.5).fit(x, y)
    log = perceptron.mistake_log_
    total = 0.5 * (log[:, 2:] * rows[log[:, 1]]).sum(0)  # θ = θ₀ + η Σ (y − ŷ)x
    np.testing.assert_allclose(
        [*np.ravel(perceptron.coef_), perceptron.intercept_], total, atol=1e-12
    )
    with pytest.warns(ConvergenceWarning, match="Adaline has not converged in 1 epoch"):
        adaline = learners.Adaline(learning_rate=1e-12, max_iter=1).fit(x, y)
    assert adaline.losses_[0] == pytest.approx(1.0)  # (±1 − 0)²
    assert np.abs(adaline.coef_).max() < 1e-9
    logistic = learners.LogisticRegression(
        solver="delta", learning_rate=1e-12, max_iter=1
    ).fit(x, y)
    np.testing.assert_allclose(logistic.predict_proba(x), 0.5, atol=1e-9)


@pytest.mark.notes("INI-12")
def test_the_first_guess_is_random_and_decided_by_the_seed() -> None:
    one, same, other = (
        nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1), seed=s)
        for s in (5, 5, 6)
    )
    for name, value in one.state_dict().items():
        np.testing.assert_array_equal(value, same.state_dict()[name])
    assert not np.array_equal(one[0].weight.numpy(), other[0].weight.numpy())
    assert not np.array_equal(one[0].weight.numpy()[0], one[0].weight.numpy()[1])


# ---------------------------------------------------------------- normalisation


def _deep(deviation: float, normalised: bool, depth: int = 10) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(32, 32, init=init.normal(deviation))]
        layers += [nn.BatchNorm(32)] if normalised else []
        layers += [nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(32, 1), seed=1)


def _slopes(model: nn.Sequential, x: Array, y: Array) -> tuple[float, float]:
    """Norms of the gradients of the first and the last hidden layer's weights, in training."""
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    loss = losses.MeanSquaredError()(model(x, mode="training"), y)
    norms = [
        float(np.linalg.norm(g.numpy()))
        for g in dr.grad(loss, [weights[0], weights[-2]])
    ]
    return norms[0], norms[1]


@pytest.mark.notes("NRM-15", "INI-14", "NRM-09")
def test_batch_norm_keeps_gradients_alive_through_depth_whatever_the_first_weights() -> (
    None
):
    random = np.random.default_rng(0)
    x, y = (
        random.normal(size=(64, 32)).astype(np.float32),
        random.normal(size=(64, 1)).astype(np.float32),
    )
    vanished, _ = _slopes(_deep(0.02, False), x, y)
    first, last = _slopes(_deep(0.02, True), x, y)
    assert vanished < 1e-6 and first > 1e-2 * last
    ratios = []
    for normalised in (False, True):
        norms = [
            _slopes(_deep(deviation, normalised), x, y)[1]
            for deviation in (0.02, 0.1, 0.5)
        ]
        ratios.append(max(norms) / min(norms))
    assert (
        ratios[0] > 1e3
    )  # without: a factor of 25 in the weights decides whether it learns
    assert ratios[1] < 100


@pytest.mark.notes("NRM-09")
def test_batch_norm_takes_larger_learning_rates() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 32)).astype(np.float32)
    y = np.sign(x[:, :1] * x[:, 1:2]).astype(np.float32)
    final = {}
    for normalised in (False, True):
        history = _deep(0.05, normalised, depth=4).fit(
            x,
            y,
            loss="mean_squared_error",
            optimizer=optim.SGD(learning_rate=0.1),
            epochs=60,
            batch_size=64,
            verbose=0,
        )
        final[normalised] = history.series("loss")[-1]
    assert final[True] < 0.5 < 0.85 < final[False]


# ---------------------------------------------------------------- gradient descent


@pytest.mark.parametrize(
    "batch_size", [12, 1, 4, 5], ids=["batch", "stochastic", "minibatch", "unequal"]
)
@pytest.mark.notes("OPT-02", "OPT-03", "OPT-04")
def test_gradient_descent_by_the_size_of_its_batches(batch_size: int) -> None:
    """θ ← θ − α·(1/b)Σ ∇J_i over the batches of each epoch's order; b = n is BGD, b = 1 is SGD."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 3)), random.normal(size=(12, 1))
    model = nn.Sequential(nn.Linear(3, 1, bias=False)).astype("float64")
    w = model[0].weight.numpy()
    for epoch in range(3):
        order = data.batches(12, batch_size, seed=8, epoch=epoch)
        for start in range(0, 12, batch_size):
            rows = order[start : start + batch_size]
            w = w - 0.05 * 2 * (x[rows] @ w.T - y[rows]).T @ x[rows] / len(rows)
    model.fit(
        x,
        y,
        loss="mean_squared_error",
        optimizer=optim.SGD(learning_rate=0.05),
        epochs=3,
        batch_size=batch_size,
        seed=8,
        verbose=0,
    )
    np.testing.assert_allclose(model[0].weight.numpy(), w, rtol=1e-12)


@pytest.mark.notes("OPT-39")
def test_nesterov_jumps_first_and_then_corrects() -> None:
    """Momentum corrects where it stands, then jumps; Nesterov jumps by αv, and takes the gradient there."""
    slope = lambda w: 3 * w  # noqa: E731  # of ½·3w²
    paths: dict[bool, list[float]] = {}
    for nesterov in (False, True):
        w, v, path = 1.0, 0.0, [1.0]
        for _ in range(6):
            jumped = w + 0.9 * v if nesterov else w
            v = 0.9 * v - 0.1 * slope(jumped)
            w = w + v
            path.append(w)
        paths[nesterov] = path
        recipe = optim.SGD(
            learning_rate=0.1,
            momentum=0.9,
            nesterov=nesterov,
            nesterov_form="look_ahead",
        )
        found = optim.minimize(
            lambda p: (p * p).sum() * 1.5, np.array([1.0]), recipe, steps=6
        ).path.ravel()
        np.testing.assert_allclose(found, path, rtol=1e-6)
    assert max(map(abs, paths[True][3:])) < max(
        map(abs, paths[False][3:])
    )  # it brakes before the valley's other side


@pytest.mark.notes("OPT-42")
def test_large_steps_where_it_is_flat_small_steps_where_it_is_steep() -> None:
    """On ½(x² + 100y²) gradient descent is bound by the steep axis; Newton and RMSProp scale each axis."""
    scales = np.array([1.0, 100.0])
    valley = lambda p: (p * p * dr.tensor(scales)).sum() * 0.5  # noqa: E731
    start = np.array([1.0, 1.0])
    newton = optim.newton(valley, start, steps=1).path
    np.testing.assert_allclose(newton[1], 0, atol=1e-9)
    steps = {}
    for name, recipe in (
        ("sgd", optim.SGD(learning_rate=0.01)),
        ("rmsprop", optim.RMSProp(learning_rate=0.01)),
    ):
        path = optim.minimize(valley, start, recipe, steps=1).path
        steps[name] = np.abs(path[1] - path[0]) / (scales * start)  # step by slope
    assert steps["sgd"][0] == pytest.approx(steps["sgd"][1], rel=1e-6)
    assert steps["rmsprop"][0] == pytest.approx(100 * steps["rmsprop"][1], rel=1e-3)


# ---------------------------------------------------------------- regularisation


def _polynomials(x: Array, degree: int) -> Array:
    return np.polynomial.legendre.legvander(x, degree)[:, 1:]


@pytest.mark.notes("REG-01", "REG-18")
def test_regularisation_costs_training_error_and_saves_test_error() -> None:
    random = np.random.default_rng(0)
    x, x_test = random.uniform(-1, 1, 18), random.uniform(-1, 1, 500)
    y = np.sin(3 * x) + 0.3 * random.normal(size=18)
    errors = []
    for alpha in (1e-9, 0.3):
        learner = learners.Ridge(alpha=alpha).fit(_polynomials(x, 14), y)
        errors.append(
            [
                float(np.mean((learner.predict(_polynomials(a, 14)) - b) ** 2))
                for a, b in ((x, y), (x_test, np.sin(3 * x_test)))
            ]
        )
    (train, test), (train_regular, test_regular) = errors
    assert train < train_regular < test_regular + 0.3**2
    assert test_regular < 0.2 * test


@pytest.mark.notes("REG-02")
def test_the_four_kinds_of_regularisation_go_together() -> None:
    """Soft constraints, augmentation, training algorithms in one run; ensembles of two such runs.

    The mean probability of an ensemble has at most the mean loss of its members (Jensen).
    """
    digits = data.load("digits")
    x, y, held = (
        digits.inputs[:300],
        digits.targets[:300],
        (digits.inputs[300:600], digits.targets[300:600]),
    )
    models = []
    for seed in (0, 1):
        model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(32, 10),
            seed=seed,
        )
        history = model.fit(
            x,
            y,
            loss="cross_entropy",
            optimizer=optim.Adam(learning_rate=0.005),
            epochs=40,
            validation_data=held,
            seed=seed,
            verbose=0,
            regularizers=[losses.L2(strength=1e-4)],
            augment=augment.RandomShift(1),
            callbacks=[EarlyStopping()],
        )
        assert history.epochs[0]["penalty"] > 0 and history.best_epoch
        models.append(model)
    members = [model.predict_proba(held[0]) for model in models]
    log_loss = lambda p: float(-np.log(p[np.arange(300), held[1]]).mean())  # noqa: E731
    together = log_loss(np.mean(members, axis=0))
    assert together <= np.mean([log_loss(p) for p in members]) and together < 1


@pytest.mark.notes("REG-15")
def test_gradient_descent_by_itself_finds_the_smallest_solution() -> None:
    """With more weights than examples, SGD from 0 stays in the span of the examples: it ends at X⁺y, unlike others."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(5, 12)), random.normal(size=(5, 1))
    found = []
    for start in (np.zeros((1, 12)), random.normal(size=(1, 12))):
        model = nn.Sequential(nn.Linear(12, 1, bias=False)).astype("float64")
        model[0].weight.assign(start)
        model.fit(
            x,
            y,
            loss="mean_squared_error",
            optimizer=optim.SGD(learning_rate=0.02),
            epochs=3000,
            batch_size=1,
            verbose=0,
        )
        assert mse(model, x, y) < 1e-12
        found.append(model[0].weight.numpy())
    np.testing.assert_allclose(found[0], (np.linalg.pinv(x) @ y).T, atol=1e-6)
    assert np.linalg.norm(found[1]) > 1.2 * np.linalg.norm(found[0])


def _noisy_classes(n: int, random: np.random.Generator) -> tuple[Array, Array]:
    """40 inputs of which 2 matter, as an image of 5×8, and labels with noise."""
    x = random.normal(size=(n, 5, 8, 1)).astype(np.float32)
    return x, (x[:, 0, 0, 0] + x[:, 0, 1, 0] + 0.5 * random.normal(size=n) > 0).astype(
        int
    )


@pytest.mark.notes("REG-25")
def test_dropout_and_augmentation_cure_a_gap_that_more_layers_widen() -> None:
    """All training examples are right, those held out are not: dropout or changed inputs help, depth does not."""
    random = np.random.default_rng(0)
    (x, y), held = _noisy_classes(80, random), _noisy_classes(1000, random)
    loss = {}
    for name, depth, drop, change in (
        ("plain", 1, 0.0, None),
        ("deeper", 4, 0.0, None),
        ("dropout", 1, 0.6, None),
        ("augmented", 1, 0.0, augment.GaussianNoise(1.0)),
    ):
        hidden = [
            layer
            for i in range(depth)
            for layer in (nn.Linear(32 if i else 40, 32), nn.ReLU())
        ]
        model = nn.Sequential(
            nn.Flatten(), nn.Dropout(drop), *hidden, nn.Linear(32, 2), seed=0
        )
        model.fit(
            x,
            y,
            loss="cross_entropy",
            optimizer=optim.Adam(learning_rate=0.003),
            epochs=150,
            batch_size=20,
            augment=change,
            verbose=0,
        )
        assert model.evaluate(x, y, metrics=["accuracy"])["accuracy"] == 1.0
        loss[name] = model.evaluate(*held)["loss"]
    assert (
        loss["dropout"] < 0.8 * loss["plain"]
        and loss["augmented"] < 0.8 * loss["plain"]
    )
    assert loss["deeper"] > loss["plain"]


@pytest.mark.notes("REG-22", "TRF-01")
def test_features_that_were_learned_elsewhere_regularise() -> None:
    """Digits 0 … 4 teach a trunk; with 2 examples each of 5 … 9, a new head on it beats a network from scratch."""
    digits = data.load("digits")
    low, high = digits.targets < 5, digits.targets >= 5
    x, y = digits.inputs[high], digits.targets[high] - 5
    few = np.concatenate([np.flatnonzero(y == label)[:2] for label in range(5)])
    rest = np.setdiff1d(np.arange(len(y)), few)
    make = lambda: nn.Sequential(  # noqa: E731
        trunk=nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        ),
        head=nn.Linear(64, 5),
        seed=0,
    )
    source = make()
    source.fit(
        digits.inputs[low],
        digits.targets[low],
        loss="cross_entropy",
        epochs=15,
        verbose=0,
    )
    transferred, scratch = (
        nn.Sequential(trunk=source.trunk, head=nn.Linear(64, 5), seed=1),
        make(),
    )
    before = {
        name: value.tobytes() for name, value in source.trunk.state_dict().items()
    }
    transferred.freeze("trunk")
    n_learned = sum(p.size for p in transferred.parameters())
    assert n_learned == 64 * 5 + 5 < sum(p.size for p in scratch.parameters()) / 6
    found = {}
    for name, model in (("transferred", transferred), ("scratch", scratch)):
        model.fit(
            x[few],
            y[few],
            loss="cross_entropy",
            optimizer=optim.Adam(learning_rate=0.01),
            epochs=100,
            batch_size=20,
            verbose=0,
        )
        found[name] = model.evaluate(x[rest], y[rest])["loss"]
    assert {
        name: value.tobytes() for name, value in source.trunk.state_dict().items()
    } == before
    assert found["transferred"] < found["scratch"]


@pytest.mark.notes("ENS-12")
def test_dropout_takes_weight_off_chance_partners() -> None:
    """Two inputs that always agree: without dropout their weights stay as unequal as they began, with it they meet.

    E over masks of the loss adds Σ p/(1 − p)·w_i²·E[x_i²], least where the weights are equal.
    """
    x = np.repeat(np.random.default_rng(0).normal(size=(64, 1)), 2, axis=1).astype(
        np.float32
    )
    gaps = {}
    for drop in (0.0, 0.5):
        model = nn.Sequential(nn.Dropout(drop), nn.Linear(2, 1, bias=False))
        model[1].weight.assign([[1.0, 0.0]])
        model.fit(
            x,
            x[:, :1],
            loss="mean_squared_error",
            optimizer=optim.SGD(learning_rate=0.02),
            epochs=400,
            batch_size=16,
            verbose=0,
        )
        w = model[1].weight.numpy()[0]
        gaps[drop] = abs(float(w[0] - w[1]))
    assert gaps[0.0] == pytest.approx(1.0, abs=1e-5) and gaps[0.5] < 0.1
