"""Reductions along axes, as methods of tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from deltarule.arguments import check_calls
from deltarule.flags import checks_flags
from deltarule.graph import algebra, build
from deltarule.graph.node import Node

__all__ = ["Axes", "Reductions"]

Axes = int | Sequence[int] | None


class Reductions:
    """The reductions of ``Tensor``: sums, means, extrema, cumulative sums and norms along axes.

    >>> from deltarule.tensor.tensor import tensor
    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0).tolist()
    [4.0, 6.0]
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, node: Node) -> None: ...

    @property
    @abstractmethod
    def node(self) -> Node:
        """The node of this tensor in the graph."""

    @checks_flags
    def sum(self, axis: Axes = None, keepdims: bool = False) -> Self:
        """Return the sum over axes (all by default).

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 2], [3, 4]]).sum(axis=1, keepdims=True).tolist()
        [[3], [7]]
        """
        return type(self)(build.sum_over(self.node, axis, keepdims))

    @checks_flags
    def mean(self, axis: Axes = None, keepdims: bool = False) -> Self:
        """Return the arithmetic mean over axes (all by default).

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1.0, 2.0], [3.0, 6.0]]).mean(axis=0).tolist()
        [2.0, 4.0]
        """
        return type(self)(build.mean(self.node, axis, keepdims))

    @checks_flags
    def var(
        self, axis: Axes = None, keepdims: bool = False, correction: int = 0
    ) -> Self:
        """Return the variance Σ(x − mean)² / (n − correction) over axes.

        >>> from deltarule.tensor.tensor import tensor
        >>> x = tensor([1.0, 2.0, 3.0, 6.0])
        >>> x.var().item(), round(x.var(correction=1).item(), 4)
        (3.5, 4.6667)
        """
        return type(self)(algebra.variance(self.node, axis, keepdims, correction))

    @checks_flags
    def std(
        self, axis: Axes = None, keepdims: bool = False, correction: int = 0
    ) -> Self:
        """Return the standard deviation, the square root of the variance.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([1.0, 5.0]).std().item()
        2.0
        """
        return type(self)(build.sqrt(self.var(axis, keepdims, correction).node))

    @checks_flags
    def max(self, axis: Axes = None, keepdims: bool = False) -> Self:
        """Return the maximum over axes; at a tie the gradient goes to the first.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 5], [4, 2]]).max(axis=1).tolist()
        [5, 4]
        """
        return type(self)(build.maximum_over(self.node, axis, keepdims))

    @checks_flags
    def min(self, axis: Axes = None, keepdims: bool = False) -> Self:
        """Return the minimum over axes; at a tie the gradient goes to the first.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 5], [4, 2]]).min(axis=0).tolist()
        [1, 2]
        """
        return type(self)(algebra.minimum_over(self.node, axis, keepdims))

    @checks_flags
    def prod(self, axis: int | None = None, keepdims: bool = False) -> Self:
        """Return the product along an axis (or of all elements).

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 2], [3, 4]]).prod(axis=1).tolist()
        [2, 12]
        """
        if axis is None:
            return type(self)(algebra.product_over(build.reshape(self.node, (-1,)), 0))
        return type(self)(algebra.product_over(self.node, axis, keepdims))

    def argmax(self, axis: int | None = None) -> Self:
        """Return the index of the first maximum (of the flattened tensor without ``axis``).

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 5, 5], [4, 2, 0]]).argmax(axis=1).tolist()
        [1, 0]
        """
        node = build.reshape(self.node, (-1,)) if axis is None else self.node
        return type(self)(build.argmax(node, -1 if axis is None else axis))

    def argmin(self, axis: int | None = None) -> Self:
        """Return the index of the first minimum (of the flattened tensor without ``axis``).

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 5], [4, 2]]).argmin().item()
        0
        """
        node = build.reshape(self.node, (-1,)) if axis is None else self.node
        return type(self)(algebra.argmin(node, -1 if axis is None else axis))

    def cumsum(self, axis: int) -> Self:
        """Return the cumulative sum along an axis.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([1, 2, 3]).cumsum(0).tolist()
        [1, 3, 6]
        """
        return type(self)(build.cumulative_sum(self.node, axis))

    def cumprod(self, axis: int) -> Self:
        """Return the cumulative product along an axis.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([1, 2, 3]).cumprod(0).tolist()
        [1, 2, 6]
        """
        return type(self)(algebra.cumulative_product(self.node, axis))

    def clip(self, low: float | None = None, high: float | None = None) -> Self:
        """Return the values limited to [low, high]; None leaves a side open.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([-2, 0, 5]).clip(-1, 3).tolist()
        [-1, 0, 3]
        """
        node = self.node if low is None else build.maximum(self.node, low)
        return type(self)(node if high is None else build.minimum(node, high))

    @checks_flags
    def norm(
        self, p: float | str = 2, axis: Axes = None, keepdims: bool = False
    ) -> Self:
        """Return (Σ|x|ᵖ)^(1/p) over axes; p may be infinity or "fro".

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[3.0, 4.0], [0.0, 2.0]]).norm(axis=1).tolist()
        [5.0, 2.0]
        """
        return type(self)(algebra.norm(self.node, p, axis, keepdims))

    def trace(self) -> Self:
        """Return the sum of the main diagonal.

        >>> from deltarule.tensor.tensor import tensor
        >>> tensor([[1, 2], [3, 4]]).trace().item()
        5
        """
        return type(self)(algebra.trace(self.node))


check_calls(__name__)
