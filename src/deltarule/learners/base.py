"""Conventions that all learners share: validated input, encoded classes, checked hyperparameters.

A constructor only stores its arguments; ``fit`` validates them, sets attributes that
end in ``_`` and returns ``self``.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from deltarule.backends.base import Executable
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.flags import check_parameters
from deltarule.graph.program import Program
from deltarule.losses import Loss
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor, symbol

Array = npt.NDArray[Any]


def checked_fit(
    learner: Any,
    x: Any,
    y: Any,
    *,
    sparse: bool = False,
    reset: bool = True,
    dtype: Any = np.float64,
    **options: Any,
) -> tuple[Array, Array]:
    """Return validated (X, y) of equal length, X in float64 (or ``dtype``); raise scikit-learn's errors.

    With ``sparse`` a sparse X is returned as CSR; sparse targets of several outputs
    become dense.
    """
    check_parameters(learner, type(learner).__init__)
    kinds = tuple(np.atleast_1d(np.asarray(dtype, object)))
    if reset and not options and are_plain(x, y, kinds):
        return known_features(learner, x), y
    accept: Any = ["csr"] if sparse else False
    checked = validate_data(
        learner,
        x,
        dense_targets(y) if "multi_output" in options else y,
        dtype=dtype,
        accept_sparse=accept,
        reset=reset,
        **options,
    )
    return checked[0], checked[1]


def dense_targets(y: Any) -> Any:
    """Return sparse targets as an array.

    >>> dense_targets([1.0, 2.0])
    [1.0, 2.0]
    """
    return y.toarray() if issparse(y) else y


def checked_predict(learner: Any, x: Any, *, sparse: bool = False) -> Any:
    """Return X in float64 with the number of features seen by ``fit``: an array, or CSR if ``sparse``."""
    check_is_fitted(learner)
    if is_plain(learner, x, (np.float64,)):
        return x
    accept: Any = ["csr"] if sparse else False
    return validate_data(
        learner, x, dtype=np.float64, accept_sparse=accept, reset=False
    )


def is_plain(learner: Any, x: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether scikit-learn's validation would return X unchanged, in a tenth of its time."""
    known = vars(learner)
    return (
        _is_table(x, kinds)
        and x.shape[1] == known.get("n_features_in_")
        and "feature_names_in_" not in known
        and bool(np.isfinite(x).all())
    )


