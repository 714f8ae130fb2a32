"""Learners side by side: each is what its own ``fit`` makes of it, and the search is ``GridSearchCV``'s."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.learners import (
    AutoencoderTransformer,
    BaggingClassifier,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkSearchCV,
    SoftmaxRegression,
    bootstrap,
    fit_together,
    learning_curve,
    validation_curve,
)
from deltarule.learners.base import generator
from deltarule.learners.model_selection import selection
from support.oracles import pd

QUICK: dict[str, Any] = {"device": "reference", "dtype": "float64"}


def _folds(n: int, learners: int) -> list[Any]:
    return [
        train
        for train, _ in KFold(learners, shuffle=True, random_state=0).split(np.zeros(n))
    ]


def _same(one: Any, other: Any, x: Any) -> None:
    np.testing.assert_allclose(
        other.predict_proba(x), one.predict_proba(x), rtol=1e-7, atol=1e-10
    )
    np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, rtol=1e-9)
    assert other.n_iter_ == one.n_iter_
    assert other.history_.best_epoch == one.history_.best_epoch
    np.testing.assert_array_equal(other.classes_, one.classes_)


@pytest.mark.notes("ENS-01")
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_each_is_what_its_own_fit_makes_of_it(device: str) -> None:
    x, y = load_iris(return_X_y=True)
    x, names = (
        (x - x.mean(0)) / x.std(0),
        np.array(["setosa", "versicolor", "virginica"])[y],
    )
    common: dict[str, Any] = {"dtype": "float64", "device": device, "epochs": 15}
    kinds = [
        MLPClassifier((8,), learning_rate=0.05, random_state=1, **common),
        MLPClassifier((8,), learning_rate=0.01, random_state=2, alpha=0.01, **common),
        MLPClassifier(
            (8,),
            learning_rate=0.3,
            random_state=3,
            early_stopping=True,
            patience=1,
            **common,
        ),
        MLPClassifier(
            (8,),
            learning_rate=0.02,
            random_state=3,
            early_stopping=True,
            patience=2,
            **common,
        ),
        MLPClassifier((5, 4), batch_norm=True, dropout=0.2, random_state=4, **common),
        MLPClassifier((8,), random_state=5, class_weight="balanced", **common),
    ]
    rows = _folds(len(x), len(kinds))
    expected = [
        clone(learner).fit(x[own], names[own])
        for learner, own in zip(kinds, rows, strict=True)
    ]
    found = fit_together(kinds, x, names, rows)
    assert all(a is b for a, b in zip(found, kinds, strict=True))
    for one, other in zip(expected, found, strict=True):
        _same(one, other, x)


def test_a_fold_without_some_class_is_fitted_all_the_same() -> None:
    x, y = load_iris(return_X_y=True)
    rows = [np.arange(150), np.arange(100), y > 0]
    learners = [MLPClassifier((4,), epochs=5, random_state=0, **QUICK) for _ in rows]
    expected = [
        clone(learner).fit(x[own], y[own])
        for learner, own in zip(learners, rows, strict=True)
    ]
    for one, other in zip(expected, fit_together(learners, x, y, rows), strict=True):
        _same(one, other, x)


def test_regressors_with_their_own_validation_rows() -> None:
    x, y = make_regression(60, 5, noise=3.0, random_state=0)
    y = y / y.std()
    learners = [
        MLPRegressor(
            (6,), epochs=20, early_stopping=True, patience=2, random_state=i, **QUICK
        )
        for i in range(4)
    ]
    rows = _folds(60, 4)
    expected = [
        clone(learner).fit(x[own], y[own])
        for learner, own in zip(learners, rows, strict=True)
    ]
    for one, other in zip(expected, fit_together(learners, x, y, rows), strict=True):
        np.testing.assert_allclose(other.predict(x), one.predict(x), rtol=1e-8)
        np.testing.assert_allclose(
            other.validation_curve_, one.validation_curve_, rtol=1e-9
        )


def test_a_module_with_frozen_layers_keeps_each_its_own() -> None:
    x, y = make_classification(40, 6, random_state=1)
    modules = [
        nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)) for _ in range(3)
    ]
    for seed, module in enumerate(modules):
        module.initialize(seed)
        module.freeze("0")
    learners = [
        NetworkClassifier(module, epochs=4, random_state=0, device="reference")
        for module in modules
    ]
    expected = [clone(learner).fit(x.astype(np.float32), y) for learner in learners]
    for one, other in zip(
        expected, fit_together(learners, x.astype(np.float32), y), strict=True
    ):
        np.testing.assert_allclose(
            other.predict_proba(x), one.predict_proba(x), rtol=1e-5
        )


@pytest.mark.notes("DA-05", "DA-18")
@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_the_search_is_that_of_scikit_learn(scoring: str | None) -> None:
    x, y = make_classification(90, 6, n_informative=4, random_state=0)
    grid = [
        {"learning_rate": [0.3, 0.01, 0.001], "alpha": [0.0, 0.1]},
        {"hidden_sizes": [(4,), (12,)]},
    ]
    learner = MLPClassifier((8,), epochs=10, random_state=0, **QUICK)
    folds = StratifiedKFold(3, shuffle=True, random_state=1)
    ours = NetworkSearchCV(learner, grid, cv=folds, scoring=scoring).fit(x, y)
    theirs = GridSearchCV(learner, grid, cv=folds, scoring=scoring).fit(x, y)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    for name in (
        "split0_test_score",
        "split2_test_score",
        "mean_test_score",
        "std_test_score",
        "rank_test_score",
    ):
        np.testing.assert_allclose(
            ours.cv_results_[name], theirs.cv_results_[name], rtol=1e-8
        )
    for name in ("param_learning_rate", "param_hidden_sizes"):
        assert ours.cv_results_[name].tolist() == theirs.cv_results_[name].tolist()
    assert (ours.best_params_, ours.best_index_, ours.n_splits_) == (
        theirs.best_params_,
        theirs.best_index_,
        3,
    )
    np.testing.assert_allclose(
        ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-9
    )
    np.testing.assert_allclose(
        ours.decision_function(x), theirs.decision_function(x), rtol=1e-7, atol=1e-9
    )
    assert ours.score(x, y) == pytest.approx(theirs.score(x, y))


def test_frames_groups_candidates_and_what_diverges() -> None:
    x, y = make_regression(48, 3, random_state=0)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    candidates = [
        {"learning_rate": 0.1},
        {"learning_rate": 1e30},
        {"learning_rate": 0.01},
    ]
    learner = MLPRegressor((4,), optimizer="sgd", epochs=5, random_state=0, **QUICK)
    search = NetworkSearchCV(learner, candidates, cv=GroupKFold(4), refit=False)
    with pytest.warns(FitFailedWarning, match="4 of 12 fits diverged"):
        search.fit(frame, pd.Series(y / y.std()), groups=np.arange(48) // 6)
    assert search.cv_results_["params"] == candidates
    assert search.cv_results_["rank_test_score"][1] == 3 and np.isnan(
        search.cv_results_["mean_test_score"][1]
    )
    assert not hasattr(search, "best_estimator_") and search.n_splits_ == 4
    refitted = NetworkSearchCV(learner, {"learning_rate": [0.01, 0.1]}, cv=2).fit(
        frame, y / y.std()
    )
    assert refitted.feature_names_in_.tolist() == ["a", "b", "c"]
    assert refitted.predict(frame).shape == (48,)
    assert not hasattr(refitted, "predict_proba")


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_a_candidate_that_cannot_be_fitted_scores_nan_as_in_the_reference() -> None:
    x, y = load_iris(return_X_y=True)
    learner = MLPClassifier((4,), epochs=2, random_state=0, **QUICK)
    grid = [
        {"dropout": 2.0},
        {"dropout": 0.0},
        {"loss": lambda scores, labels: scores.sum()},
    ]  # the last fails late
    with pytest.warns(
        FitFailedWarning,
        match=r"6 of 9 fits failed and score NaN, the first: ArgumentError: .*dropout",
    ):
        ours = NetworkSearchCV(learner, grid, cv=3).fit(x, y)
    with pytest.warns(FitFailedWarning, match="6 fits failed out of a total of 9"):
        theirs = GridSearchCV(
            learner, [{k: [v] for k, v in params.items()} for params in grid], cv=3
        ).fit(x, y)
    assert np.isnan(ours.cv_results_["mean_test_score"]).tolist() == [True, False, True]
    assert (
        ours.cv_results_["rank_test_score"].tolist()
        == theirs.cv_results_["rank_test_score"].tolist()
        == [2, 1, 2]
    )
    assert ours.best_params_ == theirs.best_params_ == {"dropout": 0.0}
    np.testing.assert_allclose(ours.best_score_, theirs.best_score_, rtol=1e-8)


def test_a_search_says_when_all_fits_failed() -> None:
    x, y = make_regression(40, 3, random_state=0)
    learner = MLPRegressor((4,), optimizer="sgd", epochs=3, random_state=0, **QUICK)
    with pytest.raises(
        ArgumentError,
        match=r"4 fits that all failed, the first: the loss became infinite or NaN",
    ):
        NetworkSearchCV(learner, {"learning_rate": [1e30, 1e29]}, cv=2).fit(x, y)
    with pytest.raises(
        ArgumentError,
        match=r"4 fits that all failed, the first: MLPRegressor dropout: expected",
    ):
        NetworkSearchCV(learner, {"dropout": [2.0, 3.0]}, cv=2).fit(x, y)
    with pytest.raises(ArgumentError, match=r"^MLPRegressor dropout: expected"):
        NetworkSearchCV(learner, {"dropout": [2.0]}, cv=2).fit(x, y)
    flowers, kinds = load_iris(return_X_y=True)
    cv = [
        (np.arange(0, 150, 2), np.arange(1, 150, 2)),
        (np.arange(50), np.arange(50, 150)),
    ]  # the second of one class
    search = NetworkSearchCV(
        MLPClassifier((4,), epochs=2, random_state=0, **QUICK), cv=cv
    )
    with (
        pytest.warns(FitFailedWarning, match="1 of 2 fits failed and score NaN"),
        pytest.raises(
            ArgumentError, match="a candidate with a score in every fold, got none"
        ),
    ):
        search.fit(flowers, kinds)
    assert np.isfinite(search.cv_results_["split0_test_score"]).all()


@pytest.mark.filterwarnings("error")
def test_weights_of_examples_count_in_a_search() -> None:
    x, y = load_iris(return_X_y=True)
    weights = np.where(y == 1, 5.0, 1.0)
    learner = MLPClassifier((4,), epochs=5, random_state=0, **QUICK)
    grid = {"learning_rate": [0.1, 0.001]}
    for scoring in ("accuracy", None):
        ours = NetworkSearchCV(learner, grid, cv=3, scoring=scoring).fit(
            x, y, sample_weight=weights
        )
        theirs = GridSearchCV(learner, grid, cv=3, scoring=scoring).fit(
            x, y, sample_weight=weights
        )
        np.testing.assert_allclose(
            ours.cv_results_["split1_test_score"],
            theirs.cv_results_["split1_test_score"],
        )
    counting = NetworkSearchCV(
        learner, cv=3, scoring=lambda fitted, rows, labels: len(labels)
    )  # takes no weights
    assert counting.fit(x, y, sample_weight=weights).best_score_ == 50
    np.testing.assert_allclose(
        ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-9
    )
    assert not np.allclose(
        ours.predict_proba(x),
        NetworkSearchCV(learner, grid, cv=3).fit(x, y).predict_proba(x),
    )
    pair = [clone(learner), clone(learner)]
    fit_together(
        pair, x, y, [np.arange(150), np.arange(0, 150, 2)], sample_weight=weights
    )
    _same(clone(learner).fit(x[::2], y[::2], weights[::2]), pair[1], x)


@pytest.mark.notes("DA-16")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_learning_curves_are_those_of_fits_one_after_the_other(
    shuffle: bool, scoring: str | None
) -> None:
    x, y = make_classification(90, 6, n_informative=4, random_state=0)
    learner = MLPClassifier((8,), epochs=8, random_state=0, **QUICK)
    options: dict[str, Any] = {
        "cv": 3,
        "scoring": scoring,
        "shuffle": shuffle,
        "random_state": 1,
    }
    ours = learning_curve(learner, x, y, (0.3, 0.6, 1.0), **options)
    counts, training, validation = model_selection.learning_curve(
        learner, x, y, train_sizes=[0.3, 0.6, 1.0], **options
    )
    assert ours.points == tuple(counts.tolist()) == (18, 36, 60)
    np.testing.assert_allclose(ours.training, training, rtol=1e-8)
    np.testing.assert_allclose(ours.validation, validation, rtol=1e-8)


@pytest.mark.notes("DA-18")
@pytest.mark.parametrize(
    ("parameter", "values"),
    [("alpha", (0.0, 0.1, 10.0)), ("hidden_sizes", ((2,), (8,)))],
)
def test_validation_curves_are_those_of_fits_one_after_the_other(
    parameter: str, values: Any
) -> None:
    x, y = make_regression(60, 4, noise=2.0, random_state=0)
    learner = MLPRegressor((6,), epochs=8, random_state=0, **QUICK)
    options: dict[str, Any] = {
        "cv": GroupKFold(3),
        "groups": np.arange(60) // 4,
        "n_jobs": 1,
    }
    ours = validation_curve(learner, x, y / y.std(), parameter, values, **options)
    training, validation = model_selection.validation_curve(
        learner, x, y / y.std(), param_name=parameter, param_range=values, **options
    )
    assert ours.points == values
    np.testing.assert_allclose(ours.training, training, rtol=1e-8)
    np.testing.assert_allclose(ours.validation, validation, rtol=1e-8)


def test_curves_of_networks_are_fitted_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def counted(learners: Any, *rest: Any) -> Any:
        calls.append(len(learners))
        return fit_together(learners, *rest)

    monkeypatch.setattr(selection, "fit_together", counted)
    x, y = load_iris(return_X_y=True)
    learner = MLPClassifier((4,), epochs=2, random_state=0, **QUICK)
    validation_curve(learner, x, y, "alpha", (0.0, 0.1), cv=3)
    learning_curve(learner, x, y, (0.5, 1.0), cv=4, shuffle=True, random_state=0)
    learning_curve(
        SoftmaxRegression(), x, y, (0.5, 1.0), cv=3, shuffle=True, random_state=0
    )
    learning_curve(learner, x, y, (1.0,), cv=3, error_score=0.0)
    assert calls == [6, 8]


def test_a_curve_has_no_score_where_a_fit_cannot_begin_or_diverges() -> None:
    x, y = load_iris(return_X_y=True)
    learner = MLPClassifier((4,), epochs=2, random_state=0, **QUICK)
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4"):
        curve = learning_curve(
            learner, x, y, (0.2, 1.0), cv=KFold(2)
        )  # the first 15 are of one class
    assert (
        np.isnan(curve.validation[0]).all() and np.isfinite(curve.validation[1]).all()
    )
    regressor = MLPRegressor((4,), optimizer="sgd", epochs=5, random_state=0, **QUICK)
    with pytest.warns(FitFailedWarning, match="3 of 6 fits diverged"):
        curve = validation_curve(
            regressor, x, y.astype(float), "learning_rate", (0.01, 1e30), cv=3
        )
    assert np.isfinite(curve.training[0]).all() and np.isnan(curve.training[1]).all()


def test_what_does_not_fit_is_refused() -> None:
    x, y = load_iris(return_X_y=True)
    learner = MLPClassifier((4,), epochs=1, **QUICK)
    with pytest.raises(ArgumentError, match="different objects"):
        fit_together([learner, learner], x, y)
    with pytest.raises(ArgumentError, match="neural learners"):
        fit_together([], x, y)
    with pytest.raises(ArgumentError, match="one array for each of 1"):
        fit_together([learner], x, y, [np.arange(5)] * 2)
    with pytest.raises(ArgumentError, match="classifiers or regressors"):
        fit_together([AutoencoderTransformer(2)], x, y)
    with pytest.raises(ArgumentError, match="at least one candidate"):
        NetworkSearchCV(learner, []).fit(x, y)
    pipe = make_pipeline(StandardScaler(), learner)
    for wrong, got in (
        (pipe, "a Pipeline"),
        (MLPClassifier, "the class MLPClassifier"),
        (SoftmaxRegression(), "a Sof"),
    ):
        with pytest.raises(
            ArgumentError,
            match=f"a neural classifier or regressor, .* got {got}(.|\n)*GridSearchCV",
        ):
            NetworkSearchCV(wrong).fit(x, y)
    with pytest.raises(
        ArgumentError, match="expected X, y, groups or sample_weight, got coats"
    ):
        NetworkSearchCV(learner).fit(x, y, coats=3)


@pytest.mark.notes("ENS-05")
def test_bagged_networks_are_trained_side_by_side() -> None:
    x, y = load_iris(return_X_y=True)
    bag = BaggingClassifier(
        MLPClassifier((6,), epochs=8, **QUICK), n_estimators=3, random_state=0
    ).fit(x, y)
    assert (
        len({member.history_.train_seconds for member in bag.estimators_}) == 1
    )  # that of the joint run
    random = generator(0)
    for member, left in zip(bag.estimators_, bag.out_of_bag_, strict=True):
        drawn, expected_left = bootstrap(len(x), random)
        np.testing.assert_array_equal(left, expected_left)
        assert member.random_state == random.integers(2**31)
        _same(clone(member).fit(x[drawn], y[drawn]), member, x)
