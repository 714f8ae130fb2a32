"""An exam on networks of one's own: variants, LaTeX sheets, an export for Moodle, and the grading of answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import deltarule as dr
from deltarule import nn

Activation = Callable[[dr.Tensor], dr.Tensor]
W, b, x, y = (
    dr.symbol(name, shape)
    for name, shape in [("W", (2, 3)), ("b", (2,)), ("x", (3,)), ("y", (2,))]
)


def loss(activation: Activation) -> dr.Tensor:
    """Return half the squared error of a layer."""
    return 0.5 * ((activation(W @ x + b) - y) ** 2).sum()


exam = dr.exam(
    [
        [
            dr.Task(loss(nn.tanh), [W, b], points=4, title="A tanh layer"),
            dr.Task(loss(nn.sigmoid), [W, b], points=4, title="A sigmoid layer"),
        ],
        dr.Task(
            loss(nn.relu), [W, b], ask="numbers", points=6, title="A rectified layer"
        ),
    ],
    title="Midterm",
    variants=5,
    seed=3,
)
print(exam.sheet().partition("\n\n\n")[0])

with tempfile.TemporaryDirectory() as folder:
    sheets = Path(folder, "sheets.tex")
    sheets.write_text(exam.latex(standalone=True), encoding="utf-8")
    quiz = exam.export("moodle", Path(folder, "quiz.xml"))
    print("written:", sheets.name, quiz.name)

right = exam.to_dict()["sheets"][0][1]["items"][0]["answer"]
for answer in (right, "(1, 2, 3)", "(1, two)"):
    print(f"2a  {answer:<12}  {exam.grade(1, '2a', answer)}")
