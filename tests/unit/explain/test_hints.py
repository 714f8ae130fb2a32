"""Hints never tell the gradient; symbols may be forbidden; most mutants of right answers have their mistake named."""

from __future__ import annotations

import functools
import json
import re
import warnings

import pytest

import deltarule as dr
from deltarule.cli.main import main
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.tensor.explain import grade
from support.answers.judge import is_right
from support.answers.mutants import Mutant, mutants
from support.answers.networks import NETWORKS

FEW, MANY = 300, 6000
LEAST = 0.9  # of the wrong mutants have their mistake named
FORMULAS = re.compile(
    r"where (.+?) belongs|(?:factor|term|path|of|derivative) (.+?) (?:is|of|at)\b|reads (.+)|=(.+)"
)


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


@functools.cache
def perceptron():
    x, y, b = symbol("x", 3), symbol("y", 3), symbol("b_1", 3)
    W1, W2 = symbol("W_1", 3, 3), symbol("W_2", 3, 3)
    z = W1 @ x + b
    error = W2 @ dr.tanh(z) - y
    named = {"W_1": W1, "W_2": W2, "b_1": b, "z": z, "x": x, "y": y}
    return 0.5 * (error @ error), named


def graded(variable, answer, **options):
    loss, named = perceptron()
    parameters = [named["W_1"], named["W_2"], named["b_1"]]
    return grade(loss, named[variable], answer, parameters=parameters, **options)


# ---------------------------------------------------------------- hints


def test_hints_go_from_the_shape_to_the_mistake():
    found = graded("W_1", "(W₂ᵀ(ŷ - y) ⊙ (1 - a₁))xᵀ")
    shape, line, mistake = found.hints
    assert shape == "The shape 3×3 is right."
    assert line == "Look at line 4 of the derivation, which computes ∂L/∂z₁."
    assert mistake.startswith("The square is missing") or "square" in mistake


def test_the_key_is_shown_only_if_asked_for():
    hidden = graded("W_2", "(z₁ ⊙ b₁)xᵀ")
    shown = graded("W_2", "(z₁ ⊙ b₁)xᵀ", reveal=True)
    assert "a₁ᵀ" not in " ".join([hidden.message, *hidden.hints])
    assert shown.message.endswith("reads ∂L/∂W₂ = δ₂a₁ᵀ.")


def test_notebooks_show_hints_one_by_one():
    page = graded("W_2", "(ŷ - y)xᵀ")._repr_html_()
    assert page.count("<details>") == 3
    assert "stands where" not in page.split("<details>")[0]


def formulas(text):
    """Return what could be typed back of a message."""
    for sentence in re.split(r"[.;:](?:\s|$)", text):
        for found in FORMULAS.finditer(sentence):
            yield from (part for part in found.groups() if part)
        yield from re.split(r"\s?\b[A-Za-z][a-z]+\b\s?", sentence)


def leaks(loss, wrt, found, parameters):
    for part in {p.strip() for t in (found.message, *found.hints) for p in formulas(t)}:
        try:
            if part and grade(loss, wrt, part, parameters=parameters).correct:
                yield part
        except (DeltaruleError, ValueError):
            continue


@pytest.mark.parametrize(
    ("variable", "answer"),
    [
        ("b_1", "2 a₁"),
        ("b_1", "z₁"),
        ("b_1", "W₂ᵀ(ŷ - y)"),
        ("b_1", "-δ₁ᵀ"),
        ("b_1", "a₁ ⊙ x"),
        ("b_1", "δ₁ + x"),
        ("b_1", "½ (x + y)"),
        ("W_2", "yŷᵀ"),
        ("W_2", "a₁(ŷ - y)ᵀ"),
        ("W_2", "x"),
        ("W_2", "0"),
    ],
)
def test_no_message_contains_the_answer(variable, answer):
    loss, named = perceptron()
    parameters = [named["W_1"], named["W_2"], named["b_1"]]
    found = graded(variable, answer)
    assert not found.correct
    assert not list(leaks(loss, named[variable], found, parameters)), str(found)


# ---------------------------------------------------------------- mutants


@functools.cache
def problem(name):
    loss, symbols = NETWORKS[name].loss()
    return loss, symbols, [symbols[p] for p in NETWORKS[name].parameters]


