"""LaTeX to plain mathematics: commands become characters, fractions become quotients in parentheses."""

from __future__ import annotations

import re
import unicodedata
from functools import partial

from deltarule.errors import ArgumentError
from deltarule.render.mathematics import GREEK

_DROPPED = (
    "left",
    "right",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "big",
    "Big",
    "displaystyle",
    "textstyle",
    "limits",
    "quad",
    "qquad",
    "boldsymbol",
    "mathbf",
    "mathrm",
    "mathsf",
    "mathit",
    "operatorname",
    "text",
    "textbf",
    "mathcal",
    "bm",
    "vec",
    "mathop",
    "nolimits",
    "tfrac",
    "dfrac",
)
_CHARACTERS = {
    "odot": "⊙",
    "circ": "⊙",
    "cdot": "·",
    "times": "·",
    "top": "ᵀ",
    "intercal": "ᵀ",
    "ge": "≥",
    "geq": "≥",
    "le": "≤",
    "leq": "≤",
    "gt": ">",
    "lt": "<",
    "ne": "≠",
    "neq": "≠",
    "partial": "∂",
    "nabla": "∇",
    "sum": "Σ",
    "Vert": "‖",
    "lVert": "‖",
    "rVert": "‖",
    "vert": "|",
    "lvert": "|",
    "rvert": "|",
    "prime": "′",
    "mathbbm": "",
    "sqrt": "sqrt",
    "log": " log ",
    "ln": " ln ",
    "exp": " exp ",
    "tanh": " tanh ",
    "sin": " sin ",
    "cos": " cos ",
    "max": " max ",
    "tr": " tr ",
    "varepsilon": "ε",
    "vartheta": "θ",
    "ell": "L",
    "diag": " diag ",
    "star": "⋆",
}
_MARKS = {
    "hat": "\u0302",
    "widehat": "\u0302",
    "bar": "\u0304",
    "overline": "\u0304",
    "tilde": "\u0303",
    "widetilde": "\u0303",
    "dot": "\u0307",
}


def to_plain(text: str) -> str:
    r"""Return a LaTeX formula in plain Unicode mathematics.

    >>> to_plain(r"\frac{1}{m} W_2^{\top}(\hat y - y) x^T")
    '((1)/(m)) W_2ᵀ(ŷ - y) xᵀ'
    """
    text = re.sub(r"\\begin\{[^}]*\}|\\end\{[^}]*\}|\$|&|\\\\", " ", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(
        r"\\(?:mathbb|mathbbm|mathbf|bm|boldsymbol|mathds)\s*(?:\{\s*([1I])\s*\}|([1I]))",
        "𝟙",
        text,
    )
    text = re.sub(r"\\(?:mathsf|mathrm|text|mathit)\s*\{\s*T\s*\}", "T", text)
    for command, mark in _MARKS.items():
        text = re.sub(
            rf"\\{command}\s*(?:\{{\s*(\\?[A-Za-z]+)\s*\}}|(\\[A-Za-z]+)|([A-Za-z]))",
            partial(_accented, mark),
            text,
        )
    while "\\frac" in text:
        text = _fraction(text)
    text = text.replace("\\|", "‖").replace("\\{", "(").replace("\\}", ")")
    text = re.sub(r"\\[,;:!> ]|~", " ", text)
    for word in _DROPPED:
        text = re.sub(rf"\\{word}(?![A-Za-z])\*?\s*\{{([^{{}}]*)\}}", r"\1", text)
        text = re.sub(rf"\\{word}(?![A-Za-z])\*?\.?", "", text)
    text = re.sub(r"\\([A-Za-z]+)", _command, text)
    text = re.sub(r"\^\s*\{\s*([Tᵀ])\s*\}|\^\s*([Tᵀ])", "ᵀ", text)
    text = re.sub(r"\^\s*\{\s*′+\s*\}", "′", text)
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()


def _accented(mark: str, match: re.Match[str]) -> str:
    body = next(group for group in match.groups() if group)
    letter = GREEK.get(body.lstrip("\\"), body) if body.startswith("\\") else body
    return letter + mark


def _command(match: re.Match[str]) -> str:
    word = match.group(1)
    if word in _CHARACTERS:
        return _CHARACTERS[word]
    if word in GREEK:
        return GREEK[word]
    raise ArgumentError(
        f"formula, position {match.start() + 1}",
        expected="a LaTeX command of mathematics",
        got=f"\\{word}",
        hint="Write names with letters, indices, \\hat and Greek letters.",
    )


def _fraction(text: str) -> str:
    r"""Replace the first \frac{a}{b} by ((a)/(b)), or ∂L/∂x where it is a derivative."""
    start = text.index("\\frac")
    over, after = _group(text, start + 5)
    under, end = _group(text, after)
    if "\\partial" in over and "\\partial" in under:
        quotient = f"{over}/{under}".replace("\\partial", "∂")
        return f"{text[:start]} {quotient} {text[end:]}"
    return f"{text[:start]}(({over})/({under})){text[end:]}"


def _group(text: str, at: int) -> tuple[str, int]:
    """Return the braced group (or single character) at a position, and where it ends."""
    while at < len(text) and text[at].isspace():
        at += 1
    if at >= len(text):
        raise ArgumentError(
            f"formula, position {at + 1}",
            expected="two arguments of \\frac",
            got="the end",
        )
    if text[at] != "{":
        return text[at], at + 1
    depth = 0
    for position in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[at + 1 : position], position + 1
    raise ArgumentError(
        f"formula, position {at + 1}",
        expected="a closing brace",
        got="the end of the formula",
    )
