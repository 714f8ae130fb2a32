"""What ``fit`` costs outside its steps: many rows, many parameters, many short epochs with a checkpoint.

``python benchmarks/setup.py [rows] [parameters] [epochs]`` prints a table of processor seconds of the whole call with
one thread, the steps' own, and the share of the rest; for epochs the time of one with a checkpoint and without. Each
case runs in a process of its own, after a small run that loads the engine and a first use of 2.4 GB of memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from deltarule import nn, optim
from deltarule.train import engine, orders

_CASES = ("rows", "parameters", "epochs")
_inside = 0.0  # processor seconds of steps


def _watch_steps() -> None:
    """Add up the processor time of steps; orders are made between them, not beside them, to be told apart."""
    run = engine.Engine.run
    orders._MANY = sys.maxsize

    def timed(self: engine.Engine, *args: Any, **kwargs: Any) -> Any:
        global _inside
        start = time.process_time()
        try:
            return run(self, *args, **kwargs)
        finally:
            _inside += time.process_time() - start

    engine.Engine.run = timed  # type: ignore[method-assign]  # to measure it


def _fit(
    model: nn.Sequential,
    x: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    **options: Any,
) -> tuple[float, float]:
    """Return processor seconds of a call of ``fit``, and of its steps."""
    global _inside
    _inside, start = 0.0, time.process_time()
    model.fit(x, y, loss="mean_squared_error", verbose=0, threads=1, **options)
    return time.process_time() - start, _inside


def _report(name: str, whole: float, steps: float) -> None:
    print(f"{name:44} {whole:8.2f} s {steps:8.2f} s {1 - steps / whole:7.0%}")


def _touch_memory() -> None:
    """Use as much memory as a case does, and give it back: a virtual machine pays for the first touch of a page."""
    np.ones(3 * 10**8)


def _small_run() -> None:
    nn.Sequential(nn.Linear(2, 1)).fit(
        [[0.0, 1.0]], [[1.0]], loss="mean_squared_error", epochs=1, verbose=0
    )


def rows(n: int = 10**7) -> None:
    """Two epochs of n rows of ten numbers in batches of 1,024."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, 10), dtype=np.float32)
    for name, hidden in (("10-16-1", 16), ("10-64-1", 64)):
        model = nn.Sequential(nn.Linear(10, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        _report(
            f"{n:,} × 10 rows, {name}, 2 epochs",
            *_fit(model, x, x[:, :1], epochs=2, batch_size=1024),
        )


def parameters(side: int = 10**4) -> None:
    """Three steps of one layer of side² weights, which are drawn in the call, and thirty."""
    random = np.random.default_rng(0)
    for steps in (3, 30):
        x, y = (
            random.standard_normal((32 * steps, side), dtype=np.float32)
            for _ in range(2)
        )
        model = nn.Sequential(nn.Linear(side, side))
        recipe = optim.SGD(learning_rate=1e-3)
        found = _fit(model, x, y, epochs=1, batch_size=32, optimizer=recipe)
        _report(f"{side**2:,} parameters, {steps} steps of 32", *found)


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
                start = time.perf_counter()
                used, _ = _fit(
                    nn.Sequential(nn.Linear(3, 1)), x, x[:, :1], epochs=n, **options
                )
                found.setdefault(name, []).append((time.perf_counter() - start, used))
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
    print(f"{'':44} {'whole call':>10} {'steps':>10} {'outside':>7}", flush=True)
    for case in given.cases or _CASES:
        subprocess.run([sys.executable, __file__, case, "--here"], check=True)


if __name__ == "__main__":
    main()
