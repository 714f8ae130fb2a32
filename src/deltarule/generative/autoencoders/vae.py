"""The variational autoencoder (Kingma and Welling 2014): latent variables z, decoder p(x|z), encoder q(z|x).

It maximizes the evidence lower bound ln p(x) ≥ E_q[ln p(x|z)] − KL(q(z|x)‖p(z)), whose gap is KL(q(z|x)‖p(z|x)). The
loss is the negative bound, reconstruction + KL. Samples are a function of (seed, step): runs are reproducible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from deltarule import nn, shapes, train
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import checks_flags
from deltarule.generative.autoencoders.annealing import Annealing, is_real
from deltarule.generative.autoencoders.importance import warn_of_heavy_tails
from deltarule.generative.autoencoders.likelihood import Likelihood
from deltarule.generative.autoencoders.saving import config_of
from deltarule.losses import Loss
from deltarule.nn.check import whole_number
from deltarule.nn.context import ForwardContext, activated, current
from deltarule.optim import Optimizer
from deltarule.runtime.buffers import Array
from deltarule.shapes import show
from deltarule.tensor.functional import concatenate, exp, logsumexp, stack
from deltarule.tensor.jit import jit
from deltarule.tensor.random import random_normal
from deltarule.tensor.tensor import Tensor, tensor
from deltarule.train import Callback, History
from deltarule.train.monitoring.metrics import FunctionMetric, MetricLike
from deltarule.train.monitoring.progress import Progress
from deltarule.train.steps.epoch_data import Augment
from deltarule.train.steps.prepare import ClassWeight
from deltarule.train.steps.step import Regularizer

__all__ = ["VAE"]
_RECONSTRUCTION, _KL = 1, 2  # columns of a VAE's output; the first is the loss


@final
class VAE(nn.Module):
    """Variational autoencoder: an encoder of q(z|x) = 𝒩(μ(x), diag σ²(x)) and a decoder of p(x|z).

    Args:
        encoder: Module from a batch of examples to μ and ln σ² side by side, (N, 2·latent_size).
        decoder: Module from (N, latent_size) to the parameters of the likelihood.
        latent_size: k, the size of z; the prior is 𝒩(0, prior_deviation²·I).
        likelihood: ``BernoulliLikelihood()`` or ``GaussianLikelihood(…)``.
        beta: The weight of the KL term (Higgins et al. 2017), a number or an ``Annealing``.
        n_samples: Samples of z for each example.
        bound: "elbo", or "importance" for ln (1/K)Σ p(x, zₖ)/q(zₖ|x) (Burda et al. 2016), with ``beta`` 1.
        condition_size: Size of a condition c that encoder and decoder are given in addition to x and z
            (conditional VAE, Sohn et al. 2015), as flat vectors [x, c] and [z, c].
        prior_deviation: Standard deviation of the prior.
        example_shape: The shape of one x; required with a condition only.

    A call returns (N, 3): the loss, −E[ln p(x|z)] and KL(q(z|x)‖p(z)) of every example. In inference mode the samples
    are those of seed 0, so that equal inputs have equal values.

    >>> from deltarule.generative import BernoulliLikelihood
    >>> model = VAE(nn.Linear(4, 2), nn.Linear(1, 4), 1, BernoulliLikelihood())
    >>> model(np.zeros((5, 4), np.float32)).shape, model.sample(3, seed=0).shape
    ((5, 3), (3, 4))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        likelihood: Likelihood,
        *,
        beta: float | Annealing = 1.0,
        n_samples: int = 1,
        bound: Literal["elbo", "importance"] = "elbo",
        condition_size: int = 0,
        prior_deviation: float = 1.0,
        example_shape: Sequence[int] | None = None,
    ) -> None:
        if bound not in {"elbo", "importance"} or (
            bound == "importance" and beta != 1.0
        ):
            raise ArgumentError(
                "VAE bound",
                expected="'elbo', or 'importance' with beta 1",
                got=f"{bound!r}, beta {beta}",
            )
        if not isinstance(beta, Annealing) and not (
            is_real(beta) and 0 <= beta < math.inf
        ):
            raise ArgumentError(
                "VAE beta", expected="a number ≥ 0, or an Annealing", got=repr(beta)
            )
        if not (is_real(prior_deviation) and 0 < prior_deviation < math.inf):
            raise ArgumentError(
                "VAE prior_deviation",
                expected="a number > 0",
                got=repr(prior_deviation),
            )
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.latent_size = whole_number(latent_size, "latent_size", 1)
        self.beta, self.bound = beta, bound
        self.n_samples = whole_number(n_samples, "n_samples", 1)
        self.condition_size = whole_number(condition_size, "condition_size", 0)
        self.prior_deviation = float(prior_deviation)
        self.example_shape = None if example_shape is None else tuple(example_shape)
        if condition_size and self.example_shape is None:
            raise ArgumentError(
                "VAE example_shape",
                expected="the shape of one x, with a condition",
                got="None",
            )

    def config(self) -> dict[str, Any] | None:
        """Return the configuration; None if encoder or decoder are classes of your own."""
        arguments = {
            "latent_size": self.latent_size,
            "n_samples": self.n_samples,
            "bound": self.bound,
            "beta": asdict(self.beta)
            if isinstance(self.beta, Annealing)
            else self.beta,
            "condition_size": self.condition_size,
            "prior_deviation": self.prior_deviation,
            "example_shape": None
            if self.example_shape is None
            else list(self.example_shape),
        }
        return config_of(
            self,
            arguments,
            encoder=self.encoder,
            decoder=self.decoder,
            likelihood=self.likelihood,
        )

    @classmethod
    def from_config(cls, children: dict[str, Any], arguments: dict[str, Any]) -> VAE:
        """Return the model of a configuration returned by ``config``."""
        beta = arguments.pop("beta")
        return cls(
            **children,
            **arguments,
            beta=Annealing(**beta) if isinstance(beta, dict) else beta,
        )

    def example_rank(self) -> int | None:
        """Return the number of axes of one example, as required by the encoder."""
        return self.encoder.example_rank()

    # ---------------------------------------------------------------- the bound

    def forward(self, x: Tensor) -> Tensor:
        """Return the loss, the reconstruction term −E[ln p(x|z)] and the KL term of every example, (N, 3)."""
        mean, log_variance, clean, condition = self._posterior(x)
        context = current()
        training = context is not None and context.mode == "training"
        seed, step, stream = (
            context.draw("VAE") if context is not None and training else (0, 0, 0)
        )
        reconstruction, log_ratio = self._sampled(
            mean, log_variance, clean, condition, (seed, step, stream)
        )
        divergence = self._divergence(mean, log_variance)
        loss = -reconstruction.mean(0)
        if self.bound == "importance":
            objective = math.log(self.n_samples) - logsumexp(
                reconstruction + log_ratio, axis=0
            )
        else:
            now = context.record.step if context is not None and training else None
            objective = loss + divergence * self._weight(now)
        return stack([objective, loss, divergence], axis=1)

    def _weight(self, step: Tensor | int | None) -> Tensor | float:
        """Return β at a training step; its final value in inference mode."""
        if not isinstance(self.beta, Annealing):
            return float(self.beta)
        if step is None:
            return self.beta.end
        return self.beta.at(step if isinstance(step, Tensor) else tensor(step))

    def _require_condition(self, width: int, own: int, what: str) -> None:
        """Raise ArgumentError if the rows of a conditional model do not consist of ``own`` values and a condition."""
        if self.condition_size and width != own + self.condition_size:
            raise ArgumentError(
                "VAE condition",
                expected=f"{what} with a condition, {own} + {self.condition_size} numbers in a row",
                got=f"{width} numbers",
                hint=f"Pass condition=…, (N, {self.condition_size}); a call of the model "
                "itself takes rows of both, [x, c].",
            )

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return μ, ln σ², x and the condition."""
        k = self.latent_size
        self._require_condition(
            int(math.prod(x.shape[1:])), math.prod(self.example_shape or ()), "inputs"
        )
        code: Tensor = self.encoder(x)
        if code.ndim != 2 or code.shape[1] != 2 * k:
            raise ShapeError(
                "VAE encoder",
                expected=f"an output (N, {2 * k}): μ and ln σ²",
                got=show(code.shape),
            )
        clean, condition = x, None
        if self.condition_size:
            clean = x[:, : -self.condition_size].reshape(
                x.shape[0], *(self.example_shape or ())
            )
            condition = x[:, -self.condition_size :]
        return code[:, :k], code[:, k:], clean, condition

    def _sampled(
        self,
        mean: Tensor,
        log_variance: Tensor,
        x: Tensor,
        condition: Tensor | None,
        counters: tuple[Any, Any, int],
    ) -> tuple[Tensor, Tensor]:
        """Return ln p(x|z) and ln p(z) − ln q(z|x), both (K, N), of K samples z = μ + σε (reparameterisation)."""
        n, k = mean.shape[0], self.latent_size
        # a summary has a batch of unknown size: one sample
        m = self.n_samples if isinstance(n, int) else 1
        noise = random_normal((m, n, k), *counters, mean.dtype)
        z = mean + exp(log_variance * 0.5) * noise
        log_p = self._log_likelihood(z, x, condition)
        scaled = z / self.prior_deviation
        exponent = (noise * noise - scaled * scaled + log_variance).sum(-1) * 0.5
        return log_p, exponent - k * math.log(self.prior_deviation)

    def _log_likelihood(self, z: Tensor, x: Tensor, condition: Tensor | None) -> Tensor:
        m, n = z.shape[:2]
        flat = z[0] if m == 1 else z.reshape(m * n, self.latent_size)
        if m > 1:
            x = x.broadcast_to((m, *x.shape)).reshape(m * n, *x.shape[1:])
            if condition is not None:
                condition = condition.broadcast_to((m, *condition.shape)).reshape(
                    m * n, self.condition_size
                )
        if condition is not None:
            flat = concatenate([flat, condition], axis=1)
        return self.likelihood.log_prob(self.decoder(flat), x).reshape(m, n)

    def _divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return KL(q(z|x)‖p(z)) = ½Σ((μ² + σ²)/s² − 1 − ln σ²/s²) with the prior's standard deviation s."""
        s = self.prior_deviation
        squares = (mean * mean + exp(log_variance)) / (s * s)
        unscaled = (squares - 1.0 - log_variance).sum(-1) * 0.5
        return unscaled + self.latent_size * math.log(s)

    # ---------------------------------------------------------------- training

    @checks_flags
    def fit(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        loss: str | Loss = "negative_elbo",
        condition: Any = None,
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
        """Maximize the bound on the inputs alone; there are no targets.

        The history has ``reconstruction``, ``kl`` and ``elbo`` (with β = 1) of every epoch.

        Args:
            inputs: The examples, (N, …).
            targets: None; a VAE learns to reproduce its inputs.
            loss: "negative_elbo", the first column of the model's output.
            condition: One condition for each example, (N, condition_size).
            optimizer: See ``train.fit``, as for every option that is not listed here.
            epochs: Passes over the examples.
            batch_size: Examples in a training step.
            validation_data: An array of inputs, or a pair (inputs, condition).
            validation_split: Or the fraction of the examples to hold out, chosen by the seed.
            metrics: Further metrics of the model's output (N, 3).
            augment: Transformation of each batch of inputs.
            regularizers: Penalties on the parameters.
            callbacks: Objects that are called at the end of every step and epoch.
            class_weight: Of no use without targets.
            sample_weight: A weight of each example in the loss, (N,).
            seed: Seed of shuffling, of the validation split and of the latent samples.
            shuffle: Whether examples are reordered in every epoch.
            device: "cpu" or "reference".
            threads: Number of threads; None lets the engine choose.
            verbose: 0 silent, 1 a line an epoch and a live line on a terminal, 2 lines only.
            checkpoint: File to which the state of the training is written.
            checkpoint_every: Steps between two checkpoints; None writes one after each epoch.
            resume: Whether to continue from the checkpoint.
            progress: Where progress is reported instead of standard output.

        Raises:
            ArgumentError: Targets are given, or a condition is missing or superfluous.
            DataError: An example has no density under the likelihood.
        """
        if targets is not None:
            raise ArgumentError(
                "VAE fit targets",
                expected="none: a VAE learns the inputs",
                got=type(targets).__name__,
            )
        rows = self._with_condition(inputs, condition)
        return super().fit(
            rows,
            np.zeros(len(rows), np.float32),
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=self._validation_rows(validation_data),
            validation_split=validation_split,
            metrics=[*_term_metrics(), *metrics],
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

    def _validation_rows(self, data: Any) -> tuple[Array, Array] | None:
        """Return validation inputs with their condition, and targets that are not read."""
        if data is None:
            return None
        inputs, condition = data if isinstance(data, tuple) else (data, None)
        rows = self._with_condition(inputs, condition)
        return rows, np.zeros(len(rows), np.float32)

    def _check_condition(self, condition: Any) -> None:
        if (condition is None) == bool(self.condition_size):
            expected = (
                f"(N, {self.condition_size}) numbers" if self.condition_size else "none"
            )
            raise ArgumentError(
                "VAE condition",
                expected=expected,
                got="none" if condition is None else "some",
            )

    def _with_condition(self, inputs: Any, condition: Any) -> Array:
        """Return the inputs, or flat rows [x, c] with a condition.

        Raises ArgumentError for a missing or superfluous condition, DataError for inputs outside the support.
        """
        x = np.asarray(inputs)
        self.likelihood.check(x)
        self._check_condition(condition)
        if condition is None:
            return x
        c = np.asarray(condition, x.dtype)
        if c.shape != (len(x), self.condition_size):
            raise ShapeError(
                "VAE condition",
                expected=f"({len(x)}, {self.condition_size})",
                got=str(c.shape),
            )
        return np.concatenate([x.reshape(len(x), -1), c], axis=1)

    # ---------------------------------------------------------------- use

    def encode(self, inputs: Any, condition: Any = None) -> tuple[Array, Array]:
        """Return mean μ(x) and standard deviation σ(x) of q(z|x), both (N, k)."""
        code = train.predict(self.encoder, self._with_condition(inputs, condition))
        return code[:, : self.latent_size], np.exp(0.5 * code[:, self.latent_size :])

    def decode(self, latent: Any, condition: Any = None) -> Array:
        """Return the mean E[x|z] for latent variables z, (N, k)."""
        whole = self._latent_with_condition(np.asarray(latent, self._type), condition)
        return self.likelihood.mean(tensor(train.predict(self.decoder, whole))).numpy()

    def _latent_with_condition(self, z: Array, condition: Any) -> Array:
        """Return z, or [z, c] with a condition; raises ArgumentError if a condition is missing or superfluous."""
        self._check_condition(condition)
        return (
            z
            if condition is None
            else np.concatenate([z, np.asarray(condition, z.dtype)], axis=1)
        )

    @property
    def _type(self) -> str:
        return self.parameters(include_frozen=True)[0].dtype.name

    def reconstruct(self, inputs: Any, condition: Any = None) -> Array:
        """Return the reconstruction E[x|z] at z = μ(x)."""
        return self.decode(self.encode(inputs, condition)[0], condition)

    @checks_flags
    def sample(
        self, n: int, *, seed: int, condition: Any = None, noise: bool = False
    ) -> Array:
        """Return n new examples.

        Args:
            n: Number of examples.
            seed: Seed of z ~ p(z).
            condition: Their conditions, (n, condition_size).
            noise: Whether to sample from p(x|z) instead of returning the mean E[x|z].
        """
        z = (
            random_normal((n, self.latent_size), seed, dtype=self._type).numpy()
            * self.prior_deviation
        )
        if not noise:
            return self.decode(z, condition)
        output = tensor(
            train.predict(self.decoder, self._latent_with_condition(z, condition))
        )
        return self.likelihood.draw(output, seed, stream=1).numpy()

    def interpolate(
        self, first: Any, second: Any, n: int = 8, *, condition: Any = None
    ) -> Array:
        """Return E[x|z] at n equidistant points z from μ(first) to μ(second).

        Args:
            first: One example.
            second: Another example.
            n: Number of points, both ends included.
            condition: One condition for all points, (condition_size,).
        """
        pair = np.stack([np.asarray(first), np.asarray(second)])
        (start, end), _ = self.encode(pair, self._repeated(condition, 2))
        share = np.linspace(0, 1, n)[:, None]
        return self.decode(
            (1 - share) * start + share * end, self._repeated(condition, n)
        )

    def traverse(
        self,
        example: Any,
        axis: int,
        values: Sequence[float] | Array,
        *,
        condition: Any = None,
    ) -> Array:
        """Return E[x|z] at z = μ(example) with one latent variable set to each of the values.

        Args:
            example: One example.
            axis: Index of the latent variable.
            values: Its values.
            condition: One condition for all points, (condition_size,).
        """
        mean, _ = self.encode(np.asarray(example)[None], self._repeated(condition, 1))
        z = np.repeat(mean, len(values), axis=0)
        z[:, shapes.axis(axis, self.latent_size, "VAE.traverse")] = values
        return self.decode(z, self._repeated(condition, len(values)))

    def latent_grid(
        self, n: int = 10, span: float = 2.0, *, condition: Any = None
    ) -> Array:
        """Return E[x|z] over an n × n grid of the first two latent variables in [−span, span], row by row.

        z₂ decreases from the top row to the bottom, z₁ increases from left to right; other latent variables are 0.

        Args:
            n: Points of the grid in each direction.
            span: Half the width of the grid.
            condition: One condition for all points, (condition_size,).
        """
        ticks = np.linspace(-span, span, n)
        z = np.zeros((n * n, self.latent_size))
        z[:, 0] = np.tile(ticks, n)
        if self.latent_size > 1:
            z[:, 1] = np.repeat(ticks[::-1], n)
        return self.decode(z, self._repeated(condition, n * n))

    @staticmethod
    def _repeated(condition: Any, n: int) -> Array | None:
        return (
            None
            if condition is None
            else np.repeat(np.asarray(condition)[None], n, axis=0)
        )

    def elbo(
        self, inputs: Any, n_samples: int = 100, *, seed: int = 0, condition: Any = None
    ) -> tuple[Array, Array]:
        """Return a Monte-Carlo estimate of the ELBO of every example, and its standard error.

        The samples are those of ``log_likelihood`` with the same seed and number, hence elbo ≤ log_likelihood for each
        example (Jensen's inequality), and the difference estimates KL(q(z|x)‖p(z|x)).

        Args:
            inputs: Examples, (N, …).
            n_samples: Samples z ~ q(z|x) for each example.
            seed: Seed of the samples.
            condition: Conditions, (N, condition_size).
        """
        logs = self.log_weights(inputs, n_samples, seed=seed, condition=condition)
        return logs.mean(axis=0), logs.std(axis=0, ddof=1) / math.sqrt(len(logs))

    def log_likelihood(
        self,
        inputs: Any,
        n_samples: int = 1000,
        *,
        seed: int = 0,
        condition: Any = None,
    ) -> tuple[Array, Array]:
        """Return ln p(x) of every example, estimated by importance sampling from q(z|x), and its standard error.

        The estimate ln (1/S)Σ p(x|zₛ)p(zₛ)/q(zₛ|x) is a lower bound in expectation that tightens with S; its standard
        error is s/(√S·w̄) of the weights w (delta method). A ``DataWarning`` is issued if the importance weights of more
        than a quarter of the examples have heavy tails by ``pareto_k``: q(z|x) is too narrow there.

        Args:
            inputs: Examples, (N, …).
            n_samples: Samples z ~ q(z|x) for each example.
            seed: Seed of the samples.
            condition: Conditions, (N, condition_size).
        """
        logs = self.log_weights(inputs, n_samples, seed=seed, condition=condition)
        warn_of_heavy_tails(logs)
        top = logs.max(axis=0)
        scaled = np.exp(logs - top)
        mean = scaled.mean(axis=0)
        error = scaled.std(axis=0, ddof=1) / math.sqrt(len(logs)) / mean
        return top + np.log(mean), error

    def log_weights(
        self, inputs: Any, n_samples: int, *, seed: int = 0, condition: Any = None
    ) -> Array:
        """Return the log importance weights ln p(x|z)p(z)/q(z|x), (S, N) in float64, with S ≥ n_samples.

        Their mean estimates the ELBO, and the logarithm of the mean of their exponentials ln p(x).

        Args:
            inputs: Examples, (N, …).
            n_samples: Samples z ~ q(z|x) for each example, rounded up to a multiple of the model's own.
            seed: Seed of the samples.
            condition: Conditions, (N, condition_size).
        """
        whole_number(n_samples, "n_samples", 2)
        x = np.asarray(self._with_condition(inputs, condition), self._type)

        def weights(batch: Tensor, step: Tensor) -> Tensor:
            with activated(ForwardContext(self.record(), "inference", batched=True)):
                mean, log_variance, clean, c = self._posterior(batch)
                log_p, log_ratio = self._sampled(
                    mean, log_variance, clean, c, (seed, step, 2)
                )
                return log_p + log_ratio

        compiled = jit(weights)
        rounds = math.ceil(n_samples / self.n_samples)
        return np.concatenate(
            [compiled(x, np.asarray(s, np.int64)).numpy() for s in range(rounds)]
        ).astype(np.float64)


def _term_metrics() -> list[FunctionMetric]:
    """Return the metrics that record the terms of the bound: the columns of a model's output."""
    return [
        FunctionMetric(lambda terms, _: terms[:, _RECONSTRUCTION], "reconstruction"),
        FunctionMetric(lambda terms, _: terms[:, _KL], "kl"),
        FunctionMetric(
            lambda terms, _: -terms[:, _RECONSTRUCTION] - terms[:, _KL], "elbo"
        ),
    ]
