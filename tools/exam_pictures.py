"""Write the pictures of exams of the documentation: ``python tools/exam_pictures.py``.

Needs pdflatex, pdftoppm (Poppler), Chromium and Pillow. The Moodle picture is made from the exported XML: its HTML with
the LaTeX formulas as MathML and its Cloze fields as text fields, in the colours of Moodle's standard theme.
"""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageChops, ImageOps

import deltarule as dr
from deltarule.explain.exam.exam import Exam
from deltarule.render import mathematics as m

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
_MARGIN = 24  # pixels
_STYLE = """
body{margin:0;font:15px/1.5 system-ui,"DejaVu Sans",sans-serif;color:#1d2125;background:#fff;width:860px}
.que{display:flex;gap:16px;padding:16px}.info{width:120px;border:1px solid #cad0d7;background:#f8f9fa;padding:8px;
font-size:13px;align-self:flex-start}.formulation{flex:1;background:#e7f3f5;border:1px solid #b8dce2;padding:12px 16px}
p{margin:.35em 0}input{width:5.5em;height:1.6em;border:1px solid #8f959e;border-radius:6px;margin:2px}
math{font-size:1.1em}
"""


def formulas(exam: Exam) -> Iterator[m.Formula]:
    """Return all formulas of an exam."""
    for question in exam.questions:
        yield from question.given
        for item in question.items:
            yield from (item.asked, item.answer)


def moodle_page(exam: Exam, number: int) -> str:
    """Return a page that shows an exported question as Moodle does."""
    with tempfile.TemporaryDirectory() as folder:
        path = exam.export("moodle", Path(folder) / "quiz.xml")
        questions = [
            question
            for question in ElementTree.parse(path).getroot()
            if question.get("type") == "cloze"
        ]
    text = questions[number - 1].findtext("questiontext/text") or ""
    points = float(questions[number - 1].findtext("defaultgrade") or 0)
    known = {m.to_latex(formula): m.to_mathml(formula) for formula in formulas(exam)}
    text = re.sub(
        r"\\\((.*?)\\\)", lambda found: known[unescape(found[1])], text, flags=re.DOTALL
    )
    text = re.sub(r"\{\d+:NUMERICAL:[^}]*\}", "<input>", text)
    return (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style><div class="que"><div class="info">'
        f"Question <b>{number}</b><br>Not yet answered<br>Marked out of {points:.2f}</div>"
        f'<div class="formulation">{text}</div></div>'
    )


def screenshot(page: str) -> Image.Image:
    """Return a picture of a page."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.png"
        source.write_text(page, encoding="utf-8")
        subprocess.run(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--hide-scrollbars",
                "--window-size=860,1200",
                f"--screenshot={target}",
                source.as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        return Image.open(io.BytesIO(target.read_bytes())).convert("RGB")


def first_page(latex: str) -> Image.Image:
    """Return a picture of the first page of a LaTeX document."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "exam.tex").write_text(latex, encoding="utf-8")
        for command in (
            ["pdflatex", "-interaction=batchmode", "-halt-on-error", "exam.tex"],
            ["pdftoppm", "-r", "80", "-png", "-singlefile", "exam.pdf", "exam"],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return Image.open(io.BytesIO((Path(folder) / "exam.png").read_bytes()))


def trimmed(picture: Image.Image) -> Image.Image:
    """Cut the white border off, and frame the rest."""
    plain = picture.convert("RGB")
    white = Image.new("RGB", plain.size, "white")
    box = ImageChops.difference(plain, white).getbbox()
    inside = ImageOps.expand(plain.crop(box), _MARGIN, "white")
    return ImageOps.expand(inside, 1, "#c8c8c8")


def save(picture: Image.Image, name: str) -> None:
    """Write a picture in few colours."""
    small = trimmed(picture).quantize(24)
    small.save(FIGURES / name, optimize=True)


def main() -> None:
    """Write all pictures."""
    exam = dr.exam("gradients", seed=5, n_questions=3)
    save(first_page(exam.latex(standalone=True)), "exam-sheet.png")
    save(first_page(exam.latex(answers=True, standalone=True)), "exam-key.png")
    save(screenshot(moodle_page(exam, 3)), "exam-moodle.png")


if __name__ == "__main__":
    main()
