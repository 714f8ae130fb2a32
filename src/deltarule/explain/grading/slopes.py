"""Activations of a network, their derivatives, and what is mistaken for these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from deltarule import dtypes
from deltarule.explain.derivation.derivation import Line
from deltarule.explain.formula.coefficients import number
from deltarule.explain.formula.term import (
    Apply,
    Diagonal,
    Product,
    Sum,
    Symbol,
    Term,
    matrix_shape,
    symbols,
)
from deltarule.explain.grading.edits import Spot
from deltarule.grad.reverse import gradients
from deltarule.graph import build, functions
from deltarule.graph.node import Node
from deltarule.shapes import Shape

_ONE = Fraction(1)
Says = tuple["str | Term", ...]


@dataclass(frozen=True)
class Activation:
    """An entry-wise function: its name, and its graph for an operand."""

    name: str
    build: Callable[[Node], Node]


COMMON = (
    Activation("σ", functions.sigmoid),
    Activation("tanh", build.tanh),
    Activation("ReLU", functions.relu),
)
_SHOWN = {
    "relu": "ReLU",
    "sigmoid": "σ",
    "tanh": "tanh",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "softplus": "softplus",
    "mish": "Mish",
    "softsign": "softsign",
    "selu": "SELU",
    "exp": "exp",
    "sin": "sin",
    "cos": "cos",
}


@dataclass(frozen=True)
class Gate:
    """An activation of the network: output = activation(argument)."""

    activation: Activation
    argument: Term
    output: Symbol
    slope: Term

    @property
    def shape(self) -> Shape:
        """The shape of its output as a matrix."""
        return self.slope.shape


@dataclass(frozen=True)
class Form:
    """What is mistaken for the derivative of a gate: a term, the kind of the mistake, and a remark."""

    kind: str
    term: Term
    says: Says


def gates(forward: Sequence[Line]) -> list[Gate]:
    """Return the entry-wise activations among the lines of a forward pass."""
    found: dict[Node, Gate] = {}
    for line in forward:
        term = line.term
        if not isinstance(term, Apply) or len(term.arguments) != 1:
            continue
        name = term.name if term.name in _SHOWN else ""
        shape = matrix_shape(line.node.shape)
        if not name or term.arguments[0].shape != shape or line.node in found:
            continue
        activation = Activation(_SHOWN[name], _builder(term))
        output = Symbol(line.name, shape, line.node)
        slope = applied(activation, term.arguments[0], primes=1)
        found[line.node] = Gate(activation, term.arguments[0], output, slope)
    return list(found.values())


def _builder(term: Apply) -> Callable[[Node], Node]:
    body = term.body
    function = getattr(functions, str(body.attributes.get("function", "")), None)
    if function is None:
        primitive: Callable[[Node], Node] = getattr(build, body.op.name.lower())
        return primitive
    settings = {k: v for k, v in body.attributes.items() if k != "function"}

    def call(x: Node) -> Node:
        node: Node = function(x, **settings)
        return node

    return call


def applied(activation: Activation, argument: Term, primes: int = 0) -> Term:
    """Return f(x) or f′(x) as a term."""
    x = build.input_node("x", argument.shape, dtypes.FLOAT64)
    body = activation.build(x)
    if primes:
        (body,) = gradients(build.sum_over(body), [x])
    name = activation.name + "′" * primes
    return Apply(name, (argument,), argument.shape, body, (x,))


def _one_minus(term: Term) -> Term:
    one = number(_ONE, term.shape)
    if isinstance(term, Product) and term.coefficient == 1:
        return Sum((one, replace(term, coefficient=-_ONE)), term.shape)
    return Sum((one, Product(-_ONE, ((term, _ONE),), term.shape)), term.shape)


def forms(
    gate: Gate, others: Sequence[Gate], signals: Sequence[Symbol]
) -> Iterator[Form]:
    """Yield what is mistaken for the derivative of a gate, the most usual first."""
    yield from _of_the_function(gate)
    yield from _of_another_function(gate)
    f, z = gate.activation, gate.argument
    for signal in signals:
        if signal.shape == gate.shape and signal != z:
            taken = f"the derivative of {f.name} is taken at "
            says: Says = (taken, signal, "; it belongs at ", z)
            yield Form("argument", applied(f, signal, 1), says)
    for other in others:
        if other.output != gate.output and other.shape == gate.shape:
            says = (
                f"the derivative of {other.activation.name} at ",
                other.argument,
                f" stands where that of {f.name} at ",
                z,
                " belongs",
            )
            yield Form("argument", other.slope, says)
    yield from _of_another_signal(gate, signals)


def _of_the_function(gate: Gate) -> Iterator[Form]:
    """Yield the activation, its operand, and half of its derivative."""
    f, a, z = gate.activation, gate.output, gate.argument
    own = f" is {f.name} itself; its derivative belongs there"
    yield Form("derivative", a, (a, own))
    belongs = f" stands where the derivative of {f.name} belongs"
    yield Form("derivative", z, (z, belongs))
    half = _one_minus(a)
    if f.name == "tanh":
        yield Form("derivative", half, ("the square is missing in ", half))
    if f.name == "σ":
        says: Says = ("the factor ", a, " of the derivative of σ is missing")
        yield Form("derivative", half, says)


def _of_another_function(gate: Gate) -> Iterator[Form]:
    """Yield the derivatives of other activations."""
    f, a, z = gate.activation, gate.output, gate.argument
    for other in COMMON:
        if other.name == f.name:
            continue
        says: Says = (
            f"the derivative of {other.name} stands where that of {f.name} belongs",
        )
        yield Form("derivative", applied(other, z, 1), says)
        written = _of_output(other.name, a)
        if written is not None:
            yield Form("derivative", written, says)


def _of_another_signal(gate: Gate, signals: Sequence[Symbol]) -> Iterator[Form]:
    """Yield derivatives written with another signal than the output: 1 − z² for 1 − a²."""
    f, a = gate.activation, gate.output
    for signal in signals:
        written = _of_output(f.name, signal)
        if written is not None and signal.shape == gate.shape and signal != a:
            belongs = f" belongs, in the derivative of {f.name}"
            yield Form("argument", written, (signal, " stands where ", a, belongs))


def _of_output(name: str, output: Symbol) -> Term | None:
    """Return the derivative of tanh or σ in terms of its value."""
    if name == "tanh":
        return _one_minus(Product(_ONE, ((output, Fraction(2)),), output.shape))
    if name == "σ":
        factors = ((output, _ONE), (_one_minus(output), _ONE))
        return Product(_ONE, factors, output.shape)
    return None


def groups(spot: Spot) -> Iterator[tuple[Term, Callable[[Term], Term]]]:
    """Yield the parts at a spot that may be meant as a derivative, with a function that replaces each."""
    part = spot.part
    if isinstance(part, Diagonal):
        yield part.body, lambda new: spot.put(replace(part, body=new))
        return
    if not isinstance(part, Product):
        return
    members = [i for i, (f, _) in enumerate(part.factors) if f.shape == part.shape]
    sets = {i: frozenset(symbols(part.factors[i][0])) for i in members}
    seen: set[tuple[int, ...]] = set()
    for i in members:
        same = tuple(j for j in members if sets[j] == sets[i])
        for chosen in ((i,), same):
            if chosen in seen or len(chosen) == len(part.factors) == 1:
                continue
            seen.add(chosen)
            yield _group(spot, part, chosen)


def _group(
    spot: Spot, part: Product, chosen: tuple[int, ...]
) -> tuple[Term, Callable[[Term], Term]]:
    inside = tuple(part.factors[i] for i in chosen)
    rest = tuple(f for i, f in enumerate(part.factors) if i not in chosen)
    group: Term = Product(_ONE, inside, part.shape)
    if len(inside) == 1 and inside[0][1] == 1:
        group = inside[0][0]

    def put(new: Term) -> Term:
        return spot.put(replace(part, factors=((new, _ONE), *rest)))

    return group, put
