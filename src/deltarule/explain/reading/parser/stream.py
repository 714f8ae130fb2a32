"""The tokens of a formula as a stream, with the methods that all parts of the parser use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol
from deltarule.explain.reading import tokens as lexer
from deltarule.explain.reading.syntax import (
    Expression,
)
from deltarule.explain.reading.tokens import Token
from deltarule.explain.reading.vocabulary import Vocabulary

CLOSING = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⌊": "⌋"}


class TokenStream(ABC):
    """The tokens of a formula, a position, and the vocabulary; the base of the parsers."""

    def __init__(
        self, text: str, tokens: Sequence[Token], vocabulary: Vocabulary
    ) -> None:
        self.text = text
        self.tokens = _divided_layers(list(tokens))
        self.vocabulary = vocabulary
        self.next = 0
        self.letters: set[str] = set()  # indices of the sums around
        self.comparing = 0  # > 0 inside 𝟙(…), where indices are values

    @property
    def here(self) -> Token:
        """The next token."""
        return self.tokens[self.next]

    def take(self) -> Token:
        """Return the next token and move on; the end is never passed."""
        token = self.tokens[self.next]
        if token.kind != "end":
            self.next += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        """Take the next token if it is one of these signs."""
        token = self.here
        return self.take() if token.kind == "sign" and token.text in texts else None

    def expect(self, text: str) -> None:
        """Take a sign, or fail."""
        if not self.accept(text):
            self.fail(self.here, f'"{text}"')

    def split(self, token: Token, length: int) -> None:
        """Divide the token at the current position."""
        first = replace(token, text=token.text[:length], end=token.at + length)
        rest = replace(
            token, text=token.text[length:], at=token.at + length, spaced=False
        )
        self.tokens[self.next : self.next + 1] = [first, rest]

    def is_known(self, name: str) -> bool:
        """Whether a name is in the vocabulary."""
        return canonical(name) in self.vocabulary.names

    def symbol_named(self, name: str) -> Symbol | None:
        """Return the symbol of a name."""
        return self.vocabulary.names.get(canonical(name))

    def script_tokens(self) -> list[Token]:
        """Return the tokens of a script without its braces."""
        opening = self.accept("{", "(")
        if opening is None:
            word = self.take()
            if self.here.text != "_" or word.kind != "word":
                return [word]
            return [word, self.take(), *self.script_tokens()]
        found: list[Token] = []
        depth = 1
        closing = "}" if opening.text == "{" else ")"
        while self.here.kind != "end":
            token = self.take()
            depth += (token.text == opening.text) - (token.text == closing)
            if depth == 0:
                break
            found.append(token)
        return found

    def fail(self, token: Token, expected: str) -> NoReturn:
        """Raise the error of an unexpected token."""
        names = ", ".join(self.vocabulary.shown_names())
        hint = f"known names: {names}"
        lexer.fail(self.text, token.at, expected, token.text.strip() or "the end", hint)

    @abstractmethod
    def parsed(self, group: Sequence[Token]) -> Expression:
        """Parse a group of tokens as a formula."""

    @abstractmethod
    def _indexed(self, body: Expression, sign: Token) -> Expression:
        """Parse the indices of an entry."""

    @abstractmethod
    def sum(self) -> Expression:
        """Parse a sum."""

    @abstractmethod
    def inside(self, closing: str, keep: bool = False) -> Expression:
        """Parse a formula or comparison up to a closing bracket, which is taken unless ``keep``."""

    @abstractmethod
    def relation(self) -> Expression:
        """Parse a formula or a comparison."""

    @abstractmethod
    def atom(self) -> Expression:
        """Parse a name, a number, a call or a bracket."""


def _divided_layers(tokens: list[Token]) -> list[Token]:
    """Write W^{[2]T} as W^{[2]}^{T}, and a^{[1](i)} as a^{[1]}^{(i)}."""
    result: list[Token] = []
    place = 0
    while place < len(tokens):
        head = tokens[place : place + 6]
        texts = [t.text for t in head]
        if (
            len(head) == 6
            and texts[:2] == ["^", "{"]
            and texts[2] in {"[", "("}
            and texts[4] in {"]", ")"}
        ):
            layer = head[3].kind == "number"
            follows = texts[5] in {"T", "⊤", "'", "(", "-"} or head[5].kind == "number"
            if layer and follows:
                close = Token("sign", "}", head[4].end, head[4].end)
                result += [*head[:5], close, head[0], head[1]]
                place += 5
                continue
        result.append(tokens[place])
        place += 1
    return result
