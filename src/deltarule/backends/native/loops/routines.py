"""Whole-array routines as LLVM IR: stable merge sort, cumulative sums, LU with partial pivoting, Cholesky.

Each is ``void @name(ptr context, ptr arguments…, ptr results…, i64 begin, i64 end)`` over the items begin … end − 1 of
a batch; a singular or indefinite matrix is reported in the context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from deltarule.backends.native.abi import ERROR_FLAG, INDEFINITE, SINGULAR
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.loops.apply import apply, cast, constant, memory_kind
from deltarule.backends.native.loops.emit import Kernel
from deltarule.backends.native.mathematics.vector_math import call_math
from deltarule.dtypes import FLOAT32, FLOAT64, DType
from deltarule.graph.op import Op
from deltarule.lower.loops import Routine

_COLUMN_ROUTINES = {
    "argsort",
    "cumulative_sum",
}  # routines with sizes (outer, n, inner), whose items are the columns along n
_CYCLES_PER_ADDITION = 4  # latency of a dependent addition


def emit_routine(routine: Routine, module: Module, name: str) -> tuple[Kernel, str]:
    """Return the kernel of a routine and the text of its function."""
    e = Emitter(module)
    buffers = (*routine.arguments, *routine.results)
    writer = _RoutineEmitter(e, routine)
    with e.loop("%begin", "%end") as item:
        writes: dict[str, Callable[[str], None]] = {
            "argsort": writer.argsort,
            "cumulative_sum": writer.cumulative_sum,
            "solve": writer.solve,
            "log_determinant": writer.log_determinant,
            "cholesky": writer.cholesky,
        }
        writes[routine.kind](item)
    e.emit("ret void")
    listed = "".join(f", ptr %b{place}" for place in range(len(buffers)))
    text = e.function(
        f"internal void @{name}(ptr %context{listed}, i64 %begin, i64 %end)"
    )
    batch, n, columns = routine.sizes
    items = batch * columns if routine.kind in _COLUMN_ROUTINES else batch
    cycles = (
        _CYCLES_PER_ADDITION * n
        if routine.kind == "cumulative_sum"
        else n * n * max(n, 1)
    )
    return Kernel(name, buffers, items, max(1, items), float(items * cycles)), text


class _RoutineEmitter:
    """Emitter of the routines; arrays are accessed by pointer and i64 positions."""

    def __init__(self, e: Emitter, routine: Routine) -> None:
        self.e, self.routine = e, routine
        self.batch, self.n, self.columns = routine.sizes
        self.dtype: DType = routine.arguments[0].dtype
        self.kind = memory_kind(self.dtype)

    def pointer(self, place: int, item: str, size: int) -> str:
        """Return the address of one item in a buffer."""
        return self.e.address(self.kind, f"%b{place}", self.e.multiply(item, size))

    def at(self, base: str, row: str, column: str, width: int) -> str:
        """Return the address of an element of a row-major matrix."""
        return self.e.address(
            self.kind, base, self.e.add(self.e.multiply(row, width), column)
        )

    def get(self, address: str) -> str:
        """Load an element."""
        return self.e.assign(f"load {self.kind}, ptr {address}")

    def put(self, value: str, address: str) -> None:
        """Store an element."""
        self.e.emit(f"store {self.kind} {value}, ptr {address}")

    def binary(self, op: Op, a: str, b: str) -> str:
        """Return a ∘ b."""
        return apply(self.e, op, self.dtype, (a, b), self.dtype, 1)

    def subtract_product(self, target: str, a: str, b: str) -> None:
        """Subtract a·b from an element."""
        self.put(
            self.binary(Op.SUBTRACT, self.get(target), self.binary(Op.MULTIPLY, a, b)),
            target,
        )

    def loop(self, begin: str, end: str | int) -> AbstractContextManager[str]:
        """Emit a loop from begin to end − 1."""
        return self.e.loop(begin, end)

    def report(self, condition: str, what: int) -> None:
        """Emit code that sets the error flag if the condition holds."""
        with self.e.when(condition):
            place = self.e.assign(f"getelementptr i64, ptr %context, i64 {ERROR_FLAG}")
            self.e.emit(f"store i64 {what}, ptr {place}, align 8")

    # ------------------------------------------------------------------ LU

    def copy(self, source: str, target: str, count: int) -> None:
        """Copy elements."""
        with self.loop("0", count) as i:
            self.put(
                self.get(self.e.address(self.kind, source, i)),
                self.e.address(self.kind, target, i),
            )

    def pivot(self, a: str, k: str) -> str:
        """Return the row of the largest absolute value in column k, from row k on."""
        e = self.e
        best, row = e.stack(self.kind), e.variable(k)
        self.put(constant(-1, self.dtype, 1), best)
        with self.loop(k, self.n) as i:
            size = apply(
                e,
                Op.ABS,
                self.dtype,
                (self.get(self.at(a, i, k, self.n)),),
                self.dtype,
                1,
            )
            with e.when(e.assign(f"fcmp ogt {self.kind} {size}, {self.get(best)}")):
                self.put(size, best)
                e.set(row, i)
        return e.get(row)

    def swap(self, base: str, first: str, second: str, width: int) -> None:
        """Swap two rows."""
        with self.loop("0", width) as j:
            a, b = self.at(base, first, j, width), self.at(base, second, j, width)
            x, y = self.get(a), self.get(b)
            self.put(y, a)
            self.put(x, b)

    def eliminate(self, a: str, right: str | None, each: Callable[[str], None]) -> None:
        """Reduce a matrix to upper triangular form, and the right-hand side with it; ``each`` is called per pivot."""
        e, n = self.e, self.n
        with self.loop("0", n) as k:
            row = self.pivot(a, k)
            self.swap(a, k, row, n)
            if right is not None:
                self.swap(right, k, row, self.columns)
            pivot = self.get(self.at(a, k, k, n))
            each(pivot)
            zero = e.assign(
                f"fcmp oeq {self.kind} {pivot}, {constant(0, self.dtype, 1)}"
            )
            one = constant(1, self.dtype, 1)
            safe = e.assign(f"select i1 {zero}, {self.kind} {one}, {self.kind} {pivot}")
            below = e.add(k, 1)
            with self.loop(below, n) as i:
                factor = self.binary(Op.DIVIDE, self.get(self.at(a, i, k, n)), safe)
                with self.loop(below, n) as j:
                    self.subtract_product(
                        self.at(a, i, j, n), factor, self.get(self.at(a, k, j, n))
                    )
                if right is not None:
                    with self.loop("0", self.columns) as j:
                        source = self.get(self.at(right, k, j, self.columns))
                        self.subtract_product(
                            self.at(right, i, j, self.columns), factor, source
                        )

    def solve(self, item: str) -> None:
        """Compute X = A⁻¹B by elimination and back substitution."""
        e, n, columns = self.e, self.n, self.columns
        x, a = self.pointer(2, item, n * columns), self.pointer(3, item, n * n)
        self.copy(self.pointer(1, item, n * columns), x, n * columns)
        self.copy(self.pointer(0, item, n * n), a, n * n)

        def check_pivot(pivot: str) -> None:
            self.report(
                e.assign(f"fcmp oeq {self.kind} {pivot}, {constant(0, self.dtype, 1)}"),
                SINGULAR,
            )

        self.eliminate(a, x, check_pivot)
        with self.loop("0", n) as step:
            i = e.assign(f"sub i64 {n - 1}, {step}")
            pivot = self.get(self.at(a, i, i, n))
            with self.loop("0", columns) as j:
                target = self.at(x, i, j, columns)
                with self.loop(e.add(i, 1), n) as k:
                    self.subtract_product(
                        target,
                        self.get(self.at(a, i, k, n)),
                        self.get(self.at(x, k, j, columns)),
                    )
                self.put(self.binary(Op.DIVIDE, self.get(target), pivot), target)

    def log_determinant(self, item: str) -> None:
        """Compute ln|det A| as the sum of ln|pivot|."""
        e, n = self.e, self.n
        result, a = self.pointer(1, item, 1), self.pointer(2, item, n * n)
        self.copy(self.pointer(0, item, n * n), a, n * n)
        self.put(constant(0, self.dtype, 1), result)

        def add(pivot: str) -> None:
            size = apply(e, Op.ABS, self.dtype, (pivot,), self.dtype, 1)
            logarithm = call_math(e, "log", self.dtype.name, (size,))
            self.put(self.binary(Op.ADD, self.get(result), logarithm), result)

        self.eliminate(a, None, add)

    def cholesky(self, item: str) -> None:
        """Compute the Cholesky factor row by row, with zeros above the diagonal."""
        e, n = self.e, self.n
        a, lower = self.pointer(0, item, n * n), self.pointer(1, item, n * n)
        zero = constant(0, self.dtype, 1)
        with self.loop("0", n) as i:
            with self.loop("0", n) as j:
                self.put(zero, self.at(lower, i, j, n))
            with self.loop("0", i) as j:
                target = self.at(lower, i, j, n)
                self.put(self.get(self.at(a, i, j, n)), target)
                with self.loop("0", j) as k:
                    self.subtract_product(
                        target,
                        self.get(self.at(lower, i, k, n)),
                        self.get(self.at(lower, j, k, n)),
                    )
                self.put(
                    self.binary(
                        Op.DIVIDE, self.get(target), self.get(self.at(lower, j, j, n))
                    ),
                    target,
                )
            target = self.at(lower, i, i, n)
            self.put(self.get(self.at(a, i, i, n)), target)
            with self.loop("0", i) as k:
                part = self.get(self.at(lower, i, k, n))
                self.subtract_product(target, part, part)
            square = self.get(target)
            self.report(e.assign(f"fcmp ule {self.kind} {square}, {zero}"), INDEFINITE)
            self.put(apply(e, Op.SQRT, self.dtype, (square,), self.dtype, 1), target)

    # ------------------------------------------------------------------ along columns

    def _start_of_column(self, item: str) -> str:
        """Return the position of the first element of a column along the middle axis of (outer, n, inner)."""
        e, inner = self.e, max(1, self.columns)
        return e.add(
            e.multiply(e.divide(item, inner), self.n * self.columns),
            e.modulo(item, inner),
        )

    def cumulative_sum(self, item: str) -> None:
        """Compute the cumulative sum of a column; float32 is accumulated in float64."""
        e, start = self.e, self._start_of_column(item)
        source, target = (e.address(self.kind, base, start) for base in ("%b0", "%b1"))
        wide = FLOAT64 if self.dtype is FLOAT32 else self.dtype
        total = e.stack(memory_kind(wide))
        e.emit(f"store {memory_kind(wide)} {constant(0, wide, 1)}, ptr {total}")
        with self.loop("0", self.n) as k:
            place = e.multiply(k, self.columns)
            new = cast(
                e, self.get(e.address(self.kind, source, place)), self.dtype, wide, 1
            )
            before = e.assign(f"load {memory_kind(wide)}, ptr {total}")
            now = apply(e, Op.ADD, wide, (before, new), wide, 1)
            e.emit(f"store {memory_kind(wide)} {now}, ptr {total}")
            self.put(
                cast(e, now, wide, self.dtype, 1), e.address(self.kind, target, place)
            )

    def argsort(self, item: str) -> None:
        """Sort positions by their keys, by bottom-up merge sort with two arrays."""
        e, n = self.e, self.n
        stride = self.columns
        start = self._start_of_column(item)
        keys = e.address(self.kind, "%b0", start)
        result = e.address("i64", "%b1", start)
        scratch = e.address("i64", "%b2", e.multiply(item, 2 * n))
        source, target = e.variable("0"), e.variable(n)
        with e.loop(0, n) as i:
            e.emit(f"store i64 {i}, ptr {e.address('i64', scratch, i)}, align 8")
        length = e.variable(1)
        with e.repeat_while(length, n) as run:
            here = e.address("i64", scratch, e.get(source))
            there = e.address("i64", scratch, e.get(target))
            with e.loop("0", n, e.add(run, run)) as low:
                middle = e.minimum(e.add(low, run), n)
                high = e.minimum(e.add(low, e.add(run, run)), n)
                self._merge(keys, here, there, low, middle, high)
            before = e.get(source)
            e.set(source, e.get(target))
            e.set(target, before)
            e.set(length, e.add(run, run))
        sorted_here = e.address("i64", scratch, e.get(source))
        with e.loop(0, n) as i:
            value = e.assign(
                f"load i64, ptr {e.address('i64', sorted_here, i)}, align 8"
            )
            e.emit(
                f"store i64 {value}, ptr {e.address('i64', result, e.multiply(i, stride))}, align 8"
            )

    def _merge(
        self, keys: str, here: str, there: str, low: str, middle: str, high: str
    ) -> None:
        e, last = self.e, max(0, self.n - 1)
        left, right = e.variable(low), e.variable(middle)
        e.set(left, low)
        e.set(right, middle)
        with e.loop(low, high) as place:
            i, j = e.get(left), e.get(right)
            a, b = (
                e.assign(
                    f"load i64, ptr {e.address('i64', here, e.minimum(k, last))}, align 8"
                )
                for k in (i, j)
            )
            x, y = (
                self.get(e.address(self.kind, keys, e.multiply(position, self.columns)))
                for position in (a, b)
            )
            later = self._less(y, x)
            left_is_empty, right_is_empty = (
                e.compare("sge", i, middle),
                e.compare("sge", j, high),
            )
            wanted = e.assign(f"select i1 {right_is_empty}, i1 false, i1 {later}")
            takes_right = e.assign(f"select i1 {left_is_empty}, i1 true, i1 {wanted}")
            taken = e.assign(f"select i1 {takes_right}, i64 {b}, i64 {a}")
            e.emit(f"store i64 {taken}, ptr {e.address('i64', there, place)}, align 8")
            step = e.assign(f"zext i1 {takes_right} to i64")
            e.set(right, e.add(j, step))
            e.set(left, e.assign(f"sub i64 {e.add(i, 1)}, {step}"))

    def _less(self, x: str, y: str) -> str:
        """Return whether x sorts before y; NaN is sorted last."""
        e = self.e
        if not self.dtype.is_float:
            return e.assign(
                f"icmp {'slt' if self.dtype.kind == 'int' else 'ult'} {self.kind} {x}, {y}"
            )
        lower = e.assign(f"fcmp olt {self.kind} {x}, {y}")
        number_x = e.assign(f"fcmp ord {self.kind} {x}, {x}")
        nan_y = e.assign(f"fcmp uno {self.kind} {y}, {y}")
        return e.assign(f"or i1 {lower}, {e.assign(f'and i1 {number_x}, {nan_y}')}")
