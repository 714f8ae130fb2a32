"""From what a person hands over to what a step program takes: checked arrays of the model's element type."""

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
    """Return the element type of the model's parameters and state (float32 where it has none)."""
    named = (*model.named_parameters(), *model.named_state())
    kinds = [tensor.dtype for _, tensor in named if tensor.dtype.is_float]
    return dtypes.promote(*kinds) if kinds else dtypes.FLOAT32


def as_model_input(x: Array, kind: DType) -> Array:
    """Return floats and truth values in the model's element type; whole numbers stay (indices, grey levels)."""
    if x.dtype.kind not in "fb":
        return np.ascontiguousarray(x)
    if x.dtype.name == kind.name and x.flags.c_contiguous:
        return x
    if x.dtype.itemsize > kind.itemsize:
        _require_range(x, kind)
    return np.ascontiguousarray(x.astype(kind.name, copy=False))


def _require_range(x: Array, kind: DType) -> None:
    """Raise DataError for numbers that would become infinite in the model's narrower type."""
    largest = np.finfo(kind.name).max
    if x.size and max(x.max(), -x.min()) > largest:
        place = np.argwhere(np.abs(x) > largest)[0]
        raise DataError(
            "inputs",
            expected=f"numbers up to {largest:.3g}, the largest of the model's {kind}",
            got=f"{x[tuple(place)]} in row {int(place[0])}",
            hint="Scale the inputs to mean 0 and deviation 1, or give the model float64 parameters.",
        )


def targets_for(y: Array, loss: Loss, kind: DType) -> Array:
    """Return labels as int64, numbers in the model's element type; a binary loss takes its labels as numbers.

    Raises DataError for targets outside the loss's domain: [0, 1] for a sigmoid, ±1 for a hinge.
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
    """Return the label of every example, from labels (N,), a column of labels (N, 1) or one-hot rows (N, K)."""
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
            hint="Hand over sample_weight, one weight an example.",
        )
    return labels.astype(np.int64)


def _class_table(
    class_weight: str | Mapping[int, float] | Sequence[float],
    labels: Array,
    n_classes: int,
    rows: Rows | None,
) -> Array:
    """Return one weight a class."""
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
    """Return N/(K·n_c) by the labels given, for a class that is held out altogether 1: no row has its weight."""
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
    """Return [x, y, weight] with the weights of the examples' classes, times their own where there are three arrays.

    ``rows`` are those that are trained on (None: all); "balanced" counts these alone. Labels ``ignore_label`` have
    no class: "balanced" leaves them out, and their own weight is 1.
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
    """Return checked [x, y] or [x, y, weight] in the model's element type."""
    if targets is None:
        raise ArgumentError(
            f"{where} targets",
            expected="one target for each example",
            got="None",
            hint="An autoencoder is fitted with fit(X, X).",
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
    """Raise where model, targets and loss do not fit together; return the model's output as an expression."""
    x, *_ = columns(arrays)
    batch = len(arrays[0])
    output = output_of(model, x.symbol(batch))
    check_targets(output.shape, arrays, loss, where)
    return output


def check_targets(
    output: Shape, arrays: Sequence[Array], loss: Loss, where: str
) -> None:
    """Raise where targets do not fit the loss and outputs of this shape."""
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
    """Return the class of every example, whose shares a split keeps; None where targets are numbers.

    Classes are whole labels (N,) or (N, 1), one-hot rows (N, K), and for a loss of two classes 0 and 1 or −1 and 1.
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
    """Return (rows to train on, validation arrays), (None, None) without a fraction.

    Classes keep their shares, and examples their weights. Training data are not copied.
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
    """Return a seed, which is one word of the random numbers' key.

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
