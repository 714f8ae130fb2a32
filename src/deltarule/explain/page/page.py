"""A derivation as a page: text of at most 100 columns, LaTeX, HTML with MathML."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.explain.derivation.derivation import Derived, Line
from deltarule.explain.formula.term import Symbol
from deltarule.explain.formula.typeset import derivative, symbol, typeset
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula
from deltarule.shapes import Shape

WIDTH = 100


@dataclass(frozen=True)
class Entry:
    """A line ready to be written: number, left side, formula, short name, shape, reason.

    >>> from deltarule.render.mathematics import identifier
    >>> Entry("1", identifier("x"), identifier("y"), None, "3", "chain rule").reason
    'chain rule'
    """

    number: str
    left: Formula
    right: Formula
    alias: Formula | None
    shape: str
    reason: str


Batch = tuple[str, Sequence[Entry]]  # the heading and lines of the whole batch


def size(shape: Shape) -> str:
    """Write a shape as in a textbook: 1, 3, 2×3.

    >>> size(()), size((3,)), size((2, 3))
    ('1', '3', '2×3')
    """
    return "×".join(str(part) for part in shape) if shape else "1"


def space(name: Formula, shape: Shape, whole: bool = False) -> Formula:
    """Write x ∈ ℝ³, or of whole numbers c ∈ ℕ³."""
    reals: Formula = m.Identifier("ℕ" if whole else "ℝ")
    if any(part != 1 for part in shape):
        reals = m.Scripts(reals, upper=m.Identifier(size(shape), upright=True))
    return m.row(name, m.Operator("∈", spaced=True), reals)


def entry(line: Line, loss: str) -> Entry:
    """Return what is printed of a line.

    >>> from deltarule.explain.explanation import derive
    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> (line,) = derive(build.sum_over(build.exp(x)), [x]).steps
    >>> entry(line, "L").reason
    'exp′ = exp'
    """
    left = symbol(line.name) if line.kind == "forward" else derivative(loss, line.name)
    alias = (
        symbol(line.alias.name)
        if line.alias is not None and not line.alias.name.startswith("d" + loss)
        else None
    )
    number = str(line.number) if line.kind == "backward" else ""
    return Entry(number, left, typeset(line.term), alias, size(line.shape), line.reason)


def header(derived: Derived) -> Formula:
    """Return the data of the network, such as x ∈ ℝ³, y ∈ ℝ."""
    data = [
        s
        for s in derived.inputs
        if s.node not in derived.wrt and (s.node.shape or s.node.dtype.is_float)
    ]
    parts = [_member(derived, symbol_) for symbol_ in data]
    return m.join(parts, m.Operator(", ")) if parts else m.Text("")


def parameters(derived: Derived) -> Formula:
    """Return the variables of the derivative and their spaces."""
    return m.join(
        [_member(derived, s) for s in derived.inputs if s.node in derived.wrt],
        m.Operator(", "),
    )


def _member(derived: Derived, symbol_: Symbol) -> Formula:
    formula = space(
        symbol(symbol_.name), symbol_.node.shape, not symbol_.node.dtype.is_float
    )
    kind = derived.assumed.get(symbol_.node)
    if kind is not None:
        return _assumed(symbol_, kind)
    if symbol_ in derived.distributions:
        return m.row(
            formula,
            m.Operator(", "),
            m.Operator("Σ"),
            symbol(symbol_.name),
            m.Operator("=", spaced=True),
            m.Number("1"),
        )
    return formula


_PAIR = m.row(m.Number("0"), m.Operator(", "), m.Number("1"))
_SETS: dict[str, Formula] = {
    "one-hot": m.Fenced(_PAIR, "{", "}"),
    "binary": m.Fenced(_PAIR, "{", "}"),
    "unit": m.Fenced(_PAIR),
    "integer": m.Identifier("ℤ"),
}


def _assumed(symbol_: Symbol, kind: str) -> Formula:
    """Write an input and what is assumed of it: y ∈ {0, 1}³, Σy = 1."""
    name, shape = symbol(symbol_.name), symbol_.node.shape
    formula = space(name, shape)
    if kind in _SETS:
        within = _SETS[kind]
        if any(part != 1 for part in shape):
            within = m.Scripts(within, upper=m.Identifier(size(shape), upright=True))
        formula = m.row(name, m.Operator("∈", spaced=True), within)
    turned = m.Scripts(name, upper=m.Identifier("T", upright=True))
    more = {
        "one-hot": (m.Operator("Σ"), name, _EQUALS, m.Number("1")),
        "distribution": (m.Operator("Σ"), name, _EQUALS, m.Number("1")),
        "positive": (name, m.Operator(">", spaced=True), m.Number("0")),
        "nonnegative": (name, m.Operator("≥", spaced=True), m.Number("0")),
        "symmetric": (name, _EQUALS, turned),
        "positive definite": (name, _EQUALS, turned, m.Text(", positive definite")),
        "orthogonal": (turned, name, _EQUALS, m.Identifier("I")),
    }.get(kind, ())
    return m.row(formula, m.Operator(", "), *more) if more else formula


_EQUALS = m.Operator("=", spaced=True)


# ---------------------------------------------------------------- text


def text(
    derived: Derived,
    backward: Sequence[Line],
    conclusion: str,
    batch: Batch | None = None,
) -> str:
    """Write the page as Unicode text of at most 100 columns."""
    data = m.to_text(header(derived))
    lines = _wrapped("Network   ", data) if data else []
    lines += _wrapped("wanted    gradients at ", m.to_text(parameters(derived)))
    forward = derived.shown_forward(backward)
    if forward:
        lines += [
            "forward",
            *_block([entry(line, derived.loss_name) for line in forward]),
        ]
    lines += [
        f"backward ({derived.layout} layout)",
        *_block([entry(line, derived.loss_name) for line in backward]),
    ]
    if batch is not None:
        lines += [batch[0], *_block(batch[1])]
    lines += _wrapped("", conclusion) if conclusion else []
    return "\n".join(line.rstrip() for piece in lines for line in piece.split("\n"))


def _block(entries: Sequence[Entry]) -> list[str]:
    """Align numbers, left sides, formulas, short names, shapes and reasons."""
    if not entries:
        return []
    number = max(len(e.number) for e in entries)
    left = max(columns(m.to_text(e.left)) for e in entries)
    names = max(
        (columns(m.to_text(e.alias)) for e in entries if e.alias is not None), default=0
    )
    alias = names + 3 if names else 0
    shape = max(len(e.shape) for e in entries)
    start = 2 + number + (2 if number else 0) + left + 3
    whole = max(columns(m.to_text(e.right)) for e in entries)
    room = WIDTH - start - 2 - alias - 2 - shape
    width = min(whole, room)
    result = []
    for e in entries:
        beside = start + width + 2 + alias + 2 + shape + 2 + len(e.reason) <= WIDTH
        pieces = broken(m.to_text(e.right), width)
        head = f"  {e.number:>{number}}{'  ' if number else ''}{_padded(m.to_text(e.left), left)} = "
        short = f"=: {m.to_text(e.alias)}" if e.alias is not None else ""
        tail = f"  {e.reason}" if beside else ""
        last = len(pieces) - 1
        for i, piece in enumerate(pieces):
            start_of_line = head if i == 0 else " " * start
            end = (
                f"  {_padded(short, alias)}{'  ' if alias else ''}{e.shape:<{shape}}{tail}"
                if i == last
                else ""
            )
            result.append(
                f"{start_of_line}{_padded(piece, width)}{end}"
                if i == last
                else f"{start_of_line}{piece}"
            )
        if e.reason and not beside:
            result.append(" " * start + f"({e.reason})")
    return result


def broken(formula: str, width: int) -> list[str]:
    """Break a formula before a sum, a product or a space outside, so that each piece fits.

    >>> broken("first + second + third", 16)
    ['first + second', ' + third']
    """
    pieces: list[str] = []
    while columns(formula) > width:
        at = max(
            (formula.rfind(sign, 1, width - 1) for sign in (" + ", " − ")), default=-1
        )
        if at <= width // 3:
            at = max(
                formula.rfind(sign, 1, width - 1) for sign in (" ⊙ ", " ⋆ ", " ", "(")
            )
        if at <= 0:
            at = width
        pieces.append(formula[:at])
        formula = formula[at:]
    return [*pieces, formula]


def columns(text_: str) -> int:
    """Return how many columns a text takes: combining marks take none.

    >>> columns("X̂₁")
    2
    """
    return sum(1 for character in text_ if not unicodedata.combining(character))


def _padded(text_: str, width: int) -> str:
    return text_ + " " * (width - columns(text_))


def _wrapped(label: str, content: str) -> list[str]:
    """Break a list at its commas."""
    lines, current = [], label
    for part in content.split(", "):
        piece = part if current in (label, " " * len(label)) else f", {part}"
        if len(current) + len(piece) > WIDTH - 1:
            lines.append(current + ",")
            current = " " * len(label) + part
        else:
            current += piece
    return [*lines, current]
