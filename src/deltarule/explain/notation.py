"""How functions are written: σ(z), ReLU(z), ‖x‖, W ⋆ X … one table keyed by function or primitive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

Typeset = Callable[[Any, Sequence[Formula], Sequence[Formula]], tuple[Formula, float]]
PRODUCT, MATMUL, WORD, POWER, ATOM = 1.0, 2.0, 2.5, 3.0, 4.0
_T = m.Identifier("T", upright=True)
STAR = m.Operator("⋆", spaced=True)
FULL = m.Operator("∗", spaced=True)


def function(name: str, shown: int | None = None) -> Typeset:
    """Write name(arguments); only the first ``shown`` of them."""

    def write(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
        head = m.Identifier(name, upright=len(name) > 1)
        body = m.joined(list(arguments[:shown]), m.Operator(", "))
        return m.row(head, m.Fenced(body)), ATOM

    return write


def _word(name: str) -> Typeset:
    """Write a function of one short operand without parentheses: log ŷ."""

    def write(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
        head = m.Identifier(name, upright=True)
        if isinstance(arguments[0], (m.Identifier, m.Scripts, m.Accent)):
            return m.row(head, m.Operator(" "), arguments[0]), WORD
        return m.row(head, m.Fenced(arguments[0])), ATOM

    return write


def _fences(left: str, right: str) -> Typeset:
    return lambda term, arguments, closed: (m.Fenced(arguments[0], left, right), ATOM)


def _exponential(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    return m.Scripts(m.Identifier("e"), upper=arguments[0]), POWER


def _exponential_minus_one(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    power = m.Scripts(m.Identifier("e"), upper=arguments[0])
    return m.row(power, m.Operator("−", spaced=True), m.Number("1")), 0


def _log_of_one_plus(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    inner = m.row(m.Number("1"), m.Operator("+", spaced=True), arguments[0])
    return m.row(m.Identifier("log", upright=True), m.Fenced(inner)), ATOM


def _power(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    plain = not isinstance(closed[0], m.Scripts) or closed[0].upper is None
    return m.Scripts(closed[0] if plain else m.Fenced(arguments[0]), upper=arguments[1]), POWER


def _convolve(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    return m.row(closed[1], STAR, closed[0]), PRODUCT


def _convolve_transposed(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    flipped = m.row(m.Identifier("flip", upright=True), m.Fenced(arguments[1]))
    star = m.Scripts(m.Operator("⋆"), lower=m.Identifier("full", upright=True))
    return m.row(flipped, m.Operator(" "), star, m.Operator(" "), closed[0]), PRODUCT


def _convolve_weight(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    return m.row(closed[0], STAR, closed[1]), PRODUCT


def _one_hot(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    letter = "e" if term.shape[1:] in ((), (1,)) else "E"
    return m.Scripts(m.Identifier(letter), lower=arguments[0]), POWER


def _reshape(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    head: Formula = m.Identifier("vec", upright=True)
    if len(term.shape) > 2 or len(term.arguments[0].shape) <= 2:
        head = m.Scripts(head, upper=m.row(m.Operator("−"), m.Number("1")))
    return m.row(head, m.Fenced(arguments[0])), ATOM


def _winner(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    chosen = m.row(m.Identifier("argmax", upright=True), m.Operator(" "), closed[0])
    return m.Scripts(m.Identifier("e"), lower=chosen), POWER


def _slope(name: str) -> Typeset:
    """Write f′(z)."""

    def write(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
        head = m.Scripts(m.Identifier(name, upright=len(name) > 1), upper=m.Operator("′"))
        return m.row(head, m.Fenced(arguments[0])), ATOM

    return write


def _routed(name: str) -> Typeset:
    """Write a pullback as name(upstream; operand)."""

    def write(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
        head = m.Identifier(name, upright=True)
        return m.row(head, m.Fenced(m.joined(list(arguments), m.Operator("; ")))), ATOM

    return write


def _inverse(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, float]:
    base = closed[0] if not isinstance(closed[0], m.Scripts) else m.Fenced(arguments[0])
    if m.to_text(arguments[1]) == "I":
        return m.Scripts(base, upper=m.row(m.Operator("−"), m.Number("1"))), POWER
    return m.row(m.Scripts(base, upper=m.row(m.Operator("−"), m.Number("1"))), closed[1]), MATMUL


FUNCTIONS: dict[str, Typeset] = {
    # primitives
    "abs": _fences("|", "|"),
    "sign": function("sign"),
    "floor": _fences("⌊", "⌋"),
    "exp": _exponential,
    "expm1": _exponential_minus_one,
    "log": _word("log"),
    "log1p": _log_of_one_plus,
    "sin": _word("sin"),
    "cos": _word("cos"),
    "tanh": function("tanh"),
    "erf": function("erf"),
    "power": _power,
    "maximum": function("max"),
    "minimum": function("min"),
    "max": function("max"),
    "argmax": function("argmax"),
    "sum": lambda term, arguments, closed: (m.row(m.Operator("Σ"), m.Operator(" "), closed[0]), PRODUCT),
    "reshape": _reshape,
    "permute": function("permute"),
    "broadcast": lambda term, arguments, closed: (closed[0], POWER),
    "slice": function("part"),
    "pad": function("pad"),
    "flip": function("flip"),
    "concatenate": lambda term, arguments, closed: (m.Grid((tuple(arguments),)), ATOM),
    "gather": function("rows"),
    "scatter_add": function("scatter"),
    "argsort": function("argsort"),
    "iota": function("index"),
    "random": lambda term, arguments, closed: (m.Identifier("U"), ATOM),
    "matmul": lambda term, arguments, closed: (m.row(*closed), MATMUL),
    "convolve": _convolve,
    "convolve_transposed": _convolve_transposed,
    "convolve_weight": _convolve_weight,
    "windows": function("windows"),
    "fold": function("fold"),
    "solve": _inverse,
    "log_determinant": lambda term, arguments, closed: (
        m.row(m.Identifier("log", upright=True), m.Operator(" "), m.Fenced(
            m.row(m.Identifier("det", upright=True), m.Operator(" "), closed[0]), "|", "|")), MATMUL),
    "cholesky": function("chol"),
    "cast": lambda term, arguments, closed: (closed[0], POWER),
    # named functions
    "sigmoid": function("σ"),
    "relu": function("ReLU"),
    "leaky_relu": function("LeakyReLU"),
    "elu": function("ELU"),
    "selu": function("SELU"),
    "gelu": function("GELU"),
    "softplus": function("softplus"),
    "log_sigmoid": function("log σ"),
    "silu": function("SiLU"),
    "softmax": function("softmax"),
    "log_softmax": function("log softmax"),
    "logsumexp": function("LSE"),
    "normalize": function("normalize"),
    "euclidean_norm": _fences("‖", "‖"),
    "max_pool": function("maxpool"),
    "average_pool": function("meanpool"),
    "multiclass_hinge": function("hinge"),
    "one_hot": _one_hot,
    "winner": _winner,
    "max_pool_pullback": _routed("unpool"),
    "average_pool_pullback": _routed("spread"),
    "gelu_slope": _slope("GELU"),
    "silu_slope": _slope("SiLU"),
    "selu_slope": _slope("SELU"),
}  # fmt: skip
