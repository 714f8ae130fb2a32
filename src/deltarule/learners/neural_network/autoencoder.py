"""An autoencoder as a transformer: the code of an example, and the way back (AE-01 … AE-07)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from deltarule import nn
from deltarule.learners.base import Array, at_least, require, weights_for, whole
from deltarule.learners.neural_network import architectures
from deltarule.learners.neural_network.custom import chosen_loss
from deltarule.learners.neural_network.network import Network, relative
from deltarule.learners.neural_network.parameters import TrainingParameters
from deltarule.nn.layers.corruption import MaskingCorruption
from deltarule.tensor.tensor import Tensor


@final
class _Penalised(nn.Module):
    """Hand the code on, and add a sparsity penalty Ω(h) = strength·mean over examples of Σ|h| to the loss."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        """Return the code."""
        nn.add_penalty(abs(x).sum() * (self.strength / int(x.shape[0])))
        return x


@final
@dataclass(kw_only=True, eq=False, repr=False)
class AutoencoderTransformer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # scikit-learn has no types
    TransformerMixin,  # type: ignore[misc]  # scikit-learn has no types
    TrainingParameters,
    Network,
):
    """z = encoder(x) with decoder(z) ≈ x: arg min L(decoder(encoder(x)), x) + Ω(z) (AE-01, AE-06).

    ``hidden_sizes`` are the layers between input and code (mirrored in the decoder); without any the autoencoder
    is linear, and its codes span the principal subspace (AE-04). ``sparsity`` weighs the mean of Σ|z|;
    ``corruption`` is the probability with which each number of an input is 0 in training, to be filled in from the
    others, which stay as they are (denoising).
    ``transform`` gives codes, ``inverse_transform`` what they stand for.

    >>> x = np.outer(np.linspace(-1, 1, 20), [1.0, 2.0, -1.0])
    >>> learner = AutoencoderTransformer(1, hidden_sizes=(), epochs=300, learning_rate=0.02, random_state=0,
    ...                                  device="reference").fit(x)
    >>> bool(np.abs(learner.inverse_transform(learner.transform(x)) - x).max() < 0.01)
    True
    """

    n_components: int = field(default=2, kw_only=False)
    hidden_sizes: int | Sequence[int] = (64,)
    activation: str = "relu"
    sparsity: float = 0.0
    corruption: float = 0.0
    batch_norm: bool = False
    alpha: float = 0.0
    loss: Any = "mean_squared_error"
    _form = (
        "n_components",
        "hidden_sizes",
        "activation",
        "sparsity",
        "corruption",
        "batch_norm",
    )

    def _build(self, shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        where = "AutoencoderTransformer"
        sizes = architectures.whole_numbers(f"{where} hidden_sizes", self.hidden_sizes)
        require(self, "sparsity", at_least(0), "a number ≥ 0")
        require(
            self,
            "corruption",
            lambda share: at_least(0)(share) and share < 1,
            "a probability in [0, 1)",
        )
        k = require(self, "n_components", whole(1), "a whole number ≥ 1")
        noise = [MaskingCorruption(self.corruption)] if self.corruption else []
        inner = architectures.dense_layers(
            where, shape[0], sizes, self.activation, 0.0, self.batch_norm
        )
        outer = architectures.dense_layers(
            where, k, sizes[::-1], self.activation, 0.0, self.batch_norm
        )
        penalty = [_Penalised(self.sparsity)] if self.sparsity else []
        encoder = nn.Sequential(
            *noise, *inner, nn.Linear((shape[0], *sizes)[-1], k), *penalty
        )
        decoder = nn.Sequential(*outer, nn.Linear((k, *sizes[::-1])[-1], n_outputs))
        return nn.Sequential(encoder=encoder, decoder=decoder)

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
    ) -> Self:
        """Learn to reproduce X; ``validation_data`` is further X, measured after every epoch.

        A weight of 2 counts as an example twice in the loss; penalties (Ω, ``alpha``) have no weights.
        """
        del y
        goes_on = self._goes_on()
        x = self._dense(X, reset=not goes_on)
        weights = weights_for(x, x, sample_weight)
        seed = self._prepare(x, x.shape[1], fresh=not goes_on)
        held = (
            None
            if validation_data is None
            else (self._dense(validation_data, reset=False),) * 2
        )
        return self._execute(
            self._job(x, x, chosen_loss(self.loss), relative(weights), seed, held)
        )

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Make one pass over a chunk, with the optimiser's state of the chunk before; weights count as they are."""
        del y
        x = self._dense(X, reset=not hasattr(self, "network_"))
        weights = weights_for(x, x, sample_weight)
        seed = self._prepare(x, x.shape[1], fresh=False)
        self._fit_part(x, x, chosen_loss(self.loss), weights, seed)
        return self

    def _dense(self, x: Any, reset: bool) -> Array:
        found = self._features(x, reset=reset)[0]
        return np.asarray(found.toarray() if hasattr(found, "toarray") else found)

    def transform(self, X: Any) -> Array:
        """Return codes (N, n_components)."""
        x = self._features(X, reset=False)[0]
        return self._outputs(x, self.network_["encoder"])  # type: ignore[index]  # a Sequential

    def inverse_transform(self, X: Any) -> Array:
        """Return decoder(z) for codes."""
        check_is_fitted(self, "network_")
        codes = np.asarray(
            X, dtype=self.network_.parameters(include_frozen=True)[0].dtype.name
        )
        return self._outputs(codes, self.network_["decoder"])  # type: ignore[index]  # a Sequential

    @property
    def _n_features_out(self) -> int:
        return self.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
