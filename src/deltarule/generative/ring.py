"""A deterministic map of normal points to a ring: an example of a decoder (Doersch 2016, figure 2)."""

from __future__ import annotations

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.tensor.functional import TensorLike, as_tensor
from deltarule.tensor.tensor import Tensor

__all__ = ["ring_transform"]


def ring_transform(z: TensorLike, alpha: float = 10.0) -> Tensor:
    """Return g(z) = z/α + z/‖z‖ for points z (…, k) of 𝒩(0, σ²I): a ring of radius 1 + ‖z‖/α.

    The larger ``alpha`` > 0, the thinner the ring. At z = 0, which has probability 0 and no direction, g is NaN.

    >>> ring_transform([3.0, 4.0]).numpy().round(3).tolist()
    [0.8999999761581421, 1.2000000476837158]
    """
    if not alpha > 0:
        raise ArgumentError(
            "ring_transform alpha", expected="a number > 0", got=repr(alpha)
        )
    points = as_tensor(z)
    return points / alpha + points / points.norm(axis=-1, keepdims=True)


check_calls(__name__)
