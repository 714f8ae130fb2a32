r"""Formulas as people type them — LaTeX, Unicode or ASCII mathematics — to terms, with errors that point.

Juxtaposition and · are the matrix product where the sizes agree, and scale where one side is a number; ⊙ is
element by element; ``*`` is whichever of the two fits. ᵀ, ^T, ^\top and ' transpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.formula.algebra import (
    add,
    common_shape,
    divide,
    exact,
    matmul,
    multiply,
    negate,
    number,
    power,
    transpose,
)
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Apply, Indicator, Symbol, Term, is_number
from deltarule.explain.grading import latex
from deltarule.explain.grading.known_functions import FUNCTIONS, norm, parameter_node
from deltarule.graph import build
from deltarule.shapes import Shape, show

_NAME = re.compile(
    r"[A-Za-zͰ-Ͽ\u1d00-\u1dbf𝟙ℓ][\u0300-\u036f]*(?:_\{[^{}]*\}|_[A-Za-z0-9]+|[₀-₉ₐ-ₜᵢᵣᵤᵥⱼ]+)*'*"
)
_WORD = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+")
_RELATIONS = {
    ">": ">",
    "<": "<",
    "≥": "≥",
    "≤": "≤",
    ">=": "≥",
    "<=": "≤",
    "==": "=",
    "=": "=",
    "≠": "≠",
    "!=": "≠",
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SIGNS = ("<=", ">=", "==", "!=", "**", "@")


@dataclass(frozen=True)
class Token:
    """A piece of a formula and its position."""

    kind: str  # number, name, function, sign, superscript, end
    text: str
    at: int


_MOST_CHARACTERS, _MOST_BRACKETS = 4000, 50
_PREFIX = {
    "log",
    "ln",
    "exp",
    "tanh",
    "sin",
    "cos",
    "sum",
    "Sigma",
    "diag",
    "sign",
    "sgn",
    "tr",
}


def parse(text: str, known: Mapping[str, Symbol]) -> Term:
    """Return the term of a formula; ``known`` maps canonical names to symbols.

    Raises:
        ArgumentError: the text is no formula; the message shows the place and what was expected there.
        ShapeError: a product or sum of sizes that do not fit.
    """
    _check_extent(text)
    plain = latex.to_plain(text) if "\\" in text else text
    plain = re.sub(
        r"\^\s*(?:\{\s*T\s*\}|\(\s*T\s*\)|T(?![A-Za-z])|⊤|⊺)|\.T(?![A-Za-z])",
        "ᵀ",
        _right_side(plain),
    )
    plain = re.sub(
        r"[½¼¾]",
        lambda match: {"½": "(1/2)", "¼": "(1/4)", "¾": "(3/4)"}[match.group()],
        plain,
    )
    return _Parser(plain, known).whole()


def _check_extent(text: str) -> None:
    """Refuse what no person writes by hand: it would only exhaust the reader."""
    if len(text) > _MOST_CHARACTERS:
        raise ArgumentError(
            "formula",
            expected=f"at most {_MOST_CHARACTERS} characters",
            got=str(len(text)),
        )
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > _MOST_BRACKETS:
        raise ArgumentError(
            "formula",
            expected=f"brackets at most {_MOST_BRACKETS} deep",
            got=str(deepest),
        )


def _right_side(text: str) -> str:
    """Drop ∂L/∂W = in front."""
    match = re.match(r"\s*(?:∂|d|∇|grad|δ|Δ|delta)[^=<>≥≤()]*=(?!=)", text)
    return text[match.end() :] if match else text


class _Parser:
    def __init__(self, text: str, known: Mapping[str, Symbol]) -> None:
        self._text = text
        self._known = known
        self._tokens = list(self._split())
        self._next = 0

    # ---------------------------------------------------------------- tokens

    def _split(self) -> list[Token]:
        tokens: list[Token] = []
        at = 0
        while at < len(self._text):
            character = self._text[at]
            if character.isspace():
                at += 1
                continue
            token = self._token(at)
            tokens.append(token)
            at += len(token.text)
        return [*tokens, Token("end", "", len(self._text))]

    def _token(self, at: int) -> Token:
        rest = self._text[at:]
        derivative = re.match(r"∂\s*(\w+)\s*/\s*∂\s*(" + _NAME.pattern + ")", rest)
        if (
            derivative
            and f"d{derivative.group(1)}/d{canonical(derivative.group(2))}"
            in self._known
        ):
            return Token("name", derivative.group(0), at)
        match = _NUMBER.match(rest)
        if match:
            return Token("number", match.group(), at)
        sign = next((s for s in _SIGNS if rest.startswith(s)), None)
        if sign:
            return Token("sign", sign, at)
        raised = re.match(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ]+", rest)
        if raised:
            return Token(
                "superscript",
                raised.group()[0]
                if raised.group()[0] == "ᵀ"
                else raised.group().rstrip("ᵀ"),
                at,
            )
        name = self._longest_name(rest)
        if name:
            return Token("function" if self._is_function(name) else "name", name, at)
        if rest[0].isalpha():
            word = _WORD.match(rest)
            self._fail(at, "a known name", word.group() if word else rest[0])
        return Token("sign", rest[0], at)

    def _longest_name(self, rest: str) -> str:
        """Return the longest prefix that names a symbol or a function."""
        if rest.startswith(("𝟙", "Σ", "√")):
            return rest[0]
        limit = min(len(rest), 24)
        for length in range(limit, 0, -1):
            piece = rest[:length]
            if not re.fullmatch(r"[\w\u0300-\u036f{}'′𝟙ℓ]+", piece) or piece.count(
                "{"
            ) != piece.count("}"):
                continue
            if not (piece[0].isalpha() or piece[0] in "𝟙"):
                continue
            following = rest[length : length + 1]
            if re.fullmatch(r"[\u0300-\u036f]", following or " ") or self._splits_word(
                piece, following
            ):
                continue
            name = canonical(piece)
            if name in self._known or self._is_function(piece):
                return piece
        return ""

    def _splits_word(self, piece: str, following: str) -> bool:
        """Whether a name would end inside an ASCII word or before its own index."""
        if following in {"_"} or (
            following and following in "₀₁₂₃₄₅₆₇₈₉" and piece[-1].isalpha()
        ):
            return canonical(piece) not in self._known or following == "_"
        return (
            bool(following)
            and following.isdigit()
            and following.isascii()
            and piece[-1].isalpha()
        )

    def _is_function(self, name: str) -> bool:
        if canonical(name) in self._known:
            return False
        return name in {"𝟙", "Σ", "√"} or self._function_name(name) in FUNCTIONS

    def _function_name(self, name: str) -> str:
        plain = canonical(name.replace("′", "'"))
        base = plain.rstrip("'")
        lowered = base if base in {"Sigma", "I"} else base.lower()
        return lowered + plain[len(base) :]

    # ---------------------------------------------------------------- helpers

    @property
    def _token_here(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, *texts: str) -> Token | None:
        token = self._token_here
        return self._take() if token.kind == "sign" and token.text in texts else None

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(
                self._token_here.at, f'"{text}"', self._token_here.text or "the end"
            )

    def _fail(self, at: int, expected: str, got: str) -> None:
        names = ", ".join(sorted(name for name in self._known if "/" not in name)[:24])
        raise ArgumentError(
            f"formula, position {at + 1}",
            expected=expected,
            got=repr(got),
            hint=f"{self._text}\n  {' ' * at}^\n  known names: {names}",
        )

    # ---------------------------------------------------------------- grammar

    def whole(self) -> Term:
        """Parse the text to its end."""
        term = self._sum()
        if self._token_here.kind != "end":
            self._fail(
                self._token_here.at, "an operator or the end", self._token_here.text
            )
        return term

    def _sum(self) -> Term:
        sign = self._accept("-", "−", "+")
        result = self._element_product()
        if sign and sign.text != "+":
            result = negate(result)
        while token := self._accept("+", "-", "−"):
            right = self._element_product()
            result = add(result, negate(right) if token.text != "+" else right)
        return result

    def _element_product(self) -> Term:
        result = self._product()
        while self._accept("⊙", "∘", "○"):
            result = self._hadamard(result, self._product())
        return result

    def _product(self) -> Term:
        result = self._power()
        while True:
            token = self._token_here
            if self._accept("/"):
                result = divide(result, self._power())
            elif self._accept("*"):
                result = self._star(result, self._power())
            elif (
                self._accept("·", "@", "⋅", "×")
                or token.kind in {"number", "name", "function"}
                or (token.kind == "sign" and token.text in "([{‖|")
            ):
                result = self._matrix(result, self._power(), token.at)
            else:
                return result

    def _hadamard(self, left: Term, right: Term) -> Term:
        return multiply(left, right)

    def _star(self, left: Term, right: Term) -> Term:
        if is_number(left.shape) or is_number(right.shape):
            return multiply(left, right)
        if len(left.shape) == 2 == len(right.shape) and left.shape[1] == right.shape[0]:
            return matmul(left, right)
        return multiply(left, right)

    def _matrix(self, left: Term, right: Term, at: int) -> Term:
        if left is _ONES or right is _ONES or left is _ONES_ROW or right is _ONES_ROW:
            return _with_ones(left, right)
        if left.shape == () or right.shape == ():
            return multiply(left, right)
        if len(left.shape) == 2 == len(right.shape) and left.shape[1] == right.shape[0]:
            return matmul(left, right)
        if is_number(left.shape) or is_number(right.shape):
            return multiply(left, right)
        raise ShapeError(
            f"product at position {at + 1}",
            expected=f"{show(left.shape)} to meet as many rows as it has columns",
            got=show(right.shape),
            hint="Transpose a factor, change the order, or use ⊙ for the element-wise product.",
        )

    def _power(self) -> Term:
        result = self._atom()
        while True:
            token = self._token_here
            if token.kind == "superscript":
                self._take()
                result = self._raised(
                    result, token.text.translate(_SUPERSCRIPTS), token.at
                )
            elif self._accept("^", "**"):
                result = self._raised(result, self._exponent(), token.at)
            elif self._accept("'", "′"):
                result = _turned(result)
            else:
                return result

    def _exponent(self) -> str:
        braced = self._accept("{", "(")
        minus = "-" if self._accept("-", "−") else ""
        half = ""
        token = self._take_exponent()
        if self._accept("/"):
            half = "/" + self._take().text
        if braced:
            self._expect("}" if braced.text == "{" else ")")
        return minus + token + half

    def _take_exponent(self) -> str:
        token = self._token_here
        if token.kind in {"number", "name"} or token.text in {"T", "⊤", "⊺", "ᵀ", "t"}:
            return self._take().text
        self._fail(token.at, "an exponent (T, 2, −1 …)", token.text or "the end")
        return ""

    def _raised(self, base: Term, exponent: str, at: int) -> Term:
        if exponent in {"T", "⊤", "⊺", "ᵀ", "top"} or (
            exponent == "t" and "t" not in self._known
        ):
            return _turned(base)
        if canonical(exponent) in self._known:
            return _variable_power(base, self._known[canonical(exponent)])
        try:
            value = Fraction(exponent)
        except (ValueError, ZeroDivisionError):
            self._fail(at, "a number or T as exponent", exponent)
            return base
        return power(base, value)

    def _atom(self) -> Term:
        token = self._take()
        if token.kind == "number":
            return number(exact(float(token.text)))
        if token.kind == "name":
            return self._symbol(token)
        if token.kind == "function":
            return self._call(token)
        if token.text in {"(", "[", "{"}:
            return self._inner({"(": ")", "[": "]", "{": "}"}[token.text])
        if token.text in {"‖", "|"}:
            inner = self._sum()
            self._expect(token.text)
            lower = self._accept("_")
            if lower:
                self._take()
            return (
                norm("norm", inner)
                if token.text == "‖"
                else FUNCTIONS["abs"]("abs", inner)
            )
        if token.text in {"-", "−"}:
            return negate(self._power())
        self._fail(
            token.at, "a name, a number or a parenthesis", token.text or "the end"
        )
        return number(Fraction(0))

    def _symbol(self, token: Token) -> Symbol:
        derivative = re.match(r"∂\s*(\w+)\s*/\s*∂\s*(.+)", token.text)
        if derivative:
            return self._known[
                f"d{derivative.group(1)}/d{canonical(derivative.group(2))}"
            ]
        return self._known[canonical(token.text)]

    def _inner(self, closing: str) -> Term:
        """Parse a parenthesis: a formula, or a relation, which is an indicator."""
        left = self._sum()
        token = self._token_here
        if token.kind == "sign" and token.text in _RELATIONS:
            self._take()
            right = self._sum()
            left = Indicator(
                _RELATIONS[token.text],
                left,
                right,
                common_shape([left.shape, right.shape]),
            )
        self._expect(closing)
        return left

    def _call(self, token: Token) -> Term:
        name = token.text
        if name == "𝟙":
            opening = self._accept("(", "{", "[", "_")
            if not opening:
                return _ONES
            if opening.text == "_":
                opening = self._accept("(", "{", "[") or opening
            return _as_indicator(
                self._inner({"(": ")", "{": "}", "[": "]"}.get(opening.text, ")"))
            )
        if name == "Σ" and self._token_here.text != "{":  # Σ (a − b)² adds squares
            return FUNCTIONS["sum"]("sum", self._power())
        name = {"Σ": "sum", "√": "sqrt"}.get(name, self._function_name(name))
        opening = self._accept("(", "[", "{")
        if opening:
            inner = self._inner({"(": ")", "[": "]", "{": "}"}[opening.text])
            if name == "I" and isinstance(inner, Indicator):
                return inner
            return FUNCTIONS[name](name, inner)
        if name in _PREFIX or token.text in {"Σ", "√"}:
            return FUNCTIONS[name](name, self._power())
        self._fail(
            self._token_here.at,
            f'"(" after {token.text}',
            self._token_here.text or "the end",
        )
        return _ONES


def _variable_power(base: Term, exponent: Symbol) -> Term:
    """Return base to the power of a symbol."""
    shape = common_shape([base.shape, exponent.shape])
    parameters = (parameter_node("x", base.shape), parameter_node("y", exponent.shape))
    return Apply("power", (base, exponent), shape, build.power(*parameters), parameters)


def _as_indicator(term: Term) -> Term:
    return (
        term
        if isinstance(term, Indicator)
        else Indicator(">", term, number(Fraction(0)), term.shape)
    )


_ONES = number(Fraction(1), ("ones", 1))
_ONES_ROW = number(Fraction(1), (1, "ones"))


def _turned(term: Term) -> Term:
    if term is _ONES or term is _ONES_ROW:
        return _ONES_ROW if term is _ONES else _ONES
    return transpose(term)


def _with_ones(left: Term, right: Term) -> Term:
    """Give 𝟙 the length that its neighbour asks for."""
    if right is _ONES and len(left.shape) == 2 and left is not _ONES_ROW:
        return matmul(left, number(Fraction(1), (left.shape[1], 1)))
    if left is _ONES_ROW and len(right.shape) == 2 and right is not _ONES:
        return matmul(number(Fraction(1), (1, right.shape[0])), right)
    raise ShapeError(
        "𝟙",
        expected="a neighbour that tells its length",
        got="𝟙 beside 𝟙 or a free side",
    )


def shape_of(term: Term) -> Shape:
    """Return the shape of a parsed answer.

    Raises:
        ShapeError: the answer is 𝟙 alone.
    """
    if term is _ONES or term is _ONES_ROW:
        raise ShapeError(
            "answer", expected="a formula", got="𝟙 alone, whose length nothing tells"
        )
    return term.shape
