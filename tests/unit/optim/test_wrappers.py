"""Parameter groups, accumulated gradients, averaged weights, proximal steps, clipping, the stepper."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import optim
from deltarule.errors import ArgumentError
from deltarule.optim import (
    EMA,
    SGD,
    Adam,
    GradientAccumulation,
    ParamGroups,
    Proximal,
    Stepper,
)
from deltarule.tensor.tensor import parameter, tensor


def _gradients(n: int, shape: tuple[int, ...] = (3,)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).normal(size=(n, *shape))


def _follow(
    optimizer: optim.Optimizer,
    gradients: np.ndarray[Any, Any],
    start: np.ndarray[Any, Any],
) -> Stepper:
    stepper = Stepper(optimizer, [parameter(start, name="0.weight")])
    for g in gradients:
        stepper.step([tensor(g)])
    return stepper


def test_accumulated_steps_are_steps_of_mean_gradients() -> None:
    gradients, start = _gradients(12), np.ones(3)
    schedule = optim.ExponentialDecay(0.1, decay=0.5)
    accumulated = _follow(
        GradientAccumulation(inner=Adam(learning_rate=schedule), every=4),
        gradients,
        start,
    )
    plain = _follow(
        Adam(learning_rate=schedule), gradients.reshape(3, 4, 3).mean(axis=1), start
    )
    np.testing.assert_allclose(
        accumulated.parameters[0].numpy(), plain.parameters[0].numpy(), atol=1e-14
    )
    unfinished = _follow(
        GradientAccumulation(inner=Adam(learning_rate=schedule), every=4),
        gradients[:11],
        start,
    )
    two = _follow(
        Adam(learning_rate=schedule), gradients.reshape(3, 4, 3).mean(axis=1)[:2], start
    )
    np.testing.assert_array_equal(
        unfinished.parameters[0].numpy(), two.parameters[0].numpy()
    )


@pytest.mark.notes("X-14", "OPT-33")
def test_averages_follow_the_weights() -> None:
    gradients, start = _gradients(6), np.ones(3)
    recipe = EMA(inner=SGD(learning_rate=0.1, momentum=0.5), decay=0.8)
    stepper = Stepper(recipe, [parameter(start)])
    mean = start
    for g in gradients:
        stepper.step([tensor(g)])
        mean = 0.8 * mean + 0.2 * stepper.parameters[0].numpy()
    np.testing.assert_allclose(
        recipe.averages(stepper.state, 1)[0].numpy(), mean, atol=1e-14
    )
    plain = _follow(SGD(learning_rate=0.1, momentum=0.5), gradients, start)
    np.testing.assert_allclose(
        stepper.parameters[0].numpy(), plain.parameters[0].numpy(), atol=1e-15
    )


def test_groups_hand_each_parameter_to_its_own_recipe() -> None:
    recipe = ParamGroups(
        groups={
            "head.*": Adam(learning_rate=0.1),
            "*bias": SGD(learning_rate=0.5, momentum=0.9),
        },
        default=SGD(learning_rate=0.01),
    )
    names = ["head.bias", "body.bias", "body.weight"]
    parameters = [parameter(np.ones(3), name=name) for name in names]
    stepper = Stepper(recipe, parameters)
    gradients = _gradients(5)
    for g in gradients:
        stepper.step([tensor(g)] * 3)
    alone = [
        _follow(r, gradients, np.ones(3)).parameters[0].numpy()
        for r in (
            Adam(learning_rate=0.1),
            SGD(learning_rate=0.5, momentum=0.9),
            SGD(learning_rate=0.01),
        )
    ]
    for mine, wanted in zip(parameters, alone, strict=True):
        np.testing.assert_allclose(mine.numpy(), wanted, atol=1e-15)
    assert recipe.learning_rate == 0.01


def test_groups_refuse_patterns_that_match_nothing_and_missing_names() -> None:
    recipe = ParamGroups(groups={"haed.*": SGD()})
    with pytest.raises(
        ArgumentError, match=r"patterns that match one of head.weight, got 'haed.\*'"
    ):
        recipe.transform(["head.weight"])
    with pytest.raises(ArgumentError, match="names"):
        recipe.transform()


@pytest.mark.notes("C-REG-04", "REG-08", "REG-09")
def test_proximal_steps_find_the_sparse_minimum() -> None:
    c = np.array([3.0, 0.5, -0.2])
    w = parameter(np.ones(3), name="0.weight")
    stepper = Stepper(Proximal(inner=SGD(learning_rate=0.5), strength=1.0), [w])
    for _ in range(60):
        stepper.step([w.detach() - tensor(c)])
    np.testing.assert_allclose(w.numpy(), (2.0, 0.0, 0.0), atol=1e-12)
    assert np.count_nonzero(w.numpy()) == 1
    subgradient = parameter(np.ones(3), name="0.weight")
    plain = Stepper(SGD(learning_rate=0.5), [subgradient])
    for _ in range(60):
        plain.step([subgradient.detach() - tensor(c) + dr.sign(subgradient.detach())])
    assert (
        np.count_nonzero(subgradient.numpy()) == 3
    )  # hovers about 0 without reaching it


def test_proximal_steps_leave_other_parameters_alone() -> None:
    parameters = [
        parameter(np.full(2, 0.05), name=name) for name in ("0.weight", "0.bias")
    ]
    stepper = Stepper(Proximal(inner=SGD(learning_rate=0.1), strength=1.0), parameters)
    stepper.step([tensor(np.zeros(2))] * 2)
    np.testing.assert_array_equal(parameters[0].numpy(), np.zeros(2))
    np.testing.assert_array_equal(parameters[1].numpy(), np.full(2, 0.05))


def test_look_ahead_passes_through_wrappers() -> None:
    ahead = SGD(
        learning_rate=0.05, momentum=0.9, nesterov=True, nesterov_form="look_ahead"
    )

    def bowl(x: dr.Tensor) -> dr.Tensor:
        return (x * x * tensor(np.array([1.0, 10.0]))).sum() * 0.5

    wanted = optim.minimize(bowl, [1.0, 1.0], ahead, steps=6).path
    for recipe in (
        EMA(inner=ahead),
        ParamGroups(default=ahead),
        GradientAccumulation(inner=ahead, every=1),
    ):
        np.testing.assert_allclose(
            optim.minimize(bowl, [1.0, 1.0], recipe, steps=6).path, wanted, atol=1e-14
        )
    with pytest.raises(ArgumentError, match="gradient point"):
        optim.chain(ahead.transform(), ahead.transform())


def test_clipping_limits_values_first_and_then_the_norm() -> None:
    stepper = Stepper(
        SGD(learning_rate=1.0, clip_value=4.0, clip_norm=2.5),
        [parameter(np.zeros(2)), parameter(np.zeros(1))],
    )
    stepper.step([tensor(np.array([100.0, 0.0])), tensor(np.array([-3.0]))])
    np.testing.assert_allclose(
        stepper.parameters[0].numpy(), (-2.0, 0.0), atol=1e-12
    )  # (4, 0, −3) has the norm 5
    np.testing.assert_allclose(stepper.parameters[1].numpy(), (1.5,), atol=1e-12)


def test_clipping_leaves_small_and_zero_gradients_as_they_are() -> None:
    clip = optim.clip_by_global_norm(5.0)
    for g in (np.array([3.0, 0.5]), np.zeros(2)):
        (same,), state = clip.update(
            [tensor(g)], (), [tensor(g)], optim.Clock(tensor(0))
        )
        np.testing.assert_array_equal(same.numpy(), g)
        assert state == ()


def test_stepper_takes_gradients_from_backward_and_drops_them() -> None:
    w = parameter(np.array([2.0, -1.0]), name="w")
    stepper = Stepper("sgd", [w])
    (w * w).sum().backward()
    stepper.step()
    np.testing.assert_allclose(
        w.numpy(), (2.0 - 0.01 * 4.0, -1.0 + 0.01 * 2.0), atol=1e-15
    )
    assert w.grad is None
    with pytest.raises(
        ArgumentError, match=r"a gradient of every parameter, got none for w"
    ):
        stepper.step()


def test_steps_of_a_loop_do_not_grow_a_graph() -> None:
    w = parameter(np.ones(2), name="w")
    stepper = Stepper(Adam(learning_rate=0.1), [w])
    for _ in range(5):
        (w * w).sum().backward()
        stepper.step()
        assert not w.node.sources
        assert all(not t.node.sources for t in stepper.state)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Accumulated", "GradientAccumulation"),
        ("Averaged", "EMA"),
        ("Groups", "ParamGroups"),
    ],
)
def test_names_of_earlier_releases_work_and_warn(old: str, new: str) -> None:
    recipe = getattr(optim, new)()
    with pytest.warns(
        DeprecationWarning, match=f"deltarule.optim.{old} is now deltarule.optim.{new}"
    ):
        assert getattr(optim, old) is type(recipe)
    assert optim.from_config({**recipe.config(), "optimizer": old}) == recipe
    outer = Proximal(inner=recipe).config()
    assert optim.from_config(
        {**outer, "inner": {**recipe.config(), "optimizer": old}}
    ) == Proximal(inner=recipe)
    pickled = pickle.dumps(recipe, protocol=0)
    as_before = pickled.replace(f"\n{new}\n".encode(), f"\n{old}\n".encode())
    assert as_before != pickled
    with pytest.warns(DeprecationWarning, match=f"{old} is now deltarule.optim.*{new}"):
        assert pickle.loads(as_before) == recipe
    with pytest.raises(AttributeError, match="no attribute 'NoSuchOptimizer'"):
        _ = optim.NoSuchOptimizer
