"""Memory planning: the offset of every buffer in one arena, with reuse of memory.

A temporary lives from the statement that writes it first to the last one that reads it; two temporaries may share
memory if their lives do not meet. Buffers that last (state, batch, counters) have places of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule.lower.loops import Buffer, LoopProgram, touched

ALIGNMENT = 64
_MIN_BYTES = 64  # so that a guarded read at offset 0 is always valid


@dataclass(frozen=True)
class Place:
    """A block of the arena, and the first and last statement of its lifetime."""

    offset: int
    nbytes: int
    first: int
    last: int

    def meets(self, other: Place) -> bool:
        """Return whether two blocks overlap in memory."""
        return (
            self.offset < other.offset + other.nbytes
            and other.offset < self.offset + self.nbytes
        )


@dataclass(frozen=True)
class MemoryPlan:
    """The blocks of all buffers in the arena, except those of the caller (inputs, outputs)."""

    places: Mapping[Buffer, Place]
    nbytes: int

    def __str__(self) -> str:
        lines = [f"arena of {self.nbytes:,} bytes"]
        for buffer, place in sorted(
            self.places.items(), key=lambda item: (item[1].offset, item[1].first)
        ):
            life = (
                "lasting"
                if place.first < 0
                else f"statements {place.first} to {place.last}"
            )
            lines.append(
                f"  {place.offset:>10,}  {place.nbytes:>12,} bytes  {buffer.name:<12} {life}"
            )
        return "\n".join(lines)


def plan_memory(
    program: LoopProgram, lasting: Sequence[Buffer], aliases: Mapping[Buffer, Buffer]
) -> MemoryPlan:
    """Plan the memory of a program greedily: large buffers first, each at the lowest free offset.

    ``lasting`` buffers are kept from call to call; ``aliases`` maps a buffer to the one whose memory it takes over.
    """
    end = len(program.statements)
    lives = _lives(program)
    places: dict[Buffer, Place] = {}
    offset = 0
    for buffer in lasting:
        places[buffer] = Place(offset, _padded(buffer), -1, end)
        offset += places[buffer].nbytes
    temporaries = [
        buffer
        for buffer in lives
        if buffer.role == "temporary" and buffer not in places and buffer not in aliases
    ]
    top = offset
    for buffer in sorted(temporaries, key=lambda b: (-b.nbytes, lives[b])):
        first, last = lives[buffer]
        size = _padded(buffer)
        taken = sorted(
            (place.offset, place.offset + place.nbytes)
            for place in places.values()
            if place.offset + place.nbytes > offset
            and place.first <= last
            and first <= place.last
        )
        start = offset
        for begin, stop in taken:
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


def _lives(program: LoopProgram) -> dict[Buffer, tuple[int, int]]:
    """Return the first and last statement that accesses each buffer; results live to the end of the program."""
    lives: dict[Buffer, tuple[int, int]] = {}
    for place, statement in enumerate(program.statements):
        for buffer in touched(statement):
            first, _ = lives.get(buffer, (place, place))
            lives[buffer] = (first, place)
    for buffer in program.outputs:
        first, _ = lives.get(buffer, (0, 0))
        lives[buffer] = (first, len(program.statements))
    return lives
