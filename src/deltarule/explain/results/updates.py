"""The graph of an optimiser's step as assignments: θ ← θ − ηg, translated as derivations are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from deltarule import dtypes
from deltarule.explain.formula.algebra import (
    divide,
    is_constant,
    number,
    subtract,
    unwrapped,
)
from deltarule.explain.formula.term import (
    Apply,
    Product,
    Sum,
    Symbol,
    Term,
    mapped,
    symbols,
)
from deltarule.explain.results.update_lines import (
    Line,
    Names,
    Slot,
    UpdateGraph,
    counted_step,
    find_lines,
    given_symbols,
    scheduled,
    symbol_of,
    translator_of,
)
from deltarule.graph import build
from deltarule.graph.node import Node

_ONE = Fraction(1)


@dataclass(frozen=True)
class Assignment:
    """One line: the symbol that is set, whose node is the input that later lines read, and the formula.

    >>> from deltarule.explain.formula.algebra import scale
    >>> theta = Symbol.of("theta")
    >>> Assignment(theta, scale(2, theta)).target.name
    'theta'
    """

    target: Symbol
    term: Term


def assignments(update: UpdateGraph, count: Symbol) -> list[Assignment]:
    """Return the lines of a step; ``count`` is the symbol of its number from 1."""
    given = given_symbols(update)
    names = Names([count.name, *(symbol.name for symbol in given.values())])
    ordered, primed = scheduled(find_lines(update, count, names))
    targets = _targets(ordered, primed, given, names)
    translator = translator_of(update, count)
    for node, symbol in targets.items():
        translator.name(node, symbol)
    counts = {
        node: step for node in targets if (step := counted_step(node)) is not None
    }
    for node, step in counts.items():  # of an optimiser's own: k, after k − 1 steps
        translator.name(step, subtract(targets[node], number(_ONE)))
    early = [targets[line.node] for line in ordered if line.early]
    order = _Order([given[node] for node in update.settings], early, count)
    hats = _Hats([slot.name for slot in update.states], names)
    written: list[Assignment] = []
    for line in ordered:
        target = targets[line.node]
        if line.slot is not None and line.slot not in primed:
            target = given[line.slot.before]
        if line.node in counts:
            term = translator_of(update, count).term(line.node)
        else:
            opened = line.node not in given and target is targets[line.node]
            term = translator.term(line.node, opened=opened)
        term = mapped(term, hats.replaced)
        found = [*hats.new(), Assignment(target, term)]
        written.extend(replace(x, term=mapped(x.term, order.sorted)) for x in found)
        hats.forget(target)
    old = [Assignment(given[slot.before], targets[slot.after]) for slot in primed]
    return [*written, *old]


def _targets(
    ordered: Sequence[Line],
    primed: Sequence[Slot],
    given: Mapping[Node, Symbol],
    names: Names,
) -> dict[Node, Symbol]:
    """Return what later lines call the node of each line."""
    targets: dict[Node, Symbol] = {}
    for line in ordered:
        if line.slot is not None and line.slot not in primed:
            targets.setdefault(line.node, given[line.slot.before])
            continue
        name = line.name if line.slot is None else names.free(line.name + "'")
        node = build.input_node(name, line.node.shape, dtypes.FLOAT64)
        targets.setdefault(line.node, symbol_of(name, node))
    return targets


class _Order:
    """The order of factors: the learning rate, other hyperparameters, numbers of the step, what they multiply."""

    def __init__(
        self, settings: Sequence[Symbol], early: Sequence[Symbol], count: Symbol
    ) -> None:
        rates = [symbol for symbol in early if symbol.name.startswith("eta")]
        known = dict.fromkeys([*rates, *settings, *early])
        self._places = {symbol: place for place, symbol in enumerate(known)}
        self._count = count

    def _place(self, factor: tuple[Term, Fraction]) -> int:
        base, last = factor[0], len(self._places)
        if isinstance(base, Symbol) and base in self._places:
            return self._places[base]
        inner = [symbol for symbol in symbols(base) if symbol != self._count]
        return last if all(symbol in self._places for symbol in inner) else last + 1

    def sorted(self, part: Term) -> Term:
        """Return a product with its factors in order."""
        if not isinstance(part, Product):
            return part
        return replace(part, factors=tuple(sorted(part.factors, key=self._place)))


class _Hats:
    """Bias-corrected states: m/(1 − β₁ᵗ) is named m̂, on a separate line."""

    def __init__(self, states: Sequence[str], names: Names) -> None:
        self._states = states
        self._names = names
        self._known: dict[tuple[Symbol, Term], Symbol] = {}
        self._new: list[tuple[str, Assignment]] = []

    def replaced(self, part: Term) -> Term:
        """Return a product with the hat in the place of a state over its correction."""
        if not isinstance(part, Product):
            return part
        tops = [f for f, e in part.factors if e == 1 and self._state(f)]
        bottoms = [f for f, e in part.factors if e == -1 and _is_correction(f)]
        if len(tops) != 1 or len(bottoms) != 1:
            return part
        (top,), (bottom,) = tops, bottoms
        kept = tuple(
            (self._hat(top, bottom) if factor == top else factor, exponent)
            for factor, exponent in part.factors
            if factor != bottom
        )
        return unwrapped(replace(part, factors=kept))

    def _state(self, term: Term) -> str | None:
        """Return the name of the state that a term is, with or without a prime."""
        name = term.name.rstrip("'") if isinstance(term, Symbol) else ""
        return name if name in self._states else None

    def _hat(self, state: Term, correction: Term) -> Term:
        name = self._state(state)
        if not isinstance(state, Symbol) or name is None:
            return state
        hat = self._known.get((state, correction))
        if hat is None:
            primes = state.name[len(name) :]
            called = self._names.free(f"{name}_hat{primes}")
            node = build.input_node(called, state.node.shape, dtypes.FLOAT64)
            hat = self._known[state, correction] = symbol_of(called, node)
            line = Assignment(hat, divide(state, correction))
            self._new.append((name, line))
        return hat

    def new(self) -> list[Assignment]:
        """Return the lines of the hats since the last call, in the order of the states."""
        found = sorted(self._new, key=lambda item: self._states.index(item[0]))
        self._new = []
        return [line for _, line in found]

    def forget(self, state: Symbol) -> None:
        """Forget the hat of a state that has another value now."""
        self._known = {key: hat for key, hat in self._known.items() if key[0] != state}


def _is_correction(term: Term) -> bool:
    """Whether a term is 1 − βᵗ."""
    if not isinstance(term, Sum) or len(term.terms) != 2:
        return False
    one, decayed = term.terms
    return (
        is_constant(one, 1)
        and isinstance(decayed, Product)
        and decayed.coefficient == -1
        and len(decayed.factors) == 1
        and isinstance(decayed.factors[0][0], Apply)
        and decayed.factors[0][0].name == "power"
    )
