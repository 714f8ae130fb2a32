"""Freezing of parameters by name or pattern."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Protocol

from deltarule.errors import ArgumentError
from deltarule.tensor.tensor import Tensor


class HasFrozen(Protocol):
    """The internal state of a module: the names of its frozen parameters."""

    frozen: set[str]


class Freezable(Protocol):
    """A module whose parameters can be frozen."""

    @property
    def _own(self) -> HasFrozen: ...

    def own_tensors(self) -> list[tuple[str, Tensor]]:
        """Return the parameters and state of this module itself."""
        ...

    def named_modules(self) -> Sequence[tuple[str, Freezable]]:
        """Return this module and all submodules by path."""
        ...


def freeze(module: Freezable, patterns: Sequence[str], *, frozen: bool) -> None:
    """Freeze (or unfreeze) the parameters that match a pattern; a module's name stands for all of its parameters."""
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
    """Return the parameters that match a pattern; raises ArgumentError if none does."""
    found = [
        path
        for path in paths
        if any(fnmatchcase(prefix, pattern) for prefix in _prefixes(path))
    ]
    if not found and (paths or pattern != "*"):
        modules = {prefix for path in paths for prefix in _prefixes(path)}
        near = get_close_matches(pattern, sorted(modules), n=3)
        hint = f"Available: {', '.join(paths)}"
        if near:
            hint = f"Did you mean {' or '.join(map(repr, near))}?"
        raise ArgumentError(
            "freeze",
            expected="the name of a parameter or module, or a pattern such as 'encoder.*'",
            got=repr(pattern),
            hint=hint,
        )
    return found


def _prefixes(path: str) -> list[str]:
    """Return ``a``, ``a.b``, ``a.b.c`` for ``a.b.c``."""
    parts = path.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
