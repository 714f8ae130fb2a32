"""State that ``forward`` assigns, and freezing by ``trainable``: under ``fit`` as at the prompt."""

from __future__ import annotations

import re

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn, optim, train
from deltarule.errors import ArgumentError, GraphError, ShapeError

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = np.zeros(64, np.int64)


class Counting(nn.Module):
    """Counts its calls and adds up what it sees; ``how`` the state gets its new value."""

    def __init__(self, how):
        self.layer, self.how = nn.Linear(4, 2), how
        self.calls, self.total = dr.tensor(0.0), dr.tensor(np.zeros(4))

    def forward(self, x):
        if self.how == "assign":
            self.calls.assign(self.calls + 1.0)
            self.total.assign(self.total + x.sum(0))
        elif self.how == "attribute":
            self.calls = self.calls + 1.0
            self.total = self.total + x.sum(0)
        else:
            context = nn.context.require("Counting")
            context.update(self.calls, context.current(self.calls) + 1.0)
            context.update(self.total, context.current(self.total) + x.sum(0))
        return self.layer(x)


class Twice(nn.Module):
    """Calls one layer two times: its state changes twice a step."""

    def __init__(self, how):
        self.inner, self.head = Counting(how), nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.inner(x) + self.inner(2.0 * x))


HOWS = ["assign", "attribute", "context"]


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("how", HOWS)
def test_state_changes_once_a_training_step(how, device):
    model = Counting(how)
    model.fit(
        X,
        Y,
        loss="cross_entropy",
        epochs=5,
        batch_size=20,
        validation_data=(X, Y),
        verbose=0,
        device=device,
    )
    assert model.calls.item() == 20
    np.testing.assert_allclose(model.total.numpy(), 5 * X.sum(0), rtol=1e-4)
    assert set(model.state_dict()) == {"calls", "total", "layer.weight", "layer.bias"}
    model.predict(X)
    model.evaluate(X, Y)
    assert model.calls.item() == 20
    model.fit(
        X, Y, loss="cross_entropy", epochs=1, batch_size=32, verbose=0, device=device
    )
    assert model.calls.item() == 22


@pytest.mark.parametrize("how", HOWS)
def test_a_layer_that_is_called_twice_changes_twice(how):
    model = Twice(how)
    model.fit(
        X,
        Y,
        loss="cross_entropy",
        epochs=2,
        batch_size=16,
        verbose=0,
        device="reference",
    )
    assert model.inner.calls.item() == 16
    np.testing.assert_allclose(model.inner.total.numpy(), 2 * 3 * X.sum(0), rtol=1e-4)


@pytest.mark.parametrize("how", ["assign", "attribute"])
def test_it_is_as_at_the_prompt(how):
    trained, called = Counting(how), Counting(how)
    trained.fit(
        X, Y, loss="cross_entropy", epochs=1, batch_size=16, verbose=0, shuffle=False
    )
    for start in range(0, 64, 16):
        called(X[start : start + 16], mode="training", seed=0, step=0)
    assert called.calls.item() == trained.calls.item() == 4
    np.testing.assert_allclose(called.total.numpy(), trained.total.numpy(), rtol=1e-5)


def test_many_models_and_a_resumed_run_count_too(tmp_path):
    models = [Counting("assign") for _ in range(2)]
    train.fit_many(models, X, Y, loss="cross_entropy", epochs=[2, 3], batch_size=16)
    assert [model.calls.item() for model in models] == [8, 12]
    model, options = (
        Counting("attribute"),
        {"loss": "cross_entropy", "batch_size": 16, "verbose": 0},
    )
    model.fit(X, Y, epochs=2, checkpoint=tmp_path / "run.dr", **options)
    again = Counting("attribute")
    again.fit(X, Y, epochs=3, checkpoint=tmp_path / "run.dr", resume=True, **options)
    assert again.calls.item() == 12


class Changing(nn.Module):
    def __init__(self, change):
        self.layer, self.change = nn.Linear(4, 2), change
        self._private, self.total = dr.tensor(0.0), dr.tensor(0.0)

    def forward(self, x):
        self.change(self, x)
        return self.layer(x)


class Boxes(nn.Module):
    """Keeps its state in a list, a dictionary, a tuple and one in the other."""

    def __init__(self, how):
        self.layer, self.how = nn.Linear(4, 2), how
        self.box = [dr.tensor(0.0), dr.tensor(np.zeros(4))]
        self.named = {"calls": dr.tensor(0.0), "deep": [dr.tensor(0.0)]}
        self.pair = (dr.tensor(0.0), dr.tensor(1.0))

    def forward(self, x):
        if self.how == "entries":
            self.box[0] = self.box[0] + 1.0
            self.box[1] = self.box[1] + x.sum(0)
            self.named["calls"] = self.named["calls"] + 1.0
            self.named["deep"][0] = self.named["deep"][0] + 1.0
        else:
            self.box = [self.box[0] + 1.0, self.box[1] + x.sum(0)]
            self.named = {
                "calls": self.named["calls"] + 1.0,
                "deep": [self.named["deep"][0] + 1.0],
            }
        self.pair = (self.pair[0] + 1.0, self.pair[1])
        return self.layer(x)


