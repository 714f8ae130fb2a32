"""The last lines of the page of one example: the gradients of a batch as means over its examples, and their proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deltarule.explain.derivation.derivation import Derived, Line
from deltarule.explain.derivation.single_example import OneExample
from deltarule.explain.formula.term import Matmul, Sum, Symbol, Term, renamed, symbols
from deltarule.explain.formula.to_graph import difference, lower_to
from deltarule.explain.formula.typeset import derivative, symbol, typeset
from deltarule.explain.page.numerator_layout import in_layout
from deltarule.explain.page.page import Entry, size
from deltarule.explain.proof.proof import CheckedLine, Draw, Evaluate, Precise
from deltarule.grad.check import largest
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import topological
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula
from deltarule.render.numbers import named

_POINTS = 4
EACH = "^(i)"  # what the name of a quantity of example i ends with


@dataclass(frozen=True)
class Batch:
    """A batch loss, and what one example of it is."""

    loss: Node
    example: OneExample

    @property
    def title(self) -> str:
        """The heading of the last lines."""
        kind = "mean" if self.example.mean else "sum"
        return f"{kind} over a batch of {self.example.size} {named(1 if self.example.size == 1 else 2, 'example')}"

    def entries(self, derived: Derived) -> list[Entry]:
        """Return J and its gradients as means over the examples."""
        name = "J" if derived.loss_name == "L" else f"{derived.loss_name}_batch"
        loss = symbol(derived.loss_name + EACH)
        found = [Entry("", symbol(name), self._over(loss), None, "1", "")]
        own = set(self.example.inputs.values())
        first = len(derived.backward)
        wanted = [
            line for line in in_layout(derived.backward, derived.layout) if line.wanted
        ]
        for i, line in enumerate(wanted):
            reads = {s for s in symbols(line.term) if own & set(topological([s.node]))}
            term = renamed(
                line.term, {s: replace(s, name=s.name + EACH) for s in reads}
            )
            formula = (
                m.Fenced(typeset(term)) if isinstance(term, Sum) else typeset(term)
            )
            reason = "" if derived.layout == "numerator" else self._stacked(line.term)
            left = derivative(name, line.name)
            found.append(
                Entry(
                    str(first + i + 1),
                    left,
                    self._over(formula),
                    None,
                    size(line.shape),
                    reason,
                )
            )
        return found

    def lines(self, derived: Derived) -> list[Line]:
        """Return the lines of the wanted gradients of one example."""
        return [line for line in derived.backward if line.wanted]

    def _over(self, formula: Formula) -> Formula:
        count = self.example.size
        number: Formula = (
            m.Number(str(count)) if isinstance(count, int) else m.Identifier(count.name)
        )
        front: list[Formula] = (
            [m.Fraction(m.Number("1"), number), m.Operator(" ")]
            if self.example.mean
            else []
        )
        return m.row(
            *front,
            m.Scripts(m.Operator("Σ"), lower=m.Identifier("i")),
            m.Operator(" "),
            formula,
        )

    def _stacked(self, term: Term) -> str:
        """Return the matrix form of a mean of outer products, examples as rows: Δ₂ᵀA₁/N."""
        over = f"/{self.example.size}" if self.example.mean else ""
        if any("_hat" in s.name for s in symbols(term)):
            return ""
        if isinstance(term, Symbol) and len(term.shape) == 2 and term.shape[1] == 1:
            return f"= {_rows(term)}ᵀ𝟙{over}, examples as rows"
        if not isinstance(term, Matmul) or len(term.factors) != 2:
            return ""
        found = symbols(term)
        if len(found) != 2 or any(s.shape[1:] != (1,) for s in found):
            return ""
        return f"= {_rows(found[0])}ᵀ{_rows(found[1])}{over}, examples as rows"

    def check(
        self, derived: Derived, evaluate: Evaluate, draw: Draw
    ) -> list[CheckedLine]:
        """Evaluate the gradients of the batch, and the means of the printed lines over its examples; compare."""
        lines = self.lines(derived)
        whole = gradients(self.loss, [line.node for line in lines])
        batch = Precise([self.loss, *whole], evaluate, draw, self.loss)
        formulas = [lower_to(line.term, line.value) for line in lines]
        single = Precise(
            [self.example.loss, *formulas], evaluate, draw, self.example.loss
        )
        errors = [0.0] * len(lines)
        for _ in range(_POINTS):
            given = batch.draw()
            exact = batch.values([batch[node] for node in whole], given)
            means = self._means(
                [single[formula] for formula in formulas], single, batch, given
            )
            for i, (left, right) in enumerate(zip(exact, means, strict=True)):
                errors[i] = largest(
                    [errors[i], _error(batch, batch[whole[i]], left, right)]
                )
        return [
            CheckedLine(line, 0.0, error, _POINTS)
            for line, error in zip(lines, errors, strict=True)
        ]

    def _means(
        self,
        formulas: Sequence[Node],
        single: Precise,
        batch: Precise,
        given: Mapping[Node, Any],
    ) -> list[Any]:
        rows = {
            single[row]: given[batch[node]]
            for node, row in self.example.inputs.items()
            if row in single
        }
        shared = {
            single[node]: given[batch[node]] for node in batch.leaves if node in single
        }
        count = len(next(iter(rows.values())))
        found = [
            single.values(
                formulas, {**shared, **{node: value[i] for node, value in rows.items()}}
            )
            for i in range(count)
        ]
        return [
            sum(values[1:], values[0]) / (count if self.example.mean else 1)
            for values in zip(*found, strict=True)
        ]


def _rows(term: Symbol) -> str:
    """Return the name of the matrix whose rows are a vector of every example: Δ₂ of δ₂."""
    return m.to_text(symbol(term.name[:1].upper() + term.name[1:]))


def _error(precise: Precise, like: Node, left: Any, right: Any) -> float:
    a, b = (
        build.input_node(name, like.shape, like.dtype) for name in ("left", "right")
    )
    return precise.numbers([difference(a, b)], {a: left, b: right})[0]
