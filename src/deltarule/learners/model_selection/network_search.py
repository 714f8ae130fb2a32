"""Hyperparameter search for neural learners by cross-validation, all candidates and folds in one program."""

from __future__ import annotations

import copy
import numbers
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
from sklearn.base import (
    BaseEstimator,
    MetaEstimatorMixin,
    clone,
    is_classifier,
    is_regressor,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, indexable

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DivergenceError, user_level
from deltarule.flags import check_parameters
from deltarule.learners.base import Array, dense_targets
from deltarule.learners.model_selection.batched_fit import (
    diverged_among,
    has_failed,
    try_together,
    warn_of_divergence,
)
from deltarule.learners.model_selection.candidates import candidates_of
from deltarule.learners.model_selection.search_results import (
    Measures,
    results_table,
    score_all,
)
from deltarule.learners.neural_network.classifier import MLPClassifier
from deltarule.learners.neural_network.network import Network

__all__ = ["NetworkSearchCV"]


def _no_learner(name: str) -> str:
    """Return why a search with ``refit=False`` has no methods of the best learner."""
    return (
        f"{name} is available after refitting only: this NetworkSearchCV has refit=False, so that no learner is fitted "
        "to all data. Set refit=True, or fit the estimator with best_params_."
    )


def _has(name: str) -> Callable[[Any], bool]:
    """Return a check that the learner has a method, for ``available_if``."""

    def check(search: Any) -> bool:
        if not search.refit:
            raise AttributeError(_no_learner(name))
        learner = (
            search.best_estimator_
            if hasattr(search, "best_estimator_")
            else search._base()
        )
        return hasattr(learner, name)

    return check


@final
class NetworkSearchCV(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Grid search with cross-validation for neural learners, all candidates and folds trained in one program.

    Results, attributes and scores are those of scikit-learn's ``GridSearchCV``; each
    fit equals that of the learner alone, up to rounding. Candidates that differ in
    numbers (learning rate, penalty, seed, patience …) share a program; other
    architectures need a program each. A fit that fails or diverges scores
    ``error_score``, with a ``FitFailedWarning``; if all do, the search raises. A
    Pipeline is refused, since its steps would have to be fitted in each fold: take
    ``GridSearchCV`` for it, or scale X beforehand by constants.

    Args:
        estimator: ``MLPClassifier``, ``MLPRegressor``, ``NetworkClassifier`` …; None is
            ``MLPClassifier(random_state=0)``.
        param_grid: {parameter: list of its candidates}, or a list of such grids, by the
            rules of ``sklearn.model_selection.ParameterGrid``; None is the learner as
            it is.
        candidates: Complete settings {parameter: value} instead of a grid, one dict per
            candidate: the output of ``list(ParameterSampler(…))``, for example.
        scoring: As for ``GridSearchCV``: a name, a function (learner, X, y), None for
            the learner's own score; or several, as a list of names or {name: scorer}.
        cv: Number of folds, a splitter, or pairs of row numbers.
        refit: Whether to fit the best candidate to all data; with several scorers the
            name of the one that selects it; or a function of ``cv_results_`` that
            returns its index.
        error_score: The score of a fit that fails, or "raise".
        return_train_score: Whether ``cv_results_`` includes training scores.
        threads: Number of threads; None for all cores.

    Attributes:
        cv_results_: Times, parameters, scores and ranks, as of ``GridSearchCV``.
        best_estimator_: The best learner, fitted to all data.
        best_params_: Its settings.
        best_score_: Its mean test score.
        best_index_: Its index in ``cv_results_``.
        scorer_: The scorer, or {name: scorer}.
        n_splits_: Number of folds.
        multimetric_: Whether there are several scores.
        refit_time_: Seconds of the fit to all data.

    >>> from deltarule.learners import MLPRegressor
    >>> x = [[float(i)] for i in range(12)]
    >>> learner = MLPRegressor((4,), epochs=30, random_state=0, device="reference")
    >>> search = NetworkSearchCV(learner, {"learning_rate": [1e-5, 0.1]}, cv=3)
    >>> search.fit(x, [row[0] / 12 for row in x]).best_params_
    {'learning_rate': 0.1}
    """

    def __init__(
        self,
        estimator: Any = None,
        param_grid: Any = None,
        *,
        candidates: Any = None,
        scoring: Any = None,
        cv: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        threads: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.candidates = candidates
        self.scoring = scoring
        self.cv = cv
        self.refit = refit
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.threads = threads

    best_estimator_: Any

    def _base(self) -> Any:
        return (
            MLPClassifier(random_state=0) if self.estimator is None else self.estimator
        )

    def _checked(self, base: Any) -> Measures:
        """Return the scorers; raise ArgumentError for invalid arguments."""
        if not isinstance(base, Network) or not (
            is_classifier(base) or is_regressor(base)
        ):
            kind = base if isinstance(base, type) else type(base)
            raise ArgumentError(
                "NetworkSearchCV estimator",
                expected="a neural classifier or regressor, such as MLPClassifier()",
                got=f"the class {kind.__name__}"
                if kind is base
                else f"a {kind.__name__}",
                hint="For a Pipeline, whose steps (a scaler …) are fitted in each fold, and for other estimators use "
                "sklearn.model_selection.GridSearchCV, which fits one after the other.",
            )
        check_parameters(self, type(self).__init__)
        measures = Measures.of(base, self.scoring, self.error_score)
        if not callable(self.refit) and not isinstance(
            self.refit, (bool, np.bool_, str)
        ):
            raise ArgumentError(
                "NetworkSearchCV refit",
                expected="True, False, a scorer's name or a function of cv_results_",
                got=repr(self.refit),
            )
        if measures.several:
            self._check_refit(measures.scorers)
        return measures

    def _check_refit(self, names: Iterable[str]) -> None:
        """Raise ArgumentError unless ``refit`` names the score that selects the best of several."""
        if not callable(self.refit) and self.refit not in {False, *names}:
            expected = f"{', '.join(map(repr, names))}, a function of cv_results_ or False, as there are several scores"
            raise ArgumentError(
                "NetworkSearchCV refit", expected=expected, got=repr(self.refit)
            )

    def fit(self, X: Any, y: Any, *, groups: Any = None, **fit_params: Any) -> Self:
        """Fit all candidates on all folds, and the best one on all data.

        Args:
            X: Examples.
            y: Targets.
            groups: Groups for the splitter.
            **fit_params: ``sample_weight``, which weights the examples in all fits
            (these then run one after the other) and in all scorers that accept weights.

        Raises:
            ArgumentError: An invalid estimator or scorer; no candidate could be fitted.
            ValueError: Data that no learner accepts.

        >>> from deltarule.learners import MLPClassifier
        >>> learner = MLPClassifier((), epochs=2, random_state=0, device="reference")
        >>> search = NetworkSearchCV(learner, {"learning_rate": [0.01, 0.1]}, cv=2)
        >>> len(search.fit([[-1.0], [1.0], [-2.0], [2.0]], [0, 1, 0, 1]).cv_results_["params"])
        2
        """
        base = self._base()
        measures = self._checked(base)
        candidates = candidates_of(base, self.param_grid, self.candidates)
        weights = fit_params.pop("sample_weight", None)
        if fit_params:
            expected, got = "X, y, groups or sample_weight", ", ".join(fit_params)
            raise ArgumentError("NetworkSearchCV.fit", expected=expected, got=got)
        if y is None:
            raise ValueError(
                "This NetworkSearchCV estimator requires y to be passed, but the target y is None."
            )
        x, targets, groups = indexable(X, dense_targets(y), groups)
        check_array(targets, ensure_2d=False, dtype=None, input_name="y")
        # raises for data that no candidate could be fitted to
        clone(base)._features(x, targets, reset=True, multi_output=True)
        splitter = check_cv(self.cv, targets, classifier=is_classifier(base))
        folds = list(splitter.split(x, targets, groups))
        learners = [
            clone(base).set_params(**clone(params, safe=False))
            for params in candidates
            for _ in folds
        ]
        start = time.perf_counter()
        rows = [train for _ in candidates for train, _ in folds]
        errors = try_together(learners, x, targets, rows, self.threads, weights)
        seconds = (time.perf_counter() - start) / len(learners)
        _warn_or_raise(learners, errors, self.error_score)
        failed = [has_failed(learner) for learner in learners]
        scored = score_all(
            measures,
            learners,
            failed,
            (x, targets, weights),
            folds,
            self.return_train_score,
        )
        self.n_splits_ = len(folds)
        self.multimetric_ = measures.several or scored.names != ["score"]
        scorers = measures.scorers
        self.scorer_ = scorers if measures.several else scorers["score"]
        results = results_table(candidates, scored, seconds)
        self._choose(candidates, results, scored.names)
        if self.refit:
            best = clone(base).set_params(**clone(self.best_params_, safe=False))
            start = time.perf_counter()
            self.best_estimator_ = best.fit(
                X, y, **({} if weights is None else {"sample_weight": weights})
            )
            self.refit_time_ = time.perf_counter() - start
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        return self

    def _choose(
        self,
        candidates: Sequence[dict[str, Any]],
        results: dict[str, Any],
        names: Sequence[str],
    ) -> None:
        """Store the results and the best candidate; raise ArgumentError where a refit finds none."""
        self.cv_results_ = results
        if self.multimetric_:
            self._check_refit(names)
        if callable(self.refit):
            self.best_index_ = _index(self.refit(results), len(candidates))
            self.best_params_ = candidates[self.best_index_]
            return
        if self.multimetric_ and not self.refit:
            return
        name = self.refit if self.multimetric_ else "score"
        means = results[f"mean_test_{name}"]
        if self.refit and np.isnan(means).all():
            raise ArgumentError(
                "NetworkSearchCV.fit",
                expected="a candidate with a score in every fold",
                got="none",
                hint="cv_results_ has the scores of every fold; with refit=False nothing is chosen.",
            )
        self.best_index_ = int(results[f"rank_test_{name}"].argmin())
        self.best_params_, self.best_score_ = (
            candidates[self.best_index_],
            float(means[self.best_index_]),
        )

    def _best(self) -> Any:
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    @available_if(_has("predict"))  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def predict(self, X: Any) -> Array:
        """Return the predictions of the best learner."""
        return np.asarray(self._best().predict(X))

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the best learner."""
        return np.asarray(self._best().predict_proba(X))

    @available_if(_has("predict_log_proba"))  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities of the best learner."""
        return np.asarray(self._best().predict_log_proba(X))

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def decision_function(self, X: Any) -> Array:
        """Return the scores of the best learner."""
        return np.asarray(self._best().decision_function(X))

    def score(self, X: Any, y: Any) -> float:
        """Return the score of the best learner by the scorer that compared the candidates."""
        if not self.refit:
            raise AttributeError(_no_learner("score"))
        best = self._best()
        if isinstance(self.scorer_, dict):
            self._check_refit_name()
            return float(self.scorer_[self.refit](best, X, y))
        found = self.scorer_(best, X, y)
        if isinstance(found, Mapping):
            self._check_refit_name()
            found = found[self.refit]
        return float(found)

    def _check_refit_name(self) -> None:
        if not isinstance(self.refit, str):
            raise ArgumentError(
                "NetworkSearchCV.score",
                expected="refit= with the name of one of several scores",
                got=repr(self.refit),
                hint="scorer_ has the scorers: search.scorer_[name](search.best_estimator_, X, y).",
            )

    @property
    def classes_(self) -> Array:
        """The classes of the best learner."""
        return np.asarray(self._best().classes_)

    @property
    def n_features_in_(self) -> int:
        """The number of features seen by the best learner."""
        return int(self._best().n_features_in_)

    def __sklearn_tags__(self) -> Any:
        tags, own = super().__sklearn_tags__(), get_tags(self._base())
        tags.estimator_type, tags.input_tags = (
            own.estimator_type,
            copy.deepcopy(own.input_tags),
        )
        tags.classifier_tags, tags.regressor_tags = copy.deepcopy(
            (own.classifier_tags, own.regressor_tags)
        )
        tags.target_tags = copy.deepcopy(own.target_tags)
        return tags


def _index(found: Any, n: int) -> int:
    """Return the index of the candidate that the function ``refit`` returned."""
    if not isinstance(found, numbers.Integral) or isinstance(found, bool):
        raise TypeError(f"best_index_ returned is not an integer: refit gave {found!r}")
    if not 0 <= int(found) < n:
        raise IndexError(
            f"best_index_ index out of range: refit gave {found}, there are {n} candidates"
        )
    return int(found)


def _warn_or_raise(
    learners: Sequence[Any], errors: Sequence[Exception | None], error_score: Any
) -> None:
    """Warn of failed fits, at the caller of ``fit``; raise ArgumentError if all failed, or their common error.

    With the ``error_score`` "raise" the first failure is raised.
    """
    raised = [error for error in errors if error is not None]
    n, diverged = len(learners), diverged_among(learners)
    if error_score == "raise" and raised:
        raise raised[0]
    if error_score == "raise" and diverged:
        steps = diverged[0].history_.steps
        raise DivergenceError(
            "NetworkSearchCV.fit",
            expected="a finite loss",
            got=f"NaN or infinity after {steps} steps",
            hint=f"In the fit of {diverged[0]}. Scale X, or lower learning_rate.",
        )
    if len(raised) == n and len({(type(error), str(error)) for error in raised}) == 1:
        raise raised[0]
    if len(raised) + len(diverged) == n:
        first = (
            raised[0]
            if raised
            else f"the loss became infinite or NaN after {diverged[0].history_.steps} steps"
        )
        raise ArgumentError(
            "NetworkSearchCV.fit",
            expected="a fit that succeeds",
            got=f"{n} fits that all failed, the first: {first}",
            hint="Fit the estimator alone for details; where the loss grows, scale X or lower learning_rate.",
        ) from (raised[0] if raised else None)
    if raised:
        score = "NaN" if np.isnan(error_score) else error_score
        first = f"{type(raised[0]).__name__}: {raised[0]}"
        message = (
            f"{len(raised)} of {n} fits failed and score {score}, the first: {first}"
        )
        warnings.warn(message, FitFailedWarning, stacklevel=user_level())
    if diverged:
        warn_of_divergence(learners)


check_calls(__name__)
