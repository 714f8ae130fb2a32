"""W10, inference beside the peers, alternating in one process: ``python benchmarks/inference.py``.

W2 (dense) and W6 (convolutional) on one example and on 1,024, each called from Python with a NumPy array or the
peer's own tensor. Prints the median time of a call for ours, ``dr.jit``, PyTorch (eager, and frozen TorchScript),
and JAX, and the ratio of the best peer to ours.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

THREADS = (
    int(sys.argv[sys.argv.index("--threads") + 1])
    if "--threads" in sys.argv
    else os.cpu_count() or 1
)
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(THREADS)

import jax  # noqa: E402  # the number of threads is read at import
import jax.numpy as jnp  # noqa: E402
import torch  # noqa: E402
from torch import nn as tnn  # noqa: E402

import deltarule as dr  # noqa: E402
from deltarule.backends.native.backend import NativeBackend  # noqa: E402
from deltarule.cli.workloads import WORKLOADS  # noqa: E402
from deltarule.train.steps.step import columns, prediction_program  # noqa: E402

PAUSE = 0.02  # seconds, so that the threads of the engine before have stopped spinning


def _ours(name: str, x: Any) -> dict[str, Callable[[], object]]:
    model = WORKLOADS[name].network()
    program, values = prediction_program(model, columns((x,))[0], len(x))
    run = NativeBackend().compile(program, THREADS if len(x) > 1 else None)
    jitted = dr.jit(lambda batch: model(batch))
    return {"ours": lambda: run(*values, x), "dr.jit": lambda: jitted(x)}


def _torch(name: str, x: Any) -> dict[str, Callable[[], object]]:
    torch.set_num_threads(THREADS)
    if name == "W2":
        model = tnn.Sequential(tnn.Linear(784, 128), tnn.ReLU(), tnn.Linear(128, 10))
        batch = torch.from_numpy(x)
    else:
        model = tnn.Sequential(
            tnn.Conv2d(3, 8, 5),
            tnn.ReLU(),
            tnn.MaxPool2d(2),
            tnn.Conv2d(8, 16, 5),
            tnn.ReLU(),
            tnn.MaxPool2d(2),
            tnn.Flatten(),
            tnn.Linear(400, 120),
            tnn.ReLU(),
            tnn.Linear(120, 84),
            tnn.ReLU(),
            tnn.Linear(84, 10),
        ).to(memory_format=torch.channels_last)
        batch = (
            torch.from_numpy(x)
            .permute(0, 3, 1, 2)
            .contiguous(memory_format=torch.channels_last)
        )
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        frozen = torch.jit.freeze(torch.jit.trace(model, batch))

    def eager() -> object:
        with torch.inference_mode():
            return model(batch)

    def script() -> object:
        with torch.inference_mode():
            return frozen(batch)

    return {"torch eager": eager, "torch frozen": script}


def _jax(name: str, x: Any) -> dict[str, Callable[[], object]]:
    weights = [jnp.asarray(p.numpy()) for p in WORKLOADS[name].network().parameters()]

    def pooled(h: Any) -> Any:
        return jax.lax.reduce_window(
            h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        )

    def network(w: Any, h: Any) -> Any:
        place = 0
        if name == "W6":
            for _ in range(2):
                kernel = w[place].transpose(1, 2, 3, 0)
                h = jax.lax.conv_general_dilated(
                    h,
                    kernel,
                    (1, 1),
                    "VALID",
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )
                h = pooled(jax.nn.relu(h + w[place + 1]))
                place += 2
            h = h.reshape(len(h), -1)
        while place < len(w) - 2:
            h = jax.nn.relu(h @ w[place].T + w[place + 1])
            place += 2
        return h @ w[place].T + w[place + 1]

    run = jax.jit(network)
    batch = jnp.asarray(x)
    return {"jax": lambda: run(weights, batch).block_until_ready()}


def _median(
    on_interrupt: dict[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in on_interrupt}
    for call in on_interrupt.values():
        for _ in range(20):
            call()
    for _ in range(rounds):
        for name, call in on_interrupt.items():
            time.sleep(PAUSE)
            call()
            start, n = time.perf_counter(), 0
            while n < 5 or time.perf_counter() - start < 0.02:
                call()
                n += 1
            times[name].append((time.perf_counter() - start) / n)
    return {name: float(np.median(found)) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=THREADS)
    options = parser.parse_args()
    print(
        "| network × examples | ours | dr.jit | torch eager | torch frozen | jax | × best peer |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in ("W2", "W6"):
        for n in (1, 1024):
            x = WORKLOADS[name].data(n, np.random.default_rng(0))[0]
            found = _median(
                {**_ours(name, x), **_torch(name, x), **_jax(name, x)}, options.rounds
            )
            best = min(
                t for engine, t in found.items() if engine not in {"ours", "dr.jit"}
            )
            cells = [f"{t * 1e6:,.1f} µs" for t in found.values()]
            print(
                f"| {name} × {n:,} | "
                + " | ".join(cells)
                + f" | **{best / found['ours']:.2f}** |",
                flush=True,
            )


if __name__ == "__main__":
    main()
