r"""The tokens of a formula in LaTeX, Unicode or ASCII mathematics: one lexer, so that the three may be mixed.

Raised and lowered characters become ``^{…}`` and ``_{…}``, LaTeX commands the character that they draw, fonts and
spacing nothing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import NoReturn

from deltarule.errors import ArgumentError
from deltarule.render.mathematics import GREEK

MOST_CHARACTERS, MOST_BRACKETS, MOST_TOKENS = 16000, 50, 16000
_MOST_FONTS = 10
_COMMANDS = (
    r"(?:\\(?:hat|bar|tilde|mathbf|boldsymbol|bm|mathrm|vec)\s*)*\\(?:[A-Za-z]+|.)"
)
_LETTER = r"(?:[A-Za-zÀ-ɏͰ-ΠΤ-Ͽ\u1e00-\u1effℓ][\u0300-\u036f]*)"
_WORD = re.compile(_LETTER + "+")
_NUMBER = re.compile(
    r"[0-9]+(?:\.[0-9]+|\.(?![0-9A-Za-z^*/'|+<>=-]))?(?:[eE][+-]?[0-9]+)?|\.[0-9]+"
)


def _table(text: str) -> dict[str, str]:
    """Return a table written as alternate keys and values."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _words(text: str) -> set[str]:
    """Return the words of a text."""
    return set(text.split())


_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺⁽⁾ᵀⁱʲᵏⁿᴺᵐᵗˣᶻ⊤⊺"
_RAISED_PLAIN = str.maketrans(_RAISED, "0123456789-+()⊤ijknNmtxz⊤⊤")
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
_LOWERED_PLAIN = str.maketrans(_LOWERED, "0123456789+-=()aehijklmnoprstuvx")
_SAME = dict(
    zip("−–⋅∙•∘○⨀∑′’∥⟦⟧≔ϕϵ𝟏∗⊺\u00a0", "--···⊙⊙⊙Σ''‖[]=φε𝟙*⊤ ", strict=True)
)  # characters of one meaning
_ARROWS = "\u20d7\u20d1\u20d6"  # above a letter: vectors
_PAIRS = (  # with a dot: the entry-wise operators of MATLAB and Julia
    *[".<=", ".>=", ".==", "<=", ">=", "==", "!=", "**", ":=", "=:", "||"],
    *[".*", ".T", "./", ".+", ".-", ".^", ".'", ".<", ".>", ".("],
)
_PAIR_MEANS = {
    "<=": "≤",
    ">=": "≥",
    "==": "=",
    "!=": "≠",
    "**": "^",
    ":=": "=",
    "||": "‖",
    ".*": "⊙",
    "./": "/",
    ".+": "+",
    ".-": "-",
    ".'": "'",
    ".<": "<",
    ".>": ">",
    ".<=": "≤",
    ".>=": "≥",
    ".==": "=",
    ".(": "(",
}
_HALVES = {
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    "⅕": "1/5",
    "⅛": "1/8",
}
_SPACING = _words(
    "left right bigl bigr Bigl Bigr big Big bigg Bigg biggl biggr "
    "displaystyle textstyle limits nolimits quad qquad mathop mathrel mathbin "
    "middle nonumber notag hfill thinspace allowbreak"
)
_FONTS = _words(
    "boldsymbol mathbf mathrm mathsf mathit mathcal mathscr mathbb mathbbm "
    "mathds mathtt operatorname text textbf textrm textit bm vec underline "
    "mathfrak pmb bf rm symbf mbox"
)
_DELIMITERS = re.compile("left|right|middle|[bB]igg?[lr]?")  # before brackets
_ACCENTS = _table(
    "hat \u0302 widehat \u0302 bar \u0304 overline \u0304 tilde \u0303 widetilde \u0303 dot \u0307"
)
_SIGNS = _table(
    "odot ⊙ circ ⊙ bullet · cdot · times × otimes ⊗ top ⊤ intercal ⊤ ge ≥ geq ≥ "
    "geqslant ≥ le ≤ leq ≤ leqslant ≤ gt > lt < ne ≠ neq ≠ partial ∂ nabla ∇ "
    "sum Σ Vert ‖ lVert ‖ rVert ‖ | ‖ vert | lvert | rvert | mid | prime ' star "
    "⋆ ast * infty ∞ langle ⟨ rangle ⟩ lbrace ( rbrace ) { ( } ) lfloor ⌊ "
    "rfloor ⌋ land ∧ wedge ∧ coloneqq = colon : in ∈ to → % % _ _ & & "
) | dict.fromkeys(",;:!> ()[]", " ")
_LETTERS = {
    "varepsilon": "ε",
    "vartheta": "θ",
    "varphi": "φ",
    "varrho": "ρ",
    "varsigma": "σ",
    "ell": "ℓ",
}
_STRUCTURES = {
    "frac": "frac",
    "tfrac": "frac",
    "dfrac": "frac",
    "cfrac": "frac",
    "sqrt": "sqrt",
}
_FUNCTION_WORDS = _words(
    "log ln exp tanh sin cos tan sinh cosh sech coth max min det tr diag arg "
    "argmax argmin Tr ReLU relu sigmoid softmax sign sgn"
)


