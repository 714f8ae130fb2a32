"""Printing of loop programs as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from deltarule.lower.index import Axis, Index, of
from deltarule.lower.loops import (
    Apply,
    Check,
    Contraction,
    Expr,
    Guard,
    Load,
    LoopProgram,
    Nest,
    Number,
    Position,
    Random,
    Result,
    Routine,
    Scatter,
    Statement,
    replace_all,
    subexpressions,
)

_LETTERS = "ijlmnpqrstuv"  # loops over results; reductions are k, k1, k2 …
_SIGNS = {
    "ADD": "+",
    "SUBTRACT": "-",
    "MULTIPLY": "*",
    "DIVIDE": "/",
    "LESS": "<",
    "EQUAL": "==",
}


def show_program(program: LoopProgram) -> str:
    """Return the statements of a program as text, a paragraph each.

    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (3,))
    >>> print(show_program(lower(Program((x,), (exp(x),))).program))
    # 0: exp
    for i in 0..3:
      output0[i] = exp(x[i])
    """
    return "\n\n".join(
        show_statement(statement, place)
        for place, statement in enumerate(program.statements)
    )


def show_statement(statement: Statement, place: int = 0) -> str:
    """Return one statement as text: its loops and stores.

    >>> from deltarule.dtypes import FLOAT32
    >>> from deltarule.lower.index import of
    >>> from deltarule.lower.loops import Buffer, Store, zero
    >>> i = Axis("i", 8)
    >>> print(show_statement(Nest("fill", (i,), (Store(Buffer("y", FLOAT32, 8), of(i), zero(FLOAT32)),))))
    # 0: fill
    for i in 0..8:
      y[i] = 0.0
    """
    lines = [f"# {place}: {statement.label}"]
    if isinstance(statement, Routine):
        arguments = ", ".join(map(str, statement.arguments))
        return "\n".join(
            [*lines, f"{statement.results[0]} = {statement.kind}({arguments})"]
        )
    reduce = statement.reduce if isinstance(statement, Nest | Contraction) else ()
    names = _names(statement.axes, reduce)
    writer = _Writer(statement, names)
    depth = 0
    for axis in statement.axes:
        lines.append(f"{'  ' * depth}for {names[axis]} in 0..{axis.extent}:")
        depth += 1
    lines.extend(f"{'  ' * depth}{line}" for line in writer.lines(statement, reduce))
    return "\n".join(lines)


def _names(axes: Iterable[Axis], reduce: Iterable[Axis]) -> dict[Axis, str]:
    names = {
        axis: _LETTERS[i] if i < len(_LETTERS) else f"i{i}"
        for i, axis in enumerate(axes)
    }
    names |= {axis: f"k{i or ''}" for i, axis in enumerate(reduce)}
    return names


class _Writer:
    """A writer of expressions that names repeated subexpressions."""

    def __init__(self, statement: Statement, names: dict[Axis, str]) -> None:
        self._new = {axis: of(Axis(name, axis.extent)) for axis, name in names.items()}
        self._known: dict[Expr, Expr] = {}
        self._texts: dict[Expr, str] = {}
        self._count = 0
        self._statement = statement

    def lines(self, statement: Statement, reduce: tuple[Axis, ...]) -> list[str]:
        """Return the stores at one point of the loops over results."""
        found = []
        if isinstance(statement, Nest):
            for number, reduction in enumerate(statement.reductions):
                over = ", ".join(
                    f"{self._new[axis]} in 0..{axis.extent}" for axis in reduce
                )
                wide = (
                    f" in {reduction.accumulator}"
                    if reduction.accumulator is not reduction.value.dtype
                    else ""
                )
                wide = "" if reduction.kind == "argmax" else wide
                shared, (value,) = self._expressions([reduction.value])
                found.extend(shared)
                found.append(
                    f"result{number} = {reduction.kind}{wide} over {over or 'nothing'} of {value}"
                )
        if isinstance(statement, Contraction):
            over = ", ".join(
                f"{self._new[axis]} in 0..{axis.extent}" for axis in reduce
            )
            _, (left, right) = self._expressions([statement.left, statement.right])
            found.append(f"result0 = sum over {over or 'nothing'} of {left} * {right}")
        shared, values = self._expressions([store.value for store in statement.stores])
        found.extend(shared)
        sign = "+=" if isinstance(statement, Scatter) else "="
        for store, value in zip(statement.stores, values, strict=True):
            found.append(f"{store.buffer}[{self._index(store.index)}] {sign} {value}")
        return found

    def _index(self, index: Index) -> Index:
        return index.replace(self._new)

    def _expressions(self, roots: list[Expr]) -> tuple[list[str], list[str]]:
        """Return the definitions of shared subexpressions, and the texts of the roots."""
        renamed = []
        for root in roots:
            for part in subexpressions([root]):
                replace_all(part, self._new, self._known)
            renamed.append(self._known[root])
        order = subexpressions(renamed)
        readers = Counter(part for expr in order for part in expr.parts) + Counter(
            renamed
        )
        lines = []
        for expr in order:
            text = self._text(expr)
            if (
                readers[expr] > 1
                and isinstance(expr, Apply | Check | Guard | Random)
                and expr not in self._texts
            ):
                self._count += 1
                lines.append(f"v{self._count} = {text}")
                text = f"v{self._count}"
            self._texts.setdefault(expr, text)
        return lines, [self._texts[expr] for expr in renamed]

    def _text(self, expr: Expr) -> str:
        known = self._texts.get(expr)
        if known is not None:
            return known
        if isinstance(expr, Apply):
            operands = [self._text(operand) for operand in expr.operands]
            sign = _SIGNS.get(expr.op.name)
            if sign is not None:
                return f"({operands[0]} {sign} {operands[1]})"
            name = str(expr.dtype) if expr.op.name == "CAST" else expr.op.name.lower()
            return f"{name}({', '.join(operands)})"
        if isinstance(expr, Guard):
            conditions = " and ".join(map(str, expr.conditions))
            return f"({self._text(expr.inside)} if {conditions} else {self._text(expr.outside)})"
        if isinstance(expr, Check):
            return f"check({self._text(expr.value)}, {self._text(expr.condition)})"
        if isinstance(expr, Load | Number | Position | Result | Random):
            return str(expr)
        return type(expr).__name__
