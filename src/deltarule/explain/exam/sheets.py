"""Writers of exam sheets: text, LaTeX, and HTML with MathML, each with space for answers or with the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from deltarule.explain.exam.questions import Item, Question, is_data, points_text
from deltarule.explain.exam.responses import Choice, FreeText, Gradient
from deltarule.render import latex
from deltarule.render import mathematics as m
from deltarule.render.html import Heading

# Blanks are as high as what belongs there; formulas scroll in a narrow window instead of widening the page; fractions
# keep apart from the lines above and below; only fonts with stretchy parentheses are asked for.
STYLE = """
.exam ol{padding-left:1.6rem}.exam li{margin:.45rem 0;line-height:1.9}.exam li p{margin:.35rem 0}
.exam .row{overflow-x:auto;overflow-y:hidden;padding:.2rem 0}
.exam .blank{display:inline-block;min-width:min(12rem,40vw);border-bottom:1px solid currentColor}
.exam .person{display:flex;gap:2rem;flex-wrap:wrap}.exam .space{height:5rem}.exam .box{margin-left:1.2rem}
.exam .hint,.exam .verified,.exam .points{opacity:.72}
.exam math{font-family:"Latin Modern Math","STIX Two Math","Cambria Math","Noto Sans Math",math;font-size:1.15em}
.exam+.exam{break-before:page}
@media print{.exam li{break-inside:avoid}.exam .space{height:3cm}}
"""
# The first item of a question stays on the page of its text.
_PREAMBLE = r"""\setlength{\parindent}{0pt}
\raggedbottom
\makeatletter\@beginparpenalty=10000\makeatother
"""
_BLANK = "_" * 20


@dataclass(frozen=True)
class Sheet:
    """The questions of one variant, and whether answers and hints are shown.

    ``title`` is that of the exam; ``variant`` counts from 1.

    >>> from deltarule.explain.exam.questions import number_item
    >>> question = Question("What is 1 + 1?", (), (number_item(m.identifier("x"), 2),), "by counting")
    >>> sheet = Sheet("Sums", variant=1, seed=0, questions=(question,), answers=True, hints=False)
    >>> sheet.points, "x" in sheet.text()
    (1.0, True)
    """

    title: str
    variant: int
    seed: int
    questions: tuple[Question, ...]
    answers: bool
    hints: bool

    @property
    def points(self) -> float:
        """The points of all questions."""
        return sum(question.points for question in self.questions)

    # ---------------------------------------------------------------- text

    def text(self) -> str:
        """Return the sheet as text."""
        key = "  KEY" if self.answers else ""
        parts = [f"{self.title} — variant {self.variant} (seed {self.seed}){key}"]
        if not self.answers:
            total = points_text(self.points)
            parts.append(f"Name: {'_' * 30}   Points: ______ of {total}")
        for number, question in enumerate(self.questions, start=1):
            parts.append(
                f"\n{number}. {question.text} ({points_text(question.points)})"
            )
            parts.extend(f"     {m.to_text(formula)}" for formula in question.given)
            for index, item in enumerate(question.items):
                parts.extend(self._item_as_text(label(index), item))
            if self.answers:
                parts.append(f"   verified: {question.verified}")
        return "\n".join(parts)

    def _item_as_text(self, letter: str, item: Item) -> list[str]:
        head = f"   {letter}) {m.to_text(item.asked)}"
        hint = f"   (hint: {item.hint})" if self.hints and item.hint else ""
        answer = m.to_text(item.answer)
        if isinstance(item.response, Choice):
            boxes = "   ".join(f"[ ] {option}" for option in item.response.options)
            return [head + hint, f"      {answer if self.answers else boxes}"]
        if isinstance(item.response, FreeText):
            space = [f"      {answer}"] if self.answers else [f"      {'_' * 60}"] * 3
            return [head + hint, *space]
        return [f"{head} = {answer if self.answers else _BLANK}{hint}"]

    # ---------------------------------------------------------------- LaTeX

    def latex(self) -> str:
        """Return the sheet as LaTeX (amsmath)."""
        heading = f"{self.title}, variant {self.variant}"
        heading = m.escape_text(heading) + (", KEY" if self.answers else "")
        parts = [
            r"\setcounter{page}{1}",
            rf"\renewcommand{{\thepage}}{{{heading} --- \arabic{{page}}}}",
            rf"\section*{{{heading}}}",
        ]
        if not self.answers:
            total = points_text(self.points)
            parts.append(
                r"Name: \underline{\hspace{7cm}} \hfill Points: \underline{\hspace{1.5cm}} "
                rf"of {total}\par\bigskip"
            )
        parts.append(r"\begin{enumerate}")
        for question in self.questions:
            points = points_text(question.points)
            parts.append(r"\item \begin{minipage}[t]{\linewidth}")
            parts.append(rf"{m.escape_text(question.text)} ({points})\par")
            parts.extend(_given(question.given))
            parts.append(r"\end{minipage}\par\nopagebreak")
            parts.append(r"\begin{enumerate}")
            parts.extend(self._item_as_latex(item) for item in question.items)
            parts.append(r"\end{enumerate}")
            if self.answers:
                verified = m.escape_text(question.verified)
                parts.append(rf"{{\small verified: {verified}\par}}")
        return "\n".join([*parts, r"\end{enumerate}"])

    def _item_as_latex(self, item: Item) -> str:
        hint = (
            rf" \quad (\textit{{hint: {m.escape_text(item.hint)}}})"
            if self.hints and item.hint
            else ""
        )
        if isinstance(item.response, (Choice, FreeText)):
            asked = rf"\item {_latex_words(item.asked)}{hint}"
            if self.answers:
                return rf"{asked}\par {_latex_words(item.answer)}"
            if isinstance(item.response, FreeText):
                return rf"{asked}\par\vspace{{3cm}}"
            options = map(m.escape_text, item.response.options)
            boxes = r" \quad ".join(rf"$\square$ {option}" for option in options)
            return rf"{asked}\par {boxes}"
        right = m.to_latex(item.answer) if self.answers else r"\underline{\hspace{4cm}}"
        space = (
            r"\vspace{0.8cm}"
            if isinstance(item.response, Gradient) and not self.answers
            else ""
        )
        return rf"\item ${m.to_latex(item.asked)} = {right}${hint}{space}"

    # ---------------------------------------------------------------- HTML

    def html(self) -> str:
        """Return the sheet as a block of a page; in print each begins a new page."""
        title = f"Variant {self.variant}" + (" — KEY" if self.answers else "")
        parts = ['<section class="exam">', Heading(title).html()]
        if not self.answers:
            total = points_text(self.points)
            parts.append(
                '<p class="person"><span>Name: <span class="blank">&#160;</span></span>'
                f"<span>Points: ______ of {total}</span></p>"
            )
        parts.append("<ol>")
        for question in self.questions:
            points = f'<span class="points">({points_text(question.points)})</span>'
            parts.append(f"<li><p>{escape(question.text)} {points}</p>")
            parts.extend(
                f'<p class="row">{m.to_mathml(formula)}</p>'
                for formula in question.given
            )
            parts.append('<ol type="a">')
            parts.extend(self._item_as_html(item) for item in question.items)
            checked = (
                f'<p class="verified">verified: {escape(question.verified)}</p>'
                if self.answers
                else ""
            )
            parts.append(f"</ol>{checked}</li>")
        return "\n".join([*parts, "</ol></section>"])

    def _item_as_html(self, item: Item) -> str:
        hint = (
            f' <span class="hint">{escape(item.hint)}</span>'
            if self.hints and item.hint
            else ""
        )
        if isinstance(item.response, (Choice, FreeText)):
            asked = f"<li><div>{html_words(item.asked)}{hint}</div>"
            if self.answers:
                return f"{asked}<div>{html_words(item.answer)}</div></li>"
            if isinstance(item.response, FreeText):
                return f'{asked}<div class="space"></div></li>'
            boxes = "".join(
                f'<span class="box">☐ {escape(option)}</span>'
                for option in item.response.options
            )
            return f"{asked}<div>{boxes}</div></li>"
        right = (
            m.to_mathml(item.answer)
            if self.answers
            else '<span class="blank">&#160;</span>'
        )
        return (
            f'<li><div class="row">{m.to_mathml(item.asked)} = {right}{hint}</div></li>'
        )


def document(sheets: Sequence[Sheet], standalone: bool) -> str:
    """Return sheets as LaTeX, each on a new page; with ``standalone`` as a whole document.

    >>> document([], standalone=False)
    ''
    """
    body = "\n\\newpage\n".join(sheet.latex() for sheet in sheets)
    return latex.document(body, _PREAMBLE) if standalone else body


def _given(formulas: Sequence[m.Formula]) -> list[str]:
    """Write definitions below each other, and numbers beside each other."""
    numbers = [formula for formula in formulas if is_data(formula)]
    defined = [formula for formula in formulas if not is_data(formula)]
    parts = []
    if defined:
        lines = r" \\ ".join(rf"& {m.to_latex(formula)}" for formula in defined)
        parts.append(
            rf"\smallskip $\displaystyle\begin{{aligned}} {lines} \end{{aligned}}$\par"
        )
    if numbers:
        boxes = r" \quad ".join(
            rf"\mbox{{${m.to_latex(formula)}$}}" for formula in numbers
        )
        parts.append(rf"\smallskip {{\raggedright {boxes}\par}}")
    return parts


def label(index: int) -> str:
    """Return the letter of an item: a to z, then aa, ab and so on.

    >>> label(0), label(25), label(26)
    ('a', 'z', 'aa')
    """
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else label(index // 26 - 1) + letter


def html_words(formula: m.Formula) -> str:
    """Return a formula in HTML; plain text stays text, so that long lines wrap.

    >>> html_words(m.Text("a < b"))
    'a &lt; b'
    """
    if isinstance(formula, m.Text):
        return escape(formula.text)
    return m.to_mathml(formula)


def _latex_words(formula: m.Formula) -> str:
    if isinstance(formula, m.Text):
        return m.escape_text(formula.text)
    return f"${m.to_latex(formula)}$"
