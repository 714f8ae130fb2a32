"""The quantities of a network that a derivation may speak of: inputs, signals, derivatives of the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol
from deltarule.explain.formula.to_graph import lower
from deltarule.explain.formula.typeset import derivative
from deltarule.explain.formula.typeset import symbol as typeset_symbol
from deltarule.explain.reading.vocabulary import (
    Vocabulary,
    derivative_symbol,
    vocabulary,
)
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import topological
from deltarule.render.mathematics import to_text

_GUESSED = {"a", "A", "m", "n", "N"}  # names that a person may give to something else


@dataclass(frozen=True, eq=False)
class Quantity:
    """Something that has a name.

    ``kind`` is "derivative" (of the loss with respect to ``of``), "signal" (``of`` itself), "input", or "own" (a name
    that the text defines). ``shown`` is its name as printed, ``symbol`` its true value, ``name`` the canonical name of
    one of the text's own, and ``guessed`` whether the network has no such name.
    """

    kind: str
    shown: str
    of: Node | None = None
    symbol: Symbol | None = None
    name: str = ""
    guessed: bool = False


@dataclass(frozen=True)
class Quantities:
    """The quantities of a network by their canonical names, and the vocabulary that has these names."""

    names: Mapping[str, Quantity]
    base: Vocabulary
    every: Derived
    steps: Derived
    layout: Layout

    def derivative(self, of: Node) -> Quantity:
        """Return the derivative of the loss with respect to a node."""
        return next(q for q in self.all if q.kind == "derivative" and q.of is of)

    @property
    def loss(self) -> Quantity:
        """The loss."""
        return self.names[self.every.loss_name]

    @property
    def all(self) -> list[Quantity]:
        """All quantities, each once."""
        return list(dict.fromkeys(self.names.values()))


def quantities(every: Derived, steps: Derived, layout: Layout) -> Quantities:
    """Return the quantities of two derivations of one loss."""
    base = vocabulary(every, steps, layout=layout)
    loss = every.loss_name
    wanted = {
        f"d{loss}/d{canonical(line.name)}": derivative_symbol(derived, line, layout)
        for derived in (every, steps)
        for line in derived.backward
        if line.wanted
    }
    base = replace(base.with_names({**wanted}), wanted=frozenset())
    base = base.with_names(_further(every, base, layout))
    owners = _owners(every, steps, base)
    names: dict[str, Quantity] = {}
    known: dict[tuple[str, int], Quantity] = {}
    for name, symbol in base.names.items():
        kind, of = owners.get(name, ("input", symbol.node))
        key = (kind, id(of))
        if key not in known:
            known[key] = Quantity(kind, _shown(loss, kind, name, symbol), of, symbol)
        names[name] = known[key]
        if name in _GUESSED and canonical(symbol.name) != name:
            own = Symbol(name, symbol.shape, symbol.node)
            names[name] = Quantity(kind, name, of, own, name, guessed=True)
    return Quantities(_with_spellings(names, loss), base, every, steps, layout)


def _shown(loss: str, kind: str, name: str, symbol: Symbol) -> str:
    if kind == "derivative":
        of = symbol.name.partition("/d")[2] or name.partition("/d")[2]
        return to_text(derivative(loss, of)) if of else to_text(typeset_symbol(name))
    return to_text(typeset_symbol(symbol.name))


def _further(derived: Derived, base: Vocabulary, layout: Layout) -> dict[str, Symbol]:
    """Return the derivatives that have no line: with respect to signals and data, and the probabilities ŷ of a loss."""
    loss = derived.loss_name
    below = set(topological([derived.loss]))
    direct = lower(derived.forward[-1].term, derived.loss.dtype)
    beside = set(topological([direct])) - below
    found: dict[str, Symbol] = {}
    nodes = [(line.name, line.node) for line in derived.forward[:-1]]
    nodes += [(symbol.name, symbol.node) for symbol in derived.inputs]
    for name, node in nodes:
        key = f"d{loss}/d{canonical(name)}"
        if key in base.names or not node.dtype.is_float:
            continue
        if node not in below and node not in beside:
            continue
        top = derived.loss if node in below else build.reshape(direct, ())
        (value,) = gradients(top, [node])
        line = Line(
            "backward", 0, name, node, value, derived.forward[-1].term, node.shape
        )
        found[key] = derivative_symbol(derived, line, layout)
    return found


def _owners(
    every: Derived, steps: Derived, base: Vocabulary
) -> dict[str, tuple[str, Node]]:
    """Return for each name what kind of quantity it is, and of which node."""
    loss = every.loss_name
    nodes = {
        canonical(name): node
        for name, node in [
            *((symbol.name, symbol.node) for symbol in every.inputs),
            *(
                (line.name, line.node)
                for derived in (steps, every)
                for line in derived.forward
            ),
        ]
    }
    signals = {line.node for line in every.forward}
    found: dict[str, tuple[str, Node]] = {}
    for derived in (every, steps):
        for line in derived.backward:
            found[f"d{loss}/d{canonical(line.name)}"] = ("derivative", line.node)
            if line.alias is not None:
                found.setdefault(canonical(line.alias.name), ("derivative", line.node))
    by_symbol = {
        id(base.names[name]): owner
        for name, owner in found.items()
        if name in base.names
    }
    for name, symbol in base.names.items():
        under = name.partition("/d")[2]
        if id(symbol) in by_symbol:
            found[name] = by_symbol[id(symbol)]
        elif name not in found and under in nodes and name.startswith(f"d{loss}/d"):
            found[name] = ("derivative", nodes[under])
        elif name not in found and symbol.node in signals:
            found[name] = ("signal", symbol.node)
    return found


def _with_spellings(names: Mapping[str, Quantity], loss: str) -> dict[str, Quantity]:
    """Add the spellings of programs: grad_W_1 and dL_dW1 for the derivative with respect to W_1."""
    found = _last_activation(names) | dict(names)
    for name, quantity in names.items():
        of = name.partition(f"d{loss}/d")[2]
        for spelling in _spellings(of, loss) if of else ():
            found.setdefault(canonical(spelling), quantity)
    return found


def _last_activation(names: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Return the prediction as the activation of the last layer: a_2 after z_2."""
    found: dict[str, Quantity] = {}
    for affine, activation in (("z", "a"), ("Z", "A")):
        numbers = [name[2:] for name in names if name.startswith(affine + "_")]
        output = names.get("y_hat" if affine == "z" else "Y_hat")
        last = max((int(n) for n in numbers if n.isdecimal()), default=0)
        if output is not None and last:
            found[f"{activation}_{last}"] = output
    return found


