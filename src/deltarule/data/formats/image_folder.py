"""Readers of image files and of folders with one subfolder per class (extra ``images``)."""

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

from deltarule.arguments import check_calls
from deltarule.data.dataset import Dataset
from deltarule.data.formats.idx import pictures
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DeltaruleError,
    DependencyError,
    user_level,
)
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

__all__ = ["image_chunks", "read_image", "read_image_folder", "read_images"]

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
# modes with grey levels of more than 8 bits
_WIDE = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
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
_FIRST_TRANSPOSED = 5  # EXIF orientation from which on width and height are swapped
_BACKGROUND = 255  # white, behind transparent pixels


@checks_flags
def read_image_folder(
    folder: str | Path,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    scale: bool = True,
) -> Dataset:
    """Return the images of a folder with one subfolder per class; classes are sorted by name.

    Args:
        folder: A folder of folders with PNG, JPEG, WebP, BMP, GIF, TIFF or PNM files, also in
            nested folders. Other files are skipped with a warning (text files without one).
        size: The (height, width) to resize images to; None if all have the same size.
        channels: 3 for colour, 1 for greyscale.
        scale: Convert bytes to float32 in [0, 1].

    Returns:
        The data set: inputs (N, height, width, channels) and labels (N,), sorted by class and path.

    Raises:
        DataError: There are no classes, a class without images, an unreadable image, or
            different sizes.
        DependencyError: Pillow is not installed: ``pip install 'deltarule[images]'``.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "shapes"
    >>> for name in ("circle", "square"):
    ...     (folder / name).mkdir(parents=True)
    ...     _ = (folder / name / "1.pgm").write_bytes(b"P5 2 2 255 " + bytes(4))
    >>> read_image_folder(folder, channels=1)
    Dataset('shapes': classification, 2 examples of shape (2, 2, 1), 2 classes)
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
    """Yield the data set of ``read_image_folder`` in chunks, for images that do not fit in memory.

    ``data.write_mapped(place, image_chunks(folder))`` writes them as memory-mapped arrays.

    Args:
        folder: A folder with one subfolder per class.
        size: The (height, width) to resize images to; None if all have the same size.
        channels: 3 for colour, 1 for greyscale.
        scale: Convert bytes to float32 in [0, 1].
        rows: The largest number of images per chunk; None for one chunk.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("circle", "square"):
    ...     (folder / name).mkdir()
    ...     _ = (folder / name / "1.pgm").write_bytes(b"P5 2 2 255 " + bytes(4))
    >>> [chunk.targets.tolist() for chunk in image_chunks(folder, rows=1)]
    [[0], [1]]
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
    """Return images, which must have the size of the first one."""
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
    """Return the names of the classes, and every image file with its label."""
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
    name = path.name
    return name.startswith(".") or name == "__MACOSX" or name.lower() in _SYSTEM


def _pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images in a folder and its subfolders, and other files that may be images."""
    every = sorted(
        file for file in folder.rglob("*") if file.is_file() and not _hidden(file)
    )
    images = [file for file in every if file.suffix.lower() in ENDINGS]
    others = [file for file in every if file.suffix.lower() not in ENDINGS | _NOTES]
    return images, others


def _warn_of_others(place: Path, files: list[Path]) -> None:
    if files:
        counts = Counter(file.suffix.lower() or "without an ending" for file in files)
        kinds = ", ".join(f"{n} {ending}" for ending, n in counts.most_common(5))
        warnings.warn(
            f"folder {place}: {counted(len(files), 'file')} left out, as no kind of picture that is read ({kinds}); "
            f"read are {', '.join(sorted(ENDINGS))}",
            DataWarning,
            stacklevel=user_level(),
        )


@checks_flags
def read_images(
    place: str | Path,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    scale: bool = True,
) -> tuple[Array, list[str]]:
    """Return one image, or all images in a folder and its subfolders, without labels.

    Args:
        place: An image file, or a folder of images.
        size: The (height, width) to resize images to; None if all have the same size.
        channels: 3 for colour, 1 for greyscale.
        scale: Convert bytes to float32 in [0, 1].

    Returns:
        The images (N, height, width, channels), and their names relative to the folder.

    Raises:
        DataError: There are no images, an unreadable image, or different sizes.
        DependencyError: Pillow is not installed: ``pip install 'deltarule[images]'``.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "1.pgm").write_bytes(b"P5 2 1 255 " + bytes([0, 255]))
    >>> images, names = read_images(folder, channels=1)
    >>> images.ravel().tolist(), names
    ([0.0, 1.0], ['1.pgm'])
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
    """Return an image as bytes, (height, width, channels), as a viewer shows it.

    The EXIF orientation is applied, transparent pixels are blended with white, 16-bit grey
    levels v become v/257, rounded, and the first frame of an animation is read.

    Args:
        path: The image file.
        size: The (height, width) to resize to by bilinear interpolation, if any.
        channels: 3 for colour, 1 for greyscale.

    Raises:
        DataError: The image is unreadable, or has floating-point pixels.
        DependencyError: Pillow is not installed: ``pip install 'deltarule[images]'``.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "grey.pgm"
    >>> _ = file.write_bytes(b"P5 2 1 255 " + bytes([0, 255]))
    >>> read_image(file, channels=1).tolist()
    [[[0], [255]]]
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
                upright = operations.exif_transpose(opened)
                picture = _flat(image, upright, where).convert(_MODES[channels])
                if size is not None:
                    width_height = (size[1], size[0])
                    picture = picture.resize(width_height, image.Resampling.BILINEAR)
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
    """Return an image with 8 bits per channel and without transparency."""
    if picture.mode in _WIDE:
        levels = np.asarray(picture).astype(np.int64)
        if levels.min(initial=0) < 0 or levels.max(initial=0) > 65535:
            got = f"{levels.min()} … {levels.max()}"
            raise DataError(where, expected="grey levels of 8 or 16 bits", got=got)
        pixels = ((levels + 128) // 257).astype(np.uint8)
        clear = picture.info.get("transparency")  # the transparent level of a grey PNG
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
    """Return the (height, width) of an image as it is shown, without reading its pixels.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "grey.pgm"
    >>> _ = file.write_bytes(b"P5 2 1 255 " + bytes(2))
    >>> image_size(file)
    (1, 2)
    """
    image = importlib.import_module("PIL.Image")
    with image.open(path) as opened:
        width, height = opened.size
        transposed = opened.getexif().get(0x0112, 1) >= _FIRST_TRANSPOSED
    return (width, height) if transposed else (height, width)


def holds_images(folder: Path) -> bool:
    """Return whether a folder has subfolders with images.

    >>> holds_images(Path("no-such-folder"))
    False
    """
    return any(file.suffix.lower() in ENDINGS for file in folder.glob("*/*"))


check_calls(__name__)
