"""Reasons of lines: the textbook names of the steps of backpropagation."""

from __future__ import annotations

from deltarule.explain.derivation.signals import peel
from deltarule.explain.formula.coefficients import split
from deltarule.explain.formula.term import (
    Matmul,
    Sum,
    Symbol,
    Term,
    Transpose,
    is_number,
)
from deltarule.grad.reverse import Backpropagation, BackwardStep
from deltarule.graph.node import Node
from deltarule.graph.op import Op

_SILENT = frozenset(
    {
        "reshape back",
        "transpose back",
        "change of element type",
        "negation",
        "sum distributes",
    }
)
_MATRIX_PRODUCT = "d(AB) = (dA)B + A(dB)"
_DOT_PRODUCT = "∂(aᵀx)/∂x = a"
_FAINT = frozenset(
    {
        _MATRIX_PRODUCT,
        _DOT_PRODUCT,
        "power rule",
        "add gate distributes",
        "multiply gate switches",
        "sum over the repetitions",
        "quotient rule",
        "constant factor",
    }
)


_PRIORITY = {"quotient rule": 0, "constant factor": 2, "add gate distributes": 3}


def _priority(rule: str) -> int:
    """Return the rank of a rule among those that explain little; lower ranks explain more."""
    return _PRIORITY.get(rule, 1)


_WORDED = {
    "derivative of max pool": "max gate routes to the first maximum",
    "derivative of average pool": "each entry of a window takes its share",
    "derivative of gelu": "GELU′(z) = Φ(z) + zφ(z)",
    "derivative of silu": "SiLU′(z) = σ(z)(1 + z(1 − σ(z)))",
    "derivative of selu": "SELU′(z) = λ or λαeᶻ",
    "hyperbolic tangent": "tanh′ = 1 − tanh²",
    "exponential": "exp′ = exp",
    "logarithm": "log′ z = 1/z",
    "square root": "√′ z = 1/(2√z)",
    "sine": "sin′ = cos",
    "cosine": "cos′ = −sin",
    "x/‖x‖ (0 at the origin)": "∇‖x‖ = x/‖x‖ (0 at the origin)",
}


_CONVOLUTIONS = {
    Op.CONVOLVE: "correlation with the kernel",
    Op.CONVOLVE_WEIGHT: "correlation of the input with the derivative",
    Op.CONVOLVE_TRANSPOSED: "full correlation with the flipped kernel",
}


# The rule of a product of two matrices by how its line is written: whether the derivative G by the product stands
# first, and whether the first and the second factor are transposed; in denominator and in numerator layout.
_MATRIX_RULES = {
    (True, False, True): ("∂ tr(GᵀAB)/∂A = GBᵀ", "∂ tr(GAB)/∂A = BG"),
    (True, False, False): ("∂ tr(GᵀABᵀ)/∂A = GB", "∂ tr(GABᵀ)/∂A = BᵀG"),
    (True, True, False): ("∂ tr(GᵀABᵀ)/∂B = GᵀA", "∂ tr(GABᵀ)/∂B = AᵀGᵀ"),
    (True, True, True): ("∂ tr(GᵀAᵀBᵀ)/∂B = GᵀAᵀ", "∂ tr(GAᵀBᵀ)/∂B = AGᵀ"),
    (False, True, False): ("∂ tr(GᵀAB)/∂B = AᵀG", "∂ tr(GAB)/∂B = GA"),
    (False, False, False): ("∂ tr(GᵀAᵀB)/∂B = AG", "∂ tr(GAᵀB)/∂B = GAᵀ"),
    (False, False, True): ("∂ tr(GᵀAᵀB)/∂A = BGᵀ", "∂ tr(GAᵀB)/∂A = GᵀBᵀ"),
    (False, True, True): ("∂ tr(GᵀAᵀBᵀ)/∂A = BᵀGᵀ", "∂ tr(GAᵀBᵀ)/∂A = GᵀB"),
}
# The same of a matrix and a column x, and of a row x and a matrix, by whether the matrix of the line is transposed.
_COLUMN_RULES = {
    True: ("∂(gᵀAx)/∂x = Aᵀg", "∂(gAx)/∂x = gA"),
    False: ("∂(gᵀAᵀx)/∂x = Ag", "∂(gAᵀx)/∂x = gAᵀ"),
}
_ROW_RULES = {
    True: ("∂(xAgᵀ)/∂x = gAᵀ", "∂(xAg)/∂x = Ag"),
    False: ("∂(xAᵀgᵀ)/∂x = gA", "∂(xAᵀg)/∂x = Aᵀg"),
}


def _is_square(node: Node) -> bool:
    """Whether a node is x · x or xᵀx."""
    if node.op is Op.MATMUL and node.shape == (1, 1):
        return peel(node.sources[0]) is peel(node.sources[1])
    return node.op is Op.MULTIPLY and node.sources[0] is node.sources[1]


def _has_constant_factor(step: BackwardStep) -> bool:
    """Whether a node is a constant times, or over a constant, the operand that receives."""
    others = [source for source in step.node.sources if source is not step.source]
    constant = len(others) == 1 and peel(others[0]).op is Op.CONSTANT
    return constant and (
        step.node.op is Op.MULTIPLY or step.source is step.node.sources[0]
    )


