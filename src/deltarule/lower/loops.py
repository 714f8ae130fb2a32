"""The loop IR: programs as statements over buffers.

A statement is a nest (element-wise operations and reductions), a contraction (sums of products, with an element-wise
epilogue), a scatter (additions at indirect indices) or a routine (sorting, cumulative sums, linear algebra).
Expressions define the values at one point of a nest; common subexpressions are the same object. All sizes are static.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deltarule.cached import cached_property
from deltarule.dtypes import DType, Scalar
from deltarule.graph.op import Op
from deltarule.lower.index import Axis, Index


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory for ``size`` elements.

    Attributes:
        name: Name in printed programs.
        dtype: The element type.
        size: Number of elements.
        role: "state", "batch", "counter", "input", "output" or "temporary".

    >>> from deltarule.dtypes import FLOAT32
    >>> Buffer("x", FLOAT32, 8).nbytes
    32
    """

    name: str
    dtype: DType
    size: int
    role: str = "temporary"

    @property
    def nbytes(self) -> int:
        """Return the size of the elements in bytes."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Expr:
    """An expression: a value at one point of a loop nest.

    >>> from deltarule.dtypes import FLOAT32
    >>> zero(FLOAT32).dtype.name
    'float32'
    """

    dtype: DType

    @property
    def parts(self) -> tuple[Expr, ...]:
        """Return the operands of the expression."""
        return ()

    @property
    def indices(self) -> tuple[Index, ...]:
        """Return the indices in this expression, without those of its operands."""
        return ()

    @cached_property
    def axes(self) -> frozenset[Axis]:
        """Return the loop variables that the value depends on."""
        found: frozenset[Axis] = frozenset()
        for index in self.indices:
            found |= index.axes
        for part in self.parts:
            found |= part.axes
        return found

    @cached_property
    def below(self) -> tuple[Expr, ...]:
        """Return the expression and all of its subexpressions, operands first, each once."""
        order: list[Expr] = []
        done: set[Expr] = set()
        stack: list[tuple[Expr, bool]] = [(self, False)]
        while stack:
            expr, ready = stack.pop()
            if expr in done:
                continue
            if ready:
                done.add(expr)
                order.append(expr)
                continue
            stack.append((expr, True))
            stack.extend((part, False) for part in reversed(expr.parts))
            for index in expr.indices:
                stack.extend((value, False) for value in lookup_values(index))
        return tuple(order)

    def replace(self, replacements: Mapping[Axis, Index]) -> Expr:
        """Return the expression with loop variables replaced by indices."""
        return _replaced(self, replacements, {})


@dataclass(frozen=True, eq=False)
class Number(Expr):
    """A constant.

    >>> from deltarule.dtypes import FLOAT32
    >>> print(Number(FLOAT32, 0.5))
    0.5
    """

    value: Scalar

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, eq=False)
class Load(Expr):
    """The load of an element of a buffer.

    >>> from deltarule.dtypes import FLOAT32
    >>> from deltarule.lower.index import of
    >>> print(Load(FLOAT32, Buffer("x", FLOAT32, 8), of(Axis("i", 8))))
    x[i]
    """

    buffer: Buffer
    index: Index

    @property
    def indices(self) -> tuple[Index, ...]:
        """Return the indices in this expression, without those of its operands."""
        return (self.index,)

    def __str__(self) -> str:
        return f"{self.buffer}[{self.index}]"


@dataclass(frozen=True, eq=False)
class Position(Expr):
    """An index as a value.

    >>> from deltarule.dtypes import INT64
    >>> from deltarule.lower.index import of
    >>> str(Position(INT64, of(Axis("i", 4))).index)
    'i'
    """

    index: Index

    @property
    def indices(self) -> tuple[Index, ...]:
        """Return the indices in this expression, without those of its operands."""
        return (self.index,)

    def __str__(self) -> str:
        return f"{self.dtype}({self.index})"


@dataclass(frozen=True, eq=False)
class Apply(Expr):
    """An element-wise primitive applied to values.

    >>> from deltarule.dtypes import FLOAT32
    >>> print(Apply(FLOAT32, Op.ADD, (Number(FLOAT32, 1.0), Number(FLOAT32, 2.0))))
    add(1.0, 2.0)
    """

    op: Op
    operands: tuple[Expr, ...]

    @property
    def parts(self) -> tuple[Expr, ...]:
        """Return the operands of the expression."""
        return self.operands

    def __str__(self) -> str:
        name = str(self.dtype) if self.op is Op.CAST else self.op.name.lower()
        return f"{name}({', '.join(map(str, self.operands))})"


@dataclass(frozen=True, eq=False)
class MultiplyAdd(Expr):
    """a · b + c as a fused multiply-add (one rounding) where the hardware has it; introduced by backends.

    >>> from deltarule.dtypes import FLOAT32
    >>> one = Number(FLOAT32, 1.0)
    >>> print(MultiplyAdd(FLOAT32, one, one, one))
    multiply_add(1.0, 1.0, 1.0)
    """

    a: Expr
    b: Expr
    c: Expr

    @property
    def parts(self) -> tuple[Expr, ...]:
        """Return the operands of the expression."""
        return (self.a, self.b, self.c)

    def __str__(self) -> str:
        return f"multiply_add({self.a}, {self.b}, {self.c})"


@dataclass(frozen=True)
class Condition:
    """The condition 0 ≤ index < size with index divisible by ``step``.

    >>> from deltarule.lower.index import of
    >>> print(Condition(of(Axis("i", 8)) + -1, 6))
    0 ≤ i - 1 < 6
    """

    index: Index
    size: int
    step: int = 1

    def __str__(self) -> str:
        divisible = f" by {self.step}" if self.step > 1 else ""
        return f"0 ≤ {self.index} < {self.size}{divisible}"


@dataclass(frozen=True, eq=False)
class Guard(Expr):
    """``inside`` where all conditions hold, else ``outside``; ``inside`` is evaluated only where they hold.

    >>> from deltarule.dtypes import FLOAT32
    >>> from deltarule.lower.index import of
    >>> i = of(Axis("i", 8))
    >>> x = Load(FLOAT32, Buffer("x", FLOAT32, 6), i + -1)
    >>> print(Guard(FLOAT32, (Condition(i + -1, 6),), x, zero(FLOAT32)))
    (x[i - 1] if 0 ≤ i - 1 < 6 else 0.0)
    """

    conditions: tuple[Condition, ...]
    inside: Expr
    outside: Expr

    @property
    def parts(self) -> tuple[Expr, ...]:
        """Return the operands of the expression."""
        return (self.inside, self.outside)

    @property
    def indices(self) -> tuple[Index, ...]:
        """Return the indices in this expression, without those of its operands."""
        return tuple(condition.index for condition in self.conditions)

    def __str__(self) -> str:
        return f"({self.inside} if {' and '.join(map(str, self.conditions))} else {self.outside})"


@dataclass(frozen=True, eq=False)
class Check(Expr):
    """``value``; where ``condition`` does not hold, the run ends with ``message`` and the value ``shown`` (float64).

    The message is (operation, expected values, hint, whether the value shown is an integer).
    """

    value: Expr
    condition: Expr
    shown: Expr
    message: tuple[str, str, str, bool]

    @property
    def parts(self) -> tuple[Expr, ...]:
        """Return the operands of the expression."""
        return (self.value, self.condition, self.shown)

    def __str__(self) -> str:
        return f"check({self.value}, {self.condition})"


@dataclass(frozen=True, eq=False)
class Random(Expr):
    """A uniform number in [0, 1): element ``index`` of the stream for (seed, step)."""

    seed: Expr
    step: Expr
    stream: int
    index: Index

    @property
    def parts(self) -> tuple[Expr, ...]:
        """Return the operands of the expression."""
        return (self.seed, self.step)

    @property
    def indices(self) -> tuple[Index, ...]:
        """Return the indices in this expression, without those of its operands."""
        return (self.index,)

    def __str__(self) -> str:
        return f"random({self.seed}, {self.step}, {self.stream})[{self.index}]"


@dataclass(frozen=True, eq=False)
class Result(Expr):
    """The result of reduction ``number`` of the statement (or of its contraction).

    >>> from deltarule.dtypes import FLOAT32
    >>> print(Result(FLOAT32, 0))
    result0
    """

    number: int

    def __str__(self) -> str:
        return f"result{self.number}"


@dataclass(frozen=True, eq=False)
class Reduction:
    """The reduction ("sum", "max" or "argmax") of a value over the reduce axes, accumulated in ``accumulator``.

    >>> from deltarule.dtypes import FLOAT32, FLOAT64
    >>> print(Reduction("sum", Number(FLOAT32, 1.0), FLOAT64, FLOAT32))
    sum in float64 of 1.0
    """

    kind: str
    value: Expr
    accumulator: DType
    dtype: DType

    def __str__(self) -> str:
        wide = f" in {self.accumulator}" if self.accumulator is not self.dtype else ""
        return f"{self.kind}{wide} of {self.value}"


@dataclass(frozen=True, eq=False)
class Store:
    """The store buffer[index] = value.

    >>> from deltarule.dtypes import FLOAT32
    >>> from deltarule.lower.index import of
    >>> print(Store(Buffer("y", FLOAT32, 8), of(Axis("i", 8)), zero(FLOAT32)))
    y[i] = 0.0
    """

    buffer: Buffer
    index: Index
    value: Expr

    def __str__(self) -> str:
        return f"{self.buffer}[{self.index}] = {self.value}"


@dataclass(eq=False)
class Statement:
    """A statement of a program: loops over ``axes``, with stores at each point.

    >>> Statement("fill", (Axis("i", 8),), ()).label
    'fill'
    """

    label: str
    axes: tuple[Axis, ...]
    stores: tuple[Store, ...]

    def roots(self) -> Iterator[Expr]:
        """Return the outermost expressions."""
        for store in self.stores:
            yield store.value
            yield from lookup_values(store.index)

    @property
    def reads(self) -> list[Load]:
        """Return all loads, each once."""
        return [expr for expr in subexpressions(self.roots()) if isinstance(expr, Load)]

    @property
    def writes(self) -> list[Buffer]:
        """Return the buffers that the statement writes."""
        return [store.buffer for store in self.stores]


@dataclass(eq=False)
class Nest(Statement):
    """A loop nest: for each point of ``axes``, reductions over ``reduce`` (if any), then stores.

    >>> from deltarule.dtypes import FLOAT32
    >>> from deltarule.lower.index import of
    >>> from deltarule.lower.show import show_statement
    >>> i = Axis("i", 8)
    >>> print(show_statement(Nest("fill", (i,), (Store(Buffer("y", FLOAT32, 8), of(i), zero(FLOAT32)),))))
    # 0: fill
    for i in 0..8:
      y[i] = 0.0
    """

    reduce: tuple[Axis, ...] = ()
    reductions: tuple[Reduction, ...] = ()

    def roots(self) -> Iterator[Expr]:
        """Return the outermost expressions."""
        for reduction in self.reductions:
            yield reduction.value
        yield from super().roots()


@dataclass(eq=False)
class Contraction(Statement):
    """A contraction: for each point of ``axes``, ``Result(0)`` = Σ over ``reduce`` of left · right, then stores.

    >>> from deltarule.graph.build import input_node, matmul
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> A, B = input_node("A", (2, 3)), input_node("B", (3, 4))
    >>> (product,) = lower(Program((A, B), (matmul(A, B),))).program.statements
    >>> type(product).__name__, product.left.buffer.name, product.right.buffer.name
    ('Contraction', 'A', 'B')
    """

    reduce: tuple[Axis, ...] = ()
    left: Load = field(kw_only=True)
    right: Load = field(kw_only=True)

    def roots(self) -> Iterator[Expr]:
        """Return the outermost expressions."""
        yield self.left
        yield self.right
        yield from super().roots()

    @property
    def flops(self) -> int:
        """Return 2 · points · reduced points."""
        total = 2
        for axis in (*self.axes, *self.reduce):
            total *= axis.extent
        return total


@dataclass(eq=False)
class Scatter(Statement):
    """A scatter: clear the buffer, then add each value at its index, in order; it has one store."""

    sequential: int = 0  # number of leading axes that must run in order


@dataclass(eq=False)
class Routine(Statement):
    """A whole-array routine: "argsort", "cumulative_sum", "solve", "log_determinant" or "cholesky"."""

    kind: str = ""
    arguments: tuple[Buffer, ...] = ()
    results: tuple[Buffer, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def writes(self) -> list[Buffer]:
        """Return the buffers that the statement writes."""
        return list(self.results)


@dataclass(eq=False)
class LoopProgram:
    """A program: statements in order; ``inputs`` and ``outputs`` are in the order of the graph program.

    ``copies`` maps a state buffer to the temporary whose content becomes the state at the end of a step.

    >>> LoopProgram([], [], [], {}).statements
    []
    """

    statements: list[Statement]
    inputs: list[Buffer]
    outputs: list[Buffer]
    shapes: dict[Buffer, tuple[int, ...]]
    layouts: dict[Buffer, Any] = field(default_factory=dict)

    @property
    def buffers(self) -> list[Buffer]:
        """Return all buffers in order of first use."""
        found = dict.fromkeys(self.inputs)
        for statement in self.statements:
            found.update(dict.fromkeys(accessed_buffers(statement)))
        found.update(dict.fromkeys(self.outputs))
        return list(found)


def accessed_buffers(statement: Statement) -> list[Buffer]:
    """Return the buffers that a statement reads or writes, each once.

    >>> from deltarule.dtypes import FLOAT32
    >>> from deltarule.lower.index import of
    >>> x, y, i = Buffer("x", FLOAT32, 4), Buffer("y", FLOAT32, 4), Axis("i", 4)
    >>> copy = Nest("copy", (i,), (Store(y, of(i), Load(FLOAT32, x, of(i))),))
    >>> sorted(buffer.name for buffer in accessed_buffers(copy))
    ['x', 'y']
    """
    found = dict.fromkeys(load.buffer for load in statement.reads)
    if isinstance(statement, Routine):
        found.update(dict.fromkeys(statement.arguments))
    found.update(dict.fromkeys(statement.writes))
    return list(found)


def subexpressions(roots: Iterable[Expr]) -> list[Expr]:
    """Return all subexpressions of the roots, operands first, each once.

    >>> from deltarule.dtypes import FLOAT32
    >>> one = Number(FLOAT32, 1.0)
    >>> print(*subexpressions([Apply(FLOAT32, Op.ADD, (one, one))]))
    1.0 add(1.0, 1.0)
    """
    return list(dict.fromkeys(expr for root in roots for expr in root.below))


def lookup_values(index: Index) -> list[Expr]:
    """Return the values that an index reads from memory."""
    found: list[Expr] = []
    for atom, _ in index.terms:
        value = getattr(atom, "value", None)
        if value is not None:
            found.append(value)
        dividend = getattr(atom, "dividend", None)
        if dividend is not None:
            found.extend(lookup_values(dividend))
    return found


def _replaced(expr: Expr, axes: Mapping[Axis, Index], known: dict[Expr, Expr]) -> Expr:
    """Replace loop variables; shared subexpressions stay shared."""
    found = known.get(expr)
    if found is not None:
        return found
    untouched = not any(axis in axes for axis in expr.axes)
    if untouched and all(known.get(part, part) is part for part in expr.parts):
        result = expr
    elif isinstance(expr, Load):
        result = Load(expr.dtype, expr.buffer, expr.index.replace(axes))
    elif isinstance(expr, Position):
        result = Position(expr.dtype, expr.index.replace(axes))
    elif isinstance(expr, Apply):
        result = Apply(
            expr.dtype,
            expr.op,
            tuple(_replaced(part, axes, known) for part in expr.operands),
        )
    elif isinstance(expr, Guard):
        conditions = tuple(
            Condition(c.index.replace(axes), c.size, c.step) for c in expr.conditions
        )
        inside, outside = (_replaced(part, axes, known) for part in expr.parts)
        result = Guard(expr.dtype, conditions, inside, outside)
    elif isinstance(expr, Check):
        value, condition, shown = (_replaced(part, axes, known) for part in expr.parts)
        result = Check(expr.dtype, value, condition, shown, expr.message)
    elif isinstance(expr, MultiplyAdd):
        a, b, c = (_replaced(part, axes, known) for part in expr.parts)
        result = MultiplyAdd(expr.dtype, a, b, c)
    elif isinstance(expr, Random):
        seed, step = (_replaced(part, axes, known) for part in expr.parts)
        result = Random(expr.dtype, seed, step, expr.stream, expr.index.replace(axes))
    else:
        result = expr
    known[expr] = result
    return result


def zero(dtype: DType) -> Number:
    """Return the constant 0 (or False) of an element type.

    >>> from deltarule.dtypes import BOOL, FLOAT32
    >>> print(zero(FLOAT32), zero(BOOL))
    0.0 False
    """
    return Number(
        dtype, False if dtype.kind == "bool" else 0.0 if dtype.is_float else 0
    )


def replace_all(
    expr: Expr, axes: Mapping[Axis, Index], known: dict[Expr, Expr]
) -> Expr:
    """Replace loop variables in one of several expressions with shared subexpressions, cached in ``known``."""
    return _replaced(expr, axes, known)
