"""Questions on the gradients of a network: derived line by line, as formulas, or in numbers."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deltarule import dtypes
from deltarule.errors import GraphError
from deltarule.explain.derivation.derivation import Line
from deltarule.explain.exam.definitions import definitions
from deltarule.explain.exam.questions import (
    Item,
    Question,
    equation,
    matrix,
    name,
    value,
    vector,
)
from deltarule.explain.exam.responses import Gradient, Lines, Numbers
from deltarule.explain.explanation import Derivation, derive
from deltarule.explain.formula.names import canonical
from deltarule.explain.page.page import entry, header, parameters
from deltarule.explain.proof.domains import Domain, domains
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import in_float64
from deltarule.graph.walk import inputs as graph_inputs
from deltarule.graph.walk import topological
from deltarule.render import mathematics as m

_DRAWS = 2000  # of the numbers of one question
_COARSE = 200  # draws of whole numbers, before smaller ones are tried too
_SMALLEST, _LARGEST = 1e-3, 1e3  # magnitudes for work by hand
_SATURATED = 0.02  # a sigmoid, tanh or softmax nearer to its limits is saturated
_PROOF_POINTS = 5
Values = float | Sequence[float] | Sequence[Sequence[float]]


@dataclass(frozen=True)
class Network:
    """A network to differentiate.

    Attributes:
        title: The first sentence of the question.
        loss: The scalar loss.
        wrt: The variables to differentiate with respect to.
        names: Names of signals.
        choices: The numbers from which entries of an input are drawn, by its name.
        values: Fixed values of inputs, by name.

    >>> x = build.input_node("x", (3,))
    >>> Network("A sum", build.sum_over(build.exp(x)), (x,), {}).title
    'A sum'
    """

    title: str
    loss: Node
    wrt: tuple[Node, ...]
    names: Mapping[Node, str]
    choices: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


def proved(network: Network, evaluate: Evaluate, draw: Draw) -> tuple[Derivation, str]:
    """Return the derivation of a network and the summary of its proof.

    Raises:
        GraphError: a line is not proved.
    """
    derivation = derive(
        network.loss, network.wrt, names=network.names, evaluate=evaluate, draw=draw
    )
    report = derivation.check(points=_PROOF_POINTS)
    if not report:
        raise GraphError(
            "exam", expected="a key whose every line is proved", got=report.summary
        )
    return derivation, report.summary


def derivation_question(
    network: Network, derivation: Derivation, summary: str
) -> Question:
    """Ask for every line of the derivation."""
    text = f"{network.title}. Derive the gradients line by line (denominator layout)."
    items = [_formula_item(network, derivation, line) for line in derivation.steps]
    return _formula_question(text, network, derivation, items, summary)


def formula_question(
    network: Network, derivation: Derivation, summary: str
) -> Question:
    """Ask for the gradients as formulas."""
    text = f"{network.title}. Give the gradients as formulas (denominator layout)."
    closed = {line.node: line for line in derivation.derived.closed}
    lines = [closed.get(line.node, line) for line in _asked(derivation)]
    items = [_formula_item(network, derivation, line) for line in lines]
    return _formula_question(text, network, derivation, items, summary)


def _formula_question(
    text: str,
    network: Network,
    derivation: Derivation,
    items: Sequence[Item],
    summary: str,
) -> Question:
    lines = Lines(network.loss, network.wrt, _sheet_names(network, derivation))
    given = _given(network, derivation)
    return Question(text, given, tuple(items), summary, lines)


def _sheet_names(network: Network, derivation: Derivation) -> dict[Node, str]:
    """Return all signals by the names on the sheet, also where an answer is the gradient at one of them."""
    signals = {each.node: each.name for each in derivation.forward[:-1]}
    return {**signals, **network.names}


def numeric_question(
    network: Network,
    derivation: Derivation,
    summary: str,
    rng: random.Random,
    evaluate: Evaluate,
) -> Question:
    """Ask for the gradients at drawn numbers."""
    lines = _asked(derivation)
    numbers, found = _draw_readable(network, derivation, lines, rng, evaluate)
    given = [equation(name(key), _shown(part)) for key, part in numbers.items()]
    loss = derivation.derived.loss_name
    items = [
        Item(
            entry(line, loss).left,
            _shown(result),
            line.reason,
            response=Numbers(_frozen(result)),
        )
        for line, result in zip(lines, found, strict=True)
    ]
    text = f"{network.title}. Compute the gradients for these numbers."
    given_formulas = (*_given(network, derivation)[2:], *given)
    return Question(text, given_formulas, tuple(items), summary)


def _formula_item(network: Network, derivation: Derivation, line: Line) -> Item:
    shown = entry(line, derivation.derived.loss_name)
    right = shown.right
    if shown.alias is not None:
        right = m.row(right, m.Operator("=:", spaced=True), shown.alias)
    names = _sheet_names(network, derivation)
    response = Gradient(network.loss, line.node, network.wrt, names)
    hint = f"{line.reason}; shape {shown.shape}"
    return Item(shown.left, right, hint, response=response)


def _given(network: Network, derivation: Derivation) -> tuple[m.Formula, ...]:
    """Return the shapes, the forward pass and the definitions of functions with constants."""
    derived = derivation.derived
    lines = [
        equation(e.left, e.right)
        for e in (entry(line, derived.loss_name) for line in derivation.forward)
    ]
    return (header(derived), parameters(derived), *lines, *definitions(network.loss))


def _asked(derivation: Derivation) -> list[Line]:
    return [line for line in derivation.steps if line.wanted]


# ---------------------------------------------------------------- numbers


def _draw_readable(
    network: Network,
    derivation: Derivation,
    lines: Sequence[Line],
    rng: random.Random,
    evaluate: Evaluate,
) -> tuple[dict[str, Any], list[Any]]:
    """Draw numbers until every gradient asked for is finite, not saturated, and readable by hand."""
    where = domains(network.loss)
    inputs = derivation.derived.inputs
    roots = [*(line.value for line in lines), *_bounded(network.loss)]
    leaves = {leaf: _in_double(leaf) for leaf in graph_inputs(roots)}
    twins = in_float64(roots, leaves)
    for attempt in range(_DRAWS):
        numbers = {
            s.name: _drawn(s.node, where.get(s.node), network, rng, attempt)
            for s in inputs
        }
        values = {leaves[s.node]: numbers[s.name] for s in inputs if s.node in leaves}
        found = evaluate(twins, values)
        listed = [part.tolist() for part in found]
        asked, signals = listed[: len(lines)], listed[len(lines) :]
        if all(map(_readable, asked)) and not any(map(_saturated, signals)):
            return numbers, asked
    raise GraphError(
        "exam",
        expected="numbers at which the gradients are finite and readable",
        got=f"none in {_DRAWS} draws",
        hint="Give numbers with values={…}.",
    )


def _in_double(leaf: Node) -> Node:
    """Return an input in float64, so that keys have no rounding of float32."""
    if leaf.dtype is not dtypes.FLOAT32:
        return leaf
    name_ = str(leaf.attributes["name"])
    return build.input_node(name_, leaf.shape, dtypes.FLOAT64)


def _readable(numbers: Any) -> bool:
    """Whether all entries are finite and of a size for work by hand, and at least half of them are not 0."""
    flat = _flat(numbers)
    alive = [abs(entry) for entry in flat if entry != 0]
    return (
        2 * len(alive) >= len(flat)
        and all(math.isfinite(size) for size in alive)
        and all(_SMALLEST <= size <= _LARGEST for size in alive)
    )


def _bounded(loss: Node) -> list[Node]:
    """Return the signals of a network that saturate."""
    return [
        node
        for node in topological([loss])
        if node.op is Op.TANH
        or (node.op is Op.CALL and node.attributes["function"] in _SATURATING)
    ]


_SATURATING = frozenset({"sigmoid", "softmax"})


def _saturated(numbers: Any) -> bool:
    sizes = [abs(entry) for entry in _flat(numbers)]
    return any(not size <= 1 - _SATURATED for size in sizes) or max(sizes) < _SATURATED


def _flat(numbers: Any) -> list[float]:
    if not isinstance(numbers, list):
        return [float(numbers)]
    return [entry for part in numbers for entry in _flat(part)]


def _drawn(
    node: Node,
    domain: Domain | None,
    network: Network,
    rng: random.Random,
    attempt: int,
) -> Any:
    """Draw the entries of an input: small numbers in the domain that the loss demands."""
    label = canonical(str(node.attributes["name"]))
    for key, fixed in network.values.items():
        if canonical(key) == label:
            return fixed
    kind = "real" if domain is None else domain.kind
    shape = node.shape
    if kind == "distribution":
        return _one_hot(shape, rng)
    if kind == "definite":
        return _definite(shape[-1], rng)
    choices = next(
        (c for key, c in network.choices.items() if canonical(key) == label), None
    )
    if choices is None and kind == "labels" and domain is not None:
        choices = tuple(range(max(domain.size, 1)))
    if choices is None:
        choices = _CHOICES.get(kind) or (_REAL if attempt < _COARSE else _SMALL)
        if kind == "real" and not shape:
            choices = (0.5, 2, 3)
    return _array(shape, choices, rng)


_REAL: tuple[float, ...] = (-2, -1, 1, 2, 3)
_SMALL: tuple[float, ...] = (-1, -0.5, 0.5, 1, 2)
_CHOICES: dict[str, tuple[float, ...]] = {
    "positive": (0.5, 1, 2, 4),
    "unit": (0, 1),
    "truth": (0, 1),
}


def _array(shape: tuple[Any, ...], choices: Sequence[float], rng: random.Random) -> Any:
    if not shape:
        return rng.choice(choices)
    return [_array(shape[1:], choices, rng) for _ in range(int(shape[0]))]


def _one_hot(shape: tuple[Any, ...], rng: random.Random) -> Any:
    if len(shape) > 1:
        return [_one_hot(shape[1:], rng) for _ in range(int(shape[0]))]
    label = rng.randrange(int(shape[0]))
    return [int(i == label) for i in range(int(shape[0]))]


def _definite(size: int, rng: random.Random) -> list[list[int]]:
    """Return a positive definite matrix of small whole numbers: A + nI with a symmetric A of 0 and 1."""
    upper = {(i, j): rng.choice((0, 1)) for i in range(size) for j in range(i, size)}
    return [
        [upper[min(i, j), max(i, j)] + size * (i == j) for j in range(size)]
        for i in range(size)
    ]


def _frozen(numbers: Any) -> Any:
    if not isinstance(numbers, list):
        return float(numbers)
    return tuple(_frozen(part) for part in numbers)


def _shown(numbers: object) -> m.Formula:
    if isinstance(numbers, list) and numbers and isinstance(numbers[0], list):
        return matrix(numbers)
    if isinstance(numbers, list):
        return vector(numbers)
    return value(float(str(numbers)))
