"""IDX files, the format of MNIST and its relatives, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from deltarule.data.dataset import Dataset
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

Array = npt.NDArray[Any]
Part = Literal["train", "test", "all"]
_KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_COMPRESSED = 1032  # no gzip file becomes more times as long
_PREFIXES = {"train": "train", "test": "t10k"}
_IMAGES = ("images-idx3-ubyte", "images.idx3-ubyte")
_LABELS = ("labels-idx1-ubyte", "labels.idx1-ubyte")


@checks_flags
def read_idx(path: str | Path, mapped: bool = False) -> Array:
    """Return the array of an IDX file in the machine's byte order.

    The file holds two zero bytes, a code of the element type, the number of axes, every size as four bytes (big
    end first), then the elements, row by row.

    Args:
        path: The file; one that begins as gzip files do is decompressed.
        mapped: Leave the elements in the file and read those that are used; for plain files of single bytes.

    Raises:
        DataError: for a file that is missing, not IDX, shorter or longer than its head says.

    Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database.
    """
    file = Path(path)
    where = f"file {file}"
    try:
        with _opened(file) as stream:
            kind, shape = _head(stream, where)
            offset = stream.tell()
            if mapped:
                return _mapped(file, kind, shape, offset)
            size = math.prod(shape) * kind.itemsize
            _check_possible(where, file, size)
            content = stream.read(size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            where,
            expected="a whole gzip file",
            got=str(error),
            hint="Download it again.",
        ) from error
    except OSError as error:
        raise DataError(
            where, expected="a file that can be read", got=str(error)
        ) from error
    _check_size(where, size, len(content))
    array = np.frombuffer(content, kind).reshape(shape)
    return array.astype(kind.newbyteorder("="))


def _is_compressed(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _opened(file: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(file, "rb") if _is_compressed(file) else file.open("rb")


def _check_possible(where: str, file: Path, size: int) -> None:
    """Refuse a head that asks for more than the file can hold, before memory is asked for."""
    held = file.stat().st_size * (_MOST_COMPRESSED if _is_compressed(file) else 1)
    if size > held:
        raise DataError(
            where,
            expected=f"{size:,} bytes of elements, as its head says",
            got=f"at most {held:,}",
            hint="Download it again.",
        )


def _head(
    stream: BinaryIO | gzip.GzipFile, where: str
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return element type and shape."""
    magic = stream.read(4)
    if (
        len(magic) < 4
        or magic[:2] != b"\0\0"
        or magic[2] not in _KINDS
        or magic[3] == 0
    ):
        raise DataError(
            where,
            expected="an IDX file: 0, 0, a code of the element type, the number of axes",
            got=f"the bytes {magic.hex(' ') or 'of an empty file'}",
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(
            where, expected=f"the sizes of {magic[3]} axes", got="the end of the file"
        )
    return np.dtype(_KINDS[magic[2]]), tuple(
        int(size) for size in np.frombuffer(sizes, ">u4")
    )


def _check_size(where: str, expected: int, got: int) -> None:
    if got != expected:
        more = "more" if got > expected else f"{got:,}"
        raise DataError(
            where,
            expected=f"{expected:,} bytes of elements, as its head says",
            got=more,
            hint="Download it again.",
        )


def _mapped(
    file: Path, kind: np.dtype[Any], shape: tuple[int, ...], offset: int
) -> Array:
    where = f"file {file}"
    compressed = _is_compressed(file)
    if compressed or kind.itemsize > 1:
        got = (
            "a gzip file"
            if compressed
            else f"elements of {kind.itemsize} bytes, big end first"
        )
        raise DataError(
            where,
            expected="a plain file of single bytes to map",
            got=got,
            hint="Read it: mapped=False.",
        )
    _check_size(where, math.prod(shape), file.stat().st_size - offset)
    return np.memmap(file, kind.newbyteorder("="), "r", offset, shape)


@checks_flags
def read_mnist(folder: str | Path, part: Part = "all", scale: bool = True) -> Dataset:
    """Return the images and labels of MNIST, Fashion-MNIST or KMNIST from the folder of their four files.

    Args:
        folder: Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and both of ``t10k``, or ``….gz``.
        part: The training examples, those of the test, or all of them, training first.
        scale: Give grey levels as float32 in [0, 1], not as bytes.

    Returns:
        Inputs (N, 28, 28, 1), labels (N,).
    """
    place = Path(folder)
    if part not in {"train", "test", "all"}:
        raise ArgumentError(
            "read_mnist part", expected="'train', 'test' or 'all'", got=repr(part)
        )
    prefixes = [
        _PREFIXES[one] for one in (("train", "test") if part == "all" else (part,))
    ]
    images, labels = [], []
    for prefix in prefixes:
        x, y = (
            read_idx(_found(place, prefix, _IMAGES)),
            read_idx(_found(place, prefix, _LABELS)),
        )
        if (
            x.ndim != 3
            or y.ndim != 1
            or len(x) != len(y)
            or x.dtype != np.uint8
            or y.dtype.kind not in "ui"
        ):
            raise DataError(
                f"folder {place}",
                expected=f"{prefix} images (N, height, width) of bytes, and N labels",
                got=f"{x.dtype} {x.shape} and {y.dtype} {y.shape}",
            )
        images.append(x)
        labels.append(y)
    return pictures(
        place, np.concatenate(images)[..., None], np.concatenate(labels), scale
    )


def pictures(
    place: Path, images: Array, labels: Array, scale: bool, names: tuple[str, ...] = ()
) -> Dataset:
    """Return a data set of byte images (N, height, width, C) and labels (N,)."""
    if not len(labels):
        raise DataError(f"folder {place}", expected="at least one picture", got="none")
    inputs = images.astype(np.float32) / np.float32(255) if scale else images
    targets = labels.astype(np.int64)
    classes = names or tuple(str(label) for label in range(int(targets.max()) + 1))
    if targets.min() < 0 or targets.max() >= len(classes):
        raise DataError(
            f"folder {place}",
            expected=f"labels of {len(classes)} classes",
            got=f"{targets.max()}",
        )
    height, width, channels = images.shape[1:]
    about = f"{counted(len(images), 'picture')} of {height}×{width} pixels, {counted(channels, 'channel')}"
    return Dataset(
        place.name,
        place.name,
        "classification",
        inputs,
        targets,
        class_names=classes,
        description=about,
    )


def _found(place: Path, prefix: str, endings: tuple[str, ...]) -> Path:
    candidates = [
        place / f"{prefix}-{ending}{gz}" for ending in endings for gz in ("", ".gz")
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(
        f"folder {place}",
        expected=f"a file {candidates[0].name} (or {candidates[1].name})",
        got="none",
    )


def holds_mnist(folder: Path) -> bool:
    """Tell whether a folder looks like that of an MNIST."""
    return any(folder.glob("*-images?idx3-ubyte*"))
