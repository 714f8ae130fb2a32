"""Printing to streams: hidden characters are made visible, unencodable ones transliterated."""

from __future__ import annotations

import codecs
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import click

from deltarule.render.ascii import fitted
from deltarule.visible import visible

_HANDLER = "deltarule-spelled"


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return fitted(error.object[error.start : error.end], "ascii"), error.end


codecs.register_error(_HANDLER, _spelled)


@contextmanager
def spelling(*streams: TextIO) -> Iterator[None]:
    """Let streams transliterate unencodable characters instead of raising UnicodeEncodeError."""
    changed = [
        (stream, stream.errors) for stream in streams if hasattr(stream, "reconfigure")
    ]
    for stream, _ in changed:
        stream.reconfigure(errors=_HANDLER)
    try:
        yield
    finally:
        for stream, errors in changed:
            if not stream.closed:
                stream.reconfigure(errors=errors)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print text.

    >>> echo("loss 0.5")
    loss 0.5
    """
    stream = sys.stderr if err else sys.stdout
    click.echo(fitted(visible(text), getattr(stream, "encoding", None)), err=err)


def echo_json(record: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON value (RFC 8259); NaN and infinity become null.

    Control characters, and characters that the encoding lacks, are escaped.

    >>> echo_json({"loss": float("nan"), "steps": 3})
    {"loss": null, "steps": 3}
    """
    plain = _finite(record)
    text = "".join(
        c if visible(c) == c else _escaped(c)
        for c in json.dumps(plain, ensure_ascii=False)
    )
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        text = json.dumps(plain)
    click.echo(text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return (
        [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
    )
