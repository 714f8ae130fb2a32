"""Losses written by hand, recognised as the losses that they are: −Σ y log softmax(z), binary cross-entropy, ‖ŷ − y‖².

The loss is rewritten with the named function, whose derivative is the textbook's ŷ − y. The value is the same, so a
proof of the rewritten loss against the one that was given holds for both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES, Op
from deltarule.graph.rewrite import rewrite
from deltarule.graph.walk import dependents, topological

_MOVES = frozenset({Op.RESHAPE, Op.BROADCAST, Op.CAST})
Factor = Callable[[Node], Node]


@dataclass(frozen=True)
class Rewritten:
    """A loss with named functions, and names of its nodes."""

    loss: Node
    names: Mapping[Node, str]


def with_named_losses(
    loss: Node, wrt: Sequence[Node], names: Mapping[Node, str]
) -> Rewritten:
    """Return a loss in which losses written by hand are calls of the named ones.

    The loss itself where a variable or a named signal would be lost, other than the output that the named loss has too.
    """
    order = topological([loss])
    search = _Search(dependents(order, wrt), names)
    (found,) = rewrite([loss], search.rule)
    if found is loss:
        return Rewritten(loss, names)
    below = set(topological([found])) | set(search.outputs.values())
    renamed = {search.outputs.get(node, node): name for node, name in names.items()}
    was = set(order)
    lost = [node for node in renamed if node not in below and node in was]
    if lost or not set(wrt) <= set(topological([found])):
        return Rewritten(loss, names)
    return Rewritten(found, renamed)


class _Search:
    """Rules from losses written by hand to named ones; ``outputs`` maps softmax and σ by hand to the functions."""

    def __init__(self, varying: Collection[Node], names: Collection[Node]) -> None:
        self._varying = varying
        self._names = names
        self.outputs: dict[Node, Node] = {}

    def rule(self, node: Node) -> Node | None:
        """Return an equal node that calls a named loss."""
        if node.op is Op.SUM or node.op is Op.MATMUL:
            return self._cross_entropy(node) or self._square(node)
        if node.op in {Op.ADD, Op.SUBTRACT}:
            return self._binary_cross_entropy(node)
        if node.op in {Op.LOG, Op.SLICE, Op.RESHAPE}:
            return self._picked(node)
        return None

    # ---------------------------------------------------------------- cross-entropy

    def _cross_entropy(self, node: Node) -> Node | None:
        """Rewrite Σ y log softmax(z) over the classes, and over the examples perhaps."""
        term = _weighted(node)
        if term is None or term.axes is None:
            return None
        for target, logarithm in ((term.left, term.right), (term.right, term.left)):
            logits = self._log_softmax(logarithm)
            last = logarithm.rank - 1
            if logits is None or last not in term.axes or not self._is_target(target):
                continue
            if target.shape != logits.shape:
                continue
            losses = build.negate(f.cross_entropy(logits, target))
            rest = [axis for axis in term.axes if axis != last]
            whole = build.sum_over(losses, rest) if rest else losses
            return build.reshape(term.scaled(whole), node.shape)
        return None

    def _is_target(self, node: Node) -> bool:
        return node.op is Op.INPUT and node not in self._varying

    def _log_softmax(self, node: Node) -> Node | None:
        """Return z of log softmax(z) along the last axis."""
        if _calls(node, "log_softmax") and _along_last(node):
            return node.sources[0]
        if node.op is Op.LOG:
            return self._softmax(node.sources[0])
        if node.op is Op.SUBTRACT:
            scores, total = node.sources
            inner = _column(total, scores.shape)
            if inner is None:
                return None
            if _calls(inner, "logsumexp"):
                same = inner.sources[0] is scores and _along_last(inner)
                return scores if same else None
            if inner.op is Op.LOG and _sum_of_last(inner.sources[0]) is not None:
                summed = _sum_of_last(inner.sources[0])
                exponential = summed is not None and summed.op is Op.EXP
                if exponential and summed is not None and summed.sources[0] is scores:
                    return scores
        return None

    def _softmax(self, node: Node) -> Node | None:
        """Return z of softmax(z) along the last axis, also of eᶻ/Σeᶻ."""
        if _calls(node, "softmax") and _along_last(node):
            scores = node.sources[0]
            self.outputs[node] = f.softmax(scores, axis=scores.rank - 1)
            return scores
        if node.op is not Op.DIVIDE:
            return None
        above, below = node.sources
        inner = _column(below, above.shape)
        if above.op is not Op.EXP or inner is None or _sum_of_last(inner) is not above:
            return None
        scores = above.sources[0]
        self.outputs[node] = f.softmax(scores, axis=scores.rank - 1)
        return scores

    def _picked(self, node: Node) -> Node | None:
        """Rewrite log softmax(z)[k] of one vector, before or after the logarithm."""
        inner = node.sources[0] if node.op is Op.LOG else node
        place = _entry(inner)
        if place is None or node.shape != ():
            return None
        vector, index = place
        logits = (
            self._softmax(vector) if node.op is Op.LOG else self._log_softmax(vector)
        )
        if logits is None:
            return None
        label = build.constant(index)
        return build.negate(f.cross_entropy_of_labels(logits, label))

    # ---------------------------------------------------------------- binary cross-entropy

    def _binary_cross_entropy(self, node: Node) -> Node | None:
        """Rewrite y log a + (1 − y) log(1 − a) with a = σ(z), entry by entry or summed."""
        first, second = (_weighted(source) for source in node.sources)
        if first is None or second is None or first.axes != second.axes:
            return None
        if node.op is Op.SUBTRACT:
            second = second.times(-1.0)
        if first.factor != second.factor:
            return None
        for right, wrong in ((first, second), (second, first)):
            for y, other in ((right.left, right.right), (right.right, right.left)):
                logits = self._of_pair(y, other, wrong)
                if logits is not None:
                    each = build.negate(f.binary_cross_entropy(logits, y))
                    whole = (
                        each if first.axes is None else build.sum_over(each, first.axes)
                    )
                    return build.reshape(first.scaled(whole), node.shape)
        return None

    def _of_pair(self, y: Node, logarithm: Node, wrong: _Weighted) -> Node | None:
        """Return z if the terms are y log σ(z) and (1 − y) log(1 − σ(z))."""
        if logarithm.op is not Op.LOG or y in self._varying:
            return None
        output = logarithm.sources[0]
        logits = self._sigmoid(output)
        if logits is None or y.shape != logits.shape:
            return None
        for weight, other in ((wrong.left, wrong.right), (wrong.right, wrong.left)):
            if _is_complement(weight, y) and _is_log_of_complement(other, output):
                return logits
        return None

    def _sigmoid(self, node: Node) -> Node | None:
        """Return z of σ(z), also of 1/(1 + e⁻ᶻ)."""
        if _calls(node, "sigmoid"):
            self.outputs[node] = node
            return node.sources[0]
        if node.op is not Op.DIVIDE or _value(node.sources[0]) != 1:
            return None
        below = node.sources[1]
        if below.op is not Op.ADD:
            return None
        for one, power in (below.sources, below.sources[::-1]):
            if _value(one) == 1 and power.op is Op.EXP:
                inner = power.sources[0]
                logits = (
                    inner.sources[0] if inner.op is Op.NEGATE else build.negate(inner)
                )
                self.outputs[node] = f.sigmoid(logits)
                return logits
        return None

    # ---------------------------------------------------------------- squared error

    def _square(self, node: Node) -> Node | None:
        """Rewrite eᵀe of a difference e = ŷ − y as the sum of its squares."""
        if node.op is not Op.MATMUL or node.shape != (1, 1):
            return None
        left, right = (_vector(source) for source in node.sources)
        if left is None or left is not right or left.op is not Op.SUBTRACT:
            return None
        fixed = [source not in self._varying for source in left.sources]
        if left in self._names or sum(fixed) != 1:
            return None
        return build.reshape(build.sum_over(build.multiply(left, left)), (1, 1))


@dataclass(frozen=True)
class _Weighted:
    """factor · Σ left ⊙ right over axes; ``axes`` is None without a sum."""

    factor: float
    left: Node
    right: Node
    axes: tuple[int, ...] | None = None

    def times(self, factor: float) -> _Weighted:
        return _Weighted(self.factor * factor, self.left, self.right, self.axes)

    def scaled(self, node: Node) -> Node:
        """Return factor · node."""
        if self.factor == -1:
            return build.negate(node)
        return node if self.factor == 1 else build.multiply(node, self.factor)


def _weighted(node: Node) -> _Weighted | None:
    """Return a product of two arrays, or a sum of it, with numbers around it taken out."""
    if node.op is Op.NEGATE:
        inner = _weighted(node.sources[0])
        return inner and inner.times(-1.0)
    if node.op is Op.SUM:
        inner = _weighted(node.sources[0])
        if inner is None or inner.axes is not None:
            return None
        axes = tuple(node.attributes["axes"])
        return _Weighted(inner.factor, inner.left, inner.right, axes)
    if node.op in {Op.RESHAPE, Op.MATMUL}:
        return _inner_product(node)
    if node.op is Op.DIVIDE:
        divisor = _value(node.sources[1])
        inner = _weighted(node.sources[0]) if divisor else None
        return inner.times(1 / divisor) if inner and divisor else None
    if node.op is not Op.MULTIPLY:
        return None
    for number, other in (node.sources, node.sources[::-1]):
        value = _value(number)
        if value is not None:
            inner = _weighted(other)
            return inner and inner.times(value)
    left, right = node.sources
    (a, left), (b, right) = _without_sign(left), _without_sign(right)
    return _Weighted(a * b, left, right)


def _inner_product(node: Node) -> _Weighted | None:
    """Return uᵀv of two vectors."""
    while node.op is Op.RESHAPE and node.shape in {(), (1, 1)}:
        node = node.sources[0]
    if node.op is not Op.MATMUL or node.shape != (1, 1):
        return None
    left, right = (_vector(source) for source in node.sources)
    if left is None or right is None:
        return None
    (a, left), (b, right) = _without_sign(left), _without_sign(right)
    return _Weighted(a * b, left, right, (0,))


def _without_sign(node: Node) -> tuple[float, Node]:
    return (-1.0, node.sources[0]) if node.op is Op.NEGATE else (1.0, node)


def _vector(node: Node) -> Node | None:
    """Return the vector that was reshaped to a row or a column."""
    inner = node
    while inner.op in {Op.RESHAPE, Op.PERMUTE} and inner.rank == 2:
        inner = inner.sources[0]
    return inner if inner.rank == 1 else None


def _calls(node: Node, function: str) -> bool:
    return node.op is Op.CALL and node.attributes["function"] == function


def _along_last(node: Node) -> bool:
    source = node.sources[0]
    axis = node.attributes["axis"]
    return isinstance(axis, int) and axis % source.rank == source.rank - 1


def _column(node: Node, shape: Sequence[object]) -> Node | None:
    """Return what is repeated along the last axis to a shape."""
    if node.op is not Op.BROADCAST:
        return None
    inner = node.sources[0]
    if inner.rank == 0:
        return inner if len(shape) == 1 else None
    if inner.shape != (*shape[:-1], 1):
        return None
    return inner.sources[0] if inner.op is Op.RESHAPE else inner


def _sum_of_last(node: Node) -> Node | None:
    """Return what is summed over its last axis."""
    if node.op is Op.RESHAPE and node.shape[-1:] == (1,):
        node = node.sources[0]
    if node.op is not Op.SUM or node.attributes["axes"] != (node.sources[0].rank - 1,):
        return None
    return node.sources[0]


def _value(node: Node) -> float | None:
    """Return the number that a constant array is filled with."""
    while node.op in _MOVES:
        node = node.sources[0]
    return float(node.attributes["value"]) if node.op is Op.CONSTANT else None


def _is_complement(node: Node, of: Node) -> bool:
    """Whether a node is 1 − x."""
    one = node.op is Op.SUBTRACT and _value(node.sources[0]) == 1
    return one and node.sources[1] is of


def _is_log_of_complement(node: Node, of: Node) -> bool:
    """Whether a node is log(1 − x)."""
    if node.op is Op.LOG:
        return _is_complement(node.sources[0], of)
    negated = node.op is Op.LOG1P and node.sources[0].op is Op.NEGATE
    return negated and node.sources[0].sources[0] is of


def _entry(node: Node) -> tuple[Node, int] | None:
    """Return a vector and the place of the one entry that is taken of it."""
    inner = node
    while inner.op is Op.RESHAPE and inner.op not in LEAVES:
        inner = inner.sources[0]
    if inner.op is not Op.SLICE or inner.sources[0].rank != 1 or inner.shape != (1,):
        return None
    return inner.sources[0], int(inner.attributes["starts"][0])


def written_size(node: Node, named: Collection[Node]) -> int:
    """Return how many operations a formula has in which only the named nodes are abbreviated."""
    sizes: dict[Node, int] = dict.fromkeys(named, 1)
    for part in topological([node], frozenset(named)):
        if part not in sizes:
            sizes[part] = 1 + sum(sizes[source] for source in part.sources)
    return sizes[node]
