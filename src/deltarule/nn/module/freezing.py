"""Freezing: which parameters are kept as they are, by name or pattern."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from deltarule.errors import ArgumentError

if TYPE_CHECKING:
    from deltarule.nn.module.tree import Tree


def freeze(module: Tree, patterns: Sequence[str], *, frozen: bool) -> None:
    """Mark (or unmark) the parameters that some pattern names; a module's name stands for all that is in it."""
    owners = {
        f"{path}.{name}" if path else name: (owner, name)
        for path, owner in module.named_modules()
        for name, item in owner.own_tensors()
        if item.requires_grad
    }
    chosen = {
        path
        for pattern in patterns or ("*",)
        for path in _matching(pattern, list(owners))
    }
    for path in chosen:
        owner, name = owners[path]
        owner._own.frozen = (
            owner._own.frozen | {name} if frozen else owner._own.frozen - {name}
        )


def _matching(pattern: str, paths: list[str]) -> list[str]:
    """Return the parameters that a pattern names; a pattern that names nothing is an error."""
    found = [
        path
        for path in paths
        if any(fnmatchcase(prefix, pattern) for prefix in _prefixes(path))
    ]
    if not found and (paths or pattern != "*"):
        modules = {prefix for path in paths for prefix in _prefixes(path)}
        near = get_close_matches(pattern, sorted(modules), n=3)
        raise ArgumentError(
            "freeze",
            expected="the name of a parameter or module, or a pattern such as 'encoder.*'",
            got=repr(pattern),
            hint=f"Did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"There are: {', '.join(paths)}",
        )
    return found


def _prefixes(path: str) -> list[str]:
    """Return ``a``, ``a.b``, ``a.b.c`` for ``a.b.c``."""
    parts = path.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
