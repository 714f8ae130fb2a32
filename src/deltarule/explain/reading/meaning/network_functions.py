"""Functions of the network with its settings: pooling, slopes, one-hot rows, correlations and parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.formula.coefficients import is_constant, split
from deltarule.explain.formula.term import Apply, Symbol, matrix_shape
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.reading.known_functions import FUNCTIONS, function_key
from deltarule.explain.reading.meaning.context import Context
from deltarule.explain.reading.meaning.values import Value
from deltarule.explain.reading.syntax import (
    Called,
    Expression,
    Index,
    Named,
    Span,
)
from deltarule.explain.reading.written import written
from deltarule.grad.reverse import gradients
from deltarule.graph import build, functions
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import substitute
from deltarule.render.mathematics import to_text
from deltarule.shapes import Shape, show

NOT_ACTIVATIONS = {
    "softmax",
    "log_softmax",
    "max_pool",
    "average_pool",
    "cross_entropy",
    "logsumexp",
    "huber",
}


class OwnFunctions:
    """Evaluate functions that the network itself applies."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def own(self, tree: Called, arguments: Sequence[Value]) -> Value | None:
        """Return the network's own function of the arguments, or None where the network has none such."""
        held = list(self.context.vocabulary.functions.get(tree.function, ()))
        if tree.function == "max" and not tree.lower and len(arguments) == 2:
            return None
        if tree.function in {"vec"}:
            wanted = "vec⁻¹(" if tree.power is not None else "vec("
            held = [term for term in held if to_text(typeset(term)).startswith(wanted)]
        key = function_key(tree.function)
        if key is not None and (
            FUNCTIONS[key].by_entry or key in {"sum", "tr", "norm", "diag"}
        ):
            return None
        first = [t for t in held if is_about(t, tree.arguments)]
        if tree.primes or any(value.indices for value in arguments):
            return self.entry_wise(tree, [*first, *held], arguments)
        return self.applied([*first, *held], arguments) or self.entry_wise(
            tree, [*first, *held], arguments
        )

    def applied(
        self, candidates: Sequence[Apply], arguments: Sequence[Value]
    ) -> Value | None:
        """Return the first of some functions of the network whose parameters fit the arguments."""
        for term in candidates:
            shown = list(arguments)
            if len(term.parameters) != len(shown):
                continue
            nodes = [_fitted(a, p) for a, p in zip(shown, term.parameters, strict=True)]
            if any(node is None for node in nodes):
                continue
            replacements = {
                p: n
                for p, n in zip(term.parameters, nodes, strict=True)
                if n is not None
            }
            (body,) = substitute([term.body], replacements)
            shape = term.shape
            return Value(
                build.reshape(build.cast(body, self.context.dtype), shape),
                loose=len(shape) > 2,
            )
        return None

    def entry_wise(
        self, tree: Called, candidates: Sequence[Apply], arguments: Sequence[Value]
    ) -> Value | None:
        """Return an activation of the network for an array of any shape, with its settings."""
        if len(arguments) != 1:
            return None
        for term in candidates:
            node = term.body
            if (
                node.op is not Op.CALL
                or len(term.parameters) != 1
                or node.attributes["function"] in NOT_ACTIVATIONS
            ):
                continue
            build_node = getattr(functions, str(node.attributes["function"]), None)
            if build_node is None:
                continue
            settings = {k: v for k, v in node.attributes.items() if k != "function"}
            call = partial(build_node, **settings)
            return replace(
                arguments[0], node=derived(call, arguments[0].node, tree.primes)
            )
        return None

    def one_hot(self, tree: Called, argument: Expression) -> Value:
        """Return the one-hot vectors of labels, as the network has them or for a product with another matrix."""
        held = self.context.vocabulary.functions
        if isinstance(argument, Called) and argument.function == "argmax":
            inner = self.context.value(argument.arguments[0])
            found = self.applied(held.get("winner", ()), [inner])
            if found is not None:
                return found
        shown = to_text(written(argument, {}))
        for candidate in held.get("one_hot", ()):
            if to_text(typeset(candidate.arguments[0])) == shown:
                node = build.cast(candidate.body, self.context.dtype)
                return Value(build.reshape(node, candidate.shape))
        if any(shown in to_text(typeset(t)) for t in self._selections()):
            unit = build.constant(1.0, self.context.dtype)
            return Value(unit, labels=shown)
        raise ArgumentError(
            f"e at position {tree.at + 1}",
            expected="a label of the data as its index",
            got=shown,
        )

    def unit_vector(self, number: int) -> Value | None:
        """Return e_k for the class k, counted from 1, that the network picks."""
        for candidate in self.context.vocabulary.functions.get("one_hot", ()):
            label = candidate.arguments[0]
            if is_constant(label) and split(label)[0] + 1 == number:
                node = build.cast(candidate.body, self.context.dtype)
                return Value(build.reshape(node, candidate.shape))
        return None

    def _selections(self) -> list[Apply]:
        held = self.context.vocabulary.functions
        return [*held.get("gather", ()), *held.get("scatter_add", ())]

    def selected(self, labels: str, right: Value) -> Value:
        """Return E_c W, the rows that labels select, or E_cᵀ G, rows added at their labels.

        Raises:
            ShapeError: the network has no such selection.
        """
        for term in self._selections():
            rows = 0 if term.name == "gather" else 1
            indices = term.arguments[1 - rows]
            turned = labels.endswith("ᵀ") == (term.name == "scatter_add")
            if not turned or to_text(typeset(indices)) != labels.removesuffix("ᵀ"):
                continue
            node = _fitted(right, term.parameters[rows])
            if node is not None:
                (body,) = substitute([term.body], {term.parameters[rows]: node})
                body = build.cast(body, self.context.dtype)
                return Value(build.reshape(body, term.shape), loose=len(term.shape) > 2)
        raise ShapeError(
            "E", expected="a matrix with a row for each label", got=show(right.shape)
        )

    def convolution(self, left: Value, right: Value, operator: str) -> Value:
        """Return a correlation of the network with the shapes of two arrays.

        Raises:
            ShapeError: the network has no such correlation.
        """
        held = self.context.vocabulary.functions
        if operator == "⋆full":
            transposed = held.get("convolve_transposed", ())
            found = self.applied(transposed, [right, left])
        else:
            found = self.applied(held.get("convolve", ()), [right, left])
            found = found or self.applied(
                held.get("convolve_weight", ()), [left, right]
            )
        if found is None:
            raise ShapeError(
                "⋆",
                expected="arrays of the sizes of this network",
                got=f"{show(left.shape)}, {show(right.shape)}",
            )
        return found

    def placed(self, tree: Called, indices: tuple[Index, ...]) -> Value:
        """Return place(x; 1:2), an array of zeros with x at some places."""
        argument = self.context.value(tree.arguments[0])
        shown = ", ".join(map(_index_text, indices))
        held = self.context.vocabulary.functions.get("place", ())
        fitting = [t for t in held if to_text(typeset(t)).endswith(f"; {shown})")]
        found = self.applied(fitting, [argument])
        if found is None:
            raise ShapeError("place", expected="a part of this network", got=shown)
        return found


