"""Hyperparameters of neural learners by cross-validation: all candidates and folds are trained side by side."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import check_array, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, indexable

from deltarule.errors import ArgumentError
from deltarule.learners.base import Array
from deltarule.learners.network_classifier import MLPClassifier
from deltarule.learners.together import fit_together, scores_of, warn_of_divergence


def _has(name: str) -> Callable[[Any], bool]:
    """Return whether the learner that is searched for has a method."""

    def check(search: Any) -> bool:
        learner = search.best_estimator_ if hasattr(search, "best_estimator_") else search._base()
        return hasattr(learner, name)

    return check


@final
class NetworkSearchCV(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Grid search with cross-validation for neural learners, the fits of all candidates and folds in one program.

    Results, attributes and scores are those of scikit-learn's ``GridSearchCV`` (of random candidates: hand over
    ``list(ParameterSampler(…))``); every fit is what the learner would do by itself, within rounding. Candidates that
    differ in numbers (learning rate, penalty, seed, patience …) share a program; other sizes make a program of their
    own. A fit that diverges scores NaN, with a warning, and its candidate comes last.

    Args:
        estimator: ``MLPClassifier``, ``MLPRegressor``, ``NetworkClassifier`` …; None is
            ``MLPClassifier(random_state=0)``.
        param_grid: {parameter: values}, a list of such grids, or a list of candidates; None is the learner as it is.
        scoring: As for ``GridSearchCV``: a name, a function (learner, X, y), or None for the learner's own score.
        cv: Number of folds, a splitter, or pairs of row numbers.
        refit: Whether to fit the best candidate on all data.
        threads: How many; None for all cores.

    >>> from deltarule.learners import MLPRegressor
    >>> x = [[float(i)] for i in range(12)]
    >>> learner = MLPRegressor((4,), epochs=30, random_state=0, device="reference")
    >>> search = NetworkSearchCV(learner, {"learning_rate": [1e-5, 0.1]}, cv=3)
    >>> search.fit(x, [row[0] / 12 for row in x]).best_params_
    {'learning_rate': 0.1}
    """

    def __init__(
        self, estimator: Any = None, param_grid: Any = None, *, scoring: Any = None, cv: Any = None,
        refit: bool = True, threads: int | None = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.cv = cv
        self.refit = refit
        self.threads = threads

    best_estimator_: Any

    def _base(self) -> Any:
        return MLPClassifier(random_state=0) if self.estimator is None else self.estimator

    def _candidates(self) -> list[dict[str, Any]]:
        grid = {} if self.param_grid is None else self.param_grid
        plain = isinstance(grid, Sequence) and all(
            isinstance(item, Mapping) and not any(isinstance(v, (list, tuple, np.ndarray)) for v in item.values())
            for item in grid
        )
        found = [dict(item) for item in grid] if plain else list(ParameterGrid(grid))
        if not found:
            raise ArgumentError("NetworkSearchCV param_grid", expected="at least one candidate", got=repr(grid))
        return found

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Fit all candidates on all folds side by side, and the best one on all data."""
        base, candidates = self._base(), self._candidates()
        if y is None:
            raise ValueError("This NetworkSearchCV estimator requires y to be passed, but the target y is None.")
        x, targets, groups = indexable(X, y, groups)
        check_array(targets, ensure_2d=False, dtype=None, input_name="y")
        folds = list(check_cv(self.cv, targets, classifier=is_classifier(base)).split(x, targets, groups))
        scorer = check_scoring(base, scoring=self.scoring)
        learners = [clone(base).set_params(**clone(params, safe=False)) for params in candidates for _ in folds]
        start = time.perf_counter()
        fit_together(learners, x, targets, [train for _ in candidates for train, _ in folds], self.threads)
        seconds = (time.perf_counter() - start) / len(learners)
        warn_of_divergence(learners)
        rows = [test for _, test in folds] * len(candidates)
        scores = scores_of(learners, scorer, x, targets, rows).reshape(len(candidates), len(folds))
        self.n_splits_, self.scorer_ = len(folds), scorer
        self.cv_results_ = _results(candidates, scores, seconds)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = candidates[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        if self.refit:
            self.best_estimator_ = clone(base).set_params(**clone(self.best_params_, safe=False)).fit(X, y)
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    def _best(self) -> Any:
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    def predict(self, X: Any) -> Array:
        """Return the predictions of the best learner."""
        return np.asarray(self._best().predict(X))

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the best learner."""
        return np.asarray(self._best().predict_proba(X))

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def decision_function(self, X: Any) -> Array:
        """Return the scores of the best learner."""
        return np.asarray(self._best().decision_function(X))

    def score(self, X: Any, y: Any) -> float:
        """Return the score by which candidates were compared, of the best learner."""
        return float(self.scorer_(self._best(), X, y))

    @property
    def classes_(self) -> Array:
        """The classes of the best learner."""
        return np.asarray(self._best().classes_)

    @property
    def n_features_in_(self) -> int:
        """How many features the best learner has seen."""
        return int(self._best().n_features_in_)

    def __sklearn_tags__(self) -> Any:
        tags, own = super().__sklearn_tags__(), get_tags(self._base())
        tags.estimator_type, tags.input_tags = own.estimator_type, copy.deepcopy(own.input_tags)
        tags.classifier_tags, tags.regressor_tags = copy.deepcopy((own.classifier_tags, own.regressor_tags))
        tags.target_tags = copy.deepcopy(own.target_tags)
        return tags


def _results(candidates: Sequence[dict[str, Any]], scores: Array, seconds: float) -> dict[str, Any]:
    """Return the table of ``GridSearchCV``: parameters, scores of every fold, their mean, spread and rank."""
    means = scores.mean(axis=1)
    ranked = np.nan_to_num(means, nan=np.nanmin(means) - 1) if np.isfinite(means).any() else np.zeros_like(means)
    n = len(candidates)
    table: dict[str, Any] = {"mean_fit_time": np.full(n, seconds), "std_fit_time": np.zeros(n)}
    for name in dict.fromkeys(name for params in candidates for name in params):
        column = np.ma.MaskedArray(np.empty(n, object), mask=True)
        for i, params in enumerate(candidates):
            if name in params:
                column[i] = params[name]
        table[f"param_{name}"] = column
    table["params"] = list(candidates)
    table |= {f"split{fold}_test_score": scores[:, fold] for fold in range(scores.shape[1])}
    table |= {"mean_test_score": means, "std_test_score": scores.std(axis=1)}
    table["rank_test_score"] = rankdata(-ranked, method="min").astype(np.int32)
    return table
