"""Figures: well-formed, within their box, true to their data."""

import base64
import math
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule.errors import DataError
from deltarule.render import svg
from deltarule.render.html import Figure, page
from deltarule.render.svg.axes import Scale, limits, linear_ticks, padded, tick_texts
from deltarule.render.svg.charts import spread
from deltarule.render.svg.document import DARK, LIGHT, STYLE, element, palette, safe
from deltarule.render.svg.images import Picture
from deltarule.render.svg.letters import text_width

SVG = "{http://www.w3.org/2000/svg}"
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


def parsed(text: str) -> ET.Element:
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    return root


def path_points(root: ET.Element) -> list[list[tuple[float, float]]]:
    paths = [path.get("d") for path in root.iter(f"{SVG}path")]
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]
        for d in paths
    ]


@given(st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), max_size=12), st.booleans())
def test_lines_of_any_numbers_are_well_formed_and_stay_in_the_figure(points, log_y):
    xs, ys = [x for x, _ in points], [y for _, y in points]
    root = parsed(
        svg.line_chart([svg.Series("a < b & c", xs, ys)], "T", "x", "y", log_y=log_y)
    )
    width, height = float(root.get("width")), float(root.get("height"))
    for line in path_points(root):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in line)


@pytest.mark.parametrize("log_y", [False, True])
def test_line_is_an_affine_or_logarithmic_image_of_the_data(log_y):
    ys = [4.0, 2.0, 1.0, 0.5, 0.03]
    (points,) = path_points(
        parsed(svg.line_chart([svg.Series("s", range(5), ys)], log_y=log_y))
    )
    values = [math.log(y) for y in ys] if log_y else ys
    for index in range(3):
        share = (values[index + 1] - values[index]) / (values[4] - values[0])
        drawn = (points[index + 1][1] - points[index][1]) / (
            points[4][1] - points[0][1]
        )
        assert share == pytest.approx(drawn, abs=1e-3)
        assert points[index + 1][0] - points[index][0] == pytest.approx(
            (points[4][0] - points[0][0]) / 4, abs=0.02
        )
    assert points[0][1] < points[4][1], "larger values stand higher"


def test_a_missing_value_breaks_the_line():
    root = parsed(
        svg.line_chart([svg.Series("s", range(5), [1, 2, math.nan, 3, math.inf])])
    )
    path = next(root.iter(f"{SVG}path")).get("d")
    assert (path.count("M"), path.count("L")) == (2, 1)


def test_names_stand_at_the_ends_of_their_lines_and_share_their_colour():
    series = [
        svg.Series("training", [1, 2], [1.0, 0.1]),
        svg.Series("validation", [1, 2], [1.0, 0.11], dashed=True),
    ]
    root = parsed(svg.line_chart(series, "Loss", "epoch", "nats"))
    lines = [path.get("class") for path in root.iter(f"{SVG}path")]
    names = {
        text.text: text
        for text in root.iter(f"{SVG}text")
        if "name" in text.get("class", "")
    }
    assert lines == ["line0", "line0"]
    assert set(names) == {"training", "validation"}
    assert (
        abs(float(names["training"].get("y")) - float(names["validation"].get("y")))
        >= 15
    )
    assert float(names["training"].get("x")) > max(
        x for line in path_points(root) for x, _ in line
    )


@given(st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_spread_keeps_distance_and_order(positions):
    placed = spread(positions, 15, 0, 200)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    assert all(placed[b] - placed[a] >= 15 - 1e-9 for a, b in pairwise(order))
    assert min(placed) >= -1e-9
    assert max(placed) <= 200 + 1e-9


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.booleans())
def test_ticks_are_round_and_within(low, length, whole):
    high = low + length
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return
    ticks = linear_ticks(low, high, 6, whole)
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert len(ticks) <= 9
    if not whole:
        assert len(ticks) >= 2
    if len(ticks) > 2:
        step = ticks[1] - ticks[0]
        assert step / 10 ** math.floor(math.log10(step) + 1e-6) == pytest.approx(
            min(
                (1, 2, 5, 10),
                key=lambda s: abs(s - step / 10 ** math.floor(math.log10(step) + 1e-6)),
            ),
            rel=1e-3,
        )


