"""Many programs in processes of their own: a crash, an endless loop or a flood of memory has a seed, too."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from support.fuzz.case import Case
from support.fuzz.check import ENGINES, Engine, Verdict, check
from support.fuzz.graphs import random_case
from support.fuzz.shrink import failing, shrunk
from support.oracles import torch

_SECONDS = 60.0  # for one program; a usual one takes 0.05
_BYTES = 6 * 2**30


@dataclass(frozen=True)
class Outcome:
    """What came of a seed."""

    seed: int
    verdict: Verdict


def verdicts(
    seeds: Sequence[int],
    make: Callable[[int], Case] = random_case,
    engines: Mapping[str, Engine] = ENGINES,
) -> Iterator[Outcome]:
    """Check the programs of these seeds in order, in a child process; a new one takes over after a crash."""
    rest = list(seeds)
    while rest:
        done = 0
        for answer in _answers(
            partial(map, partial(_plain, make=make, engines=engines), rest)
        ):
            outcome = Outcome(
                rest[done], answer if isinstance(answer, Verdict) else Verdict(answer)
            )
            done += 1
            yield outcome
        rest = rest[done:]


def fault(case: Case, engines: Mapping[str, Engine] = ENGINES) -> str:
    """Return what is wrong with one program, crashes included."""
    for answer in _answers(lambda: iter([_checked(case, engines)])):
        return answer.fault if isinstance(answer, Verdict) else answer
    return ""


def smallest(case: Case, engines: Mapping[str, Engine] = ENGINES) -> Case:
    """Return a small program with a fault of the same kind (a crash stays a crash)."""
    kind = _kind(fault(case, engines))
    return shrunk(case, failing(lambda smaller: _kind(fault(smaller, engines)) == kind))


def _kind(text: str) -> str:
    return " ".join(text.split()[:1])


def _checked(case: Case, engines: Mapping[str, Engine]) -> Verdict:
    try:
        return check(case, engines)
    except Exception as error:  # what the oracle refuses is a fault of these tests
        return Verdict(f"test raises {type(error).__name__}: {str(error)[:400]}")


def _plain(
    seed: int, make: Callable[[int], Case], engines: Mapping[str, Engine]
) -> Verdict:
    try:
        case = make(seed)
    except Exception as error:
        return Verdict(f"building raises {type(error).__name__}: {str(error)[:400]}")
    return _checked(case, engines)


def _answers(work: Callable[[], Iterator[Verdict]]) -> Iterator[Verdict | str]:
    """Run work in a child and yield its verdicts; if the child ends early or hangs, a last text says how."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forks beside other threads, which do nothing here
        child = os.fork()
    if child == 0:
        _child(work, reading, writing)
    os.close(writing)
    received, whole = b"", False
    try:
        while True:
            ready, _, _ = select.select([reading], [], [], _SECONDS)
            if not ready:
                yield f"hangs: no answer for {_SECONDS:.0f} seconds"
                return
            piece = os.read(reading, 2**16)
            if not piece:
                break
            *lines, received = (received + piece).split(b"\n")
            for line in lines:
                whole = line == b"done"
                if not whole:
                    yield Verdict(**json.loads(line))
    finally:
        os.close(reading)
        status = _ended(child)
    if not whole:
        yield f"crashes: {_told(status)}"


def _child(work: Callable[[], Iterator[Verdict]], reading: int, writing: int) -> Any:
    """Do the work, write a line for each verdict, and leave without the parent's cleaning up."""
    try:
        os.close(reading)
        faulthandler.disable()  # a crash is reported by the parent
        os.environ["DELTARULE_CACHE"] = "off"
        os.environ["DELTARULE_VERIFY"] = "1"
        torch.set_num_threads(1)
        _limit_memory()
        for verdict in work():
            os.write(writing, json.dumps(verdict.__dict__).encode() + b"\n")
        os.write(writing, b"done\n")
    finally:
        os._exit(0)


def _limit_memory() -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():  # Linux
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _BYTES, used + _BYTES))


def _ended(child: int) -> int:
    """Return the status of a child that has ended, or is ended now."""
    for _ in range(100):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _told(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.WEXITSTATUS(status)}"
