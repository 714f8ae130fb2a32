"""Pages: well-formed, self-contained, nothing from the network, nothing executed."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from deltarule.render import html, svg
from deltarule.render.mathematics import identifier, to_mathml

XHTML = "{http://www.w3.org/1999/xhtml}"
CHART = svg.line_chart([svg.Series("loss", [1, 2], [2.0, 1.0])])


class Formula:
    """A block of a caller's own."""

    def html(self) -> str:
        return f"<p>{to_mathml(identifier('W_1'))}</p>"


def everything() -> str:
    return html.page(
        "Run",
        [
            html.Heading("Loss by epoch"),
            html.Figure(CHART, "It fell."),
            html.Heading("Numbers", level=3),
            html.Table([("Linear", 608)], ("layer", "parameters"), "<>", "Layers"),
            html.Code("a  b\n  c"),
            html.Paragraph("2 < 3 & 4"),
            Formula(),
        ],
        subtitle="on digits",
    )


def test_page_parses_and_holds_its_blocks_in_order():
    root = ET.fromstring(everything())
    main = root.find(f"{XHTML}body/{XHTML}main")
    assert [child.tag.split("}")[1] for child in main] == [
        "h2",
        "figure",
        "h3",
        "div",
        "pre",
        "p",
        "p",
    ]
    assert main.find(f"{XHTML}h2").get("id") == "loss-by-epoch"
    assert main.find(f"{XHTML}pre").text == "a  b\n  c"
    cells = [cell.text for cell in main.iter(f"{XHTML}td")]
    assert cells == ["Linear", "608"]
    assert [cell.get("class") for cell in main.iter(f"{XHTML}td")] == [None, "number"]
    assert root.find(f"{XHTML}head/{XHTML}title").text == "Run"


def test_page_fetches_and_runs_nothing():
    text = everything()
    assert not re.search(r"<(script|link|iframe|object)|@import|url\(|\bon\w+=", text)
    addresses = set(re.findall(r'https?://[^"\s<]+', text))
    assert addresses == {
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1998/Math/MathML",
    }
    assert "default-src 'none'" in html.page("t", []).replace("&#x27;", "'")


@given(st.text(max_size=30))
def test_any_text_is_shown_as_text(text):
    page = html.page(
        text,
        [
            html.Heading(text),
            html.Paragraph(text),
            html.Table([(text,)], (text,)),
            html.Code(text),
        ],
        text,
    )
    root = ET.fromstring(page)
    assert {element.tag.split("}")[1] for element in root.iter()} <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "p",
        "main",
        "h2",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
    }


def test_dark_and_light():
    assert "prefers-color-scheme:dark" in everything()
    assert "color-scheme:light dark" in everything()
