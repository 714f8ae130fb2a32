"""The derivative of a vector by a matrix: a 3-tensor, never built, shown slice by slice.

Backpropagation only needs its product with a vector g, the pullback. The slice ∂yₖ/∂W is the pullback of the unit
vector eₖ. Where the pullback is g xᵀ (y = Wx) or x gᵀ (y = Wᵀx), moving the one entry Wₖⱼ moves y along Eₖⱼx, or
Eₖⱼᵀx, with the basis matrix Eₖⱼ that is 1 at (k, j) and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from deltarule import shapes
from deltarule.cached import cached_property
from deltarule.errors import ArgumentError
from deltarule.explain.formula.algebra import transpose
from deltarule.explain.formula.term import (
    Matmul,
    Symbol,
    Term,
    Transpose,
    matrix_shape,
    renamed,
)
from deltarule.explain.formula.to_graph import difference, lower, lower_to
from deltarule.explain.formula.typeset import ATOM, typeset, within
from deltarule.explain.proof.jacobian_check import (
    POINTS,
    Measured,
    claim,
    measure,
    values_of,
)
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.explain.results.jacobians import name_of, quotient, translator_of
from deltarule.grad.reverse import backpropagate
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.rewrite import substitute
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

_MOST = 6  # slices that are written out; more get one line with the index k


@dataclass(frozen=True)
class _Basis:
    """y = Wx, or y = Wᵀx if ``turned``: what one entry of W does."""

    source: Term  # x, a column
    turned: bool


@final
@dataclass(frozen=True)
class Slices:
    """∂y/∂W of a vector y by a matrix W: ∂yₖ/∂W for every entry of y, and Eₖⱼ where y is a product with W.

    ``term`` is the pullback of the symbol ``direction`` and ``applied`` its graph. ``unit`` and ``basis`` are the
    letters of unit vectors and basis matrices.

    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> slices(build.matmul(W, x), W).lines[-1]
    '∂y/∂Wₖⱼ = xⱼ eₖ = Eₖⱼx'
    """

    y: Node
    w: Node
    own: str
    variable: str
    term: Term
    direction: Symbol
    applied: Node
    unit: str = "e"
    basis: str = "E"
    evaluate: Evaluate | None = None
    draw: Draw | None = None

    def __len__(self) -> int:
        return int(self.y.shape[0])

    @property
    def formulas(self) -> tuple[tuple[Formula, Formula], ...]:
        """The lines as left and right sides."""
        shown = (
            [str(k) for k in range(1, len(self) + 1)] if len(self) <= _MOST else ["k"]
        )
        lines = [self._slice(index) for index in shown]
        basis = self._basis()
        return (*lines, *([self._of_entry(basis)] if basis is not None else []))

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines as text."""
        return tuple(
            f"{m.to_text(left)} = {m.to_text(right)}" for left, right in self.formulas
        )

    def __str__(self) -> str:
        proved = self.evaluate is not None and self.draw is not None
        return "\n".join([*self.lines, str(self._proof)] if proved else self.lines)

    def __repr__(self) -> str:
        return str(self)

    @cached_property
    def _proof(self) -> Measured:
        return self.check()

    def latex(self) -> str:
        """Return the lines as an ``align*`` environment."""
        body = " \\\\\n".join(
            f"{m.to_latex(left)} &= {m.to_latex(right)}"
            for left, right in self.formulas
        )
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"

    def _repr_latex_(self) -> str:
        return self.latex()

    def at(
        self, given: Mapping[Any, Any], evaluate: Evaluate | None = None
    ) -> list[Any]:
        """Return the slices as arrays, one for each entry of y; ``given`` maps inputs, by tensor or name, to values.

        Raises:
            ArgumentError: no evaluator, or an unknown name.
            GraphError: an input without a value.
        """
        run = evaluate or self.evaluate
        if run is None:
            raise ArgumentError("slices at", expected="an evaluator", got="none")
        return run(
            self._graphs(lower_to(self.term, self.applied)), values_of(given, self.y)
        )

    def check(
        self,
        evaluate: Evaluate | None = None,
        draw: Draw | None = None,
        points: int = POINTS,
    ) -> Measured:
        """Evaluate every slice at random points, against the engine's pullback and central differences of y.

        Raises:
            ArgumentError: no evaluator or no sampler of random values.
        """
        run, rng = evaluate or self.evaluate, draw or self.draw
        if run is None or rng is None:
            raise ArgumentError(
                "slices check",
                expected="an evaluator and a sampler of random values",
                got="none",
            )
        found = self._graphs(lower_to(self.term, self.applied))
        gaps = [
            difference(one, own)
            for one, own in zip(found, self._graphs(self.applied), strict=True)
        ]
        towards = build.input_node("direction of W", self.w.shape, self.w.dtype)
        claims = []
        for k, one in enumerate(found):
            entry = build.sum_over(build.multiply(self._unit(k), self.y))
            claims.append(
                claim(
                    build.sum_over(build.multiply(one, towards)), entry, self.w, towards
                )
            )
        basis = self._basis()
        if (
            basis is not None
        ):  # towards = Σ of entries times Eₖⱼ, so y moves along towards · x
            matrix = build.matrix_transpose(towards) if basis.turned else towards
            moved = build.reshape(
                build.matmul(matrix, lower(basis.source, self.y.dtype)), self.y.shape
            )
            along = build.multiply(self.direction.node, moved)
            scalar = build.sum_over(build.multiply(self.direction.node, self.y))
            claims.append(claim(build.sum_over(along), scalar, self.w, towards))
        return measure(claims, gaps, self.y, run, rng, points)

    def _unit(self, k: int) -> Node:
        return build.cast(build.equal(build.iota(self.y.shape, 0), k), self.y.dtype)

    def _graphs(self, pullback: Node) -> list[Node]:
        """Return the pullback of every unit vector."""
        return [
            substitute([pullback], {self.direction.node: self._unit(k)})[0]
            for k in range(len(self))
        ]

    def _slice(self, index: str) -> tuple[Formula, Formula]:
        unit = Symbol(f"{self.unit}_{index}", self.direction.shape, self.direction.node)
        left = quotient(
            m.identifier(f"{self.own}_{index}"), m.identifier(self.variable)
        )
        return left, typeset(renamed(self.term, {self.direction: unit}))

    def _basis(self) -> _Basis | None:
        """Return x where the pullback is g xᵀ or x gᵀ, g the whole of one factor."""
        if not isinstance(self.term, Matmul) or len(self.term.factors) != 2:
            return None
        first, second = self.term.factors
        if first == self.direction:
            return _Basis(transpose(second), turned=False)
        if isinstance(second, Transpose) and second.body == self.direction:
            return _Basis(first, turned=True)
        return None

    def _of_entry(self, basis: _Basis) -> tuple[Formula, Formula]:
        """Return ∂y/∂Wₖⱼ = xⱼeₖ = Eₖⱼx, or for Wᵀx ∂y/∂Wₖⱼ = xₖeⱼ = Eₖⱼᵀx."""
        source = within(basis.source, ATOM)
        plain = isinstance(basis.source, Symbol) and isinstance(source, m.Identifier)
        entry, unit = ("k", "j") if basis.turned else ("j", "k")
        number = m.Scripts(
            source if plain else _fenced(source), lower=m.Identifier(entry)
        )
        matrix: Formula = m.Scripts(
            m.Identifier(self.basis), lower=m.row(m.Identifier("k"), m.Identifier("j"))
        )
        if basis.turned:
            matrix = m.Scripts(matrix, upper=m.Identifier("T", upright=True))
        variable = m.identifier(self.variable)
        indices = m.row(m.Identifier("k"), m.Identifier("j"))
        part = m.Scripts(
            variable if isinstance(variable, m.Identifier) else _fenced(variable),
            lower=indices,
        )
        space = [] if isinstance(basis.source, Symbol) else [m.Operator(" ")]
        right = m.row(
            number,
            m.Operator(" "),
            m.Scripts(m.Identifier(self.unit), lower=m.Identifier(unit)),
            m.Operator("=", spaced=True),
            matrix,
            *space,
            source,
        )
        return quotient(m.identifier(self.own), part), right


