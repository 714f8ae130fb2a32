"""Whole derivations, graded line by line: the marks of a teacher, partial credit, and texts that are no derivation."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.derivation.derivation import Derived, Deriver, Line
from deltarule.explain.explanation import Derivation
from deltarule.explain.formula.term import Term, symbols
from deltarule.explain.formula.to_graph import lower_to
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.grading.lines.result import DerivationGrade
from deltarule.explain.grading.mistakes import spoil
from deltarule.explain.page.page import entry
from deltarule.explain.proof.proof import Precise
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import run, value_sampler, without_target_checks
from deltarule.tensor.tensor import Tensor
from unit.explain.solutions import PROBLEMS, SOLUTIONS, Solution, symbol
from unit.explain.test_printed_lines import NETWORKS


def graded(name: str, wrt: str, text: str, **options: object) -> DerivationGrade:
    loss, variables = PROBLEMS[name]()
    wanted = [variables[part] for part in wrt.split()]
    parameters = list(variables.values())
    return dr.grade_derivation(loss, wanted, text, parameters=parameters, **options)


def marks(grade: DerivationGrade) -> str:
    return "".join(line.mark for line in grade.lines)


# ---------------------------------------------------------------- solutions of students


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.name)
def test_solutions_get_the_marks_of_a_teacher(solution: Solution) -> None:
    grade = graded(solution.problem, solution.wrt, solution.text)
    assert marks(grade) == solution.marks, str(grade)
    assert (grade.points, grade.maximum) == (solution.points, solution.maximum)
    assert solution.contains in str(grade)
    assert grade.correct == (solution.points == solution.maximum)
    wrong = [line.number for line in grade.lines if line.verdict == "wrong"]
    assert grade.first_wrong == (wrong[0] if wrong else None)
    assert all(len(row) <= 80 for row in str(grade).splitlines())


# ---------------------------------------------------------------- derivations of the product


def derivations(name: str, detail: str) -> Derived:
    derived = NETWORKS[name]().derived
    loss, _ = without_target_checks(derived.loss, {})
    return Deriver(loss, derived.wrt, derived.names, "denominator", detail).derive()


def grade_page(derived: Derived, text: str) -> DerivationGrade:
    variables = [Tensor(node) for node in derived.wrt]
    names = {Tensor(node): name for node, name in derived.names.items()}
    return dr.grade_derivation(
        Tensor(derived.loss), variables, text, names=names, parameters=variables
    )


@pytest.mark.parametrize("detail", ["every", "steps"])
@pytest.mark.parametrize("name", NETWORKS)
def test_printed_derivations_get_all_points(name: str, detail: str) -> None:
    derived = derivations(name, detail)
    page = Derivation(derived)
    for text in (str(page), page.latex()):
        grade = grade_page(derived, text)
        assert grade.correct, str(grade)
        stated = sum(line.verdict != "not read" for line in grade.lines)
        assert stated == len(derived.forward) + len(derived.backward)


def spoiled_page(derived: Derived, changed: Line, term: Term) -> str:
    """Return the lines of a derivation as text, one of them with another formula."""
    rows = []
    for line in (*derived.forward, *derived.backward):
        shown = entry(line, derived.loss_name)
        right = to_text(typeset(term) if line is changed else shown.right)
        alias = f" =: {to_text(shown.alias)}" if shown.alias is not None else ""
        rows.append(f"{to_text(shown.left)} = {right}{alias}")
    return "\n".join(rows)


def is_wrong(derived: Derived, line: Line, term: Term) -> bool:
    """Whether a formula differs from the value of its line, as the engine computes both."""
    try:
        node = lower_to(term, line.value)
    except ShapeError:
        return False
    precise = Precise(
        [derived.loss, node, line.value], run, value_sampler(1), derived.loss
    )
    differs = False
    for _ in range(3):
        found, right = precise.values(
            [precise[node], precise[line.value]], precise.draw()
        )
        if np.abs(right).max() < 1e-9:
            return False
        both = np.isfinite(found).all() and np.isfinite(right).all()
        differs |= both and not np.allclose(found, right, rtol=1e-4, atol=0)
    return bool(differs)


SPOILED = ["weighted", "matrices", "residual", "siamese", "variational", "batch, W₂"]


@pytest.mark.parametrize("name", [n for n in SPOILED if n in NETWORKS])
def test_a_spoiled_line_is_the_one_that_is_wrong(name: str) -> None:
    """One line gets a known mistake: it alone is wrong, and the lines that use it are right given it."""
    derived = derivations(name, "steps")
    lines = [*derived.forward, *derived.backward]
    tried = 0
    for place, line in enumerate(lines):
        spoils = (
            [s.term for s in spoil(line.term)] if line.node is not derived.loss else []
        )
        wrong = [term for term in spoils[:6] if is_wrong(derived, line, term)]
        for term in wrong[:1]:
            grade = grade_page(derived, spoiled_page(derived, line, term))
            verdicts = [one.verdict for one in grade.lines]
            assert [i for i, v in enumerate(verdicts) if v == "wrong"] == [place], str(
                grade
            )
            for later, verdict in zip(
                lines[place + 1 :], verdicts[place + 1 :], strict=True
            ):
                used = symbols(later.term)
                if line.kind == "backward" and line.alias in used:
                    assert verdict == "follows", str(grade)
            assert set(verdicts) <= {"wrong", "follows", "correct"}
            assert grade.points == grade.maximum - 1, str(grade)
            tried += 1
    assert tried >= 3


# ---------------------------------------------------------------- points and options

RIGHT = "δ₂ = ŷ − y\nδ₁ = W₂ᵀδ₂ ⊙ (1 − a₁²)\n∂L/∂W₁ = δ₁xᵀ"


def test_points_are_scaled_and_shown() -> None:
    grade = graded("perceptron", "W_1", RIGHT.replace("ŷ − y", "ŷ + y"), points=6)
    assert (grade.points, grade.maximum) == (4.0, 6.0)
    assert [line.points for line in grade.lines] == [0.0, 2.0, 2.0]
    assert str(grade).splitlines()[-1].startswith("4 of 6 points.")


def test_required_steps_lose_their_points_where_they_are_skipped() -> None:
    alone = "∂L/∂W₁ = (W₂ᵀ(ŷ − y) ⊙ (1 − a₁²)) xᵀ"
    assert graded("perceptron", "W_1", alone).points == 3
    grade = graded("perceptron", "W_1", alone, require_steps=True)
    assert (grade.points, grade.correct) == (1, False)
    assert grade.missing == ("∂L/∂z₂", "∂L/∂z₁")


def test_the_final_gradient_has_its_own_verdict() -> None:
    grade = graded("perceptron", "W_1", RIGHT.replace("δ₁xᵀ", "xδ₁ᵀ"))
    assert grade.final is not None and grade.final.mistake == "transposed"
    assert not grade and grade.first_wrong == 3
    assert graded("perceptron", "W_1", "δ₂ = ŷ − y").final is None


def test_gradients_at_signals_have_the_names_of_the_derivation() -> None:
    x, y, W, V = symbol("x", 3), symbol("y", 2), symbol("W", 4, 3), symbol("V", 2, 4)
    a = dr.tanh(W @ x)
    loss = 0.5 * ((V @ a - y) ** 2).sum()
    grade = dr.grade_derivation(
        loss, [a, x], "∂L/∂a₁ = Vᵀ(ŷ − y)\n∂L/∂x = Wᵀ(∂L/∂a₁ ⊙ (1 − a₁²))"
    )
    assert grade.correct, str(grade)


def test_circular_statements_earn_nothing() -> None:
    grade = graded("perceptron", "b_2", "δ₂ = ∂L/∂b₂\n∂L/∂b₂ = δ₂")
    assert grade.points == 0 and not grade.correct
    assert graded("perceptron", "b_2", "∂L/∂b₂ = ∂L/∂b₂").points == 0


def test_no_line_of_the_solution_is_shown_unless_asked_for() -> None:
    text = RIGHT.replace("W₂ᵀδ₂ ⊙ (1 − a₁²)", "b₁ ⊙ b₁ ⊙ z₁")
    hidden = graded("perceptron", "W_1", text)
    assert "W₂ᵀ" not in hidden.lines[1].message
    shown = graded("perceptron", "W_1", text, reveal=True)
    assert "W₂ᵀδ₂ ⊙ (1 − a₁²)" in shown.lines[1].message


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        ("𝟙(z₁ > 0)", "correct"),
        ("𝟙(a₁ > 0)", "correct"),
        ("𝟙(z₁ > −0.001)", "wrong"),
        ("𝟙(z₁ > 0) ⊙ 𝟙(z₁ < 9)", "wrong"),
    ],
)
def test_conditions_are_checked_where_they_change(slope: str, verdict: str) -> None:
    text = f"δ₃ = ŷ − y\nδ₂ = W₃ᵀδ₃ ⊙ 𝟙(z₂ > 0)\nδ₁ = W₂ᵀδ₂ ⊙ {slope}\n∂L/∂W₁ = δ₁xᵀ"
    grade = graded("rectified", "W_1", text)
    assert grade.lines[2].verdict == verdict, str(grade)
    assert grade.points == (4 if verdict == "correct" else 3)


def test_definitions_may_stand_below_their_use() -> None:
    text = "∂L/∂W₁ = d xᵀ\nwhere d = W₂ᵀe ⊙ (1 − a₁²)\nand e = ŷ − y"
    assert graded("perceptron", "W_1", text).correct


def test_the_same_line_again_is_redundant() -> None:
    grade = graded("perceptron", "W_1", RIGHT + "\n∂L/∂W₁ = δ₁xᵀ")
    assert marks(grade) == "✓✓✓="
    assert grade.correct


def test_numerator_layout() -> None:
    text = "δ₂ = (ŷ − y)ᵀ\nδ₁ = δ₂ W₂ diag(1 − a₁²)\n∂L/∂W₁ = x δ₁"
    assert graded("perceptron", "W_1", text, layout="numerator").correct
    assert not graded("perceptron", "W_1", text).correct


def test_the_grade_as_data_and_as_html() -> None:
    grade = graded("perceptron", "W_1", RIGHT)
    data = grade.to_dict()
    assert data["correct"] and data["points"] == data["max_points"] == 3
    assert [line["verdict"] for line in data["lines"]] == ["correct"] * 3
    assert data["lines"][1]["understood"]["text"] == "δ₁ = W₂ᵀδ₂ ⊙ (1 − a₁²)"
    page = grade._repr_html_()
    assert page.count("<tr>") == 3 and "<math" in page


# ---------------------------------------------------------------- texts that are no derivation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty text"),
        ("\n\n", "an empty text"),
        ("I do not know how to do this.", "none that can be read"),
        ("δ₂ = ŷ −", "none that can be read"),
        ("δ₂ = foo − bar", "a known name"),
        ("a\n" * 4000, "at most 300 lines"),
        ("δ₂ = ŷ − y\n" * 4000, "at most 300 lines"),
        ("x" * 50_000, "at most 40,000 characters"),
    ],
)
def test_unreadable_texts_have_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        graded("perceptron", "W_1", text)


HARD = {
    "definitions in a circle": "p = q\nq = p\n" + RIGHT,
    "signs": f"δ₂ = {'-' * 3000}(ŷ − y)\n" + RIGHT,
    "many signs": f"δ₂ = {'−' * 1500}(ŷ − y)\n" + RIGHT,
    "one long word": f"q = {'x' * 1900}\n" + RIGHT,
    "brackets": f"q = {'(' * 900}x{')' * 900}\n" + RIGHT,
    "open brackets": "q = (((\n" * 100 + RIGHT,
    "many equals signs": "z₁ = " * 400 + "z₁\n" + RIGHT,
    "a long sum": f"q = {' + '.join(['x'] * 450)}\n" + RIGHT,
    "many lines": "u = W₁x + b₁\n" * 290 + RIGHT,
    "many wrong lines": "δ₂ = W₂a₁\n" * 200 + RIGHT,
    "environments": r"\begin{align}" * 60 + RIGHT,
    "control characters": "\x00\x07\u202e δ₂ = ŷ\n" + RIGHT,
    "powers": "q = " + "x^" * 200 + "2\n" + RIGHT,
    "new names": "\n".join(f"n{i} = ŷ − {i} y" for i in range(200)) + "\n" + RIGHT,
}


@pytest.mark.parametrize("name", HARD)
def test_hard_texts_are_graded(name: str) -> None:
    grade = graded("perceptron", "W_1", HARD[name])
    assert grade.points <= grade.maximum
    assert grade.lines[-1].verdict in {"correct", "follows", "redundant"}
