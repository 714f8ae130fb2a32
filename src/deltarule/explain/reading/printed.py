"""The formulas that a derivation prints, part by part: a part that an answer repeats means what it means there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deltarule import dtypes
from deltarule.errors import DeltaruleError
from deltarule.explain.formula.term import Apply, Product, Symbol, Term, children
from deltarule.explain.formula.to_graph import lower
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.reading.grammar import parse_tokens
from deltarule.explain.reading.syntax import Expression, Literal, Named, parts
from deltarule.explain.reading.tokens import tokenize
from deltarule.explain.reading.vocabulary import PrintedLine, Vocabulary
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_latex, to_text

_PLAIN = {"tanh", "sigmoid", "relu", "exp", "log", "sqrt", "sign", "sin", "cos"}
_HIDDEN = {"broadcast", "reshape", "permute", "cast"}


def phrases(vocabulary: Vocabulary) -> Mapping[Expression, Node]:
    """Return the graphs of all parts of the lines of a derivation, by their syntax trees.

    Where parts that differ are printed alike, a whole line comes before parts, and the first before later ones.
    """
    vocabulary = vocabulary.origin or vocabulary
    found = vocabulary.phrases
    if not found and vocabulary.lines:
        special: dict[Term, bool] = {}
        for line in vocabulary.lines:
            _note(found, line.term, line, vocabulary)
        for line in vocabulary.lines:
            for part in _inner(line, special):
                _note(found, part, line, vocabulary)
    return found


def repeats(tree: Expression, vocabulary: Vocabulary) -> bool:
    """Whether a formula has a part that the derivation prints, other than a name."""
    known = phrases(vocabulary)
    return any(part in known for part in parts(tree))


def _is_special(term: Term, known: dict[Term, bool]) -> bool:
    """Whether a part has a function in it that means more than its name says: a norm of rows, a sum over one axis."""
    found = known.get(term)
    if found is None:
        own = isinstance(term, Apply) and term.name not in _PLAIN
        found = own or any([_is_special(part, known) for part in children(term)])
        known[term] = found
    return found


def _inner(line: PrintedLine, special: dict[Term, bool]) -> Iterator[Term]:
    """Yield the special parts of a line, each once."""
    stack = list(children(line.term))
    seen: set[Term] = set()
    while stack:
        part = stack.pop()
        if part in seen or not _is_special(part, special):
            continue
        seen.add(part)
        stack.extend(children(part))
        if not _is_hidden(part):
            yield part


def _is_hidden(part: Term) -> bool:
    """Whether a part is printed as its argument: that is what the text means."""
    if not isinstance(part, Apply) or part.name not in _HIDDEN:
        return False
    return typeset(part) == typeset(part.arguments[0])


def _note(
    found: dict[Expression, Node], part: Term, line: PrintedLine, vocabulary: Vocabulary
) -> None:
    if isinstance(part, Symbol) or (isinstance(part, Product) and not part.factors):
        return
    formula = typeset(part)
    for text in (to_text(formula), to_latex(formula)):
        try:
            tree = parse_tokens(text, tokenize(text), vocabulary)
        except DeltaruleError:  # printed in a way that is no formula
            continue
        if not isinstance(tree, (Named, Literal)) and tree not in found:
            found[tree] = lower(part, dtypes.FLOAT64, line.values)
