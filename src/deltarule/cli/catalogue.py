"""The commands of ``deltarule``, in the order of ``--help``."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """The module of a command, which has a ``click.Command`` named ``command``, and its purpose.

    >>> COMMANDS["train"].module
    'deltarule.cli.commands.train'
    """

    module: str
    purpose: str


COMMANDS: dict[str, Entry] = {
    "train": Entry(
        "deltarule.cli.commands.train",
        "Train a network on a bundled data set or a file; write model and report.",
    ),
    "evaluate": Entry(
        "deltarule.cli.commands.evaluate",
        "Evaluate a trained model on labelled data.",
    ),
    "predict": Entry(
        "deltarule.cli.commands.predict",
        "Write the predictions of a trained model for a file.",
    ),
    "derive": Entry(
        "deltarule.cli.commands.derive",
        "Derive the gradient of a loss, with every line verified.",
    ),
    "grade": Entry(
        "deltarule.cli.commands.grade",
        "Grade a gradient given as a formula, and name the mistake.",
    ),
    "exam": Entry(
        "deltarule.cli.commands.exam",
        "Create question sheets with verified answer keys; grade answers.",
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
        "Measure training speed on the benchmark workloads.",
    ),
}
