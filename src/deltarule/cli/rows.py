"""Files for a model that exists: columns found by the names that it learned, classes by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.cli.about import About
from deltarule.cli.source import one_each, with_channels
from deltarule.data import BUNDLED, Dataset, load, read_columns, read_folder
from deltarule.errors import ArgumentError, DataError, ShapeError

Array = npt.NDArray[Any]


def read_inputs(name: str, about: About) -> Array:
    """Return the inputs in a file (or bundled data set), in the order of the model's features; targets may lack."""
    return _open(name, about, None, wanted=False).inputs


def read_examples(name: str, about: About, target: str | None) -> Dataset:
    """Return inputs and targets, these as numbers of the model's classes."""
    return _open(name, about, target, wanted=True)


def _open(name: str, about: About, target: str | None, wanted: bool) -> Dataset:
    known = name.replace("-", "_")
    if known in BUNDLED:
        if target is not None:
            raise ArgumentError("--target", expected="a file", got=f"the bundled data set {name!r}, which has its own")
        data = load(known)
        answers = data.targets if data.task == "regression" else np.array(data.class_names)[data.targets]
        inputs: Array = data.inputs
        names: tuple[str, ...] = data.feature_names
    elif Path(name).is_dir():
        data = read_folder(name)
        inputs, names = data.inputs, data.feature_names
        answers = np.array(data.class_names)[data.targets] if data.class_names else data.targets
    elif Path(name).suffix.lower() == ".npz":
        inputs, found = _arrays(Path(name), (target,) if target else (about.target, "targets", "y"), wanted)
        answers, names = (found if found is not None else np.zeros(len(inputs))), ()
    else:
        columns = read_columns(name, _needed(about, (target or about.target) if wanted else None))
        inputs, names = _features(name, columns, about), about.feature_names
        answers = np.array(_column(name, columns, target or about.target)) if wanted else np.zeros(len(inputs))
    inputs = with_channels(inputs.astype(np.float32))
    if tuple(inputs.shape[1:]) != about.input_shape:
        raise ShapeError(
            f"inputs of {name}", expected=f"examples of shape {about.input_shape}, as the model was trained on",
            got=str(tuple(inputs.shape[1:])),
        )  # fmt: skip
    targets = _targets(name, one_each(name, answers, len(inputs)), about) if wanted else np.zeros(len(inputs), np.int64)
    return Dataset(Path(name).stem, name, about.task, inputs, targets, names, about.class_names)


def _needed(about: About, target: str | None) -> frozenset[str]:
    """Return the columns that may not have missing cells; feature ``c=a`` is value a of column c."""
    features = {part for name in about.feature_names for part in (name, name.rpartition("=")[0])}
    return frozenset(features | ({target} if target else set()))


def _arrays(file: Path, places: tuple[str, ...], wanted: bool) -> tuple[Array, Array | None]:
    if not file.exists():
        raise DataError(f"file {file}", expected="a file that exists", got="none", hint=f"Looked in {Path.cwd()}.")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError) as error:
        raise DataError(f"file {file}", expected="an .npz file of plain arrays", got=str(error)) from error
    inputs = next((held[name] for name in ("inputs", "X", "x") if name in held), None)
    targets = next((held[name] for name in places if name in held), None)
    if inputs is None or (wanted and targets is None):
        answers = "targets (or X and y)" if len(places) > 1 else f"{places[0]} (or X for inputs)"
        needed = f"arrays inputs and {answers}" if wanted else "an array inputs (or X)"
        raise DataError(f"file {file}", expected=needed, got=", ".join(held) or "no arrays")
    return inputs, targets


def _column(name: str, columns: dict[str, list[str]], column: str) -> list[str]:
    if column not in columns:
        raise DataError(f"file {name}", expected=f"a column {column!r}", got=", ".join(columns))
    return columns[column]


def _features(name: str, columns: dict[str, list[str]], about: About) -> Array:
    """Return the model's features; ``colour=red`` is 1 where column ``colour`` says red, other columns are left out."""
    if not about.feature_names:
        raise DataError(
            f"file {name}", expected="an .npz file, as the model was trained on arrays without names", got="columns"
        )
    found, known = [], _categories(about.feature_names, columns)
    for column, categories in known.items():
        strange = sorted(set(columns[column]) - categories)
        if strange:
            raise DataError(
                f"column {column!r} of {name}", expected=f"one of {', '.join(sorted(categories))}", got=repr(strange[0])
            )
    for feature in about.feature_names:
        column, _, category = feature.rpartition("=")
        if feature not in columns and column in known:
            found.append(np.array([cell == category for cell in columns[column]], np.float32))
        else:
            found.append(_numbers(name, feature, _column(name, columns, feature)))
    return np.stack(found, axis=1)


def _categories(features: tuple[str, ...], columns: dict[str, list[str]]) -> dict[str, set[str]]:
    """Return the categories that the model knows of each column of text."""
    known: dict[str, set[str]] = {}
    for feature in features:
        column, sign, category = feature.rpartition("=")
        if sign and feature not in columns and column in columns:
            known.setdefault(column, set()).add(category)
    return known


def _numbers(name: str, column: str, cells: list[str]) -> Array:
    where = f"column {column!r} of {name}"
    try:
        exact = np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise DataError(where, expected="numbers", got=str(error)) from error
    with np.errstate(over="ignore"):
        single = exact.astype(np.float32)
    if not np.isfinite(single).all():
        strange = cells[int(np.isfinite(single).argmin())]
        raise DataError(where, expected="finite numbers, up to 3.4e38", got=repr(strange))
    return single


def _targets(name: str, answers: Array, about: About) -> Array:
    if about.task == "regression":
        return _numbers(name, about.target or "target", [str(value) for value in answers.tolist()])
    known = {text: label for label, text in enumerate(about.class_names)}
    labels = []
    for row, value in enumerate(answers.tolist()):
        text = _class_text(value)
        if text not in known:
            raise DataError(
                f"targets of {name}", expected=f"one of {', '.join(about.class_names)}", got=f"{value!r} in row {row}"
            )
        labels.append(known[text])
    return np.array(labels, np.int64)


def _class_text(value: Any) -> str:
    """Return a class as the model names it: whole numbers without a fraction.

    >>> _class_text("3.0"), _class_text(3), _class_text("setosa")
    ('3', '3', 'setosa')
    """
    try:
        number = float(value)
    except ValueError:
        return str(value)
    return str(int(number)) if number.is_integer() else str(value)
