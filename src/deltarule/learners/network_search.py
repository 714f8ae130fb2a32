"""Hyperparameters of neural learners by cross-validation: all candidates and folds are trained side by side."""

from __future__ import annotations

import copy
import inspect
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier, is_regressor
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import check_array, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, indexable

from deltarule.errors import ArgumentError
from deltarule.learners.base import Array
from deltarule.learners.network import Network
from deltarule.learners.network_classifier import MLPClassifier
from deltarule.learners.together import scores_of, try_together, warn_of_divergence


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
    own. A fit that fails or diverges scores NaN, with a ``FitFailedWarning``, and its candidate comes last; if all
    do, the search raises. A Pipeline is refused, since its steps would have to be fitted in every fold: so that each
    fold has a scaler of its own, take ``GridSearchCV`` over the Pipeline, or scale X beforehand by what is known
    without it. There is one scorer.

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

    def _checked(self, base: Any) -> None:
        if not isinstance(base, Network) or not (is_classifier(base) or is_regressor(base)):
            kind = base if isinstance(base, type) else type(base)
            raise ArgumentError(
                "NetworkSearchCV estimator", expected="a neural classifier or regressor, such as MLPClassifier()",
                got=f"the class {kind.__name__}" if kind is base else f"a {kind.__name__}",
                hint="For a Pipeline, whose steps (a scaler …) every fold fits to its own rows, and for all other "
                "estimators take sklearn.model_selection.GridSearchCV: it fits one after the other.",
            )  # fmt: skip
        if isinstance(self.scoring, (Mapping, list, tuple, set)):
            raise ArgumentError(
                "NetworkSearchCV scoring", expected="one scorer: a name, a function (learner, X, y), or None",
                got=f"{len(self.scoring)} of them in a {type(self.scoring).__name__}",
                hint="Search by one of them; the others score best_estimator_, or every candidate of GridSearchCV.",
            )  # fmt: skip

    def fit(self, X: Any, y: Any, *, groups: Any = None, **fit_params: Any) -> Self:
        """Fit all candidates on all folds side by side, and the best one on all data.

        ``sample_weight`` (in ``fit_params``) weighs the examples in all fits, which are then made one after the
        other, and in all scores that take weights.

        Raises:
            ArgumentError: An estimator or a scorer of another kind; no candidate could be fitted.
            ValueError: Data that no learner takes.
        """
        base, candidates = self._base(), self._candidates()
        self._checked(base)
        weights = fit_params.pop("sample_weight", None)
        if fit_params:
            names = ", ".join(fit_params)
            raise ArgumentError("NetworkSearchCV.fit", expected="X, y, groups or sample_weight", got=names)
        if y is None:
            raise ValueError("This NetworkSearchCV estimator requires y to be passed, but the target y is None.")
        x, targets, groups = indexable(X, y, groups)
        check_array(targets, ensure_2d=False, dtype=None, input_name="y")
        clone(base)._features(x, targets, reset=True, multi_output=True)  # what is wrong with all data is told at once
        folds = list(check_cv(self.cv, targets, classifier=is_classifier(base)).split(x, targets, groups))
        scorer = check_scoring(base, scoring=self.scoring)
        learners = [clone(base).set_params(**clone(params, safe=False)) for params in candidates for _ in folds]
        start = time.perf_counter()
        errors = try_together(
            learners, x, targets, [train for _ in candidates for train, _ in folds], self.threads, weights
        )
        seconds = (time.perf_counter() - start) / len(learners)
        _warn_or_raise(learners, errors)
        rows = [test for _, test in folds] * len(candidates)
        shares = weights if _takes_weights(scorer) else None
        scores = scores_of(learners, scorer, x, targets, rows, shares).reshape(len(candidates), len(folds))
        self.n_splits_, self.scorer_ = len(folds), scorer
        self._choose(candidates, _results(candidates, scores, seconds))
        if self.refit:
            best = clone(base).set_params(**clone(self.best_params_, safe=False))
            self.best_estimator_ = best.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        return self

    def _choose(self, candidates: Sequence[dict[str, Any]], results: dict[str, Any]) -> None:
        """Keep the table and the best candidate; raises ArgumentError if none has a score and one is to be fitted."""
        self.cv_results_ = results
        if self.refit and not np.isfinite(results["mean_test_score"]).any():
            raise ArgumentError(
                "NetworkSearchCV.fit", expected="a candidate with a score in every fold", got="none",
                hint="cv_results_ has the scores of every fold; with refit=False nothing is chosen.",
            )  # fmt: skip
        self.best_index_ = int(results["rank_test_score"].argmin())
        self.best_params_ = candidates[self.best_index_]
        self.best_score_ = float(results["mean_test_score"][self.best_index_])

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


def _takes_weights(scorer: Any) -> bool:
    """Return whether a scorer takes ``sample_weight``."""
    own = getattr(scorer, "_accept_sample_weight", None)
    return bool(own()) if own else "sample_weight" in inspect.signature(scorer).parameters


def _warn_or_raise(learners: Sequence[Any], errors: Sequence[Exception | None]) -> None:
    """Warn, two calls up, of fits that failed; raise ArgumentError if all did, or the error that is common to all."""
    raised = [error for error in errors if error is not None]
    n, diverged = (
        len(learners),
        [learner for learner in learners if hasattr(learner, "history_") and learner.history_.diverged],
    )
    if len(raised) == n and len({(type(error), str(error)) for error in raised}) == 1:
        raise raised[0]
    if len(raised) + len(diverged) == n:
        first = raised[0] if raised else f"the loss became infinite or NaN after {diverged[0].history_.steps} steps"
        raise ArgumentError(
            "NetworkSearchCV.fit", expected="a fit that succeeds", got=f"{n} fits that all failed, the first: {first}",
            hint="Fit the estimator by itself to see more; where the loss grows, scale X or lower learning_rate.",
        ) from (raised[0] if raised else None)  # fmt: skip
    if raised:
        message = f"{len(raised)} of {n} fits failed and score NaN, the first: {type(raised[0]).__name__}: {raised[0]}"
        warnings.warn(message, FitFailedWarning, stacklevel=3)
    if diverged:
        warn_of_divergence(learners, stacklevel=4)


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
