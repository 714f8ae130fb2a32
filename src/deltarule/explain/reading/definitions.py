"""The statements of an answer: the formula, and definitions of names before it, after it, or after "where"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deltarule.explain.reading import tokens as lexer
from deltarule.explain.reading.known_functions import function_key
from deltarule.explain.reading.tokens import Token, tokenize
from deltarule.explain.reading.vocabulary import Vocabulary

_SEPARATORS = {"\n", ";", "\\\\"}
_INTRODUCTIONS = {
    "where",
    "with",
    "let",
    "Let",
    "und",
    "for",
    "so",
    "then",
    "thus",
    "hence",
    "and",
}


_MOST_STATEMENTS = 60


@dataclass(frozen=True)
class Statement:
    """A formula and what stands on its left: the tokens of a name or of a derivative."""

    left: tuple[Token, ...]
    right: tuple[Token, ...]
    defines: str


def divided(
    text: str, tokens: Sequence[Token], vocabulary: Vocabulary
) -> tuple[Statement, list[Statement]]:
    """Return the formula of an answer, and the definitions of the names in it.

    The formula is the only statement that defines no name, or the last one. A name of a function (φ = tanh) stands for
    that function everywhere.

    Raises:
        ArgumentError: there are several formulas.
    """
    statements = _with_functions(_statements(text, tokens, vocabulary), vocabulary)
    if len(statements) > _MOST_STATEMENTS:
        at = tokens[-1].at
        lexer.fail(text, at, f"at most {_MOST_STATEMENTS} definitions", "more")
    formulas = [s for s in statements if not s.defines] or statements[-1:]
    if len(formulas) > 1:
        at = formulas[1].right[0].at if formulas[1].right else 0
        expected = "one formula, and definitions (δ = …) of the names in it"
        lexer.fail(text, at, expected, "a second formula")
    return formulas[0], _in_order([s for s in statements if s is not formulas[0]])


def _in_order(definitions: Sequence[Statement]) -> list[Statement]:
    """Return definitions with those first that others use: δ₂ before δ₁ = W₂ᵀδ₂, also where it is written after it."""
    waiting = list(enumerate(definitions))
    ordered: list[Statement] = []
    while waiting:
        chosen = next(
            (
                item
                for item in waiting
                if not any(
                    _uses(item[1], other)
                    for place, other in waiting
                    if place > item[0]
                    and all(
                        before.defines != other.defines
                        for before in definitions[: item[0] + 1]
                    )
                )
            ),
            waiting[0],
        )
        waiting.remove(chosen)
        ordered.append(chosen[1])
    return ordered


def _uses(statement: Statement, other: Statement) -> bool:
    """Whether a statement has the name that another defines."""
    name = [token.text for token in other.left]
    texts = [token.text for token in statement.right]
    return any(
        texts[i : i + len(name)] == name for i in range(len(texts) - len(name) + 1)
    )


def _with_functions(
    statements: Sequence[Statement], vocabulary: Vocabulary
) -> list[Statement]:
    """Put functions in the place of names that stand for them."""
    functions: dict[str, str] = {}
    kept: list[Statement] = []
    for statement in statements:
        left, right = statement.left, statement.right
        alone = len(left) == 1 == len(right) and right[0].kind == "word"
        if alone and function_key(right[0].text) and statement.defines:
            functions[left[0].text] = right[0].text
        else:
            kept.append(statement)
    if not functions or not kept:
        return list(statements)

    def named(tokens: Sequence[Token]) -> tuple[Token, ...]:
        return tuple(
            replace(t, text=functions[t.text], unit=True)
            if t.kind == "word" and t.text in functions
            else t
            for t in tokens
        )

    return [replace(s, right=named(s.right)) for s in kept]


def formula_tokens(text: str, vocabulary: Vocabulary) -> list[Token]:
    """Return the tokens of a formula, an ``end`` token last; a known Σ is a name and not the sign of a sum."""
    return _with_sums(text, tokenize(text), vocabulary)


def _with_sums(
    text: str, tokens: Sequence[Token], vocabulary: Vocabulary
) -> list[Token]:
    r"""Tell the sign Σ from a matrix of that name: \Sigma and a known Σ before a letter are the matrix."""
    if "Sigma" not in vocabulary.names:
        return list(tokens)
    result: list[Token] = []
    for place, token in enumerate(tokens):
        follows = tokens[place + 1] if place + 1 < len(tokens) else token
        is_sign = (
            token.kind == "sign"
            and token.text == "Σ"
            and text[token.at : token.at + 1] == "Σ"
        )
        sums = follows.spaced or follows.text == "_"
        if is_sign and not sums:
            token = Token("word", "Σ", token.at, token.end, token.spaced, unit=True)
        result.append(token)
    return result


def _statements(
    text: str, tokens: Sequence[Token], vocabulary: Vocabulary
) -> list[Statement]:
    """Return the statements of a text in the order of their definitions, the formula itself last."""
    groups: list[list[Token]] = [[]]
    depth = environments = 0
    after: list[bool] = [False]
    body = list(tokens[:-1])
    for token in body:
        environments += (token.kind == "begin") - (token.kind == "close")
        sign = token.kind == "sign"
        depth += (sign and token.text in "([{⟨") - (sign and token.text in ")]}⟩")
        outside = depth == 0 and environments == 0
        word = (
            token.kind == "word"
            and token.text in _INTRODUCTIONS
            and outside
            and not token.unit
        )
        comma = sign and token.text == "," and outside
        full_stop = sign and token.text in {".", ":"} and outside
        if outside and (
            (sign and token.text in _SEPARATORS) or word or comma or full_stop
        ):
            if groups[-1]:
                groups.append([])
                after.append(False)
            after[-1] = (
                after[-1]
                or (word and token.text in {"where", "with"})
                or (comma and after[-2:-1] == [True])
            )
        elif token.text != "&" or environments:
            groups[-1].append(token)
    kept = [(g, a) for g, a in zip(groups, after, strict=True) if g]
    if not kept:
        lexer.fail(text, 0, "a formula", "the end")
    statements = [(_statement(g), late) for g, late in kept]
    first = [s for s, late in statements if late]
    return [*first, *(s for s, late in statements if not late)]


def _statement(tokens: Sequence[Token]) -> Statement:
    """Divide a statement at its last = outside of brackets."""
    depth = 0
    place = -1
    for i, token in enumerate(tokens):
        if token.kind in {"begin", "close"}:
            depth += 1 if token.kind == "begin" else -1
        if token.kind != "sign":
            continue
        depth += (token.text in "([{") - (token.text in ")]}")
        if token.text == "=" and depth == 0:
            place = i
    left, right = tuple(tokens[: max(place, 0)]), tuple(tokens[place + 1 :])
    return Statement(left, right, defined_name(left))


def defined_name(left: Sequence[Token]) -> str:
    """Return the name that stands alone on the left of an equation, or ""."""
    if not left or left[0].kind != "word":
        return ""
    if any(t.kind == "sign" and t.text not in set("_^{}[]()'") for t in left):
        return ""
    words = [t for t in left if t.kind == "word"]
    if any(t.text in {"⊤"} for t in words):
        return ""
    pieces = [t.text for t in left if t.kind in {"word", "number"}]
    primes = sum(t.text == "'" for t in left)
    name = unicodedata.normalize("NFC", "_".join(pieces)) + "'" * primes
    return name if re.fullmatch(r"[\w\u0300-\u036f']+", name) else ""
