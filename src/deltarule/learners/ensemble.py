"""Ensembles: bagging, voting, averaged probabilities, and the correlation of errors.

The mean of k predictions whose errors have variance v and pairwise covariance c has the
error variance v/k + (k − 1)c/k, which is v/k only for uncorrelated errors (Goodfellow
et al. 2016, section 7.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.learners.base import (
    Array,
    encode_classes,
    generator,
    log_of,
    require,
    whole,
)
from deltarule.learners.linear_model.least_squares import LinearRegression
from deltarule.learners.model_selection.batched_fit import fit_together
from deltarule.learners.naive_bayes.bayes import GaussianNaiveBayes
from deltarule.learners.neural_network.network import Network
from deltarule.nn import Module

__all__ = [
    "BaggingClassifier",
    "BaggingRegressor",
    "ErrorCorrelation",
    "average_proba",
    "bootstrap",
    "error_correlation",
    "majority",
]

Rows = npt.NDArray[np.int64]


def bootstrap(n: int, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Return n row numbers drawn with replacement, and the out-of-bag rows that were not drawn (about n/e).

    >>> drawn, out_of_bag = bootstrap(6, np.random.default_rng(0))
    >>> drawn.tolist(), out_of_bag.tolist()
    ([5, 3, 3, 1, 1, 0], [2, 4])
    """
    if not whole(1)(n):
        raise ArgumentError("bootstrap n", expected="a whole number ≥ 1", got=repr(n))
    drawn = random.integers(n, size=n)
    return drawn, np.setdiff1d(np.arange(n), drawn)


