"""The entry point of the command line: commands are imported on use, and errors are printed without traceback."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import click

from deltarule import __version__
from deltarule.cli.catalogue import COMMANDS
from deltarule.cli.outputs.console import echo_error
from deltarule.cli.outputs.help import WithExamples
from deltarule.cli.outputs.output import echo, spelling
from deltarule.cli.outputs.wording import flags_of, in_current_flags, rewrite_in_flags
from deltarule.errors import DataWarning, DeltaruleError
from deltarule.startup import (
    Termination,
    is_program,
    leave_at_interrupt,
    raise_at_interrupt,
)

_TERMINATION = Termination()


class LazyGroup(WithExamples, click.Group):
    """A group that imports the module of a command only when the command runs.

    >>> LazyGroup("deltarule").list_commands(click.Context(program))[:3]
    ['train', 'evaluate', 'predict']
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the catalogue."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(
            COMMANDS[cmd_name].module
        ).command
        raise_at_interrupt()  # imports are done: from here on the command handles interrupts
        _TERMINATION.listen()
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first argument; for an unknown name, suggest the closest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            guess = (
                f" Did you mean {near[0]!r}?"
                if near
                else f" The commands are {', '.join(COMMANDS)}."
            )
            raise click.UsageError(f"There is no command {args[0]!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; rewrite errors of the library in terms of the command's options."""
        try:
            return super().invoke(ctx)
        except DeltaruleError as error:
            rewrite_in_flags(
                error, flags_of(self.get_command(ctx, ctx.invoked_subcommand or ""))
            )
            raise

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the list of commands with their purposes."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, entry.purpose) for name, entry in COMMANDS.items()]
            )


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="deltarule train digits  a convolutional network on real handwritten digits\n"
    "deltarule train flowers.csv --target species  a network on a table of your own\n"
    "deltarule predict digits.dr new.npz  predictions of a trained model for new data\n"
    "deltarule COMMAND --help  options and examples of one command",
)
@click.version_option(__version__, prog_name="deltarule")
def program() -> None:
    """Train it, differentiate it, explain it: deep learning on one lazy tensor graph."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; errors are printed to stderr without traceback.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    deltarule, version ...
    0
    """
    with spelling(sys.stdout, sys.stderr):
        return _guarded(arguments)


def _guarded(arguments: Sequence[str] | None) -> int:
    previous = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("once", DataWarning)
            status = program.main(
                arguments, prog_name="deltarule", standalone_mode=False
            )
            sys.stdout.flush()
            return status if isinstance(status, int) else 0
    except click.ClickException as error:
        message = io.StringIO()
        error.show(message)
        echo(message.getvalue().rstrip(), err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted", err=True)
        return _TERMINATION.status()
    except BrokenPipeError:
        # The reader of the pipe (head, less) has closed it; redirect the interpreter's final flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DeltaruleError, OSError) as error:
        echo_error(f"error: {error}")
        return 1
    finally:
        warnings.showwarning = previous
        if is_program():
            leave_at_interrupt()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning in one line, with its place in the code unless it is a DataWarning."""
    del file, line
    place = (
        ""
        if issubclass(category, DataWarning)
        else f" ({category.__name__}, {filename}:{lineno})"
    )
    echo_error(f"warning: {in_current_flags(str(message))}{place}")
