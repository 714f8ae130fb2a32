"""IDX, CIFAR pickles and folders of pictures, against files that the tests write; every fault with its place."""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deltarule import data
from deltarule.errors import ArgumentError, DataError, DependencyError


def idx_bytes(array: np.ndarray, code: int) -> bytes:
    return (
        bytes([0, 0, code, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# ---------------------------------------------------------------- IDX


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("compressed", [False, True])
def test_idx_holds_the_numbers_that_were_written(
    code: int, compressed: bool, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    array = (random.normal(size=(3, 4, 2)) * 50).astype(KINDS[code])
    path = tmp_path / ("a.gz" if compressed else "a")
    content = idx_bytes(array, code)
    path.write_bytes(gzip.compress(content) if compressed else content)
    read = data.read_idx(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype.isnative and read.dtype.itemsize == array.dtype.itemsize


def test_idx_bytes_can_stay_on_disk(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    array = random.integers(0, 256, (5, 3, 3)).astype(np.uint8)
    (tmp_path / "a").write_bytes(idx_bytes(array, 0x08))
    mapped = data.read_idx(tmp_path / "a", mapped=True)
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, array)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx_bytes(array, 0x08)))
    with pytest.raises(DataError, match="got a gzip file"):
        data.read_idx(tmp_path / "a.gz", mapped=True)
    (tmp_path / "f").write_bytes(idx_bytes(array.astype(">f4"), 0x0D))
    with pytest.raises(DataError, match="elements of 4 bytes"):
        data.read_idx(tmp_path / "f", mapped=True)


BROKEN_IDX = {
    "an empty file": (b"", "the bytes of an empty file"),
    "a PNG": (b"\x89PNG\r\n\x1a\n", "got the bytes 89 50 4e 47"),
    "an unknown type": (bytes([0, 0, 7, 1]), "got the bytes 00 00 07 01"),
    "a head cut short": (bytes([0, 0, 8, 3, 0, 0]), "the sizes of 3 axes"),
    "a byte missing": (
        idx_bytes(np.zeros((2, 3), np.uint8), 8)[:-1],
        "expected 6 bytes of elements",
    ),
    "a byte too many": (
        idx_bytes(np.zeros((2, 3), np.uint8), 8) + b"x",
        "expected 6 bytes of elements, as its head says, got more",
    ),
    "enormous sizes": (
        bytes([0, 0, 14, 4]) + b"\xff" * 16,
        "as its head says, got at most 20",
    ),
    "gzip cut short": (
        gzip.compress(idx_bytes(np.zeros((90, 30), np.uint8), 8))[:-9],
        "whole gzip file",
    ),
    "enormous sizes in gzip": (
        gzip.compress(bytes([0, 0, 14, 4]) + b"\xff" * 16),
        "as its head says, got at most",
    ),
}


@pytest.mark.parametrize("kind", BROKEN_IDX)
def test_broken_idx_files_are_refused(kind: str, tmp_path: Path) -> None:
    content, message = BROKEN_IDX[kind]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.read_idx(tmp_path / "a")


def test_a_missing_idx_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a file that can be read"):
        data.read_idx(tmp_path / "nothing")


def write_mnist(
    folder: Path, n_train: int = 30, n_test: int = 10, compressed: bool = True
) -> tuple:
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    images = random.integers(0, 256, (n_train + n_test, 28, 28)).astype(np.uint8)
    labels = (np.arange(n_train + n_test) % 10).astype(np.uint8)
    for prefix, rows in (("train", slice(0, n_train)), ("t10k", slice(n_train, None))):
        for name, array in (
            (f"{prefix}-images-idx3-ubyte", images),
            (f"{prefix}-labels-idx1-ubyte", labels),
        ):
            content = idx_bytes(array[rows], 0x08)
            (folder / (name + ".gz" * compressed)).write_bytes(
                gzip.compress(content) if compressed else content
            )
    return images, labels


@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_from_its_four_files(compressed: bool, tmp_path: Path) -> None:
    images, labels = write_mnist(tmp_path / "mnist", compressed=compressed)
    every = data.read_folder(tmp_path / "mnist")
    np.testing.assert_array_equal(
        every.inputs[..., 0], images.astype(np.float32) / np.float32(255)
    )
    np.testing.assert_array_equal(every.targets, labels)
    assert (every.input_shape, every.n_classes, every.task) == (
        (28, 28, 1),
        10,
        "classification",
    )
    test = data.read_mnist(tmp_path / "mnist", "test", scale=False)
    assert test.inputs.dtype == np.uint8
    np.testing.assert_array_equal(test.inputs[..., 0], images[30:])


def test_an_incomplete_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(ArgumentError, match="'train', 'test' or 'all'"):
        data.read_mnist(tmp_path, "validation")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(idx_bytes(np.zeros(3, np.uint8), 8))
    )
    with pytest.raises(
        DataError, match=r"t10k images .* \(10, 28, 28\) and uint8 \(3,\)"
    ):
        data.read_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="a file t10k-labels-idx1-ubyte"):
        data.read_mnist(tmp_path)


# ---------------------------------------------------------------- pickles


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_of_arrays_in_plain_containers(protocol: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shared = [1, 2.5]
    value = {
        b"data": random.integers(0, 256, (4, 6)).astype(np.uint8),
        "columns": np.asfortranarray(random.normal(size=(2, 3))),
        "big": np.arange(3, dtype=">i4"),
        "nothing": None,
        "truth": (True, b"\xff\x00"),
        "twice": [shared, shared],
        "empty": np.zeros((0, 3)),
        "number": np.array(7),
    }
    if protocol == 5:  # arrays are buffers of their own kind there
        value = {
            key: item for key, item in value.items() if not isinstance(item, np.ndarray)
        }
    (tmp_path / "a").write_bytes(pickle.dumps(value, protocol))
    read = data.read_pickle(tmp_path / "a")
    assert set(map(str, read)) == set(map(str, value))
    for key, item in value.items():
        if isinstance(item, np.ndarray):
            np.testing.assert_array_equal(read[key], item)
            assert read[key].dtype == item.dtype.newbyteorder("=")
        else:
            assert read[key] == item
    assert read["twice"][0] is read["twice"][1]


def test_text_of_python_2_is_bytes(tmp_path: Path) -> None:
    # what Python 2 writes for {"data": array([[1, 2]], uint8), "label": "frog"} with protocol 2
    old = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tbU\x05labelU\x04frogu."
    )
    pickletools.dis(old, io.StringIO())  # it is well formed
    (tmp_path / "a").write_bytes(old)
    read = data.read_pickle(tmp_path / "a")
    np.testing.assert_array_equal(read[b"data"], [[1, 2]])
    assert read[b"label"] == b"frog" and read[b"data"].dtype == np.uint8


class Evil:
    """Opens a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_pickle_is_run(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(
        pickle.dumps({"data": [Evil(tmp_path / "trace")]}, protocol)
    )
    with pytest.raises(
        DataError, match=r"arrays of numbers in plain containers, got \w+\.open"
    ):
        data.read_pickle(tmp_path / "a")
    assert not (tmp_path / "trace").exists()


REFUSED = {
    "system": (b"cos\nsystem\n(S'true'\ntR.", r"posix\.system|os\.system"),
    "a NumPy loader": (b"cnumpy\nload\n(S'a'\ntR.", r"numpy\.load"),
    "a builtin": (
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        r"builtins\.eval",
    ),
    "a part of what is allowed": (
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        r"numpy\.ndarray\.tofile",
    ),
    "an attribute of an allowed class": (
        b"\x80\x04\x8c\x05numpy\x8c\x11dtype.__globals__\x93.",
        "dtype.__globals__",
    ),
    "a persistent object": (b"Pname\n.", "outside the file"),
    "an extension": (b"\x80\x02\x82\x01.", "whole pickle|plain containers"),
    "an array of objects": (
        pickle.dumps(np.array([{}], object), 2),
        "elements of type 'O8'",
    ),
    "an array of records": (pickle.dumps(np.zeros(2, "i4,f4"), 2), "elements of type"),
    "a class of its own": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        "class of its own",
    ),
    "the allowed function itself": (b"cnumpy\nndarray\n.", "an object of"),
    "an array without bytes": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
        "its bytes",
    ),
    "a set": (pickle.dumps({1, 2}, 4), "an object of set"),
    "other text": (b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.", "text in"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_pickles_with_more_than_data_are_refused(kind: str, tmp_path: Path) -> None:
    content, message = REFUSED[kind]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.read_pickle(tmp_path / "a")


def test_a_pickle_of_endless_containers_ends(tmp_path: Path) -> None:
    itself: list = []
    itself.append(itself)
    (tmp_path / "loop").write_bytes(pickle.dumps(itself))
    with pytest.raises(DataError, match="16 deep"):
        data.read_pickle(tmp_path / "loop")
    wide: list = [0]
    for _ in range(12):
        wide = [wide] * 1000  # 10³⁶ numbers, each list once
    (tmp_path / "wide").write_bytes(pickle.dumps(wide))
    assert len(data.read_pickle(tmp_path / "wide")) == 1000


@pytest.mark.parametrize("length", [0, 1, 10, 40, 80, 120])
def test_truncated_pickles(length: int, tmp_path: Path) -> None:
    content = pickle.dumps({"data": np.arange(6)}, 2)
    (tmp_path / "a").write_bytes(content[:length])
    with pytest.raises(DataError, match="whole pickle"):
        data.read_pickle(tmp_path / "a")


def test_noise_is_never_more_than_a_data_error(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    content = bytearray(pickle.dumps({"data": np.arange(6), "labels": [1, 2]}, 2))
    refused = 0
    for _ in range(400):
        noisy = bytearray(content)
        noisy[random.integers(len(noisy))] = random.integers(256)
        (tmp_path / "a").write_bytes(noisy)
        try:
            data.read_pickle(tmp_path / "a")
        except DataError:
            refused += 1
    assert refused > 100


# ---------------------------------------------------------------- CIFAR


def write_cifar(
    folder: Path, hundred: bool = False, n: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Write batches of n pictures; return the pictures channels last and the labels, training first."""
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    names = (
        ["train", "test"]
        if hundred
        else [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    )
    rows = random.integers(0, 256, (len(names) * n, 3072)).astype(np.uint8)
    labels = np.arange(len(rows)) % (100 if hundred else 10)
    for i, name in enumerate(names):
        part = slice(i * n, (i + 1) * n)
        batch = {
            b"batch_label": b"a batch",
            b"data": rows[part],
            b"filenames": [b"a.png"] * n,
        }
        if hundred:
            batch |= {
                b"fine_labels": labels[part].tolist(),
                b"coarse_labels": (labels[part] % 20).tolist(),
            }
        else:
            batch |= {b"labels": labels[part].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, 2))
    meta = {b"label_names": [f"class {i}".encode() for i in range(10)]}
    if hundred:
        meta = {
            b"fine_label_names": [b"f%d" % i for i in range(100)],
            b"coarse_label_names": [b"c%d" % i for i in range(20)],
        }
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(
        pickle.dumps(meta, 2)
    )
    pictures = np.stack(
        [rows[:, k * 1024 : (k + 1) * 1024].reshape(-1, 32, 32) for k in range(3)],
        axis=-1,
    )
    return pictures, labels


def test_cifar_10(tmp_path: Path) -> None:
    pictures, labels = write_cifar(tmp_path)
    every = data.read_folder(tmp_path)
    np.testing.assert_array_equal(
        every.inputs, pictures.astype(np.float32) / np.float32(255)
    )
    np.testing.assert_array_equal(every.targets, labels)
    assert every.class_names[3] == "class 3"
    test = data.read_cifar(tmp_path, "test", scale=False)
    np.testing.assert_array_equal(test.inputs, pictures[20:])


def test_cifar_100_with_both_labels(tmp_path: Path) -> None:
    _, labels = write_cifar(tmp_path, hundred=True, n=60)
    fine, coarse = (
        data.read_folder(tmp_path),
        data.read_cifar(tmp_path, "train", labels="coarse"),
    )
    np.testing.assert_array_equal(fine.targets, labels)
    np.testing.assert_array_equal(coarse.targets, labels[:60] % 20)
    assert (fine.class_names[7], coarse.class_names[7]) == ("f7", "c7")


def test_cifar_faults(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    with pytest.raises(ArgumentError, match="'fine' for CIFAR-10"):
        data.read_cifar(tmp_path, labels="coarse")
    with pytest.raises(ArgumentError, match="read_cifar part"):
        data.read_cifar(tmp_path, "some")
    for batch, message in (
        ({b"labels": [1]}, "an entry 'data', got the entries labels"),
        (
            {b"data": np.zeros((2, 5), np.uint8), b"labels": [1, 2]},
            "rows of 3072 bytes, got uint8",
        ),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "2 labels"),
        (
            {b"data": np.zeros((1, 3072), np.uint8), b"labels": ["frog"]},
            "whole numbers as labels",
        ),
        (
            {b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]},
            "labels of 10 classes, got 10",
        ),
        ([1, 2], "a dictionary, got a list"),
    ):
        (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, 2))
        with pytest.raises(DataError, match=message):
            data.read_cifar(tmp_path, "test")
    (tmp_path / "test_batch").unlink()
    with pytest.raises(DataError, match="can be read"):
        data.read_cifar(tmp_path, "test")


