"""Write docs/notes-map.md: for every item of the course notes, the tests that cover it and the names they use.

Tests say what they cover by ``@pytest.mark.notes("ACT-11", "C-OPT-03")``; this script reads the marks, and the names
of the library that a marked test uses, from the source of the tests. It runs no test.

usage: python tools/notes_map.py [--check]      --check writes nothing and fails where the page is out of date
"""

from __future__ import annotations

import ast
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ITEMS = ROOT / "tools" / "notes_items.csv"
PAGE = ROOT / "docs" / "notes-map.md"
PACKAGE = "deltarule"
MOST_NAMES = 6

CHAPTERS = {
    "LA": "Linear algebra and matrix calculus",
    "PR": "Probability",
    "DA": "Data",
    "CM": "Classical models",
    "NN": "Networks",
    "ACT": "Activations",
    "OUT": "Outputs and losses",
    "BP": "Backpropagation",
    "INI": "Initialisation",
    "OPT": "Optimisers",
    "REG": "Regularisation",
    "NRM": "Normalisation",
    "ENS": "Ensembles and dropout",
    "TRF": "Transfer and multitask learning",
    "CNN": "Convolutional networks",
    "POOL": "Pooling",
    "KER": "Kernels",
    "AE": "Autoencoders",
    "VI": "Variational inference",
    "ONL": "Online statistics",
    "DIA": "Diagnosis",
    "THY": "Theory",
    "LSE": "Log-sum-exp",
    "E000": "Corrections to the first notes",
    "E001": "Corrections to the second notes",
    "E002": "Corrections to the third notes",
    "E003": "Corrections to the fourth notes",
    "E004": "Corrections to the fifth notes",
    "X": "Conventions where the notes disagree",
}


@dataclass(frozen=True)
class Mark:
    """One id on one test, with the names of the library that the test uses."""

    item: str
    test: str
    names: tuple[str, ...]


def marked_ids(node: ast.AST) -> list[str]:
    """Return the ids of all ``….mark.notes("…")`` calls in a piece of source."""
    ids: list[object] = []
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.notes"):
            ids += [
                argument.value
                for argument in call.args
                if isinstance(argument, ast.Constant)
            ]
    return [str(item) for item in ids]


def imports(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name of a test file stands for: ``dr`` → ``deltarule``."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                alias.asname or alias.name.split(".")[0]: alias.name
                for alias in node.names
                if alias.asname
            }
            found |= {
                alias.name.split(".")[0]: alias.name.split(".")[0]
                for alias in node.names
                if not alias.asname
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}"
                for alias in node.names
            }
    return {name: path for name, path in found.items() if path.split(".")[0] == PACKAGE}


def used_names(
    node: ast.AST, known: dict[str, str], helpers: dict[str, ast.AST], seen: set[str]
) -> Iterator[str]:
    """Yield the library's names in a piece of source, and in the helpers of its file that it calls."""
    inner: set[int] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and id(part) not in inner:
            root, _, rest = ast.unparse(part).partition(".")
            if rest.replace(".", "").isidentifier():
                inner |= {id(child) for child in ast.walk(part)}
                if root in known:
                    yield public(f"{known[root]}.{rest}")
        elif isinstance(part, ast.Name) and id(part) not in inner:
            if part.id in known:
                yield public(known[part.id])
            elif part.id in helpers and part.id not in seen:
                seen.add(part.id)
                yield from used_names(helpers[part.id], known, helpers, seen)


def public(path: str) -> str:
    """Return a name as a reader writes it: the package left out, two parts at most; errors are no subject."""
    parts = [part for part in path.split(".")[1:] if not part.startswith("_")]
    if parts[:1] == ["errors"]:
        return ""
    kept = parts[
        : next(
            (i + 1 for i, part in enumerate(parts) if part[:1].isupper()), len(parts)
        )
    ]
    return ".".join(kept[-2:] if len(kept) > 2 else kept)


