"""Readers of IDX files, the format of MNIST, uncompressed or gzip-compressed."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.dataset import Dataset
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

__all__ = ["read_idx", "read_mnist"]

Array = npt.NDArray[Any]
Part = Literal["train", "test", "all"]
_KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_COMPRESSION = 1032  # the largest compression ratio of gzip
_PREFIXES = {"train": "train", "test": "t10k"}
_IMAGES = ("images-idx3-ubyte", "images.idx3-ubyte")
_LABELS = ("labels-idx1-ubyte", "labels.idx1-ubyte")


@checks_flags
def read_idx(path: str | Path, mapped: bool = False) -> Array:
    """Return the array of an IDX file, in native byte order.

    The format: two zero bytes, a code of the element type, the number of axes, the sizes as
    big-endian 32-bit integers, then the elements in row-major order (Y. LeCun, C. Cortes,
    C. Burges, The MNIST database).

    Args:
        path: The file; gzip files are recognised by their content.
        mapped: Return a memory-mapped array; for uncompressed files of bytes.

    Raises:
        DataError: The file is missing, not an IDX file, or not of the size in its header.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(file).tolist()
    [7, 2, 1]
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
    """Raise DataError for a header that promises more than the file can contain, before memory is allocated."""
    held = file.stat().st_size * (_MAX_COMPRESSION if _is_compressed(file) else 1)
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
    complete = len(magic) == 4 and magic[:2] == b"\0\0"
    if not complete or magic[2] not in _KINDS or magic[3] == 0:
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
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    return np.dtype(_KINDS[magic[2]]), shape


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
    """Return MNIST, Fashion-MNIST or KMNIST from the folder of its four files.

    Args:
        folder: The folder of ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and both
            ``t10k`` files, uncompressed or ``.gz``.
        part: "train", "test", or "all" for the training examples followed by the test examples.
        scale: Convert bytes to float32 in [0, 1].

    Returns:
        The data set: inputs (N, 28, 28, 1), labels (N,).

    Raises:
        DataError: A file is missing or damaged.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, *[0, 0, 0, 1] * 3, 255]))
    >>> _ = (folder / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
    >>> mnist = read_mnist(folder, part="train")
    >>> mnist.inputs.shape, mnist.targets.tolist()
    ((1, 1, 1, 1), [7])
    """
    place = Path(folder)
    if part not in {"train", "test", "all"}:
        raise ArgumentError(
            "read_mnist part", expected="'train', 'test' or 'all'", got=repr(part)
        )
    parts: tuple[str, ...] = ("train", "test") if part == "all" else (part,)
    images, labels = [], []
    for prefix in (_PREFIXES[name] for name in parts):
        x = read_idx(_found(place, prefix, _IMAGES))
        y = read_idx(_found(place, prefix, _LABELS))
        sizes_match = x.ndim == 3 and y.ndim == 1 and len(x) == len(y)
        if not sizes_match or x.dtype != np.uint8 or y.dtype.kind not in "ui":
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
    """Return a data set of images.

    Args:
        place: The folder, for names and errors.
        images: The images as bytes, (N, height, width, C).
        labels: The labels, (N,).
        scale: Convert bytes to float32 in [0, 1].
        names: The names of the classes; numbers by default.

    >>> pictures(Path("shapes"), np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1]), scale=True)
    Dataset('shapes': classification, 2 examples of shape (4, 4, 1), 2 classes)
    """
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
    """Return whether a folder contains files of MNIST.

    >>> holds_mnist(Path("no-such-folder"))
    False
    """
    return any(folder.glob("*-images?idx3-ubyte*"))


check_calls(__name__)
