"""Chunks of programs, checked by several processes: functions that another process can import."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial

from deltarule.backends.native.llvm.machine import host
from support.fuzz.check import ENGINES, Engine, native
from support.fuzz.isolate import Outcome, verdicts

CHUNK = 200


def engines_of(machine: str) -> dict[str, Engine]:
    """Return the engines, with native code for a lesser machine if one is named."""
    return (
        {**ENGINES, "native": partial(native, machine=host(machine))}
        if machine
        else dict(ENGINES)
    )


def _check(seeds: range, machine: str) -> list[Outcome]:
    return list(verdicts(seeds, engines=engines_of(machine)))


def checked(
    first: int, graphs: int, jobs: int, machine: str
) -> Iterator[list[Outcome]]:
    """Yield the outcomes of programs, chunk by chunk in the order of their seeds."""
    parts = [
        range(at, min(at + CHUNK, first + graphs))
        for at in range(first, first + graphs, CHUNK)
    ]
    if jobs == 1:
        yield from map(partial(_check, machine=machine), parts)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(partial(_check, machine=machine), parts)
