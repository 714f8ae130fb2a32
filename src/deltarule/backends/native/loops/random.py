"""Counter-based uniform random numbers in vector code: Threefry-2x32 with 20 rounds (Salmon et al. 2011).

The key is (seed, stream), the counter (step, call): the same bits as ``backends.threefry`` on every machine and for any
partition of the elements among threads. In float32, element i is the upper 24 bits of word (i // 16) mod 2 of call
(i // 32)·16 + i mod 16; in float64 element i takes 53 bits from both words of call i.
"""

from __future__ import annotations

from dataclasses import dataclass

from deltarule.backends.native.llvm.emitter import Emitter, Module, number, type_of
from deltarule.backends.native.mathematics.vector import Vector, where

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_CALLS = 16  # calls per block of 32 float32 elements


@dataclass(frozen=True)
class Key:
    """The key of a sequence of random numbers, as i32 registers.

    >>> Key("%seed", "%stream", "%step").seed
    '%seed'
    """

    seed: str
    stream: str
    step: str


def threefry(key: Key, call: Vector) -> tuple[Vector, Vector]:
    """Return both words of Threefry for the counters (step, call), as int32 vectors."""
    e = call.emitter

    def broadcast(register: str) -> Vector:
        return call.like(e.broadcast("int32", register, call.width))

    seed, stream = broadcast(key.seed), broadcast(key.stream)
    schedule = (seed, stream, seed ^ stream ^ _PARITY)
    first, second = broadcast(key.step) + seed, call + stream
    for group in range(5):
        for rotation in _ROTATIONS[4 * (group % 2) : 4 * (group % 2) + 4]:
            first = first + second
            by = number(rotation, "int32", call.width)
            second = (
                call.like(
                    e.intrinsic(
                        "fshl", "int32", (second.text, second.text, by), call.width
                    )
                )
                ^ first
            )
        first = first + schedule[(group + 1) % 3]
        second = second + schedule[(group + 2) % 3] + (group + 1)
    return first, second


def uniform_at(e: Emitter, key: Key, index: str, dtype: str, width: int) -> str:
    """Return the elements index, index + 1, … (one vector) of a uniform sequence; ``index`` is an i64 register.

    This is for random access, such as in the epilogue of a contraction; for whole arrays :func:`emit_uniform` is
    faster, since it uses both words of each call.
    """
    low = e.assign(f"trunc i64 {index} to i32")
    position = Vector(
        e, e.broadcast("int32", low, width), "int32", width
    ) + _lane_numbers(e, width)
    if dtype == "float64":
        return _float64(*threefry(key, position)).text
    first, second = threefry(key, ((position >> 5) << 4) + (position & 15))
    return _float32(where((position & 16).equals(0), first, second)).text


def _lane_numbers(e: Emitter, width: int) -> Vector:
    """Return the lane numbers 0, 1, 2 … as a vector."""
    listed = "<" + ", ".join(f"i32 {lane}" for lane in range(width)) + ">"
    return Vector(e, listed if width > 1 else "0", "int32", width)


def _float32(word: Vector) -> Vector:
    return (word >> 8).convert("float32") * 2.0**-24


def _float64(high: Vector, low: Vector) -> Vector:
    long_high, long_low = (
        high.convert("int64", unsigned=True),
        low.convert("int64", unsigned=True),
    )
    bits = (long_high << 21) ^ (long_low >> 11)
    return bits.convert("float64") * 2.0**-53


def emit_uniform(module: Module, dtype: str) -> str:
    """Add ``void @random.uniform.<dtype>(ptr out, i64 begin, i64 end, i32 seed, i32 stream, i32 step)``.

    The function stores elements begin … end − 1 of the sequence in ``out[begin … end − 1]``. Returns its name.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> emit_uniform(Module(host(target="avx2")), "float32")
    'random.uniform.float32'
    """
    name = f"random.uniform.{dtype}"
    if name in module:
        return name
    e = Emitter(module)
    key = Key("%seed", "%stream", "%step")
    size = 2 * _CALLS if dtype == "float32" else _CALLS
    buffer = e.stack(f"[{size} x {type_of(dtype)}]")
    first = e.multiply(e.divide("%begin", size), size)
    with e.loop(first, "%end", size) as start:
        block = e.divide(start, size)
        call = e.assign(f"trunc i64 {e.multiply(block, _CALLS)} to i32")
        calls = Vector(
            e, e.broadcast("int32", call, _CALLS), "int32", _CALLS
        ) + _lane_numbers(e, _CALLS)
        words = threefry(key, calls)
        parts = (
            [_float32(word) for word in words]
            if dtype == "float32"
            else [_float64(*words)]
        )
        stop = e.add(start, size)
        whole = e.binary(
            "and",
            "bool",
            e.compare("sge", start, "%begin"),
            e.compare("sle", stop, "%end"),
        )
        place = e.address(dtype, "%out", start)
        target = e.assign(f"select i1 {whole}, ptr {place}, ptr {buffer}")
        for part, values in enumerate(parts):
            e.store(dtype, values.text, e.address(dtype, target, part * _CALLS), _CALLS)
        with e.when(e.binary("xor", "bool", whole, "true")):
            begin = e.assign(f"call i64 @llvm.smax.i64(i64 {start}, i64 %begin)")
            with e.loop(begin, e.minimum(stop, "%end")) as index:
                source = e.address(dtype, buffer, e.assign(f"sub i64 {index}, {start}"))
                e.store(dtype, e.load(dtype, source), e.address(dtype, "%out", index))
    e.emit("ret void")
    signature = "ptr %out, i64 %begin, i64 %end, i32 %seed, i32 %stream, i32 %step"
    module.add(name, e.function(f"internal void @{name}({signature})"))
    return name
