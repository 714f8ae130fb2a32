"""Explanations of optimiser steps, read off the graph of the update with symbols for hyperparameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from deltarule import dtypes, shapes
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.results.optimizers import Rule, Walk
from deltarule.explain.results.optimizers import steps as walk_steps
from deltarule.explain.results.update_lines import Names, Slot, UpdateGraph
from deltarule.graph import build
from deltarule.graph.build.quantity import Quantity
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.optim.adam import Adam, AdamW
from deltarule.optim.adaptive import AdaGrad, RMSProp
from deltarule.optim.gradient_descent import SGD
from deltarule.optim.naming import naming
from deltarule.optim.recipe import Optimizer, ParameterNames, get
from deltarule.optim.schedules import Constant
from deltarule.optim.transform import Clock
from deltarule.shapes import Shape
from deltarule.tensor.explain import run
from deltarule.tensor.tensor import Tensor, tensor
from deltarule.tensor.transforms import evaluate

__all__ = ["optimizer_steps"]

# The symbols of hyperparameters; any other field is shown by its own name.
SYMBOLS: Mapping[str, str] = {
    "learning_rate": "eta",
    "momentum": "alpha",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "weight_decay": "lambda",
    "momentum_decay": "psi",
    "decay": "d",
    "strength": "lambda",
    "clip_value": "c",
    "clip_norm": "c",
}


@dataclass(frozen=True)
class Variant:
    """An optimiser as textbooks present it.

    Attributes:
        title: The title of the explanation.
        optimizer: The optimiser with its hyperparameters.
        note: What distinguishes this variant.
        symbols: Symbols of hyperparameters that differ from ``SYMBOLS``.

    >>> VARIANTS["adam"].title, VARIANTS["adam"].note
    ('Adam', 'ε outside the root')
    """

    title: str
    optimizer: Optimizer
    note: str = ""
    symbols: Mapping[str, str] = field(default_factory=dict)


VARIANTS: Mapping[str, Variant] = {
    "sgd": Variant("gradient descent", SGD(learning_rate=0.1)),
    "weight_decay": Variant(
        "gradient descent with weight decay",
        SGD(learning_rate=0.1, weight_decay=0.1),
        "the step of L + α/2 ‖θ‖²",
        {"weight_decay": "alpha"},
    ),
    "momentum": Variant(
        "momentum",
        SGD(learning_rate=0.1, momentum=0.9),
        "the learning rate inside the velocity",
    ),
    "momentum_subtracted": Variant(
        "momentum, velocity subtracted",
        SGD(learning_rate=0.1, momentum=0.9, velocity="without_rate"),
        "the same θ while η is constant",
        {"momentum": "rho"},
    ),
    "nesterov": Variant(
        "Nesterov momentum in the changed variable",
        SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
        "θ is the look-ahead point; g is taken at θ",
    ),
    "nesterov_look_ahead": Variant(
        "Nesterov momentum",
        SGD(learning_rate=0.1, momentum=0.9, nesterov=True, nesterov_form="look_ahead"),
        "g is taken at φ",
    ),
    "adagrad": Variant(
        "AdaGrad", AdaGrad(learning_rate=0.1, epsilon=1e-8), "ε inside the root"
    ),
    "rmsprop": Variant(
        "RMSProp, ε inside the root", RMSProp(learning_rate=0.1, epsilon=1e-5)
    ),
    "rmsprop_outside": Variant(
        "RMSProp, ε outside the root",
        RMSProp(learning_rate=0.1, epsilon=1e-5, epsilon_place="outside"),
    ),
    "rmsprop_momentum": Variant(
        "RMSProp with momentum",
        RMSProp(learning_rate=0.1, momentum=0.9, epsilon=1e-5),
    ),
    "adam": Variant("Adam", Adam(learning_rate=0.1), "ε outside the root"),
    "adam_uncorrected": Variant(
        "Adam without bias correction",
        Adam(learning_rate=0.1, bias_correction=False),
        "too large first steps",
    ),
    "adam_l2": Variant(
        "Adam with the penalty in the gradient",
        Adam(learning_rate=0.1, weight_decay=0.1),
    ),
    "adamw": Variant(
        "AdamW: decay beside the gradient",
        AdamW(learning_rate=0.1, weight_decay=0.1),
        "Loshchilov and Hutter 2019",
    ),
    "amsgrad": Variant(
        "AMSGrad, maximum of the corrected moment",
        Adam(learning_rate=0.1, amsgrad="corrected"),
        "u is the largest v̂ so far",
    ),
    "amsgrad_raw": Variant(
        "AMSGrad, maximum of the raw moment",
        Adam(learning_rate=0.1, amsgrad="raw"),
        "as PyTorch computes it",
    ),
}


def optimizer_steps(
    optimizer: str | Optimizer,
    theta: Any,
    gradients: Sequence[Any],
    settings: Mapping[str, float] | None = None,
    *,
    name: str = "theta",
) -> Walk:
    """Explain the steps of an optimiser on given numbers: every formula, every intermediate value.

    The formulas are read off the graph that the optimiser runs, so they exist for every
    optimiser of ``optim``, with wrappers and schedules, and for your own.

    Args:
        optimizer: An optimiser, its name, or one of sgd, weight_decay, momentum, momentum_subtracted, nesterov,
            nesterov_look_ahead, adagrad, rmsprop, rmsprop_outside, rmsprop_momentum, adam, adam_uncorrected, adam_l2,
            adamw, amsgrad, amsgrad_raw (with η = 0.1).
        theta: The initial parameter, of any shape.
        gradients: The gradient of each step, each of the shape of ``theta``.
        settings: Other values of hyperparameters, by symbol (``eta``, ``beta_1``).
        name: The parameter's name, for optimisers that depend on it (``ParamGroups``, ``Proximal``).

    Returns:
        The steps: ``parameters`` holds θ after each step, ``print`` shows the formulas.

    Raises:
        ArgumentError: an unknown optimiser or setting.
        ShapeError: a gradient of another shape than ``theta``.

    >>> walk = optimizer_steps("momentum", 0.0, [1, -0.5, 2])
    >>> [round(float(theta), 4) for theta in walk.parameters]
    [-0.1, -0.14, -0.376]
    >>> print(optimizer_steps(SGD(learning_rate=0.5, weight_decay=0.1), 1.0, [1]))
    SGD   η = 0.5, λ = 0.1
    step t = 1
      θ ← θ − η(g + λθ) = 0.45
    proved: these lines compute what the optimiser runs, largest relative error 0
    """
    start, found = _numbers(theta, gradients)
    variant = _variant(optimizer)
    names = ParameterNames([name], frozen=_patterns(variant.optimizer))
    explained = _Explained(variant, start.shape, names)
    if settings:
        recipe = explained.with_settings(settings, _title(variant, optimizer))
        explained = _Explained(replace(variant, optimizer=recipe), start.shape, names)
    rule = Rule(variant.title, explained.values, variant.note)
    first = variant.optimizer.transform(names).init([tensor(start)])
    return walk_steps(explained.update, rule, start, found, evaluate(first), run)


def _numbers(theta: Any, gradients: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return θ and the gradients as arrays of one shape."""
    try:
        start = np.asarray(theta, float)
        found = [np.asarray(gradient, float) for gradient in gradients]
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "optimizer_steps", expected="numbers", got=str(error)
        ) from error
    for gradient in found:
        if gradient.shape != start.shape:
            raise ShapeError(
                "gradient",
                expected=shapes.show(start.shape),
                got=shapes.show(gradient.shape),
            )
    return start, found


