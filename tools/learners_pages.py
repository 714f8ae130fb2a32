"""Write docs/learners: one page for each family of learners, with formula, use, cost, figure and derivation.

Signatures, summaries and examples come from the learners themselves, derivations are proved when they are made.

usage: python tools/learners_pages.py [--check] [--figures]
    --check    write nothing and fail where a page is out of date
    --figures  draw the figures anew as well (a minute)
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path

from learners_figures import FIGURES
from learners_texts import PAGES, Page

from deltarule import learners

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "learners"


def _wrapped(prose: str) -> str:
    """Break long lines; tables stay as they are."""
    lines = prose.split("\n")
    return "\n".join(
        line if line.startswith("|") else textwrap.fill(line, 120, break_on_hyphens=False) for line in lines
    )


def _example(document: str) -> str:
    """Return the first example of a docstring, or nothing."""
    lines = inspect.cleandoc(document).splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(">>>")]
    if not starts:
        return ""
    rest = lines[starts[0] :]
    return "\n".join(rest[: rest.index("")] if "" in rest else rest)


def _learner(name: str) -> str:
    """Return a learner's part: its own first sentence, its parameters, its example."""
    kind = getattr(learners, name)
    document = inspect.cleandoc(kind.__doc__ or "")
    summary = " ".join(document.split("\n\n", 1)[0].split())
    parameters = [
        f"`{p.name}`" if p.default is p.empty else f"`{p.name}={p.default!r}`"
        for p in list(inspect.signature(kind.__init__).parameters.values())[1:]
    ]
    parts = [f"### {name}", _wrapped(summary), _wrapped("Parameters: " + ", ".join(parameters) + ".")]
    example = _example(kind.__doc__ or "")
    if example:
        parts.append(f"```pycon\n{example}\n```")
    return "\n\n".join(parts)


def _derivation(page: Page) -> list[str]:
    parts = ["## Derivation"] if page.derivations else []
    for what, derive in page.derivations:
        text = re.sub(r"largest relative error.*", "every error below 10⁻⁶", str(derive()), flags=re.DOTALL)
        if "NOT proved" in text:
            raise SystemExit(f"{page.file}: {what} is not proved")
        parts += [f"{what}:", f"```text\n{text}\n```"]
    return parts


def text(page: Page) -> str:
    """Return a page."""
    parts = [
        f"# {page.title}", "[All learners](../learners.md). Made by `python tools/learners_pages.py`.",
        "## Formula", _wrapped(page.formula), "## When to use it", _wrapped(page.use), "## Cost", _wrapped(page.cost),
        f"![{page.title}](figures/{page.file}.svg)", f"*{page.figure}*", *_derivation(page),
    ]  # fmt: skip
    if page.learners:
        parts += ["## Learners", *map(_learner, page.learners)]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write the pages, or with --check compare them."""
    stale = []
    (FOLDER / "figures").mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        path = FOLDER / f"{page.file}.md"
        wanted = text(page)
        if "--check" in sys.argv[1:]:
            stale += [] if path.exists() and path.read_text(encoding="utf-8") == wanted else [page.file]
            continue
        path.write_text(wanted, encoding="utf-8")
        figure = FOLDER / "figures" / f"{page.file}.svg"
        if "--figures" in sys.argv[1:] or not figure.exists():
            figure.write_text(FIGURES[page.file](), encoding="utf-8")
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python tools/learners_pages.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
