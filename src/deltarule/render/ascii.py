"""What is printed where not every character can be: a code page, a log in ASCII, an old terminal.

Nothing else in the package thinks of encodings: texts are Unicode, and pass through here at the border. A character
that the encoding lacks is spelled (→ becomes ->, δ₂ becomes delta_2), and columns stay under each other.
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
_LETTERS = frozenset(
    "aeiouAEIOUnNcghjCGHJ"
)  # ê, ñ and ĉ are letters of languages; ŷ is an estimate of y
_GREEK = re.compile(
    r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)|GREEK (?:PHI|THETA|EPSILON|KAPPA|RHO) SYMBOL"
)
_SCRIPTS = {"<super>": "^", "<sub>": "_"}
_GAP = re.compile(r"( {2,})")
_BETWEEN = 2  # spaces between columns


def _script(character: str) -> tuple[str, str]:
    """Return the sign before a superscript or subscript and what stands there; two empty texts for other letters."""
    kind, _, points = unicodedata.decomposition(character).partition(" ")
    if kind not in _SCRIPTS:
        return "", ""
    return _SCRIPTS[kind], "".join(
        chr(int(point, 16)) for point in points.split()
    ).replace("−", "-")


@lru_cache(maxsize=4096)
def _greek(character: str) -> str:
    """Return the name of a Greek letter, its first letter large for a capital one; empty for others."""
    name = unicodedata.name(character, "")
    if name in {
        "GREEK PHI SYMBOL",
        "GREEK THETA SYMBOL",
        "GREEK LUNATE EPSILON SYMBOL",
    }:
        return name.split()[-2].lower()
    found = _GREEK.fullmatch(name.partition(" WITH ")[0])
    if found is None or found[1] is None:
        return ""
    word = found[1].lower().replace("lamda", "lambda")
    return word.capitalize() if "CAPITAL" in name else word


@lru_cache(maxsize=4096)
def _spelled(character: str) -> tuple[str, bool]:
    r"""Return an ASCII spelling, and whether it is a word that stands apart from letters beside it.

    >>> _spelled("δ"), _spelled("→"), _spelled("é"), _spelled("猫")
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
            _spelled(c)[0] if ord(c) > 127 else c
            for c in plain
            if not unicodedata.combining(c)
        )
        marks = "".join(
            _MARKS.get(c, "") for c in plain[1:] if plain[0] not in _LETTERS
        )
        return letters + marks, False
    return character.encode("unicode_escape", "surrogatepass").decode("ascii"), False


def _pieces(text: str, able: Callable[[str], bool]) -> list[tuple[str, bool]]:
    """Return the spelling of each character in order, and whether it is a word; scripts that belong together as one."""
    found: list[tuple[str, bool]] = []
    place = 0
    while place < len(text):
        sign, inner = _script(text[place])
        if sign:
            end = place + 1
            while end < len(text) and _script(text[end])[0] == sign:
                inner, end = inner + _script(text[end])[1], end + 1
            kept = able(text[place:end])
            found.append(
                (text[place:end], False) if kept else (sign + _plain(inner), True)
            )
            place = end
            continue
        character = text[place]
        if able(character):
            found.append((character, False))
        elif character in _MARKS or unicodedata.combining(character):
            found.append((_MARKS.get(character, ""), False))
        else:
            found.append(_spelled(character))
        place += 1
    return found


def _plain(text: str) -> str:
    return "".join(c if ord(c) < 128 else _spelled(c)[0] for c in text)


def _spell(text: str, able: Callable[[str], bool]) -> str:
    """Spell what the encoding lacks; names of letters keep a space from letters and digits beside them."""
    out, apart = "", False
    for piece, word in _pieces(text, able):
        if (
            out
            and piece
            and piece[0].isalnum()
            and (word or apart)
            and out[-1].isalnum()
        ):
            out += " "
        out += piece
        apart = word
    return out


def _able(encoding: str) -> Callable[[str], bool]:
    def able(text: str) -> bool:
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return False
        return True

    return able


def _block(lines: list[str], able: Callable[[str], bool]) -> list[str]:
    """Spell lines that stand under each other; their columns, two spaces apart in every line, stay aligned."""
    cells = [_cells(line) for line in lines]
    places = sorted(
        {start for row in cells for start, _ in row}
        | {end for row in cells for _, end in row}
    )
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
        [_column(line, row, band, able) for line, row in zip(lines, cells, strict=True)]
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
    """Return where a line's cells begin and end, in columns of the screen."""
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
    able: Callable[[str], bool],
) -> tuple[str, bool]:
    """Return what a line has between two columns of the screen, spelled, and whether it stands at the right."""
    inside = [(start, end) for start, end in cells if band[0] <= start < band[1]]
    if not inside:
        return "", False
    start, end = inside[0][0], inside[-1][1]
    text = _cut(line, start, end)
    right = end == band[1] and start > band[0]
    return " " * (0 if right else start - band[0]) + "  ".join(
        _spell(cell, able) for cell in _GAP.split(text)[::2]
    ), right


def _cut(line: str, start: int, end: int) -> str:
    """Return the characters between two columns of the screen."""
    at, kept = 0, ""
    for character in line:
        if start <= at < end or (at == end and not width(character)):
            kept += character
        at += width(character)
    return kept


def _lines(text: str, able: Callable[[str], bool]) -> list[str]:
    """Spell a text: neighbouring lines of several columns together, others one by one."""
    out: list[str] = []
    for several, group in groupby(
        text.split("\n"), key=lambda line: len(_cells(line)) > 1
    ):
        lines = list(group)
        out += (
            _block(lines, able) if several else [_spell(line, able) for line in lines]
        )
    return out


def fitted(text: str, encoding: str | None) -> str:
    """Return the text as an encoding can hold it; None and unknown encodings are taken for ASCII.

    >>> fitted("∂L/∂W₁ = δ₁xᵀ", "ascii"), fitted("1.2·10⁻³ ≤ x", "latin-1"), fitted("∂L/∂W₁", "utf-8")
    ('dL/dW_1 = delta_1 x^T', '1.2·10^-3 <= x', '∂L/∂W₁')
    """
    if text.isascii():
        return text
    able = _able(encoding or "ascii")
    try:
        whole = able(text)
    except LookupError:
        return fitted(text, "ascii")
    return text if whole else "\n".join(_lines(text, able))
