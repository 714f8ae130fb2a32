"""Known mistakes: the derivation with one line spoiled, carried through to the wanted gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from deltarule.errors import ShapeError
from deltarule.explain.derivation.derivation import Line
from deltarule.explain.formula.algebra import (
    add,
    is_constant,
    matmul,
    multiply,
    negate,
    number,
    power,
    scale,
    split,
    subtract,
    transpose,
)
from deltarule.explain.formula.term import (
    Apply,
    Indicator,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Transpose,
    is_number,
    matrix_shape,
    symbols,
)
from deltarule.explain.formula.to_graph import lower
from deltarule.explain.grading.slopes import Says
from deltarule.explain.grading.wording import rendered
from deltarule.graph.node import Node


@dataclass(frozen=True)
class Spoiled:
    """A term with one mistake: its kind and what to say about it."""

    kind: str
    says: Says
    term: Term
    weight: float = 1.0

    @property
    def message(self) -> str:
        """What is wrong, as text."""
        return rendered(self.says)


@dataclass(frozen=True)
class Mistake:
    """A wrong gradient: which lines of the derivation are spoiled, and how.

    ``terms`` are the spoiled lines by number, ``given`` what stands in the place of signals.
    """

    kind: str
    says: Says
    line: int
    terms: Mapping[int, Term]
    given: Mapping[Symbol, Term]
    lines: Sequence[Line]
    wanted: Line
    weight: float = 1.0

    @property
    def message(self) -> str:
        """What is wrong, as text."""
        return rendered(self.says)

    @property
    def node(self) -> Node:
        """The graph of the wrong gradient."""
        dtype = self.wanted.value.dtype
        given = {symbol: lower(term, dtype) for symbol, term in self.given.items()}
        return chain(self.lines, self.wanted, self.terms, given)


def mistakes(
    lines: Sequence[Line], wanted: Line, forward: Sequence[Line] = ()
) -> Iterator[Mistake]:
    """Yield the wrong gradients that one mistake in one line leads to, then those of a missing path and another."""
    needed = needed_lines(lines, wanted)
    found = [(line, spoiled) for line in needed for spoiled in _spoiled(line, forward)]

    def made(
        spoiled: Spoiled, number_: int, terms: Mapping[int, Term], weight: float = 1.0
    ) -> Mistake:
        kind, words = spoiled.kind, spoiled.says
        return Mistake(kind, words, number_, terms, {}, needed, wanted, weight)

    for line, spoiled in found:
        terms = {line.number: spoiled.term}
        yield made(spoiled, line.number, terms, spoiled.weight)
    yield from _halved_signals(needed, wanted, forward)
    gates = {
        line.number: spoiled
        for line, spoiled in reversed(found)
        if spoiled.kind == "activation"
    }
    if len(gates) > 1:
        every = Spoiled(
            "activation", ("every derivative of an activation is missing",), wanted.term
        )
        terms = {number_: spoiled.term for number_, spoiled in gates.items()}
        yield made(every, min(gates), terms, 1.2)
    for line, spoiled in found:
        if spoiled.kind != "path":
            continue
        here = [(line, second) for second in spoil(spoiled.term, fan_out=False)]
        for other, second in [*((o, s) for o, s in found if o is not line), *here]:
            if second.kind in {"sign", "factor", "term"}:
                continue
            both = Spoiled(
                "path", (*spoiled.says, "; besides, ", *second.says), spoiled.term
            )
            yield made(
                both,
                line.number,
                {line.number: spoiled.term, other.number: second.term},
                2.0,
            )


def _spoiled(line: Line, forward: Sequence[Line]) -> Iterator[Spoiled]:
    """Yield the known mistakes of one line."""
    yield from spoil(line.term, fan_out="paths" in line.reason)
    if "cross-entropy" not in line.reason:
        return
    for signal in forward:  # σ′ has been cancelled already
        if (
            signal.name in {"y_hat", "Y_hat"}
            and matrix_shape(signal.node.shape) == line.term.shape
        ):
            output = Symbol(signal.name, line.term.shape, signal.node)
            slope = multiply(
                output, subtract(number(Fraction(1), output.shape), output)
            )
            words: Says = (
                "the derivative ",
                slope,
                " is one too many: it has cancelled against the cross-entropy",
            )
            yield Spoiled("activation", words, multiply(line.term, slope))


def _halved_signals(
    lines: Sequence[Line], wanted: Line, forward: Sequence[Line]
) -> Iterator[Mistake]:
    """Yield gradients that read a sum of signals with one of its terms forgotten."""
    for signal in forward:
        shape = matrix_shape(signal.node.shape)
        symbol = Symbol(signal.name, shape, signal.node)
        read = any(symbol in symbols(line.term) for line in lines)
        if (
            not read
            or not isinstance(signal.term, Sum)
            or not all(_is_signal(t) for t in signal.term.terms)
        ):
            continue
        for i, part in enumerate(signal.term.terms):
            rest = add(*signal.term.terms[:i], *signal.term.terms[i + 1 :])
            words: Says = ("the term ", part, " of ", symbol, " is missing")
            number_ = wanted.number
            yield Mistake("path", words, number_, {}, {symbol: rest}, lines, wanted)


def _is_signal(term: Term) -> bool:
    return isinstance(term, Symbol) or isinstance(split(term)[1], Symbol)


def chain(
    lines: Sequence[Line],
    wanted: Line,
    spoiled: Mapping[int, Term],
    given: Mapping[Symbol, Node] | None = None,
) -> Node:
    """Return the graph of a wanted gradient, line after line, some of them replaced; ``given`` replaces symbols."""
    known: dict[Symbol, Node] = dict(given or {})
    result = wanted.value
    for line in lines:
        result = lower(spoiled.get(line.number, line.term), line.value.dtype, known)
        if line.alias is not None:
            known[line.alias] = result
    return result


def needed_lines(lines: Sequence[Line], wanted: Line) -> list[Line]:
    """Return the lines that lead to a wanted one, in order, itself last."""
    by_alias = {line.alias: line for line in lines if line.alias is not None}
    found: dict[int, Line] = {wanted.number: wanted}
    stack = [wanted]
    while stack:
        for symbol in symbols(stack.pop().term):
            above = by_alias.get(symbol)
            if above is not None and above.number not in found:
                found[above.number] = above
                stack.append(above)
    return [found[number] for number in sorted(found)]


def spoil(term: Term, *, fan_out: bool = True) -> Iterator[Spoiled]:
    """Yield a term with each known mistake in each of its places; ``fan_out``: its sums are sums over paths."""
    yield from _spoil_here(term, fan_out)
    for rebuild, part in _places(term):
        for inner in spoil(part, fan_out=fan_out):
            try:
                yield replace(inner, term=rebuild(inner.term))
            except ShapeError:
                continue


def _spoil_here(term: Term, fan_out: bool) -> Iterator[Spoiled]:
    if isinstance(term, Sum) and not any(is_constant(part) for part in term.terms):
        yield from _spoil_sum(term, fan_out)
    if isinstance(term, Product):
        yield from _spoil_product(term)
    if isinstance(term, Matmul):
        yield from _spoil_matmul(term)


def _spoil_sum(term: Sum, fan_out: bool) -> Iterator[Spoiled]:
    """Yield a sum with one term missing, with the wrong sign, twice or half."""
    for i, part in enumerate(term.terms):
        rest = (*term.terms[:i], *term.terms[i + 1 :])
        path: Says = (
            "the path ",
            part,
            " is missing: at a fan-out the paths add up",
        )
        words = path if fan_out else ("the term ", part, " is missing")
        yield Spoiled("path" if fan_out else "term", words, add(*rest))
        words = ("the sign of ", part, " is wrong")
        yield Spoiled("sign", words, add(*rest, negate(part)))
        for factor, name in ((Fraction(2), "2"), (Fraction(1, 2), "½")):
            yield Spoiled(
                "factor",
                (part, f" is multiplied by {name}"),
                add(*rest, scale(factor, part)),
            )


def _spoil_product(term: Product) -> Iterator[Spoiled]:
    yield from _stepped_over(term)
    for i, (factor, exponent) in enumerate(term.factors):
        rest = (*term.factors[:i], *term.factors[i + 1 :])
        if not rest or exponent < 0:
            continue
        gate = isinstance(factor, (Indicator, Sum)) or (
            isinstance(factor, Apply) and factor.name.endswith("slope")
        )
        what = factor if exponent == 1 else power(factor, exponent)
        kind = "activation" if gate else "factor"
        step = (
            "you stepped over the activation"
            if gate
            else "a multiply gate hands its other operand on"
        )
        try:
            yield Spoiled(
                kind,
                ("the factor ", what, f" is missing: {step}"),
                Product(term.coefficient, rest, term.shape),
            )
        except ShapeError:
            continue


def _stepped_over(term: Product) -> Iterator[Spoiled]:
    """Yield a product of three or more factors with all but one of them forgotten: a whole derivative is missing."""
    if len(term.factors) < 3:
        return
    for i, (factor, exponent) in enumerate(term.factors):
        rest = Product(
            term.coefficient, (*term.factors[:i], *term.factors[i + 1 :]), term.shape
        )
        if (
            exponent == 1
            and factor.shape == term.shape
            and not isinstance(factor, Indicator)
        ):
            words: Says = (
                "the derivative ",
                rest,
                " is missing: you stepped over the activation",
            )
            yield Spoiled("activation", words, factor, 1.3)


def _spoil_matmul(term: Matmul) -> Iterator[Spoiled]:
    factors = term.factors
    for i, factor in enumerate(factors):
        if isinstance(factor, (Symbol, Transpose)) and not is_number(factor.shape):
            try:
                turned = matmul(*factors[:i], transpose(factor), *factors[i + 1 :])
            except ShapeError:
                turned = None
            if turned is not None:
                words: Says = (transpose(factor), " stands where ", factor, " belongs")
                yield Spoiled("transpose", words, turned)
    if is_constant(factors[-1], 1) and len(factors) == 2 and len(factors[0].shape) == 2:
        rows = factors[0].shape[0]
        wrong = matmul(transpose(factors[0]), number(Fraction(1), (rows, 1)))
        yield Spoiled("axis", (term, " sums over the other axis"), wrong)
    if len(factors) == 2:
        try:
            yield Spoiled(
                "order",
                ("the order of ", term, " is reversed"),
                matmul(factors[1], factors[0]),
            )
        except ShapeError:
            return


def _places(term: Term) -> Iterator[tuple[_Rebuild, Term]]:
    """Yield every part of a term with a function that puts another in its place."""
    if isinstance(term, Sum):
        for i in range(len(term.terms)):
            yield _Rebuild(term, i), term.terms[i]
    if isinstance(term, Matmul):
        for i in range(len(term.factors)):
            yield _Rebuild(term, i), term.factors[i]
    if isinstance(term, Product):
        for i, (factor, exponent) in enumerate(term.factors):
            if exponent == 1:
                yield _Rebuild(term, i), factor
    if isinstance(term, Transpose):
        yield _Rebuild(term, 0), term.body


@dataclass(frozen=True)
class _Rebuild:
    """Put another part in place ``at`` of a term."""

    term: Term
    at: int

    def __call__(self, part: Term) -> Term:
        term, at = self.term, self.at
        if isinstance(term, Sum):
            return add(*term.terms[:at], part, *term.terms[at + 1 :])
        if isinstance(term, Matmul):
            return matmul(*term.factors[:at], part, *term.factors[at + 1 :])
        if isinstance(term, Product):
            rest = Product(
                term.coefficient,
                (*term.factors[:at], *term.factors[at + 1 :]),
                term.shape,
            )
            return multiply(part, rest)
        return transpose(part)
