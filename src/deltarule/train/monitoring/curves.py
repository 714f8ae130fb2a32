"""Learning curves: a history as figures and as a one-file page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltarule.render.html import Block, Figure, Heading, Paragraph, Table, page
from deltarule.render.numbers import counted, number, rate, seconds
from deltarule.render.svg import Series, line_chart

_MOST_POINTS = 500  # of a curve over steps; more are averaged in groups
_WIDE = 20.0  # a loss that shrinks by more than this is drawn on a logarithmic axis
_CLOCK = ("seconds", "samples_per_second")
_SIZE = (640.0, 320.0)  # pixels
_TITLES = {"r2": "R²", "elbo": "ELBO", "kl": "KL to the prior"}
_UNITS = {
    "accuracy": "share right",
    "r2": "share of the variance explained",
    "elbo": "nats per example",
    "reconstruction": "nats per example",
    "kl": "nats per example",
}


@dataclass(frozen=True)
class Curves:
    """Figures of a run, as SVG texts by what they show; a notebook draws them."""

    svgs: dict[str, str]

    def _repr_html_(self) -> str:
        return "".join(self.svgs.values())

    def save(self, path: str | Path) -> Path:
        """Write the figures below each other as a page that stands alone; return its path."""
        target = Path(path)
        target.write_text(
            page("Learning curves", [Figure(svg) for svg in self.svgs.values()]),
            encoding="utf-8",
        )
        return target


def quantities(epochs: Sequence[Mapping[str, float]]) -> list[str]:
    """Return what there are curves of: names of values, without val_ and the clock."""
    names = dict.fromkeys(name for epoch in epochs for name in epoch)
    return [
        name
        for name in names
        if name not in _CLOCK and not (name.startswith("val_") and name[4:] in names)
    ]


def series_of(
    epochs: Sequence[Mapping[str, float]], name: str, best_epoch: int | None = None
) -> list[Series]:
    """Return training and validation values over epochs, and the best epoch as a point (REG-14)."""
    found = []
    for key, label in ((name, "training"), (f"val_{name}", "validation")):
        known = [
            (float(i), float(epoch[key]))
            for i, epoch in enumerate(epochs, 1)
            if key in epoch
        ]
        if known:
            found.append(
                Series(
                    label,
                    [x for x, _ in known],
                    [y for _, y in known],
                    dashed=label == "validation",
                )
            )
    if best_epoch is not None and found and name == "loss":
        points = dict(found[-1].points)
        if float(best_epoch) in points:
            found.append(
                Series(
                    f"best, epoch {best_epoch}",
                    [best_epoch],
                    [points[float(best_epoch)]],
                )
            )
    return found


def _is_wide(values: Sequence[float]) -> bool:
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > _WIDE


def _over_steps(losses: Sequence[float]) -> Series:
    """Return the loss over steps, averaged in groups where there are many."""
    group = -(-len(losses) // _MOST_POINTS)
    parts = [losses[start : start + group] for start in range(0, len(losses), group)]
    xs = [
        start + (len(part) + 1) / 2
        for start, part in zip(range(0, len(losses), group), parts, strict=True)
    ]
    return Series(
        f"mean of {group}" if group > 1 else "training",
        xs,
        [sum(part) / len(part) for part in parts],
    )


def curves(
    epochs: Sequence[Mapping[str, float]],
    step_losses: Sequence[float] = (),
    best_epoch: int | None = None,
    *,
    names: Sequence[str] | None = None,
    unit: str = "",
    size: tuple[float, float] = _SIZE,
) -> Curves:
    """Return one figure a quantity over epochs, and the loss over steps.

    Args:
        epochs: Values by name, one mapping an epoch.
        step_losses: The loss of every step.
        best_epoch: The epoch, from 1, that is marked on the loss.
        names: Quantities to draw; by default all.
        unit: What the loss is measured in.
        size: Width and height of a figure, in pixels.
    """
    svgs = {}
    for name in quantities(epochs) if names is None else names:
        drawn = series_of(epochs, name, best_epoch)
        wide = name == "loss" and _is_wide([y for one in drawn for y in one.y])
        measured = unit if name == "loss" else _UNITS.get(name, "")
        svgs[name] = line_chart(
            drawn, _title(name), "epoch", measured, *size, log_y=wide
        )
    if step_losses:
        one = _over_steps(step_losses)
        svgs["step_losses"] = line_chart(
            [one], "Loss of every step", "step", unit, *size, log_y=_is_wide(one.y)
        )
    return Curves(svgs)


def _title(name: str) -> str:
    """Return the heading of a quantity's figure.

    >>> _title("r2"), _title("balanced_accuracy")
    ('R²', 'Balanced accuracy')
    """
    return _TITLES.get(name) or name[:1].upper() + name[1:].replace("_", " ")


def draw_on(
    axes: Any, epochs: Sequence[Mapping[str, float]], name: str, best_epoch: int | None
) -> Any:
    """Draw one quantity on matplotlib axes; return them."""
    for one in series_of(epochs, name, best_epoch):
        style = "o" if len(one.x) == 1 else "--" if one.dashed else "-"
        axes.plot(one.x, one.y, style, label=one.name)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name.replace("_", " "))
    axes.legend()
    return axes


def history_page(history: Mapping[str, Any], title: str) -> str:
    """Return the page of a run from ``History.to_dict()``: curves, the epochs' values, time."""
    epochs, best = history["epochs"], history["best_epoch"]
    blocks: list[Block] = [Paragraph(_summary(history)), Heading("Learning curves")]
    blocks += [
        Figure(svg)
        for svg in curves(epochs, history["step_losses"], best).svgs.values()
    ]
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch))
    rows = [
        (i, *(number(epoch[n]) if n in epoch else "" for n in names))
        for i, epoch in enumerate(epochs, 1)
    ]
    if rows:
        header = ("epoch", *(name.replace("_", " ") for name in names))
        blocks += [Heading("Epochs"), Table(rows, header, ">" * len(header))]
    return page(title, blocks, "A training run of Deltarule")


def _summary(history: Mapping[str, Any]) -> str:
    speed = (
        history["samples"] / history["train_seconds"]
        if history["train_seconds"] > 0
        else 0.0
    )
    parts = [
        f"{counted(len(history['epochs']), 'epoch')}, {counted(history['steps'], 'step')} on the "
        f"{history['engine']} engine",
        f"{seconds(history['train_seconds'])} of training at {rate(speed, 'samples')}",
        f"{seconds(history['compile_seconds'])} of compiling",
    ]
    ends = (
        [f"the run was stopped: {history['stop_reason']}"]
        if history["stop_reason"]
        else []
    )
    ends += ["the run was interrupted"] if history["interrupted"] else []
    ends += (
        [f"the best epoch was {history['best_epoch']}"]
        if history["best_epoch"] is not None
        else []
    )
    return "; ".join([*parts, *ends]) + "."
