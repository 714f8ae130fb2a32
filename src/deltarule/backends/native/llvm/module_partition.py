"""A large module cut into parts that are compiled side by side: code generation is most of a cold compilation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from deltarule.backends.native.llvm.machine import Machine

_LEAST = 50_000  # characters of a part: what LLVM needs 20 ms for
_NAME = re.compile(r"@([\w.]+)")


def divided(
    definitions: Mapping[str, str], kernels: Sequence[str], main: str, machine: Machine
) -> list[str]:
    """Return modules of about equal length that together hold ``definitions`` (text by name) and ``main``.

    The first has ``main`` and what it needs, each of the ``kernels``, functions that main calls, is in one of them.
    What several parts need besides (mathematics, tables) is internal to each.
    """
    total = len(main) + sum(map(len, definitions.values()))
    count = max(1, min(machine.cores, total // _LEAST))
    needs = {name: _needed([name], definitions) for name in kernels}
    parts: list[dict[str, None]] = [
        dict.fromkeys(_needed(_NAME.findall(main), definitions, without=kernels))
    ]
    parts += [{} for _ in range(count - 1)]
    lengths = [len(main), *[0] * (count - 1)]
    for name in sorted(kernels, key=lambda name: -len(definitions[name])):
        place = lengths.index(min(lengths))
        parts[place] |= dict.fromkeys(needs[name])
        lengths[place] += len(definitions[name])
    texts = [
        "\n".join(
            _public(name, definitions[name]) if name in needs else definitions[name]
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


def _needed(
    names: Sequence[str], definitions: Mapping[str, str], without: Sequence[str] = ()
) -> list[str]:
    """Return those of the definitions that the named ones refer to, directly or not, in the order of definition."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        name = (
            name if name in definitions else f"@{name}"
        )  # constants are listed with their sign
        if name in definitions and name not in found and name not in without:
            found.add(name)
            left += _NAME.findall(definitions[name])
    return [name for name in definitions if name in found]


def _public(name: str, text: str) -> str:
    return text.replace(f"define internal void @{name}(", f"define void @{name}(")


def _declaration(name: str, text: str) -> str:
    start = text.index(f"@{name}(", text.index(f"void @{name}("))
    return f"declare void {text[start : text.index(')', start) + 1]}"
