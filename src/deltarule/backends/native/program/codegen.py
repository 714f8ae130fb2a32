"""A whole program as one native function: every statement in order, shared by threads, for one step or an epoch.

``void @run(ptr context, i64 thread, i64 threads)``: all threads enter it together. Of a step program it runs many
steps: gather the batch through the order, run the statements, hand out the metrics, look whether to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deltarule.backends.native import abi
from deltarule.backends.native.contraction.products import (
    Product,
    as_nest,
    emit_product,
    roles_of,
)
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.llvm.module_partition import divided
from deltarule.backends.native.loops.apply import cast, memory_kind
from deltarule.backends.native.loops.emit import Kernel, emit_nest
from deltarule.backends.native.loops.routines import emit_routine
from deltarule.backends.native.loops.unroll_jam import jammed
from deltarule.backends.native.program.compiled_program import (
    CompiledProgram,
    Generated,
    Region,
)
from deltarule.backends.native.program.frame import Frame, load_word, store_word
from deltarule.backends.native.program.synchronisation import (
    Shared,
    Touch,
    alone,
    cut,
    share_kernel,
    share_product,
)
from deltarule.backends.native.program.threads import MOST_THREADS, emit_denormals
from deltarule.backends.native.program.work_sharing import emit_phases
from deltarule.dtypes import BOOL, FLOAT64
from deltarule.errors import ArgumentError
from deltarule.graph.program import Program, StepProgram
from deltarule.lower.layout import Panels
from deltarule.lower.loops import Buffer, Contraction, Nest, Routine, Scatter, Statement
from deltarule.lower.lower import Lowered, lower, lower_step
from deltarule.lower.memory import ALIGNMENT

_NAME = "KERNEL"  # stands for a function's name until it is known whether an equal one exists
_BYTES_OF_A_CYCLE = 8.0  # of a batch, from memory
_CYCLES_OF_A_STEP = 40_000.0  # a step of less work runs in one thread
_CYCLES_OF_A_CALL = 2_000_000.0  # likewise a call, whose threads Python has to wake


@dataclass
class _Call:
    """A statement ready to be called."""

    statement: Statement
    kernel: Kernel | Product


@dataclass
class StepParts:
    """What a step program adds: where the counters and batches are, and the data sets."""

    batch: Sequence[Buffer]
    step: Buffer
    metrics: Sequence[Buffer]
    data: list[Buffer] = field(default_factory=list)


def generate(program: Program, machine: Machine, threads: int | None) -> Generated:
    """Return the image and the modules of a program; the arrays of the caller are its inputs, then its outputs."""
    lowered = lower(program)
    assembler = Assembler(lowered, machine, threads, None)
    texts = assembler.texts()
    places = {buffer: abi.TABLE + place for place, buffer in enumerate(assembler.table)}
    arrays = tuple(places.get(buffer) for buffer in (*lowered.inputs, *lowered.outputs))
    n_words, messages = abi.TABLE + len(places), tuple(assembler.module.messages)
    return CompiledProgram(
        assembler.threads, assembler.arena_bytes, n_words, arrays, messages=messages
    ), texts


def generate_step(
    program: StepProgram, machine: Machine, threads: int | None, measured: bool = False
) -> Generated:
    """Return the image and the modules of a step: the arrays are the data sets, the regions state, seed and scalars.

    ``measured``: the step counts the cycles of every statement.
    """
    lowered = lower_step(program)
    n_state, n_batch = len(program.state), len(program.batch)
    states, batch = (
        lowered.inputs[:n_state],
        lowered.inputs[n_state : n_state + n_batch],
    )
    step, *rest = lowered.inputs[n_state + n_batch :]
    parts = StepParts(batch, step, lowered.outputs)
    assembler = Assembler(lowered, machine, threads, parts, measured)
    texts = assembler.texts()
    labels = (
        tuple(statement.label for statement in lowered.program.statements)
        if measured
        else ()
    )
    n_words = abi.TABLE + len(assembler.table)
    arrays = tuple(abi.TABLE + assembler.table.index(buffer) for buffer in parts.data)
    regions = tuple(_region(buffer, lowered) for buffer in (*states, *rest))
    n_words, messages = n_words + len(labels), tuple(assembler.module.messages)
    return CompiledProgram(
        assembler.threads,
        assembler.arena_bytes,
        n_words,
        arrays,
        regions,
        messages,
        labels,
    ), texts


def _region(buffer: Buffer, lowered: Lowered) -> Region:
    offset, layout = lowered.memory.places[buffer].offset, lowered.layouts.get(buffer)
    cut = (layout.axis, layout.width) if isinstance(layout, Panels) else (0, 0)
    return Region(offset, buffer.size, buffer.dtype.name, *cut)


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
        self.measured = (
            measured  # keep the first thread's least cycles, statement by statement
        )
        self.module = Module(machine)
        self._bodies: dict[str, str] = {}
        self.calls = [
            self._compiled(statement) for statement in lowered.program.statements
        ]
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise ArgumentError(
                "threads", expected=f"1 to {MOST_THREADS}, or None", got=str(threads)
            )
        self.threads = int(threads or self._advised())  # NumPy's numbers are no JSON
        self.table = [
            b for b in lowered.program.buffers if b not in lowered.memory.places
        ]
        if step is not None:
            step.data = [
                Buffer(f"data{i}", b.dtype, 0, "input")
                for i, b in enumerate(step.batch)
            ]
            self.table.extend(step.data)

    def texts(self) -> list[str]:
        """Return the finished modules; from then on ``arena_bytes`` is known."""
        scratch = max(
            [
                0,
                *(
                    c.kernel.scratch_bytes
                    for c in self.calls
                    if isinstance(c.kernel, Product)
                ),
            ]
        )
        self._scratch_bytes = -(-scratch // ALIGNMENT) * ALIGNMENT
        self._scratch_offset = -(-self.lowered.memory.nbytes // ALIGNMENT) * ALIGNMENT
        main = self._main()
        self.arena_bytes = self._scratch_offset + self._scratch_bytes * self.threads
        return divided(
            self.module.definitions, list(self._bodies.values()), main, self.machine
        )

    # ------------------------------------------------------------------ kernels

    def _compiled(self, statement: Statement) -> _Call:
        if isinstance(statement, Contraction):
            roles = roles_of(statement, self.machine.lanes(statement.left.dtype.name))
            found = (
                emit_product(statement, roles, self.module, _NAME, self.lowered.aliases)
                if roles
                else None
            )
            if found is not None:
                product, text = found
                named = Product(
                    self._body(text),
                    product.roles,
                    product.plan,
                    product.buffers,
                    product.spec,
                )
                return _Call(statement, named)
            statement = as_nest(statement)
        if isinstance(statement, Nest):
            statement = jammed(statement, self.machine)
        if isinstance(statement, Routine):
            kernel, text = emit_routine(statement, self.module, _NAME)
        elif isinstance(statement, Nest | Scatter):
            kernel, text = emit_nest(statement, self.module, _NAME)
        name = self._body(text)
        return _Call(
            statement,
            Kernel(name, kernel.buffers, kernel.extent, kernel.unit, kernel.work),
        )

    def _body(self, text: str) -> str:
        """Return the name of the function with this text, added once."""
        name = self._bodies.get(text)
        if name is None:
            name = self._bodies[text] = f"kernel{len(self._bodies)}"
            self.module.add(
                name,
                text.replace(_NAME, name).replace(
                    f"define void @{name}(", f"define internal void @{name}("
                ),
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
        if self.step is not None:
            work += sum(buffer.nbytes for buffer in self.step.batch) / _BYTES_OF_A_CYCLE
        least = _CYCLES_OF_A_CALL if self.step is None else _CYCLES_OF_A_STEP
        return min(self.machine.cores, 1 + int(work / least))

    # ------------------------------------------------------------------ main

    def _main(self) -> str:
        """Return the functions of the phases and the main function."""
        pieces = self._pieces()
        bodies = [
            self._phase(number, phase) for number, phase in enumerate(_phases(pieces))
        ]
        flush, restore = emit_denormals(self.module)
        emit_phases(self.module)
        e = Emitter(self.module)
        before = e.assign(f"call i64 @{flush}()")
        if self.step is None:
            self._run(e, len(bodies), "0", "0")
        else:
            self._epoch(e, len(bodies))
        e.emit(f"call void @{restore}(i64 {before})")
        e.emit("ret void")
        return "\n".join(
            [*bodies, e.function("void @run(ptr %context, i64 %thread, i64 %threads)")]
        )

    def _run(self, e: Emitter, phases: int, step: str, passed: str) -> None:
        """Run all phases once; ``passed`` phases came before."""
        barrier = load_word(e, abi.BARRIER, "ptr") if self.threads > 1 else ""
        for number in range(phases):
            if self.threads == 1:
                e.emit(f"call void @phase{number}(ptr %context, i64 0, i64 {step})")
            else:
                count = e.add(passed, number + 1)
                e.emit(
                    f"call void @phase(ptr {barrier}, ptr @phase{number}, ptr %context, i64 %thread, "
                    f"i64 %threads, i64 {count}, i64 {step})"
                )

    def _epoch(self, e: Emitter, phases: int) -> None:
        steps = load_word(e, abi.STEPS, "i64")
        head, body, done = (e.fresh_label(hint) for hint in ("step", "run", "done"))
        count = e.variable(0)
        e.branch(head)
        e.label(head)
        current = e.get(count)
        e.branch_if(e.compare("slt", current, steps), body, done)
        e.label(body)
        self._run(e, phases, current, e.multiply(current, phases))
        e.set(count, e.add(current, 1))
        halted = e.compare("ne", load_word(e, abi.HALT, "i64"), 0)
        e.branch_if(halted, done, head)
        e.label(done)

    def _phase(self, number: int, pieces: Sequence[_Piece]) -> str:
        """Return the function of a phase: this part of every statement in it, in order."""
        frame = Frame(
            self.module,
            self.lowered.memory,
            self.table,
            self._scratch_bytes,
            self._scratch_offset,
        )
        for piece in pieces:
            piece.write(frame)
        frame.e.emit("ret void")
        return frame.e.function(
            f"internal void @phase{number}(ptr %context, i64 %part, i64 %step)"
        )

    def _pieces(self) -> list[_Piece]:
        """Return everything that a step does, in order."""
        pieces = [self._statement(place, call) for place, call in enumerate(self.calls)]
        if self.step is None:
            return pieces
        step = self.step
        begin = _Piece(
            self._alone([(step.step, True)]), lambda frame: _count_step(frame, step)
        )
        gathers = [
            self._gather(b, data) for b, data in zip(step.batch, step.data, strict=True)
        ]
        end = _Piece(
            self._alone([(m, False) for m in step.metrics]),
            lambda frame: _hand_out(frame, step),
        )
        return [begin, *gathers, *pieces, end]

    def _statement(self, place: int, call: _Call) -> _Piece:
        kernel = call.kernel
        word = abi.TABLE + len(self.table) + place if self.measured else 0
        if isinstance(kernel, Product):
            shared = share_product(
                call.statement, kernel, self.threads, self.lowered.memory.places
            )
        else:
            shared = share_kernel(
                call.statement, kernel, self.threads, self.lowered.memory.places
            )

        def write(frame: Frame) -> None:
            begin = frame.cycles() if word else ""
            frame.call_product(kernel, shared) if isinstance(
                kernel, Product
            ) else frame.call_kernel(kernel, shared)
            if word:
                frame.count(word, begin)

        return _Piece(shared, write)

    def _alone(self, buffers: Sequence[tuple[Buffer, bool]]) -> Shared:
        """Return what the first part touches by itself."""
        places = self.lowered.memory.places
        touches = tuple(
            Touch(None, places[b].offset, places[b].offset + b.nbytes, writes)
            for b, writes in buffers
        )
        return Shared(alone(1, self.threads), (touches, *((),) * (self.threads - 1)))

    def _gather(self, buffer: Buffer, data: Buffer) -> _Piece:
        """Copy the rows of a batch out of a data set."""
        shape = self.lowered.program.shapes[buffer]
        rows = shape[0]
        row_bytes = buffer.nbytes // max(1, rows)
        ranges = cut(rows, 1, self.threads)
        place = self.lowered.memory.places[buffer]
        touches = tuple(
            (
                Touch(
                    None,
                    place.offset + begin * row_bytes,
                    place.offset + end * row_bytes,
                    True,
                ),
            )
            for begin, end in ranges
        )
        shared = Shared(ranges, touches)
        name = self._body(_gather_text(self.module, row_bytes))

        def write(frame: Frame) -> None:
            if buffer.size:
                order = load_word(frame.e, abi.ORDER, "ptr")
                first = frame.e.address("int64", order, frame.e.multiply("%step", rows))
                frame.call(
                    name, [frame.pointer(buffer), frame.pointer(data), first], shared
                )

        return _Piece(shared, write)


@dataclass(frozen=True)
class _Piece:
    """Something that a step does: how it is shared, and how a phase calls it."""

    shared: Shared
    write: Callable[[Frame], None]


def _phases(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Cut the pieces where a part touches what another part has written, or is still to read, before."""
    phases: list[list[_Piece]] = [[]]
    for piece in pieces:
        if any(piece.shared.conflicts(earlier.shared) for earlier in phases[-1]):
            phases.append([])
        phases[-1].append(piece)
    return phases


