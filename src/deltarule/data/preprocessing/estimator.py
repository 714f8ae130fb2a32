"""Base classes that follow the scikit-learn estimator interface without depending on scikit-learn."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any, Self

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError

_CONTAINERS = ("default", "pandas", "polars")


class Estimator:
    """Base class with ``get_params`` and ``set_params``, for scikit-learn's ``Pipeline``, ``clone`` and searches.

    A subclass stores the arguments of its constructor, unchanged, as attributes of the same names.

    >>> from deltarule.data import LabelEncoder
    >>> LabelEncoder(order=["a", "b"]).get_params()
    {'order': ['a', 'b'], 'aliases': None}
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  # scikit-learn's signature
        """Return the arguments of the constructor by name; ``deep`` has no effect.

        >>> from deltarule import data
        >>> data.LabelEncoder().get_params()
        {'order': None, 'aliases': None}
        """
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def set_params(self, **parameters: Any) -> Self:
        """Set arguments of the constructor, reset the object, and return it; it has to be fitted again.

        Raises:
            ArgumentError: an unknown argument, or an invalid value.

        >>> from deltarule import data
        >>> data.LabelEncoder().set_params(order=["low", "high"]).get_params()
        {'order': ['low', 'high'], 'aliases': None}
        """
        known = self.get_params()
        for name in parameters:
            if name not in known:
                raise ArgumentError(
                    f"{type(self).__name__}.set_params",
                    expected=f"one of {', '.join(known)}"
                    if known
                    else "no parameters, as it has none",
                    got=repr(name),
                )
        if parameters:
            vars(self).update(vars(type(self)(**{**known, **parameters})))
        return self

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this, and requires objects of its own classes.
        utils = importlib.import_module("sklearn.utils")
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(),
        )


class Transformer(Estimator):
    """Base class of transformers that keep the features: with feature names and data frame output.

    A subclass calls ``_learn_names`` in ``fit`` and returns ``_framed(X, result)`` in
    ``transform``.

    >>> from deltarule.data import StandardScaler
    >>> StandardScaler().fit([[1.0, 5.0], [3.0, 5.0]]).get_feature_names_out().tolist()
    ['x0', 'x1']
    """

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the output of ``transform``: arrays ("default") or data frames ("pandas", "polars"); None keeps it."""
        if transform is not None and transform not in _CONTAINERS:
            expected = f"one of {', '.join(map(repr, _CONTAINERS))}, or None"
            raise ArgumentError(
                f"{type(self).__name__}.set_output transform",
                expected=expected,
                got=repr(transform),
            )
        if transform is not None:
            # scikit-learn's clone copies the attribute of this name
            self._sklearn_output_config = {"transform": transform}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the features: those seen in ``fit``, or x0, x1 … without names.

        Raises:
            ShapeError: Another number of ``input_features`` than in ``fit``.
            ArgumentError: Other names than in ``fit``, or the transformer is not fitted.

        >>> from deltarule import data
        >>> data.StandardScaler().fit([[1.0, 2.0], [3.0, 4.0]]).get_feature_names_out().tolist()
        ['x0', 'x1']
        """
        n = getattr(self, "n_features_in_", None)
        if n is None:
            raise ArgumentError(
                f"{type(self).__name__}.get_feature_names_out",
                expected="an object that fit has seen rows of features",
                got="one that has not",
            )
        known = getattr(self, "feature_names_in_", None)
        if input_features is None:
            generated = np.array([f"x{i}" for i in range(n)], object)
            return generated if known is None else known
        names = np.asarray(input_features, object)
        if names.shape != (n,):
            raise ShapeError(
                f"{type(self).__name__} input_features",
                expected=f"{n} names, one a feature",
                got=str(names.shape),
            )
        if known is not None and not np.array_equal(known, names):
            raise ArgumentError(
                f"{type(self).__name__} input_features",
                expected=f"the names of fit, {known.tolist()}",
                got=str(names.tolist()),
            )
        return names

    def _learn_names(self, x: Any) -> None:
        """Record the number of features, and their names if x is a data frame with string column names."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        shape = np.shape(x)
        if len(shape) == 2:
            self.n_features_in_ = int(shape[1])
        columns = getattr(x, "columns", None)
        if columns is not None and all(isinstance(column, str) for column in columns):
            self.feature_names_in_ = np.asarray(list(columns), object)

    def _framed(self, x: Any, result: Any) -> Any:
        """Return the result for x as an array, or as a data frame with the index of x."""
        container = self._output_container()
        if container == "default" or np.ndim(result) != 2:
            return result
        library = importlib.import_module(container)
        names = list(self.get_feature_names_out())
        if container == "polars":
            return library.DataFrame(result, schema=names, orient="row")
        index = getattr(x, "index", None)
        return library.DataFrame(result, columns=names, index=index, copy=False)

    def _output_container(self) -> str:
        """Return the container set by ``set_output``, or else by scikit-learn's ``set_config``."""
        own = getattr(self, "_sklearn_output_config", None)
        if own:
            return str(own["transform"])
        sklearn = sys.modules.get("sklearn")
        if sklearn is None:
            return "default"
        return str(sklearn.get_config().get("transform_output", "default"))


check_calls(__name__)
