"""From terms back to graphs: what is printed can be evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.explain.formula.term import (
    Apply,
    Diagonal,
    Indicator,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Total,
    Transpose,
    is_number,
    matrix_shape,
)
from deltarule.graph import build
from deltarule.graph.algebra import diagonal_matrix
from deltarule.graph.node import Node
from deltarule.graph.rewrite import substitute
from deltarule.shapes import Shape

_RELATIONS: Mapping[str, Callable[[Node, Node], Node]] = {
    "<": build.less,
    ">": lambda x, y: build.less(y, x),
    "≤": lambda x, y: build.logical_not(build.less(y, x)),
    "≥": lambda x, y: build.logical_not(build.less(x, y)),
    "=": build.equal,
    "≠": lambda x, y: build.logical_not(build.equal(x, y)),
}


def lower(
    term: Term, dtype: DType, values: Mapping[Symbol, Node] | None = None
) -> Node:
    """Return the graph of a term; its shape is the term's. ``values`` replaces symbols by other nodes.

    >>> from deltarule import dtypes
    >>> from deltarule.explain.formula.algebra import matmul
    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> lower(matmul(A, x), dtypes.FLOAT32)
    <matmul (2, 1) float32>
    """
    return _Lowering(dtype, values or {}).node(term)


def lower_to(
    term: Term, like: Node, values: Mapping[Symbol, Node] | None = None
) -> Node:
    """Return the graph of a term in the shape and type of a node that it describes.

    >>> v = Symbol("v", (3, 1), build.input_node("v", (3,)))
    >>> lower_to(v, v.node).shape
    (3,)
    """
    kind = like.dtype if like.dtype.is_float else dtypes.FLOAT64
    return fitted(lower(term, kind, values), like.shape, like.dtype)


def fitted(node: Node, shape: Shape, dtype: DType) -> Node:
    """Give a matrix the shape of the array that it stands for.

    >>> from deltarule import dtypes
    >>> fitted(build.input_node("column", (3, 1)), (3,), dtypes.FLOAT64)
    <cast (3) float64>
    """
    if is_number(node.shape) and not is_number(shape):
        node = build.broadcast_to(build.reshape(node, ()), shape)
    return build.cast(build.reshape(node, shape), dtype)


class _Lowering:
    def __init__(self, dtype: DType, values: Mapping[Symbol, Node]) -> None:
        self._dtype = dtype
        self._values = values
        self._known: dict[Term, Node] = {}

    def node(self, term: Term) -> Node:
        known = self._known.get(term)
        if known is None:
            known = self._known[term] = self._shaped(self._build(term), term.shape)
        return known

    def _shaped(self, node: Node, shape: Shape) -> Node:
        if node.shape == shape:
            return node
        if is_number(node.shape):
            return build.broadcast_to(build.reshape(node, ()), shape)
        return build.reshape(node, shape)

    def _aligned(self, term: Term, shape: Shape) -> Node:
        """Return an operand of an element-wise operation, a single entry as a scalar."""
        node = self.node(term)
        return (
            build.reshape(node, ())
            if is_number(node.shape) and not is_number(shape)
            else self._shaped(node, shape)
        )

    def _build(self, term: Term) -> Node:
        if isinstance(term, Symbol):
            node = self._values.get(term, term.node)
            return build.reshape(
                build.cast(node, self._dtype), matrix_shape(node.shape)
            )
        if isinstance(term, Product):
            return self._product(term)
        if isinstance(term, Sum):
            result = self._aligned(term.terms[0], term.shape)
            for part in term.terms[1:]:
                result = build.add(result, self._aligned(part, term.shape))
            return result
        if isinstance(term, Matmul):
            result = self.node(term.factors[0])
            for factor in term.factors[1:]:
                result = build.matmul(result, self.node(factor))
            return result
        if isinstance(term, Transpose):
            return build.matrix_transpose(self.node(term.body))
        if isinstance(term, Diagonal):
            return diagonal_matrix(
                build.reshape(self.node(term.body), (term.shape[0],))
            )
        if isinstance(term, Total):
            return build.sum_over(self.node(term.body))
        if isinstance(term, Indicator):
            left, right = (
                self._aligned(term.left, term.shape),
                self._aligned(term.right, term.shape),
            )
            return build.cast(_RELATIONS[term.relation](left, right), self._dtype)
        return self._apply(term)

    def _product(self, term: Product) -> Node:
        coefficient = term.coefficient
        result: Node | None = None
        for factor, exponent in term.factors:
            node = _raised(self._aligned(factor, term.shape), exponent)
            result = node if result is None else build.multiply(result, node)
        if result is None:
            return build.full(term.shape, float(coefficient), self._dtype)
        return (
            result if coefficient == 1 else build.multiply(result, float(coefficient))
        )

    def _apply(self, term: Apply) -> Node:
        replacements = {
            parameter: fitted(self.node(argument), parameter.shape, parameter.dtype)
            for parameter, argument in zip(term.parameters, term.arguments, strict=True)
        }
        (result,) = substitute([term.body], replacements)
        return (
            build.cast(result, self._dtype)
            if result.dtype is not self._dtype
            else result
        )


def _raised(node: Node, exponent: Fraction) -> Node:
    if exponent == 1:
        return node
    if exponent == Fraction(1, 2):
        return build.sqrt(node)
    if exponent == Fraction(-1, 2):
        return build.divide(1, build.sqrt(node))
    if exponent.denominator == 1 and abs(exponent) <= 4:
        result = node
        for _ in range(abs(int(exponent)) - 1):
            result = build.multiply(result, node)
        return result if exponent > 0 else build.divide(1, result)
    return build.power(node, float(exponent))


def difference(left: Node, right: Node) -> Node:
    """Return max |left − right| / max(1, |left|, |right|) as a scalar graph.

    >>> x = build.input_node("x", (3,))
    >>> difference(x, build.exp(x)).shape
    ()
    """
    left, right = (
        build.cast(x, dtypes.FLOAT64) if not x.dtype.is_float else x
        for x in (left, right)
    )
    largest = build.maximum(build.absolute(left), build.absolute(right))
    error = build.divide(
        build.absolute(build.subtract(left, right)), build.maximum(largest, 1.0)
    )
    return error if error.shape == () else build.maximum_over(error)
