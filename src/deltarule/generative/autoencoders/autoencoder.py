"""Autoencoders: a code h = f(x) and a reconstruction g(h) ≈ x (Goodfellow et al. 2016, chapter 14).

What makes the code useful is a constraint: a small code (undercomplete), a penalty on the code (sparse, contractive)
or a corrupted input (denoising). Without any, an autoencoder may simply copy its input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from deltarule import nn, train
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import checks_flags
from deltarule.generative.autoencoders.saving import config_of
from deltarule.grad.reverse import gradients
from deltarule.losses import Loss
from deltarule.nn.context import require
from deltarule.optim import Optimizer
from deltarule.runtime.buffers import Array
from deltarule.shapes import show
from deltarule.tensor.functional import log, log1p
from deltarule.tensor.tensor import Tensor
from deltarule.train import Callback, History
from deltarule.train.monitoring.metrics import MetricLike
from deltarule.train.monitoring.progress import Progress
from deltarule.train.steps.epoch_data import Augment
from deltarule.train.steps.prepare import ClassWeight
from deltarule.train.steps.step import Regularizer

__all__ = ["Autoencoder", "CodePenalty", "Contractive", "KLSparsity", "L1Sparsity"]

# (code, input of the encoder) → scalar
CodePenalty = Callable[[Tensor, Tensor], Tensor]


@final
class Autoencoder(nn.Module):
    """Autoencoder g(f(x)) with optional penalties on the code and, in training, corruption of the input.

    Args:
        encoder: Module f from the inputs to codes.
        decoder: Module g from codes to reconstructions of the shape of the inputs.
        penalties: Functions of (code, input) such as ``L1Sparsity``, ``KLSparsity`` and ``Contractive``, which are
            added to the loss in training.
        corruption: Layer such as ``GaussianCorruption`` that is applied to the input in training; the target is the
            clean input (denoising autoencoder, Vincent et al. 2008).

    >>> from deltarule import nn
    >>> model = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4))
    >>> model.reconstruct(np.zeros((3, 4))).shape
    (3, 4)
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        penalties: Sequence[CodePenalty] = (),
        corruption: nn.Module | None = None,
    ) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.penalties = tuple(penalties)
        self.corruption = nn.Identity() if corruption is None else corruption

    def config(self) -> dict[str, Any] | None:
        """Return the configuration; None with penalties, and if a part is a class of your own."""
        parts = {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "corruption": self.corruption,
        }
        return None if self.penalties else config_of(self, {}, **parts)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction g(f(x)), of the shape of x."""
        given = self.corruption(x)
        code: Tensor = self.encoder(given)
        if require("Autoencoder").mode == "training":
            for penalty in self.penalties:
                nn.add_penalty(penalty(code, given))
        output: Tensor = self.decoder(code)
        if output.shape != x.shape:
            raise ShapeError(
                "Autoencoder",
                expected=f"a decoder that gives {show(x.shape)}",
                got=show(output.shape),
            )
        return output

    @checks_flags
    def fit(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        loss: str | Loss = "mean_squared_error",
        optimizer: str | Optimizer = "adam",
        epochs: int = 10,
        batch_size: int = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        metrics: Sequence[MetricLike] = (),
        augment: Augment = None,
        regularizers: Sequence[Regularizer] = (),
        callbacks: Sequence[Callback] = (),
        class_weight: ClassWeight = None,
        sample_weight: Any = None,
        seed: int = 0,
        shuffle: bool = True,
        device: str = "cpu",
        threads: int | None = None,
        verbose: int = 1,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> History:
        """Train on inputs alone: the targets are the inputs unless given.

        The options and their defaults are those of ``train.fit``, but for the loss.
        """
        return super().fit(
            inputs,
            inputs if targets is None else targets,
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=validation_data,
            validation_split=validation_split,
            metrics=metrics,
            augment=augment,
            regularizers=regularizers,
            callbacks=callbacks,
            class_weight=class_weight,
            sample_weight=sample_weight,
            seed=seed,
            shuffle=shuffle,
            device=device,
            threads=threads,
            verbose=verbose,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            progress=progress,
        )

    def encode(self, inputs: Any) -> Array:
        """Return the codes f(x) of all inputs.

        >>> model = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4))
        >>> model.encode(np.zeros((3, 4))).shape
        (3, 2)
        """
        return train.predict(self.encoder, inputs)

    def decode(self, codes: Any) -> Array:
        """Return the reconstructions g(h) of all codes.

        >>> model = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4))
        >>> model.decode(np.zeros((3, 2))).shape
        (3, 4)
        """
        return train.predict(self.decoder, codes)

    def reconstruct(self, inputs: Any) -> Array:
        """Return the reconstructions g(f(x)) of all inputs.

        >>> model = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4))
        >>> x = np.eye(4, dtype=np.float32)
        >>> np.allclose(model.reconstruct(x), model.decode(model.encode(x)))
        True
        """
        return train.predict(self, inputs)

    def traverse(self, example: Any, axis: int, values: Sequence[float]) -> Array:
        """Return reconstructions from the code of one example with one element set to each of the values.

        Args:
            example: One example.
            axis: Index of the element.
            values: Its values.

        >>> model = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4))
        >>> model.traverse(np.zeros(4), axis=0, values=[-1.0, 0.0, 1.0]).shape
        (3, 4)
        """
        code = self.encode(np.asarray(example)[None])
        codes = np.repeat(code, len(values), axis=0)
        codes[:, axis] = values
        return self.decode(codes)


@final
@dataclass(frozen=True)
class L1Sparsity:
    """L1 penalty on the code, λ·mean over examples of Σ|h|: the negative logarithm of a Laplace prior.

    >>> from deltarule.tensor.tensor import tensor
    >>> L1Sparsity(0.5)(tensor([[1.0, -2.0], [0.0, 1.0]]), tensor([0.0])).item()
    1.0
    """

    strength: float

    def __call__(self, code: Tensor, given: Tensor) -> Tensor:
        """Return the penalty."""
        del given
        return abs(code).sum() * (self.strength / int(code.shape[0]))


@final
@dataclass(frozen=True)
class KLSparsity:
    """Sparsity penalty λ·Σⱼ KL(ρ‖ρ̂ⱼ) for codes in (0, 1), with the mean activation ρ̂ⱼ in the batch (Ng 2011).

    KL(ρ‖ρ̂) = ρ ln(ρ/ρ̂) + (1 − ρ) ln((1 − ρ)/(1 − ρ̂)), with ρ̂ clipped to [10⁻⁶, 1 − 10⁻⁶].

    Args:
        strength: λ.
        rate: The target activation ρ in (0, 1).

    >>> from deltarule.tensor.tensor import tensor
    >>> round(KLSparsity(1.0, 0.1)(tensor([[0.3], [0.7]]), tensor([[0.0], [0.0]])).item(), 4)
    0.3681
    """

    strength: float
    rate: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ArgumentError(
                "KLSparsity rate", expected="a number in (0, 1)", got=repr(self.rate)
            )

    def __call__(self, code: Tensor, given: Tensor) -> Tensor:
        """Return the penalty."""
        del given
        activity = code.mean(0).clip(1e-6, 1 - 1e-6)
        active = self.rate * (float(np.log(self.rate)) - log(activity))
        silent = (1 - self.rate) * (float(np.log1p(-self.rate)) - log1p(-activity))
        return (active + silent).sum() * self.strength


@final
@dataclass(frozen=True)
class Contractive:
    """Contractive penalty λ·mean over examples of ‖∂h/∂x‖²_F: robustness to small changes of x (Rifai et al. 2011).

    It takes one backward pass for each element of the code in every training step.

    >>> from deltarule.tensor.tensor import tensor
    >>> x = tensor([[1.0, 2.0]])
    >>> Contractive(1.0)(x * 3.0, x).item()
    18.0
    """

    strength: float

    def __call__(self, code: Tensor, given: Tensor) -> Tensor:
        """Return the penalty."""
        if code.ndim != 2:
            raise ShapeError(
                "Contractive", expected="codes (N, k)", got=show(code.shape)
            )
        total: Tensor | None = None
        for j in range(int(code.shape[1])):
            slope = Tensor(gradients(code[:, j].sum().node, [given.node])[0])
            square = (slope * slope).sum()
            total = square if total is None else total + square
        if total is None:
            raise ShapeError(
                "Contractive", expected="a code of at least one element", got="none"
            )
        return total * (self.strength / int(code.shape[0]))


check_calls(__name__)
