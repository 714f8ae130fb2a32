"""Principal component analysis, and the base class of linear projections; signs are deterministic."""

from __future__ import annotations

import copy
from typing import Any, Self, final

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import svds
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_spreads, check_squares
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import check_parameters
from deltarule.learners.base import Array, coded, generator, require, whole
from deltarule.learners.linear_model.moments import Moments
from deltarule.learners.linear_model.scatter import scatter
from deltarule.learners.matrix_decomposition.components import (
    Centred,
    most_likely,
    share,
)

__all__ = ["PCA"]

_BLOCK_ROWS = 4096  # rows that are squared at a time
_DENSE_FEATURES = 2000  # features up to which the covariance of a sparse X is formed


def fixed_signs(rows: Array) -> Array:
    """Return the rows with signs such that the entry of largest magnitude is positive.

    >>> fixed_signs(np.array([[0.6, -0.8]])).tolist()
    [[-0.6, 0.8]]
    """
    largest = np.abs(rows).argmax(axis=1)
    signs = np.sign(rows[np.arange(len(rows)), largest])
    return np.asarray(rows * np.where(signs == 0, 1, signs)[:, None])


class Projection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """Projection of centred examples on the rows of ``components_``."""

    components_: Array
    mean_: Array
    n_components: Any

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _checked(self, x: Any, reset: bool, **options: Any) -> Any:
        if not reset:
            check_is_fitted(self)
        return validate_data(
            self, x, dtype=(np.float64, np.float32), reset=reset, **options
        )

    def _count(self, n_samples: int, n_features: int) -> int:
        limit = min(n_samples, n_features)
        wanted = self.n_components
        if wanted is not None and wanted > limit:
            raise ValueError(
                f"n_components={wanted} must be between 1 and min(n_samples, n_features)={limit}"
            )
        return limit if wanted is None else int(wanted)


