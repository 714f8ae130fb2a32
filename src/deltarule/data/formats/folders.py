"""Reading of a folder in any of the supported formats."""

from __future__ import annotations

from pathlib import Path

from deltarule.arguments import check_calls
from deltarule.data.dataset import Dataset
from deltarule.data.formats.cifar import holds_cifar, read_cifar
from deltarule.data.formats.idx import holds_mnist, read_mnist
from deltarule.data.formats.image_folder import holds_images, read_image_folder
from deltarule.data.formats.mapped import read_mapped
from deltarule.errors import DataError

__all__ = ["read_folder"]

KINDS = "inputs.npy and targets.npy, MNIST's files, CIFAR's batches, or a folder of pictures for each class"


def read_folder(path: str | Path) -> Dataset:
    """Return the data set in a folder: mapped arrays, MNIST, CIFAR, or images by class.

    Raises:
        DataError: The folder has none of these formats, or its files are damaged.

    >>> import tempfile
    >>> from deltarule.data import load, write_mapped
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_mapped(folder, load("iris"))
    >>> read_folder(folder)
    Dataset('iris': classification, 150 examples of shape (4,), 3 classes)
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(
            f"folder {folder}",
            expected="a folder",
            got="a file" if folder.exists() else "none",
        )
    if (folder / "inputs.npy").is_file():
        return read_mapped(folder)
    if holds_mnist(folder):
        return read_mnist(folder)
    if holds_cifar(folder):
        return read_cifar(folder)
    if holds_images(folder):
        return read_image_folder(folder)
    held = ", ".join(sorted(one.name for one in folder.iterdir())[:5]) or "nothing"
    raise DataError(f"folder {folder}", expected=KINDS, got=held)


check_calls(__name__)
