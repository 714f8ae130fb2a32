"""Training written out: a loop in float64 with PyTorch's autograd, for random options of ``fit`` together.

The loop shares with the library the order of rows (``data.batches``) and the rows of a split (``data.split``), which
have tests of their own; optimisers are those of ``optimizers_by_hand``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from tests.support.optimizers_by_hand import (
    AccumulatedByHand,
    AveragedByHand,
    ByHand,
    by_hand,
)

from deltarule import losses, nn, optim, train
from deltarule.data import batches, split
from support.oracles import torch

Array = np.ndarray[Any, Any]
N_IN, N_HIDDEN = 3, 5


@dataclass(frozen=True)
class Case:
    """Options of one or two runs of ``fit``, drawn by a seed."""

    seed: int
    loss: str
    n: int
    batch_size: int
    epochs: int
    optimizer: optim.Optimizer
    regularizers: tuple[losses.Penalty, ...] = ()
    frozen: tuple[str, ...] = ()
    weighted: bool = False
    class_weight: Any = None
    validation: str = ""  # "split", "data" or "weighted data"
    augmented: bool = False
    shuffle: bool = True
    stopping: dict[str, Any] | None = None
    plateau: dict[str, Any] | None = None
    factors: bool = False
    averages: bool = False
    fits: int = 1
    halt: int = 0  # the step after which the last run is interrupted, to be resumed
    checkpoint_every: int | None = None

    @property
    def n_out(self) -> int:
        """Outputs of the network."""
        return 3 if self.loss == "cross_entropy" else 2

    def data(self, rows: int = 0, salt: int = 0) -> tuple[Array, Array, Array]:
        """Return inputs, targets and weights."""
        random = np.random.default_rng([self.seed, 7, salt])
        n = rows or self.n
        x = random.normal(size=(n, N_IN))
        y = (
            random.integers(0, 3, n)
            if self.n_out == 3
            else np.tanh(x @ random.normal(size=(N_IN, 2))) + 0.1
        )
        if self.n_out == 3:
            y[:3] = [0, 1, 2]  # every class is there
        return x, y, random.uniform(0.2, 3.0, n)

    def model(self) -> nn.Sequential:
        """Return the network in float64, with the frozen parameters frozen."""
        model = nn.Sequential(
            nn.Linear(N_IN, N_HIDDEN), nn.Tanh(), nn.Linear(N_HIDDEN, self.n_out)
        ).astype("float64")
        model.initialize(self.seed % 1000)
        if self.frozen:
            model.freeze(*self.frozen)
        return model


def changed(inputs: Array, seed: int, epoch: int) -> Array:
    """Return inputs that are new in each epoch."""
    return inputs * (
        1.0
        + 0.05 * np.sin(np.arange(inputs.size).reshape(inputs.shape) + seed + 3 * epoch)
    )


# ---------------------------------------------------------------- drawing a case


def _schedule(random: np.random.Generator, rate: float) -> float | optim.Schedule:
    choices = [
        lambda: rate,
        lambda: rate,
        lambda: optim.StepDecay(rate, factor=0.6, every=int(random.integers(1, 5))),
        lambda: optim.ExponentialDecay(
            rate, decay=0.9, every=int(random.integers(1, 4))
        ),
        lambda: optim.InverseTimeDecay(rate, decay=0.2),
        lambda: optim.CosineDecay(rate, steps=7, end=rate / 10),
        lambda: optim.CosineDecay(rate, steps=5, restarts=True),
        lambda: optim.PolynomialDecay(rate, steps=20, power=2.0),
        lambda: optim.Piecewise((rate, rate / 2, rate / 4), boundaries=(3, 8)),
        lambda: optim.WarmUp(rate, steps=4),
        lambda: optim.WarmUp(optim.StepDecay(rate, factor=0.5, every=3), steps=3),
    ]
    return choices[random.integers(len(choices))]()


def _base(random: np.random.Generator) -> optim.Optimizer:
    clip = (
        {"clip_norm": 0.3}
        if random.random() < 0.2
        else {"clip_value": 0.1}
        if random.random() < 0.2
        else {}
    )
    decay = float(random.choice([0.0, 0.0, 0.05]))
    rate = _schedule(random, float(random.choice([0.02, 0.05])))
    kinds = [
        lambda: optim.SGD(learning_rate=rate, weight_decay=decay, **clip),
        lambda: optim.SGD(
            learning_rate=rate,
            momentum=0.8,
            nesterov=bool(random.integers(2)),
            weight_decay=decay,
            velocity=str(random.choice(["with_rate", "without_rate"])),
            **clip,
        ),
        lambda: optim.SGD(
            learning_rate=rate, momentum=0.5, weight_decay=decay, decoupled=True, **clip
        ),
        lambda: optim.Adam(learning_rate=rate, weight_decay=decay, **clip),
        lambda: optim.AdamW(learning_rate=rate, weight_decay=decay, **clip),
        lambda: optim.RMSProp(learning_rate=rate, epsilon=1e-3, **clip),
    ]
    return kinds[random.integers(len(kinds))]()


def _wrapped(random: np.random.Generator, inner: optim.Optimizer) -> optim.Optimizer:
    match random.integers(4):
        case 0:
            return optim.GradientAccumulation(
                inner=inner, every=int(random.integers(1, 4))
            )
        case 1:
            return optim.EMA(inner=inner, decay=float(random.choice([0.5, 0.9])))
        case 2:
            pattern = str(random.choice(["2.*", "*.bias", "0.weight"]))
            return optim.ParamGroups(groups={pattern: _base(random)}, default=inner)
    return optim.Proximal(
        inner=inner, strength=0.05, pattern=str(random.choice(["*weight", "*", "0.*"]))
    )


def _has_groups(recipe: optim.Optimizer) -> bool:
    return "ParamGroups" in repr(recipe)


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    random = np.random.default_rng(seed)
    chance = lambda p: bool(random.random() < p)  # noqa: E731  # said fifteen times below
    loss = "cross_entropy" if chance(0.4) else "mean_squared_error"
    n, epochs = int(random.integers(12, 40)), int(random.integers(1, 6))
    recipe = _base(random)
    for _ in range(random.integers(0, 3)):
        wrapped = _wrapped(random, recipe)
        recipe = (
            recipe
            if _has_groups(recipe) and isinstance(wrapped, optim.ParamGroups)
            else wrapped
        )
    inside = recipe
    while isinstance(inside, optim.GradientAccumulation):
        inside = inside.inner
    validation = str(random.choice(["", "split", "data", "weighted data"]))
    monitor = "val_loss" if validation else "loss"
    case = Case(
        seed=seed,
        loss=loss,
        n=n,
        batch_size=int(random.choice([1, 4, 7, 16, 64])),
        epochs=epochs,
        optimizer=recipe,
        frozen=tuple(random.choice(["0", "2.bias", "*.bias", "0.weight"], 1))
        if chance(0.3)
        else (),
        weighted=chance(0.3),
        validation=validation,
        augmented=chance(0.25),
        shuffle=chance(0.8),
        class_weight=[None, "balanced", {1: 3.0}][random.integers(3)]
        if loss == "cross_entropy"
        else None,
        stopping={
            "monitor": monitor,
            "patience": int(random.integers(1, 3)),
            "restore_best": chance(0.7),
            "min_delta": 0.02,
        }
        if chance(0.5)
        else None,
        plateau={"monitor": monitor, "patience": 1, "factor": 0.5, "min_delta": 0.02}
        if chance(0.3)
        else None,
        averages=isinstance(inside, optim.EMA) and chance(0.7),
        fits=1 + chance(0.3),
    )
    penalties: list[losses.Penalty] = []
    if chance(0.3):
        penalties.append(
            losses.L2(
                strength=0.02, pattern=str(random.choice(["*weight", "*", "0.*"]))
            )
        )
    if chance(0.2):
        penalties.append(
            losses.L1(strength=0.01, pattern=str(random.choice(["*weight", "2.*"])))
        )
    steps = case.epochs * math.ceil(n / case.batch_size)
    halted = chance(0.4)
    return replace(
        case,
        regularizers=tuple(penalties),
        factors=case.plateau is None and chance(0.2),
        halt=int(random.integers(1, steps + 1)) if halted else 0,
        checkpoint_every=[None, 1, 3][random.integers(3)] if halted else None,
    )


# ---------------------------------------------------------------- the loop


def _mean_loss(
    case: Case, weights: dict[str, torch.Tensor], x: Array, y: Array, w: Array
) -> tuple[Any, Any]:
    """Return the mean weighted loss of rows, and the sum of squared errors (0 for classes)."""
    hidden = torch.tanh(torch.tensor(x) @ weights["0.weight"].T + weights["0.bias"])
    z = hidden @ weights["2.weight"].T + weights["2.bias"]
    if case.n_out == 3:
        each = torch.logsumexp(z, 1) - z[torch.arange(len(y)), torch.tensor(y)]
        return (each * torch.tensor(w)).mean(), torch.tensor(0.0)
    error = z - torch.tensor(y)
    return ((error**2).mean(1) * torch.tensor(w)).mean(), (error.detach() ** 2).sum()


def _penalty(case: Case, weights: dict[str, torch.Tensor], learned: list[str]) -> Any:
    total = torch.zeros((), dtype=torch.float64)
    for penalty in case.regularizers:
        for name in learned:
            if fnmatchcase(name, penalty.pattern):
                w = weights[name]
                total = total + penalty.strength * (
                    w.abs().sum() if isinstance(penalty, losses.L1) else (w * w).sum()
                )
    return total


def _balanced(case: Case, y: Array, rows: Array) -> Array:
    """Return the weights of the classes of all rows."""
    if case.class_weight is None:
        return np.ones(len(y))
    if case.class_weight == "balanced":
        counts = np.bincount(y[rows], minlength=3)
        present = (counts > 0).sum()
        table = np.array([len(rows) / (present * c) if c else 1.0 for c in counts])
    else:
        table = np.array([case.class_weight.get(c, 1.0) for c in range(3)])
    return table[y]


class _Stopper:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.best, self.waited, self.kept = options, math.inf, 0, {}
        self.best_epoch = 0

    def improved(self, value: float) -> bool:
        if self.best == math.inf or value < self.best - self.options["min_delta"]:
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False


def _averaged(oracle: ByHand) -> AveragedByHand:
    while isinstance(oracle, AccumulatedByHand):
        oracle = oracle.inside
    assert isinstance(oracle, AveragedByHand)
    return oracle


class Loop:
    """One run: its data, and all that changes in the course of it."""

    def __init__(self, case: Case, start: dict[str, Array], salt: int) -> None:
        self.case, self.weights = case, dict(start)
        self.learned = [name for name, _ in case.model().named_parameters()]
        self.oracle, self.t, self.factor = by_hand(case.optimizer.config()), 0, 1.0
        self.stopper = _Stopper(case.stopping) if case.stopping else None
        self.plateau = _Stopper(case.plateau) if case.plateau else None
        self.step_losses: list[float] = []
        x, y, w = case.data(salt=salt)
        rows = np.arange(case.n)
        self.held = (
            case.data(9, salt + 50) if case.validation.endswith("data") else None
        )
        if case.validation == "split":
            labels = y if case.n_out == 3 else None
            parts = split(
                case.n, validation=0.3, test=0.0, seed=case.seed % 100, stratify=labels
            )
            rows, self.held = (
                parts.train,
                (x[parts.validation], y[parts.validation], w[parts.validation]),
            )
        own = (w if case.weighted else np.ones(case.n)) * _balanced(case, y, rows)
        self.x, self.y, self.w = x[rows], y[rows], own[rows]
        weighs = case.validation == "weighted data" or (
            case.validation == "split" and case.weighted
        )
        if self.held is not None and not weighs:
            self.held = (*self.held[:2], np.ones(len(self.held[0])))

    def shown(self) -> dict[str, Array]:
        """Return what is validated and kept: averages where they are asked for."""
        return self.weights | (
            _averaged(self.oracle).averages() if self.case.averages and self.t else {}
        )

    def step(self, x: Array, y: Array, w: Array) -> Array:
        """Make one step; return loss, penalty and squared error of the batch, each times what it counts."""
        given = {
            name: torch.tensor(value, requires_grad=name in self.learned)
            for name, value in self.weights.items()
        }
        loss, square = _mean_loss(self.case, given, x, y, w)
        penalty = _penalty(self.case, given, self.learned)
        slopes = torch.autograd.grad(
            loss + penalty, [given[name] for name in self.learned]
        )
        values = [self.weights[name] for name in self.learned]
        steps = self.oracle.step(
            self.learned,
            values,
            [slope.numpy() for slope in slopes],
            self.t,
            self.factor,
        )
        self.weights |= {
            name: value + step
            for name, value, step in zip(self.learned, values, steps, strict=True)
        }
        self.step_losses.append(loss.item())
        self.t += 1
        return np.array([loss.item() * len(x), penalty.item() * len(x), square.item()])

    def epoch(self, number: int) -> dict[str, float]:
        """Make the steps of an epoch; return its values."""
        case, n = self.case, len(self.x)
        self.factor = 1 / (1 + number) if case.factors else self.factor
        seen = changed(self.x, case.seed % 100, number) if case.augmented else self.x
        size = min(case.batch_size, n)
        order = batches(n, size, case.seed % 100, number, case.shuffle)
        groups = [order[first : first + size] for first in range(0, n, size)]
        loss, penalty, square = sum(
            self.step(seen[rows], self.y[rows], self.w[rows]) for rows in groups
        )
        logs = {
            "loss": loss / n,
            "learning_rate": self.oracle.rate(self.t - 1) * self.factor,
        }
        if case.regularizers:
            logs["penalty"] = penalty / n
        if case.n_out == 2:
            logs["rmse"] = math.sqrt(square / (2 * n))
        if self.held is not None:
            given = {name: torch.tensor(value) for name, value in self.shown().items()}
            value, error = _mean_loss(case, given, *self.held)
            logs["val_loss"] = value.item()
            if case.n_out == 2:
                logs["val_rmse"] = math.sqrt(float(error) / (2 * len(self.held[0])))
        return logs

    def ends(self, logs: dict[str, float]) -> bool:
        """Do what callbacks do after an epoch; return whether training ends."""
        if self.plateau is not None:
            self.plateau.improved(logs[self.plateau.options["monitor"]])
            if self.plateau.waited >= self.plateau.options["patience"]:
                self.factor, self.plateau.waited = (
                    max(1e-4, self.factor * self.plateau.options["factor"]),
                    0,
                )
        if self.stopper is None:
            return False
        if self.stopper.improved(logs[self.stopper.options["monitor"]]):
            self.stopper.kept = (
                dict(self.shown()) if self.stopper.options["restore_best"] else {}
            )
        return bool(self.stopper.waited >= self.stopper.options["patience"])


Result = tuple[dict[str, Array], list[dict[str, float]], list[float]]


def by_the_loop(case: Case, start: dict[str, Array], salt: int) -> Result:
    """Return final weights, the values of every epoch and the losses of every step."""
    loop, epochs = Loop(case, start, salt), []
    for number in range(case.epochs):
        epochs.append(loop.epoch(number))
        if loop.ends(epochs[-1]):
            break
    kept = loop.stopper.kept if loop.stopper is not None else {}
    return loop.shown() | kept, epochs, loop.step_losses


# ---------------------------------------------------------------- the library


class Halt(train.Callback):
    """Ctrl-C after some steps."""

    def __init__(self, step: int) -> None:
        self.every = step or None

    def on_steps(self, session: Any) -> None:
        raise KeyboardInterrupt


def callbacks_of(case: Case) -> list[train.Callback]:
    """Return the callbacks of a case."""
    found: list[train.Callback] = []
    if case.averages:
        found.append(train.UseAverages())
    if case.stopping is not None:
        found.append(train.EarlyStopping(**case.stopping))
    if case.plateau is not None:
        found.append(train.ReduceOnPlateau(**case.plateau))
    if case.factors:
        found.append(train.LearningRateFactor(lambda epoch: 1 / epoch))
    return found


def by_fit(
    case: Case,
    model: nn.Sequential,
    callbacks: list[train.Callback],
    salt: int,
    device: str,
    path: Any,
) -> Any:
    """Return the history of ``fit``, interrupted and resumed where the case says so."""
    x, y, w = case.data(salt=salt)
    options: dict[str, Any] = {
        "loss": case.loss,
        "optimizer": case.optimizer,
        "epochs": case.epochs,
        "batch_size": case.batch_size,
        "regularizers": case.regularizers,
        "class_weight": case.class_weight,
        "shuffle": case.shuffle,
        "sample_weight": w if case.weighted else None,
        "augment": changed if case.augmented else None,
        "metrics": ["rmse"] if case.n_out == 2 else [],
        "seed": case.seed % 100,
        "device": device,
        "verbose": 0,
    }
    if case.validation == "split":
        options["validation_split"] = 0.3
    elif case.validation:
        options["validation_data"] = case.data(9, salt + 50)[
            : 3 if case.validation == "weighted data" else 2
        ]
    if not case.halt:
        return model.fit(x, y, callbacks=callbacks, **options)
    options |= {"checkpoint": path, "checkpoint_every": case.checkpoint_every}
    halt = Halt(case.halt)
    model.fit(x, y, callbacks=[*callbacks, halt], **options)
    halt.every = 10**9
    again = case.model()  # another process knows the file alone
    history = again.fit(
        x, y, callbacks=[*callbacks_of(case), halt], resume=True, **options
    )
    model.load_state_dict(again.state_dict())
    return history


def check(case: Case, device: str, path: Any, tolerance: float = 1e-6) -> None:
    """Compare one case, run after run with the same callbacks and optimiser."""
    model, callbacks = case.model(), callbacks_of(case)
    weights = model.state_dict()
    for salt in range(case.fits):
        history = by_fit(
            case, model, callbacks, salt, device, path / f"{case.seed}-{salt}.dr"
        )
        weights, epochs, step_losses = by_the_loop(case, weights, salt)
        close = {"rtol": tolerance, "atol": tolerance * 1e-2, "err_msg": str(case)}
        np.testing.assert_allclose(history.step_losses, step_losses, **close)
        assert len(history.epochs) == len(epochs), case
        for ours, theirs in zip(history.epochs, epochs, strict=True):
            assert set(theirs) == set(ours) - {"seconds", "samples_per_second"}, case
            for name, value in theirs.items():
                np.testing.assert_allclose(
                    ours[name], value, **{**close, "err_msg": f"{name} of {case}"}
                )
        for name, value in model.state_dict().items():
            np.testing.assert_allclose(
                value, weights[name], **{**close, "err_msg": f"{name} of {case}"}
            )