def test_decades_are_the_ticks_of_a_logarithmic_axis():
    assert Scale(1e-4, 3.0, 0, 1, logarithmic=True).ticks() == pytest.approx(
        [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    )
    assert Scale(2.0, 7.0, 0, 1, logarithmic=True).ticks() == [
        2.0,
        3.0,
        4.0,
        5.0,
        6.0,
        7.0,
    ]
    assert padded(
        limits([0.0, -1.0, 5.0], logarithmic=True), 0.0, logarithmic=True
    ) == (2.5, 10.0)


@given(st.floats(-8, 8), st.floats(0.001, 12))
def test_a_logarithmic_axis_always_has_two_ticks_or_more(start, decades):
    low, high = 10**start, 10 ** (start + decades)
    ticks = Scale(low, high, 0, 1, logarithmic=True).ticks()
    assert 2 <= len(ticks) <= 8 and ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-6) <= tick <= high * (1 + 1e-6) for tick in ticks)
    if (
        len(ticks) > 2 and decades > 0.5
    ):  # equal distances, within the steps of 1, 2, 5, 10
        steps = [math.log10(later / earlier) for earlier, later in pairwise(ticks)]
        assert max(steps) <= 4.5 * min(steps)


@pytest.mark.parametrize(
    ("low", "high"),
    [(123456, 123457), (1e6, 1e6 + 1), (0.12345678, 0.12345679), (0, 1), (-1e-9, 1e9)],
)
def test_texts_of_different_ticks_differ(low, high):
    for ticks in (linear_ticks(low, high), linear_ticks(1e9, 1e9 + 1e-3)):
        texts = tick_texts(ticks)
        assert len(set(texts)) == len(ticks) >= 2
    assert tick_texts([0.1, 1 / 3]) == ["0.1", "0.333333"] and tick_texts([]) == []
    assert tick_texts([123456.0, 123456.2, 123456.4]) == [
        "123456",
        "123456.2",
        "123456.4",
    ]


def _texts(drawn):
    """Yield every text of a figure with its anchor, place, size and weight as the style sheet sets them."""
    root = parsed(drawn)
    left, top, width, height = map(float, root.get("viewBox").split())
    for node in root.iter(f"{SVG}text"):
        kind = node.get("class") or ""
        size, bold = (14, True) if kind == "title" else (12, kind.startswith("name"))
        long = text_width(node.text or "", size, bold)
        x, y = float(node.get("x")), float(node.get("y"))
        start = (
            x - {"start": 0, "middle": long / 2, "end": long}[node.get("text-anchor")]
        )
        yield (
            node.text,
            start - left,
            left + width - (start + long),
            y - size - top,
            top + height - y,
        )


