"""Exam sheets with answer keys, including questions on optimiser steps."""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
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
from deltarule.explain.formula.typeset import number_formula
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.explain.results.optimizers import Walk
from deltarule.optim.explanation import optimizer_steps
from deltarule.render import mathematics as m
from deltarule.tensor.explain import random_source, run

__all__ = ["exam"]


def _optimizer_question(kind: str) -> Author:
    """Return the author of a question on three steps of an optimiser with small numbers."""

    def author(chance: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        del evaluate, draw
        gradients = [float(chance.choice([-2, -1, 1, 2, 3])) for _ in range(3)]
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
}


def exam(
    topic: str, *, seed: int = 0, variants: int = 1, n_questions: int | None = None
) -> Exam:
    """Return question sheets on a topic, with verified answer keys.

    Print them with ``exam.sheet(hints=True)`` and ``exam.key()``, or export them with
    ``exam.latex(answers=True)`` and ``exam.html()``.

    Args:
        topic: "networks", "gradients", "shapes", "convolution", "optimizers", "normalization",
            "divergence" or "initialization".
        seed: The random seed.
        variants: The number of variants of the sheet.
        n_questions: The number of questions; None for the topic's default.

    Raises:
        ArgumentError: an unknown topic, or a seed or number that is not allowed.

    >>> sheet = exam("shapes", seed=3)
    >>> len(sheet.questions), exam("shapes", seed=3).key() == sheet.key()
    (2, True)
    """
    for option, number, least in (("seed", seed, 0), ("variants", variants, 1)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ArgumentError(
                f"exam {option}", expected=f"a whole number ≥ {least}", got=repr(number)
            )
    authors = sheets.choose(topic, TOPICS)
    return sheets.exam(
        topic,
        authors,
        run,
        random_source(seed),
        seed=seed,
        variants=variants,
        n_questions=n_questions,
    )


check_calls(__name__)
