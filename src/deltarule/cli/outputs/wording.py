"""Rewrite errors of the library in terms of command-line options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from functools import partial

import click

from deltarule.cli.inputs.reading import quoted
from deltarule.errors import DeltaruleError

_PHRASES = {  # hints for Python, and for the command line
    "Lower the learning rate, clip gradients (clip_norm=1.0), or scale": "Lower --learning-rate, or scale",
    "leave resume out": "leave --resume out",
    "only epochs may differ": "only --epochs may differ",
    "to begin another run from these weights, use dr.load(path) and fit without resume": (
        "for another run name another file with --checkpoint, without --resume"
    ),
}
_WITHOUT = {  # hints without an option of the command line
    r", or read the column as categories: categorical=\[[^\]]*\]": "",
    r"; categorical=\[[^\]]*\] makes it a (column of categories|feature)": "",
    r", or leave this one out: ignore=\[[^\]]*\]": "",
    r"Bring all to one size: size=\([^)]*\)": "Bring all to one size",
}


def flags_of(command: click.Command | None) -> dict[str, str]:
    """Return the flags of a command's options, by the names of the arguments in Python.

    >>> flags_of(click.Command("fit", params=[click.Option(["--batch-size"])]))
    {'batch_size': '--batch-size'}
    """
    options = [
        option
        for option in (command.params if command else ())
        if isinstance(option, click.Option)
    ]
    return {option.name: option.opts[0] for option in options if option.name}


def rewrite_in_flags(error: DeltaruleError, flags: Mapping[str, str]) -> None:
    """Rewrite the texts of an error, replacing names of arguments with the flags of the command.

    >>> error = DeltaruleError("SGD batch_size", expected="the same seed as before", hint='Use device="cpu".')
    >>> rewrite_in_flags(error, {"batch_size": "--batch-size", "seed": "--seed", "device": "--device"})
    >>> print(error)
    --batch-size: expected the same --seed as before.
      Use --device cpu.
    """
    owner, _, last = error.where.rpartition(" ")
    error.where = flags[last] if last in flags and " " not in owner else error.where
    error.expected, error.got, error.hint = (
        in_flags(text, flags) for text in (error.expected, error.got, error.hint)
    )


def in_current_flags(text: str) -> str:
    """Return a text with the flags of the running command; outside of a command, unchanged.

    >>> in_current_flags("batch_size=3")
    'batch_size=3'
    """
    context = click.get_current_context(silent=True)
    return text if context is None else in_flags(text, flags_of(context.command))


def _listed(flag: str, found: re.Match[str]) -> str:
    """Return a flag with the items of a Python list, quoted for a shell."""
    try:
        values = [str(value) for value in ast.literal_eval(f"[{found[1]}]")]
    except (ValueError, SyntaxError):
        return f"{flag} {found[1]}"
    return f"{flag} {shlex.quote(','.join(map(quoted, values)))}"


def in_flags(text: str, flags: Mapping[str, str]) -> str:
    """Return a text of the library with names of arguments replaced by flags.

    >>> in_flags("leave it out with ignore=['a b', 'c']; header=False says otherwise", {"ignore": "--ignore",
    ...     "header": "--header"})
    "leave it out with --ignore 'a b,c'; --no-header says otherwise"
    """
    for phrase, instead in _PHRASES.items():
        text = text.replace(phrase, instead)
    for name, flag in flags.items():
        text = re.sub(rf"(?<![\w.-]){name}=\[([^\]]*)\]", partial(_listed, flag), text)
        text = re.sub(rf"(?<![\w.-]){name}=True\b", flag, text)
        text = re.sub(
            rf"(?<![\w.-]){name}=False\b", f"--no-{flag.removeprefix('--')}", text
        )
        text = re.sub(rf'(?<![\w.-]){name}="([^"]*)"', rf"{flag} \1", text)
        text = re.sub(rf"(?<![\w.-]){name}=(?=[\w+-])", f"{flag} ", text)
        text = re.sub(rf"\bthe same {name}\b", f"the same {flag}", text)
        if "_" in name:  # not an English word
            text = re.sub(rf"(?<![\w.-]){name}\b(?!\()", flag, text)
    for phrase, instead in _WITHOUT.items():
        text = re.sub(phrase, instead, text)
    return text
