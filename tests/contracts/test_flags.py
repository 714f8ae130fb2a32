"""The contract of yes/no arguments: everything public that takes one refuses what is neither True nor False."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

import deltarule as dr
from deltarule import data, generative, learners, losses, nn, optim, train
from deltarule.errors import ArgumentError
from deltarule.explain import explanation
from deltarule.explain.exam import exam
from deltarule.flags import flag, flags_of
from deltarule.interop import onnx
from deltarule.interop import torch as exchange
from deltarule.tensor import linalg

ROOMS: list[ModuleType] = [
    dr,
    linalg,
    nn,
    losses,
    optim,
    train,
    data,
    generative,
    onnx,
    exchange,
    exam,
    explanation,
]
WRONG = ["no", "none", "False", "", 1, 0, 0.0, [True], np.array([True, False])]
# Handles and results that users do not make, hooks that the training loop calls, and scikit-learn's own protocol.
UNCHECKED = {
    "Tensor",
    "History",
    "Minimum",
    "VariationalFit",
    "Eigendecomposition",
    "Line",
    "ItemGrade",
    "Sheet",
    "record",
    "Tree.run",
    "Module.run",
    "Callback.on_consistent",
    "Convergence.on_consistent",
    "UseAverages.on_consistent",
    "Checkpoint.on_consistent",
    "Estimator.get_params",
}
# Arguments that a dataclass needs before its own checks are reached.
X = dr.symbol("x", ())
NEEDED: dict[str, dict[str, Any]] = {
    "L2": {"strength": 0.1},
    "CosineDecay": {"learning_rate": 0.1, "steps": 10},
    "Task": {"loss": X * X, "wrt": X},
    "grade": {"loss": X * X, "wrt": X, "answer": "2x"},
}


def _flags(function: Callable[..., Any]) -> list[str]:
    try:
        return list(flags_of(function))
    except (TypeError, ValueError):
        return []


def _public(room: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in getattr(
        room, "__all__", [name for name in vars(room) if not name.startswith("_")]
    ):
        found = getattr(room, name)
        if callable(found) and getattr(found, "__module__", "").startswith("deltarule"):
            yield name, found


def _takers() -> Iterator[tuple[str, Any, str, bool]]:
    """Yield (name, callable, flag, whether it is a dataclass) of everything public, methods too."""
    for room in ROOMS:
        for name, found in _public(room):
            if inspect.isclass(found) and issubclass(found, BaseEstimator):
                continue  # they follow scikit-learn: ``fit`` checks
            if inspect.isclass(found):
                yield from (
                    (name, found, key, dataclasses.is_dataclass(found))
                    for key in _flags(found.__init__)
                )
                for _, method in inspect.getmembers(found, inspect.isfunction):
                    if method.__name__[0] != "_" and method.__module__.startswith(
                        "deltarule"
                    ):
                        yield from (
                            (method.__qualname__, method, key, False)
                            for key in _flags(method)
                        )
            else:
                yield from ((name, found, key, False) for key in _flags(found))


def _known() -> dict[str, tuple[Any, str, bool]]:
    found = {
        f"{name}-{key}": (taker, key, fields) for name, taker, key, fields in _takers()
    }
    return {
        name: case
        for name, case in found.items()
        if name.rpartition("-")[0] not in UNCHECKED
    }


CASES = _known()


def test_there_are_many_to_check() -> None:
    assert len(CASES) > 80
    for expected in (
        "Linear-bias",
        "MultiHeadAttention-causal",
        "SGD-nesterov",
        "Reductions.sum-keepdims",
        "L2-half",
        "CrossEntropy-from_logits",
        "EarlyStopping-restore_best",
        "KFold-shuffle",
    ):
        assert expected in CASES


@pytest.mark.parametrize("name", CASES)
def test_yes_no_arguments_are_checked(name: str) -> None:
    taker, key, fields = CASES[name]
    arguments = NEEDED.get(taker.__name__, {})
    optional = (
        not fields
        and flags_of(taker.__init__ if inspect.isclass(taker) else taker)[key][1]
    )
    for wrong in [*WRONG, *([] if optional else [None])]:
        with pytest.raises(ArgumentError, match=rf"{key}: expected True or False, got"):
            taker(**arguments, **{key: wrong})


def test_numpy_answers_are_taken_and_become_pythons() -> None:
    assert flag(np.True_, "x") is True
    assert nn.LSTM(2, 3, reverse=np.bool_(True)).arguments()["reverse"] is True  # type: ignore[index]
    assert optim.SGD(nesterov=np.bool_(False)).nesterov is False
    assert losses.CrossEntropy().reduction == "mean"


@pytest.mark.parametrize("wrong", ["none", "no", 1])
def test_flags_that_may_be_lists_are_checked_too(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="True or False"):
        nn.MaskedLinear([[1, 1], [0, 1]], wrong)
    with pytest.raises(ArgumentError, match="True or False"):
        nn.MaskedLinear([[1, 1], [0, 1]], [True, wrong])
    with pytest.raises(ArgumentError, match="True or False"):
        nn.P(2, 2, 1, biases=wrong)
    with pytest.raises(ArgumentError, match="True or False"):
        nn.GeneralNetwork([["n"], ["o"]], [("n", "o")], nn.ReLU(), biases=wrong)


def test_a_module_of_ones_own_is_not_checked() -> None:
    class Mine(nn.Module):
        def __init__(self, wide: bool = False) -> None:
            self.width = 4 if wide else 2

    assert Mine(wide=1).width == 4  # type: ignore[arg-type]  # the author's own business


def _estimators() -> Iterator[tuple[str, Any]]:
    for room in (learners, generative):
        yield from (
            (name, found)
            for name in room.__all__
            if hasattr(found := getattr(room, name), "get_params")
        )


def _learner_flags() -> Iterator[tuple[str, str]]:
    for name, found in _estimators():
        if (
            inspect.isclass(found)
            and hasattr(found, "fit")
            and name != "NetworkSearchCV"
        ):  # as in scikit-learn
            yield from ((name, key) for key in _flags(found.__init__))


@pytest.mark.parametrize(("name", "key"), list(_learner_flags()))
def test_learners_check_their_yes_no_arguments_in_fit(name: str, key: str) -> None:
    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, 3)), np.arange(40) % 2
    learner = dict(_estimators())[name](**{key: "no"})
    with pytest.raises((ArgumentError, InvalidParameterError), match=key):
        learner.fit(X, y)
