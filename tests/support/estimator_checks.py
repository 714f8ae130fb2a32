"""scikit-learn's checks of estimators as a table of cases whose ids are written once for each estimator."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks


def with_checks(estimators: list[Any]) -> pytest.MarkDecorator:
    """Parametrise a test with (estimator, check): ``parametrize_with_checks``, whose ids inspect it for every check."""
    made = parametrize_with_checks(estimators).mark
    write = made.kwargs["ids"]
    known: dict[int, str] = {
        id(estimator): write(estimator) for estimator in estimators
    }
    return pytest.mark.parametrize(
        made.args[0],
        list(made.args[1]),
        ids=lambda value: known.get(id(value)) or write(value),
    )
