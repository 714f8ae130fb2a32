"""A derivation with the numbers of one example: small matrices printed as matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule.explain.derivation.derivation import Derived, Line
from deltarule.explain.page.page import entry, size
from deltarule.explain.proof.proof import Evaluate
from deltarule.graph.node import Node
from deltarule.render import mathematics as m

_MOST = 36  # entries of an array that is printed in full


@dataclass(frozen=True)
class Valued:
    """A line, its formula as text, and the value that it has."""

    line: Line
    left: str
    right: str
    value: Any


@dataclass(frozen=True)
class Example:
    """The lines of a derivation with values; ``example["z_1"]`` and ``example["dL/dW_1"]`` are arrays."""

    lines: tuple[Valued, ...]
    loss: str

    def __getitem__(self, name: str) -> Any:
        """Return the value of a signal (``z_1``) or a derivative (``dL/dz_1``)."""
        for item in self.lines:
            own = (
                item.line.name
                if item.line.kind == "forward"
                else f"d{self.loss}/d{item.line.name}"
            )
            alias = item.line.alias.name if item.line.alias else own
            if name in (own, alias):
                return item.value
        raise KeyError(name)

    def __str__(self) -> str:
        width = max(len(item.left) for item in self.lines)
        blocks: list[str] = []
        for item in self.lines:
            head = f"{item.left:<{width}} = {item.right}"
            pieces = matrix(item.value)
            margin = " " * width + " = "
            blocks.append(
                "\n".join(
                    [
                        head,
                        *(
                            margin + piece if i == 0 else " " * len(margin) + piece
                            for i, piece in enumerate(pieces)
                        ),
                    ]
                )
            )
        return "\n".join(blocks)


def example(
    derived: Derived,
    backward: Sequence[Line],
    given: Mapping[Node, Any],
    evaluate: Evaluate,
) -> Example:
    """Evaluate every line at the given values."""
    lines = [*derived.forward, *backward]
    found = evaluate([line.value for line in lines], given)
    valued = []
    for line, value in zip(lines, found, strict=True):
        shown = entry(line, derived.loss_name)
        turned = (
            value.T
            if line.kind == "backward"
            and derived.layout == "numerator"
            and len(line.shape) == 2
            else value
        )
        valued.append(
            Valued(line, m.to_text(shown.left), m.to_text(shown.right), turned)
        )
    return Example(tuple(valued), derived.loss_name)


def number(value: float) -> str:
    """Write a number with six significant digits.

    >>> number(0.5), number(-1.0), number(1 / 3)
    ('0.5', '−1', '0.333333')
    """
    return f"{float(value):.6g}".replace("-", "−")


def matrix(value: Any) -> list[str]:
    """Write an array as the lines of a matrix; large ones by their shape, mean and range.

    >>> class Scalar:
    ...     shape, size = (), 1
    ...     def tolist(self):
    ...         return 2.0
    >>> matrix(Scalar())
    ['2']
    """
    if value.size > _MOST or len(value.shape) > 2:
        return [
            f"{size(value.shape)} numbers, mean {number(value.mean())}, from {number(value.min())} to "
            f"{number(value.max())}"
        ]
    listed = value.tolist()
    if not value.shape:
        return [number(listed)]
    if len(value.shape) == 1:
        return [
            "("
            + ", ".join(number(item) for item in listed)
            + ")"
            + ("ᵀ" if len(listed) > 1 else "")
        ]
    cells = [[number(item) for item in items] for items in listed]
    width = max(len(cell) for line in cells for cell in line)
    rows = ["  ".join(f"{cell:>{width}}" for cell in line) for line in cells]
    if len(rows) == 1:
        return [f"( {rows[0].strip()} )"]
    left, right = (
        ["⎛", *["⎜"] * (len(rows) - 2), "⎝"],
        ["⎞", *["⎟"] * (len(rows) - 2), "⎠"],
    )
    return [f"{a} {line} {b}" for a, line, b in zip(left, rows, right, strict=True)]
