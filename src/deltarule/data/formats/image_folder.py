"""Pictures in folders, one folder for each class (extra ``images``)."""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.dataset import Dataset
from deltarule.data.formats.idx import pictures
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DeltaruleError,
    DependencyError,
)
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

Array = npt.NDArray[Any]
Picture = tuple[Path, int, int]  # file, height, width
ENDINGS = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".jfif",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
    }
)
_MODES = {1: "L", 3: "RGB"}
_WIDE = frozenset(
    {"I;16", "I;16B", "I;16L", "I;16N", "I"}
)  # grey levels of more than 8 bits
_SYSTEM = frozenset({"thumbs.db", "desktop.ini"})
_NOTES = frozenset(
    {
        ".txt",
        ".md",
        ".rst",
        ".csv",
        ".tsv",
        ".json",
        ".xml",
        ".yaml",
        ".yml",
        ".html",
        ".pdf",
    }
)
_FIRST_TURNED = 5  # EXIF orientation from which on width and height are exchanged
_BACKGROUND = 255  # what lies behind transparent pixels: white


@checks_flags
def read_image_folder(
    folder: str | Path,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    scale: bool = True,
) -> Dataset:
    """Return the pictures of a folder that holds a folder for each class; the classes are sorted by name.

    Args:
        folder: Holds folders with PNG, JPEG, WebP, BMP, GIF, TIFF or PNM files, also in folders below; a warning counts
            other files, which are left out (text and tables without a word).
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
    folder: str | Path,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    scale: bool = True,
    rows: int | None = 1024,
) -> Iterator[Dataset]:
    """Yield the same pictures ``rows`` at a time, all with the same classes: more than memory can hold.

    ``data.write_mapped(place, image_chunks(folder))`` writes them as arrays that training reads from the disk.
    """
    place = Path(folder)
    _check_settings(size, channels)
    if rows is not None and rows < 1:
        raise ArgumentError(
            "image folder rows", expected="a whole number ≥ 1", got=repr(rows)
        )
    names, files = _listed(place)
    return _chunks(place, names, files, size, channels, scale, rows or len(files))


def _chunks(
    place: Path,
    names: tuple[str, ...],
    files: list[tuple[Path, int]],
    size: tuple[int, int] | None,
    channels: int,
    scale: bool,
    rows: int,
) -> Iterator[Dataset]:
    about = f"{counted(len(files), 'picture')} in {counted(len(names), 'folder')}"
    first: Picture | None = None
    for start in range(0, len(files), rows):
        part = files[start : start + rows]
        shown = _of_one_size([file for file, _ in part], size, channels, first)
        first = first or (files[0][0], shown[0].shape[0], shown[0].shape[1])
        labels = np.array([label for _, label in part])
        yield replace(
            pictures(place, np.stack(shown), labels, scale, names), description=about
        )


def _check_settings(size: tuple[int, int] | None, channels: int) -> None:
    if channels not in _MODES:
        raise ArgumentError(
            "image folder channels", expected="1 or 3", got=repr(channels)
        )
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ArgumentError(
            "image folder size", expected="(height, width), each ≥ 1", got=repr(size)
        )


def _of_one_size(
    files: list[Path],
    size: tuple[int, int] | None,
    channels: int,
    first: Picture | None = None,
) -> list[npt.NDArray[np.uint8]]:
    """Return pictures of the size of the first one; raises DataError at another."""
    shown = []
    for file in files:
        pixels = read_image(file, size, channels)
        height, width = pixels.shape[:2]
        first = first or (file, height, width)
        if (height, width) != first[1:]:
            raise DataError(
                f"file {file}",
                expected=f"a picture of {first[1]}×{first[2]} pixels, as {first[0].name}",
                got=f"{height}×{width}",
                hint=f"Bring all to one size: size={first[1:]}.",
            )
        shown.append(pixels)
    return shown


def _listed(place: Path) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Return the names of the classes, and every picture with its label."""
    if not place.is_dir():
        raise DataError(
            f"folder {place}",
            expected="a folder",
            got="none" if not place.exists() else "a file",
        )
    classes = sorted(
        one for one in place.iterdir() if one.is_dir() and not _hidden(one)
    )
    if not classes:
        hint = "data.read_images(folder) reads pictures without classes."
        got = "no folder in it"
        raise DataError(
            f"folder {place}",
            expected="a folder of pictures for each class",
            got=got,
            hint=hint,
        )
    files, strange = [], []
    for label, folder in enumerate(classes):
        found, others = _pictures_in(folder)
        if not found:
            raise DataError(
                f"folder {folder}",
                expected=f"pictures ({', '.join(sorted(ENDINGS))})",
                got="none",
            )
        files += [(file, label) for file in found]
        strange += others
    _warn_of_others(place, strange)
    return tuple(folder.name for folder in classes), files


def _hidden(path: Path) -> bool:
    return (
        path.name.startswith(".")
        or path.name == "__MACOSX"
        or path.name.lower() in _SYSTEM
    )


