"""From graphs to terms: one table keyed by primitive, and the textbook form of some named functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from deltarule.dtypes import DType
from deltarule.explain.formula.algebra import (
    add,
    common_factor,
    common_shape,
    diagonal,
    divide,
    inverse,
    lifted,
    matmul,
    multiply,
    negate,
    number,
    power,
    subtract,
    total,
    transpose,
)
from deltarule.explain.formula.constants import constant
from deltarule.explain.formula.places import total_of_placed
from deltarule.explain.formula.powers import (
    exponential_minus_one_rule,
    exponential_rule,
    power_rule,
)
from deltarule.explain.formula.rearrangements import (
    add_rule,
    apply,
    broadcast_rule,
    dimension_rule,
    input_rule,
    permute_rule,
    reshape_rule,
    slice_rule,
)
from deltarule.explain.formula.term import (
    COMPLEMENT,
    Apply,
    Indicator,
    Product,
    Symbol,
    Term,
    is_number,
    matrix_shape,
)
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.function import expansion
from deltarule.graph.functions.losses import one_hot
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.shapes import Shape

_ONE = Fraction(1)
_HUGE = 1e6
Translate = Callable[[Node, tuple[Term, ...]], Term]
Pattern = Callable[
    [tuple[Term, ...]], Term
]  # the term of a node that is recognised as a whole, from other nodes'


class Translator:
    """Translate nodes into terms; named nodes become symbols.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> term_text(Translator().term(build.multiply(build.matmul(W, x), 2)))
    '2 Wx'
    """

    def __init__(self) -> None:
        self._known: dict[Node, Term] = {}
        self.named: dict[Node, Term] = {}
        self.distributions: set[Symbol] = set()
        self.patterns: dict[Node, tuple[tuple[Node, ...], Pattern]] = {}

    def name(self, node: Node, term: Term) -> None:
        """Translate ``node`` as ``term`` from now on; the first name of a node is kept."""
        if node not in self.named:
            self.named[node] = term
            self._known = dict(self.named)

    def forget(self) -> None:
        """Translate again from the names alone."""
        self._known = dict(self.named)

    def term(self, node: Node, *, opened: bool = False) -> Term:
        """Return the term of a node; ``opened``: its definition even where it has a name."""
        if opened and node in self._known:
            known = self._known.pop(node)
            try:
                return self._build(node)
            finally:
                self._known[node] = known
        return self._build(node)

    def _build(self, root: Node) -> Term:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self._known:
                stack.pop()
                continue
            if node in self.patterns:
                operands, pattern = self.patterns[node]
                missing = [
                    operand for operand in operands if operand not in self._known
                ]
                if missing:
                    stack.extend(missing)
                else:
                    self._known[node] = pattern(
                        tuple(self._known[operand] for operand in operands)
                    )
                continue
            if node.op is Op.CALL:
                form = textbook_form(node, self.term)
                if form is not None:
                    self._known[node] = form
                    continue
            needed = self._needed(node)
            missing = [source for source in needed if source not in self._known]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            term = translate(node, tuple(self._known[source] for source in needed))
            self._known[node] = self._as_distribution(node, term)
        return self._known[root]

    def _as_distribution(self, node: Node, term: Term) -> Term:
        """Replace Σy by 1 where y is known to be a distribution (along the last axis)."""
        if node.op is not Op.SUM or node.attributes["axes"] != (
            node.sources[0].rank - 1,
        ):
            return term
        source = self._known.get(node.sources[0])
        return (
            number(_ONE, term.shape)
            if isinstance(source, Symbol) and source in self.distributions
            else term
        )

    def _needed(self, node: Node) -> tuple[Node, ...]:
        if node.op is Op.CALL and node.attributes["function"] in OPENED:
            return (OPENED[node.attributes["function"]](node),)
        if node.op is Op.WHERE and _exception_at_zero(node):
            return (node.sources[2],)
        labels = _labels(node)
        return node.sources if labels is None else (labels,)


def translate(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return the term of a node from those of its operands.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = build.input_node("x", (3,))
    >>> column = Symbol("x", (3, 1), x)
    >>> term_text(translate(build.add(x, x), (column, column)))
    '2x'
    """
    if node.op is Op.CALL and node.attributes["function"] in OPENED:
        return arguments[0]
    if node.op is Op.WHERE and len(arguments) == 1:
        return arguments[0]
    if node.op is Op.EQUAL and len(arguments) == 1:
        labels = _labels(node)
        known = (node.sources[0],) if labels is None else (labels,)
        return Apply("one_hot", arguments, matrix_shape(node.shape), node, known)
    rule = TRANSLATE[node.op]
    return apply(node, arguments) if rule is None else rule(node, arguments)


