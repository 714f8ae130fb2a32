"""The derivation of a gradient: the steps of backpropagation in matrix calculus, one line per named signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from deltarule.errors import ArgumentError
from deltarule.explain.derivation.hand_written import with_named_losses, written_size
from deltarule.explain.derivation.reasons import Reasons
from deltarule.explain.derivation.signals import (
    STYLES,
    Signal,
    Style,
    auxiliary_outputs,
    forward_signals,
    random_names,
)
from deltarule.explain.formula.assumptions import SUMS_TO_ONE, checked, symbol_of
from deltarule.explain.formula.from_graph import Translator
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.patterns import auxiliaries, recognised
from deltarule.explain.formula.simplify import simplified
from deltarule.explain.formula.term import (
    Symbol,
    Term,
    cost,
    matrix_shape,
    symbols,
)
from deltarule.grad.reverse import Backpropagation, backpropagate
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES, Op
from deltarule.graph.walk import inputs, topological, users
from deltarule.shapes import Shape

Layout = Literal["denominator", "numerator"]
Detail = Literal["answers", "steps", "every"]
_LONGEST = 4000  # operations of a closed form
_SHORT = 8  # derivatives up to this length are substituted instead of named


@dataclass(frozen=True)
class Line:
    """One line: the symbol on the left, its formula, its shape and the reason.

    ``node`` is the signal, or the variable of the derivative; ``value`` is the node that the formula computes;
    ``alias`` is the short name (δ₂) that later lines use.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> line = Deriver(build.sum_over(build.multiply(x, x)), [x], {}, "denominator", "steps").derive().backward[-1]
    >>> line.name, line.shape, line.reason
    ('x', (3,), 'power rule')
    """

    kind: Literal["forward", "backward"]
    number: int
    name: str
    node: Node
    value: Node
    term: Term
    shape: Shape
    reason: str = ""
    alias: Symbol | None = None
    wanted: bool = False


@dataclass
class Derived:
    """The lines of a derivation, in order, with the loss, the variables and the names that they use.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> derived = Deriver(build.sum_over(build.exp(x)), [x], {}, "denominator", "steps").derive()
    >>> derived.loss_name, [symbol.name for symbol in derived.inputs], len(derived.backward)
    ('L', ['x'], 1)
    """

    loss: Node
    loss_name: str
    wrt: tuple[Node, ...]
    names: Mapping[Node, str]
    layout: Layout
    detail: Detail
    forward: list[Line] = field(default_factory=list)
    backward: list[Line] = field(default_factory=list)
    closed: list[Line] = field(default_factory=list)
    distributions: list[Symbol] = field(default_factory=list)
    drawn: list[Symbol] = field(default_factory=list)  # uniform random numbers
    assumed: Mapping[Node, str] = field(default_factory=dict)  # kinds of inputs
    given: Node | None = (
        None  # the loss as it was given, if a part of it was recognised
    )

    @property
    def source(self) -> Node:
        """The loss as it was given."""
        return self.loss if self.given is None else self.given

    backpropagation: Backpropagation = field(default_factory=Backpropagation)

    @property
    def inputs(self) -> list[Symbol]:
        """The inputs of the network as symbols, variables of the derivative last."""
        found = [node for node in inputs([self.loss]) if node not in self.wrt]
        return [self.symbol(node) for node in (*found, *self.wrt)]

    def symbol(self, node: Node) -> Symbol:
        """Return the symbol of an input."""
        return symbol_of(node, self.names[node], self.assumed.get(node))

    def shown_forward(self, backward: Sequence[Line]) -> list[Line]:
        """Return the lines of the forward pass that are printed: with answers alone, those that define their names."""
        if self.detail != "answers":
            return self.forward
        needed = {symbol.node for line in backward for symbol in symbols(line.term)}
        shown = []
        for line in reversed(self.forward):
            if line.node in needed:
                needed |= {symbol.node for symbol in symbols(line.term)}
                shown.append(line)
        return shown[::-1]


class Deriver:
    """Write a line for each named quantity, from the loss back to the requested variables."""

    def __init__(
        self,
        loss: Node,
        wrt: Sequence[Node],
        names: Mapping[Node, str],
        layout: Layout,
        detail: Detail,
        style: Style = STYLES["textbook"],
        assume: Mapping[Node, str] | None = None,
    ) -> None:
        _checked(loss, wrt, layout, detail)
        assumed = checked(assume or {}, loss, wrt)
        self._source = loss
        if detail != "every":
            known = with_named_losses(loss, wrt, names)
            loss, names = known.loss, known.names
        self._translator = Translator()
        named = input_names(loss, wrt, names)
        self._first = style.first
        self._signals = [
            signal
            for signal in forward_signals(loss, wrt, named, style)
            if detail == "every" or not signal.intermediate
        ]
        self.result = Derived(
            loss, self._signals[-1].name, tuple(wrt), named, layout, detail
        )
        self.result.assumed = assumed
        self.result.given = self._source
        self.result.backpropagation = backpropagate(loss, wrt)
        self._cotangents = self.result.backpropagation.cotangents
        self._reasons = Reasons(self.result.backpropagation, layout)
        self._auxiliary = auxiliary_outputs(loss)

    def derive(self) -> Derived:
        """Write all lines."""
        for node in inputs([self.result.loss]):
            symbol = self.result.symbol(node)
            self._translator.name(node, symbol)
            if self.result.assumed.get(node) in SUMS_TO_ONE:
                self._is_distribution(symbol)
        taken = {signal.name for signal in self._signals} | set(
            self.result.names.values()
        )
        for node, name in random_names(self.result.loss, taken).items():
            self.result.drawn.append(Symbol(name, matrix_shape(node.shape), node))
            self._translator.name(node, self.result.drawn[-1])
        self._forward()
        self._closed_forms()
        self._backward()
        return self.result

    # ---------------------------------------------------------------- forward

    def _forward(self) -> None:
        order = topological([self.result.loss])
        for found in recognised(order, self.result.backpropagation):
            self._translator.patterns.setdefault(
                found.node, (found.operands, found.pattern)
            )
        beside = {
            node: list(auxiliaries([node])) for node in order if node.op is Op.CALL
        }
        for signal in self._signals:
            if signal.kind == "loss":
                self._write_auxiliary()
            for extra in [
                a
                for n in topological([signal.node], frozenset(self._translator.named))
                for a in beside.get(n, [])
            ]:
                if extra.node not in self._translator.named:
                    self._write_signal(
                        Signal(extra.node, self._unused(extra.name), "auxiliary", 0)
                    )
            self._write_signal(signal)

    def _unused(self, name: str) -> str:
        taken = {line.name for line in self.result.forward} | set(
            self.result.names.values()
        )
        taken |= {signal.name for signal in self._signals}
        if name not in taken:
            return name
        return next(
            f"{name}_{count}"
            for count in range(2, len(taken) + 3)
            if f"{name}_{count}" not in taken
        )

    def _write_signal(self, signal: Signal) -> None:
        term = simplified(self._translator.term(signal.node, opened=True))
        value = self._source if signal.kind == "loss" else signal.node
        line = Line(
            "forward", 0, signal.name, signal.node, value, term, signal.node.shape
        )
        self.result.forward.append(line)
        self._translator.name(
            signal.node,
            Symbol(signal.name, matrix_shape(signal.node.shape), signal.node),
        )

    def _write_auxiliary(self) -> None:
        for node, name in self._auxiliary.items():
            if node not in self._translator.named:
                given = self.result.names.get(node)
                free = given or self._unused("Y_hat" if node.rank >= 2 else name)
                self._write_signal(Signal(node, free, "auxiliary", 0))
        for node in topological([self.result.loss]):
            if node.op is Op.CALL and node.attributes["function"] == "cross_entropy":
                target = self._translator.term(node.sources[1])
                if isinstance(target, Symbol) and target.node.op is Op.INPUT:
                    kind = self.result.assumed.get(target.node, "distribution")
                    if kind in SUMS_TO_ONE:
                        self._is_distribution(target)

    def _is_distribution(self, symbol: Symbol) -> None:
        if symbol not in self._translator.distributions:
            self.result.distributions.append(symbol)
            self._translator.distributions.add(symbol)

    # ---------------------------------------------------------------- backward

    def _backward(self) -> None:
        named = [
            signal for signal in self._signals[:-1] if signal.node in self._cotangents
        ]
        waiting = {
            node: self._readers(node) for node in self.result.wrt if node.op in LEAVES
        }
        done: set[Node] = set()
        for signal in reversed(named):
            done.add(signal.node)
            if not self._merged(signal):
                self._write_derivative(
                    signal.node,
                    signal.name,
                    self._delta(signal),
                    signal.node in self.result.wrt,
                )
            ready = [node for node, readers in waiting.items() if readers <= done]
            self._write_ready(ready)
            for node in ready:
                del waiting[node]
        self._write_ready(list(waiting))

    def _write_ready(self, ready: Sequence[Node]) -> None:
        def length(node: Node) -> int:
            return cost(self._translator.term(self._gradient(node)))

        for node in sorted(ready, key=length):
            self._write_derivative(node, self.result.names[node], None, True)

    def _gradient(self, node: Node) -> Node:
        known = self._cotangents.get(node)
        return build.full(node.shape, 0.0, node.dtype) if known is None else known

    def _readers(self, node: Node) -> set[Node]:
        """Return the signals whose lines use a variable directly."""
        order = topological([self.result.loss])
        readers = users(order)
        signals = {
            signal.node for signal in self._signals if signal.node in self._cotangents
        }
        found: set[Node] = set()
        stack = [node]
        while stack:
            for reader in readers[stack.pop()]:
                if reader in signals:
                    found.add(reader)
                else:
                    stack.append(reader)
        return found - {self.result.loss}

    def _merged(self, signal: Signal) -> bool:
        """Whether the derivative of the output activation is skipped, since that of its operand is as short."""
        if (
            self.result.detail == "every"
            or signal.kind != "output"
            or signal.node in self.result.wrt
        ):
            return False
        sources = [s for s in signal.node.sources if s in self._cotangents]
        below = {s.node for s in self._signals}
        if (
            len(sources) != 1
            or sources[0] not in below
            or len(self._reasons.readers(sources[0])) != 1
        ):
            return False
        merged = cost(self._translator.term(self._cotangents[sources[0]]))
        return merged <= cost(self._translator.term(self._cotangents[signal.node])) + 2

    def _delta(self, signal: Signal) -> str | None:
        """Return the short name of a signal's derivative."""
        if signal.kind == "affine" or (
            signal.kind == "output" and self._layer_ends(signal)
        ):
            return f"{'Delta' if signal.node.rank >= 2 else 'delta'}_{signal.layer - (1 - self._first)}"
        normal = (
            signal.node.op is Op.CALL
            and signal.node.attributes["function"] == "normalize"
        )
        if signal.kind == "output" or "_hat" in signal.name or normal:
            return f"d{self.result.loss_name}/d{signal.name}"
        base = "Delta" if signal.node.rank >= 2 else "delta"
        return f"{base}_{signal.name}" if signal.kind == "plain" else None

    def _layer_ends(self, signal: Signal) -> bool:
        return signal.node.op is not Op.CALL and signal.node.op is not Op.TANH

    def _write_derivative(
        self, node: Node, name: str, delta: str | None, wanted: bool
    ) -> None:
        cotangent = self._gradient(node)
        term = simplified(self._translator.term(cotangent))
        if not (wanted or symbols(term) or self.result.detail == "every"):
            return  # a constant such as 1/m or I is written where it is used
        if isinstance(term, Symbol):
            delta = None
        elif delta is None and not wanted and cost(term) > _SHORT:
            delta = f"d{self.result.loss_name}/d{name}"
        alias = None
        if (
            delta is not None
            and cotangent.op not in LEAVES
            and cotangent not in self._translator.named
        ):
            alias = Symbol(self._free(delta), matrix_shape(cotangent.shape), cotangent)
        number = len(self.result.backward) + 1
        reason = self._reasons.of(node, {s.node for s in self._signals}, term)
        line = Line(
            "backward",
            number,
            name,
            node,
            cotangent,
            term,
            node.shape,
            reason,
            alias,
            wanted,
        )
        self.result.backward.append(line)
        if alias is not None:
            self._translator.name(cotangent, alias)

    def _free(self, name: str) -> str:
        taken = {line.alias.name for line in self.result.backward if line.alias}
        taken |= set(self.result.names.values())
        while name in taken:
            name += "'"
        return name

    def _closed_forms(self) -> None:
        """Write each requested gradient in terms of forward signals alone, unless it is too long."""
        for node in self.result.wrt:
            gradient = self._gradient(node)
            if written_size(gradient, self._translator.named) > _LONGEST:
                continue
            name = self.result.names[node]
            term = simplified(self._translator.term(gradient))
            number = len(self.result.closed) + 1
            self.result.closed.append(
                Line(
                    "backward",
                    number,
                    name,
                    node,
                    gradient,
                    term,
                    node.shape,
                    "",
                    None,
                    True,
                )
            )


