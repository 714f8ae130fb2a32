"""What an answer may name: the symbols of a derivation, its derivatives, and the functions of its network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Apply, Symbol, Term, children, matrix_shape
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.page.numerator_layout import in_layout
from deltarule.explain.reading.syntax import Expression
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES
from deltarule.graph.walk import topological
from deltarule.render import mathematics as m
from deltarule.shapes import Shape, Size

_PREDICTIONS = tuple(
    [
        "y_pred",
        "Y_pred",
        "pred",
        "preds",
        "prediction",
        "predictions",
        "probs",
        "output",
        "outputs",
    ]
)
_MOST_SHOWN = 24


@dataclass(frozen=True)
class PrintedLine:
    """The formula of a line as it is printed, with the nodes of symbols that stand for transposed ones."""

    term: Term
    values: Mapping[Symbol, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Vocabulary:
    """Names and functions that a formula is read with.

    ``names`` maps canonical names to symbols, with ``dL/dz_1`` for derivatives. ``functions`` holds the functions of
    the network as they are printed, so that maxpool(x) is its pooling and LeakyReLU(z) has its slope. ``cotangents``
    maps derivatives of the loss to what they are with respect to, ``rows`` transposed derivatives to the untransposed.
    ``lines`` are the formulas that the derivation prints, ``phrases`` their parts by syntax tree, found when needed.
    """

    names: Mapping[str, Symbol]
    functions: Mapping[str, Sequence[Apply]] = field(default_factory=dict)
    loss: str = "L"
    loss_node: Node | None = None
    wanted: frozenset[Node] = frozenset()
    cotangents: Mapping[Node, Node] = field(default_factory=dict)
    rows: Mapping[Node, Node] = field(default_factory=dict)
    layout: Layout = "denominator"
    lines: tuple[PrintedLine, ...] = ()
    phrases: dict[Expression, Node] = field(default_factory=dict, compare=False)
    origin: Vocabulary | None = None  # without the names that were added
    columns: bool = False  # examples of a batch are columns

    def shown_names(self) -> list[str]:
        """Return the names for an error message."""
        hidden = set(_PREDICTIONS)
        known = sorted(n for n in self.names if "/" not in n and n not in hidden)
        return known[:_MOST_SHOWN]

    def with_names(self, names: Mapping[str, Symbol]) -> Vocabulary:
        """Return the vocabulary with more names; a name given twice has its last meaning."""
        origin = self.origin or self
        return replace(self, names={**self.names, **names}, origin=origin)


def vocabulary(
    *derivations: Derived, layout: Layout = "denominator", asked: Node | None = None
) -> Vocabulary:
    """Return the names and functions of derivations of one loss.

    In numerator layout a derivative of a vector (δ) is a row. The derivative with respect to ``asked`` has no name,
    nor, by default, has any that is wanted.
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
            if line.node is not asked and (asked is not None or not line.wanted):
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
        frozenset(first.wrt if asked is None else [asked]),
        cotangents,
        rows,
        layout,
        tuple(line for d in derivations for line in _printed(d, layout)),
        columns=_has_columns(first),
    )


def _printed(derived: Derived, layout: Layout) -> list[PrintedLine]:
    """Return the formulas that a derivation prints."""
    found = [PrintedLine(line.term) for line in derived.forward]
    lines = [*derived.backward, *derived.closed]
    if layout == "denominator":
        return [*found, *(PrintedLine(line.term) for line in lines)]
    shown = [
        *in_layout(derived.backward, layout),
        *in_layout(derived.closed, layout),
    ]
    turned = {
        line.alias: build.matrix_transpose(
            build.reshape(line.alias.node, matrix_shape(line.alias.node.shape))
        )
        for line in shown
        if line.alias is not None and len(line.alias.shape) == 2
    }
    return [*found, *(PrintedLine(line.term, turned) for line in shown)]


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
    """Return the last signal before the loss by its usual name ŷ, unless that name is taken.

    Where there is a target y, the signal is computed without it.
    """
    if {"y_hat", "Y_hat"} & set(known):
        return {}
    target = next((known[name] for name in ("y", "Y", "t", "T") if name in known), None)
    about = set() if target is None else _depending(derived.loss, target.node)
    signals = [line for line in derived.forward[:-1] if line.node.dtype.is_float]
    before = [line for line in signals if line.node not in about]
    if not before:
        return _operand(derived, target, known) if target is not None else {}
    like = [
        line
        for line in before
        if target is not None and line.node.shape == target.node.shape
    ]
    output = like[0] if like and before[-1].node.shape == () else before[-1]
    return {"y_hat": _signal(output), "Y_hat": _signal(output)}


