"""Learning curves: a history as SVG figures and as an HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltarule.render.html import Block, Figure, Heading, Paragraph, Table, page
from deltarule.render.numbers import counted, number, rate, seconds
from deltarule.render.svg import Series, line_chart

_MAX_POINTS = 500  # of a curve over steps; longer curves are averaged in groups
_LOG_SCALE_RATIO = (
    20.0  # a loss with a larger ratio of maximum to minimum has a logarithmic axis
)
_TIMING = ("seconds", "samples_per_second")
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
    """Figures of a run as SVG by quantity; a notebook displays them.

    >>> figures = curves([{"loss": 2.0}, {"loss": 1.0}])
    >>> figures.svgs["loss"].startswith("<svg")
    True
    """

    svgs: dict[str, str]

    def _repr_html_(self) -> str:
        return "".join(self.svgs.values())

    def save(self, path: str | Path) -> Path:
        """Write the figures to one self-contained HTML page; return its path."""
        target = Path(path)
        target.write_text(
            page("Learning curves", [Figure(svg) for svg in self.svgs.values()]),
            encoding="utf-8",
        )
        return target


def quantities(epochs: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the names of the quantities to plot, without ``val_`` values and timings.

    >>> quantities([{"loss": 1.0, "val_loss": 2.0, "seconds": 0.1}])
    ['loss']
    """
    names = dict.fromkeys(name for epoch in epochs for name in epoch)
    return [
        name
        for name in names
        if name not in _TIMING and not (name.startswith("val_") and name[4:] in names)
    ]


def series_of(
    epochs: Sequence[Mapping[str, float]], name: str, best_epoch: int | None = None
) -> list[Series]:
    """Return the training and validation curves of a quantity, and the best epoch as a point.

    >>> [one.name for one in series_of([{"loss": 2.0, "val_loss": 3.0}], "loss", best_epoch=1)]
    ['training', 'validation', 'best, epoch 1']
    """
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


def _needs_log_scale(values: Sequence[float]) -> bool:
    finite = [value for value in values if math.isfinite(value)]
    return (
        bool(finite)
        and min(finite) > 0
        and max(finite) / min(finite) > _LOG_SCALE_RATIO
    )


def _over_steps(losses: Sequence[float]) -> Series:
    """Return the loss over steps, averaged in groups if there are many steps."""
    group = -(-len(losses) // _MAX_POINTS)
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
    """Return one figure per quantity over epochs, and the loss over steps.

    Args:
        epochs: Values by name, one mapping per epoch.
        step_losses: The loss of every step.
        best_epoch: The epoch, from 1, to mark on the loss.
        names: Quantities to plot; by default all.
        unit: Unit of the loss.
        size: Width and height of a figure, in pixels.

    >>> sorted(curves([{"loss": 1.0}], step_losses=[2.0, 1.0]).svgs)
    ['loss', 'step_losses']
    """
    svgs = {}
    for name in quantities(epochs) if names is None else names:
        drawn = series_of(epochs, name, best_epoch)
        log_scale = name == "loss" and _needs_log_scale(
            [y for one in drawn for y in one.y]
        )
        measured = unit if name == "loss" else _UNITS.get(name, "")
        svgs[name] = line_chart(
            drawn, _title(name), "epoch", measured, *size, log_y=log_scale
        )
    if step_losses:
        one = _over_steps(step_losses)
        svgs["step_losses"] = line_chart(
            [one],
            "Loss of every step",
            "step",
            unit,
            *size,
            log_y=_needs_log_scale(one.y),
        )
    return Curves(svgs)


def _title(name: str) -> str:
    """Return the title of a quantity's figure.

    >>> _title("r2"), _title("balanced_accuracy")
    ('R²', 'Balanced accuracy')
    """
    return _TITLES.get(name) or name[:1].upper() + name[1:].replace("_", " ")


def draw_on(
    axes: Any, epochs: Sequence[Mapping[str, float]], name: str, best_epoch: int | None
) -> Any:
    """Plot one quantity on matplotlib axes; return the axes."""
    for one in series_of(epochs, name, best_epoch):
        style = "o" if len(one.x) == 1 else "--" if one.dashed else "-"
        axes.plot(one.x, one.y, style, label=one.name)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name.replace("_", " "))
    axes.legend()
    return axes


def history_page(history: Mapping[str, Any], title: str) -> str:
    """Return the HTML page of a run from ``History.to_dict()``: curves, values of the epochs, times.

    >>> from deltarule.train.monitoring.history import History
    >>> "<h1>A run</h1>" in history_page(History().to_dict(), "A run")
    True
    """
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
