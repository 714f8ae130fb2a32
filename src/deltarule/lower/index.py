"""Index arithmetic: integer expressions of loop variables in a normal form.

An :class:`Index` is a sum of integer multiples of atoms: loop variables (:class:`Axis`), quotients and remainders of
other indices, and indirect indices loaded from memory. Views (reshape, permute, broadcast, slice, flip) compose
into such sums, and quotients and remainders are simplified by the ranges of the variables. The remaining ones have
non-negative dividends: ⌊x / d⌋ is written as ⌊(x + m·d) / d⌋ − m, so that unsigned and truncating division are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule.cached import cached_property
from deltarule.errors import GraphError


@dataclass(frozen=True)
class Axis:
    """A loop variable with values 0 … extent − 1.

    >>> print(of(Axis("i", 8)) * 2 + 1)
    2i + 1
    """

    name: str
    extent: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Quotient:
    """The quotient ⌊dividend / divisor⌋ of a non-negative dividend.

    >>> print(of(Axis("i", 8)) // 2)
    (i)/2
    """

    dividend: Index
    divisor: int

    def __str__(self) -> str:
        return f"({self.dividend})/{self.divisor}"


@dataclass(frozen=True)
class Remainder:
    """The remainder dividend mod divisor of a non-negative dividend.

    >>> print(of(Axis("i", 8)) % 2)
    (i)%2
    """

    dividend: Index
    divisor: int

    def __str__(self) -> str:
        return f"({self.dividend})%{self.divisor}"


def dividend_of(atom: Quotient | Remainder) -> Index:
    """Return the dividend; raise GraphError if it can be negative, since machine division does not round towards −∞.

    >>> print(dividend_of(Quotient(of(Axis("i", 8)), 2)))
    i
    """
    if atom.dividend.bounds[0] < 0:
        raise GraphError("index", expected="a non-negative dividend", got=str(atom))
    return atom.dividend


@dataclass(frozen=True, eq=False)
class Lookup:
    """An index that is read from memory or computed; at run time it is checked to be in 0 … size − 1.

    >>> print(Lookup("rows[i]", 10, "gather"))
    at[rows[i]]
    """

    value: Any  # an expression of the loop program
    size: int
    label: str

    def __str__(self) -> str:
        return f"at[{self.value}]"


Atom = Axis | Quotient | Remainder | Lookup


@dataclass(frozen=True)
class Index:
    """An index: constant + Σ coefficient · atom, with atoms in a fixed order and non-zero coefficients.

    >>> i, j = Axis("i", 4), Axis("j", 6)
    >>> flat = of(i) * 6 + of(j)
    >>> print(flat, flat // 6, flat % 6, flat // 4)
    6i + j i j (6i + j)/4
    """

    terms: tuple[tuple[Atom, int], ...] = ()
    constant: int = 0

    @cached_property
    def _hash(self) -> int:
        return hash((self.terms, self.constant))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Return the smallest and the largest value."""
        low = high = self.constant
        for atom, coefficient in self.terms:
            first, last = _atom_bounds(atom)
            low += coefficient * (first if coefficient > 0 else last)
            high += coefficient * (last if coefficient > 0 else first)
        return low, high

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.constant + other)
        if not self.terms:
            return Index(other.terms, other.constant + self.constant)
        if not other.terms:
            return Index(self.terms, self.constant + other.constant)
        found = dict(self.terms)
        for atom, coefficient in other.terms:
            found[atom] = found.get(atom, 0) + coefficient
        return _normal(found, self.constant + other.constant)

    def __mul__(self, factor: int) -> Index:
        if factor == 0:
            return ZERO
        if factor == 1:
            return self
        return Index(
            tuple((atom, c * factor) for atom, c in self.terms), self.constant * factor
        )

    def __floordiv__(self, divisor: int) -> Index:
        if divisor == 1:
            return self
        whole, rest = self._split(divisor)
        low, high = rest.bounds
        if low // divisor == high // divisor:
            return whole + low // divisor
        if len(rest.terms) == 1:
            atom, coefficient = rest.terms[0]
            if isinstance(atom, Quotient) and coefficient == 1:
                return whole + (atom.dividend + rest.constant * atom.divisor) // (
                    atom.divisor * divisor
                )
        reduced, smaller = rest._without_common_factor(divisor)
        multiples = -min(0, reduced.bounds[0] // smaller)
        return whole + Index(
            ((Quotient(reduced + multiples * smaller, smaller), 1),), -multiples
        )

    def __mod__(self, divisor: int) -> Index:
        if divisor == 1:
            return ZERO
        _, rest = self._split(divisor)
        low, high = rest.bounds
        if low // divisor == high // divisor:
            return rest + -(low // divisor) * divisor
        reduced, smaller = rest._without_common_factor(divisor)
        factor = divisor // smaller
        multiples = -min(0, reduced.bounds[0] // smaller)
        return Index(
            ((Remainder(reduced + multiples * smaller, smaller), factor),),
            rest.constant % factor,
        )

    def _split(self, divisor: int) -> tuple[Index, Index]:
        """Return (q, r) with self = q · divisor + r, where r has no multiples of the divisor."""
        whole: dict[Atom, int] = {}
        rest: dict[Atom, int] = {}
        for atom, coefficient in self.terms:
            multiple, left = divmod(coefficient, divisor)
            if left == 0:
                whole[atom] = multiple
            else:
                rest[atom] = coefficient
        multiple, left = divmod(self.constant, divisor)
        return _normal(whole, multiple), _normal(rest, left)

    def _without_common_factor(self, divisor: int) -> tuple[Index, int]:
        factor = math.gcd(divisor, *(coefficient for _, coefficient in self.terms))
        terms = tuple((atom, coefficient // factor) for atom, coefficient in self.terms)
        return Index(terms, self.constant // factor), divisor // factor

    def coefficient(self, axis: Axis) -> int | None:
        """Return the coefficient of a loop variable, or None if the index is not linear in it."""
        found = 0
        for atom, coefficient in self.terms:
            if atom == axis:
                found = coefficient
            elif axis in axes_of(atom):
                return None
        return found

    @cached_property
    def axes(self) -> frozenset[Axis]:
        """Return the loop variables that the index depends on."""
        found: set[Axis] = set()
        for atom, _ in self.terms:
            found |= axes_of(atom)
        return frozenset(found)

    def replace(self, replacements: Mapping[Axis, Index]) -> Index:
        """Return the index with loop variables replaced by indices."""
        if not any(axis in replacements for axis in self.axes):
            return self
        result = Index((), self.constant)
        for atom, coefficient in self.terms:
            result = result + _replaced(atom, replacements) * coefficient
        return result

    def __str__(self) -> str:
        if not self.terms:
            return str(self.constant)
        text = " + ".join(_term(atom, c) for atom, c in self.terms)
        text += f" + {self.constant}" if self.constant else ""
        return text.replace("+ -", "- ")


ZERO = Index()


def _term(atom: Atom, coefficient: int) -> str:
    return (
        str(atom)
        if coefficient == 1
        else f"-{atom}"
        if coefficient == -1
        else f"{coefficient}{atom}"
    )


def _normal(found: Mapping[Atom, int], constant: int) -> Index:
    """Drop zeros, order the atoms, join c·⌊x/c⌋ + x mod c to x and c·(⌊x/c⌋ mod d) + x mod c to x mod c·d."""
    kept = {atom: coefficient for atom, coefficient in found.items() if coefficient}
    for atom in list(kept):
        if isinstance(atom, Remainder) and atom in kept:
            partner, coefficient = Quotient(atom.dividend, atom.divisor), kept[atom]
            if kept.get(partner) == coefficient * atom.divisor:
                rest = {a: c for a, c in kept.items() if a not in (atom, partner)}
                return _normal(rest, constant) + atom.dividend * coefficient
            for other in kept:
                if (
                    isinstance(other, Remainder)
                    and other.dividend == Index(((partner, 1),))
                    and kept[other] == coefficient * atom.divisor
                ):
                    rest = {a: c for a, c in kept.items() if a not in (atom, other)}
                    joined = Remainder(atom.dividend, atom.divisor * other.divisor)
                    rest[joined] = rest.get(joined, 0) + coefficient
                    return _normal(rest, constant)
    return Index(tuple(sorted(kept.items(), key=_order)), constant)


def _order(term: tuple[Atom, int]) -> tuple[int, str]:
    atom = term[0]
    return (0, atom.name) if isinstance(atom, Axis) else (1, str(atom))


def _atom_bounds(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, Axis):
        return 0, max(0, atom.extent - 1)
    if isinstance(atom, Quotient):
        low, high = atom.dividend.bounds
        return low // atom.divisor, high // atom.divisor
    if isinstance(atom, Remainder):
        return 0, atom.divisor - 1
    return 0, max(0, atom.size - 1)


def axes_of(atom: Atom) -> frozenset[Axis]:
    """Return the loop variables that an atom depends on.

    >>> len(list(axes_of(Axis("i", 8))))
    1
    """
    if isinstance(atom, Axis):
        return frozenset((atom,))
    if isinstance(atom, Lookup):
        found: frozenset[Axis] = atom.value.axes
        return found
    return atom.dividend.axes


def _replaced(atom: Atom, replacements: Mapping[Axis, Index]) -> Index:
    if isinstance(atom, Axis):
        return replacements.get(atom, of(atom))
    if isinstance(atom, Quotient):
        return atom.dividend.replace(replacements) // atom.divisor
    if isinstance(atom, Remainder):
        return atom.dividend.replace(replacements) % atom.divisor
    return Index(
        ((Lookup(atom.value.replace(replacements), atom.size, atom.label), 1),)
    )


def of(axis: Axis) -> Index:
    """Return a loop variable as an index; 0 if its extent is 1.

    >>> print(of(Axis("i", 8)), of(Axis("j", 1)))
    i 0
    """
    return ZERO if axis.extent <= 1 else Index(((axis, 1),))


def number(value: int) -> Index:
    """Return a constant index.

    >>> print(number(3))
    3
    """
    return Index((), value)


def flatten(indices: Sequence[Index], shape: Sequence[int]) -> Index:
    """Return the row-major position of an element.

    >>> print(flatten([of(Axis("i", 2)), of(Axis("j", 3))], (2, 3)))
    3i + j
    """
    if len(indices) != len(shape):
        raise GraphError(
            "index", expected=f"{len(shape)} indices", got=str(len(indices))
        )
    flat, step = ZERO, 1
    for index, size in zip(reversed(indices), reversed(shape), strict=True):
        flat = flat + index * step
        step *= size
    return flat


def unflatten(flat: Index, shape: Sequence[int]) -> tuple[Index, ...]:
    """Return the indices of the element at a row-major position.

    >>> print(*unflatten(of(Axis("i", 6)), (2, 3)))
    (i)/3 (i)%3
    """
    found: list[Index] = []
    for place in range(len(shape) - 1, -1, -1):
        size = max(1, shape[place])
        found.append(
            flat
            if place == 0 and flat.bounds[0] >= 0 and flat.bounds[1] < size
            else flat % size
        )
        flat = flat // size
    return tuple(reversed(found))


def merged(
    axes: Sequence[Axis], indices: Sequence[Index], rename: Callable[[int, int], Axis]
) -> dict[Axis, Index]:
    """Return the replacements that merge adjacent axes where every index allows it.

    Axes i and j (i outside) become one if each index is linear in both, where the coefficient of i is that of j times
    the extent of j. ``rename(place, extent)`` makes the new axes.

    >>> i, j = Axis("i", 4), Axis("j", 6)
    >>> new = merged([i, j], [of(i) * 6 + of(j)], lambda place, extent: Axis(f"m{place}", extent))
    >>> print(new[i], new[j])
    (m0)/6 (m0)%6
    """
    runs: list[list[Axis]] = []
    for axis in axes:
        if axis.extent == 1:
            continue
        if runs and all(_joined(index, runs[-1][-1], axis) for index in indices):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    replacements: dict[Axis, Index] = {}
    for place, run in enumerate(runs):
        extent = 1
        for axis in run:
            extent *= axis.extent
        whole = of(rename(place, extent))
        shape = tuple(axis.extent for axis in run)
        replacements.update(zip(run, unflatten(whole, shape), strict=True))
    return replacements


def _joined(index: Index, outer: Axis, inner: Axis) -> bool:
    a, b = index.coefficient(outer), index.coefficient(inner)
    return a is not None and b is not None and a == b * inner.extent
