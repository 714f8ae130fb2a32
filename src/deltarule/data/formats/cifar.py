"""Safe readers of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.dataset import Dataset
from deltarule.data.formats.idx import Part, pictures
from deltarule.data.formats.pickles import read_pickle
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags

__all__ = ["read_cifar"]

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
    """Return CIFAR-10 or CIFAR-100 from the folder of its Python version (Krizhevsky 2009).

    The pickles are read without executing code: only arrays in plain containers are accepted.

    Args:
        folder: ``cifar-10-batches-py`` or ``cifar-100-python``.
        part: "train", "test", or "all" for the training examples followed by the test examples.
        labels: For CIFAR-100, "fine" for the 100 classes or "coarse" for the 20 superclasses.
        scale: Convert bytes to float32 in [0, 1].

    Returns:
        The data set: inputs (N, 32, 32, 3) in RGB, labels (N,).

    Raises:
        DataError: A file is missing or damaged, or contains other objects.

    >>> import pickle, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> content = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [3, 8]}
    >>> _ = (folder / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    >>> cifar = read_cifar(folder, part="test")
    >>> cifar.inputs.shape, cifar.targets.tolist()
    ((2, 32, 32, 3), [3, 8])
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
    expected = f"rows of {size} bytes"
    if not isinstance(data, np.ndarray):
        got = f"a {type(data).__name__}"
        raise DataError(f"file {file}", expected=expected, got=got)
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != size:
        got = f"{data.dtype} {data.shape}"
        raise DataError(f"file {file}", expected=expected, got=got)
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
    images = data.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return images, np.asarray(labels, np.int64)


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
    """Return whether a folder contains files of CIFAR-10 or CIFAR-100.

    >>> holds_cifar(Path("no-such-folder"))
    False
    """
    ten = (folder / "data_batch_1").is_file()
    return ten or ((folder / "meta").is_file() and (folder / "train").is_file())


check_calls(__name__)
