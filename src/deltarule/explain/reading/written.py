"""The formula that was understood, typeset from its syntax tree."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from deltarule.explain.formula.term import Symbol
from deltarule.explain.formula.typeset import number_formula, symbol
from deltarule.explain.reading.known_functions import FUNCTIONS, function_key
from deltarule.explain.reading.syntax import (
    Addition,
    Blocks,
    Called,
    Choice,
    Constant,
    Differential,
    Entry,
    Expression,
    Index,
    Letter,
    Literal,
    Multiplication,
    Named,
    Negative,
    Norm,
    Power,
    Quotient,
    Related,
    Span,
    Summed,
    Transposed,
    regrouped,
)
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

Readings = Mapping[tuple[int, int], str]
_SUM, _PRODUCT, _MATMUL, _POWER, _ATOM = 0, 1, 2, 3, 4
_MINUS = m.Operator("−")
_T = m.Identifier("T", upright=True)
_SHOWN = {"one_hot": "e", "unit": "e", "activation": "f"}


def written(tree: Expression, readings: Readings) -> Formula:
    """Return the formula of a syntax tree; ``readings`` holds what was chosen for * and for powers of matrices.

    A power that was taken entry by entry is written A^{∘2}, and a product by * as the product that it was taken for.
    """
    return _Writer(readings).formula(tree)[0]


class _Writer:
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def within(self, tree: Expression, loosest: int) -> Formula:
        """Return a formula, in parentheses if it binds more loosely."""
        formula, precedence = self.formula(tree)
        return formula if precedence >= loosest else m.Fenced(formula)

    def formula(self, tree: Expression) -> tuple[Formula, int]:
        """Return the formula of a tree and its precedence."""
        if isinstance(tree, Literal):
            value = number_formula(tree.value)
            return value, _ATOM if tree.value >= 0 and isinstance(
                value, m.Number
            ) else _MATMUL
        if isinstance(tree, Named):
            named = symbol(tree.symbol.name)
            return named, _POWER if isinstance(named, m.Fraction) else _ATOM
        if isinstance(tree, (Constant, Letter)):
            return m.Identifier(tree.name), _ATOM
        if isinstance(tree, Entry):
            return self._entry(tree)
        if isinstance(tree, Negative):
            return m.row(_MINUS, self.within(tree.body, _PRODUCT)), _SUM
        if isinstance(tree, Addition):
            return self._sum(tree), _SUM
        if isinstance(tree, Multiplication):
            return self._product(tree)
        if isinstance(tree, Quotient):
            return m.Fraction(
                self.formula(tree.over)[0], self.formula(tree.under)[0]
            ), _MATMUL
        if isinstance(tree, Power):
            return self._power(tree)
        if isinstance(tree, Transposed):
            return m.Scripts(self._base(tree.body), upper=_T), _POWER
        return self._other(tree)

    def _other(self, tree: Expression) -> tuple[Formula, int]:
        if isinstance(tree, Called):
            return self._call(tree)
        if isinstance(tree, Norm):
            return self._norm(tree)
        if isinstance(tree, Summed):
            return self._total(tree)
        if isinstance(tree, Related):
            left, right = self.formula(tree.left)[0], self.formula(tree.right)[0]
            inside = m.row(left, m.Operator(tree.relation, spaced=True), right)
            return m.row(m.Identifier("𝟙"), m.Fenced(inside)), _ATOM
        if isinstance(tree, Choice):
            return self._cases(tree), _ATOM
        if isinstance(tree, Differential):
            return self._differential(tree), _POWER
        if isinstance(tree, Blocks):
            rows = [[self.formula(cell)[0] for cell in row] for row in tree.rows]
            return m.Grid(tuple(map(tuple, rows))), _ATOM
        raise TypeError(f"no formula of {type(tree).__name__}")

    def _differential(self, tree: Differential) -> Formula:
        over, under = symbol(tree.over.name), symbol(tree.under.name)
        partial = m.Operator("∂")
        return m.Fraction(m.row(partial, over), m.row(partial, under), inline=True)

    def _sum(self, tree: Addition) -> Formula:
        formulas: list[Formula] = []
        for place, (sign, term) in enumerate(tree.terms):
            body = self.within(term, _PRODUCT)
            if place:
                formulas.append(m.Operator("+" if sign > 0 else "−", spaced=True))
            elif sign < 0:
                formulas.append(_MINUS)
            formulas.append(body)
        return m.row(*formulas)

    def _product(self, tree: Multiplication) -> tuple[Formula, int]:
        if (id(tree), -1) in self._readings:
            tree = regrouped(tree) or tree
        signs = [self._operator(tree, i) for i in range(len(tree.operators))]
        loose = any(sign in {"⊙", "⊗", "⋆"} for sign in signs)
        level = _MATMUL if loose else _POWER
        formulas: list[Formula] = [self.within(tree.factors[0], level)]
        for sign, factor in zip(signs, tree.factors[1:], strict=True):
            after = self.within(factor, level)
            if sign:
                formulas.append(m.Operator(sign, spaced=sign != "·"))
            elif _needs_space(formulas[-1], after):
                formulas.append(m.Operator(" "))
            formulas.append(after)
        return m.row(*formulas), _PRODUCT if loose else _MATMUL

    def _operator(self, tree: Multiplication, place: int) -> str:
        sign = tree.operators[place]
        if sign == "*":
            chosen = self._readings.get((id(tree), place), "")
            return "⊙" if chosen == "entry" else ""
        if sign in {"·", "×"}:
            return "·"
        return {"⋆full": "⋆"}.get(sign, sign)

    def _base(self, tree: Expression) -> Formula:
        formula, precedence = self.formula(tree)
        plain = precedence >= _ATOM and not (
            isinstance(formula, m.Row) and isinstance(tree, Called)
        )
        return formula if plain else m.Fenced(formula)

    def _power(self, tree: Power) -> tuple[Formula, int]:
        exponent = self.formula(tree.exponent)[0]
        if isinstance(tree.exponent, Literal) and isinstance(
            tree.exponent.value, Fraction
        ):
            exponent = number_formula(tree.exponent.value)
        if self._readings.get((id(tree), 0)) == "entry":
            exponent = m.row(m.Operator("∘"), exponent)
        return m.Scripts(self._base(tree.base), upper=exponent), _POWER

    def _entry(self, tree: Entry) -> tuple[Formula, int]:
        body = self._base(tree.body)
        plain = all(isinstance(i, (str, int)) for i in tree.indices)
        if tree.example and plain:
            return m.Scripts(
                body, upper=m.Fenced(m.Identifier(str(tree.indices[0])))
            ), _POWER
        if plain:
            base = m.Fenced(body) if isinstance(body, m.Scripts) else body
            letters = [m.Identifier(str(i)) for i in tree.indices]
            apart = any(isinstance(i, int) for i in tree.indices)
            lower = m.join(letters, m.Operator(",")) if apart else m.row(*letters)
            return m.Scripts(base, lower=lower), _POWER
        inside = m.join([_index(i) for i in tree.indices], m.Operator(", "))
        return m.row(body, m.Fenced(inside, "[", "]")), _POWER

    def _call(self, tree: Called) -> tuple[Formula, int]:
        key = function_key(tree.function)
        name = _SHOWN.get(tree.function) or (
            FUNCTIONS[key].shown if key else tree.function
        )
        if name == "Σ" and len(tree.arguments) > 1:
            name = "sum"  # over one axis: sum(X, 1)
        arguments = [self.formula(argument)[0] for argument in tree.arguments]
        if name == "√":
            return m.Root(arguments[0]), _POWER
        if (
            tree.function == "exp"
            and not tree.primes
            and tree.power is None
            and len(arguments) == 1
        ):
            return m.Scripts(m.Identifier("e"), upper=arguments[0]), _POWER
        if tree.function in {"one_hot", "unit"}:
            return m.Scripts(m.Identifier("e"), lower=arguments[0]), _POWER
        if tree.function == "I":
            return arguments[0], _ATOM
        head: Formula = m.Identifier(name, upright=len(name) > 1)
        upper = m.Operator("′" * tree.primes) if tree.primes else None
        power = self.formula(tree.power)[0] if tree.power is not None else None
        lower = m.Identifier("".join(tree.lower)) if tree.lower else None
        if upper is not None or power is not None or lower is not None:
            head = m.Scripts(head, lower=lower, upper=power if upper is None else upper)
        if not arguments:
            return head, _ATOM
        return m.row(head, m.Fenced(m.join(arguments, m.Operator(", ")))), _ATOM

    def _norm(self, tree: Norm) -> tuple[Formula, int]:
        bars = "|" if tree.kind == "abs" else "‖"
        fenced = m.Fenced(self.formula(tree.body)[0], bars, bars)
        if tree.kind in {"abs", "2"}:
            return fenced, _ATOM
        lower = m.Number("1") if tree.kind == "1" else m.Identifier("F", upright=True)
        return m.Scripts(fenced, lower=lower), _ATOM

    def _total(self, tree: Summed) -> tuple[Formula, int]:
        head: Formula = m.Operator("Σ")
        letters: list[Formula] = [m.Identifier(letter) for letter in tree.indices]
        if tree.lower is not None:
            letters += [m.Operator("="), self.formula(tree.lower)[0]]
        upper = self.formula(tree.upper)[0] if tree.upper is not None else None
        if letters or upper is not None:
            head = m.Scripts(
                head, lower=m.row(*letters) if letters else None, upper=upper
            )
        return m.row(head, m.Operator(" "), self.within(tree.body, _PRODUCT)), _PRODUCT

    def _cases(self, tree: Choice) -> Formula:
        rows: list[Formula] = []
        for value, condition in tree.rows:
            shown = self.formula(value)[0]
            if condition is None:
                rows.append(m.row(shown, m.Text(" otherwise")))
                continue
            if isinstance(condition, Related):
                left = self.formula(condition.left)[0]
                right = self.formula(condition.right)[0]
                sign = m.Operator(condition.relation, spaced=True)
                rows.append(m.row(shown, m.Text(" if "), left, sign, right))
            else:
                rows.append(m.row(shown, m.Text(" if "), self.formula(condition)[0]))
        return m.Fenced(m.join(rows, m.Text("; ")), "{", "}")


def _index(index: Index) -> Formula:
    if isinstance(index, Span):
        if index.start is None:
            return m.Text(":")
        middle = f":{index.step}" if index.step != 1 else ""
        return m.Text(f"{index.start}{middle}:{index.stop}")
    return symbol(index.name) if isinstance(index, Symbol) else m.Identifier(str(index))


def _needs_space(left: Formula, right: Formula) -> bool:
    before, after = m.to_text(left), m.to_text(right)
    words = (
        before[-1].isalnum()
        and after[0].isalpha()
        and (before[-2:].isalpha() and before[-2:].isascii())
    )
    words = words or (after[:2].isalpha() and after[:2].isascii() and len(after) > 1)
    digits = before[-1].isnumeric() and after[0].isnumeric()
    fraction = isinstance(left, m.Fraction) or isinstance(right, m.Fraction)
    return words or digits or fraction
