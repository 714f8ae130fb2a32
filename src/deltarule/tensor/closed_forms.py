"""Derivatives of tensors that are no gradients, in closed form: Jacobians, Hessians, slices of a 3-tensor, identities.

They are printed with their proof: every formula is evaluated at random points by the reference backend.
"""

from __future__ import annotations

from collections.abc import Mapping

from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.results import identities, jacobians
from deltarule.explain.results import slices as three_tensors
from deltarule.explain.results.identities import Identity
from deltarule.explain.results.jacobians import MatrixDerivative
from deltarule.explain.results.slices import Slices
from deltarule.graph.node import Node
from deltarule.tensor.explain import known_node, node_names, run, source, unchecked
from deltarule.tensor.tensor import Tensor


def derive_jacobian(
    y: Tensor,
    x: Tensor,
    *,
    layout: Layout = "denominator",
    names: Mapping[Tensor, str] | None = None,
    seed: int = 0,
) -> MatrixDerivative:
    """Return ∂y/∂x of two vectors in closed form, proved; ``.at({x: [1, 2]})`` gives its numbers.

    In denominator layout it has the shape (n_x, n_y), in numerator layout (n_y, n_x). ``dr.jacobian`` computes it.

    Raises:
        ArgumentError: no vectors, y does not depend on x, or no closed form is known.

    >>> from deltarule.nn import softmax
    >>> from deltarule.tensor.tensor import symbol
    >>> x = symbol("x", (3,))
    >>> s = softmax(x)
    >>> derive_jacobian(s, x, names={s: "S"}).formula
    'diag(S) − SSᵀ'
    """
    (of, labels), by = (
        unchecked(_value(y, "derive_jacobian"), node_names(names)),
        known_node(x),
    )
    return jacobians.jacobian(
        of, by, layout=layout, names=labels, evaluate=run, draw=source(seed)
    )


def derive_hessian(
    loss: Tensor, x: Tensor, *, names: Mapping[Tensor, str] | None = None, seed: int = 0
) -> MatrixDerivative:
    """Return ∂²loss/∂x² of a scalar by a vector in closed form, proved. ``dr.hessian`` computes it.

    Raises:
        ArgumentError: x is no vector that the loss depends on, or no closed form is known.
        GraphError: the loss is not a scalar.

    >>> from deltarule.tensor.tensor import symbol
    >>> X, w, y = symbol("X", (5, 3)), symbol("w", (3,)), symbol("y", (5,))
    >>> e = X @ w - y
    >>> derive_hessian(0.5 * (e * e).sum(), w).formula
    'XᵀX'
    """
    of, labels = unchecked(_value(loss, "derive_hessian"), node_names(names))
    return jacobians.hessian(
        of, known_node(x), names=labels, evaluate=run, draw=source(seed)
    )


def derive_slices(
    y: Tensor, W: Tensor, *, names: Mapping[Tensor, str] | None = None, seed: int = 0
) -> Slices:
    """Return ∂y/∂W of a vector by a matrix, a 3-tensor that is never built: its slices ∂yₖ/∂W, proved.

    Where y is a product with W, the last line says what one entry of W does, with the basis matrix Eₖⱼ that is 1 at
    (k, j) and 0 elsewhere. ``.at({x: [1, 2, 3]})`` gives the slices as arrays (LA-21, LA-22).

    Raises:
        ArgumentError: y is no vector of known size that depends on the matrix.

    >>> from deltarule.tensor.tensor import symbol
    >>> W, x = symbol("W", (3, 2)), symbol("x", (3,))
    >>> derive_slices(x @ W, W).lines
    ('∂y₁/∂W = xe₁ᵀ', '∂y₂/∂W = xe₂ᵀ', '∂y/∂Wₖⱼ = xₖ eⱼ = Eₖⱼᵀx')
    """
    (of, labels), by = (
        unchecked(_value(y, "derive_slices"), node_names(names)),
        known_node(W),
    )
    return three_tensors.slices(of, by, names=labels, evaluate=run, draw=source(seed))


def derive_identity(name: str, *, seed: int = 0) -> Identity:
    """Return a derivation of the textbook that is no gradient, step by step, proved.

    Names: log_sum_exp, nesterov, momentum, weight_decay, initialisation, evidence_bound, bias_and_variance, welford,
    newton.

    Raises:
        ArgumentError: no such name.

    >>> print(derive_identity("weight_decay").given)
    gradient descent on L + ½α‖θ‖²
    """
    return identities.identity(name, run, source(seed))


def _value(tensor: Tensor, where: str) -> Node:
    return known_node(tensor, where, "a tensor")