@dataclass(frozen=True)
class Token:
    """A lexical unit of a formula and the range of its characters; ``spaced`` where white space precedes it."""

    kind: str  # number, word, sign, structure, begin, end of an environment, end
    text: str
    at: int
    end: int
    spaced: bool = False
    unit: bool = False  # a word that is one name: \operatorname{relu}


def tokenize(text: str) -> list[Token]:
    r"""Return the tokens of a formula, an ``end`` token last.

    Raises:
        ArgumentError: the formula is too long or too deeply nested, or has a character or command that is unknown.

    >>> [token.text for token in tokenize(r"\hat y_1^\top")]
    ['ŷ', '_', '1', '^', '⊤', '']
    """
    check_extent(text)
    plain = "".join(
        _plain(character) for character in unicodedata.normalize("NFC", text)
    )
    tokens = _Lexer(plain).tokens
    if len(tokens) > MOST_TOKENS:
        raise ArgumentError(
            "formula", expected=f"at most {MOST_TOKENS} symbols", got=str(len(tokens))
        )
    return tokens


def fail(text: str, at: int, expected: str, got: str, hint: str = "") -> NoReturn:
    """Raise the error of a formula that cannot be parsed, with a caret at the position."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    column = at - start
    cut = max(0, column - 60)
    shown = (
        ("…" if cut else "")
        + line[cut : column + 60]
        + ("…" if len(line) > column + 60 else "")
    )
    caret = " " * (column - cut + bool(cut)) + "^"
    raise ArgumentError(
        f"formula, position {at + 1}",
        expected=expected,
        got=got if got == "the end" else repr(shown_part(got)),
        hint=f"{shown}\n  {caret}" + (f"\n  {hint}" if hint else ""),
    )


def shown_part(text: str) -> str:
    """Return the beginning of a long text.

    >>> shown_part("x" * 100)[-3:]
    'xx…'
    """
    return text if len(text) <= 40 else text[:39] + "…"


def check_extent(text: str) -> None:
    """Refuse a formula that no person writes by hand.

    >>> check_extent("(" * 200)
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: formula: expected brackets at most 50 deep, got 200.
    """
    if len(text) > MOST_CHARACTERS:
        raise ArgumentError(
            "formula",
            expected=f"at most {MOST_CHARACTERS} characters",
            got=str(len(text)),
        )
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > MOST_BRACKETS:
        raise ArgumentError(
            "formula",
            expected=f"brackets at most {MOST_BRACKETS} deep",
            got=str(deepest),
        )


def _plain(character: str) -> str:
    """Return a character without its typeface: 𝐱 is x."""
    if character in _SAME:
        return _SAME[character]
    if character in _ARROWS:
        return ""
    if "\U0001d400" <= character <= "\U0001d7cb":
        return unicodedata.normalize("NFKC", character)
    return character


class _Lexer:
    def __init__(self, text: str, depth: int = 0) -> None:
        self._text = text
        self._depth = depth
        self._at = 0
        self._spaced = False
        self.tokens: list[Token] = []
        while self._at < len(text):
            self._step()
        self._emit("end", "", len(text), len(text))

    def _emit(
        self, kind: str, text: str, at: int, end: int, unit: bool = False
    ) -> None:
        self.tokens.append(Token(kind, text, at, end, self._spaced, unit))
        self._spaced = False

    def _step(self) -> None:
        at, text = self._at, self._text
        character = text[at]
        if character == "\n" or character in " \t\r~$":
            if character == "\n" and not self._inside():
                self._emit("sign", "\n", at, at + 1)
            self._spaced = True
            self._at += 1
        elif character == "\\":
            self._command()
        elif character in "ᵀ⊤" and self.tokens and self.tokens[-1].text == "^":
            self._emit("word", "⊤", at, at + 1)
            self._at += 1
        elif character in _RAISED or character in _LOWERED:
            self._script(character in _RAISED)
        elif match := _NUMBER.match(text, at):
            self._emit("number", match.group(), at, match.end())
            self._at = match.end()
        elif match := _WORD.match(text, at):
            self._emit(
                "word", unicodedata.normalize("NFC", match.group()), at, match.end()
            )
            self._at = match.end()
        elif character in _HALVES:
            self._half(character)
        else:
            self._sign()

    def _inside(self) -> bool:
        depth = sum(
            (t.text in "([{") - (t.text in ")]}")
            for t in self.tokens
            if t.kind == "sign" and t.text
        )
        return depth > 0 or any(t.kind == "begin" for t in self.tokens)

    def _sign(self) -> None:
        at, text = self._at, self._text
        pair = next((pair for pair in _PAIRS if text.startswith(pair, at)), None)
        if pair == ".T" and not re.match(r"\.T(?![A-Za-z])", text[at:]):
            pair = None
        if pair == ".T":
            self._emit("sign", "^", at, at + 1)
            self._emit("word", "⊤", at + 1, at + 2)
            self._at += 2
            return
        if pair == ".^":
            self._emit("sign", "^", at, at + 1)
            self._emit("sign", "⊙", at + 1, at + 2)
            self._at += 2
            return
        sign = _PAIR_MEANS.get(pair, pair) if pair else text[at]
        size = len(pair) if pair else 1
        if sign == "𝟙":
            self._emit("word", "𝟙", at, at + 1, unit=True)
        elif sign == "=:":  # the short name of a derivative, after the formula
            self._at = len(text)
            return
        else:
            self._emit("word" if sign == "⊤" else "sign", sign, at, at + size)
        self._at += size

    def _half(self, character: str) -> None:
        for sign in ("(", *re.split("(/)", _HALVES[character]), ")"):
            self._emit(
                "number" if sign.isdigit() else "sign", sign, self._at, self._at + 1
            )
        self._at += 1

    def _script(self, raised: bool) -> None:
        """Write a run of raised or lowered characters as ^{…} or _{…}; a transpose sign has its own."""
        letters, table = (
            (_RAISED, _RAISED_PLAIN) if raised else (_LOWERED, _LOWERED_PLAIN)
        )
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in letters:
            self._at += 1
        run = self._text[start : self._at].translate(table)
        pieces = re.findall(r"-?⊤|[^⊤]+?(?=-?⊤|$)", run) if raised else [run]
        for piece in pieces:
            self._emit("sign", "^" if raised else "_", start, start)
            self._emit("sign", "{", start, start)
            for part in re.findall(r"[0-9]+|[^0-9]", piece):
                kind = (
                    "number"
                    if part.isdigit()
                    else "word"
                    if part.isalpha() or part == "⊤"
                    else "sign"
                )
                self._emit(kind, part, start, start)
            self._emit("sign", "}", start, self._at)

    # ---------------------------------------------------------------- LaTeX

    def _command(self) -> None:
        start = self._at
        match = re.compile(r"\\([A-Za-z]+)\*?|\\(.)", re.S).match(self._text, start)
        if match is None:
            fail(self._text, start, "a LaTeX command", "\\")
        name = match.group(1) or match.group(2)
        self._at = match.end()
        if name == "\\":
            self._emit("sign", "\\\\", start, self._at)
        elif name in _SPACING:
            follows = re.compile(r"\s*\.").match(self._text, self._at)
            self._at = (
                follows.end() if follows and name in {"left", "right"} else self._at
            )
            self._spaced = self._spaced or not _DELIMITERS.fullmatch(name)
        elif name in {"begin", "end"}:
            group = re.compile(r"\s*\{([^{}]*)\}(?:\{[^{}]*\})?").match(
                self._text, self._at
            )
            if group is None:
                fail(
                    self._text,
                    self._at,
                    "the name of an environment in braces",
                    self._text[self._at : self._at + 1],
                )
            self._at = group.end()
            kind = group.group(1).rstrip("*")
            if kind not in {
                "align",
                "aligned",
                "equation",
                "gather",
                "gathered",
                "split",
                "math",
                "displaymath",
            }:
                self._emit(
                    "begin" if name == "begin" else "close", kind, start, self._at
                )
        elif name in _FONTS:
            self._font(name)
        elif name in _ACCENTS:
            self._accent(_ACCENTS[name])
        elif name in _STRUCTURES:
            self._emit("structure", _STRUCTURES[name], start, self._at)
        elif name in {"bmod", "label", "tag"}:
            fail(self._text, start, "a formula", f"\\{name}")
        else:
            self._named(name, start)

    def _named(self, name: str, start: int) -> None:
        if name in GREEK or name in _LETTERS:
            self._emit(
                "word", GREEK.get(name) or _LETTERS[name], start, self._at, unit=True
            )
        elif name in _SIGNS:
            sign = _SIGNS[name]
            if sign == " ":
                self._spaced = True
            else:
                self._emit("word" if sign == "⊤" else "sign", sign, start, self._at)
        elif name in _FUNCTION_WORDS:
            self._emit("word", name, start, self._at, unit=True)
        elif name == "mathbbold":
            self._font(name)
        else:
            fail(
                self._text,
                start,
                "a LaTeX command of mathematics",
                f"\\{name}",
                "Names consist of letters, indices, accents such as \\hat, and Greek letters.",
            )

    def _group(self) -> tuple[str, int, int]:
        """Return the argument of a command (a braced group, a command or a character) and its range."""
        text = self._text
        while self._at < len(text) and text[self._at].isspace():
            self._at += 1
        start = self._at
        if start >= len(text):
            fail(text, start, "the argument of a command", "the end")
        if text[start] == "\\":
            match = re.compile(_COMMANDS, re.S).match(text, start)
            self._at = match.end() if match else start + 1
            command = match.group().rpartition("\\")[2] if match else ""
            if command in _FONTS | set(_ACCENTS):
                self._brace()
            return text[start : self._at], start, self._at
        if text[start] != "{":
            self._at += 1
            while self._at < len(text) and unicodedata.combining(text[self._at]):
                self._at += 1
            return text[start : self._at], start, self._at
        depth = 0
        for place in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                self._at = place + 1
                return text[start + 1 : place], start + 1, place
        fail(text, start, "a closing brace", "the end")

    def _brace(self) -> None:
        """Skip a braced group or a character."""
        text = self._text
        while self._at < len(text) and text[self._at].isspace():
            self._at += 1
        depth = 0
        while self._at < len(text):
            depth += {"{": 1, "}": -1}.get(text[self._at], 0)
            self._at += 1
            if depth == 0:
                return

    def _font(self, name: str) -> None:
        start = self._at
        content, at, end = self._group()
        plain = content.strip()
        if plain == "1" and name != "text":
            self._emit("word", "𝟙", at, end, unit=True)
        elif re.fullmatch(r"[A-Za-z]+", plain):
            word = (
                "⊤"
                if plain == "T"
                and name in {"mathsf", "mathrm", "text", "mathit", "intercal"}
                else plain
            )
            unit = len(plain) > 1 and name not in {"text", "textrm", "mbox"}
            self._emit("word", word, at, end, unit=unit)
        elif not plain:
            self._spaced = True
        else:
            tokens = self._inner(content, at)
            simple = (
                len(tokens) == 1
                or name == "text"
                or not any(t.text in {"+", "-", "·"} for t in tokens)
            )
            if not simple:
                self._emit("sign", "{", start, at)
            self.tokens.extend(tokens)
            if not simple:
                self._emit("sign", "}", end, end + 1)

    def _accent(self, mark: str) -> None:
        content, at, _ = self._group()
        tokens = self._inner(content, at)
        if not tokens or tokens[0].kind != "word":
            fail(self._text, at, "a letter under an accent", content[:1] or "the end")
        first = tokens[0]
        word = unicodedata.normalize("NFC", first.text + mark)
        self.tokens.append(replace(first, text=word, unit=True))
        self.tokens.extend(tokens[1:])

    def _inner(self, content: str, at: int) -> list[Token]:
        if self._depth > _MOST_FONTS:
            fail(
                self._text, 0, "accents and fonts that are nested less deeply", content
            )
        inner = _Lexer(content, self._depth + 1).tokens[:-1]
        return [replace(token, at=token.at + at, end=token.end + at) for token in inner]
