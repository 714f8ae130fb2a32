"""Layers that act otherwise in training: dropout of single elements and of whole channels."""

from __future__ import annotations

from typing import Any, Literal, final

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

ScaleIn = Literal["training", "inference"]


class Dropping(Module):
    """What Dropout and SpatialDropout share: the probability, which half of a call scales, the draw."""

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
        """Return x with what the mask drops set to 0 in training, and scaled where it is to be."""
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

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        return {"drop_probability": self.drop_probability, "scale_in": self.scale_in}

    def account(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: nothing (or a product) at inference, a choice per element in training."""
        return LayerCost(flops=count(output))

    def label(self) -> str:
        """Return ``Dropout(0.5)``."""
        late = ", scaled in inference" if self.scale_in == "inference" else ""
        return f"{type(self).__name__}({self.drop_probability:g}{late})"


@final
class Dropout(Dropping):
    """In training each element is 0 with ``drop_probability`` p, else x/(1 − p); in inference x (ENS-06 … ENS-10).

    The notes call both the probability to drop and the one to keep p (X-05): here each has its name, give one of
    them. ``scale_in="training"`` divides by the probability to keep in training ("inverted" dropout, ENS-08);
    ``"inference"`` leaves training as it is and multiplies by it in inference ("standard", ENS-06). Both have the
    same expectation. The elements dropped depend on (seed, step) and on the place of the layer in the forward pass
    alone; the gradient passes through the same mask. Source: Srivastava et al. 2014.

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
        """Return x with elements dropped in training; raises ArgumentError there without a seed."""
        return self.dropped(x, x.shape)


@final
class SpatialDropout(Dropping):
    """Dropout of whole channels: in training each channel of each example is 0 with ``drop_probability``, else scaled.

    Neighbouring pixels are alike, so dropping single ones hides little. The input is (N, *spatial, C) with
    ``n_axes`` spatial axes, or one example; names and scaling are those of ``Dropout``. Source: Tompson et al. 2015.

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
        """Return x with channels dropped in training; raises ArgumentError there without a seed."""
        batch, single = as_batch(x, self.n_axes, "SpatialDropout")
        mask_shape = (batch.shape[0], *(1,) * self.n_axes, batch.shape[-1])
        return without_batch(self.dropped(batch, mask_shape), single)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        return {**super().arguments(), "n_axes": self.n_axes}

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1
