"""Processes forked while other threads compile and compute: the child does the same and does not hang."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from deltarule.backends.native.program.threads import Team
from deltarule.runtime import devices

CHILDREN = 6
SCRIPT = """
import itertools, os, signal, sys, threading, time
import numpy as np
import deltarule as dr
from deltarule import nn

x = np.ones((192, 192), "f4")
product = dr.jit(lambda a: (a @ a).sum())
reference = dr.jit(lambda a: (a * a).sum() + dr.exp(dr.arange(9000) * 1e-9).sum(), device="reference")
fresh = itertools.count(os.getpid() * 1000)

def compiles():
    number = 1 / next(fresh)
    assert abs(dr.jit(lambda a: (a * number).sum())(np.full(8, 2.0)).item() - 16 * number) < 1e-12

def fits():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    model.fit(x[:64, :4], np.arange(64) % 2, loss="cross_entropy", epochs=1, threads=2, verbose=0)

def multiplies():
    assert product(x).item() == 192.0**3

def interprets():
    assert abs(reference(x).item() - 192**2 - 9000) < 1

jobs = {"compiles": compiles, "fits": fits, "multiplies": multiplies, "interprets": interprets}

def forever(job):
    while True:
        job()

for job in jobs.values():
    job()
    threading.Thread(target=forever, args=(job,), daemon=True).start()
bad = []
for delay in range(int(sys.argv[1])):
    time.sleep(delay * 0.003)
    child = os.fork()
    if child == 0:
        signal.alarm(40)
        try:
            for job in jobs.values():
                job()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    bad.append(os.waitpid(child, 0)[1])
print(bad, flush=True)
os._exit(any(bad))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
def test_children_forked_in_the_midst_of_work_compute():
    ended = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            SCRIPT,
            str(CHILDREN),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
@pytest.mark.parametrize("holder", ["team", "programs"])
def test_a_lock_held_by_a_thread_of_the_parent_is_free_in_the_child(holder):
    team = Team(2)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with team._lock if holder == "team" else devices._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(
            int(team._lock.locked() or devices._lock.locked() or bool(team._workers))
        )
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0
