"""Predictions as a file: CSV for people and spreadsheets, NPZ for programs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.cli import options
from deltarule.cli.about import About
from deltarule.errors import ArgumentError
from deltarule.train.checkpoint import write_atomically

Array = npt.NDArray[Any]
KINDS = (".csv", ".npz")


def check_path(path: Path) -> None:
    """Raise unless ``write`` knows the kind of file and may write it; called before anything is computed."""
    if path.suffix.lower() not in KINDS:
        raise ArgumentError("--output", expected=f"a {' or '.join(KINDS)} file", got=repr(str(path)))
    options.check_place(path, "--output")


def write(path: Path, outputs: Array, about: About, rows: Array, truth: Array | None = None) -> None:
    """Write row numbers, predictions, probabilities of the classes and, if known, the truth; all or nothing.

    ``rows`` may be names of files instead. CSV: columns row (or file), prediction, truth, p(class) …; NPZ: arrays
    rows, predictions, truth, probabilities, classes.
    """
    check_path(path)
    said = outputs.argmax(axis=1) if about.task == "classification" else outputs
    content = _npz if path.suffix.lower() == ".npz" else _csv
    write_atomically(path, content(outputs, said, about, rows, truth))


def _npz(outputs: Array, said: Array, about: About, rows: Array, truth: Array | None) -> bytes:
    arrays = {"rows": rows, "predictions": said}
    if truth is not None:
        arrays["truth"] = truth
    if about.task == "classification":
        arrays |= {"probabilities": outputs, "classes": np.array(about.class_names)}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _csv(outputs: Array, said: Array, about: About, rows: Array, truth: Array | None) -> bytes:
    classes = about.class_names if about.task == "classification" else ()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    known = [] if truth is None else ["truth"]
    writer.writerow(
        ["row" if rows.dtype.kind in "iu" else "file", "prediction", *known, *(f"p({name})" for name in classes)]
    )
    for i, row in enumerate(rows.tolist()):
        right = [] if truth is None else [_text(truth[i], classes)]
        shares = [f"{share:.6g}" for share in outputs[i].tolist()] if classes else []
        writer.writerow([row, _text(said[i], classes), *right, *shares])
    return stream.getvalue().encode("utf-8")


def _text(value: Any, classes: tuple[str, ...]) -> str:
    return classes[int(value)] if classes else f"{float(value):.9g}"
