"""Networks built alike start with different weights, and a program with the same ones in every run."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import generative, nn, train
from deltarule.errors import ArgumentError
from deltarule.learners import MLPClassifier, NetworkSearchCV

Values = dict[str, np.ndarray]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def weights(model: nn.Module) -> Values:
    return {name: v for name, v in model.state_dict().items() if v.any()}


def equal(a: Values, b: Values) -> bool:
    assert a.keys() == b.keys() and a
    return all(np.array_equal(a[name], b[name]) for name in a)


def apart(a: Values, b: Values) -> bool:
    """Whether no drawn value is equal."""
    assert a.keys() == b.keys() and a
    return all((a[name] != b[name]).all() for name in a)


def expected(seed: int, name: str, number: int, std: float, shape: tuple[int, ...]):
    """The normal initial values, from the definition of their key."""
    key = f"{seed}:{name}" if number == 0 else f"{seed}/{number}:{name}"
    words = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    source = np.random.Generator(np.random.Philox(key=words))
    return (source.standard_normal(shape) * std).astype(np.float32)


class Pair(nn.Module):
    """Two layers of one shape; the constructor reads and scales their weights."""

    def __init__(self) -> None:
        rule = nn.init.normal(0.5)
        self.first, self.second = (nn.Linear(4, 4, init=rule) for _ in range(2))
        self.second.weight.assign(self.second.weight * 2)
        self.first.weight.assign(self.first.weight * 2)

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        return self.second(self.first(x))


# ---------------------------------------------------------------- networks built alike


def test_members_of_an_ensemble_start_apart() -> None:
    members = [weights(network()) for _ in range(5)]
    for i, one in enumerate(members):
        assert all(apart(one, other) for other in members[i + 1 :])


def test_initial_values_are_a_function_of_seed_number_and_name() -> None:
    dr.manual_seed(11)
    for number in range(3):
        layer = nn.Linear(6, 5, init=nn.init.normal(std=0.5))
        holder = nn.Sequential(nn.Sequential(nn.Linear(6, 5, init=nn.init.normal(0.5))))
        own = expected(11, "weight", number, 0.5, (5, 6))
        inner = expected(11, "0.0.weight", number, 0.5, (5, 6))
        assert np.array_equal(layer.weight.numpy(), own)
        assert np.array_equal(holder[0][0].weight.numpy(), inner)


def test_the_first_network_has_the_weights_of_the_default_seed() -> None:
    first, second = network(), network()
    given = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), seed=0)
    assert equal(weights(first), weights(given))
    assert apart(weights(second), weights(given))


def test_predictions_of_members_are_uncorrelated() -> None:
    draws = np.array([nn.Linear(100, 100).weight.numpy().ravel() for _ in range(6)])
    correlations = np.corrcoef(draws)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(draws.shape[1])


def test_an_unrelated_network_changes_no_other() -> None:
    def built(*between: Any) -> list[Values]:
        dr.manual_seed(0)
        models = []
        for made in (network, lambda: nn.Linear(8, 2), network, Pair):
            for other in between:
                other()
            models.append(made())
        return [weights(model) for model in models]

    alone = built()
    others = (
        lambda: nn.Sequential(nn.Linear(8, 2), nn.Tanh(), nn.Linear(2, 8)),
        lambda: nn.Sequential(network(), nn.Linear(2, 4)),
        lambda: nn.BatchNorm(4),
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), seed=3),
        lambda: network().initialize(5),
    )
    for a, b in zip(alone, built(*others), strict=True):
        assert equal(a, b)


def test_the_order_of_first_use_does_not_matter() -> None:
    def drawn(*order: tuple[int, str]) -> list[Values]:
        dr.manual_seed(0)
        models = [network() for _ in range(3)]
        for i, name in order:
            layer, _, attribute = name.partition(".")
            getattr(models[i][layer], attribute)
        return [weights(model) for model in models]

    usual = drawn()
    touched = drawn((2, "2.weight"), (0, "2.bias"), (1, "0.weight"), (2, "0.weight"))
    assert all(equal(a, b) for a, b in zip(usual, touched, strict=True))


def test_a_constructor_that_reads_weights_gets_those_of_its_own_network() -> None:
    first, second = Pair(), Pair()
    assert apart(weights(first), weights(second))
    for number, model in enumerate((first, second)):
        for name in ("first.weight", "second.weight"):
            drawn = 2 * expected(0, name, number, 0.5, (4, 4))
            np.testing.assert_allclose(model.state_dict()[name], drawn, rtol=1e-6)


# ---------------------------------------------------------------- parts and wholes


def test_a_layer_that_becomes_part_of_a_network_is_no_network_of_its_own() -> None:
    layer = nn.Linear(4, 8)
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 2))
    assert equal(weights(model), weights(nn.Sequential(*network_layers(), seed=0)))
    # the number of the layer is free again
    assert equal(weights(nn.Linear(4, 8)), weights(nn.Linear(4, 8, seed=0)))


def network_layers() -> list[nn.Module]:
    return [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)]


def test_a_layer_that_was_used_alone_keeps_its_weights() -> None:
    layer = nn.Linear(4, 8)
    before = layer.weight.numpy()
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 2))
    assert np.array_equal(model[0].weight.numpy(), before)
    assert (nn.Linear(4, 8).weight.numpy() != before).all()


def test_a_shared_encoder_is_counted_with_the_network_that_draws_it_first() -> None:
    def pair() -> tuple[nn.Module, nn.Module]:
        encoder = nn.Linear(4, 3)
        return (
            nn.Sequential(encoder, nn.Linear(3, 4)),
            nn.Sequential(encoder, nn.Linear(3, 2)),
        )

    (coder, classifier), (other, second) = pair(), pair()
    assert coder[0] is classifier[0]
    assert np.array_equal(weights(coder)["0.weight"], weights(classifier)["0.weight"])
    assert apart(weights(coder), weights(other))
    assert apart(weights(classifier), weights(second))


def test_parts_that_come_after_the_constructor() -> None:
    class Grown(nn.Module):
        def __init__(self) -> None:
            self.layers: list[nn.Module] = []

        def forward(self, x: dr.Tensor) -> dr.Tensor:
            for layer in self.layers:
                x = layer(x)
            return x

    models = [Grown(), Grown(), Grown()]
    for model in models:
        model.layers.append(nn.Linear(4, 4))
        model.layers.append(nn.Linear(4, 4))
    drawn = [weights(model) for model in models]
    assert apart(drawn[0], drawn[1]) and apart(drawn[1], drawn[2])
    assert apart({"": drawn[0]["layers.0.weight"]}, {"": drawn[0]["layers.1.weight"]})
    heads = [network() for _ in range(2)]
    for model in heads:
        model.extra = nn.Linear(2, 2)
    assert (heads[0].extra.weight.numpy() != heads[1].extra.weight.numpy()).all()


def test_parameters_declared_at_the_first_call() -> None:
    class Late(nn.Module):
        def forward(self, x: dr.Tensor) -> dr.Tensor:
            if "scale" not in self._own.declared:
                self.declare("scale", (x.shape[-1],), nn.init.normal(1.0))
            return x * self.scale

    one, two = Late(), Late()
    assert (one([1.0, 1.0]).numpy() != two([1.0, 1.0]).numpy()).all()


def test_a_layer_taken_out_of_its_network_keeps_the_number() -> None:
    models = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2)]
    layers = [model[0] for model in models]
    del models
    assert (layers[0].weight.numpy() != layers[1].weight.numpy()).all()


def test_a_slice_keeps_the_weights_and_takes_no_number() -> None:
    model = network()
    part = model[:2]
    assert part[0].weight is model[0].weight
    fresh = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    given = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), seed=0)
    assert equal(weights(fresh), weights(given))


# ---------------------------------------------------------------- copies and files


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deepcopy", "pickle"],
)
@pytest.mark.parametrize("made", [network, Pair, lambda: nn.Linear(4, 8)])
def test_a_copy_has_the_weights_of_the_original(copied: Any, made: Any) -> None:
    made()
    model = made()
    twin = copied(model)
    assert equal(weights(twin), weights(model))


def test_the_number_of_a_copied_layer_is_not_used_again() -> None:
    layer = nn.Linear(4, 8)
    twin = pickle.loads(pickle.dumps(layer))
    nn.Sequential(layer, nn.ReLU())
    assert (nn.Linear(4, 8).weight.numpy() != twin.weight.numpy()).all()


def test_a_teacher_starts_as_its_student() -> None:
    student = [network(), network()][1]
    teacher = copy.deepcopy(student)
    nn.Sequential(student, nn.Softmax())
    assert equal(weights(teacher), weights(student))


def test_a_loaded_model_has_the_weights_of_the_file_and_is_not_counted(
    tmp_path: Path,
) -> None:
    models = [network(), network()]
    models[1].save(tmp_path / "model.safetensors")
    dr.manual_seed(0)
    loaded = dr.load(tmp_path / "model.safetensors")
    assert equal(weights(loaded), weights(models[1]))
    assert equal(weights(network()), weights(models[0]))


def test_numbers_of_pickles_without_one() -> None:
    layer = nn.Linear(4, 8)
    state = layer._own.__getstate__()
    older = {k: v for k, v in state.items() if k not in {"number", "parent", "taken"}}
    made = type(layer._own).__new__(type(layer._own))
    made.__dict__.update(older)
    dr.manual_seed(0)
    object.__setattr__(layer, "_own", made)
    assert equal(weights(layer), weights(nn.Linear(4, 8, seed=0)))


# ---------------------------------------------------------------- seeds


def test_given_seeds_decide_alone() -> None:
    for _ in range(2):
        assert equal(weights(nn.Linear(4, 8, seed=3)), weights(nn.Linear(4, 8, seed=3)))
    one, two = network(), network()
    one.initialize(7)
    two.initialize(7)
    assert equal(weights(one), weights(two))
    one, two = (nn.Sequential(nn.Linear(2, 2, seed=1), nn.Linear(2, 2)) for _ in "ab")
    assert np.array_equal(one[0].weight.numpy(), two[0].weight.numpy())
    assert (one[1].weight.numpy() != two[1].weight.numpy()).all()


def test_initialize_without_a_seed_restores_the_initial_values() -> None:
    for model in (network(), network(), Pair()):
        before = weights(model)
        for parameter in model.parameters():
            parameter.assign(parameter * 0 + 1)
        model.initialize()
        after = weights(model)
        if isinstance(model, Pair):  # its constructor had doubled them
            after = {name: 2 * value for name, value in after.items()}
        assert equal(before, after)
    given = nn.Linear(3, 3, seed=4)
    before = weights(given)
    given.weight.assign(np.ones((3, 3)))
    given.initialize()
    assert equal(weights(given), before)
    given.initialize(5)
    after = weights(given)
    given.initialize()
    assert equal(weights(given), after) and apart(before, after)


def test_a_network_initialized_from_a_seed_gives_its_number_back() -> None:
    network().initialize(9)
    drawn = network()
    drawn.parameters()
    drawn.initialize(9)
    assert equal(weights(network()), weights(nn.Sequential(*network_layers(), seed=0)))


def test_manual_seed_sets_the_default_and_counts_anew() -> None:
    def two() -> list[Values]:
        return [weights(network()), weights(network())]

    zero = two()
    dr.manual_seed(1)
    kept = network()
    one = [weights(kept), weights(network())]
    dr.manual_seed(np.int64(1))
    again = two()
    assert all(equal(a, b) for a, b in zip(one, again, strict=True))
    assert all(apart(a, b) for a in zero for b in one)
    assert equal(one[0], weights(nn.Sequential(*network_layers(), seed=1)))
    assert equal(weights(kept), one[0])
    dr.manual_seed(-1)
    assert apart(weights(network()), one[0])


def test_networks_keep_the_seed_under_which_they_were_built() -> None:
    dr.manual_seed(3)
    models = [network(), network()]
    dr.manual_seed(4)
    network()
    assert equal(weights(models[0]), weights(nn.Sequential(*network_layers(), seed=3)))
    assert apart(weights(models[0]), weights(models[1]))


@pytest.mark.parametrize("seed", [True, 1.5, "0", None, [1]])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ArgumentError, match="manual_seed: expected a whole number"):
        dr.manual_seed(seed)


def test_dropout_does_not_depend_on_the_number() -> None:
    masks = [
        nn.Sequential(nn.Identity(), nn.Dropout(0.5))(
            np.ones(50), mode="training", seed=2
        ).numpy()
        for _ in range(2)
    ]
    assert np.array_equal(*masks)


# ---------------------------------------------------------------- processes and threads

PROGRAM = """
import hashlib
from deltarule import nn, train
import numpy as np
x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
models = [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)) for _ in range(3)]
for model in reversed(models):
    model.fit(x, x, loss="mean_squared_error", epochs=1, device="reference", verbose=0)
