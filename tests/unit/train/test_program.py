"""The training step against the same arithmetic in NumPy and torch (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule import losses, optim
from deltarule.data import batches
from deltarule.errors import GraphError, ShapeError
from deltarule.graph.verify import verify
from deltarule.tensor.tensor import Tensor, parameter, symbol
from deltarule.train import ForwardResult, fit
from deltarule.train.steps.step import Task, columns, evaluation_step, training_step
from support.oracles import torch


class Linear:
    """ŷ = Xw + b in float64."""

    def __init__(self, penalty: float = 0.0) -> None:
        self.w, self.b = parameter(np.zeros((3, 1)), "w"), parameter(np.zeros(1), "b")
        self.penalty = penalty

    def named_parameters(self):
        return [("w", self.w), ("b", self.b)]

    def named_state(self):
        return []

    def apply(self, inputs: Tensor, *, mode, seed, step) -> ForwardResult:
        penalties = [(self.w * self.w).sum() * self.penalty] if self.penalty else []
        return ForwardResult(inputs @ self.w + self.b, penalties=penalties)

    def config(self):
        return None


@pytest.fixture
def line():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(23, 3))
    return x, x @ np.array([[1.0], [-2.0], [0.5]]) + 0.3 + 0.1 * rng.normal(
        size=(23, 1)
    )


def _numpy_descent(x, y, epochs, size, rate, weight=None, l2=0.0, seed=0):
    w, b, losses_seen = np.zeros((3, 1)), np.zeros(1), []
    weight = np.ones(len(x)) if weight is None else weight
    for epoch in range(epochs):
        order = batches(len(x), size, seed, epoch)
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            error = x[rows] @ w + b - y[rows]
            losses_seen.append(float(np.mean(weight[rows] * error[:, 0] ** 2)))
            slope = 2 * error * weight[rows][:, None] / len(rows)
            w, b = w - rate * (x[rows].T @ slope + 2 * l2 * w), b - rate * slope.sum(0)
    return w, b, losses_seen


def test_descent_is_that_of_numpy_with_a_smaller_last_batch(line):
    x, y = line
    model = Linear()
    history = fit(
        model,
        x,
        y,
        loss="mean_squared_error",
        optimizer=optim.SGD(learning_rate=0.1),
        epochs=4,
        batch_size=5,
        verbose=0,
        seed=11,
    )
    w, b, seen = _numpy_descent(x, y, 4, 5, 0.1, seed=11)
    np.testing.assert_allclose(model.w.numpy(), w, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(model.b.numpy(), b, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(history.step_losses, seen, rtol=1e-12)
    assert history.steps == 20 and history.samples == 4 * 23
    sizes = [5, 5, 5, 5, 3]
    expected = [np.average(seen[5 * e : 5 * e + 5], weights=sizes) for e in range(4)]
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-12)


@pytest.mark.notes("REG-05")
def test_weights_and_penalties_are_those_of_numpy(line):
    x, y = line
    weight = np.linspace(0, 2, len(x))
    expected = _numpy_descent(x, y, 3, 8, 0.05, weight=weight, l2=0.3)
    for model, regularizers in (
        (Linear(), [losses.L2(strength=0.3, pattern="w")]),
        (Linear(penalty=0.3), []),
        (Linear(), [lambda named: (named[0][1] ** 2).sum() * 0.3]),
    ):
        history = fit(
            model,
            x,
            y,
            loss="mean_squared_error",
            optimizer=optim.SGD(learning_rate=0.05),
            epochs=3,
            batch_size=8,
            verbose=0,
            sample_weight=weight,
            regularizers=regularizers,
        )
        np.testing.assert_allclose(model.w.numpy(), expected[0], rtol=1e-11)
        np.testing.assert_allclose(history.step_losses, expected[2], rtol=1e-11)
        assert history["penalty"][0] > 0  # told apart from the loss of the data
        assert set(history.epochs[0]) == {
            "loss",
            "penalty",
            "learning_rate",
            "seconds",
            "samples_per_second",
        }


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.1}, {"clip_value": 0.02}])
def test_a_network_with_adam_is_that_of_torch(network, blobs, clip):
    x, y = blobs
    model = network(dtype="float64")
    twin = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in model.state_dict().items()
        if name != "mean"
    }
    adam = torch.optim.Adam(twin.values(), lr=0.02)
    fit(
        model,
        x.astype(np.float64),
        y,
        loss="cross_entropy",
        optimizer=optim.Adam(learning_rate=0.02, **clip),
        epochs=3,
        batch_size=10,
        seed=4,
        verbose=0,
    )
    for epoch in range(3):
        order = batches(len(x), 10, 4, epoch)
        for start in range(0, len(x), 10):
            rows = order[start : start + 10]
            hidden = torch.relu(
                torch.tensor(x[rows], dtype=torch.float64) @ twin["w1"].T + twin["b1"]
            )
            loss = torch.nn.functional.cross_entropy(
                hidden @ twin["w2"].T + twin["b2"], torch.tensor(y[rows])
            )
            adam.zero_grad()
            loss.backward()
            if "clip_norm" in clip:
                total = torch.sqrt(sum((p.grad**2).sum() for p in twin.values()))
                for p in twin.values():
                    p.grad *= min(1.0, 0.1 / total)
            if "clip_value" in clip:
                torch.nn.utils.clip_grad_value_(twin.values(), 0.02)
            adam.step()
    for name, value in twin.items():
        np.testing.assert_allclose(
            model.tensors[name].numpy(), value.detach().numpy(), rtol=1e-9, atol=1e-11
        )


def test_summed_losses_add_up(line):
    x, y = line
    model = Linear()
    history = fit(
        model,
        x,
        y,
        loss=losses.SquaredError(reduction="sum"),
        optimizer=optim.SGD(learning_rate=1e-9),
        epochs=1,
        batch_size=10,
        verbose=0,
    )
    assert history["loss"][0] == pytest.approx(float((y**2).sum()), rel=1e-6)


def test_a_step_without_reduction_is_refused(line):
    with pytest.raises(ShapeError, match="one number for a batch"):
        fit(Linear(), *line, loss=losses.MeanSquaredError(reduction="none"), verbose=0)


def test_programs_are_legal_and_frozen_parameters_are_state_that_stays(network, blobs):
    x, y = blobs
    model = network(running=True, drop=0.5, frozen=("w1",))
    task = Task(model, losses.get("cross_entropy"), (), optim.Adam())
    described = columns([x, y.astype(np.int64)])
    step = training_step(task, described, 10)
    verify([*step.program.next_state, *step.program.metrics])
    assert step.names.parameters == ("b1", "w2", "b2") and step.names.running == (
        "mean",
    )
    assert len(step.names.slots) == 6
    frozen = model.tensors["w1"].node
    position = step.program.state.index(frozen)
    assert step.program.next_state[position] is frozen
    assert position >= len(step.names.all)
    np.testing.assert_array_equal(
        step.constants[position - len(step.names.all)], model.tensors["w1"].numpy()
    )
    looked_at = evaluation_step(task, described, 10)
    verify(looked_at.program.metrics)
    assert looked_at.program.next_state == looked_at.program.state


@pytest.mark.notes("TRF-01")
def test_frozen_parameters_keep_their_bytes_and_state_moves(network, blobs):
    model = network(running=True, frozen=("w1", "b1"))
    before = model.state_dict()
    fit(model, *blobs, loss="cross_entropy", epochs=2, verbose=0)
    after = model.state_dict()
    for name in ("w1", "b1"):
        assert before[name].tobytes() == after[name].tobytes()
    for name in ("w2", "b2", "mean"):
        assert before[name].tobytes() != after[name].tobytes()


def test_running_state_is_an_exponential_average(network, blobs):
    x, y = blobs
    model = network(running=True)
    start = model.state_dict()
    fit(
        model,
        x,
        y,
        loss="cross_entropy",
        optimizer=optim.SGD(learning_rate=1e-12),
        epochs=1,
        batch_size=53,
        verbose=0,
        shuffle=False,
    )
    expected = 0.1 * (x @ start["w1"].T + start["b1"]).mean(0)
    np.testing.assert_allclose(model.mean.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_a_model_that_reads_a_symbol_is_refused(network, blobs):
    model = network()
    stray = symbol("stray", (3,))
    original = model.apply
    model.apply = lambda *a, **k: ForwardResult(original(*a, **k).output + stray)
    with pytest.raises(GraphError, match="stray"):
        fit(model, *blobs, loss="cross_entropy", verbose=0)


def test_inputs_take_the_element_type_of_the_parameters(network, blobs):
    x, y = blobs
    one, other = network(), network()
    fit(one, x.astype(np.float64), y, loss="cross_entropy", epochs=2, verbose=0)
    fit(other, x, y, loss="cross_entropy", epochs=2, verbose=0)
    assert one.bytes() == other.bytes()
    assert one.tensors["w1"].dtype.name == "float32"


@pytest.mark.notes("OPT-11")
def test_the_look_ahead_form_of_nesterov_takes_its_gradient_ahead(line):
    """v ← αv − ηg(θ + αv), θ ← θ + v, written out in NumPy."""
    x, y = line
    model = Linear()
    recipe = optim.SGD(
        learning_rate=0.05, momentum=0.8, nesterov=True, nesterov_form="look_ahead"
    )
    fit(
        model,
        x,
        y,
        loss="mean_squared_error",
        epochs=3,
        batch_size=23,
        shuffle=False,
        verbose=0,
        optimizer=recipe,
    )
    theta, v = np.zeros(4), np.zeros(4)
    design = np.hstack([x, np.ones((23, 1))])
    for _ in range(3):
        v = 0.8 * v - 0.05 * 2 * design.T @ (design @ (theta + 0.8 * v) - y[:, 0]) / 23
        theta = theta + v
    np.testing.assert_allclose(
        [*model.w.numpy()[:, 0], *model.b.numpy()], theta, rtol=1e-10
    )