def _labels(node: Node) -> Node | None:
    """Return the whole numbers y of a comparison k = y with the index k along the last axis: one-hot rows."""
    if node.op is not Op.EQUAL:
        return None
    for ramp, other in (node.sources, node.sources[::-1]):
        if ramp.op is not Op.IOTA or ramp.attributes["axis"] != node.rank - 1:
            continue
        while other.op in {Op.BROADCAST, Op.RESHAPE, Op.CAST}:
            other = other.sources[0]
        kept = [size for size in node.shape[:-1] if size != 1]
        if (
            other.op is Op.INPUT
            and not other.dtype.is_float
            and [s for s in other.shape if s != 1] == kept
        ):
            return other
    return None


def _exception_at_zero(node: Node) -> bool:
    """Whether a selection only repairs the point where something is 0 (the name of the rule states the convention)."""
    condition = node.sources[0]
    if condition.op is not Op.EQUAL or not condition.sources[0].dtype.is_float:
        return False
    return _value(condition.sources[1]) == 0 and _value(node.sources[1]) in (0, 1)


def _value(node: Node) -> float | None:
    while node.op in {Op.BROADCAST, Op.RESHAPE, Op.CAST, Op.PERMUTE}:
        node = node.sources[0]
    return float(node.attributes["value"]) if node.op is Op.CONSTANT else None


# ---------------------------------------------------------------- arithmetic


def _pair(combine: Callable[[Term, Term], Term]) -> Translate:
    return lambda node, xs: lifted(combine(xs[0], xs[1]), matrix_shape(node.shape))


def _shaped(node: Node, term: Term) -> Term:
    return lifted(term, matrix_shape(node.shape))


def _compare(relation: str) -> Translate:
    def build(node: Node, arguments: tuple[Term, ...]) -> Term:
        left, right = arguments
        if relation == "=" and _is_identity(node):
            return diagonal(number(_ONE, (node.shape[0], 1)))
        shape = common_shape([left.shape, right.shape, matrix_shape(node.shape)])
        return Indicator(relation, left, right, shape)

    return build


def _is_identity(node: Node) -> bool:
    """Whether a comparison is i = j of the two axes of a square."""
    rows, columns = (source for source in node.sources)
    ramps = (
        rows.op is Op.IOTA
        and columns.op is Op.IOTA
        and rows.rank == 2
        and node.shape[0] == node.shape[1]
    )
    return ramps and rows.attributes["axis"] != columns.attributes["axis"]


def complement(term: Term) -> Term:
    """Return 1 − 𝟙(…) as the indicator of the opposite.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> z = Symbol.of("z", (3, 1))
    >>> term_text(complement(Indicator(">", z, number(0, z.shape), z.shape)))
    '𝟙(z ≤ 0)'
    """
    if isinstance(term, Indicator):
        return Indicator(COMPLEMENT[term.relation], term.left, term.right, term.shape)
    if isinstance(term, Product) and term.coefficient == 1 and len(term.factors) == 1:
        factor, exponent = term.factors[0]  # one for all entries
        if isinstance(factor, Indicator) and exponent == 1:
            return replace(term, factors=((complement(factor), exponent),))
    return subtract(number(_ONE, term.shape), term)


