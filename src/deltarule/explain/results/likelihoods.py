"""Results of statistics as steps: maximum likelihood, divergences of normal distributions, principal components.

After Bishop, Pattern Recognition and Machine Learning (2006), sections 1.2, 2.1-2.3 and 12.1.
"""

from __future__ import annotations

import math

from deltarule.explain.results.identity import (
    Identity,
    IdentityStep,
    constant,
    real,
)
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.node import Node

_N = 5  # data points


def _positive(name: str, *shape: int) -> Node:
    return build.add(build.absolute(real(name, *shape)), 0.1)


def hyperbolic_tangent() -> Identity:
    """The hyperbolic tangent is a logistic function, scaled and shifted.

    >>> print(hyperbolic_tangent().steps[-1])
    1 − tanh(x)² = 4σ(2x)(1 − σ(2x))
    """
    steps = (
        IdentityStep(
            "tanh(x)", "=", "(exp(x) − exp(−x))/(exp(x) + exp(−x))", "definition"
        ),
        IdentityStep("tanh(x)", "=", "(1 − exp(−2x))/(1 + exp(−2x))", "times e⁻ˣ"),
        IdentityStep("tanh(x)", "=", "2/(1 + exp(−2x)) − 1", "1 − u = 2 − (1 + u)"),
        IdentityStep("tanh(x)", "=", "2σ(2x) − 1", "σ(z) = 1/(1 + e⁻ᶻ)"),
        IdentityStep("1 − tanh(x)²", "=", "4σ(2x)(1 − σ(2x))", "the derivatives agree"),
    )
    return Identity("tanh and the logistic function", "x ∈ ℝ", {"x": real("x")}, steps)


def gaussian_divergence() -> Identity:
    """The Kullback–Leibler divergence of two normal distributions.

    >>> print(gaussian_divergence().steps[-1])
    0 ≤ K
    """
    m, n, s, t = real("m"), real("n"), _positive("s"), _positive("t")
    # three nodes of the Gauss–Hermite rule: exact for polynomials up to degree 5
    nodes = [-math.sqrt(3.0), 0.0, math.sqrt(3.0)]
    weights = [1 / 6, 2 / 3, 1 / 6]
    z, w = (
        build.concatenate([build.reshape(constant(v), (1,)) for v in values], 0)
        for values in (nodes, weights)
    )
    x = build.add(m, build.multiply(s, z))
    ratio = build.subtract(_log_density(x, m, s), _log_density(x, n, t))
    names = {"m": m, "n": n, "s": s, "t": t, "x": x, "w": w}
    names["K"] = build.sum_over(build.multiply(w, ratio))
    steps = (
        IdentityStep("wᵀ x", "=", "m", "E x = m under q"),
        IdentityStep("wᵀ ((x − m) ⊙ (x − m))", "=", "s²", "E(x − m)² = s²"),
        IdentityStep(
            "wᵀ ((x − n) ⊙ (x − n))",
            "=",
            "s² + (m − n)²",
            "x − n = (x − m) + (m − n)",
        ),
        IdentityStep(
            "K",
            "=",
            "log(t/s) − s²/(2s²) + (s² + (m − n)²)/(2t²)",
            "E log q − E log p",
        ),
        IdentityStep("K", "=", "log(t/s) + (s² + (m − n)²)/(2t²) − 1/2", "KL(q‖p)"),
        IdentityStep("0", "≤", "K", "Gibbs' inequality"),
    )
    given = "q = N(m, s²), p = N(n, t²), E f(x) = wᵀf(x), K = E log(q/p)"
    return Identity("The divergence of two normal distributions", given, names, steps)


def _log_density(x: Node, mean: Node, deviation: Node) -> Node:
    """Return the logarithm of a normal density without −½ log 2π."""
    scaled = build.divide(build.subtract(x, mean), deviation)
    return build.subtract(
        build.multiply(-0.5, build.multiply(scaled, scaled)), build.log(deviation)
    )


def gaussian_likelihood() -> Identity:
    """Mean and variance of the data maximise the likelihood of a normal distribution.

    >>> print(gaussian_likelihood().steps[0].reason)
    ∂ℓ/∂μ = Σ (x − μ)/s is 0 at μ = m
    """
    x = real("x", _N)
    mean = build.mean(x)
    centred = build.subtract(x, mean)
    variance = build.mean(build.multiply(centred, centred))
    names = {"x": x, "m": mean, "v": variance, "n": constant(_N)}
    names |= {"mu": real("u"), "s": _positive("s")}
    steps = (
        IdentityStep("Σ (x − m)", "=", "0", "∂ℓ/∂μ = Σ (x − μ)/s is 0 at μ = m"),
        IdentityStep(
            "Σ (x − m)²/(2v²) − n/(2v)", "=", "0", "∂ℓ/∂s is 0 at μ = m, s = v"
        ),
        IdentityStep(
            "−½ n log(s) − Σ (x − μ)²/(2s)",
            "≤",
            "−½ n log(v) − ½ n",
            "the maximum: ℓ(μ, s) ≤ ℓ(m, v)",
        ),
    )
    given = "ℓ(μ, s) = −½n log s − Σ(x − μ)²/(2s) + constant; m, v: mean and variance"
    return Identity("Maximum likelihood: normal distribution", given, names, steps)


