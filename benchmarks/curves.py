"""Samples per second over width, depth, batch size and threads: ``python benchmarks/curves.py``.

Networks are ReLU MLPs with ten outputs, trained by momentum, in float32; every point is the best of several epochs.
Sizes are powers of two and their odd neighbours, so that a cliff between them would show. Writes a table of each
curve and figures (SVG) of samples per second and of GFLOP/s.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from deltarule import nn, optim
from deltarule.backends.native.llvm.machine import core_count
from deltarule.cli.commands.bench import build_step
from deltarule.cli.workloads import Workload, dense_flops
from deltarule.render.svg.charts import Series, line_chart
from deltarule.runtime.devices import backend

WIDTHS = (
    8,
    13,
    16,
    31,
    32,
    33,
    64,
    65,
    100,
    128,
    129,
    256,
    257,
    512,
    513,
    1000,
    1024,
    2048,
    2049,
    4096,
)
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16)
BATCHES = (
    1,
    2,
    3,
    7,
    8,
    16,
    17,
    32,
    64,
    65,
    100,
    128,
    256,
    512,
    1000,
    1024,
    2048,
    4096,
)
OPERATIONS = 4e9  # of one epoch of measurement, at least two steps


@dataclass(frozen=True)
class Point:
    """One measured network."""

    width: int
    depth: int
    batch_size: int
    threads: int
    samples_per_second: float
    gflops: float
    microseconds: float  # a step


def _network(width: int, depth: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in pairwise([width] * (depth + 1)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def measure(
    width: int, depth: int, batch_size: int, threads: int, rounds: int
) -> Point:
    """Train one network for some epochs; return its best rate."""
    flops = dense_flops(*[width] * (depth + 1), 10)
    steps = int(np.clip(OPERATIONS / (flops * batch_size), 2, 20_000))
    examples = min(steps * batch_size, max(batch_size, 40_000_000 // width // 4))
    generator = np.random.default_rng(0)

    def data(n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return generator.standard_normal(
            (n, width), dtype=np.float32
        ), generator.integers(0, 10, n)

    optimizer = optim.SGD(learning_rate=1e-4, momentum=0.9)
    workload = Workload(
        "curve",
        "",
        batch_size,
        examples,
        "cross_entropy",
        optimizer,
        lambda: _network(width, depth),
        data,
        flops,
    )
    arrays = data(examples, generator)
    step, state = build_step(workload, arrays)
    runner = backend("cpu").compile_step(step.program, threads)
    runner.load(state)
    order = np.arange(steps * batch_size, dtype=np.int64) % (
        examples // batch_size * batch_size
    )
    runner.run(arrays, order[: 2 * batch_size], 0, 0)
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        runner.run(arrays, order, 0, 0)
        best = min(best, time.perf_counter() - start)
    rate = steps * batch_size / best
    return Point(
        width, depth, batch_size, threads, rate, rate * flops / 1e9, best / steps * 1e6
    )


def _table(name: str, points: list[Point], key: str) -> list[str]:
    lines = [f"| {name} | samples/s | GFLOP/s | µs a step |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {getattr(p, key):,} | {p.samples_per_second:,.0f} | {p.gflops:.1f} | {p.microseconds:,.1f} |"
        for p in points
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=core_count())
    parser.add_argument(
        "--out", type=Path, default=Path("docs/figures"), help="folder of the figures"
    )
    options = parser.parse_args()
    threads, rounds = options.threads, options.rounds
    options.out.mkdir(parents=True, exist_ok=True)
    curves = {
        "width": [measure(w, 2, 64, threads, rounds) for w in WIDTHS],
        "depth": [measure(256, d, 64, threads, rounds) for d in DEPTHS],
        "batch_size": [measure(256, 2, b, threads, rounds) for b in BATCHES],
        "threads": [
            measure(512, 2, 128, t, rounds) for t in range(1, 2 * core_count() + 1)
        ],
    }
    titles = {
        "width": "width, 2 hidden layers, batches of 64",
        "depth": "hidden layers of width 256, batches of 64",
        "batch_size": "batch size, 2 hidden layers of width 256",
        "threads": "threads, 2 hidden layers of width 512, batches of 128",
    }
    for name, points in curves.items():
        print(f"\n### {titles[name]}\n")
        print("\n".join(_table(name.replace("_", " "), points, name)))
        doubling = name in {"width", "batch_size"}
        places = [
            float(np.log2(getattr(p, name)) if doubling else getattr(p, name))
            for p in points
        ]
        speeds = Series("ours", places, [p.gflops for p in points])
        figure = line_chart(
            [speeds],
            x_label=f"{'log₂ of ' if doubling else ''}{titles[name]}",
            y_label="GFLOP/s",
        )
        (options.out / f"performance-{name.replace('_', '-')}.svg").write_text(
            figure, encoding="utf-8"
        )
    record = {name: [vars(p) for p in points] for name, points in curves.items()}
    (options.out / "performance-curves.json").write_text(
        json.dumps(record, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
