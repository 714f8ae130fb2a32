"""The computational graph of a derivation as SVG: values of the forward pass above the edges, gradients below.

Inputs stand on the left, the loss on the right; each signal is drawn at its depth. Without numbers the edges carry
the names of the signals and their derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from deltarule.explain.derivation import Derived, Line
from deltarule.explain.page import size
from deltarule.explain.term import symbols
from deltarule.explain.typeset import symbol, typeset
from deltarule.explain.values import Example, number
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text

_COLUMN, _ROW, _WIDTH, _HEIGHT, _MARGIN = 210, 96, 110, 44, 24
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a1a1a}.formula{font-size:10px;fill:#555}.forward{fill:#00573f}"
    ".gradient{fill:#b8371b}rect{fill:#f4f6f8;stroke:#5b6773}path{stroke:#5b6773;fill:none;stroke-width:1.2}"
    "@media (prefers-color-scheme:dark){text{fill:#eee}.formula{fill:#aaa}.forward{fill:#56c6a3}.gradient{fill:#f0937d}"
    "rect{fill:#1f242b;stroke:#8a96a3}path{stroke:#8a96a3}}"
)
_MOST = 4  # numbers of an array written at an edge


@dataclass(frozen=True)
class _Box:
    node: Node
    name: str
    formula: str
    column: int
    row: int

    @property
    def x(self) -> int:
        """Left side."""
        return _MARGIN + self.column * _COLUMN

    @property
    def y(self) -> int:
        """Upper side."""
        return _MARGIN + self.row * _ROW


def svg(derived: Derived, example: Example | None = None) -> str:
    """Draw the graph; with an example the edges carry its numbers."""
    boxes, edges = _placed(derived)
    width = max(box.x for box in boxes.values()) + _WIDTH + _MARGIN
    height = max(box.y for box in boxes.values()) + _HEIGHT + _MARGIN + 14
    gradients = {line.node: line for line in derived.backward}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="computational graph"><style>{_STYLE}</style>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" style="fill:currentColor"/></marker></defs>'
    ]
    for source, target in edges:
        parts.append(_edge(boxes[source], boxes[target], derived, gradients.get(source), example))
    parts.extend(_box(box) for box in boxes.values())
    return "\n".join([*parts, "</svg>"])


def _placed(derived: Derived) -> tuple[dict[Node, _Box], list[tuple[Node, Node]]]:
    """Give each input and signal a column by its depth and a row in it."""
    reads = {line.node: [s.node for s in symbols(line.term)] for line in derived.forward}
    depth: dict[Node, int] = {}
    for line in derived.forward:
        depth[line.node] = 1 + max((depth.get(node, 0) for node in reads[line.node]), default=0)
    first: dict[Node, int] = {}
    for line in derived.forward:
        for node in reads[line.node]:
            if node not in reads:
                first.setdefault(node, depth[line.node] - 1)
    rows: dict[int, int] = {}
    boxes: dict[Node, _Box] = {}
    for line in derived.forward:
        boxes[line.node] = _box_of(line, depth[line.node], rows)
    for symbol_ in derived.inputs:
        if symbol_.node in first:
            column = first[symbol_.node]
            row = rows.get(column, 0)
            rows[column] = row + 1
            boxes[symbol_.node] = _Box(
                symbol_.node, to_text(symbol(symbol_.name)), size(symbol_.node.shape), column, row
            )
    edges = [(node, line.node) for line in derived.forward for node in dict.fromkeys(reads[line.node]) if node in boxes]
    return boxes, edges


def _box_of(line: Line, column: int, rows: dict[int, int]) -> _Box:
    row = rows.get(column, 0)
    rows[column] = row + 1
    formula = to_text(typeset(line.term))
    return _Box(
        line.node, to_text(symbol(line.name)), formula if len(formula) <= 22 else formula[:20] + " …", column, row
    )


def _box(box: _Box) -> str:
    middle = box.x + _WIDTH / 2
    return (
        f'<rect x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
        f'<text x="{middle}" y="{box.y + 18}" text-anchor="middle">{escape(box.name)}</text>'
        f'<text class="formula" x="{middle}" y="{box.y + 34}" text-anchor="middle">{escape(box.formula)}</text>'
    )


def _edge(source: _Box, target: _Box, derived: Derived, gradient: Line | None, example: Example | None) -> str:
    x1, y1 = source.x + _WIDTH, source.y + _HEIGHT / 2
    x2, y2 = target.x, target.y + _HEIGHT / 2
    bend = (x1 + x2) / 2
    above = f'<text class="forward" x="{x1 + 4}" y="{y1 - 5}">{escape(_forward(source, derived, example))}</text>'
    below = ""
    if gradient is not None:
        shown = _gradient(gradient, derived, example)
        below = f'<text class="gradient" x="{x1 + 4}" y="{y1 + 14}">{escape(shown)}</text>'
    return f'<path d="M{x1},{y1} C{bend},{y1} {bend},{y2} {x2},{y2}" marker-end="url(#tip)"/>{above}{below}'


def _forward(source: _Box, derived: Derived, example: Example | None) -> str:
    value = (
        None
        if example is None
        else _found(example, {line.node: line.name for line in derived.forward}.get(source.node))
    )
    return source.name if value is None else _short(value)


def _gradient(line: Line, derived: Derived, example: Example | None) -> str:
    value = None if example is None else _found(example, f"d{derived.loss_name}/d{line.name}")
    if value is not None:
        return _short(value)
    return to_text(symbol(line.alias.name)) if line.alias else f"∂{derived.loss_name}/∂{to_text(symbol(line.name))}"


def _found(example: Example, name: str | None) -> Any:
    """Return the value of a name, or None."""
    try:
        return None if name is None else example[name]
    except KeyError:
        return None


def _short(value: Any) -> str:
    """Write the first numbers of an array."""
    flat = [float(item) for item in value.reshape(-1).tolist()]
    shown = ", ".join(number(round(item, 4)) for item in flat[:_MOST])
    return f"({shown}{', …' if len(flat) > _MOST else ''})" if len(flat) > 1 else shown
