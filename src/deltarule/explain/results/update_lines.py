"""Lines of an optimiser's step: which nodes get one, their names and their order.

A line for each next value, for what the rule itself has named, and for what is long and read more than once. Each
line overwrites its name, so that one which reads the old value comes first; where a line needs the old and the new
value, the new one has a prime until the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from deltarule.explain.formula.algebra import number, subtract
from deltarule.explain.formula.from_graph import Translator
from deltarule.explain.formula.term import Symbol, cost, matrix_shape
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES, Op
from deltarule.graph.walk import dependents, topological

_SHORT_NUMBER, _SHORT = 9, 4  # what is not longer is written out where it is read
_MOVES = frozenset({Op.CAST, Op.BROADCAST, Op.RESHAPE, Op.STOP_GRADIENT, Op.NEGATE})


@dataclass(frozen=True)
class Slot:
    """A value that a step replaces: its name, the input that it is, and the node of its next value.

    >>> from deltarule.graph import build
    >>> v = build.input_node("v", (3,))
    >>> Slot("v", v, build.multiply(v, 0.9)).name
    'v'
    """

    name: str
    before: Node
    after: Node


@dataclass(frozen=True)
class UpdateGraph:
    """The graph of one step: the parameter, its gradient, the number of the step from 0, states and settings.

    ``settings`` are the inputs that are hyperparameters, ``names`` what the rule itself calls some of its nodes;
    ``point`` is where the gradient is taken, if that is not at θ.
    """

    parameter: Slot
    gradient: Node
    step: Node
    states: tuple[Slot, ...]
    settings: Mapping[Node, str]
    names: Mapping[Node, str] = field(default_factory=dict)
    point: Node | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The states, and the parameter last."""
        return (*self.states, self.parameter)

    @property
    def roots(self) -> list[Node]:
        """The results of a step, in the order in which they are shown."""
        point = [] if self.point is None else [self.point]
        return [*point, *(slot.after for slot in self.slots)]


@dataclass
class Line:
    """A node that gets a line; ``slot`` where it is the next value of one.

    ``early`` lines depend on the number of the step and on hyperparameters alone; ``copies`` set a value that is
    there already.
    """

    name: str
    node: Node
    slot: Slot | None = None
    reads: frozenset[Node] = frozenset()
    early: bool = False
    copies: bool = False


