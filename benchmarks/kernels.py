"""Contraction kernels against torch (MKL, oneDNN), interleaved in one run: ``python benchmarks/kernels.py``.

Only ratios mean something: each line alternates ours and the peer, and takes the
best of the rounds (the machine may be shared). ``--threads 2`` (default: all
cores), ``--target avx2`` for another instruction set, ``--rounds 9``, ``--only conv`` for part of the list.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from panels import (
    Convolution,
    Images,
    PanelLayout,
    dense_forward,
    dense_input_gradient,
    dense_weight_gradient,
)

from deltarule.backends.native.contraction.contraction import emit_contraction
from deltarule.backends.native.contraction.packing import padded_stride
from deltarule.backends.native.contraction.specification import (
    ContractionIndex,
    ContractionSpec,
)
from deltarule.backends.native.contraction.tiling import Schedule, schedule_contraction
from deltarule.backends.native.llvm.compiler import compile_modules
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import Machine, core_count, host
from deltarule.backends.native.program.threads import Team

SETTLE_SECONDS = 0.1


@dataclass
class Line:
    """One kernel and the peer's call for the same work."""

    name: str
    spec: ContractionSpec
    peer: Callable[[], object]


class Runner:
    """A compiled kernel that a team runs ``repeats`` times in one native call, each thread its own range."""

    def __init__(self, spec: ContractionSpec, machine: Machine, team: Team) -> None:
        self.spec, self.team = spec, team
        schedule = schedule_contraction(spec, machine, scratch=True)
        if schedule is None:
            raise SystemExit("no tiles for this contraction")
        self.schedule: Schedule = schedule
        start = time.perf_counter()
        self.library = compile_modules([self._module(machine)], machine, cache="off")
        self.compile_seconds = time.perf_counter() - start
        self.entry = self.library.address("entry")
        memory = [
            _array(self._reach(f"{operand}_stride", getattr(spec, f"{operand}_offset")))
            for operand in "abc"
        ]
        scratch = [_array(schedule.scratch_bytes // 4) for _ in range(team.threads)]
        self.memory = [*memory, *scratch]
        self.table = np.array(
            [
                [
                    *(array.ctypes.data for array in memory),
                    scratch[place].ctypes.data,
                    *part,
                    1,
                ]
                for place, part in enumerate(schedule.split(team.threads))
            ],
            np.int64,
        )

    def __call__(self, repeats: int = 1) -> None:
        self.table[:, 8] = repeats
        self.team.run(self.entry, self.table.ctypes.data)

    def _reach(self, stride: str, offset: int) -> int:
        return (
            offset
            + sum(
                max(i.extent - 1, 0) * abs(getattr(i, stride))
                for i in self.spec.indices
            )
            + 1
        )

    def _module(self, machine: Machine) -> str:
        module = Module(machine)
        text = emit_contraction(
            self.spec, machine, "kernel", module=module, schedule=self.schedule
        )
        module.add("kernel", text)
        e = Emitter(module)
        row = e.assign("getelementptr [9 x i64], ptr %table, i64 %thread")
        values = [
            e.assign(f"load i64, ptr {e.address('int64', row, i)}") for i in range(9)
        ]
        a, b, c, scratch = (
            e.assign(f"inttoptr i64 {value} to ptr") for value in values[:4]
        )
        bounds = ", ".join(f"i64 {value}" for value in values[4:8])
        with e.loop(0, values[8]):
            e.emit(
                f"call void @kernel(ptr {a}, ptr {b}, ptr {c}, ptr null, {bounds}, ptr {scratch})"
            )
        e.emit("ret void")
        module.add(
            "entry", e.function("void @entry(ptr %table, i64 %thread, i64 %threads)")
        )
        return module.text()


def _array(size: int) -> npt.NDArray[Any]:
    memory = np.random.default_rng(0).random(size + 1024, np.float32)
    skip = -memory.ctypes.data % 4096 // 4
    return memory[skip : skip + size]


def dense_lines(rows: int, outputs: int, inputs: int) -> list[Line]:
    """Return the three products of a dense layer; activations have padded row strides, as in a program."""
    layout = PanelLayout(outputs, inputs)
    x, w, dy = (
        torch.rand(rows, inputs),
        torch.rand(outputs, inputs),
        torch.rand(rows, outputs),
    )
    y, dx, dw = (
        torch.empty(rows, outputs),
        torch.empty(rows, inputs),
        torch.empty(outputs, inputs),
    )
    wide = padded_stride(inputs, "float32")
    narrow = padded_stride(layout.padded_outputs, "float32")
    name = f"dense {rows}x{inputs}x{outputs}"
    return [
        Line(
            f"{name} forward",
            dense_forward(rows, layout, wide, narrow),
            lambda: torch.mm(x, w.t(), out=y),
        ),
        Line(
            f"{name} inputs",
            dense_input_gradient(rows, layout, narrow, wide),
            lambda: torch.mm(dy, w, out=dx),
        ),
        Line(
            f"{name} weights",
            dense_weight_gradient(rows, layout, wide, narrow),
            lambda: torch.mm(dy.t(), x, out=dw),
        ),
    ]


def row_major_line(rows: int, columns: int, depth: int) -> Line:
    """Return a plain product of unpadded row-major arrays."""
    spec = ContractionSpec(
        (
            ContractionIndex("row", rows, depth, 0, columns),
            ContractionIndex("column", columns, 0, 1, 1),
            ContractionIndex("k", depth, 1, columns, 0),
        ),
        free_m=("row",),
        free_n=("column",),
        reduce=("k",),
    )
    a, b, c = (
        torch.rand(rows, depth),
        torch.rand(depth, columns),
        torch.empty(rows, columns),
    )
    return Line(
        f"row-major {rows}x{depth}x{columns}", spec, lambda: torch.mm(a, b, out=c)
    )


def convolution_lines(
    images: int, size: int, kernel: int, channels: int, filters: int
) -> list[Line]:
    """Return the three passes of a convolution with its border kept in memory."""
    padding = kernel // 2
    convolution = Convolution(images, size, size, (kernel, kernel), channels, filters)
    wide = size + 2 * padding
    depth = convolution.layout.padded_outputs

    def at(count: int, border: int) -> Images:
        """Return where images with a border lie, starting ``border`` pixels from the corner."""
        return Images(
            wide * wide * count, wide * count, count, border * (wide * count + count)
        )

    def last(*shape: int) -> torch.Tensor:
        return torch.rand(*shape).to(memory_format=torch.channels_last)

    x, w = last(images, channels, size, size), last(filters, channels, kernel, kernel)
    dy = last(images, filters, size, size)

    def backward(*mask: bool) -> object:
        options = (None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, mask)
        return torch.ops.aten.convolution_backward(dy, x, w, *options)

    name = f"conv {kernel}x{kernel} {channels}->{filters} {size}x{size} N={images}"
    forward = convolution.forward(at(channels, 0), at(depth, padding))
    inputs = convolution.input_gradient(
        at(depth, 2 * padding), at(channels, padding), size, size
    )
    weights = convolution.weight_gradient(at(channels, 0), at(depth, padding))
    return [
        Line(f"{name} forward", forward, lambda: torch.conv2d(x, w, padding=padding)),
        Line(f"{name} inputs", inputs, lambda: backward(True, False, False)),
        Line(f"{name} weights", weights, lambda: backward(False, True, False)),
    ]


def seconds(call: Callable[[], object]) -> float:
    """Return the duration of a call, made after the peer's threads have stopped spinning."""
    time.sleep(SETTLE_SECONDS)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(line: Line, machine: Machine, team: Team, rounds: int) -> float:
    """Print one line; return the ratio of the peer's best time to ours."""
    runner = Runner(line.spec, machine, team)
    repeats = max(1, int(2e9 / line.spec.flops))

    def peer() -> None:
        for _ in range(repeats):
            line.peer()

    runner(), peer()
    pairs = [
        (seconds(lambda: runner(repeats)) / repeats, seconds(peer) / repeats)
        for _ in range(rounds)
    ]
    ours, theirs = (float(np.min(column)) for column in zip(*pairs, strict=True))
    rate, peer_rate = (line.spec.flops / value / 1e9 for value in (ours, theirs))
    tile = f"{runner.schedule.rows.largest()}x{runner.schedule.columns.largest()}"
    milliseconds = runner.compile_seconds * 1e3
    rates = f"{rate:7.1f} {peer_rate:7.1f} {theirs / ours:7.2f}"
    print(f"{line.name:40} {rates} {tile:>7} {milliseconds:6.0f} ms", flush=True)
    return theirs / ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=core_count())
    parser.add_argument("--target", default=None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="part of a kernel's name")
    options = parser.parse_args()
    machine, team = host(options.target), Team(options.threads)
    torch.set_num_threads(options.threads)
    title = f"{machine.name}, {options.threads} threads, GFLOP/s"
    print(f"{title:40} {'ours':>7} {'peer':>7} {'ratio':>7} {'tile':>7} {'compile':>9}")
    lines = [
        *dense_lines(64, 128, 784),
        *dense_lines(128, 512, 784),
        *dense_lines(128, 512, 512),
        *dense_lines(512, 2048, 2048),
        row_major_line(512, 2048, 2048),
        *convolution_lines(128, 16, 3, 32, 64),
        *convolution_lines(128, 32, 3, 32, 32),
        *convolution_lines(64, 28, 5, 8, 16),
    ]
    ratios = [
        measure(line, machine, team, options.rounds)
        for line in lines
        if options.only in line.name
    ]
    print(f"geometric mean of the ratios: {float(np.exp(np.mean(np.log(ratios)))):.2f}")


if __name__ == "__main__":
    main()
