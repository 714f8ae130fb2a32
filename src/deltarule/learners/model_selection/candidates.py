"""The parameter settings that a search compares: a grid by scikit-learn's rules, or a list of settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from deltarule.errors import ArgumentError

Settings = dict[str, Any]
_WHERE = "NetworkSearchCV"
_WAY_OUT = (
    "In param_grid every value is a list of candidates: {'alpha': [0.0, 0.1], 'hidden_sizes': [(8, 4), (16,)]}. "
    "Complete settings, such as list(ParameterSampler(…)), are for candidates=."
)


def candidates_of(learner: Any, grid: Any, candidates: Any) -> list[Settings]:
    """Return the settings to compare, at least one: those of a grid, or as given.

    A grid follows ``sklearn.model_selection.ParameterGrid``. A list of settings without
    any sequence, which is no grid, is taken as ``candidates``. Raise ArgumentError if
    both are given, for invalid ones, and for a tuple that is ambiguous: one value of a
    parameter or its candidates.

    >>> from deltarule.learners import MLPClassifier
    >>> candidates_of(MLPClassifier(), {"alpha": [0.0, 0.1]}, None)
    [{'alpha': 0.0}, {'alpha': 0.1}]
    """
    if candidates is not None:
        if grid is not None:
            raise ArgumentError(
                _WHERE, expected="param_grid or candidates", got="both", hint=_WAY_OUT
            )
        return _complete(candidates)
    if grid is None:
        return [{}]
    if _settings(grid) and not any(
        isinstance(value, (list, tuple, np.ndarray))
        for part in grid
        for value in part.values()
    ):
        return _complete(grid, "param_grid")
    for part in (
        [grid] if isinstance(grid, Mapping) else grid if _settings(grid) else []
    ):
        for name, values in part.items():
            _check_tuple(learner, name, values)
    try:
        found = list(ParameterGrid(grid))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{_WHERE} param_grid", got=str(error), hint=_WAY_OUT
        ) from error
    if not found:
        raise ArgumentError(
            f"{_WHERE} param_grid",
            expected="at least one candidate",
            got=repr(grid),
            hint=_WAY_OUT,
        )
    return found


def _settings(given: Any) -> bool:
    """Return whether an object is a list of dicts."""
    return (
        isinstance(given, Sequence)
        and bool(given)
        and all(isinstance(part, Mapping) for part in given)
    )


def _complete(given: Any, name: str = "candidates") -> list[Settings]:
    found = (
        given
        if isinstance(given, Mapping | str) or not hasattr(given, "__iter__")
        else list(given)
    )
    if not _settings(found):
        raise ArgumentError(
            f"{_WHERE} {name}",
            expected="a list of at least one dict {parameter: value}",
            got=repr(given),
            hint=_WAY_OUT,
        )
    return [dict(part) for part in found]


def _check_tuple(learner: Any, name: str, values: Any) -> None:
    """Raise ArgumentError for a tuple of single values where the parameter itself may be a sequence of them."""
    if not isinstance(values, tuple) or any(
        v is None or isinstance(v, (list, tuple, np.ndarray)) for v in values
    ):
        return
    declared = inspect.signature(type(learner)).parameters.get(name)
    own = "" if declared is None else f"{declared.annotation}"
    if "Sequence" in own or isinstance(getattr(learner, name, None), (list, tuple)):
        each = ", ".join(map(repr, values))
        raise ArgumentError(
            f"{_WHERE} param_grid {name}",
            expected="a list of candidates",
            got=f"the tuple {values!r}",
            hint=f"It may be one value or several: write [{values!r}] or [{each}]. {_WAY_OUT}",
        )
