"""How statements are shared by threads, and where threads have to wait for each other.

A statement is cut into one range a thread. For every thread it is known which bytes it may touch; a barrier stands
between two statements only if a thread touches what another one writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule.backends.native.contraction.products import Product
from deltarule.backends.native.loops.emit import Kernel
from deltarule.lower.index import Axis, Index
from deltarule.lower.loops import Buffer, Nest, Statement, touched
from deltarule.lower.memory import Place

LEAST_WORK = 64.0  # cycles a thread; less is not worth sharing
Ranges = tuple[
    tuple[int, ...], ...
]  # for each thread: begin, end (rows and columns of a product)


@dataclass(frozen=True)
class Touch:
    """Bytes that one thread may read or write: in the arena (space None) or in a buffer of the caller."""

    space: Buffer | None
    first: int
    last: int
    writes: bool

    def meets(self, other: Touch) -> bool:
        """Return whether the order of the two matters."""
        overlap = self.first < other.last and other.first < self.last
        return (self.writes or other.writes) and self.space is other.space and overlap


@dataclass(frozen=True)
class Shared:
    """A statement cut into ranges, and what each thread touches in it."""

    ranges: Ranges
    touches: tuple[tuple[Touch, ...], ...]

    def conflicts(self, other: Shared) -> bool:
        """Return whether a thread touches what another thread writes in the other statement."""
        return any(
            mine.meets(theirs)
            for thread, own in enumerate(self.touches)
            for another, others in enumerate(other.touches)
            if thread != another
            for mine in own
            for theirs in others
        )


def cut(extent: int, unit: int, threads: int) -> Ranges:
    """Return even ranges of 0 … extent − 1 whose bounds are multiples of ``unit``."""
    units = -(-extent // unit)
    bounds = [
        min(extent, units * thread // threads * unit) for thread in range(threads + 1)
    ]
    return tuple((bounds[thread], bounds[thread + 1]) for thread in range(threads))


def alone(extent: int, threads: int) -> Ranges:
    """Return the ranges of a statement that the first thread runs by itself."""
    return ((0, extent), *((0, 0),) * (threads - 1))


def share_kernel(
    statement: Statement, kernel: Kernel, threads: int, places: Mapping[Buffer, Place]
) -> Shared:
    """Cut a nest, scatter or routine."""
    small = kernel.work < LEAST_WORK * threads or kernel.extent < threads
    ranges = (
        alone(kernel.extent, threads)
        if small
        else cut(kernel.extent, kernel.unit, threads)
    )
    axis = statement.axes[0] if isinstance(statement, Nest) and statement.axes else None
    spans = [(axis, begin, end) if axis is not None else None for begin, end in ranges]
    return _shared(
        statement, ranges, [[span] if span else [] for span in spans], places
    )


def share_product(
    statement: Statement, product: Product, threads: int, places: Mapping[Buffer, Place]
) -> Shared:
    """Cut a contraction by rows or columns."""
    spec, roles = product.spec, product.roles
    if spec.flops < 100 * LEAST_WORK * threads or threads == 1:
        ranges: Ranges = (
            (0, spec.rows, 0, spec.columns),
            *((0, 0, 0, 0),) * (threads - 1),
        )
    elif product.plan is None:
        ranges = tuple(
            (begin, end, 0, spec.columns) for begin, end in cut(spec.rows, 1, threads)
        )
    else:
        ranges = tuple(product.plan.split(threads))
    spans = []
    for row_begin, row_end, column_begin, column_end in ranges:
        found = [
            _span((*roles.batch, *roles.rows), row_begin, row_end),
            _span(roles.columns, column_begin, column_end),
        ]
        spans.append([span for span in found if span is not None])
    return _shared(statement, ranges, spans, places)


def _span(axes: Sequence[Axis], begin: int, end: int) -> tuple[Axis, int, int] | None:
    """Return the range of the outermost axis that a range of the flattened axes covers."""
    inner = 1
    for axis in axes[1:]:
        inner *= axis.extent
    return (axes[0], begin // inner, -(-end // inner)) if axes and inner else None


def _shared(
    statement: Statement,
    ranges: Ranges,
    spans: Sequence[Sequence[tuple[Axis, int, int]]],
    places: Mapping[Buffer, Place],
) -> Shared:
    accesses: dict[Buffer, list[Index]] = {}
    for load in statement.reads:
        accesses.setdefault(load.buffer, []).append(load.index)
    for store in statement.stores:
        accesses.setdefault(store.buffer, []).append(store.index)
    written = set(statement.writes)
    touches = []
    for thread, bounds in enumerate(ranges):
        idle = bounds[0] >= bounds[1] or (len(bounds) == 4 and bounds[2] >= bounds[3])
        found: list[Touch] = []
        for buffer in touched(statement) if not idle else []:
            first, last = _bytes(buffer, accesses.get(buffer), spans[thread])
            place = places.get(buffer)
            offset = place.offset if place is not None else 0
            found.append(
                Touch(
                    None if place is not None else buffer,
                    offset + first,
                    offset + last,
                    buffer in written,
                )
            )
        touches.append(tuple(found))
    return Shared(ranges, tuple(touches))


def _bytes(
    buffer: Buffer,
    indices: Sequence[Index] | None,
    spans: Sequence[tuple[Axis, int, int]],
) -> tuple[int, int]:
    """Return the bytes of a buffer that indices reach while axes stay in their spans."""
    if indices is None:
        return 0, buffer.nbytes
    low, high = buffer.size, 0
    for index in indices:
        first, last = index.bounds
        for axis, begin, end in spans:
            step = index.coefficient(axis)
            if step is None:
                return 0, buffer.nbytes
            whole = (axis.extent - 1) * step
            least, most = sorted((begin * step, (end - 1) * step))
            first += least - min(0, whole)
            last += most - max(0, whole)
        low, high = min(low, first), max(high, last + 1)
    size = buffer.dtype.itemsize
    return max(0, low) * size, min(buffer.size, high) * size