def are_plain(x: Any, y: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether scikit-learn's validation would return X and numeric y unchanged.

    >>> x, y = np.ones((2, 1)), np.array([0, 1])
    >>> are_plain(x, y, (np.float64,)), are_plain(x * np.nan, y, (np.float64,))
    (True, False)
    """
    return (
        _is_table(x, kinds)
        and type(y) is np.ndarray
        and y.shape == x.shape[:1]
        and (y.dtype.kind in "biu" or y.dtype.type in {np.float32, np.float64})
        and bool(np.isfinite(x).all())
        and bool(np.isfinite(y).all())
    )


def known_features(learner: Any, x: Array) -> Array:
    """Record the number of features of X, which have no names, and return X."""
    learner.n_features_in_ = x.shape[1]
    vars(learner).pop("feature_names_in_", None)
    return x


def _is_table(x: Any, kinds: tuple[type, ...]) -> bool:
    return (
        type(x) is np.ndarray
        and x.ndim == 2
        and x.dtype.type in kinds
        and x.dtype.isnative
        and x.size > 0
    )


def check_labels(learner: Any, y: Array) -> None:
    """Raise DataError for objects of several types, which have no order, and ValueError for continuous targets."""
    kinds = {type(label).__name__ for label in y.flat} if y.dtype == object else set()
    if len(kinds) > 1:
        raise DataError(
            f"{type(learner).__name__} y",
            expected="labels of one type, strings or numbers",
            got=" and ".join(sorted(kinds)),
            hint="Convert them to one type: y = [str(label) for label in y], or np.asarray(y, int).",
        )
    check_classification_targets(y)


def encode_classes(learner: Any, y: Array) -> npt.NDArray[np.int64]:
    """Set ``classes_`` (sorted) and return labels 0 … K − 1; raise ValueError for fewer than two classes."""
    plain = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biu"
    if not plain:
        check_labels(learner, y)
    learner.classes_ = np.unique(y)
    if plain and 2 * len(learner.classes_) > len(y):
        check_labels(learner, y)  # which warns of so many classes
    if len(learner.classes_) < 2:
        raise ValueError(
            f"{type(learner).__name__} needs at least two classes, got 1 class: {learner.classes_[0]!r}."
        )
    if len(learner.classes_) == 2:
        return np.asarray(y == learner.classes_[1], np.int64)
    return np.asarray(np.searchsorted(learner.classes_, y), np.int64)


def encode_part(
    learner: Any, y: Array, classes: Any, first: bool
) -> npt.NDArray[np.int64]:
    """Return the labels of a chunk for ``partial_fit``; the first chunk comes with all ``classes``."""
    check_labels(learner, y)
    if first:
        if classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        encode_classes(learner, np.asarray(classes))
    elif classes is not None and not np.array_equal(
        np.unique(classes), learner.classes_
    ):
        raise ValueError(
            f"classes={classes!r} is not the same as on the last call to partial_fit: {learner.classes_}"
        )
    unknown = np.setdiff1d(y, learner.classes_)
    if len(unknown):
        raise ValueError(
            f"y has the classes {unknown}, which are not among {learner.classes_}"
        )
    return np.asarray(np.searchsorted(learner.classes_, y), np.int64)


def check_class_weight(given: Any) -> None:
    """Raise ArgumentError unless class weights are None, "balanced", or {class: finite number ≥ 0}.

    >>> check_class_weight("balance")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: class_weight: expected None, 'balanced' or {class: weight}, got 'balance'.
    """
    if given is None or (isinstance(given, str) and given == "balanced"):
        return
    if not isinstance(given, Mapping):
        raise ArgumentError(
            "class_weight",
            expected="None, 'balanced' or {class: weight}",
            got=repr(given),
        )
    wrong = {
        label: weight for label, weight in given.items() if not at_least(0)(weight)
    }
    if wrong:
        raise ArgumentError(
            "class_weight", expected="finite weights ≥ 0", got=repr(wrong)
        )


def class_factors(learner: Any, labels: Array) -> Array:
    """Return the class weight of each example of a chunk; raise ValueError for "balanced", which needs all data."""
    given = learner.class_weight
    check_class_weight(given)
    if given is None:
        return np.ones(len(labels))
    if isinstance(given, str):
        raise ValueError(
            f"class_weight={given!r} needs all data at once: pass sample_weight to partial_fit"
        )
    return np.array([given.get(c, 1.0) for c in learner.classes_.tolist()], np.float64)[
        labels
    ]


def weights_for(
    x: Array, y: Array, sample_weight: Any, class_weight: Any = None
) -> Array:
    """Return one weight per example: sample weights times class weights.

    >>> x, y = np.zeros((3, 1)), np.array(["a", "a", "b"])
    >>> weights_for(x, y, None, {"a": 1.0, "b": 2.0}).tolist()
    [1.0, 1.0, 2.0]
    """
    if sample_weight is None and class_weight is None:
        return np.ones(x.shape[0])
    weights = np.asarray(
        _check_sample_weight(
            sample_weight, x, dtype=np.float64, ensure_non_negative=True
        )
    )
    check_class_weight(class_weight)
    if class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, y)
    if not (weights > 0).any():
        raise ValueError("Sample weights must contain at least one positive number.")
    return weights


def with_bias(x: Array) -> Array:
    """Append a column of ones: the augmented input [x, 1].

    >>> with_bias(np.array([[2.0], [3.0]])).tolist()
    [[2.0, 1.0], [3.0, 1.0]]
    """
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def require(
    learner: Any, name: str, holds: Callable[[Any], bool], expected: str
) -> Any:
    """Return a hyperparameter, or raise ArgumentError with what was expected.

    >>> from deltarule.learners import Ridge
    >>> require(Ridge(alpha=2.0), "alpha", at_least(0), "a number ≥ 0")
    2.0
    >>> require(Ridge(alpha=-1.0), "alpha", at_least(0), "a number ≥ 0")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: Ridge alpha: expected a number ≥ 0, got -1.0.
    """
    value = getattr(learner, name)
    try:
        fits = bool(holds(value))
    except TypeError:
        fits = False
    if not fits:
        raise ArgumentError(
            f"{type(learner).__name__} {name}", expected=expected, got=repr(value)
        )
    return value


def switch(learner: Any, name: str) -> None:
    """Raise ArgumentError unless a hyperparameter is True or False.

    >>> from deltarule.learners import Ridge
    >>> switch(Ridge(fit_intercept="no"), "fit_intercept")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: Ridge fit_intercept: expected True or False, got 'no'.
    """
    require(
        learner, name, lambda value: isinstance(value, bool | np.bool_), "True or False"
    )


def share(learner: Any, name: str) -> None:
    """Raise ArgumentError unless a hyperparameter is a number in [0, 1].

    >>> from deltarule.learners import ElasticNet
    >>> share(ElasticNet(l1_ratio=1.5), "l1_ratio")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: ElasticNet l1_ratio: expected a number in [0, 1], got 1.5.
    """
    require(
        learner,
        name,
        lambda value: _is_number(value) and 0 <= value <= 1,
        "a number in [0, 1]",
    )


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def at_least(limit: float) -> Callable[[Any], bool]:
    """Return the predicate "a finite number ≥ limit".

    >>> at_least(0)(0.5), at_least(0)(-1)
    (True, False)
    """
    return lambda value: _is_number(value) and value >= limit


def above(limit: float) -> Callable[[Any], bool]:
    """Return the predicate "a finite number > limit".

    >>> above(0)(0.5), above(0)(0)
    (True, False)
    """
    return lambda value: _is_number(value) and value > limit


def whole(limit: int) -> Callable[[Any], bool]:
    """Return the predicate "an integer ≥ limit".

    >>> whole(1)(3), whole(1)(2.5)
    (True, False)
    """
    return lambda value: (
        _is_number(value)
        and isinstance(value, numbers.Integral)
        and int(value) >= limit
    )


def seed(random_state: Any) -> int:
    """Return a number in [0, 2³¹) from a seed, None or a RandomState; raise scikit-learn's error for anything else.

    >>> seed(3)
    218175338
    """
    return int(check_random_state(random_state).randint(2**31))


def generator(random_state: Any) -> np.random.Generator:
    """Return a NumPy generator seeded by ``seed(random_state)``.

    >>> float(generator(3).normal()) == float(generator(3).normal())
    True
    """
    return np.random.default_rng(seed(random_state))


def log_of(probabilities: Array) -> Array:
    """Return the logarithms of probabilities, −∞ for 0.

    >>> log_of(np.array([1.0, 0.0])).tolist()
    [0.0, -inf]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(probabilities))


