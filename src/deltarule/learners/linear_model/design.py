"""Examples as linear fits take them: centred, each feature of size about 1, a last feature 1 for the bias.

Where an intercept is learnt and left out of the penalty, moving a feature changes nothing but the intercept, and a
feature in another unit nothing but its coefficient and the strength of its penalty. A fit therefore works with

    x̃ = (x − c)/s,  Φ = s·θ,  intercept = Φ₁ − cᵀθ,  αⱼ = α/sⱼ²

whose minimum is that of the stated objective, and whose rounding and steps do not depend on where the data lie. The
means c are subtracted from the numbers themselves where they are large beside the spread, and from products with them
elsewhere, so that no copy of the data is made; sparse data stay sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import numpy as np
from scipy import sparse

from deltarule.learners.base import Array

BLOCK = 2**14  # rows, at most
_NUMBERS = 2**20  # in a block, if that are more rows
_FEW = 2**20  # numbers of which a copy is made
_FAR = (
    32.0  # means of so many standard deviations are subtracted before products are made
)
_EXTREME = 300  # powers of two beyond which squares, and sums of them, may not be finite or normal


@final
class Design:
    """x̃ of N examples, in blocks of rows; ``width`` includes the feature of the bias, which comes last."""

    def __init__(
        self,
        rows: Any,
        unit: Array,
        center: Array,
        left: Array,
        size: Array,
        intercept: bool,
    ) -> None:
        self.rows, self.intercept = rows, intercept
        self.unit, self._center, self._left, self.size = unit, center, left, size
        self.n, self.features = int(rows.shape[0]), int(rows.shape[1])
        self.width = self.features + int(intercept)

    @staticmethod
    def of(x: Any, weights: Array, intercept: bool, ridge: float = 0.0) -> Design:
        """Return x̃ for examples (N, d), an array or CSR, with weights ≥ 0.

        ``ridge`` is the α of a penalty ½α‖θ‖² on a mean: sizes are (σ² + α)½, so that features that the penalty
        outweighs do not spoil the condition.
        """
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            mean, square = _moments(x, weights)
        rows, unit = x, np.ones(x.shape[1])
        extreme = ~((square > 1e-180) & (square < 1e180))
        if extreme.any():
            unit = units(x)
            rows = scaled(x, unit)
            mean, square = _moments(rows, weights)
        center, left = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        if intercept:
            square = np.maximum(square - mean**2, 0.0)
            far = (mean != 0) & (_FAR**2 * square <= mean**2)
            if far.any():
                rows, center[far], square[far] = _centred(
                    rows, weights, np.flatnonzero(far)
                )
            left = np.where(far, 0.0, mean)
        size = np.hypot(np.sqrt(square), np.sqrt(ridge) * unit)
        return Design(
            rows, unit, center, left, np.where(size > 0, size, 1.0), intercept
        )

    def explicit(self) -> Design | Explicit:
        """Return x̃ itself where its numbers are few: products with it then need nothing around them."""
        if sparse.issparse(self.rows) or self.n * self.width > _FEW:
            return self
        made = np.empty((self.n, self.width), order="F")
        inner = made[:, : self.features]
        np.subtract(self.rows, self._left, out=inner)
        inner /= self.size
        made[:, self.features :] = 1.0
        return Explicit(made, self.intercept)

    def part(self, rows: Array) -> Design:
        """Return a subset of the examples, with the same centres and scales."""
        return Design(
            self.rows[rows],
            self.unit,
            self._center,
            self._left,
            self.size,
            self.intercept,
        )

    @property
    def means(self) -> Array:
        """The means that were subtracted, in scaled units."""
        return np.asarray(self._center + self._left)

    def penalties(self, ridge: float) -> Array:
        """Return the coefficients of ½Φ² in the penalty ½·ridge·‖θ‖², (width,); 0 for biases."""
        of = (np.sqrt(ridge) * self.unit / self.size) ** 2
        return np.append(of, 0.0) if self.intercept else of

    def kinks(self, strength: float) -> Array:
        """Return the coefficients of |Φ| in the penalty strength·‖θ‖₁, (width,); 0 for biases."""
        with np.errstate(over="ignore"):
            of = np.minimum(strength * self.unit / self.size, 1e300)
        return np.append(of, 0.0) if self.intercept else of

    def outer(self, phi: Array) -> tuple[Array, Array]:
        """Return θ (outputs, d) and the intercepts (outputs,) of Φ; overflow becomes infinite."""
        coefficients = phi[:, : self.features] / self.size
        moved = coefficients @ self.means
        with np.errstate(over="ignore"):
            return coefficients * self.unit, phi[
                :, -1
            ] - moved if self.intercept else np.zeros(len(phi))

    def inner(self, theta: Array, intercepts: Array) -> Array:
        """Return Φ of θ (outputs, d) and intercepts."""
        coefficients = theta / self.unit
        phi = coefficients * self.size
        if not self.intercept:
            return phi
        return np.column_stack([phi, intercepts + coefficients @ self.means])

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield places of rows and the rows in float64, until the next is taken; sparse ones at once."""
        if sparse.issparse(self.rows):
            yield slice(0, self.n), self.rows
            return
        step = self.block_rows
        buffer = (
            None
            if self.rows.dtype == np.float64
            else np.empty((min(step, self.n), self.features))
        )
        for start in range(0, self.n, step):
            rows = slice(start, min(start + step, self.n))
            if buffer is None:
                yield rows, self.rows[rows]
            else:
                np.copyto(buffer[: rows.stop - start], self.rows[rows])
                yield rows, buffer[: rows.stop - start]

    @property
    def block_rows(self) -> int:
        """Rows of a block: as many as stay in the cache, or nearly as many in each of the blocks that there are."""
        if sparse.issparse(self.rows):
            return self.n
        return _dense_rows(self.n, self.features)

    def forward(self, block: Any, phi: Array) -> Array:
        """Return x̃Φᵀ of a block, (rows, outputs)."""
        coefficients = phi[:, : self.features] / self.size
        scores = np.asarray(block @ coefficients.T)
        if self.intercept:
            scores += phi[:, -1] - coefficients @ self._left
        return scores

    def backward(self, block: Any, errors: Array) -> Array:
        """Return errorsᵀx̃ of a block, (outputs, width)."""
        sums = np.asarray((block.T @ errors).T)
        if not self.intercept:
            return sums / self.size
        total = errors.sum(axis=0)
        return np.column_stack(
            [(sums - np.outer(total, self._left)) / self.size, total]
        )

    def gram(self, block: Any, weights: Array, columns: Array | None = None) -> Array:
        """Return x̃ᵀ diag(weights) x̃ of a block, (width, width), or of some features and the bias; any weights."""
        left, size = self._left, self.size
        if columns is not None:
            block, left, size = block[:, columns], left[columns], size[columns]
        d = len(size)
        found = np.empty((d + int(self.intercept), d + int(self.intercept)))
        inner = found[:d, :d]
        inner[...] = _product(block, weights)
        if self.intercept:
            sums, total = np.asarray(block.T @ weights), float(weights.sum())
            cross = np.outer(sums, left)
            inner -= cross + cross.T - total * np.outer(left, left)
            found[-1, :-1] = found[:-1, -1] = (sums - total * left) / size
            found[-1, -1] = total
        inner /= np.outer(size, size)
        return found


