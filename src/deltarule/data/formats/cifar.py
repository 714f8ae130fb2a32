"""CIFAR-10 and CIFAR-100 from their pickles, read safely."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from deltarule.data.dataset import Dataset
from deltarule.data.formats.idx import Part, pictures
from deltarule.data.formats.pickles import read_pickle
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags

Array = npt.NDArray[Any]
_SIDE, _CHANNELS = 32, 3
_TEN = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
_HUNDRED = {"train": ("train",), "test": ("test",)}


@checks_flags
def read_cifar(
    folder: str | Path,
    part: Part = "all",
    labels: Literal["fine", "coarse"] = "fine",
    scale: bool = True,
) -> Dataset:
    """Return CIFAR-10 or CIFAR-100 from the folder of its "python version".

    The pickles may hold arrays and plain containers; anything else is refused before it is run.

    Args:
        folder: ``cifar-10-batches-py`` or ``cifar-100-python``.
        part: The training examples, those of the test, or all of them, training first.
        labels: The 100 classes of CIFAR-100, or its 20 superclasses.
        scale: Give colours as float32 in [0, 1], not as bytes.

    Returns:
        Inputs (N, 32, 32, 3), red, green, blue; labels (N,).

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    place = Path(folder)
    if part not in {"train", "test", "all"}:
        raise ArgumentError(
            "read_cifar part", expected="'train', 'test' or 'all'", got=repr(part)
        )
    if labels not in {"fine", "coarse"}:
        raise ArgumentError(
            "read_cifar labels", expected="'fine' or 'coarse'", got=repr(labels)
        )
    hundred = (place / "meta").is_file()
    if not hundred and labels == "coarse":
        raise ArgumentError(
            "read_cifar labels",
            expected="'fine' for CIFAR-10, which has no others",
            got="'coarse'",
        )
    names = _HUNDRED if hundred else _TEN
    key = f"{labels}_labels" if hundred else "labels"
    batches = [
        _batch(place / name, key)
        for one in (("train", "test") if part == "all" else (part,))
        for name in names[one]
    ]
    images, classes = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return pictures(place, images, classes, scale, _class_names(place, hundred, labels))


def _entry(file: Path, content: Any, name: str) -> Any:
    if not isinstance(content, dict):
        raise DataError(
            f"file {file}", expected="a dictionary", got=f"a {type(content).__name__}"
        )
    for key in (name.encode(), name):
        if key in content:
            return content[key]
    known = ", ".join(
        key.decode("latin1") if isinstance(key, bytes) else str(key) for key in content
    )
    raise DataError(
        f"file {file}",
        expected=f"an entry {name!r}",
        got=f"the entries {known or 'of an empty one'}",
    )


def _batch(file: Path, key: str) -> tuple[Array, Array]:
    """Return images (N, 32, 32, 3) of bytes and labels (N,) of one file."""
    content = read_pickle(file)
    data, labels = _entry(file, content, "data"), _entry(file, content, key)
    size = _CHANNELS * _SIDE * _SIDE
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != size
    ):
        got = (
            f"{data.dtype} {data.shape}"
            if isinstance(data, np.ndarray)
            else f"a {type(data).__name__}"
        )
        raise DataError(f"file {file}", expected=f"rows of {size} bytes", got=got)
    if not isinstance(labels, (list, np.ndarray)) or len(labels) != len(data):
        raise DataError(
            f"file {file}",
            expected=f"{len(data)} labels",
            got=f"a {type(labels).__name__}",
        )
    if not all(isinstance(label, (int, np.integer)) for label in labels):
        raise DataError(
            f"file {file}", expected="whole numbers as labels", got="something else"
        )
    return data.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1), np.asarray(
        labels, np.int64
    )


def _class_names(place: Path, hundred: bool, labels: str) -> tuple[str, ...]:
    file = place / ("meta" if hundred else "batches.meta")
    if not file.is_file():
        return ()
    names = _entry(
        file, read_pickle(file), f"{labels}_label_names" if hundred else "label_names"
    )
    if not isinstance(names, list):
        raise DataError(
            f"file {file}", expected="a list of names", got=f"a {type(names).__name__}"
        )
    return tuple(
        name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        for name in names
    )


def holds_cifar(folder: Path) -> bool:
    """Tell whether a folder looks like that of CIFAR-10 or CIFAR-100."""
    return (folder / "data_batch_1").is_file() or (
        (folder / "meta").is_file() and (folder / "train").is_file()
    )
