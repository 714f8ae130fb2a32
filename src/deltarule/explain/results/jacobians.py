"""Jacobians and Hessians in closed form: the matrix of the linear map that a pullback or pushforward is.

The pullback of y = f(x) takes g to (∂y/∂x) g in denominator layout. Its term is linear in g; the matrix in front
of g is the Jacobian: σ′ gives diag(σ(1 − σ)), softmax diag(S) − SSᵀ, Wx gives Wᵀ. The pushforward of a gradient
takes v to Hv, and gives the Hessian: logistic regression XᵀDX. The derivative of a vector by a matrix is in
``slices.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

from deltarule.cached import cached_property
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Layout, input_names
from deltarule.explain.derivation.signals import random_names
from deltarule.explain.formula.algebra import (
    is_constant,
    number,
    transpose,
)
from deltarule.explain.formula.from_graph import Translator
from deltarule.explain.formula.patterns import recognised
from deltarule.explain.formula.simplify import simplified
from deltarule.explain.formula.term import (
    Symbol,
    Term,
    cost,
    matrix_shape,
)
from deltarule.explain.formula.to_graph import difference, lower
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.proof.jacobian_check import (
    POINTS,
    Claim,
    Measured,
    claim,
    measure,
    values_of,
)
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.explain.results.linear_part import explicit, linear_part
from deltarule.grad.forward import pushforward
from deltarule.grad.reverse import backpropagate, gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import topological
from deltarule.render import mathematics as m

_LONGEST = 400  # of a formula that is simplified
_LONG = 40  # a formula of this length is long to read


@final
@dataclass(frozen=True)
class MatrixDerivative:
    """A derivative that is a matrix: its left side, its term, and what it maps.

    ``applied`` is the graph of (matrix · direction) that the term must reproduce. That product times the vector
    ``along`` is the slope of ``scalar`` as ``variable`` moves along ``moves``, which central differences estimate.

    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> jacobian(build.matmul(W, x), x).lines
    ('∂y/∂x = Wᵀ',)
    """

    left: m.Formula
    term: Term
    direction: Node
    applied: Node
    transposed: bool
    scalar: Node
    variable: Node
    along: Node
    moves: Node
    evaluate: Evaluate | None = None
    draw: Draw | None = None

    def __str__(self) -> str:
        proved = self.evaluate is not None and self.draw is not None
        return "\n".join([*self.lines, str(self._proof)] if proved else self.lines)

    def __repr__(self) -> str:
        return str(self)

    @cached_property
    def _proof(self) -> Measured:
        return self.check()

    @property
    def formula(self) -> str:
        """The right side as text."""
        return m.to_text(typeset(self.term))

    @property
    def lines(self) -> tuple[str, ...]:
        """The only line as text: left = right."""
        return (f"{m.to_text(self.left)} = {self.formula}",)

    def latex(self) -> str:
        """Return left = right in LaTeX."""
        return f"{m.to_latex(self.left)} = {m.to_latex(typeset(self.term))}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def at(self, given: Mapping[Any, Any], evaluate: Evaluate | None = None) -> Any:
        """Return the matrix as an array, for values of the inputs, given by tensor or by name.

        Raises:
            ArgumentError: no evaluator, or an unknown name.
            GraphError: an input without a value.
        """
        run = evaluate or self.evaluate
        if run is None:
            raise ArgumentError("at", expected="an evaluator", got="none")
        (value,) = run(
            [lower(self.term, self.applied.dtype)], values_of(given, self.scalar)
        )
        return value

    def check(
        self,
        evaluate: Evaluate | None = None,
        draw: Draw | None = None,
        points: int = POINTS,
    ) -> Measured:
        """Compare matrix · direction with the engine's product and central differences, at random points.

        Raises:
            ArgumentError: no evaluator or no sampler of random values.
        """
        run, rng = evaluate or self.evaluate, draw or self.draw
        if run is None or rng is None:
            raise ArgumentError(
                "check",
                expected="an evaluator and a sampler of random values",
                got="none",
            )
        matrix = lower(self.term, self.applied.dtype)
        matrix = build.matrix_transpose(matrix) if self.transposed else matrix
        column = build.reshape(
            self.direction, matrix_shape(self.direction.shape) or (1, 1)
        )
        product = build.reshape(build.matmul(matrix, column), self.applied.shape)
        slope = build.sum_over(build.multiply(self.along, product))
        stated: list[Claim] = [claim(slope, self.scalar, self.variable, self.moves)]
        return measure(
            stated, [difference(product, self.applied)], self.scalar, run, rng, points
        )

    def error(self, evaluate: Evaluate, draw: Draw, points: int = 5) -> float:
        """Return the largest relative difference between matrix · g and the engine's product, at random points."""
        return self.check(evaluate, draw, points).engine_error