@dataclass(kw_only=True, eq=False, repr=False)
class _Bagging(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Clones of one estimator, each fitted to its own bootstrap sample; neural learners are trained in one program."""

    estimator: Any = field(default=None, kw_only=False)
    n_estimators: int = 10
    random_state: Any = None

    def _fit_members(
        self, x: Array, y: Array, default: Any, least_values: int = 1
    ) -> None:
        """Fit the members; a sample with fewer than ``least_values`` distinct targets is redrawn."""
        require(self, "n_estimators", whole(1), "a whole number ≥ 1")
        fits = self.estimator is None or (
            hasattr(self.estimator, "fit") and hasattr(self.estimator, "get_params")
        )
        require(
            self,
            "estimator",
            lambda _: fits,
            "an estimator (an object, not a class) or None",
        )
        random = generator(self.random_state)
        self.estimators_: list[Any] = []
        self.out_of_bag_: list[Rows] = []
        samples: list[Rows] = []
        while len(self.estimators_) < self.n_estimators:
            drawn, left = bootstrap(len(x), random)
            if len(np.unique(y[drawn])) < least_values:
                continue
            member = clone(default if self.estimator is None else self.estimator)
            if "random_state" in member.get_params():
                member.set_params(random_state=int(random.integers(2**31)))
            self.estimators_.append(member)
            self.out_of_bag_.append(left)
            samples.append(drawn)
        if all(isinstance(member, Network) for member in self.estimators_):
            fit_together(self.estimators_, x, y, samples)
        else:
            for member, drawn in zip(self.estimators_, samples, strict=True):
                member.fit(x[drawn], y[drawn])

    def _checked(self, x: Any) -> Array:
        check_is_fitted(self)
        return np.asarray(validate_data(self, x, reset=False))

    def _out_of_bag_mean(
        self, x: Array, predictions: Any
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return the mean prediction of the members that have not seen an example, and whether there is any."""
        total: Any = 0.0
        counts = np.zeros(len(x))
        for member, left in zip(self.estimators_, self.out_of_bag_, strict=True):
            if len(left):
                found = predictions(member, x[left])
                if np.ndim(total) == 0:
                    total = np.zeros((len(x), *found.shape[1:]))
                total[left] += found
                counts[left] += 1
        seen = counts > 0
        if not seen.any():
            return np.full(len(x), np.nan), seen
        divisors = np.maximum(counts, 1).reshape(-1, *[1] * (np.ndim(total) - 1))
        return np.asarray(total / divisors), seen


@final
@dataclass(kw_only=True, eq=False, repr=False)
class BaggingClassifier(ClassifierMixin, _Bagging):  # type: ignore[misc]  # as above
    """Classifiers fitted to bootstrap samples, whose probabilities or votes are averaged (Breiman 1996).

    Args:
        estimator: Any classifier; None for ``GaussianNaiveBayes``.
        n_estimators: Number of members.
        random_state: Seed of the random numbers; equal seeds give equal results.

    Attributes:
        classes_: Sorted class labels.
        estimators_: The fitted members.
        out_of_bag_: For each member the row numbers that it was not fitted to.
        oob_score_: Out-of-bag accuracy; NaN if no example is out of bag.

    >>> from deltarule.learners import KNNClassifier
    >>> x, y = [[float(i)] for i in range(20)], ["low"] * 10 + ["high"] * 10
    >>> learner = BaggingClassifier(KNNClassifier(1), n_estimators=15, random_state=0).fit(x, y)
    >>> learner.predict([[2.2], [17.1]]).tolist(), bool(learner.oob_score_ > 0.8)
    (['low', 'high'], True)
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Draw the bootstrap samples and fit the members.

        >>> from deltarule.learners import KNNClassifier
        >>> ensemble = BaggingClassifier(KNNClassifier(1), n_estimators=3, random_state=0)
        >>> ensemble.fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1]).predict([[0.2], [4.8]]).tolist()
        [0, 1]
        """
        x, targets = validate_data(self, X, y)
        labels = encode_classes(self, targets)
        self._fit_members(x, labels, GaussianNaiveBayes(), least_values=2)
        shares, seen = self._out_of_bag_mean(x, self._shares)
        self.oob_score_ = (
            float((shares[seen].argmax(axis=1) == labels[seen]).mean())
            if seen.any()
            else float("nan")
        )
        return self

    def _shares(self, member: Any, x: Array) -> Array:
        return class_shares(member, x, np.arange(len(self.classes_)))

    def predict_proba(self, X: Any) -> Array:
        """Return the mean of the members' probabilities, or the shares of their votes.

        >>> from deltarule.learners import KNNClassifier
        >>> ensemble = BaggingClassifier(KNNClassifier(1), n_estimators=3, random_state=0)
        >>> ensemble.fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1]).predict_proba([[0.5]]).tolist()
        [[1.0, 0.0]]
        """
        x = self._checked(X)
        return np.asarray(
            np.mean([self._shares(member, x) for member in self.estimators_], axis=0)
        )

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of ``predict_proba``, −∞ where a probability is 0."""
        return log_of(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """Return the class of the highest mean probability."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])


@final
@dataclass(kw_only=True, eq=False, repr=False)
class BaggingRegressor(RegressorMixin, _Bagging):  # type: ignore[misc]  # as above
    """Regressors fitted to bootstrap samples, whose predictions are averaged (Breiman 1996).

    Args:
        estimator: Any regressor; None for ``LinearRegression``.
        n_estimators: Number of members.
        random_state: Seed of the random numbers; equal seeds give equal results.

    Attributes:
        estimators_: The fitted members.
        out_of_bag_: For each member the row numbers that it was not fitted to.
        oob_score_: Out-of-bag R²; NaN for fewer than two out-of-bag examples.

    >>> from deltarule.learners import KNNRegressor
    >>> x, y = [[i / 10] for i in range(30)], [(i / 10) ** 2 for i in range(30)]
    >>> learner = BaggingRegressor(KNNRegressor(1), n_estimators=20, random_state=0).fit(x, y)
    >>> bool(learner.oob_score_ > 0.95), len(learner.estimators_)
    (True, 20)
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Draw the bootstrap samples and fit the members.

        >>> from deltarule.learners import KNNRegressor
        >>> ensemble = BaggingRegressor(KNNRegressor(1), n_estimators=3, random_state=0)
        >>> ensemble.fit([[0.0], [1.0]], [2.0, 2.0]).predict([[0.5]]).tolist()
        [2.0]
        """
        x, targets = validate_data(self, X, y, y_numeric=True)
        self._fit_members(x, np.asarray(targets, np.float64), LinearRegression())
        means, seen = self._out_of_bag_mean(
            x, lambda member, part: member.predict(part)
        )
        spread = (
            float(((targets[seen] - targets[seen].mean()) ** 2).sum())
            if seen.sum() > 1
            else 0.0
        )
        error = float(((targets[seen] - means[seen]) ** 2).sum())
        self.oob_score_ = 1 - error / spread if spread > 0 else float("nan")
        return self

    def predict(self, X: Any) -> Array:
        """Return the mean of the members' predictions."""
        x = self._checked(X)
        return np.asarray(
            np.mean([member.predict(x) for member in self.estimators_], axis=0)
        )


def class_shares(member: Any, x: Any, classes: Array) -> Array:
    """Return the probabilities of a fitted classifier in the order of ``classes``, or its votes where it has none.

    >>> from deltarule.learners import KNNClassifier
    >>> member = KNNClassifier(1).fit([[0.0], [1.0]], ["a", "c"])
    >>> class_shares(member, [[0.9]], np.array(["a", "b", "c"])).tolist()
    [[0.0, 0.0, 1.0]]
    """
    shares = np.zeros((len(x), len(classes)))
    if hasattr(member, "predict_proba"):
        shares[:, np.searchsorted(classes, member.classes_)] = member.predict_proba(x)
    else:
        shares[np.arange(len(x)), np.searchsorted(classes, member.predict(x))] = 1.0
    return shares


def average_proba(models: Sequence[Any], x: Any, weights: Any = None) -> Array:
    """Return the (weighted) mean of the probabilities of fitted classifiers: soft voting.

    Classifiers without probabilities contribute votes.

    Args:
        models: Fitted classifiers and modules (of ``Snapshots.models``, for example). A
            module contributes the softmax of its K outputs, or for one output z the
            probabilities 1 − σ(z) and σ(z).
        x: Examples (N, …).
        weights: One weight per model; None for equal weights.

    Returns:
        (N, K), columns in the order of the classes of all classifiers; for modules
        alone, of their outputs.

    Raises:
        ArgumentError: No models, unfitted ones, or weights without a positive sum.
        ShapeError: Modules with different numbers of outputs.

    >>> from deltarule import nn
    >>> model = nn.Sequential(nn.Linear(1, 1))
    >>> average_proba([model], [[0.0]]).tolist()  # the initial bias is 0
    [[0.5, 0.5]]
    """
    if not isinstance(models, Sequence) or not models:
        raise ArgumentError(
            "average_proba models",
            expected="a list of at least one classifier",
            got=repr(models),
        )
    for model in models:
        if not isinstance(model, Module) and not (
            hasattr(model, "classes_") and hasattr(model, "predict")
        ):
            raise ArgumentError(
                "average_proba models",
                expected="fitted classifiers and modules",
                got=repr(model),
                hint="Call its fit first, if it is a classifier.",
            )
    known = [model.classes_ for model in models if not isinstance(model, Module)]
    classes = np.unique(np.concatenate(known)) if known else np.empty(0)
    shares = [
        _module_shares(m, x, classes)
        if isinstance(m, Module)
        else class_shares(m, x, classes)
        for m in models
    ]
    if len({found.shape for found in shares}) > 1:
        shapes = " and ".join(sorted({str(found.shape) for found in shares}))
        raise ShapeError(
            "average_proba models",
            expected="modules with equal numbers of outputs",
            got=shapes,
        )
    if weights is not None and (
        np.shape(weights) != (len(models),) or not np.sum(weights) > 0
    ):
        raise ArgumentError(
            "average_proba weights",
            expected=f"{len(models)} numbers with a positive sum",
            got=repr(weights),
        )
    return np.asarray(np.average(np.stack(shares), axis=0, weights=weights))


def _module_shares(model: Module, x: Any, classes: Array) -> Array:
    """Return the probabilities (N, K) of a module: softmax of its outputs, or 1 − σ and σ of a single output."""
    scores = np.asarray(model.predict(np.asarray(x)), np.float64)
    if scores.ndim != 2 or (len(classes) and max(scores.shape[1], 2) != len(classes)):
        expected = (
            f"(N, {len(classes)}), one column per class" if len(classes) else "(N, K)"
        )
        raise ShapeError(
            "average_proba: outputs of a module",
            expected=expected,
            got=str(scores.shape),
        )
    logits = (
        np.concatenate([np.zeros_like(scores), scores], axis=1)
        if scores.shape[1] == 1
        else scores
    )
    return np.asarray(softmax(logits, axis=1))


def majority(predictions: Any) -> Array:
    """Return the most frequent of the predictions (models, N) for each example, the smallest of ties: hard voting.

    >>> majority([[1, 0, 2], [1, 2, 0], [0, 2, 1]]).tolist()
    [1, 2, 0]
    """
    rows = np.asarray(predictions)
    if rows.ndim != 2 or not rows.size:
        raise DataError(
            "majority", expected="predictions (models, N)", got=f"shape {rows.shape}"
        )
    classes, votes = np.unique(rows, return_inverse=True)
    counts = (votes.reshape(rows.shape)[:, :, None] == np.arange(len(classes))).sum(
        axis=0
    )
    return np.asarray(classes[counts.argmax(axis=1)])


@final
@dataclass(frozen=True)
class ErrorCorrelation:
    """Correlation of the errors of k models, and the error of their average.

    The average has the mean squared error v/k + (k − 1)c/k: v for identical errors, v/k
    for uncorrelated ones, less for errors that cancel (c < 0).

    Attributes:
        correlation: Correlation matrix (k, k) of the errors.
        variance: v, the average of the models' mean squared errors.
        covariance: c, the mean product of two models' errors.
        ensemble: The mean squared error of the averaged prediction.

    >>> ErrorCorrelation(np.eye(2), 1.0, 0.0, 0.5).ensemble
    0.5
    """

    correlation: npt.NDArray[np.float64]
    variance: float
    covariance: float
    ensemble: float

    def __str__(self) -> str:
        k = len(self.correlation)
        return (
            f"{k} models: mean squared error {self.variance:.4g} each, {self.ensemble:.4g} averaged "
            f"(uncorrelated errors would give {self.variance / k:.4g}); mean product of errors {self.covariance:.4g}"
        )


def error_correlation(predictions: Any, targets: Any) -> ErrorCorrelation:
    """Return the correlation of the errors of models from predictions (models, N) and targets (N,).

    For classifiers pass the probability of the positive class, or 0 for right and 1 for
    wrong with targets 0.

    >>> found = error_correlation([[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0])
    >>> found.variance, found.covariance, found.ensemble
    (1.0, -1.0, 0.0)
    """
    rows, y = np.asarray(predictions, np.float64), np.asarray(targets, np.float64)
    if rows.ndim != 2 or y.shape != rows.shape[1:] or rows.size == 0:
        raise DataError(
            "error_correlation",
            expected="predictions (models, N) and targets (N,)",
            got=f"{rows.shape} and {y.shape}",
        )
    errors = rows - y
    products = errors @ errors.T / errors.shape[1]
    k = len(rows)
    variance = float(np.trace(products)) / k
    covariance = (
        float(products.sum() - np.trace(products)) / (k * (k - 1)) if k > 1 else 0.0
    )
    centred = errors - errors.mean(axis=1, keepdims=True)
    scatter = centred @ centred.T
    scale = np.sqrt(np.outer(np.diag(scatter), np.diag(scatter)))
    correlation = np.divide(scatter, scale, out=np.eye(k), where=scale > 0)
    return ErrorCorrelation(
        correlation, variance, covariance, variance / k + (k - 1) * covariance / k
    )


check_calls(__name__)
