r"""Read a formula: tokens, syntax tree, graph, and the formula as it was understood.

Definitions may stand before or after the formula, in lines of their own or after "where": δ = ŷ − y.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol, is_number
from deltarule.explain.reading import tokens as lexer
from deltarule.explain.reading.evaluation import Evaluation
from deltarule.explain.reading.grammar import parse_tokens
from deltarule.explain.reading.syntax import Expression, index_letters
from deltarule.explain.reading.tokens import Token, tokenize
from deltarule.explain.reading.values import Value, sized_identity, squeezed
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.explain.reading.written import written
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula
from deltarule.shapes import Shape, Size

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


@dataclass(frozen=True)
class Reading:
    """A formula that was read: its graph, how it was understood, and its syntax tree (None for Python)."""

    node: Node
    formula: Formula
    tree: Expression | None = None


@dataclass(frozen=True)
class _Statement:
    """A formula and what stands on its left: the tokens of a name or of a derivative."""

    left: tuple[Token, ...]
    right: tuple[Token, ...]
    defines: str


def read(
    text: str,
    known: Vocabulary | Mapping[str, Symbol],
    dtype: DType = dtypes.FLOAT64,
    like: Shape | None = None,
) -> Reading:
    """Read a formula in LaTeX, Unicode or ASCII mathematics.

    Args:
        text: The formula; definitions before it or after "where" may introduce names.
        known: The names and functions that it may use.
        dtype: The type of the graph.
        like: The shape that is expected, for 𝟙, I and free indices of unknown size.

    Raises:
        ArgumentError: the text is no formula; the message shows the position and what was expected there.
        ShapeError: a product or sum of sizes that do not fit.
    """
    vocabulary = known if isinstance(known, Vocabulary) else Vocabulary(known)
    tokens = formula_tokens(text, vocabulary)
    statements = _statements(text, tokens, vocabulary)
    definitions = (
        [s for s in statements[:-1] if s.defines] if len(statements) > 1 else []
    )
    answers = [s for s in statements if s not in definitions]
    formulas: list[Formula] = []
    for statement in definitions:
        reading = _evaluated(text, statement, vocabulary, dtype, None)
        name = statement.defines
        symbol = Symbol(name, reading.node.shape, reading.node)
        vocabulary = vocabulary.with_names({canonical(name): symbol})
        formulas.append(
            m.row(
                m.identifier(canonical(name)),
                m.Operator("=", spaced=True),
                reading.formula,
            )
        )
    if len(answers) != 1:
        at = answers[1].right[0].at if len(answers) > 1 and answers[1].right else 0
        lexer.fail(
            text,
            at,
            "one formula, and definitions (δ = …) of the names in it",
            "a second formula",
        )
    result = _evaluated(text, answers[0], vocabulary, dtype, like)
    if not formulas:
        return result
    formula = m.join([result.formula, *formulas], m.Text("; "))
    return Reading(result.node, formula, result.tree)


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


# ---------------------------------------------------------------- statements


def _statements(
    text: str, tokens: Sequence[Token], vocabulary: Vocabulary
) -> list[_Statement]:
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


def _statement(tokens: Sequence[Token]) -> _Statement:
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
    return _Statement(left, right, defined_name(left))


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


# ---------------------------------------------------------------- values


def _evaluated(
    text: str,
    statement: _Statement,
    vocabulary: Vocabulary,
    dtype: DType,
    like: Shape | None,
) -> Reading:
    return read_side(
        text, statement.right, vocabulary, dtype, like, left=statement.left
    )


def read_side(
    text: str,
    right: Sequence[Token],
    vocabulary: Vocabulary,
    dtype: DType,
    like: Shape | None = None,
    *,
    left: Sequence[Token] = (),
) -> Reading:
    """Read one side of an equation; ``left`` is the side that gives the order of its free indices.

    Raises:
        ArgumentError: the tokens are no formula.
        ShapeError: a product or sum of sizes that do not fit.
    """
    if not right:
        at = left[-1].end if left else 0
        lexer.fail(text, at, "a formula after =", "the end")
    end = Token("end", "", right[-1].end, right[-1].end)
    tree = parse_tokens(text, [*right, end], vocabulary)
    used = frozenset(index_letters(tree))
    order = _free_order(left, used)
    sizes: dict[str, Size] = dict(zip(order, like or (), strict=False))
    for _ in range(3):
        evaluation = Evaluation(vocabulary, dtype, sizes, used)
        value = evaluation.value(tree)
        if not evaluation.missing or not evaluation.missing & set(sizes):
            break
    if evaluation.missing:
        names = ", ".join(sorted(name.split("#")[0] for name in evaluation.missing))
        raise ArgumentError(
            "formula", expected=f"an array with the index {names}", got="none"
        )
    formula = written(tree, evaluation.readings)
    return Reading(_fitted(value, order, like), formula, tree)


def _free_order(left: Sequence[Token], used: frozenset[str]) -> list[str]:
    """Return the free indices in the order of the left side, then those of the alphabet."""
    last = max(
        (i for i, t in enumerate(left) if t.kind == "sign" and t.text in {"_", "/"}),
        default=0,
    )
    letters = [
        c for t in left[last:] if t.kind == "word" for c in t.text if t.text.isalpha()
    ]
    named = [c for c in letters if len(c) == 1 and c in "ijklmnpqrstuv"]
    return [*dict.fromkeys(named), *sorted(used - set(named))]


def _fitted(value: Value, order: Sequence[str], like: Shape | None) -> Node:
    """Return the matrix of a value: free indices become axes, 𝟙 and I get the expected size."""
    if value.mask is not None:
        if like is None:
            raise ShapeError(
                "answer",
                expected="an array beside 𝟙",
                got="a comparison of indices alone",
            )
        return value.mask(like)
    if value.indices:
        return _from_indices(value, order, like)
    if value.identity:
        if like is None:
            raise ShapeError("answer", expected="a matrix of known size", got="I alone")
        return sized_identity(value, like).node
    if any(value.free):
        return _from_free(value, like)
    if (
        like is not None
        and value.shape != like
        and (value.loose or len(value.shape) > 2 or len(like) > 2)
    ):
        flat = squeezed(value)
        if _core(flat.shape) == _core(like):
            return build.reshape(flat.node, like)
    if like is not None and len(like) > 2 and 0 < len(value.shape) < len(like):
        whole = (*(1,) * (len(like) - len(value.shape)), *value.shape)
        if all(a in (1, b) for a, b in zip(whole, like, strict=True)):
            return build.broadcast_to(build.reshape(value.node, whole), like)
    return (
        squeezed(value).node
        if len(value.shape) > 2 and like is not None and len(like) <= 2
        else value.node
    )


def _core(shape: Shape) -> list[Size]:
    return [size for size in shape if size != 1]


def _from_free(value: Value, like: Shape | None) -> Node:
    shape = value.shape
    fits = like is not None and len(like) == 2 == len(shape)
    if not fits or like is None:
        raise ShapeError(
            "answer", expected="a formula", got="𝟙, whose length no factor determines"
        )
    wanted = tuple(
        like[axis] if value.free[axis] and shape[axis] == 1 else shape[axis]
        for axis in (0, 1)
    )
    return build.broadcast_to(value.node, wanted)


def _from_indices(value: Value, order: Sequence[str], like: Shape | None) -> Node:
    names = [name for name in order if name in value.indices]
    named = [*names, *(name for name in value.indices if name not in names)]
    if not is_number(value.shape):
        if len(named) == 1 and len(value.shape) == 2 and 1 in value.shape:
            core = [size for size in value.shape if size != 1]
            return build.reshape(value.node, (value.node.shape[0], *core))
        raise ShapeError(
            "answer", expected="the entries of one array", got="an array for each index"
        )
    node = build.permute(
        build.reshape(value.node, value.node.shape[: len(value.indices)]),
        tuple(value.indices.index(name) for name in named),
    )
    if len(named) > 2:
        shape = node.shape
        return (
            node
            if like is None or _core(shape) != _core(like)
            else build.reshape(node, like)
        )
    absent = [name for name in order if name not in value.indices and len(name) == 1]
    if len(named) == 1:
        row = bool(absent) and order.index(named[0]) == 1
        if like is not None and len(like) == 2 and 1 in like and node.shape[0] in like:
            return build.reshape(node, like)
        return build.reshape(node, (1, *node.shape) if row else (*node.shape, 1))
    return node
