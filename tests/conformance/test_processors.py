"""Documented values are the same on every processor: OpenBLAS rounds differently in the kernels of each one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
X86 = platform.machine().lower() in {"x86_64", "amd64"}


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="the kernels named here are those of x86-64")
@pytest.mark.parametrize("kernel", ["Prescott", "Haswell", "SkylakeX", "Zen"])
def test_doctests_pass_with_the_kernels_of_other_processors(kernel: str) -> None:
    """A zero of either sign, or the last digit of a product, must not stand in an example."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(ROOT / "src"), str(ROOT / "tests" / "golden")],
        env={**os.environ, "OPENBLAS_CORETYPE": kernel},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
