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


def canonical(name: str) -> str:
    """Return the canonical spelling of a name.

    >>> canonical("W₁"), canonical("W_{1}"), canonical("ŷ"), canonical("δ₂"), canonical("yhat")
    ('W_1', 'W_1', 'y_hat', 'delta_2', 'y_hat')
    """
    text = unicodedata.normalize("NFD", name)
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
