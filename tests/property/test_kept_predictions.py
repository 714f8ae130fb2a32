"""Whatever is changed in a model, the next ``predict`` is that of the model as it is: never one kept from before."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import threading
import weakref
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn, optim
from deltarule.errors import ShapeError
from deltarule.learners.neural_network import pickling
from deltarule.runtime import devices
from deltarule.tensor.tensor import Tensor
from support.oracles import torch

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
Change = Callable[["Net", random.Random], Any]
factor, table = 1.0, {"shift": 0.0}
settings = SimpleNamespace(slope=0.1, inner=[1.0])
outside = dr.parameter(np.ones(6, np.float32))


def helper(x: Tensor) -> Tensor:
    return x * factor + table["shift"]


class Scale:
    """An object of a class from outside, with a class attribute."""

    offset = 0.0

    def __init__(self) -> None:
        self.by = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.by + self.offset


class Net(nn.Module):
    """Every kind of thing that a forward may depend on."""

    sign = 1.0

    def __init__(self) -> None:
        self.first = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6), nn.LeakyReLU(0.1))
        self.blocks = [nn.Linear(6, 6), nn.Tanh()]
        self.heads = {"a": nn.Linear(6, 3)}
        self.power, self.use_abs, self.scale = 1.0, False, Scale()
        self.mask = np.ones(6, np.float32)
        self.large = np.zeros((200, 200))
        self.gate = dr.tensor(np.array([1.0, 0.0], np.float32))
        self.weights = [1.0, 2.0]
        closed = [1.0]
        self.closed = closed
        self.inner = lambda h: h * closed[0]

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = block(h)
        h = helper(h) * dr.tensor(self.mask) * self.power * outside
        h = self.scale(self.inner(h)) + float(self.large.sum())
        if self.use_abs:
            h = abs(h)
        if self.gate.numpy()[0] > 0:
            h = h * settings.slope * settings.inner[0] * self.weights[0]
        out: Tensor = self.heads["a"](h) * self.sign * self.gate[:1]
        return out


def _number(r: random.Random) -> float:
    return r.choice([-2.0, -0.5, 0.25, 0.75, 1.5, 3.0])


def _some(r: random.Random, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return (
        np.random.default_rng(r.randrange(10**6)).normal(size=shape).astype(np.float32)
    )


def _assign(net: Net, r: random.Random) -> None:
    tensor = r.choice([t for _, t in net.named_tensors() if t is not net.gate])
    tensor.assign(abs(_some(r, tensor.shape)))


def _load(net: Net, r: random.Random) -> None:
    net.load_state_dict(
        {
            name: value * np.asarray(_number(r) ** 2, value.dtype) + 0.01
            for name, value in net.state_dict().items()
            if name != "gate"
        },
        strict=False,
    )


def _replace_parameter(net: Net, r: random.Random) -> None:
    net.heads["a"].weight = dr.parameter(_some(r, (3, 6)))


def _fit(net: Net, r: random.Random) -> None:
    net.fit(
        X,
        np.arange(5) % 3,
        loss="cross_entropy",
        epochs=1,
        optimizer=optim.SGD(learning_rate=0.1),
        verbose=0,
        seed=r.randrange(99),
        device="reference",
    )


def _train_mode(net: Net, r: random.Random) -> None:
    net(X, mode="training", seed=r.randrange(99), step=0)


def _dtype(net: Net, r: random.Random) -> None:
    net.astype(r.choice(["float32", "float64"]))


def _stepper(net: Net, r: random.Random) -> None:
    stepper = optim.Stepper(optim.SGD(learning_rate=0.05), net.parameters())
    (net(X, mode="training", seed=1, step=0) ** 2).sum().backward()
    stepper.step()


def _set(name: str, value: Callable[[random.Random], Any]) -> Change:
    return lambda net, r: setattr(net, name, value(r))


def _set_global(name: str) -> Change:
    return lambda net, r: globals().__setitem__(name, _number(r))


def _freeze(net: Net, r: random.Random) -> None:
    (net.freeze if r.random() < 0.5 else net.unfreeze)("heads.*")


def _block(net: Net, r: random.Random) -> None:
    net.blocks[1] = r.choice([nn.ReLU(), nn.Sigmoid(), nn.Tanh()])


def _layer(net: Net, r: random.Random) -> None:
    net.first._layers["2"] = r.choice([nn.ReLU(), nn.ELU()])


def _forward(net: Net, r: random.Random) -> None:
    net.blocks[1].forward = r.choice([dr.tanh, nn.relu, lambda h: h - 1])  # type: ignore[method-assign]


CHANGES: dict[str, Change] = {
    "assign": _assign,
    "load_state_dict": _load,
    "initialize": lambda net, r: net.initialize(r.randrange(99)),
    "replace a parameter": _replace_parameter,
    "replace a layer in a list": _block,
    "replace a layer in a dictionary": lambda net, r: net.heads.__setitem__(
        "a", nn.Linear(6, 3, seed=r.randrange(99))
    ),
    "append a layer": lambda net, r: (
        net.blocks.append(nn.Tanh()) if len(net.blocks) < 6 else net.blocks.pop()
    ),
    "replace a layer of a Sequential": _layer,
    "setting of a layer": lambda net, r: setattr(
        net.first[1], "epsilon", r.choice([1e-5, 0.1, 1.0])
    ),
    "freeze": _freeze,
    "fit": _fit,
    "a call in training mode": _train_mode,
    "a step of a loop of one's own": _stepper,
    "type": _dtype,
    "attribute": _set("power", _number),
    "flag": _set("use_abs", lambda r: r.random() < 0.5),
    "array in place": lambda net, r: net.mask.__setitem__(r.randrange(6), _number(r)),
    "large array in place": lambda net, r: net.large.__setitem__(
        (r.randrange(200), 7), _number(r)
    ),
    "view of an array": lambda net, r: net.mask[::-1].__setitem__(0, _number(r)),
    "list of numbers": lambda net, r: net.weights.__setitem__(0, _number(r)),
    "closure": lambda net, r: net.closed.__setitem__(0, _number(r)),
    "object": lambda net, r: setattr(net.scale, "by", _number(r)),
    "class of an object": lambda net, r: setattr(Scale, "offset", _number(r)),
    "class attribute": lambda net, r: setattr(Net, "sign", _number(r)),
    "instance over class": _set("sign", _number),
    "global number": _set_global("factor"),
    "global dictionary": lambda net, r: table.__setitem__("shift", _number(r)),
    "global object": lambda net, r: setattr(settings, "slope", _number(r)),
    "global object's list": lambda net, r: settings.inner.__setitem__(0, _number(r)),
    "global parameter": lambda net, r: outside.assign(_some(r, (6,))),
    "tensor that is looked at": lambda net, r: net.gate.assign([_number(r), 0.0]),
    "function": _set("inner", lambda r: r.choice([dr.exp, dr.tanh, lambda h: h + 1])),
    "forward of one layer": _forward,
}


@pytest.fixture(autouse=True)
def _globals_as_they_were():  # type: ignore[no-untyped-def]
    before = factor, dict(table), settings.slope, list(settings.inner), outside.numpy()
    yield
    globals()["factor"] = before[0]
    table.update(before[1])
    settings.slope, settings.inner[:] = before[2], before[3]
    outside.assign(before[4])
    Net.sign, Scale.offset = 1.0, 0.0


def _check(net: Net) -> None:
    """Compare with ``forward`` run afresh; twice, so that both a new program and a kept one are looked at."""
    for _ in range(2):
        found = net.predict(X, device="reference")
        kind = net.heads["a"].weight.dtype.name
        expected = net(X.astype(kind)).numpy()
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5)
        loss = net.evaluate(
            X, Y, loss="mean_squared_error", batch_size=3, device="reference"
        )["loss"]
        np.testing.assert_allclose(
            loss, ((expected.astype(np.float64) - Y) ** 2).mean(), rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("name", list(CHANGES))
def test_one_change_is_noticed(name: str) -> None:
    r = random.Random(name)
    net = Net()
    _check(net)
    assert net.kept_predictions._state is not None
    for _ in range(3):
        CHANGES[name](net, r)
        _check(net)


@pytest.mark.parametrize("seed", range(10))
def test_many_changes_are_noticed(seed: int) -> None:
    r = random.Random(seed)
    net = Net()
    for name in r.choices(list(CHANGES), k=12):
        _check(net)
        CHANGES[name](net, r)
        if r.random() < 0.2:
            net = copy.deepcopy(net) if r.random() < 0.5 else copy.copy(net)
    _check(net)


def test_a_model_that_changes_itself_is_built_at_every_call() -> None:
    net, calls = Net(), []
    original = nn.Linear.forward
    net.blocks[0].forward = lambda x: calls.append(0) or original(net.blocks[0], x)  # type: ignore[method-assign]
    for n in range(1, 5):
        net.predict(X, device="reference")
        assert len(calls) >= n
    del net.blocks[0].__dict__["forward"]
    for _ in range(60):  # it is tried again after a while
        net.predict(X, device="reference")
    state = net.kept_predictions._state
    assert state is not None
    assert len(state._programs) == 1


def test_a_program_is_kept_until_something_changes() -> None:
    net = Net()
    net.predict(X, device="reference")
    built = net.kept_predictions._state
    weight = net.heads["a"].weight
    weight.assign(weight.numpy() * 2)
    _fit(net, random.Random(0))
    net.predict(X, device="reference")
    assert net.kept_predictions._state is built  # new weights need no new program
    assert built is not None and len(built._programs) == 1


def test_a_method_of_the_library_that_is_replaced_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    before = net.predict(X, device="reference")
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x * 0)
    assert before.any()
    assert not net.predict(X, device="reference").any()


def test_copies_and_pickles_are_on_their_own() -> None:
    pickling.register()
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    first = net.predict(X, device="reference")
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.predict(X, device="reference"), first)
        twin[0].weight = dr.parameter(np.zeros((3, 4), np.float32))
        changed = twin.predict(X, device="reference")
        assert (changed == changed[0]).all()
    shallow = copy.copy(net)
    shallow._layers = {"0": net[0], "1": nn.ReLU()}
    assert (shallow.predict(X, device="reference") >= 0).all()
    assert (net.predict(X, device="reference") < 0).any()


Pair = namedtuple("Pair", ["by", "list"])


@pytest.mark.parametrize(
    "kind", ["torch", "masked", "file", "named tuple", "own list", "array of objects"]
)
def test_what_other_objects_hold_is_not_missed(kind: str, tmp_path: Path) -> None:
    class Numbers(list):  # type: ignore[type-arg]
        def total(self) -> float:
            return sum(self) + getattr(self, "more", 0.0)

    def read(path: str) -> str:
        if kind == "file":
            with open(path) as file:
                return file.read()
        return ""

    class Holder(nn.Module):
        def __init__(self) -> None:
            self.path = str(tmp_path / "number")
            if kind == "torch":
                self.torch = torch.ones(1)
            if kind == "masked":
                self.masked = np.ma.array([1.0, 5.0], mask=[False, True])
            if kind == "array of objects":
                self.objects = np.array([1.0, None])
            self.pair, self.own = Pair(1.0, [1.0]), Numbers([1.0])

        def number(self) -> float:
            found = {
                "file": lambda: float(read(self.path)),
                "torch": lambda: float(self.torch[0]),
                "masked": lambda: float(self.masked.sum()),
                "named tuple": lambda: self.pair.by * self.pair.list[0],
                "own list": lambda: self.own.total(),
                "array of objects": lambda: float(self.objects[0]),
            }
            return found[kind]()

        def forward(self, x: Tensor) -> Tensor:
            return x * self.number()

    (tmp_path / "number").write_text("1")
    net = Holder()
    changes: dict[str, Callable[[], Any]] = {
        "torch": lambda: net.torch.mul_(3),
        "masked": lambda: net.masked.mask.__setitem__(1, False),
        "file": lambda: (tmp_path / "number").write_text("3"),
        "named tuple": lambda: net.pair.list.__setitem__(0, 3.0),
        "own list": lambda: setattr(net.own, "more", 2.0),
        "array of objects": lambda: net.objects.__setitem__(0, 3.0),
    }
    for _ in range(2):
        np.testing.assert_array_equal(net.predict(X, device="reference"), X)
    changes[kind]()
    np.testing.assert_allclose(net.predict(X, device="reference"), X * net.number())
    assert net.number() in {3.0, 6.0}


def test_random_numbers_of_the_host_are_drawn_at_every_call() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            self.generator = np.random.default_rng(0)

        def forward(self, x: Tensor) -> Tensor:
            return x + float(self.generator.normal())

    class Global(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + random.random() + float(np.random.default_rng().normal())

    for net in (Noisy(), Global()):
        assert (
            net.predict(X, device="reference") != net.predict(X, device="reference")
        ).all()


def test_an_evaluation_is_kept_and_sees_frozen_weights_and_other_data() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3))
    net.freeze("0")
    data = np.random.default_rng(2)
    for _ in range(3):
        net[0].weight.assign(data.normal(size=(3, 4)))
        for n in (7, 9, 7):
            x, y, weights = (
                data.normal(size=(n, 4)).astype("f4"),
                data.integers(0, 3, n),
                data.random(n),
            )
            logits = net(x).numpy().astype(float)
            each = np.log(np.exp(logits).sum(1)) - logits[np.arange(n), y]
            plain = net.evaluate(
                x,
                y,
                loss="cross_entropy",
                metrics=["accuracy"],
                batch_size=4,
                device="reference",
            )
            assert plain["loss"] == pytest.approx(each.mean(), rel=1e-5)
            assert plain["accuracy"] == pytest.approx((logits.argmax(1) == y).mean())
            found = net.evaluate(
                x,
                y,
                loss="cross_entropy",
                batch_size=4,
                sample_weight=weights,
                device="reference",
            )
            assert found["loss"] == pytest.approx((weights * each).mean(), rel=1e-5)
    state = net.kept_predictions._state
    assert state is not None
    assert 0 < len(state.evaluations) <= 4


def test_losses_have_programs_of_their_own() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    logits = net.predict(X, device="reference").astype(float)
    exponentials = np.exp(logits)
    for _ in range(2):
        soft = net.predict_proba(X, loss="cross_entropy", device="reference")
        np.testing.assert_allclose(
            soft, exponentials / exponentials.sum(1, keepdims=True), rtol=1e-5
        )
        sigmoid = net.predict_proba(
            X, loss=losses.BinaryCrossEntropy(), device="reference"
        )
        np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits)), rtol=1e-5)
        np.testing.assert_allclose(
            net.predict(X, device="reference"), logits, rtol=1e-6
        )


@pytest.mark.parametrize("n", [0, 1, 3, 4, 9])
def test_batches_and_rests(n: int) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    x = np.random.default_rng(n).normal(size=(n, 4))
    for _ in range(2):
        found = net.predict(x, batch_size=4, device="reference")
        assert found.shape == (n, 3)
        assert found.dtype == np.float32
        if n:
            np.testing.assert_allclose(
                found, net(x.astype("f4")).numpy(), rtol=1e-5, atol=1e-6
            )


def test_no_rows_of_the_wrong_shape_are_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ShapeError):
        net.predict(np.zeros((0, 5)))
    assert net.predict_proba(np.zeros((0, 4)), loss="cross_entropy").shape == (0, 3)


def test_memory_is_bounded() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    for n in range(1, 81):
        net.predict(np.zeros((n, 4)), device="reference")
    state = net.kept_predictions._state
    assert state is not None
    assert len(state._programs) <= 32
    assert len(devices._compiled) <= devices._MAX_PROGRAMS
    gone, leaf = weakref.ref(net), weakref.ref(net[0].weight.node)
    net[0].weight.assign(np.ones((3, 4), np.float32))
    gc.collect()
    assert leaf() is None, "the weights of before are kept"
    del net, state
    gc.collect()
    assert gone() is None


def test_threads_predict_at_once_while_weights_change() -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False))
    net[0].weight.assign(np.eye(4, dtype=np.float32))
    faults: list[str] = []
    done = threading.Event()

    def predicts(n: int) -> None:
        while not done.is_set():
            found = net.predict(X[:n])
            scale = found[0, 0] / X[0, 0]
            if not np.allclose(found, X[:n] * scale) or round(
                float(scale)
            ) not in range(1, 60):
                faults.append(f"{scale}")

    threads = [threading.Thread(target=predicts, args=(n,)) for n in (1, 2, 5, 5)]
    for thread in threads:
        thread.start()
    for scale in range(1, 60):
        net[0].weight.assign(np.eye(4, dtype=np.float32) * scale)
        net.predict(X[:3])
    done.set()
    for thread in threads:
        thread.join()
    assert not faults
    np.testing.assert_allclose(net.predict(X), X * 59, rtol=1e-6)
