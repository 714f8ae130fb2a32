"""Drawings of networks: what is drawn is the network, and it can be read by XML parsers and people."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from network_pictures import FIGURES, pictures

from deltarule import nn

SVG = "{http://www.w3.org/2000/svg}"


class Residual(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x) + x


class TwoPaths(nn.Module):
    """Reads two inputs; its sum skips the activation."""

    def __init__(self):
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)
        self.gate = nn.Tanh()

    def forward(self, a, b):
        hidden = self.left(a)
        return self.gate(hidden) * self.right(b) + hidden


def drawn(model, *shapes):
    text = model.summary(list(shapes) if len(shapes) > 1 else shapes[0]).svg()
    return ElementTree.fromstring(text)


def texts(root):
    return [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("sizes", [(3, 2), (4, 8, 3), (1, 16, 1), (5, 4, 3, 2)])
def test_each_unit_is_a_circle_and_each_weight_a_line(sizes):
    layers = [
        layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())
    ]
    root = drawn(nn.Sequential(*layers), (sizes[0],))
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == sum(sizes)
    assert len(list(root.iter(f"{SVG}line"))) == sum(a * b for a, b in pairwise(sizes))
    columns = [circle.get("cx") for circle in circles]
    assert tuple(columns.count(x) for x in dict.fromkeys(columns)) == sizes


def test_lines_end_on_circles_of_neighbouring_columns():
    root = drawn(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4)), (3,))
    circles = {
        (float(c.get("cx")), float(c.get("cy"))): float(c.get("r"))
        for c in root.iter(f"{SVG}circle")
    }
    for line in root.iter(f"{SVG}line"):
        for x, y in (("x1", "y1"), ("x2", "y2")):
            at = float(line.get(x)), float(line.get(y))
            assert any(
                at[1] == pytest.approx(cy) and abs(at[0] - cx) == pytest.approx(r)
                for (cx, cy), r in circles.items()
            )


def test_long_columns_are_shortened_and_still_say_their_size():
    root = drawn(nn.Sequential(nn.Linear(100, 17), nn.Linear(17, 16)), (100,))
    radii = [circle.get("r") for circle in root.iter(f"{SVG}circle")]
    assert radii.count("9") == 8 + 8 + 16
    assert radii.count("1.8") == 3 + 3
    assert {"100 units", "17 units", "1,717 parameters", "288 parameters"} <= set(
        texts(root)
    )


def test_blocks_have_shapes_parameters_and_names():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6272, 2)
    )
    root = drawn(model, (32, 32, 3))
    assert not list(root.iter(f"{SVG}circle"))
    assert texts(root)[:4] == [
        "input",
        "32×32×3",
        "Conv2d(3→8, 5×5)",
        "28×28×8 · 608 parameters",
    ]


def edges(model, *shapes):
    summary = model.summary(list(shapes) if len(shapes) > 1 else shapes[0])
    names = [row.layer for row in summary.rows]
    found = [(names[j], row.layer) for row in summary.rows for j in row.reads]
    return found + [(names[j], "output") for j in summary.output_reads]


def test_skip_connections_are_edges_and_are_never_drawn_as_a_dense_chain():
    inner = "Linear(4→4)"
    assert edges(Residual(), (4,)) == [
        ("input", inner),
        ("input", "output"),
        (inner, "output"),
    ]
    root = drawn(Residual(), (4,))
    assert not list(root.iter(f"{SVG}circle"))
    assert "output" in texts(root)


def test_edges_of_several_inputs_and_paths():
    left, right = "Linear(4→3)", "Linear(2→3)"
    assert edges(TwoPaths(), (4,), (2,)) == [
        ("input", left),
        (left, "Tanh"),
        ("input", right),
        (left, "output"),
        ("Tanh", "output"),
        (right, "output"),
    ]
    summary = TwoPaths().summary([(4,), (2,)])
    assert [row.reads for row in summary.rows] == [(), (), (0,), (2,), (1,)]


def test_lanes_of_overlapping_skips_differ():
    class Dense(nn.Module):
        def __init__(self):
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            first = self.a(x)
            second = self.b(first + x)
            return self.c(second + first + x)

    root = drawn(Dense(), (4,))
    lanes = [
        path.get("d").split(" H")[1].split()[0]
        for path in root.iter(f"{SVG}path")
        if " V" in path.get("d")
    ]
    assert len(lanes) == 3 and len(set(lanes)) == 3


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Linear(3, 2)), (3,)),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), (5, 5, 1)),
        (nn.Sequential(nn.LSTM(4, 3)), (6, 4)),
        (nn.MultiHeadAttention(8, 2), (5, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, 9)), (5, 5, 1)),  # does not fit
    ],
)
def test_drawings_are_accessible_deterministic_and_follow_the_surroundings(
    model, shape
):
    text = model.summary(shape).svg()
    assert text == model.summary(shape).svg()
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert type(model).__name__ in root.findtext(f"{SVG}desc")
    assert "prefers-color-scheme:dark" in text and "currentColor" in text
    assert "<script" not in text and "http" not in text.replace(SVG[1:-1], "")
    left, top, wide, high = map(float, root.get("viewBox").split())
    for rect in root.iter(f"{SVG}rect"):
        assert left <= float(rect.get("x"))
        assert float(rect.get("x")) + float(rect.get("width")) <= left + wide
        assert float(rect.get("y")) + float(rect.get("height")) <= top + high


def test_a_notebook_shows_the_table_and_the_drawing():
    shown = nn.Sequential(nn.Linear(3, 2)).summary((3,))._repr_html_()
    assert "<table>" in shown and "<svg" in shown


@pytest.mark.parametrize("name", pictures())
def test_the_pictures_of_the_documentation_are_current(name):
    assert (FIGURES / name).read_text(encoding="utf-8") == pictures()[name] + "\n"
