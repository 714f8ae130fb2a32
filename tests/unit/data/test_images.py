"""Pictures are read as a viewer shows them: depth, orientation, transparency, formats; nothing is left out silently."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from deltarule import data
from deltarule.errors import DataError, DataWarning

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (4, 6, 3)).astype(np.uint8)


def grey(path: Path) -> np.ndarray:
    return data.read_image(path, channels=1)[..., 0]


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_grey_levels_of_16_bits_keep_their_range(tmp_path, ending):
    levels = np.array([[0, 128, 129, 257], [1000, 30000, 60000, 65535]], np.uint16)
    path = tmp_path / f"wide.{ending}"
    if ending == "pgm":
        path.write_bytes(b"P5 4 2 65535\n" + levels.astype(">u2").tobytes())
    else:
        Image.fromarray(levels).save(path)
    expected = np.array([[0, 0, 1, 1], [4, 117, 233, 255]])  # v/257, rounded
    np.testing.assert_array_equal(grey(path), expected)
    np.testing.assert_array_equal(
        data.read_image(path), np.repeat(expected[..., None], 3, axis=2)
    )


def test_dark_and_bright_16_bit_pictures_differ(tmp_path):
    for name, level in (("dark", 2000), ("bright", 40000)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), level, np.uint16)).save(
            tmp_path / name / "0.png"
        )
    found = data.read_image_folder(tmp_path, channels=1)
    np.testing.assert_allclose(
        found.inputs.mean(axis=(1, 2, 3)), [156 / 255, 8 / 255], rtol=1e-6
    )


def test_levels_beyond_16_bits_and_floating_point_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "deep.tif")
    with pytest.raises(DataError, match="8 or 16 bits, got 0 … 70000"):
        data.read_image(tmp_path / "deep.tif")
    Image.fromarray(np.array([[0.0, 0.5]], np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(DataError, match="floating-point pixels"):
        data.read_image(tmp_path / "real.tif")


# What each EXIF orientation asks of the stored pixels, to be shown as meant (Exif 2.3, tag 0x0112).
TURNED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_pictures_are_turned_as_their_camera_was(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {
        "jpg": {"quality": 100, "subsampling": 0},
        "webp": {"lossless": True},
    }.get(ending, {})
    Image.fromarray(PIXELS).save(tmp_path / f"turned.{ending}", exif=exif, **lossless)
    plain = tmp_path / f"plain.{ending}"
    Image.fromarray(PIXELS).save(plain, **lossless)
    with Image.open(plain) as opened:
        expected = TURNED[orientation](np.asarray(opened))
    np.testing.assert_array_equal(
        data.read_image(tmp_path / f"turned.{ending}"), expected
    )


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return colour * (alpha / 255) + 255 * (1 - alpha / 255)


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_transparent_pixels_lie_on_white(tmp_path, ending):
    alpha = np.array([[0, 255, 128, 64, 1, 254]] * 4, np.uint8)[..., None]
    path = tmp_path / f"clear.{ending}"
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(path, **options)
    assert (
        np.abs(data.read_image(path) - over_white(PIXELS.astype(float), alpha)).max()
        <= 1
    )
    if ending == "png":
        Image.fromarray(np.concatenate([PIXELS[..., :1], alpha], axis=2), "LA").save(
            path
        )
        assert (
            np.abs(
                grey(path) - over_white(PIXELS[..., 0].astype(float), alpha[..., 0])
            ).max()
            <= 1
        )


def test_transparent_colours_of_palettes_and_keys_lie_on_white(tmp_path):
    for ending in ("png", "gif"):
        picture = Image.new("P", (2, 1))
        picture.putpalette([10, 20, 30, 200, 100, 50])
        picture.putpixel((1, 0), 1)
        picture.save(tmp_path / f"palette.{ending}", transparency=0)
        assert data.read_image(tmp_path / f"palette.{ending}")[0].tolist() == [
            [255, 255, 255],
            [200, 100, 50],
        ]
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)).save(
        tmp_path / "key.png", transparency=(1, 2, 3)
    )
    assert data.read_image(tmp_path / "key.png")[0].tolist() == [
        [255, 255, 255],
        [4, 5, 6],
    ]
    Image.fromarray(np.array([[257, 258]], np.uint16)).save(
        tmp_path / "grey.png", transparency=257
    )
    assert data.read_image(tmp_path / "grey.png", channels=1)[0].tolist() == [
        [255],
        [1],
    ]


@pytest.mark.parametrize(
    "ending", ["png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "jpg", "jfif", "PNG"]
)
def test_every_common_format_is_read(tmp_path, ending):
    (tmp_path / "one").mkdir()
    path = tmp_path / "one" / f"0.{ending}"
    options = {"lossless": True} if ending == "webp" else {}
    Image.fromarray(PIXELS).save(
        path, format="JPEG" if ending == "jfif" else None, **options
    )
    found = data.read_image_folder(tmp_path, scale=False)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(
            found.inputs[0], np.asarray(opened.convert("RGB"))
        )


def test_modes_that_have_no_rgb_of_their_own(tmp_path):
    Image.fromarray(PIXELS).convert("CMYK").save(tmp_path / "print.tif")
    assert (
        np.abs(data.read_image(tmp_path / "print.tif").astype(int) - PIXELS).max() <= 1
    )
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    assert grey(tmp_path / "bits.png").tolist() == [[255, 0]]


def folder(place: Path) -> None:
    for label in ("cat", "dog"):
        (place / label).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(PIXELS).save(place / label / f"{i}.png")


def test_files_that_are_left_out_are_counted_in_a_warning(tmp_path):
    folder(tmp_path)
    for name in ("cat/a.heic", "cat/b.heic", "dog/c.svg", "dog/notes"):
        (tmp_path / name).write_bytes(b"?")
    for name in ("cat/.DS_Store", "dog/Thumbs.db", "dog/readme.md", "__MACOSX/._0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    with pytest.warns(
        DataWarning, match=re.escape("4 files left out, as no kind of picture")
    ) as caught:
        found = data.read_image_folder(tmp_path)
    assert found.n_samples == 6 and found.class_names == ("cat", "dog")
    assert all(
        part in str(caught[0].message)
        for part in ("2 .heic", "1 .svg", "1 without an ending")
    )
    (tmp_path / "clean").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder(tmp_path / "clean" / "pictures")
        assert data.read_image_folder(tmp_path / "clean" / "pictures").n_samples == 6


def test_pictures_without_classes(tmp_path):
    folder(tmp_path / "all")
    pictures, names = data.read_images(tmp_path / "all")
    assert pictures.shape == (6, 4, 6, 3) and pictures.dtype == np.float32
    assert names == [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(3)]
    np.testing.assert_array_equal(pictures[0], PIXELS.astype(np.float32) / 255)
    one, names = data.read_images(
        tmp_path / "all" / "cat" / "1.png", size=(2, 2), channels=1, scale=False
    )
    assert one.shape == (1, 2, 2, 1) and one.dtype == np.uint8 and names == ["1.png"]
    Image.fromarray(PIXELS[:2]).save(tmp_path / "all" / "cat" / "small.png")
    with pytest.raises(
        DataError,
        match=r"small\.png: expected a picture of 4×6 pixels, as 0\.png, got 2×6",
    ):
        data.read_images(tmp_path / "all")
    (tmp_path / "none").mkdir()
    for place in (tmp_path / "none", tmp_path / "absent.png"):
        with pytest.raises(
            DataError, match="a picture, or a folder that holds pictures"
        ):
            data.read_images(place)


def test_pictures_lists_and_structs_in_parquet_are_refused_by_type(tmp_path):
    path = tmp_path / "faces.parquet"
    image = pyarrow.array([{"bytes": b"1", "path": "a"}] * 20)
    columns = {"image": image, "x": list(range(20)), "label": ["a", "b"] * 10}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(
        DataError,
        match=r"(?s)column 'image': expected numbers or text, got struct.*blob.*folder",
    ):
        data.read_table(path, "label")
    read = data.read_table(path, "label", ignore=["image"])
    assert read.feature_names == ("x",) and read.n_samples == 20
    for bad in (pyarrow.array([[1, 2]] * 20), pyarrow.array([b"x"] * 20)):
        pyarrow.parquet.write_table(pyarrow.table({**columns, "image": bad}), path)
        with pytest.raises(DataError, match="column 'image': expected numbers or text"):
            data.read_table(path, "label")
