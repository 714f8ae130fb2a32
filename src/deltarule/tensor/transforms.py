"""Function transforms: gradients, vector-Jacobian and Jacobian-vector products, Jacobians, Hessians.

Functions take and return tensors. Jacobians are in denominator layout by default, (∂y/∂x)ᵢⱼ = ∂yⱼ/∂xᵢ;
numerator layout is (∂y/∂x)ᵢⱼ = ∂yᵢ/∂xⱼ.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from deltarule import dtypes, shapes
from deltarule.arguments import check_calls
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
from deltarule.runtime.buffers import Array, known_values, value_of
from deltarule.runtime.realize import realize
from deltarule.simplify import simplify
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor

__all__ = [
    "GradientReport",
    "check_gradients",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "per_example_grad",
    "value_and_grad",
    "vjp",
]

Layout = Literal["denominator", "numerator"]
Function = Callable[..., Any]
_MAX_BATCH_ELEMENTS = 1 << 24  # of all nodes of Jacobian rows computed as one batch


@checks_flags
def grad(
    output: Tensor, wrt: Sequence[Tensor] | Tensor, *, allow_unused: bool = False
) -> Any:
    """Return the gradients ∂output/∂w, of the shapes of ``wrt``; they can be differentiated again.

    Args:
        output: A scalar tensor.
        wrt: A tensor or a sequence of tensors to differentiate with respect to.
        allow_unused: Return zeros for a tensor that the output does not depend on, instead of raising GraphError.

    Returns:
        A tensor for a tensor, a list for a sequence.

    Raises:
        GraphError: the output is not a scalar, or does not depend on one of ``wrt``. The latter happens if an
            intermediate result was read (``numpy()``, ``print``) and so became a constant.

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
                hint="Differentiate before reading intermediate values, or create the variable with dr.parameter: "
                "its graph is kept.",
            )
    parts = iter(gradients(output.node, [node for nodes in handles for node in nodes]))
    found = [
        Tensor(functools.reduce(build.add, [next(parts) for _ in nodes]))
        for nodes in handles
    ]
    return found[0] if single else found


def _handles(variable: Tensor) -> list[Node]:
    """Return all nodes that a variable has had: expressions may have been built on each of them."""
    if not isinstance(variable, Tensor):
        raise ArgumentError(
            "gradient with respect to", expected="tensors", got=repr(variable)
        )
    node = _variable_node(variable)
    return [node] if variable.node is node else [node, variable.node]


def _variable_node(variable: Tensor) -> Node:
    """Return the node of a variable in expressions built before it was evaluated and became a leaf."""
    if not variable.dtype.is_float:
        raise GraphError(
            f"gradient with respect to {variable.name or 'a tensor'}",
            expected="a floating-point variable",
            got=build.describe(variable.node),
            hint="Create it with dtype='float32' or 'float64'.",
        )
    origin = variable._origin() if variable._origin is not None else None
    return origin if origin is not None else variable.node


def value_and_grad(function: Function) -> Callable[..., tuple[Tensor, Any]]:
    """Return a function of the same arguments that returns (f(x, …), ∂f/∂x) for the first argument.

    If the first argument is a list or tuple of tensors, ∂f/∂x is a list.

    >>> from deltarule.tensor.tensor import tensor
    >>> value, gradient = value_and_grad(lambda x: (x * x).sum())(tensor([3.0]))
    >>> value.item(), gradient.tolist()
    (9.0, [6.0])
    """

    def with_gradient(x: Any, *rest: Any) -> tuple[Tensor, Any]:
        if isinstance(x, (list, tuple)):
            variables = [as_tensor(item) for item in x]
            value = function(variables, *rest)
            return value, grad(value, variables)
        variable = as_tensor(x)
        value = function(variable, *rest)
        return value, grad(value, [variable])[0]

    return with_gradient


