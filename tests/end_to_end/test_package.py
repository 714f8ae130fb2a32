"""What is packed: every source file, none hidden from the builder by .gitignore."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="not a git checkout",
)
def test_no_source_file_is_ignored() -> None:
    """The wheel's builder leaves out what .gitignore names, even when git keeps it."""
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert (
        subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        == ""
    )