def bernoulli_likelihood() -> Identity:
    """The share of successes maximises the likelihood of a Bernoulli distribution.

    >>> [step.reason for step in bernoulli_likelihood().steps][:1]
    ['∂ℓ/∂p is 0 at p = k/n']
    """
    k, j = _positive("k"), _positive("j")
    n = build.add(k, j)
    names = {"k": k, "n": n, "p": build.divide(k, n), "q": f.sigmoid(real("z"))}
    steps = (
        IdentityStep("k/p − (n − k)/(1 − p)", "=", "0", "∂ℓ/∂p is 0 at p = k/n"),
        IdentityStep("k − n p", "=", "0", "∂ℓ/∂z in the logit z is 0"),
        IdentityStep(
            "k log(q) + (n − k) log(1 − q)",
            "≤",
            "k log(p) + (n − k) log(1 − p)",
            "the maximum: ℓ(q) ≤ ℓ(p)",
        ),
    )
    given = "ℓ(p) = k log p + (n − k) log(1 − p), k of n; p = k/n"
    return Identity("Maximum likelihood: Bernoulli", given, names, steps)


def categorical_likelihood() -> Identity:
    """The shares of the classes maximise the likelihood of a softmax model.

    >>> [step.reason for step in categorical_likelihood().steps][:1]
    ['p is a distribution']
    """
    c = _positive("c", 4)
    n = build.sum_over(c)
    names = {
        "c": c,
        "n": n,
        "p": build.divide(c, n),
        "q": f.softmax(real("z", 4), axis=0),
    }
    steps = (
        IdentityStep("Σ p", "=", "1", "p is a distribution"),
        IdentityStep("c", "=", "n p", "∂/∂pₖ of ℓ − λ(Σp − 1) is 0: cₖ/pₖ = λ = n"),
        IdentityStep("softmax(log(p))", "=", "p", "the logits are log p"),
        IdentityStep(
            "c − n softmax(log(p))", "=", "0 c", "∂ℓ/∂z = c − n softmax(z) is 0 there"
        ),
        IdentityStep("cᵀ log(q)", "≤", "cᵀ log(p)", "the maximum: ℓ(q) ≤ ℓ(p)"),
    )
    given = "ℓ(p) = cᵀ log p, cₖ examples of class k, n = Σ c; p = c/n"
    return Identity("Maximum likelihood: softmax", given, names, steps)


def principal_components() -> Identity:
    """The direction of the largest variance is an eigenvector of the covariance matrix.

    >>> [step.reason for step in principal_components().steps][:1]
    ['the gradient of wᵀCw − λ(wᵀw − 1) is 0']
    """
    smallest = _positive("l")
    middle = build.add(smallest, _positive("k"))
    largest = build.add(middle, _positive("h"))
    spectrum = [build.reshape(value, (1,)) for value in (largest, middle, smallest)]
    u, other = real("u", 3), real("o", 3)
    column = build.reshape(u, (3, 1))
    outer = build.matmul(column, build.matrix_transpose(column))
    share = build.divide(
        build.multiply(2.0, outer), build.sum_over(build.multiply(u, u))
    )
    basis = build.subtract(algebra.identity(3, u.dtype), share)  # a reflection
    scaled = build.matmul(
        basis, algebra.diagonal_matrix(build.concatenate(spectrum, 0))
    )
    covariance = build.matmul(scaled, build.matrix_transpose(basis))
    first = build.reshape(build.slice_axes(basis, (0, 0), (3, 1), (1, 1)), (3,))
    length = build.sqrt(build.sum_over(build.multiply(other, other)))
    names = {"C": covariance, "w": first, "lambda": largest}
    names["v"] = build.divide(other, length)
    steps = (
        IdentityStep(
            "2 C w − 2 λ w", "=", "0 w", "the gradient of wᵀCw − λ(wᵀw − 1) is 0"
        ),
        IdentityStep("C w", "=", "λ w", "w is an eigenvector"),
        IdentityStep("wᵀ w", "=", "1", "of length 1"),
        IdentityStep("wᵀ C w", "=", "λ", "the variance along w is the eigenvalue"),
        IdentityStep("vᵀ C v", "≤", "λ", "no unit vector v has a larger variance"),
    )
    given = "maximise the variance wᵀCw with wᵀw = 1; λ the largest eigenvalue"
    return Identity("Principal components", given, names, steps)
