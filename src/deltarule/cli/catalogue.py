"""The commands of ``deltarule``, in the order of ``--help``. A new command is one line here and one module."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a command lives (its module holds a ``click.Command`` named ``command``) and what it is for."""

    module: str
    purpose: str


COMMANDS: dict[str, Entry] = {
    "train": Entry(
        "deltarule.cli.commands.train",
        "Train a network on a bundled data set or a file; write model and report.",
    ),
    "evaluate": Entry(
        "deltarule.cli.commands.evaluate",
        "Measure a trained model on data that has answers.",
    ),
    "predict": Entry(
        "deltarule.cli.commands.predict",
        "Write a trained model's predictions for a file.",
    ),
    "derive": Entry(
        "deltarule.cli.commands.derive",
        "Derive the gradient of a loss, every line proved.",
    ),
    "grade": Entry(
        "deltarule.cli.commands.grade",
        "Grade a gradient that a person typed, and name the mistake.",
    ),
    "exam": Entry(
        "deltarule.cli.commands.exam", "Set question sheets with verified answer keys."
    ),
    "summary": Entry(
        "deltarule.cli.commands.summary",
        "Print a model's layers with the arithmetic of shapes and parameters.",
    ),
    "export": Entry(
        "deltarule.cli.commands.export", "Write a trained model as C or ONNX."
    ),
    "bench": Entry(
        "deltarule.cli.commands.bench",
        "Measure training speed on the standard workloads.",
    ),
}
