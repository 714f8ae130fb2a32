"""Read data for a trained model: columns are matched by feature names, labels by class names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import data as tables
from deltarule.cli.inputs.about import ModelMetadata
from deltarule.cli.inputs.data_source import targets_per_example, with_channels
from deltarule.data import (
    BUNDLED,
    Dataset,
    TableSchema,
    load,
    read_folder,
)
from deltarule.data.columns.encodings import CategoryColumn, NumberColumn
from deltarule.data.columns.number_format import parsed
from deltarule.data.formats.image_folder import ENDINGS, image_size
from deltarule.data.tabular.csv_files import TextOptions
from deltarule.data.tabular.npz import npz_arrays
from deltarule.data.tabular.sources import open_table
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    ShapeError,
    user_level,
)
from deltarule.visible import listed

Array = npt.NDArray[Any]


def read_inputs(name: str, about: ModelMetadata) -> Array:
    """Return the inputs in a file or bundled data set, in the order of the model's features; targets are optional."""
    return _open(name, about, None, wanted=False).inputs


def read_pictures(name: str, about: ModelMetadata) -> tuple[Array, list[str]] | None:
    """Return the unlabelled images in a file or folder, and their names; None for data of another kind.

    They are resized to the input shape of the model, with a DataWarning.
    """
    path = Path(name)
    flat = path.is_dir() and any(
        file.suffix.lower() in ENDINGS for file in path.iterdir() if file.is_file()
    )
    if not flat and path.suffix.lower() not in ENDINGS:
        return None
    shape = about.input_shape
    if len(shape) != 3 or shape[2] not in {1, 3}:
        got = f"pictures, for a model of inputs {'×'.join(map(str, shape))}"
        raise DataError(
            name, expected="data of the kind that the model was trained on", got=got
        )
    pictures, names = tables.read_images(path, (shape[0], shape[1]), shape[2])
    sizes = {image_size(path / one if path.is_dir() else path) for one in names}
    if sizes != {(shape[0], shape[1])}:
        shown = (
            f"{len(sizes)} sizes"
            if len(sizes) > 1
            else f"{'×'.join(map(str, next(iter(sizes))))} pixels"
        )
        text = f"{name}: pictures of {shown} are brought to {shape[0]}×{shape[1]}, the size of the training data"
        warnings.warn(text, DataWarning, stacklevel=user_level())
    return pictures, names


