"""Generative classifiers: arg max P(x|c)P(c), computed in log space; they can sample.

Log likelihoods of counts are matrix products and those of full covariances triangular solves, by BLAS and LAPACK.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self, final

import numpy as np
from scipy import linalg, sparse
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_spreads, check_squares
from deltarule.errors import ArgumentError
from deltarule.learners.base import (
    Array,
    at_least,
    checked_fit,
    checked_predict,
    encode_classes,
    encode_part,
    require,
    weights_for,
    whole,
)
from deltarule.learners.linear_model.moments import Moments
from deltarule.learners.linear_model.streaming import RunningStatistics
from deltarule.learners.naive_bayes.normal_scores import normal_scores

__all__ = [
    "BernoulliNaiveBayes",
    "GaussianClassifier",
    "GaussianNaiveBayes",
    "MultinomialNaiveBayes",
]

_ROWS = 4096  # examples of a block


class _Generative(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Prior times likelihood, normalised by Bayes' rule."""

    classes_: Array
    class_prior_: Array
    _sparse = False  # whether X may be sparse
    _squared = False  # whether squares of X are taken
    _prior_name = "priors"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Estimate priors and likelihoods by (weighted) maximum likelihood.

        >>> GaussianNaiveBayes().fit([[0.0], [1.0], [4.0], [5.0]], list("aabb")).predict([[0.4]]).tolist()
        ['a']
        """
        x, targets = checked_fit(self, X, y, sparse=self._sparse)
        self._check_squares(x)
        self._check_spreads(x)
        labels = encode_classes(self, targets)
        self._begin(x.shape[1])
        return self._add(x, labels, weights_for(x, targets, sample_weight))

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Add a chunk: the estimates are those of all chunks together. The first call needs all ``classes``.

        >>> learner = GaussianNaiveBayes().partial_fit([[0.0], [1.0]], [0, 0], classes=[0, 1])
        >>> learner.partial_fit([[4.0], [5.0]], [1, 1]).predict([[4.4]]).tolist()
        [1]
        """
        first = not hasattr(self, "classes_")
        x, targets = checked_fit(self, X, y, sparse=self._sparse, reset=first)
        self._check_squares(x)
        self._check_spreads(x)
        labels = encode_part(self, targets, classes, first)
        if first:
            self._begin(x.shape[1])
        return self._add(x, labels, weights_for(x, targets, sample_weight))

    def _check_squares(self, x: Array) -> None:
        """Raise DataError for numbers whose squares, where they are needed, overflow."""
        if self._squared:
            check_squares(x, f"{type(self).__name__} X")

    def _check_spreads(self, x: Array) -> None:
        """Raise DataError for features whose variances, where they are needed, underflow."""
        if self._squared:
            check_spreads(x, f"{type(self).__name__} X", each=True)

    def _begin(self, n_features: int) -> None:
        """Reset the statistics."""
        self._counts = [self._statistic(n_features) for _ in self.classes_]
        self._whole = RunningStatistics()
        self.class_count_ = np.zeros(len(self.classes_))

    def _add(self, x: Array, labels: Array, weights: Array) -> Self:
        self._check(x)
        for start in range(0, len(x), _ROWS):
            self._whole.update_many(x[start : start + _ROWS])
        self.class_count_ = self.class_count_ + np.bincount(
            labels, weights, len(self.classes_)
        )
        for c, counted in enumerate(self._counts):
            rows = (labels == c) & (weights > 0)
            if rows.any():
                counted.add(x[rows], weights[rows])
        self.class_prior_ = self._prior()
        self._estimate()
        return self

    def _prior(self) -> Array:
        """Return the given priors, else the class frequencies; raise ArgumentError for invalid priors."""
        name = self._prior_name
        given = getattr(self, name)
        if given is not None:
            return _checked_priors(
                f"{type(self).__name__} {name}", given, len(self.classes_)
            )
        if not getattr(self, "fit_prior", True):
            return np.full(len(self.classes_), 1 / len(self.classes_))
        return np.asarray(self.class_count_ / self.class_count_.sum())

    def _statistic(self, n_features: int) -> Moments:
        """Return the statistics to accumulate for one class."""
        return Moments(n_features)

    @abstractmethod
    def _check(self, x: Array) -> None:
        """Raise for invalid hyperparameters and examples."""

    @abstractmethod
    def _estimate(self) -> None:
        """Estimate the parameters of P(x|c) from the statistics."""

    @abstractmethod
    def _log_likelihood(self, x: Array) -> Array:
        """Return ln P(x|c), (N, classes)."""

    @abstractmethod
    def _draw(self, label: int, n: int, generator: np.random.Generator) -> Array:
        """Return n samples of a class."""

    def predict_joint_log_proba(self, X: Any) -> Array:
        """Return ln P(x|c) + ln P(c)."""
        x = checked_predict(self, X, sparse=self._sparse)
        self._check_squares(x)
        with np.errstate(divide="ignore"):
            return np.asarray(self._log_likelihood(x) + np.log(self.class_prior_))

    def predict_log_proba(self, X: Any) -> Array:
        """Return ln P(c|x) by Bayes' rule."""
        joint = self.predict_joint_log_proba(X)
        return np.asarray(joint - logsumexp(joint, axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> Array:
        """Return P(c|x).

        >>> learner = GaussianNaiveBayes().fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
        >>> learner.predict_proba([[2.5]]).round(4).tolist()
        [[0.5, 0.5]]
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> Array:
        """Return the class of the highest posterior; the first of ties."""
        best = self.predict_joint_log_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def sample(self, n: int, random_state: int | None = None) -> tuple[Array, Array]:
        """Draw n examples: classes from the prior, features from their likelihood.

        Args:
            n: Number of examples.
            random_state: Seed.

        >>> learner = GaussianNaiveBayes().fit([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
        >>> examples, classes = learner.sample(3, random_state=0)
        >>> examples.shape, classes.shape
        ((3, 1), (3,))
        """
        check_is_fitted(self, "classes_")
        if not whole(0)(n):
            raise ArgumentError(
                f"{type(self).__name__}.sample n",
                expected="a whole number ≥ 0",
                got=repr(n),
            )
        generator = np.random.default_rng(random_state)
        labels = generator.choice(len(self.classes_), size=n, p=self.class_prior_)
        rows = np.empty((n, self.n_features_in_))
        for label in range(len(self.classes_)):
            chosen = labels == label
            rows[chosen] = self._draw(label, int(chosen.sum()), generator)
        return rows, self.classes_[labels]


def _checked_priors(where: str, given: Any, n: int) -> Array:
    """Return the probabilities of n classes; raise ArgumentError for anything else."""
    try:
        priors = np.array(given, np.float64)
    except (TypeError, ValueError):
        priors = np.empty(0)
    fits = (
        priors.shape == (n,)
        and bool((priors >= 0).all())
        and abs(float(priors.sum()) - 1) <= 1e-6
    )
    if not fits:
        raise ArgumentError(
            where,
            expected=f"{n} probabilities ≥ 0 with the sum 1, one per class",
            got=repr(given),
        )
    return priors


@final
class GaussianNaiveBayes(_Generative):
    """Gaussian naive Bayes: P(x|c) = Π_j N(x_j; μ_cj, σ²_cj), by maximum likelihood (Murphy 2012, section 3.5).

    Args:
        smoothing: Fraction of the largest feature variance that is added to all
            variances.
        priors: P(c) in the order of ``classes_``; None for the class frequencies of the data.

    Attributes:
        classes_: Sorted class labels.
        class_prior_: P(c).
        class_count_: Sum of the weights of each class.
        theta_: Means (K, d).
        var_: Variances (K, d).
        n_features_in_: Number of features seen by ``fit``.

    >>> learner = GaussianNaiveBayes().fit([[-1.0], [1.0], [4.0], [6.0]], list("aabb"))
    >>> learner.predict_proba([[2.5]]).round(6).tolist()
    [[0.5, 0.5]]
    """

    _squared = True

    def __init__(self, *, smoothing: float = 1e-9, priors: Any = None) -> None:
        self.smoothing = smoothing
        self.priors = priors

    def _check(self, x: Array) -> None:
        del x
        require(self, "smoothing", at_least(0), "a number ≥ 0")

    def _estimate(self) -> None:
        self.theta_ = np.stack([counted.mean for counted in self._counts])
        variances = np.stack(
            [counted.scatter / (counted.weight or 1.0) for counted in self._counts]
        )
        self.var_ = variances + max(
            self.smoothing * float(self._whole.variance().max(initial=0.0)), 1e-300
        )

    def _log_likelihood(self, x: Array) -> Array:
        return normal_scores(x, self.theta_, self.var_)

    def _draw(self, label: int, n: int, generator: np.random.Generator) -> Array:
        return generator.normal(
            self.theta_[label], np.sqrt(self.var_[label]), (n, self.n_features_in_)
        )


class _Counting(_Generative):
    """Likelihoods that depend on the sums Σ w·x of each class only, which are (sparse) matrix products."""

    _sparse = True
    _prior_name = "class_prior"

    def _begin(self, n_features: int) -> None:
        self._sums = np.zeros((len(self.classes_), n_features))
        self.class_count_ = np.zeros(len(self.classes_))
        self._length = self._seen = 0.0

    def _add(self, x: Any, labels: Array, weights: Array) -> Self:
        self._check(x)
        members = sparse.csr_matrix(
            (weights, (labels, np.arange(len(labels)))),
            (len(self.classes_), len(labels)),
        )
        sums = members @ self._counted(x)
        self._sums = self._sums + (sums.toarray() if sparse.issparse(sums) else sums)
        self._length, self._seen = (
            self._length + float(x.sum()),
            self._seen + x.shape[0],
        )
        self.class_count_ = self.class_count_ + np.bincount(
            labels, weights, len(self.classes_)
        )
        self.class_prior_ = self._prior()
        self._estimate()
        return self

    def _counted(self, x: Any) -> Any:
        """Return the features whose sums are accumulated."""
        return x

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


@final
class MultinomialNaiveBayes(_Counting):
    """Multinomial naive Bayes for documents: P(d|c) ∝ Π_w p(w|c)^count, p(w|c) = (count + α)/(total + α·words).

    ``sample`` draws documents of ``document_length_`` words. A sparse X, such as that
    of scikit-learn's ``CountVectorizer``, stays sparse. Reference: Manning, Raghavan and
    Schütze 2008, section 13.2.

    Args:
        alpha: Additive smoothing α of the counts; 1 is Laplace smoothing.
        fit_prior: Whether P(c) are the class frequencies of the data; else all classes
            are equally likely.
        class_prior: P(c) in the order of ``classes_``; None to follow ``fit_prior``.

    Attributes:
        classes_: Sorted class labels.
        class_prior_: P(c).
        class_count_: Sum of the weights of each class.
        feature_log_prob_: ln p(w|c), (K, d).
        document_length_: Mean number of words per document.
        n_features_in_: Number of features seen by ``fit``.

    >>> x = [[3, 0, 1], [2, 0, 0], [0, 2, 1], [0, 3, 1]]  # documents, counts of three words
    >>> learner = MultinomialNaiveBayes().fit(x, ["sport", "sport", "music", "music"])
    >>> learner.predict([[1, 0, 1], [0, 1, 1]]).tolist()
    ['sport', 'music']
    """

    def __init__(
        self, *, alpha: float = 1.0, fit_prior: bool = True, class_prior: Any = None
    ) -> None:
        self.alpha = alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def _check(self, x: Any) -> None:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        if (x.data if sparse.issparse(x) else x).min(initial=0.0) < 0:
            raise ValueError(
                "Negative values in data passed to MultinomialNaiveBayes: counts are ≥ 0."
            )

    def _estimate(self) -> None:
        smoothed = self._sums + max(self.alpha, 1e-10)
        self.feature_log_prob_ = np.log(smoothed) - np.log(
            smoothed.sum(axis=1, keepdims=True)
        )
        self.document_length_ = max(1, round(self._length / self._seen))

    def _log_likelihood(self, x: Array) -> Array:
        return np.asarray(x @ self.feature_log_prob_.T)

    def _draw(self, label: int, n: int, generator: np.random.Generator) -> Array:
        probabilities = np.exp(self.feature_log_prob_[label])
        return generator.multinomial(
            self.document_length_, probabilities / probabilities.sum(), size=n
        ).astype(float)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = (
            True  # the data of scikit-learn's checks are no counts
        )
        return tags


@final
class BernoulliNaiveBayes(_Counting):
    """Bernoulli naive Bayes: P(x|c) = Π_j p_cj^x_j (1 − p_cj)^(1 − x_j) for binary features.

    Features above ``threshold`` are 1, others 0. A sparse X stays sparse: with a
    threshold below 0 its unstored zeros are above it, and the features that are not are
    counted instead. Reference: Manning, Raghavan and Schütze 2008, section 13.3.

    Args:
        alpha: Additive smoothing of the counts of 1 and of 0.
        threshold: Features above it are 1, others 0.
        fit_prior: Whether P(c) are the class frequencies of the data; else all classes
            are equally likely.
        class_prior: P(c) in the order of ``classes_``; None to follow ``fit_prior``.

    Attributes:
        classes_: Sorted class labels.
        class_prior_: P(c).
        class_count_: Sum of the weights of each class.
        feature_prob_: p_cj, (K, d).
        n_features_in_: Number of features seen by ``fit``.

    >>> x = [[1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 0]]
    >>> learner = BernoulliNaiveBayes().fit(x, ["a", "a", "b", "b"])
    >>> learner.feature_prob_.tolist(), learner.predict_proba([[1, 0, 0]]).round(3).tolist()
    ([[0.75, 0.25, 0.5], [0.25, 0.75, 0.5]], [[0.9, 0.1]])
    """

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        threshold: float = 0.0,
        fit_prior: bool = True,
        class_prior: Any = None,
    ) -> None:
        self.alpha = alpha
        self.threshold = threshold
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def _check(self, x: Array) -> None:
        del x
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "threshold", at_least(-np.inf), "a number")

    def _counted(self, x: Any) -> Any:
        counted = x > self.threshold if self.threshold >= 0 else x <= self.threshold
        return counted.astype(np.float64)

    def _estimate(self) -> None:
        alpha = max(self.alpha, 1e-10)
        counts = (
            self._sums
            if self.threshold >= 0
            else self.class_count_[:, None] - self._sums
        )
        self.feature_prob_ = (counts + alpha) / (self.class_count_[:, None] + 2 * alpha)

    def _log_likelihood(self, x: Any) -> Array:
        """Return Σ_j of the log probability of the usual value, plus the difference where a feature is counted."""
        logs = np.log1p(-self.feature_prob_), np.log(self.feature_prob_)
        usual, counted = logs if self.threshold >= 0 else logs[::-1]
        return np.asarray(self._counted(x) @ (counted - usual).T + usual.sum(axis=1))

    def _draw(self, label: int, n: int, generator: np.random.Generator) -> Array:
        on = generator.random((n, self.n_features_in_)) < self.feature_prob_[label]
        return np.where(on, self.threshold + 1.0, self.threshold)


@final
class GaussianClassifier(_Generative):
    """Quadratic and linear discriminant analysis: x|c ~ N(μ_c, Σ_c) and Bayes' rule (Hastie et al. 2009, section 4.3).

    Args:
        covariance: "own" for one covariance matrix per class (quadratic boundaries),
            "shared" for a pooled one (linear boundaries).
        regularization: r in (1 − r)Σ + r·diag(Σ), which keeps Σ invertible whatever the units of the features are.
        priors: P(c) in the order of ``classes_``; None for the class frequencies of the data.

    Attributes:
        classes_: Sorted class labels.
        class_prior_: P(c).
        class_count_: Sum of the weights of each class.
        means_: Means (K, d).
        covariances_: Covariance matrices (K, d, d).
        n_features_in_: Number of features seen by ``fit``.

    >>> x = [[0, 0], [1, 1], [2, 2.5], [0, 3], [1, 4], [2, 5.5]]
    >>> learner = GaussianClassifier(covariance="shared").fit(x, list("aaabbb"))
    >>> learner.predict([[2, 2], [2, 5]]).tolist()
    ['a', 'b']
    """

    _squared = True

    def __init__(
        self,
        *,
        covariance: str = "own",
        regularization: float = 1e-6,
        priors: Any = None,
    ) -> None:
        self.covariance = covariance
        self.regularization = regularization
        self.priors = priors

    def _statistic(self, n_features: int) -> Moments:
        return Moments(n_features, full=True)

    def _check(self, x: Array) -> None:
        del x
        require(self, "covariance", {"own", "shared"}.__contains__, "'own' or 'shared'")
        require(self, "regularization", lambda r: 0 <= r <= 1, "a number in [0, 1]")

    def _estimate(self) -> None:
        self.means_ = np.stack([counted.mean for counted in self._counts])
        if self.covariance == "shared":
            pooled = sum(counted.scatter for counted in self._counts) / sum(
                counted.weight for counted in self._counts
            )
            covariances = [pooled] * len(self._counts)
        else:
            covariances = [
                counted.scatter / (counted.weight or 1.0) for counted in self._counts
            ]
        r, spread = self.regularization, self._whole.variance()
        floor = 1e-12 * np.where(spread > 0, spread, 1.0)
        self.covariances_ = np.stack(
            [(1 - r) * c + np.diag(r * np.diagonal(c) + floor) for c in covariances]
        )

    def _log_likelihood(self, x: Array) -> Array:
        columns = []
        for mean, covariance in zip(self.means_, self.covariances_, strict=True):
            lower = np.linalg.cholesky(covariance)
            z = linalg.solve_triangular(
                lower, (x - mean).T, lower=True, overwrite_b=True, check_finite=False
            )
            log_det = 2 * np.log(np.diag(lower)).sum()
            constant = log_det + x.shape[1] * np.log(2 * np.pi)
            columns.append(-0.5 * (np.einsum("dn,dn->n", z, z) + constant))
        return np.stack(columns, axis=1)

    def _draw(self, label: int, n: int, generator: np.random.Generator) -> Array:
        return generator.multivariate_normal(
            self.means_[label], self.covariances_[label], size=n
        )


check_calls(__name__)