@final
class Explicit:
    """x̃ in one array, with the products of a ``Design``.

    >>> design = Explicit(np.array([[2.0, 1.0], [3.0, 1.0]]), intercept=True)
    >>> design.n, design.features
    (2, 1)
    """

    def __init__(self, rows: Array, intercept: bool) -> None:
        self._rows, self.intercept = rows, intercept
        self.n, self.width = rows.shape
        self.features = self.width - int(intercept)
        self.block_rows = _dense_rows(self.n, self.features)

    def explicit(self) -> Explicit:
        """Return this object."""
        return self

    def part(self, rows: Array) -> Explicit:
        """Return a subset of the examples."""
        return Explicit(self._rows[rows], self.intercept)

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield places of rows and the rows."""
        for start in range(0, self.n, self.block_rows):
            rows = slice(start, min(start + self.block_rows, self.n))
            yield rows, self._rows[rows]

    def forward(self, block: Array, phi: Array) -> Array:
        """Return x̃Φᵀ of a block, (rows, outputs)."""
        return np.asarray((phi @ block.T).T)

    def backward(self, block: Array, errors: Array) -> Array:
        """Return errorsᵀx̃ of a block, (outputs, width)."""
        return np.asarray(errors.T @ block)

    def gram(self, block: Array, weights: Array, columns: Array | None = None) -> Array:
        """Return x̃ᵀ diag(weights) x̃ of a block, (width, width), or of some features and the bias; any weights."""
        if columns is not None:
            block = block[:, np.append(columns, np.arange(self.features, self.width))]
        return _product(block, weights)


def even_rows(n: int, most: int) -> int:
    """Return rows for blocks of about the same size, ``most`` of many; they round up to an eighth of a power of two.

    >>> even_rows(20_000, 2**14), even_rows(900, 2**14), even_rows(10**6, 2**14)
    (10240, 960, 16384)
    """
    if n >= 32 * most:
        return most
    rows = -(-n // -(-n // most))
    step: int = max(16, 2 ** (rows.bit_length() - 4))
    return min(most, -(-rows // step) * step)


def _dense_rows(n: int, features: int) -> int:
    """Return the rows of a block of arrays."""
    fitting = 2 ** (max(1, _NUMBERS // max(1, features)).bit_length() - 1)
    return even_rows(n, min(BLOCK, max(1024, fitting)))


def _product(block: Any, weights: Array) -> Array:
    if sparse.issparse(block):
        return np.asarray((block.T @ sparse.diags_array(weights) @ block).toarray())
    for sign in (1.0, -1.0):
        if (sign * weights >= 0).all():
            half = block * np.sqrt(sign * weights)[:, None]
            return np.asarray(sign * (half.T @ half))
    return np.asarray((block * weights[:, None]).T @ block)


def _moments(x: Any, weights: Array) -> tuple[Array, Array]:
    """Return the weighted means of the columns and of their squares."""
    total = float(weights.sum())
    if sparse.issparse(x):
        squares = sparse.csr_array(
            (x.data.astype(np.float64) ** 2, x.indices, x.indptr), x.shape
        )
        return np.asarray(x.T @ weights, np.float64) / total, np.asarray(
            squares.T @ weights
        ) / total
    mean, square = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    step = max(256, _NUMBERS // max(1, x.shape[1]))
    buffer = np.empty((min(step, len(x)), x.shape[1]))
    for start in range(0, len(x), step):
        block, part = x[start : start + step], weights[start : start + step]
        squares = buffer[: len(block)]
        np.copyto(squares, block)
        mean += part @ squares
        squares *= squares
        square += part @ squares
    return mean / total, square / total


def units(x: Any) -> Array:
    """Return powers of two that scale the largest number of each column to about 1; 1 where none is needed.

    >>> units(np.array([[2.0**500, 0.25]])).tolist() == [2.0**-501, 1.0]
    True
    """
    found = np.ones(x.shape[1])
    with np.errstate(over="ignore", under="ignore"):
        if sparse.issparse(x):
            square = np.bincount(x.indices, x.data.astype(np.float64) ** 2, x.shape[1])
        else:
            square = np.einsum("nd,nd->d", x, x, dtype=np.float64)
    extreme = np.flatnonzero(~((square > 1e-180) & (square < 1e180)))
    if len(extreme):
        largest = abs(x[:, extreme]).max(axis=0)
        largest = (
            (largest.toarray() if sparse.issparse(largest) else largest)
            .ravel()
            .astype(np.float64)
        )
        exponent = np.frexp(largest)[1]
        needed = np.abs(exponent) > _EXTREME
        found[extreme] = np.where(
            needed, np.ldexp(1.0, np.clip(-exponent, -1040, 1000)), 1.0
        )
    return found


def scaled(x: Any, unit: Array) -> Any:
    """Return columns times their units, in float64.

    >>> scaled(np.array([[1000.0, 0.25]]), np.array([2.0**-10, 4.0])).tolist()
    [[0.9765625, 1.0]]
    """
    if sparse.issparse(x):
        return sparse.csr_array(
            (x.data.astype(np.float64) * unit[x.indices], x.indices, x.indptr), x.shape
        )
    return x.astype(np.float64) * unit


def _centred(x: Any, weights: Array, columns: Array) -> tuple[Any, Array, Array]:
    """Return the numbers with some columns centred, their centres and variances; they are 0 where all is one number."""
    stored = sparse.issparse(x)
    part = (
        x[:, columns].toarray().astype(np.float64)
        if stored
        else x[:, columns].astype(np.float64)
    )
    lowest, total = part.min(axis=0), weights.sum()
    part -= lowest
    mean = weights @ part / total
    part -= mean
    if stored:
        kept = np.ones(x.shape[1])
        kept[columns] = 0.0
        row, column = np.indices(part.shape).reshape(2, -1)
        moved = sparse.csr_array((part.ravel(), (row, columns[column])), x.shape)
        return (
            (scaled(x, kept) + moved).tocsr(),
            lowest + mean,
            weights @ (part * part) / total,
        )
    rows = x.astype(np.float64)
    rows[:, columns] = part
    return rows, lowest + mean, weights @ (part * part) / total
