"""``deltarule predict``: write the predictions of a trained model to a file."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from deltarule.cli import options
from deltarule.cli.inputs import rows
from deltarule.cli.inputs.about import open_model
from deltarule.cli.inputs.reading import column_names, data_name
from deltarule.cli.outputs import answers
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.cli.outputs.measure import outputs
from deltarule.visible import shown

EXAMPLES = (
    "deltarule predict flowers.dr new.csv                      writes new-predictions.csv",
    "deltarule predict sales.dr new.csv --keep id               copies the column id",
    "deltarule predict digits.dr new.npz --output said.npz     arrays predictions and probabilities",
    "deltarule predict animals.dr cat.jpg                       one picture, or a folder of pictures",
)
_SHOWN = 5  # predictions printed


@command_with("predict", *EXAMPLES)
@click.argument("model", type=options.PATH)
@click.argument("data", metavar="NAME|FILE|FOLDER")
@click.option(
    "--output",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Where to write (.csv or .npz) [FILE-predictions.csv].",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="A,B",
    help="Columns of the data to write beside the predictions (identifiers).",
)
@options.formulas
@options.device
@options.as_json
def command(
    model: Path,
    data: str,
    output: Path | None,
    keep: tuple[str, ...],
    formulas: bool,
    device: str,
    as_json: bool,
) -> None:
    """Write the predictions of a trained MODEL for new data; no targets are needed.

    Columns of a table are matched by the names of the training data; other columns are ignored. Missing cells and
    unknown categories are accepted, with a warning. NPZ files have an array inputs (or X). Images are resized to the
    input size of the model; the predictions then list file names instead of rows.
    """
    console = Console(as_json)
    path = output or Path(f"{data_name(data)}-predictions.csv")
    answers.check_path(path)
    module, about = open_model(model)
    pictures = rows.read_pictures(data, about)
    inputs, names = (
        pictures if pictures is not None else (rows.read_inputs(data, about), None)
    )
    predicted = outputs(module, inputs, about.task, device)
    answers.write(
        path,
        predicted,
        about,
        np.arange(len(inputs)) if names is None else np.array(names),
        formulas=formulas,
        kept=rows.read_kept(data, column_names(keep)),
    )
    for i in range(min(_SHOWN, len(predicted))):
        console.say(
            f"{f'row {i}' if names is None else shown(names[i])}: {_words(predicted[i], about.class_names)}"
        )
    if len(predicted) > _SHOWN:
        console.say(f"… and {len(predicted) - _SHOWN:,} more")
    console.say(f"predictions  {shown(path)}", whole=True)
    console.finish(
        {
            "samples": len(predicted),
            "task": about.task,
            "classes": list(about.class_names),
            "output": str(path),
        }
    )


def _words(predicted: npt.NDArray[np.float32], classes: tuple[str, ...]) -> str:
    if not classes:
        return f"{float(predicted):.6g}"
    best = int(predicted.argmax())
    return f"{shown(classes[best])} ({100 * float(predicted[best]):.1f} %)"
