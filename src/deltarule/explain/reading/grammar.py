r"""The parser: tokens to a syntax tree, by recursive descent.

From loosest to tightest: + and −; ⊙, ⊗ and ⋆; juxtaposition, ·, ×, * and /; powers, transposes and indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from deltarule.explain.reading.parser.names import LAYOUT_WORDS
from deltarule.explain.reading.parser.stream import CLOSING
from deltarule.explain.reading.parser.structures import StructureParser
from deltarule.explain.reading.syntax import (
    Addition,
    Blocks,
    Called,
    Constant,
    Entry,
    Expression,
    Index,
    Letter,
    Literal,
    Multiplication,
    Named,
    Negative,
    Norm,
    Power,
    Quotient,
    Related,
    Summed,
    Transposed,
)
from deltarule.explain.reading.tokens import Token
from deltarule.explain.reading.vocabulary import Vocabulary

RELATIONS = {sign: sign for sign in "<>≤≥=≠"}
_DEEPEST = 60
_MOST_SCRIPTS = 20  # of one factor
_WORDS_BETWEEN = {"if", "otherwise", "else", "where", "with", "let", "and", "for"}


def parse_tokens(
    text: str, tokens: Sequence[Token], vocabulary: Vocabulary
) -> Expression:
    """Return the syntax tree of a formula from its tokens.

    Raises:
        ArgumentError: the formula cannot be parsed; the message shows the position and what was expected there.
    """
    return _Parser(text, tokens, vocabulary).whole()


class _Parser(StructureParser):
    def __init__(
        self, text: str, tokens: Sequence[Token], vocabulary: Vocabulary
    ) -> None:
        super().__init__(text, tokens, vocabulary)
        self._bars: list[str] = []
        self._in_blocks = False
        self._depth = 0

    def whole(self) -> Expression:
        """Parse the text to its end."""
        result = self.sum()
        if self.here.kind != "end":
            expected = "an operator or the end"
            self.fail(self.here, expected)
        return result

    def sum(self) -> Expression:
        at = self.here.at
        terms = [(self._sign(1), self._element_product())]
        while (
            self.here.kind == "sign"
            and self.here.text in {"+", "-"}
            and not self._new_block()
        ):
            terms.append((self._sign(1), self._element_product()))
        if len(terms) == 1:
            sign, term = terms[0]
            return Negative(term) if sign < 0 else term
        return Addition(tuple(terms), at)

    def _sign(self, sign: int) -> int:
        while token := self.accept("+", "-"):
            sign = -sign if token.text == "-" else sign
        return sign

    def _element_product(self) -> Expression:
        at = self.here.at
        factors = [self._product()]
        operators: list[str] = []
        while token := self.accept("⊙", "⊗", "⋆"):
            operators.append(token.text)
            if token.text == "⋆" and self.accept("_"):
                operators[-1] = "⋆full"
                self.script_tokens()
            sign = self._sign(1)
            factor = self._product()
            factors.append(Negative(factor) if sign < 0 else factor)
        return (
            factors[0]
            if not operators
            else Multiplication(tuple(factors), tuple(operators), at)
        )

    def _product(self) -> Expression:
        at = self.here.at
        factors = [self._power()]
        operators: list[str] = []
        quotients = 0
        while True:
            token = self.here
            if self.accept("/"):
                over = (
                    factors[0]
                    if not operators
                    else Multiplication(tuple(factors), tuple(operators), at)
                )
                factors, operators = (
                    [Quotient(over, self._signed_power(), token.at)],
                    [],
                )
                quotients += 1
                if quotients > _DEEPEST:
                    self.fail(token, f"at most {_DEEPEST} quotients")
            elif self.accept("*", "·", "×", "@"):
                operators.append("" if token.text == "@" else token.text)
                factors.append(self._signed_power())
            elif self._starts_factor() and not self._new_block():
                operators.append("")
                factors.append(self._power())
            else:
                break
        return (
            factors[0]
            if not operators
            else Multiplication(tuple(factors), tuple(operators), at)
        )

    def _signed_power(self) -> Expression:
        sign = self._sign(1)
        factor = self._power()
        return Negative(factor) if sign < 0 else factor

    def _new_block(self) -> bool:
        """Whether the next token begins another block of [a  b]: two spaces stand before it."""
        before = self.tokens[self.next - 1]
        return self._in_blocks and self.here.at - before.end >= 2 and self.here.spaced

    def _starts_factor(self) -> bool:
        token = self.here
        if token.kind in {"number", "structure", "begin"}:
            return True
        if token.kind == "word":
            return token.text not in _WORDS_BETWEEN
        if token.text in {"‖", "|"}:
            return not (self._bars and self._bars[-1] == token.text)
        return token.kind == "sign" and token.text in {
            "(",
            "[",
            "{",
            "⟨",
            "⌊",
            "Σ",
            "√",
            "∂",
            "∇",
            "∞",
        }

    def _power(self) -> Expression:
        result = self.atom()
        for _ in range(_MOST_SCRIPTS):
            token = self.here
            if token.kind != "sign":
                return result
            if self.accept("^"):
                result = self._raised(result, token)
            elif token.text == "_" and not isinstance(result, Literal):
                self.take()
                result = self._indexed(result, token)
            elif token.text == "[" and (indices := self._bracket_indices(token.spaced)):
                result = Entry(result, indices, at=token.at)
            elif self.accept("'"):
                result = Transposed(result, token.at)
            else:
                return result
        return self.fail(self.here, f"at most {_MOST_SCRIPTS} powers and indices")

    def _raised(self, base: Expression, sign: Token) -> Expression:
        opening = self.accept("{", "(")
        if opening is None:
            return self._raised_by_one(base, sign)
        closing = CLOSING[opening.text]
        if opening.text == "{":
            example = self._example_index()
            if example:
                self.expect("}")
                if isinstance(base, Entry) and len(base.indices) == 1:  # x_j^{(i)}
                    return Entry(base.body, (example, *base.indices), at=sign.at)
                return Entry(base, (example,), example=True, at=sign.at)
        minus = self.accept("-")
        if self._is_transpose(self.here) and self.tokens[self.next + 1].text == closing:
            self.take()
            self.expect(closing)
            turned = Transposed(base, sign.at)
            return Power(turned, Literal(Fraction(-1)), at=sign.at) if minus else turned
        by_entry = bool(self.accept("⊙", "·"))
        minus = self.accept("-") or minus
        if self.accept("'"):
            self.expect(closing)
            return Transposed(base, sign.at)
        if self._is_transpose(self.here):  # A^{⊤2}
            self.take()
            base = Transposed(base, sign.at)
        if self.here.kind == "number" and self._is_transpose(
            self.tokens[self.next + 1]
        ):
            exponent = self._number(self.take())
            self.take()
            self.expect(closing)
            power = Negative(exponent) if minus else exponent
            return Transposed(Power(base, power, by_entry, sign.at), sign.at)
        exponent = self.inside(closing)
        return Power(base, Negative(exponent) if minus else exponent, by_entry, sign.at)

    def _raised_by_one(self, base: Expression, sign: Token) -> Expression:
        by_entry = bool(self.accept("⊙"))
        minus = self.accept("-")
        token = self.here
        if (
            not minus
            and not by_entry
            and (self._is_transpose(token) or self._splits_transpose(token))
        ):
            self.take()
            return Transposed(base, sign.at)
        if minus and self._is_transpose(token):  # A^-T
            self.take()
            turned = Transposed(base, sign.at)
            return Power(turned, Literal(Fraction(-1)), at=sign.at)
        if self.accept("'"):
            return Transposed(base, sign.at)
        exponent = (
            self.atom() if token.kind != "word" else self.name_or_function(short=True)
        )
        while self.here.text == "_" and isinstance(exponent, Named):
            exponent = self._indexed(exponent, self.take())
        return Power(base, Negative(exponent) if minus else exponent, by_entry, sign.at)

    def _is_transpose(self, token: Token) -> bool:
        if token.kind != "word":
            return False
        return token.text == "⊤" or (
            token.text in {"T", "t", "tr"} and not self.is_known(token.text)
        )

    def _splits_transpose(self, token: Token) -> bool:
        """Whether an exponent word begins with the transpose sign, as in X^TXw; it is then split."""
        if (
            token.kind != "word"
            or token.text[0] not in "T⊤"
            or self.is_known(token.text)
            or len(token.text) == 1
        ):
            return False
        self.split(token, 1)
        return True

    def atom(self) -> Expression:
        """Parse a name, a number, a call or a bracket."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self.fail(self.here, "a formula that is nested less deeply")
        result = self._atom()
        self._depth -= 1
        return result

    def _atom(self) -> Expression:
        token = self.here
        if token.kind == "number":
            return self._number(self.take())
        if token.kind == "word":
            return self._word(token)
        if token.kind == "structure":
            return self._structure(self.take())
        if token.kind == "begin":
            return self._environment(self.take())
        if token.text in {"∂", "∇"}:
            return self.derivative()
        if token.text in {"(", "[", "{"}:
            self.take()
            return self._bracket(token)
        if token.text in {"‖", "|"}:
            return self._bars_group(self.take())
        if token.text in {"Σ", "√", "∞", "⌊", "⟨"}:
            return self._special(self.take())
        if self.accept("-"):
            return Negative(self._power())
        return self.fail(token, "a name, a number or a parenthesis")

    def _special(self, token: Token) -> Expression:
        if token.text == "∞":
            return Literal(float("inf"), token.at)
        if token.text == "√":
            return Called("sqrt", (self._power(),), at=token.at)
        if token.text == "Σ":
            return self._total(token)
        inner = self.inside(CLOSING[token.text], keep=True)
        if token.text == "⌊":
            self.expect("⌋")
            return Called("floor", (inner,), at=token.at)
        if not self.accept(",", "|"):
            self.fail(self.here, '","')
        other = self.inside("⟩")
        return Called("dot", (inner, other), at=token.at)

    def _number(self, token: Token) -> Expression:
        value = float(token.text)
        short = (
            Fraction(token.text) if "e" not in token.text.lower() else Fraction(value)
        )
        exact = short if short.denominator <= 10**6 and abs(short) < 10**9 else value
        if (
            token.text == "1"
            and self.here.text == "_"
            and self.tokens[self.next + 1].text == "{"
        ):
            self.next += 2
            return self._indicator("}", token)
        return Literal(exact, token.at)

    def _bracket(self, opening: Token) -> Expression:
        """Parse a parenthesis: a formula, a comparison (an indicator), or blocks [a  b; c  d]."""
        outer = self._in_blocks
        self._in_blocks = opening.text == "["
        closing = CLOSING[opening.text]
        self._bars.append("")
        first = self.relation()
        if self.here.kind == "word" and self.here.text in {"if", "otherwise"}:
            first = self.case_list(first, closing)
        if opening.text == "[" and (
            self.here.text in {";", ",", "&", "\\\\"} or self._new_block()
        ):
            rows = [[first]]
            while self.here.text != "]":
                if self.accept(";", "\\\\"):
                    rows.append([])
                else:
                    self.accept(",", "&")
                rows[-1].append(self.sum())
            first = Blocks(tuple(map(tuple, rows)), opening.at)
        self._bars.pop()
        self._in_blocks = outer
        self.expect(closing)
        return first

    def inside(self, closing: str, keep: bool = False) -> Expression:
        outer = self._in_blocks
        self._in_blocks = False
        self._bars.append("")
        inner = self.relation()
        self._bars.pop()
        self._in_blocks = outer
        if not keep:
            self.expect(closing)
        return inner

    def relation(self) -> Expression:
        """Parse a formula or a comparison; a < b < c holds where both do."""
        at = self.here.at
        left = self.sum()
        parts: list[Expression] = []
        while self.here.kind == "sign" and self.here.text in RELATIONS:
            relation = self.take().text
            right = self.sum()
            parts.append(Related(relation, left, right, at))
            left = right
        if not parts:
            return left
        return (
            parts[0]
            if len(parts) == 1
            else Multiplication(tuple(parts), ("⊙",) * (len(parts) - 1), at)
        )

    def _bars_group(self, opening: Token) -> Expression:
        outer = self._in_blocks
        self._in_blocks = False
        self._bars.append(opening.text)
        inner = self.sum()
        self._bars.pop()
        self._in_blocks = outer
        self.expect(opening.text)
        plain = "abs" if opening.text == "|" else "2"
        sign = self.accept("_")
        if sign is None:
            return Norm(inner, plain, opening.at)
        group = self.script_tokens()
        kind = "".join(token.text for token in group)
        if kind in {"1", "2", "F", "Fro"}:
            return Norm(inner, kind, opening.at)
        if not all(t.kind == "word" and t.text.isalpha() for t in group):
            self.fail(opening, "the norm 1, 2 or F")
        norm = Norm(inner, plain, opening.at)  # |x|_i, an entry
        return Entry(norm, self._index_list(group), at=sign.at)

    def _total(self, token: Token) -> Expression:
        """Parse Σ x, Σᵢ xᵢ, Σ_{i=1}^m xᵢ."""
        indices: list[str] = []
        lower = upper = unequal = None
        if self.accept("_"):
            group = self.script_tokens()
            letters = [t for t in group if t.kind == "word"]
            sign = next((t.text for t in group if t.text in {"=", "≠", "∈"}), "")
            if not letters:
                self.fail(group[0] if group else token, "an index under Σ")
            indices = list(
                "".join(t.text for t in (letters if not sign else letters[:1]))
            )
            if sign == "=" and group[-1].kind in {"number", "word"} and len(group) >= 3:
                lower = (
                    Literal(Fraction(group[-1].text))
                    if group[-1].text.isdigit()
                    else None
                )
            if sign == "≠":
                unequal = Related(
                    "≠", Letter(indices[0]), Letter(group[-1].text), token.at
                )
        if self.here.text == "^" and (indices or self.accept("^")):
            self.accept("^")
            group = self.script_tokens()
            upper = self.parsed(group)
        outer, self.letters = self.letters, self.letters | set(indices)
        minus = self._sign(1)
        if not indices and self.here.text == "(":
            body = self._power()
        else:
            body = self._element_product() if indices else self._product()
        self.letters = outer
        if unequal is not None:
            body = Multiplication((unequal, body), ("⊙",), token.at)
        result = Summed(tuple(indices), body, lower, upper, token.at)
        return Negative(result) if minus < 0 else result

    def parsed(self, group: Sequence[Token]) -> Expression:
        """Parse a group of tokens as a formula."""
        if not group:
            self.fail(self.here, "a formula")
        last = group[-1]
        return _Parser(
            self.text, [*group, Token("end", "", last.end, last.end)], self.vocabulary
        ).whole()

    def _word(self, token: Token) -> Expression:
        if token.text == "𝟙":
            self.take()
            return self._ones(token)
        found = self.name_or_function()
        is_head = isinstance(found, Called) and not found.arguments
        return self._call(found) if is_head and isinstance(found, Called) else found

    def _ones(self, token: Token) -> Expression:
        """Parse 𝟙(z > 0), 𝟙_{z > 0}, or a vector of ones."""
        if self.here.text in {"(", "[", "{"}:
            return self._indicator(CLOSING[self.take().text], token)
        if self.here.text == "_":
            if self.tokens[self.next + 1].text in {"{", "("}:
                closing = CLOSING[self.tokens[self.next + 1].text]
                if any(t.text in RELATIONS for t in self._group_here(closing)):
                    self.next += 2
                    return self._indicator(closing, token)
            self.take()
            self.script_tokens()  # the length, which the factors around it have too
        return Constant("𝟙", token.at)

    def _group_here(self, closing: str) -> list[Token]:
        """Return the tokens of the group after the sign here, up to its closing bracket."""
        opening = self.tokens[self.next + 1].text
        depth = 1
        found: list[Token] = []
        for token in self.tokens[self.next + 2 :]:
            depth += (token.text == opening) - (token.text == closing)
            if depth == 0:
                break
            found.append(token)
        return found

    def _indicator(self, closing: str, token: Token) -> Expression:
        self.comparing += 1
        inner = self.inside(closing)
        self.comparing -= 1
        if isinstance(inner, (Related, Multiplication)) and _is_comparison(inner):
            return inner
        return Related(">", inner, Literal(Fraction(0)), token.at)

    def _call(self, head: Called) -> Expression:
        """Parse the exponent, primes and arguments of a function."""
        primes, power, lower = head.primes, head.power, list(head.lower)
        while True:
            if self.accept("'"):
                primes += 1
            elif self.here.text == "^" and self.here.kind == "sign":
                self.take()
                group = self.script_tokens()
                if group and all(t.text == "'" for t in group):
                    primes += len(group)
                else:
                    power = self.parsed(group)
            elif self.here.text == "_" and self.here.kind == "sign":
                self.take()
                lower += [
                    t.text for t in self.script_tokens() if t.kind in {"word", "number"}
                ]
            else:
                break
        arguments, indices = self._arguments(head, primes)
        called = Called(head.function, arguments, primes, power, tuple(lower), head.at)
        return Entry(called, indices, at=head.at) if indices else called

    def _arguments(
        self, head: Called, primes: int
    ) -> tuple[tuple[Expression, ...], tuple[Index, ...]]:
        is_layout = head.function in LAYOUT_WORDS
        opening = self.accept("(", "{") or (None if is_layout else self.accept("["))
        if opening is None:
            if not self._starts_factor() or head.function == "activation":
                if primes:
                    return (), ()
                self.fail(self.here, f'"(" after {head.function}')
            return (
                (self._product() if self.is_greedy(head.function) else self._power()),
            ), ()
        closing = CLOSING[opening.text]
        if head.function == "I" or head.function == "𝟙":
            return (self._indicator(closing, self.here),), ()
        found = [self.inside(closing, keep=True)]
        indices: tuple[Index, ...] = ()
        while separator := self.accept(",", ";"):
            if separator.text == ";" and head.function == "place":
                start = self.next
                while self.here.text not in {closing, ""}:
                    self.take()
                indices = self._index_list(self.tokens[start : self.next])
            else:
                found.append(self.inside(closing, keep=True))
        self.expect(closing)
        return tuple(found), indices


def _is_comparison(tree: Expression) -> bool:
    if isinstance(tree, Multiplication):
        return all(map(_is_comparison, tree.factors))
    return isinstance(tree, Related)
