"""Text from files made safe to show: characters that move the cursor, ring, recolour or reorder become visible.

A name of a column may hold an escape sequence that clears the screen or sets the window's title, or a bidirectional
control that makes "98" read "89" (Boucher and Anderson, Trojan Source, 2021).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_KEPT = frozenset(
    "\u200c\u200d"
)  # joiners, which words of Persian and Hindi and emoji need
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES and character not in _KEPT


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def visible(text: str, kept: str = "\n\t") -> str:
    r"""Return the text with control, bidirectional and other invisible characters as escapes such as ``\x1b``.

    Line ends and tabs stay; ``shown`` escapes them too.

    >>> print(visible("clear\x1b[2J, reversed \u202e89"))
    clear\x1b[2J, reversed \u202e89
    """
    if text.isprintable():
        return text
    return "".join(_escape(c) if _hidden(c) and c not in kept else c for c in text)


def listed(names: Iterable[object]) -> str:
    """Return names with commas, each on one line."""
    return ", ".join(map(shown, names))


def shown(name: object) -> str:
    r"""Return a name (of a column, a class, a file) on one line: as ``visible``, with line ends and tabs escaped.

    >>> print(shown("two\nlines"))
    two\nlines
    """
    return visible(str(name), kept="")
