"""``deltarule derive``: the gradient of a loss in matrix calculus, verified line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from deltarule.cli import options
from deltarule.cli.inputs import problem
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.errors import ArgumentError, GraphError
from deltarule.explain.derivation.derivation import Layout
from deltarule.explain.explanation import Derivation
from deltarule.explain.page.page import entry, size
from deltarule.explain.results.jacobians import MatrixDerivative
from deltarule.explain.results.slices import Slices
from deltarule.render.mathematics import to_latex, to_text
from deltarule.tensor.closed_forms import derive_jacobian, derive_slices
from deltarule.tensor.explain import derive
from deltarule.train.checkpoint import write_atomically
from deltarule.visible import shown

EXAMPLES = (
    "deltarule derive network.py:loss                    a loss, or a function that returns one",
    "deltarule derive network.py:loss --wrt W_1,b_1 --layout numerator",
    "deltarule derive network.py:loss --html page.html   one page with MathML, readable without a script",
    "deltarule derive network.py:loss --assume y=one-hot  what is known of inputs, stated and used",
    "deltarule derive network.py:z --wrt x,W_1           a vector: its Jacobian, and its slices by a matrix",
)


@command_with("derive", *EXAMPLES)
@click.argument("place", metavar="FILE.py:NAME")
@click.option(
    "--wrt",
    default=None,
    metavar="W,B",
    help="Variables by name (default: all parameters).",
)
@click.option(
    "--layout",
    type=click.Choice(["denominator", "numerator"]),
    default="denominator",
    show_default=True,
)
@click.option(
    "--detail",
    type=click.Choice(["answers", "steps", "every"]),
    default="steps",
    show_default=True,
)
@click.option(
    "--batch",
    type=click.Choice(["matrices", "example"]),
    default="matrices",
    show_default=True,
    help="A batch in matrices, or one example and the mean.",
)
@click.option(
    "--latex",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Write a LaTeX document.",
)
@click.option(
    "--html",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Write an HTML page.",
)
@options.assume
@options.as_json
def command(
    place: str,
    wrt: str | None,
    layout: str,
    detail: str,
    batch: str,
    latex: Path | None,
    html: Path | None,
    assume: dict[str, str],
    as_json: bool,
) -> None:
    """Derive the gradient of a loss, one named signal per line, with every line verified numerically.

    NAME is a scalar tensor, or a function that returns a loss or (loss, variables). For a vector, its Jacobian with
    respect to each vector is derived, and with respect to each matrix the slices of the 3-tensor.
    """
    console = Console(as_json)
    for path, name in ((latex, "--latex"), (html, "--html")):
        if path is not None:
            options.check_writable(path, name)
    found = problem.load(place, wrt, vectors=True)
    if found.loss.shape != () and assume:
        raise ArgumentError("--assume", expected="a scalar loss", got="a vector")
    if found.loss.shape != ():
        _of_vector(found, cast(Any, layout), latex, html, console)
        return
    derivation = derive(
        found.loss,
        wrt=found.without(() if wrt else assume) or list(found.variables),
        layout=cast(Any, layout),
        detail=cast(Any, detail),
        batch=batch,
        assume=dict(assume),
    )
    report = derivation.check()
    console.say(str(derivation))
    written = {}
    for path, text in (
        (latex, derivation.latex(standalone=True)),
        (html, derivation.html()),
    ):
        if path is not None:
            write_atomically(path, text.encode())
            written[path.suffix.lstrip(".")] = str(path)
            console.say(f"wrote {shown(path)}", whole=True)
    console.finish(
        {
            "lines": _records(derivation),
            "proved": bool(report),
            "max_error": report.max_error,
            "written": written,
        }
    )
    if not report:
        raise GraphError(
            "derive", expected="every line to be proved", got=report.summary
        )


def _records(derivation: Derivation) -> list[dict[str, Any]]:
    """Return the lines of a derivation for programs."""
    return [
        {
            "number": line.number,
            "left": to_text(e.left),
            "right": to_text(e.right),
            "latex": to_latex(e.right),
            "shape": size(line.shape),
            "reason": line.reason,
        }
        for line in derivation.steps
        for e in [entry(line, derivation.derived.loss_name)]
    ]


def _of_vector(
    found: problem.Problem,
    layout: Layout,
    latex: Path | None,
    html: Path | None,
    console: Console,
) -> None:
    """Derive the derivatives of a vector: Jacobians with respect to vectors, slices with respect to matrices."""
    if html is not None:
        raise ArgumentError(
            "--html",
            expected="a scalar loss",
            got="a vector",
            hint="--latex writes its derivatives.",
        )
    if layout == "numerator" and any(len(one.shape) == 2 for one in found.variables):
        raise ArgumentError(
            "--layout", expected="denominator for slices by a matrix", got=layout
        )
    derivatives: list[MatrixDerivative | Slices] = [
        derive_slices(found.loss, one)
        if len(one.shape) == 2
        else derive_jacobian(found.loss, one, layout=layout)
        for one in found.variables
    ]
    reports = [one.check() for one in derivatives]
    for one in derivatives:
        console.say(str(one))
    if latex is not None:
        texts = [
            one.latex() if isinstance(one, Slices) else rf"\[ {one.latex()} \]"
            for one in derivatives
        ]
        write_atomically(latex, "\n".join(texts).encode())
        console.say(f"wrote {shown(latex)}", whole=True)
    lines = [line for one in derivatives for line in one.lines]
    error = max(
        (max(report.difference_error, report.engine_error) for report in reports),
        default=0.0,
    )
    written = {"latex": str(latex)} if latex is not None else {}
    console.finish(
        {"lines": lines, "proved": all(reports), "max_error": error, "written": written}
    )
    if not all(reports):
        raise GraphError(
            "derive",
            expected="every line to be proved",
            got="; ".join(map(str, reports)),
        )