def marks_of(path: Path) -> list[Mark]:
    """Return the marks of one file of tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = imports(tree)
    helpers: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            helpers[node.name] = node
        elif isinstance(node, ast.Assign):
            helpers |= {
                target.id: node.value
                for target in node.targets
                if isinstance(target, ast.Name)
            }
    found: list[Mark] = []
    where = path.relative_to(ROOT).as_posix()
    for node in tree.body:
        classed = (
            marked_ids_of_decorators(node) if isinstance(node, ast.ClassDef) else []
        )
        tests = node.body if isinstance(node, ast.ClassDef) else [node]
        for test in tests:
            if isinstance(test, ast.FunctionDef):
                ids = classed + marked_ids_of_decorators(test)
                names = tuple(
                    sorted(set(used_names(test, known, helpers, set())) - {""})
                )
                found += [Mark(item, f"{where}::{test.name}", names) for item in ids]
        if isinstance(node, (ast.Assign, ast.Expr)):
            names = tuple(sorted(set(used_names(node, known, helpers, set())) - {""}))
            found += [Mark(item, where, names) for item in marked_ids(node)]
    return found


def marked_ids_of_decorators(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    """Return the ids in the decorators of a test or of a class of tests."""
    return [item for decorator in node.decorator_list for item in marked_ids(decorator)]


def collect() -> list[Mark]:
    """Return the marks of all tests."""
    return [
        mark
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for mark in marks_of(path)
    ]


def items() -> dict[str, str]:
    """Return the titles of all items by id, in the order of the notes."""
    with ITEMS.open(encoding="utf-8", newline="") as stream:
        return {row["id"]: row["title"] for row in csv.DictReader(stream)}


def page(titles: dict[str, str], marks: list[Mark]) -> str:
    """Return the whole page."""
    by_item: dict[str, list[Mark]] = {}
    for mark in marks:
        by_item.setdefault(mark.item, []).append(mark)
    kinds = [
        ("items", is_item),
        ("cases with numbers", is_case),
        ("corrections and conventions", is_correction),
    ]
    counts = [
        f"{sum(kind(item) for item in by_item)} of {sum(kind(item) for item in titles)} {what}"
        for what, kind in kinds
    ]
    lines = [
        "# Where the course notes are tested",
        "",
        "Written by `make docs` from the marks of the tests; do not edit. Ids with `C-` are worked cases; ids with",
        "`E0` are corrections, which the library follows where the notes are wrong.",
        "",
        f"Tested: {', '.join(counts)}.",
    ]
    for prefix, group in groupby(titles, key=lambda item: item.rpartition("-")[0]):
        lines += [
            "",
            f"## {heading(prefix)}",
            "",
            "| id | what | tests | names |",
            "|---|---|---|---|",
        ]
        lines += [row(item, titles[item], by_item.get(item, [])) for item in group]
    return "\n".join(lines) + "\n"


def is_case(item: str) -> bool:
    """Tell whether an id is a worked case."""
    return item.startswith("C-")


def is_correction(item: str) -> bool:
    """Tell whether an id is a correction of the notes, or a convention where they disagree."""
    return item.startswith(("E00", "X-"))


def is_item(item: str) -> bool:
    """Tell whether an id is an item of the notes."""
    return not is_case(item) and not is_correction(item)


def heading(prefix: str) -> str:
    """Return the heading of a family of ids."""
    return (
        f"Cases: {CHAPTERS[prefix[2:]].lower()} ({prefix})"
        if prefix[:2] == "C-"
        else f"{CHAPTERS[prefix]} ({prefix})"
    )


def row(item: str, title: str, marks: list[Mark]) -> str:
    """Return one line of a table."""
    tests = sorted({mark.test for mark in marks})
    links = [
        f"[{Path(test.split('::')[0]).stem}::{test.split('::')[-1]}](../{test.split('::')[0]})"
        for test in tests
    ]
    names = sorted({name for mark in marks for name in mark.names})
    shown = [f"`{name}`" for name in names[:MOST_NAMES]] + (
        ["…"] if len(names) > MOST_NAMES else []
    )
    return f"| {item} | {title.replace('|', '∣')} | {'<br>'.join(links) or '–'} | {', '.join(shown)} |"


def links(text: str) -> list[str]:
    """Return a page's lines without the last column: which tests cover what.

    The names that a test uses change with every edit of it; they are refreshed with the page but do not outdate it.
    """
    return [
        line.removesuffix(" |").rpartition(" | ")[0] or line
        for line in text.splitlines()
    ]


def main() -> int:
    """Write the page, or compare it."""
    titles, marks = items(), collect()
    unknown = sorted(
        {f"{mark.item} in {mark.test}" for mark in marks if mark.item not in titles}
    )
    if unknown:
        print("ids that the notes do not have:\n  " + "\n  ".join(unknown))
        return 1
    text = page(titles, marks)
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or links(PAGE.read_text(encoding="utf-8")) != links(text):
            print(f"{PAGE.relative_to(ROOT)} is out of date: run make docs")
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
