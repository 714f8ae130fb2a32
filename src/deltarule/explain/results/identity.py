"""A result written as steps: equations and inequalities, evaluated at random points in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from deltarule import dtypes
from deltarule.cached import cached_property
from deltarule.errors import ArgumentError
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol, matrix_shape
from deltarule.explain.page.page import columns
from deltarule.explain.proof.domains import Domain
from deltarule.explain.proof.proof import ENGINE_TOLERANCE, Draw, Evaluate
from deltarule.explain.reading.reader import read
from deltarule.grad.check import largest
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.render.mathematics import to_latex
from deltarule.render.numbers import scientific

_POINTS = 20
_SIGNS = {"=": "=", "≤": r"\le", "<": "<"}


@dataclass(frozen=True)
class IdentityStep:
    """left = right, left ≤ right or left < right, and why.

    >>> print(IdentityStep("a² − b²", "=", "(a − b)(a + b)", "difference of squares"))
    a² − b² = (a − b)(a + b)
    """

    left: str
    relation: str
    right: str
    reason: str

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


@final
@dataclass(frozen=True)
class Identity:
    """A named result: its steps, and the nodes of the names in them.

    With ``evaluate`` and ``draw`` it is printed with its proof.

    >>> square = Identity("Square", "", {"x": build.input_node("x", ())}, (IdentityStep("x x", "=", "x²", "power"),))
    >>> square.title, square.known()["x"].shape
    ('Square', ())
    """

    title: str
    given: str
    names: Mapping[str, Node]
    steps: tuple[IdentityStep, ...]
    evaluate: Evaluate | None = None
    draw: Draw | None = None

    def known(self) -> dict[str, Symbol]:
        """Return the vocabulary of the steps."""
        return {
            canonical(name): Symbol(name, matrix_shape(node.shape), node)
            for name, node in self.names.items()
        }

    def largest_error(
        self, evaluate: Evaluate | None = None, draw: Draw | None = None
    ) -> float:
        """Return by how much any step is violated at random points: relative error, or excess of the left side.

        Raises:
            ArgumentError: no evaluator or no sampler of random values.
        """
        run, rng = evaluate or self.evaluate, draw or self.draw
        if run is None or rng is None:
            raise ArgumentError(
                "identity",
                expected="an evaluator and a sampler of random values",
                got="none",
            )
        known = self.known()
        pairs = [
            (
                read(step.left, known).node,
                read(step.right, known).node,
            )
            for step in self.steps
        ]
        leaves = inputs([node for pair in pairs for node in pair])
        worst = 0.0
        for _ in range(_POINTS):
            values = run(
                [node for pair in pairs for node in pair],
                {n: rng(n, Domain("real")) for n in leaves},
            )
            for step, left, right in zip(
                self.steps, values[::2], values[1::2], strict=True
            ):
                gap = (
                    float((left - right).max())
                    if step.relation != "="
                    else float(abs(left - right).max())
                )
                scale = max(1.0, float(abs(left).max()), float(abs(right).max()))
                if step.relation == "<" and not gap < 0:
                    return float("inf")
                worst = largest([worst, gap / scale])
        return worst

    def text(self, evaluate: Evaluate | None = None, draw: Draw | None = None) -> str:
        """Write the result as text of at most 100 columns, with its proof."""
        error = self.largest_error(evaluate, draw)
        proved = error <= ENGINE_TOLERANCE
        lines = "1 line" if len(self.steps) == 1 else f"{len(self.steps)} lines"
        end = f"proved: {lines} at {_POINTS} random points in float64, largest relative error "
        return "\n".join(
            [
                *self._lines(),
                end + scientific(error)
                if proved
                else f"NOT proved: {scientific(error)}",
            ]
        )

    def _lines(self) -> list[str]:
        wide = max(columns(step.left) for step in self.steps)
        right = max(columns(step.right) for step in self.steps)
        lines = [self.given]
        for step in self.steps:
            left = " " * (wide - columns(step.left)) + step.left
            gap = " " * (right - columns(step.right))
            lines.append(
                f"  {left} {step.relation} {step.right}{gap}  {step.reason}".rstrip()
            )
        return lines

    def __str__(self) -> str:
        return (
            "\n".join(self._lines())
            if self.evaluate is None or self.draw is None
            else self._proved
        )

    def __repr__(self) -> str:
        return str(self)

    @cached_property
    def _proved(self) -> str:
        return self.text()

    def latex(self) -> str:
        """Write the steps as an ``align*`` environment."""
        known = self.known()
        rows = [
            rf"{to_latex(read(step.left, known).formula)} &{_SIGNS[step.relation]} "
            rf"{to_latex(read(step.right, known).formula)}"
            for step in self.steps
        ]
        inner = " \\\\\n".join(rows)
        return f"\\begin{{align*}}\n{inner}\n\\end{{align*}}"

    def _repr_latex_(self) -> str:
        return self.latex()


def real(name: str, *shape: int) -> Node:
    """Return an input of real numbers.

    >>> real("x", 3).shape
    (3,)
    """
    return build.input_node(name, shape, dtypes.FLOAT64)


def unit(name: str) -> Node:
    """Return a number between 0 and 1.

    >>> unit("p").shape
    ()
    """
    return f.sigmoid(real(name))


def constant(value: float) -> Node:
    """Return a constant.

    >>> constant(2.0).shape
    ()
    """
    return build.constant(value, dtypes.FLOAT64)
