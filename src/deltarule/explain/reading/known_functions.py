"""The functions that a formula may name: one table of name, spellings and meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deltarule.graph import algebra, build, functions
from deltarule.graph.node import Node


@dataclass(frozen=True)
class Function:
    """A function of one array: what it is called, how it is printed, and what it computes.

    ``by_entry`` functions act on each entry (they have a slope f′, and f² is the square of the value); ``greedy``
    ones take the whole product after them when no parenthesis follows: tr AB.
    """

    shown: str
    build: Callable[[Node], Node]
    by_entry: bool = True
    greedy: bool = False


def _row_or_column(function: Callable[..., Node]) -> Callable[[Node], Node]:
    """Return a function of the entries of a vector, or of each row of a matrix."""

    def along(x: Node) -> Node:
        axis = x.rank - 2 if x.rank > 1 and x.shape[-1] == 1 else x.rank - 1
        return function(x, axis=axis)

    return along


def _scalar(reduce: Callable[[Node], Node]) -> Callable[[Node], Node]:
    return lambda x: reduce(x)


def _reciprocal(function: Callable[[Node], Node]) -> Callable[[Node], Node]:
    return lambda x: build.divide(1.0, function(x))


def _cosh(x: Node) -> Node:
    return build.multiply(0.5, build.add(build.exp(x), build.exp(build.negate(x))))


def _sinh(x: Node) -> Node:
    return build.multiply(0.5, build.subtract(build.exp(x), build.exp(build.negate(x))))


def _step(x: Node) -> Node:
    return build.cast(build.less(0.0, x), x.dtype)


def diagonal(x: Node) -> Node:
    """Return the matrix with a vector on its diagonal, or the diagonal of a square matrix as a column."""
    if 1 in x.shape:
        size = x.shape[0] if x.shape[1] == 1 else x.shape[1]
        return algebra.diagonal_matrix(build.reshape(x, (size,)))
    return build.reshape(algebra.diagonal(x), (x.shape[0], 1))


def _log_determinant(x: Node) -> Node:
    return build.log_determinant(x)


def vectorised(x: Node) -> Node:
    """Return vec(A): the columns below each other."""
    size = 1
    for part in x.shape:
        size = size * part
    return build.reshape(build.matrix_transpose(x), (size, 1))


def _euclidean(x: Node) -> Node:
    return build.sqrt(build.sum_over(build.multiply(x, x)))


_TABLE: tuple[tuple[str, Function], ...] = (
    ("sigma sigmoid σ logistic sigm expit", Function("σ", functions.sigmoid)),
    ("tanh th", Function("tanh", build.tanh)),
    ("relu", Function("ReLU", functions.relu)),
    ("exp", Function("exp", build.exp)),
    ("log ln", Function("log", build.log)),
    ("abs", Function("abs", build.absolute)),
    ("sign sgn", Function("sign", build.sign)),
    ("sqrt", Function("√", build.sqrt)),
    ("sin", Function("sin", build.sin)),
    ("cos", Function("cos", build.cos)),
    ("tan", Function("tan", lambda x: build.divide(build.sin(x), build.cos(x)))),
    ("sinh", Function("sinh", _sinh)),
    ("cosh", Function("cosh", _cosh)),
    ("sech", Function("sech", _reciprocal(_cosh))),
    ("coth", Function("coth", _reciprocal(build.tanh))),
    ("erf", Function("erf", build.erf)),
    ("floor", Function("floor", build.floor)),
    ("square", Function("square", lambda x: build.multiply(x, x))),
    ("softplus", Function("softplus", functions.softplus)),
    ("gelu", Function("GELU", lambda x: functions.gelu(x, approximate=False))),
    ("silu swish", Function("SiLU", functions.silu)),
    ("mish", Function("Mish", functions.mish)),
    ("softsign", Function("softsign", functions.softsign)),
    ("selu", Function("SELU", functions.selu)),
    ("logΓ lgamma gammaln", Function("log Γ", functions.lgamma)),
    ("digamma", Function("ψ", functions.digamma)),
    ("step heaviside H θ Θ", Function("step", _step)),
    ("softmax", Function("softmax", _row_or_column(functions.softmax), False)),
    (
        "logsoftmax log_softmax",
        Function("log softmax", _row_or_column(functions.log_softmax), False),
    ),
    ("logsumexp lse", Function("LSE", _row_or_column(functions.logsumexp), False)),
    ("diag Diag", Function("diag", diagonal, False)),
    ("sum Sigma Σ", Function("Σ", build.sum_over, False)),
    ("mean", Function("mean", build.mean, False)),
    ("norm", Function("norm", _euclidean, False)),
    ("tr trace", Function("tr", algebra.trace, False, greedy=True)),
    ("logdet", Function("log det", _log_determinant, False, greedy=True)),
    ("det", Function("det", lambda x: _determinant(x), False, greedy=True)),
    ("vec", Function("vec", vectorised, False)),
    ("inv inverse", Function("inv", lambda x: inverse(x), False)),
    ("adj adjugate", Function("adj", lambda x: _adjugate(x), False)),
    ("transpose", Function("transpose", build.matrix_transpose, False)),
    ("max", Function("max", build.maximum_over, False)),
    ("min", Function("min", algebra.minimum_over, False)),
    ("chol", Function("chol", build.cholesky, False)),
)
FUNCTIONS: dict[str, Function] = {
    spelling: function
    for spellings, function in _TABLE
    for spelling in spellings.split()
}
PAIRS = {  # functions of several arguments
    name for name in ("max", "min", "outer", "dot", "kron", "where", "inner", "matmul")
} | {"multiply", "power", "maximum", "minimum", "hadamard"}


def inverse(x: Node) -> Node:
    """Return the inverse of a square matrix."""
    return build.solve(x, algebra.identity(int(x.shape[-1]), x.dtype))


def _adjugate(x: Node) -> Node:
    return build.multiply(_determinant(x), inverse(x))


def _determinant(x: Node) -> Node:
    """Return the determinant by expansion along the first row, of a matrix of at most 4 rows."""
    size = int(x.shape[0])
    if size == 1:
        return build.reshape(x, ())
    parts = []
    for column in range(size):
        rows = build.slice_axes(x, (1, 0), x.shape, (1, 1))
        left = build.slice_axes(rows, (0, 0), (size - 1, column), (1, 1))
        right = build.slice_axes(rows, (0, column + 1), (size - 1, size), (1, 1))
        minor = build.concatenate((left, right), 1)
        entry = build.reshape(
            build.slice_axes(x, (0, column), (1, column + 1), (1, 1)), ()
        )
        sign = -1.0 if column % 2 else 1.0
        parts.append(build.multiply(build.multiply(sign, entry), _determinant(minor)))
    total = parts[0]
    for part in parts[1:]:
        total = build.add(total, part)
    return total


def function_key(name: str) -> str | None:
    """Return the key of a function in the table for a spelling of it, None for no function.

    >>> function_key("ReLU"), function_key("tanh"), function_key("foo")
    ('relu', 'tanh', None)
    """
    plain = name.replace(" ", "")
    for candidate in (plain, plain.lower() if plain.isascii() else plain):
        if candidate in FUNCTIONS:
            return candidate
    return None
