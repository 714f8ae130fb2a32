"""Derivatives in a formula: the derivative of the loss by a name, or the Jacobian of two signals."""

from __future__ import annotations

from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol
from deltarule.explain.reading.parser.scripts import LOSSES, ScriptParser
from deltarule.explain.reading.syntax import (
    Differential,
    Expression,
    Named,
)
from deltarule.explain.reading.tokens import Token


class DerivativeParser(ScriptParser):
    """Parse ∂L/∂z, dL/dz, ∇_W L, dz_2, and the factors ∂a/∂z of a chain."""

    def derivative(self) -> Expression:
        """Parse ∂L/∂z or ∇_W L at the current position."""
        token = self.here
        if token.text == "∇":
            return self._gradient_sign()
        start = self.next
        found = self._differential()
        if found is None or not self.accept("/"):
            self.next = start
            self.fail(token, "a derivative such as ∂L/∂z")
        under = self._differential()
        if under is None:
            self.fail(self.here, "a derivative such as ∂L/∂z")
        return self._ratio(found, under, token)

    def _gradient_sign(self) -> Expression:
        token = self.take()
        if not self.accept("_"):
            self.fail(self.here, '"_" after ∇')
        group = self.script_tokens()
        key = canonical("".join(t.text for t in group))
        loss = self.take()
        if loss.text not in LOSSES | {self.vocabulary.loss}:
            self.fail(loss, f"the loss {self.vocabulary.loss} after ∇")
        return self._of_loss(key, token)

    def derivative_fraction(self) -> Expression | None:
        r"""Parse \frac{∂L}{∂z} after its \frac, or return None where it is another fraction."""
        start, token = self.next, self.here
        if self.accept("{"):
            over = self._differential()
            if over is not None and self.accept("}") and self.accept("{"):
                under = self._differential()
                sign = self.here
                index = under is not None and self.accept("_") is not None
                if under is not None and index:  # \frac{∂L}{∂W_{ij}}
                    entry = self._indexed(self._ratio(over, under, token), sign)
                    if self.accept("}"):
                        return entry
                elif under is not None and self.accept("}"):
                    return self._ratio(over, under, token)
        self.next = start
        return None

    def _derivative_word(self, token: Token) -> Expression | None:
        """Parse dL/dz_2, and dz_2 or dZ2, the derivative of the loss with respect to z_2."""
        if (
            token.text[0] != "d"
            or token.unit
            or (len(token.text) == 1 and not self._after_d())
        ):
            return None
        start, held = self.next, list(self.tokens)
        over = self._differential()
        if over is not None and self.here.text == "/":
            self.take()
            under = self._differential()
            if under is not None:
                return self._ratio(over, under, token)
        self.next, self.tokens = start, list(held)
        over = self._differential()
        if over is not None and over not in LOSSES | {self.vocabulary.loss}:
            key = f"d{self.vocabulary.loss}/d{over}"
            if key in self.vocabulary.names:
                return Named(self.vocabulary.names[key], token.at)
        self.next, self.tokens = start, list(held)
        return None

    def _after_d(self) -> bool:
        return self.tokens[self.next + 1].kind == "word"

    def _differential(self) -> str | None:
        """Take ∂z or dz and return the canonical name of z."""
        token = self.here
        if (token.kind == "sign" and token.text == "∂") or (
            token.kind == "word" and token.text == "d"
        ):
            self.take()
        elif token.kind == "word" and token.text[0] == "d" and not token.unit:
            self.split(token, 1)
            self.take()
        else:
            return None
        braced = self.accept("{", "(")
        word = self.here
        if word.kind != "word":
            return None
        loss = word.text in LOSSES | {self.vocabulary.loss} and not self.is_known(
            word.text
        )
        if loss:
            self.take()
            key = self.vocabulary.loss
        else:
            symbol = self._named(word.text, self._scripts())
            if symbol is None:
                return None
            key = next(
                name for name, known in self.vocabulary.names.items() if known is symbol
            )
        if braced and not self.accept("}", ")"):
            return None
        return key

    def _ratio(self, over: str, under: str, token: Token) -> Expression:
        if over == self.vocabulary.loss:
            return self._of_loss(under, token)
        names = self.vocabulary.names
        return Differential(names[over], names[under], token.at)

    def _of_loss(self, under: str, token: Token) -> Expression:
        names = self.vocabulary.names
        found = names.get(f"d{self.vocabulary.loss}/d{under}")
        if found is not None:
            return Named(found, token.at)
        symbol = names.get(under)
        if (
            symbol is None
            or symbol.node in self.vocabulary.wanted
            or self.vocabulary.loss_node is None
        ):
            self.fail(token, "a known name, not the derivative that is asked for")
        loss = Symbol(self.vocabulary.loss, (), self.vocabulary.loss_node)
        return Differential(loss, symbol, token.at)
