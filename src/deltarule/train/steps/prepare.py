"""Check inputs, targets and weights, and convert them to the model's element type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.data import balanced_class_weights, check_arrays, check_labels, split
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DataError
from deltarule.losses import Loss
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.tensor import Tensor
from deltarule.train.protocol import Trainable
from deltarule.train.steps.step import columns, output_of

Rows = npt.NDArray[np.int64]
ClassWeight = str | Mapping[int, float] | Sequence[float] | None


def model_dtype(model: Trainable) -> DType:
    """Return the element type of the model's parameters and state; float32 if it has none.

    >>> from deltarule import nn
    >>> print(model_dtype(nn.Linear(2, 1).astype("float64")))
    float64
    """
    named = (*model.named_parameters(), *model.named_state())
    kinds = [tensor.dtype for _, tensor in named if tensor.dtype.is_float]
    return dtypes.promote(*kinds) if kinds else dtypes.FLOAT32


def as_model_input(x: Array, kind: DType) -> Array:
    """Return floats and booleans in the model's element type; integers (indices, grey levels) stay integers.

    >>> as_model_input(np.zeros(2), dtypes.FLOAT32).dtype, as_model_input(np.arange(2), dtypes.FLOAT32).dtype
    (dtype('float32'), dtype('int64'))
    """
    if x.dtype.kind not in "fb":
        return np.ascontiguousarray(x)
    if x.dtype.name == kind.name and x.flags.c_contiguous:
        return x
    if x.dtype.itemsize > kind.itemsize:
        _require_range(x, kind)
    return np.ascontiguousarray(x.astype(kind.name, copy=False))


def _require_range(x: Array, kind: DType) -> None:
    """Raise DataError for values that overflow in the model's element type."""
    largest = np.finfo(kind.name).max
    if x.size and max(x.max(), -x.min()) > largest:
        place = np.argwhere(np.abs(x) > largest)[0]
        raise DataError(
            "inputs",
            expected=f"numbers up to {largest:.3g}, the largest of the model's {kind}",
            got=f"{x[tuple(place)]} in row {int(place[0])}",
            hint="Standardize the inputs to mean 0 and deviation 1, or give the model float64 parameters.",
        )


def targets_for(y: Array, loss: Loss, kind: DType) -> Array:
    """Return class labels as int64, other targets (also binary labels) in the model's element type.

    Raises:
        DataError: For targets outside the domain of the loss: [0, 1] for a sigmoid, ±1 for a hinge loss.

    >>> from deltarule import losses
    >>> targets_for(np.array([0, 1]), losses.get("cross_entropy"), dtypes.FLOAT32).dtype
    dtype('int64')
    """
    if loss.link == "sign":
        _require(
            y,
            np.isin(y, (-1, 1)),
            loss,
            "the labels -1 and 1",
            "Write y = 2 * y - 1 for labels 0 and 1.",
        )
    if loss.link == "sigmoid":
        _require(
            y,
            (y >= 0) & (y <= 1),
            loss,
            "targets in [0, 1]",
            "For more classes use loss='cross_entropy'.",
        )
    whole = y.dtype.kind in "iub" and loss.link not in {"sign", "sigmoid"}
    return np.ascontiguousarray(y.astype(np.int64 if whole else kind.name, copy=False))


def _require(y: Array, fits: Array, loss: Loss, expected: str, hint: str) -> None:
    if not fits.all():
        place = np.argwhere(~fits)[0]
        raise DataError(
            f"targets of {loss.name}",
            expected=expected,
            got=f"{y[tuple(place)]} in row {int(place[0])}",
            hint=hint,
        )


def _classes(y: Array) -> Array:
    """Return class labels (N,) from labels (N,), a column of labels (N, 1) or one-hot rows (N, K)."""
    if y.ndim == 2 and y.shape[1] > 1:
        return np.asarray(y.argmax(axis=1))
    labels = y.reshape(-1) if y.ndim == 2 else y
    if (
        labels.ndim != 1
        or not np.equal(labels, np.floor(labels)).all()
        or (labels < 0).any()
    ):
        raise ArgumentError(
            "class_weight",
            expected="labels 0, 1, … or one-hot rows as targets",
            got=f"targets of shape {y.shape}",
            hint="Use sample_weight, one weight per example.",
        )
    return labels.astype(np.int64)


