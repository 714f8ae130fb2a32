"""Independent component analysis."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_spreads, check_squares
from deltarule.errors import user_level
from deltarule.graph.program import Program
from deltarule.learners.base import Array, above, coded, generator, require, whole
from deltarule.learners.linear_model.scatter import scatter
from deltarule.learners.matrix_decomposition.decomposition import (
    Projection,
    eigenvectors,
    fixed_signs,
)
from deltarule.runtime.devices import compiled
from deltarule.tensor.functional import tanh
from deltarule.tensor.tensor import symbol

__all__ = ["FastICA"]

_WORTH_COMPILING = 2**20  # examples · components: above, ten steps repay compilation


@final
class FastICA(Projection):
    """Independent component analysis s = W(x − μ) by fixed-point iteration with g(u) = tanh u (Hyvärinen 1999).

    Data are whitened first; all rows of W are updated in parallel and kept orthonormal
    by (WWᵀ)^(−1/2) W. Sources have unit variance, ordered as the rows of
    ``components_``, in each of which the entry of largest magnitude is positive.

    Args:
        n_components: Number of components; None for as many as there are features (or
            examples, if fewer).
        max_iter: Maximum number of iterations; a ``ConvergenceWarning`` follows where
            they do not reach ``tol``.
        tol: Largest change of a direction at convergence.
        random_state: Seed of the initial directions.

    Attributes:
        components_: The unmixing matrix W, (k, d).
        mixing_: Its pseudo-inverse A, (d, k).
        mean_: μ.
        n_iter_: Number of iterations.
        n_features_in_: Number of features seen by ``fit``.

    >>> t = np.arange(400)
    >>> sources = np.stack([np.sin(t / 7), (t % 31) / 31], axis=1)
    >>> found = FastICA().fit_transform(sources @ [[1.0, 0.5], [0.6, 1.0]])
    >>> correlation = np.abs(np.corrcoef(sources.T, found.T)[:2, 2:])
    >>> bool((correlation.max(axis=0) > 0.99).all())
    True
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        max_iter: int = 200,
        tol: float = 1e-6,
        random_state: int | None = 0,
    ) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute ``components_`` (unmixing) and ``mixing_``.

        >>> x = np.random.default_rng(0).uniform(size=(50, 2)) @ [[1.0, 0.5], [0.2, 1.0]]
        >>> FastICA(2, random_state=0).fit(x).components_.shape
        (2, 2)
        """
        del y
        x = self._checked(X, reset=True, ensure_min_samples=2).astype(np.float64)
        check_squares(x, "FastICA X")
        check_spreads(x, "FastICA X")
        require(
            self,
            "n_components",
            lambda n: n is None or whole(1)(n),
            "a whole number ≥ 1 or None",
        )
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", above(0), "a number > 0")
        k = self._count(*x.shape)
        self.mean_ = x.mean(axis=0)
        whitening, white = _whitened(x, self.mean_, k)
        random = generator(self.random_state)
        start = random.normal(size=(len(whitening), len(whitening)))
        rotation = self._rotate(white, start)
        self.components_ = fixed_signs(rotation @ whitening)
        self.mixing_ = np.linalg.pinv(self.components_)
        return self

    def _rotate(self, white: Array, start: Array) -> Array:
        w = _decorrelated(start)
        update = (
            _compiled_update(*white.shape)
            if white.size >= _WORTH_COMPILING
            else _plain_update
        )
        for step in range(1, self.max_iter + 1):
            new = _decorrelated(update(white, w))
            change = float(np.abs(np.abs((new * w).sum(axis=1)) - 1).max())
            w, self.n_iter_ = new, step
            if change < self.tol:
                return w
        warnings.warn(
            f"FastICA has not converged in max_iter={self.max_iter} steps; raise it, or tol={self.tol}",
            ConvergenceWarning,
            stacklevel=user_level(),
        )
        return w

    def transform(self, X: Any) -> Array:
        """Return the sources W(x − μ), (N, k).

        >>> x = np.random.default_rng(0).uniform(size=(50, 2)) @ [[1.0, 0.5], [0.2, 1.0]]
        >>> ica = FastICA(2, random_state=0).fit(x)
        >>> np.allclose(ica.inverse_transform(ica.transform(x)), x)
        True
        """
        return np.asarray(
            (self._checked(X, reset=False) - self.mean_) @ self.components_.T
        )

    def inverse_transform(self, X: Any) -> Array:
        """Return the mixtures A s + μ, (N, d)."""
        check_is_fitted(self)
        return np.asarray(
            coded(self, X, len(self.components_)) @ self.mixing_.T + self.mean_
        )


def _whitened(x: Array, mean: Array, k: int) -> tuple[Array, Array]:
    """Return the whitening matrix K, (k, d), and z = K(x − μ), (N, k); fewer rows for data of lower rank.

    K is computed from the eigenvectors of the scatter matrix where its k-th largest
    eigenvalue is above 10⁻⁶ of the largest, which leaves ten digits, else from singular
    vectors of the data.
    """
    n = len(x)
    if n > x.shape[1]:
        values, rows = eigenvectors(scatter(x, mean), k)
        if values[-1] > 1e-6 * values[0]:
            whitening = fixed_signs(rows) * np.sqrt(n / values)[:, None]
            return whitening, (x - mean) @ whitening.T
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    k = min(k, int((s > 1e-10 * s.max(initial=1.0)).sum()) or 1)
    rows = fixed_signs(vt[:k])
    signs = np.sign((rows * vt[:k]).sum(axis=1))
    return rows * (np.sqrt(n) / np.maximum(s[:k], 1e-300))[:, None], u[:, :k] * (
        signs * np.sqrt(n)
    )


def _update(tanh: Callable[[Any], Any], z: Any, w: Any) -> Any:
    """Return mean g(Wz)zᵀ − diag(mean g′(Wz))·W for g = tanh, for arrays and tensors alike."""
    g = tanh(z @ w.T)
    return (g.T @ z - (1 - g * g).sum(axis=0, keepdims=True).T * w) / z.shape[0]


def _plain_update(z: Array, w: Array) -> Array:
    return np.asarray(_update(np.tanh, z, w))


@functools.lru_cache(maxsize=8)
def _compiled_update(n: int, k: int) -> Callable[[Array, Array], Array]:
    """Return the update for n examples of k components as a native program."""
    z, w = symbol("z", (n, k), "float64"), symbol("w", (k, k), "float64")
    run = compiled(Program((z.node, w.node), (_update(tanh, z, w).node,)), "cpu")
    return lambda *arrays: run(*arrays)[0]


def _decorrelated(w: Array) -> Array:
    u, _, vt = np.linalg.svd(w, full_matrices=False)
    return np.asarray(u @ vt)


check_calls(__name__)
