"""What scikit-learn asks of a transformer, without scikit-learn: parameters by name, and a description."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any, Self

import numpy as np

from deltarule.errors import ArgumentError, ShapeError

_CONTAINERS = ("default", "pandas", "polars")


class Estimator:
    """Parameters by name, so that scikit-learn's ``Pipeline``, ``clone`` and searches take the object as it is.

    A subclass keeps the arguments of its constructor, unchanged, as attributes of the same names.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  # scikit-learn's signature
        """Return the constructor's arguments by name; there are no estimators inside, so ``deep`` changes nothing."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def set_params(self, **parameters: Any) -> Self:
        """Make the object what the constructor makes of the changed arguments (fit it again); returns it.

        Raises ArgumentError for a name that the constructor does not know, and what the constructor raises.
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
        # scikit-learn alone calls this, and insists on objects of its own classes: so it is there when this runs,
        # while everything else in this package does without it.
        utils = importlib.import_module("sklearn.utils")
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(),
        )


class Transformer(Estimator):
    """An estimator that changes values feature by feature: names go through it, frames come out where asked for.

    A subclass calls ``_learn_names`` in ``fit`` and hands what ``transform`` returns through ``_framed``.
    """

    def set_output(self, *, transform: str | None = None) -> Self:
        """Make ``transform`` return arrays ("default") or data frames ("pandas", "polars"); None changes nothing."""
        if transform is not None and transform not in _CONTAINERS:
            expected = f"one of {', '.join(map(repr, _CONTAINERS))}, or None"
            raise ArgumentError(
                f"{type(self).__name__}.set_output transform",
                expected=expected,
                got=repr(transform),
            )
        if transform is not None:
            self._sklearn_output_config = {
                "transform": transform
            }  # by this name scikit-learn's clone takes it along
        return self

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns, which stay as they are: those of ``fit``, or x0, x1 … where it saw none.

        Raises ShapeError for another number of ``input_features``, ArgumentError for other names than in ``fit``.
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
            return (
                np.array([f"x{i}" for i in range(n)], object)
                if known is None
                else known
            )
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
        """Keep how many features there are, and their names if x is a data frame whose columns are strings."""
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        shape = np.shape(x)
        if len(shape) == 2:
            self.n_features_in_ = int(shape[1])
        columns = getattr(x, "columns", None)
        if columns is not None and all(isinstance(column, str) for column in columns):
            self.feature_names_in_ = np.asarray(list(columns), object)

    def _framed(self, x: Any, result: Any) -> Any:
        """Return what ``transform`` made of x as an array, or as a frame with the names and the index of x."""
        own = getattr(self, "_sklearn_output_config", None)
        kit = sys.modules.get(
            "sklearn"
        )  # its set_config(transform_output=…) counts where it is there
        wanted = (
            own["transform"]
            if own
            else kit.get_config().get("transform_output", "default")
            if kit
            else "default"
        )
        if wanted == "default" or np.ndim(result) != 2:
            return result
        library, names = (
            importlib.import_module(wanted),
            list(self.get_feature_names_out()),
        )
        if wanted == "polars":
            return library.DataFrame(result, schema=names, orient="row")
        return library.DataFrame(
            result, columns=names, index=getattr(x, "index", None), copy=False
        )
