"""Partitioning of statements among threads, and placement of barriers.

The iterations of a statement are divided into one range per thread. For each thread the bytes that it may access are
known, and a barrier separates two statements only if one thread accesses memory that another one writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule.backends.native.contraction.products import Product
from deltarule.backends.native.loops.emit import Kernel
from deltarule.lower.index import Axis, Index
from deltarule.lower.loops import Buffer, Nest, Statement, accessed_buffers
from deltarule.lower.memory import Place

MIN_CYCLES_PER_THREAD = 64.0  # a statement with less work runs on one thread
Ranges = tuple[
    tuple[int, ...], ...
]  # for each thread (begin, end), for a product (row_begin, row_end, column_begin, column_end)


@dataclass(frozen=True)
class MemoryAccess:
    """A range of bytes that a thread may read or write, in the arena (``space`` None) or in a buffer of the caller.

    >>> MemoryAccess(None, 0, 64, True).conflicts_with(MemoryAccess(None, 32, 96, False))
    True
    """

    space: Buffer | None
    first: int
    last: int
    writes: bool

    def conflicts_with(self, other: MemoryAccess) -> bool:
        """Return whether the ranges overlap and at least one of the accesses is a write."""
        overlap = self.first < other.last and other.first < self.last
        return (self.writes or other.writes) and self.space is other.space and overlap


@dataclass(frozen=True)
class Partition:
    """The iteration range of each thread in a statement, and the memory that the thread accesses.

    >>> read, write = MemoryAccess(None, 0, 64, False), MemoryAccess(None, 0, 64, True)
    >>> first = Partition(((0, 8), (8, 16)), ((write,), ()))
    >>> second = Partition(((0, 8), (8, 16)), ((), (read,)))
    >>> first.conflicts(second)
    True
    """

    ranges: Ranges
    accesses: tuple[tuple[MemoryAccess, ...], ...]

    def conflicts(self, other: Partition) -> bool:
        """Return whether different threads conflict, so that a barrier must separate the two statements."""
        return any(
            mine.conflicts_with(theirs)
            for thread, own in enumerate(self.accesses)
            for another, others in enumerate(other.accesses)
            if thread != another
            for mine in own
            for theirs in others
        )


def even_ranges(extent: int, unit: int, threads: int) -> Ranges:
    """Divide 0 … extent − 1 evenly; the bounds are multiples of ``unit``.

    >>> even_ranges(10, 4, 2)
    ((0, 4), (4, 10))
    """
    units = -(-extent // unit)
    bounds = [
        min(extent, units * thread // threads * unit) for thread in range(threads + 1)
    ]
    return tuple((bounds[thread], bounds[thread + 1]) for thread in range(threads))


def serial_ranges(extent: int, threads: int) -> Ranges:
    """Return the ranges of a statement that runs on the first thread only.

    >>> serial_ranges(10, 2)
    ((0, 10), (0, 0))
    """
    return ((0, extent), *((0, 0),) * (threads - 1))


def partition_kernel(
    statement: Statement, kernel: Kernel, threads: int, places: Mapping[Buffer, Place]
) -> Partition:
    """Partition a nest, scatter or routine along its outermost axis.

    Args:
        statement: The statement.
        kernel: Its kernel.
        threads: Number of threads.
        places: Blocks of the buffers in the arena.
    """
    is_small = kernel.work < MIN_CYCLES_PER_THREAD * threads or kernel.extent < threads
    ranges = (
        serial_ranges(kernel.extent, threads)
        if is_small
        else even_ranges(kernel.extent, kernel.unit, threads)
    )
    axis = statement.axes[0] if isinstance(statement, Nest) and statement.axes else None
    spans = [(axis, begin, end) if axis is not None else None for begin, end in ranges]
    return _partition(
        statement, ranges, [[span] if span else [] for span in spans], places
    )


def partition_product(
    statement: Statement, product: Product, threads: int, places: Mapping[Buffer, Place]
) -> Partition:
    """Partition a contraction by rows or columns.

    Args:
        statement: The statement.
        product: Its kernel.
        threads: Number of threads.
        places: Blocks of the buffers in the arena.
    """
    spec, roles = product.spec, product.roles
    if spec.flops < 100 * MIN_CYCLES_PER_THREAD * threads or threads == 1:
        ranges: Ranges = (
            (0, spec.rows, 0, spec.columns),
            *((0, 0, 0, 0),) * (threads - 1),
        )
    elif product.schedule is None:
        ranges = tuple(
            (begin, end, 0, spec.columns)
            for begin, end in even_ranges(spec.rows, 1, threads)
        )
    else:
        ranges = tuple(product.schedule.split(threads))
    spans = []
    for row_begin, row_end, column_begin, column_end in ranges:
        found = [
            _span((*roles.batch, *roles.rows), row_begin, row_end),
            _span(roles.columns, column_begin, column_end),
        ]
        spans.append([span for span in found if span is not None])
    return _partition(statement, ranges, spans, places)


def _span(axes: Sequence[Axis], begin: int, end: int) -> tuple[Axis, int, int] | None:
    """Return the range of the outermost axis that contains a range of the flattened axes."""
    inner = 1
    for axis in axes[1:]:
        inner *= axis.extent
    return (axes[0], begin // inner, -(-end // inner)) if axes and inner else None


def _partition(
    statement: Statement,
    ranges: Ranges,
    spans: Sequence[Sequence[tuple[Axis, int, int]]],
    places: Mapping[Buffer, Place],
) -> Partition:
    """Return a partition with the memory accesses of each thread."""
    indices: dict[Buffer, list[Index]] = {}
    for load in statement.reads:
        indices.setdefault(load.buffer, []).append(load.index)
    for store in statement.stores:
        indices.setdefault(store.buffer, []).append(store.index)
    written = set(statement.writes)
    accesses = []
    for thread, bounds in enumerate(ranges):
        idle = bounds[0] >= bounds[1] or (len(bounds) == 4 and bounds[2] >= bounds[3])
        found: list[MemoryAccess] = []
        for buffer in accessed_buffers(statement) if not idle else []:
            first, last = _byte_range(buffer, indices.get(buffer), spans[thread])
            place = places.get(buffer)
            offset = place.offset if place is not None else 0
            found.append(
                MemoryAccess(
                    None if place is not None else buffer,
                    offset + first,
                    offset + last,
                    buffer in written,
                )
            )
        accesses.append(tuple(found))
    return Partition(ranges, tuple(accesses))


def _byte_range(
    buffer: Buffer,
    indices: Sequence[Index] | None,
    spans: Sequence[tuple[Axis, int, int]],
) -> tuple[int, int]:
    """Return bounds on the bytes of a buffer that are accessed while the axes are in their spans."""
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
