"""Prediction files: CSV and NPZ."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.cli import options
from deltarule.cli.inputs.about import ModelMetadata
from deltarule.data.columns.number_format import parsed
from deltarule.errors import ArgumentError
from deltarule.train.checkpoint import write_atomically

Array = npt.NDArray[Any]
KINDS = (".csv", ".npz")
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "＝",
    "＋",
    "－",
    "＠",
)  # first characters of formulas in spreadsheets


def check_path(path: Path) -> None:
    """Raise ArgumentError unless ``write`` can write the file; called before anything is computed.

    >>> check_path(Path("predictions.txt"))
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: --output: expected a .csv or .npz file, got 'predictions.txt'.
    """
    if path.suffix.lower() not in KINDS:
        raise ArgumentError(
            "--output", expected=f"a {' or '.join(KINDS)} file", got=repr(str(path))
        )
    options.check_writable(path, "--output")


def write(
    path: Path,
    outputs: Array,
    about: ModelMetadata,
    rows: Array,
    truth: Array | None = None,
    *,
    formulas: bool = False,
    kept: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write row numbers, predictions, class probabilities and, if known, true values to a file, atomically.

    A CSV has the columns row (or file), prediction, truth, p(class) …; an NPZ the arrays rows, predictions, truth,
    probabilities, classes.

    Args:
        path: A .csv or .npz file.
        outputs: Probabilities (N, K) or numbers (N,).
        about: The metadata of the model.
        rows: Row numbers or file names, (N,).
        truth: True labels or values, if known.
        kept: Further columns by name, written behind the row numbers.
        formulas: Whether to write texts that a spreadsheet would run as formulas to a CSV without escaping them.
    """
    check_path(path)
    predicted = outputs.argmax(axis=1) if about.task == "classification" else outputs
    if path.suffix.lower() == ".npz":
        arrays = {name: np.array(cells) for name, cells in (kept or {}).items()}
        write_atomically(path, _npz(outputs, predicted, about, rows, truth, arrays))
    else:
        write_atomically(
            path,
            _csv(
                outputs,
                predicted,
                about,
                rows,
                truth,
                _as_it_is if formulas else harmless,
                kept or {},
            ),
        )


def _npz(
    outputs: Array,
    predicted: Array,
    about: ModelMetadata,
    rows: Array,
    truth: Array | None,
    kept: Mapping[str, Array],
) -> bytes:
    arrays = {**kept, "rows": rows, "predictions": predicted}
    if truth is not None:
        arrays["truth"] = truth
    if about.task == "classification":
        arrays |= {"probabilities": outputs, "classes": np.array(about.class_names)}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def harmless(text: str) -> str:
    """Escape a text that a spreadsheet would run as a formula with an apostrophe; numbers are unchanged.

    Reference: OWASP, CSV Injection.

    >>> harmless("=cmd|' /C calc'!A0"), harmless("-1.5"), harmless("-x"), harmless("rose")
    ("'=cmd|' /C calc'!A0", '-1.5', "'-x", 'rose')
    """
    return f"'{text}" if text.startswith(_FORMULA) and parsed(text) is None else text


def _as_it_is(text: str) -> str:
    return text


def _csv(
    outputs: Array,
    predicted: Array,
    about: ModelMetadata,
    rows: Array,
    truth: Array | None,
    cell: Callable[[str], str],
    kept: Mapping[str, Sequence[str]],
) -> bytes:
    classes = about.class_names if about.task == "classification" else ()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    known = [] if truth is None else ["truth"]
    what = "row" if rows.dtype.kind in "iu" else "file"
    writer.writerow(
        [
            what,
            *map(cell, kept),
            "prediction",
            *known,
            *(cell(f"p({name})") for name in classes),
        ]
    )
    for i, row in enumerate(rows.tolist()):
        right = [] if truth is None else [cell(_text(truth[i], classes))]
        shares = [f"{share:.6g}" for share in outputs[i].tolist()] if classes else []
        writer.writerow(
            [
                cell(row) if isinstance(row, str) else row,
                *(cell(cells[i]) for cells in kept.values()),
                cell(_text(predicted[i], classes)),
                *right,
                *shares,
            ]
        )
    return stream.getvalue().encode("utf-8")


def _text(value: Any, classes: tuple[str, ...]) -> str:
    return classes[int(value)] if classes else f"{float(value):.9g}"
