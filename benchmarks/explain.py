"""What derivations, their proofs and grades cost.

``python benchmarks/explain.py [rounds]`` prints a table: the smallest and the median processor time in milliseconds of
a few rounds. A grade is timed for the first answer to a question, for a right answer after it (the derivation is kept),
and for a wrong answer after it, which is compared with the known mistakes. Derivations are timed with their proof.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import deltarule as dr
from deltarule import losses, nn

_ROUNDS = 7
Make = Callable[[], tuple[dr.Tensor, list[dr.Tensor]]]


def _perceptron() -> tuple[dr.Tensor, list[dr.Tensor]]:
    x, y = dr.symbol("x", (3,)), dr.symbol("y", (2,))
    weights = [dr.symbol("W_1", (4, 3)), dr.symbol("W_2", (2, 4))]
    error = weights[1] @ dr.tanh(weights[0] @ x) - y
    return 0.5 * (error @ error), weights


def _batch() -> tuple[dr.Tensor, list[dr.Tensor]]:
    X, Y = dr.symbol("X", (5, 4)), dr.symbol("Y", (5, 3))
    weights = [dr.symbol("W_1", (6, 4)), dr.symbol("W_2", (3, 6))]
    output = dr.tanh(X @ weights[0].T) @ weights[1].T
    return losses.CrossEntropy()(output, Y), weights


def _deep() -> tuple[dr.Tensor, list[dr.Tensor]]:
    a, y = dr.symbol("x", (3,)), dr.symbol("y", (3,))
    weights = [dr.symbol(f"W_{i}", (3, 3)) for i in range(1, 21)]
    for weight in weights:
        a = dr.tanh(weight @ a)
    return 0.5 * ((a - y) @ (a - y)), weights


QUESTIONS = {
    "two layers": (_perceptron, "(W₂ᵀ(ŷ − y) ⊙ (1 − a₁²))xᵀ", "(W₂ᵀ(ŷ − y) ⊙ a₁)xᵀ"),
    "batch, two layers": (_batch, "Δ₁ᵀX", "((Ŷ − Y)W₂ ⊙ (1 − A₁²))ᵀX"),
    "20 layers": (_deep, "δ₁xᵀ", "δ₂xᵀ"),
}


def lenet() -> nn.Sequential:
    """Return LeNet-5 for images of 28 rows and columns."""
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def _proved_network(make: Make) -> None:
    loss, weights = make()
    _expect(bool(dr.derive(loss, wrt=weights).check()), "a proof")


def _proved_images() -> None:
    model: Any = lenet()
    derivation = dr.derive(model, losses.CrossEntropy(), input_shape=(2, 28, 28, 1))
    _expect(bool(derivation.check()), "a proof")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"expected {what}")


class Question:
    """A question with a right and a wrong answer, graded in three situations."""

    def __init__(self, make: Make, right: str, wrong: str) -> None:
        self._make, self._right, self._wrong = make, right, wrong
        self._loss, self._weights = make()

    def first(self) -> None:
        """Grade a right answer to a new question."""
        loss, weights = self._make()
        _expect(
            dr.grade(loss, weights[0], self._right, parameters=weights).correct, "✓"
        )

    def right(self) -> None:
        """Grade a right answer to the same question."""
        _expect(self._verdict(self._right), "✓")

    def wrong(self) -> None:
        """Grade a wrong answer to the same question."""
        _expect(not self._verdict(self._wrong), "✗")

    def _verdict(self, answer: str) -> bool:
        weights = self._weights
        return dr.grade(self._loss, weights[0], answer, parameters=weights).correct


def _milliseconds(action: Callable[[], object], rounds: int) -> str:
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        action()
        taken.append(1000 * (time.process_time() - start))
    return f"{min(taken):10.0f} {statistics.median(taken):10.0f}"


def main(rounds: int = _ROUNDS) -> None:
    """Print the table."""
    print(f"{'':40}{'smallest':>10} {'median':>10}   (ms of the processor)")
    for name, given in QUESTIONS.items():
        question = Question(*given)
        for case in ("first", "right", "wrong"):
            label = f"grade, {name}, {case} answer"
            print(f"{label:40}{_milliseconds(getattr(question, case), rounds)}")
    for name, (make, *_) in QUESTIONS.items():
        taken = _milliseconds(partial(_proved_network, make), rounds)
        print(f"{f'derive and prove, {name}':40}{taken}")
    print(f"{'derive and prove, LeNet-5':40}{_milliseconds(_proved_images, rounds)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
