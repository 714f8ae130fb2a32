"""What scikit-learn asks of a transformer, without scikit-learn: parameters by name, and a description."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Self

from deltarule.errors import ArgumentError


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
                    expected=f"one of {', '.join(known)}" if known else "no parameters, as it has none",
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
