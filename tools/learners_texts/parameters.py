"""What the parameters of the learners mean: the section ``Args:`` of their docstrings."""

from __future__ import annotations

import inspect

from deltarule import learners
from learners_texts.page import Page


def meaning(page: Page, name: str) -> str:
    """Return what a parameter of a learner means.

    Raises:
        SystemExit: it is not documented.
    """
    found = documented_parameters(getattr(learners, page.learner)).get(name)
    if found is None:
        raise SystemExit(f"{page.learner}: document the parameter {name}")
    return found


def documented_parameters(kind: type) -> dict[str, str]:
    """Return the parameters of the section ``Args:`` of a class, each with its description in Markdown."""
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    if "Args:" not in lines:
        return {}
    found: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Args:") + 1 :]:
        if not line.startswith("    "):
            break
        if line.startswith("        "):
            found[name] += f" {line.strip()}"
        else:
            name, _, text = line.strip().partition(": ")
            found[name] = text
    return {name: text.replace("``", "`") for name, text in found.items()}
