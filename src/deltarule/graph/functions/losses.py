"""Losses per example, as named functions: derivations show δ = ŷ − y rather than the expansion."""

from __future__ import annotations

import math
from typing import Final

from deltarule.dtypes import INT64
from deltarule.errors import ShapeError
from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.functions.activations import finite_maximum
from deltarule.graph.node import Node

MIN_LOG_PROBABILITY: Final = -100.0  # for a probability of 0, as in PyTorch
MIN_PROBABILITY: Final = 1e-12  # in the denominator of a derivative


def one_hot(labels: Node, n_classes: int, like: Node) -> Node:
    """Return one-hot vectors of labels along a new last axis, with the element type of ``like``.

    >>> one_hot(build.iota((4,), 0), 3, build.constant(0.0))
    <cast (4, 3) float32>
    """
    return build.cast(_is_label(labels, n_classes), like.dtype)


def _is_label(labels: Node, n_classes: int) -> Node:
    """Return whether each class is the label, along a new last axis."""
    shape = (*labels.shape, n_classes)
    if not labels.dtype.is_float:
        labels = build.cast(labels, INT64)  # the number of classes may exceed 255
    return build.equal(
        build.iota(shape, len(shape) - 1, labels.dtype),
        build.expand_dims(labels, (labels.rank,)),
    )


def pick(rows: Node, labels: Node) -> Node:
    """Return the entry of each row (…, classes) at its label, shape (…); others may be infinite or NaN.

    >>> pick(build.input_node("z", (4, 3)), build.iota((4,), 0))
    <sum (4) float32>
    """
    return build.sum_over(build.where(_is_label(labels, rows.shape[-1]), rows, 0), -1)


def _log_sum_exp(shifted: Node) -> Node:
    return build.log(build.sum_over(build.exp(shifted), -1))


@named("y a", elementwise=True)
def weighted(share: Node, value: Node) -> Node:
    """Return the product of a weight and a value with 0·(±∞) = 0, as in Σ p ln q.

    >>> weighted(build.constant(0.0), build.constant(2.0))
    <weighted () float32>
    """
    is_zero = build.equal(share, 0)
    is_infinite = build.equal(build.absolute(value), math.inf)
    ignored = build.logical_and(is_zero, is_infinite)
    return build.multiply(share, build.where(ignored, 0, value))


@named("½ (ŷ − y)²", elementwise=True)
def squared_error(prediction: Node, target: Node) -> Node:
    """Return ½(ŷ − y)², element by element; derivative ŷ − y.

    >>> squared_error(build.constant(2.0), build.constant(1.0))
    <squared_error () float32>
    """
    error = build.subtract(prediction, target)
    return build.multiply(build.multiply(error, error), 0.5)


@named("−Σ y ln softmax(z)")
def cross_entropy(logits: Node, targets: Node) -> Node:
    """Return −Σ y ln softmax(z) over the last axis; derivative ŷ·Σy − y with ŷ = softmax(z).

    Computed as LSE(z − m)·Σy − Σ y·(z − m) with m = max z. ``targets`` are probabilities (…, classes); their sum
    Σy need not be 1 (weighted targets).

    >>> cross_entropy(build.input_node("z", (4, 3)), build.input_node("y", (4, 3)))
    <cross_entropy (4) float32>
    """
    if logits.shape != targets.shape:
        raise ShapeError(
            "cross_entropy",
            expected=build.describe(logits),
            got=build.describe(targets),
        )
    mass = build.sum_over(targets, -1)
    shifted = build.subtract(logits, finite_maximum(logits, logits.rank - 1))
    products = build.multiply(targets, shifted)
    terms = build.where(build.equal(targets, 0), 0, products)  # 0·(−∞) = 0
    return build.subtract(
        build.multiply(_log_sum_exp(shifted), mass), build.sum_over(terms, -1)
    )


@named("−ln softmax(z)[y]")
def cross_entropy_of_labels(logits: Node, labels: Node) -> Node:
    """Return −ln softmax(z)[y] over the last axis for labels y; derivative softmax(z) − 𝟙(k = y).

    Computed as LSE(z − m) − (z[y] − m) with m = max z.

    >>> cross_entropy_of_labels(build.input_node("z", (4, 3)), build.iota((4,), 0))
    <cross_entropy_of_labels (4) float32>
    """
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            "cross_entropy_of_labels",
            expected=f"labels for {build.describe(logits)}",
            got=build.describe(labels),
        )
    top = finite_maximum(logits, logits.rank - 1)
    chosen = build.subtract(pick(logits, labels), build.reshape(top, labels.shape))
    return build.subtract(_log_sum_exp(build.subtract(logits, top)), chosen)


