"""Derivatives in a formula: chains of Jacobians ∂L/∂a ∂a/∂z ∂z/∂w, and a Jacobian alone."""

from __future__ import annotations

from deltarule.errors import ArgumentError
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.reading.meaning.context import Context
from deltarule.explain.reading.meaning.values import Value
from deltarule.explain.reading.syntax import (
    Called,
    Differential,
    Expression,
    Multiplication,
    Named,
    Transposed,
)
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node

_MOST_OUTPUTS = 64
Factor = tuple[str, Expression, Value]  # the operator before it, the tree, the value


class Chains:
    """Join the factors of a product that are a chain of derivatives: each is the pullback of the one before."""

    def __init__(self, evaluation: Context) -> None:
        self._evaluation = evaluation

    def factors(self, tree: Multiplication) -> list[Factor]:
        """Return the factors of a product with their values, chains of derivatives as one factor."""
        parts = list(zip(("", *tree.operators), tree.factors, strict=True))
        if not any(_differential(part) for _, part in parts):
            after = [*tree.operators, ""]
            return [
                (sign, part, self._evaluation.value(_unflipped(part, following)))
                for (sign, part), following in zip(parts, after, strict=True)
            ]
        found: list[
            tuple[str, Expression, Node | None, Node | None]
        ] = []  # … cotangent, of
        for sign, part in parts:
            cotangent, of = self._cotangent(part)
            found.append((sign, part, cotangent, of))
        changed = True
        while changed:
            changed = False
            for place in range(len(found) - 1):
                joined = self._joined(found[place], found[place + 1])
                if joined is not None:
                    found[place : place + 2] = [joined]
                    changed = True
                    break
        result: list[Factor] = []
        for sign, part, cotangent, of in found:
            is_chain = (
                cotangent is not None and of is not None and not isinstance(part, Named)
            )
            value = (
                self._as_value(cotangent)
                if is_chain and cotangent is not None
                else self._evaluation.value(part)
            )
            result.append((sign, part, value))
        return result

    def _as_value(self, cotangent: Node) -> Value:
        node = build.cast(cotangent, self._evaluation.dtype)
        node = build.reshape(node, matrix_shape(node.shape))
        if self._evaluation.vocabulary.layout == "numerator" and node.rank == 2:
            node = build.matrix_transpose(node)
        return Value(node)

    def _cotangent(self, part: Expression) -> tuple[Node | None, Node | None]:
        """Return the derivative of the loss that a factor is, and the node that it is with respect to."""
        vocabulary = self._evaluation.vocabulary
        if isinstance(part, Transposed) and isinstance(part.body, Named):
            part = part.body
        if isinstance(part, Named) and part.symbol.node in vocabulary.cotangents:
            return part.symbol.node, vocabulary.cotangents[part.symbol.node]
        if (
            isinstance(part, Named)
            and (turned := vocabulary.rows.get(part.symbol.node)) is not None
        ):
            return turned, vocabulary.cotangents[turned]
        if isinstance(part, Differential) and part.over.node is vocabulary.loss_node:
            (found,) = gradients(part.over.node, [part.under.node])
            return found, part.under.node
        return None, None

    def _joined(
        self,
        left: tuple[str, Expression, Node | None, Node | None],
        right: tuple[str, Expression, Node | None, Node | None],
    ) -> tuple[str, Expression, Node | None, Node | None] | None:
        for chain, step in ((left, right), (right, left)):
            differential = _differential(step[1])
            if (
                differential is None
                or chain[2] is None
                or differential.over.node is not chain[3]
            ):
                continue
            under = differential.under.node
            cotangent = build.reshape(
                build.cast(chain[2], differential.over.node.dtype),
                differential.over.node.shape,
            )
            (pulled,) = gradients(differential.over.node, [under], cotangent)
            return left[0], step[1], pulled, under
        return None

    def jacobian(self, tree: Differential) -> Value:
        """Return ∂a/∂z as the matrix with a row for each entry of a.

        Raises:
            ArgumentError: the arrays are too large, or of unknown size.
        """
        over, under = tree.over.node, tree.under.node
        size = 1
        for part in over.shape:
            size = size * part if isinstance(part, int) else _MOST_OUTPUTS + 1
        if size > _MOST_OUTPUTS or not over.dtype.is_float:
            raise ArgumentError(
                f"derivative at position {tree.at + 1}",
                expected="a chain of derivatives that begins with the loss",
                got="the Jacobian of a large array",
            )
        rows = []
        for place in range(size):
            unit = build.cast(build.equal(build.iota((size,), 0), place), over.dtype)
            (row,) = gradients(over, [under], build.reshape(unit, over.shape))
            columns = 1
            for part in row.shape:
                columns = columns * part if isinstance(part, int) else columns
            rows.append(build.reshape(row, (1, columns)))
        node = rows[0] if size == 1 else build.concatenate(rows, 0)
        if under.shape == () and over.shape == ():
            node = build.reshape(node, ())
        return Value(build.cast(node, self._evaluation.dtype))


def _unflipped(part: Expression, following: str) -> Expression:
    """Return W of flip(W) ⋆_full δ, whose flip is part of the operation."""
    if following == "⋆full" and isinstance(part, Called) and part.function == "flip":
        return part.arguments[0]
    return part


def _differential(part: Expression) -> Differential | None:
    if isinstance(part, Transposed):
        part = part.body
    return part if isinstance(part, Differential) else None
