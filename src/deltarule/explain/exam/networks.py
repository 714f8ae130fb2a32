"""Networks of course exercises in families of equal difficulty: derive the gradients, or compute them in numbers."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

from deltarule import dtypes
from deltarule.explain.exam import gradients
from deltarule.explain.exam.gradients import Network
from deltarule.explain.exam.questions import Question
from deltarule.explain.explanation import Derivation
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.graph import build, functions
from deltarule.graph.node import Node


@dataclass(frozen=True)
class Activation:
    """An activation function and its name in a title.

    >>> RELU.name, RELU.apply(build.input_node("z", (2,)))
    ('ReLU', <relu (2) float32>)
    """

    name: str
    apply: Callable[[Node], Node]


RELU = Activation("ReLU", functions.relu)
TANH = Activation("tanh", build.tanh)
SIGMOID = Activation("sigmoid", functions.sigmoid)
SOFTPLUS = Activation("softplus", functions.softplus)
LEAKY = Activation("leaky ReLU", lambda z: functions.leaky_relu(z, slope=0.25))
LEAKY_HALF = Activation("leaky ReLU", lambda z: functions.leaky_relu(z, slope=0.5))
ELU = Activation("ELU", lambda z: functions.elu(z, alpha=0.5))
ELU_1 = Activation("ELU", lambda z: functions.elu(z, alpha=1.0))


def _input(name_: str, *shape: int) -> Node:
    return build.input_node(name_, shape, dtypes.FLOAT64)


def weighted_cross_entropy(hidden: Activation, n: int) -> Network:
    """A two-layer network with weighted binary cross-entropy.

    >>> [node.shape for node in weighted_cross_entropy(RELU, n=3).wrt]
    [(2, 3), (2,), (1, 2), (1,)]
    """
    x, y, a, b = _input("x", n), _input("y", 1), _input("alpha"), _input("beta")
    W1, b1, W2, b2 = (
        _input("W_1", 2, n),
        _input("b_1", 2),
        _input("W_2", 1, 2),
        _input("b_2", 1),
    )
    z1 = build.add(build.matmul(W1, x), b1)
    output = functions.sigmoid(build.add(build.matmul(W2, hidden.apply(z1)), b2))
    right = build.multiply(build.multiply(a, y), build.log(output))
    wrong = build.multiply(
        build.multiply(b, build.subtract(1, y)), build.log(build.subtract(1, output))
    )
    loss = build.negate(build.sum_over(build.add(right, wrong)))
    return Network(
        f"A two-layer network with {hidden.name} units and weighted binary cross-entropy",
        loss,
        (W1, b1, W2, b2),
        {},
        {"y": (0, 1), "alpha": (0.5, 2, 3), "beta": (0.5, 2, 3)},
    )


def siamese(hidden: Activation, n: int) -> Network:
    """Two inputs through shared weights, compared by cosine similarity.

    >>> [node.shape for node in siamese(TANH, n=2).wrt]
    [(3, 2), (2, 3)]
    """
    x, other, y = _input("x", n), _input("x_hat", n), _input("y")
    W1, W2 = _input("W_1", 3, n), _input("W_2", 2, 3)
    z, w = (
        build.matmul(W2, hidden.apply(build.matmul(W1, source)))
        for source in (x, other)
    )
    lengths = build.multiply(
        functions.euclidean_norm(z, axes=(0,)), functions.euclidean_norm(w, axes=(0,))
    )
    loss = build.negate(build.multiply(y, build.divide(build.matmul(z, w), lengths)))
    return Network(
        f"A Siamese network with shared weights, {hidden.name} units and the loss L = −y cos(z, ẑ)",
        loss,
        (W1, W2),
        {z: "z", w: "z_hat"},
        {"y": (1, -1)},
    )


def single_layer(output: Activation, n: int) -> Network:
    """One layer with half squared error.

    >>> [node.shape for node in single_layer(SIGMOID, n=2).wrt]
    [(2, 2), (2,), (2,)]
    """
    x, y, W, b = _input("x", n), _input("y", 2), _input("W", 2, n), _input("b", 2)
    prediction = output.apply(build.add(build.matmul(W, x), b))
    return Network(
        f"A layer with {output.name} units and half squared error",
        build.sum_over(functions.squared_error(prediction, y)),
        (W, b, x),
        {},
    )


def skip(hidden: Activation, n: int) -> Network:
    """A hidden layer beside a linear skip path.

    >>> [node.shape for node in skip(RELU, n=2).wrt]
    [(2,), (3, 2), (2, 2), (2, 3)]
    """
    x, y, W1, W2, W3 = (
        _input("x", n),
        _input("y", 2),
        _input("W_1", 3, n),
        _input("W_2", 2, n),
        _input("W_3", 2, 3),
    )
    z = build.add(
        build.matmul(W3, hidden.apply(build.matmul(W1, x))), build.matmul(W2, x)
    )
    return Network(
        f"A layer of {hidden.name} units with a linear skip path",
        build.sum_over(functions.squared_error(z, y)),
        (x, W1, W2, W3),
        {z: "z"},
    )


def parametric(second: Activation, k: int) -> Network:
    """A parametric rectifier, a second activation and a linear layer.

    >>> [node.shape for node in parametric(RELU, k=2).wrt]
    [(2, 2), (2, 2), (2, 2), ()]
    """
    x, y, alpha = _input("x", 2), _input("y", k), _input("alpha")
    W1, W2, W3 = _input("W_1", 2, 2), _input("W_2", 2, 2), _input("W_3", k, 2)
    e = build.matmul(W1, x)
    d = build.where(build.less(0, e), e, build.multiply(alpha, e))
    a = build.matmul(W3, second.apply(build.matmul(W2, d)))
    return Network(
        f"A parametric rectifier (slope α), {second.name} units and a linear layer",
        build.sum_over(functions.squared_error(a, y)),
        (W1, W2, W3, alpha),
        {e: "e", d: "d", a: "a"},
        {"alpha": (0.5, 0.25)},
    )


def difference(hidden: Activation, n: int) -> Network:
    """Two inputs through a shared layer, their difference classified.

    >>> [node.shape for node in difference(RELU, n=2).wrt]
    [(2, 2), (2,), (1, 2), (1,)]
    """
    first, second, y = _input("x_p", n), _input("x_q", n), _input("y", 1)
    W1, b1, W2, b2 = (
        _input("W_1", 2, n),
        _input("b_1", 2),
        _input("W_2", 1, 2),
        _input("b_2", 1),
    )
    h = [build.add(build.matmul(W1, source), b1) for source in (first, second)]
    z = build.subtract(hidden.apply(h[0]), hidden.apply(h[1]))
    logit = build.add(build.matmul(W2, z), b2)
    loss = build.sum_over(functions.binary_cross_entropy(logit, y))
    return Network(
        f"A difference network with shared W₁ and b₁ and {hidden.name} units",
        loss,
        (W1, b1, W2, b2),
        {h[0]: "h_p", h[1]: "h_q", z: "z"},
    )


@dataclass(frozen=True)
class Family:
    """Networks of equal difficulty that differ in the activation and in a size.

    ``symbolic`` activations are drawn where formulas are asked for, ``numeric`` ones where numbers are.

    >>> FAMILIES[0].symbolic[0].name
    'ReLU'
    """

    make: Callable[[Activation, int], Network]
    symbolic: tuple[Activation, ...]
    numeric: tuple[Activation, ...]
    size: int


FAMILIES = (
    Family(
        weighted_cross_entropy,
        (RELU, TANH, SIGMOID, LEAKY),
        (RELU, LEAKY, LEAKY_HALF),
        3,
    ),
    Family(siamese, (RELU, TANH, SIGMOID, LEAKY), (RELU, LEAKY, LEAKY_HALF), 2),
    Family(single_layer, (LEAKY, ELU, SOFTPLUS, TANH), (RELU, LEAKY, LEAKY_HALF), 3),
    Family(skip, (RELU, TANH, SOFTPLUS, LEAKY), (RELU, LEAKY, LEAKY_HALF), 2),
    Family(parametric, (ELU, ELU_1, TANH, SOFTPLUS), (RELU, LEAKY, LEAKY_HALF), 2),
    Family(difference, (RELU, TANH, SIGMOID, LEAKY), (RELU, LEAKY, LEAKY_HALF), 2),
)


@functools.lru_cache(maxsize=64)
def _proved_member(
    family: Family, activation: Activation, evaluate: Evaluate, draw: Draw
) -> tuple[Network, Derivation, str]:
    """Derive and prove a network of a family once for all variants of an exam that ask for it."""
    network = family.make(activation, family.size)
    return network, *gradients.proved(network, evaluate, draw)


def _derivation_question(family: Family) -> Callable[..., Question]:
    def author(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        activation = rng.choice(family.symbolic)
        member = _proved_member(family, activation, evaluate, draw)
        return gradients.derivation_question(*member)

    return author


def _numeric_question(family: Family) -> Callable[..., Question]:
    def author(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        activation = rng.choice(family.numeric)
        member = _proved_member(family, activation, evaluate, draw)
        return gradients.numeric_question(*member, rng, evaluate)

    return author


AUTHORS = tuple(_derivation_question(family) for family in FAMILIES)
NUMERIC = tuple(_numeric_question(family) for family in FAMILIES)