@final
class PCA(Projection):
    """Principal component analysis: x ↦ W(x − μ), rows of W the directions of largest variance (Jolliffe 2002).

    As a model, x ~ N(μ, Σ) with ``get_covariance``: the retained variances, and in all
    other directions ``noise_variance_``, the mean of the rest (Tipping and Bishop
    1999); ``score_samples`` returns ln p(x). A sparse X is never centred in memory; for
    very many features its components are computed by Lanczos' method ("exact").
    ``partial_fit`` learns from data larger than memory, chunk by chunk, exactly up to
    rounding; ``fit`` discards all chunks.

    Args:
        n_components: Number of components; a fraction in (0, 1) of the variance that
            they explain at least; "mle" for the number of largest evidence (Minka
            2000); None for all.
        whiten: Whether to scale each component to unit variance.
        solver: "exact" (eigenvectors of the covariance or SVD of the data, whichever is
            smaller), or "randomized" (randomised range finder, Halko, Martinsson and
            Tropp 2011).
        n_oversamples: Number of additional directions of the randomised solver.
        n_iter: Number of power iterations of the randomised solver; "auto" is 7 for
            less than a tenth of all components, else 4.
        random_state: Seed of the randomised solver.

    Attributes:
        components_: Principal directions (k, d), the rows of W.
        mean_: μ.
        explained_variance_: Variance of each component.
        explained_variance_ratio_: Its fraction of the total variance.
        singular_values_: Singular values of the centred data.
        noise_variance_: Mean variance of the discarded directions.
        n_components_: Number of components.
        n_samples_seen_: Number of examples.
        n_features_in_: Number of features seen by ``fit``.

    >>> PCA(1).fit([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]).explained_variance_ratio_.round(6).tolist()
    [1.0]
    """

    def __init__(
        self,
        n_components: float | str | None = None,
        *,
        whiten: bool = False,
        solver: str = "exact",
        n_oversamples: int = 10,
        n_iter: int | str = "auto",
        random_state: int | None = 0,
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.solver = solver
        self.n_oversamples = n_oversamples
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute mean, components and variances.

        Raises:
            ArgumentError: Invalid parameters.
            ValueError: More components than examples or features.
            DataError: Numbers whose squares overflow.

        >>> pca = PCA(1).fit([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
        >>> np.abs(pca.components_).round(4).tolist(), pca.mean_.tolist()
        ([[0.7071, 0.7071]], [1.0, 1.0])
        """
        del y
        x = self._checked(X, reset=True, ensure_min_samples=2, accept_sparse="csr")
        self._check_parameters(x)
        most = self._most(*x.shape)
        self._seen: Moments | None = None
        check_squares(x.data if sparse.issparse(x) else x, "PCA X")
        if not sparse.issparse(x):
            check_spreads(x, "PCA X")
        self.mean_ = np.asarray(x.mean(axis=0)).reshape(-1)
        if sparse.issparse(x):
            values, rows, total = self._of_sparse(x, most)
        elif self.solver == "randomized":
            centred = x - self.mean_
            values, rows = self._randomized(centred, most)
            total = sum(
                float(np.vdot(part, part))
                for part in np.array_split(centred, -(-len(x) // _BLOCK_ROWS))
            )
        elif x.shape[0] > x.shape[1]:
            spread = scatter(x, self.mean_)
            values, rows = eigenvectors(spread.astype(x.dtype, copy=False), most)
            total = float(np.trace(spread))
        else:
            _, s, rows = np.linalg.svd(x - self.mean_, full_matrices=False)
            values = s**2
            total = float(values.sum(dtype=np.float64))
        self._keep(values, rows, x.shape[0], total / (x.shape[0] - 1))
        return self

    def _check_parameters(self, x: Any) -> None:
        check_parameters(self, type(self).__init__)
        own = "a whole number ≥ 1, a fraction in (0, 1), 'mle' or None"
        chosen = self._chosen
        require(
            self, "n_components", lambda n: n is None or whole(1)(n) or chosen(), own
        )
        require(
            self,
            "solver",
            {"exact", "randomized"}.__contains__,
            "'exact' or 'randomized'",
        )
        require(self, "n_oversamples", whole(0), "a whole number ≥ 0")
        automatic = isinstance(self.n_iter, str) and self.n_iter == "auto"
        require(
            self,
            "n_iter",
            lambda n: automatic or whole(0)(n),
            "a whole number ≥ 0, or 'auto'",
        )
        if chosen() and self.solver == "randomized":
            raise ArgumentError(
                "PCA n_components",
                expected="a whole number or None with solver='randomized'",
                got=repr(self.n_components),
                hint="The number is chosen from all variances: use solver='exact'.",
            )
        if self._mle() and x is not None and x.shape[0] < x.shape[1]:
            raise ValueError(
                "n_components='mle' is only supported if n_samples >= n_features"
            )

    def _mle(self) -> bool:
        return isinstance(self.n_components, str) and self.n_components == "mle"

    def _chosen(self) -> bool:
        """Return whether the number of components is chosen from the variances."""
        n = self.n_components
        return self._mle() or (isinstance(n, (float, np.floating)) and bool(0 < n < 1))

    def _most(self, n_samples: int, n_features: int) -> int:
        """Return the number of components to compute."""
        if self._chosen():
            return min(n_samples, n_features)
        return self._count(n_samples, n_features)

    def _of_sparse(self, x: Any, k: int) -> tuple[Array, Array, float]:
        """Return squared singular values, components and the total sum of squares of a sparse X about its mean."""
        centred = Centred(x, self.mean_)
        if self.solver == "randomized":
            return *self._randomized(centred, k), centred.total()
        if x.shape[1] <= _DENSE_FEATURES or k >= min(x.shape):
            spread = centred.scatter().astype(np.float64)
            values, rows = eigenvectors(spread, k)
            return values.astype(x.dtype), rows.astype(x.dtype), float(np.trace(spread))
        start = generator(self.random_state).normal(size=min(x.shape))
        _, s, rows = svds(
            Centred(x.astype(np.float64), self.mean_.astype(np.float64)), k, v0=start
        )
        order = np.argsort(-s)
        return (
            (s[order] ** 2).astype(x.dtype),
            rows[order].astype(x.dtype),
            centred.total(),
        )

    def _randomized(self, centred: Any, k: int) -> tuple[Array, Array]:
        """Return squared singular values and components by power iteration on the smaller side, q ← orth(AᵀA q).

        No tall matrix has to be orthonormalised. Variances are those of the scores A q
        for a basis q of directions.
        """
        upright = centred.shape[0] >= centred.shape[1]
        tall = centred if upright else centred.T
        width = min(k + self.n_oversamples, tall.shape[1])
        automatic = 7 if k < 0.1 * min(centred.shape) else 4
        steps = automatic if isinstance(self.n_iter, str) else self.n_iter
        random = generator(self.random_state)
        q = random.normal(size=(tall.shape[1], width)).astype(centred.dtype)
        for _ in range(steps + 1):
            q = np.linalg.qr(tall.T @ (tall @ q))[0]
        if not upright:
            q = np.linalg.qr(tall @ q)[0]
        found = (centred @ q).astype(np.float64)
        values, turned = eigenvectors(found.T @ found, width)
        rows = (turned.astype(q.dtype) @ q.T)[:k]
        return np.asarray(values[:k].astype(q.dtype)), np.asarray(rows)

    def _keep(self, squares: Array, rows: Array, n: int, total: float) -> None:
        """Store the requested components; ``total`` is the sum of all variances."""
        variances = np.maximum(squares, 0) / (n - 1)
        k = len(rows)
        if self._chosen():
            spectrum = variances.astype(np.float64)
            k = (
                most_likely(spectrum, n)
                if self._mle()
                else share(spectrum, float(self.n_components))
            )
        else:
            k = self._count(n, rows.shape[1])
        self.components_ = fixed_signs(rows[:k])
        self.explained_variance_ = variances[:k]
        self.explained_variance_ratio_ = (
            self.explained_variance_ / total if total > 0 else np.zeros(k)
        )
        self.singular_values_ = np.sqrt(np.maximum(squares[:k], 0))
        self.n_components_, self.n_samples_seen_, self.n_samples_ = k, n, n
        others = min(n, rows.shape[1]) - k
        rest = (
            float(variances[k:].sum(dtype=np.float64))
            if len(variances) == others + k
            else total - float(variances[:k].sum(dtype=np.float64))
        )
        self.noise_variance_ = max(0.0, rest) / others if others else 0.0

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Add a chunk to those since the last ``fit``; only mean and scatter matrix are stored.

        >>> pca = PCA(1).partial_fit([[0.0, 0.0], [1.0, 1.0]]).partial_fit([[2.0, 2.0]])
        >>> pca.mean_.tolist()
        [1.0, 1.0]
        """
        del y
        seen = getattr(self, "_seen", None)
        x = np.asarray(self._checked(X, reset=seen is None), np.float64)
        self._check_parameters(None)
        check_squares(x, "PCA X")
        seen = Moments(x.shape[1], full=True) if seen is None else copy.copy(seen)
        seen.add(x)
        count = round(seen.weight)
        k = self._most(count, x.shape[1]) if count > 1 else 0
        # only now, so that a chunk with invalid parameters is not counted
        self._seen, self.mean_, self.n_samples_seen_ = seen, seen.mean, count
        if count > 1:
            values, rows = eigenvectors(seen.scatter, k)
            self._keep(
                values,
                rows,
                self.n_samples_seen_,
                float(np.trace(seen.scatter)) / (self.n_samples_seen_ - 1),
            )
        return self

    def transform(self, X: Any) -> Array:
        """Return the scores W(x − μ), (N, k), of unit variance with ``whiten``.

        >>> pca = PCA(1).fit([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
        >>> np.abs(pca.transform([[2.0, 2.0]])).round(4).tolist()
        [[1.4142]]
        """
        x = self._checked(X, reset=False, accept_sparse="csr")
        if sparse.issparse(x):
            scores = x @ self.components_.T - self.mean_ @ self.components_.T
        else:
            scores = (x - self.mean_) @ self.components_.T
        return np.asarray(scores / self._scales() if self.whiten else scores)

    def inverse_transform(self, X: Any) -> Array:
        """Return Wᵀz + μ, the projection of x on the principal subspace.

        >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
        >>> pca = PCA(1).fit(x)
        >>> np.allclose(pca.inverse_transform(pca.transform(x)), x)
        True
        """
        check_is_fitted(self)
        scores = coded(self, X, len(self.components_))
        return np.asarray(
            (scores * self._scales() if self.whiten else scores) @ self.components_
            + self.mean_
        )

    def get_covariance(self) -> Array:
        """Return Σ = Σⱼ (λⱼ − σ²) wⱼwⱼᵀ + σ²I, (d, d).

        >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.5]])
        >>> np.allclose(PCA(2).fit(x).get_covariance(), np.cov(x.T))
        True
        """
        check_is_fitted(self)
        above = np.maximum(self.explained_variance_ - self.noise_variance_, 0)
        covariance = (self.components_.T * above) @ self.components_
        covariance.flat[:: len(covariance) + 1] += self.noise_variance_
        return np.asarray(covariance)

    def get_precision(self) -> Array:
        """Return Σ⁻¹ = Σⱼ (1/λⱼ − 1/σ²) wⱼwⱼᵀ + I/σ², (d, d); raises DataError where Σ has no inverse."""
        variances, noise = self._model()
        if noise is None:
            return np.asarray((self.components_.T / variances) @ self.components_)
        precision = (
            self.components_.T * (1 / variances - 1 / noise)
        ) @ self.components_
        precision.flat[:: len(precision) + 1] += 1 / noise
        return np.asarray(precision)

    def _model(self) -> tuple[Array, float | None]:
        """Return the variances along the components, and across them (None if there are no other directions)."""
        check_is_fitted(self)
        k, d = self.components_.shape
        noise = None if k == d else float(self.noise_variance_)
        variances = np.maximum(
            self.explained_variance_.astype(np.float64), noise or 0.0
        )
        if noise == 0 or not (variances > 0).all():
            raise DataError(
                "PCA",
                expected="variance in all directions",
                got="a singular covariance matrix",
                hint="Take fewer n_components, so that the others give noise_variance_.",
            )
        return variances, noise

    def score_samples(self, X: Any) -> Array:
        """Return ln p(x) of each example under N(μ, Σ).

        >>> pca = PCA(1).fit([[0.0, 0.1], [1.0, 1.0], [2.0, 1.9], [3.0, 3.1]])
        >>> near, far = pca.score_samples([[1.0, 1.0], [1.0, 3.0]])
        >>> bool(near > far)
        True
        """
        variances, noise = self._model()
        x = self._checked(X, reset=False)
        check_squares(x, "PCA X")
        gap = x.astype(np.float64) - self.mean_
        scores = gap @ self.components_.T
        squares = (scores**2 / variances).sum(axis=1)
        log_det, d = float(np.log(variances).sum()), gap.shape[1]
        if noise is not None:
            gap -= scores @ self.components_
            squares += np.einsum("nd,nd->n", gap, gap) / noise
            log_det += (d - len(variances)) * np.log(noise)
        return np.asarray(-0.5 * (squares + log_det + d * np.log(2 * np.pi)))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of ln p(x) over the examples.

        >>> pca = PCA(1).fit([[0.0, 0.1], [1.0, 1.0], [2.0, 1.9], [3.0, 3.1]])
        >>> pca.score([[1.0, 1.0]]) > pca.score([[1.0, 3.0]])
        True
        """
        del y
        return float(self.score_samples(X).mean())

    def _scales(self) -> Array:
        deviation = np.sqrt(self.explained_variance_)
        return np.where(deviation > 0, deviation, 1.0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def eigenvectors(spread: Array, k: int) -> tuple[Array, Array]:
    """Return the k largest eigenvalues of a symmetric matrix, and their eigenvectors as rows.

    >>> values, rows = eigenvectors(np.diag([1.0, 4.0]), 1)
    >>> values.tolist(), np.abs(rows).tolist()
    ([4.0], [[0.0, 1.0]])
    """
    n = len(spread)
    values, vectors = linalg.eigh(
        spread, subset_by_index=(n - k, n - 1), check_finite=False
    )
    return values[::-1], vectors.T[::-1]


check_calls(__name__)
