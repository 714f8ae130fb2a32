"""The statements of a line: chains of equalities, each side a run of tokens."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltarule.errors import ArgumentError
from deltarule.explain.grading.lines.text import TextLine
from deltarule.explain.reading.definitions import formula_tokens
from deltarule.explain.reading.tokens import Token
from deltarule.explain.reading.vocabulary import Vocabulary

_BREAKS = {
    "where",
    "with",
    "let",
    "Let",
    "so",
    "then",
    "thus",
    "hence",
    "and",
    "und",
    "also",
}
_CONDITIONS = {"for", "if", "falls", "für"}
_MOST_SIDES = 24
Side = tuple[Token, ...]


@dataclass(frozen=True)
class Statement:
    """A chain of equalities, or a formula alone.

    ``sides`` are its sides as tokens, or as Python source; with ``continues`` the first one is that of the line before.
    ``refused`` says why it is not read.
    """

    text: str
    sides: tuple[Side, ...] = ()
    sources: tuple[str, ...] = ()
    continues: bool = False
    refused: str = ""

    @property
    def length(self) -> int:
        """The number of sides."""
        return len(self.sides) or len(self.sources)

    @property
    def is_prose(self) -> bool:
        """Whether a statement without an equals sign is made of words alone."""
        tokens = [token for side in self.sides for token in side]
        words = [t for t in tokens if t.kind == "word" and len(t.text) > 2 and t.spaced]
        return len(words) >= 2

    @property
    def written(self) -> str:
        """The part of the text that is the statement."""
        tokens = [token for side in self.sides for token in side]
        if not tokens:
            return self.text
        start = min(token.at for token in tokens)
        return self.text[start : max(token.end for token in tokens)]


def statements(line: TextLine, vocabulary: Vocabulary) -> list[Statement]:
    """Return the statements of a line of mathematics; one that is refused if there are none.

    Raises:
        ArgumentError: a character or command that is unknown.
    """
    text = line.formula.replace("\n", " ")
    if not text:
        return [Statement(text, refused="no formula")]
    if _is_remark(text):
        return [Statement(text, refused="a remark")]
    if _declares(text):
        return [Statement(text, refused="a declaration")]
    found = []
    for place, group in enumerate(_groups(formula_tokens(text, vocabulary))):
        sides = _sides(group)
        continues = line.continues and place == 0 and not sides[0]
        if [token.text for token in sides[-1]] == ["0"] and len(sides) > 2 - continues:
            sides.pop()  # the gradient is set to zero
        if len(sides) > 1 if continues else any(sides[0]):
            found.append(Statement(text, tuple(sides), continues=continues))
    equations = [s for s in found if s.length > 1]
    if not equations and found and found[0].is_prose:
        return [Statement(text, refused="words")]
    return equations or found[:1] or [Statement(text, refused="no formula")]


def _is_remark(text: str) -> bool:
    """Whether a whole line stands in parentheses."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place > 0 and place == len(text) - 1 and ("=" in text or " " in text)
    return False


def _declares(text: str) -> bool:
    """Whether a text says in which space its names lie."""
    return any(
        f"{sign}{gap}{space}" in text
        for sign in ("∈", "\\in")
        for gap in ("", " ")
        for space in ("ℝ", "R^", "ℕ", "\\mathbb", "{0", "\\{", "{1", "[0", "(0")
    )


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Divide tokens at commas, semicolons, arrows and words such as "where" that stand outside of brackets."""
    group: list[Token] = []
    depth = environments = 0
    conditional = False
    for token in tokens[:-1]:
        sign = token.kind == "sign"
        environments += (token.kind == "begin") - (token.kind == "close")
        depth += (sign and token.text in "([{⟨") - (sign and token.text in ")]}⟩")
        outside = depth <= 0 and environments == 0
        word = token.kind == "word" and not token.unit
        breaks = (sign and token.text in {"⇒", ",", ";", ".", ":", "\\\\", "\n"}) or (
            word and token.text in _BREAKS | _CONDITIONS
        )
        if outside and breaks:
            if group and not conditional:
                yield group
            group = []
            conditional = word and token.text in _CONDITIONS
        elif token.text != "&" or environments:
            group.append(token)
    if group and not conditional:
        yield group


def _sides(group: Sequence[Token]) -> list[Side]:
    """Divide a statement at = outside of brackets."""
    sides: list[list[Token]] = [[]]
    depth = 0
    for token in group:
        if token.kind in {"begin", "close"}:
            depth += 1 if token.kind == "begin" else -1
        elif token.kind == "sign":
            depth += (token.text in "([{") - (token.text in ")]}")
        if token.kind == "sign" and token.text == "=" and depth <= 0:
            sides.append([])
        else:
            sides[-1].append(token)
    if len(sides) > _MOST_SIDES:
        raise ArgumentError(
            "line",
            expected=f"at most {_MOST_SIDES} sides of an equation",
            got=str(len(sides)),
        )
    return [tuple(side) for side in sides]


# ---------------------------------------------------------------- Python


def python_statements(line: TextLine) -> list[Statement]:
    """Return the statements of a line of Python: assignments, and an expression alone.

    Raises:
        ArgumentError: the line is no Python.
    """
    text = line.formula
    if not text:
        return [Statement(text, refused="a comment")]
    if text.endswith(":"):
        return [Statement(text, refused="no assignment")]
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArgumentError(
            "Python line", expected="an assignment or an expression", got=text[:60]
        ) from error
    return [_of_python(text, tree) for tree in body]


def _of_python(text: str, tree: ast.stmt) -> Statement:
    source = ast.get_source_segment
    if isinstance(tree, ast.Assign):
        parts = [*tree.targets, tree.value]
        if all(isinstance(target, ast.Name) for target in tree.targets):
            return Statement(
                text, sources=tuple(source(text, part) or "" for part in parts)
            )
        if len(tree.targets) == 1 and (masked := _masked(text, tree)) is not None:
            return masked
        return Statement(text, refused="an assignment to a part of an array")
    if isinstance(tree, ast.AugAssign) and isinstance(tree.target, ast.Name):
        sign = _OPERATORS.get(type(tree.op), "")
        whole = f"{tree.target.id} {sign} ({source(text, tree.value)})"
        if sign:
            return Statement(text, sources=(tree.target.id, whole))
    if isinstance(tree, ast.AnnAssign) and isinstance(tree.target, ast.Name):
        value = source(text, tree.value) if tree.value is not None else None
        if value:
            return Statement(text, sources=(tree.target.id, value))
    if isinstance(tree, ast.Expr):
        return Statement(text, sources=(text,))
    return Statement(text, refused="no assignment")


def _masked(text: str, tree: ast.Assign) -> Statement | None:
    """Return dz[z < 0] = 0 as dz = np.where(z < 0, 0, dz)."""
    target = tree.targets[0]
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
        return None
    if not isinstance(target.slice, ast.Compare):
        return None
    name = target.value.id
    condition = ast.get_source_segment(text, target.slice)
    value = ast.get_source_segment(text, tree.value)
    return Statement(text, sources=(name, f"np.where({condition}, {value}, {name})"))


_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.MatMult: "@",
}
