"""Standard normal samples with less error than independent ones: stratified, in pairs ±ε, with exact second moments."""

from __future__ import annotations

from typing import Final

import numpy as np

from deltarule.runtime.buffers import Array

# Wichura (1988), algorithm AS 241, PPND16: numerator and denominator by rising powers
_CENTRE: Final = (
    (
        3.3871328727963666080,
        133.14166789178437745,
        1971.5909503065514427,
        13731.693765509461125,
        45921.953931549871457,
        67265.770927008700853,
        33430.575583588128105,
        2509.0809287301226727,
    ),
    (
        1.0,
        42.313330701600911252,
        687.18700749205790830,
        5394.1960214247511077,
        21213.794301586595867,
        39307.895800092710610,
        28729.085735721942674,
        5226.4952788528545610,
    ),
)
_TAIL: Final = (
    (
        1.42343711074968357734,
        4.63033784615654529590,
        5.76949722146069140550,
        3.64784832476320460504,
        1.27045825245236838258,
        0.241780725177450611770,
        0.0227238449892691845833,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187,
        1.67638483018380384940,
        0.689767334985100004550,
        0.148103976427480074590,
        0.0151986665636164571966,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR: Final = (
    (
        6.65790464350110377720,
        5.46378491116411436990,
        1.78482653991729133580,
        0.296560571828504891230,
        0.0265321895265761230930,
        0.00124266094738807843860,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        0.599832206555887937690,
        0.136929880922735805310,
        0.0148753612908506148525,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)


def normal_quantile(probability: Array) -> Array:
    """Return Φ⁻¹(u), the quantiles of the standard normal distribution, to 16 digits (Wichura 1988).

    >>> normal_quantile(np.array([0.5, 0.975])).round(6).tolist()
    [0.0, 1.959964]
    """
    centred = probability - 0.5
    tail = np.sqrt(-np.log(np.minimum(probability, 1 - probability)))

    def ratio(coefficients: tuple[tuple[float, ...], ...], x: Array) -> Array:
        above, below = (np.polynomial.polynomial.polyval(x, c) for c in coefficients)
        return np.asarray(above / below)

    outer = np.where(tail <= 5, ratio(_TAIL, tail - 1.6), ratio(_FAR, tail - 5))
    inner = centred * ratio(_CENTRE, 0.180625 - centred**2)
    return np.where(np.abs(centred) <= 0.425, inner, np.copysign(outer, centred))


def stratified_draws(
    n: int, d: int, generator: np.random.Generator, groups: int = 1
) -> Array:
    """Return n standard normal samples (n, d), of which each of the consecutive ``groups`` is independent.

    A group is a Latin hypercube (McKay et al. 1979) and its mirror image: every coordinate has one sample in each of
    equally probable intervals, and odd functions have the mean 0.

    >>> e = stratified_draws(64, 2, np.random.default_rng(0))
    >>> bool(np.allclose(e.mean(axis=0), 0))
    True
    """
    half = n // (2 * groups)
    strata = generator.permuted(
        np.tile(np.arange(half), (groups * d, 1)), axis=1
    ).reshape(groups, d, half)
    uniform = (strata + generator.uniform(1e-9, 1, size=strata.shape)) / half
    halves = normal_quantile(np.minimum(uniform, 1 - 1e-12)).transpose(0, 2, 1)
    return np.concatenate([halves, -halves], axis=1).reshape(-1, d)


def matched_draws(n: int, d: int, generator: np.random.Generator) -> Array:
    """Return n standard normal samples (n, d) with sample mean 0 and, for n ≥ 4d, sample covariance I.

    >>> e = matched_draws(64, 2, np.random.default_rng(0))
    >>> bool(np.allclose(e.T @ e / 64, np.eye(2)))
    True
    """
    draws = stratified_draws(n, d, generator)
    if n >= 4 * d:
        return np.asarray(
            np.linalg.solve(np.linalg.cholesky(draws.T @ draws / n), draws.T).T
        )
    return np.asarray(draws / np.sqrt((draws**2).mean(axis=0)))
