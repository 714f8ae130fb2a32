"""Compilation targets: instruction set, vector registers, caches and cores.

A :class:`Machine` describes one target. The backend uses the host; tests choose a target by name::

    avx512   32 registers of 64 bytes, masks, fused multiply-add
    avx2     16 registers of 32 bytes, fused multiply-add
    sse      16 registers of 16 bytes (every x86-64)
    neon     32 registers of 16 bytes (every AArch64), fused multiply-add
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import llvmlite.binding as llvm

from deltarule.errors import ArgumentError

TARGETS = ("avx512", "avx2", "sse", "neon")
_BYTES = {"float32": 4, "float64": 8}
_AVX512_FEATURES = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma")
_AVX2_FEATURES = ("avx2", "fma")
_X86_TRIPLE = "x86_64-unknown-linux-gnu"
_AARCH64_TRIPLE = "aarch64-unknown-linux-gnu"


@dataclass(frozen=True)
class Caches:
    """Sizes in bytes of one core's first- and second-level data caches and of the shared third level.

    >>> Caches(32768, 1048576).first
    32768
    """

    first: int = 32 * 1024
    second: int = 512 * 1024
    third: int = 8 * 1024 * 1024


@dataclass(frozen=True)
class Machine:
    """A compilation target: the options of LLVM, and the parameters that determine tile sizes.

    >>> machine = host(target="avx2")
    >>> machine.vector_bytes, machine.fused
    (32, True)
    """

    name: str  # one of TARGETS
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    fused: bool  # has a fused multiply-add
    masked: bool  # masked loads and stores are single instructions
    cores: int
    caches: Caches

    def lanes(self, dtype: str) -> int:
        """Return the number of elements of ``dtype`` in a vector register.

        >>> host(target="avx2").lanes("float32")
        8
        """
        return self.vector_bytes // element_bytes(dtype)

    def tiles(self) -> tuple[tuple[int, int], ...]:
        """Return the largest register tiles, as (rows, vectors).

        The registers hold rows · vectors accumulators, the vectors of one row of B, one broadcast element of A,
        and one product where there is no fused multiply-add.

        >>> host(target="avx512").tiles()
        ((28, 1), (14, 2), (9, 3), (6, 4), (5, 5), (4, 6), (2, 8))
        """
        spare = self.registers - 1 - (0 if self.fused else 1)
        sizes = []
        for vectors in (1, 2, 3, 4, 5, 6, 8):
            rows = min(28, (spare - vectors) // vectors)
            if rows >= 2:
                sizes.append((rows, vectors))
        return tuple(sizes)

    def key(self) -> str:
        """Return what compiled code depends on, for the object cache."""
        return "|".join((self.triple, self.cpu, self.features))


def element_bytes(dtype: str) -> int:
    """Return the size of one element of a floating type in bytes.

    >>> element_bytes("float32")
    4
    """
    try:
        return _BYTES[dtype]
    except KeyError:
        expected = "float32 or float64"
        raise ArgumentError("native kernel", expected=expected, got=dtype) from None


def host(target: str | None = None) -> Machine:
    """Return the machine that this process runs on, or a generic target by name.

    Args:
        target: "avx512", "avx2", "sse" (x86-64) or "neon" (AArch64); None for the CPU of the host.

    Raises:
        ArgumentError: the name is unknown.

    >>> host(target="neon").registers
    32
    """
    if target is None:
        return _native()
    if target not in TARGETS:
        raise ArgumentError(
            "target", expected=f"one of {', '.join(TARGETS)}", got=repr(target)
        )
    return _plain(target)


def runs_here(machine: Machine) -> bool:
    """Return whether this process can execute code for ``machine``.

    >>> runs_here(host())
    True
    """
    best = _native().name
    order = ("sse", "avx2", "avx512")
    if machine.name == "neon" or best == "neon":
        return machine.name == best
    return order.index(machine.name) <= order.index(best)


@functools.cache
def _native() -> Machine:
    triple = _process_triple()
    available = llvm.get_host_cpu_features()
    name = "neon" if triple.startswith(("aarch64", "arm64")) else "sse"
    if all(available.get(feature) for feature in _AVX2_FEATURES):
        name = "avx2"
    if all(available.get(feature) for feature in _AVX512_FEATURES):
        name = "avx512"
    plain = _plain(name)
    return replace(
        plain, triple=triple, cpu=llvm.get_host_cpu_name(), features=available.flatten()
    )


@functools.cache
def _plain(name: str) -> Machine:
    process = _process_triple()
    here = process.startswith(("aarch64", "arm64")) == (name == "neon")
    triple = process if here else (_AARCH64_TRIPLE if name == "neon" else _X86_TRIPLE)
    cpu = {
        "avx512": "x86-64-v4",
        "avx2": "x86-64-v3",
        "sse": "x86-64",
        "neon": "generic",
    }[name]
    return Machine(
        name=name,
        triple=triple,
        cpu=cpu,
        features="",
        vector_bytes={"avx512": 64, "avx2": 32, "sse": 16, "neon": 16}[name],
        registers=32 if name in ("avx512", "neon") else 16,
        fused=name != "sse",
        masked=name in ("avx512", "avx2"),
        cores=core_count(),
        caches=cache_sizes(),
    )


def _process_triple() -> str:
    """Return the target triple of the process; on Windows with ELF objects, which MCJIT requires there."""
    _initialize()
    triple: str = llvm.get_process_triple()
    return (
        f"{triple}-elf"
        if "windows" in triple and not triple.endswith("-elf")
        else triple
    )


@functools.cache
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()


@functools.cache
def core_count() -> int:
    """Return the number of physical cores that the process may use (at least 1), at most the configured limit.

    >>> core_count() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    usable: Iterable[int] = affinity(0) if affinity else range(os.cpu_count() or 1)
    identities = set()
    for logical in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{logical}/topology")
        try:
            package = (topology / "physical_package_id").read_text().strip()
            identities.add((package, (topology / "core_id").read_text().strip()))
        except OSError:
            identities.add(("logical", str(logical)))
    return max(1, min(len(identities), thread_limit(os.environ) or len(identities)))


