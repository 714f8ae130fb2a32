"""Gamma variates, and their derivative with respect to the concentration.

Sampling: Marsaglia and Tsang (2000), x = d(1 + cε)³ accepted with probability ≥ 0.95. Ten proposals are generated at
once and the first accepted one is taken, so that the number of random numbers is fixed (all ten are rejected once in
10¹³ samples; the first proposal is used then). For a < 1 a variate for a + 1 is multiplied by u^(1/a). All of it is
computed in logarithms, which do not underflow for small a, so that ratios of variates (beta, Dirichlet) stay accurate.

Derivative: a variate x solves F(x; a) = u, so dx/da = −(∂F/∂a)/p(x; a) (Figurnov, Mohamed and Mnih 2018). It is
computed as an integral over the lighter tail of p(t)(ln t − ψ(a)), with t = xe^∓ᵛ, by the double exponential rule of
Takahasi and Mori (1974), with a relative error below 10⁻⁶ in float64.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from deltarule.generative.distributions.base import Noise
from deltarule.generative.special import digamma
from deltarule.tensor.functional import (
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    sqrt,
    take_along_axis,
    where,
)
from deltarule.tensor.tensor import Tensor, tensor

_PROPOSALS: Final = 10
_STEP: Final = 0.125
_NODES: Final = np.arange(-3.25, 4.5, _STEP)


def standard_gamma(a: Tensor, noise: Noise) -> Tensor:
    """Return one gamma variate of rate 1 for each concentration a, with the gradient dx/da (first order only)."""
    fixed = a.detach()
    x = _positive(_log_drawn(fixed, noise)).detach()
    slope = slope_in_concentration(x, fixed).detach()
    return x + slope * (a - fixed)


def log_standard_gamma(a: Tensor, noise: Noise) -> Tensor:
    """Return the logarithm of one gamma variate of rate 1 for each concentration, with d ln x/da = (dx/da)/x.

    Where x underflows, F(x; a) = xᵃ/Γ(a + 1) up to rounding, so d ln x/da = (ψ(a + 1) − ln x)/a.
    """
    fixed = a.detach()
    log_x = _log_drawn(fixed, noise).detach()
    x = _positive(log_x)
    smallest = float(np.finfo(a.dtype.name).tiny)
    tiny = (digamma(fixed + 1.0) - log_x) / fixed
    slope = where(
        x > smallest * 1e6, slope_in_concentration(x, fixed) / x, tiny
    ).detach()
    return log_x + slope * (a - fixed)


def _positive(log_x: Tensor) -> Tensor:
    return exp(log_x).clip(low=float(np.finfo(log_x.dtype.name).tiny))


def _log_drawn(a: Tensor, noise: Noise) -> Tensor:
    smallest = float(np.finfo(a.dtype.name).tiny)
    d = where(a < 1.0, a + 1.0, a) - 1 / 3
    proposals = (_PROPOSALS, *a.shape)
    normal = noise.normal(proposals, a.dtype)
    base = 1.0 + normal / sqrt(d * 9.0)
    v = (base * base * base).clip(low=smallest)
    u = log1p(-noise.uniform(proposals, a.dtype))
    accepted = (base > 0.0) & (u < normal * normal * 0.5 + d - d * v + d * log(v))
    first = accepted.astype(a.dtype).argmax(0).expand_dims(0)
    chosen = log(take_along_axis(d * v, first, 0).squeeze(0))
    boost = log1p(-noise.uniform(a.shape, a.dtype)) / a
    return where(a < 1.0, chosen + boost, chosen)


def slope_in_concentration(x: Tensor, a: Tensor) -> Tensor:
    """Return dx/da of a gamma variate x at a fixed probability F(x; a).

    >>> from deltarule.tensor.tensor import tensor
    >>> bool(slope_in_concentration(tensor(1.0), tensor(2.0)).item() > 0)
    True
    """
    side = where(x > a, 1.0, -1.0).astype(a.dtype)
    root = sqrt(x)
    below = 1.0 / (maximum(a - x, 0.0) + minimum(root, a))
    above = minimum(1.0 / (maximum(x - a, 0.0) + root), log1p(1.0 / x) + 1.0)
    width = where(x > a, above, below).expand_dims(-1)
    kind = a.dtype.name
    stretch = tensor(np.exp(_NODES - np.exp(-_NODES)).astype(kind))
    weight = tensor(
        (_STEP * np.exp(_NODES - np.exp(-_NODES)) * (1 + np.exp(-_NODES))).astype(kind)
    )
    s, z, shape = side.expand_dims(-1), x.expand_dims(-1), a.expand_dims(-1)
    v = width * stretch
    height = exp(s * shape * v - z * expm1((s * v).clip(high=80.0)))
    terms = height * (log(z) + s * v - digamma(shape)) * weight
    return side * x * (terms * width).sum(-1)
