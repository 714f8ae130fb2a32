"""Jacobians and Hessians in closed form: the matrix of the linear map that a pullback or pushforward is.

The pullback of y = f(x) takes g to (∂y/∂x) g in denominator layout. Its term is linear in g; the matrix in front
of g is the Jacobian: σ′ gives diag(σ(1 − σ)), softmax diag(S) − SSᵀ, Wx gives Wᵀ. The pushforward of a gradient
takes v to Hv, and gives the Hessian: logistic regression XᵀDX. For y = Wx and a matrix W the derivative is a
3-tensor, never built: its slices ∂yₖ/∂W are the pullbacks of the unit vectors eₖ (LA-21, LA-22).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

from deltarule.errors import ArgumentError
from deltarule.explain.algebra import add, diagonal, lifted, matmul, multiply, number, transpose, unwrapped
from deltarule.explain.derivation import Layout, input_names
from deltarule.explain.lowering import difference, lower
from deltarule.explain.patterns import recognised
from deltarule.explain.proof import Draw, Evaluate, Precise
from deltarule.explain.term import Diagonal, Matmul, Product, Sum, Symbol, Term, Total, is_number, matrix_shape, symbols
from deltarule.explain.translation import Translator
from deltarule.explain.typeset import typeset
from deltarule.grad.forward import pushforward
from deltarule.grad.reverse import backpropagate, gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs, topological
from deltarule.render import mathematics as m

_ONE = Fraction(1)


@final
@dataclass(frozen=True)
class MatrixDerivative:
    """A derivative that is a matrix: its left side, its term, and what it maps.

    ``applied`` is the graph of (matrix · direction) that the term must reproduce.
    """

    left: m.Formula
    term: Term
    direction: Node
    applied: Node
    transposed: bool

    def __str__(self) -> str:
        return f"{m.to_text(self.left)} = {m.to_text(typeset(self.term))}"

    @property
    def formula(self) -> str:
        """The right side as text."""
        return m.to_text(typeset(self.term))

    def latex(self) -> str:
        """Return left = right in LaTeX."""
        return f"{m.to_latex(self.left)} = {m.to_latex(typeset(self.term))}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def at(self, given: Mapping[Node, Any], evaluate: Evaluate) -> Any:
        """Return the matrix as an array, for given values of the inputs."""
        (value,) = evaluate([lower(self.term, self.applied.dtype)], given)
        return value

    def error(self, evaluate: Evaluate, draw: Draw, points: int = 5) -> float:
        """Return the largest relative difference between matrix · g and the engine's product, at random points."""
        matrix = lower(self.term, self.applied.dtype)
        matrix = build.matrix_transpose(matrix) if self.transposed else matrix
        column = build.reshape(self.direction, matrix_shape(self.direction.shape) or (1, 1))
        product = build.reshape(build.matmul(matrix, column), self.applied.shape)
        gap = difference(product, self.applied)
        precise = Precise([gap, self.applied], evaluate, draw, self.applied)
        return max(precise.numbers([precise[gap]], precise.draw())[0] for _ in range(points))


def jacobian(
    y: Node, x: Node, *, layout: Layout = "denominator", names: Mapping[Node, str] | None = None
) -> MatrixDerivative:
    """Return ∂y/∂x of two vectors in closed form.

    Raises:
        ArgumentError: y or x is no vector, or no closed form is known.
    """
    if y.rank > 1 or x.rank > 1:
        raise ArgumentError("jacobian", expected="vectors", got=f"{build.describe(y)} by {build.describe(x)}",
                            hint="For a matrix variable ask for slices(y, W).")  # fmt: skip
    direction = build.input_node("g", y.shape, y.dtype)
    walk = backpropagate(y, [x], direction)
    applied = walk.cotangents.get(x) or build.full(x.shape, 0.0, x.dtype)
    translator = _translator([y], x, names or {}, direction)
    for found in recognised(topological([y]), walk):
        translator.patterns.setdefault(found.node, (found.operands, found.pattern))
    matrix = _matrix(translator.term(applied), direction, "jacobian")
    turned = layout == "numerator"
    left = _quotient(_name(y, names, "y"), _name(x, names, str(x.attributes.get("name", "x"))))
    return MatrixDerivative(left, transpose(matrix) if turned else matrix, direction, applied, turned)


