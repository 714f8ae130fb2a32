"""What sampling noise costs in a training step: ``python benchmarks/noise.py [--rounds 9] [--threads 2]``.

Each network is trained twice on the native engine, with the random numbers of its step and with zeros read from
memory in their place: the same arithmetic otherwise. Both are compiled once and run an epoch in turn, first one
first and then the other; the share of the noise is 1 − t(zeros)/t(drawn), the median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import generative, nn
from deltarule.backends.base import StepRunner
from deltarule.cli.workloads import WORKLOADS, Workload
from deltarule.data import batches
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import StepProgram
from deltarule.graph.rewrite import substitute
from deltarule.graph.walk import topological
from deltarule.losses import get as get_loss
from deltarule.runtime.devices import backend
from deltarule.train.steps.step import Task, columns, training_step

Array = npt.NDArray[Any]
EXAMPLES = 12_800


@dataclass(frozen=True)
class Case:
    """A network whose step draws random numbers."""

    title: str
    model: nn.Module
    loss: str
    workload: Workload


def vae() -> nn.Module:
    """Return W8's network as a ``generative.VAE``: 784-400-20-400-784."""
    return generative.VAE(
        generative.dense((784, 400, 40)),
        generative.dense((20, 400, 784)),
        20,
        generative.BernoulliLikelihood(),
    )


def cases() -> list[Case]:
    """Return the networks: both forms of W8, and W3, whose noise is that of dropout."""
    w3, w8 = WORKLOADS["W3"], WORKLOADS["W8"]
    return [
        Case("W8, VAE 784-400-20-400-784", w8.network(), w8.loss, w8),
        Case("generative.VAE of W8's sizes", vae(), "negative_elbo", w8),
        Case("W3, MLP 784-512-512-10, dropout 0.2", w3.network(), w3.loss, w3),
    ]


def drawn_nodes(program: StepProgram) -> list[Node]:
    """Return the nodes made of random numbers alone that meet the rest of the step: the noise itself."""
    noise: set[Node] = set()
    fixed: set[Node] = set()
    met: dict[Node, None] = {}
    for node in topological([*program.next_state, *program.metrics]):
        known = [source for source in node.sources if source in noise]
        if node.op is Op.CONSTANT or (
            node.sources and all(source in fixed for source in node.sources)
        ):
            fixed.add(node)
        elif node.op is Op.RANDOM or (
            known and all(source in noise or source in fixed for source in node.sources)
        ):
            noise.add(node)
        else:
            met.update(dict.fromkeys(known))
    return list(met)


def without_noise(program: StepProgram) -> tuple[StepProgram, list[Array]]:
    """Return the step that reads zeros instead of drawing numbers, and these zeros as further state."""
    nodes = drawn_nodes(program)
    zeros = {
        node: build.input_node(f"zeros_{i}", node.shape, node.dtype)
        for i, node in enumerate(nodes)
    }
    outputs = substitute([*program.next_state, *program.metrics], zeros)
    n = len(program.next_state)
    step = StepProgram(
        (*program.state, *zeros.values()),
        program.batch,
        program.step,
        program.seed,
        program.scalars,
        (*outputs[:n], *zeros.values()),
        tuple(outputs[n:]),
    )
    return step, [np.zeros(node.shape, node.dtype.name) for node in nodes]


def prepared(
    case: Case, threads: int
) -> tuple[list[StepRunner], tuple[Array, ...], int]:
    """Return the compiled steps with and without noise, the data, and how many numbers a step draws."""
    arrays = case.workload.data(EXAMPLES, np.random.default_rng(0))
    step = training_step(
        Task(case.model, get_loss(case.loss), (), case.workload.optimizer),
        columns(arrays),
        case.workload.batch_size,
    )
    zeroed, zeros = without_noise(step.program)
    state = [tensor.numpy() for _, tensor in case.model.named_parameters()]
    state += [tensor.numpy() for tensor in step.slots]
    state += [tensor.numpy() for _, tensor in case.model.named_state()]
    state += step.constants
    engine = backend("cpu")
    runners = [
        engine.compile_step(program, threads) for program in (step.program, zeroed)
    ]
    runners[0].load(state)
    runners[1].load([*state, *zeros])
    return runners, arrays, sum(array.size for array in zeros)


def epoch_seconds(
    runner: StepRunner,
    arrays: Sequence[Array],
    batch_size: int,
    epoch: int,
    threads: int,
) -> float:
    """Return the seconds of one epoch."""
    clock = time.process_time if threads == 1 else time.perf_counter
    order = batches(len(arrays[0]), batch_size, 0, epoch, drop_last=True)
    start = clock()
    runner.run(arrays, order, epoch * (len(order) // batch_size), 0)
    return clock() - start


def share(
    case: Case, rounds: int, threads: int
) -> tuple[list[float], list[float], int]:
    """Return the seconds of the epochs with noise and with zeros, run in turn, and the numbers drawn in a step."""
    runners, arrays, drawn = prepared(case, threads)
    taken: tuple[list[float], list[float]] = ([], [])
    for epoch in range(rounds + 1):
        for i in (0, 1) if epoch % 2 else (1, 0):
            taken[i].append(
                epoch_seconds(
                    runners[i], arrays, case.workload.batch_size, epoch, threads
                )
            )
    return taken[0][1:], taken[1][1:], drawn  # the first epoch warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(
        f"{EXAMPLES:,} examples an epoch, {options.threads} threads, {options.rounds} rounds in turn; what noise takes:"
    )
    for case in cases():
        noisy, quiet, drawn = share(case, options.rounds, options.threads)
        steps = EXAMPLES // case.workload.batch_size
        step = statistics.median(noisy) / steps * 1e6
        middle, best = (
            100 * (1 - pick(quiet) / pick(noisy)) for pick in (statistics.median, min)
        )
        print(
            f"{case.title:36s} step {step:6.0f} µs, {drawn:7,} numbers drawn: {middle:5.1f} % of the medians, "
            f"{best:5.1f} % of the best epochs",
            flush=True,
        )


if __name__ == "__main__":
    main()