def jacobian(
    y: Node,
    x: Node,
    *,
    layout: Layout = "denominator",
    names: Mapping[Node, str] | None = None,
    evaluate: Evaluate | None = None,
    draw: Draw | None = None,
) -> MatrixDerivative:
    """Return ∂y/∂x of two vectors in closed form; with ``evaluate`` and ``draw`` it is printed with its proof.

    Raises:
        ArgumentError: y or x is no vector, y does not depend on x, or no closed form is known.

    >>> from deltarule.graph import functions
    >>> x = build.input_node("x", (3,))
    >>> print(jacobian(functions.sigmoid(x), x))
    ∂y/∂x = diag(σ(x) ⊙ (1 − σ(x)))
    """
    if layout not in {"denominator", "numerator"}:
        raise ArgumentError(
            "jacobian layout", expected='"denominator" or "numerator"', got=repr(layout)
        )
    if y.rank > 1 or x.rank > 1:
        raise ArgumentError(
            "jacobian",
            expected="vectors",
            got=f"{build.describe(y)} by {build.describe(x)}",
            hint="For a vector by a matrix use derive_slices(y, W).",
        )
    _needs(y, x, "jacobian")
    direction = Symbol(
        "g", matrix_shape(y.shape), build.input_node("g", y.shape, y.dtype)
    )
    walk = backpropagate(y, [x], direction.node)
    applied = walk.cotangents.get(x) or build.full(x.shape, 0.0, x.dtype)
    translator, known = translator_of([y], x, names or {}, direction)
    for found in recognised(topological([y]), walk):
        translator.patterns.setdefault(found.node, (found.operands, found.pattern))
    matrix = _matrix(translator.term(applied), direction.node, "jacobian")
    turned = layout == "numerator"
    left = quotient(m.identifier(name_of(y, known, "y", "f")), m.identifier(known[x]))
    towards = build.input_node("u", x.shape, x.dtype)
    return MatrixDerivative(
        left,
        transpose(matrix) if turned else matrix,
        direction.node,
        applied,
        turned,
        scalar=build.sum_over(build.multiply(direction.node, y)),
        variable=x,
        along=towards,
        moves=towards,
        evaluate=evaluate,
        draw=draw,
    )


def hessian(
    loss: Node,
    x: Node,
    *,
    names: Mapping[Node, str] | None = None,
    evaluate: Evaluate | None = None,
    draw: Draw | None = None,
) -> MatrixDerivative:
    """Return ∂²loss/∂x² of a scalar by a vector in closed form; with ``evaluate`` and ``draw`` it is proved.

    Raises:
        ArgumentError: x is a matrix, the loss does not depend on it, or no closed form is known.
        GraphError: the loss is not a scalar.

    >>> A, x = build.input_node("A", (3, 3)), build.input_node("x", (3,))
    >>> print(hessian(build.matmul(x, build.matmul(A, x)), x))
    ∂²L/∂x² = A + Aᵀ
    """
    if x.rank > 1:
        raise ArgumentError(
            "hessian", expected="a vector or a number", got=build.describe(x)
        )
    _needs(loss, x, "hessian")
    direction = Symbol(
        "v", matrix_shape(x.shape), build.input_node("v", x.shape, x.dtype)
    )
    (slope,) = gradients(loss, [x])
    (applied,) = pushforward([slope], [x], [direction.node])
    translator, known = translator_of([loss], x, names or {}, direction)
    matrix = _matrix(translator.term(applied), direction.node, "hessian")
    if cost(matrix) > _LONG:  # in terms of L where that is much shorter
        name = name_of(loss, known, "L", "J")
        translator.name(loss, Symbol(name, matrix_shape(loss.shape), loss))
        shorter = _matrix(translator.term(applied), direction.node, "hessian")
        matrix = shorter if cost(shorter) < 0.75 * cost(matrix) else matrix
    top = m.row(
        m.Scripts(m.Operator("∂"), upper=m.Number("2")),
        m.identifier(name_of(loss, known, "L", "J")),
    )
    bottom = m.row(
        m.Operator("∂"), m.Scripts(m.identifier(known[x]), upper=m.Number("2"))
    )
    left = m.Fraction(top, bottom, inline=True)
    towards = build.input_node("u", x.shape, x.dtype)
    return MatrixDerivative(
        left,
        matrix,
        direction.node,
        applied,
        False,
        scalar=build.sum_over(build.multiply(towards, slope)),
        variable=x,
        along=towards,
        moves=direction.node,
        evaluate=evaluate,
        draw=draw,
    )


def _needs(y: Node, x: Node, where: str) -> None:
    if x not in set(topological([y])):
        raise ArgumentError(
            where,
            expected="a variable that the value depends on",
            got=build.describe(x),
            hint="Was the value computed from this very tensor?",
        )


def quotient(over: m.Formula, under: m.Formula) -> m.Formula:
    """Return ∂over/∂under.

    >>> m.to_text(quotient(m.identifier("y"), m.identifier("x_1")))
    '∂y/∂x₁'
    """
    return m.Fraction(
        m.row(m.Operator("∂"), over), m.row(m.Operator("∂"), under), inline=True
    )


def name_of(node: Node, known: Mapping[Node, str], usual: str, otherwise: str) -> str:
    """Return the name of a value: the one given, else the usual letter unless an input has it.

    >>> x = build.input_node("x", (3,))
    >>> name_of(build.exp(x), {x: "x"}, "y", "f")
    'y'
    """
    return known.get(node) or (usual if usual not in known.values() else otherwise)


def translator_of(
    outputs: Sequence[Node], x: Node, names: Mapping[Node, str], direction: Symbol
) -> tuple[Translator, dict[Node, str]]:
    """Return a translator with the names of all inputs and the direction, and these names."""
    translator, known = Translator(), input_names(outputs[0], [x], names)
    known |= random_names(outputs[0], set(known.values()))
    for node, name in known.items():
        translator.name(node, Symbol(name, matrix_shape(node.shape), node))
    translator.name(direction.node, direction)
    return translator, known


# ---------------------------------------------------------------- the matrix of a linear map


def _matrix(term: Term, direction: Node, where: str) -> Term:
    columns = direction.shape[0] if direction.rank else 1
    zero = is_constant(term, 0)
    found = (
        number(Fraction(0), (term.shape[0] if term.shape else 1, columns))
        if zero
        else linear_part(term, direction)
    )
    found = None if found is None else explicit(simplified(found, _LONGEST))
    if found is None:
        raise ArgumentError(
            where,
            expected="a derivative with a closed form as a matrix",
            got=m.to_text(typeset(term)),
        )
    return found
