"""The contract of every learner: scikit-learn's own checks, with no expected failure."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sklearn.base import BaseEstimator

from deltarule import generative, learners
from support.estimator_checks import with_checks

_QUICK: dict[
    str, dict[str, Any]
] = {  # the same checks in less time: no compiler, fewer and larger steps
    "AutoencoderTransformer": {
        "device": "reference",
        "hidden_sizes": (8,),
        "epochs": 5,
    },
    "CNNClassifier": {
        "device": "reference",
        "channels": (4,),
        "hidden_sizes": (8,),
        "learning_rate": 0.02,
    },
    "MLPClassifier": {
        "device": "reference",
        "hidden_sizes": (16,),
        "epochs": 30,
        "learning_rate": 0.02,
    },
    "MLPRegressor": {
        "device": "reference",
        "hidden_sizes": (16,),
        "epochs": 30,
        "learning_rate": 0.02,
    },
    "NetworkClassifier": {"device": "reference", "epochs": 60, "learning_rate": 0.2},
    "NetworkSearchCV": {
        "cv": 2,
        "estimator": learners.MLPClassifier(
            (16,), device="reference", epochs=30, learning_rate=0.02, random_state=0
        ),
    },
    "ParametricUMAP": {
        "device": "reference",
        "hidden_sizes": (8,),
        "epochs": 2,
        "n_neighbors": 5,
    },
    "TSNE": {"max_iter": 30},
    "UMAP": {"n_epochs": 20},
    "NetworkRegressor": {"device": "reference", "epochs": 30, "learning_rate": 0.05},
}


def _estimators(package: Any) -> Iterator[type[BaseEstimator]]:
    """Yield every class of a package that follows scikit-learn's convention and is meant for use (final)."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for kind in vars(importlib.import_module(found.name)).values():
            own = (
                isinstance(kind, type)
                and issubclass(kind, BaseEstimator)
                and kind.__module__ == found.name
            )
            base = own and (
                kind.__name__.startswith("_") or bool(kind.__subclasses__())
            )
            if own and (getattr(kind, "__final__", False) or not base):
                yield kind


KINDS = [kind for package in (learners, generative) for kind in _estimators(package)]


def test_every_estimator_is_public() -> None:
    public = {*learners.__all__, *generative.__all__}
    assert {kind.__name__ for kind in KINDS} <= public
    exported = {
        name
        for package in (learners, generative)
        for name in package.__all__
        if isinstance(kind := getattr(package, name), type)
        and issubclass(kind, BaseEstimator)
    }
    assert exported == {kind.__name__ for kind in KINDS} and len(exported) >= 28
    assert set(_QUICK) <= exported


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@with_checks([kind(**_QUICK.get(kind.__name__, {})) for kind in KINDS])
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


DEFAULTS = [
    getattr(learners, kind.__name__)()
    for kind in KINDS
    if kind.__name__ in learners.__all__
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@with_checks(DEFAULTS)
def test_scikit_learns_checks_at_the_defaults(
    estimator: Any, check: Callable[[Any], None]
) -> None:
    check(estimator)
