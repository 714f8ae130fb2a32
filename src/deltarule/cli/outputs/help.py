"""Help pages: wrapped to the terminal, with examples beside or above their explanations, in the stream's encoding."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import click

from deltarule.render.ascii import fitted
from deltarule.render.table import pad, width


class Context(click.Context):
    """A context whose help is spelled where the output's encoding lacks a character."""

    def get_help(self) -> str:
        """Return the help page."""
        return fitted(super().get_help(), getattr(sys.stdout, "encoding", None))


class WithExamples(click.Command):
    """A command whose epilog holds lines of examples: a command line, two spaces or more, and what it does."""

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
                    for line in _layout_examples(self.epilog, formatter.width - 2)
                )
            )


def command(
    name: str, *examples: str, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a command with examples."""
    return click.command(name, cls=WithExamples, epilog="\n".join(examples), **settings)


def _layout_examples(text: str, room: int) -> list[str]:
    r"""Return command lines with their explanations beside them, or above where they do not fit beside.

    >>> _layout_examples("train a  learns\npredict b  answers", 20)
    ['train a    learns', 'predict b  answers']
    >>> _layout_examples("train a  learns\npredict b  answers", 15)
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
        for line in (*(f"# {told}" for told in pair[1:]), pair[0])
    ]
