"""Insert what the benchmarks printed into docs/performance.md: ``python benchmarks/page.py``.

Below each command of the page that writes a file of benchmarks/results, the output is replaced by that file: a block of
text by the text, a Markdown table by the table.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
_OUTPUT = re.compile(
    r"(?P<command>```sh\n[^\n]* > (?P<file>benchmarks/results/\w+\.md)\n```\n\n)"
    r"(?P<output>```text\n.*?\n```|(?:[^\n#`][^\n]*\n\n)?\|.*?\n(?=\n(?!Geometric)))",
    re.DOTALL,
)


def with_results(page: str) -> str:
    """Return the page with the present results below their commands."""

    def replaced(found: re.Match[str]) -> str:
        text = (ROOT / found["file"]).read_text(encoding="utf-8").rstrip()
        if found["output"].startswith("```"):
            text = f"```text\n{text}\n```"
        else:
            text += "\n"
        return found["command"] + text

    return _OUTPUT.sub(replaced, page)


if __name__ == "__main__":
    PAGE.write_text(with_results(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
