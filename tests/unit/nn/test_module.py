"""Modules: what is found by attribute, freezing, state dictionaries, modes, hooks, copies."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError, ShapeError


class Tree(nn.Module):
    """Modules and tensors in every place where they are looked for."""

    def __init__(self) -> None:
        self.first = nn.Linear(3, 3)
        self.blocks = [nn.Linear(3, 3), (nn.Linear(3, 3, bias=False),)]
        self.heads = {"colour": nn.Linear(3, 2), "shape": nn.Linear(3, 4)}
        self.scale = dr.parameter(np.ones(3, np.float32))
        self.offset = dr.tensor(np.zeros(3, np.float32))
        self._cache = dr.tensor(np.zeros(7, np.float32))
        self.again = self.first
        self.width = 3

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        for block in (self.first, self.blocks[0], self.blocks[1][0], self.again):
            x = nn.tanh(block(x)) * self.scale + self.offset
        return self.heads["colour"](x)


NAMES = [
    "scale",
    "first.weight",
    "first.bias",
    "blocks.0.weight",
    "blocks.0.bias",
    "blocks.1.0.weight",
    "heads.colour.weight",
    "heads.colour.bias",
    "heads.shape.weight",
    "heads.shape.bias",
]


def test_parameters_and_state_are_found_once_by_name() -> None:
    tree = Tree()
    assert [name for name, _ in tree.named_parameters()] == NAMES
    assert [name for name, _ in tree.named_state()] == ["offset"]
    assert set(tree.state_dict()) == {*NAMES, "offset"}
    assert tree.n_parameters == 3 + 12 + 12 + 9 + 8 + 16
    assert tree.depth == 5
    assert [name for name, _ in tree.named_modules()][:2] == ["", "first"]


def test_counting_draws_nothing_and_agrees_afterwards() -> None:
    tree = Tree()
    before = tree.n_parameters
    assert tree.first._own.pending == {"weight", "bias"}
    tree.parameters()
    assert tree.first._own.pending == set()
    assert tree.n_parameters == before


@pytest.mark.notes("NN-11")
def test_a_tied_weight_is_one_parameter_and_its_gradients_add() -> None:
    encoder, decoder = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    decoder.weight = encoder.weight
    model = nn.Sequential(encoder, decoder).astype("float64")
    assert model[0].weight is model[1].weight
    assert model.n_parameters == 9
    (weight,) = model.parameters()
    x = np.array([1.0, -2.0, 0.5])
    slope = dr.grad(
        (model(x) * dr.tensor(np.array([1.0, 2.0, 3.0]))).sum(), weight
    ).numpy()
    w, v = weight.numpy(), np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        slope, np.outer(v, w @ x) + np.outer(w.T @ v, x), rtol=1e-12
    )


def test_freezing_by_name_module_and_pattern() -> None:
    def left(*patterns: str) -> list[str]:
        tree = Tree()
        tree.freeze(*patterns)
        return [name for name, _ in tree.named_parameters()]

    assert left() == []
    assert left("first.weight") == [name for name in NAMES if name != "first.weight"]
    assert left("heads") == NAMES[:6]
    assert left("blocks.1", "heads.*") == NAMES[:5]
    assert left("*.bias") == [name for name in NAMES if not name.endswith("bias")]
    with pytest.raises(ArgumentError, match=r"Did you mean 'heads.colour'"):
        left("heads.color")


def test_freezing_a_part_is_seen_by_the_whole_and_can_be_undone() -> None:
    tree = Tree()
    tree.first.freeze("bias")
    assert "first.bias" not in dict(tree.named_parameters())
    tree.unfreeze("first")
    assert [name for name, _ in tree.named_parameters()] == NAMES


def test_load_state_dict_tells_all_misfits_at_once_and_changes_nothing() -> None:
    tree = Tree()
    before = tree.state_dict()
    bad = {name: value + 1 for name, value in before.items()}
    bad["first.wieght"] = bad.pop("first.weight")
    bad["heads.shape.weight"] = bad["heads.shape.weight"].T
    with pytest.raises(ArgumentError) as caught:
        tree.load_state_dict(bad)
    text = str(caught.value)
    assert "1 missing, 1 unexpected, 1 of a wrong shape" in text
    assert "missing     first.weight (3, 3)" in text
    assert "unexpected  first.wieght (3, 3) — first.weight?" in text
    assert "heads.shape.weight: the Tree has (4, 3), given (3, 4) (transposed?)" in text
    for name, value in tree.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(
        ArgumentError, match="0 missing, 0 unexpected, 1 of a wrong shape"
    ):
        tree.load_state_dict(bad, strict=False)


def test_load_state_dict_not_strict_takes_what_fits() -> None:
    tree = Tree()
    tree.load_state_dict({"scale": np.full(3, 2.0), "other": np.zeros(2)}, strict=False)
    assert tree.scale.tolist() == [2.0, 2.0, 2.0]


def test_a_deep_copy_shares_nothing() -> None:
    tree = Tree()
    tree.freeze("first")
    twin = copy.deepcopy(tree)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(twin(x).numpy(), tree(x).numpy())
    assert twin.again is twin.first
    assert [name for name, _ in twin.named_parameters()] == [
        name for name, _ in tree.named_parameters()
    ]
    twin.scale.assign(np.zeros(3))
    twin.unfreeze()
    assert tree.scale.tolist() == [1.0, 1.0, 1.0]
    assert "first.weight" not in dict(tree.named_parameters())


def test_astype_converts_parameters_and_state_and_keeps_sharing() -> None:
    tree = Tree().astype("float64")
    assert {item.dtype.name for _, item in tree.named_tensors()} == {"float64"}
    assert tree.again.weight is tree.first.weight
    assert tree(np.ones((2, 3))).dtype.name == "float64"


class Probe(nn.Module):
    """Returns 1 in training, 0 in inference."""

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        context = nn.context.current()
        assert context is not None
        return x * 0 + float(context.mode == "training")


class Mixed(nn.Module):
    def __init__(self) -> None:
        self.backbone, self.head = Probe(), Probe()

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        return dr.stack([self.backbone(x, mode="inference"), self.head(x)])


def test_mode_travels_with_the_call_and_a_part_may_be_held_in_inference() -> None:
    assert Mixed()(np.float32(3.0)).tolist() == [0.0, 0.0]
    assert Mixed()(np.float32(3.0), mode="training").tolist() == [0.0, 1.0]
    with pytest.raises(ArgumentError, match="'training' or 'inference'"):
        Mixed()(np.float32(3.0), mode="train")


def test_the_mode_is_reset_after_an_error() -> None:
    with pytest.raises(ShapeError):
        nn.Linear(3, 2)(np.zeros(4, np.float32), mode="training")
    assert nn.context.current() is None
    assert Probe()(np.float32(1.0)).item() == 0.0


def test_dropout_needs_a_seed_and_draws_by_seed_step_and_place() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    x = np.ones((8, 16), np.float32)
    with pytest.raises(ArgumentError, match="random numbers of Dropout"):
        model(x, mode="training")
    same = [model(x, mode="training", seed=1, step=4).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(
        same[0], model(x, mode="training", seed=1, step=5).numpy()
    )
    assert not np.array_equal(
        same[0], model(x, mode="training", seed=2, step=4).numpy()
    )
    shared = nn.Dropout(0.5)
    twice = nn.Parallel(shared, shared, join="concatenate")(
        x, mode="training", seed=1
    ).numpy()
    assert not np.array_equal(twice[:, :16], twice[:, 16:])


def test_dropout_is_another_pattern_in_every_step_of_a_compiled_function() -> None:
    layer = nn.Dropout(0.5)

    @dr.jit
    def step(x: dr.Tensor, seed: dr.Tensor, number: dr.Tensor) -> dr.Tensor:
        return layer(x, mode="training", seed=seed, step=number)

    x, seed = dr.ones((64,)), dr.tensor(np.int64(3))
    first, second = (step(x, seed, dr.tensor(np.int64(i))).numpy() for i in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(
        first, layer(x, mode="training", seed=3, step=0).numpy()
    )


def test_running_statistics_change_by_training_calls_alone() -> None:
    layer = nn.BatchNorm(2)
    x = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    layer(x)
    assert layer.running_mean.tolist() == [0.0, 0.0]
    applied = layer.apply(dr.tensor(x), mode="training")
    assert layer.running_mean.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(
        applied.state["running_mean"].numpy(), [0.2, 0.4], rtol=1e-6
    )
    layer(x, mode="training")
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.2, 0.4], rtol=1e-6)
    layer(dr.symbol("x", ("N", 2)), mode="training")
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.2, 0.4], rtol=1e-6)


def test_a_shared_batch_norm_moves_its_averages_twice() -> None:
    layer = nn.BatchNorm(1, scale_and_shift=False)
    nn.Parallel(layer, layer)(np.array([[0.0], [2.0]], np.float32), mode="training")
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.1 + 0.09], rtol=1e-6)


def test_running_statistics_under_jit() -> None:
    layer = nn.BatchNorm(1)

    @dr.jit
    def step(x: dr.Tensor) -> dr.Tensor:
        return layer(x, mode="training")

    for _ in range(2):
        step(np.array([[0.0], [2.0]], np.float32))
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.19], rtol=1e-6)


def test_a_frozen_batch_norm_keeps_its_averages() -> None:
    layer = nn.BatchNorm(2)
    layer.freeze()
    x = dr.tensor(np.random.default_rng(0).normal(size=(5, 2)))
    applied = layer.apply(x, mode="training")
    assert applied.state == {}
    np.testing.assert_array_equal(applied.output.numpy(), layer(x).numpy())


def test_batch_norm_refuses_a_batch_without_variance() -> None:
    with pytest.raises(ShapeError, match="more than one value per channel"):
        nn.BatchNorm(2)(np.zeros((1, 2), np.float32), mode="training")
    assert nn.BatchNorm(2)(
        np.zeros((1, 3, 3, 2), np.float32), mode="training"
    ).shape == (1, 3, 3, 2)


@pytest.mark.notes("NN-08", "NN-19", "NN-20")
def test_hidden_features_by_name() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    found = model.hidden_features(x)
    assert list(found) == ["0", "1", "2"]
    signals = x @ model[0].weight.numpy().T
    np.testing.assert_allclose(found["0"].numpy(), signals, rtol=1e-5)
    np.testing.assert_allclose(found["1"].numpy(), np.maximum(signals, 0), rtol=1e-5)
    assert list(model.hidden_features(x, "1")) == ["1"]
    with pytest.raises(ArgumentError, match="'7'"):
        model.hidden_features(x, "7")
    shared = nn.ReLU()
    assert list(
        nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared).hidden_features(
            x
        )
    ) == ["0", "1", "2", "1#2"]


class Sparse(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Linear(2, 2)

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        hidden = self.inner(x)
        nn.add_penalty((hidden * hidden).sum())
        return hidden


def test_penalties_are_handed_to_the_training_loop() -> None:
    model, x = Sparse(), np.ones((3, 2), np.float32)
    (penalty,) = model.apply(x, mode="training").penalties
    np.testing.assert_allclose(
        penalty.numpy(), (model(x).numpy() ** 2).sum(), rtol=1e-6
    )


def test_a_module_without_forward_and_a_direct_call_of_forward_say_what_to_do() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(ArgumentError, match=r"forward\(self, x\)"):
        Empty()(1.0)
    with pytest.raises(ArgumentError, match=r"layer\(x\), not layer.forward\(x\)"):
        nn.Dropout(0.5).forward(dr.ones((2,)))
    with pytest.raises(AttributeError, match="Linear has no attribute 'wieght'"):
        _ = nn.Linear(1, 1).wieght


def test_sequential_by_number_name_and_slice() -> None:
    model = nn.Sequential(nn.Linear(2, 3), act=nn.ReLU(), head=nn.Linear(3, 1))
    assert model.head is model["head"] is model[-1] is model[2]
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]
    x = np.ones((1, 2), np.float32)
    features = model[:2]
    np.testing.assert_array_equal(
        features(x).numpy(), model.hidden_features(x, "act")["act"].numpy()
    )
    assert features[0] is model[0]
    with pytest.raises(IndexError):
        _ = model[5]
    with pytest.raises(ArgumentError, match="one of 0, act, head"):
        _ = model["tail"]
    with pytest.raises(ArgumentError, match=r"Write nn.ReLU\(\)"):
        nn.Sequential(nn.relu)
    with pytest.raises(ArgumentError, match="names that no method has"):
        nn.Sequential(fit=nn.ReLU())


def test_the_repr_shows_the_tree() -> None:
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU()), head=nn.Dropout(0.25)
    )
    assert repr(model) == (
        "Sequential(\n  0: Sequential(\n    0: Conv2d(1→2, 3×3, stride 2)\n    1: ReLU\n  )\n  head: Dropout(0.25)\n)"
    )


def test_arguments_outside_their_domain_are_refused() -> None:
    for make in (
        lambda: nn.Linear(0, 2),
        lambda: nn.Linear(2, 2.5),
        lambda: nn.Dropout(1.01),
        lambda: nn.Dropout(-0.1),
        lambda: nn.Conv2d(3, 4, 3, groups=2),
        lambda: nn.Conv2d(3, 4, 0),
        lambda: nn.Conv2d(3, 4, 3, padding="full"),
        lambda: nn.MaxPool2d(2, padding=2),
        lambda: nn.BatchNorm(2, momentum=1.5),
        lambda: nn.BatchNorm(2, epsilon=-1),
        lambda: nn.BatchNorm(2, momentum_weighs="both"),
        lambda: nn.Linear(2, 2, init="magic"),
        lambda: nn.Parallel(),
        lambda: nn.Function(3),
        lambda: nn.LayerNorm(0),
        lambda: nn.PReLU(0),
    ):
        with pytest.raises(ArgumentError):
            make()
