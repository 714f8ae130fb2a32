"""Negative log-likelihoods of Gaussian and Poisson targets, and the Kullback–Leibler divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import algebra
from deltarule.losses.cross_entropy import classes_required
from deltarule.losses.loss import Link, Loss, Requirement, over_examples
from deltarule.shapes import Shape
from deltarule.tensor.functional import exp, log, log_softmax, maximum, weighted, where
from deltarule.tensor.linalg import diagonal, logdet, solve
from deltarule.tensor.tensor import Tensor, tensor

LOG_TWO_PI = math.log(2 * math.pi)


def gaussian_nll(mean: Tensor, target: Tensor, covariance: Tensor) -> Tensor:
    """½[(y − μ)ᵀΣ⁻¹(y − μ) + ln det Σ + k ln 2π] of every example (PR-10, PR-11, OUT-22, E004-03 corrected).

    Shapes: μ and y (N, k); Σ (k, k) for all examples or (N, k, k). Σ⁻¹ is a solve, never an inverse.

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
        weighted = solve(
            covariance, error.T
        ).T  # one matrix, all errors as its right sides
    else:
        weighted = solve(covariance, error.expand_dims(-1)).squeeze(-1)
    return ((error * weighted).sum(-1) + logdet(covariance) + k * LOG_TWO_PI) * 0.5


@final
@dataclass(frozen=True, kw_only=True)
class GaussianNLL(Loss):
    """−ln 𝒩(y; μ, Σ) of targets (N, k), ½[(y − μ)ᵀΣ⁻¹(y − μ) + ln det Σ + k ln 2π] (OUT-22).

    The model's outputs are, by ``spread``:

    - ``"fixed"``: μ (N, k); Σ is ``covariance`` (k rows), the identity without it (½‖y − μ‖² and a constant, OUT-01).
    - ``"diagonal"``: μ and ln σ², (N, 2k).
    - ``"full"``: μ, then a k × k matrix row by row, (N, k + k²); Σ = LLᵀ with its lower triangle below the
      diagonal and e to its diagonal on the diagonal (the entries above the diagonal are not read).

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
            "None where the model gives the spread",
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
        """Raise unless the outputs hold what ``spread`` asks for k targets an example."""
        del dtype
        if (
            len(target) != 2
            or len(prediction) != 2
            or prediction != (target[0], self._outputs(target[1]))
        ):
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
            return gaussian_nll(
                prediction, target, tensor(matrix, dtype=prediction.dtype)
            )
        error = target.astype(prediction.dtype) - prediction[:, :k]
        if self.spread == "diagonal":
            log_variance = prediction[:, k:]
            return (error * error * exp(-log_variance) + log_variance + LOG_TWO_PI).sum(
                -1
            ) * 0.5
        matrix_node = prediction[:, k:].reshape(-1, k, k)
        below = Tensor(algebra.triangle(matrix_node.node, lower=True, diagonal=-1))
        log_diagonal = diagonal(matrix_node)
        factor = below + Tensor(algebra.diagonal_matrix(exp(log_diagonal).node))
        whitened = solve(factor, error.expand_dims(-1)).squeeze(
            -1
        )  # L⁻¹(y − μ); ln det Σ = 2 Σ ln L_ii
        return (whitened * whitened + LOG_TWO_PI).sum(-1) * 0.5 + log_diagonal.sum(-1)

    def predict(self, output: Tensor) -> Tensor:
        """Return the means μ."""
        if self.spread == "fixed":
            return output
        width = output.shape[-1]
        k = (
            width // 2
            if self.spread == "diagonal"
            else (math.isqrt(1 + 4 * width) - 1) // 2
        )
        return output[:, :k]


@final
@dataclass(frozen=True, kw_only=True)
class PoissonNLL(Loss):
    """Mean of λ − y ln λ over outputs for counts y, without the constant ln y!.

    The model gives ln λ (``log_rate=True``), or λ itself, whose logarithm is kept ≥ ln ``epsilon``.

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
        """Return that counts are not negative."""
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
    """Σ_c y_c (ln y_c − ln p_c) of rows y (N, classes), p = softmax(z) (PR-13); 0·ln 0 = 0.

    It is the cross-entropy less the entropy of the targets, so both have the same gradient in z.
    ``from_logits=False`` takes log-probabilities, as PyTorch's does.

    >>> round(KLDivergence()([[0.0, 0.0]], [[1.0, 0.0]]).item(), 6)
    0.693147
    """

    from_logits: bool = True
    name: ClassVar[str] = "kl_divergence"
    link: ClassVar[Link] = "softmax"

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return that rows are distributions."""
        return classes_required(prediction, target)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the divergence of every example."""
        y = target.astype(prediction.dtype)
        logarithm = log_softmax(prediction) if self.from_logits else prediction
        own = log(where(y > 0, y, 1.0))
        return over_examples(weighted(y, own - logarithm).sum(-1))

    def predict(self, output: Tensor) -> Tensor:
        """Return probabilities."""
        return super().predict(output) if self.from_logits else exp(output)
