"""The judge: whether an answer is the gradient, by NumPy and the gradients of PyTorch; it does not use our reader.

Formulas are evaluated as trees, Python expressions by Python. Thresholds of mutants are at least 0.001 away from the
right ones; points of small scale have signals on both sides of them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from support.answers.mutants import Mutant
from support.answers.networks import NETWORKS

SCALES = (1.0,) * 24 + (0.3,) * 6 + (0.03,) * 6 + (0.003,) * 6 + (2.0,) * 6
_EQUAL = 1e-7
_FORMULA_NAMES = {
    "δ₁": "d z_1",
    "δ₂": "d z_2",
    "Δ₁": "d Z_1",
    "Δ₂": "d Z_2",
    "λ": "lambda",
}
_PYTHON_NAMES = {"y_hat": "ŷ", "Y_hat": "Ŷ", "lam": "lambda"}


@functools.cache
def _points(network: str) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(2718)
    return [NETWORKS[network].point(random, scale) for scale in SCALES]


def _matrix(value: Any) -> np.ndarray:
    value = np.asarray(value, float)
    return value.reshape(-1, 1) if value.ndim == 1 else value


def _value(mutant: Mutant, point: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the value of an answer as a matrix, None where NumPy refuses it."""
    if mutant.formula is not None:
        names = {name: point[at] for name, at in _FORMULA_NAMES.items() if at in point}
        given = {name: _matrix(value) for name, value in (point | names).items()}
        try:
            return _matrix(mutant.formula.value(given))
        except ValueError:
            return None
    names = {name: point[at] for name, at in _PYTHON_NAMES.items() if at in point}
    try:
        return _matrix(
            eval(mutant.text, {"np": np}, {**point, **names})
        )  # our own text
    except Exception:  # whatever NumPy raises
        return None


def is_right(mutant: Mutant) -> bool:
    """Whether an answer has the value of the gradient at every point."""
    with np.errstate(all="ignore"):
        for point in _points(mutant.network):
            truth = _matrix(point[f"d {mutant.variable}"])
            value = _value(mutant, point)
            if value is None or not np.isfinite(value).all():
                return False
            if value.shape != truth.shape and not value.size == truth.size == 1:
                return False
            gap = np.linalg.norm(value.reshape(truth.shape) - truth)
            if gap > _EQUAL * np.linalg.norm(truth) + 1e-13:
                return False
    return True
