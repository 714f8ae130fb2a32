"""Features of extreme size: every learner answers as at scale 1, or says once what to do about the scale."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning

from deltarule import learners
from deltarule.errors import DataError, DataWarning, DivergenceError

R = np.random.default_rng(0)
X = R.normal(size=(60, 4))
LABELS = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int)
X[:, 0] += LABELS
NUMBERS = X @ [1.0, 2.0, -1.0, 0.5]

NETWORK: dict[str, Any] = {"device": "reference", "epochs": 2}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AutoencoderTransformer": {**NETWORK, "hidden_sizes": (4,)},
    "MLPClassifier": NETWORK,
    "MLPRegressor": NETWORK,
    "NetworkClassifier": NETWORK,
    "NetworkRegressor": NETWORK,
    "TSNE": {"max_iter": 30},
    "UMAP": {"n_epochs": 20},
}
INVARIANT = {
    "BaggingClassifier",
    "BaggingRegressor",
    "BernoulliNaiveBayes",
    "FastICA",
    "GaussianClassifier",
    "GaussianNaiveBayes",
    "KNNClassifier",
    "KNNRegressor",
    "LinearRegression",
    "PCA",
    "Perceptron",
}
# steps and initial weights are for features of about 1
TRAINED = {
    "Adaline",
    "AutoencoderTransformer",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
}
# their objective or their inputs have a scale of their own
OTHERS = {
    "CNNClassifier": "images",
    "ElasticNet": "a penalty in units of X",
    "Lasso": "a penalty in units of X",
    "LinearSVM": "a penalty in units of X",
    "LogisticRegression": "a penalty in units of X",
    "MultinomialNaiveBayes": "counts",
    "NetworkSearchCV": "that of its estimator",
    "ParametricUMAP": "layouts differ by rounding",
    "Ridge": "a penalty in units of X",
    "SoftmaxRegression": "a penalty in units of X",
    "TSNE": "layouts differ by rounding",
    "UMAP": "layouts differ by rounding",
}
EXTREME = [-300, -200, -150, -100, 100, 150, 200, 300]
TOLD = r"[Ss]cale|size first|Multiply X|has not converged|made mistakes|learning rate"


def test_every_learner_has_its_place() -> None:
    public = {
        name
        for name in learners.__all__
        if isinstance(kind := getattr(learners, name), type) and hasattr(kind, "fit")
    }
    assert public <= INVARIANT | TRAINED | set(OTHERS)


def answer(name: str, x: Any) -> tuple[Any, list[str]]:
    """Return predictions, or codes, of a learner fitted to x, and what it said; None after an error."""
    kind = getattr(learners, name)
    learner = kind(**ARGUMENTS.get(name, {}))
    if "random_state" in learner.get_params():
        learner.set_params(random_state=0)
    y = NUMBERS if is_regressor(learner) else LABELS
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            learner.fit(x, y)
            supervised = is_classifier(learner) or is_regressor(learner)
            found = learner.predict(x) if supervised else learner.transform(x)
        except (DataError, DivergenceError) as error:
            return None, [str(error)]
    kinds = {w.category for w in told}
    assert kinds <= {DataWarning, ConvergenceWarning}, [str(w.message) for w in told]
    return np.asarray(found), [str(w.message) for w in told]


def same(name: str, found: Any, expected: Any, scale: float) -> bool:
    if expected.dtype.kind in "iu":
        return bool(np.mean(found == expected) >= 0.95)
    if name == "PCA":  # codes are in units of X
        found = found / scale
    return bool(np.allclose(found, expected, atol=1e-5 * np.abs(expected).max()))


@pytest.mark.parametrize("power", EXTREME)
@pytest.mark.parametrize("name", sorted(INVARIANT | TRAINED))
def test_scales_change_nothing_or_are_told(name: str, power: int) -> None:
    scale = float(f"1e{power}")
    found, told = answer(name, X * scale)
    if told:
        assert len(told) == 1
        assert re.search(TOLD, told[0]), told
        return
    assert name not in {"MLPClassifier", "MLPRegressor", "AutoencoderTransformer"}
    expected, _ = answer(name, X)
    assert same(name, found, expected, scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["GaussianClassifier", "GaussianNaiveBayes"])
def test_offsets_leave_what_the_type_holds(name: str, dtype: str) -> None:
    for offset in (1e8, 1e15):
        x = (X * (1e6 if offset == 1e8 else 1e13)).astype(dtype) + np.asarray(
            offset, dtype
        )
        found, told = answer(name, x)
        assert told == []
        assert np.mean(found == answer(name, X)[0]) > 0.9


def test_one_small_feature_is_told() -> None:
    x = X.copy()
    x[:, 1] *= 1e-200
    with pytest.raises(DataError, match=r"differences above 1e-150, .* in column 1"):
        learners.GaussianClassifier().fit(x, LABELS)
    x[:, 1] = 1e-200
    assert learners.GaussianClassifier().fit(x, LABELS).score(x, LABELS) > 0.8


@pytest.mark.parametrize("size", [1e100, 1e8, 1e-8])
def test_networks_say_that_features_need_scaling(size: float) -> None:
    for dtype in ("float32", "float64"):
        if size == 1e100 and dtype == "float32":
            continue
        with pytest.warns(DataWarning, match=r"MLPClassifier X: its largest number is"):
            learners.MLPClassifier(**NETWORK).fit((X * size).astype(dtype), LABELS)
