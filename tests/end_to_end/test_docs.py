"""The examples of the pages run as they stand, in order, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    page.name
    for page in DOCS.glob("*.md")
    if "```python" in page.read_text(encoding="utf-8")
)


def test_all_pages_with_programs_are_run() -> None:
    assert {
        "architecture.md",
        "data.md",
        "exchange.md",
        "generative.md",
        "learners.md",
        "numbers.md",
        "students.md",
        "tables.md",
        "teachers.md",
    } <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL
    )
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    written: dict[str, set[str]] = {
        "data.md": {"long", "long.csv"},
        "tables.md": {"flats.csv", "new.csv"},
        "exchange.md": {"model.onnx", "gradient.onnx", "weights.safetensors"},
        "teachers.md": {
            "key.tex",
            "midterm-canvas.zip",
            "midterm-qti.zip",
            "midterm.gift",
            "midterm.xml",
            "sheets.html",
            "sheets.tex",
        },
    }
    assert {path.name for path in tmp_path.iterdir()} == written.get(page, set())
