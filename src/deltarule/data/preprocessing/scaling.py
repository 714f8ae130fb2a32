"""Features with mean 0 and deviation 1, learned on the training data only."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.data.arrays import check_arrays
from deltarule.data.preprocessing.estimator import Transformer
from deltarule.errors import DataError, ShapeError

Array = npt.NDArray[Any]
_ROUNDING = 10 * float(np.finfo(np.float64).eps)


@final
class StandardScaler(Transformer):
    """z = (x − μ)/σ for each feature, with μ and the biased σ of the data given to ``fit`` (DA-17).

    Fit it on the training rows and transform all parts with it: what the test rows would add to μ and σ is
    leakage. A constant feature (σ within rounding of 0) becomes 0. float64 stays float64, all else is float32.
    It is a step of scikit-learn's ``Pipeline`` and ``ColumnTransformer`` too: names of columns go through it
    (``get_feature_names_out``), and ``set_output(transform="pandas")`` gives frames.

    >>> scaler = StandardScaler().fit([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler.transform([[5.0, 5.0]]).tolist()
    [[3.0, 0.0]]
    """

    def __init__(self) -> None:
        self.mean_: Array | None = None
        self.deviation_: Array | None = None

    def fit(self, X: Any, y: Any = None) -> StandardScaler:  # noqa: ARG002  # pipelines hand targets to every step
        """Learn μ and σ over the examples (the first axis); raises DataError for NaN, infinities and no examples."""
        array = check_arrays(X, where="StandardScaler")[0].astype(np.float64)
        mean, deviation = array.mean(axis=0), array.std(axis=0)
        self._learn_names(X)
        self.mean_ = mean
        self.deviation_ = np.where(deviation > _ROUNDING * np.abs(mean), deviation, 1.0)
        return self

    def transform(self, X: Any) -> Any:
        """Return standardised features; raises ShapeError if their number is another than in ``fit``."""
        array, mean, deviation = self._prepared(X)
        return self._framed(
            X, np.asarray((array.astype(np.float64) - mean) / deviation, _kind(array))
        )

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn and standardise; the targets y are not looked at."""
        return self.fit(X, y).transform(X)

    def inverse_transform(self, z: Any) -> Array:
        """Return features in their own units, x = σz + μ."""
        array, mean, deviation = self._prepared(z)
        return np.asarray(array.astype(np.float64) * deviation + mean, _kind(array))

    def __sklearn_is_fitted__(self) -> bool:
        return self.mean_ is not None

    def _prepared(self, x: Any) -> tuple[Array, Array, Array]:
        if self.mean_ is None or self.deviation_ is None:
            raise DataError(
                "StandardScaler",
                expected="fit before transform",
                got="a scaler that saw no data",
            )
        array = np.asarray(x)
        if array.shape[1:] != self.mean_.shape:
            raise ShapeError(
                "StandardScaler",
                expected=f"examples of shape {self.mean_.shape}",
                got=str(array.shape[1:]),
            )
        return array, self.mean_, self.deviation_


def _kind(array: Array) -> type[np.floating[Any]]:
    return np.float64 if array.dtype == np.float64 else np.float32
