"""Exams with answer keys: by topic, including optimiser steps, and on networks of one's own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.explain.exam import concepts
from deltarule.explain.exam import exam as sheets
from deltarule.explain.exam.arithmetic import confirm
from deltarule.explain.exam.exam import Author, Exam
from deltarule.explain.exam.questions import (
    Question,
    equation,
    name,
    number_item,
    vector,
)
from deltarule.explain.exam.tasks import ASKED, NetworkTask, author
from deltarule.explain.formula.typeset import number_formula
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.explain.results.optimizers import Walk
from deltarule.flags import check_fields
from deltarule.optim.explanation import optimizer_steps
from deltarule.render import mathematics as m
from deltarule.tensor.explain import (
    allowed_nodes,
    node_names,
    original_node,
    run,
    value_sampler,
    without_target_checks,
)
from deltarule.tensor.tensor import Tensor

__all__ = ["Task", "exam"]


def _optimizer_question(kind: str) -> Author:
    """Return the author of a question on three steps of an optimiser with small numbers."""

    def author(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        del evaluate, draw
        gradients = [float(rng.choice([-2, -1, 1, 2, 3])) for _ in range(3)]
        walk = optimizer_steps(kind, 0.0, gradients)
        _confirm_by_hand(kind, gradients, walk)
        equations = [
            equation(name(key), number_formula(number))
            for key, number in walk.settings.items()
        ]
        settings = m.join(equations, m.Operator(", "))
        formulas = [update.formula for update in walk.updates if update.step == 1]
        items = tuple(
            number_item(name(f"theta_{i}"), float(found), f"step t = {i}")
            for i, found in enumerate(walk.parameters, 1)
        )
        return Question(
            f"{walk.rule.title}: take three steps from θ₀ = 0 (all states 0) with these gradients.",
            (*formulas, settings, equation(name("g"), vector(gradients))),
            items,
            "the printed formulas were run, and compared with the optimiser",
        )

    return author


def _confirm_by_hand(kind: str, gradients: list[float], walk: Walk) -> None:
    """Compare a walk with the optimiser, and with exact fractions where the rule is linear."""
    confirm(f"{kind}, the optimiser itself", walk.error, 0.0)
    if kind in {"sgd", "momentum"}:
        velocity, theta = Fraction(0), Fraction(0)
        momentum = Fraction(9, 10) if kind == "momentum" else Fraction(0)
        for gradient, found in zip(gradients, walk.parameters, strict=True):
            velocity = momentum * velocity - Fraction(gradient) / 10
            theta += velocity
            confirm(kind, float(theta), float(found))


# Every sheet asks for each of them: variants differ in the numbers and not in the optimiser.
_KINDS = ("sgd", "momentum", "adagrad", "rmsprop", "adam")

TOPICS: Mapping[str, tuple[Author, ...]] = {
    **sheets.TOPICS,
    "optimizers": tuple(_optimizer_question(kind) for kind in _KINDS),
    "concepts": concepts.AUTHORS,
}


@dataclass(frozen=True)
class Task:
    """A question of an exam on the gradients of a loss.

    Args:
        loss: A scalar tensor.
        wrt: The variable or variables to differentiate with respect to.
        ask: "gradients" (the gradients as formulas), "derivation" (every line of the derivation) or "numbers" (the
            gradients at small numbers, drawn until all of them are finite and readable).
        points: The points of the question, shared by its items.
        title: The first sentence of the question.
        names: Names of intermediate tensors.
        choices: For "numbers": from which numbers the entries of an input are drawn, by its name.
        values: For "numbers": fixed values of inputs, by name.
        allow: For "gradients": the symbols that answers may use, names or tensors, or "inputs"; all by default.
        reveal: Whether the message on a wrong formula shows the line of the derivation.

    >>> from deltarule.tensor.tensor import symbol
    >>> w, x, y = symbol("w", (2,)), symbol("x", (2,)), symbol("y", ())
    >>> sheets = exam([Task(0.5 * (w @ x - y) ** 2, w, points=2, title="A linear model")], seed=1)
    >>> sheets.grade(1, "1a", "(w^T x - y) x").points
    2.0
    """

    loss: Tensor
    wrt: Tensor | Sequence[Tensor]
    ask: str = "gradients"
    points: float = 1.0
    title: str = "A network"
    names: Mapping[Tensor, str] | None = None
    choices: Mapping[str, Sequence[float]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    allow: str | Sequence[str | Tensor] | None = None
    reveal: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.ask not in ASKED:
            raise ArgumentError(
                "Task ask", expected=f"one of {', '.join(ASKED)}", got=repr(self.ask)
            )
        number = isinstance(self.points, (int, float))
        if not number or isinstance(self.points, bool) or not self.points > 0:
            raise ArgumentError(
                "Task points", expected="a number > 0", got=repr(self.points)
            )
        if not isinstance(self.loss, Tensor) or self.loss.shape != ():
            got = getattr(self.loss, "shape", type(self.loss).__name__)
            raise ArgumentError("Task loss", expected="a scalar tensor", got=str(got))

    def of_nodes(self) -> NetworkTask:
        """Return the task with nodes of the graph in place of tensors."""
        variables = [self.wrt] if isinstance(self.wrt, Tensor) else list(self.wrt)
        nodes = tuple(original_node(variable) for variable in variables)
        loss, names = without_target_checks(self.loss.node, node_names(self.names))
        choices = {key: tuple(numbers) for key, numbers in self.choices.items()}
        title = self.title.rstrip(".")
        return NetworkTask(
            loss,
            nodes,
            self.ask,
            self.points,
            title,
            names,
            choices,
            self.values,
            allowed_nodes(self.allow),
            self.reveal,
        )


def exam(
    topic: str | Sequence[Task | Sequence[Task]],
    *,
    seed: int = 0,
    variants: int = 1,
    n_questions: int | None = None,
    title: str = "Exam",
) -> Exam:
    """Return question sheets with verified answer keys: on a topic, or on networks of your own.

    Print them with ``exam.sheet(hints=True)`` and ``exam.key()``, write them with ``exam.latex(standalone=True)`` and
    ``exam.html()``, export them to a learning platform with ``exam.export("moodle", path)``, and grade answers with
    ``exam.grade(variant, item, answer)``.

    Args:
        topic: "networks", "gradients", "shapes", "convolution", "optimizers", "normalization",
            "divergence", "initialization" or "concepts"; or a list of tasks, one for each question. A list of tasks in
            place of a task has the alternatives from which each variant draws one.
        seed: The random seed.
        variants: The number of variants of the sheet.
        n_questions: The number of questions; None for one of each kind.
        title: The title of an exam of tasks.

    Raises:
        ArgumentError: an unknown topic, or a seed or number that is not allowed.
        GraphError: a derivation is not proved, or no readable numbers are found.

    >>> sheet = exam("shapes", seed=3)
    >>> len(sheet.questions), exam("shapes", seed=3).key() == sheet.key()
    (2, True)
    """
    for option, number, least in (("seed", seed, 0), ("variants", variants, 1)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ArgumentError(
                f"exam {option}", expected=f"a whole number ≥ {least}", got=repr(number)
            )
    if isinstance(topic, (list, tuple)):
        name_, authors = title, [author(_alternatives(task)) for task in topic]
        if not authors:
            raise ArgumentError("exam", expected="at least one task", got="none")
    else:
        name_, authors = str(topic), list(sheets.choose(topic, TOPICS))
    return sheets.exam(
        name_,
        authors,
        run,
        value_sampler(seed),
        seed=seed,
        variants=variants,
        n_questions=n_questions,
    )


def _alternatives(given: object) -> list[NetworkTask]:
    """Return the alternatives of a question."""
    tasks: list[object] = list(given) if isinstance(given, (list, tuple)) else [given]
    found = [task.of_nodes() for task in tasks if isinstance(task, Task)]
    if not found or len(found) < len(tasks):
        kinds = ", ".join(sorted({type(task).__name__ for task in tasks}))
        raise ArgumentError("exam", expected="a topic or tasks", got=kinds or "none")
    return found


check_calls(__name__)