def thread_limit(environment: Mapping[str, str]) -> int | None:
    """Return the maximum number of threads set in the environment; None for no limit.

    DELTARULE_THREADS takes precedence over OMP_NUM_THREADS. Of a list (one number per nesting level) the first
    applies. An invalid OMP_NUM_THREADS is ignored.

    Args:
        environment: Environment variables.

    Raises:
        ArgumentError: DELTARULE_THREADS is not a whole number ≥ 1.

    >>> thread_limit({"OMP_NUM_THREADS": "4,2"}), thread_limit({"OMP_NUM_THREADS": "4", "DELTARULE_THREADS": "1"})
    (4, 1)
    """
    for name in ("DELTARULE_THREADS", "OMP_NUM_THREADS"):
        text = environment.get(name, "").partition(",")[0].strip()
        if text.isascii() and text.isdigit() and int(text) >= 1:
            return int(text)
        if text and name == "DELTARULE_THREADS":
            raise ArgumentError(
                name, expected="a whole number ≥ 1", got=repr(environment[name])
            )
    return None


@functools.cache
def cache_sizes() -> Caches:
    """Return the cache sizes of the first core; conservative defaults if the system does not report them.

    >>> cache_sizes().first > 0
    True
    """
    if sys.platform == "darwin":
        found = _darwin_caches()
    elif sys.platform == "win32":
        found = _windows_caches()
    else:
        found = _linux_caches()
    default = Caches()
    return Caches(
        found.get(1) or default.first,
        found.get(2) or default.second,
        found.get(3) or default.third,
    )


def _linux_caches() -> dict[int, int]:
    found: dict[int, int] = {}
    units = {"K": 1024, "M": 1024 * 1024}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text().strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction" and size:
            found[int(level)] = int(size.rstrip("KM")) * units.get(size[-1], 1)
    return found


def _darwin_caches() -> dict[int, int]:
    library = ctypes.CDLL(None)
    found: dict[int, int] = {}
    for level, name in (
        (1, b"hw.l1dcachesize"),
        (2, b"hw.l2cachesize"),
        (3, b"hw.l3cachesize"),
    ):
        value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
        if (
            library.sysctlbyname(
                name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
            )
            == 0
        ):
            found[level] = int(value.value)
    return found


class _WindowsRecord(ctypes.Structure):
    """SYSTEM_LOGICAL_PROCESSOR_INFORMATION with the cache member of its union."""

    _fields_ = (
        ("mask", ctypes.c_size_t),
        ("relationship", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("level", ctypes.c_uint8),
        ("associativity", ctypes.c_uint8),
        ("line", ctypes.c_uint16),
        ("size", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("rest", ctypes.c_uint32),
    )


def _windows_caches() -> dict[int, int]:
    kernel = ctypes.CDLL("kernel32")
    length = ctypes.c_uint32(0)
    kernel.GetLogicalProcessorInformation(None, ctypes.byref(length))
    records = (_WindowsRecord * (length.value // ctypes.sizeof(_WindowsRecord)))()
    if not kernel.GetLogicalProcessorInformation(records, ctypes.byref(length)):
        return {}
    cache_relationship, instruction = 2, 1
    found: dict[int, int] = {}
    for record in records:
        if record.relationship == cache_relationship and record.kind != instruction:
            found[int(record.level)] = int(record.size)
    return found
