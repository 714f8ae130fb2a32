"""Gaussian and Poisson negative log-likelihoods, and the Kullback–Leibler divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from deltarule import shapes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import algebra
from deltarule.losses.cross_entropy import class_requirements
from deltarule.losses.loss import Link, Loss, Requirement, over_examples
from deltarule.shapes import Shape
from deltarule.tensor.functional import exp, log, log_softmax, maximum, weighted, where
from deltarule.tensor.linalg import diagonal, logdet, solve
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["GaussianNLL", "KLDivergence", "PoissonNLL", "gaussian_nll"]

LOG_TWO_PI = math.log(2 * math.pi)


def gaussian_nll(mean: Tensor, target: Tensor, covariance: Tensor) -> Tensor:
    """Return ½[(y − μ)ᵀΣ⁻¹(y − μ) + ln det Σ + k ln 2π] for every example.

    Σ⁻¹(y − μ) is computed by solving a linear system.

    Args:
        mean: μ, (N, k).
        target: y, (N, k).
        covariance: Σ, symmetric positive definite: (k, k) for all examples, or (N, k, k).

    Returns:
        The negative log-likelihoods, (N,).

    Raises:
        ShapeError: Σ has another shape.

    >>> from deltarule.tensor.tensor import tensor
    >>> round(gaussian_nll(tensor([[0.0]]), tensor([[2.0]]), tensor([[4.0]])).item(), 6)
    2.112086
    """
    k = int(mean.shape[-1])
    if covariance.shape not in {(k, k), (*mean.shape, k)}:
        raise ShapeError(
            "gaussian_nll covariance",
            expected=f"{shapes.show((k, k))} or {shapes.show((*mean.shape, k))}",
            got=shapes.show(covariance.shape),
        )
    error = target.astype(mean.dtype) - mean
    if covariance.ndim == 2:
        # one matrix, with the errors of all examples as right-hand sides
        solution = solve(covariance, error.T).T
    else:
        solution = solve(covariance, error.expand_dims(-1)).squeeze(-1)
    return ((error * solution).sum(-1) + logdet(covariance) + k * LOG_TWO_PI) * 0.5


@final
@dataclass(frozen=True, kw_only=True)
class GaussianNLL(Loss):
    """Gaussian negative log-likelihood −ln 𝒩(y; μ, Σ) of targets (N, k).

    It is ½[(y − μ)ᵀΣ⁻¹(y − μ) + ln det Σ + k ln 2π].

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        spread: What the outputs of the model are:

            - ``"fixed"``: μ (N, k), with a constant Σ.
            - ``"diagonal"``: μ and ln σ², (N, 2k).
            - ``"full"``: μ, then a k × k matrix row by row, (N, k + k²). Σ = LLᵀ, where L is
              the matrix below its diagonal, and e to its diagonal on the diagonal (entries
              above the diagonal are not read).
        covariance: Σ for ``spread="fixed"``; None is the identity: ½‖y − μ‖² and a constant.

    >>> round(GaussianNLL()([[0.0]], [[0.0]]).item(), 6)
    0.918939
    """

    spread: Literal["fixed", "diagonal", "full"] = "fixed"
    covariance: tuple[tuple[float, ...], ...] | None = None
    name: ClassVar[str] = "gaussian_nll"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            "spread",
            self.spread in {"fixed", "diagonal", "full"},
            "'fixed', 'diagonal' or 'full'",
        )
        if self.covariance is None:
            return
        self._require(
            "covariance",
            self.spread == "fixed",
            "None unless spread='fixed'",
        )
        matrix = np.array(self.covariance, np.float64)
        square = (
            matrix.ndim == 2
            and matrix.shape[0] == matrix.shape[1]
            and np.allclose(matrix, matrix.T)
        )
        if not square or np.linalg.eigvalsh(matrix).min(initial=math.inf) <= 0:
            raise ArgumentError(
                "GaussianNLL covariance",
                expected="a symmetric positive definite matrix",
                got=repr(self.covariance),
            )
        object.__setattr__(
            self, "covariance", tuple(tuple(float(x) for x in row) for row in matrix)
        )

    def _outputs(self, k: int) -> int:
        return {"fixed": k, "diagonal": 2 * k, "full": k + k * k}[self.spread]

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless the outputs have the size that ``spread`` requires for k targets."""
        del dtype
        matrices = len(target) == len(prediction) == 2
        if not matrices or prediction != (target[0], self._outputs(target[1])):
            wanted = {"fixed": "k", "diagonal": "2k", "full": "k + k²"}[self.spread]
            raise ShapeError(
                "GaussianNLL",
                expected=f"targets (N, k) and outputs (N, {wanted})",
                got=f"targets {shapes.show(target)} and outputs {shapes.show(prediction)}",
            )
        if self.covariance is not None and len(self.covariance) != target[1]:
            raise ShapeError(
                "GaussianNLL covariance",
                expected=f"{shapes.show((target[1], target[1]))}",
                got=shapes.show((len(self.covariance),) * 2),
            )

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −ln 𝒩 of every example."""
        k = target.shape[1]
        if self.spread == "fixed":
            matrix = np.eye(k) if self.covariance is None else np.array(self.covariance)
            covariance = tensor(matrix, dtype=prediction.dtype)
            return gaussian_nll(prediction, target, covariance)
        error = target.astype(prediction.dtype) - prediction[:, :k]
        if self.spread == "diagonal":
            log_variance = prediction[:, k:]
            terms = error * error * exp(-log_variance) + log_variance + LOG_TWO_PI
            return terms.sum(-1) * 0.5
        entries = prediction[:, k:].reshape(-1, k, k)
        below = Tensor(algebra.triangle(entries.node, lower=True, diagonal=-1))
        log_diagonal = diagonal(entries)
        factor = below + Tensor(algebra.diagonal_matrix(exp(log_diagonal).node))
        # whitened = L⁻¹(y − μ); ln det Σ = 2 Σ ln L_ii
        whitened = solve(factor, error.expand_dims(-1)).squeeze(-1)
        return (whitened * whitened + LOG_TWO_PI).sum(-1) * 0.5 + log_diagonal.sum(-1)

    def predict(self, output: Tensor) -> Tensor:
        """Return the means μ."""
        if self.spread == "fixed":
            return output
        width = output.shape[-1]
        if self.spread == "diagonal":
            return output[:, : width // 2]
        k = (math.isqrt(1 + 4 * width) - 1) // 2  # k + k² = width
        return output[:, :k]


@final
@dataclass(frozen=True, kw_only=True)
class PoissonNLL(Loss):
    """Poisson negative log-likelihood λ − y ln λ of counts y, averaged over outputs.

    The constant ln y! is left out.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        log_rate: True if the model returns ln λ, False if it returns λ.
        epsilon: The lower bound of λ in the logarithm, for ``log_rate=False``.

    >>> PoissonNLL()([0.0], [3.0]).item()
    1.0
    """

    log_rate: bool = True
    epsilon: float = 1e-8
    name: ClassVar[str] = "poisson_nll"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("epsilon", self.epsilon > 0, "a number > 0")

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that counts are not negative."""
        del prediction, target
        return (Requirement(lambda y: y < 0, "counts ≥ 0"),)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the outputs of every example."""
        y = target.astype(prediction.dtype)
        if self.log_rate:
            return over_examples(exp(prediction) - weighted(y, prediction))
        return over_examples(prediction - y * log(maximum(prediction, self.epsilon)))

    def predict(self, output: Tensor) -> Tensor:
        """Return the rates λ."""
        return exp(output) if self.log_rate else output


@final
@dataclass(frozen=True, kw_only=True)
class KLDivergence(Loss):
    """Kullback–Leibler divergence Σ_c y_c (ln y_c − ln p_c), p = softmax(z), with 0·ln 0 = 0.

    It is the cross-entropy minus the entropy of the targets, so both have the same gradient in
    z. Shapes: logits z and rows y both (N, K). ``from_logits=False`` takes log-probabilities,
    as PyTorch's ``KLDivLoss`` does.

    >>> round(KLDivergence()([[0.0, 0.0]], [[1.0, 0.0]]).item(), 6)
    0.693147
    """

    from_logits: bool = True
    name: ClassVar[str] = "kl_divergence"
    link: ClassVar[Link] = "softmax"

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that rows are distributions."""
        return class_requirements(prediction, target)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the divergence of every example."""
        y = target.astype(prediction.dtype)
        log_p = log_softmax(prediction) if self.from_logits else prediction
        log_y = log(where(y > 0, y, 1.0))
        return over_examples(weighted(y, log_y - log_p).sum(-1))

    def predict(self, output: Tensor) -> Tensor:
        """Return probabilities."""
        return super().predict(output) if self.from_logits else exp(output)


check_calls(__name__)
