"""Variational inference for any log-joint: q* = arg min KL(q(z)‖p(z|x)) by maximizing the ELBO (Blei et al. 2017).

ELBO(q) = E_q[ln p(x, z)] − E_q[ln q(z)] = ln p(x) − KL(q(z)‖p(z|x)). Gradient estimators, all unbiased:
"reparameterised" through ζ = μ + Lε with the entropy in closed form; "path" the same without the score of q, whose
variance vanishes at q = p(z|x) (Roeder et al. 2017); "score" E[(f − b)∇ln q] with the mean of the other samples as
control variate b (Ranganath et al. 2014; Kool et al. 2019), for log-joints that are not differentiable.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np

from deltarule import nn, train
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataWarning, user_level
from deltarule.generative.distributions import FullNormal, MultivariateNormal
from deltarule.generative.inference import families
from deltarule.generative.inference.bound import NegativeELBO, StandardError
from deltarule.generative.inference.coordinates import Correlated, Independent
from deltarule.generative.inference.divergence import Estimate
from deltarule.generative.inference.families import Family
from deltarule.generative.inference.joint import (
    Joint,
    LogJoint,
    Variable,
    show_summary,
    summary_rows,
)
from deltarule.generative.inference.natural import Ascent
from deltarule.generative.inference.optimality import (
    ROUNDING,
    bound_without_gradients,
    evaluated,
    gap_bound,
    settle,
)
from deltarule.generative.inference.samplers import compiled_density
from deltarule.generative.inference.stationarity import (
    NO_MAXIMUM,
    UNBOUNDED,
    Convergence,
)
from deltarule.nn.check import whole_number
from deltarule.nn.context import require
from deltarule.optim import Adam, Optimizer
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.functional import stack
from deltarule.tensor.tensor import Tensor, tensor
from deltarule.train import History
from deltarule.train.monitoring.metrics import FunctionMetric

__all__ = ["VariationalFit", "fit_variational"]

_MOST_FULL = 200  # variables of a full covariance that is fitted by natural gradients
Gradient = Literal["reparameterised", "path", "score"]
ControlVariate = Literal["leave_one_out", "none"]


@final
class Objective(nn.Module):
    """Samples ζ ~ q; returns for each the loss whose gradient estimates that of −ELBO, and ln p(x, ζ) − ln q(ζ)."""

    def __init__(
        self,
        joint: Joint,
        family: Family,
        gradient: Gradient,
        control_variate: ControlVariate,
    ) -> None:
        if gradient not in {"reparameterised", "path", "score"}:
            raise ArgumentError(
                "gradient",
                expected="'reparameterised', 'path' or 'score'",
                got=repr(gradient),
            )
        if control_variate not in {"leave_one_out", "none"}:
            raise ArgumentError(
                "control_variate",
                expected="'leave_one_out' or 'none'",
                got=repr(control_variate),
            )
        self.joint, self.family = joint, family
        self.gradient, self.control_variate = gradient, control_variate

    def forward(self, draws: Tensor) -> Tensor:
        """Return (S, 2) for S samples; ``draws`` (S, 1) only determines their number."""
        context = require("Objective")
        seed, step, stream = (
            context.draw("Objective") if context.mode == "training" else (0, 0, 0)
        )
        n = int(draws.shape[0])
        q = self.family.distribution()
        if self.gradient == "score":
            return self._scored(q, q.sample((n,), seed=seed, step=step, stream=stream))
        free = q.rsample((n,), seed=seed, step=step, stream=stream)
        density = self.joint.log_density(free)
        ratio = density - self.family.distribution(fixed=True).log_prob(free)
        loss = -ratio if self.gradient == "path" else -density - q.entropy()
        return stack([loss, ratio.detach()], axis=1)

    def _scored(self, q: MultivariateNormal, free: Tensor) -> Tensor:
        log_q = q.log_prob(free)
        ratio = (self.joint.log_density(free) - log_q).detach()
        n = int(free.shape[0])
        leave_one_out = self.control_variate == "leave_one_out" and n > 1
        weight = (ratio - ratio.mean()) * (n / (n - 1)) if leave_one_out else ratio
        return stack([-(weight * log_q), ratio], axis=1)


@final
@dataclass(frozen=True)
class VariationalFit:
    """The result of ``fit_variational``: samples of the variables, the ELBO with its error, summaries.

    Attributes:
        joint: The model as a density of unconstrained variables.
        family: The fitted family.
        history: ELBO and standard error of every epoch.
        converged: Whether ``gap`` is at most the tolerance.
        gap: Upper confidence bound (99.9 %), in nats, of the difference between the ELBO of the best q of the family
            and that of this one, from fresh samples; inf if it is not finite.
    """

    joint: Joint
    family: Family
    history: History
    converged: bool
    gap: float = np.inf

    def distribution(self) -> MultivariateNormal:
        """Return q of the unconstrained variables, concatenated in the order of the variables."""
        return self.family.distribution(fixed=True)

    def sample(self, n: int, *, seed: int) -> dict[str, Array]:
        """Return n samples of every variable, (n, *shape)."""
        return self.joint.arrays(self.distribution().sample((n,), seed=seed).numpy())

    def elbo(self, n: int = 10_000, *, seed: int = 0) -> Estimate:
        """Return a Monte-Carlo estimate of the ELBO E_q[ln p(x, ζ) − ln q(ζ)] ≤ ln p(x) from n samples."""
        q = self.distribution()
        free = tensor(q.sample((n,), seed=seed, stream=1).numpy())
        return Estimate.of((self.joint.log_density(free) - q.log_prob(free)).numpy())

    def summary(self, n: int = 10_000, *, seed: int = 0) -> dict[str, dict[str, float]]:
        """Return mean, standard deviation and quantiles of every element, from n samples of q."""
        return summary_rows(self.sample(n, seed=seed))

    def to_dict(self, n: int = 1000, *, seed: int = 0) -> dict[str, dict[str, Array]]:
        """Return {"posterior": n samples of q} for ArviZ as one chain, (1, n, *shape) (see ``Chains.to_dict``)."""
        return {
            "posterior": {
                name: draws[None] for name, draws in self.sample(n, seed=seed).items()
            }
        }

    def __str__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return f"{show_summary(self.summary())}\n{state} after {self.history.steps} steps, ELBO {self.elbo()}"


def fit_variational(
    log_joint: LogJoint,
    family: str | Family = "mean_field",
    *,
    variables: Mapping[str, Variable | Shape],
    gradient: Gradient = "reparameterised",
    control_variate: ControlVariate = "leave_one_out",
    n_samples: int = 16,
    optimizer: Optimizer | None = None,
    max_steps: int = 20_000,
    steps_per_epoch: int = 100,
    tolerance: float = 1e-2,
    patience: int = 5,
    seed: int = 0,
    device: str = "cpu",
    verbose: int = 0,
) -> VariationalFit:
    """Fit a normal variational family to the posterior of a model given by its log-joint density.

    Mean-field and full families use natural gradients unless an optimizer is given (see ``natural``); these are
    invariant to the scales of the variables and, with a full covariance, to their correlations. Low-rank families, the
    score gradient and explicit optimizers use stochastic gradients, preconditioned by q from the second round on. The
    fit has converged if maximizing the ELBO of fresh samples gains at most ``tolerance`` nats, standard errors included
    (see ``optimality``); otherwise a ``DataWarning`` says by how much it may be off. Where the ELBO has several maxima,
    the one that is near q counts.

    Args:
        log_joint: Function of the values by name, each (S, *shape), to ln p(data, values) of S points, (S,).
        family: "mean_field", "full", "low_rank", or a ``Family`` with the initial parameters.
        variables: The latent variables by name: a shape, or a ``Variable`` with a bijector for a constrained one.
        gradient: Estimator of stochastic gradients: "reparameterised", "path" or "score".
        control_variate: Control variate of the score gradient: "leave_one_out" or "none".
        n_samples: Samples of each stochastic gradient.
        optimizer: Optimizer of stochastic gradients; None for natural gradients where applicable, and else Adam with
            a learning rate of 0.05.
        max_steps: Maximal number of steps.
        steps_per_epoch: Stochastic steps between two evaluations of the ELBO.
        tolerance: Accepted difference, in nats, from the best ELBO of the family.
        patience: Epochs that are compared with as many before (see ``Convergence``).
        seed: Seed of all samples.
        device: "cpu" or "reference".
        verbose: As in ``train.fit``.

    >>> fit = fit_variational(lambda v: v["z"] * v["z"] * -0.5, variables={"z": ()}, device="reference")
    >>> round(fit.distribution().variance.item(), 6), fit.converged
    (1.0, True)
    """
    joint = Joint(log_joint, variables)
    chosen = families.get(family, joint.size)
    objective = Objective(joint, chosen, gradient, control_variate)
    whole_number(n_samples, "n_samples", 2)
    whole_number(steps_per_epoch, "steps_per_epoch", 1)
    whole_number(max_steps, "max_steps", 1)
    convergence = Convergence(tolerance, patience)
    run = _Run(joint, chosen, tolerance, seed, device, gradient == "score")
    if optimizer is None and gradient != "score":
        found = run.by_natural_gradients(max_steps)
        if found is not None:
            return _warned(found, tolerance, max_steps)
    step = _Stochastic(
        objective, optimizer, n_samples, steps_per_epoch, convergence, verbose
    )
    return _warned(run.by_steps(step, max_steps), tolerance, max_steps)


def _warned(fit: VariationalFit, tolerance: float, max_steps: int) -> VariationalFit:
    """Warn unless the fit has converged, and return it."""
    if fit.converged:
        return fit
    steps = fit.history.steps
    told = f"fit_variational has not converged after {steps:,} steps: "
    if fit.history.stop_reason == NO_MAXIMUM or UNBOUNDED < fit.gap < np.inf:
        told += (
            "the ELBO is unbounded. The posterior cannot be normalized: give every "
            "variable a proper prior, and constrained ones a bijector."
        )
    elif not np.isfinite(fit.gap):
        told += (
            "its gap cannot be bounded, since ln p or its gradient is not finite at "
            "samples of q, or the ELBO is unbounded. Give constrained variables a "
            "bijector, and all of them proper priors."
        )
    else:
        told += (
            f"its ELBO may be {fit.gap:.2g} nats below the best of the family, more "
            f"than tolerance={tolerance:g}. "
        )
        told += "Raise max_steps" if steps >= max_steps - 100 else "Raise tolerance"
        told += ", or use variables in which the posterior is closer to a normal one."
    warnings.warn(told, DataWarning, stacklevel=user_level())
    return fit


@dataclass(frozen=True)
class _Stochastic:
    """Settings of the stochastic optimization."""

    objective: Objective
    optimizer: Optimizer | None
    n_samples: int
    steps_per_epoch: int
    convergence: Convergence
    verbose: int

    def round(self, max_steps: int, seed: int, device: str) -> History:
        """Maximize the ELBO until convergence or ``max_steps``."""
        draws = np.zeros((self.steps_per_epoch * self.n_samples, 1))
        return train.fit(
            self.objective,
            draws,
            draws[:, 0],
            loss=NegativeELBO(),
            optimizer=self.optimizer or Adam(learning_rate=0.05),
            epochs=max(1, max_steps // self.steps_per_epoch),
            batch_size=self.n_samples,
            shuffle=False,
            seed=seed,
            device=device,
            callbacks=[self.convergence],
            verbose=self.verbose,
            metrics=[
                FunctionMetric(lambda terms, _: terms[:, 1], "elbo"),
                StandardError(),
            ],
        )


@dataclass
class _Run:
    """The optimization of one family for one log-joint, and the test of convergence."""

    joint: Joint
    family: Family
    tolerance: float
    seed: int
    device: str
    by_score: bool
    history: History = field(default_factory=History)

    def by_natural_gradients(self, max_steps: int) -> VariationalFit | None:
        """Optimize by natural gradients; return None where the family or the log-joint requires stochastic steps."""
        family, density = (
            self.family,
            compiled_density(self.joint, self.device, with_slope=True),
        )
        q = family.distribution(fixed=True)
        full = isinstance(family, families.FullCovariance) and isinstance(q, FullNormal)
        start = (
            q.factor.numpy()
            if full and isinstance(q, FullNormal)
            else np.sqrt(q.variance.numpy())
        )
        ascent = Ascent(density, q.mean.numpy(), start, self.seed)
        if full and self.joint.size > _MOST_FULL:
            return None
        top = ascent.climb(self.tolerance, max_steps)
        if isinstance(family, families.FullCovariance | families.MeanField):
            left = np.inf
            if not ascent.unbounded and ascent.steps < max_steps:
                left = self._settle(ascent, max_steps)
            family.take(ascent.mean, ascent.factor)
            self._keep(ascent)
            ended = ascent.unbounded or ascent.steps >= max_steps
            if top or ended or np.isfinite(left):
                return self._result(left)
        elif isinstance(family, families.LowRank) and top:
            family.initialize_at(ascent.mean, ascent.factor)
        return None

    def _settle(self, ascent: Ascent, max_steps: int) -> float:
        """Go on with more samples; return the bound of the gap."""
        around = (Correlated if ascent.factor.ndim == 2 else Independent)(
            ascent.mean, ascent.factor
        )
        left = max_steps - ascent.steps
        found = settle(ascent.density, around, self.tolerance, self.seed, left)
        ascent.steps += found.steps
        q = found.coordinates
        if not np.isfinite(found.bound):
            return np.inf  # stochastic steps begin where the ascent ended
        if isinstance(q, Correlated):
            ascent.mean, ascent.factor = q.mean, q.factor
        elif isinstance(q, Independent):
            ascent.mean, ascent.factor = q.mean, q.deviations
        return found.bound

    def _keep(self, ascent: Ascent) -> None:
        """Record the natural-gradient steps in the history."""
        rows = [
            {"loss": -elbo, "elbo": elbo, "elbo_error": error}
            for elbo, error in ascent.elbos
        ]
        self.history = History(
            epochs=rows,
            step_losses=[row["loss"] for row in rows],
            steps=ascent.steps,
            engine=self.device,
            stop_reason=NO_MAXIMUM if ascent.unbounded else "",
        )

    def by_steps(self, stochastic: _Stochastic, max_steps: int) -> VariationalFit:
        """Optimize by stochastic steps, in rounds that are repeated until convergence."""
        n_rounds, left = 0, max_steps
        while True:
            if (
                n_rounds
                or self.history.steps
                or isinstance(self.family, families.LowRank)
            ):
                self.family.into_frame()
            found = stochastic.round(left, self.seed + n_rounds, self.device)
            self.family.out_of_frame()
            self._join(found)
            n_rounds, left = n_rounds + 1, left - found.steps
            fit = self._result()
            done = (
                fit.converged or found.interrupted or left < stochastic.steps_per_epoch
            )
            if done or not stochastic.convergence.at_rest or not np.isfinite(fit.gap):
                return fit

    def _join(self, further: History) -> None:
        """Append a further history."""
        before = self.history
        further.epochs[:0], further.step_losses[:0] = before.epochs, before.step_losses
        further.steps += before.steps
        further.samples += before.samples
        further.train_seconds += before.train_seconds
        self.history = further

    def _result(self, left: float = np.inf) -> VariationalFit:
        """Bound the gap by fresh samples unless that is done, and return the fit."""
        if not np.isfinite(left) and self.history.stop_reason != NO_MAXIMUM:
            left = self._gap()
        close = bool(left <= self.tolerance + ROUNDING)
        return VariationalFit(self.joint, self.family, self.history, close, left)

    def _gap(self) -> float:
        """Return an upper confidence bound of the gap of q; inf if q is not finite."""
        q = self.family.distribution(fixed=True)
        mean, flat = q.mean.numpy(), np.sqrt(q.variance.numpy())
        if not (np.isfinite(flat).all() and np.isfinite(mean).all()):
            return np.inf
        around = self.family.coordinates()
        if not self.by_score:
            density = compiled_density(self.joint, self.device, with_slope=True)
            return gap_bound(density, around, self.tolerance, self.seed)
        independent = isinstance(around, Independent)
        factor = (
            np.diag(flat) if independent else np.linalg.cholesky(q.covariance.numpy())
        )
        values = compiled_density(self.joint, self.device, with_slope=False)
        return bound_without_gradients(
            lambda points: evaluated(values, points)[0],
            Correlated(mean, factor),
            self.tolerance,
            self.seed,
            independent=independent,
        )


check_calls(__name__)
