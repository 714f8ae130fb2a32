"""Write docs/learners: one page for each learner, with formula, use, cost, a figure and its derivation.

Summaries, parameters and examples come from the learners themselves, derivations are proved when they are made.

usage: python tools/learners_pages.py [--check] [--figures] [name …]
    --check    write nothing and fail where a page is out of date or a figure is missing
    --figures  draw the figures anew as well (minutes); with names, those alone
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path

from learners_figures import FIGURES
from learners_texts import PAGES, Page
from learners_texts.page import linked
from learners_texts.parameters import documented_parameters, meaning

from deltarule import learners

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "learners"
PARTS = (
    "Formula",
    "When to use it",
    "Cost",
    "Derivation",
    "Parameters",
    "Example",
    "See also",
)


def _wrapped(prose: str) -> str:
    """Break long lines; tables stay as they are."""
    lines = prose.split("\n")
    return "\n".join(
        line
        if line.startswith("|")
        else textwrap.fill(line, 120, break_on_hyphens=False, break_long_words=False)
        for line in lines
    )


def _first_example(document: str) -> str:
    """Return the first example of a docstring, or nothing."""
    lines = inspect.cleandoc(document).splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(">>>")]
    if not starts:
        return ""
    rest = lines[starts[0] :]
    return "\n".join(rest[: rest.index("")] if "" in rest else rest)


def example(page: Page) -> str:
    """Return lines that run as they stand: the imports, then the docstring's example."""
    found = _first_example(getattr(learners, page.learner).__doc__ or "")
    if not found:
        raise SystemExit(f"{page.learner}: no example in its docstring")
    numpy = (
        [">>> import numpy as np"]
        if "np." in found and "import numpy" not in found
        else []
    )
    return "\n".join(
        [*numpy, f">>> from deltarule.learners import {page.learner}", found]
    )


def parameters(page: Page) -> str:
    """Return the parameters with defaults and meanings, as a table."""
    kind = getattr(learners, page.learner)
    signature = dict(inspect.signature(kind).parameters)
    order = list(documented_parameters(kind)) or list(signature)
    rows = []
    for name in sorted(signature, key=order.index):
        one = signature[name]
        default = "" if one.default is one.empty else f"`{one.default!r}`"
        said = meaning(page, name).replace("|", "\\|")
        rows.append(f"| `{name}` | {default} | {said} |")
    return (
        "\n".join(["| parameter | default | meaning |", "|---|---|---|", *rows])
        if rows
        else "It takes none."
    )


def derivation(page: Page) -> list[str]:
    """Return every derivation of a page with its proof.

    Raises:
        SystemExit: one is not proved.
    """
    parts = []
    for what, derive in page.derivations:
        text = re.sub(
            r"largest relative error.*",
            "every error below 10⁻⁶",
            str(derive()),
            flags=re.DOTALL,
        )
        if "NOT proved" in text or "proved: " not in text:
            raise SystemExit(f"{page.learner}: {what} is not proved")
        parts += [_wrapped(f"{what}:"), f"```text\n{text}\n```"]
    return parts


def summary(page: Page) -> str:
    """Return the first paragraph of the docstring, which ends with its sources."""
    document = inspect.cleandoc(getattr(learners, page.learner).__doc__ or "")
    return " ".join(document.split("\n\n", 1)[0].split()).replace("``", "`")


def text(page: Page) -> str:
    """Return a page."""
    formula, use, cost, proof, given, shown, see = (f"## {part}" for part in PARTS)
    parts = [
        f"# {page.learner}",
        "[All learners](../learners.md). Made by `python tools/learners_pages.py`.",
        _wrapped(summary(page)),
        formula,
        _wrapped(linked(page.formula)),
        use,
        _wrapped(linked(page.use)),
        _wrapped(linked(f"**When not.** {page.avoid}")),
        cost,
        _wrapped(linked(page.cost)),
        f"![{page.learner}](figures/{page.file}.svg)",
        _wrapped(f"*{page.figure}*"),
        proof,
        *derivation(page),
        given,
        parameters(page),
        shown,
        f"```pycon\n{example(page)}\n```",
        see,
        _wrapped(linked(" · ".join(f"[[{name}]]" for name in page.see))),
    ]
    return "\n\n".join(parts) + "\n"


def _stale() -> list[str]:
    """Return what is out of date: pages that differ, figures that are missing, files of learners that are gone."""
    files = {page.file for page in PAGES}
    held = {
        path.stem
        for pattern in ("*.md", "figures/*.svg")
        for path in FOLDER.glob(pattern)
    }
    differing = [
        page.file
        for page in PAGES
        if not (path := FOLDER / f"{page.file}.md").exists()
        or path.read_text(encoding="utf-8") != text(page)
        or not (FOLDER / "figures" / f"{page.file}.svg").exists()
    ]
    return differing + sorted(held - files)


def main() -> int:
    """Write the pages, or with --check compare them."""
    if "--check" in sys.argv[1:]:
        stale = _stale()
        if stale:
            sys.stderr.write(
                f"out of date: {', '.join(stale)}; run python tools/learners_pages.py\n"
            )
        return 1 if stale else 0
    names = {name for name in sys.argv[1:] if not name.startswith("-")}
    (FOLDER / "figures").mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        if names and page.file not in names:
            continue
        (FOLDER / f"{page.file}.md").write_text(text(page), encoding="utf-8")
        figure = FOLDER / "figures" / f"{page.file}.svg"
        if "--figures" in sys.argv[1:] or not figure.exists():
            figure.write_text(FIGURES[page.file](), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