class Names:
    """Names that are taken, and free ones like them.

    >>> names = Names({"v"})
    >>> names.free("v"), names.free("m")
    ('v_2', 'm')
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def free(self, name: str) -> str:
        """Return a name, with a number where it is taken, and take it."""
        found, tries = name, 1
        while found in self._taken:
            tries += 1
            found = f"{name}_{tries}"
        self._taken.add(found)
        return found


def given_symbols(update: UpdateGraph) -> dict[Node, Symbol]:
    """Return the symbols of the inputs of a step: hyperparameters, old values, the gradient."""
    named = dict(update.settings)
    named |= {slot.before: slot.name for slot in update.slots}
    named[update.gradient] = "g"
    return {node: symbol_of(name, node) for node, name in named.items()}


def symbol_of(name: str, node: Node) -> Symbol:
    """Return the symbol of a node.

    >>> from deltarule.graph import build
    >>> symbol_of("m", build.input_node("m", (3,))).shape
    (3, 1)
    """
    return Symbol(name, matrix_shape(node.shape), node)


def translator_of(update: UpdateGraph, count: Symbol) -> Translator:
    """Return a translator with the names of the inputs of a step; its number from 0 is t − 1."""
    translator = Translator()
    translator.name(update.step, subtract(count, number(Fraction(1))))
    for node, symbol in given_symbols(update).items():
        translator.name(node, symbol)
    return translator


def counted_step(node: Node) -> Node | None:
    """Return the step, from 0, where a node is the count from 1 that belongs to it."""
    if node.op is not Op.ADD or node.rank != 0:
        return None
    steps = [
        source.sources[0]
        for source in node.sources
        if source.op is Op.CAST and source.sources[0].dtype.is_integer
    ]
    return steps[0] if steps else None


def find_lines(update: UpdateGraph, count: Symbol, names: Names) -> list[Line]:
    """Return the lines of a step, in the order of the graph."""
    order = topological(update.roots)
    slots = [slot for slot in update.slots if slot.after is not slot.before]
    lines = [Line(slot.name, slot.after, slot) for slot in slots]
    taken = {line.node for line in lines}
    if update.point is not None and update.point not in taken:
        lines.append(Line(names.free("phi"), update.point))
    for node in order:
        called = update.names.get(node)
        inner = node in taken or node.op in LEAVES or counted_step(node) is update.step
        if called is not None and not inner:
            lines.append(Line(names.free(called), node))
    lines.extend(_shared(update, order, count, names, {line.node for line in lines}))
    _link(lines, set(given_symbols(update)))
    inputs = {slot.before for slot in update.slots} | {update.gradient}
    late = dependents(order, inputs)
    for line in lines:
        line.early = line.node not in late
    position = {node: i for i, node in enumerate(order)}
    return sorted(lines, key=lambda line: (not line.early, position[line.node]))


def _shared(
    update: UpdateGraph,
    order: Sequence[Node],
    count: Symbol,
    names: Names,
    named: set[Node],
) -> list[Line]:
    """Return lines for what is long and read more than once."""
    translator = translator_of(update, count)
    for node in named:
        translator.name(node, symbol_of("named", node))
    uses = _uses(order, update.roots)
    late = dependents(order, [update.parameter.before, update.gradient])
    lines = []
    for node in order:
        inner = node.op in LEAVES or node.op in _MOVES or not node.dtype.is_float
        if inner or node in named or uses[node] < 2:
            continue
        limit = _SHORT if node in late else _SHORT_NUMBER
        if cost(translator.term(node)) > limit:
            lines.append(Line(names.free(_letter(update, node)), node))
            translator.name(node, symbol_of(lines[-1].name, node))
    return lines


def _letter(update: UpdateGraph, node: Node) -> str:
    """Name a shared node: m′ of a state that some steps keep, G of gradients, else d, and c for numbers."""
    for slot in update.slots:
        kept = slot.after.op is Op.WHERE and node in slot.after.sources
        moved = node.op is Op.ADD and slot.before in node.sources
        if kept or (moved and slot is update.parameter):
            return slot.name + "'"
    below = topological([node])
    states = {slot.before for slot in update.states}
    if update.gradient in below:
        return "d" if states & set(below) else "G"
    return "d" if node.shape == update.gradient.shape != () else "c"


def _uses(order: Sequence[Node], roots: Sequence[Node]) -> dict[Node, int]:
    """Return how often each node is read, where casts and movement count as their readers."""
    uses = dict.fromkeys(order, 0)
    for root in roots:
        uses[root] += 1
    for node in reversed(order):
        for source in dict.fromkeys(node.sources):
            uses[source] += uses[node] if node.op in _MOVES else 1
    return uses


def _link(lines: Sequence[Line], given: set[Node]) -> None:
    """Note which inputs and other lines each line reads; the second line of one node reads the first."""
    stops = {line.node for line in lines} | given
    first: set[Node] = set()
    for line in lines:
        if line.node in given or line.node in first:
            line.reads, line.copies = frozenset([line.node]), True
            continue
        first.add(line.node)
        below = topological(line.node.sources, stops)
        line.reads = frozenset(node for node in below if node in stops)


def scheduled(lines: Sequence[Line]) -> tuple[list[Line], list[Slot]]:
    """Return the lines in an order that can be carried out, and the slots that keep their old value to the end."""
    primed: list[Slot] = []
    while True:
        done: list[Line] = []
        pending = list(lines)
        while pending:
            ready = next((x for x in pending if _can_follow(x, pending, primed)), None)
            if ready is None:
                break
            pending.remove(ready)
            done.append(ready)
        if not pending:
            return done, primed
        primed.append(next(x.slot for x in pending if x.slot and x.slot not in primed))


def _can_follow(line: Line, pending: Sequence[Line], primed: Sequence[Slot]) -> bool:
    """Whether a line may be next: its operands are computed, and no pending line reads the value that it overwrites."""
    others = [other for other in pending if other is not line]
    if any(other.node in line.reads and not other.copies for other in others):
        return False
    if line.slot is None or line.slot in primed:
        return True
    return not any(line.slot.before in other.reads for other in others)
