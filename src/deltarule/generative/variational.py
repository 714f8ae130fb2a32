"""Variational inference for any log-joint: q* = arg min KL(q(z)‖p(z|x)) by ascent on the ELBO (VI-16, VI-17).

ELBO(q) = E_q[ln p(x, z)] − E_q[ln q(z)] = ln p(x) − KL(q(z)‖p(z|x)) (VI-18; the gap is to the posterior, E003-21).
Gradients, all without bias: "reparameterised" through ζ = μ + Lε with the entropy in closed form; "path" the same
without the score of q, whose variance vanishes at q = p(z|x) (Roeder et al. 2017); "score" E[(f − b)∇ln q] with the
mean of the other draws as control variate b (Ranganath et al. 2014; Kool et al. 2019), for joints that are not smooth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from deltarule import nn, train
from deltarule.errors import ArgumentError
from deltarule.generative import families
from deltarule.generative.bound import NegativeELBO, StandardError
from deltarule.generative.distributions import MultivariateNormal
from deltarule.generative.divergence import Estimate
from deltarule.generative.families import Family
from deltarule.generative.joint import Joint, LogJoint, Variable, show_summary, summary_rows
from deltarule.nn.check import whole_number
from deltarule.nn.context import require
from deltarule.optim import Adam, Optimizer
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.functional import stack
from deltarule.tensor.tensor import Tensor, tensor
from deltarule.train import Callback, History
from deltarule.train.metrics import FunctionMetric

Gradient = Literal["reparameterised", "path", "score"]
ControlVariate = Literal["leave_one_out", "none"]


@final
class Objective(nn.Module):
    """Draws ζ ~ q and gives, for each draw, the loss whose gradient is that of −ELBO, and ln p(x, ζ) − ln q(ζ)."""

    def __init__(self, joint: Joint, family: Family, gradient: Gradient, control_variate: ControlVariate) -> None:
        if gradient not in {"reparameterised", "path", "score"}:
            raise ArgumentError("gradient", expected="'reparameterised', 'path' or 'score'", got=repr(gradient))
        if control_variate not in {"leave_one_out", "none"}:
            raise ArgumentError("control_variate", expected="'leave_one_out' or 'none'", got=repr(control_variate))
        self.joint, self.family = joint, family
        self.gradient, self.control_variate = gradient, control_variate

    def forward(self, draws: Tensor) -> Tensor:
        """Return (S, 2) for S draws; ``draws`` (S, 1) only says how many."""
        context = require("Objective")
        seed, step, stream = context.draw("Objective") if context.mode == "training" else (0, 0, 0)
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
class Convergence(Callback):
    """Stop when the ELBO of an epoch no longer grows by more than tolerance·|ELBO| and twice its Monte-Carlo error.

    After ``patience`` such epochs the learning rate is divided by 10 (the noise of the steps shrinks); after
    ``stages`` divisions the run has converged.
    """

    adjusts_rate = True

    def __init__(self, tolerance: float = 1e-4, patience: int = 5, stages: int = 2) -> None:
        if not tolerance >= 0:
            raise ArgumentError("Convergence tolerance", expected="a number ≥ 0", got=repr(tolerance))
        self.tolerance, self.patience = tolerance, whole_number(patience, "Convergence patience", 1)
        self.stages = whole_number(stages, "Convergence stages", 0)
        self.reset()

    def reset(self) -> None:
        """Forget the best ELBO, and begin with the first stage."""
        self._best, self._waited, self._stage = -np.inf, 0, 0
        self.converged = False

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Compare with the best ELBO so far."""
        del epoch
        elbo, error = logs["elbo"], logs["elbo_error"]
        if elbo > self._best + self.tolerance * abs(elbo) + 2 * error:
            self._best, self._waited = elbo, 0
            return
        self._waited += 1
        if self._waited < self.patience:
            return
        self._waited, self._stage = 0, self._stage + 1
        if self._stage > self.stages:
            self.converged = session.stop = True
            session.history.stop_reason = f"the ELBO no longer grows ({elbo:.6g} ± {error:.2g})"
        else:
            session.learning_rate_factor /= 10.0

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the best ELBO, how long it has stood, and the stage."""
        return {"best": float(self._best), "waited": self._waited, "stage": self._stage}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what ``state`` returned."""
        del arrays
        self._best, self._waited, self._stage = float(data["best"]), int(data["waited"]), int(data["stage"])


