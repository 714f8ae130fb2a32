"""The contract of every primitive, named function, layer and loss: derived, proved, written in text, LaTeX and HTML."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import deltarule as dr
from contracts import test_functions, test_layers, test_losses, test_ops
from deltarule.explain.formula.from_graph import OPENED, TEXTBOOK
from deltarule.explain.formula.notation import FUNCTIONS as NOTATION
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.page.page import columns
from deltarule.graph.function import FUNCTIONS
from deltarule.graph.op import Op
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import derive
from deltarule.tensor.tensor import Tensor

WORDS = {op.name.lower() for op in Op} - {
    "exp",
    "log",
    "sign",
    "floor",
    "abs",
    "sin",
    "cos",
    "tanh",
    "erf",
    "where",
    "max",
    "maximum",
    "minimum",
    "argmax",
    "argsort",
    "flip",
    "windows",
    "fold",
    "log_determinant",
    "solve",
    "not",
    "and",
    "or",
}
RAW = re.compile(
    r"\b("
    + "|".join(
        sorted(
            {word.replace("_", " ") for word in WORDS}
            | {
                name.replace("_", " ")
                for name in FUNCTIONS
                if "_" in name and name not in {"log_softmax", "log_cosh"}
            }
            | {name for name in FUNCTIONS if "_" in name}
            | {
                "mish",
                "cube",
                "prelu",
                "huber",
                "normalize",
                "index",
                "rows",
                "part",
                "permute",
            }
        )
    )
    + r")\b"
)


LAYERS, FUNCTION_CASES, LOSSES, OPS = (
    suite.CASES for suite in (test_layers, test_functions, test_losses, test_ops)
)


def _symbol(name: str, shape: tuple[int, ...], whole: bool) -> Tensor:
    return dr.symbol(name, shape, dtype="int64" if whole else "float32")


def holds(derivation: Any, read_latex: Any) -> str:
    """Check one derivation: proved, at most 100 columns, readable, LaTeX and HTML well formed."""
    report = derivation.check(points=2)
    text = str(derivation)
    assert report, f"{report}\n{text}"
    assert all(columns(line) <= 100 for line in text.splitlines()), text
    lines = [*derivation.forward, *derivation.steps]
    formulas = "\n".join(to_text(typeset(line.term)) for line in lines)
    found = RAW.search(formulas)
    assert found is None, f"{found}\n{text}"
    read_latex(derivation.latex())
    for piece in derivation.html().split("<math")[1:]:
        ElementTree.fromstring("<math" + piece.split("</math>")[0] + "</math>")
    return text


@pytest.mark.notes("BP-22", "NRM-08")
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.id)
def test_every_layer(case: Any, read_latex: Any) -> None:
    shape = case.shape if case.single else (3, *case.shape)
    layer, x = case.make(), _symbol("x", shape, bool(case.words))
    found = layer(x)
    outputs = list(found.values()) if isinstance(found, dict) else [found]
    parts = [(0.5 * (out * out)).sum() if case.smooth else out.sum() for out in outputs]
    loss = sum(parts[1:], parts[0])
    weights = [parameter for _, parameter in layer.named_parameters()]
    holds(derive(loss, wrt=[*weights, *([] if case.words else [x])]), read_latex)


@pytest.mark.notes("BP-22", "ACT-20")
@pytest.mark.parametrize("case", FUNCTION_CASES, ids=lambda case: case.name)
def test_every_named_function(case: Any, read_latex: Any) -> None:
    whole = [
        np.asarray(case.fixed.get(i, 0.0)).dtype.kind == "i"
        for i in range(len(case.shapes))
    ]
    operands = [
        _symbol(*given) for given in zip("xyzw", case.shapes, whole, strict=False)
    ]
    output = Tensor(case.ours(*(operand.node for operand in operands)))
    holds(
        derive(output.sum() if output.shape else output, wrt=operands[:1]), read_latex
    )


@pytest.mark.notes("OUT-18")
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.label)
def test_every_loss(case: Any, read_latex: Any) -> None:
    target = np.asarray(case.target)
    z, y = (
        _symbol("z", case.prediction.shape, False),
        _symbol("y", target.shape, target.dtype.kind == "i"),
    )
    holds(derive(case.make()(z, y), wrt=[z]), read_latex)


@pytest.mark.parametrize("case", OPS, ids=lambda case: case.id)
def test_every_primitive(case: Any, read_latex: Any) -> None:
    operands = [
        _symbol(*given, False) for given in zip("xyzw", case.shapes, strict=False)
    ]
    output = Tensor(case.ours(*(operand.node for operand in operands)))
    smooth = (output * output).sum() if case.op is not Op.FLOOR else output.sum()
    holds(derive(smooth, wrt=operands[:1]), read_latex)


def test_every_named_function_has_a_notation() -> None:
    """A function is written as it is in a textbook, or in terms of others."""
    assert set(FUNCTIONS) <= set(NOTATION) | set(OPENED) | set(TEXTBOOK)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (r"\frac{a}{b", "}"),
        (r"x^{2}^{3}", "one superscript"),
        (r"\left( a \right", "a delimiter"),
        (r"\foo x", "a known command"),
        (r"a & b", "only inside"),
        ("ŷ", "ASCII"),
        (r"\begin{align*} a \end{pmatrix}", "align"),
        (r"\text{50%}", "'}'"),
        (r"\frac{a}", "an argument"),
    ],
)
def test_the_reader_refuses_what_tex_refuses(
    source: str, words: str, read_latex: Any
) -> None:
    with pytest.raises(AssertionError, match=words):
        read_latex(source)
