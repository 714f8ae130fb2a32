"""Optimisers, schedules and wrappers written out with NumPy in float64: an oracle that shares no code with ``optim``.

A recipe is read from its ``config()``. ``step(names, parameters, gradients, t, factor)`` gives the updates of step t.
"""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Config = dict[str, Any]


def rate_of(schedule: Any, t: int) -> float:
    """Return the rate of a number or of a schedule's config at step t."""
    if not isinstance(schedule, dict):
        return float(schedule)
    s = schedule
    eta = s.get("learning_rate", 0.0)
    match s["schedule"]:
        case "Constant":
            return float(eta)
        case "StepDecay":
            return float(eta * s["factor"] ** (t // s["every"]))
        case "ExponentialDecay":
            return float(eta * s["decay"] ** (t / s["every"]))
        case "InverseTimeDecay":
            return float(eta / (1 + s["decay"] * t))
        case "CosineDecay":
            part = (t / s["steps"]) % 1 if s["restarts"] else min(1, t / s["steps"])
            return float(
                s["end"] + (eta - s["end"]) * (1 + math.cos(math.pi * part)) / 2
            )
        case "PolynomialDecay":
            return float(
                s["end"] + (eta - s["end"]) * (1 - min(1, t / s["steps"])) ** s["power"]
            )
        case "Piecewise":
            return float(s["rates"][sum(t >= boundary for boundary in s["boundaries"])])
        case "WarmUp":
            later = (
                rate_of(eta, max(t - s["steps"], 0)) if isinstance(eta, dict) else eta
            )
            return float(min(1, (t + 1) / s["steps"]) * later)
    raise ValueError(s["schedule"])


class ByHand:
    """An optimiser at work; ``rate`` and ``rates`` are those of step t."""

    def __init__(self, config: Config) -> None:
        self.c = config
        self.kept: dict[str, list[Array]] = {}

    def step(
        self,
        names: list[str],
        p: list[Array],
        g: list[Array],
        t: int,
        factor: float = 1.0,
    ) -> list[Array]:
        return self.moved(names, p, self.clipped(g), t, factor)

    def clipped(self, g: list[Array]) -> list[Array]:
        if (limit := self.c.get("clip_value")) is not None:
            g = [np.clip(x, -limit, limit) for x in g]
        if (limit := self.c.get("clip_norm")) is not None:
            norm = math.sqrt(sum(float((x * x).sum()) for x in g))
            g = [x * min(1.0, limit / max(norm, 1e-30)) for x in g]
        return g

    def rate(self, t: int) -> float:
        return rate_of(self.c["learning_rate"], t)

    def rates(self, names: list[str], t: int) -> list[float]:
        return [self.rate(t)] * len(names)

    def moved(
        self, names: list[str], p: list[Array], g: list[Array], t: int, factor: float
    ) -> list[Array]:
        eta = self.rate(t) * factor
        return [
            self.one(self.kept.setdefault(n, []), x, d, t, eta)
            for n, x, d in zip(names, p, g, strict=True)
        ]

    def one(self, kept: list[Array], p: Array, g: Array, t: int, eta: float) -> Array:
        c = self.c
        g = -g if c.get("maximize") else g
        decay = c.get("weight_decay", 0.0)
        apart = c["optimizer"] in {"AdamW", "Lion"} or bool(c.get("decoupled"))
        g = g if apart else g + decay * p
        return self.direction(kept, g, t, eta) - (eta * decay * p if apart else 0.0)

    def direction(self, kept: list[Array], g: Array, t: int, eta: float) -> Array:
        c = self.c
        if not kept:
            kept.extend(np.zeros_like(g) for _ in range(3))
        match c["optimizer"]:
            case "SGD":
                return self.descent(kept, g, eta)
            case "Adam" | "AdamW":
                kept[0] = c["beta1"] * kept[0] + (1 - c["beta1"]) * g
                kept[1] = c["beta2"] * kept[1] + (1 - c["beta2"]) * g * g
                first, second = (
                    kept[0] / (1 - c["beta1"] ** (t + 1)),
                    kept[1] / (1 - c["beta2"] ** (t + 1)),
                )
                return -eta * first / (np.sqrt(second) + c["epsilon"])
            case "RMSProp":
                kept[0] = c["beta"] * kept[0] + (1 - c["beta"]) * g * g
                return -eta * g / np.sqrt(kept[0] + c["epsilon"])
            case "Lion":
                update = np.sign(c["beta1"] * kept[0] + (1 - c["beta1"]) * g)
                kept[0] = c["beta2"] * kept[0] + (1 - c["beta2"]) * g
                return -eta * update
        raise ValueError(c["optimizer"])

    def descent(self, kept: list[Array], g: Array, eta: float) -> Array:
        alpha, old = self.c["momentum"], kept[0]
        if not alpha:
            return -eta * g
        if self.c["velocity"] == "with_rate":
            kept[0] = alpha * old - eta * g
            return (
                (1 + alpha) * kept[0] - alpha * old if self.c["nesterov"] else kept[0]
            )
        kept[0] = alpha * old + g
        return -eta * (g + alpha * kept[0] if self.c["nesterov"] else kept[0])


class Grouped(ByHand):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.inner = {
            key: by_hand(value)
            for key, value in {**config["groups"], "default": config["default"]}.items()
        }

    def of(self, name: str) -> str:
        return next(
            (pattern for pattern in self.c["groups"] if fnmatchcase(name, pattern)),
            "default",
        )

    def rate(self, t: int) -> float:
        return self.inner["default"].rate(t)

    def rates(self, names: list[str], t: int) -> list[float]:
        return [self.inner[self.of(name)].rates([name], t)[0] for name in names]

    def moved(
        self, names: list[str], p: list[Array], g: list[Array], t: int, factor: float
    ) -> list[Array]:
        updates: dict[str, Array] = {}
        for key, optimizer in self.inner.items():
            own = [i for i, name in enumerate(names) if self.of(name) == key]
            if own:
                mine = [names[i] for i in own]
                steps = optimizer.step(
                    mine, [p[i] for i in own], [g[i] for i in own], t, factor
                )
                updates |= dict(zip(mine, steps, strict=True))
        return [updates[name] for name in names]


class _Around(ByHand):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.inside = by_hand(config["inner"])

    def rate(self, t: int) -> float:
        return self.inside.rate(t)

    def rates(self, names: list[str], t: int) -> list[float]:
        return self.inside.rates(names, t)


class AccumulatedByHand(_Around):
    def rate(self, t: int) -> float:
        return self.inside.rate(t // self.c["every"])

    def rates(self, names: list[str], t: int) -> list[float]:
        k = self.c["every"]
        return (
            self.inside.rates(names, t // k) if t % k == k - 1 else [0.0] * len(names)
        )

    def moved(
        self, names: list[str], p: list[Array], g: list[Array], t: int, factor: float
    ) -> list[Array]:
        k = self.c["every"]
        for name, slope in zip(names, g, strict=True):
            self.kept.setdefault(name, []).append(slope)
        if t % k != k - 1:
            return [np.zeros_like(x) for x in p]
        means = [sum(self.kept.pop(name)) / k for name in names]
        return self.inside.step(names, p, means, t // k, factor)


class AveragedByHand(_Around):
    def moved(
        self, names: list[str], p: list[Array], g: list[Array], t: int, factor: float
    ) -> list[Array]:
        steps = self.inside.step(names, p, g, t, factor)
        for name, x, step in zip(names, p, steps, strict=True):
            (mean,) = self.kept.get(name, [x])
            self.kept[name] = [
                self.c["decay"] * mean + (1 - self.c["decay"]) * (x + step)
            ]
        return steps

    def averages(self) -> dict[str, Array]:
        return {name: mean for name, (mean,) in self.kept.items()}


class ProximalByHand(_Around):
    def moved(
        self, names: list[str], p: list[Array], g: list[Array], t: int, factor: float
    ) -> list[Array]:
        updates = []
        steps = zip(
            names,
            p,
            self.inside.step(names, p, g, t, factor),
            self.rates(names, t),
            strict=True,
        )
        for name, x, step, eta in steps:
            moved = x + step
            if fnmatchcase(name, self.c["pattern"]):
                moved = np.sign(moved) * np.maximum(
                    np.abs(moved) - eta * factor * self.c["strength"], 0.0
                )
            updates.append(moved - x)
        return updates


_KINDS = {
    "ParamGroups": Grouped,
    "GradientAccumulation": AccumulatedByHand,
    "EMA": AveragedByHand,
    "Proximal": ProximalByHand,
}


def by_hand(config: Config) -> ByHand:
    """Return the optimiser of a ``config()``."""
    return _KINDS.get(config["optimizer"], ByHand)(config)
