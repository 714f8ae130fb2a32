"""The memory plan against what the operating system counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Grows by what the program takes: the pages of a process before its state is loaded, and after two steps.
_MEASURE = """
import json, os, sys
import numpy as np
from deltarule.cli.commands.bench import build_step
from deltarule.cli.workloads import WORKLOADS
from deltarule.runtime.devices import backend

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

workload = WORKLOADS[sys.argv[1]]
arrays = workload.data(2 * workload.batch_size, np.random.default_rng(0))
step, state = build_step(workload, arrays)
runner = backend("cpu").compile_step(step.program, 2)
before = resident()
runner.load(state)
runner.run(arrays, np.arange(2 * workload.batch_size), 0, 0)
print(json.dumps([runner.plan.nbytes, resident() - before]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["W3", "W4", "W7", "W8"])
def test_the_plan_is_what_a_step_takes(name: str) -> None:
    # Code from the cache takes its pages when it first runs, and the C library may give out what compiling freed.
    environment = {
        **os.environ,
        "DELTARULE_CACHE": "off",
        "MALLOC_MMAP_THRESHOLD_": "131072",
    }
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, name],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert not done.returncode, done.stderr
    planned, grown = json.loads(done.stdout)
    assert grown == pytest.approx(planned, rel=0.1)
