"""Width of texts, estimated from the advance widths of common sans-serif fonts (upper bounds)."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from deltarule.render.table import width

# Characters by width in hundredths of an em, the larger of DejaVu Sans and Noto Sans.
_REGULAR = {
    30: "'Jijl",
    35: " ,.:;I",
    40: "()-/[\\]ft",
    45: "!r",
    50: '"_`',
    55: "?csz",
    60: "*FLkvxy|",
    65: "$0123456789EPSTYabdeghnopqu{}",
    70: "ABCKRVXZ",
    75: "U",
    80: "&DGHNOQ",
    85: "#+<=>^w~",
    95: "M",
    100: "%@Wm",
}
_BOLD = {
    35: " 'ijl",
    40: ",.:;IJ",
    45: "-/\\f",
    50: "!()[]_`rt",
    55: '"*',
    60: "?csz|",
    65: "Lx",
    70: "$0123456789EFTaekovy",
    75: "CPSYZbdghnpqu{}",
    80: "ABKRVX",
    85: "#+<=>DGHNU^~",
    90: "&OQ",
    95: "w",
    100: "@M",
    105: "%m",
    115: "W",
}
_SIGNS = (
    dict.fromkeys("·′’‘", 40)
    | dict.fromkeys("×−→←≤≥≠≈±∞", 85)
    | dict.fromkeys("…", 100)
)
_OTHER, _SCRIPT, _WIDE, _LARGE = 80, 45, 105, 125
_LARGE_LETTERS = frozenset("ЖШЩЮФЫжшщюфымМ№ѪѬǄǇ")


@lru_cache(maxsize=4096)
def _letter(character: str, bold: bool) -> int:
    for wide, letters in (_BOLD if bold else _REGULAR).items():
        if character in letters:
            return wide
    if character in _SIGNS:
        return _SIGNS[character]
    if not width(character):
        return 0
    if width(character) > 1:
        return _WIDE
    if character in _LARGE_LETTERS:
        return _LARGE
    parts = unicodedata.decomposition(character).split()
    if parts and parts[0] in {"<super>", "<sub>"}:
        return _SCRIPT
    plain = unicodedata.normalize("NFKD", character)
    if plain != character and plain[0].isascii():
        return _letter(plain[0], bold)
    return _OTHER + 5 * bold


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return an upper bound of the width of a text in pixels.

    >>> text_width("ill", 10) < text_width("mom", 10) < text_width("mom", 10, bold=True)
    True
    """
    return size * sum(_letter(character, bold) for character in text) / 100