def _fenced(formula: Formula) -> Formula:
    return formula if isinstance(formula, m.Fenced) else m.Fenced(formula)


def slices(
    y: Node,
    w: Node,
    *,
    names: Mapping[Node, str] | None = None,
    evaluate: Evaluate | None = None,
    draw: Draw | None = None,
) -> Slices:
    """Return ∂yₖ/∂W of a vector by a matrix, slice by slice; with ``evaluate`` and ``draw`` the page ends in its proof.

    Raises:
        ArgumentError: y is no vector of known size that depends on w.

    >>> from deltarule.graph import build
    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> print(slices(build.matmul(W, x), W))
    ∂y₁/∂W = e₁xᵀ
    ∂y₂/∂W = e₂xᵀ
    ∂y/∂Wₖⱼ = xⱼ eₖ = Eₖⱼx
    """
    if y.rank != 1 or not shapes.is_static(y.shape):
        raise ArgumentError(
            "slices", expected="a vector of known size", got=build.describe(y)
        )
    node = build.input_node("g", y.shape, y.dtype)
    applied = backpropagate(y, [w], node).cotangents.get(w)
    if applied is None or w.rank != 2:
        raise ArgumentError(
            "slices",
            expected="a matrix that the vector depends on",
            got=build.describe(w),
        )
    direction = Symbol("g", matrix_shape(y.shape), node)
    translator, known = translator_of([y], w, names or {}, direction)
    own = name_of(y, known, "y", "f")
    term, taken = (
        translator.term(applied),
        {name.split("_")[0] for name in known.values()},
    )
    unit, basis = "i" if "e" in taken else "e", "B" if "E" in taken else "E"
    return Slices(
        y, w, own, known[w], term, direction, applied, unit, basis, evaluate, draw
    )
