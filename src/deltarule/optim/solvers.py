"""Minimisers of functions of a few variables, in float64: gradient methods with their path, Newton, L-BFGS.

``function`` takes a tensor and returns a scalar tensor, or takes a list of tensors where ``start`` is a list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
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

Array = npt.NDArray[Any]
Function = Callable[[Any], Tensor]


@final
@dataclass(frozen=True)
class Minimum:
    """Where a minimiser ended: the point (an array, or a list as in ``start``), its value, and the way there.

    ``path`` holds the start and every point after it, flat, one a row; ``values`` the function there.
    ``converged`` says whether the gradient's norm came down to the tolerance.
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
        self.listed = isinstance(start, (list, tuple)) and not all(
            isinstance(s, (int, float)) for s in start
        )
        parts = [
            np.asarray(part, np.float64) for part in (start if self.listed else [start])
        ]
        self.shapes = [part.shape for part in parts]
        self.start = (
            np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(0)
        )
        self.flat = build.input_node("x", self.start.shape, dtypes.FLOAT64)
        x = Tensor(self.flat)
        stops = np.cumsum([part.size for part in parts])
        pieces = [
            x[int(b) - p.size : int(b)].reshape(p.shape)
            for p, b in zip(parts, stops, strict=True)
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
        """Return x, more inputs → outputs; leaves that the function uses keep their values."""
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
        """Return the Hessian by products with the unit vectors, symmetrised."""
        if self._product is None:
            v = build.input_node("v", self.start.shape, dtypes.FLOAT64)
            self._product = self.compiled(
                (v,), pushforward([self.gradient], [self.flat], [v])
            )
        columns = [self._product(x, unit)[0] for unit in np.eye(len(x))]
        matrix: Array = np.stack(columns) if columns else np.zeros((0, 0))
        return (matrix + matrix.T) / 2

    def unpacked(self, x: Array) -> Any:
        """Return the flat vector in the shapes of the start."""
        stops = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = [
            x[stop - math.prod(shape) : stop].reshape(shape)
            for shape, stop in zip(self.shapes, stops, strict=True)
        ]
        return parts if self.listed else parts[0]

    def minimum(
        self, path: list[Array], values: list[float], gradient: Array, tolerance: float
    ) -> Minimum:
        """Report the end of a path."""
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
    """Follow an optimiser for some steps, or until ‖∇f‖ ≤ tolerance (OPT-01, OPT-41), and record the path (OPT-38).

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
    """Newton–Raphson: ν = H⁻¹∇f, x ← x − ν (OPT-27), exact in one step on a quadratic (C-OPT-28).

    With ``line_search`` H gets a multiple of I until it is positive definite, and the step is halved until f falls
    enough (Armijo), so that f never rises. Without it the steps are Newton's own: they go to any stationary point.
    Stops when ‖∇f‖ ≤ tolerance. Meant for small problems: H takes n² numbers and n³ operations (OPT-29).

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
                break  # no smaller value along the way: rounding is the limit
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
            expected="a Hessian that can be inverted",
            got=str(error),
            hint="Use line_search=True.",
        ) from error
    return solution


def _solve_definite(matrix: Array, right: Array) -> Array:
    """Solve with H + τI, τ ≥ 0 the first of 0, β, 2β, 4β … that makes it positive definite (Nocedal, Wright 3.3)."""
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
    """L-BFGS: Newton's step with H⁻¹ from the last ``memory`` pairs of moves and gradient changes.

    The step length meets the strong Wolfe conditions (c₁ = 10⁻⁴, c₂ = 0.9). Stops when ‖∇f‖ ≤ tolerance, or when
    rounding allows no further descent. Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4, 7.5.
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
        direction = -_two_loops(gradient, pairs)
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
            pairs = (
                [*pairs[-(memory - 1) :], (move, change)]
                if memory > 1
                else [(move, change)]
            )
        x, gradient = x + move, new_gradient
        path.append(x)
        values.append(value)
    return problem.minimum(path, values, gradient, tolerance)


def _two_loops(gradient: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """The product of the approximate inverse Hessian with the gradient (algorithm 7.4)."""
    q = gradient.copy()
    weights = []
    for move, change in reversed(pairs):
        weight = (move @ q) / (move @ change)
        q = q - weight * change
        weights.append(weight)
    if pairs:
        move, change = pairs[-1]
        q = q * ((move @ change) / (change @ change))
    for (move, change), weight in zip(pairs, reversed(weights), strict=True):
        q = q + (weight - (change @ q) / (move @ change)) * move
    return q
