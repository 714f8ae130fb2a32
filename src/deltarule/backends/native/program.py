"""A whole program as one native function: every statement in order, shared by threads, for one step or an epoch.

``void @run(ptr context, i64 thread, i64 threads)``: all threads enter it together. Of a step program it runs many
steps: gather the batch through the order, run the statements, hand out the metrics, look whether to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deltarule.backends.native import context as words
from deltarule.backends.native.apply import cast, memory_kind
from deltarule.backends.native.emit import Kernel, emit_nest
from deltarule.backends.native.emitter import Emitter, Module
from deltarule.backends.native.jam import jammed
from deltarule.backends.native.machine import Machine
from deltarule.backends.native.products import FIRST_POINTER, Product, as_nest, emit_product, roles_of
from deltarule.backends.native.routines import emit_routine
from deltarule.backends.native.sharing import Shared, Touch, alone, cut, share_kernel, share_product
from deltarule.backends.native.threads import emit_barrier, emit_denormals
from deltarule.dtypes import BOOL, FLOAT64
from deltarule.lower.loops import Buffer, Contraction, Nest, Routine, Scatter, Statement
from deltarule.lower.lower import Lowered
from deltarule.lower.memory import ALIGNMENT

_NAME = "KERNEL"  # stands for a function's name until it is known whether an equal one exists
_CYCLES_OF_A_STEP = 60_000.0  # a step of less work runs in one thread
_CYCLES_OF_A_CALL = 2_000_000.0  # likewise a call, whose threads Python has to wake


@dataclass
class Assembly:
    """The text of a program and what is needed to call it."""

    texts: list[str]
    arena_bytes: int
    table: list[Buffer]  # buffers of the caller, in the order of their addresses in the context
    threads: int
    kernels: int  # statements that run
    bodies: int  # distinct functions


@dataclass
class _Call:
    """A statement ready to be called."""

    statement: Statement
    kernel: Kernel | Product
    shared: Shared | None = None


@dataclass
class StepParts:
    """What a step program adds: where the counters and batches are, and the data sets."""

    batch: Sequence[Buffer]
    step: Buffer
    metrics: Sequence[Buffer]
    data: list[Buffer] = field(default_factory=list)


class Assembler:
    """Puts a program together."""

    def __init__(
        self,
        lowered: Lowered,
        machine: Machine,
        threads: int | None,
        step: StepParts | None,
        measured: bool = False,
    ) -> None:
        self.lowered, self.machine, self.step = lowered, machine, step
        self.measured = measured  # keep the first thread's least cycles, statement by statement
        self.module = Module(machine)
        self.aliases = {
            buffer: owner
            for owner in lowered.inputs
            for buffer, place in lowered.memory.places.items()
            if buffer is not owner and owner in lowered.memory.places and place is lowered.memory.places[owner]
        }
        self._bodies: dict[str, str] = {}
        self.calls = [self._compiled(statement) for statement in lowered.program.statements]
        self.threads = threads or self._advised()
        self.table = [b for b in lowered.program.buffers if b not in lowered.memory.places]
        if step is not None:
            step.data = [Buffer(f"data{i}", b.dtype, 0, "input") for i, b in enumerate(step.batch)]
            self.table.extend(step.data)

    def assemble(self) -> Assembly:
        """Return the finished text."""
        places = self.lowered.memory.places
        for call in self.calls:
            if isinstance(call.kernel, Product):
                call.shared = share_product(call.statement, call.kernel, self.threads, places)
            else:
                call.shared = share_kernel(call.statement, call.kernel, self.threads, places)
        scratch = max([0, *(c.kernel.scratch_bytes for c in self.calls if isinstance(c.kernel, Product))])
        self._scratch_bytes = -(-scratch // ALIGNMENT) * ALIGNMENT
        self._scratch_offset = -(-self.lowered.memory.nbytes // ALIGNMENT) * ALIGNMENT
        main = self._main()
        texts = [self.module.text() + "\n" + main]
        nbytes = self._scratch_offset + self._scratch_bytes * self.threads
        return Assembly(texts, nbytes, self.table, self.threads, len(self.calls), len(self._bodies))

    # ------------------------------------------------------------------ kernels

    def _compiled(self, statement: Statement) -> _Call:
        if isinstance(statement, Contraction):
            roles = roles_of(statement, self.machine.lanes(statement.left.dtype.name))
            found = emit_product(statement, roles, self.module, _NAME, self.aliases) if roles else None
            if found is not None:
                product, text = found
                named = Product(self._body(text), product.roles, product.plan, product.buffers, product.spec)
                return _Call(statement, named)
            statement = as_nest(statement)
        if isinstance(statement, Nest):
            statement = jammed(statement, self.machine)
        if isinstance(statement, Routine):
            kernel, text = emit_routine(statement, self.module, _NAME)
        elif isinstance(statement, Nest | Scatter):
            kernel, text = emit_nest(statement, self.module, _NAME)
        name = self._body(text)
        return _Call(statement, Kernel(name, kernel.buffers, kernel.extent, kernel.unit, kernel.work))

    def _body(self, text: str) -> str:
        """Return the name of the function with this text, added once."""
        name = self._bodies.get(text)
        if name is None:
            name = self._bodies[text] = f"kernel{len(self._bodies)}"
            self.module.add(
                name, text.replace(_NAME, name).replace(f"define void @{name}(", f"define internal void @{name}(")
            )
        return name

    def _advised(self) -> int:
        """Return how many threads are worth their while."""
        work = 0.0
        for call in self.calls:
            if isinstance(call.kernel, Product):
                spec = call.kernel.spec
                work += spec.flops / (4 * self.machine.lanes(spec.dtype))
            else:
                work += call.kernel.work
        least = _CYCLES_OF_A_CALL if self.step is None else _CYCLES_OF_A_STEP
        return min(self.machine.cores, 1 + int(work / least))

    # ------------------------------------------------------------------ main

    def _main(self) -> str:
        e = self.e = Emitter(self.module)
        flush, restore = emit_denormals(self.module)
        emit_barrier(self.module)
        before = e.assign(f"call i64 @{flush}()")
        self._arena = self._word(words.ARENA, "ptr")
        self._barrier = self._word(words.BARRIER, "ptr")
        self._external = {b: self._word(words.TABLE + place, "ptr") for place, b in enumerate(self.table)}
        slots = max([0, *(len(c.kernel.buffers) for c in self.calls if isinstance(c.kernel, Product))])
        self._slots = e.stack(f"[{slots + FIRST_POINTER} x ptr]")
        offset = e.add(e.multiply("%thread", self._scratch_bytes), self._scratch_offset)
        self._scratch = e.address("i8", self._arena, offset)
        self._pending: list[Shared] = []
        if self.step is None:
            self._statements()
        else:
            self._epoch(self.step)
        e.emit(f"call void @{restore}(i64 {before})")
        e.emit("ret void")
        return e.function("void @run(ptr %context, i64 %thread, i64 %threads)")

    def _word(self, place: int, kind: str) -> str:
        address = self.e.assign(f"getelementptr i64, ptr %context, i64 {place}")
        return self.e.assign(f"load {kind}, ptr {address}, align 8")

    def _set_word(self, place: int, value: str) -> None:
        address = self.e.assign(f"getelementptr i64, ptr %context, i64 {place}")
        self.e.emit(f"store i64 {value}, ptr {address}, align 8")

    def _statements(self) -> None:
        for place, call in enumerate(self.calls):
            if call.shared is not None:
                self._meet(call.shared)
                begin = self._cycles() if self.measured else ""
                if isinstance(call.kernel, Product):
                    self._call_product(call.kernel, call.shared)
                else:
                    arguments = [self._pointer(buffer) for buffer in call.kernel.buffers]
                    self._call(call.kernel.name, arguments, call.shared)
                if self.measured:
                    self._count(words.TABLE + len(self.table) + place, begin)

    def _cycles(self) -> str:
        return self.e.assign("call i64 @llvm.readcyclecounter()")

    def _count(self, word: int, begin: str) -> None:
        """Keep the least number of cycles since ``begin`` in a word of the context (0: none yet)."""
        spent = self.e.assign(f"sub i64 {self._cycles()}, {begin}")
        with self.e.when(self.e.compare("eq", "%thread", 0)):
            known = self._word(word, "i64")
            most = self.e.assign(f"sub i64 {known}, 1")  # 0 becomes the largest unsigned number
            lower = self.e.assign(f"icmp ult i64 {spent}, {most}")
            self._set_word(word, self.e.assign(f"select i1 {lower}, i64 {spent}, i64 {known}"))

    def _meet(self, shared: Shared) -> None:
        """Wait for the other threads if what they did before matters now."""
        if any(shared.conflicts(earlier) for earlier in self._pending):
            self._wait()
        self._pending.append(shared)

    def _wait(self) -> None:
        if self.threads > 1:
            self.e.emit(f"call void @barrier(ptr {self._barrier}, i64 %thread, i64 %threads)")
        self._pending.clear()

    def _pointer(self, buffer: Buffer) -> str:
        place = self.lowered.memory.places.get(buffer)
        if place is None:
            return self._external[buffer]
        return self.e.address("i8", self._arena, place.offset)

    def _bounds(self, shared: Shared) -> list[str]:
        """Return registers with this thread's range."""
        if self.threads == 1:
            return [str(bound) for bound in shared.ranges[0]]
        bounds = []
        for column in zip(*shared.ranges, strict=True):
            text = str(column[0])
            for thread in range(1, self.threads):
                if column[thread] != column[thread - 1] or thread > 1:
                    is_it = self.e.compare("eq", "%thread", thread)
                    text = self.e.assign(f"select i1 {is_it}, i64 {column[thread]}, i64 {text}")
            bounds.append(text)
        return bounds

    def _call(self, name: str, arguments: Sequence[str], shared: Shared) -> None:
        listed = "".join(f", ptr {argument}" for argument in arguments)
        bounds = "".join(f", i64 {bound}" for bound in self._bounds(shared))
        self.e.emit(f"call void @{name}(ptr %context{listed}{bounds})")

    def _call_product(self, product: Product, shared: Shared) -> None:
        e, roles = self.e, product.roles
        e.emit(f"store ptr %context, ptr {self._slots}, align 8")
        for place, buffer in enumerate(product.buffers):
            slot = e.assign(f"getelementptr ptr, ptr {self._slots}, i64 {FIRST_POINTER + place}")
            e.emit(f"store ptr {self._pointer(buffer)}, ptr {slot}, align 8")
        operands = (roles.a.buffer, roles.b.buffer, roles.store.buffer)
        listed = ", ".join(f"ptr {self._pointer(buffer)}" for buffer in operands)
        bounds = "".join(f", i64 {bound}" for bound in self._bounds(shared))
        e.emit(f"call void @{product.name}({listed}, ptr {self._slots}{bounds}, ptr {self._scratch})")

    # ------------------------------------------------------------------ epochs

    def _epoch(self, step: StepParts) -> None:
        e = self.e
        steps, first = self._word(words.STEPS, "i64"), self._word(words.FIRST_STEP, "i64")
        order, metrics = self._word(words.ORDER, "ptr"), self._word(words.METRICS, "ptr")
        is_first = e.compare("eq", "%thread", 0)
        head, body, done = (e.fresh_label(hint) for hint in ("step", "run", "done"))
        count = e.variable(0)
        e.branch(head)
        e.label(head)
        current = e.get(count)
        e.branch_if(e.compare("slt", current, steps), body, done)
        e.label(body)
        with e.when(is_first):
            e.emit(f"store i64 {e.add(current, first)}, ptr {self._pointer(step.step)}, align 8")
        self._pending.append(self._alone([(step.step, True)]))
        for buffer, data in zip(step.batch, step.data, strict=True):
            self._gather(buffer, data, order, current)
        self._statements()
        self._meet(self._alone([(metric, False) for metric in step.metrics]))
        with e.when(is_first):
            self._hand_out(step, metrics, current)
        self._wait()
        e.set(count, e.add(current, 1))
        halted = e.compare("ne", self._word(words.HALT, "i64"), 0)
        e.branch_if(halted, done, head)
        e.label(done)

    def _alone(self, buffers: Sequence[tuple[Buffer, bool]]) -> Shared:
        """Return what the first thread touches by itself."""
        places = self.lowered.memory.places
        touches = tuple(Touch(None, places[b].offset, places[b].offset + b.nbytes, writes) for b, writes in buffers)
        return Shared(alone(1, self.threads), (touches, *((),) * (self.threads - 1)))

    def _hand_out(self, step: StepParts, metrics: str, current: str) -> None:
        """Write the metrics of a step as float64, count it, and see whether to stop."""
        e, n = self.e, len(step.metrics)
        row = e.multiply(current, n)
        for place, buffer in enumerate(step.metrics):
            held = memory_kind(buffer.dtype)
            value = e.assign(f"load {held}, ptr {self._pointer(buffer)}")
            if buffer.dtype is BOOL:
                value = e.assign(f"icmp ne i8 {value}, 0")
            value = cast(e, value, buffer.dtype, FLOAT64, 1)
            e.store("float64", value, e.address("float64", metrics, e.add(row, place)))
        done = e.assign(f"getelementptr i64, ptr %context, i64 {words.DONE}")
        e.emit(f"store atomic i64 {e.add(current, 1)}, ptr {done} release, align 8")
        stop = e.assign(f"getelementptr i64, ptr %context, i64 {words.STOP}")
        asked = e.assign(f"load atomic i64, ptr {stop} acquire, align 8")
        self._set_word(words.HALT, e.binary("or", "int64", asked, self._word(words.ERROR_FLAG, "i64")))

    def _gather(self, buffer: Buffer, data: Buffer, order: str, current: str) -> None:
        """Copy the rows of a batch out of a data set."""
        shape = self.lowered.program.shapes[buffer]
        rows = shape[0]
        row_bytes = buffer.nbytes // max(1, rows)
        ranges = cut(rows, 1, self.threads)
        place = self.lowered.memory.places[buffer]
        touches = tuple(
            (Touch(None, place.offset + begin * row_bytes, place.offset + end * row_bytes, True),)
            for begin, end in ranges
        )
        shared = Shared(ranges, touches)
        if row_bytes == 0 or rows == 0:
            return
        name = self._body(_gather_text(self.module, row_bytes))
        first = self.e.address("int64", order, self.e.multiply(current, rows))
        self._pending.append(shared)
        self._call(name, [self._pointer(buffer), self._external[data], first], shared)


