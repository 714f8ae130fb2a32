"""Indices in a formula: _i, _{ij}, _{i,:}, [:, 1:2] and the example ^{(i)} of a batch."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.explain.formula.term import Symbol
from deltarule.explain.reading.parser.names import NameParser
from deltarule.explain.reading.syntax import Entry, Expression, Index, Span
from deltarule.explain.reading.tokens import Token


class IndexParser(NameParser):
    """Parse the indices of entries and parts of arrays."""

    def _example_index(self) -> str:
        """Return the index of an example in ^{(i)}, or ""."""
        inner = [t.text for t in self.tokens[self.next : self.next + 4]]
        if len(inner) == 4 and inner[0] == "(" and inner[2:] == [")", "}"]:
            word = self.tokens[self.next + 1]
            if word.kind in {"word", "number"} and (
                word.kind == "number" or len(word.text) == 1
            ):
                self.next += 3
                return word.text
        return ""

    def _indexed(self, body: Expression, sign: Token) -> Expression:
        """Parse the indices of an entry: _i, _{ij}, _{i,:}."""
        if not self.accept("{"):
            self._divide_indices(self.here)
            token = self.take()
            if token.kind not in {"word", "number"}:
                self.fail(token, "an index")
            return Entry(body, self._index_list([token]), at=sign.at)
        start = self.next
        while self.here.text != "}":
            if self.take().kind == "end":
                self.fail(self.here, '"}"')
        tokens = self.tokens[start : self.next]
        self.take()
        if not tokens:
            self.fail(sign, "an index")
        return Entry(body, self._index_list(tokens), at=sign.at)

    def _divide_indices(self, token: Token) -> None:
        """Divide a_ix into a_i and x: LaTeX has one letter without braces, plain text all that are no names."""
        if (
            token.kind != "word"
            or token.unit
            or self.symbol_named(token.text) is not None
        ):
            return
        length = 1
        while "\\" not in self.text and length < len(token.text):
            if token.text[length] == "e" or self.is_known(token.text[length]):
                break
            length += 1
        if length < len(token.text):
            self.split(token, length)

    def _index_list(self, tokens: Sequence[Token]) -> tuple[Index, ...]:
        """Return the indices that tokens stand for, letters one by one."""
        groups: list[list[Token]] = [[]]
        for token in tokens:
            if token.text in {",", ";"}:
                groups.append([])
            else:
                groups[-1].append(token)
        found: list[Index] = []
        for group in groups:
            texts = [token.text for token in group]
            if ":" in texts or texts in (["·"], ["*"]):
                found.append(self._span(group))
            elif (label := self._label("_".join(_pieces(group)))) is not None:
                found.append(label)
            else:
                for token in group:
                    found.extend(self._letters(token))
        return tuple(found)

    def _label(self, name: str) -> Symbol | None:
        """Return the array of whole numbers that a name stands for."""
        known = self.symbol_named(name)
        return None if known is None or known.node.dtype.is_float else known

    def _letters(self, token: Token) -> list[Index]:
        if token.kind == "number" and token.text.isdigit():
            return [int(token.text)]
        known = self._label(token.text)
        if known is not None:
            return [known]
        if token.kind != "word" or not token.text.isalpha():
            self.fail(token, "an index (a letter or a whole number)")
        return list(token.text)

    def _span(self, group: Sequence[Token]) -> Span:
        texts = [token.text for token in group]
        if texts in ([":"], ["·"], ["*"]):
            return Span()
        if not all(text.isdigit() or text == ":" for text in texts) or len(
            texts
        ) not in (3, 5):
            self.fail(group[0], "a range of whole numbers (1:3)")
        numbers = [int(text) for text in texts if text.isdigit()]
        if len(numbers) == 3:
            return Span(numbers[0], numbers[2], max(1, numbers[1]))
        return Span(numbers[0], numbers[-1])

    def _bracket_indices(self, spaced: bool) -> tuple[Index, ...]:
        """Return the indices in x[…], or () where the bracket holds something else."""
        place = self.next + 1
        while (token := self.tokens[place]).kind in {
            "number",
            "word",
        } or token.text in {":", ",", "_", "{", "}"}:
            if token.kind == "word" and not self._may_index(place):
                return ()
            place += 1
        inner = self.tokens[self.next + 1 : place]
        if self.tokens[place].text != "]" or not inner:
            return ()
        if spaced and all(token.text != ":" for token in inner):
            return ()
        self.next = place + 1
        return self._index_list(inner)

    def _may_index(self, place: int) -> bool:
        """Whether a word in brackets is an index: a letter, or an array of whole numbers such as c_2."""
        token = self.tokens[place]
        end = next(
            (i for i, t in enumerate(self.tokens) if i > place and t.text in ",]"),
            place,
        )
        if self._label("_".join(_pieces(self.tokens[place:end]))) is not None:
            return True
        scripted = self.tokens[place + 1].text == "_"
        return len(token.text) == 1 and not scripted and not self._is_float(token.text)

    def _is_float(self, name: str) -> bool:
        known = self.symbol_named(name)
        return known is not None and known.node.dtype.is_float


def _pieces(group: Sequence[Token]) -> list[str]:
    """Return the word and the scripts of a name."""
    return [token.text for token in group if token.text not in {"_", "{", "}"}]
