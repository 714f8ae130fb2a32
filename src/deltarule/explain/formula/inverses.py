"""Inverse matrices: (AB)⁻¹ = B⁻¹A⁻¹, (cA)⁻¹ = A⁻¹/c, diag(v)⁻¹ = diag(1/v); A⁻¹A cancels in products."""

from __future__ import annotations

import functools

from deltarule import dtypes
from deltarule.explain.formula.term import Apply, Symbol, Term, Transpose
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.shapes import Size

NAME = "inverse"


@functools.lru_cache(maxsize=64)
def _body(size: Size) -> tuple[Node, Node]:
    """Return the graph of the inverse of a matrix, and the matrix."""
    matrix = build.input_node("A", (size, size), dtypes.FLOAT64)
    return build.solve(matrix, algebra.identity(size, dtypes.FLOAT64)), matrix


def inverse_of_atom(term: Term) -> Term:
    """Return A⁻¹ of a term that has no simpler inverse; that of Aᵀ is (A⁻¹)ᵀ.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> term_text(inverse_of_atom(Symbol.of("A", (3, 3))))
    'A⁻¹'
    """
    if isinstance(term, Transpose):
        return Transpose(inverse_of_atom(term.body), term.shape)
    if isinstance(term, Apply) and term.name == NAME:
        return term.arguments[0]
    if _is_orthogonal(term):
        return Transpose(term, term.shape)
    body, matrix = _body(term.shape[0])
    return Apply(NAME, (term,), term.shape, body, (matrix,))


def cancel(left: Term, right: Term) -> bool:
    """Whether two neighbours of a product are a matrix and its inverse.

    >>> A, B = Symbol.of("A", (3, 3)), Symbol.of("B", (3, 3))
    >>> cancel(inverse_of_atom(A), A), cancel(inverse_of_atom(A), B)
    (True, False)
    """
    if _inverted(left) == right or _inverted(right) == left:
        return True
    return any(
        _is_orthogonal(one) and other == Transpose(one, one.shape)
        for one, other in ((left, right), (right, left))
    )


def _is_orthogonal(term: Term) -> bool:
    return isinstance(term, Symbol) and term.orthogonal


def _inverted(term: Term) -> Term | None:
    """Return A of A⁻¹, and Aᵀ of (A⁻¹)ᵀ."""
    if isinstance(term, Apply) and term.name == NAME:
        return term.arguments[0]
    if isinstance(term, Transpose):
        inner = _inverted(term.body)
        if inner is None:
            return None
        return inner if is_symmetric(inner) else Transpose(inner, term.shape)
    return None


def is_symmetric(term: Term) -> bool:
    """Whether a matrix is a symbol known to be symmetric, or the inverse of such a symbol.

    >>> from dataclasses import replace
    >>> A = Symbol.of("A", (3, 3))
    >>> is_symmetric(A), is_symmetric(inverse_of_atom(replace(A, symmetric=True)))
    (False, True)
    """
    if isinstance(term, Apply) and term.name == NAME:
        return is_symmetric(term.arguments[0])
    return isinstance(term, Symbol) and term.symmetric
