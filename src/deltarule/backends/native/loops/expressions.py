"""Expressions of the loop IR as LLVM IR: one element, or a vector of elements along the lane axis.

Values that do not depend on the lane axis stay scalar until they are combined with a vector. Emitted values are cached
per loop level, which eliminates common subexpressions, and loop-invariant values are hoisted out of inner loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from deltarule.backends.native.llvm.emitter import Emitter, first_lanes
from deltarule.backends.native.loops.apply import (
    apply,
    cast,
    constant,
    kind,
    mangled,
    memory_kind,
    scalar_kind,
    select,
)
from deltarule.backends.native.loops.error_reports import (
    report_failed_check,
    report_out_of_range,
)
from deltarule.backends.native.loops.random import Key, uniform_at
from deltarule.dtypes import BOOL, FLOAT64, INT64, DType
from deltarule.errors import GraphError
from deltarule.graph.op import Op
from deltarule.lower.index import (
    Axis,
    Index,
    Lookup,
    Quotient,
    Remainder,
    axes_of,
    dividend_of,
)
from deltarule.lower.loops import (
    Apply,
    Buffer,
    Check,
    Condition,
    Expr,
    Guard,
    Load,
    MultiplyAdd,
    Number,
    Position,
    Random,
    Result,
    subexpressions,
)

_ALIGNMENT = {"i1": 1, "i8": 1, "i32": 4, "i64": 8, "float": 4, "double": 8}


@dataclass(frozen=True)
class Value:
    """A register or constant, and its number of lanes.

    >>> Value("%t1", 8).width
    8
    """

    text: str
    width: int = 1


@dataclass(frozen=True)
class Mask:
    """The condition under which an element is read: one for all lanes (i1) and one per lane.

    >>> Mask().whole is None
    True
    """

    whole: str | None = None
    lanes: str | None = None


UNMASKED = Mask()


class ExpressionEmitter:
    """Emitter of expressions inside the loops of one function."""

    def __init__(
        self,
        emitter: Emitter,
        pointers: Mapping[Buffer, str],
        lane: Axis | None,
        width: int,
    ) -> None:
        self.e = emitter
        self.pointers = pointers
        self.lane = lane
        self.width = width if lane is not None else 1
        self.tail: int | None = None  # valid lanes of a partial vector
        self.context = "%context"
        self.variables: dict[Axis, str] = {}
        self.results: dict[int, Value] = {}
        self._scopes: list[dict[object, Value]] = [{}]

    # ------------------------------------------------------------------ scopes

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Open a scope: values emitted inside are dropped from the cache at its end."""
        self._scopes.append({})
        yield
        self._scopes.pop()

    @contextmanager
    def loop(self, axis: Axis, register: str) -> Iterator[None]:
        """Open a scope in which a loop variable is bound to a register."""
        self.variables[axis] = register
        with self.scope():
            yield
        del self.variables[axis]

    def hoist(self, roots: Iterable[Expr]) -> None:
        """Emit the subexpressions that are invariant in the loops still to be opened."""
        order = subexpressions(list(roots))
        guarded = {
            part
            for expr in order
            if isinstance(expr, Guard)
            for part in subexpressions([expr.inside])
        }
        dependent: set[Expr] = (
            set()
        )  # expressions that depend on the result of a reduction
        for expr in order:
            if isinstance(expr, Result) or any(
                part in dependent for part in expr.parts
            ):
                dependent.add(expr)
                continue
            plain = not isinstance(expr, Number | Guard) and expr not in guarded
            if plain and all(axis in self.variables for axis in expr.axes):
                self.value(expr)

    def _cached(self, key: object) -> Value | None:
        for scope_values in reversed(self._scopes):
            if key in scope_values:
                return scope_values[key]
        return None

    # ------------------------------------------------------------------ indices

    def scalar_index(self, index: Index) -> str:
        """Return the i64 value of an index for the first lane."""
        if not index.terms:
            return str(index.constant)
        key = ("index", index)
        found = self._cached(key)
        if found is None:
            text = str(index.constant)
            for atom, coefficient in reversed(index.terms):
                text = self.e.add(self.e.multiply(self._atom(atom), coefficient), text)
            found = self._scopes[-1][key] = Value(text)
        return found.text

    def _atom(self, atom: Axis | Quotient | Remainder | Lookup) -> str:
        if isinstance(atom, Axis):
            return self.variables[atom]
        if isinstance(atom, Lookup):
            return self._indirect_index(atom, 1).text
        inner = self.scalar_index(dividend_of(atom))
        if isinstance(atom, Quotient):
            return self.e.divide(inner, atom.divisor)
        return self.e.modulo(inner, atom.divisor)

    def vector_index(self, index: Index) -> str:
        """Return a vector with the index of each lane."""
        key = ("lanes", index)
        found = self._cached(key)
        if found is not None:
            return found.text
        total = constant(index.constant, INT64, self.width)
        for atom, coefficient in index.terms:
            part = self._atom_lanes(atom)
            if coefficient != 1:
                factor = constant(coefficient, INT64, self.width)
                part = self.e.assign(f"mul {kind(INT64, self.width)} {part}, {factor}")
            total = self.e.assign(f"add {kind(INT64, self.width)} {total}, {part}")
        self._scopes[-1][key] = Value(total, self.width)
        return total

    def _atom_lanes(self, atom: Axis | Quotient | Remainder | Lookup) -> str:
        if self.lane is None or self.lane not in axes_of(atom):
            return self.e.broadcast("int64", self._atom(atom), self.width)
        if isinstance(atom, Axis):
            first = self.e.broadcast("int64", self.variables[atom], self.width)
            lanes = "<" + ", ".join(f"i64 {lane}" for lane in range(self.width)) + ">"
            return self.e.assign(f"add {kind(INT64, self.width)} {first}, {lanes}")
        if isinstance(atom, Lookup):
            return self.widen(self._indirect_index(atom, self.width), INT64).text
        operation = "udiv" if isinstance(atom, Quotient) else "urem"
        inner, divisor = (
            self.vector_index(dividend_of(atom)),
            constant(atom.divisor, INT64, self.width),
        )
        return self.e.assign(
            f"{operation} {kind(INT64, self.width)} {inner}, {divisor}"
        )

    def lane_stride(self, index: Index) -> int | None:
        """Return the stride of an index between lanes; None if it is not constant."""
        return 0 if self.lane is None else index.coefficient(self.lane)

    def _indirect_index(self, atom: Lookup, width: int) -> Value:
        """Return an indirect index; one out of range is reported and replaced by 0."""
        key = ("lookup", atom)
        found = self._cached(key)
        if found is not None:
            return found
        e = self.e
        value = self.value(atom.value)
        index = Value(
            cast(e, value.text, atom.value.dtype, INT64, value.width), value.width
        )
        lanes = index.width
        size = constant(atom.size, INT64, lanes)
        bad = e.assign(f"icmp uge {kind(INT64, lanes)} {index.text}, {size}")
        if lanes > 1 and self.tail is not None:
            bad = e.assign(f"and <{lanes} x i1> {bad}, {first_lanes(self.tail, lanes)}")
        report_out_of_range(e, self.context, bad, index.text, lanes, atom.size)
        safe = Value(
            select(e, bad, INT64, constant(0, INT64, lanes), index.text, lanes), lanes
        )
        self._scopes[-1][key] = safe
        return safe

    # ------------------------------------------------------------------ values

    def value(self, expr: Expr, mask: Mask = UNMASKED) -> Value:
        """Return the value of an expression at the current point (or vector of points)."""
        if isinstance(expr, Number):
            return Value(constant(expr.value, expr.dtype, 1))
        if isinstance(expr, Result):
            return self.results[expr.number]
        found = self._cached((expr, mask))
        if found is None and mask is not UNMASKED:
            found = self._cached((expr, UNMASKED))
        if found is None:
            found = self._emit(expr, mask)
            self._scopes[-1][expr, mask] = found
        return found

    def emit_operands(self, roots: Iterable[Expr]) -> None:
        """Emit the operands of large expressions in topological order, which bounds the depth of recursion."""
        listed = list(roots)
        order = subexpressions(listed)
        if len(order) < 300:
            return
        guarded = {
            p
            for x in order
            if isinstance(x, Guard)
            for p in subexpressions([x.inside, x.outside])
        }
        for expr in order:
            if expr not in guarded:
                self.value(expr)

    def widen(self, value: Value, dtype: DType) -> Value:
        """Broadcast a scalar to all lanes; a vector is returned unchanged."""
        if value.width == self.width:
            return value
        if not value.text.startswith("%"):
            return Value(f"splat ({scalar_kind(dtype)} {value.text})", self.width)
        key = ("wide", value.text)
        found = self._cached(key)
        if found is None:
            found = Value(
                self.e.broadcast(scalar_kind(dtype), value.text, self.width), self.width
            )
            self._scopes[-1][key] = found
        return found

    def _emit(self, expr: Expr, mask: Mask) -> Value:
        if isinstance(expr, Load):
            return self._load(expr, mask)
        if isinstance(expr, Apply):
            return self._apply(expr, mask)
        if isinstance(expr, MultiplyAdd):
            return self._multiply_add(expr, mask)
        if isinstance(expr, Guard):
            return self._guard(expr, mask)
        if isinstance(expr, Check):
            return self._check(expr, mask)
        if isinstance(expr, Random):
            return self._random(expr)
        if isinstance(expr, Position):
            return self._position(expr)
        raise GraphError(
            "native engine",
            expected="an expression of the loop IR",
            got=type(expr).__name__,
        )

    def _apply(self, expr: Apply, mask: Mask) -> Value:
        operands = [self.value(operand, mask) for operand in expr.operands]
        width = max(operand.width for operand in operands)
        order = list(zip(expr.operands, operands, strict=True))
        if expr.op in {Op.MAXIMUM, Op.MINIMUM} and isinstance(expr.operands[1], Number):
            order.reverse()
        first = order[0][0]
        not_nan = isinstance(first, Number) and first.value == first.value
        texts = [
            self.widen(value, part.dtype).text if width > 1 else value.text
            for part, value in order
        ]
        source = expr.operands[-1].dtype
        return Value(
            apply(self.e, expr.op, expr.dtype, texts, source, width, not_nan), width
        )

    def _multiply_add(self, expr: MultiplyAdd, mask: Mask) -> Value:
        dtype, width = expr.dtype, self.width
        a, b, c = (self.widen(self.value(x, mask), dtype).text for x in expr.parts)
        return Value(self.e.multiply_add(dtype.name, a, b, c, width), width)

    def _position(self, expr: Position) -> Value:
        if self.lane_stride(expr.index) == 0:
            return Value(
                cast(self.e, self.scalar_index(expr.index), INT64, expr.dtype, 1)
            )
        lanes = self.vector_index(expr.index)
        return Value(cast(self.e, lanes, INT64, expr.dtype, self.width), self.width)

    def _random(self, expr: Random) -> Value:
        words = []
        for part in (expr.seed, expr.step):
            words.append(self.e.assign(f"trunc i64 {self.value(part).text} to i32"))
        key = Key(words[0], str(expr.stream), words[1])
        width = self.width if self.lane_stride(expr.index) == 1 else 1
        text = uniform_at(
            self.e, key, self.scalar_index(expr.index), expr.dtype.name, width
        )
        return Value(text, width)

    def _guard(self, expr: Guard, mask: Mask) -> Value:
        e = self.e
        whole, lanes = None, None
        for condition in expr.conditions:
            if self.lane_stride(condition.index) == 0:
                whole = self._conjunction(whole, self._condition(condition, 1), 1)
            else:
                lanes = self._conjunction(
                    lanes, self._condition(condition, self.width), self.width
                )
        inner = Mask(
            self._conjunction(mask.whole, whole, 1),
            self._conjunction(mask.lanes, lanes, self.width),
        )
        inside, outside = self.value(expr.inside, inner), self.value(expr.outside, mask)
        width = self.width if lanes else max(inside.width, outside.width)
        if width > 1:
            inside, outside = (
                self.widen(inside, expr.dtype),
                self.widen(outside, expr.dtype),
            )
        text = inside.text
        if lanes:
            text = select(e, lanes, expr.dtype, text, outside.text, width)
        if whole:
            types = kind(expr.dtype, width)
            text = e.assign(
                f"select i1 {whole}, {types} {text}, {types} {outside.text}"
            )
        return Value(text, width)

    def _check(self, expr: Check, mask: Mask) -> Value:
        """Return the value; a failure of the condition in an active lane is reported."""
        e = self.e
        value, condition, shown = (self.value(part, mask) for part in expr.parts)
        width = max(value.width, condition.width, self.width if mask.lanes else 1)
        types = kind(BOOL, width)
        holds = self.widen(condition, BOOL).text if width > 1 else condition.text
        bad = e.assign(f"xor {types} {holds}, {constant(1, BOOL, width)}")
        lanes = self._lane_mask(mask) if width > 1 else None
        whole = (
            mask.whole
            if mask.whole is None or width == 1
            else e.broadcast("i1", mask.whole, width)
        )
        for allowed in (lanes, whole):
            if allowed is not None:
                bad = e.assign(f"and {types} {bad}, {allowed}")
        text = self.widen(shown, FLOAT64).text if width > 1 else shown.text
        number = e.module.message(expr.message)
        report_failed_check(e, self.context, bad, text, width, number)
        return value

    def _conjunction(self, a: str | None, b: str | None, width: int) -> str | None:
        if a is None or b is None:
            return a or b
        key = ("both", a, b)
        found = self._cached(key)
        if found is None:
            types = "i1" if width == 1 else f"<{width} x i1>"
            found = self._scopes[-1][key] = Value(
                self.e.assign(f"and {types} {a}, {b}")
            )
        return found.text

    def _condition(self, condition: Condition, width: int) -> str:
        key = ("holds", condition)
        found = self._cached(key)
        if found is not None:
            return found.text
        e = self.e
        index = (
            self.scalar_index(condition.index)
            if width == 1
            else self.vector_index(condition.index)
        )
        types = kind(INT64, width)
        text = e.assign(
            f"icmp ult {types} {index}, {constant(condition.size, INT64, width)}"
        )
        if condition.step > 1:
            rest = e.assign(
                f"urem {types} {index}, {constant(condition.step, INT64, width)}"
            )
            divisible = e.assign(f"icmp eq {types} {rest}, {constant(0, INT64, width)}")
            text = self._conjunction(text, divisible, width) or text
        self._scopes[-1][key] = Value(text)
        return text

    # ------------------------------------------------------------------ memory

    def _load(self, expr: Load, mask: Mask) -> Value:
        step = self.lane_stride(expr.index)
        base = self.pointers[expr.buffer]
        if step == 0:
            return Value(
                self._load_elements(expr.dtype, self._address(base, expr, mask), 1)
            )
        if step == 1:
            lanes = self._lane_mask(mask)
            if (
                mask.whole is not None and expr.buffer.size < self.width
            ):  # a whole vector at element 0 would exceed the buffer
                lanes = self._conjunction(
                    lanes, self.e.broadcast("i1", mask.whole, self.width), self.width
                )
            address = self._address(base, expr, mask)
            return Value(
                self._load_elements(expr.dtype, address, self.width, lanes), self.width
            )
        return Value(self._gather(expr, base, mask), self.width)

    def _address(self, base: str, expr: Load, mask: Mask) -> str:
        offset = self.scalar_index(expr.index)
        if mask.whole is not None:
            offset = self.e.assign(f"select i1 {mask.whole}, i64 {offset}, i64 0")
        return self.e.address(memory_kind(expr.dtype), base, offset)

    def _lane_mask(self, mask: Mask) -> str | None:
        tail = first_lanes(self.tail, self.width) if self.tail is not None else None
        return self._conjunction(mask.lanes, tail, self.width)

    def _load_elements(
        self, dtype: DType, address: str, width: int, lanes: str | None = None
    ) -> str:
        stored = memory_kind(dtype)
        types = stored if width == 1 else f"<{width} x {stored}>"
        align = _ALIGNMENT[stored]
        if lanes is None:
            text = self.e.assign(f"load {types}, ptr {address}, align {align}")
        else:
            name = f"llvm.masked.load.{_mangled_memory_type(dtype, width)}.p0"
            text = self.e.assign(
                f"call {types} @{name}(ptr align {align} {address}, <{width} x i1> {lanes}, {types} zeroinitializer)"
            )
        return self._to_bool(text, width) if dtype is BOOL else text

    def _to_bool(self, text: str, width: int) -> str:
        types = "i8" if width == 1 else f"<{width} x i8>"
        zero = "0" if width == 1 else "zeroinitializer"
        return self.e.assign(f"icmp ne {types} {text}, {zero}")

    def _gather(self, expr: Load, base: str, mask: Mask) -> str:
        e, width, stored = self.e, self.width, memory_kind(expr.dtype)
        index = self.vector_index(expr.index)
        lanes = self._lane_mask(mask)
        if mask.whole is not None:
            everywhere = e.broadcast("i1", mask.whole, width)
            lanes = self._conjunction(lanes, everywhere, width)
        pointers = e.assign(
            f"getelementptr {stored}, ptr {base}, {kind(INT64, width)} {index}"
        )
        name = (
            f"llvm.masked.gather.{_mangled_memory_type(expr.dtype, width)}.v{width}p0"
        )
        text = e.assign(
            f"call <{width} x {stored}> @{name}(<{width} x ptr> align {_ALIGNMENT[stored]} {pointers}, "
            f"<{width} x i1> {lanes or 'splat (i1 true)'}, <{width} x {stored}> zeroinitializer)"
        )
        return self._to_bool(text, width) if expr.dtype is BOOL else text

    def store(self, buffer: Buffer, index: Index, value: Value) -> None:
        """Store a value (or a vector of values) at an index."""
        e, base, dtype = self.e, self.pointers[buffer], buffer.dtype
        stored = memory_kind(dtype)
        step = self.lane_stride(index)
        if step == 0:
            address = e.address(stored, base, self.scalar_index(index))
            e.emit(
                f"store {stored} {self._to_memory(value, dtype)}, ptr {address}, align {_ALIGNMENT[stored]}"
            )
            return
        width, text = self.width, self._to_memory(self.widen(value, dtype), dtype)
        tail = first_lanes(self.tail, width) if self.tail is not None else None
        if step == 1:
            address = e.address(stored, base, self.scalar_index(index))
            if (
                self.tail == 1
            ):  # LLVM 22 miscompiles masked stores of one narrowed lane: it stores the wide element
                first = e.assign(f"extractelement <{width} x {stored}> {text}, i64 0")
                e.emit(
                    f"store {stored} {first}, ptr {address}, align {_ALIGNMENT[stored]}"
                )
            else:
                self.store_vector(dtype, text, address, tail)
            return
        pointers = e.assign(
            f"getelementptr {stored}, ptr {base}, {kind(INT64, width)} {self.vector_index(index)}"
        )
        name = f"llvm.masked.scatter.{_mangled_memory_type(dtype, width)}.v{width}p0"
        e.emit(
            f"call void @{name}(<{width} x {stored}> {text}, <{width} x ptr> align {_ALIGNMENT[stored]} {pointers}, "
            f"<{width} x i1> {tail or 'splat (i1 true)'})"
        )

    def store_vector(
        self, dtype: DType, text: str, address: str, mask: str | None
    ) -> None:
        """Store a vector of the memory type at an address."""
        stored, width = memory_kind(dtype), self.width
        if mask is None:
            self.e.emit(
                f"store <{width} x {stored}> {text}, ptr {address}, align {_ALIGNMENT[stored]}"
            )
            return
        name = f"llvm.masked.store.{_mangled_memory_type(dtype, width)}.p0"
        self.e.emit(
            f"call void @{name}(<{width} x {stored}> {text}, ptr align {_ALIGNMENT[stored]} {address}, "
            f"<{width} x i1> {mask})"
        )

    def _to_memory(self, value: Value, dtype: DType) -> str:
        if dtype is not BOOL:
            return value.text
        wide = value.width
        return self.e.assign(
            f"zext {kind(BOOL, wide)} {value.text} to {'i8' if wide == 1 else f'<{wide} x i8>'}"
        )


def _mangled_memory_type(dtype: DType, width: int) -> str:
    return f"v{width}i8" if dtype is BOOL else mangled(dtype, width)
