"""``deltarule grade``: check a gradient given as a formula, and name the mistake."""

from __future__ import annotations

from typing import Any, cast

import click

from deltarule.cli import options
from deltarule.cli.inputs import problem
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.tensor.explain import grade

EXAMPLES = (
    "deltarule grade network.py:loss W_1 'δ₁xᵀ'                       Unicode or ASCII mathematics",
    r"deltarule grade network.py:loss W_1 '\delta_1 x^\top'            LaTeX",
    "deltarule grade network.py:loss W_1 'np.outer(delta_1, x)' --json  a Python expression",
)


@command_with("grade", *EXAMPLES, context_settings={"ignore_unknown_options": True})
@click.argument("place", metavar="FILE.py:NAME")
@click.argument("variable")
@click.argument("answer")
@click.option(
    "--layout",
    type=click.Choice(["denominator", "numerator"]),
    default="denominator",
    show_default=True,
)
@click.option(
    "--language",
    type=click.Choice(["auto", "latex", "mathematics", "python"]),
    default="auto",
    show_default=True,
)
@options.as_json
def command(
    place: str, variable: str, answer: str, layout: str, language: str, as_json: bool
) -> int:
    """Grade ANSWER as the gradient of a loss with respect to VARIABLE; the status is 1 if it is wrong."""
    console = Console(as_json)
    found = problem.load(place, None)
    result = grade(
        found.loss,
        found.variable(variable, "variable"),
        answer,
        layout=cast(Any, layout),
        language=language,
        parameters=list(found.variables),
    )
    understood = result.understood
    if understood is not None:
        console.say(f"read as  {understood}")
    console.say(str(result))
    console.finish(
        {
            "correct": result.correct,
            "mistake": result.mistake,
            "line": result.line,
            "message": result.message,
            "understood": None
            if understood is None
            else {"text": str(understood), "latex": understood.latex()},
        }
    )
    return 0 if result.correct else 1