def vjp(function: Function, x: Any) -> tuple[Tensor, Callable[[Any], Tensor]]:
    """Return f(x) and the vector-Jacobian product v ↦ vᵀJ, J = ∂f/∂x in numerator layout (reverse mode).

    v has the shape of f(x), the product the shape of x.

    >>> from deltarule.tensor.tensor import tensor
    >>> value, pullback = vjp(lambda x: x * x, tensor([1.0, 3.0]))
    >>> pullback([1.0, 1.0]).tolist()
    [2.0, 6.0]
    """
    variable = as_tensor(x)
    value = _checked_tensor(function(variable), "vjp")

    def pullback(cotangent: Any) -> Tensor:
        seed = _of_shape(as_tensor(cotangent), value, "vjp")
        return Tensor(gradients(value.node, [_variable_node(variable)], seed)[0])

    return value, pullback


def jvp(function: Function, x: Any, v: Any) -> tuple[Tensor, Tensor]:
    """Return f(x) and the Jacobian-vector product Jv, the derivative of f at x along v (forward mode).

    Args:
        function: A function of one tensor that returns a tensor.
        x: The point.
        v: The direction, of the shape of x.

    >>> from deltarule.tensor.tensor import tensor
    >>> value, tangent = jvp(lambda x: x * x, tensor([1.0, 3.0]), [1.0, 0.0])
    >>> tangent.tolist()
    [2.0, 0.0]
    """
    variable = as_tensor(x)
    value = _checked_tensor(function(variable), "jvp")
    tangent = _of_shape(as_tensor(v), variable, "jvp")
    nodes = pushforward([value.node], [_variable_node(variable)], [tangent])
    return value, Tensor(nodes[0])


def hvp(function: Function, x: Any, v: Any) -> Tensor:
    """Return the Hessian-vector product Hv of a scalar function at x (forward over reverse).

    Args:
        function: A function of one tensor that returns a scalar.
        x: The point.
        v: The direction, of the shape of x.

    >>> from deltarule.tensor.tensor import tensor
    >>> hvp(lambda x: (x * x * x).sum(), tensor([1.0, 2.0]), [1.0, 1.0]).tolist()
    [6.0, 12.0]
    """
    variable = as_tensor(x)
    value = _checked_tensor(function(variable), "hvp")
    node = _variable_node(variable)
    tangent = _of_shape(as_tensor(v), variable, "hvp")
    return Tensor(pushforward(gradients(value.node, [node]), [node], [tangent])[0])


