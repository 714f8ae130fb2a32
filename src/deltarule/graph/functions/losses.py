"""Losses per example, named so that derivations read like the book (δ = ŷ − y)."""

from __future__ import annotations

import math
from typing import Final

from deltarule.dtypes import INT64
from deltarule.errors import ShapeError
from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.functions.activations import largest
from deltarule.graph.node import Node

LEAST_LOGARITHM: Final = -100.0  # ln of a probability of 0, as in PyTorch
LEAST_PROBABILITY: Final = 1e-12  # in the denominator of a derivative


def one_hot(labels: Node, n_classes: int, like: Node) -> Node:
    """Return 1 at the label and 0 elsewhere, along a new last axis, in the type of ``like``."""
    return build.cast(_is_label(labels, n_classes), like.dtype)


def _is_label(labels: Node, n_classes: int) -> Node:
    """Return whether a class is the label, along a new last axis."""
    shape = (*labels.shape, n_classes)
    labels = (
        labels if labels.dtype.is_float else build.cast(labels, INT64)
    )  # uint8 has no 256
    return build.equal(
        build.iota(shape, len(shape) - 1, labels.dtype),
        build.expand_dims(labels, (labels.rank,)),
    )


def picked(rows: Node, labels: Node) -> Node:
    """Return the entry of each row (…, classes) at its label, whatever the others are: (…)."""
    return build.sum_over(build.where(_is_label(labels, rows.shape[-1]), rows, 0), -1)


def _log_total(shifted: Node) -> Node:
    return build.log(build.sum_over(build.exp(shifted), -1))


@named("y a", elementwise=True)
def weighted(share: Node, value: Node) -> Node:
    """y·a with 0·(±∞) = 0: what has no share counts nothing, be it infinite (a logarithm of 0)."""
    nothing = build.logical_and(
        build.equal(share, 0), build.equal(build.absolute(value), math.inf)
    )
    return build.multiply(share, build.where(nothing, 0, value))


@named("½ (ŷ − y)²", elementwise=True)
def squared_error(prediction: Node, target: Node) -> Node:
    """½(ŷ − y)², element by element; derivative ŷ − y."""
    error = build.subtract(prediction, target)
    return build.multiply(build.multiply(error, error), 0.5)


@named("−Σ y ln softmax(z)")
def cross_entropy(logits: Node, targets: Node) -> Node:
    """LSE(z − m)·Σy − Σ y·(z − m) over the last axis, m = max z; derivative ŷ·Σy − y with ŷ = softmax(z).

    ``targets`` are probabilities (…, classes); Σy = 1 for those, and is kept for weighted targets.
    """
    if logits.shape != targets.shape:
        raise ShapeError(
            "cross_entropy",
            expected=build.describe(logits),
            got=build.describe(targets),
        )
    mass = build.sum_over(targets, -1)
    shifted = build.subtract(logits, largest(logits, logits.rank - 1))
    terms = build.where(
        build.equal(targets, 0), 0, build.multiply(targets, shifted)
    )  # 0·(−∞) is 0 here
    return build.subtract(
        build.multiply(_log_total(shifted), mass), build.sum_over(terms, -1)
    )


@named("−ln softmax(z)[y]")
def cross_entropy_of_labels(logits: Node, labels: Node) -> Node:
    """LSE(z − m) − (z[y] − m) over the last axis for labels y, m = max z; derivative softmax(z) − 𝟙(k = y) (CM-08)."""
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            "cross_entropy_of_labels",
            expected=f"labels for {build.describe(logits)}",
            got=build.describe(labels),
        )
    top = largest(logits, logits.rank - 1)
    chosen = build.subtract(picked(logits, labels), build.reshape(top, labels.shape))
    return build.subtract(_log_total(build.subtract(logits, top)), chosen)


@named("−(y ln σ(z) + (1 − y) ln(1 − σ(z)))", elementwise=True)
def binary_cross_entropy(logits: Node, targets: Node) -> Node:
    """|z|·(1 − y for z ≥ 0, y for z < 0) + ln(1 + e^−|z|), element by element; derivative σ(z) − y."""
    size = build.absolute(logits)
    wrong = build.where(build.less(logits, 0), targets, build.subtract(1, targets))
    linear = build.where(
        build.equal(wrong, 0), 0, build.multiply(size, wrong)
    )  # a certain logit may be ±∞
    return build.add(linear, build.log1p(build.exp(build.negate(size))))


@named("max(0, 1 − y z)", elementwise=True)
def hinge(score: Node, target: Node) -> Node:
    """max(0, 1 − y·z) for y = ±1, element by element; subgradient 0 at the kink (CM-09, CM-14)."""
    return build.maximum(0, build.subtract(1, build.multiply(target, score)))


@named("Σ_{j≠y} max(0, 1 + a_j − a_y)")
def multiclass_hinge(scores: Node, labels: Node, *, margin: float) -> Node:
    """Σ over the wrong classes of max(0, margin + a_j − a_y); subgradient 0 at the kink (CM-11, CM-14)."""
    hot = one_hot(labels, scores.shape[-1], scores)
    right = build.sum_over(weighted(hot, scores), -1, keepdims=True)
    slack = build.maximum(0, build.subtract(build.add(scores, margin), right))
    return build.sum_over(build.multiply(slack, build.subtract(1, hot)), -1)


@named("δ-limited ½ (ŷ − y)²", elementwise=True)
def huber(prediction: Node, target: Node, *, delta: float) -> Node:
    """½e² for |e| ≤ δ and δ(|e| − ½δ) beyond, e = ŷ − y; derivative e limited to [−δ, δ] (Huber 1964)."""
    error = build.subtract(prediction, target)
    size = build.absolute(error)
    near = build.multiply(build.multiply(error, error), 0.5)
    far = build.multiply(build.subtract(size, 0.5 * delta), delta)
    return build.where(build.less(delta, size), far, near)


def _safe_log(probability: Node) -> Node:
    return build.maximum(build.log(probability), LEAST_LOGARITHM)


@named("−(y ln ŷ + (1 − y) ln(1 − ŷ))", elementwise=True)
def binary_cross_entropy_of_probabilities(prediction: Node, target: Node) -> Node:
    """−(y ln ŷ + (1 − y) ln(1 − ŷ)) with logarithms ≥ −100; derivative (ŷ − y)/(ŷ(1 − ŷ)) (OUT-08, OUT-09)."""
    right = build.multiply(target, _safe_log(prediction))
    wrong = build.multiply(
        build.subtract(1, target), _safe_log(build.subtract(1, prediction))
    )
    return build.negate(build.add(right, wrong))


@named("−Σ y ln ŷ")
def cross_entropy_of_probabilities(prediction: Node, targets: Node) -> Node:
    """−Σ y ln ŷ over the last axis with logarithms ≥ −100; derivative −y/ŷ (OUT-10, OUT-11)."""
    if prediction.shape != targets.shape:
        raise ShapeError(
            "cross_entropy_of_probabilities",
            expected=build.describe(prediction),
            got=build.describe(targets),
        )
    return build.negate(
        build.sum_over(build.multiply(targets, _safe_log(prediction)), -1)
    )
