"""Formulas: what is written in text, LaTeX and MathML."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule.render import mathematics as m

NAMES = [
    "x",
    "W_1",
    "y_hat",
    "alpha",
    "delta_2",
    "z'",
    "h_i_j",
    "softmax",
    "a1",
    "Sigma",
    "x_bar_3",
]
LEAVES = st.one_of(
    st.sampled_from(NAMES).map(m.identifier),
    st.integers(0, 99).map(lambda n: m.Number(str(n))),
    st.sampled_from(["+", "−", "⊙", "=", "∈"]).map(
        lambda sign: m.Operator(sign, spaced=True)
    ),
    st.sampled_from(["if", "a < b & c"]).map(m.Text),
)


def formulas(inner):
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: m.row(*items)),
        st.builds(m.Scripts, inner, inner, st.none() | inner),
        st.builds(m.Scripts, inner, st.none(), inner),
        st.builds(m.Fraction, inner, inner, st.booleans()),
        st.builds(m.Root, inner),
        st.builds(m.Accent, inner, st.sampled_from(["hat", "bar", "tilde", "dot"])),
        st.builds(
            m.Fenced,
            inner,
            st.sampled_from(["(", "[", "|", "‖"]),
            st.sampled_from([")", "]", "|", "‖"]),
        ),
        st.lists(st.tuples(inner, inner), min_size=1, max_size=2).map(
            lambda rows: m.Grid(tuple(rows))
        ),
    )


FORMULAS = st.recursive(LEAVES, formulas, max_leaves=8)


def balanced(text: str) -> bool:
    depth, escaped = 0, False
    for character in text:
        if not escaped:
            depth += {"{": 1, "}": -1}.get(character, 0)
        escaped = character == "\\" and not escaped
        if depth < 0:
            return False
    return depth == 0


@given(FORMULAS)
def test_every_formula_is_written_well_formed(formula):
    root = ET.fromstring(m.to_mathml(formula))
    assert root.tag == "{http://www.w3.org/1998/Math/MathML}math"
    latex = m.to_latex(formula)
    assert balanced(latex)
    assert latex.count(r"\left") == latex.count(r"\right")
    assert latex.isascii()
    assert "\n" not in m.to_text(formula)


@given(FORMULAS)
def test_scripts_and_fractions_have_their_parts_in_mathml(formula):
    wanted = {"msub": 2, "msup": 2, "msubsup": 3, "mfrac": 2, "msqrt": 1, "mover": 2}
    for element in ET.fromstring(m.to_mathml(formula)).iter():
        tag = element.tag.split("}")[1]
        if tag in wanted:
            assert len(element) == wanted[tag]


X, ONE = m.Identifier("x"), m.Number("1")
SUM = m.row(X, m.Operator("+", spaced=True), ONE)


@pytest.mark.parametrize(
    ("formula", "text", "latex"),
    [
        (m.identifier("W_1"), "W₁", "W_{1}"),
        (m.identifier("y_hat"), "ŷ", r"\hat{y}"),
        (m.identifier("alpha"), "α", r"\alpha "),
        (m.identifier("x_i_j"), "x_iⱼ", "x_{i_{j}}"),
        (m.identifier("z''"), "z′′", "z''"),
        (m.Scripts(X, upper=m.Number("2")), "x²", "x^{2}"),
        (m.Scripts(X, upper=m.Identifier("T", upright=True)), "xᵀ", r"x^{\top}"),
        (m.Scripts(X, upper=SUM), "x^(x + 1)", "x^{x+1}"),
        (m.Fraction(SUM, m.Number("2")), "(x + 1)/2", r"\frac{x+1}{2}"),
        (m.Fraction(ONE, m.Fraction(ONE, X)), "1/(1/x)", r"\frac{1}{\frac{1}{x}}"),
        (m.Fraction(ONE, X, inline=True), "1/x", "1/x"),
        (m.Root(X), "√x", r"\sqrt{x}"),
        (m.Root(SUM), "√(x + 1)", r"\sqrt{x+1}"),
        (m.Fenced(SUM), "(x + 1)", r"\left(x+1\right)"),
        (m.Fenced(X, "‖", "‖"), "‖x‖", r"\left\Vert x\right\Vert "),
        (
            m.Text("50 % of {a_b} & c"),
            "50 % of {a_b} & c",
            r"\text{50 \% of \{a\_b\} \& c}",
        ),
        (
            m.Grid(((X, ONE), (ONE, X))),
            "[x  1; 1  x]",
            r"\begin{pmatrix}x & 1 \\ 1 & x\end{pmatrix}",
        ),
        (m.Identifier("log", upright=True), "log", r"\operatorname{log}"),
    ],
)
def test_what_is_written(formula, text, latex):
    assert m.to_text(formula) == text
    assert m.to_latex(formula) == latex


def test_rows_are_flat_and_joined():
    nested = m.row(X, m.row(ONE, m.row(X)))
    assert nested == m.Row((X, ONE, X))
    assert m.to_text(m.join([X, ONE, X], m.Operator(", "))) == "x, 1, x"
    assert m.row(X) == X


def test_every_greek_letter_has_its_latex_name():
    for name, letter in m.GREEK.items():
        assert m.to_latex(m.Identifier(letter)) == rf"\{name} "
        assert len(letter) == 1


@pytest.mark.parametrize(
    ("words", "latex"),
    [
        ("50 % of {a_1} & #2 $", r"50 \% of \{a\_1\} \& \#2 \$"),
        ("a^b ~ c\\d", r"a\textasciicircum{}b \textasciitilde{} c\textbackslash{}d"),
        ("z₁₂ᵀ, 10⁻³", r"z$_{12}^{\top }$, 10$^{-3}$"),
        (
            "Wŷ, ŷₖ and v̂, but not señor",
            r"W$\hat{y}$, $\hat{y}_{k}$ and $\hat{v}$, but not señor",
        ),
        ("x < 3 | y > 0", r"x $<$ 3 $\vert$ y $>$ 0"),
        ("∂L/∂θ = 0", r"$\partial$L/$\partial \theta$ = 0"),
    ],
)
def test_words_in_latex(words, latex):
    assert m.escape_text(words) == latex
    assert m.to_latex(m.Text(words)) == rf"\text{{{latex}}}"


@given(st.text(alphabet=[*map(chr, range(32, 127)), *"θ₁²ᵀ∂−≤"]))
def test_any_words_are_text_for_tex(words):
    latex = m.escape_text(words)
    assert latex.isascii() and balanced(latex)
    pieces = latex.replace(r"\$", "").split("$")
    assert len(pieces) % 2 == 1
    outside = re.sub(
        r"\\text(backslash|asciicircum|asciitilde)\{\}|\\[{}%&#_]",
        "",
        "".join(pieces[::2]),
    )
    assert not set(outside) & set(r"{}%&#_^~\<>|")
