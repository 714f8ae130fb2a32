"""Autoencoders as scikit-learn transformers: encoding and decoding in pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule import train
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.generative.autoencoders.architectures import dense_autoencoder
from deltarule.generative.autoencoders.autoencoder import Autoencoder
from deltarule.generative.autoencoders.vae import VAE
from deltarule.nn.check import whole_number
from deltarule.optim import Adam
from deltarule.runtime.buffers import Array
from deltarule.shapes import count

__all__ = ["LatentTransformer"]

Model = Autoencoder | VAE


@final
class LatentTransformer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # scikit-learn has no types
    TransformerMixin,  # type: ignore[misc]  # scikit-learn has no types
    BaseEstimator,  # type: ignore[misc]  # scikit-learn has no types
):
    """Non-linear dimensionality reduction by an ``Autoencoder`` (codes f(x)) or a ``VAE`` (codes μ(x)).

    Args:
        model: Makes a new model from the number of features, such as a sparse, contractive, denoising, tied,
            convolutional or variational autoencoder; None for dense layers (n_features, 64, n_components).
        n_components: Size of the code of the default model.
        example_shape: Shape to which rows are reshaped for the model, such as (8, 8, 1) for images.
        learning_rate: Learning rate of Adam.
        epochs: Passes over the examples.
        batch_size: Examples in a training step.
        random_state: Seed, or a NumPy random state.
        device: "cpu" or "reference".
        verbose: As in ``train.fit``.

    Attributes:
        model_: The trained model.
        history_: The history of the training.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> x = np.outer(np.linspace(-1, 1, 20), [1.0, 2.0, -1.0])
    >>> learner = LatentTransformer(lambda n: dense_autoencoder((n, 1)), epochs=300, learning_rate=0.02,
    ...                             random_state=0, device="reference").fit(x)
    >>> bool(np.abs(learner.inverse_transform(learner.transform(x)) - x).max() < 0.01)
    True
    """

    def __init__(
        self,
        model: Callable[[int], Model] | None = None,
        *,
        n_components: int = 2,
        example_shape: tuple[int, ...] | None = None,
        learning_rate: float = 1e-3,
        epochs: int = 100,
        batch_size: int = 32,
        random_state: Any = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.n_components = n_components
        self.example_shape = example_shape
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the model on the rows of X, in the floating-point type of X."""
        del y
        x = np.asarray(
            validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        )
        seed = int(check_random_state(self.random_state).randint(2**31))
        self.model_ = self._made(x.shape[1])
        self.model_.astype(x.dtype.name)
        self.model_.initialize(seed)
        self.history_ = self.model_.fit(
            self._shaped(x),
            optimizer=Adam(learning_rate=self.learning_rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=seed,
            device=self.device,
            verbose=self.verbose,
        )
        self.n_iter_ = len(self.history_.epochs)
        self._n_features_out = self.transform(x[:1]).shape[1]
        return self

    def _made(self, n_features: int) -> Model:
        if self.model is None:
            size = whole_number(self.n_components, "LatentTransformer n_components", 1)
            return dense_autoencoder((n_features, 64, size))
        made = self.model(n_features)
        if not isinstance(made, Autoencoder | VAE) or (
            isinstance(made, VAE) and made.condition_size
        ):
            raise ArgumentError(
                "LatentTransformer model",
                expected="a function from the number of features to an Autoencoder, or to a VAE without a condition",
                got=type(made).__name__,
            )
        return made

    def _shaped(self, rows: Array) -> Array:
        """Return rows reshaped to ``example_shape``."""
        if self.example_shape is None:
            return rows
        if count(self.example_shape) != rows.shape[1]:
            expected = f"a shape of {rows.shape[1]} numbers"
            raise ArgumentError(
                "LatentTransformer example_shape",
                expected=expected,
                got=str(self.example_shape),
            )
        return rows.reshape(len(rows), *self.example_shape)

    def transform(self, X: Any) -> Array:
        """Return the codes (N, k): f(x), or the mean μ(x) of q(z|x)."""
        check_is_fitted(self)
        x = np.asarray(
            validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        )
        examples = self._shaped(x.astype(self._type))
        codes = self.model_.encode(examples)
        found = codes[0] if isinstance(codes, tuple) else codes
        return np.asarray(found.reshape(len(x), -1), x.dtype)

    def inverse_transform(self, X: Any) -> Array:
        """Return the reconstructions (N, n_features) of codes (N, k)."""
        check_is_fitted(self)
        codes = np.asarray(X, self._type)
        if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has shape {codes.shape}, but codes of shape (N, {self._n_features_out}) are expected"
            )
        return np.asarray(self.model_.decode(codes).reshape(len(codes), -1))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean ELBO of a VAE, or the negative mean squared reconstruction error; higher is better."""
        del y
        x = np.asarray(
            validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        ).astype(self._type)
        if isinstance(self.model_, VAE):
            terms = train.predict(self.model_, self._shaped(x))
            return float(-terms[:, 1:].sum(axis=1).mean())
        return -float(((self.inverse_transform(self.transform(x)) - x) ** 2).mean())

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings and, of a fitted model, its weights: graphs are not pickled."""
        state: dict[str, Any] = super().__getstate__()
        if "model_" in state:
            state = {
                **state,
                "model_": self.model_.state_dict(),
                "history_": self.history_.to_dict(),
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the model and load its weights."""
        super().__setstate__(state)
        if "model_" in state:
            values = state["model_"]
            self.model_ = self._made(self.n_features_in_)
            self.model_.astype(next(iter(values.values())).dtype.name)
            self.model_.load_state_dict(values)
            self.history_ = train.History.from_dict(state["history_"])

    @property
    def _type(self) -> str:
        return self.model_.parameters(include_frozen=True)[0].dtype.name


check_calls(__name__)
