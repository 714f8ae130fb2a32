"""Check the Python of README, docs and examples with mypy --strict and pyright, as an editor does for a reader.

Every page becomes a module of its blocks in order, in a folder of its own; ``make types`` runs it.

Usage: typed_pages.py [FOLDER]      keep the modules in FOLDER
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Return README and all pages of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def module(page: Path) -> str:
    """Return the blocks of a page in order; lines of other text become blank, so that line numbers are the page's."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for i, line in enumerate(block[1].splitlines()):
            lines[first + i] = line
    return "\n".join(lines) + "\n"


def write(folder: Path) -> list[Path]:
    """Write a module for each page that holds Python, and return their paths."""
    written = []
    for page in pages():
        text = module(page)
        if text.strip():
            name = (
                "_".join(page.relative_to(ROOT).with_suffix("").parts)
                .replace("-", "_")
                .lower()
            )
            written.append(folder / f"page_{name}.py")
            written[-1].write_text(text, encoding="utf-8")
    return written


def main() -> int:
    """Write the modules, run both checkers, and return whether one found a fault."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = [*write(folder), *sorted((ROOT / "examples").rglob("*.py"))]
        names = [str(file) for file in files]
        options = [
            "--strict",
            "--allow-redefinition",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--cache-dir",
            str(ROOT / ".mypy_cache"),
        ]
        failed = subprocess.run(
            [sys.executable, "-m", "mypy", *options, *names], check=False
        ).returncode
        python = ["--pythonpath", sys.executable, "--level", "error"]
        failed |= subprocess.run(
            [sys.executable, "-m", "pyright", *python, *names], check=False
        ).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