# ---------------------------------------------------------------- folders of pictures


def write_pictures(
    folder: Path, n: int = 6, size: tuple[int, int] = (5, 7)
) -> dict[str, np.ndarray]:
    """Write n pictures in two classes, of three formats; return their pixels by path below the folder."""
    random = np.random.default_rng(0)
    written = {}
    for i in range(n):
        pixels = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        path = (
            folder
            / ("cat", "dog")[i % 2]
            / ("a" if i < 2 else "")
            / f"{i}.{('png', 'ppm', 'PNG')[i % 3]}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        written[str(path.relative_to(folder))] = pixels
    return written


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    written = write_pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("no class")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cat" / "readme.md").write_text("no picture")
    found = data.read_folder(tmp_path)
    order = sorted(written, key=lambda name: (name[:3], Path(name)))
    np.testing.assert_array_equal(
        found.inputs,
        np.stack([written[n] for n in order]).astype("f4") / np.float32(255),
    )
    assert found.targets.tolist() == [0, 0, 0, 1, 1, 1] and found.class_names == (
        "cat",
        "dog",
    )
    grey = data.read_image_folder(tmp_path, channels=1, scale=False)
    luma = np.stack([written[n] for n in order]) @ np.array(
        [0.299, 0.587, 0.114]
    )  # ITU-R 601
    assert (
        grey.inputs.shape == (6, 5, 7, 1)
        and np.abs(grey.inputs[..., 0] - luma).max() <= 1
    )


def test_pictures_in_parts_are_the_same_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    whole = data.read_image_folder(tmp_path / "pictures")
    parts = list(data.image_chunks(tmp_path / "pictures", rows=4))
    assert [part.n_samples for part in parts] == [4, 2] and all(
        p.class_names == whole.class_names for p in parts
    )
    stored = data.write_mapped(tmp_path / "stored", iter(parts))
    np.testing.assert_array_equal(stored.inputs, whole.inputs)
    np.testing.assert_array_equal(stored.targets, whole.targets)


def test_jpeg_and_resizing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    ramp = np.repeat(
        np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], 16, 1
    ).repeat(3, 2)
    Image.fromarray(ramp).save(tmp_path / "one" / "a.jpg", quality=95)
    Image.fromarray(ramp[:8]).save(tmp_path / "one" / "b.jpeg", quality=95)
    with pytest.raises(DataError, match=r"16×16 pixels, as a\.jpg, got 8×16"):
        data.read_image_folder(tmp_path)
    found = data.read_image_folder(tmp_path, size=(4, 8), scale=False)
    assert found.inputs.shape == (2, 4, 8, 3)
    assert (
        np.abs(
            found.inputs[0, :, 0, 0].astype(int)
            - ramp.reshape(4, 4, 16, 3).mean((1, 2, 3))
        ).max()
        < 9
    )


