"""Model selection: learning curves, validation curves, and detection of data leakage.

For splitters and searches take scikit-learn's ``KFold``, ``GroupKFold``,
``GridSearchCV``, ``RandomizedSearchCV`` and ``HalvingGridSearchCV``, which accept all
learners of this package.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt
from sklearn import model_selection
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.model_selection._validation import _translate_train_sizes
from sklearn.utils import check_random_state
from sklearn.utils.validation import indexable

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, GraphError
from deltarule.learners.model_selection.batched_fit import (
    fit_together,
    scores_of,
    warn_of_divergence,
)
from deltarule.learners.model_selection.leakage import code, coded, table, telling
from deltarule.learners.neural_network.network import Network
from deltarule.render.table import text_table

__all__ = [
    "Curve",
    "Leak",
    "find_leaks",
    "learning_curve",
    "revealing_features",
    "shared_groups",
    "shared_rows",
    "validation_curve",
]

Numbers = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Curve:
    """Training and validation scores by a hyperparameter, or by the number of examples.

    Attributes:
        name: What the points are.
        points: The values.
        training: Training scores (points, folds).
        validation: Validation scores (points, folds).

    >>> curve = Curve("depth", (1, 2), np.array([[0.7], [0.9]]), np.array([[0.6], [0.5]]))
    >>> curve.best, curve.gap.round(6).tolist()
    (1, [0.1, 0.4])
    """

    name: str
    points: tuple[Any, ...]
    training: Numbers
    validation: Numbers

    @property
    def best(self) -> Any:
        """The point of the highest mean validation score, the first of ties."""
        return self.points[int(self.validation.mean(axis=1).argmax())]

    @property
    def gap(self) -> Numbers:
        """Training minus validation score, the mean over folds: large where a model overfits."""
        return np.asarray(self.training.mean(axis=1) - self.validation.mean(axis=1))

    def __str__(self) -> str:
        rows = [
            [
                str(point),
                f"{t.mean():.4f} ± {t.std():.4f}",
                f"{v.mean():.4f} ± {v.std():.4f}",
            ]
            for point, t, v in zip(
                self.points, self.training, self.validation, strict=True
            )
        ]
        return text_table(rows, header=(self.name, "training", "validation"), rule=True)


def learning_curve(
    estimator: Any,
    x: Any,
    y: Any,
    sizes: Sequence[float | int] = (0.1, 0.325, 0.55, 0.775, 1.0),
    *,
    groups: Any = None,
    cv: Any = None,
    scoring: Any = None,
    n_jobs: int | None = None,
    shuffle: bool = False,
    random_state: Any = None,
    exploit_incremental_learning: bool = False,
    pre_dispatch: int | str = "all",
    verbose: int = 0,
    error_score: float | str = np.nan,
    params: Mapping[str, Any] | None = None,
) -> Curve:
    """Return training and validation scores by the number of training examples.

    Neural learners are trained in one program, all folds and sizes together, in a
    fraction of the time and with equal results up to rounding; with any of the last five
    options (from ``exploit_incremental_learning`` on), one after the other.

    Args:
        estimator: Any estimator.
        x: Examples.
        y: Targets.
        sizes: Numbers of training examples, or fractions of them.
        groups: Groups for the splitter.
        cv: Splitter, or number of folds.
        scoring: Name of a score, or a scorer; None for that of the estimator.
        n_jobs: Number of fits that run in parallel.
        shuffle: Whether training examples are shuffled before they are cut to size.
        random_state: Seed or generator of ``shuffle``.
        exploit_incremental_learning: Whether larger sizes continue by ``partial_fit``.
        pre_dispatch: Number of fits that are dispatched in advance.
        verbose: Amount of output.
        error_score: Score of a fit that fails, or "raise".
        params: Parameters of ``fit`` and of the scorer.

    >>> from deltarule.learners import Ridge
    >>> x = [[float(i)] for i in range(20)]
    >>> learning_curve(Ridge(), x, [2 * i for i in range(20)], sizes=[4, 16], cv=5).points
    (4, 16)
    """
    name = "training examples"
    options = _not_default(
        groups=groups,
        cv=cv,
        scoring=scoring,
        n_jobs=n_jobs,
        shuffle=shuffle,
        random_state=random_state,
        exploit_incremental_learning=exploit_incremental_learning,
        pre_dispatch=pre_dispatch,
        verbose=verbose,
        error_score=error_score,
        params=params,
    )
    if _side_by_side(estimator, y, options, {"shuffle", "random_state"}):
        folds = _folds(estimator, x, y, options)
        counts = _translate_train_sizes(np.asarray(sizes), len(folds[0][0]))
        order = check_random_state(copy.deepcopy(options.get("random_state")))
        mixed = (
            [order.permutation(train) for train, _ in folds]
            if options.get("shuffle")
            else [a for a, _ in folds]
        )
        plan = [
            _Fit({}, train[:n], test)
            for n in counts
            for train, (_, test) in zip(mixed, folds, strict=True)
        ]
        found = _scores(estimator, x, y, plan, len(folds), options)
        if found is not None:
            return Curve(name, tuple(int(n) for n in counts), *found)
        options |= {"cv": folds}
    counts, training, validation = model_selection.learning_curve(
        estimator, x, y, train_sizes=np.asarray(sizes), **options
    )[:3]
    return Curve(name, tuple(int(n) for n in counts), training, validation)


def validation_curve(
    estimator: Any,
    x: Any,
    y: Any,
    parameter: str,
    values: Sequence[Any],
    *,
    groups: Any = None,
    cv: Any = None,
    scoring: Any = None,
    n_jobs: int | None = None,
    pre_dispatch: int | str = "all",
    verbose: int = 0,
    error_score: float | str = np.nan,
    params: Mapping[str, Any] | None = None,
) -> Curve:
    """Return training and validation scores by a hyperparameter: from underfitting to overfitting.

    Neural learners are trained in one program as in ``learning_curve``; with any of the last four options (from
    ``pre_dispatch`` on), one after the other.

    Args:
        estimator: Any estimator.
        x: Examples.
        y: Targets.
        parameter: Name of the hyperparameter.
        values: Its values.
        groups: Groups for the splitter.
        cv: Splitter, or number of folds.
        scoring: Name of a score, or a scorer; None for that of the estimator.
        n_jobs: Number of fits that run in parallel.
        pre_dispatch: Number of fits that are dispatched in advance.
        verbose: Amount of output.
        error_score: Score of a fit that fails, or "raise".
        params: Parameters of ``fit`` and of the scorer.

    >>> from deltarule.learners import Ridge
    >>> x = [[float(i)] for i in range(20)]
    >>> validation_curve(Ridge(), x, [2 * i for i in range(20)], "alpha", [0.1, 1e4], cv=5).best
    0.1
    """
    if not len(values):
        raise ArgumentError(
            "validation_curve values", expected="at least one", got="none"
        )
    options = _not_default(
        groups=groups,
        cv=cv,
        scoring=scoring,
        n_jobs=n_jobs,
        pre_dispatch=pre_dispatch,
        verbose=verbose,
        error_score=error_score,
        params=params,
    )
    if _side_by_side(estimator, y, options, set()):
        folds = _folds(estimator, x, y, options)
        plan = [_Fit({parameter: value}, *fold) for value in values for fold in folds]
        found = _scores(estimator, x, y, plan, len(folds), options)
        if found is not None:
            return Curve(parameter, tuple(values), *found)
        options |= {"cv": folds}
    training, validation = model_selection.validation_curve(
        estimator, x, y, param_name=parameter, param_range=values, **options
    )
    return Curve(parameter, tuple(values), training, validation)


def _not_default(**options: Any) -> dict[str, Any]:
    """Return the options whose values are not scikit-learn's defaults."""
    defaults = {"error_score": np.nan, "pre_dispatch": "all", "verbose": 0}
    defaults |= {"shuffle": False, "exploit_incremental_learning": False}
    return {
        name: value
        for name, value in options.items()
        if value is not defaults.get(name)
    }


