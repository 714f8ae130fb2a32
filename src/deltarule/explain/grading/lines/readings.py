"""What the lines of a derivation state, read with true values and with the values that the text gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deltarule.errors import ArgumentError, DeltaruleError, ShapeError
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.term import is_number, matrix_shape
from deltarule.explain.formula.to_graph import fitted
from deltarule.explain.formula.typeset import symbol as typeset_symbol
from deltarule.explain.grading.lines.quantities import Meaning, Quantities, Quantity
from deltarule.explain.grading.lines.statements import (
    Side,
    Statement,
    python_statements,
    statements,
)
from deltarule.explain.grading.lines.text import TextLine
from deltarule.explain.reading.definitions import defined_name
from deltarule.explain.reading.grammar import parse_tokens
from deltarule.explain.reading.parser.scripts import LOSSES
from deltarule.explain.reading.python.answer import read_array
from deltarule.explain.reading.reader import Reading, read_side
from deltarule.explain.reading.syntax import (
    Called,
    Constant,
    Differential,
    Entry,
    Expression,
    Letter,
    Literal,
    Named,
    parts,
)
from deltarule.explain.reading.tokens import Token
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES
from deltarule.graph.rewrite import substitute
from deltarule.render.mathematics import to_text
from deltarule.shapes import Shape

_ROUNDS = 6  # of reading lines whose names are defined further down
_MOST_CUTS = 8


@dataclass
class Part:
    """One side of an equation.

    ``quantity`` is what the side is if it is a name alone, ``defines`` whether the name is new, and ``alias`` the short
    name, such as delta_1, that is written for it. ``true`` is the value of the side where all names have their true
    values, ``own`` that where they have the values that the text gives them. ``used`` are the quantities that it
    names, ``tree`` is its syntax tree, and ``chain`` tells whether derivatives of signals are left in it.
    """

    quantity: Quantity | None = None
    defines: bool = False
    alias: str = ""
    true: Reading | None = None
    own: Reading | None = None
    used: frozenset[Quantity] = frozenset()
    tree: Expression | None = None
    chain: bool = False
    misfit: str = ""

    @property
    def reading(self) -> Reading | None:
        """The reading to show."""
        return self.own or self.true


@dataclass
class Claim:
    """A statement as it was read.

    ``subject`` is what it is about, ``carried`` the true value of that, computed from the values that the text gives.
    """

    line: TextLine
    statement: Statement
    parts: list[Part] = field(default_factory=list)
    subject: Quantity | None = None
    carried: Node | None = None
    error: str = ""

    @property
    def values(self) -> list[Part]:
        """The sides that state a value of the subject."""
        return [
            part
            for part in self.parts
            if part.quantity is None
            or (part.quantity is not self.subject and not part.defines)
        ]


class Text:
    """The lines of a derivation, read one after the other.

    ``asked`` are the gradients asked for, and ``answers`` tells what formulas without an equals sign are about, by the
    number of their line.
    """

    def __init__(
        self,
        quantities: Quantities,
        names: Mapping[str, Quantity],
        python: bool,
        asked: Sequence[Quantity],
        answers: Mapping[int, Quantity] | None = None,
    ) -> None:
        self._asked = asked[0] if len(asked) == 1 else None
        self._answers = answers or {}
        self._quantities = quantities
        self._dtype = quantities.every.loss.dtype
        self._python = python
        self.names = dict(names)
        self._true = Meaning(quantities, self.names)
        self._own = Meaning(quantities, self.names)
        self._stated: dict[Quantity, tuple[Node, Node] | None] = {}
        self._later: frozenset[str] = frozenset()

    def claims(self, lines: Sequence[TextLine]) -> list[Claim]:
        """Return the claims of all lines, in order; lines whose names are defined further down are read last."""
        found = [claim for line in lines for claim in self._stated_in(line)]
        self._later = self._defined_in(found)
        last: Claim | None = None
        for claim in found:
            self._read_claim(claim, last)
            last = last if claim.error else claim
        for _ in range(_ROUNDS):
            known = len(self.names)
            for place, claim in enumerate(found):
                if claim.error and not claim.statement.refused:
                    self._read_claim(claim, found[place - 1] if place else None)
            if len(self.names) == known:
                if not self._later:
                    break
                self._later = frozenset()
        return found

    def _stated_in(self, line: TextLine) -> list[Claim]:
        try:
            found = self._divided(line)
        except ArgumentError as error:
            found = [Statement(line.formula, refused=_short(error))]
        return [Claim(line, statement) for statement in found]

    def _divided(self, line: TextLine) -> list[Statement]:
        if self._python:
            return python_statements(line)
        return statements(line, self._true.vocabulary()[0])

    def _defined_in(self, claims: Sequence[Claim]) -> frozenset[str]:
        """Return the plain names that the text defines."""
        if self._python:
            return frozenset()
        sides = [claim.statement.sides for claim in claims]
        names = {_last_name(side[0]) for side in sides if len(side) > 1 and side[0]}
        return frozenset(n for n in names if n and "_" not in n) - self.names.keys()

    # ---------------------------------------------------------------- one statement

    def _read_claim(self, claim: Claim, before: Claim | None) -> None:
        statement = claim.statement
        claim.error, claim.parts, claim.subject = statement.refused, [], None
        if statement.refused:
            return
        try:
            self._wait_for_names(statement)
            self._read(claim, before)
        except DeltaruleError as error:
            equation = statement.length > 1 or statement.continues
            claim.error = _short(error) if equation else "no equation"
            claim.parts, claim.subject = [], None
            return
        self._note(claim)

    def _wait_for_names(self, statement: Statement) -> None:
        """Raise ArgumentError for a name that is defined further down."""
        own = _last_name(statement.sides[0]) if statement.sides else ""
        for side in statement.sides:
            for token in side:
                name = canonical(token.text) if token.kind == "word" else ""
                if name in self._later - {own} and name not in self.names:
                    raise ArgumentError("line", expected="a known name", got=name)

    def _read(self, claim: Claim, before: Claim | None) -> None:
        """Read the sides: those that are names first, since they tell the shape of the others."""
        statement = claim.statement
        first = 0
        if statement.continues:
            if before is None or not before.parts:
                raise ArgumentError("line", expected="a line before =", got="none")
            claim.parts.append(before.parts[-1])
            claim.subject = before.subject
            first = 1
        count = statement.length
        trees = [
            self._name(statement, place, first=place == 0, last=place == count - 1)
            for place in range(first, count)
        ]
        claim.parts += trees
        if all(part.defines for part in trees):
            raise ArgumentError("line", expected="a known name", got="new names alone")
        if claim.subject is None:
            claim.subject = _subject(claim.parts)
        if count == 1 and not statement.continues:
            claim.subject = self._answers.get(claim.line.number)
        like = self._shape(claim.subject)
        for place, part in enumerate(claim.parts[first:], start=first):
            if not part.defines and part.alias != "∇":
                self._evaluate(statement, place, part, like)
        self._settle(claim)

    def _settle(self, claim: Claim) -> None:
        """Tell new meanings of names: J = … is the loss, and δ = δ ⊙ … gives δ another meaning from here on."""
        subject, values = claim.subject, [p for p in claim.values if p.reading]
        if subject is None or not values or claim.statement.continues:
            return
        reading = values[-1].reading
        number = reading is not None and is_number(reading.node.shape)
        if subject.kind == "own" and subject.name in LOSSES and number:
            claim.subject = self._quantities.loss
            claim.parts = [
                replace(p, quantity=claim.subject, defines=False)
                if p.quantity is subject
                else p
                for p in claim.parts
            ]
            return
        if subject not in self._stated or subject.kind == "own":
            return
        zero = isinstance(values[-1].tree, Literal) and values[-1].tree.value == 0
        if zero and subject.kind == "derivative" and len(values) == 1:
            raise ArgumentError("line", expected="a value", got="a condition: set to 0")
        first = claim.parts[0]
        if first.quantity is subject and first.alias and subject in values[-1].used:
            claim.subject = self._new(first.alias).quantity
            claim.parts[0] = replace(first, quantity=claim.subject, defines=True)

    def _shape(self, subject: Quantity | None) -> Shape | None:
        if subject is None or subject.kind == "own":
            return None
        symbol = subject.symbol
        return None if symbol is None else matrix_shape(symbol.node.shape)

    def _name(self, statement: Statement, place: int, first: bool, last: bool) -> Part:
        """Return a side with the quantity that it is, if it is a name alone."""
        if statement.sources:
            return self._python_name(statement.sources[place], first)
        vocabulary, owners = self._true.vocabulary()
        texts = [token.text for token in statement.sides[place]]
        losses = LOSSES | {vocabulary.loss}
        if len(texts) == 2 and texts[0] == "∇" and texts[1] in losses and self._asked:
            return Part(self._asked, alias="∇")
        for tokens in _cuts(statement.sides[place], first=first, last=last):
            name = canonical(defined_name(tokens)) if tokens else ""
            if name in self.names and name:
                return Part(self.names[name], alias=name)
            try:
                tree = parse_tokens(statement.text, _ended(tokens), vocabulary)
            except ArgumentError:
                continue
            if name and first and (_is_symbolic(tree) or _has_index(tokens, tree)):
                return self._new(name)
            _check_derivatives(tree, owners)
            return Part(_alone(tree, owners))
        tokens = statement.sides[place]
        name = _last_name(tokens) if first else ""
        if last and not first and not any(t.spaced for t in tokens[1:]):
            name = canonical(defined_name(tokens))
        return self._new(name) if name and statement.length > 1 else Part()

    def _python_name(self, source: str, first: bool) -> Part:
        if not source.isidentifier():
            return Part()
        name = canonical(source)
        if name in self.names:
            return Part(self.names[name], alias=name)
        return self._new(name) if first else Part()

    def _new(self, name: str) -> Part:
        shown = to_text(typeset_symbol(name))
        return Part(Quantity("own", shown, name=name), defines=True)

    def _evaluate(
        self, statement: Statement, place: int, part: Part, like: Shape | None
    ) -> None:
        """Read a side with true values and with those of the text."""
        failures: list[DeltaruleError] = []
        for own, meaning in ((False, self._true), (True, self._own)):
            vocabulary, owners = meaning.vocabulary()
            try:
                if statement.sources:
                    source = statement.sources[place]
                    reading = read_array(source, vocabulary, self._dtype)
                    part.used = self._named_in(source)
                else:
                    reading = self._read_tokens(statement, place, vocabulary, like)
                    tree = part.tree = reading.tree
                    _check_derivatives(tree, owners)
                    part.used = frozenset(
                        owners[id(p.symbol)]
                        for p in (parts(tree) if tree is not None else ())
                        if isinstance(p, Named) and id(p.symbol) in owners
                    )
                    part.chain = tree is not None and any(
                        isinstance(p, Differential) for p in parts(tree)
                    )
            except DeltaruleError as error:
                failures.append(error)
                continue
            if own:
                part.own = reading
            else:
                part.true = reading
        if len(failures) == 2:
            if isinstance(failures[0], ShapeError):
                part.misfit = str(failures[0])
            else:
                raise failures[0]

    def _read_tokens(
        self,
        statement: Statement,
        place: int,
        vocabulary: Vocabulary,
        like: Shape | None,
    ) -> Reading:
        tokens = statement.sides[place]
        left = statement.sides[0]
        failure: ArgumentError | None = None
        for cut in _cuts(tokens, first=place == 0, last=place == statement.length - 1):
            try:
                return read_side(
                    statement.text, cut, vocabulary, self._dtype, like, left=left
                )
            except ShapeError:
                raise
            except ArgumentError as error:
                failure = failure or error
        raise failure or ArgumentError("line", expected="a formula", got="none")

    def _named_in(self, source: str) -> frozenset[Quantity]:
        names = {
            canonical(node.id)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Name)
        }
        return frozenset(self.names[name] for name in names if name in self.names)

    # ---------------------------------------------------------------- what the text says from here on

    def _note(self, claim: Claim) -> None:
        """Take the values that a claim gives to names."""
        if claim.subject is not None and claim.subject.kind in {"derivative", "signal"}:
            claim.carried = self._carried(claim.subject)
        values = [p for p in claim.values if p.true is not None or p.own is not None]
        if not values:
            return
        value = values[-1]
        for part in claim.parts:
            quantity = part.quantity
            if quantity is None or part is value or quantity.kind == "input":
                continue
            own = value.own or value.true
            if part.defines:
                self.names[quantity.name] = quantity
            if own is not None:
                self._own.set(quantity, own.node)
                self._stated[quantity] = self._replacement(quantity, own.node)
            true = value.true or value.own
            if quantity.kind == "own" and true is not None:
                self._true.set(quantity, true.node)

    def _replacement(self, quantity: Quantity, node: Node) -> tuple[Node, Node] | None:
        """Return the node of a signal, or of the derivative by it, and the value that the text gives it."""
        symbol, of = quantity.symbol, quantity.of
        if symbol is None or of is None or of.op in LEAVES:
            return None
        target = self._quantities.base.rows.get(symbol.node, symbol.node)
        value = node
        if target is not symbol.node and node.rank == 2:
            value = build.matrix_transpose(node)
        if value.shape != matrix_shape(target.shape):
            return None
        return target, fitted(value, target.shape, target.dtype)

    def _carried(self, subject: Quantity) -> Node | None:
        """Return the true value of a quantity, computed from the values that the text gives to signals."""
        if subject.symbol is None:
            return None
        held = [pair for q, pair in self._stated.items() if q is not subject]
        replaced = dict(pair for pair in held if pair is not None)
        if not replaced:
            return None
        (found,) = substitute([subject.symbol.node], replaced)
        if found is subject.symbol.node:
            return None
        return build.reshape(found, matrix_shape(found.shape))


def _subject(found: Sequence[Part]) -> Quantity | None:
    """Return what an equation is about: a name on its left, or else the first name among its sides."""
    if len(found) < 2:
        return None
    names = [p.quantity for p in found if p.quantity is not None]
    if found[0].quantity is not None and found[0].quantity.kind != "input":
        return found[0].quantity
    return next((q for q in names if q.kind != "input"), None)


def _alone(tree: Expression | None, owners: Mapping[int, Quantity]) -> Quantity | None:
    """Return the quantity of a name alone, or of its entries with letters as indices."""
    if isinstance(tree, Entry) and all(isinstance(i, str) for i in tree.indices):
        tree = tree.body
    return owners.get(id(tree.symbol)) if isinstance(tree, Named) else None


def _check_derivatives(tree: Expression | None, owners: Mapping[int, Quantity]) -> None:
    """Refuse derivatives with respect to a name of the text that is nothing in the network.

    Raises:
        ArgumentError: there is one.
    """
    for part in parts(tree) if tree is not None else ():
        if not isinstance(part, Differential):
            continue
        under = owners.get(id(part.under))
        if under is None or under.kind in {"own", "derivative"}:
            raise ArgumentError(
                f"formula, position {part.at + 1}",
                expected="a derivative with respect to a quantity of the network",
                got=f"one with respect to {part.under.name}",
            )


def _has_index(tokens: Side, tree: Expression) -> bool:
    """Whether a side is one letter with an index, such as n_0, that is no name so far."""
    words = [token for token in tokens if token.kind == "word"]
    signs = {token.text for token in tokens if token.kind == "sign"}
    layer = "^" not in signs or bool(signs & {"[", "("})
    names = (Named, Entry, Differential)
    one = len(words) == 1 and len(tokens) > 1
    return one and layer and not isinstance(tree, names)


def _is_symbolic(tree: Expression) -> bool:
    """Whether a tree is a constant or a function without a meaning as the left side of a definition: e, e_1, I."""
    unit = isinstance(tree, Called) and tree.function in {"unit", "one_hot"}
    return unit or isinstance(tree, (Constant, Letter))


def _ended(tokens: Side) -> list[Token]:
    end = tokens[-1].end if tokens else 0
    return [*tokens, Token("end", "", end, end)]


def _cuts(tokens: Side, first: bool, last: bool) -> Iterator[Side]:
    """Yield the tokens, then without words before them and without remarks after them."""
    yield tokens
    if first:
        for start in range(1, min(len(tokens), _MOST_CUTS)):
            before = tokens[start - 1]
            if before.kind != "word" or before.unit:
                break
            yield tokens[start:]
    if last:
        places = [
            i
            for i, t in enumerate(tokens)
            if i
            and ((t.kind == "word" and len(t.text) > 1) or t.text in {"(", "["})
            and t.spaced
        ]
        for place in places[-_MOST_CUTS:][::-1]:
            yield tokens[:place]


def _last_name(tokens: Side) -> str:
    """Return the name that a side ends with: e of "the error e"."""
    start = max(
        (i for i, t in enumerate(tokens) if i and t.kind == "word" and t.spaced),
        default=0,
    )
    return canonical(defined_name(tokens[start:]))


def _short(error: DeltaruleError) -> str:
    """Return the first line of a message: where, what was expected, and what came."""
    return str(error).partition("\n")[0]