def _spellings(of: str, loss: str) -> Iterable[str]:
    for plain in (of, of.replace("_", "")):
        for prefix in (
            "grad_",
            "grad",
            "nabla_",
            f"d{loss}_d",
            f"d{loss}d",
            f"d{loss}_",
        ):
            yield prefix + plain
        yield f"{plain}_grad"


def python_spellings(names: Mapping[str, Quantity], loss: str) -> dict[str, Quantity]:
    """Return names with dW_1, which in a formula would be a differential, for the derivative by W_1."""
    found = dict(names)
    for name, quantity in names.items():
        of = name.partition(f"d{loss}/d")[2]
        for plain in (of, of.replace("_", "")) if of else ():
            for spelling in (f"d{plain}", f"d_{plain}"):
                found.setdefault(canonical(spelling), quantity)
    return found


class Meaning:
    """What each name is taken for: its true value, or the value that the text gives it."""

    def __init__(self, quantities: Quantities, names: dict[str, Quantity]) -> None:
        self._base = quantities.base
        self._names = names
        self._symbols: dict[str, Symbol] = {}
        self._owners: dict[int, Quantity] = {}
        self._cotangents = dict(self._base.cotangents)
        self._vocabulary: Vocabulary | None = None
        for name, quantity in names.items():
            if quantity.symbol is not None:
                known = self._base.names.get(name, quantity.symbol)
                self._set(name, quantity, known.name, quantity.symbol.node)

    def _set(self, name: str, quantity: Quantity, shown: str, node: Node) -> None:
        symbol = Symbol(shown, node.shape, node)
        self._symbols[name] = symbol
        self._owners[id(symbol)] = quantity

    def set(self, quantity: Quantity, node: Node) -> None:
        """Give a quantity another value."""
        for name, owner in self._names.items():
            if owner is quantity:
                held = self._symbols.get(name)
                self._set(name, quantity, name if held is None else held.name, node)
        if quantity.kind == "derivative" and quantity.of is not None:
            self._cotangents.setdefault(node, quantity.of)
        self._vocabulary = None

    def vocabulary(self) -> tuple[Vocabulary, dict[int, Quantity]]:
        """Return the vocabulary of the names, and the quantity of each of its symbols by identity."""
        if self._vocabulary is None:
            self._vocabulary = replace(
                self._base, names=dict(self._symbols), cotangents=self._cotangents
            )
        return self._vocabulary, self._owners
