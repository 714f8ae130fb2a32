"""Neural learners trained together: folds, seeds and hyperparameters in one program (see ``train.fit_many``)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_sample_weight, _num_samples

from deltarule import train
from deltarule.arguments import check_calls
from deltarule.data import split
from deltarule.errors import (
    ArgumentError,
    DataError,
    DeltaruleError,
    GraphError,
    user_level,
)
from deltarule.learners.base import Array
from deltarule.learners.neural_network.checks import own_words
from deltarule.learners.neural_network.network import Job, Network
from deltarule.train.steps.prepare import strata

__all__ = ["fit_together"]

Rows = npt.NDArray[np.int64]
_FAILURES = (DeltaruleError, ValueError, TypeError)  # of one fit; others may succeed
Learner = TypeVar("Learner", bound=Network)


def fit_together(
    learners: Sequence[Learner],
    x: Any,
    y: Any,
    rows: Sequence[Any] | None = None,
    threads: int | None = None,
    *,
    sample_weight: Any = None,
) -> list[Learner]:
    """Fit neural classifiers or regressors in one program; each result is that of ``learner.fit(x[rows], y[rows])``.

    Learners may differ in everything: folds, ``random_state``, learning rates,
    penalties, early stopping, architecture. Those whose steps differ in numbers only
    share a program, which takes a fraction of the time; others get a program for each
    architecture. A learner with sample weights, or one with a class missing from its
    rows, is fitted alone.

    Args:
        learners: M different objects of one class, ``MLPClassifier`` for example.
        x: Examples (N, …), shared by all.
        y: Targets.
        rows: Row numbers (or a Boolean mask) to fit on, one array per learner; None for
            all rows.
        threads: Number of threads; None for all cores.
        sample_weight: One weight ≥ 0 per example, shared by all.

    Returns:
        The fitted learners. One whose loss became infinite or NaN keeps the weights
        before that step; ``history_.stop_reason`` tells so.

    Raises:
        ArgumentError: No learners, other estimators, the same object twice, or another
            number of ``rows``.

    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> from deltarule.learners import MLPRegressor
    >>> pair = [MLPRegressor((4,), learning_rate=rate, random_state=0, device="reference") for rate in (0.1, 0.01)]
    >>> [learner.n_iter_ for learner in fit_together(pair, x, [0.0, 1.0, 2.0, 3.0])]
    [100, 100]
    """
    plan = _plan(learners, x, rows, sample_weight)
    for group in _groups(
        [_Entry(fit.learner, fit.job(x, y), fit.rows) for fit in plan]
    ):
        _fit_group(group, _num_samples(x), threads)
    return list(learners)


def try_together(
    learners: Sequence[Network],
    x: Any,
    y: Any,
    rows: Sequence[Any],
    threads: int | None,
    sample_weight: Any,
) -> list[Exception | None]:
    """Fit learners as ``fit_together`` does; return the error of each, None for a successful fit.

    Where a group fails, its learners are fitted one after the other to find the cause.
    An error that none of them raises alone is a bug of the joint run and is raised.
    """
    plan = _plan(learners, x, rows, sample_weight)
    errors: dict[Network, Exception] = {}
    entries = []
    for fit in plan:
        try:
            entries.append(_Entry(fit.learner, fit.job(x, y), fit.rows))
        except _FAILURES as error:
            errors[fit.learner] = error
    for group in _groups(entries):
        try:
            _fit_group(group, _num_samples(x), threads)
        except GraphError:  # a bug of the program and not of a learner
            raise
        except _FAILURES as joint_error:
            own = {entry.learner for entry in group}
            found = _one_by_one([fit for fit in plan if fit.learner in own], x, y)
            if not found:
                raise joint_error from None
            errors |= found
    return [errors.get(learner) for learner in learners]


def _one_by_one(plan: Sequence[_Fit], x: Any, y: Any) -> dict[Network, Exception]:
    """Refit the learners of a group that failed; return the errors by learner."""
    errors: dict[Network, Exception] = {}
    for fit in plan:
        del fit.learner.network_
        try:
            fit.learner._execute(fit.job(x, y))
        except _FAILURES as error:
            errors[fit.learner] = error
    return errors


def scores_of(
    learners: Sequence[Network],
    scorer: Any,
    x: Any,
    y: Any,
    rows: Sequence[Any],
    sample_weight: Any = None,
) -> Array:
    """Return the score of each learner on its rows, NaN for a fit that diverged or failed."""
    found = np.full(len(learners), np.nan)
    for i, (learner, own) in enumerate(zip(learners, rows, strict=True)):
        weights = (
            {}
            if sample_weight is None
            else {"sample_weight": _safe_indexing(sample_weight, own)}
        )
        if not has_failed(learner):
            found[i] = scorer(
                learner, _safe_indexing(x, own), _safe_indexing(y, own), **weights
            )
    return found


def has_failed(learner: Network) -> bool:
    """Return whether the fit of a learner failed or diverged.

    >>> from deltarule.learners import MLPRegressor
    >>> learner = MLPRegressor((), epochs=1, random_state=0, device="reference")
    >>> has_failed(learner.fit([[0.0], [1.0]], [0.0, 1.0]))
    False
    """
    return not hasattr(learner, "history_") or learner.history_.diverged


def diverged_among(learners: Sequence[Network]) -> list[Network]:
    """Return the learners whose loss became infinite or NaN."""
    return [
        learner
        for learner in learners
        if hasattr(learner, "history_") and learner.history_.diverged
    ]


def warn_of_divergence(learners: Sequence[Network]) -> None:
    """Warn of learners whose loss became infinite or NaN."""
    bad = diverged_among(learners)
    if bad:
        message = (
            f"{len(bad)} of {len(learners)} fits diverged and score NaN, "
            f"the first after {bad[0].history_.steps} steps"
        )
        warnings.warn(message, FitFailedWarning, stacklevel=user_level())


@dataclass(frozen=True)
class _Fit:
    """A learner, and the rows and weights to fit it with."""

    learner: Network
    rows: Rows
    weights: Array | None

    def job(self, x: Any, y: Any) -> Job:
        """Validate the data and return the training job."""
        own = None if self.weights is None else self.weights[self.rows]
        return self.learner._planned(
            _safe_indexing(x, self.rows), _safe_indexing(y, self.rows), own
        )


def _plan(
    learners: Sequence[Network], x: Any, rows: Sequence[Any] | None, sample_weight: Any
) -> list[_Fit]:
    if not learners or not all(isinstance(learner, Network) for learner in learners):
        raise ArgumentError(
            "fit_together learners",
            expected="neural learners, at least one",
            got=repr(list(learners)),
        )
    if len({id(learner) for learner in learners}) < len(learners):
        raise ArgumentError(
            "fit_together learners",
            expected="different objects",
            got="the same object twice",
        )
    n = _num_samples(x)
    weights = (
        None
        if sample_weight is None
        else np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64))
    )
    own = _numbers(rows, len(learners), n)
    return [
        _Fit(learner, places, weights)
        for learner, places in zip(learners, own, strict=True)
    ]


@dataclass
class _Entry:
    """A learner, its training job, and the rows of its examples."""

    learner: Network
    job: Job
    rows: Rows

    def shares(self, other: _Entry) -> bool:
        """Return whether both jobs fit one call: the options that ``fit_many`` has one of are equal."""
        a, b = self, other
        settings = all(
            getattr(a.learner, name) == getattr(b.learner, name)
            for name in ("shuffle", "device", "metrics")
        )
        arrays = (
            a.job.inputs.dtype == b.job.inputs.dtype
            and a.job.inputs.shape[1:] == b.job.inputs.shape[1:]
        )
        targets = (
            a.job.targets.dtype == b.job.targets.dtype
            and a.job.targets.shape[1:] == b.job.targets.shape[1:]
        )
        return (
            settings
            and arrays
            and targets
            and (a.job.loss, a.job.batch_size) == (b.job.loss, b.job.batch_size)
        )

    def parts(self) -> tuple[Rows, Rows | None]:
        """Return the training rows, and those held out for early stopping."""
        if not self.job.fraction:
            return self.rows, None
        labels = strata(self.job.targets, self.job.loss)
        with own_words(self.learner):
            found = split(
                len(self.rows),
                validation=self.job.fraction,
                test=0.0,
                seed=self.job.seed,
                stratify=labels,
            )
        if not len(found.validation):
            raise DataError(
                f"{type(self.learner).__name__} validation_fraction",
                expected="a fraction that gives at least one example",
                got=f"{self.job.fraction}",
            )
        return self.rows[found.train], self.rows[found.validation]


def _numbers(rows: Sequence[Any] | None, learners: int, n: int) -> list[Rows]:
    if rows is None:
        return [np.arange(n, dtype=np.int64)] * learners
    if len(rows) != learners:
        raise ArgumentError(
            "fit_together rows",
            expected=f"one array for each of {learners} learners",
            got=str(len(rows)),
        )
    arrays = [np.asarray(own) for own in rows]
    return [
        np.flatnonzero(own) if own.dtype == np.bool_ else own.astype(np.int64)
        for own in arrays
    ]


def _groups(entries: Sequence[_Entry]) -> list[list[_Entry]]:
    """Return the learners grouped by shared options; a learner with weights is alone."""
    groups: list[list[_Entry]] = []
    for entry in entries:
        alone = entry.job.weights is not None or entry.learner.verbose > 0
        fitting = (
            None
            if alone
            else next(
                (g for g in groups if g[0].job.weights is None and g[0].shares(entry)),
                None,
            )
        )
        if fitting is None:
            groups.append([entry])
        else:
            fitting.append(entry)
    return groups


def _fit_group(entries: list[_Entry], n: int, threads: int | None) -> None:
    """Combine the arrays of the learners, and train those with consistent targets in one call."""
    first = entries[0].job
    inputs, targets = (
        np.zeros((n, *a.shape[1:]), a.dtype) for a in (first.inputs, first.targets)
    )
    known = np.zeros(n, np.bool_)
    joint = []
    for entry in entries:
        if len(entries) == 1 or not _agrees(entry, targets, known):
            entry.learner._execute(entry.job)
            continue
        inputs[entry.rows], targets[entry.rows], known[entry.rows] = (
            entry.job.inputs,
            entry.job.targets,
            True,
        )
        joint.append(entry)
    if joint:
        _fit_joint(joint, inputs, targets, threads)


def _agrees(entry: _Entry, targets: Array, known: npt.NDArray[np.bool_]) -> bool:
    """Return whether the targets of a learner are consistent with those of the previous ones."""
    shared = known[entry.rows]
    return np.array_equal(entry.job.targets[shared], targets[entry.rows[shared]])


def _fit_joint(
    entries: list[_Entry], inputs: Array, targets: Array, threads: int | None
) -> None:
    first, jobs = entries[0], [entry.job for entry in entries]
    parts = [entry.parts() for entry in entries]
    for held in (False, True):  # those with and those without held-out rows
        chosen = [
            place for place, (_, out) in enumerate(parts) if (out is not None) == held
        ]
        if not chosen:
            continue
        with own_words(first.learner):
            histories = train.fit_many(
                [entries[i].learner.network_ for i in chosen],
                inputs,
                targets,
                loss=first.job.loss,
                optimizer=[jobs[i].optimizer for i in chosen],
                regularizers=[list(jobs[i].regularizers) for i in chosen],
                callbacks=[list(jobs[i].callbacks) for i in chosen],
                seed=[jobs[i].seed for i in chosen],
                train_rows=[parts[i][0] for i in chosen],
                validation_rows=[parts[i][1] for i in chosen] if held else None,
                epochs=[entries[i].learner.epochs for i in chosen],
                batch_size=first.job.batch_size,
                metrics=first.learner.metrics,
                shuffle=first.learner.shuffle,
                device=first.learner.device,
                threads=threads,
            )
        for i, history in zip(chosen, histories, strict=True):
            entries[i].learner._trained(history)


check_calls(__name__)
