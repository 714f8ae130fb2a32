"""Code generation for a whole program: one native function that runs its statements in order, on all threads.

All threads call ``void @run(ptr context, i64 thread, i64 threads)`` together. For a step program the function runs
many steps; each gathers the rows of its batch, runs the statements, stores the metrics and checks the stop flag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deltarule.backends.native import abi
from deltarule.backends.native.contraction.products import (
    Product,
    as_nest,
    assign_roles,
    emit_product,
)
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.llvm.module_partition import partition_module
from deltarule.backends.native.loops.apply import cast, memory_kind
from deltarule.backends.native.loops.emit import Kernel, emit_nest
from deltarule.backends.native.loops.routines import emit_routine
from deltarule.backends.native.loops.unroll_jam import unroll_and_jam
from deltarule.backends.native.program.compiled_program import (
    ArenaArray,
    CompiledProgram,
    Generated,
)
from deltarule.backends.native.program.gather import emit_gather
from deltarule.backends.native.program.phase_emitter import (
    PhaseEmitter,
    load_word,
    store_word,
)
from deltarule.backends.native.program.synchronisation import (
    MemoryAccess,
    Partition,
    even_ranges,
    partition_kernel,
    partition_product,
    serial_ranges,
)
from deltarule.backends.native.program.threads import MAX_THREADS, emit_denormals
from deltarule.backends.native.program.work_sharing import emit_phases
from deltarule.dtypes import BOOL, FLOAT64
from deltarule.errors import ArgumentError
from deltarule.graph.program import Program, StepProgram
from deltarule.lower.loops import Buffer, Contraction, Nest, Routine, Scatter, Statement
from deltarule.lower.lower import Lowered, lower, lower_step
from deltarule.lower.memory import ALIGNMENT
from deltarule.lower.memory_layout import Panels

_NAME = (
    "KERNEL"  # placeholder for the name of a function: equal functions are emitted once
)
_BYTES_PER_CYCLE = 8.0  # memory bandwidth for the rows of a batch
_MIN_STEP_CYCLES = 40_000.0  # work per additional thread of a step
_MIN_CALL_CYCLES = (
    2_000_000.0  # the same for a call, whose threads are woken from Python
)


@dataclass
class _CompiledStatement:
    """A statement and its kernel."""

    statement: Statement
    kernel: Kernel | Product


@dataclass
class StepBuffers:
    """The buffers of a step program besides its state: batch, step counter, metrics and data sets."""

    batch: Sequence[Buffer]
    step: Buffer
    metrics: Sequence[Buffer]
    data: list[Buffer] = field(default_factory=list)


def generate(program: Program, machine: Machine, threads: int | None) -> Generated:
    """Return a compiled program and its LLVM modules; the arrays of the caller are the inputs, then the outputs."""
    lowered = lower(program)
    builder = ProgramBuilder(lowered, machine, threads, None)
    texts = builder.texts()
    places = {buffer: abi.TABLE + place for place, buffer in enumerate(builder.table)}
    arrays = tuple(places.get(buffer) for buffer in (*lowered.inputs, *lowered.outputs))
    n_words, messages = abi.TABLE + len(places), tuple(builder.module.messages)
    return CompiledProgram(
        builder.threads, builder.arena_bytes, n_words, arrays, messages=messages
    ), texts


def generate_step(
    program: StepProgram, machine: Machine, threads: int | None, measured: bool = False
) -> Generated:
    """Return a compiled training step and its LLVM modules.

    The arrays of the caller are the data sets; state, seed and scalars are in the arena. With ``measured``
    the step counts the cycles of every statement.
    """
    lowered = lower_step(program)
    n_state, n_batch = len(program.state), len(program.batch)
    states, batch = (
        lowered.inputs[:n_state],
        lowered.inputs[n_state : n_state + n_batch],
    )
    step, *rest = lowered.inputs[n_state + n_batch :]
    parts = StepBuffers(batch, step, lowered.outputs)
    builder = ProgramBuilder(lowered, machine, threads, parts, measured)
    texts = builder.texts()
    labels = (
        tuple(statement.label for statement in lowered.program.statements)
        if measured
        else ()
    )
    n_words = abi.TABLE + len(builder.table)
    arrays = tuple(abi.TABLE + builder.table.index(buffer) for buffer in parts.data)
    arena_arrays = tuple(_arena_array(buffer, lowered) for buffer in (*states, *rest))
    n_words, messages = n_words + len(labels), tuple(builder.module.messages)
    return CompiledProgram(
        builder.threads,
        builder.arena_bytes,
        n_words,
        arrays,
        arena_arrays,
        messages,
        labels,
    ), texts


def _arena_array(buffer: Buffer, lowered: Lowered) -> ArenaArray:
    offset, layout = lowered.memory.places[buffer].offset, lowered.layouts.get(buffer)
    panels = (layout.axis, layout.width) if isinstance(layout, Panels) else (0, 0)
    return ArenaArray(offset, buffer.size, buffer.dtype.name, *panels)


class ProgramBuilder:
    """Builder of the LLVM modules of a lowered program."""

    def __init__(
        self,
        lowered: Lowered,
        machine: Machine,
        threads: int | None,
        step: StepBuffers | None,
        measured: bool = False,
    ) -> None:
        self.lowered, self.machine, self.step = lowered, machine, step
        self.measured = (
            measured  # record the minimum cycles of thread 0 for each statement
        )
        self.module = Module(machine)
        self._bodies: dict[str, str] = {}
        self.calls = [
            self._emit_kernel(statement) for statement in lowered.program.statements
        ]
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise ArgumentError(
                "threads", expected=f"1 to {MAX_THREADS}, or None", got=str(threads)
            )
        self.threads = int(
            threads or self._default_threads()
        )  # JSON does not encode NumPy integers
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
        """Generate the modules and set ``arena_bytes``."""
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
        return partition_module(
            self.module.definitions, list(self._bodies.values()), main, self.machine
        )

    # ------------------------------------------------------------------ kernels

    def _emit_kernel(self, statement: Statement) -> _CompiledStatement:
        if isinstance(statement, Contraction):
            roles = assign_roles(
                statement, self.machine.lanes(statement.left.dtype.name)
            )
            found = (
                emit_product(statement, roles, self.module, _NAME, self.lowered.aliases)
                if roles
                else None
            )
            if found is not None:
                product, text = found
                named = Product(
                    self._add_kernel(text),
                    product.roles,
                    product.schedule,
                    product.buffers,
                    product.spec,
                )
                return _CompiledStatement(statement, named)
            statement = as_nest(statement)
        if isinstance(statement, Nest):
            statement = unroll_and_jam(statement, self.machine)
        if isinstance(statement, Routine):
            kernel, text = emit_routine(statement, self.module, _NAME)
        elif isinstance(statement, Nest | Scatter):
            kernel, text = emit_nest(statement, self.module, _NAME)
        name = self._add_kernel(text)
        return _CompiledStatement(
            statement,
            Kernel(name, kernel.buffers, kernel.extent, kernel.unit, kernel.work),
        )

    def _add_kernel(self, text: str) -> str:
        """Add a kernel to the module, unless an equal one exists, and return its name."""
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

    def _default_threads(self) -> int:
        """Return the number of threads for which the estimated work of a run is large enough."""
        work = 0.0
        for call in self.calls:
            if isinstance(call.kernel, Product):
                spec = call.kernel.spec
                work += spec.flops / (4 * self.machine.lanes(spec.dtype))
            else:
                work += call.kernel.work
        if self.step is not None:
            work += sum(buffer.nbytes for buffer in self.step.batch) / _BYTES_PER_CYCLE
        least = _MIN_CALL_CYCLES if self.step is None else _MIN_STEP_CYCLES
        return min(self.machine.cores, 1 + int(work / least))

    # ------------------------------------------------------------------ main

    def _main(self) -> str:
        """Return the function of each phase, and the main function."""
        stages = self._stages()
        bodies = [
            self._phase(number, phase)
            for number, phase in enumerate(_split_into_phases(stages))
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

    def _run(self, e: Emitter, phases: int, step: str, earlier_phases: str) -> None:
        """Emit a run of all phases; ``earlier_phases`` is the number of phases that have run before."""
        barrier = load_word(e, abi.BARRIER, "ptr") if self.threads > 1 else ""
        for number in range(phases):
            if self.threads == 1:
                e.emit(f"call void @phase{number}(ptr %context, i64 0, i64 {step})")
            else:
                count = e.add(earlier_phases, number + 1)
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

    def _phase(self, number: int, stages: Sequence[_Stage]) -> str:
        """Return the function that runs one part of each statement of a phase, in order."""
        phase = PhaseEmitter(
            self.module,
            self.lowered.memory,
            self.table,
            self._scratch_bytes,
            self._scratch_offset,
        )
        for stage in stages:
            stage.write(phase)
        phase.e.emit("ret void")
        return phase.e.function(
            f"internal void @phase{number}(ptr %context, i64 %part, i64 %step)"
        )

    def _stages(self) -> list[_Stage]:
        """Return the stages of a run, in order."""
        stages = [self._statement(place, call) for place, call in enumerate(self.calls)]
        if self.step is None:
            return stages
        step = self.step
        begin = _Stage(
            self._serial([(step.step, True)]),
            lambda phase: _count_step(phase, step),
        )
        gathers = [
            self._gather(b, data) for b, data in zip(step.batch, step.data, strict=True)
        ]
        end = _Stage(
            self._serial([(m, False) for m in step.metrics]),
            lambda phase: _record_metrics(phase, step),
        )
        return [begin, *gathers, *stages, end]

    def _statement(self, place: int, call: _CompiledStatement) -> _Stage:
        kernel = call.kernel
        word = abi.TABLE + len(self.table) + place if self.measured else 0
        if isinstance(kernel, Product):
            partition = partition_product(
                call.statement, kernel, self.threads, self.lowered.memory.places
            )
        else:
            partition = partition_kernel(
                call.statement, kernel, self.threads, self.lowered.memory.places
            )

        def write(phase: PhaseEmitter) -> None:
            begin = phase.cycles() if word else ""
            phase.call_product(kernel, partition) if isinstance(
                kernel, Product
            ) else phase.call_kernel(kernel, partition)
            if word:
                phase.record_cycles(word, begin)

        return _Stage(partition, write)

    def _serial(self, buffers: Sequence[tuple[Buffer, bool]]) -> Partition:
        """Return the partition of a stage that accesses ``buffers`` in part 0 only."""
        places = self.lowered.memory.places
        accesses = tuple(
            MemoryAccess(None, places[b].offset, places[b].offset + b.nbytes, writes)
            for b, writes in buffers
        )
        return Partition(
            serial_ranges(1, self.threads), (accesses, *((),) * (self.threads - 1))
        )

    def _gather(self, buffer: Buffer, data: Buffer) -> _Stage:
        """Return the stage that gathers the rows of a batch from a data set."""
        shape = self.lowered.program.shapes[buffer]
        rows = shape[0]
        row_bytes = buffer.nbytes // max(1, rows)
        ranges = even_ranges(rows, 1, self.threads)
        place = self.lowered.memory.places[buffer]
        accesses = tuple(
            (
                MemoryAccess(
                    None,
                    place.offset + begin * row_bytes,
                    place.offset + end * row_bytes,
                    True,
                ),
            )
            for begin, end in ranges
        )
        partition = Partition(ranges, accesses)
        name = self._add_kernel(emit_gather(self.module, _NAME, row_bytes))

        def write(phase: PhaseEmitter) -> None:
            if buffer.size:
                order = load_word(phase.e, abi.ORDER, "ptr")
                first = phase.e.address("int64", order, phase.e.multiply("%step", rows))
                phase.call(
                    name,
                    [phase.pointer(buffer), phase.pointer(data), first],
                    partition,
                )

        return _Stage(partition, write)


@dataclass(frozen=True)
class _Stage:
    """A unit of work in a run: its partition among threads, and a function that emits it into a phase."""

    partition: Partition
    write: Callable[[PhaseEmitter], None]


def _split_into_phases(stages: Sequence[_Stage]) -> list[list[_Stage]]:
    """Split the stages into phases: a barrier is needed where a part depends on another part of an earlier stage."""
    phases: list[list[_Stage]] = [[]]
    for stage in stages:
        if any(stage.partition.conflicts(earlier.partition) for earlier in phases[-1]):
            phases.append([])
        phases[-1].append(stage)
    return phases


def _count_step(phase: PhaseEmitter, step: StepBuffers) -> None:
    """Store the number of the step in the buffer that the program reads."""
    e = phase.e
    with e.when(phase.is_first()):
        number = e.add("%step", load_word(e, abi.FIRST_STEP, "i64"))
        e.emit(f"store i64 {number}, ptr {phase.pointer(step.step)}, align 8")


def _record_metrics(phase: PhaseEmitter, step: StepBuffers) -> None:
    """Store the metrics of a step as float64, increment the step count, and update the stop flag."""
    e, n = phase.e, sum(buffer.size for buffer in step.metrics)
    with e.when(phase.is_first()):
        metrics = e.address(
            "float64", load_word(e, abi.METRICS, "ptr"), e.multiply("%step", n)
        )
        place = 0
        for buffer in step.metrics:
            target = e.address("float64", metrics, place)
            if buffer.size == 1:
                _store_metric(e, buffer, phase.pointer(buffer), target, "0")
            else:
                with e.loop(0, buffer.size) as element:
                    _store_metric(e, buffer, phase.pointer(buffer), target, element)
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


def _store_metric(
    e: Emitter, buffer: Buffer, source: str, target: str, element: str
) -> None:
    """Store one element of a metric as float64."""
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
