"""The contract of every learner: scikit-learn's own checks, with no expected failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from deltarule import learners

_QUICK: dict[str, dict[str, Any]] = {  # the same checks in less time: no compiler, fewer and larger steps
    "AutoencoderTransformer": {"device": "reference", "hidden_sizes": (8,), "epochs": 5},
    "CNNClassifier": {"device": "reference", "channels": (4,), "hidden_sizes": (8,), "learning_rate": 0.02},
    "MLPClassifier": {"device": "reference", "hidden_sizes": (16,), "epochs": 30, "learning_rate": 0.02},
    "MLPRegressor": {"device": "reference", "hidden_sizes": (16,), "epochs": 30, "learning_rate": 0.02},
    "NetworkClassifier": {"device": "reference", "epochs": 60, "learning_rate": 0.2},
    "TSNE": {"max_iter": 30},
    "UMAP": {"n_epochs": 20},
    "NetworkRegressor": {"device": "reference", "epochs": 30, "learning_rate": 0.05},
}
KINDS = [kind for name in learners.__all__ if isinstance(kind := getattr(learners, name), type)]
LEARNERS = [kind(**_QUICK.get(kind.__name__, {})) for kind in KINDS if issubclass(kind, BaseEstimator)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(LEARNERS)
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
