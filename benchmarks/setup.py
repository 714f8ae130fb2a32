"""What ``fit`` costs outside its steps: many rows, many parameters, many short epochs with a checkpoint.

``python benchmarks/setup.py [rows] [parameters] [epochs]`` prints a table: seconds of the whole call of ``fit``, those
of its compiled steps, and the share of the rest, by the clock with as many threads as the engine takes, and by the
processor (all threads of the process) with one. Every case is run some times, in turns with an order of the first
epoch made beside the steps; the run of the shortest whole call is shown. For epochs the table has the time of one with
a checkpoint and without. Each case has a process of its own, after a small run that loads the engine and a first use of
2.4 GB of memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from deltarule import nn, optim
from deltarule.backends.native.program import runner, threads
from deltarule.train.steps import epoch_orders

_CASES = ("rows", "parameters", "epochs")
_ROUNDS = 3
_PREFETCH_ROWS = epoch_orders._PREFETCH_ROWS
Array = np.ndarray[Any, Any]
_inside = [0.0, 0.0]  # seconds of steps, by the clock and by the processor


def _watch_steps() -> None:
    """Add up the time that is spent in machine code of steps."""
    run = threads.Team.run

    def timed(self: threads.Team, *args: Any) -> Any:
        clock, used = time.perf_counter(), time.process_time()
        try:
            return run(self, *args)
        finally:
            _inside[0] += time.perf_counter() - clock
            _inside[1] += time.process_time() - used

    runner.Team.run = timed  # type: ignore[method-assign]  # to measure it


def _fit(
    model: nn.Sequential, x: Array, y: Array, **options: Any
) -> tuple[float, float, float, float]:
    """Return the seconds of a call of ``fit`` and of its steps, by the clock, and both by the processor."""
    _inside[:] = 0.0, 0.0
    clock, used = time.perf_counter(), time.process_time()
    model.fit(x, y, loss="mean_squared_error", verbose=0, **options)
    seconds = time.perf_counter() - clock, time.process_time() - used
    return seconds[0], _inside[0], seconds[1], _inside[1]


def _report(
    name: str, make: Callable[[], nn.Sequential], x: Array, y: Array, **options: Any
) -> None:
    """Print a line: the best of some calls by the clock, and of some with one thread by the processor."""
    by_clock, by_processor = [], []
    for _ in range(_ROUNDS):
        epoch_orders._PREFETCH_ROWS = _PREFETCH_ROWS
        whole, steps, *_ = _fit(make(), x, y, **options)
        by_clock.append((whole, steps))
        epoch_orders._PREFETCH_ROWS = (
            sys.maxsize
        )  # made between the steps, to be told apart
        *_, whole, steps = _fit(make(), x, y, threads=1, **options)
        by_processor.append((whole, steps))
    cells = [
        f"{whole:8.2f} s {steps:8.2f} s {1 - steps / whole:5.0%}"
        for whole, steps in (min(by_clock), min(by_processor))
    ]
    print(f"{name:44} {'   '.join(cells)}", flush=True)


def _touch_memory() -> None:
    """Use as much memory as a case does, and give it back: a virtual machine pays for the first touch of a page."""
    np.ones(3 * 10**8)


def _small_run() -> None:
    nn.Sequential(nn.Linear(2, 1)).fit(
        [[0.0, 1.0]], [[1.0]], loss="mean_squared_error", epochs=1, verbose=0
    )


def rows(n: int = 10**7) -> None:
    """One epoch and two of n rows of ten numbers."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, 10), dtype=np.float32)
    y = np.ascontiguousarray(x[:, :1])
    for hidden in (16, 64):
        for size, epochs in ((256, 1), (1024, 1), (1024, 2)):
            name = f"{n:,} × 10 rows, 10-{hidden}-1, {epochs} × {size:,}"
            _report(
                name,
                lambda: nn.Sequential(
                    nn.Linear(10, hidden),  # noqa: B023  # called in this round
                    nn.ReLU(),
                    nn.Linear(hidden, 1),  # noqa: B023  # called in this round
                ),
                x,
                y,
                epochs=epochs,
                batch_size=size,
            )


def _layers(widths: list[int]) -> nn.Sequential:
    """Return a network of rectifiers, whose weights are drawn in the call of ``fit``."""
    pairs = [(nn.Linear(one, other), nn.ReLU()) for one, other in pairwise(widths)]
    return nn.Sequential(*[part for pair in pairs for part in pair][:-1])


def parameters() -> None:
    """Some steps of a layer and of an MLP of 10⁸ weights, which are drawn in the call."""
    random = np.random.default_rng(0)
    for widths, recipe in (
        ([10_000] * 2, optim.SGD(learning_rate=1e-3)),
        ([5_000] * 5, optim.SGD(learning_rate=1e-3)),
        ([5_000] * 5, optim.Adam(learning_rate=1e-4)),
    ):
        for steps in (3, 30):
            x, y = (
                random.standard_normal((32 * steps, widths[0]), dtype=np.float32)
                for _ in range(2)
            )
            name = f"{len(widths) - 1} × {widths[0]:,}², {type(recipe).__name__}, {steps} × 32"
            _report(
                name,
                lambda: _layers(widths),  # noqa: B023  # called in this round
                x,
                y,
                epochs=1,
                batch_size=32,
                optimizer=recipe,
            )


def epochs(n: int = 1000) -> None:
    """Epochs of 20 rows: the time of one by the clock and by the processor, with a checkpoint and without, in turns."""
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(3):
            for name, options in (
                ("without", {}),
                ("checkpoint", {"checkpoint": Path(folder, "run.dr")}),
            ):
                model = nn.Sequential(nn.Linear(3, 1))
                clock, _, used, _ = _fit(
                    model, x, x[:, :1], epochs=n, threads=1, **options
                )
                found.setdefault(name, []).append((clock, used))
    best = {
        name: [min(times) / n * 1e3 for times in zip(*pairs, strict=True)]
        for name, pairs in found.items()
    }
    for name, (clock, used) in best.items():
        print(
            f"{f'epoch of 20 rows, {name}':44} {clock:8.3f} ms by the clock {used:8.3f} ms by the processor"
        )
    ratios = [
        one / other
        for one, other in zip(best["checkpoint"], best["without"], strict=True)
    ]
    print(f"{'ratio':44} {ratios[0]:8.2f} {ratios[1]:22.2f}")


def main() -> None:
    """Run the cases that are named, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[*_CASES, []], default=[])
    parser.add_argument("--here", action="store_true", help="run in this process")
    given = parser.parse_args()
    if given.here:
        _watch_steps()
        _touch_memory()
        _small_run()
        for case in given.cases:
            {"rows": rows, "parameters": parameters, "epochs": epochs}[case]()
        return
    heads = [
        f"{whole:>10} {'steps':>10} {'rest':>5}" for whole in ("clock", "processor")
    ]
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{load:44} {'   '.join(heads)}", flush=True)
    for case in given.cases or _CASES:
        subprocess.run([sys.executable, __file__, case, "--here"], check=True)


if __name__ == "__main__":
    main()
