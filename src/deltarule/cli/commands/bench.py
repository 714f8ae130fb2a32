"""``deltarule bench``: measure the training workloads, or check them against the reference backend."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Backend, StepRunner
from deltarule.cli import options
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.cli.outputs.output import echo_json
from deltarule.cli.statements import statement_cycles
from deltarule.cli.workloads import WORKLOADS, Workload, build_step, workloads_named
from deltarule.data import batches
from deltarule.errors import ArgumentError, DependencyError
from deltarule.graph.program import Program
from deltarule.render.numbers import rate, seconds
from deltarule.runtime.devices import backend
from deltarule.train.steps.step import StepSpec, columns, prediction_program

Array = npt.NDArray[Any]
CHECK_STEPS = 20
_LEAST_SECONDS = 0.2
_AGREED = (
    1e-2  # tolerated relative difference of losses, which grows when a ReLU switches
)
_KNOWN, _QUERIES = 60_000, 2000  # examples of W11


def _compiled(
    engine: Backend, step: StepSpec, threads: int | None
) -> tuple[StepRunner, float]:
    start = time.perf_counter()
    runner = engine.compile_step(step.program, threads)
    return runner, time.perf_counter() - start


def peak_rss_mb() -> float | None:
    """Return the peak resident memory of this process in MB; None if the system does not report it."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return None
    largest = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return largest / (1e6 if sys.platform == "darwin" else 1e3)


def measure(
    workload: Workload, threads: int | None, least_seconds: float, device: str = "cpu"
) -> dict[str, Any]:
    """Train a workload and return speed, losses and compile times, without and with the cache."""
    arrays = workload.arrays()
    step, state = build_step(workload, arrays)
    engine = backend(device)
    with tempfile.TemporaryDirectory(prefix="deltarule-bench-") as empty:
        before = os.environ.get("DELTARULE_CACHE")
        os.environ["DELTARULE_CACHE"] = empty
        try:
            runner, fresh = _compiled(engine, step, threads)
            runner, cached = _compiled(engine, step, threads)
        finally:
            os.environ.pop("DELTARULE_CACHE")
            if before is not None:
                os.environ["DELTARULE_CACHE"] = before
    runner.load(state)
    steps_per_epoch = workload.examples // workload.batch_size
    losses: list[Array] = []
    times: list[float] = []
    done = 0
    while done < 2 or sum(times) < least_seconds:
        order = batches(workload.examples, workload.batch_size, 0, done, drop_last=True)
        start = time.perf_counter()
        metrics = runner.run(arrays, order, done * steps_per_epoch, 0)
        times.append(time.perf_counter() - start)
        losses.append(metrics[:, 0])
        done += 1
    per_second = steps_per_epoch * workload.batch_size / float(np.median(times[1:]))
    return {
        "workload": workload.name,
        "threads": getattr(runner, "threads", None) or threads,
        "samples_per_second": per_second,
        "gflops": per_second * workload.flops / 1e9,
        "compile_seconds": fresh,
        "compile_seconds_cached": cached,
        "first_epoch_seconds": times[0],
        "peak_rss_mb": peak_rss_mb(),
        "loss_first": float(losses[0][0]),
        "loss_last": float(losses[-1].mean()),
    }


def check(workload: Workload, threads: int | None) -> dict[str, Any]:
    """Train some steps on the native and the reference backend; return the largest relative differences."""
    arrays = tuple(
        array[: CHECK_STEPS * workload.batch_size] for array in workload.arrays()
    )
    step, state = build_step(workload, arrays)
    order = np.arange(
        len(arrays[0]) // workload.batch_size * workload.batch_size, dtype=np.int64
    )
    if backend("cpu").name != "cpu":
        raise DependencyError(
            "bench --check",
            expected="the native engine",
            got="none",
            hint="pip install llvmlite",
        )
    results = []
    for device in ("cpu", "reference"):
        runner, _ = _compiled(backend(device), step, threads)
        runner.load(state)
        metrics = runner.run(arrays, order, 0, 0)
        results.append((metrics[:, 0], runner.read()))
    (a, states_a), (b, states_b) = results
    loss = float(np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(b))))
    spread = [
        float(np.abs(x.astype(float) - y).max() / max(1e-12, np.abs(y).max()))
        if x.size
        else 0.0
        for x, y in zip(states_a, states_b, strict=True)
    ]
    return {
        "workload": workload.name,
        "steps": len(order) // workload.batch_size,
        "loss_difference": loss,
        "state_difference": max(spread, default=0.0),
    }


def _latency(
    program: Program, arrays: Sequence[Array], least_seconds: float, threads: int | None
) -> float:
    """Return the median duration of a call in seconds."""
    run = backend("cpu").compile(program, threads)
    for _ in range(5):
        run(*arrays)
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < least_seconds or len(times) < 5:
        before = time.perf_counter()
        run(*arrays)
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def inference(least_seconds: float, threads: int | None = None) -> list[dict[str, Any]]:
    """Measure W10: inference of W2 and W6 on 1 and 1024 examples."""
    rows = []
    for name in ("W2", "W6"):
        workload = WORKLOADS[name]
        model = workload.network()
        x = workload.data(1024, np.random.default_rng(0))[0]
        for n in (1, 1024):
            program, values = prediction_program(model, columns((x,))[0], n)
            taken = _latency(
                program,
                [*values, x[:n]],
                max(_LEAST_SECONDS, least_seconds / 4),
                threads,
            )
            rows.append(
                {
                    "workload": "W10",
                    "network": name,
                    "examples": n,
                    "microseconds": taken * 1e6,
                    "samples_per_second": n / taken,
                }
            )
    return rows


