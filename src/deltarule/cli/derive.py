"""``deltarule derive``: the gradient of a loss in matrix calculus, proved line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from deltarule.cli import options, problem
from deltarule.cli.console import Console
from deltarule.errors import GraphError
from deltarule.explain.page import entry, size
from deltarule.render.mathematics import to_latex, to_text
from deltarule.tensor.explain import derive

EXAMPLES = options.examples(
    "deltarule derive network.py:loss                    a loss, or a function that returns one",
    "deltarule derive network.py:loss --wrt W_1,b_1 --layout numerator",
    "deltarule derive network.py:loss --html page.html   one page with MathML, readable without a script",
)


@click.command("derive", epilog=EXAMPLES)
@click.argument("place", metavar="FILE.py:NAME")
@click.option("--wrt", default=None, metavar="W,B", help="Variables by name (default: all parameters).")
@click.option("--layout", type=click.Choice(["denominator", "numerator"]), default="denominator", show_default=True)
@click.option("--detail", type=click.Choice(["answers", "steps", "every"]), default="steps", show_default=True)
@click.option(
    "--batch",
    type=click.Choice(["matrices", "example"]),
    default="matrices",
    show_default=True,
    help="A batch in matrices, or one example and the mean.",
)
@click.option("--latex", type=options.PATH, default=None, metavar="PATH", help="Write a LaTeX document.")
@click.option("--html", type=options.PATH, default=None, metavar="PATH", help="Write an HTML page.")
@options.as_json
def command(
    place: str,
    wrt: str | None,
    layout: str,
    detail: str,
    batch: str,
    latex: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Derive the gradient of a loss, one named signal a line, every line proved numerically.

    NAME is a scalar tensor, or a function that returns a loss or (loss, variables).
    """
    console = Console(as_json)
    for path, name in ((latex, "--latex"), (html, "--html")):
        if path is not None:
            options.check_place(path, name)
    found = problem.load(place, wrt)
    derivation = derive(found.loss, wrt=list(found.variables), layout=cast(Any, layout), detail=cast(Any, detail),
                        batch=batch)  # fmt: skip
    report = derivation.check()
    console.say(str(derivation))
    written = {}
    for path, text in ((latex, derivation.latex(standalone=True)), (html, derivation.html())):
        if path is not None:
            path.write_text(text, encoding="utf-8")
            written[path.suffix.lstrip(".")] = str(path)
            console.say(f"wrote {path}")
    lines = [
        {"number": line.number, "left": to_text(e.left), "right": to_text(e.right), "latex": to_latex(e.right),
         "shape": size(line.shape), "reason": line.reason}
        for line in derivation.steps for e in [entry(line, derivation.derived.loss_name)]
    ]  # fmt: skip
    console.finish({"lines": lines, "proved": bool(report), "max_error": report.max_error, "written": written})
    if not report:
        raise GraphError("derive", expected="every line to be proved", got=report.summary)
