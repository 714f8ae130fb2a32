"""The derivative table of named functions.

These pullbacks are shorter and numerically more stable than the derivative of the expansion (softmax with
cross-entropy: δ = ŷ − y). A function without an entry is differentiated through its expansion. The rules of activations
are part of their declarations.
"""

from __future__ import annotations

from deltarule.grad.rules import Rule, rule, unreduced
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.activation import Activation, Rows
from deltarule.graph.functions.losses import (
    MIN_LOG_PROBABILITY,
    MIN_PROBABILITY,
    one_hot,
)
from deltarule.graph.node import Node


def _positive(x: Node) -> Node:
    return build.less(0, x)


def _softmax(node: Node, g: Node) -> Node:
    """Return s ⊙ (g − sᵀg), the product of g with the Jacobian diag(s) − ssᵀ."""
    axis = node.attributes["axis"]
    inner = build.sum_over(build.multiply(g, node), axis, keepdims=True)
    return build.multiply(node, build.subtract(g, inner))


def _log_softmax(node: Node, g: Node) -> Node:
    """Return g − softmax(x)·Σ g."""
    axis = node.attributes["axis"]
    share = f.softmax(node.sources[0], axis=axis)
    return build.subtract(
        g, build.multiply(share, build.sum_over(g, axis, keepdims=True))
    )


def _logsumexp(node: Node, g: Node) -> Node:
    axis = node.attributes["axis"]
    return build.multiply(
        build.expand_dims(g, (axis % node.sources[0].rank,)),
        f.softmax(node.sources[0], axis=axis),
    )


def _last(g: Node) -> Node:
    return build.expand_dims(g, (g.rank,))


def _cross_entropy(node: Node, g: Node) -> Node:
    logits, targets = node.sources
    mass = build.sum_over(targets, -1, keepdims=True)
    delta = build.subtract(
        build.multiply(f.softmax(logits, axis=logits.rank - 1), mass), targets
    )
    return build.multiply(_last(g), delta)


def _cross_entropy_in_targets(node: Node, g: Node) -> Node:
    logits = node.sources[0]
    return build.negate(
        build.multiply(_last(g), f.log_softmax(logits, axis=logits.rank - 1))
    )


def _cross_entropy_of_labels(node: Node, g: Node) -> Node:
    logits, labels = node.sources
    delta = build.subtract(
        f.softmax(logits, axis=logits.rank - 1),
        one_hot(labels, logits.shape[-1], logits),
    )
    return build.multiply(_last(g), delta)


def _hinge(node: Node, g: Node) -> Node:
    """Return −y·𝟙(1 − y·z > 0)."""
    score, target = node.sources
    active = build.less(build.multiply(target, score), 1)
    return build.where(active, build.negate(build.multiply(g, target)), 0)


def _hinge_in_target(node: Node, g: Node) -> Node:
    score, target = node.sources
    active = build.less(build.multiply(target, score), 1)
    return build.where(active, build.negate(build.multiply(g, score)), 0)


def _multiclass_hinge(node: Node, g: Node) -> Node:
    """Return 𝟙(z_j > 0) for the wrong classes, −Σ_j 𝟙(z_j > 0) for the right one, with z_j = margin + a_j − a_y."""
    scores, labels = node.sources
    hot = one_hot(labels, scores.shape[-1], scores)
    right = build.sum_over(f.weighted(hot, scores), -1, keepdims=True)
    active = build.less(
        0, build.subtract(build.add(scores, node.attributes["margin"]), right)
    )
    wrong = build.multiply(build.cast(active, scores.dtype), build.subtract(1, hot))
    violations = build.sum_over(wrong, -1, keepdims=True)
    return build.multiply(
        _last(g), build.subtract(wrong, build.multiply(hot, violations))
    )


def _huber(node: Node, g: Node) -> Node:
    """Return the error limited to [−δ, δ]."""
    delta = node.attributes["delta"]
    error = build.subtract(node.sources[0], node.sources[1])
    return build.multiply(g, build.maximum(build.minimum(error, delta), -delta))


def _binary_of_probabilities(node: Node, g: Node) -> Node:
    """Return (ŷ − y)/(ŷ(1 − ŷ)), with the denominator bounded away from 0."""
    p, y = node.sources
    spread = build.maximum(build.multiply(p, build.subtract(1, p)), MIN_PROBABILITY)
    return build.multiply(g, build.divide(build.subtract(p, y), spread))


def _binary_of_probabilities_in_target(node: Node, g: Node) -> Node:
    """Return ln(1 − ŷ) − ln ŷ, each logarithm ≥ −100."""
    p = node.sources[0]
    right = build.maximum(build.log(p), MIN_LOG_PROBABILITY)
    wrong = build.maximum(build.log(build.subtract(1, p)), MIN_LOG_PROBABILITY)
    return build.multiply(g, build.subtract(wrong, right))


