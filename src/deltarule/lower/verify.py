"""The verifier of loop programs: every load must be of memory that was written and not reused since.

The statements are checked in order, with the set of buffers whose content is valid. A statement may read valid buffers
only; it must write its buffers completely, which invalidates all others in the same memory. The verifier runs if the
environment variable DELTARULE_VERIFY is set to a value other than 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

from deltarule.errors import GraphError
from deltarule.lower.bounds import value_of
from deltarule.lower.contraction_loops import is_affine
from deltarule.lower.index import Axis, Index, Lookup
from deltarule.lower.loops import (
    Buffer,
    Contraction,
    Load,
    LoopProgram,
    Nest,
    Routine,
    Scatter,
    Statement,
    subexpressions,
)
from deltarule.lower.memory import MemoryPlan
from deltarule.lower.show import show_statement

_MAX_POINTS = 30_000  # limit of the enumeration of a store


def is_enabled() -> bool:
    """Return whether the environment variable DELTARULE_VERIFY requests verification.

    >>> isinstance(is_enabled(), bool)
    True
    """
    return os.environ.get("DELTARULE_VERIFY", "0") not in {"", "0"}


def verify_loops(
    program: LoopProgram, memory: MemoryPlan, aliases: Mapping[Buffer, Buffer]
) -> None:
    """Raise GraphError with the statement if a program reads memory that is not written or was reused.

    Args:
        program: The program.
        memory: Its memory plan.
        aliases: For each buffer that is updated in place, the buffer whose memory it shares.

    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> lowered = lower(Program((x := input_node("x", (3,)),), (exp(x),)))
    >>> verify_loops(lowered.program, lowered.memory, {})
    """
    _Verifier(program, memory, aliases).run()


class _Verifier:
    """The state of the verification of a program."""

    def __init__(
        self, program: LoopProgram, memory: MemoryPlan, aliases: Mapping[Buffer, Buffer]
    ) -> None:
        self._program, self._memory, self._aliases = program, memory, aliases
        self._valid = set(program.inputs)
        self._overwritten: dict[
            Buffer, int
        ] = {}  # the statement that overwrote a buffer

    def run(self) -> None:
        """Check all statements."""
        for place, statement in enumerate(self._program.statements):
            read = dict.fromkeys(load.buffer for load in statement.reads)
            read |= dict.fromkeys(
                statement.arguments if isinstance(statement, Routine) else ()
            )
            for buffer in read:
                if buffer not in self._valid:
                    raise self._error(
                        buffer,
                        "a buffer that is written before it is read",
                        statement,
                        place,
                    )
            self._check_writes(statement, list(read), place)
            for buffer in statement.writes:
                self._write(buffer, place)
        for buffer in (*self._program.outputs, *self._aliases):
            if buffer.size and buffer not in self._valid:
                raise self._error(
                    buffer,
                    "a result that is in memory at the end",
                    None,
                    len(self._program.statements),
                )

    def _check_writes(
        self, statement: Statement, read: Sequence[Buffer], place: int
    ) -> None:
        written = statement.writes
        for number, buffer in enumerate(written):
            conflicts = [
                other for other in written[:number] if self._overlap(buffer, other)
            ]
            conflicts += [
                o
                for o in read
                if self._overlap(buffer, o) and not self._in_place(statement, o, buffer)
            ]
            if conflicts:
                raise self._error(
                    buffer,
                    f"memory apart from that of {conflicts[0]}",
                    statement,
                    place,
                )
            if not self._is_whole(statement, buffer):
                raise self._error(
                    buffer, "a buffer that is written whole", statement, place
                )

    def _write(self, buffer: Buffer, place: int) -> None:
        for other in [
            other
            for other in self._valid
            if other is not buffer and self._overlap(buffer, other)
        ]:
            self._valid.discard(other)
            self._overwritten[other] = place
        self._valid.add(buffer)

    def _overlap(self, a: Buffer, b: Buffer) -> bool:
        first, second = self._memory.places.get(a), self._memory.places.get(b)
        return a is b or (
            first is not None and second is not None and first.overlaps(second)
        )

    def _in_place(self, statement: Statement, read: Buffer, written: Buffer) -> bool:
        """Return whether a statement reads the memory that it writes only at the element being written."""
        if not isinstance(statement, Nest | Contraction):
            return False
        if read is not written and self._aliases.get(
            written, written
        ) is not self._aliases.get(read, read):
            return False
        operands = (
            [statement.left, statement.right]
            if isinstance(statement, Contraction)
            else []
        )
        inner = (
            [*operands, *(r.value for r in statement.reductions)]
            if isinstance(statement, Nest)
            else operands
        )
        if any(
            isinstance(expr, Load) and expr.buffer is read
            for expr in subexpressions(inner)
        ):
            return False
        targets = [store.index for store in statement.stores if store.buffer is written]
        return all(
            load.index == target
            for load in statement.reads
            if load.buffer is read
            for target in targets
        )

    def _is_whole(self, statement: Statement, buffer: Buffer) -> bool:
        """Return whether a statement writes all elements of a buffer."""
        if isinstance(
            statement, Scatter | Routine
        ):  # scatters clear their buffer first; routines write whole buffers
            return True
        return any(
            _covers(store.index, buffer.size)
            for store in statement.stores
            if store.buffer is buffer
        )

    def _error(
        self, buffer: Buffer, expected: str, statement: Statement | None, place: int
    ) -> GraphError:
        overwritten = self._overwritten.get(buffer)
        got = (
            "one that is never written"
            if overwritten is None
            else f"one that statement {overwritten} has written over"
        )
        got = "something else" if buffer in self._valid else got
        shown = (
            show_statement(statement, place)
            if statement is not None
            else "the end of the program"
        )
        return GraphError(
            f"loop program, {buffer}",
            expected=expected,
            got=got,
            hint=f"This is a bug of the compiler. Please report it with the lines that follow.\n{shown}",
        )


def _covers(index: Index, size: int) -> bool:
    """Return whether an index takes all values 0 … size − 1."""
    axes = sorted(index.axes, key=str)
    if is_affine(index):  # strides 1, n₀, n₀·n₁ … in some order and direction
        reached = 1
        for coefficient, axis in sorted(
            ((abs(index.coefficient(axis) or 0), axis) for axis in axes),
            key=lambda pair: pair[0],
        ):
            if coefficient > reached:
                return False
            reached += coefficient * (axis.extent - 1)
        return index.bounds == (0, size - 1) and reached == size
    if index.bounds[0] > 0 or index.bounds[1] < size - 1:
        return False
    if prod(axis.extent for axis in axes) > _MAX_POINTS:
        return True  # not decided
    reached_at = set()
    for point in product(*(range(axis.extent) for axis in axes)):
        values: dict[Axis | Lookup, int] = dict(zip(axes, point, strict=True))
        reached_at.add(value_of(index, values))
    return reached_at == set(range(size))