def _depending(loss: Node, target: Node) -> set[Node]:
    """Return the nodes that are computed from a node, and the node itself."""
    found = {target}
    for node in topological([loss]):
        if found & set(node.sources):
            found.add(node)
    return found


def _operand(
    derived: Derived, target: Symbol, known: Mapping[str, Symbol]
) -> dict[str, Symbol]:
    """Return ŷ where no line has it: the array of the shape of the target that is used beside it, Xw of Xw − y."""
    about = _depending(derived.loss, target.node)
    beside = {source for node in about for source in node.sources} - about
    found = [
        node
        for node in topological([derived.loss])
        if node in beside
        and node.op not in LEAVES
        and node.shape == target.node.shape
        and node.dtype.is_float
    ]
    if not found:
        return {}
    symbol = Symbol("y_hat", matrix_shape(found[-1].shape), found[-1])
    symbol = next((s for s in known.values() if s.node is found[-1]), symbol)
    return {"y_hat": symbol, "Y_hat": symbol}


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
    if output is not None:
        found |= {name: output for name in _PREDICTIONS if name not in known}
        found |= _last_layer(known, output)
    if "lambda" in known:
        names = ("lam", "lambd", "lambda_", "reg")
        found |= {name: known["lambda"] for name in names if name not in known}
    return found


COUNTS = ("m", "N", "n")  # the usual names of the number of examples


def numbers_of_examples(derived: Derived) -> list[Size]:
    """Return what may be the number of examples: sizes of matrices of data that no variable has, the likeliest first.

    The examples are rows or columns. Where every size of the data is one of a variable too, all of them.
    """
    data = [
        symbol.node
        for symbol in derived.inputs
        if symbol.node not in derived.wrt and symbol.node.rank == 2
    ] or [symbol.node for symbol in derived.inputs if symbol.node.rank == 2]
    sizes = list(
        dict.fromkeys(
            [node.shape[0] for node in data] + [node.shape[1] for node in data]
        )
    )
    taken = {size for node in derived.wrt for size in node.shape}
    return [size for size in sizes if size not in taken and size != 1] or sizes


def counted(derived: Derived, size: Size) -> dict[str, Symbol]:
    """Return the number of examples by its usual names m, N and n."""
    node = build.size((size,), (0,), derived.loss.dtype)
    return {name: Symbol(name, (), node) for name in COUNTS}


def _last_layer(known: Mapping[str, Symbol], output: Symbol) -> dict[str, Symbol]:
    """Return the prediction as the activation of the last layer: a_2 beside z_2."""
    numbers = [
        int(number)
        for base, _, number in (name.partition("_") for name in known)
        if base in {"z", "Z"} and number.isdigit()
    ]
    if not numbers:
        return {}
    last = max(numbers)
    z = known.get(f"z_{last}", known.get(f"Z_{last}"))
    taken = {f"a_{last}", f"A_{last}"} & set(known)
    if taken or z is None or z.shape != output.shape:
        return {}
    return {f"a_{last}": output, f"A_{last}": output}


def _data(derived: Derived) -> list[Shape]:
    """Return the shapes of the arrays of the data."""
    return [
        symbol.node.shape
        for symbol in derived.inputs
        if symbol.node not in derived.wrt and symbol.node.shape
    ]


def _has_columns(derived: Derived) -> bool:
    """Whether the arrays of the data have their columns in common, and not their rows."""
    data = _data(derived)
    matrices = all(len(shape) == 2 for shape in data)
    rows, columns = ({shape[axis] for shape in data} for axis in (0, -1))
    return matrices and len(rows) > 1 == len(columns)


def _examples(derived: Derived) -> dict[str, Symbol]:
    """Return the number of examples by its usual names m, N and n.

    It is the size of the axis that all arrays of the data have in common, rows before columns; else the number of rows
    of the first matrix. Vectors of equal size have n entries.
    """
    data = _data(derived)
    shapes = [symbol.node.shape for symbol in derived.inputs]
    matrices = [shape for shape in shapes if len(shape) == 2]
    names: tuple[str, ...] = ("m", "N", "n")
    if _has_columns(derived):
        count = data[0][-1]
    elif len({shape[0] for shape in data}) == 1:
        count = data[0][0]
        names = names if matrices else ("n", "N")
    elif matrices:
        count = matrices[0][0]
    else:
        return {}
    node = build.size((count,), (0,), derived.loss.dtype)
    return {name: Symbol(name, (), node) for name in names}


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
