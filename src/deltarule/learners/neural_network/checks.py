"""Validation of neural learners before training: options, data sizes, and compatibility with ``warm_start``."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DeltaruleError,
    ShapeError,
    user_level,
)
from deltarule.learners.base import Array, above, at_least, check_labels, require, whole
from deltarule.train import Callback

_LARGE, _SMALL = 1e7, 1e-7  # inputs with which a network hardly learns
_FRESH = "With warm_start=False, or in a clone, a new network is built."


def _flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def check_settings(learner: Any) -> None:
    """Raise ArgumentError for a training option of the wrong type or out of range.

    >>> from deltarule.learners import MLPClassifier
    >>> check_settings(MLPClassifier(epochs=0))
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: MLPClassifier epochs: expected a whole number ≥ 1, got 0.
    """
    require(learner, "epochs", whole(1), "a whole number ≥ 1")
    require(learner, "batch_size", whole(1), "a whole number ≥ 1")
    require(
        learner,
        "threads",
        lambda n: n is None or whole(1)(n),
        "a whole number ≥ 1 or None",
    )
    require(
        learner,
        "verbose",
        lambda n: _flag(n) or whole(0)(n),
        "0 (silent), 1 (one line per epoch) or 2",
    )
    for name in ("shuffle", "early_stopping", "warm_start"):
        require(learner, name, _flag, "True or False")
    if learner.early_stopping:
        require(
            learner,
            "validation_fraction",
            lambda share: above(0)(share) and share < 1,
            "a number in (0, 1)",
        )
        require(
            learner,
            "monitor",
            lambda name: isinstance(name, str),
            "the name of a value, such as 'val_loss'",
        )
    kinds: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
        ("regularizers", callable, "objects such as losses.L1(strength=0.1)"),
        (
            "callbacks",
            lambda item: isinstance(item, Callback),
            "objects such as train.EarlyStopping()",
        ),
    )
    for name, fits, expected in kinds:
        given = getattr(learner, name)
        if not isinstance(given, (list, tuple)) or not all(map(fits, given)):
            wrong = (
                next((item for item in given if not fits(item)), given)
                if isinstance(given, (list, tuple))
                else given
            )
            raise ArgumentError(
                f"{type(learner).__name__} {name}",
                expected=f"{expected}, in a list",
                got=repr(wrong),
            )


def check_size(learner: Any, x: Any, kind: str) -> None:
    """Raise DataError for numbers whose squares, which optimisers take of gradients, overflow in ``kind``."""
    data = x.data if sparse.issparse(x) else x
    if not data.size:
        return
    largest, limit = (
        max(float(data.max()), -float(data.min())),
        math.sqrt(float(np.finfo(kind).max)) / 4,
    )
    if largest > limit:
        also = (
            ", or take dtype='float64'" if kind == "float32" and largest < 1e150 else ""
        )
        raise DataError(
            f"{type(learner).__name__} X",
            expected=f"numbers up to {limit:.0e}, whose squares are finite in {kind}",
            got=f"{largest:.4g}",
            hint=f"Scale the features, for instance by StandardScaler(){also}.",
        )


def warn_of_scale(learner: Any, x: Any) -> None:
    """Warn if all features are much larger or smaller than what weights are initialized for."""
    data = x.data if sparse.issparse(x) else x
    if not data.size:
        return
    largest = max(float(data.max()), -float(data.min()))
    if largest > _LARGE or 0 < largest < _SMALL:
        warnings.warn(
            f"{type(learner).__name__} X: its largest number is {largest:.4g}, while the weights are initialized for "
            "features of about 1, so that training may learn nothing. Scale the features, for instance by "
            "StandardScaler().",
            DataWarning,
            stacklevel=user_level(),
        )


_OWN_WORDS = {
    "validation_split": "validation_fraction",
    "validation_rows": "validation_fraction",
    "seed": "random_state",
}
_WORDS = re.compile(rf"\b({'|'.join(_OWN_WORDS)})\b")


@contextmanager
def own_words(learner: Any) -> Iterator[None]:
    """Report errors of ``train.fit`` with the learner's name and its parameter names."""
    try:
        yield
    except DeltaruleError as error:
        for part in ("where", "expected", "got", "hint"):
            setattr(
                error,
                part,
                _WORDS.sub(
                    lambda found: _OWN_WORDS[found.group()], getattr(error, part)
                ),
            )
        if error.where == "split":  # no example is left to train on
            error.where = f"{type(learner).__name__} validation_fraction"
        elif error.where.split(" ")[0] in {*_OWN_WORDS.values(), "validation_data"}:
            error.where = f"{type(learner).__name__} {error.where}"
        raise


