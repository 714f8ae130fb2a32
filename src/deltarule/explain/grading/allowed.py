"""Which symbols an answer may use, and which it uses."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Derived
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol
from deltarule.explain.formula.typeset import symbol as typeset_symbol
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.reading.reader import Reading
from deltarule.explain.reading.syntax import Differential, Entry, Named, parts
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.render.mathematics import to_text

Allow = str | Collection["str | Node"] | None


@dataclass(frozen=True)
class Allowed:
    """The symbols that an answer may use: all of them if ``nodes`` is None, but never the gradient itself (``own``)."""

    nodes: frozenset[Node] | None
    shown: str
    own: frozenset[str]

    def forbids(self, symbol: Symbol) -> bool:
        """Whether an answer may not use a symbol; numbers of examples are always allowed."""
        if canonical(symbol.name) in self.own:
            return True
        is_count = symbol.shape == () and not inputs([symbol.node])
        return self.nodes is not None and symbol.node not in self.nodes and not is_count


def allowed(
    allow: Allow, vocabulary: Vocabulary, derived: Sequence[Derived], wrt: Node
) -> Allowed:
    """Return what an answer may use.

    Raises:
        ArgumentError: a name that the derivation does not have.
    """
    names = vocabulary.names
    own = {
        canonical(name)
        for each in derived
        for line in each.backward
        if line.node is wrt
        for name in (
            f"d{each.loss_name}/d{line.name}",
            *([line.alias.name] if line.alias is not None else []),
        )
    }
    if allow is None:
        return Allowed(None, "", frozenset(own))
    if isinstance(allow, str) and allow != "inputs":
        raise ArgumentError(
            "allow", expected='"inputs" or a collection of names', got=repr(allow)
        )
    found: dict[Node, None] = {}
    if isinstance(allow, str):
        found = {symbol.node: None for symbol in derived[0].inputs}
    for name in () if isinstance(allow, str) else allow:
        symbol = names.get(canonical(name)) if isinstance(name, str) else None
        node = symbol.node if symbol is not None else name
        if not isinstance(node, Node):
            known = ", ".join(sorted(names))
            raise ArgumentError("allow", expected=f"names among {known}", got=str(name))
        found[node] = None
    shown: dict[Node, str] = {}
    for name, symbol in names.items():
        if symbol.node in found:
            shown.setdefault(symbol.node, _text(symbol, name))
    listed = ", ".join(shown[node] for node in found if node in shown)
    return Allowed(frozenset(found), listed, frozenset(own))


def _text(symbol: Symbol, name: str) -> str:
    shown = symbol.name if "/" not in symbol.name else name
    return to_text(typeset_symbol(shown))


# ---------------------------------------------------------------- symbols of an answer


def used(answer: str, reading: Reading, vocabulary: Vocabulary) -> list[Symbol]:
    """Return the symbols of the network that an answer uses, each once."""
    known = {
        symbol.node: symbol for symbol in reversed(list(vocabulary.names.values()))
    }
    if reading.tree is None:
        return _of_python(answer, vocabulary)
    found: dict[Symbol, None] = {}
    for part in parts(reading.tree):
        for symbol in _named(part):
            if symbol.node in known:
                found[symbol] = None
            else:  # a name that the answer defines
                found |= dict.fromkeys(_below(symbol.node, known))
    return list(found)


def _named(part: object) -> Iterable[Symbol]:
    if isinstance(part, Named):
        return (part.symbol,)
    if isinstance(part, Differential):
        return (part.over, part.under)
    if isinstance(part, Entry):
        return [index for index in part.indices if isinstance(index, Symbol)]
    return ()


def _below(node: Node, known: dict[Node, Symbol]) -> list[Symbol]:
    """Return the first known symbols on the ways down a graph."""
    found, stack, seen = [], [node], {node}
    while stack:
        here = stack.pop()
        if here in known:
            found.append(known[here])
            continue
        for source in here.sources:
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return found


def _of_python(answer: str, vocabulary: Vocabulary) -> list[Symbol]:
    tree = ast.parse(answer.strip())
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    local = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    read = (canonical(name.id) for name in names if name.id not in local)
    found = (vocabulary.names.get(name) for name in dict.fromkeys(read))
    return [symbol for symbol in found if symbol is not None]


def restricted(grade: Grade, forbidden: Sequence[Symbol], may: Allowed) -> Grade:
    """Return the grade of an answer that uses symbols which it may not."""
    names = ", ".join(dict.fromkeys(to_text(typeset_symbol(s.name)) for s in forbidden))
    verb = "is" if len(forbidden) == 1 else "are"
    circular = any(canonical(symbol.name) in may.own for symbol in forbidden)
    reason = f"{names} {verb} not allowed: an answer may use {may.shown}."
    if circular:
        reason = f"{names} {verb} not allowed: this is the gradient that is asked for."
    message = f"The value is right, but {reason}"
    if not grade.correct:
        message = f"{grade.message} Besides, {reason}"
    return replace(
        grade,
        correct=False,
        mistake="not allowed",
        message=message,
        mistakes=("not allowed", *(m for m in grade.mistakes if m != "equal")),
        hints=(reason, *grade.hints),
    )
