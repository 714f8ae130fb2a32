"""Tables of text: every column stands at one place, in cells of the terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from deltarule.render.table import pad, shorten, text_table, width

WORDS = (
    st.text(st.sampled_from("abc 12ŷ₂δ数字ｗ—×"), min_size=1, max_size=8)
    .map(str.strip)
    .filter(bool)
)


@given(WORDS)
def test_width_agrees_with_the_terminal_library(text):
    assert width(text) == cell_len(text)


def test_a_letter_and_its_mark_take_one_cell():
    for text in ("ŷ", "x̄", "θ̃"):
        assert width(text) == width(unicodedata.normalize("NFD", text)) == 1


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5))
def test_columns_start_and_end_at_one_place(rows):
    lines = text_table(rows, align="<>^", gap=" | ").split("\n")
    assert len(lines) == len(rows)
    bars = {
        tuple(width(line[:i]) for i, c in enumerate(line) if c == "|") for line in lines
    }
    assert len(bars) == 1
    ends = {
        width(line.split(" | ")[0]) + 3 + width(line.split(" | ")[1]) for line in lines
    }
    assert len(ends) == 1
    for (left, middle, _), line in zip(rows, lines, strict=True):
        assert line.startswith(left)
        assert line.split(" | ")[1].endswith(middle)


@given(WORDS, st.integers(1, 8))
def test_shorten_keeps_within_its_cells(text, most):
    short = shorten(text, most)
    assert width(short) <= most
    assert short == text if width(text) <= most else short.endswith("…")


@given(WORDS, st.integers(0, 12), st.sampled_from("<>^"))
def test_pad_adds_only_spaces(text, cells, align):
    padded = pad(text, cells, align)
    assert padded.strip() == text
    assert width(padded) == max(cells, width(text))


def test_summary_like_table(golden):
    rows = [
        (0, "input", "32×32×3"),
        (1, "Conv2d(3→8, 5×5)", "28×28×8", "(32−5+2·0)/1+1 = 28", "608"),
        (2, "MaxPool2d(2)", "14×14×8", "(28−2)/2+1 = 14"),
    ]
    golden(
        "table",
        text_table(rows, ("#", "layer", "output", "how", "parameters"), ">", rule=True),
    )
    assert text_table([]) == ""
    assert text_table([("long description", 1)], most=5) == "long…  1"
