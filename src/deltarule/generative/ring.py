"""A ring from a Gaussian: any distribution is some map of normal numbers (VI-05, THY-17)."""

from __future__ import annotations

from deltarule.errors import ArgumentError
from deltarule.tensor.functional import TensorLike, as_tensor
from deltarule.tensor.tensor import Tensor


def ring_transform(z: TensorLike, alpha: float = 10.0) -> Tensor:
    """Return g(z) = z/α + z/‖z‖ for points z (…, k) of 𝒩(0, σ²I): a ring of radius 1 + ‖z‖/α.

    ``alpha`` > 0 shrinks the Gaussian around the ring. z = 0, which has probability 0, gives NaN: it has no direction.

    >>> ring_transform([3.0, 4.0]).numpy().round(3).tolist()  # C-VI-10
    [0.8999999761581421, 1.2000000476837158]
    """
    if not alpha > 0:
        raise ArgumentError(
            "ring_transform alpha", expected="a number > 0", got=repr(alpha)
        )
    points = as_tensor(z)
    return points / alpha + points / points.norm(axis=-1, keepdims=True)
