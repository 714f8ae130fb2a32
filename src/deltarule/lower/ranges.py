"""Ranges of indices under conditions.

The range of an index follows from the ranges of its loop variables. Where that is too wide, the conditions that
guard a load narrow it: if 0 ≤ J < s holds for a condition's index J, then I = λJ + (I − λJ) bounds I for every λ, and
so do quotients ⌊J / d⌋, and x itself where a quotient ⌊x / d⌋ is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd

from deltarule.lower.index import Atom, Index, Quotient, Remainder
from deltarule.lower.loops import Condition

_MAX_TRIALS = 300  # combinations of conditions for one index

_Terms = dict[Atom, Fraction | int]
_Range = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class _Fact:
    """The inequality low ≤ Σ coefficient · atom ≤ high."""

    terms: tuple[tuple[Atom, int], ...]
    low: int
    high: int


def narrowed(index: Index, conditions: Iterable[Condition]) -> tuple[int, int]:
    """Return the smallest and largest value of an index where all conditions hold.

    >>> from deltarule.lower.index import Axis, of
    >>> place = of(Axis("i", 6)) + -1
    >>> narrowed(place * 4 + of(Axis("j", 4)), [Condition(place, 3)])
    (0, 11)
    """
    listed = [
        (c.index, c.step, max(0, c.index.bounds[0]), min(c.size - 1, c.index.bounds[1]))
        for c in conditions
    ]
    if any(low > high for _, _, low, high in listed):
        return 0, 0  # never read
    search = _Search(_facts(listed, index))
    least, most = search.range(index)
    simpler = _simplified(index, search)
    if simpler != index:
        low, high = _Search(_facts(listed, simpler)).range(simpler)
        least, most = max(least, low), min(most, high)
    return ceil(least), floor(most)


def _facts(
    conditions: Sequence[tuple[Index, int, int, int]], index: Index
) -> list[_Fact]:
    """Return the inequalities that conditions (index, step, low, high) imply for indices and their quotients."""
    facts: list[_Fact] = []
    for known, step, low, high in conditions:
        facts.append(_fact(known, low, high))
        for divisor in sorted({step, *_divisors(index)} - {1}):
            facts.append(_fact(known // divisor, low // divisor, high // divisor))
            if step % divisor == 0:
                facts.append(_fact(known % divisor, 0, 0))
    facts = [fact for fact in dict.fromkeys(facts) if fact.terms]
    facts += [other for fact in facts for other in _without_quotients(fact)]
    return facts + _of_dividends(facts)


def _without_quotients(fact: _Fact) -> Iterator[_Fact]:
    """Yield facts in which a quotient is replaced by d·⌊x / d⌋ = x − (0 … d − 1)."""
    found = next(
        ((atom, c) for atom, c in fact.terms if isinstance(atom, Quotient)), None
    )
    if found is not None:
        atom, c = found
        d = atom.divisor
        rest = Index(tuple((a, k) for a, k in fact.terms if a != atom))
        first, last = sorted((0, c * (d - 1)))
        other = _fact(
            rest * d + atom.dividend * c, d * fact.low + first, d * fact.high + last
        )
        yield other
        yield from _without_quotients(other)


def _quotients(index: Index) -> Iterator[Quotient]:
    for atom, _ in index.terms:
        if isinstance(atom, Quotient | Remainder):
            yield Quotient(atom.dividend, atom.divisor)
            yield from _quotients(atom.dividend)


def _simplified(index: Index, search: _Search) -> Index:
    """Return an index that is equal where the facts hold, with smaller quotients and remainders."""
    result = Index((), index.constant)
    for atom, coefficient in index.terms:
        part = Index(((atom, 1),))
        if isinstance(atom, Quotient | Remainder):
            part = _reduced(_simplified(atom.dividend, search), atom, search)
        result = result + part * coefficient
    return result


def _reduced(dividend: Index, atom: Quotient | Remainder, search: _Search) -> Index:
    """Return ⌊(g·x + r) / d⌋ and its remainder in terms of x, for the largest g where r stays in one block of g."""
    divisor = atom.divisor
    for g in sorted({gcd(c, divisor) for _, c in dividend.terms} - {1}, reverse=True):
        rest = Index(
            tuple((a, c) for a, c in dividend.terms if c % g), dividend.constant
        )
        least, most = search.range(rest)
        block = ceil(least) // g
        if block == floor(most) // g:
            whole = Index(
                tuple((a, c // g) for a, c in dividend.terms if c % g == 0), block
            )
            if isinstance(atom, Quotient):
                return whole // (divisor // g)
            return (whole % (divisor // g)) * g + rest + -block * g
    return dividend // divisor if isinstance(atom, Quotient) else dividend % divisor


def _of_dividends(facts: Sequence[_Fact]) -> list[_Fact]:
    """Return the facts about x that follow from facts about ⌊x / d⌋ and x mod d."""
    alone = {
        fact.terms[0][0]: fact
        for fact in facts
        if len(fact.terms) == 1 and fact.terms[0][1] == 1
    }
    found = []
    for dividend, d in {
        (a.dividend, a.divisor): None
        for a in alone
        if isinstance(a, Quotient | Remainder)
    }:
        whole, rest = Quotient(dividend, d), Remainder(dividend, d)
        (first, last), (low, high) = (
            (alone[atom].low, alone[atom].high)
            if atom in alone
            else Index(((atom, 1),)).bounds
            for atom in (whole, rest)
        )
        found.append(_fact(dividend, d * first + low, d * last + high))
    return found


def _fact(index: Index, low: int, high: int) -> _Fact:
    return _Fact(index.terms, low - index.constant, high - index.constant)


def _divisors(index: Index) -> set[int]:
    return {quotient.divisor for quotient in _quotients(index)}


class _Search:
    """The search for the narrowest range of a sum by subtracting facts from it."""

    def __init__(self, facts: Sequence[_Fact]) -> None:
        self._facts = facts
        self._known: dict[Atom, tuple[int, int]] = {}
        self._trials = 0

    def range(self, index: Index) -> _Range:
        """Return the range of an index."""
        return self._best(
            dict(index.terms), frozenset(range(len(self._facts))), index.constant
        )

    def _best(
        self, terms: _Terms, unused: frozenset[int], constant: Fraction | int
    ) -> _Range:
        low, high = self._interval(terms, constant)
        narrower: list[tuple[Fraction, int, _Terms, int, Fraction, Fraction]] = []
        for place in sorted(unused):
            fact = self._facts[place]
            for scale in {
                Fraction(terms[atom]) / c for atom, c in fact.terms if atom in terms
            }:
                rest = dict(terms)
                for atom, c in fact.terms:
                    rest[atom] = rest.get(atom, 0) - scale * c
                rest = {atom: c for atom, c in rest.items() if c}
                first, last = sorted((scale * fact.low, scale * fact.high))
                least, most = self._interval(rest, constant)
                width = most + last - least - first
                if width < high - low or least + first > low or most + last < high:
                    narrower.append((width, len(narrower), rest, place, first, last))
        for _, _, rest, place, first, last in sorted(
            narrower, key=lambda found: found[:2]
        ):
            self._trials += 1
            if self._trials > _MAX_TRIALS:
                break
            least, most = self._best(rest, unused - {place}, constant)
            low, high = max(low, least + first), min(high, most + last)
        return low, high

    def _interval(self, terms: _Terms, constant: Fraction | int) -> _Range:
        """Return the range without any facts about sums."""
        low = high = Fraction(constant)
        for atom, coefficient in terms.items():
            first, last = sorted(coefficient * bound for bound in self._atom(atom))
            low, high = low + first, high + last
        return low, high

    def _atom(self, atom: Atom) -> tuple[int, int]:
        """Return the range of one atom; atoms being narrowed have their natural range."""
        known = self._known.get(atom)
        if known is None:
            known = self._known[atom] = Index(((atom, 1),)).bounds
            if isinstance(atom, Quotient | Remainder):
                least, most = self.range(atom.dividend)
                first, last = ceil(least) // atom.divisor, floor(most) // atom.divisor
                if isinstance(atom, Quotient):
                    known = (first, last)
                elif first == last:
                    known = (ceil(least) % atom.divisor, floor(most) % atom.divisor)
                self._known[atom] = known
        return known