class _Fit(NamedTuple):
    """A fit of a curve: the hyperparameters that differ, and the rows to fit and to score on."""

    parameters: dict[str, Any]
    train: Any
    test: Any


def _side_by_side(
    estimator: Any, y: Any, options: Mapping[str, Any], more: Set[str]
) -> bool:
    """Return whether ``fit_together`` supports the options."""
    return (
        isinstance(estimator, Network)
        and y is not None
        and options.keys() <= {"cv", "groups", "scoring", "n_jobs"} | more
    )


def _folds(
    estimator: Any, x: Any, y: Any, options: Mapping[str, Any]
) -> list[tuple[Any, Any]]:
    rows, targets, groups = indexable(x, y, options.get("groups"))
    return list(
        check_cv(options.get("cv"), targets, classifier=is_classifier(estimator)).split(
            rows, targets, groups
        )
    )


def _scores(
    estimator: Any,
    x: Any,
    y: Any,
    plan: Sequence[_Fit],
    n_folds: int,
    options: Mapping[str, Any],
) -> tuple[Numbers, Numbers] | None:
    """Return training and validation scores (points, folds) of fits in one program; None if one cannot start."""
    x, y = indexable(x, y)
    scorer = check_scoring(estimator, scoring=options.get("scoring"))
    learners = [
        clone(estimator).set_params(**clone(fit.parameters, safe=False)) for fit in plan
    ]
    jobs = options.get("n_jobs")
    try:
        fit_together(
            learners,
            x,
            y,
            [fit.train for fit in plan],
            jobs if jobs and jobs > 0 else None,
        )
    except GraphError:  # a bug of the program and not of a fit
        raise
    except ValueError:
        return None  # fitted one after the other, the others have scores
    warn_of_divergence(learners)
    training, validation = (
        scores_of(learners, scorer, x, y, rows).reshape(-1, n_folds)
        for rows in ([fit.train for fit in plan], [fit.test for fit in plan])
    )
    return training, validation


