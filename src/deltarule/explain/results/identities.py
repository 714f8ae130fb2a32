"""Derivations that are not gradients: bounds, changes of variables, recursions — each step written out and evaluated.

A step is an equation or an inequality in the notation of ``grammar.py``; what is printed is what is evaluated at
random points in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from deltarule import dtypes
from deltarule.errors import ArgumentError
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.explain.results.identity import (
    Identity,
    IdentityStep,
    constant,
    real,
    unit,
)
from deltarule.explain.results.likelihoods import (
    bernoulli_likelihood,
    categorical_likelihood,
    gaussian_divergence,
    gaussian_likelihood,
    hyperbolic_tangent,
    principal_components,
)
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node

__all__ = ["IDENTITIES", "Identity", "IdentityStep", "identity"]


def log_sum_exp() -> Identity:
    """The smooth maximum lies between the maximum and the maximum + ln n.

    >>> print(log_sum_exp().steps[0])
    exp(M) < Σ exp(x)
    """
    x, t = real("x", 5), build.add(build.absolute(real("t")), 0.1)
    names = {"x": x, "t": t, "M": build.maximum_over(x), "n": constant(5)}
    steps = (
        IdentityStep("exp(M)", "<", "Σ exp(x)", "the other terms are positive (n > 1)"),
        IdentityStep("Σ exp(x)", "≤", "n exp(M)", "no term is larger than the largest"),
        IdentityStep("M", "<", "log(Σ exp(x))", "log grows"),
        IdentityStep("log(Σ exp(x))", "≤", "M + log(n)", "log of a product"),
        IdentityStep("M", "<", "log(Σ exp(t x))/t", "the same of tx, divided by t > 0"),
        IdentityStep(
            "log(Σ exp(t x))/t", "≤", "M + log(n)/t", "the gap closes as t grows"
        ),
    )
    return Identity("LSE is a smooth maximum", "x ∈ ℝⁿ, M = max x, t > 0", names, steps)


def nesterov() -> Identity:
    """With Nesterov's look-ahead variable the gradient at θ + αv is one at the variable itself.

    >>> print(nesterov().steps[-1])
    φ' = φ + u + α(u − v)
    """
    theta, v, g, alpha, epsilon = (
        real("theta", 3),
        real("v", 3),
        real("g", 3),
        unit("a"),
        unit("e"),
    )
    u = build.subtract(build.multiply(alpha, v), build.multiply(epsilon, g))
    moved = build.add(theta, u)
    ahead = build.add(theta, build.multiply(alpha, v))
    after = build.add(moved, build.multiply(alpha, u))
    names = {
        "theta": theta,
        "v": v,
        "g": g,
        "alpha": alpha,
        "epsilon": epsilon,
        "u": u,
        "theta'": moved,
        "phi": ahead,
        "phi'": after,
    }
    steps = (
        IdentityStep("u", "=", "α v − ε g", "velocity, g = ∇L(φ)"),
        IdentityStep("φ'", "=", "θ' + α u", "definition"),
        IdentityStep("φ'", "=", "θ + u + α u", "θ′ = θ + u"),
        IdentityStep("φ'", "=", "φ − α v + u + α u", "θ = φ − αv"),
        IdentityStep("φ'", "=", "φ + u + α(u − v)", "the update in φ alone"),
    )
    return Identity(
        "Nesterov momentum, variable changed",
        "φ = θ + αv, φ₀ = θ₀ as v₀ = 0",
        names,
        steps,
    )


def momentum() -> Identity:
    """Momentum is a sum of past gradients with weights that decay.

    >>> print(momentum().steps[-1])
    E = −ε μ/(1 − α) (3 − α(1 − α³)/(1 − α))
    """
    g, alpha, epsilon = [real(f"g_{i}") for i in (1, 2, 3)], unit("a"), unit("e")
    v: list[Node] = [constant(0)]
    for gradient in g:
        v.append(
            build.subtract(
                build.multiply(alpha, v[-1]), build.multiply(epsilon, gradient)
            )
        )
    start, mean = real("s"), real("mu")
    end = build.add(build.add(build.add(start, v[1]), v[2]), v[3])
    mean_v = [constant(0)]
    for _ in g:
        mean_v.append(
            build.subtract(
                build.multiply(alpha, mean_v[-1]), build.multiply(epsilon, mean)
            )
        )
    names = {
        "g_1": g[0],
        "g_2": g[1],
        "g_3": g[2],
        "alpha": alpha,
        "epsilon": epsilon,
        "v_1": v[1],
        "v_2": v[2],
        "v_3": v[3],
        "theta_0": start,
        "theta_3": end,
        "mu": mean,
        "E": build.add(build.add(mean_v[1], mean_v[2]), mean_v[3]),
    }
    steps = (
        IdentityStep("v₁", "=", "−ε g₁", "v₀ = 0"),
        IdentityStep("v₂", "=", "−ε(g₂ + α g₁)", "v₂ = αv₁ − εg₂"),
        IdentityStep("v₃", "=", "−ε(g₃ + α g₂ + α² g₁)", "and so on: −ε Σₖ αᵏ g₍ₜ₋ₖ₎"),
        IdentityStep("θ₃", "=", "θ₀ + v₁ + v₂ + v₃", "steps add up"),
        IdentityStep(
            "E", "=", "−ε μ(3 + 2 α + α²)", "E[θ₃ − θ₀] for gradients of mean μ"
        ),
        IdentityStep(
            "E", "=", "−ε μ/(1 − α) (3 − α(1 − α³)/(1 − α))", "geometric sums"
        ),
    )
    return Identity("Momentum written out", "vₜ = αvₜ₋₁ − εgₜ, t = 3", names, steps)


def weight_decay() -> Identity:
    """A penalty ½α‖θ‖² shrinks θ by a factor before each step.

    >>> print(weight_decay().steps[-1])
    θ − ε(g + α θ) = (1 − ε α)θ − ε g
    """
    names = {
        "theta": real("theta", 3),
        "g": real("g", 3),
        "alpha": unit("a"),
        "epsilon": unit("e"),
    }
    steps = (
        IdentityStep("θ − ε(g + α θ)", "=", "θ − ε α θ − ε g", "g = ∇L, αθ = ∇½α‖θ‖²"),
        IdentityStep("θ − ε(g + α θ)", "=", "(1 − ε α)θ − ε g", "decay, then the step"),
    )
    return Identity("Weight decay", "gradient descent on L + ½α‖θ‖²", names, steps)


def initialisation() -> Identity:
    """Variances of weights that keep those of signals (Xavier) and of rectified signals (He).

    >>> print(initialisation().steps[0])
    nᵢ (1/nᵢ) q = q
    """
    a, b = (build.add(build.absolute(real(name)), 1.0) for name in ("a", "b"))
    s, moment = (
        build.add(build.absolute(real("s")), 0.1),
        build.add(build.absolute(real("q")), 0.1),
    )
    names = {"n_i": a, "n_o": b, "s": s, "q": moment}
    steps = (
        IdentityStep(
            "nᵢ (1/nᵢ) q", "=", "q", "var(z) = nᵢ var(w) q keeps q for var(w) = 1/nᵢ"
        ),
        IdentityStep("nₒ (1/nₒ) q", "=", "q", "backwards 1/nₒ"),
        IdentityStep(
            "1/((nᵢ + nₒ)/2)",
            "=",
            "2/(nᵢ + nₒ)",
            "both: the mean of nᵢ and nₒ (Xavier)",
        ),
        IdentityStep("½ nᵢ (2/nᵢ) q", "=", "q", "ReLU halves E[z²]: 2/nᵢ (He)"),
    )
    return Identity(
        "Xavier and He initialisation", "nᵢ inputs, nₒ outputs, q = E[h²]", names, steps
    )


def evidence_bound() -> Identity:
    """The identity of the VAE: evidence minus the gap is the bound.

    >>> print(evidence_bound().steps[0])
    r ⊙ P = p ⊙ l
    """
    q, p = (f.softmax(real(name, 4), axis=0) for name in ("a", "b"))
    likelihood = f.sigmoid(real("c", 4))
    joint = build.multiply(p, likelihood)
    evidence = build.sum_over(joint)
    posterior = build.divide(joint, evidence)
    names = {"q": q, "p": p, "l": likelihood, "r": posterior, "P": evidence}
    steps = (
        IdentityStep("r ⊙ P", "=", "p ⊙ l", "Bayes, P = P(X)"),
        IdentityStep(
            "log(P) − qᵀ log(q/r)",
            "=",
            "qᵀ (log(l) + log(p) − log(q))",
            "log r = log p + log l − log P",
        ),
        IdentityStep(
            "log(P) − qᵀ log(q/r)",
            "=",
            "qᵀ log(l) − qᵀ log(q/p)",
            "ELBO = E log P(X|z) − KL(q‖p)",
        ),
        IdentityStep("qᵀ log(l) − qᵀ log(q/p)", "≤", "log(P)", "KL(q‖r) ≥ 0"),
    )
    return Identity(
        "The evidence lower bound",
        "q = Q(z|X), r = P(z|X), p = P(z), l = P(X|z), KL(q‖r) = qᵀ log(q/r)",
        names,
        steps,
    )


def bias_and_variance() -> Identity:
    """Expected squared error = noise + bias² + variance.

    >>> print(bias_and_variance().steps[-1])
    Σ (f − F)²/n = (f − m)² + Σ (F − m)²/n
    """
    truth, noise, estimates = real("f"), real("s"), real("F", 5)
    mean = build.mean(estimates)
    names = {"f": truth, "s": noise, "F": estimates, "m": mean, "n": constant(5)}
    steps = (
        IdentityStep(
            "(½ Σ (f + s − F)² + ½ Σ (f − s − F)²)/n",
            "=",
            "s² + Σ (f − F)²/n",
            "the noise ±s has mean 0",
        ),
        IdentityStep(
            "Σ (f − F)²/n",
            "=",
            "(f − m)² + Σ (F − m)²/n",
            "m = E F: the cross term is 0",
        ),
    )
    return Identity(
        "Bias and variance", "y = f ± s, estimates F, m their mean", names, steps
    )


def welford() -> Identity:
    """One pass over the data for mean and sum of squares.

    >>> print(welford().steps[0])
    μ = ν + (x − ν)/n
    """
    x = real("x", 5)
    first = build.slice_axes(x, (0,), (4,), (1,))
    last = build.sum_over(build.slice_axes(x, (4,), (5,), (1,)))
    names = {
        "x": last,
        "mu": build.mean(x),
        "nu": build.mean(first),
        "S": _scatter(x),
        "R": _scatter(first),
        "n": constant(5),
    }
    steps = (
        IdentityStep("μ", "=", "ν + (x − ν)/n", "the mean moves by a share"),
        IdentityStep("S", "=", "R + (x − μ)(x − ν)", "x the newest value"),
        IdentityStep(
            "S", "=", "R + n(n − 1)(μ − ν)²", "x − ν = n(μ − ν), x − μ = (n − 1)(μ − ν)"
        ),
    )
    return Identity(
        "Welford's recursion", "μ, S of n values; ν, R of the first n − 1", names, steps
    )


def _scatter(x: Node) -> Node:
    centred = build.subtract(x, build.mean(x))
    return build.sum_over(build.multiply(centred, centred))


def newton() -> Identity:
    """The step to the lowest point of the quadratic model.

    >>> print(newton().steps[-1])
    gᵀν + ½ νᵀ H ν ≤ gᵀd + ½ dᵀ H d
    """
    root, g, d = real("A", 3, 3), real("g", 3), real("d", 3)
    identity = build.cast(
        build.equal(build.iota((3, 3), 0), build.iota((3, 3), 1)), dtypes.FLOAT64
    )
    curvature = build.add(build.matmul(root, build.matrix_transpose(root)), identity)
    step = build.negate(
        build.reshape(build.solve(curvature, build.reshape(g, (3, 1))), (3,))
    )
    names = {"H": curvature, "g": g, "nu": step, "d": d}
    steps = (
        IdentityStep(
            "g + H ν", "=", "0 g", "the gradient of gᵀν + ½νᵀHν vanishes: ν = −H⁻¹g"
        ),
        IdentityStep("gᵀν + ½ νᵀ H ν", "=", "−½ νᵀ H ν", "g = −Hν"),
        IdentityStep(
            "gᵀν + ½ νᵀ H ν",
            "≤",
            "gᵀd + ½ dᵀ H d",
            "no other step d is better (H positive definite)",
        ),
    )
    return Identity("Newton's step", "model f(θ + ν) ≈ f + gᵀν + ½νᵀHν", names, steps)


IDENTITIES: Final[Mapping[str, Callable[[], Identity]]] = {
    make.__name__: make
    for make in (
        log_sum_exp,
        nesterov,
        momentum,
        weight_decay,
        initialisation,
        evidence_bound,
        bias_and_variance,
        welford,
        newton,
        hyperbolic_tangent,
        gaussian_divergence,
        gaussian_likelihood,
        bernoulli_likelihood,
        categorical_likelihood,
        principal_components,
    )
}


def identity(
    name: str, evaluate: Evaluate | None = None, draw: Draw | None = None
) -> Identity:
    """Return a result by its name.

    Raises:
        ArgumentError: no such result; the message lists the names.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> print(identity("welford", evaluate, value_sampler(0)).steps[0])
    μ = ν + (x − ν)/n
    """
    if name not in IDENTITIES:
        raise ArgumentError(
            "identity", expected=f"one of {', '.join(IDENTITIES)}", got=repr(name)
        )
    return replace(IDENTITIES[name](), evaluate=evaluate, draw=draw)
