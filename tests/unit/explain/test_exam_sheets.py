"""Exam sheets: readable numbers, complete data, distinct variants, points, and the writers."""

from __future__ import annotations

import json
import re

import pytest

import deltarule as dr
from deltarule.errors import ArgumentError
from deltarule.explain.exam.responses import Gradient, Numbers
from deltarule.optim.exam import TOPICS
from deltarule.render.mathematics import to_text

SLOW = ("networks", "gradients")


@pytest.mark.parametrize(
    "topic",
    [pytest.param(t, marks=pytest.mark.slow if t in SLOW else ()) for t in TOPICS],
)
def test_thirty_variants_have_thirty_keys(topic):
    found = dr.exam(topic, seed=11, variants=30)
    keys = {
        tuple(to_text(item.answer) for question in sheet for item in question.items)
        for sheet in found.sheets
    }
    assert len(keys) == 30
    assert len({tuple(len(q.items) for q in s) for s in found.sheets}) <= 4


@pytest.fixture(scope="module")
def exams():
    """Two variants of every topic."""
    return {topic: dr.exam(topic, seed=5, variants=2) for topic in TOPICS}


def test_numbers_of_gradients_are_alive_and_readable(exams):
    for question in exams["gradients"].questions:
        for item in question.items:
            assert isinstance(item.response, Numbers)
            sizes = [abs(value) for _, value in item.response.entries()]
            alive = [size for size in sizes if size]
            assert 2 * len(alive) >= len(sizes)
            assert all(1e-3 <= size <= 1e3 for size in alive), question.text


def test_every_constant_stands_on_the_sheet(exams):
    for topic in ("networks", "gradients"):
        for question in exams[topic].questions:
            given = "\n".join(to_text(formula) for formula in question.given)
            for function in ("LeakyReLU", "ELU", "softplus"):
                if re.search(rf"(?<![A-Za-z]){function}\(z.?\)", given):
                    assert f"{function}(z) = " in given, given


def test_variants_of_networks_differ_in_structure_at_equal_length(exams):
    found = exams["networks"]
    titles = [{question.text for question in sheet} for sheet in found.sheets]
    assert titles[0] != titles[1]
    lengths = [sum(len(q.items) for q in sheet) for sheet in found.sheets]
    assert max(lengths) - min(lengths) <= 6


def test_every_sheet_of_optimizers_asks_for_the_same_methods():
    found = dr.exam("optimizers", seed=1, variants=5)
    assert len({tuple(q.text for q in sheet) for sheet in found.sheets}) == 1


def test_sheets_have_names_points_and_space_and_keys_say_key():
    found = dr.exam("shapes", seed=1, variants=2)
    sheet, key = found.sheet(), found.key()
    assert sheet.count("Name: ___") == 2 and "of 8 points" in sheet
    assert key.count("KEY") == 2 and "Name:" not in key
    page = found.html()
    assert page.count("Name:") == 2 and "break-before:page" in page
    assert "KEY" in found.latex(answers=True) and "KEY" not in found.latex()


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("answers", [False, True])
def test_latex_stands_alone_and_is_balanced(topic, answers, read_latex, exams):
    text = exams[topic].latex(answers=answers, hints=True, standalone=True)
    assert text.startswith(r"\documentclass") and text.count(r"\newpage") == 1
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    closed = re.findall(r"\\end\{(\w+)\}", text)
    assert sorted(opened) == sorted(closed)
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert text.count("$") % 2 == 0
    aligned = re.findall(r"\\begin{aligned} (.*?) \\end{aligned}", text)
    defined = [line for lines in aligned for line in lines.split(r" \\ ")]
    numbers = re.findall(r"\\mbox{\$(.*?)\$}", text)
    for formula in [line.removeprefix("& ") for line in defined] + numbers:
        read_latex(formula)
    given = [formula for q in exams[topic].questions for formula in q.given]
    assert len(defined) + len(numbers) == len(given)


def test_json_has_what_is_given_and_answers_on_request(exams):
    found = exams["gradients"]
    whole = json.loads(json.dumps(found.to_dict()))
    question = whole["sheets"][0][0]
    assert any("ŷ = σ" in line for line in question["given"])
    assert question["given_latex"] and question["points"] == 4
    item = question["items"][0]
    assert item["type"] == "numbers" and len(item["values"]) == len(item["tolerances"])
    asked = found.to_dict(answers=False)["sheets"][0][0]
    assert "verified" not in asked and "answer" not in asked["items"][0]


