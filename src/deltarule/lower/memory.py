"""Memory planning: the offset of every buffer in one arena, with reuse of memory.

The live range of a temporary extends from the first statement that writes it to the last one that reads it; temporaries
with disjoint live ranges may share memory. Persistent buffers (state, batch, counters) do not share memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule.lower.loops import Buffer, LoopProgram, accessed_buffers

ALIGNMENT = 64
_MIN_BYTES = 64  # a guarded load at offset 0 must be valid


@dataclass(frozen=True)
class Place:
    """A block of the arena, and the first and last statement of its live range.

    >>> Place(0, 64, first=0, last=1).overlaps(Place(32, 64, first=2, last=3))
    True
    """

    offset: int
    nbytes: int
    first: int
    last: int

    def overlaps(self, other: Place) -> bool:
        """Return whether two blocks overlap in memory."""
        return (
            self.offset < other.offset + other.nbytes
            and other.offset < self.offset + self.nbytes
        )


@dataclass(frozen=True)
class MemoryPlan:
    """The blocks of all buffers in the arena, except those of the caller (inputs, outputs).

    >>> from deltarule.graph.build import exp, input_node, matmul
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> A, B = input_node("A", (4, 4)), input_node("B", (4, 4))
    >>> print(lower(Program((A, B), (matmul(exp(A), matmul(A, B)),))).memory)
    arena of 128 bytes
               0            64 bytes  t0           statements 0 to 2
              64            64 bytes  t1           statements 1 to 2
    """

    places: Mapping[Buffer, Place]
    nbytes: int

    def __str__(self) -> str:
        lines = [f"arena of {self.nbytes:,} bytes"]
        for buffer, place in sorted(
            self.places.items(), key=lambda item: (item[1].offset, item[1].first)
        ):
            live_range = (
                "lasting"
                if place.first < 0
                else f"statements {place.first} to {place.last}"
            )
            lines.append(
                f"  {place.offset:>10,}  {place.nbytes:>12,} bytes  {buffer.name:<12} {live_range}"
            )
        return "\n".join(lines)


def plan_memory(
    program: LoopProgram, persistent: Sequence[Buffer], aliases: Mapping[Buffer, Buffer]
) -> MemoryPlan:
    """Plan the memory of a program greedily: large buffers first, each at the lowest free offset.

    Args:
        program: The program.
        persistent: Buffers that persist between calls.
        aliases: For each buffer that is updated in place, the buffer whose memory it shares.

    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> print(lower(Program((x := input_node("x", (3,)),), (exp(x),))).memory)
    arena of 0 bytes
    """
    end = len(program.statements)
    live_ranges = _live_ranges(program)
    places: dict[Buffer, Place] = {}
    offset = 0
    for buffer in persistent:
        places[buffer] = Place(offset, _padded(buffer), -1, end)
        offset += places[buffer].nbytes
    temporaries = [
        buffer
        for buffer in live_ranges
        if buffer.role == "temporary" and buffer not in places and buffer not in aliases
    ]
    top = offset
    for buffer in sorted(temporaries, key=lambda b: (-b.nbytes, live_ranges[b])):
        first, last = live_ranges[buffer]
        size = _padded(buffer)
        occupied = sorted(
            (place.offset, place.offset + place.nbytes)
            for place in places.values()
            if place.offset + place.nbytes > offset
            and place.first <= last
            and first <= place.last
        )
        start = offset
        for begin, stop in occupied:
            if begin - start >= size:
                break
            start = max(start, stop)
        places[buffer] = Place(start, size, first, last)
        top = max(top, start + size)
    for buffer, owner in aliases.items():
        places[buffer] = places[owner]
    return MemoryPlan(places, top)


def _padded(buffer: Buffer) -> int:
    return max(_MIN_BYTES, -(-buffer.nbytes // ALIGNMENT) * ALIGNMENT)


def _live_ranges(program: LoopProgram) -> dict[Buffer, tuple[int, int]]:
    """Return the first and last statement that accesses each buffer; outputs are live at the end."""
    live_ranges: dict[Buffer, tuple[int, int]] = {}
    for place, statement in enumerate(program.statements):
        for buffer in accessed_buffers(statement):
            first, _ = live_ranges.get(buffer, (place, place))
            live_ranges[buffer] = (first, place)
    for buffer in program.outputs:
        first, _ = live_ranges.get(buffer, (0, 0))
        live_ranges[buffer] = (first, len(program.statements))
    return live_ranges
