"""What an answer may name: the symbols of a derivation, its derivatives, and the functions of its network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Apply, Symbol, Term, children, matrix_shape
from deltarule.explain.formula.typeset import typeset
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.render import mathematics as m


@dataclass(frozen=True)
class Vocabulary:
    """Names and functions that a formula is read with.

    ``names`` maps canonical names to symbols, with ``dL/dz_1`` for derivatives. ``functions`` holds the functions of
    the network as they are printed, so that maxpool(x) is its pooling and LeakyReLU(z) has its slope. ``cotangents``
    maps derivatives of the loss to what they are with respect to, ``rows`` transposed derivatives to the untransposed.
    """

    names: Mapping[str, Symbol]
    functions: Mapping[str, Sequence[Apply]] = field(default_factory=dict)
    loss: str = "L"
    loss_node: Node | None = None
    wanted: frozenset[Node] = frozenset()
    cotangents: Mapping[Node, Node] = field(default_factory=dict)
    rows: Mapping[Node, Node] = field(default_factory=dict)
    layout: Layout = "denominator"

    def with_names(self, names: Mapping[str, Symbol]) -> Vocabulary:
        """Return the vocabulary with more names; a name given twice has its last meaning."""
        return replace(self, names={**self.names, **names})


def vocabulary(*derivations: Derived, layout: Layout = "denominator") -> Vocabulary:
    """Return the names and functions of derivations of one loss.

    In numerator layout a derivative of a vector (δ) is a row.
    """
    first = derivations[0]
    known: dict[str, Symbol] = {}
    cotangents: dict[Node, Node] = {}
    rows: dict[Node, Node] = {}
    for derived in derivations:
        for symbol in (*derived.drawn, *derived.inputs):
            known[canonical(symbol.name)] = symbol
        for line in derived.forward:
            known.setdefault(canonical(line.name), _signal(line))
    for derived in derivations:
        for line in derived.backward:
            cotangents.setdefault(line.value, line.node)
            own = derivative_symbol(derived, line, layout)
            if own.node is not line.value:
                rows[own.node] = line.value
            if not line.wanted:
                known.setdefault(f"d{derived.loss_name}/d{canonical(line.name)}", own)
            prefix = "d" + derived.loss_name + "/"
            if line.alias is not None and not line.alias.name.startswith(prefix):
                alias = Symbol(line.alias.name, own.shape, own.node)
                known.setdefault(canonical(alias.name), alias)
    known |= _prediction(first, known)
    known |= _unnumbered(known)
    known |= _usual_names(known)
    for name, count in _examples(first).items():
        known.setdefault(name, count)
    terms = [
        line.term
        for derived in derivations
        for line in (*derived.forward, *derived.backward, *derived.closed)
    ]
    return Vocabulary(
        known,
        _functions(terms),
        first.loss_name,
        first.loss,
        frozenset(first.wrt),
        cotangents,
        rows,
        layout,
    )


def _signal(line: Line) -> Symbol:
    return Symbol(line.name, matrix_shape(line.node.shape), line.node)


def derivative_symbol(derived: Derived, line: Line, layout: Layout) -> Symbol:
    """Return the derivative of a line of the backward pass as a matrix, in numerator layout a transposed one."""
    name = f"d{derived.loss_name}/d{line.name}"
    node = build.reshape(line.value, matrix_shape(line.value.shape))
    if layout == "numerator" and node.rank == 2:
        node = build.matrix_transpose(node)
        return Symbol(name, node.shape, node)
    return Symbol(name, node.shape, line.value)


def _prediction(derived: Derived, known: Mapping[str, Symbol]) -> dict[str, Symbol]:
    """Return the last signal before the loss by its usual name ŷ, unless that name is taken."""
    before = [line for line in derived.forward[:-1] if line.node.dtype.is_float]
    if not before or {"y_hat", "Y_hat"} & set(known):
        return {}
    target = next((known[name] for name in ("y", "Y", "t", "T") if name in known), None)
    like = [
        line
        for line in before
        if target is not None and line.node.shape == target.node.shape
    ]
    output = like[0] if like and before[-1].node.shape == () else before[-1]
    return {"y_hat": _signal(output), "Y_hat": _signal(output)}


def _unnumbered(known: Mapping[str, Symbol]) -> dict[str, Symbol]:
    """Return z for z_1 where that is the only z, and likewise for derivatives."""
    bases: dict[str, list[str]] = {}
    for name in known:
        base, _, number = name.rpartition("_")
        if base and number.isdigit():
            bases.setdefault(base, []).append(name)
    single = {base: names[0] for base, names in bases.items() if len(names) == 1}
    return {base: known[name] for base, name in single.items() if base not in known}


def _usual_names(known: Mapping[str, Symbol]) -> dict[str, Symbol]:
    """Return the prediction by its usual names a and p, and λ by a name of Python, where these are free."""
    found: dict[str, Symbol] = {}
    output = known.get("y_hat", known.get("Y_hat"))
    for name in ("a", "A", "p", "P"):
        taken = {key.partition("_")[0].lower() for key in known}
        if output is not None and name.lower() not in taken:
            found[name] = output
    if "lambda" in known:
        found |= dict.fromkeys(("lam", "lambd"), known["lambda"])
    return found


def _examples(derived: Derived) -> dict[str, Symbol]:
    """Return the number of examples (the rows of the first matrix of the data) by its usual names m, N and n."""
    batch = [
        part
        for symbol in derived.inputs
        for part in symbol.node.shape[:1]
        if len(symbol.node.shape) == 2
    ]
    if not batch:
        return {}
    count = build.size((batch[0],), (0,), derived.loss.dtype)
    return {name: Symbol(name, (), count) for name in ("m", "N", "n")}


def _functions(terms: Iterable[Term]) -> dict[str, list[Apply]]:
    """Return the functions in terms by the name that they are printed with."""
    found: dict[str, list[Apply]] = {}
    stack = list(terms)
    seen: set[Term] = set()
    while stack:
        term = stack.pop()
        if term in seen:
            continue
        seen.add(term)
        stack.extend(children(term))
        if isinstance(term, Apply):
            held = found.setdefault(printed_name(term), [])
            if all(term.body is not other.body for other in held):
                held.append(term)
    return found


def printed_name(term: Apply) -> str:
    """Return the word that a function is printed with, or the name of its operation."""
    if term.name.startswith("convolve") or term.name in {"one_hot", "winner"}:
        return term.name
    formula = typeset(term)
    head = formula.items[0] if isinstance(formula, m.Row) else formula
    while isinstance(head, m.Scripts):
        head = head.base
    if isinstance(formula, m.Row) and isinstance(head, m.Identifier) and head.upright:
        return head.text
    return term.name