def coded(learner: Any, x: Any, n: int) -> Array:
    """Return codes (N, n) for ``inverse_transform``; raise ShapeError for other shapes.

    >>> from deltarule.learners import PCA
    >>> coded(PCA(1), [[1.0], [2.0]], 1).tolist()
    [[1.0], [2.0]]
    """
    codes = np.asarray(x)
    if codes.ndim != 2 or codes.shape[1] != n:
        raise ShapeError(
            f"{type(learner).__name__}.inverse_transform",
            expected=f"(N, {n})",
            got=str(codes.shape),
        )
    return codes


def meaning(loss: Loss, scores: Array) -> Array:
    """Return the predictions of a loss for scores (probabilities), evaluated by NumPy; programs are cached."""
    return applied(_prediction(loss), scores)


def applied(function: Callable[[Tensor], Tensor], scores: Array) -> Array:
    """Return a function of tensors applied to an array, evaluated by NumPy; programs are cached.

    >>> applied(abs, np.array([-1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    return _program(function, scores.shape, scores.dtype.name)(scores)[0]


@functools.lru_cache(maxsize=64)
def _program(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: str
) -> Executable:
    scores = symbol("scores", shape, dtype)
    return backend("reference").compile(
        Program((scores.node,), tuple(simplify([function(scores).node])))
    )


@functools.lru_cache(maxsize=32)
def _prediction(loss: Loss) -> Callable[[Tensor], Tensor]:
    """Return the same function for equal losses."""
    return loss.predict
