"""The contract of explanations of optimisers: whatever can be constructed is explained, and by what it runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pytest

import deltarule as dr
from contracts.test_optimizers import OPTIMIZERS
from deltarule import optim
from deltarule.errors import ArgumentError
from deltarule.explain.results.optimizers import Walk
from deltarule.optim import Optimizer, Stepper
from deltarule.optim.explanation import VARIANTS
from deltarule.optim.recipe import _KINDS
from deltarule.optim.transform import (
    Clock,
    State,
    Tensors,
    Transform,
    cast_scalar,
    each_parameter,
)
from deltarule.render.mathematics import to_text
from deltarule.tensor.functional import tanh
from deltarule.tensor.tensor import Tensor, parameter, tensor

STARTS = {
    "number": 0.5,
    "vector": [1.0, -2.0, 0.25],
    "matrix": [[1.0, 2.0], [3.0, 4.0]],
}
SCHEDULES = [
    optim.Constant(0.1),
    optim.StepDecay(0.1, factor=0.5, every=2),
    optim.ExponentialDecay(0.1, decay=0.5, every=3),
    optim.InverseTimeDecay(0.1, decay=0.5),
    optim.PolynomialDecay(0.1, steps=3),
    optim.CosineDecay(0.1, steps=3),
    optim.Piecewise((0.3, 0.2, 0.1), boundaries=(1, 3)),
    optim.OneCycle(0.1, steps=5),
    optim.WarmUp(optim.CosineDecay(0.2, steps=3), steps=2),
]


def gradients_of(start: Any) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(3)
    return [generator.normal(size=np.shape(start)) for _ in range(5)]


def ran(
    optimizer: Optimizer, start: Any, gradients: Sequence[Any], name: str
) -> list[np.ndarray[Any, Any]]:
    """Return θ after every step of the optimiser itself."""
    theta = parameter(np.array(start, float), name=name)
    stepper = Stepper(optimizer, [theta])
    path = []
    for gradient in gradients:
        stepper.step([tensor(np.array(gradient))])
        path.append(theta.numpy())
    return path


def agree(optimizer: Optimizer, start: Any, name: str = "0.weight") -> Walk:
    gradients = gradients_of(start)
    walk = dr.optimizer_steps(optimizer, start, gradients, name=name)
    wanted = ran(optimizer, start, gradients, name)
    for found, expected in zip(walk.parameters, wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    assert walk.proved, str(walk)
    return walk


def name_for(optimizer: Optimizer) -> str:
    return "0.bias" if isinstance(optimizer, optim.ParamGroups) else "0.weight"


@pytest.mark.parametrize("shape", STARTS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_printed_formulas_take_the_steps_of_the_optimiser(
    kind: str, shape: str
) -> None:
    optimizer = OPTIMIZERS[kind]()
    walk = agree(optimizer, STARTS[shape], name_for(optimizer))
    assert "proved" in str(walk) and walk.latex()


def test_every_recipe_is_among_those_that_are_explained() -> None:
    assert {type(make()).__name__ for make in OPTIMIZERS.values()} == set(_KINDS)


def constructible(kind: type[Optimizer]) -> Iterator[Optimizer]:
    """Yield a recipe for every combination of a class's choices, with and without momentum and decay."""
    hints = get_type_hints(kind)
    choices: dict[str, tuple[Any, ...]] = {}
    for field in fields(kind):
        hint = hints[field.name]
        if hint is bool:
            choices[field.name] = (False, True)
        elif getattr(hint, "__origin__", None) is Literal:
            choices[field.name] = get_args(hint)
        elif field.name in {"momentum", "weight_decay"}:
            choices[field.name] = (0.0, 0.3)
    for values in itertools.product(*choices.values()):
        try:
            yield kind(**dict(zip(choices, values, strict=True)))
        except ArgumentError:
            continue  # Nesterov's momentum without momentum


