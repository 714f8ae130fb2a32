"""Minimisers of functions of a few variables, in float64: gradient methods, Newton, L-BFGS.

``function`` maps a tensor to a scalar tensor, or a list of tensors if ``start`` is a list of
arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.arguments import check_calls
from deltarule.backends.base import Executable
from deltarule.errors import ArgumentError, DivergenceError, ShapeError
from deltarule.flags import checks_flags
from deltarule.grad.forward import pushforward
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from deltarule.graph.rewrite import substitute
from deltarule.graph.walk import inputs
from deltarule.optim.line_search import backtrack, strong_wolfe
from deltarule.optim.recipe import Optimizer, get
from deltarule.optim.transform import Clock
from deltarule.runtime.buffers import value_of
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor, tensor
from deltarule.tensor.transforms import evaluate

__all__ = ["Minimum", "lbfgs", "minimize", "newton"]

Array = npt.NDArray[Any]
Function = Callable[[Any], Tensor]


@final
@dataclass(frozen=True)
class Minimum:
    """The result of a minimisation.

    Attributes:
        x: The final point: an array, or a list of arrays as ``start``.
        value: The value of the function at ``x``.
        gradient_norm: ‖∇f(x)‖.
        steps: The number of steps.
        converged: Whether ‖∇f(x)‖ ≤ tolerance.
        path: The start and all later points, flattened, (steps + 1, n).
        values: The values of the function along the path, (steps + 1,).

    >>> found = newton(lambda x: ((x - 3.0) ** 2).sum(), [0.0])
    >>> found.x.tolist(), found.steps, found.converged
    ([3.0], 1, True)
    """

    x: Any
    value: float
    gradient_norm: float
    steps: int
    converged: bool
    path: Array
    values: Array


class _Problem:
    """A function of one flat float64 vector, with value, gradient and Hessian as compiled programs."""

    def __init__(self, function: Function, start: Any) -> None:
        is_sequence = isinstance(start, (list, tuple))
        self.listed = is_sequence and not all(
            isinstance(item, (int, float)) for item in start
        )
        items = start if self.listed else [start]
        parts = [np.asarray(item, np.float64) for item in items]
        self.shapes = [part.shape for part in parts]
        flattened = [part.ravel() for part in parts]
        self.start = np.concatenate(flattened) if parts else np.zeros(0)
        self.flat = build.input_node("x", self.start.shape, dtypes.FLOAT64)
        x = Tensor(self.flat)
        stops = np.cumsum([part.size for part in parts])
        pieces = [
            x[int(stop) - part.size : int(stop)].reshape(part.shape)
            for part, stop in zip(parts, stops, strict=True)
        ]
        value = function(pieces if self.listed else pieces[0])
        if not isinstance(value, Tensor) or value.size != 1:
            raise ShapeError(
                "function to minimise",
                expected="one number, a tensor ()",
                got=repr(value),
            )
        self.value = build.cast(build.reshape(value.node, ()), dtypes.FLOAT64)
        (self.gradient,) = gradients(self.value, [self.flat])
        self._both = self.compiled((), (self.value, self.gradient))
        self._product: Executable | None = None

    def compiled(
        self, more: Sequence[Node], outputs: Sequence[Node]
    ) -> Callable[..., list[Array]]:
        """Return a compiled function of x and further inputs; constants of the function keep their values."""
        outputs = simplify(list(outputs))
        given = (self.flat, *more)
        known = [node for node in inputs(outputs) if node not in given]
        values = [value for node in known if (value := value_of(node)) is not None]
        run = backend("reference").compile(Program((*given, *known), tuple(outputs)))
        return lambda *arrays: run(*arrays, *values)

    def at(self, x: Array) -> tuple[float, Array]:
        """Return value and gradient."""
        value, gradient = self._both(x)
        return float(value), gradient

    def hessian(self, x: Array) -> Array:
        """Return the Hessian from Hessian–vector products with the unit vectors, symmetrised."""
        if self._product is None:
            v = build.input_node("v", self.start.shape, dtypes.FLOAT64)
            self._product = self.compiled(
                (v,), pushforward([self.gradient], [self.flat], [v])
            )
        columns = [self._product(x, unit)[0] for unit in np.eye(len(x))]
        matrix: Array = np.stack(columns) if columns else np.zeros((0, 0))
        return (matrix + matrix.T) / 2

    def unpacked(self, x: Array) -> Any:
        """Return a flat vector as arrays of the shapes of the start."""
        stops = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = [
            x[stop - math.prod(shape) : stop].reshape(shape)
            for shape, stop in zip(self.shapes, stops, strict=True)
        ]
        return parts if self.listed else parts[0]

    def minimum(
        self, path: list[Array], values: list[float], gradient: Array, tolerance: float
    ) -> Minimum:
        """Return the result for a path."""
        norm = float(np.linalg.norm(gradient))
        return Minimum(
            self.unpacked(path[-1]),
            values[-1],
            norm,
            len(path) - 1,
            norm <= tolerance,
            np.array(path),
            np.array(values),
        )


def _finite(where: str, value: float, gradient: Array, step: int) -> None:
    if not (math.isfinite(value) and np.isfinite(gradient).all()):
        raise DivergenceError(
            where,
            expected="finite values",
            got=f"f = {value} at step {step}",
            hint="Take a smaller learning rate or another start.",
        )


def minimize(
    function: Function,
    start: Any,
    optimizer: str | Optimizer = "sgd",
    steps: int = 100,
    tolerance: float = 0.0,
) -> Minimum:
    """Minimise a function with an optimiser, and record the path.

    Args:
        function: The function: a tensor, or a list of tensors, to a scalar tensor.
        start: The initial point: an array, or a list of arrays.
        optimizer: An optimiser, or its name.
        steps: The largest number of steps.
        tolerance: Stop when ‖∇f‖ ≤ tolerance.

    Raises:
        ShapeError: The function does not return a scalar.
        DivergenceError: f or ∇f is not finite.

    >>> from deltarule.optim import SGD
    >>> found = minimize(lambda x: (x * x).sum(), [1.0, -2.0], SGD(learning_rate=0.25), steps=2)
    >>> found.path.tolist()
    [[1.0, -2.0], [0.5, -1.0], [0.25, -0.5]]
    """
    problem = _Problem(function, start)
    transform = get(optimizer).transform(["x"])
    x = Tensor(problem.flat, name="x")
    first = evaluate(transform.init([tensor(problem.start)]))
    slots = [
        build.input_node(f"slot {i}", v.shape, dtypes.DTYPES[v.dtype.name])
        for i, v in enumerate(first)
    ]
    step = build.input_node("step", (), dtypes.INT64)
    state, clock = tuple(Tensor(slot) for slot in slots), Clock(Tensor(step))
    slope = problem.gradient
    if transform.point is not None:
        (slope,) = substitute(
            [slope], {problem.flat: transform.point([x], state, clock)[0].node}
        )
    updates, after = transform.update([Tensor(slope)], state, [x], clock)
    advance = problem.compiled(
        (*slots, step), ((x + updates[0]).node, *(t.node for t in after))
    )
    now: list[Array] = [problem.start, *first]
    value, gradient = problem.at(problem.start)
    path, values = [problem.start], [value]
    for k in range(steps):
        if np.linalg.norm(gradient) <= tolerance:
            break
        now = advance(*now, np.array(k, np.int64))
        value, gradient = problem.at(now[0])
        _finite("minimize", value, gradient, k + 1)
        path.append(now[0])
        values.append(value)
    return problem.minimum(path, values, gradient, tolerance)


@checks_flags
def newton(
    function: Function,
    start: Any,
    steps: int = 50,
    tolerance: float = 1e-10,
    line_search: bool = True,
) -> Minimum:
    """Minimise a function by Newton's method, x ← x − H⁻¹∇f.

    One step is exact for a quadratic function. The Hessian H takes n² numbers and a step n³
    operations, so the method is for small problems.

    Args:
        function: The function: a tensor, or a list of tensors, to a scalar tensor.
        start: The initial point: an array, or a list of arrays.
        steps: The largest number of steps.
        tolerance: Stop when ‖∇f‖ ≤ tolerance.
        line_search: Add a multiple of I to H until it is positive definite, and halve the step
            until f decreases sufficiently (Armijo). False takes plain Newton steps, which
            converge to any stationary point.

    Raises:
        ShapeError: The function does not return a scalar.
        DivergenceError: f or ∇f is not finite, or H is singular (without line search).

    >>> newton(lambda x: (x * x * x * x).sum(), [1.0], steps=2, line_search=False).path.round(6).tolist()
    [[1.0], [0.666667], [0.444444]]
    """
    problem = _Problem(function, start)
    x = problem.start
    value, gradient = problem.at(x)
    path, values = [x], [value]
    for k in range(steps):
        if np.linalg.norm(gradient) <= tolerance:
            break
        matrix = problem.hessian(x)
        if line_search:
            direction = -_solve_definite(matrix, gradient)
            length = backtrack(problem.at, x, value, gradient, direction)
            if length == 0.0:
                break  # no decrease along the direction: limited by rounding
        else:
            direction, length = -_solve(matrix, gradient), 1.0
        x = x + length * direction
        value, gradient = problem.at(x)
        _finite("newton", value, gradient, k + 1)
        path.append(x)
        values.append(value)
    return problem.minimum(path, values, gradient, tolerance)


def _solve(matrix: Array, right: Array) -> Array:
    try:
        solution: Array = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError as error:
        raise DivergenceError(
            "newton",
            expected="an invertible Hessian",
            got=str(error),
            hint="Use line_search=True.",
        ) from error
    return solution


def _solve_definite(matrix: Array, right: Array) -> Array:
    """Solve with H + τI, τ the first of 0, β, 2β … that makes it positive definite (Nocedal and Wright 2006, 3.3)."""
    size = max(float(np.abs(matrix).max(initial=0.0)), 1.0)
    shift = 0.0
    while True:
        shifted = matrix + shift * np.eye(len(matrix))
        if np.linalg.eigvalsh(shifted).min(initial=math.inf) > 1e-12 * size:
            return _solve(shifted, right)
        shift = max(2 * shift, 1e-3 * size)


def lbfgs(
    function: Function,
    start: Any,
    steps: int = 500,
    tolerance: float = 1e-8,
    memory: int = 10,
) -> Minimum:
    """Minimise a function by L-BFGS (Nocedal and Wright 2006, algorithms 7.4 and 7.5).

    The inverse Hessian is approximated from the last ``memory`` pairs of steps and gradient
    differences. Step lengths meet the strong Wolfe conditions (c₁ = 10⁻⁴, c₂ = 0.9). It stops
    early if rounding allows no further decrease.

    Args:
        function: The function: a tensor, or a list of tensors, to a scalar tensor.
        start: The initial point: an array, or a list of arrays.
        steps: The largest number of steps.
        tolerance: Stop when ‖∇f‖ ≤ tolerance.
        memory: The number of pairs that are kept, ≥ 1.

    Raises:
        ArgumentError: ``memory`` < 1.
        ShapeError: The function does not return a scalar.
        DivergenceError: f or ∇f is not finite at the start.

    >>> lbfgs(lambda x: ((x - 3.0) ** 2).sum(), [0.0, 1.0]).x.round(6).tolist()
    [3.0, 3.0]
    """
    if memory < 1:
        raise ArgumentError(
            "lbfgs memory", expected="a whole number ≥ 1", got=repr(memory)
        )
    problem = _Problem(function, start)
    x = problem.start
    value, gradient = problem.at(x)
    _finite("lbfgs", value, gradient, 0)
    path, values = [x], [value]
    pairs: list[tuple[Array, Array]] = []
    for _ in range(steps):
        if np.linalg.norm(gradient) <= tolerance:
            break
        direction = -two_loops(gradient, pairs)
        if direction @ gradient >= 0:
            pairs, direction = [], -gradient
        first = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        found = strong_wolfe(problem.at, x, value, gradient, direction, first)
        if found is None:
            break
        length, value, new_gradient = found
        move = length * direction
        change = new_gradient - gradient
        if move @ change > 1e-12 * float(np.linalg.norm(move) * np.linalg.norm(change)):
            pairs = [*pairs, (move, change)][-memory:]
        x, gradient = x + move, new_gradient
        path.append(x)
        values.append(value)
    return problem.minimum(path, values, gradient, tolerance)


def two_loops(
    gradient: Array,
    pairs: list[tuple[Array, Array]],
    scaled: Callable[[Array], Array] = np.copy,
) -> Array:
    """Return the product of the approximate inverse Hessian and the gradient (algorithm 7.4).

    Args:
        gradient: The gradient.
        pairs: Steps and changes of the gradient, the latest at the end.
        scaled: Product with a first approximation, which is scaled by the last pair.

    >>> two_loops(np.array([4.0]), [(np.array([1.0]), np.array([2.0]))]).tolist()
    [2.0]
    """
    q = gradient.copy()
    weights = []
    for move, change in reversed(pairs):
        weight = (move @ q) / (move @ change)
        q = q - weight * change
        weights.append(weight)
    q = scaled(q)
    if pairs:
        move, change = pairs[-1]
        q = q * ((move @ change) / (change @ scaled(change)))
    for (move, change), weight in zip(pairs, reversed(weights), strict=True):
        q = q + (weight - (change @ q) / (move @ change)) * move
    return q


check_calls(__name__)
