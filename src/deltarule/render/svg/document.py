"""SVG elements, the style sheet of figures, and the outer ``<svg>``."""

from __future__ import annotations

import re
from html import escape, unescape

from deltarule.render.svg.letters import text_width
from deltarule.visible import visible

FONT_SIZE = 12
N_COLOURS = 7
# Okabe and Ito (2008) without yellow, which is hard to see on white; lighter on dark backgrounds.
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
DARK = ("#56b4e9", "#ff8c42", "#2fcf9f", "#e59cc4", "#f0b53c", "#8fd0f5", "#bbbbbb")
_EDGE = 4.0  # pixels around a text outside the figure
_TEXT = re.compile(
    r'<text x="(?P<x>[-.\d]+)" y="(?P<y>[-.\d]+)" text-anchor="(?P<anchor>\w+)"(?: class="(?P<kind>[^"]*)")?'
    r'(?: transform="(?P<turned>rotate[^"]*)")?(?: style="(?P<style>[^"]*)")?>(?P<text>[^<]*)</text>'
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def palette(colours: tuple[str, ...]) -> str:
    """Return CSS custom properties for the colours of series.

    >>> palette(("#000", "#fff"))
    '--c0:#000;--c1:#fff;'
    """
    return "".join(f"--c{i}:{colour};" for i, colour in enumerate(colours))


# An embedded figure inherits the text colour of its page, whose background is unknown; the colour scheme of the system
# may differ. Only a standalone file (:root) sets a background. Notebooks mark their theme by an attribute.
STYLE = (
    f".dr-figure{{{palette(LIGHT)}font:{FONT_SIZE}px system-ui,sans-serif;max-width:100%;height:auto}}"
    f"[data-jp-theme-light=false] .dr-figure,.vscode-dark .dr-figure{{{palette(DARK)}}}"
    ".dr-figure:root{background:#fff;color:#1f2328}"
    f"@media (prefers-color-scheme:dark){{.dr-figure:root{{background:#12161b;color:#e6edf3;{palette(DARK)}}}}}"
    ".dr-figure text{fill:currentColor}.dr-figure .title{font-weight:600;font-size:14px}"
    ".dr-figure .axis{stroke:currentColor;fill:none}"
    ".dr-figure .grid{stroke:currentColor;stroke-opacity:.2;fill:none}"
    + "".join(
        f".dr-figure .line{i}{{stroke:var(--c{i});fill:none;stroke-width:2}}"
        for i in range(N_COLOURS)
    )
    + "".join(f".dr-figure .fill{i}{{fill:var(--c{i})}}" for i in range(N_COLOURS))
    + "".join(
        f".dr-figure text.name{i}{{fill:var(--c{i});font-weight:600}}"
        for i in range(N_COLOURS)
    )
)


def safe(text: str) -> str:
    r"""Escape a text for XML; characters that XML does not allow become �.

    >>> safe("a < b & \x00")
    'a &lt; b &amp; �'
    """
    return escape(visible(_CONTROL.sub("�", text), kept="\n\t\r"))


def number(value: float) -> str:
    """Return a coordinate with at most two decimals.

    >>> number(12.5), number(3.0), number(1 / 3), number(-0.001)
    ('12.5', '3', '0.33', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(tag: str, content: str = "", **attributes: object) -> str:
    """Return an XML element; ``class_`` becomes class, other underscores become hyphens, floats have two decimals.

    >>> element("rect", x=1.0, stroke_width=2, class_="axis")
    '<rect x="1" stroke-width="2" class="axis"/>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{number(value) if isinstance(value, float) else safe(str(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def label(
    text: str,
    x: float,
    y: float,
    anchor: str = "start",
    class_: str = "",
    turned: bool = False,
) -> str:
    """Return a text element.

    Args:
        text: The text.
        x: Horizontal position of the anchor.
        y: Position of the baseline.
        anchor: "start", "middle" or "end".
        class_: CSS class.
        turned: Rotate the text to read upwards.

    >>> label("loss", 10, 20)
    '<text x="10" y="20" text-anchor="start">loss</text>'
    """
    attributes: dict[str, object] = {
        "x": float(x),
        "y": float(y),
        "text_anchor": anchor,
    }
    if class_:
        attributes["class_"] = class_
    if turned:
        attributes["transform"] = f"rotate(-90 {number(x)} {number(y)})"
    return element("text", safe(text), **attributes)


def _extent(found: re.Match[str]) -> tuple[float, float, float, float]:
    """Return the bounding box of a text element: left, top, right, bottom."""
    kind, style = found["kind"] or "", found["style"] or ""
    size = 16.0 if "font-size:16px" in style else float(FONT_SIZE)
    size = 14.0 if kind == "title" else size
    is_bold = kind == "title" or kind.startswith("name")
    long = text_width(unescape(found["text"]), size, is_bold)
    x, y = float(found["x"]), float(found["y"])
    before = {"start": 0.0, "middle": long / 2, "end": long}[found["anchor"]]
    if found["turned"]:
        return x - size, y - long + before, x + size / 4, y + before
    return x - before, y - size, x - before + long, y + size / 4


def _view_box(
    body: str, width_: float, height: float
) -> tuple[float, float, float, float]:
    """Return a view box that contains the figure and all of its texts: left, top, width, height."""
    boxes = [_extent(found) for found in _TEXT.finditer(body)]
    left = min((box[0] - _EDGE for box in boxes if box[0] < 0), default=0.0)
    top = min((box[1] - _EDGE for box in boxes if box[1] < 0), default=0.0)
    right = max((box[2] + _EDGE for box in boxes if box[2] > width_), default=width_)
    bottom = max((box[3] + _EDGE for box in boxes if box[3] > height), default=height)
    return left, top, right - left, bottom - top


def figure(
    body: list[str],
    width_: float,
    height: float,
    title: str = "",
    description: str = "",
) -> str:
    """Return a complete SVG document.

    The figure is enlarged if a text would be clipped.

    Args:
        body: Elements of the figure.
        width_: Width in pixels.
        height: Height in pixels.
        title: Title, shown and for screen readers.
        description: Description for screen readers.

    >>> figure([], 100, 50, title="Loss").startswith("<svg")
    True
    """
    accessible = (element("title", safe(title)) if title else "") + (
        element("desc", safe(description)) if description else ""
    )
    heading = [label(title, 8, 18, class_="title")] if title else []
    drawn = "".join(heading + body)
    left, top, wide, high = _view_box(drawn, width_, height)
    return element(
        "svg",
        accessible + element("style", STYLE) + drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=" ".join(map(number, (left, top, wide, high))),
        width=float(wide),
        height=float(high),
        role="img",
        class_="dr-figure",
    )
