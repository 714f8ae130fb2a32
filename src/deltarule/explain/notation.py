"""How functions are written: σ(z), ReLU(z), ‖x‖, W ⋆ X … one table keyed by function or primitive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

Typeset = Callable[[Any, Sequence[Formula], Sequence[Formula]], tuple[Formula, int]]
PRODUCT, MATMUL, POWER, ATOM = 1, 2, 3, 4
_T = m.Identifier("T", upright=True)
STAR = m.Operator("⋆", spaced=True)
FULL = m.Operator("∗", spaced=True)


def function(name: str, shown: int | None = None) -> Typeset:
    """Write name(arguments); only the first ``shown`` of them."""

    def write(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
        head = m.Identifier(name, upright=len(name) > 1)
        body = m.joined(list(arguments[:shown]), m.Operator(", "))
        return m.row(head, m.Fenced(body)), ATOM

    return write


def _word(name: str) -> Typeset:
    """Write a function of one short operand without parentheses: log ŷ."""

    def write(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
        head = m.Identifier(name, upright=True)
        if isinstance(arguments[0], (m.Identifier, m.Scripts, m.Accent)):
            return m.row(head, m.Operator(" "), arguments[0]), MATMUL
        return m.row(head, m.Fenced(arguments[0])), ATOM

    return write


def _fences(left: str, right: str) -> Typeset:
    return lambda term, arguments, closed: (m.Fenced(arguments[0], left, right), ATOM)


def _exponential(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    return m.Scripts(m.Identifier("e"), upper=arguments[0]), POWER


def _exponential_minus_one(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    power = m.Scripts(m.Identifier("e"), upper=arguments[0])
    return m.row(power, m.Operator("−", spaced=True), m.Number("1")), 0


def _log_of_one_plus(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    inner = m.row(m.Number("1"), m.Operator("+", spaced=True), arguments[0])
    return m.row(m.Identifier("log", upright=True), m.Fenced(inner)), ATOM


def _power(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    base = closed[0] if not isinstance(closed[0], m.Scripts) else m.Fenced(arguments[0])
    return m.Scripts(base, upper=arguments[1]), POWER


def _convolve(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    return m.row(closed[1], STAR, closed[0]), PRODUCT


def _convolve_transposed(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    flipped = m.row(m.Identifier("flip", upright=True), m.Fenced(arguments[1]))
    return m.row(flipped, m.Scripts(m.Operator("⋆"), lower=m.Identifier("full", upright=True)), closed[0]), PRODUCT


def _convolve_weight(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    return m.row(closed[1], m.Scripts(m.Operator("⋆"), lower=m.Text("W")), closed[0]), PRODUCT


def _one_hot(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    letter = "e" if term.shape[1:] in ((), (1,)) else "E"
    return m.Scripts(m.Identifier(letter), lower=arguments[0]), POWER


def _inverse(term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]) -> tuple[Formula, int]:
    base = closed[0] if not isinstance(closed[0], m.Scripts) else m.Fenced(arguments[0])
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
    "sum": function("Σ"),
    "reshape": function("reshape"),
    "permute": function("permute"),
    "broadcast": lambda term, arguments, closed: (arguments[0], 0),
    "slice": function("part"),
    "pad": function("pad"),
    "flip": function("flip"),
    "concatenate": lambda term, arguments, closed: (m.Grid((tuple(arguments),)), ATOM),
    "gather": function("rows"),
    "scatter_add": function("scatter"),
    "argsort": function("argsort"),
    "iota": function("index"),
    "random": function("U"),
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
    "cast": lambda term, arguments, closed: (arguments[0], 0),
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
}  # fmt: skip
