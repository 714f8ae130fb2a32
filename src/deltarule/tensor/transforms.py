"""Derivatives of expressions and of Python functions: gradients, products with Jacobians, Jacobians, Hessians.

Functions take and return tensors. Jacobians are in denominator layout by default, (∂y/∂x)ᵢⱼ = ∂yⱼ/∂xᵢ, as in the
notes; numerator layout is (∂y/∂x)ᵢⱼ = ∂yᵢ/∂xⱼ.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from deltarule import dtypes, shapes
from deltarule.backends import reference
from deltarule.errors import ArgumentError, GraphError, ShapeError
from deltarule.flags import checks_flags
from deltarule.grad import check
from deltarule.grad.forward import pushforward
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from deltarule.graph.rewrite import in_float64
from deltarule.graph.stacking import stack_graphs
from deltarule.graph.walk import dependents, inputs, topological
from deltarule.runtime.buffers import Array, known_below, value_of
from deltarule.runtime.realize import realize
from deltarule.simplify import simplify
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor

Layout = Literal["denominator", "numerator"]
Function = Callable[..., Any]
_MOST_TOGETHER = (
    1 << 24
)  # elements of all nodes of the rows of a Jacobian that are computed as one


@checks_flags
def grad(
    output: Tensor, wrt: Sequence[Tensor] | Tensor, *, allow_unused: bool = False
) -> Any:
    """Return ∂output/∂w as tensors of the shapes of ``wrt`` (LA-12); they can be differentiated again.

    An output that does not depend on one of ``wrt`` is refused: most often a result was looked at (``numpy()``,
    ``print``) and so became a constant before more was built on it. With ``allow_unused`` its gradient is zero.

    >>> from deltarule.tensor.tensor import tensor
    >>> x = tensor([1.0, -2.0])
    >>> grad((x * x).sum(), [x])[0].tolist()
    [2.0, -4.0]
    """
    if not isinstance(output, Tensor):
        raise ArgumentError(
            "gradient of",
            expected="a tensor",
            got=repr(output),
            hint="Let the function return its result.",
        )
    single = isinstance(wrt, Tensor)
    wanted: Sequence[Tensor] = [wrt] if isinstance(wrt, Tensor) else wrt
    handles = [_handles(w) for w in wanted]
    order = topological([output.node])
    for variable, nodes in zip(wanted, handles, strict=True):
        if not allow_unused and output.node not in dependents(order, nodes):
            raise GraphError(
                f"gradient with respect to {variable.name or build.describe(nodes[0])}",
                expected="an output that depends on it",
                got=f"{build.describe(output.node)}, which does not",
                hint="Differentiate before looking at intermediate values, or make the variable with dr.parameter: "
                "its history is kept.",
            )
    slopes = iter(gradients(output.node, [node for nodes in handles for node in nodes]))
    found = [
        Tensor(functools.reduce(build.add, [next(slopes) for _ in nodes]))
        for nodes in handles
    ]
    return found[0] if single else found


def _handles(variable: Tensor) -> list[Node]:
    """Return every node that a variable has been: expressions may have been built on each of them."""
    if not isinstance(variable, Tensor):
        raise ArgumentError(
            "gradient with respect to", expected="tensors", got=repr(variable)
        )
    former = variable._former() if variable._former is not None else None
    node = _differentiable(variable)
    return (
        [node] if former is None or variable.node is node else [former, variable.node]
    )


def _differentiable(variable: Tensor) -> Node:
    """Return the node of a variable as expressions built before know it (it may have become a leaf since)."""
    if not variable.dtype.is_float:
        raise GraphError(
            f"gradient with respect to {variable.name or 'a tensor'}",
            expected="a floating-point variable",
            got=build.describe(variable.node),
            hint="Make it with dtype='float32' or 'float64'.",
        )
    former = variable._former() if variable._former is not None else None
    return former if former is not None else variable.node


def value_and_grad(function: Function) -> Callable[..., tuple[Tensor, Any]]:
    """Return a function of the same arguments that gives (f(x, …), ∂f/∂x) for the first argument.

    >>> from deltarule.tensor.tensor import tensor
    >>> value, slope = value_and_grad(lambda x: (x * x).sum())(tensor([3.0]))
    >>> value.item(), slope.tolist()
    (9.0, [6.0])
    """

    def both(x: Any, *rest: Any) -> tuple[Tensor, Any]:
        variables = (
            [as_tensor(x)]
            if not isinstance(x, (list, tuple))
            else [as_tensor(item) for item in x]
        )
        value = function(
            variables if isinstance(x, (list, tuple)) else variables[0], *rest
        )
        slopes = grad(value, variables)
        return value, slopes if isinstance(x, (list, tuple)) else slopes[0]

    return both


def vjp(function: Function, x: Any) -> tuple[Tensor, Callable[[Any], Tensor]]:
    """Return f(x) and the pullback v ↦ (∂f/∂x) v, v of the shape of f(x)."""
    variable = as_tensor(x)
    value = _returned(function(variable), "vjp")

    def pull(cotangent: Any) -> Tensor:
        seed = _of_shape(as_tensor(cotangent), value, "vjp")
        return Tensor(gradients(value.node, [_differentiable(variable)], seed)[0])

    return value, pull


def jvp(function: Function, x: Any, v: Any) -> tuple[Tensor, Tensor]:
    """Return f(x) and J v, the derivative of f at x along v (forward mode)."""
    variable = as_tensor(x)
    value = _returned(function(variable), "jvp")
    tangent = _of_shape(as_tensor(v), variable, "jvp")
    return value, Tensor(
        pushforward([value.node], [_differentiable(variable)], [tangent])[0]
    )


def hvp(function: Function, x: Any, v: Any) -> Tensor:
    """Return H v, the Hessian of a scalar f at x times v: forward over reverse."""
    variable = as_tensor(x)
    value = _returned(function(variable), "hvp")
    node = _differentiable(variable)
    tangent = _of_shape(as_tensor(v), variable, "hvp")
    return Tensor(pushforward(gradients(value.node, [node]), [node], [tangent])[0])


def _returned(value: Any, where: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ArgumentError(
            where, expected="a function that returns a tensor", got=repr(value)
        )
    return value


def _of_shape(given: Tensor, like: Tensor, where: str) -> Node:
    if given.shape != like.shape:
        raise ShapeError(
            where,
            expected=f"a vector of shape {shapes.show(like.shape)}",
            got=shapes.show(given.shape),
        )
    return build.cast(given.node, like.dtype)


def jacobian(function: Function, x: Any, layout: Layout = "denominator") -> Tensor:
    """Return all ∂yⱼ/∂xᵢ: shape x.shape + y.shape (denominator) or y.shape + x.shape (numerator) (LA-15, LA-21).

    It is an expression, so that it can be differentiated again. An output that does not depend on x has zeros.

    >>> from deltarule.tensor.tensor import tensor
    >>> W = tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> jacobian(lambda x: W @ x, tensor([1.0, 1.0])).tolist()
    [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]
    """
    if layout not in {"denominator", "numerator"}:
        raise ArgumentError(
            "jacobian layout", expected="'denominator' or 'numerator'", got=repr(layout)
        )
    variable = as_tensor(x)
    value = _returned(function(variable), "jacobian")
    cotangent = build.input_node("cotangent", value.shape, value.dtype)
    row = gradients(value.node, [_differentiable(variable)], cotangent)[0]
    stacked = build.reshape(
        build.cast(_rows(row, cotangent), variable.dtype), value.shape + variable.shape
    )
    if layout == "denominator":
        axes = range(stacked.rank)
        stacked = build.permute(stacked, (*axes[value.ndim :], *axes[: value.ndim]))
    return Tensor(stacked)


def _rows(row: Node, cotangent: Node) -> Node:
    """Return what a row of a Jacobian is for each unit vector in place of the cotangent: (n, …), n its elements."""
    n, dtype = math.prod(cotangent.shape), cotangent.dtype
    if n == 0:
        return as_tensor(np.zeros((0, *row.shape), row.dtype.name)).node
    size = sum(math.prod(node.shape) for node in topological([row]))
    together = max(1, _MOST_TOGETHER // max(size, 1))
    parts = []
    for start in range(0, n, together):
        basis = np.eye(min(together, n - start), n, start, dtype=dtype.name)
        units = as_tensor(basis.reshape(len(basis), *cotangent.shape)).node
        parts += stack_graphs([[row]], {(cotangent,): units}, len(basis)).outputs
    return parts[0] if len(parts) == 1 else build.concatenate(parts, 0)


def _for_each(output: Node, symbol: Node, values: Sequence[Array]) -> list[Array]:
    """Evaluate one graph for several values of a symbol."""
    (output,) = simplify([output])
    known = {
        node: value
        for node in inputs([output])
        if (value := value_of(node)) is not None
    }
    names = [node for node in known if node is not symbol]
    program = reference.ReferenceBackend().compile(Program((symbol, *names), (output,)))
    return [program(value, *(known[node] for node in names))[0] for value in values]


def hessian(function: Function, x: Any) -> Tensor:
    """Return ∂²f/∂xᵢ∂xⱼ of a scalar f, shape x.shape + x.shape (LA-16); it can be differentiated again.

    >>> from deltarule.tensor.tensor import tensor
    >>> A = tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> hessian(lambda x: x @ A @ x, tensor([1.0, -2.0])).tolist()
    [[2.0, 5.0], [5.0, 8.0]]
    """
    variable = as_tensor(x)

    def slope(point: Tensor) -> Tensor:
        value = _returned(function(point), "hessian")
        if value.shape:
            raise ShapeError(
                "hessian",
                expected="a function that returns a scalar",
                got=shapes.show(value.shape),
                hint="Reduce it with .mean() or .sum(), or differentiate twice with jacobian.",
            )
        return Tensor(gradients(value.node, [_differentiable(point)])[0])

    return jacobian(slope, variable, layout="numerator")


def per_example_grad(
    function: Function, batch: Any, wrt: Sequence[Tensor] | Tensor | None = None
) -> Any:
    """Return the gradient of f for each example of a batch, along a new first axis.

    ``function`` maps one example (without the batch axis) to a scalar; the gradient is with respect to ``wrt``
    (tensors that the function uses), or to the example itself without it.
    """
    examples = as_tensor(batch)
    if examples.ndim == 0 or examples.shape[0] == 0:
        raise ShapeError(
            "per_example_grad",
            expected="a batch of at least one example",
            got=build.describe(examples.node),
        )
    example = Tensor(
        build.input_node("example", examples.shape[1:], examples.dtype), name="example"
    )
    value = function(example)
    single = wrt is None or isinstance(wrt, Tensor)
    wanted = (
        [example] if wrt is None else [wrt] if isinstance(wrt, Tensor) else list(wrt)
    )
    arrays = list(examples.numpy())
    results = []
    for node in gradients(value.node, [_differentiable(w) for w in wanted]):
        results.append(as_tensor(np.stack(_for_each(node, example.node, arrays))))
    return results[0] if single else results


@dataclass(frozen=True)
class GradientReport:
    """The comparisons of ``check_gradients``; true when all are within the tolerance."""

    errors: tuple[check.DirectionalError, ...]
    tolerance: float

    @property
    def max_error(self) -> float:
        """The largest relative difference; NaN if one is NaN."""
        return check.largest(e.error for e in self.errors)

    def __bool__(self) -> bool:
        return self.max_error <= self.tolerance

    def __str__(self) -> str:
        lines = [
            f"{'parameter':<16} order  {'analytic':>14} {'numeric':>14} {'difference':>11}"
        ]
        lines += [
            f"{e.name:<16} {e.order:>5}  {e.analytic:>14.6e} {e.numeric:>14.6e} {e.error:>11.1e}"
            + ("" if e.error <= self.tolerance else "  ✗")
            for e in self.errors
        ]
        verdict = "gradients agree" if self else "gradients DISAGREE"
        return "\n".join(
            [*lines, f"{verdict}: largest relative difference {self.max_error:.1e}"]
        )


def check_gradients(
    function: Function,
    x: Any,
    order: int = 2,
    seed: int = 0,
    step: float = 1e-5,
    tolerance: float = 1e-6,
) -> GradientReport:
    """Compare derivatives with central differences along random directions, in float64.

    ``x`` is a tensor or a list of tensors (the arguments of ``function``); parameters that the function uses are
    checked too. Stay away from kinks: there a difference quotient and a subgradient need not agree.
    """
    if order not in {1, 2}:
        raise ArgumentError("check_gradients order", expected="1 or 2", got=repr(order))
    given = [as_tensor(item) for item in (x if isinstance(x, (list, tuple)) else [x])]
    result = function(*given)
    if not isinstance(result, Tensor):
        raise ArgumentError(
            "check_gradients",
            expected="a function that returns a tensor",
            got=repr(result),
        )
    output = result.node
    leaves = inputs([output])
    arguments = [t.node for t in given]
    twins = {
        leaf: build.input_node(
            leaf.attributes["name"] or _name(leaf, arguments),
            leaf.shape,
            dtypes.FLOAT64,
        )
        for leaf in leaves
        if leaf.dtype.is_float
    }
    (raised,) = in_float64([output], twins)
    values: dict[Node, Array] = {}
    for leaf, array in known_below(leaves).items():
        twin = twins.get(leaf, leaf)
        values[twin] = array.astype(twin.dtype.name)
    generator = np.random.default_rng(seed)
    errors = check.directional_errors(
        raised,
        list(twins.values()),
        values,
        reference.evaluate,
        lambda node: generator.normal(size=node.shape),
        order,
        step,
    )
    return GradientReport(tuple(errors), tolerance)


def _name(leaf: Node, arguments: list[Node]) -> str:
    return f"argument {arguments.index(leaf)}" if leaf in arguments else "tensor"


def evaluate(outputs: Sequence[Tensor]) -> list[Array]:
    """Return the values of several tensors, computed together."""
    return realize([t.node for t in outputs])
