"""Depthwise convolutions beside PyTorch: forward, image gradient, weight gradient; CPU time of one thread.

``python benchmarks/depthwise.py [--repeats N]`` prints the least milliseconds of both, and the ratios of the least
and of the median times (above 1: Deltarule is faster). Each pair is measured in turns in one process. PyTorch gets its
arrays in the order that it likes best, the faster of channels first and channels last.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from deltarule.graph import build
from deltarule.graph.program import Program
from deltarule.runtime.devices import backend
from deltarule.tensor.tensor import Tensor, symbol
from deltarule.tensor.transforms import grad

# name, batch, spatial sizes, channels, groups, multiplier, kernel, stride, dilation, type
CASES = [
    ("3×3, 24×96×32", 16, (24, 96), 32, 32, 1, 3, 1, 1, "float32"),
    ("3×3, 112×112×32", 2, (112, 112), 32, 32, 1, 3, 1, 1, "float32"),
    ("3×3, 28×28×128", 8, (28, 28), 128, 128, 1, 3, 1, 1, "float32"),
    ("3×3, 7×7×512", 8, (7, 7), 512, 512, 1, 3, 1, 1, "float32"),
    ("3×3 stride 2, 56×56×64", 4, (56, 56), 64, 64, 1, 3, 2, 1, "float32"),
    ("5×5, 14×14×120", 8, (14, 14), 120, 120, 1, 5, 1, 1, "float32"),
    ("3×3 dilation 2, 28×28×64", 8, (28, 28), 64, 64, 1, 3, 1, 2, "float32"),
    ("3×3 multiplier 2, 28×28×32", 8, (28, 28), 32, 32, 2, 3, 1, 1, "float32"),
    ("3×3 two channels a group, 28×28×64", 8, (28, 28), 64, 32, 1, 3, 1, 1, "float32"),
    ("9, 400×40", 16, (400,), 40, 40, 1, 9, 1, 1, "float32"),
    ("3×3×3, 12×12×12×32", 2, (12, 12, 12), 32, 32, 1, 3, 1, 1, "float32"),
    ("3×3, 28×28×64, float64", 8, (28, 28), 64, 64, 1, 3, 1, 1, "float64"),
]
PASSES = ("forward", "image gradient", "weight gradient")


def ours(case: tuple[Any, ...], x: Any, w: Any, y: Any) -> list[Callable[[], Any]]:
    """Return one compiled call for each pass."""
    _, _, sizes, _, groups, _, kernel, stride, dilation, _ = case
    rank = len(sizes)
    image, weight, signal = (
        symbol(name, a.shape, a.dtype.name)
        for name, a in zip("xwy", (x, w, y), strict=True)
    )
    around = (dilation * (kernel - 1) // 2,) * 2
    geometry = ((stride,) * rank, (around,) * rank, (dilation,) * rank, groups)
    out = Tensor(build.convolve(image.node, weight.node, *geometry))
    outputs = [out, *grad((out * signal).sum(), [image, weight])]
    runs = [
        backend("cpu").compile(
            Program((image.node, weight.node, signal.node), (result.node,)), 1
        )
        for result in outputs
    ]
    return [lambda run=run: run(x, w, y) for run in runs]


def theirs(
    case: tuple[Any, ...], x: Any, w: Any, y: Any, channels_last: bool
) -> list[Callable[[], Any]]:
    """Return PyTorch's call for each pass."""
    _, _, sizes, _, groups, _, kernel, stride, dilation, _ = case
    rank = len(sizes)
    tensors = [torch.from_numpy(a).movedim(-1, 1) for a in (x, w, y)]
    tx, tw, ty = tensors if channels_last else [t.contiguous() for t in tensors]
    padding = (dilation * (kernel - 1) // 2,) * rank
    forward = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
    geometry = ((stride,) * rank, padding, (dilation,) * rank)

    def backward(*wanted: bool) -> Any:
        rest = (False, (0,) * rank, groups, (*wanted, False))
        return torch.ops.aten.convolution_backward(ty, tx, tw, None, *geometry, *rest)

    return [
        lambda: forward(tx, tw, None, *geometry, groups),
        lambda: backward(True, False),
        lambda: backward(False, True),
    ]


def measured(
    on_interrupt: list[Callable[[], Any]], repeats: int
) -> list[tuple[float, float]]:
    """Return the least and the median CPU milliseconds of each call; the calls take turns."""
    times: list[list[float]] = [[] for _ in on_interrupt]
    for call in on_interrupt:
        call()
    for _ in range(repeats):
        for place, call in enumerate(on_interrupt):
            start = time.process_time()
            for _ in range(5):
                call()
            times[place].append((time.process_time() - start) / 5)
    return [(1000 * min(found), 1000 * statistics.median(found)) for found in times]


def mean(ratios: list[float]) -> float:
    """Return the geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def main() -> None:
    """Print a line for each case and pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    ratios: list[float] = []
    medians: list[float] = []
    head = f"{'case':36} {'pass':16} {'deltarule':>10} {'torch':>8} {'ratio':>6}"
    print(f"{head} {'median':>6}")
    for case in CASES:
        (
            name,
            batch,
            sizes,
            channels,
            groups,
            multiplier,
            kernel,
            stride,
            dilation,
            kind,
        ) = case
        around = dilation * (kernel - 1) // 2
        out = [
            (size + 2 * around - dilation * (kernel - 1) - 1) // stride + 1
            for size in sizes
        ]
        x = random.normal(size=(batch, *sizes, channels)).astype(kind)
        w = random.normal(
            size=(groups * multiplier, *(kernel,) * len(sizes), channels // groups)
        ).astype(kind)
        y = random.normal(size=(batch, *out, groups * multiplier)).astype(kind)
        passes = zip(
            PASSES,
            ours(case, x, w, y),
            theirs(case, x, w, y, False),
            theirs(case, x, w, y, True),
            strict=True,
        )
        for label, own, first, last in passes:
            mine, *peers = measured([own, first, last], repeats)
            least, middle = (min(found) for found in zip(*peers, strict=True))
            ratios.append(least / mine[0])
            medians.append(middle / mine[1])
            line = f"{name:36} {label:16} {mine[0]:10.3f} {least:8.3f}"
            print(f"{line} {ratios[-1]:6.2f} {medians[-1]:6.2f}", flush=True)
    shown = f"{mean(ratios):.2f}, of the medians {mean(medians):.2f}"
    print(f"geometric mean of the ratios: {shown}")
    print(f"load: {' '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
