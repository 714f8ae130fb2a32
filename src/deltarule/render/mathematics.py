"""Formulas as plain data, and their output as Unicode text, LaTeX and MathML.

A formula is built from identifiers, numbers, operators, rows, scripts, fractions, roots, accents, fences and
grids (matrices). Parentheses are part of the formula; the writers add none to LaTeX and MathML.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
GREEK = {
    name: unicodedata.lookup(
        f"GREEK {'CAPITAL' if name[0].isupper() else 'SMALL'} LETTER "
        f"{'LAMDA' if name.lower() == 'lambda' else name.upper()}"
    )
    for name in _GREEK.split()
}
_SUBSCRIPTS = str.maketrans(
    "0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
)
_SUPERSCRIPTS = str.maketrans(
    "0123456789+-−=()TijknNmtx×", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵀⁱʲᵏⁿᴺᵐᵗˣˣ"
)
_MARKS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
_MATHML_MARKS = {"hat": "^", "bar": "¯", "tilde": "~", "dot": "˙"}
_LATEX_CHARACTERS = {
    "·": r"\cdot ",
    "⊙": r"\odot ",
    "−": "-",
    "≥": r"\ge ",
    "≤": r"\le ",
    "≠": r"\ne ",
    "∂": r"\partial ",
    "∈": r"\in ",
    "×": r"\times ",
    "Σ": r"\sum ",
    "‖": r"\Vert ",
    "∇": r"\nabla ",
    "ℝ": r"\mathbb{R}",
    "ℕ": r"\mathbb{N}",
    "𝟙": r"\mathbb{1}",
    "∞": r"\infty ",
    "′": "'",
    "⋆": r"\star ",
    "→": r"\to ",
    "←": r"\leftarrow ",
    "≈": r"\approx ",
    "…": r"\dots ",
    "√": r"\surd ",
    "⟂": r"\perp ",
    "½": r"\tfrac12 ",
    "∗": r"\ast ",
    "ᵀ": r"^\top ",
    "⊗": r"\otimes ",
    "|": r"\vert ",
    "ℓ": r"\ell ",
    "∘": r"\circ ",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "#": r"\#",
    "&": r"\&",
    "_": r"\_",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "±": r"\pm ",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
}
_LATEX_TEXT = {sign: f"\\{sign}" for sign in "{}&%#_$"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "–": "--",
    "—": "---",
}
_LATEX_CHARACTERS |= {letter: rf"\{name} " for name, letter in GREEK.items()} | {
    "ο": "o"
}
# Text in LaTeX: accented letters, runs of superscripts or subscripts, and signs become mathematics.
_MARK_NAMES = {mark: name for name, mark in _MARKS.items()}
_RAISED = {chr(sign): chr(plain) for plain, sign in _SUPERSCRIPTS.items()} | {
    "⁻": "-",
    "ˣ": "x",
    "ᶻ": "z",
}
_RAISED["ᵀ"] = r"\top "
_SUNK = {chr(sign): chr(plain) for plain, sign in _SUBSCRIPTS.items()} | {"₋": "-"}
_LOWERED = str.maketrans(_RAISED | _SUNK)
_SIGNS = "<>|" + "".join(sign for sign in _LATEX_CHARACTERS if not sign.isascii())
_TEXT_SIGN = re.compile(
    rf"\w[{''.join(_MARK_NAMES)}]|[{''.join(_RAISED)}]+|[{''.join(_SUNK)}]+|[{_SIGNS}]"
)
_TEXT_PIECES = re.compile(rf"((?:{_TEXT_SIGN.pattern})+)")
_ALONE = re.compile(
    r"(?<![a-zà-ɏ])[^\W\d_](?![a-zà-ɏ])"
)  # ŷ or Wŷ, but not the ñ of señor


@dataclass(frozen=True)
class Identifier:
    r"""A letter or a name; ``upright`` for functions and words.

    >>> to_latex(Identifier("softmax", upright=True))
    '\\operatorname{softmax}'
    """

    text: str
    upright: bool = False


@dataclass(frozen=True)
class Number:
    """A number, as text.

    >>> to_text(Number("3.5"))
    '3.5'
    """

    text: str


@dataclass(frozen=True)
class Operator:
    """An operator sign; ``spaced`` puts a space on both sides.

    >>> to_text(Operator("+", spaced=True))
    ' + '
    """

    text: str
    spaced: bool = False


@dataclass(frozen=True)
class Text:
    """Text inside a formula.

    >>> to_text(Text("if"))
    'if'
    """

    text: str


@dataclass(frozen=True)
class Row:
    """A sequence of formulas.

    >>> to_text(Row((Number("2"), Identifier("x"))))
    '2x'
    """

    items: tuple[Formula, ...]


@dataclass(frozen=True)
class Scripts:
    """A base with a subscript, a superscript, or both.

    >>> to_text(Scripts(Identifier("W"), lower=Number("1"), upper=Identifier("T")))
    'W₁ᵀ'
    """

    base: Formula
    lower: Formula | None = None
    upper: Formula | None = None


@dataclass(frozen=True)
class Fraction:
    """A fraction; ``inline`` writes it with a slash in LaTeX too.

    >>> to_text(Fraction(Identifier("a"), Identifier("b")))
    'a/b'
    """

    over: Formula
    under: Formula
    inline: bool = False


@dataclass(frozen=True)
class Root:
    """A square root.

    >>> to_text(Root(Identifier("x")))
    '√x'
    """

    body: Formula


@dataclass(frozen=True)
class Accent:
    """A formula with a hat, bar, tilde or dot above.

    >>> to_text(Accent(Identifier("y"), "hat"))
    'ŷ'
    """

    base: Formula
    mark: str


@dataclass(frozen=True)
class Fenced:
    """A formula in parentheses or other delimiters.

    >>> to_text(Fenced(Identifier("x"), "[", "]"))
    '[x]'
    """

    body: Formula
    left: str = "("
    right: str = ")"


@dataclass(frozen=True)
class Grid:
    """A matrix, as rows of formulas.

    >>> to_text(Grid(((Number("1"), Number("0")), (Number("0"), Number("1")))))
    '[1  0; 0  1]'
    """

    rows: tuple[tuple[Formula, ...], ...]


_SUM = Operator("Σ")
Formula = (
    Identifier
    | Number
    | Operator
    | Text
    | Row
    | Scripts
    | Fraction
    | Root
    | Accent
    | Fenced
    | Grid
)


def row(*items: Formula) -> Formula:
    """Return a sequence of formulas, with nested rows flattened.

    >>> to_text(row(Identifier("a"), Operator("+", spaced=True), Number("1")))
    'a + 1'
    """
    flat: list[Formula] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Row) else [item])
    return flat[0] if len(flat) == 1 else Row(tuple(flat))


def join(items: Sequence[Formula], separator: Formula) -> Formula:
    """Return formulas with a separator between them.

    >>> to_text(join([Number("1"), Number("2")], Operator(", ")))
    '1, 2'
    """
    parts: list[Formula] = []
    for position, item in enumerate(items):
        parts.extend([separator, item] if position else [item])
    return row(*parts)


def identifier(name: str) -> Formula:
    """Return the formula of a variable name: ``W_1``, ``y_hat``, ``alpha``, ``delta_2``, ``x'``.

    >>> to_text(identifier("W_1")), to_text(identifier("y_hat")), to_text(identifier("delta_h_p"))
    ('W₁', 'ŷ', 'δ_hₚ')
    """
    primes = len(name) - len(name.rstrip("'"))
    if primes:
        return Scripts(identifier(name[:-primes]), upper=Operator("′" * primes))
    parts = [part for part in name.split("_") if part]
    marks = [part for part in parts[1:] if part in _MARKS]
    rest = [part for part in parts[1:] if part not in _MARKS]
    base = parts[0] if parts else name
    for mark in _MARKS:
        if base.endswith(mark) and len(base) == len(mark) + 1:
            base, marks = base[0], [mark, *marks]
    digits = base[len(base.rstrip("0123456789")) :]
    if digits and base != digits:
        base, rest = base[: -len(digits)], [digits, *rest]
    letter = GREEK.get(base, base)
    result: Formula = Identifier(letter, upright=len(letter) > 1)
    for mark in marks:
        result = Accent(result, mark)
    if not rest:
        return result
    if len(rest) > 1 and not rest[0].isdigit():
        return Scripts(result, lower=identifier("_".join(rest)))
    lower = [Number(part) if part.isdigit() else identifier(part) for part in rest]
    return Scripts(
        result, lower=join(lower, Operator(",")) if len(lower) > 1 else lower[0]
    )


def to_text(formula: Formula) -> str:
    """Return a formula as one line of Unicode text.

    >>> to_text(Fraction(Identifier("x"), Scripts(Identifier("n"), upper=Number("2"))))
    'x/n²'
    """
    if isinstance(formula, (Identifier, Number, Text)):
        return formula.text
    if isinstance(formula, Operator):
        return f" {formula.text} " if formula.spaced else formula.text
    if isinstance(formula, Row):
        return "".join(to_text(item) for item in formula.items)
    if isinstance(formula, Scripts):
        return (
            to_text(formula.base)
            + _script(formula.lower, _SUBSCRIPTS, "_")
            + _script(formula.upper, _SUPERSCRIPTS, "^")
        )
    if isinstance(formula, Fraction):
        is_product = _is_product(formula.over)
        over = to_text(formula.over) if is_product else _parenthesised(formula.over)
        is_root = isinstance(formula.under, Root)
        under = to_text(formula.under) if is_root else _parenthesised(formula.under)
        return f"{over}/{under}"
    if isinstance(formula, Root):
        return f"√{_parenthesised(formula.body)}"
    if isinstance(formula, Accent):
        return unicodedata.normalize(
            "NFC", to_text(formula.base) + _MARKS[formula.mark]
        )
    if isinstance(formula, Fenced):
        return f"{formula.left}{to_text(formula.body)}{formula.right}"
    rows = ["  ".join(to_text(cell) for cell in cells) for cells in formula.rows]
    return f"[{'; '.join(rows)}]"


def _script(formula: Formula | None, table: dict[int, int], sign: str) -> str:
    if formula is None:
        return ""
    text = to_text(formula)
    if set(text) <= {"′"}:
        return text
    translated = text.translate(table)
    if translated != text and all(ord(character) in table for character in text):
        return translated
    is_single = len(text) == 1 or isinstance(formula, (Scripts, Identifier))
    return f"{sign}{text}" if is_single else f"{sign}({text})"


def _parenthesised(formula: Formula) -> str:
    text = to_text(formula)
    if isinstance(formula, (Identifier, Number, Scripts, Accent, Fenced, Grid)):
        return text
    is_derivative = isinstance(formula, Row) and len(formula.items) == 2
    return text if is_derivative and text[0] == "∂" else f"({text})"


def _is_product(formula: Formula) -> bool:
    """Return whether a row has no operator that binds less tightly than a slash."""
    return isinstance(formula, Row) and not any(
        isinstance(i, Operator) and i.text not in {" ", "∂"} for i in formula.items
    )


def to_latex(formula: Formula) -> str:
    r"""Return a formula in LaTeX, for KaTeX or TeX with amsmath and amssymb.

    >>> print(to_latex(Fraction(Identifier("x"), Number("2"))))
    \frac{x}{2}
    """
    if isinstance(formula, Identifier):
        body = _latex_characters(formula.text)
        if formula.upright and len(formula.text) > 1 and formula.text.isalpha():
            return rf"\operatorname{{{body}}}"
        return rf"\mathrm{{{body}}}" if formula.upright else body
    if isinstance(formula, Text):
        return rf"\text{{{escape_text(formula.text)}}}"
    if isinstance(formula, (Number, Operator)):
        return r"\sum " if formula == _SUM else _latex_characters(formula.text)
    if isinstance(formula, Row):
        return "".join(to_latex(item) for item in formula.items)
    if isinstance(formula, Scripts):
        formula = _merged(formula)
        base = to_latex(formula.base)
        base = rf"{{{base}}}" if isinstance(formula.base, (Scripts, Row)) else base
        lower = f"_{{{to_latex(formula.lower)}}}" if formula.lower else ""
        return base + lower + (_latex_upper(formula.upper) if formula.upper else "")
    if isinstance(formula, Fraction):
        if formula.inline:
            return f"{to_latex(formula.over)}/{to_latex(formula.under)}"
        return rf"\frac{{{to_latex(formula.over)}}}{{{to_latex(formula.under)}}}"
    if isinstance(formula, Root):
        return rf"\sqrt{{{to_latex(formula.body)}}}"
    if isinstance(formula, Accent):
        return rf"\{formula.mark}{{{to_latex(formula.base)}}}"
    if isinstance(formula, Fenced):
        return rf"\left{_latex_fence(formula.left)}{to_latex(formula.body)}\right{_latex_fence(formula.right)}"
    cells = r" \\ ".join(
        " & ".join(to_latex(cell) for cell in line) for line in formula.rows
    )
    return rf"\begin{{pmatrix}}{cells}\end{{pmatrix}}"


def escape_text(text: str) -> str:
    r"""Return text escaped for the text mode of LaTeX; mathematical signs are set in math mode.

    >>> print(escape_text("50 % of {a_1} ~ $2^3, ŷ < β₁² of señor"))
    50 \% of \{a\_1\} \textasciitilde{} \$2\textasciicircum{}3, $\hat{y}$ $<$ $\beta _{1}^{2}$ of señor
    """
    marked = _ALONE.sub(lambda letter: unicodedata.normalize("NFD", letter[0]), text)
    parts = _TEXT_PIECES.split(marked)  # words and mathematics in turn
    words = [
        "".join(_LATEX_TEXT.get(letter, letter) for letter in part)
        for part in parts[::2]
    ]
    signs = ["".join(map(_text_sign, _TEXT_SIGN.findall(part))) for part in parts[1::2]]
    signs = [f"${sign.strip()}$" for sign in signs]
    return "".join(
        word + sign for word, sign in itertools.zip_longest(words, signs, fillvalue="")
    )


def _text_sign(sign: str) -> str:
    """Return LaTeX for an accented letter, a run of superscripts or subscripts, or a single sign."""
    if sign[-1] in _MARK_NAMES:
        return rf"\{_MARK_NAMES[sign[-1]]}{{{_latex_characters(sign[:-1])}}}"
    if sign[0] in _RAISED:
        return f"^{{{sign.translate(_LOWERED)}}}"
    if sign[0] in _SUNK:
        return f"_{{{sign.translate(_LOWERED)}}}"
    return _latex_characters(sign)


def _merged(formula: Scripts) -> Scripts:
    """Return (W₁)ᵀ as W with both scripts."""
    inner = formula.base
    if isinstance(inner, Scripts) and inner.upper is None and formula.lower is None:
        return Scripts(inner.base, inner.lower, formula.upper)
    return formula


def _latex_upper(upper: Formula) -> str:
    text = to_text(upper)
    if set(text) == {"′"}:
        return "'" * len(text)
    return r"^{\top}" if text == "T" else f"^{{{to_latex(upper)}}}"


def _latex_fence(fence: str) -> str:
    return {"‖": r"\Vert ", "|": r"\vert "}.get(
        fence, _latex_characters(fence) if fence in "{}⌊⌋⟨⟩" else fence
    )


def _latex_characters(text: str) -> str:
    return "".join(_LATEX_CHARACTERS.get(character, character) for character in text)


def to_mathml(formula: Formula) -> str:
    """Return a formula in presentation MathML (MathML Core, which browsers display natively).

    >>> to_mathml(Number("2"))
    '<math xmlns="http://www.w3.org/1998/Math/MathML"><mn>2</mn></math>'
    """
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML">{_mathml(formula)}</math>'


def _mathml(formula: Formula) -> str:
    if isinstance(formula, Identifier):
        is_upright_letter = formula.upright and len(formula.text) == 1
        variant = ' mathvariant="normal"' if is_upright_letter else ""
        return f"<mi{variant}>{escape(formula.text)}</mi>"
    if isinstance(formula, Number):
        return f"<mn>{escape(formula.text)}</mn>"
    if isinstance(formula, Text):
        return f"<mtext>{escape(formula.text)}</mtext>"
    if isinstance(formula, Operator):
        after = "0.3em" if len(formula.text) > 1 and formula.text.endswith(" ") else "0"
        space = "" if formula.spaced else f' lspace="0" rspace="{after}"'
        return f"<mo{space}>{escape(formula.text)}</mo>"
    if isinstance(formula, Row):
        return f"<mrow>{''.join(_mathml(item) for item in formula.items)}</mrow>"
    if isinstance(formula, Scripts):
        formula = _merged(formula)
        parts = "".join(
            _mathml(part)
            for part in (formula.base, formula.lower, formula.upper)
            if part is not None
        )
        lower, upper = "sub" if formula.lower else "", "sup" if formula.upper else ""
        tag = f"m{lower}{upper}"
        return f"<{tag}>{parts}</{tag}>"
    if isinstance(formula, Fraction):
        return f"<mfrac>{_mathml(formula.over)}{_mathml(formula.under)}</mfrac>"
    if isinstance(formula, Root):
        return f"<msqrt>{_mathml(formula.body)}</msqrt>"
    if isinstance(formula, Accent):
        return f'<mover accent="true">{_mathml(formula.base)}<mo>{_MATHML_MARKS[formula.mark]}</mo></mover>'
    if isinstance(formula, Fenced):
        left, right = escape(formula.left), escape(formula.right)
        return f'<mrow><mo fence="true">{left}</mo>{_mathml(formula.body)}<mo fence="true">{right}</mo></mrow>'
    cells = "".join(
        f"<mtr>{''.join(f'<mtd>{_mathml(cell)}</mtd>' for cell in line)}</mtr>"
        for line in formula.rows
    )
    return f'<mrow><mo fence="true">(</mo><mtable>{cells}</mtable><mo fence="true">)</mo></mrow>'