def _variant(optimizer: str | Optimizer) -> Variant:
    if isinstance(optimizer, str) and optimizer in VARIANTS:
        return VARIANTS[optimizer]
    try:
        recipe = get(optimizer)
    except ArgumentError as error:
        raise ArgumentError(
            "optimizer",
            expected=f"an optimiser or one of {', '.join(VARIANTS)}",
            got=repr(optimizer),
            hint=error.hint,
        ) from error
    return Variant(_class_names(recipe), recipe)


def _class_names(recipe: Optimizer) -> str:
    inner = getattr(recipe, "inner", None)
    own = type(recipe).__name__
    return f"{own}, {_class_names(inner)}" if isinstance(inner, Optimizer) else own


def _title(variant: Variant, optimizer: str | Optimizer) -> str:
    return optimizer if isinstance(optimizer, str) else variant.title


def _patterns(recipe: object) -> list[str]:
    """Return the patterns of all groups inside an optimiser; they may then match no parameter."""
    found: list[str] = []
    for part in fields(recipe) if isinstance(recipe, Optimizer) else ():
        value = getattr(recipe, part.name)
        if isinstance(value, dict):
            found.extend(value)
            for inner in value.values():
                found.extend(_patterns(inner))
        found.extend(_patterns(value))
    return found


# ---------------------------------------------------------------- the graph of a step


@dataclass
class _Setting:
    """A hyperparameter: its symbol, its value, and the path to its field in the optimiser."""

    symbol: str
    value: float
    path: tuple[str, ...]


