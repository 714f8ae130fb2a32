"""Notation of functions: σ(z), ReLU(z), ‖x‖, W ⋆ X …; a table by function or primitive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deltarule.explain.formula.coefficients import is_constant, split
from deltarule.graph.activation import Activation, Rows
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

Typeset = Callable[[Any, Sequence[Formula], Sequence[Formula]], tuple[Formula, float]]
PRODUCT, MATMUL, WORD, POWER, ATOM = 1.0, 2.0, 2.5, 3.0, 4.0
_T = m.Identifier("T", upright=True)
STAR = m.Operator("⋆", spaced=True)
_INDICES = "ijklnpqr"


def function(name: str, shown: int | None = None) -> Typeset:
    """Write name(arguments); only the first ``shown`` of them.

    >>> x = m.Identifier("x")
    >>> m.to_text(function("clip")(None, (x,), (x,))[0])
    'clip(x)'
    """

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        head = m.Identifier(name, upright=len(name) > 1)
        body = m.join(list(arguments[:shown]), m.Operator(", "))
        return m.row(head, m.Fenced(body)), ATOM

    return write


def _word(name: str) -> Typeset:
    """Write a function of one short operand without parentheses: log ŷ."""

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        head = m.Identifier(name, upright=True)
        if isinstance(arguments[0], (m.Identifier, m.Scripts, m.Accent)):
            return m.row(head, m.Operator(" "), arguments[0]), WORD
        return m.row(head, m.Fenced(arguments[0])), ATOM

    return write


def _fences(left: str, right: str) -> Typeset:
    return lambda term, arguments, closed: (m.Fenced(arguments[0], left, right), ATOM)


def _exponential(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    return m.Scripts(m.Identifier("e"), upper=arguments[0]), POWER


def _exponential_minus_one(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    power = m.Scripts(m.Identifier("e"), upper=arguments[0])
    return m.row(power, m.Operator("−", spaced=True), m.Number("1")), 0


def _log_of_one_plus(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    inner = m.row(m.Number("1"), m.Operator("+", spaced=True), arguments[0])
    return m.row(m.Identifier("log", upright=True), m.Fenced(inner)), ATOM


def _power(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    plain = not isinstance(closed[0], m.Scripts) or closed[0].upper is None
    return m.Scripts(
        closed[0] if plain else m.Fenced(arguments[0]), upper=arguments[1]
    ), POWER


def _convolve(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    return m.row(closed[1], STAR, closed[0]), PRODUCT


def _convolve_transposed(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    flipped = m.row(m.Identifier("flip", upright=True), m.Fenced(arguments[1]))
    star = m.Scripts(m.Operator("⋆"), lower=m.Identifier("full", upright=True))
    return m.row(flipped, m.Operator(" "), star, m.Operator(" "), closed[0]), PRODUCT


def _convolve_weight(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    return m.row(closed[0], STAR, closed[1]), PRODUCT


def _one_hot(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    letter = "e" if term.shape[1:] in ((), (1,)) else "E"
    label = term.arguments[0]
    if is_constant(label):  # counted from 1, as all indices
        shown: Formula = m.Number(str(int(split(label)[0]) + 1))
    else:
        shown = arguments[0]
    return m.Scripts(m.Identifier(letter), lower=shown), POWER


def _letters(axes: Sequence[int]) -> Formula:
    return m.row(*(m.Identifier(_INDICES[axis]) for axis in axes))


def _shown_axes(term: Any) -> list[int]:
    """Return the reduced axes by their places among those of more than one entry; the others are not printed."""
    sizes, axes = term.parameters[0].shape, list(term.body.attributes["axes"])
    shown = [axis for axis, size in enumerate(sizes) if size != 1]
    return [shown.index(axis) for axis in axes if axis in shown] or axes


def _index(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write the index along an axis: i, j, k."""
    return m.Identifier(_INDICES[term.body.attributes["axis"]]), ATOM


