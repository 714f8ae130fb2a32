"""Exams on networks of one's own, and questions on concepts."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.explain.exam.concepts import STATEMENTS, WHYS
from deltarule.explain.exam.responses import Choice, FreeText, Numbers
from support.oracles import torch

W, b, x, y = (
    dr.symbol(name, shape)
    for name, shape in [("W", (2, 3)), ("b", (2,)), ("x", (3,)), ("y", (2,))]
)


def loss(activation):
    return 0.5 * ((activation(W @ x + b) - y) ** 2).sum()


@pytest.fixture(scope="module")
def midterm():
    return dr.exam(
        [
            [
                dr.Task(loss(nn.tanh), [W, b], points=4, title="A tanh layer"),
                dr.Task(loss(nn.sigmoid), [W, b], points=4, title="A sigmoid layer"),
            ],
            dr.Task(loss(nn.relu), [W, b], ask="numbers", points=6),
            dr.Task(losses.CrossEntropy()(W @ x + b, y), W, ask="derivation", points=3),
            dr.Task(
                losses.CrossEntropy()(W @ x + b, y),
                W,
                ask="numbers",
                values={"x": [1.0, 2.0, -1.0]},
                choices={"b": (0,)},
            ),
        ],
        title="Midterm",
        variants=8,
        seed=3,
    )


def test_points_and_titles_are_the_teachers(midterm):
    assert [question.points for question in midterm.sheets[0]] == [4, 6, 3, 1]
    assert midterm.sheet().startswith("Midterm — variant 1 (seed 3)")
    assert "of 14 points" in midterm.sheet()


def test_alternatives_are_shared_out_over_the_variants(midterm):
    titles = {sheet[0].text for sheet in midterm.sheets}
    assert len(titles) == 2


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_numbers_of_a_task_are_those_of_pytorch(midterm, variant):
    question = midterm.sheets[variant - 1][3]
    given = {
        line.partition(" = ")[0]: line.partition(" = ")[2]
        for line in midterm.to_dict()["sheets"][variant - 1][3]["given"]
    }
    values = {
        name: torch.tensor(
            np.array(
                [
                    [float(c) for c in row.replace(",", " ").split()]
                    for row in given[name].replace("−", "-").strip("[]()").split(";")
                ]
            ).squeeze(),
            requires_grad=name == "W",
        )
        for name in "Wbxy"
    }
    assert values["x"].tolist() == [1, 2, -1] and values["b"].tolist() == [0, 0]
    assert sorted(values["y"].tolist()) == [0, 1]
    logits = values["W"] @ values["x"] + values["b"]
    (gradient,) = torch.autograd.grad(
        -(values["y"] * torch.log_softmax(logits, 0)).sum(), values["W"]
    )
    response = question.items[0].response
    assert isinstance(response, Numbers)
    np.testing.assert_allclose(response.values, gradient.numpy(), rtol=1e-9)


def test_formulas_of_a_task_are_graded_with_its_points(midterm):
    for variant, sheet in enumerate(midterm.sheets, start=1):
        slope = "(1 - ŷ²)" if "tanh" in sheet[0].text else "ŷ ⊙ (1 - ŷ)"
        grade = midterm.grade(variant, "1a", f"(ŷ - y) ⊙ {slope}")
        assert grade.correct and grade.points == 2 and grade.understood
        assert midterm.grade(variant, "1a", "ŷ - y").mistake != "equal"


def test_a_derivation_answers_a_whole_question_with_partial_credit():
    task = dr.Task(loss(nn.tanh), [W, b], ask="derivation", points=6)
    sheets = dr.exam([task], title="Midterm")
    right = "δ = (ŷ − y) ⊙ (1 − ŷ²)\n∂L/∂W = δxᵀ\n∂L/∂b = δ"
    grade = sheets.grade(1, "1", right)
    assert (grade.points, grade.correct, grade.mistake) == (6, True, "equal")
    grade = sheets.grade(1, "1.", right.replace(" ⊙ (1 − ŷ²)", ""))
    assert grade.points == 4.5 and grade.mistake == "activation"
    assert grade.derivation is not None and grade.derivation.first_wrong == 1
    assert [line["verdict"] for line in grade.to_dict()["lines"]] == [
        "wrong",
        "follows",
        "follows",
    ]
    unreadable = sheets.grade(1, "1", "I do not know")
    assert (unreadable.points, unreadable.readable) == (None, False)
    assert sheets.grade(1, "1", " ").points == 0
    with pytest.raises(ArgumentError, match="one of 1a"):
        sheets.grade(1, "2", right)


def test_keys_of_derivations_are_right_as_whole_answers():
    sheets = dr.exam("networks", seed=3, variants=2)
    for variant, record in enumerate(sheets.to_dict()["sheets"], start=1):
        for number, question in enumerate(record, start=1):
            lines = [f"{i['asked']} = {i['answer']}" for i in question["items"]]
            grade = sheets.grade(variant, str(number), "\n".join(lines))
            assert grade.points == question["points"], str(grade.derivation)


def test_keys_of_formulas_are_closed_forms(midterm):
    for item in midterm.to_dict()["sheets"][0][0]["items"]:
        assert "δ" not in item["answer"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dr.Task(loss(nn.tanh), W, ask="essay"), "Task ask"),
        (lambda: dr.Task(loss(nn.tanh), W, points=0), "Task points"),
        (lambda: dr.Task(W @ x, W), "Task loss"),
        (lambda: dr.exam([]), "at least one task"),
        (lambda: dr.exam([loss(nn.tanh)]), "a topic or tasks"),
        (lambda: dr.exam([[]]), "a topic or tasks"),
    ],
)
def test_wrong_tasks_are_refused(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_a_task_without_readable_numbers_is_an_error():
    w = dr.symbol("w", ())
    with pytest.raises(DeltaruleError, match="finite and readable"):
        dr.exam([dr.Task(1e9 * w * w, w, ask="numbers")])


# ---------------------------------------------------------------- concepts


@pytest.fixture(scope="module")
def concepts():
    return dr.exam("concepts", seed=2, variants=20)


def test_sheets_have_a_statement_of_every_area(concepts):
    areas = {s.text: area for area, found in STATEMENTS.items() for s in found}
    for record in concepts.to_dict()["sheets"]:
        found = sorted(areas[item["asked"]] for item in record[0]["items"])
        assert found == sorted(STATEMENTS)


def test_statements_are_graded_and_reasons_left_to_a_person(concepts):
    for variant, (judged, explained) in enumerate(concepts.sheets, start=1):
        for index, item in enumerate(judged.items):
            assert isinstance(item.response, Choice)
            right = item.response.options[item.response.correct]
            wrong = item.response.options[1 - item.response.correct]
            name = f"1{'abcdef'[index]}"
            assert concepts.grade(variant, name, right.upper()).points == 1
            assert concepts.grade(variant, name, wrong[0]).points == 0
            assert not concepts.grade(variant, name, "perhaps").readable
        assert all(isinstance(item.response, FreeText) for item in explained.items)
        assert concepts.grade(variant, "2a", "because").points is None


def test_every_statement_has_a_reason_and_both_verdicts_occur():
    found = [s for statements in STATEMENTS.values() for s in statements]
    assert len({s.text for s in found}) == len(found) >= 30
    assert all(s.reason for s in found) and {s.true for s in found} == {True, False}
    assert all(len(why.reasons) >= 2 for why in WHYS)


def test_statements_on_losses_hold_in_numbers():
    """The gradients at z → −∞ for y = 1, and the bounds of log-sum-exp."""
    z = torch.tensor(-30.0, dtype=torch.float64, requires_grad=True)
    squared = 0.5 * (torch.sigmoid(z) - 1) ** 2
    entropy = torch.nn.functional.softplus(-z)
    assert abs(torch.autograd.grad(squared, z)[0]) < 1e-12
    assert torch.autograd.grad(entropy, z)[0] == pytest.approx(-1)
    values = torch.randn(1000, 4, dtype=torch.float64)
    lse, top = values.logsumexp(1), values.max(1).values
    assert (top <= lse).all() and (lse <= top + np.log(4)).all()