def read_kept(name: str, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return columns of a table as text, "" for missing cells."""
    if not columns:
        return {}
    options = TextOptions(as_text=frozenset(columns))
    table = open_table(name, options)
    cells = {column: table.array(table.text(column)) for column in columns}
    return {
        column: ["" if cell is None else str(cell) for cell in found]
        for column, found in cells.items()
    }


def read_examples(name: str, about: ModelMetadata, target: str | None) -> Dataset:
    """Return inputs and targets, with the labels of the model's classes."""
    return _open(name, about, target, wanted=True)


def _open(name: str, about: ModelMetadata, target: str | None, wanted: bool) -> Dataset:
    known = name.replace("-", "_")
    if known in BUNDLED:
        if target is not None:
            raise ArgumentError(
                "--target",
                expected="a file",
                got=f"the bundled data set {name!r}, which has its own",
            )
        data = load(known)
        answers = (
            data.targets
            if data.task == "regression"
            else np.array(data.class_names)[data.targets]
        )
        inputs: Array = data.inputs
        names: tuple[str, ...] = data.feature_names
    elif Path(name).is_dir():
        data = read_folder(name)
        inputs, names = data.inputs, data.feature_names
        answers = (
            np.array(data.class_names)[data.targets]
            if data.class_names
            else data.targets
        )
    elif Path(name).suffix.lower() == ".npz":
        inputs, found = _arrays(
            Path(name), (target,) if target else (about.target, "targets", "y"), wanted
        )
        answers, names = (found if found is not None else np.zeros(len(inputs))), ()
    else:
        inputs, answers = _columns(name, about, target, wanted)
        names = about.feature_names
    inputs = with_channels(inputs.astype(np.float32))
    if tuple(inputs.shape[1:]) != about.input_shape:
        raise ShapeError(
            f"inputs of {name}",
            expected=f"examples of shape {about.input_shape}, as the model was trained on",
            got=str(tuple(inputs.shape[1:])),
        )
    targets = (
        _targets(name, targets_per_example(name, answers, len(inputs)), about)
        if wanted
        else np.zeros(len(inputs), np.int64)
    )
    return Dataset(
        Path(name).stem, name, about.task, inputs, targets, names, about.class_names
    )


def _columns(
    name: str, about: ModelMetadata, target: str | None, wanted: bool
) -> tuple[Array, Array]:
    """Return the features of a table and its target column (zeros if not wanted)."""
    if not about.feature_names:
        raise DataError(
            f"file {name}",
            expected="an .npz file, as the model was trained on arrays without names",
            got="columns",
        )
    schema = about.schema if about.schema is not None else _from_names(name, about)
    if not wanted:
        inputs: Array = tables.read_inputs(name, schema)
        return inputs, np.zeros(len(inputs))
    inputs, cells = tables.read_examples(
        name, schema, target or about.target, drop_missing=about.drop_missing
    )
    return inputs, np.array(cells)


def _from_names(name: str, about: ModelMetadata) -> TableSchema:
    """Return the schema for a model file with feature names only, where ``colour=red`` is a category.

    If a name has several equals signs, the column is the shortest prefix that is a column of the file.
    """
    columns = set(open_table(name).names)
    found: dict[str, list[str]] = {}
    for feature in about.feature_names:
        places = [i for i, letter in enumerate(feature) if letter == "="]
        place = next(
            (i for i in places if feature[:i] in columns),
            places[-1] if places else None,
        )
        if feature in columns or place is None:
            found.setdefault(feature, [])
        else:
            found.setdefault(feature[:place], []).append(feature[place + 1 :])
    encodings = (
        CategoryColumn(column, tuple(names)) if names else NumberColumn(column)
        for column, names in found.items()
    )
    return TableSchema(tuple(encodings), about.target)


def _arrays(
    file: Path, places: tuple[str, ...], wanted: bool
) -> tuple[Array, Array | None]:
    held = npz_arrays(file)
    inputs = next((held[name] for name in ("inputs", "X", "x") if name in held), None)
    targets = next((held[name] for name in places if name in held), None)
    if inputs is None or (wanted and targets is None):
        answers = (
            "targets (or X and y)"
            if len(places) > 1
            else f"{places[0]} (or X for inputs)"
        )
        needed = f"arrays inputs and {answers}" if wanted else "an array inputs (or X)"
        raise DataError(
            f"file {file}", expected=needed, got=listed(held) or "no arrays"
        )
    return inputs, targets


def _targets(name: str, answers: Array, about: ModelMetadata) -> Array:
    if about.task == "regression":
        return _numbers(
            name, about.target or "target", [str(value) for value in answers.tolist()]
        )
    known = {text: label for label, text in enumerate(about.class_names)}
    whole = _are_numbers(about.class_names)
    labels = []
    for row, value in enumerate(answers.tolist()):
        text = str(value) if str(value) in known or not whole else _class_text(value)
        if text not in known:
            raise DataError(
                f"targets of {name}",
                expected=f"one of {listed(about.class_names)}",
                got=f"{value!r} in row {row}",
            )
        labels.append(known[text])
    return np.array(labels, np.int64)


def _numbers(name: str, column: str, cells: list[str]) -> Array:
    where = f"column {column!r} of {name}"
    values = [parsed(cell) for cell in cells]
    if None in values:
        raise DataError(where, expected="numbers", got=repr(cells[values.index(None)]))
    with np.errstate(over="ignore"):
        single = np.array(values, np.float64).astype(np.float32)
    if not np.isfinite(single).all():
        strange = cells[int(np.isfinite(single).argmin())]
        raise DataError(
            where, expected="finite numbers, up to 3.4e38", got=repr(strange)
        )
    return single


def _are_numbers(classes: Sequence[str]) -> bool:
    """Return whether all classes are integers: then 3.0 is class 3; among texts, "007" is not class "7"."""
    return all(
        _class_text(name) == name and parsed(name) is not None for name in classes
    )


def _class_text(value: Any) -> str:
    """Return the class name of an integer label, without fraction and leading zeros.

    >>> _class_text("3.0"), _class_text(3), _class_text("007"), _class_text("1_0"), _class_text("setosa")
    ('3', '3', '7', '1_0', 'setosa')
    """
    number = parsed(str(value))
    return (
        str(int(number)) if number is not None and number.is_integer() else str(value)
    )
