"""Grids of images, embedded as PNG."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deltarule.errors import DataError
from deltarule.render.numbers import counted
from deltarule.render.svg.document import FONT_SIZE, element, figure, label
from deltarule.render.svg.letters import text_width

Grey = Sequence[Sequence[float]]
Colour = Sequence[Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Picture:
    """An image with a caption.

    Attributes:
        pixels: Rows of pixels in [0, 1], a number each (grey) or three (red, green, blue).
        caption: Text below the image.
        wrong: Whether the caption is highlighted, for wrong predictions.
    """

    pixels: Grey | Colour
    caption: str = ""
    wrong: bool = False


def _bytes(pixels: Grey | Colour) -> tuple[bytes, int, int, int]:
    """Return rows of bytes, each with a leading filter byte 0, and width, height and channels."""
    flat: list[list[float]] = []
    channels = 1
    for row in pixels:
        line: list[float] = []
        for pixel in row:
            if isinstance(pixel, Iterable):
                values = [float(value) for value in pixel]
                channels = len(values)
                line.extend(values)
            else:
                line.append(float(pixel))
        flat.append(line)
    is_rectangular = len({len(line) for line in flat}) == 1
    if not is_rectangular or not flat[0] or channels not in {1, 3}:
        raise DataError(
            "png",
            expected="equal rows of numbers, or of (red, green, blue)",
            got=counted(len(flat), "row"),
        )
    raw = b"".join(b"\0" + bytes(_level(value) for value in line) for line in flat)
    return raw, len(flat[0]) // channels, len(flat), channels


def _level(value: float) -> int:
    return 0 if math.isnan(value) else round(255 * min(max(value, 0.0), 1.0))


def png(pixels: Grey | Colour) -> bytes:
    r"""Return pixels in [0, 1] as a PNG file with 8 bits per channel; values are clipped, NaN is black.

    >>> png([[0.0, 1.0]])[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    raw, width, height, channels = _bytes(pixels)
    header = struct.pack(
        ">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0
    )
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def image_grid(
    pictures: Sequence[Picture],
    columns: int = 8,
    title: str = "",
    size: float = 64,
    gap: float = 12,
) -> str:
    """Return an SVG grid of images with captions; captions of wrong predictions are orange.

    Args:
        pictures: The images, in reading order.
        columns: Images per row.
        title: Title of the figure.
        size: Size of the longer side of an image in pixels.
        gap: Distance between images in pixels.

    >>> image_grid([Picture([[0.0, 1.0]], caption="7")]).count("<image")
    1
    """
    captioned = any(picture.caption for picture in pictures)
    widest = max(
        (text_width(picture.caption, FONT_SIZE, picture.wrong) for picture in pictures),
        default=0.0,
    )
    pitch_x, pitch_y = max(size, widest) + gap, size + gap + (18 if captioned else 0)
    top = 34.0 if title else gap
    body = []
    for index, picture in enumerate(pictures):
        x, y = gap + pitch_x * (index % columns), top + pitch_y * (index // columns)
        data = base64.b64encode(png(picture.pixels)).decode("ascii")
        inset = (pitch_x - gap - size) / 2
        body.append(
            element(
                "image",
                x=x + inset,
                y=y,
                width=size,
                height=size,
                href=f"data:image/png;base64,{data}",
                style="image-rendering:pixelated",
            )
        )
        if picture.caption:
            class_ = "name1" if picture.wrong else ""
            body.append(
                label(
                    picture.caption,
                    x + (pitch_x - gap) / 2,
                    y + size + 15,
                    "middle",
                    class_,
                )
            )
    shown = min(columns, max(len(pictures), 1))
    n_rows = math.ceil(len(pictures) / columns)
    width = gap + pitch_x * shown
    told = (
        counted(len(pictures), "picture")
        + ": "
        + ", ".join(picture.caption for picture in pictures if picture.caption)
    )
    return figure(body, width, top + pitch_y * n_rows, title, told)
