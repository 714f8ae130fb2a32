"""Cost model of lowered programs: statements, floating-point operations, and bytes moved.

Operations are the products and sums of contractions, 2 · points · reduced points; elementwise work is counted in
points. Bytes are a lower bound: each statement moves every element that it accesses once, as if the cache held all
elements of one statement and none between statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from deltarule.lower.index import Index
from deltarule.lower.loops import (
    Buffer,
    Contraction,
    LoopProgram,
    Nest,
    Routine,
    Statement,
)
from deltarule.render.numbers import counted


@dataclass(frozen=True)
class Cost:
    """Cost of a program: statements by kind, operations of contractions, elementwise points, bytes read and written.

    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (1000,))
    >>> cost(lower(Program((x,), (exp(x),))).program)
    Cost(kinds=(('nest', 1),), flops=0, points=1000, read=4000, written=4000)
    """

    kinds: tuple[tuple[str, int], ...]
    flops: int
    points: int
    read: int
    written: int

    @property
    def statements(self) -> int:
        """Return the number of statements (kernels) of a run."""
        return sum(count for _, count in self.kinds)

    @property
    def intensity(self) -> float:
        """Return the arithmetic intensity: operations per byte moved."""
        return self.flops / max(1, self.read + self.written)

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in self.kinds
        )
        return (
            f"{counted(self.statements, 'kernel')} ({kinds}); {self.flops:,} flops in contractions, "
            f"{self.points:,} points elsewhere; {self.read:,} bytes read, {self.written:,} written"
        )


def cost(program: LoopProgram) -> Cost:
    """Return the cost of one run of a program (of one step, if it is a training step).

    >>> from deltarule.graph.build import input_node, matmul
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> a, b = input_node("A", (2, 3)), input_node("B", (3, 4))
    >>> cost(lower(Program((a, b), (matmul(a, b),))).program).flops
    48
    """
    kinds = Counter(
        type(statement).__name__.lower() for statement in program.statements
    )
    flops = points = read = written = 0
    for statement in program.statements:
        if isinstance(statement, Contraction):
            flops += statement.flops
        else:
            reduced = statement.reduce if isinstance(statement, Nest) else ()
            points += prod(axis.extent for axis in (*statement.axes, *reduced))
        came, went = _moved(statement)
        read, written = read + came, written + went
    return Cost(tuple(sorted(kinds.items())), flops, points, read, written)


def _moved(statement: Statement) -> tuple[int, int]:
    """Return the minimum number of bytes that a statement reads and writes."""
    if isinstance(statement, Routine):
        return _total(statement.arguments), _total(statement.results)
    reads: dict[Buffer, list[Index]] = {}
    for load in statement.reads:
        reads.setdefault(load.buffer, []).append(load.index)
    writes: dict[Buffer, list[Index]] = {}
    for store in statement.stores:
        writes.setdefault(store.buffer, []).append(store.index)
    return sum(_accessed_bytes(*item) for item in reads.items()), sum(
        _accessed_bytes(*item) for item in writes.items()
    )


def _total(buffers: Iterable[Buffer]) -> int:
    return sum(buffer.nbytes for buffer in buffers)


def _accessed_bytes(buffer: Buffer, indices: Iterable[Index]) -> int:
    """Return the bytes of the elements that indices access, at most the whole buffer."""
    elements = sum(prod(axis.extent for axis in index.axes) for index in indices)
    return min(buffer.size, elements) * buffer.dtype.itemsize
