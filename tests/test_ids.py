"""The ids of tests and their order are always the same: workers that collect apart from each other must agree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def _unnamed(item: pytest.Item) -> bool:
    """Return whether an id holds bytes that pytest wrote out because nobody named the parameter."""
    parameters = (
        item.callspec.params.values()
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else ()
    )
    escaped = [
        repr(value)[2:-1]
        for value in parameters
        if isinstance(value, bytes) and not value.isalnum()
    ]
    return any(text and text[:8] in item.name for text in escaped)


def test_no_id_is_made_of_bytes_or_addresses(request: pytest.FixtureRequest) -> None:
    """Bytes may hold a clock (gzip) or the order of a set, and addresses differ in each process: both need names."""
    wrong = [
        item.nodeid
        for item in request.session.items
        if _unnamed(item) or ADDRESS.search(item.name)
    ]
    assert not wrong, f"give these parameters ids of their own: {wrong}"


def _collected(seed: str, *options: str) -> list[str]:
    """Return the ids that a fresh process collects, slow tests included."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        *options,
        "-m",
        "slow or not slow",
        str(ROOT / "tests"),
        str(ROOT / "src"),
    ]
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.slow
def test_two_collections_agree() -> None:
    first = _collected("1", "-p", "support.no_torch")
    second = _collected("2", "-p", "support.other_clock")
    assert len(first) > 5_000
    assert [
        pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]
    ] == []
    assert len(first) == len(second) == len(set(first))
