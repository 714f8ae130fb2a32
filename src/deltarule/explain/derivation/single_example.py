"""From the loss of a batch to that of one example: the same graph without the batch axis.

A batch loss is a mean (or a sum) of losses that each read one example, J = 1/N Σᵢ L⁽ⁱ⁾, perhaps with a penalty that
depends on none. Operations that mix examples, such as batch normalisation in training, have no such form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node, intern
from deltarule.graph.op import ELEMENTWISE, LEAVES, Op
from deltarule.graph.walk import inputs, topological
from deltarule.shapes import Dimension, Size

HINT: Final = 'Use batch="matrices": the whole batch in matrices.'
_POOLS = frozenset({"max_pool", "average_pool"})

_OVER_AXES: Final[
    Mapping[Op, Callable[[Node, Sequence[int]], Node]]
] = {  # the axes are those of the batch
    Op.SUM: lambda x, axes: build.sum_over(x, [axis - 1 for axis in axes]),
    Op.MAX: lambda x, axes: build.maximum_over(x, [axis - 1 for axis in axes]),
    Op.CUMULATIVE_SUM: lambda x, axes: build.cumulative_sum(x, axes[0] - 1),
}


def _axes(node: Node) -> tuple[int, ...]:
    """Return the axes that a reduction or a scan runs along."""
    along = node.attributes
    return tuple(along["axes"]) if "axes" in along else (along["axis"],)


@dataclass(frozen=True)
class OneExample:
    """The loss of one example; ``inputs`` maps inputs of the batch to those of the example, ``size`` is N.

    >>> from deltarule.graph import build
    >>> X, w = build.input_node("X", (4, 3)), build.input_node("w", (3,))
    >>> example = one_example(build.divide(build.sum_over(build.matmul(X, w)), 4), [w])
    >>> example.size, example.mean
    (4, True)
    """

    loss: Node
    inputs: Mapping[Node, Node]
    size: Size
    mean: bool  # J is the mean of the losses, else their sum


def one_example(loss: Node, wrt: Sequence[Node]) -> OneExample:
    """Return the loss of one example of a batch; the batch is the first axis of the inputs that are no variables.

    Raises:
        GraphError: no input with an axis of examples, or a step that mixes them; the message names it.

    >>> from deltarule.graph import build
    >>> X, w = build.input_node("X", (4, 3)), build.input_node("w", (3,))
    >>> example = one_example(build.sum_over(build.matmul(X, w)), [w])
    >>> [node.shape for node in example.inputs.values()]
    [(3,)]
    """
    data = [node for node in inputs([loss]) if node not in wrt and node.rank]
    unknown = [node.shape[0] for node in data if isinstance(node.shape[0], Dimension)]
    sizes = (
        unknown
        or [node.shape[0] for node in data if node.rank > 1]
        or [node.shape[0] for node in data]
    )
    if not sizes:
        raise GraphError(
            "one example",
            expected="data with an axis of examples",
            got="no such input",
            hint=HINT,
        )
    size = max(sizes, key=sizes.count)
    batched = [node for node in data if node.shape[0] == size]
    return _Unbatched(loss, batched, size).result()


@dataclass
class _Unbatched:
    """Translated nodes: those in ``rows`` have no batch axis, those in ``summed`` are sums over the examples."""

    loss: Node
    batched: Sequence[Node]
    size: Size
    rows: dict[Node, Node] = field(default_factory=dict)
    summed: dict[Node, tuple[Node, bool]] = field(
        default_factory=dict
    )  # the term of one example, whether divided by N

    def result(self) -> OneExample:
        found = {
            node: build.input_node(_small(node, self.loss), node.shape[1:], node.dtype)
            for node in self.batched
        }
        self.rows.update(found)
        for node in topological([self.loss]):
            if node in self.rows or node.op in LEAVES:
                continue
            if any(source in self.summed for source in node.sources):
                self.summed[node] = self._above(node)
            elif any(source in self.rows for source in node.sources):
                self._below(node)
        if self.loss not in self.summed:
            self._refuse(self.loss, "a mean or a sum over the examples")
        term, mean = self.summed[self.loss]
        return OneExample(term, found, self.size, mean)

    def _refuse(self, node: Node, expected: str) -> None:
        raise GraphError(
            "one example", expected=expected, got=build.describe(node), hint=HINT
        )

    # ---------------------------------------------------------------- above the sum over the examples

    def _above(self, node: Node) -> tuple[Node, bool]:
        """Return the term of one example of something linear in the sum, and whether it has been divided by N."""
        known = [self.summed.get(source) for source in node.sources]
        means = [mean for pair in known if pair is not None for mean in (pair[1],)]
        terms = [
            source if pair is None else pair[0]
            for pair, source in zip(known, node.sources, strict=True)
        ]
        if node.op in {Op.NEGATE, Op.CAST, Op.RESHAPE}:
            return intern(
                node.op, tuple(terms), dict(node.attributes), node.shape, node.dtype
            ), means[0]
        if node.op is Op.DIVIDE and known[1] is None:
            divisor, left = self._without_size(node.sources[1])
            if left and means[0]:
                self._refuse(node, "one division by the number of examples")
            return build.divide(terms[0], divisor), means[0] or left
        if node.op is Op.MULTIPLY and len(means) == 1:
            return build.multiply(*terms), means[0]
        if (
            node.op in {Op.ADD, Op.SUBTRACT}
            and (len(means) == 2 or all(means))
            and len(set(means)) == 1
        ):
            return intern(
                node.op, tuple(terms), dict(node.attributes), node.shape, node.dtype
            ), means[0]
        self._refuse(node, "a mean over the examples, with a penalty beside it at most")
        return terms[0], False

    def _without_size(self, node: Node) -> tuple[Node, bool]:
        """Return a divisor without the number of examples, and whether it was in there."""
        if node.op is Op.DIMENSION and node.attributes["dimension"] == self.size:
            return build.constant(1, node.dtype), True
        if node.op is Op.CONSTANT and isinstance(self.size, int):
            value = float(node.attributes["value"])
            whole = self.size > 1 and value % self.size == 0
            return (
                (build.constant(value / self.size, node.dtype), True)
                if whole
                else (node, False)
            )
        if node.op is Op.MULTIPLY:
            left, right = node.sources
            (a, in_left), (b, in_right) = (
                self._without_size(left),
                self._without_size(right),
            )
            return build.multiply(a, b), in_left or in_right
        return node, False

    # ---------------------------------------------------------------- below it

    def _below(self, node: Node) -> None:
        """Take the first axis of a node away, or note a sum over it."""
        if node.op is Op.SUM and 0 in node.attributes["axes"]:
            rest = tuple(axis - 1 for axis in node.attributes["axes"] if axis)
            row = self.rows[node.sources[0]]
            self.summed[node] = (build.sum_over(row, rest) if rest else row, False)
            return
        if not node.rank or node.shape[0] != self.size:
            self._refuse(node, "steps that keep the axis of the examples")
        self.rows[node] = self._row(node)

    def _lost(self, node: Node) -> Node:
        """Return an operand of an element-wise step without the first axis; one that all examples share as well."""
        if node in self.rows:
            return self.rows[node]
        if node.rank and node.op is Op.BROADCAST:
            (source,) = node.sources
            if source.rank == node.rank and source.shape[0] == 1:
                source = build.reshape(source, source.shape[1:])
            if source.rank < node.rank:
                return build.broadcast_to(source, node.shape[1:])
        if node.op is Op.IOTA and node.attributes["axis"]:
            return build.iota(node.shape[1:], node.attributes["axis"] - 1, node.dtype)
        if node.op in ELEMENTWISE:
            sources = tuple(self._lost(source) for source in node.sources)
            return intern(
                node.op, sources, dict(node.attributes), node.shape[1:], node.dtype
            )
        self._refuse(node, "values that do not differ from example to example")
        return node

    def _row(self, node: Node) -> Node:
        given, sources = node.attributes, node.sources
        x = self.rows.get(sources[0], sources[0])
        if node.op in ELEMENTWISE:
            return self._lost(node)
        if node.op is Op.CALL:
            return self._call(node)
        if node.op is Op.MATMUL:
            return self._product(node)
        if node.op is Op.BROADCAST:
            return build.broadcast_to(x, node.shape[1:])
        if node.op is Op.RESHAPE and sources[0].shape[0] == self.size:
            return build.reshape(x, node.shape[1:])
        if node.op is Op.PERMUTE and given["order"][0] == 0:
            return build.permute(x, tuple(axis - 1 for axis in given["order"][1:]))
        if node.op in _OVER_AXES and 0 not in _axes(node):
            return _OVER_AXES[node.op](x, _axes(node))
        if node.op is Op.SLICE and node.shape[0] == sources[0].shape[0]:
            return build.slice_axes(
                x, given["starts"][1:], given["stops"][1:], given["steps"][1:]
            )
        if node.op is Op.CONCATENATE and given["axis"]:
            return build.concatenate(
                [self._lost(source) for source in sources], given["axis"] - 1
            )
        if node.op is Op.GATHER and sources[0] not in self.rows and given["axis"] == 0:
            return build.gather(sources[0], self.rows[sources[1]], 0)
        if node.op is Op.CONVOLVE and sources[1] not in self.rows:
            one = build.reshape(x, (1, *x.shape))
            return build.reshape(
                intern(
                    node.op,
                    (one, sources[1]),
                    dict(given),
                    (1, *node.shape[1:]),
                    node.dtype,
                ),
                node.shape[1:],
            )
        self._refuse(node, "steps that treat every example by itself")
        return node

    def _product(self, node: Node) -> Node:
        """Return Wx for a row xᵀWᵀ of XWᵀ."""
        left, right = node.sources
        if left in self.rows and right in self.rows and left.rank > 2:
            return build.matmul(self.rows[left], self.rows[right])
        if left not in self.rows or right in self.rows or right.rank != 2:
            self._refuse(node, "the examples as the rows of the left factor")
        if left.rank > 2:
            return build.matmul(self.rows[left], right)
        turned = right.op is Op.PERMUTE and right.attributes["order"] == (1, 0)
        weight = right.sources[0] if turned else build.matrix_transpose(right)
        return build.matmul(weight, self.rows[left])

    def _call(self, node: Node) -> Node:
        name = str(node.attributes["function"])
        settings = {
            key: value for key, value in node.attributes.items() if key != "function"
        }
        make = getattr(f, name)
        if name in _POOLS:
            x = self.rows[node.sources[0]]
            return build.reshape(
                make(build.reshape(x, (1, *x.shape)), **settings), node.shape[1:]
            )
        axes = settings.get("axes", (settings["axis"],) if "axis" in settings else ())
        if 0 in axes:
            self._refuse(node, "steps that treat every example by itself")
        if "axes" in settings:
            settings["axes"] = tuple(axis - 1 for axis in axes)
        if "axis" in settings:
            settings["axis"] -= 1
        return make(*(self._lost(source) for source in node.sources), **settings)  # type: ignore[no-any-return]  # by name


def _small(node: Node, loss: Node) -> str:
    """Return the name of one row of X: x, unless that is taken."""
    name = str(node.attributes["name"])
    taken = {str(other.attributes["name"]) for other in inputs([loss])}
    lower = name[:1].lower() + name[1:]
    return name if lower in taken else lower
