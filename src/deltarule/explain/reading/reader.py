r"""Read a formula: tokens, syntax tree, graph, and the formula as it was understood.

Definitions may stand before or after the formula, in lines of their own or after "where": δ = ŷ − y.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import Symbol
from deltarule.explain.reading import tokens as lexer
from deltarule.explain.reading.definitions import Statement, divided, formula_tokens
from deltarule.explain.reading.evaluation import Evaluation
from deltarule.explain.reading.extent import check_operations
from deltarule.explain.reading.fitting import filled, fitted, free_order
from deltarule.explain.reading.grammar import parse_tokens
from deltarule.explain.reading.printed import phrases, repeats
from deltarule.explain.reading.syntax import Expression, index_letters
from deltarule.explain.reading.tokens import Token
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.explain.reading.written import written
from deltarule.graph.node import Node
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula
from deltarule.shapes import Shape, Size


@dataclass(frozen=True)
class Reading:
    """A formula that was read: its graph, how it was understood, and its syntax tree (None for Python)."""

    node: Node
    formula: Formula
    tree: Expression | None = None


def read(
    text: str,
    known: Vocabulary | Mapping[str, Symbol],
    dtype: DType = dtypes.FLOAT64,
    like: Shape | None = None,
    recall: bool = False,
) -> Reading:
    """Read a formula in LaTeX, Unicode or ASCII mathematics.

    What has no meaning by itself has that of the derivation, if it prints it: E_c W, the rows that labels select.

    Args:
        text: The formula; definitions before it or after "where" may introduce names.
        known: The names and functions that it may use.
        dtype: The type of the graph.
        like: The shape that is expected, for 𝟙, I and free indices of unknown size.
        recall: Whether all that the derivation prints has the meaning of the derivation: ‖X‖, norms of rows.

    Raises:
        ArgumentError: the text is no formula; the message shows the position and what was expected there.
        ShapeError: a product or sum of sizes that do not fit.
    """
    vocabulary = known if isinstance(known, Vocabulary) else Vocabulary(known)
    tokens = formula_tokens(text, vocabulary)
    formula, definitions = divided(text, tokens, vocabulary)
    vocabulary, shown = _defined(text, definitions, vocabulary, dtype, recall)
    result = _evaluated(text, formula, vocabulary, dtype, like, recall)
    if not shown:
        return result
    check_operations(result.node, vocabulary.origin or vocabulary)
    whole = m.join([result.formula, *shown], m.Text("; "))
    return Reading(result.node, whole, result.tree)


def _defined(
    text: str,
    definitions: Sequence[Statement],
    vocabulary: Vocabulary,
    dtype: DType,
    recall: bool,
) -> tuple[Vocabulary, list[Formula]]:
    """Return the vocabulary with the names that are defined, and the definitions; later ones may come first."""
    shown: list[Formula] = []
    waiting = list(definitions)
    failed = 0
    while waiting:
        statement = waiting.pop(0)
        try:
            reading = _evaluated(text, statement, vocabulary, dtype, None, recall)
        except ArgumentError:
            failed += 1
            if failed > len(waiting):
                raise
            waiting.append(statement)
            continue
        failed = 0
        name = canonical(statement.defines)
        symbol = Symbol(statement.defines, reading.node.shape, reading.node)
        vocabulary = vocabulary.with_names({name: symbol})
        equals = m.Operator("=", spaced=True)
        shown.append(m.row(m.identifier(name), equals, reading.formula))
    return vocabulary, shown


def _evaluated(
    text: str,
    statement: Statement,
    vocabulary: Vocabulary,
    dtype: DType,
    like: Shape | None,
    recall: bool,
) -> Reading:
    return read_side(
        text,
        statement.right,
        vocabulary,
        dtype,
        like,
        left=statement.left,
        recall=recall,
    )


def read_side(
    text: str,
    right: Sequence[Token],
    vocabulary: Vocabulary,
    dtype: DType,
    like: Shape | None = None,
    *,
    left: Sequence[Token] = (),
    recall: bool = False,
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
    order = free_order(left, used)
    meaning = _Meaning(tree, used, order, vocabulary, dtype, like)
    if recall:
        return meaning.reading(phrases(vocabulary))
    try:
        return meaning.reading({})
    except DeltaruleError:
        if not repeats(tree, vocabulary):
            raise
        return meaning.reading(phrases(vocabulary))


@dataclass(frozen=True)
class _Meaning:
    """A syntax tree, its indices, and what it is evaluated with."""

    tree: Expression
    used: frozenset[str]
    order: Sequence[str]
    vocabulary: Vocabulary
    dtype: DType
    like: Shape | None

    def reading(self, known: Mapping[Expression, Node]) -> Reading:
        """Evaluate the tree; ``known`` are parts with a meaning of their own."""
        sizes: dict[str, Size] = dict(zip(self.order, self.like or (), strict=False))
        for _ in range(3):
            evaluation = Evaluation(
                self.vocabulary, self.dtype, sizes, self.used, known
            )
            value = evaluation.value(self.tree)
            if not evaluation.missing or not evaluation.missing & set(sizes):
                break
        if evaluation.missing:
            names = ", ".join(sorted(name.split("#")[0] for name in evaluation.missing))
            raise ArgumentError(
                "formula", expected=f"an array with the index {names}", got="none"
            )
        node = fitted(filled(self.tree, value, self.like), self.order, self.like)
        formula = written(self.tree, evaluation.readings)
        return Reading(node, formula, self.tree)
