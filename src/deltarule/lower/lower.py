"""Lowering of programs to loops: rewrite, prepare operands, fuse, build and order statements, plan memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deltarule.errors import GraphError
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program, StepProgram
from deltarule.lower import verify
from deltarule.lower.bounds import check_bounds
from deltarule.lower.canonical import canonical
from deltarule.lower.empty_loops import remove_empty_loops
from deltarule.lower.fuse import ROUTINES, Fusion
from deltarule.lower.index import flatten
from deltarule.lower.loops import (
    Buffer,
    Contraction,
    Expr,
    Load,
    LoopProgram,
    Nest,
    Routine,
    Statement,
    Store,
    accessed_buffers,
    subexpressions,
)
from deltarule.lower.memory import MemoryPlan, plan_memory
from deltarule.lower.memory_layout import MemoryLayout, Panels, RowMajor
from deltarule.lower.operands import prepare
from deltarule.lower.split_reductions import split_reduction
from deltarule.lower.statements import StatementBuilder
from deltarule.shapes import count, is_static, show


@dataclass(frozen=True)
class Lowered:
    """A lowered program.

    Attributes:
        program: The loop program.
        memory: The memory plan.
        inputs: Buffers of the inputs.
        outputs: Buffers of the outputs; of a step program, of the metrics.
        layouts: Layouts of buffers that are not row-major.
        aliases: Buffers of new state that share the memory of the old state (updates in place).

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (3,))
    >>> lowered = lower(Program((x,), (exp(x),)))
    >>> [buffer.name for buffer in lowered.outputs]
    ['output0']
    """

    program: LoopProgram
    memory: MemoryPlan
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    layouts: Mapping[Buffer, MemoryLayout]
    aliases: Mapping[Buffer, Buffer] = field(default_factory=dict)


def lower(program: Program) -> Lowered:
    """Lower a program; inputs and outputs are row-major arrays of the caller.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (3,))
    >>> len(lower(Program((x,), (exp(x),))).program.statements)
    1
    """
    return _Lowering(program.inputs, program.outputs, "input").result()


def lower_step(program: StepProgram) -> Lowered:
    """Lower a training step; ``inputs`` are state, batch, step, seed and scalars, in this order.

    >>> from deltarule.dtypes import INT64
    >>> from deltarule.graph.build import input_node, multiply
    >>> w, step, seed = input_node("w", (3,)), input_node("step", (), INT64), input_node("seed", (), INT64)
    >>> lowered = lower_step(StepProgram((w,), (), step, seed, (), (multiply(w, 0.5),), ()))
    >>> [statement.label for statement in lowered.program.statements]
    ['multiply']
    """
    inputs = (
        *program.state,
        *program.batch,
        program.step,
        program.seed,
        *program.scalars,
    )
    outputs = (*program.next_state, *program.metrics)
    return _Lowering(inputs, outputs, "", program).step_result(program)


class _Lowering:
    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        role: str,
        step: StepProgram | None = None,
    ) -> None:
        _check(inputs, outputs)
        self._inputs = tuple(inputs)
        states = step.state if step else ()
        prepared = prepare(canonical(outputs), frozenset(states))
        self._outputs = prepared.outputs
        self._layouts = prepared.layouts
        self._results = frozenset(prepared.outputs[len(states) :])
        fusion = self._fusion = Fusion([*prepared.outputs], prepared.kept)
        if step:
            self._propagate_layouts(states, prepared.outputs[: len(states)])
        self._buffers: dict[Node, Buffer] = {}
        for place, node in enumerate(inputs):
            name = str(node.attributes.get("name") or f"input{place}")
            self._buffers[node] = Buffer(
                name, node.dtype, count(node.shape), role or _role(node, step)
            )
        names = {
            node: f"{state.attributes.get('name')}'"
            for state, node in zip(states, self._outputs, strict=False)
        }
        for node in fusion.order:
            if node.op is Op.INPUT and node not in self._buffers:
                raise GraphError(
                    "compile",
                    expected="every input in the program's inputs",
                    got=f"{node!r}, which is not one of them",
                )
            if node in fusion.stored:
                name = names.get(node) or f"t{len(self._buffers) - len(inputs)}"
                self._buffers[node] = Buffer(name, node.dtype, count(node.shape))

        self._owners = {buffer: node for node, buffer in self._buffers.items()}

    def result(self) -> Lowered:
        """Return the lowered program."""
        outputs, copies = [], []
        for place, node in enumerate(self._outputs):
            known = self._buffers[node]
            buffer = Buffer(f"output{place}", node.dtype, known.size, "output")
            if known.role == "temporary":
                self._buffers[node] = buffer
                self._owners[buffer] = node
            else:  # an input, or a value that is already another output
                copies.append(
                    _copy(known, buffer, self._layout(known), RowMajor(node.shape))
                )
            outputs.append(buffer)
        statements = remove_empty_loops([*self._statements(), *copies])
        inputs = [self._buffers[node] for node in self._inputs]
        loops = LoopProgram(statements, inputs, outputs, self._shapes())
        check_bounds(loops)
        memory = plan_memory(loops, [], {})
        if verify.is_enabled():
            verify.verify_loops(loops, memory, {})
        return Lowered(loops, memory, tuple(inputs), tuple(outputs), self._layouts_of())

    def step_result(self, program: StepProgram) -> Lowered:
        """Return the lowered training step."""
        n_state = len(program.state)
        inputs = [self._buffers[node] for node in self._inputs]
        pairs = list(zip(inputs[:n_state], self._outputs[:n_state], strict=True))
        statements = _writers_last(
            self._statements(), [(s, self._buffers[node]) for s, node in pairs]
        )
        readers = _readers(statements)
        aliases: dict[Buffer, Buffer] = {}
        deferred: list[tuple[Buffer, Buffer]] = []
        # states that are read after all statements, as the new value of another state
        read_at_end = {
            self._buffers[node]
            for state, node in pairs
            if self._buffers[node] is not state
        }
        for state, node in pairs:
            new = self._buffers[node]
            if new is state:
                continue
            reusable = (
                new.role == "temporary"
                and new not in aliases
                and state not in read_at_end
            )
            reusable = reusable and self._layout(new) == self._layout(state)
            if reusable and _in_place(statements, readers.get(state, ()), state, new):
                aliases[new] = state
            else:
                deferred.append((state, new))
        statements.extend(self._deferred_copies(deferred, aliases))
        metrics = []
        for place, node in enumerate(self._outputs[n_state:]):
            metric = self._buffers[node]
            if (
                metric in inputs[:n_state]
            ):  # the old value, which the step overwrites, is saved
                kept = Buffer(f"metric{place}", node.dtype, metric.size)
                statements.insert(
                    0, _copy(metric, kept, self._layout(metric), RowMajor(node.shape))
                )
                metric = kept
            metrics.append(metric)
        loops = LoopProgram(
            remove_empty_loops(statements), inputs, metrics, self._shapes()
        )
        check_bounds(loops)
        memory = plan_memory(loops, inputs, aliases)
        if verify.is_enabled():
            verify.verify_loops(loops, memory, aliases)
        return Lowered(
            loops, memory, tuple(inputs), tuple(metrics), self._layouts_of(), aliases
        )

    def _statements(self) -> list[Statement]:
        builder = StatementBuilder(self._fusion, self._buffers, self._layouts)
        statements: list[Statement] = []
        for group in self._fusion.groups:
            statement = builder.of(group)
            statements.extend(
                split_reduction(statement)
                if isinstance(statement, Nest)
                else [statement]
            )
        return statements

    def _shapes(self) -> dict[Buffer, tuple[int, ...]]:
        return {buffer: node.shape for node, buffer in self._buffers.items()}

    def _layouts_of(self) -> dict[Buffer, MemoryLayout]:
        return {
            self._buffers[node]: layout
            for node, layout in self._layouts.items()
            if node in self._buffers
        }

    def _layout(self, buffer: Buffer) -> MemoryLayout:
        """Return the layout of a buffer."""
        node = self._owners[buffer]
        return self._layouts.get(node, RowMajor(node.shape))

    def _deferred_copies(
        self,
        deferred: Sequence[tuple[Buffer, Buffer]],
        aliases: Mapping[Buffer, Buffer],
    ) -> list[Statement]:
        """Copy new states into place at the end of a step, through temporaries where states are exchanged."""
        result: list[Statement] = []
        states = {state for state, _ in deferred} | set(aliases.values())
        final = []
        for state, new in deferred:
            source, layout = new, self._layout(new)
            if aliases.get(new, new) in states:
                source = Buffer(f"{new.name}_aside", new.dtype, new.size)
                result.append(_copy(new, source, layout, layout))
            final.append(_copy(source, state, layout, self._layout(state)))
        return [*result, *final]

    def _is_movable(self, node: Node) -> bool:
        """Return whether a value may have another layout; routines and results are row-major."""
        routine = node.op in ROUTINES or any(
            use.reader.op in ROUTINES for use in self._fusion.uses[node]
        )
        return not routine and node not in self._results

    def _propagate_layouts(
        self, states: Sequence[Node], following: Sequence[Node]
    ) -> None:
        """Give values that are updated with a weight (velocities, moments, gradients) the layout of the weight."""
        fusion, layouts = self._fusion, self._layouts
        for state, node in zip(states, following, strict=True):
            layout = layouts.get(state)
            if layout is None or node not in fusion.of:
                continue
            group = fusion.of[node]
            read = {
                operand
                for member in group.nodes
                for operand, kind in fusion.operands(member)
                if kind == "same"
            }
            for candidate in [*group.nodes, *read]:
                fits = candidate.shape == state.shape and candidate not in layouts
                fits = fits and self._is_movable(candidate)
                if fits and (candidate in fusion.stored or candidate in states):
                    layouts[candidate] = layout
        for state, node in zip(states, following, strict=True):
            if state in layouts and node in fusion.stored and self._is_movable(node):
                layouts[node] = layouts[state]
            elif (
                node in layouts
                and node in fusion.stored
                and layouts.get(state) != layouts[node]
            ):
                layouts[state] = layouts[node]


def _check(inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
    for node in (*inputs, *outputs):
        if not is_static(node.shape):
            raise GraphError(
                "compile",
                expected="known sizes",
                got=f"{node!r} of shape {show(node.shape)}",
            )


def _role(node: Node, step: StepProgram | None) -> str:
    if step is None or node in step.state:
        return "state"
    return "batch" if node in step.batch else "counter"


def _copy(
    source: Buffer, target: Buffer, layout: MemoryLayout, wanted: MemoryLayout
) -> Nest:
    """Return a statement that copies a whole buffer from one layout to another."""
    if layout == wanted:
        axes, indices = RowMajor((source.size,)).walk("i")
        at = to = flatten(indices, (source.size,))
    else:
        axes, indices = (wanted if isinstance(wanted, Panels) else layout).walk("i")
        at, to = layout.flat(indices), wanted.flat(indices)
    return Nest("copy", axes, (Store(target, to, Load(source.dtype, source, at)),))


def _writers_last(
    statements: list[Statement], pairs: Sequence[tuple[Buffer, Buffer]]
) -> list[Statement]:
    """Move statements that write new state after those that read the old state, where possible."""
    writers = {
        buffer: statement for statement in statements for buffer in statement.writes
    }
    needs = {
        statement: {
            writers[b]
            for b in accessed_buffers(statement)
            if b in writers and writers[b] is not statement
        }
        for statement in statements
    }
    all_readers = _readers(statements)
    order = list(statements)
    for state, new in pairs:
        writer = writers.get(new)
        if writer is None:
            continue
        readers = [s for s in all_readers.get(state, ()) if s is not writer]
        last = max((order.index(s) for s in readers), default=-1)
        place = order.index(writer)
        if last < place:
            continue
        moved = [writer]
        for statement in order[
            place + 1 : last + 1
        ]:  # statements that depend on the writer are moved too
            if needs[statement] & set(moved):
                moved.append(statement)
        if any(statement in readers for statement in moved):
            continue
        rest = [statement for statement in order[: last + 1] if statement not in moved]
        order = [*rest, *moved, *order[last + 1 :]]
    return order


def _readers(statements: Sequence[Statement]) -> dict[Buffer, list[Statement]]:
    """Return the statements that read each buffer."""
    found: dict[Buffer, list[Statement]] = {}
    for statement in statements:
        read = dict.fromkeys(load.buffer for load in statement.reads)
        arguments = statement.arguments if isinstance(statement, Routine) else ()
        for buffer in dict.fromkeys((*read, *arguments)):
            found.setdefault(buffer, []).append(statement)
    return found


def _in_place(
    statements: Sequence[Statement],
    readers: Sequence[Statement],
    state: Buffer,
    new: Buffer,
) -> bool:
    """Return whether a new state may overwrite the old one: all other reads come before.

    The writing statement may read the old value only at the point that it writes.
    """
    place = next(
        (p for p, statement in enumerate(statements) if new in statement.writes), None
    )
    if place is None:
        return False
    later = set(statements[place + 1 :])
    if any(reader in later or isinstance(reader, Routine) for reader in readers):
        return False
    writer = statements[place]
    target = next((store.index for store in writer.stores if store.buffer is new), None)
    reads = [load for load in writer.reads if load.buffer is state]
    if not reads:
        return True
    if not isinstance(writer, Nest | Contraction) or target is None:
        return False
    early: list[Expr] = (
        [writer.left, writer.right] if isinstance(writer, Contraction) else []
    )
    early += [r.value for r in writer.reductions] if isinstance(writer, Nest) else []
    if any(isinstance(e, Load) and e.buffer is state for e in subexpressions(early)):
        return False
    return all(load.index == target for load in reads)