def hessian(loss: Node, x: Node, *, names: Mapping[Node, str] | None = None) -> MatrixDerivative:
    """Return ∂²loss/∂x² of a scalar by a vector in closed form.

    Raises:
        ArgumentError: x is no vector, or no closed form is known.
    """
    if x.rank != 1:
        raise ArgumentError("hessian", expected="a vector", got=build.describe(x))
    direction = build.input_node("v", x.shape, x.dtype)
    (slope,) = gradients(loss, [x])
    (applied,) = pushforward([slope], [x], [direction])
    translator = _translator([loss], x, names or {}, direction)
    matrix = _matrix(translator.term(applied), direction, "hessian")
    name = m.identifier(_name(x, names, str(x.attributes.get("name", "x"))))
    top = m.row(m.Scripts(m.Operator("∂"), upper=m.Number("2")), m.identifier(_name(loss, names, "L")))
    bottom = m.row(m.Operator("∂"), m.Scripts(name, upper=m.Number("2")))
    return MatrixDerivative(m.Fraction(top, bottom, inline=True), matrix, direction, applied, False)


def slices(y: Node, w: Node, *, names: Mapping[Node, str] | None = None) -> tuple[str, ...]:
    """Return ∂yₖ/∂W of a vector by a matrix, slice by slice: the 3-tensor of which backpropagation only needs products.

    >>> from deltarule.graph import build
    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> slices(build.matmul(W, x), W)
    ('∂y₁/∂W = e₁xᵀ', '∂y₂/∂W = e₂xᵀ', '∂y/∂W_kj = x_j e_k = E_kj x')
    """
    direction = build.input_node("e", y.shape, y.dtype)
    applied = backpropagate(y, [w], direction).cotangents.get(w)
    if applied is None or y.rank != 1:
        raise ArgumentError("slices", expected="a vector that depends on the matrix", got=build.describe(y))
    translator = _translator([y], w, names or {}, direction)
    term = translator.term(applied)
    own, variable = _name(y, names, "y"), _name(w, names, str(w.attributes.get("name", "W")))
    lines = []
    for k in range(1, int(y.shape[0]) + 1):
        unit = Symbol(f"e_{k}", matrix_shape(y.shape), direction)
        shown = typeset(_renamed(term, direction, unit))
        lines.append(f"{m.to_text(_quotient(f'{own}_{k}', variable))} = {m.to_text(shown)}")
    linear = isinstance(term, Matmul) and len(term.factors) == 2
    if linear and isinstance(term, Matmul):
        source = m.to_text(typeset(transpose(term.factors[1])))
        lines.append(f"∂{own}/∂{variable}_kj = {source}_j e_k = E_kj {source}")
    return tuple(lines)


def _renamed(term: Term, node: Node, symbol: Symbol) -> Term:
    """Print the symbol of a node under another name."""
    if isinstance(term, Symbol):
        return symbol if term.node is node else term
    if isinstance(term, Product):
        factors = tuple((_renamed(factor, node, symbol), exponent) for factor, exponent in term.factors)
        return Product(term.coefficient, factors, term.shape)
    if isinstance(term, Matmul):
        return Matmul(tuple(_renamed(factor, node, symbol) for factor in term.factors), term.shape)
    if isinstance(term, Sum):
        return Sum(tuple(_renamed(part, node, symbol) for part in term.terms), term.shape)
    return term


def _name(node: Node, names: Mapping[Node, str] | None, otherwise: str) -> str:
    return (names or {}).get(node, otherwise)


def _quotient(over: str, under: str) -> m.Formula:
    return m.Fraction(
        m.row(m.Operator("∂"), m.identifier(over)), m.row(m.Operator("∂"), m.identifier(under)), inline=True
    )


def _translator(outputs: Sequence[Node], x: Node, names: Mapping[Node, str], direction: Node) -> Translator:
    translator = Translator()
    for node, name in input_names(outputs[0], [x], names).items():
        translator.name(node, Symbol(name, matrix_shape(node.shape), node))
    for node in inputs(outputs):
        translator.name(node, Symbol(str(node.attributes["name"]), matrix_shape(node.shape), node))
    translator.name(direction, Symbol("g", matrix_shape(direction.shape), direction))
    return translator


