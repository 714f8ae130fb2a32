"""``deltarule evaluate``: the score of a trained model on labelled data."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from deltarule.cli import options
from deltarule.cli.inputs import data_source, rows
from deltarule.cli.inputs.about import ModelMetadata, open_model
from deltarule.cli.outputs import answers
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.cli.outputs.measure import measure
from deltarule.data import Dataset
from deltarule.render.numbers import number
from deltarule.render.table import text_table
from deltarule.visible import shown

EXAMPLES = (
    "deltarule evaluate digits.dr digits                 the test part of the data that it was trained on",
    "deltarule evaluate flowers.dr more.csv              columns are found by their names",
    "deltarule evaluate digits.dr new.npz --output said.csv --json",
)
_MOST_CLASSES = 20  # classes listed


@command_with("evaluate", *EXAMPLES)
@click.argument("model", type=options.PATH)
@click.argument("data", metavar="NAME|FILE|FOLDER")
@options.target
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Use all rows, including the training rows.",
)
@click.option(
    "--output",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Write predictions (.csv or .npz).",
)
@options.formulas
@options.device
@options.as_json
def command(
    model: Path,
    data: str,
    target: str | None,
    everything: bool,
    output: Path | None,
    formulas: bool,
    device: str,
    as_json: bool,
) -> None:
    """Evaluate a trained MODEL on labelled data.

    On the data that the model was trained on, only the test rows are used.
    """
    console = Console(as_json)
    if output is not None:
        answers.check_path(output)
    module, about = open_model(model)
    examples = rows.read_examples(data, about, target)
    chosen, part = _part(examples, about, everything)
    measured = measure(module, examples, chosen, device)
    score = measured.score
    value, words = score.parts()
    console.say(f"{shown(model)} on {part} of {shown(data)}")
    console.say(
        f"{value} {words.replace('test examples', 'examples')}, loss {number(score.loss)}"
    )
    if score.confusion is not None and examples.n_classes <= _MOST_CLASSES:
        console.say("\n" + _per_class(score.confusion, examples.class_names))
    if output is not None:
        answers.write(
            output,
            measured.outputs,
            about,
            chosen,
            examples.targets[chosen],
            formulas=formulas,
        )
        console.say(f"predictions  {shown(output)}")
    console.finish(
        {
            score.metric: score.value,
            "loss": score.loss,
            "samples": score.n,
            "part": part,
            "confusion": None if score.confusion is None else score.confusion.tolist(),
            "classes": list(about.class_names),
            "output": None if output is None else str(output),
        }
    )


def _part(
    examples: Dataset, about: ModelMetadata, everything: bool
) -> tuple[npt.NDArray[np.int64], str]:
    """Return the rows to evaluate: the test rows of the training data, or all rows of other data."""
    if not everything and data_source.fingerprint(examples) == about.fingerprint:
        return data_source.divide(examples, about.seed).test, "the test part"
    return np.arange(examples.n_samples), "all rows"


def _per_class(counts: npt.NDArray[np.int64], classes: tuple[str, ...]) -> str:
    """Return a table with one line per class: examples, recall and precision."""
    predicted = counts.sum(axis=0)
    lines = [
        (
            shown(name),
            int(counts[i].sum()),
            _share(counts[i, i], counts[i].sum()),
            _share(counts[i, i], predicted[i]),
        )
        for i, name in enumerate(classes)
    ]
    return text_table(
        lines, header=("class", "examples", "found", "right"), align="<>>>", rule=True
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