def _count_step(frame: Frame, step: StepParts) -> None:
    """Write the step's number where the program reads it."""
    e = frame.e
    with e.when(frame.is_first()):
        number = e.add("%step", load_word(e, abi.FIRST_STEP, "i64"))
        e.emit(f"store i64 {number}, ptr {frame.pointer(step.step)}, align 8")


def _hand_out(frame: Frame, step: StepParts) -> None:
    """Write the metrics of a step as float64, count it, and see whether to stop."""
    e, n = frame.e, sum(buffer.size for buffer in step.metrics)
    with e.when(frame.is_first()):
        metrics = e.address(
            "float64", load_word(e, abi.METRICS, "ptr"), e.multiply("%step", n)
        )
        place = 0
        for buffer in step.metrics:
            target = e.address("float64", metrics, place)
            if buffer.size == 1:
                _hand_over(e, buffer, frame.pointer(buffer), target, "0")
            else:
                with e.loop(0, buffer.size) as element:
                    _hand_over(e, buffer, frame.pointer(buffer), target, element)
            place += buffer.size
        done = e.assign(f"getelementptr i64, ptr %context, i64 {abi.DONE}")
        e.emit(f"store atomic i64 {e.add('%step', 1)}, ptr {done} release, align 8")
        stop = e.assign(f"getelementptr i64, ptr %context, i64 {abi.STOP}")
        asked = e.assign(f"load atomic i64, ptr {stop} acquire, align 8")
        store_word(
            e,
            abi.HALT,
            e.binary("or", "int64", asked, load_word(e, abi.ERROR_FLAG, "i64")),
        )


