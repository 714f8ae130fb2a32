"""The commands derive, grade and exam."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import deltarule as dr
from deltarule.cli.main import main
from deltarule.errors import ArgumentError

SOURCE = """
import deltarule as dr
from deltarule import nn

x, y, W_1, b_1, w_2 = (dr.symbol(n, s) for n, s in
                       [("x", (3,)), ("y", ()), ("W_1", (2, 3)), ("b_1", (2,)), ("w_2", (2,))])

def problem():
    a = nn.relu(W_1 @ x + b_1)
    return 0.5 * (w_2 @ a - y) ** 2, [W_1, b_1, w_2]

loss = problem()[0]
number = 3
vector = W_1 @ x
square = W_1.T @ W_1
X, Y = dr.symbol("X", (5, 3)), dr.symbol("Y", (5, 2))

def batch():
    return ((X @ W_1.T - Y) ** 2).mean(), [W_1]

def raising():
    raise ValueError("boom")
"""


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "network.py"
    path.write_text(SOURCE, encoding="utf-8")
    return str(path)


def test_derive_prints_and_writes(place, tmp_path, capsys):
    page, tex = tmp_path / "page.html", tmp_path / "page.tex"
    assert (
        main(["derive", f"{place}:problem", "--html", str(page), "--latex", str(tex)])
        == 0
    )
    out = capsys.readouterr().out
    assert "∂L/∂W₁ = δ₁xᵀ" in out and "proved:" in out and f"wrote {page}" in out
    assert "<math" in page.read_text(
        encoding="utf-8"
    ) and r"\documentclass" in tex.read_text(encoding="utf-8")


def test_derive_answers_programs(place, capsys):
    assert main(["derive", f"{place}:loss", "--wrt", "W_1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["proved"] and answer["lines"][-1]["right"] == "δ₁xᵀ"


def test_grade_says_right_and_wrong(place, capsys):
    assert main(["grade", f"{place}:problem", "W_1", "δ₁xᵀ"]) == 0
    assert "✓" in capsys.readouterr().out
    assert main(["grade", f"{place}:problem", "W_1", "-δ₁xᵀ", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["mistake"] == "sign"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["derive", "nowhere.py:loss"], "no such file"),
        (["derive", "nowhere"], "no name"),
        (["derive", "{place}:nothing"], "a name that"),
        (["derive", "{place}:number"], "got int"),
        (["grade", "{place}:problem", "V", "x"], "names among"),
        (["grade", "{place}:problem", "W_1", "δ₁ +"], "the end"),
        (["grade", "{place}:problem", "W_1", "1/0"], "a divisor that is not 0"),
        (["grade", "{place}:problem", "W_1", ""], "the end"),
        (["derive", "{place}:square"], "a tensor of shape (3, 3)"),
        (["grade", "{place}:vector", "x", "1"], "a tensor of shape (2)"),
        (["derive", "{place}:vector", "--html", "page.html"], "got a vector"),
        (
            ["derive", "{place}:vector", "--wrt", "W_1", "--layout", "numerator"],
            "denominator for slices by a matrix",
        ),
        (
            ["derive", "{place}:loss", "--html", "/proc/x.html"],
            "--html /proc/x.html: expected a place to write to",
        ),
        (
            ["exam", "convolution", "--latex", "/proc/x.tex"],
            "--latex /proc/x.tex: expected a place to write to",
        ),
        (["derive", "{place}:raising"], "ValueError: boom"),
        (["derive", "{place}:problem", "--wrt", "Q"], "names among"),
        (["derive", "{place}:problem", "--batch", "example"], "axis of the examples"),
    ],
)
def test_errors_are_one_clear_line(place, arguments, words, capsys):
    assert main([part.format(place=place) for part in arguments]) not in (0, None)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "words"),
    [("f(", "SyntaxError"), ("import nothing_like_this", "ModuleNotFoundError")],
)
def test_a_file_that_does_not_run_is_one_line(source, words, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text(source, encoding="utf-8")
    assert main(["derive", f"{path}:loss"]) == 1
    message = capsys.readouterr().err
    assert words in message and "line 1" in message and "Traceback" not in message


def test_the_line_that_raised_is_named_wherever_the_file_is(place, monkeypatch, capsys):
    line = SOURCE.splitlines().index('    raise ValueError("boom")') + 1
    monkeypatch.chdir(Path(place).parent)
    for file in (place, "network.py", "./network.py"):
        assert main(["derive", f"{file}:raising"]) == 1
        assert (
            f"network.py, line {line}: expected code that runs, got ValueError: boom"
            in capsys.readouterr().err
        )


def test_derive_of_a_vector_gives_its_jacobian_and_its_slices(place, tmp_path, capsys):
    tex = tmp_path / "new" / "vector.tex"
    assert (
        main(["derive", f"{place}:vector", "--wrt", "x,W_1", "--latex", str(tex)]) == 0
    )
    out = capsys.readouterr().out
    assert (
        "∂y/∂x = W₁ᵀ" in out
        and "∂y₂/∂W₁ = e₂xᵀ" in out
        and "∂y/∂(W₁)ₖⱼ = xⱼ eₖ = Eₖⱼx" in out
    )
    assert out.count("proved: 20 random points") == 2
    assert r"\partial y/\partial x = W_{1}^{\top}" in tex.read_text(encoding="utf-8")
    assert (
        main(
            [
                "derive",
                f"{place}:vector",
                "--wrt",
                "x",
                "--layout",
                "numerator",
                "--json",
            ]
        )
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert (
        answer["lines"] == ["∂y/∂x = W₁"]
        and answer["proved"]
        and answer["max_error"] < 1e-6
    )


def test_derive_one_example_of_a_batch(place, capsys):
    assert main(["derive", f"{place}:batch", "--batch", "example"]) == 0
    assert "∂J/∂W₁ = 1/5 Σᵢ δ₁⁽ⁱ⁾x⁽ⁱ⁾ᵀ" in capsys.readouterr().out


def test_exam_sheets_and_keys(tmp_path, capsys):
    page = tmp_path / "sheet.html"
    assert (
        main(
            [
                "exam",
                "convolution",
                "--seed",
                "3",
                "--variants",
                "2",
                "--html",
                str(page),
            ]
        )
        == 0
    )
    assert "variant 2" in capsys.readouterr().out and page.exists()
    assert main(["exam", "convolution", "--seed", "3", "--key", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sheets"][0][0]["items"][0]["answer"]


def test_exam_refuses_numbers_below_their_least(capsys):
    assert main(["exam", "networks", "--seed", "-1"]) == 2
    assert "-1 is not in the range" in capsys.readouterr().err
    for arguments in ({"seed": -1}, {"variants": 1.5}, {"variants": 0}):
        with pytest.raises(ArgumentError, match=r"expected a whole number ≥ [01]"):
            dr.exam("networks", **arguments)


TASKS = """
import deltarule as dr

