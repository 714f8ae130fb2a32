"""A linear layer with a sparse connection pattern."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import flag
from deltarule.graph import build
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape, show
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["MaskedLinear"]

Edges = npt.NDArray[np.int64]


@final
class MaskedLinear(Module):
    """z = Wx + b with W_ij = 0 where mask_ij = 0: only the edges of the mask have weights.

    An absent edge is not a parameter: it stays exactly 0, has no gradient, and is
    neither counted, penalised nor decayed. ``weight`` holds the (n_edges,) existing
    weights, row by row of W, or W itself if no edge is absent; ``bias`` the biases of
    the units that have one. ``matrix()`` returns W (out_features, in_features) and
    ``biases()`` b (out_features,), zeros included; ``assign_matrix`` assigns W. Initial
    values are those of ``Linear``, with the weights of each unit scaled by
    √(in_features/edges), so that the variance is right for its number of edges.

    Args:
        mask: A matrix (out_features, in_features), true where there is an edge.
        bias: Whether the units have a bias: for all, or one value each.
        init: Initialiser of the weights; "auto" is He before a rectifier and Xavier elsewhere.
        bias_init: Initialiser of the biases.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> layer = MaskedLinear([[1, 1, 0], [0, 0, 1]])
    >>> layer.assign_matrix([[2, 3, 0], [0, 0, 4]])
    >>> layer([1.0, 1.0, 1.0]).tolist(), layer.n_parameters
    ([5.0, 4.0], 5)
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        mask: Any,
        bias: bool | Iterable[bool] = True,
        *,
        init: str | dict[str, Any] | Initializer = "auto",
        bias_init: str | dict[str, Any] | Initializer = "zeros",
        seed: int | None = None,
    ) -> None:
        edges = np.asarray(mask)
        if edges.ndim != 2 or not edges.any() or not np.isin(edges, (0, 1)).all():
            raise ArgumentError(
                "MaskedLinear mask",
                expected="a matrix (out, in) of 0 and 1 with at least one edge",
                got=f"an array of shape {edges.shape} with {int(np.count_nonzero(edges))} edges",
            )
        self.mask: npt.NDArray[np.bool_] = edges.astype(bool)
        self.out_features, self.in_features = self.mask.shape
        has_bias = self._biases(bias)
        self.has_bias = tuple(has_bias)
        self.init = initialisers.get(init)
        self.bias_init = initialisers.get(bias_init) or initialisers.zeros()
        self._own.seed = seed
        self._edges = tensor(np.flatnonzero(self.mask))
        self._biased = tensor(np.flatnonzero(self.has_bias))
        if self.mask.all():
            self.declare("weight", self.mask.shape, self.init)
        else:
            self.declare(
                "weight",
                (self.n_edges,),
                self.init,
                drawn=self.mask.shape,
                place=self._on_edges,
            )
        if any(self.has_bias):
            self.declare("bias", (sum(self.has_bias),), self.bias_init)

    @classmethod
    def from_edges(
        cls,
        in_features: int,
        out_features: int,
        edges: Iterable[tuple[int, int]],
        bias: bool | Iterable[bool] = True,
        *,
        init: str | dict[str, Any] | Initializer = "auto",
        bias_init: str | dict[str, Any] | Initializer = "zeros",
        seed: int | None = None,
    ) -> MaskedLinear:
        """Return the layer with the given edges (input, output), both numbered from 0.

        Args:
            in_features: Number of inputs.
            out_features: Number of outputs.
            edges: Pairs (input, output).
            bias: Whether the units have a bias: for all, or one value each.
            init: Initialiser of the weights.
            bias_init: Initialiser of the biases.
            seed: Seed of the initial values.

        >>> MaskedLinear.from_edges(3, 2, [(0, 0), (2, 1)])
        MaskedLinear(3→2, 2 edges)
        """
        mask = np.zeros(
            (
                whole_number(out_features, "out_features", 1),
                whole_number(in_features, "in_features", 1),
            )
        )
        for source, target in edges:
            if not (0 <= source < in_features and 0 <= target < out_features):
                raise ArgumentError(
                    "from_edges",
                    expected=f"edges from 0…{in_features - 1} to 0…{out_features - 1}",
                    got=f"{source} → {target}",
                )
            mask[target, source] = 1
        return cls(mask, bias, init=init, bias_init=bias_init, seed=seed)

    @property
    def n_edges(self) -> int:
        """Number of edges, one weight each."""
        return int(self.mask.sum())

    def _biases(self, bias: bool | Iterable[bool]) -> list[bool]:
        """Return whether each unit has a bias."""
        if isinstance(bias, (str, bytes)) or not isinstance(bias, Iterable):
            return [flag(bias, "MaskedLinear bias")] * self.out_features
        has_bias = [flag(one, "MaskedLinear bias") for one in bias]
        if len(has_bias) != self.out_features:
            raise ArgumentError(
                "bias",
                expected=f"true or false for {self.out_features} units",
                got=str(len(has_bias)),
            )
        return has_bias

    def _on_edges(self, drawn: Array) -> Array:
        """Select the edges of a dense matrix, scaled so that each unit's variance fits its number of edges."""
        degrees = np.maximum(self.mask.sum(axis=1, keepdims=True), 1)
        scaled = self.init is None or isinstance(
            self.init, initialisers.VarianceScaling
        )
        values = drawn * np.sqrt(self.in_features / degrees) if scaled else drawn
        return np.asarray(values[self.mask])

    def matrix(self) -> Tensor:
        """Return W (out_features, in_features) with exact zeros for absent edges.

        >>> layer = MaskedLinear([[1, 0], [1, 1]], init="zeros")
        >>> layer.matrix().tolist()
        [[0.0, 0.0], [0.0, 0.0]]
        """
        if self.mask.all():
            return self.weight
        flat = build.scatter_add(self._edges.node, self.weight.node, 0, self.mask.size)
        return Tensor(build.reshape(flat, self.mask.shape))

    def as_matrix(self, name: str, weight: Tensor) -> Tensor:
        """Return W for ``weight``."""
        return self.matrix() if name == "weight" else weight

    def biases(self) -> Tensor | None:
        """Return b (out_features,) with exact zeros for units without a bias; None if no unit has one.

        >>> MaskedLinear([[1, 0], [1, 1]], bias=[True, False]).biases().tolist()
        [0.0, 0.0]
        """
        if not any(self.has_bias):
            return None
        if all(self.has_bias):
            return self.bias
        return Tensor(
            build.scatter_add(self._biased.node, self.bias.node, 0, self.out_features)
        )

    def assign_matrix(self, values: Any) -> None:
        """Assign the weights from a matrix (out, in); raises ArgumentError unless it is 0 where there is no edge.

        >>> layer = MaskedLinear([[1, 0], [1, 1]])
        >>> layer.assign_matrix([[2.0, 0.0], [3.0, 4.0]])
        >>> layer.weight.tolist()
        [2.0, 3.0, 4.0]
        """
        matrix = np.asarray(values)
        misfit = matrix.shape != self.mask.shape
        if misfit or np.any(matrix[~self.mask]):
            got = f"shape {matrix.shape}" if misfit else "nonzero entries there"
            raise ArgumentError(
                "assign_matrix",
                expected=f"a matrix {show(self.mask.shape)} with zeros where there is no edge",
                got=got,
            )
        self.weight.assign(matrix if self.mask.all() else matrix[self.mask])

    def forward(self, x: Tensor) -> Tensor:
        """Return Wx + b; raises ShapeError if the last axis is not in_features."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                "MaskedLinear",
                expected=f"{self.in_features} features (last axis)",
                got=show(x.shape),
            )
        matrix, shift = self.matrix(), self.biases()
        product = matrix @ x if x.ndim == 1 else x @ matrix.T
        return product if shift is None else product + shift

    def arguments(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data."""
        return {
            "mask": self.mask.astype(int).tolist(),
            "bias": self.has_bias[0]
            if len(set(self.has_bias)) == 1
            else list(self.has_bias),
            "init": "auto" if self.init is None else self.init.config(),
            "bias_init": self.bias_init.config(),
        }

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: one parameter per edge and per bias, and flops for existing edges."""
        rows = 1
        for size in output[:-1]:
            rows *= size
        n_biases = sum(self.has_bias)
        units = int(self.mask.any(axis=1).sum())
        return LayerCost(
            parameters=f"{self.n_edges} + {n_biases}"
            if n_biases
            else str(self.n_edges),
            flops=rows * (2 * self.n_edges - units + n_biases),
        )

    def example_rank(self) -> int:
        """One example is a vector."""
        return 1

    def label(self) -> str:
        """Return ``MaskedLinear(3→2, 4 edges)``."""
        return f"MaskedLinear({self.in_features}→{self.out_features}, {self.n_edges} edges)"
