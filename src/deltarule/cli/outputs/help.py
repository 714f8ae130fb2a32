"""Help pages with examples, wrapped to the terminal and printable in the stream's encoding."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import click

from deltarule.render.ascii import fitted
from deltarule.render.table import pad, width


class Context(click.Context):
    """A click context whose help is transliterated if the encoding of the output lacks a character."""

    def get_help(self) -> str:
        """Return the help page."""
        return fitted(super().get_help(), getattr(sys.stdout, "encoding", None))


class WithExamples(click.Command):
    """A command whose epilog has examples: a command line, at least two spaces, and an explanation."""

    context_class = Context

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        del ctx
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(
                "Examples:\n"
                + "".join(
                    f"  {line}\n"
                    for line in _align_examples(self.epilog, formatter.width - 2)
                )
            )


def command(
    name: str, *examples: str, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a function a command with examples.

    >>> @command("greet", "greet Ada  says hello")
    ... def greet(): ...
    >>> greet.name
    'greet'
    """
    return click.command(name, cls=WithExamples, epilog="\n".join(examples), **settings)


def _align_examples(text: str, room: int) -> list[str]:
    r"""Return command lines with their explanations beside them, or above them if they do not fit.

    >>> _align_examples("train a  learns\npredict b  answers", 20)
    ['train a    learns', 'predict b  answers']
    >>> _align_examples("train a  learns\npredict b  answers", 15)
    ['# learns', 'train a', '# answers', 'predict b']
    """
    pairs = [re.split(r" {2,}", line.strip(), maxsplit=1) for line in text.splitlines()]
    wide = max((width(pair[0]) for pair in pairs if len(pair) > 1), default=0)
    if all(wide + 2 + width(pair[1]) <= room for pair in pairs if len(pair) > 1):
        return [
            "  ".join([pad(pair[0], wide), pair[1]]) if len(pair) > 1 else pair[0]
            for pair in pairs
        ]
    return [
        line
        for pair in pairs
        for line in (*(f"# {text}" for text in pair[1:]), pair[0])
    ]
