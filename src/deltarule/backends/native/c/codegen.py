"""Export of loop programs as C: one readable file without dependencies, optionally with the weights.

The file contains the loops that the native backend compiles, without vectors and threads, in C99 with math.h.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from deltarule.backends.base import Array
from deltarule.backends.native.c.helpers import HELPERS, ROUTINES
from deltarule.dtypes import BOOL, DType, Scalar
from deltarule.errors import GraphError
from deltarule.graph.constants import single
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program
from deltarule.lower.index import Axis, Index, Lookup, Quotient, Remainder, dividend_of
from deltarule.lower.loops import (
    Apply,
    Buffer,
    Check,
    Condition,
    Contraction,
    Expr,
    Guard,
    Load,
    Nest,
    Number,
    Position,
    Random,
    Reduction,
    Result,
    Routine,
    Scatter,
    Statement,
    subexpressions,
)
from deltarule.lower.lower import lower
from deltarule.shapes import show

_TYPES = {
    "bool": "bool",
    "uint8": "uint8_t",
    "uint32": "uint32_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float32": "float",
    "float64": "double",
}
_SIGNS = {
    Op.ADD: "+",
    Op.SUBTRACT: "-",
    Op.MULTIPLY: "*",
    Op.DIVIDE: "/",
    Op.EQUAL: "==",
    Op.LESS: "<",
    Op.AND: "&&",
    Op.OR: "||",
}
_FUNCTIONS = {
    Op.EXP: "exp",
    Op.EXPM1: "expm1",
    Op.LOG: "log",
    Op.LOG1P: "log1p",
    Op.SQRT: "sqrt",
    Op.SIN: "sin",
    Op.COS: "cos",
    Op.TANH: "tanh",
    Op.ERF: "erf",
    Op.FLOOR: "floor",
    Op.POWER: "pow",
    Op.FMOD: "fmod",
}
_LETTERS = "ijlmnpqrstuvw"


def c_source(
    program: Program,
    name: str = "predict",
    constants: Mapping[Node, Array] | None = None,
) -> str:
    """Return a C file with the function ``int name(inputs…, outputs…)``.

    Arguments are row-major arrays. The function returns 0 on success, 1 for an index out of range, 2 for a singular
    matrix, 3 for an indefinite matrix, 4 for a failed check.

    Args:
        program: The program.
        name: Name of the function.
        constants: Values of inputs (the weights) that become constants of the file.
    """
    return _CFile(program, name, constants or {}).text()


class _CFile:
    """Writer of a C file."""

    def __init__(
        self, program: Program, name: str, constants: Mapping[Node, Array]
    ) -> None:
        self._program, self._name, self._constants = program, name, constants
        self._lowered = lower(program)
        self._names: dict[Buffer, str] = {}
        self._helpers: dict[str, str] = {}
        for buffer in self._lowered.program.buffers:
            self._names[buffer] = self._fresh(buffer.name)

    def _fresh(self, wanted: str) -> str:
        plain = re.sub(r"\W", "_", wanted) or "value"
        plain = f"v_{plain}" if plain[0].isdigit() else plain
        taken, candidate, number = set(self._names.values()), plain, 2
        while candidate in taken or candidate == self._name:
            candidate, number = f"{plain}_{number}", number + 1
        return candidate

    def text(self) -> str:
        """Return the text of the file."""
        body = [
            self._statement(statement) for statement in self._lowered.program.statements
        ]
        pairs = list(zip(self._lowered.inputs, self._program.inputs, strict=True))
        fixed = {
            buffer: self._constants[node]
            for buffer, node in pairs
            if node in self._constants
        }
        arguments = [
            f"const {_TYPES[b.dtype.name]} *{self._names[b]} /* {show(n.shape)} */"
            for b, n in pairs
            if b not in fixed
        ]
        results = zip(self._lowered.outputs, self._program.outputs, strict=True)
        arguments += [
            f"{_TYPES[b.dtype.name]} *{self._names[b]} /* {show(n.shape)} */"
            for b, n in results
        ]
        lines = [
            "#include <math.h>",
            "#include <stdbool.h>",
            "#include <stdint.h>",
            "#include <string.h>",
            "",
        ]
        lines += ["static int dr_status;", *self._helpers.values(), ""]
        lines += [
            _array(self._names[buffer], buffer, value)
            for buffer, value in fixed.items()
        ]
        given = {*self._lowered.inputs, *self._lowered.outputs}
        for buffer in self._lowered.program.buffers:
            if buffer not in given:
                size = max(1, buffer.size)
                lines.append(
                    f"static {_TYPES[buffer.dtype.name]} {self._names[buffer]}[{size}];"
                )
        lines += [
            "",
            f"int {self._name}({', '.join(arguments) or 'void'}) {{",
            "    dr_status = 0;",
        ]
        return "\n".join([*lines, *body, "    return dr_status;", "}", ""])

    # ------------------------------------------------------------------ statements

    def _statement(self, statement: Statement) -> str:
        if isinstance(statement, Routine):
            return self._routine(statement)
        reduce = statement.reduce if isinstance(statement, Nest | Contraction) else ()
        point = _LoopBody(self, statement, reduce)
        lines = [f"    /* {statement.label} */"]
        depth = 1
        if isinstance(statement, Scatter):
            (store,) = statement.stores
            name, size = self._names[store.buffer], store.buffer.nbytes
            lines.append(f"    memset({name}, 0, {size});")
        for axis in statement.axes:
            lines.append(f"{'    ' * depth}{point.loop(axis)}")
            depth += 1
        lines += [f"{'    ' * depth}{line}" for line in point.lines()]
        lines += [f"{'    ' * level}}}" for level in range(depth - 1, 0, -1)]
        if not statement.axes:
            lines = [lines[0], "    {", *(f"    {line}" for line in lines[1:]), "    }"]
        return "\n".join(lines)

    def _routine(self, statement: Routine) -> str:
        dtype = statement.arguments[0].dtype
        suffix = dtype.name
        needed = (
            ["eliminate"] if statement.kind in {"solve", "log_determinant"} else []
        ) + [statement.kind]
        for kind in needed:
            text = re.sub(r"\bT\b", _TYPES[dtype.name], ROUTINES[kind]).replace(
                "_N(", f"_{suffix}("
            )
            wide = "double" if dtype.is_float else _TYPES[dtype.name]
            self._helpers[f"{kind}_{suffix}"] = re.sub(r"\bW\b", wide, text)
        names = [
            self._names[buffer] for buffer in (*statement.arguments, *statement.results)
        ]
        sizes = [str(size) for size in statement.sizes]
        return f"    dr_{statement.kind}_{suffix}({', '.join([*names, *sizes])});"

    def helper(self, name: str) -> str:
        """Include a helper in the file; return its name."""
        self._helpers.setdefault(name, HELPERS[name])
        return name

    def name(self, buffer: Buffer) -> str:
        """Return the C name of a buffer."""
        return self._names[buffer]


class _LoopBody:
    """Writer of the loop body of a statement."""

    def __init__(
        self, file: _CFile, statement: Statement, reduce: tuple[Axis, ...]
    ) -> None:
        self._file, self._statement, self._reduce = file, statement, reduce
        self._axes = {
            axis: _LETTERS[place] if place < 12 else f"i{place}"
            for place, axis in enumerate(statement.axes)
        }
        self._axes |= {axis: f"k{place or ''}" for place, axis in enumerate(reduce)}
        self._texts: dict[Expr, str] = {}
        self._count = 0

    def loop(self, axis: Axis) -> str:
        """Return the header of a loop."""
        name = self._axes[axis]
        return f"for (int64_t {name} = 0; {name} < {axis.extent}; ++{name}) {{"

    def lines(self) -> list[str]:
        """Return the body of the loops over results."""
        statement = self._statement
        found: list[str] = []
        if isinstance(statement, Contraction):
            product = Apply(
                statement.left.dtype, Op.MULTIPLY, (statement.left, statement.right)
            )
            found += self._reduction(
                0, Reduction("sum", product, product.dtype, product.dtype)
            )
        if isinstance(statement, Nest):
            for number, reduction in enumerate(statement.reductions):
                found += self._reduction(number, reduction)
        found += self._common_subexpressions(
            [store.value for store in statement.stores]
        )
        sign = "+=" if isinstance(statement, Scatter) else "="
        for store in statement.stores:
            target = f"{self._file.name(store.buffer)}[{self._index(store.index)}]"
            found.append(f"{target} {sign} {self._without_parentheses(store.value)};")
        return found

    def _reduction(self, number: int, reduction: Reduction) -> list[str]:
        dtype, result = reduction.value.dtype, f"result{number}"
        held = _TYPES[
            (dtype if reduction.kind != "sum" else reduction.accumulator).name
        ]
        before = dict(self._texts)
        body = self._common_subexpressions([reduction.value])
        value = self._without_parentheses(reduction.value)
        self._texts = before
        if reduction.kind == "sum":
            opening, step = [f"{held} {result} = 0;"], [f"{result} += {value};"]
        elif reduction.kind == "max":
            opening = [f"{held} {result} = {_number(_lowest(dtype), dtype)};"]
            step = [f"{result} = {self._extreme(Op.MAXIMUM, dtype, result, value)};"]
        else:
            best = f"best{number}"
            opening = [f"{held} {best} = 0;", f"int64_t {result} = -1;"]
            wins = f"{result} < 0 || here > {best}" + (
                f" || (here != here && {best} == {best})" if dtype.is_float else ""
            )
            opened = f"if ({wins}) {{ {best} = here; {result} = {self._position()}; }}"
            step = [f"const {held} here = {value};", opened]
        depth = len(self._reduce)
        heads = [
            "    " * level + self.loop(axis) for level, axis in enumerate(self._reduce)
        ]
        inner = ["    " * depth + line for line in [*body, *step]]
        tails = ["    " * level + "}" for level in range(depth - 1, -1, -1)]
        if not depth:
            inner, tails = ["{", *(f"    {line}" for line in inner)], ["}"]
        return [*opening, *heads, *inner, *tails]

    def _position(self) -> str:
        total = "0"
        for axis in self._reduce:
            total = (
                f"{total} * {axis.extent} + {self._axes[axis]}"
                if total != "0"
                else self._axes[axis]
            )
            total = f"({total})"
        return total

    # ------------------------------------------------------------------ expressions

    def _common_subexpressions(self, roots: list[Expr]) -> list[str]:
        """Return definitions of common subexpressions, except for guarded ones."""
        order = subexpressions(roots)
        protected = {
            part
            for e in order
            if isinstance(e, Guard)
            for part in subexpressions([e.inside, e.outside])
        }
        readers = Counter(part for expr in order for part in expr.parts) + Counter(
            roots
        )
        lines = []
        for expr in order:
            if expr in protected and len(order) < 2000:
                continue
            deep = self._count_of_text(expr) > 400
            if (
                (readers[expr] > 1 or deep)
                and isinstance(expr, Apply | Random | Guard | Check)
                and expr not in self._texts
            ):
                self._count += 1
                lines.append(
                    f"const {_TYPES[expr.dtype.name]} v{self._count} = {self._without_parentheses(expr)};"
                )
                self._texts[expr] = f"v{self._count}"
        return lines

    def _count_of_text(self, expr: Expr) -> int:
        return len(self._without_parentheses(expr)) if isinstance(expr, Apply) else 0

    def _without_parentheses(self, expr: Expr) -> str:
        """Return an expression without its outermost parentheses."""
        text = self._text(expr)
        depth = 0
        for place, sign in enumerate(text):
            depth += (sign == "(") - (sign == ")")
            if depth == 0 and place < len(text) - 1:
                return text
        return text[1:-1] if text.startswith("(") else text

    def _text(self, expr: Expr) -> str:
        known = self._texts.get(expr)
        if known is not None:
            return known
        if isinstance(expr, Number):
            return _number(expr.value, expr.dtype)
        if isinstance(expr, Load):
            return f"{self._file.name(expr.buffer)}[{self._index(expr.index)}]"
        if isinstance(expr, Result):
            return f"({_TYPES[expr.dtype.name]})result{expr.number}"
        if isinstance(expr, Position):
            return f"({_TYPES[expr.dtype.name]})({self._index(expr.index)})"
        if isinstance(expr, Guard):
            conditions = " && ".join(
                self._condition(condition) for condition in expr.conditions
            )
            return f"({conditions} ? {self._text(expr.inside)} : {self._text(expr.outside)})"
        if isinstance(expr, Check):
            value, condition, _ = (self._text(part) for part in expr.parts)
            return f"({condition} ? {value} : (dr_status = 4, {value}))"
        if isinstance(expr, Random):
            self._file.helper("dr_random")
            words = f"{self._text(expr.seed)}, {self._text(expr.step)}, {expr.stream}u, {self._index(expr.index)}"
            return f"dr_random_{_TYPES[expr.dtype.name]}({words})"
        if isinstance(expr, Apply):
            return self._apply(expr)
        raise GraphError(
            "export to C",
            expected="an expression of the loop IR",
            got=type(expr).__name__,
        )

    def _apply(self, expr: Apply) -> str:
        parts, dtype = (
            [self._text(part) for part in expr.operands],
            expr.operands[-1].dtype,
        )
        if expr.op in _SIGNS:
            text = f"({parts[0]} {_SIGNS[expr.op]} {parts[1]})"
            return f"(uint8_t){text}" if expr.dtype.name == "uint8" else text
        if expr.op in _FUNCTIONS:
            if not dtype.is_float:
                return parts[0]
            suffix = "f" if dtype.name == "float32" else ""
            return f"{_FUNCTIONS[expr.op]}{suffix}({', '.join(parts)})"
        if expr.op in {Op.MAXIMUM, Op.MINIMUM}:
            return self._extreme(expr.op, dtype, *parts)
        if expr.op is Op.CAST:
            return self._cast(parts[0], dtype, expr.dtype)
        x, zero = parts[0], _number(0, dtype)
        if expr.op is Op.WHERE:
            return f"({x} ? {parts[1]} : {parts[2]})"
        if expr.op is Op.NOT:
            return f"(!{x})"
        if expr.op is Op.ABS and dtype.is_float:
            return f"{'fabsf' if dtype.name == 'float32' else 'fabs'}({x})"
        forms = {
            Op.NEGATE: f"(-{x})",
            Op.ABS: x if dtype.kind == "uint" else f"({x} < 0 ? -{x} : {x})",
            Op.SIGN: f"({x} > {zero} ? 1 : {x} < {zero} ? -1 : {x})",
            Op.STOP_GRADIENT: x,
        }
        text = forms[expr.op]
        return f"(uint8_t){text}" if dtype.name == "uint8" else text

    def _extreme(self, op: Op, dtype: DType, a: str, b: str) -> str:
        if dtype.is_float:
            name = self._file.helper("dr_maximum" if op is Op.MAXIMUM else "dr_minimum")
            return f"({_TYPES[dtype.name]}){name}({a}, {b})"
        return f"({a} {'>' if op is Op.MAXIMUM else '<'} {b} ? {a} : {b})"

    def _cast(self, x: str, source: DType, target: DType) -> str:
        if target is BOOL:
            return f"({x} != 0)"
        if source.is_float and target.is_integer:
            self._file.helper("dr_whole")
            low = -(2 ** (target.bits - 1)) if target.kind == "int" else 0
            high = 2 ** (target.bits - (target.kind == "int")) - 1
            bounds = (
                "INT64_MIN, INT64_MAX" if target.bits == 64 else f"{low}LL, {high}LL"
            )
            return f"({_TYPES[target.name]})dr_whole({x}, {bounds})"
        return f"({_TYPES[target.name]}){x}"

    def _condition(self, condition: Condition) -> str:
        index = self._index(condition.index)
        low, high = condition.index.bounds
        parts = [f"{index} >= 0"] if low < 0 else []
        parts += [f"{index} < {condition.size}"] if high >= condition.size else []
        parts += [f"({index}) % {condition.step} == 0"] if condition.step > 1 else []
        return " && ".join(parts) or "1"

    def _index(self, index: Index) -> str:
        parts = []
        for atom, coefficient in index.terms:
            text = self._atom(atom)
            parts.append(text if coefficient == 1 else f"{coefficient} * {text}")
        if index.constant or not parts:
            parts.append(str(index.constant))
        return " + ".join(parts).replace("+ -", "- ")

    def _atom(self, atom: Axis | Quotient | Remainder | Lookup) -> str:
        if isinstance(atom, Axis):
            return self._axes[atom]
        if isinstance(atom, Lookup):
            self._file.helper("dr_index")
            return f"dr_index({self._text(atom.value)}, {atom.size})"
        sign = "/" if isinstance(atom, Quotient) else "%"
        return f"(({self._index(dividend_of(atom))}) {sign} {atom.divisor})"


def _lowest(dtype: DType) -> Scalar:
    if dtype.is_float:
        return -math.inf
    return -(2 ** (dtype.bits - 1)) if dtype.kind == "int" else 0


def _number(value: Scalar, dtype: DType) -> str:
    """Return a C literal with the exact value of a number."""
    if dtype is BOOL:
        return "true" if value else "false"
    if dtype.is_float:
        number = single(value) if dtype.name == "float32" else float(value)
        suffix = "f" if dtype.name == "float32" else ""
        if math.isnan(number):
            return "NAN"
        if math.isinf(number):
            return "INFINITY" if number > 0 else "(-INFINITY)"
        text = f"{np.float32(number)!s}" if suffix else repr(number)
        text = text if "." in text or "e" in text else f"{text}.0"
        return f"({text}{suffix})" if text.startswith("-") else f"{text}{suffix}"
    if dtype.bits == 64:
        return "INT64_MIN" if value == -(2**63) else f"INT64_C({int(value)})"
    return (
        f"{int(value)}u"
        if dtype.name == "uint32"
        else f"({int(value)})"
        if value < 0
        else str(int(value))
    )


def _array(name: str, buffer: Buffer, value: Array) -> str:
    """Return the definition of an array of constants."""
    flat = np.asarray(value, buffer.dtype.name).reshape(-1)
    numbers = [_number(item, buffer.dtype) for item in flat.tolist()] or ["0"]
    rows = [
        ", ".join(numbers[start : start + 8]) for start in range(0, len(numbers), 8)
    ]
    joined = ",\n    ".join(rows)
    return f"static const {_TYPES[buffer.dtype.name]} {name}[{len(numbers)}] = {{\n    {joined}\n}};"
