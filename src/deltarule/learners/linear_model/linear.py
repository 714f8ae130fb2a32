"""The base classes of linear classifiers: validated data with a bias column, scores Θ[x, 1], and warm starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, DivergenceError
from deltarule.learners.base import (
    Array,
    checked_fit,
    checked_predict,
    class_factors,
    encode_classes,
    encode_part,
    switch,
    weights_for,
    with_bias,
)
from deltarule.learners.linear_model.objective import Data

_LARGEST = 1e150  # input whose square is finite


@contextmanager
def unless_diverged(learner: Any) -> Iterator[None]:
    """Restore the attributes of a learner where its fit ends with a DivergenceError."""
    before = dict(vars(learner))
    try:
        yield
    except DivergenceError:
        vars(learner).clear()
        vars(learner).update(before)
        raise


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Scores Θ[x, 1], one row of Θ per class; the class of the largest score is predicted, the first of ties.

    A sparse X stays sparse in Newton steps and predictions; the delta rule converts it
    to an array.

    >>> from deltarule.learners import Perceptron
    >>> Perceptron().fit([[-1.0], [2.0]], ["no", "yes"]).classes_.tolist()
    ['no', 'yes']
    """

    coef_: Array
    intercept_: Any
    classes_: Array
    class_weight: Any
    fit_intercept: bool
    warm_start: bool

    def _examples(
        self, x: Any, y: Any, sample_weight: Any = None
    ) -> tuple[Any, Array, Array]:
        """Return (X, targets, weights) of a fit; X may be sparse or float32."""
        before = getattr(self, "classes_", None)
        rows, classes = checked_fit(
            self, x, y, sparse=True, dtype=[np.float64, np.float32]
        )
        labels = self._targets(encode_classes(self, classes))
        if (
            self.warm_start
            and before is not None
            and not np.array_equal(before, self.classes_)
        ):
            raise self._other("classes", before, self.classes_)
        return (
            rows,
            labels,
            weights_for(rows, classes, sample_weight, self.class_weight),
        )

    def _all(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Data, Array]:
        """Return (inputs with bias, targets, weights), and the initial Θ."""
        rows, labels, weights = self._examples(x, y, sample_weight)
        return (self._inputs(rows), labels, weights), self._start(rows.shape[1])

    def _part(
        self, x: Any, y: Any, classes: Any, sample_weight: Any
    ) -> tuple[Data, Array]:
        """Return (inputs with bias, targets, weights) of a chunk, and the current Θ."""
        first = not hasattr(self, "coef_")
        rows, own = checked_fit(self, x, y, sparse=True, reset=first)
        labels = self._targets(encode_part(self, own, classes, first))
        weights = weights_for(rows, own, sample_weight) * class_factors(
            self, labels.astype(np.int64)
        )
        return (self._inputs(rows), labels, weights), self._zeros(
            rows.shape[1]
        ) if first else self._known()

    def _inputs(self, x: Any) -> Array:
        """Return X as an array with a last feature of 1; raise DataError for numbers whose squares overflow."""
        self._check_switches()
        rows = (x.toarray() if sparse.issparse(x) else x).astype(np.float64, copy=False)
        largest = max(float(rows.max()), -float(rows.min()))
        if largest > _LARGEST:
            raise DataError(
                f"{type(self).__name__} X",
                expected=f"numbers up to {_LARGEST:g}, which have finite squares",
                got=f"{largest:g}",
                hint="Scale the features, for instance by MaxAbsScaler().",
            )
        return with_bias(rows) if self.fit_intercept else rows

    def _check_switches(self) -> None:
        switch(self, "fit_intercept")
        switch(self, "warm_start")

    def _start(self, features: int) -> Array:
        """Return the initial Θ: 0, or with ``warm_start`` that of the previous fit, if it has the same shape."""
        zeros = self._zeros(features)
        if not (self.warm_start and hasattr(self, "coef_")):
            return zeros
        known = self._known()
        if known.shape != zeros.shape:
            raise self._other("features", known.shape[1] - self.fit_intercept, features)
        return known

    def _other(self, what: str, before: Any, now: Any) -> ArgumentError:
        return ArgumentError(
            f"{type(self).__name__} warm_start",
            expected=f"the {what} of the last fit, {before}",
            got=str(now),
            hint="Set warm_start=False to start anew.",
        )

    def _known(self) -> Array:
        """Return Θ from ``coef_`` and ``intercept_``."""
        coefficients = np.atleast_2d(self.coef_)
        return (
            np.column_stack([coefficients, np.atleast_1d(self.intercept_)])
            if self.fit_intercept
            else coefficients.copy()
        )

    def _targets(self, labels: Array) -> Array:
        """Return labels in the form that the loss expects."""
        return labels

    def _zeros(self, features: int) -> Array:
        return np.zeros((len(self.classes_), features + bool(self.fit_intercept)))

    def _keep(self, theta: Array) -> Self:
        if self.fit_intercept:
            self.coef_, self.intercept_ = theta[:, :-1], theta[:, -1]
        else:
            self.coef_, self.intercept_ = theta, np.zeros(len(theta))
        return self

    def _scores(self, x: Any) -> Array:
        return np.asarray(
            checked_predict(self, x, sparse=True) @ self.coef_.T + self.intercept_
        )

    def decision_function(self, X: Any) -> Array:
        """Return the scores (N, K); for two classes the difference (N,) of the second to the first.

        >>> from deltarule.learners import Perceptron
        >>> learner = Perceptron().fit([[-1.0], [2.0]], ["no", "yes"])
        >>> (learner.decision_function([[-2.0], [2.0]]) > 0).tolist()
        [False, True]
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:
        """Return the class of the highest score; the first of ties.

        >>> from deltarule.learners import Perceptron
        >>> Perceptron().fit([[-1.0], [2.0]], ["no", "yes"]).predict([[-3.0]]).tolist()
        ['no']
        """
        best = self._scores(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class BinaryClassifier(LinearClassifier):
    """A linear boundary between two classes, Θ of one row; the second of ``classes_`` is the positive class."""

    def decision_function(self, X: Any) -> Array:
        """Return z = θᵀx + b, (N,); |z|/‖θ‖ is the distance from the boundary."""
        return self._scores(X)

    def predict(self, X: Any) -> Array:
        """Return the class: the positive one where z ≥ 0."""
        positive = self._scores(X) >= 0
        return np.asarray(self.classes_[positive.astype(int)])

    def _targets(self, labels: Array) -> Array:
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. {type(self).__name__} got {len(self.classes_)} classes: "
                "wrap it in sklearn.multiclass.OneVsRestClassifier."
            )
        return labels.astype(np.float64)

    def _zeros(self, features: int) -> Array:
        return np.zeros((1, features + bool(self.fit_intercept)))

    def _keep(self, theta: Array) -> Self:
        super()._keep(theta)
        self.coef_, self.intercept_ = self.coef_[0], float(self.intercept_[0])
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


check_calls(__name__)
