"""Discrete probability tables: marginals, conditionals and Bayes' rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError

__all__ = ["conditional", "marginal", "posterior"]

Table = npt.NDArray[np.float64]
_ROUNDING = 1e-9


def _probabilities(values: Any, where: str) -> Table:
    table = np.asarray(values, np.float64)
    if not np.isfinite(table).all() or (table < 0).any():
        raise ArgumentError(where, expected="probabilities ≥ 0", got=repr(values))
    return table


def _distribution(values: Any, where: str) -> Table:
    table = _probabilities(values, where)
    if abs(table.sum() - 1) > _ROUNDING:
        raise ArgumentError(
            where,
            expected="probabilities with the sum 1",
            got=f"the sum {table.sum():g}",
        )
    return table


def _axis(axis: int, table: Table, where: str) -> int:
    if (
        isinstance(axis, bool)
        or not isinstance(axis, int)
        or not -table.ndim <= axis < table.ndim
    ):
        raise ArgumentError(
            where, expected=f"an axis of a table with {table.ndim} axes", got=repr(axis)
        )
    return axis % table.ndim


def marginal(joint: Any, axis: int = 0) -> Table:
    """Return p(x) = Σ_y p(x, y), the marginal of a joint table on one axis (Goodfellow et al. 2016, section 3.4).

    >>> marginal([[0.1, 0.2], [0.3, 0.4]], axis=1).round(12).tolist()
    [0.4, 0.6]
    """
    table = _distribution(joint, "marginal")
    kept = _axis(axis, table, "marginal axis")
    others = tuple(i for i in range(table.ndim) if i != kept)
    return np.asarray(table.sum(axis=others))


def conditional(joint: Any, given: int = 0) -> Table:
    """Return p(others | axis ``given``) in the shape of the joint table: p(x, y) = p(x)·p(y|x).

    Conditionals on a value of probability 0 are NaN, since they are undefined. Reference:
    Goodfellow et al. 2016, section 3.5.

    >>> conditional([[0.1, 0.2], [0.3, 0.4]], given=0).round(4).tolist()
    [[0.3333, 0.6667], [0.4286, 0.5714]]
    """
    table = _distribution(joint, "conditional")
    kept = _axis(given, table, "conditional given")
    weights = np.expand_dims(
        marginal(table, kept), tuple(i for i in range(table.ndim) if i != kept)
    )
    with np.errstate(invalid="ignore"):
        return np.asarray(table / weights)


def posterior(prior: Any, likelihood: Any) -> Table:
    """Return p(h|e) = p(e|h)p(h)/p(e) of hypotheses h by Bayes' rule, computed with logarithms.

    Args:
        prior: p(h), (H,).
        likelihood: p(e|h), (H,), or (H, E) of independent pieces of evidence, which are
            multiplied.

    Raises:
        ArgumentError: Evidence of probability 0 under all hypotheses.
        ShapeError: A likelihood of another shape.

    >>> posterior([0.6, 0.4], [[0.1, 0.3], [0.4, 0.1]]).round(4).tolist()
    [0.5294, 0.4706]
    """
    before = _distribution(prior, "posterior prior")
    pieces = _probabilities(likelihood, "posterior likelihood")
    if before.ndim != 1 or pieces.shape[:1] != before.shape or pieces.ndim > 2:
        raise ShapeError(
            "posterior",
            expected=f"a likelihood ({len(before)},) or ({len(before)}, pieces of evidence)",
            got=str(pieces.shape),
        )
    with np.errstate(divide="ignore"):
        scores = np.log(before) + np.log(pieces).reshape(len(before), -1).sum(axis=1)
    top = scores.max()
    if top == -np.inf:
        raise ArgumentError(
            "posterior likelihood",
            expected="evidence that some hypothesis allows",
            got="probability 0 under all",
        )
    after = np.exp(scores - top)
    return np.asarray(after / after.sum())


check_calls(__name__)