def test_own_key_of_every_item_grades_as_right(exams):
    for topic in set(TOPICS) - {"networks"}:
        found = exams[topic]
        for number, question in enumerate(found.sheets[0], start=1):
            for index, item in enumerate(question.items):
                if isinstance(item.response, Numbers):
                    name = f"{number}{'abcdefgh'[index]}"
                    grade = found.grade(1, name, to_text(item.answer))
                    assert grade.correct and grade.points == item.points, (topic, name)


def test_every_line_of_a_derivation_grades_as_right(exams):
    found = exams["networks"]
    for number, question in enumerate(found.sheets[0], start=1):
        for index, item in enumerate(question.items):
            key = to_text(item.answer).split(" =: ")[0]
            grade = found.grade(1, f"{number}{'abcdefghijkl'[index]}", key)
            assert grade.correct, (question.text, key, str(grade))


def test_formulas_are_graded_by_evaluation(exams):
    found = exams["networks"]
    for number, question in enumerate(found.sheets[0], start=1):
        if "half squared error" not in question.text:
            continue
        assert isinstance(question.items[0].response, Gradient)
        assert found.grade(1, f"{number}a", "ŷ - y").points == 1
        wrong = found.grade(1, f"{number}a", "y - ŷ")
        assert not wrong.correct and wrong.mistake == "sign" and wrong.points == 0
        bad = found.grade(1, f"{number}a", "ŷ - ")
        assert not bad.readable and bad.points is None and bad.position


@pytest.mark.parametrize(
    ("answer", "points", "mistake"),
    [
        ("(0, 6, −2, 0)", 1, "equal"),
        ("[0, 6, -2, 0]", 1, "equal"),
        ("0 6 -2 0", 1, "equal"),
        (r"\begin{pmatrix} 0 \\ 6 \\ -2 \\ 0 \end{pmatrix}", 1, "equal"),
        ("np.array([0, 6, -2, 0])", 1, "equal"),
        ("y = (0, 12/2, -sqrt(4), 0)ᵀ", 1, "equal"),
        ("0, 6, -2, 1", 0.75, "value"),
        ("0, -6, 2, 0", 0, "sign"),
        ("0, 12, -4, 0", 0.5, "factor"),
        ("0, 6, -2", 0, "shape"),
        ("", 0, "empty"),
        ("0, six, -2, 0", None, "unreadable"),
        ("0, 6, __import__('os'), 0", None, "unreadable"),
        ("0, 9**9**9**9, 1, 2", None, "unreadable"),
        ("(" * 3000, None, "unreadable"),
    ],
)
def test_numbers_are_read_in_the_usual_spellings(answer, points, mistake):
    found = dr.exam("normalization", seed=0)  # y = (0, 6, −2, 0)
    grade = found.grade(1, "1c", answer)
    assert (grade.points, grade.mistake) == (points, mistake), str(grade)
    assert grade.readable == (mistake != "unreadable")


def test_matrices_are_read_and_transposes_named():
    found = dr.exam("convolution", seed=0)
    rows = [
        entry.replace("−", "-").split()
        for entry in to_text(found.item(1, "2a").answer).strip("[]").split(";")
    ]
    latex = r" \\ ".join(" & ".join(row) for row in rows)
    assert found.grade(1, "2a", rf"\begin{{bmatrix}}{latex}\end{{bmatrix}}").correct
    python = "[" + ", ".join(f"[{', '.join(row)}]" for row in rows) + "]"
    assert found.grade(1, "2a", python).correct
    turned = "; ".join(" ".join(row) for row in zip(*rows, strict=True))
    assert found.grade(1, "2a", turned).mistake == "transposed"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: e.grade(3, "1a", "1"), "exam variant"),
        (lambda e: e.grade(1, "9z", "1"), "exam item"),
        (lambda e: e.grade(1, "1a", 3), "exam answer"),
        (lambda e: e.export("word", "x"), "exam export"),
    ],
)
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(dr.exam("shapes"))
