"""The dense layer with edges left out: only the edges that are there have weights."""

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

Edges = npt.NDArray[np.int64]


@final
class MaskedLinear(Module):
    """z = Wx + b where only the edges of a mask have weights: W_ij = 0 where mask_ij = 0 (NN-15).

    An absent edge is no parameter: it stays exactly 0, gets no gradient, and is neither counted, penalised nor
    decayed. ``weight`` holds the (n_edges,) weights that exist, row by row of W, or W itself where no edge is
    absent; ``bias`` those of the units that have one. ``matrix()`` gives W (out_features, in_features) and
    ``biases()`` b (out_features,), zeros included; ``assign_matrix`` takes W. First values: as for a dense layer,
    but a unit of fewer edges gets weights larger by √(in_features/edges), so that its variance is right for the
    edges that it has.

    ``mask`` is (out_features, in_features), true where there is an edge; ``bias`` is for all units or one each.

    >>> from deltarule.tensor.tensor import tensor
    >>> layer = MaskedLinear([[1, 1, 0], [0, 0, 1]])
    >>> layer.assign_matrix([[2, 3, 0], [0, 0, 4]])
    >>> layer(tensor([1.0, 1.0, 1.0])).tolist(), layer.n_parameters
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
        **options: Any,
    ) -> MaskedLinear:
        """Return the layer with the edges (input, output), each numbered from 0."""
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
        return cls(mask, **options)

    @property
    def n_edges(self) -> int:
        """Number of edges, each a weight."""
        return int(self.mask.sum())

    def _biases(self, bias: bool | Iterable[bool]) -> list[bool]:
        """Return which units have a bias."""
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
        """Take the edges of a dense matrix; a unit's variance is that of the edges that it has."""
        degrees = np.maximum(self.mask.sum(axis=1, keepdims=True), 1)
        scaled = self.init is None or isinstance(
            self.init, initialisers.VarianceScaling
        )
        values = drawn * np.sqrt(self.in_features / degrees) if scaled else drawn
        return np.asarray(values[self.mask])

    def matrix(self) -> Tensor:
        """Return W (out_features, in_features) with exact zeros for absent edges."""
        if self.mask.all():
            return self.weight
        flat = build.scatter_add(self._edges.node, self.weight.node, 0, self.mask.size)
        return Tensor(build.reshape(flat, self.mask.shape))

    def as_matrix(self, name: str, weight: Tensor) -> Tensor:
        """Return W for its weights."""
        return self.matrix() if name == "weight" else weight

    def biases(self) -> Tensor | None:
        """Return b (out_features,) with exact zeros for units without one; None if no unit has one."""
        if not any(self.has_bias):
            return None
        if all(self.has_bias):
            return self.bias
        return Tensor(
            build.scatter_add(self._biased.node, self.bias.node, 0, self.out_features)
        )

    def assign_matrix(self, values: Any) -> None:
        """Take the weights from a matrix (out, in); raises ArgumentError unless it is 0 where there is no edge."""
        matrix = np.asarray(values)
        if matrix.shape != self.mask.shape or np.any(matrix[~self.mask]):
            raise ArgumentError(
                "assign_matrix",
                expected=f"a matrix {show(self.mask.shape)} with zeros where there is no edge",
                got=f"shape {matrix.shape}"
                if matrix.shape != self.mask.shape
                else "other numbers there",
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
        """Return the arguments that construct this layer again."""
        return {
            "mask": self.mask.astype(int).tolist(),
            "bias": self.has_bias[0]
            if len(set(self.has_bias)) == 1
            else list(self.has_bias),
            "init": "auto" if self.init is None else self.init.config(),
            "bias_init": self.bias_init.config(),
        }

    def account(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: a parameter for each edge and each bias; flops as far as edges go."""
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
