"""Standardisation of features to mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_arrays
from deltarule.data.preprocessing.estimator import Transformer
from deltarule.errors import DataError, ShapeError

__all__ = ["StandardScaler"]

Array = npt.NDArray[Any]
_ROUNDING = 10 * float(np.finfo(np.float64).eps)


@final
class StandardScaler(Transformer):
    """Standardise features, z = (x − μ)/σ, with the mean μ and the biased σ of the data in ``fit``.

    Fit it on training data only: statistics of test data would be leakage. A constant feature (σ
    within rounding of 0) becomes 0. float64 data remain float64, all others become float32. It
    can be a step of scikit-learn's ``Pipeline`` and ``ColumnTransformer``, with
    ``get_feature_names_out`` and ``set_output(transform="pandas")``.

    Attributes:
        mean_: μ of each feature.
        deviation_: σ of each feature; 1 for constant features.

    >>> scaler = StandardScaler().fit([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler.transform([[5.0, 5.0]]).tolist()
    [[3.0, 0.0]]
    """

    def __init__(self) -> None:
        self.mean_: Array | None = None
        self.deviation_: Array | None = None

    def fit(self, X: Any, y: Any = None) -> StandardScaler:  # noqa: ARG002  # pipelines hand targets to every step
        """Compute μ and σ over the examples (the first axis); raise DataError for NaN, infinities or no examples.

        >>> scaler = StandardScaler().fit([[1.0, 10.0], [3.0, 30.0]])
        >>> scaler.mean_.tolist(), scaler.deviation_.tolist()
        ([2.0, 20.0], [1.0, 10.0])
        """
        array = check_arrays(X, where="StandardScaler")[0].astype(np.float64)
        mean, deviation = array.mean(axis=0), array.std(axis=0)
        self._learn_names(X)
        self.mean_ = mean
        self.deviation_ = np.where(deviation > _ROUNDING * np.abs(mean), deviation, 1.0)
        return self

    def transform(self, X: Any) -> Any:
        """Return standardised features; raise ShapeError for another number of features than in ``fit``.

        >>> scaler = StandardScaler().fit([[1.0], [3.0]])
        >>> scaler.transform([[2.0], [5.0]]).tolist()
        [[0.0], [3.0]]
        """
        array, mean, deviation = self._prepared(X)
        standardised = (array.astype(np.float64) - mean) / deviation
        return self._framed(X, np.asarray(standardised, _kind(array)))

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit to the features and standardise them; ``y`` is ignored.

        >>> StandardScaler().fit_transform([[1.0], [3.0]]).tolist()
        [[-1.0], [1.0]]
        """
        return self.fit(X, y).transform(X)

    def inverse_transform(self, z: Any) -> Array:
        """Return features in their original units, x = σz + μ.

        >>> scaler = StandardScaler().fit([[1.0], [3.0]])
        >>> scaler.inverse_transform([[0.0], [1.0]]).tolist()
        [[2.0], [3.0]]
        """
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


check_calls(__name__)