@final
@dataclass(frozen=True)
class Leak:
    """One way in which information on the validation data leaks into training.

    Attributes:
        kind: "duplicates", "target among the features" or "groups".
        message: A description.
        places: Rows, features or groups concerned.

    >>> str(Leak("groups", "patient 7 is on both sides"))
    'groups: patient 7 is on both sides'
    """

    kind: str
    message: str
    places: tuple[Any, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def shared_rows(train: Any, test: Any) -> list[tuple[int, int]]:
    """Return (training row, test row) of equal examples; of several equal training rows the first.

    Columns are numeric or categorical, such as text; missing values equal each other.

    >>> shared_rows([[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [5.0, 6.0]])
    [(1, 0)]
    """
    tables = table(train, "shared_rows train"), table(test, "shared_rows test")
    wide, other = tables[0].shape[1], tables[1].shape[1]
    if wide != other:
        raise DataError(
            "shared_rows", expected=f"{wide} features in both", got=str(other)
        )
    (a, b), _ = coded(tables, "shared_rows")
    first: dict[bytes, int] = {}
    for i, row in enumerate(a):
        first.setdefault(row.tobytes(), i)
    return [
        (first[key], j) for j, row in enumerate(b) if (key := row.tobytes()) in first
    ]


def shared_groups(train: Any, test: Any) -> list[Any]:
    """Return the groups (patients, documents, scenes) that have examples in both training and test data.

    >>> shared_groups(["ann", "bob"], ["bob", "eve"])
    ['bob']
    """
    return list(np.intersect1d(np.asarray(train), np.asarray(test)).tolist())


def revealing_features(
    x: Any, y: Any, threshold: float = 0.9999
) -> list[tuple[int, float]]:
    """Return (feature, score) of the features that are transformations of the target: target leakage.

    The score is the largest of: the accuracy when each value of the feature predicts
    its most frequent label (at most half as many values as examples, and for numbers no
    more values than labels, or labels that alternate along them); the accuracy when the
    feature is cut half-way between the classes, if these are as narrow as labels with a
    little noise; and for numeric targets the squared correlations of values and of
    ranks, which find 2·y and y³. Categories are compared by value. Rows without a
    target are ignored.

    Args:
        x: Examples (N, d) of numbers or categories.
        y: Targets (N,).
        threshold: Least score to report.

    >>> revealing_features([[2.0 * i, i % 7] for i in range(300)], range(300))
    [(0, 1.0)]
    """
    rows, targets = table(x, "revealing_features x"), np.asarray(y)
    if targets.shape != (len(rows),):
        raise DataError(
            "revealing_features y",
            expected=f"{len(rows)} targets",
            got=f"shape {targets.shape}",
        )
    if not (isinstance(threshold, int | float) and 0 < threshold <= 1):
        raise ArgumentError(
            "revealing_features threshold",
            expected="a number in (0, 1]",
            got=repr(threshold),
        )
    (numbers,), ordered = coded([rows], "revealing_features x")
    wanted, as_numbers = code(targets, "revealing_features y")
    found = [
        (i, telling(numbers[:, i], ordered[i], wanted, as_numbers))
        for i in range(len(ordered))
    ]
    return [(i, value) for i, value in found if value >= threshold]


def find_leaks(
    x_train: Any,
    x_test: Any,
    y_train: Any = None,
    groups_train: Any = None,
    groups_test: Any = None,
) -> list[Leak]:
    """Return what makes a validation score optimistic; an empty list if nothing was found.

    It looks for equal rows in training and test data; with ``y_train`` for features
    that are transformations of the target (see ``revealing_features``); with groups for
    those on both sides.

    Args:
        x_train: Training examples: an array, list or frame of numbers or text.
        x_test: Test examples.
        y_train: Training targets.
        groups_train: Group of each training example.
        groups_test: Group of each test example.

    >>> [leak.kind for leak in find_leaks([[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0]])]
    ['duplicates']
    """
    leaks = []
    same = shared_rows(x_train, x_test)
    if same:
        message = f"{len(same)} of {len(x_test)} test rows are training rows too, the first is test row {same[0][1]}"
        leaks.append(Leak("duplicates", message, tuple(same)))
    if y_train is not None:
        names = list(getattr(x_train, "columns", ()))
        for feature, value in revealing_features(x_train, y_train):
            name = f"{feature} ({names[feature]!r})" if names else str(feature)
            message = f"feature {name} alone predicts the target ({value:.2%})"
            leaks.append(Leak("target among the features", message, (feature,)))
    if (groups_train is None) != (groups_test is None):
        raise ArgumentError(
            "find_leaks groups",
            expected="groups of both training and test data, or of neither",
            got="groups of one of them",
        )
    both = [] if groups_train is None else shared_groups(groups_train, groups_test)
    if both:
        message = (
            f"{len(both)} groups are in both, among them {both[0]!r}: split by group"
        )
        leaks.append(Leak("groups", message, tuple(both)))
    return leaks


check_calls(__name__)
