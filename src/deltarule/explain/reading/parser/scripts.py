"""Scripts of names: W_1, W_{ab}, W^{[1]} and W^{(1)} are names where the vocabulary has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol
from deltarule.explain.reading.parser.stream import TokenStream

_MOST = 6  # scripts of a name
LOSSES = {"L", "J", "E", "C", "ℓ", "l", "Loss", "loss", "Cost", "cost"}


@dataclass(frozen=True)
class Scripts:
    """Scripts after a word that may belong to its name: the text of each, and the position after it."""

    pieces: tuple[str, ...]
    ends: tuple[int, ...]
    primes: int


class ScriptParser(TokenStream):
    """Find the scripts that belong to a name, and the symbol of the name."""

    def _named(self, word: str, scripts: Scripts) -> Symbol | None:
        """Take the longest known name that a word and scripts after it make."""
        names = self.vocabulary.names
        for count in range(len(scripts.pieces), -1, -1):
            joined = "_".join((word, *scripts.pieces[:count]))
            end = scripts.ends[count]
            primes = 0
            while (
                self.tokens[end + primes].text == "'"
                and self.tokens[end + primes].kind == "sign"
            ):
                primes += 1
            for used in range(primes, -1, -1):
                key = canonical(joined) + "'" * used
                if key in names:
                    self.next = end + used
                    return names[key]
        return None

    def _scripts(self) -> Scripts:
        """Return the scripts after the word here that may belong to its name: digits, _1, _{ab}, ^{[1]}, ^{(1)}."""
        word = self.here
        place = self.next + 1
        pieces: list[str] = []
        ends = [place]
        token = self.tokens[place]
        if (
            token.kind == "number"
            and token.at == word.end
            and token.text.isdigit()
            and not token.spaced
        ):
            pieces.append(token.text)
            place += 1
            ends.append(place)
        while len(pieces) < _MOST and (found := self._script(place)) is not None:
            piece, place = found
            pieces.append(piece)
            ends.append(place)
        return Scripts(tuple(pieces), tuple(ends), 0)

    def _script(self, place: int) -> tuple[str, int] | None:
        """Return a script at a position and the position after it."""
        sign = self.tokens[place]
        if sign.kind != "sign" or sign.text not in {"_", "^"}:
            return None
        if self.tokens[place + 1].text == "{":
            self._divide_group(place)
            texts: list[str] = []
            at = place + 2
            while (token := self.tokens[at]).kind in {
                "word",
                "number",
            } or token.text in set("_{}^,[]()"):
                at += 1
                if token.text == "}" and token.kind == "sign" and not _is_open(texts):
                    break
                texts.append(token.text)
            inner = [text for text in texts if text not in set("_{}^,")]
            if sign.text == "^":
                single = len(inner) == 1 and inner[0].isdigit()
                if single and not self.is_known(self.tokens[place - 1].text):
                    return inner[0], at  # δ^{1} where only δ_1 is known
                layer = (
                    len(inner) == 3
                    and inner[0] + inner[2] in {"[]", "()"}
                    and inner[1].isdigit()
                )
                return (inner[1], at) if layer else None
            good = inner and all(text.isalnum() or text.isalpha() for text in inner)
            return ("_".join(inner), at) if good else None
        token = self.tokens[place + 1]
        if sign.text == "^":
            layer = token.text == "[" and self.tokens[place + 2].kind == "number"
            layer = layer and self.tokens[place + 3].text == "]"
            return (self.tokens[place + 2].text, place + 4) if layer else None
        if (
            token.kind == "word"
            and not self.is_known(token.text)
            and len(token.text) > 1
        ):
            self._divide_script(place + 1)
            token = self.tokens[place + 1]
        if token.kind not in {"word", "number"}:
            return None
        after = self.tokens[place + 2]
        if (
            token.kind == "word"
            and after.kind == "number"
            and after.at == token.end
            and not after.spaced
        ):
            return (token.text + after.text, place + 3)
        return token.text, place + 2

    def _divide_group(self, place: int) -> None:
        """Write W_{2,ki} as W_{2}_{ki} where W_2 is a name."""
        word, tokens = self.tokens[place - 1], self.tokens
        ends = next((i for i in range(place, len(tokens)) if tokens[i].text == "}"), 0)
        comma = tokens[place + 3] if place + 3 < ends else None
        if word.kind != "word" or comma is None or comma.text != ",":
            return
        names = self.vocabulary.names
        first, rest = tokens[place + 2].text, tokens[place + 4 : ends]
        whole = "_".join((word.text, first, *(t.text for t in rest if t.text != ",")))
        heads = {canonical(f"{w}_{first}") for w in (word.text, word.text.upper())}
        if heads & set(names) and canonical(whole) not in names:
            close, sign, opening = tokens[ends], tokens[place], tokens[place + 1]
            self.tokens[place + 3 : place + 4] = [close, sign, opening]

    def _divide_script(self, place: int) -> None:
        """Divide W_dx into W_d and x where only the shorter name is known."""
        word, token = self.tokens[place - 2].text, self.tokens[place]
        if place < 2 or self.tokens[place - 2].kind != "word":
            return
        for length in range(len(token.text), 0, -1):
            if canonical(f"{word}_{token.text[:length]}") in self.vocabulary.names:
                if length < len(token.text):
                    first = replace(
                        token, text=token.text[:length], end=token.at + length
                    )
                    rest = replace(
                        token, text=token.text[length:], at=token.at + length
                    )
                    self.tokens[place : place + 1] = [first, rest]
                return


def _is_open(texts: Sequence[str]) -> bool:
    return texts.count("{") > texts.count("}")