def _class_table(
    class_weight: str | Mapping[int, float] | Sequence[float],
    labels: Array,
    n_classes: int,
    rows: Rows | None,
) -> Array:
    """Return one weight per class."""
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ArgumentError(
                "class_weight",
                expected="'balanced', a mapping or a list",
                got=repr(class_weight),
            )
        table = balanced_class_weights(labels, n_classes)
        return table if rows is None else _balanced(labels[rows], n_classes)
    if isinstance(class_weight, Mapping):
        unknown = [key for key in class_weight if key not in range(n_classes)]
        if unknown:
            raise ArgumentError(
                "class_weight",
                expected=f"classes 0 … {n_classes - 1}",
                got=repr(unknown[0]),
            )
        return np.array(
            [class_weight.get(c, 1.0) for c in range(n_classes)], np.float64
        )
    return np.asarray(class_weight, np.float64)


def _balanced(labels: Array, n_classes: int) -> Array:
    """Return N/(K·n_c) for each class c of the training labels, and 1 for a class without training rows."""
    counts = np.bincount(labels, minlength=n_classes)
    present = np.count_nonzero(counts)
    return np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 1.0)


def with_class_weight(
    model: Trainable,
    arrays: list[Array],
    class_weight: ClassWeight,
    rows: Rows | None,
    ignore_label: int | None = None,
) -> list[Array]:
    """Return [x, y, weight], where the weight of an example is its class weight times its sample weight.

    Args:
        model: The model, whose element type the weights get.
        arrays: [x, y] or [x, y, sample weight].
        class_weight: As for ``fit``; None returns ``arrays``.
        rows: The training rows, from which "balanced" counts classes; None for all.
        ignore_label: A label without a class: its weight is 1, and "balanced" does not count it.

    >>> from deltarule import nn
    >>> arrays = [np.zeros((4, 2)), np.array([0, 0, 0, 1])]
    >>> with_class_weight(nn.Linear(2, 2), arrays, {1: 3.0}, rows=None)[2].tolist()
    [1.0, 1.0, 1.0, 3.0]
    """
    if class_weight is None:
        return arrays
    given = arrays[1]
    counted = (
        np.ones(len(given), bool)
        if ignore_label is None or given.ndim > 1
        else given != ignore_label
    )
    labels = _classes(given[counted])
    trained = None if rows is None else (np.cumsum(counted) - 1)[rows[counted[rows]]]
    table = _class_table(class_weight, labels, int(labels.max(initial=0)) + 1, trained)
    check_labels(labels, len(table), "class_weight")
    weights = np.ones(len(given))
    weights[counted] = table[labels]
    _check_weights(weights, len(given), "class_weight")
    if len(arrays) == 3:
        weights = weights * arrays[2].astype(np.float64)
    return [*arrays[:2], weights.astype(model_dtype(model).name)]


def _checked_weights(sample_weight: Any, n: int) -> Array | None:
    if sample_weight is None:
        return None
    given = np.asarray(sample_weight, np.float64)
    _check_weights(given, n, "sample_weight")
    return given


