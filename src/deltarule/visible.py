"""Escaping of invisible and control characters in text from files.

The name of a column may contain an escape sequence that clears the screen or sets the title of the window, or a
bidirectional control that displays "98" as "89" (Boucher and Anderson 2021, "Trojan Source").
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_JOINERS = frozenset("\u200c\u200d")  # needed in Persian, Hindi and emoji
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def visible(text: str, kept: str = "\n\t") -> str:
    r"""Return the text with control, bidirectional and other invisible characters escaped, e.g. ``\x1b``.

    Line breaks and tabs are kept; ``shown`` escapes them too.

    >>> print(visible("clear\x1b[2J, reversed \u202e89"))
    clear\x1b[2J, reversed \u202e89
    """
    if text.isprintable():
        return text
    return "".join(_escape(c) if _hidden(c) and c not in kept else c for c in text)


def listed(names: Iterable[object]) -> str:
    """Return names separated by commas, with line breaks escaped.

    >>> listed(["a", "b"])
    'a, b'
    """
    return ", ".join(map(shown, names))


def shown(name: object) -> str:
    r"""Return a name (of a column, a class, a file) on one line: as ``visible``, with line breaks and tabs escaped.

    >>> print(shown("two\nlines"))
    two\nlines
    """
    return visible(str(name), kept="")