@pytest.mark.parametrize("how", ["entries", "new"])
def test_state_in_containers_changes_once_a_training_step(how):
    model = Boxes(how)
    names = set(model.state_dict())
    model.fit(
        X,
        Y,
        loss="cross_entropy",
        epochs=5,
        batch_size=20,
        validation_data=(X, Y),
        verbose=0,
    )
    model.predict(X)
    counts = [model.box[0], model.named["calls"], model.named["deep"][0], model.pair[0]]
    assert [count.item() for count in counts] == [20, 20, 20, 20] and model.pair[
        1
    ].item() == 1
    np.testing.assert_allclose(model.box[1].numpy(), 5 * X.sum(0), rtol=1e-4)
    assert set(model.state_dict()) == names and isinstance(model.pair, tuple)


OUTSIDE = dr.tensor(0.0, name="outside")


def _choose(model, x):
    if x.mean() > 0:
        raise AssertionError


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (
            lambda m, x: m.layer.weight.assign(m.layer.weight * 0.9),
            ArgumentError,
            "a new value of layer.weight",
        ),
        (
            lambda m, x: setattr(m.layer, "weight", m.layer.weight * 0.9),
            ArgumentError,
            "layer.weight",
        ),
        (lambda m, x: OUTSIDE.assign(x.sum()), ArgumentError, "a new value of outside"),
        (
            lambda m, x: m._private.assign(x.sum()),
            ArgumentError,
            "a new value of _private",
        ),
        (
            lambda m, x: setattr(m, "total", x.sum(0)),
            ShapeError,
            "state total of shape (), got (4)",
        ),
        (_choose, GraphError, "call it outside dr.jit and fit"),
        (lambda m, x: x.numpy(), GraphError, "got a read of a value"),
    ],
)
def test_what_would_be_lost_is_refused_and_the_model_stays(change, error, told):
    model = Changing(change)
    before = model.state_dict()
    with pytest.raises(error, match=re.escape(told)):
        model.fit(X, Y, loss="cross_entropy", epochs=1, verbose=0)
    assert OUTSIDE.item() == 0 and model._private.item() == 0
    np.testing.assert_equal(model.state_dict(), before)
    assert model.layer.weight.requires_grad


def test_results_that_are_set_aside_do_no_harm(tmp_path):
    """As before: an attribute that was no state, and private ones, may keep what was computed."""

    class Looking(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            self.given, self.seen = x, self.layer(x)
            self._also_seen = self.seen
            return self.seen

    model = Looking()
    model.fit(X, Y, loss="cross_entropy", epochs=1, verbose=0)
    names = {"layer.weight", "layer.bias"}
    assert set(model.state_dict()) == names
    assert model.predict(X).shape == (64, 2)
    model.save(tmp_path / "looking.dr")
    dr.jit(lambda x: model(x))(X)
    assert set(model.state_dict()) == names


# ---------------------------------------------------------------- trainable


def _learned_by(model):
    before = model.state_dict()
    model.fit(
        X,
        Y,
        loss="cross_entropy",
        epochs=1,
        optimizer=optim.SGD(learning_rate=0.1),
        verbose=0,
    )
    return {
        name
        for name, value in model.state_dict().items()
        if not np.array_equal(value, before[name])
    }


def test_trainable_freezes_and_unfreezes():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 2))
    for layer in model:
        layer.trainable = layer is model[3]
    assert not model[0].trainable and model[2].trainable and model.trainable
    assert _learned_by(model) == {"3.weight", "3.bias"}
    model[0].trainable = True
    assert {"0.weight"} <= _learned_by(model) and model[0].trainable
    model.trainable = False
    assert model.parameters() == [] and not model.trainable
    with pytest.raises(ArgumentError, match="Unfreeze a layer"):
        _learned_by(model)
    model.unfreeze("3")
    assert _learned_by(model) == {"3.weight", "3.bias"}
    with pytest.raises(
        ArgumentError, match=r"Add a layer that has some, such as nn\.Linear\."
    ):
        _learned_by(nn.Sequential(nn.ReLU()))


def test_trainable_set_before_there_are_parameters():
    class Fixed(nn.Module):
        def __init__(self):
            self.trainable = False
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return self.inner(x)

    model = nn.Sequential(Fixed(), nn.Linear(4, 2))
    assert _learned_by(model) == {"1.weight", "1.bias"}
    model[0].trainable = True
    assert "0.inner.weight" in _learned_by(model)


@pytest.mark.parametrize("value", ["no", 0, None, 1.0])
def test_trainable_is_true_or_false(value):
    with pytest.raises(ArgumentError, match="Linear trainable"):
        nn.Linear(4, 2).trainable = value
