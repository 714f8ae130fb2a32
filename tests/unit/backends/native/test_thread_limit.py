"""DELTARULE_THREADS and OMP_NUM_THREADS: how many threads the engine takes by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from deltarule.backends.native.llvm.machine import thread_limit
from deltarule.errors import ArgumentError

WORK = """
import json, threading, sys
import numpy as np
from deltarule import nn
from deltarule.backends.native.llvm.machine import core_count
from deltarule.backends.native.program import codegen
seen = []
kept = codegen.ProgramBuilder.__init__
def noting(self, *args, **kwargs):
    kept(self, *args, **kwargs)
    seen.append(self.threads)
codegen.ProgramBuilder.__init__ = noting
model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512))
x = np.zeros((512, 512), np.float32)
threads = json.loads(sys.argv[1])
model.fit(x, x, loss="mean_squared_error", epochs=1, batch_size=256, verbose=0, threads=threads)
print(json.dumps([core_count(), max(seen)]))
"""


@pytest.mark.parametrize(
    ("environment", "limit"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({"DELTARULE_THREADS": "2", "OMP_NUM_THREADS": "1"}, 2),
        ({"DELTARULE_THREADS": " 5 "}, 5),
        ({"DELTARULE_THREADS": ""}, None),
    ],
)
def test_what_the_environment_allows(environment, limit):
    assert thread_limit(environment) == limit


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "two", "²"])
def test_a_limit_of_ours_that_is_no_number_is_told(text):
    with pytest.raises(ArgumentError, match="DELTARULE_THREADS"):
        thread_limit({"DELTARULE_THREADS": text})


@pytest.mark.parametrize("name", ["DELTARULE_THREADS", "OMP_NUM_THREADS"])
def test_the_engine_keeps_to_the_limit_unless_it_is_told_a_number(name, tmp_path):
    """The program of a step large enough for several threads has one; ``threads`` goes before the environment."""
    rest = {
        key: value
        for key, value in os.environ.items()
        if key not in {"DELTARULE_THREADS", "OMP_NUM_THREADS"}
    }
    environment = {**rest, name: "1", "DELTARULE_CACHE": str(tmp_path)}

    def run(threads):
        found = subprocess.run(
            [sys.executable, "-c", WORK, json.dumps(threads)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(found.stdout)

    assert run(None) == [1, 1]
    assert run(2)[1] == 2