def _checked_tensor(value: Any, where: str) -> Tensor:
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
    """Return the Jacobian, all ∂yⱼ/∂xᵢ of y = f(x); it can be differentiated again.

    Args:
        function: A function of one tensor that returns a tensor y.
        x: The point.
        layout: "denominator": shape x.shape + y.shape. "numerator": shape y.shape + x.shape, as in JAX and PyTorch.

    Raises:
        ArgumentError: the layout is unknown, or the function does not return a tensor.

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
    value = _checked_tensor(function(variable), "jacobian")
    cotangent = build.input_node("cotangent", value.shape, value.dtype)
    row = gradients(value.node, [_variable_node(variable)], cotangent)[0]
    rows = build.cast(_rows(row, cotangent), variable.dtype)
    stacked = build.reshape(rows, value.shape + variable.shape)
    if layout == "denominator":
        axes = range(stacked.rank)
        stacked = build.permute(stacked, (*axes[value.ndim :], *axes[: value.ndim]))
    return Tensor(stacked)


def _rows(row: Node, cotangent: Node) -> Node:
    """Return the rows of a Jacobian, one for each unit vector in place of the cotangent: shape (n, …)."""
    n, dtype = math.prod(cotangent.shape), cotangent.dtype
    if n == 0:
        return as_tensor(np.zeros((0, *row.shape), row.dtype.name)).node
    size = sum(math.prod(node.shape) for node in topological([row]))
    batch_size = max(1, _MAX_BATCH_ELEMENTS // max(size, 1))
    parts = []
    for start in range(0, n, batch_size):
        basis = np.eye(min(batch_size, n - start), n, start, dtype=dtype.name)
        units = as_tensor(basis.reshape(len(basis), *cotangent.shape)).node
        parts += stack_graphs([[row]], {(cotangent,): units}, len(basis)).outputs
    return parts[0] if len(parts) == 1 else build.concatenate(parts, 0)


def _evaluate_each(output: Node, symbol: Node, values: Sequence[Array]) -> list[Array]:
    """Evaluate one graph for each of several values of a symbol."""
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
    """Return the Hessian ∂²f/∂xᵢ∂xⱼ of a scalar function, shape x.shape + x.shape.

    It can be differentiated again.

    Raises:
        ShapeError: the function does not return a scalar.

    >>> from deltarule.tensor.tensor import tensor
    >>> A = tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> hessian(lambda x: x @ A @ x, tensor([1.0, -2.0])).tolist()
    [[2.0, 5.0], [5.0, 8.0]]
    """
    variable = as_tensor(x)

    def gradient(point: Tensor) -> Tensor:
        value = _checked_tensor(function(point), "hessian")
        if value.shape:
            raise ShapeError(
                "hessian",
                expected="a function that returns a scalar",
                got=shapes.show(value.shape),
                hint="Reduce it with .mean() or .sum(), or differentiate twice with jacobian.",
            )
        return Tensor(gradients(value.node, [_variable_node(point)])[0])

    return jacobian(gradient, variable, layout="numerator")


def per_example_grad(
    function: Function, batch: Any, wrt: Sequence[Tensor] | Tensor | None = None
) -> Any:
    """Return the gradient of a function for each example of a batch, along a new first axis.

    Args:
        function: A function of one example (without the batch axis) that returns a scalar.
        batch: Examples along the first axis.
        wrt: A tensor or tensors that the function uses; by default the example itself.

    Raises:
        ShapeError: the batch is empty.

    >>> from deltarule.tensor.tensor import parameter
    >>> w = parameter([1.0, 1.0])
    >>> per_example_grad(lambda x: (w @ x) ** 2, [[1.0, 0.0], [0.0, 2.0]], wrt=w).tolist()
    [[2.0, 0.0], [0.0, 8.0]]
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
    for node in gradients(value.node, [_variable_node(w) for w in wanted]):
        results.append(as_tensor(np.stack(_evaluate_each(node, example.node, arrays))))
    return results[0] if single else results


@dataclass(frozen=True)
class GradientReport:
    """The result of ``check_gradients``; true if all errors are within the tolerance.

    Attributes:
        errors: One comparison for each variable and order.
        tolerance: The largest relative difference that is accepted.

    >>> from deltarule.tensor.tensor import tensor
    >>> report = check_gradients(lambda x: (x * x).sum(), tensor([1.0, 2.0]))
    >>> bool(report), report.max_error < 1e-6
    (True, True)
    """

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
    """Compare derivatives with central finite differences along random directions, in float64.

    Parameters that the function uses are checked too. Avoid kinks: there a difference quotient and a subgradient
    need not agree.

    Args:
        function: A function that returns a scalar.
        x: A tensor, or a list of tensors (the arguments of ``function``).
        order: 1 checks gradients, 2 also second derivatives.
        seed: Seed of the random directions.
        step: The step of the finite differences.
        tolerance: The largest relative difference that is accepted.

    >>> from deltarule.tensor.tensor import tensor
    >>> bool(check_gradients(lambda x: (x**3).sum(), tensor([0.5, -1.0])))
    True
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
    doubles = {
        leaf: build.input_node(
            leaf.attributes["name"] or _name(leaf, arguments),
            leaf.shape,
            dtypes.FLOAT64,
        )
        for leaf in leaves
        if leaf.dtype.is_float
    }
    (output_in_float64,) = in_float64([output], doubles)
    values: dict[Node, Array] = {}
    for leaf, array in known_values(leaves).items():
        double = doubles.get(leaf, leaf)
        values[double] = array.astype(double.dtype.name)
    generator = np.random.default_rng(seed)
    errors = check.directional_errors(
        output_in_float64,
        list(doubles.values()),
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
    """Return the values of several tensors, evaluated together.

    >>> from deltarule.tensor.tensor import tensor
    >>> x = tensor([1.0, 2.0])
    >>> [value.tolist() for value in evaluate([x + 1, x * 2])]
    [[2.0, 3.0], [2.0, 4.0]]
    """
    return realize([t.node for t in outputs])


check_calls(__name__)
