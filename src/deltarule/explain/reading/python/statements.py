"""Statements of an answer in Python: assignments, loops over known ranges, conditions and functions."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import chain

from deltarule import dtypes
from deltarule.errors import ArgumentError
from deltarule.explain.reading.python.arrays import Value, as_array
from deltarule.explain.reading.python.expressions import Expressions, Function
from deltarule.explain.reading.python.updates import updated
from deltarule.graph import build
from deltarule.graph.node import Node

_MODULES = {"numpy", "math", "torch", "jax", "scipy", "tensorflow"}
_MOST_CALLS = 8  # of functions inside functions


class _Nothing:
    """The value of statements without a value."""


_NOTHING = _Nothing()


class Statements(Expressions):
    """Build the graph of statements; names have the values of their last assignment."""

    _calls = 0
    _last: Value = _NOTHING

    def answer(self, body: Sequence[ast.stmt]) -> Value:
        """Return what the statements return, or the value of the last expression, assignment or function."""
        result = self.run(body)
        if result is _NOTHING:
            result = self._last
        while isinstance(result, Function):
            result = self.called(result, [], body[-1])
        numbers = (Node, int, float, tuple)
        if isinstance(result, bool) or not isinstance(result, numbers):
            raise ArgumentError(
                "Python expression",
                expected="an array as the last value",
                got="none" if result is _NOTHING else type(result).__name__,
            )
        return result

    def run(self, body: Sequence[ast.stmt]) -> Value:
        """Build statements; return the value of the first return statement that is met."""
        for statement in body:
            result = self._statement(statement)
            if result is not _NOTHING:
                return result
        return _NOTHING

    def _statement(self, statement: ast.stmt) -> Value:
        self.count(statement)
        if isinstance(statement, ast.Return):
            return None if statement.value is None else self.value(statement.value)
        if isinstance(statement, ast.For):
            return self._loop(statement)
        if isinstance(statement, ast.If):
            return self._condition(statement)
        if isinstance(statement, ast.Assign):
            value = self.value(statement.value)
            for target in statement.targets:
                self.assign(target, value)
            self._last = self._with_entry(statement.targets[-1], value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            self._last = self.value(statement.value)
            self.assign(statement.target, self._last)
        elif isinstance(statement, ast.AugAssign):
            self._augmented(statement)
        elif isinstance(statement, ast.FunctionDef):
            names = [argument.arg for argument in statement.args.args]
            self._last = Function(statement.name, tuple(names), statement.body)
            self.local[statement.name] = self._last
        elif isinstance(statement, ast.Expr):
            self._expression(statement.value)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            self._import(statement)
        elif not isinstance(statement, ast.Pass):
            self.fail(statement, "an assignment, a loop, a function or an expression")
        return _NOTHING

    def _with_entry(self, target: ast.expr, value: Value) -> Value:
        """Return the answer that an assignment is: of an entry, the array with it."""
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            return self.local[target.value.id]
        return value

    def _expression(self, tree: ast.expr) -> None:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            return  # a docstring
        appended = (
            isinstance(tree, ast.Call)
            and isinstance(tree.func, ast.Attribute)
            and tree.func.attr == "append"
            and isinstance(tree.func.value, ast.Name)
        )
        if not appended:
            self._last = self.value(tree)
            return
        name = ast.unparse(tree.func.value)  # type: ignore[attr-defined]  # a call
        held = self.local.get(name)
        if not isinstance(held, tuple) or len(tree.args) != 1:  # type: ignore[attr-defined]  # a call
            self.fail(tree, "append of one value to a list")
        self.local[name] = (*held, self.value(tree.args[0]))  # type: ignore[attr-defined]  # a call
        self._last = self.local[name]

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        names = (
            [statement.module or ""]
            if isinstance(statement, ast.ImportFrom)
            else [alias.name for alias in statement.names]
        )
        if any(name.split(".")[0] not in _MODULES for name in names):
            self.fail(statement, "import numpy as np, or no import")

    # ---------------------------------------------------------------- targets

    def assign(self, target: ast.expr, value: Value) -> None:
        """Give a name, the names of a tuple, or an entry of an array a value."""
        if isinstance(target, ast.Name):
            self.local[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = self.items(value, target)
            if len(parts) != len(target.elts):
                self.fail(target, f"{len(parts)} names")
            for part, own in zip(target.elts, parts, strict=True):
                self.assign(part, own)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            base = self.node(target.value)
            key = self.key(target.slice)
            try:
                found = updated(base, key, as_array(value))
            except (TypeError, ValueError) as error:
                raise ArgumentError(
                    "Python assignment",
                    expected="an entry, whole rows or a mask, and a value of its shape",
                    got=self.source(target),
                ) from error
            self.local[target.value.id] = found
        else:
            self.fail(target, "the name of a variable, or an entry of one")

    def _augmented(self, statement: ast.AugAssign) -> None:
        """Build x += y as x = x + y, and x[mask] *= y where the mask is true."""
        place = statement.target
        if isinstance(place, ast.Subscript) and isinstance(place.value, ast.Name):
            mask = self.key(place.slice)[0]
            if isinstance(mask, Node) and mask.dtype is dtypes.BOOL:
                whole = ast.BinOp(place.value, statement.op, statement.value)
                changed = as_array(self.value(ast.copy_location(whole, statement)))
                self._last = build.where(mask, changed, self.node(place.value))
                self.local[place.value.id] = self._last
                return
        load = ast.copy_location(
            ast.parse(ast.unparse(place), mode="eval").body, statement
        )
        whole = ast.copy_location(
            ast.BinOp(load, statement.op, statement.value), statement
        )
        for part in ast.walk(load):
            ast.copy_location(part, statement)
        self._last = self.value(whole)
        self.assign(place, self._last)
        self._last = self._with_entry(place, self._last)

    # ---------------------------------------------------------------- loops, conditions, functions

    def _loop(self, statement: ast.For) -> Value:
        if statement.orelse:
            self.fail(statement, "a loop without else")
        for item in self.items(self.value(statement.iter), statement.iter):
            self.assign(statement.target, item)
            result = self.run(statement.body)
            if result is not _NOTHING:
                return result
        return _NOTHING

    def _condition(self, statement: ast.If) -> Value:
        """Build both branches where the condition is known only when the numbers are."""
        condition = self.value(statement.test)
        if not isinstance(condition, Node):
            return self.run(statement.body if condition else statement.orelse)
        if condition.shape:
            self.fail(statement.test, "one truth value")
        before = dict(self.local)
        first = self.run(statement.body)
        after, self.local = self.local, dict(before)
        second = self.run(statement.orelse)
        if (first is _NOTHING) != (second is _NOTHING):
            self.fail(statement, "a value in both branches")
        if first is not _NOTHING:
            return self.chosen(condition, first, second)
        for name in chain(after, self.local):
            one, other = after.get(name), self.local.get(name)
            if one is other or (name in before and one is None):
                continue
            self.local[name] = (
                self.chosen(condition, one, other)
                if one is not None and other is not None
                else one
                if other is None
                else other
            )
        return _NOTHING

    def chosen(self, condition: Node, one: Value, other: Value) -> Value:
        """Return one value where a condition holds, and the other elsewhere."""
        return build.where(condition, as_array(one), as_array(other))

    def called(
        self, function: Function, arguments: Sequence[Value], tree: ast.AST
    ) -> Value:
        """Return the value of a function of the answer; parameters without arguments are known names."""
        if len(arguments) > len(function.names) or self._calls >= _MOST_CALLS:
            self.fail(tree, f"at most {len(function.names)} arguments")
        outer, last = dict(self.local), self._last
        given = dict(zip(function.names, arguments, strict=False))
        for name in function.names[len(arguments) :]:
            self.local.pop(name, None)
        self.local |= given
        self._calls += 1
        if isinstance(function.body, ast.expr):
            result = self.value(function.body)
        else:
            result = self.run(function.body)
            result = self._last if result is _NOTHING else result
        self._calls -= 1
        self.local, self._last = outer, last
        return result
