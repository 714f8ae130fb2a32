"""Emission of the function of a phase: addresses of buffers, and kernel calls for one part."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.backends.native import abi
from deltarule.backends.native.contraction.products import FIRST_POINTER, Product
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.loops.emit import Kernel
from deltarule.backends.native.program.synchronisation import Partition
from deltarule.lower.loops import Buffer
from deltarule.lower.memory import MemoryPlan


def load_word(e: Emitter, place: int, kind: str) -> str:
    """Return a word of the context, as ``i64`` or ``ptr``."""
    address = e.assign(f"getelementptr i64, ptr %context, i64 {place}")
    return e.assign(f"load {kind}, ptr {address}, align 8")


def store_word(e: Emitter, place: int, value: str) -> None:
    """Store a word of the context."""
    address = e.assign(f"getelementptr i64, ptr %context, i64 {place}")
    e.emit(f"store i64 {value}, ptr {address}, align 8")


class PhaseEmitter:
    """Emitter of the body of ``void phase(ptr context, i64 part, i64 step)``."""

    def __init__(
        self,
        module: Module,
        memory: MemoryPlan,
        table: Sequence[Buffer],
        scratch_bytes: int,
        scratch_offset: int,
    ) -> None:
        self.e = Emitter(module)
        self._memory = memory
        self._table = {buffer: abi.TABLE + place for place, buffer in enumerate(table)}
        self._arena = load_word(self.e, abi.ARENA, "ptr")
        self._pointers: dict[Buffer, str] = {}
        self._scratch_at = (scratch_bytes, scratch_offset)
        self._bounds: dict[tuple[int, ...], str] = {}

    def pointer(self, buffer: Buffer) -> str:
        """Return a register with the address of a buffer."""
        place = self._memory.places.get(buffer)
        if place is None:
            return load_word(self.e, self._table[buffer], "ptr")
        return self.e.address("i8", self._arena, place.offset)

    def is_first(self) -> str:
        """Return whether this is the first part."""
        return self.e.compare("eq", "%part", 0)

    def _range(self, partition: Partition) -> str:
        """Return the arguments with the iteration range of the part."""
        bounds = []
        for column in zip(*partition.ranges, strict=True):
            text = self._bounds.get(column, str(column[0]))
            if column not in self._bounds and len(set(column)) > 1:
                for part in range(1, len(column)):
                    is_it = self.e.compare("eq", "%part", part)
                    text = self.e.assign(
                        f"select i1 {is_it}, i64 {column[part]}, i64 {text}"
                    )
                self._bounds[column] = text
            bounds.append(f", i64 {text}")
        return "".join(bounds)

    def call(self, name: str, pointers: Sequence[str], partition: Partition) -> None:
        """Emit a kernel call for the part."""
        listed = "".join(f", ptr {pointer}" for pointer in pointers)
        self.e.emit(f"call void @{name}(ptr %context{listed}{self._range(partition)})")

    def call_kernel(self, kernel: Kernel, partition: Partition) -> None:
        """Emit a call of the kernel of a nest, scatter or routine for the part."""
        self.call(
            kernel.name, [self.pointer(buffer) for buffer in kernel.buffers], partition
        )

    def call_product(self, product: Product, partition: Partition) -> None:
        """Emit a call of a contraction for the part; its context holds the addresses that the epilogue reads."""
        e, roles = self.e, product.roles
        slots = e.stack(f"[{len(product.buffers) + FIRST_POINTER} x ptr]")
        e.emit(f"store ptr %context, ptr {slots}, align 8")
        for place, buffer in enumerate(product.buffers):
            slot = e.assign(
                f"getelementptr ptr, ptr {slots}, i64 {FIRST_POINTER + place}"
            )
            e.emit(f"store ptr {self.pointer(buffer)}, ptr {slot}, align 8")
        operands = (roles.a.buffer, roles.b.buffer, roles.store.buffer)
        listed = ", ".join(f"ptr {self.pointer(buffer)}" for buffer in operands)
        size, start = self._scratch_at
        scratch = e.address("i8", self._arena, e.add(e.multiply("%part", size), start))
        e.emit(
            f"call void @{product.name}({listed}, ptr {slots}{self._range(partition)}, ptr {scratch})"
        )

    def cycles(self) -> str:
        """Return the value of the processor's cycle counter."""
        return self.e.assign("call i64 @llvm.readcyclecounter()")

    def record_cycles(self, word: int, begin: str) -> None:
        """Store the minimum of the cycles since ``begin`` in a word of the context (0: not measured yet)."""
        e = self.e
        spent = e.assign(f"sub i64 {self.cycles()}, {begin}")
        with e.when(self.is_first()):
            minimum = load_word(e, word, "i64")
            limit = e.assign(
                f"sub i64 {minimum}, 1"
            )  # 0 wraps around to the largest unsigned number
            lower = e.assign(f"icmp ult i64 {spent}, {limit}")
            store_word(
                e, word, e.assign(f"select i1 {lower}, i64 {spent}, i64 {minimum}")
            )