def verdict(mutant: Mutant):
    """Return the grade of a wrong mutant; None if it cannot be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of nonsense such as 2[0]
        if is_right(mutant):
            return None
    loss, symbols, parameters = problem(mutant.network)
    try:
        return grade(loss, symbols[mutant.variable], mutant.text, parameters=parameters)
    except ArgumentError:
        return None


def share_of_named(seed, count):
    wrong = [v for m in mutants(seed, count) if (v := verdict(m)) is not None]
    assert len(wrong) > count / 2
    assert all(len(found.mistakes) <= 3 for found in wrong)
    return sum(found.mistake != "unknown" for found in wrong) / len(wrong)


def test_mistakes_of_mutants_are_named():
    assert share_of_named(11, FEW) >= LEAST


@pytest.mark.slow
def test_mistakes_of_many_mutants_are_named():
    assert share_of_named(12, MANY) >= LEAST


SAME = {
    "sign": {"sign", "derivative", "term", "path"},
    "transpose": {"transpose", "transposed", "shape", "order"},
    "product": {"product", "shape", "factor", "activation"},
    "exponent": {"power", "derivative"},
    "function": {"function", "derivative", "argument", "shape", "unknown"},
}


@pytest.mark.parametrize("kind", SAME)
def test_names_agree_with_the_labels_of_mutants(kind):
    chosen = [m for m in mutants(13, 260) if m.kind == kind][:15]
    found = [v for m in chosen if (v := verdict(m)) is not None and not v.correct]
    agree = [v for v in found if SAME[kind] & set(v.mistakes or (v.mistake,))]
    assert found and len(agree) >= LEAST * len(found), [str(v) for v in found]


def test_no_message_on_a_mutant_contains_the_answer():
    for mutant in mutants(14, 40):
        found = verdict(mutant)
        if found is not None and not found.correct:
            loss, symbols, parameters = problem(mutant.network)
            wrt = symbols[mutant.variable]
            told = list(leaks(loss, wrt, found, parameters))
            assert not told, f"{mutant.text}: {found} tells {told}"


# ---------------------------------------------------------------- allowed symbols


@pytest.mark.parametrize(
    ("variable", "answer", "allow", "forbidden"),
    [
        ("W_1", "δ₁xᵀ", ["x", "ŷ", "y", "a_1", "W_2"], "δ₁ is"),
        ("W_1", "(W₂ᵀ(ŷ-y)⊙(1-a₁²))xᵀ", ["x", "ŷ", "y", "a_1", "W_2"], ""),
        ("W_2", "(W₂tanh(W₁x+b₁)-y)tanh(W₁x+b₁)ᵀ", "inputs", ""),
        ("W_2", "(ŷ-y)a₁ᵀ", "inputs", "ŷ"),
        ("W_2", "u = ŷ-y; u a₁ᵀ", ["y", "y_hat"], "a₁ is"),
        ("W_2", "np.outer(y_hat-y, a_1)", ["y", "ŷ"], "a₁ is"),
        ("W_2", "e = y_hat - y\nnp.outer(e, a_1)", ["y", "ŷ", "a_1"], ""),
        ("W_2", lambda y_hat, y, a_1: (y_hat - y)[:, None] * a_1, ["y", "ŷ"], "a₁ is"),
        ("z", "δ₁", None, "δ₁ is"),
        ("b_1", "δ₁", None, ""),
    ],
)
def test_symbols_that_an_answer_may_use(variable, answer, allow, forbidden):
    found = graded(variable, answer, allow=allow)
    assert found.correct is not bool(forbidden), str(found)
    if forbidden:
        assert found.mistake == "not allowed" and forbidden in found.message
        assert "The value is right, but" in found.message


def test_tensors_may_be_allowed_and_other_mistakes_are_told():
    _, named = perceptron()
    found = graded("W_2", "(ŷ + y)xᵀ", allow=[named["x"], "y"])
    assert found.mistakes[0] == "not allowed" and "signal" in found.mistakes
    assert "ŷ is not allowed: an answer may use x, y." in found.message


@pytest.mark.parametrize("allow", ["x", ["q_7"], [3]])
def test_unknown_symbols_are_refused(allow):
    with pytest.raises(ArgumentError, match="allow"):
        graded("W_2", "a₁", allow=allow)


def test_the_gradient_is_no_answer_to_itself():
    with pytest.raises(ArgumentError, match="asked for"):
        graded("W_2", "∂L/∂W₂")


# ---------------------------------------------------------------- exams and the command line


def test_exams_restrict_answers_and_reveal():
    loss, named = perceptron()
    both = [named["W_1"], named["W_2"]]
    task = dr.Task(loss, both, allow=["y", "y_hat", "a_1", "W_2", "x"], reveal=True)
    sheets = dr.exam([task], seed=1)
    assert sheets.grade(1, "1a", "(ŷ - y)a₁ᵀ").correct
    found = sheets.grade(1, "1a", "u₁a₁ᵀ")
    assert not found.correct and found.mistake == "not allowed" and found.points == 0
    assert "reads" in sheets.grade(1, "1a", "(ŷ + y)a₁ᵀ").message
    plain = dr.exam([dr.Task(loss, both)], seed=1)
    assert "reads" not in plain.grade(1, "1a", "(ŷ + y)a₁ᵀ").message
    with pytest.raises(ArgumentError, match="q_7"):
        dr.exam([dr.Task(loss, both, allow=["q_7"])], seed=1)


SOURCE = """
import deltarule as dr
x, y, W_1, W_2 = (dr.symbol(n, s) for n, s in
                  [("x", (3,)), ("y", (3,)), ("W_1", (3, 3)), ("W_2", (3, 3))])
error = W_2 @ dr.tanh(W_1 @ x) - y
loss = 0.5 * (error @ error), [W_1, W_2]
"""


@pytest.mark.parametrize(
    ("options", "words", "absent"),
    [
        ([], "x stands where a₁ belongs", "reads"),
        (["--hints", "1"], "The shape 3×3 is right.", "stands where"),
        (["--hints", "3"], "x stands where a₁ belongs", "reads"),
        (["--reveal"], "reads ∂L/∂W₂ = δ₂a₁ᵀ.", "Look at"),
        (["--allow", "x,y"], "ŷ is not allowed: an answer may use x, y.", "reads"),
    ],
)
def test_the_command_line(options, words, absent, tmp_path, capsys):
    path = tmp_path / "network.py"
    path.write_text(SOURCE, encoding="utf-8")
    place = [f"{path}:loss", "W_2", "(ŷ - y)xᵀ"]
    assert main(["grade", *place, *options]) == 1
    shown = capsys.readouterr().out
    assert words in " ".join(shown.split()) and absent not in shown
    main(["grade", *place, *options, "--json"])
    assert words in json.loads(capsys.readouterr().out)["message"]
