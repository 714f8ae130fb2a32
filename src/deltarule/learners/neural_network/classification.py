"""The base class of neural classifiers, multiclass and multilabel.

``predict_proba`` is softmax(logits), or the sigmoid for one score and for labels: what
cross-entropy, a proper scoring rule, fits to P(class|x). Its calibration depends on the
fit: stop early or regularise, since an overfitted network is overconfident; class
weights and label smoothing shift the probabilities on purpose. Hinge losses give scores
without probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from deltarule import losses
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.learners.base import (
    Array,
    check_labels,
    encode_classes,
    log_of,
    weights_for,
)
from deltarule.learners.neural_network import checks
from deltarule.learners.neural_network.custom import FunctionLoss, chosen_loss
from deltarule.learners.neural_network.network import (
    Job,
    Network,
    pair,
    relative,
)
from deltarule.learners.neural_network.parameters import TrainingParameters
from deltarule.losses import Loss

_ONE_SCORE = frozenset({"sigmoid", "sign"})  # links with one score for two classes


def _gives_probabilities(learner: Any) -> bool:
    if learner.loss == "auto":
        return True
    return chosen_loss(learner.loss).link in {"softmax", "sigmoid"}


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierNetwork(ClassifierMixin, TrainingParameters, Network):  # type: ignore[misc]  # scikit-learn has no types
    """Classification with a network."""

    class_weight: Any = None

    def _loss_for(self, multilabel: bool) -> Loss:
        if self.loss == "auto":
            return losses.get("binary_cross_entropy" if multilabel else "cross_entropy")
        chosen = chosen_loss(self.loss)
        if isinstance(chosen, FunctionLoss):
            return chosen
        if multilabel and chosen.link not in _ONE_SCORE:
            raise ArgumentError(
                f"{type(self).__name__} loss",
                expected="a loss for multilabel targets",
                got=chosen.name,
                hint="Write loss='binary_cross_entropy' or 'hinge'.",
            )
        if not multilabel and chosen.link in _ONE_SCORE and len(self.classes_) > 2:
            raise ArgumentError(
                f"{type(self).__name__} loss",
                expected="a loss for more than two classes",
                got=chosen.name,
                hint="Write loss='cross_entropy' or 'multiclass_hinge'.",
            )
        return chosen

    def _learn_classes(self, y: Array) -> Array:
        """Set ``classes_``; return labels (N,), or indicators of 0 and 1 (N, K)."""
        if y.ndim == 2 and type_of_target(y) == "multilabel-indicator":
            self._multilabel_ = True
            self.classes_ = np.arange(y.shape[1])
            return np.asarray(y, np.int64)
        self._multilabel_ = False
        return encode_classes(self, column_or_1d(y, warn=True))

    def _targets(self, labels: Array, loss: Loss) -> Array:
        """Return the targets in the form that the loss expects."""
        if loss.link not in _ONE_SCORE:
            return labels
        columns = labels if self._multilabel_ else labels[:, None]
        return (
            (2.0 * columns - 1.0) if loss.link == "sign" else columns.astype(np.float64)
        )

    def _n_scores(self, loss: Loss) -> int:
        one = not self._multilabel_ and loss.link in _ONE_SCORE
        return 1 if one else len(self.classes_)

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> Self:
        """Train for ``epochs``, or until early stopping; with ``warm_start`` continue the previous fit.

        Args:
            X: Examples (N, …), an array or a sparse matrix.
            y: Labels (N,), or indicators of 0 and 1 (N, K) for multilabel targets.
            sample_weight: One weight ≥ 0 per example; weight 2 equals the example
                twice.
            validation_data: (X, y), evaluated after each epoch. Without it,
                ``early_stopping`` holds out the fraction ``validation_fraction`` of the
                examples, stratified by class, with their weights.

        >>> from deltarule.learners import MLPClassifier
        >>> learner = MLPClassifier((), learning_rate=0.5, epochs=30, random_state=0, device="reference")
        >>> learner.fit([[-1.0], [1.0]], ["left", "right"]).predict([[0.8]]).tolist()
        ['right']
        """
        return self._execute(self._planned(X, y, sample_weight, validation_data))

    def _planned(
        self, x: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> Job:
        goes_on = self._goes_on()
        x, given = self._features(x, y, reset=not goes_on, multi_output=True)
        if goes_on:
            checks.check_classes(self, given)
        labels = self._learn_classes(given)
        loss = self._loss_for(self._multilabel_)
        n_scores = self._n_scores(loss)
        if goes_on:
            checks.check_outputs(self, "loss", n_scores, self._n_outputs)
        weights = self._weights(x, given, sample_weight)
        self._loss = loss
        seed = self._prepare(x, n_scores, fresh=not goes_on)
        held = (
            None
            if validation_data is None
            else self._held_out(*pair(self, validation_data))
        )
        return self._job(
            x,
            self._targets(labels, self._loss),
            self._loss,
            relative(weights),
            seed,
            held,
        )

    def _weights(self, x: Array, y: Array, sample_weight: Any) -> Array:
        """Return one weight per example: its sample weight times the weights of its class or labels."""
        by_label = self.class_weight is not None and not isinstance(
            self.class_weight, str
        )
        if not (self._multilabel_ and by_label):
            return weights_for(x, y, sample_weight, self.class_weight)
        factors = checks.label_factors(self, y)
        return weights_for(x, y, weights_for(x, y, sample_weight) * factors)

    def _held_out(self, x: Any, y: Any) -> tuple[Array, Array]:
        checked, given = self._features(x, y, reset=False, multi_output=True)
        return checked.reshape(-1, *self._shape_), self._targets(
            self._known_labels(given), self._loss
        )

    def _known_labels(self, y: Array) -> Array:
        """Return labels of known classes; raise ValueError for others."""
        if self._multilabel_:
            return np.asarray(y, np.int64)
        flat = column_or_1d(y)
        unknown = np.setdiff1d(flat, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has the classes {unknown}, which are not among {self.classes_}"
            )
        return np.asarray(np.searchsorted(self.classes_, flat), np.int64)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Make one pass over a chunk; the first call needs all ``classes``. Weights are not normalised."""
        first = not hasattr(self, "network_")
        x, given = self._features(X, y, reset=first, multi_output=True)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all data at once: pass sample_weight to partial_fit"
            )
        check_labels(self, given)
        if first:
            if classes is None:
                raise ValueError(
                    "classes must be passed on the first call to partial_fit."
                )
            self._learn_classes(np.asarray(classes) if given.ndim == 1 else given)
            self._loss = self._loss_for(self._multilabel_)
        elif classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                f"classes={classes!r} is not the same as on the last call to partial_fit: {self.classes_}"
            )
        labels = self._known_labels(given)
        weights = self._weights(x, given, sample_weight)
        seed = self._prepare(x, self._n_scores(self._loss), fresh=False)
        self._fit_part(x, self._targets(labels, self._loss), self._loss, weights, seed)
        return self

    def _scores(self, X: Any) -> Array:
        return self._outputs(self._features(X, reset=False)[0])

    def decision_function(self, X: Any) -> Array:
        """Return the scores (N, K); for two classes one score (N,), positive for the second class.

        >>> from deltarule.learners import MLPClassifier
        >>> learner = MLPClassifier((), learning_rate=0.5, epochs=30, random_state=0, device="reference")
        >>> (learner.fit([[-1.0], [1.0]], [0, 1]).decision_function([[-2.0], [2.0]]) > 0).tolist()
        [False, True]
        """
        scores = self._scores(X)
        if self._multilabel_ or scores.shape[1] > 2:
            return scores
        return (
            scores[:, 0] - self._threshold
            if scores.shape[1] == 1
            else scores[:, 1] - scores[:, 0]
        )

    @property
    def _threshold(self) -> float:
        """The output above which the second class, or a label, is predicted."""
        return 0.0 if self._loss.link == "sign" or self._loss.expects_logits else 0.5

    def predict(self, X: Any) -> Array:
        """Return the class of the highest score (the first of ties), or indicators for multilabel targets.

        >>> from deltarule.learners import MLPClassifier
        >>> learner = MLPClassifier((), learning_rate=0.5, epochs=30, random_state=0, device="reference")
        >>> learner.fit([[-1.0], [1.0]], ["no", "yes"]).predict([[-2.0], [2.0]]).tolist()
        ['no', 'yes']
        """
        scores = self._scores(X)
        if self._multilabel_:
            return (scores > self._threshold).astype(np.int64)
        best = (
            (scores[:, 0] > self._threshold).astype(int)
            if scores.shape[1] == 1
            else scores.argmax(axis=1)
        )
        return np.asarray(self.classes_[best])

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def predict_proba(self, X: Any) -> Array:
        """Return P(class|x), columns ordered as ``classes_``; for multilabel targets each column is independent."""
        found = self._outputs(
            self._features(X, reset=False)[0], loss=self._loss
        ).astype(np.float64)
        if self._multilabel_:
            return found
        both = (
            np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found
        )
        return np.asarray(both / both.sum(axis=1, keepdims=True))

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def predict_log_proba(self, X: Any) -> Array:
        """Return ln P(class|x), computed from the logits where the loss takes them, so that it stays finite."""
        check_is_fitted(self, "network_")
        if not self._loss.expects_logits:
            return log_of(self.predict_proba(X))
        scores = self._scores(X).astype(np.float64)
        if self._loss.link == "softmax":
            return np.asarray(log_softmax(scores, axis=1))
        right = np.asarray(log_expit(scores))
        return (
            right
            if self._multilabel_ or scores.shape[1] > 1
            else np.hstack([log_expit(-scores), right])
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


check_calls(__name__)
