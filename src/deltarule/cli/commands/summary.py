"""``deltarule summary``: the layers of a model with the arithmetic of shapes and parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from deltarule.cli import options
from deltarule.cli.inputs import data_source, models
from deltarule.cli.inputs.about import open_model
from deltarule.cli.outputs.console import Console, width
from deltarule.cli.outputs.help import command as command_with
from deltarule.files import write_atomically
from deltarule.train.listing import training_plan
from deltarule.visible import shown

EXAMPLES = (
    "deltarule summary digits.dr                a trained model",
    "deltarule summary digits                   the model that 'train digits' would train",
    "deltarule summary wine --model linear --json",
    "deltarule summary digits --svg digits.svg  a drawing of the layers",
)


@command_with("summary", *EXAMPLES)
@click.argument("name", metavar="MODEL|NAME|FILE|FOLDER")
@options.table
@click.option(
    "--model",
    default=None,
    metavar="M",
    help="linear, mlp or lenet, for a data set [by its shape].",
)
@click.option(
    "--memory",
    is_flag=True,
    help="Also print the memory plan of a training step with Adam.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="B",
    help="Batch size of the training step.",
)
@click.option(
    "--svg",
    type=options.PATH,
    default=None,
    metavar="FILE",
    help="Also draw the network: neurons of dense layers, otherwise blocks.",
)
@options.as_json
def command(
    name: str,
    model: str | None,
    memory: bool,
    batch_size: int,
    svg: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Print the layers of a trained model (a .dr file), or of the model for a data set.

    Shapes and parameter counts are shown with their arithmetic.
    """
    console = Console(as_json)
    if svg is not None:
        options.check_writable(svg, "--svg")
    if Path(name).suffix == ".dr":
        module, about = open_model(Path(name))
        title, shape = f"{name}: {about.model} for {about.data}", about.input_shape
    else:
        data = data_source.open_data(name, options.table_options(given))
        chosen = model or models.default_model(data)
        module = models.build(chosen, data, np.arange(data.n_samples), seed=0)
        title, shape = f"{chosen} for {data.title}", data.input_shape
    summary = module.summary(input_shape=shape)
    console.say(f"{shown(title)}\n\n{summary.text(width())}")
    record = summary.to_dict()
    if svg is not None:
        svg.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(svg, summary.svg().encode())
        console.say(f"\nwrote {shown(str(svg))}")
        record["svg"] = str(svg)
    if memory:
        classifies = (
            about.task == "classification"
            if Path(name).suffix == ".dr"
            else data.task == "classification"
        )
        loss, targets = (
            ("cross_entropy", ()) if classifies else ("mean_squared_error", (1,))
        )
        plan = training_plan(module, shape, targets, loss, "adam", batch_size)
        console.say(
            f"\na training step, {loss.replace('_', ' ')}, Adam, batches of {batch_size}: {plan.cost}"
        )
        console.say(f"\nmemory: {plan.memory}")
        record |= {
            "memory_bytes": plan.memory.nbytes,
            "step_kernels": plan.cost.statements,
            "step_flops": plan.cost.flops,
            "step_bytes": plan.cost.read + plan.cost.written,
        }
    console.finish(record)
