"""Memory-mapped data sets, which need not fit in memory.

A mapped folder contains ``inputs.npy``, ``targets.npy`` and ``about.json``. ``np.memmap`` arrays
can be passed to ``fit``: the operating system reads the rows of a batch when they are used.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.dataset import Dataset
from deltarule.data.schema import TableSchema
from deltarule.errors import DataError
from deltarule.render.numbers import counted

__all__ = ["map_array", "read_mapped", "write_mapped"]

Array = npt.NDArray[Any]
ABOUT = "about.json"
_COLUMNS = ("inputs", "targets")
_LOCAL_HEAD, _NAME_LENGTHS = 30, struct.Struct("<HH")  # of a member of a ZIP file


def map_array(path: str | Path, member: str | None = None) -> Array:
    """Return the array of an NPY file, or of a member of an uncompressed NPZ file, memory-mapped and read-only.

    Raises:
        DataError: The file is missing, truncated or compressed, or contains objects.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "two.npz"
    >>> np.savez(file, x=np.arange(3.0), y=np.eye(2))
    >>> map_array(file, "y").tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    file = Path(path)
    where = f"file {file}" if member is None else f"{member} in {file}"
    try:
        with file.open("rb") as stream:
            end = file.stat().st_size
            if member is not None:
                end = _to_member(stream, file, member, where)
            shape, by_columns, kind = _head(stream, where)
            offset = stream.tell()
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            where, expected="an array that NumPy has written", got=str(error)
        ) from error
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if offset + size > end:
        raise DataError(
            where,
            expected=f"{size:,} bytes of elements",
            got=f"{end - offset:,}",
            hint="The file was cut short.",
        )
    if not size:
        return np.empty(shape, kind)
    return np.memmap(file, kind, "r", offset, shape, "F" if by_columns else "C")


