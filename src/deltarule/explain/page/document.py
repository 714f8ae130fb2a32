"""A derivation as LaTeX and as one HTML page with MathML (no script, no network)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from deltarule.explain.derivation.derivation import Derived, Line
from deltarule.explain.page.page import Batch, Entry, entry, header, parameters
from deltarule.render import mathematics as m
from deltarule.render.html import page
from deltarule.render.latex import document

_STYLE = """
.derivation { font: 16px/1.5 system-ui, sans-serif; color: inherit; background: transparent; overflow-x: auto; }
.derivation h3 { font-size: 1em; margin: 1em 0 .2em; }
.derivation table { border-collapse: collapse; margin: 0; background: transparent; }
.derivation tr, .derivation tr:nth-child(odd), .derivation tr:nth-child(even), .derivation tr:hover {
  background: transparent; }
.derivation td, .derivation tr td { padding: .15em .6em; vertical-align: baseline; text-align: left; border: 0;
  color: inherit; background: transparent; }
.derivation tr td.number, .derivation tr td.left { text-align: right; }
.derivation td.left, .derivation td.shape { white-space: nowrap; }
.derivation td.number, .derivation td.shape, .derivation td.reason, .derivation p.proof { opacity: .72; }
.derivation math { font-size: 1.05em; }
"""


def latex(
    derived: Derived,
    backward: Sequence[Line],
    conclusion: str,
    standalone: bool = False,
    batch: Batch | None = None,
) -> str:
    """Write the derivation in LaTeX with amsmath (KaTeX and MathJax understand each environment)."""
    heads = [
        formula
        for formula in (header(derived), parameters(derived))
        if m.to_text(formula)
    ]
    parts = [rf"\[ {m.to_latex(formula)} \]" for formula in heads]
    forward = derived.shown_forward(backward)
    if forward:
        parts.append(_aligned([entry(line, derived.loss_name) for line in forward]))
    parts.append(_aligned([entry(line, derived.loss_name) for line in backward]))
    if batch is not None:
        parts += [rf"\[ \text{{{m.escape_text(batch[0])}}} \]", _aligned(batch[1])]
    if conclusion:
        parts.append(rf"% {conclusion}")
    body = "\n".join(parts)
    return document(body) if standalone else body


def _aligned(entries: Sequence[Entry]) -> str:
    lines = []
    for e in entries:
        alias = rf" =: {m.to_latex(e.alias)}" if e.alias is not None else ""
        reason = rf" \quad \text{{{m.escape_text(e.reason)}}}" if e.reason else ""
        shape = e.shape.replace("×", r" \times ")
        lines.append(
            rf"{m.to_latex(e.left)} &= {m.to_latex(e.right)}{alias} && {shape}{reason}"
        )
    inner = " \\\\\n".join(lines)
    return f"\\begin{{align*}}\n{inner}\n\\end{{align*}}"


def fragment(
    derived: Derived,
    backward: Sequence[Line],
    conclusion: str,
    batch: Batch | None = None,
) -> str:
    """Write the derivation as an HTML fragment."""
    return (
        f"<style>{_STYLE}</style>\n{_Body(derived, backward, conclusion, batch).html()}"
    )


def html(
    derived: Derived,
    backward: Sequence[Line],
    conclusion: str,
    batch: Batch | None = None,
) -> str:
    """Write one HTML page."""
    return page(
        "Derivation", [_Body(derived, backward, conclusion, batch)], style=_STYLE
    )


@dataclass(frozen=True)
class _Body:
    """The derivation as a block of a page."""

    derived: Derived
    backward: Sequence[Line]
    conclusion: str
    batch: Batch | None

    def html(self) -> str:
        """Return the lines as tables, with what is given and wanted above and the proof below."""
        derived, parts = self.derived, ['<div class="derivation">']
        for label, formula in (
            ("Network", header(derived)),
            ("wanted: gradients at", parameters(derived)),
        ):
            if m.to_text(formula):
                parts.append(f"<p>{label} {m.to_mathml(formula)}</p>")
        forward = derived.shown_forward(self.backward)
        if forward:
            parts += [
                "<h3>forward</h3>",
                _table([entry(line, derived.loss_name) for line in forward]),
            ]
        parts += [
            f"<h3>backward ({derived.layout} layout)</h3>",
            _table([entry(line, derived.loss_name) for line in self.backward]),
        ]
        if self.batch is not None:
            parts += [f"<h3>{escape(self.batch[0])}</h3>", _table(self.batch[1])]
        if self.conclusion:
            parts.append(f'<p class="proof">{escape(self.conclusion)}</p>')
        return "\n".join([*parts, "</div>"])


def _table(entries: Sequence[Entry]) -> str:
    rows = []
    for e in entries:
        right = (
            m.row(e.right)
            if e.alias is None
            else m.row(e.right, m.Operator("=:", spaced=True), e.alias)
        )
        equals = m.row(m.Operator("=", spaced=True), right)
        rows.append(
            f'<tr><td class="number">{e.number}</td><td class="left">{m.to_mathml(e.left)}</td>'
            f'<td>{m.to_mathml(equals)}</td><td class="shape">{escape(e.shape)}</td>'
            f'<td class="reason">{escape(e.reason)}</td></tr>'
        )
    return "<table>" + "\n".join(rows) + "</table>"
