"""The verdict on each claim: correct, wrong, or right given an earlier error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from deltarule import dtypes
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.grading.lines.quantities import Quantities, Quantity
from deltarule.explain.grading.lines.readings import Claim, Part
from deltarule.explain.grading.lines.values import Values
from deltarule.explain.reading.reader import Reading
from deltarule.explain.reading.syntax import Differential, parts
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES
from deltarule.render.mathematics import to_text

CORRECT, FOLLOWS, WRONG = "correct", "follows", "wrong"
NOT_READ, REDUNDANT = "not read", "redundant"


@dataclass
class Judged:
    """A claim with its verdict.

    ``known`` are the quantities whose values a definition or formula has, ``fault`` is the first side that is wrong,
    ``share`` the part of the links that is right, and ``about`` says what else there is to know.
    """

    claim: Claim
    verdict: str
    message: str = ""
    mistake: str = ""
    known: tuple[Quantity, ...] = ()
    fault: Part | None = None
    share: float = 1.0
    because: int | None = None
    states: bool = False


def matrix(reading: Reading) -> Node:
    """Return the value of a reading as a matrix."""
    return build.reshape(reading.node, matrix_shape(reading.node.shape))


def nodes_of(claims: Sequence[Claim], quantities: Quantities) -> list[Node]:
    """Return all nodes that the judgement compares."""
    found: dict[Node, None] = {}
    for quantity in quantities.all:
        if (node := truth(quantity)) is not None:
            found[node] = None
    for claim in claims:
        if claim.carried is not None:
            found[claim.carried] = None
        for part in claim.parts:
            for reading in (part.true, part.own):
                if reading is not None:
                    found[matrix(reading)] = None
                if reading is not None and isinstance(part.tree, Differential):
                    node = matrix(reading)
                    found |= dict.fromkeys((turned(node), *diagonal_of(node)))
    return list(found)


def truth(quantity: Quantity) -> Node | None:
    """Return the true value of a quantity as a matrix of numbers."""
    if quantity.symbol is None:
        return None
    node = quantity.symbol.node
    if not node.dtype.is_float:
        node = build.cast(node, dtypes.FLOAT64)
    return build.reshape(node, matrix_shape(node.shape))


def turned(node: Node) -> Node:
    """Return the transpose of a matrix, and any other array as it is."""
    return build.matrix_transpose(node) if node.rank == 2 else node


def _pair(tree: Differential) -> tuple[Node, Node]:
    return tree.over.node, tree.under.node


def _is_tensor(part: Part) -> bool:
    """Whether a side is a derivative with more than two axes, which texts write in many ways."""
    if not isinstance(part.tree, Differential):
        return False
    over, under = part.tree.over.node, part.tree.under.node
    axes = [sum(1 for size in node.shape if size != 1) for node in (over, under)]
    return axes[0] > 0 and axes[0] + axes[1] > 2


def diagonal_of(node: Node) -> tuple[Node, Node]:
    """Return what stands beside the diagonal of a square matrix, and the diagonal as a column."""
    size = node.shape[0] if node.rank == 2 else None
    if not isinstance(size, int) or node.shape != (size, size):
        return node, node
    unit = algebra.identity(size, node.dtype)
    diagonal = build.sum_over(build.multiply(node, unit), (1,), keepdims=True)
    return build.subtract(node, build.multiply(node, unit)), diagonal


class Judge:
    """Compare the sides of claims with the truth, in the order of the text."""

    def __init__(self, quantities: Quantities, values: Values) -> None:
        self._values = values
        self._quantities = quantities
        self._wrong: dict[Quantity, Judged] = {}
        self._broken: set[Quantity] = set()  # of wrong claims without a value
        self._local: set[tuple[Node, Node]] = (
            set()
        )  # derivatives that the text works out
        self._seen: dict[tuple[Quantity | None, str], int] = {}
        self._derivatives = sorted(
            (q for q in quantities.all if q.kind == "derivative"),
            key=lambda q: q.of is None or q.of.op in LEAVES,
        )
        self._signals = [q for q in quantities.all if q.kind == "signal"]

    def verdicts(self, claims: Sequence[Claim]) -> list[Judged]:
        """Return the verdict on each claim."""
        for claim in claims:
            local = [p.tree for p in claim.parts if isinstance(p.tree, Differential)]
            if local and claim.subject is None and not claim.error:
                right = self._equation(claim).verdict != WRONG
                self._local |= {_pair(tree) for tree in local if right}
        return [self._judged(claim) for claim in claims]

    def _judged(self, claim: Claim) -> Judged:
        if claim.error:
            return Judged(claim, NOT_READ, claim.error)
        if claim.statement.length < 2 and claim.subject is None:
            return Judged(
                claim, NOT_READ, "no equation", known=self.known_values(claim)
            )
        subject, left = claim.subject, claim.parts[0].quantity
        if left is not None and left.kind == "input" and subject is None:
            return Judged(claim, NOT_READ, f"the value of {left.shown} is given")
        if subject is None and any(map(_is_tensor, claim.parts)):
            message = "the derivative of an array with respect to a matrix"
            return Judged(claim, NOT_READ, message)
        if subject is None:
            found = self._equation(claim)
        elif subject.kind == "input":
            return Judged(claim, NOT_READ, f"the value of {subject.shown} is given")
        elif subject.kind == "own":
            found = self._definition(claim, subject)
        else:
            found = self._statement(claim, subject)
        self._remember(found)
        return found

    # ---------------------------------------------------------------- kinds of claims

    def _statement(self, claim: Claim, subject: Quantity) -> Judged:
        """Judge the values that a claim gives to a quantity of the network."""
        values, right = claim.values, truth(subject)
        if not values or right is None:
            return Judged(claim, CORRECT, f"a name for {subject.shown}")
        previous = None
        verdicts: list[str] = []
        fault: Part | None = None
        for place, part in enumerate(values):
            verdict = self._of_part(part, right, claim.carried)
            if verdict == WRONG and previous is not None and self._same(part, previous):
                verdict = FOLLOWS
            if not (place == 0 and claim.statement.continues):
                verdicts.append(verdict)
                if verdict == WRONG and fault is None:
                    fault = part
            previous = part
        if not verdicts:
            return Judged(claim, CORRECT, f"a name for {subject.shown}")
        return self._summary(claim, verdicts, fault, subject)

    def _summary(
        self,
        claim: Claim,
        verdicts: Sequence[str],
        fault: Part | None,
        subject: Quantity,
    ) -> Judged:
        share = 1 - verdicts.count(WRONG) / len(verdicts)
        open_ended = all(self._is_open(p, subject) for p in claim.values)
        judged = Judged(claim, CORRECT, share=share, states=not open_ended)
        if fault is not None:
            judged.verdict, judged.fault = WRONG, fault
        elif FOLLOWS in verdicts:
            judged.verdict = FOLLOWS
            judged.because = self._cause(claim)
        if judged.verdict == CORRECT and self._is_repeated(claim):
            judged.verdict = REDUNDANT
        return judged

    def _is_open(self, part: Part, subject: Quantity) -> bool:
        """Whether a value is given in terms of itself, or of derivatives that the text never works out."""
        if subject in part.used:
            return True
        if not part.chain or part.tree is None:
            return False
        found = [p for p in parts(part.tree) if isinstance(p, Differential)]
        return any(_pair(tree) not in self._local for tree in found)

    def _definition(self, claim: Claim, subject: Quantity) -> Judged:
        """Judge a definition: it is right, unless its own sides differ."""
        judged = self._equation(claim)
        if judged.verdict == WRONG or not claim.values:
            return judged
        known = self.known_values(claim)
        shown = f"defines {subject.shown}"
        judged.known = known
        value = claim.values[-1]
        judged.states = bool(known) and value.quantity is None and not value.chain
        printed = [q for q in known if self._is_printed(q)]
        if printed:
            shown = f"this is {printed[0].shown}"
        elif (other := self._opposite(claim)) is not None:
            shown = f"this is −{other.shown}"
        judged.message = shown
        return judged

    def _equation(self, claim: Claim) -> Judged:
        """Judge the equality of sides that are no quantities of the network."""
        values = [p for p in claim.parts if p.reading is not None or p.misfit]
        if any(p.misfit for p in values):
            fault = next(p for p in values if p.misfit)
            return Judged(claim, WRONG, fault=fault, mistake="shape", share=0.0)
        expressions = [p for p in values if not p.defines]
        if claim.subject is not None:
            expressions = [p for p in claim.values if p.reading is not None]
        verdicts: list[str] = []
        unequal: Part | None = None
        for left, right in pairwise(expressions):
            same = self._same(left, right) or self._is_local(left, right)
            follows = not same and self._same_true(left, right)
            verdicts.append(CORRECT if same else FOLLOWS if follows else WRONG)
            unequal = unequal or (right if verdicts[-1] == WRONG else None)
        if unequal is not None:
            message = "the two sides differ"
            share = 1 - verdicts.count(WRONG) / len(verdicts)
            return Judged(claim, WRONG, message, "unequal", fault=unequal, share=share)
        if FOLLOWS in verdicts:
            return Judged(claim, FOLLOWS, because=self._cause(claim))
        return Judged(claim, CORRECT)

    # ---------------------------------------------------------------- comparisons

    def _of_part(self, part: Part, right: Node, carried: Node | None) -> str:
        equal = self._values.equal
        broken = any(q in part.used for q in self._broken)
        if part.own is not None and equal(matrix(part.own), right):
            return FOLLOWS if broken else CORRECT
        if part.true is not None and equal(matrix(part.true), right):
            return FOLLOWS
        if (
            part.own is not None
            and carried is not None
            and equal(matrix(part.own), carried)
        ):
            return FOLLOWS
        return WRONG

    def _same(self, left: Part, right: Part) -> bool:
        if left.own is None or right.own is None:
            return self._same_true(left, right)
        return self._values.equal(matrix(left.own), matrix(right.own))

    def is_consistent(self, claim: Claim) -> bool:
        """Whether all values that a claim states are equal."""
        return all(self._same(a, b) for a, b in pairwise(claim.values))

    def _same_true(self, left: Part, right: Part) -> bool:
        if left.true is None or right.true is None:
            return False
        return self._values.equal(matrix(left.true), matrix(right.true))

    def _is_local(self, left: Part, right: Part) -> bool:
        """Whether sides are a derivative of a signal and its value as texts write it: transposed, or its diagonal."""
        for jacobian, part in ((left, right), (right, left)):
            if not isinstance(jacobian.tree, Differential):
                continue
            value = part.own or part.true
            whole = jacobian.true or jacobian.own
            if value is None or whole is None:
                continue
            node, known = matrix(value), matrix(whole)
            if self._values.equal(node, turned(known)):
                return True
            beside, diagonal = diagonal_of(known)
            if self._values.is_zero(beside) and self._values.equal(node, diagonal):
                return True
        return False

    def _last_value(self, claim: Claim) -> Node | None:
        found = [p.own or p.true for p in claim.values]
        readings = [reading for reading in found if reading is not None]
        return matrix(readings[-1]) if readings else None

    def known_values(self, claim: Claim) -> tuple[Quantity, ...]:
        """Return the derivatives and signals that have the value of a claim; those of signals first."""
        node = self._last_value(claim)
        if node is None:
            return ()
        return tuple(
            q
            for q in (*self._derivatives, *self._signals)
            if (right := truth(q)) is not None and self._values.equal(node, right)
        )

    def _is_printed(self, quantity: Quantity) -> bool:
        """Whether a quantity is one that the derivation shows."""
        lines = self._quantities.steps.forward
        leaf = quantity.of is not None and quantity.of.op in LEAVES
        return leaf or any(line.node is quantity.of for line in lines)

    def _opposite(self, claim: Claim) -> Quantity | None:
        node = self._last_value(claim)
        if node is None:
            return None
        return next(
            (
                q
                for q in self._derivatives
                if self._is_printed(q)
                and (right := truth(q)) is not None
                and self._values.equal(node, right, -1.0)
            ),
            None,
        )

    # ---------------------------------------------------------------- earlier lines

    def _remember(self, judged: Judged) -> None:
        """Note which quantities have a wrong value from here on, and which are right again."""
        for part in judged.claim.parts:
            quantity = part.quantity
            if quantity is None or quantity.kind == "input":
                continue
            self._broken.discard(quantity)
            if judged.verdict in {WRONG, FOLLOWS}:
                self._wrong[quantity] = judged
                if judged.fault is not None and judged.fault.reading is None:
                    self._broken.add(quantity)
            elif judged.claim.values:
                self._wrong.pop(quantity, None)

    def _cause(self, claim: Claim) -> int | None:
        """Return the number of the earlier line whose error a claim carries on."""
        used = {q for part in claim.parts for q in part.used}
        named = [found for q, found in self._wrong.items() if q in used]
        lines = named or [f for f in self._wrong.values() if f.verdict == WRONG]
        if not lines:
            return None
        first = lines[0]
        if first.verdict == FOLLOWS and first.because is not None:
            return first.because
        return first.claim.line.number

    def _is_repeated(self, claim: Claim) -> bool:
        """Whether the same has been written before, or both sides are the same."""
        texts = [
            to_text(p.reading.formula) for p in claim.parts if p.reading is not None
        ]
        key = (claim.subject, " = ".join(texts[-1:]))
        repeated = key in self._seen
        self._seen.setdefault(key, claim.line.number)
        return repeated
