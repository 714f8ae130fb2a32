"""A plugin of pytest: collecting has imported no PyTorch, not even through a table of cases that looks it up."""

from __future__ import annotations

import sys

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a collection that has imported PyTorch."""
    if "torch" in sys.modules:
        raise pytest.UsageError("collecting imports torch: see support.oracles")
