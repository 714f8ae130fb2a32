"""The answer as it was read: text, LaTeX and MathML."""

from __future__ import annotations

from dataclasses import dataclass

from deltarule.render.mathematics import Formula, to_latex, to_mathml, to_text


@dataclass(frozen=True)
class Understood:
    r"""A formula as it was understood, so that a misreading is visible.

    >>> from deltarule.render.mathematics import Identifier, Scripts
    >>> shown = Understood(Scripts(Identifier("W"), upper=Identifier("T", upright=True)))
    >>> str(shown), shown.latex()
    ('Wᵀ', 'W^{\\top}')
    """

    formula: Formula

    def __str__(self) -> str:
        return to_text(self.formula)

    def latex(self) -> str:
        """Return the formula in LaTeX."""
        return to_latex(self.formula)

    def mathml(self) -> str:
        """Return the formula in MathML, which browsers display."""
        return to_mathml(self.formula)

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"
