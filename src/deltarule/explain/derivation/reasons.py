"""Why a line holds: the textbook names of the steps that the backward walk took."""

from __future__ import annotations

from deltarule.explain.derivation.signals import peel
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
_FAINT = frozenset(
    {
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
    """Return the place of a rule among those that explain little: the lower, the more it explains."""
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
    if step.node.op in {Op.MULTIPLY, Op.DIVIDE} and _has_constant_factor(step):
        return "constant factor"
    if step.node.op is Op.WHERE and _is_diagonal(step.node.sources[0]):
        return "∂ tr(AX)/∂X = Aᵀ"
    if step.rule in {"convolution", "transposed convolution"}:
        return _CONVOLUTIONS.get(step.contribution.op, step.rule)
    return _WORDED.get(step.rule, step.rule)


class Reasons:
    """The recorded steps, found by the node that receives."""

    def __init__(self, walk: Backpropagation) -> None:
        self._towards: dict[Node, list[BackwardStep]] = {}
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

    def of(self, node: Node, stops: set[Node], outer: bool = False) -> str:
        """Return the reason of a line in the words of the textbook."""
        steps = self.path(node, stops)
        rules = list(
            dict.fromkeys(_rule(step) for step in steps if step.rule not in _SILENT)
        )
        strong = [rule for rule in rules if rule not in _FAINT]
        shown = strong[:2] or sorted(rules, key=_priority)[:1]
        if not strong and "sum over the repetitions" in rules:
            shown = ["sum over the repetitions"]
        if outer and shown and shown[0] in _FAINT:
            shown = ["outer product"]
        paths = self._paths(node)
        if paths > 1:
            shown = [f"total derivative: {paths} paths", *shown[:1]]
        return "; ".join(shown)

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
