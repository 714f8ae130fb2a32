"""Partial credit: the points of a derivation, shared by the quantities that it has to state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deltarule.explain.derivation.derivation import Line
from deltarule.explain.grading.lines.judge import NOT_READ, WRONG, Judged
from deltarule.explain.grading.lines.quantities import Quantities, Quantity
from deltarule.explain.grading.mistakes import needed_lines
from deltarule.graph.node import Node
from deltarule.graph.walk import topological


@dataclass
class Share:
    """A required quantity, what it needs, and the part of its points that is earned."""

    quantity: Quantity
    line: Line
    needs: tuple[Quantity, ...]
    earned: float = 0.0
    by: Judged | None = None


@dataclass
class Points:
    """The shares of all required quantities; wrong lines that state none of them (``aside``) lose one share each."""

    shares: dict[Quantity, Share]
    aside: list[Judged] = field(default_factory=list)
    missing: list[Quantity] = field(default_factory=list)

    @property
    def part(self) -> float:
        """The part of all points that is earned, from 0 to 1."""
        earned = sum(share.earned for share in self.shares.values()) - len(self.aside)
        return max(0.0, earned) / len(self.shares)


def required(quantities: Quantities, asked: Sequence[Node]) -> dict[Quantity, Share]:
    """Return the quantities that lead to the gradients asked for, in the order of the derivation."""
    lines = quantities.steps.backward
    found: dict[int, Share] = {}
    for node in asked:
        wanted = next(line for line in lines if line.node is node)
        for line in needed_lines(lines, wanted):
            if line.number in found:
                continue
            above = [n for n in needed_lines(lines, line) if n is not line]
            needs = tuple(quantities.derivative(n.node) for n in above)
            quantity = quantities.derivative(line.node)
            found[line.number] = Share(quantity, line, needs)
    return {found[number].quantity: found[number] for number in sorted(found)}


def points(
    judged: Sequence[Judged],
    shares: dict[Quantity, Share],
    departures: Mapping[int, Quantity | None],
    require_steps: bool,
) -> Points:
    """Distribute points.

    A required quantity earns its share where the last line that states it is right, or right given an earlier error.
    One that no line states earns it where a right line contains it: it has been skipped correctly. ``departures``
    maps the places of wrong claims to the quantity at which they depart from the derivation; the others on the way
    there have been right.
    """
    result = Points(shares)
    for one in judged:
        for quantity in stated(one):
            if quantity in shares:
                shares[quantity].earned = one.share
                shares[quantity].by = one
    by = {q: share.by for q, share in shares.items() if share.by is not None}
    departures = {
        place: judged[place].claim.subject if departs in by else departs
        for place, departs in departures.items()
    }
    for quantity in [q for q in by if _is_circular(q, by)]:
        shares[quantity].earned, shares[quantity].by = 0.0, None
    covered = set() if require_steps else _covered(judged, shares, departures)
    for quantity, share in shares.items():
        departs = any(departures.get(i) is quantity for i in departures)
        if share.by is None and quantity in covered and not departs:
            share.earned = 1.0
    if not require_steps:
        _method(judged, shares, departures)
    result.aside = [one for one in judged if _is_aside(one, shares)]
    result.missing = [q for q, s in shares.items() if s.by is None and not s.earned]
    return result


def stated(one: Judged) -> list[Quantity]:
    """Return the quantities whose values a claim states."""
    if one.verdict == NOT_READ:
        return []
    if one.verdict != WRONG and not one.states:
        return []
    last = one.claim.values[-1] if one.claim.values else None
    named = [p.quantity for p in one.claim.parts if p is not last]
    found = [one.claim.subject, *named, *one.known]
    return list(dict.fromkeys(q for q in found if q is not None))


def _is_aside(one: Judged, shares: Mapping[Quantity, Share]) -> bool:
    """Whether a wrong claim states none of the required quantities."""
    return one.verdict == WRONG and not any(q in shares for q in stated(one))


def _is_circular(quantity: Quantity, by: Mapping[Quantity, Judged]) -> bool:
    """Whether a quantity is stated in terms of itself."""
    seen: set[Quantity] = set()
    stack = list(_used(by[quantity]))
    while stack:
        other = stack.pop()
        if other is quantity:
            return True
        if other not in seen and other in by:
            seen.add(other)
            stack.extend(_used(by[other]))
    return False


def _used(one: Judged) -> set[Quantity]:
    values = one.claim.values
    return {q for part in values[-1:] for q in part.used}


def _covered(
    judged: Sequence[Judged],
    shares: Mapping[Quantity, Share],
    departures: Mapping[int, Quantity | None],
) -> set[Quantity]:
    """Return the quantities that right claims contain without naming them."""
    own = {one.claim.subject: one for one in judged if one.claim.subject is not None}
    found: set[Quantity] = set()
    for place, one in enumerate(judged):
        right = one.verdict != WRONG and one.share == 1.0
        if not right and departures.get(place) is None:
            continue
        named = _closure(_used(one), own)
        hidden: set[Node] = set()
        for quantity in named:
            if quantity.kind == "derivative" and quantity.symbol is not None:
                hidden |= set(topological([quantity.symbol.node]))
        for quantity in stated(one):
            if quantity in shares:
                needs = shares[quantity].needs
                found |= {q for q in needs if shares[q].line.value not in hidden}
    return found


def _closure(used: Iterable[Quantity], own: Mapping[Quantity, Judged]) -> set[Quantity]:
    """Return the quantities that claims use, those behind the text's own names included."""
    found: set[Quantity] = set()
    stack = list(used)
    while stack:
        quantity = stack.pop()
        if quantity in found:
            continue
        found.add(quantity)
        if quantity.kind == "own" and quantity in own:
            stack.extend(_used(own[quantity]))
    return found


def _method(
    judged: Sequence[Judged],
    shares: Mapping[Quantity, Share],
    departures: Mapping[int, Quantity | None],
) -> None:
    """Give a wrong line its points where its only error is one in a quantity that it skips."""
    for place, departure in departures.items():
        for quantity in stated(judged[place]):
            share = shares.get(quantity)
            skipped = departure is not None and departure is not quantity
            if share is not None and share.by is judged[place] and skipped:
                share.earned = 1.0