NAMES = [
    "momentum",
    "mammography",
    "WWWWWWWW",
    "猫と犬のクラス",
    "Ж" * 12,
    "a class with a very long name " * 4,
    "i",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("draw", [svg.line_chart, svg.scatter])
def test_no_text_is_cut(draw, name):
    series = [
        svg.Series(name, [1, 2, 4], [0.72, 0.04, 0.013]),
        svg.Series("b", [1, 2, 4], [3.0, 2.0, 1e-9]),
    ]
    drawn = draw(series, name * 3, name * 4, name * 2)
    assert all(min(rooms) >= -0.02 for _, *rooms in _texts(drawn)), list(_texts(drawn))
    pictures = [Picture([[0.0, 1.0]], name, wrong=True), Picture([[1.0, 0.0]], "b")]
    assert all(
        min(rooms) >= -0.02
        for _, *rooms in _texts(svg.image_grid(pictures, title=name * 3))
    )


def test_widths_are_those_of_wide_faces():
    """Advance widths of DejaVu Sans Bold in em: m 1.042, W 1.103, i 0.343, 0 0.696, space 0.348."""
    for letter, advance in (
        ("m", 1.042),
        ("W", 1.103),
        ("i", 0.343),
        ("0", 0.696),
        (" ", 0.348),
        ("é", 0.678),
    ):
        assert advance <= text_width(letter, 1, bold=True) <= advance + 0.06
    for letter, advance in (
        ("m", 0.974),
        ("W", 0.989),
        ("i", 0.278),
        ("0", 0.636),
        ("−", 0.838),
        ("…", 1.0),
    ):
        assert advance <= text_width(letter, 1) <= advance + 0.06


def test_figures_take_their_ink_from_the_page_around_them():
    assert ":root{background" in STYLE and "currentColor" in STYLE
    outside = re.sub(
        r"@media \(prefers-color-scheme:dark\)\{\.dr-figure:root\{[^}]*\}\}", "", STYLE
    )
    assert (
        "prefers-color-scheme" not in outside
        and "background" not in outside.replace(":root{background:#fff", "")
    )
    shown = page("t", [Figure(svg.line_chart([svg.Series("a", [0, 1], [0, 1])]))])
    assert f":root .dr-figure{{{palette(DARK)}}}" in shown


def test_scatter_draws_every_finite_point():
    root = parsed(
        svg.scatter(
            [svg.Series("a", [1, 2, math.nan], [1, 2, 3]), svg.Series("b", [0], [0])]
        )
    )
    assert len(list(root.iter(f"{SVG}circle"))) == 3


def decoded(data: bytes) -> tuple[int, int, int, list[list[int]]]:
    """Read a PNG without filters by the standard's layout of chunks."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, held = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[
            0
        ] == zlib.crc32(kind + body)
        held[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", held[b"IHDR"][:10])
    assert (depth, set(held)) == (8, {b"IHDR", b"IDAT", b"IEND"})
    channels = {0: 1, 2: 3}[colour]
    raw, stride = zlib.decompress(held[b"IDAT"]), 1 + width * channels
    assert all(raw[row * stride] == 0 for row in range(height))
    return (
        width,
        height,
        channels,
        [list(raw[row * stride + 1 : (row + 1) * stride]) for row in range(height)],
    )


def test_png_holds_the_pixels():
    grey = [[0.0, 0.5, 1.0], [-3.0, 7.0, math.nan]]
    assert decoded(svg.png(grey)) == (3, 2, 1, [[0, 128, 255], [0, 255, 0]])
    colour = [[(1.0, 0.0, 0.2), (0.0, 1.0, 0.4)]]
    assert decoded(svg.png(colour)) == (2, 1, 3, [[255, 0, 51, 0, 255, 102]])
    for wrong in ([], [[]], [[0.0], [0.0, 1.0]], [[(1.0, 0.0)]]):
        with pytest.raises(DataError, match="equal rows"):
            svg.png(wrong)


def test_image_grid_places_pictures_in_reading_order():
    pictures = [svg.Picture([[i / 4]], f"no {i}", wrong=i == 3) for i in range(5)]
    root = parsed(svg.image_grid(pictures, columns=3, title="Digits"))
    images = list(root.iter(f"{SVG}image"))
    places = [(float(image.get("y")), float(image.get("x"))) for image in images]
    assert places == sorted(places)
    assert len({y for y, _ in places}) == 2
    pixels = [
        decoded(base64.b64decode(image.get("href").split(",")[1]))[3][0][0]
        for image in images
    ]
    assert pixels == [0, 64, 128, 191, 255]
    marked = [
        text.text for text in root.iter(f"{SVG}text") if text.get("class") == "name1"
    ]
    assert marked == ["no 3"]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_stand_out_from_their_ground():
    white, black = 1.05, luminance("#12161b") + 0.05
    assert all((luminance(colour) + 0.05) / black > 4.5 for colour in DARK)
    assert all(white / (luminance(colour) + 0.05) > 2.0 for colour in LIGHT)
    assert all(f"--c{i}:{colour}" in STYLE for i, colour in enumerate(LIGHT))
    assert "prefers-color-scheme:dark" in STYLE


def test_text_is_escaped_and_control_characters_do_not_survive():
    hostile = "</title><script>alert(1)</script>\x00\x1b\ud800"
    root = parsed(
        svg.line_chart([svg.Series(hostile, [0, 1], [0, 1])], hostile, hostile, hostile)
    )
    assert not list(root.iter(f"{SVG}script"))
    assert safe("\x00") == "�"
    assert ET.fromstring(element("a", b='"<&')).get("b") == '"<&'


def test_series_of_unequal_length_is_refused():
    with pytest.raises(DataError, match="'loss'"):
        svg.Series("loss", [1, 2], [1.0])


def test_golden_line_chart(golden):
    epochs = [1, 2, 3, 4]
    series = [
        svg.Series("training", epochs, [2.0, 1.0, 0.5, 0.25]),
        svg.Series("validation", epochs, [2.1, 1.2, 0.8, 0.7], dashed=True),
    ]
    text = svg.line_chart(series, "Loss", "epoch", "cross-entropy (nats)")
    golden("line_chart", text.replace("><", ">\n<"))