def test_faults_of_picture_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="a folder, got none"):
        data.read_image_folder(tmp_path / "nothing")
    with pytest.raises(DataError, match="no folder in it"):
        data.read_image_folder(tmp_path)
    with pytest.raises(
        DataError, match=r"inputs\.npy and targets\.npy, MNIST's files, .* got nothing"
    ):
        data.read_folder(tmp_path)
    write_pictures(tmp_path)
    for arguments in ({"channels": 2}, {"size": (0, 3)}):
        with pytest.raises(ArgumentError, match="image folder"):
            data.read_image_folder(tmp_path, **arguments)
    with pytest.raises(ArgumentError, match="rows"):
        data.image_chunks(tmp_path, rows=0)
    whole = (tmp_path / "dog" / "a" / "1.ppm").read_bytes()
    (tmp_path / "dog" / "z.ppm").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"z\.ppm: expected a whole picture"):
        data.read_image_folder(tmp_path)
    (tmp_path / "dog" / "z.ppm").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"z\.ppm: expected a whole picture"):
        data.read_image_folder(tmp_path)
    (tmp_path / "zebra").mkdir()
    with pytest.raises(DataError, match=r"zebra: expected pictures"):
        data.read_image_folder(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(DependencyError, match=r"deltarule\[images\]"):
        data.read_image(tmp_path / "cat" / "a" / "0.png")
