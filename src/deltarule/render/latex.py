r"""Whole LaTeX documents from formulas: amsmath and amssymb, with a blackboard 1, which amssymb does not have.

>>> document("x").splitlines()[0]
'\\documentclass[11pt]{article}'
"""

from __future__ import annotations

_PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage{amsmath,amssymb}
\usepackage[margin=2cm]{geometry}
\let\blackboard\mathbb
\renewcommand{\mathbb}[1]{\ifx1#1\mathrm{1\mkern-4.4mu l}\else\blackboard{#1}\fi}
"""


def document(body: str, preamble: str = "") -> str:
    """Return a LaTeX document with the given body."""
    return f"{_PREAMBLE}{preamble}\\begin{{document}}\n{body}\n\\end{{document}}\n"
