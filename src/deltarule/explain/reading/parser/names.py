r"""Names in a formula: a word and its scripts to a symbol, a function, a constant, an index or a derivative.

Words are divided where the parts are known and the whole is not: WXw is W X w, and X^TXw is Xᵀ X w.
"""

from __future__ import annotations

import unicodedata
from fractions import Fraction

from deltarule.explain.formula.names import canonical
from deltarule.explain.reading.known_functions import FUNCTIONS, PAIRS, function_key
from deltarule.explain.reading.parser.derivative_names import DerivativeParser
from deltarule.explain.reading.parser.scripts import Scripts
from deltarule.explain.reading.syntax import (
    Called,
    Constant,
    Expression,
    Letter,
    Literal,
    Named,
    Related,
)
from deltarule.explain.reading.tokens import Token

ACTIVATIONS = {
    "f",
    "g",
    "h",
    "φ",
    "ψ",
    "act",
}  # general names of an activation function
LAYOUT_WORDS = {"flip", "argmax", "place"}  # words of printed formulas
_PI = Literal(3.141592653589793)


class NameParser(DerivativeParser):
    """Parse words."""

    def is_greedy(self, function: str) -> bool:
        """Whether a function without parentheses takes the whole product after it."""
        key = function_key(function)
        return key is not None and FUNCTIONS[key].greedy

    def name_or_function(self, short: bool = False) -> Expression:
        """Parse a word; a function comes as a call without arguments. ``short``: an exponent without braces."""
        token = self.here
        for length in self._lengths(token):
            piece = token.text[:length]
            if length < len(token.text):
                if not self._divides(token.text[length:]):
                    continue
                found = self._alone(piece, token)
                if found is not None:
                    self.split(token, length)
                    self.take()
                    return found
                continue
            found = self._whole(token, short)
            if found is not None:
                return found
        if len(token.text) == 1 and (self.comparing or token.text in self.letters):
            self.take()
            return Letter(token.text, token.at)
        return self.fail(token, "a known name")

    def _lengths(self, token: Token) -> list[int]:
        text = token.text
        if token.unit:
            return [len(text)]
        ends = [
            n
            for n in range(len(text), 0, -1)
            if n == len(text) or not unicodedata.combining(text[n])
        ]
        return ends[:40]

    def _divides(self, rest: str) -> bool:
        """Whether the rest of a word begins with something that has a meaning."""
        if not rest:
            return True
        for length in range(len(rest), 0, -1):
            piece = rest[:length]
            last = length == len(rest)
            known = (
                self.is_known(piece)
                or piece == "π"
                or (last and piece in {"I", "e"})
                or (last and self._may_begin(piece))
                or self._is_function(piece)
            )
            if known and self._divides(rest[length:]):
                return True
        return False

    def _may_begin(self, piece: str) -> bool:
        """Whether a piece with scripts after it may be a name."""
        plain = canonical(piece)
        return piece == "e" or any(
            name == plain or name.startswith(plain + "_")
            for name in self.vocabulary.names
        )

    def _is_function(self, piece: str) -> bool:
        return len(piece) > 1 and (
            function_key(piece) is not None or piece in self.vocabulary.functions
        )

    def _alone(self, piece: str, token: Token) -> Expression | None:
        """Return the meaning of a piece that ends inside a word."""
        symbol = self.symbol_named(piece)
        if symbol is not None:
            return Named(symbol, token.at)
        if piece == "π":
            return _PI
        return Constant("e", token.at) if piece == "e" else None

    def _whole(self, token: Token, short: bool) -> Expression | None:
        """Return the meaning of a whole word with the scripts after it."""
        if self._selects(token) and (one_hot := self._unit_vector(token)) is not None:
            return one_hot
        scripts = self._scripts()
        symbol = self._named(token.text, scripts)
        if symbol is not None:
            return Named(symbol, token.at)
        text = token.text
        if (function := self._function(token, scripts)) is not None:
            return function
        if not short and (derivative := self._derivative_word(token)) is not None:
            return derivative
        if text in {"e", "E"} and self.tokens[self.next + 1].text == "_":
            return self._unit_vector(token)
        constants: dict[str, Expression] = {
            "e": Constant("e", token.at),
            "pi": _PI,
            "inf": Literal(float("inf")),
        }
        constants |= {"I": Constant("I", token.at), "ones": Constant("𝟙", token.at)}
        if canonical(text) in constants:
            self.take()
            if text == "I" and self.here.text == "_":  # I_n
                self._skip_script()
            return constants[canonical(text)]
        if (
            canonical(text) == "delta"
            and scripts.pieces
            and (kronecker := self._kronecker(token))
        ):
            return kronecker
        return self._capital(token, scripts)

    def _skip_script(self) -> None:
        self.take()
        if self.accept("{"):
            while self.here.kind != "end" and not self.accept("}"):
                self.take()
        else:
            self.take()

    def _capital(self, token: Token, scripts: Scripts) -> Expression | None:
        """Return the matrix X of the rows x_i where only X is known: an example of a batch, or an entry."""
        follows = self.tokens[self.next + 1]
        if not scripts.pieces and follows.text not in {"_", "^"}:
            return None
        first = unicodedata.normalize("NFD", token.text)
        capital = unicodedata.normalize("NFC", first[0].upper() + first[1:])
        if (
            capital == token.text
            or len([c for c in first if not unicodedata.combining(c)]) != 1
        ):
            return None
        symbol = self._named(capital, scripts)
        if symbol is None or self.here.text not in {"_", "^"}:
            return None
        return Named(symbol, token.at)

    def _kronecker(self, token: Token) -> Expression | None:
        group = self._script(self.next + 1)
        letters = [c for c in group[0] if c != "_"] if group else []
        if group is None or len(letters) != 2:
            return None
        self.next = group[1]
        left, right = (
            Literal(Fraction(c)) if c.isdigit() else Letter(c, token.at)
            for c in letters
        )
        return Related("=", left, right, token.at)

    def _selects(self, token: Token) -> bool:
        """Whether E_c means one-hot rows of labels, as it does in formulas of a network that selects rows."""
        if token.text not in {"e", "E"} or self.tokens[self.next + 1].text != "_":
            return False
        kinds = {"one_hot", "winner", "gather", "scatter_add"}
        if not kinds & set(self.vocabulary.functions):
            return False
        script = self.tokens[self.next + 2 :]
        inner = script[1] if script[0].text == "{" and len(script) > 1 else script[0]
        known = self.symbol_named(inner.text) if inner.kind == "word" else None
        is_label = known is not None and not known.node.dtype.is_float
        ends = script[0].text != "{" or (len(script) > 2 and script[2].text == "}")
        single = inner.kind in {"word", "number"} and len(inner.text) == 1
        return is_label or not (single and ends)

    def _unit_vector(self, token: Token) -> Expression | None:
        """Parse e_c or E_y, the one-hot vectors of labels, and e_i, a column of the identity matrix."""
        start = self.next
        self.take()
        self.take()
        group = self.script_tokens()
        if not group:
            self.next = start
            return None
        single = group[0].text if len(group) == 1 else ""
        if len(single) == 1 and not self.is_known(single) and single.isalpha():
            return Called("unit", (Letter(single, token.at),), at=token.at)
        if single.isdigit():
            return Called("unit", (Literal(Fraction(single)),), at=token.at)
        return Called("one_hot", (self.parsed(group),), at=token.at)

    def _function(self, token: Token, scripts: Scripts) -> Expression | None:
        """Return the call (without arguments so far) of a word that names a function."""
        text = token.text
        place = self.next + 1
        while self.tokens[place].text == "'":
            place += 1
        follows = self.tokens[place]
        own = text in self.vocabulary.functions
        if text == "ψ" and {"digamma", "trigamma"} & set(self.vocabulary.functions):
            self.take()
            return Called("digamma", (), at=token.at)
        if text == "I":
            if follows.text not in {"(", "[", "{"} or not self._holds_relation(place):
                return None
            self.take()
            return Called("I", (), at=token.at)
        if text in ACTIVATIONS and not own:
            primes = place - self.next - 1
            if self.tokens[self.next + 1].text == "^":
                inner = [t.text for t in self.tokens[self.next + 2 : self.next + 4]]
                primes += "'" in inner
            if follows.text not in {"(", "["} and not primes:
                return None
            self.take()
            return Called("activation", (), at=token.at)
        underscored = "_".join((text, *scripts.pieces[:1]))
        if scripts.pieces and function_key(underscored) is not None:
            self.next = scripts.ends[1]
            return Called(underscored, (), at=token.at)
        spaced = f"{text} {follows.text}" if follows.kind == "word" else ""
        if (
            spaced in {"log softmax", "log det", "log Γ"}
            and spaced.replace(" ", "") in FUNCTIONS
        ):
            self.next += 2
            return Called(spaced.replace(" ", ""), (), at=token.at)
        if function_key(text) is None and not own and text not in PAIRS | LAYOUT_WORDS:
            return None
        if len(text) == 1 and text in {"H", "θ", "Θ"} and follows.text != "(":
            return None
        self.take()
        return Called(text if text != "σ" else "sigma", (), at=token.at)

    def _holds_relation(self, place: int) -> bool:
        depth = 0
        for token in self.tokens[place:]:
            depth += (token.text in {"(", "[", "{"}) - (token.text in {")", "]", "}"})
            if token.kind == "sign" and token.text in set("<>≤≥=≠"):
                return True
            if depth == 0:
                return False
        return False
