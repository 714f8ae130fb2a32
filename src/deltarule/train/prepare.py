"""From what a person hands over to what a step program takes: checked arrays of the model's element type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.data import balanced_class_weights, check_arrays, check_labels, split
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DataError
from deltarule.losses import Loss
from deltarule.train.protocol import Trainable

Array = npt.NDArray[Any]
ClassWeight = str | Mapping[int, float] | Sequence[float] | None


def model_dtype(model: Trainable) -> DType:
    """Return the element type of the model's parameters (float32 where it has none)."""
    kinds = [tensor.dtype for _, tensor in model.named_parameters()]
    return dtypes.promote(*kinds) if kinds else dtypes.FLOAT32


def as_model_input(x: Array, kind: DType) -> Array:
    """Return floats in the model's element type; whole numbers stay (indices, grey levels)."""
    return np.ascontiguousarray(x.astype(kind.name) if x.dtype.kind == "f" else x)


def as_target(y: Array, kind: DType) -> Array:
    """Return labels as int64, numbers in the model's element type."""
    return np.ascontiguousarray(y.astype(np.int64) if y.dtype.kind in "iub" else y.astype(kind.name))


def sample_weights(labels: Array, class_weight: ClassWeight, sample_weight: Any, n: int) -> Array | None:
    """Return one weight an example from class and sample weights, or None where all are 1."""
    weights = None
    if class_weight is not None:
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise ArgumentError("class_weight", expected="whole-number labels (N,)", got=f"targets {labels.shape}")
        n_classes = int(labels.max()) + 1
        if isinstance(class_weight, str):
            if class_weight != "balanced":
                raise ArgumentError("class_weight", expected="'balanced', a mapping or a list", got=repr(class_weight))
            table = balanced_class_weights(labels, n_classes)
        elif isinstance(class_weight, Mapping):
            table = np.array([class_weight.get(c, 1.0) for c in range(n_classes)])
        else:
            table = np.asarray(class_weight, np.float64)
        check_labels(labels, len(table), "class_weight")
        weights = table[labels]
    if sample_weight is not None:
        given = np.asarray(sample_weight, np.float64)
        if given.shape != (n,) or not np.isfinite(given).all() or (given < 0).any():
            raise DataError("sample_weight", expected=f"{n} numbers ≥ 0", got=f"an array of shape {given.shape}")
        weights = given if weights is None else weights * given
    return None if weights is None else weights.astype(np.float32)


def prepared(
    model: Trainable, inputs: Any, targets: Any, loss: Loss, class_weight: ClassWeight, sample_weight: Any
) -> list[Array]:
    """Return checked [x, y] or [x, y, weight] in the model's element type."""
    x, y = check_arrays(inputs, targets, where="fit")
    kind = model_dtype(model)
    y = np.asarray(y)
    if not model.named_parameters():
        raise ArgumentError(
            "fit", expected="a model with parameters to learn", got="none", hint="Unfreeze a layer: model.unfreeze()."
        )
    arrays = [as_model_input(x, kind), as_target(y, kind)]
    if loss.link in {"sigmoid", "sign"} and arrays[1].dtype.kind == "i":
        allowed = {-1, 1} if loss.link == "sign" else {0, 1}
        _check_binary(arrays[1], allowed, loss.name)
        arrays[1] = arrays[1].astype(kind.name)
    weights = sample_weights(arrays[1], class_weight, sample_weight, len(x))
    return arrays if weights is None else [*arrays, weights.astype(kind.name)]


def _check_binary(y: Array, allowed: set[int], name: str) -> None:
    other = ~np.isin(y, sorted(allowed))
    if other.any():
        raise DataError(
            f"{name} targets",
            expected=f"the labels {' and '.join(map(str, sorted(allowed)))}",
            got=f"{int(y[other][0])} in row {int(np.argwhere(other)[0][0])}",
        )


def check_label_range(y: Array, output_shape: tuple[Any, ...]) -> None:
    """Raise where a label has no output; for scores (N, classes) and whole-number labels (N,)."""
    if y.dtype.kind == "i" and y.ndim == len(output_shape) - 1 and len(output_shape) >= 2:
        check_labels(y.ravel(), int(output_shape[-1]), "fit")


def held_out(arrays: list[Array], fraction: float, seed: int) -> tuple[list[Array], list[Array] | None]:
    """Return (training arrays, validation arrays); labels keep their shares."""
    if not fraction:
        return arrays, None
    if not 0 < fraction < 1:
        raise ArgumentError("validation_split", expected="a fraction in [0, 1)", got=repr(fraction))
    labels = arrays[1] if arrays[1].dtype.kind == "i" and arrays[1].ndim == 1 else None
    rows = split(len(arrays[0]), validation=fraction, test=0.0, seed=seed, stratify=labels)
    if not len(rows.validation):
        raise ArgumentError(
            "validation_split", expected="a fraction that gives at least one example", got=repr(fraction)
        )
    return [a[rows.train] for a in arrays], [a[rows.validation] for a in arrays]
