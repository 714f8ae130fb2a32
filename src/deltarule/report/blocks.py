"""Blocks of reports beyond those of ``render.html``: pairs, notes, confusion matrices, galleries, charts.

Each returns an XHTML element, formatted by the style sheet ``style.css`` in this folder.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.render.svg import png
from deltarule.render.svg.document import safe

Array = npt.NDArray[Any]


def style() -> str:
    """Return the CSS of the blocks, for light and dark colour schemes, small screens and print.

    >>> ".gallery" in style()
    True
    """
    return (files("deltarule.report") / "style.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Lead:
    """The main result: a number and a description.

    >>> Lead("97.5 %", "accuracy").html()
    '<p class="lead"><strong>97.5 %</strong> accuracy</p>'
    """

    value: str
    words: str

    def html(self) -> str:
        """Return the element."""
        return f'<p class="lead"><strong>{safe(self.value)}</strong> {safe(self.words)}</p>'


@dataclass(frozen=True)
class Note:
    """A note in small print.

    >>> Note("Seed 0.").html()
    '<p class="note">Seed 0.</p>'
    """

    text: str

    def html(self) -> str:
        """Return the element."""
        return f'<p class="note">{safe(self.text)}</p>'


@dataclass(frozen=True)
class Pairs:
    """Pairs of a label and a text.

    >>> Pairs([("loss", "0.5")]).html()
    '<dl><dt>loss</dt><dd>0.5</dd></dl>'
    """

    rows: Sequence[tuple[str, str]]

    def html(self) -> str:
        """Return a definition list."""
        items = "".join(
            f"<dt>{safe(label)}</dt><dd>{safe(text)}</dd>" for label, text in self.rows
        )
        return f"<dl>{items}</dl>"


@dataclass(frozen=True)
class Charts:
    """Figures in a responsive grid.

    >>> Charts(["<svg/>"]).html()
    '<div class="charts"><figure><svg/></figure></div>'
    """

    svgs: Sequence[str]

    def html(self) -> str:
        """Return the figures in a grid."""
        return f'<div class="charts">{"".join(f"<figure>{svg}</figure>" for svg in self.svgs)}</div>'


@dataclass(frozen=True)
class Photo:
    """An image of a gallery.

    Attributes:
        pixels: Array of shape (H, W, 1) or (H, W, 3).
        caption: First line of the caption.
        small: Second line of the caption.
        told: Alternative text for screen readers.
    """

    pixels: Array
    caption: str
    small: str
    told: str


@dataclass(frozen=True)
class Gallery:
    """Images in a grid, scaled so that the smallest value of all is black and the largest white.

    >>> Gallery([Photo(np.zeros((2, 2, 1)), "0", "row 1", "a digit")]).html().count("<img")
    1
    """

    photos: Sequence[Photo]

    def html(self) -> str:
        """Return the grid."""
        low = min(float(photo.pixels.min()) for photo in self.photos)
        high = max(float(photo.pixels.max()) for photo in self.photos)
        return f'<div class="gallery">{"".join(self._figure(photo, low, high) for photo in self.photos)}</div>'

    @staticmethod
    def _figure(photo: Photo, low: float, high: float) -> str:
        contrast = high - low if high > low else 1.0
        scaled = (np.asarray(photo.pixels, np.float64) - low) / contrast
        image = png((scaled[..., 0] if scaled.shape[-1] == 1 else scaled).tolist())
        address = "data:image/png;base64," + base64.b64encode(image).decode("ascii")
        return (
            f'<figure><img src="{address}" alt="{safe(photo.told)}"/>'
            f"<figcaption>{safe(photo.caption)}<small>{safe(photo.small)}</small></figcaption></figure>"
        )


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix: counts by true class (rows) and predicted class (columns), with recall and precision.

    >>> "75 %" in Confusion(np.array([[3, 1], [0, 2]]), ["cat", "dog"]).html()
    True
    """

    counts: Array
    classes: Sequence[str]

    def html(self) -> str:
        """Return the table in a horizontally scrollable element."""
        heads = "".join(f'<th scope="col">{safe(name)}</th>' for name in self.classes)
        body = "".join(self._row(i, name) for i, name in enumerate(self.classes))
        columns = self.counts.sum(axis=0)
        shares = "".join(
            f"<td>{share(self.counts[j, j], columns[j])}</td>"
            for j in range(len(self.classes))
        )
        return (
            f'<div class="scroll"><table class="confusion"><thead><tr><th></th>{heads}<th scope="col" class="edge">'
            f'found</th></tr></thead><tbody>{body}<tr class="edge"><th scope="row">right</th>{shares}<td></td></tr>'
            "</tbody></table></div>"
        )

    def _row(self, i: int, name: str) -> str:
        cells = "".join(self._cell(i, j) for j in range(len(self.classes)))
        recall = share(self.counts[i, i], self.counts[i].sum())
        return f'<tr><th scope="row">{safe(name)}</th>{cells}<td class="edge">{recall}</td></tr>'

    def _cell(self, i: int, j: int) -> str:
        count = int(self.counts[i, j])
        if not count:
            return '<td class="none">·</td>'
        # the square root keeps rare mistakes visible
        part = count / float(self.counts[i].sum())
        depth = 0.1 + 0.5 * part if i == j else 0.2 + 0.4 * part**0.5
        kind = "good" if i == j else "bad"
        told = f"{count} × {self.classes[i]}, said {self.classes[j]}"
        return f'<td class="{kind}" style="--depth:{depth:.2f}" title="{safe(told)}">{count}</td>'


def share(part: float, whole: float) -> str:
    """Return a fraction in per cent, or a dash if the denominator is 0.

    >>> share(3, 4), share(0, 0)
    ('75 %', '–')
    """
    return f"{100 * float(part) / float(whole):.0f} %" if whole else "–"
