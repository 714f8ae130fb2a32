"""LaTeX structures with arguments: fractions, roots, matrices, cases."""

from __future__ import annotations

from fractions import Fraction

from deltarule.explain.reading.parser.index_lists import IndexParser
from deltarule.explain.reading.syntax import (
    Blocks,
    Called,
    Choice,
    Expression,
    Literal,
    Power,
    Quotient,
)
from deltarule.explain.reading.tokens import Token


class StructureParser(IndexParser):
    """Parse fractions, roots, matrices and cases of LaTeX."""

    def _structure(self, token: Token) -> Expression:
        if token.text == "sqrt":
            root: Expression | None = None
            if self.accept("["):
                root = self.inside("]")
            body = self._argument_group()
            if root is not None:
                return Power(body, Quotient(Literal(Fraction(1)), root), at=token.at)
            return Called("sqrt", (body,), at=token.at)
        derivative = self.derivative_fraction()
        if derivative is not None:
            return derivative
        over = self._argument_group()
        return Quotient(over, self._argument_group(), token.at)

    def _argument_group(self) -> Expression:
        """Parse the argument of a LaTeX command: a braced group, or one digit, letter or command."""
        if self.accept("{"):
            return self.inside("}")
        token = self.here
        if token.kind == "end":
            self.fail(token, "two arguments of \\frac")
        if token.kind in {"number", "word"} and len(token.text) > 1 and not token.unit:
            self.split(token, 1)
        return self.atom()

    def _environment(self, token: Token) -> Expression:
        cells: list[list[Expression]] = [[]]
        conditions: list[tuple[Expression, Expression | None]] = []
        cases = token.text in {"cases", "dcases", "rcases"}
        while self.here.kind != "close":
            if self.here.kind == "end":
                self.fail(self.here, f"\\end{{{token.text}}}")
            if self.accept("\\\\", "\n"):
                cells.append([])
            elif not self.accept("&", ","):
                if cases and cells[-1]:
                    self._condition(cells, conditions)
                else:
                    cells[-1].append(self.sum())
        self.take()
        rows = [row for row in cells if row]
        if cases:
            return Choice(
                tuple(conditions) + tuple((row[0], None) for row in rows), token.at
            )
        if not rows:
            self.fail(token, "the entries of a matrix")
        return Blocks(tuple(map(tuple, rows)), token.at)

    def case_list(self, first: Expression, closing: str) -> Expression:
        """Parse the rest of {1 if z > 0; 0 otherwise} after its first value."""
        at = self.here.at
        rows: list[tuple[Expression, Expression | None]] = []
        value = first
        while True:
            cells = [[value]]
            self._condition(cells, rows)
            if not self.accept(";", ","):
                break
            value = self.sum()
        if self.here.text != closing:
            self.fail(self.here, f'"{closing}"')
        return Choice(tuple(rows), at)

    def _condition(
        self,
        cells: list[list[Expression]],
        conditions: list[tuple[Expression, Expression | None]],
    ) -> None:
        """Parse the condition of a case: if z > 0, otherwise."""
        otherwise = False
        while self.here.kind == "word" and self.here.text in {
            "if",
            "otherwise",
            "else",
            "for",
            "falls",
        }:
            otherwise = self.take().text in {"otherwise", "else"} or otherwise
        condition = None if otherwise else self.relation()
        conditions.append((cells[-1][0], condition))
        cells[-1] = []
