"""What a linear learner minimises, written once with tensors; gradient, Hessian and errors are its derivatives.

    J(Θ) = mean over examples of w·loss(Θx, y) + ½α‖Θ‖²,  Θ (outputs, features)

The last feature is 1 and carries the bias, which the penalty leaves out. ``newton`` minimises J over all examples,
``delta_step`` follows it from example to example. Both run on the native engine where that is worth compiling.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import final

import numpy as np

from deltarule.backends.base import Executable
from deltarule.graph.program import Program
from deltarule.graph.rewrite import expand_calls, substitute
from deltarule.graph.walk import dependents, topological
from deltarule.learners.base import Array
from deltarule.losses import Loss
from deltarule.optim.line_search import descend_convex
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.functional import arange, concatenate, eye, one_hot, stack
from deltarule.tensor.tensor import Tensor, symbol
from deltarule.tensor.transforms import grad, hvp

Data = tuple[Array, Array, Array]  # inputs (N, features), targets (N,), weights (N,)
Family = Callable[[Tensor], Loss]  # losses that differ in one number, which is given to each run
WORTH_COMPILING = 2**22  # examples · size of Θ: below, NumPy ends before the compiler
_WORTH_A_MATRIX = 2**16  # examples · outputs · size of Θ: below, the Hessian takes no longer than five products
_MOST_PRODUCTS = 250


@final
class Objective:
    """J for a number of examples, as expressions; the symbols are ``theta``, ``batch`` (x, y, w) and ``alpha``.

    Targets are numbers where there is one output, and labels where there are more. ``errors`` are −∂loss/∂scores of
    every example, the e of the delta rule θ ← θ + η·e·x (CM-27). ``scalars`` are ``alpha`` and, for a family of
    losses, the symbol of its number.
    """

    def __init__(self, loss: Loss | Family, outputs: int, features: int, rows: int, device: str = "reference") -> None:
        self._device = device
        self.theta = symbol("theta", (outputs, features), "float64")
        x = symbol("x", (rows, features), "float64")
        y = symbol("y", (rows,), "float64" if outputs == 1 else "int64")
        self.batch = (x, y, symbol("w", (rows,), "float64"))
        self.alpha = symbol("alpha", (), "float64")
        number = symbol("number", (), "float64")
        self.loss: Loss = loss if isinstance(loss, Loss) else loss(number)
        self.scalars: tuple[Tensor, ...] = (self.alpha,) if isinstance(loss, Loss) else (self.alpha, number)
        scores = x @ self.theta.T
        self.scores = scores[:, 0] if outputs == 1 else scores
        self._known = symbol("scores", self.scores.shape, "float64")
        self._penalised = (arange(features) < features - 1).astype("float64")
        penalty = (self._penalised * self.theta * self.theta).sum() * 0.5 * self.alpha
        self.value = self.loss(self.scores, *self.batch[1:]) + penalty
        self.gradient: Tensor = grad(self.value, self.theta)
        self.errors: Tensor = -grad(self.loss.per_example(self.scores, y).sum(), self.scores)

    @functools.cached_property
    def slopes(self) -> Executable:
        """Return (Θ, x, y, w, scalars) → J, ∂J/∂Θ."""
        return self._run((self.theta, *self.batch, *self.scalars), (self.value, self.gradient))

    @functools.cached_property
    def hessian(self) -> Executable:
        """Return (scores, x, y, w, scalars) → the Hessian of J in Θ row by row, (size of Θ, size of Θ).

        Its blocks are Xᵀ diag(∂²J/∂zₐ∂z_b) X of two outputs a and b, and α·𝟙 on those of one.
        """
        x, *rest = self.batch
        (outputs, features), (rows, _) = self.theta.shape, x.shape
        units = [one_hot(a, outputs, "float64").broadcast_to((rows, outputs)) for a in range(outputs)]
        bends = [hvp(lambda z: self.loss(z, *rest), self.scores, u.reshape(self.scores.shape)) for u in units]
        pairs = stack([bend.reshape(rows, outputs) for bend in bends], axis=1).reshape(rows, -1, 1)
        blocks = x.T @ (pairs * x.expand_dims(1)).reshape(rows, -1)
        matrix = blocks.reshape(features, outputs, -1).permute(1, 0, 2).reshape(self.theta.size, -1)
        penalty = eye(self.theta.size, "float64") * concatenate([self._penalised] * outputs) * self.alpha
        return self._run((self._known, *self.batch, *self.scalars), (self._beyond(matrix + penalty),))

    def curvature(self, scores: Array, *data: Array) -> Callable[[Array], Array]:
        """Return V ↦ the Hessian times V, of the shape of Θ, at scores of (x, y, w, scalars)."""
        prepare, multiply = self._products
        known = prepare(scores, *data)
        return lambda v: multiply(v, *known, *data)[0]

    @functools.cached_property
    def _products(self) -> tuple[Executable, Executable]:
        """Return (scores, x, …) → what of the product depends on scores alone, and (V, those, x, …) → product."""
        v = symbol("v", self.theta.shape, "float64")
        (image,) = expand_calls(simplify([self._beyond(hvp(lambda _: self.value, self.theta, v)).node]))
        order = topological([image])
        moving, bent = dependents(order, [v.node]), dependents(order, [self._known.node])
        known = dict.fromkeys(s for node in order if node in moving for s in node.sources if s in bent - moving)
        twins = [symbol("known", node.shape, node.dtype) for node in known]
        (product,) = substitute([image], dict(zip(known, (t.node for t in twins), strict=True)))
        rest = (*self.batch, *self.scalars)
        return self._run((self._known, *rest), [Tensor(n) for n in known]), self._run(
            (v, *twins, *rest), (Tensor(product),)
        )

    def _beyond(self, output: Tensor) -> Tensor:
        """Return what is computed from known scores."""
        return Tensor(substitute([output.node], {self.scores.node: self._known.node})[0])

    def _run(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Executable:
        smaller = simplify([t.node for t in outputs])
        return backend(self._device).compile(Program(tuple(t.node for t in inputs), tuple(smaller)))


@functools.lru_cache(maxsize=64)
def objective(loss: Loss | Family, outputs: int, features: int, rows: int) -> Objective:
    """Return an objective; equal ones are made once."""
    return Objective(loss, outputs, features, rows)


def chosen(loss: Loss | Family, theta: Array, rows: int) -> Objective:
    """Return an objective on the engine that its size asks for.

    A native one is not kept: so many rows are rarely as many the next time, and if they are, the code is on disk.
    """
    outputs, features = theta.shape
    if rows * theta.size < WORTH_COMPILING:
        return objective(loss, outputs, features, rows)
    return Objective(loss, outputs, features, rows, "cpu")


def newton(
    made: Objective, theta: Array, data: Data, scalars: Sequence[float], max_iter: int, tol: float
) -> tuple[Array, int, bool]:
    """Minimise a convex J by Newton steps of lengths that lower it; return Θ, how many (at least 1), and if enough.

    One output solves with the Hessian; several take conjugate gradients on products with it (Lin, Weng and Keerthi
    2008), the matrix itself being made where it is small. ``scalars`` are α and the number of a family of losses.
    Ends where no derivative is above ``tol`` or rounding allows no descent, or after ``max_iter`` steps, too few.
    """
    given = (*data, *(np.array(scalar, np.float64) for scalar in scalars))

    def at(flat: Array) -> tuple[float, Array]:
        value, gradient = made.slopes(flat.reshape(theta.shape), *given)
        return float(value), gradient.ravel()

    def direction(flat: Array, gradient: Array) -> Array:
        scores = data[0] @ flat.reshape(theta.shape).T
        if len(theta) == 1:
            (matrix,) = made.hessian(scores[:, 0], *given)
            return -np.asarray(np.linalg.lstsq(matrix, gradient, rcond=None)[0])
        if len(data[0]) * len(theta) * theta.size <= _WORTH_A_MATRIX:
            (matrix,) = made.hessian(scores, *given)
            return _conjugate_gradients(lambda v: matrix @ v + 1e-12 * v, -gradient)
        times = made.curvature(scores, *given)
        return _conjugate_gradients(lambda v: times(v.reshape(theta.shape)).ravel() + 1e-12 * v, -gradient)

    x, steps = theta.ravel(), 0
    value, gradient = at(x)
    while np.abs(gradient).max() > tol:
        if steps == max_iter:
            return x.reshape(theta.shape), steps, False
        along = direction(x, gradient)
        found = descend_convex(at, x, value, gradient, along)
        if found is None:
            break
        length, lower, gradient = found
        x, steps = x + length * along, steps + 1
        if value - lower <= 1e-16 * max(1.0, abs(lower)):
            break
        value = lower
    return x.reshape(theta.shape), max(1, steps), True


def _conjugate_gradients(curve: Callable[[Array], Array], right: Array) -> Array:
    """Solve H x = right for a positive definite H given by its products."""
    x, residual = np.zeros_like(right), right.copy()
    direction, size = residual.copy(), float(residual @ residual)
    goal = 1e-12 * size
    for _ in range(_MOST_PRODUCTS):
        image = curve(direction)
        bent = float(direction @ image)
        if bent <= 0:
            break
        x += (size / bent) * direction
        residual -= (size / bent) * image
        following = float(residual @ residual)
        if following <= goal:
            break
        direction = residual + (following / size) * direction
        size = following
    return x