def label_factors(learner: Any, y: Array) -> Array:
    """Return for each example the product of the ``class_weight`` (a list of dicts) of its labels, (N,).

    >>> from deltarule.learners import MLPClassifier
    >>> learner = MLPClassifier(class_weight=[{0: 1.0, 1: 3.0}, {0: 1.0, 1: 1.0}])
    >>> label_factors(learner, np.array([[1, 0], [0, 1]])).tolist()
    [3.0, 1.0]
    """
    given, n_labels = learner.class_weight, y.shape[1]
    fits = (
        isinstance(given, (list, tuple))
        and len(given) == n_labels
        and all(map(_weighs_a_label, given))
    )
    if not fits:
        raise ArgumentError(
            f"{type(learner).__name__} class_weight",
            got=repr(given),
            expected=f"None, 'balanced' or a list of {n_labels} dicts {{0: weight, 1: weight}}, one per label",
            hint="A value that is not listed has weight 1; the weights of an example's labels are multiplied.",
        )
    factors = [
        np.where(y[:, k] == 1, part.get(1, 1.0), part.get(0, 1.0))
        for k, part in enumerate(given)
    ]
    return np.asarray(np.prod(factors, axis=0), np.float64)


def _weighs_a_label(part: Any) -> bool:
    return (
        isinstance(part, Mapping)
        and set(part) <= {0, 1}
        and all(map(at_least(0), part.values()))
    )


def form_of(learner: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that define the architecture, sequences as tuples so that they can be compared.

    >>> from deltarule.learners import MLPClassifier
    >>> form_of(MLPClassifier([8, 4]), ["hidden_sizes", "activation"])
    {'hidden_sizes': (8, 4), 'activation': 'relu'}
    """
    values = {name: getattr(learner, name) for name in names}
    return {
        name: tuple(value) if isinstance(value, (list, np.ndarray)) else value
        for name, value in values.items()
    }


def check_form(learner: Any, before: dict[str, Any]) -> None:
    """Raise ArgumentError if a parameter of the architecture has changed since the network was built."""
    for name, value in form_of(learner, list(before)).items():
        own = before[name]
        if value is not own and value != own:
            raise ArgumentError(
                f"{type(learner).__name__} {name}",
                expected=f"{own!r}, that of the last fit, with warm_start",
                got=repr(value),
                hint=_FRESH,
            )


def check_shape(learner: Any, shape: tuple[int, ...], before: tuple[int, ...]) -> None:
    """Raise ShapeError if the examples have another shape than those of the previous fit."""
    if shape != before:
        raise ShapeError(
            f"{type(learner).__name__} X",
            expected=f"examples of shape {before}, as in the last fit",
            got=str(shape),
        )


def check_classes(learner: Any, y: Array) -> None:
    """Raise DataError if y has other classes, or is of another type, than in the previous fit."""
    check_labels(learner, y)
    many = y.ndim == 2 and type_of_target(y) == "multilabel-indicator"
    found = np.arange(y.shape[1]) if many else np.unique(column_or_1d(y))
    if many != learner._multilabel_ or not np.array_equal(found, learner.classes_):
        kinds = {True: "multilabel targets", False: "the classes"}
        raise DataError(
            f"{type(learner).__name__} y",
            expected=f"{kinds[learner._multilabel_]} {learner.classes_.tolist()} of the last fit, with warm_start",
            got=f"{kinds[many]} {found.tolist()}",
            hint=_FRESH,
        )


def check_outputs(learner: Any, name: str, n_outputs: int, before: int) -> None:
    """Raise DataError if another number of outputs is needed than the network has."""
    if n_outputs != before:
        raise DataError(
            f"{type(learner).__name__} {name}",
            expected=f"what needs {before} outputs, as in the last fit",
            got=f"what needs {n_outputs}",
            hint=_FRESH,
        )