def _hand_over(
    e: Emitter, buffer: Buffer, source: str, target: str, element: str
) -> None:
    """Write one element of a metric as float64."""
    kind = memory_kind(buffer.dtype)
    address = (
        source
        if element == "0"
        else e.assign(f"getelementptr {kind}, ptr {source}, i64 {element}")
    )
    value = e.assign(f"load {kind}, ptr {address}")
    if buffer.dtype is BOOL:
        value = e.assign(f"icmp ne i8 {value}, 0")
    e.store(
        "float64",
        cast(e, value, buffer.dtype, FLOAT64, 1),
        e.address("float64", target, element),
    )


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
        for kind, size in (
            ("<8 x i32>", 32),
            ("<4 x i32>", 16),
            ("i64", 8),
            ("i32", 4),
            ("i16", 2),
            ("i8", 1),
        ):
            if row_bytes - rest >= size:
                _move(e, source, target, str(rest), kind)
                rest += size
    e.emit("ret void")
    pointers = ", ".join(f"ptr %b{place}" for place in range(3))
    return e.function(
        f"internal void @{_NAME}(ptr %context, {pointers}, i64 %begin, i64 %end)"
    )


def _move(e: Emitter, source: str, target: str, offset: str, kind: str) -> None:
    value = e.assign(f"load {kind}, ptr {e.address('i8', source, offset)}, align 1")
    e.emit(f"store {kind} {value}, ptr {e.address('i8', target, offset)}, align 1")
