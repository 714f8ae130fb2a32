"""Questions on the hand-derived networks: derive the gradients, or compute them for small whole numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule import dtypes
from deltarule.errors import GraphError
from deltarule.explain.derivation.derivation import Line
from deltarule.explain.exam.questions import (
    Item,
    Question,
    equation,
    matrix,
    name,
    value,
    vector,
)
from deltarule.explain.explanation import Derivation, derive
from deltarule.explain.page.numeric_example import Example
from deltarule.explain.page.page import entry, header, parameters
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.graph import build, functions
from deltarule.graph.node import Node
from deltarule.render import mathematics as m

_DRAWS = 1000  # of the numbers of one question


@dataclass(frozen=True)
class Network:
    """A network to derive: its title, its loss, its variables and the names of its signals."""

    title: str
    loss: Node
    wrt: tuple[Node, ...]
    names: dict[Node, str]


def _input(name_: str, *shape: int) -> Node:
    return build.input_node(name_, shape, dtypes.FLOAT64)


def weighted_cross_entropy(chance: random.Random) -> Network:
    """A two-layer network with weighted binary cross-entropy."""
    n, hidden = chance.choice([2, 3]), chance.choice([2, 3])
    x, y, a, b = _input("x", n), _input("y", 1), _input("alpha"), _input("beta")
    W1, b1, W2, b2 = (
        _input("W_1", hidden, n),
        _input("b_1", hidden),
        _input("W_2", 1, hidden),
        _input("b_2", 1),
    )
    output = functions.sigmoid(
        build.add(
            build.matmul(W2, functions.relu(build.add(build.matmul(W1, x), b1))), b2
        )
    )
    right = build.multiply(build.multiply(a, y), build.log(output))
    wrong = build.multiply(
        build.multiply(b, build.subtract(1, y)), build.log(build.subtract(1, output))
    )
    loss = build.negate(build.sum_over(build.add(right, wrong)))
    return Network(
        "A two-layer network with weighted binary cross-entropy",
        loss,
        (W1, b1, W2, b2),
        {},
    )


def siamese(chance: random.Random) -> Network:
    """Two inputs through shared weights, compared by cosine similarity."""
    n = chance.choice([2, 3])
    x, other, y = _input("x", n), _input("x_hat", n), _input("y")
    W1, W2 = _input("W_1", 3, n), _input("W_2", 2, 3)
    z, w = (
        build.matmul(W2, functions.relu(build.matmul(W1, source)))
        for source in (x, other)
    )
    lengths = build.multiply(
        functions.euclidean_norm(z, axes=(0,)), functions.euclidean_norm(w, axes=(0,))
    )
    loss = build.negate(build.multiply(y, build.divide(build.matmul(z, w), lengths)))
    return Network(
        "A Siamese network with shared weights and the loss L = −y cos(z, ẑ)",
        loss,
        (W1, W2),
        {z: "z", w: "z_hat"},
    )


def leaky(chance: random.Random) -> Network:
    """One layer with a leaky rectifier and half squared error."""
    n, p = chance.choice([2, 3]), chance.choice([2, 3])
    x, y, W, b = _input("x", n), _input("y", p), _input("W", p, n), _input("b", p)
    output = functions.leaky_relu(
        build.add(build.matmul(W, x), b), slope=chance.choice([0.1, 0.25, 0.5])
    )
    return Network(
        "A layer with a leaky rectifier and half squared error",
        build.sum_over(functions.squared_error(output, y)),
        (W, b, x),
        {},
    )


def skip(chance: random.Random) -> Network:
    """A rectified layer beside a linear skip path."""
    n, p, k = chance.choice([2, 3]), chance.choice([2, 3]), 2
    x, y, W1, W2, W3 = (
        _input("x", n),
        _input("y", k),
        _input("W_1", p, n),
        _input("W_2", k, n),
        _input("W_3", k, p),
    )
    z = build.add(
        build.matmul(W3, functions.relu(build.matmul(W1, x))), build.matmul(W2, x)
    )
    return Network(
        "A rectified layer with a linear skip path",
        build.sum_over(functions.squared_error(z, y)),
        (x, W1, W2, W3),
        {z: "z"},
    )


def exponential(chance: random.Random) -> Network:
    """A parametric rectifier, an exponential unit and a linear layer."""
    n, k = 2, chance.choice([2, 3])
    x, y, alpha = _input("x", n), _input("y", k), _input("alpha")
    W1, W2, W3 = _input("W_1", n, n), _input("W_2", n, n), _input("W_3", k, n)
    e = build.matmul(W1, x)
    d = build.where(build.less(0, e), e, build.multiply(alpha, e))
    a = build.matmul(W3, functions.elu(build.matmul(W2, d), alpha=0.5))
    return Network(
        "A parametric rectifier (slope α), an ELU and a linear layer",
        build.sum_over(functions.squared_error(a, y)),
        (W1, W2, W3, alpha),
        {e: "e", d: "d", a: "a"},
    )


def difference(chance: random.Random) -> Network:
    """Two inputs through a shared layer, their difference classified."""
    n, p = chance.choice([2, 3]), chance.choice([2, 3])
    first, second, y = _input("x_p", n), _input("x_q", n), _input("y", 1)
    W1, b1, W2, b2 = (
        _input("W_1", p, n),
        _input("b_1", p),
        _input("W_2", 1, p),
        _input("b_2", 1),
    )
    h = [build.add(build.matmul(W1, source), b1) for source in (first, second)]
    z = build.subtract(functions.relu(h[0]), functions.relu(h[1]))
    logit = build.add(build.matmul(W2, z), b2)
    loss = build.sum_over(functions.binary_cross_entropy(logit, y))
    return Network(
        "A difference network with shared W₁ and b₁",
        loss,
        (W1, b1, W2, b2),
        {h[0]: "h_p", h[1]: "h_q", z: "z"},
    )


NETWORKS: tuple[Callable[[random.Random], Network], ...] = (
    weighted_cross_entropy,
    siamese,
    leaky,
    skip,
    exponential,
    difference,
)


def _proved(network: Network, evaluate: Evaluate, draw: Draw) -> tuple[Derivation, str]:
    derivation = derive(
        network.loss, network.wrt, names=network.names, evaluate=evaluate, draw=draw
    )
    report = derivation.check(points=5)
    if not report:
        raise GraphError(
            "exam", expected="a key whose every line is proved", got=report.summary
        )
    return derivation, report.summary


def _given(derivation: Derivation) -> tuple[m.Formula, ...]:
    derived = derivation.derived
    lines = [
        equation(e.left, e.right)
        for e in (entry(line, derived.loss_name) for line in derivation.forward)
    ]
    return (header(derived), parameters(derived), *lines)


def _asked(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.wanted]


def _derivation_question(
    build_network: Callable[[random.Random], Network],
) -> Callable[..., Question]:
    def author(chance: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        network = build_network(chance)
        derivation, summary = _proved(network, evaluate, draw)
        loss = derivation.derived.loss_name
        items = []
        for line in derivation.steps:
            shown = entry(line, loss)
            right = (
                shown.right
                if shown.alias is None
                else m.row(shown.right, m.Operator("=:", spaced=True), shown.alias)
            )
            items.append(Item(shown.left, right, f"{line.reason}; shape {shown.shape}"))
        text = (
            f"{network.title}. Derive the gradients line by line (denominator layout)."
        )
        return Question(text, _given(derivation), tuple(items), summary)

    return author


def _numeric_question(
    build_network: Callable[[random.Random], Network],
) -> Callable[..., Question]:
    def author(chance: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        network = build_network(chance)
        derivation, summary = _proved(network, evaluate, draw)
        numbers, at = _finite(derivation, chance)
        given = [equation(name(key), _shown(item)) for key, item in numbers.items()]
        loss = derivation.derived.loss_name
        items = [
            Item(
                entry(line, loss).left,
                _shown(at[f"d{loss}/d{line.name}"].tolist()),
                line.reason,
            )
            for line in _asked(derivation.steps)
        ]
        text = f"{network.title}. Compute the gradients for these numbers."
        return Question(text, (*_given(derivation)[2:], *given), tuple(items), summary)

    return author


def _finite(
    derivation: Derivation, chance: random.Random
) -> tuple[dict[str, Any], Example]:
    """Draw numbers until every value of both passes is finite: a cosine has none where a rectifier left only zeros."""
    for _ in range(_DRAWS):
        numbers = {s.name: _small(s.node, chance) for s in derivation.derived.inputs}
        at = derivation.at(numbers)
        if all(math.isfinite(float(abs(line.value).sum())) for line in at.lines):
            return numbers, at
    raise GraphError(
        "exam",
        expected="numbers at which the gradients are finite",
        got=f"none in {_DRAWS} draws",
    )


def _small(
    node: Node, chance: random.Random
) -> list[list[int]] | list[int] | float | int:
    label = str(node.attributes["name"])
    if label == "y" and node.shape in ((), (1,)):
        return [1] if node.shape else 1
    if not node.shape:
        return chance.choice([0.25, 0.5, 2])
    choices = [-2, -1, 1, 2, 3]
    if len(node.shape) == 1:
        return [chance.choice(choices) for _ in range(node.shape[0])]
    return [
        [chance.choice(choices) for _ in range(node.shape[1])]
        for _ in range(node.shape[0])
    ]


def _shown(numbers: object) -> m.Formula:
    if isinstance(numbers, list) and numbers and isinstance(numbers[0], list):
        return matrix(numbers)
    if isinstance(numbers, list):
        return vector(numbers)
    return value(float(str(numbers)))


AUTHORS = tuple(_derivation_question(network) for network in NETWORKS)
NUMERIC = tuple(_numeric_question(network) for network in NETWORKS)
