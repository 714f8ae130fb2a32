"""``deltarule exam``: question sheets and verified answer keys."""

from __future__ import annotations

from pathlib import Path

import click

from deltarule.cli import options
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.optim.exam import TOPICS, exam
from deltarule.train.checkpoint import write_atomically
from deltarule.visible import shown

EXAMPLES = (
    "deltarule exam networks --variants 2                  six networks to derive, two sheets",
    "deltarule exam optimizers --seed 3 --key              with the answers",
    "deltarule exam convolution --html sheet.html --hints  one page",
)


@command_with("exam", *EXAMPLES)
@click.argument("topic", metavar="TOPIC", type=click.Choice(list(TOPICS)))
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="S",
    help="Seed of the questions.",
)
@click.option(
    "--variants",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="V",
    help="Number of sheets.",
)
@click.option("--key", is_flag=True, help="Include the verified answers.")
@click.option("--hints", is_flag=True, help="Include a hint with each question.")
@click.option(
    "--latex", type=options.PATH, default=None, metavar="PATH", help="Write LaTeX."
)
@click.option(
    "--html",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Write an HTML page.",
)
@options.as_json
def command(
    topic: str,
    seed: int,
    variants: int,
    key: bool,
    hints: bool,
    latex: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Create question sheets on TOPIC with verified answer keys.

    TOPIC is networks (six derivations), gradients (the same with numbers), shapes, convolution, optimizers,
    normalization, divergence or initialization.
    """
    console = Console(as_json)
    for path, name in ((latex, "--latex"), (html, "--html")):
        if path is not None:
            options.check_writable(path, name)
    found = exam(topic, seed=seed, variants=variants)
    written = {}
    for path, text in (
        (latex, found.latex(answers=key, hints=hints, standalone=True)),
        (html, found.html(answers=key, hints=hints)),
    ):
        if path is not None:
            write_atomically(path, text.encode())
            written[path.suffix.lstrip(".")] = str(path)
    console.say(found.text(answers=key, hints=hints))
    for path_text in written.values():
        console.say(f"wrote {shown(path_text)}", whole=True)
    console.finish({**found.to_dict(answers=True), "written": written})
