"""Elements, the style sheet and the outer ``<svg>`` of a figure."""

from __future__ import annotations

import re
from html import escape

from deltarule.render.table import width
from deltarule.visible import visible

FONT_SIZE = 12
N_COLOURS = 7
# Okabe and Ito (2008); yellow is left out (it vanishes on white), the first two are lighter on dark ground.
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
DARK = ("#56b4e9", "#ff8c42", "#2fcf9f", "#e59cc4", "#f0b53c", "#8fd0f5", "#bbbbbb")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _variables(ink: str, faint: str, colours: tuple[str, ...]) -> str:
    return f"--ink:{ink};--faint:{faint};" + "".join(f"--c{i}:{colour};" for i, colour in enumerate(colours))


STYLE = (
    f".dr-figure{{{_variables('#1f2328', '#d0d7de', LIGHT)}"
    f"font:{FONT_SIZE}px system-ui,sans-serif;max-width:100%;height:auto}}"
    f"@media (prefers-color-scheme:dark){{.dr-figure{{{_variables('#e6edf3', '#3d444d', DARK)}}}}}"
    ".dr-figure text{fill:var(--ink)}.dr-figure .title{font-weight:600;font-size:14px}"
    ".dr-figure .axis{stroke:var(--ink);fill:none}.dr-figure .grid{stroke:var(--faint);fill:none}"
    + "".join(f".dr-figure .line{i}{{stroke:var(--c{i});fill:none;stroke-width:2}}" for i in range(N_COLOURS))
    + "".join(f".dr-figure .fill{i}{{fill:var(--c{i})}}" for i in range(N_COLOURS))
    + "".join(f".dr-figure text.name{i}{{fill:var(--c{i});font-weight:600}}" for i in range(N_COLOURS))
)


def safe(text: str) -> str:
    r"""Escape a text for XML; characters that XML does not know become �.

    >>> safe("a < b & \x00")
    'a &lt; b &amp; �'
    """
    return escape(visible(_CONTROL.sub("�", text), kept="\n\t\r"))


def number(value: float) -> str:
    """Return a coordinate with two digits at most.

    >>> number(12.5), number(3.0), number(1 / 3), number(-0.001)
    ('12.5', '3', '0.33', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(tag: str, content: str = "", **attributes: object) -> str:
    """Return an element; ``class_`` is written class, other underscores as hyphens, floats with two digits.

    >>> element("rect", x=1.0, stroke_width=2, class_="axis")
    '<rect x="1" stroke-width="2" class="axis"/>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{number(value) if isinstance(value, float) else safe(str(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def label(text: str, x: float, y: float, anchor: str = "start", class_: str = "", turned: bool = False) -> str:
    """Return a text, anchored at start, middle or end; ``turned`` reads upwards."""
    attributes: dict[str, object] = {"x": float(x), "y": float(y), "text_anchor": anchor}
    if class_:
        attributes["class_"] = class_
    if turned:
        attributes["transform"] = f"rotate(-90 {number(x)} {number(y)})"
    return element("text", safe(text), **attributes)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Estimate how wide a text is set, in pixels (0.58 em a letter, on the safe side)."""
    return 0.58 * size * width(text)


def figure(body: list[str], width_: float, height: float, title: str = "", description: str = "") -> str:
    """Return a whole SVG document with its style and, for readers who do not see it, its title and description."""
    spoken = (element("title", safe(title)) if title else "") + (
        element("desc", safe(description)) if description else ""
    )
    heading = [label(title, 8, 18, class_="title")] if title else []
    return element(
        "svg",
        spoken + element("style", STYLE) + "".join(heading + body),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width_)} {number(height)}",
        width=float(width_),
        height=float(height),
        role="img",
        class_="dr-figure",
    )
