"""Choosing models: learning and validation curves, and checks that nothing leaks (DA-06, DA-16, DA-18).

Splitters and searches are scikit-learn's: ``KFold``, ``GroupKFold``, ``GridSearchCV``, ``RandomizedSearchCV`` and
``HalvingGridSearchCV`` take every learner here as it is.
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

from deltarule.errors import ArgumentError, DataError, GraphError
from deltarule.learners.model_selection.batched_fit import (
    fit_together,
    scores_of,
    warn_of_divergence,
)
from deltarule.learners.model_selection.leakage import code, coded, table, telling
from deltarule.learners.neural_network.network import Network
from deltarule.render.table import text_table

Numbers = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Curve:
    """Scores along a parameter (or a number of examples): arrays (points, folds)."""

    name: str
    points: tuple[Any, ...]
    training: Numbers
    validation: Numbers

    @property
    def best(self) -> Any:
        """The point with the highest mean validation score, the first of equal ones."""
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
    **options: Any,
) -> Curve:
    """Return scores against the number of training examples: do more data help (DA-16)?

    ``options`` are those of scikit-learn's ``learning_curve`` (cv, groups, scoring, n_jobs, shuffle …). Neural
    learners are fitted side by side, all folds and sizes in one program, which takes a fraction of the time and finds
    the same within rounding; with other options than those named, one after the other.
    """
    name = "training examples"
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
    **options: Any,
) -> Curve:
    """Return scores against a hyperparameter: too simple on one side, too complicated on the other (DA-18).

    ``options`` are those of scikit-learn's ``validation_curve`` (cv, groups, scoring, n_jobs …). Neural learners are
    fitted side by side as in ``learning_curve``.
    """
    if not len(values):
        raise ArgumentError(
            "validation_curve values", expected="at least one", got="none"
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


class _Fit(NamedTuple):
    """A fit for a curve: hyperparameters that differ, and the rows to fit and to score on."""

    parameters: dict[str, Any]
    train: Any
    test: Any


def _side_by_side(
    estimator: Any, y: Any, options: Mapping[str, Any], more: Set[str]
) -> bool:
    """Return whether ``fit_together`` can do what is asked."""
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
    """Return training and validation scores (points, folds) of fits side by side; None if one of them cannot begin."""
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
    except GraphError:  # no property of a fit: a program that cannot be built
        raise
    except ValueError:
        return None  # one after the other, the others are scored
    warn_of_divergence(learners)
    training, validation = (
        scores_of(learners, scorer, x, y, rows).reshape(-1, n_folds)
        for rows in ([fit.train for fit in plan], [fit.test for fit in plan])
    )
    return training, validation


@final
@dataclass(frozen=True)
class Leak:
    """One way in which validation data are known to the training: what it is, and where."""

    kind: str
    message: str
    places: tuple[Any, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def shared_rows(train: Any, test: Any) -> list[tuple[int, int]]:
    """Return (row of train, row of test) of equal examples; of several equal training rows the first (DA-06).

    Columns are of numbers or of categories, such as text; what is missing equals what is missing.
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
    """Return the groups (patients, documents, scenes) that have examples on both sides (DA-06)."""
    return list(np.intersect1d(np.asarray(train), np.asarray(test)).tolist())


def revealing_features(
    x: Any, y: Any, threshold: float = 0.9999
) -> list[tuple[int, float]]:
    """Return (feature, how well it tells y by itself) of features that are the target in another guise.

    The best counts of the share of right answers when every value of the feature is read as its most frequent label
    (at most half as many values as examples, and for numbers no more than labels, or labels that alternate along
    them); the share when it is cut half-way between the classes, if these are as narrow as labels with a little noise
    are; and for targets that are numbers, whole ones too, the squared correlations of numbers and of ranks, so that
    2·y and y³ are found. Text and other categories are compared by value. Rows without a target are left out.

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
    """Return what makes validation look better than it is; an empty list if nothing was found.

    Checked: equal rows on both sides; with ``y_train`` features that tell the target by themselves (see
    ``revealing_features``); with groups those on both sides. Inputs are arrays, lists or frames, of numbers or text.

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
            message = f"feature {name} tells the target by itself ({value:.2%})"
            leaks.append(Leak("target among the features", message, (feature,)))
    if (groups_train is None) != (groups_test is None):
        raise ArgumentError(
            "find_leaks groups",
            expected="groups of both sides, or of none",
            got="those of one side",
        )
    both = [] if groups_train is None else shared_groups(groups_train, groups_test)
    if both:
        message = f"{len(both)} groups are on both sides, among them {both[0]!r}: split by group"
        leaks.append(Leak("groups", message, tuple(both)))
    return leaks