def _pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in and below a folder, and the other files that may have been meant as pictures."""
    every = sorted(
        file for file in folder.rglob("*") if file.is_file() and not _hidden(file)
    )
    found = [file for file in every if file.suffix.lower() in ENDINGS]
    return found, [
        file for file in every if file.suffix.lower() not in ENDINGS | _NOTES
    ]


def _warn_of_others(place: Path, files: list[Path]) -> None:
    if files:
        counts = Counter(file.suffix.lower() or "without an ending" for file in files)
        kinds = ", ".join(f"{n} {ending}" for ending, n in counts.most_common(5))
        warnings.warn(
            f"folder {place}: {counted(len(files), 'file')} left out, as no kind of picture that is read ({kinds}); "
            f"read are {', '.join(sorted(ENDINGS))}",
            DataWarning,
            4,
        )


@checks_flags
def read_images(
    place: str | Path,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    scale: bool = True,
) -> tuple[Array, list[str]]:
    """Return one picture, or all in and below a folder, without classes: what a model is to predict.

    Args:
        place: A picture, or a folder of pictures.
        size: (height, width) to which every picture is brought; without it all must have the same.
        channels: 3 for colour, 1 for grey levels.
        scale: Give the values as float32 in [0, 1], not as bytes.

    Returns:
        Pictures (N, height, width, channels), and the name of each, relative to the folder, in that order.

    Raises:
        DataError: for none, a file that is no picture, sizes that differ.
        DependencyError: without Pillow, which ``pip install 'deltarule[images]'`` installs.
    """
    path = Path(place)
    _check_settings(size, channels)
    if path.is_dir():
        files, strange = _pictures_in(path)
        _warn_of_others(path, strange)
        names = [file.relative_to(path).as_posix() for file in files]
    else:
        files, names = ([path] if path.is_file() else []), [path.name]
    if not files:
        got = "none" if path.is_dir() else "no such file"
        raise DataError(
            f"pictures {path}",
            expected="a picture, or a folder that holds pictures",
            got=got,
        )
    pixels = np.stack(_of_one_size(files, size, channels))
    return (pixels.astype(np.float32) / 255 if scale else pixels), names


def read_image(
    path: str | Path, size: tuple[int, int] | None = None, channels: int = 3
) -> npt.NDArray[np.uint8]:
    """Return a picture as bytes (height, width, channels), as a viewer shows it.

    It is turned as its EXIF orientation says; transparent pixels lie on white; grey levels v of 16 bits become
    v/257, rounded; of an animation the first frame counts. With ``size`` it is brought to that by bilinear
    interpolation. Raises DataError for floating-point pixels, which have no black and white of their own.
    """
    where = f"file {path}"
    try:
        image = importlib.import_module("PIL.Image")
        operations = importlib.import_module("PIL.ImageOps")
    except ImportError as error:
        raise DependencyError(
            where,
            expected="the package Pillow",
            got="none",
            hint="pip install 'deltarule[images]'",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image.DecompressionBombWarning)
            with image.open(path) as opened:
                picture = _flat(
                    image, operations.exif_transpose(opened), where
                ).convert(_MODES[channels])
                if size is not None:
                    picture = picture.resize(
                        (size[1], size[0]), image.Resampling.BILINEAR
                    )
                pixels = np.asarray(picture, np.uint8)
    except (
        OSError,
        SyntaxError,
        ValueError,
        image.DecompressionBombError,
        image.DecompressionBombWarning,
    ) as error:
        if isinstance(error, DeltaruleError):
            raise
        raise DataError(
            where, expected="a whole picture", got=f"{type(error).__name__}: {error}"
        ) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _flat(image: Any, picture: Any, where: str) -> Any:
    """Return a picture of 8 bits a channel without transparency."""
    if picture.mode in _WIDE:
        levels = np.asarray(picture).astype(np.int64)
        if levels.min(initial=0) < 0 or levels.max(initial=0) > 65535:
            got = f"{levels.min()} … {levels.max()}"
            raise DataError(where, expected="grey levels of 8 or 16 bits", got=got)
        pixels = ((levels + 128) // 257).astype(np.uint8)
        clear = picture.info.get(
            "transparency"
        )  # of a grey PNG: the level that is transparent
        if isinstance(clear, int):
            pixels[levels == clear] = _BACKGROUND
        return image.fromarray(pixels)
    if picture.mode == "F":
        hint = "Scale the numbers to 8 or 16 bits, or read them with NumPy."
        raise DataError(
            where,
            expected="8 or 16 bits a channel",
            got="floating-point pixels",
            hint=hint,
        )
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture
    seen = picture.convert("RGBA")
    ground = image.new("RGBA", seen.size, (_BACKGROUND, _BACKGROUND, _BACKGROUND, 255))
    return image.alpha_composite(ground, seen).convert("RGB")


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of a picture as it is shown, without reading its pixels."""
    image = importlib.import_module("PIL.Image")
    with image.open(path) as opened:
        width, height = opened.size
        turned = opened.getexif().get(0x0112, 1) >= _FIRST_TURNED
    return (width, height) if turned else (height, width)


def holds_images(folder: Path) -> bool:
    """Tell whether a folder has folders with pictures."""
    return any(file.suffix.lower() in ENDINGS for file in folder.glob("*/*"))
