"""The search over networks is ``GridSearchCV``: the same candidates, tables, choices and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid, ParameterSampler

from deltarule.errors import ArgumentError, DivergenceError
from deltarule.learners import (
    CNNClassifier,
    MLPClassifier,
    MLPRegressor,
    NetworkSearchCV,
)
from deltarule.learners.model_selection.candidates import candidates_of

X, Y = load_iris(return_X_y=True)
LEARNER = MLPClassifier(
    (4,), epochs=3, learning_rate=0.02, random_state=0, device="reference"
)
TIMES = ("fit_time", "score_time")


def _same_tables(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs) and ours["params"] == theirs["params"]
    for name, column in theirs.items():
        if name.endswith(TIMES) or name == "params":
            continue
        if name.startswith("param_"):
            assert (
                ours[name].dtype == column.dtype
                and ours[name].tolist() == column.tolist()
            )
            np.testing.assert_array_equal(ours[name].mask, column.mask)
        else:
            np.testing.assert_allclose(ours[name], column, rtol=1e-8)
            assert ours[name].dtype == column.dtype


GRIDS: list[Any] = [
    {"hidden_sizes": [(8, 4)]},
    {"hidden_sizes": [8, 4]},
    {"hidden_sizes": [(8, 4), 6, (3,)], "learning_rate": [1e-3, 0.1]},
    {"hidden_sizes": ((8, 4), (4, 2))},
    {"learning_rate": (1e-3, 1e-1), "metrics": [(), ("accuracy",)]},
    [{"hidden_sizes": [(8, 4)], "alpha": [0.1]}, {"activation": ["tanh", "relu"]}, {}],
    {"alpha": np.logspace(-3, 0, 3), "batch_norm": [True, False]},
]


@pytest.mark.notes("DA-18")
@pytest.mark.parametrize("grid", GRIDS, ids=range(len(GRIDS)))
def test_a_grid_has_the_candidates_of_scikit_learns(grid: Any) -> None:
    assert candidates_of(LEARNER, grid, None) == list(ParameterGrid(grid))


@pytest.mark.parametrize("grid", [GRIDS[2], GRIDS[5]], ids=["sizes", "grids"])
@pytest.mark.parametrize(
    "options",
    [{}, {"return_train_score": True}, {"scoring": ["accuracy", "f1_macro"]}],
    ids=str,
)
def test_tables_are_those_of_scikit_learn(grid: Any, options: dict[str, Any]) -> None:
    refit = "f1_macro" if "scoring" in options else True
    ours = NetworkSearchCV(LEARNER, grid, cv=2, refit=refit, **options).fit(X, Y)
    theirs = GridSearchCV(LEARNER, grid, cv=2, refit=refit, **options).fit(X, Y)
    _same_tables(ours.cv_results_, theirs.cv_results_)
    chosen = [
        (s.best_index_, s.best_params_, s.multimetric_, s.n_splits_)
        for s in (ours, theirs)
    ]
    assert chosen[0] == chosen[1] and ours.best_score_ == pytest.approx(
        theirs.best_score_
    )
    assert (
        ours.score(X, Y) == pytest.approx(theirs.score(X, Y)) and ours.refit_time_ > 0
    )
    np.testing.assert_allclose(
        ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-7
    )


SETTINGS: list[list[dict[str, Any]]] = [
    [{"hidden_sizes": (8, 4)}, {"hidden_sizes": (16, 2)}],
    [{"hidden_sizes": (8, 4), "learning_rate": 1e-3}],
    [{"hidden_sizes": [8, 4]}, {}],
    list(
        ParameterSampler(
            {"hidden_sizes": [(8, 4), (6,)], "learning_rate": [1e-3, 1e-2]},
            3,
            random_state=0,
        )
    ),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
def test_complete_settings_are_taken_as_they_are(
    settings: list[dict[str, Any]],
) -> None:
    ours = NetworkSearchCV(LEARNER, candidates=settings, cv=2).fit(X, Y)
    theirs = GridSearchCV(
        LEARNER, [{n: [v] for n, v in part.items()} for part in settings], cv=2
    ).fit(X, Y)
    _same_tables(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_
    assert clone(ours).candidates == settings
    wanted = ours.best_params_.get("hidden_sizes", (4,))
    sizes = [
        p.size for p in ours.best_estimator_.network_.parameters() if len(p.shape) == 1
    ]  # those of the biases
    assert sizes == [*wanted, 3]


def test_a_sampler_may_stand_for_its_list() -> None:
    sampler = ParameterSampler(
        {"hidden_sizes": [(8, 4), (6,), (3, 3)]}, 2, random_state=1
    )
    assert candidates_of(LEARNER, None, sampler) == list(sampler)
    plain = [{"learning_rate": 0.1, "activation": "tanh"}, {"alpha": 0.5}]
    assert (
        candidates_of(LEARNER, plain, None) == plain
    )  # no grid, since there is no list in it


AMBIGUOUS: list[tuple[Any, Any, Any, str]] = [
    (
        LEARNER,
        [{"hidden_sizes": (8, 4)}],
        None,
        r"hidden_sizes: expected a list .*tuple \(8, 4\).*\n.*\[\(8, 4\)\] or \[8, 4\]",
    ),
    (
        LEARNER,
        {"hidden_sizes": (8, 4)},
        None,
        "hidden_sizes: expected a list of candidates",
    ),
    (
        MLPClassifier(8),
        {"hidden_sizes": (8,)},
        None,
        "hidden_sizes: expected a list of candidates",
    ),
    (CNNClassifier(), {"channels": (8, 4)}, None, "channels: expected a list"),
    (CNNClassifier(), [{"image_shape": (2, 2)}], None, "image_shape: expected a list"),
    (LEARNER, {"metrics": ("accuracy", "auc")}, None, "metrics: expected a list"),
    (
        LEARNER,
        [{"hidden_sizes": (8, 4), "learning_rate": 1e-3}],
        None,
        "hidden_sizes: expected a list",
    ),
    (
        LEARNER,
        [{"hidden_sizes": [8, 4], "learning_rate": 1e-3}],
        None,
        "param_grid: got .*learning_rate(.|\n)*candidates=",
    ),
    (LEARNER, {"learning_rate": 1e-3}, None, "param_grid: got .*learning_rate"),
    (LEARNER, {"learning_rate": []}, None, "param_grid: got .*non-empty"),
    (LEARNER, 3, None, "param_grid: got"),
    (LEARNER, [], None, "at least one candidate"),
    (LEARNER, {"alpha": [0.0]}, [{"alpha": 1.0}], "param_grid or candidates, got both"),
    (LEARNER, None, {"alpha": 1.0}, "a list of at least one dict"),
    (LEARNER, None, [], "a list of at least one dict"),
    (LEARNER, None, [3], "a list of at least one dict"),
    (LEARNER, None, 3, "a list of at least one dict"),
]


@pytest.mark.parametrize(
    ("learner", "grid", "settings", "message"), AMBIGUOUS, ids=range(len(AMBIGUOUS))
)
def test_what_could_mean_two_things_is_refused(
    learner: Any, grid: Any, settings: Any, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        NetworkSearchCV(learner, grid, candidates=settings).fit(X, Y)


GRID = {"learning_rate": [1e-4, 0.1, 0.01]}


def _simplest(results: dict[str, Any]) -> int:
    """The one-standard-error rule."""
    mean, spread = results["mean_test_score"], results["std_test_score"]
    return int(np.flatnonzero(mean >= mean.max() - spread[mean.argmax()])[-1])


@pytest.mark.parametrize(
    "refit",
    [False, True, _simplest, lambda _: 2, lambda _: np.int64(0), "any"],
    ids=range(6),
)
def test_the_best_is_chosen_as_scikit_learn_chooses(refit: Any) -> None:
    ours = NetworkSearchCV(LEARNER, GRID, cv=2, refit=refit).fit(X, Y)
    theirs = GridSearchCV(LEARNER, GRID, cv=2, refit=refit).fit(X, Y)
    for name in (
        "best_index_",
        "best_params_",
        "best_score_",
        "best_estimator_",
        "refit_time_",
        "n_features_in_",
    ):
        assert hasattr(ours, name) == hasattr(theirs, name), name
    assert (ours.best_index_, ours.best_params_) == (
        theirs.best_index_,
        theirs.best_params_,
    )
    for name in ("predict", "predict_proba", "score", "decision_function"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
    if refit:
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    else:
        with pytest.raises(AttributeError, match="has no attribute 'predict'") as told:
            ours.predict(X)
        assert "refit=False" in str(told.value.__cause__)


@pytest.mark.parametrize("refit", [False, lambda _: 1, "f1", "accuracy"])
def test_of_several_scores_one_decides(refit: Any) -> None:
    scoring = {"accuracy": "accuracy", "f1": "f1_macro"}
    ours = NetworkSearchCV(LEARNER, GRID, cv=2, scoring=scoring, refit=refit).fit(X, Y)
    theirs = GridSearchCV(LEARNER, GRID, cv=2, scoring=scoring, refit=refit).fit(X, Y)
    _same_tables(ours.cv_results_, theirs.cv_results_)
    for name in ("best_index_", "best_params_", "best_score_", "best_estimator_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
    if isinstance(refit, str):
        assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y))


def _pair(learner: Any, x: Any, y: Any) -> dict[str, float]:
    right = learner.predict(x) == y
    return {"share": right.mean(), "count": int(right.sum())}


def test_a_function_may_give_several_scores() -> None:
    ours = NetworkSearchCV(LEARNER, GRID, cv=2, scoring=_pair, refit="count").fit(X, Y)
    theirs = GridSearchCV(LEARNER, GRID, cv=2, scoring=_pair, refit="count").fit(X, Y)
    assert ours.multimetric_ and theirs.multimetric_
    assert (
        ours.cv_results_["mean_test_count"].tolist()
        == theirs.cv_results_["mean_test_count"].tolist()
    )
    assert ours.best_index_ == theirs.best_index_ and ours.score(X, Y) == theirs.score(
        X, Y
    )
    with pytest.raises(ArgumentError, match="refit: expected 'share', 'count'"):
        NetworkSearchCV(LEARNER, GRID, cv=2, scoring=_pair).fit(X, Y)


@pytest.mark.filterwarnings("ignore:One or more of the")
def test_failures_score_what_was_asked_for() -> None:
    grid = {"dropout": [2.0, 0.0]}
    for error_score in (np.nan, 0.25):
        with pytest.warns(FitFailedWarning):
            ours = NetworkSearchCV(
                LEARNER, grid, cv=2, error_score=error_score, return_train_score=True
            ).fit(X, Y)
        with pytest.warns(FitFailedWarning):
            theirs = GridSearchCV(
                LEARNER, grid, cv=2, error_score=error_score, return_train_score=True
            ).fit(X, Y)
        _same_tables(ours.cv_results_, theirs.cv_results_)
    with pytest.raises(ArgumentError, match="dropout: expected a probability"):
        NetworkSearchCV(LEARNER, grid, cv=2, error_score="raise").fit(X, Y)
    regressor = MLPRegressor(
        (4,), optimizer="sgd", epochs=3, random_state=0, device="reference"
    )
    with pytest.raises(
        DivergenceError, match="a finite loss, got NaN or infinity after"
    ):
        NetworkSearchCV(
            regressor, {"learning_rate": [1e30, 0.01]}, cv=2, error_score="raise"
        ).fit(*make_regression(40, 3, random_state=0))


def _fails_for_some(learner: Any, x: Any, y: Any) -> float:
    if learner.learning_rate == 0.1:
        raise RuntimeError("no score today")
    return float(learner.score(x, y))


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_scores_that_fail_are_told() -> None:
    with pytest.warns(UserWarning, match="Scoring failed.*no score today"):
        ours = NetworkSearchCV(LEARNER, GRID, cv=2, scoring=_fails_for_some).fit(X, Y)
    with pytest.warns(UserWarning, match="Scoring failed"):
        theirs = GridSearchCV(LEARNER, GRID, cv=2, scoring=_fails_for_some).fit(X, Y)
    _same_tables(ours.cv_results_, theirs.cv_results_)
    with pytest.raises(RuntimeError, match="no score today"):
        NetworkSearchCV(
            LEARNER, GRID, cv=2, scoring=_fails_for_some, error_score="raise"
        ).fit(X, Y)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"refit": 3}, ArgumentError, "refit: expected True, False"),
    ({"refit": None}, ArgumentError, "refit: expected True, False"),
    ({"refit": lambda _: 7}, IndexError, "best_index_ index out of range"),
    ({"refit": lambda _: 0.5}, TypeError, "best_index_ returned is not an integer"),
    (
        {"scoring": ["accuracy", "f1_macro"]},
        ArgumentError,
        "refit: expected 'accuracy', 'f1_macro', a function",
    ),
    (
        {"scoring": ["accuracy", "accuracy"], "refit": "accuracy"},
        ArgumentError,
        "scoring: expected different names",
    ),
    ({"scoring": []}, ArgumentError, "at least one scorer"),
    ({"scoring": lambda *_: "good"}, ValueError, "must return a number"),
    (
        {"error_score": "nan"},
        ArgumentError,
        "error_score: expected 'raise' or a number",
    ),
]


@pytest.mark.parametrize(("options", "kind", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_are_told(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        NetworkSearchCV(
            LEARNER, {"alpha": [0.0]}, cv=2, **{"error_score": "raise", **options}
        ).fit(X, Y)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.coo_array])
def test_labels_of_which_any_may_hold(kind: Callable[[Any], Any]) -> None:
    x, y = make_multilabel_classification(40, 5, n_classes=3, random_state=0)
    search = NetworkSearchCV(LEARNER, GRID, cv=2).fit(x, kind(y))
    theirs = GridSearchCV(LEARNER, GRID, cv=2).fit(x, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
    )
