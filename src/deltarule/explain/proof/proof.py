"""The proof of a derivation: every line evaluated in float64 at random points, away from kinks.

A line of the forward pass must equal the signal that it defines. A line of the backward pass must equal the
gradient that the engine computes, and ∂L/∂(signal) by central differences: along a random direction v,
(L(s + hv) − L(s − hv)) / 2h, extrapolated in h (Richardson 1911). The evaluator is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule import dtypes, shapes
from deltarule.explain.derivation.derivation import Derived, Layout, Line
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.formula.to_graph import difference, fitted, lower, lower_to
from deltarule.explain.proof.domains import Domain, domains
from deltarule.explain.proof.rounding import UNIT, Noisy
from deltarule.grad.check import largest
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import in_float64, specialise, substitute
from deltarule.graph.walk import inputs, topological
from deltarule.render.numbers import scientific
from deltarule.shapes import Dimension

Evaluate = Callable[[Sequence[Node], Mapping[Node, Any]], list[Any]]
Draw = Callable[[Node, Domain], Any]  # a random array of the node's shape and type
Stretch = Callable[[int, Any], Any]  # of the number of an input and its value
_STRETCHED = frozenset({"real", "positive"})
ENGINE_TOLERANCE = 1e-9
DIFFERENCE_TOLERANCE = 1e-6
_STEP = 1e-4
_KINK = 1e-6  # two step sizes disagree by more than this: the point is beside a kink
_BEND = (
    2e-3  # the slopes on both sides disagree by more than this: the point is on a kink
)
_JITTER = 0.1
_SIZE_OF_UNKNOWN = 4
_CALM: tuple[Stretch, ...] = (
    lambda _, value: 0.5 * value,
    lambda _, value: 0.2 * value,
)  # smaller values for lines of which no larger ones decided anything
_ROUNDINGS = 100.0  # rounding errors of this many standard deviations decide nothing
_MOST, _FEWEST, _BUDGET = 20, 4, 240  # points, and lines times points


@dataclass(frozen=True)
class CheckedLine:
    """A line of a derivation and the largest relative errors found: against central differences and the engine.

    >>> from deltarule.explain.explanation import derive
    >>> x = build.input_node("x", (3,))
    >>> (line,) = derive(build.sum_over(build.exp(x)), [x]).steps
    >>> CheckedLine(line, 1e-9, 1e-12, points=20).proved, CheckedLine(line, 1e-3, 1e-12, points=20).proved
    (True, False)
    """

    line: Line
    difference_error: float
    engine_error: float
    points: int

    @property
    def proved(self) -> bool:
        """Whether both errors are within tolerance at one point at least."""
        smooth = (
            self.line.kind == "forward" or self.difference_error <= DIFFERENCE_TOLERANCE
        )
        return self.points > 0 and smooth and self.engine_error <= ENGINE_TOLERANCE


@dataclass(frozen=True)
class CheckReport:
    """The result of evaluating every line; true when all lines are proved.

    >>> report = CheckReport((), (), 20)
    >>> bool(report), report.max_error
    (True, 0.0)
    """

    rows: tuple[CheckedLine, ...]
    labels: tuple[str, ...]
    points: int

    def __bool__(self) -> bool:
        return all(row.proved for row in self.rows)

    @property
    def max_error(self) -> float:
        """The largest relative error of any line against central differences or the engine."""
        return largest(
            error
            for row in self.rows
            for error in (row.difference_error, row.engine_error)
        )

    @property
    def summary(self) -> str:
        """One line: proved, or which lines are not."""
        backward = [row for row in self.rows if row.line.kind == "backward"]
        numeric = largest(row.difference_error for row in backward)
        engine = largest(row.engine_error for row in self.rows)
        if self:
            printed = sum(
                row.line.kind == "backward" and not label.endswith("closed")
                for label, row in zip(self.labels, self.rows, strict=True)
            )
            lines = "line" if printed == 1 else "lines"
            return (
                f"proved: {printed} {lines} at {self.points} random points in float64, largest relative error "
                f"{scientific(numeric)} (central differences), {scientific(engine)} (engine)"
            )
        failed = ", ".join(
            label
            for label, row in zip(self.labels, self.rows, strict=True)
            if not row.proved
        )
        return f"NOT proved: {failed}"

    def __str__(self) -> str:
        width = max((len(label) for label in self.labels), default=0)
        lines = [f"{'line':<{width}}  central differences  engine"]
        for label, row in zip(self.labels, self.rows, strict=True):
            numeric = (
                scientific(row.difference_error) if row.line.kind == "backward" else ""
            )
            mark = "" if row.proved else "  ✗"
            lines.append(
                f"{label:<{width}}  {numeric:<19}  {scientific(row.engine_error)}{mark}"
            )
        return "\n".join([*lines, self.summary])


class Precise:
    """Twins of nodes in float64 and with known sizes, and values for their inputs.

    >>> from deltarule.backends.reference import evaluate
    >>> x = build.input_node("x", (3,))
    >>> precise = Precise([build.exp(x)], evaluate, lambda node, domain: 0.0, build.sum_over(x))
    >>> [leaf.dtype.name for leaf in precise.inputs.values()]
    ['float64']
    """

    def __init__(
        self,
        roots: Sequence[Node],
        evaluate: Evaluate,
        draw: Draw,
        loss: Node,
        assumed: Mapping[Node, str] | None = None,
    ) -> None:
        self._evaluate = evaluate
        self._draw = draw
        self._domains = domains(loss, assumed)
        self._leaves = inputs(roots)
        self.sizes = sizes = {
            size: _SIZE_OF_UNKNOWN + i for i, size in enumerate(_unknown(self._leaves))
        }
        static = {node: _static(node, sizes) for node in self._leaves}
        fixed = specialise(roots, sizes, static) if sizes else list(roots)
        leaves = [static[node] if sizes else node for node in self._leaves]
        self.inputs = {leaf: _twin(leaf) for leaf in leaves}
        twins = in_float64(fixed, self.inputs)
        self._definite = {
            self.inputs[leaf]
            for leaf, own in zip(leaves, self._leaves, strict=True)
            if self._domains.get(own, Domain("real")).kind == "definite"
        }
        self._drawn = dict(
            zip(self._leaves, (self.inputs[leaf] for leaf in leaves), strict=True)
        )
        self._twins = {**self._drawn, **dict(zip(roots, twins, strict=True))}

    def __getitem__(self, node: Node) -> Node:
        return self._twins[node]

    def twin(self, node: Node) -> Node:
        """Return the twin of a node; one that has none is its own."""
        return self._twins.get(node, node)

    @property
    def leaves(self) -> list[Node]:
        """The inputs of which these are the twins."""
        return list(self._leaves)

    def __contains__(self, node: Node) -> bool:
        return node in self._twins

    def draw(self, stretch: Stretch | None = None) -> dict[Node, Any]:
        """Return random values for all inputs; ``stretch`` changes those that are only real or positive."""
        given = {}
        for place, (node, twin) in enumerate(self._drawn.items()):
            domain = self._domain(node)
            value = self._draw(twin, domain)
            if stretch is not None and domain.kind in _STRETCHED:
                value = stretch(place, value)
            given[twin] = value
        return given

    def _domain(self, node: Node) -> Domain:
        return self._domains.get(node, Domain("real"))

    def movable(self, twins: Sequence[Node]) -> list[Node]:
        """Return the twins of inputs, among some, that may take any real value."""
        found = set(twins)
        return [
            twin
            for node, twin in self._drawn.items()
            if twin in found and self._domain(node).kind == "real"
        ]

    def rounding(
        self, noisy: Noisy, graphs: Sequence[Node], given: Mapping[Node, Any]
    ) -> float:
        """Return how far rounding moves the values of graphs, about: the root mean square over three evaluations."""
        exact = self._evaluate(graphs, given)
        total = 0.0
        for _ in range(3):
            moved = noisy.values(self._evaluate, self._draw, given)
            for value, kept in zip(moved, exact, strict=True):
                total += float(((value - kept) ** 2).sum()) / 3
        return UNIT * math.sqrt(total) if math.isfinite(total) else math.inf

    def direction(self, node: Node) -> Any:
        """Return a random direction of a node's shape."""
        along = self._draw(
            build.input_node("direction", node.shape, dtypes.FLOAT64), Domain("real")
        )
        return along + along.T if node in self._definite else along

    def values(self, nodes: Sequence[Node], given: Mapping[Node, Any]) -> list[Any]:
        """Evaluate twins."""
        return self._evaluate(nodes, given)

    def numbers(self, nodes: Sequence[Node], given: Mapping[Node, Any]) -> list[float]:
        """Evaluate scalar twins."""
        return [float(value) for value in self._evaluate(nodes, given)]