def derived(function: Callable[[Node], Node], node: Node, primes: int) -> Node:
    """Return f(x), f′(x) or f″(x) of an entry-wise function."""
    if not primes:
        return function(node)
    parameter = build.input_node("x", node.shape, node.dtype)
    result = function(parameter)
    for _ in range(min(primes, 3)):
        (result,) = gradients(build.sum_over(result), [parameter])
    (found,) = substitute([result], {parameter: node})
    return found


def is_about(term: Apply, arguments: Sequence[Expression]) -> bool:
    """Whether a term of the network applies its function to the symbol that is the argument."""
    if not arguments or not term.arguments or not isinstance(term.arguments[0], Symbol):
        return False
    argument = arguments[0]
    return (
        isinstance(argument, Named) and argument.symbol.node is term.arguments[0].node
    )


def _fitted(value: Value, parameter: Node) -> Node | None:
    """Return an argument in the shape of a parameter, or None where it does not fit."""
    if value.indices or value.identity:
        return None
    if any(value.free):
        whole = matrix_shape(parameter.shape)
        fits = len(whole) == 2 == len(value.shape) and all(
            size == wanted or (size == 1 and free)
            for size, wanted, free in zip(value.shape, whole, value.free, strict=True)
        )
        node = build.broadcast_to(value.node, whole) if fits else None
        return None if node is None else build.reshape(node, parameter.shape)
    if value.mask is not None:
        return build.cast(value.mask(parameter.shape), parameter.dtype)
    shape = value.shape
    if shape not in (parameter.shape, matrix_shape(parameter.shape)):
        if value.is_scalar and not parameter.shape:
            return build.cast(build.reshape(value.node, ()), parameter.dtype)
        if value.is_scalar:
            return build.cast(
                build.broadcast_to(build.reshape(value.node, ()), parameter.shape),
                parameter.dtype,
            )
        if _core(shape) != _core(parameter.shape) and not _regrouped(
            shape, parameter.shape, value
        ):
            return None
    return build.cast(build.reshape(value.node, parameter.shape), parameter.dtype)


def _core(shape: Shape) -> list[object]:
    return [size for size in shape if size != 1]


def _regrouped(shape: Shape, wanted: Shape, value: Value) -> bool:
    """Whether axes may be regrouped: those of an array of more than two axes, as the printed formulas leave it out."""
    if len(shape) <= 2 and len(wanted) <= 2:
        return False
    if not all(isinstance(size, int) for size in (*shape, *wanted)):
        return False
    return math.prod(int(size) for size in shape) == math.prod(
        int(size) for size in wanted
    )


def _index_text(index: Index) -> str:
    if isinstance(index, Span):
        if index.start is None:
            return ":"
        middle = f":{index.step}" if index.step != 1 else ""
        return f"{index.start}{middle}:{index.stop}"
    return index.name if isinstance(index, Symbol) else str(index)
