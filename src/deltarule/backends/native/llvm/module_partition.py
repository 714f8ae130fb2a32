"""Partition of a large module into parts that compile in parallel: code generation dominates a cold compilation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from deltarule.backends.native.llvm.machine import Machine

_MIN_LENGTH = 50_000  # characters of a part, about 20 ms of code generation
_NAME = re.compile(r"@([\w.]+)")


def partition_module(
    definitions: Mapping[str, str], kernels: Sequence[str], main: str, machine: Machine
) -> list[str]:
    """Partition definitions into modules of about equal length.

    The first module contains ``main`` and its dependencies; each kernel is in one module, with external linkage.
    Other shared dependencies (mathematics, tables) are internal to each module.

    Args:
        definitions: Text of each function or constant by name.
        kernels: Names of the functions that ``main`` calls.
        main: Text of the entry point.
        machine: The compilation target.
    """
    total = len(main) + sum(map(len, definitions.values()))
    count = max(1, min(machine.cores, total // _MIN_LENGTH))
    dependencies = {name: _dependencies([name], definitions) for name in kernels}
    parts: list[dict[str, None]] = [
        dict.fromkeys(_dependencies(_NAME.findall(main), definitions, without=kernels))
    ]
    parts += [{} for _ in range(count - 1)]
    lengths = [len(main), *[0] * (count - 1)]
    for name in sorted(kernels, key=lambda name: -len(definitions[name])):
        place = lengths.index(min(lengths))
        parts[place] |= dict.fromkeys(dependencies[name])
        lengths[place] += len(definitions[name])
    texts = [
        "\n".join(
            _public(name, definitions[name])
            if name in dependencies
            else definitions[name]
            for name in part
        )
        for part in parts
    ]
    declared = [
        _declaration(name, definitions[name])
        for name in kernels
        if name not in parts[0]
    ]
    texts[0] = "\n".join([*declared, texts[0], main])
    return [f'target triple = "{machine.triple}"\n\n{text}\n' for text in texts]


def _dependencies(
    names: Sequence[str], definitions: Mapping[str, str], without: Sequence[str] = ()
) -> list[str]:
    """Return the transitive dependencies of the named definitions (including these), in the order of definition."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        name = (
            name if name in definitions else f"@{name}"
        )  # constants are keyed with their sigil
        if name in definitions and name not in found and name not in without:
            found.add(name)
            pending += _NAME.findall(definitions[name])
    return [name for name in definitions if name in found]


def _public(name: str, text: str) -> str:
    return text.replace(f"define internal void @{name}(", f"define void @{name}(")


def _declaration(name: str, text: str) -> str:
    start = text.index(f"@{name}(", text.index(f"void @{name}("))
    return f"declare void {text[start : text.index(')', start) + 1]}"