bits = b"".join(v.tobytes() for m in models for v in m.state_dict().values())
print(hashlib.sha256(bits).hexdigest())
"""


def test_a_program_gives_the_same_bits_in_every_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1 and len(said.pop().strip()) == 64


def test_first_use_in_threads_or_other_processes_changes_nothing() -> None:
    usual = [weights(network()) for _ in range(8)]
    dr.manual_seed(0)
    models = [network() for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(weights, reversed(models)))[::-1]
    assert all(equal(a, b) for a, b in zip(usual, drawn, strict=True))
    dr.manual_seed(0)
    sent = [pickle.dumps(network()) for _ in range(8)]
    dr.manual_seed(5)  # another process counts for itself
    received = [weights(pickle.loads(one)) for one in sent]
    assert all(equal(a, b) for a, b in zip(usual, received, strict=True))


def test_no_two_threads_take_one_number() -> None:
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: nn.Linear(3, 3), range(400)))
    assert sorted(model._own.number for model in models) == list(range(400))


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork on Windows")
def test_a_forked_process_does_not_wait_for_a_lock_of_its_parent() -> None:
    program = (
        "import os, sys\n"
        "from deltarule import nn\n"
        "from deltarule.nn import numbering\n"
        "with numbering._lock:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        nn.Linear(2, 2).weight.numpy()\n"
        "        os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.stdout == "7\n"


# ---------------------------------------------------------------- what builds networks


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def test_learners_have_seeds_of_their_own(data: Any) -> None:
    x, y = data
    usual = weights(network())
    dr.manual_seed(0)
    learner = MLPClassifier((8,), epochs=2, random_state=0)
    first = learner.fit(x, y).network_.state_dict()
    assert equal(learner.fit(x, y).network_.state_dict(), first)
    other = MLPClassifier((8,), epochs=2, random_state=1).fit(x, y)
    assert apart(
        weights(other.network_), {k: first[k] for k in weights(other.network_)}
    )

    def search() -> np.ndarray:
        found = NetworkSearchCV(learner, {"learning_rate": [1e-2, 1e-1]}, cv=3)
        return found.fit(x, y).cv_results_["mean_test_score"]

    assert np.array_equal(search(), search())
    # neither learners nor searches are counted
    assert equal(weights(network()), usual)


def test_models_that_are_trained_together_start_apart(data: Any) -> None:
    x, y = data

    def trained(together: bool) -> list[Values]:
        dr.manual_seed(0)
        models = [network() for _ in range(3)]
        options = {"loss": "cross_entropy", "epochs": 2}
        if together:
            train.fit_many(models, x, y, **options)
        else:
            for model in models:
                model.fit(x, y, **options, verbose=0)
        return [weights(model) for model in models]

    many, single = trained(together=True), trained(together=False)
    for a, b in zip(many, single, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6)
    assert apart(many[0], many[1]) and apart(many[1], many[2])


@pytest.mark.parametrize(
    "made",
    [
        lambda: generative.dense_autoencoder((8, 6, 2)),
        lambda: generative.dense_autoencoder((8, 6, 2), tied=True),
        lambda: generative.dense_vae((4, 2, 1), 2, (6,)),
        lambda: nn.LSTM(3, 4),
        lambda: nn.MultiHeadAttention(4, 2),
        lambda: nn.TransformerBlock(4, 2, 8),
        lambda: nn.Conv2d(2, 3, kernel_size=3),
        lambda: nn.Embedding(5, 3),
        lambda: nn.MaskedLinear([[1, 0], [1, 1]]),
        lambda: nn.Skip(nn.Linear(3, 3)),
        lambda: nn.Parallel(nn.Linear(3, 2), nn.Linear(3, 2)),
        lambda: nn.Heads(kind=nn.Linear(3, 2), price=nn.Linear(3, 1)),
    ],
)
def test_every_kind_of_network_is_counted(made: Any) -> None:
    first, second = made(), made()
    a, b = weights(first), weights(second)
    assert any((a[name] != b[name]).any() for name in a)
    dr.manual_seed(0)
    assert equal(weights(made()), a) and equal(weights(made()), b)