def _gather_text(module: Module, row_bytes: int) -> str:
    """Return ``void @KERNEL(ptr context, ptr target, ptr data, ptr order, i64 begin, i64 end)``."""
    e = Emitter(module)
    with e.loop("%begin", "%end") as row:
        number = e.assign(f"load i64, ptr {e.address('int64', '%b2', row)}, align 8")
        source = e.address("i8", "%b1", e.multiply(number, row_bytes))
        target = e.address("i8", "%b0", e.multiply(row, row_bytes))
        whole = row_bytes - row_bytes % 64
        if whole:
            with e.loop(0, whole, 64) as offset:
                _move(e, source, target, offset, "<16 x i32>")
        rest = whole
        for kind, size in (("<8 x i32>", 32), ("<4 x i32>", 16), ("i64", 8), ("i32", 4), ("i16", 2), ("i8", 1)):
            if row_bytes - rest >= size:
                _move(e, source, target, str(rest), kind)
                rest += size
    e.emit("ret void")
    pointers = ", ".join(f"ptr %b{place}" for place in range(3))
    return e.function(f"internal void @{_NAME}(ptr %context, {pointers}, i64 %begin, i64 %end)")


def _move(e: Emitter, source: str, target: str, offset: str, kind: str) -> None:
    value = e.assign(f"load {kind}, ptr {e.address('i8', source, offset)}, align 1")
    e.emit(f"store {kind} {value}, ptr {e.address('i8', target, offset)}, align 1")
