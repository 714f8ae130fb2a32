r"""Names as people type them: W_1, W1, W₁, W_{1}; \hat y, ŷ, yhat; δ₂, delta_2 — one canonical spelling each."""

from __future__ import annotations

import re
import unicodedata

from deltarule.render.mathematics import GREEK

_LETTERS = {letter: name for name, letter in GREEK.items()}
_MARKS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot"}
_SUBSCRIPTS = str.maketrans(
    "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "0123456789+-aehijklmnoprstuvx"
)
_IS_SUBSCRIPT = "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"


def _plain(name: str) -> str:
    r"""Return a LaTeX name without commands: \hat{x}_1 is x̂_1, \delta is delta, \mathbf{W} is W."""
    text = name
    for mark, word in _MARKS.items():
        accent = (
            rf"\\{word}\s*\{{\s*(\\?[A-Za-z]+)\s*\}}",
            rf"\\{word}\s*(\\[A-Za-z]+)",
            rf"\\{word}\s*([A-Za-z])",
        )
        for pattern in accent:
            text = re.sub(pattern, rf"\1{mark}", text)
    text = re.sub(r"\\(?:mathbf|boldsymbol|bm|mathrm|operatorname|text)\b", "", text)
    text = re.sub(r"\\([A-Za-z]+)\s*", r"\1", text)
    return text.replace(" ", "").replace("^{", "_{").replace("[", "").replace("]", "")


def canonical(name: str) -> str:
    r"""Return the canonical spelling of a name, which may be LaTeX.

    >>> canonical(r"\hat{x}_1"), canonical(r"\delta_2"), canonical(r"\mathbf{W}^{[1]}")
    ('x_hat_1', 'delta_2', 'W_1')
    >>> canonical("W₁"), canonical("W_{1}"), canonical("ŷ"), canonical("δ₂"), canonical("yhat")
    ('W_1', 'W_1', 'y_hat', 'delta_2', 'y_hat')
    """
    text = unicodedata.normalize("NFD", _plain(name) if "\\" in name else name)
    text = re.sub(
        f"([{_IS_SUBSCRIPT}]+)",
        lambda match: "_" + match.group(1).translate(_SUBSCRIPTS),
        text,
    )
    for mark, word in _MARKS.items():
        text = text.replace(mark, "_" + word)
    text = (
        "".join(_LETTERS.get(character, character) for character in text)
        .replace("{", "")
        .replace("}", "")
    )
    text = text.replace("′", "'").replace("_'", "'")
    text = re.sub(r"^([A-Za-z])(hat|bar|tilde)\b", r"\1_\2", text)
    text = re.sub(r"^([A-Za-z]+)(\d+)", r"\1_\2", text)
    parts = text.split("_")
    marks = [part for part in parts[1:] if part in _MARKS.values()]
    rest = [part for part in parts[1:] if part and part not in _MARKS.values()]
    return "_".join([parts[0], *marks, *rest])