def _unknown(leaves: Sequence[Node]) -> list[Dimension]:
    return list(
        dict.fromkeys(
            size
            for node in leaves
            for size in node.shape
            if isinstance(size, Dimension)
        )
    )


def _static(node: Node, sizes: Mapping[Dimension, int]) -> Node:
    if shapes.is_static(node.shape):
        return node
    shape = tuple(sizes.get(size, size) for size in node.shape)
    return build.input_node(str(node.attributes["name"]), shape, node.dtype)


def _twin(node: Node) -> Node:
    if not node.dtype.is_float or node.dtype is dtypes.FLOAT64:
        return node
    return build.input_node(str(node.attributes["name"]), node.shape, dtypes.FLOAT64)


def check(
    derived: Derived,
    lines: Sequence[Line],
    labels: Sequence[str],
    evaluate: Evaluate,
    draw: Draw,
    points: int | None = None,
    closed: int = 0,
) -> CheckReport:
    """Evaluate every line, as it is printed, at random points and compare.

    Without ``points``, 20 of them, and fewer where there are many lines. The last ``closed`` lines repeat derivatives
    in another form and are compared with the engine only.
    """
    wanted = points or max(_FEWEST, min(_MOST, _BUDGET // max(1, len(lines) - closed)))
    formulas = lowered(lines, derived.layout)
    roots = list(
        dict.fromkeys(
            [
                derived.loss,
                *(n for line in lines for n in (line.node, line.value)),
                *formulas,
            ]
        )
    )
    precise = Precise(roots, evaluate, draw, derived.loss, derived.assumed)
    work = [
        _Work(
            line,
            precise[formula],
            precise,
            derived,
            moved=line.kind == "backward" and i < len(lines) - closed,
        )
        for i, (line, formula) in enumerate(zip(lines, formulas, strict=True))
    ]
    for turn in range((3 + len(_CALM)) * wanted):
        calm = turn // wanted - 3
        enough = wanted if calm < 0 else 1
        waiting = [item for item in work if item.points < enough]
        if not waiting:
            break
        given = precise.draw(None if calm < 0 else _CALM[calm])
        gaps = precise.numbers([item.gap for item in waiting], given)
        for item, gap in zip(waiting, gaps, strict=True):
            item.measure(given, gap)
    rows = tuple(
        CheckedLine(w.line, w.difference_error, w.engine_error, w.points) for w in work
    )
    return CheckReport(rows, tuple(labels), min((w.points for w in work), default=0))


def lowered(lines: Sequence[Line], layout: Layout) -> list[Node]:
    """Return the graph of each line in the shape of its value; lines in numerator layout are turned back.

    >>> from deltarule.explain.explanation import derive
    >>> x = build.input_node("x", (3,))
    >>> lowered(derive(build.sum_over(build.exp(x)), [x]).steps, "denominator")
    [<reshape (3) float32>]
    """
    if layout == "denominator":
        return [lower_to(line.term, line.value) for line in lines]
    rows = {line.alias: line.alias.node for line in lines if line.alias is not None}
    turned = {
        alias: build.permute(_matrix(node), (1, 0))
        for alias, node in rows.items()
        if len(alias.shape) == 2
    }
    found = []
    for line in lines:
        kind = line.value.dtype if line.value.dtype.is_float else dtypes.FLOAT64
        node = lower(line.term, kind, turned if line.kind == "backward" else None)
        back = line.kind == "backward" and node.rank == 2
        found.append(
            fitted(
                build.matrix_transpose(node) if back else node,
                line.value.shape,
                line.value.dtype,
            )
        )
    return found


def _matrix(node: Node) -> Node:
    return build.reshape(node, matrix_shape(node.shape))


class _Work:
    """One line under examination; ``moved``: its node is moved for central differences."""

    def __init__(
        self, line: Line, formula: Node, precise: Precise, derived: Derived, moved: bool
    ) -> None:
        self.line = line
        self.difference_error = 0.0
        self.engine_error = 0.0
        self.points = 0
        self.gap = difference(formula, precise[line.value])
        self._size = build.sum_over(
            build.absolute(build.cast(precise[line.value], dtypes.FLOAT64))
        )
        self._whole = precise[derived.loss]
        self._precise = precise
        self._moves = moved
        self._noisy: dict[Node, Noisy] = {}
        self._node = precise[line.node]
        self._moved = build.input_node("moved", self._node.shape, self._node.dtype)
        self._direction = build.input_node("direction", formula.shape, formula.dtype)
        if moved:
            held = {
                node: node
                for node in topological([precise[derived.loss]])
                if node.op is Op.STOP_GRADIENT
            }
            (self._loss,) = substitute(
                [precise[derived.loss]], {**held, self._node: self._moved}
            )
            (freed,) = substitute([formula], {**held, self._node: self._moved})
            self._slope = build.sum_over(build.multiply(freed, self._direction))

    def measure(self, given: Mapping[Node, Any], gap: float) -> None:
        """Note both errors at a point, unless it is beside a kink or outside the domain."""
        if not math.isfinite(gap):
            if all(
                map(
                    math.isfinite,
                    self._precise.numbers([self._whole, self._size], given),
                )
            ):
                self.engine_error = (
                    math.nan
                )  # within the domain the engine has a value where the line has none
            return
        error: float | None = 0.0
        if self._moves:
            (here,) = self._precise.values([self._node], given)
            error = self._along(given, here)
            if (
                error is None and self._node.sources
            ):  # a signal at a kink, such as two zeros in one pooling window
                error = self._along(
                    given, here + _JITTER * self._precise.direction(self._node)
                )
            if (
                error is None and self._node.sources
            ):  # close to where a root or a logarithm ends
                error = self._along(given, here + 1.0)
        if error is not None and not self._rounding_explains(given, gap):
            self.points += 1
            self.difference_error = largest([self.difference_error, error])
            self.engine_error = largest([self.engine_error, gap])

    def _along(self, given: Mapping[Node, Any], here: Any) -> float | None:
        """Return the error along a random direction at a value of the line's node, or None beside a kink."""
        along = self._precise.direction(self._node)
        (slope,) = self._precise.numbers(
            [self._slope], {**given, self._moved: here, self._direction: along}
        )

        def loss(step: float) -> float:
            return self._precise.numbers(
                [self._loss], {**given, self._moved: here + step * along}
            )[0]

        far, near, middle = (
            (loss(_STEP), loss(-_STEP)),
            (loss(_STEP / 2), loss(-_STEP / 2)),
            loss(0.0),
        )
        wide, narrow = (far[0] - far[1]) / (2 * _STEP), (near[0] - near[1]) / _STEP
        bend = abs(far[0] - 2 * middle + far[1]) / _STEP  # the slopes on both sides
        scale = max(1.0, abs(wide), abs(narrow), abs(slope))
        if not all(map(math.isfinite, (slope, wide, narrow, bend))):
            return None
        if abs(wide - narrow) > _KINK * scale or bend > _BEND * scale:
            return None
        error = abs((4 * narrow - wide) / 3 - slope) / scale
        if error > DIFFERENCE_TOLERANCE:
            rounding = self._rounding([self._loss], {**given, self._moved: here})
            if error * scale <= _ROUNDINGS * rounding / _STEP:
                return None
        return error

    def _rounding_explains(self, given: Mapping[Node, Any], gap: float) -> bool:
        """Whether rounding alone may cause the difference between a line and the engine."""
        if gap <= ENGINE_TOLERANCE:
            return False
        return gap <= _ROUNDINGS * self._rounding([self.gap], given)

    def _rounding(self, graphs: Sequence[Node], given: Mapping[Node, Any]) -> float:
        """Return how far rounding moves a number, about."""
        key = graphs[0]
        if key not in self._noisy:
            self._noisy[key] = Noisy(graphs)
        return self._precise.rounding(self._noisy[key], graphs, given)
