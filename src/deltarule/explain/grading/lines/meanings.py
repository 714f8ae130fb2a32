"""What the names of a derivation mean where it does not say so, or uses a name of the network for something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deltarule.explain.formula.to_graph import fitted
from deltarule.explain.grading.lines.judge import (
    CORRECT,
    NOT_READ,
    REDUNDANT,
    WRONG,
    Judge,
    Judged,
    matrix,
    truth,
)
from deltarule.explain.grading.lines.quantities import Quantities, Quantity
from deltarule.explain.grading.lines.values import Values
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES
from deltarule.graph.rewrite import substitute

_MOST_NAMES, _MOST_MEANINGS = 4, 24
Evaluated = Callable[[Sequence[Node]], Values]


def renamed(
    judged: Sequence[Judged], names: Mapping[str, Quantity], judge: Judge
) -> set[str]:
    """Return the short names that stand for another quantity in the text than in the network.

    Such is δ₁ = W₂ᵀδ₂, the derivative with respect to a₁, where every later line that uses δ₁ is right with that
    value: the names of the text are consistent, and the line is no error.
    """
    found: dict[str, Judged] = {}
    for one in judged:
        subject = one.claim.subject
        alias = next((p.alias for p in one.claim.parts if p.quantity is subject), "")
        if one.verdict != WRONG or not alias or names.get(alias) is not subject:
            continue
        if subject is None or subject.kind not in {"derivative", "signal"}:
            continue
        short = subject.kind == "signal" or alias.lower().startswith("delta")
        short = short and judge.is_consistent(one.claim)
        if short and (subject.guessed or judge.known_values(one.claim)):
            found[alias] = one
    updated = {one.claim.parts[0].alias for one in judged if _is_update(one)}
    changed = True
    while changed:
        consistent = {
            alias: one
            for alias, one in found.items()
            if all(
                later.verdict in {CORRECT, REDUNDANT} or later in found.values()
                for later in _users(judged, one)
            )
        }
        changed = len(consistent) < len(found)
        found = consistent
    stated = {part.alias for one in judged for part in one.claim.parts[:1]}
    return set(found) | {name for name in updated & stated if name in names}


def _is_update(one: Judged) -> bool:
    """Whether a claim gives a name of the network another meaning: dz = dz * (1 - a**2)."""
    subject = one.claim.subject
    own = subject is not None and subject.kind == "own"
    return own and bool(one.claim.parts) and bool(one.claim.parts[0].alias)


def _users(judged: Sequence[Judged], one: Judged) -> list[Judged]:
    """Return the later claims that use the subject of one."""
    subject = one.claim.subject
    place = next(i for i, other in enumerate(judged) if other is one)
    return [
        later
        for later in judged[place + 1 :]
        if later.verdict != NOT_READ
        and any(subject in part.used for part in later.claim.parts)
    ]


def meant(
    judged: Sequence[Judged], quantities: Quantities, evaluated: Evaluated
) -> dict[str, Quantity]:
    """Return what the text's own names are meant as, where their definitions are wrong.

    Such is e = ŷ + y where each later line that uses e would be right if e were ŷ − y, a derivative of the loss.
    """
    trials: list[tuple[str, Quantity, list[tuple[Node, Node]]]] = []
    for one in [j for j in judged if _is_open(j)][:_MOST_NAMES]:
        later = [u for u in _users(judged, one) if u.verdict == WRONG]
        value = one.claim.values[-1].own if one.claim.values else None
        if not later or value is None or one.claim.subject is None:
            continue
        for quantity in _candidates(quantities, matrix(value)):
            pairs = _with_truth(later, value.node, quantity)
            if pairs:
                trials.append((one.claim.subject.name, quantity, pairs))
    if not trials:
        return {}
    pairs = [pair for *_, found in trials for pair in found]
    values = evaluated([node for pair in pairs for node in pair])
    result: dict[str, Quantity] = {}
    for name, quantity, found in trials:
        if name not in result and all(values.equal(a, b) for a, b in found):
            result[name] = quantity
    return result


def _is_open(one: Judged) -> bool:
    """Whether a claim defines a name with a value that is nothing in the network."""
    subject = one.claim.subject
    own = subject is not None and subject.kind == "own"
    return own and one.verdict == CORRECT and not one.known


def _candidates(quantities: Quantities, value: Node) -> list[Quantity]:
    """Return the derivatives with the shape of a value, those with respect to signals first."""
    found = [
        q
        for q in quantities.all
        if q.kind == "derivative"
        and (right := truth(q)) is not None
        and right.shape == value.shape
    ]
    found.sort(key=lambda q: q.of is None or q.of.op in LEAVES)
    return found[:_MOST_MEANINGS]


def _with_truth(
    later: Sequence[Judged], value: Node, quantity: Quantity
) -> list[tuple[Node, Node]]:
    """Return the values of later claims with a true value in place of one of the text, and what they should be."""
    right = truth(quantity)
    pairs: list[tuple[Node, Node]] = []
    for one in later:
        subject, own = one.claim.subject, one.claim.values[-1].own
        wanted = truth(subject) if subject is not None else None
        if own is None or wanted is None or right is None:
            return []
        (changed,) = substitute(
            [matrix(own)], {value: fitted(right, value.shape, value.dtype)}
        )
        pairs.append((changed, wanted))
    return pairs


def derivatives_of_names(
    judged: Sequence[Judged], names: Mapping[str, Quantity], quantities: Quantities
) -> dict[str, Quantity]:
    """Return ∂L/∂r for each name r of the text that is a signal of the network, by its value."""
    loss = quantities.every.loss_name
    found: dict[str, Quantity] = {}
    for one in judged:
        subject = one.claim.subject
        if subject is None or subject.kind != "own":
            continue
        signal = next((q for q in one.known if q.kind == "signal"), None)
        key = f"d{loss}/d{subject.name}"
        of = None if signal is None else signal.of
        if key not in names and (known := _derivative(quantities, of)) is not None:
            found[key] = known
    return found


def _derivative(quantities: Quantities, of: Node | None) -> Quantity | None:
    found = (q for q in quantities.all if q.kind == "derivative" and q.of is of)
    return next(found, None)


def unnamed_answers(
    judged: Sequence[Judged], asked: Sequence[Quantity]
) -> tuple[dict[int, Quantity], dict[str, Quantity]]:
    """Return which gradient a last formula without a name is, and what the last name of the text's own is meant as.

    Both only for a gradient that no line states.
    """
    stated = {
        q
        for one in judged
        for q in (*one.known, *(p.quantity for p in one.claim.parts))
        if q is not None and one.verdict != NOT_READ
    }
    missing = [q for q in asked if q not in stated]
    if not missing:
        return {}, {}
    last = next((one for one in reversed(judged) if _has_value(one)), None)
    if last is None:
        return {}, {}
    claim = last.claim
    if claim.subject is None and claim.statement.length == 1:
        known = [q for q in last.known if q in asked]
        return {claim.line.number: (known or missing)[0]}, {}
    if len(missing) == 1 and _is_open(last) and claim.subject is not None:
        return {}, {claim.subject.name: missing[0]}
    return {}, {}


def _has_value(one: Judged) -> bool:
    return any(part.reading is not None for part in one.claim.parts)