def _check_weights(weights: Array, n: int, where: str) -> None:
    if weights.shape != (n,):
        raise DataError(
            where,
            expected=f"{n} weights, one for each example",
            got=f"shape {weights.shape}",
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        bad = int(np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[0])
        raise DataError(
            where, expected="finite numbers ≥ 0", got=f"{weights[bad]} in row {bad}"
        )


def prepared(
    model: Trainable,
    inputs: Any,
    targets: Any,
    loss: Loss,
    sample_weight: Any = None,
    where: str = "fit",
) -> list[Array]:
    """Return checked arrays [x, y] or [x, y, weight] in the model's element type.

    >>> from deltarule import losses, nn
    >>> arrays = prepared(nn.Linear(2, 3), [[1.0, 2.0]], [2], losses.get("cross_entropy"))
    >>> [array.dtype.name for array in arrays]
    ['float32', 'int64']
    """
    if targets is None:
        raise ArgumentError(
            f"{where} targets",
            expected="one target for each example",
            got="None",
            hint="Train an autoencoder with fit(X, X).",
        )
    x, y = check_arrays(inputs, targets, where=where)
    labels = np.asarray(y)
    kind = model_dtype(model)
    weights = _checked_weights(sample_weight, len(labels))
    arrays = [as_model_input(x, kind), targets_for(labels, loss, kind)]
    return arrays if weights is None else [*arrays, weights.astype(kind.name)]


def check_outputs(
    model: Trainable, arrays: Sequence[Array], loss: Loss, where: str = "fit"
) -> Tensor:
    """Check that model, targets and loss are compatible; return the model's output as an expression."""
    x, *_ = columns(arrays)
    batch = len(arrays[0])
    output = output_of(model, x.symbol(batch))
    check_targets(output.shape, arrays, loss, where)
    return output


def check_targets(
    output: Shape, arrays: Sequence[Array], loss: Loss, where: str
) -> None:
    """Check that targets are compatible with the loss and with outputs of this shape.

    >>> import numpy as np
    >>> from deltarule.losses import MeanSquaredError
    >>> check_targets((8, 2), [np.zeros((8, 4)), np.zeros((8, 3))], MeanSquaredError(), "fit")
    Traceback (most recent call last):
    deltarule.errors.ShapeError: MeanSquaredError: expected targets of the predictions' shape (8, 2), got (8, 3).
      Give one target for every output of the model.
    """
    _, y, *_ = columns(arrays)
    loss.check(output, (len(arrays[0]), *y.shape), y.dtype)
    if y.dtype.is_integer and len(y.shape) + 1 == len(output) - 1:
        ignored = getattr(loss, "ignore_label", None)
        labels = arrays[1].reshape(-1)
        check_labels(
            labels if ignored is None else labels[labels != ignored],
            int(output[-1]),
            where,
        )
    loss.check_values((len(arrays[1]), *output[1:]), arrays[1])


def strata(targets: Array, loss: Loss) -> Array | None:
    """Return the class of every example for a stratified split; None for regression.

    Classes are integer labels (N,) or (N, 1), one-hot rows (N, K), and for binary losses 0 and 1 or −1 and 1.

    >>> from deltarule import losses
    >>> strata(np.eye(3), losses.get("cross_entropy")).tolist()
    [0, 1, 2]
    """
    if targets.ndim == 2 and targets.shape[1] > 1:
        one_hot = ((targets == 0) | (targets == 1)).all() and (
            targets.sum(axis=1) == 1
        ).all()
        return np.asarray(targets.argmax(axis=1)) if one_hot else None
    if targets.shape not in {(len(targets),), (len(targets), 1)}:
        return None
    column = targets.reshape(-1)
    binary = loss.link in {"sigmoid", "sign"} and bool(
        np.isin(column, (-1, 0, 1)).all()
    )
    return column if binary or column.dtype.kind == "i" else None


def held_out(
    arrays: list[Array], fraction: float, seed: int, loss: Loss
) -> tuple[Rows | None, list[Array] | None]:
    """Return the training rows and the validation arrays; (None, None) if the fraction is 0.

    The split is stratified by class, and examples keep their weights. Training data are not copied.

    >>> from deltarule import losses
    >>> arrays = [np.zeros((10, 2)), np.arange(10) % 2]
    >>> rows, held = held_out(arrays, 0.2, seed=0, loss=losses.get("cross_entropy"))
    >>> len(rows), len(held[0])
    (8, 2)
    """
    if isinstance(fraction, bool) or not isinstance(fraction, Real):
        raise ArgumentError(
            "validation_split", expected="a fraction in [0, 1)", got=repr(fraction)
        )
    if fraction == 0:
        return None, None
    if not 0 < fraction < 1:
        raise ArgumentError(
            "validation_split", expected="a fraction in [0, 1)", got=repr(fraction)
        )
    labels = strata(arrays[1], loss)
    rows = split(
        len(arrays[0]), validation=fraction, test=0.0, seed=seed, stratify=labels
    )
    if not len(rows.validation):
        raise ArgumentError(
            "validation_split",
            expected="a fraction that gives at least one example",
            got=repr(fraction),
        )
    return rows.train, [a[rows.validation] for a in arrays]


def checked_seed(value: object) -> int:
    """Return a seed in [0, 2³²) as an int.

    >>> checked_seed(np.int64(7))
    7
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not 0 <= value < 2**32
    ):
        raise ArgumentError(
            "fit seed", expected="a whole number in [0, 2³²)", got=repr(value)
        )
    return int(value)
