"""Embedding: a learned vector for each word."""

from __future__ import annotations

from typing import Any, final

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import DTypeError
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape
from deltarule.tensor.functional import take
from deltarule.tensor.tensor import Tensor

__all__ = ["Embedding"]


@final
class Embedding(Module):
    """Row lookup in a table: a linear layer on one-hot vectors, without their zeros (Bengio et al. 2003).

    Integers (…) in 0 … num_embeddings − 1 become vectors (…, embedding_dim); ``weight`` is
    (num_embeddings, embedding_dim). Only rows that are looked up get a gradient; a word that
    occurs several times gets the sum.

    Args:
        num_embeddings: Size of the vocabulary.
        embedding_dim: Size of a vector.
        init: Initialiser of the table; "auto" is N(0, 1).
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> layer = Embedding(3, 2)
    >>> layer.weight.assign([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> layer([2, 0]).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """

    weight: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        init: str | dict[str, Any] | Initializer = "auto",
        seed: int | None = None,
    ) -> None:
        self.num_embeddings = whole_number(num_embeddings, "num_embeddings", 1)
        self.embedding_dim = whole_number(embedding_dim, "embedding_dim", 1)
        self.init = initialisers.get(init) or initialisers.normal(std=1.0)
        self._own.seed = seed
        self.declare("weight", (num_embeddings, embedding_dim), self.init)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows; raises DTypeError unless x holds integers."""
        if not x.dtype.is_integer:
            raise DTypeError(
                "Embedding",
                expected="whole numbers",
                got=f"elements of type {x.dtype}",
                hint="Pass the indices of words as an integer array, for example X.astype(int).",
            )
        return take(self.weight, x)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: a table, no operations."""
        return LayerCost(parameters=f"{self.num_embeddings}·{self.embedding_dim}")

    def input_dtype(self) -> DType:
        """Integers."""
        return dtypes.INT64

    def label(self) -> str:
        """Return ``Embedding(1000→16)``."""
        return f"Embedding({self.num_embeddings}→{self.embedding_dim})"