class _Explained:
    """The graph of one step of an optimiser for one parameter, with hyperparameters as inputs."""

    def __init__(self, variant: Variant, shape: Shape, names: ParameterNames) -> None:
        self._symbols = {**SYMBOLS, **variant.symbols}
        self._recipe = variant.optimizer
        self._settings: dict[Node, _Setting] = {}
        transform = self._symbolic(self._recipe, ()).transform(names)
        theta, gradient = _input("theta", shape), _input("g", shape)
        step = Tensor(build.input_node("step", (), dtypes.INT64))
        like = Tensor(build.full(shape, 0.0, dtypes.FLOAT64))
        first = self._recipe.transform(names).init([like])
        called = _slot_names(transform.slots, len(first))
        state = tuple(
            _input(slot, value.shape) for slot, value in zip(called, first, strict=True)
        )
        with naming() as marks:
            places = transform.point and transform.point([theta], state, Clock(step))
            (change,), after = transform.update([gradient], state, [theta], Clock(step))
        parameter = Slot("theta", theta.node, (theta + change).node)
        states = tuple(
            Slot(slot, before.node, new.node)
            for slot, before, new in zip(called, state, after, strict=True)
        )
        point = places[0].node if places else None
        roots = [slot.after for slot in (parameter, *states)]
        self._keep(inputs(roots if point is None else [*roots, point]), called)
        settings = {node: setting.symbol for node, setting in self._settings.items()}
        self.update = UpdateGraph(
            parameter, gradient.node, step.node, states, settings, marks, point
        )

    @property
    def values(self) -> dict[str, float]:
        """The values of the hyperparameters that the step uses, by symbol."""
        return {setting.symbol: setting.value for setting in self._settings.values()}

    def with_settings(self, settings: Mapping[str, float], where: str) -> Optimizer:
        """Return the optimiser with other values, by symbol or by the name of the field."""
        recipe = self._recipe
        for given, value in settings.items():
            matching = (
                setting.path
                for setting in self._settings.values()
                if given in (setting.symbol, setting.path[-1])
            )
            path = next(matching, None)
            if path is None:
                raise ArgumentError(
                    f"{where} settings",
                    expected=", ".join(self.values),
                    got=repr(given),
                )
            recipe = _with_value(recipe, path, value)
        return recipe

    def _symbolic(self, recipe: Optimizer, path: tuple[str, ...]) -> Optimizer:
        """Return a copy of the optimiser with an input node in place of every number."""
        twin = copy.copy(recipe)
        for part in fields(recipe):
            value, place = getattr(recipe, part.name), (*path, part.name)
            if not part.init:
                continue  # taken from the inner optimiser, which is handled itself
            if isinstance(value, Optimizer):
                value = self._symbolic(value, place)
            elif isinstance(value, dict):
                value = {
                    key: self._symbolic(inner, (*place, key))
                    for key, inner in value.items()
                }
            elif isinstance(value, (float, Constant)):
                value = value.learning_rate if isinstance(value, Constant) else value
                symbol = self._symbols.get(part.name, part.name)
                node = build.input_node(symbol, (), dtypes.FLOAT64)
                self._settings[node] = _Setting(symbol, value, place)
                value = Quantity(value, node)
            object.__setattr__(twin, part.name, value)
        return twin

    def _keep(self, used: Sequence[Node], taken: Sequence[str]) -> None:
        """Keep the hyperparameters that the step uses, and make their symbols unique."""
        kept = {n: setting for n, setting in self._settings.items() if n in used}
        names = Names(["theta", "g", "t", *taken])
        for setting in kept.values():
            setting.symbol = names.free(setting.symbol)
        self._settings = kept


def _with_value(recipe: Optimizer, path: Sequence[str], value: float) -> Optimizer:
    """Return an optimiser with another value of the field at ``path``."""
    name, *rest = path
    inner: Any = getattr(recipe, name)
    new: Any = value
    if isinstance(inner, dict):
        new = {**inner, rest[0]: _with_value(inner[rest[0]], rest[1:], value)}
    elif rest:
        new = _with_value(inner, rest, value)
    return replace(recipe, **{name: new})


def _slot_names(declared: Sequence[str], count: int) -> list[str]:
    """Return a unique name for each state: the declared ones, or s_1, s_2, s_3."""
    if len(declared) != count:
        declared = [f"s_{i + 1}" for i in range(count)]
    names = Names(["theta", "g", "t"])
    return [names.free(name) for name in declared]


def _input(name: str, shape: Shape) -> Tensor:
    return Tensor(build.input_node(name, shape, dtypes.FLOAT64))


check_calls(__name__)
