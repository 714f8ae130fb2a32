"""The computational graph of a derivation as SVG: values of the forward pass above the edges, gradients below.

Inputs are on the left, the loss on the right; each signal is drawn at its depth. An edge that skips columns has a
separate lane in each of them, so that no edge crosses a box; right of every box there is a straight segment for its
label, and edges bend only behind it. Without numbers the labels are the names of the signals and their derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from deltarule.explain.derivation.derivation import Derived, Line
from deltarule.explain.formula.term import symbols
from deltarule.explain.formula.typeset import symbol, typeset
from deltarule.explain.page.numeric_example import Example, number
from deltarule.explain.page.page import columns, size
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text

_ROW, _HEIGHT, _MARGIN, _BEND = (
    72,
    44,
    20,
    56,
)  # pixels; edges turn in the last _BEND of a gap
_LETTER, _SMALL = 8.0, 6.2  # pixels of a letter of a label, of a formula
_LONGEST = 24  # letters of a formula in a box
_INKS = "--formula:#555;--forward:#00573f;--gradient:#b8371b;"
_LIGHT_INKS = "--formula:#aaa;--forward:#56c6a3;--gradient:#f0937d;"
# The text colour is inherited from the page; a stand-alone file (:root) sets its background. See render.svg.document.
_STYLE = (
    f".dr-graph{{{_INKS}max-width:100%;height:auto}}"
    f"[data-jp-theme-light=false] .dr-graph,.vscode-dark .dr-graph{{{_LIGHT_INKS}}}"
    ".dr-graph:root{background:#fff;color:#1a1a1a}"
    f"@media (prefers-color-scheme:dark){{.dr-graph:root{{background:#16181c;color:#eee;{_LIGHT_INKS}}}}}"
    ".dr-graph text{font:13px system-ui,sans-serif;fill:currentColor}"
    ".dr-graph .formula{font-size:10px;fill:var(--formula)}.dr-graph .forward{fill:var(--forward)}"
    ".dr-graph .gradient{fill:var(--gradient)}"
    ".dr-graph rect{fill:currentColor;fill-opacity:.06;stroke:currentColor;stroke-opacity:.6}"
    ".dr-graph path{stroke:currentColor;stroke-opacity:.6;fill:none;stroke-width:1.2}"
    ".dr-graph .tip{fill:currentColor;fill-opacity:.6;stroke:none}"
)
_MOST = 4  # numbers of an array written at an edge


@dataclass(frozen=True)
class _Box:
    """A node with what is written in it and at its edges."""

    node: Node
    name: str
    formula: str
    above: str
    below: str
    column: int


_Place = tuple[Node, int]  # a box, or the lane of its edges in a later column


def svg(derived: Derived, example: Example | None = None) -> str:
    """Draw the graph; with an example the edges are labelled with its numbers.

    >>> from deltarule.explain.explanation import derive
    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> svg(derive(build.sum_over(build.exp(x)), [x]).derived)[:4]
    '<svg'
    """
    boxes, edges = _boxes(derived, example)
    drawing = _Drawing(boxes, edges)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        f'width="{drawing.width:g}" height="{drawing.height:g}" role="img" class="dr-graph" '
        'aria-label="computational graph">'
        f"<style>{_STYLE}</style>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
    ]
    parts += [drawing.edge(source, target) for source, target in edges]
    parts += [drawing.box(box) for box in boxes.values()]
    return "\n".join([*parts, "</svg>"])


def _boxes(
    derived: Derived, example: Example | None
) -> tuple[dict[Node, _Box], list[tuple[Node, Node]]]:
    """Give each input and signal a column by its depth; inputs stand just before their first reader."""
    reads = {
        line.node: [s.node for s in symbols(line.term)] for line in derived.forward
    }
    depth: dict[Node, int] = {}
    for line in derived.forward:
        depth[line.node] = 1 + max(
            (depth.get(node, 0) for node in reads[line.node]), default=0
        )
    first: dict[Node, int] = {}
    for line in derived.forward:
        for node in reads[line.node]:
            if node not in reads:
                first[node] = min(
                    first.get(node, depth[line.node] - 1), depth[line.node] - 1
                )
    gradients = {line.node: line for line in derived.backward}
    boxes: dict[Node, _Box] = {}
    for symbol_ in derived.inputs:
        if symbol_.node in first and (
            symbol_.node.shape or symbol_.node.dtype.is_float
        ):  # no seeds, no counters
            name, below = (
                to_text(symbol(symbol_.name)),
                _gradient(gradients.get(symbol_.node), derived, example),
            )
            boxes[symbol_.node] = _Box(
                symbol_.node,
                name,
                size(symbol_.node.shape),
                name,
                below,
                first[symbol_.node],
            )
    for line in derived.forward:
        formula = to_text(typeset(line.term))
        shown = (
            formula if columns(formula) <= _LONGEST else formula[: _LONGEST - 2] + " …"
        )
        below = _gradient(gradients.get(line.node), derived, example)
        above = _forward(line, example)
        boxes[line.node] = _Box(
            line.node, to_text(symbol(line.name)), shown, above, below, depth[line.node]
        )
    edges = [
        (node, line.node)
        for line in derived.forward
        for node in dict.fromkeys(reads[line.node])
        if node in boxes
    ]
    return boxes, edges


class _Drawing:
    """The positions of boxes and lanes in pixels."""

    def __init__(
        self, boxes: Mapping[Node, _Box], edges: list[tuple[Node, Node]]
    ) -> None:
        self._boxes = boxes
        self._last: dict[
            Node, int
        ] = {}  # the last column that the edges of a box reach
        for source, target in edges:
            self._last[source] = max(self._last.get(source, 0), boxes[target].column)
        self._sources: dict[Node, list[Node]] = {}
        for source, target in edges:
            self._sources.setdefault(target, []).append(source)
        self._rows = self._placed()
        n_columns = 1 + max(box.column for box in boxes.values())
        self._left: list[float] = []
        self._wide: list[float] = []
        at = float(_MARGIN)
        for column in range(n_columns):
            here = [box for box in boxes.values() if box.column == column]
            letters = [
                max(columns(box.formula) * _SMALL, columns(box.name) * _LETTER)
                for box in here
            ]
            labels = [
                max(columns(box.above), columns(box.below)) * _LETTER
                for box in here
                if box.node in self._last
            ]
            self._left.append(at)
            self._wide.append(max([60.0, *letters]) + 16)
            at += self._wide[-1] + max([24.0, *labels]) + 12 + _BEND
        self.width = self._left[-1] + self._wide[-1] + _MARGIN
        self.height = 2 * _MARGIN + _HEIGHT + _ROW * max(self._rows.values())

    def _placed(self) -> dict[_Place, int]:
        """Give boxes and lanes rows: near those of what they read, inputs last."""
        rows: dict[_Place, int] = {}
        for column in range(1 + max(box.column for box in self._boxes.values())):
            wished: list[tuple[float, _Place]] = []
            for box in self._boxes.values():
                if box.column == column:
                    before = [
                        rows[self._lane(source, column - 1)]
                        for source in self._sources.get(box.node, [])
                    ]
                    wished.append(
                        (
                            sum(before) / len(before) if before else float("inf"),
                            (box.node, column),
                        )
                    )
                elif box.column < column < self._last.get(box.node, 0):
                    wished.append(
                        (rows[self._lane(box.node, column - 1)], (box.node, column))
                    )
            free = 0
            for wish, place in sorted(wished, key=lambda item: item[0]):
                row = max(free, round(wish)) if wish < float("inf") else free
                rows[place] = row
                free = row + 1
        return rows

    def _lane(self, node: Node, column: int) -> _Place:
        return (node, max(column, self._boxes[node].column))

    def _middle(self, place: _Place) -> float:
        return float(_MARGIN + _ROW * self._rows[place] + _HEIGHT / 2)

    def _port(self, source: Node, target: Node) -> float:
        """Return where an edge enters a box: those that come from above enter above."""
        column = self._boxes[target].column
        entering = sorted(
            self._sources[target],
            key=lambda node: self._middle(self._lane(node, column - 1)),
        )
        step = _HEIGHT / (len(entering) + 1)
        return (
            self._middle((target, column))
            - _HEIGHT / 2
            + step * (1 + entering.index(source))
        )

    def edge(self, source: Node, target: Node) -> str:
        """Draw an edge: straight behind its box and along its lanes, turning only between columns."""
        first, last = self._boxes[source].column, self._boxes[target].column
        places = [(source, column) for column in range(first, last)]
        x, y = self._left[first] + self._wide[first], self._middle(places[0])
        path = [f"M{x:g},{y:g}"]
        heights = [
            *(self._middle(place) for place in places),
            self._port(source, target),
        ]
        for column, (here, there) in zip(
            range(first, last), pairwise(heights), strict=True
        ):
            end = self._left[column + 1]
            path.append(
                f"H{end - _BEND:g} C{end - _BEND / 2:g},{here:g} {end - _BEND / 2:g},{there:g} {end:g},{there:g}"
            )
        return f'<path d="{" ".join(path)}" marker-end="url(#tip)"/>'

    def box(self, box: _Box) -> str:
        """Draw a box, and the labels of its edges once."""
        x, y = self._left[box.column], _MARGIN + _ROW * self._rows[box.node, box.column]
        wide = self._wide[box.column]
        parts = [
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{_HEIGHT}" rx="8"/>',
            f'<text x="{x + wide / 2:g}" y="{y + 18}" text-anchor="middle">{escape(box.name)}</text>',
            f'<text class="formula" x="{x + wide / 2:g}" y="{y + 34}" text-anchor="middle">',
            f"{escape(box.formula)}</text>",
        ]
        if box.node in self._last:
            at, middle = x + wide + 6, y + _HEIGHT / 2
            parts.append(
                f'<text class="forward" x="{at:g}" y="{middle - 6:g}">{escape(box.above)}</text>'
            )
            parts.append(
                f'<text class="gradient" x="{at:g}" y="{middle + 16:g}">{escape(box.below)}</text>'
            )
        return "".join(parts)


def _forward(line: Line, example: Example | None) -> str:
    value = None if example is None else _found(example, line.name)
    return to_text(symbol(line.name)) if value is None else _short(value)


def _gradient(line: Line | None, derived: Derived, example: Example | None) -> str:
    if line is None:
        return ""
    value = (
        None
        if example is None
        else _found(example, f"d{derived.loss_name}/d{line.name}")
    )
    if value is not None:
        return _short(value)
    return (
        to_text(symbol(line.alias.name))
        if line.alias
        else f"∂{derived.loss_name}/∂{to_text(symbol(line.name))}"
    )


def _found(example: Example, name: str) -> Any:
    """Return the value of a name, or None."""
    try:
        return example[name]
    except KeyError:
        return None


def _short(value: Any) -> str:
    """Write the first numbers of an array."""
    flat = [float(item) for item in value.reshape(-1).tolist()]
    shown = ", ".join(number(round(item, 4)) for item in flat[:_MOST])
    return f"({shown}{', …' if len(flat) > _MOST else ''})" if len(flat) > 1 else shown