def _is_diagonal(condition: Node) -> bool:
    """Whether a condition selects the diagonal of a matrix, as a trace does."""
    ramps = [peel(source) for source in condition.sources]
    return condition.op is Op.EQUAL and all(ramp.op is Op.IOTA for ramp in ramps)


def _rule(step: BackwardStep) -> str:
    """Return the textbook's name of a step."""
    if _is_square(step.node):
        return "power rule"
    if step.node.op is Op.MATMUL:
        return _DOT_PRODUCT if step.node.shape[-2:] == (1, 1) else _MATRIX_PRODUCT
    if step.node.op in {Op.MULTIPLY, Op.DIVIDE} and _has_constant_factor(step):
        return "constant factor"
    if step.node.op is Op.WHERE and _is_diagonal(step.node.sources[0]):
        return "∂ tr(AX)/∂X = Aᵀ"
    if step.rule in {"convolution", "transposed convolution"}:
        return _CONVOLUTIONS.get(step.contribution.op, step.rule)
    return _WORDED.get(step.rule, step.rule)


def _is_outer(term: Term) -> bool:
    """Whether a term is a product of a column and a row."""
    if isinstance(term, Sum):
        return all(_is_outer(part) for part in term.terms)
    return (
        isinstance(term, Matmul)
        and len(term.factors) == 2
        and term.factors[0].shape[1] == 1
        and not is_number(term.factors[1].shape)
    )


def _below(term: Term) -> Term:
    """Return what is transposed, or the term itself."""
    return term.body if isinstance(term, Transpose) else term


class Reasons:
    """The recorded steps of backpropagation, indexed by the node whose gradient they contribute to."""

    def __init__(self, walk: Backpropagation, layout: str = "denominator") -> None:
        self._layout = 1 if layout == "numerator" else 0
        self._towards: dict[Node, list[BackwardStep]] = {}
        self._cotangents = {step.cotangent for step in walk.steps}
        for step in walk.steps:
            self._towards.setdefault(step.source, []).append(step)

    def readers(self, node: Node) -> list[BackwardStep]:
        """Return the steps that contribute to a node."""
        return self._towards.get(node, [])

    def path(self, node: Node, stops: set[Node]) -> list[BackwardStep]:
        """Return the steps between a node and the named signals above it, the nearest first."""
        found: dict[int, BackwardStep] = {}
        queue = list(self.readers(node))
        while queue:
            step = queue.pop(0)
            if id(step) in found:
                continue
            found[id(step)] = step
            if step.node not in stops:
                queue.extend(self.readers(step.node))
        return list(found.values())

    def of(self, node: Node, stops: set[Node], term: Term) -> str:
        """Return the reason of a line as a textbook states it; ``term`` is its right side."""
        steps = self.path(node, stops)
        rules = list(
            dict.fromkeys(_rule(step) for step in steps if step.rule not in _SILENT)
        )
        strong = [rule for rule in rules if rule not in _FAINT]
        shown = strong[:2] or sorted(rules, key=_priority)[:1]
        if not strong and "sum over the repetitions" in rules:
            shown = ["sum over the repetitions"]
        if shown and shown[0] in _FAINT and _is_outer(term):
            shown = ["outer product"]
        if shown and shown[0] in {_MATRIX_PRODUCT, _DOT_PRODUCT}:
            shown = [self._product(term, shown[0])]
        paths = self._paths(node)
        if paths > 1:
            shown = [f"total derivative: {paths} paths", *shown[:1]]
        return "; ".join(shown)

    def _product(self, term: Term, general: str) -> str:
        """Return the rule of a matrix product as the line uses it, or the general one."""
        if general == _DOT_PRODUCT and self._layout:
            general = "∂(aᵀx)/∂x = aᵀ"
        _, chain = split(term)
        if not isinstance(chain, Matmul) or len(chain.factors) != 2:
            return general
        first, second = (_below(factor) for factor in chain.factors)
        turned = [isinstance(factor, Transpose) for factor in chain.factors]
        gradients = [
            isinstance(factor, Symbol) and factor.node in self._cotangents
            for factor in (first, second)
        ]
        if gradients.count(True) != 1:
            return general
        if gradients[1] and chain.shape[1] == 1:
            return _COLUMN_RULES[turned[0]][self._layout]
        if gradients[0] and chain.shape[0] == 1:
            return _ROW_RULES[turned[1]][self._layout]
        return _MATRIX_RULES[gradients[0], turned[0], turned[1]][self._layout]

    def _paths(self, node: Node) -> int:
        """Return at how many places a node is used, movement looked through; x · x is one place."""
        count = 0
        squares: set[Node] = set()
        for step in self.readers(node):
            if step.node in squares:
                continue
            if _is_square(step.node):
                squares.add(step.node)
            moved = step.node.op in {Op.RESHAPE, Op.PERMUTE, Op.CAST, Op.BROADCAST}
            count += self._paths(step.node) if moved else 1
        return count