def _checked(loss: Node, wrt: Sequence[Node], layout: str, detail: str) -> None:
    if layout not in {"denominator", "numerator"}:
        raise ArgumentError(
            "derive layout", expected='"denominator" or "numerator"', got=repr(layout)
        )
    if detail not in {"answers", "steps", "every"}:
        raise ArgumentError(
            "derive detail", expected='"answers", "steps" or "every"', got=repr(detail)
        )
    if not wrt:
        raise ArgumentError(
            "derive", expected="at least one variable in wrt", got="none"
        )
    below = set(topological([loss]))
    for node in wrt:
        if node not in below:
            raise ArgumentError(
                "derive",
                expected="variables that the loss depends on",
                got=build.describe(node),
                hint="Was the loss computed from this very tensor?",
            )


_LETTERS = {
    "weight": "W",
    "bias": "b",
    "scale": "gamma",
    "gamma": "gamma",
    "shift": "beta",
    "beta": "beta",
    "slope": "alpha",
    "kernel": "W",
}


_STATE = {"running_mean": "mu_bar", "running_variance": "v_bar"}


def _short_name(word: str) -> str:
    """Return W_h for hidden_weight, b_o for output_bias, μ̄ for running_mean, and any other name as it is."""
    front, _, kind = word.rpartition("_")
    if word in _STATE:
        return _STATE[word]
    return (
        f"{_LETTERS[kind]}_{front[0]}"
        if front.isalpha() and kind in {"weight", "bias"}
        else word
    )


_BARE = frozenset(
    {"weight", "bias", "scale", "shift"}
)  # parameters of a layer on its own


def input_names(
    loss: Node, wrt: Sequence[Node], names: Mapping[Node, str]
) -> dict[Node, str]:
    """Return the name of every input and named node, each once; parameters of modules become W_1, b_1 and so on.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> list(input_names(build.sum_over(build.exp(x)), [x], {}).values())
    ['x']
    """
    result: dict[Node, str] = {}
    layers: dict[str, int] = {}
    given = dict.fromkeys((*names, *inputs([loss]), *wrt))
    taken: set[str] = set()
    for node in given:
        raw = names.get(node) or str(node.attributes.get("name") or "") or "c"
        prefix, _, last = raw.rpartition(".")
        last = _short_name(last)
        if prefix:
            layers.setdefault(prefix, len(layers) + 1)
            raw = f"{_LETTERS.get(last, last)}_{layers[prefix]}"
        else:
            raw = _LETTERS[raw] if raw in _BARE else last
        name = canonical(raw.replace(".", "_"))
        if name in taken:
            name = next(
                f"{name}_{count}"
                for count in range(2, len(given) + 3)
                if f"{name}_{count}" not in taken
            )
        result[node] = name
        taken.add(name)
    return result
