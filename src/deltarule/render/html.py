"""Self-contained HTML pages from headings, paragraphs, tables, figures, code and custom blocks.

A page loads no scripts, fonts or images, which its content security policy also forbids. It is well-formed XML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deltarule.render.svg.document import DARK, palette, safe

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--paper:#fff;--faint:#d0d7de;--quiet:#59636e}
@media (prefers-color-scheme:dark){
:root{--ink:#e6edf3;--paper:#12161b;--faint:#3d444d;--quiet:#9198a1}
:root .dr-figure{DARK}}
body{margin:0 auto;max-width:60rem;padding:2rem 1rem 4rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.8rem;line-height:1.2;margin:0}h2{font-size:1.25rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:1.5rem 0 .4rem}
.subtitle,figcaption,caption{color:var(--quiet)}.subtitle{margin:.3rem 0 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:.3rem}
th,td{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
th{border-bottom:1px solid var(--faint);font-weight:600}
.number{text-align:right}figure{margin:1rem 0}figure svg{display:block}
pre{overflow-x:auto;padding:.8rem;border:1px solid var(--faint);border-radius:4px;font-size:.85rem;line-height:1.35}
math{font-size:1.1em}@media print{body{max-width:none;padding:0}}
""".replace("DARK", palette(DARK))
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Block(Protocol):
    """The protocol of parts of a page."""

    def html(self) -> str:
        """Return the part as XHTML."""
        ...


@dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3, with an anchor for links within the page.

    >>> Heading("Learning curves").html()
    '<h2 id="learning-curves">Learning curves</h2>'
    """

    text: str
    level: int = 2

    def html(self) -> str:
        """Return the element."""
        level = min(max(self.level, 2), 3)
        return f'<h{level} id="{safe(anchor(self.text))}">{safe(self.text)}</h{level}>'


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text.

    >>> Paragraph("1 < 2").html()
    '<p>1 &lt; 2</p>'
    """

    text: str

    def html(self) -> str:
        """Return the element."""
        return f"<p>{safe(self.text)}</p>"


@dataclass(frozen=True)
class Code:
    """Preformatted text.

    >>> Code("x  = 1").html()
    '<pre>x  = 1</pre>'
    """

    text: str

    def html(self) -> str:
        """Return the element."""
        return f"<pre>{safe(self.text)}</pre>"


@dataclass(frozen=True)
class Table:
    """A table; columns with ``>`` in ``align`` are right-aligned.

    >>> Table([("Linear", 608)], align="<>").html().count('class="number"')
    1
    """

    rows: Sequence[Sequence[object]]
    header: Sequence[str] = ()
    align: str = ""
    caption: str = ""

    def html(self) -> str:
        """Return the table in a horizontally scrollable element."""
        caption = f"<caption>{safe(self.caption)}</caption>" if self.caption else ""
        head = f"<thead>{self._row(self.header, 'th')}</thead>" if self.header else ""
        body = "".join(self._row(row, "td") for row in self.rows)
        return f'<div class="scroll"><table>{caption}{head}<tbody>{body}</tbody></table></div>'

    def _row(self, cells: Sequence[object], tag: str) -> str:
        written = []
        for column, cell in enumerate(cells):
            kind = ' class="number"' if self.align[column : column + 1] == ">" else ""
            written.append(f"<{tag}{kind}>{safe(str(cell))}</{tag}>")
        return f"<tr>{''.join(written)}</tr>"


@dataclass(frozen=True)
class Figure:
    """An SVG figure with a caption.

    >>> Figure("<svg/>", "Loss").html()
    '<figure><svg/><figcaption>Loss</figcaption></figure>'
    """

    svg: str
    caption: str = ""

    def html(self) -> str:
        """Return the element."""
        text = safe(self.caption)
        caption = f"<figcaption>{text}</figcaption>" if text else ""
        return f"<figure>{self.svg}{caption}</figure>"


def anchor(text: str) -> str:
    """Return the anchor of a heading.

    >>> anchor("Wrongly classified digits")
    'wrongly-classified-digits'
    """
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def page(
    title: str,
    blocks: Sequence[Block],
    subtitle: str = "",
    language: str = "en",
    style: str = "",
) -> str:
    """Return a complete HTML page.

    Args:
        title: Title of the page and its first heading.
        blocks: The content, in order.
        subtitle: Text below the title.
        language: Language of the text (BCP 47).
        style: Additional CSS for custom blocks.

    >>> page("Run", [Heading("Loss"), Paragraph("It fell.")]).count("<p>It fell.</p>")
    1
    """
    below = f'<p class="subtitle">{safe(subtitle)}</p>' if subtitle else ""
    body = "\n".join(block.html() for block in blocks)
    return (
        f'<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="{safe(language)}">\n<head>\n'
        '<meta charset="utf-8"/>\n<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{safe(_POLICY)}"/>\n'
        f"<title>{safe(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{safe(title)}</h1>{below}</header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
