"""The formula of an answer in Python, as it was understood."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from deltarule.explain.formula.algebra import exact
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.typeset import number_formula, symbol
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

Shapes = Mapping[int, tuple[object, ...]]
_SUM, _PRODUCT, _MATMUL, _POWER, _ATOM = 0, 1, 2, 3, 4
_T = m.Identifier("T", upright=True)
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Gt: ">",
    ast.Lt: "<",
    ast.GtE: "≥",
    ast.LtE: "≤",
    ast.Eq: "=",
    ast.NotEq: "≠",
}
_PRODUCTS = {"dot": "", "matmul": "", "multiply": "⊙", "outer": "outer"}
_MODULES = {"np", "numpy", "jnp", "torch", "dr", "nn"}


def written_python(body: Sequence[ast.stmt], shapes: Shapes) -> Formula:
    """Return the formula of the last statement, and those of the assignments before it after a semicolon."""
    writer = _Writer(shapes)
    formulas: list[Formula] = []
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(
            statement.targets[0], ast.Name
        ):
            right = writer.formula(statement.value)[0]
            name = _name(statement.targets[0].id)
            formulas.append(m.row(name, m.Operator("=", spaced=True), right))
        elif (
            isinstance(statement, (ast.Expr, ast.Return))
            and statement.value is not None
        ):
            formulas.append(writer.formula(statement.value)[0])
    return m.join([*formulas[-1:], *formulas[:-1]], m.Text("; "))


def _name(text: str) -> Formula:
    return symbol(canonical(text))


class _Writer:
    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def within(self, tree: ast.expr, loosest: int) -> Formula:
        formula, precedence = self.formula(tree)
        return formula if precedence >= loosest else m.Fenced(formula)

    def formula(self, tree: ast.expr) -> tuple[Formula, int]:
        """Return the formula of an expression and its precedence."""
        if isinstance(tree, ast.Constant):
            return self._constant(tree.value)
        if isinstance(tree, ast.Name):
            return _name(tree.id), _ATOM
        if isinstance(tree, ast.BinOp):
            return self._binary(tree)
        if isinstance(tree, ast.UnaryOp):
            sign = (
                "−"
                if isinstance(tree.op, ast.USub)
                else "+"
                if isinstance(tree.op, ast.UAdd)
                else "¬"
            )
            return m.row(m.Operator(sign), self.within(tree.operand, _PRODUCT)), _SUM
        if isinstance(tree, ast.Compare):
            left, right = (
                self.formula(tree.left)[0],
                self.formula(tree.comparators[0])[0],
            )
            sign = _COMPARE.get(type(tree.ops[0]), "?")
            inside = m.row(left, m.Operator(sign, spaced=True), right)
            return m.row(m.Identifier("𝟙"), m.Fenced(inside)), _ATOM
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.Attribute) and tree.attr == "T":
            return self._transposed(tree.value), _POWER
        if isinstance(tree, ast.Subscript):
            index = m.Fenced(m.Text(ast.unparse(tree.slice).strip("()")), "[", "]")
            return m.row(self.within(tree.value, _ATOM), index), _POWER
        return m.Text(ast.unparse(tree)), _ATOM

    def _constant(self, value: object) -> tuple[Formula, int]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return m.Text(str(value)), _ATOM
        shown = number_formula(exact(float(value)))
        return shown, _ATOM if isinstance(shown, m.Number) else _MATMUL

    def _transposed(self, tree: ast.expr) -> Formula:
        return m.Scripts(self.within(tree, _ATOM), upper=_T)

    def _binary(self, tree: ast.BinOp) -> tuple[Formula, int]:
        if isinstance(tree.op, (ast.Add, ast.Sub)):
            sign = "+" if isinstance(tree.op, ast.Add) else "−"
            left, right = (
                self.within(tree.left, _SUM),
                self.within(tree.right, _PRODUCT),
            )
            return m.row(left, m.Operator(sign, spaced=True), right), _SUM
        if isinstance(tree.op, ast.Div):
            return m.Fraction(
                self.formula(tree.left)[0], self.formula(tree.right)[0]
            ), _MATMUL
        if isinstance(tree.op, ast.Pow):
            exponent = self.formula(tree.right)[0]
            if len(self._shapes.get(id(tree), ())) > 1:
                exponent = m.row(m.Operator("∘"), exponent)
            return m.Scripts(self.within(tree.left, _ATOM), upper=exponent), _POWER
        if (
            isinstance(tree.op, ast.Mult)
            and self._is_array(tree.left)
            and self._is_array(tree.right)
        ):
            return self._product("⊙", tree.left, tree.right)
        return self._product("", tree.left, tree.right)

    def _is_array(self, tree: ast.expr) -> bool:
        return any(size != 1 for size in self._shapes.get(id(tree), ()))

    def _product(
        self, sign: str, left: ast.expr, right: ast.expr
    ) -> tuple[Formula, int]:
        level = _MATMUL if sign else _POWER
        first = self.within(left, _PRODUCT if sign else _MATMUL)
        operator = m.Operator(sign, spaced=True) if sign else m.Operator(" ")
        return m.row(
            first, operator, self.within(right, level)
        ), _PRODUCT if sign else _MATMUL

    def _call(self, tree: ast.Call) -> tuple[Formula, int]:
        arguments = list(tree.args)
        name = getattr(tree.func, "attr", getattr(tree.func, "id", ""))
        owner = tree.func.value if isinstance(tree.func, ast.Attribute) else None
        root = owner.value if isinstance(owner, ast.Attribute) else owner
        if owner is not None and not (
            isinstance(root, ast.Name) and root.id in _MODULES
        ):
            arguments.insert(0, owner)
        plain = not tree.keywords
        if name in _PRODUCTS and plain and len(arguments) == 2:
            if name == "outer":
                left = self.within(arguments[0], _POWER)
                return m.row(
                    left, m.Operator(" "), self._transposed(arguments[1])
                ), _MATMUL
            return self._product(_PRODUCTS[name], *arguments)
        if name == "transpose" and plain and len(arguments) == 1:
            return self._transposed(arguments[0]), _POWER
        if name == "exp" and plain and len(arguments) == 1:
            return m.Scripts(
                m.Identifier("e"), upper=self.formula(arguments[0])[0]
            ), _POWER
        if name == "inv" and plain and len(arguments) == 1:
            upper = m.row(m.Operator("−"), m.Number("1"))
            return m.Scripts(self.within(arguments[0], _ATOM), upper=upper), _POWER
        shown = [self.formula(argument)[0] for argument in arguments]
        shown += [m.Text(f"{k.arg}={ast.unparse(k.value)}") for k in tree.keywords]
        head = m.Identifier(
            {"sigmoid": "σ", "relu": "ReLU", "sum": "Σ"}.get(name, name),
            upright=len(name) > 1,
        )
        return m.row(head, m.Fenced(m.join(shown, m.Operator(", ")))), _ATOM
