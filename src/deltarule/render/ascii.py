"""Output of Unicode text to streams of other encodings, such as ASCII or a code page.

Characters that the encoding lacks are transliterated (→ becomes ->, δ₂ becomes delta_2), and columns stay aligned.
All other modules produce Unicode.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby

from deltarule.render.table import pad, width

_SIGNS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "…": "...",
    "⋯": "...",
    "·": "*",
    "⋅": "*",
    "∗": "*",
    "×": "x",
    "÷": "/",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "↦": "|->",
    "⇒": "=>",
    "⇐": "<=",
    "↑": "^",
    "↓": "v",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~=",
    "≡": "==",
    "±": "+-",
    "∓": "-+",
    "⊙": ".*",
    "⊗": "(x)",
    "∘": "o",
    "⋆": "*",
    "°": " deg",
    "∂": "d",
    "‖": "||",
    "⌊": "floor(",
    "⌋": ")",
    "⌈": "ceil(",
    "⌉": ")",
    "⟨": "<",
    "⟩": ">",
    "′": "'",
    "″": "''",
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "«": "<<",
    "»": ">>",
    "─": "-",
    "━": "=",
    "│": "|",
    "┃": "|",
    "├": "|",
    "└": "`",
    "┌": "+",
    "┐": "+",
    "┘": "+",
    "┤": "|",
    "┬": "+",
    "┴": "+",
    "┼": "+",
    "╴": "-",
    "⎛": "/",
    "⎜": "|",
    "⎝": "\\",
    "⎞": "\\",
    "⎟": "|",
    "⎠": "/",
    "▶": ">",
    "►": ">",
    "○": "o",
    "●": "*",
    "•": "*",
    "✓": "ok",
    "✗": "x",
    "█": "#",
    "▓": "#",
    "▒": "+",
    "░": ".",
    "�": "?",
    "¬": "not ",
    "⊤": "^T",
    "⊺": "^T",
    "⟂": "_|_",
    "⊥": "_|_",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
    "\N{THIN SPACE}": " ",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "ø": "o",
    "Ø": "O",
    "œ": "oe",
    "Œ": "OE",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "⁄": "/",
    "ɏ": "y",
    "ℓ": "l",
    "¯": "-",
    "˙": "'",
    "€": "EUR",
    "£": "GBP",
    "µ": "u",
}
_WORDS = {
    "∞": "inf",
    "∈": "in",
    "∉": "not in",
    "∇": "grad",
    "√": "sqrt",
    "∝": "prop to",
    "∫": "int",
    "∏": "prod",
    "∑": "sum",
    "∀": "for all",
    "∃": "exists",
    "∅": "{}",
    "∪": "union",
    "∩": "and",
    "⊂": "in",
}
_MARKS = {
    "\u0302": "_hat",
    "\u0303": "_tilde",
    "\u0304": "_bar",
    "\u0305": "_bar",
    "\u0307": "_dot",
}
_LETTERS = frozenset("aeiouAEIOUnNcghjCGHJ")  # with marks letters of languages (ê, ñ)
_GREEK = re.compile(
    r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)|GREEK (?:PHI|THETA|EPSILON|KAPPA|RHO) SYMBOL"
)
_GREEK_SYMBOLS = frozenset(
    f"GREEK {name} SYMBOL" for name in ("PHI", "THETA", "LUNATE EPSILON")
)
_SCRIPTS = {"<super>": "^", "<sub>": "_"}
_GAP = re.compile(r"( {2,})")
_BETWEEN = 2  # spaces between columns


def _script(character: str) -> tuple[str, str]:
    """Return "^" or "_" and the text of a superscript or subscript; empty strings for other characters."""
    kind, _, points = unicodedata.decomposition(character).partition(" ")
    if kind not in _SCRIPTS:
        return "", ""
    text = "".join(chr(int(point, 16)) for point in points.split())
    return _SCRIPTS[kind], text.replace("−", "-")


@lru_cache(maxsize=4096)
def _greek(character: str) -> str:
    """Return the name of a Greek letter, capitalized for a capital letter; empty for other characters."""
    name = unicodedata.name(character, "")
    if name in _GREEK_SYMBOLS:
        return name.split()[-2].lower()
    found = _GREEK.fullmatch(name.partition(" WITH ")[0])
    if found is None or found[1] is None:
        return ""
    word = found[1].lower().replace("lamda", "lambda")
    return word.capitalize() if "CAPITAL" in name else word


@lru_cache(maxsize=4096)
def _transliterated(character: str) -> tuple[str, bool]:
    r"""Return the transliteration of a character, and whether it is a word to separate from adjacent letters.

    >>> _transliterated("δ"), _transliterated("→"), _transliterated("é"), _transliterated("猫")
    (('delta', True), ('->', False), ('e', False), ('\\u732b', False))
    """
    if character in _SIGNS:
        return _SIGNS[character], False
    word = (
        _WORDS.get(character)
        or _greek(character)
        or {"Σ": "sum", "Π": "prod"}.get(character, "")
    )
    if word:
        return word, True
    plain = unicodedata.normalize("NFKD", character)
    if plain != character:
        letters = "".join(
            _transliterated(c)[0] if ord(c) > 127 else c
            for c in plain
            if not unicodedata.combining(c)
        )
        marks = "".join(
            _MARKS.get(c, "") for c in plain[1:] if plain[0] not in _LETTERS
        )
        return letters + marks, False
    return character.encode("unicode_escape", "surrogatepass").decode("ascii"), False


def _pieces(text: str, encodable: Callable[[str], bool]) -> list[tuple[str, bool]]:
    """Return the transliteration of each character or run of scripts, and whether it is a word."""
    found: list[tuple[str, bool]] = []
    place = 0
    while place < len(text):
        sign, inner = _script(text[place])
        if sign:
            end = place + 1
            while end < len(text) and _script(text[end])[0] == sign:
                inner, end = inner + _script(text[end])[1], end + 1
            kept = encodable(text[place:end])
            found.append(
                (text[place:end], False) if kept else (sign + _plain(inner), True)
            )
            place = end
            continue
        character = text[place]
        if encodable(character):
            found.append((character, False))
        elif character in _MARKS or unicodedata.combining(character):
            found.append((_MARKS.get(character, ""), False))
        else:
            found.append(_transliterated(character))
        place += 1
    return found


def _plain(text: str) -> str:
    return "".join(c if ord(c) < 128 else _transliterated(c)[0] for c in text)


def _transliterate(text: str, encodable: Callable[[str], bool]) -> str:
    """Transliterate a text; words are separated by spaces from adjacent letters and digits."""
    out, apart = "", False
    for piece, word in _pieces(text, encodable):
        joins_letters = out[-1:].isalnum() and piece[:1].isalnum()
        if joins_letters and (word or apart):
            out += " "
        out += piece
        apart = word
    return out


def _encodable_in(encoding: str) -> Callable[[str], bool]:
    def encodable(text: str) -> bool:
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return False
        return True

    return encodable


def _block(lines: list[str], encodable: Callable[[str], bool]) -> list[str]:
    """Transliterate consecutive lines of a table; columns, separated by two spaces, stay aligned."""
    cells = [_cells(line) for line in lines]
    places = sorted({edge for row in cells for cell in row for edge in cell})
    taken = [
        any(start <= left < end for row in cells for start, end in row)
        for left in places[:-1]
    ]
    bands: list[tuple[int, int]] = []
    for left, right, used in zip(places, places[1:], taken, strict=False):
        if used and bands and left - bands[-1][1] < _BETWEEN:
            bands[-1] = bands[-1][0], right
        elif used:
            bands.append((left, right))
    columns = [
        [
            _column(line, row, band, encodable)
            for line, row in zip(lines, cells, strict=True)
        ]
        for band in bands
    ]
    widths = [max(width(text) for text, _ in column) for column in columns]
    indent = " " * (bands[0][0] if bands else 0)
    out = []
    for row in zip(*columns, strict=True):
        parts = [
            pad(text, wide, ">" if right else "<")
            for (text, right), wide in zip(row, widths, strict=True)
        ]
        out.append((indent + (" " * _BETWEEN).join(parts)).rstrip())
    return out


def _cells(line: str) -> list[tuple[int, int]]:
    """Return start and end of the cells of a line, in terminal columns."""
    found, at = [], 0
    for part in _GAP.split(line):
        if part.strip():
            lead = len(part) - len(part.lstrip(" "))
            found.append((at + lead, at + width(part.rstrip(" "))))
        at += width(part)
    return found


def _column(
    line: str,
    cells: list[tuple[int, int]],
    band: tuple[int, int],
    encodable: Callable[[str], bool],
) -> tuple[str, bool]:
    """Return the transliterated text of a line within a band of columns, and whether it is right-aligned."""
    inside = [(start, end) for start, end in cells if band[0] <= start < band[1]]
    if not inside:
        return "", False
    start, end = inside[0][0], inside[-1][1]
    text = _cut(line, start, end)
    right = end == band[1] and start > band[0]
    parts = [_transliterate(cell, encodable) for cell in _GAP.split(text)[::2]]
    return " " * (0 if right else start - band[0]) + "  ".join(parts), right


def _cut(line: str, start: int, end: int) -> str:
    """Return the characters between two terminal columns."""
    at, kept = 0, ""
    for character in line:
        if start <= at < end or (at == end and not width(character)):
            kept += character
        at += width(character)
    return kept


def _lines(text: str, encodable: Callable[[str], bool]) -> list[str]:
    """Transliterate a text: consecutive lines with several columns together, others one by one."""
    out: list[str] = []
    for several, group in groupby(
        text.split("\n"), key=lambda line: len(_cells(line)) > 1
    ):
        lines = list(group)
        out += (
            _block(lines, encodable)
            if several
            else [_transliterate(line, encodable) for line in lines]
        )
    return out


def fitted(text: str, encoding: str | None) -> str:
    """Return a text transliterated to what an encoding can represent; None and unknown encodings mean ASCII.

    >>> fitted("∂L/∂W₁ = δ₁xᵀ", "ascii"), fitted("1.2·10⁻³ ≤ x", "latin-1"), fitted("∂L/∂W₁", "utf-8")
    ('dL/dW_1 = delta_1 x^T', '1.2·10^-3 <= x', '∂L/∂W₁')
    """
    if text.isascii():
        return text
    encodable = _encodable_in(encoding or "ascii")
    try:
        whole = encodable(text)
    except LookupError:
        return fitted(text, "ascii")
    return text if whole else "\n".join(_lines(text, encodable))