def _either(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return 𝟙(a ≤ b) for a < b or a = b, else 1 − (1 − x)(1 − y)."""
    first, second = arguments
    if isinstance(first, Indicator) and isinstance(second, Indicator):
        less, equal = (first, second) if second.relation == "=" else (second, first)
        same = {less.left, less.right} == {equal.left, equal.right}
        if same and equal.relation == "=" and less.relation in {"<", ">"}:
            return Indicator(
                "≤" if less.relation == "<" else "≥", less.left, less.right, less.shape
            )
    return complement(multiply(complement(first), complement(second)))


def _where(node: Node, arguments: tuple[Term, ...]) -> Term:
    condition, x, y = arguments
    if any(
        isinstance(branch, Product) and abs(float(branch.coefficient)) > _HUGE
        for branch in (x, y)
    ):
        return apply(node, arguments)  # a mask of −∞: a sum would lose the other branch
    shared = common_factor(x, y)
    if shared is not None:  # where(c, g, s·g) = (𝟙(c) + s𝟙(¬c)) ⊙ g
        share = divide(y, shared)
        gate = add(
            multiply(condition, divide(x, shared)),
            multiply(complement(condition), share),
        )
        return _shaped(node, multiply(gate, shared))
    return _shaped(
        node, add(multiply(condition, x), multiply(complement(condition), y))
    )


def _sum(node: Node, arguments: tuple[Term, ...]) -> Term:
    (x,), axes = arguments, node.attributes["axes"]
    source = node.sources[0]
    if len(axes) == source.rank:
        placed = total_of_placed(x)
        if placed is not None:
            return placed
        return total(x) if not is_number(x.shape) or not isinstance(x, Product) else x
    if source.rank != 2 or len(x.shape) != 2:
        return apply(node, arguments)
    if axes == (1,):
        return matmul(x, number(_ONE, (x.shape[1], 1))) if x.shape[1] != 1 else x
    return (
        matmul(transpose(x), number(_ONE, (x.shape[0], 1)))
        if x.shape[0] != 1
        else transpose(x)
    )


def _matmul(node: Node, arguments: tuple[Term, ...]) -> Term:
    if node.rank != 2 or any(len(x.shape) != 2 and x.shape != () for x in arguments):
        return apply(node, arguments)
    return matmul(*arguments)


def _solve(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return A⁻¹B."""
    if node.rank != 2 or any(len(x.shape) != 2 for x in arguments):
        return apply(node, arguments)
    return matmul(inverse(arguments[0]), arguments[1])


# ---------------------------------------------------------------- named functions in their textbook form


def _log1p(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return log(1 + x)."""
    return log_of(add(number(_ONE, matrix_shape(node.shape)), *arguments), node)


OPENED: dict[str, Callable[[Node], Node]] = dict.fromkeys(
    ("squared_error", "hinge", "normalize"), expansion
)
OPENED["weighted"] = lambda node: build.multiply(*node.sources)


TEXTBOOK = frozenset(
    {
        "binary_cross_entropy",
        "binary_cross_entropy_of_probabilities",
        "cross_entropy",
        "cross_entropy_of_labels",
        "cross_entropy_of_probabilities",
        "multiclass_hinge",
    }
)


def textbook_form(node: Node, term: Callable[[Node], Term]) -> Term | None:
    """Return a cross-entropy of logits in terms of ŷ = softmax(z) or σ(z), as textbooks do."""
    function = node.attributes.get("function")
    if function in {"binary_cross_entropy", "binary_cross_entropy_of_probabilities"}:
        y = term(node.sources[1])
        output = (
            f.sigmoid(node.sources[0])
            if function == "binary_cross_entropy"
            else node.sources[0]
        )
        one = number(_ONE, y.shape)
        right = multiply(y, log_of(term(output), output))
        wrong = multiply(subtract(one, y), log_of(subtract(one, term(output)), output))
        return negate(add(right, wrong))
    if function == "multiclass_hinge":
        return _multiclass_hinge(node, term)
    known = {
        "cross_entropy",
        "cross_entropy_of_labels",
        "cross_entropy_of_probabilities",
    }
    if function not in known:
        return None
    scores, targets = node.sources
    output = (
        scores
        if function == "cross_entropy_of_probabilities"
        else f.softmax(scores, axis=scores.rank - 1)
    )
    hot = (
        one_hot(targets, scores.shape[-1], scores)
        if function == "cross_entropy_of_labels"
        else targets
    )
    y, logarithm = term(hot), log_of(term(output), output)
    return negate(_along_classes(y, logarithm, scores))


def _along_classes(left: Term, right: Term, scores: Node) -> Term:
    """Return the sum of left ⊙ right over the classes."""
    if scores.rank == 1:
        return matmul(transpose(left), right)
    product = multiply(left, right)
    if scores.rank == 2:
        return matmul(product, number(_ONE, (scores.shape[-1], 1)))
    parameter = build.input_node("x", scores.shape, scores.dtype)
    body = build.sum_over(parameter, -1)
    return Apply("sum", (product,), matrix_shape(body.shape), body, (parameter,))


def _multiclass_hinge(node: Node, term: Callable[[Node], Term]) -> Term:
    """Return Σⱼ Mⱼ Dⱼ with the margins D = 1 + a_j − a_y and M = 𝟙(D > 0) for the wrong classes."""
    margins, violated = hinge_parts(node)
    return _along_classes(term(violated), term(margins), node.sources[0])


def hinge_parts(node: Node) -> tuple[Node, Node]:
    """Return the margins of a multi-class hinge loss, and 1 where that of a wrong class is violated."""
    scores, labels = node.sources
    hot = one_hot(labels, scores.shape[-1], scores)
    right = build.sum_over(f.weighted(hot, scores), -1, keepdims=True)
    margins = build.subtract(build.add(scores, node.attributes["margin"]), right)
    violated = build.cast(build.less(0, margins), scores.dtype)
    return margins, build.multiply(violated, build.subtract(1, hot))


def log_of(argument: Term, like: Node) -> Term:
    """Return ln of a term that has the shape of a node."""
    body, parameter = _logarithm(like.shape, like.dtype)
    return Apply("log", (argument,), matrix_shape(like.shape), body, (parameter,))


@functools.lru_cache(maxsize=256)
def _logarithm(shape: Shape, dtype: DType) -> tuple[Node, Node]:
    """Return the graph of a logarithm and its operand, the same for equal shapes so that like terms are equal."""
    parameter = build.input_node("x", shape, dtype)
    return build.log(parameter), parameter


TRANSLATE: dict[Op, Translate | None] = {
    Op.INPUT: input_rule,
    Op.CONSTANT: lambda n, xs: constant(float(n.attributes["value"])),
    Op.DIMENSION: dimension_rule,
    Op.IOTA: None,
    Op.RANDOM: None,
    Op.NEGATE: lambda n, xs: negate(xs[0]),
    Op.ABS: None,
    Op.SIGN: None,
    Op.FLOOR: None,
    Op.EXP: exponential_rule,
    Op.EXPM1: exponential_minus_one_rule,
    Op.LOG: None,
    Op.LOG1P: _log1p,
    Op.SQRT: lambda n, xs: power(xs[0], Fraction(1, 2)),
    Op.SIN: None,
    Op.COS: None,
    Op.TANH: None,
    Op.ERF: None,
    Op.NOT: lambda n, xs: complement(xs[0]),
    Op.CAST: lambda n, xs: (
        apply(n, xs) if n.sources[0].dtype.is_float and not n.dtype.is_float else xs[0]
    ),
    Op.STOP_GRADIENT: None,
    Op.ADD: add_rule,
    Op.SUBTRACT: _pair(subtract),
    Op.MULTIPLY: _pair(multiply),
    Op.DIVIDE: _pair(divide),
    Op.FMOD: None,
    Op.POWER: power_rule,
    Op.MAXIMUM: None,
    Op.MINIMUM: None,
    Op.EQUAL: _compare("="),
    Op.LESS: _compare("<"),
    Op.AND: _pair(multiply),
    Op.OR: _either,
    Op.WHERE: _where,
    Op.CHECK: lambda n, xs: xs[0],
    Op.SUM: _sum,
    Op.MAX: None,
    Op.ARGMAX: None,
    Op.CUMULATIVE_SUM: None,
    Op.RESHAPE: reshape_rule,
    Op.PERMUTE: permute_rule,
    Op.BROADCAST: broadcast_rule,
    Op.SLICE: slice_rule,
    Op.PAD: None,
    Op.FLIP: None,
    Op.CONCATENATE: None,
    Op.GATHER: None,
    Op.SCATTER_ADD: None,
    Op.ARGSORT: None,
    Op.MATMUL: _matmul,
    **dict.fromkeys(
        (Op.CONVOLVE, Op.CONVOLVE_TRANSPOSED, Op.CONVOLVE_WEIGHT, Op.WINDOWS, Op.FOLD)
    ),
    Op.SOLVE: _solve,
    Op.LOG_DETERMINANT: None,
    Op.CHOLESKY: None,
    Op.CALL: None,
}