def _head(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, by_columns, kind = read(stream)
    if kind.hasobject:
        raise DataError(
            where,
            expected="plain numbers",
            got="objects",
            hint="Write the array with a numeric dtype.",
        )
    return shape, by_columns, kind


def _to_member(stream: BinaryIO, file: Path, member: str, where: str) -> int:
    """Seek to the first byte of a member and return the offset after its last."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if member not in found:
                raise DataError(
                    f"file {file}",
                    expected=f"an array {member!r}",
                    got=", ".join(found) or "none",
                )
            info = archive.getinfo(found[member])
    except zipfile.BadZipFile as error:
        raise DataError(
            f"file {file}", expected="an .npz file", got=str(error)
        ) from error
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            where,
            expected="an array that is not compressed, to be read where it lies",
            got="a compressed one",
            hint="Write it with np.savez, or read it whole with data.read_table.",
        )
    stream.seek(info.header_offset)
    head = stream.read(_LOCAL_HEAD)
    if len(head) < _LOCAL_HEAD:
        raise DataError(
            where, expected="the head of a member", got="the end of the file"
        )
    stream.seek(sum(_NAME_LENGTHS.unpack(head[26:30])), 1)
    return stream.tell() + info.file_size


def read_mapped(path: str | Path) -> Dataset:
    """Return a mapped folder, or an uncompressed NPZ file with ``inputs`` and ``targets``, as a data set.

    The arrays are memory-mapped. Without ``about.json``, integer targets (N,) are classes.

    Raises:
        DataError: A file is missing or damaged, or the numbers of inputs and targets differ.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "two.npz"
    >>> np.savez(file, inputs=np.eye(2, dtype=np.float32), targets=np.array([0, 1]))
    >>> read_mapped(file)
    Dataset('two': classification, 2 examples of shape (2,), 2 classes)
    """
    place = Path(path)
    if place.is_dir():
        inputs, targets = (map_array(place / f"{name}.npy") for name in _COLUMNS)
    else:
        inputs, targets = (map_array(place, name) for name in _COLUMNS)
    scalars = inputs.ndim == 0 or targets.ndim == 0
    if scalars or len(inputs) != len(targets) or not len(inputs):
        raise DataError(
            f"data in {place}",
            expected="as many targets as inputs, at least one",
            got=f"inputs {inputs.shape} and targets {targets.shape}",
        )
    if place.is_dir() and (place / ABOUT).is_file():
        return _described(place, inputs, targets)
    whole = targets.dtype.kind in "iu" and targets.ndim == 1
    n_classes = int(targets.max()) + 1 if whole else 0
    classes = tuple(str(label) for label in range(n_classes))
    return Dataset(
        place.stem,
        place.name,
        "classification" if whole else "regression",
        inputs,
        targets,
        class_names=classes,
        description=f"{counted(len(inputs), 'example')} on disk",
    )


def _described(place: Path, inputs: Array, targets: Array) -> Dataset:
    file = place / ABOUT
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        schema = card["schema"]
        return Dataset(
            str(card["name"]),
            str(card["title"]),
            card["task"],
            inputs,
            targets,
            tuple(card["feature_names"]),
            tuple(card["class_names"]),
            str(card["description"]),
            str(card["source"]),
            str(card["licence"]),
            None if schema is None else TableSchema.from_dict(schema),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"file {file}",
            expected="the card of a mapped folder",
            got=f"{type(error).__name__}: {error}",
        ) from error


def write_mapped(folder: str | Path, chunks: Iterable[Dataset] | Dataset) -> Dataset:
    """Write a data set, or its chunks in order, as a mapped folder, and return it as ``read_mapped`` does.

    At most one chunk is in memory. ``about.json`` is written last, so a folder with it is complete.

    Raises:
        DataError: There are no chunks, or chunks of different shapes, types or classes.

    >>> import tempfile
    >>> from deltarule.data import load
    >>> iris = write_mapped(Path(tempfile.mkdtemp()) / "iris", load("iris"))
    >>> type(iris.inputs).__name__, iris.inputs.shape, iris.class_names[0]
    ('memmap', (150, 4), 'setosa')
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    (place / ABOUT).unlink(missing_ok=True)
    first: Dataset | None = None
    count = 0
    with (
        (place / "inputs.npy").open("w+b") as x,
        (place / "targets.npy").open("w+b") as y,
    ):
        for chunk in (chunks,) if isinstance(chunks, Dataset) else chunks:
            first = first or chunk
            _check_alike(place, first, chunk)
            for stream, array in ((x, chunk.inputs), (y, chunk.targets)):
                if stream.tell() == 0:
                    _write_head(stream, array, 0)
                np.ascontiguousarray(array).tofile(stream)
            count += chunk.n_samples
        if first is None or not count:
            raise DataError(
                f"folder {place}", expected="at least one example to write", got="none"
            )
        for stream, array in ((x, first.inputs), (y, first.targets)):
            stream.seek(0)
            _write_head(stream, array, count)
    card = {
        field.name: getattr(first, field.name)
        for field in fields(Dataset)
        if field.name not in _COLUMNS
    }
    card["schema"] = None if first.schema is None else first.schema.to_dict()
    (place / ABOUT).write_text(json.dumps(card, ensure_ascii=False), encoding="utf-8")
    return read_mapped(place)


def _write_head(stream: BinaryIO, array: Array, count: int) -> None:
    """Write the header of an NPY file; NumPy leaves room in it for a larger number of rows."""
    kind = np.lib.format.dtype_to_descr(array.dtype)
    head = {"descr": kind, "fortran_order": False, "shape": (count, *array.shape[1:])}
    np.lib.format.write_array_header_1_0(stream, head)


def _check_alike(place: Path, first: Dataset, chunk: Dataset) -> None:
    same_arrays = _shapes_and_types(chunk) == _shapes_and_types(first)
    same_task = (chunk.class_names, chunk.task) == (first.class_names, first.task)
    same_length = len(chunk.inputs) == len(chunk.targets)
    if not (same_arrays and same_task and same_length):
        raise DataError(
            f"folder {place}",
            expected=f"chunks alike: {_words(first)}",
            got=_words(chunk),
        )


def _shapes_and_types(data: Dataset) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return the element types and shapes of inputs and targets."""
    return [(array.dtype, array.shape[1:]) for array in (data.inputs, data.targets)]


def _words(data: Dataset) -> str:
    return (
        f"inputs {data.inputs.dtype} {data.inputs.shape[1:]}, targets {data.targets.dtype} {data.targets.shape[1:]}, "
        f"{counted(data.n_classes, 'class')}"
    )


check_calls(__name__)
