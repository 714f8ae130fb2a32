"""The examples of the pages run as they stand, in order, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["data.md", "exchange.md", "many-models.md", "numbers.md"])
def test_the_examples_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    written: dict[str, set[str]] = {
        "data.md": {"long", "long.csv"},
        "exchange.md": {"model.onnx", "gradient.onnx", "weights.safetensors"},
        "many-models.md": set(),
        "numbers.md": set(),
    }
    assert {path.name for path in tmp_path.iterdir()} == written[page]
