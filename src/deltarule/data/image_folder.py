"""Pictures in folders, one folder for each class (extra ``images``)."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.dataset import Dataset
from deltarule.data.idx import pictures
from deltarule.errors import ArgumentError, DataError, DependencyError
from deltarule.flags import checks_flags

Array = npt.NDArray[Any]
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".ppm", ".pgm"})
_MODES = {1: "L", 3: "RGB"}


@checks_flags
def read_image_folder(
    folder: str | Path, size: tuple[int, int] | None = None, channels: int = 3, scale: bool = True
) -> Dataset:
    """Return the pictures of a folder that holds a folder for each class; the classes are sorted by name.

    Args:
        folder: Holds folders with PNG, JPEG, PPM or PGM files, also in folders below; other files are left out.
        size: (height, width) to which every picture is brought; without it all must have the same.
        channels: 3 for colour, 1 for grey levels.
        scale: Give the values as float32 in [0, 1], not as bytes.

    Returns:
        Inputs (N, height, width, channels), labels (N,) in the order of class, then path.

    Raises:
        DataError: for no classes, a class without pictures, a file that is no picture, sizes that differ.
        DependencyError: without Pillow, which ``pip install 'deltarule[images]'`` installs.
    """
    return next(image_chunks(folder, size, channels, scale, rows=None))


@checks_flags
def image_chunks(
    folder: str | Path, size: tuple[int, int] | None = None, channels: int = 3, scale: bool = True,
    rows: int | None = 1024,
) -> Iterator[Dataset]:  # fmt: skip
    """Yield the same pictures ``rows`` at a time, all with the same classes: more than memory can hold.

    ``data.write_mapped(place, image_chunks(folder))`` writes them as arrays that training reads from the disk.
    """
    place = Path(folder)
    if channels not in _MODES:
        raise ArgumentError("image folder channels", expected="1 or 3", got=repr(channels))
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ArgumentError("image folder size", expected="(height, width), each ≥ 1", got=repr(size))
    if rows is not None and rows < 1:
        raise ArgumentError("image folder rows", expected="a whole number ≥ 1", got=repr(rows))
    names, files = _listed(place)
    return _chunks(place, names, files, size, channels, scale, rows or len(files))


def _chunks(
    place: Path, names: tuple[str, ...], files: list[tuple[Path, int]], size: tuple[int, int] | None, channels: int,
    scale: bool, rows: int,
) -> Iterator[Dataset]:  # fmt: skip
    about = f"{len(files):,} pictures in {len(names)} folders"
    common = size
    for start in range(0, len(files), rows):
        part = files[start : start + rows]
        shown = []
        for file, _ in part:
            shown.append(read_image(file, size, channels))
            common = common or (shown[0].shape[0], shown[0].shape[1])
            if shown[-1].shape[:2] != tuple(common):
                raise DataError(
                    f"file {file}", expected=f"a picture of {common[0]}×{common[1]} pixels, as {files[0][0].name}",
                    got=f"{shown[-1].shape[0]}×{shown[-1].shape[1]}", hint=f"Bring all to one size: size={common}.",
                )  # fmt: skip
        labels = np.array([label for _, label in part])
        yield replace(pictures(place, np.stack(shown), labels, scale, names), description=about)


def _listed(place: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Return the names of the classes, and every picture with its label."""
    if not place.is_dir():
        raise DataError(f"folder {place}", expected="a folder", got="none" if not place.exists() else "a file")
    classes = sorted(one for one in place.iterdir() if one.is_dir() and not one.name.startswith("."))
    if not classes:
        raise DataError(f"folder {place}", expected="a folder of pictures for each class", got="no folder in it")
    files = []
    for label, folder in enumerate(classes):
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        if not found:
            raise DataError(f"folder {folder}", expected=f"pictures ({', '.join(sorted(ENDINGS))})", got="none")
        files += [(file, label) for file in found]
    return tuple(folder.name for folder in classes), files


def read_image(path: str | Path, size: tuple[int, int] | None = None, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Return a picture as bytes (height, width, channels); brought to ``size`` by bilinear interpolation if given."""
    where = f"file {path}"
    try:
        image = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise DependencyError(where, expected="the package Pillow", got="none",
                              hint="pip install 'deltarule[images]'") from error  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image.DecompressionBombWarning)
            with image.open(path) as opened:
                picture = opened.convert(_MODES[channels])
                if size is not None:
                    picture = picture.resize((size[1], size[0]), image.Resampling.BILINEAR)
                pixels = np.asarray(picture, np.uint8)
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError, image.DecompressionBombWarning) as error:
        raise DataError(where, expected="a whole picture", got=f"{type(error).__name__}: {error}") from error
    return pixels.reshape(*pixels.shape[:2], channels)


def holds_images(folder: Path) -> bool:
    """Tell whether a folder has folders with pictures."""
    return any(file.suffix.lower() in ENDINGS for file in folder.glob("*/*"))
