"""Write docs/activations.md: the table of the activations, from their declarations.

usage: python tools/activations_page.py [--check]
    --check  write nothing and fail where the page is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from deltarule import nn
from deltarule.graph.activation import Activation, activations

PAGE = Path(__file__).resolve().parent.parent / "docs" / "activations.md"
HEAD = """# Activations

Element-wise functions, their derivatives, and the initialiser of the weights before them where a layer in a
`Sequential` has `init="auto"`. The derivative of a function without a rule is that of its formula. The page is made
from the declarations (`python tools/activations_page.py`); [architecture](architecture.md) says how one is added.

| layer | function | formula | derivative | initialiser | ONNX | PyTorch |
|---|---|---|---|---|---|---|
"""
_INITIALISERS = {"he": "He", "lecun": "LeCun", "xavier": "Xavier"}


def _code(name: str) -> str:
    return f"`{name}`" if name else ""


def row(declared: Activation) -> str:
    """Return the row of an activation."""
    layers = ", ".join(
        _code(f"nn.{name}")
        for name in sorted({*nn.__all__} - {"Swish"})
        if getattr(getattr(nn, name), "declaration", None) is declared
    )
    function = f"nn.{declared.name}" if declared.name in nn.__all__ else ""
    rule = declared.derivative.rule if declared.derivative else ""
    operator = declared.onnx
    cells = (
        layers,
        _code(function),
        declared.formula,
        rule,
        _INITIALISERS[declared.init],
        f"{operator.name} ({operator.opset})" if operator else "",
        _code(declared.torch),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def text() -> str:
    """Return the page."""
    public = (declared for declared in activations() if declared.name in nn.__all__)
    return HEAD + "".join(f"{row(declared)}\n" for declared in public)


def main() -> int:
    """Write the page, or with --check compare it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text(), encoding="utf-8")
        return 0
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text()
    if stale:
        sys.stderr.write("out of date; run python tools/activations_page.py\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