@final
@dataclass(frozen=True)
class VariationalFit:
    """The fitted q: draws of the variables, the ELBO with its error, summaries."""

    joint: Joint
    family: Family
    history: History
    converged: bool

    def distribution(self) -> MultivariateNormal:
        """Return q of the free numbers, in the order of the variables."""
        return self.family.distribution(fixed=True)

    def sample(self, n: int, *, seed: int) -> dict[str, Array]:
        """Return n draws of every variable, (n, *shape)."""
        return self.joint.arrays(self.distribution().sample((n,), seed=seed).numpy())

    def elbo(self, n: int = 10_000, *, seed: int = 0) -> Estimate:
        """Return E_q[ln p(x, ζ) − ln q(ζ)] ≤ ln p(x) by n draws, with its standard error."""
        q = self.distribution()
        free = tensor(q.sample((n,), seed=seed, stream=1).numpy())
        return Estimate.of((self.joint.log_density(free) - q.log_prob(free)).numpy())

    def summary(self, n: int = 10_000, *, seed: int = 0) -> dict[str, dict[str, float]]:
        """Return mean, deviation and quantiles of every variable's elements, from n draws of q."""
        return summary_rows(self.sample(n, seed=seed))

    def to_dict(self, n: int = 1000, *, seed: int = 0) -> dict[str, dict[str, Array]]:
        """Return {"posterior": n draws of q} for ArviZ as one chain, (1, n, *shape) (see ``Chains.to_dict``)."""
        return {"posterior": {name: draws[None] for name, draws in self.sample(n, seed=seed).items()}}

    def __str__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return f"{show_summary(self.summary())}\n{state} after {self.history.steps} steps, ELBO {self.elbo()}"


def fit_variational(
    log_joint: LogJoint, family: str | Family = "mean_field", *, variables: Mapping[str, Variable | Shape],
    gradient: Gradient = "reparameterised", control_variate: ControlVariate = "leave_one_out", n_samples: int = 16,
    optimizer: Optimizer | None = None, max_steps: int = 20_000, steps_per_epoch: int = 100,
    tolerance: float = 1e-4, patience: int = 5, seed: int = 0, device: str = "cpu", verbose: int = 0,
) -> VariationalFit:  # fmt: skip
    """Fit q from a family of normals to the posterior of a model given as its log-joint (VI-16).

    Args:
        log_joint: values by name, each (S, *shape) → ln p(data, values) of S points, (S,).
        family: "mean_field", "full", "low_rank", or a ``Family`` (its parameters are where the ascent begins).
        variables: The unknowns by name: a shape, or a ``Variable`` with a bijector for a constrained one.
        gradient: "reparameterised", "path" or "score".
        control_variate: Of the score gradient: "leave_one_out" or "none".
        n_samples: Draws of a step.
        optimizer: Adam with a rate of 0.05 unless given.
        max_steps: Most steps.
        steps_per_epoch: Steps between two looks at convergence.
        tolerance: Relative growth of the ELBO that counts (see ``Convergence``).
        patience: Epochs without such growth before the rate is lowered.
        seed: Decides all draws.
        device: "cpu" or "reference".
        verbose: As in ``train.fit``.

    >>> fit = fit_variational(lambda v: v["z"] * v["z"] * -0.5, variables={"z": ()}, max_steps=500, device="reference")
    >>> round(fit.summary()["z"]["deviation"], 1)
    1.0
    """
    joint = Joint(log_joint, variables)
    chosen = families.get(family, joint.size)
    whole_number(n_samples, "n_samples", 2)
    whole_number(steps_per_epoch, "steps_per_epoch", 1)
    objective = Objective(joint, chosen, gradient, control_variate)
    convergence = Convergence(tolerance, patience)
    draws = np.zeros((steps_per_epoch * n_samples, 1))
    history = train.fit(
        objective, draws, draws[:, 0], loss=NegativeELBO(), optimizer=optimizer or Adam(learning_rate=0.05),
        epochs=max(1, max_steps // steps_per_epoch), batch_size=n_samples, shuffle=False, seed=seed, device=device,
        metrics=[FunctionMetric(lambda terms, _: terms[:, 1], "elbo"), StandardError()], callbacks=[convergence],
        verbose=verbose,
    )  # fmt: skip
    return VariationalFit(joint, chosen, history, convergence.converged)
