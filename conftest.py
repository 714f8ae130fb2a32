"""Every test and doctest starts with the default seed 0, whatever networks were built before."""

from __future__ import annotations

import pytest

from deltarule import manual_seed


@pytest.fixture(autouse=True)
def default_seed() -> None:
    """Count networks from 0, so that initial weights do not depend on the order of tests."""
    manual_seed(0)