@pytest.mark.parametrize(
    "name", [name for name, kind in _KINDS.items() if kind.stands_alone]
)
def test_every_choice_of_every_recipe_is_explained(name: str) -> None:
    found = list(constructible(_KINDS[name]))
    assert found
    for recipe in found:
        agree(recipe, 0.5)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_schedules_are_a_line_of_their_own(schedule: optim.Schedule) -> None:
    walk = agree(optim.SGD(learning_rate=schedule, momentum=0.9), 0.5)
    rates = [float(update.value) for update in walk.updates if update.name == "eta"]
    wanted = [schedule.at(step) for step in range(5)]
    if isinstance(schedule, optim.Constant):
        assert not rates and walk.settings["eta"] == 0.1
    else:
        np.testing.assert_allclose(rates, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "recipe",
    [
        optim.EMA(
            inner=optim.GradientAccumulation(inner=optim.AdamW(), every=2), decay=0.5
        ),
        optim.GradientAccumulation(
            inner=optim.EMA(inner=optim.NAdam(), decay=0.5), every=2
        ),
        optim.GradientAccumulation(
            inner=optim.GradientAccumulation(inner=optim.RAdam(), every=2), every=2
        ),
        optim.Proximal(
            inner=optim.GradientAccumulation(inner=optim.SGD(), every=2), strength=0.1
        ),
        optim.EMA(
            inner=optim.SGD(
                momentum=0.9, nesterov=True, nesterov_form="look_ahead", clip_value=0.5
            )
        ),
        optim.ParamGroups(
            groups={
                "*norm*": optim.SGD(),
                "*weight": optim.Proximal(inner=optim.AdaGrad(), strength=0.1),
            },
            clip_norm=1.0,
        ),
    ],
    ids=str,
)
def test_wrapped_recipes_are_explained(recipe: Optimizer) -> None:
    gradients = gradients_of([1.0, 2.0])
    walk = dr.optimizer_steps(recipe, [1.0, 2.0], gradients, name="0.weight")
    assert walk.proved
    if not isinstance(recipe, optim.ParamGroups):
        agree(recipe, [1.0, 2.0])


@dataclass(frozen=True, kw_only=True)
class _Bounded(Optimizer):
    """A rule that no textbook has: d ← κd + tanh(g), θ ← θ − ηd/(1 + t)."""

    kappa: float = 0.5

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        def rule(
            g: Tensor, kept: State, p: Tensor, clock: Clock
        ) -> tuple[Tensor, State]:
            new = kept[0] * self.kappa + tanh(g)
            rate = clock.rate(self.learning_rate) / (clock.count() + 1.0)
            return -(new * cast_scalar(rate, p)), (new,)

        return each_parameter(("d",), rule)


@dataclass(frozen=True, kw_only=True)
class _Difference(Optimizer):
    """A rule that keeps the last gradient, and names nothing."""

    def steps(self, names: Sequence[str] | None = None) -> Transform:
        def update(
            gradients: Tensors, state: State, parameters: Tensors, clock: Clock
        ) -> tuple[list[Tensor], State]:
            pairs = zip(gradients, state, strict=True)
            steps = [(before - g * 2.0) * self.learning_rate for g, before in pairs]
            return steps, tuple(gradients)

        return Transform(lambda parameters: tuple(p * 0.0 for p in parameters), update)


def lines(walk: Walk) -> list[str]:
    return [to_text(update.formula) for update in walk.updates if update.step == 1]


def test_a_new_optimiser_is_explained_without_a_formula() -> None:
    assert lines(agree(_Bounded(), [1.0, 2.0])) == [
        "d ← κd + tanh(g)",
        "θ ← θ − ηd/(t + 1)",
    ]
    walk = dr.optimizer_steps(_Bounded(), 0.0, [1.0], {"kappa": 0.25, "eta": 0.5})
    assert walk.settings == {"eta": 0.5, "kappa": 0.25}
    assert lines(agree(_Difference(), [1.0, 2.0])) == [
        "θ ← θ + η(s₁ − 2g)",
        "s₁ ← g",
    ]


def test_settings_reach_recipes_inside_others() -> None:
    recipe = optim.EMA(inner=optim.Adam(), decay=0.9)
    walk = dr.optimizer_steps(recipe, 1.0, [1.0], {"beta_1": 0.5, "d": 0.25})
    other = optim.EMA(inner=optim.Adam(beta1=0.5), decay=0.25)
    again = dr.optimizer_steps(other, 1.0, [1.0])
    assert str(walk) == str(again)
    with pytest.raises(ArgumentError, match="settings: expected eta"):
        dr.optimizer_steps(recipe, 1.0, [1.0], {"momentum": 0.5})
    with pytest.raises(ArgumentError, match="learning_rate"):
        dr.optimizer_steps("sgd", 1.0, [1.0], {"eta": -0.5})
    with pytest.raises(ArgumentError, match="momentum_subtracted"):
        dr.optimizer_steps("adamm", 1.0, [1.0])


def test_explanations_look_as_in_the_textbook(golden: Any) -> None:
    blocks = [
        str(dr.optimizer_steps(name, 0.5, [1.0])).rpartition("\n")[0]
        for name in VARIANTS
    ]
    for kind, make in OPTIMIZERS.items():
        recipe = make()
        walk = dr.optimizer_steps(
            recipe, [1.0, 2.0], [[1.0, 2.0]], name=name_for(recipe)
        )
        blocks.append("\n".join([kind, *(f"  {line}" for line in lines(walk))]))
    golden("optimizer_rules", "\n\n".join(blocks) + "\n")