def _of_probabilities(node: Node, g: Node) -> Node:
    """Return −y/ŷ, with the denominator bounded away from 0."""
    p, y = node.sources
    return build.negate(
        build.multiply(_last(g), build.divide(y, build.maximum(p, MIN_PROBABILITY)))
    )


def _of_probabilities_in_targets(node: Node, g: Node) -> Node:
    logarithm = build.maximum(build.log(node.sources[0]), MIN_LOG_PROBABILITY)
    return build.negate(build.multiply(_last(g), logarithm))


def _normalize(node: Node, g: Node) -> Node:
    """Return (g − mean(g) − x̂·mean(g ⊙ x̂)) / √(σ² + ε), through μ and σ² at once (Ioffe and Szegedy 2015)."""
    x, axes = node.sources[0], node.attributes["axes"]
    centred = build.subtract(x, build.mean(x, axes, keepdims=True))
    variance = build.mean(build.multiply(centred, centred), axes, keepdims=True)
    deviation = build.sqrt(build.add(variance, node.attributes["epsilon"]))
    through_mean = build.mean(g, axes, keepdims=True)
    through_variance = build.multiply(
        node, build.mean(build.multiply(g, node), axes, keepdims=True)
    )
    return build.divide(
        build.subtract(build.subtract(g, through_mean), through_variance), deviation
    )


def _euclidean_norm(node: Node, g: Node) -> Node:
    x, axes = node.sources[0], node.attributes["axes"]
    length = unreduced(node, x.shape, axes)
    at_zero = build.equal(length, 0)
    direction = build.divide(x, build.where(at_zero, 1, length))
    return build.multiply(
        unreduced(g, x.shape, axes), build.where(at_zero, 0, direction)
    )


_RULES: dict[str, Rule] = {
    "prelu": rule(
        "learned leaky max gate",
        lambda n, g: build.where(
            _positive(n.sources[0]), g, build.multiply(g, n.sources[1])
        ),
        lambda n, g: build.where(
            _positive(n.sources[0]), 0, build.multiply(g, n.sources[0])
        ),
    ),
    "softmax": rule("softmax: diag(S) − SSᵀ", _softmax),
    "log_softmax": rule("log-softmax", _log_softmax),
    "logsumexp": rule("the gradient of LSE is the softmax", _logsumexp),
    "squared_error": rule(
        "squared error",
        lambda n, g: build.multiply(g, build.subtract(n.sources[0], n.sources[1])),
        lambda n, g: build.multiply(g, build.subtract(n.sources[1], n.sources[0])),
    ),
    "weighted": rule(
        "multiply gate switches",
        lambda n, g: f.weighted(g, n.sources[1]),
        lambda n, g: build.multiply(g, n.sources[0]),
    ),
    "cross_entropy": rule(
        "softmax + cross-entropy", _cross_entropy, _cross_entropy_in_targets
    ),
    "cross_entropy_of_labels": rule(
        "softmax + cross-entropy", _cross_entropy_of_labels, None
    ),
    "binary_cross_entropy": rule(
        "sigmoid + cross-entropy",
        lambda n, g: build.multiply(
            g, build.subtract(f.sigmoid(n.sources[0]), n.sources[1])
        ),
        lambda n, g: build.negate(build.multiply(g, n.sources[0])),
    ),
    "hinge": rule("hinge routes (0 at the kink)", _hinge, _hinge_in_target),
    "multiclass_hinge": rule("hinge routes (0 at the kink)", _multiclass_hinge, None),
    "huber": rule("limited error", _huber, lambda n, g: build.negate(_huber(n, g))),
    "binary_cross_entropy_of_probabilities": rule(
        "cross-entropy of a probability",
        _binary_of_probabilities,
        _binary_of_probabilities_in_target,
    ),
    "cross_entropy_of_probabilities": rule(
        "cross-entropy of probabilities",
        _of_probabilities,
        _of_probabilities_in_targets,
    ),
    "normalize": rule("normalisation: through σ² and μ", _normalize),
    "euclidean_norm": rule("x/‖x‖ (0 at the origin)", _euclidean_norm),
    "lgamma": rule(
        "(ln Γ)′ = ψ", lambda n, g: build.multiply(g, f.digamma(n.sources[0]))
    ),
    "digamma": rule(
        "ψ′, the trigamma function",
        lambda n, g: build.multiply(g, f.trigamma(n.sources[0])),
    ),
}


def _declared(declared: Activation) -> tuple[str, Rule] | None:
    derivative = declared.derivative
    if derivative is None:
        return None
    return declared.name, rule(derivative.rule, derivative.pullback)


TEXTBOOK: Rows[Rule] = Rows(_RULES, _declared)
