"""Random programs over all primitives: native engine, reference engine and PyTorch agree, with derivatives.

``DELTARULE_PROGRAMS`` raises the number of programs of the slow test; ``python -m support.fuzz`` (in ``tests/``) runs
any number of them and shows progress.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.function import FUNCTIONS
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import topological
from support.fuzz import isolate
from support.fuzz.case import Array, Case
from support.fuzz.check import ENGINES, Verdict, check
from support.fuzz.graphs import random_case
from support.fuzz.in_torch import in_torch
from support.fuzz.isolate import fault, smallest, verdicts
from support.fuzz.shrink import shrunk

FAST, CHUNK, SLOW_CHUNK = 2_000, 50, 1_000
ALL = int(os.environ.get("DELTARULE_PROGRAMS", "100000"))


def _agree(seeds: Sequence[int]) -> None:
    """Check programs in a child process; a failing one is shown in a short form that runs by itself."""
    outcomes = list(verdicts(seeds))
    wrong = [outcome for outcome in outcomes if outcome.verdict.fault]
    if wrong:
        small = smallest(random_case(wrong[0].seed))
        listed = "\n".join(
            f"seed {outcome.seed}: {outcome.verdict.fault}" for outcome in wrong
        )
        pytest.fail(
            f"{listed}\n\nThe first of them, made small ({fault(small)}):\n\n{small.code()}",
            pytrace=False,
        )
    assert [outcome.seed for outcome in outcomes] == list(seeds)
    compared, elements = (
        sum(getattr(o.verdict, name) for o in outcomes)
        for name in ("compared", "elements")
    )
    assert compared > 0.95 * elements  # rounding leaves the rest undecided, at jumps


@pytest.mark.parametrize("first", range(0, FAST, CHUNK))
def test_engines_and_torch_agree(first: int) -> None:
    _agree(range(first, first + CHUNK))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FAST, max(ALL, FAST), SLOW_CHUNK))
def test_engines_and_torch_agree_on_many(first: int) -> None:
    _agree(range(first, min(first + SLOW_CHUNK, ALL)))


def test_the_command_checks_programs_in_several_processes() -> None:
    command = ["-m", "support.fuzz", "--graphs", "6", "--seed", "5", "--jobs", "2"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 programs, 0 failed")


def test_the_programs_hold_everything() -> None:
    """Every primitive and named function, all types, sizes 0 and 1, steps back, ties, special values, derivatives."""
    ops: set[Op] = set()
    functions: set[str] = set()
    kinds: set[str] = set()
    sizes: set[int] = set()
    orders: set[int] = set()
    values = np.zeros(0)
    for seed in range(0, FAST, 4):
        case = random_case(seed)
        results = [node for node, _ in case.results]
        nodes = topological(results)
        functions |= {
            node.attributes["function"] for node in nodes if node.op is Op.CALL
        }
        nodes += topological(expand_calls(results))
        ops |= {node.op for node in nodes}
        kinds |= {node.dtype.name for node in nodes}
        sizes |= {size for node in nodes for size in node.shape}
        orders.add(case.order)
        if case.special:
            values = np.concatenate(
                [
                    values,
                    *(
                        x.reshape(-1)
                        for x in case.values.values()
                        if x.dtype.kind == "f"
                    ),
                ]
            )
    assert ops == set(Op) - {Op.DIMENSION}
    assert functions == set(FUNCTIONS)
    assert kinds == set(dtypes.DTYPES)
    assert {0, 1, 2, 3, 17} <= sizes
    assert orders == {0, 1, 2}
    assert (
        np.isnan(values).any()
        and np.isposinf(values).any()
        and np.isneginf(values).any()
    )


def test_a_seed_is_always_the_same_program() -> None:
    for seed in range(20):
        first, second = random_case(seed), random_case(seed)
        assert first.code() == second.code()


# ---------------------------------------------------------------- the check can fail


def _matrix(values: Array, build_result: object) -> Case:
    x = build.input_node("x", values.shape, dtypes.DTYPES[values.dtype.name])
    return Case({x: values}, [(build_result(x), None)])  # type: ignore[operator]


def _off(amount: float) -> dict[str, object]:
    """Return engines of which the native one is wrong in one element, relative to its size."""

    def engine(case: Case, outputs: list[Node]) -> list[Array]:
        found = [np.array(x) for x in ENGINES["reference"](case, outputs)]
        first = found[0].reshape(-1)
        first[0] = first[0] + 1 if first.dtype.kind != "f" else first[0] * (1 + amount)
        return found

    return {"reference": ENGINES["reference"], "native": engine}


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("float32", 1e-4), ("float64", 1e-12), ("int64", 1), ("uint8", 1)],
)
def test_a_small_error_is_found(kind: str, amount: float) -> None:
    values = (np.arange(1, 13).reshape(3, 4) * 1.3).astype(kind)
    case = _matrix(values, lambda x: build.sum_over(build.multiply(x, x), 0))
    assert check(case).fault == ""
    assert check(case, _off(amount)).fault.startswith("native, output 0")  # type: ignore[arg-type]


def test_cancellation_and_jumps_are_no_errors() -> None:
    """What rounding decides is not compared, and a difference of large numbers may be off by their rounding."""
    values = np.float32([[1e8, 1.0, -1e8, 0.5]])
    case = _matrix(values, lambda x: build.sum_over(build.multiply(x, 1.1), 1))
    assert check(case, _off(0.5)).fault == ""  # type: ignore[arg-type]
    whole = np.arange(1, 101).astype(np.float32)
    verdict = check(
        _matrix(whole, lambda x: build.floor(build.multiply(build.divide(x, 0.3), 0.3)))
    )
    assert verdict.fault == "" and verdict.compared < 60


def test_a_failing_program_is_made_small() -> None:
    """A program is wrong where it sorts: one sorting operation of an input is left."""

    def fails(case: Case) -> bool:
        return any(
            node.op is Op.ARGSORT
            for node in topological([node for node, _ in case.results])
        )

    seed = next(
        seed
        for seed in range(10_000)
        if fails(random_case(seed)) and random_case(seed).size > 8
    )
    small = shrunk(random_case(seed), fails)
    assert small.size == 1 and len(small.results) == 1 and small.order == 0
    assert "build.argsort(x0, axis=" in small.code()


def test_the_text_of_a_program_runs_by_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in (3, 5, 8, 13):
        exec(random_case(seed).code(), {})
    assert len(capsys.readouterr().out.splitlines()) == 8  # two engines each


def test_a_crash_and_an_endless_loop_have_a_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolate, "_SECONDS", 2.0)

    def make(seed: int) -> Case:
        if seed == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if seed == 4:
            time.sleep(60)
        if seed == 5:
            raise ValueError("no such program")
        return _matrix(np.ones(3), build.negate)

    found = {outcome.seed: outcome.verdict for outcome in verdicts(range(7), make)}
    assert list(found) == list(range(7))
    assert found[2].fault == "crashes: SIGSEGV" and found[4].fault.startswith(
        "hangs: no answer for 2 seconds"
    )
    assert found[5].fault == "building raises ValueError: no such program"
    assert {found[seed] for seed in (0, 1, 3, 6)} == {Verdict("", 3, 3)}


def test_terms_that_cancel_in_derivatives_of_torch_are_no_fault() -> None:
    """1/d − |x|/d² instead of 1/d² in the derivative of x/d, d = 1 + |x|: 10⁻¹⁹ has no digit of 10⁻³⁸."""
    x = build.input_node("x", (64,))
    w = build.input_node("w", (64,))
    values = np.linspace(1e17, 1e18, 64, dtype=np.float32)
    given = {x: values, w: np.ones(64, np.float32)}
    case = Case(given, [(f.softsign(x), w)], wrt=[x], order=1)
    exact = 1 / (1 + np.abs(values.astype(np.float64))) ** 2
    torch_slope = in_torch(case)[-1]
    assert (np.abs(torch_slope - exact) > 0.5 * exact).any()
    assert not check(case).fault
    assert "torch" not in check(case, _off(1e-4)).fault


def test_quotients_with_an_exact_zero_may_be_dropped() -> None:
    """A compiled program has 0 for 0/0 where the first zero pads an array without elements; nothing else passes."""
    x, y = build.input_node("x", (3, 0)), build.input_node("y", (3, 2))
    padded = build.pad(x, low=(0, 1), high=(0, 1), interior=(0, 0))
    values = {
        x: np.zeros((3, 0), np.float32),
        y: np.array([[0, 1], [-0.0, np.inf], [np.nan, 2]], np.float32),
    }
    case = Case(values, [(build.divide(padded, y), None)], special=True)
    assert not check(case).fault

    def off(case: Case, outputs: list[Node]) -> list[Array]:
        found = [np.array(x) for x in ENGINES["reference"](case, outputs)]
        found[0][0, 1] = 1  # 0/1
        return found

    assert "native, output 0" in check(case, {"native": off}).fault
