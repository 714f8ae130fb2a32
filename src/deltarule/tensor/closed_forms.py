"""Closed-form derivatives other than gradients: Jacobians, Hessians, slices of a 3-tensor, and identities.

Every formula is verified: it is evaluated at random points by the reference backend and compared.
"""

from __future__ import annotations

from collections.abc import Mapping

from deltarule.arguments import check_calls
from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.results import identities, jacobians
from deltarule.explain.results import slices as three_tensors
from deltarule.explain.results.identities import Identity
from deltarule.explain.results.jacobians import MatrixDerivative
from deltarule.explain.results.slices import Slices
from deltarule.graph.node import Node
from deltarule.tensor.explain import (
    Prepared,
    node_names,
    original_node,
    value_sampler,
    without_target_checks,
)
from deltarule.tensor.tensor import Tensor

__all__ = ["derive_hessian", "derive_identity", "derive_jacobian", "derive_slices"]


def derive_jacobian(
    y: Tensor,
    x: Tensor,
    *,
    layout: Layout = "denominator",
    names: Mapping[Tensor, str] | None = None,
    seed: int = 0,
) -> MatrixDerivative:
    """Return the Jacobian ∂y/∂x of two vectors in closed form, verified numerically.

    It has the shape (n_x, n_y) in denominator layout and (n_y, n_x) in numerator layout.
    ``.at({x: [1, 2]})`` evaluates the formula; ``dr.jacobian`` computes the same numbers.

    Args:
        y: A vector of known size.
        x: A vector that y depends on.
        layout: "denominator" (∂yⱼ/∂xᵢ in row i) or "numerator" (its transpose).
        names: Names of tensors in the formula, e.g. ``{s: "S"}``.
        seed: Seed of the random points of the verification.

    Raises:
        ArgumentError: y or x is not a vector, y does not depend on x, or no closed form is known.

    >>> from deltarule.nn import softmax
    >>> from deltarule.tensor.tensor import symbol
    >>> x = symbol("x", (3,))
    >>> s = softmax(x)
    >>> derive_jacobian(s, x, names={s: "S"}).formula
    'diag(S) − SSᵀ'
    """
    of, labels = _named_node(y, names, "derive_jacobian")
    by = original_node(x)
    return jacobians.jacobian(
        of,
        by,
        layout=layout,
        names=labels,
        evaluate=Prepared(),
        draw=value_sampler(seed),
    )


def derive_hessian(
    loss: Tensor, x: Tensor, *, names: Mapping[Tensor, str] | None = None, seed: int = 0
) -> MatrixDerivative:
    """Return the Hessian ∂²loss/∂x² of a scalar in closed form, verified numerically.

    ``.at({x: [1, 2]})`` evaluates the formula; ``dr.hessian`` computes the same numbers.

    Args:
        loss: A scalar.
        x: A vector that the loss depends on.
        names: Names of tensors in the formula.
        seed: Seed of the random points of the verification.

    Raises:
        ArgumentError: x is not a vector that the loss depends on, or no closed form is known.
        GraphError: the loss is not a scalar.

    >>> from deltarule.tensor.tensor import symbol
    >>> X, w, y = symbol("X", (5, 3)), symbol("w", (3,)), symbol("y", (5,))
    >>> e = X @ w - y
    >>> derive_hessian(0.5 * (e * e).sum(), w).formula
    'XᵀX'
    """
    of, labels = _named_node(loss, names, "derive_hessian")
    by = original_node(x)
    return jacobians.hessian(
        of, by, names=labels, evaluate=Prepared(), draw=value_sampler(seed)
    )


def derive_slices(
    y: Tensor, W: Tensor, *, names: Mapping[Tensor, str] | None = None, seed: int = 0
) -> Slices:
    """Return the slices ∂yₖ/∂W of the 3-tensor ∂y/∂W (a vector by a matrix), verified numerically.

    The 3-tensor itself is never built. If y is a product with W, the last line is the derivative with respect to
    one entry of W, written with the single-entry matrix Eₖⱼ that is 1 at (k, j) and 0 elsewhere.
    ``.at({x: [1, 2, 3]})`` evaluates the slices.

    Args:
        y: A vector of known size.
        W: A matrix that y depends on.
        names: Names of tensors in the formulas.
        seed: Seed of the random points of the verification.

    Raises:
        ArgumentError: y is not a vector of known size that depends on the matrix.

    >>> from deltarule.tensor.tensor import symbol
    >>> W, x = symbol("W", (3, 2)), symbol("x", (3,))
    >>> derive_slices(x @ W, W).lines
    ('∂y₁/∂W = xe₁ᵀ', '∂y₂/∂W = xe₂ᵀ', '∂y/∂Wₖⱼ = xₖ eⱼ = Eₖⱼᵀx')
    """
    of, labels = _named_node(y, names, "derive_slices")
    by = original_node(W)
    return three_tensors.slices(
        of, by, names=labels, evaluate=Prepared(), draw=value_sampler(seed)
    )


def derive_identity(name: str, *, seed: int = 0) -> Identity:
    """Return a textbook derivation other than a gradient, step by step, verified numerically.

    Args:
        name: log_sum_exp, nesterov, momentum, weight_decay, initialisation, evidence_bound, bias_and_variance,
            welford or newton.
        seed: Seed of the random points of the verification.

    Raises:
        ArgumentError: there is no such name.

    >>> print(derive_identity("weight_decay").given)
    gradient descent on L + ½α‖θ‖²
    """
    return identities.identity(name, Prepared(), value_sampler(seed))


def _named_node(
    tensor: Tensor, names: Mapping[Tensor, str] | None, where: str
) -> tuple[Node, dict[Node, str]]:
    """Return the node to derive and the names of nodes, without checks of targets."""
    node = original_node(tensor, where, "a tensor")
    return without_target_checks(node, node_names(names))


check_calls(__name__)
