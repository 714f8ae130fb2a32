"""``deltarule export``: a trained model as one C file without dependencies, or as ONNX."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click

from deltarule.cli import options
from deltarule.cli.inputs.about import open_model
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.help import command as command_with
from deltarule.errors import ArgumentError, DependencyError
from deltarule.render.numbers import counted
from deltarule.train.checkpoint import write_atomically
from deltarule.train.listing import prediction_source
from deltarule.visible import shown


@command_with(
    "export",
    "deltarule export digits.dr --c digits.c    a C99 file with the weights: int predict(inputs, outputs)",
    "deltarule export digits.dr --onnx digits.onnx  for any runtime that reads ONNX",
)
@click.argument("model", type=options.PATH)
@click.option(
    "--c",
    "c_path",
    type=options.PATH,
    default=None,
    metavar="FILE",
    help="Write C to this file.",
)
@click.option(
    "--onnx",
    "onnx_path",
    type=options.PATH,
    default=None,
    metavar="FILE",
    help="Write ONNX to this file.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="B",
    help="Examples per call of the C function.",
)
@options.as_json
def command(
    model: Path,
    c_path: Path | None,
    onnx_path: Path | None,
    batch_size: int,
    as_json: bool,
) -> None:
    """Export a trained model (a .dr file) to C or ONNX."""
    if c_path is None and onnx_path is None:
        raise ArgumentError("export", expected="--c FILE or --onnx FILE", got="neither")
    module, about = open_model(model)
    for path, option in ((c_path, "--c"), (onnx_path, "--onnx")):
        if path is not None:
            options.check_writable(path, option)
    console, written = Console(as_json), {}
    if c_path is not None:
        text = prediction_source(module, about.input_shape, batch_size)
        write_atomically(c_path, text.encode())
        written["c"] = str(c_path)
        console.say(
            f"wrote {shown(c_path)}: {_signature(text)}, {counted(len(text.splitlines()), 'line')}"
        )
    if onnx_path is not None:
        try:
            onnx = importlib.import_module("deltarule.interop.onnx")
        except ImportError as error:
            raise DependencyError(
                "export --onnx",
                expected="the package onnx",
                got="none",
                hint='pip install "deltarule[onnx]"',
            ) from error
        onnx.export(module, onnx_path, input_shape=about.input_shape)
        written["onnx"] = str(onnx_path)
        console.say(f"wrote {shown(onnx_path)}", whole=True)
    console.finish(written)


def _signature(text: str) -> str:
    r"""Return the signature of the function in a C file on one line, without the shapes.

    >>> _signature("int predict(const float *inputs /* (1, 4) */,\n    float *outputs) {")
    'int predict(const float *inputs, float *outputs)'
    """
    found = re.search(r"^int predict\(.*?\)(?=\s*\{)", text, re.MULTILINE | re.DOTALL)
    return (
        re.sub(r"\s+", " ", re.sub(r"\s*/\*.*?\*/", "", found[0]))
        if found
        else "int predict(…)"
    )