def classical() -> list[dict[str, Any]]:
    """Measure W11: 5 nearest neighbours among 60,000 examples for 2,000 queries, and PCA with 50 components."""
    try:
        learners = importlib.import_module("deltarule.learners")
    except ImportError as error:
        raise DependencyError(
            "bench W11",
            expected="the package scikit-learn",
            got="none",
            hint='pip install "deltarule[learn]"',
        ) from error
    x = WORKLOADS["W1"].data(_KNOWN + _QUERIES, np.random.default_rng(0))[0]
    known, queries = x[:_KNOWN], x[_KNOWN:]
    nearest = learners.KNNClassifier(5).fit(known, np.arange(len(known)) % 10)
    tasks: dict[str, Callable[[], object]] = {
        f"5 nearest of {_KNOWN:,} × 784, {_QUERIES:,} queries": lambda: (
            nearest.kneighbors(queries)
        ),
        f"50 components of {_KNOWN:,} × 784": lambda: learners.PCA(50).fit(known),
    }
    rows = []
    for title, work in tasks.items():
        times = []
        for _ in range(3):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        rows.append({"workload": "W11", "title": title, "seconds": min(times)})
    return rows


def _line(row: dict[str, Any]) -> str:
    if "title" in row:
        return f"W11  {row['title']:<46} {seconds(row['seconds'])}"
    if "statement" in row:
        return f"{row['workload']:<4} {row['share']:6.1%} {row['cycles']:12,} cycles   {row['statement']}"
    if "network" in row:
        speed = rate(row["samples_per_second"], "samples")
        return f"W10  {row['network']} × {row['examples']:<5} {row['microseconds']:10.1f} µs   {speed}"
    if "steps" in row:
        return (
            f"{row['workload']:<4} {row['steps']:3} steps   loss differs by {row['loss_difference']:.1e}, "
            f"state by {row['state_difference']:.1e}"
        )
    title = WORKLOADS[row["workload"]].title
    speed = rate(row["samples_per_second"], "samples")
    compiling = f"compiled in {seconds(row['compile_seconds'])} ({seconds(row['compile_seconds_cached'])} cached)"
    losses = f"loss {row['loss_first']:.4g} → {row['loss_last']:.4g}"
    return f"{row['workload']:<4} {title:<46} {speed:>20} {row['gflops']:7.1f} GFLOP/s   {compiling}   {losses}"


def _available(name: str) -> bool:
    """Return whether the packages of a workload are installed: W11 needs scikit-learn."""
    return name != "W11" or importlib.util.find_spec("sklearn") is not None


def _run(
    tasks: Sequence[Callable[[], list[dict[str, Any]]]], console: Console
) -> list[dict[str, Any]]:
    rows = []
    for task in tasks:
        for row in task():
            rows.append(row)
            console.say(_line(row))
    return rows


@command_with(
    "bench",
    "deltarule bench             all workloads",
    "deltarule bench W2 W6 --threads 1   two of them on one thread",
    "deltarule bench W3 --statements     where the time of its steps goes",
    "deltarule bench --check         native against reference backend",
)
@click.argument("names", nargs=-1, metavar="[W1 … W13]")
@options.threads
@click.option(
    "--seconds",
    "least",
    type=click.FloatRange(min=0.0),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Minimum duration of each workload.",
)
@click.option(
    "--check",
    "checks",
    is_flag=True,
    help="Compare 20 steps with the reference backend instead.",
)
@click.option(
    "--statements",
    "by_statement",
    is_flag=True,
    help="Count the cycles of each statement of the training steps instead.",
)
@options.as_json
def command(
    names: tuple[str, ...],
    threads: int | None,
    least: float,
    checks: bool,
    by_statement: bool,
    as_json: bool,
) -> int:
    """Measure the benchmark workloads: training, inference (W10) and classical learners (W11)."""
    wanted = [name.upper() for name in names]
    others = {"W10": lambda: inference(least, threads), "W11": classical}
    named = tuple(name for name in wanted if name not in others)
    training = workloads_named(named) if named or not wanted else []
    tasks: list[Callable[[], list[dict[str, Any]]]]
    if checks and by_statement:
        raise ArgumentError("bench", expected="--check or --statements", got="both")
    if (checks or by_statement) and len(named) < len(wanted):
        flag = "--check" if checks else "--statements"
        others_named = ", ".join(sorted(set(wanted) - set(named)))
        raise ArgumentError(
            f"bench {flag}", expected="workloads that train", got=others_named
        )
    if by_statement:
        tasks = [lambda w=w: statement_cycles(w, threads, least) for w in training]  # type: ignore[misc]  # bound now
    elif checks:
        tasks = [lambda w=w: [check(w, threads)] for w in training]  # type: ignore[misc]  # bound now
    else:
        tasks = [lambda w=w: [measure(w, threads, least)] for w in training]  # type: ignore[misc]  # bound now
        tasks += [
            task
            for name, task in others.items()
            if name in wanted or (not wanted and _available(name))
        ]
    rows = _run(tasks, Console(as_json))
    if as_json:
        echo_json(rows)
    agree = (
        all(row["loss_difference"] < _AGREED for row in rows) if checks else True
    )  # NaN does not agree
    return 0 if agree else 1
