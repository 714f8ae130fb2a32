"""Every nesting of wrappers three deep, against the same recipe written out with NumPy in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.support.optimizers_by_hand import by_hand

from deltarule import losses, nn, optim, train
from deltarule.data import batches
from deltarule.errors import ArgumentError
from deltarule.optim.wrappers import has_groups
from deltarule.tensor.tensor import parameter

KINDS = ("GradientAccumulation", "EMA", "ParamGroups", "Proximal")
NESTINGS = [
    names for depth in (1, 2, 3) for names in itertools.product(KINDS, repeat=depth)
]
SCHEDULE = optim.ExponentialDecay(0.1, decay=0.8)
N, SIZE, EPOCHS = 14, 4, 3  # three batches of 4 and one of 2


def _around(kind, inner, place):
    """Return the wrapper with options that differ by its place in the nesting."""
    match kind:
        case "GradientAccumulation":
            return optim.GradientAccumulation(inner=inner, every=2 + place % 2)
        case "EMA":
            return optim.EMA(inner=inner, decay=0.6, clip_norm=0.5)
        case "ParamGroups":
            if has_groups(inner):
                return optim.ParamGroups(
                    groups={"*": inner}, default=optim.SGD(learning_rate=1e-6)
                )
            other = optim.GradientAccumulation(
                inner=optim.SGD(learning_rate=0.02, momentum=0.5), every=2
            )
            return optim.ParamGroups(groups={"*bias": other}, default=inner)
    return optim.Proximal(
        inner=inner,
        strength=0.3 / (1 + place),
        pattern="*" if place else "*weight",
        clip_value=2.0,
    )


def _nested(names):
    recipe = optim.Adam(learning_rate=SCHEDULE)
    for place, kind in enumerate(reversed(names)):
        recipe = _around(kind, recipe, place)
    return recipe


def _data():
    random = np.random.default_rng(3)
    x = random.normal(size=(N, 3))
    return x, x @ random.normal(size=(3, 2)) + 0.5


def _by_hand(recipe, weights, factor):
    """Return the weights after training, and the rate at the end of every epoch."""
    oracle, names = by_hand(recipe.config()), list(weights)
    weights, rates, t = dict(weights), [], 0
    x, y = _data()
    for epoch in range(EPOCHS):
        order = batches(N, SIZE, 5, epoch, True)
        for start in range(0, N, SIZE):
            rows = order[start : start + SIZE]
            error = (
                x[rows] @ weights["0.weight"].T + weights["0.bias"] - y[rows]
            ) / len(rows)
            slopes = {
                "0.weight": error.T @ x[rows],
                "0.bias": error.sum(0),
            }  # of half the mean squared error
            values = [weights[name] for name in names]
            steps = oracle.step(
                names, values, [slopes[name] for name in names], t, factor
            )
            weights = {
                name: value + step
                for name, value, step in zip(names, values, steps, strict=True)
            }
            t += 1
        rates.append(oracle.rate(t - 1) * factor)
    return weights, rates


@pytest.mark.parametrize("names", NESTINGS, ids="-".join)
def test_a_nesting_trains_as_written_out(names):
    recipe, factor = _nested(names), 0.5 if len(names) == 2 else 1.0
    model = nn.Sequential(nn.Linear(3, 2)).astype("float64")
    expected, rates = _by_hand(recipe, model.state_dict(), factor)
    history = model.fit(
        *_data(),
        loss=losses.SquaredError(scale=0.5),
        optimizer=recipe,
        epochs=EPOCHS,
        batch_size=SIZE,
        seed=5,
        verbose=0,
        device="reference",
        callbacks=[train.LearningRateFactor(lambda epoch: factor)],
    )
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(history["learning_rate"], rates, rtol=1e-12)


@pytest.mark.parametrize(
    "names",
    [
        ("GradientAccumulation", "ParamGroups"),
        ("Proximal", "ParamGroups"),
        ("EMA", "GradientAccumulation"),
    ],
)
def test_many_models_take_nested_recipes(names):
    """Also around groups, whose rates no number replaces; each model has its own factor and history."""
    recipe, x, y = _nested(names), *_data()
    models = [nn.Sequential(nn.Linear(3, 2)).astype("float64") for _ in range(2)]
    starts = [model.state_dict() for model in models]
    found = train.fit_many(
        models,
        x,
        y,
        loss=losses.SquaredError(scale=0.5),
        optimizer=recipe,
        epochs=EPOCHS,
        batch_size=SIZE,
        seed=5,
        device="reference",
    )
    for model, start, history in zip(models, starts, found, strict=True):
        expected, rates = _by_hand(recipe, start, 1.0)
        np.testing.assert_allclose(
            model[0].weight.numpy(), expected["0.weight"], rtol=1e-10, atol=1e-12
        )
        np.testing.assert_allclose(history["learning_rate"], rates, rtol=1e-12)


def test_range_test_under_accumulation_tells_the_rates_that_were_used():
    recipe = optim.GradientAccumulation(inner=optim.SGD(), every=4)
    x, y = _data()
    model = nn.Sequential(nn.Linear(3, 2))
    found = train.learning_rate_range(
        model,
        x,
        y,
        loss="mean_squared_error",
        optimizer=recipe,
        lowest=1e-4,
        highest=1e-1,
        steps=41,
        batch_size=7,
        device="reference",
    )
    assert found.rates[0] == pytest.approx(1e-4) and found.rates[40] == pytest.approx(
        1e-1
    )
    assert len(set(found.rates[:4].tolist())) == 1 and found.rates[4] > found.rates[3]


WRONG = [
    (optim.GradientAccumulation, {"every": 2.5}),
    (optim.GradientAccumulation, {"every": True}),
    (optim.GradientAccumulation, {"every": 0}),
    (optim.GradientAccumulation, {"every": "2"}),
    (optim.GradientAccumulation, {"inner": "none such"}),
    (optim.ParamGroups, {"groups": []}),
    (optim.SGD, {"nesterov": 1, "momentum": 0.9}),
    (optim.SGD, {"nesterov": "no", "momentum": 0.9}),
    (optim.SGD, {"maximize": 0}),
    (optim.SGD, {"decoupled": None}),
    (optim.SGD, {"momentum": True}),
    (optim.SGD, {"learning_rate": True}),
    (optim.SGD, {"learning_rate": "0.1"}),
    (optim.SGD, {"clip_norm": "1"}),
    (optim.SGD, {"learning_rate": float("nan")}),
    (optim.SGD, {"clip_value": True}),
    (optim.SGD, {"weight_decay": "0"}),
    (optim.Adam, {"bias_correction": 1}),
    (optim.Adam, {"beta1": None}),
    (optim.RMSProp, {"centered": "yes"}),
    (optim.NAdam, {"decoupled": 1}),
    (optim.EMA, {"decay": True}),
    (optim.Proximal, {"strength": "1"}),
]
SCHEDULES = [
    lambda n: optim.StepDecay(0.1, factor=0.5, every=n),
    lambda n: optim.ExponentialDecay(0.1, decay=0.5, every=n),
    lambda n: optim.PolynomialDecay(0.1, steps=n),
    lambda n: optim.CosineDecay(0.1, steps=n),
    lambda n: optim.WarmUp(0.1, steps=n),
    lambda n: optim.OneCycle(0.1, steps=n),
    lambda n: optim.Piecewise((0.1, 0.2), boundaries=(n,)),
]


@pytest.mark.parametrize(("kind", "options"), WRONG)
def test_options_of_another_type_are_refused(kind, options):
    with pytest.raises(ArgumentError):
        kind(**options)


@pytest.mark.parametrize("make", SCHEDULES)
@pytest.mark.parametrize("steps", [2.5, True, "3", None, 4.0])
def test_schedules_refuse_steps_that_are_no_whole_numbers(make, steps):
    with pytest.raises(ArgumentError, match="a whole number"):
        make(steps)


def test_numbers_of_numpy_are_taken_and_kept_as_plain_data():
    recipe = optim.GradientAccumulation(
        inner=optim.SGD(
            learning_rate=np.float32(0.5),
            momentum=np.float64(0.5),
            nesterov=np.bool_(1),
        ),
        every=np.int64(3),
    )
    inner = recipe.config()["inner"]
    assert (
        type(recipe.every),
        type(inner["learning_rate"]),
        type(inner["nesterov"]),
    ) == (int, float, bool)
    assert optim.StepDecay(0.1, factor=0.5, every=np.int32(2)).config()["every"] == 2
    assert optim.GradientAccumulation(inner="adam").inner == optim.Adam()


def test_groups_take_frozen_names_at_every_stage_of_unfreezing():
    recipe = optim.Proximal(
        inner=optim.ParamGroups(
            groups={
                "0.*": optim.SGD(learning_rate=0.01),
                "1.*": optim.SGD(learning_rate=0.1),
            },
            default="adam",
        ),
        strength=0.1,
    )
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 3)), random.normal(size=(20, 2))
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), nn.Linear(3, 2))
    named = dict(model.named_parameters())
    with pytest.raises(ArgumentError, match="patterns that match one of"):
        model.fit(x, y, loss="mean_squared_error", optimizer=recipe, verbose=0)
    recipe = optim.ParamGroups(
        groups={"0.*": optim.SGD(learning_rate=0.01), "2.*": "sgd"},
        default=optim.Adam(),
    )
    model.freeze("0", "2")
    for stage in ("3", "2", "0"):
        model.unfreeze(stage)
        before = {name: value.numpy() for name, value in named.items()}
        model.fit(
            x, y, loss="mean_squared_error", optimizer=recipe, verbose=0, epochs=2
        )
        learned = {name for name, _ in model.named_parameters()}
        for name, value in named.items():
            assert np.array_equal(value.numpy(), before[name]) == (name not in learned)


def test_penalties_see_frozen_parameters():
    """A frozen one draws the other to it; what is frozen altogether adds nothing, and a wrong name is an error."""
    random = np.random.default_rng(0)
    x = random.normal(size=(8, 3))
    model = nn.Sequential(
        nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    ).astype("float64")
    model.freeze("0")
    first, second = (layer.weight.numpy() for layer in (model[0], model[1]))
    tied = losses.Tied(strength=0.5, first="0.weight", second="1.weight")
    recipe = {
        "loss": "mean_squared_error",
        "optimizer": optim.SGD(learning_rate=0.1),
        "verbose": 0,
        "epochs": 1,
    }
    history = model.fit(
        x, x, regularizers=[tied], batch_size=8, device="reference", **recipe
    )
    assert history["penalty"][0] == pytest.approx(0.25 * ((first - second) ** 2).sum())
    error = 2 * (x @ first.T @ second.T - x) / x.size
    slope = error.T @ (x @ first.T) + 0.5 * (second - first)
    np.testing.assert_allclose(
        model[1].weight.numpy(), second - 0.1 * slope, rtol=1e-10
    )
    np.testing.assert_array_equal(model[0].weight.numpy(), first)
    for penalty in (losses.L1, losses.L2, losses.LInfinity):
        history = model.fit(
            x, x, regularizers=[penalty(strength=1.0, pattern="0.*")], **recipe
        )
        assert history["penalty"] == [0.0]
        with pytest.raises(ArgumentError, match="pattern"):
            model.fit(
                x, x, regularizers=[penalty(strength=1.0, pattern="2.*")], **recipe
            )
    history = model.fit(
        x,
        x,
        regularizers=[losses.L2(strength=1.0, center={"0.weight": first})],
        **recipe,
    )
    with pytest.raises(ArgumentError, match="names among"):
        model.fit(
            x,
            x,
            regularizers=[
                losses.Tied(strength=1.0, first="2.weight", second="1.weight")
            ],
            **recipe,
        )


def test_a_parameter_set_apart_by_requires_grad_counts_as_frozen():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[0].weight.requires_grad = False
    x = np.random.default_rng(0).normal(size=(8, 3))
    tied = losses.Tied(strength=0.5, first="0.weight", second="1.weight")
    before = model[0].weight.numpy()
    model.fit(x, x, loss="mean_squared_error", regularizers=[tied], epochs=1, verbose=0)
    np.testing.assert_array_equal(model[0].weight.numpy(), before)


def test_a_proximal_step_in_a_loop_of_ones_own_asks_for_the_rates_too():
    recipe = optim.Proximal(
        inner=optim.GradientAccumulation(inner=optim.SGD(learning_rate=0.1), every=4),
        strength=1.0,
    )
    w = parameter(np.array([1.0]), name="w.weight")
    stepper = optim.Stepper(recipe, [w])
    for _ in range(4):
        stepper.step([parameter(np.array([2.0]))])
    assert w.item() == pytest.approx(0.7)
