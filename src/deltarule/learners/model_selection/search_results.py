"""Results of a search in the format of scikit-learn's ``GridSearchCV``: scores, times, ranks, parameters."""

from __future__ import annotations

import inspect
import numbers
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import check_scoring
from sklearn.utils import _safe_indexing

from deltarule.errors import ArgumentError, user_level
from deltarule.learners.base import Array


@dataclass(frozen=True)
class Measures:
    """One scorer, named "score", or several by name; ``error_score`` replaces scores that fail.

    >>> from deltarule.learners import Ridge
    >>> Measures.of(Ridge(), "r2", np.nan).several
    False
    """

    scorers: dict[str, Any]
    several: bool
    error_score: Any

    @staticmethod
    def of(learner: Any, scoring: Any, error_score: Any) -> Measures:
        """Return the scorers of ``scoring``; raise ArgumentError for an invalid ``error_score``."""
        if error_score != "raise" and (
            isinstance(error_score, bool) or not isinstance(error_score, numbers.Real)
        ):
            raise ArgumentError(
                "NetworkSearchCV error_score",
                expected="'raise' or a number such as nan",
                got=repr(error_score),
            )
        if isinstance(scoring, Mapping):
            named = dict(scoring)
        elif isinstance(scoring, (list, tuple, set)):
            named = {name: name for name in scoring}
            if len(named) < len(scoring) or not all(
                isinstance(name, str) for name in named
            ):
                raise ArgumentError(
                    "NetworkSearchCV scoring",
                    expected="different names",
                    got=repr(scoring),
                )
        else:
            return Measures(
                {"score": check_scoring(learner, scoring=scoring)}, False, error_score
            )
        if not named:
            raise ArgumentError(
                "NetworkSearchCV scoring",
                expected="at least one scorer",
                got=repr(scoring),
            )
        return Measures(
            {n: check_scoring(learner, scoring=own) for n, own in named.items()},
            True,
            error_score,
        )

    @property
    def lost(self) -> float:
        """The score of a failed fit."""
        return float("nan") if self.error_score == "raise" else float(self.error_score)

    def measured(
        self, learner: Any, x: Any, y: Any, rows: Array, weights: Any
    ) -> dict[str, float]:
        """Return the scores of a fitted learner on some rows, without those that failed."""
        own_x, own_y = _safe_indexing(x, rows), _safe_indexing(y, rows)
        found: dict[str, float] = {}
        for name, scorer in self.scorers.items():
            shares = (
                {"sample_weight": _safe_indexing(weights, rows)}
                if weights is not None and takes_weights(scorer)
                else {}
            )
            try:
                found |= _numbers(name, scorer(learner, own_x, own_y, **shares))
            except Exception as error:  # a user's scorer may raise anything
                if self.error_score == "raise":
                    raise
                cause = f"{type(error).__name__}: {error}"
                message = f"Scoring failed; {name} of this fold is set to {self.error_score}: {cause}"
                warnings.warn(message, UserWarning, stacklevel=user_level())
        return found


def _numbers(name: str, score: Any) -> dict[str, float]:
    """Return the result of a scorer as numbers by name; a function may return several."""
    if isinstance(score, Mapping):
        return {
            key: value
            for part, own in score.items()
            for key, value in _numbers(part, own).items()
        }
    number = score.item() if hasattr(score, "item") and np.size(score) == 1 else score
    if not isinstance(number, numbers.Real):
        raise ValueError(
            f"scoring must return a number, got {score} ({type(score)}) instead. (scorer={name})"
        )
    return {name: float(number)}


def takes_weights(scorer: Any) -> bool:
    """Return whether a scorer accepts ``sample_weight``.

    >>> from sklearn.metrics import get_scorer
    >>> takes_weights(get_scorer("accuracy"))
    True
    """
    own = getattr(scorer, "_accept_sample_weight", None)
    return (
        bool(own()) if own else "sample_weight" in inspect.signature(scorer).parameters
    )


@dataclass(frozen=True)
class Scored:
    """Scores of all fits by name (without those that failed): the folds of the first candidate, then of the next."""

    names: list[str]  # "score" where there is one scorer
    test: list[dict[str, float]]
    train: list[dict[str, float]]  # empty where these were not asked for
    seconds: list[float]
    lost: float  # the score of what failed


def score_all(
    measures: Measures,
    fits: Sequence[Any],
    failed: Sequence[bool],
    data: tuple[Any, Any, Any],
    folds: Sequence[tuple[Array, Array]],
    train: bool,
) -> Scored:
    """Score each fit on its test rows, and with ``train`` on its training rows; data: X, y, weights."""
    x, y, weights = data
    tests: list[dict[str, float]] = []
    trains: list[dict[str, float]] = []
    seconds = []
    for place, (learner, missing) in enumerate(zip(fits, failed, strict=True)):
        seen, unseen = folds[place % len(folds)]
        start = time.perf_counter()
        tests.append(
            {} if missing else measures.measured(learner, x, y, unseen, weights)
        )
        seconds.append(0.0 if missing else time.perf_counter() - start)
        if train:
            trains.append(
                {} if missing else measures.measured(learner, x, y, seen, weights)
            )
    found = list(
        dict.fromkeys(name for scores in tests for name in scores)
    )  # a function may give several
    names = list(measures.scorers) if measures.several or not found else found
    return Scored(names, tests, trains, seconds, measures.lost)


def results_table(
    candidates: Sequence[dict[str, Any]], scored: Scored, fit_seconds: float
) -> dict[str, Any]:
    """Return ``cv_results_``: times, parameters, scores of each fold, their mean, standard deviation and rank."""
    n = len(candidates)
    own = np.reshape(scored.seconds, (n, -1))
    table: dict[str, Any] = {
        "mean_fit_time": np.full(n, fit_seconds),
        "std_fit_time": np.zeros(n),
        "mean_score_time": own.mean(axis=1),
        "std_score_time": own.std(axis=1),
    }
    for name in dict.fromkeys(name for params in candidates for name in params):
        table[f"param_{name}"] = _column(
            [params.get(name, np.ma.masked) for params in candidates]
        )
    table["params"] = list(candidates)
    for name in scored.names:
        scores = np.reshape(
            [found.get(name, scored.lost) for found in scored.test], (n, -1)
        )
        table |= _summary("test", name, scores)
        means = scores.mean(axis=1)
        least = 0.0 if np.isnan(means).all() else np.nanmin(means) - 1
        table[f"rank_test_{name}"] = rankdata(
            -np.nan_to_num(means, nan=least), method="min"
        ).astype(np.int32)
        if scored.train:
            seen = np.reshape(
                [found.get(name, scored.lost) for found in scored.train], (n, -1)
            )
            table |= _summary("train", name, seen)
    return table


def _summary(part: str, name: str, scores: Array) -> dict[str, Any]:
    table = {
        f"split{fold}_{part}_{name}": scores[:, fold] for fold in range(scores.shape[1])
    }
    return table | {
        f"mean_{part}_{name}": scores.mean(axis=1),
        f"std_{part}_{name}": scores.std(axis=1),
    }


def _column(values: Sequence[Any]) -> Any:
    """Return a masked column: numeric where all values are, else of objects."""
    present = [value for value in values if value is not np.ma.masked]
    try:
        array = np.array(present)
        kind = (
            array.dtype
            if array.ndim == 1 and array.dtype.kind != "U"
            else np.dtype(object)
        )
    except ValueError:
        kind = np.dtype(object)
    column = np.ma.MaskedArray(np.empty(len(values), kind), mask=True)
    for place, value in enumerate(values):
        if value is not np.ma.masked:
            column[place] = value
    return column
