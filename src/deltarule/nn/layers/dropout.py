"""Dropout of single elements and of whole channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, final

from deltarule.errors import ArgumentError
from deltarule.nn.check import probability
from deltarule.nn.context import require
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.spatial import as_batch, without_batch
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count
from deltarule.tensor.functional import where
from deltarule.tensor.random import random_uniform
from deltarule.tensor.tensor import Tensor

__all__ = ["Dropout", "SpatialDropout"]

ScaleIn = Literal["training", "inference"]


class Dropping(Module):
    """Base class of ``Dropout`` and ``SpatialDropout``: the probability, the scaling and the random mask.

    >>> from deltarule.tensor.functional import ones
    >>> Dropout(0.5)(ones((2, 3))).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    argument_attributes: ClassVar[Mapping[str, str | None]] = {"keep_probability": None}

    def __init__(
        self,
        drop_probability: float | None = None,
        *,
        keep_probability: float | None = None,
        scale_in: ScaleIn = "training",
    ) -> None:
        if drop_probability is not None and keep_probability is not None:
            raise ArgumentError(
                type(self).__name__,
                expected="drop_probability or keep_probability",
                got=f"both, {drop_probability} and {keep_probability}",
            )
        if keep_probability is not None:
            kept = 1 - probability(1 - keep_probability, "1 − keep_probability")
        else:
            dropped = 0.5 if drop_probability is None else drop_probability
            kept = 1 - probability(dropped, "drop_probability")
        self.keep_probability = kept
        self.drop_probability = (
            1 - kept if drop_probability is None else float(drop_probability)
        )
        if scale_in not in {"training", "inference"}:
            raise ArgumentError(
                "scale_in", expected="'training' or 'inference'", got=repr(scale_in)
            )
        self.scale_in = scale_in

    def dropped(self, x: Tensor, mask_shape: Shape) -> Tensor:
        """Return x with the masked elements set to 0 in training, scaled as ``scale_in`` says."""
        name = type(self).__name__
        context = require(name)
        if self.drop_probability == 0:
            return x
        if context.mode == "inference":
            return x * self.keep_probability if self.scale_in == "inference" else x
        if self.keep_probability == 0:  # nothing is left to scale
            return where(False, x, 0.0)
        seed, step, stream = context.draw(name)
        kept = random_uniform(mask_shape, seed, step, stream) >= self.drop_probability
        return where(
            kept, x / self.keep_probability if self.scale_in == "training" else x, 0.0
        )

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: nothing (or a product) at inference, a selection per element in training."""
        return LayerCost(flops=count(output))

    def label(self) -> str:
        """Return ``Dropout(0.5)``."""
        late = ", scaled in inference" if self.scale_in == "inference" else ""
        return f"{type(self).__name__}({self.drop_probability:g}{late})"


@final
class Dropout(Dropping):
    """In training each element is 0 with probability p, else x/(1 − p); at inference x (Srivastava et al. 2014).

    The elements dropped depend only on (seed, step) and on the position of the layer in
    the forward pass; the gradient passes through the same mask.

    Args:
        drop_probability: Probability to drop an element, 0.5 by default. Some texts call the probability to keep p
            instead: give either of them by its name.
        keep_probability: Probability to keep an element.
        scale_in: "training" divides by the keep probability in training ("inverted" dropout); "inference" multiplies
            by it at inference, as in the original paper. Both have the same expectation.

    >>> from deltarule.tensor.functional import ones
    >>> layer = Dropout(drop_probability=0.5)
    >>> layer(ones((4,))).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> sorted(set(layer(ones((100,)), mode="training", seed=0).tolist()))
    [0.0, 2.0]
    >>> Dropout(keep_probability=0.5, scale_in="inference")(ones((2,))).tolist()
    [0.5, 0.5]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x with elements dropped in training; raises ArgumentError in training without a seed."""
        return self.dropped(x, x.shape)


@final
class SpatialDropout(Dropping):
    """Dropout of whole channels: in training each channel of each example is dropped or scaled (Tompson et al. 2015).

    Adjacent pixels are strongly correlated, so dropping single ones removes little
    information. The input is (N, *spatial, C), or one example.

    Args:
        drop_probability: Probability to drop a channel, 0.5 by default.
        keep_probability: Probability to keep a channel; give either of them.
        scale_in: "training" or "inference", as in ``Dropout``.
        n_axes: Number of spatial axes.

    >>> from deltarule.tensor.functional import ones
    >>> image = SpatialDropout(0.5)(ones((4, 4, 8)), mode="training", seed=1)
    >>> sorted({(float(c.min().item()), float(c.max().item())) for c in image.permute(2, 0, 1)})
    [(0.0, 0.0), (2.0, 2.0)]
    """

    def __init__(
        self,
        drop_probability: float | None = None,
        *,
        keep_probability: float | None = None,
        scale_in: ScaleIn = "training",
        n_axes: int = 2,
    ) -> None:
        super().__init__(
            drop_probability, keep_probability=keep_probability, scale_in=scale_in
        )
        self.n_axes = n_axes

    def forward(self, x: Tensor) -> Tensor:
        """Return x with channels dropped in training; raises ArgumentError in training without a seed."""
        batch, single = as_batch(x, self.n_axes, "SpatialDropout")
        mask_shape = (batch.shape[0], *(1,) * self.n_axes, batch.shape[-1])
        return without_batch(self.dropped(batch, mask_shape), single)

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1