def _partial_sum(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write a sum over some axes with their indices: Σᵢⱼ x."""
    sign = m.Scripts(m.Operator("Σ"), lower=_letters(_shown_axes(term)))
    return m.row(sign, m.Operator(" "), closed[0]), PRODUCT


def _partial_maximum(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write a maximum over some axes with their indices: maxⱼ(x)."""
    head: Formula = m.Identifier("max", upright=True)
    axes = term.body.attributes["axes"]
    if len(axes) < term.parameters[0].rank:
        head = m.Scripts(head, lower=_letters(_shown_axes(term)))
    return m.row(head, m.Fenced(arguments[0])), ATOM


def _range(start: Any, stop: Any, step: int, size: Any) -> str:
    """Write the places start … stop − 1 of an axis, counted from 1, the last one included."""
    if (start, stop, step) == (0, size, 1):
        return ":"
    whole = isinstance(start, int) and isinstance(stop, int)
    if whole and stop - start <= step:
        return str(start + 1)
    return f"{start + 1}:{stop}" if step == 1 else f"{start + 1}:{step}:{stop}"


def _part(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write a part of an array: x[:, 1:2]."""
    kept = term.body.attributes
    sizes = term.parameters[0].shape
    ranges = [
        _range(*place)
        for place in zip(
            kept["starts"], kept["stops"], kept["steps"], sizes, strict=True
        )
    ]
    return m.row(closed[0], m.Fenced(m.Text(", ".join(ranges)), "[", "]")), POWER


def _place(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write an array put into zeros: place(x; :, 1:2)."""
    given = term.body.attributes
    ranges = []
    for i, size in enumerate(term.parameters[0].shape):
        low, step = given["low"][i], given["interior"][i] + 1
        ranges.append(
            _range(low, low + (size - 1) * step + 1, step, term.body.shape[i])
        )
    inside = m.row(arguments[0], m.Operator("; "), m.Text(", ".join(ranges)))
    return m.row(m.Identifier("place", upright=True), m.Fenced(inside)), ATOM


def _joined(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write a concatenation: below each other along the first axis, else side by side."""
    below = term.body.attributes["axis"] == 0
    if below and all(
        isinstance(row, m.Grid) for row in arguments
    ):  # a table of entries
        rows = [row.rows for row in arguments if isinstance(row, m.Grid)]
        return m.Grid(tuple(cells for row in rows for cells in row)), ATOM
    return m.Grid(
        tuple((argument,) for argument in arguments) if below else (tuple(arguments),)
    ), ATOM


def _rows(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write the rows that indices take, E_c x; along another axis x[:, c]."""
    axis = term.body.attributes["axis"]
    if axis == 0:
        return m.row(
            m.Scripts(m.Identifier("E"), lower=arguments[1]), m.Operator(" "), closed[0]
        ), MATMUL
    commas: list[Formula] = [m.Text(":, " * axis), arguments[1]]
    return m.row(closed[0], m.Fenced(m.row(*commas), "[", "]")), POWER


def _to_rows(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write the adjoint of taking rows, E_cᵀx; along another axis place(x; :, c)."""
    axis = term.body.attributes["axis"]
    if axis == 0:
        return m.row(
            m.Scripts(m.Identifier("E"), lower=arguments[0], upper=_T),
            m.Operator(" "),
            closed[1],
        ), MATMUL
    inside = m.row(arguments[1], m.Operator("; "), m.Text(":, " * axis), arguments[0])
    return m.row(m.Identifier("place", upright=True), m.Fenced(inside)), ATOM


def moved_axes(term: Any) -> list[int]:
    """Return the axes of more than one entry in the order in which a permutation puts them."""
    sizes = term.parameters[0].shape
    return [axis for axis in term.body.attributes["order"] if sizes[axis] != 1]


def _permuted(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write xᵀ where only the last two axes change places, else perm₃₁₂(x)."""
    order = term.body.attributes["order"]
    moved = moved_axes(term)
    if [*moved[:-2], *reversed(moved[-2:])] == sorted(moved):
        return m.Scripts(closed[0], upper=_T), POWER
    lower = m.Number("".join(str(axis + 1) for axis in order))
    return m.row(
        m.Scripts(m.Identifier("perm", upright=True), lower=lower),
        m.Fenced(arguments[0]),
    ), ATOM


def _with_settings(name: str, *settings: str) -> Typeset:
    """Write name(x; a, b) with attributes of the function."""

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        numbers = ", ".join(
            f"{term.body.attributes[key]:g}".replace("-", "−") for key in settings
        )
        inside = m.row(arguments[0], m.Operator("; "), m.Number(numbers))
        return m.row(m.Identifier(name, upright=True), m.Fenced(inside)), ATOM

    return write


def _log_of(name: str) -> Typeset:
    """Write log name(x)."""

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        inside = m.row(
            m.Identifier(name, upright=len(name) > 1), m.Fenced(arguments[0])
        )
        return m.row(m.Identifier("log", upright=True), m.Operator(" "), inside), ATOM

    return write


def _huber(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    limit = m.Number(f"{term.body.attributes['delta']:g}")
    error = m.row(closed[0], m.Operator("−", spaced=True), closed[1])
    return m.row(
        m.Scripts(m.Identifier("Huber", upright=True), lower=limit), m.Fenced(error)
    ), ATOM


def _raised(power: str) -> Typeset:
    """Write x to a constant power."""

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        return _power(term, [arguments[0], m.Number(power)], closed)

    return write


def _reshape(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    head: Formula = m.Identifier("vec", upright=True)
    if len(term.shape) > 2 or len(term.arguments[0].shape) <= 2:
        head = m.Scripts(head, upper=m.row(m.Operator("−"), m.Number("1")))
    return m.row(head, m.Fenced(arguments[0])), ATOM


def _winner(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write where the maximum is: e_argmax x of a vector, else 𝟙(x = maxⱼ x)."""
    if term.parameters[0].rank > 1:
        head = m.Identifier("max", upright=True)
        inside = m.row(
            arguments[0], m.Operator("=", spaced=True), head, m.Operator(" "), closed[0]
        )
        return m.row(m.Identifier("𝟙"), m.Fenced(inside)), ATOM
    chosen = m.row(m.Identifier("argmax", upright=True), m.Operator(" "), closed[0])
    return m.Scripts(m.Identifier("e"), lower=chosen), POWER


def _slope(name: str) -> Typeset:
    """Write f′(z)."""

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        head = m.Scripts(
            m.Identifier(name, upright=len(name) > 1), upper=m.Operator("′")
        )
        return m.row(head, m.Fenced(arguments[0])), ATOM

    return write


def _routed(name: str) -> Typeset:
    """Write a pullback as name(upstream; operand)."""

    def write(
        term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
    ) -> tuple[Formula, float]:
        head = m.Identifier(name, upright=True)
        return m.row(head, m.Fenced(m.join(list(arguments), m.Operator("; ")))), ATOM

    return write


def _inverse(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    base = closed[0] if not isinstance(closed[0], m.Scripts) else m.Fenced(arguments[0])
    if m.to_text(arguments[1]) == "I":
        return m.Scripts(base, upper=m.row(m.Operator("−"), m.Number("1"))), POWER
    return m.row(
        m.Scripts(base, upper=m.row(m.Operator("−"), m.Number("1"))), closed[1]
    ), MATMUL


def _inverse_matrix(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    raised = isinstance(closed[0], m.Scripts) and closed[0].upper is not None
    base = m.Fenced(arguments[0]) if raised else closed[0]
    return m.Scripts(base, upper=m.row(m.Operator("−"), m.Number("1"))), POWER


def _log_determinant(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write log |det A|."""
    det: list[Formula] = [m.Identifier("det", upright=True)]
    if not isinstance(closed[0], m.Fenced):
        det.append(m.Operator(" "))
    inside = m.Fenced(m.row(*det, closed[0]), "|", "|")
    return m.row(m.Identifier("log", upright=True), m.Operator(" "), inside), MATMUL


def _cast(
    term: Any, arguments: Sequence[Formula], closed: Sequence[Formula]
) -> tuple[Formula, float]:
    """Write int(x) where fractions are lost; other changes of the type do not show."""
    whole = getattr(term.arguments[0], "name", "") in {"floor", "sign"}
    fractions = term.parameters[0].dtype.is_float and not whole
    if fractions and not term.body.dtype.is_float:
        head = m.Identifier("int", upright=True)
        return m.row(head, m.Fenced(arguments[0])), ATOM
    return closed[0], POWER


_WRITTEN: dict[str, Typeset] = {
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
    "max": _partial_maximum,
    "argmax": function("argmax"),
    "sum": _partial_sum,
    "cumulative_sum": function("cumsum"),
    "fmod": function("rem"),
    "reshape": _reshape,
    "permute": _permuted,
    "broadcast": lambda term, arguments, closed: (closed[0], POWER),
    "slice": _part,
    "pad": _place,
    "flip": function("flip"),
    "concatenate": _joined,
    "gather": _rows,
    "scatter_add": _to_rows,
    "argsort": function("argsort"),
    "iota": _index,
    "where": function("where"),
    "random": lambda term, arguments, closed: (m.Identifier("U"), ATOM),
    "stop_gradient": function("sg"),
    "matmul": lambda term, arguments, closed: (m.row(*closed), MATMUL),
    "convolve": _convolve,
    "convolve_transposed": _convolve_transposed,
    "convolve_weight": _convolve_weight,
    "windows": function("windows"),
    "fold": function("fold"),
    "solve": _inverse,
    "inverse": _inverse_matrix,
    "log_determinant": _log_determinant,
    "cholesky": function("chol"),
    "cast": _cast,
    # named functions
    "prelu": _routed("PReLU"),
    "huber": _huber,
    "lgamma": _log_of("Γ"),
    "digamma": function("ψ"),
    "trigamma": _slope("ψ"),
    "softmax": function("softmax"),
    "log_softmax": _log_of("softmax"),
    "logsumexp": function("LSE"),
    "normalize": function("normalize"),
    "euclidean_norm": _fences("‖", "‖"),
    "max_pool": function("maxpool"),
    "average_pool": function("meanpool"),
    "one_hot": _one_hot,
    "winner": _winner,
    "max_pool_pullback": _routed("unpool"),
    "average_pool_pullback": _routed("spread"),
}


def _declared(declared: Activation) -> tuple[str, Typeset]:
    notation = declared.notation
    if notation.power:
        written = _raised(notation.power)
    elif notation.logarithm:
        written = _log_of(notation.name)
    elif notation.attributes:
        written = _with_settings(notation.name, *notation.attributes)
    else:
        written = function(notation.name)
    return declared.name, written


def _declared_slope(declared: Activation) -> tuple[str, Typeset]:
    return f"{declared.name}_slope", _slope(declared.notation.name)


FUNCTIONS: Rows[Typeset] = Rows(Rows(_WRITTEN, _declared_slope), _declared)
