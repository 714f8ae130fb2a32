"""Values of terms at a random point: fast enough to try hundreds of corrections of an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from deltarule import dtypes
from deltarule.errors import DeltaruleError
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
)
from deltarule.explain.proof.proof import Evaluate, Precise
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.graph.rewrite import in_float64, specialise
from deltarule.shapes import Dimension, Shape

_RELATIONS = {
    "<": lambda x, y: x < y,
    ">": lambda x, y: x > y,
    "≤": lambda x, y: x <= y,
    "≥": lambda x, y: x >= y,
    "=": lambda x, y: x == y,
    "≠": lambda x, y: x != y,
}


_FILLED = 0.7  # the share of entries that are not 0


class NoValueError(Exception):
    """A term has no finite value at a point."""


NO_VALUE = (
    NoValueError,
    DeltaruleError,
    ValueError,
)  # of a term whose sizes do not fit


class Point:
    """The values of symbols at one point, and of the terms made of them.

    Values of terms are kept by identity, so that a term that differs from another in one place costs the way to it.
    """

    def __init__(
        self,
        values: Mapping[Node, Any],
        evaluate: Evaluate,
        sizes: Mapping[Dimension, int],
    ) -> None:
        self._values = values
        self._evaluate = evaluate
        self._sizes = sizes
        self._known: dict[int, tuple[Term, Any]] = {}
        self._bodies: dict[int, tuple[Node, tuple[Node, ...], Node]] = {}
        self._identities: dict[int, Any] = {}
        self._constants: dict[tuple[tuple[int, ...], float], Any] = {}

    @property
    def nodes(self) -> Mapping[Node, Any]:
        """The values of nodes."""
        return self._values

    def of_node(self, node: Node) -> Any:
        """Return the value of a node."""
        return self._values[node]

    def shape(self, shape: Shape) -> tuple[int, ...]:
        """Return a shape with numbers for its unknown sizes."""
        return tuple(
            self._sizes.get(part, 0) if isinstance(part, Dimension) else int(part)
            for part in shape
        )

    def value(self, term: Term, given: Mapping[Symbol, Any] | None = None) -> Any:
        """Return the value of a term; ``given`` replaces the values of symbols (and nothing is kept).

        Raises:
            NoValueError: a part of it is not finite, or not known.
        """
        if given:
            return self._compute(term, given)
        known = self._known.get(id(term))
        if known is None:
            value = self._compute(term, None)
            known = self._known[id(term)] = (term, value)
        return known[1]

    def _symbol(self, term: Symbol, given: Mapping[Symbol, Any] | None) -> Any:
        value = (given or {}).get(term)
        value = self._values.get(term.node) if value is None else value
        if value is None:
            raise NoValueError(term.name)
        return value

    def _compute(self, term: Term, given: Mapping[Symbol, Any] | None) -> Any:
        if isinstance(term, Symbol):
            return self._symbol(term, given)
        if isinstance(term, Product):
            return self._product(term, given)
        if isinstance(term, Sum):
            result = self.value(term.terms[0], given)
            for part in term.terms[1:]:
                result = result + self.value(part, given)
            return result
        if isinstance(term, Matmul):
            result = self.value(term.factors[0], given)
            for factor in term.factors[1:]:
                result = result @ self.value(factor, given)
            return result
        if isinstance(term, (Transpose, Diagonal, Total)):
            body = self.value(term.body, given)
            if isinstance(term, Diagonal):
                return self._identity(body.shape[0]) * body
            return body.T if isinstance(term, Transpose) else body.sum()
        if isinstance(term, Indicator):
            left, right = self.value(term.left, given), self.value(term.right, given)
            return _RELATIONS[term.relation](left, right) * 1.0
        return self._apply(term, given)

    def _product(self, term: Product, given: Mapping[Symbol, Any] | None) -> Any:
        result: Any = None
        for factor, exponent in term.factors:
            value = self._raised(self.value(factor, given), exponent)
            wide = is_number(factor.shape) and not is_number(term.shape)
            value = value.sum() if wide else value
            result = value if result is None else result * value
        if result is None:
            return self._filled(self.shape(term.shape), float(term.coefficient))
        if term.coefficient != 1:
            result = result * float(term.coefficient)
        if getattr(result, "shape", ()) == () and term.shape != ():
            return self._filled(self.shape(term.shape), float(result))
        return result

    def _filled(self, shape: tuple[int, ...], value: float) -> Any:
        known = self._constants.get((shape, value))
        if known is None:
            node = build.full(shape, value, dtypes.FLOAT64)
            (known,) = self._evaluate([node], {})
            self._constants[shape, value] = known
        return known

    def _raised(self, value: Any, exponent: Fraction) -> Any:
        if exponent == 1:
            return value
        if exponent.denominator == 1 and 0 < exponent <= 4:
            result = value
            for _ in range(int(exponent) - 1):
                result = result * value
            return result
        held = build.input_node("base", tuple(value.shape), dtypes.FLOAT64)
        (result,) = self._evaluate([_power(held, exponent)], {held: value})
        return _finite(result)

    def _identity(self, size: int) -> Any:
        if size not in self._identities:
            node = algebra.identity(size, dtypes.FLOAT64)
            (self._identities[size],) = self._evaluate([node], {})
        return self._identities[size]

    def _apply(self, term: Apply, given: Mapping[Symbol, Any] | None) -> Any:
        known = self._bodies.get(id(term.body))
        if known is None or known[0] is not term.body:
            known = (term.body, *self._precise(term))
            self._bodies[id(term.body)] = known
        _, parameters, body = known
        values = {}
        for parameter, argument in zip(parameters, term.arguments, strict=True):
            value = self.value(argument, given)
            if is_number(argument.shape) and not is_number(parameter.shape):
                value = self._filled(tuple(map(int, parameter.shape)), float(value))
            values[parameter] = value.reshape(parameter.shape)
        (result,) = self._evaluate([body], values)
        return _finite(result.reshape(self.shape(term.shape)))

    def _precise(self, term: Apply) -> tuple[tuple[Node, ...], Node]:
        """Return the graph of a function in float64 and with known sizes, and its parameters."""
        twins = {
            parameter: build.input_node(
                "x",
                self.shape(parameter.shape),
                dtypes.FLOAT64 if parameter.dtype.is_float else parameter.dtype,
            )
            for parameter in dict.fromkeys(term.parameters)
        }
        body = term.body
        if any(
            twin.shape != own.shape or twin.dtype != own.dtype
            for own, twin in twins.items()
        ):
            held = {
                own: build.input_node("x", twin.shape, own.dtype)
                for own, twin in twins.items()
            }
            (body,) = specialise([body], self._sizes, held)
            (body,) = in_float64(
                [body], {held[own]: twin for own, twin in twins.items()}
            )
            return tuple(twins[parameter] for parameter in term.parameters), body
        return tuple(term.parameters), body


def _power(base: Node, exponent: Fraction) -> Node:
    if exponent == Fraction(1, 2):
        return build.sqrt(base)
    if exponent == -1:
        return build.divide(1.0, base)
    if exponent.denominator == 1 and -4 <= exponent < 0:
        result = base
        for _ in range(-int(exponent) - 1):
            result = build.multiply(result, base)
        return build.divide(1.0, result)
    return build.power(base, float(exponent))


def _finite(value: Any) -> Any:
    if not math.isfinite(float(abs(value).sum())):
        raise NoValueError("not finite")
    return value


def points(
    precise: Precise,
    nodes: Sequence[Node],
    evaluate: Evaluate,
    truth: Node,
    answer: Node | None,
    wanted: int,
) -> list[tuple[Point, Any]]:
    """Draw points where the truth is finite, with its value there.

    Those come first where it has some zeros but not many, so that indicators are 1 and 0, and the answer is not 0.
    """
    twins = [precise[node] for node in (truth, *nodes)]
    found = []
    for _ in range(3 * wanted):
        value, *values = precise.values(twins, precise.draw())
        whole = float(abs(value).sum())
        if math.isfinite(whole) and whole > 0:
            held = {n: as_matrix(v) for n, v in zip(nodes, values, strict=True)}
            filled = float((value != 0).sum()) / value.size
            empty = answer is not None and not bool((held[answer] != 0).any())
            found.append((empty, abs(filled - _FILLED), held, as_matrix(value)))
    found.sort(key=lambda item: item[:2])
    return [
        (Point(held, evaluate, precise.sizes), value)
        for _, _, held, value in found[:wanted]
    ]


def as_matrix(array: Any) -> Any:
    """Return a vector as a column."""
    return array.reshape((array.shape[0], 1)) if array.ndim == 1 else array