@named("−(y ln σ(z) + (1 − y) ln(1 − σ(z)))", elementwise=True)
def binary_cross_entropy(logits: Node, targets: Node) -> Node:
    """Return −(y ln σ(z) + (1 − y) ln(1 − σ(z))), element by element; derivative σ(z) − y.

    Computed as |z|·(1 − y for z ≥ 0, y for z < 0) + ln(1 + e^−|z|).

    >>> binary_cross_entropy(build.constant(2.0), build.constant(1.0))
    <binary_cross_entropy () float32>
    """
    size = build.absolute(logits)
    wrong = build.where(build.less(logits, 0), targets, build.subtract(1, targets))
    product = build.multiply(size, wrong)
    linear = build.where(build.equal(wrong, 0), 0, product)  # a logit may be ±∞
    return build.add(linear, build.log1p(build.exp(build.negate(size))))


@named("max(0, 1 − y z)", elementwise=True)
def hinge(score: Node, target: Node) -> Node:
    """Return max(0, 1 − y·z) for y = ±1, element by element; subgradient 0 at the kink.

    >>> hinge(build.constant(2.0), build.constant(1.0))
    <hinge () float32>
    """
    return build.maximum(0, build.subtract(1, build.multiply(target, score)))


@named("Σ_{j≠y} max(0, 1 + a_j − a_y)")
def multiclass_hinge(scores: Node, labels: Node, *, margin: float) -> Node:
    """Return Σ_{j≠y} max(0, margin + a_j − a_y); subgradient 0 at the kink (Weston and Watkins 1999).

    >>> multiclass_hinge(build.input_node("a", (4, 3)), build.iota((4,), 0), margin=1.0)
    <multiclass_hinge (4) float32>
    """
    hot = one_hot(labels, scores.shape[-1], scores)
    right = build.sum_over(weighted(hot, scores), -1, keepdims=True)
    slack = build.maximum(0, build.subtract(build.add(scores, margin), right))
    return build.sum_over(build.multiply(slack, build.subtract(1, hot)), -1)


@named("δ-limited ½ (ŷ − y)²", elementwise=True)
def huber(prediction: Node, target: Node, *, delta: float) -> Node:
    """Return ½e² for |e| ≤ δ, else δ(|e| − ½δ), with e = ŷ − y (Huber 1964).

    The derivative is e limited to [−δ, δ].

    >>> huber(build.constant(2.0), build.constant(1.0), delta=1.0)
    <huber () float32>
    """
    error = build.subtract(prediction, target)
    size = build.absolute(error)
    near = build.multiply(build.multiply(error, error), 0.5)
    far = build.multiply(build.subtract(size, 0.5 * delta), delta)
    return build.where(build.less(delta, size), far, near)


def _safe_log(probability: Node) -> Node:
    return build.maximum(build.log(probability), MIN_LOG_PROBABILITY)


@named("−(y ln ŷ + (1 − y) ln(1 − ŷ))", elementwise=True)
def binary_cross_entropy_of_probabilities(prediction: Node, target: Node) -> Node:
    """Return −(y ln ŷ + (1 − y) ln(1 − ŷ)), with logarithms ≥ −100; derivative (ŷ − y)/(ŷ(1 − ŷ)).

    >>> binary_cross_entropy_of_probabilities(build.constant(0.5), build.constant(1.0))
    <binary_cross_entropy_of_probabilities () float32>
    """
    right = build.multiply(target, _safe_log(prediction))
    wrong = build.multiply(
        build.subtract(1, target), _safe_log(build.subtract(1, prediction))
    )
    return build.negate(build.add(right, wrong))


@named("−Σ y ln ŷ")
def cross_entropy_of_probabilities(prediction: Node, targets: Node) -> Node:
    """Return −Σ y ln ŷ over the last axis, with logarithms ≥ −100; derivative −y/ŷ.

    >>> cross_entropy_of_probabilities(build.input_node("p", (4, 3)), build.input_node("y", (4, 3)))
    <cross_entropy_of_probabilities (4) float32>
    """
    if prediction.shape != targets.shape:
        raise ShapeError(
            "cross_entropy_of_probabilities",
            expected=build.describe(prediction),
            got=build.describe(targets),
        )
    return build.negate(
        build.sum_over(build.multiply(targets, _safe_log(prediction)), -1)
    )