# ---------------------------------------------------------------- the matrix of a linear map


def _matrix(term: Term, direction: Node, where: str) -> Term:
    found = linear_part(term, direction)
    if found is None:
        raise ArgumentError(where, expected="a derivative with a closed form as a matrix", got=m.to_text(typeset(term)))
    return found


def _contains(term: Term, node: Node) -> bool:
    return any(symbol.node is node for symbol in symbols(term))


def linear_part(term: Term, node: Node) -> Term | None:
    """Return M where a term is M · (the symbol of ``node``), else None."""
    if isinstance(term, Symbol) and term.node is node:
        rows = term.shape[0] if term.shape else 1
        return diagonal(number(_ONE, (rows, 1))) if rows != 1 else number(_ONE, (1, 1))
    if isinstance(term, Sum):
        parts = [linear_part(lifted(part, term.shape), node) for part in term.terms]
        found = [part for part in parts if part is not None]
        return add(*found) if len(found) == len(parts) else None
    if isinstance(term, Product):
        return _of_product(term, node)
    if isinstance(term, Matmul):
        return _of_chain(term, node)
    if isinstance(term, Total):
        inner = linear_part(term.body, node)
        return None if inner is None else matmul(number(_ONE, (1, term.body.shape[0])), inner)
    return None


def _of_product(term: Product, node: Node) -> Term | None:
    carrying = [(f, e) for f, e in term.factors if _contains(f, node)]
    if len(carrying) != 1 or carrying[0][1] != 1:
        return None
    factor = carrying[0][0]
    inner = linear_part(factor, node)
    if inner is None:
        return None
    rest = tuple((f, e) for f, e in term.factors if f is not factor)
    scalars = Product(term.coefficient, tuple((f, e) for f, e in rest if is_number(f.shape)), ())
    columns = tuple((f, e) for f, e in rest if not is_number(f.shape))
    if is_number(factor.shape) and not is_number(term.shape):  # a number times a vector: v(uᵀg) = (vuᵀ)g
        vector = unwrapped(Product(_ONE, columns, term.shape))
        return multiply(scalars, matmul(vector, inner))
    if not columns:
        return multiply(scalars, inner)
    return multiply(scalars, _gated(unwrapped(Product(_ONE, columns, term.shape)), inner))


def _gated(column: Term, inner: Term) -> Term:
    """Return diag(v)M, multiplied out over sums."""
    if isinstance(inner, Sum):
        return add(*(_gated(column, part) for part in inner.terms))
    if isinstance(inner, Diagonal):
        return diagonal(multiply(column, inner.body))
    if isinstance(inner, Product) and len(inner.factors) == 1:
        factor, exponent = inner.factors[0]
        if exponent == 1 and factor.shape == inner.shape:
            return multiply(number(inner.coefficient), _gated(column, factor))
    if isinstance(inner, Matmul) and isinstance(inner.factors[0], Product) and not inner.factors[0].factors:
        return matmul(multiply(column, inner.factors[0]), *inner.factors[1:])  # diag(v)𝟙uᵀ = vuᵀ
    return matmul(diagonal(column), inner)


def _of_chain(term: Matmul, node: Node) -> Term | None:
    carrying = [i for i, factor in enumerate(term.factors) if _contains(factor, node)]
    if len(carrying) != 1:
        return None
    at = carrying[0]
    if at == len(term.factors) - 1:
        inner = linear_part(term.factors[at], node)
        if inner is None:
            return None
        front = term.factors[:at]
        if isinstance(inner, Diagonal) and _is_identity(inner):
            return matmul(*front)
        return matmul(*front, inner)
    if at == 0 and is_number(term.shape):
        return linear_part(matmul(*(transpose(factor) for factor in reversed(term.factors))), node)
    row = matmul(*term.factors[: at + 1])
    if is_number(row.shape):
        inner = linear_part(row, node)
        return None if inner is None else matmul(matmul(*term.factors[at + 1 :]), inner)
    return None


def _is_identity(term: Diagonal) -> bool:
    return isinstance(term.body, Product) and not term.body.factors and term.body.coefficient == 1
