"""An autoencoder as a transformer: codes of examples, and reconstructions from codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from deltarule import nn
from deltarule.arguments import check_calls
from deltarule.learners.base import Array, at_least, require, weights_for, whole
from deltarule.learners.neural_network import architectures
from deltarule.learners.neural_network.custom import chosen_loss
from deltarule.learners.neural_network.network import Network, relative
from deltarule.learners.neural_network.parameters import TrainingParameters
from deltarule.nn.layers.corruption import MaskingCorruption
from deltarule.tensor.tensor import Tensor

__all__ = ["AutoencoderTransformer"]


@final
class _Penalised(nn.Module):
    """Return the code, and add the sparsity penalty Ω(h) = strength·mean over examples of Σ|h| to the loss."""

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
    """z = encoder(x), decoder(z) ≈ x: arg min L(decoder(encoder(x)), x) + Ω(z) (Goodfellow et al. 2016, chapter 14).

    Without hidden layers the autoencoder is linear, and its codes span the principal
    subspace (Baldi and Hornik 1989). With ``corruption`` it is a denoising autoencoder
    (Vincent et al. 2008), with ``sparsity`` a sparse one. ``transform`` encodes,
    ``inverse_transform`` decodes.

    Args:
        n_components: Dimension of the code.
        hidden_sizes: Number of units of each layer between input and code; the decoder
            mirrors them.
        activation: Activation between the layers: "elu", "gelu", "identity",
            "leaky_relu", "relu", "selu", "sigmoid", "silu", "softplus" or "tanh".
        sparsity: Weight of the penalty Ω(z), the mean over examples of Σ|z|.
        corruption: Probability with which an input feature is set to 0 during training.
        batch_norm: Whether batch normalisation precedes each activation.
        alpha: Strength of the penalty ½·alpha·‖W‖² on the weights.
        loss: Name of a loss, a ``Loss``, or a function (decoder(z), x) → one value per
            example.
        optimizer: Name of an optimiser, or an optimiser of ``deltarule.optim``.
        learning_rate: Step size η; None for the default of the optimiser.
        epochs: Number of passes over the data.
        batch_size: Number of examples per step.
        shuffle: Whether to shuffle the examples before each epoch.
        metrics: Further metrics to compute in each epoch: names or functions.
        regularizers: Further penalties of ``deltarule.losses``.
        callbacks: Objects of ``deltarule.train.Callback`` that monitor or control the
            training.
        early_stopping: Whether to stop when ``monitor`` no longer improves, and restore
            the best weights.
        validation_fraction: Fraction of the examples held out for validation where
            ``early_stopping`` is given no ``validation_data``.
        monitor: Name of the value that early stopping monitors.
        patience: Number of epochs without improvement before early stopping.
        warm_start: Whether ``fit`` continues from the weights of the previous fit.
        random_state: Seed of the random numbers; equal seeds give equal results.
        dtype: "float32", "float64", or "auto": float32 for float32 inputs, float64 for
            all others.
        device: "cpu" compiles native code; "reference" runs NumPy, which needs no
            compilation.
        threads: Number of threads; None for all cores.
        verbose: 0 is silent, 1 prints one line per epoch.

    Attributes:
        network_: The trained module with the parts "encoder" and "decoder".
        history_: Metrics of each epoch.
        loss_curve_: Training loss of each epoch.
        validation_curve_: Validation loss of each epoch; None without validation data.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

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
        """Train the autoencoder to reconstruct X.

        Args:
            X: Examples (N, d), an array or a sparse matrix.
            y: Ignored.
            sample_weight: One weight ≥ 0 per example; weight 2 equals the example
                twice. Penalties (Ω, ``alpha``) are not weighted.
            validation_data: Further X, evaluated after each epoch.

        >>> learner = AutoencoderTransformer(1, epochs=1, random_state=0, device="reference")
        >>> learner.fit([[0.0, 0.0], [1.0, 1.0]]).transform([[2.0, 2.0]]).shape
        (1, 1)
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
        """Make one pass over a chunk and keep the optimiser state for the next; weights are not normalised."""
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
        """Return the codes (N, n_components)."""
        x = self._features(X, reset=False)[0]
        return self._outputs(x, self.network_["encoder"])  # type: ignore[index]  # a Sequential

    def inverse_transform(self, X: Any) -> Array:
        """Return the reconstructions decoder(z), (N, d), of codes (N, n_components)."""
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


check_calls(__name__)