w, x, y = (dr.symbol(n, s) for n, s in [("w", (2,)), ("x", (2,)), ("y", ())])
midterm = [dr.Task(0.5 * (w @ x - y) ** 2, w, points=2, title="A linear model")]
"""


def test_exam_of_tasks_exports_and_grades_a_class(tmp_path, capsys):
    place = tmp_path / "tasks.py"
    place.write_text(TASKS, encoding="utf-8")
    quiz, answers = tmp_path / "quiz.xml", tmp_path / "answers.csv"
    words = ["exam", f"{place}:midterm", "--variants", "1", "--title", "Midterm"]
    assert main([*words, "--export", "moodle", str(quiz), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["topic"] == "Midterm" and record["written"] == {"moodle": str(quiz)}
    assert record["sheets"][0][0]["given"] and quiz.read_text().startswith("<?xml")
    answers.write_text(
        "student;variant;item;answer\nAda;1;1a;(wᵀx - y) x\nBen;1;1a;(y - wᵀx) x\n"
        "=1+1;1;1a;(y -\nDi;7;1a;x\n",
        encoding="utf-8",
    )
    assert main([*words, "--answers", str(answers), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [row["points"] for row in found["answers"]] == [2, 0, None, None]
    assert found["answers"][2]["position"] and found["unreadable"] == 2
    grades = (tmp_path / "answers-grades.csv").read_text(encoding="utf-8")
    assert grades.startswith("student,variant,item,answer,points,max_points,correct")
    assert "\n'=1+1," in grades


def test_grade_tells_unreadable_answers_from_wrong_ones(place, tmp_path, capsys):
    assert main(["grade", f"{place}:problem", "W_1", "δ₁ +", "--json"]) == 2
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record["readable"] is False and record["position"] == 5
    answers = tmp_path / "answers.csv"
    answers.write_text("answer\nδ₁xᵀ\n-δ₁xᵀ\nδ₁ +\n", encoding="utf-8")
    words = ["grade", f"{place}:problem", "W_1", "--answers", str(answers)]
    assert main(words) == 2
    assert "3 answers: 1 correct, 1 unreadable" in capsys.readouterr().out
    assert (tmp_path / "answers-grades.csv").read_text().count("True,True") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["grade", "{place}:problem"], "--answers"),
        (["grade", "{place}:problem", "--answers", "no.csv"], "no such file"),
        (["exam", "nothing"], "is not one of"),
        (["exam", "{place}:number"], "a topic or tasks"),
        (["exam", "shapes", "--answers", "{place}"], "columns variant, item, answer"),
    ],
)
def test_wrong_files_of_answers_are_one_clear_line(place, arguments, words, capsys):
    assert main([part.format(place=place) for part in arguments]) not in (0, None)
    assert words in capsys.readouterr().err


def test_an_unknown_variable_in_a_row_does_not_lose_the_other_grades(
    place, tmp_path, capsys
):
    answers, output = tmp_path / "answers.csv", tmp_path / "new" / "grades.csv"
    answers.write_text("variable;answer\nW_9;x\nW_1;δ₁xᵀ\n", encoding="utf-8")
    words = ["grade", f"{place}:problem", "--answers", str(answers)]
    assert main([*words, "--output", str(output)]) == 2
    assert "2 answers: 1 correct, 1 unreadable" in capsys.readouterr().out
    header, unknown, right = output.read_text(encoding="utf-8").splitlines()[:3]
    assert header == (
        "variable,answer,correct,readable,mistake,message,understood,position"
    )
    assert unknown.startswith("W_9,x,False,False") and right.startswith(
        "W_1,δ₁xᵀ,True,True,equal"
    )


def test_an_export_creates_its_folder_or_says_why_not(tmp_path, capsys):
    target = tmp_path / "new" / "quiz.xml"
    assert main(["exam", "shapes", "--export", "moodle", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith("<?xml")
    (tmp_path / "file").write_text("", encoding="utf-8")
    capsys.readouterr()
    blocked = str(tmp_path / "file" / "quiz.xml")
    assert main(["exam", "shapes", "--export", "moodle", blocked]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "Traceback" not in message
    assert ".part" not in message


SOLUTION = "δ₂ = ŷ − y\nδ₁ = δ₂w₂ ⊙ 𝟙(z₁ > 0)\n∂L/∂W₁ = δ₁xᵀ\n"


def test_grade_of_a_whole_derivation(place, tmp_path, capsys):
    file = tmp_path / "answer.txt"
    file.write_text(SOLUTION, encoding="utf-8")
    words = ["grade", f"{place}:problem", "W_1", "--derivation", str(file)]
    assert main([*words, "--points", "6"]) == 0
    assert "6 of 6 points." in capsys.readouterr().out
    file.write_text(SOLUTION.replace(" ⊙ 𝟙(z₁ > 0)", ""), encoding="utf-8")
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [line["verdict"] for line in found["lines"]] == [
        "correct",
        "wrong",
        "follows",
    ]
    assert (found["first_wrong"], found["mistake"]) == (2, "activation")
    file.write_text("I do not know", encoding="utf-8")
    assert main([*words, "--json"]) == 2
    assert not json.loads(capsys.readouterr().out)["readable"]
    file.write_bytes(bytes([0xFF, 0xFE, 0x00]))
    assert main(words) != 0
    assert "UTF-8" in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "none.txt")]) != 0
    assert "no such file" in capsys.readouterr().err
    assert main([*words, "--answers", str(file)]) != 0


def test_grade_of_a_derivation_from_standard_input(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SOLUTION.encode())))
    assert main(["grade", f"{place}:problem", "W_1", "--derivation", "-"]) == 0
    assert capsys.readouterr().out.count("✓") == 3


def test_grade_of_a_class_of_derivations(place, tmp_path, capsys):
    answers = tmp_path / "answers.csv"
    wrong = SOLUTION.replace("ŷ − y", "ŷ + y")
    rows = f'student,variable,answer\nAda,W_1,"{SOLUTION}"\nBen,"W_1, w_2","{wrong}"\n'
    answers.write_text(rows, encoding="utf-8")
    words = [
        "grade",
        f"{place}:problem",
        "--answers",
        str(answers),
        "--lines",
        "--json",
    ]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)["answers"]
    assert [(row["points"], row["max_points"]) for row in found] == [(3, 3), (2, 4)]
    grades = (tmp_path / "answers-grades.csv").read_text(encoding="utf-8")
    assert "3 of 3 points." in grades and "Missing: ∂L/∂w₂." in grades


def test_assumptions_of_derivations_and_grades(place, tmp_path, capsys):
    path = tmp_path / "by_hand.py"
    path.write_text(
        "import deltarule as dr\nfrom deltarule import nn\n"
        'W, x, y = dr.symbol("W", (2, 3)), dr.symbol("x", (3,)), dr.symbol("y", (2,))\n'
        "loss = -(y * dr.log(nn.softmax(W @ x))).sum()\n",
        encoding="utf-8",
    )
    loss = f"{path}:loss"
    assert main(["derive", loss, "--assume", "y=one-hot"]) == 0
    assert "y ∈ {0, 1}², Σy = 1" in capsys.readouterr().out
    assert main(["grade", loss, "W", "(ŷ-y)xᵀ", "--json"]) == 0
    assert "one-hot" in json.loads(capsys.readouterr().out)["assumption"]
    assert main(["grade", loss, "W", "(ŷ-y)xᵀ", "--assume", "y=positive"]) == 1
    assert main(["derive", loss, "--assume", "y"]) == 2
    assert "NAME=KIND" in capsys.readouterr().err
    assert main(["derive", loss, "--assume", "W=one-hot"]) == 1
    assert "differentiated" in capsys.readouterr().err
